//! The ear: playout decisions become samples at their place on the listener's timeline.
//!
//! In the data path: last stop before a file or a measurement. One decoder per talkgroup, started anew at every spurt.
//! Positions come from the ticks' nominal times, so a spurt is continuous to the sample however the task was scheduled.

use std::collections::BTreeMap;
use std::time::Instant;

use engine::jitter::Playout;
use media::opus::{CodecError, Decoder};
use media::pcm::{FRAME_SAMPLES, Frame, VOICE_HZ};
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
            self.voices.insert(heard.talkgroup.clone(), Voice { spurt: heard.spurt, decoder: Decoder::new()? });
        }
        let Some(voice) = self.voices.get_mut(&heard.talkgroup) else { return Ok((position, Frame::SILENCE)) };
        if voice.spurt != heard.spurt {
            voice.spurt = heard.spurt;
            voice.decoder.reset()?;
        }
        let decoder = &mut voice.decoder;
        let frame = match &heard.playout {
            Playout::Frame(payload) => decoder.decode(payload).frame,
            Playout::Fec { next } => decoder.decode_fec(next).frame,
            Playout::Merge { first, second } => {
                let first = decoder.decode(first).frame;
                fade(&first, &decoder.decode(second).frame)
            }
            Playout::Conceal => decoder.conceal().frame,
            Playout::Silence | Playout::End(_) => Frame::SILENCE,
        };
        Ok((position, frame))
    }
}

/// One frame that begins as the first and ends as the second.
fn fade(first: &Frame, second: &Frame) -> Frame {
    let mut samples = [0; FRAME_SAMPLES];
    let length = i32::try_from(FRAME_SAMPLES).unwrap_or(i32::MAX);
    let pairs = first.samples().iter().zip(second.samples());
    for ((into, (from, to)), at) in samples.iter_mut().zip(pairs).zip(0..length) {
        let mixed = (i32::from(*from) * (length - at) + i32::from(*to) * at) / length;
        *into = i16::try_from(mixed).unwrap_or(0);
    }
    Frame::new(samples)
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
    fn merged_frames_keep_the_level_and_the_edges() {
        let (first, second) = (Frame::new([1_000; FRAME_SAMPLES]), Frame::new([-1_000; FRAME_SAMPLES]));
        let merged = fade(&first, &second);
        assert_eq!(merged.samples()[0], 1_000);
        assert!(merged.samples()[319] < -980);
        assert!(rms(fade(&first, &first).samples()) > 999.0);
    }
}
