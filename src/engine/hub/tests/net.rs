//! Two hubs and their units in one process: in-memory FIFO queues instead of QUIC, virtual time, and the invariants of voice
//! checked on every frame that leaves a hub or reaches an ear.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use wire::control::{Floor, FloorBody, Message, Request, Talker};
use wire::datagram::{Datagram, Voice};
use wire::{Epoch, Identity, Level, Priority, Reason, RequestId, SessionId, Spurt, TalkgroupId, Tier};

use super::unit::{Unit, epoch, ms};
use crate::handset::Transmit;
use crate::hub::{Caller, Event, Hub, Output};
use crate::plan::Plan;
use crate::sched::line::Sound;

/// Where a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Hub(usize),
    Unit(usize),
}

/// What flies.
#[derive(Debug)]
enum Packet {
    Control(Message),
    Close(Reason),
    Datagram(Bytes),
}

/// One connection: per direction a FIFO of control messages and one of datagrams.
#[derive(Debug)]
struct Conn {
    session: SessionId,
    ends: [End; 2],
    /// An end that closed hears nothing any more.
    closed: [bool; 2],
    control: [VecDeque<Packet>; 2],
    datagrams: [VecDeque<Packet>; 2],
    cut: bool,
}

/// What leaves a hub by voice: which unit under which spurt.
#[derive(Debug, Default)]
struct Heard {
    newest: Option<Spurt>,
    talkers: BTreeMap<u32, Identity>,
}

pub(super) const NL: usize = 0;
pub(super) const BE: usize = 1;

/// The bench.
pub(super) struct Net {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) hubs: Vec<Hub>,
    pub(super) plans: Vec<Plan>,
    pub(super) events: [Vec<Event>; 2],
    pub(super) units: Vec<Unit>,
    conns: Vec<Conn>,
    next_session: u64,
    heard: BTreeMap<(usize, u16), Heard>,
    /// Hub, handle and level of every frame fanned out.
    pub(super) levels: Vec<(usize, u16, Level)>,
    /// Whether queues are drained in a random order.
    pub(super) shuffle: Option<u64>,
    /// Messages of this hub's border stream wait, as behind a packet that was lost; datagrams do not.
    pub(super) stalled: Option<usize>,
}

impl Net {
    /// Both gateways up, not connected.
    pub(super) fn apart(nl: Plan, be: Plan) -> Self {
        Self::apart_in(nl, be, [3, 250])
    }

    /// The same in these epochs.
    pub(super) fn apart_in(nl: Plan, be: Plan, epochs: [u8; 2]) -> Self {
        let now = epoch();
        let hub = |plan: &Plan, number| Hub::new(plan.clone(), Epoch(number), 1_800_000_000, now);
        Self {
            start: now,
            now,
            hubs: vec![hub(&nl, epochs[0]), hub(&be, epochs[1])],
            plans: vec![nl, be],
            events: [Vec::new(), Vec::new()],
            units: Vec::new(),
            conns: Vec::new(),
            next_session: 0,
            heard: BTreeMap::new(),
            levels: Vec::new(),
            shuffle: None,
            stalled: None,
        }
    }

    /// Both gateways up and connected.
    pub(super) fn joined(nl: Plan, be: Plan) -> Self {
        let mut net = Self::apart(nl, be);
        net.heal();
        net
    }

    fn connect(&mut self, ends: [End; 2]) -> SessionId {
        self.next_session += 1;
        let session = SessionId(self.next_session);
        let none = || [VecDeque::new(), VecDeque::new()];
        self.conns.push(Conn { session, ends, closed: [false; 2], control: none(), datagrams: none(), cut: false });
        session
    }

    /// The border link comes up: nl dials.
    pub(super) fn heal(&mut self) {
        self.heal_slowly();
        self.settle();
    }

    /// The same, and nothing is delivered yet.
    pub(super) fn heal_slowly(&mut self) {
        let session = self.connect([End::Hub(NL), End::Hub(BE)]);
        for (hub, far) in [(NL, BE), (BE, NL)] {
            let caller = Caller { identity: self.plans[far].gateway.clone(), alias: String::new(), agency: String::new() };
            self.hubs[hub].handle_connected(session, caller, hub == NL, self.now);
        }
    }

    /// A copy of a unit's emergency request arrives as a datagram, long after.
    pub(super) fn repeat_emergency(&mut self, unit: usize, request: RequestId) {
        let body = FloorBody::Request(Request { request, priority: Priority::of(Tier::Emergency), talker: None, continuing: None });
        let talkgroup = self.talkgroup(self.units[unit].hub);
        let message = Message::Floor(Floor { talkgroup, party: None, body });
        let (session, now) = (self.units[unit].session.unwrap(), self.now);
        let hub = self.units[unit].hub;
        self.hubs[hub].handle_datagram(session, Datagram::Emergency(Box::new(message)).encode(), now);
        self.settle();
    }

