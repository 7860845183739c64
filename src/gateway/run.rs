//! `talkbridge run`: from the configuration file to a running process, and in order back to none.
//!
//! Threads: voice (driver, connections; current-thread runtime), console, records, logs, and this one, which becomes the
//! operator's. Startup order: signals, configuration, state folder, records, console (not ready), ports, ready. Signals come
//! first: whoever sees the gateway ready may send one, and before there is a handler it would kill the process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::oneshot;
use tracing::{info, warn};
use transport::clock;
use transport::keys::Keys;
use transport::sockets::OsSockets;

use crate::cli::{EXIT_CONFIGURATION, Failure};
use crate::config::{Config, Loaded};
use crate::console::{self, Console};
use crate::gateway::{Controls, Gateway, Setup};
use crate::kept;
use crate::logging;
use crate::office;
use crate::operator::{Operator, Signals};
use crate::records::Records;
use crate::redact::Redactor;
use crate::report::Reporter;
use crate::status::StatusBoard;
use crate::wall::Wall;

/// `talkbridge run`: runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`]: 2 for the configuration or what it names, 1 for anything else (a port is taken, the disk refuses).
pub fn run(path: &Path) -> Result<(), Failure> {
    let _guard = logging::install().map_err(|why| Failure { exit: EXIT_CONFIGURATION, text: why.to_string() })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::other)?;
    let signals = Signals::listen(&runtime).map_err(Failure::other)?;
    let (Loaded { config, warnings }, material) = Config::prepare(path)?;
    for warning in &warnings {
        warn!(line = warning.line, field = warning.field, "{}", warning.message);
    }
    let keys = Keys::load_or_create(&config.state).map_err(Failure::other)?;
    let wall = Wall::open(&config.state, clock::system(), Instant::now());
    let epoch_file = config.state.join("epoch");
    let epoch = kept::next_epoch(&epoch_file).map_err(|why| Failure::other(format!("{}: {why}", epoch_file.display())))?;
    let records = Records::open(&config.records_file()).map_err(Failure::other)?;
    let board = StatusBoard::default();
    let redactor = Redactor::from_env();
    // Records tell the time that the machine shows, whatever certificates are judged by.
    let (reporter, epochs) = Reporter::new(config.gateway.clone(), records.clone(), board.clone(), redactor, clock::system(), epoch);
    let _console = match config.listen.console {
        Some(address) => Some(Console::start(address, console::router(board.clone())).map_err(Failure::other)?),
        None => None,
    };
    let messages = config.store.as_deref().and_then(|store| office::open(store, office::unix_ms(&wall.clock())).ok());
    let setup = Setup {
        config: config.clone(),
        own: material.own,
        trust: material.trust,
        keys,
        epoch,
        sockets: Arc::new(OsSockets),
        clock: wall.clock(),
        seed: SmallRng::from_os_rng().random(),
        reporter: reporter.clone(),
        messages,
    };
    let voice = start_voice(setup)?;
    board.set_ready(true);
    info!(authority = %config.gateway.authority, name = %config.gateway.name, "gateway runs");

    let (path, controls) = (path.to_owned(), voice.controls);
    let operator = Operator { path, config, controls, reporter, board, wall, epoch_file, seen: material.marks, told: None };
    let result = runtime.block_on(operator.serve(signals, epochs, voice.ended));
    records.flush(Duration::from_secs(1));
    info!("gateway stopped");
    result
}

// === Threads ===

struct Voice {
    controls: Controls,
    ended: oneshot::Receiver<()>,
}

/// Starts the voice thread; returns when every port is bound, or the first refusal.
fn start_voice(setup: Setup) -> Result<Voice, Failure> {
    let (started, wait) = std::sync::mpsc::sync_channel(1);
    let (end, ended) = oneshot::channel();
    let body = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(why) => {
                // Whoever waits for the start hears why; nobody else is there yet.
                let _ = started.send(Err(Failure::other(why)));
                return;
            }
        };
        runtime.block_on(async move {
            match Gateway::start(setup) {
                Ok(gateway) => {
                    let _ = started.send(Ok(gateway.controls()));
                    gateway.ended().await;
                }
                Err(why) => {
                    let _ = started.send(Err(Failure::other(why)));
                }
            }
        });
        let _ = end.send(());
    };
    std::thread::Builder::new().name("talkbridge-voice".to_owned()).spawn(body).map_err(Failure::other)?;
    let controls = wait.recv().map_err(|_gone| Failure::other("the voice thread ended before it began"))??;
    Ok(Voice { controls, ended })
}
