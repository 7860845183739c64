//! A unit's short data: what it sends until a gateway answers for it, what came until it was shown, each once.
//!
//! Without clock, file and link: the driver says what happened and carries out what is asked. The order and pace of what goes
//! are the engine's [`Outbox`], one per lane and session; `journal` is the disk.
//!
//! # What is promised
//! With a state folder nothing is answered for, or sent, before it is on the disk, so a message is shown once over any number of
//! restarts, and one that was handed in goes when a gateway is there. Only when the process dies between showing a message and
//! noting so, it is shown again. Without a folder all this holds for one run.
//!
//! # Bounds
//! [`KEPT_MAX`] messages to be sent and as many not shown; what is beyond is refused, to us as an error, to the gateway as *queue
//! full*, which tries again. Ids are known for longer than a copy can be under way.

mod journal;
mod record;
mod state;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::outbox::{Outbox, Reading, Told};
use transport::link::Ahead;
use wire::control::Talker;
use wire::data::{Body, Disposition, Envelope, Item, Lane, Message, MessageId, Recipient, Report, Undelivered, keep};
use wire::{Identity, Reason};

use journal::Journal;
pub use journal::StateError;
use record::Record;
use state::{Out, State};
pub use words::{Draft, Mail, SendError};

/// Messages to be sent, and messages that came and were not shown.
pub const KEPT_MAX: usize = 1_000;
/// For how long an id is known: a copy cannot be under way for longer than a message may live, seven days, and clocks may be a day wrong.
const KNOWN_MS: u64 = 8 * 24 * 3_600 * 1_000;
/// How often what has expired is looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// What is done when the disk has what was handed to it.
#[derive(Clone, Debug)]
enum Effect {
    Answer(u64, Lane, Item),
    Tell(Mail),
    Put(u64),
}

/// Something for the disk, with the disk.
#[derive(Debug)]
pub(crate) struct Job {
    journal: Journal,
    records: Vec<Record>,
    replaces: bool,
}

/// What the disk said, and the disk.
#[derive(Debug)]
pub(crate) struct Done {
    journal: Journal,
    result: io::Result<()>,
}

impl Job {
    /// Blocks.
    pub(crate) fn run(mut self) -> Done {
        let result = if self.replaces { self.journal.replace(&self.records) } else { self.journal.append(&self.records) };
        Done { journal: self.journal, result }
    }
}

/// One session's streams.
#[derive(Debug)]
struct Streams {
    outboxes: [Outbox; 2],
    answers: [VecDeque<Item>; 2],
    /// The newest number that the gateway used.
    heard: [u64; 2],
    /// Items under way, to the numbers of what they carry.
    under_way: [BTreeMap<u64, u64>; 2],
}

