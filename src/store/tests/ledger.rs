//! What a ledger promises while nothing goes wrong: order, once, all or nothing, and the same after it was opened again.

mod support;

use std::path::Path;

use store::{Change, Ledger, Load, Outcome, Page, Place, Write};
use support::{PEER, ROOMY, entry, id, identity, kept, known, message, recipient, sized};
use talkbridge_store as store;
use wire::data::{Disposition, Report, Undelivered};

fn open(path: &Path) -> Ledger {
    let (ledger, opened) = Ledger::open(path, ROOMY, 1).expect("a store");
    assert_eq!(opened, store::Opened::default());
    ledger
}

fn page(ledger: &mut Ledger, outbox: &str, urgent: bool, after: u64, limit: usize) -> Page {
    ledger.page(&Place { outbox: recipient(outbox), urgent, after }, limit).expect("a page")
}

fn numbers(page: &Page) -> Vec<u64> {
    assert_eq!(page.damaged, [] as [u64; 0]);
    page.waiting.iter().map(|waiting| support::number_of(waiting.entry.load.id())).collect()
}

fn change(change: Change) -> Write {
    Write { changes: vec![change], ..Write::default() }
}

#[test]
fn what_was_committed_reads_back_in_order_after_it_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let report = |disposition| Report { id: id(2), about: recipient("be/unit/lux-7"), disposition, at_ms: 77 };
    let dispositions = [Disposition::Delivered, Disposition::Read, Disposition::Undelivered(Undelivered::QueueFull)];
    let mut ledger = open(&path);
    let outcomes = ledger.commit(&[message(1), sized(2, 5_120)]);
    assert_eq!(outcomes, [Outcome::Committed(vec![1]), Outcome::Committed(vec![2])]);
    let puts = dispositions
        .map(|disposition| Change::Put(store::Entry { load: Load::Report(report(disposition)), ..entry(2, "nl/unit/maas-12") }));
    assert_eq!(ledger.commit(&[Write { changes: puts.to_vec(), ..Write::default() }]), [Outcome::Committed(vec![3, 4, 5])]);
    drop(ledger);

    let mut ledger = open(&path);
    let waiting = page(&mut ledger, PEER, false, 0, 9).waiting;
    assert_eq!(waiting.iter().map(|w| w.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((&waiting[1].entry, waiting[1].kept.as_ref()), (&entry(2, PEER), Some(&kept(2, 5_120))));
    let back = page(&mut ledger, "nl/unit/maas-12", false, 0, 9).waiting;
    let loads: Vec<Load> = back.into_iter().map(|w| w.entry.load).collect();
    assert_eq!(loads, dispositions.map(|disposition| Load::Report(report(disposition))));
    assert_eq!(ledger.known(id(2)), Ok(Some(known(2))));
    assert_eq!(ledger.known(id(3)), Ok(None));
}

#[test]
fn a_known_message_changes_nothing_and_is_told_from_another_with_its_id() {
    let mut ledger = Ledger::in_memory(ROOMY).unwrap();
    ledger.commit(&[message(1)]);
    let mut other = message(1);
    other.remember.as_mut().unwrap().digest ^= 1;
    let mut foreign = message(1);
    foreign.remember.as_mut().unwrap().sender = identity("de/unit/x");
    let outcomes = ledger.commit(&[message(1), other, message(2), foreign, message(2)]);
    let known = |same| Outcome::Known { same };
    assert_eq!(outcomes, [known(true), known(false), Outcome::Committed(vec![2]), known(false), known(true)]);
    assert_eq!(numbers(&page(&mut ledger, PEER, false, 0, 9)), [1, 2]);
}

#[test]
fn the_bytes_of_a_message_go_with_its_last_entry_and_its_id_stays() {
    let mut ledger = Ledger::in_memory(ROOMY).unwrap();
    let puts = [PEER, "nl/pol-1"].map(|outbox| Change::Put(entry(1, outbox)));
    let changes = [vec![Change::Keep(kept(1, 140))], puts.to_vec()].concat();
    ledger.commit(&[Write { remember: Some(known(1)), changes, alert: false }]);
    ledger.commit(&[change(Change::Settle(1))]);
    assert_eq!(numbers(&page(&mut ledger, "nl/pol-1", false, 0, 9)), [1]);
    assert_eq!(ledger.depth().unwrap().messages, 1);
    ledger.commit(&[change(Change::Settle(2)), change(Change::Settle(2)), change(Change::Settle(99))]);
    assert_eq!((ledger.depth().unwrap().messages, ledger.depth().unwrap().entries), (0, 0));
    assert_eq!(ledger.commit(&[message(1)]), [Outcome::Known { same: true }]);
}

#[test]
fn numbers_are_never_given_twice_even_when_the_last_entry_went_before_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let mut ledger = open(&path);
    ledger.commit(&[message(1), message(2), change(Change::Settle(1)), change(Change::Settle(2))]);
    drop(ledger);
    assert_eq!(open(&path).commit(&[message(3)]), [Outcome::Committed(vec![3])]);
}

