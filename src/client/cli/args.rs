//! The arguments of every command, and the closed lists that `--help` shows.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use engine::handset::Permit;
use wire::data::{CONTENT_MAX_BYTES, LIFETIME_MAX_S, Location, MessageId, Recipient, Undelivered};
use wire::{DenyCause, Kind, Reason, RevokeCause, TalkgroupId};

/// A Talkbridge unit without keys and screen.
///
/// Exit status: 0 done as asked; 1 refused, denied, revoked, unreachable or another failure, with the reason printed
/// before; 2 bad usage or configuration.
#[derive(Debug, Parser)]
#[command(name = "talkbridge-unit", version, after_help = lists())]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Speak a recording into a talkgroup.
    Talk(Talk),
    /// Listen to talkgroups, until stopped or for a time.
    Listen(Listen),
    /// Measure access time, mouth to ear, late entry and loss between two units on this machine; exit status 1 on a breach.
    Probe(Probe),
    /// Send a message to a unit, a dispatcher or a talkgroup; done when the gateway answers for it.
    Send(Send),
    /// Show messages, each once, until stopped or for a time.
    Inbox(Inbox),
}

/// What all commands take.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The unit's configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Give up when no gateway has welcomed the unit after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) connect_timeout: Duration,
    /// Print one JSON object per line instead of sentences.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = lists())]
pub(crate) struct Talk {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The talkgroup to speak in, AUTHORITY/NAME.
    #[arg(long, value_name = "TG")]
    pub(crate) talkgroup: TalkgroupId,
    /// The recording: 16 bit PCM, mono or stereo, any rate.
    #[arg(long, value_name = "IN.wav")]
    pub(crate) wav: PathBuf,
    /// Press the key so many milliseconds after joining.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = millis)]
    pub(crate) press_at: Duration,
    /// Level inside the normal tier, 0 to 255; higher goes first. Default 16.
    #[arg(long, value_name = "N", conflicts_with_all = ["peril", "emergency"])]
    pub(crate) level: Option<u8>,
    /// Declare imminent peril.
    #[arg(long, conflicts_with = "emergency")]
    pub(crate) peril: bool,
    /// Raise an emergency.
    #[arg(long)]
    pub(crate) emergency: bool,
    /// Begin in the normal tier and raise to the emergency so many milliseconds after the press.
    #[arg(long, value_name = "MS", requires = "emergency", value_parser = millis)]
    pub(crate) raise_at: Option<Duration>,
    /// End the group emergency after the talk.
    #[arg(long)]
    pub(crate) end_emergency: bool,
    /// When the microphone opens: at the key press, or at the grant.
    #[arg(long, value_enum, default_value = "instant")]
    pub(crate) permit: PermitArg,
}

/// When the microphone opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PermitArg {
    /// At the key press; what is spoken before the grant is kept.
    Instant,
    /// At the grant.
    Tone,
}

impl From<PermitArg> for Permit {
    fn from(permit: PermitArg) -> Self {
        match permit {
            PermitArg::Instant => Self::Instant,
            PermitArg::Tone => Self::Tone,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = lists())]
pub(crate) struct Listen {
    #[command(flatten)]
    pub(crate) common: Common,
    /// A talkgroup to listen to, AUTHORITY/NAME; may be given several times.
    #[arg(long = "talkgroup", value_name = "TG", required = true)]
    pub(crate) talkgroups: Vec<TalkgroupId>,
    /// Write what is heard: 16 kHz mono, sample 0 at the first `connected`, silence kept, talkgroups mixed.
    #[arg(long, value_name = "OUT.wav")]
    pub(crate) wav: Option<PathBuf>,
    /// End so many seconds after the first `connected`.
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = lists())]
pub(crate) struct Probe {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The near unit's talkgroup.
    #[arg(long, value_name = "TG")]
    pub(crate) talkgroup: TalkgroupId,
    /// The far unit's configuration file; it listens to the first of its talkgroups.
    #[arg(long, value_name = "FILE")]
    pub(crate) far: PathBuf,
    /// Spurts to measure. With 20 or more there are 50 late entries, else as many as rounds.
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
}

