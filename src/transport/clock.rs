//! The wall clock that certificates are judged by: the system's, or one that follows simulated time.
//!
//! Used by the TLS verifiers and by the sweep of live sessions; never by timers, which follow tokio's clock.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
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
