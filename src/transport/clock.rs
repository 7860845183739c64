//! The wall clock that certificates are judged by: the system's, or one that follows simulated time.
//!
//! Used by the TLS verifiers and by the sweep of live sessions; never by timers, which follow tokio's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

pub use rustls::pki_types::UnixTime;
use rustls::time_provider::DefaultTimeProvider;
pub use rustls::time_provider::TimeProvider;
use tokio::time::Instant;

/// A shared wall clock. `None` from it (a clock before 1970) refuses every certificate.
pub type Clock = Arc<dyn TimeProvider>;

/// The clock of the operating system.
pub fn system() -> Clock {
    Arc::new(DefaultTimeProvider)
}

/// A clock that shows `unix_s` now and moves with tokio's clock, paused or not.
pub fn following_tokio(unix_s: u64) -> Clock {
    Arc::new(FollowsTokio { unix_s, since: Instant::now() })
}

/// A clock that stands still at `unix_s`: what a certificate is judged by when somebody else has read the time.
pub fn fixed(unix_s: u64) -> Clock {
    Arc::new(Fixed(unix_s))
}

#[derive(Debug)]
struct Fixed(u64);

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

/// A clock that never shows less than a floor, so that a system clock set back lets no expired certificate in again.
/// Below the floor it stands still.
#[derive(Debug)]
pub struct Guarded {
    system: Clock,
    floor_unix_s: AtomicU64,
}

impl Guarded {
    /// Guards a clock with a first floor, Unix seconds.
    pub fn new(system: Clock, floor_unix_s: u64) -> Self {
        Self { system, floor_unix_s: AtomicU64::new(floor_unix_s) }
    }

    /// What the clock behind shows; 0 before 1970.
    pub fn unguarded_unix_s(&self) -> u64 {
        self.system.current_time().map_or(0, |time| time.as_secs())
    }

    /// The floor, Unix seconds.
    pub fn floor_unix_s(&self) -> u64 {
        self.floor_unix_s.load(Ordering::Relaxed)
    }

    /// Raises the floor; a lower one changes nothing.
    pub fn raise(&self, unix_s: u64) {
        self.floor_unix_s.fetch_max(unix_s, Ordering::Relaxed);
    }
}

impl TimeProvider for Guarded {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.unguarded_unix_s().max(self.floor_unix_s()))))
    }
}

#[derive(Debug)]
struct FollowsTokio {
    unix_s: u64,
    since: Instant,
}

impl TimeProvider for FollowsTokio {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.unix_s) + self.since.elapsed()))
    }
}

/// Lets quinn judge the age of its address tokens by the same clock.
pub(crate) struct TokenTime(pub(crate) Clock);

impl quinn::TimeSource for TokenTime {
    fn now(&self) -> SystemTime {
        let since_epoch = self.0.current_time().map_or(0, |time| time.as_secs());
        SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_clock_goes_on_with_the_system_and_never_below_its_floor() {
        let shown = |system: u64, floor: u64| Guarded::new(fixed(system), floor).current_time().unwrap().as_secs();
        assert_eq!((shown(100, 50), shown(50, 100)), (100, 100));
        let guarded = Guarded::new(fixed(100), 50);
        guarded.raise(200);
        guarded.raise(150);
        assert_eq!(guarded.current_time().unwrap().as_secs(), 200);
    }
}
