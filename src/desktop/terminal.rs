//! The terminal at work: one task that owns the model, the unit and the sound, and moves everything between them.
//!
//! In the data path: what the microphone records is coded and spoken only while the model says that it is open, asked anew for
//! every frame; what the unit hears is decoded, mixed and played. The window sees a copy of the model and sends gestures.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::ear::Ear;
use client::{Happened, Heard, Unit, What};
use media::opus::{Bits, CodecError, Encoder};
use media::pcm::{FRAME_SAMPLES, Frame, rms};
use tokio::sync::{mpsc, watch};
use tokio::time;
use wire::TalkgroupId;

use crate::model::{Effect, Fact, Gesture, Model};
use crate::sound::{AudioIo, Devices, Mixer};
use crate::tones::{Pack, Tone};

/// Wishes of the window and the sources of push-to-talk that wait. Full: whoever wishes waits, for a release must never be lost.
pub const WISHES_MAX: usize = 256;
/// How often the devices are asked.
const BEAT: Duration = Duration::from_millis(10);
/// Sound that waits at the loudspeaker, 40 ms: the devices' callbacks come irregularly.
const AHEAD: usize = 640;
/// How often the counters are read.
const COUNT: Duration = Duration::from_secs(2);
/// How often the levels are shown while something is heard or spoken.
const LEVELS: Duration = Duration::from_millis(100);
/// How long a tone's explanation stands.
const EXPLAINED: Duration = Duration::from_secs(8);

/// What is asked of the terminal.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Its user did something.
    Gesture(Gesture),
    /// Something happened around it.
    Fact(Box<Fact>),
    /// It is to end: release, say farewell.
    End,
}

/// What there is to draw.
#[derive(Clone, Debug)]
pub struct View {
    /// The state.
    pub model: Arc<Model>,
    /// How loud the microphone is, 0 to 1.
    pub microphone: f32,
    /// How loud the loudspeaker is, 0 to 1.
    pub loudspeaker: f32,
    /// A tone that sounded for the first time.
    pub explain: Option<Tone>,
}

/// See the module.
#[derive(Debug)]
pub struct Terminal {
    model: Model,
    unit: Unit,
    audio: Box<dyn AudioIo>,
    mixer: Mixer,
    ear: Ear,
    mouth: Mouth,
    devices: Devices,
    known: BTreeSet<Tone>,
    explain: Option<(Tone, Instant)>,
    levels: (f32, f32),
    shown: Instant,
    view: watch::Sender<View>,
    ended: bool,
}

/// The microphone's side: what was recorded, up to the coder.
#[derive(Debug)]
struct Mouth {
    recorded: Vec<i16>,
    encoder: Encoder,
    open: Option<TalkgroupId>,
}

enum Woken {
    Wish(Option<Wish>),
    Happened(Option<Happened>),
    Heard(Option<Heard>),
    Time,
    Counted,
}

impl Terminal {
    /// A terminal that has not begun; the receiver is what the window draws.
    ///
    /// # Errors
    /// [`CodecError`]: no memory for the coder.
    pub fn new(
        model: Model,
        unit: Unit,
        audio: Box<dyn AudioIo>,
        pack: Pack,
        now: Instant,
    ) -> Result<(Self, watch::Receiver<View>), CodecError> {
        let view = View { model: Arc::new(model.clone()), microphone: 0.0, loudspeaker: 0.0, explain: None };
        let (tell, seen) = watch::channel(view);
        let terminal = Self {
            model,
            unit,
            audio,
            mixer: Mixer::new(pack),
            ear: Ear::new(now),
            mouth: Mouth { recorded: Vec::new(), encoder: Encoder::new(Bits::default())?, open: None },
            devices: Devices { microphone: true, loudspeaker: true },
            known: BTreeSet::new(),
            explain: None,
            levels: (0.0, 0.0),
            shown: now,
            view: tell,
            ended: false,
        };
        Ok((terminal, seen))
    }

