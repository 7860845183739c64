//! What the options of `talk` and `listen` do: tier and level, the moment of the microphone, ends in order.

use serde_json::Value;

use crate::stage::{Process, Stage, at_ms};

/// Length of a voice frame.
const FRAME_MS: f64 = 20.0;

/// All events of that name.
fn all(process: &Process, event: &str) -> Vec<Value> {
    process.events().into_iter().filter(|value| value["event"] == event).collect()
}

/// Where the first event of that name stands.
fn place(process: &Process, event: &str) -> usize {
    process.events().iter().position(|value| value["event"] == event).unwrap_or_else(|| panic!("no {event}"))
}

/// Time from an event to *released*.
fn spoken_since(mouth: &Process, event: &str) -> f64 {
    at_ms(&mouth.wait("released")) - at_ms(&mouth.wait(event))
}

/// Time that speaking took: every frame but the last, which is empty and ends the spurt.
fn sound_ms(mouth: &Process) -> f64 {
    (mouth.wait("report")["frames_sent"].as_f64().expect("a number") - 1.0) * FRAME_MS
}

#[test]
fn a_higher_level_takes_the_floor_and_the_loser_ends_with_1() {
    let stage = Stage::new();
    let _nl = stage.gateway("nl");
    let mut low = stage.talk(&stage.unit("nl", "maas-12"), 20, &["--level", "15"]);
    low.wait("granted");
    let mut high = stage.talk(&stage.unit("nl", "maas-13"), 1, &["--level", "17"]);
    assert_eq!(high.end(), 0, "{:?} {}", high.events(), high.errors());
    assert_eq!(low.end(), 1);
    assert_eq!(low.wait("revoked")["cause"], "preempted");
}

#[test]
fn peril_needs_its_right_and_then_goes_before_every_level() {
    let stage = Stage::new();
    let nl = stage.gateway("nl");
    let (first, second) = (stage.unit("nl", "maas-12"), stage.unit("nl", "maas-13"));
    let mut denied = stage.talk(&first, 1, &["--peril"]);
    assert_eq!(denied.end(), 1);
    assert_eq!(denied.wait("denied")["cause"], "peril_not_allowed");
    drop(nl);
    stage.configure("nl", |text| text.replace("level_max = 64", "level_max = 64\nperil = [\"nl/*/*\"]"));
    let _nl = stage.gateway("nl");
    let mut normal = stage.talk(&first, 20, &["--level", "64"]);
    normal.wait("granted");
    let mut peril = stage.talk(&second, 1, &["--peril"]);
    assert_eq!(peril.end(), 0, "{:?} {}", peril.events(), peril.errors());
    assert_eq!(peril.wait("granted")["tier"], "peril");
    assert_eq!(normal.end(), 1);
    assert_eq!(normal.wait("revoked")["cause"], "preempted");
}

#[test]
fn a_call_is_raised_to_an_emergency_across_the_border_and_ended() {
    let stage = Stage::new();
    let (_nl, _be) = stage.bridged();
    let ear = stage.run("listen", &stage.unit("be", "lux-1"), &[]);
    ear.wait("affiliated");
    let mut mouth = stage.talk(&stage.unit("nl", "maas-12"), 2, &["--emergency", "--raise-at", "1000", "--end-emergency"]);
    assert_eq!(mouth.end(), 0, "{:?} {}", mouth.events(), mouth.errors());
    let grants = all(&mouth, "granted");
    let [normal, raised] = grants.as_slice() else { panic!("not two grants: {grants:?}") };
    assert_eq!((&normal["tier"], &raised["tier"]), (&"normal".into(), &"emergency".into()));
    assert_eq!((&normal["request"], &normal["spurt"]), (&raised["request"], &raised["spurt"]));
    assert!(at_ms(raised) - at_ms(&mouth.wait("requested")) >= 1_000.0, "{grants:?}");
    for state in ["active", "ended"] {
        let event = ear.wait_from(0, state, |event| event["event"] == "emergency" && event["state"] == state);
        assert_eq!(event["originator"], "nl/unit/maas-12");
    }
    assert!(place(&mouth, "released") < mouth.events().iter().position(|event| event["state"] == "ended").expect("told"));
}

