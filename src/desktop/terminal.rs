//! The terminal at work: one task that owns the model, the unit and the sound, and moves everything between them.
//!
//! In the data path: what the microphone records is coded and spoken only while the model says that it is open, asked anew for
//! every frame; what the unit hears is decoded, mixed and played. The window sees a copy of the model and sends gestures.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::ear::Ear;
use client::{Happened, Heard, Unit, What};
use media::opus::{Bits, CodecError, Decoder, Encoder};
use media::pcm::{FRAME_SAMPLES, Frame, rms};
use tokio::sync::{mpsc, watch};
use tokio::time;
use wire::TalkgroupId;

use crate::model::{Effect, Fact, Gesture, Hearing, Model, Settings};
use crate::sound::{AudioIo, Counts, Devices, Gain, Mixer, Onsets, Recall};
use crate::tones::{Pack, Tone};

/// Wishes of the window and the sources of push-to-talk that wait. Full: whoever wishes waits, for a release must never be lost.
pub const WISHES_MAX: usize = 256;
/// How often the devices are asked: while there is sound to move, and while there is none.
const BEATS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(20));
/// Sound that waits at the loudspeaker, 40 ms: the devices' callbacks come irregularly.
const AHEAD: usize = 640;
/// Silence before sound, 10 ms.
const CUSHION: usize = 160;
/// How often the counters are read.
const COUNT: Duration = Duration::from_secs(2);
/// How often the levels are shown while something is heard or spoken.
const LEVELS: Duration = Duration::from_millis(100);
/// How long one speaks to hear oneself: 3 s.
const CHECK_FRAMES: usize = 150;
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

/// What a terminal does, for whoever keeps a record of it.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// The unit told something.
    Happened(&'a Happened),
    /// The counters of the devices, now and then.
    Counted(Counts),
    /// Somebody began to speak into the microphone.
    Mouth(Instant),
    /// The loudspeaker began to play.
    Ear(Instant),
}

/// Takes the entries of a record. It is called in the midst of sound: it must not wait.
pub type Record = Box<dyn FnMut(Entry<'_>) + Send>;

/// Keeps the settings for the next start.
pub type Keeper = Box<dyn FnMut(&Settings) + Send>;

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
pub struct Terminal {
    model: Model,
    unit: Unit,
    audio: Box<dyn AudioIo>,
    mixer: Mixer,
    ear: Ear,
    mouth: Mouth,
    devices: Devices,
    onsets: Onsets,
    record: Record,
    keeper: Keeper,
    recall: Recall,
    known: BTreeSet<Tone>,
    explain: Option<(Tone, Instant)>,
    levels: (f32, f32),
    shown: Instant,
    view: watch::Sender<View>,
    ended: bool,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("model", &self.model).field("audio", &self.audio).finish_non_exhaustive()
    }
}

