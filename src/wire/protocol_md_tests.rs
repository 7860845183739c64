//! Keeps `PROTOCOL.md` true: its numbers, messages and layouts are those of the code. Other vendors read nothing else.

use prost::Message as _;

use crate::cause::{DenyCause, Reason, RevokeCause};
use crate::control::Message;
use crate::proto::{self, control::Body, floor};

mod examples_tests;

const PAGE: &str = include_str!("PROTOCOL.md");
const CONTRACT: &str = include_str!("proto/talkbridge.proto");
const DATAGRAMS: &str = include_str!("datagram.rs");

fn section(heading: &str) -> &'static str {
    section_of(PAGE, heading)
}

/// The text under a heading of a page, up to the next one.
pub(crate) fn section_of(page: &'static str, heading: &str) -> &'static str {
    let (_, rest) = page.split_once(&format!("\n{heading}")).unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n#").next().unwrap()
}

/// The rows of the tables in a text that begin with a number: number, word, and the cells after them.
pub(crate) fn rows(text: &str) -> Vec<(u32, String, Vec<String>)> {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).skip(1).collect::<Vec<_>>();
    text.lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| {
            let cells = cells(line);
            let number = cells.first()?.parse().ok()?;
            Some((number, cells.get(1)?.trim_matches('`').to_owned(), cells.get(2..)?.to_vec()))
        })
        .collect()
}

fn numbers(text: &str) -> Vec<(u32, String)> {
    rows(text).into_iter().map(|(number, word, _)| (number, word)).collect()
}

/// The members of the one `oneof` in a message of the contract.
fn members(message: &str) -> Vec<(u32, String)> {
    let (_, rest) = CONTRACT.split_once(&format!("message {message} {{")).unwrap();
    let (_, rest) = rest.split_once("oneof body {").unwrap();
    let member = |line: &str| {
        let (name, number) = line.split_once(';')?.0.split_once(" = ")?;
        Some((number.parse().ok()?, name.split_whitespace().last()?.to_owned()))
    };
    rest.split('}').next().unwrap().lines().filter_map(member).collect()
}

#[test]
fn the_lists_of_the_page_are_the_lists_of_the_code() {
    let deny: Vec<_> = DenyCause::ALL.iter().map(|cause| (cause.to_code(), cause.as_str().to_owned())).collect();
    assert_eq!(numbers(section("### Causes of deny")), deny);
    let revoke: Vec<_> = RevokeCause::ALL.iter().map(|cause| (cause.to_code(), cause.as_str().to_owned())).collect();
    assert_eq!(numbers(section("### Causes of revoke")), revoke);
    let reasons: Vec<_> = Reason::ALL.iter().map(|reason| (reason.to_code(), reason.as_str().to_owned())).collect();
    assert_eq!(numbers(section("### Reasons")), reasons);
}

#[test]
fn the_page_says_which_reasons_may_pass_by_themselves() {
    for (number, word, more) in rows(section("### Reasons")) {
        assert_eq!(more.get(1).is_some_and(|again| again == "yes"), Reason::from_code(number).is_transient(), "{word}");
    }
}

#[test]
fn the_messages_of_the_page_are_the_messages_of_the_contract() {
    let said = numbers(section("### Messages"));
    let contract: Vec<_> = members("Control").into_iter().chain(members("Floor")).collect();
    assert!(contract.len() > 20, "{contract:?}");
    assert_eq!(said, contract);
}

#[test]
fn the_datagrams_of_the_page_are_those_of_the_code() {
    let (_, rest) = DATAGRAMS.split_once("//! ```text\n").unwrap();
    let (layout, _) = rest.split_once("//! ```\n").unwrap();
    let layout: Vec<&str> = layout.lines().map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or("")).collect();
    assert!(PAGE.contains(&layout.join("\n")), "datagram.rs says:\n{}", layout.join("\n"));
}

#[test]
fn the_alpn_names_and_limits_of_the_page_are_those_of_the_code() {
    for alpn in [crate::ALPN_UNIT, crate::ALPN_PEER] {
        assert!(PAGE.contains(&format!("`{}`", std::str::from_utf8(alpn).unwrap())));
    }
    assert_eq!(crate::frame::FRAME_MAX_BYTES, 16_384);
    assert!(PAGE.contains("at most 16,384"));
    assert_eq!(crate::datagram::PAYLOAD_MAX_BYTES, 320);
    assert!(PAGE.contains("at most 320 bytes"));
}

// === Fields ===

fn fields(message: &str) -> Vec<(u32, String, String)> {
    fields_of(CONTRACT, message)
}

