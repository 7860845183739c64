//! The jitter buffer's promises, played in virtual time against given arrivals.

mod numbers;
mod paths;
mod simulated;

use proptest::prelude::*;

use super::*;

#[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
fn epoch() -> Instant {
    Instant::now()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn spurt(number: u32) -> Spurt {
    Spurt::from_bits(number)
}

/// A payload that names its frame; it begins like an Opus packet with a copy of the frame before.
fn voice(seq: u16) -> Bytes {
    Bytes::copy_from_slice(&[0x08, 0x40, seq.to_be_bytes()[0], seq.to_be_bytes()[1]])
}

fn seq_of(payload: &Bytes) -> u16 {
    payload.last_chunk().copied().map_or(0, u16::from_be_bytes)
}

/// One frame's arrival, in ms.
#[derive(Clone, Debug)]
struct Arrival {
    at: u64,
    seq: u16,
    payload: Bytes,
}

fn arrival(at: u64, seq: u16) -> Arrival {
    Arrival { at, seq, payload: voice(seq) }
}

/// Frames `0..count` of a talker over a path of 30 ms, `extra` ms later each; `None` is a lost frame.
fn talk(count: u16, mut extra: impl FnMut(u16) -> Option<u64>) -> Vec<Arrival> {
    (0..count).filter_map(|seq| extra(seq).map(|extra| arrival(30 + u64::from(seq) * 20 + extra, seq))).collect()
}

/// A buffer in virtual time with a tick every 20 ms, at 13, 33, ... ms.
struct Bench {
    start: Instant,
    at: u64,
    buffer: JitterBuffer,
    /// What was played, with the tick's time.
    out: Vec<(u64, Playout)>,
}

impl Bench {
    fn new() -> Self {
        Self { start: epoch(), at: 0, buffer: JitterBuffer::new(), out: Vec::new() }
    }

    fn now(&self) -> Instant {
        self.start + ms(self.at)
    }

    /// Runs to `until`, with these frames of one spurt arriving on the way; arrival times count from the bench's start.
    fn run(&mut self, number: u32, mut arrivals: Vec<Arrival>, until: u64) {
        arrivals.sort_by_key(|arrival| arrival.at);
        let mut arrivals = arrivals.into_iter().peekable();
        while self.at < until {
            while let Some(Arrival { seq, payload, .. }) = arrivals.next_if(|arrival| arrival.at <= self.at) {
                self.buffer.insert(spurt(number), Seq(seq), payload, false, self.now());
            }
            if self.at % 20 == 13 {
                while let Some(playout) = self.buffer.due(self.now()) {
                    let took_time = !matches!(playout, Playout::End(_));
                    self.out.push((self.at, playout));
                    if took_time {
                        break;
                    }
                }
            }
            self.at += 1;
        }
    }

    /// Frames played, in order.
    fn played(&self) -> Vec<u16> {
        let mut seqs = Vec::new();
        for (_, playout) in &self.out {
            match playout {
                Playout::Frame(payload) => seqs.push(seq_of(payload)),
                Playout::Stretch { frames, .. } => seqs.extend(frames.iter().map(seq_of)),
                Playout::Fec { .. } | Playout::Conceal | Playout::Silence | Playout::End(_) => {}
            }
        }
        seqs
    }

    /// Ticks that satisfy the predicate.
    fn count(&self, fits: impl Fn(&Playout) -> bool) -> usize {
        self.out.iter().filter(|(_, playout)| fits(playout)).count()
    }

    fn kinds(&self) -> String {
        self.out
            .iter()
            .map(|(_, playout)| match playout {
                Playout::Frame(_) => 'f',
                Playout::Fec { .. } => 'r',
                Playout::Stretch { .. } => 's',
                Playout::Conceal => 'c',
                Playout::Silence => '_',
                Playout::End(_) => '.',
            })
            .collect()
    }
}

fn all(count: u16) -> Vec<u16> {
    (0..count).collect()
}

#[test]
fn on_a_perfect_path_every_phase_plays_everything_within_forty_milliseconds() {
    for phase in 0..20 {
        let mut bench = Bench::new();
        bench.run(1, talk(100, |_| Some(phase)), 2_500);
        let stats = bench.buffer.stats();
        assert_eq!(bench.played()[..], all(100)[..], "phase {phase}");
        assert!(stats.delays.percentile(100) <= ms(40), "phase {phase}: {:?}", stats.delays.percentile(100));
        assert!(stats.delays.percentile(50) >= ms(10));
        assert!(bench.kinds().starts_with(&"f".repeat(100)), "{}", bench.kinds());
    }
}

#[test]
fn a_lost_frame_is_repaired_from_the_next_and_costs_no_delay() {
    let mut bench = Bench::new();
    bench.run(1, talk(50, |seq| (seq % 10 != 5).then_some(0)), 1_020);
    assert!(bench.kinds().starts_with("fffffrfffffffff"), "{}", bench.kinds());
    let stats = bench.buffer.stats();
    assert_eq!((stats.repaired, stats.late), (5, 0));
    assert!(stats.delays.percentile(100) <= ms(40));
}

#[test]
fn where_the_next_frame_carries_no_copy_nothing_counts_as_repaired() {
    let mut bench = Bench::new();
    let bare = |arrival: Arrival| Arrival { payload: Bytes::from_static(&[0x08, 0, 0, 0]), ..arrival };
    bench.run(1, talk(50, |seq| (seq % 10 != 5).then_some(0)).into_iter().map(bare).collect(), 1_020);
    let stats = bench.buffer.stats();
    assert_eq!((stats.repaired, stats.concealed), (0, 5), "{}", bench.kinds());
}

#[test]
fn a_frame_that_came_only_as_a_repeat_counts_as_repaired_and_one_that_came_by_itself_in_time_does_not() {
    let mut bench = Bench::new();
    let start = bench.start;
    for seq in 0..50_u16 {
        let at = start + ms(30 + 20 * u64::from(seq));
        bench.run(1, Vec::new(), 30 + 20 * u64::from(seq));
        if seq > 0 && seq % 10 == 6 {
            // Of the five, one comes by itself after all, in time.
            assert_eq!(bench.buffer.take(spurt(1), Seq(seq - 1), voice(seq - 1), false, Came::Repeated, at), Inserted::New);
            if seq == 6 {
                assert_eq!(bench.buffer.insert(spurt(1), Seq(seq - 1), voice(seq - 1), false, at), Inserted::Duplicate);
            }
        }
        if seq % 10 != 5 {
            assert_eq!(bench.buffer.insert(spurt(1), Seq(seq), voice(seq), false, at), Inserted::New);
        }
    }
    bench.run(1, Vec::new(), 1_200);
    let stats = bench.buffer.stats();
    assert_eq!((bench.played().len(), stats.received, stats.repaired), (50, 50, 4), "{}", bench.kinds());
}

#[test]
fn a_long_gap_is_concealed_for_a_hundred_milliseconds_then_silent() {
    let mut bench = Bench::new();
    bench.run(1, talk(60, |seq| (!(10..30).contains(&seq)).then_some(0)), 1_300);
    let kinds = bench.kinds();
    assert!(kinds.starts_with(&format!("{}ccccc{}", "f".repeat(10), "_".repeat(14))), "{kinds}");
    assert_eq!(kinds.find("fff").map(|_| kinds.matches('f').count()), Some(40), "{kinds}");
    assert!(bench.buffer.stats().delay <= ms(40), "a loss must not add delay: {:?}", bench.buffer.stats().delay);
}

#[test]
fn reordered_frames_are_played_in_order() {
    let mut bench = Bench::new();
    let swapped = talk(60, |seq| Some(if seq % 2 == 0 { 25 } else { 0 }));
    bench.run(1, swapped, 2_000);
    assert_eq!(bench.played(), all(60));
}

#[test]
fn a_duplicate_is_told_and_played_once_before_and_after_its_turn() {
    let mut bench = Bench::new();
    let now = bench.now();
    assert_eq!(bench.buffer.insert(spurt(1), Seq(0), voice(0), false, now), Inserted::New);
    assert_eq!(bench.buffer.insert(spurt(1), Seq(0), voice(0), false, now), Inserted::Duplicate);
    bench.run(1, vec![], 60);
    assert_eq!(bench.buffer.insert(spurt(1), Seq(0), voice(0), false, bench.now()), Inserted::Duplicate);
    assert_eq!(bench.played(), [0]);
    assert_eq!(bench.buffer.stats().duplicates, 2);
}

#[test]
fn a_frame_whose_place_was_concealed_comes_late_and_is_counted() {
    let mut bench = Bench::new();
    bench.run(1, talk(30, |seq| (seq != 10).then_some(0)), 500);
    assert_eq!(bench.buffer.insert(spurt(1), Seq(10), voice(10), false, bench.now()), Inserted::Late);
    assert_eq!(bench.buffer.stats().late, 1);
}

#[test]
fn a_stall_costs_a_pause_and_no_frame_and_the_delay_returns_in_the_same_spurt() {
    let mut bench = Bench::new();
    // The path holds everything for 200 ms once.
    let stall = |seq: u16| Some(if (50..60).contains(&seq) { 200 - u64::from(seq - 50) * 20 } else { 0 });
    bench.run(1, talk(400, stall), 1_500);
    let before = bench.buffer.stats().delay;
    assert!(before > ms(150), "the stall's frames were thrown away: {before:?}");
    bench.run(1, talk(400, stall).split_off(74), 9_000);
    assert_eq!(bench.played(), all(400));
    let stats = bench.buffer.stats();
    assert!(stats.stretched > 0 && stats.delay <= stats.target + ms(10), "{:?} over {:?}", stats.delay, stats.target);
}

#[test]
fn steady_jitter_raises_the_target_and_then_nothing_is_concealed() {
    let mut state = 7_u32;
    let mut jitter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(u64::from(state >> 16) % 80)
    };
    let mut bench = Bench::new();
    bench.run(1, talk(200, &mut jitter), 4_500);
    bench.buffer.cut(spurt(1));
    let target = bench.buffer.stats().target;
    assert!((ms(80)..=ms(120)).contains(&target), "{target:?}");
    let concealed = bench.buffer.stats().concealed;
    bench.out.clear();
    let later = talk(500, jitter).into_iter().map(|a| Arrival { at: a.at + 4_500, ..a }).collect();
    bench.run(2, later, 15_500);
    let concealed = bench.buffer.stats().concealed - concealed;
    // The order of the very first frames is not known yet.
    assert!(bench.played().len() >= 498 && bench.played().ends_with(&(2..500).collect::<Vec<_>>()), "{:?}", bench.played());
    // After the talker fell silent without a word five ticks are concealed.
    assert!(concealed <= 5 + 5, "{concealed} of 500");
}

