//! What is measured and shown: `probe` and `talkbridge status`. Their figures are times; here only that they are there, and
//! that the exit status says what the figures say.

use serde_json::Value;

use crate::stage::{Process, Stage, wait_for};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
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
    let mut contract = vec!["gateway", "sessions", "talkgroups", "floors", "bridges", "links", "queues"];
    contract.sort_unstable();
    assert_eq!(keys(&status), contract);
    for list in contract.iter().filter(|key| **key != "gateway") {
        assert!(status[list].as_array().is_some_and(|entries| !entries.is_empty()), "{list}: {status}");
    }
    assert_eq!(status["sessions"][0]["identity"], "nl/unit/maas-12", "{status}");
    assert_eq!(status["talkgroups"][0]["talkgroup"], "nl/pol-1");
    assert_eq!(status["bridges"][0]["state"], "active");
    assert_eq!(status["links"][0]["peer"], "be/gateway/gw-1");
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
