//! Logs: the only place that installs a subscriber.
//!
//! Off the data path, and kept off it: voice tasks hand finished lines to a bounded queue, a thread of its own writes them
//! to stderr. A reader that stalls stderr costs log lines, never voice.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::redact;

/// Environment variable with the filter: `info`, `talkbridge_gateway=debug,warn`. Default `info`.
pub const ENV_FILTER: &str = "TALKBRIDGE_LOG";
/// Environment variable that, set to `json`, writes one JSON object a line.
pub const ENV_FORMAT: &str = "TALKBRIDGE_LOG_FORMAT";

/// Lines waiting for stderr; the newest beyond are dropped and counted.
const QUEUE_LINES: usize = 4_096;
/// Longest wait for stderr at the end of the process.
const END_WAIT: Duration = Duration::from_secs(1);

/// Logging that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter does not parse: whoever set the variable is at fault.
    #[error("{ENV_FILTER}={text}: {why}; write a level such as info, or TARGET=LEVEL,...")]
    Filter {
        /// What the variable holds.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The writing thread cannot start: the system is out of resources, a retry can help.
    #[error("cannot start the log thread: {0}")]
    Thread(#[from] io::Error),
    /// A subscriber is installed already: a mistake in the calling program.
    #[error("logging is installed already")]
    Twice,
}

/// Keeps the logs coming; on drop waits until what was logged is written, at most a second.
#[must_use = "dropping the guard ends logging"]
#[derive(Debug)]
pub struct LogGuard {
    lines: SyncSender<Item>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let (done, wait) = sync_channel(1);
        if self.lines.try_send(Item::Flush(done)).is_ok() {
            // An error means the thread is gone or stderr is stuck: nothing is left to wait for.
            let _ = wait.recv_timeout(END_WAIT);
        }
    }
}

/// Installs the process's subscriber as the environment asks for it.
///
/// # Errors
/// [`LoggingError`]; logging is then not installed.
pub fn install() -> Result<LogGuard, LoggingError> {
    let text = std::env::var(ENV_FILTER).unwrap_or_default();
    let filter = filter(&text)?;
    let json = std::env::var_os(ENV_FORMAT).is_some_and(|value| value == "json");
    let (writer, receiver) = Lines::new();
    let guard = LogGuard { lines: writer.lines.clone() };
    let dropped = Arc::clone(&writer.dropped);
    std::thread::Builder::new().name("talkbridge-log".to_owned()).spawn(move || write_out(&receiver, &dropped, &mut io::stderr()))?;
    let plain = redact::plain_asked_for();
    let told = filter_fn(move |line| plain || names_nobody(line.target(), *line.level()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    let installed =
        if json { builder.json().flatten_event(true).finish().with(told).try_init() } else { builder.finish().with(told).try_init() };
    installed.map_err(|_already| LoggingError::Twice)?;
    Ok(guard)
}

fn filter(text: &str) -> Result<EnvFilter, LoggingError> {
    let text = if text.is_empty() { "info" } else { text };
    EnvFilter::try_new(text).map_err(|why| LoggingError::Filter { text: text.to_owned(), why: why.to_string() })
}

/// Whether a line can hold no address or certificate. Our own lines hash them; the libraries below print them: rustls and
/// quinn below the level of info, quinn's socket in the warning about a packet that could not be sent.
fn names_nobody(target: &str, level: Level) -> bool {
    let most = match target.split("::").next().unwrap_or_default() {
        "quinn_udp" => Level::ERROR,
        "quinn" | "quinn_proto" | "rustls" => Level::INFO,
        _ => Level::TRACE,
    };
    level <= most
}

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Where the subscriber writes: each event arrives as one buffer.
struct Lines {
    lines: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    fn new() -> (Self, Receiver<Item>) {
        let (lines, receiver) = sync_channel(QUEUE_LINES);
        (Self { lines, dropped: Arc::default() }, receiver)
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;
    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.lines.try_send(Item::Line(line.to_vec())) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines until every sender is gone; a gap is told where it is. Nobody is left to hear of a failing stderr.
fn write_out(receiver: &Receiver<Item>, dropped: &AtomicU64, out: &mut impl Write) {
    for item in receiver {
        match item {
            Item::Line(line) => {
                let lost = dropped.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let _ = writeln!(out, "{{\"level\":\"WARN\",\"message\":\"log lines dropped\",\"count\":{lost}}}");
                }
                let _ = out.write_all(&line);
            }
            Item::Flush(done) => {
                let _ = out.flush();
                let _ = done.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_reader_costs_lines_and_the_gap_is_told() {
        let (writer, receiver) = Lines::new();
        for number in 0..QUEUE_LINES + 7 {
            writeln!(&mut &writer, "line {number}").unwrap();
        }
        let dropped = Arc::clone(&writer.dropped);
        assert!(dropped.load(Ordering::Relaxed) >= 7);
        drop(writer);
        let mut out = Vec::new();
        write_out(&receiver, &dropped, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("{\"level\":\"WARN\",\"message\":\"log lines dropped\""), "{}", &text[..80]);
        assert!(!text.contains(&format!("line {}", QUEUE_LINES + 6)));
    }

    #[test]
    fn libraries_that_print_addresses_are_kept_short() {
        for (target, level, told) in [
            ("quinn_udp::imp", Level::WARN, false),
            ("quinn_proto::endpoint", Level::DEBUG, false),
            ("rustls::server::hs", Level::TRACE, false),
            ("quinn_proto::connection", Level::WARN, true),
            ("talkbridge_transport::endpoint", Level::DEBUG, true),
        ] {
            assert_eq!(names_nobody(target, level), told, "{target} {level}");
        }
    }

    #[test]
    fn the_filter_is_info_unless_set_and_a_bad_one_is_named() {
        assert_eq!(filter("").unwrap().to_string(), "info");
        assert_eq!(filter("warn").unwrap().to_string(), "warn");
        assert!(filter("talkbridge=loud").unwrap_err().to_string().starts_with("TALKBRIDGE_LOG=talkbridge=loud: "));
    }
}
