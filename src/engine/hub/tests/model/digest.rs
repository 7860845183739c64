//! What a site's state is, apart from the clock: its `Debug` text with every instant replaced by its place in the order.
//!
//! An instant that lies behind counts as *past*; those ahead count as first, second, ... Two states with equal digests have
//! the same facts and the same timers armed in the same order; only how long each still runs may differ.

use std::fmt::{self, Debug, Write};
use std::hash::{DefaultHasher, Hasher};
use std::time::Instant;

/// What decides nothing here: repeats, for a reliable stream needs none (`explore.rs`); records; tails, for a unit of the model speaks
/// under a grant only; patience, for the homes of the model are in time.
const IDLE: [&str; 6] = ["retry", "repeat", "repeat_at", "crossed", "tails", "patience"];

/// Collects `Debug` text; std writes names, numbers and braces in pieces, and an instant as `Instant { tv_sec: 1, tv_nsec: 2 }`.
#[derive(Default)]
struct Sink {
    text: String,
    /// Every instant in the order of the text, as seconds and nanoseconds.
    instants: Vec<(i64, i64)>,
    reading: Reading,
    /// The braces open in what is left out.
    depth: usize,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Reading {
    #[default]
    Text,
    Seconds,
    Nanos,
    Idle,
}

impl Sink {
    /// Leaves the value of an idle field out; gives whether the piece ends it.
    fn skip(&mut self, piece: &str) -> bool {
        let ends = self.depth == 0 && (piece.starts_with(',') || piece.contains(['}', ')', ']']));
        for byte in piece.bytes() {
            match byte {
                b'{' | b'(' | b'[' => self.depth += 1,
                b'}' | b')' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        ends
    }
}

impl Write for Sink {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        match (self.reading, piece, piece.parse().ok()) {
            (Reading::Idle, ..) => {
                if self.skip(piece) {
                    self.reading = Reading::Text;
                }
            }
            (_, "tv_sec", _) => self.reading = Reading::Seconds,
            (_, "tv_nsec", _) => self.reading = Reading::Nanos,
            (Reading::Seconds, _, Some(seconds)) => {
                self.instants.push((seconds, 0));
                self.reading = Reading::Text;
            }
            (Reading::Nanos, _, Some(nanos)) => {
                self.instants.last_mut().ok_or(fmt::Error)?.1 = nanos;
                self.reading = Reading::Text;
            }
            (Reading::Text, name, _) if IDLE.contains(&name) => self.reading = Reading::Idle,
            _ => self.text.push_str(piece),
        }
        Ok(())
    }
}

/// The digest of some parts of a site at its own time.
pub(super) fn digest(parts: &[&dyn Debug], now: Instant) -> u64 {
    let mut sink = Sink::default();
    write!(sink, "{now:?}").unwrap();
    let now = sink.instants.pop().unwrap();
    for part in parts {
        write!(sink, "{part:?};").unwrap();
    }
    let mut ahead: Vec<(i64, i64)> = sink.instants.iter().copied().filter(|at| *at > now).collect();
    ahead.sort_unstable();
    ahead.dedup();
    let mut hasher = DefaultHasher::new();
    hasher.write(sink.text.as_bytes());
    for at in sink.instants {
        // 0: past.
        let place = ahead.binary_search(&at).map_or(0, |place| place + 1);
        hasher.write_usize(place);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::digest;
    use crate::hub::tests::unit::{epoch, ms};

    #[test]
    fn only_the_order_of_the_instants_ahead_counts() {
        let now = epoch() + ms(5_000);
        let of = |first, second| digest(&[&(Some(now + ms(first)), now + ms(second), "x")], now);
        assert_eq!(of(10, 20), of(300, 9_000));
        assert_ne!(of(10, 20), of(20, 10));
        assert_ne!(of(10, 20), of(0, 20));
        let past = |back| digest(&[&(now - ms(back))], now);
        assert_eq!(past(0), past(4_999));
    }

    #[test]
    fn what_decides_nothing_does_not_count() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "read by Debug")]
        struct Timers {
            retry: Option<Instant>,
            grace: Option<Instant>,
            tails: Vec<Instant>,
        }
        let now = epoch();
        let of = |retry, grace, tails: &[u64]| {
            let tails = tails.iter().map(|tail| now + ms(*tail)).collect();
            digest(&[&Timers { retry: Some(now + ms(retry)), grace: Some(now + ms(grace)), tails }], now)
        };
        assert_eq!(of(0, 10, &[]), of(20, 10, &[5, 30]));
        assert_ne!(of(0, 10, &[]), of(0, 0, &[]));
    }
}
