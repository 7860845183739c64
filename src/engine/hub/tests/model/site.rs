//! One country of the model: the product's hub and its units, with a clock that moves only when a timer fires.
//!
//! Between a unit and its own gateway nothing is on the way: what one says the other hears at once. What goes to another
//! gateway is handed out and lies in the queues of `border.rs`.

use std::time::Instant;

use bytes::Bytes;
use wire::control::{Floor, FloorBody, Hello, Message};
use wire::datagram::Datagram;
use wire::{Epoch, Identity, Priority, Reason, SessionId};

use super::digest::digest;
use super::rules::{Rule, Rules};
use super::unit::{Fault, Unit};
use crate::hub::limits::Limits;
use crate::hub::tests::unit::ms;
use crate::hub::view::{Side, View};
use crate::hub::{Caller, Event, Hub, Output};
use crate::liveness::Liveness;
use crate::plan::Plan;

/// Why a view wants to be woken to say an emergency again.
const REPEAT: &str = "emergency repeat";
/// Why it wants to be woken to grant an emergency on the own side.
pub(super) const ANSWER: &str = "emergency answer";

/// Something happens to a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Press(usize, Priority),
    KeyUp(usize),
    Speak(usize),
    EndEmergency(usize),
    /// The next timer fires.
    Fire,
    /// A session with another gateway is made.
    Connect {
        session: SessionId,
        peer: Identity,
        dialled: bool,
    },
    /// A message of another gateway comes.
    Hear(SessionId, Message),
    /// A frame of another gateway comes, or a copy of an emergency request.
    Datagram(SessionId, Bytes),
    /// The heartbeats of a session found no echo for too long.
    Lost(SessionId),
}

/// Something leaves a site for another gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Control(SessionId, Message),
    Datagram(SessionId, Bytes),
    Close(SessionId),
}

#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) hub: Hub,
    pub(super) units: Vec<Unit>,
    pub(super) now: Instant,
    pub(super) fault: Option<Fault>,
}

impl Site {
    /// A gateway with its units logged in, alone.
    pub(super) fn new(plan: &Plan, units: &[&str], epoch: u8, now: Instant) -> Self {
        let talkgroup = plan.talkgroups[0].id.clone();
        let hub = Hub::new(plan.clone(), Epoch(epoch), 0, now);
        let mut site = Self { hub, units: Vec::new(), now, fault: None };
        for (number, name) in (1..).zip(units) {
            let (identity, session): (Identity, _) = (name.parse().unwrap(), SessionId(number));
            site.units.push(Unit::new(identity.clone(), session, talkgroup.clone()));
            let caller = Caller { alias: String::new(), agency: String::new(), identity };
            site.hub.handle_connected(session, caller, false, now);
            for message in [Message::Hello(Hello::ours()), Message::Affiliate(talkgroup.clone())] {
                site.hub.handle_message(session, message, now);
            }
        }
        assert_eq!(site.deliver(None, Rules::default()), [], "nothing for others yet");
        site
    }

    pub(super) fn view(&self) -> &View {
        self.hub.views.values().next().unwrap()
    }

    /// The next timer that may fire and whose it is: the view's, or a unit's grace. Heartbeats are the model's own events, and the
    /// timers against a home that lies have nothing to do here, where clocks of different sites do not compare.
    fn next_timer(&self) -> Option<(Instant, &'static str)> {
        let graces = self.units.iter().filter_map(|unit| unit.participant.poll_timeout()).filter(|(_, reason)| *reason == "end of grace");
        let view = match &self.view().side {
            Side::Arbiter(arbiter) => arbiter.poll_timeout(),
            Side::Partner(follower) => follower.answer_timeout(),
        };
        graces.chain(view).min_by_key(|(at, _)| *at)
    }

