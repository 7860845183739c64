//! The guaranteed share of a data class: what keeps it from starving behind voice.
//!
//! In the data path: one per class inside the [`Scheduler`](super::Scheduler), which says what was sent and asks whether
//! the class is owed a packet. The rule stands in the [module's doc](super).

use std::time::{Duration, Instant};

/// A waiting class is owed one byte for each so many that others send: 6.7 % of the link, so that 5 % hold over any second
/// although [`PATIENCE`] may have passed first and other shares may be due at the same time.
const SHARE_DIVISOR: u64 = 14;

/// How long an owed packet looks for a gap between control and emergency voice before it makes one.
const PATIENCE: Duration = Duration::from_millis(200);

/// The account of one class.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// IP bytes sent by others while this class waited, less what it has had (times the divisor).
    credit: u64,
    owed_since: Option<Instant>,
}

impl Share {
    /// Another class sent a packet while this one waited with a packet of `head_cost`.
    pub(super) fn on_other_sent(&mut self, cost: u64, head_cost: u64, now: Instant) {
        self.credit = self.credit.saturating_add(cost);
        self.review(head_cost, now);
    }

    /// This class sent a packet; `head_cost` is its next one's, `None` when nothing waits any more.
    pub(super) fn on_sent(&mut self, cost: u64, head_cost: Option<u64>, now: Instant) {
        match head_cost {
            None => *self = Self::default(),
            Some(head_cost) => {
                self.credit = self.credit.saturating_sub(cost.saturating_mul(SHARE_DIVISOR));
                self.review(head_cost, now);
            }
        }
    }

    /// Whether a whole packet is owed.
    pub(super) fn is_owed(&self) -> bool {
        self.owed_since.is_some()
    }

    /// Whether it has been owed so long that even vital traffic lets one packet pass.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.owed_since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE)
    }

    fn review(&mut self, head_cost: u64, now: Instant) {
        if self.credit < head_cost.saturating_mul(SHARE_DIVISOR) {
            self.owed_since = None;
        } else if self.owed_since.is_none() {
            self.owed_since = Some(now);
        }
    }
}
