//! Where the driver and the office meet: what links, hub and store say about short data, and what the office wants done.

use std::sync::Arc;
use std::time::Instant;

use engine::desk;
use engine::hub::Event;
use store::Answer;
use tokio::sync::mpsc;
use tokio::time::Instant as TokioInstant;
use tracing::error;
use transport::identity::OwnIdentity;
use wire::control::Message;
use wire::data::{Item, Lane};
use wire::{SHORT_DATA, SessionId};

use super::{Messages, Office};
use crate::config::Config;
use crate::driver::Driver;
use crate::plan::policy_of;

impl Driver {
    /// Opens the office if there is a store, and offers short data then; its answers come out of the channel.
    pub(crate) fn open_office(&mut self, short_data: Option<(Messages, OwnIdentity)>) -> mpsc::Receiver<Answer> {
        // A channel that ends at once: there is nobody to answer.
        let (_, nobody) = mpsc::channel(1);
        let Some((messages, own)) = short_data else { return nobody };
        let now = TokioInstant::now().into_std();
        let (policy, trust, clock) = (policy_of(&self.config), Arc::clone(&self.trust), Arc::clone(&self.clock));
        match Office::start(messages, policy, own, trust, clock, now) {
            Ok((office, answers)) => {
                self.office = Some(office);
                self.hub.offer(&[SHORT_DATA]);
                answers
            }
            Err(why) => {
                error!(%why, "ALARM: the message store cannot be used; messages are refused until the gateway is started anew");
                nobody
            }
        }
    }

    pub(crate) fn renew_office(&mut self, config: &Config, own: &OwnIdentity) {
        if let Some(office) = &mut self.office {
            office.apply(policy_of(config), own.clone());
        }
    }

    // === Time ===

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let hub = self.hub.poll_timeout().map(|(at, _)| at);
        hub.into_iter().chain(self.office.as_ref().and_then(Office::poll_timeout)).min()
    }

    pub(crate) fn handle_timeout(&mut self) {
        let now = TokioInstant::now().into_std();
        self.hub.handle_timeout(now);
        if let Some(office) = &mut self.office {
            office.handle_timeout(now);
        }
    }

    pub(crate) fn office_tick(&mut self, now: Instant) {
        if let Some(office) = &mut self.office {
            office.borders(self.hub.borders(), now);
            office.handle_tick(now);
        }
    }

    // === In ===

    pub(crate) fn data(&mut self, session: SessionId, lane: Lane, item: Item, now: Instant) {
        if let Some(office) = &mut self.office {
            office.item(session, lane, item, now);
        }
    }

    pub(crate) fn data_left(&mut self, session: SessionId, lane: Lane, bytes: usize) {
        if let Some(office) = &mut self.office {
            office.left(session, lane, bytes);
        }
    }

    pub(crate) fn stored(&mut self, answer: Answer) {
        let now = TokioInstant::now().into_std();
        if let Some(office) = &mut self.office {
            office.answer(answer, now);
        }
    }

    /// Takes what the store has answered, so many answers at most.
    pub(crate) fn take_answers(&mut self, answers: &mut mpsc::Receiver<Answer>, most: usize) {
        for _ in 0..answers.len().min(most) {
            let Ok(answer) = answers.try_recv() else { break };
            self.stored(answer);
            self.carry_out();
        }
    }

    /// A session begins or ends, a bridge comes or goes.
    pub(crate) fn watch_session(&mut self, event: &Event, now: Instant) {
        let Some(office) = &mut self.office else { return };
        #[expect(clippy::wildcard_enum_match_arm, reason = "the few that short data follows; what else happens is voice's")]
        match event {
            Event::SessionUp(session, _) if self.hub.knows(*session, SHORT_DATA) => {
                let Some(link) = self.links.get(session) else { return };
                match link.allow_data() {
                    Ok(()) => office.session_up(*session, &link.certified, now),
                    Err(reason) => self.hub.end(*session, reason, now),
                }
            }
            Event::SessionDown(session, ..) => office.session_down(*session),
            Event::SessionUp(..) | Event::Bridge { .. } => {}
            _ => return,
        }
        if let Some(office) = &mut self.office {
            office.borders(self.hub.borders(), now);
        }
    }

    /// The hub tells a unit that it joined, or not any more.
    pub(crate) fn watch_joining(&mut self, session: SessionId, message: &Message) {
        let Some(office) = &mut self.office else { return };
        if let Message::Affiliated(affiliated) = message {
            office.joined(session, &affiliated.talkgroup);
        } else if let Message::AffiliateRefused(talkgroup, _) = message {
            office.left_group(session, talkgroup);
        }
    }

    /// A unit leaves a talkgroup.
    pub(crate) fn watch_leaving(&mut self, session: SessionId, message: &Message) {
        if let (Some(office), Message::Deaffiliate(talkgroup)) = (&mut self.office, message) {
            office.left_group(session, talkgroup);
        }
    }

    // === Out ===

    /// Carries out what the office wants done.
    pub(crate) fn carry_out_data(&mut self, now: Instant) {
        let Some(office) = &mut self.office else { return };
        let (ends, events) = office.carry_out(&self.links);
        events.into_iter().for_each(|event: desk::Event| self.reporter.data(&event));
        let is_any = !ends.is_empty();
        for (session, reason) in ends {
            self.hub.end(session, reason, now);
        }
        if is_any {
            self.carry_out();
        }
    }
}
