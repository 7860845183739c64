//! What was heard last in each talkgroup, kept in memory to be heard again: a spurt that was missed in the noise.
//!
//! Nothing is written anywhere, and nothing is kept where policy forbids it ([`Recall::off`]).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use media::pcm::{FRAME_SAMPLES, Frame, VOICE_HZ};
use wire::{Spurt, TalkgroupId};

/// What is kept of each talkgroup: 30 s. Full: the oldest is dropped.
const FRAMES_MAX: usize = 1_500;
/// Pause between two spurts, in frames.
const PAUSE: usize = 15;

/// See the module.
#[derive(Clone, Debug)]
pub struct Recall {
    allowed: bool,
    kept: BTreeMap<TalkgroupId, VecDeque<(Spurt, Frame)>>,
}

impl Default for Recall {
    fn default() -> Self {
        Self { allowed: true, kept: BTreeMap::new() }
    }
}

impl Recall {
    /// One that keeps nothing.
    pub fn off() -> Self {
        Self { allowed: false, ..Self::default() }
    }

    /// A frame of a spurt was heard.
    pub fn keep(&mut self, talkgroup: &TalkgroupId, spurt: Spurt, frame: &Frame) {
        if !self.allowed {
            return;
        }
        let kept = self.kept.entry(talkgroup.clone()).or_default();
        if kept.len() >= FRAMES_MAX {
            kept.pop_front();
        }
        kept.push_back((spurt, frame.clone()));
    }

    /// How long there is to hear again.
    pub fn length(&self, talkgroup: &TalkgroupId) -> Duration {
        let frames = self.kept.get(talkgroup).map_or(0, VecDeque::len);
        Duration::from_secs_f64(frames as f64 * FRAME_SAMPLES as f64 / f64::from(VOICE_HZ))
    }

    /// All of it in order, a short pause between spurts.
    pub fn again(&self, talkgroup: &TalkgroupId) -> VecDeque<Frame> {
        let mut frames = VecDeque::new();
        let mut last = None;
        for (spurt, frame) in self.kept.get(talkgroup).into_iter().flatten() {
            if last.replace(*spurt).is_some_and(|last| last != *spurt) {
                frames.extend(std::iter::repeat_n(Frame::SILENCE, PAUSE));
            }
            frames.push_back(frame.clone());
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> TalkgroupId {
        name.parse().unwrap()
    }

    fn frame(value: i16) -> Frame {
        Frame::new([value; FRAME_SAMPLES])
    }

    #[test]
    fn the_last_thirty_seconds_of_each_talkgroup_are_heard_again_with_a_pause_between_spurts() {
        let mut recall = Recall::default();
        for _ in 0..2_000 {
            recall.keep(&id("nl/a"), Spurt::from_bits(1), &frame(1));
        }
        recall.keep(&id("nl/a"), Spurt::from_bits(2), &frame(2));
        recall.keep(&id("nl/b"), Spurt::from_bits(1), &frame(3));
        assert_eq!(recall.length(&id("nl/a")), Duration::from_secs(30));
        assert_eq!(recall.length(&id("nl/c")), Duration::ZERO);
        let again = recall.again(&id("nl/a"));
        assert_eq!(again.len(), FRAMES_MAX + PAUSE);
        assert_eq!(again.back(), Some(&frame(2)));
        assert_eq!(again.get(FRAMES_MAX - 1), Some(&Frame::SILENCE));
        assert_eq!(recall.again(&id("nl/b")), [frame(3)]);
    }

    #[test]
    fn where_policy_forbids_it_nothing_is_kept() {
        let mut recall = Recall::off();
        recall.keep(&id("nl/a"), Spurt::from_bits(1), &frame(1));
        assert_eq!((recall.length(&id("nl/a")), recall.again(&id("nl/a")).len()), (Duration::ZERO, 0));
    }
}
