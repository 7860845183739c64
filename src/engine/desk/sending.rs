//! Outboxes on their way over the two data streams of one session: an own one for each stream, and one for each talkgroup that
//! a unit is a member of. They share the stream's numbers and what may be under way.

use std::collections::BTreeMap;
use std::time::Instant;

use wire::data::keep::{Change, Load, Page, Place, Question, Waiting};
use wire::data::{Body, Item, Lane, Recipient, Undelivered};
use wire::{Identity, SessionId, TalkgroupId};

use super::jobs::Job;
use super::{Desk, Now, Seals};
use crate::outbox::{IN_FLIGHT, Outbox, Reading, Told};
use crate::{Deadline, earliest};

/// Bytes of messages under way on one stream from which on no more goes: a slow link answers what it has within the time, and a
/// fast one is not held up.
const IN_FLIGHT_BYTES: usize = 16 * 1_024;

/// Which outbox of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The receiver's own.
    Own,
    /// That of a talkgroup that it is a member of.
    Group(TalkgroupId),
}

impl Source {
    /// Its name on the disk, for this reader.
    fn outbox(&self, reader: &Identity) -> Recipient {
        match self {
            Self::Own => Recipient::Identity(reader.clone()),
            Self::Group(talkgroup) => Recipient::Talkgroup(talkgroup.clone()),
        }
    }
}

/// An item under way.
#[derive(Debug)]
struct Flight {
    source: Source,
    /// Its number in the outbox.
    item: u64,
    bytes: usize,
}

/// One data stream of a session, both directions.
#[derive(Debug)]
pub(super) struct Stream {
    outboxes: BTreeMap<Source, Outbox>,
    flights: BTreeMap<u64, Flight>,
    bytes: usize,
    /// The number of the item sent last.
    sent: u64,
    /// The number of the item that came last.
    came: u64,
    /// How many that came have no answer.
    unanswered: usize,
}

impl Default for Stream {
    fn default() -> Self {
        let outboxes = BTreeMap::from([(Source::Own, Outbox::new(Reading::Own, 0))]);
        Self { outboxes, flights: BTreeMap::new(), bytes: 0, sent: 0, came: 0, unanswered: 0 }
    }
}

/// What an outbox wants done.
enum Wish {
    Told(Source, Told),
    Page(Source, u64, usize),
    Send(u64, Box<Waiting>),
}

impl Stream {
    // === What comes ===

    /// A message or report came under this number; `false`: it must not.
    pub(super) fn comes(&mut self, number: u64) -> bool {
        if number != self.came + 1 || self.unanswered >= IN_FLIGHT {
            return false;
        }
        self.came = number;
        self.unanswered += 1;
        true
    }

    /// One that came is answered.
    pub(super) fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// The other side has an item; `false`: there was none.
    pub(super) fn taken(&mut self, number: u64) -> bool {
        self.landed(number, Outbox::handle_taken)
    }

    /// The other side does not take an item; `false`: there was none.
    pub(super) fn refused(&mut self, number: u64, reason: Undelivered, now: Now) -> bool {
        self.landed(number, |outbox, item| outbox.handle_refused(item, reason, now.at))
    }

    fn landed(&mut self, number: u64, then: impl FnOnce(&mut Outbox, u64)) -> bool {
        let Some(flight) = self.flights.remove(&number) else { return false };
        self.bytes -= flight.bytes;
        // A talkgroup that was left meanwhile is not read any more.
        if let Some(outbox) = self.outboxes.get_mut(&flight.source) {
            then(outbox, flight.item);
        }
        true
    }

    // === Outboxes ===

    pub(super) fn open(&mut self, talkgroup: TalkgroupId, member: Identity, place: u64) {
        self.outboxes.insert(Source::Group(talkgroup), Outbox::new(Reading::Shared(member), place));
    }

    pub(super) fn close(&mut self, talkgroup: &TalkgroupId) {
        self.outboxes.remove(&Source::Group(talkgroup.clone()));
    }

    pub(super) fn put(&mut self, source: &Source, waiting: Waiting) {
        if let Some(outbox) = self.outboxes.get_mut(source) {
            outbox.handle_put(waiting);
        }
    }

    pub(super) fn page(&mut self, source: &Source, page: Page, limit: usize) {
        if let Some(outbox) = self.outboxes.get_mut(source) {
            outbox.handle_page(page, limit);
        }
    }

    /// Lets go of an entry; `false`: it is under way.
    pub(super) fn withdraw(&mut self, source: &Source, number: u64) -> bool {
        self.outboxes.get_mut(source).is_none_or(|outbox| outbox.withdraw(number))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.outboxes.values_mut().for_each(|outbox| outbox.handle_timeout(now));
    }

