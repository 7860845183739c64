//! The unit's brain under a gateway that says anything in any order: it talks only under a grant, numbers its frames and
//! requests through, plays nothing twice, and is at rest when everything is over.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use engine::handset::{Event, Handset, Permit, Transmit};
use engine::jitter::Playout;
use engine::sched::line::Sound;
use wire::control::*;
use wire::datagram::{Datagram, Heartbeat, Repeat, Report, Voice};
use wire::{DenyCause, Handle, Identity, Level, Priority, Reason, RequestId, RevokeCause, Seq, Spurt, TalkgroupId, Tier};

use super::decoders::assert_reads_back;
use super::{Script, epoch, ms, trace};

const TALKGROUPS: [&str; 3] = ["nl/pol-1", "nl/fire-1", "be/lux-3"];

#[derive(Debug)]
enum Op {
    Connect,
    Disconnect,
    Message(Message),
    Datagram(Bytes),
    Press(usize, Priority, Permit),
    KeyUp(usize),
    Speak(usize, bool),
    EndEmergency(usize),
    Join(usize),
    Leave(usize),
    /// So many ticks of 20 ms with playout, timers when due.
    Ticks(usize),
    Pass(u64),
}

struct Bench {
    handset: Handset,
    now: Instant,
    /// Whether a connection exists.
    connected: bool,
    /// Newest request told to the user, per talkgroup.
    requests: [u32; 3],
    newest_request: u32,
    /// Grant in force as the user was told, and the next frame of it.
    granted: [Option<(Spurt, u16)>; 3],
    /// Copies that are left of a last frame, by spurt and frame.
    copies: BTreeMap<(u32, u16), u8>,
    /// Newest number that the gateway used, for scripts that play along.
    spurt: Spurt,
    seq: u16,
    /// What was said of its voice.
    missed: Report,
    played: [Option<(Spurt, u16)>; 3],
}

/// Drives a handset.
pub(crate) fn handset(data: &[u8]) {
    let mut script = Script::new(data);
    let mut bench = Bench {
        handset: Handset::new(TALKGROUPS[..2].iter().map(|id| talkgroup(id))),
        now: epoch(),
        connected: false,
        requests: [0; 3],
        newest_request: 0,
        granted: [None; 3],
        copies: BTreeMap::new(),
        spurt: Spurt::from_bits(0x0100_0000),
        seq: 0,
        missed: Report::default(),
        played: [None; 3],
    };
    while !script.is_over() {
        let op = bench.read(&mut script);
        trace(&op);
        bench.apply(op);
        bench.drain();
    }
    // The keys go up, the connection ends, time passes: nothing is left.
    (0..3).for_each(|group| bench.apply(Op::KeyUp(group)));
    bench.drain();
    bench.apply(Op::Disconnect);
    bench.drain();
    bench.apply(Op::Ticks(100));
    bench.drain();
    assert!(bench.handset.is_settled() && bench.handset.poll_timeout().is_none(), "at rest: {:?}", bench.handset.poll_timeout());
}

fn talkgroup(id: &str) -> TalkgroupId {
    id.parse().expect("a talkgroup")
}

fn somebody(script: &mut Script<'_>) -> Identity {
    script.pick(&["nl/unit/a", "nl/dispatcher/chief", "be/unit/c", "nl/gateway/gw-1"]).parse().expect("an identity")
}

fn tier(script: &mut Script<'_>) -> Tier {
    *script.pick(&Tier::ALL)
}

impl Bench {
    fn read(&mut self, script: &mut Script<'_>) -> Op {
        let group = |script: &mut Script<'_>| script.below(3);
        match script.byte() % 24 {
            0 => Op::Connect,
            1 => Op::Disconnect,
            2..=7 => Op::Message(self.message(script)),
            8..=10 => Op::Datagram(self.datagram(script)),
            11..=13 => {
                let priority = Priority { tier: tier(script), dispatcher: script.flag(), level: Level(script.byte()) };
                Op::Press(group(script), priority, if script.flag() { Permit::Tone } else { Permit::Instant })
            }
            14 | 15 => Op::KeyUp(group(script)),
            16 | 17 => Op::Speak(group(script), script.flag()),
            18 => Op::EndEmergency(group(script)),
            19 => Op::Join(group(script)),
            20 => Op::Leave(group(script)),
            21 | 22 => Op::Ticks(script.below(32) + 1),
            _ => Op::Pass(u64::from(script.byte()) * 25),
        }
    }

