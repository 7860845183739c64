//! What can go wrong beside the data path, while certificates are made: whose fault it is and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::names::TEXT_MAX_CHARS;

/// Who has to act before the same call can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller asked for something malformed; another request helps, a retry does not.
    Request,
    /// The request is well formed and was refused because of what exists already; no retry helps.
    Refused,
    /// A file is missing, unreadable or damaged, or the machine failed; a retry helps once that is mended.
    Machine,
}

/// Why an authority did not do what it was asked.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A name is empty or too long; the caller's to change.
    #[error("{what} must have 1 to {max} bytes, got {got}")]
    Length {
        /// Which name.
        what: &'static str,
        /// Its length in bytes.
        got: usize,
        /// The longest allowed.
        max: usize,
    },
    /// A name holds a character that identities cannot; the caller's to change.
    #[error("{what} may hold a-z, 0-9, '-', '_' and '.' and starts with neither '-' nor '.'; got byte 0x{byte:02x}")]
    Character {
        /// Which name.
        what: &'static str,
        /// The first byte that does not fit.
        byte: u8,
    },
    /// Not one of the three kinds; the caller's to change.
    #[error("kind must be unit, dispatcher or gateway, got {0:?}")]
    Kind(String),
    /// An agency or alias that no display could show; the caller's to change.
    #[error("{what} must have 1 to {TEXT_MAX_CHARS} characters, none of them a control character")]
    Text {
        /// Which text.
        what: &'static str,
    },
    /// Not an RFC 3339 date; the caller's to change.
    #[error("{text:?} is not a date like 2027-03-01T12:00:00Z: {why}")]
    Date {
        /// What was given.
        text: String,
        /// What does not fit.
        why: time::error::Parse,
    },
    /// The certificate would end after its root, and would then be refused before its own date; the caller's to change.
    #[error("the certificate would outlive its authority's root, which ends {}; choose an earlier end", rfc3339(root_until))]
    OutlivesRoot {
        /// Last second of the root.
        root_until: OffsetDateTime,
    },
    /// The end cannot be written into a certificate; the caller's to change.
    #[error("the end lies outside the years that a certificate can hold")]
    OutOfRange,
    /// What was to be revoked is no certificate; the caller's to change.
    #[error("not a certificate: {0}")]
    NotACertificate(String),
    /// A file is in the way. Nothing is ever overwritten, because a lost key cannot be made again.
    #[error("{} exists already and is left as it is; choose another folder or name, or move it away", .0.display())]
    Exists(PathBuf),
    /// The certificate comes from elsewhere; only its own authority can revoke it.
    #[error("this certificate was not issued by authority {authority}; revoke it at the authority that issued it")]
    NotIssuedHere {
        /// The authority that was asked.
        authority: String,
    },
    /// A root does not stand on its own revocation list; those who trust it must remove it.
    #[error("this is the root of authority {authority} itself; a root ends by being removed wherever it is trusted")]
    IsRoot {
        /// The authority that was asked.
        authority: String,
    },
    /// A file holds something else than it should; restore it from a copy.
    #[error("{}: {why}", file.display())]
    Damaged {
        /// The file, or its name alone for what was handed over in memory.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refused a file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The crypto library gave no random numbers or no key.
    #[error("no random numbers or no key from the crypto library; try again")]
    Crypto(#[from] aws_lc_rs::error::Unspecified),
    /// A key could not be used for signing.
    #[error("signing: {0}")]
    Signing(#[from] rcgen::Error),
}

impl PkiError {
    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Length { .. }
            | Self::Character { .. }
            | Self::Kind(_)
            | Self::Text { .. }
            | Self::Date { .. }
            | Self::OutlivesRoot { .. }
            | Self::OutOfRange
            | Self::NotACertificate(_) => Fault::Request,
            Self::Exists(_) | Self::NotIssuedHere { .. } | Self::IsRoot { .. } => Fault::Refused,
            Self::Damaged { .. } | Self::File { .. } | Self::Crypto(_) | Self::Signing(_) => Fault::Machine,
        }
    }

    pub(crate) fn damaged(file: &str, why: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), why: why.into() }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { path, source }
    }

    /// Says in which folder the damaged file lies.
    pub(crate) fn below(self, folder: &Path) -> Self {
        if let Self::Damaged { file, why } = self { Self::Damaged { file: folder.join(file), why } } else { self }
    }
}

fn rfc3339(date: &OffsetDateTime) -> String {
    date.format(&Rfc3339).unwrap_or_else(|_| date.to_string())
}
