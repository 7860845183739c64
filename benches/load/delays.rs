//! From a capture and what everybody heard to delays: the first and the last listener of each frame.
//!
//! A capture of encrypted packets does not tell frames apart. But nothing overtakes on loopback: the n-th packet with voice to
//! a listener is the n-th frame that it noted. So the two lists are laid side by side; where their lengths differ the listener
//! is left out and counted.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde::Serialize;

use crate::capture::Packet;

/// A talker's frames, in the order in which they were sent.
pub(crate) struct Said {
    pub(crate) group: u16,
    pub(crate) at: SocketAddr,
    pub(crate) frames: Vec<u32>,
}

/// A listener's frames, in the order in which they came.
pub(crate) struct Got {
    pub(crate) group: u16,
    pub(crate) at: SocketAddr,
    pub(crate) frames: Vec<u32>,
}

/// What a capture says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Delays {
    /// Packets with voice that the relay has sent.
    pub(crate) packets_out: usize,
    /// Frames that listeners noted.
    pub(crate) frames_heard: usize,
    /// Terminals whose packets and frames are not as many; their times are not used. None of a talker's leaves no time at all.
    pub(crate) unmatched: usize,
    pub(crate) first_p50_us: Option<f64>,
    pub(crate) first_p99_us: Option<f64>,
    pub(crate) last_p50_us: Option<f64>,
    pub(crate) last_p99_us: Option<f64>,
}

/// Lays packets and frames side by side.
pub(crate) fn delays(packets: &[Packet], relay: SocketAddr, said: &[Said], got: &[Got]) -> Delays {
    let mut sent: HashMap<SocketAddr, Vec<i64>> = HashMap::new();
    let mut delivered: HashMap<SocketAddr, Vec<i64>> = HashMap::new();
    for packet in packets {
        if packet.to == relay {
            sent.entry(packet.from).or_default().push(packet.at_ns);
        } else if packet.from == relay {
            delivered.entry(packet.to).or_default().push(packet.at_ns);
        }
    }
    let mut unmatched = 0;
    let mut spoken: HashMap<(u16, u32), i64> = HashMap::new();
    for Said { group, at, frames } in said {
        match sent.get(at) {
            Some(times) if times.len() == frames.len() => {
                spoken.extend(frames.iter().zip(times).map(|(frame, at_ns)| ((*group, *frame), *at_ns)));
            }
            _ => unmatched += 1,
        }
    }
    let mut spans: HashMap<(u16, u32), (i64, i64)> = HashMap::new();
    for Got { group, at, frames } in got {
        let times = delivered.get(at).map(Vec::as_slice).unwrap_or_default();
        if times.len() != frames.len() {
            unmatched += 1;
            continue;
        }
        for (frame, at_ns) in frames.iter().zip(times) {
            let span = spans.entry((*group, *frame)).or_insert((*at_ns, *at_ns));
            *span = (span.0.min(*at_ns), span.1.max(*at_ns));
        }
    }
    let since = |pick: fn(&(i64, i64)) -> i64| {
        let mut values: Vec<i64> = spans.iter().filter_map(|(frame, span)| Some(pick(span) - spoken.get(frame)?)).collect();
        values.sort_unstable();
        values
    };
    let (first, last) = (since(|span| span.0), since(|span| span.1));
    Delays {
        packets_out: delivered.values().map(Vec::len).sum(),
        frames_heard: got.iter().map(|got| got.frames.len()).sum(),
        unmatched,
        first_p50_us: percentile_us(&first, 0.50),
        first_p99_us: percentile_us(&first, 0.99),
        last_p50_us: percentile_us(&last, 0.50),
        last_p99_us: percentile_us(&last, 0.99),
    }
}

/// Of sorted nanoseconds the value below which that part of them lies, in microseconds.
fn percentile_us(sorted: &[i64], part: f64) -> Option<f64> {
    let at = (part * sorted.len() as f64) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map(|value| *value as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn packet(at_us: i64, from: u16, to: u16) -> Packet {
        Packet { at_ns: at_us * 1_000, from: at(from), to: at(to), bytes: 100 }
    }

    #[test]
    fn frames_are_timed_from_the_talker_to_the_first_and_the_last_listener() {
        // Port 1 is the relay, 2 talks, 3 and 4 listen; the second frame overlaps the first.
        let packets =
            [packet(0, 2, 1), packet(10, 1, 3), packet(15, 2, 1), packet(20, 1, 4), packet(30, 1, 3), packet(90, 1, 4), packet(99, 7, 8)];
        let said = [Said { group: 0, at: at(2), frames: vec![5, 6] }];
        let got = |frames: [Vec<u32>; 2]| {
            let [three, four] = frames;
            [Got { group: 0, at: at(3), frames: three }, Got { group: 0, at: at(4), frames: four }]
        };
        let seen = delays(&packets, at(1), &said, &got([vec![5, 6], vec![5, 6]]));
        assert_eq!((seen.packets_out, seen.frames_heard, seen.unmatched), (4, 4, 0));
        assert_eq!(
            (seen.first_p50_us, seen.first_p99_us, seen.last_p50_us, seen.last_p99_us),
            (Some(15.0), Some(15.0), Some(75.0), Some(75.0))
        );
        // A listener that noted more than passed: two frames shared a packet.
        let seen = delays(&packets, at(1), &said, &got([vec![5, 6, 7], vec![5, 6]]));
        assert_eq!((seen.packets_out, seen.frames_heard, seen.unmatched), (4, 5, 1));
        assert_eq!((seen.first_p50_us, seen.last_p50_us), (Some(75.0), Some(75.0)));
    }

    #[test]
    fn percentiles_of_nothing_and_of_many() {
        assert_eq!(percentile_us(&[], 0.99), None);
        let many: Vec<i64> = (0..100).map(|us| us * 1_000).collect();
        assert_eq!((percentile_us(&many, 0.5), percentile_us(&many, 0.99)), (Some(50.0), Some(99.0)));
    }
}
