//! Log capture: a test reads what was logged, and fails on any error event it did not expect.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{self, DefaultGuard, Interest};
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// Lines kept; the oldest stay, later ones are only counted.
const LINES_MAX: usize = 10_000;

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<(Level, String)>,
    left_out: usize,
    errors: Vec<String>,
}

/// The log of this thread since [`Capture::start`]. Dropping it fails the test if an ERROR was logged.
#[must_use = "the log is captured as long as this lives"]
pub struct Capture {
    kept: Arc<Mutex<Kept>>,
    _guard: DefaultGuard,
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").finish_non_exhaustive()
    }
}

impl Capture {
    /// Captures this thread's events down to the level.
    pub fn start(level: Level) -> Self {
        // Fails from the second time on.
        let _ = subscriber::set_global_default(Nobody);
        let kept = Arc::new(Mutex::new(Kept::default()));
        let layer = Keeper(Arc::clone(&kept)).with_filter(LevelFilter::from_level(level));
        let guard = subscriber::set_default(Registry::default().with(layer));
        Self { kept, _guard: guard }
    }

    /// The lines so far: `target: message field=value`.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.kept).lines.iter().map(|(level, line)| format!("{level} {line}")).collect()
    }

    /// Whether some line contains the text.
    pub fn contains(&self, text: &str) -> bool {
        lock(&self.kept).lines.iter().any(|(_, line)| line.contains(text))
    }

    /// Takes the errors logged so far, which then no longer fail the test.
    pub fn take_errors(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.kept).errors)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let errors = self.take_errors();
        assert!(errors.is_empty() || std::thread::panicking(), "errors were logged: {errors:#?}");
    }
}

/// Listens everywhere and hears nothing. While a capture is the only listener, tracing switches a line off for good if a thread
/// without a capture comes by it first; with a second one it asks each time, of lines that some capture keeps: what is below all
/// of them costs one comparison, and QUIC writes such lines for every packet.
struct Nobody;

impl Subscriber for Nobody {
    fn register_callsite(&self, _line: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _line: &Metadata<'_>) -> bool {
        false
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn event(&self, _event: &Event<'_>) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

fn lock(kept: &Mutex<Kept>) -> std::sync::MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Keeper(Arc<Mutex<Kept>>);

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line(format!("{}:", event.metadata().target()));
        event.record(&mut line);
        let mut kept = lock(&self.0);
        if *event.metadata().level() == Level::ERROR {
            kept.errors.push(line.0.clone());
        }
        if kept.lines.len() < LINES_MAX {
            kept.lines.push((*event.metadata().level(), line.0));
        } else {
            kept.left_out += 1;
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_message_and_fields() {
        let log = Capture::start(Level::INFO);
        tracing::info!(talker = "nl/unit/a", "granted");
        tracing::debug!("not kept");
        assert!(log.contains("granted") && log.contains("nl/unit/a"), "{:?}", log.lines());
        assert!(!log.contains("not kept"));
    }

    /// The same line: below what the first capture keeps, then not.
    #[test]
    fn a_later_capture_may_hear_more() {
        let say = || tracing::debug!("details");
        drop(Capture::start(Level::INFO));
        say();
        let log = Capture::start(Level::DEBUG);
        say();
        assert_eq!(log.lines().len(), 1);
        let quieter = Capture::start(Level::WARN);
        say();
        assert!(quieter.lines().is_empty());
        drop(quieter);
        say();
        assert_eq!(log.lines().len(), 2);
    }

    #[test]
    #[should_panic(expected = "errors were logged")]
    fn an_error_fails_the_test() {
        let _log = Capture::start(Level::INFO);
        tracing::error!("store is gone");
    }

    #[test]
    fn an_expected_error_does_not() {
        let log = Capture::start(Level::INFO);
        tracing::error!("store is gone");
        assert_eq!(log.take_errors().len(), 1);
    }
}
