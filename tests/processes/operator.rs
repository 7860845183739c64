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
