//! The controlling side of one talkgroup view: who talks, who waits, and the timers (TS 24.380 6.3.4, 6.3.5).
//!
//! Facts come in through the methods, each with `now`; [`crate::floor::table::decide`] says what happens; the outcome leaves through
//! [`Arbiter::poll`]. Rights and ceilings are checked before a claim gets here.

mod act;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use wire::control::{FloorBody, Idle, Release, Taken};
use wire::{DenyCause, Epoch, RevokeCause, Seq, SessionId, Spurt, Tier};

use crate::floor::bar::Bar;
use crate::floor::queue::{Enqueued, Queue};
use crate::floor::say::{Ended, Say};
use crate::floor::table::{Event, State};
use crate::floor::{Claim, Party};
use crate::plan::Timers;
use crate::planted::{self, Fault};
use crate::{Deadline, earliest, millis};

/// Numbers of the running spurt that are still known: so many borders may heal while one frame is on its way.
pub(crate) const RENUMBERED_MAX: usize = 16;

/// The spurt that has the floor.
#[derive(Clone, Debug)]
pub struct Current {
    /// The request that was granted.
    pub claim: Claim,
    /// The spurt's number.
    pub spurt: Spurt,
    /// When it was granted.
    pub since: Instant,
    /// Newest frame that passed.
    pub newest_seq: Option<Seq>,
    /// The last frame that the release named.
    last_seq: Option<Seq>,
    /// The numbers it had before renumberings, oldest first; frames of them pass until the first of the newest one.
    pub(crate) before: Vec<Spurt>,
    /// When the first frame passed; the talk limit counts from here.
    first_frame: Option<Instant>,
    from_queue: bool,
    grants_sent: u8,
    revoked: Option<RevokeCause>,
}

/// The controlling side of one talkgroup view.
#[derive(Clone, Debug)]
pub struct Arbiter {
    timers: Timers,
    state: State,
    current: Option<Current>,
    queue: Queue,
    /// Whom the border has no room for.
    bar: Bar,
    numbering: Spurt,
    /// Talkers cut off by the talk limit whose key has not been seen released.
    key_held: BTreeSet<Party>,
    /// What Idle will say if nobody follows.
    over: Option<Idle>,
    t1: Option<Instant>,
    t2: Option<Instant>,
    t3: Option<Instant>,
    t20: Option<Instant>,
    tail: Option<Instant>,
    out: VecDeque<Say>,
}

impl Arbiter {
    /// A free floor whose spurts are numbered from the start of the epoch.
    pub fn new(timers: Timers, epoch: Epoch) -> Self {
        Self {
            timers,
            state: State::Idle,
            current: None,
            queue: Queue::default(),
            bar: Bar::default(),
            numbering: Spurt::start_of(epoch),
            key_held: BTreeSet::new(),
            over: None,
            t1: None,
            t2: None,
            t3: None,
            t20: None,
            tail: None,
            out: VecDeque::new(),
        }
    }

    /// The state, for status and tests.
    pub fn state(&self) -> State {
        self.state
    }

    /// The spurt that has the floor.
    pub fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// Who waits.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The newest number given.
    pub fn newest(&self) -> Spurt {
        self.numbering
    }

    /// Takes new timers; running ones keep their deadline.
    pub fn set_timers(&mut self, timers: Timers) {
        self.timers = timers;
    }

    /// Takes whom it may not grant from now on; what is granted already stays.
    pub fn set_bar(&mut self, bar: Bar) {
        self.bar = bar;
    }

    /// Takes what is to be said next.
    pub fn poll(&mut self) -> Option<Say> {
        self.out.pop_front()
    }

    /// What *taken* says to a late joiner.
    pub fn taken(&self, now: Instant) -> Option<Taken> {
        self.current.as_ref().map(|current| Taken {
            spurt: current.spurt,
            talker: current.claim.talker.clone(),
            tier: current.claim.priority.tier,
            via: None,
            elapsed_ms: millis(now.saturating_duration_since(current.since)),
        })
    }

    // === Facts ===

    /// Somebody asks for the floor.
    pub fn request(&mut self, claim: Claim, now: Instant) {
        if self.key_held.contains(&claim.party) && claim.priority.tier == Tier::Normal {
            self.deny(claim, DenyCause::RetryAfter);
            return;
        }
        let talks = self.current.as_ref().is_some_and(|current| current.claim.party == claim.party);
        if talks {
            self.request_of_talker(claim, now);
        } else if self.repeats_a_waiting_one(&claim) {
            self.queue.tell_again(&claim.party);
            self.tell_positions();
        } else {
            self.judge(claim, now);
        }
    }

