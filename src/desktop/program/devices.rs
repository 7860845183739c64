//! The machine's microphone and loudspeaker, the chosen ones or the system's defaults, opened anew when they are lost.
//!
//! A thread of its own opens and closes them, for a back-end may hang in that. A device that gives or takes nothing for a
//! second is not there, whatever its back-end says; a chosen one that is not there is stood in for by the system's default.
//!
//! ALSA is asked first, also where a sound server runs: through its plug-in mouth to ear took 110 ms, by the server's own
//! protocol 380 (`tools/try-desktop`), whose requests come in pieces of any size.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait};
use media::pcm::{from_unit, to_unit};
use rtrb::{Consumer, Producer};
use talkbridge_desktop::sound::{AudioIo, Choice, Counts, Devices, Names, Onsets, PLAY_MAX};

use crate::streams::{self, Kept, Opened};

/// How often lost devices are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// What the thread is told and tells, beside the streams.
#[derive(Debug, Default)]
struct Board {
    choice: Mutex<Choice>,
    names: Mutex<Option<Names>>,
    substitute: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SystemAudio {
    board: Arc<Board>,
    microphones: Receiver<Opened<Consumer<f32>>>,
    loudspeakers: Receiver<Opened<Producer<f32>>>,
    microphone: Option<Opened<Consumer<f32>>>,
    loudspeaker: Option<Opened<Producer<f32>>>,
    converted: Vec<i16>,
    devices: Devices,
    /// Of devices that were closed.
    counts: Counts,
}

impl SystemAudio {
    /// Starts to look for devices.
    pub(crate) fn start(choice: Choice) -> std::io::Result<Self> {
        let (give_microphone, microphones) = sync_channel(1);
        let (give_loudspeaker, loudspeakers) = sync_channel(1);
        let board = Arc::new(Board { choice: Mutex::new(choice), ..Board::default() });
        let shared = Arc::clone(&board);
        thread::Builder::new().name("sound devices".into()).spawn(move || keep(&shared, &give_microphone, &give_loudspeaker))?;
        Ok(Self {
            board,
            microphones,
            loudspeakers,
            microphone: None,
            loudspeaker: None,
            converted: Vec::new(),
            devices: Devices::default(),
            counts: Counts::default(),
        })
    }
}

impl AudioIo for SystemAudio {
    fn record(&mut self, into: &mut Vec<i16>) {
        if let Ok(opened) = self.microphones.try_recv() {
            let before = self.microphone.replace(opened);
            self.counts = before.map_or(self.counts, |before| sum(self.counts, &before.pulse));
        }
        if let Ok(opened) = self.loudspeakers.try_recv() {
            let before = self.loudspeaker.replace(opened);
            self.counts = before.map_or(self.counts, |before| sum(self.counts, &before.pulse));
        }
        self.devices = Devices {
            microphone: self.microphone.as_mut().is_some_and(Opened::lives),
            loudspeaker: self.loudspeaker.as_mut().is_some_and(Opened::lives),
            substitute: self.board.substitute.load(Ordering::Relaxed),
        };
        let Some(microphone) = &mut self.microphone else { return };
        self.converted.clear();
        while let Ok(sample) = microphone.ring.pop() {
            self.converted.push(from_unit(sample));
        }
        if let Err(error) = microphone.convert.push(&self.converted, into) {
            tracing::warn!(%error, "microphone");
        }
    }

    fn waiting(&self) -> usize {
        let Some(loudspeaker) = self.loudspeaker.as_ref().filter(|_| self.devices.loudspeaker) else { return PLAY_MAX };
        let capacity = loudspeaker.ring.buffer().capacity();
        // The ring holds 200 ms at the device's rate.
        (capacity - loudspeaker.ring.slots()) * PLAY_MAX / capacity.max(1)
    }

