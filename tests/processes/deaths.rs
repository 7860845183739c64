//! kill -9 of whoever holds the floor, or arbitrates it: the floor is free again in time.

use crate::stage::{Process, Stage, at_ms, say};

/// Now, on the clock of the events.
fn now_ms() -> f64 {
    let now = std::fs::read_to_string("/proc/uptime").expect("Linux");
    now.split_whitespace().next().and_then(|s| s.parse::<f64>().ok()).expect("seconds") * 1_000.0
}

/// Kills the victim while somebody waits in the queue; returns how long the floor stayed taken, in ms.
fn freed_after(victim: &Process, waiting: &Process) -> f64 {
    let killed = now_ms();
    victim.signal("KILL");
    let granted = waiting.wait("granted");
    at_ms(&granted) - killed
}

#[test]
fn a_killed_talker_frees_the_floor() {
    let stage = Stage::new();
    let (_nl, _be) = stage.bridged();
    let mouth = stage.talk(&stage.unit("nl", "maas-12"), 20, &[]);
    mouth.wait("granted");
    let waiting = stage.talk(&stage.unit("be", "lux-1"), 1, &[]);
    waiting.wait("queued");
    let after = freed_after(&mouth, &waiting);
    say(&format!("talker killed: floor free after {after:.0} ms (promise 1,500)"));
    assert!(after < 3_000.0, "{after}");
}

#[test]
fn a_killed_partner_gateway_frees_the_floor_at_home() {
    let stage = Stage::new();
    let (_nl, be) = stage.bridged();
    let mouth = stage.talk(&stage.unit("be", "lux-1"), 20, &[]);
    mouth.wait("granted");
    let waiting = stage.talk(&stage.unit("nl", "maas-12"), 1, &[]);
    waiting.wait("queued");
    let after = freed_after(&be, &waiting);
    say(&format!("partner's gateway killed: floor free after {after:.0} ms (promise 1,500)"));
    assert!(after < 3_000.0, "{after}");
}

#[test]
fn a_killed_home_gateway_leaves_the_partner_its_own_floor() {
    let stage = Stage::new();
    let (nl, _be) = stage.bridged();
    let mouth = stage.talk(&stage.unit("nl", "maas-12"), 20, &[]);
    mouth.wait("granted");
    let mut waiting = stage.talk(&stage.unit("be", "lux-1"), 1, &[]);
    waiting.wait("queued");
    let after = freed_after(&nl, &waiting);
    say(&format!("home's gateway killed: floor free after {after:.0} ms (promise 2,500)"));
    assert!(after < 5_000.0, "{after}");
    assert_eq!(waiting.wait("granted")["reach"], "own_side");
    assert_eq!(waiting.end(), 0, "{}", waiting.errors());
}