    /// A new request. One that would get the floor now but has no room on the border is refused before anybody speaks into nothing;
    /// one that has to wait is judged when its turn comes.
    fn judge(&mut self, claim: Claim, now: Instant) {
        let event = self.classify(&claim);
        if (self.state == State::Idle || event != Event::Request) && self.bar.refuses(&claim) {
            self.queue.remove(&claim.party);
            self.deny(claim, DenyCause::NoResources);
            self.tell_positions();
        } else {
            self.apply(event, Some(claim), now);
        }
    }

    /// A repeat of a waiting request: only the position is said again. A talker that its own side has let on meanwhile does not
    /// wait any more.
    fn repeats_a_waiting_one(&self, claim: &Claim) -> bool {
        self.queue.find(&claim.party).is_some_and(|waiting| {
            let same = waiting.request == claim.request && waiting.priority >= claim.priority;
            same && waiting.since.is_some() == claim.since.is_some()
        })
    }

    fn request_of_talker(&mut self, claim: Claim, now: Instant) {
        let Some(current) = &mut self.current else { return };
        if current.claim.request != claim.request {
            if self.state != State::Draining {
                // A new press without a release of the old one: the release was lost.
                self.apply(Event::ReleaseDone, None, now);
            }
            self.judge(claim, now);
            return;
        }
        let above_head = self.queue.head().is_none_or(|head| claim.priority > head.priority);
        if claim.priority > current.claim.priority && (self.state == State::Taken || above_head) {
            current.claim.priority = claim.priority;
            self.apply(Event::Raise, None, now);
        } else {
            self.apply(Event::Again, None, now);
        }
    }

    fn classify(&self, claim: &Claim) -> Event {
        match &self.current {
            Some(current) if claim.priority.preempts(current.claim.priority) => {
                if claim.priority.grants_grace(current.claim.priority) {
                    Event::Preempt
                } else {
                    Event::Cut
                }
            }
            _ => Event::Request,
        }
    }

    /// A party releases its spurt or takes its request back.
    pub fn release(&mut self, party: &Party, release: &Release, now: Instant) {
        if !release.key_down {
            self.key_held.remove(party);
        }
        let named = |claim: &Claim| claim.request == release.request || planted::is(Fault::RequestIds);
        let current = self.current.as_mut().filter(|c| c.claim.party == *party && named(&c.claim));
        let Some(current) = current else {
            // Cancelled in the queue, or a repeat of something over: acknowledged either way.
            if self.queue.cancel(party, release.request).is_some() {
                self.tell_positions();
            }
            self.out.push_back(Say::To(party.clone(), FloorBody::Ack { request: release.request }));
            return;
        };
        if self.state != State::Draining {
            current.last_seq = release.last_seq;
        }
        let passed = release.last_seq.is_none_or(|last| current.newest_seq.is_some_and(|newest| newest >= last));
        self.apply(if passed { Event::ReleaseDone } else { Event::Release }, None, now);
    }

    /// A voice frame or hold beat arrived from a session; `true` if it may be heard.
    pub fn voice(&mut self, session: SessionId, spurt: Spurt, seq: Seq, now: Instant) -> bool {
        let Some(current) = &mut self.current else { return false };
        if current.claim.party.session != session {
            return false;
        }
        if current.before.contains(&spurt) {
            self.t1 = Some(now + self.timers.t1);
            return true;
        }
        if current.spurt != spurt || current.last_seq.is_some_and(|last| seq > last) {
            return false;
        }
        current.before.clear();
        current.newest_seq = current.newest_seq.max(Some(seq));
        if current.first_frame.is_none() {
            current.first_frame = Some(now);
            self.t2 = Some(now + self.timers.limit(current.claim.priority.tier));
        }
        self.t20 = None;
        let drained = self.state == State::Draining && current.newest_seq >= current.last_seq;
        if self.state != State::Draining {
            self.t1 = Some(now + self.timers.t1);
        }
        if drained {
            self.apply(Event::LastFrame, None, now);
        }
        true
    }

    /// A party left the talkgroup, its session ended, or its rights did.
    pub fn leave(&mut self, party: &Party, cause: RevokeCause, now: Instant) {
        self.leave_if(|p| p == party, cause, now);
    }

