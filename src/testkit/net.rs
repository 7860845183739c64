//! The simulated network: hosts, the links between them, faults, and a trace that proves a run repeatable.
//!
//! Stands below quinn in place of the operating system. Links and faults are per host (IP address), so that all
//! connections between two hosts share one bottleneck, as on a border line.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use quinn::AsyncUdpSocket;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::time::Instant;

use crate::faults::Faults;
use crate::link::{self, Fate, Link, PathState};
use crate::socket::Socket;

/// First port given to a bind with port 0.
const EPHEMERAL_FIRST: u16 = 49_152;
/// Packets kept for a frozen host, as a kernel's buffer would; later ones are lost.
const FROZEN_MAX: usize = 4_096;

/// Packets between two hosts in one direction, or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Given to the network.
    pub sent: u64,
    /// Payload bytes of these.
    pub sent_bytes: u64,
    /// Put on the way to a bound address, duplicates included.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Of those on the way, how many lost a bit.
    pub flipped: u64,
    /// Dropped by the full queue of a bottleneck.
    pub queue_full: u64,
    /// Dropped at a cut, at a frozen host, or for want of a receiver.
    pub undeliverable: u64,
}

/// One packet of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Traced {
    /// Since the network was made.
    pub at: Duration,
    /// Sender, as bound.
    pub from: SocketAddr,
    /// Receiver, as addressed.
    pub to: SocketAddr,
    /// Payload bytes.
    pub size: usize,
}

/// Tells a socket from a later one on the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketId(u64);

/// What a socket finds.
pub(crate) enum Polled {
    Packet { from: SocketAddr, data: Vec<u8> },
    Nothing { next: Option<Instant> },
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    at: Instant,
    /// Breaks ties in the order of sending.
    number: u64,
    from: SocketAddr,
    data: Vec<u8>,
}

#[derive(Debug)]
struct Inbox {
    owner: SocketId,
    queue: BinaryHeap<Reverse<Packet>>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    rng: SmallRng,
    number: u64,
    default: Link,
    links: BTreeMap<(IpAddr, IpAddr), Link>,
    paths: BTreeMap<(IpAddr, IpAddr), PathState>,
    counts: BTreeMap<(IpAddr, IpAddr), Counts>,
    cuts: BTreeSet<(IpAddr, IpAddr)>,
    frozen: BTreeSet<IpAddr>,
    /// Inner address to the one the outside sees.
    nat: BTreeMap<SocketAddr, SocketAddr>,
    inboxes: BTreeMap<SocketAddr, Inbox>,
    hash: DefaultHasher,
    trace: Option<Vec<Traced>>,
    faults: Faults,
}

/// A simulated network; clones are the same network.
#[derive(Clone, Debug)]
pub struct Net(Arc<Mutex<Inner>>);

impl Net {
    /// An empty network with perfect links; everything random in it comes from the seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            started: Instant::now(),
            rng: SmallRng::seed_from_u64(seed),
            number: 0,
            default: Link::default(),
            links: BTreeMap::new(),
            paths: BTreeMap::new(),
            counts: BTreeMap::new(),
            cuts: BTreeSet::new(),
            frozen: BTreeSet::new(),
            nat: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            hash: DefaultHasher::new(),
            trace: None,
            faults: Faults::new(Instant::now()),
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One host of the network.
    pub fn host(&self, ip: IpAddr) -> Host {
        Host { net: self.clone(), ip }
    }

