//! The table pair by pair, the rules one by one, and all of them together against a receiver that does as it likes.

mod random;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::Reason;
use wire::data::keep::{Entry, Kept, Load, Page, Waiting};
use wire::data::{MessageId, Signature, Undelivered};

use super::*;

const NOW_MS: u64 = 1_000;

#[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
fn epoch() -> Instant {
    Instant::now()
}

/// Entry `number` of sender `sender`, for the one recipient.
fn waiting(number: u64, sender: &str) -> Waiting {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let id = MessageId(id);
    let to = "be/unit/lux-7".parse().expect("a name");
    let entry = Entry {
        outbox: "be/gateway/gw-1".parse().expect("a name"),
        urgent: false,
        sender: format!("nl/unit/{sender}").parse().expect("a name"),
        expires_ms: NOW_MS + 1_000 * number,
        load: Load::Message { id, to, hops: 0, status: None },
    };
    let signature = Signature { scheme: 0x0807, key: [0; 32], value: Bytes::new() };
    Waiting { number, entry, kept: Some(Kept { id, signed: Bytes::from_static(b"m"), signature }) }
}

fn page(entries: &[(u64, &str)]) -> Page {
    Page { waiting: entries.iter().map(|(number, sender)| waiting(*number, sender)).collect(), damaged: Vec::new() }
}

/// An outbox with these entries, and nothing more on the disk.
fn with(reading: Reading, entries: &[(u64, &str)]) -> Outbox {
    let mut outbox = Outbox::new(reading, 0);
    let (after, limit) = outbox.poll_page().expect("a question");
    assert_eq!((after, limit), (0, WINDOW));
    outbox.handle_page(page(entries), limit);
    outbox
}

/// The entries that go now: item and number.
fn sent(outbox: &mut Outbox, now: Instant) -> Vec<(u64, u64)> {
    std::iter::from_fn(|| outbox.poll_transmit(now, NOW_MS).map(|(item, waiting)| (item, waiting.number))).collect()
}

/// What is told, in short.
fn told(outbox: &mut Outbox) -> Vec<String> {
    let word = |told| match told {
        Told::Settle(waiting) => format!("settle {}", waiting.number),
        Told::Advance(number) => format!("advance {number}"),
        Told::Refuse(waiting, reason) => format!("refuse {} {reason}", waiting.number),
        Told::Damaged(numbers) => format!("damaged {numbers:?}"),
        Told::End(reason) => format!("end {reason}"),
    };
    std::iter::from_fn(|| outbox.poll_told()).map(word).collect()
}

fn member() -> Reading {
    Reading::Shared("nl/unit/me".parse().expect("a name"))
}