    /// Runs until it is told to end, or nobody is left who could tell; `changed` is called when there is something new to draw.
    pub async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, changed: impl Fn() + Send) {
        let mut beat = time::interval(BEAT);
        beat.set_missed_tick_behavior(time::MissedTickBehavior::Skip);
        let mut count = time::interval(COUNT);
        while !self.ended {
            let explained = self.explain.map(|(_, until)| until);
            let due = [self.model.poll_timeout(Instant::now()), explained].into_iter().flatten().min();
            let woken = tokio::select! {
                biased;
                wish = wishes.recv() => Woken::Wish(wish),
                happened = self.unit.events.recv() => Woken::Happened(happened),
                heard = self.unit.ear.recv() => Woken::Heard(heard),
                () = until(due), if due.is_some() => Woken::Time,
                _ = beat.tick() => Woken::Time,
                _ = count.tick() => Woken::Counted,
            };
            let now = Instant::now();
            let mut news = !matches!(woken, Woken::Time | Woken::Heard(_));
            match woken {
                Woken::Wish(Some(Wish::Gesture(gesture))) => self.model.gesture(gesture, now),
                Woken::Wish(Some(Wish::Fact(fact))) => self.model.fact(*fact, now),
                Woken::Wish(Some(Wish::End) | None) => self.ended = true,
                Woken::Happened(Some(happened)) => self.happened(happened.what, now),
                Woken::Happened(None) => {
                    // The last event has been told; without the unit only the window is left.
                    time::sleep(BEAT).await;
                }
                Woken::Heard(Some(heard)) => self.hear(&heard),
                Woken::Heard(None) | Woken::Time => {}
                Woken::Counted => {
                    if let Some(report) = self.unit.handle.report().await {
                        self.model.fact(Fact::Counted(Box::new(report)), now);
                    }
                }
            }
            if self.model.poll_timeout(now).is_some_and(|at| at <= now) {
                self.model.handle_timeout(now);
                news = true;
            }
            news |= self.explain.take_if(|(_, until)| *until <= now).is_some();
            news |= self.speak(now);
            self.act(now).await;
            self.play(now);
            if news || self.has_levels(now) {
                self.show(now);
                changed();
            }
        }
        self.unit.handle.close().await;
        while let Some(happened) = self.unit.events.recv().await {
            if matches!(happened.what, What::Ended(..)) {
                break;
            }
        }
    }

    fn happened(&mut self, what: What, now: Instant) {
        self.model.fact(Fact::Unit(what), now);
    }

    /// Decodes what the unit heard. A coder that fails costs this frame.
    fn hear(&mut self, heard: &Heard) {
        match self.ear.hear(heard) {
            Ok((_, frame)) => self.mixer.hear(&heard.talkgroup, frame),
            Err(error) => tracing::warn!(%error, "a frame could not be decoded"),
        }
    }

    /// Follows the microphone; whether its being there is news.
    fn speak(&mut self, now: Instant) -> bool {
        let devices = self.audio.devices();
        let news = devices != self.devices;
        if devices.microphone != self.devices.microphone {
            self.model.fact(Fact::Microphone(devices.microphone), now);
        }
        self.devices = devices;
        self.audio.record(&mut self.mouth.recorded);
        let open = self.model.microphone(now).cloned();
        if open != self.mouth.open {
            // What was said before it opened is nobody's business; what is left when it closes is the last syllable.
            let last = self.mouth.open.take();
            match last.filter(|_| open.is_none()) {
                Some(talkgroup) => self.finish(&talkgroup),
                None => self.mouth.recorded.clear(),
            }
            self.mouth.encoder.reset().ok();
            self.mouth.open = open;
        }
        while self.mouth.recorded.len() >= FRAME_SAMPLES {
            let frame: Vec<i16> = self.mouth.recorded.drain(..FRAME_SAMPLES).collect();
            self.levels.0 = level(&frame);
            if let Some(talkgroup) = self.mouth.open.clone() {
                self.say(&talkgroup, &frame);
            }
        }
        news
    }

    /// Sends what was recorded when the microphone closes, and what the coder holds back.
    fn finish(&mut self, talkgroup: &TalkgroupId) {
        let rest = std::mem::take(&mut self.mouth.recorded);
        let held = vec![0; self.mouth.encoder.lookahead()];
        for frame in [rest, held].concat().chunks(FRAME_SAMPLES) {
            self.say(talkgroup, frame);
        }
    }

    fn say(&mut self, talkgroup: &TalkgroupId, samples: &[i16]) {
        match self.mouth.encoder.encode(&Frame::padded(samples)) {
            Ok(payload) => self.unit.handle.speak(talkgroup, Some(payload)),
            Err(error) => tracing::warn!(%error, "a frame could not be coded"),
        }
    }

    /// Carries out what the model wants.
    async fn act(&mut self, now: Instant) {
        while let Some(effect) = self.model.poll_effect() {
            match effect {
                Effect::Press(talkgroup, priority, permit) => {
                    if self.unit.handle.press(&talkgroup, priority, permit).await.is_err() {
                        self.model.fact(Fact::PressFailed(talkgroup), now);
                    }
                }
                Effect::KeyUp(talkgroup) => self.unit.handle.key_up(&talkgroup).await,
                Effect::EndEmergency(talkgroup) => self.unit.handle.end_emergency(&talkgroup).await,
                Effect::Sound(tone) => {
                    self.mixer.sound(tone);
                    self.explain_once(tone, now);
                }
            }
        }
        if let Some(tone) = self.model.steady_tone() {
            self.explain_once(tone, now);
        }
    }

    fn explain_once(&mut self, tone: Tone, now: Instant) {
        if self.known.insert(tone) {
            self.explain = Some((tone, now + EXPLAINED));
        }
    }

    /// Keeps the loudspeaker a little ahead.
    fn play(&mut self, now: Instant) {
        while self.audio.waiting() < AHEAD {
            let model = &self.model;
            let Some(frame) = self.mixer.mix(|talkgroup| model.volume(talkgroup, now), model.steady_tone()) else {
                self.levels.1 = 0.0;
                return;
            };
            self.levels.1 = level(frame.samples());
            self.audio.play(frame.samples());
        }
    }

    /// Whether levels are worth drawing again.
    fn has_levels(&self, now: Instant) -> bool {
        let moving = self.mouth.open.is_some() || self.levels.1 > 0.0;
        moving && now.saturating_duration_since(self.shown) >= LEVELS
    }

    fn show(&mut self, now: Instant) {
        self.shown = now;
        let microphone = if self.mouth.open.is_some() { self.levels.0 } else { 0.0 };
        let explain = self.explain.map(|(tone, _)| tone);
        self.view.send_replace(View { model: Arc::new(self.model.clone()), microphone, loudspeaker: self.levels.1, explain });
    }
}

/// From -60 dB to full scale as 0 to 1: what the ear calls even steps.
fn level(samples: &[i16]) -> f32 {
    let share = rms(samples) / f32::from(i16::MAX);
    if share <= 0.001 { 0.0 } else { (1.0 + 20.0 * share.log10() / 60.0).clamp(0.0, 1.0) }
}

async fn until(at: Option<Instant>) {
    if let Some(at) = at {
        time::sleep_until(at.into()).await;
    }
}
