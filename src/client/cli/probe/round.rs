//! One spurt of the probe: a tone burst from the near unit to the far one.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::handset::Event;
use media::onset;
use media::pcm::{FRAME_SAMPLES, VOICE_HZ, rms};
use media::tone::{PROBE_HZ, burst};
use serde::Serialize;
use talkbridge_client::What;
use talkbridge_client::events::millis;
use tokio::time::sleep;

use super::Trouble;
use super::results::figure;
use super::side::{Side, Timeline};
use crate::cli::output::Output;
use crate::cli::stop::until;

/// Length of the burst.
const BURST_MS: u32 = 400;
/// Part of the speech at each end whose energy is compared.
const EDGE_SAMPLES: usize = 1_600;
/// Time for grant, burst and tail together.
const LIMIT: Duration = Duration::from_secs(3);
/// Silence after the far side's *idle* at which the spurt has been played.
const TAIL: Duration = Duration::from_millis(120);
/// Pause between rounds, and the step that moves the rounds against the playout clock.
const PAUSE_MS: u64 = 150;
const STEP_MS: u64 = 7;

/// What one spurt came to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    event: &'static str,
    at_ms: f64,
    round: u32,
    /// Press to grant, at the near unit.
    pub(super) access_ms: f64,
    /// Onset spoken to onset heard; nothing without a sound.
    pub(super) mouth_to_ear_ms: Option<f64>,
    /// Frames missing before the first and after the last one played.
    pub(super) clipped_first: usize,
    pub(super) clipped_last: usize,
    /// Frames missing in between.
    pub(super) lost: usize,
    pub(super) sent: usize,
    /// Level of the first and last 100 ms heard, against what was spoken.
    pub(super) energy_first_db: Option<f64>,
    pub(super) energy_last_db: Option<f64>,
}

#[cfg(test)]
impl Round {
    /// A round without fault.
    pub(super) fn sample() -> Self {
        Self {
            event: "round",
            at_ms: 0.0,
            round: 1,
            access_ms: 1.0,
            mouth_to_ear_ms: Some(60.0),
            clipped_first: 0,
            clipped_last: 0,
            lost: 0,
            sent: 20,
            energy_first_db: Some(0.5),
            energy_last_db: Some(-0.5),
        }
    }
}

/// Measures one spurt.
pub(super) async fn measure(near: &mut Side, far: &mut Side, number: u32, output: &Output) -> Result<Round, Trouble> {
    sleep(Duration::from_millis(PAUSE_MS + u64::from(number) * STEP_MS % 20)).await;
    near.forget();
    far.forget();
    let spoken = burst(PROBE_HZ, BURST_MS);
    let (pressed, voice) = near.speak(&spoken).await?;
    let granted = near.wait(LIMIT, "grant", output, |event| matches!(event, Event::Granted(..))).await?;
    let mut timeline = Timeline::new(pressed.at);
    let give_up = pressed.at + LIMIT;
    let mut over_at = None;
    loop {
        let by: Instant = over_at.unwrap_or(give_up);
        tokio::select! {
            biased;
            Some(heard) = far.unit.ear.recv() => {
                timeline.add(&heard)?;
                over_at = over_at.map(|_| Instant::now() + TAIL);
            }
            Some(happened) = far.unit.events.recv() => {
                far.is_bad_news(&happened, output)?;
                if matches!(happened.what, What::Handset(Event::Idle(..))) {
                    over_at = Some(Instant::now() + TAIL);
                }
            }
            () = until(Some(by)) => break,
        }
    }
    if over_at.is_none() {
        return Err(Trouble::Silence { side: far.name, what: "idle", limit: LIMIT });
    }
    let sent = voice.sent().await;
    let found = found(&sent, &timeline.played);
    let gaps = gaps(sent.len(), &found);
    let onset = onset::first(&timeline.samples);
    // Level of 100 ms from that sample of the speech on, where it was heard so much later against the start.
    let edge = |from: usize, shift: isize| {
        let heard = timeline.samples.get((onset? + from).checked_add_signed(shift)?..)?;
        Some(db(heard.get(..EDGE_SAMPLES)?, spoken.get(from..from + EDGE_SAMPLES)?))
    };
    // The delay grows when a frame is awaited: the end lies where most of it was played.
    let end = spoken.len() - EDGE_SAMPLES;
    let last = drifts(&found, end / FRAME_SAMPLES).into_iter().filter_map(|shift| edge(end, shift));
    Ok(Round {
        event: "round",
        at_ms: output.at_ms(pressed.at),
        round: number,
        access_ms: millis(granted.saturating_duration_since(pressed.at)),
        mouth_to_ear_ms: onset.map(samples_ms),
        clipped_first: gaps.first,
        clipped_last: gaps.last,
        lost: gaps.between,
        sent: sent.len(),
        energy_first_db: edge(0, 0),
        energy_last_db: last.min_by(|one, other| one.abs().total_cmp(&other.abs())),
    })
}

