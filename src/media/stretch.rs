//! Speech faster or slower at the same pitch: how a listener's delay is made up or grows in the middle of a word.
//!
//! In the data path: between the decoder and the sink. Decoded frames go in, 20 ms come out every tick; how much of what went
//! in they hold is the caller's decision. At an even pace samples are only copied, and nothing is delayed.
//!
//! The method is WSOLA: the place that is read leaps to where the sound goes on most alike, usually a period of the voice
//! further or back, and is faded over. Leaps are longer than what one tick asks for, so the place that is read lags behind
//! the place asked for, by 16 ms at most; the next pause makes up for that.

use crate::pcm::{FRAME_SAMPLES, Frame};

/// How far the place that is read may lag: the longest period of a voice, at 62 Hz.
const LAG_MAX: usize = 256;
/// A shorter leap forward is not worth a fade.
const LEAP_MIN: usize = 32;
/// Samples that are compared, and faded over: 10 ms, at least one period of most voices.
const OVERLAP: usize = 160;
/// So alike, a leap is taken before it must be.
const ALIKE: f64 = 0.8;
/// Sound below this level is a pause, in which every leap is inaudible: 52 dB below full scale.
const PAUSE_RMS: f64 = 80.0;
/// What is kept of the past for a leap back.
const PAST: usize = LAG_MAX + FRAME_SAMPLES;
/// Most that waits: four frames. More is a fault of the caller; the earliest goes.
const WAITING_MAX: usize = 4 * FRAME_SAMPLES;

/// One voice on its way to the sink.
#[derive(Clone, Debug, Default)]
pub struct Stretcher {
    samples: Vec<i16>,
    /// The place asked for: what is behind it waits.
    place: usize,
    /// The place that is read next, at most [`LAG_MAX`] before that.
    read: usize,
}

impl Stretcher {
    /// Forgets the last spurt.
    pub fn reset(&mut self) {
        self.samples.clear();
        (self.place, self.read) = (0, 0);
    }

    /// A decoded frame, behind those before.
    pub fn push(&mut self, frame: &Frame) {
        self.samples.extend_from_slice(frame.samples());
        self.place = self.place.max(self.samples.len().saturating_sub(WAITING_MAX));
        self.read = self.read.max(self.place.saturating_sub(LAG_MAX));
        self.forget();
    }

    /// 20 ms that hold the next `advance` samples: with fewer than 320 it sounds slower, with more faster. What was not pushed
    /// is silence.
    pub fn take(&mut self, advance: usize) -> Frame {
        let place = (self.place + advance).min(self.samples.len());
        let from = self.leap(place, advance);
        let frame = self.faded(from);
        (self.place, self.read) = (place, (from + FRAME_SAMPLES).min(place));
        self.forget();
        frame
    }

    /// 20 ms that hold all that is left over, then silence.
    pub fn rest(&mut self) -> Frame {
        let frame = self.faded(self.read.max(self.samples.len().saturating_sub(FRAME_SAMPLES)));
        self.reset();
        frame
    }

    /// Lets go of what no leap reaches any more.
    fn forget(&mut self) {
        let old = self.place.saturating_sub(PAST).min(self.read);
        self.samples.drain(..old);
        (self.place, self.read) = (self.place - old, self.read - old);
    }

    /// From where to read a frame, so that reading ends at `place` or not too far before it.
    fn leap(&self, place: usize, advance: usize) -> usize {
        let Some(latest) = place.checked_sub(FRAME_SAMPLES) else { return self.read };
        let earliest = latest.saturating_sub(LAG_MAX);
        let candidates = if self.read > latest {
            earliest..=latest
        } else if self.read < earliest {
            (self.read + LEAP_MIN).max(earliest)..=latest
        } else if advance > FRAME_SAMPLES {
            self.read + LEAP_MIN..=latest
        } else {
            // Nothing is asked for: only a lag is made up where nobody hears it.
            return if self.is_pause(self.read) && self.is_pause(latest) { latest } else { self.read };
        };
        let must = !(earliest..=latest).contains(&self.read);
        let likeness = candidates.map(|from| (self.likeness(from), from));
        match likeness.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
            Some((likeness, from)) if must || likeness >= ALIKE => from,
            Some(_) | None => self.read,
        }
    }

    /// How alike the sound goes on from here and from there, -1 to 1.
    fn likeness(&self, from: usize) -> f64 {
        let (here, there) = (self.overlap(self.read), self.overlap(from));
        let (level, other) = (energy(here), energy(there));
        if level.max(other) < PAUSE_RMS * PAUSE_RMS * OVERLAP as f64 {
            return 1.0;
        }
        let dot: i64 = here.iter().zip(there).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum();
        dot as f64 / (level * other).sqrt().max(1.0)
    }

    fn is_pause(&self, from: usize) -> bool {
        energy(self.overlap(from)) < PAUSE_RMS * PAUSE_RMS * OVERLAP as f64
    }

    fn overlap(&self, from: usize) -> &[i16] {
        self.samples.get(from..(from + OVERLAP).min(self.samples.len())).unwrap_or_default()
    }

    /// The frame at `from`; if that is a leap, faded into from where reading would have gone on.
    fn faded(&self, from: usize) -> Frame {
        let mut samples = [0; FRAME_SAMPLES];
        for (into, sample) in samples.iter_mut().zip(self.samples.iter().skip(from)) {
            *into = *sample;
        }
        if from != self.read {
            let length = i32::try_from(OVERLAP).unwrap_or(i32::MAX);
            for ((into, before), at) in samples.iter_mut().zip(self.overlap(self.read)).zip(0..length) {
                let mixed = (i32::from(*before) * (length - at) + i32::from(*into) * at) / length;
                *into = i16::try_from(mixed).unwrap_or(0);
            }
        }
        Frame::new(samples)
    }
}

