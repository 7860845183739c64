//! The part of `/status` that counts the service: access times, delay of the hop, drops, and how often a KPI was missed.
//!
//! Only put into words here; the engine counts. `/metrics` shows the same. No unit is named: links to units are one sum.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use engine::figures::Histogram;
use engine::hub::figures::{Arbiter, Figures, Outcome, Press};
use engine::sched::{Class, Stats};
use serde::{Deserialize, Serialize};
use wire::Tier;

use crate::ledger::{Side, Totals};

/// What all links to units are called together.
const UNITS: &str = "units";
/// Of drops that happen before or behind the classes.
const ANY: &str = "any";

/// TS 22.179 6.15.3, KPI 1: from the press to the grant.
const ACCESS: Duration = Duration::from_millis(300);
/// Of the 300 ms of KPI 3, from mouth to ear, what a gateway may use up.
const HOP: Duration = Duration::from_millis(20);
/// KPI 4a: from joining to hearing.
const LATE_ENTRY: Duration = Duration::from_millis(150);

/// A word of a closed list: written without being copied, and read back.
pub type Word = Cow<'static, str>;

/// What was counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FiguresStatus {
    /// How presses of own units ended, and after what time.
    pub access: Vec<AccessStatus>,
    /// From the arrival of a packet at this gateway to its hand-over to QUIC.
    pub hops: Vec<HopStatus>,
    /// From joining while somebody talks to the first frame.
    pub late_entry: Times,
    /// What was thrown away.
    pub drops: Vec<DropStatus>,
    /// The KPIs that a gateway can tell.
    pub kpis: Vec<KpiStatus>,
}

/// Times by bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// All together, in milliseconds.
    pub sum_ms: f64,
    /// Upper bound in milliseconds, and how many lie between the bound before and this one; empty if there are none.
    pub buckets: Vec<(f64, u64)>,
}

/// Presses of one outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessStatus {
    /// Who answers: `here` or `home`.
    pub arbiter: Word,
    /// The tier that was asked for.
    pub tier: Word,
    /// `immediate`, `queued`, `denied`, `failed` or `abandoned`.
    pub outcome: Word,
    /// From the arrival of the request.
    pub times: Times,
}

/// Packets of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HopStatus {
    /// The peer, or `units`.
    pub link: String,
    /// The class, as the scheduler names it.
    pub class: Word,
    /// How long they took.
    pub times: Times,
}

/// Drops of one reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropStatus {
    /// The peer, or `units`: where it would have gone, or came from.
    pub link: String,
    /// The class, or `any`.
    pub class: Word,
    /// Why.
    pub reason: Word,
    /// How many.
    pub count: u64,
}

/// One KPI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KpiStatus {
    /// Which.
    pub kpi: Word,
    /// What it may take, in milliseconds.
    pub limit_ms: f64,
    /// How many were judged.
    pub measured: u64,
    /// How many of them took longer, or did not happen at all.
    pub breaches: u64,
}

impl From<&Histogram> for Times {
    fn from(times: &Histogram) -> Self {
        let buckets = times.buckets().map(|(bound, count)| (millis(bound), count));
        let count = times.count();
        Self { count, sum_ms: millis(times.sum()), buckets: if count == 0 { Vec::new() } else { buckets.collect() } }
    }
}

