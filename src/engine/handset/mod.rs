//! The unit's brain: one session with a gateway, a participant, a gate and a jitter buffer per talkgroup.
//!
//! In the data path: `speak` takes encoded frames from the microphone and stamps them with the grant's spurt; datagrams from
//! the gateway pass the gate into the jitter buffer; `playout` gives what is to be decoded every 20 ms.

mod group;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::control::{Affiliated, FarSide, Floor, Granted, Hello, Message, Taken};
use wire::datagram::{Datagram, Heartbeat};
use wire::{DenyCause, Identity, Priority, Reason, RequestId, RevokeCause, Seq, Spurt, TalkgroupId};

use crate::earliest;
use crate::jitter::{self, Playout};
use crate::liveness::{Liveness, UNIT_HURRY, UNIT_INTERVAL, UNIT_LIMIT};
use crate::loss::{Chooser, Meter, Repeats};
use crate::sched::line::Sound;
use group::Group;

/// Something for the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// A control message.
    Control(Message),
    /// A voice frame.
    Voice(Sound),
    /// A heartbeat, report of loss or repeated emergency request, for a class of its own.
    Datagram(Bytes),
}

/// Something for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The gateway welcomed the unit.
    Connected(Identity),
    /// The gateway refused it, or is not what was dialled; the driver closes the connection.
    Refused(Reason),
    /// Joined a talkgroup.
    Affiliated(Box<Affiliated>),
    /// May not join it (or no longer).
    AffiliateRefused(TalkgroupId, Reason),
    /// The floor was asked for.
    Requested(TalkgroupId, RequestId),
    /// It is given; said again when tier, number or reach changes.
    Granted(TalkgroupId, Granted),
    /// It is refused.
    Denied(TalkgroupId, RequestId, DenyCause),
    /// It waits at this place, from 1.
    Queued(TalkgroupId, RequestId, u8),
    /// It was taken back.
    Revoked(TalkgroupId, RequestId, Spurt, RevokeCause),
    /// It was given back, or the request was.
    Released(TalkgroupId, RequestId, Option<Spurt>),
    /// Somebody else talks.
    Taken(TalkgroupId, Taken),
    /// The first frame of a spurt is played.
    FirstAudio(TalkgroupId, Spurt),
    /// Nothing came of the spurt for 0.6 s: play the lost tone. Voice may come back, or *idle* follows.
    Interrupted(TalkgroupId, Spurt),
    /// Nobody talks; `true` if the talker was lost.
    Idle(TalkgroupId, Spurt, bool),
    /// The group emergency began, passed on or ended.
    Emergency(TalkgroupId, bool, Identity),
    /// The group emergency goes on: this unit may not end it.
    EmergencyEndRefused(TalkgroupId, DenyCause),
    /// Whether a bridged authority can be reached.
    FarSide(FarSide),
    /// The gateway does not answer: the driver closes the connection and tries the next.
    GatewayLost,
}

/// When the microphone opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permit {
    /// At the key press; up to 300 ms spoken before the grant are kept.
    #[default]
    Instant,
    /// After the permit tone.
    Tone,
}

/// Why a press was not taken; the caller is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PressError {
    /// Not joined (yet).
    #[error("the talkgroup is not affiliated")]
    NotAffiliated,
}