/// The microphone's side: what was recorded, up to the coder.
#[derive(Debug)]
struct Mouth {
    recorded: Vec<i16>,
    gain: Gain,
    encoder: Encoder,
    open: Option<TalkgroupId>,
    /// What the user says to hear himself.
    check: Option<Vec<Frame>>,
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
            mouth: Mouth::new()?,
            devices: Devices { microphone: true, loudspeaker: true, substitute: false },
            onsets: Onsets::default(),
            record: Box::new(|_| {}),
            keeper: Box::new(|_| {}),
            recall: Recall::default(),
            known: BTreeSet::new(),
            explain: None,
            levels: (0.0, 0.0),
            shown: now,
            view: tell,
            ended: false,
        };
        Ok((terminal, seen))
    }

    /// Keeps a record.
    #[must_use]
    pub fn recorded(self, record: Record) -> Self {
        Self { record, ..self }
    }

    /// Keeps the settings.
    #[must_use]
    pub fn kept_by(self, keeper: Keeper) -> Self {
        Self { keeper, ..self }
    }

    /// Keeps nothing of what was heard.
    #[must_use]
    pub fn without_replay(self) -> Self {
        Self { recall: Recall::off(), ..self }
    }

    /// Runs until it is told to end, or nobody is left who could tell; `changed` is called when there is something new to draw.
    pub async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, changed: impl Fn() + Send) {
        let mut beat = Instant::now();
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
                () = time::sleep_until(beat.into()) => Woken::Time,
                _ = count.tick() => Woken::Counted,
            };
            let now = Instant::now();
            if beat <= now {
                beat = now + if self.mouth.open.is_some() || self.mixer.is_busy() { BEATS.0 } else { BEATS.1 };
            }
            let mut news = !matches!(woken, Woken::Time | Woken::Heard(_) | Woken::Counted);
            match woken {
                Woken::Wish(Some(Wish::Gesture(gesture))) => self.model.gesture(gesture, now),
                Woken::Wish(Some(Wish::Fact(fact))) => self.model.fact(*fact, now),
                Woken::Wish(Some(Wish::End) | None) => self.ended = true,
                Woken::Happened(Some(happened)) => {
                    (self.record)(Entry::Happened(&happened));
                    self.model.fact(Fact::Unit(happened.what), now);
                }
                Woken::Happened(None) => {
                    // The last event has been told; without the unit only the window is left.
                    time::sleep(BEATS.1).await;
                }
                Woken::Heard(Some(heard)) => self.hear(&heard),
                Woken::Heard(None) | Woken::Time => {}
                Woken::Counted => {
                    (self.record)(Entry::Counted(self.audio.counts()));
                    if let Some(report) = self.unit.handle.report().await {
                        let before = self.model.quality();
                        self.model.fact(Fact::Counted(Box::new(report)), now);
                        news = self.model.quality() != before;
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
            self.note_onsets();
            news |= self.replayed(now);
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

    /// Decodes what the unit heard. A coder that fails costs this frame.
    fn hear(&mut self, heard: &Heard) {
        match self.ear.hear(heard) {
            Ok((_, frame)) => {
                if let Some(spurt) = heard.spurt {
                    self.recall.keep(&heard.talkgroup, spurt, &frame);
                }
                self.mixer.hear(&heard.talkgroup, frame);
            }
            Err(error) => tracing::warn!(%error, "a frame could not be decoded"),
        }
    }

    /// Follows the microphone; whether its being there is news.
    fn speak(&mut self, now: Instant) -> bool {
        let devices = self.audio.devices();
        let mut news = devices != self.devices;
        if let Some(names) = self.audio.names() {
            self.model.fact(Fact::Names(names), now);
            news = true;
        }
        if devices.substitute != self.devices.substitute {
            self.model.fact(Fact::Substitute(devices.substitute), now);
        }
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
            let mut frame: Vec<i16> = self.mouth.recorded.drain(..FRAME_SAMPLES).collect();
            self.mouth.gain.apply(&mut frame);
            self.levels.0 = level(&frame);
            if let Some(talkgroup) = self.mouth.open.clone() {
                self.say(&talkgroup, &frame);
            } else if let Some(said) = &mut self.mouth.check {
                said.push(Frame::padded(&frame));
            }
        }
        news | self.hear_myself(now)
    }

    /// What the user said to hear himself comes back as the others would hear it. A call in between ends it.
    fn hear_myself(&mut self, now: Instant) -> bool {
        let called = self.mouth.open.is_some();
        let Some(said) = self.mouth.check.take_if(|said| called || said.len() >= CHECK_FRAMES) else { return false };
        let hearing =
            if called { Hearing::Idle } else { Hearing::Back(said.iter().map(|frame| level(frame.samples())).fold(0.0, f32::max)) };
        if !called {
            match through_the_coder(&said) {
                Ok(frames) => self.mixer.again(frames),
                Err(error) => tracing::warn!(%error, "the voice could not be coded"),
            }
        }
        self.model.fact(Fact::Hearing(hearing), now);
        true
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
                Effect::Replay(talkgroup) => self.mixer.again(self.recall.again(&talkgroup)),
                Effect::StopReplay => self.mixer.again(VecDeque::new()),
                Effect::Choose(choice) => self.audio.choose(choice),
                Effect::Keep => (self.keeper)(self.model.settings()),
                Effect::HearMyself => {
                    self.mouth.check = Some(Vec::new());
                    self.model.fact(Fact::Hearing(Hearing::Listening), now);
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
        // Wherever nothing waits, a little silence first, or the device would be hungry before every frame that comes a moment late.
        if self.mixer.is_busy() && self.audio.waiting() == 0 {
            self.audio.play(&[0; CUSHION]);
        }
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

    /// Tells what there is to hear again, in whole seconds, and when it was heard; whether that is news.
    fn replayed(&mut self, now: Instant) -> bool {
        let lengths = self.model.groups().iter().map(|group| (group.id.clone(), group.kept, self.recall.length(&group.id)));
        let news: Vec<_> = lengths.filter(|(_, told, length)| told.as_secs() != length.as_secs()).collect();
        let ended = self.model.replaying().is_some() && !self.mixer.is_replaying();
        let any = ended || !news.is_empty();
        for (id, _, length) in news {
            self.model.fact(Fact::Kept(id, length), now);
        }
        if ended {
            self.model.fact(Fact::Replayed, now);
        }
        any
    }

    /// Records where sound began.
    fn note_onsets(&mut self) {
        let onsets = self.audio.onsets();
        let before = std::mem::replace(&mut self.onsets, onsets);
        if let Some(at) = onsets.microphone.filter(|_| onsets.microphone != before.microphone) {
            (self.record)(Entry::Mouth(at));
        }
        if let Some(at) = onsets.loudspeaker.filter(|_| onsets.loudspeaker != before.loudspeaker) {
            (self.record)(Entry::Ear(at));
        }
    }

    /// Whether levels are worth drawing again.
    fn has_levels(&self, now: Instant) -> bool {
        let moving = self.mouth.open.is_some() || self.levels.1 > 0.0 || self.model.setup().open;
        moving && now.saturating_duration_since(self.shown) >= LEVELS
    }

    fn show(&mut self, now: Instant) {
        self.shown = now;
        let microphone = if self.mouth.open.is_some() || self.model.setup().open { self.levels.0 } else { 0.0 };
        let explain = self.explain.map(|(tone, _)| tone);
        self.view.send_replace(View { model: Arc::new(self.model.clone()), microphone, loudspeaker: self.levels.1, explain });
    }
}

impl Mouth {
    fn new() -> Result<Self, CodecError> {
        Ok(Self { recorded: Vec::new(), gain: Gain::default(), encoder: Encoder::new(Bits::default())?, open: None, check: None })
    }
}

/// What the others would hear of it.
fn through_the_coder(said: &[Frame]) -> Result<VecDeque<Frame>, CodecError> {
    let (mut encoder, mut decoder) = (Encoder::new(Bits::default())?, Decoder::new()?);
    said.iter().map(|frame| Ok(decoder.decode(&encoder.encode(frame)?).frame)).collect()
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
