//! One opened device: its stream, its ring, its pulse. The callbacks allocate nothing, lock nothing and log nothing.
//!
//! In the data path: first and last code of ours that sound meets. A callback moves samples through a ring and counts what
//! went wrong: sound that found no room, calls that took longer than the sound they carried, gaps that the back-end tells of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, FromSample, I24, Sample, SampleFormat, SizedSample, Stream, StreamConfig, SupportedStreamConfig};
use media::pcm::VOICE_HZ;
use media::resample;
use rtrb::{Consumer, Producer, RingBuffer};
use talkbridge_desktop::sound::PLAY_MAX;

/// Silence of a back-end after which its device is not there.
const DEAD: Duration = Duration::from_secs(1);
/// Pieces in which the microphone is asked to record, 10 ms each.
const PIECES_PER_S: u32 = 100;
/// Sound that a ring holds, in parts of a second: 200 ms.
const RING_PARTS: u32 = 5;
/// Amplitude from which sound is no noise.
const LOUD: f32 = 0.05;
/// Silence after which sound begins anew.
const QUIET_MS: u32 = 100;

/// A device that was opened: its end of the ring, its rate, its pulse.
#[derive(Debug)]
pub(crate) struct Opened<R> {
    pub(crate) ring: R,
    pub(crate) convert: resample::Stream,
    pub(crate) pulse: Arc<Pulse>,
    seen: (u64, Instant),
}

/// What the callbacks tell without waiting.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Calls so far.
    pub(crate) calls: AtomicU64,
    /// Calls that took longer than the sound they carried.
    pub(crate) late: AtomicU64,
    /// Samples that found no room.
    pub(crate) lost: AtomicU64,
    /// Times that sound went on after less than [`QUIET_MS`] without a sample: it ran dry in its midst.
    pub(crate) dry: AtomicU64,
    /// Gaps of which the back-end told.
    pub(crate) gaps: AtomicU64,
    /// The back-end gave up.
    pub(crate) broken: AtomicBool,
    /// When sound last began, in microseconds since `start`; 0: never.
    onset_us: AtomicU64,
    start: Instant,
}

impl Pulse {
    fn new() -> Arc<Self> {
        let (zero, none) = (AtomicU64::default, AtomicBool::default());
        let start = Instant::now();
        Arc::new(Self { calls: zero(), late: zero(), lost: zero(), dry: zero(), gaps: zero(), broken: none, onset_us: zero(), start })
    }

    /// When sound last began.
    pub(crate) fn onset(&self) -> Option<Instant> {
        let us = self.onset_us.load(Ordering::Relaxed);
        (us > 0).then(|| self.start + Duration::from_micros(us))
    }
}

/// One callback's eye on its samples and its time.
struct Watch {
    pulse: Arc<Pulse>,
    hz: u32,
    quiet: u32,
    /// Samples that were not there since the last one that was.
    starved: u32,
    began: Instant,
}

impl Watch {
    fn new(pulse: &Arc<Pulse>, hz: u32) -> Self {
        Self { pulse: Arc::clone(pulse), hz, quiet: QUIET_MS * hz / 1_000, starved: u32::MAX, began: pulse.start }
    }

