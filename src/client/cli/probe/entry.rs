//! Late entry: the far unit joins while the near one talks, and waits for the first sound.

use std::fmt;
use std::time::Duration;

use engine::handset::Event;
use media::onset;
use media::tone::{PROBE_HZ, burst};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Trouble;
use super::round::samples_ms;
use super::side::{Side, Timeline, Voice};
use crate::cli::output::Output;

/// Length of the near unit's spurts: below every usual talk limit.
const SPURT_MS: u32 = 12_000;
/// Time for each step.
const LIMIT: Duration = Duration::from_secs(2);
/// Sound needed to find its onset: the loudest 20 ms of it set the threshold.
const SOUND: Duration = Duration::from_millis(160);
/// Pause between leaving and joining, and the step that moves the joins against the talker's frames.
const PAUSE_MS: u64 = 40;
const STEP_MS: u64 = 7;

/// What one late entry came to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    event: &'static str,
    at_ms: f64,
    join: u32,
    /// *Affiliated* to the first audible sample.
    pub(super) late_entry_ms: f64,
}

#[cfg(test)]
impl Entry {
    /// A late entry without fault.
    pub(super) fn sample() -> Self {
        Self { event: "join", at_ms: 0.0, join: 1, late_entry_ms: 40.0 }
    }
}

/// Measures so many late entries.
pub(super) async fn measure(near: &mut Side, far: &mut Side, joins: u32, output: &Output) -> Result<Vec<Entry>, Trouble> {
    let mut entries = Vec::new();
    let mut voice: Option<Voice> = None;
    for join in 1..=joins {
        // A voice that ends during the join would make it none: try it again in the next spurt.
        let entry = loop {
            if voice.as_ref().is_none_or(Voice::is_over) {
                near.forget();
                sleep(LIMIT / 4).await;
                let (_, next) = near.speak(&burst(PROBE_HZ, SPURT_MS)).await?;
                near.wait(LIMIT, "grant", output, |event| matches!(event, Event::Granted(..))).await?;
                sleep(LIMIT / 10).await;
                voice = Some(next);
            }
            let measured = one(far, join, output).await;
            match measured {
                Err(Trouble::Silence { .. }) if voice.as_ref().is_none_or(Voice::is_over) => {}
                Ok(entry) => break entry,
                Err(trouble) => return Err(trouble),
            }
        };
        output.result(&entry, &entry.to_string());
        entries.push(entry);
    }
    Ok(entries)
}

async fn one(far: &mut Side, join: u32, output: &Output) -> Result<Entry, Trouble> {
    far.unit.handle.leave(&far.talkgroup).await;
    sleep(Duration::from_millis(PAUSE_MS + u64::from(join) * STEP_MS % 20)).await;
    far.forget();
    far.unit.handle.join(&far.talkgroup).await;
    let joined = far.joined(LIMIT, output).await?;
    let silence = || Trouble::Silence { side: far.name, what: "sound", limit: LIMIT };
    let mut timeline = Timeline::new(joined);
    let first = timeout(LIMIT, far.unit.ear.recv()).await.ok().flatten().ok_or_else(silence)?;
    timeline.add(&first)?;
    let by = Instant::now() + SOUND;
    while let Ok(Some(heard)) = timeout_at(by, far.unit.ear.recv()).await {
        timeline.add(&heard)?;
    }
    let onset = onset::first(&timeline.samples).ok_or_else(silence)?;
    Ok(Entry { event: "join", at_ms: output.at_ms(joined), join, late_entry_ms: samples_ms(onset) })
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "join {:>3}: first sound after {:.1} ms", self.join, self.late_entry_ms)
    }
}
