//! How long the jitter buffer holds a frame: measures the path's jitter and sets the target.
//!
//! In the data path: fed by [`JitterBuffer::insert`](super::JitterBuffer::insert) with every new voice frame's arrival, asked
//! at every playout tick.
//!
//! A frame's *transit* is its arrival less its place in the spurt, and the smallest one of the last 5 s is the path at its
//! fastest. What a frame took longer is judged by the fastest known **when it came** or known **now**, whichever says less:
//! the burst of an instant start only lowers the fastest, and after a longer route only the new one counts.
//!
//! A frame that is missing counts as well, at the moment when its redundancy comes with the next one: on a path that loses,
//! waiting for that pays. The target is where a millisecond more would cost more than the frames it saves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::Seq;

use super::{FRAME, SLACK};

/// Least target: with the phase of the tick a delay of 15 to 35 ms. That covers the scheduling of two machines, and mostly the frame after
/// a lost one.
pub const TARGET_MIN: Duration = Duration::from_millis(25);
/// Target before anything is known of the path; near enough to the least one not to be steered to it.
pub const TARGET_START: Duration = Duration::from_millis(30);
/// Largest target; a path with more jitter loses frames rather than the conversation.
pub const TARGET_MAX: Duration = Duration::from_millis(400);

/// Delay that is worth having one frame in a hundred in time.
const WORTH_OF_A_PERCENT: Duration = Duration::from_millis(20);
/// The delay may be so much below the target before it is steered back; a frame shall be in time then too.
const MARGIN: Duration = SLACK;
/// Frames remembered: 5 s of voice. A disturbance is forgotten after that, whatever it was.
const MEMORY: usize = 250;
/// Fewer samples say nothing about the path.
const SAMPLES_MIN: usize = 10;

/// Estimates the path's jitter; what it remembers outlives the spurt, its time scale does not.
#[derive(Clone, Debug)]
pub(super) struct Estimator {
    anchor: Option<Anchor>,
    samples: VecDeque<Sample>,
    /// The source is silent: the next frame begins a new time scale.
    silent: bool,
    target: Duration,
}

impl Default for Estimator {
    fn default() -> Self {
        Self { anchor: None, samples: VecDeque::new(), silent: false, target: TARGET_START }
    }
}

/// How long one frame took, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Above the fastest that was known when it came.
    above: i64,
    /// On the present time scale; of an earlier one only the above is left.
    transit: Option<i64>,
}

impl Sample {
    fn jitter(&self, fastest: i64) -> i64 {
        self.transit.map_or(self.above, |transit| self.above.min(transit - fastest))
    }
}

/// The zero of the transit scale.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    at: Instant,
    seq: Seq,
    /// Least transit remembered.
    fastest: i64,
    newest: Seq,
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
}

impl Estimator {
    /// Forgets the time scale: a new spurt, or sound after the source's silence. The jitter seen stays known.
    pub(super) fn reanchor(&mut self) {
        self.silent = false;
        let Some(anchor) = self.anchor.take() else { return };
        for sample in &mut self.samples {
            *sample = Sample { above: sample.jitter(anchor.fastest), transit: None };
        }
    }

    /// A hold beat arrived: it says nothing about the path, and the source may start again at any time after it.
    pub(super) fn pause(&mut self) {
        self.silent = true;
    }

    /// A new voice frame arrived.
    pub(super) fn observe(&mut self, seq: Seq, now: Instant) {
        if self.silent {
            self.reanchor();
        }
        let anchor = *self.anchor.get_or_insert(Anchor { at: now, seq, fastest: 0, newest: seq });
        let transit = anchor.transit(seq, now);
        self.remember(Sample { above: (transit - anchor.fastest).max(0), transit: Some(transit) });
        if i32::from(seq.0) - i32::from(anchor.newest.0) == 2 {
            let copy = transit + micros(FRAME);
            self.remember(Sample { above: (copy - anchor.fastest).max(0), transit: Some(copy) });
        }
        let fastest = self.samples.iter().filter_map(|sample| sample.transit).min().unwrap_or(transit);
        self.anchor = Some(Anchor { fastest, newest: anchor.newest.max(seq), ..anchor });
        self.target = self.best(fastest);
    }

    fn remember(&mut self, sample: Sample) {
        if self.samples.len() == MEMORY {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// The target that costs least: itself, and what the frames that come later than it are worth.
    fn best(&self, fastest: i64) -> Duration {
        let total = self.samples.len();
        if total < SAMPLES_MIN {
            return TARGET_START;
        }
        let mut counts = [0_usize; STEPS];
        for sample in &self.samples {
            counts[step(Duration::from_micros(u64::try_from(sample.jitter(fastest)).unwrap_or(0)))] += 1;
        }
        let mut late = total;
        let costs = counts.iter().zip(0_u32..).map(|(count, step)| {
            late -= count;
            let share = u32::try_from(100 * late).unwrap_or(u32::MAX);
            (STEP * step + WORTH_OF_A_PERCENT * share / u32::try_from(total).unwrap_or(u32::MAX), STEP * step)
        });
        let (_, best) = costs.min().unwrap_or_default();
        (best + MARGIN).clamp(TARGET_MIN, TARGET_MAX)
    }

    /// The delay to aim for.
    pub(super) fn target(&self) -> Duration {
        self.target
    }

    /// How long ago the frame would have come over the path at its fastest; zero before the first frame.
    pub(super) fn delay(&self, seq: Seq, now: Instant) -> Duration {
        let Some(anchor) = &self.anchor else { return Duration::ZERO };
        Duration::from_micros(u64::try_from(anchor.transit(seq, now) - anchor.fastest).unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Width of a histogram step.
const STEP: Duration = Duration::from_millis(5);
/// Steps: up to 500 ms, and one for everything above.
const STEPS: usize = 101;

/// The step at whose beginning so much has passed: rounded up, so that nothing is one step.
fn step(duration: Duration) -> usize {
    usize::try_from(duration.as_micros().div_ceil(STEP.as_micros())).unwrap_or(STEPS).min(STEPS - 1)
}

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
        self.counts[usize::try_from(sample.as_micros() / STEP.as_micros()).unwrap_or(STEPS).min(STEPS - 1)] += 1;
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
