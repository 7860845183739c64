//! A unit's side of floor control in one talkgroup (TS 24.380 6.2.4), as a table and the little data around it.
//!
//! ```text
//!   Silent ──press──▶ Requesting ──granted──▶ Talking ──revoked with grace──▶ Finishing
//!     ▲                │     ▲  └─queued─▶ Queued ──granted──▲                   │
//!     │                │key up                │ key up       │ key up            │ key up, grace over
//!     └──ack, given up──────────────── Releasing ◀───────────┴───────────────────┘
//! ```
//!
//! Answers carry the request's id: one for an older request changes nothing, except that a grant nobody wants any more is
//! given back at once. *Taken* never cancels a request; only a grant, a denial or the user does.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::control::{FloorBody, Granted, Release, Request, Revoke};
use wire::{DenyCause, Priority, RequestId, RevokeCause, Seq, Spurt, Tier};

use crate::planted::{self, Fault};
use crate::{Deadline, earliest};

/// T100 and T101: how often a release or request without an answer is repeated.
pub const RETRY: Duration = Duration::from_millis(300);
/// C100 and C101: how many repeats before giving up.
pub const RETRIES: u8 = 3;
/// How often an emergency request is repeated as a datagram until it is answered.
pub const EMERGENCY_REPEAT: Duration = Duration::from_millis(100);
/// Part of the grace T3 kept back so that the release arrives inside it.
const GRACE_MARGIN: Duration = Duration::from_millis(150);

/// States of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// *U: has no permission*.
    Silent,
    /// *U: pending Request*.
    Requesting,
    /// *U: queued*.
    Queued,
    /// *U: has permission*.
    Talking,
    /// *U: has permission*, but told to stop: the grace runs.
    Finishing,
    /// *U: pending Release*.
    Releasing,
}

/// What can happen to a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key goes down, or its tier is raised.
    Press,
    /// The key goes up.
    KeyUp,
    /// The own request is granted (or granted again).
    Granted,
    /// The own request is denied.
    Denied,
    /// The own request waits.
    Waits,
    /// The grant ends after the grace.
    Revoked,
    /// The grant has ended.
    RevokedNow,
    /// The grant has ended, and a raise has no answer yet.
    RevokedInRaise,
    /// The release was carried out.
    Acked,
    /// T101 or T100: no answer yet.
    Retry,
    /// No answer after all repeats.
    GivenUp,
    /// The grace is used up.
    GraceOver,
    /// The grace is used up, and a raise has no answer yet.
    GraceOverInRaise,
    /// The session ended.
    Disconnected,
}

/// What a participant does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the request (again).
    SendRequest,
    /// Send the release (again).
    SendRelease,
    /// Send the last frame, then the release.
    Finish,
    /// Voice may be sent under the grant's spurt.
    Talk,
    /// Voice stops.
    Stop,
    /// Keep talking until the grace is nearly over.
    UseGrace,
    /// Say that it was denied.
    TellDenied,
    /// Say that no answer came.
    TellNoAnswer,
    /// Say the position.
    TellPosition,
    /// Say that the grant was revoked.
    TellRevoked,
    /// Say that the spurt or request ended as the user wished.
    TellReleased,
    /// Say that the session's end took request or spurt with it.
    TellDisconnected,
}