/// The unit's brain.
#[derive(Debug)]
pub struct Handset {
    groups: BTreeMap<TalkgroupId, Group>,
    next_request: u32,
    /// What is offered to the gateway beyond the version, and what of that it knows, too.
    offered: Vec<u32>,
    common: Vec<u32>,
    /// The certified identity of whoever is connected.
    dialled: Option<Identity>,
    liveness: Option<Liveness>,
    /// What the gateway's voice loses on the way here, and what the gateway says of ours.
    meter: Meter,
    chooser: Chooser,
    out: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Handset {
    /// A unit that will join these talkgroups.
    pub fn new(talkgroups: impl IntoIterator<Item = TalkgroupId>) -> Self {
        Self {
            groups: talkgroups.into_iter().map(|id| (id.clone(), Group::new(id))).collect(),
            next_request: 0,
            offered: Vec::new(),
            common: Vec::new(),
            dialled: None,
            liveness: None,
            meter: Meter::default(),
            chooser: Chooser::default(),
            out: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Offers capabilities to the gateways that are dialled from now on.
    pub fn offer(&mut self, capabilities: &[u32]) {
        self.offered = capabilities.to_vec();
    }

    /// Whether the gateway that is connected knows a capability that was offered.
    pub fn knows(&self, capability: u32) -> bool {
        self.common.contains(&capability)
    }

    /// Takes the next thing to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    /// Takes the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Talkgroups joined or to be joined.
    pub fn talkgroups(&self) -> impl Iterator<Item = &TalkgroupId> {
        self.groups.keys()
    }

    /// Joins one more talkgroup.
    pub fn join(&mut self, talkgroup: TalkgroupId) {
        if !self.groups.contains_key(&talkgroup) {
            let mut group = Group::new(talkgroup.clone());
            group.set_repeats(self.chooser.choice());
            self.groups.insert(talkgroup.clone(), group);
            if self.is_connected() {
                self.out.push_back(Transmit::Control(Message::Affiliate(talkgroup)));
            }
        }
    }

    /// Leaves a talkgroup.
    pub fn leave(&mut self, talkgroup: &TalkgroupId) {
        if self.groups.remove(talkgroup).is_some() && self.is_connected() {
            self.out.push_back(Transmit::Control(Message::Deaffiliate(talkgroup.clone())));
        }
    }

    /// Whether the gateway has welcomed the unit.
    pub fn is_connected(&self) -> bool {
        self.liveness.is_some()
    }

    // === Session ===

    /// A connection exists with a gateway of that certified identity: says hello.
    pub fn handle_connected(&mut self, gateway: Identity) {
        self.dialled = Some(gateway);
        self.out.push_back(Transmit::Control(Message::Hello(Hello::knowing(&self.offered))));
    }

    /// The connection is gone; whatever was asked or held ends.
    pub fn handle_disconnected(&mut self, now: Instant) {
        (self.dialled, self.liveness, self.common) = (None, None, Vec::new());
        (self.meter, self.chooser) = (Meter::default(), Chooser::default());
        for group in self.groups.values_mut() {
            group.set_repeats(Repeats::NONE);
            group.disconnected(now, &mut self.out, &mut self.events);
        }
        self.out.clear();
    }

    /// A control message arrived.
    pub fn handle_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::Welcome(_) if self.is_connected() => {}
            Message::Welcome(welcome) => {
                let Some(dialled) = &self.dialled else { return };
                if let Err(reason) = welcome.check(dialled, &self.offered) {
                    self.events.push_back(Event::Refused(reason));
                    return;
                }
                self.common = welcome.capabilities;
                self.liveness = Some(Liveness::new(UNIT_INTERVAL, UNIT_LIMIT, now).hurrying(UNIT_HURRY, Duration::ZERO));
                self.events.push_back(Event::Connected(welcome.gateway));
                for talkgroup in self.groups.keys() {
                    self.out.push_back(Transmit::Control(Message::Affiliate(talkgroup.clone())));
                }
            }
            Message::Refused(reason) => self.events.push_back(Event::Refused(reason)),
            Message::Affiliated(affiliated) => {
                if let Some(group) = self.groups.get_mut(&affiliated.talkgroup) {
                    self.events.push_back(Event::Affiliated(affiliated.clone()));
                    group.affiliated(*affiliated, now, &mut self.events);
                }
            }
            Message::AffiliateRefused(talkgroup, reason) => {
                if let Some(group) = self.groups.get_mut(&talkgroup) {
                    group.disconnected(now, &mut self.out, &mut self.events);
                    self.events.push_back(Event::AffiliateRefused(talkgroup, reason));
                }
            }
            Message::Floor(Floor { talkgroup, body, .. }) => {
                if let Some(group) = self.groups.get_mut(&talkgroup) {
                    group.handle_floor(&body, now, &mut self.out, &mut self.events);
                }
            }
            Message::EmergencyState { talkgroup, active, originator, .. } => {
                self.events.push_back(Event::Emergency(talkgroup, active, originator));
            }
            Message::EmergencyEndRefused { talkgroup, cause, .. } => {
                self.events.push_back(Event::EmergencyEndRefused(talkgroup, cause));
            }
            Message::FarSide(far_side) => self.events.push_back(Event::FarSide(far_side)),
            // A gateway does not send these to a unit; later versions may, and then they mean nothing to this one.
            Message::Hello(_)
            | Message::Affiliate(_)
            | Message::Deaffiliate(_)
            | Message::EmergencyEnd { .. }
            | Message::Agreements(_)
            | Message::Sync(_) => {}
        }
    }

    /// A datagram arrived; what is none is dropped.
    pub fn handle_datagram(&mut self, bytes: Bytes, now: Instant) {
        match Datagram::decode(bytes) {
            Ok(Some(Datagram::Voice(voice))) => {
                if let Some(group) = self.groups.values_mut().find(|group| group.handle() == Some(voice.handle)) {
                    self.meter.note(&voice);
                    group.handle_voice(voice, now);
                }
                if let Some(report) = self.meter.report(now) {
                    self.out.push_back(Transmit::Datagram(Datagram::Report(report).encode()));
                }
            }
            Ok(Some(Datagram::Report(report))) => {
                self.chooser.handle_report(report);
                let repeats = self.chooser.choice();
                self.groups.values_mut().for_each(|group| group.set_repeats(repeats));
            }
            Ok(Some(Datagram::Heartbeat(Heartbeat { echo, .. }))) => {
                if let Some(liveness) = &mut self.liveness {
                    liveness.handle_heartbeat(Heartbeat { seq: echo, echo }, now);
                }
            }
            Ok(Some(Datagram::Emergency(_)) | None) | Err(_) => {}
        }
    }

    // === User ===

    /// The key goes down, or, while it is down, its tier is raised. Returns the request's number.
    ///
    /// # Errors
    /// [`PressError::NotAffiliated`] before the gateway has let the unit into the talkgroup.
    pub fn press(&mut self, talkgroup: &TalkgroupId, priority: Priority, permit: Permit, now: Instant) -> Result<RequestId, PressError> {
        let group = self.groups.get_mut(talkgroup).filter(|group| group.handle().is_some()).ok_or(PressError::NotAffiliated)?;
        self.next_request += 1;
        Ok(group.press(RequestId(self.next_request), priority, permit, now, &mut self.out, &mut self.events))
    }

    /// The key goes up: the last frame is sent, the floor given back.
    pub fn key_up(&mut self, talkgroup: &TalkgroupId, now: Instant) {
        if let Some(group) = self.groups.get_mut(talkgroup) {
            group.key_up(now, &mut self.out, &mut self.events);
        }
    }

    /// An encoded frame of 20 ms from the microphone; `None` is a hold beat. Kept, sent or dropped as the floor stands.
    pub fn speak(&mut self, talkgroup: &TalkgroupId, payload: Option<Bytes>) {
        if let Some(group) = self.groups.get_mut(talkgroup) {
            group.speak(payload, &mut self.out);
        }
    }

    /// Asks to end the group emergency.
    pub fn end_emergency(&mut self, talkgroup: &TalkgroupId) {
        let message = Message::EmergencyEnd { talkgroup: talkgroup.clone(), party: None };
        self.out.push_back(Transmit::Control(message));
    }

    // === Ear ===

    /// What one talkgroup plays in this 20 ms tick; `None` if nothing.
    pub fn playout(&mut self, talkgroup: &TalkgroupId, now: Instant) -> Option<Playout> {
        self.groups.get_mut(talkgroup)?.playout(now, &mut self.events)
    }

    /// Counters of one talkgroup's jitter buffer.
    pub fn jitter_stats(&self, talkgroup: &TalkgroupId) -> Option<jitter::Stats> {
        self.groups.get(talkgroup).map(Group::jitter_stats)
    }

    /// The last sequence number sent in the newest spurt of a talkgroup.
    pub fn last_sent(&self, talkgroup: &TalkgroupId) -> Option<Seq> {
        self.groups.get(talkgroup).and_then(Group::last_sent)
    }

    /// Voice frames sent in a talkgroup since it was joined, hold beats included, copies of the last frame not.
    pub fn frames_sent(&self, talkgroup: &TalkgroupId) -> u64 {
        self.groups.get(talkgroup).map_or(0, Group::frames_sent)
    }

    /// The spurt that [`playout`](Self::playout) plays or will play next; right after it, the one whose frame it gave.
    pub fn playing(&self, talkgroup: &TalkgroupId) -> Option<Spurt> {
        self.groups.get(talkgroup).and_then(Group::playing)
    }

    /// Whether a frame waits to be played in some talkgroup.
    pub fn holds_frames(&self) -> bool {
        self.groups.values().any(Group::holds_frames)
    }

    /// Whether nothing is asked, held or still to be sent, so that the session can be closed without loss.
    pub fn is_settled(&self) -> bool {
        self.groups.values().all(Group::is_settled)
    }

    // === Time ===

    /// The next deadline, with its reason.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let beat = self.liveness.as_ref().map(|liveness| (liveness.poll_timeout(), "heartbeat"));
        earliest(self.groups.values().map(Group::poll_timeout).chain([beat]))
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut misses_voice = false;
        for group in self.groups.values_mut() {
            misses_voice |= group.misses_voice(now);
            group.handle_timeout(now, &mut self.out, &mut self.events);
        }
        if let Some(liveness) = &mut self.liveness {
            if misses_voice {
                liveness.beat_now(now);
            }
            if liveness.is_lost(now) {
                self.liveness = None;
                self.events.push_back(Event::GatewayLost);
            } else if let Some(beat) = liveness.poll(now) {
                self.out.push_back(Transmit::Datagram(Datagram::Heartbeat(beat).encode()));
            }
        }
    }
}
