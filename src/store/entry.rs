//! What goes into the store and comes out of it.

use bytes::Bytes;
use wire::data::{MessageId, Recipient, Report, Signature};
use wire::{Identity, TalkgroupId};

use crate::Failure;

/// One transaction: all of it, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// A message that must be new. If its id is known nothing of the rest happens, and the outcome says so.
    pub remember: Option<Known>,
    /// What changes, in this order.
    pub changes: Vec<Change>,
    /// May use the space that is kept for alerts. Writes that keep no message may in any case: they make room.
    pub alert: bool,
}

impl Write {
    /// Whether it may use the reserve.
    pub(crate) fn is_vital(&self) -> bool {
        self.alert || !self.changes.iter().any(|change| matches!(change, Change::Keep(_)))
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Keeps the bytes of a message, once for all its entries; they go with the last of these.
    Keep(Kept),
    /// Puts something into an outbox, behind what is there.
    Put(Entry),
    /// Takes an entry out; one that is not there any more does no harm.
    Settle(u64),
    /// A member of a talkgroup has everything up to this entry; never goes back.
    Advance {
        /// The talkgroup whose outbox it reads.
        talkgroup: TalkgroupId,
        /// The member.
        member: Identity,
        /// The last entry it has.
        number: u64,
    },
}

/// A message id that was seen, and the way back to its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The id.
    pub id: MessageId,
    /// Who sent it.
    pub sender: Identity,
    /// For whom.
    pub recipient: Recipient,
    /// Whose outbox takes the reports: the sender, or the gateway it came from.
    pub back: Identity,
    /// Content and promises of the message in short, to tell a copy from another message with the same id: see [`Known::digest`].
    pub digest: u64,
    /// Until when it must be remembered, in milliseconds of UTC: longer than the message may be under way.
    pub until_ms: u64,
}

impl Known {
    /// A short digest of what came; it tells copies apart, and protects from nobody.
    pub fn digest(bytes: &[u8]) -> u64 {
        crate::sum::sum(&[bytes])
    }
}

/// A message as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: MessageId,
    /// The signed bytes.
    pub signed: Bytes,
    /// The signature of the sender's gateway.
    pub signature: Signature,
}

/// Something in an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose outbox: a unit, a peer's gateway or a talkgroup.
    pub outbox: Recipient,
    /// Whether it goes on the urgent stream.
    pub urgent: bool,
    /// The message's sender: order is kept among what one sender sends.
    pub sender: Identity,
    /// When it is worthless, in milliseconds of UTC.
    pub expires_ms: u64,
    /// The message, or what became of it.
    pub load: Load,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Load {
    /// A message, whose bytes are [kept](Change::Keep), and what this gateway writes on its envelope.
    Message {
        /// Its id.
        id: MessageId,
        /// The recipient in the receiver's words.
        to: Recipient,
        /// Gateways that passed it on.
        hops: u8,
        /// The status in the receiver's code.
        status: Option<u16>,
    },
    /// What became of one.
    Report(Report),
}

impl Load {
    /// The message it is about.
    pub fn id(&self) -> MessageId {
        match self {
            Self::Message { id, .. } => *id,
            Self::Report(report) => report.id,
        }
    }
}

/// An entry that waits, with the bytes it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number: rises with the order of arrival, over restarts too.
    pub number: u64,
    /// The entry.
    pub entry: Entry,
    /// The message's bytes; `None` for a report.
    pub kept: Option<Kept>,
}

/// Entries in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What could be read.
    pub waiting: Vec<Waiting>,
    /// Numbers of entries that the disk has spoilt: never delivered, to be settled and told to the operator.
    pub damaged: Vec<u64>,
}

/// What became of a [`Write`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the disk; the numbers of what was put, in order.
    Committed(Vec<u64>),
    /// The message to be remembered is known: nothing was changed.
    Known {
        /// Whether it is the same message again, and not another one with its id.
        same: bool,
    },
    /// Nothing was changed.
    Refused(Failure),
}
