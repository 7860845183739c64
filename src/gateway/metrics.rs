//! `/metrics`: the newest status as Prometheus reads it (text format 0.0.4).
//!
//! Rendered when it is asked for, on the console's thread, from the snapshot that `/status` shows; nothing is counted here. Labels name
//! gateways, agreements and classes, never a unit.

use std::fmt;
use std::time::Duration;

use engine::figures::{Bounds, HOP, WAIT};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::figures::Times;
use crate::status::{BridgeState, LinkState, LinkStatus, Status, StatusBoard};

/// What the answer says it is.
pub(crate) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The text.
///
/// # Errors
/// Never in practice: a `String` takes everything.
pub(crate) fn render(board: &StatusBoard) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("talkbridge");
    registry.register_collector(Box::new(Snapshot(board.clone())));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Snapshot(StatusBoard);

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.newest();
        let mut page = Page(encoder);
        service(&mut page, &status)?;
        border(&mut page, &status)?;
        house(&mut page, &status)
    }
}

/// How well voice and floor are served.
fn service(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let figures = &status.figures;
    let access = figures.access.iter().map(|access| {
        let labels = vec![("arbiter", &*access.arbiter), ("tier", &*access.tier), ("outcome", &*access.outcome)];
        (labels, &access.times)
    });
    let help = "From the arrival of a unit's request to what ended its press, by how it ended";
    page.times("access_seconds", help, &WAIT, access)?;
    let help = "From a unit's joining while somebody talks to the first frame on its way to it";
    page.times("late_entry_seconds", help, &WAIT, [(Labels::new(), &figures.late_entry)])?;
    let hops = figures.hops.iter().map(|hop| (vec![("link", &*hop.link), ("class", &*hop.class)], &hop.times));
    page.times("hop_delay_seconds", "From the arrival of a packet at this gateway to its hand-over to QUIC", &HOP, hops)?;
    let drops = figures.drops.iter().map(|of| (vec![("link", &*of.link), ("class", &*of.class), ("reason", &*of.reason)], of.count));
    page.counter("dropped", "Frames and messages thrown away, by class and reason", drops)?;
    let measured = figures.kpis.iter().map(|kpi| (vec![("kpi", &*kpi.kpi)], kpi.measured));
    page.counter("kpi_measured", "What was judged by a KPI", measured)?;
    let breaches = figures.kpis.iter().map(|kpi| (vec![("kpi", &*kpi.kpi)], kpi.breaches));
    page.counter("kpi_breaches", "What took longer than the KPI allows, or did not happen at all", breaches)?;
    let limits = figures.kpis.iter().map(|kpi| (vec![("kpi", &*kpi.kpi)], kpi.limit_ms / 1_000.0));
    page.gauge("kpi_limit_seconds", "What the KPI allows", limits)
}

/// The links to other gateways.
fn border(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let links = &status.links;
    let gauge = |page: &mut Page<'_>, name, help, of: fn(&LinkStatus) -> Option<f64>| {
        page.gauge(name, help, links.iter().filter_map(|link| Some((vec![("peer", &*link.peer)], of(link)?))))
    };
    gauge(page, "link_up", "Whether the session with the peer exists", |link| Some(f64::from(u8::from(link.state == LinkState::Up))))?;
    gauge(page, "link_rtt_seconds", "Round-trip time, while up", |link| link.rtt_ms.map(|ms| ms / 1_000.0))?;
    gauge(page, "link_capacity_spurts", "Spurts that the link carries at once", |link| Some(gauged(link.capacity)))?;
    gauge(page, "link_crossing_spurts", "Spurts that cross the link now", |link| Some(gauged(link.in_use)))?;
    gauge(page, "link_suspended_spurts", "Spurts that do not cross the link for want of room", |link| {
        Some(gauged(u64::try_from(link.suspended.len()).unwrap_or(u64::MAX)))
    })?;
    gauge(page, "link_repeats", "Earlier frames repeated in each, chosen by the losses reported", |link| {
        Some(f64::from(link.repeats.count))
    })?;
    let counter = |page: &mut Page<'_>, name, help, of: fn(&LinkStatus) -> u64| {
        page.counter(name, help, links.iter().map(|link| (vec![("peer", &*link.peer)], of(link))))
    };
    counter(page, "link_refused", "Requests that found no room on the link", |link| link.refused)?;
    counter(page, "link_lost", "How often the session with the peer ended", |link| link.lost_count)?;
    let active = status.bridges.iter().map(|bridge| {
        (vec![("agreement", &*bridge.agreement), ("peer", &*bridge.peer)], f64::from(u8::from(bridge.state == BridgeState::Active)))
    });
    page.gauge("bridge_active", "Whether the bridge carries", active)
}

