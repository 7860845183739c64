//! What can go wrong with a store, and whose it is to set right.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use wire::data::keep::Failure;

/// Why a store cannot be opened: the operator's, or somebody else holds it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{}: in use by another gateway", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error("{}: written by a later version (schema {found}, this one knows {known}); use that version, or another file", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// A database of some other program.
    #[error("{}: not a message store", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Something else.
    #[error("{}: {source}; check that the folder exists, is writable and has space", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A file beside it.
    #[error("{}: {source}; check that the folder exists, is writable and has space", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// What an error means for whoever asked.
pub(crate) fn failure(error: &rusqlite::Error) -> Failure {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) { Failure::Full } else { Failure::Failed }
}

/// Whether the file itself is spoilt, so that another one is needed.
pub(crate) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether somebody else holds the file.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
