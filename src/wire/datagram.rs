//! Datagrams: voice, heartbeats, loss reports, and the repeated emergency request.
//!
//! One voice frame is one datagram, the same bytes for every listener of a gateway. The talk state (talkgroup, spurt,
//! tier) is in every frame, so a lost control message heals with the next 20 ms.
//!
//! ```text
//!  voice        0               1               2               3
//!               0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7
//!              +-------+-------+-+-+---+-+---+-+-------------------------------+
//!            0 | kind 1| rsv 0 |F|L|tier|E|rep|0|        talkgroup handle       |
//!              +-------+-------+-+-+---+-+---+-+-------------------------------+
//!            4 |  epoch        |               spurt counter                   |
//!              +---------------+---------------+-------------------------------+
//!            8 |        sequence number        |  `rep` repeats, then payload  ...
//!              +-------------------------------+-------------------------------+
//!   F first frame, L last frame of the spurt (sent three times), tier 0..2, E encrypted payload (opaque),
//!   rep number of earlier frames repeated (0..2). Each repeat: back (1 byte, frames before this one),
//!   length (2 bytes), payload. An empty payload of the frame itself is a hold beat: the talker lives, the source is silent.
//!
//!  heartbeat   | kind 2| rsv 0 |  sequence (4 bytes)  |  newest heard (4 bytes)  |
//!  emergency   | kind 3| rsv 0 |  one Control message (protobuf), a floor request  |
//!  report      | kind 4| rsv 0 |  frames (4 bytes)  |  lost (4 bytes)  |  runs (4 bytes)  |
//! ```
//!
//! The reserved bits are sent as 0. A datagram of another kind or with a reserved bit set is from a later version and is dropped.

use std::cmp::Reverse;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::control::Message;
use crate::error::DecodeError;
use crate::ids::{Handle, Seq, Spurt};
use crate::priority::Tier;

/// Bytes of the voice header without repeats.
pub const VOICE_HEADER_BYTES: usize = 10;
/// Largest payload of one voice frame, in bytes: an Opus frame of 20 ms at 64 kbit/s with room.
pub const PAYLOAD_MAX_BYTES: usize = 320;
/// Most repeats in one datagram.
pub const REPEATS_MAX: usize = 2;

const KIND_VOICE: u8 = 0x10;
const KIND_HEARTBEAT: u8 = 0x20;
const KIND_EMERGENCY: u8 = 0x30;
const KIND_REPORT: u8 = 0x40;
const FLAG_FIRST: u8 = 0x80;
const FLAG_LAST: u8 = 0x40;
const TIER_SHIFT: u8 = 4;
const FLAG_ENCRYPTED: u8 = 0x08;
const REPEATS_SHIFT: u8 = 1;

/// Any datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// A voice frame.
    Voice(Voice),
    /// Liveness between gateways, and between a unit and its gateway.
    Heartbeat(Heartbeat),
    /// An emergency floor request, repeated beside the stream until answered.
    Emergency(Box<Message>),
    /// What the receiver of voice has missed, for whoever sent it.
    Report(Report),
}

/// A voice frame with its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// The talkgroup: between a unit and a gateway the gateway's number, between gateways the sender's.
    pub handle: Handle,
    /// The spurt.
    pub spurt: Spurt,
    /// The frame's number in the spurt.
    pub seq: Seq,
    /// First frame of the spurt.
    pub first: bool,
    /// Last frame of the spurt.
    pub last: bool,
    /// Tier of the spurt.
    pub tier: Tier,
    /// The payload is end-to-end encrypted: opaque to everybody on the way.
    pub encrypted: bool,
    /// Earlier frames repeated, at most [`REPEATS_MAX`].
    pub repeats: Vec<Repeat>,
    /// The Opus packet; empty for a hold beat.
    pub payload: Bytes,
}

/// An earlier frame carried along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// How many frames before the carrying one, from 1.
    pub back: u8,
    /// Its payload.
    pub payload: Bytes,
}

/// Liveness: my number, and the newest of yours that I heard (0: none yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Counts from 1.
    pub seq: u32,
    /// Newest number heard from the receiver.
    pub echo: u32,
}

/// What a receiver of voice counted on this hop since the session began, modulo 2^32. A frame that came only as a repeat was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Frames that came or should have come.
    pub frames: u32,
    /// Those of them that were lost.
    pub lost: u32,
    /// How many times one or several in a row were.
    pub runs: u32,
}

