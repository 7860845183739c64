//! The desk: short data at a gateway, from *taken* to *delivered*, *read* or *undelivered*.
//!
//! Inputs: a session exists, joined a talkgroup, said an [`Item`], ended; a bridge changed; the disk answered; time passed.
//! Outputs: items for links, writes and questions for the store, sessions to be ended ([`Output`]); what the operator should
//! know ([`Event`]). Nothing is *taken* before the disk has it, nothing leaves the disk before the next one has it.
//!
//! # The way of a message
//! ```text
//!  unit ──item──▶ intake ──▶ route ──write──▶ disk ──committed──▶ taken ──▶ unit
//!                judge, sign  whose outboxes    │
//!                                               ▼
//!  unit or peer ◀──item── sending ◀── outbox of the recipient, the peer's gateway, or the talkgroup
//!        └──taken──▶ settled, and a report into the outbox of whom the message came from
//! ```
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | sessions and dispatch |
//! | `policy.rs` | what the configuration says of short data |
//! | `intake.rs` | a message comes in: judged, signed, written, answered |
//! | `route.rs` | into whose outboxes, over which bridges, or why not |
//! | `sending.rs` | outboxes on their way over the streams of a session |
//! | `reports.rs` | what became of a message, on its way back |
//! | `sweep.rs` | what is worthless is taken out and told; old ids are forgotten |
//! | `jobs.rs` | what waits for the disk, and what its answers mean |
//! | `known.rs` | ids that were seen lately |
//! | `output.rs` | what leaves |
//!
//! # Bounds
//! 64 unanswered items a stream (the protocol), [`JOBS_MAX`] messages that wait for the disk, [`UNIT_BACKLOG`] and
//! [`SHARED_BACKLOG`] entries in an outbox; what is beyond is refused as *queue full* and may come again. Reports are never
//! refused for room: there are at most three for a message that was taken.

mod intake;
mod jobs;
mod known;
mod output;
mod policy;
mod reports;
mod route;
mod sending;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use wire::control::Talker;
use wire::data::keep::Standing;
use wire::data::{Body, Envelope, Item, Lane, Recipient, Signature, Undelivered};
use wire::{Authority, Identity, Kind, Reason, SessionId, TalkgroupId};

use crate::plan::Border;
use crate::{Deadline, earliest};
use intake::{Deferred, Limits};
use jobs::{Job, Unanswered};
use known::Recent;
pub use output::{Event, Letter, Output};
pub use policy::{Policy, Room};
use sending::Stream;
use sweep::Sweep;

/// Messages that wait for the disk; one more is refused as *queue full*.
pub const JOBS_MAX: usize = 2_048;
/// Messages and reports that may wait for one unit.
pub const UNIT_BACKLOG: u64 = 1_000;
/// Messages and reports that may wait for one peer, or lie in one talkgroup.
pub const SHARED_BACKLOG: u64 = 50_000;

/// What time it is: for timers, and on the clock of UTC.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timers.
    pub at: Instant,
    /// Milliseconds of UTC since 1970.
    pub ms: u64,
}

/// Signs, and looks at signatures: nothing else of the outside is asked in the middle of a decision.
pub trait Seals {
    /// Signs the bytes of a message with this gateway's key; `None` if it has none that can.
    fn sign(&self, signed: &[u8]) -> Option<Signature>;

    /// Whether a signature of ours was made with the key in use; one of an older key is made anew before it leaves.
    fn is_current(&self, signature: &Signature) -> bool;

    /// Whether an envelope that came over a session bears the signature of a gateway of that authority.
    fn is_authentic(&self, session: SessionId, signer: &Authority, envelope: &Envelope) -> bool;
}

/// Somebody who sends and receives short data.
#[derive(Debug)]
struct Session {
    who: Talker,
    streams: BTreeMap<Lane, Stream>,
    /// The talkgroups it is a member of.
    groups: BTreeSet<TalkgroupId>,
}

impl Session {
    fn is_peer(&self) -> bool {
        self.who.identity.kind == Kind::Gateway
    }
}

/// Short data at one gateway.
#[derive(Debug)]
pub struct Desk<S> {
    policy: Policy,
    borders: Vec<Border>,
    seals: S,
    sessions: BTreeMap<SessionId, Session>,
    by_identity: BTreeMap<Identity, SessionId>,
    members: BTreeMap<TalkgroupId, BTreeSet<SessionId>>,
    /// Entries of each outbox, on the disk or on their way there; none at 0.
    backlog: BTreeMap<Recipient, u64>,
    /// The largest entry number that is known.
    last: u64,
    jobs: BTreeMap<u64, Job>,
    token: u64,
    /// Entries that are being taken out: they must not be sent, counted or told once more.
    settling: BTreeSet<u64>,
    recent: Recent,
    limits: BTreeMap<Identity, Limits>,
    deferred: Vec<Deferred>,
    sweep: Sweep,
    /// When a session's outboxes want to be looked at.
    deadlines: BTreeMap<SessionId, Instant>,
    out: output::Outbox,
}

impl<S: Seals> Desk<S> {
    /// A desk over a store with so much in it.
    pub fn new(policy: Policy, seals: S, standing: Standing, now: Now) -> Self {
        Self {
            policy,
            borders: Vec::new(),
            seals,
            sessions: BTreeMap::new(),
            by_identity: BTreeMap::new(),
            members: BTreeMap::new(),
            backlog: standing.backlog.into_iter().map(|backlog| (backlog.outbox, backlog.entries)).collect(),
            last: standing.last,
            jobs: BTreeMap::new(),
            token: 0,
            settling: BTreeSet::new(),
            recent: Recent::default(),
            limits: BTreeMap::new(),
            deferred: Vec::new(),
            sweep: Sweep::new(now),
            deadlines: BTreeMap::new(),
            out: output::Outbox::default(),
        }
    }

