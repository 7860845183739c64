//! How long the jitter buffer holds a frame: measures the path's jitter and sets the target.
//!
//! In the data path: fed by [`JitterBuffer::insert`](super::JitterBuffer::insert) with every new voice frame's arrival, asked
//! at every playout tick.
//!
//! A frame's *transit* is its arrival less its place in the spurt. The smallest transit of the last seconds is the path's
//! floor, and a frame's jitter is what it arrived above the floor known **so far**. The order matters: the burst of an
//! instant start comes in at once, so each of its frames only lowers the floor and none counts as late.

use std::time::{Duration, Instant};

use wire::Seq;

use super::FRAME;

/// Least target: a tick's phase and 10 ms for the scheduling of two machines.
pub const TARGET_MIN: Duration = Duration::from_millis(30);
/// Target before anything is known of the path; with the phase of the tick it holds a frame for 20 to 40 ms.
pub const TARGET_START: Duration = Duration::from_millis(40);
/// Largest target; a path with more jitter loses frames rather than the conversation.
pub const TARGET_MAX: Duration = Duration::from_millis(400);

/// The share of frames that shall arrive before their turn; the rest costs a concealed frame, not a lost one.
const ON_TIME_PERCENT: u8 = 97;
/// Samples after which older ones count half: 10 s of voice.
const MEMORY_SAMPLES: u32 = 500;
/// Fewer samples say nothing about the path.
const SAMPLES_MIN: u32 = 25;
/// Frames over which the floor is remembered at least; at most twice that. A longer route is accepted after 5 to 10 s.
const FLOOR_FRAMES: u16 = 250;

/// Estimates the path's jitter; its histogram outlives the spurt, its floor does not.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimator {
    jitter: Histogram,
    anchor: Option<Anchor>,
}

/// The zero of the transit scale and the floors measured on it, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    at: Instant,
    seq: Seq,
    floor: i64,
    /// Floor of the window before this one.
    floor_before: i64,
    frames: u16,
}

impl Anchor {
    fn transit(&self, seq: Seq, at: Instant) -> i64 {
        // A later anchor sees frames from before it: both terms may be negative.
        let elapsed = match at.checked_duration_since(self.at) {
            Some(after) => micros(after),
            None => -micros(self.at.saturating_duration_since(at)),
        };
        elapsed - (i64::from(seq.0) - i64::from(self.seq.0)) * micros(FRAME)
    }

    fn lowest(&self) -> i64 {
        self.floor.min(self.floor_before)
    }
}

impl Estimator {
    /// Forgets the time scale: a new spurt, or sound after the source's silence. The jitter seen stays known.
    pub(super) fn reanchor(&mut self) {
        self.anchor = None;
    }

    /// A new voice frame arrived.
    pub(super) fn observe(&mut self, seq: Seq, now: Instant) {
        let Some(anchor) = &mut self.anchor else {
            self.anchor = Some(Anchor { at: now, seq, floor: 0, floor_before: 0, frames: 0 });
            return;
        };
        let transit = anchor.transit(seq, now);
        let jitter = transit - anchor.lowest();
        anchor.floor = anchor.floor.min(transit);
        anchor.frames += 1;
        if anchor.frames == FLOOR_FRAMES {
            (anchor.floor_before, anchor.floor, anchor.frames) = (anchor.floor, transit, 0);
        }
        if self.jitter.total() >= MEMORY_SAMPLES {
            self.jitter.halve();
        }
        self.jitter.add(Duration::from_micros(u64::try_from(jitter).unwrap_or(0)));
    }

    /// The delay to aim for at a playout tick; a frame is held between 20 ms less and this.
    pub(super) fn target(&self) -> Duration {
        if self.jitter.total() < SAMPLES_MIN {
            return TARGET_START;
        }
        (self.jitter.percentile(ON_TIME_PERCENT) + TARGET_MIN).min(TARGET_MAX)
    }

    /// How long ago the frame would have come over the path at its fastest; zero before the first frame.
    pub(super) fn delay(&self, seq: Seq, now: Instant) -> Duration {
        let Some(anchor) = &self.anchor else { return Duration::ZERO };
        Duration::from_micros(u64::try_from(anchor.transit(seq, now) - anchor.lowest()).unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Width of a histogram step.
const STEP: Duration = Duration::from_millis(5);
/// Steps: up to 500 ms, and one for everything above.
const STEPS: usize = 101;

/// Counts of durations in steps of 5 ms up to 500 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; STEPS],
    total: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; STEPS], total: 0 }
    }
}

impl Histogram {
    /// Counts a duration; at four billion the old ones count half.
    pub(super) fn add(&mut self, sample: Duration) {
        if self.total == u32::MAX {
            self.halve();
        }
        let step = usize::try_from(sample.as_micros() / STEP.as_micros()).unwrap_or(STEPS).min(STEPS - 1);
        self.counts[step] += 1;
        self.total += 1;
    }

    /// Halves every count.
    fn halve(&mut self) {
        for count in &mut self.counts {
            *count /= 2;
        }
        self.total = self.counts.iter().sum();
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.total = self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
    }

    /// Durations counted.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The duration that `percent` of the samples do not exceed, rounded up to 5 ms; zero without samples.
    pub fn percentile(&self, percent: u8) -> Duration {
        let wanted = (u64::from(self.total) * u64::from(percent.min(100))).div_ceil(100);
        let mut seen = 0;
        let mut edge = Duration::ZERO;
        for count in &self.counts {
            if seen >= wanted {
                break;
            }
            seen += u64::from(*count);
            edge += STEP;
        }
        edge
    }
}
