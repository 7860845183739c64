//! How many refusals a second are told: a flood of strangers must not crowd the call records out.
//!
//! Off the data path, between the driver and its reporter. The first refusals of each second are told one by one, with
//! their address; the rest are only counted, and the count is told when the second is over.

use std::time::{Duration, Instant};

/// Refusals told one by one per window.
const TOLD_MAX: u32 = 20;
/// What the limit counts over.
const WINDOW: Duration = Duration::from_secs(1);

/// The refusals of the window that runs.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Refusals {
    /// Whether this refusal is to be told; otherwise it has been counted.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        self.since.get_or_insert(now);
        if self.told < TOLD_MAX {
            self.told += 1;
            true
        } else {
            self.untold += 1;
            false
        }
    }

    /// Ends a window that is over: how many refusals of it went untold, if any did.
    pub(crate) fn take_untold(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since?) < WINDOW {
            return None;
        }
        let untold = std::mem::take(self).untold;
        (untold > 0).then_some(untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_in_part_and_counted_whole() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let told = (0..1_000).filter(|_| refusals.admit(start)).count();
        assert_eq!(told, 20);
        assert_eq!(refusals.take_untold(start + Duration::from_millis(999)), None);
        assert_eq!(refusals.take_untold(start + WINDOW), Some(980));
        assert_eq!(refusals.take_untold(start + WINDOW), None, "counted once");
        assert!(refusals.admit(start + WINDOW), "the next window begins empty");
    }

    #[test]
    fn a_few_refusals_are_all_told() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        assert!((0..20).all(|_| refusals.admit(start)));
        assert_eq!(refusals.take_untold(start + WINDOW), None);
    }
}
