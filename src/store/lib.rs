//! Short data on disk: what was committed here survives `kill -9` and a power cut.
//!
//! [`Ledger`] is the SQLite file and everything that is true about it: one transaction for many [`Write`]s, WAL with
//! `synchronous=FULL`, so that an [`Outcome::Committed`] is on the disk. [`Store`] is the same on a thread of its own: what comes
//! while the disk works is the next group. It decides nothing; who gets what, and when it is over, is the engine's.
//!
//! In the data path: beside voice, never before it. The gateway hands writes to the thread and answers its senders when the
//! outcome comes. A simulation uses the ledger in line, in memory.
//!
//! # What lies in the file
//! Ids that were seen, with the way back for reports; messages as the bytes that were signed; and outboxes: one per unit, per
//! peer and per talkgroup, in the order of arrival. A talkgroup's is read by every member, each at its own place.

mod failure;
mod ledger;
mod reserve;
mod schema;
mod worker;

pub use failure::OpenError;
pub use ledger::{Ledger, Opened, Options};
pub use wire::data::keep::{
    Answer, Backlog, Change, Depth, Entry, Failure, Kept, Known, Load, Outcome, Page, Place, Question, Reply, Standing, Waiting, Write,
};
pub use worker::{Busy, Point, Store};