/// Decides; `None` means the event is ignored in that state.
pub fn decide(state: State, event: Event) -> Option<(&'static [Action], State)> {
    use Action::*;
    use State::{Finishing, Queued, Releasing, Requesting, Silent, Talking};
    Some(match (state, event) {
        (Silent | Releasing, Event::Press) => (&[SendRequest], Requesting),
        (Requesting | Queued | Talking | Finishing, Event::Press) => (&[SendRequest], state),

        (Requesting | Queued, Event::KeyUp) => (&[TellReleased, SendRelease], Releasing),
        (Talking | Finishing, Event::KeyUp) => (&[Finish, TellReleased], Releasing),

        (Requesting | Queued | Talking | Finishing, Event::Granted) => (&[Talk], Talking),
        // The grant crossed the release on the way.
        (Releasing, Event::Granted) => (&[SendRelease], Releasing),

        (Requesting | Queued, Event::Denied) => (&[TellDenied], Silent),
        // A raised tier was refused: the spurt goes on as it was.
        (Talking | Finishing, Event::Denied) => (&[TellDenied], state),
        (Releasing, Event::Denied) => (&[], Silent),
        (Requesting | Queued, Event::Waits) => (&[TellPosition], Queued),
        // The grace is over at the arbiter, and a raise that crossed its end waits there.
        (Finishing, Event::Waits) => (&[Stop, TellPosition], Queued),

        (Talking, Event::Revoked) => (&[TellRevoked, UseGrace], Finishing),
        (Talking | Finishing, Event::RevokedNow) => (&[Stop, TellRevoked, SendRelease], Releasing),
        (Finishing, Event::GraceOver) => (&[Finish], Releasing),
        // What is asked for beyond the grant outlives it: nobody in danger has to press twice.
        (Talking | Finishing, Event::RevokedInRaise) => (&[Stop, TellRevoked], Requesting),
        (Finishing, Event::GraceOverInRaise) => (&[Stop], Requesting),

        (Releasing, Event::Acked) => (&[], Silent),
        (Requesting, Event::Retry) => (&[SendRequest], Requesting),
        (Talking | Finishing, Event::Retry) => (&[SendRequest], state),
        (Releasing, Event::Retry) => (&[SendRelease], Releasing),
        (Requesting, Event::GivenUp) => (&[TellNoAnswer, SendRelease], Silent),
        (Releasing, Event::GivenUp) => (&[], Silent),

        (Requesting | Queued | Talking | Finishing, Event::Disconnected) => (&[Stop, TellDisconnected], Silent),
        (Releasing, Event::Disconnected) => (&[], Silent),

        (Silent, Event::KeyUp | Event::Granted | Event::Denied | Event::Waits | Event::Disconnected)
        | (Releasing, Event::KeyUp | Event::Waits)
        | (Talking, Event::Waits)
        | (Talking | Finishing, Event::GivenUp)
        | (Silent | Requesting | Queued | Releasing, Event::Revoked | Event::RevokedNow | Event::RevokedInRaise)
        | (Silent | Requesting | Queued | Releasing, Event::GraceOver | Event::GraceOverInRaise)
        | (Finishing, Event::Revoked)
        | (Talking, Event::GraceOver | Event::GraceOverInRaise)
        | (Silent | Requesting | Queued | Talking | Finishing, Event::Acked)
        | (Silent | Queued, Event::Retry | Event::GivenUp) => return None,
    })
}

/// What the participant wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Send on the control stream.
    Send(FloorBody),
    /// Send as an emergency datagram.
    SendDatagram(FloorBody),
    /// Send the last frame of the spurt; the release follows by [`Participant::finished`].
    Finish,
    /// Tell the user.
    Tell(Tell),
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// The floor was asked for.
    Requested(RequestId),
    /// It is given (or given again: raised tier, new number, other reach).
    Granted(Granted),
    /// It is refused.
    Denied(RequestId, DenyCause),
    /// It waits at this place.
    Queued(RequestId, u8),
    /// It was taken back.
    Revoked(RequestId, Spurt, RevokeCause),
    /// It was given back.
    Released(RequestId, Option<Spurt>),
}

/// A unit's side of floor control in one talkgroup.
#[derive(Clone, Debug)]
pub struct Participant {
    state: State,
    request: RequestId,
    priority: Priority,
    grant: Option<Granted>,
    last_seq: Option<Seq>,
    key_down: bool,
    revoked: Option<(RevokeCause, Duration)>,
    denied: DenyCause,
    position: u8,
    retry: Option<Instant>,
    retries: u8,
    repeat: Option<Instant>,
    grace: Option<Instant>,
    out: VecDeque<Out>,
}

impl Default for Participant {
    fn default() -> Self {
        Self {
            state: State::Silent,
            request: RequestId(0),
            priority: Priority::default(),
            grant: None,
            last_seq: None,
            key_down: false,
            revoked: None,
            denied: DenyCause::Other,
            position: 0,
            retry: None,
            retries: 0,
            repeat: None,
            grace: None,
            out: VecDeque::new(),
        }
    }
}

impl Participant {
    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The grant under which voice may be sent now.
    pub fn grant(&self) -> Option<&Granted> {
        match self.state {
            State::Talking | State::Finishing => self.grant.as_ref(),
            State::Silent | State::Requesting | State::Queued | State::Releasing => None,
        }
    }

