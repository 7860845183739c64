//! Liveness of a session by heartbeats with echo: notices a link that is cut, in either direction, on both sides.
//!
//! In the data path: beside it; heartbeats are datagrams of their own. Each beat carries the newest number heard from the
//! other side. A side whose beats are no longer echoed has lost the link, whether its beats or the echoes got lost, so a one-way
//! cut is noticed by both within the limit. Whoever notices closes the connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::datagram::Heartbeat;

/// Time between beats of a border link.
pub const PEER_INTERVAL: Duration = Duration::from_millis(100);
/// Age of the newest echoed beat at which a border link is lost: below the 2 s promised.
pub const PEER_LIMIT: Duration = Duration::from_millis(1_700);
/// Age of the newest echoed beat from which a border link beats faster; a satellite's round trip stays below it.
pub const PEER_PATIENCE: Duration = Duration::from_millis(800);
/// Time between beats from then on. At 30 % loss the 16 tries of the plain interval are all lost once in some 5,000 times ten minutes;
/// with twice as many in the second half, once in some thousand years.
pub const PEER_HURRY: Duration = Duration::from_millis(50);
/// Time between beats of a unit's session.
pub const UNIT_INTERVAL: Duration = Duration::from_secs(1);
/// Time between beats of a unit's session while the one before has found no echo: some twenty tries before it counts as lost.
pub const UNIT_HURRY: Duration = Duration::from_millis(200);
/// Age of the newest echoed beat at which a unit's session is lost.
pub const UNIT_LIMIT: Duration = Duration::from_secs(5);

/// Most beats remembered; an echo of an older one says nothing new at any sensible ratio of limit and interval.
const SENT_MAX: usize = 256;

/// One side's view of a session's liveness.
///
/// The driver calls [`poll`](Self::poll) and [`is_lost`](Self::is_lost) at [`poll_timeout`](Self::poll_timeout) and drops the
/// machine when the link is lost.
#[derive(Clone, Debug)]
pub struct Liveness {
    interval: Duration,
    /// The interval while the beat before has found no echo, and the newest echoed one is as old as the patience.
    hurry: Duration,
    patience: Duration,
    limit: Duration,
    next_beat: Instant,
    next_seq: u32,
    /// Newest number heard; 0: none.
    heard: u32,
    /// Beats sent after the newest echoed one, oldest first; at most [`SENT_MAX`], the oldest is forgotten.
    sent: VecDeque<(u32, Instant)>,
    /// When the newest echoed beat was sent; at first when the session began.
    echoed_sent_at: Instant,
    rtt: Option<Duration>,
}

impl Liveness {
    /// A session that begins now; its first beat is due at once.
    pub fn new(interval: Duration, limit: Duration, now: Instant) -> Self {
        Self {
            interval,
            hurry: interval,
            patience: Duration::ZERO,
            limit,
            next_beat: now,
            next_seq: 1,
            heard: 0,
            sent: VecDeque::new(),
            echoed_sent_at: now,
            rtt: None,
        }
    }

    /// Beats sparsely while all is well, and at this interval while the beat before has found no echo and the newest echoed
    /// one is at least so old.
    #[must_use]
    pub fn hurrying(self, hurry: Duration, patience: Duration) -> Self {
        Self { hurry, patience, ..self }
    }

    /// Liveness of a border link.
    pub fn of_border(now: Instant) -> Self {
        Self::new(PEER_INTERVAL, PEER_LIMIT, now).hurrying(PEER_HURRY, PEER_PATIENCE)
    }

    /// A beat came. Old and repeated ones do no harm; an echo of a beat never sent is ignored (the other side's fault).
    pub fn handle_heartbeat(&mut self, beat: Heartbeat, now: Instant) {
        self.heard = self.heard.max(beat.seq);
        let Some(index) = self.sent.iter().position(|(seq, _)| *seq == beat.echo) else { return };
        let Some((_, sent_at)) = self.sent.drain(..=index).next_back() else { return };
        self.echoed_sent_at = sent_at;
        let sample = now.saturating_duration_since(sent_at);
        self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
    }

    /// The beat to send, if one is due. After a pause of the process one beat goes, not all that were missed.
    pub fn poll(&mut self, now: Instant) -> Option<Heartbeat> {
        if now < self.next_beat {
            return None;
        }
        let waits = !self.sent.is_empty() && now.saturating_duration_since(self.echoed_sent_at) >= self.patience;
        let interval = if waits { self.hurry } else { self.interval };
        let next = self.next_beat + interval;
        self.next_beat = if next > now { next } else { now + interval };
        let beat = Heartbeat { seq: self.next_seq, echo: self.heard };
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((beat.seq, now));
        // 4 billion beats are 13 years of one session; after that every beat looks like the last one.
        self.next_seq = self.next_seq.saturating_add(1);
        Some(beat)
    }

    /// The next beat is due now.
    pub fn beat_now(&mut self, now: Instant) {
        self.next_beat = self.next_beat.min(now);
    }

    /// When the next beat is due or the link is lost, whichever comes first.
    pub fn poll_timeout(&self) -> Instant {
        self.next_beat.min(self.lost_at())
    }

    /// Whether the newest echoed beat was sent longer ago than the limit.
    pub fn is_lost(&self, now: Instant) -> bool {
        now >= self.lost_at()
    }

