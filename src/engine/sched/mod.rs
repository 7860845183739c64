//! The priority scheduler of a link: what goes next, when, and what is not worth sending any more.
//!
//! In the data path: between the hub (or handset), which [offers](Scheduler::offer) packets, and QUIC, to which the link's
//! driver hands what [`next`](Scheduler::next) gives. QUIC's own buffers are kept one or two packets deep, so the order
//! made here is the order on the wire. One scheduler and one [`Bucket`] serve a link, its second connection included:
//! the class says which connection a packet belongs to.
//!
//! # Order
//! Strict priority over [`Class`], most urgent first; normal voice by level, then arrival; everything else by arrival.
//! Deadlines, bounds and drop rules are the table [`Class::rule`].
//!
//! # Guaranteed share
//! Strict priority alone would starve data. So each data class with something waiting is owed one byte for every 14
//! that others send. Once that makes a whole packet:
//!
//! 1. the packet goes before imminent-peril and normal voice and before the other data classes;
//! 2. it waits for control, signals and emergency voice, unless 200 ms brought no gap between them; then it goes first, and never
//!    two such packets follow each other while one of these waits.
//!
//! Over any second a class that kept waiting gets at least 5 % of the link's bytes, less one packet, and an emergency
//! frame loses to it at most one packet's time.
//!
//! # Streams
//! A message may come as several chunks. They go in order, and no other message of the same class goes between them;
//! messages of *other* classes do. A driver must therefore give each class that uses streams a stream of its own.

mod bucket;
mod class;
pub mod line;
mod queue;
mod share;
#[cfg(test)]
mod tests;
pub mod words;

use std::time::{Duration, Instant};
use std::vec;

use wire::Level;

use crate::figures::{HOP, Histogram};

pub(crate) use bucket::HALF_BYTES_PER_KBPS;
pub use bucket::{Bucket, OVERHEAD_BYTES};
pub use class::{Class, Rule, WhenFull};
pub use queue::Chunk;
use queue::{Entry, Queue};
use share::Share;

/// A link that is free again so soon counts as free: the packets of one voice are up to so much off their 20 ms.
const FREE_SOON: Duration = Duration::from_millis(5);
/// The same for emergency voice, which may have met a packet of somebody else.
const FREE_SOON_EMERGENCY: Duration = Duration::from_millis(10);

const CLASSES: usize = Class::ALL.len();

/// Orders the packets of one link.
///
/// The driver calls [`next`](Self::next) after every offer, when a wait is over, and when the connection became writable
/// again, until it gives no item.
#[derive(Debug)]
pub struct Scheduler<T> {
    bucket: Bucket,
    lanes: [Lane<T>; CLASSES],
    /// The packet before was a share packet that vital traffic had to wait for.
    overtook: bool,
}

#[derive(Debug)]
struct Lane<T> {
    queue: Queue<T>,
    share: Share,
    ready: bool,
    stats: ClassStats,
    waited: Histogram,
}

/// What the link is to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// Hand this to QUIC.
    Item {
        /// What was offered.
        item: T,
        /// Its class, which tells the connection and the stream.
        class: Class,
        /// How long it waited here.
        waited: Duration,
    },
    /// Ask again at that time; the reason is for logs.
    Wait(Instant, &'static str),
    /// Nothing waits, or only classes whose connection is not [ready](Scheduler::set_ready).
    Idle,
}

/// An offer that was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overflow<T> {
    /// Control may lose nothing and too much of it waits: the receiver is at fault, close the link as *too slow*.
    #[error("the receiver is too slow: {bound} control messages wait")]
    TooSlow {
        /// The bound that was reached, in messages.
        bound: usize,
    },
    /// The data class is full: the offerer keeps the message, handed back here, and may retry when the link has drained.
    #[error("no room for more {} messages", .class.as_str())]
    Full {
        /// The full class.
        class: Class,
        /// The chunks, as they were offered.
        items: Vec<T>,
    },
}

/// Counters of one class, in messages (a voice frame is one) since the link began.
///
/// `offered = sent + dropped_late + dropped_full + replaced + queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Messages offered.
    pub offered: u64,
    /// Messages whose last chunk has gone.
    pub sent: u64,
    /// Voice frames dropped for their age.
    pub dropped_late: u64,
    /// Messages dropped or refused because the queue was full.
    pub dropped_full: u64,
    /// Messages taken out because a newer one says all that they said.
    pub replaced: u64,
    /// IP bytes sent (payload and 70 each).
    pub bytes: u64,
    /// Messages that wait now.
    pub queued: usize,
}