    /// The newest request.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// Takes what is to be done next.
    pub fn poll(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// The key goes down with a fresh request id, or, while it is down, its tier is raised under the id it has.
    pub fn press(&mut self, fresh: RequestId, priority: Priority, now: Instant) {
        let raises = !matches!(self.state, State::Silent | State::Releasing);
        if raises && priority <= self.priority {
            return;
        }
        if !raises {
            self.request = fresh;
            (self.grant, self.last_seq, self.revoked, self.denied) = (None, None, None, DenyCause::Other);
            self.out.push_back(Out::Tell(Tell::Requested(fresh)));
        }
        self.priority = priority;
        self.key_down = true;
        self.retries = 0;
        self.apply(Event::Press, now);
    }

    /// The key goes up.
    pub fn key_up(&mut self, now: Instant) {
        let was_down = std::mem::take(&mut self.key_down);
        let over = matches!(self.state, State::Silent | State::Releasing);
        if was_down && over && (self.revoked.is_some() || self.denied == DenyCause::RetryAfter) {
            // The arbiter waits for this after a talk limit: the key has been seen released.
            self.send_release();
        }
        self.apply(Event::KeyUp, now);
    }

    /// The last frame has been sent (or there was none): the release may name it.
    pub fn finished(&mut self, last_seq: Option<Seq>, now: Instant) {
        self.last_seq = last_seq;
        self.send_release();
        self.arm_retry(now);
    }

    /// A floor message for this unit arrived.
    pub fn handle(&mut self, body: &FloorBody, now: Instant) {
        match body {
            FloorBody::Granted(_) if planted::is(Fault::KeepsGrant) && matches!(self.state, State::Silent | State::Releasing) => {}
            FloorBody::Granted(granted) if self.asks(granted.request) && self.state != State::Silent => {
                self.grant = Some(Granted { request: self.request, ..granted.clone() });
                self.apply(Event::Granted, now);
            }
            FloorBody::Granted(granted) => {
                // A grant that is no longer wanted is answered by a release.
                let release = Release { request: granted.request, last_seq: None, key_down: false };
                self.out.push_back(Out::Send(FloorBody::Release(release)));
            }
            FloorBody::Deny { request, cause } if self.asks(*request) => {
                self.denied = *cause;
                self.apply(Event::Denied, now);
            }
            FloorBody::Queued { request, position } if self.asks(*request) => {
                self.position = *position;
                self.apply(Event::Waits, now);
            }
            // The own grant by its request; by its spurt where the gateway knows of no request (voice without a grant).
            FloorBody::Revoke(revoke) if self.asks(revoke.request) || self.grant().is_some_and(|grant| grant.spurt == revoke.spurt) => {
                self.handle_revoke(revoke, now);
            }
            FloorBody::Ack { request } if self.asks(*request) => self.apply(Event::Acked, now),
            FloorBody::Deny { .. }
            | FloorBody::Queued { .. }
            | FloorBody::Revoke(_)
            | FloorBody::Ack { .. }
            | FloorBody::Request(_)
            | FloorBody::Release(_)
            | FloorBody::Taken(_)
            | FloorBody::Idle(_) => {}
        }
    }

    /// Whether an answer is for the newest request.
    fn asks(&self, request: RequestId) -> bool {
        request == self.request || planted::is(Fault::RequestIds)
    }

    fn handle_revoke(&mut self, revoke: &Revoke, now: Instant) {
        let grace = Duration::from_millis(revoke.grace_ms.into());
        self.revoked = Some((revoke.cause, grace));
        let event = match (revoke.grace_ms, self.asks_for_more()) {
            (0, false) => Event::RevokedNow,
            (0, true) => Event::RevokedInRaise,
            _ => Event::Revoked,
        };
        self.apply(event, now);
    }

    /// Whether a talker waits for the answer to a raise.
    fn asks_for_more(&self) -> bool {
        self.grant().is_some() && (self.retry.is_some() || self.repeat.is_some())
    }

    /// The session ended; whatever was asked or held ends with it.
    pub fn disconnected(&mut self, now: Instant) {
        self.apply(Event::Disconnected, now);
        // Nobody is left who waits for the key to go up.
        (self.revoked, self.denied) = (None, DenyCause::Other);
    }

    /// The next deadline.
    pub fn poll_timeout(&self) -> Deadline {
        earliest([
            self.retry.map(|at| (at, "T100/T101 retry")),
            self.repeat.map(|at| (at, "emergency repeat")),
            self.grace.map(|at| (at, "end of grace")),
        ])
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.retry.take_if(|at| *at <= now).is_some() {
            self.retries = self.retries.saturating_add(1);
            // Whoever is in danger does not stop asking while the session lives.
            let urgent = self.state != State::Releasing && self.priority.tier == Tier::Emergency;
            self.apply(if self.retries > RETRIES && !urgent { Event::GivenUp } else { Event::Retry }, now);
        }
        if self.repeat.take_if(|at| *at <= now).is_some() {
            self.out.push_back(Out::SendDatagram(self.request_body()));
            self.repeat = Some(now + EMERGENCY_REPEAT);
        }
        if self.grace.take_if(|at| *at <= now).is_some() {
            let event = if self.asks_for_more() { Event::GraceOverInRaise } else { Event::GraceOver };
            self.apply(event, now);
        }
    }

    fn apply(&mut self, event: Event, now: Instant) {
        let Some((actions, state)) = decide(self.state, event) else { return };
        // A grant of a lower tier answers what was asked before the raise.
        let in_full = self.grant.as_ref().is_some_and(|grant| grant.tier >= self.priority.tier);
        let answered = matches!(event, Event::Denied | Event::Waits | Event::Acked | Event::Disconnected | Event::GivenUp);
        if answered || (event == Event::Granted && in_full) {
            (self.retry, self.repeat) = (None, None);
        }
        let entered = state != self.state;
        self.state = state;
        if entered && state == State::Releasing {
            (self.grace, self.repeat, self.retries) = (None, None, 0);
        }
        for action in actions {
            self.act(*action, now);
        }
    }

    fn act(&mut self, action: Action, now: Instant) {
        match action {
            Action::SendRequest => {
                self.out.push_back(Out::Send(self.request_body()));
                self.arm_retry(now);
                if self.priority.tier == Tier::Emergency && self.repeat.is_none() {
                    self.repeat = Some(now + EMERGENCY_REPEAT);
                }
            }
            Action::SendRelease => {
                self.send_release();
                if self.state == State::Releasing {
                    self.arm_retry(now);
                }
            }
            Action::Finish => self.out.push_back(Out::Finish),
            Action::Talk => {
                (self.grace, self.revoked) = (None, None);
                if let Some(grant) = &self.grant {
                    self.out.push_back(Out::Tell(Tell::Granted(grant.clone())));
                }
            }
            Action::Stop => self.grace = None,
            Action::UseGrace => {
                let grace = self.revoked.map_or(Duration::ZERO, |(_, grace)| grace);
                self.grace = Some(now + grace.saturating_sub(GRACE_MARGIN));
            }
            Action::TellDenied => self.out.push_back(Out::Tell(Tell::Denied(self.request, self.denied))),
            Action::TellNoAnswer => self.out.push_back(Out::Tell(Tell::Denied(self.request, DenyCause::NoAnswer))),
            Action::TellPosition => self.out.push_back(Out::Tell(Tell::Queued(self.request, self.position))),
            Action::TellRevoked => {
                let cause = self.revoked.map_or(RevokeCause::Other, |(cause, _)| cause);
                if let Some(grant) = &self.grant {
                    self.out.push_back(Out::Tell(Tell::Revoked(self.request, grant.spurt, cause)));
                }
            }
            Action::TellReleased => {
                let spurt = self.grant.as_ref().map(|grant| grant.spurt);
                self.out.push_back(Out::Tell(Tell::Released(self.request, spurt)));
            }
            Action::TellDisconnected => {
                let tell = match &self.grant {
                    Some(grant) => Tell::Revoked(self.request, grant.spurt, RevokeCause::Disconnected),
                    None => Tell::Denied(self.request, DenyCause::Disconnected),
                };
                self.out.push_back(Out::Tell(tell));
            }
        }
    }

    fn request_body(&self) -> FloorBody {
        FloorBody::Request(Request { request: self.request, priority: self.priority, talker: None, continuing: None })
    }

    fn send_release(&mut self) {
        let last_seq = self.last_seq.filter(|_| !planted::is(Fault::NoLastFrame));
        let release = Release { request: self.request, last_seq, key_down: self.key_down };
        self.out.push_back(Out::Send(FloorBody::Release(release)));
    }

    fn arm_retry(&mut self, now: Instant) {
        self.retry = Some(now + RETRY);
    }
}

/// Every state, for the snapshot.
pub const STATES: [State; 6] = [State::Silent, State::Requesting, State::Queued, State::Talking, State::Finishing, State::Releasing];
/// Every event, for the snapshot.
pub const EVENTS: [Event; 14] = [
    Event::Press,
    Event::KeyUp,
    Event::Granted,
    Event::Denied,
    Event::Waits,
    Event::Revoked,
    Event::RevokedNow,
    Event::RevokedInRaise,
    Event::Acked,
    Event::Retry,
    Event::GivenUp,
    Event::GraceOver,
    Event::GraceOverInRaise,
    Event::Disconnected,
];
