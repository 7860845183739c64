//! Short data in the driver: the desk that decides, the store that keeps, and what each link is given of it.
//!
//! In the data path: beside the hub, on the same task, looked at after it. Items of links and answers of the store come in; what
//! the desk says goes to the store's thread, and to links only as far ahead as they can send. Nothing here decides.
//!
//! | queue | bound | when it is full |
//! |---|---|---|
//! | requests to the store | its own, 4,096 | they wait here, in order; the desk takes no more than 2,048 messages before the disk has them |
//! | items for a link | 64 messages, 64 answers a lane | the desk sends no more before some are answered |
//! | letters | `LETTERS_MAX` | the oldest goes |

mod certificates;
mod driving;
mod opening;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::desk::{Desk, Event, Letter, Now, Output, Policy};
use store::{Answer, Backlog, Failure, Question, Reply, Standing, Store, Write};
use tokio::sync::mpsc;
use transport::clock::Clock;
use transport::identity::{Certified, OwnIdentity};
use transport::link::Ahead;
use transport::trust::SharedTrust;
use wire::control::Talker;
use wire::data::{Body, Item, Lane};
use wire::{Reason, SessionId, TalkgroupId};

use crate::driver::Links;
use crate::status::{MessagesStatus, OutboxStatus, UndeliveredStatus};
use certificates::Certificates;
pub use opening::Messages;
pub(crate) use opening::open;

/// Answers of the store that wait for the driver; then its thread waits.
const ANSWERS_MAX: usize = 4_096;
/// Letters that could not be delivered and are shown to the operator.
const LETTERS_MAX: usize = 100;
/// Outboxes that are shown to the operator: those in which most waits.
const OUTBOXES_MAX: usize = 200;
/// How often the operator's figures are read from the store.
const STANDING_EVERY: Duration = Duration::from_secs(10);
/// The number of that question: the desk counts its own from 1.
const STANDING: u64 = 0;

/// A request that the store had no room for.
#[derive(Debug)]
enum Request {
    Write(u64, Write),
    Ask(u64, Question),
}

/// What goes to one link.
#[derive(Debug, Default)]
struct Post {
    ahead: Ahead,
    waiting: BTreeMap<Lane, VecDeque<Bytes>>,
}

/// How the store does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Health {
    /// It takes messages.
    #[default]
    Well,
    /// It refuses them, and why.
    Ill(Failure),
}

/// Everything about short data that the driver has.
#[derive(Debug)]
pub(crate) struct Office {
    desk: Desk<Certificates>,
    store: Store,
    requests: VecDeque<Request>,
    posts: BTreeMap<SessionId, Post>,
    /// Sessions whose links may take something of what waits for them.
    ready: BTreeSet<SessionId>,
    clock: Clock,
    standing: Standing,
    standing_at: Instant,
    letters: VecDeque<(u64, Letter)>,
    health: Health,
}

impl Office {
    /// Starts the store's thread; its answers come out of the channel.
    ///
    /// # Errors
    /// The operating system has no thread, or the disk failed meanwhile.
    pub(crate) fn start(
        mut messages: Messages,
        policy: Policy,
        own: OwnIdentity,
        trust: SharedTrust,
        clock: Clock,
        now: Instant,
    ) -> std::io::Result<(Self, mpsc::Receiver<Answer>)> {
        let standing = messages.ledger.standing().map_err(std::io::Error::other)?;
        let (sender, answers) = mpsc::channel(ANSWERS_MAX);
        // A driver that has ended wants no answers.
        let store = Store::start(messages.ledger, move |answer| _ = sender.blocking_send(answer), messages.at)?;
        let certificates = Certificates::new(own, trust, Arc::clone(&clock));
        let time = Now { at: now, ms: unix_ms(&clock) };
        let desk = Desk::new(policy, certificates, standing.clone(), time);
        let (requests, posts, ready) = (VecDeque::new(), BTreeMap::new(), BTreeSet::new());
        let (letters, health) = (VecDeque::new(), Health::Well);
        Ok((Self { desk, store, requests, posts, ready, clock, standing: of_most(standing), standing_at: now, letters, health }, answers))
    }

