//! `talk`: joins a talkgroup, presses, speaks a recording, releases, leaves in order.

use std::time::{Duration, Instant};

use engine::handset::Event;
use media::wav;
use talkbridge_client::mic::{Microphone, Spoken};
use talkbridge_client::{End, Unit, UnitConfig, What};
use wire::{Kind, Level, Priority, Tier};

use super::args::{PermitArg, Talk};
use super::output::{Output, complain};
use super::stop::{Stop, until};
use super::{Outcome, Unusable, start};

/// Time for the answer to the end of an emergency.
const EMERGENCY_ENDS: Duration = Duration::from_secs(2);

/// Where the talk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not joined yet.
    Joining,
    /// Waits for that moment to press.
    Waiting(Instant),
    /// The key is down.
    Down,
    /// Waits for the group emergency to end, until that moment.
    Ending(Instant),
    /// Leaves.
    Closing,
}

/// One talk.
struct Call {
    args: Talk,
    unit: Unit,
    mic: Microphone,
    /// Before and after `--raise-at`.
    priority: Priority,
    raised: Priority,
    raise_at: Option<Instant>,
    stage: Stage,
    /// The request waited in the queue.
    queued: bool,
    granted: bool,
    outcome: Outcome,
}

/// Runs the command.
pub(super) async fn run(args: Talk) -> Result<Outcome, Unusable> {
    let config = UnitConfig::load(&args.common.config).map_err(|error| Unusable::from(&error))?;
    let samples = wav::read(&args.wav).map_err(|error| Unusable::from(&error))?;
    let mic = Microphone::new(&samples).map_err(|error| Unusable::from(&error))?;
    let output = Output::new(args.common.json);
    let mut stop = Stop::new();
    let tier = match (args.emergency, args.peril) {
        (true, _) => Tier::Emergency,
        (_, true) => Tier::Peril,
        _ => Tier::Normal,
    };
    let level = args.level.map_or_else(Level::default, Level);
    let raised = Priority { tier, dispatcher: config.own.identity().kind == Kind::Dispatcher, level };
    let priority = if args.raise_at.is_some() { Priority { tier: Tier::Normal, ..raised } } else { raised };
    let unit = start(&config, vec![args.talkgroup.clone()], args.common.connect_timeout);
    let mut call = Call {
        args,
        unit,
        mic,
        priority,
        raised,
        raise_at: None,
        stage: Stage::Joining,
        queued: false,
        granted: false,
        outcome: Outcome::Done,
    };
    loop {
        let due = call.due();
        tokio::select! {
            biased;
            () = stop.asked(), if call.stage != Stage::Closing => call.close(Outcome::Done).await,
            () = until(due), if due.is_some() => call.pass_time(Instant::now()).await,
            happened = call.unit.events.recv() => {
                let Some(happened) = happened else { return Ok(Outcome::Failed) };
                output.event(&happened);
                if let What::Ended(end, report) = happened.what {
                    output.report(&report);
                    return Ok(if end == End::Closed { call.outcome } else { Outcome::Failed });
                }
                call.on(happened.what, happened.at).await;
            }
        }
    }
}

