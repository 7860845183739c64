//! Writing what was heard: a WAV file with a timeline, the last stop of the data path in a unit without a loudspeaker.
//!
//! Frames come with a position, several talkgroups may sound at once, and nothing may be lost if the process is killed:
//!
//! ```text
//!  file: written, final ───────────────┤ window: still mixed, at most 2 s ├─▶ play(position)
//!                                    commit(position) or a frame further on moves the border
//! ```
//!
//! Memory is bounded by the window. Drop rule: sound for a place that is already in the file is dropped and counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::pcm::{Frame, VOICE_HZ};
use crate::stream::{Sink, SinkError};

/// Samples that can still be mixed into: 2 s.
pub const WINDOW_SAMPLES: usize = 32_000;
/// The header is brought up to date after this many samples: 0.5 s. A killed process leaves a valid file up to there.
const HEADER_EVERY: u64 = 8_000;
/// Samples that fit into the 32 bit length of a WAV file, less its header.
const FILE_SAMPLES_MAX: u64 = (u32::MAX as u64 - 1_024) / 2;

/// A WAV file of 16 kHz mono that is written along a timeline. Calls block on the disk.
///
/// Dropped without [`Self::finish`], the file ends at the border of the window.
pub struct WavSink {
    path: PathBuf,
    writer: WavWriter<BufWriter<File>>,
    /// Samples in the file; the window begins here.
    written: u64,
    /// Samples in the file when its header was last brought up to date.
    in_header: u64,
    /// Sums of all talkgroups, wider than a sample: saturation comes at the end, so the order of mixing does not matter.
    window: VecDeque<i32>,
    late: u64,
}

impl std::fmt::Debug for WavSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavSink")
            .field("path", &self.path)
            .field("written", &self.written)
            .field("late", &self.late)
            .finish_non_exhaustive()
    }
}

impl WavSink {
    /// Creates the file, over one that is there.
    ///
    /// # Errors
    /// [`SinkError::Write`]: ours; the folder must exist and be writable.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let spec = WavSpec { channels: 1, sample_rate: VOICE_HZ, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::create(path, spec).map_err(|error| failed(path, error))?;
        writer.flush().map_err(|error| failed(path, error))?;
        Ok(Self { path: path.to_owned(), writer, written: 0, in_header: 0, window: VecDeque::new(), late: 0 })
    }

    /// Adds `samples` from `position` on to what is there, filling the way to them with silence.
    ///
    /// # Errors
    /// [`SinkError`]: ours; the samples are lost.
    pub fn write_at(&mut self, position: u64, samples: &[i16]) -> Result<(), SinkError> {
        let end = position.saturating_add(samples.len() as u64);
        self.grow_to(end)?;
        for (place, sample) in (position..).zip(samples) {
            let slot = place.checked_sub(self.written).and_then(|index| usize::try_from(index).ok());
            match slot.and_then(|index| self.window.get_mut(index)) {
                Some(sum) => *sum = sum.saturating_add(i32::from(*sample)),
                None => self.late += 1,
            }
        }
        Ok(())
    }

    /// Makes everything before `position` final and writes it out, silence where nothing was played. Called with the clock, it
    /// keeps the file growing while nobody talks.
    ///
    /// # Errors
    /// [`SinkError`]: ours.
    pub fn commit(&mut self, position: u64) -> Result<(), SinkError> {
        self.grow_to(position)?;
        self.write_out(position)
    }

    /// Samples dropped because they came for a place that was already final.
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// Closes the file; it lasts to `end` at least.
    ///
    /// # Errors
    /// [`SinkError`]: ours; the file is valid up to the last header.
    pub fn finish(mut self, end: u64) -> Result<(), SinkError> {
        self.grow_to(end)?;
        self.write_out(self.end())?;
        let Self { path, writer, .. } = self;
        writer.finalize().map_err(|error| failed(&path, error))
    }

    fn end(&self) -> u64 {
        self.written + self.window.len() as u64
    }

    /// Lengthens the timeline to `end` with silence and writes out what falls out of the window.
    fn grow_to(&mut self, end: u64) -> Result<(), SinkError> {
        if end > FILE_SAMPLES_MAX {
            return Err(SinkError::TooLong { path: self.path.clone(), max_hours: FILE_SAMPLES_MAX / u64::from(VOICE_HZ) / 3_600 });
        }
        if end > self.end() {
            self.write_out(end.saturating_sub(WINDOW_SAMPLES as u64))?;
            self.window.resize(usize::try_from(end - self.written).unwrap_or(WINDOW_SAMPLES), 0);
        }
        Ok(())
    }

    /// Moves the border between file and window to `position`; what the window lacks on the way is silence.
    fn write_out(&mut self, position: u64) -> Result<(), SinkError> {
        while self.written < position {
            let sum = self.window.pop_front().unwrap_or(0).clamp(i16::MIN.into(), i16::MAX.into());
            self.writer.write_sample(sum).map_err(|error| failed(&self.path, error))?;
            self.written += 1;
        }
        if self.written - self.in_header >= HEADER_EVERY {
            self.writer.flush().map_err(|error| failed(&self.path, error))?;
            self.in_header = self.written;
        }
        Ok(())
    }
}

