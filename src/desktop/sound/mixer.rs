//! What is heard at once: every talkgroup at its volume, and the terminal's tones.
//!
//! Frames of one talkgroup wait here for the loudspeaker's clock, which is not that of the gateway.

use std::collections::{BTreeMap, VecDeque};

use media::pcm::{FRAME_SAMPLES, Frame, from_unit, to_unit};
use wire::TalkgroupId;

use crate::tones::{Pack, Tone};

/// Frames of one talkgroup that wait, 100 ms. Full: the oldest is dropped, for the newest is what somebody says now.
const WAIT_MAX: usize = 5;
/// Volume of what is heard again behind something else.
const BEHIND: f32 = 0.25;

/// See the module.
#[derive(Debug, Default)]
pub struct Mixer {
    pack: Pack,
    voices: BTreeMap<TalkgroupId, VecDeque<Frame>>,
    tone: VecDeque<i16>,
    steady: Option<Tone>,
    again: VecDeque<Frame>,
}

impl Mixer {
    /// A mixer whose tones come from that pack.
    pub fn new(pack: Pack) -> Self {
        Self { pack, ..Self::default() }
    }

    /// A frame of a talkgroup.
    pub fn hear(&mut self, talkgroup: &TalkgroupId, frame: Frame) {
        let waiting = self.voices.entry(talkgroup.clone()).or_default();
        if waiting.len() >= WAIT_MAX {
            waiting.pop_front();
        }
        waiting.push_back(frame);
    }

    /// What was said before, instead of what is replayed already; nothing ends it.
    pub fn again(&mut self, frames: VecDeque<Frame>) {
        self.again = frames;
    }

    /// Whether something is heard again.
    pub fn is_replaying(&self) -> bool {
        !self.again.is_empty()
    }

    /// Whether there is something to hear.
    pub fn is_busy(&self) -> bool {
        !self.tone.is_empty() || !self.again.is_empty() || self.voices.values().any(|waiting| !waiting.is_empty())
    }

    /// A tone, instead of what is left of the one before.
    pub fn sound(&mut self, tone: Tone) {
        (self.tone, self.steady) = (self.pack.samples(tone).into(), None);
    }

    /// The next 20 ms; `None` if there is nothing to hear. A steady tone goes on for as long as it is asked for, and ends with
    /// it: nobody listens to the rest of a refusal.
    pub fn mix(&mut self, volume: impl Fn(&TalkgroupId) -> f32, steady: Option<Tone>) -> Option<Frame> {
        if steady.is_none() && self.steady.take().is_some() {
            self.tone.clear();
        }
        if let Some(tone) = steady.filter(|_| self.tone.len() < FRAME_SAMPLES) {
            self.steady = Some(tone);
            self.tone.extend(self.pack.samples(tone));
        }
        let mut sum = [0.0_f32; FRAME_SAMPLES];
        let mut any = !self.tone.is_empty();
        for (talkgroup, waiting) in &mut self.voices {
            let Some(frame) = waiting.pop_front() else { continue };
            any = true;
            let volume = volume(talkgroup);
            for (into, sample) in sum.iter_mut().zip(frame.samples()) {
                *into += volume * to_unit(*sample);
            }
        }
        if let Some(frame) = self.again.pop_front() {
            // Who talks now is louder than who talked.
            let volume = if any { BEHIND } else { 1.0 };
            any = true;
            for (into, sample) in sum.iter_mut().zip(frame.samples()) {
                *into += volume * to_unit(*sample);
            }
        }
        for into in &mut sum {
            *into += self.tone.pop_front().map_or(0.0, to_unit);
        }
        any.then(|| Frame::new(sum.map(|sample| from_unit(sample.clamp(-1.0, 1.0)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::tone::burst;

    fn id(name: &str) -> TalkgroupId {
        name.parse().unwrap()
    }

    fn loud() -> Frame {
        Frame::padded(&burst(1_000, 20))
    }

    #[test]
    fn talkgroups_are_heard_together_each_at_its_volume_and_silence_is_nothing() {
        let mut mixer = Mixer::default();
        assert_eq!(mixer.mix(|_| 1.0, None), None);
        mixer.hear(&id("nl/a"), loud());
        mixer.hear(&id("nl/b"), loud());
        let both = mixer.mix(|talkgroup| if *talkgroup == id("nl/a") { 1.0 } else { 0.25 }, None).unwrap();
        assert!((both.rms() / loud().rms() - 1.25).abs() < 0.01, "{both:?} of {:?}", loud());
        assert_eq!(mixer.mix(|_| 1.0, None), None);
    }

    #[test]
    fn what_is_heard_again_stands_behind_what_is_said_now_and_comes_to_its_end() {
        let mut mixer = Mixer::default();
        mixer.again([loud(), loud()].into());
        mixer.hear(&id("nl/a"), Frame::SILENCE);
        let behind = mixer.mix(|_| 1.0, None).unwrap();
        assert!((behind.rms() / loud().rms() - BEHIND).abs() < 0.01, "{behind:?}");
        assert_eq!(mixer.mix(|_| 1.0, None), Some(loud()));
        assert_eq!((mixer.is_replaying(), mixer.mix(|_| 1.0, None)), (false, None));
    }

    #[test]
    fn what_waits_too_long_is_dropped_from_its_beginning() {
        let mut mixer = Mixer::default();
        for n in 0..8_i16 {
            mixer.hear(&id("nl/a"), Frame::new([n * 1_000; FRAME_SAMPLES]));
        }
        let first = mixer.mix(|_| 1.0, None).unwrap();
        assert!(first.samples()[0].abs_diff(3_000) <= 1, "{}", first.samples()[0]);
        assert_eq!(std::iter::from_fn(|| mixer.mix(|_| 1.0, None)).count(), WAIT_MAX - 1);
    }

    #[test]
    fn a_steady_tone_goes_on_until_it_is_not_asked_for_and_a_short_one_ends_by_itself() {
        let mut mixer = Mixer::default();
        for _ in 0..200 {
            assert!(mixer.mix(|_| 1.0, Some(Tone::Denied)).unwrap().rms() > 1_000.0);
        }
        assert_eq!(mixer.mix(|_| 1.0, None), None);
        mixer.sound(Tone::Permit);
        assert_eq!(std::iter::from_fn(|| mixer.mix(|_| 1.0, None)).count(), 7);
    }
}
