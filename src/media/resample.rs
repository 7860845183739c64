//! Sample rates: files and devices run at any, voice at 16 kHz.
//!
//! [`whole`] converts a file and takes the filter's delay out again: sample 0 stays sample 0, or a WAV file would begin
//! late. [`Stream`] converts what a device delivers block by block and says how much delay it adds.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};
use thiserror::Error;

use crate::pcm::{from_unit, to_unit};

/// Lowest rate accepted, in samples per second.
pub const MIN_HZ: u32 = 8_000;
/// Highest rate accepted, in samples per second.
pub const MAX_HZ: u32 = 192_000;

/// Block of a file: long blocks give a steep filter, and a file does not mind the delay.
const WHOLE_BLOCK: usize = 4_096;
/// Filters per block of a file.
const WHOLE_PARTS: usize = 4;
/// Blocks per second of a stream: 10 ms each.
const STREAM_BLOCKS_PER_S: u32 = 100;

/// A conversion that cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResampleError {
    /// A rate outside what is accepted: whoever made the file or set the device is at fault; another rate helps.
    #[error("sample rate of {hz} Hz; {MIN_HZ} to {MAX_HZ} Hz are accepted")]
    Rate {
        /// The rate.
        hz: u32,
    },
    /// The converter refused; a bug on our side, a retry does not help.
    #[error("sample rate conversion failed: {0}")]
    Converter(String),
}

impl ResampleError {
    fn converter(error: impl ToString) -> Self {
        Self::Converter(error.to_string())
    }
}

/// `samples` of rate `from_hz` at rate `to_hz`. Sample 0 stays sample 0; the length is that of the same time, rounded up.
///
/// # Errors
/// [`ResampleError::Rate`] for a rate outside [`MIN_HZ`] to [`MAX_HZ`].
pub fn whole(samples: &[i16], from_hz: u32, to_hz: u32) -> Result<Vec<i16>, ResampleError> {
    let (from, to) = (checked(from_hz)?, checked(to_hz)?);
    if from == to || samples.is_empty() {
        return Ok(samples.to_vec());
    }
    let unit: Vec<f32> = samples.iter().map(|s| to_unit(*s)).collect();
    let input = InterleavedSlice::new(&unit, 1, unit.len()).map_err(ResampleError::converter)?;
    let mut converter =
        Fft::<f32>::new_custom(from, to, WHOLE_BLOCK, WHOLE_PARTS, 1, rubato::WindowFunction::BlackmanHarris2, FixedSync::Input)
            .map_err(ResampleError::converter)?;
    let output = converter.process_all(&input, unit.len(), None).map_err(ResampleError::converter)?;
    Ok(output.take_data().into_iter().map(from_unit).collect())
}

fn checked(hz: u32) -> Result<usize, ResampleError> {
    match usize::try_from(hz) {
        Ok(rate) if (MIN_HZ..=MAX_HZ).contains(&hz) => Ok(rate),
        Ok(_) | Err(_) => Err(ResampleError::Rate { hz }),
    }
}

