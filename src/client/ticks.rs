//! The playout clock: every 20 ms a tick, while there is something to play.
//!
//! In the data path: tells the driver when to ask the handset for the next frame. Nominal times are exactly 20 ms apart,
//! however late the task wakes up, so that what is written to a file has neither gaps nor overlaps.

use std::time::{Duration, Instant};

use engine::jitter::FRAME;

/// The first tick after a frame arrived into silence. The jitter buffer holds that frame for a whole number of ticks; with
/// the ticks just behind the arrivals it never waits for most of one more.
const PHASE: Duration = Duration::from_millis(1);
/// A task that was stopped for longer does not catch up tick by tick.
const BEHIND_MAX: Duration = Duration::from_millis(200);

/// The ticks of one unit.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    next: Option<Instant>,
}

impl Ticks {
    /// The nominal time of the next tick.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Frames wait to be played: starts the clock if it stands.
    pub(crate) fn start(&mut self, now: Instant) {
        self.next.get_or_insert(now + PHASE);
    }

    /// Takes the tick if it is due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        self.next.take_if(|at| *at <= now)
    }

    /// Goes on after the tick at `at`.
    pub(crate) fn go_on(&mut self, at: Instant, now: Instant) {
        let mut next = at + FRAME;
        while next + BEHIND_MAX < now {
            next += FRAME;
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
        let first = ticks.next().unwrap();
        let late = first + Duration::from_millis(33);
        assert_eq!(ticks.take(late), Some(first));
        ticks.go_on(first, late);
        assert_eq!(ticks.take(late), Some(first + FRAME));
    }

    #[test]
    fn after_a_long_stop_ticks_are_skipped_in_whole_frames() {
        let start = Instant::now();
        let mut ticks = Ticks::default();
        ticks.go_on(start, start + Duration::from_secs(5));
        let next = ticks.next().unwrap();
        assert!(next + BEHIND_MAX >= start + Duration::from_secs(5));
        assert_eq!((next - start).as_millis() % FRAME.as_millis(), 0);
    }
}