    fn spurt(&mut self, script: &mut Script<'_>) -> Spurt {
        let spurt = match script.byte() % 8 {
            0..=3 => self.spurt,
            4 | 5 => self.spurt.next(),
            6 => Spurt::from_bits(self.spurt.to_bits().wrapping_sub(1)),
            _ => Spurt::from_bits(script.long()),
        };
        if spurt != self.spurt {
            (self.spurt, self.seq) = (spurt, 0);
        }
        spurt
    }

    fn taken(&mut self, script: &mut Script<'_>) -> Taken {
        let talker = Talker { identity: somebody(script), alias: "A".into(), agency: "police".into() };
        let via = script.flag().then(|| "be".parse().expect("a code"));
        Taken { spurt: self.spurt(script), talker, tier: tier(script), via, elapsed_ms: script.word().into() }
    }

    fn message(&mut self, script: &mut Script<'_>) -> Message {
        let id = talkgroup(TALKGROUPS[script.below(TALKGROUPS.len())]);
        match script.byte() % 24 {
            0 => {
                Message::Welcome(Welcome { version: 1, capabilities: Vec::new(), gateway: "nl/gateway/gw-1".parse().expect("an identity") })
            }
            1 => Message::Refused(Reason::from_code(script.byte().into())),
            2 | 3 => Message::Affiliated(Box::new(Affiliated {
                handle: Handle(script.below(4).try_into().expect("small")),
                talkgroup: id,
                title: String::new(),
                agency: String::new(),
                rights: Rights::default(),
                baseline: self.spurt(script),
                current: script.flag().then(|| self.taken(script)),
                emergency: script.flag().then(|| somebody(script)),
                far_sides: Vec::new(),
            })),
            4 => Message::AffiliateRefused(id, Reason::from_code(script.byte().into())),
            5 => Message::EmergencyState { talkgroup: id, active: script.flag(), originator: somebody(script), units: Vec::new() },
            6 => Message::FarSide(FarSide { talkgroup: id, authority: "be".parse().expect("a code"), present: script.flag() }),
            // What no gateway sends to a unit.
            7 => Message::Affiliate(id),
            8 => Message::EmergencyEnd { talkgroup: id, party: None },
            9 => Message::Agreements(Vec::new()),
            10 => Message::EmergencyEndRefused { talkgroup: id, party: None, cause: DenyCause::from_code(script.byte().into()) },
            _ => Message::Floor(Floor { talkgroup: id, party: None, body: self.body(script) }),
        }
    }

    fn body(&mut self, script: &mut Script<'_>) -> FloorBody {
        let request = match script.byte() % 4 {
            0..=2 => RequestId(self.newest_request),
            _ => RequestId(script.byte().into()),
        };
        match script.byte() % 16 {
            0..=3 => FloorBody::Granted(Granted {
                request,
                spurt: self.spurt(script),
                duration_s: script.byte().into(),
                tier: tier(script),
                own_side_only: script.flag(),
            }),
            4 => FloorBody::Deny { request, cause: DenyCause::from_code(script.byte().into()) },
            5 => FloorBody::Queued { request, position: script.byte() },
            6..=8 => FloorBody::Taken(self.taken(script)),
            9 | 10 => {
                let last_seq = script.flag().then(|| Seq(script.byte().into()));
                let cause = script.flag().then(|| RevokeCause::from_code(script.byte().into()));
                FloorBody::Idle(Idle { spurt: self.spurt(script), last_seq, cause, followed: script.flag() })
            }
            11 | 12 => {
                let grace_ms = if script.flag() { u32::from(script.byte()) * 4 } else { script.long() };
                let cause = RevokeCause::from_code(script.byte().into());
                FloorBody::Revoke(Revoke { request, spurt: self.spurt(script), cause, grace_ms })
            }
            13 => FloorBody::Ack { request },
            14 => FloorBody::Release(Release { request, last_seq: None, key_down: false }),
            _ => FloorBody::Request(Request { request, priority: Priority::default(), talker: None, continuing: None }),
        }
    }

    /// More frames and more of them lost than before, as far as the script goes.
    fn report(&mut self, frames: u32, lost: u32) -> Datagram {
        self.missed = Report { frames: self.missed.frames + frames, lost: self.missed.lost + lost, runs: self.missed.runs + lost / 2 };
        Datagram::Report(self.missed)
    }

    /// The frame before, as it was or would have been.
    fn repeats(&self, spurt: Spurt, seq: Seq) -> Vec<Repeat> {
        let payload = [&spurt.to_bits().to_be_bytes()[..], &(seq.0 - 1).to_be_bytes()].concat();
        vec![Repeat { back: 1, payload: payload.into() }]
    }