    /// Takes the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.outputs.pop_front()
    }

    /// Takes the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// What signs for it.
    pub fn seals_mut(&mut self) -> &mut S {
        &mut self.seals
    }

    /// Entries that wait in all outboxes.
    pub fn waiting(&self) -> u64 {
        self.backlog.values().sum()
    }

    /// Entries that wait, outbox by outbox.
    pub fn backlog(&self) -> impl Iterator<Item = (&Recipient, u64)> {
        self.backlog.iter().map(|(outbox, entries)| (outbox, *entries))
    }

    // === What is configured, and what holds ===

    /// A new configuration is in force. What was taken under the old one stays taken.
    pub fn handle_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The bridges changed: what waited for that is judged again, what may go now goes.
    pub fn handle_borders(&mut self, borders: Vec<Border>, now: Now) {
        if self.borders == borders {
            return;
        }
        self.borders = borders;
        self.judge_deferred(now);
        let peers: Vec<SessionId> = self.sessions.iter().filter(|(_, session)| session.is_peer()).map(|(number, _)| *number).collect();
        peers.into_iter().for_each(|session| self.send(session, now));
    }

    // === Sessions ===

    /// A session exists whose both sides know short data.
    pub fn handle_session_up(&mut self, session: SessionId, who: Talker, now: Now) {
        self.by_identity.insert(who.identity.clone(), session);
        let streams = Lane::ALL.into_iter().map(|lane| (lane, Stream::default())).collect();
        self.sessions.insert(session, Session { who, streams, groups: BTreeSet::new() });
        self.send(session, now);
    }

    /// It ended; what it had not answered goes again in the next.
    pub fn handle_session_down(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.remove(&session) else { return };
        if self.by_identity.get(&entry.who.identity) == Some(&session) {
            self.by_identity.remove(&entry.who.identity);
        }
        for talkgroup in &entry.groups {
            self.forget_member(talkgroup, session);
        }
        self.deadlines.remove(&session);
        self.deferred.retain(|deferred| deferred.to.session != session);
    }

    /// It joined a talkgroup: what it missed there is sent.
    pub fn handle_joined(&mut self, session: SessionId, talkgroup: &TalkgroupId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if entry.groups.insert(talkgroup.clone()) {
            self.members.entry(talkgroup.clone()).or_default().insert(session);
            self.ask_places(session, talkgroup);
        }
    }

    /// It left a talkgroup.
    pub fn handle_left(&mut self, session: SessionId, talkgroup: &TalkgroupId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        entry.groups.remove(talkgroup);
        entry.streams.values_mut().for_each(|stream| stream.close(talkgroup));
        self.forget_member(talkgroup, session);
    }

    fn forget_member(&mut self, talkgroup: &TalkgroupId, session: SessionId) {
        if let Some(members) = self.members.get_mut(talkgroup) {
            members.remove(&session);
            if members.is_empty() {
                self.members.remove(talkgroup);
            }
        }
    }

    /// It said something on one of its data streams.
    pub fn handle_item(&mut self, session: SessionId, lane: Lane, item: Item, now: Now) {
        let Some(stream) = self.sessions.get_mut(&session).and_then(|entry| entry.streams.get_mut(&lane)) else { return };
        let to = Unanswered { session, lane, number: item.number };
        match item.body {
            Body::Message(envelope) if stream.comes(item.number) => self.take_message(to, *envelope, now),
            Body::Report(report) if stream.comes(item.number) => self.take_report(to, report, now),
            Body::Taken if stream.taken(item.number) => {}
            Body::Refused(reason) if stream.refused(item.number, reason, now) => {}
            // For whoever looks at signatures; nothing is decided here.
            Body::Certificate(_) => {}
            Body::Message(_) | Body::Report(_) | Body::Taken | Body::Refused(_) => self.end(session, Reason::ProtocolViolation),
        }
        self.send(session, now);
    }

    /// Answers an item, if its session is still there.
    fn answer(&mut self, to: Unanswered, answer: Result<(), Undelivered>) {
        let Some(stream) = self.sessions.get_mut(&to.session).and_then(|entry| entry.streams.get_mut(&to.lane)) else { return };
        stream.answered();
        let body = answer.map_or_else(Body::Refused, |()| Body::Taken);
        self.out.item(to.session, to.lane, Item { number: to.number, body });
    }

    fn end(&mut self, session: SessionId, reason: Reason) {
        self.out.outputs.push_back(Output::Close(session, reason));
    }

    // === Time ===

    /// The next deadline, with its reason.
    pub fn poll_timeout(&self) -> Deadline {
        let deferred = self.deferred.iter().map(|deferred| deferred.until).min();
        earliest([
            self.deadlines.values().min().map(|at| (*at, "short data under way")),
            deferred.map(|at| (at, "short data over a bridge that comes up")),
            Some(self.sweep.poll_timeout()),
        ])
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        let due: Vec<SessionId> = self.deadlines.iter().filter(|(_, at)| **at <= now.at).map(|(session, _)| *session).collect();
        for session in due {
            if let Some(entry) = self.sessions.get_mut(&session) {
                entry.streams.values_mut().for_each(|stream| stream.handle_timeout(now.at));
            }
            self.send(session, now);
        }
        if self.deferred.iter().any(|deferred| deferred.until <= now.at) {
            self.judge_deferred(now);
        }
        self.sweep(now);
    }
}
