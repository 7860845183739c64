//! The table of one entry on its way: state x event -> next state and what is told. Nothing else decides.
//!
//! ```text
//!            sent                taken, refused for good
//!   Ready ─────────▶ Sent ──────────────────────────────▶ gone, told
//!     ▲               │ refused for now
//!     └──── Held ◀────┘
//!   hold over
//! ```
//!
//! `tests/` holds a snapshot of every pair.

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may go.
    Ready,
    /// It went, and the receiver has not answered.
    Sent,
    /// The receiver could not take it now; it goes again later.
    Held,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is handed to the link.
    Transmit,
    /// The receiver has it safe.
    Taken,
    /// The receiver cannot take it now.
    RefusedForNow,
    /// The receiver will never take it.
    RefusedForGood,
    /// The time to wait before it goes again is over.
    HoldOver,
    /// It is worthless by now.
    Expired,
}

/// Where the table leads, and what the owner is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into this state; nobody is told.
    To(State),
    /// It is gone: the receiver has it.
    Delivered,
    /// It is gone: the receiver does not want it.
    Refused,
    /// It is gone, and whoever looks after expiry tells.
    Dropped,
    /// Does not happen here: an answer to what was not asked. The other side is at fault.
    Fault,
}

/// The table.
pub fn step(state: State, event: Event) -> Step {
    match (state, event) {
        (State::Ready, Event::Transmit) => Step::To(State::Sent),
        (State::Held, Event::HoldOver) => Step::To(State::Ready),
        (State::Sent, Event::Taken) => Step::Delivered,
        (State::Sent, Event::RefusedForNow) => Step::To(State::Held),
        (State::Sent, Event::RefusedForGood) => Step::Refused,
        // What went may be on the other side's disk already; its answer still comes, and counts.
        (State::Sent, Event::Expired | Event::Transmit | Event::HoldOver) => Step::To(State::Sent),
        (State::Ready | State::Held, Event::Expired) => Step::Dropped,
        (State::Ready, Event::HoldOver) => Step::To(State::Ready),
        (State::Held, Event::Transmit) => Step::To(State::Held),
        (State::Ready | State::Held, Event::Taken | Event::RefusedForNow | Event::RefusedForGood) => Step::Fault,
    }
}

impl State {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Sent, Self::Held];
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 6] = [Self::Transmit, Self::Taken, Self::RefusedForNow, Self::RefusedForGood, Self::HoldOver, Self::Expired];
}