/// The one error that reading a number can give.
fn truncated(_: bytes::TryGetError) -> DecodeError {
    DecodeError::Truncated { what: "datagram" }
}

impl Datagram {
    /// The bytes of the datagram.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Voice(voice) => voice.encode(),
            Self::Heartbeat(beat) => {
                let mut out = BytesMut::with_capacity(9);
                out.put_u8(KIND_HEARTBEAT);
                out.put_u32(beat.seq);
                out.put_u32(beat.echo);
                out.freeze()
            }
            Self::Emergency(message) => {
                let body = message.encode();
                let mut out = BytesMut::with_capacity(1 + body.len());
                out.put_u8(KIND_EMERGENCY);
                out.extend_from_slice(&body);
                out.freeze()
            }
            Self::Report(report) => {
                let mut out = BytesMut::with_capacity(13);
                out.put_u8(KIND_REPORT);
                out.put_u32(report.frames);
                out.put_u32(report.lost);
                out.put_u32(report.runs);
                out.freeze()
            }
        }
    }

    /// Reads a datagram; `None` for a kind that this version does not know (to be dropped).
    ///
    /// # Errors
    /// [`DecodeError`]: the sender is at fault; drop and count.
    pub fn decode(mut bytes: Bytes) -> Result<Option<Self>, DecodeError> {
        let kind = bytes.try_get_u8().map_err(truncated)?;
        match kind {
            KIND_VOICE => Voice::decode_body(bytes).map(|voice| Some(Self::Voice(voice))),
            KIND_HEARTBEAT => {
                let seq = bytes.try_get_u32().map_err(truncated)?;
                let echo = bytes.try_get_u32().map_err(truncated)?;
                Ok(Some(Self::Heartbeat(Heartbeat { seq, echo })))
            }
            KIND_REPORT => {
                let [frames, lost, runs] = [bytes.try_get_u32(), bytes.try_get_u32(), bytes.try_get_u32()];
                let report = Report { frames: frames.map_err(truncated)?, lost: lost.map_err(truncated)?, runs: runs.map_err(truncated)? };
                Ok(Some(Self::Report(report)))
            }
            KIND_EMERGENCY => Ok(Message::decode(&bytes)?.map(|message| Self::Emergency(Box::new(message)))),
            _ => Ok(None),
        }
    }
}

impl Voice {
    /// Whether this is a hold beat: no sound, but the talker lives.
    pub fn is_hold(&self) -> bool {
        self.payload.is_empty()
    }

    /// The earlier frames that this one repeats, as frames of their own, earliest first.
    pub fn repeated(&self) -> impl Iterator<Item = Self> {
        let mut repeats: Vec<&Repeat> = self.repeats.iter().filter(|repeat| u16::from(repeat.back) <= self.seq.0).collect();
        repeats.sort_unstable_by_key(|repeat| Reverse(repeat.back));
        repeats.into_iter().map(|repeat| {
            let seq = Seq(self.seq.0 - u16::from(repeat.back));
            Self { seq, first: seq == Seq(0), last: false, repeats: Vec::new(), payload: repeat.payload.clone(), ..*self }
        })
    }

    /// The bytes of the datagram. Repeats above [`REPEATS_MAX`] and payloads above [`PAYLOAD_MAX_BYTES`] are left out.
    pub fn encode(&self) -> Bytes {
        let repeats: Vec<&Repeat> = self.repeats.iter().filter(|r| r.payload.len() <= PAYLOAD_MAX_BYTES).take(REPEATS_MAX).collect();
        let repeated: usize = repeats.iter().map(|r| 3 + r.payload.len()).sum();
        let mut out = BytesMut::with_capacity(VOICE_HEADER_BYTES + repeated + self.payload.len());
        out.put_u8(KIND_VOICE);
        let mut flags = self.tier.to_bits() << TIER_SHIFT;
        flags |= if self.first { FLAG_FIRST } else { 0 };
        flags |= if self.last { FLAG_LAST } else { 0 };
        flags |= if self.encrypted { FLAG_ENCRYPTED } else { 0 };
        flags |= u8::try_from(repeats.len()).unwrap_or(0) << REPEATS_SHIFT;
        out.put_u8(flags);
        out.put_u16(self.handle.0);
        out.put_u32(self.spurt.to_bits());
        out.put_u16(self.seq.0);
        for repeat in repeats {
            out.put_u8(repeat.back);
            out.put_u16(u16::try_from(repeat.payload.len()).unwrap_or(0));
            out.extend_from_slice(&repeat.payload);
        }
        if self.payload.len() <= PAYLOAD_MAX_BYTES {
            out.extend_from_slice(&self.payload);
        }
        out.freeze()
    }

