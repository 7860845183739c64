//! Replays the committed corpora of the fuzz targets, and what lies one change of a byte away from them: what a fuzzer once
//! found stays found, without a fuzzer. `tools/fuzz` finds more.

#[path = "fuzz/bodies/mod.rs"]
mod bodies;

use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The whole corpus of a target, in bytes.
const CORPUS_MAX_BYTES: u64 = 64 * 1024;
/// Changed copies of each input that are run as well.
const CHANGED: u32 = 40;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

/// The inputs of a target, in the order of their names.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(corpus(target)).unwrap_or_else(|why| panic!("{target} has no corpus: {why}"));
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file")))
        .collect();
    inputs.sort();
    inputs
}

fn replay(target: &str) {
    for (name, data) in inputs(target) {
        assert_holds(target, &name, &data);
        let mut rng = SmallRng::seed_from_u64(1);
        for number in 0..CHANGED {
            assert_holds(target, &format!("{name}, change {number}"), &changed(&data, &mut rng));
        }
    }
}

/// Names the input before the panic's own words are lost in a long output.
fn assert_holds(target: &str, name: &str, data: &[u8]) {
    let lived = std::panic::catch_unwind(|| bodies::run(target, data));
    assert!(lived.is_ok(), "{target}: {name} breaks a promise; the bytes: {}", hex(data));
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One to four changes: a byte, a bit, a cut, a piece again.
fn changed(data: &[u8], rng: &mut SmallRng) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        if data.is_empty() {
            break;
        }
        let at = rng.random_range(0..data.len());
        match rng.random_range(0..6) {
            0 | 1 => data[at] = rng.random(),
            2 | 3 => data[at] ^= 1 << rng.random_range(0..8),
            4 => data.truncate(at),
            _ => data.extend_from_within(at..data.len().min(at + 16)),
        }
    }
    data
}

macro_rules! replays {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        /// A target without a line above would be replayed by nobody.
        const REPLAYED: &[&str] = &[$(stringify!($target)),*];
    };
}

replays! {
    control stream datagram short_data certificate identity trust gateway_config gateway_files unit_config wav hub handset scheduler jitter
    gate
}

#[test]
fn every_target_is_built_replayed_and_has_a_small_corpus() {
    let targets: Vec<&str> = bodies::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(REPLAYED, targets);
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/Cargo.toml")).expect("a manifest");
    for target in targets {
        assert!(manifest.contains(&format!("path = \"targets/{target}.rs\"")), "{target} is not in tests/fuzz/Cargo.toml");
        let size: u64 = inputs(target).iter().map(|(_, data)| data.len() as u64).sum();
        assert!((1..=CORPUS_MAX_BYTES).contains(&size), "{target}: {size} bytes");
    }
}

#[test]
fn the_seeds_are_real_encodings_of_today() {
    for (target, _) in bodies::TARGETS {
        let there = inputs(target);
        for (name, data) in bodies::seeds::seeds(target) {
            let file = format!("seed-{name}");
            let same = there.iter().any(|(n, d)| *n == file && *d == data);
            assert!(same, "{target}/{file} is not what the code writes; run: cargo test --test corpora -- --ignored write_seeds");
        }
    }
    for (name, data) in bodies::seeds::seeds("control") {
        assert!(matches!(wire::control::Message::decode(&data), Ok(Some(_))), "{name}");
    }
    for (name, data) in bodies::seeds::seeds("datagram") {
        assert!(matches!(wire::datagram::Datagram::decode(data.into()), Ok(Some(_))), "{name}");
    }
    for (name, data) in bodies::seeds::seeds("short_data") {
        let mut decoder = wire::data::Decoder::default();
        decoder.push(&data);
        assert!(matches!(decoder.next_item(), Ok(Some(_))), "{name}");
    }
}

/// A target whose certificates are all refused would find nothing.
#[test]
fn the_fixtures_are_believed_where_they_should_be() {
    use rustls::pki_types::{CertificateDer, UnixTime};
    use transport::{Port, trust::Shown};
    let trust = transport::Trust::builder()
        .authority("nl".parse().unwrap(), &bodies::files::fixture("root.pem"), Some(&bodies::files::fixture("revoked.pem")), true, true)
        .unwrap()
        .build();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_798_761_600));
    let judge = |name: &str, port, shown| trust.judge(&CertificateDer::from(bodies::files::fixture(name)), &[], now, port, shown);
    assert_eq!(judge("unit.der", Port::Units, Shown::Caller).unwrap().to_string(), "nl/unit/fuzz");
    assert_eq!(judge("dispatcher.der", Port::Units, Shown::Caller).unwrap().to_string(), "nl/dispatcher/fuzz");
    assert_eq!(judge("gateway.der", Port::Peers, Shown::Caller).unwrap().to_string(), "nl/gateway/fuzz");
    assert_eq!(judge("gateway.der", Port::Peers, Shown::Answerer(None)).unwrap().to_string(), "nl/gateway/fuzz");
    assert_eq!(judge("stolen.der", Port::Units, Shown::Caller), Err(wire::Reason::CertificateRevoked));
}

/// Writes the seeds into the corpora, after a change of the protocol.
#[test]
#[ignore = "writes files"]
fn write_seeds() {
    for (target, _) in bodies::TARGETS {
        fs::create_dir_all(corpus(target)).expect("a folder");
        for (name, data) in bodies::seeds::seeds(target) {
            fs::write(corpus(target).join(format!("seed-{name}")), data).expect("a file");
        }
    }
}

/// Runs one file, named by `TALKBRIDGE_FUZZ_INPUT` as `TARGET=PATH`; with `TALKBRIDGE_FUZZ_TRACE` it prints each operation.
#[test]
#[ignore = "needs an input"]
fn one_input() {
    let named = std::env::var("TALKBRIDGE_FUZZ_INPUT").expect("TARGET=PATH in TALKBRIDGE_FUZZ_INPUT");
    let (target, path) = named.split_once('=').expect("TARGET=PATH");
    bodies::run(target, &fs::read(path).expect("a file"));
}
