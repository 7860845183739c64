//! `send`: hands a message to the gateway, waits until that answers for it, and for reports if asked to.

use engine::handset::Event;
use talkbridge_client::{Draft, End, Mail, Unit, UnitConfig, What};
use wire::data::{Content, Location, MessageId, Recipient, Wanted};

use super::args::{Send, WaitArg};
use super::output::{Output, complain};
use super::stop::Stop;
use super::{Outcome, Unusable, start_with_mailbox, unix_ms};

/// One message on its way.
struct Sending {
    args: Send,
    unit: Unit,
    id: Option<MessageId>,
    outcome: Option<Outcome>,
}

/// Runs the command.
pub(super) async fn run(args: Send) -> Result<Outcome, Unusable> {
    let config = UnitConfig::load(&args.common.config).map_err(|error| Unusable::from(&error))?;
    // Who sends to a talkgroup must be in it.
    let talkgroups = if let Recipient::Talkgroup(talkgroup) = &args.to { vec![talkgroup.clone()] } else { Vec::new() };
    let Some(unit) = start_with_mailbox(&config, talkgroups, args.common.connect_timeout, false) else { return Ok(Outcome::Failed) };
    let output = Output::new(args.common.json);
    let mut stop = Stop::new();
    let mut sending = Sending { args, unit, id: None, outcome: None };
    loop {
        tokio::select! {
            biased;
            () = stop.asked(), if sending.outcome.is_none() => sending.end(Outcome::Failed).await,
            happened = sending.unit.events.recv() => {
                let Some(happened) = happened else { return Ok(Outcome::Failed) };
                output.event(&happened);
                if let What::Ended(end, _) = happened.what {
                    let closed = sending.outcome.filter(|_| end == End::Closed);
                    return Ok(closed.unwrap_or(Outcome::Failed));
                }
                sending.happened(happened.what).await;
            }
        }
    }
}

impl Sending {
    async fn happened(&mut self, what: What) {
        let to_group = matches!(self.args.to, Recipient::Talkgroup(_));
        match what {
            What::Mail(Mail::Ready) if !to_group => self.send().await,
            What::Handset(Event::Affiliated(_)) => self.send().await,
            What::Handset(Event::AffiliateRefused(..)) => self.end(Outcome::Failed).await,
            What::Mail(Mail::NotOffered) => self.fail("this gateway carries no short data").await,
            What::Mail(Mail::Failed(why)) => self.fail(&format!("the state folder failed, nothing is certain of the message: {why}")).await,
            What::Mail(Mail::Accepted(id)) if self.is_mine(id) && self.args.wait.is_none() => self.end(Outcome::Done).await,
            What::Mail(Mail::Delivered(id, _)) if self.is_mine(id) && self.args.wait == Some(WaitArg::Delivered) => {
                self.end(Outcome::Done).await;
            }
            What::Mail(Mail::Read(id, _)) if self.is_mine(id) && self.args.wait.is_some() => self.end(Outcome::Done).await,
            What::Mail(Mail::Undelivered(id, ..)) if self.is_mine(id) => self.end(Outcome::Failed).await,
            What::Mail(_) | What::Handset(_) | What::Refused { .. } | What::Disconnected(_) | What::Ended(..) => {}
        }
    }

    fn is_mine(&self, id: MessageId) -> bool {
        self.id == Some(id)
    }

    /// Hands it in, once.
    async fn send(&mut self) {
        if self.id.is_some() || self.outcome.is_some() {
            return;
        }
        let draft = Draft {
            to: self.args.to.clone(),
            content: content(&self.args),
            urgent: self.args.urgent,
            wanted: Wanted { delivered: self.args.wait.is_some(), read: self.args.wait == Some(WaitArg::Read) },
            lifetime_s: self.args.lifetime,
            conversation: None,
            in_reply_to: self.args.in_reply_to,
        };
        match self.unit.handle.send(draft).await {
            Ok(id) => self.id = Some(id),
            Err(error) => self.fail(&error.to_string()).await,
        }
    }

    async fn fail(&mut self, why: &str) {
        complain(why);
        self.end(Outcome::Failed).await;
    }

    async fn end(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
        self.unit.handle.close().await;
    }
}

fn content(args: &Send) -> Content {
    match (&args.text, args.status, args.location) {
        (Some(text), ..) => Content::Text(text.clone()),
        (None, _, Some(place)) => {
            let measured = Location::new(place.latitude_e7(), place.longitude_e7(), None, unix_ms());
            Content::Location(measured.unwrap_or(place))
        }
        // One of the three is needed by the arguments.
        (None, status, None) => Content::Status(status.unwrap_or(0)),
    }
}
