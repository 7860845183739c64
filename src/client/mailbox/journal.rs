//! The file in the state folder: appended to and synced, replaced by a shorter one now and then, one process at a time.
//!
//! Blocking: the driver runs it beside its own task.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::record::Record;

/// The records.
const FILE: &str = "messages";
/// Their successor, until it takes the name.
const NEW_FILE: &str = "messages.new";
/// Held by whoever has the folder open.
const LOCK_FILE: &str = "lock";
/// From this size on, in bytes, and twice what was left after the last time, the file is written anew.
const REPLACE_BYTES: u64 = 1024 * 1024;

/// A state folder that cannot be used; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it.
    #[error("{}: another process of this unit has the state folder open", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    file: File,
    length: u64,
    shortest: u64,
    _lock: File,
}

impl Journal {
    /// Opens the folder, which is created if need be, and reads what is in it; a torn end is cut off.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Vec<Record>), StateError> {
        let at = |path: PathBuf| move |source| StateError::Io { path, source };
        fs::create_dir_all(folder).map_err(at(folder.to_owned()))?;
        let (path, lock_path) = (folder.join(FILE), folder.join(LOCK_FILE));
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(at(lock_path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_held| StateError::InUse { folder: folder.to_owned() })?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(at(path)(error)),
        };
        let (records, sound) = Record::read_all(&bytes);
        if sound < bytes.len() {
            tracing::warn!(path = %path.display(), lost = bytes.len() - sound, "the end of the state was torn and is left out");
        }
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.set_len(u64::try_from(sound).unwrap_or(u64::MAX))?;
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
            Ok(file)
        };
        let file = open().map_err(at(path.clone()))?;
        let length = u64::try_from(sound).unwrap_or(u64::MAX);
        Ok((Self { folder: folder.to_owned(), file, length, shortest: 0, _lock: lock }, records))
    }

    /// Whether it has grown so long that it should be written anew.
    pub(crate) fn is_long(&self) -> bool {
        self.length > REPLACE_BYTES.max(2 * self.shortest)
    }

    /// Appends records: on the disk when this returns.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let bytes = bytes_of(records);
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Puts these records in the place of all: either they or the old ones are there, whatever happens.
    pub(crate) fn replace(&mut self, records: &[Record]) -> io::Result<()> {
        let (path, new_path) = (self.folder.join(FILE), self.folder.join(NEW_FILE));
        let bytes = bytes_of(records);
        fs::write(&new_path, &bytes)?;
        let file = OpenOptions::new().append(true).open(&new_path)?;
        file.sync_all()?;
        fs::rename(&new_path, &path)?;
        File::open(&self.folder)?.sync_all()?;
        self.file = file;
        self.length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.shortest = self.length;
        Ok(())
    }
}

fn bytes_of(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| record.write(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::data::MessageId;

    fn shown(byte: u8) -> Record {
        Record::Shown { id: MessageId([byte; 16]), until_ms: 1 }
    }

    #[test]
    fn what_was_written_is_there_again_and_a_torn_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, records) = Journal::open(&folder.path().join("state")).unwrap();
        assert!(records.is_empty());
        journal.append(&[shown(1), shown(2)]).unwrap();
        assert!(matches!(Journal::open(&folder.path().join("state")), Err(StateError::InUse { .. })));
        drop(journal);

        let path = folder.path().join("state").join(FILE);
        let sound = fs::read(&path).unwrap();
        fs::write(&path, [&sound[..], &sound[..20]].concat()).unwrap();
        let (mut journal, records) = Journal::open(&folder.path().join("state")).unwrap();
        assert_eq!(records, [shown(1), shown(2)]);
        journal.append(&[shown(3)]).unwrap();
        drop(journal);
        let (mut journal, records) = Journal::open(&folder.path().join("state")).unwrap();
        assert_eq!(records, [shown(1), shown(2), shown(3)]);

        journal.replace(&[shown(4)]).unwrap();
        journal.append(&[shown(5)]).unwrap();
        drop(journal);
        assert_eq!(Journal::open(&folder.path().join("state")).unwrap().1, [shown(4), shown(5)]);
    }
}
