//! What all links have sent and dropped since the start, those that have ended included: a counter that is published never falls.
//!
//! Beside the data path. Each link's driver handle and pump write into a [`Tally`] of their own; whoever publishes adds them up. One
//! that nobody writes any more goes into the sum of its kind, so the ledger is as long as there are live links and peers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine::sched;
use transport::link::Counters;
use wire::{Identity, Kind};

/// Whose links are added up: those to a peer, or to all units (`None`), for nobody's name goes into figures.
pub(crate) type Side = Option<Identity>;

/// What one link has moved.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Of the connection.
    pub(crate) counters: Arc<Counters>,
    stats: Mutex<sched::Stats>,
    not_taken: AtomicU64,
    stale: AtomicU64,
}

impl Tally {
    /// The scheduler's counters as they were shown last.
    pub(crate) fn stats(&self) -> sched::Stats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pump shows its scheduler's counters.
    pub(crate) fn show(&self, stats: sched::Stats) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }

    /// A frame or signal was dropped because the pump did not keep up.
    pub(crate) fn not_taken(&self) {
        self.not_taken.fetch_add(1, Ordering::Relaxed);
    }

    /// A frame was dropped because it had waited through a pause of the gateway.
    pub(crate) fn stale(&self) {
        self.stale.fetch_add(1, Ordering::Relaxed);
    }

    /// What never came to the scheduler.
    pub(crate) fn dropped(&self) -> u64 {
        self.not_taken.load(Ordering::Relaxed) + self.stale.load(Ordering::Relaxed)
    }
}

/// What the links of one side have moved together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Of their schedulers.
    pub(crate) stats: sched::Stats,
    /// Dropped because a pump did not keep up.
    pub(crate) not_taken: u64,
    /// Dropped after a pause of the gateway.
    pub(crate) stale: u64,
    /// Dropped because the driver did not keep up with what came in.
    pub(crate) inbound: u64,
    /// Dropped because no packet of the path can carry them.
    pub(crate) oversized: u64,
}

impl Totals {
    fn add(&mut self, tally: &Tally) {
        let moved = tally.counters.stats();
        self.stats.add(&tally.stats());
        self.not_taken += tally.not_taken.load(Ordering::Relaxed);
        self.stale += tally.stale.load(Ordering::Relaxed);
        self.inbound += moved.datagrams_dropped_inbound;
        self.oversized += moved.datagrams_oversized;
    }
}

/// The tallies of all links.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    live: Vec<(Side, Arc<Tally>)>,
    ended: BTreeMap<Side, Totals>,
}

impl Ledger {
    /// A tally for a new link.
    pub(crate) fn open(&mut self, far: &Identity) -> Arc<Tally> {
        let side = (far.kind == Kind::Gateway).then(|| far.clone());
        self.live.push((side, Arc::default()));
        self.live.last().map(|(_, tally)| Arc::clone(tally)).unwrap_or_default()
    }

    /// Everything until now.
    pub(crate) fn totals(&mut self) -> BTreeMap<Side, Totals> {
        let ended = &mut self.ended;
        self.live.retain_mut(|(side, tally)| match Arc::get_mut(tally) {
            // Nobody else holds it: its last word is said.
            Some(tally) => {
                ended.entry(side.clone()).or_default().add(tally);
                false
            }
            None => true,
        });
        let mut totals = self.ended.clone();
        for (side, tally) in &self.live {
            totals.entry(side.clone()).or_default().add(tally);
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use engine::sched::line::Line;
    use wire::packet::Room;

    use super::*;

    fn beats(line: &mut Line, count: usize) -> sched::Stats {
        let now = Instant::now();
        for _ in 0..count {
            line.signal(bytes::Bytes::from_static(b"beat"), now).unwrap();
            while matches!(line.next(now + Duration::from_secs(1), Room::ALL), sched::Next::Item { .. }) {}
        }
        line.stats()
    }

    #[test]
    fn links_of_units_are_one_sum_that_outlives_them_and_never_falls() {
        let mut ledger = Ledger::default();
        let signals = |totals: &BTreeMap<Side, Totals>, side: &Side| {
            let signal = totals[side].stats.of(sched::Class::Signal);
            (signal.sent + signal.dropped_late, totals[side].not_taken)
        };
        let units = ["nl/unit/a", "nl/dispatcher/b"].map(|name| ledger.open(&name.parse().unwrap()));
        let gateway: Identity = "be/gateway/gw-1".parse().unwrap();
        let peer = ledger.open(&gateway);
        for (tally, count) in units.iter().zip([3, 4]) {
            tally.show(beats(&mut Line::new(None), count));
        }
        units[0].not_taken();
        peer.show(beats(&mut Line::new(None), 1));
        let before = ledger.totals();
        assert_eq!((before.len(), signals(&before, &None), signals(&before, &Some(gateway.clone()))), (2, (7, 1), (1, 0)));
        let [first, second] = units;
        drop(first);
        assert_eq!(ledger.totals(), before);
        assert_eq!((ledger.totals(), ledger.live.len()), (before, 2));
        second.show(beats(&mut Line::new(None), 5));
        drop(second);
        assert_eq!(signals(&ledger.totals(), &None), (8, 1));
    }
}
