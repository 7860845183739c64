//! The coder's promises: alignment, energy, repair, and no panic on any bytes.

use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use super::*;
use crate::pcm::{frames, rms};

/// The first 4 s of the Dutch speech in `tools/assets`.
fn voice() -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/assets/speech-nl.wav");
    crate::wav::read(&path).unwrap()[..4 * 16_000].to_vec()
}

fn payloads(spoken: &[i16], bits: Bits) -> (Vec<Bytes>, usize) {
    let mut encoder = Encoder::new(bits).unwrap();
    let lookahead = encoder.lookahead();
    (frames(spoken, lookahead).map(|frame| encoder.encode(&frame).unwrap()).collect(), lookahead)
}

fn heard(payloads: &[Bytes]) -> Vec<i16> {
    let mut decoder = Decoder::new().unwrap();
    payloads.iter().flat_map(|payload| *decoder.decode(payload).frame.samples()).collect()
}

/// Similarity of both, -1 to 1.
fn correlation(a: &[i16], b: &[i16]) -> f64 {
    let dot = |a: &[i16], b: &[i16]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn a_round_trip_keeps_energy_and_lies_behind_by_the_lookahead() {
    let spoken = voice();
    let (payloads, lookahead) = payloads(&spoken, Bits::default());
    let heard = heard(&payloads);
    assert!(heard.len() >= spoken.len() + lookahead, "the tail stays in the coder");
    let best =
        (0..320).max_by(|a, b| correlation(&spoken[..63_000], &heard[*a..]).total_cmp(&correlation(&spoken[..63_000], &heard[*b..])));
    assert!(best.unwrap().abs_diff(lookahead) <= 8, "look-ahead {lookahead}, measured {best:?}");
    let alike = correlation(&spoken, &heard[lookahead..]);
    assert!(alike > 0.9, "correlation {alike}");
    let decibels = 20.0 * (rms(&heard) / rms(&spoken)).log10();
    assert!(decibels.abs() < 1.0, "{decibels} dB");
}

#[test]
fn payloads_keep_to_the_rate_and_fit_a_datagram() {
    let mut random = SmallRng::seed_from_u64(7);
    let noise: Vec<i16> = (0..64_000).map(|_| random.random()).collect();
    for bits in [Bits::MIN, Bits::MAX] {
        let share = bits.get() / 8 / 50;
        for sound in [voice(), noise.clone(), vec![0; 64_000]] {
            let (payloads, _) = payloads(&sound, bits);
            assert!(payloads.iter().all(|p| !p.is_empty() && p.len() <= bits.payload_max()));
        }
        let (payloads, _) = payloads(&voice(), bits);
        let mean = payloads.iter().map(Bytes::len).sum::<usize>() / payloads.len();
        assert!(mean <= share as usize, "{mean} bytes a frame at {bits:?}");
    }
    assert_eq!(Bits::clamped(6_000), Bits::MIN);
    assert_eq!(Bits::clamped(510_000), Bits::MAX);
}

#[test]
fn a_lost_frame_comes_back_from_the_next_packet_better_than_concealed() {
    let spoken = voice();
    let (payloads, _) = payloads(&spoken, Bits::default());
    let whole = heard(&payloads);
    let (mut repaired, mut invented, mut copies) = (0.0, 0.0, 0);
    for lost in (10..170).step_by(5) {
        let error = |fec: bool| {
            let mut decoder = Decoder::new().unwrap();
            for payload in &payloads[..lost] {
                decoder.decode(payload);
            }
            let got = if fec { decoder.decode_fec(&payloads[lost + 1]) } else { decoder.conceal() };
            let missed = got.frame.samples().iter().zip(&whole[lost * FRAME_SAMPLES..]);
            (missed.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>(), got.origin)
        };
        let (with_fec, origin) = error(true);
        let (without, concealed) = error(false);
        assert_eq!(concealed, Origin::Concealed);
        copies += usize::from(origin == Origin::Fec);
        repaired += with_fec;
        invented += without;
    }
    assert!(copies >= 28, "only {copies} of 32 packets carry a copy");
    assert!(repaired < invented / 2.0, "error {repaired:e} with FEC, {invented:e} without");
}

#[test]
fn concealment_goes_on_from_the_voice_and_is_silent_after_200_ms() {
    let (payloads, _) = payloads(&voice(), Bits::default());
    let levels: Vec<f32> = heard(&payloads).chunks(FRAME_SAMPLES).map(rms).collect();
    let loudest = (0..levels.len()).max_by(|a, b| levels[*a].total_cmp(&levels[*b])).unwrap();
    let mut decoder = Decoder::new().unwrap();
    for payload in &payloads[..=loudest] {
        decoder.decode(payload);
    }
    let first = decoder.conceal().frame.rms();
    assert!(first > levels[loudest] / 4.0, "{} then {first}", levels[loudest]);
    let rest: Vec<f32> = (0..20).map(|_| decoder.conceal().frame.rms()).collect();
    assert!(rest[9..].iter().all(|level| *level == 0.0), "{rest:?}");
    assert_eq!(decoder.decode(&payloads[loudest]).origin, Origin::Packet);
    assert!(decoder.conceal().frame.rms() > 0.0, "the fade begins anew after a real frame");
}

#[test]
fn faults_name_what_is_wrong_and_are_concealed() {
    let (payloads, _) = payloads(&voice(), Bits::default());
    let mut decoder = Decoder::new().unwrap();
    for payload in &payloads[..20] {
        assert_eq!(decoder.decode(payload).fault, None);
    }
    // Configuration 11 is SILK wideband of 60 ms; code 3 without its count byte is cut off.
    let cases: [(&[u8], PacketFault); 4] = [
        (&[], PacketFault::Empty),
        (&[0x48; PAYLOAD_MAX_BYTES + 1], PacketFault::Oversized { got: PAYLOAD_MAX_BYTES + 1 }),
        (&[11 << 3, 1, 2, 3], PacketFault::Duration { got: 3 * FRAME_SAMPLES }),
        (&[0x4b], PacketFault::Invalid),
    ];
    for (payload, fault) in cases {
        let decoded = decoder.decode(payload);
        assert_eq!((decoded.fault, decoded.origin), (Some(fault), Origin::Concealed));
        assert!(decoded.frame.rms() > 0.0);
    }
    assert_eq!(decoder.decode(&payloads[20]).fault, None);
}

#[test]
fn no_bytes_from_the_network_can_panic_the_decoder() {
    let (payloads, _) = payloads(&voice(), Bits::default());
    let mut random = SmallRng::seed_from_u64(0x7a1b);
    let mut decoder = Decoder::new().unwrap();
    let (mut faults, mut decoded) = (0, 0);
    for round in 0..4_000 {
        let mut bytes = vec![0; random.random_range(0..=PAYLOAD_MAX_BYTES + 8)];
        random.fill_bytes(&mut bytes);
        if round % 2 == 0 {
            // A real packet with a few bytes hit goes deeper than noise.
            bytes = payloads[round % payloads.len()].to_vec();
            for _ in 0..3 {
                let place = random.random_range(0..bytes.len());
                bytes[place] = random.random();
            }
        }
        let got = if round % 3 == 0 { decoder.decode_fec(&bytes) } else { decoder.decode(&bytes) };
        faults += usize::from(got.fault.is_some());
        decoded += usize::from(got.origin != Origin::Concealed);
    }
    assert!(faults > 100 && decoded > 100, "{faults} faults, {decoded} decoded: the bytes reach neither path");
}

#[test]
fn after_a_reset_a_spurt_sounds_as_on_a_new_coder() {
    let (payloads, _) = payloads(&voice(), Bits::default());
    let mut decoder = Decoder::new().unwrap();
    decoder.decode(&payloads[40]);
    decoder.reset().unwrap();
    assert_eq!(decoder.decode(&payloads[0]), Decoder::new().unwrap().decode(&payloads[0]));
    let mut encoder = Encoder::new(Bits::default()).unwrap();
    let frame = Frame::padded(&voice()[8_000..]);
    let fresh = encoder.encode(&frame).unwrap();
    encoder.encode(&frame).unwrap();
    encoder.reset().unwrap();
    assert_eq!(encoder.encode(&frame).unwrap(), fresh);
}
