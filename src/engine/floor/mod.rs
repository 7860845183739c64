//! Floor control after TS 24.380: one arbiter per talkgroup view, one participant per unit and talkgroup.
//!
//! The arbiter ([`arbiter::Arbiter`]) hears requests, releases, voice and disconnects and says grants, denials, taken, idle
//! and revokes. What happens in which state is one table, [`table`]; the data (who talks, who waits, since when) is kept
//! beside it. Its rules, in the order of their weight:
//!
//! 1. Audio never takes the floor; only a grant does, and a frame counts only from the session that holds it.
//! 2. Strictly higher effective priority pre-empts; the pre-emptor heads the queue ([`queue`]).
//! 3. Emergency and peril end the old spurt at the decision; between normal levels the talker has the grace T3.
//! 4. A release names the last frame; the next grant follows when that frame has passed, at most 200 ms later.
//! 5. Everything carries the request's id, so repeats are harmless and an answer never meets the wrong press.
//!
//! A unit's side is [`participant::Participant`], with a table of its own.

pub mod arbiter;
pub mod bar;
pub mod participant;
pub mod queue;
pub mod say;
pub mod table;

#[cfg(test)]
mod tests;

use std::time::Instant;

use wire::control::Talker;
use wire::{Authority, Identity, Priority, RequestId, SessionId};

/// Who asks for the floor: a unit, through the session it is heard on (its own, or its gateway's).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// The session its messages and frames come from.
    pub session: SessionId,
    /// The unit.
    pub identity: Identity,
}

/// A request as the arbiter sees it: rights already checked, priority already capped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who asks.
    pub party: Party,
    /// The request's number.
    pub request: RequestId,
    /// Effective priority.
    pub priority: Priority,
    /// For people and records.
    pub talker: Talker,
    /// Talks already since then in a view that was cut off: granted or denied, never queued.
    pub since: Option<Instant>,
}

impl Claim {
    /// Whose unit asks.
    pub fn authority(&self) -> &Authority {
        &self.party.identity.authority
    }
}
