//! What an arbiter says; its view passes it on to parties, members and far sides.

use std::time::Duration;

use wire::control::{FloorBody, Idle, Taken, Talker};
use wire::{Priority, RevokeCause, Seq, Spurt};

use super::Party;

/// What the arbiter says; the view passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// To one party.
    To(Party, FloorBody),
    /// To every listener but the talker: who talks.
    Taken(Taken),
    /// To everybody: nobody talks.
    Idle(Idle),
    /// For the records: a spurt began.
    Began(Spurt),
    /// For the records: a spurt is over.
    Ended(Ended),
}

/// A spurt that is over, for gate and records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its number.
    pub spurt: Spurt,
    /// Who talked.
    pub party: Party,
    /// For people.
    pub talker: Talker,
    /// In which priority.
    pub priority: Priority,
    /// From the grant to the end.
    pub duration: Duration,
    /// The last frame, if known.
    pub last_seq: Option<Seq>,
    /// Why it ended, if not by a release.
    pub cause: Option<RevokeCause>,
}
