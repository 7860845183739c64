//! Any message and datagram of a session: fields from a small vocabulary, mostly such that they mean something to the hub.

use bytes::Bytes;
use wire::control::*;
use wire::datagram::{Datagram, Heartbeat, Repeat, Report, Voice};
use wire::{DenyCause, Epoch, Handle, Identity, Level, Priority, Reason, RequestId, RevokeCause, Seq, Spurt, TalkgroupId, Tier};

use super::{Bench, CALLERS, Session, plan, request};
use crate::bodies::Script;

/// Those of the plan, then the far sides' and one that nobody has.
pub(super) const TALKGROUPS: [&str; 6] = ["nl/pol-1", "nl/fire-1", "nl/amb-1", "be/fire-9", "be/lux-3", "xx/none"];

fn talkgroup(script: &mut Script<'_>) -> TalkgroupId {
    let place = script.byte();
    // Half of all is about the talkgroup with the most bridges.
    TALKGROUPS[if place & 1 == 0 { 0 } else { usize::from(place >> 1) % TALKGROUPS.len() }].parse().expect("a talkgroup")
}

fn identity(script: &mut Script<'_>) -> Identity {
    let names = ["be/unit/x", "be/unit/y", "be/dispatcher/boss", "de/unit/z", "fr/unit/q"];
    let place = script.byte();
    let name = if place & 1 == 0 { names[usize::from(place >> 1) % names.len()] } else { CALLERS[usize::from(place >> 1) % CALLERS.len()] };
    name.parse().expect("an identity")
}

fn tier(script: &mut Script<'_>) -> Tier {
    *script.pick(&[Tier::Normal, Tier::Normal, Tier::Peril, Tier::Emergency])
}

fn priority(script: &mut Script<'_>) -> Priority {
    Priority { tier: tier(script), dispatcher: script.flag(), level: Level(script.byte()) }
}

fn talker(identity: Identity) -> Talker {
    Talker { alias: format!("alias of {identity}"), agency: "police".into(), identity }
}

fn seq(script: &mut Script<'_>) -> Option<Seq> {
    script.flag().then(|| Seq(script.byte().into()))
}

/// The newest spurt that the session knows of, one near it, or any.
fn spurt(session: Option<&Session>, script: &mut Script<'_>) -> Spurt {
    let granted = session.and_then(|session| session.granted.map(|(spurt, _)| spurt));
    let synced = session.and_then(|session| session.synced.as_ref().map(|sync| Spurt::start_of(sync.epoch)));
    let known = granted.or(synced).unwrap_or_else(|| Spurt::start_of(Epoch(7)).next());
    match script.byte() % 8 {
        0..=3 => known,
        4 | 5 => known.next(),
        6 => Spurt::from_bits(known.to_bits().wrapping_sub(1)),
        _ => Spurt::from_bits(script.long()),
    }
}

fn agreements(script: &mut Script<'_>) -> Vec<Agreement> {
    let mut words: Vec<Agreement> = plan(script.byte() & 7).bridges.iter().map(engine::plan::Bridge::words).collect();
    match script.byte() % 6 {
        0 => words.clear(),
        1 => words.truncate(1),
        2 => words.iter_mut().for_each(|words| words.onward.clear()),
        3 => words.iter_mut().for_each(|words| words.partner = "be/other".parse().expect("a talkgroup")),
        _ => {}
    }
    words
}

fn sync(script: &mut Script<'_>) -> Sync {
    let holder = script.flag().then(|| Holder {
        request: RequestId(script.byte().into()),
        priority: priority(script),
        talker: talker(identity(script)),
        elapsed_ms: script.word().into(),
    });
    let emergency = script.flag().then(|| identity(script)).into_iter().collect();
    Sync { talkgroup: talkgroup(script), handle: Handle((script.byte() & 3).into()), epoch: Epoch(script.byte()), holder, emergency }
}

impl Bench {
    fn speaker(&mut self, session: usize) -> Option<&mut Session> {
        let count = self.sessions.len();
        (count > 0).then(|| &mut self.sessions[session % count])
    }

    pub(super) fn message(&mut self, session: usize, script: &mut Script<'_>) -> Message {
        let gateway = |script: &mut Script<'_>| CALLERS[script.below(3)].parse().expect("an identity");
        match script.byte() % 32 {
            0 => Message::Hello(Hello {
                version_min: u32::from(script.byte() & 3),
                version_max: script.byte().into(),
                capabilities: vec![1],
            }),
            1 => Message::Welcome(Welcome { version: 1, capabilities: Vec::new(), gateway: gateway(script) }),
            2 => Message::Refused(Reason::from_code(script.byte().into())),
            3 | 4 => Message::Affiliate(talkgroup(script)),
            5 => Message::Deaffiliate(talkgroup(script)),
            6 => Message::EmergencyEnd { talkgroup: talkgroup(script), party: script.flag().then(|| identity(script)) },
            7 => Message::EmergencyState {
                talkgroup: talkgroup(script),
                active: script.flag(),
                originator: identity(script),
                units: Vec::new(),
            },
            8 => Message::Agreements(agreements(script)),
            9 | 10 => Message::Sync(Box::new(sync(script))),
            11 => Message::AffiliateRefused(talkgroup(script), Reason::Other),
            12 => {
                Message::FarSide(FarSide { talkgroup: talkgroup(script), authority: "be".parse().expect("a code"), present: script.flag() })
            }
            13 => {
                let (talkgroup, party) = (talkgroup(script), script.flag().then(|| identity(script)));
                Message::EmergencyEndRefused { talkgroup, party, cause: DenyCause::EmergencyEndNotAllowed }
            }
            _ => {
                let body = self.body(session, script);
                let is_peer = self.speaker(session).is_some_and(|speaker| speaker.who.kind == wire::Kind::Gateway);
                let named =
                    if let FloorBody::Request(Request { talker: Some(talker), .. }) = &body { Some(&talker.identity) } else { None };
                let named = named.filter(|_| script.byte() < 250).cloned();
                let party = (is_peer != (script.byte() > 250)).then(|| named.unwrap_or_else(|| identity(script)));
                Message::Floor(Floor { talkgroup: talkgroup(script), party, body })
            }
        }
    }

