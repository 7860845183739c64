//! Reading WAV files: what a unit without a microphone speaks.
//!
//! 16 bit PCM, mono or stereo, any rate from 8 kHz on; it becomes 16 kHz mono, and its first sample stays the first.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec};
use thiserror::Error;

use crate::pcm::{Frame, VOICE_HZ};
use crate::resample::{self, ResampleError};
use crate::stream::Source;
use crate::tone::Samples;

/// Longest file read, in minutes: it is held in memory.
pub const MAX_MINUTES: u32 = 60;

/// A file that cannot be spoken. Whoever named the file is at fault; another file helps.
#[derive(Debug, Error)]
pub enum WavError {
    /// Cannot be opened or read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No WAV file, or a broken one.
    #[error("{}: not a usable WAV file ({why}); expected 16 bit PCM, mono or stereo", .path.display())]
    NotWav {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Samples of another kind.
    #[error("{}: samples are {bits} bit {kind}; convert the file to 16 bit PCM", .path.display())]
    Samples {
        /// The file.
        path: PathBuf,
        /// Bits of a sample.
        bits: u16,
        /// `PCM` or `floating point`.
        kind: &'static str,
    },
    /// Neither mono nor stereo.
    #[error("{}: {channels} channels; mix the file down to mono or stereo", .path.display())]
    Channels {
        /// The file.
        path: PathBuf,
        /// Its channels.
        channels: u16,
    },
    /// More than [`MAX_MINUTES`].
    #[error("{}: longer than {MAX_MINUTES} minutes; cut it", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A rate that is not accepted.
    #[error("{}: {source}; convert it to 16000 Hz", .path.display())]
    Rate {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ResampleError,
    },
}

/// The samples of the file at 16 kHz mono.
///
/// # Errors
/// [`WavError`]: names the file and what to do.
pub fn read(path: &Path) -> Result<Vec<i16>, WavError> {
    let file = File::open(path).map_err(|source| WavError::Read { path: path.to_owned(), source })?;
    decode(path, BufReader::new(file))
}

/// The same of bytes from anywhere; `path` is what an error names.
///
/// # Errors
/// [`WavError`]: names the file and what to do.
pub fn decode(path: &Path, bytes: impl Read) -> Result<Vec<i16>, WavError> {
    let mut reader = WavReader::new(bytes).map_err(|error| unreadable(path, error))?;
    let spec = reader.spec();
    acceptable(path, spec)?;
    if reader.duration() / spec.sample_rate >= MAX_MINUTES * 60 {
        return Err(WavError::TooLong { path: path.to_owned() });
    }
    let interleaved: Vec<i16> = reader.samples().collect::<Result<_, _>>().map_err(|error| unreadable(path, error))?;
    let mono = if spec.channels == 2 { downmix(&interleaved) } else { interleaved };
    resample::whole(&mono, spec.sample_rate, VOICE_HZ).map_err(|source| WavError::Rate { path: path.to_owned(), source })
}

fn acceptable(path: &Path, spec: WavSpec) -> Result<(), WavError> {
    let path = path.to_owned();
    let kind = match spec.sample_format {
        SampleFormat::Int => "PCM",
        SampleFormat::Float => "floating point",
    };
    if spec.bits_per_sample != 16 || spec.sample_format != SampleFormat::Int {
        return Err(WavError::Samples { path, bits: spec.bits_per_sample, kind });
    }
    if !matches!(spec.channels, 1 | 2) {
        return Err(WavError::Channels { path, channels: spec.channels });
    }
    // The rate is divided by before the resampler judges it.
    if spec.sample_rate == 0 {
        return Err(WavError::Rate { path, source: ResampleError::Rate { hz: 0 } });
    }
    Ok(())
}

/// The mean of both channels: a voice on one side only gets quieter but never clips.
fn downmix(interleaved: &[i16]) -> Vec<i16> {
    interleaved.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum, sample| sum + sample / 2)).collect()
}

