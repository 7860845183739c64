//! Genuine messages and frames with something changed in them.

use bytes::Bytes;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use wire::control::{Floor, FloorBody, Message};
use wire::datagram::{Datagram, Voice};
use wire::{DenyCause, Epoch, Handle, Identity, Level, RequestId, RevokeCause, Seq, Spurt, Tier};

use crate::support::watch::Sound;
use crate::support::words::{id, tg};

/// The spurt that a message is about.
pub(super) fn spurt_of(message: &Message) -> Option<Spurt> {
    let Message::Floor(floor) = message else { return None };
    match &floor.body {
        FloorBody::Granted(granted) => Some(granted.spurt),
        FloorBody::Taken(taken) => Some(taken.spurt),
        FloorBody::Idle(idle) => Some(idle.spurt),
        FloorBody::Revoke(revoke) => Some(revoke.spurt),
        FloorBody::Request(_) | FloorBody::Release(_) | FloorBody::Deny { .. } | FloorBody::Queued { .. } | FloorBody::Ack { .. } => None,
    }
}

/// Who asks for what in a message.
pub(super) fn request_of(message: &Message) -> Option<(String, RequestId)> {
    let Message::Floor(Floor { party: Some(party), body: FloorBody::Request(request), .. }) = message else { return None };
    Some((party.to_string(), request.request))
}

fn name(names: &[&str], rng: &mut SmallRng) -> Identity {
    id(names.choose(rng).expect("not empty"))
}

fn tier(rng: &mut SmallRng) -> Tier {
    *[Tier::Normal, Tier::Peril, Tier::Emergency].choose(rng).expect("not empty")
}

fn near(spurt: Spurt, rng: &mut SmallRng) -> Spurt {
    let step = if rng.random_bool(0.2) { rng.random() } else { rng.random_range(0..8) };
    Spurt::from_bits(spurt.to_bits().wrapping_add(step).wrapping_sub(3))
}

/// The message with something changed.
pub(super) fn message(mut message: Message, names: &[&str], rng: &mut SmallRng) -> Message {
    match &mut message {
        Message::Floor(floor) => match rng.random_range(0..10) {
            0 => floor.talkgroup = tg(["nl/pol-1", "be/lux-3", "de/aachen-1", "xx/none"].choose(rng).expect("not empty")),
            1 => floor.party = rng.random_bool(0.8).then(|| name(names, rng)),
            _ => body(&mut floor.body, names, rng),
        },
        Message::Sync(sync) => match rng.random_range(0..3) {
            0 => sync.handle = Handle(rng.random()),
            1 => sync.epoch = Epoch(rng.random()),
            _ => sync.emergency = vec![name(names, rng), name(names, rng)],
        },
        Message::Agreements(words) => {
            if let Some(words) = words.first_mut() {
                words.inbound.talk ^= rng.random_bool(0.5);
                words.outbound.emergency ^= rng.random_bool(0.5);
                words.inbound.ceiling.level = Level(rng.random());
            }
        }
        Message::EmergencyState { active, originator, units, .. } => {
            *active ^= rng.random_bool(0.5);
            *originator = name(names, rng);
            units.push(name(names, rng));
        }
        Message::EmergencyEnd { party, .. } => *party = rng.random_bool(0.8).then(|| name(names, rng)),
        Message::EmergencyEndRefused { party, cause, .. } => {
            *party = rng.random_bool(0.8).then(|| name(names, rng));
            *cause = *DenyCause::ALL.choose(rng).expect("not empty");
        }
        Message::Hello(_)
        | Message::Welcome(_)
        | Message::Refused(_)
        | Message::Affiliate(_)
        | Message::Affiliated(_)
        | Message::AffiliateRefused(..)
        | Message::Deaffiliate(_)
        | Message::FarSide(_) => {}
    }
    message
}

