//! Where frames come from and where they go: the two traits that a WAV file, a sound card and a test share.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::pcm::Frame;

/// Gives voice, one frame after the other; sample 0 of the first frame is the first sample spoken.
pub trait Source {
    /// The next 20 ms, or `None` when the source has ended.
    fn next_frame(&mut self) -> Option<Frame>;
}

/// Takes voice that was played.
pub trait Sink {
    /// Plays `frame` from sample `position` on, counted at 16 kHz since the start of the sink.
    ///
    /// # Errors
    /// [`SinkError`]: our own side is at fault (a full disk, a vanished device); the voice of this frame is lost.
    fn play(&mut self, position: u64, frame: &Frame) -> Result<(), SinkError>;
}

/// A sink that could not take voice. Our own side is at fault.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The file cannot be created or written. Helps: room on the disk, rights on the folder; then try again.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A WAV file ends at 4 GiB. A retry does not help.
    #[error("{} would grow beyond the {max_hours} hours that a WAV file can hold", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// What fits, in hours of 16 kHz mono.
        max_hours: u64,
    },
}

/// A sink for tests and measurements: keeps every frame with its position.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    frames: Vec<(u64, Frame)>,
}

impl Collected {
    /// What was played, in the order of the calls.
    pub fn frames(&self) -> &[(u64, Frame)] {
        &self.frames
    }

    /// All samples one after the other, positions ignored.
    pub fn samples(&self) -> Vec<i16> {
        self.frames.iter().flat_map(|(_, frame)| *frame.samples()).collect()
    }
}

impl Sink for Collected {
    fn play(&mut self, position: u64, frame: &Frame) -> Result<(), SinkError> {
        self.frames.push((position, frame.clone()));
        Ok(())
    }
}
