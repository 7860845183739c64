//! Spurts by their numbers: which begin, which wait, which are over.

use wire::{Seq, Spurt};

use super::{Bench, Inserted, Playout, all, spurt, talk, voice};

#[test]
fn epochs_that_pass_in_silence_make_nobody_deaf() {
    let mut bench = Bench::new();
    let epoch = |epoch: u32, counter: u32| Spurt::from_bits(epoch << 24 | counter);
    bench.buffer.insert(epoch(1, 1), Seq(0), voice(0), true, bench.now());
    bench.run(1, vec![], 400);
    for silent in [60, 120, 180] {
        bench.buffer.advance(epoch(silent, 0));
    }
    let now = bench.now();
    assert_eq!(bench.buffer.insert(epoch(180, 1), Seq(0), voice(1), true, now), Inserted::New);
    assert_eq!(bench.buffer.insert(epoch(120, 1), Seq(0), voice(2), true, now), Inserted::WrongSpurt);
    bench.run(1, vec![], 800);
    assert_eq!(bench.played(), [0, 1]);
}

#[test]
fn numbers_given_in_a_rush_cost_the_voice_that_plays_no_frame() {
    let mut bench = Bench::new();
    let now = bench.now();
    for seq in 0..5 {
        bench.buffer.insert(spurt(1), Seq(seq), voice(seq), false, now);
    }
    for number in 2..40 {
        bench.buffer.start(spurt(number), now);
    }
    for seq in 0..5 {
        bench.buffer.insert(spurt(39), Seq(seq), voice(5 + seq), false, now);
    }
    bench.run(1, vec![], 400);
    assert_eq!(bench.played(), all(10));
}

#[test]
fn a_voice_that_is_renumbered_around_half_the_circle_plays_on() {
    let mut bench = Bench::new();
    for (count, epoch) in (0..).zip([20_u32, 86, 150, 151, 215]) {
        let spurt = Spurt::from_bits(epoch << 24 | 1);
        bench.buffer.start(spurt, bench.now());
        assert_eq!(bench.buffer.insert(spurt, Seq(0), voice(count), true, bench.now()), Inserted::New, "{epoch}");
        bench.run(1, vec![], bench.at + 25);
    }
    bench.run(1, vec![], 800);
    assert_eq!(bench.played(), all(5));
}

#[test]
fn spurts_of_which_nothing_came_hold_up_nobody_behind_them() {
    let mut bench = Bench::new();
    for number in 1..4 {
        bench.buffer.start(spurt(number), bench.now());
        bench.buffer.ended(spurt(number), None, bench.now());
    }
    bench.run(4, talk(5, |_| Some(0)), 120);
    let first = bench.out.iter().find(|(_, playout)| matches!(playout, Playout::Frame(_))).map(|(at, _)| *at);
    assert!(first.is_some_and(|at| at <= 30 + 40), "the first frame came at 30 ms and plays at {first:?}");
}

#[test]
fn a_cut_ends_what_came_before_half_the_circle_of_epochs_away_too() {
    let mut bench = Bench::new();
    let spurts = [255, 1, 128].map(|epoch| Spurt::from_bits(epoch << 24));
    assert!(spurts[1].is_after(spurts[0]) && spurts[2].is_after(spurts[1]) && spurts[0].is_after(spurts[2]));
    for spurt in spurts {
        bench.buffer.insert(spurt, Seq(0), voice(0), false, bench.now());
    }
    bench.buffer.cut(spurts[2]);
    bench.run(1, vec![], 200);
    assert!(bench.played().is_empty(), "{}", bench.kinds());
}

#[test]
fn a_reset_forgets_the_base_line_of_the_numbers() {
    let mut bench = Bench::new();
    bench.run(9, talk(5, |_| Some(0)), 200);
    bench.buffer.reset();
    assert_eq!(bench.buffer.insert(spurt(1), Seq(0), voice(0), false, bench.now()), Inserted::New);
}
