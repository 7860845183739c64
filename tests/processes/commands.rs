//! The command-line contract: exit statuses, events, one-line errors, refusals by name.

use std::fs;
use std::time::Instant;

use client::events::Monotonic;
use pki::{Authority, Kind, Lifetime, Request};

use crate::stage::{Process, Stage, at_ms, say, wait_for};

#[test]
fn a_call_crosses_the_border_and_both_commands_end_with_a_report() {
    let stage = Stage::new();
    let (_nl, _be) = stage.bridged();
    let (maas, lux) = (stage.unit("nl", "maas-12"), stage.unit("be", "lux-1"));
    let out = stage.path("heard.wav");
    let mut ear = stage.run("listen", &lux, &["--wav", out.to_str().expect("UTF-8")]);
    ear.wait("affiliated");
    let mut mouth = stage.talk(&maas, 2, &[]);
    assert_eq!(mouth.end(), 0, "{}", mouth.errors());
    for event in ["connected", "affiliated", "requested", "granted", "released", "report"] {
        mouth.wait(event);
    }
    let taken = ear.wait("taken");
    assert_eq!(taken["talker"], "nl/unit/maas-12");
    assert_eq!((taken["alias"].as_str(), taken["agency"].as_str()), (Some("MAAS-12"), Some("police")));
    ear.wait("first_audio");
    ear.wait("idle");
    ear.signal("TERM");
    assert_eq!(ear.end(), 0, "{}", ear.errors());
    let (sent, report) = (mouth.wait("report"), ear.wait("report"));
    let [spoken, received] = [&sent["frames_sent"], &report["frames_received"]].map(|frames| frames.as_u64().expect("a number"));
    assert!(spoken >= 90, "{sent}");
    // Half of them, for a process that gets no time drops what waited 60 ms; that none is lost is proven in virtual time.
    assert!(received * 2 > spoken, "{sent} {report}");
    let heard = media::wav::read(&out).expect("a WAV file");
    let loud = heard.iter().filter(|sample| sample.unsigned_abs() > 1_000).count();
    assert!(loud > 16_000, "two seconds of tone, but {loud} loud samples");
    let access = at_ms(&mouth.wait("granted")) - at_ms(&mouth.wait("requested"));
    // Times, all of them: on a busy machine a frame is late and concealed.
    let [concealed, late, delay] = ["frames_concealed", "frames_late", "delay_p95_ms"].map(|field| &report[field]);
    say(&format!("press to grant {access:.1} ms, delay p95 {delay} ms"));
    say(&format!("{spoken} frames sent, {received} received, {concealed} concealed, {late} late"));
}

#[test]
fn what_is_not_allowed_is_refused_by_name_with_exit_1_and_a_record() {
    let stage = Stage::new();
    let _nl = stage.gateway("nl");
    stage.issue("nl", Kind::Unit, "expired", Lifetime::until_rfc3339("2026-01-01T00:00:00Z").expect("a date"));
    // A unit under a foreign root that carries a name of nl.
    let impostor = Authority::generate("nl").expect("a name").issue(&Request::new(Kind::Unit, "impostor")).expect("a request");
    impostor.save(&stage.path("nl")).expect("a folder");
    let cases = [
        (stage.unit("nl", "expired"), "certificate_expired"),
        (stage.unit("nl", "impostor"), "unknown_authority"),
        (stage.unit_at("nl", "maas-12", stage.nl.peers), "wrong_kind"),
    ];
    for (config, reason) in cases {
        let mut unit = stage.run("listen", &config, &["--seconds", "5"]);
        assert_eq!(unit.end(), 1, "{reason}: {:?} {}", unit.events(), unit.errors());
        let refused = unit.wait("refused");
        assert_eq!(refused["reason"], reason, "{:?}", unit.events());
        // Written by a thread of its own, maybe after the unit has heard.
        wait_for(&format!("record of {reason}"), || {
            let records = fs::read_to_string(stage.path("nl").join("var/records.jsonl")).unwrap_or_default();
            records.lines().any(|line| line.contains("\"refused\"") && line.contains(reason))
        });
    }
}

