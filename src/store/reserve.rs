//! Space on the disk that is kept for alerts: a file full of zeros beside the store, removed when the disk is full and an
//! alert must be written, made again when there is room.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file that holds the space.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// The reserve of a store; nothing is written yet.
    pub(crate) fn beside(store: &Path, bytes: u64) -> Self {
        let mut path = store.as_os_str().to_owned();
        path.push(".reserve");
        Self { path: path.into(), bytes }
    }

    /// Makes it, if it is not there; with real blocks, for a sparse file would hold nothing.
    ///
    /// # Errors
    /// There is no room now: alerts are refused like anything else until there is.
    pub(crate) fn fill(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|there| there.len() == self.bytes) {
            return Ok(());
        }
        let made = self.write();
        if made.is_err() {
            // Half a reserve is space that nobody can use.
            self.free();
        }
        made
    }

    fn write(&self) -> io::Result<()> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut file = File::create(&self.path)?;
        let mut left = self.bytes;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
            file.write_all(&ZEROS[..piece])?;
            left -= piece as u64;
        }
        file.sync_all()
    }

    /// Gives the space back.
    pub(crate) fn free(&self) {
        // Not there is as good as removed; anything else shows when the write is refused.
        let _ = fs::remove_file(&self.path);
    }
}
