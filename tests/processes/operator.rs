//! What an operator does to a running gateway: reload, revoke, stop.

use std::fs;

use serde_json::Value;

use crate::stage::{Stage, wait_for};

#[test]
fn a_bad_file_changes_nothing_and_a_good_one_takes_effect() {
    let stage = Stage::new();
    let (nl, _be) = stage.bridged();
    let ear = stage.run("listen", &stage.unit("nl", "maas-12"), &[]);
    ear.wait("affiliated");

    stage.configure("nl", |text| text.replace("level_max = 64", "level_max = 640"));
    nl.signal("HUP");
    wait_for("word that the file was not taken", || nl.errors().contains("not reloaded"));
    stage.until_bridge("nl", "active");
    let gone = |event: &Value| event["event"] == "disconnected" || (event["event"] == "far_side" && event["state"] == "away");
    assert!(!ear.events().iter().any(gone), "session and bridge live on: {:?}", ear.events());

    stage.configure("nl", |text| text.split("[[bridge]]").next().expect("a head").to_owned());
    nl.signal("HUP");
    stage.until_bridge("be", "pending");
    let far = ear.wait_from(0, "far side away", |event| event["event"] == "far_side" && event["state"] == "away");
    assert_eq!(far["authority"], "be");
}

#[test]
fn a_revocation_list_that_changes_ends_live_sessions_without_a_signal() {
    let stage = Stage::new();
    let _nl = stage.gateway("nl");
    let config = stage.unit("nl", "maas-12");
    let mut ear = stage.run("listen", &config, &[]);
    ear.wait("affiliated");
    let certificate = fs::read_to_string(stage.path("nl").join("maas-12.pem")).expect("issued");
    pki::revoke_in(&stage.path("nl"), &certificate).expect("its own certificate");
    let gone = ear.wait_from(0, "refusal", |event| event["reason"] == "certificate_revoked");
    assert!(gone["event"] == "disconnected" || gone["event"] == "refused", "{gone}");
    assert_eq!(ear.end(), 1);
}

#[test]
fn sigterm_says_farewell_and_ends_in_order() {
    let stage = Stage::new();
    let (mut nl, _be) = stage.bridged();
    let ear = stage.run("listen", &stage.unit("nl", "maas-12"), &[]);
    ear.wait("affiliated");
    nl.signal("TERM");
    assert_eq!(nl.end(), 0, "{}", nl.errors());
    assert_eq!(ear.wait("disconnected")["reason"], "shutting_down");
    stage.until_bridge("be", "away");
}

/// Whoever sees the gateway ready may send a signal, which must not kill by its default: handlers come before anything else.
#[test]
fn signals_have_handlers_before_anything_is_opened() {
    let stage = Stage::new();
    let config = stage.path("nl").join("gateway.toml");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_talkbridge"));
    let mut child = command.args(["run", "--config"]).arg(config).stderr(std::process::Stdio::null()).spawn().expect("starts");
    let state = stage.path("nl").join("var");
    let started = std::time::Instant::now();
    // Without a pause: the moment matters.
    while !state.exists() && started.elapsed().as_secs() < 20 {}
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("a live process");
    child.kill().expect("own child");
    child.wait().expect("own child");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask");
    let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask");
    for (name, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        assert!(caught & (1 << (number - 1)) != 0, "SIG{name} is not handled: {caught:x}");
    }
}
