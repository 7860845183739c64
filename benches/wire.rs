//! What bytes to types and back cost: a gateway decodes and encodes every voice frame once, a control message now and then.

use bytes::Bytes;
use divan::{Bencher, black_box};
use wire::control::{Floor, FloorBody, Message, Request, Taken, Talker};
use wire::datagram::{Datagram, Heartbeat, Repeat, Voice};
use wire::{Handle, Priority, RequestId, Seq, Spurt, Tier};

fn main() {
    divan::main();
}

/// 20 ms at 24 kbit/s.
const PAYLOAD: &[u8] = &[0x4a; 60];
/// Frames of earlier places that a datagram carries.
const REPEATS: [u8; 3] = [0, 1, 2];

fn voice(repeats: u8) -> Voice {
    Voice {
        handle: Handle(7),
        spurt: Spurt::from_bits(0x0700_002a),
        seq: Seq(1_234),
        first: false,
        last: false,
        tier: Tier::Normal,
        encrypted: false,
        repeats: (1..=repeats).map(|back| Repeat { back, payload: Bytes::from_static(PAYLOAD) }).collect(),
        payload: Bytes::from_static(PAYLOAD),
    }
}

#[divan::bench(args = REPEATS)]
fn voice_encode(bencher: Bencher<'_, '_>, repeats: u8) {
    let voice = voice(repeats);
    bencher.bench(|| black_box(&voice).encode());
}

#[divan::bench(args = REPEATS)]
fn voice_decode(bencher: Bencher<'_, '_>, repeats: u8) {
    let bytes = voice(repeats).encode();
    bencher.bench(|| Datagram::decode(black_box(&bytes).clone()));
}

#[divan::bench]
fn heartbeat_encode_and_decode() -> bool {
    let bytes = Datagram::Heartbeat(Heartbeat { seq: black_box(9), echo: 8 }).encode();
    matches!(Datagram::decode(bytes), Ok(Some(Datagram::Heartbeat(_))))
}

fn floor(body: FloorBody) -> Message {
    Message::Floor(Floor { talkgroup: "nl/pol-1".parse().expect("a talkgroup"), party: None, body })
}

fn request() -> Message {
    floor(FloorBody::Request(Request { request: RequestId(12), priority: Priority::default(), talker: None, continuing: None }))
}

fn taken() -> Message {
    let talker = Talker { identity: "nl/unit/maas-12".parse().expect("an identity"), alias: "Maas 12".into(), agency: "police".into() };
    floor(FloorBody::Taken(Taken { spurt: Spurt::from_bits(0x0700_002a), talker, tier: Tier::Normal, via: None, elapsed_ms: 940 }))
}

#[divan::bench(args = ["request", "taken"])]
fn control_encode(bencher: Bencher<'_, '_>, kind: &str) {
    let message = if kind == "taken" { taken() } else { request() };
    bencher.bench(|| black_box(&message).encode());
}

#[divan::bench(args = ["request", "taken"])]
fn control_decode(bencher: Bencher<'_, '_>, kind: &str) {
    let bytes = if kind == "taken" { taken() } else { request() }.encode();
    bencher.bench(|| Message::decode(black_box(&bytes)));
}