    /// Binds a socket; port 0 chooses a free one. Dropping the socket frees the address.
    ///
    /// # Errors
    /// `AddrInUse` if it is bound, `AddrNotAvailable` for an unspecified address: bind that through a [`Host`].
    pub fn bind(&self, addr: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        if addr.ip().is_unspecified() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let mut inner = self.inner();
        let mut addr = addr;
        if addr.port() == 0 {
            let free = (EPHEMERAL_FIRST..=u16::MAX).find(|port| !inner.inboxes.contains_key(&SocketAddr::new(addr.ip(), *port)));
            addr.set_port(free.ok_or(io::ErrorKind::AddrInUse)?);
        }
        if inner.inboxes.contains_key(&addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        inner.number += 1;
        let id = SocketId(inner.number);
        inner.inboxes.insert(addr, Inbox { owner: id, queue: BinaryHeap::new(), waker: None });
        drop(inner);
        Ok(Arc::new(Socket::new(self.clone(), id, addr)))
    }

    /// The link between hosts that have none of their own.
    pub fn set_default(&self, link: Link) {
        self.change(|inner| {
            inner.default = link;
            inner.faults.changed_everywhere();
        });
    }

    /// The link both ways between two hosts.
    pub fn set_link(&self, a: IpAddr, b: IpAddr, link: Link) {
        self.set_one_way(a, b, link);
        self.set_one_way(b, a, link);
    }

    /// The link one way.
    pub fn set_one_way(&self, from: IpAddr, to: IpAddr, link: Link) {
        self.change(|inner| {
            if inner.links.insert((from, to), link) != Some(link) {
                inner.faults.changed((from, to));
            }
        });
    }

    /// Cuts both ways; what is on the way still arrives.
    pub fn cut(&self, a: IpAddr, b: IpAddr) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Cuts one way.
    pub fn cut_one_way(&self, from: IpAddr, to: IpAddr) {
        self.change(|inner| {
            inner.cuts.insert((from, to));
        });
    }

    /// Heals both ways.
    pub fn heal(&self, a: IpAddr, b: IpAddr) {
        self.change(|inner| {
            inner.cuts.remove(&(a, b));
            inner.cuts.remove(&(b, a));
        });
    }

    /// Heals one way.
    pub fn heal_one_way(&self, from: IpAddr, to: IpAddr) {
        self.change(|inner| {
            inner.cuts.remove(&(from, to));
        });
    }

    /// Freezes a host as a stopped process: it receives nothing until [`Self::thaw`], then all at once; what it
    /// tries to send meanwhile is dropped, for a stopped process sends nothing.
    pub fn freeze(&self, host: IpAddr) {
        self.change(|inner| {
            inner.frozen.insert(host);
        });
    }

    /// Ends a freeze.
    pub fn thaw(&self, host: IpAddr) {
        self.change(|inner| {
            inner.frozen.remove(&host);
            for (addr, inbox) in &mut inner.inboxes {
                if addr.ip() == host
                    && let Some(waker) = inbox.waker.take()
                {
                    waker.wake();
                }
            }
        });
    }

    /// Since when nothing is cut, frozen, losing or narrow anywhere, and no link has changed; `None` while something is wrong.
    pub fn calm_since(&self) -> Option<Instant> {
        self.inner().faults.calm_since()
    }

    /// The same for one path and both its hosts.
    pub fn clear_since(&self, a: IpAddr, b: IpAddr) -> Option<Instant> {
        self.inner().faults.clear_since(a, b)
    }

    /// Whether packets may overtake each other somewhere.
    pub fn reorders(&self) -> bool {
        let inner = self.inner();
        inner.links.values().chain([&inner.default]).any(|link| link.reorder)
    }

    /// Changes links or faults, and keeps account of it.
    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.inner();
        change(&mut inner);
        let inner = &mut *inner;
        inner.faults.renew(&inner.default, &inner.links, &inner.cuts, &inner.frozen, Instant::now());
    }

    /// Kills a host's sockets without a word, as SIGKILL does: addresses are free at once, the old sockets are dead.
    pub fn kill(&self, host: IpAddr) {
        self.inner().inboxes.retain(|addr, _| addr.ip() != host);
    }

    /// From now on the inner address is seen as `outer`, and reached only there: a NAT that forgot its old mapping.
    pub fn map_nat(&self, inner_addr: SocketAddr, outer: SocketAddr) {
        self.inner().nat.insert(inner_addr, outer);
    }

