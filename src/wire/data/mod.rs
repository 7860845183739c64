//! Short data: text, status, location and binary messages, and what became of them.
//!
//! A [`Message`] is made and signed by the gateway of its sender, and travels as the bytes that were signed inside an
//! [`Envelope`], on which each gateway writes what only the next one needs. What goes over a data stream is an [`Item`]: a
//! message or a [`Report`] with a number, and the answer to that number. Who answers *taken* has made it durable, and the
//! other side may forget it. `SHORT_DATA.md` has the rules, `proto/short_data.proto` is the contract.
//!
//! In the data path: beside the control stream, on streams of its own ([`Lane`]), so that 4 KiB of text never stand before a
//! floor request. This module only reads and writes; it checks no signature and knows no time.

mod convert;
pub mod keep;
mod lane;
mod values;

use bytes::Bytes;
use prost::Message as _;

use crate::control::Talker;
use crate::error::DecodeError;
use crate::frame::{Frames, framed};

pub use lane::Lane;
pub use values::{ConversationId, Location, MessageId, Recipient, Undelivered, Wanted};

/// Largest text or binary content, in bytes.
pub const CONTENT_MAX_BYTES: usize = 4_096;
/// Largest [`Message`] as the bytes that are signed: the content, three names, two texts for people and some numbers.
pub const SIGNED_MAX_BYTES: usize = CONTENT_MAX_BYTES + 1_024;
/// Largest signature, in bytes: that of an RSA key of 4,096 bits.
pub const SIGNATURE_MAX_BYTES: usize = 512;
/// Most certificates of a chain.
pub const CHAIN_MAX: usize = 4;
/// Largest chain, in bytes of all its certificates.
pub const CHAIN_MAX_BYTES: usize = 12 * 1024;
/// Chains of gateways beyond that are remembered of one stream: its sender says again what is not among the last so many that it said there.
pub const CHAINS_REMEMBERED: usize = 16;
/// Longest time a message may be under way: seven days. Who remembers ids longer than that accepts nothing twice.
pub const LIFETIME_MAX_S: u32 = 7 * 24 * 3_600;
/// Gateways that may pass one message on.
pub const HOPS_MAX: u8 = 4;
/// What a gateway signs: these bytes, then [`Envelope::signed`]. What TLS signs with the same key begins differently.
pub const SIGNATURE_CONTEXT: &[u8] = b"talkbridge short data 1\0";

/// What goes over a data stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The sender's number of a message or report, rising within a session and stream; in an answer the number answered; else 0.
    pub number: u64,
    /// What it is.
    pub body: Body,
}

/// Bodies of [`Item`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A message on its way.
    Message(Box<Envelope>),
    /// What became of one, on its way back to its sender.
    Report(Report),
    /// The certificate of a gateway whose messages follow on this stream and who is not the other side of the session: DER, the signer's
    /// first, without the root.
    Certificate(Vec<Bytes>),
    /// The receiver has it safe and answers for it.
    Taken,
    /// The receiver does not take it.
    Refused(Undelivered),
}

/// A signed message, and what the gateway before adds for the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The [`Message`], as the bytes that were signed.
    pub signed: Bytes,
    /// Absent only from a unit to its gateway.
    pub signature: Option<Signature>,
    /// The recipient in the receiver's words: beyond a bridge the talkgroup has another name.
    pub to: Recipient,
    /// Gateways that passed it on, at most [`HOPS_MAX`].
    pub hops: u8,
    /// The status in the receiver's code, beside the original.
    pub status: Option<u16>,
}

/// Signature of the sender's gateway over [`SIGNATURE_CONTEXT`] and the signed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// TLS number of the scheme (RFC 8446 4.2.3).
    pub scheme: u16,
    /// SHA-256 of the certificate whose key signed.
    pub key: [u8; 32],
    /// The signature itself.
    pub value: Bytes,
}

/// A message, as its sender's gateway vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id, chosen by the sender's terminal.
    pub id: MessageId,
    /// Who sent it.
    pub from: Talker,
    /// For whom, as the sender named it.
    pub to: Recipient,
    /// When the sender's gateway took it, in milliseconds of UTC since 1970.
    pub sent_ms: u64,
    /// For how long it is worth delivering, 1 to [`LIFETIME_MAX_S`].
    pub lifetime_s: u32,
    /// Goes before what is not.
    pub urgent: bool,
    /// The conversation it belongs to.
    pub conversation: Option<ConversationId>,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
    /// The reports its sender wants; *undelivered* is always told.
    pub wanted: Wanted,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text for people, 1 to [`CONTENT_MAX_BYTES`]. May hold control characters: whoever shows it makes it fit for a screen.
    Text(String),
    /// A status, in the numbers of the sender's country.
    Status(u16),
    /// A place.
    Location(Location),
    /// Anything, 1 to [`CONTENT_MAX_BYTES`]; encrypted content too.
    Binary(Bytes),
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The message.
    pub id: MessageId,
    /// Whose terminal or user it is, or the talkgroup that nobody could be reached in.
    pub about: Recipient,
    /// What happened.
    pub disposition: Disposition,
    /// When, in milliseconds of UTC since 1970.
    pub at_ms: u64,
}

/// What happened to a message (TS 24.282 15.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disposition {
    /// It never will arrive.
    Undelivered(Undelivered),
    /// The terminal has it safe.
    Delivered,
    /// The user has seen it.
    Read,
}

impl Item {
    /// The item as the bytes of the stream: length and protobuf.
    pub fn encode(&self) -> Bytes {
        framed(&convert::write(self).encode_to_vec())
    }

    /// Reads one item without its length; `None` for one that this version does not know (to be skipped).
    ///
    /// # Errors
    /// [`DecodeError`]: the sender is at fault, the session should end as malformed.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        convert::read(crate::proto_data::Item::decode(bytes).map_err(not_protobuf)?)
    }
}

impl Envelope {
    /// The message inside.
    ///
    /// # Errors
    /// [`DecodeError`]: whoever signed it is at fault, and whoever passed it on should have refused it.
    pub fn open(&self) -> Result<Message, DecodeError> {
        Message::decode(&self.signed)
    }
}

impl Message {
    /// The bytes to be signed. They are never made again from what was read: a later version's fields would be lost.
    pub fn encode(&self) -> Bytes {
        convert::write_message(self).encode_to_vec().into()
    }

    /// Reads the signed bytes.
    ///
    /// # Errors
    /// [`DecodeError`]: whoever signed it is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > SIGNED_MAX_BYTES {
            return Err(DecodeError::Oversized { got: bytes.len(), max: SIGNED_MAX_BYTES });
        }
        convert::read_message(crate::proto_data::Message::decode(bytes).map_err(not_protobuf)?)
    }

    /// When it is worthless, in milliseconds of UTC since 1970.
    pub fn expires_ms(&self) -> u64 {
        self.sent_ms.saturating_add(u64::from(self.lifetime_s) * 1_000)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn not_protobuf(error: prost::DecodeError) -> DecodeError {
    DecodeError::Protobuf(error.to_string())
}

/// Collects the bytes of a data stream and gives out whole items.
#[derive(Debug, Default)]
pub struct Decoder {
    frames: Frames,
}

impl Decoder {
    /// Adds bytes as they came from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    /// The next item; `None` when more bytes are needed. Items of unknown type are skipped.
    ///
    /// # Errors
    /// [`DecodeError`] if the frame is too large or no item; the session must end, for the stream has lost its frame.
    pub fn next_item(&mut self) -> Result<Option<Item>, DecodeError> {
        while let Some(frame) = self.frames.next_frame()? {
            if let Some(item) = Item::decode(&frame)? {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }
}