impl Streams {
    fn new() -> Self {
        Self {
            outboxes: Lane::ALL.map(|_| Outbox::new(Reading::Own, 0)),
            answers: Default::default(),
            heard: [0; 2],
            under_way: Default::default(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Mailbox {
    me: Identity,
    shows: bool,
    state: State,
    /// Whether there is a disk at all.
    durable: bool,
    /// Away while it works.
    journal: Option<Journal>,
    failed: bool,
    /// Not handed to the disk yet, and what follows then.
    batch: Vec<Record>,
    after: Vec<Effect>,
    /// Follows what the disk has now.
    writing: Vec<Effect>,
    session: u64,
    streams: Option<Streams>,
    mail: VecDeque<Mail>,
    sweep_at: Option<Instant>,
}

impl Mailbox {
    /// Opens the mailbox of a unit in its state folder, or one that lasts as long as the process. Only one that shows tells of
    /// messages that came; another keeps them for it.
    ///
    /// # Errors
    /// [`StateError`]: the folder cannot be used.
    pub fn open(me: Identity, folder: Option<&Path>, shows: bool, now_ms: u64) -> Result<Self, StateError> {
        let (journal, records) = match folder {
            Some(folder) => Journal::open(folder).map(|(journal, records)| (Some(journal), records))?,
            None => (None, Vec::new()),
        };
        let mut mailbox = Self {
            me,
            shows,
            state: State::of(records, now_ms),
            durable: journal.is_some(),
            journal,
            failed: false,
            batch: Vec::new(),
            after: Vec::new(),
            writing: Vec::new(),
            session: 0,
            streams: None,
            mail: VecDeque::new(),
            sweep_at: None,
        };
        let waiting: Vec<Item> = mailbox.state.came.values().map(|(_, item)| item.clone()).collect();
        waiting.iter().for_each(|item| mailbox.show(item));
        Ok(mailbox)
    }

    /// Takes what the user is to know next.
    pub(crate) fn poll_mail(&mut self) -> Option<Mail> {
        self.mail.pop_front()
    }

    /// Whether nothing waits for the disk and no answer for the link.
    pub(crate) fn is_settled(&self) -> bool {
        let answered = |streams: &Streams| streams.answers.iter().all(VecDeque::is_empty);
        self.batch.is_empty() && !self.is_writing() && self.streams.as_ref().is_none_or(answered)
    }

    // === The user ===

    /// Takes a draft, under this id.
    pub(crate) fn send(&mut self, draft: Draft, id: MessageId, now: Instant, now_ms: u64) -> Result<MessageId, SendError> {
        if self.failed {
            return Err(SendError::Failed);
        }
        if self.state.out.len() >= KEPT_MAX {
            return Err(SendError::Full);
        }
        let Draft { to, content, urgent, wanted, lifetime_s, conversation, in_reply_to } = draft;
        let from = Talker { identity: self.me.clone(), alias: String::new(), agency: String::new() };
        let message = Message { id, from, to, sent_ms: now_ms, lifetime_s, urgent, conversation, in_reply_to, wanted, content };
        let envelope = Envelope { signed: message.encode(), signature: None, to: message.to.clone(), hops: 0, status: None };
        self.put(Body::Message(Box::new(envelope)), urgent, message.expires_ms());
        self.sweep_at.get_or_insert(now + SWEEP);
        Ok(id)
    }

    /// The user has seen a message: it is not shown again, and the sender hears so if it wants.
    pub(crate) fn shown(&mut self, id: MessageId, now_ms: u64) {
        let Some((_, Some(place))) = self.state.known.get(&id) else { return };
        let Some((_, Item { body: Body::Message(envelope), .. })) = self.state.came.get(place).cloned() else { return };
        self.record(Record::Shown { id, until_ms: now_ms + KNOWN_MS });
        if let Ok(message) = envelope.open()
            && message.wanted.read
        {
            let report = Report { id, about: Recipient::Identity(self.me.clone()), disposition: Disposition::Read, at_ms: now_ms };
            self.put(Body::Report(report), message.urgent, now_ms + KNOWN_MS);
        }
    }

    fn put(&mut self, body: Body, urgent: bool, expires_ms: u64) {
        let number = self.state.last + 1;
        self.record(Record::Out { number, expires_ms, urgent, item: Item { number: 0, body } });
        self.then(Effect::Put(number));
    }

    // === The session ===

    /// A gateway welcomed the unit, and knows short data or not.
    pub(crate) fn handle_session_up(&mut self, offered: bool, now: Instant) {
        self.session += 1;
        self.mail.push_back(if offered { Mail::Ready } else { Mail::NotOffered });
        self.streams = offered.then(Streams::new);
        self.load();
        if !self.state.out.is_empty() {
            self.sweep_at.get_or_insert(now + SWEEP);
        }
    }

    /// It is gone; what it did not answer goes again in the next.
    pub(crate) fn handle_session_down(&mut self) {
        self.streams = None;
    }

    /// The gateway said something.
    ///
    /// # Errors
    /// The reason to end the session with.
    pub(crate) fn handle_item(&mut self, lane: Lane, item: Item, now: Instant, now_ms: u64) -> Result<(), Reason> {
        let Some(streams) = &mut self.streams else { return Ok(()) };
        let number = item.number;
        if matches!(item.body, Body::Message(_) | Body::Report(_)) {
            let heard = &mut streams.heard[lane.index()];
            if number != *heard + 1 {
                return Err(Reason::ProtocolViolation);
            }
            *heard = number;
        }
        match item.body {
            Body::Message(envelope) => self.take_message(lane, number, envelope, now_ms),
            Body::Report(report) => self.take_report(lane, number, report, now_ms),
            Body::Taken => {
                streams.under_way[lane.index()].remove(&number);
                streams.outboxes[lane.index()].handle_taken(number);
            }
            Body::Refused(reason) => {
                let carried = streams.under_way[lane.index()].remove(&number);
                streams.outboxes[lane.index()].handle_refused(number, reason, now);
                let id = carried.and_then(|number| self.state.out.get(&number)).filter(|out| out.is_message()).and_then(Out::id);
                if let Some(id) = id.filter(|_| reason.is_transient()) {
                    self.mail.push_back(Mail::Waiting(id, reason));
                }
            }
            // A unit believes its gateway.
            Body::Certificate(_) => {}
        }
        self.carry_out()
    }

    fn take_message(&mut self, lane: Lane, number: u64, envelope: Box<Envelope>, now_ms: u64) {
        let session = self.session;
        let answer = |body| Effect::Answer(session, lane, Item { number, body });
        let taken = answer(Body::Taken);
        let Ok(message) = envelope.open() else { return self.then(answer(Body::Refused(Undelivered::Other))) };
        if self.state.known.contains_key(&message.id) {
            return self.then(taken);
        }
        // What nobody shows and no disk keeps is better off at the gateway.
        if self.failed || !(self.durable || self.shows) || self.state.came.len() >= KEPT_MAX {
            let reason = if self.failed { Undelivered::StoreFailed } else { Undelivered::QueueFull };
            return self.then(answer(Body::Refused(reason)));
        }
        let item = Item { number: 0, body: Body::Message(envelope) };
        self.record(Record::Came { until_ms: now_ms + KNOWN_MS, item: item.clone() });
        self.then(taken);
        if let (true, Some(mail)) = (self.shows, mail_of(&item)) {
            self.then(Effect::Tell(mail));
        }
    }

    fn take_report(&mut self, lane: Lane, number: u64, report: Report, now_ms: u64) {
        let taken = Effect::Answer(self.session, lane, Item { number, body: Body::Taken });
        let about = report.about.to_string();
        let (kind, mail) = match report.disposition {
            Disposition::Undelivered(reason) => (0, Mail::Undelivered(report.id, Some(report.about), reason)),
            Disposition::Delivered => (1, Mail::Delivered(report.id, report.about)),
            Disposition::Read => (2, Mail::Read(report.id, report.about)),
        };
        let sum = keep::sum(&[&report.id.0, about.as_bytes(), &[kind]]);
        if !self.state.heard.contains_key(&sum) {
            self.record(Record::Heard { sum, until_ms: now_ms + KNOWN_MS });
            self.then(Effect::Tell(mail));
        }
        self.then(taken);
    }

    fn show(&mut self, item: &Item) {
        if let (true, Some(mail)) = (self.shows, mail_of(item)) {
            self.mail.push_back(mail);
        }
    }

    /// What goes next, if the link has room.
    pub(crate) fn poll_transmit(&mut self, ahead: &Ahead, now: Instant, now_ms: u64) -> Option<(Lane, Bytes)> {
        let streams = self.streams.as_mut()?;
        for lane in Lane::ALL.into_iter().filter(|lane| ahead.has_room(*lane)) {
            if let Some(item) = streams.answers[lane.index()].pop_front() {
                return Some((lane, item.encode()));
            }
            if let Some((number, waiting)) = streams.outboxes[lane.index()].poll_transmit(now, now_ms)
                && let Some(out) = self.state.out.get(&waiting.number)
            {
                streams.under_way[lane.index()].insert(number, waiting.number);
                return Some((lane, Item { number, body: out.item.body.clone() }.encode()));
            }
        }
        None
    }

    /// Does what the outboxes ask for.
    fn carry_out(&mut self) -> Result<(), Reason> {
        let mut told = Vec::new();
        if let Some(streams) = &mut self.streams {
            for outbox in &mut streams.outboxes {
                told.extend(std::iter::from_fn(|| outbox.poll_told()));
            }
        }
        for told in told {
            match told {
                Told::Settle(waiting) => self.gone(waiting.number, Mail::Accepted),
                Told::Refuse(waiting, reason) => self.gone(waiting.number, |id| Mail::Undelivered(id, None, reason)),
                Told::End(reason) => return Err(reason),
                // Of shared outboxes and of spoilt disks.
                Told::Advance(_) | Told::Damaged(_) => {}
            }
        }
        self.load();
        Ok(())
    }

    /// What was to be sent needs it no more; of a message the user hears.
    fn gone(&mut self, number: u64, mail: impl FnOnce(MessageId) -> Mail) {
        let Some(out) = self.state.out.get(&number) else { return };
        if let (true, Some(id)) = (out.is_message(), out.id()) {
            self.mail.push_back(mail(id));
        }
        self.record(Record::Gone { number });
    }

    /// Gives the outboxes what they ask for.
    fn load(&mut self) {
        let Some(streams) = &mut self.streams else { return };
        for lane in Lane::ALL {
            let outbox = &mut streams.outboxes[lane.index()];
            while let Some((after, limit)) = outbox.poll_page() {
                outbox.handle_page(self.state.page(lane, after, limit, &self.me), limit);
            }
        }
    }

    // === Time ===

    /// The next moment at which something is due.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let outboxes = self.streams.iter().flat_map(|streams| &streams.outboxes).filter_map(Outbox::poll_timeout);
        outboxes.chain(self.sweep_at.map(|at| (at, "short data may have expired"))).min_by_key(|(at, _)| *at)
    }

    /// The time has come.
    ///
    /// # Errors
    /// The reason to end the session with.
    pub(crate) fn handle_timeout(&mut self, now: Instant, now_ms: u64) -> Result<(), Reason> {
        if let Some(streams) = &mut self.streams {
            streams.outboxes.iter_mut().for_each(|outbox| outbox.handle_timeout(now));
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep(now_ms);
            self.sweep_at = (!self.state.out.is_empty()).then_some(now + SWEEP);
        }
        self.carry_out()
    }

    /// What has expired is told, but what went and may have been taken is not.
    fn sweep(&mut self, now_ms: u64) {
        let went = |number: &u64| self.streams.iter().flat_map(|streams| &streams.under_way).any(|lane| lane.values().any(|n| n == number));
        let expired = self.state.out.iter().filter(|(number, out)| out.expires_ms <= now_ms && !went(number));
        let expired: Vec<u64> = expired.map(|(number, _)| *number).collect();
        for number in expired {
            self.gone(number, |id| Mail::Undelivered(id, None, Undelivered::Expired));
        }
    }

    // === The disk ===

    fn record(&mut self, record: Record) {
        self.state.apply(record.clone());
        if self.durable && !self.failed {
            self.batch.push(record);
        }
    }

    /// Done when what was recorded before is on the disk.
    fn then(&mut self, effect: Effect) {
        if self.batch.is_empty() && !self.is_writing() { self.take_effect(effect) } else { self.after.push(effect) }
    }

    fn is_writing(&self) -> bool {
        self.durable && self.journal.is_none() && !self.failed
    }

    /// What is to be written, if anything; [`handle_written`](Self::handle_written) must follow.
    pub(crate) fn poll_write(&mut self, now_ms: u64) -> Option<Job> {
        if self.batch.is_empty() {
            return None;
        }
        let journal = self.journal.take()?;
        self.writing = std::mem::take(&mut self.after);
        let batch = std::mem::take(&mut self.batch);
        let replaces = journal.is_long();
        let records = if replaces {
            self.state.forget(now_ms);
            self.state.records()
        } else {
            batch
        };
        Some(Job { journal, records, replaces })
    }

    /// The disk has it, or failed; then nothing is believed to be on it any more, and nothing is answered for.
    pub(crate) fn handle_written(&mut self, done: Done) {
        let effects = std::mem::take(&mut self.writing);
        match done.result {
            Ok(()) => {
                self.journal = Some(done.journal);
                effects.into_iter().for_each(|effect| self.take_effect(effect));
                if self.batch.is_empty() {
                    std::mem::take(&mut self.after).into_iter().for_each(|effect| self.take_effect(effect));
                }
            }
            Err(error) => {
                self.failed = true;
                self.batch.clear();
                self.mail.push_back(Mail::Failed(error.to_string()));
                for effect in effects.into_iter().chain(std::mem::take(&mut self.after)) {
                    if let Effect::Answer(session, lane, Item { number, .. }) = effect {
                        let body = Body::Refused(Undelivered::StoreFailed);
                        self.take_effect(Effect::Answer(session, lane, Item { number, body }));
                    }
                }
            }
        }
    }

    fn take_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Tell(mail) => self.mail.push_back(mail),
            Effect::Answer(session, lane, item) => {
                if let Some(streams) = self.streams.as_mut().filter(|_| session == self.session) {
                    streams.answers[lane.index()].push_back(item);
                }
            }
            Effect::Put(number) => {
                let Some(out) = self.state.out.get_mut(&number) else { return };
                out.ready = true;
                if let (Some(streams), Some(waiting)) = (&mut self.streams, out.waiting(number, &self.me)) {
                    streams.outboxes[Lane::of(out.urgent).index()].handle_put(waiting);
                }
                self.load();
            }
        }
    }
}

fn mail_of(item: &Item) -> Option<Mail> {
    let Body::Message(envelope) = &item.body else { return None };
    Some(Mail::Message(Box::new(envelope.open().ok()?), envelope.to.clone(), envelope.status))
}
