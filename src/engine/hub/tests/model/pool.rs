//! Every state of a site and every message that the exploration has met, each once, and every step of a site, worked out once.
//!
//! A site does not see what the others do, so far fewer states of sites than of the whole exist, and a step of the hub is
//! computed for each state and input once. A state of the whole is then a handful of numbers.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use wire::control::Message;
use wire::{Identity, Priority, SessionId};

use super::facts::Facts;
use super::rules::Rules;
use super::site::{Input, Sent, Site};

/// A state of a site, by its place in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SiteId(u32);

/// A control message or frame, by its place in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PacketId(u32);

/// An input, with packets and peers by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Press(usize, Priority),
    KeyUp(usize),
    Speak(usize),
    EndEmergency(usize),
    Fire,
    Connect { session: SessionId, peer: usize, dialled: bool },
    Hear(SessionId, PacketId),
    Datagram(SessionId, PacketId),
    Lost(SessionId),
}

/// Something leaves a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Leaves {
    Control(SessionId, PacketId),
    Datagram(SessionId, PacketId),
    Close(SessionId),
}

/// What a step gives.
pub(super) type Step = (SiteId, Arc<[Leaves]>);

#[derive(Debug, Default)]
struct Shelf {
    sites: Vec<(Arc<Site>, Arc<Facts>)>,
    by_digest: HashMap<u64, SiteId>,
    packets: Vec<Bytes>,
    by_bytes: HashMap<Bytes, PacketId>,
    steps: HashMap<(SiteId, Call), Step>,
}

/// The pool.
#[derive(Debug)]
pub(super) struct Pool {
    rules: Rules,
    /// The gateways, by the number of their site.
    peers: Vec<Identity>,
    shelf: RwLock<Shelf>,
}

impl Pool {
    pub(super) fn new(rules: Rules, peers: Vec<Identity>) -> Self {
        Self { rules, peers, shelf: RwLock::default() }
    }

    pub(super) fn peers(&self) -> &[Identity] {
        &self.peers
    }

    pub(super) fn keep(&self, site: Site) -> SiteId {
        self.shelf.write().unwrap().keep(site)
    }

    pub(super) fn facts(&self, sites: &[SiteId]) -> Vec<Arc<Facts>> {
        let shelf = self.shelf.read().unwrap();
        sites.iter().map(|site| Arc::clone(&shelf.sites[site.0 as usize].1)).collect()
    }

    /// The bytes of a packet.
    pub(super) fn bytes(&self, packet: PacketId) -> Bytes {
        self.shelf.read().unwrap().packets[packet.0 as usize].clone()
    }

    pub(super) fn message(&self, packet: PacketId) -> Message {
        Message::decode(&self.bytes(packet)).unwrap().unwrap()
    }

    /// How many states of sites, and steps between them, were met.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let shelf = self.shelf.read().unwrap();
        (shelf.sites.len(), shelf.steps.len())
    }

    /// The timers that were armed and the modes of views that were met.
    pub(super) fn seen(&self) -> BTreeSet<String> {
        let shelf = self.shelf.read().unwrap();
        let of = |facts: &Facts| facts.timer.map(str::to_owned).into_iter().chain([format!("{:?}", facts.mode)]);
        shelf.sites.iter().flat_map(|(_, facts)| of(facts)).collect()
    }

    /// One step of a site.
    pub(super) fn step(&self, site: SiteId, call: Call) -> Step {
        let before = {
            let shelf = self.shelf.read().unwrap();
            if let Some(step) = shelf.steps.get(&(site, call)) {
                return step.clone();
            }
            Arc::clone(&shelf.sites[site.0 as usize].0)
        };
        let mut after = (*before).clone();
        let sent = after.step(&self.input(call), self.rules);
        let mut shelf = self.shelf.write().unwrap();
        let leaves = sent.into_iter().map(|sent| shelf.leaves(sent)).collect();
        let step = (shelf.keep(after), leaves);
        shelf.steps.insert((site, call), step.clone());
        step
    }

    fn input(&self, call: Call) -> Input {
        match call {
            Call::Press(unit, priority) => Input::Press(unit, priority),
            Call::KeyUp(unit) => Input::KeyUp(unit),
            Call::Speak(unit) => Input::Speak(unit),
            Call::EndEmergency(unit) => Input::EndEmergency(unit),
            Call::Fire => Input::Fire,
            Call::Connect { session, peer, dialled } => Input::Connect { session, peer: self.peers[peer].clone(), dialled },
            Call::Hear(session, packet) => Input::Hear(session, self.message(packet)),
            Call::Datagram(session, packet) => Input::Datagram(session, self.bytes(packet)),
            Call::Lost(session) => Input::Lost(session),
        }
    }
}

impl Shelf {
    fn keep(&mut self, site: Site) -> SiteId {
        let next = SiteId(u32::try_from(self.sites.len()).unwrap());
        let id = *self.by_digest.entry(site.digest()).or_insert(next);
        if id == next {
            let facts = Arc::new(Facts::of(&site));
            self.sites.push((Arc::new(site), facts));
        }
        id
    }

    fn leaves(&mut self, sent: Sent) -> Leaves {
        match sent {
            Sent::Control(session, message) => Leaves::Control(session, self.packet(message.encode())),
            Sent::Datagram(session, bytes) => Leaves::Datagram(session, self.packet(bytes)),
            Sent::Close(session) => Leaves::Close(session),
        }
    }

    fn packet(&mut self, bytes: Bytes) -> PacketId {
        let next = PacketId(u32::try_from(self.packets.len()).unwrap());
        let id = *self.by_bytes.entry(bytes.clone()).or_insert(next);
        if id == next {
            self.packets.push(bytes);
        }
        id
    }
}
