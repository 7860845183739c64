//! `talkbridge-unit`: a field terminal without keys and screen, for scripts, measurements and gateways in the field.
//!
//! Wiring only: reads the arguments, starts logs and runtime, and turns the outcome into the exit status.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use cli::{Args, Outcome};

/// Threads of the runtime: the session has one for itself, so that a reader who stops reading our output delays no voice.
const WORKERS: usize = 2;
/// The variable that sets the log filter.
const LOG: &str = "TALKBRIDGE_LOG";

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_env(LOG).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let outcome = match runtime {
        // Opened before anything is done, for the runtime must outlive what it runs.
        Ok(runtime) => runtime.block_on(async { tokio::spawn(cli::run(args)).await.unwrap_or(Outcome::Failed) }),
        Err(error) => {
            tracing::error!(%error, "no runtime");
            Outcome::Failed
        }
    };
    outcome.into()
}
