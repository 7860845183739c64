//! Into whose outboxes a message goes, or why it goes nowhere. Pure: the same message, policy and bridges give the same ways.
//!
//! | from | to | ways | refused |
//! |---|---|---|---|
//! | own unit | own identity | its outbox, seen before or not | a gateway: *unknown recipient* |
//! | own unit | identity beyond a border | outbox of the peer | no bridge lets short data out: *bridge forbids*; no such peer: *unknown recipient* |
//! | own unit | own talkgroup | the talkgroup's outbox, and that of each peer bridged with it | *unknown talkgroup*, *not a member*, *not allowed* |
//! | visitor | own identity or talkgroup | as an own unit, this side only | beyond a border nobody here can sign for it: *not allowed* |
//! | peer | own identity | its outbox | *bridge forbids*, *not authentic*, *unknown recipient* |
//! | peer | own talkgroup | the talkgroup's outbox; at the home, under *onward* of both bridges, those of other partners | *bridge forbids*, *not authentic*, *too many hops* |
//!
//! Nobody speaks for another authority: a peer's message is of its own authority, or it is the home of the bridge and both list
//! that authority under *onward*. What comes back to its own authority is refused, so that nothing runs in a circle; ids and the
//! number of hops stop what a wrong configuration still lets run.

use std::collections::BTreeSet;

use wire::data::{Content, Envelope, HOPS_MAX, Message, Recipient, Undelivered};
use wire::{Authority, Identity, Kind, TalkgroupId};

use super::policy::Policy;
use crate::plan::Border;

/// One outbox that takes the message, and what is written on the envelope for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) outbox: Recipient,
    pub(super) to: Recipient,
    pub(super) hops: u8,
    pub(super) status: Option<u16>,
    /// Until when it is kept there, in milliseconds of UTC.
    pub(super) until_ms: u64,
}

/// Why there is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoWay {
    /// For this reason.
    Because(Undelivered),
    /// The bridge is configured and has not come up: perhaps the other side's words are still on their way.
    NotYet,
}

impl From<Undelivered> for NoWay {
    fn from(reason: Undelivered) -> Self {
        Self::Because(reason)
    }
}

/// The gateway's own words and what holds of its bridges.
pub(super) struct Router<'a> {
    pub(super) policy: &'a Policy,
    pub(super) borders: &'a [Border],
    pub(super) now_ms: u64,
}