    /// A copy of an emergency request of the partner's unit arrives at the home as a datagram.
    pub(super) fn repeat_emergency_from(&mut self, partner: usize, unit: &str, request: RequestId) {
        let identity: Identity = unit.parse().unwrap();
        let talker = Some(Talker { identity: identity.clone(), alias: String::new(), agency: String::new() });
        let body = FloorBody::Request(Request { request, priority: Priority::of(Tier::Emergency), talker, continuing: None });
        let message = Message::Floor(Floor { talkgroup: self.plans[partner].bridges[0].home.clone(), party: Some(identity), body });
        let (border, now) = (self.border_session(), self.now);
        self.hubs[1 - partner].handle_datagram(border, Datagram::Emergency(Box::new(message)).encode(), now);
        self.settle();
    }

    /// Some stranger dials a hub; gives the session.
    pub(super) fn stranger(&mut self, hub: usize, identity: &str) -> SessionId {
        let session = self.connect([End::Unit(usize::MAX), End::Hub(hub)]);
        let caller = Caller { identity: identity.parse().unwrap(), alias: String::new(), agency: String::new() };
        self.hubs[hub].handle_connected(session, caller, false, self.now);
        session
    }

    /// Everything on the border link vanishes from now on; the hubs notice by themselves.
    pub(super) fn cut(&mut self) {
        for conn in self.conns.iter_mut().filter(|c| c.ends == [End::Hub(NL), End::Hub(BE)]) {
            conn.cut = true;
        }
    }

    /// The border link ends and both hubs know at once.
    pub(super) fn drop_link(&mut self) {
        let gone: Vec<SessionId> = self.border().collect();
        self.conns.retain(|c| !gone.contains(&c.session));
        for session in gone {
            self.hubs[NL].handle_closed(session, Reason::LinkLost, self.now);
            self.hubs[BE].handle_closed(session, Reason::LinkLost, self.now);
        }
        self.settle();
    }

    /// A gateway is killed and starts anew, without memory of anything but its epoch; the border link is down.
    pub(super) fn restart(&mut self, hub: usize, epoch: u8) {
        for session in self.border().collect::<Vec<_>>() {
            self.hubs[1 - hub].handle_closed(session, Reason::LinkLost, self.now);
        }
        self.conns.retain(|conn| !conn.ends.contains(&End::Hub(hub)));
        self.hubs[hub] = Hub::new(self.plans[hub].clone(), Epoch(epoch), 1_800_000_000, self.now);
        for unit in self.units.iter_mut().filter(|unit| unit.hub == hub) {
            unit.closed(Reason::Reset, self.now);
        }
        self.settle();
    }

    fn border(&self) -> impl Iterator<Item = SessionId> {
        self.conns.iter().filter(|c| c.ends == [End::Hub(NL), End::Hub(BE)]).map(|c| c.session)
    }

    /// The live session of the border link.
    pub(super) fn border_session(&self) -> SessionId {
        self.border().last().unwrap()
    }

    /// A unit logs in at the hub of its authority; joins `talkgroup`.
    pub(super) fn unit(&mut self, identity: &str, talkgroup: &str) -> usize {
        let hub = if talkgroup.starts_with("nl/") { NL } else { BE };
        self.units.push(Unit::new(identity, talkgroup, hub, self.units.len()));
        let unit = self.units.len() - 1;
        self.login(unit);
        unit
    }

    /// Connects a unit (again).
    pub(super) fn login(&mut self, unit: usize) {
        self.login_slowly(unit);
        self.settle();
    }

    /// The same, and nothing is delivered yet.
    pub(super) fn login_slowly(&mut self, unit: usize) {
        let hub = self.units[unit].hub;
        let session = self.connect([End::Unit(unit), End::Hub(hub)]);
        let identity = self.units[unit].identity.clone();
        let caller = Caller { alias: format!("alias of {}", identity.name), agency: "police".into(), identity };
        self.hubs[hub].handle_connected(session, caller, false, self.now);
        self.units[unit].session = Some(session);
        let gateway = self.plans[hub].gateway.clone();
        self.units[unit].handset.handle_connected(gateway);
    }

    pub(super) fn press(&mut self, unit: usize, priority: Priority) {
        let now = self.now;
        self.units[unit].press(priority, now);
        self.settle();
    }

    pub(super) fn release(&mut self, unit: usize) {
        let now = self.now;
        self.units[unit].key_up(now);
        self.settle();
    }

