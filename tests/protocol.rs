//! PROTOCOL.md against the code beyond the wire: state tables, timers and limits, TLS alerts. What `src/wire` itself can compare
//! (messages, fields, lists, bytes) stands in its `protocol_md_tests.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::floor::{participant, queue, table};
use engine::plan::Timers;
use engine::{holddown, liveness};
use wire::{Reason, RevokeCause};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("src/wire/PROTOCOL.md")).expect("PROTOCOL.md")
}

/// The first table under a heading must be this one; on a difference the right one is printed, to be pasted.
fn assert_table(heading: &str, rows: &[String]) {
    let page = page();
    let (_, rest) = page.split_once(&format!("\n{heading}")).unwrap_or_else(|| panic!("no section {heading}"));
    let section = rest.split("\n#").next().unwrap_or_default();
    let said: Vec<&str> = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).collect();
    assert!(said == rows, "{heading} must be:\n{}\n", rows.join("\n"));
}

// === State tables ===

fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

fn head(first: &str, states: impl Iterator<Item = String>) -> [String; 2] {
    let cells: Vec<String> = std::iter::once(first.to_owned()).chain(states).collect();
    let rule = format!("|{}", "---|".repeat(cells.len()));
    [row(cells), rule]
}

fn arbiter_event(event: table::Event) -> &'static str {
    use table::Event;
    match event {
        Event::Request => "a request that does not pre-empt the talker",
        Event::Preempt => "a request that pre-empts, both in the normal tier",
        Event::Cut => "a request that pre-empts, any other",
        Event::Again => "the talker's request again",
        Event::Raise => "the talker's request again, higher than before (in Revoking: and than the head of the queue)",
        Event::Release => "the talker's release, its last frame not passed yet",
        Event::ReleaseDone => "the talker's release, its last frame passed, or none sent",
        Event::LastFrame => "the frame that the release named passes",
        Event::TailOver => "200 ms after the release",
        Event::MediaGap => "T1",
        Event::TalkLimit => "T2",
        Event::GraceOver => "T3",
        Event::NoShow => "T20 for the third time",
        Event::TalkerGone => "the talker leaves, its session ends, its rights end",
    }
}

fn arbiter_action(action: table::Action) -> String {
    use table::Action;
    match action {
        Action::Grant => "grant".into(),
        Action::GrantAgain => "granted again".into(),
        Action::Raise => "take the higher priority".into(),
        Action::Enqueue => "queue".into(),
        Action::EnqueueFirst => "queue first".into(),
        Action::RevokeWithGrace(cause) => format!("revoke {cause}, T3"),
        Action::RevokeNow(cause) => format!("revoke {cause}, 0; end"),
        Action::Drain => "ack, await the last frame".into(),
        Action::Ack => "ack".into(),
        Action::End => "end".into(),
    }
}

#[test]
fn the_arbiter_of_the_page_is_the_arbiter_of_the_code() {
    let mut rows: Vec<String> = head("event", table::STATES.iter().map(|state| format!("{state:?}"))).into();
    for event in table::EVENTS {
        let cells = table::STATES.iter().map(|state| match table::decide(*state, event) {
            None => "-".to_owned(),
            Some((actions, to)) => {
                let does = actions.iter().map(|action| arbiter_action(*action)).collect::<Vec<_>>().join("; ");
                match to {
                    table::To::State(next) if next == *state => does,
                    table::To::State(next) => format!("{does} → {next:?}"),
                    table::To::Next => format!("{does} → *next*"),
                }
            }
        });
        rows.push(row(std::iter::once(arbiter_event(event).to_owned()).chain(cells)));
    }
    assert_table("### The arbiter", &rows);
}

