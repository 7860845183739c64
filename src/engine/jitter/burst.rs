//! The frames of one spurt as they wait for playout.
//!
//! In the data path: one per spurt inside the [`JitterBuffer`](super::JitterBuffer). It knows which frames are there, played
//! or missing; when to play what is the buffer's decision.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::{Seq, Spurt};

use super::{Came, Inserted};

/// Frames of one spurt that wait at most: 1.28 s.
pub(super) const FRAMES_MAX: usize = 64;

/// A frame that waits.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The Opus packet; empty for a hold beat.
    pub(super) payload: Bytes,
    pub(super) arrived: Instant,
    pub(super) came: Came,
}

/// What playout does in this spurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was played yet.
    Start,
    /// One frame's place after the other.
    Playing,
    /// The source is silent (hold beats); the next sound is held anew.
    Holding,
}

/// How fast a spurt is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// As it was spoken.
    Even,
    /// The delay is above its target.
    Faster,
    /// The delay is below its target.
    Slower,
}

/// One spurt.
#[derive(Debug)]
pub(super) struct Burst {
    pub(super) spurt: Spurt,
    pub(super) frames: BTreeMap<u16, Frame>,
    /// Next frame to play, once it plays.
    pub(super) cursor: Seq,
    pub(super) phase: Phase,
    /// Number of the last frame, when known.
    pub(super) last: Option<Seq>,
    /// When it was told that no more frames come.
    pub(super) ended: Option<Instant>,
    /// Ticks for which the frame at the cursor was awaited; they stand for frames if it turns out lost.
    pub(super) stalled: u16,
    /// Ticks in a row without a frame.
    pub(super) missing_run: u16,
    /// Frames played since the start, saturating.
    pub(super) played: u16,
    /// Sound that was handed over and is still to be played: less than a frame.
    pub(super) left_over: Duration,
    pub(super) pace: Pace,
    /// The frame played last was a hold beat.
    pub(super) after_hold: bool,
    /// Bit i: frame `cursor - 1 - i` had arrived.
    had: u64,
}

impl Burst {
    /// A spurt of which nothing has come yet.
    pub(super) fn new(spurt: Spurt) -> Self {
        Self {
            spurt,
            frames: BTreeMap::new(),
            cursor: Seq(0),
            phase: Phase::Start,
            last: None,
            ended: None,
            stalled: 0,
            missing_run: 0,
            played: 0,
            left_over: Duration::ZERO,
            pace: Pace::Even,
            after_hold: false,
            had: 0,
        }
    }

    /// Takes a frame in, if it is new and its turn has not passed.
    pub(super) fn insert(&mut self, seq: Seq, payload: Bytes, came: Came, now: Instant) -> Inserted {
        if self.phase != Phase::Start && seq < self.cursor {
            let back = self.cursor.0 - 1 - seq.0;
            return if back < 64 && self.had >> back & 1 == 1 { Inserted::Duplicate } else { Inserted::Late };
        }
        // The largest number has none after it, so the cursor could not pass it; no talk limit reaches it.
        if self.last.is_some_and(|last| seq > last) || seq.0 == u16::MAX {
            return Inserted::Late;
        }
        if let Some(here) = self.frames.get_mut(&seq.0) {
            if came == Came::Itself {
                here.came = came;
            }
            return Inserted::Duplicate;
        }
        self.frames.insert(seq.0, Frame { payload, arrived: now, came });
        if self.frames.len() > FRAMES_MAX {
            self.frames.pop_first();
            return Inserted::Full;
        }
        Inserted::New
    }

    /// The earliest frame that waits.
    pub(super) fn first(&self) -> Option<(Seq, &Frame)> {
        self.frames.first_key_value().map(|(seq, frame)| (Seq(*seq), frame))
    }

    /// How many places the newest frame here is ahead of the cursor, its own included.
    pub(super) fn ahead(&self) -> u16 {
        self.frames.last_key_value().map_or(0, |(newest, _)| (newest + 1).saturating_sub(self.cursor.0))
    }

    /// Whether so many frames of voice follow from the cursor on, none missing.
    pub(super) fn has_voice(&self, count: u16) -> bool {
        (0..count).all(|place| self.frames.get(&self.cursor.0.saturating_add(place)).is_some_and(|frame| !frame.payload.is_empty()))
    }

    /// Moves the cursor past one place and gives the frame that was there.
    pub(super) fn advance(&mut self) -> Option<Frame> {
        let frame = self.frames.remove(&self.cursor.0);
        self.had = self.had << 1 | u64::from(frame.is_some());
        self.cursor = self.cursor.next();
        frame
    }

    /// Moves the cursor to a later place over places where nothing waits.
    pub(super) fn jump(&mut self, to: Seq) {
        let places = u32::from(to.0.saturating_sub(self.cursor.0));
        self.had = self.had.checked_shl(places).unwrap_or(0);
        self.cursor = to.max(self.cursor);
    }

    /// Whether the last frame's place has passed.
    pub(super) fn is_past_last(&self) -> bool {
        self.phase != Phase::Start && self.last.is_some_and(|last| self.cursor > last)
    }
}