    /// The next timer that decides something: repeats of an emergency only lead to the end of the home's time to answer.
    pub(super) fn timer(&self) -> Option<&'static str> {
        self.next_timer().map(|(_, reason)| if reason == REPEAT { ANSWER } else { reason })
    }

    /// What the state is, apart from the clock.
    pub(super) fn digest(&self) -> u64 {
        digest(&[&self.hub, &self.units, &self.fault], self.now)
    }

    // === Steps ===

    /// One step; gives what goes to other gateways.
    pub(super) fn step(&mut self, input: &Input, rules: Rules) -> Vec<Sent> {
        // Every step takes a little, so that of two equal timers the one armed first fires first.
        self.now += ms(1);
        let now = self.now;
        let sent = match input {
            Input::Press(unit, priority) => {
                self.units[*unit].press(*priority, now);
                self.settle_unit(*unit, None, rules);
                self.deliver(None, rules)
            }
            Input::KeyUp(unit) => {
                self.units[*unit].key_up(now);
                self.settle_unit(*unit, None, rules);
                self.deliver(None, rules)
            }
            Input::Speak(unit) => {
                let handle = self.view().handle;
                if let Some(bytes) = self.units[*unit].speak(handle) {
                    let session = self.units[*unit].session;
                    self.datagram(session, &bytes, rules);
                }
                self.deliver(None, rules)
            }
            Input::EndEmergency(unit) => {
                let (session, message) = (self.units[*unit].session, self.units[*unit].end_emergency());
                self.hub.handle_message(session, message, now);
                self.deliver(None, rules)
            }
            Input::Fire => self.fire(rules),
            Input::Connect { session, peer, dialled } => {
                let caller = Caller { identity: peer.clone(), alias: String::new(), agency: String::new() };
                self.hub.handle_connected(*session, caller, *dialled, now);
                self.deliver(None, rules)
            }
            Input::Hear(session, message) => self.hear(*session, message, rules),
            Input::Datagram(session, bytes) => {
                self.datagram(*session, bytes, rules);
                self.deliver(None, rules)
            }
            Input::Lost(session) => {
                self.hub.end(*session, Reason::LinkLost, now);
                self.deliver(None, rules)
            }
        };
        self.tidy();
        sent
    }

    /// The next timer that decides something fires; repeats of an emergency go out on the way there.
    fn fire(&mut self, rules: Rules) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some((at, reason)) = self.next_timer() {
            sent.extend(self.fire_at(at, rules));
            // The last repeat may fall into the same instant as the end.
            if reason != REPEAT || self.timer() != Some(ANSWER) {
                break;
            }
        }
        sent
    }

    fn fire_at(&mut self, at: Instant, rules: Rules) -> Vec<Sent> {
        self.now = self.now.max(at);
        self.tidy();
        for unit in 0..self.units.len() {
            let due = self.units[unit].participant.poll_timeout().is_some_and(|(due, reason)| due <= self.now && reason == "end of grace");
            if due {
                self.units[unit].participant.handle_timeout(self.now);
                self.settle_unit(unit, None, rules);
            }
        }
        self.hub.handle_timeout(self.now);
        self.deliver(None, rules)
    }

    fn hear(&mut self, session: SessionId, message: &Message, rules: Rules) -> Vec<Sent> {
        let newest = |who: &Identity| self.units.iter().find(|unit| unit.identity == *who).map(|unit| unit.participant.request());
        let mut sent = Vec::new();
        for message in rules.heard(self.view(), session, message.clone(), newest) {
            self.hub.handle_message(session, message.clone(), self.now);
            sent.extend(self.deliver(Some(&message), rules));
        }
        sent
    }

    /// A datagram comes to the hub; with the gates gone, the own ears hear a frame whatever the hub says.
    fn datagram(&mut self, session: SessionId, bytes: &Bytes, rules: Rules) {
        self.hub.handle_datagram(session, bytes.clone(), self.now);
        if rules.lacks(Rule::PlayoutFilter) {
            let Ok(Some(Datagram::Voice(voice))) = Datagram::decode(bytes.clone()) else { return };
            for unit in self.units.iter_mut().filter(|unit| unit.session != session) {
                let fault = unit.play(&voice);
                self.fault = self.fault.or(fault);
            }
        }
    }

    /// Takes a unit's words to the hub.
    fn settle_unit(&mut self, unit: usize, answers: Option<&FloorBody>, rules: Rules) {
        let (says, fault) = self.units[unit].drain(answers, rules, self.now);
        self.fault = self.fault.or(fault);
        let session = self.units[unit].session;
        for message in says {
            self.hub.handle_message(session, message, self.now);
        }
    }

    /// Takes the hub's words to the own units and gives those for others; `answers` is the message they follow.
    fn deliver(&mut self, answers: Option<&Message>, rules: Rules) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Control(session, message) => match self.unit_of(session) {
                    Some(unit) => {
                        self.units[unit].hear_message(&message, self.now);
                        let body = if let Message::Floor(floor) = &message { Some(&floor.body) } else { None };
                        self.settle_unit(unit, body, rules);
                    }
                    None if answers.is_some_and(|answers| rules.swallows(answers, &message)) => {}
                    None => sent.push(Sent::Control(session, timeless(message))),
                },
                Output::Voice(fanout) => {
                    for session in fanout.to.iter().copied().filter(|session| *session != fanout.except) {
                        match self.unit_of(session) {
                            Some(_) if rules.lacks(Rule::PlayoutFilter) => {}
                            Some(unit) => {
                                let fault = self.units[unit].hear_voice(fanout.datagram.clone());
                                self.fault = self.fault.or(fault);
                            }
                            None => sent.push(Sent::Datagram(session, fanout.datagram.clone())),
                        }
                    }
                }
                Output::Datagram(session, bytes) => {
                    if matches!(Datagram::decode(bytes.clone()), Ok(Some(Datagram::Emergency(_)))) {
                        sent.push(Sent::Datagram(session, bytes));
                    }
                }
                Output::Close(session, _) => sent.push(Sent::Close(session)),
            }
        }
        while let Some(event) = self.hub.poll_event() {
            if matches!(event, Event::Misbehaved { .. }) {
                self.fault = self.fault.or(Some(Fault::Misjudged));
            }
        }
        sent
    }

    fn unit_of(&self, session: SessionId) -> Option<usize> {
        self.units.iter().position(|unit| unit.session == session)
    }

    /// Sets what counts or measures time, and decides nothing here, to where it would be at the start.
    fn tidy(&mut self) {
        for peer in self.hub.peers.values_mut() {
            peer.liveness = Liveness::of_border(self.now);
        }
        for session in self.hub.sessions.values_mut() {
            (session.limits, session.since) = (Limits::default(), self.now);
        }
        for link in self.hub.links.values_mut() {
            (link.lost, link.down_since) = (0, self.now);
        }
        self.hub.started = self.now;
    }
}

/// The message without the time that its spurt lasts already.
fn timeless(mut message: Message) -> Message {
    if let Message::Floor(Floor { body: FloorBody::Taken(taken), .. }) = &mut message {
        taken.elapsed_ms = 0;
    }
    if let Message::Floor(Floor { body: FloorBody::Request(request), .. }) = &mut message {
        request.continuing = request.continuing.map(|_| 0);
    }
    if let Message::Sync(sync) = &mut message
        && let Some(holder) = &mut sync.holder
    {
        holder.elapsed_ms = 0;
    }
    message
}
