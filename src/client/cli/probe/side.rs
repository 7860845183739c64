//! One of the probe's two units: waits for its events, speaks through it, keeps what it heard.

use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::handset::{Event, Permit};
use engine::jitter::Playout;
use media::pcm::FRAME_SAMPLES;
use talkbridge_client::ear::Ear;
use talkbridge_client::events::{Line, Monotonic};
use talkbridge_client::mic::{Microphone, Spoken};
use talkbridge_client::{Happened, Heard, Pressed, Unit, UnitConfig, UnitHandle, What};
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};
use wire::{Priority, TalkgroupId};

use super::Trouble;
use crate::cli::output::Output;
use crate::cli::start;

/// One unit.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) talkgroup: TalkgroupId,
}

impl Side {
    pub(super) fn start(name: &'static str, config: &UnitConfig, talkgroup: TalkgroupId, connect_timeout: Duration) -> Self {
        Self { name, unit: start(config, vec![talkgroup.clone()], connect_timeout), talkgroup }
    }

    /// Waits until it has joined; the moment.
    pub(super) async fn joined(&mut self, limit: Duration, output: &Output) -> Result<Instant, Trouble> {
        self.wait(limit, "affiliated", output, |event| matches!(event, Event::Affiliated(_))).await
    }

    /// Waits for an event that fits; its moment. Bad news ends the wait.
    pub(super) async fn wait(
        &mut self,
        limit: Duration,
        what: &'static str,
        output: &Output,
        fits: impl Fn(&Event) -> bool,
    ) -> Result<Instant, Trouble> {
        let found = async {
            while let Some(happened) = self.unit.events.recv().await {
                if self.is_bad_news(&happened, output)? {
                    break;
                }
                if let What::Handset(event) = &happened.what
                    && fits(event)
                {
                    return Ok(Some(happened.at));
                }
            }
            Ok(None)
        };
        match timeout(limit, found).await {
            Ok(Ok(Some(at))) => Ok(at),
            Ok(Ok(None)) | Err(_) => Err(Trouble::Silence { side: self.name, what, limit }),
            Ok(Err(trouble)) => Err(trouble),
        }
    }

    /// Prints and returns what must not happen to a probe; `true` if nothing follows.
    pub(super) fn is_bad_news(&self, happened: &Happened, output: &Output) -> Result<bool, Trouble> {
        let bad = match &happened.what {
            What::Disconnected(_) | What::Refused { .. } => true,
            What::Mail(_) => false,
            What::Handset(event) => {
                matches!(event, Event::Denied(..) | Event::Revoked(..) | Event::AffiliateRefused(..) | Event::Queued(..))
            }
            What::Ended(..) => return Ok(true),
        };
        if !bad {
            return Ok(false);
        }
        output.event(happened);
        let event = Line::of(happened, &Monotonic::now()).map(|line| line.to_string()).unwrap_or_default();
        Err(Trouble::Side { side: self.name, event })
    }

    /// Presses and speaks on a task of its own, which ends with the payloads that were sent.
    pub(super) async fn speak(&self, samples: &[i16]) -> Result<(Pressed, Voice), Trouble> {
        let mut mic = Microphone::new(samples)?;
        let pressed = self.unit.handle.press(&self.talkgroup, Priority::default(), Permit::Instant).await;
        let pressed = pressed.map_err(|error| Trouble::Side { side: self.name, event: error.to_string() })?;
        mic.open(pressed.at)?;
        Ok((pressed, Voice(tokio::spawn(speak(mic, self.unit.handle.clone(), self.talkgroup.clone())))))
    }

    /// Throws away what was heard and told so far.
    pub(super) fn forget(&mut self) {
        while self.unit.ear.try_recv().is_ok() {}
        while self.unit.events.try_recv().is_ok() {}
    }

    /// Leaves in order.
    pub(super) async fn close(&mut self) {
        self.unit.handle.close().await;
        while self.unit.events.recv().await.is_some() {}
    }
}

/// A voice that speaks; silenced when dropped.
pub(super) struct Voice(JoinHandle<Vec<Bytes>>);

impl Voice {
    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the end; the payloads sent, in order.
    pub(super) async fn sent(mut self) -> Vec<Bytes> {
        (&mut self.0).await.unwrap_or_default()
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn speak(mut mic: Microphone, handle: UnitHandle, talkgroup: TalkgroupId) -> Vec<Bytes> {
    let mut sent = Vec::new();
    while let Some(due) = mic.due() {
        sleep_until(due.into()).await;
        if let Ok(Spoken::Voice(payload)) = mic.take() {
            sent.push(payload.clone());
            handle.speak(&talkgroup, Some(payload));
        }
    }
    handle.key_up(&talkgroup).await;
    sent
}

/// What a unit played, as samples since an origin and as the payloads it was made of, each with its place.
pub(super) struct Timeline {
    ear: Ear,
    pub(super) samples: Vec<i16>,
    pub(super) played: Vec<(usize, Bytes)>,
}

impl Timeline {
    pub(super) fn new(origin: Instant) -> Self {
        Self { ear: Ear::new(origin), samples: Vec::new(), played: Vec::new() }
    }

    pub(super) fn add(&mut self, heard: &Heard) -> Result<(), Trouble> {
        let (position, frame) = self.ear.hear(heard)?;
        let start = usize::try_from(position).unwrap_or(usize::MAX - FRAME_SAMPLES);
        if self.samples.len() < start + FRAME_SAMPLES {
            self.samples.resize(start + FRAME_SAMPLES, 0);
        }
        if let Some(place) = self.samples.get_mut(start..start + FRAME_SAMPLES) {
            place.copy_from_slice(frame.samples());
        }
        match &heard.playout {
            Playout::Frame(payload) => self.played.push((start, payload.clone())),
            Playout::Stretch { frames, .. } => self.played.extend(frames.iter().map(|payload| (start, payload.clone()))),
            Playout::Fec { .. } | Playout::Conceal | Playout::Silence | Playout::End(_) => {}
        }
        Ok(())
    }
}
