//! Numbers in the state folder that the next run needs: the epoch in use, and the latest time that was seen.
//!
//! Off the data path. Each is one line in a file of its own, replaced whole, so that a power cut leaves the old or the new.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use wire::Epoch;

/// What to do about an epoch file that was damaged.
const EPOCH_UNREADABLE: &str = "not a number from 0 to 255; restore the file, write a number above the last epoch in use (the part \
    before the dot of the newest 'spurt' in the records) into it, or remove it to begin at 1, when peers may drop the first spurts";

/// The epoch of this run: above the one of the run before, written down before it is used.
pub(crate) fn next_epoch(file: &Path) -> io::Result<Epoch> {
    let before = match fs::read_to_string(file) {
        // Starting low in silence would let the peers drop this gateway's spurts as old ones.
        Ok(text) => text.trim().parse().map_err(|_not_one| io::Error::new(io::ErrorKind::InvalidData, EPOCH_UNREADABLE))?,
        Err(why) if why.kind() == io::ErrorKind::NotFound => 0,
        Err(why) => return Err(why),
    };
    let epoch = Epoch(before).next();
    keep_epoch(file, epoch)?;
    Ok(epoch)
}

/// Replaces the epoch.
pub(crate) fn keep_epoch(file: &Path, epoch: Epoch) -> io::Result<()> {
    keep(file, u64::from(epoch.0))
}

/// Replaces a number.
pub(crate) fn keep(file: &Path, number: u64) -> io::Result<()> {
    let scratch = file.with_extension("new");
    let mut out = fs::File::create(&scratch)?;
    writeln!(out, "{number}")?;
    out.sync_all()?;
    fs::rename(scratch, file)?;
    // The new name must outlive a power failure as well.
    file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_starts_above_the_epoch_kept_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("epoch");
        assert_eq!(next_epoch(&file).unwrap(), Epoch(1));
        assert_eq!(next_epoch(&file).unwrap(), Epoch(2));
        keep_epoch(&file, Epoch(255)).unwrap();
        assert_eq!(next_epoch(&file).unwrap(), Epoch(0));
        assert!(Epoch(0).is_after(Epoch(255)));
    }

    #[test]
    fn a_damaged_epoch_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("epoch");
        for damaged in ["", "twelve", "256", "7 8"] {
            fs::write(&file, damaged).unwrap();
            assert!(next_epoch(&file).unwrap_err().to_string().contains("not a number from 0 to 255"), "{damaged:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
        }
    }
}
