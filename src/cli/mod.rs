//! The command line of `talkbridge`: arguments in, one call, results on stdout, one line on stderr if it failed.
//!
//! Not in the data path.

mod certificates;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gateway::cli::Failure;

const EXIT_STATUS: &str = "\
Exit status:
  0  done as asked
  1  refused, unreachable, or any other failure
  2  bad usage or configuration";

/// Bridges talkgroups of police, fire, rescue and border agencies across national borders.
#[derive(Debug, Parser)]
#[command(name = "talkbridge", version, arg_required_else_help = true, subcommand_required = true, after_help = EXIT_STATUS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes authorities, issues certificates, revokes them
    #[command(subcommand, arg_required_else_help = true, after_help = EXIT_STATUS)]
    Pki(certificates::Command),
    /// Validates a configuration and explains what it allows
    ///
    /// Reads the file and every certificate, key and revocation list that it names, and tries the own certificate in a
    /// handshake in memory. Starts nothing and opens no port.
    #[command(after_help = "Example:\n  talkbridge check --config gateway.toml")]
    Check(Configured),
    /// Runs the gateway until SIGTERM
    ///
    /// SIGHUP reloads the configuration, certificates and revocation lists; a bad file changes nothing. SIGTERM and SIGINT
    /// say farewell to every session and stop within 5 seconds. Logs go to stderr (TALKBRIDGE_LOG=info).
    #[command(after_help = "Example:\n  talkbridge run --config gateway.toml")]
    Run(Configured),
    /// Shows what a running gateway does: sessions, talkgroups, floors, bridges, links, queues
    ///
    /// Asks the gateway at the console address of its configuration.
    #[command(after_help = "Example:\n  talkbridge status --config gateway.toml --json")]
    Status {
        #[command(flatten)]
        configured: Configured,
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Shows what short data waits in a running gateway, for whom, and what did not arrive, with the reasons
    ///
    /// Asks the gateway at the console address of its configuration. The outboxes are those in which most waits, of the last ten
    /// seconds; of what did not arrive the newest are shown, since the gateway was started. Their senders were told.
    #[command(after_help = "Example:\n  talkbridge messages --config gateway.toml")]
    Messages {
        #[command(flatten)]
        configured: Configured,
        /// Print one JSON object instead of tables
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Configured {
    /// The gateway's configuration (TOML); paths in it count from its folder
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command that this process was started for.
pub(crate) fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Pki(command) => command.run(),
        Command::Check(Configured { config }) => gateway::cli::check(&config),
        Command::Run(Configured { config }) => gateway::cli::run(&config).map(|()| String::new()),
        Command::Status { configured: Configured { config }, json } => gateway::cli::status(&config, json),
        Command::Messages { configured: Configured { config }, json } => gateway::cli::messages(&config, json),
    };
    match outcome.and_then(print) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With stderr gone too, the exit status has to tell it alone.
            writeln!(io::stderr().lock(), "talkbridge: {}", failure.text).ok();
            ExitCode::from(failure.exit)
        }
    }
}

/// Writes a result to stdout, its last line ended.
fn print(mut text: String) -> Result<(), Failure> {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::other(format!("stdout: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_explains_itself_with_an_example() {
        fn visit(command: &clap::Command, leaves: &mut usize) {
            let mut subcommands = command.get_subcommands().filter(|sub| sub.get_name() != "help").peekable();
            if subcommands.peek().is_none() {
                *leaves += 1;
                let help = command.clone().render_long_help().to_string();
                assert!(help.contains("Example"), "{help}");
            }
            for sub in subcommands {
                assert!(sub.get_about().is_some(), "{}", sub.get_name());
                visit(sub, leaves);
            }
        }
        let command = Arguments::command();
        command.clone().debug_assert();
        let mut leaves = 0;
        visit(&command, &mut leaves);
        assert!(leaves >= 5, "{leaves} commands");
    }
}