    fn datagram(&mut self, script: &mut Script<'_>) -> Bytes {
        match script.byte() % 8 {
            0 => {
                let (seq, echo) = (script.byte().into(), script.byte().into());
                // One in four says what of this unit's voice was lost.
                if seq % 4 == 3 { self.report(seq, echo).encode() } else { Datagram::Heartbeat(Heartbeat { seq, echo }).encode() }
            }
            1 => Bytes::copy_from_slice(script.bytes(40)),
            _ => {
                let spurt = self.spurt(script);
                let shape = script.byte();
                let seq = if shape & 0x80 == 0 { Seq(self.seq) } else { Seq(script.word()) };
                self.seq = seq.next().0;
                let payload = [&spurt.to_bits().to_be_bytes()[..], &seq.0.to_be_bytes()].concat();
                Voice {
                    handle: Handle(script.below(4).try_into().expect("small")),
                    spurt,
                    seq,
                    first: seq == Seq(0),
                    last: shape & 1 != 0,
                    tier: tier(script),
                    encrypted: shape & 2 != 0,
                    repeats: if shape & 0x40 != 0 && seq.0 > 0 { self.repeats(spurt, seq) } else { Vec::new() },
                    payload: if shape & 4 != 0 { Bytes::new() } else { payload.into() },
                }
                .encode()
            }
        }
    }

    fn apply(&mut self, op: Op) {
        let (now, id) = (self.now, |group: usize| talkgroup(TALKGROUPS[group]));
        match op {
            Op::Connect if !self.connected => {
                self.connected = true;
                self.handset.handle_connected("nl/gateway/gw-1".parse().expect("an identity"));
            }
            Op::Disconnect if self.connected => {
                self.connected = false;
                self.handset.handle_disconnected(now);
                assert!(self.handset.poll_transmit().is_none(), "nothing is sent into a connection that is gone");
            }
            Op::Message(message) if self.connected => self.handset.handle_message(message, now),
            Op::Datagram(bytes) if self.connected => self.handset.handle_datagram(bytes, now),
            // A driver hands on nothing of a connection that does not exist.
            Op::Connect | Op::Disconnect | Op::Message(_) | Op::Datagram(_) => {}
            Op::Press(group, priority, permit) => {
                let pressed = self.handset.press(&id(group), priority, permit, now);
                assert!(pressed.is_err() || self.connected, "a press without a session");
            }
            Op::KeyUp(group) => self.handset.key_up(&id(group), now),
            Op::Speak(group, sound) => self.handset.speak(&id(group), sound.then(|| Bytes::from_static(b"opus"))),
            Op::EndEmergency(group) if self.connected => self.handset.end_emergency(&id(group)),
            Op::EndEmergency(_) => {}
            Op::Join(group) => self.handset.join(id(group)),
            Op::Leave(group) => {
                self.handset.leave(&id(group));
                (self.granted[group], self.played[group]) = (None, None);
            }
            Op::Ticks(ticks) => {
                for _ in 0..ticks {
                    self.now += ms(20);
                    self.timers();
                    for (group, id) in TALKGROUPS.iter().enumerate() {
                        let playout = self.handset.playout(&talkgroup(id), self.now);
                        self.drain();
                        self.hear(group, playout);
                    }
                }
            }
            Op::Pass(millis) => {
                self.now += ms(millis);
                self.timers();
            }
        }
    }

