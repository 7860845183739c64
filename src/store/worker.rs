//! The store on a thread of its own. While the disk works on one group, what comes is the next: under load a commit serves
//! hundreds of messages, without it a message waits for nobody.
//!
//! The queue is bounded; when it is full a request is handed back, for nothing may be accepted that cannot be written soon.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use wire::data::keep::{Answer, Question, Reply, Write};

use crate::ledger::Ledger;

/// Requests that wait for the thread; more are handed back.
const QUEUE_REQUESTS: usize = 4_096;
/// Most requests in one group: bounds how long the first of them waits for its answer.
const GROUP_REQUESTS: usize = 1_024;

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

    /// Queues a question; it sees everything that was queued before, and perhaps some of what came after: a question between
    /// writes must not cost them a commit of their own. What it sees has been answered before.
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

    /// Serves a group: its writes in their order and one transaction, then its questions. Tells whether it was the last.
    fn serve(&mut self, group: Vec<Request>) -> bool {
        let (mut tokens, mut writes, mut questions, mut is_last) = (Vec::new(), Vec::new(), Vec::new(), false);
        for request in group {
            match request {
                Request::Write(token, write) => {
                    tokens.push(token);
                    writes.push(write);
                }
                Request::Ask(token, question) => questions.push((token, question)),
                Request::Stop => is_last = true,
            }
        }
        self.commit(tokens, &writes);
        for (token, question) in questions {
            let reply = self.look(&question);
            (self.answer)(Answer { token, reply });
        }
        is_last
    }

    fn commit(&mut self, tokens: Vec<u64>, writes: &[Write]) {
        if writes.is_empty() {
            return;
        }
        (self.at)(Point::BeforeCommit);
        let outcomes = self.ledger.commit(writes);
        (self.at)(Point::BeforeAnswers);
        let half = tokens.len() / 2;
        for (number, (token, outcome)) in tokens.into_iter().zip(outcomes).enumerate() {
            if number == half && half > 0 {
                (self.at)(Point::AmongAnswers);
            }
            (self.answer)(Answer { token, reply: Reply::Written(outcome) });
        }
        (self.at)(Point::AfterAnswers);
    }

    fn look(&mut self, question: &Question) -> Reply {
        let ledger = &mut self.ledger;
        let reply = match question {
            Question::Page(place, limit) => ledger.page(place, *limit).map(Reply::Page),
            Question::Due(now_ms, limit) => ledger.due(*now_ms, *limit).map(Reply::Page),
            Question::NextDue => ledger.next_due_ms().map(Reply::NextDue),
            Question::Known(id) => ledger.known(*id).map(Reply::Known),
            Question::Place(talkgroup, member, urgent) => ledger.place(talkgroup, member, *urgent).map(Reply::Place),
            Question::Depth => ledger.depth().map(Reply::Depth),
            Question::Standing => ledger.standing().map(Reply::Standing),
            Question::Upkeep(now_ms, limit) => ledger.upkeep(*now_ms, *limit).map(Reply::Upkeep),
        };
        reply.unwrap_or_else(Reply::Failed)
    }
}
