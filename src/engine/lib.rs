//! Decisions, and nothing else: floor control, scheduling, jitter buffer, routes, hub and handset.
//!
//! The engine is sans-IO. It has no clock, no socket, no thread and no random source; whoever drives it hands them in:
//!
//! - `handle_*(input, now)` feeds a fact; it may change state and queue output.
//! - `poll_output()` / `poll_event()` take what is to be done; drain them after every input.
//! - `poll_timeout()` gives the next *(deadline, reason)*; call `handle_timeout(now)` then.
//!
//! `now` never runs backwards. The same inputs give the same outputs, which is what the simulations rest on; nothing here
//! depends on hash order.
//!
//! In the data path: the transport's messages and datagrams come in through [`hub::Hub`] (gateway) or
//! [`handset::Handset`] (unit) and go out to the links, where [`sched::Scheduler`] orders them.

pub mod capacity;
pub mod desk;
pub mod figures;
pub mod floor;
pub mod gate;
pub mod handset;
pub mod holddown;
pub mod hub;
pub mod jitter;
pub mod liveness;
pub mod loss;
pub mod outbox;
pub mod plan;
pub mod planted;
pub(crate) mod rate;
pub mod sched;

/// The earlier of two optional deadlines, with its reason.
pub(crate) type Deadline = Option<(std::time::Instant, &'static str)>;

/// The earliest of all deadlines.
pub(crate) fn earliest(deadlines: impl IntoIterator<Item = Deadline>) -> Deadline {
    deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
}

/// Milliseconds of a duration, for the wire; saturates after 49 days.
pub(crate) fn millis(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
