//! The playout over generated paths: what is late, how much delay it costs, how soon the delay is back at its floor.
//!
//! `cargo test -p talkbridge-engine jitter::tests::simulated -- --nocapture` prints the table. Time is virtual.

use std::collections::BTreeMap;
use std::time::Duration;

use super::paths::{Arrival, Jitter, Loss, Path};
use super::{epoch, seq_of, spurt, voice};
use crate::jitter::{BURSTS_MAX, FRAME, JitterBuffer, Playout};
use wire::Seq;

/// Added delay that counts as the floor.
const FLOOR_MS: f64 = 40.0;
/// Most sound in a tick: 1.25x.
const FASTEST: Duration = Duration::from_millis(25);
/// The driver's rule after a stop: older ticks are not made up.
const BEHIND_MAX_US: u64 = 200_000;
/// *Idle* names the last frame; it comes so much later than that.
const IDLE_AFTER_US: u64 = 60_000;

/// What came of one path.
#[derive(Debug, Default)]
struct Outcome {
    sent: u64,
    arrived: u64,
    played: u64,
    late: u64,
    repaired: u64,
    concealed: u64,
    dropped: u64,
    stretched: u64,
    /// When each frame was played, in ms, and how much later than the fastest path allows.
    delays: Vec<(f64, f64)>,
}

impl Outcome {
    fn percent(&self, count: u64) -> f64 {
        100.0 * count as f64 / self.sent as f64
    }

    fn delay(&self, percent: usize) -> f64 {
        let mut sorted: Vec<f64> = self.delays.iter().map(|(_, delay)| *delay).collect();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
    }

    /// Seconds from the end of the disturbance until the delay stays at its floor.
    fn back_after(&self, path: &Path) -> Option<f64> {
        let calm = path.calm_at? as f64;
        let above = self.delays.iter().rfind(|(at, delay)| *at > calm && *delay > FLOOR_MS);
        Some(above.map_or(0.0, |(at, _)| (at - calm) / 1_000.0))
    }

    fn row(&self, path: &Path) -> String {
        format!(
            "{:<34} {:>6.2} {:>6.2} {:>6.2} {:>6.2} {:>6} {:>6.0} {:>6.0} {:>6.0} {:>7}",
            path.name,
            self.percent(self.sent - self.arrived),
            self.percent(self.late + self.dropped),
            self.percent(self.repaired),
            self.percent(self.concealed),
            self.stretched,
            self.delay(50),
            self.delay(95),
            self.delay(100),
            self.back_after(path).map_or_else(String::new, |seconds| format!("{seconds:.1}")),
        )
    }
}

const HEAD: &str = "path                                 lost   late repair concl. stretch   p50    p95    max    back
                                        %      %      %      %  ticks     ms     ms     ms       s";

/// A listener in virtual time; judges every frame that it plays.
struct Listener {
    start: std::time::Instant,
    buffer: JitterBuffer,
    fastest: BTreeMap<(u32, u16), u64>,
    newest: Option<(u32, u16)>,
    over: u32,
    /// Sound handed over and not yet played.
    left_over: Duration,
    outcome: Outcome,
}

impl Listener {
    fn at(&self, us: u64) -> std::time::Instant {
        self.start + Duration::from_micros(us)
    }

    fn insert(&mut self, arrival: Arrival) {
        let Arrival { at, spurt: number, seq, last, .. } = arrival;
        self.buffer.insert(spurt(number), Seq(seq), voice(seq), last, self.at(at));
        let waiting: usize = self.buffer.bursts.iter().map(|burst| burst.frames.len()).sum();
        assert!(waiting <= 64 * BURSTS_MAX, "{waiting} frames wait");
    }

    fn tick(&mut self, us: u64) {
        loop {
            let Some(playing) = self.buffer.playing().map(|spurt| spurt.to_bits()) else { return };
            match self.buffer.due(self.at(us)) {
                Some(Playout::End(ended)) => {
                    self.over = ended.to_bits();
                    assert!(self.left_over.is_zero(), "{:?} of sound is cut off", self.left_over);
                    continue;
                }
                Some(Playout::Frame(frame)) => self.hear(playing, &frame, us),
                Some(Playout::Stretch { frames, advance }) => {
                    assert!(advance <= FASTEST, "{advance:?} in a tick");
                    self.outcome.stretched += 1;
                    for frame in &frames {
                        self.hear(playing, frame, us);
                        self.left_over += FRAME;
                    }
                    self.left_over = self.left_over.checked_sub(advance).expect("what is played was handed over");
                    assert!(self.left_over < FRAME, "{:?} is left over", self.left_over);
                }
                Some(Playout::Silence) => self.left_over = Duration::ZERO,
                Some(Playout::Fec { .. } | Playout::Conceal) | None => {}
            }
            return;
        }
    }

