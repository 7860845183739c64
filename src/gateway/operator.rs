//! The operator's side of a running gateway: signals, reload, revocation lists that change, the clock.
//!
//! Off the data path, on the process's first thread. A reload parses, validates, reads and tries everything before it swaps
//! anything; what cannot be taken over as a whole changes nothing.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, info, warn};
use wire::Epoch;

use crate::cli::Failure;
use crate::config::{Config, Loaded};
use crate::gateway::Controls;
use crate::kept;
use crate::material::{self, Marks, Material};
use crate::records::RecordKind;
use crate::report::Reporter;
use crate::status::StatusBoard;
use crate::wall::Wall;

/// How often the revocation lists and the clock are looked at.
const WATCH: Duration = Duration::from_secs(1);
/// How long a stop may take before the process ends anyway.
const STOP: Duration = Duration::from_secs(5);

/// The signals that a gateway acts on; from their making on none of them kills the process.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over.
    pub(crate) fn listen(runtime: &Runtime) -> io::Result<Self> {
        let _inside = runtime.enter();
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) path: PathBuf,
    pub(crate) config: Config,
    pub(crate) controls: Controls,
    pub(crate) reporter: Reporter,
    pub(crate) board: StatusBoard,
    pub(crate) wall: Wall,
    pub(crate) epoch_file: PathBuf,
    /// The revocation lists in force, as they were before they were read.
    pub(crate) seen: Marks,
    /// Why lists that changed could not be read, as told last.
    pub(crate) told: Option<String>,
}

impl Operator {
    /// Serves until the gateway is to stop or has ended by itself.
    pub(crate) async fn serve(
        mut self,
        mut signals: Signals,
        mut epochs: watch::Receiver<Epoch>,
        mut voice_ended: oneshot::Receiver<()>,
    ) -> Result<(), Failure> {
        let mut watch = interval(WATCH);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = &mut voice_ended => return Err(Failure::other("the voice thread ended by itself")),
                _ = signals.hangup.recv() => self.reload().await,
                Ok(()) = epochs.changed() => {
                    let epoch = *epochs.borrow_and_update();
                    if let Err(why) = kept::keep_epoch(&self.epoch_file, epoch) {
                        error!(%why, "the newest epoch cannot be kept; after a restart peers may drop the first spurts");
                    }
                }
                _ = watch.tick() => {
                    self.wall.look(Instant::now());
                    self.renew_lists().await;
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

    /// Reads everything anew and swaps it in, or changes nothing.
    pub(crate) async fn reload(&mut self) {
        let mut record = self.reporter.record(RecordKind::Reload);
        match self.prepare() {
            Ok((Loaded { config, warnings }, material)) => {
                for warning in &warnings {
                    warn!(line = warning.line, field = warning.field, "{}", warning.message);
                }
                let changes = config.changes_since(&self.config);
                // Ports stay as they were bound; the rest is taken over.
                self.config = Config { listen: self.config.listen.clone(), ..config };
                self.controls.apply(self.config.clone(), material.trust, material.own).await;
                self.seen = material.marks;
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

    /// What a reload would swap in.
    fn prepare(&self) -> Result<(Loaded, Material), String> {
        let (loaded, material) = Config::prepare(&self.path).map_err(|why| why.to_string())?;
        let changes = loaded.config.changes_since(&self.config);
        if changes.identity.is_empty() {
            return Ok((loaded, material));
        }
        let parts = changes.identity.join(", ");
        Err(format!("{}: {parts}: changed, which makes it another gateway; put the old value back, or restart", self.path.display()))
    }

    /// Puts revocation lists that changed in force; lists that cannot be read are tried again until they can.
    pub(crate) async fn renew_lists(&mut self) {
        if Marks::take(&self.config) == self.seen {
            return;
        }
        match material::trust(&self.config) {
            Ok((trust, marks)) => {
                self.controls.apply_trust(trust).await;
                (self.seen, self.told) = (marks, None);
                info!("revocation lists reloaded");
            }
            Err(why) => {
                let why = why.to_string();
                if self.told.as_ref() != Some(&why) {
                    error!("revocation lists not reloaded, the old ones stay in force: {why}");
                    self.told = Some(why);
                }
            }
        }
    }
}
