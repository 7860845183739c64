//! The microphone's gain: a whisper and a shout reach the other side alike, and what is no speech is left as it is.
//!
//! In the data path: between microphone and coder, 20 ms at a time. It falls at once and rises slowly, so that the first loud
//! syllable does not hurt and a pause does not pump up the noise.

use media::pcm::{from_unit, rms, to_unit};

/// Level of speech that leaves here, RMS of full scale: -20 dB.
const WANTED: f32 = 0.1;
/// Least and greatest gain: -18 dB, 18 dB.
const RANGE: (f32, f32) = (0.125, 8.0);
/// How much it rises and falls in 20 ms at most.
const STEPS: (f32, f32) = (1.03, 0.7);
/// Speech is so much louder than the noise behind it: 10 dB.
const ABOVE_NOISE: f32 = 3.2;
/// What is softer is no speech, RMS of full scale: -60 dB.
const SOFTEST: f32 = 0.001;
/// How fast the notion of the noise rises in 20 ms: by half in 4 s.
const NOISE_RISES: f32 = 1.002;
/// Peaks are kept below this part of full scale.
const PEAK: f32 = 0.9;

/// See the module.
#[derive(Clone, Debug)]
pub struct Gain {
    gain: f32,
    noise: f32,
}

impl Default for Gain {
    fn default() -> Self {
        Self { gain: 1.0, noise: SOFTEST }
    }
}

impl Gain {
    /// Applies itself to the next 20 ms.
    pub fn apply(&mut self, samples: &mut [i16]) {
        let level = rms(samples) / f32::from(i16::MAX);
        let speech = level > SOFTEST && level > ABOVE_NOISE * self.noise;
        self.noise = (self.noise * NOISE_RISES).min(level).max(SOFTEST);
        let before = self.gain;
        if speech {
            let wanted = (WANTED / level).clamp(RANGE.0, RANGE.1);
            self.gain = wanted.clamp(before * STEPS.1, before * STEPS.0);
        }
        let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().map_or(0.0, |peak| f32::from(peak) / f32::from(i16::MAX));
        if peak > 0.0 {
            self.gain = self.gain.min(PEAK / peak);
        }
        // From the gain before to the new one over the piece: a step would click.
        let (count, from) = (samples.len().max(1) as f32, before.min(PEAK / peak.max(PEAK / RANGE.1)));
        for (at, sample) in samples.iter_mut().enumerate() {
            let gain = from + (self.gain - from) * (at + 1) as f32 / count;
            *sample = from_unit((to_unit(*sample) * gain).clamp(-1.0, 1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use media::pcm::FRAME_SAMPLES;
    use media::tone::burst;

    use super::*;

    /// Speech of that level for so many pieces, with silence of a room before it; the last piece.
    fn spoken(part: f32, pieces: u16) -> (Vec<i16>, Gain) {
        let mut gain = Gain::default();
        for _ in 0..50 {
            gain.apply(&mut [3; FRAME_SAMPLES]);
        }
        let tone: Vec<i16> = burst(500, 20).iter().map(|sample| from_unit(to_unit(*sample) * part * 4.0)).collect();
        let mut last = Vec::new();
        for _ in 0..pieces {
            last.clone_from(&tone);
            gain.apply(&mut last);
        }
        (last, gain)
    }

    fn level(samples: &[i16]) -> f32 {
        rms(samples) / f32::from(i16::MAX)
    }

    #[test]
    fn a_whisper_and_a_shout_leave_at_the_same_level() {
        for part in [0.03, 0.1, 0.3, 0.9] {
            let (last, _) = spoken(part, 200);
            assert!((0.8..1.25).contains(&(level(&last) / WANTED)), "{part}: {}", level(&last));
        }
    }

    #[test]
    fn the_noise_of_a_room_is_not_raised_in_a_pause() {
        let (_, mut gain) = spoken(0.1, 100);
        let before = gain.gain;
        for _ in 0..500 {
            gain.apply(&mut [30; FRAME_SAMPLES]);
        }
        assert!((gain.gain - before).abs() < 0.01, "{} from {before}", gain.gain);
    }

    #[test]
    fn a_sudden_shout_is_not_clipped() {
        let (_, mut gain) = spoken(0.03, 200);
        assert!(gain.gain > 2.0, "{}", gain.gain);
        let mut shout = [29_000_i16; FRAME_SAMPLES];
        gain.apply(&mut shout);
        assert!(shout.iter().all(|sample| *sample < i16::MAX), "{:?}", shout.iter().max());
    }
}
