//! The coder: frames to Opus payloads and back, with libopus behind it.
//!
//! Settings of design and wire: speech, wideband, 16 to 24 kbit/s, in-band FEC with a fixed loss hint of 10 %, no DTX.
//! The loss hint is fixed because it decides how many bits the FEC copy gets; a hint that follows the network would make
//! every spurt sound different. DTX is off because a missing frame must mean loss and nothing else.
//!
//! The coder holds back [`Encoder::lookahead`] samples: sample n of the input is sample n + look-ahead of the output. Use
//! [`crate::pcm::frames`] with it, or the last syllable stays in the coder. One encoder and one decoder serve one spurt
//! at a time; `reset` at its first frame.

use bytes::Bytes;
use opus::{Application, Bandwidth, Bitrate, Channels, Signal};
use thiserror::Error;
use wire::datagram::PAYLOAD_MAX_BYTES;
use wire::opus::carries_fec;

use crate::pcm::{FRAME_MS, FRAME_SAMPLES, Frame, VOICE_HZ, from_unit, to_unit};

/// Loss that the encoder prepares for, in percent.
const LOSS_HINT_PERCENT: i32 = 10;
/// A frame may take twice its share of the rate. Constrained VBR alone lets wind or a siren, coded twice for the FEC, run at
/// 41 kbit/s on a rate of 24; speech needs up to 1.7 times its share.
const PEAK: u32 = 2;
const _: () = assert!(Bits::MAX.payload_max() <= PAYLOAD_MAX_BYTES, "the largest frame fits a datagram");
/// Concealment sounds in full for this many samples: 60 ms, the loss that FEC and repeats leave behind now and then.
const CONCEAL_FULL: usize = 3 * FRAME_SAMPLES;
/// ... and then fades to silence within this many: libopus alone can hold a vowel as a drone for seconds.
const CONCEAL_FADE: usize = 7 * FRAME_SAMPLES;
/// The best search libopus has; a frame still takes well under 1 ms.
const COMPLEXITY: i32 = 10;

/// Bits per second of speech, 16,000 to 24,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bits(u32);

impl Bits {
    /// The least that carries speech with FEC; libopus narrows the audio band to make room for the copy.
    pub const MIN: Self = Self(16_000);
    /// The default: full wideband beside the FEC copy.
    pub const MAX: Self = Self(24_000);

    /// The rate, moved to the nearest one allowed.
    pub fn clamped(bits_per_second: u32) -> Self {
        Self(bits_per_second.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Bits per second.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Most bytes of one frame at this rate.
    pub const fn payload_max(self) -> usize {
        (self.0 / 8 * FRAME_MS / 1_000 * PEAK) as usize
    }
}

impl Default for Bits {
    fn default() -> Self {
        Self::MAX
    }
}

/// libopus refused something that is valid: out of memory or a bug. Our own side is at fault; a retry does not help.
#[derive(Debug, Error)]
#[error("the Opus coder failed: {0}")]
pub struct CodecError(#[from] opus::Error);

/// A payload that is not 20 ms of Opus. The talker's unit or somebody on the way is at fault; the same bytes fail again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PacketFault {
    /// No bytes: a hold beat is no voice and belongs not here.
    #[error("empty Opus payload")]
    Empty,
    /// More bytes than a voice datagram may carry.
    #[error("Opus payload of {got} bytes, at most {PAYLOAD_MAX_BYTES} allowed")]
    Oversized {
        /// Its length in bytes.
        got: usize,
    },
    /// Not 20 ms.
    #[error("Opus payload of {got} samples at 16 kHz, expected {FRAME_SAMPLES}")]
    Duration {
        /// Samples at 16 kHz that it announces.
        got: usize,
    },
    /// The bytes are not an Opus packet.
    #[error("not an Opus packet")]
    Invalid,
}

/// How a frame came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From its own packet.
    Packet,
    /// From the copy that the following packet carried.
    Fec,
    /// Invented from what was heard before.
    Concealed,
}

/// A frame to play. There always is one, whatever the network delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The sound.
    pub frame: Frame,
    /// How it came to be.
    pub origin: Origin,
    /// What was wrong with the payload, if something was; count it against the sender.
    pub fault: Option<PacketFault>,
}

/// Frames to payloads.
#[derive(Debug)]
pub struct Encoder {
    inner: opus::Encoder,
    lookahead: usize,
    payload_max: usize,
}

