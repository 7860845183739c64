//! `listen`: joins talkgroups, prints what happens there, writes what is heard.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::handset::Event;
use media::Sink;
use media::timeline::WavSink;
use talkbridge_client::ear::Ear;
use talkbridge_client::{End, Heard, UnitConfig, What};

use super::args::Listen;
use super::output::{Output, complain};
use super::stop::{Stop, until};
use super::{Outcome, Unusable, start};

/// How far behind the clock the file is made final: later sound of another talkgroup can still be mixed in.
const BEHIND: Duration = Duration::from_millis(500);
/// How often the file grows while nobody talks.
const GROW_EVERY: Duration = Duration::from_millis(250);

/// The recording: the file exists from the start, its timeline from the first `connected`.
#[derive(Debug)]
struct Recording {
    sink: WavSink,
    ear: Option<Ear>,
}

impl Recording {
    fn create(path: &Path) -> Result<Self, Unusable> {
        WavSink::create(path).map(|sink| Self { sink, ear: None }).map_err(|error| Unusable::from(&error))
    }

    fn begin(&mut self, at: Instant) {
        self.ear.get_or_insert_with(|| Ear::new(at));
    }

    fn hear(&mut self, heard: &Heard) -> Result<(), String> {
        let Some(ear) = &mut self.ear else { return Ok(()) };
        let (position, frame) = ear.hear(heard).map_err(|error| error.to_string())?;
        self.sink.play(position, &frame).map_err(|error| error.to_string())
    }

    fn grow(&mut self, now: Instant) -> Result<(), String> {
        let Some(ear) = &self.ear else { return Ok(()) };
        let position = now.checked_sub(BEHIND).map_or(0, |at| ear.position(at));
        self.sink.commit(position).map_err(|error| error.to_string())
    }

    fn finish(self, now: Instant) -> Result<(), String> {
        let end = self.ear.map_or(0, |ear| ear.position(now));
        self.sink.finish(end).map_err(|error| error.to_string())
    }
}

/// Runs the command.
pub(super) async fn run(args: Listen) -> Result<Outcome, Unusable> {
    let config = UnitConfig::load(&args.common.config).map_err(|error| Unusable::from(&error))?;
    let mut recording = args.wav.as_deref().map(Recording::create).transpose()?;
    let output = Output::new(args.common.json);
    let mut stop = Stop::new();
    let mut unit = start(&config, args.talkgroups.clone(), args.common.connect_timeout);

    let mut outcome = Outcome::Done;
    let mut refused = 0;
    let mut end_at = None;
    let mut grow_at = Instant::now() + GROW_EVERY;
    let mut closing = false;
    let ended = loop {
        tokio::select! {
            biased;
            () = stop.asked(), if !closing => closing = true,
            () = until(end_at), if !closing && end_at.is_some() => closing = true,
            Some(heard) = unit.ear.recv() => {
                let written = recording.as_mut().map_or(Ok(()), |recording| recording.hear(&heard));
                failed(written, &mut outcome, &mut closing);
                continue;
            }
            happened = unit.events.recv() => {
                let Some(happened) = happened else { break None };
                output.event(&happened);
                match happened.what {
                    What::Handset(Event::Connected(_)) => {
                        if let Some(recording) = &mut recording {
                            recording.begin(happened.at);
                        }
                        end_at = end_at.or_else(|| args.seconds.map(|seconds| happened.at + seconds));
                    }
                    What::Handset(Event::AffiliateRefused(..)) => {
                        outcome = Outcome::Failed;
                        refused += 1;
                        closing |= refused == args.talkgroups.len();
                    }
                    What::Ended(end, report) => break Some((end, report)),
                    What::Handset(_) | What::Mail(_) | What::Refused { .. } | What::Disconnected(_) => {}
                }
            }
            () = until(Some(grow_at)) => {
                let grown = recording.as_mut().map_or(Ok(()), |recording| recording.grow(grow_at));
                failed(grown, &mut outcome, &mut closing);
                grow_at = Instant::now() + GROW_EVERY;
            }
        }
        if closing {
            unit.handle.close().await;
        }
    };
    if let Some(recording) = recording {
        failed(recording.finish(Instant::now()), &mut outcome, &mut closing);
    }
    let Some((end, report)) = ended else { return Ok(Outcome::Failed) };
    output.report(&report);
    Ok(if end == End::Closed { outcome } else { Outcome::Failed })
}

/// A file that cannot be written ends the command.
fn failed(result: Result<(), String>, outcome: &mut Outcome, closing: &mut bool) {
    if let Err(why) = result {
        if *outcome == Outcome::Done {
            complain(&why);
        }
        *outcome = Outcome::Failed;
        *closing = true;
    }
}
