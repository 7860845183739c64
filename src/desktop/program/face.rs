//! What eframe draws: the page that opens a configuration, until there is a terminal; then its window.

use std::path::{Path, PathBuf};

use client::UnitConfig;
use eframe::egui::Ui;
use talkbridge_desktop::window::Opening;

use crate::app::App;
use crate::launch::Launcher;

/// See the module.
pub(crate) enum Face {
    /// There is no terminal yet.
    Opening(Box<Opening>, Box<Launcher>),
    /// There is.
    Open(Box<App>),
}

impl Face {
    /// Opens the file that was typed, if there is one; what is wrong with it is told on the page.
    fn open(&mut self, ui: &mut Ui) {
        let Self::Opening(page, launcher) = self else { return };
        let Some(file) = page.show(ui) else { return };
        match opened(&file, launcher, ui) {
            Ok(app) => *self = Self::Open(Box::new(app)),
            Err(wrong) => page.refuse(wrong),
        }
    }
}

fn opened(file: &Path, launcher: &mut Launcher, ui: &Ui) -> Result<App, String> {
    let config = UnitConfig::load(file).map_err(|error| error.to_string())?;
    launcher.prefs.config = Some(whole(file));
    let app = launcher.launch(file, &config, true, ui.ctx())?;
    if let Err(error) = launcher.prefs.save() {
        tracing::warn!(%error, "the configuration is not remembered");
    }
    Ok(app)
}

/// The path from the root, so that the next start may be anywhere.
fn whole(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

impl eframe::App for Face {
    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        match self {
            Self::Opening(..) => self.open(ui),
            Self::Open(app) => app.ui(ui, frame),
        }
    }
}
