//! What an authority is asked for and what it hands out; beside the data path.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::PkiError;
use crate::names::{Kind, check_name, check_text};

/// How long a certificate is valid unless the request says otherwise.
pub const DEFAULT_DAYS: u32 = 90;

/// How far back a certificate's validity starts, so that a clock running slow does not refuse it.
const BACKDATED: time::Duration = time::Duration::HOUR;

/// When a certificate ends; cut to whole seconds, as certificates are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// So long after it is issued.
    For(Duration),
    /// At a date, which may have passed.
    Until(OffsetDateTime),
}

impl Lifetime {
    /// So many days of 24 hours.
    pub fn days(days: u32) -> Self {
        Self::For(Duration::from_secs(u64::from(days) * 24 * 60 * 60))
    }

    /// Until an RFC 3339 date such as `2027-03-01T12:00:00Z`.
    ///
    /// # Errors
    /// [`PkiError::Date`] if the text is none; the caller's fault.
    pub fn until_rfc3339(text: &str) -> Result<Self, PkiError> {
        match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(date) => Ok(Self::Until(date)),
            Err(why) => Err(PkiError::Date { text: text.to_owned(), why }),
        }
    }

    /// First and last second of validity. The first lies before the last even if that has passed.
    pub(crate) fn window(self, now: OffsetDateTime) -> Result<(OffsetDateTime, OffsetDateTime), PkiError> {
        let end = match self {
            Self::For(length) => time::Duration::try_from(length).ok().and_then(|length| now.checked_add(length)),
            Self::Until(date) => Some(date),
        };
        let end = end.ok_or(PkiError::OutOfRange)?;
        let start = now.min(end).checked_sub(BACKDATED).filter(|start| start.year() >= 1970).ok_or(PkiError::OutOfRange)?;
        Ok((start, end))
    }
}

/// A certificate to be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) lifetime: Lifetime,
    pub(crate) agency: Option<String>,
    pub(crate) alias: Option<String>,
}

impl Request {
    /// Asks for a certificate of [`DEFAULT_DAYS`] whose alias is its name and which names no agency.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), lifetime: Lifetime::days(DEFAULT_DAYS), agency: None, alias: None }
    }

    /// Sets the end of validity.
    #[must_use]
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        Self { lifetime, ..self }
    }

    /// Sets the agency to show (subject O).
    #[must_use]
    pub fn agency(self, agency: impl Into<String>) -> Self {
        Self { agency: Some(agency.into()), ..self }
    }

    /// Sets the name to show (subject CN).
    #[must_use]
    pub fn alias(self, alias: impl Into<String>) -> Self {
        Self { alias: Some(alias.into()), ..self }
    }

    pub(crate) fn check(&self) -> Result<(), PkiError> {
        check_name(&self.name)?;
        self.agency.as_deref().map_or(Ok(()), |agency| check_text("agency", agency))?;
        self.alias.as_deref().map_or(Ok(()), |alias| check_text("alias", alias))
    }
}

/// A certificate and its key, for its holder.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    pub(crate) name: String,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Issued {
    /// The name inside the authority and kind; names the files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The chain without the root, leaf first: here the leaf alone.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key, PKCS #8. Not encrypted.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

impl fmt::Debug for Issued {
    /// Shows everything but the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("name", &self.name).field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}