#[test]
fn a_denied_request_ends_with_1_and_its_cause() {
    let stage = Stage::new();
    stage.configure("nl", |text| text.replace("talk = [\"nl/*/*\"]", "talk = [\"nl/dispatcher/*\"]"));
    let _nl = stage.gateway("nl");
    let config = stage.unit("nl", "maas-12");
    let mut unit = stage.talk(&config, 1, &[]);
    assert_eq!(unit.end(), 1);
    assert_eq!(unit.wait("denied")["cause"], "receive_only");
    let stranger = stage.unit("nl", "maas-13");
    stage.configure("nl", |text| text.replace("join = [\"nl/*/*\"]", "join = [\"nl/unit/maas-12\"]"));
    drop(_nl);
    let _nl = stage.gateway("nl");
    let mut unit = stage.run("listen", &stranger, &["--seconds", "5"]);
    assert_eq!(unit.end(), 1, "{:?} {}", unit.events(), unit.errors());
    assert_eq!(unit.wait("refused")["reason"], "not_a_member");
}

#[test]
fn bad_usage_and_configuration_end_with_2_and_one_line() {
    let stage = Stage::new();
    let config = stage.path("broken.toml");
    fs::write(&config, "identity = { certificate = \"a.pem\", key = \"a.key\" }\ntalkgroups = []\nunknown = 1\n").expect("a folder");
    let mut unit = stage.run("listen", config.to_str().expect("UTF-8"), &[]);
    assert_eq!(unit.end(), 2);
    assert_eq!(unit.errors().lines().count(), 1, "{}", unit.errors());
    assert!(unit.errors().contains("broken.toml:3"), "{}", unit.errors());
}

#[test]
fn a_call_that_makes_no_sense_ends_with_2_before_anything_is_dialled() {
    let stage = Stage::new();
    let config = stage.unit("nl", "maas-12");
    let wav = stage.tone(1);
    let talk = ["talk", "--config", &config, "--talkgroup", "nl/pol-1", "--wav", wav.to_str().expect("UTF-8")];
    let cases: [&[&str]; 8] = [
        &[],
        &["shout"],
        &["listen", "--config", &config],
        &["listen", "--config", &config, "--talkgroup", "pol-1"],
        &["listen", "--config", &config, "--talkgroup", "nl/pol-1", "--seconds", "soon"],
        &[&talk[..], &["--peril", "--emergency"]].concat(),
        &[&talk[..], &["--raise-at", "5"]].concat(),
        &[&talk[..], &["--permit", "never"]].concat(),
    ];
    for arguments in cases {
        let mut unit = Process::start("talkbridge-unit", arguments);
        assert_eq!(unit.end(), 2, "{arguments:?}");
        assert!(unit.events().is_empty() && !unit.errors().is_empty(), "{arguments:?}: {:?} {}", unit.events(), unit.errors());
    }
    for files in [["--wav", "/nowhere/in.wav"], ["--wav", &config]] {
        let mut unit = stage.run("talk", &config, &files);
        assert_eq!(unit.end(), 2, "{files:?}");
        assert_eq!(unit.errors().lines().count(), 1, "{}", unit.errors());
    }
}

#[test]
fn help_is_no_failure_and_shows_the_closed_lists() {
    for command in ["talk", "listen", "probe"] {
        let mut help = Process::start("talkbridge-unit", &[command, "--help"]);
        assert_eq!(help.end(), 0, "{command}");
        let text: String = help.events().iter().map(ToString::to_string).collect();
        for word in ["queue_full", "talk_limit", "certificate_revoked"] {
            assert!(text.contains(word), "{command} --help without {word}");
        }
    }
    let mut help = Process::start("talkbridge", &["--help"]);
    assert_eq!(help.end(), 0);
}

#[test]
fn nobody_at_the_address_is_unreachable_when_the_connect_timeout_is_over() {
    let stage = Stage::new();
    let config = stage.unit("nl", "maas-12");
    let started = Monotonic::now().at_ms(Instant::now());
    let mut unit = stage.run("listen", &config, &["--connect-timeout", "1"]);
    assert_eq!(unit.end(), 1);
    let refused = unit.wait("refused");
    assert_eq!(refused["reason"], "unreachable", "{:?}", unit.events());
    // Not before, and not at the default of 5 s.
    let after = at_ms(&refused) - started;
    assert!((1_000.0..5_000.0).contains(&after), "{after} ms");
}
