//! A full store, a spoilt file, another program's, a later version's, one that is in use: each is told, none loses or invents.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use store::{Change, Failure, Known, Ledger, OpenError, Options, Outcome, Place, Write};
use support::{PEER, ROOMY, id, message, recipient, sized};
use talkbridge_store as store;

const SMALL: Options = Options { max_bytes: 512 * 1024, reserve_bytes: 256 * 1024 };

/// Fills a store until it refuses; tells how many it took.
fn fill(ledger: &mut Ledger) -> u64 {
    for number in 1.. {
        match ledger.commit(&[sized(number, 4_096)])[..] {
            [Outcome::Committed(_)] => {}
            [Outcome::Refused(Failure::Full)] => return number - 1,
            ref other => panic!("{other:?}"),
        }
    }
    unreachable!("a store without end")
}

fn settled(number: u64) -> Write {
    Write { changes: vec![Change::Settle(number)], ..Write::default() }
}

#[test]
fn a_full_store_refuses_messages_takes_alerts_and_what_makes_room_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let (mut ledger, opened) = Ledger::open(&path, SMALL, 1).unwrap();
    let reserve = folder.path().join("messages.sqlite.reserve");
    assert!(!opened.without_reserve && fs::metadata(&reserve).unwrap().len() == SMALL.reserve_bytes);
    let taken = fill(&mut ledger);
    assert!(taken > 50 && ledger.is_full() && ledger.poison().is_none(), "{taken}");

    // One group with both: the alert is taken, the message is not, and no order between them was needed.
    let alert = |number| Write { alert: true, ..sized(number, 4_096) };
    let outcomes = ledger.commit(&[sized(9_001, 4_096), alert(9_002), sized(9_003, 4_096)]);
    assert!(
        matches!(outcomes[..], [Outcome::Refused(Failure::Full), Outcome::Committed(_), Outcome::Refused(Failure::Full)]),
        "{outcomes:?}"
    );
    assert!(!reserve.exists() && ledger.is_full());
    assert_eq!(ledger.known(id(9_001)), Ok(None));

    // What makes room passes too; then messages are taken again, and the reserve is made again.
    for number in 1..=taken / 2 {
        assert_eq!(ledger.commit(&[settled(number)]), [Outcome::Committed(vec![])]);
    }
    assert!(matches!(ledger.commit(&[message(9_001)])[..], [Outcome::Committed(_)]));
    assert_eq!(ledger.upkeep(1, 9), Ok(0));
    assert!(reserve.exists());
    let page = ledger.page(&Place { outbox: recipient(PEER), urgent: false, after: 0 }, 999).unwrap();
    let rest: Vec<u64> = page.waiting.iter().map(|waiting| support::number_of(waiting.entry.load.id())).collect();
    assert_eq!(rest, (taken / 2 + 1..=taken).chain([9_002, 9_001]).collect::<Vec<_>>());
}

#[test]
fn a_store_in_use_of_another_program_or_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let (ledger, _) = Ledger::open(&path, ROOMY, 1).unwrap();
    assert!(matches!(Ledger::open(&path, ROOMY, 1), Err(OpenError::InUse { .. })));
    drop(ledger);

    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    assert!(matches!(Ledger::open(&path, ROOMY, 1), Err(OpenError::Newer { found: 99, .. })));

    let foreign = folder.path().join("foreign.sqlite");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(Ledger::open(&foreign, ROOMY, 1), Err(OpenError::Foreign { .. })));
    assert!(matches!(Ledger::open(Path::new("/nowhere/at/all"), ROOMY, 1), Err(OpenError::Sqlite { .. })));
}

#[test]
fn a_spoilt_file_is_moved_aside_and_the_store_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    fs::write(&path, [0x5a; 20_000]).unwrap();
    let (mut ledger, opened) = Ledger::open(&path, ROOMY, 123).unwrap();
    assert_eq!(opened.moved_aside, Some(folder.path().join("messages.sqlite.corrupt-123")));
    assert_eq!(fs::read(opened.moved_aside.unwrap()).unwrap(), [0x5a; 20_000]);
    assert_eq!(ledger.commit(&[message(1)]), [Outcome::Committed(vec![1])]);
}

/// One bit, anywhere: the store starts, and what it still gives out is what was put in.
#[test]
fn a_flipped_bit_never_changes_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let (mut ledger, _) = Ledger::open(&path, ROOMY, 1).unwrap();
    let writes: Vec<Write> = (1..=20).map(|number| sized(number, 700)).collect();
    ledger.commit(&writes);
    let place = Place { outbox: recipient(PEER), urgent: false, after: 0 };
    let sound: BTreeMap<u64, _> = ledger.page(&place, 99).unwrap().waiting.into_iter().map(|w| (w.number, w)).collect();
    drop(ledger);
    let whole = fs::read(&path).unwrap();
    let (mut aside, mut damaged, mut untouched) = (0, 0, 0);
    let mut rng = SmallRng::seed_from_u64(15);
    for round in 0..250 {
        let mut bytes = whole.clone();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        let path = folder.path().join(format!("flipped-{round}.sqlite"));
        fs::write(&path, bytes).unwrap();
        let (mut ledger, opened) = match Ledger::open(&path, ROOMY, 1) {
            Ok(opened) => opened,
            // The bit made it another program's or version's: left alone, the operator is told.
            Err(OpenError::Foreign { .. } | OpenError::Newer { .. }) => continue,
            Err(error) => panic!("byte {at}: {error}"),
        };
        let Ok(page) = ledger.page(&place, 99) else { continue };
        for waiting in &page.waiting {
            assert!(sound.get(&waiting.number) == Some(waiting), "byte {at}: {}", waiting.number);
        }
        for number in 1..=20 {
            let known: Option<Known> = ledger.known(id(number)).unwrap_or(None);
            assert!(known.is_none_or(|known| known == support::known(number)), "byte {at}");
        }
        let kinds = [&mut aside, &mut damaged, &mut untouched];
        *kinds[if opened.moved_aside.is_some() { 0 } else { usize::from(page.damaged.is_empty() && page.waiting.len() == 20) + 1 }] += 1;
        drop(ledger);
        fs::remove_file(path).unwrap();
    }
    println!("moved aside {aside}, rows refused {damaged}, untouched {untouched}");
    assert!(aside > 0 && damaged > 0 && untouched > 0);
}