    pub(super) fn plan(&mut self, hub: usize, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plans[hub]);
        let plan = self.plans[hub].clone();
        self.hubs[hub].handle_plan(plan, self.now);
        self.settle();
    }

    // === Delivery ===

    /// Moves what every node wants sent into the queues.
    fn pump(&mut self) {
        for hub in [NL, BE] {
            while let Some(output) = self.hubs[hub].poll_output() {
                self.pump_hub(hub, output);
            }
            while let Some(event) = self.hubs[hub].poll_event() {
                self.events[hub].push(event);
            }
        }
        for unit in 0..self.units.len() {
            let session = self.units[unit].session;
            while let Some(transmit) = self.units[unit].handset.poll_transmit() {
                let packet = match transmit {
                    Transmit::Control(message) => Packet::Control(message),
                    Transmit::Voice(Sound { datagram, tier, .. }) => {
                        self.units[unit].sent(&datagram, tier);
                        Packet::Datagram(datagram)
                    }
                    Transmit::Datagram(bytes) => Packet::Datagram(bytes),
                };
                if let Some(session) = session {
                    self.send(End::Unit(unit), session, packet);
                }
            }
            self.units[unit].collect();
        }
    }

    fn pump_hub(&mut self, hub: usize, output: Output) {
        match output {
            Output::Control(session, message) => {
                if let Message::Floor(floor) = &message {
                    self.note_floor(hub, session, floor);
                }
                self.send(End::Hub(hub), session, Packet::Control(message));
            }
            Output::Voice(fanout) => {
                let Ok(Some(Datagram::Voice(voice))) = Datagram::decode(fanout.datagram.clone()) else { panic!("not voice") };
                self.check_fanout(hub, &voice);
                self.levels.push((hub, voice.handle.0, fanout.level));
                assert_eq!(voice.tier, fanout.tier, "the class follows the frame");
                for session in fanout.to.iter().filter(|s| **s != fanout.except) {
                    self.send(End::Hub(hub), *session, Packet::Datagram(fanout.datagram.clone()));
                }
            }
            Output::Datagram(session, bytes) => self.send(End::Hub(hub), session, Packet::Datagram(bytes)),
            Output::Close(session, reason) => self.send(End::Hub(hub), session, Packet::Close(reason)),
        }
    }

    fn send(&mut self, from: End, session: SessionId, packet: Packet) {
        let Some(conn) = self.conns.iter_mut().find(|c| c.session == session) else { return };
        let side = usize::from(conn.ends[1] == from);
        assert_eq!(conn.ends[side], from, "sent into a session of somebody else");
        if conn.closed[side] {
            return;
        }
        match &packet {
            Packet::Datagram(_) => conn.datagrams[side].push_back(packet),
            Packet::Control(_) => conn.control[side].push_back(packet),
            Packet::Close(_) => {
                conn.closed[side] = true;
                conn.control[side].push_back(packet);
            }
        }
    }

    /// The spurts that a hub fans out only rise, and each has one talker.
    fn check_fanout(&mut self, hub: usize, voice: &Voice) {
        let heard = self.heard.entry((hub, voice.handle.0)).or_default();
        let fell = heard.newest.is_some_and(|newest| newest.is_after(voice.spurt));
        assert!(!fell, "hub {hub} let {} pass after {:?}", voice.spurt, heard.newest);
        heard.newest = Some(voice.spurt);
        if let Some(by) = super::unit::speaker_of(&voice.payload).and_then(|unit| self.units.get(unit)) {
            let granted = heard.talkers.entry(voice.spurt.to_bits()).or_insert_with(|| by.identity.clone());
            assert_eq!(*granted, by.identity, "hub {hub}: two talkers under {}", voice.spurt);
        }
    }

    /// A hub's number for a talkgroup that is named there or at the home: hubs number in the order of their plan.
    fn handle_of(&self, hub: usize, named: &TalkgroupId) -> u16 {
        let plan = &self.plans[hub];
        let bridged = plan.bridges.iter().find(|bridge| bridge.home == *named).map(|bridge| bridge.own(&plan.gateway.authority));
        let place = plan.talkgroups.iter().position(|tg| tg.id == *named || Some(&tg.id) == bridged).unwrap_or(0);
        u16::try_from(place + 1).unwrap()
    }

    /// Remembers who holds which spurt.
    fn note_floor(&mut self, hub: usize, session: SessionId, floor: &Floor) {
        let party = floor.party.as_ref();
        let (spurt, who) = match &floor.body {
            FloorBody::Granted(granted) => {
                let unit = self.units.iter().find(|u| u.session == Some(session)).map(|u| u.identity.clone());
                (granted.spurt, party.cloned().or(unit))
            }
            FloorBody::Taken(taken) => (taken.spurt, Some(taken.talker.identity.clone())),
            FloorBody::Request(_)
            | FloorBody::Deny { .. }
            | FloorBody::Queued { .. }
            | FloorBody::Idle(_)
            | FloorBody::Release(_)
            | FloorBody::Revoke(_)
            | FloorBody::Ack { .. } => return,
        };
        let Some(who) = who else { return };
        let heard = self.heard.entry((hub, self.handle_of(hub, &floor.talkgroup))).or_default();
        let granted = heard.talkers.entry(spurt.to_bits()).or_insert_with(|| who.clone());
        assert_eq!(*granted, who, "hub {hub}: {spurt} given to two");
    }

    fn waiting(&self) -> Vec<(usize, usize, bool)> {
        let mut queues = Vec::new();
        for (index, conn) in self.conns.iter().enumerate().filter(|(_, c)| !c.cut) {
            for side in 0..2 {
                let is_stalled = conn.ends == [End::Hub(NL), End::Hub(BE)] && self.stalled.map(End::Hub) == Some(conn.ends[side]);
                if !conn.control[side].is_empty() && !is_stalled {
                    queues.push((index, side, false));
                }
                if !conn.datagrams[side].is_empty() {
                    queues.push((index, side, true));
                }
            }
        }
        queues
    }

    /// Delivers one packet; `false` if nothing flies.
    pub(super) fn step(&mut self) -> bool {
        self.pump();
        for conn in self.conns.iter_mut().filter(|c| c.cut) {
            conn.datagrams.iter_mut().for_each(VecDeque::clear);
        }
        self.conns.retain(|c| !(c.closed[0] && c.closed[1]));
        let queues = self.waiting();
        if queues.is_empty() {
            return false;
        }
        let pick = match &mut self.shuffle {
            Some(state) => super::unit::random(state, queues.len()),
            None => 0,
        };
        let (index, side, datagram) = queues[pick];
        let conn = &mut self.conns[index];
        let packet = if datagram { conn.datagrams[side].pop_front() } else { conn.control[side].pop_front() };
        let (to, session, closed) = (conn.ends[1 - side], conn.session, conn.closed[1 - side]);
        if let Some(packet) = packet.filter(|_| !closed) {
            if matches!(packet, Packet::Close(_)) {
                self.conns.remove(index);
            }
            self.deliver(to, session, packet);
        }
        true
    }

    fn deliver(&mut self, to: End, session: SessionId, packet: Packet) {
        let now = self.now;
        match (to, packet) {
            (End::Hub(hub), Packet::Control(message)) => {
                let read = Message::decode(&message.encode()).unwrap().unwrap();
                assert_eq!(read, message, "the wire keeps every message");
                self.hubs[hub].handle_message(session, read, now);
            }
            (End::Hub(hub), Packet::Datagram(bytes)) => self.hubs[hub].handle_datagram(session, bytes, now),
            (End::Hub(hub), Packet::Close(reason)) => self.hubs[hub].handle_closed(session, reason, now),
            (End::Unit(unit), packet) => {
                let Some(unit) = self.units.get_mut(unit).filter(|u| u.session == Some(session)) else { return };
                match packet {
                    Packet::Control(message) => unit.handset.handle_message(message, now),
                    Packet::Datagram(bytes) => unit.handset.handle_datagram(bytes, now),
                    Packet::Close(reason) => unit.closed(reason, now),
                }
            }
        }
    }

    /// Delivers everything that flies.
    pub(super) fn settle(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 100_000, "the hubs talk without end");
        }
    }

    /// Lets time pass: every 5 ms timeouts, every 20 ms a frame spoken and a frame played.
    pub(super) fn run(&mut self, time: u64) {
        for _ in 0..time / 5 {
            self.tick();
            self.settle();
        }
    }

    /// One step of 5 ms, without delivering.
    pub(super) fn tick(&mut self) {
        self.now += ms(5);
        let at = self.now.duration_since(self.start);
        for hub in &mut self.hubs {
            if hub.poll_timeout().is_some_and(|(due, _)| due <= self.now) {
                hub.handle_timeout(self.now);
                let again = hub.poll_timeout().is_some_and(|(due, _)| due <= self.now);
                assert!(!again, "a deadline that stays due would spin the driver: {:?}", hub.poll_timeout());
            }
        }
        for unit in &mut self.units {
            unit.tick(self.now, at.as_millis().is_multiple_of(20));
        }
    }

    /// Plays a WAV of so many milliseconds and releases.
    pub(super) fn say(&mut self, unit: usize, time: u64) {
        self.press(unit, Priority::default());
        self.run(time);
        self.release(unit);
        self.run(400);
    }
}
