//! What the corpora begin with: real encodings, real files, and scripts of the usual course of things.
//!
//! `tests/corpora.rs` writes them and compares them with what lies in `corpus/`, so that the seeds follow the protocol.

use bytes::Bytes;
use wire::control::*;
use wire::data::{self, Content, Disposition, Location};
use wire::datagram::{Datagram, Heartbeat, Repeat, Report, Voice};
use wire::frame;
use wire::{DenyCause, Epoch, Handle, Level, Priority, Reason, RequestId, RevokeCause, Seq, Spurt, Tier};

use super::files::fixture;

/// Name and bytes of one seed.
pub(crate) type Seed = (&'static str, Vec<u8>);

/// The seeds of a target.
pub(crate) fn seeds(target: &str) -> Vec<Seed> {
    match target {
        "control" => messages().into_iter().map(|(name, message)| (name, message.encode().to_vec())).collect(),
        "stream" => vec![("session", stream(&[])), ("in-pieces", stream(&[1, 3, 4, 40, 200]))],
        "datagram" => datagrams(),
        "short_data" => short_data(),
        "certificate" => certificates(),
        "identity" => vec![
            ("unit", with_length(&fixture("unit.pem"), &fixture("rfc8410.key"))),
            ("chain", with_length(&[fixture("gateway.pem"), fixture("root.pem")].concat(), &fixture("rfc8410.key"))),
        ],
        "trust" => {
            vec![
                ("root", with_length(&fixture("root.pem"), b"")),
                ("root-and-list", with_length(&fixture("root.pem"), &fixture("revoked.pem"))),
            ]
        }
        "gateway_config" => vec![("usual", GATEWAY.into()), ("least", LEAST.into())],
        "gateway_files" => ["gateway.pem", "rfc8410.key", "root.pem", "revoked.pem"]
            .into_iter()
            .zip(["certificate", "key", "root", "list"])
            .zip(0u8..)
            .map(|((file, name), which)| (name, [vec![which], fixture(file)].concat()))
            .collect(),
        "unit_config" => vec![("usual", UNIT.into())],
        "wav" => vec![("mono", recording(1, 8_000)), ("stereo", recording(2, 48_000)), ("as-is", recording(1, 16_000))],
        "hub" => vec![("call", hub_call()), ("border", hub_border()), ("follow", hub_follow())],
        "handset" => vec![("talk", handset_talk()), ("listen", handset_listen())],
        // Offers of every class, a second of taking them, another rate.
        "scheduler" => vec![(
            "busy",
            [
                vec![2],
                (0..7).flat_map(|class| [0, class, 1, 40]).collect(),
                vec![6, 0, 3, 99, 99, 50],
                [8, 3, 11, 20].repeat(20),
                vec![15, 1],
            ]
            .concat(),
        )],
        // Ten frames, played; then the next spurt, one frame lost, the end told.
        "jitter" => vec![(
            "two-spurts",
            [vec![1, 0, 0, 1], [1, 10, 0].repeat(10), vec![0x80], [1, 10, 0].repeat(3), vec![5, 0x42, 8, 1, 5, 10, 11]].concat(),
        )],
        "gate" => vec![("two-spurts", vec![0, 0x80, 3, 0, 3, 1, 3, 1, 0x80, 3, 0, 0xc3, 2, 1, 3, 3])],
        _ => Vec::new(),
    }
}

fn with_length(first: &[u8], rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(first.len()).expect("a small file");
    [&length.to_be_bytes()[..], first, rest].concat()
}

// === Wire ===

fn priority() -> Priority {
    Priority { tier: Tier::Peril, dispatcher: true, level: Level(40) }
}

fn talker() -> Talker {
    Talker { identity: "be/unit/lux-7".parse().expect("an identity"), alias: "Lux 7".into(), agency: "police".into() }
}

fn taken() -> Taken {
    Taken {
        spurt: Spurt::from_bits(0x0700_002a),
        talker: talker(),
        tier: Tier::Normal,
        via: Some("nl".parse().expect("a code")),
        elapsed_ms: 940,
    }
}

fn floor(body: FloorBody) -> Message {
    let party = matches!(body, FloorBody::Request(_)).then(|| talker().identity);
    Message::Floor(Floor { talkgroup: "nl/pol-1".parse().expect("a talkgroup"), party, body })
}

/// One message of every kind.
pub(crate) fn messages() -> Vec<(&'static str, Message)> {
    let (talkgroup, request, spurt) =
        ("nl/pol-1".parse::<wire::TalkgroupId>().expect("a talkgroup"), RequestId(5), Spurt::from_bits(0x0700_002b));
    let gateway = "nl/gateway/gw-1".parse().expect("an identity");
    let ceiling = Ceiling { tier: Tier::Emergency, level: Level(64), dispatcher: false };
    let agreement = Agreement {
        name: "EMR-2026-01".into(),
        home: talkgroup.clone(),
        partner: "be/lux-3".parse().expect("a talkgroup"),
        inbound: Inbound { talk: true, short_data: false, emergency: true, ceiling },
        outbound: Outbound { talk: true, short_data: false, emergency: true },
        onward: vec!["de".parse().expect("a code")],
    };
    let far_side = FarSide { talkgroup: talkgroup.clone(), authority: "be".parse().expect("a code"), present: true };
    let affiliated = Affiliated {
        talkgroup: talkgroup.clone(),
        handle: Handle(3),
        title: "Police Limburg 1".into(),
        agency: "police".into(),
        rights: Rights { talk: true, emergency: true, peril: false, level_max: Level(64) },
        baseline: Spurt::from_bits(0x0700_0029),
        current: Some(taken()),
        emergency: Some(talker().identity),
        far_sides: vec![far_side.clone()],
    };
    let refused = Message::EmergencyEndRefused { talkgroup: talkgroup.clone(), party: None, cause: DenyCause::EmergencyEndNotAllowed };
    let holder = Holder { request, priority: priority(), talker: talker(), elapsed_ms: 2_000 };
    let sync = Sync {
        talkgroup: talkgroup.clone(),
        handle: Handle(2),
        epoch: Epoch(11),
        holder: Some(holder),
        emergency: vec![talker().identity],
    };
    vec![
        ("hello", Message::Hello(Hello::ours())),
        ("welcome", Message::Welcome(Welcome { version: 1, capabilities: vec![], gateway })),
        ("refused", Message::Refused(Reason::Standby)),
        ("affiliate", Message::Affiliate(talkgroup.clone())),
        ("affiliated", Message::Affiliated(Box::new(affiliated))),
        ("affiliate-refused", Message::AffiliateRefused(talkgroup.clone(), Reason::NotAMember)),
        ("deaffiliate", Message::Deaffiliate(talkgroup.clone())),
        ("emergency-end", Message::EmergencyEnd { talkgroup: talkgroup.clone(), party: Some(talker().identity) }),
        ("emergency-end-refused", refused),
        (
            "emergency-state",
            Message::EmergencyState { talkgroup, active: true, originator: talker().identity, units: vec![talker().identity] },
        ),
        ("far-side", Message::FarSide(far_side)),
        ("agreements", Message::Agreements(vec![agreement])),
        ("sync", Message::Sync(Box::new(sync))),
        ("request", floor(FloorBody::Request(Request { request, priority: priority(), talker: Some(talker()), continuing: Some(1_200) }))),
        ("granted", floor(FloorBody::Granted(Granted { request, spurt, duration_s: 30, tier: Tier::Emergency, own_side_only: true }))),
        ("deny", floor(FloorBody::Deny { request, cause: DenyCause::QueueFull })),
        ("queued", floor(FloorBody::Queued { request, position: 2 })),
        ("taken", floor(FloorBody::Taken(taken()))),
        ("idle", floor(FloorBody::Idle(Idle { spurt, last_seq: Some(Seq(250)), cause: Some(RevokeCause::MediaGap), followed: true }))),
        ("release", floor(FloorBody::Release(Release { request, last_seq: Some(Seq(250)), key_down: true }))),
        ("revoke", floor(FloorBody::Revoke(Revoke { request, spurt, cause: RevokeCause::Preempted, grace_ms: 500 }))),
        ("ack", floor(FloorBody::Ack { request })),
    ]
}

fn stream(cuts: &[u16]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(cuts.len()).expect("few cuts")];
    bytes.extend(cuts.iter().flat_map(|cut| cut.to_be_bytes()));
    for (_, message) in messages().iter().take(6) {
        bytes.extend_from_slice(&frame::encode(message));
    }
    bytes
}

