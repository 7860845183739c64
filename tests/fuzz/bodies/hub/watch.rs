//! What must hold on everything that leaves the hub, whoever lies to it.
//!
//! - Nothing is sent into a session that was closed or never was; each kind of session hears only what is meant for it.
//! - Every message can be written, fits a frame and reads back.
//! - A frame leaves only for live sessions, never back to its talker, in the tier of its class; of one spurt everything comes
//!   from one session, each frame once (copies of the last apart), and an older spurt is silent once a newer one was heard.
//! - A unit's frame leaves only while its session holds the grant of that very spurt.
//! - Queues, emergencies and members stay within their bounds; whoever talks has a session or comes over a live bridge.

use std::collections::{BTreeMap, BTreeSet};

use engine::floor::queue::QUEUE_MAX;
use engine::hub::status::Status;
use engine::hub::{Fanout, Output};
use engine::plan::Plan;
use wire::control::{Floor, FloorBody, Message};
use wire::datagram::{Datagram, Voice};
use wire::{Handle, Identity, Kind, SessionId, Spurt, TalkgroupId, Tier};

use crate::bodies::decoders::assert_reads_back;

/// The handle of the talkgroup that follows a home: the second of the plan.
const FOLLOWS: Handle = Handle(2);
/// Most units in emergency that a talkgroup keeps apart.
const EMERGENCIES_MAX: usize = 64;

#[derive(Debug)]
struct Known {
    who: Identity,
    dialled: bool,
    up: bool,
}

/// What one talkgroup has let out.
#[derive(Debug, Default)]
struct Ear {
    /// The newest spurt of which a frame left, and the session it came from.
    heard: Option<(Spurt, SessionId)>,
    /// Frames of it: how often each may still leave.
    frames: BTreeMap<(SessionId, u16), u8>,
    /// Spurts heard before it since the numbers began anew.
    silent: BTreeSet<u32>,
}

/// Watches one hub.
pub(super) struct Watch {
    open: BTreeMap<SessionId, Known>,
    ears: BTreeMap<Handle, Ear>,
    /// Grants that a session holds or held, by spurt.
    grants: BTreeSet<(SessionId, u32)>,
    /// The newest of them, by session.
    newest: BTreeMap<SessionId, Spurt>,
    /// Last frames, by source and spurt; unlike ears they stay the same with another plan.
    lasts: BTreeSet<(SessionId, u32, u16)>,
    own: BTreeSet<TalkgroupId>,
}

impl Watch {
    pub(super) fn new(plan: &Plan) -> Self {
        let (open, ears, own) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut watch = Self { open, ears, grants: BTreeSet::new(), newest: BTreeMap::new(), lasts: BTreeSet::new(), own };
        watch.plan(plan);
        watch
    }

    /// Another plan may give a handle to another talkgroup.
    pub(super) fn plan(&mut self, plan: &Plan) {
        let own = plan.talkgroups.iter().map(|talkgroup| talkgroup.id.clone()).collect();
        if own != self.own {
            (self.own, self.ears) = (own, BTreeMap::new());
        }
    }

    pub(super) fn connected(&mut self, session: SessionId, who: &Identity, dialled: bool) {
        self.open.insert(session, Known { who: who.clone(), dialled, up: false });
    }

    pub(super) fn closed_by_far(&mut self, session: SessionId) {
        self.open.remove(&session);
    }

    pub(super) fn is_open(&self, session: SessionId) -> bool {
        self.open.contains_key(&session)
    }

    /// A partner's epoch, any at all, may have begun the numbers anew.
    pub(super) fn renumbered(&mut self) {
        self.ears.values_mut().for_each(|ear| ear.silent.clear());
    }

    pub(super) fn output(&mut self, output: &Output) {
        match output {
            Output::Control(session, message) => self.control(*session, message),
            Output::Voice(fanout) => self.voice(fanout),
            Output::Datagram(session, bytes) => {
                let known = self.open.get(session).filter(|known| known.up).unwrap_or_else(|| panic!("a datagram for {session:?}"));
                match Datagram::decode(bytes.clone()) {
                    Ok(Some(Datagram::Heartbeat(_) | Datagram::Report(_))) => {}
                    // A partner says its members' emergencies again.
                    Ok(Some(Datagram::Emergency(message))) => {
                        let Message::Floor(Floor { party, body: FloorBody::Request(request), .. }) = *message else { panic!("no request") };
                        assert!(known.who.kind == Kind::Gateway && party.is_some() && request.priority.tier == Tier::Emergency);
                    }
                    other => panic!("neither a beat nor a request: {other:?}"),
                }
            }
            Output::Close(session, _) => {
                assert!(self.open.remove(session).is_some(), "{session:?} is closed twice");
            }
        }
    }