#[derive(Debug, clap::Args)]
#[command(after_help = lists(), group = clap::ArgGroup::new("content").required(true).args(["text", "status", "location"]))]
pub(crate) struct Send {
    #[command(flatten)]
    pub(crate) common: Common,
    /// For whom: AUTHORITY/KIND/NAME of a unit or dispatcher, or the talkgroup AUTHORITY/NAME.
    #[arg(long, value_name = "IDENTITY|TG", value_parser = recipient)]
    pub(crate) to: Recipient,
    /// A text of at most 4,096 bytes.
    #[arg(long, value_name = "T", value_parser = text)]
    pub(crate) text: Option<String>,
    /// A status of the own country, 0 to 65535.
    #[arg(long, value_name = "N")]
    pub(crate) status: Option<u16>,
    /// A place in degrees, north and east positive.
    #[arg(long, value_name = "LAT,LON", value_parser = location, allow_hyphen_values = true)]
    pub(crate) location: Option<Location>,
    /// Wait until the recipient has it, or has read it; in a talkgroup the first one who has.
    #[arg(long, value_enum)]
    pub(crate) wait: Option<WaitArg>,
    /// Goes before what is not urgent.
    #[arg(long)]
    pub(crate) urgent: bool,
    /// For how many seconds it is worth delivering, up to seven days.
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = clap::value_parser!(u32).range(1..=i64::from(LIFETIME_MAX_S)))]
    pub(crate) lifetime: u32,
    /// The message that this one answers.
    #[arg(long, value_name = "ID")]
    pub(crate) in_reply_to: Option<MessageId>,
}

/// What `send` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WaitArg {
    /// Until a terminal has it.
    Delivered,
    /// Until a user has seen it.
    Read,
}

#[derive(Debug, clap::Args)]
#[command(after_help = lists())]
pub(crate) struct Inbox {
    #[command(flatten)]
    pub(crate) common: Common,
    /// End so many seconds after the first `connected`.
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
}

fn recipient(text: &str) -> Result<Recipient, String> {
    match text.parse() {
        Ok(Recipient::Identity(identity)) if identity.kind == Kind::Gateway => Err("a gateway takes no messages for itself".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

fn text(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty text says nothing".to_owned());
    }
    if text.len() > CONTENT_MAX_BYTES { Err(format!("{} bytes, at most {CONTENT_MAX_BYTES}", text.len())) } else { Ok(text.to_owned()) }
}

/// A place, measured at no time yet.
fn location(text: &str) -> Result<Location, String> {
    let (north, east) = text.split_once(',').ok_or("two numbers with a comma between them are needed, e.g. 50.8503,5.6889")?;
    let e7 = |degrees: &str| -> Result<i32, String> {
        let degrees: f64 = degrees.trim().parse().map_err(|error| format!("'{degrees}': {error}"))?;
        // As text: a number that is none, or out of range, does not read back.
        format!("{:.0}", degrees * 10_000_000.0).parse().map_err(|_not_a_number| format!("'{degrees}' is not on the globe"))
    };
    Location::new(e7(north)?, e7(east)?, None, 0).ok_or_else(|| format!("{text} is not on the globe"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("not a number of seconds: {error}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn millis(text: &str) -> Result<Duration, String> {
    text.parse::<u64>().map(Duration::from_millis).map_err(|error| format!("not a whole number of milliseconds: {error}"))
}

/// The closed lists of causes and reasons.
fn lists() -> String {
    let words = |words: Vec<&str>| words.join(", ");
    format!(
        "Causes of `denied`: {}.\n\nCauses of `revoked`: {}.\n\nReasons of `refused` and `disconnected`: {}.\n\nReasons of \
         `undelivered` and `waiting`: {}.",
        words(DenyCause::ALL.iter().map(|cause| cause.as_str()).collect()),
        words(RevokeCause::ALL.iter().map(|cause| cause.as_str()).collect()),
        words(Reason::ALL.iter().map(|reason| reason.as_str()).collect()),
        words(Undelivered::ALL.iter().map(|reason| reason.as_str()).collect()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_arguments_fit_together() {
        Args::command().debug_assert();
        let talk = "talkbridge-unit talk --config u.toml --talkgroup nl/pol-1 --wav in.wav";
        assert!(parse(talk).is_ok());
        assert!(parse(&format!("{talk} --emergency --raise-at 500 --end-emergency --permit tone --json")).is_ok());
        for bad in ["--level 3 --emergency", "--peril --emergency", "--level 256", "--raise-at 5", "--permit never", "--connect-timeout -1"]
        {
            assert!(parse(&format!("{talk} {bad}")).is_err(), "{bad}");
        }
        assert!(parse("talkbridge-unit listen --config u.toml").is_err(), "no talkgroup");
        let send = "talkbridge-unit send --config u.toml --to";
        for good in ["nl/pol-1 --text hello", "be/unit/lux-7 --status 5 --wait read", "nl/unit/a --location -50.85,5.6889 --urgent"] {
            assert!(parse(&format!("{send} {good}")).is_ok(), "{good}");
        }
        let bad = ["nl/a", "nl/a --text x --status 1", "nl/gateway/gw-1 --text x", "nl/a --status 65536", "nl/a --location 91,0"];
        for bad in bad.into_iter().chain(["nl/a --location nan,0", "nl/a --location 5", "nl/a --text x --lifetime 604801", "nl --text x"]) {
            assert!(parse(&format!("{send} {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn help_lists_every_word() {
        let help = lists();
        assert!(help.contains("certificate_revoked") && help.contains("talk_limit") && help.contains("queue_full"));
    }
}
