//! Playout of one spurt: what each tick plays, when to wait, when to hurry.
//!
//! In the data path: called by [`JitterBuffer::due`](super::JitterBuffer::due) for the spurt at the front. The rules stand in
//! the [module's doc](super).

use std::time::{Duration, Instant};

use wire::Seq;

use super::burst::{Burst, Phase};
use super::{FRAME, Playout, Stats, delay};

/// Longest wait for frames missing from a tail, counted from the word that the spurt has ended.
const TAIL_WAIT: Duration = Duration::from_millis(200);
/// Ticks of concealment in a row (100 ms); after that it only drones.
const CONCEAL_TICKS: u16 = 5;
/// Frames of a spurt's beginning that are never merged: the 300 ms of an instant start.
const BACKLOG_FRAMES: u16 = 15;
/// Delay above the target before two voice frames are merged, so that the tick's phase alone never does it.
const EXCESS_MIN: Duration = Duration::from_millis(10);
/// Delay above the target that is made up at the faster pace.
const EXCESS_LARGE: Duration = Duration::from_millis(200);
/// Frames between two merges: 1.1x speed.
const MERGE_PACE: u16 = 9;
/// The same for a large excess: 1.25x speed.
const MERGE_PACE_FAST: u16 = 3;
/// A frame delayed by more is skipped; somebody has answered by then.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// What a tick came to.
#[derive(Debug)]
pub(super) enum Tick {
    /// Something to play.
    Play(Playout),
    /// Nothing was played yet and nothing is due.
    Nothing,
    /// The spurt is over; the tick is still free.
    Over,
}

/// One tick's decision over the spurt that plays.
#[derive(Debug)]
pub(super) struct Player<'a> {
    pub(super) burst: &'a mut Burst,
    pub(super) estimator: &'a delay::Estimator,
    pub(super) stats: &'a mut Stats,
    /// Frames of the next spurt are here.
    pub(super) waits_behind: bool,
}

