//! One gateway: taken and delivered, away and back, never seen, expired, refused, limited.

use std::time::Duration;

use wire::data::{CONTENT_MAX_BYTES, Content, Disposition, Undelivered};

use super::super::{Event, UNIT_BACKLOG};
use super::net::{Net, to};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn office() -> Net {
    let mut net = Net::new(&[("nl", &["nl/pol-1", "nl/fire-1"])]);
    net.unit("nl/unit/maas-12", 0, &["nl/pol-1"]);
    net.unit("nl/unit/maas-13", 0, &["nl/pol-1"]);
    net
}

const DELIVERED: Disposition = Disposition::Delivered;

#[test]
fn a_message_is_taken_once_it_is_on_the_disk_and_its_sender_hears_of_delivery_and_reading() {
    let mut net = office();
    let id = net.text(0, "nl/unit/maas-13");
    net.unit_sends(0);
    net.carry_out(0);
    assert!(net.wires.values().all(std::collections::VecDeque::is_empty), "an answer before the disk had it");
    net.settle();
    assert_eq!((net.units[0].taken.contains(&id), net.inbox(1)), (true, vec![id]));
    net.read(1, id);
    net.settle();
    let about = "nl/unit/maas-13".to_owned();
    assert_eq!(net.reports(0), [(id, about.clone(), DELIVERED), (id, about, Disposition::Read)]);
    assert_eq!((net.entries(0), net.sites[0].desk.waiting()), (0, 0));
    let message = &net.units[1].inbox[0].0;
    assert_eq!((message.from.alias.as_str(), message.sent_ms), ("Alias", net.now.ms), "as its gateway vouches for it");
}

#[test]
fn a_unit_that_was_away_for_a_day_gets_its_messages_in_order_once() {
    let mut net = office();
    net.log_out(1);
    let ids: Vec<_> = (0..300)
        .map(|_| {
            let id = net.send_as(0, "nl/unit/maas-13", |message| message.lifetime_s = 7 * 24 * 3_600);
            net.pass(Duration::from_secs(288));
            id
        })
        .collect();
    assert_eq!((net.units[0].taken.len(), net.inbox(1).len()), (300, 0));
    net.log_in(1, 0);
    net.settle();
    net.log_in(1, 0);
    net.settle();
    assert_eq!(net.inbox(1), ids);
    assert_eq!(net.reports(0).len(), 300);
}

#[test]
fn a_unit_never_seen_gets_its_message_when_it_first_connects_or_the_sender_hears_that_it_expired() {
    let mut net = office();
    let (first, second) = (net.text(0, "nl/unit/new-1"), net.text(0, "nl/unit/new-2"));
    net.pass(Duration::from_secs(60));
    let new = net.unit("nl/unit/new-1", 0, &[]);
    net.pass(DAY);
    assert_eq!(net.inbox(new), [first]);
    let expired = Disposition::Undelivered(Undelivered::Expired);
    assert_eq!(net.reports(0), [(first, "nl/unit/new-1".to_owned(), DELIVERED), (second, "nl/unit/new-2".to_owned(), expired)]);
    assert_eq!(net.entries(0), 0);
}

#[test]
fn what_is_under_way_when_its_time_ends_is_not_told_as_expired_too() {
    let mut net = office();
    let id = net.send_as(0, "nl/unit/maas-13", |message| message.lifetime_s = 10);
    net.unit_sends(0);
    for _ in 0..2 {
        net.carry_out(0);
        net.disk(0, 9);
        net.replies(0, 9);
    }
    net.carry_out(0);
    // On the wire to the unit, which answers only then.
    net.now.ms += 20_000;
    net.now.at += Duration::from_secs(20);
    net.sites[0].desk.handle_timeout(net.now);
    for _ in 0..3 {
        net.carry_out(0);
        net.disk(0, 9);
        net.replies(0, 9);
    }
    net.settle();
    assert_eq!((net.inbox(1), net.reports(0)), (vec![id], vec![(id, "nl/unit/maas-13".to_owned(), DELIVERED)]));
}

#[test]
fn a_copy_is_taken_again_and_arrives_once_and_another_message_with_its_id_is_refused() {
    let mut net = office();
    let id = net.text(0, "nl/unit/maas-13");
    let message = net.units[0].outbox[0].1.clone();
    net.settle();
    net.units[0].taken.clear();
    // The answer was lost.
    net.units[0].outbox.push_back((to("nl/unit/maas-13"), message));
    net.settle();
    assert_eq!((net.units[0].taken.contains(&id), net.inbox(1).len()), (true, 1));
    let other = Content::Text("something else".into());
    net.send_as(0, "nl/unit/maas-13", |message| (message.id, message.content) = (id, other));
    net.settle();
    assert_eq!(net.units[0].refused, [(id, Undelivered::IdInUse)]);
}

#[test]
fn a_copy_of_what_was_taken_is_taken_again_even_if_it_would_be_refused_by_now() {
    let mut net = office();
    let id = net.text(0, "nl/pol-1");
    let message = net.units[0].outbox[0].1.clone();
    net.settle();
    let (site, session) = net.units[0].session.expect("a session");
    net.sites[site].desk.handle_left(session, &super::net::group("nl/pol-1"));
    net.units[0].taken.clear();
    net.units[0].outbox.push_back((to("nl/pol-1"), message));
    net.settle();
    assert_eq!((net.units[0].taken.contains(&id), net.units[0].refused.len()), (true, 0));
}

