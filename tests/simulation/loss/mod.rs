//! Frames in time over hops that lose: with none, one and two repeats, pinned and as the reports of each hop call for.
//!
//! `cargo test --test simulation loss:: -- --nocapture` prints the tables. `tools/bench loss` measures speech over the same chain.

mod chain;
mod sounds;

use std::collections::BTreeSet;

use bytes::Bytes;
use engine::jitter::Playout;

use chain::{Chain, Hop, Loss, Outcome, Repeats};

/// Frames of each spurt.
const SPURT: u32 = 5_000;
/// Points below what the losses explain.
const POINTS: f64 = 0.5;

/// Says so many frames over these hops.
fn talk(hops: &[Hop], frames: u32, seed: u64) -> Outcome {
    let mut chain = Chain::new(hops, seed);
    for spurt in 0..frames / SPURT {
        chain.say((spurt * SPURT..(spurt + 1) * SPURT).map(|number| Bytes::copy_from_slice(&number.to_be_bytes())));
    }
    let mut played = BTreeSet::new();
    for (.., playout) in &chain.heard {
        let frames = match playout {
            Playout::Frame(frame) => std::slice::from_ref(frame),
            Playout::Stretch { frames, .. } => frames,
            Playout::Fec { .. } | Playout::Conceal | Playout::Silence | Playout::End(_) => continue,
        };
        for frame in frames {
            assert!(played.insert(frame.clone()), "{frame:?} is played twice");
        }
    }
    let spoken = usize::try_from(frames / SPURT * SPURT).expect("few");
    Outcome { spoken, in_time: played.len(), stats: chain.stats() }
}

fn row(name: &str, outcome: &Outcome) -> String {
    let [p50, p95] = [50, 95].map(|percent| outcome.stats.delays.percentile(percent).as_millis());
    let percent = outcome.percent();
    format!("{name:<44} {percent:>7.2} {:>8} {:>6} {p50:>5} {p95:>5}", outcome.stats.repaired, outcome.stats.late)
}

const HEAD: &str = "hop                                          in time repaired   late   p50   p95
                                                   %                     ms    ms";

/// One hop of two loses, so that what repeats of it are worth shows alone.
fn hop(place: usize, loss: Loss, repeats: u32) -> [Hop; 2] {
    let mut hops = [Hop::clean(); 2];
    hops[place] = Hop { loss, repeats: Repeats::Pinned(repeats) };
    hops
}

#[test]
fn over_a_hundred_thousand_frames_only_those_are_missing_whose_repeats_are_lost_too() {
    let mut table = HEAD.to_owned();
    let mut missed = Vec::new();
    for (place, name) in ["unit to gateway", "gateway to unit"].into_iter().enumerate() {
        for percent in [5_u32, 10, 30] {
            for repeats in 0..=2 {
                let loss = f64::from(percent) / 100.0;
                let outcome = talk(&hop(place, Loss::Independent(loss), repeats), 100_000, 1);
                let limit = (1.0 - loss.powi(i32::try_from(repeats).expect("small") + 1)) * 100.0 - POINTS;
                let line = row(&format!("{name}, {percent} % lost, {repeats} repeats"), &outcome);
                if outcome.percent() < limit {
                    missed.push(format!("{line}: less than {limit:.2}"));
                }
                table = format!("{table}\n{line}  >= {limit:.2}");
            }
        }
    }
    println!("{table}");
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn in_bursts_repeats_that_are_spread_bring_back_most() {
    let mut table = HEAD.to_owned();
    for percent in [5_u32, 10, 30] {
        let bursts = Loss::Bursts(f64::from(percent) / 100.0);
        let [without, one, two] = [0, 1, 2].map(|repeats| {
            let outcome = talk(&hop(0, bursts, repeats), 100_000, 1);
            table = format!("{table}\n{}", row(&format!("{percent} % lost in bursts of 3, {repeats} repeats"), &outcome));
            100.0 - outcome.percent()
        });
        assert!(one < 0.7 * without && two < 0.4 * without, "{percent} %: {without:.2}, {one:.2}, {two:.2} % missing");
    }
    println!("{table}");
}

#[test]
fn from_unit_to_unit_across_a_border_each_hop_looks_after_itself() {
    let mut table = HEAD.to_owned();
    for (loss, name, at_least) in [
        (Loss::Independent(0.01), "three hops, 1 % lost on each", 97.0),
        (Loss::Independent(0.05), "three hops, 5 % lost on each", 98.0),
        (Loss::Independent(0.10), "three hops, 10 % lost on each", 98.0),
        (Loss::Independent(0.30), "three hops, 30 % lost on each", 90.0),
        (Loss::Bursts(0.05), "three hops, 5 % lost on each in bursts", 95.0),
        (Loss::Bursts(0.10), "three hops, 10 % lost on each in bursts", 90.0),
    ] {
        let [without, with] = [Repeats::Pinned(0), Repeats::Reported].map(|repeats| talk(&[Hop { loss, repeats }; 3], 20_000, 1));
        table = format!("{table}\n{}\n{}", row(&format!("{name}, none"), &without), row(name, &with));
        assert!(with.percent() >= at_least, "{name}:\n{table}");
    }
    println!("{table}");
}