impl Router<'_> {
    /// The ways of a message of somebody who is logged in here and has joined these talkgroups.
    pub(super) fn of_unit(&self, groups: &BTreeSet<TalkgroupId>, message: &Message) -> Result<Vec<Way>, Undelivered> {
        let (own, from) = (self.policy.own(), &message.from.identity);
        let is_visitor = from.authority != *own;
        match &message.to {
            Recipient::Identity(to) if to.kind == Kind::Gateway => Err(Undelivered::UnknownRecipient),
            Recipient::Identity(to) if to.authority == *own => Ok(vec![self.way_to(to, message, 0, None)]),
            Recipient::Identity(to) => {
                let peer = self.policy.peers.get(&to.authority).ok_or(Undelivered::UnknownRecipient)?;
                if is_visitor {
                    return Err(Undelivered::NotAllowed);
                }
                if !self.borders.iter().any(|border| border.far == to.authority && border.out) {
                    return Err(Undelivered::BridgeForbids);
                }
                Ok(vec![self.way_over(peer, &to.authority, message.to.clone(), message, 0)])
            }
            Recipient::Talkgroup(to) => {
                let room = self.policy.talkgroups.get(to).ok_or(Undelivered::UnknownTalkgroup)?;
                if !groups.contains(to) {
                    return Err(Undelivered::NotAMember);
                }
                if !room.send.iter().any(|pattern| pattern.matches(from)) {
                    return Err(Undelivered::NotAllowed);
                }
                let mut ways = vec![self.way_into(to, message, 0, None)];
                if !is_visitor {
                    let out = self.borders.iter().filter(|border| border.own_group == *to && border.out);
                    ways.extend(out.filter_map(|border| self.way_across(border, message, 0)));
                }
                Ok(ways)
            }
        }
    }

    /// The ways of a message that a gateway of `peer` brings. Its signature is not looked at here.
    pub(super) fn of_peer(&self, peer: &Authority, envelope: &Envelope, message: &Message) -> Result<Vec<Way>, NoWay> {
        let (own, from) = (self.policy.own(), &message.from.identity);
        if from.authority == *own || from.kind == Kind::Gateway {
            return Err(Undelivered::NotAuthentic.into());
        }
        let status = self.here(envelope, message);
        match &envelope.to {
            Recipient::Identity(to) => {
                if from.authority != *peer || message.to != envelope.to {
                    return Err(Undelivered::NotAuthentic.into());
                }
                if to.kind == Kind::Gateway || to.authority != *own {
                    return Err(Undelivered::UnknownRecipient.into());
                }
                let borders = self.borders.iter().filter(|border| border.far == *peer);
                may_come(borders)?;
                Ok(vec![self.way_to(to, message, envelope.hops, status)])
            }
            Recipient::Talkgroup(to) => {
                if !self.policy.talkgroups.contains_key(to) {
                    return Err(Undelivered::UnknownTalkgroup.into());
                }
                let border = may_come(self.borders.iter().filter(|border| border.far == *peer && border.own_group == *to))?;
                let speaks = from.authority == *peer || (!border.is_home && border.onward.contains(&from.authority));
                if !speaks || message.to.authority() != &from.authority {
                    return Err(Undelivered::NotAuthentic.into());
                }
                let mut ways = vec![self.way_into(to, message, envelope.hops, status)];
                if border.is_home {
                    let consents = |other: &&Border| {
                        let both = border.onward.contains(&other.far) && other.onward.contains(&from.authority);
                        other.own_group == *to && other.far != *peer && other.out && both
                    };
                    let others: Vec<&Border> = self.borders.iter().filter(consents).collect();
                    if !others.is_empty() && envelope.hops >= HOPS_MAX {
                        return Err(Undelivered::TooManyHops.into());
                    }
                    ways.extend(others.into_iter().filter_map(|other| self.way_across(other, message, envelope.hops + 1)));
                }
                Ok(ways)
            }
        }
    }

    /// The status in the own authority's code: by the own table, or as the gateway before wrote it.
    fn here(&self, envelope: &Envelope, message: &Message) -> Option<u16> {
        let Content::Status(code) = message.content else { return None };
        self.policy.translate(&message.from.identity.authority, self.policy.own(), code).or(envelope.status)
    }

    fn way_to(&self, to: &Identity, message: &Message, hops: u8, status: Option<u16>) -> Way {
        let to = Recipient::Identity(to.clone());
        Way { outbox: to.clone(), to, hops, status, until_ms: message.expires_ms() }
    }

    fn way_into(&self, to: &TalkgroupId, message: &Message, hops: u8, status: Option<u16>) -> Way {
        let retention = self.policy.talkgroups.get(to).map_or_else(Default::default, |room| room.retention);
        let until_ms = self.now_ms.saturating_add(u64::try_from(retention.as_millis()).unwrap_or(u64::MAX));
        let to = Recipient::Talkgroup(to.clone());
        Way { outbox: to.clone(), to, hops, status, until_ms: until_ms.min(message.expires_ms()) }
    }

    fn way_across(&self, border: &Border, message: &Message, hops: u8) -> Option<Way> {
        let peer = self.policy.peers.get(&border.far)?;
        Some(self.way_over(peer, &border.far, Recipient::Talkgroup(border.far_group.clone()), message, hops))
    }

    fn way_over(&self, peer: &Identity, far: &Authority, to: Recipient, message: &Message, hops: u8) -> Way {
        let status = match message.content {
            Content::Status(code) => self.policy.translate(&message.from.identity.authority, far, code),
            Content::Text(_) | Content::Location(_) | Content::Binary(_) => None,
        };
        Way { outbox: Recipient::Identity(peer.clone()), to, hops, status, until_ms: message.expires_ms() }
    }
}

/// The bridge over which short data may come in, of those in question.
fn may_come<'a>(borders: impl Iterator<Item = &'a Border>) -> Result<&'a Border, NoWay> {
    let borders: Vec<&Border> = borders.collect();
    let open = borders.iter().find(|border| border.live && border.into);
    let waits = borders.iter().any(|border| !border.live && border.into);
    open.copied().ok_or_else(|| if waits { NoWay::NotYet } else { Undelivered::BridgeForbids.into() })
}