/// The fields of a message of a contract outside its `oneof`: number, name, type.
pub(crate) fn fields_of(contract: &str, message: &str) -> Vec<(u32, String, String)> {
    let (_, rest) = contract.split_once(&format!("message {message} {{")).unwrap_or_else(|| panic!("no message {message}"));
    let body = rest.split("\n}").next().unwrap();
    let outside = match body.split_once("oneof body {") {
        Some((before, after)) => format!("{before}{}", after.split_once('}').unwrap().1),
        None => body.to_owned(),
    };
    let field = |line: &str| {
        let (left, number) = line.split_once(';')?.0.split_once(" = ")?;
        let (kind, name) = left.trim().rsplit_once(' ')?;
        Some((number.parse().ok()?, name.to_owned(), kind.to_owned()))
    };
    outside.lines().filter_map(field).collect()
}

#[test]
fn the_fields_of_the_page_are_the_fields_of_the_contract() {
    let messages: Vec<&str> = CONTRACT.split("\nmessage ").skip(1).map(|rest| rest.split(' ').next().unwrap()).collect();
    let described = section("### Fields");
    for message in messages.into_iter().filter(|message| *message != "Control") {
        let (_, rest) = described.split_once(&format!("\n**{message}**")).unwrap_or_else(|| panic!("{message} is not described"));
        let said = rows(rest.split("\n**").next().unwrap());
        let said: Vec<_> = said.into_iter().map(|(number, name, more)| (number, name, more[0].clone())).collect();
        assert_eq!(said, fields(message), "{message}");
    }
}

/// Where the page names a range, the number after it is refused.
#[test]
fn the_ranges_of_the_page_are_those_of_the_decoder() {
    let priority = |tier, level| Some(proto::Priority { tier, dispatcher: false, level });
    let request = |tier, level| floor::Body::Request(proto::Request { priority: priority(tier, level), ..Default::default() });
    let granted = |tier, duration_s| floor::Body::Granted(proto::Granted { tier, duration_s, ..Default::default() });
    let sync = |handle, epoch| Body::Sync(proto::Sync { talkgroup: "nl/a".into(), handle, epoch, ..Default::default() });
    let rights = |level_max| {
        Body::Affiliated(proto::Affiliated {
            talkgroup: "nl/a".into(),
            rights: Some(proto::Rights { level_max, ..Default::default() }),
            ..Default::default()
        })
    };
    let hello = |count| Body::Hello(proto::Hello { capabilities: vec![1; count], ..Default::default() });
    let floor = |body| Body::Floor(proto::Floor { talkgroup: "nl/a".into(), party: String::new(), body: Some(body) });
    let release = |last_seq_plus_1| floor(floor::Body::Release(proto::Release { last_seq_plus_1, ..Default::default() }));
    let queued = |position| floor(floor::Body::Queued(proto::Queued { position, ..Default::default() }));
    let pairs = [
        (floor(request(2, 255)), floor(request(3, 255))),
        (floor(request(2, 255)), floor(request(2, 256))),
        (floor(granted(2, 65_535)), floor(granted(3, 65_535))),
        (floor(granted(2, 65_535)), floor(granted(2, 65_536))),
        (sync(65_535, 255), sync(65_536, 255)),
        (sync(65_535, 255), sync(65_535, 256)),
        (rights(255), rights(256)),
        (hello(256), hello(257)),
        (release(65_536), release(65_537)),
        (queued(255), queued(256)),
    ];
    for (last, beyond) in pairs {
        let read = |body: Body| Message::decode(&proto::Control { body: Some(body) }.encode_to_vec());
        assert!(matches!(read(last.clone()), Ok(Some(_))), "{last:?}");
        assert!(read(beyond.clone()).is_err(), "{beyond:?}");
    }
}

/// What the page calls needed is needed.
#[test]
fn a_message_without_a_part_that_it_needs_is_malformed() {
    for (number, name) in members("Control") {
        // The message alone, empty: only those without needed fields are read.
        let key = number << 3 | 2;
        let bytes: Vec<u8> = if key < 128 {
            vec![key.try_into().unwrap(), 0]
        } else {
            vec![(key & 127 | 128).try_into().unwrap(), (key >> 7).try_into().unwrap(), 0]
        };
        let kind: String = name.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect();
        let described = section("### Fields").split_once(&format!("\n**{kind}**")).unwrap().1.split("\n**").next().unwrap();
        let needed = described.contains("*needed*") && kind != "Floor";
        assert_eq!(Message::decode(&bytes).is_err(), needed, "{kind}");
    }
}