/// Counters of every class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    classes: [ClassStats; CLASSES],
    waited: [Histogram; CLASSES],
}

impl Default for Stats {
    fn default() -> Self {
        Self { classes: [ClassStats::default(); CLASSES], waited: [Histogram::new(&HOP); CLASSES] }
    }
}

impl Stats {
    /// The counters of a class.
    pub fn of(&self, class: Class) -> ClassStats {
        self.classes[class.index()]
    }

    /// How long what was sent of a class had waited since its arrival at this gateway.
    pub fn waited(&self, class: Class) -> &Histogram {
        &self.waited[class.index()]
    }

    /// All that the link of another session has counted; nothing of it waits any more.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.classes.iter_mut().zip(&other.classes) {
            sum.offered += more.offered;
            sum.sent += more.sent;
            sum.dropped_late += more.dropped_late;
            sum.dropped_full += more.dropped_full;
            sum.bytes += more.bytes;
        }
        self.waited.iter_mut().zip(&other.waited).for_each(|(sum, more)| sum.add(more));
    }
}

impl<T> Scheduler<T> {
    /// A scheduler for a link of that rate in kbit/s; `None`: unshaped.
    pub fn new(rate_kbps: Option<u32>) -> Self {
        let lane = |_: Class| Lane {
            queue: Queue::new(),
            share: Share::default(),
            ready: true,
            stats: ClassStats::default(),
            waited: Histogram::new(&HOP),
        };
        Self { bucket: Bucket::new(rate_kbps), lanes: Class::ALL.map(lane), overtook: false }
    }

    /// Changes the link's rate in kbit/s; `None`: unshaped.
    pub fn set_rate(&mut self, rate_kbps: Option<u32>) {
        self.bucket.set_rate(rate_kbps);
    }

    /// Says whether the connection or stream of a class takes packets now; others go on meanwhile. At first all do.
    pub fn set_ready(&mut self, class: Class, ready: bool) {
        self.lanes[class.index()].ready = ready;
    }

    /// Offers a message of one packet that arrived at that moment, now or a little before. `level` orders normal voice and means nothing to the other classes; `bytes` is the payload.
    ///
    /// # Errors
    /// [`Overflow`] if control or a data class is full. Voice is always taken, at the cost of the oldest frame.
    pub fn offer(&mut self, class: Class, level: Level, bytes: usize, item: T, now: Instant) -> Result<(), Overflow<T>> {
        self.admit(class, level, class.rule().deadline, Chunk { bytes, item }, Vec::new().into_iter(), now)
    }

    /// Offers a voice frame of the backlog that was spoken before the grant: it has no deadline, and keeps its turn.
    ///
    /// # Errors
    /// As [`offer`](Self::offer).
    pub fn offer_backlog(&mut self, class: Class, level: Level, bytes: usize, item: T, now: Instant) -> Result<(), Overflow<T>> {
        self.admit(class, level, None, Chunk { bytes, item }, Vec::new().into_iter(), now)
    }

    /// Offers a message that was cut into stream chunks; it counts as one. For control and data classes.
    ///
    /// # Errors
    /// [`Overflow`] if the class is full; no chunk is taken then.
    pub fn offer_chunks(&mut self, class: Class, chunks: Vec<Chunk<T>>, now: Instant) -> Result<(), Overflow<T>> {
        debug_assert!(!class.is_perishable(), "a datagram is one packet");
        let mut rest = chunks.into_iter();
        let Some(head) = rest.next() else { return Ok(()) };
        self.admit(class, Level::default(), class.rule().deadline, head, rest, now)
    }

    /// The newest message of a class, as long as nothing of it has gone: its owner may add to it, and must keep its bytes true.
    pub fn newest_mut(&mut self, class: Class) -> Option<&mut Chunk<T>> {
        self.lanes[class.index()].queue.newest_mut()
    }

    /// Shows the owner what waits in a class, next one first, as long as nothing of it has gone. What it says `false` for goes, as
    /// replaced by a newer message; what it changes must keep its bytes true. Only for messages of one chunk.
    pub fn revise(&mut self, class: Class, keep: impl FnMut(&mut Chunk<T>) -> bool) {
        let lane = &mut self.lanes[class.index()];
        lane.stats.replaced += lane.queue.retain_unbegun(keep);
    }

