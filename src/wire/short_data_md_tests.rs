//! Keeps `SHORT_DATA.md` true: its numbers, ranges and bytes are those of the code.

use bytes::Bytes;
use prost::Message as _;

use crate::control::Talker;
use crate::data::*;
use crate::proto_data as proto;
use crate::protocol_md_tests::{fields_of, rows, section_of};

const PAGE: &str = include_str!("SHORT_DATA.md");
const CONTRACT: &str = include_str!("proto/short_data.proto");

/// A message as a unit of `nl` sends it to one of `be`.
fn a_message(content: Content) -> Message {
    Message {
        id: MessageId([1; 16]),
        from: Talker { identity: "nl/unit/maas-12".parse().unwrap(), alias: "Maas 12".into(), agency: "police".into() },
        to: "be/unit/lux-7".parse().unwrap(),
        sent_ms: 1_800_000_000_000,
        lifetime_s: 86_400,
        urgent: false,
        conversation: None,
        in_reply_to: None,
        wanted: Wanted { delivered: true, read: true },
        content,
    }
}

fn an_envelope(message: &Message) -> Envelope {
    let signature = Signature { scheme: 0x0807, key: [2; 32], value: Bytes::from_static(&[3; 64]) };
    Envelope { signed: message.encode(), signature: Some(signature), to: message.to.clone(), hops: 0, status: None }
}

/// The examples of the page, in its order: what is signed, then frames.
fn examples() -> Vec<(&'static str, Bytes)> {
    let text = a_message(Content::Text("Road closed".into()));
    let status = a_message(Content::Status(32_770));
    let place = a_message(Content::Location(Location::new(508_503_000, 56_889_000, Some(10), 1_800_000_000_000).unwrap()));
    let item = |number, body| Item { number, body }.encode();
    let translated = Envelope { status: Some(32_801), hops: 1, ..an_envelope(&status) };
    let report = |disposition| Report { id: text.id, about: text.to.clone(), disposition, at_ms: 1_800_000_000_900 };
    vec![
        ("what is signed of a text \"Road closed\" from nl/unit/maas-12 to be/unit/lux-7, delivered and read wanted", text.encode()),
        ("the same with the location 50.8503, 5.6889, 10 m", place.encode()),
        ("message {1}, the text, from gateway to gateway", item(1, Body::Message(Box::new(an_envelope(&text))))),
        ("message {2}, the status 32770, translated to 32801, one hop", item(2, Body::Message(Box::new(translated)))),
        ("certificate {a chain of two}", item(0, Body::Certificate(vec![Bytes::from_static(&[4; 8]), Bytes::from_static(&[5; 8])]))),
        ("taken {1}", item(1, Body::Taken)),
        ("refused {2, bridge_forbids}", item(2, Body::Refused(Undelivered::BridgeForbids))),
        ("report {3, delivered}", item(3, Body::Report(report(Disposition::Delivered)))),
        ("report {4, undelivered, expired}", item(4, Body::Report(report(Disposition::Undelivered(Undelivered::Expired))))),
    ]
}

#[test]
fn the_examples_of_the_page_are_what_the_code_writes() {
    let hex = |bytes: &[u8]| {
        bytes.chunks(32).map(|line| format!("\n   {}", line.iter().map(|b| format!(" {b:02x}")).collect::<String>())).collect::<String>()
    };
    let all: Vec<String> = examples().iter().map(|(title, bytes)| format!("{title}{}", hex(bytes))).collect();
    let block = format!("```text\n{}\n```\n", all.join("\n"));
    assert!(section_of(PAGE, "## Examples").contains(&block), "the examples must be:\n{block}");
}

#[test]
fn the_examples_read_back() {
    for (title, bytes) in examples().into_iter().skip(2) {
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        assert_eq!(decoder.next_item().unwrap().unwrap().encode(), bytes, "{title}");
    }
}

