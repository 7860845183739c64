//! `talkbridge run`: from the configuration file to a running process, and in order back to none.
//!
//! Threads: voice (driver, connections; current-thread runtime), console, records, logs, and this one, which waits for
//! signals and watches the revocation lists. Startup order: configuration, state folder, records, console (not ready),
//! ports, ready.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, info, warn};
use transport::clock;
use transport::identity::OwnIdentity;
use transport::keys::Keys;
use transport::sockets::OsSockets;
use transport::trust::Trust;
use wire::Epoch;

use crate::cli::{EXIT_CONFIGURATION, Failure};
use crate::config::Config;
use crate::console::{self, Console};
use crate::gateway::{Controls, Gateway, Setup};
use crate::logging;
use crate::records::{RecordKind, Records};
use crate::redact::Redactor;
use crate::report::Reporter;
use crate::status::StatusBoard;

/// How often the revocation lists are looked at.
const WATCH: Duration = Duration::from_secs(1);
/// What to do about an epoch file that was damaged.
const EPOCH_UNREADABLE: &str = "not a number from 0 to 255; restore the file, write a number above the last epoch in use (the part \
    before the dot of the newest 'spurt' in the records) into it, or remove it to begin at 1, when peers may drop the first spurts";
/// How long a stop may take before the process ends anyway.
const STOP: Duration = Duration::from_secs(5);

/// `talkbridge run`: runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`]: 2 for the configuration or what it names, 1 for anything else (a port is taken, the disk refuses).
pub fn run(path: &Path) -> Result<(), Failure> {
    let _guard = logging::install().map_err(|why| Failure { exit: EXIT_CONFIGURATION, text: why.to_string() })?;
    let config = load(path)?;
    let (own, trust) = material(&config).map_err(|text| Failure { exit: EXIT_CONFIGURATION, text })?;
    let keys = Keys::load_or_create(&config.state).map_err(Failure::other)?;
    let epoch_file = config.state.join("epoch");
    let epoch = next_epoch(&epoch_file).map_err(|why| Failure::other(format!("{}: {why}", epoch_file.display())))?;
    let records = Records::open(&config.records_file()).map_err(Failure::other)?;
    let board = StatusBoard::default();
    let clock = clock::system();
    let redactor = Redactor::from_env();
    let (reporter, epochs) = Reporter::new(config.gateway.clone(), records.clone(), board.clone(), redactor, Arc::clone(&clock), epoch);
    let _console = match config.listen.console {
        Some(address) => Some(Console::start(address, console::router(board.clone())).map_err(Failure::other)?),
        None => None,
    };
    let setup = Setup {
        config: config.clone(),
        own,
        trust,
        keys,
        epoch,
        sockets: Arc::new(OsSockets),
        clock: Arc::clone(&clock),
        seed: SmallRng::from_os_rng().random(),
        reporter: reporter.clone(),
    };
    let voice = start_voice(setup)?;
    board.set_ready(true);
    info!(authority = %config.gateway.authority, name = %config.gateway.name, "gateway runs");

    let operator = Operator { path: path.to_owned(), config, controls: voice.controls.clone(), reporter, board, epoch_file };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::other)?;
    let result = runtime.block_on(operator.serve(epochs, voice.ended));
    records.flush(Duration::from_secs(1));
    info!("gateway stopped");
    result
}

fn load(path: &Path) -> Result<Config, Failure> {
    let loaded = Config::load(path)?;
    for warning in &loaded.warnings {
        warn!(line = warning.line, field = warning.field, "{}", warning.message);
    }
    Ok(loaded.config)
}

/// Reads certificates, keys and lists. The text names the file.
fn material(config: &Config) -> Result<(OwnIdentity, Trust), String> {
    let own = OwnIdentity::load(&config.identity.certificate, &config.identity.key).map_err(|why| why.to_string())?;
    Ok((own, trust(config)?))
}

fn trust(config: &Config) -> Result<Trust, String> {
    let read = |file: &Path| fs::read(file).map_err(|why| format!("{}: {why}", file.display()));
    let mut builder = Trust::builder();
    for entry in config.trust.iter() {
        let root = read(&entry.root)?;
        let revoked = entry.revoked.as_deref().map(read).transpose()?;
        builder = builder
            .authority(entry.authority.clone(), &root, revoked.as_deref(), entry.units, entry.peers)
            .map_err(|why| format!("{}: {why}", entry.root.display()))?;
    }
    Ok(builder.build())
}

// === Epoch ===

/// The epoch of this run: above the one of the run before, written down before it is used.
fn next_epoch(file: &Path) -> std::io::Result<Epoch> {
    let before = match fs::read_to_string(file) {
        // Starting low in silence would let the peers drop this gateway's spurts as old ones.
        Ok(text) => text.trim().parse().map_err(|_not_one| std::io::Error::new(std::io::ErrorKind::InvalidData, EPOCH_UNREADABLE))?,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => 0,
        Err(why) => return Err(why),
    };
    let epoch = Epoch(before).next();
    keep_epoch(file, epoch)?;
    Ok(epoch)
}

