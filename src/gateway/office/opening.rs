//! Opens the message store at the start. Whatever is wrong with it, voice starts: what cannot be kept is refused, and an alarm says so.

use std::path::Path;

use store::{Ledger, Options, Point};
use tracing::error;

/// A store that is open and has no thread yet.
pub struct Messages {
    pub(crate) ledger: Ledger,
    /// Told the moments of each group, for tests that end the process there.
    pub(crate) at: fn(Point),
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

impl Messages {
    /// Messages in this ledger.
    pub fn over(ledger: Ledger) -> Self {
        Self { ledger, at: |_| {} }
    }
}

/// Opens the store; without it the gateway takes no messages, and says why.
///
/// # Errors
/// The line for the operator.
pub(crate) fn open(path: &Path, now_ms: u64) -> Result<Messages, String> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // What is wrong with it is told by the opening, with the file's name.
        let _ = std::fs::create_dir_all(folder);
    }
    match Ledger::open(path, Options::default(), now_ms) {
        Ok((ledger, opened)) => {
            if let Some(aside) = opened.moved_aside {
                error!(
                    file = %path.display(), aside = %aside.display(),
                    "ALARM: the message store was damaged and is moved aside; it begins empty, and messages that were in it are lost"
                );
            }
            if opened.without_reserve {
                error!(file = %path.display(), "ALARM: the disk has no room for the reserve of the message store; free some space");
            }
            Ok(Messages::over(ledger))
        }
        Err(why) => {
            error!(%why, "ALARM: there is no message store; voice goes on, messages are refused until the gateway is started anew");
            Err(why.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_store_begins_empty_and_one_that_cannot_be_is_told_and_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("var/messages.sqlite");
        drop(open(&path, 1).unwrap());
        std::fs::write(&path, vec![0x5a; 8_192]).unwrap();
        drop(open(&path, 2).unwrap());
        assert!(folder.path().join("var/messages.sqlite.corrupt-2").exists());
        // A folder where the file should be.
        assert!(open(&folder.path().join("var"), 3).unwrap_err().contains("var: "));
    }
}