#[test]
fn the_table() {
    let mut text = String::new();
    for state in State::ALL {
        for event in Event::ALL {
            writeln!(text, "{:6} {:15} {:?}", format!("{state:?}"), format!("{event:?}"), step(state, event)).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn one_of_a_sender_goes_at_a_time_and_senders_do_not_wait_for_each_other() {
    let now = epoch();
    let mut outbox = with(Reading::Own, &[(1, "a"), (2, "a"), (3, "b"), (4, "a")]);
    assert_eq!(sent(&mut outbox, now), [(1, 1), (2, 3)]);
    outbox.handle_taken(2);
    assert_eq!(sent(&mut outbox, now), []);
    outbox.handle_taken(1);
    assert_eq!(sent(&mut outbox, now), [(3, 2)]);
    assert_eq!(told(&mut outbox), ["settle 3", "settle 1"]);
}

#[test]
fn what_is_refused_for_now_goes_again_before_what_comes_later_and_waits_longer_each_time() {
    let mut now = epoch();
    let mut outbox = with(Reading::Own, &[(1, "a"), (2, "a")]);
    for (item, wait) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        assert_eq!(sent(&mut outbox, now), [(item, 1)]);
        outbox.handle_refused(item, Undelivered::StoreFull, now);
        assert_eq!(sent(&mut outbox, now), []);
        let (at, _) = outbox.poll_timeout().expect("a deadline");
        assert_eq!(at - now, Duration::from_secs(wait));
        now = at;
        outbox.handle_timeout(now);
    }
    assert_eq!(sent(&mut outbox, now), [(5, 1)]);
    outbox.handle_refused(5, Undelivered::BridgeForbids, now);
    assert_eq!(told(&mut outbox), ["refuse 1 bridge_forbids"]);
    assert_eq!(sent(&mut outbox, now), [(6, 2)]);
}

#[test]
fn the_longest_wait_is_bounded() {
    let mut now = epoch();
    let mut outbox = with(Reading::Own, &[(1, "a")]);
    for item in 1..40 {
        assert_eq!(sent(&mut outbox, now), [(item, 1)]);
        outbox.handle_refused(item, Undelivered::RateLimited, now);
        let (at, _) = outbox.poll_timeout().expect("a deadline");
        assert!(at - now <= HOLD_MAX && (item < 10 || at - now == HOLD_MAX));
        now = at;
        outbox.handle_timeout(now);
    }
}

#[test]
fn what_is_worthless_is_not_sent_and_lets_the_next_go() {
    let now = epoch();
    let mut outbox = with(Reading::Own, &[(1, "a"), (2, "a"), (3, "b")]);
    let late = NOW_MS + 1_000;
    assert_eq!(outbox.poll_transmit(now, late).map(|(_, waiting)| waiting.number), Some(2));
    // Under way it counts until it is answered, however late.
    assert_eq!(outbox.poll_transmit(now, late + 1_000_000).map(|(_, waiting)| waiting.number), None);
    outbox.handle_taken(1);
    assert_eq!(told(&mut outbox), ["settle 2"]);
}

#[test]
fn a_member_moves_on_over_what_it_has_in_order_and_does_not_hear_itself() {
    let now = epoch();
    let mut outbox = with(member(), &[(3, "a"), (5, "me"), (6, "b"), (9, "c")]);
    assert_eq!(sent(&mut outbox, now), [(1, 3), (2, 6), (3, 9)]);
    outbox.handle_taken(2);
    assert_eq!(told(&mut outbox), [] as [&str; 0]);
    outbox.handle_taken(1);
    assert_eq!(told(&mut outbox), ["advance 6"]);
    outbox.handle_refused(3, Undelivered::Other, now);
    assert_eq!(told(&mut outbox), ["advance 9"]);
    outbox.handle_put(waiting(12, "me"));
    assert_eq!(told(&mut outbox), ["advance 12"]);
}

#[test]
fn what_is_put_meanwhile_goes_at_once_or_is_read_from_the_disk() {
    let now = epoch();
    let mut outbox = with(Reading::Own, &[]);
    assert_eq!(outbox.poll_page(), None);
    outbox.handle_put(waiting(1, "a"));
    assert_eq!((sent(&mut outbox, now), outbox.poll_page()), (vec![(1, 1)], None));

    let mut outbox = Outbox::new(Reading::Own, 7);
    assert_eq!(outbox.poll_page(), Some((7, WINDOW)));
    // The answer under way may or may not have it: the disk is asked again.
    outbox.handle_put(waiting(9, "b"));
    outbox.handle_page(page(&[(8, "a")]), WINDOW);
    assert_eq!(outbox.poll_page(), Some((8, WINDOW - 1)));
    outbox.handle_page(page(&[(9, "b")]), WINDOW - 1);
    assert_eq!((sent(&mut outbox, now), outbox.poll_page()), (vec![(1, 8), (2, 9)], None));
}

#[test]
fn the_window_and_what_is_in_flight_are_bounded_and_the_rest_stays_on_the_disk() {
    let now = epoch();
    let senders: Vec<String> = (0..WINDOW).map(|number| format!("s-{number}")).collect();
    let all: Vec<(u64, &str)> = (1..).zip(senders.iter().map(String::as_str)).collect();
    let mut outbox = with(Reading::Own, &all);
    assert_eq!(outbox.poll_page(), None);
    assert_eq!(sent(&mut outbox, now).len(), IN_FLIGHT);
    (1..=WINDOW as u64 / 2).for_each(|item| {
        outbox.handle_taken(item);
        sent(&mut outbox, now);
    });
    assert_eq!(outbox.poll_page(), Some((WINDOW as u64, WINDOW / 2)));
}

#[test]
fn an_answer_to_nothing_and_no_answer_end_the_session() {
    let now = epoch();
    let mut outbox = with(Reading::Own, &[(1, "a")]);
    outbox.handle_taken(1);
    assert_eq!(told(&mut outbox), [format!("end {}", Reason::ProtocolViolation)]);
    assert_eq!(sent(&mut outbox, now), [(1, 1)]);
    let (at, _) = outbox.poll_timeout().expect("a deadline");
    assert_eq!(at, now + ANSWER_WITHIN);
    outbox.handle_timeout(at);
    assert_eq!(told(&mut outbox), [format!("end {}", Reason::TooSlow)]);
}

#[test]
fn what_the_disk_has_spoilt_is_told_and_passed_over() {
    for (reading, said) in [(Reading::Own, vec!["damaged [1, 3]"]), (member(), vec!["damaged [1, 3]", "advance 1"])] {
        let mut outbox = Outbox::new(reading, 0);
        let (_, limit) = outbox.poll_page().expect("a question");
        outbox.handle_page(Page { damaged: vec![1, 3], ..page(&[(2, "a")]) }, limit);
        assert_eq!(told(&mut outbox), said);
        assert_eq!(sent(&mut outbox, epoch()), [(1, 2)]);
    }
}
