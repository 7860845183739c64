//! Samples and frames: the one shape that voice has between a device and the coder.
//!
//! Speech is wideband, so a frame is held at 16 kHz and the coder runs at that rate too. At this bit rate libopus codes
//! speech with SILK, which works at 16 kHz inside: feeding it 48 kHz would only add two conversions and their delay. The
//! 48 kHz of [`CLOCK_HZ`] is the clock that RTP counts Opus in, whatever rate the coder runs at.

use std::fmt;

/// Ticks per second of the media clock (RFC 7587).
pub const CLOCK_HZ: u32 = 48_000;
/// Length of a frame in milliseconds.
pub const FRAME_MS: u32 = 20;
/// Samples per second of every [`Frame`] and of every position on a timeline.
pub const VOICE_HZ: u32 = 16_000;
/// Samples of one frame.
pub const FRAME_SAMPLES: usize = 320;
/// Ticks of the media clock that one frame takes.
pub const FRAME_TICKS: u32 = CLOCK_HZ / 1_000 * FRAME_MS;

/// 20 ms of mono speech at 16 kHz, 16 bit.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame([i16; FRAME_SAMPLES]);

impl Frame {
    /// A frame of digital silence.
    pub const SILENCE: Self = Self([0; FRAME_SAMPLES]);

    /// The frame with these samples.
    pub const fn new(samples: [i16; FRAME_SAMPLES]) -> Self {
        Self(samples)
    }

    /// The first 20 ms of `samples`, filled up with silence if they are fewer.
    pub fn padded(samples: &[i16]) -> Self {
        let mut frame = Self::SILENCE;
        for (into, sample) in frame.0.iter_mut().zip(samples) {
            *into = *sample;
        }
        frame
    }

    /// The samples.
    pub const fn samples(&self) -> &[i16; FRAME_SAMPLES] {
        &self.0
    }

    /// The samples, to be filled by a decoder.
    pub(crate) const fn samples_mut(&mut self) -> &mut [i16; FRAME_SAMPLES] {
        &mut self.0
    }

    /// Root mean square of the samples, 0 to 32768.
    pub fn rms(&self) -> f32 {
        rms(&self.0)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame(rms {:.0})", self.rms())
    }
}

/// Root mean square of `samples`, 0 to 32768; 0 for none.
pub fn rms(samples: &[i16]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    narrow((energy / samples.len() as f64).sqrt())
}

/// A frame for every 20 ms of `samples`, the last one filled up with silence.
///
/// `lookahead` samples of silence are added behind, so that a coder that holds back that many still gives out the last
/// syllable.
pub fn frames(samples: &[i16], lookahead: usize) -> impl Iterator<Item = Frame> {
    let count = (samples.len() + lookahead).div_ceil(FRAME_SAMPLES);
    (0..count).map(move |index| Frame::padded(samples.get(index * FRAME_SAMPLES..).unwrap_or_default()))
}

/// A sample in full scale 1.0 as 16 bit, rounded; beyond full scale it saturates.
#[expect(clippy::cast_possible_truncation, reason = "`as` from float to integer saturates, which is what is wanted")]
pub fn from_unit(sample: f32) -> i16 {
    (sample * 32_768.0).round() as i16
}

/// A 16 bit sample in full scale 1.0.
pub fn to_unit(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

#[expect(clippy::cast_possible_truncation, reason = "a level needs no more than the 24 bits of precision of f32")]
const fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_twenty_milliseconds_on_both_clocks() {
        assert_eq!(u32::try_from(FRAME_SAMPLES), Ok(VOICE_HZ * FRAME_MS / 1_000));
        assert_eq!(FRAME_TICKS, 960);
    }

    #[test]
    fn the_lookahead_adds_a_frame_only_where_the_last_one_has_no_room() {
        let fits = vec![1; FRAME_SAMPLES - 104];
        assert_eq!(frames(&fits, 104).count(), 1);
        let full = vec![1; FRAME_SAMPLES];
        let cut: Vec<Frame> = frames(&full, 104).collect();
        assert_eq!(cut, [Frame::new([1; FRAME_SAMPLES]), Frame::SILENCE]);
        assert_eq!(frames(&full, 0).count(), 1);
        assert_eq!(frames(&[], 0).count(), 0);
    }

    #[test]
    fn conversion_to_sixteen_bit_saturates_instead_of_wrapping() {
        assert_eq!(from_unit(1.5), i16::MAX);
        assert_eq!(from_unit(-1.5), i16::MIN);
        assert_eq!(from_unit(f32::NAN), 0);
        assert_eq!(from_unit(to_unit(-12_345)), -12_345);
    }
}