    fn decode_body(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let flags = bytes.try_get_u8().map_err(truncated)?;
        if flags & 1 != 0 {
            return Err(DecodeError::Invalid { what: "reserved voice flag" });
        }
        let handle = Handle(bytes.try_get_u16().map_err(truncated)?);
        let spurt = Spurt::from_bits(bytes.try_get_u32().map_err(truncated)?);
        let seq = Seq(bytes.try_get_u16().map_err(truncated)?);
        let tier = Tier::from_bits(flags >> TIER_SHIFT & 3).ok_or(DecodeError::Invalid { what: "tier" })?;
        let count = usize::from(flags >> REPEATS_SHIFT & 3);
        if count > REPEATS_MAX {
            return Err(DecodeError::Invalid { what: "repeat count" });
        }
        let mut repeats = Vec::with_capacity(count);
        for _ in 0..count {
            let back = bytes.try_get_u8().map_err(truncated)?;
            let length = usize::from(bytes.try_get_u16().map_err(truncated)?);
            if back == 0 || u16::from(back) > seq.0 {
                return Err(DecodeError::Invalid { what: "repeat distance" });
            }
            if length > PAYLOAD_MAX_BYTES || length > bytes.len() {
                return Err(DecodeError::Truncated { what: "repeat" });
            }
            repeats.push(Repeat { back, payload: bytes.split_to(length) });
        }
        if bytes.len() > PAYLOAD_MAX_BYTES {
            return Err(DecodeError::Oversized { got: bytes.len(), max: PAYLOAD_MAX_BYTES });
        }
        Ok(Self {
            handle,
            spurt,
            seq,
            first: flags & FLAG_FIRST != 0,
            last: flags & FLAG_LAST != 0,
            tier,
            encrypted: flags & FLAG_ENCRYPTED != 0,
            repeats,
            payload: bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_one_in_the_diagram() {
        let voice = Voice {
            handle: Handle(0x0102),
            spurt: Spurt::from_bits(0x0300_0004),
            seq: Seq(0x0506),
            first: true,
            last: false,
            tier: Tier::Emergency,
            encrypted: false,
            repeats: vec![Repeat { back: 2, payload: Bytes::from_static(b"xy") }],
            payload: Bytes::from_static(b"abc"),
        };
        let bytes = voice.encode();
        assert_eq!(&bytes[..], [&[0x10, 0xa2, 1, 2, 3, 0, 0, 4, 5, 6, 2, 0, 2][..], b"xyabc"].concat());
        assert_eq!(Datagram::decode(bytes).unwrap(), Some(Datagram::Voice(voice)));
    }

    #[test]
    fn repeats_are_frames_of_their_own_in_the_order_in_which_they_were_spoken() {
        let repeat = |back, payload| Repeat { back, payload: Bytes::from_static(payload) };
        let voice = Voice {
            handle: Handle(3),
            spurt: Spurt::from_bits(7),
            seq: Seq(2),
            first: false,
            last: true,
            tier: Tier::Peril,
            encrypted: true,
            repeats: vec![repeat(1, b"one"), repeat(2, b"two"), repeat(3, b"before the first")],
            payload: Bytes::new(),
        };
        let frame = |seq, first, payload| Voice { seq: Seq(seq), first, last: false, repeats: Vec::new(), payload, ..voice.clone() };
        let two = [frame(0, true, Bytes::from_static(b"two")), frame(1, false, Bytes::from_static(b"one"))];
        assert_eq!(voice.repeated().collect::<Vec<_>>(), two);
    }

    #[test]
    fn later_kinds_are_dropped_and_reserved_flags_refused() {
        assert_eq!(Datagram::decode(Bytes::from_static(&[0x50, 1, 2])), Ok(None));
        assert_eq!(Datagram::decode(Bytes::from_static(&[0x11, 1, 2])), Ok(None));
        assert!(Datagram::decode(Bytes::from_static(&[0x10, 0x01, 0, 0, 0, 0, 0, 0, 0, 0])).is_err());
        assert!(Datagram::decode(Bytes::new()).is_err());
    }
}
