//! One outbox on its way to one receiver, over one stream of one session: what goes next, what waits for which answer, and
//! when the disk is to be asked for more.
//!
//! # Order
//! Of what one sender sends to one recipient at most one entry is under way; the next goes when the receiver has taken it, has
//! refused it for good, or it has expired. So order survives refusals, and different senders do not wait for each other. At most
//! [`IN_FLIGHT`] entries wait for an answer.
//!
//! # What lies in memory
//! At most [`WINDOW`] entries, in the order of their numbers; the rest stays on the disk. A unit that is away costs nothing.
//!
//! # The disk
//! An entry is the receiver's when it answers *taken*; then the owner [settles](Told::Settle) it on the disk, or, in a
//! talkgroup's outbox that many members read, moves the member's place. What was not settled when a session ends goes again in
//! the next one: the receiver knows it by its id.
//!
//! In the data path: between the store's pages and the data streams; one per connected receiver and lane.

mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use wire::Identity;
use wire::data::keep::{Entry, Load, Page, Waiting};
use wire::data::{Recipient, Undelivered};

use crate::{Deadline, earliest};

pub use table::{Event, State, Step, step};

/// Entries that lie in memory.
pub const WINDOW: usize = 256;
/// Entries that wait for an answer, at most: the other side ends the session at the next one.
pub const IN_FLIGHT: usize = 64;
/// The first wait after a refusal that may pass; doubles up to [`HOLD_MAX`].
pub const HOLD_MIN: Duration = Duration::from_secs(1);
/// The longest wait.
pub const HOLD_MAX: Duration = Duration::from_secs(300);
/// A receiver that has not answered by then never will: commits take milliseconds, and a link that is lost is noticed sooner.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How an outbox is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// By its one owner: what arrived is taken out.
    Own,
    /// By this member of a talkgroup, like by all the others: what arrived moves its place, and what it sent itself is passed over.
    Shared(Identity),
}

/// What the owner of the outbox is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The receiver has it: take it out of the outbox.
    Settle(Box<Waiting>),
    /// The receiver has everything up to this entry: move its place there.
    Advance(u64),
    /// The receiver never takes it: take it out, and tell the sender.
    Refuse(Box<Waiting>, Undelivered),
    /// Entries that the disk has spoilt: take them out, and tell the operator.
    Damaged(Vec<u64>),
    /// The receiver breaks the protocol, or does not answer: end the session.
    End(wire::Reason),
}

/// An outbox in the hands of a session.
#[derive(Debug)]
pub struct Outbox {
    reading: Reading,
    /// In the order of their numbers.
    slots: VecDeque<Slot>,
    /// The number of the newest entry ever loaded.
    loaded: u64,
    more: More,
    /// The number of the item sent last.
    item: u64,
    /// Everything up to here has been told to be advanced.
    place: u64,
    /// Entries without anything to wait for, above `place`: only of a shared outbox.
    done: BTreeSet<u64>,
    told: VecDeque<Told>,
}

/// Whether the disk has more than lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    /// Perhaps: it is to be asked.
    Perhaps,
    /// It was asked; `again`: something was put since.
    Asked { again: bool },
    /// No.
    Nothing,
}

#[derive(Debug)]
struct Slot {
    waiting: Waiting,
    state: State,
    /// The item under way; 0 unless sent.
    item: u64,
    /// When it went, or until when it is held.
    at: Option<Instant>,
    holds: u32,
}

impl Slot {
    fn new(waiting: Waiting) -> Self {
        Self { waiting, state: State::Ready, item: 0, at: None, holds: 0 }
    }

    /// Whose order it stands in.
    fn line(&self) -> (&Identity, &Recipient) {
        line(&self.waiting.entry)
    }
}

fn line(entry: &Entry) -> (&Identity, &Recipient) {
    let party = match &entry.load {
        Load::Message { to, .. } => to,
        Load::Report(report) => &report.about,
    };
    (&entry.sender, party)
}

impl Outbox {
    /// An outbox whose entries after `place` are to go; 0: all of them.
    pub fn new(reading: Reading, place: u64) -> Self {
        Self {
            reading,
            slots: VecDeque::new(),
            loaded: place,
            more: More::Perhaps,
            item: 0,
            place,
            done: BTreeSet::new(),
            told: VecDeque::new(),
        }
    }

    /// What to ask the disk for: the entries after a number, so many at most. Then [`handle_page`](Self::handle_page) must follow.
    pub fn poll_page(&mut self) -> Option<(u64, usize)> {
        let room = WINDOW - self.slots.len();
        // Half a window at a time: pages are cheap, and asking for each single entry is not.
        if self.more != More::Perhaps || room < WINDOW / 2 {
            return None;
        }
        self.more = More::Asked { again: false };
        Some((self.loaded, room))
    }

    /// What the disk answered, for the number of entries that it was asked for.
    pub fn handle_page(&mut self, page: Page, limit: usize) {
        let whole = page.waiting.len() + page.damaged.len() < limit;
        let again = matches!(self.more, More::Asked { again: true });
        self.more = if whole && !again { More::Nothing } else { More::Perhaps };
        let newest = page.waiting.iter().map(|waiting| waiting.number).chain(page.damaged.iter().copied()).max();
        self.loaded = self.loaded.max(newest.unwrap_or(0));
        self.done.extend(page.damaged.iter().copied());
        if !page.damaged.is_empty() {
            self.told.push_back(Told::Damaged(page.damaged));
        }
        page.waiting.into_iter().for_each(|waiting| self.load(waiting));
        self.advance();
    }

