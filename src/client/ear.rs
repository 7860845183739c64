//! The ear: playout decisions become samples at their place on the listener's timeline.
//!
//! In the data path: last stop before a file or a measurement. One decoder per talkgroup, started anew at every spurt.
//! Positions come from the ticks' nominal times, so a spurt is continuous to the sample however the task was scheduled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use engine::jitter::Playout;
use media::opus::{CodecError, Decoder};
use media::pcm::{FRAME_SAMPLES, Frame, VOICE_HZ};
use media::stretch::Stretcher;
use wire::{Spurt, TalkgroupId};

use crate::unit::Heard;

const NANOS_PER_S: u128 = 1_000_000_000;

/// Decoders of one listener, and the zero of his timeline.
#[derive(Debug)]
pub struct Ear {
    origin: Instant,
    voices: BTreeMap<TalkgroupId, Voice>,
}

#[derive(Debug)]
struct Voice {
    spurt: Option<Spurt>,
    decoder: Decoder,
    stretcher: Stretcher,
}

impl Ear {
    /// An ear whose sample 0 is that moment.
    pub fn new(origin: Instant) -> Self {
        Self { origin, voices: BTreeMap::new() }
    }

    /// The sample of the timeline at a moment; 0 before its origin.
    pub fn position(&self, at: Instant) -> u64 {
        let samples = at.saturating_duration_since(self.origin).as_nanos() * u128::from(VOICE_HZ) / NANOS_PER_S;
        u64::try_from(samples).unwrap_or(u64::MAX)
    }

    /// Decodes one tick: the frame, and the sample where it begins.
    ///
    /// # Errors
    /// [`CodecError`]: ours; no memory for a decoder.
    pub fn hear(&mut self, heard: &Heard) -> Result<(u64, Frame), CodecError> {
        let position = self.position(heard.at);
        if !self.voices.contains_key(&heard.talkgroup) {
            self.voices
                .insert(heard.talkgroup.clone(), Voice { spurt: heard.spurt, decoder: Decoder::new()?, stretcher: Stretcher::default() });
        }
        let Some(voice) = self.voices.get_mut(&heard.talkgroup) else { return Ok((position, Frame::SILENCE)) };
        if voice.spurt != heard.spurt {
            voice.spurt = heard.spurt;
            voice.decoder.reset()?;
            voice.stretcher.reset();
        }
        Ok((position, voice.play(&heard.playout)))
    }
}

impl Voice {
    fn play(&mut self, playout: &Playout) -> Frame {
        let decoder = &mut self.decoder;
        let decoded = match playout {
            Playout::Frame(payload) => decoder.decode(payload),
            Playout::Fec { next } => decoder.decode_fec(next),
            Playout::Conceal => decoder.conceal(),
            Playout::Stretch { frames, advance } => {
                for payload in frames {
                    self.stretcher.push(&decoder.decode(payload).frame);
                }
                return self.stretcher.take(samples(*advance));
            }
            Playout::Silence => return self.stretcher.rest(),
            Playout::End(_) => return Frame::SILENCE,
        };
        self.stretcher.push(&decoded.frame);
        self.stretcher.take(FRAME_SAMPLES)
    }
}

/// The samples of so much sound.
fn samples(sound: Duration) -> usize {
    usize::try_from(sound.as_nanos() * u128::from(VOICE_HZ) / NANOS_PER_S).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use media::opus::{Bits, Encoder};
    use media::pcm::rms;
    use media::tone::{PROBE_HZ, burst};

    const TICK: Duration = Duration::from_millis(20);

    fn heard(playout: Playout, spurt: u32, at: Instant) -> Heard {
        Heard { talkgroup: "nl/pol-1".parse().unwrap(), spurt: Some(Spurt::from_bits(spurt)), playout, at }
    }

    fn coded(ms: u32) -> Vec<Frame> {
        media::pcm::frames(&burst(PROBE_HZ, ms), 0).collect()
    }

    #[test]
    fn ticks_of_a_spurt_join_to_the_sample_at_any_phase() {
        let origin = Instant::now();
        for phase_us in [0, 1, 333, 19_999] {
            let mut ear = Ear::new(origin);
            let start = origin + Duration::from_micros(12_345_000 + phase_us);
            let places: Vec<u64> = (0..500).map(|n| ear.hear(&heard(Playout::Silence, 1, start + TICK * n)).unwrap().0).collect();
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] == 320), "phase {phase_us}");
        }
    }

    #[test]
    fn a_new_spurt_starts_with_a_fresh_decoder() {
        let mut encoder = Encoder::new(Bits::default()).unwrap();
        let payloads: Vec<_> = coded(100).iter().map(|frame| encoder.encode(frame).unwrap()).collect();
        let now = Instant::now();
        let play = |ear: &mut Ear, spurt| {
            payloads.iter().map(|p| ear.hear(&heard(Playout::Frame(p.clone()), spurt, now)).unwrap().1).collect::<Vec<_>>()
        };
        let mut ear = Ear::new(now);
        let first = play(&mut ear, 1);
        assert_eq!(play(&mut ear, 2), first);
        assert_ne!(play(&mut ear, 2), first, "the same spurt goes on with what was heard before");
    }

    #[test]
    fn faster_and_slower_ticks_join_and_what_is_left_over_is_heard_before_the_silence() {
        let mut encoder = Encoder::new(Bits::default()).unwrap();
        let mut payloads = coded(1_000).into_iter().map(|frame| encoder.encode(&frame).unwrap());
        let now = Instant::now();
        let mut ear = Ear::new(now);
        let mut hear = |playout| ear.hear(&heard(playout, 1, now)).unwrap().1;
        let level = (0..10).map(|_| hear(Playout::Frame(payloads.next().unwrap())).rms()).fold(0.0, f32::max);
        // 1.2x: five ticks hold six frames.
        for count in [2, 1, 1, 1, 1] {
            let frames = payloads.by_ref().take(count).collect();
            let frame = hear(Playout::Stretch { frames, advance: Duration::from_millis(24) });
            assert!(frame.rms() > 0.9 * level, "{frame:?} of {level}");
        }
        for advance in [18, 18, 14] {
            let frames = payloads.by_ref().take(1).collect();
            let frame = hear(Playout::Stretch { frames, advance: Duration::from_millis(advance) });
            assert!(frame.rms() > 0.9 * level, "{frame:?} of {level}");
        }
        // 10 ms are left over.
        let rest = hear(Playout::Silence);
        assert!(rms(&rest.samples()[..160]) > 0.9 * level, "{rest:?}");
        assert_eq!(hear(Playout::Silence), Frame::SILENCE);
    }
}