    fn poll_timeout(&self) -> Deadline {
        earliest(self.outboxes.values().map(Outbox::poll_timeout))
    }

    /// What is to be done now; an outbox in which nothing lies is not read from the disk.
    fn wishes(&mut self, may_send: bool, is_empty: impl Fn(&Source) -> bool, now: Now) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for (source, outbox) in &mut self.outboxes {
            if let Some((after, limit)) = outbox.poll_page() {
                if is_empty(source) {
                    outbox.handle_page(Page::default(), limit);
                } else {
                    wishes.push(Wish::Page(source.clone(), after, limit));
                }
            }
        }
        while may_send && self.send_round(&mut wishes, now) {}
        for (source, outbox) in &mut self.outboxes {
            wishes.extend(std::iter::from_fn(|| outbox.poll_told()).map(|told| Wish::Told(source.clone(), told)));
        }
        wishes
    }

    /// One item of each outbox; whether there was any.
    fn send_round(&mut self, wishes: &mut Vec<Wish>, now: Now) -> bool {
        let before = wishes.len();
        for (source, outbox) in &mut self.outboxes {
            if self.flights.len() >= IN_FLIGHT || self.bytes >= IN_FLIGHT_BYTES {
                return false;
            }
            let Some((item, waiting)) = outbox.poll_transmit(now.at, now.ms) else { continue };
            let bytes = waiting.kept.as_ref().map_or(64, |kept| kept.signed.len());
            self.sent += 1;
            self.bytes += bytes;
            self.flights.insert(self.sent, Flight { source: source.clone(), item, bytes });
            wishes.push(Wish::Send(self.sent, Box::new(waiting.clone())));
        }
        wishes.len() > before
    }
}

impl<S: Seals> Desk<S> {
    /// Lets a session's outboxes do what they can now.
    pub(super) fn send(&mut self, session: SessionId, now: Now) {
        for lane in Lane::ALL {
            let Some(entry) = self.sessions.get_mut(&session) else { return };
            let who = entry.who.identity.clone();
            let may_send = !entry.is_peer() || self.borders.iter().any(|border| border.far == who.authority && border.live);
            let (backlog, reader) = (&self.backlog, &who);
            let is_empty = |source: &Source| !backlog.contains_key(&source.outbox(reader));
            let Some(stream) = entry.streams.get_mut(&lane) else { continue };
            let wishes = stream.wishes(may_send, is_empty, now);
            for wish in wishes {
                self.grant(session, &who, lane, wish, now);
            }
        }
        let deadlines = self.sessions.get(&session).map(|entry| earliest(entry.streams.values().map(Stream::poll_timeout)));
        match deadlines.flatten() {
            Some((at, _)) => self.deadlines.insert(session, at),
            None => self.deadlines.remove(&session),
        };
    }

    fn grant(&mut self, session: SessionId, who: &Identity, lane: Lane, wish: Wish, now: Now) {
        match wish {
            Wish::Page(source, after, limit) => {
                let question = Question::Page(Place { outbox: source.outbox(who), urgent: lane.is_urgent(), after }, limit);
                self.ask(Job::Page { session, lane, source, limit }, question);
            }
            Wish::Send(number, waiting) => {
                if let Some(body) = self.body(*waiting) {
                    self.out.item(session, lane, Item { number, body });
                }
            }
            Wish::Told(source, told) => self.told(session, who, lane, source, told, now),
        }
    }

    fn body(&self, waiting: Waiting) -> Option<Body> {
        match (waiting.entry.load, waiting.kept) {
            (Load::Report(report), _) => Some(Body::Report(report)),
            (Load::Message { to, hops, status, .. }, Some(kept)) => {
                Some(Body::Message(Box::new(self.envelope(kept, to, hops, status, &waiting.entry.sender))))
            }
            // The store gives no message without its bytes: it tells such an entry as damaged.
            (Load::Message { .. }, None) => None,
        }
    }

    fn told(&mut self, session: SessionId, who: &Identity, lane: Lane, source: Source, told: Told, now: Now) {
        match (told, source) {
            (Told::Settle(waiting), _) => self.arrived(*waiting, who, now),
            (Told::Refuse(waiting, reason), _) => self.never_arrives(*waiting, reason, now),
            (Told::Damaged(numbers), source) => self.damaged(numbers, Some(&source.outbox(who))),
            (Told::End(reason), _) => self.end(session, reason),
            (Told::Advance(number), Source::Group(talkgroup)) => {
                self.advance(Change::Advance { talkgroup, member: who.clone(), urgent: lane.is_urgent(), number });
            }
            // Only what many read has places.
            (Told::Advance(_), Source::Own) => {}
        }
    }
}