    fn now(&self, at: Instant) -> Now {
        Now { at, ms: unix_ms(&self.clock) }
    }

    // === In ===

    /// A new configuration or certificate is in force.
    pub(crate) fn apply(&mut self, policy: Policy, own: OwnIdentity) {
        self.desk.handle_policy(policy);
        self.desk.seals_mut().set_own(own);
    }

    /// What the hub says of its bridges.
    pub(crate) fn borders(&mut self, borders: Vec<engine::plan::Border>, at: Instant) {
        let now = self.now(at);
        self.desk.handle_borders(borders, now);
    }

    /// A session exists whose both sides know short data.
    pub(crate) fn session_up(&mut self, session: SessionId, certified: &Certified, at: Instant) {
        self.posts.insert(session, Post::default());
        self.desk.seals_mut().meet(session, certified);
        let (identity, alias, agency) = (certified.identity.clone(), certified.alias.clone(), certified.agency.clone());
        let now = self.now(at);
        self.desk.handle_session_up(session, Talker { identity, alias, agency }, now);
    }

    /// It ended.
    pub(crate) fn session_down(&mut self, session: SessionId) {
        if self.posts.remove(&session).is_some() {
            self.desk.handle_session_down(session);
            self.desk.seals_mut().part(session);
        }
    }

    /// A unit joined a talkgroup.
    pub(crate) fn joined(&mut self, session: SessionId, talkgroup: &TalkgroupId) {
        self.desk.handle_joined(session, talkgroup);
    }

    /// It left one.
    pub(crate) fn left_group(&mut self, session: SessionId, talkgroup: &TalkgroupId) {
        self.desk.handle_left(session, talkgroup);
    }

    /// A link brought an item.
    pub(crate) fn item(&mut self, session: SessionId, lane: Lane, item: Item, at: Instant) {
        if let Body::Certificate(chain) = &item.body {
            self.desk.seals_mut().learn(session, lane, chain);
            return;
        }
        let now = self.now(at);
        self.desk.handle_item(session, lane, item, now);
    }

    /// A link sent so much of what it was given.
    pub(crate) fn left(&mut self, session: SessionId, lane: Lane, bytes: usize) {
        if let Some(post) = self.posts.get_mut(&session) {
            post.ahead.left(lane, bytes);
            self.ready.insert(session);
        }
    }

    /// The store answered.
    pub(crate) fn answer(&mut self, answer: Answer, at: Instant) {
        match answer {
            Answer { token: STANDING, reply: Reply::Standing(standing) } => self.standing = of_most(standing),
            Answer { token, reply } => {
                let now = self.now(at);
                self.desk.handle_reply(token, reply, now);
            }
        }
    }