fn participant_event(event: participant::Event) -> &'static str {
    use participant::Event;
    match event {
        Event::Press => "key down, or its tier or level raised",
        Event::KeyUp => "key up",
        Event::Granted => "`granted`",
        Event::Denied => "`deny`",
        Event::Waits => "`queued`",
        Event::Revoked => "`revoke` with grace",
        Event::RevokedNow => "`revoke`, grace 0",
        Event::RevokedInRaise => "`revoke`, grace 0, while a raise has no answer",
        Event::Acked => "`ack`",
        Event::Retry => "T100, T101",
        Event::GivenUp => "T100, T101 after the last repeat",
        Event::GraceOver => "150 ms before the grace ends",
        Event::GraceOverInRaise => "150 ms before the grace ends, while a raise has no answer",
        Event::Disconnected => "the session ends",
    }
}

/// What the other side sees of an action.
fn participant_action(action: participant::Action) -> Option<&'static str> {
    use participant::Action;
    match action {
        Action::SendRequest => Some("request"),
        Action::SendRelease => Some("release"),
        Action::Finish => Some("last frame, release"),
        Action::Talk => Some("talk"),
        Action::Stop => Some("fall silent"),
        Action::UseGrace => Some("talk on"),
        Action::TellDenied
        | Action::TellNoAnswer
        | Action::TellPosition
        | Action::TellRevoked
        | Action::TellReleased
        | Action::TellDisconnected => None,
    }
}

#[test]
fn the_participant_of_the_page_is_the_participant_of_the_code() {
    let mut rows: Vec<String> = head("event", participant::STATES.iter().map(|state| format!("{state:?}"))).into();
    for event in participant::EVENTS {
        let cells = participant::STATES.iter().map(|state| match participant::decide(*state, event) {
            None => "-".to_owned(),
            Some((actions, next)) => {
                let does: Vec<&str> = actions.iter().filter_map(|action| participant_action(*action)).collect();
                match (does.join("; "), next == *state) {
                    (does, true) if does.is_empty() => "stay".to_owned(),
                    (does, true) => does,
                    (does, false) => format!("{does} → {next:?}").trim_start().to_owned(),
                }
            }
        });
        rows.push(row(std::iter::once(participant_event(event).to_owned()).chain(cells)));
    }
    assert_table("### The participant", &rows);
}

// === Timers and limits ===

/// `300 ms`, `1.3 s`, `30 s`.
fn time(value: Duration) -> String {
    let ms = value.as_millis();
    match ms {
        0..=999 => format!("{ms} ms"),
        _ if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        _ => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
    }
}

fn number(value: usize) -> String {
    if value < 1_000 { value.to_string() } else { format!("{},{:03}", value / 1_000, value % 1_000) }
}

/// A constant that is private to its file: read where it stands, so that the page follows it.
fn private(file: &str, name: &str) -> String {
    let path: PathBuf = root().join("src").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let (_, rest) = text.split_once(&format!("const {name}:")).unwrap_or_else(|| panic!("no constant {name} in {file}"));
    let value = rest.split_once('=').and_then(|(_, value)| value.split(';').next()).map(str::trim);
    let value = value.unwrap_or_else(|| panic!("{name} in {file} has no value"));
    let inside = |call: &str| value.strip_prefix(call)?.strip_suffix(')')?.replace('_', "").parse::<u64>().ok();
    let found = inside("Duration::from_millis(").map(Duration::from_millis);
    match found.or_else(|| inside("Duration::from_secs(").map(Duration::from_secs)) {
        Some(duration) => time(duration),
        None => number(value.replace('_', "").parse().unwrap_or_else(|why| panic!("{name} = {value} in {file}: {why}"))),
    }
}