    /// Never twice, never out of order, never after the spurt's end.
    fn hear(&mut self, number: u32, frame: &bytes::Bytes, us: u64) {
        let this = (number, seq_of(frame));
        assert!(number > self.over, "{this:?} after the end of {}", self.over);
        assert!(self.newest.is_none_or(|newest| this > newest), "{this:?} after {:?}", self.newest);
        self.newest = Some(this);
        let delay = (us as f64 - self.fastest[&this] as f64) / 1e3 + self.left_over.as_secs_f64() * 1e3;
        self.outcome.delays.push((us as f64 / 1e3, delay));
    }
}

/// Plays what comes over a path; the first tick is `phase` after the first frame's fastest arrival.
fn play(path: &Path, seed: u64, phase: u64) -> Outcome {
    let arrivals = path.arrivals(seed);
    let fastest = arrivals.iter().map(|arrival| ((arrival.spurt, arrival.seq), arrival.fastest)).collect();
    let outcome = Outcome { sent: u64::from(path.frames) * u64::from(path.spurts), ..Outcome::default() };
    let mut listener =
        Listener { start: epoch(), buffer: JitterBuffer::new(), fastest, newest: None, over: 0, left_over: Duration::ZERO, outcome };
    let ends: Vec<(u64, u32)> = arrivals.iter().filter(|a| a.last).map(|a| (a.at + IDLE_AFTER_US, a.spurt)).collect();
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else { return listener.outcome };
    let (mut tick, until) = (first.fastest + phase, last.at + 3_000_000);
    let mut arrivals = arrivals.iter().peekable();
    let mut ends = ends.iter().peekable();
    while tick < until {
        let stopped = path.stopped.filter(|(from, to)| (from * 1_000..to * 1_000).contains(&tick));
        let wakes = stopped.map_or(tick, |(_, to)| to * 1_000);
        while let Some(arrival) = arrivals.next_if(|arrival| arrival.at <= wakes) {
            listener.insert(*arrival);
        }
        while let Some((_, number)) = ends.next_if(|(at, _)| *at <= wakes) {
            listener.buffer.ended(spurt(*number), Some(Seq(path.frames - 1)), listener.at(wakes));
        }
        if tick + BEHIND_MAX_US >= wakes {
            listener.tick(tick);
        }
        tick += u64::try_from(FRAME.as_micros()).expect("a frame is short");
    }
    let stats = listener.buffer.stats();
    let mut outcome = listener.outcome;
    outcome.arrived = u64::try_from(listener.fastest.len()).expect("few");
    (outcome.late, outcome.repaired, outcome.concealed) = (stats.late, stats.repaired, stats.concealed);
    (outcome.played, outcome.dropped) = (stats.played, stats.dropped);
    outcome
}