    /// Counts of one direction between two hosts.
    pub fn counts(&self, from: IpAddr, to: IpAddr) -> Counts {
        self.inner().counts.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Counts of the whole network.
    pub fn total(&self) -> Counts {
        self.inner().counts.values().fold(Counts::default(), |sum, next| Counts {
            sent: sum.sent + next.sent,
            sent_bytes: sum.sent_bytes + next.sent_bytes,
            delivered: sum.delivered + next.delivered,
            lost: sum.lost + next.lost,
            flipped: sum.flipped + next.flipped,
            queue_full: sum.queue_full + next.queue_full,
            undeliverable: sum.undeliverable + next.undeliverable,
        })
    }

    /// A hash of time, addresses and size of every packet so far; equal for equal runs.
    pub fn trace_hash(&self) -> u64 {
        self.inner().hash.finish()
    }

    /// Keeps every packet's trace from now on, to find where two runs part.
    pub fn record(&self) {
        self.inner().trace.get_or_insert_default();
    }

    /// The recorded trace.
    pub fn trace(&self) -> Vec<Traced> {
        self.inner().trace.clone().unwrap_or_default()
    }

    pub(crate) fn unbind(&self, addr: SocketAddr, id: SocketId) {
        let mut inner = self.inner();
        if inner.inboxes.get(&addr).is_some_and(|inbox| inbox.owner == id) {
            inner.inboxes.remove(&addr);
        }
    }

    pub(crate) fn send(&self, from: SocketAddr, id: SocketId, to: SocketAddr, data: &[u8]) {
        self.inner().send(from, id, to, data);
    }

    pub(crate) fn poll(&self, addr: SocketAddr, id: SocketId, waker: &Waker) -> Polled {
        self.inner().poll(addr, id, waker)
    }
}

impl Inner {
    fn send(&mut self, from: SocketAddr, id: SocketId, to: SocketAddr, data: &[u8]) {
        if self.inboxes.get(&from).is_none_or(|inbox| inbox.owner != id) {
            return; // the dead send nothing
        }
        let now = Instant::now();
        let traced = Traced { at: now.duration_since(self.started), from, to, size: data.len() };
        traced.hash(&mut self.hash);
        if let Some(trace) = &mut self.trace {
            trace.push(traced);
        }
        let seen_from = self.nat.get(&from).copied().unwrap_or(from);
        let target = self.behind(to);
        let pair = (from.ip(), target.unwrap_or(to).ip());
        let counts = self.counts.entry(pair).or_default();
        counts.sent += 1;
        counts.sent_bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        let link = self.links.get(&pair).unwrap_or(&self.default);
        let fate = self.paths.entry(pair).or_default().carry(link, data.len(), now, &mut self.rng);
        let (at, copies) = match fate {
            Fate::Arrives { at, copies } => (at, copies),
            Fate::Lost => {
                counts.lost += 1;
                return;
            }
            Fate::QueueFull => {
                counts.queue_full += 1;
                return;
            }
        };
        let blocked = self.cuts.contains(&pair) || self.frozen.contains(&pair.0);
        let receiver = target.and_then(|target| self.inboxes.get_mut(&target)).filter(|_| !blocked);
        let Some(inbox) = receiver.filter(|inbox| !self.frozen.contains(&pair.1) || inbox.queue.len() < FROZEN_MAX) else {
            counts.undeliverable += 1;
            return;
        };
        let flipped = link::flipped(link, data, &mut self.rng);
        counts.flipped += u64::from(flipped.is_some());
        let data = flipped.as_deref().unwrap_or(data);
        for _ in 0..copies {
            self.number += 1;
            inbox.queue.push(Reverse(Packet { at, number: self.number, from: seen_from, data: data.to_vec() }));
            counts.delivered += 1;
        }
        if let Some(waker) = inbox.waker.take() {
            waker.wake();
        }
    }

    /// The bound address behind the one a packet names; `None` if a NAT hides it.
    fn behind(&self, to: SocketAddr) -> Option<SocketAddr> {
        match self.nat.iter().find(|(_, outer)| **outer == to) {
            Some((inner, _)) => Some(*inner),
            None if self.nat.contains_key(&to) => None,
            None => Some(to),
        }
    }

    fn poll(&mut self, addr: SocketAddr, id: SocketId, waker: &Waker) -> Polled {
        let frozen = self.frozen.contains(&addr.ip());
        let Some(inbox) = self.inboxes.get_mut(&addr).filter(|inbox| inbox.owner == id) else {
            return Polled::Nothing { next: None };
        };
        let next = inbox.queue.peek().map(|Reverse(packet)| packet.at);
        if !frozen
            && next.is_some_and(|at| at <= Instant::now())
            && let Some(Reverse(packet)) = inbox.queue.pop()
        {
            return Polled::Packet { from: packet.from, data: packet.data };
        }
        inbox.waker = Some(waker.clone());
        Polled::Nothing { next: next.filter(|_| !frozen) }
    }
}

/// One host: binds with its own address where a program asks for any.
#[derive(Clone, Debug)]
pub struct Host {
    net: Net,
    ip: IpAddr,
}

impl Host {
    /// The host's address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Binds a socket on this host; an unspecified address (`0.0.0.0`, `::`) becomes the host's own.
    ///
    /// # Errors
    /// `AddrInUse` if it is bound, `AddrNotAvailable` for another host's address.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        if !addr.ip().is_unspecified() && addr.ip() != self.ip {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        self.net.bind(SocketAddr::new(self.ip, addr.port()))
    }
}