#[test]
fn the_burst_of_an_instant_start_is_played_whole_and_caught_up_with_and_does_not_count_as_jitter() {
    let mut bench = Bench::new();
    // 300 ms were spoken before the grant: frames 0..15 come at once.
    let instant = |seq: u16| Some(if seq < 15 { 280 - u64::from(seq) * 20 } else { 0 });
    bench.run(1, talk(400, instant), 2_300);
    assert!(bench.kinds().starts_with("fffffsssss"), "{}", bench.kinds());
    let stats = bench.buffer.stats();
    assert!(stats.target <= TARGET_START, "{:?}", stats.target);
    assert!(stats.delay <= ms(40), "the delay stayed at {:?}", stats.delay);
    bench.run(1, talk(400, instant).split_off(114), 9_000);
    assert_eq!(bench.played(), all(400));
}

#[test]
fn a_minute_of_perfect_voice_keeps_its_delay() {
    let mut bench = Bench::new();
    bench.run(1, talk(3_000, |_| Some(0)), 60_100);
    assert_eq!(bench.played().len(), 3_000);
    let stats = bench.buffer.stats();
    assert!(stats.delays.percentile(100) <= ms(40));
    assert_eq!(stats.stretched, 0);
}

#[test]
fn a_late_entry_plays_at_once_from_where_it_came_in() {
    let mut bench = Bench::new();
    let from_500 = (500..520).map(|seq| arrival(30 + u64::from(seq - 500) * 20, seq)).collect();
    bench.run(1, from_500, 440);
    assert_eq!(bench.played(), (500..520).collect::<Vec<_>>());
    assert!(bench.out[0].0 <= 30 + 40, "first sound at {}", bench.out[0].0);
    assert!(!bench.kinds().contains('r'));
}

