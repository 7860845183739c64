//! Names in certificates: the rules of identities, checked where they are written so that no reader has to refuse them.
//!
//! Stands beside the data path. The rules are those of the wire's `Authority` and `Name`; this crate may not use them,
//! for it depends on nothing of the house.

use std::fmt;
use std::str::FromStr;

use crate::error::PkiError;

/// Longest authority code, in bytes.
pub const AUTHORITY_MAX_BYTES: usize = 16;
/// Longest name of a certificate holder, in bytes.
pub const NAME_MAX_BYTES: usize = 48;
/// Longest agency or alias, in characters (RFC 5280, upper bounds of the subject's O and CN).
pub const TEXT_MAX_CHARS: usize = 64;

const SCHEME: &str = "talkbridge://";

/// What a certificate holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A field user's terminal.
    Unit,
    /// A control-room position.
    Dispatcher,
    /// A server process of the authority.
    Gateway,
}

impl Kind {
    /// The word used in certificates and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Dispatcher => "dispatcher",
            Self::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = PkiError;
    fn from_str(text: &str) -> Result<Self, PkiError> {
        match text {
            "unit" => Ok(Self::Unit),
            "dispatcher" => Ok(Self::Dispatcher),
            "gateway" => Ok(Self::Gateway),
            _ => Err(PkiError::Kind(text.to_owned())),
        }
    }
}

fn check(what: &'static str, text: &str, max: usize) -> Result<(), PkiError> {
    if text.is_empty() || text.len() > max {
        return Err(PkiError::Length { what, got: text.len(), max });
    }
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    let first = text.bytes().next().filter(|byte| matches!(byte, b'-' | b'.'));
    match text.bytes().find(|byte| !fits(*byte)).or(first) {
        Some(byte) => Err(PkiError::Character { what, byte }),
        None => Ok(()),
    }
}

pub(crate) fn check_authority(text: &str) -> Result<(), PkiError> {
    check("authority", text, AUTHORITY_MAX_BYTES)
}

pub(crate) fn check_name(text: &str) -> Result<(), PkiError> {
    check("name", text, NAME_MAX_BYTES)
}

pub(crate) fn check_text(what: &'static str, text: &str) -> Result<(), PkiError> {
    let fits = (1..=TEXT_MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(PkiError::Text { what }) }
}

/// The URI that marks a root: `talkbridge://nl/authority`. It has two parts, hence can never pass for an identity.
pub(crate) fn root_uri(authority: &str) -> String {
    format!("{SCHEME}{authority}/authority")
}

/// The authority code in a root's URI, if it is one.
pub(crate) fn authority_of_root_uri(uri: &str) -> Option<&str> {
    let code = uri.strip_prefix(SCHEME)?.strip_suffix("/authority")?;
    check_authority(code).is_ok().then_some(code)
}

/// The URI of a certificate holder: `talkbridge://nl/unit/maas-12`.
pub(crate) fn holder_uri(authority: &str, kind: Kind, name: &str) -> String {
    format!("{SCHEME}{authority}/{kind}/{name}")
}
