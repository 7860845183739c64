//! What is measured and shown: `probe` and `talkbridge status`. Their figures are times; here only that they are there, and
//! that the exit status says what the figures say.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::stage::{Process, Stage, wait_for};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// What Prometheus would read at a console.
fn metrics(console: u16) -> String {
    let mut answer = String::new();
    let mut stream = TcpStream::connect(("127.0.0.1", console)).expect("a console");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: stage\r\nConnection: close\r\n\r\n").expect("a console that reads");
    stream.read_to_string(&mut answer).expect("text");
    let (head, page) = answer.split_once("\r\n\r\n").expect("a head and a page");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    page.to_owned()
}

#[test]
fn a_probe_across_the_border_measures_everything_and_its_exit_status_is_its_verdict() {
    let stage = Stage::new();
    let (_nl, _be) = stage.bridged();
    let far = stage.unit("be", "lux-1");
    let mut probe = stage.run("probe", &stage.unit("nl", "maas-12"), &["--far", &far, "--rounds", "2"]);
    let status = probe.end();
    let events = probe.events();
    let summary = events.last().expect("a summary");
    assert_eq!(summary["event"], "summary", "{events:?} {}", probe.errors());
    assert!(events.iter().all(|event| event["at_ms"].is_number()), "{events:?}");
    assert_eq!((&summary["spurts"], &summary["late_entries"]), (&2.into(), &2.into()));
    let rows: Vec<_> = summary["rows"].as_array().expect("rows").iter().map(|row| (&row["what"], row["p95_ms"].is_number())).collect();
    assert_eq!(
        rows,
        [(&"press to grant".into(), true), (&"mouth to ear".into(), true), (&"late entry".into(), true)],
        "10 ms is the border's limit: {summary}"
    );
    assert_eq!(summary["rows"][0]["limit_ms"], 10.0);
    assert!(summary["edge_db"].is_number(), "{summary}");
    let breaches = summary["breaches"].as_array().expect("a list");
    assert_eq!(status, i32::from(!breaches.is_empty()), "{summary}");
    assert_eq!(probe.errors().lines().count(), breaches.len(), "one line each: {}", probe.errors());
}

#[test]
fn a_probe_that_is_stopped_is_no_pass() {
    let stage = Stage::new();
    let _nl = stage.gateway("nl");
    let far = stage.unit("nl", "maas-13");
    let mut probe = stage.run("probe", &stage.unit("nl", "maas-12"), &["--far", &far, "--rounds", "1000"]);
    probe.wait("round");
    probe.signal("INT");
    assert_eq!(probe.end(), 1);
    assert!(probe.errors().contains("no verdict"), "{}", probe.errors());
}

#[test]
fn a_probe_of_one_unit_with_itself_makes_no_sense() {
    let stage = Stage::new();
    let config = stage.unit("nl", "maas-12");
    let mut probe = stage.run("probe", &config, &["--far", &config]);
    assert_eq!(probe.end(), 2);
    assert!(probe.errors().contains("two are needed") && probe.errors().lines().count() == 1, "{}", probe.errors());
}

#[test]
fn the_status_names_who_is_here_who_talks_and_how_the_border_is() {
    let stage = Stage::new();
    let (_nl, _be) = stage.bridged();
    let mouth = stage.talk(&stage.unit("nl", "maas-12"), 20, &[]);
    mouth.wait("granted");
    // The gateway renews its status from time to time.
    wait_for("talker in the status", || stage.status("nl")["floors"][0]["talker"] == "nl/unit/maas-12");
    let status = stage.status("nl");
    let mut contract = vec!["gateway", "sessions", "talkgroups", "floors", "bridges", "links", "queues", "messages", "figures"];
    contract.sort_unstable();
    assert_eq!(keys(&status), contract);
    for list in contract.iter().filter(|key| !["gateway", "messages", "figures"].contains(*key)) {
        assert!(status[list].as_array().is_some_and(|entries| !entries.is_empty()), "{list}: {status}");
    }
    assert!(status["messages"].is_null(), "a gateway without a store keeps none: {status}");
    assert_eq!(status["sessions"][0]["identity"], "nl/unit/maas-12", "{status}");
    assert_eq!(status["talkgroups"][0]["talkgroup"], "nl/pol-1");
    assert_eq!(status["bridges"][0]["state"], "active");
    assert_eq!(status["links"][0]["peer"], "be/gateway/gw-1");
}

#[test]
fn prometheus_reads_who_was_granted_what_was_sent_and_how_the_border_is_but_no_names() {
    let stage = Stage::new();
    let (_nl, _be) = stage.bridged();
    let ear = stage.run("listen", &stage.unit("be", "lux-1"), &[]);
    ear.wait("affiliated");
    let mut mouth = stage.talk(&stage.unit("nl", "maas-12"), 1, &[]);
    mouth.wait("granted");
    assert_eq!(mouth.end(), 0);
    let value = |page: &str, series: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |number| number.parse::<f64>().expect("a number"))
    };
    let granted = r#"talkbridge_access_seconds_count{arbiter="here",tier="normal",outcome="immediate"}"#;
    let crossed = r#"talkbridge_hop_delay_seconds_count{link="be/gateway/gw-1",class="voice"}"#;
    // The gateway renews its figures from time to time.
    wait_for("the spurt in the figures", || value(&metrics(stage.nl.console), crossed) >= 50.0);
    let (page, status) = (metrics(stage.nl.console), stage.status("nl"));
    for (series, expected) in [
        (granted, 1.0),
        (r#"talkbridge_kpi_measured_total{kpi="access_time"}"#, 1.0),
        (r#"talkbridge_link_up{peer="be/gateway/gw-1"}"#, 1.0),
        (r#"talkbridge_link_repeats{peer="be/gateway/gw-1"}"#, 0.0),
        (r#"talkbridge_bridge_active{agreement="EMR-2026-01",peer="be/gateway/gw-1"}"#, 1.0),
    ] {
        assert!(page.contains(series), "{series} in\n{page}");
        assert_eq!(value(&page, series), expected, "{series} in\n{page}");
    }
    assert!(value(&page, r#"talkbridge_link_capacity_spurts{peer="be/gateway/gw-1"}"#) >= 1.0, "{page}");
    assert!(!page.contains("maas-12") && !page.contains("127.0.0.1"), "{page}");
    let access = status["figures"]["access"].as_array().expect("a list");
    let granted = access.iter().find(|row| row["arbiter"] == "here" && row["tier"] == "normal" && row["outcome"] == "immediate");
    assert_eq!(granted.expect("a row")["times"]["count"], 1, "{status}");
}

#[test]
fn the_status_of_a_gateway_that_does_not_run_is_exit_1_and_one_line() {
    let stage = Stage::new();
    let config = stage.path("nl").join("gateway.toml");
    let mut status = Process::start("talkbridge", &["status", "--json", "--config", config.to_str().expect("UTF-8")]);
    assert_eq!(status.end(), 1);
    assert_eq!(status.errors().lines().count(), 1, "{}", status.errors());
    assert!(status.errors().contains(&stage.nl.console.to_string()), "names the address: {}", status.errors());
    assert!(status.events().is_empty());
}
