//! Which live sessions are still to be judged by the trust in force, and how many at a time.
//!
//! Beside the data path, on the voice thread: a sweep of thousands of certificates must neither hold up a voice frame nor
//! leave a revoked session alive for more than 5 s.

use std::collections::BTreeSet;
use std::time::Duration;

use wire::SessionId;

/// Pause between two slices.
pub(crate) const SLICE_EVERY: Duration = Duration::from_millis(10);
/// Fewest sessions of a slice: less than a millisecond of work.
const SLICE_MIN: usize = 8;
/// Most slices of one sweep: 3 s of the 5, the rest is for the work itself. 20,000 sessions make slices of 67, some 5 ms.
const SLICES_MAX: usize = 300;

/// The sessions that wait for their judgement.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    waiting: BTreeSet<SessionId>,
    slice: usize,
}

impl Sweep {
    /// Judges these anew.
    pub(crate) fn extend(&mut self, sessions: impl IntoIterator<Item = SessionId>) {
        self.waiting.extend(sessions);
        self.slice = self.slice.max(self.waiting.len().div_ceil(SLICES_MAX)).max(SLICE_MIN);
    }

    /// Whether nobody waits.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Who is to be judged now.
    pub(crate) fn next_slice(&mut self) -> Vec<SessionId> {
        let slice = (0..self.slice).map_while(|_| self.waiting.pop_first()).collect();
        if self.waiting.is_empty() {
            self.slice = 0;
        }
        slice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_of_any_size_takes_at_most_three_seconds_and_misses_nobody() {
        for count in [1, 7, 2_400, 3_001, 10_000, 20_000] {
            let mut sweep = Sweep::default();
            sweep.extend((0..count).map(SessionId));
            let (mut slices, mut judged) = (0, Vec::new());
            while !sweep.is_over() {
                slices += 1;
                judged.extend(sweep.next_slice());
            }
            assert!(slices * SLICE_EVERY <= Duration::from_secs(3), "{count} sessions take {slices} slices");
            assert_eq!(judged, (0..count).map(SessionId).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_new_sweep_inside_one_begins_anew_and_small_ones_stay_small() {
        let mut sweep = Sweep::default();
        sweep.extend((0..9_000).map(SessionId));
        assert_eq!(sweep.next_slice().len(), 30);
        sweep.extend((0..9_000).map(SessionId));
        while !sweep.is_over() {
            sweep.next_slice();
        }
        sweep.extend((0..20).map(SessionId));
        assert_eq!(sweep.next_slice().len(), SLICE_MIN);
    }
}