impl Call {
    /// The next moment at which something is due.
    fn due(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Waiting(at) | Stage::Ending(at) => Some(at),
            Stage::Joining | Stage::Down | Stage::Closing => None,
        };
        [stage, self.raise_at, self.mic.due()].into_iter().flatten().min()
    }

    async fn pass_time(&mut self, now: Instant) {
        match self.stage {
            Stage::Waiting(at) if at <= now => self.press().await,
            Stage::Ending(at) if at <= now => {
                complain("the group emergency was not ended: no answer from the gateway");
                self.close(Outcome::Failed).await;
            }
            Stage::Joining | Stage::Waiting(_) | Stage::Down | Stage::Ending(_) | Stage::Closing => {}
        }
        if self.raise_at.take_if(|at| *at <= now).is_some() && self.unit.handle.raise(&self.args.talkgroup, self.raised).await.is_err() {
            self.fail("the session was lost before the call could be raised").await;
        }
        while self.mic.due().is_some_and(|at| at <= now) {
            match self.mic.take() {
                Ok(Spoken::Voice(payload)) => self.unit.handle.speak(&self.args.talkgroup, Some(payload)),
                Ok(Spoken::Hold) => self.unit.handle.speak(&self.args.talkgroup, None),
                Ok(Spoken::Nothing) => {}
                Err(error) => return self.fail(&error.to_string()).await,
            }
        }
        // The answer to the press may be later than a short recording; nobody would hear a key released before it.
        if self.mic.is_done() && self.granted && self.stage == Stage::Down {
            self.release().await;
        }
    }

    async fn press(&mut self) {
        let permit = self.args.permit.into();
        match self.unit.handle.press(&self.args.talkgroup, self.priority, permit).await {
            Ok(pressed) => {
                self.stage = Stage::Down;
                self.raise_at = self.args.raise_at.map(|after| pressed.at + after);
                if self.args.permit == PermitArg::Instant {
                    self.open(pressed.at).await;
                }
            }
            // The session was lost in this moment; the next *affiliated* starts the wait anew.
            Err(_) => self.stage = Stage::Joining,
        }
    }

    async fn open(&mut self, at: Instant) {
        if let Err(error) = self.mic.open(at) {
            self.fail(&error.to_string()).await;
        }
    }

    /// The whole recording has been spoken.
    async fn release(&mut self) {
        self.raise_at = None;
        self.mic.close();
        self.unit.handle.key_up(&self.args.talkgroup).await;
        if self.args.end_emergency {
            self.unit.handle.end_emergency(&self.args.talkgroup).await;
            self.stage = Stage::Ending(Instant::now() + EMERGENCY_ENDS);
        } else {
            self.close(Outcome::Done).await;
        }
    }

    async fn on(&mut self, what: What, at: Instant) {
        let down = self.stage == Stage::Down;
        match what {
            What::Handset(Event::Affiliated(_)) if self.stage == Stage::Joining => self.stage = Stage::Waiting(at + self.args.press_at),
            What::Handset(Event::AffiliateRefused(..)) => self.close(Outcome::Failed).await,
            What::Handset(Event::Granted(..)) if down && !self.granted => {
                self.granted = true;
                if self.queued || self.args.permit == PermitArg::Tone {
                    self.open(at).await;
                } else {
                    self.pass_time(at).await;
                }
            }
            What::Handset(Event::Queued(..)) if down && !self.granted => {
                self.queued = true;
                self.mic.close();
            }
            // A raise that was denied: the talk goes on as it was, but not all was done as asked.
            What::Handset(Event::Denied(..)) if down && self.granted => self.outcome = Outcome::Failed,
            What::Handset(Event::Denied(..) | Event::Revoked(..)) if down => self.close(Outcome::Failed).await,
            What::Handset(Event::Emergency(_, false, _)) if matches!(self.stage, Stage::Ending(_)) => self.close(Outcome::Done).await,
            What::Handset(Event::EmergencyEndRefused(..)) if matches!(self.stage, Stage::Ending(_)) => self.close(Outcome::Failed).await,
            What::Disconnected(_) if matches!(self.stage, Stage::Down | Stage::Ending(_)) => self.close(Outcome::Failed).await,
            What::Disconnected(_) if matches!(self.stage, Stage::Waiting(_)) => self.stage = Stage::Joining,
            What::Handset(_) | What::Mail(_) | What::Disconnected(_) | What::Refused { .. } | What::Ended(..) => {}
        }
    }

    async fn fail(&mut self, why: &str) {
        complain(why);
        self.close(Outcome::Failed).await;
    }

    async fn close(&mut self, outcome: Outcome) {
        if outcome != Outcome::Done {
            self.outcome = outcome;
        }
        self.stage = Stage::Closing;
        self.raise_at = None;
        self.mic.close();
        self.unit.handle.close().await;
    }
}