fn paths() -> Vec<Path> {
    let calm = Path::calm;
    vec![
        calm("nothing happens"),
        Path { again: Some(30), ..calm("every frame twice") },
        Path { loss: Loss::Independent(1.0), ..calm("loss 1 %") },
        Path { loss: Loss::Independent(5.0), ..calm("loss 5 %") },
        Path { loss: Loss::Independent(10.0), ..calm("loss 10 %") },
        Path { loss: Loss::Independent(30.0), ..calm("loss 30 %") },
        Path { loss: Loss::Bursts(10.0), ..calm("loss 10 % in bursts of 3") },
        Path { jitter: Jitter::Gauss(5.0), ..calm("gauss 5 ms") },
        Path { jitter: Jitter::Gauss(20.0), ..calm("gauss 20 ms") },
        Path { jitter: Jitter::Gauss(50.0), ..calm("gauss 50 ms") },
        Path { jitter: Jitter::Gauss(20.0), in_order: false, ..calm("gauss 20 ms, order lost") },
        Path { jitter: Jitter::Uniform(100.0), in_order: false, ..calm("uniform 100 ms, order lost") },
        Path { jitter: Jitter::HeavyTail(5.0), ..calm("heavy tail 5 ms") },
        Path { jitter: Jitter::HeavyTail(5.0), in_order: false, ..calm("heavy tail 5 ms, order lost") },
        Path { jitter: Jitter::Gauss(10.0), loss: Loss::Independent(5.0), ..calm("gauss 10 ms, loss 5 %") },
        Path { jitter: Jitter::Uniform(20.0), frames: 150, spurts: 20, ..calm("20 spurts, uniform 20 ms") },
        Path { kept: 15, ..calm("instant start, 300 ms kept") }.calm_at(600),
        Path { kept: 15, frames: 100, spurts: 20, ..calm("20 instant starts, 300 ms kept") },
        Path { jitter: Jitter::Queue { at: 20_000, depth: 400.0, drains_in: 1_000 }, ..calm("queue of 400 ms") }.calm_at(21_000),
        Path { freeze: Some((20_000, 20_300)), ..calm("network freezes for 300 ms") }.calm_at(20_300),
        Path { stopped: Some((20_000, 20_300)), ..calm("listener stops for 300 ms") }.calm_at(20_300),
        Path { stopped: Some((20_000, 22_000)), ..calm("listener stops for 2 s") }.calm_at(22_000),
        Path { loss: Loss::Gap(20_000, 20_500), ..calm("500 ms lost") }.calm_at(20_800),
        Path { loss: Loss::Gap(20_000, 23_000), ..calm("3 s lost") }.calm_at(23_300),
        Path { route: Some((20_000, 100)), ..calm("route 100 ms longer") }.calm_at(20_300),
        Path { route: Some((20_000, -100)), ..calm("route 100 ms shorter") }.calm_at(20_300),
        Path { route: Some((20_000, 1_500)), ..calm("clock jumps by 1.5 s") }.calm_at(21_800),
        Path { jitter: Jitter::Between(20_000, 30_000, 500.0), ..calm("500 ms of jitter for 10 s") }.calm_at(30_700),
        Path { jitter: Jitter::Between(20_000, 30_000, 500.0), in_order: false, ..calm("the same, order lost") }.calm_at(30_700),
        Path { drift_ppm: 200.0, frames: 30_000, ..calm("talker's clock +200 ppm, 10 min") },
        Path { drift_ppm: -200.0, frames: 30_000, ..calm("talker's clock -200 ppm, 10 min") },
        Path { drift_ppm: 200.0, frames: 150, spurts: 180, ..calm("180 spurts, +200 ppm") },
        Path { drift_ppm: -200.0, frames: 150, spurts: 180, ..calm("180 spurts, -200 ppm") },
    ]
}

#[test]
fn the_table() {
    let mut table = HEAD.to_owned();
    for path in paths() {
        let outcome = play(&path, 1, 7_000);
        table = table + "\n" + &outcome.row(&path);
        assert_eq!(outcome.played + outcome.late + outcome.dropped, outcome.arrived, "{}: every frame is counted once", path.name);
    }
    println!("{table}");
}

/// The phases of the ticks against the arrivals that are tried, in microseconds.
const PHASES: [u64; 4] = [0, 5_000, 10_000, 15_000];

#[test]
fn ten_seconds_after_any_disturbance_the_delay_is_back_at_its_floor() {
    for path in paths().iter().filter(|path| path.calm_at.is_some()) {
        for (seed, phase) in (1..5).zip(PHASES) {
            let outcome = play(path, seed, phase);
            let back = outcome.back_after(path);
            assert!(back.is_some_and(|seconds| seconds <= 10.0), "{}: {back:?} s, phase {phase}", path.name);
        }
    }
}

#[test]
fn clocks_that_differ_cost_neither_frames_nor_delay() {
    for path in paths().iter().filter(|path| path.drift_ppm != 0.0) {
        for phase in PHASES {
            let outcome = play(path, 1, phase);
            assert_eq!((outcome.concealed, outcome.played), (0, outcome.sent), "{}, phase {phase}", path.name);
            assert!(outcome.delay(100) <= FLOOR_MS, "{}: {} ms, phase {phase}", path.name, outcome.delay(100));
        }
    }
}

/// Design 9: without repeats, frames in time are those not lost, less half a point; at every phase of the ticks.
#[test]
fn over_a_hundred_thousand_frames_what_is_not_lost_is_in_time() {
    let mut table = HEAD.to_owned();
    for percent in [5.0, 10.0, 30.0] {
        let jitter = Jitter::Uniform(10.0);
        let path =
            Path { loss: Loss::Independent(percent), jitter, frames: 5_000, spurts: 20, ..Path::calm("100,000 frames, jitter 10 ms") };
        for phase in PHASES {
            let outcome = play(&path, 2, phase);
            table = table + "\n" + &outcome.row(&path);
            let in_time = outcome.percent(outcome.played);
            assert!(in_time >= 100.0 - percent - 0.5, "{in_time} % in time at {percent} % loss, phase {phase}");
        }
    }
    println!("{table}");
}
