//! A talker, one or two gateways and a listener, by their decisions alone, in virtual time: datagrams of each hop are lost as asked for,
//! control messages are not. Repeats are as the reports of a hop call for, or pinned.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::handset::{Event, Handset, Permit, Transmit};
use engine::hub::{Caller, Hub, Output};
use engine::jitter::{self, Playout};
use engine::plan::{self, Plan, Timers};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use testkit::link::Burst;
use wire::control::{Ceiling, Inbound, Message, Outbound};
use wire::datagram::{Datagram, Report};
use wire::{Epoch, Identity, Level, Priority, SessionId, Spurt, TalkgroupId, Tier};

/// Of one hop, one way.
const DELAY: Duration = Duration::from_millis(20);
/// What a packet may take longer; they keep their order.
const JITTER_US: u64 = 5_000;
pub(crate) const FRAME: Duration = Duration::from_millis(20);
/// The ticks of the listener against the frames of the talker.
const PHASE: Duration = Duration::from_millis(7);
/// What is still under way after a spurt, and waits in the jitter buffer.
const TAIL: Duration = Duration::from_millis(1_500);

const COUNTRIES: [(&str, &str); 2] = [("nl", "nl/pol-1"), ("be", "be/lux-3")];

/// How datagrams of a hop are lost, in either direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Loss {
    /// Each with this probability.
    Independent(f64),
    /// This share, three in a row on average.
    Bursts(f64),
}

/// How many earlier frames are repeated on a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// As its reports call for.
    Reported,
    /// So many, whatever is lost.
    Pinned(u32),
}

/// One hop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    pub(crate) loss: Loss,
    pub(crate) repeats: Repeats,
}

impl Hop {
    pub(crate) fn clean() -> Self {
        Self { loss: Loss::Independent(0.0), repeats: Repeats::Pinned(0) }
    }
}

/// What came of what was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) spoken: usize,
    pub(crate) in_time: usize,
    pub(crate) stats: jitter::Stats,
}

impl Outcome {
    pub(crate) fn percent(&self) -> f64 {
        let [in_time, spoken] = [self.in_time, self.spoken].map(|count| f64::from(u32::try_from(count).expect("few")));
        in_time * 100.0 / spoken
    }
}

enum Packet {
    Control(Box<Message>),
    Datagram(Bytes),
}

/// One direction of a hop.
#[derive(Clone, Copy)]
struct Way {
    bad: bool,
    last: Instant,
}

/// Everybody in a row: the talker is node 0, then gateways, the listener is the last. Hop `h` joins nodes `h` and `h + 1`.
pub(crate) struct Chain {
    start: Instant,
    now: Instant,
    rng: SmallRng,
    mouth: Handset,
    ear: Handset,
    gateways: Vec<Hub>,
    hops: Vec<Hop>,
    ways: Vec<[Way; 2]>,
    flying: BTreeMap<(Instant, u64), (usize, usize, Packet)>,
    sent: u64,
    next_tick: Instant,
    /// What the listener was given to play, with its tick and spurt.
    pub(crate) heard: Vec<(Instant, Option<Spurt>, Playout)>,
}

impl Chain {
    /// Everybody is connected and has joined, and no hop has lost anything yet.
    pub(crate) fn new(hops: &[Hop], seed: u64) -> Self {
        // No epoch but virtual time's: nothing compares it with a clock.
        let start = tokio::time::Instant::now().into_std();
        let gateways = hops.len() - 1;
        let unit = |place: usize| Handset::new([talkgroup(place)]);
        let way = Way { bad: false, last: start };
        let mut chain = Self {
            start,
            now: start,
            rng: SmallRng::seed_from_u64(seed),
            mouth: unit(0),
            ear: unit(gateways - 1),
            gateways: (0..gateways).map(|place| Hub::new(plan(place, gateways), Epoch(1), 0, start)).collect(),
            hops: vec![Hop::clean(); hops.len()],
            ways: vec![[way; 2]; hops.len()],
            flying: BTreeMap::new(),
            sent: 0,
            next_tick: start + PHASE,
            heard: Vec::new(),
        };
        for hop in 0..hops.len() {
            chain.connect(hop);
        }
        chain.run_until(start + Duration::from_secs(1));
        chain.hops = hops.to_vec();
        for (hop, asked) in hops.iter().enumerate() {
            let lost = match asked.repeats {
                Repeats::Reported | Repeats::Pinned(0) => 0,
                Repeats::Pinned(1) => 20,
                Repeats::Pinned(_) => 100,
            };
            let runs = if matches!(asked.loss, Loss::Bursts(_)) { lost / 3 } else { lost };
            // What the sender would hear of such losses; it hears of no others.
            if lost > 0 {
                chain.hand(hop, hop, Packet::Datagram(Datagram::Report(Report { frames: 1_000, lost, runs }).encode()));
            }
        }
        chain
    }

