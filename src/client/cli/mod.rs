//! The command line of `talkbridge-unit`: arguments, and one module per command.

mod args;
mod inbox;
mod listen;
mod output;
mod probe;
mod send;
mod stop;
mod talk;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use talkbridge_client::{Mailbox, Unit, UnitConfig};
use transport::OsSockets;
use wire::TalkgroupId;

pub(crate) use args::Args;
use args::Command;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done as asked: exit status 0.
    Done,
    /// Refused, denied, revoked, unreachable, or another failure: 1. The reason has been printed.
    Failed,
    /// Bad usage or configuration: 2. The line that says what has been printed.
    Usage,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::FAILURE,
            Outcome::Usage => Self::from(2),
        }
    }
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Outcome {
    let result = match args.command {
        Command::Talk(talk) => talk::run(talk).await,
        Command::Listen(listen) => listen::run(listen).await,
        Command::Probe(probe) => probe::run(probe).await,
        Command::Send(send) => send::run(send).await,
        Command::Inbox(inbox) => inbox::run(inbox).await,
    };
    result.unwrap_or_else(|Unusable(line)| {
        output::complain(&line);
        Outcome::Usage
    })
}

/// What the user gave cannot be used: the one line that says why.
#[derive(Debug)]
pub(crate) struct Unusable(String);

impl Unusable {
    fn from(error: &impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The same with short data, kept in the configured state folder; one that shows takes what came out of it. `None` if that folder
/// is of no use, which the user has been told.
fn start_with_mailbox(config: &UnitConfig, talkgroups: Vec<TalkgroupId>, connect_timeout: Duration, shows: bool) -> Option<Unit> {
    let mailbox = Mailbox::open(config.own.identity().clone(), config.state.as_deref(), shows, unix_ms())
        .inspect_err(|error| output::complain(&error.to_string()))
        .ok()?;
    let seed = SmallRng::from_os_rng().next_u64();
    Some(Unit::start_with(config.settings(talkgroups, connect_timeout), mailbox, Arc::new(OsSockets), seed, transport::clock::system()))
}

/// Starts a unit of the operating system.
fn start(config: &UnitConfig, talkgroups: Vec<TalkgroupId>, connect_timeout: Duration) -> Unit {
    let seed = SmallRng::from_os_rng().next_u64();
    Unit::start(config.settings(talkgroups, connect_timeout), Arc::new(OsSockets), seed, transport::clock::system())
}

/// Milliseconds of UTC since 1970.
fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}
