//! The unit's jitter buffer, shaped for push-to-talk: one per talkgroup view, anchored anew at every spurt.
//!
//! In the data path: the handset [inserts](JitterBuffer::insert) the voice frames its view has granted; the playout driver
//! asks [`due`](JitterBuffer::due) every 20 ms and decodes what it gets.
//!
//! # Times
//! The first frame is held until its delay is the [target](Stats::target), give or take half a tick; from then on each tick
//! plays the next place of the spurt. The delay **grows** when a frame is awaited in vain and then comes: it is played, not
//! thrown away, so a stall costs a pause and no syllable. If it never comes, the ticks waited stand for it and the delay
//! stays. From there the delay is **steered** to its target inside the spurt, faster or slower by [`Playout::Stretch`] and
//! never above 1.2x; hold beats are skipped freely. The first syllable is left as it was spoken, also in the burst of an
//! instant start. Clocks that differ are nothing special: their drift is made up in the same way.
//!
//! # Ends
//! A spurt ends after its last frame, or when [`ended`](JitterBuffer::ended) was told and 200 ms brought nothing more, or at a
//! [`cut`](JitterBuffer::cut). Frames of the spurt after it wait for that end. Frames of a spurt that is over are refused.

mod burst;
mod delay;
mod player;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use burst::Burst;
use bytes::Bytes;
pub use delay::{Histogram, TARGET_MAX, TARGET_MIN, TARGET_START};
use player::{Player, Tick};
use wire::{Seq, Spurt};

use crate::planted::{self, Fault};

/// Length of a voice frame and of a playout tick.
pub const FRAME: Duration = Duration::from_millis(20);

/// Below the target by more, the delay is steered back to it; less is the tick's phase.
const SLACK: Duration = Duration::from_millis(10);
/// Spurts at once: one plays, the others wait; borders that heal together give one voice several numbers. One more ends the first.
const BURSTS_MAX: usize = 10;
/// Ends not yet told; each spurt has one.
const ENDS_MAX: usize = 8;

/// How a frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// By itself.
    Itself,
    /// Only along with a later one.
    Repeated,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It will be played.
    New,
    /// It is here or was played already.
    Duplicate,
    /// Its place has passed.
    Late,
    /// Its spurt is over, or was never the newest.
    WrongSpurt,
    /// It is in; the earliest frame that waited was dropped for it.
    Full,
}

/// What the driver plays in one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playout {
    /// Decode and play.
    Frame(Bytes),
    /// Decode the redundancy (FEC) that `next` carries for the frame before it; `next` itself comes in the next tick.
    Fec {
        /// The packet after the lost one.
        next: Bytes,
    },
    /// Decode these frames, none to two, behind the sound that earlier ones left over, and play so much of it, more or less
    /// than 20 ms, in the 20 ms of this tick. What is left over, always less than 20 ms, sounds before what the next tick decodes.
    Stretch {
        /// The packets, in order.
        frames: Vec<Bytes>,
        /// How much of the sound: 10 to 24 ms.
        advance: Duration,
    },
    /// Nothing came: let the decoder conceal one frame.
    Conceal,
    /// Play what is left over, then silence.
    Silence,
    /// The spurt is over. Takes no time: ask again in the same tick.
    End(Spurt),
}

/// Counters and delays of a buffer since it was made.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// New frames taken in, hold beats included.
    pub received: u64,
    /// Frames played, hold beats not.
    pub played: u64,
    /// Frames that did not come by themselves in time and are played all the same: as repeats, or from the redundancy (FEC) of the next.
    pub repaired: u64,
    /// Ticks concealed.
    pub concealed: u64,
    /// Frames that came after their place had passed.
    pub late: u64,
    /// Frames that came again.
    pub duplicates: u64,
    /// Frames of a spurt that was not to be heard.
    pub foreign: u64,
    /// Frames dropped unplayed: buffer full, spurt cut, delay above one second.
    pub dropped: u64,
    /// Ticks played faster or slower than spoken.
    pub stretched: u64,
    /// Delay of the frame played last, against the fastest path.
    pub delay: Duration,
    /// Delay aimed for.
    pub target: Duration,
    /// Delay of every frame played, from its arrival to its tick.
    pub delays: Histogram,
}

/// Holds frames until they are due; the driver calls [`due`](Self::due) every 20 ms.
#[derive(Debug, Default)]
pub struct JitterBuffer {
    estimator: delay::Estimator,
    /// The spurt that plays, then those that wait for its end.
    bursts: VecDeque<Burst>,
    /// The newest number known, of a spurt or of an epoch that began in silence; only what is above it begins.
    newest: Option<Spurt>,
    ends: VecDeque<Spurt>,
    stats: Stats,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets every spurt and the base line of their numbers: a new session with the source of truth. No end is told.
    pub fn reset(&mut self) {
        *self = Self { estimator: self.estimator.clone(), stats: std::mem::take(&mut self.stats), ..Self::default() };
        self.estimator.reanchor();
    }

    /// The view granted the spurt. An earlier spurt whose end was not told has ended with what is here; frames that came
    /// before this call are kept. Numbers not above those known are ignored.
    pub fn start(&mut self, spurt: Spurt, now: Instant) {
        self.open(spurt, now);
    }

    /// Numbers go on from here in silence: a spurt above it is new, however many epochs have passed since one was heard.
    pub fn advance(&mut self, to: Spurt) {
        if self.newest.is_none_or(|newest| to.is_after(newest)) {
            self.newest = Some(to);
        }
    }

