//! Sound between the devices and the unit: what a device is, and what is heard at once.
//!
//! In the data path: first and last stop. Devices run on their own clock behind rings; everything here is 16 kHz mono and
//! asks, never waits. Tests use [`Fake`]; `talkbridge-ptt` the machine's devices.

mod gain;
mod mixer;
mod recall;

use std::sync::{Arc, Mutex};
use std::time::Instant;

pub use gain::Gain;
pub use mixer::Mixer;
pub use recall::Recall;

/// Samples that wait to be played at most, 200 ms. Full: the newest are dropped.
pub const PLAY_MAX: usize = 3_200;

/// Which devices are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// The microphone gives sound.
    pub microphone: bool,
    /// The loudspeaker takes sound.
    pub loudspeaker: bool,
    /// A chosen device is not there; the system's default stands in.
    pub substitute: bool,
}

/// Which devices are wanted, by name; `None` is whatever the system's default is at the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The microphone.
    pub microphone: Option<String>,
    /// The loudspeaker.
    pub loudspeaker: Option<String>,
}

/// The devices of the machine, as people call them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Those that record.
    pub microphones: Vec<String>,
    /// Those that play.
    pub loudspeakers: Vec<String>,
}

/// What the devices' callbacks have counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls.
    pub calls: u64,
    /// Calls that took longer than the sound they carried.
    pub late: u64,
    /// Samples that found no room.
    pub lost: u64,
    /// Times that the loudspeaker ran dry in the midst of sound.
    pub dry: u64,
    /// Gaps of which the back-end told.
    pub gaps: u64,
}

/// When a device last began to carry sound after silence, as its callback saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Onsets {
    /// The microphone.
    pub microphone: Option<Instant>,
    /// The loudspeaker.
    pub loudspeaker: Option<Instant>,
}

/// Microphone and loudspeaker. No call waits for a device.
pub trait AudioIo: std::fmt::Debug + Send {
    /// Appends what was recorded since the last call.
    fn record(&mut self, into: &mut Vec<i16>);
    /// How many samples wait to be played.
    fn waiting(&self) -> usize;
    /// Plays behind what waits; what is beyond [`PLAY_MAX`] is dropped.
    fn play(&mut self, samples: &[i16]);
    /// Which devices are there now.
    fn devices(&self) -> Devices;
    /// Chooses devices.
    fn choose(&mut self, _: Choice) {}
    /// The devices of the machine, if they are others than last told.
    fn names(&mut self) -> Option<Names> {
        None
    }
    /// What the callbacks have counted.
    fn counts(&self) -> Counts {
        Counts::default()
    }
    /// When sound last began.
    fn onsets(&self) -> Onsets {
        Onsets::default()
    }
}

/// Devices in memory: a test speaks into one end and hears the other.
#[derive(Clone, Debug, Default)]
pub struct Fake(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    spoken: Vec<i16>,
    waiting: usize,
    heard: Vec<i16>,
    devices: Devices,
    names: Option<Names>,
    choice: Choice,
}

impl Fake {
    /// Devices that are both there.
    pub fn new() -> Self {
        let fake = Self::default();
        fake.plug(Devices { microphone: true, loudspeaker: true, substitute: false });
        fake
    }

    fn inside<T>(&self, with: impl FnOnce(&mut Inside) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Devices come and go.
    pub fn plug(&self, devices: Devices) {
        self.inside(|inside| inside.devices = devices);
    }

    /// The machine has these devices.
    pub fn list(&self, names: Names) {
        self.inside(|inside| inside.names = Some(names));
    }

    /// The devices that were chosen.
    pub fn chosen(&self) -> Choice {
        self.inside(|inside| inside.choice.clone())
    }

    /// Somebody speaks.
    pub fn speak(&self, samples: &[i16]) {
        self.inside(|inside| inside.spoken.extend_from_slice(samples));
    }

    /// The loudspeaker has played so much.
    pub fn pass(&self, samples: usize) {
        self.inside(|inside| inside.waiting = inside.waiting.saturating_sub(samples));
    }

    /// Everything that was played.
    pub fn heard(&self) -> Vec<i16> {
        self.inside(|inside| inside.heard.clone())
    }
}

impl AudioIo for Fake {
    fn record(&mut self, into: &mut Vec<i16>) {
        self.inside(|inside| into.append(&mut inside.spoken));
    }

    fn waiting(&self) -> usize {
        self.inside(|inside| inside.waiting)
    }

    fn play(&mut self, samples: &[i16]) {
        self.inside(|inside| {
            let room = PLAY_MAX - inside.waiting.min(PLAY_MAX);
            let taken = samples.get(..room.min(samples.len())).unwrap_or_default();
            inside.waiting += taken.len();
            inside.heard.extend_from_slice(taken);
        });
    }

    fn devices(&self) -> Devices {
        self.inside(|inside| inside.devices)
    }

    fn choose(&mut self, choice: Choice) {
        self.inside(|inside| inside.choice = choice);
    }

    fn names(&mut self) -> Option<Names> {
        self.inside(|inside| inside.names.take())
    }
}
