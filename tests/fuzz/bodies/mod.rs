//! What each fuzz target does with its bytes, shared by cargo-fuzz (`tests/fuzz/targets`) and the replay of the committed
//! corpora (`tests/corpora.rs`).
//!
//! A body takes any bytes and panics only if the product breaks a promise. Decoders read the bytes as they are; stateful parts
//! read them as a script of operations ([`Script`]) and assert their invariants after each one. No body depends on anything but
//! its bytes, so that a crashing input crashes everywhere.

pub(crate) mod certificates;
pub(crate) mod decoders;
pub(crate) mod files;
pub(crate) mod gate;
pub(crate) mod handset;
pub(crate) mod hub;
pub(crate) mod jitter;
pub(crate) mod scheduler;
pub(crate) mod seeds;

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use arbitrary::Unstructured;

/// What a target does.
pub(crate) type Body = fn(&[u8]);

/// Every target by name.
pub(crate) const TARGETS: &[(&str, Body)] = &[
    ("control", decoders::control),
    ("stream", decoders::stream),
    ("datagram", decoders::datagram),
    ("short_data", decoders::short_data),
    ("certificate", certificates::certificate),
    ("identity", certificates::identity),
    ("trust", certificates::trust),
    ("gateway_config", files::gateway_config),
    ("gateway_files", files::gateway_files),
    ("unit_config", files::unit_config),
    ("wav", files::wav),
    ("hub", hub::hub),
    ("handset", handset::handset),
    ("scheduler", scheduler::scheduler),
    ("jitter", jitter::jitter),
    ("gate", gate::gate),
];

/// Runs the body of a target.
pub(crate) fn run(target: &str, data: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of the table");
    body(data);
}

/// The moment from which virtual time counts; every run of a process has the same.
pub(crate) fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// A length of virtual time.
pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Decisions read off the bytes from the front; after their end every decision is 0.
#[derive(Debug)]
pub(crate) struct Script<'a>(Unstructured<'a>);

impl<'a> Script<'a> {
    /// A script of these bytes.
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// Whether every byte has been used.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number of 16 bits.
    pub(crate) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number of 32 bits.
    pub(crate) fn long(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A number below `below`, which is not 0.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        usize::from(self.byte()) % below
    }

    /// One of these; there is at least one.
    pub(crate) fn pick<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[self.below(from.len())]
    }

    /// At most so many raw bytes; one byte tells how many.
    pub(crate) fn bytes(&mut self, max: usize) -> &'a [u8] {
        let length = self.below(max + 1).min(self.0.len());
        self.0.bytes(length).unwrap_or_default()
    }

    /// So many raw bytes, or as many as are left.
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        self.0.bytes(length.min(self.0.len())).unwrap_or_default()
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let length = self.0.len();
        self.0.bytes(length).unwrap_or_default()
    }
}

/// Prints an operation if `TALKBRIDGE_FUZZ_TRACE` is set: how to read a crashing script.
pub(crate) fn trace(operation: &dyn std::fmt::Debug) {
    static WANTED: OnceLock<bool> = OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("TALKBRIDGE_FUZZ_TRACE").is_some()) {
        // A trace that cannot be written is no broken promise.
        let _ = writeln!(std::io::stderr(), "{operation:?}");
    }
}
