//! Whom the arbiter may not grant for now: the border link that the spurt would cross has no room for it.
//!
//! Worked out by the hub, which knows the links, and kept with the arbiter, which alone knows when somebody's turn comes.

use std::collections::BTreeMap;

use wire::{SessionId, Tier};

use super::Claim;

/// The highest tier that is refused, by where the request comes from; a tier above is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bar {
    /// For own members.
    pub members: Option<Tier>,
    /// For units of a far side, by its session.
    pub far: BTreeMap<SessionId, Option<Tier>>,
}

impl Bar {
    /// Whether a grant is refused. A talker that goes on from another view is not new to anybody's ear: it is granted, and crosses when
    /// there is room.
    pub fn refuses(&self, claim: &Claim) -> bool {
        let highest = self.far.get(&claim.party.session).copied().unwrap_or(self.members);
        claim.since.is_none() && claim.priority.tier < Tier::Emergency && highest >= Some(claim.priority.tier)
    }
}