#[test]
fn the_fields_of_the_page_are_the_fields_of_the_contract() {
    let described = section_of(PAGE, "## Fields");
    for message in CONTRACT.split("\nmessage ").skip(1).map(|rest| rest.split(' ').next().unwrap()) {
        let (_, rest) = described.split_once(&format!("\n**{message}**")).unwrap_or_else(|| panic!("{message} is not described"));
        let said: Vec<_> = rows(rest.split("\n**").next().unwrap()).into_iter().map(|(n, name, more)| (n, name, more[0].clone())).collect();
        let contract = fields_of(&CONTRACT.replace("oneof content {", "oneof body {"), message);
        assert_eq!(said, contract, "{message}");
    }
}

#[test]
fn the_lists_of_the_page_are_those_of_the_code() {
    let reasons = Undelivered::ALL.iter().map(|r| (r.to_code(), r.as_str().to_owned(), r.is_transient())).collect::<Vec<_>>();
    let said = rows(section_of(PAGE, "## Reasons")).into_iter().map(|(n, word, more)| (n, word, more[1] == "yes")).collect::<Vec<_>>();
    assert_eq!(said, reasons);
    let lanes = rows(section_of(PAGE, "## Streams"));
    assert_eq!(lanes.len(), Lane::ALL.len());
    for (lane, (byte, name, _)) in Lane::ALL.into_iter().zip(lanes) {
        assert_eq!((u32::from(lane.to_byte()), format!("{lane:?}").to_lowercase()), (byte, name));
        assert_eq!(Lane::from_byte(lane.to_byte()), Some(lane));
    }
}

#[test]
fn the_limits_of_the_page_are_those_of_the_code() {
    let limits = [(CONTENT_MAX_BYTES, "1 to 4,096"), (SIGNED_MAX_BYTES, "at most 5,120 bytes"), (SIGNATURE_MAX_BYTES, "at most 512 bytes")];
    for (limit, said) in limits {
        assert!(PAGE.contains(said) && said.replace(',', "").contains(&limit.to_string()), "{limit}");
    }
    assert_eq!(LIFETIME_MAX_S, 604_800);
    assert_eq!((CHAIN_MAX, CHAIN_MAX_BYTES, CHAINS_REMEMBERED), (4, 12_288, 16));
    assert!(PAGE.contains("at most 4, together at most 12,288 bytes") && PAGE.contains("the last 16"));
    assert!(PAGE.contains("1 to 604,800") && PAGE.contains(&format!("0 to {HOPS_MAX}")));
    assert_eq!(SIGNATURE_CONTEXT.strip_suffix(&[0]), Some(&b"talkbridge short data 1"[..]));
}