    fn timers(&mut self) {
        if self.handset.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            self.handset.handle_timeout(self.now);
            // A late driver may owe more than one round, but each moves on.
            for _ in 0..8 {
                if self.handset.poll_timeout().is_none_or(|(at, _)| at > self.now) {
                    return;
                }
                self.handset.handle_timeout(self.now);
            }
            panic!("a deadline that stays due: {:?}", self.handset.poll_timeout());
        }
    }

    fn hear(&mut self, group: usize, playout: Option<Playout>) {
        let frames = match playout {
            Some(Playout::Frame(payload)) => vec![payload],
            Some(Playout::Stretch { frames, .. }) => frames,
            Some(Playout::Fec { .. } | Playout::Conceal | Playout::Silence | Playout::End(_)) | None => Vec::new(),
        };
        for payload in frames {
            let Ok(bytes) = <[u8; 6]>::try_from(&payload[..]) else { continue };
            let [a, b, c, d, e, f] = bytes;
            let (spurt, seq) = (Spurt::from_bits(u32::from_be_bytes([a, b, c, d])), u16::from_be_bytes([e, f]));
            if let Some((before, newest)) = self.played[group] {
                assert!(before != spurt || seq > newest, "{spurt} {seq} is played after {newest}");
            }
            self.played[group] = Some((spurt, seq));
        }
    }

    fn group(id: &TalkgroupId) -> Option<usize> {
        TALKGROUPS.iter().position(|name| *name == id.to_string())
    }

    fn drain(&mut self) {
        // What the user hears of comes first: a frame never precedes its grant.
        while let Some(event) = self.handset.poll_event() {
            self.told(&event);
        }
        while let Some(transmit) = self.handset.poll_transmit() {
            assert!(self.connected, "{transmit:?} without a connection");
            match transmit {
                Transmit::Control(message) => self.sent(&message),
                Transmit::Voice(sound) => self.spoke(&sound),
                Transmit::Datagram(bytes) => {
                    let Ok(Some(datagram)) = Datagram::decode(bytes) else { panic!("a datagram that is none") };
                    match datagram {
                        Datagram::Heartbeat(_) | Datagram::Report(_) => {}
                        Datagram::Emergency(message) => {
                            let Message::Floor(Floor { body: FloorBody::Request(request), .. }) = *message else { panic!("no request") };
                            assert_eq!(request.priority.tier, Tier::Emergency);
                        }
                        Datagram::Voice(_) => panic!("voice in the control class"),
                    }
                }
            }
        }
    }

    fn told(&mut self, event: &Event) {
        match event {
            Event::Requested(id, request) => {
                assert!(request.0 > self.newest_request, "request numbers rise");
                self.newest_request = request.0;
                if let Some(group) = Self::group(id) {
                    self.requests[group] = request.0;
                    self.granted[group] = None;
                }
            }
            Event::Granted(id, granted) => {
                let Some(group) = Self::group(id) else { return };
                assert_eq!(granted.request.0, self.requests[group], "a grant for an older press");
                if self.granted[group].is_none_or(|(spurt, _)| spurt != granted.spurt) {
                    self.granted[group] = Some((granted.spurt, 0));
                }
            }
            Event::Affiliated(affiliated) => {
                if let Some(group) = Self::group(&affiliated.talkgroup) {
                    self.played[group] = None;
                }
            }
            Event::Denied(..)
            | Event::Queued(..)
            | Event::Revoked(..)
            | Event::Released(..)
            | Event::Connected(_)
            | Event::Refused(_)
            | Event::AffiliateRefused(..)
            | Event::Taken(..)
            | Event::FirstAudio(..)
            | Event::Interrupted(..)
            | Event::Idle(..)
            | Event::Emergency(..)
            | Event::EmergencyEndRefused(..)
            | Event::FarSide(_)
            | Event::GatewayLost => {}
        }
    }

    fn sent(&self, message: &Message) {
        assert_reads_back(message);
        let fits = match message {
            Message::Hello(_) | Message::Affiliate(_) | Message::Deaffiliate(_) | Message::EmergencyEnd { party: None, .. } => true,
            Message::Floor(Floor { party: None, body: FloorBody::Request(request), .. }) => {
                request.request.0 <= self.newest_request && request.talker.is_none() && request.continuing.is_none()
            }
            Message::Floor(Floor { party, body, .. }) => party.is_none() && matches!(body, FloorBody::Release(_)),
            Message::Welcome(_)
            | Message::Refused(_)
            | Message::Affiliated(_)
            | Message::AffiliateRefused(..)
            | Message::EmergencyEnd { .. }
            | Message::EmergencyState { .. }
            | Message::EmergencyEndRefused { .. }
            | Message::FarSide(_)
            | Message::Agreements(_)
            | Message::Sync(_) => false,
        };
        assert!(fits, "a unit never says {message:?}");
    }

    fn spoke(&mut self, sound: &Sound) {
        let Ok(Some(Datagram::Voice(voice))) = Datagram::decode(sound.datagram.clone()) else { panic!("no voice frame") };
        assert_eq!(voice.tier, sound.tier, "the class follows the frame");
        assert!(voice.repeats.is_empty());
        if let Some(bytes) = &sound.repeating {
            let Ok(Some(Datagram::Voice(repeating))) = Datagram::decode(bytes.clone()) else { panic!("no voice frame") };
            assert!(!repeating.repeats.is_empty());
            assert_eq!(Voice { repeats: Vec::new(), ..repeating }, voice, "the same frame, with and without repeats");
        }
        let key = (voice.spurt.to_bits(), voice.seq.0);
        let granted = self.granted.iter_mut().flatten().find(|(spurt, next)| (spurt.to_bits(), *next) == key);
        match (granted, self.copies.get_mut(&key)) {
            (Some((_, next)), _) => {
                *next = voice.seq.0 + 1;
                if voice.last {
                    self.copies.insert(key, 2);
                }
            }
            // The last frame is sent three times, even while the next spurt is asked for.
            (None, Some(left)) if *left > 0 && voice.last => *left -= 1,
            (None, _) => panic!("frame {} of {} is sent without a grant or out of turn", voice.seq.0, voice.spurt),
        }
    }
}