    fn connect(&mut self, hop: usize) {
        let last = self.hops.len() - 1;
        let now = self.now;
        let session = SessionId(hop as u64 + 1);
        let caller = |identity: Identity| Caller { identity, alias: "somebody".into(), agency: "police".into() };
        let unit = |place: usize, name: &str| caller(format!("{}/unit/{name}", COUNTRIES[place].0).parse().expect("an identity"));
        if hop == 0 {
            self.gateways[0].handle_connected(session, unit(0, "talker"), false, now);
            self.mouth.handle_connected(gateway(0));
        } else if hop == last {
            let place = self.gateways.len() - 1;
            self.gateways[place].handle_connected(session, unit(place, "listener"), false, now);
            self.ear.handle_connected(gateway(place));
        } else {
            self.gateways[hop].handle_connected(session, caller(gateway(hop - 1)), false, now);
            self.gateways[hop - 1].handle_connected(session, caller(gateway(hop)), true, now);
        }
        (0..=last + 1).for_each(|node| self.drain(node));
    }

    /// Says these payloads, one every 20 ms, as one spurt, and waits for its tail.
    pub(crate) fn say(&mut self, payloads: impl Iterator<Item = Bytes>) {
        let talkgroup = talkgroup(0);
        self.mouth.press(&talkgroup, Priority::default(), Permit::Tone, self.now).expect("joined");
        self.drain(0);
        while !std::iter::from_fn(|| self.mouth.poll_event()).any(|event| matches!(event, Event::Granted(..))) {
            self.run_until(self.now + Duration::from_millis(5));
            assert!(self.now < self.start + Duration::from_secs(1_000_000), "no grant");
        }
        let mut at = self.now;
        for payload in payloads {
            at += FRAME;
            self.run_until(at);
            self.mouth.speak(&talkgroup, Some(payload));
            self.drain(0);
        }
        self.mouth.key_up(&talkgroup, self.now);
        self.drain(0);
        self.run_until(self.now + TAIL);
    }

    /// Virtual time.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Counters of the listener.
    pub(crate) fn stats(&self) -> jitter::Stats {
        self.ear.jitter_stats(&talkgroup(self.gateways.len() - 1)).expect("joined")
    }

    /// A packet leaves a node over a hop, and is lost or comes after all that left before it.
    fn send(&mut self, hop: usize, from: usize, packet: Packet) {
        let (out, to) = if from == hop { (0, hop + 1) } else { (1, hop) };
        let Hop { loss, repeats } = self.hops[hop];
        if let Packet::Datagram(bytes) = &packet {
            let is_report = matches!(Datagram::decode(bytes.clone()), Ok(Some(Datagram::Report(_))));
            if is_report && repeats != Repeats::Reported || self.loses(hop, out, loss) {
                return;
            }
        }
        let way = &mut self.ways[hop][out];
        way.last = way.last.max(self.now + DELAY + Duration::from_micros(self.rng.random_range(0..=JITTER_US)));
        self.sent += 1;
        self.flying.insert((way.last, self.sent), (hop, to, packet));
    }

    fn loses(&mut self, hop: usize, out: usize, loss: Loss) -> bool {
        match loss {
            Loss::Independent(share) => self.rng.random_bool(share),
            Loss::Bursts(share) => {
                let Burst { enter, leave, .. } = Burst::losing(share, 3.0);
                let way = &mut self.ways[hop][out];
                way.bad = if way.bad { !self.rng.random_bool(leave) } else { self.rng.random_bool(enter) };
                way.bad
            }
        }
    }