#[test]
fn the_first_frame_is_played_though_it_came_before_taken() {
    let mut bench = Bench::new();
    let now = bench.now();
    assert_eq!(bench.buffer.insert(spurt(1), Seq(0), voice(0), true, now), Inserted::New);
    bench.buffer.start(spurt(1), now + ms(5));
    bench.run(1, vec![], 100);
    assert_eq!(bench.out.iter().map(|(_, p)| p.clone()).collect::<Vec<_>>(), [Playout::Frame(voice(0)), Playout::End(spurt(1))]);
}

#[test]
fn a_lost_first_frame_is_repaired_from_the_second() {
    let mut bench = Bench::new();
    bench.run(1, talk(10, |seq| (seq != 0).then_some(0)), 260);
    assert!(bench.kinds().starts_with("rfffff"), "{}", bench.kinds());
}

#[test]
fn hold_beats_play_as_silence_and_the_sound_after_them_is_held_anew() {
    // Both ways of counting: a hold beat as the next number, or numbers that go on with time.
    for step in [1, 5] {
        let mut bench = Bench::new();
        let mut arrivals = talk(20, |_| Some(0));
        arrivals.extend((0..10).map(|beat| Arrival {
            at: 430 + beat * 100,
            seq: 20 + u16::try_from(beat).unwrap() * step,
            payload: Bytes::new(),
        }));
        let resumed = 20 + 10 * step;
        arrivals.extend((0..20).map(|seq| arrival(1_437 + u64::from(seq) * 20, resumed + seq)));
        bench.run(1, arrivals, 1_850);
        assert_eq!(bench.played(), all(20).into_iter().chain(resumed..resumed + 20).collect::<Vec<_>>(), "step {step}");
        assert_eq!((bench.count(|p| *p == Playout::Conceal), bench.buffer.stats().repaired), (0, 0), "step {step}: {}", bench.kinds());
        let stats = bench.buffer.stats();
        assert!(stats.delays.percentile(100) <= ms(40) && stats.target <= TARGET_START, "step {step}: {stats:?}");
    }
}

