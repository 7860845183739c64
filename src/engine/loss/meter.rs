//! The receiver of a hop counts what is lost on it.
//!
//! By the numbers of each spurt: a frame that is missing when eight later ones have passed its place is lost. One that came only as
//! a repeat is lost as well, for the sender is to learn of the path and not of its cure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::datagram::{Report, Voice};
use wire::{Handle, Spurt};

/// Least time between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Fewer frames are not worth a report.
const FRAMES_MIN: u32 = 10;
/// So many frames after its place a missing one counts as lost.
const SETTLE: u16 = 8;
/// A step over more frames is a cut or a talker's jump, not loss: counted anew from there.
const STEP_MAX: u16 = 64;
/// Spurts told apart at once; one more is counted in place of the oldest.
const SPURTS_MAX: usize = 16;

/// Counts the losses of one session, in the direction of whoever owns it.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    spurts: VecDeque<Heard>,
    counted: Report,
    told: Report,
    told_at: Option<Instant>,
    /// The newest frame carried repeats: the sender is to learn when there is no more need of them.
    repeated: bool,
}

/// What came of one spurt.
#[derive(Clone, Copy, Debug)]
struct Heard {
    name: (Handle, Spurt),
    /// Nothing before it is judged: the spurt may have been entered late.
    first: u16,
    newest: u16,
    /// Bit n: frame `newest - n` came.
    seen: u16,
    /// The frame judged last was lost.
    in_run: bool,
}

impl Meter {
    /// A frame came by itself.
    pub fn note(&mut self, voice: &Voice) {
        let (name, seq) = ((voice.handle, voice.spurt), voice.seq.0);
        self.repeated = !voice.repeats.is_empty();
        let Some(heard) = self.spurts.iter_mut().find(|heard| heard.name == name) else {
            if self.spurts.len() == SPURTS_MAX {
                self.spurts.pop_front();
            }
            return self.spurts.push_back(Heard { name, first: seq, newest: seq, seen: 1, in_run: false });
        };
        if seq <= heard.newest {
            // An older one that was overtaken, or a copy of the last frame.
            heard.seen |= 1_u16.checked_shl((heard.newest - seq).into()).unwrap_or(0);
            return;
        }
        if seq - heard.newest > STEP_MAX {
            *heard = Heard { name, first: seq, newest: seq, seen: 1, in_run: false };
            return;
        }
        for _ in heard.newest..seq {
            heard.seen <<= 1;
            heard.newest += 1;
            if heard.newest - heard.first >= SETTLE {
                let lost = heard.seen >> SETTLE & 1 == 0;
                self.counted.frames = self.counted.frames.wrapping_add(1);
                self.counted.lost = self.counted.lost.wrapping_add(lost.into());
                self.counted.runs = self.counted.runs.wrapping_add((lost && !heard.in_run).into());
                heard.in_run = lost;
            }
        }
        heard.seen |= 1;
    }

    #[cfg(test)]
    pub(super) fn counted(&self) -> Report {
        self.counted
    }

    /// What the sender is to know now, if that is worth a datagram: it is not while nothing is lost and nothing repeated.
    pub fn report(&mut self, now: Instant) -> Option<Report> {
        let is_news = self.repeated || self.counted.lost != self.told.lost;
        let is_due = self.told_at.is_none_or(|at| now.saturating_duration_since(at) >= REPORT_EVERY);
        if !is_news || !is_due || self.counted.frames.wrapping_sub(self.told.frames) < FRAMES_MIN {
            return None;
        }
        (self.told, self.told_at) = (self.counted, Some(now));
        Some(self.counted)
    }
}