fn body(body: &mut FloorBody, names: &[&str], rng: &mut SmallRng) {
    match body {
        FloorBody::Request(request) => match rng.random_range(0..4) {
            0 => request.request = RequestId(rng.random()),
            1 => request.priority.tier = tier(rng),
            2 => request.priority.level = Level(rng.random()),
            _ => request.continuing = Some(rng.random_range(0..40_000)),
        },
        FloorBody::Granted(granted) => match rng.random_range(0..5) {
            0 => granted.request = RequestId(granted.request.0.wrapping_add(rng.random_range(0..3))),
            1 => granted.spurt = near(granted.spurt, rng),
            2 => granted.duration_s = rng.random(),
            3 => granted.tier = tier(rng),
            _ => granted.own_side_only ^= true,
        },
        FloorBody::Deny { request, cause } => {
            *request = RequestId(request.0.wrapping_add(rng.random_range(0..3)));
            *cause = *DenyCause::ALL.choose(rng).expect("not empty");
        }
        FloorBody::Queued { request, position } => {
            *request = RequestId(request.0.wrapping_add(rng.random_range(0..3)));
            *position = rng.random();
        }
        FloorBody::Taken(taken) => match rng.random_range(0..4) {
            0 => taken.spurt = near(taken.spurt, rng),
            1 => taken.talker.identity = name(names, rng),
            2 => taken.tier = tier(rng),
            _ => taken.via = Some(["nl", "de", "xx"].choose(rng).expect("not empty").parse().expect("a code")),
        },
        FloorBody::Idle(idle) => match rng.random_range(0..3) {
            0 => idle.spurt = near(idle.spurt, rng),
            1 => idle.last_seq = Some(Seq(rng.random())),
            _ => idle.followed ^= true,
        },
        FloorBody::Release(release) => match rng.random_range(0..3) {
            0 => release.request = RequestId(rng.random()),
            1 => release.last_seq = Some(Seq(rng.random())),
            _ => release.key_down ^= true,
        },
        FloorBody::Revoke(revoke) => match rng.random_range(0..4) {
            0 => revoke.request = RequestId(revoke.request.0.wrapping_add(rng.random_range(0..3))),
            1 => revoke.spurt = near(revoke.spurt, rng),
            2 => revoke.cause = *RevokeCause::ALL.choose(rng).expect("not empty"),
            _ => revoke.grace_ms = rng.random(),
        },
        FloorBody::Ack { request } => *request = RequestId(request.0.wrapping_add(rng.random_range(0..3))),
    }
}

/// The frames with something changed; those that were none are left out. The liar's voice is in them and in what they repeat, counted
/// from the number after `count` on in the order in which all that would be played; `count` is the newest afterwards.
pub(super) fn voices(frames: &[Bytes], count: &mut u32, rng: &mut SmallRng) -> Vec<Voice> {
    let genuine = |bytes: &Bytes| if let Ok(Some(Datagram::Voice(voice))) = Datagram::decode(bytes.clone()) { Some(voice) } else { None };
    let mut voices: Vec<Voice> = frames.iter().filter_map(genuine).collect();
    for voice in &mut voices {
        match rng.random_range(0..6) {
            0 => voice.handle = Handle(rng.random()),
            1 => voice.handle = Handle(7),
            2 => (voice.handle, voice.spurt) = (Handle(7), near(voice.spurt, rng)),
            3 => (voice.handle, voice.seq) = (Handle(7), Seq(rng.random())),
            4 => (voice.first, voice.last) = (rng.random_bool(0.5), rng.random_bool(0.5)),
            _ => voice.tier = tier(rng),
        }
    }
    let mut payloads: Vec<((u32, u16), &mut Bytes)> = Vec::new();
    for Voice { spurt, seq, repeats, payload, .. } in &mut voices {
        let place = |back: u8| (spurt.to_bits(), seq.0.saturating_sub(back.into()));
        payloads.extend(repeats.iter_mut().map(|repeat| (place(repeat.back), &mut repeat.payload)));
        payloads.push((place(0), payload));
    }
    payloads.sort_by_key(|(place, _)| *place);
    for (_, payload) in payloads {
        *count += 1;
        *payload = Sound { talker: Sound::FORGED, count: *count }.payload().into();
    }
    voices.shuffle(rng);
    voices
}
