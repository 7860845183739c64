//! Hold-down of a flapping border link: one that keeps falling is left down for a while, so that views stop changing hands.
//!
//! In the data path: beside it; the hub asks before it lets a peer's new session in or dials.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Falls inside [`WINDOW`] that hold a link down.
pub const FALLS: usize = 3;
/// The time over which falls are counted.
pub const WINDOW: Duration = Duration::from_secs(30);
/// How long the link then stays down.
pub const HOLD: Duration = Duration::from_secs(10);

/// Remembers the last falls of one link.
#[derive(Clone, Debug, Default)]
pub struct HoldDown {
    /// At most [`FALLS`], oldest first.
    falls: VecDeque<Instant>,
}

impl HoldDown {
    /// A link that never fell.
    pub fn new() -> Self {
        Self::default()
    }

    /// The link fell. A fall right after a hold counts with those before it, so a link that still flaps is held again.
    pub fn handle_fall(&mut self, now: Instant) {
        if self.falls.len() == FALLS {
            self.falls.pop_front();
        }
        self.falls.push_back(now);
    }

    /// Until when the link is held down; `None`: it may come up.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        let (first, last) = (self.falls.front()?, self.falls.back()?);
        let flaps = self.falls.len() == FALLS && last.saturating_duration_since(*first) <= WINDOW;
        Some(*last + HOLD).filter(|until| flaps && now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
    fn epoch() -> Instant {
        Instant::now()
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_third_fall_in_thirty_seconds_holds_for_ten() {
        let start = epoch();
        let mut link = HoldDown::new();
        for at in [0, 15] {
            link.handle_fall(start + s(at));
            assert_eq!(link.held_until(start + s(at)), None);
        }
        link.handle_fall(start + s(30));
        assert_eq!(link.held_until(start + s(30)), Some(start + s(40)));
        assert_eq!(link.held_until(start + s(40)), None);
    }

    #[test]
    fn falls_far_apart_do_not_hold() {
        let start = epoch();
        let mut link = HoldDown::new();
        for at in [0, 15, 31, 50, 80] {
            link.handle_fall(start + s(at));
            assert_eq!(link.held_until(start + s(at)), None, "fall at {at} s");
        }
    }

    #[test]
    fn a_link_that_falls_again_after_its_hold_is_held_again() {
        let start = epoch();
        let mut link = HoldDown::new();
        for at in [0, 1, 2, 13] {
            link.handle_fall(start + s(at));
        }
        assert_eq!(link.held_until(start + s(14)), Some(start + s(23)));
    }
}