#[test]
fn hold_beats_above_the_target_are_skipped() {
    let mut bench = Bench::new();
    // A source that goes on sending a hold beat every 20 ms after an instant start.
    let frames = talk(60, |seq| Some(if seq < 15 { 280 - u64::from(seq) * 20 } else { 0 }));
    let frames = frames.into_iter().map(|a| if (20..40).contains(&a.seq) { Arrival { payload: Bytes::new(), ..a } } else { a }).collect();
    bench.run(1, frames, 1_290);
    assert_eq!(bench.played(), (0..20).chain(40..60).collect::<Vec<_>>());
    assert!(bench.buffer.stats().delay <= ms(50), "{:?}", bench.buffer.stats().delay);
}

#[test]
fn a_tail_waits_two_hundred_milliseconds_for_missing_frames_and_the_next_spurt_waits_for_it() {
    let mut bench = Bench::new();
    bench.run(1, talk(10, |_| Some(0)), 240);
    // Frames 10 and 11 are missing; 11 comes 150 ms after the word, 10 never.
    bench.buffer.ended(spurt(1), Some(Seq(12)), bench.now());
    for seq in 0..5 {
        assert_eq!(bench.buffer.insert(spurt(2), Seq(seq), voice(100 + seq), false, bench.now()), Inserted::New);
    }
    bench.run(1, vec![arrival(390, 11)], 700);
    assert_eq!(bench.played(), (0..10).chain([11]).chain(100..105).collect::<Vec<_>>());
    let end = bench.out.iter().find(|(_, p)| *p == Playout::End(spurt(1))).map(|(at, _)| *at);
    assert!(end.is_some_and(|at| (440..=460).contains(&at)), "{end:?}");
    assert!(bench.out.contains(&(end.unwrap(), Playout::Frame(voice(100)))), "the next spurt starts in the same tick");
}

