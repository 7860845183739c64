//! The arbiter's table: state x event -> next state and actions. Nothing else decides.
//!
//! ```text
//!            request                 release                last frame / tail over
//!   Idle ─────────────────▶ Taken ─────────────▶ Draining ─────────────────────────▶ next
//!                            │  ▲                   ▲
//!     pre-empted, talk limit │  │ raised            │ release
//!                            ▼  │                   │
//!                          Revoking ────────────────┘───── grace over ─────────────▶ next
//!
//!   next = the head of the queue is granted (Taken), or Idle
//! ```
//!
//! TS 24.380 6.3.4 names these states *G: Floor Idle*, *Floor Taken*, *pending Floor Revoke*; Draining is ours, it keeps
//! the last syllable. `tests/` holds a snapshot of every pair.

use wire::RevokeCause;

/// States of the arbiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody talks.
    Idle,
    /// Somebody talks.
    Taken,
    /// The talker was told to stop and has the grace T3; its voice still passes.
    Revoking,
    /// The talker released; its last frame is still on the way.
    Draining,
}

/// What can happen; facts about priorities and queue are worked out before the table is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request that does not pre-empt the talker.
    Request,
    /// A request that pre-empts, inside the normal tier.
    Preempt,
    /// A request that pre-empts and cuts: peril, emergency.
    Cut,
    /// The talker's own request again (repeat, nothing new).
    Again,
    /// The talker's own request again, in a higher tier or level than before and than the queue's head.
    Raise,
    /// The talker releases; its last frame has not passed yet.
    Release,
    /// The talker releases; its last frame has passed, or it sent none.
    ReleaseDone,
    /// The last frame that the release named passed.
    LastFrame,
    /// The last frame did not come in time.
    TailOver,
    /// T1: no voice and no hold beat.
    MediaGap,
    /// T2: the talk limit.
    TalkLimit,
    /// T3: the grace is over.
    GraceOver,
    /// C20 grants out of the queue found no voice.
    NoShow,
    /// The talker's session ended or its rights did.
    TalkerGone,
}

/// Where the table leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Into this state.
    State(State),
    /// The head of the queue is granted, or the floor is idle.
    Next,
}

/// What the arbiter does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Grant the request.
    Grant,
    /// Say the grant again, with the time that is left.
    GrantAgain,
    /// Take the higher priority, tell everybody.
    Raise,
    /// Put the request into the queue by priority and turn, or deny it when the queue is full.
    Enqueue,
    /// Put the request at the head of the queue.
    EnqueueFirst,
    /// Tell the talker to stop within T3.
    RevokeWithGrace(RevokeCause),
    /// Tell the talker that its spurt has ended.
    RevokeNow(RevokeCause),
    /// Acknowledge the release and wait for the last frame.
    Drain,
    /// Acknowledge the release.
    Ack,
    /// The spurt is over.
    End,
}

/// An outcome: actions, then the next state. `None` means the event is ignored in that state (TS 24.380 6.3.4.1).
pub type Outcome = Option<(&'static [Action], To)>;

/// Decides.
pub fn decide(state: State, event: Event) -> Outcome {
    use Action::*;
    use State::{Draining, Idle, Revoking, Taken};
    const fn to(state: State) -> To {
        To::State(state)
    }
    match (state, event) {
        // 6.3.4.3.3: a request in Idle is granted.
        (Idle, Event::Request | Event::Preempt | Event::Cut) => Some((&[Grant], to(Taken))),

        // 6.3.5.4.4: a request that does not pre-empt waits.
        (Taken | Revoking | Draining, Event::Request) => Some((&[Enqueue], to(state))),
        // 6.3.4.4.7: revoke #4, the pre-emptor heads the queue.
        (Taken, Event::Preempt) => Some((&[RevokeWithGrace(RevokeCause::Preempted), EnqueueFirst], to(Revoking))),
        (Revoking | Draining, Event::Preempt) => Some((&[Enqueue], to(state))),
        // Peril and emergency end the old spurt at the decision.
        (Taken | Revoking, Event::Cut) => Some((&[RevokeNow(RevokeCause::Preempted), EnqueueFirst], To::Next)),
        (Draining, Event::Cut) => Some((&[End, EnqueueFirst], To::Next)),
        // 6.3.4.4.8: the talker asks again.
        (Taken, Event::Again) => Some((&[GrantAgain], to(Taken))),
        (Taken, Event::Raise) => Some((&[Raise, GrantAgain], to(Taken))),
        // A talker who raises its tier above the pre-emptor's while it is being revoked keeps the floor.
        (Revoking, Event::Raise) => Some((&[Raise, GrantAgain], to(Taken))),

        (Taken | Revoking, Event::Release) => Some((&[Drain], to(Draining))),
        (Taken | Revoking, Event::ReleaseDone) => Some((&[Ack, End], To::Next)),
        // A repeated release: its acknowledgement was lost.
        (Draining, Event::Release | Event::ReleaseDone) => Some((&[Ack], to(state))),
        (Draining, Event::LastFrame | Event::TailOver) => Some((&[End], To::Next)),

        // 6.3.4.4.3, but the talker is told, for it may still believe to be heard.
        (Taken | Revoking, Event::MediaGap) => Some((&[RevokeNow(RevokeCause::MediaGap)], To::Next)),
        // 6.3.4.4.4: the talk limit always goes through a revoke #2.
        (Taken, Event::TalkLimit) => Some((&[RevokeWithGrace(RevokeCause::TalkLimit)], to(Revoking))),
        // 6.3.4.5.4: the grace is over.
        (Revoking, Event::GraceOver) => Some((&[End], To::Next)),
        // T20 ran out C20 times: whoever waited does not talk any more.
        (Taken, Event::NoShow) => Some((&[RevokeNow(RevokeCause::MediaGap)], To::Next)),
        (Taken | Revoking | Draining, Event::TalkerGone) => Some((&[End], To::Next)),

        (Idle, Event::Again | Event::Raise | Event::Release | Event::ReleaseDone)
        | (Revoking | Draining, Event::Again)
        | (Draining, Event::Raise)
        | (Idle | Taken | Revoking, Event::LastFrame | Event::TailOver)
        | (Idle | Draining, Event::MediaGap)
        | (Idle | Revoking | Draining, Event::TalkLimit | Event::NoShow)
        | (Idle | Taken | Draining, Event::GraceOver)
        | (Idle, Event::TalkerGone) => None,
    }
}

/// Every state, for the snapshot.
pub const STATES: [State; 4] = [State::Idle, State::Taken, State::Revoking, State::Draining];
/// Every event, for the snapshot.
pub const EVENTS: [Event; 14] = [
    Event::Request,
    Event::Preempt,
    Event::Cut,
    Event::Again,
    Event::Raise,
    Event::Release,
    Event::ReleaseDone,
    Event::LastFrame,
    Event::TailOver,
    Event::MediaGap,
    Event::TalkLimit,
    Event::GraceOver,
    Event::NoShow,
    Event::TalkerGone,
];
