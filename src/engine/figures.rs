//! How long things took, counted by bounds: what a gateway publishes of its service without keeping each case.
//!
//! A histogram is an array of fixed size, whatever it counts. Nothing reads it back to decide anything.

use std::time::Duration;

/// How many bounds a histogram has.
pub const BOUNDS: usize = 12;

/// Upper bounds, rising; a time that is equal to one counts below it.
pub type Bounds = [Duration; BOUNDS];

const fn micros(bounds: [u64; BOUNDS]) -> Bounds {
    let mut out = [Duration::ZERO; BOUNDS];
    let mut at = 0;
    while at < BOUNDS {
        out[at] = Duration::from_micros(bounds[at]);
        at += 1;
    }
    out
}

/// For what passes one gateway: from a quiet one to the deadline of voice and the seconds that a message may wait.
pub static HOP: Bounds = micros([100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000, 200_000, 1_000_000]);

/// For what somebody waits for, from a press on loopback to a place in a long queue.
pub static WAIT: Bounds =
    micros([2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 150_000, 200_000, 300_000, 1_000_000, 5_000_000, 30_000_000]);

/// Times counted by bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    bounds: &'static Bounds,
    counts: [u64; BOUNDS],
    /// Of what took longer than the last bound.
    over: u64,
    sum: Duration,
}

impl Histogram {
    /// Nothing counted yet.
    pub const fn new(bounds: &'static Bounds) -> Self {
        Self { bounds, counts: [0; BOUNDS], over: 0, sum: Duration::ZERO }
    }

    /// One more.
    pub fn note(&mut self, took: Duration) {
        let place = self.bounds.partition_point(|bound| *bound < took);
        *self.counts.get_mut(place).unwrap_or(&mut self.over) += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// All that another one with the same bounds has counted.
    pub fn add(&mut self, other: &Self) {
        debug_assert_eq!(self.bounds, other.bounds, "other bounds, other figures");
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.over += other.over;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.over
    }

    /// Of those, how many took longer than a limit, which is one of the bounds.
    pub fn above(&self, limit: Duration) -> u64 {
        debug_assert!(self.bounds.contains(&limit), "a limit between two bounds cannot be told");
        let within = self.buckets().take_while(|(bound, _)| *bound <= limit);
        self.count() - within.map(|(_, count)| count).sum::<u64>()
    }

    /// All times together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Each bound with how many took at most so long and longer than the bound before.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.bounds.iter().copied().zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_time_counts_at_the_first_bound_that_is_not_below_it() {
        let mut times = Histogram::new(&WAIT);
        for time in [MS(0), MS(2), MS(3), MS(300), MS(301), MS(31_000)] {
            times.note(time);
        }
        let counted: Vec<(u64, u64)> =
            times.buckets().filter(|(_, n)| *n > 0).map(|(b, n)| (b.as_millis().try_into().unwrap(), n)).collect();
        assert_eq!(counted, [(2, 2), (5, 1), (300, 1), (1_000, 1)]);
        assert_eq!((times.count(), times.above(MS(300)), times.sum()), (6, 2, MS(31_606)));
    }

    #[test]
    fn two_are_added_and_bounds_rise() {
        let (mut one, mut other) = (Histogram::new(&HOP), Histogram::new(&HOP));
        one.note(MS(20));
        other.note(MS(21));
        other.note(MS(5_000));
        one.add(&other);
        assert_eq!((one.count(), one.above(MS(20)), one.sum()), (3, 2, MS(5_041)));
        for bounds in [&HOP, &WAIT] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
