//! What a link sends, by kind: messages cut into stream chunks, voice, and signals, in front of one [`Scheduler`].
//!
//! Gateway and unit use the same: their links differ only in who offers.

use std::time::Instant;

use bytes::Bytes;
use wire::frame::CHUNK_MAX_BYTES;
use wire::{Level, Tier};

use super::{Chunk, Class, Next, Overflow, Scheduler, Stats};

/// One packet for QUIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A datagram.
    Datagram(Bytes),
    /// A piece of the control stream.
    Stream(Bytes),
}

/// A voice frame for a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// The datagram.
    pub datagram: Bytes,
    /// The same with repeats of earlier frames; sent in its place where nothing waits for it.
    pub repeating: Option<Bytes>,
    /// For its class.
    pub tier: Tier,
    /// For the order inside normal voice.
    pub level: Level,
    /// Of the beginning of a spurt, spoken before the grant: exempt from the deadline.
    pub backlog: bool,
}

/// The other side does not read: 256 control messages wait. The link must close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side does not read its control stream")]
pub struct TooSlow;

/// The queue of one link.
#[derive(Debug)]
pub struct Line {
    scheduler: Scheduler<Packet>,
}

impl Line {
    /// An empty queue for a link of that rate in kbit/s; `None`: unshaped.
    pub fn new(rate_kbps: Option<u32>) -> Self {
        Self { scheduler: Scheduler::new(rate_kbps) }
    }

    /// Changes the rate.
    pub fn set_rate(&mut self, rate_kbps: Option<u32>) {
        self.scheduler.set_rate(rate_kbps);
    }

    /// A control message, as the bytes of its frame.
    ///
    /// # Errors
    /// [`TooSlow`]: close the link.
    pub fn message(&mut self, mut frame: Bytes, now: Instant) -> Result<(), TooSlow> {
        let mut chunks = Vec::with_capacity(frame.len().div_ceil(CHUNK_MAX_BYTES));
        while !frame.is_empty() {
            let item = frame.split_to(frame.len().min(CHUNK_MAX_BYTES));
            chunks.push(Chunk { bytes: item.len(), item: Packet::Stream(item) });
        }
        self.scheduler.offer_chunks(Class::Control, chunks, now).map_err(too_slow)
    }

    /// A voice frame that arrived here a moment ago. It goes without its repeats where they would hold up anything as urgent: on a
    /// link that is not [free](Scheduler::is_free_for), as at the burst with which a spurt may begin, or with more voices than it has room for.
    ///
    /// # Errors
    /// Never for voice: the oldest frame goes.
    pub fn voice(&mut self, sound: Sound, arrived: Instant, now: Instant) -> Result<(), TooSlow> {
        let Sound { datagram, repeating, tier, level, backlog } = sound;
        let class = Class::of_voice(tier);
        let datagram = repeating.filter(|_| self.scheduler.is_free_for(class, now)).unwrap_or(datagram);
        let (bytes, item) = (datagram.len(), Packet::Datagram(datagram));
        if backlog {
            self.scheduler.offer_backlog(class, level, bytes, item, arrived).map_err(too_slow)
        } else {
            self.scheduler.offer(class, level, bytes, item, arrived).map_err(too_slow)
        }
    }

    /// A heartbeat or repeated emergency request.
    ///
    /// # Errors
    /// Never: the oldest goes.
    pub fn signal(&mut self, datagram: Bytes, now: Instant) -> Result<(), TooSlow> {
        self.scheduler.offer(Class::Signal, Level::default(), datagram.len(), Packet::Datagram(datagram), now).map_err(too_slow)
    }

    /// What goes next, given what the connection takes now.
    pub fn next(&mut self, now: Instant, datagram_room: bool, stream_room: bool) -> Next<Packet> {
        self.scheduler.set_ready(Class::Control, stream_room);
        for class in [Class::Signal, Class::EmergencyVoice, Class::PerilVoice, Class::Voice] {
            self.scheduler.set_ready(class, datagram_room);
        }
        self.scheduler.next(now)
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.scheduler.stats()
    }
}

fn too_slow(_: Overflow<Packet>) -> TooSlow {
    TooSlow
}