    /// Smoothed time from a beat to its echo; includes up to one interval that the other side waits before its next beat.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    fn lost_at(&self) -> Instant {
        self.echoed_sent_at + self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
    fn epoch() -> Instant {
        Instant::now()
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Two sides over a path of 20 ms; `passes(direction, at)` decides over each beat. Gives the first loss seen by each, in ms.
    fn run(length_ms: u64, side: impl Fn(Instant) -> Liveness, mut passes: impl FnMut(usize, u64) -> bool) -> [Option<u64>; 2] {
        let start = epoch();
        let mut sides = [(); 2].map(|()| side(start));
        let mut flying: VecDeque<(u64, usize, Heartbeat)> = VecDeque::new();
        let mut lost = [None; 2];
        for at in 0..length_ms {
            let now = start + ms(at);
            while flying.front().is_some_and(|(due, ..)| *due <= at) {
                let (_, to, beat) = flying.pop_front().unwrap();
                sides[to].handle_heartbeat(beat, now);
            }
            for from in 0..2 {
                if let Some(beat) = sides[from].poll(now)
                    && passes(from, at)
                {
                    flying.push_back((at + 20, 1 - from, beat));
                }
                if sides[from].is_lost(now) {
                    lost[from].get_or_insert(at);
                }
            }
        }
        lost
    }

    #[test]
    fn a_cut_in_either_direction_is_noticed_by_both_sides() {
        for cut in [0, 1] {
            let lost = run(20_000, Liveness::of_border, |from, at| at < 10_000 || from != cut);
            for (side, at) in lost.into_iter().enumerate() {
                let at = at.unwrap_or_else(|| panic!("side {side} did not notice the cut of direction {cut}"));
                assert!((11_500..=11_800).contains(&at), "side {side} noticed at {at}");
            }
        }
    }

    #[test]
    fn thirty_percent_loss_gives_no_false_alarm_in_ten_minutes() {
        for seed in 1..=20 {
            let mut state: u64 = seed;
            let passes = |_, _| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % 10 >= 3
            };
            assert_eq!(run(600_000, Liveness::of_border, passes), [None, None], "seed {seed}");
        }
    }

    #[test]
    fn as_many_beats_lost_in_a_row_as_the_limit_has_intervals_are_no_lost_link() {
        // Eight of one side and, from then on, nine of the other: no beat that both heard of is echoed for 1.7 s at the plain interval.
        let unlucky = || {
            let mut lost = [0, 0];
            move |from: usize, at: u64| {
                let now = at >= 10_000 && lost[from] < [8, 9][from] && (from == 0 || lost[0] == 8);
                lost[from] += u32::from(now);
                !now
            }
        };
        let plain = run(20_000, |now| Liveness::new(PEER_INTERVAL, PEER_LIMIT, now), unlucky());
        assert!(plain.iter().any(Option::is_some), "{plain:?}");
        assert_eq!(run(20_000, Liveness::of_border, unlucky()), [None, None]);
    }

    #[test]
    fn a_border_as_long_as_by_satellite_beats_at_the_plain_interval() {
        let start = epoch();
        let mut side = Liveness::of_border(start);
        let mut beats = 0;
        for at in 0..10_000 {
            let now = start + ms(at);
            // Each beat comes back 700 ms later.
            if at >= 700
                && let Some(seq) = u32::try_from((at - 700) / 100 + 1).ok().filter(|_| at % 100 == 0)
            {
                side.handle_heartbeat(Heartbeat { seq, echo: seq }, now);
            }
            beats += u32::from(side.poll(now).is_some());
        }
        assert_eq!(beats, 100);
    }

    #[test]
    fn a_side_that_hears_nothing_from_the_start_is_lost_after_the_limit() {
        assert_eq!(run(6_000, |now| Liveness::new(UNIT_INTERVAL, UNIT_LIMIT, now), |_, _| false), [Some(5_000); 2]);
    }

    #[test]
    fn an_echo_of_a_beat_never_sent_or_already_echoed_proves_nothing() {
        let start = epoch();
        let mut side = Liveness::new(PEER_INTERVAL, PEER_LIMIT, start);
        assert_eq!(side.poll(start), Some(Heartbeat { seq: 1, echo: 0 }));
        side.handle_heartbeat(Heartbeat { seq: 1, echo: 1 }, start + ms(50));
        for at in (100..1_700).step_by(100) {
            side.handle_heartbeat(Heartbeat { seq: 2, echo: u32::MAX }, start + ms(at));
            side.handle_heartbeat(Heartbeat { seq: 3, echo: 1 }, start + ms(at));
        }
        assert_eq!(side.rtt(), Some(ms(50)));
        assert!(side.is_lost(start + ms(1_700)));
        assert_eq!(side.poll(start + ms(1_700)), Some(Heartbeat { seq: 2, echo: 3 }));
    }

    #[test]
    fn a_frozen_process_sends_one_beat_not_all_it_missed() {
        let start = epoch();
        let mut side = Liveness::new(PEER_INTERVAL, PEER_LIMIT, start);
        assert!(side.poll(start).is_some());
        let now = start + ms(5_000);
        assert!(side.is_lost(now));
        let beats = std::iter::from_fn(|| side.poll(now)).take(10).count();
        assert_eq!(beats, 1);
    }
}