    fn control(&mut self, session: SessionId, message: &Message) {
        assert_reads_back(message);
        let known = self.open.get_mut(&session).unwrap_or_else(|| panic!("{message:?} for {session:?}, which is not there"));
        let is_peer = known.who.kind == Kind::Gateway;
        let fits = match message {
            Message::Hello(_) => known.dialled && !known.up,
            Message::Welcome(_) | Message::Refused(_) => !known.dialled && !known.up,
            Message::Affiliated(_) | Message::AffiliateRefused(..) | Message::FarSide(_) => known.up && !is_peer,
            Message::Agreements(_) | Message::Sync(_) | Message::EmergencyEnd { party: Some(_), .. } => is_peer,
            Message::EmergencyState { .. } => known.up,
            Message::EmergencyEndRefused { party, .. } => known.up && party.is_some() == is_peer,
            Message::Floor(Floor { party, body, .. }) => match body {
                FloorBody::Request(_) | FloorBody::Release(_) => is_peer && party.is_some(),
                FloorBody::Taken(_) | FloorBody::Idle(_) => party.is_none(),
                FloorBody::Granted(_)
                | FloorBody::Deny { .. }
                | FloorBody::Queued { .. }
                | FloorBody::Revoke(_)
                | FloorBody::Ack { .. } => party.is_some() == is_peer,
            },
            Message::Affiliate(_) | Message::Deaffiliate(_) | Message::EmergencyEnd { party: None, .. } => false,
        };
        assert!(fits, "{message:?} for {}", known.who);
        if !matches!(message, Message::Hello(_) | Message::Refused(_)) {
            known.up = true;
        }
        if let Message::Floor(Floor { body: FloorBody::Granted(granted), .. }) = message {
            self.granted(session, granted.spurt);
        }
    }

    /// Syncs of peers that lie may drive one talker's number round the whole circle of epochs: its frames then begin anew.
    fn granted(&mut self, session: SessionId, spurt: Spurt) {
        let other_before = self.newest.insert(session, spurt).is_some_and(|newest| newest != spurt);
        let known = !self.grants.insert((session, spurt.to_bits()));
        if other_before && known {
            let round = self.ears.values_mut().filter(|ear| ear.heard == Some((spurt, session)));
            round.for_each(|ear| ear.frames.clear());
        }
    }

    fn voice(&mut self, fanout: &Fanout) {
        let Ok(Some(Datagram::Voice(voice))) = Datagram::decode(fanout.datagram.clone()) else { panic!("fan-out of no voice") };
        assert!(voice.repeats.is_empty(), "the hop before's repeats go no further");
        if let Some(bytes) = &fanout.repeating {
            let Ok(Some(Datagram::Voice(repeating))) = Datagram::decode(bytes.clone()) else { panic!("fan-out of no voice") };
            assert!(!repeating.repeats.is_empty());
            assert_eq!(Voice { repeats: Vec::new(), ..repeating }, voice, "the same frame, with and without repeats");
        }
        let Voice { handle, spurt, seq, tier, last, .. } = voice;
        assert_eq!(tier, fanout.tier, "the class follows the frame");
        assert!(fanout.to.iter().all(|to| self.open.get(to).is_some_and(|known| known.up)), "voice for a session that is gone");
        let source = fanout.except;
        let from = self.open.get(&source).unwrap_or_else(|| panic!("voice of {source:?}, which is not there"));
        if from.who.kind != Kind::Gateway {
            assert!(self.grants.contains(&(source, spurt.to_bits())), "{} is heard in {spurt} without a grant", from.who);
        }
        let ear = self.ears.entry(handle).or_default();
        match ear.heard {
            Some((heard, by)) if heard == spurt => assert_eq!(by, source, "two talkers in {spurt}"),
            before => {
                ear.silent.extend(before.map(|(heard, _)| heard.to_bits()));
                // The number of a home that lies may come round again; an own arbiter's never does.
                assert!(handle == FOLLOWS || !ear.silent.contains(&spurt.to_bits()), "{spurt} again, after {before:?}");
                (ear.heard, ear.frames) = (Some((spurt, source)), BTreeMap::new());
            }
        }
        let name = (source, spurt.to_bits(), seq.0);
        if last {
            self.lasts.insert(name);
        }
        // The last frame of a spurt is sent three times.
        let copies = if self.lasts.contains(&name) { 3 } else { 1 };
        for to in fanout.to.iter() {
            let left = ear.frames.entry((*to, seq.0)).or_insert(copies);
            assert!(*left > 0, "frame {} of {spurt} leaves again for {to:?}", seq.0);
            *left -= 1;
        }
    }

    pub(super) fn status(&self, status: &Status) {
        for talkgroup in &status.talkgroups {
            assert!(talkgroup.queue.len() <= QUEUE_MAX && talkgroup.emergency.len() <= EMERGENCIES_MAX);
            let Some((talker, ..)) = &talkgroup.talker else { continue };
            let present = |known: &Known| known.who == talker.identity || known.who.kind == Kind::Gateway;
            assert!(self.open.values().any(present), "{} talks and nobody brought it here", talker.identity);
        }
        assert_eq!(status.sessions.len(), self.open.values().filter(|known| known.up).count());
    }
}
