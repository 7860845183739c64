//! How much one identity may ask of the gateway: presses, voice frames, malformed datagrams.
//!
//! An identity has one session at a time, and the session that supersedes another takes its usage over, so opening many
//! does not help. The rates are well above what a person or a working unit can do.

use std::time::{Duration, Instant};

/// Voice frames: 50 a second and room for the 300 ms spoken before a grant, thrice repeated last frames, and jitter.
const FRAMES: Rate = Rate { every: Duration::from_micros(16_667), burst: 64 };
/// Presses below the emergency tier, with their repeats.
const PRESSES: Rate = Rate { every: Duration::from_millis(200), burst: 20 };
/// Control messages of every kind; a unit that sends more is broken or hostile and loses its session.
const MESSAGES: Rate = Rate { every: Duration::from_millis(20), burst: 400 };
/// Datagrams that are none; a unit that sends more is broken or hostile and loses its session.
const MALFORMED: Rate = Rate { every: Duration::from_millis(333), burst: 250 };

/// Control messages of another gateway: a hundred talkgroups in full swing. One that sends more is broken or hostile.
const PEER_MESSAGES: Rate = Rate { every: Duration::from_millis(1), burst: 4_000 };
/// Syncs of another gateway: every one renumbers the spurt under way, and only a new session or the end of an emergency on its
/// own side gives reason for one.
const SYNCS: Rate = Rate { every: Duration::from_secs(1), burst: 8 };

/// One per `every`, at most `burst` at once.
#[derive(Clone, Copy, Debug)]
struct Rate {
    every: Duration,
    burst: u32,
}

/// The generic cell rate algorithm (ITU-T I.371): one instant tells how much was used.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// When everything taken so far is paid off.
    paid: Option<Instant>,
}

impl Cell {
    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let paid = self.paid.map_or(now, |paid| paid.max(now));
        let fits = paid.saturating_duration_since(now) <= rate.every * (rate.burst - 1);
        if fits {
            self.paid = Some(paid + rate.every);
        }
        fits
    }
}

/// What one session has used lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    frames: Cell,
    presses: Cell,
    messages: Cell,
    malformed: Cell,
    syncs: Cell,
}

impl Limits {
    /// Whether one more frame may pass; if not, it is dropped.
    pub(super) fn frame(&mut self, now: Instant) -> bool {
        self.frames.take(FRAMES, now)
    }

    /// Whether one more press may be judged; if not, it is denied as *rate limited*.
    pub(super) fn press(&mut self, now: Instant) -> bool {
        self.presses.take(PRESSES, now)
    }

    /// Whether one more control message is borne; if not, the session ends.
    pub(super) fn message(&mut self, now: Instant) -> bool {
        self.messages.take(MESSAGES, now)
    }

    /// The same for a gateway's session.
    pub(super) fn peer_message(&mut self, now: Instant) -> bool {
        self.messages.take(PEER_MESSAGES, now)
    }

    /// Whether a gateway may open one more bridge (again); if not, its session ends.
    pub(super) fn sync(&mut self, now: Instant) -> bool {
        self.syncs.take(SYNCS, now)
    }

    /// Whether one more malformed datagram is borne; if not, the session ends.
    pub(super) fn malformed(&mut self, now: Instant) -> bool {
        self.malformed.take(MALFORMED, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an epoch for the test's own time")]
    fn epoch() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_working_unit_is_never_limited_and_a_flood_is() {
        let (mut limits, start) = (Limits::default(), epoch());
        // 300 ms at once, then a frame every 20 ms for a minute.
        assert!((0..15).all(|_| limits.frame(start)));
        assert!((0..3_000).all(|n| limits.frame(start + Duration::from_millis(20 * n))));
        let later = start + Duration::from_secs(61);
        let passed = (0..10_000).filter(|n| limits.frame(later + Duration::from_micros(100 * n))).count();
        assert!((60..=130).contains(&passed), "{passed} of 10,000 frames in a second");
    }

    #[test]
    fn a_limit_that_was_reached_opens_with_time() {
        let (mut limits, start) = (Limits::default(), epoch());
        while limits.press(start) {}
        assert!(!limits.press(start + Duration::from_millis(100)));
        assert!(limits.press(start + Duration::from_millis(250)));
    }
}
