//! kill -9 of whoever holds the floor, or arbitrates it: the floor is free again.
//!
//! The promises (1.5 s; 2.5 s after the home's gateway died) are proven in virtual time by `tests/simulation`. A machine under
//! load is slower, so here the times are printed, and a generous bound only tells a freed floor from one that T2 or a
//! talker's end would free.

use std::time::Instant;

use client::events::Monotonic;

use crate::stage::{Process, Stage, at_ms, say};

/// Far above every promise, far below the 20 s that the killed talker would have spoken.
const BOUND_MS: f64 = 5_000.0;

/// Kills the victim while somebody waits in the queue; says how long the floor stayed taken.
fn frees_the_floor(who: &str, promise: &str, victim: &Process, waiting: &Process) {
    let known = waiting.events().len();
    // CLOCK_MONOTONIC, as the events.
    let killed = Monotonic::now().at_ms(Instant::now());
    victim.signal("KILL");
    let granted = waiting.wait_from(known, "granted", |event| event["event"] == "granted");
    let after = at_ms(&granted) - killed;
    say(&format!("{who} killed: floor free after {after:.0} ms (promise {promise})"));
    assert!((0.0..BOUND_MS).contains(&after), "{after} ms; {:?}", waiting.events());
}

#[test]
fn a_killed_talker_frees_the_floor() {
    let stage = Stage::new();
    let (_nl, _be) = stage.bridged();
    let mouth = stage.talk(&stage.unit("nl", "maas-12"), 20, &[]);
    mouth.wait("granted");
    let waiting = stage.talk(&stage.unit("be", "lux-1"), 1, &[]);
    waiting.wait("queued");
    frees_the_floor("talker", "1,500", &mouth, &waiting);
}

#[test]
fn a_killed_partner_gateway_frees_the_floor_at_home() {
    let stage = Stage::new();
    let (_nl, be) = stage.bridged();
    let mouth = stage.talk(&stage.unit("be", "lux-1"), 20, &[]);
    mouth.wait("granted");
    let waiting = stage.talk(&stage.unit("nl", "maas-12"), 1, &[]);
    waiting.wait("queued");
    frees_the_floor("partner's gateway", "1,500", &be, &waiting);
}

#[test]
fn a_killed_home_gateway_leaves_the_partner_its_own_floor() {
    let stage = Stage::new();
    let (nl, _be) = stage.bridged();
    let mouth = stage.talk(&stage.unit("nl", "maas-12"), 20, &[]);
    mouth.wait("granted");
    let mut waiting = stage.talk(&stage.unit("be", "lux-1"), 1, &[]);
    waiting.wait("queued");
    frees_the_floor("home's gateway", "2,500", &nl, &waiting);
    assert_eq!(waiting.wait("granted")["reach"], "own_side");
    assert_eq!(waiting.end(), 0, "{}", waiting.errors());
}

#[test]
fn a_gateway_that_stood_still_takes_the_floor_from_nobody_who_went_on_talking() {
    let stage = Stage::new();
    let nl = stage.gateway("nl");
    let ear = stage.run("listen", &stage.unit("nl", "maas-13"), &[]);
    ear.wait("affiliated");
    let mut mouth = stage.talk(&stage.unit("nl", "maas-12"), 7, &[]);
    ear.wait("first_audio");
    nl.signal("STOP");
    // Longer than T1, shorter than the 5 s after which a unit looks for its gateway anew.
    std::thread::sleep(std::time::Duration::from_secs(3));
    nl.signal("CONT");
    assert_eq!(mouth.end(), 0, "{:?} {}", mouth.events(), mouth.errors());
    assert!(!mouth.events().iter().any(|event| event["event"] == "revoked"), "{:?}", mouth.events());
    ear.wait("idle");
    ear.signal("TERM");
    let (said, heard) = (mouth.wait("report"), ear.wait("report"));
    let count = |report: &serde_json::Value, what: &str| report[what].as_u64().expect("a number");
    let (said, heard) = (count(&said, "frames_sent"), count(&heard, "frames_received"));
    say(&format!("gateway stopped for 3 s of 7: {heard} of {said} frames heard, the 150 of the pause are too old"));
    assert!(heard < said - 100, "{heard} of {said}: old voice was passed on");
    assert!(heard > said / 3, "{heard} of {said}: the call did not go on");
}