    fn begin(&mut self) {
        self.began = Instant::now();
        self.pulse.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn sample(&mut self, sample: f32) {
        if sample.abs() < LOUD {
            self.quiet = self.quiet.saturating_add(1);
            return;
        }
        if std::mem::take(&mut self.quiet) >= QUIET_MS * self.hz / 1_000 {
            let us = self.began.saturating_duration_since(self.pulse.start).as_micros();
            self.pulse.onset_us.store(u64::try_from(us).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// What is played: the next sample, or silence in the place of one that is not there.
    fn next(&mut self, sample: Option<f32>) -> f32 {
        match sample {
            None => self.starved = self.starved.saturating_add(1),
            Some(_) if (1..QUIET_MS * self.hz / 1_000).contains(&std::mem::take(&mut self.starved)) => {
                self.pulse.dry.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => {}
        }
        let sample = sample.unwrap_or(0.0);
        self.sample(sample);
        sample
    }

    fn end(&self, frames: usize) {
        let carried = frames as f64 / f64::from(self.hz.max(1));
        if self.began.elapsed().as_secs_f64() > carried {
            self.pulse.late.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<R> Opened<R> {
    fn new(ring: R, from_hz: u32, to_hz: u32, pulse: Arc<Pulse>) -> Option<Self> {
        let convert = resample::Stream::new(from_hz, to_hz).inspect_err(|error| tracing::warn!(%error, "device")).ok()?;
        Some(Self { ring, convert, pulse, seen: (0, Instant::now()) })
    }

    /// Whether it gives or takes sound.
    pub(crate) fn lives(&mut self) -> bool {
        let calls = self.pulse.calls.load(Ordering::Relaxed);
        if calls != self.seen.0 {
            self.seen = (calls, Instant::now());
        }
        !self.pulse.broken.load(Ordering::Relaxed) && self.seen.1.elapsed() < DEAD
    }
}

/// An open stream, for as long as it is kept.
pub(crate) struct Kept {
    _stream: Stream,
    /// The device it belongs to.
    pub(crate) id: String,
    pub(crate) pulse: Arc<Pulse>,
}

/// What names a device among those of the machine.
pub(crate) fn id(device: &cpal::Device) -> String {
    device.id().map_or_else(|_| String::new(), |id| id.to_string())
}

/// Opens a microphone.
pub(crate) fn open_input(device: &cpal::Device) -> Option<(Kept, Opened<Consumer<f32>>)> {
    let config = device.default_input_config().inspect_err(|error| tracing::debug!(%error, "no microphone")).ok()?;
    let (give, take) = RingBuffer::new(ring_of(config.sample_rate()));
    let pulse = Pulse::new();
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
    Some((Kept { _stream: stream, id: id(device), pulse }, opened))
}

/// Opens a loudspeaker.
pub(crate) fn open_output(device: &cpal::Device) -> Option<(Kept, Opened<Producer<f32>>)> {
    let config = device.default_output_config().inspect_err(|error| tracing::debug!(%error, "no loudspeaker")).ok()?;
    let (give, take) = RingBuffer::new(ring_of(config.sample_rate()));
    let pulse = Pulse::new();
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
    Some((Kept { _stream: stream, id: id(device), pulse }, opened))
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
    let (mut watch, broken) = (Watch::new(pulse, config.sample_rate()), Arc::clone(pulse));
    let callback = move |data: &[T], _: &_| {
        watch.begin();
        for frame in data.chunks_exact(channels) {
            let sum: f32 = frame.iter().map(|sample| f32::from_sample(*sample)).sum();
            let sample = sum / channels as f32;
            watch.sample(sample);
            if ring.push(sample).is_err() {
                watch.pulse.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        watch.end(data.len() / channels);
    };
    // By itself PulseAudio records in pieces of two seconds.
    let pieces = StreamConfig { buffer_size: BufferSize::Fixed(config.sample_rate() / PIECES_PER_S), ..config.config() };
    device.build_input_stream(pieces, callback, move |error| failed(&error, &broken), None)
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
    let (mut watch, broken) = (Watch::new(pulse, config.sample_rate()), Arc::clone(pulse));
    let callback = move |data: &mut [T], _: &_| {
        watch.begin();
        for frame in data.chunks_mut(channels) {
            let sample = watch.next(ring.pop().ok());
            frame.fill(T::from_sample(sample));
        }
        watch.end(data.len() / channels);
    };
    device.build_output_stream(config.config(), callback, move |error| failed(&error, &broken), None)
}

/// A fault of the back-end; short gaps and a change of the default device go on by themselves.
fn failed(error: &cpal::Error, pulse: &Pulse) {
    if error.kind() == cpal::ErrorKind::Xrun {
        pulse.gaps.fetch_add(1, Ordering::Relaxed);
    } else if !matches!(error.kind(), cpal::ErrorKind::DeviceChanged | cpal::ErrorKind::RealtimeDenied) {
        pulse.broken.store(true, Ordering::Relaxed);
    }
}
