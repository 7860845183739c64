//! `talkbridge-ptt`: the field unit's window. Wiring only: arguments, the terminal's thread, the devices, the window.

#[path = "program/app.rs"]
mod app;
#[path = "program/devices.rs"]
mod devices;
#[path = "program/socket.rs"]
mod socket;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use client::{Unit, UnitConfig};
use eframe::egui::ViewportBuilder;
use engine::handset::Permit;
use talkbridge_desktop::model::{Model, Settings};
use talkbridge_desktop::terminal::{Terminal, WISHES_MAX, Wish};
use talkbridge_desktop::theme::Theme;
use talkbridge_desktop::tones::Pack;
use talkbridge_desktop::window::Window;
use talkbridge_desktop::words::Language;
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;
use transport::OsSockets;

/// The variable that sets the log filter.
const LOG: &str = "TALKBRIDGE_LOG";
/// A terminal waits for its gateway as long as it is switched on.
const CONNECT: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);
/// The smallest window that shows everything.
const SMALLEST: [f32; 2] = [800.0, 480.0];

/// A push-to-talk terminal for talkgroups across borders.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The unit's configuration; its first talkgroup is selected.
    #[arg(long, required = true)]
    config: Option<PathBuf>,
    /// When the microphone opens.
    #[arg(long, value_enum, default_value_t = Habit::Tone)]
    permit: Habit,
    /// Colours at the start.
    #[arg(long, value_enum, default_value_t = Colours::Dark)]
    theme: Colours,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
#[command(subcommand_negates_reqs = true)]
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
    let unusable = |error: &dyn std::fmt::Display| (2, error.to_string());
    let broken = |error: &dyn std::fmt::Display| (1, error.to_string());
    let file = args.config.as_deref().ok_or_else(|| (2, "--config FILE is missing".to_owned()))?;
    let config = UnitConfig::load(file).map_err(|error| unusable(&error))?;
    let now = Instant::now();
    let permit = match args.permit {
        Habit::Tone => Permit::Tone,
        Habit::Instant => Permit::Instant,
    };
    let theme = match args.theme {
        Colours::Dark => Theme::Dark,
        Colours::Light => Theme::Light,
        Colours::Night => Theme::Night,
    };
    let settings = Settings { me: config.own.identity().clone(), talkgroups: config.talkgroups.clone(), permit };
    let model = Model::new(settings, now).ok_or_else(|| (2, format!("{}: talkgroups: none to talk in", file.display())))?;
    let audio = devices::SystemAudio::start().map_err(|error| broken(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| broken(&error))?;
    let unit = {
        let _inside = runtime.enter();
        let seed = u64::try_from(now.elapsed().as_nanos()).unwrap_or_default() ^ u64::from(std::process::id());
        Unit::start(config.settings(config.talkgroups.clone(), CONNECT), Arc::new(OsSockets), seed, transport::clock::system())
    };
    let (terminal, view) = Terminal::new(model, unit, Box::new(audio), Pack::default(), now).map_err(|error| broken(&error))?;
    let (wishes, taken) = mpsc::channel(WISHES_MAX);
    let language = std::env::var("LC_ALL")
        .or_else(|_| std::env::var("LANG"))
        .map_or_else(|_| Language::default(), |locale| Language::of_locale(&locale));
    let window = Window::new(language, theme, now);
    let options = eframe::NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title("Talkbridge")
            .with_app_id("talkbridge-ptt")
            .with_inner_size(SMALLEST)
            .with_min_inner_size(SMALLEST),
        ..eframe::NativeOptions::default()
    };
    let (handle, end) = (runtime.handle().clone(), wishes.clone());
    let running = Rc::new(OnceCell::new());
    let begun = Rc::clone(&running);
    let drawn = eframe::run_native(
        "talkbridge-ptt",
        options,
        Box::new(move |creation| {
            let ctx = creation.egui_ctx.clone();
            let _inside = handle.enter();
            begun.set(handle.spawn(terminal.run(taken, move || ctx.request_repaint()))).ok();
            match socket::Listener::bind() {
                Ok(listener) => drop(handle.spawn(listener.run(wishes.clone()))),
                Err(error) => tracing::warn!(%error, "no push-to-talk by command"),
            }
            Ok(Box::new(app::App::new(window, view, wishes)))
        }),
    );
    // The window is gone: whatever was held is given back before the process ends.
    end.blocking_send(Wish::End).ok();
    if let Some(task) = Rc::into_inner(running).and_then(OnceCell::into_inner) {
        runtime.block_on(task).map_err(|error| broken(&error))?;
    }
    drawn.map_err(|error| broken(&error))
}