    // === Time ===

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.desk.poll_timeout().map(|(at, _)| at)
    }

    pub(crate) fn handle_timeout(&mut self, at: Instant) {
        let now = self.now(at);
        self.desk.handle_timeout(now);
    }

    /// Now and then: what the store had no room for, and the operator's figures.
    pub(crate) fn handle_tick(&mut self, at: Instant) {
        if self.standing_at <= at {
            self.standing_at = at + STANDING_EVERY;
            self.requests.push_back(Request::Ask(STANDING, Question::Standing));
        }
    }

    // === Out ===

    /// Carries out what the desk has said: the sessions that are to end, and what the operator should know.
    pub(crate) fn carry_out(&mut self, links: &Links) -> (Vec<(SessionId, Reason)>, Vec<Event>) {
        let mut ends = Vec::new();
        while let Some(output) = self.desk.poll_output() {
            match output {
                Output::Item(session, lane, item) => self.post(session, lane, &item),
                Output::Write(token, write) => self.requests.push_back(Request::Write(token, write)),
                Output::Ask(token, question) => self.requests.push_back(Request::Ask(token, question)),
                Output::Close(session, reason) => ends.push((session, reason)),
            }
        }
        self.hand_over();
        for session in std::mem::take(&mut self.ready) {
            if !self.give(session, links) {
                self.ready.insert(session);
            }
        }
        let events: Vec<Event> = std::iter::from_fn(|| self.desk.poll_event()).collect();
        events.iter().for_each(|event| self.note(event));
        (ends, events)
    }

    /// Gives a link what it has room for; `false`: it takes nothing at the moment, and is to be asked again.
    fn give(&mut self, session: SessionId, links: &Links) -> bool {
        let (Some(post), Some(link)) = (self.posts.get_mut(&session), links.get(&session)) else { return true };
        for (lane, frames) in &mut post.waiting {
            while let Some(frame) = frames.front().filter(|_| post.ahead.has_room(*lane)) {
                let bytes = frame.len();
                if !link.data(*lane, frame.clone()) {
                    return false;
                }
                post.ahead.given(*lane, bytes);
                frames.pop_front();
            }
        }
        true
    }

    /// Puts an item behind what waits for its link, after the certificate that it needs.
    fn post(&mut self, session: SessionId, lane: Lane, item: &Item) {
        let Some(post) = self.posts.get_mut(&session) else { return };
        self.ready.insert(session);
        let frames = post.waiting.entry(lane).or_default();
        if let Body::Message(envelope) = &item.body
            && let Some(signature) = &envelope.signature
            && let Some(chain) = self.desk.seals_mut().must_tell(session, lane, &signature.key)
        {
            frames.push_back(Item { number: 0, body: Body::Certificate(chain) }.encode());
        }
        frames.push_back(item.encode());
    }

    /// Gives the store what it has room for, in order.
    fn hand_over(&mut self) {
        while let Some(request) = self.requests.pop_front() {
            let taken = match &request {
                Request::Write(token, write) => self.store.write(*token, write.clone()),
                Request::Ask(token, question) => self.store.ask(*token, question.clone()),
            };
            if taken.is_err() {
                return self.requests.push_front(request);
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Undelivered(letter) => {
                if self.letters.len() == LETTERS_MAX {
                    self.letters.pop_front();
                }
                self.letters.push_back((unix_ms(&self.clock), letter.clone()));
            }
            Event::Store(failure) => self.health = Health::Ill(*failure),
            Event::StoreRecovered => self.health = Health::Well,
            Event::Refused(..) | Event::Damaged(_) => {}
        }
    }

    /// What the operator sees.
    pub(crate) fn status(&self) -> MessagesStatus {
        let now_ms = unix_ms(&self.clock);
        let ago_s = |at_ms: u64| now_ms.saturating_sub(at_ms) / 1_000;
        let age_s = |backlog: &Backlog| backlog.oldest_ms.map_or(0, ago_s);
        let outbox =
            |backlog: &Backlog| OutboxStatus { outbox: backlog.outbox.to_string(), waiting: backlog.entries, oldest_s: age_s(backlog) };
        let letter = |(at_ms, letter): &(u64, Letter)| UndeliveredStatus {
            id: letter.id.to_string(),
            from: letter.sender.to_string(),
            to: letter.about.to_string(),
            reason: letter.reason.to_string(),
            ago_s: ago_s(*at_ms),
        };
        MessagesStatus {
            store: match self.health {
                Health::Well => "ok",
                Health::Ill(Failure::Full) => "full",
                Health::Ill(Failure::Failed) => "failed",
            }
            .to_owned(),
            waiting: self.desk.waiting(),
            oldest_s: self.standing.backlog.iter().map(age_s).max().unwrap_or(0),
            outboxes: self.standing.backlog.iter().map(outbox).collect(),
            undelivered: self.letters.iter().rev().map(letter).collect(),
        }
    }
}

/// The outboxes that the operator should look at first: those in which most waits.
fn of_most(mut standing: Standing) -> Standing {
    standing.backlog.sort_by_key(|backlog| std::cmp::Reverse(backlog.entries));
    standing.backlog.truncate(OUTBOXES_MAX);
    standing
}

/// Milliseconds of UTC: the machine's, unless certificates are judged by another clock.
pub(crate) fn unix_ms(clock: &Clock) -> u64 {
    let seconds = clock.current_time().map_or(0, |time| time.as_secs());
    let fine = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    if fine.as_secs() == seconds { u64::try_from(fine.as_millis()).unwrap_or(u64::MAX) } else { seconds.saturating_mul(1_000) }
}
