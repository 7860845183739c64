//! Under attack: a unit port that is flooded while people talk, by forged packets, by callers that answer, and by a unit that is
//! admitted. Real processes, real packets.
//!
//! Behaviour decides: no frame of the call is lost, no session ends, whoever calls from elsewhere gets in. Times are printed.
//! A target of its own, so that nothing else runs beside it. Needs both binaries: `cargo build --workspace --bins`.

mod admitted;
mod flood;
#[path = "../processes/stage/mod.rs"]
mod stage;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::events::Monotonic;
use serde_json::Value;

use crate::admitted::{Flooder, Kind, calls, compare};
use crate::flood::{Crowd, Flood, first_packets};
use crate::stage::{Process, Stage, at_ms, say, wait_for};

/// Forged first packets a second.
const RATE: u32 = 5_000;
/// Handshakes a second that callers without a certificate begin, all from one network.
const CROWD_RATE: u32 = 400;
/// Seconds that each call lasts.
const CALL_S: u32 = 4;

/// What a call was like.
#[derive(Debug)]
struct Call {
    /// From the start of the talker's process to its session.
    login_ms: f64,
    /// Press to grant.
    access_ms: f64,
    sent: u64,
}

fn count(report: &Value, what: &str) -> u64 {
    report[what].as_u64().unwrap_or_else(|| panic!("{what} in {report}"))
}

/// A unit that was not there before logs in, talks and leaves.
fn call(stage: &Stage, name: &str) -> Call {
    let config = stage.unit("nl", name);
    let started = Monotonic::now().at_ms(Instant::now());
    let mut mouth = stage.talk(&config, CALL_S, &[]);
    let login_ms = at_ms(&mouth.wait("connected")) - started;
    let access_ms = at_ms(&mouth.wait("granted")) - at_ms(&mouth.wait("requested"));
    assert_eq!(mouth.end(), 0, "{:?} {}", mouth.events(), mouth.errors());
    Call { login_ms, access_ms, sent: count(&mouth.wait("report"), "frames_sent") }
}

/// Processor time of a process so far, and its memory.
fn cost(process: &Process) -> (Duration, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("a live process");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a line").split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("a number")).sum();
    let pages: u64 = fields[21].parse().expect("a number");
    // Clock ticks are 10 ms and pages 4 KiB wherever this runs.
    (Duration::from_millis(ticks * 10), pages * 4)
}

/// One flood at a time, whoever runs the tests.
static ALONE: Mutex<()> = Mutex::new(());

/// Has a flood at the units port of nl while people talk, and judges what they noticed of it. `flood` returns what it sent.
fn during_calls(what: &str, flood: impl FnOnce(u16) -> Box<dyn FnOnce() -> u32>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::new();
    let (nl, _be) = stage.bridged();
    let near = stage.run("listen", &stage.unit("nl", "maas-13"), &[]);
    let far = stage.run("listen", &stage.unit("be", "lux-1"), &[]);
    for ear in [&near, &far] {
        ear.wait("affiliated");
    }
    let quiet = call(&stage, "maas-20");

    let (before, memory_before) = cost(&nl);
    let began = Instant::now();
    let stop = flood(stage.nl.units);
    std::thread::sleep(Duration::from_secs(1));
    let flooded = call(&stage, "maas-21");
    let sent = stop();
    let (span, (after, memory_after)) = (began.elapsed(), cost(&nl));
    for ear in [&near, &far] {
        ear.signal("TERM");
    }
    let reports = [near.wait("report"), far.wait("report")];

    let rate = f64::from(sent) / span.as_secs_f64();
    let busy = (after - before).as_secs_f64() / span.as_secs_f64() * 100.0;
    say(&format!("{what}: {sent} in {:.1} s, {rate:.0}/s; the gateway took {busy:.0} % of a core", span.as_secs_f64()));
    say(&format!("{what}: memory of the gateway {memory_before} KiB before, {memory_after} KiB after"));
    for (when, call) in [("before", &quiet), ("during", &flooded)] {
        say(&format!(
            "{what}: {when} it login {:.0} ms with the start of the process, press to grant {:.1} ms",
            call.login_ms, call.access_ms
        ));
    }
    for (who, report) in [("near", &reports[0]), ("far", &reports[1])] {
        say(&format!("{what}: {who} {report}"));
    }

    wait_for("word that callers were turned away", || nl.errors().contains("callers turned away"));
    for (ear, report) in [(&near, &reports[0]), (&far, &reports[1])] {
        assert!(!ear.events().iter().any(|event| event["event"] == "disconnected"), "a session ended: {:?}", ear.events());
        assert_eq!(count(report, "frames_received"), quiet.sent + flooded.sent, "a frame was lost: {report}");
        // Nor came so many later than their moment that one would hear it; a busy machine makes a few.
        let gaps = count(report, "frames_concealed") + count(report, "frames_late");
        assert!(gaps * 10 <= quiet.sent + flooded.sent, "{gaps} gaps: {report}");
    }
    assert!(flooded.login_ms <= 2_000.0, "a new login took {:.0} ms", flooded.login_ms);
    assert!(memory_after < memory_before + 64 * 1_024, "{memory_before} KiB grew to {memory_after} KiB");
    stage.until_bridge("nl", "active");
}

#[test]
fn forged_first_packets_disturb_nobody() {
    let packets = first_packets(2_000);
    during_calls("forged", |port| {
        let flood = Flood::start(packets, port, RATE);
        Box::new(|| flood.stop())
    });
}

#[test]
fn callers_that_answer_but_are_nobody_disturb_nobody_elsewhere() {
    during_calls("answering", |port| {
        let crowd = Crowd::start(port, CROWD_RATE);
        Box::new(|| crowd.stop())
    });
}

/// Every kind of flood, and the word by which the gateway names who floods.
const FLOODS: [(Kind, &str); 4] = [
    (Kind::Datagrams, "flood of datagrams"),
    (Kind::Presses, "too many messages"),
    (Kind::Messages, "too many messages"),
    (Kind::Sessions, "too many sessions"),
];

#[test]
fn an_admitted_unit_that_floods_disturbs_nobody() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::new();
    let quiet = {
        let _nl = stage.gateway("nl");
        calls(&stage, "quiet")
    };
    for (number, (kind, word)) in FLOODS.into_iter().enumerate() {
        // A gateway of its own, so that what it says is of this flood.
        let nl = stage.gateway("nl");
        let (before, began) = (cost(&nl).0, Instant::now());
        let flooder = Flooder::start(&stage, kind);
        let flooded = calls(&stage, &number.to_string());
        let (sent, sessions) = flooder.stop();
        let (span, busy) = (began.elapsed().as_secs_f64(), cost(&nl).0 - before);
        say(&format!(
            "{kind:?}: {sent} sent in {sessions} sessions in {span:.1} s; the gateway took {:.0} % of a core",
            busy.as_secs_f64() / span * 100.0
        ));
        compare(kind, &quiet, &flooded);
        assert_eq!(flooded.lost, 0, "{kind:?}: sessions of others ended");
        // A machine that gives nobody a turn for 60 ms loses a frame; a flood that got through would lose most.
        assert!(flooded.received * 100 >= flooded.due * 98, "{kind:?}: {} of {} frames", flooded.received, flooded.due);
        wait_for("the name of who floods", || nl.errors().contains(word));
    }
}
