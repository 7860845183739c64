//! The store on a thread of its own. While the disk works on one group, what comes is the next: under load a commit serves
//! hundreds of messages, without it a message waits for nobody.
//!
//! The queue is bounded; when it is full a request is handed back, for nothing may be accepted that cannot be written soon.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use wire::data::MessageId;
use wire::{Identity, TalkgroupId};

use crate::ledger::{Depth, Ledger, Place};
use wire::data::keep::Failure;
use wire::data::keep::{Known, Outcome, Page, Write};

/// Requests that wait for the thread; more are handed back.
const QUEUE_REQUESTS: usize = 4_096;
/// Most requests in one group: bounds how long the first of them waits for its answer.
const GROUP_REQUESTS: usize = 1_024;

/// A question to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The next entries of an outbox.
    Page(Place, usize),
    /// Entries that are worthless at that time.
    Due(u64, usize),
    /// When the next one will be.
    NextDue,
    /// What is known about an id.
    Known(MessageId),
    /// Up to where a member has read its talkgroup's outbox.
    Place(TalkgroupId, Identity),
    /// How much waits.
    Depth,
    /// Forgets what may be forgotten at that time, so many at most.
    Upkeep(u64, usize),
}

/// What the store has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What became of a write.
    Written(Outcome),
    /// To [`Question::Page`] and [`Question::Due`].
    Page(Page),
    /// To [`Question::NextDue`].
    NextDue(Option<u64>),
    /// To [`Question::Known`].
    Known(Option<Known>),
    /// To [`Question::Place`].
    Place(Option<u64>),
    /// To [`Question::Depth`].
    Depth(Depth),
    /// To [`Question::Upkeep`]: so many ids were forgotten.
    Upkeep(usize),
    /// The disk could not answer.
    Failed(Failure),
}

/// A reply, with the number of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number.
    pub token: u64,
    /// The reply.
    pub reply: Reply,
}

/// A moment in the life of a group, for tests that end the process there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The group is known, nothing is written.
    BeforeCommit,
    /// It is on the disk, nobody knows.
    BeforeAnswers,
    /// Half of its answers are out.
    AmongAnswers,
    /// All of them are.
    AfterAnswers,
}

/// The queue is full: the request comes back, and may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store has {QUEUE_REQUESTS} requests to do")]
pub struct Busy;

enum Request {
    Write(u64, Write),
    Ask(u64, Question),
    Stop,
}

/// Handle of the store's thread; dropping it finishes what is queued and waits for that.
#[derive(Debug)]
pub struct Store {
    queue: SyncSender<Request>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Gives the ledger its thread. Every request is answered once, by `answer`, on that thread: writes after their commit, in
    /// the order they came; `at` is told the moments of each group.
    ///
    /// # Errors
    /// The operating system has no thread.
    pub fn start(ledger: Ledger, answer: impl FnMut(Answer) + Send + 'static, at: fn(Point)) -> std::io::Result<Self> {
        let (queue, requests) = sync_channel(QUEUE_REQUESTS);
        let worker = Worker { ledger, answer, at };
        let thread = thread::Builder::new().name("store".into()).spawn(move || worker.run(&requests))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Queues a write.
    ///
    /// # Errors
    /// [`Busy`]: it was not taken.
    pub fn write(&self, token: u64, write: Write) -> Result<(), Busy> {
        self.offer(Request::Write(token, write))
    }

    /// Queues a question; it sees everything that was queued before.
    ///
    /// # Errors
    /// [`Busy`]: it was not taken.
    pub fn ask(&self, token: u64, question: Question) -> Result<(), Busy> {
        self.offer(Request::Ask(token, question))
    }

    fn offer(&self, request: Request) -> Result<(), Busy> {
        self.queue.try_send(request).map_err(|refused| match refused {
            // The thread ends only with the handle, or by a bug of ours: then nothing is accepted either.
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Behind all that is queued; a thread that is gone needs no word.
        let _ = self.queue.send(Request::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker<A> {
    ledger: Ledger,
    answer: A,
    at: fn(Point),
}

impl<A: FnMut(Answer)> Worker<A> {
    fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let group: Vec<Request> = std::iter::once(first).chain(requests.try_iter().take(GROUP_REQUESTS - 1)).collect();
            if self.serve(group) {
                return;
            }
        }
    }

    /// Serves a group in its order: runs of writes are one transaction each. Tells whether it was the last.
    fn serve(&mut self, group: Vec<Request>) -> bool {
        let (mut tokens, mut writes) = (Vec::new(), Vec::new());
        for request in group {
            match request {
                Request::Write(token, write) => {
                    tokens.push(token);
                    writes.push(write);
                }
                Request::Ask(token, question) => {
                    self.commit(&mut tokens, &mut writes);
                    let reply = self.look(&question);
                    (self.answer)(Answer { token, reply });
                }
                Request::Stop => {
                    self.commit(&mut tokens, &mut writes);
                    return true;
                }
            }
        }
        self.commit(&mut tokens, &mut writes);
        false
    }

    fn commit(&mut self, tokens: &mut Vec<u64>, writes: &mut Vec<Write>) {
        if writes.is_empty() {
            return;
        }
        (self.at)(Point::BeforeCommit);
        let outcomes = self.ledger.commit(writes);
        (self.at)(Point::BeforeAnswers);
        let half = tokens.len() / 2;
        for (number, (token, outcome)) in tokens.drain(..).zip(outcomes).enumerate() {
            if number == half && half > 0 {
                (self.at)(Point::AmongAnswers);
            }
            (self.answer)(Answer { token, reply: Reply::Written(outcome) });
        }
        (self.at)(Point::AfterAnswers);
        writes.clear();
    }

    fn look(&mut self, question: &Question) -> Reply {
        let ledger = &mut self.ledger;
        let reply = match question {
            Question::Page(place, limit) => ledger.page(place, *limit).map(Reply::Page),
            Question::Due(now_ms, limit) => ledger.due(*now_ms, *limit).map(Reply::Page),
            Question::NextDue => ledger.next_due_ms().map(Reply::NextDue),
            Question::Known(id) => ledger.known(*id).map(Reply::Known),
            Question::Place(talkgroup, member) => ledger.place(talkgroup, member).map(Reply::Place),
            Question::Depth => ledger.depth().map(Reply::Depth),
            Question::Upkeep(now_ms, limit) => ledger.upkeep(*now_ms, *limit).map(Reply::Upkeep),
        };
        reply.unwrap_or_else(Reply::Failed)
    }
}
