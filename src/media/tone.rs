//! Tones: what a unit tells its user without words, and the test signal of the probe.
//!
//! Levels are a quarter of full scale: loud enough beside speech, and the sum of two never clips.

use std::f32::consts::TAU;

use crate::pcm::{Frame, VOICE_HZ, frames, from_unit};
use crate::stream::Source;

/// Frequency of the probe's test signal.
pub const PROBE_HZ: u32 = 1_000;
/// Level of every tone, of full scale 1.0.
const LEVEL: f32 = 0.25;
/// Ramp at both ends of a user's tone, in milliseconds, against clicks.
const RAMP_MS: u32 = 5;

/// A sine of `hz` for `ms` milliseconds that starts and ends at full level: its onset is sharp to the sample.
pub fn burst(hz: u32, ms: u32) -> Vec<i16> {
    (0..samples_in(ms)).map(|n| from_unit(LEVEL * sine(hz, n))).collect()
}

/// Talk permit: three short high beeps.
pub fn permit() -> Vec<i16> {
    sequence(&[(1_000, 40), (0, 20), (1_000, 40), (0, 20), (1_000, 60)])
}

/// Request denied: one long low tone.
pub fn denied() -> Vec<i16> {
    sequence(&[(400, 400)])
}

/// Talker or connection lost: two falling tones.
pub fn lost() -> Vec<i16> {
    sequence(&[(700, 120), (0, 30), (450, 180)])
}

/// Beeps of (frequency, milliseconds) one after the other; frequency 0 is a pause.
pub fn sequence(parts: &[(u32, u32)]) -> Vec<i16> {
    parts.iter().flat_map(|(hz, ms)| ramped(*hz, *ms)).collect()
}

fn ramped(hz: u32, ms: u32) -> impl Iterator<Item = i16> {
    let (length, ramp) = (samples_in(ms), samples_in(RAMP_MS));
    (0..length).map(move |n| {
        let from_edge = n.min(length - 1 - n).min(ramp);
        from_unit(LEVEL * sine(hz, n) * from_edge as f32 / ramp as f32)
    })
}

fn sine(hz: u32, n: u32) -> f32 {
    // The phase is reduced as an integer: a float of n * hz would lose precision after a few seconds.
    let phase = u64::from(n) * u64::from(hz) % u64::from(VOICE_HZ);
    (TAU * phase as f32 / VOICE_HZ as f32).sin()
}

const fn samples_in(ms: u32) -> u32 {
    VOICE_HZ / 1_000 * ms
}

/// A source over samples in memory: the probe's bursts, a tone, or what a test speaks.
#[derive(Debug)]
pub struct Samples {
    frames: std::vec::IntoIter<Frame>,
}

impl Samples {
    /// Gives `samples`, with silence behind them for a coder that holds back `lookahead` of them.
    pub fn new(samples: &[i16], lookahead: usize) -> Self {
        Self { frames: frames(samples, lookahead).collect::<Vec<_>>().into_iter() }
    }
}

impl Source for Samples {
    fn next_frame(&mut self) -> Option<Frame> {
        self.frames.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::rms;

    #[test]
    fn a_burst_is_at_full_level_from_its_first_cycle() {
        let tone = burst(PROBE_HZ, 100);
        assert_eq!(tone.len(), 1_600);
        let cycle = usize::try_from(VOICE_HZ / PROBE_HZ).unwrap();
        let whole = rms(&tone);
        assert!((rms(&tone[..cycle]) - whole).abs() < 1.0);
        assert!((whole - 8_192.0 / 2.0_f32.sqrt()).abs() < 10.0);
    }

    #[test]
    fn the_users_tones_differ_and_never_click() {
        let tones = [permit(), denied(), lost()];
        for tone in &tones {
            assert!(rms(tone) > 1_000.0);
            assert_eq!((tone.first(), tone.last()), (Some(&0), Some(&0)));
        }
        assert!(tones[0] != tones[1] && tones[1] != tones[2] && tones[0].len() < 16_000 / 4);
    }

    #[test]
    fn samples_come_out_in_order_and_end() {
        let mut source = Samples::new(&burst(PROBE_HZ, 30), 0);
        let first = source.next_frame().unwrap();
        assert_eq!(first.samples()[..], burst(PROBE_HZ, 20)[..]);
        assert_eq!(source.next_frame().unwrap().samples()[160..], [0; 160]);
        assert_eq!(source.next_frame(), None);
    }
}
