//! The queue of one class: messages by level and arrival, each a packet or a chain of stream chunks.
//!
//! In the data path: one per class inside the [`Scheduler`](super::Scheduler). It knows order, age and depth; bounds and
//! rules are the scheduler's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};
use std::vec;

use wire::Level;

use super::bucket;

/// One packet's worth of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<T> {
    /// Payload bytes, without IP, UDP and QUIC.
    pub bytes: usize,
    /// What the driver sends.
    pub item: T,
}

/// A message that waits.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) level: Level,
    pub(super) arrived: Instant,
    /// When the message is too old to go; `None`: never.
    pub(super) expires: Option<Instant>,
    head: Chunk<T>,
    rest: vec::IntoIter<Chunk<T>>,
    /// Whether a chunk of it has gone.
    begun: bool,
}

impl<T> Entry<T> {
    /// A message of a first chunk and more.
    pub(super) fn new(level: Level, now: Instant, deadline: Option<Duration>, head: Chunk<T>, rest: vec::IntoIter<Chunk<T>>) -> Self {
        Self { level, arrived: now, expires: deadline.map(|deadline| now + deadline), head, rest, begun: false }
    }

    /// Whether the message is too old to go.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now > expires)
    }
}

/// What [`Queue::pop_chunk`] took.
#[derive(Debug)]
pub(super) struct Popped<T> {
    pub(super) chunk: Chunk<T>,
    pub(super) arrived: Instant,
    /// Whether this was the message's last chunk.
    pub(super) last: bool,
}

/// Messages of one class, next one first.
///
/// A ring kept in order: it is short (the class's bound), it allocates nothing in the steady state, and finding a place
/// takes a binary search.
#[derive(Debug)]
pub(super) struct Queue<T> {
    entries: VecDeque<Entry<T>>,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new() }
    }

    /// Messages that wait, including one whose first chunks have gone.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Puts a message behind those of its level and above.
    pub(super) fn push(&mut self, entry: Entry<T>) {
        let at = self.entries.partition_point(|other| other.level >= entry.level);
        self.entries.insert(at, entry);
    }

    /// Takes out the oldest message of the lowest level.
    pub(super) fn remove_least(&mut self) -> Option<Entry<T>> {
        let lowest = self.entries.back()?.level;
        let at = self.entries.partition_point(|other| other.level > lowest);
        self.entries.remove(at)
    }

    /// Drops messages at the head that are too old; gives their number.
    pub(super) fn drop_late(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        while self.entries.front().is_some_and(|entry| entry.is_late(now)) {
            self.entries.pop_front();
            dropped += 1;
        }
        dropped
    }

    /// The first chunk of the last message, if nothing of it has gone.
    pub(super) fn newest_mut(&mut self) -> Option<&mut Chunk<T>> {
        self.entries.back_mut().filter(|entry| !entry.begun).map(|entry| &mut entry.head)
    }

    /// Takes out the messages of which nothing has gone and for which the function says `false`; gives their number.
    pub(super) fn retain_unbegun(&mut self, mut keep: impl FnMut(&mut Chunk<T>) -> bool) -> u64 {
        let mut gone = 0;
        self.entries.retain_mut(|entry| {
            let stays = entry.begun || keep(&mut entry.head);
            gone += u64::from(!stays);
            stays
        });
        gone
    }

    /// IP bytes of the next chunk.
    pub(super) fn head_cost(&self) -> Option<u64> {
        self.entries.front().map(|entry| bucket::cost(entry.head.bytes))
    }

    /// Takes the next chunk of the first message.
    pub(super) fn pop_chunk(&mut self) -> Option<Popped<T>> {
        let entry = self.entries.front_mut()?;
        let arrived = entry.arrived;
        match entry.rest.next() {
            Some(next) => {
                entry.begun = true;
                Some(Popped { chunk: std::mem::replace(&mut entry.head, next), arrived, last: false })
            }
            None => self.entries.pop_front().map(|entry| Popped { chunk: entry.head, arrived, last: true }),
        }
    }
}
