//! SIGINT and SIGTERM: the user's wish to end in order.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

/// Waits for either signal.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Stop {
    /// From now on the signals end the process only through [`Self::asked`].
    pub(crate) fn new() -> Self {
        let take = |kind| signal(kind).inspect_err(|error| tracing::warn!(%error, "signal handler")).ok();
        Self { interrupt: take(SignalKind::interrupt()), terminate: take(SignalKind::terminate()) }
    }

    /// Ends when a signal has come. May be dropped and asked again.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => pending().await,
    }
}

/// Waits for a moment; for ever without one.
pub(crate) async fn until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => sleep_until(Instant::from_std(at)).await,
        None => pending().await,
    }
}