#[test]
fn a_complete_tail_ends_without_waiting() {
    let mut bench = Bench::new();
    bench.run(1, talk(10, |_| Some(0)), 215);
    bench.buffer.ended(spurt(1), Some(Seq(9)), bench.now());
    bench.run(1, vec![], 400);
    assert_eq!(bench.kinds(), format!("{}.", "f".repeat(10)));
    assert!(!bench.buffer.is_active());
}

#[test]
fn a_frame_of_a_newer_spurt_ends_the_old_one_once_it_is_played_out() {
    let mut bench = Bench::new();
    bench.run(1, talk(10, |_| Some(0)), 212);
    bench.run(2, (0..5).map(|seq| arrival(212 + u64::from(seq) * 20, seq)).collect(), 340);
    assert_eq!(bench.played(), all(10).into_iter().chain(0..5).collect::<Vec<_>>());
    assert_eq!(bench.count(|p| *p == Playout::End(spurt(1))), 1);
    assert_eq!(bench.buffer.insert(spurt(1), Seq(10), voice(10), false, bench.now()), Inserted::WrongSpurt);
}

#[test]
fn a_cut_ends_at_once_and_nothing_of_the_old_spurt_is_heard_again() {
    let mut bench = Bench::new();
    let now = bench.now();
    for seq in 0..10 {
        bench.buffer.insert(spurt(1), Seq(seq), voice(seq), false, now);
    }
    bench.run(1, vec![], 80);
    let before = bench.played();
    bench.buffer.insert(spurt(2), Seq(0), voice(100), false, bench.now());
    bench.buffer.cut(spurt(1));
    bench.run(1, vec![arrival(81, 10)], 200);
    assert_eq!(bench.played(), [&before[..], &[100]].concat());
    assert_eq!(bench.count(|p| *p == Playout::End(spurt(1))), 1);
    assert_eq!(bench.buffer.stats().foreign, 1);
}

#[test]
fn a_spurt_of_which_nothing_came_ends_without_a_sound() {
    let mut bench = Bench::new();
    bench.buffer.start(spurt(1), bench.now());
    bench.buffer.ended(spurt(1), None, bench.now());
    bench.run(1, vec![], 400);
    assert_eq!(bench.kinds(), ".");
}

#[test]
fn memory_is_bounded_by_frames_spurts_and_ends() {
    let mut bench = Bench::new();
    let now = bench.now();
    for number in 1..20 {
        for seq in 0..100 {
            let got = bench.buffer.insert(spurt(number), Seq(seq), voice(seq), false, now);
            assert_eq!(got, if seq < 64 { Inserted::New } else { Inserted::Full });
        }
    }
    let waiting: usize = bench.buffer.bursts.iter().map(|burst| burst.frames.len()).sum();
    assert_eq!((waiting, bench.buffer.ends.len()), (64 * BURSTS_MAX, ENDS_MAX));
}

