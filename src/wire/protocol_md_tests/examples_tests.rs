//! The examples of `PROTOCOL.md`: each is what the code writes, and what it reads back.

use bytes::Bytes;

use super::{members, section};
use crate::cause::{DenyCause, Reason, RevokeCause};
use crate::control::*;
use crate::datagram::{Datagram, Heartbeat, Repeat, Report, Voice};
use crate::{Epoch, Handle, Level, Priority, RequestId, Seq, Spurt, Tier};

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn on(talkgroup: &str, party: Option<&str>, body: FloorBody) -> Message {
    Message::Floor(Floor { talkgroup: id(talkgroup), party: party.map(id), body })
}

/// Frames of the control stream, in the order of the page.
fn frames() -> Vec<(&'static str, Message)> {
    let (request, spurt) = (RequestId(5), Spurt::from_bits(0x0700_002b));
    let lux = || Talker { identity: id("be/unit/lux-7"), alias: "Lux 7".into(), agency: "police".into() };
    let taken = || Taken { spurt, talker: lux(), tier: Tier::Normal, via: None, elapsed_ms: 940 };
    let ask = |tier, talker| FloorBody::Request(Request { request, priority: Priority::of(tier), talker, continuing: None });
    let far_side = || FarSide { talkgroup: id("nl/pol-1"), authority: id("be"), present: true };
    let affiliated = Affiliated {
        talkgroup: id("nl/pol-1"),
        handle: Handle(3),
        title: "Police 1".into(),
        agency: "police".into(),
        rights: Rights { talk: true, emergency: true, peril: false, level_max: Level(64) },
        baseline: Spurt::from_bits(0x0700_002a),
        current: Some(taken()),
        emergency: None,
        far_sides: vec![far_side()],
    };
    let agreement = Agreement {
        name: "EMR-2026-01".into(),
        home: id("nl/pol-1"),
        partner: id("be/lux-3"),
        inbound: Inbound {
            talk: true,
            short_data: false,
            emergency: true,
            ceiling: Ceiling { tier: Tier::Emergency, level: Level(64), dispatcher: false },
        },
        outbound: Outbound { talk: true, short_data: false, emergency: true },
        onward: vec![id("de")],
    };
    let holder = Holder { request, priority: Priority::normal(16), talker: lux(), elapsed_ms: 2_000 };
    let partner_sync = Sync { talkgroup: id("nl/pol-1"), handle: Handle(2), epoch: Epoch(11), holder: Some(holder), emergency: Vec::new() };
    let home_sync = Sync { talkgroup: id("nl/pol-1"), handle: Handle(7), epoch: Epoch(12), holder: None, emergency: Vec::new() };
    let granted = Granted { request, spurt, duration_s: 30, tier: Tier::Normal, own_side_only: false };
    let idle = Idle { spurt, last_seq: Some(Seq(250)), cause: None, followed: false };
    let numbers_go_on = Idle { spurt: Spurt::start_of(Epoch(12)), last_seq: None, cause: None, followed: false };
    let release = Release { request, last_seq: Some(Seq(250)), key_down: false };
    let revoke = Revoke { request, spurt, cause: RevokeCause::Preempted, grace_ms: 500 };
    let lux_7 = Some("be/unit/lux-7");
    vec![
        ("hello {1 to 1}", Message::Hello(Hello::ours())),
        (
            "welcome {1, nl/gateway/gw-1}",
            Message::Welcome(Welcome { version: 1, capabilities: Vec::new(), gateway: id("nl/gateway/gw-1") }),
        ),
        ("refused {standby}", Message::Refused(Reason::Standby)),
        ("affiliate {nl/pol-1}", Message::Affiliate(id("nl/pol-1"))),
        (
            "affiliated {nl/pol-1, handle 3, base line 7.42, current 7.43 of be/unit/lux-7, be present}",
            Message::Affiliated(Box::new(affiliated)),
        ),
        ("affiliate_refused {nl/pol-1, not_a_member}", Message::AffiliateRefused(id("nl/pol-1"), Reason::NotAMember)),
        ("deaffiliate {nl/pol-1}", Message::Deaffiliate(id("nl/pol-1"))),
        ("floor request {5, normal, level 16}, of a unit", on("nl/pol-1", None, ask(Tier::Normal, None))),
        (
            "floor request {5, emergency, level 16} for be/unit/lux-7, of its gateway",
            on("nl/pol-1", lux_7, ask(Tier::Emergency, Some(lux()))),
        ),
        ("floor granted {5, 7.43, 30 s, normal}", on("nl/pol-1", None, FloorBody::Granted(granted))),
        ("floor deny {5, queue_full}", on("nl/pol-1", None, FloorBody::Deny { request, cause: DenyCause::QueueFull })),
        ("floor queued {5, position 2}", on("nl/pol-1", None, FloorBody::Queued { request, position: 2 })),
        ("floor taken {7.43, be/unit/lux-7, normal, 940 ms ago}", on("nl/pol-1", None, FloorBody::Taken(taken()))),
        ("floor idle {7.43, last frame 250}", on("nl/pol-1", None, FloorBody::Idle(idle))),
        ("floor idle {12.0}: numbers go on in epoch 12", on("nl/pol-1", None, FloorBody::Idle(numbers_go_on))),
        ("floor release {5, last frame 250}", on("nl/pol-1", None, FloorBody::Release(release))),
        ("floor revoke {5, 7.43, preempted, 500 ms} for be/unit/lux-7, of the home", on("nl/pol-1", lux_7, FloorBody::Revoke(revoke))),
        ("floor ack {5}", on("nl/pol-1", None, FloorBody::Ack { request })),
        ("emergency_end {nl/pol-1}", Message::EmergencyEnd { talkgroup: id("nl/pol-1"), party: None }),
        (
            "emergency_state {nl/pol-1, active, be/unit/lux-7}",
            Message::EmergencyState { talkgroup: id("nl/pol-1"), active: true, originator: id("be/unit/lux-7"), units: Vec::new() },
        ),
        (
            "emergency_end_refused {nl/pol-1, emergency_end_not_allowed}",
            Message::EmergencyEndRefused { talkgroup: id("nl/pol-1"), party: None, cause: DenyCause::EmergencyEndNotAllowed },
        ),
        ("far_side {nl/pol-1, be, present}", Message::FarSide(far_side())),
        ("agreements [EMR-2026-01]", Message::Agreements(vec![agreement])),
        ("sync {nl/pol-1, handle 2, epoch 11, holder be/unit/lux-7}, of the partner", Message::Sync(Box::new(partner_sync))),
        ("sync {nl/pol-1, handle 7, epoch 12}, of the home", Message::Sync(Box::new(home_sync))),
    ]
}

