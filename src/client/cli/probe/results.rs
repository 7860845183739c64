//! What the probe measured against what the design demands.

use std::fmt;

use serde::Serialize;
use talkbridge_client::Report;
use wire::Authority;

use super::entry::Entry;
use super::round::Round;

/// Press to grant, 95th percentile, own authority.
const ACCESS_LOCAL_MS: f64 = 5.0;
/// The same across a border.
const ACCESS_BORDER_MS: f64 = 10.0;
/// Mouth to ear without devices, 95th percentile.
const MOUTH_TO_EAR_MS: f64 = 90.0;
/// Late entry, 95th percentile.
const LATE_ENTRY_MS: f64 = 80.0;
/// Level of the first and last 100 ms.
const EDGE_DB: f64 = 3.0;

/// The demands on this pair of units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    access_ms: f64,
}

impl Limits {
    pub(super) fn between(near: &Authority, far: &Authority) -> Self {
        Self { access_ms: if near == far { ACCESS_LOCAL_MS } else { ACCESS_BORDER_MS } }
    }
}

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
struct Row {
    what: &'static str,
    p50_ms: f64,
    p95_ms: f64,
    limit_ms: f64,
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Summary {
    event: &'static str,
    #[serde(skip)]
    pub(super) rounds: Vec<Round>,
    #[serde(skip)]
    pub(super) joins: Vec<Entry>,
    spurts: usize,
    late_entries: usize,
    rows: Vec<Row>,
    /// Spurts of which a frame at either end was not played.
    clipped_spurts: usize,
    /// The largest difference of level at an end, in dB.
    edge_db: f64,
    frames_sent: usize,
    frames_lost: usize,
    frames_repaired: u64,
    frames_late: u64,
    /// What misses its limit, as a sentence.
    pub(super) breaches: Vec<String>,
}

impl Summary {
    /// Fills in the table and names the breaches.
    pub(super) fn judge(&mut self, limits: Limits, far: Option<&Report>) {
        self.event = "summary";
        self.spurts = self.rounds.len();
        self.late_entries = self.joins.len();
        self.rows = vec![
            row("press to grant", self.rounds.iter().map(|round| round.access_ms), limits.access_ms),
            row("mouth to ear", self.rounds.iter().filter_map(|round| round.mouth_to_ear_ms), MOUTH_TO_EAR_MS),
            row("late entry", self.joins.iter().map(|entry| entry.late_entry_ms), LATE_ENTRY_MS),
        ];
        self.clipped_spurts = self.rounds.iter().filter(|round| round.clipped_first + round.clipped_last > 0).count();
        let edges = self.rounds.iter().flat_map(|round| [round.energy_first_db, round.energy_last_db]);
        self.edge_db = edges.flatten().map(f64::abs).fold(0.0, f64::max);
        self.frames_sent = self.rounds.iter().map(|round| round.sent).sum();
        self.frames_lost = self.rounds.iter().map(|round| round.lost).sum();
        (self.frames_repaired, self.frames_late) = far.map_or((0, 0), |far| (far.frames_repaired, far.frames_late));

        let slow = |row: &Row| format!("{}: p95 {:.1} ms, limit {} ms", row.what, row.p95_ms, row.limit_ms);
        self.breaches = self.rows.iter().filter(|row| row.p95_ms > row.limit_ms).map(slow).collect();
        let silent = self.rounds.iter().filter(|round| round.mouth_to_ear_ms.is_none()).count();
        if silent > 0 {
            self.breaches.push(format!("{silent} of {} spurts were not heard", self.spurts));
        }
        if self.clipped_spurts > 0 {
            self.breaches.push(format!("{} of {} spurts were clipped, limit 0", self.clipped_spurts, self.spurts));
        }
        if self.edge_db > EDGE_DB {
            self.breaches.push(format!("first or last 100 ms: {} dB off, limit {EDGE_DB} dB", self.edge_db));
        }
    }
}

fn row(what: &'static str, values: impl Iterator<Item = f64>, limit_ms: f64) -> Row {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    Row { what, p50_ms: percentile(&values, 50), p95_ms: percentile(&values, 95), limit_ms }
}

/// The value that `percent` of the sorted ones do not exceed; 0 of none.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} {:>9} {:>9} {:>9}", "", "p50 ms", "p95 ms", "limit ms")?;
        for Row { what, p50_ms, p95_ms, limit_ms } in &self.rows {
            writeln!(f, "{what:<16} {p50_ms:>9.1} {p95_ms:>9.1} {limit_ms:>9.1}")?;
        }
        write!(
            f,
            "{} spurts, {} clipped, ends within {} dB; {} of {} frames lost; {} late entries",
            self.spurts, self.clipped_spurts, self.edge_db, self.frames_lost, self.frames_sent, self.late_entries
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 95)), (10.0, 19.0));
        assert_eq!((percentile(&[7.0], 95), percentile(&[], 95)), (7.0, 0.0));
    }

    #[test]
    fn the_border_has_a_limit_of_its_own() {
        let (nl, be) = ("nl".parse().unwrap(), "be".parse().unwrap());
        assert!(Limits::between(&nl, &nl).access_ms < Limits::between(&nl, &be).access_ms);
    }
}
