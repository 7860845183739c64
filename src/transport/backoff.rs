//! The pause between two attempts to reach a gateway: doubling, capped, jittered.
//!
//! Stands beside the dialler. The jitter keeps a thousand units from coming back in the same instant after a gateway's restart.

use std::time::Duration;

use rand::Rng;

/// First pause.
pub const FIRST: Duration = Duration::from_millis(100);
/// Longest pause.
pub const CAP: Duration = Duration::from_secs(5);

/// A jittered exponential back-off: each pause lies between half of its step and the whole step.
#[derive(Clone, Debug)]
pub struct Backoff {
    step: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { step: FIRST }
    }
}

impl Backoff {
    /// The pause before the next attempt; the step after it is twice as long, up to [`CAP`].
    pub fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let step = self.step;
        self.step = (step * 2).min(CAP);
        step.mul_f64(rng.random_range(0.5..=1.0))
    }

    /// Starts over, after an attempt that led to a session.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    #[test]
    fn pauses_double_to_the_cap_and_stay_in_the_upper_half() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut backoff = Backoff::default();
        let mut step = FIRST;
        let mut seen = Vec::new();
        for _ in 0..20 {
            let pause = backoff.next(&mut rng);
            assert!(pause >= step / 2 && pause <= step, "{pause:?} of {step:?}");
            seen.push(pause);
            step = (step * 2).min(CAP);
        }
        assert_eq!(step, CAP);
        assert!(seen[10..].windows(2).any(|pair| pair[0] != pair[1]), "no jitter");
        backoff.reset();
        assert!(backoff.next(&mut rng) <= FIRST);
    }
}
