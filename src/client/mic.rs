//! The microphone of a unit that has none: a recording spoken in real time, coded frame by frame.
//!
//! In the data path: first stop. Frame *k* is handed over when its last sample has been spoken, 20 ms × (*k* + 1) after
//! the microphone opened; times are absolute, so nothing drifts. Runs on the caller's task, never on the driver's.

use std::time::{Duration, Instant};

use bytes::Bytes;
use media::opus::{Bits, CodecError, Encoder};
use media::pcm::{Frame, frames};

/// Length of a frame.
const FRAME: Duration = Duration::from_millis(20);
/// A sample up to this size is digital silence: no recording of a room is so quiet.
const SILENT: u16 = 2;
/// Silence for longer than this is not coded but held by beats: shorter pauses are part of speech, and coding them keeps
/// the listener's timing exact. In frames: 0.5 s.
const SILENT_FRAMES: usize = 25;
/// One hold beat for so many frames of silence: 100 ms.
const BEAT_FRAMES: usize = 5;

/// What the microphone gives for 20 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// A frame of voice.
    Voice(Bytes),
    /// The source is silent; the listener must hear that the talker lives.
    Hold,
    /// The source is silent, and a beat went out less than 100 ms ago.
    Nothing,
}

/// A recording, spoken in real time.
#[derive(Debug)]
pub struct Microphone {
    frames: Vec<Frame>,
    encoder: Encoder,
    opened: Option<Instant>,
    next: usize,
    silent: usize,
}

impl Microphone {
    /// A closed microphone before a source of 16 kHz mono.
    ///
    /// # Errors
    /// [`CodecError`]: ours; no memory for the coder.
    pub fn new(samples: &[i16]) -> Result<Self, CodecError> {
        let encoder = Encoder::new(Bits::default())?;
        let frames = frames(samples, encoder.lookahead()).collect();
        Ok(Self { frames, encoder, opened: None, next: 0, silent: 0 })
    }

    /// Opens it: sample 0 is spoken at that moment. Opened again, the source starts over.
    ///
    /// # Errors
    /// [`CodecError`]: ours.
    pub fn open(&mut self, at: Instant) -> Result<(), CodecError> {
        (self.opened, self.next, self.silent) = (Some(at), 0, 0);
        self.encoder.reset()
    }

    /// Closes it.
    pub fn close(&mut self) {
        self.opened = None;
    }

    /// When the next frame has been spoken; `None` while closed or at the end of the source.
    pub fn due(&self) -> Option<Instant> {
        let spoken = u32::try_from(self.next + 1).unwrap_or(u32::MAX);
        self.opened.filter(|_| self.next < self.frames.len()).map(|at| at + FRAME * spoken)
    }

    /// Whether it is open and the whole source has been spoken.
    pub fn is_done(&self) -> bool {
        self.opened.is_some() && self.next >= self.frames.len()
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// [`CodecError`]: ours; the frame is lost, the next one may still be coded.
    pub fn take(&mut self) -> Result<Spoken, CodecError> {
        let Some(frame) = self.frames.get(self.next) else { return Ok(Spoken::Nothing) };
        self.next += 1;
        let silent = frame.samples().iter().all(|sample| sample.unsigned_abs() <= SILENT);
        self.silent = if silent { self.silent + 1 } else { 0 };
        match self.silent.checked_sub(SILENT_FRAMES + 1) {
            None => Ok(Spoken::Voice(self.encoder.encode(frame)?)),
            Some(beyond) if beyond % BEAT_FRAMES == 0 => Ok(Spoken::Hold),
            Some(_) => Ok(Spoken::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::tone::{PROBE_HZ, burst};

    #[test]
    fn frames_are_due_when_their_last_sample_is_spoken() {
        let mut mic = Microphone::new(&burst(PROBE_HZ, 60)).unwrap();
        assert_eq!(mic.due(), None);
        let start = Instant::now();
        mic.open(start).unwrap();
        let mut due = Vec::new();
        while let Some(at) = mic.due() {
            due.push((at - start).as_millis());
            assert!(matches!(mic.take().unwrap(), Spoken::Voice(_)));
        }
        // 60 ms of sound and one frame for what the coder holds back.
        assert_eq!(due, [20, 40, 60, 80]);
        assert!(mic.is_done());
    }

    #[test]
    fn a_reopened_microphone_says_the_same_again() {
        let mut mic = Microphone::new(&burst(PROBE_HZ, 40)).unwrap();
        let now = Instant::now();
        mic.open(now).unwrap();
        let first = [mic.take().unwrap(), mic.take().unwrap()];
        mic.open(now + FRAME).unwrap();
        assert_eq!([mic.take().unwrap(), mic.take().unwrap()], first);
    }

    #[test]
    fn long_silence_becomes_a_beat_every_100_ms_and_short_pauses_are_coded() {
        let mut samples = burst(PROBE_HZ, 20);
        samples.extend(vec![0; 320 * 40]);
        samples.extend(burst(PROBE_HZ, 20));
        let mut mic = Microphone::new(&samples).unwrap();
        mic.open(Instant::now()).unwrap();
        let mut kinds = String::new();
        while mic.due().is_some() {
            kinds.push(match mic.take().unwrap() {
                Spoken::Voice(_) => 'v',
                Spoken::Hold => 'h',
                Spoken::Nothing => '.',
            });
        }
        assert_eq!(kinds, format!("v{}{}vv", "v".repeat(25), "h....".repeat(3)));
    }
}