fn datagrams() -> Vec<Seed> {
    let voice = Voice {
        handle: Handle(3),
        spurt: Spurt::from_bits(0x0700_002b),
        seq: Seq(250),
        first: false,
        last: true,
        tier: Tier::Emergency,
        encrypted: false,
        repeats: vec![Repeat { back: 1, payload: Bytes::from_static(b"one") }, Repeat { back: 2, payload: Bytes::from_static(b"two") }],
        payload: Bytes::from_static(b"opus"),
    };
    let voice_bytes = voice.encode().to_vec();
    let hold = Voice { repeats: Vec::new(), payload: Bytes::new(), last: false, ..voice };
    let priority = Priority::of(Tier::Emergency);
    let request = floor(FloorBody::Request(Request { request: RequestId(5), priority, talker: None, continuing: None }));
    vec![
        ("voice", voice_bytes),
        ("hold-beat", hold.encode().to_vec()),
        ("heartbeat", Datagram::Heartbeat(Heartbeat { seq: 17, echo: 16 }).encode().to_vec()),
        ("emergency", Datagram::Emergency(Box::new(request)).encode().to_vec()),
        ("report", Datagram::Report(Report { frames: 500, lost: 12, runs: 4 }).encode().to_vec()),
    ]
}

fn short_data() -> Vec<Seed> {
    let place = Location::new(508_503_000, 56_889_000, Some(10), 1_800_000_000_000).expect("on the globe");
    let message = |content| data::Message {
        id: data::MessageId([1; 16]),
        from: talker(),
        to: "nl/pol-1".parse().expect("a talkgroup"),
        sent_ms: 1_800_000_000_000,
        lifetime_s: 86_400,
        urgent: true,
        conversation: Some(data::ConversationId([2; 16])),
        in_reply_to: Some(data::MessageId([3; 16])),
        wanted: data::Wanted { delivered: true, read: true },
        content,
    };
    let sent = |content| {
        let signature = data::Signature { scheme: 0x0807, key: [4; 32], value: Bytes::from_static(&[5; 64]) };
        let message = message(content);
        let (signed, to) = (message.encode(), message.to);
        let envelope = data::Envelope { signed, signature: Some(signature), to, hops: 1, status: Some(32_801) };
        data::Item { number: 1, body: data::Body::Message(Box::new(envelope)) }.encode().to_vec()
    };
    let report = |disposition| {
        let about = "be/unit/lux-7".parse().expect("an identity");
        let report = data::Report { id: data::MessageId([1; 16]), about, disposition, at_ms: 1_800_000_000_900 };
        data::Item { number: 2, body: data::Body::Report(report) }.encode().to_vec()
    };
    let chain = vec![fixture("gateway.der").into(), Bytes::from_static(&[0x30, 0])];
    let certificate = data::Item { number: 0, body: data::Body::Certificate(chain) }.encode().to_vec();
    let answer = |body| data::Item { number: 1, body }.encode().to_vec();
    let expired = data::Undelivered::Expired;
    vec![
        ("text", sent(Content::Text("Road closed".into()))),
        ("status", sent(Content::Status(32_770))),
        ("location", sent(Content::Location(place))),
        ("binary", sent(Content::Binary(Bytes::from_static(&[0, 1, 2])))),
        ("reports", [report(Disposition::Delivered), report(Disposition::Read), report(Disposition::Undelivered(expired))].concat()),
        ("certificate", certificate),
        ("answers", [answer(data::Body::Taken), answer(data::Body::Refused(expired))].concat()),
    ]
}