/// The gateway and who is logged in.
fn house(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let with = |repeats: u8| status.sessions.iter().filter(|session| session.repeats.count == repeats).count();
    let units = [("0", 0), ("1", 1), ("2", 2)]
        .map(|(label, repeats)| (vec![("repeats", label)], gauged(with(repeats).try_into().unwrap_or(u64::MAX))));
    page.gauge("units", "Units and dispatchers logged in, by the repeats chosen for their links", units)?;
    page.gauge("uptime_seconds", "Since the start", [(Labels::new(), gauged(status.gateway.uptime_s))])?;
    page.gauge("build", "Always 1; the label says which version runs", [(vec![("version", &*status.gateway.version)], 1.0)])
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating point; these count people and calls")]
fn gauged(value: u64) -> f64 {
    value as f64
}

/// What is written, family by family; one without series is left out.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter<'a>(&mut self, name: &str, help: &str, series: impl IntoIterator<Item = (Labels<'a>, u64)>) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        series.try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None))
    }

    fn gauge<'a>(&mut self, name: &str, help: &str, series: impl IntoIterator<Item = (Labels<'a>, f64)>) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        series.try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    fn times<'a>(
        &mut self,
        name: &str,
        help: &str,
        bounds: &Bounds,
        series: impl IntoIterator<Item = (Labels<'a>, &'a Times)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        series.try_for_each(|(labels, times)| {
            let counted = |bound: f64| times.buckets.iter().find(|(at, _)| (*at / 1_000.0 - bound).abs() < 1e-9).map_or(0, |(_, n)| *n);
            let buckets: Vec<(f64, u64)> = bounds.iter().map(Duration::as_secs_f64).map(|bound| (bound, counted(bound))).collect();
            let sum = times.sum_ms / 1_000.0;
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, times.count, &buckets, None)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use engine::figures::Histogram;
    use engine::hub::figures::{Arbiter, Figures, Outcome};
    use wire::Tier;

    use super::*;
    use crate::figures::FiguresStatus;
    use crate::status::{BridgeStatus, GatewayStatus, RepeatsStatus, SessionStatus};

    fn page() -> String {
        let mut hub = Figures::default();
        let mut times = Histogram::new(&WAIT);
        [3, 40, 400].into_iter().for_each(|ms| times.note(Duration::from_millis(ms)));
        hub.access.insert((Arbiter::Home, Tier::Emergency, Outcome::Immediate), times);
        let link = LinkStatus {
            peer: "be/gateway/gw-1".into(),
            state: LinkState::Up,
            rtt_ms: Some(12.5),
            capacity: 7,
            in_use: 2,
            repeats: RepeatsStatus { count: 1, spread: false },
            refused: 3,
            ..LinkStatus::default()
        };
        let session = SessionStatus { identity: "nl/unit/maas-12".into(), address: "192.0.2.1:7".into(), ..SessionStatus::default() };
        let board = StatusBoard::default();
        board.publish(Status {
            gateway: GatewayStatus { version: "0.1.0".into(), uptime_s: 9, ..GatewayStatus::default() },
            figures: FiguresStatus::new(&hub, &BTreeMap::from([(None, crate::ledger::Totals::default())])),
            links: vec![link],
            bridges: vec![BridgeStatus { agreement: "EMR \"1\"".into(), peer: "be/gateway/gw-1".into(), ..BridgeStatus::default() }],
            sessions: vec![session],
            ..Status::default()
        });
        render(&board).unwrap()
    }

    #[test]
    fn counters_gauges_and_histograms_are_written_as_prometheus_reads_them() {
        let text = page();
        let labels = r#"arbiter="home",tier="emergency",outcome="immediate""#;
        for line in [
            "# TYPE talkbridge_access_seconds histogram",
            &format!(r#"talkbridge_access_seconds_bucket{{{labels},le="0.005"}} 1"#),
            &format!(r#"talkbridge_access_seconds_bucket{{{labels},le="0.3"}} 2"#),
            &format!(r#"talkbridge_access_seconds_bucket{{{labels},le="+Inf"}} 3"#),
            &format!("talkbridge_access_seconds_sum{{{labels}}} 0.443"),
            r#"talkbridge_access_seconds_count{arbiter="here",tier="normal",outcome="failed"} 0"#,
            "# TYPE talkbridge_dropped_total counter",
            r#"talkbridge_dropped_total{link="units",class="emergency_voice",reason="late"} 0"#,
            r#"talkbridge_kpi_breaches_total{kpi="urgent_access_time"} 1"#,
            r#"talkbridge_kpi_limit_seconds{kpi="access_time"} 0.3"#,
            r#"talkbridge_link_capacity_spurts{peer="be/gateway/gw-1"} 7.0"#,
            r#"talkbridge_link_crossing_spurts{peer="be/gateway/gw-1"} 2.0"#,
            r#"talkbridge_link_repeats{peer="be/gateway/gw-1"} 1.0"#,
            r#"talkbridge_link_refused_total{peer="be/gateway/gw-1"} 3"#,
            r#"talkbridge_bridge_active{agreement="EMR \"1\"",peer="be/gateway/gw-1"} 0.0"#,
            r#"talkbridge_units{repeats="0"} 1.0"#,
            r#"talkbridge_build{version="0.1.0"} 1.0"#,
        ] {
            assert!(text.lines().any(|written| written == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn every_family_is_named_once_with_help_and_nobody_is_named_at_all() {
        let text = page();
        let mut families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let all = families.len();
        families.sort_unstable();
        families.dedup();
        assert_eq!((all, text.matches("# HELP ").count()), (families.len(), families.len()));
        assert!(!text.contains("maas-12") && !text.contains("192.0.2.1"), "{text}");
    }
}