/// Datagrams, in the order of the page.
fn datagrams() -> Vec<(&'static str, Datagram)> {
    let voice = Voice {
        handle: Handle(3),
        spurt: Spurt::from_bits(0x0700_002b),
        seq: Seq(2),
        first: false,
        last: false,
        tier: Tier::Normal,
        encrypted: false,
        repeats: Vec::new(),
        payload: Bytes::from_static(&[0x58, 0x0b, 0xe4]),
    };
    let last = Voice { seq: Seq(250), last: true, tier: Tier::Emergency, payload: Bytes::new(), ..voice.clone() };
    let repeat = Repeat { back: 1, payload: Bytes::from_static(&[0x58, 0x0a]) };
    let repeating = Voice { repeats: vec![repeat], ..voice.clone() };
    let request =
        FloorBody::Request(Request { request: RequestId(9), priority: Priority::of(Tier::Emergency), talker: None, continuing: None });
    vec![
        ("voice {handle 3, 7.43, frame 2, normal}, 3 bytes of Opus", Datagram::Voice(voice)),
        ("voice {handle 3, 7.43, frame 250, last, emergency}, empty", Datagram::Voice(last)),
        ("voice {handle 3, 7.43, frame 2} with the frame before", Datagram::Voice(repeating)),
        ("heartbeat {17, newest heard 16}", Datagram::Heartbeat(Heartbeat { seq: 17, echo: 16 })),
        ("report {2,400 frames, 131 lost, in 102 runs}", Datagram::Report(Report { frames: 2_400, lost: 131, runs: 102 })),
        ("emergency request {9}", Datagram::Emergency(Box::new(on("nl/pol-1", None, request)))),
    ]
}

/// A title, and the bytes below it, 32 a line.
fn example(title: &str, bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| line.iter().map(|byte| format!(" {byte:02x}")).collect::<String>());
    std::iter::once(title.to_owned()).chain(lines.map(|line| format!("   {line}"))).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_of_the_page_are_what_the_code_writes_and_reads() {
    let mut examples = Vec::new();
    for (title, message) in frames() {
        let bytes = crate::frame::encode(&message);
        let mut decoder = crate::frame::Decoder::default();
        decoder.push(&bytes);
        assert_eq!(decoder.next_message(), Ok(Some(message)), "{title}");
        examples.push(example(title, &bytes));
    }
    for (title, datagram) in datagrams() {
        let bytes = datagram.encode();
        assert_eq!(Datagram::decode(bytes.clone()), Ok(Some(datagram)), "{title}");
        examples.push(example(title, &bytes));
    }
    let block = format!("```text\n{}\n```\n", examples.join("\n"));
    assert!(section("## Examples").contains(&block), "the examples must be:\n{block}");
}

#[test]
fn every_message_has_an_example() {
    let titles: Vec<&str> = frames().into_iter().map(|(title, _)| title).collect();
    for (_, name) in members("Control").into_iter().chain(members("Floor")).filter(|(_, name)| name != "floor") {
        assert!(titles.iter().any(|title| title.trim_start_matches("floor ").starts_with(&name)), "{name}");
    }
}
