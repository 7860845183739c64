//! Everybody at a relay: who sits where, in which talkgroup, and what each has heard.
//!
//! Every terminal has an address of its own below 127.0.0.0/8 and sockets of its own, as in the field; it joins through the
//! module of its protocol and then lives on a task of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::{Level, Priority};

use crate::office::Office;
use crate::{Place, bare, mumble, svxreflector, talkbridge};

/// Joins at the same time: as many as keep the relay busy and none waiting for long.
const JOINS_AT_ONCE: usize = 16;
/// A terminal that has not joined by then will not.
const JOIN: Duration = Duration::from_secs(60);
/// Addresses of a network that are used, so that each terminal has a /24 of its own.
const NETWORKS: usize = 250;
/// First of the networks 127.N.
const FIRST_NETWORK: usize = 10;

/// Whose protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Relay {
    Talkbridge,
    Murmurd,
    Svxreflector,
    Limit,
}

/// What identifies a frame inside its payload: the talkgroup, then the number.
const MARK_BYTES: usize = 6;

/// The payload of a frame: marked, and filled with bytes that no codec would call silence.
pub(crate) fn payload(group: u16, frame: u32, length: usize) -> Vec<u8> {
    let filler = (0_u8..).map(|at| at.wrapping_mul(0x9d).wrapping_add(0x51) | 1);
    let mark = group.to_be_bytes().into_iter().chain(frame.to_be_bytes());
    mark.chain(filler).take(length.max(MARK_BYTES)).collect()
}

/// The frames that a terminal has received, in their order.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    frames: Mutex<Vec<u32>>,
    gone: AtomicBool,
    aside: AtomicBool,
}

impl Heard {
    /// Notes a payload.
    pub(crate) fn note(&self, payload: &[u8]) {
        if let Some(frame) = payload.get(2..MARK_BYTES).and_then(|bytes| bytes.try_into().ok()) {
            self.frames.lock().unwrap_or_else(PoisonError::into_inner).push(u32::from_be_bytes(frame));
        }
    }

    /// How many frames were heard since they were taken before.
    pub(crate) fn count(&self) -> usize {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What was heard since it was taken before.
    pub(crate) fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.frames.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The relay has told its talker whether its own side alone hears it.
    pub(crate) fn set_aside(&self, aside: bool) {
        self.aside.store(aside, Ordering::Relaxed);
    }

    /// Whether its talker was told so.
    pub(crate) fn is_aside(&self) -> bool {
        self.aside.load(Ordering::Relaxed)
    }

    /// The terminal has lost its relay.
    pub(crate) fn lose(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

/// Sends the voice of a terminal.
pub(crate) trait Mouth: Send {
    /// Sends a frame.
    fn speak(&mut self, payload: &[u8]) -> io::Result<()>;
}

/// Where a terminal sits before it joins.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// Counts from 0; units, user names and call signs are made of it.
    pub(crate) number: usize,
    /// Its talkgroup, from 0.
    pub(crate) group: u16,
    /// Whether it talks.
    pub(crate) talks: bool,
    /// How important its call is, if it talks and the relay knows of that.
    pub(crate) priority: Priority,
    /// Its address, if it shares one with others.
    pub(crate) from: Option<IpAddr>,
    /// The relay.
    pub(crate) relay: SocketAddr,
    /// What it hears goes here.
    pub(crate) heard: Arc<Heard>,
}

impl Seat {
    /// The terminal's own address, port 0.
    pub(crate) fn local(&self) -> SocketAddr {
        if let Some(from) = self.from {
            return SocketAddr::new(from, 0);
        }
        let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let (network, host) = (self.number / NETWORKS, self.number % NETWORKS);
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, byte(FIRST_NETWORK + network), byte(host), 1)), 0)
    }
}

/// A terminal that has joined.
pub(crate) struct Joined {
    /// Where its voice comes from and goes to.
    pub(crate) at: SocketAddr,
    /// Set if it talks.
    pub(crate) mouth: Option<Box<dyn Mouth>>,
}

/// A listener.
pub(crate) struct Ear {
    pub(crate) group: u16,
    pub(crate) at: SocketAddr,
    pub(crate) heard: Arc<Heard>,
}

/// A talker.
pub(crate) struct Talker {
    pub(crate) group: u16,
    pub(crate) at: SocketAddr,
    pub(crate) mouth: Box<dyn Mouth>,
}

