//! What can be wrong with bytes and names. Always the sender's fault; a retry with the same bytes never helps.

use thiserror::Error;

/// A name that breaks the rules of `ids`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Empty or too long.
    #[error("{what} must have 1 to {max} bytes, got {got}")]
    Length {
        /// Which part.
        what: &'static str,
        /// Its length in bytes.
        got: usize,
        /// The longest allowed.
        max: usize,
    },
    /// A character outside `a-z 0-9 - _ .`, or one of `-` and `.` in front.
    #[error("{what} may hold a-z, 0-9, '-', '_' and '.' and starts with a letter or digit; got byte 0x{byte:02x}")]
    Character {
        /// Which part.
        what: &'static str,
        /// The first byte that does not fit.
        byte: u8,
    },
    /// The number of parts is wrong.
    #[error("expected {want}")]
    Shape {
        /// The shape that was expected.
        want: &'static str,
    },
    /// Not one of the three kinds.
    #[error("kind must be unit, dispatcher or gateway")]
    Kind,
    /// Not one of the three tiers.
    #[error("tier must be normal, peril or emergency")]
    Tier,
    /// Not the text of a UUID.
    #[error("expected a UUID: 32 hexadecimal digits, with or without hyphens")]
    Uuid,
    /// A certificate's URI does not start with `talkbridge://`.
    #[error("the URI must start with talkbridge://")]
    Scheme,
}

/// Bytes that are not a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("{what} ends early")]
    Truncated {
        /// The field or message.
        what: &'static str,
    },
    /// A control frame above the cap; refused before memory is taken for it.
    #[error("control frame of {got} bytes, at most {max} allowed")]
    Oversized {
        /// The announced length in bytes.
        got: usize,
        /// The cap in bytes.
        max: usize,
    },
    /// A field holds a value outside its range.
    #[error("{what} holds an invalid value")]
    Invalid {
        /// The field.
        what: &'static str,
    },
    /// A field that must be there is missing.
    #[error("{what} is missing")]
    Missing {
        /// The field.
        what: &'static str,
    },
    /// Not protobuf.
    #[error("not a control message: {0}")]
    Protobuf(String),
    /// A name inside the message breaks its rules.
    #[error("{what}: {source}")]
    Name {
        /// The field.
        what: &'static str,
        /// What is wrong with it.
        source: NameError,
    },
}
