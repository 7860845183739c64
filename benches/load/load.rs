//! The load generator: terminals that join a relay, talk and listen, and figures of what that cost the relay.
//!
//! `tools/bench` runs it, one process a measurement, on a core of its own; what a run found is one line of JSON on stdout.
//! [`crowd`] fills a relay with terminals, which speak through [`talkbridge`], [`mumble`], [`svxreflector`] or [`bare`];
//! [`measure`] has some of them talk and takes the figures, with the times of [`capture`]; [`across`] is one side of a border, [`press`] presses keys.

mod across;
mod bare;
mod capture;
mod crowd;
mod delays;
mod measure;
mod mumble;
mod office;
mod press;
mod proc;
mod svxreflector;
mod talkbridge;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use tokio::io::AsyncReadExt;

use crate::crowd::{Crowd, Relay};

#[derive(Debug, Parser)]
#[command(about = "Fills a relay with terminals, for tools/bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes an authority, a gateway and units for a run
    Pki {
        /// Folder to write into
        #[arg(long)]
        out: PathBuf,
        /// Its name
        #[arg(long, default_value = "nl")]
        authority: String,
        /// How many units
        #[arg(long)]
        units: usize,
    },
    /// The limit: a relay that does nothing but seal and send
    Bare {
        /// UDP port of 127.0.0.1
        #[arg(long)]
        port: u16,
    },
    /// Terminals join and stay until stdin ends; says `ready` when all are there
    Idle(Place),
    /// Terminals join and note what passes until stdin ends; says `ready` when all are there, at the end when frames came as JSON
    Listen(Place),
    /// Calls, each at its time; says what became of them as JSON
    Call(across::Calls),
    /// Units of Talkbridge press their keys in turn; says how long each grant took as JSON
    Press(press::Presses),
    /// Answers whatever comes over QUIC with the same bytes, and is no gateway
    Echo(press::Echo),
    /// Says to `echo` what a request would weigh, over and over; how long each answer took as JSON
    Ping(press::Pings),
    /// Terminals join, some talk; says what it cost as JSON
    Run(measure::Plan),
}

/// Where to join, and with how many.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// Whose protocol
    #[arg(long, value_enum)]
    pub(crate) relay: Relay,
    /// Where it listens
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// Talkgroups, each with a talker
    #[arg(long, default_value_t = 1)]
    pub(crate) groups: u16,
    /// Listeners of each talkgroup
    #[arg(long)]
    pub(crate) listeners: usize,
    /// Their own address; without it each has one of its own below 127.0.0.0/8
    #[arg(long)]
    pub(crate) from: Option<IpAddr>,
    /// Whose units they are, where that matters
    #[arg(long, default_value = "nl")]
    pub(crate) authority: String,
    /// Folder made by `pki`; talkbridge alone needs it
    #[arg(long)]
    pub(crate) pki: Option<PathBuf>,
}

fn main() -> ExitCode {
    match act() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match Arguments::parse().command {
        Command::Pki { out, authority, units } => office::make(&out, &authority, units),
        Command::Bare { port } => bare::run(port),
        Command::Idle(place) => runtime.block_on(idle(place)),
        Command::Listen(place) => say(&runtime.block_on(across::listen(&place, || say("ready")))?),
        Command::Call(plan) => say(&runtime.block_on(across::call(&plan))?),
        Command::Press(plan) => say(&runtime.block_on(press::press(&plan))?),
        Command::Echo(plan) => runtime.block_on(press::echo(&plan)),
        Command::Ping(plan) => say(&runtime.block_on(press::ping(&plan))?),
        Command::Run(plan) => runtime.block_on(async {
            let figures = measure::run(&plan).await?;
            say(&serde_json::to_string(&figures)?)
        }),
    }
}

async fn idle(place: Place) -> Result<()> {
    let crowd = Crowd::gather(&place, false).await?;
    say("ready")?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    crowd.all_alive()
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
