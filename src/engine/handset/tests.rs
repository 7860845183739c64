//! A handset alone, with what its gateway says put in by hand.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::control::{Affiliated, Floor, FloorBody, Granted, Message, Rights, Taken, Talker, Welcome};
use wire::datagram::{Datagram, Heartbeat, Repeat, Report, Voice};
use wire::{Handle, Identity, Priority, Reason, Seq, Spurt, TalkgroupId, Tier};

use super::{Event, Handset, Permit, Transmit};
use crate::jitter::Playout;

#[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
fn epoch() -> Instant {
    Instant::now()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn gateway(name: &str) -> Identity {
    format!("nl/gateway/{name}").parse().unwrap()
}

/// What a handset that has dialled `gw-1` says and sends after this welcome.
fn welcomed(welcome: Welcome) -> (Vec<Event>, Vec<Transmit>) {
    let mut handset = Handset::new(["nl/pol-1".parse().unwrap()]);
    handset.handle_connected(gateway("gw-1"));
    assert!(matches!(handset.poll_transmit(), Some(Transmit::Control(Message::Hello(_)))));
    handset.handle_message(Message::Welcome(welcome), epoch());
    (std::iter::from_fn(|| handset.poll_event()).collect(), std::iter::from_fn(|| handset.poll_transmit()).collect())
}

#[test]
fn a_unit_joins_through_the_gateway_that_it_dialled_and_no_other() {
    let welcome = |name: &str, version| Welcome { version, capabilities: Vec::new(), gateway: gateway(name) };
    let (events, sent) = welcomed(welcome("gw-1", wire::VERSION));
    assert_eq!(events, [Event::Connected(gateway("gw-1"))]);
    assert_eq!(sent, [Transmit::Control(Message::Affiliate("nl/pol-1".parse().unwrap()))]);
    for (welcome, reason) in [
        (welcome("gw-2", wire::VERSION), Reason::WrongGateway),
        (welcome("gw-1", wire::VERSION + 1), Reason::VersionMismatch),
        (Welcome { capabilities: vec![4_711], ..welcome("gw-1", wire::VERSION) }, Reason::ProtocolViolation),
    ] {
        assert_eq!(welcomed(welcome), (vec![Event::Refused(reason)], Vec::new()));
    }
}

/// A unit that has joined `nl/pol-1`.
fn joined(start: Instant) -> Handset {
    let id = "nl/pol-1".parse::<TalkgroupId>().unwrap();
    let mut handset = Handset::new([id.clone()]);
    handset.handle_connected(gateway("gw-1"));
    handset.handle_message(Message::Welcome(Welcome { version: wire::VERSION, capabilities: Vec::new(), gateway: gateway("gw-1") }), start);
    let affiliated = Affiliated {
        talkgroup: id,
        handle: Handle(1),
        title: String::new(),
        agency: String::new(),
        rights: Rights::default(),
        baseline: Spurt::from_bits(0),
        current: None,
        emergency: None,
        far_sides: Vec::new(),
    };
    handset.handle_message(Message::Affiliated(Box::new(affiliated)), start);
    handset
}

/// What it sends until then, woken at every deadline, and when: milliseconds since the epoch.
fn beats(handset: &mut Handset, start: Instant, until_ms: u64) -> Vec<u128> {
    let mut at = Vec::new();
    while let Some((due, _)) = handset.poll_timeout().filter(|(due, _)| *due <= start + ms(until_ms)) {
        handset.handle_timeout(due);
        while let Some(sent) = handset.poll_transmit() {
            let Transmit::Datagram(bytes) = sent else { continue };
            let Ok(Some(Datagram::Heartbeat(Heartbeat { seq, .. }))) = Datagram::decode(bytes) else { continue };
            handset.handle_datagram(Datagram::Heartbeat(Heartbeat { seq, echo: seq }).encode(), due);
            at.push((due - start).as_millis());
        }
    }
    at
}

#[test]
fn a_listener_that_misses_voice_says_something_so_that_its_gateway_finds_it() {
    let start = epoch();
    let mut handset = joined(start);
    assert_eq!(beats(&mut handset, start, 1_100), [0, 1_000], "in silence a beat every second");
    let voice = |seq, last| {
        let (handle, spurt, tier) = (Handle(1), Spurt::from_bits(1), Tier::Normal);
        let (repeats, payload) = (Vec::new(), Bytes::new());
        Voice { handle, spurt, seq: Seq(seq), first: seq == 0, last, tier, encrypted: false, repeats, payload }.encode()
    };
    for seq in 0..10u16 {
        let at = 1_100 + 100 * u64::from(seq);
        handset.handle_datagram(voice(seq, false), start + ms(at));
        let expected: &[u128] = if seq == 9 { &[2_000] } else { &[] };
        assert_eq!(beats(&mut handset, start, at + 99), expected, "hold beats come often enough");
    }
    assert_eq!(beats(&mut handset, start, 3_500), [2_120, 2_320, 2_520], "until it is interrupted");
    handset.handle_datagram(voice(10, true), start + ms(3_500));
    assert_eq!(beats(&mut handset, start, 4_000), [3_520], "nothing comes after the last frame");
}

#[test]
fn what_was_spoken_before_the_grant_keeps_its_time_when_a_border_renumbers_the_spurt_at_once() {
    let (talkgroup, now): (TalkgroupId, _) = ("nl/pol-1".parse().unwrap(), epoch());
    let mut handset = joined(now);
    let request = handset.press(&talkgroup, Priority::default(), Permit::Instant, now).unwrap();
    let speak = |handset: &mut Handset| handset.speak(&talkgroup, Some(Bytes::from_static(&[7])));
    (0..10).for_each(|_| speak(&mut handset));
    let grant = |handset: &mut Handset, counter| {
        let spurt = Spurt::from_bits(counter);
        let body = FloorBody::Granted(Granted { request, spurt, duration_s: 30, tier: Tier::Normal, own_side_only: false });
        handset.handle_message(Message::Floor(Floor { talkgroup: talkgroup.clone(), party: None, body }), now);
    };
    grant(&mut handset, 1);
    (0..2).for_each(|_| speak(&mut handset));
    grant(&mut handset, 2);
    (0..12).for_each(|_| speak(&mut handset));
    let sent = std::iter::from_fn(|| handset.poll_transmit());
    let exempt: Vec<bool> = sent.filter_map(|sent| if let Transmit::Voice(sound) = sent { Some(sound.backlog) } else { None }).collect();
    // Ten that waited, and the ten after them that wait behind those, whatever number they go by.
    assert_eq!(exempt, [[true; 20].as_slice(), &[false; 4]].concat());
}

#[test]
fn a_talker_repeats_what_its_gateway_misses_and_the_copies_of_the_last_frame_too() {
    let (talkgroup, now): (TalkgroupId, _) = ("nl/pol-1".parse().unwrap(), epoch());
    let mut handset = joined(now);
    let request = handset.press(&talkgroup, Priority::default(), Permit::Instant, now).unwrap();
    let granted = Granted { request, spurt: Spurt::from_bits(1), duration_s: 30, tier: Tier::Normal, own_side_only: false };
    let body = FloorBody::Granted(granted);
    handset.handle_message(Message::Floor(Floor { talkgroup: talkgroup.clone(), party: None, body }), now);
    let speak = |handset: &mut Handset, count: u8| (0..count).for_each(|n| handset.speak(&talkgroup, Some(Bytes::copy_from_slice(&[n]))));
    let backs = |handset: &mut Handset| -> Vec<Vec<u8>> {
        let sounds =
            std::iter::from_fn(|| handset.poll_transmit()).filter_map(|t| if let Transmit::Voice(sound) = t { Some(sound) } else { None });
        sounds
            .map(|sound| match sound.repeating.map(Datagram::decode) {
                None => Vec::new(),
                Some(Ok(Some(Datagram::Voice(voice)))) => voice.repeats.iter().map(|repeat| repeat.back).collect(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    speak(&mut handset, 5);
    assert_eq!(backs(&mut handset), [[0; 0]; 5]);
    handset.handle_datagram(Datagram::Report(Report { frames: 100, lost: 5, runs: 5 }).encode(), now);
    speak(&mut handset, 2);
    assert_eq!(backs(&mut handset), [[1]; 2]);
    handset.handle_datagram(Datagram::Report(Report { frames: 200, lost: 25, runs: 9 }).encode(), now);
    speak(&mut handset, 1);
    handset.key_up(&talkgroup, now);
    handset.handle_timeout(now + ms(20));
    handset.handle_timeout(now + ms(40));
    assert_eq!(backs(&mut handset), [[2, 4]; 4]);
}

#[test]
fn what_came_only_as_a_repeat_is_heard_counted_and_told() {
    let start = epoch();
    let mut handset = joined(start);
    let payload = |seq: u16| Bytes::copy_from_slice(&seq.to_be_bytes());
    let mut played = 0;
    for seq in 0..200_u16 {
        let at = start + ms(1_000 + 20 * u64::from(seq));
        if seq % 10 != 5 {
            let (handle, spurt, tier) = (Handle(1), Spurt::from_bits(1), Tier::Normal);
            let repeats = seq.checked_sub(1).map(|before| Repeat { back: 1, payload: payload(before) }).into_iter().collect();
            let voice = Voice {
                handle,
                spurt,
                seq: Seq(seq),
                first: seq == 0,
                last: false,
                tier,
                encrypted: false,
                repeats,
                payload: payload(seq),
            };
            handset.handle_datagram(voice.encode(), at);
        }
        let talkgroup = "nl/pol-1".parse().unwrap();
        played += usize::from(handset.playout(&talkgroup, at + ms(1)).is_some());
    }
    let stats = handset.jitter_stats(&"nl/pol-1".parse().unwrap()).unwrap();
    assert!(stats.repaired >= 19 && stats.concealed == 0 && played > 190, "{stats:?}");
    let sent: Vec<Transmit> = std::iter::from_fn(|| handset.poll_transmit()).collect();
    let reports = sent.iter().filter_map(|sent| match sent {
        Transmit::Datagram(bytes) => Datagram::decode(bytes.clone()).ok().flatten(),
        Transmit::Control(_) | Transmit::Voice(_) => None,
    });
    let lost: Vec<u32> =
        reports.filter_map(|datagram| if let Datagram::Report(report) = datagram { Some(report.lost) } else { None }).collect();
    assert!(lost.len() >= 7 && lost.last() >= Some(&17) && lost.is_sorted(), "{lost:?}");
}

#[test]
fn a_talker_that_raises_its_tier_and_is_renumbered_at_once_cuts_nothing_of_itself() {
    let (start, id) = (epoch(), "nl/pol-1".parse::<TalkgroupId>().unwrap());
    let mut handset = joined(start);
    let spurt = |counter| Spurt::from_bits(counter);
    let taken = |counter, tier| {
        let talker = Talker { identity: "nl/unit/b".parse().unwrap(), alias: String::new(), agency: String::new() };
        let body = FloorBody::Taken(Taken { spurt: spurt(counter), talker, tier, via: None, elapsed_ms: 0 });
        Message::Floor(Floor { talkgroup: "nl/pol-1".parse().unwrap(), party: None, body })
    };
    let voice = |counter: u32, seq: u8, tier| {
        let (repeats, payload) = (Vec::new(), Bytes::from(vec![u8::try_from(10 * counter).unwrap() + seq]));
        let (handle, seq) = (Handle(1), Seq(seq.into()));
        Voice { handle, spurt: spurt(counter), seq, first: false, last: false, tier, encrypted: false, repeats, payload }.encode()
    };
    handset.handle_message(taken(1, Tier::Normal), start);
    for seq in 0..3 {
        handset.handle_datagram(voice(1, seq, Tier::Normal), start);
    }
    handset.handle_message(taken(2, Tier::Emergency), start);
    for seq in 0..3 {
        handset.handle_datagram(voice(2, seq, Tier::Emergency), start);
    }
    let mut heard = Vec::new();
    for tick in 0..20 {
        match handset.playout(&id, start + ms(20 * tick)) {
            Some(Playout::Frame(frame)) => heard.push(frame[0]),
            Some(Playout::Stretch { frames, .. }) => heard.extend(frames.iter().map(|frame| frame[0])),
            Some(Playout::Fec { .. } | Playout::Conceal | Playout::Silence | Playout::End(_)) | None => {}
        }
    }
    assert_eq!(heard, [10, 11, 12, 20, 21, 22]);
}
