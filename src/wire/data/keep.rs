//! What is kept of short data: the words between those who decide (the engine) and the disk (the store), which do not know
//! each other. Never on a wire.

use bytes::Bytes;

use super::{MessageId, Recipient, Report, Signature};
use crate::ids::{Identity, TalkgroupId};

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
    /// Whether it may use the space that is kept for alerts.
    pub fn is_vital(&self) -> bool {
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
    /// A member of a talkgroup has every urgent entry, or every other, up to this one; never goes back.
    Advance {
        /// The talkgroup whose outbox it reads.
        talkgroup: TalkgroupId,
        /// The member.
        member: Identity,
        /// Of the urgent entries or the others: each has a place of its own, for the ones overtake the others.
        urgent: bool,
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
        sum(&[bytes])
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

/// Where in an outbox to read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub outbox: Recipient,
    /// The urgent entries or the others.
    pub urgent: bool,
    /// The entries after this number; 0 from the start.
    pub after: u64,
}

/// A question to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The next entries of an outbox.
    Page(Place, usize),
    /// Entries that are worthless at that time.
    Due(u64, usize),
    /// When the next one will be.
    NextDue,
    /// What is known about an id.
    Known(MessageId),
    /// Up to where a member has read its talkgroup's outbox, the urgent entries or the others.
    Place(TalkgroupId, Identity, bool),
    /// How much waits.
    Depth,
    /// How much waits, outbox by outbox.
    Standing,
    /// Forgets what may be forgotten at that time, so many at most.
    Upkeep(u64, usize),
}

/// What the store has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What became of a write.
    Written(Outcome),
    /// To [`Question::Page`] and [`Question::Due`].
    Page(Page),
    /// To [`Question::NextDue`].
    NextDue(Option<u64>),
    /// To [`Question::Known`].
    Known(Option<Known>),
    /// To [`Question::Place`].
    Place(Option<u64>),
    /// To [`Question::Depth`].
    Depth(Depth),
    /// To [`Question::Standing`].
    Standing(Standing),
    /// To [`Question::Upkeep`]: so many ids were forgotten.
    Upkeep(usize),
    /// The disk could not answer.
    Failed(Failure),
}

/// A reply, with the number of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number.
    pub token: u64,
    /// The reply.
    pub reply: Reply,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Entries in all outboxes.
    pub entries: u64,
    /// Messages that are kept for them.
    pub messages: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// How much waits, outbox by outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The largest number that an entry ever had.
    pub last: u64,
    /// Every outbox in which something waits, by name.
    pub backlog: Vec<Backlog>,
}

/// How much waits in one outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Whose.
    pub outbox: Recipient,
    /// How many entries.
    pub entries: u64,
    /// When the oldest of them was taken, in milliseconds of UTC; `None` if the disk has spoilt it.
    pub oldest_ms: Option<u64>,
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

/// Why a write or a read was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No space left: it goes on by itself when there is some. The operator is told.
    #[error("the disk is full, or the store as large as it may be")]
    Full,
    /// The disk failed. Nothing is accepted until a restart: after an fsync that failed nobody knows what is on the disk, and
    /// asking again would only seem to succeed.
    #[error("the disk failed; the store refuses everything until the gateway is restarted")]
    Failed,
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// FNV-1a, 64 bit, over the parts and their lengths. Every step can be undone, so one changed byte always changes the sum.
pub fn sum(parts: &[&[u8]]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(PRIME);
    parts.iter().fold(OFFSET, |sum, part| {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
        part.iter().fold(length.iter().fold(sum, step), step)
    })
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn every_flipped_bit_and_every_shifted_border_changes_the_sum() {
        let (first, second) = (b"nl/unit/maas-12".to_vec(), vec![0u8; 64]);
        let whole = sum(&[&first, &second]);
        for bit in 0..second.len() * 8 {
            let mut flipped = second.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum(&[&first, &flipped]), whole, "bit {bit}");
        }
        assert_ne!(sum(&[b"ab", b"c"]), sum(&[b"a", b"bc"]));
        assert_ne!(sum(&[b"", b"a"]), sum(&[b"a", b""]));
    }
}
