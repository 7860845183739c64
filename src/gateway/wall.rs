//! The wall clock that certificates and agreements are judged by: the system's, but never earlier than what was seen before.
//!
//! Off the data path; timers follow the monotonic clock. A clock set back must not let expired certificates in again, so the
//! latest time is kept in the state folder and is the floor of every later run. Only a clock that ran steadily is kept: one
//! that jumped ahead by mistake would otherwise lock everybody out for good.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, warn};
use transport::clock::{Clock, Guarded};

use crate::kept;

/// File of the latest time inside the state folder, Unix seconds.
const FILE: &str = "clock";
/// 1 November 2026: before this version existed.
const FLOOR_UNIX_S: u64 = 1_793_491_200;
/// The clock is kept after so long without a step, and then as often.
const KEEP_EVERY: Duration = Duration::from_secs(600);
/// What the clock may gain or lose between two looks; more is a step.
const STEP_S: i64 = 30;

/// The guarded clock of a running gateway.
#[derive(Debug)]
pub(crate) struct Wall {
    guarded: Arc<Guarded>,
    file: PathBuf,
    /// What the system showed at the last look.
    seen: (u64, Instant),
    keep_at: Instant,
}

impl Wall {
    /// Guards the system clock by what the state folder remembers.
    pub(crate) fn open(state: &Path, system: Clock, now: Instant) -> Self {
        let file = state.join(FILE);
        let guarded = Arc::new(Guarded::new(system, floor(&file)));
        let (shown, floor_unix_s) = (guarded.unguarded_unix_s(), guarded.floor_unix_s());
        if shown < floor_unix_s {
            let behind_s = floor_unix_s - shown;
            warn!(behind_s, file = %file.display(), "the system clock is behind a time seen before; certificates are judged by that. Set the clock, or remove the file if the time in it is wrong");
        }
        Self { seen: (shown, now), keep_at: now + KEEP_EVERY, guarded, file }
    }

    /// The clock, for whoever judges certificates and agreements.
    pub(crate) fn clock(&self) -> Clock {
        Arc::<Guarded>::clone(&self.guarded)
    }

    /// Looks whether the system clock was set, which is warned of, and keeps it from time to time. Returns by how many
    /// seconds it was set since the last look.
    pub(crate) fn look(&mut self, now: Instant) -> Option<i64> {
        let shown = self.guarded.unguarded_unix_s();
        let expected = self.seen.0.saturating_add(now.saturating_duration_since(self.seen.1).as_secs());
        let by_s = i64::try_from(i128::from(shown) - i128::from(expected)).unwrap_or(i64::MAX);
        self.seen = (shown, now);
        if by_s.abs() > STEP_S {
            warn!(by_s, "the system clock was set; certificates are judged by the later of it and the time kept before");
            self.keep_at = now + KEEP_EVERY;
            return Some(by_s);
        }
        if now >= self.keep_at {
            self.keep_at = now + KEEP_EVERY;
            if shown > self.guarded.floor_unix_s() {
                self.guarded.raise(shown);
                if let Err(why) = kept::keep(&self.file, shown) {
                    error!(file = %self.file.display(), %why, "the time cannot be kept");
                }
            }
        }
        None
    }
}

/// The time that certificates are judged by before a gateway runs, Unix seconds.
pub(crate) fn now_unix_s(state: &Path, system: &Clock) -> u64 {
    system.current_time().map_or(0, |time| time.as_secs()).max(floor(&state.join(FILE)))
}

/// What the file says, at least the floor of this version; a file that says nothing is no reason not to run.
fn floor(file: &Path) -> u64 {
    let kept = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    kept.unwrap_or(0).max(FLOOR_UNIX_S)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use transport::clock;

    use super::*;

    /// 24 November 2026.
    const TODAY_UNIX_S: u64 = 1_795_478_400;

    /// A system clock that the test sets.
    #[derive(Debug)]
    struct Set(AtomicU64);

    impl Set {
        fn at(unix_s: u64) -> Arc<Self> {
            Arc::new(Self(AtomicU64::new(unix_s)))
        }

        fn set(&self, unix_s: u64) {
            self.0.store(unix_s, Ordering::Relaxed);
        }
    }

    impl clock::TimeProvider for Set {
        fn current_time(&self) -> Option<clock::UnixTime> {
            Some(clock::UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
        }
    }

    fn shown(wall: &Wall) -> u64 {
        wall.clock().current_time().unwrap().as_secs()
    }

    #[test]
    fn a_clock_set_back_is_told_and_does_not_turn_certificates_back() {
        let state = tempfile::tempdir().unwrap();
        let (system, start) = (Set::at(TODAY_UNIX_S), Instant::now());
        let at = |s: u64| start + Duration::from_secs(s);
        let mut wall = Wall::open(state.path(), Arc::<Set>::clone(&system), start);
        system.set(TODAY_UNIX_S + 600);
        assert_eq!(wall.look(at(600)), None);
        system.set(TODAY_UNIX_S + 601 - 3_600);
        assert_eq!(wall.look(at(601)), Some(-3_600));
        assert_eq!(shown(&wall), TODAY_UNIX_S + 600, "the time kept before");
        system.set(0);
        let next = Wall::open(state.path(), Arc::<Set>::clone(&system), start);
        assert_eq!(shown(&next), TODAY_UNIX_S + 600, "kept for the next run too");
        assert_eq!(now_unix_s(state.path(), &next.clock()), TODAY_UNIX_S + 600);
    }

    #[test]
    fn a_clock_that_jumped_ahead_by_mistake_is_not_kept() {
        let state = tempfile::tempdir().unwrap();
        let (system, start) = (Set::at(TODAY_UNIX_S), Instant::now());
        let mut wall = Wall::open(state.path(), Arc::<Set>::clone(&system), start);
        system.set(TODAY_UNIX_S + 100_000_000);
        assert!(wall.look(start + Duration::from_secs(599)).is_some());
        system.set(TODAY_UNIX_S + 700);
        assert!(wall.look(start + Duration::from_secs(700)).is_some());
        assert_eq!(shown(&wall), TODAY_UNIX_S + 700);
    }

    #[test]
    fn without_a_file_the_floor_is_that_of_the_version() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(now_unix_s(state.path(), &clock::fixed(0)), FLOOR_UNIX_S);
        fs::write(state.path().join(FILE), "yesterday").unwrap();
        assert_eq!(now_unix_s(state.path(), &clock::fixed(TODAY_UNIX_S)), TODAY_UNIX_S);
    }
}