fn energy(samples: &[i16]) -> f64 {
    let energy: i64 = samples.iter().map(|sample| i64::from(*sample).pow(2)).sum();
    energy as f64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::pcm::{frames, rms};
    use crate::tone::{PROBE_HZ, burst};

    fn speech() -> Vec<i16> {
        crate::wav::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/assets/speech-nl.wav")).unwrap()
    }

    /// Everything, played at `advance` samples a tick; frames are pushed when they are needed.
    fn played(spoken: &[i16], advance: impl Fn(usize) -> usize) -> Vec<i16> {
        let mut stretcher = Stretcher::default();
        let (mut heard, mut left) = (Vec::new(), 0);
        let mut frames = frames(spoken, 0);
        for tick in 0.. {
            let advance = advance(tick);
            while left < advance {
                let Some(frame) = frames.next() else {
                    heard.extend_from_slice(stretcher.rest().samples());
                    return heard;
                };
                stretcher.push(&frame);
                left += FRAME_SAMPLES;
            }
            left -= advance;
            heard.extend_from_slice(stretcher.take(advance).samples());
        }
        heard
    }

    #[test]
    fn at_an_even_pace_samples_are_copied() {
        let spoken = speech();
        assert_eq!(played(&spoken, |_| FRAME_SAMPLES)[..spoken.len()], spoken);
    }

    #[test]
    fn speech_takes_the_time_asked_for_and_keeps_its_level() {
        let spoken = speech();
        for advance in [288, 304, 352, 384, 400] {
            let heard = played(&spoken, |_| advance);
            let wanted = spoken.len() * FRAME_SAMPLES / advance;
            assert!(heard.len().abs_diff(wanted) <= 3 * FRAME_SAMPLES, "{} samples at {advance}, not {wanted}", heard.len());
            let decibels = 20.0 * (rms(&heard) / rms(&spoken)).log10();
            assert!(decibels.abs() < 0.5, "{decibels} dB at {advance}");
        }
    }

    /// A tone shows every seam: where the fade meets another phase, the level drops.
    #[test]
    fn a_tone_keeps_its_pitch_and_shows_no_seam() {
        let tone = burst(PROBE_HZ, 2_000);
        let level = rms(&tone[4_000..20_000]);
        let crossings = |samples: &[i16]| samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        let per_sample = crossings(&tone[4_000..20_000]) as f64 / 16_000.0;
        for advance in [288, 352, 384, 400] {
            let heard = played(&tone, |_| advance);
            let middle = &heard[4_000..20_000];
            let pitch = crossings(middle) as f64 / middle.len() as f64 / per_sample;
            assert!((pitch - 1.0).abs() < 0.01, "pitch {pitch} at {advance}");
            for piece in middle.chunks_exact(FRAME_SAMPLES / 2) {
                assert!(rms(piece) > 0.9 * level, "level {} of {level} at {advance}", rms(piece));
            }
        }
    }

    #[test]
    fn after_a_stretch_the_next_pause_makes_up_for_the_lag() {
        let mut spoken = speech()[16_000..32_000].to_vec();
        spoken.extend([0; 3_200]);
        spoken.extend(burst(PROBE_HZ, 500));
        // 40 frames at 1.2x, of which half a second is spoken; then even.
        let heard = played(&spoken, |tick| if tick < 20 { 384 } else { FRAME_SAMPLES });
        let tail = &spoken[spoken.len() - 4_000..];
        let made_up = 20 * 64;
        assert_eq!(&heard[spoken.len() - 4_000 - made_up..][..4_000], tail);
    }

    #[test]
    fn whatever_is_asked_it_gives_frames_and_keeps_little() {
        let mut random = SmallRng::seed_from_u64(3);
        let mut stretcher = Stretcher::default();
        for _ in 0..20_000 {
            match random.random_range(0..20) {
                0..9 => stretcher.push(&Frame::new(std::array::from_fn(|_| random.random()))),
                9..19 => drop(stretcher.take(random.random_range(0..1_000))),
                _ => drop(stretcher.rest()),
            }
            assert!(stretcher.samples.len() <= PAST + WAITING_MAX + FRAME_SAMPLES && stretcher.read <= stretcher.place);
        }
    }
}