#[test]
fn the_timers_of_the_page_are_the_timers_of_the_code() {
    let floor = Timers::default();
    let rows: Vec<(&str, String)> = vec![
        ("handshake", time(transport::config::HANDSHAKE_TIMEOUT)),
        ("control stream opened after the handshake", time(transport::endpoint::CONTROL_STREAM_TIMEOUT)),
        ("`hello` awaited by the acceptor, `welcome` by a gateway that dials", private("engine/hub/mod.rs", "HELLO_TIME")),
        ("`welcome` awaited by a unit", private("client/session.rs", "WELCOME")),
        ("flush before a close", time(transport::link::FLUSH_TIMEOUT)),
        ("back-off, first and longest", format!("{}, {}", time(transport::backoff::FIRST), time(transport::backoff::CAP))),
        ("a gateway's attempt to dial a peer", private("gateway/dialling.rs", "DIAL_TIMEOUT")),
        ("the higher identity yields to the lower", private("gateway/dialling.rs", "YIELD")),
        ("a unit's attempt to dial, at least and at most", {
            let limits = ["ATTEMPT_MIN", "ATTEMPT_MAX"].map(|name| private("client/gateways.rs", name));
            limits.join(", ")
        }),
        ("heartbeat between gateways", time(liveness::PEER_INTERVAL)),
        ("heartbeat between gateways without echo, from the age", {
            format!("{}, {}", time(liveness::PEER_HURRY), time(liveness::PEER_PATIENCE))
        }),
        ("border link lost", time(liveness::PEER_LIMIT)),
        ("heartbeat of a unit", time(liveness::UNIT_INTERVAL)),
        ("heartbeat of a unit while the last has no echo", time(liveness::UNIT_HURRY)),
        ("unit's session lost", time(liveness::UNIT_LIMIT)),
        ("falls that hold a link down, within, for", {
            format!("{}, {}, {}", holddown::FALLS, time(holddown::WINDOW), time(holddown::HOLD))
        }),
        ("T1 end of media", time(floor.t1)),
        ("T2 talk limit", time(floor.t2)),
        ("T2 in the emergency tier", time(floor.t2_emergency)),
        ("T3 grace", time(floor.t3)),
        ("T20 grant out of the queue", time(floor.t20)),
        ("C20 grants out of the queue", Timers::C20.to_string()),
        ("last frame awaited after a release", time(Timers::TAIL)),
        ("T100, T101 release and request", time(participant::RETRY)),
        ("C100, C101 repeats of them", participant::RETRIES.to_string()),
        ("emergency request again as a datagram", time(participant::EMERGENCY_REPEAT)),
        ("part of a grace kept for the release", private("engine/floor/participant.rs", "GRACE_MARGIN")),
        ("emergency without an answer of the home", private("engine/hub/asked.rs", "EMERGENCY_ANSWER")),
        ("voice of a home that names nobody for it", private("engine/hub/follower/mistrust.rs", "UNNAMED")),
        ("silence of a talker that a home does not end", private("engine/hub/follower/mistrust.rs", "SILENT")),
        ("what a home's own talk limit may take longer", private("engine/hub/follower/mistrust.rs", "OVERTIME")),
        ("session between gateways that counts as a fall", private("engine/hub/peers.rs", "BRIEF")),
        ("copies of the last frame, apart", time(Duration::from_millis(20))),
        ("voice too old to be sent", time(engine::sched::Class::Voice.rule().deadline.expect("a deadline"))),
        ("a spurt without frames sounds interrupted", private("engine/handset/group.rs", "INTERRUPTED")),
        ("between two reports of loss", private("engine/loss/meter.rs", "REPORT_EVERY")),
        ("between two words that nobody hears", private("engine/hub/datagrams.rs", "UNHEARD_EVERY")),
        ("mute after a flood", private("engine/hub/limits.rs", "MUTE")),
        ("flood after a mute that ends the session", private("engine/hub/limits.rs", "PROBATION")),
    ];
    assert_rows("### Timers", &rows);
}