    /// Everything that is due by then, in its order.
    fn run_until(&mut self, until: Instant) {
        loop {
            let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
            let timers = (0..=self.hops.len()).filter_map(|node| self.timeout(node)).min();
            let next = [arrival, timers, Some(self.next_tick)].into_iter().flatten().min().expect("a tick");
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let (_, (hop, node, packet)) = self.flying.pop_first().expect("it arrives");
                self.hand(hop, node, packet);
            } else if next == self.next_tick {
                self.next_tick += FRAME;
                let place = talkgroup(self.gateways.len() - 1);
                if let Some(playout) = self.ear.playout(&place, self.now) {
                    self.heard.push((self.now, self.ear.playing(&place), playout));
                }
            } else {
                for node in 0..=self.hops.len() {
                    if self.timeout(node).is_some_and(|at| at <= self.now) {
                        let now = self.now;
                        self.unit(node).map_or_else(|hub| hub.handle_timeout(now), |unit| unit.handle_timeout(now));
                        self.drain(node);
                    }
                }
            }
        }
    }

    /// The gateway at a node, as an error, or the unit.
    fn unit(&mut self, node: usize) -> Result<&mut Handset, &mut Hub> {
        match node {
            0 => Ok(&mut self.mouth),
            last if last == self.hops.len() => Ok(&mut self.ear),
            gateway => Err(&mut self.gateways[gateway - 1]),
        }
    }

    fn timeout(&self, node: usize) -> Option<Instant> {
        match node {
            0 => self.mouth.poll_timeout(),
            last if last == self.hops.len() => self.ear.poll_timeout(),
            gateway => self.gateways[gateway - 1].poll_timeout(),
        }
        .map(|(at, _)| at)
    }

    /// A packet of a hop reaches a node.
    fn hand(&mut self, hop: usize, node: usize, packet: Packet) {
        let (now, session) = (self.now, SessionId(hop as u64 + 1));
        match (self.unit(node), packet) {
            (Ok(unit), Packet::Control(message)) => unit.handle_message(*message, now),
            (Ok(unit), Packet::Datagram(bytes)) => unit.handle_datagram(bytes, now),
            (Err(hub), Packet::Control(message)) => hub.handle_message(session, *message, now),
            (Err(hub), Packet::Datagram(bytes)) => hub.handle_datagram(session, bytes, now),
        }
        self.drain(node);
    }

    /// Sends what a node wants sent.
    fn drain(&mut self, node: usize) {
        let last = self.hops.len();
        let of_unit = if node == last { last - 1 } else { 0 };
        let mut packets = Vec::new();
        match self.unit(node) {
            Ok(unit) => {
                packets.extend(std::iter::from_fn(|| unit.poll_transmit()).map(|transmit| {
                    let packet = match transmit {
                        Transmit::Control(message) => Packet::Control(Box::new(message)),
                        Transmit::Voice(sound) => Packet::Datagram(sound.repeating.unwrap_or(sound.datagram)),
                        Transmit::Datagram(bytes) => Packet::Datagram(bytes),
                    };
                    (of_unit, packet)
                }));
                if node == last {
                    while unit.poll_event().is_some() {}
                }
            }
            Err(hub) => {
                let hop_of = |session: SessionId| usize::try_from(session.0 - 1).expect("few");
                while let Some(output) = hub.poll_output() {
                    match output {
                        Output::Control(session, message) => packets.push((hop_of(session), Packet::Control(Box::new(message)))),
                        Output::Datagram(session, bytes) => packets.push((hop_of(session), Packet::Datagram(bytes))),
                        Output::Voice(fanout) => {
                            let bytes = fanout.repeating.unwrap_or(fanout.datagram);
                            let to = fanout.to.iter().filter(|to| **to != fanout.except);
                            packets.extend(to.map(|to| (hop_of(*to), Packet::Datagram(bytes.clone()))));
                        }
                        Output::Close(session, reason) => panic!("{session:?} ends: {reason}"),
                    }
                }
                while hub.poll_event().is_some() {}
            }
        }
        for (hop, packet) in packets {
            self.send(hop, node, packet);
        }
    }
}

fn gateway(place: usize) -> Identity {
    format!("{}/gateway/gw-1", COUNTRIES[place].0).parse().expect("an identity")
}

pub(crate) fn talkgroup(place: usize) -> TalkgroupId {
    COUNTRIES[place].1.parse().expect("a talkgroup")
}

/// One side of a bridge, or a gateway alone; spurts may last as long as they like.
fn plan(place: usize, gateways: usize) -> Plan {
    let (authority, _) = COUNTRIES[place];
    let far = COUNTRIES[1 - place].0;
    let own = vec![format!("{authority}/*/*").parse().expect("a pattern")];
    let bridge = plan::Bridge {
        agreement: "EMR-2026-01".into(),
        home: talkgroup(0),
        partner: talkgroup(1),
        inbound: Inbound {
            talk: true,
            short_data: false,
            emergency: true,
            ceiling: Ceiling { tier: Tier::Emergency, level: Level(64), dispatcher: false },
        },
        outbound: Outbound { talk: true, short_data: false, emergency: true },
        onward: Vec::new(),
        valid: None,
    };
    let peer = plan::Peer { authority: far.parse().expect("an authority"), name: "gw-1".parse().expect("a name"), rate_kbps: 512 };
    Plan {
        gateway: gateway(place),
        standby: false,
        talkgroups: vec![plan::Talkgroup {
            id: talkgroup(place),
            title: "Police".into(),
            agency: "police".into(),
            join: own.clone(),
            talk: own.clone(),
            emergency: own.clone(),
            peril: own,
            level_max: Level(64),
            timers: Timers { t2: Duration::from_secs(3_600), ..Timers::default() },
        }],
        peers: if gateways > 1 { vec![peer] } else { Vec::new() },
        bridges: if gateways > 1 { vec![bridge] } else { Vec::new() },
        unit_rate_kbps: 128,
    }
}