    /// Something was put into the outbox and is on the disk. It goes without another look at the disk, if all before it are here.
    pub fn handle_put(&mut self, waiting: Waiting) {
        match self.more {
            More::Nothing if self.slots.len() < WINDOW => {
                self.loaded = self.loaded.max(waiting.number);
                self.load(waiting);
                self.advance();
            }
            More::Nothing | More::Perhaps => self.more = More::Perhaps,
            More::Asked { .. } => self.more = More::Asked { again: true },
        }
    }

    fn load(&mut self, waiting: Waiting) {
        match &self.reading {
            Reading::Shared(member) if waiting.entry.sender == *member => {
                self.done.insert(waiting.number);
            }
            Reading::Own | Reading::Shared(_) => self.slots.push_back(Slot::new(waiting)),
        }
    }

    /// The next entry to be sent, and the number of its item.
    pub fn poll_transmit(&mut self, now: Instant, now_ms: u64) -> Option<(u64, &Waiting)> {
        self.expire(now_ms);
        if self.slots.iter().filter(|slot| slot.state == State::Sent).count() >= IN_FLIGHT {
            return None;
        }
        let mut blocked = BTreeSet::new();
        let next = self.slots.iter().position(|slot| blocked.insert(slot.line()) && slot.state == State::Ready)?;
        self.item += 1;
        let slot = &mut self.slots[next];
        let Step::To(state) = step(slot.state, Event::Transmit) else { return None };
        (slot.state, slot.item, slot.at) = (state, self.item, Some(now));
        Some((self.item, &self.slots[next].waiting))
    }

    /// The receiver has an item safe.
    pub fn handle_taken(&mut self, item: u64) {
        self.answered(item, Event::Taken, None, None);
    }

    /// The receiver does not take an item.
    pub fn handle_refused(&mut self, item: u64, reason: Undelivered, now: Instant) {
        let event = if reason.is_transient() { Event::RefusedForNow } else { Event::RefusedForGood };
        self.answered(item, event, Some(reason), Some(now));
    }

    fn answered(&mut self, item: u64, event: Event, reason: Option<Undelivered>, now: Option<Instant>) {
        let under_way = self.slots.iter().position(|slot| slot.state == State::Sent && slot.item == item);
        let Some(place) = under_way else { return self.told.push_back(Told::End(wire::Reason::ProtocolViolation)) };
        match step(State::Sent, event) {
            Step::To(state) => {
                let slot = &mut self.slots[place];
                (slot.state, slot.item) = (state, 0);
                slot.at = now.map(|now| now + HOLD_MIN.saturating_mul(1 << slot.holds.min(16)).min(HOLD_MAX));
                slot.holds += 1;
            }
            Step::Delivered => {
                let Some(waiting) = self.remove(place) else { return };
                if self.reading == Reading::Own {
                    self.told.push_back(Told::Settle(Box::new(waiting)));
                }
                self.advance();
            }
            Step::Refused => {
                let Some(waiting) = self.remove(place) else { return };
                // Every member has its own mind about what lies in a talkgroup's outbox; its sender hears of none of them.
                if self.reading == Reading::Own {
                    self.told.push_back(Told::Refuse(Box::new(waiting), reason.unwrap_or(Undelivered::Other)));
                }
                self.advance();
            }
            Step::Dropped | Step::Fault => {}
        }
    }

    /// When something is to be done that nobody asks for, and why.
    pub fn poll_timeout(&self) -> Deadline {
        earliest(self.slots.iter().map(|slot| {
            let at = slot.at?;
            match slot.state {
                State::Held => Some((at, "short data refused for now goes again")),
                State::Sent => Some((at + ANSWER_WITHIN, "short data is not answered")),
                State::Ready => None,
            }
        }))
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for slot in self.slots.iter_mut().filter(|slot| slot.state == State::Held && slot.at.is_some_and(|at| at <= now)) {
            if let Step::To(state) = step(slot.state, Event::HoldOver) {
                (slot.state, slot.at) = (state, None);
            }
        }
        let unanswered = |slot: &Slot| slot.state == State::Sent && slot.at.is_some_and(|at| at + ANSWER_WITHIN <= now);
        if self.slots.iter().any(unanswered) {
            self.told.push_back(Told::End(wire::Reason::TooSlow));
        }
    }

    /// Lets go of an entry that the owner takes out; `false`: it is under way, and the receiver may have it.
    pub fn withdraw(&mut self, number: u64) -> bool {
        let Some(place) = self.slots.iter().position(|slot| slot.waiting.number == number) else { return true };
        if self.slots[place].state == State::Sent {
            return false;
        }
        self.remove(place);
        self.advance();
        true
    }

    /// What the owner is to do next.
    pub fn poll_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// Lets go of what is worthless; whoever looks after expiry takes it off the disk and tells the sender.
    fn expire(&mut self, now_ms: u64) {
        let worthless = |slot: &Slot| slot.waiting.entry.expires_ms <= now_ms && step(slot.state, Event::Expired) == Step::Dropped;
        for place in (0..self.slots.len()).rev() {
            if worthless(&self.slots[place]) {
                self.remove(place);
            }
        }
        self.advance();
    }

    fn remove(&mut self, place: usize) -> Option<Waiting> {
        let slot = self.slots.remove(place)?;
        if self.reading != Reading::Own {
            self.done.insert(slot.waiting.number);
        }
        Some(slot.waiting)
    }

    /// A member's place is before the first entry that it does not have.
    fn advance(&mut self) {
        if self.reading == Reading::Own {
            return self.done.clear();
        }
        let before = self.slots.front().map_or(u64::MAX, |slot| slot.waiting.number);
        let reached = self.done.range(..before).next_back().copied();
        if let Some(reached) = reached.filter(|reached| *reached > self.place) {
            self.done = self.done.split_off(&before);
            self.place = reached;
            self.told.push_back(Told::Advance(reached));
        }
    }
}
