//! The decoders of the wire: whatever comes is read or refused, and what was read is written back the same.

use bytes::Bytes;
use wire::DecodeError;
use wire::control::Message;
use wire::data::{self, Body, Item, SIGNED_MAX_BYTES};
use wire::datagram::{Datagram, PAYLOAD_MAX_BYTES, REPEATS_MAX, VOICE_HEADER_BYTES};
use wire::frame::{self, Decoder, FRAME_MAX_BYTES};

use super::Script;

/// One control message without its length.
pub(crate) fn control(data: &[u8]) {
    match Message::decode(data) {
        Ok(Some(message)) => assert_reads_back(&message),
        Ok(None) => {}
        // Errors reach the log; their text must be made without a panic too.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What was read is written and read the same. It may be longer than it came (names of fields that were defaults), but only
/// a list of agreements can outgrow a frame, and `fits` knows that.
pub(crate) fn assert_reads_back(message: &Message) {
    let bytes = message.encode();
    assert_eq!(Message::decode(&bytes).as_ref(), Ok(&Some(message.clone())));
    assert_eq!(frame::fits(message), bytes.len() <= FRAME_MAX_BYTES, "{message:?}");
    if !matches!(message, Message::Agreements(_) | Message::Affiliated(_) | Message::Hello(_) | Message::Welcome(_)) {
        assert!(frame::fits(message), "{message:?}");
    }
}

/// A control stream that arrives in pieces: the first bytes say how it is cut, the rest is the stream.
pub(crate) fn stream(data: &[u8]) {
    let mut script = Script::new(data);
    let cuts: Vec<usize> = (0..script.below(9)).map(|_| usize::from(script.word())).collect();
    let stream = script.rest();
    let whole = read(&mut Decoder::default(), stream);
    let mut decoder = Decoder::default();
    let mut pieces = (Vec::new(), None);
    let mut rest = stream;
    for cut in cuts.into_iter().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        let (messages, error) = read(&mut decoder, piece);
        pieces.0.extend(messages);
        pieces.1 = error;
        if pieces.1.is_some() {
            break;
        }
    }
    assert_eq!(whole, pieces, "the cut of a stream changes what is read");
    if let Some(DecodeError::Oversized { got, max }) = whole.1 {
        assert!(got > max && max == FRAME_MAX_BYTES);
    }
    whole.0.iter().for_each(assert_reads_back);
}

/// Everything that one piece brings.
fn read(decoder: &mut Decoder, piece: &[u8]) -> (Vec<Message>, Option<DecodeError>) {
    decoder.push(piece);
    let mut messages = Vec::new();
    loop {
        match decoder.next_message() {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, None),
            Err(error) => return (messages, Some(error)),
        }
    }
}

/// One datagram.
pub(crate) fn datagram(data: &[u8]) {
    let Ok(Some(datagram)) = Datagram::decode(Bytes::copy_from_slice(data)) else { return };
    let bytes = datagram.encode();
    assert_eq!(Datagram::decode(bytes.clone()), Ok(Some(datagram.clone())));
    match datagram {
        Datagram::Voice(voice) => {
            assert_eq!(bytes, data, "voice is passed on as it came");
            assert!(voice.payload.len() <= PAYLOAD_MAX_BYTES && voice.repeats.len() <= REPEATS_MAX);
            assert!(voice.repeats.iter().all(|r| r.payload.len() <= PAYLOAD_MAX_BYTES && (1..=voice.seq.0).contains(&r.back.into())));
            assert!(bytes.len() <= VOICE_HEADER_BYTES + PAYLOAD_MAX_BYTES + REPEATS_MAX * (3 + PAYLOAD_MAX_BYTES));
        }
        Datagram::Heartbeat(_) => assert_eq!(bytes.len(), 9),
        Datagram::Report(_) => assert_eq!(bytes.len(), 13),
        Datagram::Emergency(message) => assert_reads_back(&message),
    }
}

/// A data stream after its first byte.
pub(crate) fn short_data(data: &[u8]) {
    let mut decoder = data::Decoder::default();
    decoder.push(data);
    loop {
        match decoder.next_item() {
            Ok(Some(item)) => assert_item_reads_back(&item),
            Ok(None) => return,
            Err(error) => return assert!(!error.to_string().is_empty()),
        }
    }
}

/// An item is written and read the same; what is signed stays as it came, however much of it we know.
fn assert_item_reads_back(item: &Item) {
    let bytes = item.encode();
    assert!(bytes.len() <= 4 + FRAME_MAX_BYTES);
    let mut decoder = data::Decoder::default();
    decoder.push(&bytes);
    assert_eq!(decoder.next_item().as_ref(), Ok(&Some(item.clone())));
    if let Body::Message(envelope) = &item.body
        && let Ok(message) = envelope.open()
    {
        let again = message.encode();
        assert!(again.len() <= SIGNED_MAX_BYTES);
        assert_eq!(data::Message::decode(&again), Ok(message));
    }
}
