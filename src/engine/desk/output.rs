//! What leaves the desk: items for links, requests for the store, and what the operator should know.

use std::collections::VecDeque;

use wire::data::keep::{Failure, Question, Write};
use wire::data::{Item, Lane, MessageId, Recipient, Undelivered};
use wire::{Identity, Reason, SessionId};

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an item.
    Item(SessionId, Lane, Item),
    /// Carry out a write, in the order of these outputs; the reply bears the number.
    Write(u64, Write),
    /// Answer a question; the reply bears the number.
    Ask(u64, Question),
    /// End the session: it breaks the protocol, or does not answer.
    Close(SessionId, Reason),
}

/// Something that happened, for log, records and alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message was not taken.
    Refused(Identity, Undelivered),
    /// A message that had been taken will not arrive; its sender is told.
    Undelivered(Letter),
    /// Entries that the disk has spoilt were taken out. An alarm: nobody knows what they were.
    Damaged(Vec<u64>),
    /// The store refuses messages; told when that begins.
    Store(Failure),
    /// It takes them again.
    StoreRecovered,
}

/// A message that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its id.
    pub id: MessageId,
    /// Who sent it.
    pub sender: Identity,
    /// Whom it did not reach.
    pub about: Recipient,
    /// Why.
    pub reason: Undelivered,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) outputs: VecDeque<Output>,
    pub(super) events: VecDeque<Event>,
    /// Why the store refuses, as told last.
    failing: Option<Failure>,
}

impl Outbox {
    pub(super) fn item(&mut self, session: SessionId, lane: Lane, item: Item) {
        self.outputs.push_back(Output::Item(session, lane, item));
    }

    pub(super) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// What a write of a message came to; only changes are told.
    pub(super) fn store(&mut self, failing: Option<Failure>) {
        if self.failing != failing {
            self.failing = failing;
            self.event(failing.map_or(Event::StoreRecovered, Event::Store));
        }
    }
}
