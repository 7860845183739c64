//! Virtual time: a single-threaded runtime whose clock jumps to the next timer when nothing else is to do.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};

/// A runtime on this thread with a paused clock. Work on other threads lets its time jump: keep everything on it.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime without I/O needs nothing from the system")
}

/// Runs the future in virtual time; panics when it needs more than the budget of virtual time, so that nothing hangs.
pub fn run<F: Future>(budget: Duration, future: F) -> F::Output {
    runtime().block_on(async {
        let started = Instant::now();
        match timeout(budget, future).await {
            Ok(output) => output,
            Err(_) => panic!("not finished after {:?} of virtual time", started.elapsed()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[test]
    fn an_hour_passes_at_once() {
        let passed = run(Duration::from_secs(3_601), async {
            let started = Instant::now();
            sleep(Duration::from_secs(3_600)).await;
            started.elapsed()
        });
        assert_eq!(passed, Duration::from_secs(3_600));
    }

    #[test]
    #[should_panic(expected = "virtual time")]
    fn a_run_over_its_budget_fails() {
        run(Duration::from_secs(1), async { sleep(Duration::from_secs(2)).await });
    }
}