#[test]
fn the_limits_of_the_page_are_the_limits_of_the_code() {
    let rows: Vec<(&str, String)> = vec![
        ("certificates in a chain", private("transport/identity.rs", "CHAIN_MAX")),
        ("control frame, bytes without its length", number(wire::frame::FRAME_MAX_BYTES)),
        ("piece of the control stream written at once, bytes", number(wire::frame::CHUNK_MAX_BYTES)),
        ("control messages that wait for a reader", number(engine::sched::Class::Control.rule().bound_messages)),
        ("entries of a list", number(wire::LIST_MAX)),
        ("characters of a text for people", number(wire::DISPLAY_MAX_CHARS)),
        ("datagram, bytes", number(transport::config::DATAGRAM_MAX_BYTES)),
        ("payload of a voice frame, bytes", number(wire::datagram::PAYLOAD_MAX_BYTES)),
        ("repeats in a voice frame", number(wire::datagram::REPEATS_MAX)),
        ("frames after which a missing one is lost", private("engine/loss/meter.rs", "SETTLE")),
        ("frames spoken before the grant", private("engine/handset/group.rs", "KEPT_FRAMES")),
        ("times the last frame is sent", private("engine/handset/group.rs", "LAST_COPIES")),
        ("frames behind the newest that are told from duplicates", private("engine/gate.rs", "WINDOW")),
        ("older numbers of a spurt that still pass", private("engine/gate.rs", "TAILS_MAX")),
        ("epochs that voice may run ahead of the home's word", private("engine/hub/follower/mistrust.rs", "EPOCHS_AHEAD")),
        ("epochs that a `sync` again may run ahead of the home's own", private("engine/hub/setup.rs", "EPOCHS_ALONE")),
        ("talkgroups of a unit", private("engine/hub/units.rs", "JOINS_MAX")),
        ("requests that wait in a talkgroup", number(queue::QUEUE_MAX)),
        ("units in emergency in a talkgroup", private("engine/hub/view/floor.rs", "EMERGENCIES_MAX")),
        ("callers of one identity without a welcome", private("gateway/lobby.rs", "IDENTITY_MAX")),
    ];
    assert_rows("### Limits", &rows);
}

/// The first two columns of the table under a heading.
fn assert_rows(heading: &str, rows: &[(&str, String)]) {
    let page = page();
    let (_, rest) = page.split_once(&format!("\n{heading}")).unwrap_or_else(|| panic!("no section {heading}"));
    let section = rest.split("\n#").next().unwrap_or_default();
    let cells = |line: &str| line.split('|').skip(1).take(2).map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let said: Vec<Vec<String>> = section.lines().filter(|line| line.starts_with("| ")).skip(1).map(cells).collect();
    let right: Vec<Vec<String>> = rows.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
    let missing: Vec<String> = right.iter().filter(|row| !said.contains(row)).map(|row| row.join(" | ")).collect();
    let wrong: Vec<String> = said.iter().filter(|row| !right.contains(row)).map(|row| row.join(" | ")).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "{heading}: the page lacks {missing:#?} and says {wrong:#?}");
}

// === Refusals by TLS ===

#[test]
fn the_alerts_of_the_page_are_the_alerts_of_the_code() {
    let page = page();
    let (_, rest) = page.split_once("\n### Refused certificates").expect("a section");
    let section = rest.split("\n#").next().unwrap_or_default();
    let code = fs::read_to_string(root().join("src/transport/reason.rs")).expect("the reasons");
    let mut rows = 0;
    for line in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (alert, name) = (cells[1], cells[2].trim_matches('`'));
        let constant = format!("const {}: u8 = {alert};", name.to_uppercase());
        assert!(code.contains(&constant), "reason.rs has no {constant}");
        for word in cells[3].split('`').skip(1).step_by(2) {
            assert!(Reason::ALL.iter().any(|reason| reason.as_str() == word), "{word} is no reason");
        }
        rows += 1;
    }
    assert_eq!(rows, code.matches(": u8 = ").count(), "every alert has its row");
}

/// The words that mark a spurt as lost stand on the page with the rule that nothing of it passes any more.
#[test]
fn the_causes_that_silence_a_spurt_are_named() {
    let lost = RevokeCause::ALL.iter().filter(|cause| {
        let idle = wire::control::Idle { spurt: wire::Spurt::from_bits(1), last_seq: None, cause: Some(**cause), followed: false };
        idle.is_lost()
    });
    let words: Vec<String> = lost.map(|cause| format!("`{cause}`")).collect();
    let sentence = format!("ended by {}", words.join(", "));
    assert!(page().contains(&sentence), "the page lacks: {sentence}");
}
