//! The playout clock: every 20 ms a tick, while there is something to play.
//!
//! In the data path: tells the driver when to ask the handset for the next frame. Nominal times are exactly 20 ms apart,
//! however late the task wakes up, so that what is written to a file has neither gaps nor overlaps. A task that was stopped
//! first takes in what has arrived meanwhile, then plays the ticks it missed: what is here is not concealed.

use std::time::{Duration, Instant};

use engine::jitter::FRAME;

/// The first tick after a frame arrived into silence. The jitter buffer holds that frame for a whole number of ticks; with
/// the ticks just behind the arrivals it never waits for most of one more.
const PHASE: Duration = Duration::from_millis(1);
/// A task that was stopped for longer does not catch up tick by tick.
const BEHIND_MAX: Duration = Duration::from_millis(200);

/// A tick that comes later than this, well above a timer's step, tells of a task that was stopped.
const LATE: Duration = Duration::from_millis(5);
/// Time for what arrived meanwhile to pass the socket, the connection and the pump, all of which were stopped too.
const GRACE: Duration = Duration::from_millis(2);

/// The ticks of one unit.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    next: Option<Instant>,
    /// Until then ticks that are late wait for what has arrived.
    grace: Option<Instant>,
}

impl Ticks {
    /// When [`Self::take`] is to be asked.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.next.map(|at| self.grace.map_or(at, |by| by.max(at)))
    }

    /// Frames wait to be played: starts the clock if it stands.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.next.is_none() {
            (self.next, self.grace) = (Some(now + PHASE), None);
        }
    }

    /// Takes the tick if it is due; its nominal time.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let at = self.next.filter(|at| *at <= now)?;
        if now > at + LATE && *self.grace.get_or_insert(now + GRACE) > now {
            return None;
        }
        self.next.take()
    }

    /// Goes on after the tick at `at`.
    pub(crate) fn go_on(&mut self, at: Instant, now: Instant) {
        let mut next = at + FRAME;
        while next + BEHIND_MAX < now {
            next += FRAME;
        }
        if next > now {
            self.grace = None;
        }
        self.next = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_task_does_not_move_the_ticks() {
        let start = Instant::now();
        let mut ticks = Ticks::default();
        ticks.start(start);
        let first = ticks.wake_at().unwrap();
        let late = first + LATE;
        assert_eq!(ticks.take(late), Some(first));
        ticks.go_on(first, late);
        assert_eq!(ticks.wake_at(), Some(first + FRAME));
    }

    #[test]
    fn a_task_that_was_stopped_waits_once_for_what_arrived_and_then_plays_what_it_missed() {
        let start = Instant::now();
        let mut ticks = Ticks::default();
        ticks.start(start);
        let first = ticks.wake_at().unwrap();
        let woken = first + FRAME + FRAME / 2;
        assert_eq!(ticks.take(woken), None);
        let played = ticks.wake_at().unwrap();
        assert_eq!(played, woken + GRACE);
        for tick in [first, first + FRAME] {
            assert_eq!(ticks.take(played), Some(tick));
            ticks.go_on(tick, played);
        }
        // Stopped again: it waits again.
        let third = first + 2 * FRAME;
        assert_eq!((ticks.wake_at(), ticks.take(third + FRAME)), (Some(third), None));
    }

    #[test]
    fn after_a_long_stop_ticks_are_skipped_in_whole_frames() {
        let start = Instant::now();
        let mut ticks = Ticks::default();
        ticks.go_on(start, start + Duration::from_secs(5));
        let next = ticks.wake_at().unwrap();
        assert!(next + BEHIND_MAX >= start + Duration::from_secs(5));
        assert_eq!((next - start).as_millis() % FRAME.as_millis(), 0);
    }
}
