//! What the commands print: events on stdout, one line each and flushed at once; complaints on stderr.

use std::io::{self, Write};

use serde::Serialize;
use talkbridge_client::Happened;
use talkbridge_client::Report;
use talkbridge_client::events::{Line, Monotonic};

/// Prints events as JSON or as sentences.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    clock: Monotonic,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, clock: Monotonic::now() }
    }

    /// Prints an event, if there is something to say.
    pub(crate) fn event(&self, happened: &Happened) {
        if let Some(line) = Line::of(happened, &self.clock) {
            self.line(&line);
        }
    }

    /// Prints the report at the end.
    pub(crate) fn report(&self, report: &Report) {
        self.line(&Line::of_report(report, self.clock.at_ms(std::time::Instant::now())));
    }

    fn line(&self, line: &Line) {
        print(&if self.json { line.to_json() } else { line.to_string() });
    }

    /// Prints a result of another shape: as JSON, or as the text.
    pub(crate) fn result(&self, value: &impl Serialize, text: &str) {
        print(&if self.json { serde_json::to_string(value).unwrap_or_default() } else { text.to_owned() });
    }

    pub(crate) fn at_ms(&self, at: std::time::Instant) -> f64 {
        self.clock.at_ms(at)
    }
}

/// A reader that has gone away is no reason to stop: the session ends in order first.
fn print(line: &str) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("nobody reads the output");
    }
}

/// Says on stderr why the command cannot go on.
pub(crate) fn complain(line: &str) {
    // Without stderr the exit status must do.
    writeln!(io::stderr().lock(), "talkbridge-unit: {line}").ok();
}