impl Player<'_> {
    /// Decides and moves on by one tick.
    pub(super) fn tick(&mut self, now: Instant) -> Tick {
        match self.burst.phase {
            Phase::Start | Phase::Holding => self.begin(now),
            Phase::Playing => self.play(now),
        }
    }

    /// Before the first sound, or after the source's silence: holds the earliest frame until it is due.
    fn begin(&mut self, now: Instant) -> Tick {
        if self.burst.is_past_last() {
            return Tick::Over;
        }
        let starting = self.burst.phase == Phase::Start;
        let Some((seq, frame)) = self.burst.first() else {
            return match self.tail_is_over(now) {
                true => Tick::Over,
                false if starting => Tick::Nothing,
                false => Tick::Play(Playout::Silence),
            };
        };
        let hold = frame.payload.is_empty();
        if !hold && now.saturating_duration_since(frame.arrived) + FRAME < self.estimator.target() {
            return if starting { Tick::Nothing } else { Tick::Play(Playout::Silence) };
        }
        // Frame 1 carries the redundancy for frame 0; any later one is a late entry and plays from where it is.
        let from = if starting && seq == Seq(1) { Seq(0) } else { seq };
        self.burst.jump(from);
        self.burst.phase = Phase::Playing;
        self.play(now)
    }

    fn play(&mut self, now: Instant) -> Tick {
        self.catch_up(now);
        if self.burst.is_past_last() {
            return Tick::Over;
        }
        let Some((first, frame)) = self.burst.first() else { return self.underrun(now) };
        let next = frame.payload.clone();
        // What was awaited is lost if a later frame is here: the ticks waited were its place.
        let lost = first.0.saturating_sub(self.burst.cursor.0).min(self.burst.stalled);
        self.burst.jump(Seq(self.burst.cursor.0 + lost));
        self.burst.stalled = 0;
        match first.0 - self.burst.cursor.0 {
            0 => self.present(now),
            _ if self.burst.after_hold => {
                self.burst.phase = Phase::Holding;
                self.begin(now)
            }
            gap => {
                self.burst.advance();
                self.burst.missing_run = self.burst.missing_run.saturating_add(1);
                if gap == 1 && !next.is_empty() {
                    self.stats.repaired += 1;
                    return Tick::Play(Playout::Fec { next });
                }
                Tick::Play(self.conceal())
            }
        }
    }

    /// Plays the frame at the cursor, with the one after it if time is to be made up.
    fn present(&mut self, now: Instant) -> Tick {
        self.stats.delay = self.estimator.delay(self.burst.cursor, now);
        let Some(frame) = self.burst.advance() else { return self.underrun(now) };
        self.burst.missing_run = 0;
        self.burst.after_hold = frame.payload.is_empty();
        if self.burst.after_hold {
            return Tick::Play(Playout::Silence);
        }
        self.count_played(frame.arrived, now);
        if self.must_merge()
            && let Some(second) = self.burst.advance()
        {
            self.count_played(second.arrived, now);
            self.burst.since_merge = 0;
            self.stats.merged += 1;
            return Tick::Play(Playout::Merge { first: frame.payload, second: second.payload });
        }
        Tick::Play(Playout::Frame(frame.payload))
    }

    fn must_merge(&self) -> bool {
        let excess = self.stats.delay.saturating_sub(self.estimator.target());
        let pace = if excess > EXCESS_LARGE { MERGE_PACE_FAST } else { MERGE_PACE };
        excess > EXCESS_MIN
            && self.burst.played > BACKLOG_FRAMES
            && self.burst.since_merge > pace
            && self.burst.head().is_some_and(|next| !next.payload.is_empty())
    }

    fn count_played(&mut self, arrived: Instant, now: Instant) {
        self.stats.played += 1;
        self.stats.delays.add(now.saturating_duration_since(arrived));
        self.burst.played = self.burst.played.saturating_add(1);
        self.burst.since_merge = self.burst.since_merge.saturating_add(1);
    }

    /// Skips what may be skipped without a gap: the source's silence above the target, anything above [`DELAY_MAX`].
    fn catch_up(&mut self, now: Instant) {
        while let Some((first, frame)) = self.burst.first() {
            let delay = self.estimator.delay(self.burst.cursor, now);
            let hold = first == self.burst.cursor && frame.payload.is_empty();
            if hold && delay > self.estimator.target() {
                self.burst.advance();
                self.burst.after_hold = true;
            } else if delay > DELAY_MAX {
                self.skip(first, delay);
            } else {
                break;
            }
        }
    }

    /// Skips the frame at the cursor, or as many empty places before the first frame as bring the delay below [`DELAY_MAX`].
    fn skip(&mut self, first: Seq, delay: Duration) {
        if first == self.burst.cursor {
            self.burst.advance();
            self.stats.dropped += 1;
        } else {
            let places = (delay - DELAY_MAX).as_micros() / FRAME.as_micros() + 1;
            let to = self.burst.cursor.0.saturating_add(u16::try_from(places).unwrap_or(u16::MAX));
            self.burst.jump(Seq(to).min(first));
        }
        self.burst.stalled = 0;
        self.burst.after_hold = false;
    }

    /// Nothing is here: bridges the gap without giving the place up, for the frame may only be late.
    fn underrun(&mut self, now: Instant) -> Tick {
        if self.tail_is_over(now) {
            return Tick::Over;
        }
        if self.burst.after_hold {
            self.burst.phase = Phase::Holding;
            return Tick::Play(Playout::Silence);
        }
        self.burst.stalled = self.burst.stalled.saturating_add(1);
        self.burst.missing_run = self.burst.missing_run.saturating_add(1);
        Tick::Play(self.conceal())
    }

    fn conceal(&mut self) -> Playout {
        if self.burst.missing_run > CONCEAL_TICKS {
            return Playout::Silence;
        }
        self.stats.concealed += 1;
        Playout::Conceal
    }

    /// With nothing left to play: whether nothing more is awaited.
    fn tail_is_over(&self, now: Instant) -> bool {
        let Some(ended) = self.burst.ended else { return false };
        // An unknown last frame is not worth holding the next spurt for: the arbiter let the tail pass before granting that.
        let hurry = self.waits_behind && self.burst.last.is_none();
        hurry || now.saturating_duration_since(ended) >= TAIL_WAIT
    }
}
