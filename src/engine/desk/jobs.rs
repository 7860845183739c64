//! What waits for the disk, and what its answers mean.
//!
//! Writes are carried out in the order in which they were said, so that the messages of one sender keep theirs.

use wire::data::keep::{Change, Entry, Failure, Kept, Known, Outcome, Page, Question, Reply, Waiting, Write};
use wire::data::{Lane, MessageId, Recipient, Undelivered};
use wire::{SessionId, TalkgroupId};

use super::output::{Event, Output};
use super::reports::LookUp;
use super::sending::Source;
use super::{Desk, Now, Seals};

/// An item that came and has no answer yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unanswered {
    pub(super) session: SessionId,
    pub(super) lane: Lane,
    pub(super) number: u64,
}

/// What a request to the store was for.
#[derive(Debug)]
pub(super) enum Job {
    /// Something is filed.
    File(Box<Filing>),
    /// What is known about an id decides what happens next.
    LookUp(Box<LookUp>),
    /// More of an outbox.
    Page { session: SessionId, lane: Lane, source: Source, limit: usize },
    /// How far a member has read.
    Place { session: SessionId, lane: Lane, talkgroup: TalkgroupId },
    /// A member's place moves.
    Advance,
    /// What is worthless.
    Due,
    /// When that will be.
    NextDue,
    /// Old ids.
    Upkeep,
}

/// One transaction, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Filing {
    /// Who is answered when it is on the disk.
    pub(super) to: Option<Unanswered>,
    /// The id that must be new.
    pub(super) remember: Option<Known>,
    /// The message's bytes, if it is one.
    pub(super) kept: Option<Kept>,
    /// What goes into outboxes.
    pub(super) puts: Vec<Entry>,
    /// What is taken out, and of whose outbox, if that is known.
    pub(super) settles: Vec<(u64, Option<Recipient>)>,
    /// May use the space that is kept for alerts.
    pub(super) alert: bool,
}

impl<S: Seals> Desk<S> {
    fn token(&mut self, job: Job) -> u64 {
        self.token += 1;
        self.jobs.insert(self.token, job);
        self.token
    }

    pub(super) fn ask(&mut self, job: Job, question: Question) {
        let token = self.token(job);
        self.out.outputs.push_back(Output::Ask(token, question));
    }

    pub(super) fn advance(&mut self, change: Change) {
        let token = self.token(Job::Advance);
        self.out.outputs.push_back(Output::Write(token, Write { changes: vec![change], ..Write::default() }));
    }

    /// Hands a filing to the store. What it puts counts from now on, what it takes out when it is.
    pub(super) fn file(&mut self, filing: Filing) {
        let keep = filing.kept.iter().cloned().map(Change::Keep);
        let puts = filing.puts.iter().cloned().map(Change::Put);
        let settles = filing.settles.iter().map(|(number, _)| Change::Settle(*number));
        let changes = keep.chain(puts).chain(settles).collect();
        let write = Write { remember: filing.remember.clone(), changes, alert: filing.alert };
        for entry in &filing.puts {
            *self.backlog.entry(entry.outbox.clone()).or_default() += 1;
        }
        let token = self.token(Job::File(Box::new(filing)));
        self.out.outputs.push_back(Output::Write(token, write));
    }

    fn uncount(&mut self, outbox: &Recipient) {
        if let Some(entries) = self.backlog.get_mut(outbox) {
            *entries = entries.saturating_sub(1);
            if *entries == 0 {
                self.backlog.remove(outbox);
            }
        }
    }

    /// The store answered.
    pub fn handle_reply(&mut self, token: u64, reply: Reply, now: Now) {
        let Some(job) = self.jobs.remove(&token) else { return };
        match (job, reply) {
            (Job::File(filing), Reply::Written(outcome)) => self.filed(*filing, outcome, now),
            (Job::LookUp(look), Reply::Known(known)) => self.looked_up(*look, known, now),
            (Job::LookUp(look), Reply::Failed(_)) => self.cannot_look(*look),
            (Job::Page { session, lane, source, limit }, Reply::Page(page)) => self.paged(session, lane, &source, page, limit, now),
            (Job::Place { session, lane, talkgroup }, Reply::Place(place)) => self.placed(session, lane, talkgroup, place, now),
            (Job::Due, Reply::Page(page)) => self.due(page, now),
            (Job::NextDue, Reply::NextDue(next_ms)) => self.sweep.handle_next(next_ms, now),
            (Job::Upkeep, Reply::Upkeep(forgotten)) => self.sweep.handle_upkeep(forgotten, now),
            // A store that failed stays so until the gateway is started anew: there is nothing to be read any more. Whatever
            // else does not fit its question is a fault of the composition, and nobody waits for it.
            (
                Job::File(_) | Job::LookUp(_) | Job::Page { .. } | Job::Place { .. } | Job::Advance | Job::Due | Job::NextDue | Job::Upkeep,
                _,
            ) => {}
        }
    }