/// Everybody at a relay.
pub(crate) struct Crowd {
    pub(crate) talkers: Vec<Talker>,
    pub(crate) ears: Vec<Ear>,
    heard: Vec<Arc<Heard>>,
}

impl Crowd {
    /// Has everybody join: the listeners first, then a talker for each talkgroup if they are wanted.
    pub(crate) async fn gather(place: &Place, talkers: bool) -> Result<Self> {
        let office = match place.relay {
            Relay::Talkbridge => Some(Arc::new(Office::open(place.pki.as_deref().context("--pki is missing")?, &place.authority)?)),
            Relay::Murmurd | Relay::Svxreflector | Relay::Limit => None,
        };
        let groups = 0..place.groups;
        let listening = groups.clone().flat_map(|group| std::iter::repeat_n((group, false), place.listeners));
        let talking = groups.filter(|_| talkers).map(|group| (group, true));
        let mut crowd = Self { talkers: Vec::new(), ears: Vec::new(), heard: Vec::new() };
        let mut joining = JoinSet::new();
        let turns = Arc::new(Semaphore::new(JOINS_AT_ONCE));
        for (number, (group, talks)) in listening.chain(talking).enumerate() {
            if talks {
                // Nobody may talk to listeners that are not there yet.
                crowd.seat_all(&mut joining).await?;
            }
            let (relay, from) = (place.address, place.from);
            let seat = Seat { number, group, talks, priority: Priority::normal(Level::default().0), from, relay, heard: Arc::default() };
            crowd.heard.push(Arc::clone(&seat.heard));
            let (turns, office, relay) = (Arc::clone(&turns), office.clone(), place.relay);
            joining.spawn(async move {
                let _turn = turns.acquire_owned().await?;
                let joined = timeout(JOIN, join(relay, office, &seat)).await.context("not joined in time").flatten();
                joined.map(|joined| (seat.clone(), joined)).with_context(|| format!("terminal {}", seat.number))
            });
        }
        crowd.seat_all(&mut joining).await?;
        crowd.talkers.sort_by_key(|talker| talker.group);
        Ok(crowd)
    }

    async fn seat_all(&mut self, joining: &mut JoinSet<Result<(Seat, Joined)>>) -> Result<()> {
        while let Some(joined) = joining.join_next().await {
            let (Seat { group, heard, .. }, Joined { at, mouth }) = joined??;
            match mouth {
                Some(mouth) => self.talkers.push(Talker { group, at, mouth }),
                None => self.ears.push(Ear { group, at, heard }),
            }
        }
        Ok(())
    }

    /// Fails if a terminal has lost its relay: figures would be of fewer than asked for.
    pub(crate) fn all_alive(&self) -> Result<()> {
        let gone = self.heard.iter().filter(|heard| heard.gone.load(Ordering::Relaxed)).count();
        ensure!(gone == 0, "{gone} of {} terminals lost the relay", self.heard.len());
        Ok(())
    }
}

pub(crate) async fn join(relay: Relay, office: Option<Arc<Office>>, seat: &Seat) -> Result<Joined> {
    match (relay, office) {
        (Relay::Talkbridge, Some(office)) => talkbridge::join(&office, seat).await,
        (Relay::Talkbridge, None) => anyhow::bail!("--pki is missing"),
        (Relay::Murmurd, _) => mumble::join(seat).await,
        (Relay::Svxreflector, _) => svxreflector::join(seat).await,
        (Relay::Limit, _) => bare::join(seat).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_the_length_asked_for_and_tells_its_number() {
        let heard = Heard::default();
        heard.note(&payload(3, 70_000, 60));
        heard.note(&[1, 2, 3]);
        assert_eq!((payload(3, 70_000, 60).len(), heard.take()), (60, vec![70_000]));
        assert!(heard.take().is_empty());
    }

    #[test]
    fn no_two_terminals_share_a_network() {
        let at = |number| {
            Seat {
                number,
                group: 0,
                talks: false,
                priority: Priority::default(),
                from: None,
                relay: ([127, 0, 0, 1], 1).into(),
                heard: Arc::default(),
            }
            .local()
            .to_string()
        };
        assert_eq!(
            (at(0), at(249), at(250), at(1_001)),
            ("127.10.0.1:0".into(), "127.10.249.1:0".into(), "127.11.0.1:0".into(), "127.14.1.1:0".into())
        );
    }
}
