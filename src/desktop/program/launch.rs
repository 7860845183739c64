//! From a configuration to a terminal that runs: its unit, its sound, its sources of push-to-talk, its record.

use std::cell::OnceCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use client::{Unit, UnitConfig};
use eframe::egui::Context;
use engine::handset::Permit;
use talkbridge_desktop::model::{Gesture, Model, Settings};
use talkbridge_desktop::terminal::{Terminal, WISHES_MAX, Wish};
use talkbridge_desktop::theme::Theme;
use talkbridge_desktop::tones::Pack;
use talkbridge_desktop::window::Window;
use talkbridge_desktop::words::Language;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use transport::OsSockets;

use crate::app::App;
use crate::prefs::Prefs;
use crate::{devices, hotkey, record, session, socket};

/// A terminal waits for its gateway as long as it is switched on.
const CONNECT: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// The terminal's task, and how it is told to end.
pub(crate) type Running = Rc<OnceCell<(mpsc::Sender<Wish>, JoinHandle<()>)>>;

/// What a launch needs beside the configuration.
pub(crate) struct Launcher {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) prefs: Prefs,
    pub(crate) permit: Permit,
    pub(crate) theme: Theme,
    pub(crate) language: Language,
    pub(crate) json: bool,
    pub(crate) running: Running,
}

impl Launcher {
    /// Starts the terminal of that file; else the line that says why not. On its first start devices and key are set up.
    pub(crate) fn launch(&self, file: &Path, config: &UnitConfig, first: bool, ctx: &Context) -> Result<App, String> {
        let now = Instant::now();
        let settings = Settings {
            choice: self.prefs.choice.clone(),
            key: self.prefs.key,
            ..Settings::new(config.own.identity().clone(), config.talkgroups.clone(), self.permit)
        };
        let mut model = Model::new(settings, now).ok_or_else(|| format!("{}: talkgroups: none to talk in", file.display()))?;
        if first {
            model.gesture(Gesture::SetUp(true), now);
        }
        let broken = |error: &dyn std::fmt::Display| error.to_string();
        let audio = devices::SystemAudio::start(self.prefs.choice.clone()).map_err(|error| broken(&error))?;
        let _inside = self.runtime.enter();
        let seed = u64::try_from(now.elapsed().as_nanos()).unwrap_or_default() ^ u64::from(std::process::id());
        let settings = config.settings(config.talkgroups.clone(), CONNECT);
        let unit = Unit::start(settings, Arc::new(OsSockets), seed, transport::clock::system());
        let (terminal, view) = Terminal::new(model, unit, Box::new(audio), Pack::default(), now).map_err(|error| broken(&error))?;
        let frames = Arc::new(AtomicU64::default());
        let terminal =
            if self.json { terminal.recorded(record::on_stdout(Arc::clone(&frames)).map_err(|error| broken(&error))?) } else { terminal };
        let terminal = if config.replay { terminal } else { terminal.without_replay() };
        let terminal = terminal.kept_by(self.keeper());
        let (wishes, taken) = mpsc::channel(WISHES_MAX);
        let redraw = ctx.clone();
        let task = self.runtime.spawn(terminal.run(taken, move || redraw.request_repaint()));
        self.running.set((wishes.clone(), task)).ok();
        drop(self.runtime.spawn(session::watch(wishes.clone())));
        hotkey::start(wishes.clone());
        match socket::Listener::bind() {
            Ok(listener) => drop(self.runtime.spawn(listener.run(wishes.clone()))),
            Err(error) => tracing::warn!(%error, "no push-to-talk by command"),
        }
        Ok(App::new(Window::new(self.language, self.theme, now), view, wishes, frames))
    }

    /// Keeps what the user sets up.
    fn keeper(&self) -> talkbridge_desktop::terminal::Keeper {
        let before = self.prefs.clone();
        Box::new(move |settings| {
            let prefs = Prefs { choice: settings.choice.clone(), key: settings.key, ..before.clone() };
            if let Err(error) = prefs.save() {
                tracing::warn!(%error, "the settings are not kept");
            }
        })
    }
}
