//! Messages to fill a store with.
#![allow(dead_code, reason = "each test binary uses its part")]

use bytes::Bytes;
use store::{Change, Entry, Kept, Known, Load, Options, Write};
use talkbridge_store as store;
use wire::Identity;
use wire::data::{MessageId, Recipient, Signature};

/// Room enough, and no reserve to be written each time.
pub(crate) const ROOMY: Options = Options { max_bytes: 1 << 30, reserve_bytes: 0 };

pub(crate) fn id(number: u64) -> MessageId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    MessageId(bytes)
}

pub(crate) fn number_of(id: MessageId) -> u64 {
    u64::from_be_bytes(id.0[8..].try_into().expect("eight bytes"))
}

pub(crate) fn identity(text: &str) -> Identity {
    text.parse().expect("a name")
}

pub(crate) fn recipient(text: &str) -> Recipient {
    text.parse().expect("a name")
}

/// What is signed in message `number`: tells its number, so that another message's bytes are noticed.
pub(crate) fn signed(number: u64, bytes: usize) -> Bytes {
    number.to_be_bytes().iter().copied().cycle().take(bytes).collect()
}

pub(crate) fn known(number: u64) -> Known {
    Known {
        id: id(number),
        sender: identity("nl/unit/maas-12"),
        recipient: recipient("be/unit/lux-7"),
        back: identity("nl/unit/maas-12"),
        digest: Known::digest(&signed(number, 8)),
        until_ms: 10_000 + number,
    }
}

pub(crate) fn kept(number: u64, bytes: usize) -> Kept {
    let signature = Signature { scheme: 0x0807, key: [7; 32], value: Bytes::from_static(&[9; 64]) };
    Kept { id: id(number), signed: signed(number, bytes), signature }
}

pub(crate) fn entry(number: u64, outbox: &str) -> Entry {
    Entry {
        outbox: recipient(outbox),
        urgent: false,
        sender: identity("nl/unit/maas-12"),
        expires_ms: 5_000 + number,
        load: Load::Message { id: id(number), to: recipient("be/unit/lux-7"), hops: 1, status: Some(32_801) },
    }
}

/// A new message of 140 bytes for the peer.
pub(crate) fn message(number: u64) -> Write {
    sized(number, 140)
}

pub(crate) fn sized(number: u64, bytes: usize) -> Write {
    let changes = vec![Change::Keep(kept(number, bytes)), Change::Put(entry(number, PEER))];
    Write { remember: Some(known(number)), changes, alert: false }
}

pub(crate) const PEER: &str = "be/gateway/gw-1";
