//! The process dies at every moment of a group: what was answered is there, in order, once. And the disk fails under it.
//!
//! The process that dies is this test binary again. A killed process leaves the kernel's page cache behind, so that shows the order
//! of commit and answer, and nothing about power cuts; these need root:
//! `cargo test -p talkbridge-store --test deaths power_cuts -- --ignored --nocapture`.

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

/// A library that stands between the process and fsync.
fn failing_disk(folder: &Path) -> std::path::PathBuf {
    let (source, library) = (folder.join("failing.c"), folder.join("failing.so"));
    std::fs::write(&source, include_str!("failing.c")).expect("a file");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().expect("cc, which SQLite needs too");
    assert!(built.success());
    library
}

/// After an fsync that failed nothing is accepted, however well the next one goes, and a restart shows what was accepted.
#[test]
fn a_disk_that_fails_once_ends_all_accepting_until_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let library = failing_disk(folder.path());
    let preload = library.to_str().unwrap();
    let mut child = spawn(&path, 1, &[("LD_PRELOAD", preload), ("STORE_TEST_FSYNC_FAILS_AT", "12")]);
    let said = said(&mut child);
    child.wait().unwrap();
    let refused = said.iter().position(|(word, _)| word == "refused").expect("a refusal");
    assert!(refused > 0 && said.len() == 2_000 && said[refused..].iter().all(|(word, _)| word == "refused"), "{refused}");
    let stored = stored(&path);
    assert!(stored.len() >= refused, "{refused} accepted, {} stored", stored.len());
}

/// A file system in a file, whose power can be cut: what was not flushed is gone.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(disk.at("mounted")).expect("a folder");
        run("truncate", &["-s", "64M", &disk.at("image")]);
        run("mkfs.ext4", &["-q", "-F", &disk.at("image")]);
        disk.mount();
        disk
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn mount(&self) {
        run("mount", &["-o", "loop", &self.at("image"), &self.at("mounted")]);
    }

    fn unmount(&self) {
        run("umount", &[&self.at("mounted")]);
    }

    /// EXT4_IOC_SHUTDOWN with NOLOGFLUSH.
    fn cut(&self) {
        let cut = "import fcntl, os, sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, b'\\x02\\0\\0\\0')";
        run("python3", &["-c", cut, &self.at("mounted")]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).status().unwrap_or_else(|why| panic!("{program}: {why}"));
    assert!(done.success(), "{program} {arguments:?}: it needs root, and a kernel with ext4 and loop devices");
}

/// Cuts the power when so many messages were accepted; how many were, and how many of these are there afterwards. An answer that
/// comes while the cut is made does not count: ext4 lets an fsync succeed then that it does not carry out.
fn cut_after(accepted: usize, more: &[(&str, &str)]) -> (usize, usize) {
    let disk = Disk::new();
    let path = disk.at("mounted/messages.sqlite");
    let mut child = spawn(Path::new(&path), 1, more);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let before = lines.by_ref().filter(|line| line.starts_with("accepted ")).take(accepted).count();
    disk.cut();
    lines.for_each(drop);
    child.wait().expect("its end");
    disk.unmount();
    disk.mount();
    let (mut ledger, _) = Ledger::open(Path::new(&path), ROOMY, 1).expect("a store");
    let page = ledger.page(&Place { outbox: recipient(PEER), urgent: false, after: 0 }, 99_999).expect("a page");
    assert_eq!(page.damaged, [] as [u64; 0]);
    drop(ledger);
    disk.unmount();
    // Answers come in the order of the messages, so the accepted ones are the first.
    let stored: Vec<u64> = page.waiting.iter().map(|waiting| support::number_of(waiting.entry.load.id())).collect();
    assert_eq!(stored, (1..=stored.len() as u64).collect::<Vec<_>>());
    (before, stored.len().min(before))
}

#[test]
#[ignore = "root: mounts file systems and cuts their power"]
fn power_cuts_take_nothing_that_was_accepted_before() {
    let mut all = 0;
    for round in 0..50 {
        let (accepted, stored) = cut_after(100 + 31 * round, &[]);
        assert_eq!(accepted, stored, "round {round}");
        all += accepted;
    }
    println!("50 power cuts, {all} accepted before, all of them stored");

    // The test of the test: a disk that only claims to flush loses them.
    let library = tempfile::tempdir().unwrap();
    let library = failing_disk(library.path()).to_str().unwrap().to_owned();
    let (accepted, stored) = cut_after(500, &[("LD_PRELOAD", &library), ("STORE_TEST_FLUSHES_NOTHING", "1")]);
    println!("without a flush: {accepted} accepted, {stored} stored");
    assert!(stored < accepted);
}

#[test]
fn the_thread_answers_writes_in_their_order_and_each_question_after_those_before_it_and_finishes_before_it_ends() {
    let (said, answers) = std::sync::mpsc::channel();
    let ledger = Ledger::in_memory(ROOMY).unwrap();
    let store = Store::start(ledger, move |answer| said.send(answer).unwrap(), |_| {}).unwrap();
    store.write(1, message(1)).unwrap();
    store.ask(2, Question::Known(support::id(1))).unwrap();
    store.write(3, message(1)).unwrap();
    store.ask(4, Question::Depth).unwrap();
    drop(store);
    let answers: Vec<_> = std::iter::from_fn(|| answers.recv_timeout(Duration::from_secs(30)).ok()).collect();
    // How they fall into groups is chance; the writes keep their order, and no question comes before a write that it came after.
    let at = |token| answers.iter().position(|answer| answer.token == token).expect("an answer");
    assert!(answers.len() == 4 && at(1) < at(3) && at(1) < at(2) && at(2) < at(4) && at(3) < at(4), "{answers:?}");
    let reply = |token| &answers[at(token)].reply;
    assert_eq!(*reply(2), Reply::Known(Some(support::known(1))));
    assert_eq!(*reply(3), Reply::Written(Outcome::Known { same: true }));
    assert!(matches!(*reply(4), Reply::Depth(store::Depth { entries: 1, messages: 1, .. })));
}
