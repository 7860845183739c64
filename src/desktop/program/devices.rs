//! The machine's microphone and loudspeaker, the system's default ones, opened anew when they are lost.
//!
//! A thread of its own opens and closes them, for a back-end may hang in that. The devices' callbacks allocate nothing, lock
//! nothing and log nothing: they move samples through a ring and count what did not fit. A device that gives or takes nothing
//! for a second is not there, whatever its back-end says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, FromSample, I24, Sample, SampleFormat, SizedSample, Stream, StreamConfig, SupportedStreamConfig};
use media::pcm::{VOICE_HZ, from_unit, to_unit};
use media::resample;
use rtrb::{Consumer, Producer, RingBuffer};
use talkbridge_desktop::sound::{AudioIo, Devices, PLAY_MAX};

/// How often lost devices are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Silence of a back-end after which its device is not there.
const DEAD: Duration = Duration::from_secs(1);
/// Pieces in which the microphone is asked to record, 10 ms each.
const PIECES_PER_S: u32 = 100;
/// Sound that a ring holds, in parts of a second: 200 ms.
const RING_PARTS: u32 = 5;

/// A device that was opened: its end of the ring, its rate, its pulse.
#[derive(Debug)]
struct Opened<R> {
    ring: R,
    convert: resample::Stream,
    pulse: Arc<Pulse>,
    seen: (u64, Instant),
}

/// What the callbacks tell without waiting.
#[derive(Debug, Default)]
struct Pulse {
    /// Calls so far.
    calls: AtomicU64,
    /// Samples that did not fit, or were not there in time while sound was under way.
    missed: AtomicU64,
    /// The back-end gave up.
    lost: AtomicBool,
}

impl<R> Opened<R> {
    fn new(ring: R, from_hz: u32, to_hz: u32, pulse: Arc<Pulse>) -> Option<Self> {
        let convert = resample::Stream::new(from_hz, to_hz).inspect_err(|error| tracing::warn!(%error, "device")).ok()?;
        Some(Self { ring, convert, pulse, seen: (0, Instant::now()) })
    }