impl Times {
    /// The mean, in milliseconds; 0 of nothing.
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 52 bits of the count")]
    pub(crate) fn mean_ms(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ms / self.count as f64 }
    }

    /// The bound below which that part lies, in milliseconds; infinite if it is the last one's.
    #[expect(clippy::cast_precision_loss, reason = "a part of the count needs no more than 52 bits")]
    pub(crate) fn at_most_ms(&self, part: f64) -> f64 {
        let mut below = 0;
        let reaches = |(_, count): &&(f64, u64)| {
            below += count;
            below as f64 >= part * self.count as f64
        };
        self.buckets.iter().find(reaches).map_or(f64::INFINITY, |(bound, _)| *bound)
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The name of a side.
fn link(side: &Side) -> String {
    side.as_ref().map_or_else(|| UNITS.to_owned(), ToString::to_string)
}

impl FiguresStatus {
    /// In words: what the hub and the links have counted.
    pub(crate) fn new(hub: &Figures, links: &BTreeMap<Side, Totals>) -> Self {
        let hop = |(side, totals): (&Side, &Totals)| {
            let side = link(side);
            Class::ALL.map(|class| HopStatus { link: side.clone(), class: class.as_str().into(), times: totals.stats.waited(class).into() })
        };
        Self {
            access: presses().map(|press| access(hub, press)).collect(),
            hops: links.iter().flat_map(hop).collect(),
            late_entry: (&hub.late_entry).into(),
            drops: drops(hub, links),
            kpis: kpis(hub, links),
        }
    }
}

fn presses() -> impl Iterator<Item = Press> {
    let tiers = |arbiter| Tier::ALL.into_iter().map(move |tier| (arbiter, tier));
    Arbiter::ALL.into_iter().flat_map(tiers).flat_map(|(arbiter, tier)| Outcome::ALL.map(|outcome| (arbiter, tier, outcome)))
}

fn access(hub: &Figures, press: Press) -> AccessStatus {
    let (arbiter, tier, outcome) = press;
    AccessStatus {
        arbiter: arbiter.as_str().into(),
        tier: tier.as_str().into(),
        outcome: outcome.as_str().into(),
        times: hub.access.get(&press).map(Times::from).unwrap_or_default(),
    }
}

fn drops(hub: &Figures, links: &BTreeMap<Side, Totals>) -> Vec<DropStatus> {
    let row = |side: &Side, class: &'static str, reason: &'static str, count| DropStatus {
        link: link(side),
        class: class.into(),
        reason: reason.into(),
        count,
    };
    let of_link = |(side, totals): (&Side, &Totals)| {
        let of_class = |class: Class| {
            let stats = totals.stats.of(class);
            let late = class.is_perishable().then(|| row(side, class.as_str(), "late", stats.dropped_late));
            late.into_iter().chain([row(side, class.as_str(), "full", stats.dropped_full)]).collect::<Vec<_>>()
        };
        let others =
            [("not_taken", totals.not_taken), ("stale", totals.stale), ("inbound_full", totals.inbound), ("oversized", totals.oversized)];
        let classes = Class::ALL.into_iter().flat_map(of_class);
        classes.chain(others.map(|(reason, count)| row(side, ANY, reason, count))).collect::<Vec<_>>()
    };
    let turned_away =
        hub.turned_away.iter().map(|((side, tier, why), count)| row(side, Class::of_voice(*tier).as_str(), why.as_str(), *count));
    links.iter().flat_map(of_link).chain(turned_away).collect()
}

fn kpis(hub: &Figures, links: &BTreeMap<Side, Totals>) -> Vec<KpiStatus> {
    // A wait in the queue is somebody else's talking; whoever was never answered missed every limit.
    let access = |tiers: &[Tier]| {
        let of = |outcome| {
            let presses = hub.access.iter().filter(move |((_, tier, how), _)| *how == outcome && tiers.contains(tier));
            presses.map(|(_, times)| times)
        };
        let failed: u64 = of(Outcome::Failed).map(Histogram::count).sum();
        let granted: u64 = of(Outcome::Immediate).map(Histogram::count).sum();
        (granted + failed, of(Outcome::Immediate).map(|times| times.above(ACCESS)).sum::<u64>() + failed)
    };
    let voice = |stats: &Stats| {
        let of_class = |class: Class| {
            let (counted, waited) = (stats.of(class), stats.waited(class));
            let lost = counted.dropped_late + counted.dropped_full;
            (counted.sent + lost, waited.above(HOP) + lost)
        };
        Tier::ALL.map(|tier| of_class(Class::of_voice(tier)))
    };
    let hops = links.values().flat_map(|totals| voice(&totals.stats)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let row = |kpi: &'static str, limit, (measured, breaches)| KpiStatus { kpi: kpi.into(), limit_ms: millis(limit), measured, breaches };
    vec![
        row("access_time", ACCESS, access(&[Tier::Normal])),
        row("urgent_access_time", ACCESS, access(&[Tier::Peril, Tier::Emergency])),
        row("voice_hop", HOP, hops),
        row("late_entry", LATE_ENTRY, (hub.late_entry.count(), hub.late_entry.above(LATE_ENTRY))),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use engine::figures::WAIT;
    use engine::sched::line::{Line, Sound};
    use wire::Level;
    use wire::packet::Room;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn waits(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::new(&WAIT);
        times.iter().for_each(|time| histogram.note(ms(*time)));
        histogram
    }

    /// A link on which one emergency frame went after 30 ms and another was too old.
    fn border() -> BTreeMap<Side, Totals> {
        let (mut line, now) = (Line::new(Some(512)), Instant::now());
        let voice = || Sound { datagram: vec![0; 60].into(), repeating: None, tier: Tier::Emergency, level: Level(0), backlog: false };
        line.voice(voice(), now, now).unwrap();
        assert!(matches!(line.next(now + ms(30), Room::ALL), engine::sched::Next::Item { .. }));
        line.voice(voice(), now, now).unwrap();
        line.next(now + ms(100), Room::ALL);
        let totals = Totals { stats: line.stats(), not_taken: 2, ..Totals::default() };
        BTreeMap::from([(Some("be/gateway/gw-1".parse().unwrap()), totals)])
    }

    #[test]
    fn a_kpi_counts_what_was_late_and_what_never_came() {
        let mut hub = Figures::default();
        for (tier, outcome, times) in [
            (Tier::Normal, Outcome::Immediate, &[1, 300, 301][..]),
            (Tier::Normal, Outcome::Queued, &[9_000]),
            (Tier::Emergency, Outcome::Failed, &[10]),
        ] {
            hub.access.insert((Arbiter::Here, tier, outcome), waits(times));
        }
        hub.late_entry = waits(&[10, 200]);
        let figures = FiguresStatus::new(&hub, &border());
        let kpis: Vec<_> = figures.kpis.iter().map(|kpi| (&*kpi.kpi, kpi.limit_ms, kpi.measured, kpi.breaches)).collect();
        let expected =
            [("access_time", 300.0, 3, 1), ("urgent_access_time", 300.0, 1, 1), ("voice_hop", 20.0, 2, 2), ("late_entry", 150.0, 2, 1)];
        assert_eq!(kpis, expected);
    }

    #[test]
    fn drops_are_told_by_link_class_and_reason_and_every_series_is_there_from_the_start() {
        let mut hub = Figures::default();
        hub.turned_away.insert((None, Tier::Peril, engine::hub::figures::TurnedAway::Flood), 5);
        let figures = FiguresStatus::new(&hub, &border());
        assert_eq!(figures.access.len(), 30);
        let some: Vec<_> = figures.drops.iter().filter(|drop| drop.count > 0).collect();
        let told: Vec<_> = some.iter().map(|d| (d.link.as_str(), &*d.class, &*d.reason, d.count)).collect();
        let expected = [
            ("be/gateway/gw-1", "emergency_voice", "late", 1),
            ("be/gateway/gw-1", "any", "not_taken", 2),
            ("units", "peril_voice", "flood", 5),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn times_tell_their_mean_and_the_bound_below_which_most_lie() {
        let times = Times::from(&waits(&[1, 4, 4, 250]));
        assert_eq!((times.mean_ms(), times.at_most_ms(0.5), times.at_most_ms(0.99)), (64.75, 5.0, 300.0));
        assert_eq!((Times::default().mean_ms(), Times::from(&waits(&[40_000])).at_most_ms(0.99)), (0.0, f64::INFINITY));
    }
}
