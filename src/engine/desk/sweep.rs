//! What is worthless is taken out of the outboxes and told to its sender; ids that need not be known any longer are forgotten.

use std::time::{Duration, Instant};

use wire::data::keep::{Page, Question, Waiting};
use wire::data::{Lane, Recipient, Undelivered};

use super::jobs::Job;
use super::sending::Source;
use super::{Desk, Now, Seals};

/// Entries that are looked at at once.
const DUE_MAX: usize = 512;
/// Ids that are forgotten at once.
const FORGET_MAX: usize = 5_000;
/// How often ids are forgotten.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);
/// Expiry is counted in seconds; nobody is told sooner.
const STEP: Duration = Duration::from_secs(1);
/// The clock of UTC is looked at so often at least: it may be set.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// When what is worthless is looked for.
#[derive(Debug)]
pub(super) struct Sweep {
    /// When the first entry is worthless, as far as is known.
    next_ms: Option<u64>,
    /// The disk was asked, and has not answered.
    asked: bool,
    at: Instant,
    upkeep_at: Instant,
}

impl Sweep {
    /// The first look is at once: there may be something from before the start.
    pub(super) fn new(now: Now) -> Self {
        Self { next_ms: Some(0), asked: false, at: now.at, upkeep_at: now.at + UPKEEP_EVERY }
    }

    pub(super) fn poll_timeout(&self) -> (Instant, &'static str) {
        (self.at.min(self.upkeep_at), "short data that is worthless")
    }

    /// Something was put that is worthless from then on.
    pub(super) fn note(&mut self, expires_ms: u64, now: Now) {
        // Only what is worthless sooner moves the look: a stream of others must not put it off.
        if self.next_ms.is_none_or(|next| expires_ms < next) {
            self.next_ms = Some(expires_ms);
            self.wake(now);
        }
    }

    /// The disk told when the next entry is worthless.
    pub(super) fn handle_next(&mut self, next_ms: Option<u64>, now: Now) {
        self.asked = false;
        // Something may have been put meanwhile.
        self.next_ms = self.next_ms.into_iter().chain(next_ms).min();
        self.wake(now);
    }

    pub(super) fn handle_upkeep(&mut self, forgotten: usize, now: Now) {
        if forgotten == FORGET_MAX {
            self.upkeep_at = now.at;
        }
    }

    fn wake(&mut self, now: Now) {
        let wait = self.next_ms.map_or(LOOK_EVERY, |next| Duration::from_millis(next.saturating_sub(now.ms)));
        self.at = now.at + wait.clamp(STEP, LOOK_EVERY);
    }
}

impl<S: Seals> Desk<S> {
    pub(super) fn sweep(&mut self, now: Now) {
        if self.sweep.at <= now.at {
            self.sweep.wake(now);
            if self.sweep.next_ms.is_some_and(|next| next <= now.ms) && !self.sweep.asked {
                self.sweep.asked = true;
                self.ask(Job::Due, Question::Due(now.ms, DUE_MAX));
            }
        }
        if self.sweep.upkeep_at <= now.at {
            self.sweep.upkeep_at = now.at + UPKEEP_EVERY;
            self.limits.retain(|_, limits| !limits.is_paid(now.at));
            self.ask(Job::Upkeep, Question::Upkeep(now.ms, FORGET_MAX));
        }
    }

    /// What is worthless by now.
    pub(super) fn due(&mut self, page: Page, now: Now) {
        let is_full = page.waiting.len() + page.damaged.len() == DUE_MAX;
        let mut is_any = !page.damaged.is_empty();
        if !page.damaged.is_empty() {
            self.damaged(page.damaged, None);
        }
        for waiting in page.waiting {
            if !self.settling.contains(&waiting.number) && self.withdraw(&waiting) {
                is_any = true;
                self.never_arrives(waiting, Undelivered::Expired, now);
            }
        }
        if is_full && is_any {
            self.ask(Job::Due, Question::Due(now.ms, DUE_MAX));
        } else {
            self.sweep.next_ms = None;
            self.ask(Job::NextDue, Question::NextDue);
        }
    }

    /// Lets go of an entry; `false`: it is under way, and its receiver may have it, so its answer decides.
    fn withdraw(&mut self, waiting: &Waiting) -> bool {
        let lane = Lane::of(waiting.entry.urgent);
        match &waiting.entry.outbox {
            Recipient::Identity(identity) => {
                let session = self.by_identity.get(identity).and_then(|session| self.sessions.get_mut(session));
                let stream = session.and_then(|entry| entry.streams.get_mut(&lane));
                stream.is_none_or(|stream| stream.withdraw(&Source::Own, waiting.number))
            }
            Recipient::Talkgroup(talkgroup) => {
                for session in self.members.get(talkgroup).into_iter().flatten() {
                    if let Some(stream) = self.sessions.get_mut(session).and_then(|entry| entry.streams.get_mut(&lane)) {
                        stream.withdraw(&Source::Group(talkgroup.clone()), waiting.number);
                    }
                }
                true
            }
        }
    }
}