fn unreadable(path: &Path, error: hound::Error) -> WavError {
    let path = path.to_owned();
    // The reader reports a file that ends early as an I/O error of its own making, without a code from the system.
    let why = error.to_string();
    match error {
        hound::Error::IoError(source) if source.raw_os_error().is_some() => WavError::Read { path, source },
        hound::Error::IoError(_)
        | hound::Error::FormatError(_)
        | hound::Error::TooWide
        | hound::Error::UnfinishedSample
        | hound::Error::Unsupported
        | hound::Error::InvalidSampleFormat => WavError::NotWav { path, why },
    }
}

/// A WAV file as a source of frames.
#[derive(Debug)]
pub struct WavSource {
    samples: Samples,
}

impl WavSource {
    /// Reads the whole file, so that a broken one is known before the key is pressed. `lookahead` samples of silence follow,
    /// for a coder that holds back that many.
    ///
    /// # Errors
    /// [`WavError`]: names the file and what to do.
    pub fn open(path: &Path, lookahead: usize) -> Result<Self, WavError> {
        Ok(Self { samples: Samples::new(&read(path)?, lookahead) })
    }
}

impl Source for WavSource {
    fn next_frame(&mut self) -> Option<Frame> {
        self.samples.next_frame()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(channels: u16, sample_rate: u32) -> WavSpec {
        WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int }
    }

    fn written(folder: &Path, spec: WavSpec, samples: &[i32]) -> PathBuf {
        let path = folder.join("in.wav");
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in samples {
            match spec.sample_format {
                SampleFormat::Int => writer.write_sample(*sample).unwrap(),
                SampleFormat::Float => writer.write_sample(*sample as f32).unwrap(),
            }
        }
        writer.finalize().unwrap();
        path
    }

    #[test]
    fn sixteen_kilohertz_mono_is_read_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let samples: Vec<i32> = (0..700).map(|n| n * 40 - 12_000).collect();
        let path = written(folder.path(), spec(1, 16_000), &samples);
        assert_eq!(read(&path).unwrap().into_iter().map(i32::from).collect::<Vec<_>>(), samples);
        let mut source = WavSource::open(&path, 0).unwrap();
        assert_eq!(source.next_frame().unwrap().samples()[319], 319 * 40 - 12_000);
        assert_eq!(source.next_frame().unwrap().samples()[0], 320 * 40 - 12_000);
        assert_eq!(source.next_frame().unwrap().samples()[60..], [0; 260]);
        assert_eq!(source.next_frame(), None);
    }

    #[test]
    fn stereo_is_mixed_down_without_clipping_and_brought_to_our_rate() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), spec(2, 16_000), &[32_000, 32_000, -1_000, 3_000, 400, 0]);
        assert_eq!(read(&path).unwrap(), [32_000, 1_000, 200]);
        let path = written(folder.path(), spec(2, 48_000), &vec![1_000; 2 * 4_800]);
        let samples = read(&path).unwrap();
        assert_eq!(samples.len(), 1_600);
        assert!((samples[800] - 1_000).abs() <= 5);
    }

    #[test]
    fn what_cannot_be_spoken_is_refused_with_the_file_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let mut cases = vec![
            (WavSpec { bits_per_sample: 24, ..spec(1, 16_000) }, "24 bit PCM; convert"),
            (WavSpec { bits_per_sample: 32, sample_format: SampleFormat::Float, ..spec(1, 16_000) }, "floating point; convert"),
            (spec(6, 16_000), "6 channels; mix"),
            (spec(1, 4_000), "4000 Hz"),
        ];
        for (spec, want) in cases.drain(..) {
            let error = read(&written(folder.path(), spec, &[0; 12])).unwrap_err().to_string();
            assert!(error.contains("in.wav") && error.contains(want), "{error}");
        }
    }

    #[test]
    fn files_that_are_no_wav_are_refused_and_never_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.wav");
        assert!(matches!(read(&path), Err(WavError::Read { .. })));
        let mut whole = std::fs::read(written(folder.path(), spec(1, 16_000), &[7; 50])).unwrap();
        for length in 0..44 {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read(&path), Err(WavError::NotWav { .. })), "{length} bytes");
        }
        whole[24..28].fill(0);
        std::fs::write(&path, &whole).unwrap();
        assert!(matches!(read(&path), Err(WavError::Rate { .. } | WavError::NotWav { .. })));
        std::fs::write(&path, b"fLaC is another kind of file, long enough for a header of any kind").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("not a usable WAV file"));
    }
}