#[test]
fn an_outbox_is_read_page_by_page_and_the_urgent_apart() {
    let mut ledger = Ledger::in_memory(ROOMY).unwrap();
    let mut urgent = message(3);
    urgent.changes[1] = Change::Put(store::Entry { urgent: true, ..entry(3, PEER) });
    ledger.commit(&[message(1), message(2), urgent, message(4)]);
    let first = page(&mut ledger, PEER, false, 0, 2);
    assert_eq!(numbers(&first), [1, 2]);
    let after = first.waiting.last().unwrap().number;
    assert_eq!(numbers(&page(&mut ledger, PEER, false, after, 2)), [4]);
    assert_eq!(numbers(&page(&mut ledger, PEER, true, 0, 9)), [3]);
    assert_eq!(numbers(&page(&mut ledger, "be/gateway/gw-2", false, 0, 9)), [] as [u64; 0]);
}

#[test]
fn every_member_reads_its_talkgroup_from_its_own_place_and_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let (talkgroup, member) = ("nl/pol-1".parse().unwrap(), identity("nl/unit/maas-12"));
    let mut ledger = open(&path);
    let advance = |number| {
        change(Change::Advance { talkgroup: "nl/pol-1".parse().unwrap(), member: identity("nl/unit/maas-12"), urgent: false, number })
    };
    assert_eq!(ledger.place(&talkgroup, &member, false), Ok(None));
    ledger.commit(&[advance(7), advance(9), advance(8)]);
    drop(ledger);
    let mut ledger = open(&path);
    assert_eq!(ledger.place(&talkgroup, &member, false), Ok(Some(9)));
    assert_eq!(ledger.place(&talkgroup, &identity("nl/unit/other"), false), Ok(None));
    assert_eq!(ledger.place(&talkgroup, &member, true), Ok(None), "urgent entries have a place of their own");
}

#[test]
fn what_is_due_comes_by_its_expiry_and_ids_are_forgotten_when_their_time_is_over() {
    let mut ledger = Ledger::in_memory(ROOMY).unwrap();
    assert_eq!(ledger.next_due_ms(), Ok(None));
    let mut late = message(1);
    late.changes[1] = Change::Put(store::Entry { expires_ms: u64::MAX, ..entry(1, PEER) });
    ledger.commit(&[late, message(3), message(2)]);
    assert_eq!(ledger.next_due_ms(), Ok(Some(5_002)));
    assert_eq!(numbers(&ledger.due(5_001, 9).unwrap()), [] as [u64; 0]);
    assert_eq!(numbers(&ledger.due(u64::MAX - 1, 9).unwrap()), [2, 3, 1]);
    assert_eq!(numbers(&ledger.due(5_003, 1).unwrap()), [2]);
    assert_eq!(ledger.upkeep(10_000, 9), Ok(0));
    assert_eq!((ledger.upkeep(20_000, 2), ledger.upkeep(20_000, 2)), (Ok(2), Ok(1)));
    assert_eq!(ledger.known(id(1)), Ok(None));
}

#[test]
fn what_waits_is_counted_outbox_by_outbox() {
    let mut ledger = Ledger::in_memory(ROOMY).unwrap();
    assert_eq!(ledger.standing(), Ok(store::Standing::default()));
    let report = Report { id: id(1), about: recipient("be/unit/lux-7"), disposition: Disposition::Delivered, at_ms: 77 };
    let back = change(Change::Put(store::Entry { load: Load::Report(report), ..entry(1, "nl/unit/maas-12") }));
    ledger.commit(&[message(1), message(2), back, change(Change::Settle(2))]);
    let backlog = |outbox, oldest_ms| store::Backlog { outbox: recipient(outbox), entries: 1, oldest_ms };
    // The messages of these tests hold no time.
    let expected = store::Standing { last: 3, backlog: vec![backlog(PEER, None), backlog("nl/unit/maas-12", Some(77))] };
    assert_eq!(ledger.standing(), Ok(expected));
}
