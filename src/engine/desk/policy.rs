//! What the configuration says of short data. The bridges are not here: whether one holds is the hub's to say
//! ([`Border`](crate::plan::Border)).

use std::collections::BTreeMap;
use std::time::Duration;

use wire::{Authority, Identity, Pattern, TalkgroupId};

/// Everything that the desk must know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Who this gateway is.
    pub gateway: Identity,
    /// The talkgroups of this authority.
    pub talkgroups: BTreeMap<TalkgroupId, Room>,
    /// The gateway of each other authority whose outbox its messages wait in.
    pub peers: BTreeMap<Authority, Identity>,
    /// Codes of statuses, from one authority to another.
    pub codes: BTreeMap<(Authority, Authority), BTreeMap<u16, u16>>,
}

/// A talkgroup as a place for messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// Who may send, having joined: those who may talk.
    pub send: Vec<Pattern>,
    /// For how long a message is kept for members that are away.
    pub retention: Duration,
}

impl Room {
    /// The retention of a talkgroup that says nothing of it.
    pub const RETENTION: Duration = Duration::from_secs(24 * 3_600);
}

impl Policy {
    pub(super) fn own(&self) -> &Authority {
        &self.gateway.authority
    }

    /// What a status of one authority is called at another, if a table says so.
    pub(super) fn translate(&self, from: &Authority, to: &Authority, code: u16) -> Option<u16> {
        self.codes.get(&(from.clone(), to.clone()))?.get(&code).copied()
    }
}