/// Samples as milliseconds.
pub(super) fn samples_ms(samples: usize) -> f64 {
    samples as f64 * 1_000.0 / f64::from(VOICE_HZ)
}

/// Level of one against the other, with one decimal.
fn db(heard: &[i16], spoken: &[i16]) -> f64 {
    let ratio = f64::from(rms(heard).max(1.0)) / f64::from(rms(spoken).max(1.0));
    (200.0 * ratio.log10()).round() / 10.0
}

/// A frame that was played: its number among those sent, and the sample where it began.
type Found = (usize, usize);

/// Finds the played payloads in those sent; both are in order, and equal neighbours count one after the other.
fn found(sent: &[Bytes], played: &[(usize, Bytes)]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut next = 0;
    for (start, payload) in played {
        if let Some(place) = sent.iter().skip(next).position(|one| one == payload) {
            found.push((next + place, *start));
            next += place + 1;
        }
    }
    found
}

/// Samples by which each frame from that number on, or else the last one, was played later against the first than it was spoken.
fn drifts(found: &[Found], from: usize) -> Vec<isize> {
    let offset = |(number, start): &Found| start.checked_signed_diff(number * FRAME_SAMPLES).unwrap_or(0);
    let Some(start) = found.first().map(offset) else { return Vec::new() };
    let late = found.partition_point(|(number, _)| *number < from).min(found.len() - 1);
    found[late..].iter().map(|frame| offset(frame) - start).collect()
}

/// Frames that were sent and not played.
#[derive(Debug, PartialEq, Eq)]
struct Gaps {
    first: usize,
    between: usize,
    last: usize,
}

fn gaps(sent: usize, found: &[Found]) -> Gaps {
    match (found.first(), found.last()) {
        (Some((first, _)), Some((last, _))) => Gaps { first: *first, between: last + 1 - first - found.len(), last: sent - 1 - last },
        _ => Gaps { first: sent, between: 0, last: 0 },
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "round {:>3}: access {:.1} ms, mouth to ear {} ms, clipped {}+{}, lost {} of {}, edges {} and {} dB",
            self.round,
            self.access_ms,
            figure(self.mouth_to_ear_ms),
            self.clipped_first,
            self.clipped_last,
            self.lost,
            self.sent,
            figure(self.energy_first_db),
            figure(self.energy_last_db),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(text: &str) -> Vec<Bytes> {
        text.bytes().map(|byte| Bytes::copy_from_slice(&[byte])).collect()
    }

    /// Payloads played one frame after the other; a blank is a frame's time without one.
    fn played(text: &str) -> Vec<(usize, Bytes)> {
        let places = payloads(text).into_iter().enumerate();
        places.filter(|(_, payload)| payload[0] != b' ').map(|(place, payload)| (1_000 + place * FRAME_SAMPLES, payload)).collect()
    }

    #[test]
    fn gaps_are_told_from_clipped_ends() {
        let sent = payloads("abcddefg");
        for (text, first, between, last) in
            [("abcddefg", 0, 0, 0), ("cddefg", 2, 0, 0), ("abcdde", 0, 0, 2), ("abdeg", 0, 3, 0), ("", 8, 0, 0), ("xbz", 1, 0, 6)]
        {
            assert_eq!(gaps(sent.len(), &found(&sent, &played(text))), Gaps { first, between, last }, "{text}");
        }
    }

    #[test]
    fn the_end_is_looked_for_where_it_was_played() {
        let sent = payloads("abcddefg");
        // As spoken; from the third frame on; lost, but its time kept; awaited for two frames' time; merged away; only the last
        // one late; cut off before the end; silence.
        for (text, frames) in [
            ("abcddefg", vec![0, 0]),
            ("cddefg", vec![0, 0]),
            ("ab ddefg", vec![0, 0]),
            ("abc  ddefg", vec![2, 2]),
            ("abddefg", vec![-1, -1]),
            ("abcddef  g", vec![0, 2]),
            ("ab cd", vec![1]),
            ("", vec![]),
        ] {
            let frames: Vec<isize> = frames.into_iter().map(|frames| frames * isize::try_from(FRAME_SAMPLES).unwrap()).collect();
            assert_eq!(drifts(&found(&sent, &played(text)), 6), frames, "{text}");
        }
    }
}