#[test]
fn what_may_not_be_sent_is_refused_with_its_reason() {
    let mut net = office();
    net.unit("be/unit/lux-7", 0, &["nl/pol-1"]);
    let text = |length: usize| Content::Text("x".repeat(length));
    let rows = [
        (0, "nl/gateway/gw-1", Undelivered::UnknownRecipient),
        (0, "xx/unit/a", Undelivered::UnknownRecipient),
        (0, "be/unit/lux-7", Undelivered::BridgeForbids),
        (0, "nl/pol-9", Undelivered::UnknownTalkgroup),
        (0, "be/lux-3", Undelivered::UnknownTalkgroup),
        (0, "nl/fire-1", Undelivered::NotAMember),
        (2, "nl/pol-1", Undelivered::NotAllowed),
        (2, "be/unit/lux-8", Undelivered::NotAllowed),
    ];
    for (unit, recipient, reason) in rows {
        let id = net.text(unit, recipient);
        net.settle();
        assert_eq!(net.units[unit].refused.pop(), Some((id, reason)), "{recipient}");
        assert_eq!(net.units[unit].outbox.len(), 0);
    }
    let id = net.send(0, "nl/unit/maas-13", text(CONTENT_MAX_BYTES + 1));
    net.settle();
    assert_eq!(net.units[0].refused, [(id, Undelivered::TooLarge)]);
    let thief = net.send_as(0, "nl/unit/maas-13", |message| message.from.identity = "nl/unit/maas-13".parse().unwrap());
    net.settle();
    assert_eq!(net.units[0].refused.pop(), Some((thief, Undelivered::NotAuthentic)));
    let visitor = net.text(2, "nl/unit/maas-13");
    net.settle();
    assert_eq!(net.inbox(1), [visitor], "a visitor may write to this side");
}

#[test]
fn a_full_outbox_and_a_flood_are_refused_for_now_and_told() {
    let mut net = office();
    net.sites[0].desk.backlog.insert(to("nl/unit/new-1"), UNIT_BACKLOG);
    let id = net.text(0, "nl/unit/new-1");
    net.settle();
    assert_eq!(net.units[0].refused.pop(), Some((id, Undelivered::QueueFull)));
    net.units[0].outbox.clear();
    (0..250).for_each(|number| _ = net.text(0, &format!("nl/unit/u-{number}")));
    net.unit_sends(0);
    net.settle();
    assert!(net.units[0].refused.iter().all(|(_, reason)| *reason == Undelivered::RateLimited) || net.units[0].session.is_none());
}

#[test]
fn more_unanswered_items_than_the_protocol_allows_end_the_session() {
    let mut net = office();
    (0..65).for_each(|number| _ = net.text(0, &format!("nl/unit/u-{number}")));
    net.unit_sends(0);
    net.carry_out(0);
    assert_eq!(net.units[0].session, None);
    net.log_in(0, 0);
    net.units[0].outbox.truncate(64);
    net.settle();
    assert_eq!(net.units[0].taken.len(), 64, "what was lost with the session was sent again, and taken");
}

#[test]
fn a_full_store_is_told_and_refuses_until_there_is_room() {
    let mut net = office();
    let small = store::Options { max_bytes: 200 * 1_024, reserve_bytes: 0 };
    net.sites[0].ledger = store::Ledger::in_memory(small).expect("a store");
    net.log_out(1);
    for _ in 0..100 {
        net.send(0, "nl/unit/maas-13", Content::Binary(vec![7; 4_000].into()));
        net.settle();
    }
    let (taken, refused) = (net.units[0].taken.len(), net.units[0].refused.clone());
    assert!(taken > 10 && refused.iter().all(|(_, reason)| *reason == Undelivered::StoreFull) && !refused.is_empty());
    assert!(net.sites[0].events.contains(&Event::Store(store::Failure::Full)));
    net.log_in(1, 0);
    net.settle();
    assert_eq!(net.inbox(1).len(), taken);
    net.units[0].refused.clear();
    net.settle();
    assert!(net.units[0].taken.len() > taken && net.sites[0].events.contains(&Event::StoreRecovered));
}

#[test]
fn a_gateway_that_dies_loses_nothing_that_it_took_and_takes_nothing_twice() {
    let mut net = office();
    net.log_out(1);
    let ids: Vec<_> = (0..20).map(|_| net.text(0, "nl/unit/maas-13")).collect();
    for round in 0..20 {
        net.unit_sends(0);
        net.carry_out(0);
        // Dies before the disk has it, after that, and after the answer.
        net.disk(0, if round % 3 > 0 { 9 } else { 0 });
        if round % 3 > 1 {
            net.settle();
        }
        net.kill(0);
        net.log_in(0, 0);
    }
    net.settle();
    net.log_in(1, 0);
    net.settle();
    assert_eq!((net.inbox(1), net.units[0].taken.len()), (ids, 20));
}
