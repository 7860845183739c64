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
/// Spurts of a hundred that may be clipped.
const CLIPPED_PERCENT: usize = 1;

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

/// One row of the table; without a value nothing was measured.
#[derive(Clone, Debug, Serialize)]
struct Row {
    what: &'static str,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    limit_ms: f64,
}

impl Row {
    fn of(what: &'static str, values: impl Iterator<Item = f64>, limit_ms: f64) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self { what, p50_ms: percentile(&values, 50), p95_ms: percentile(&values, 95), limit_ms }
    }

    fn breach(&self) -> Option<String> {
        let Self { what, p95_ms, limit_ms, .. } = self;
        match p95_ms {
            Some(p95_ms) => (p95_ms > limit_ms).then(|| format!("{what}: p95 {p95_ms:.1} ms, limit {limit_ms} ms")),
            None => Some(format!("{what}: nothing was measured")),
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Summary {
    event: &'static str,
    at_ms: f64,
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
    edge_db: Option<f64>,
    frames_sent: usize,
    frames_lost: usize,
    frames_repaired: u64,
    frames_late: u64,
    /// What misses its limit, as a sentence.
    pub(super) breaches: Vec<String>,
}

impl Summary {
    /// Fills in the table and names the breaches.
    pub(super) fn judge(&mut self, limits: Limits, far: Option<&Report>, at_ms: f64) {
        (self.event, self.at_ms) = ("summary", at_ms);
        self.spurts = self.rounds.len();
        self.late_entries = self.joins.len();
        self.rows = vec![
            Row::of("press to grant", self.rounds.iter().map(|round| round.access_ms), limits.access_ms),
            Row::of("mouth to ear", self.rounds.iter().filter_map(|round| round.mouth_to_ear_ms), MOUTH_TO_EAR_MS),
            Row::of("late entry", self.joins.iter().map(|entry| entry.late_entry_ms), LATE_ENTRY_MS),
        ];
        self.clipped_spurts = self.rounds.iter().filter(|round| round.clipped_first + round.clipped_last > 0).count();
        let edges = |round: &Round| [round.energy_first_db, round.energy_last_db];
        self.edge_db = self.rounds.iter().flat_map(edges).flatten().map(f64::abs).max_by(f64::total_cmp);
        self.frames_sent = self.rounds.iter().map(|round| round.sent).sum();
        self.frames_lost = self.rounds.iter().map(|round| round.lost).sum();
        (self.frames_repaired, self.frames_late) = far.map_or((0, 0), |far| (far.frames_repaired, far.frames_late));

        self.breaches = self.rows.iter().filter_map(Row::breach).collect();
        let silent = self.rounds.iter().filter(|round| round.mouth_to_ear_ms.is_none()).count();
        if silent > 0 {
            self.breaches.push(format!("{silent} of {} spurts were not heard", self.spurts));
        }
        if self.clipped_spurts * 100 > self.spurts * CLIPPED_PERCENT {
            self.breaches.push(format!("{} of {} spurts were clipped, limit {CLIPPED_PERCENT} %", self.clipped_spurts, self.spurts));
        }
        if let Some(off) = self.edge_db.filter(|off| *off > EDGE_DB) {
            self.breaches.push(format!("first or last 100 ms: {off} dB off, limit {EDGE_DB} dB"));
        }
        let unknown = self.rounds.iter().filter(|round| edges(round).contains(&None)).count();
        if unknown > 0 {
            self.breaches.push(format!("first or last 100 ms: not measured in {unknown} of {} spurts", self.spurts));
        }
    }
}

/// The value that `percent` of the sorted ones do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// A figure with one decimal, or a dash.
pub(super) fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} {:>9} {:>9} {:>9}", "", "p50 ms", "p95 ms", "limit ms")?;
        for Row { what, p50_ms, p95_ms, limit_ms } in &self.rows {
            writeln!(f, "{what:<16} {:>9} {:>9} {limit_ms:>9.1}", figure(*p50_ms), figure(*p95_ms))?;
        }
        write!(
            f,
            "{} spurts, {} clipped, ends within {} dB; {} of {} frames lost; {} late entries",
            self.spurts,
            self.clipped_spurts,
            figure(self.edge_db),
            self.frames_lost,
            self.frames_sent,
            self.late_entries
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 95)), (Some(10.0), Some(19.0)));
        assert_eq!((percentile(&[7.0], 95), percentile(&[], 95)), (Some(7.0), None));
    }

    /// The breaches of a probe with one round, changed by the test.
    fn breaches(change: impl FnOnce(&mut Summary)) -> Vec<String> {
        let mut summary = Summary { rounds: vec![Round::sample()], joins: vec![Entry::sample()], ..Summary::default() };
        change(&mut summary);
        let nl = "nl".parse().unwrap();
        summary.judge(Limits::between(&nl, &nl), None, 0.0);
        summary.breaches
    }

    #[test]
    fn a_good_round_passes_and_what_was_not_measured_is_a_breach() {
        assert_eq!(breaches(|_| {}), [""; 0]);
        assert_eq!(breaches(|it| it.rounds[0].energy_last_db = Some(-3.1)), ["first or last 100 ms: 3.1 dB off, limit 3 dB"]);
        assert_eq!(breaches(|it| it.rounds[0].energy_first_db = None), ["first or last 100 ms: not measured in 1 of 1 spurts"]);
        assert_eq!(breaches(|it| it.rounds[0].clipped_last = 1), ["1 of 1 spurts were clipped, limit 1 %"]);
        assert_eq!(breaches(|it| it.rounds[0].access_ms = 5.2), ["press to grant: p95 5.2 ms, limit 5 ms"]);
        assert_eq!(breaches(|it| it.joins.clear()), ["late entry: nothing was measured"]);
        let silent = breaches(|it| it.rounds[0].mouth_to_ear_ms = None);
        assert_eq!(silent, ["mouth to ear: nothing was measured", "1 of 1 spurts were not heard"]);
    }

    #[test]
    fn one_spurt_of_a_hundred_may_be_clipped() {
        let clipped = |count| {
            breaches(|it| {
                it.rounds = vec![Round::sample(); 100];
                it.rounds.iter_mut().take(count).for_each(|round| round.clipped_first = 2);
            })
        };
        assert_eq!(clipped(1), [""; 0]);
        assert_eq!(clipped(2), ["2 of 100 spurts were clipped, limit 1 %"]);
    }

    #[test]
    fn the_border_has_a_limit_of_its_own() {
        let (nl, be) = ("nl".parse().unwrap(), "be".parse().unwrap());
        assert!(Limits::between(&nl, &nl).access_ms < Limits::between(&nl, &be).access_ms);
    }
}
