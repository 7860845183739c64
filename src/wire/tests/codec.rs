//! Every decoder against everything: what is written reads back, cut or mutated bytes never panic, later versions are skipped.
//!
//! In the data path this is the first code that sees a stranger's bytes.

mod strategies;

use bytes::Bytes;
use proptest::prelude::*;
use strategies::{datagram, item, message, short_data};
use talkbridge_wire as wire;
use wire::DecodeError;
use wire::control::Message;
use wire::data;
use wire::datagram::Datagram;
use wire::frame::{self, Decoder, FRAME_MAX_BYTES};

/// Field 1000 of a message, length-delimited, three bytes: something of a later version.
const LATER_FIELD: [u8; 6] = [0xc2, 0x3e, 0x03, 1, 2, 3];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_reads_back(message in message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(Some(message)));
    }

    #[test]
    fn every_datagram_reads_back(datagram in datagram()) {
        prop_assert_eq!(Datagram::decode(datagram.encode()), Ok(Some(datagram)));
    }

    #[test]
    fn a_message_with_later_fields_reads_the_same(message in message()) {
        let bytes = [&message.encode()[..], &LATER_FIELD].concat();
        prop_assert_eq!(Message::decode(&bytes), Ok(Some(message)));
    }

    #[test]
    fn frames_cut_anywhere_come_out_whole_and_in_order(messages in prop::collection::vec(message(), 1..4), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let stream: Vec<u8> = messages.iter().flat_map(|message| frame::encode(message).to_vec()).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let (mut decoder, mut read) = (Decoder::default(), Vec::new());
        for pair in cuts.windows(2) {
            decoder.push(&stream[pair[0]..pair[1]]);
            while let Some(message) = decoder.next_message().unwrap() {
                read.push(message);
            }
        }
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn a_message_cut_at_any_byte_is_no_other_whole_message_or_an_error(message in message()) {
        let bytes = message.encode();
        for end in 0..bytes.len() {
            if let Ok(Some(read)) = Message::decode(&bytes[..end]) {
                // A cut at a field's edge may leave a smaller valid one; it is written and read like any other.
                prop_assert_eq!(Message::decode(&read.encode()), Ok(Some(read)));
            }
        }
    }

    #[test]
    fn a_datagram_cut_inside_its_header_is_refused(datagram in datagram()) {
        let bytes = datagram.encode();
        for end in 0..bytes.len() {
            let read = Datagram::decode(bytes.slice(..end));
            match &datagram {
                Datagram::Voice(_) if end < 10 => prop_assert!(read.is_err(), "{} bytes", end),
                Datagram::Heartbeat(_) | Datagram::Report(_) => prop_assert!(read.is_err(), "{} bytes", end),
                Datagram::Voice(_) | Datagram::Emergency(_) => {}
            }
        }
    }

    #[test]
    fn one_changed_byte_is_read_or_refused(message in message(), datagram in datagram(), place in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = message.encode().to_vec();
        if !bytes.is_empty() {
            let at = place.index(bytes.len());
            bytes[at] = with;
            if let Ok(Some(read)) = Message::decode(&bytes) {
                prop_assert_eq!(Message::decode(&read.encode()), Ok(Some(read)));
            }
        }
        let mut bytes = datagram.encode().to_vec();
        let at = place.index(bytes.len());
        bytes[at] = with;
        if let Ok(Some(read)) = Datagram::decode(bytes.into()) {
            prop_assert_eq!(Datagram::decode(read.encode()), Ok(Some(read)));
        }
    }

    #[test]
    fn noise_is_read_or_refused(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Message::decode(&noise);
        let _ = (data::Item::decode(&noise), data::Message::decode(&noise));
        if let Ok(Some(read)) = Datagram::decode(Bytes::from(noise.clone())) {
            prop_assert_eq!(Datagram::decode(read.encode()), Ok(Some(read)));
        }
        let mut decoder = Decoder::default();
        decoder.push(&noise);
        while let Ok(Some(_)) = decoder.next_message() {}
    }

    #[test]
    fn every_short_data_item_reads_back_from_any_cut(item in item(), at in any::<prop::sample::Index>()) {
        let bytes = item.encode();
        let (first, rest) = bytes.split_at(at.index(bytes.len() + 1));
        let mut decoder = data::Decoder::default();
        decoder.push(first);
        let early = decoder.next_item().unwrap();
        decoder.push(rest);
        prop_assert_eq!(early.or_else(|| decoder.next_item().unwrap()), Some(item));
    }

    #[test]
    fn every_short_data_message_reads_back_whatever_a_later_version_adds(message in short_data()) {
        let bytes = [&message.encode()[..], &LATER_FIELD].concat();
        prop_assert_eq!(data::Message::decode(&bytes), Ok(message));
    }

    #[test]
    fn changed_and_cut_short_data_is_read_or_refused(item in item(), place in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = item.encode()[4..].to_vec();
        let at = place.index(bytes.len());
        bytes[at] = with;
        for bytes in [&bytes[..], &bytes[..at]] {
            if let Ok(Some(read)) = data::Item::decode(bytes) {
                prop_assert_eq!(data::Item::decode(&read.encode()[4..]), Ok(Some(read)));
            }
        }
    }

    #[test]
    fn a_frame_above_the_cap_is_refused_by_its_length(over in 1..u32::MAX - 16_384) {
        let mut decoder = Decoder::default();
        let length = u32::try_from(FRAME_MAX_BYTES).unwrap() + over;
        decoder.push(&length.to_be_bytes());
        let refused = matches!(decoder.next_message(), Err(DecodeError::Oversized { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn identities_read_back_from_text_and_certificate(identity in strategies::identity()) {
        prop_assert_eq!(identity.to_string().parse(), Ok(identity.clone()));
        prop_assert_eq!(wire::Identity::from_san(&identity.to_san()), Ok(identity));
    }

    #[test]
    fn spurts_rise_by_the_next_from_anywhere(bits in any::<u32>()) {
        let spurt = wire::Spurt::from_bits(bits);
        prop_assert!(spurt.next().is_after(spurt) && !spurt.is_after(spurt.next()));
        prop_assert_eq!(wire::Spurt::from_bits(spurt.to_bits()), spurt);
    }
}

#[test]
fn a_frame_at_the_cap_is_accepted_and_unknown_messages_between_are_skipped() {
    let mut later = vec![0xc2, 0x3e];
    // A later message that fills the frame to its last byte.
    let body = FRAME_MAX_BYTES - 5;
    later.extend([
        u8::try_from(body & 0x7f).unwrap() | 0x80,
        u8::try_from(body >> 7 & 0x7f).unwrap() | 0x80,
        u8::try_from(body >> 14).unwrap(),
    ]);
    later.resize(FRAME_MAX_BYTES, 0);
    let mut decoder = Decoder::default();
    decoder.push(&u32::try_from(later.len()).unwrap().to_be_bytes());
    decoder.push(&later);
    let refused = Message::Refused(wire::Reason::Standby);
    decoder.push(&frame::encode(&refused));
    assert_eq!(decoder.next_message(), Ok(Some(refused)));
    assert_eq!(decoder.next_message(), Ok(None));
}
