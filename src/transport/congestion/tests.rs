//! Traces of paths, second by second: what the window makes of them.

use std::time::{Duration, Instant};

use super::window::{LOSSY_SECONDS, OUTAGE, QUEUE, SHORT_QUEUE, TALKER, Window};

const PACKET: u64 = 1_200;
/// 512 kbit/s.
const RATE: u64 = 64_000;
const SIZE: u64 = 150;
const PER_SECOND: u32 = 400;
const ROUND_TRIP: Duration = Duration::from_millis(40);

/// A path at its work.
struct Path {
    window: Window,
    now: Instant,
}

impl Path {
    fn new() -> Self {
        let now = Instant::now();
        Self { window: Window::new(1_200, now), now }
    }

    /// Packets for a second; each is answered after the round trip that its number gives, or lost.
    fn packets(&mut self, count: u32, fate: impl Fn(u32) -> Option<Duration>) {
        for number in 0..count {
            self.packet(Duration::from_secs(1) / count, fate(number));
        }
    }

    fn packet(&mut self, after: Duration, fate: Option<Duration>) {
        self.now += after;
        match fate {
            Some(round_trip) => self.window.acked(self.now, self.now - round_trip, SIZE, RATE),
            None => self.window.lost(self.now, SIZE, RATE),
        }
        self.window.in_flight(RATE / 10);
    }

    /// Seconds of even traffic of which so many packets in a hundred are lost.
    fn seconds(&mut self, seconds: u32, round_trip: Duration, lost_percent: u32) {
        for _ in 0..seconds {
            self.packets(PER_SECOND, |number| (number * 37 % 100 >= lost_percent).then_some(round_trip));
        }
    }

    /// The same until the last second is judged.
    fn judged(&mut self, seconds: u32, round_trip: Duration, lost_percent: u32) {
        self.seconds(seconds, round_trip, lost_percent);
        self.packet(Duration::from_millis(1), Some(round_trip));
    }

    fn bytes(&self) -> u64 {
        self.window.bytes(RATE)
    }

    /// Bytes per second that the window lets through at this round trip, a full packet always being kept free.
    fn rate(&self, round_trip: Duration) -> u64 {
        (self.bytes() - PACKET) * 1_000 / u64::try_from(round_trip.as_millis()).unwrap()
    }
}

fn full() -> u64 {
    RATE * u64::try_from((ROUND_TRIP + OUTAGE).as_millis()).unwrap() / 1_000 + 2 * PACKET
}

#[test]
fn a_path_that_carries_its_rate_has_what_the_rate_brings_and_no_more() {
    let mut path = Path::new();
    path.seconds(5, ROUND_TRIP, 0);
    assert_eq!(path.bytes(), full());
    assert_eq!(path.window.bytes(RATE / 4), (full() - 2 * PACKET) / 4 + 2 * PACKET, "another rate counts at once");
}

#[test]
fn random_loss_costs_nothing() {
    for lost_percent in [1, 10, 30] {
        let mut path = Path::new();
        path.seconds(60, ROUND_TRIP, lost_percent);
        assert_eq!(path.bytes(), full(), "at {lost_percent} %");
    }
}

#[test]
fn loss_of_more_than_a_third_gives_way_after_five_seconds_and_is_over_when_it_ends() {
    let mut path = Path::new();
    path.judged(LOSSY_SECONDS - 1, ROUND_TRIP, 40);
    path.judged(1, ROUND_TRIP, 0);
    assert!(!path.window.yields(), "four seconds are a bad stretch");
    path.judged(LOSSY_SECONDS, ROUND_TRIP, 40);
    assert!(path.window.yields());
    assert!(path.bytes() < RATE / 10, "{} bytes", path.bytes());
    path.judged(4, ROUND_TRIP, 40);
    assert!(path.rate(ROUND_TRIP) >= 2 * TALKER, "the least carries a talker");
    path.judged(12, ROUND_TRIP, 10);
    assert_eq!(path.bytes(), full());
}