/// Converts a running stream, for a device. It keeps less than one block of 10 ms waiting for its rest.
pub struct Stream {
    /// `None` where both rates are equal.
    converter: Option<Fft<f32>>,
    waiting: Vec<f32>,
    converted: Vec<f32>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("delay", &self.delay()).field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Stream {
    /// A converter from `from_hz` to `to_hz`.
    ///
    /// # Errors
    /// [`ResampleError::Rate`] for a rate outside [`MIN_HZ`] to [`MAX_HZ`].
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, ResampleError> {
        let (from, to) = (checked(from_hz)?, checked(to_hz)?);
        if from == to {
            return Ok(Self { converter: None, waiting: Vec::new(), converted: Vec::new() });
        }
        let block = usize::try_from(from_hz / STREAM_BLOCKS_PER_S).map_err(ResampleError::converter)?;
        let converter = Fft::new_custom(from, to, block, 1, 1, rubato::WindowFunction::BlackmanHarris2, FixedSync::Input)
            .map_err(ResampleError::converter)?;
        let converted = vec![0.0; converter.output_frames_max()];
        Ok(Self { converter: Some(converter), waiting: Vec::with_capacity(2 * block), converted })
    }

    /// Samples of the new rate that the filter delays, beside the samples that wait for a full block.
    pub fn delay(&self) -> usize {
        self.converter.as_ref().map_or(0, rubato::Resampler::output_delay)
    }

    /// Converts `samples` and appends what is ready to `out`.
    ///
    /// # Errors
    /// [`ResampleError::Converter`]: a bug on our side.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) -> Result<(), ResampleError> {
        let Some(converter) = self.converter.as_mut() else {
            out.extend_from_slice(samples);
            return Ok(());
        };
        self.waiting.extend(samples.iter().map(|s| to_unit(*s)));
        let mut used = 0;
        while let Some(block) = self.waiting.get(used..used + converter.input_frames_next()) {
            let room = self.converted.len();
            let input = InterleavedSlice::new(block, 1, block.len()).map_err(ResampleError::converter)?;
            let mut output = InterleavedSlice::new_mut(&mut self.converted, 1, room).map_err(ResampleError::converter)?;
            let (taken, given) = converter.process_into_buffer(&input, &mut output, None).map_err(ResampleError::converter)?;
            out.extend(self.converted.iter().take(given).map(|s| from_unit(*s)));
            used += taken;
        }
        self.waiting.drain(..used);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::{VOICE_HZ, rms};

    /// A band-limited click: a raised-cosine bump of 2 ms whose peak lies at `at_ms`.
    fn bump(hz: u32, at_ms: u32, length_ms: u32) -> Vec<i16> {
        let (peak, half) = (hz as f32 * at_ms as f32 / 1_000.0, hz as f32 / 1_000.0);
        (0..hz * length_ms / 1_000)
            .map(|n| {
                let x = (n as f32 - peak) / half;
                from_unit(if x.abs() < 1.0 { 0.4 + 0.4 * (std::f32::consts::PI * x).cos() } else { 0.0 })
            })
            .collect()
    }

    fn peak(samples: &[i16]) -> usize {
        samples.iter().enumerate().max_by_key(|(_, s)| **s).unwrap().0
    }

    #[test]
    fn a_click_stays_within_one_sample_of_its_time_at_every_usual_rate() {
        for hz in [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000] {
            for at_ms in [2, 40, 990] {
                let converted = whole(&bump(hz, at_ms, 1_000), hz, VOICE_HZ).unwrap();
                assert_eq!(converted.len(), 16_000, "{hz}");
                let (want, got) = (16 * at_ms as usize, peak(&converted));
                assert!(got.abs_diff(want) <= 1, "{hz} Hz, {at_ms} ms: {got} instead of {want}");
            }
        }
    }

    #[test]
    fn files_shorter_than_a_block_survive() {
        let converted = whole(&bump(44_100, 3, 6), 44_100, VOICE_HZ).unwrap();
        assert!(peak(&converted).abs_diff(48) <= 1);
        assert_eq!(whole(&[], 44_100, VOICE_HZ), Ok(vec![]));
    }

    #[test]
    fn speech_keeps_its_energy_and_what_is_above_the_band_does_not_fold_back() {
        let tone = |hz: f32| -> Vec<i16> {
            (0..48_000_u16).map(|n| from_unit(0.5 * (std::f32::consts::TAU * hz * f32::from(n) / 48_000.0).sin())).collect()
        };
        let kept = whole(&tone(3_000.0), 48_000, VOICE_HZ).unwrap();
        assert!((rms(&kept[1_000..15_000]) / rms(&tone(3_000.0)) - 1.0).abs() < 0.01);
        let folded = whole(&tone(11_000.0), 48_000, VOICE_HZ).unwrap();
        assert!(rms(&folded[1_000..15_000]) < 10.0);
    }

    #[test]
    fn a_stream_gives_the_same_click_later_by_its_delay() {
        for (from, to) in [(48_000, VOICE_HZ), (44_100, VOICE_HZ), (VOICE_HZ, 48_000), (VOICE_HZ, 44_100), (VOICE_HZ, VOICE_HZ)] {
            let mut stream = Stream::new(from, to).unwrap();
            let mut out = Vec::new();
            for chunk in bump(from, 300, 1_000).chunks(333) {
                stream.push(chunk, &mut out).unwrap();
            }
            let want = to as usize * 300 / 1_000 + stream.delay();
            assert!(peak(&out).abs_diff(want) <= 3, "{from} -> {to}: {} instead of {want}", peak(&out));
            assert!(stream.delay() <= to as usize / 100, "more than 10 ms");
        }
    }

    #[test]
    fn rates_out_of_range_are_refused() {
        assert_eq!(whole(&[0; 10], 0, VOICE_HZ), Err(ResampleError::Rate { hz: 0 }));
        assert_eq!(whole(&[0; 10], 4_000, VOICE_HZ), Err(ResampleError::Rate { hz: 4_000 }));
        assert_eq!(Stream::new(VOICE_HZ, 384_000).unwrap_err(), ResampleError::Rate { hz: 384_000 });
    }
}