    fn admit(
        &mut self,
        class: Class,
        level: Level,
        deadline: Option<Duration>,
        head: Chunk<T>,
        rest: vec::IntoIter<Chunk<T>>,
        now: Instant,
    ) -> Result<(), Overflow<T>> {
        let rule = class.rule();
        let lane = &mut self.lanes[class.index()];
        lane.stats.offered += 1;
        let full = lane.queue.len() >= rule.bound_messages;
        match rule.when_full {
            WhenFull::CloseLink if full => {
                lane.stats.dropped_full += 1;
                return Err(Overflow::TooSlow { bound: rule.bound_messages });
            }
            WhenFull::RefuseNew if full => {
                lane.stats.dropped_full += 1;
                return Err(Overflow::Full { class, items: std::iter::once(head).chain(rest).map(|chunk| chunk.item).collect() });
            }
            WhenFull::CloseLink | WhenFull::DropOldest | WhenFull::RefuseNew => {}
        }
        let level = if class == Class::Voice { level } else { Level::default() };
        lane.queue.push(Entry::new(level, now, deadline, head, rest));
        // Only a class that drops its oldest can be full here.
        if full && let Some(dropped) = lane.queue.remove_least() {
            if dropped.is_late(now) {
                lane.stats.dropped_late += 1;
            } else {
                lane.stats.dropped_full += 1;
            }
        }
        Ok(())
    }

    /// What to do now. Frames past their deadline are dropped here, so a wait never outlives its reason.
    pub fn next(&mut self, now: Instant) -> Next<T> {
        for lane in &mut self.lanes {
            lane.stats.dropped_late += lane.queue.drop_late(now);
        }
        let Some(choice) = self.choose(now) else { return Next::Idle };
        if let Some(at) = self.bucket.wait_until(now) {
            return Next::Wait(at, "link rate");
        }
        let lane = &mut self.lanes[choice.class.index()];
        let Some(popped) = lane.queue.pop_chunk() else { return Next::Idle };
        let cost = bucket::cost(popped.chunk.bytes);
        lane.stats.bytes += cost;
        lane.stats.sent += u64::from(popped.last);
        let waited = now.saturating_duration_since(popped.arrived);
        if popped.last {
            lane.waited.note(waited);
        }
        self.overtook = choice.overtakes;
        self.bucket.charge(popped.chunk.bytes, now);
        self.settle(choice.class, cost, now);
        Next::Item { item: popped.chunk.item, class: choice.class, waited }
    }

    /// The class that goes next, by the two rules of the module's doc.
    fn choose(&self, now: Instant) -> Option<Choice> {
        let mut waiting = Class::ALL.into_iter().filter(|class| {
            let lane = &self.lanes[class.index()];
            lane.ready && lane.queue.len() > 0
        });
        let first = waiting.next()?;
        let share = |class: &Class| &self.lanes[class.index()].share;
        let mut owed = std::iter::once(first).chain(waiting).filter(|class| share(class).is_owed());
        let turn =
            if first.is_vital() { if self.overtook { None } else { owed.find(|class| share(class).is_overdue(now)) } } else { owed.next() };
        Some(Choice { class: turn.unwrap_or(first), overtakes: first.is_vital() && turn.is_some() })
    }

    /// Books a sent packet with the shares.
    fn settle(&mut self, sender: Class, cost: u64, now: Instant) {
        for class in Class::ALL.into_iter().filter(|class| class.rule().guaranteed) {
            let lane = &mut self.lanes[class.index()];
            let head_cost = lane.queue.head_cost();
            if class == sender {
                lane.share.on_sent(cost, head_cost, now);
            } else if lane.ready
                && let Some(head_cost) = head_cost
            {
                // A class whose own connection is stuck saves nothing up.
                lane.share.on_other_sent(cost, head_cost, now);
            }
        }
    }

    /// Whether the link is all but idle for a packet of that class: nothing that goes before it waits, and it can go soon.
    pub fn is_free_for(&self, class: Class, now: Instant) -> bool {
        let waits = Class::ALL.into_iter().take_while(|other| *other <= class).any(|other| self.lanes[other.index()].queue.len() > 0);
        let soon = if class == Class::EmergencyVoice { FREE_SOON_EMERGENCY } else { FREE_SOON };
        !waits && self.bucket.wait_until(now).is_none_or(|until| until <= now + soon)
    }

    /// The counters now.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for ((out, waited), lane) in stats.classes.iter_mut().zip(&mut stats.waited).zip(&self.lanes) {
            *out = ClassStats { queued: lane.queue.len(), ..lane.stats };
            *waited = lane.waited;
        }
        stats
    }
}

#[derive(Debug)]
struct Choice {
    class: Class,
    /// A share packet goes before vital traffic that waits.
    overtakes: bool,
}
