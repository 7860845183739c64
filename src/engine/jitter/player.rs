//! Playout of one spurt: what each tick plays, when to wait, when to hurry.
//!
//! In the data path: called by [`JitterBuffer::due`](super::JitterBuffer::due) for the spurt at the front. The rules stand in
//! the [module's doc](super).

use std::time::{Duration, Instant};

use wire::Seq;

use super::burst::{Burst, Frame, Pace, Phase};
use super::{Came, FRAME, Playout, SLACK, Stats, delay};

/// Longest wait for frames missing from a tail, counted from the word that the spurt has ended.
const TAIL_WAIT: Duration = Duration::from_millis(200);
/// Ticks of concealment in a row (100 ms); after that it only drones.
const CONCEAL_TICKS: u16 = 5;
/// Frames of a spurt's beginning that are played as they were spoken: its first syllable.
const FIRST_FRAMES: u16 = 5;
/// Above the target by more, the delay is steered back to it. A frame less is inside the slack below, with room for the target
/// to move by a step.
const EXCESS: Duration = Duration::from_millis(14);
/// Above the target by more, it is steered at the fast pace.
const FAR: Duration = Duration::from_millis(60);
/// Sound per tick to make up for delay: 1.1x speed.
const ADVANCE_FASTER: Duration = Duration::from_millis(22);
/// The same when far above the target: 1.2x.
const ADVANCE_FAST: Duration = Duration::from_millis(24);
/// Sound per tick to gain delay: 0.9x.
const ADVANCE_SLOWER: Duration = Duration::from_millis(18);
/// Sound that waits for longer is skipped; somebody has answered by then.
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
            return self.over();
        }
        let starting = self.burst.phase == Phase::Start;
        let Some((seq, frame)) = self.burst.first() else {
            return match self.tail_is_over(now) {
                true => self.over(),
                false if starting => Tick::Nothing,
                false => self.silence(),
            };
        };
        let hold = frame.payload.is_empty();
        if !hold && now.saturating_duration_since(frame.arrived) + SLACK < self.estimator.target() {
            return if starting { Tick::Nothing } else { self.silence() };
        }
        // Frame 1 carries the redundancy for frame 0; any later one is a late entry and plays from where it is.
        let from = if starting && seq == Seq(1) { Seq(0) } else { seq };
        self.burst.jump(from);
        self.burst.phase = Phase::Playing;
        self.play(now)
    }

    fn play(&mut self, now: Instant) -> Tick {
        self.settle_stall();
        self.catch_up(now);
        if self.burst.is_past_last() {
            return self.over();
        }
        self.steer(now);
        let Some((first, frame)) = self.burst.first() else { return self.underrun(now) };
        let next = frame.payload.clone();
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
                    // The decoder invents the frame if nothing is there to repair it from.
                    let is_repaired = wire::opus::carries_fec(&next);
                    self.stats.repaired += u64::from(is_repaired);
                    self.stats.concealed += u64::from(!is_repaired);
                    return Tick::Play(Playout::Fec { next });
                }
                self.conceal()
            }
        }
    }

    /// What was awaited is lost if a later frame is here: the ticks waited were its place.
    fn settle_stall(&mut self) {
        let Some((first, _)) = self.burst.first() else { return };
        let lost = first.0.saturating_sub(self.burst.cursor.0).min(self.burst.stalled);
        self.burst.jump(Seq(self.burst.cursor.0 + lost));
        self.burst.stalled = 0;
    }

    /// Plays the frame at the cursor: as it was spoken, or stretched.
    fn present(&mut self, now: Instant) -> Tick {
        self.stats.delay = self.delay(now);
        self.burst.missing_run = 0;
        if let Some(stretched) = self.stretch(now) {
            return Tick::Play(stretched);
        }
        let Some(frame) = self.burst.advance() else { return self.underrun(now) };
        self.burst.after_hold = frame.payload.is_empty();
        if self.burst.after_hold {
            return self.silence();
        }
        self.count_played(&frame, now);
        Tick::Play(Playout::Frame(frame.payload))
    }

    /// Goes on faster or slower, if what that takes is here; a gap is played as it comes.
    fn stretch(&mut self, now: Instant) -> Option<Playout> {
        let advance = match self.burst.pace {
            Pace::Even => return None,
            Pace::Slower => ADVANCE_SLOWER,
            Pace::Faster if self.excess(now) > FAR => ADVANCE_FAST,
            Pace::Faster => ADVANCE_FASTER,
        };
        let missing = advance.saturating_sub(self.burst.left_over);
        let count = u16::try_from(missing.as_millis().div_ceil(FRAME.as_millis())).unwrap_or(u16::MAX);
        if !self.burst.has_voice(count) {
            return None;
        }
        let mut frames = Vec::new();
        for _ in 0..count {
            let frame = self.burst.advance()?;
            self.count_played(&frame, now);
            frames.push(frame.payload);
        }
        self.burst.left_over = self.burst.left_over + FRAME * u32::from(count) - advance;
        self.burst.after_hold = false;
        self.stats.stretched += 1;
        Some(Playout::Stretch { frames, advance })
    }

    /// Chooses the pace. A change is held until nothing is left over: what is made up or gained are whole frames.
    fn steer(&mut self, now: Instant) {
        let is_behind = self.delay(now) + SLACK < self.estimator.target();
        let is_first = self.burst.played < FIRST_FRAMES;
        self.burst.pace = match self.burst.pace {
            _ if self.excess(now) > EXCESS && !is_first => Pace::Faster,
            // Where nothing more comes, nothing is gained by waiting for it.
            _ if is_behind && self.burst.ended.is_none() => Pace::Slower,
            pace if !self.burst.left_over.is_zero() => pace,
            Pace::Even | Pace::Slower | Pace::Faster => Pace::Even,
        };
    }

    /// How much later than over the fastest path the sound of this tick is played.
    fn delay(&self, now: Instant) -> Duration {
        self.estimator.delay(self.burst.cursor, now) + self.burst.left_over
    }

    /// How much of that delay is above the target **and** waits here: on a path that has become longer, the rest is not ours.
    fn excess(&self, now: Instant) -> Duration {
        self.waiting(now).saturating_sub(self.estimator.target())
    }

    fn waiting(&self, now: Instant) -> Duration {
        self.delay(now).min(FRAME * u32::from(self.burst.ahead()) + self.burst.left_over)
    }

    fn count_played(&mut self, frame: &Frame, now: Instant) {
        self.stats.played += 1;
        self.stats.repaired += u64::from(frame.came == Came::Repeated);
        self.stats.delays.add(now.saturating_duration_since(frame.arrived));
        self.burst.played = self.burst.played.saturating_add(1);
    }

    /// Skips what may be skipped without a gap: the source's silence above the target, anything above [`DELAY_MAX`].
    fn catch_up(&mut self, now: Instant) {
        while let Some((first, frame)) = self.burst.first() {
            let hold = first == self.burst.cursor && frame.payload.is_empty();
            let waiting = self.waiting(now);
            if hold && self.delay(now) > self.estimator.target() {
                self.burst.advance();
                self.burst.after_hold = true;
            } else if waiting > DELAY_MAX {
                self.skip(first, waiting);
            } else {
                break;
            }
        }
    }

    /// Skips the frame at the cursor, or as many empty places before the first frame as bring what waits below [`DELAY_MAX`].
    fn skip(&mut self, first: Seq, waiting: Duration) {
        if first == self.burst.cursor {
            self.burst.advance();
            self.stats.dropped += 1;
        } else {
            let places = (waiting - DELAY_MAX).as_micros() / FRAME.as_micros() + 1;
            let to = self.burst.cursor.0.saturating_add(u16::try_from(places).unwrap_or(u16::MAX));
            self.burst.jump(Seq(to).min(first));
        }
        self.burst.after_hold = false;
    }

    /// Nothing is here: bridges the gap without giving the place up, for the frame may only be late.
    fn underrun(&mut self, now: Instant) -> Tick {
        if self.tail_is_over(now) {
            return self.over();
        }
        if self.burst.after_hold {
            self.burst.phase = Phase::Holding;
            return self.silence();
        }
        // Often the frame is a moment away: what is left over fills the tick, if it is enough to be drawn out.
        if self.burst.left_over >= FRAME / 2 {
            let advance = std::mem::take(&mut self.burst.left_over);
            self.stats.stretched += 1;
            return Tick::Play(Playout::Stretch { frames: Vec::new(), advance });
        }
        self.burst.stalled = self.burst.stalled.saturating_add(1);
        self.burst.missing_run = self.burst.missing_run.saturating_add(1);
        self.conceal()
    }

    fn conceal(&mut self) -> Tick {
        if self.burst.missing_run > CONCEAL_TICKS {
            return self.silence();
        }
        self.stats.concealed += 1;
        Tick::Play(Playout::Conceal)
    }

    /// Silence, behind what is left over.
    fn silence(&mut self) -> Tick {
        self.burst.left_over = Duration::ZERO;
        Tick::Play(Playout::Silence)
    }

    /// The end, once nothing is left over.
    fn over(&mut self) -> Tick {
        if self.burst.left_over.is_zero() { Tick::Over } else { self.silence() }
    }

    /// With nothing left to play: whether nothing more is awaited.
    fn tail_is_over(&self, now: Instant) -> bool {
        let Some(ended) = self.burst.ended else { return false };
        // An unknown last frame is not worth holding the next spurt for: the arbiter let the tail pass before granting that.
        let hurry = self.waits_behind && self.burst.last.is_none();
        hurry || now.saturating_duration_since(ended) >= TAIL_WAIT
    }
}
