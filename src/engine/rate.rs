//! Rates: how often somebody may do something, and whether one more fits.
//!
//! Off the data path, before it: whoever judges units and peers keeps one [`Cell`] for each thing that they may not do at will.

use std::time::{Duration, Instant};

/// One per `every`, at most `burst` at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) every: Duration,
    pub(crate) burst: u32,
}

impl Rate {
    /// The same for so many.
    pub(crate) fn times(self, many: u32) -> Self {
        Self { every: self.every / many.max(1), burst: self.burst.saturating_mul(many.max(1)) }
    }
}

/// The generic cell rate algorithm (ITU-T I.371): one instant tells how much was used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell {
    /// When everything taken so far is paid off.
    paid: Option<Instant>,
}

impl Cell {
    /// Whether one more fits.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let paid = self.paid.map_or(now, |paid| paid.max(now));
        let fits = paid.saturating_duration_since(now) <= rate.every * (rate.burst - 1);
        if fits {
            self.paid = Some(paid + rate.every);
        }
        fits
    }

    /// Whether nothing of it is used any more.
    pub(crate) fn is_paid(self, now: Instant) -> bool {
        self.paid.is_none_or(|paid| paid <= now)
    }
}