    /// Takes a frame in. A spurt above all known ones starts as by [`start`](Self::start).
    ///
    /// An empty payload is a hold beat: 20 ms of the source's silence. `last` marks the spurt's last frame.
    pub fn insert(&mut self, spurt: Spurt, seq: Seq, payload: Bytes, last: bool, now: Instant) -> Inserted {
        self.take(spurt, seq, payload, last, Came::Itself, now)
    }

    /// The same for a frame that may have come along with a later one.
    pub fn take(&mut self, spurt: Spurt, seq: Seq, payload: Bytes, last: bool, came: Came, now: Instant) -> Inserted {
        let Some(index) = self.open(spurt, now) else {
            self.stats.foreign += 1;
            return Inserted::WrongSpurt;
        };
        let plays = index == 0;
        let hold = payload.is_empty();
        let burst = &mut self.bursts[index];
        let inserted = burst.insert(seq, payload, came, now);
        if last && burst.last.is_none() {
            burst.last = Some(seq);
        }
        match inserted {
            Inserted::New | Inserted::Full => {
                self.stats.received += 1;
                self.stats.dropped += u64::from(inserted == Inserted::Full);
                if plays {
                    observe(&mut self.estimator, seq, hold, now);
                }
            }
            Inserted::Duplicate => self.stats.duplicates += 1,
            Inserted::Late | Inserted::WrongSpurt => self.stats.late += 1,
        }
        inserted
    }

    /// No frame after `last` will come (`None`: nobody knows which was the last). What is here is played out, missing
    /// frames are awaited for 200 ms at most.
    pub fn ended(&mut self, spurt: Spurt, last: Option<Seq>, now: Instant) {
        let Some(burst) = self.bursts.iter_mut().find(|burst| burst.spurt == spurt) else { return };
        burst.last = burst.last.or(last);
        burst.ended.get_or_insert(now);
    }

    /// Ends the spurt, and every earlier one, at once; what waited is dropped.
    pub fn cut(&mut self, spurt: Spurt) {
        // By place, not by number: half the circle of epochs apart, the first can count as newer than the one after the next.
        let over = self.bursts.iter().rposition(|burst| !burst.spurt.is_after(spurt)).map_or(0, |place| place + 1);
        for _ in 0..over {
            self.finish();
        }
        self.advance(spurt);
    }

    /// What to play in the tick at `now`; `None` before the first frame of a spurt is due: play nothing.
    ///
    /// Call it every 20 ms, and again in the same tick after [`Playout::End`].
    pub fn due(&mut self, now: Instant) -> Option<Playout> {
        if let Some(spurt) = self.ends.pop_front() {
            return Some(Playout::End(spurt));
        }
        let waits_behind = self.bursts.iter().skip(1).any(|later| !later.frames.is_empty());
        let burst = self.bursts.front_mut()?;
        let mut player = Player { burst, estimator: &self.estimator, stats: &mut self.stats, waits_behind };
        match player.tick(now) {
            Tick::Play(playout) => Some(playout),
            Tick::Nothing => None,
            Tick::Over => {
                self.finish();
                self.ends.pop_front().map(Playout::End)
            }
        }
    }

    /// The spurt that plays, or will play next.
    pub fn playing(&self) -> Option<Spurt> {
        self.bursts.front().map(|burst| burst.spurt)
    }

    /// Whether anything plays or waits, so that ticks are needed.
    pub fn is_active(&self) -> bool {
        !self.bursts.is_empty() || !self.ends.is_empty()
    }

    /// Whether a frame waits to be played.
    pub fn holds_frames(&self) -> bool {
        self.bursts.iter().any(|burst| !burst.frames.is_empty())
    }

    /// Counters and delays.
    pub fn stats(&self) -> Stats {
        Stats { target: self.estimator.target(), ..self.stats.clone() }
    }

    /// Finds the spurt or, if it is newer than all, makes room for it; `None` if it must not be heard.
    fn open(&mut self, spurt: Spurt, now: Instant) -> Option<usize> {
        if let Some(index) = self.bursts.iter().position(|burst| burst.spurt == spurt) {
            return Some(index);
        }
        if self.newest.is_some_and(|newest| !spurt.is_after(newest) && !planted::is(Fault::PlaysWhatIsOver)) {
            return None;
        }
        if let Some(before) = self.bursts.back_mut() {
            before.ended.get_or_insert(now);
        }
        if self.bursts.len() == BURSTS_MAX {
            // One that waits without a frame makes room first.
            match self.bursts.iter().skip(1).position(|burst| burst.frames.is_empty()) {
                Some(place) => drop(self.bursts.remove(place + 1)),
                None => self.finish(),
            }
        }
        if self.bursts.is_empty() {
            self.estimator.reanchor();
        }
        self.newest = Some(spurt);
        self.bursts.push_back(Burst::new(spurt));
        Some(self.bursts.len() - 1)
    }

    /// Ends the spurt that plays; the next one's arrivals, seen so far only by it, set the new time scale.
    fn finish(&mut self) {
        let Some(done) = self.bursts.pop_front() else { return };
        self.stats.dropped += u64::try_from(done.frames.len()).unwrap_or(u64::MAX);
        if self.ends.len() == ENDS_MAX {
            self.ends.pop_front();
        }
        self.ends.push_back(done.spurt);
        self.estimator.reanchor();
        if let Some(next) = self.bursts.front() {
            for (seq, frame) in &next.frames {
                observe(&mut self.estimator, Seq(*seq), frame.payload.is_empty(), frame.arrived);
            }
        }
    }
}

/// Feeds an arrival to the estimator.
fn observe(estimator: &mut delay::Estimator, seq: Seq, hold: bool, at: Instant) {
    if hold {
        estimator.pause();
    } else {
        estimator.observe(seq, at);
    }
}
