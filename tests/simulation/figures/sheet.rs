//! What was measured: samples under a name, what is read off them, and the limit each of these has to keep.
//!
//! A sheet is judged here in an ordinary run, and printed as lines of JSON for `tools/simulate`, which merges those of many
//! processes before it judges.

use std::time::Duration;

use serde::Serialize;

/// What is read off the samples of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stat {
    P50,
    P95,
    P99,
    Max,
    Sum,
    /// The mean, of samples that are shares of 0 to 100.
    Mean,
}

/// What a figure has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// Its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    #[serde(rename = "ms")]
    Ms,
    #[serde(rename = "%")]
    Percent,
    #[serde(rename = "")]
    Count,
}

/// A figure, by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) stats: &'static [Stat],
}

/// One figure of one link.
#[derive(Clone, Debug, Serialize)]
struct Figure {
    at: &'static str,
    what: &'static str,
    unit: Unit,
    stats: Vec<(Stat, Option<Limit>)>,
    /// `null` in JSON for what never came.
    samples: Vec<f64>,
}

/// Everything that was measured, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet {
    figures: Vec<Figure>,
}

impl Sheet {
    /// One more sample of a figure; a figure has its place from the first one on.
    pub(crate) fn add(&mut self, at: &'static str, kind: Kind, samples: impl IntoIterator<Item = f64>) {
        let known = self.figures.iter().position(|figure| (figure.at, figure.what) == (at, kind.name));
        let index = known.unwrap_or_else(|| {
            let stats = kind.stats.iter().map(|stat| (*stat, None)).collect();
            self.figures.push(Figure { at, what: kind.name, unit: kind.unit, stats, samples: Vec::new() });
            self.figures.len() - 1
        });
        self.figures[index].samples.extend(samples);
    }

    /// A time that was measured; `None`: it never came.
    pub(crate) fn time(&mut self, at: &'static str, kind: Kind, time: Option<Duration>) {
        self.add(at, kind, [time.map_or(f64::INFINITY, |time| time.as_secs_f64() * 1_000.0)]);
    }

    /// What a figure has to keep, if it was measured.
    pub(crate) fn limit(&mut self, at: &'static str, kind: Kind, stat: Stat, limit: Limit) {
        let fits = |figure: &&mut Figure| (figure.at, figure.what) == (at, kind.name);
        for (known, kept) in self.figures.iter_mut().find(fits).into_iter().flat_map(|figure| &mut figure.stats) {
            if *known == stat {
                *kept = Some(limit);
            }
        }
    }

    /// A line of JSON per figure.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.figures.iter().map(|figure| serde_json::to_string(figure).expect("plain data"))
    }

    /// How often there was a sample of it.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.figures.iter().filter(|figure| figure.what == kind.name).map(|figure| figure.samples.len()).sum()
    }

    /// Every limit that is not kept.
    pub(crate) fn breaches(&self) -> Vec<String> {
        let each = self.figures.iter().flat_map(|figure| figure.stats.iter().map(move |(stat, limit)| (figure, *stat, *limit)));
        let judged = each.filter_map(|(figure, stat, limit)| Some((figure, stat, limit?, stat.of(&figure.samples))));
        judged
            .filter(|(_, _, limit, value)| !limit.is_kept(*value))
            .map(|(figure, stat, limit, value)| format!("{}, {}: {stat:?} {value:.1} ({limit:?})", figure.at, figure.what))
            .collect()
    }
}

impl Limit {
    fn is_kept(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl Stat {
    /// The nearest rank; nothing measured is never in time.
    fn of(self, samples: &[f64]) -> f64 {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(f64::INFINITY);
        match self {
            Self::P50 => rank(50),
            Self::P95 => rank(95),
            Self::P99 => rank(99),
            Self::Max => rank(100),
            Self::Sum => samples.iter().sum(),
            Self::Mean => samples.iter().sum::<f64>() / u32::try_from(samples.len()).map_or(f64::NAN, f64::from),
        }
    }
}

#[test]
fn a_sheet_reads_ranks_and_names_what_is_missed() {
    const KIND: Kind = Kind { name: "way", unit: Unit::Ms, stats: &[Stat::P50, Stat::P99, Stat::Max] };
    let mut sheet = Sheet::default();
    sheet.add("here", KIND, (1..=200).map(f64::from));
    for (stat, limit) in [(Stat::P50, 100.0), (Stat::P99, 198.0), (Stat::Max, 199.0)] {
        sheet.limit("here", KIND, stat, Limit::AtMost(limit));
    }
    assert_eq!(sheet.breaches(), ["here, way: Max 200.0 (AtMost(199.0))"]);
    sheet.time("there", KIND, None);
    sheet.limit("there", KIND, Stat::P50, Limit::AtMost(1e9));
    assert_eq!(sheet.breaches().len(), 2, "what never came is in no time");
}
