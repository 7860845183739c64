//! A unit of the model: the product's participant and gate, a key, and an ear that notices two voices.
//!
//! What lies between them in the product is `handset/group.rs`; here the same without sound, jitter buffer and repeats.

use std::time::Instant;

use bytes::Bytes;
use wire::control::{Floor, FloorBody, Message, Release};
use wire::datagram::{Datagram, Voice};
use wire::{DenyCause, Handle, Identity, Priority, RequestId, Seq, SessionId, Spurt, TalkgroupId, Tier};

use super::rules::{Rule, Rules};
use crate::floor::participant::{Out, Participant, State, Tell};
use crate::gate::{Admit, Gate};

/// What went wrong at a unit; each is a property of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// Two voices in one ear, or an old one after a newer.
    DoubleTalk,
    /// An emergency was refused by the own gateway.
    EmergencyRefused,
    /// An honest node was taken for a liar.
    Misjudged,
}

#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) identity: Identity,
    pub(super) session: SessionId,
    talkgroup: TalkgroupId,
    pub(super) participant: Participant,
    gate: Gate,
    /// The priority of the key that is down.
    pub(super) key: Option<Priority>,
    requests: u32,
    /// The spurt it talks under and the next frame's number.
    sending: Option<(Spurt, Seq)>,
    /// The newest spurt heard and its speaker.
    heard: Option<(Spurt, Identity)>,
    /// The unit in emergency, as the gateway told.
    pub(super) emergency: Option<Identity>,
}

impl Unit {
    pub(super) fn new(identity: Identity, session: SessionId, talkgroup: TalkgroupId) -> Self {
        Self {
            identity,
            session,
            talkgroup,
            participant: Participant::default(),
            gate: Gate::new(Spurt::from_bits(0)),
            key: None,
            requests: 0,
            sending: None,
            heard: None,
            emergency: None,
        }
    }

    // === The user ===

    /// The key goes down, or its tier is raised while it is down.
    pub(super) fn press(&mut self, priority: Priority, now: Instant) {
        self.key = Some(priority);
        self.requests += 1;
        self.participant.press(RequestId(self.requests), priority, now);
    }

    /// Whether a press would mean anything.
    pub(super) fn may_press(&self, priority: Priority) -> bool {
        let over = matches!(self.participant.state(), State::Silent | State::Releasing);
        self.key.is_none_or(|held| !over && held.tier == Tier::Normal && priority.tier > held.tier)
    }

    pub(super) fn key_up(&mut self, now: Instant) {
        self.key = None;
        self.participant.key_up(now);
    }

    pub(super) fn end_emergency(&self) -> Message {
        Message::EmergencyEnd { talkgroup: self.talkgroup.clone(), party: None }
    }

    /// One frame of the spurt that is granted.
    pub(super) fn speak(&mut self, handle: Handle) -> Option<Bytes> {
        let tier = self.participant.grant()?.tier;
        let (spurt, seq) = self.sending?;
        self.sending = Some((spurt, seq.next()));
        let payload = self.identity.to_string().into_bytes().into();
        let first = seq == Seq(0);
        Some(Voice { handle, spurt, seq, first, last: false, tier, encrypted: false, repeats: Vec::new(), payload }.encode())
    }

    // === The gateway ===

    pub(super) fn hear_message(&mut self, message: &Message, now: Instant) {
        match message {
            Message::Affiliated(affiliated) => self.gate = Gate::new(affiliated.baseline),
            Message::EmergencyState { active, originator, .. } => self.emergency = active.then(|| originator.clone()),
            Message::Floor(Floor { body: FloorBody::Taken(taken), .. }) => {
                if !self.gate.newest().is_after(taken.spurt) {
                    self.gate.open(taken.spurt);
                }
            }
            Message::Floor(Floor { body: FloorBody::Idle(idle), .. }) => {
                self.gate.ended(idle.spurt);
                if idle.is_lost() && !self.gate.newest().is_after(idle.spurt) {
                    self.gate.cut(idle.spurt);
                }
            }
            Message::Floor(Floor { body, .. }) => self.participant.handle(body, now),
            Message::Hello(_)
            | Message::Welcome(_)
            | Message::Refused(_)
            | Message::Affiliate(_)
            | Message::AffiliateRefused(..)
            | Message::Deaffiliate(_)
            | Message::EmergencyEnd { .. }
            | Message::EmergencyEndRefused { .. }
            | Message::FarSide(_)
            | Message::Agreements(_)
            | Message::Sync(_) => {}
        }
    }

    /// What the participant wants said after a message or a press; `answers` is what it reacts to.
    pub(super) fn drain(&mut self, answers: Option<&FloorBody>, rules: Rules, now: Instant) -> (Vec<Message>, Option<Fault>) {
        let (mut says, mut fault) = (Vec::new(), None);
        while let Some(out) = self.participant.poll() {
            match out {
                Out::Send(FloorBody::Release(release)) if self.is_kept_back(&release, answers, rules) => {}
                Out::Send(body) | Out::SendDatagram(body) => {
                    says.push(Message::Floor(Floor { talkgroup: self.talkgroup.clone(), party: None, body }));
                }
                Out::Finish => {
                    let last = self.sending.and_then(|(_, next)| next.0.checked_sub(1)).map(Seq);
                    self.participant.finished(last, now);
                }
                Out::Tell(Tell::Granted(granted)) => {
                    if self.sending.is_none_or(|(spurt, _)| spurt != granted.spurt) {
                        self.sending = Some((granted.spurt, Seq(0)));
                    }
                    self.gate.cut_all();
                }
                Out::Tell(Tell::Denied(_, cause)) => {
                    let in_danger = self.key.is_some_and(|key| key.tier == Tier::Emergency);
                    if in_danger && cause != DenyCause::Disconnected {
                        fault = Some(Fault::EmergencyRefused);
                    }
                }
                Out::Tell(Tell::Requested(_)) => self.sending = None,
                Out::Tell(Tell::Queued(..) | Tell::Revoked(..) | Tell::Released(..)) => {}
            }
        }
        (says, fault)
    }

    /// Whether a removed rule swallows this release.
    fn is_kept_back(&self, release: &Release, answers: Option<&FloorBody>, rules: Rules) -> bool {
        match answers {
            Some(FloorBody::Revoke(_)) => release.key_down && rules.lacks(Rule::DisplacedReleases),
            Some(FloorBody::Granted(_)) => rules.lacks(Rule::UnwantedGrantReleased),
            _ => false,
        }
    }

    /// A frame from the gateway, through the gate.
    pub(super) fn hear_voice(&mut self, bytes: Bytes) -> Option<Fault> {
        let Ok(Some(Datagram::Voice(voice))) = Datagram::decode(bytes) else { return None };
        match self.gate.admit_from_source(voice.spurt, voice.seq) {
            Admit::Pass | Admit::Begins => self.play(&voice),
            Admit::Duplicate | Admit::Stale => None,
        }
    }

    /// The ear: under one number one speaker, who is somebody else, and nobody of an older number after another of a newer.
    pub(super) fn play(&mut self, voice: &Voice) -> Option<Fault> {
        let speaker: Identity = std::str::from_utf8(&voice.payload).unwrap().parse().unwrap();
        let before = self.heard.replace((voice.spurt, speaker.clone()));
        let two = before.is_some_and(|(spurt, who)| who != speaker && !voice.spurt.is_after(spurt));
        (two || speaker == self.identity).then_some(Fault::DoubleTalk)
    }
}