    fn filed(&mut self, filing: Filing, outcome: Outcome, now: Now) {
        for (number, _) in &filing.settles {
            self.settling.remove(number);
        }
        let is_message = filing.kept.is_some();
        let numbers = match outcome {
            Outcome::Committed(numbers) => numbers,
            Outcome::Known { .. } | Outcome::Refused(_) => {
                filing.puts.iter().for_each(|entry| self.uncount(&entry.outbox));
                let answer = match outcome {
                    Outcome::Known { same: true } => Ok(()),
                    Outcome::Known { same: false } => Err(Undelivered::IdInUse),
                    Outcome::Refused(failure) => {
                        if is_message || failure == Failure::Failed {
                            self.out.store(Some(failure));
                        }
                        Err(refusal(failure))
                    }
                    Outcome::Committed(_) => Ok(()),
                };
                return self.answer_to(filing.to, answer);
            }
        };
        if is_message {
            self.out.store(None);
            if let Some(known) = filing.remember {
                self.recent.insert(known);
            }
        }
        for outbox in filing.settles.iter().filter_map(|(_, outbox)| outbox.as_ref()) {
            self.uncount(outbox);
        }
        self.answer_to(filing.to, Ok(()));
        for (number, entry) in numbers.into_iter().zip(filing.puts) {
            self.last = self.last.max(number);
            self.sweep.note(entry.expires_ms, now);
            let kept = filing.kept.as_ref().filter(|kept| kept.id == entry.load.id() && is_load_of_message(&entry)).cloned();
            self.put_in(Waiting { number, entry, kept }, now);
        }
    }

    fn answer_to(&mut self, to: Option<Unanswered>, answer: Result<(), Undelivered>) {
        if let Some(to) = to {
            self.answer(to, answer);
        }
    }

    /// Something is in an outbox: whoever reads it gets it at once.
    fn put_in(&mut self, waiting: Waiting, now: Now) {
        let lane = Lane::of(waiting.entry.urgent);
        let (readers, source): (Vec<SessionId>, Source) = match &waiting.entry.outbox {
            Recipient::Identity(identity) => (self.by_identity.get(identity).copied().into_iter().collect(), Source::Own),
            Recipient::Talkgroup(talkgroup) => {
                let members = self.members.get(talkgroup).map_or_else(Vec::new, |members| members.iter().copied().collect());
                (members, Source::Group(talkgroup.clone()))
            }
        };
        for session in readers {
            if let Some(stream) = self.sessions.get_mut(&session).and_then(|entry| entry.streams.get_mut(&lane)) {
                stream.put(&source, waiting.clone());
                self.send(session, now);
            }
        }
    }

    fn paged(&mut self, session: SessionId, lane: Lane, source: &Source, mut page: Page, limit: usize, now: Now) {
        let Some(stream) = self.sessions.get_mut(&session).and_then(|entry| entry.streams.get_mut(&lane)) else { return };
        // What is just being taken out is neither sent again nor read as the end of the outbox.
        let found = page.waiting.len();
        page.waiting.retain(|waiting| !self.settling.contains(&waiting.number));
        let limit = limit - (found - page.waiting.len());
        stream.page(source, page, limit);
        self.send(session, now);
    }

    pub(super) fn ask_places(&mut self, session: SessionId, talkgroup: &TalkgroupId) {
        let Some(member) = self.sessions.get(&session).map(|entry| entry.who.identity.clone()) else { return };
        for lane in Lane::ALL {
            let question = Question::Place(talkgroup.clone(), member.clone(), lane.is_urgent());
            self.ask(Job::Place { session, lane, talkgroup: talkgroup.clone() }, question);
        }
    }

    /// A member that never read here begins with what comes from now on.
    fn placed(&mut self, session: SessionId, lane: Lane, talkgroup: TalkgroupId, place: Option<u64>, now: Now) {
        let last = self.last;
        let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.groups.contains(&talkgroup)) else { return };
        let member = entry.who.identity.clone();
        if let Some(stream) = entry.streams.get_mut(&lane) {
            stream.open(talkgroup.clone(), member.clone(), place.unwrap_or(last));
        }
        if place.is_none() {
            self.advance(Change::Advance { talkgroup, member, urgent: lane.is_urgent(), number: last });
        }
        self.send(session, now);
    }
}

fn is_load_of_message(entry: &Entry) -> bool {
    matches!(entry.load, wire::data::keep::Load::Message { .. })
}

/// What a sender is told when the store refuses.
pub(super) fn refusal(failure: Failure) -> Undelivered {
    match failure {
        Failure::Full => Undelivered::StoreFull,
        Failure::Failed => Undelivered::StoreFailed,
    }
}

impl<S: Seals> Desk<S> {
    /// Tells the operator of entries that are gone, and takes them out.
    pub(super) fn damaged(&mut self, numbers: Vec<u64>, outbox: Option<&Recipient>) {
        let settles = numbers.iter().map(|number| (*number, outbox.cloned())).collect();
        self.out.event(Event::Damaged(numbers));
        self.file(Filing { settles, ..Filing::default() });
    }

    /// Whether an id is known decides; asks the disk only for one that is not recent.
    pub(super) fn look_up(&mut self, id: MessageId, look: LookUp, now: Now) {
        match self.recent.get(id).cloned() {
            Some(known) => self.looked_up(look, Some(known), now),
            None => self.ask(Job::LookUp(Box::new(look)), Question::Known(id)),
        }
    }
}