#[test]
fn whoever_may_not_end_the_emergency_of_another_hears_so_and_ends_with_1() {
    let stage = Stage::new();
    let (_nl, _be) = stage.bridged();
    let mut in_danger = stage.talk(&stage.unit("nl", "maas-12"), 1, &["--emergency"]);
    assert_eq!(in_danger.end(), 0, "{:?} {}", in_danger.events(), in_danger.errors());
    for (authority, name) in [("nl", "maas-13"), ("be", "lux-1")] {
        let mut other = stage.talk(&stage.unit(authority, name), 1, &["--end-emergency"]);
        assert_eq!(other.end(), 1, "{name}: {:?} {}", other.events(), other.errors());
        assert_eq!(other.wait("denied")["cause"], "emergency_end_not_allowed", "{name}");
    }
}

#[test]
fn sample_0_is_spoken_at_the_request_at_once_and_at_the_grant_with_a_tone_or_after_the_queue() {
    let stage = Stage::new();
    let _nl = stage.gateway("nl");
    let (first, second) = (stage.unit("nl", "maas-12"), stage.unit("nl", "maas-13"));
    let mut instant = stage.talk(&first, 1, &[]);
    assert_eq!(instant.end(), 0, "{}", instant.errors());
    assert!(spoken_since(&instant, "requested") >= sound_ms(&instant), "{:?}", instant.events());

    let mut tone = stage.talk(&first, 1, &["--permit", "tone"]);
    assert_eq!(tone.end(), 0, "{}", tone.errors());
    assert!(spoken_since(&tone, "granted") >= sound_ms(&tone), "{:?}", tone.events());

    let talker = stage.talk(&first, 3, &[]);
    talker.wait("granted");
    let mut queued = stage.talk(&second, 1, &[]);
    assert_eq!(queued.end(), 0, "{}", queued.errors());
    assert_eq!(queued.wait("queued")["position"], 1);
    assert!(spoken_since(&queued, "granted") >= sound_ms(&queued), "{:?}", queued.events());
    // The whole recording, though the key went down long before.
    assert_eq!(queued.wait("report")["frames_sent"], instant.wait("report")["frames_sent"]);
}

#[test]
fn a_signal_ends_a_talk_in_order() {
    let stage = Stage::new();
    let _nl = stage.gateway("nl");
    let ear = stage.run("listen", &stage.unit("nl", "maas-13"), &[]);
    ear.wait("affiliated");
    let config = stage.unit("nl", "maas-12");
    for signal in ["INT", "TERM"] {
        let known = ear.events().len();
        let mut mouth = stage.talk(&config, 20, &[]);
        ear.wait_from(known, "first sound", |event| event["event"] == "first_audio");
        mouth.signal(signal);
        assert_eq!(mouth.end(), 0, "SIG{signal}: {}", mouth.errors());
        assert!(place(&mouth, "released") < place(&mouth, "report"), "{:?}", mouth.events());
        assert_eq!(mouth.events().last().map(|event| event["event"].clone()), Some("report".into()));
        let idle = ear.wait_from(known, "idle", |event| event["event"] == "idle");
        assert_eq!(idle["lost"], false, "a release, not a talker that vanished");
    }
}

#[test]
fn a_signal_or_the_seconds_end_a_listener_with_a_whole_file() {
    let stage = Stage::new();
    let _nl = stage.gateway("nl");
    let config = stage.unit("nl", "maas-12");
    let out = stage.path("heard.wav");
    let wav = ["--wav", out.to_str().expect("UTF-8")];
    let mut timed = stage.run("listen", &config, &[&wav[..], &["--seconds", "1"]].concat());
    assert_eq!(timed.end(), 0, "{}", timed.errors());
    let lasted = at_ms(&timed.wait("report")) - at_ms(&timed.wait("connected"));
    assert!(lasted >= 1_000.0, "{:?}", timed.events());
    let samples = media::wav::read(&out).expect("a whole WAV file").len();
    assert!(samples >= 16_000, "{samples} samples of one second");

    let mut stopped = stage.run("listen", &config, &wav);
    stopped.wait("affiliated");
    stopped.signal("INT");
    assert_eq!(stopped.end(), 0, "{}", stopped.errors());
    assert_eq!(stopped.events().last().map(|event| event["event"].clone()), Some("report".into()));
    media::wav::read(&out).expect("a whole WAV file");
}
