//! Rows as SQLite holds them, their sums, and the way to types and back. A row that does not fit its sum reads as damaged. The key
//! by which a row was looked up is part of its sum: an index that the disk has spoilt leads to sound rows of somebody else.

use bytes::Bytes;
use wire::data::{Disposition, MessageId, Recipient, Report, Signature, Undelivered};

use wire::data::keep::{self as entry, sum};

const MESSAGE: i64 = 0;
const UNDELIVERED: i64 = 1;
const DELIVERED: i64 = 2;
const READ: i64 = 3;

/// SQLite's integers are signed: the same 64 bits.
pub(super) fn signed(value: u64) -> i64 {
    i64::from_ne_bytes(value.to_ne_bytes())
}

/// The way back.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::from_ne_bytes(value.to_ne_bytes())
}

/// Times are compared by SQL, so they must not wrap: what lies beyond is as good as never.
pub(super) fn time(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn total(texts: &[&[u8]], numbers: &[i64]) -> i64 {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    signed(sum(&[texts, &[&numbers]].concat()))
}

pub(super) struct Known {
    pub(super) sender: String,
    pub(super) recipient: String,
    pub(super) back: String,
    pub(super) digest: i64,
    pub(super) until_ms: i64,
}

impl Known {
    pub(super) fn of(known: &entry::Known) -> Self {
        Self {
            sender: known.sender.to_string(),
            recipient: known.recipient.to_string(),
            back: known.back.to_string(),
            digest: signed(known.digest),
            until_ms: time(known.until_ms),
        }
    }

    pub(super) fn sum(&self, id: MessageId) -> i64 {
        total(&[&id.0, self.sender.as_bytes(), self.recipient.as_bytes(), self.back.as_bytes()], &[self.digest, self.until_ms])
    }

    pub(super) fn into_known(self, id: MessageId, sum: i64) -> Option<entry::Known> {
        if self.sum(id) != sum {
            return None;
        }
        Some(entry::Known {
            id,
            sender: self.sender.parse().ok()?,
            recipient: self.recipient.parse().ok()?,
            back: self.back.parse().ok()?,
            digest: unsigned(self.digest),
            until_ms: u64::try_from(self.until_ms).ok()?,
        })
    }
}

pub(super) struct Kept {
    pub(super) signed: Vec<u8>,
    pub(super) scheme: i64,
    pub(super) key: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl Kept {
    pub(super) fn of(kept: &entry::Kept) -> Self {
        Self {
            signed: kept.signed.to_vec(),
            scheme: kept.signature.scheme.into(),
            key: kept.signature.key.to_vec(),
            signature: kept.signature.value.to_vec(),
        }
    }

    pub(super) fn sum(&self, id: MessageId) -> i64 {
        total(&[&id.0, &self.signed, &self.key, &self.signature], &[self.scheme])
    }

    pub(super) fn into_kept(self, id: MessageId, sum: i64) -> Option<entry::Kept> {
        if self.sum(id) != sum {
            return None;
        }
        let signature =
            Signature { scheme: self.scheme.try_into().ok()?, key: self.key.try_into().ok()?, value: Bytes::from(self.signature) };
        Some(entry::Kept { id, signed: self.signed.into(), signature })
    }
}

pub(super) struct Place {
    pub(super) talkgroup: String,
    pub(super) member: String,
    pub(super) urgent: bool,
    pub(super) number: i64,
}

impl Place {
    pub(super) fn sum(&self) -> i64 {
        total(&[self.talkgroup.as_bytes(), self.member.as_bytes()], &[self.urgent.into(), self.number])
    }
}

pub(super) struct Entry {
    pub(super) outbox: String,
    pub(super) urgent: bool,
    pub(super) sender: String,
    pub(super) expires_ms: i64,
    pub(super) id: Vec<u8>,
    pub(super) party: String,
    pub(super) kind: i64,
    pub(super) detail: i64,
    pub(super) status: Option<i64>,
    pub(super) at_ms: i64,
}

impl Entry {
    pub(super) fn of(entry: &entry::Entry) -> Self {
        let (party, kind, detail, status, at_ms) = match &entry.load {
            entry::Load::Message { to, hops, status, .. } => (to.to_string(), MESSAGE, i64::from(*hops), status.map(i64::from), 0),
            entry::Load::Report(report) => {
                let (kind, detail) = match report.disposition {
                    Disposition::Undelivered(reason) => (UNDELIVERED, i64::from(reason.to_code())),
                    Disposition::Delivered => (DELIVERED, 0),
                    Disposition::Read => (READ, 0),
                };
                (report.about.to_string(), kind, detail, None, time(report.at_ms))
            }
        };
        Self {
            outbox: entry.outbox.to_string(),
            urgent: entry.urgent,
            sender: entry.sender.to_string(),
            expires_ms: time(entry.expires_ms),
            id: entry.load.id().0.to_vec(),
            party,
            kind,
            detail,
            status,
            at_ms,
        }
    }

    pub(super) fn sum(&self, number: i64) -> i64 {
        let texts = [self.outbox.as_bytes(), self.sender.as_bytes(), &self.id, self.party.as_bytes()];
        let status = self.status.unwrap_or(-1);
        total(&texts, &[number, self.urgent.into(), self.expires_ms, self.kind, self.detail, status, self.at_ms])
    }

    pub(super) fn into_entry(self, number: u64, sum: i64) -> Option<entry::Entry> {
        if self.sum(signed(number)) != sum {
            return None;
        }
        let (id, party) = (MessageId(self.id.try_into().ok()?), self.party.parse::<Recipient>().ok()?);
        let report = |disposition| {
            let at_ms = u64::try_from(self.at_ms).ok()?;
            Some(entry::Load::Report(Report { id, about: party.clone(), disposition, at_ms }))
        };
        let load = match self.kind {
            UNDELIVERED => report(Disposition::Undelivered(Undelivered::from_code(self.detail.try_into().ok()?)))?,
            DELIVERED => report(Disposition::Delivered)?,
            READ => report(Disposition::Read)?,
            MESSAGE => {
                let status = self.status.map(u16::try_from).transpose().ok()?;
                entry::Load::Message { id, to: party, hops: self.detail.try_into().ok()?, status }
            }
            _ => return None,
        };
        Some(entry::Entry {
            outbox: self.outbox.parse().ok()?,
            urgent: self.urgent,
            sender: self.sender.parse().ok()?,
            expires_ms: u64::try_from(self.expires_ms).ok()?,
            load,
        })
    }
}
