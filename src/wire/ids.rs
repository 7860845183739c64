//! Names and numbers of the protocol: identities, talkgroups, spurts, requests.
//!
//! Every identifier is a type of its own, so that two of them can never be swapped. Text forms are
//! parsed once, here, at the edge; inside the house only valid ones exist.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::NameError;

/// Longest authority code, in bytes.
pub const AUTHORITY_MAX_BYTES: usize = 16;
/// Longest name of a unit, gateway or talkgroup, in bytes.
pub const NAME_MAX_BYTES: usize = 48;

fn check_code(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() || text.len() > max {
        return Err(NameError::Length { what, got: text.len(), max });
    }
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_' || c == b'.';
    match text.bytes().find(|c| !fits(*c)) {
        Some(byte) => Err(NameError::Character { what, byte }),
        None if text.starts_with(['-', '.']) => Err(NameError::Character { what, byte: text.as_bytes()[0] }),
        None => Ok(()),
    }
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check_code($what, text, $max)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_name!(
    /// A country or organisation with its own root certificate: `nl`, `be`, `de`.
    Authority, "authority", AUTHORITY_MAX_BYTES
);
text_name!(
    /// The last part of an identity or talkgroup: `maas-12`, `pol-1`.
    Name, "name", NAME_MAX_BYTES
);

/// What a certificate holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A field user's terminal.
    Unit,
    /// A control-room position.
    Dispatcher,
    /// A server process of an authority.
    Gateway,
}

impl Kind {
    /// The word used in identities and certificates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Dispatcher => "dispatcher",
            Self::Gateway => "gateway",
        }
    }
}

impl FromStr for Kind {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "unit" => Ok(Self::Unit),
            "dispatcher" => Ok(Self::Dispatcher),
            "gateway" => Ok(Self::Gateway),
            _ => Err(NameError::Kind),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who somebody is: `AUTHORITY/KIND/NAME`, e.g. `nl/unit/maas-12`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The authority whose root certifies this identity.
    pub authority: Authority,
    /// Unit, dispatcher or gateway.
    pub kind: Kind,
    /// The name inside the authority and kind.
    pub name: Name,
}

/// Scheme of the URI SAN that carries an identity in a certificate.
const SAN_PREFIX: &str = "talkbridge://";

impl Identity {
    /// Puts an identity together.
    pub fn new(authority: Authority, kind: Kind, name: Name) -> Self {
        Self { authority, kind, name }
    }

    /// The URI SAN of a certificate: `talkbridge://nl/unit/maas-12`.
    pub fn to_san(&self) -> String {
        format!("{SAN_PREFIX}{self}")
    }

    /// Reads the URI SAN of a certificate.
    ///
    /// # Errors
    /// [`NameError`] if the scheme or a part does not fit: the certificate's issuer is at fault.
    pub fn from_san(uri: &str) -> Result<Self, NameError> {
        uri.strip_prefix(SAN_PREFIX).ok_or(NameError::Scheme)?.parse()
    }
}

impl FromStr for Identity {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut parts = text.split('/');
        let (Some(authority), Some(kind), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(NameError::Shape { want: "AUTHORITY/KIND/NAME" });
        };
        Ok(Self::new(authority.parse()?, kind.parse()?, name.parse()?))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.authority, self.kind, self.name)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A talkgroup: `AUTHORITY/NAME`, e.g. `nl/pol-1`. It belongs to the authority that names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TalkgroupId {
    /// The authority the talkgroup belongs to.
    pub authority: Authority,
    /// The name inside the authority.
    pub name: Name,
}

impl TalkgroupId {
    /// Puts a talkgroup id together.
    pub fn new(authority: Authority, name: Name) -> Self {
        Self { authority, name }
    }
}

impl FromStr for TalkgroupId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((authority, name)) => Ok(Self::new(authority.parse()?, name.parse()?)),
            None => Err(NameError::Shape { want: "AUTHORITY/NAME" }),
        }
    }
}

impl fmt::Display for TalkgroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.authority, self.name)
    }
}

impl fmt::Debug for TalkgroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A pattern over identities, part by part: `nl/*/*`, `nl/unit/maas-12`, `*/dispatcher/*`.
///
/// A part is either `*` or an exact word; there are no partial wildcards, so that what a
/// configuration allows can be read off the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    authority: Option<Authority>,
    kind: Option<Kind>,
    name: Option<Name>,
}

impl Pattern {
    /// Whether the identity fits the pattern.
    pub fn matches(&self, identity: &Identity) -> bool {
        self.authority.as_ref().is_none_or(|a| *a == identity.authority)
            && self.kind.is_none_or(|k| k == identity.kind)
            && self.name.as_ref().is_none_or(|n| *n == identity.name)
    }
}

impl FromStr for Pattern {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        fn part<T: FromStr<Err = NameError>>(text: &str) -> Result<Option<T>, NameError> {
            if text == "*" { Ok(None) } else { text.parse().map(Some) }
        }
        let mut parts = text.split('/');
        let (Some(authority), Some(kind), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(NameError::Shape { want: "AUTHORITY/KIND/NAME with * for any" });
        };
        Ok(Self { authority: part(authority)?, kind: part(kind)?, name: part(name)? })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.authority.as_ref().map_or("*", Authority::as_str);
        let kind = self.kind.map_or("*", Kind::as_str);
        let name = self.name.as_ref().map_or("*", Name::as_str);
        write!(f, "{authority}/{kind}/{name}")
    }
}