/// Where the page names a range or a part that is needed, what lies outside is refused.
#[test]
fn the_ranges_of_the_page_are_those_of_the_decoder() {
    let good = crate::proto_data::Message::decode(a_message(Content::Status(1)).encode()).unwrap();
    let outside: [fn(&mut proto::Message); 16] = [
        |m| m.id = Bytes::from_static(&[1; 15]),
        |m| m.from = None,
        |m| m.from.as_mut().unwrap().identity.clear(),
        |m| m.to = "nl".into(),
        |m| m.lifetime_s = 0,
        |m| m.lifetime_s = LIFETIME_MAX_S + 1,
        |m| m.conversation = Bytes::from_static(&[1; 17]),
        |m| m.in_reply_to = Bytes::from_static(&[1; 1]),
        |m| m.wanted = 4,
        |m| m.content = None,
        |m| m.content = Some(proto::message::Content::Text(String::new())),
        |m| m.content = Some(proto::message::Content::Text("x".repeat(CONTENT_MAX_BYTES + 1))),
        |m| m.content = Some(proto::message::Content::Status(65_536)),
        |m| m.content = Some(proto::message::Content::Location(proto::Location { latitude_e7: 900_000_001, ..Default::default() })),
        |m| m.content = Some(proto::message::Content::Binary(Bytes::new())),
        |m| m.content = Some(proto::message::Content::Binary(vec![0; CONTENT_MAX_BYTES + 1].into())),
    ];
    assert!(Message::decode(&good.encode_to_vec()).is_ok());
    for (number, change) in outside.into_iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(Message::decode(&bad.encode_to_vec()).is_err(), "{number}");
    }

    let item =
        proto::Item::decode(&Item { number: 1, body: Body::Message(Box::new(an_envelope(&a_message(Content::Status(1))))) }.encode()[4..]);
    let Some(proto::item::Body::Message(good)) = item.unwrap().body else { panic!("a message") };
    let outside: [fn(&mut proto::Envelope); 8] = [
        |e| e.signed = Bytes::new(),
        |e| e.signed = vec![0; SIGNED_MAX_BYTES + 1].into(),
        |e| e.signature.as_mut().unwrap().scheme = 65_536,
        |e| e.signature.as_mut().unwrap().key = Bytes::from_static(&[0; 31]),
        |e| e.signature.as_mut().unwrap().value = vec![0; SIGNATURE_MAX_BYTES + 1].into(),
        |e| e.to = String::new(),
        |e| e.hops = u32::from(HOPS_MAX) + 1,
        |e| e.status_plus_1 = 65_537,
    ];
    let read = |envelope| Item::decode(&proto::Item { number: 1, body: Some(proto::item::Body::Message(envelope)) }.encode_to_vec());
    assert!(matches!(read(good.clone()), Ok(Some(_))));
    for (number, change) in outside.into_iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(read(bad).is_err(), "{number}");
    }

    let good = proto::Report { id: Bytes::from_static(&[1; 16]), about: "nl/pol-1".into(), disposition: 3, ..Default::default() };
    let read = |report| Item::decode(&proto::Item { number: 1, body: Some(proto::item::Body::Report(report)) }.encode_to_vec());
    assert!(matches!(read(good.clone()), Ok(Some(_))));
    let chain = |chain: Vec<Bytes>| {
        let body = proto::item::Body::Certificate(proto::Certificate { chain });
        Item::decode(&proto::Item { number: 0, body: Some(body) }.encode_to_vec())
    };
    let certificate = |bytes| Bytes::from(vec![1; bytes]);
    assert!(matches!(chain(vec![certificate(CHAIN_MAX_BYTES / CHAIN_MAX); CHAIN_MAX]), Ok(Some(_))));
    for bad in [vec![], vec![Bytes::new()], vec![certificate(1); CHAIN_MAX + 1], vec![certificate(CHAIN_MAX_BYTES + 1)]] {
        assert!(chain(bad).is_err());
    }
    for bad in [
        proto::Report { id: Bytes::new(), ..good.clone() },
        proto::Report { about: String::new(), ..good.clone() },
        proto::Report { disposition: 0, ..good.clone() },
        proto::Report { disposition: 4, ..good },
    ] {
        assert!(read(bad.clone()).is_err(), "{bad:?}");
    }
}

/// The longest of everything fits the bound of what is signed, and that one frame.
#[test]
fn the_longest_message_fits() {
    let long = |bytes| "x".repeat(bytes);
    let wide = "\u{1f692}".repeat(crate::DISPLAY_MAX_CHARS);
    let identity = format!("{}/dispatcher/{}", long(16), long(48));
    let message = Message {
        from: Talker { identity: identity.parse().unwrap(), alias: wide.clone(), agency: wide },
        to: identity.parse().unwrap(),
        sent_ms: u64::MAX,
        lifetime_s: LIFETIME_MAX_S,
        urgent: true,
        conversation: Some(ConversationId([9; 16])),
        in_reply_to: Some(MessageId([9; 16])),
        ..a_message(Content::Binary(vec![7; CONTENT_MAX_BYTES].into()))
    };
    assert_eq!(Message::decode(&message.encode()), Ok(message.clone()));
    let signature = Signature { scheme: u16::MAX, key: [9; 32], value: vec![9; SIGNATURE_MAX_BYTES].into() };
    let envelope = Envelope { signature: Some(signature), hops: HOPS_MAX, status: Some(u16::MAX), ..an_envelope(&message) };
    let frame = Item { number: u64::MAX, body: Body::Message(Box::new(envelope)) }.encode();
    assert!(frame.len() < crate::frame::FRAME_MAX_BYTES / 2, "{}", frame.len());
}
