//! The small values of short data: ids, recipients, places, and the closed list of why a message did not arrive.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::cause::closed_list;
use crate::error::NameError;
use crate::ids::{Authority, Identity, TalkgroupId};

/// Names a message everywhere and for ever: a UUID chosen by the sender's terminal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

/// Names a conversation: a UUID chosen by whoever began it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(pub [u8; 16]);

macro_rules! uuid_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Uuid::try_parse(text).map(|uuid| Self(uuid.into_bytes())).or(Err(NameError::Uuid))
            }
        }
    };
}

uuid_text!(MessageId);
uuid_text!(ConversationId);

impl MessageId {
    /// A new id, UUID version 7: sorts by the time, in milliseconds of UTC since 1970, then by chance.
    pub fn new(at_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(at_ms, &random).into_uuid().into_bytes())
    }
}

/// For whom a message is. The texts of the two differ in their number of parts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// A unit or dispatcher.
    Identity(Identity),
    /// The members of a talkgroup.
    Talkgroup(TalkgroupId),
}

impl Recipient {
    /// The authority it belongs to.
    pub fn authority(&self) -> &Authority {
        match self {
            Self::Identity(identity) => &identity.authority,
            Self::Talkgroup(talkgroup) => &talkgroup.authority,
        }
    }
}

impl FromStr for Recipient {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split('/').count() {
            2 => text.parse().map(Self::Talkgroup),
            3 => text.parse().map(Self::Identity),
            _ => Err(NameError::Shape { want: "AUTHORITY/KIND/NAME or AUTHORITY/NAME" }),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(identity) => identity.fmt(f),
            Self::Talkgroup(talkgroup) => talkgroup.fmt(f),
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place on earth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    latitude_e7: i32,
    longitude_e7: i32,
    /// Radius in metres within which it lies, if known.
    pub accuracy_m: Option<u32>,
    /// When it was measured, in milliseconds of UTC since 1970.
    pub at_ms: u64,
}

impl Location {
    /// A place in ten-millionths of a degree, north and east positive; `None` if it is not on the globe.
    pub fn new(latitude_e7: i32, longitude_e7: i32, accuracy_m: Option<u32>, at_ms: u64) -> Option<Self> {
        let on_earth = latitude_e7.unsigned_abs() <= 900_000_000 && longitude_e7.unsigned_abs() <= 1_800_000_000;
        // The wire says "not known" by 0 and so counts from 1.
        let known = accuracy_m.is_none_or(|metres| metres < u32::MAX);
        (on_earth && known).then_some(Self { latitude_e7, longitude_e7, accuracy_m, at_ms })
    }

    /// Degrees north, in ten-millionths.
    pub fn latitude_e7(&self) -> i32 {
        self.latitude_e7
    }

    /// Degrees east, in ten-millionths.
    pub fn longitude_e7(&self) -> i32 {
        self.longitude_e7
    }
}

/// The reports that a sender wants beside *undelivered* (TS 24.282 15.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// When the terminal has it.
    pub delivered: bool,
    /// When the user has seen it.
    pub read: bool,
}

closed_list!(
    /// Why a message was not taken, or did not arrive.
    Undelivered, other = Other, {
        /// It was not delivered within its lifetime.
        Expired = 1 "expired",
        /// Nobody of that name can be: no such authority is known here, or a gateway was named.
        UnknownRecipient = 2 "unknown_recipient",
        /// The talkgroup does not exist here.
        UnknownTalkgroup = 3 "unknown_talkgroup",
        /// The sender has not joined the talkgroup.
        NotAMember = 4 "not_a_member",
        /// The sender may not send to this recipient.
        NotAllowed = 5 "not_allowed",
        /// No agreement with the recipient's authority lets short data pass this way.
        BridgeForbids = 6 "bridge_forbids",
        /// The sender sends faster than the limit.
        RateLimited = 7 "rate_limited",
        /// As many messages wait for this recipient as may.
        QueueFull = 8 "queue_full",
        /// The gateway's disk is full.
        StoreFull = 9 "store_full",
        /// The gateway cannot keep messages: its store failed, or it has none.
        StoreFailed = 10 "store_failed",
        /// The content is longer than 4,096 bytes.
        TooLarge = 11 "too_large",
        /// The id names another message already.
        IdInUse = 12 "id_in_use",
        /// Its signature is not that of a gateway of its sender's authority, or the sender is not of the session's.
        NotAuthentic = 13 "not_authentic",
        /// It passed as many gateways as it may.
        TooManyHops = 14 "too_many_hops",
        /// The operator took it out of the queue.
        Withdrawn = 15 "withdrawn",
        /// A reason this version does not know.
        Other = 255 "other",
    }
);

impl Undelivered {
    /// Whether the same message may be taken later without anybody changing anything: a gateway then tries again until it expires,
    /// a user is told.
    pub fn is_transient(self) -> bool {
        match self {
            Self::RateLimited | Self::QueueFull | Self::StoreFull | Self::StoreFailed => true,
            Self::Expired
            | Self::UnknownRecipient
            | Self::UnknownTalkgroup
            | Self::NotAMember
            | Self::NotAllowed
            | Self::BridgeForbids
            | Self::TooLarge
            | Self::IdInUse
            | Self::NotAuthentic
            | Self::TooManyHops
            | Self::Withdrawn
            | Self::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_sorts_by_its_time() {
        let id = MessageId::new(1_800_000_000_000, [0xff; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(&id.to_string()[14..15], "7");
        assert!(MessageId::new(1_800_000_000_001, [0; 10]) > id);
        assert_eq!("not-a-uuid".parse::<MessageId>(), Err(NameError::Uuid));
    }

    #[test]
    fn a_recipient_is_told_by_its_parts() {
        assert!(matches!("nl/unit/maas-12".parse(), Ok(Recipient::Identity(_))));
        assert!(matches!("nl/pol-1".parse(), Ok(Recipient::Talkgroup(_))));
        for bad in ["nl", "nl/unit/a/b", "", "nl/car/a", "nl/"] {
            assert!(bad.parse::<Recipient>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_place_is_on_the_globe() {
        assert!(Location::new(-900_000_000, 1_800_000_000, None, 0).is_some());
        assert!(Location::new(900_000_001, 0, None, 0).is_none());
        assert!(Location::new(0, i32::MIN, None, 0).is_none());
        assert!(Location::new(0, 0, Some(u32::MAX), 0).is_none());
    }

    #[test]
    fn numbers_of_reasons_round_trip() {
        for reason in Undelivered::ALL {
            assert_eq!(Undelivered::from_code(reason.to_code()), *reason);
        }
        assert_eq!(Undelivered::from_code(9_999), Undelivered::Other);
    }
}
