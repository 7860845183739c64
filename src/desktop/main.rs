//! `talkbridge-ptt`: the field unit's window. Wiring only: arguments, the terminal's thread, the devices, the window.

#[path = "program/app.rs"]
mod app;
#[path = "program/devices.rs"]
mod devices;
#[path = "program/face.rs"]
mod face;
#[path = "program/hotkey.rs"]
mod hotkey;
#[path = "program/launch.rs"]
mod launch;
#[path = "program/prefs.rs"]
mod prefs;
#[path = "program/record.rs"]
mod record;
#[path = "program/session.rs"]
mod session;
#[path = "program/socket.rs"]
mod socket;
#[path = "program/streams.rs"]
mod streams;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};
use client::UnitConfig;
use eframe::egui::ViewportBuilder;
use engine::handset::Permit;
use face::Face;
use launch::{Launcher, Running};
use prefs::Prefs;
use talkbridge_desktop::sound::Choice;
use talkbridge_desktop::terminal::Wish;
use talkbridge_desktop::theme::Theme;
use talkbridge_desktop::window::Opening;
use talkbridge_desktop::words::Language;
use tracing_subscriber::EnvFilter;

/// The variable that sets the log filter.
const LOG: &str = "TALKBRIDGE_LOG";
/// The smallest window that shows everything.
const SMALLEST: [f32; 2] = [800.0, 480.0];

/// A push-to-talk terminal for talkgroups across borders.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The unit's configuration; its first talkgroup is selected. Otherwise the one of the last time, or it asks for one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// When the microphone opens.
    #[arg(long, value_enum, default_value_t = Habit::Tone)]
    permit: Habit,
    /// Colours at the start.
    #[arg(long, value_enum, default_value_t = Colours::Dark)]
    theme: Colours,
    /// The microphone, by its name; otherwise the system's default, whichever that is at the time.
    #[arg(long, value_name = "NAME")]
    microphone: Option<String>,
    /// The loudspeaker, by its name; otherwise the system's default, whichever that is at the time.
    #[arg(long, value_name = "NAME")]
    loudspeaker: Option<String>,
    /// Prints what happens, one JSON object a line, as talkbridge-unit does; and what the sound devices count.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Presses or releases push-to-talk of the terminal that runs on this desktop.
    Ptt {
        /// Press or release.
        #[arg(value_enum)]
        word: socket::Word,
    },
}

/// When the microphone opens.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Habit {
    /// After the permit tone.
    Tone,
    /// At the key press.
    Instant,
}

/// The themes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Colours {
    /// For rooms.
    Dark,
    /// For daylight.
    Light,
    /// For vehicles at night.
    Night,
}

impl From<Habit> for Permit {
    fn from(habit: Habit) -> Self {
        match habit {
            Habit::Tone => Self::Tone,
            Habit::Instant => Self::Instant,
        }
    }
}

impl From<Colours> for Theme {
    fn from(colours: Colours) -> Self {
        match colours {
            Colours::Dark => Self::Dark,
            Colours::Light => Self::Light,
            Colours::Night => Self::Night,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_env(LOG).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    let done = match &args.command {
        Some(Command::Ptt { word }) => socket::say(*word).map_err(|error| (1, error.to_string())),
        None => run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, line)) => {
            tracing::error!("{line}");
            ExitCode::from(status)
        }
    }
}

/// Runs until the window is closed; else the exit status and the line that says why.
fn run(args: &Args) -> Result<(), (u8, String)> {
    let broken = |error: &dyn std::fmt::Display| (1, error.to_string());
    let remembered = Prefs::load();
    let file = args.config.clone().or_else(|| remembered.config.clone());
    let config = match file.as_deref().map(UnitConfig::load) {
        Some(Err(error)) if args.config.is_some() => return Err((2, error.to_string())),
        Some(Err(error)) => Err(Some(error.to_string())),
        Some(Ok(config)) if config.talkgroups.is_empty() && args.config.is_some() => {
            return Err((2, format!("{}: talkgroups: none to talk in", file.unwrap_or_default().display())));
        }
        Some(Ok(config)) => Ok(config),
        None => Err(None),
    };
    let choice = Choice {
        microphone: args.microphone.clone().or_else(|| remembered.choice.microphone.clone()),
        loudspeaker: args.loudspeaker.clone().or_else(|| remembered.choice.loudspeaker.clone()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| broken(&error))?;
    let (runtime, running) = (Arc::new(runtime), Running::default());
    let launcher = Launcher {
        runtime: Arc::clone(&runtime),
        prefs: Prefs { choice, ..remembered },
        permit: args.permit.into(),
        theme: args.theme.into(),
        language: language(),
        json: args.json,
        running: Rc::clone(&running),
    };
    let options = eframe::NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title("Talkbridge")
            .with_app_id("talkbridge-ptt")
            .with_inner_size(SMALLEST)
            .with_min_inner_size(SMALLEST),
        ..eframe::NativeOptions::default()
    };
    let drawn = eframe::run_native(
        "talkbridge-ptt",
        options,
        Box::new(move |creation| {
            let face = match (config, file) {
                (Ok(config), Some(file)) => Face::Open(Box::new(launcher.launch(&file, &config, false, &creation.egui_ctx)?)),
                (Err(wrong), file) => {
                    let page = Opening::new(launcher.language, launcher.theme, file.zip(wrong));
                    Face::Opening(Box::new(page), Box::new(launcher))
                }
                (Ok(_), None) => return Err("a configuration without a file".into()),
            };
            Ok(Box::new(face))
        }),
    );
    // The window is gone: whatever was held is given back before the process ends.
    if let Some((wishes, task)) = Rc::into_inner(running).and_then(OnceCell::into_inner) {
        wishes.blocking_send(Wish::End).ok();
        runtime.block_on(task).map_err(|error| broken(&error))?;
    }
    drawn.map_err(|error| broken(&error))
}

/// As the environment asks for it.
fn language() -> Language {
    let locale = std::env::var("LC_ALL").or_else(|_| std::env::var("LANG"));
    locale.map_or_else(|_| Language::default(), |locale| Language::of_locale(&locale))
}