// === Files ===

fn certificates() -> Vec<Seed> {
    let shown = |shape: u8, name: &str| [vec![shape], with_length(&fixture(name), b"")].concat();
    vec![
        ("unit", shown(0, "unit.der")),
        ("dispatcher", shown(0, "dispatcher.der")),
        ("stolen", shown(0, "stolen.der")),
        ("gateway-dials", shown(1, "gateway.der")),
        ("gateway-answers", shown(3, "gateway.der")),
    ]
}

const GATEWAY: &str = r#"authority = "nl"
name = "gw-1"
state = "var/nl"
listen = { units = ["127.0.0.1:7001"], peers = ["[::1]:7101"], console = "127.0.0.1:7201" }
identity = { certificate = "gw-1.pem", key = "gw-1.key" }
units = { rate_kbps = 96 }
[[trust]]
authority = "nl"
root = "root.pem"
revoked = "revoked.pem"
for = ["units"]
[[trust]]
authority = "be"
root = "be.pem"
for = ["peers"]
[[talkgroup]]
name = "pol-1"
title = "Police 1"
agency = "police"
join = ["nl/*/*"]
talk = ["nl/*/*"]
emergency = ["nl/unit/*"]
peril = ["nl/unit/maas-12"]
level_max = 64
timers = { t1_s = 1.5, t2_s = 45, t2_emergency_s = 90, t3_s = 0.5, t20_s = 1 }
[[peer]]
authority = "be"
name = "gw-1"
address = "127.0.0.1:7102"
rate_kbps = 512
[[bridge]]
agreement = "EMR-2026-01"
home = "nl/pol-1"
partner = "be/lux-3"
inbound = { talk = true, emergency = true, ceiling = { tier = "emergency", level = 64, dispatcher = true } }
outbound = { talk = true, emergency = true }
onward = ["de"]
valid = { from = 2026-01-01T00:00:00Z, until = 2027-01-01T02:00:00+02:00 }
"#;