    fn play(&mut self, samples: &[i16]) {
        let Some(loudspeaker) = &mut self.loudspeaker else { return };
        self.converted.clear();
        if let Err(error) = loudspeaker.convert.push(samples, &mut self.converted) {
            tracing::warn!(%error, "loudspeaker");
        }
        for sample in &self.converted {
            if loudspeaker.ring.push(to_unit(*sample)).is_err() {
                loudspeaker.pulse.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn devices(&self) -> Devices {
        self.devices
    }

    fn choose(&mut self, choice: Choice) {
        *self.board.choice.lock().unwrap_or_else(PoisonError::into_inner) = choice;
    }

    fn names(&mut self) -> Option<Names> {
        // The thread holds it for no longer than it takes to put a list there.
        self.board.names.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn counts(&self) -> Counts {
        let of = |counts, pulse: Option<&Arc<streams::Pulse>>| pulse.map_or(counts, |pulse| sum(counts, pulse));
        let counts = of(self.counts, self.microphone.as_ref().map(|opened| &opened.pulse));
        of(counts, self.loudspeaker.as_ref().map(|opened| &opened.pulse))
    }

    fn onsets(&self) -> Onsets {
        Onsets {
            microphone: self.microphone.as_ref().and_then(|opened| opened.pulse.onset()),
            loudspeaker: self.loudspeaker.as_ref().and_then(|opened| opened.pulse.onset()),
        }
    }
}

fn sum(counts: Counts, pulse: &streams::Pulse) -> Counts {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Counts {
        calls: counts.calls + read(&pulse.calls),
        late: counts.late + read(&pulse.late),
        lost: counts.lost + read(&pulse.lost),
        dry: counts.dry + read(&pulse.dry),
        gaps: counts.gaps + read(&pulse.gaps),
    }
}

/// Opens what is missing, follows the choice and the system's defaults, until nobody listens any more.
fn keep(board: &Board, microphones: &SyncSender<Opened<Consumer<f32>>>, loudspeakers: &SyncSender<Opened<Producer<f32>>>) {
    let host = host();
    let (mut input, mut output) = (None, None);
    let mut told = Names::default();
    loop {
        let choice = board.choice.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let inputs: Vec<_> = host.input_devices().map_or_else(|_| Vec::new(), |devices| devices.filter(is_device).collect());
        let outputs: Vec<_> = host.output_devices().map_or_else(|_| Vec::new(), |devices| devices.filter(is_device).collect());
        let names = Names { microphones: names(&inputs), loudspeakers: names(&outputs) };
        if names != told {
            told.clone_from(&names);
            *board.names.lock().unwrap_or_else(PoisonError::into_inner) = Some(names);
        }
        let (microphone, one) = wanted(choice.microphone.as_deref(), inputs, || host.default_input_device());
        let (loudspeaker, other) = wanted(choice.loudspeaker.as_deref(), outputs, || host.default_output_device());
        board.substitute.store(one || other, Ordering::Relaxed);
        if stale(&input, microphone.as_ref()) {
            input = None;
            if let Some((kept, opened)) = microphone.and_then(|device| streams::open_input(&device)) {
                input = Some(kept);
                if let Err(TrySendError::Disconnected(_)) = microphones.try_send(opened) {
                    return;
                }
            }
        }
        if stale(&output, loudspeaker.as_ref()) {
            output = None;
            if let Some((kept, opened)) = loudspeaker.and_then(|device| streams::open_output(&device)) {
                output = Some(kept);
                if let Err(TrySendError::Disconnected(_)) = loudspeakers.try_send(opened) {
                    return;
                }
            }
        }
        thread::sleep(LOOK);
    }
}

/// ALSA if it can play, else whatever can.
fn host() -> cpal::Host {
    let plays = |host: &cpal::Host| host.default_output_device().is_some_and(|device| device.default_output_config().is_ok());
    let alsa = cpal::HostId::from_str("alsa").ok().and_then(|id| cpal::host_from_id(id).ok()).filter(plays);
    let host = alsa.unwrap_or_else(cpal::default_host);
    tracing::info!(host = host.id().name(), "sound");
    host
}

/// Whether people know it as a device: ALSA also lists its plug-ins (resamplers, mixers, silence).
fn is_device(device: &cpal::Device) -> bool {
    let id = streams::id(device);
    id.strip_prefix("alsa:")
        .is_none_or(|pcm| matches!(pcm, "pulse" | "pipewire") || pcm.starts_with("sysdefault:") || pcm.starts_with("plughw:"))
}

/// The device that was chosen, else the system's; and whether that one only stands in.
fn wanted(chosen: Option<&str>, devices: Vec<cpal::Device>, default: impl Fn() -> Option<cpal::Device>) -> (Option<cpal::Device>, bool) {
    let Some(chosen) = chosen else { return (default(), false) };
    let named = devices.into_iter().find(|device| name(device) == chosen || streams::id(device) == chosen);
    let missing = named.is_none();
    (named.or_else(default), missing)
}

/// Whether a stream is missing, lost, or no longer that of the device that is wanted.
fn stale(kept: &Option<Kept>, device: Option<&cpal::Device>) -> bool {
    let Some(kept) = kept else { return true };
    kept.pulse.broken.load(Ordering::Relaxed) || device.is_some_and(|device| streams::id(device) != kept.id)
}

/// What people call a device.
fn name(device: &cpal::Device) -> String {
    device.description().map_or_else(|_| streams::id(device), |description| description.name().to_owned())
}

fn names(devices: &[cpal::Device]) -> Vec<String> {
    let mut names: Vec<_> = devices.iter().map(name).collect();
    names.sort();
    names.dedup();
    names
}
