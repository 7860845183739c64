//! The command line of `talkbridge-unit`: arguments, and one module per command.

mod args;
mod listen;
mod output;
mod probe;
mod stop;
mod talk;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use talkbridge_client::{Unit, UnitConfig};
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

/// Starts a unit of the operating system.
fn start(config: &UnitConfig, talkgroups: Vec<TalkgroupId>, connect_timeout: Duration) -> Unit {
    let seed = SmallRng::from_os_rng().next_u64();
    Unit::start(config.settings(talkgroups, connect_timeout), Arc::new(OsSockets), seed, transport::clock::system())
}