const LEAST: &str = r#"authority = "nl"
name = "gw-1"
state = "s"
listen = { units = ["127.0.0.1:7001"] }
identity = { certificate = "c", key = "k" }
"#;

const UNIT: &str = r#"identity = { certificate = "unit.pem", key = "rfc8410.key" }
roots = { nl = "root.pem" }
gateways = ["127.0.0.1:7001", "[2001:db8::1]:7001"]
talkgroups = ["nl/pol-1"]
state = "var/maas-12"
rate_kbps = 96
"#;

/// A short recording: RIFF header and a ramp.
fn recording(channels: u16, rate_hz: u32) -> Vec<u8> {
    let samples: Vec<u8> = (0..64 * i16::try_from(channels).expect("few")).flat_map(|n| (n * 100).to_le_bytes()).collect();
    let length = u32::try_from(samples.len()).expect("short");
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate_hz.to_le_bytes());
    bytes.extend((rate_hz * 2 * u32::from(channels)).to_le_bytes());
    bytes.extend((2 * channels).to_le_bytes());
    bytes.extend(b"\x10\0data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(samples);
    bytes
}

// === Scripts: the bytes that `read` of each body turns into these operations ===

/// A unit asks for the floor of the first talkgroup: tier, then level.
fn hub_press(session: u8, tier: u8) -> Vec<u8> {
    vec![5, session, 14, 0, 1, 0, 0, tier, 0, 16, 0, 0, 0]
}

/// So many frames of its grant, the last one marked.
fn hub_speak(session: u8, frames: usize) -> Vec<u8> {
    [[14, session, 4, 0, 23, 5].repeat(frames), vec![14, session, 4, 8]].concat()
}

fn hub_release(session: u8, last: u8) -> Vec<u8> {
    vec![5, session, 14, 10, 0, 1, last, 0, 0, 0]
}

/// Two units in one talkgroup: one talks, the other waits and follows; then an emergency cuts in and ends.
fn hub_call() -> Vec<u8> {
    let log_in = vec![3, 1, 3, 0, 1, 4, 0];
    let calls = [hub_press(0, 0), hub_speak(0, 5), hub_press(1, 0), hub_release(0, 5), hub_speak(1, 5), hub_press(0, 3)];
    let end = vec![5, 0, 6, 0, 0, 27, 27, 27];
    [vec![log_in], calls.to_vec(), vec![hub_speak(0, 3), end]].concat().concat()
}

/// A partner's unit talks here; then the partner is gone.
fn hub_border() -> Vec<u8> {
    let log_in = vec![3, 1, 0, 0, 1, 3, 0];
    let request = vec![5, 0, 14, 0, 1, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0];
    [log_in, request, hub_speak(0, 5), hub_press(1, 0), vec![22, 0, 16, 27, 27], hub_speak(1, 3)].concat()
}

/// A unit of the talkgroup whose home is elsewhere: its request is forwarded, granted there, and heard.
fn hub_follow() -> Vec<u8> {
    let log_in = vec![3, 1, 0, 0, 1, 3, 1, 1, 4, 1];
    let press = vec![5, 1, 14, 0, 1, 0, 0, 0, 0, 16, 0, 0, 3];
    let taken = vec![5, 0, 14, 23, 0, 4, 0, 0, 0, 0, 255, 7];
    [log_in, press, taken, [14, 0, 4, 1, 1].repeat(4), vec![27, 27]].concat()
}

const HANDSET_JOIN: [u8; 11] = [0, 2, 0, 0, 2, 0, 2, 1, 0, 0, 0];

/// Presses, is granted, speaks, releases, is acknowledged.
fn handset_talk() -> Vec<u8> {
    let granted = vec![2, 0, 11, 0, 0, 4, 30, 0, 0];
    let press = vec![11, 0, 0, 16, 0, 0, 16, 0, 1];
    [HANDSET_JOIN.to_vec(), press, granted, [16, 0, 1, 21, 0].repeat(5), vec![14, 0, 21, 9, 2, 0, 11, 0, 13]].concat()
}

/// Hears of a talker, then its frames, then that it is over.
fn handset_listen() -> Vec<u8> {
    let taken = vec![2, 0, 11, 0, 6, 0, 0, 4, 0, 0, 0];
    let frames = [8, 2, 0, 0, 1, 0, 21, 0].repeat(8);
    [HANDSET_JOIN.to_vec(), taken, frames, vec![2, 0, 11, 0, 9, 0, 0, 0, 0, 21, 20]].concat()
}