#[test]
fn a_standing_queue_gives_way_step_by_step_but_never_below_one_talker() {
    let mut path = Path::new();
    path.judged(3, ROUND_TRIP, 0);
    let queued = ROUND_TRIP + QUEUE;
    path.judged(2, queued, 0);
    let first = path.bytes();
    assert!(first < RATE / 10, "{first} bytes after the first second");
    path.judged(20, queued, 0);
    assert!(path.bytes() <= first);
    // An eighth of the rate goes on, whatever the queue has made of the round trip.
    for queued in [queued, ROUND_TRIP + 4 * QUEUE, ROUND_TRIP + 8 * QUEUE] {
        path.judged(3, queued, 0);
        assert!((RATE / 8..RATE / 2).contains(&path.rate(queued)), "{} bytes/s at {queued:?}", path.rate(queued));
    }
    path.judged(12, ROUND_TRIP, 0);
    assert_eq!(path.bytes(), full());
}

#[test]
fn a_short_queue_that_overflows_is_congestion_too() {
    let mut path = Path::new();
    path.judged(3, ROUND_TRIP, 0);
    path.judged(3, ROUND_TRIP + SHORT_QUEUE, 10);
    assert!(!path.window.yields(), "a tenth is lost on bad radio");
    path.judged(2, ROUND_TRIP + SHORT_QUEUE, 20);
    assert!(path.window.yields());
}

#[test]
fn a_slow_link_keeps_a_talker_where_an_eighth_would_not() {
    // A unit has 128 kbit/s, an eighth of which is a quarter of a talker.
    let now = Instant::now();
    let mut unit = Window::new(1_200, now);
    for step in 0..12_u32 * 50 {
        let (at, queue) = (now + Duration::from_millis(20) * step, if step < 150 { Duration::ZERO } else { QUEUE });
        unit.acked(at + ROUND_TRIP + queue, at, SIZE, RATE / 4);
        unit.in_flight(2_000);
    }
    let allowed = (unit.bytes(RATE / 4) - PACKET) * 1_000 / u64::try_from((ROUND_TRIP + QUEUE).as_millis()).unwrap();
    assert!(unit.yields() && allowed >= TALKER, "{allowed} bytes/s");
}

#[test]
fn jitter_is_no_queue_and_a_sleepy_radio_neither() {
    let mut path = Path::new();
    for _ in 0..60 {
        path.packets(PER_SECOND, |number| Some(ROUND_TRIP + Duration::from_millis((u64::from(number) * 77) % 200)));
    }
    assert_eq!(path.bytes(), full());
    for _ in 0..10 {
        path.packets(4, |_| Some(ROUND_TRIP * 10));
    }
    assert_eq!(path.bytes(), full(), "four answers in a second tell nothing");
}

#[test]
fn packets_given_up_because_others_overtook_them_are_not_lost() {
    let mut path = Path::new();
    for _ in 0..10 {
        path.packets(PER_SECOND, |number| (number % 5 < 3).then_some(ROUND_TRIP + Duration::from_millis(u64::from(number % 2) * 20)));
    }
    assert_eq!(path.bytes(), full());
}

#[test]
fn an_outage_takes_nothing_away() {
    let mut path = Path::new();
    path.seconds(3, ROUND_TRIP, 0);
    path.now += Duration::from_secs(2);
    path.packets(PER_SECOND, |_| None);
    path.seconds(3, ROUND_TRIP, 0);
    assert_eq!(path.bytes(), full());
}

#[test]
fn a_path_that_has_become_longer_is_believed_in_a_minute() {
    let mut path = Path::new();
    path.seconds(40, ROUND_TRIP, 0);
    path.judged(10, ROUND_TRIP * 10, 0);
    assert!(path.window.yields());
    path.judged(60, ROUND_TRIP * 10, 0);
    assert!(!path.window.yields());
    assert!(path.bytes() > full());
}