#[test]
fn a_leap_of_the_numbers_is_not_waited_out() {
    let mut bench = Bench::new();
    let leap = |seq: u16| if seq < 20 { seq } else { seq + 5_000 };
    let frames = (0..80).map(|seq| arrival(30 + u64::from(seq) * 20, leap(seq))).collect();
    bench.run(1, frames, 3_000);
    assert_eq!(bench.played().last(), Some(&5_079));
    assert!(bench.played().len() >= 50, "{}", bench.kinds());
}

#[test]
fn the_largest_number_is_refused_and_the_one_before_it_plays_once() {
    let mut bench = Bench::new();
    for (seq, want) in [(u16::MAX, Inserted::Late), (u16::MAX - 1, Inserted::New)] {
        assert_eq!(bench.buffer.insert(spurt(1), Seq(seq), voice(seq), false, bench.now()), want);
    }
    bench.run(1, vec![], 100);
    assert_eq!(bench.buffer.insert(spurt(1), Seq(u16::MAX - 1), voice(u16::MAX - 1), false, bench.now()), Inserted::Duplicate);
    assert_eq!(bench.played(), [u16::MAX - 1]);
}

#[derive(Clone, Debug)]
enum Op {
    Insert { spurt: u32, seq: u16, hold: bool, last: bool },
    Ended { spurt: u32, last: Option<u16> },
    Cut(u32),
    Due,
    Sleep(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (1..5_u32, 0..90_u16, 0..10_u8, 0..40_u8)
            .prop_map(|(spurt, seq, hold, last)| Op::Insert { spurt, seq, hold: hold == 0, last: last == 0 }),
        1 => (1..5_u32, prop::option::of(0..90_u16)).prop_map(|(spurt, last)| Op::Ended { spurt, last }),
        1 => (1..5_u32).prop_map(Op::Cut),
        6 => Just(Op::Due),
        6 => (0..30_u64).prop_map(Op::Sleep),
    ]
}

proptest! {
    #[test]
    fn no_frame_is_played_twice_or_out_of_order_or_after_its_spurt(ops in prop::collection::vec(op(), 0..500)) {
        let mut now = epoch();
        let mut buffer = JitterBuffer::new();
        let mut newest: Option<(u32, u16)> = None;
        let mut over = 0;
        for op in ops {
            match op {
                Op::Insert { spurt: number, seq, hold, last } => {
                    // The payload names spurt and frame.
                    let payload = if hold { Bytes::new() } else { Bytes::from(vec![u8::try_from(number).unwrap(), 0, u8::try_from(seq).unwrap()]) };
                    let inserted = buffer.insert(spurt(number), Seq(seq), payload, last, now);
                    prop_assert!(number > over || inserted == Inserted::WrongSpurt);
                }
                Op::Ended { spurt: number, last } => buffer.ended(spurt(number), last.map(Seq), now),
                Op::Cut(number) => {
                    buffer.cut(spurt(number));
                    over = over.max(number);
                }
                Op::Due => {
                    let frames = match buffer.due(now) {
                        Some(Playout::Frame(frame)) => vec![frame],
                        Some(Playout::Stretch { frames, .. }) => frames,
                        Some(Playout::End(ended)) => {
                            over = over.max(ended.to_bits());
                            vec![]
                        }
                        Some(Playout::Fec { .. } | Playout::Conceal | Playout::Silence) | None => vec![],
                    };
                    for frame in frames {
                        let this = (u32::from(frame[0]), seq_of(&frame));
                        prop_assert!(this.0 > over, "{:?} after the end of {}", this, over);
                        prop_assert!(newest.is_none_or(|newest| this > newest), "{:?} after {:?}", this, newest);
                        newest = Some(this);
                    }
                }
                Op::Sleep(millis) => now += ms(millis),
            }
            prop_assert!(buffer.bursts.len() <= BURSTS_MAX);
        }
    }
}
