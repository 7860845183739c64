//! Keeps `PROTOCOL.md` true: its numbers, messages and layouts are those of the code. Other vendors read nothing else.

use crate::cause::{DenyCause, Reason, RevokeCause};

const PAGE: &str = include_str!("PROTOCOL.md");
const CONTRACT: &str = include_str!("proto/talkbridge.proto");
const DATAGRAMS: &str = include_str!("datagram.rs");

/// The text under a heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n{heading}")).unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n#").next().unwrap()
}

/// The rows of the tables in a text that begin with a number: number, word, and the cells after them.
fn rows(text: &str) -> Vec<(u32, String, Vec<String>)> {
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