impl Sink for WavSink {
    fn play(&mut self, position: u64, frame: &Frame) -> Result<(), SinkError> {
        self.write_at(position, frame.samples())
    }
}

fn failed(path: &Path, error: hound::Error) -> SinkError {
    let source = if let hound::Error::IoError(source) = error { source } else { io::Error::other(error) };
    SinkError::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(path: &Path) -> Vec<i16> {
        let reader = hound::WavReader::open(path).unwrap();
        assert_eq!((reader.spec().channels, reader.spec().sample_rate, reader.spec().bits_per_sample), (1, 16_000, 16));
        reader.into_samples().map(Result::unwrap).collect()
    }

    fn sink() -> (tempfile::TempDir, PathBuf, WavSink) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let sink = WavSink::create(&path).unwrap();
        (folder, path, sink)
    }

    #[test]
    fn silence_is_kept_before_between_and_behind() {
        let (_folder, path, mut sink) = sink();
        sink.write_at(1_000, &[5; 320]).unwrap();
        sink.write_at(100_000, &[7; 320]).unwrap();
        sink.finish(120_000).unwrap();
        let written = samples(&path);
        assert_eq!(written.len(), 120_000);
        let sounding: Vec<usize> = written.iter().enumerate().filter(|(_, s)| **s != 0).map(|(n, _)| n).collect();
        assert_eq!(sounding, (1_000..1_320).chain(100_000..100_320).collect::<Vec<_>>());
    }

    #[test]
    fn overlapping_talkgroups_are_mixed_and_saturate_whatever_the_order() {
        for order in [[30_000, 30_000, -30_000], [-30_000, 30_000, 30_000]] {
            let (_folder, path, mut sink) = sink();
            for level in order {
                sink.write_at(10, &[level; 2]).unwrap();
            }
            sink.write_at(11, &[20_000; 2]).unwrap();
            sink.finish(0).unwrap();
            assert_eq!(samples(&path)[9..], [0, 30_000, i16::MAX, 20_000]);
        }
    }

    #[test]
    fn a_killed_process_leaves_a_valid_file_up_to_the_last_commit() {
        let (_folder, path, mut sink) = sink();
        for frame in 0..500_u64 {
            sink.play(frame * 320, &Frame::new([9; 320])).unwrap();
            sink.commit(frame * 320).unwrap();
        }
        // No finish and no drop, as after a kill: what the header says is in the file.
        let written = samples(&path);
        assert!(written.len() as u64 + HEADER_EVERY > 499 * 320, "{} samples", written.len());
        assert!(written.iter().all(|s| *s == 9));
        drop(sink);
    }

    #[test]
    fn an_empty_file_is_valid_from_the_start() {
        let (_folder, path, sink) = sink();
        assert_eq!(samples(&path), []);
        drop(sink);
    }

    #[test]
    fn memory_is_bounded_and_what_comes_too_late_is_counted() {
        let (_folder, path, mut sink) = sink();
        sink.write_at(1_000_000, &[1; 320]).unwrap();
        assert_eq!(sink.window.len(), WINDOW_SAMPLES);
        let border = 1_000_320 - WINDOW_SAMPLES as u64;
        sink.write_at(border - 2, &[4; 3]).unwrap();
        assert_eq!(sink.late(), 2);
        sink.finish(0).unwrap();
        let written = samples(&path);
        assert_eq!(written.len(), 1_000_320);
        assert_eq!(written[usize::try_from(border).unwrap() - 1..][..3], [0, 4, 0]);
    }

    #[test]
    fn a_place_beyond_the_end_of_any_wav_file_is_refused() {
        let (_folder, _path, mut sink) = sink();
        assert!(matches!(sink.write_at(u64::MAX, &[1; 320]), Err(SinkError::TooLong { .. })));
        sink.write_at(0, &[1; 320]).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = WavSink::create(Path::new("/nonexistent/out.wav")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/out.wav"), "{error}");
    }
}