impl Encoder {
    /// An encoder at `bits`, for one talker.
    ///
    /// # Errors
    /// [`CodecError`]: ours; no memory for the coder.
    pub fn new(bits: Bits) -> Result<Self, CodecError> {
        let mut inner = opus::Encoder::new(VOICE_HZ, Channels::Mono, Application::Voip)?;
        inner.set_signal(Signal::Voice)?;
        inner.set_bandwidth(Bandwidth::Wideband)?;
        inner.set_bitrate(Bitrate::Bits(i32::try_from(bits.0).unwrap_or(i32::MAX)))?;
        inner.set_vbr(true)?;
        inner.set_vbr_constraint(true)?;
        inner.set_complexity(COMPLEXITY)?;
        inner.set_inband_fec(true)?;
        inner.set_packet_loss_perc(LOSS_HINT_PERCENT)?;
        inner.set_dtx(false)?;
        let lookahead = usize::try_from(inner.get_lookahead()?).unwrap_or(0);
        Ok(Self { inner, lookahead, payload_max: bits.payload_max() })
    }

    /// Samples at 16 kHz that the output of the decoder lies behind the input of the encoder.
    pub const fn lookahead(&self) -> usize {
        self.lookahead
    }

    /// Forgets the last spurt.
    ///
    /// # Errors
    /// [`CodecError`]: ours.
    pub fn reset(&mut self) -> Result<(), CodecError> {
        Ok(self.inner.reset_state()?)
    }

    /// The payload of `frame`, at most [`Bits::payload_max`] long and never empty.
    ///
    /// # Errors
    /// [`CodecError`]: ours; the frame is lost, the next one may still be coded.
    pub fn encode(&mut self, frame: &Frame) -> Result<Bytes, CodecError> {
        Ok(self.inner.encode_vec(frame.samples(), self.payload_max)?.into())
    }
}

/// Payloads to frames. Any bytes from the network are safe here.
#[derive(Debug)]
pub struct Decoder {
    inner: opus::Decoder,
    /// Samples concealed since the last real frame.
    concealed: usize,
}

impl Decoder {
    /// A decoder, for one talker.
    ///
    /// # Errors
    /// [`CodecError`]: ours; no memory for the coder.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self { inner: opus::Decoder::new(VOICE_HZ, Channels::Mono)?, concealed: 0 })
    }

    /// Forgets the last spurt.
    ///
    /// # Errors
    /// [`CodecError`]: ours.
    pub fn reset(&mut self) -> Result<(), CodecError> {
        self.concealed = 0;
        Ok(self.inner.reset_state()?)
    }

    /// The frame of `payload`; concealment and the fault if it is broken.
    pub fn decode(&mut self, payload: &[u8]) -> Decoded {
        self.decode_as(payload, Origin::Packet)
    }

    /// The lost frame before `next_payload`, from the copy in it; concealment if it carries none or is broken. Call it once,
    /// only for the frame just before, then [`Self::decode`] with the same payload.
    pub fn decode_fec(&mut self, next_payload: &[u8]) -> Decoded {
        if carries_fec(next_payload) { self.decode_as(next_payload, Origin::Fec) } else { self.conceal() }
    }

    /// 20 ms invented from what was heard before; called again and again it is silent after 200 ms.
    pub fn conceal(&mut self) -> Decoded {
        let mut frame = Frame::SILENCE;
        if !matches!(self.inner.decode(&[], frame.samples_mut(), false), Ok(FRAME_SAMPLES)) {
            frame = Frame::SILENCE;
        }
        for (age, sample) in (self.concealed..).zip(frame.samples_mut()) {
            let faded = age.saturating_sub(CONCEAL_FULL).min(CONCEAL_FADE);
            *sample = from_unit(to_unit(*sample) * (1.0 - faded as f32 / CONCEAL_FADE as f32));
        }
        self.concealed = self.concealed.saturating_add(FRAME_SAMPLES);
        Decoded { frame, origin: Origin::Concealed, fault: None }
    }

    fn decode_as(&mut self, payload: &[u8], origin: Origin) -> Decoded {
        match self.try_decode(payload, origin == Origin::Fec) {
            Ok(frame) => {
                self.concealed = 0;
                Decoded { frame, origin, fault: None }
            }
            Err(fault) => Decoded { fault: Some(fault), ..self.conceal() },
        }
    }

    fn try_decode(&mut self, payload: &[u8], fec: bool) -> Result<Frame, PacketFault> {
        if payload.is_empty() {
            return Err(PacketFault::Empty);
        }
        if payload.len() > PAYLOAD_MAX_BYTES {
            return Err(PacketFault::Oversized { got: payload.len() });
        }
        let got = self.inner.get_nb_samples(payload).map_err(invalid)?;
        if got != FRAME_SAMPLES {
            return Err(PacketFault::Duration { got });
        }
        let mut frame = Frame::SILENCE;
        match self.inner.decode(payload, frame.samples_mut(), fec).map_err(invalid)? {
            FRAME_SAMPLES => Ok(frame),
            got => Err(PacketFault::Duration { got }),
        }
    }
}

/// Every error of the decoder on bytes from the network says the same: they are no packet.
fn invalid(_: opus::Error) -> PacketFault {
    PacketFault::Invalid
}

#[cfg(test)]
#[path = "opus_tests.rs"]
mod tests;
