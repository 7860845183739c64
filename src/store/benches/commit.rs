//! How many messages does one gateway accept in a second, each on the disk before its sender hears so? With group commit, beside one
//! message per commit on the same disk: `cargo bench -p talkbridge-store`; the file lies in `TMPDIR`.

#![expect(clippy::print_stdout, reason = "prints its table")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use store::{Ledger, Outcome, Reply, Store};
use support::{ROOMY, message};
use talkbridge_store as store;

/// How long each line is measured.
const TIME: Duration = Duration::from_secs(3);
/// What a gateway must accept.
const LIMIT: f64 = 2_000.0;

fn main() {
    println!("{:>22} {:>12} {:>9} {:>9}", "messages in flight", "accepted/s", "p50 ms", "p99 ms");
    let rates: Vec<f64> = [1, 16, 64, 256].into_iter().map(measure).collect();
    let most = rates.iter().copied().fold(0.0, f64::max);
    println!(
        "one per commit {:.0}/s, group commit {most:.0}/s, promised {LIMIT:.0}/s: {}",
        rates[0],
        if most < LIMIT { "MISSED" } else { "kept" }
    );
    assert!(most >= LIMIT, "accepts fewer than promised");
}

/// Keeps so many messages in flight; accepted in a second.
fn measure(in_flight: u64) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let (ledger, _) = Ledger::open(&folder.path().join("messages.sqlite"), ROOMY, 1).expect("a store");
    let (said, answers) = channel();
    let answer = move |answer: store::Answer| said.send((answer, Instant::now())).expect("the bench listens");
    let store = Store::start(ledger, answer, |_| {}).expect("a thread");
    let (mut sent, mut waited) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while start.elapsed() < TIME || waited.len() < sent.len() {
        while start.elapsed() < TIME && sent.len() - waited.len() < usize::try_from(in_flight).expect("small") {
            let number = sent.len() as u64;
            sent.push(Instant::now());
            store.write(number, message(number)).expect("room in the queue");
        }
        if waited.len() == sent.len() {
            continue;
        }
        let (answer, at) = answers.recv().expect("an answer");
        assert!(matches!(answer.reply, Reply::Written(Outcome::Committed(_))), "{answer:?}");
        waited.push(at.duration_since(sent[usize::try_from(answer.token).expect("small")]));
    }
    let rate = waited.len() as f64 / start.elapsed().as_secs_f64();
    waited.sort();
    let percentile = |part: usize| waited[(waited.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
    println!("{in_flight:>22} {rate:>12.0} {:>9.2} {:>9.2}", percentile(50), percentile(99));
    rate
}
