//! The process dies at every moment of a group: what was answered is there, in order, once. And the disk fails under it.
//!
//! The process that dies is this test binary again. A killed process leaves the kernel's page cache behind, so this shows the order
//! of commit and answer, and nothing about power cuts.

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use store::{Ledger, Outcome, Place, Point, Question, Reply, Store};
use support::{PEER, ROOMY, message, recipient};
use talkbridge_store as store;

const POINTS: [Point; 4] = [Point::BeforeCommit, Point::BeforeAnswers, Point::AmongAnswers, Point::AfterAnswers];
/// Messages that are not answered yet, at least, while the child writes.
const IN_FLIGHT: u64 = 24;

/// What a child is to do comes by the environment.
const PATH: &str = "STORE_TEST_PATH";
const FROM: &str = "STORE_TEST_FROM";
const DIES: &str = "STORE_TEST_DIES";

static ANSWERED: AtomicU64 = AtomicU64::new(0);
static GROUPS: AtomicU32 = AtomicU32::new(0);

fn environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Dies at point P of group G, given as `G * 4 + P`.
fn die(point: Point) {
    if point == Point::BeforeCommit {
        GROUPS.fetch_add(1, Ordering::Relaxed);
    }
    let now = u64::from(GROUPS.load(Ordering::Relaxed)) * 4 + POINTS.iter().position(|p| *p == point).expect("one of them") as u64;
    // A group of one has no half: the next point does as well.
    if environment(DIES).is_some_and(|dies| dies <= now) {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).expect("a signal to itself");
        loop {
            std::thread::park();
        }
    }
}

/// The child: writes messages, many at a time, and says each number when it was answered.
#[test]
#[ignore = "is the process that dies"]
fn child() {
    let Ok(path) = std::env::var(PATH) else { return };
    let from = environment(FROM).unwrap();
    let (ledger, opened) = Ledger::open(Path::new(&path), ROOMY, 1).unwrap();
    assert_eq!(opened.moved_aside, None);
    let answer = |answer: store::Answer| {
        let accepted = matches!(answer.reply, Reply::Written(Outcome::Committed(_)));
        let known = matches!(answer.reply, Reply::Written(Outcome::Known { same: true }));
        let word = ["refused", "known", "accepted"][usize::from(known) + 2 * usize::from(accepted)];
        let _ = std::io::stdout().write_all(format!("\n{word} {}\n", answer.token).as_bytes());
        ANSWERED.fetch_add(1, Ordering::Relaxed);
    };
    let store = Store::start(ledger, answer, die).unwrap();
    for number in from..from + 2_000 {
        while number - from >= ANSWERED.load(Ordering::Relaxed) + IN_FLIGHT * 2 {
            std::thread::yield_now();
        }
        store.write(number, message(number)).unwrap();
    }
}

fn spawn(path: &Path, from: u64, more: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(PATH, path)
        .env(FROM, from.to_string())
        .envs(more.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process")
}

/// What a child says until it is gone: word and number.
fn said(child: &mut Child) -> Vec<(String, u64)> {
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let said = lines.filter_map(|line| {
        let (word, number) = line.split_once(' ')?;
        ["accepted", "known", "refused"].contains(&word).then_some((word.to_owned(), number.parse().ok()?))
    });
    said.collect()
}

fn stored(path: &Path) -> Vec<u64> {
    let (mut ledger, opened) = Ledger::open(path, ROOMY, 1).expect("a store");
    assert_eq!(opened.moved_aside, None);
    let page = ledger.page(&Place { outbox: recipient(PEER), urgent: false, after: 0 }, 99_999).expect("a page");
    assert_eq!(page.damaged, [] as [u64; 0]);
    page.waiting.iter().map(|waiting| support::number_of(waiting.entry.load.id())).collect()
}

#[test]
fn a_process_killed_at_any_moment_of_a_group_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let mut from = 1;
    for round in 0..16 {
        let (group, point) = (2 + round / 4, round % 4);
        let mut child = spawn(&path, from, &[(DIES, &(group * 4 + point).to_string())]);
        let said = said(&mut child);
        assert!(!child.wait().unwrap().success(), "round {round}: it was to die");
        let stored = stored(&path);
        let whole: Vec<u64> = (1..=stored.len() as u64).collect();
        assert_eq!(stored, whole, "round {round}: once and in order, nothing missing between");
        let accepted = said.iter().filter(|(word, _)| word == "accepted").map(|(_, number)| *number);
        let last = accepted.max().unwrap_or(0);
        assert!(last <= stored.len() as u64 && said.iter().all(|(word, _)| word != "refused"), "round {round}: {last} of {}", stored.len());
        println!("round {round}: killed {:?} of group {group}, {last} answered, {} stored", POINTS[point], stored.len());
        // Half of what was not answered is sent again: known, and not stored twice.
        from = last.max(1);
    }
}

/// After an fsync that failed nothing is accepted, however well the next one goes, and a restart shows what was accepted.
#[test]
fn a_disk_that_fails_once_ends_all_accepting_until_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let (source, library) = (folder.path().join("failing.c"), folder.path().join("failing.so"));
    std::fs::write(&source, include_str!("failing.c")).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().expect("cc, which SQLite needs too");
    assert!(built.success());
    let preload = library.to_str().unwrap();
    let mut child = spawn(&path, 1, &[("LD_PRELOAD", preload), ("STORE_TEST_FSYNC_FAILS_AT", "12")]);
    let said = said(&mut child);
    child.wait().unwrap();
    let refused = said.iter().position(|(word, _)| word == "refused").expect("a refusal");
    assert!(refused > 0 && said.len() == 2_000 && said[refused..].iter().all(|(word, _)| word == "refused"), "{refused}");
    let stored = stored(&path);
    assert!(stored.len() >= refused, "{refused} accepted, {} stored", stored.len());
}

#[test]
fn the_thread_answers_writes_and_questions_in_their_order_and_finishes_before_it_ends() {
    let (said, answers) = std::sync::mpsc::channel();
    let ledger = Ledger::in_memory(ROOMY).unwrap();
    let store = Store::start(ledger, move |answer| said.send(answer).unwrap(), |_| {}).unwrap();
    store.write(1, message(1)).unwrap();
    store.ask(2, Question::Known(support::id(1))).unwrap();
    store.write(3, message(1)).unwrap();
    store.ask(4, Question::Depth).unwrap();
    drop(store);
    let answers: Vec<_> = std::iter::from_fn(|| answers.recv_timeout(Duration::from_secs(30)).ok()).collect();
    assert_eq!(answers.iter().map(|answer| answer.token).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(answers[1].reply, Reply::Known(Some(support::known(1))));
    assert_eq!(answers[2].reply, Reply::Written(Outcome::Known { same: true }));
    assert!(matches!(answers[3].reply, Reply::Depth(store::Depth { entries: 1, messages: 1, .. })));
}
