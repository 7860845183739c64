//! What the `talkbridge` commands do, without arguments and printing: the binary prints the result and exits.
//!
//! Off the data path.

use std::fmt;
use std::path::Path;

use time::OffsetDateTime;

use crate::config::{Config, ConfigError};
pub use crate::run::run;
use crate::status::Status;
use crate::{check, status_client};

/// Exit status of a bad usage or configuration.
pub const EXIT_CONFIGURATION: u8 = 2;
/// Exit status of every other failure.
pub const EXIT_FAILED: u8 = 1;

/// Why a command ended without doing what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Exit status of the process.
    pub exit: u8,
    /// One line for people.
    pub text: String,
}

impl Failure {
    /// A failure that is not the configuration's.
    pub fn other(text: impl fmt::Display) -> Self {
        Self { exit: EXIT_FAILED, text: text.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { exit: EXIT_CONFIGURATION, text: error.to_string() }
    }
}

/// `talkbridge check`: validates the file and explains what it allows.
///
/// # Errors
/// [`Failure`] with [`EXIT_CONFIGURATION`] and one line naming file, line and field.
pub fn check(path: &Path) -> Result<String, Failure> {
    let loaded = Config::load(path)?;
    Ok(check::explain(&loaded, OffsetDateTime::now_utc()))
}

/// `talkbridge status`: asks the running gateway of that configuration; a table, or with `json` one line of JSON.
///
/// # Errors
/// [`Failure`] with [`EXIT_CONFIGURATION`] for a file that is not valid or has no console address, else
/// [`EXIT_FAILED`]: the gateway does not run or does not answer; a retry can help.
pub fn status(path: &Path, json: bool) -> Result<String, Failure> {
    let (body, status) = ask(path)?;
    Ok(if json { body } else { status_client::table(&status) })
}

/// `talkbridge messages`: what waits in the running gateway of that configuration, and what did not arrive.
///
/// # Errors
/// As [`status`]; also if that gateway keeps no messages.
pub fn messages(path: &Path, json: bool) -> Result<String, Failure> {
    let (_, status) = ask(path)?;
    let none = "keeps no messages; it has no [store], or its log says why that could not be opened";
    let messages = status.messages.ok_or_else(|| Failure::other(format!("{}: the gateway {none}", path.display())))?;
    if json { serde_json::to_string(&messages).map_err(Failure::other) } else { Ok(status_client::messages(&messages)) }
}

/// The status of the running gateway, as it came and as read.
fn ask(path: &Path) -> Result<(String, Status), Failure> {
    let config = Config::load_without_files(path)?.config;
    let Some(address) = config.listen.console else {
        let text = format!("{}: listen.console: missing; give an address such as 127.0.0.1:7201 to ask for the status", path.display());
        return Err(Failure { exit: EXIT_CONFIGURATION, text });
    };
    let body = status_client::get(address, "/status").map_err(|why| Failure::other(format!("{address}: {why}")))?;
    let status = serde_json::from_str(&body).map_err(|why| Failure::other(format!("{address}: not a status: {why}")))?;
    Ok((body, status))
}