fn keep_epoch(file: &Path, epoch: Epoch) -> std::io::Result<()> {
    let scratch = file.with_extension("new");
    let mut out = fs::File::create(&scratch)?;
    writeln!(out, "{}", epoch.0)?;
    out.sync_all()?;
    fs::rename(scratch, file)?;
    // The new name must outlive a power failure as well.
    file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
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

/// The operator's side of a running process: signals, reload, revocation lists.
struct Operator {
    path: PathBuf,
    config: Config,
    controls: Controls,
    reporter: Reporter,
    board: StatusBoard,
    epoch_file: PathBuf,
}

impl Operator {
    async fn serve(mut self, mut epochs: watch::Receiver<Epoch>, mut voice_ended: oneshot::Receiver<()>) -> Result<(), Failure> {
        let mut hangup = signal(SignalKind::hangup()).map_err(Failure::other)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::other)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::other)?;
        let mut watch = interval(WATCH);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.list_times();
        loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = &mut voice_ended => return Err(Failure::other("the voice thread ended by itself")),
                _ = hangup.recv() => {
                    self.reload().await;
                    seen = self.list_times();
                }
                Ok(()) = epochs.changed() => {
                    let epoch = *epochs.borrow_and_update();
                    if let Err(why) = keep_epoch(&self.epoch_file, epoch) {
                        error!(%why, "the newest epoch cannot be kept; after a restart peers may drop the first spurts");
                    }
                }
                _ = watch.tick() => {
                    let now = self.list_times();
                    if now != seen {
                        seen = now;
                        self.reload_lists().await;
                    }
                }
            }
        }
        info!("stopping");
        self.board.set_ready(false);
        if timeout(STOP, self.controls.drain()).await.is_err() {
            warn!("sessions did not take their farewell in time");
        }
        Ok(())
    }

    /// Parse, validate, read certificates, then swap; a bad file changes nothing.
    async fn reload(&mut self) {
        let mut record = self.reporter.record(RecordKind::Reload);
        let prepared = Config::load(&self.path)
            .map_err(|why| why.to_string())
            .and_then(|loaded| material(&loaded.config).map(|(own, trust)| (loaded, own, trust)));
        match prepared {
            Ok((loaded, own, trust)) => {
                for warning in &loaded.warnings {
                    warn!(line = warning.line, field = warning.field, "{}", warning.message);
                }
                let changes = loaded.config.changes_since(&self.config);
                // Ports, name and state folder stay as they were bound; the rest is taken over.
                let config = Config {
                    gateway: self.config.gateway.clone(),
                    state: self.config.state.clone(),
                    listen: self.config.listen.clone(),
                    ..loaded.config
                };
                self.controls.apply(config.clone(), trust, own).await;
                self.config = config;
                info!(changed = ?changes.live, "configuration reloaded");
                if !changes.restart.is_empty() {
                    warn!(parts = ?changes.restart, "changed, but need a restart to take effect");
                }
                record.outcome = Some("applied".to_owned());
            }
            Err(why) => {
                error!("configuration not reloaded, the old one stays in force: {why}");
                record.outcome = Some(format!("refused: {why}"));
            }
        }
        self.reporter.write(record);
    }

    async fn reload_lists(&self) {
        match trust(&self.config) {
            Ok(trust) => {
                self.controls.apply_trust(trust).await;
                info!("revocation lists reloaded");
            }
            Err(why) => error!("revocation lists not reloaded, the old ones stay in force: {why}"),
        }
    }

    fn list_times(&self) -> BTreeMap<PathBuf, Option<SystemTime>> {
        let modified = |file: &PathBuf| fs::metadata(file).and_then(|meta| meta.modified()).ok();
        self.config.trust.iter().filter_map(|entry| entry.revoked.clone()).map(|file| (file.clone(), modified(&file))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_starts_above_the_epoch_kept_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("epoch");
        assert_eq!(next_epoch(&file).unwrap(), Epoch(1));
        assert_eq!(next_epoch(&file).unwrap(), Epoch(2));
        keep_epoch(&file, Epoch(255)).unwrap();
        assert_eq!(next_epoch(&file).unwrap(), Epoch(0));
        assert!(Epoch(0).is_after(Epoch(255)));
    }

    #[test]
    fn a_damaged_epoch_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("epoch");
        for damaged in ["", "twelve", "256", "7 8"] {
            fs::write(&file, damaged).unwrap();
            assert!(next_epoch(&file).unwrap_err().to_string().contains("not a number from 0 to 255"), "{damaged:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
        }
    }
}
