//! Sound between the devices and the unit: what a device is, and what is heard at once.
//!
//! In the data path: first and last stop. Devices run on their own clock behind rings; everything here is 16 kHz mono and
//! asks, never waits. Tests use [`Fake`]; `talkbridge-ptt` the machine's devices.

mod mixer;

use std::sync::{Arc, Mutex};

pub use mixer::Mixer;

/// Samples that wait to be played at most, 200 ms. Full: the newest are dropped.
pub const PLAY_MAX: usize = 3_200;

/// Which devices are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// The microphone gives sound.
    pub microphone: bool,
    /// The loudspeaker takes sound.
    pub loudspeaker: bool,
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
}

impl Fake {
    /// Devices that are both there.
    pub fn new() -> Self {
        let fake = Self::default();
        fake.plug(Devices { microphone: true, loudspeaker: true });
        fake
    }

    fn inside<T>(&self, with: impl FnOnce(&mut Inside) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Devices come and go.
    pub fn plug(&self, devices: Devices) {
        self.inside(|inside| inside.devices = devices);
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
}
