//! What the terminal does, one JSON object a line on stdout: the events of `talkbridge-unit`, and what the devices count.
//!
//! Written from the task that moves sound: lines wait for a thread of their own, at most [`WAIT_MAX`]; beyond, they are dropped.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use client::events::{Line, Monotonic};
use talkbridge_desktop::sound::Counts;
use talkbridge_desktop::terminal::{Entry, Record};

/// Lines that wait to be written.
const WAIT_MAX: usize = 1_024;

/// A record on stdout; `frames` is how often the window was drawn.
pub(crate) fn on_stdout(frames: Arc<AtomicU64>) -> std::io::Result<Record> {
    let clock = Monotonic::now();
    let (write, lines) = sync_channel::<String>(WAIT_MAX);
    thread::Builder::new().name("record".into()).spawn(move || {
        for line in lines {
            let mut out = std::io::stdout().lock();
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    })?;
    Ok(Box::new(move |entry| {
        let line = match entry {
            Entry::Happened(happened) => Line::of(happened, &clock).map(|line| line.to_json()),
            Entry::Counted(counts) => Some(counted(counts, frames.load(Ordering::Relaxed), clock.at_ms(Instant::now()))),
            Entry::Mouth(at) => Some(format!(r#"{{"event":"mouth","at_ms":{}}}"#, clock.at_ms(at))),
            Entry::Ear(at) => Some(format!(r#"{{"event":"ear","at_ms":{}}}"#, clock.at_ms(at))),
        };
        if let Some(line) = line {
            write.try_send(line).ok();
        }
    }))
}

fn counted(counts: Counts, frames: u64, at_ms: f64) -> String {
    let Counts { calls, late, lost, dry, gaps } = counts;
    format!(
        r#"{{"event":"devices","at_ms":{at_ms},"calls":{calls},"late":{late},"lost":{lost},"dry":{dry},"gaps":{gaps},"frames":{frames}}}"#
    )
}