    fn lives(&mut self) -> bool {
        let calls = self.pulse.calls.load(Ordering::Relaxed);
        if calls != self.seen.0 {
            self.seen = (calls, Instant::now());
        }
        !self.pulse.lost.load(Ordering::Relaxed) && self.seen.1.elapsed() < DEAD
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SystemAudio {
    microphones: Receiver<Opened<Consumer<f32>>>,
    loudspeakers: Receiver<Opened<Producer<f32>>>,
    microphone: Option<Opened<Consumer<f32>>>,
    loudspeaker: Option<Opened<Producer<f32>>>,
    converted: Vec<i16>,
    devices: Devices,
}

impl SystemAudio {
    /// Starts to look for devices.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (give_microphone, microphones) = sync_channel(1);
        let (give_loudspeaker, loudspeakers) = sync_channel(1);
        thread::Builder::new().name("sound devices".into()).spawn(move || keep(&give_microphone, &give_loudspeaker))?;
        let devices = Devices::default();
        Ok(Self { microphones, loudspeakers, microphone: None, loudspeaker: None, converted: Vec::new(), devices })
    }
}

impl AudioIo for SystemAudio {
    fn record(&mut self, into: &mut Vec<i16>) {
        self.microphone = self.microphones.try_recv().ok().or_else(|| self.microphone.take());
        self.loudspeaker = self.loudspeakers.try_recv().ok().or_else(|| self.loudspeaker.take());
        self.devices.microphone = self.microphone.as_mut().is_some_and(Opened::lives);
        self.devices.loudspeaker = self.loudspeaker.as_mut().is_some_and(Opened::lives);
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
                loudspeaker.pulse.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn devices(&self) -> Devices {
        self.devices
    }
}

/// An open stream, as the thread keeps it.
struct Kept {
    _stream: Stream,
    name: String,
    pulse: Arc<Pulse>,
}

/// Opens what is missing, follows the system's defaults, until nobody listens any more.
fn keep(microphones: &SyncSender<Opened<Consumer<f32>>>, loudspeakers: &SyncSender<Opened<Producer<f32>>>) {
    let host = cpal::default_host();
    let (mut input, mut output) = (None, None);
    loop {
        let device = host.default_input_device();
        if stale(&input, device.as_ref()) {
            input = None;
            if let Some((kept, opened)) = device.and_then(|device| open_input(&device)) {
                input = Some(kept);
                if let Err(TrySendError::Disconnected(_)) = microphones.try_send(opened) {
                    return;
                }
            }
        }
        let device = host.default_output_device();
        if stale(&output, device.as_ref()) {
            output = None;
            if let Some((kept, opened)) = device.and_then(|device| open_output(&device)) {
                output = Some(kept);
                if let Err(TrySendError::Disconnected(_)) = loudspeakers.try_send(opened) {
                    return;
                }
            }
        }
        thread::sleep(LOOK);
    }
}

/// Whether a stream is missing, lost, or no longer that of the default device.
fn stale(kept: &Option<Kept>, device: Option<&cpal::Device>) -> bool {
    let Some(kept) = kept else { return true };
    kept.pulse.lost.load(Ordering::Relaxed) || device.is_some_and(|device| name(device) != kept.name)
}

fn name(device: &cpal::Device) -> String {
    device.id().map_or_else(|_| String::new(), |id| id.to_string())
}

fn open_input(device: &cpal::Device) -> Option<(Kept, Opened<Consumer<f32>>)> {
    let config = device.default_input_config().inspect_err(|error| tracing::debug!(%error, "no microphone")).ok()?;
    let (give, take) = RingBuffer::new(ring_of(config.sample_rate()));
    let pulse = Arc::new(Pulse::default());
    #[expect(clippy::wildcard_enum_match_arm, reason = "formats that no device of today has by default")]
    let stream = match config.sample_format() {
        SampleFormat::F32 => input::<f32>(device, &config, give, &pulse),
        SampleFormat::I16 => input::<i16>(device, &config, give, &pulse),
        SampleFormat::I32 => input::<i32>(device, &config, give, &pulse),
        SampleFormat::I24 => input::<I24>(device, &config, give, &pulse),
        SampleFormat::U8 => input::<u8>(device, &config, give, &pulse),
        _ => Err(cpal::ErrorKind::UnsupportedConfig.into()),
    };
    let stream = stream.and_then(|stream| stream.play().map(|()| stream));
    let stream = stream.inspect_err(|error| tracing::warn!(%error, "the microphone cannot be opened")).ok()?;
    let opened = Opened::new(take, config.sample_rate(), VOICE_HZ, Arc::clone(&pulse))?;
    Some((Kept { _stream: stream, name: name(device), pulse }, opened))
}

fn open_output(device: &cpal::Device) -> Option<(Kept, Opened<Producer<f32>>)> {
    let config = device.default_output_config().inspect_err(|error| tracing::debug!(%error, "no loudspeaker")).ok()?;
    let (give, take) = RingBuffer::new(ring_of(config.sample_rate()));
    let pulse = Arc::new(Pulse::default());
    #[expect(clippy::wildcard_enum_match_arm, reason = "formats that no device of today has by default")]
    let stream = match config.sample_format() {
        SampleFormat::F32 => output::<f32>(device, &config, take, &pulse),
        SampleFormat::I16 => output::<i16>(device, &config, take, &pulse),
        SampleFormat::I32 => output::<i32>(device, &config, take, &pulse),
        SampleFormat::I24 => output::<I24>(device, &config, take, &pulse),
        SampleFormat::U8 => output::<u8>(device, &config, take, &pulse),
        _ => Err(cpal::ErrorKind::UnsupportedConfig.into()),
    };
    let stream = stream.and_then(|stream| stream.play().map(|()| stream));
    let stream = stream.inspect_err(|error| tracing::warn!(%error, "the loudspeaker cannot be opened")).ok()?;
    let opened = Opened::new(give, VOICE_HZ, config.sample_rate(), Arc::clone(&pulse))?;
    Some((Kept { _stream: stream, name: name(device), pulse }, opened))
}

fn ring_of(hz: u32) -> usize {
    usize::try_from(hz / RING_PARTS).unwrap_or(PLAY_MAX)
}

fn input<T>(
    device: &cpal::Device,
    config: &SupportedStreamConfig,
    mut ring: Producer<f32>,
    pulse: &Arc<Pulse>,
) -> Result<Stream, cpal::Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels()).max(1);
    let (told, lost) = (Arc::clone(pulse), Arc::clone(pulse));
    let callback = move |data: &[T], _: &_| {
        told.calls.fetch_add(1, Ordering::Relaxed);
        for frame in data.chunks_exact(channels) {
            let sum: f32 = frame.iter().map(|sample| f32::from_sample(*sample)).sum();
            if ring.push(sum / channels as f32).is_err() {
                told.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    // By itself PulseAudio records in pieces of two seconds.
    let pieces = StreamConfig { buffer_size: BufferSize::Fixed(config.sample_rate() / PIECES_PER_S), ..config.config() };
    device.build_input_stream(pieces, callback, move |error| failed(&error, &lost), None)
}

fn output<T>(
    device: &cpal::Device,
    config: &SupportedStreamConfig,
    mut ring: Consumer<f32>,
    pulse: &Arc<Pulse>,
) -> Result<Stream, cpal::Error>
where
    T: SizedSample + FromSample<f32>,
{
    let channels = usize::from(config.channels()).max(1);
    let (told, lost) = (Arc::clone(pulse), Arc::clone(pulse));
    let callback = move |data: &mut [T], _: &_| {
        told.calls.fetch_add(1, Ordering::Relaxed);
        for frame in data.chunks_mut(channels) {
            let sample = ring.pop().unwrap_or(0.0);
            frame.fill(T::from_sample(sample));
        }
    };
    device.build_output_stream(config.config(), callback, move |error| failed(&error, &lost), None)
}

/// A fault of the back-end; short gaps and a change of the default device go on by themselves.
fn failed(error: &cpal::Error, pulse: &Pulse) {
    if error.kind() == cpal::ErrorKind::Xrun {
        pulse.missed.fetch_add(1, Ordering::Relaxed);
    } else if !matches!(error.kind(), cpal::ErrorKind::DeviceChanged | cpal::ErrorKind::RealtimeDenied) {
        pulse.lost.store(true, Ordering::Relaxed);
    }
}
