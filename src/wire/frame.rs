//! Cuts the control stream into frames: 4 bytes of big-endian length, then one protobuf message.
//!
//! The length is checked against [`FRAME_MAX_BYTES`] before any memory is taken for the frame.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::control::{Agreement, Message};
use crate::convert::LIST_MAX;
use crate::error::DecodeError;

/// Largest control frame, in bytes without its length field. Protobuf can need 50 times its size in memory,
/// so the cap also bounds what one frame costs.
pub const FRAME_MAX_BYTES: usize = 16 * 1024;

/// Largest piece of the control stream that is given to a connection at once, in bytes: at 128 kbit/s it holds a voice frame up
/// by 29 ms at most.
pub const CHUNK_MAX_BYTES: usize = 400;

/// Bytes of the length field.
const LENGTH_BYTES: usize = 4;

/// One message as the bytes of the stream: length and protobuf.
pub fn encode(message: &Message) -> Bytes {
    // Our own messages stay far below the cap; the one that could grow, a list of agreements, is asked `fits` beforehand.
    framed(&message.encode())
}

/// A protobuf message with its length in front.
pub(crate) fn framed(body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(LENGTH_BYTES + body.len());
    frame.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(body);
    frame.freeze()
}

/// Whether a message can be sent in one frame. Only the list of agreements with a peer can grow beyond it: whoever accepts
/// a configuration asks here, for the other side would end every session as malformed.
pub fn fits(message: &Message) -> bool {
    let lists: &[Agreement] = if let Message::Agreements(all) = message { all } else { &[] };
    lists.len() <= LIST_MAX && lists.iter().all(|one| one.onward.len() <= LIST_MAX) && message.encode().len() <= FRAME_MAX_BYTES
}

/// Collects the bytes of a control stream and gives out whole messages.
#[derive(Debug, Default)]
pub struct Decoder {
    frames: Frames,
}

impl Decoder {
    /// Adds bytes as they came from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    /// The next message; `None` when more bytes are needed. Messages of unknown type are skipped.
    ///
    /// # Errors
    /// [`DecodeError`] if the frame is too large or no message; the session must end, for the stream has lost its frame.
    pub fn next_message(&mut self) -> Result<Option<Message>, DecodeError> {
        while let Some(frame) = self.frames.next_frame()? {
            if let Some(message) = Message::decode(&frame)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// Collects the bytes of a stream and cuts them into frames, whatever is in them.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// Adds bytes as they came from the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame without its length; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`DecodeError::Oversized`]: the stream has lost its frame.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length > FRAME_MAX_BYTES {
            return Err(DecodeError::Oversized { got: length, max: FRAME_MAX_BYTES });
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Ceiling, Hello, Inbound, Outbound};
    use crate::{Level, Tier};

    #[test]
    fn frames_come_out_of_any_cut() {
        let wire: Vec<u8> = [encode(&Message::Hello(Hello::ours())), encode(&Message::Refused(crate::Reason::Standby))].concat();
        for cut in 0..=wire.len() {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                decoder.push(part);
                while let Some(message) = decoder.next_message().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, [Message::Hello(Hello::ours()), Message::Refused(crate::Reason::Standby)], "cut at {cut}");
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_by_its_length_alone() {
        let mut decoder = Decoder::default();
        decoder.push(&u32::MAX.to_be_bytes());
        assert!(matches!(decoder.next_message(), Err(DecodeError::Oversized { .. })));
    }

    #[test]
    fn a_list_of_agreements_that_no_peer_could_read_does_not_fit() {
        let side = an_agreement();
        let agreements = |count: usize| Message::Agreements(vec![side.clone(); count]);
        let most = (0..).take_while(|count| fits(&agreements(*count))).last().unwrap();
        assert!((50..LIST_MAX).contains(&most), "{most}");
        let mut decoder = Decoder::default();
        decoder.push(&encode(&agreements(most)));
        assert_eq!(decoder.next_message(), Ok(Some(agreements(most))));
        decoder.push(&encode(&agreements(most + 1)));
        assert!(decoder.next_message().is_err());
        // Short names reach the bound of lists before that of the frame.
        let short = Agreement { name: String::new(), ..side.clone() };
        assert!(fits(&Message::Agreements(vec![short.clone(); LIST_MAX])));
        assert!(!fits(&Message::Agreements(vec![short; LIST_MAX + 1])));
        let onward = vec!["be".parse().unwrap(); LIST_MAX + 1];
        assert!(!fits(&Message::Agreements(vec![Agreement { onward, ..side }])));
    }

    fn an_agreement() -> Agreement {
        let ceiling = Ceiling { tier: Tier::Emergency, level: Level(64), dispatcher: true };
        Agreement {
            name: "\u{4e00}".repeat(crate::DISPLAY_MAX_CHARS),
            home: "nl/pol-1".parse().unwrap(),
            partner: "be/lux-3".parse().unwrap(),
            inbound: Inbound { talk: true, short_data: true, emergency: true, ceiling },
            outbound: Outbound { talk: true, short_data: true, emergency: true },
            onward: Vec::new(),
        }
    }

    #[test]
    fn an_unknown_message_is_skipped() {
        let mut decoder = Decoder::default();
        // Field 1000, length-delimited, empty: a message of some later version.
        decoder.push(&[0, 0, 0, 3, 0xc2, 0x3e, 0x00]);
        decoder.push(&encode(&Message::Refused(crate::Reason::Standby)));
        assert_eq!(decoder.next_message().unwrap(), Some(Message::Refused(crate::Reason::Standby)));
    }
}
