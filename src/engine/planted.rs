//! Faults that are planted on purpose, to see whether the tests would find them: each takes away one rule that keeps views together.
//!
//! Only where the feature `planted` is on, which no program is built with; without it [`is`] is a constant `false`, and nothing is
//! left of the places that ask. The feature's thread plants (`plant`); a simulated life runs on one thread.

/// A fault, by the rule that it takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An answer meets whatever was asked last, a release whatever is held or asked: request ids are not looked at.
    RequestIds,
    /// At a partner, *taken* cancels what is asked of the home.
    TakenCancels,
    /// A view that goes alone or comes back leaves at its home what it asked, held or announced there.
    KeepsClaims,
    /// What was asked while a border was cut is not taken along to the home.
    SyncCancels,
    /// A partner's *sync* names no talker.
    SyncNamesNobody,
    /// A grant that nobody wants any more is not given back.
    KeepsGrant,
    /// At a unit, every frame that comes goes on to the jitter buffer, whatever the view granted.
    NoFilter,
    /// The jitter buffer plays a spurt that is over: the second half of the filter.
    PlaysWhatIsOver,
    /// A release does not name the last frame.
    NoLastFrame,
}

/// Whether that fault is planted.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn is(_fault: Fault) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use bed::{is, plant};

#[cfg(feature = "planted")]
mod bed {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        static PLANTED: Cell<&'static [Fault]> = const { Cell::new(&[]) };
    }

    /// Whether that fault is planted.
    #[must_use]
    pub fn is(fault: Fault) -> bool {
        PLANTED.get().contains(&fault)
    }

    /// Plants these faults, and no others, on this thread.
    pub fn plant(faults: &'static [Fault]) {
        PLANTED.set(faults);
    }
}