/// One QUIC session with a gateway, numbered by the process that owns it; never on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Short number of a talkgroup inside datagrams; one per gateway, told in *affiliated* and *sync*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u16);

/// Number of one floor request; chosen by the requester, rising within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Generation of an arbiter's spurt numbers. Compared as a serial number (RFC 1982), so it may wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub u8);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Whether this epoch comes after the other, wrap-aware.
    pub fn is_after(self, other: Self) -> bool {
        let distance = self.0.wrapping_sub(other.0);
        distance != 0 && distance < 128
    }

    /// The later of the two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.is_after(self) { other } else { self }
    }

    /// The epoch after both; about half the circle apart there is none.
    pub fn after_both(self, other: Self) -> Option<Self> {
        let next = self.max(other).next();
        (next.is_after(self) && next.is_after(other)).then_some(next)
    }

    /// The epoch a quarter of the circle later: as far as one step can safely go.
    #[must_use]
    pub fn quarter_on(self) -> Self {
        Self(self.0.wrapping_add(64))
    }
}

/// Number of one talk burst: epoch (8 bit) and counter (24 bit), given by the arbiter in the grant.
///
/// Rises within one session with the source of truth; numbers of two sessions are not comparable.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spurt {
    /// The arbiter's generation.
    pub epoch: Epoch,
    counter: u32,
}

impl Spurt {
    /// Largest counter; the one after it starts the next epoch.
    pub const COUNTER_MAX: u32 = 0x00ff_ffff;

    /// The number before the first spurt of an epoch.
    pub fn start_of(epoch: Epoch) -> Self {
        Self { epoch, counter: 0 }
    }

    /// Whether it names no spurt, only the start of its epoch.
    pub fn is_start(self) -> bool {
        self.counter == 0
    }

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        if self.counter == Self::COUNTER_MAX {
            Self { epoch: self.epoch.next(), counter: 1 }
        } else {
            Self { epoch: self.epoch, counter: self.counter + 1 }
        }
    }

    /// Whether this spurt comes after the other in the same session.
    pub fn is_after(self, other: Self) -> bool {
        if self.epoch == other.epoch { self.counter > other.counter } else { self.epoch.is_after(other.epoch) }
    }

    /// The 32 bits of the wire: epoch in the top byte.
    pub fn to_bits(self) -> u32 {
        u32::from(self.epoch.0) << 24 | self.counter
    }

    /// Reads the 32 bits of the wire.
    pub fn from_bits(bits: u32) -> Self {
        Self { epoch: Epoch(bits.to_be_bytes()[0]), counter: bits & Self::COUNTER_MAX }
    }
}

impl fmt::Display for Spurt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.0, self.counter)
    }
}

impl fmt::Debug for Spurt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Sequence number of a voice frame inside its spurt: counts from 0; a spurt is shorter than 65,536 frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u16);

impl Seq {
    /// The number after this one; stays at the largest, which no talk limit reaches.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_round_trips_through_text_and_san() {
        let identity: Identity = "nl/unit/maas-12".parse().unwrap();
        assert_eq!(identity.to_string(), "nl/unit/maas-12");
        assert_eq!(Identity::from_san(&identity.to_san()).unwrap(), identity);
    }

    #[test]
    fn bad_names_are_refused() {
        for bad in ["", "nl", "nl/unit", "nl/unit/a/b", "NL/unit/a", "nl/car/a", "nl/unit/", "nl/unit/a b", "nl/unit/-a", "nl/unit/\u{e9}"]
        {
            assert!(bad.parse::<Identity>().is_err(), "{bad:?}");
        }
        assert!(format!("nl/{}", "x".repeat(NAME_MAX_BYTES + 1)).parse::<TalkgroupId>().is_err());
    }

    #[test]
    fn pattern_matches_part_by_part() {
        let maas: Identity = "nl/unit/maas-12".parse().unwrap();
        for (pattern, fits) in [("nl/*/*", true), ("*/*/*", true), ("nl/dispatcher/*", false), ("*/unit/maas-12", true), ("be/*/*", false)]
        {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(&maas), fits, "{pattern}");
            assert_eq!(pattern.parse::<Pattern>().unwrap().to_string(), pattern);
        }
        assert!("nl/*".parse::<Pattern>().is_err());
        assert!("nl/ma*/x".parse::<Pattern>().is_err());
    }

    #[test]
    fn two_epochs_have_one_after_both_unless_half_the_circle_lies_between() {
        for (own, far) in (0..=255).flat_map(|own| (0..=255).map(move |far| (Epoch(own), Epoch(far)))) {
            let met = own.after_both(far);
            assert_eq!(met.is_none(), matches!(far.0.wrapping_sub(own.0), 127..=129), "{own:?} {far:?}");
            let from = if met.is_none() { own.quarter_on() } else { own };
            let met = from.after_both(far).unwrap();
            assert!(met.is_after(from) && met.is_after(far) && !own.is_after(from), "{own:?} {far:?}");
        }
    }

    #[test]
    fn spurt_numbers_rise_across_counter_and_epoch_wrap() {
        let last = Spurt::from_bits(0x07ff_ffff);
        assert!(last.next().is_after(last));
        assert_eq!(last.next().epoch, Epoch(8));
        let wrapped = Spurt::from_bits(0xffff_ffff).next();
        assert_eq!(wrapped.epoch, Epoch(0));
        assert!(wrapped.is_after(Spurt::from_bits(0xff00_0001)));
        assert!(!last.is_after(last));
        assert_eq!(Spurt::from_bits(wrapped.to_bits()), wrapped);
    }
}