    fn body(&mut self, session: usize, script: &mut Script<'_>) -> FloorBody {
        let kind = script.byte() % 32;
        let fresh = kind < 10 && script.flag();
        let id = match script.byte() % 8 {
            7 => RequestId(script.byte().into()),
            _ => request(self.speaker(session), fresh),
        };
        let speaker = self.speaker(session);
        let is_peer = speaker.as_ref().is_some_and(|speaker| speaker.who.kind == wire::Kind::Gateway);
        let spurt = |script: &mut Script<'_>| spurt(speaker.as_deref(), script);
        match kind {
            0..=9 => {
                let talker = (is_peer != (script.byte() > 250)).then(|| talker(identity(script)));
                FloorBody::Request(Request {
                    request: id,
                    priority: priority(script),
                    talker,
                    continuing: (script.byte() > 200).then_some(500),
                })
            }
            10..=16 => FloorBody::Release(Release { request: id, last_seq: seq(script), key_down: script.flag() }),
            17..=19 => FloorBody::Granted(Granted {
                request: id,
                spurt: spurt(script),
                duration_s: 30,
                tier: tier(script),
                own_side_only: script.flag(),
            }),
            20 | 21 => FloorBody::Deny { request: id, cause: DenyCause::from_code((script.byte() & 31).into()) },
            22 => FloorBody::Queued { request: id, position: script.byte() },
            23..=25 => FloorBody::Taken(Taken {
                spurt: spurt(script),
                talker: talker(identity(script)),
                tier: tier(script),
                via: None,
                elapsed_ms: script.word().into(),
            }),
            26 | 27 => {
                let cause = script.flag().then(|| RevokeCause::from_code((script.byte() & 31).into()));
                FloorBody::Idle(Idle { spurt: spurt(script), last_seq: seq(script), cause, followed: script.flag() })
            }
            28..=30 => {
                let cause = RevokeCause::from_code((script.byte() & 31).into());
                FloorBody::Revoke(Revoke { request: id, spurt: spurt(script), cause, grace_ms: if script.flag() { 500 } else { 0 } })
            }
            _ => FloorBody::Ack { request: id },
        }
    }

    pub(super) fn datagram(&mut self, session: usize, script: &mut Script<'_>) -> Bytes {
        match script.byte() % 16 {
            0 => {
                let (seq, echo): (u32, u32) = (script.byte().into(), script.byte().into());
                // One in four says that so much of this gateway's voice was lost.
                let report = Report { frames: 40 * (seq + echo), lost: 10 * echo, runs: 4 * echo };
                if seq % 4 == 3 { Datagram::Report(report).encode() } else { Datagram::Heartbeat(Heartbeat { seq, echo }).encode() }
            }
            1 => Bytes::copy_from_slice(script.bytes(60)),
            2 | 3 => {
                let body = self.body(session, script);
                let message = Message::Floor(Floor { talkgroup: talkgroup(script), party: None, body });
                Datagram::Emergency(Box::new(message)).encode()
            }
            _ => self.voice(session, script),
        }
    }

    /// A frame: the next of the session's grant, or one that lies in number, tier or talkgroup.
    fn voice(&mut self, session: usize, script: &mut Script<'_>) -> Bytes {
        let shape = script.byte();
        let Some(speaker) = self.speaker(session) else { return Bytes::new() };
        let handle = speaker.joined.as_ref().map_or(Handle(1), |joined| joined.handle);
        let handle = if shape & 1 != 0 { Handle(u16::from(script.byte() & 3) + 1) } else { handle };
        let (spurt, next) = match (&mut speaker.granted, shape & 2 != 0) {
            (Some((granted, next)), false) => {
                *next += 1;
                (*granted, *next - 1)
            }
            (_, _) => (spurt(Some(speaker), script), script.byte().into()),
        };
        let seq = Seq(if shape & 4 != 0 { script.byte().into() } else { next });
        let repeats =
            if shape & 64 != 0 && seq.0 > 0 { vec![Repeat { back: 1, payload: Bytes::from_static(b"before") }] } else { Vec::new() };
        Voice {
            handle,
            spurt,
            seq,
            first: seq.0 == 0,
            last: shape & 8 != 0,
            tier: if shape & 32 != 0 { tier(script) } else { Tier::Normal },
            encrypted: false,
            repeats,
            payload: if shape & 16 != 0 { Bytes::new() } else { Bytes::from_static(b"opus") },
        }
        .encode()
    }
}