    /// Every party of a session left.
    pub fn leave_session(&mut self, session: SessionId, now: Instant) {
        self.leave_if(|p| p.session == session, RevokeCause::Disconnected, now);
    }

    /// Every party the test names left.
    pub fn leave_if(&mut self, gone: impl Fn(&Party) -> bool, cause: RevokeCause, now: Instant) {
        self.key_held.retain(|party| !gone(party));
        let removed = self.queue.remove_if(|claim| gone(&claim.party));
        let deny = if cause == RevokeCause::NotAllowed { DenyCause::ReceiveOnly } else { DenyCause::Disconnected };
        for claim in &removed {
            self.out.push_back(Say::To(claim.party.clone(), FloorBody::Deny { request: claim.request, cause: deny }));
        }
        if let Some(current) = self.current.as_mut().filter(|c| gone(&c.claim.party)) {
            current.revoked = Some(cause);
            // Whoever is still there must hear that nobody hears it any more.
            self.revoke(cause, Duration::ZERO);
            self.apply(Event::TalkerGone, None, now);
        }
        if !removed.is_empty() {
            self.tell_positions();
        }
    }

    /// Says the running grant again: its reach has changed.
    pub fn say_grant_again(&mut self, now: Instant) {
        if self.state == State::Taken {
            self.grant_again(now);
        }
    }

    /// Numbers from here on start in this epoch; a running spurt goes on under a fresh grant with the same request id. If nobody
    /// talks, *idle* names the start of the epoch: whoever hears of no epoch for half the circle would take the next for an old one.
    pub fn renumber(&mut self, epoch: Epoch, now: Instant) {
        // The tail of a talker that has released is not worth a new number.
        self.end_tail(now);
        self.numbering = Spurt::start_of(epoch);
        if self.current.is_some() {
            self.begin_anew(now);
        } else {
            self.out.push_back(Say::Idle(Idle { spurt: self.numbering, last_seq: None, cause: None, followed: false }));
        }
    }

    /// The running spurt goes on under the next number, with the same request id: somebody for whom it was over hears it again.
    pub fn begin_anew(&mut self, now: Instant) {
        let Some(current) = &mut self.current else { return };
        self.numbering = self.numbering.next();
        if current.before.len() == RENUMBERED_MAX {
            current.before.remove(0);
        }
        current.before.push(current.spurt);
        current.spurt = self.numbering;
        current.newest_seq = None;
        self.out.push_back(Say::Began(self.numbering));
        let revoked = current.revoked;
        let grace = self.t3;
        self.grant_again(now);
        if let (State::Revoking, Some(cause), Some(until)) = (self.state, revoked, grace) {
            // A talker that was told to stop is told so again under the new number; its grace runs on.
            self.revoke(cause, until.saturating_duration_since(now).max(Duration::from_millis(1)));
            self.t3 = grace;
            if let Some(current) = &mut self.current {
                current.revoked = revoked;
            }
        }
        self.say_taken(now);
    }

    /// Gives up waiting for the last frame of a spurt that was released.
    pub fn end_tail(&mut self, now: Instant) {
        self.apply(Event::TailOver, None, now);
    }

    /// Puts a talker that goes on from another arbiter's time onto the free floor; it talks since then, under these numbers.
    pub fn carry_on(&mut self, claim: Claim, before: Vec<Spurt>, since: Instant, now: Instant) {
        self.request(Claim { since: Some(since), ..claim }, now);
        if let Some(current) = &mut self.current {
            current.before = before;
        }
    }

    // === Time ===

    /// The next deadline.
    pub fn poll_timeout(&self) -> Deadline {
        let named = |at: Option<Instant>, reason| at.map(|at| (at, reason));
        earliest([
            named(self.t1, "T1 end of media"),
            named(self.t2, "T2 talk limit"),
            named(self.t3, "T3 grace"),
            named(self.t20, "T20 granted"),
            named(self.tail, "last frame"),
        ])
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.tail) {
            self.apply(Event::TailOver, None, now);
        }
        if due(&mut self.t3) {
            self.apply(Event::GraceOver, None, now);
        }
        if due(&mut self.t1) {
            self.apply(Event::MediaGap, None, now);
        }
        if due(&mut self.t2) {
            self.apply(Event::TalkLimit, None, now);
        }
        if due(&mut self.t20) {
            let exhausted = self.current.as_ref().is_some_and(|c| c.grants_sent >= Timers::C20);
            if exhausted {
                self.apply(Event::NoShow, None, now);
            } else {
                self.grant_again(now);
            }
        }
    }
}
