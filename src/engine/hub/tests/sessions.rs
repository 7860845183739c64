//! Sessions: who gets in, double logins, voice that must not pass, peers that speak for others.

use std::time::Duration;

use bytes::Bytes;
use wire::control::{Floor, FloorBody, Hello, Message, Request, Taken, Talker};
use wire::datagram::Voice;
use wire::{Handle, Priority, Reason, RequestId, Seq, SessionId, Spurt, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, words};
use crate::handset::Event;
use crate::hub::{self, Output};

pub(super) fn voice(spurt: Spurt, seq: u16, tier: Tier) -> Bytes {
    let payload = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0]);
    Voice { handle: Handle(1), spurt, seq: Seq(seq), first: seq == 0, last: false, tier, encrypted: false, repeats: Vec::new(), payload }
        .encode()
}

fn spurt_of(events: &[Event]) -> Spurt {
    events.iter().find_map(|e| if let Event::Granted(_, g) = e { Some(g.spurt) } else { None }).unwrap()
}

/// How many frames a hub lets out for one that comes in.
fn passes(net: &mut Net, hub: usize, session: SessionId, frame: Bytes) -> Vec<Tier> {
    net.settle();
    let now = net.now;
    net.hubs[hub].handle_datagram(session, frame, now);
    let mut tiers = Vec::new();
    while let Some(output) = net.hubs[hub].poll_output() {
        if let Output::Voice(fanout) = output {
            tiers.push(fanout.tier);
        }
    }
    tiers
}

#[test]
fn voice_passes_only_from_the_holder_under_its_spurt_and_once() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let b = net.unit("nl/unit/b", "nl/pol-1");
    let (sa, sb) = (net.units[a].session.unwrap(), net.units[b].session.unwrap());
    assert!(passes(&mut net, NL, sa, voice(Spurt::from_bits(0x0400_0001), 0, Tier::Normal)).is_empty(), "voice takes no floor");
    net.press(a, Priority::default());
    let spurt = spurt_of(&net.told(a));
    assert!(passes(&mut net, NL, sb, voice(spurt, 0, Tier::Normal)).is_empty(), "another session");
    assert_eq!(passes(&mut net, NL, sa, voice(spurt, 0, Tier::Normal)).len(), 1);
    assert!(passes(&mut net, NL, sa, voice(spurt, 0, Tier::Normal)).is_empty(), "twice");
    assert!(passes(&mut net, NL, sa, voice(spurt.next(), 1, Tier::Normal)).is_empty(), "a spurt not granted");
    net.release(a);
    net.run(400);
    assert!(passes(&mut net, NL, sa, voice(spurt, 5, Tier::Normal)).is_empty(), "an older spurt");
}

#[test]
fn a_frame_leaves_with_the_moment_of_its_arrival() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    net.press(a, Priority::default());
    let (spurt, session, arrived) = (spurt_of(&net.told(a)), net.units[a].session.unwrap(), net.now);
    net.run(40);
    let now = net.now;
    net.hubs[NL].handle_datagram_of(session, voice(spurt, 500, Tier::Normal), arrived, now);
    let left = std::iter::from_fn(|| net.hubs[NL].poll_output());
    let left: Vec<_> = left.filter_map(|output| if let Output::Voice(fanout) = output { Some(fanout.arrived) } else { None }).collect();
    assert_eq!(left, [arrived]);
}

#[test]
fn a_unit_cannot_lift_its_voice_into_a_higher_tier() {
    for (hub, name, talkgroup) in [(NL, "nl/unit/a", "nl/pol-1"), (BE, "be/unit/c", "be/lux-3")] {
        let mut net = Net::joined(nl(), be());
        let unit = net.unit(name, talkgroup);
        net.press(unit, Priority::default());
        let spurt = spurt_of(&net.told(unit));
        let session = net.units[unit].session.unwrap();
        assert_eq!(passes(&mut net, hub, session, voice(spurt, 0, Tier::Emergency)), [Tier::Normal]);
    }
}

/// A frame of a spurt; number 209 is its last.
fn frame(spurt: Spurt, seq: u16) -> Bytes {
    let voice = Voice {
        handle: Handle(1),
        spurt,
        seq: Seq(seq),
        first: seq == 0,
        last: seq == 209,
        tier: Tier::Normal,
        encrypted: false,
        repeats: Vec::new(),
        payload: if seq == 209 { Bytes::new() } else { Bytes::from_static(&[7; 60]) },
    };
    voice.encode()
}

#[test]
fn the_last_frame_passes_three_times_and_no_more() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    net.press(a, Priority::default());
    let spurt = spurt_of(&net.told(a));
    let session = net.units[a].session.unwrap();
    let passed: usize = (0..10).map(|_| passes(&mut net, NL, session, frame(spurt, 209)).len()).sum();
    assert_eq!(passed, 3);
}

#[test]
fn what_the_last_frame_overtook_passes_once_for_two_hundred_milliseconds() {
    // At the home, and at a partner that is not the arbiter; neither waits for the other.
    for (hub, name, talkgroup) in [(NL, "nl/unit/a", "nl/pol-1"), (BE, "be/unit/c", "be/lux-3")] {
        let mut net = Net::joined(nl(), be());
        let a = net.unit(name, talkgroup);
        net.press(a, Priority::default());
        net.run(200);
        let spurt = spurt_of(&net.told(a));
        let session = net.units[a].session.unwrap();
        let pass = |net: &mut Net, seq| passes(net, hub, session, frame(spurt, seq)).len();
        assert_eq!([200, 209, 207, 207, 208, 209].map(|seq| pass(&mut net, seq)), [1, 1, 1, 0, 1, 1], "{name}");
        net.now += Duration::from_millis(201);
        assert_eq!(pass(&mut net, 206), 0, "{name}");
    }
}

#[test]
fn nothing_of_a_spurt_passes_once_its_successor_is_heard() {
    let mut net = Net::joined(nl(), be());
    let (a, b) = (net.unit("nl/unit/a", "nl/pol-1"), net.unit("nl/unit/b", "nl/pol-1"));
    net.press(a, Priority::default());
    let first = spurt_of(&net.told(a));
    net.press(b, Priority::default());
    let (session, next) = (net.units[a].session.unwrap(), net.units[b].session.unwrap());
    assert_eq!([200, 209, 207].map(|seq| passes(&mut net, NL, session, frame(first, seq)).len()), [1, 1, 1]);
    net.release(a);
    let second = spurt_of(&net.told(b));
    assert_eq!(passes(&mut net, NL, session, frame(first, 206)).len(), 1);
    assert_eq!(passes(&mut net, NL, next, frame(second, 200)).len(), 1);
    assert_eq!(passes(&mut net, NL, session, frame(first, 208)).len(), 0);
}

#[test]
fn the_same_identity_twice_frees_the_floor_and_tells_the_older_session() {
    for (name, talkgroup) in [("nl/unit/a", "nl/pol-1"), ("be/unit/c", "be/lux-3")] {
        let mut net = Net::joined(nl(), be());
        let first = net.unit(name, talkgroup);
        net.press(first, Priority::default());
        net.run(200);
        let second = net.unit(name, talkgroup);
        assert_eq!(net.units[first].ended, Some(Reason::Superseded));
        net.run(250);
        assert_eq!((net.talker(NL), net.talker(BE)), (None, None));
        net.units[first].key = false;
        net.press(second, Priority::default());
        assert!(net.units[second].talks());
        net.release(second);
        net.run(500);
        net.assert_quiet();
    }
}

#[test]
fn a_listener_that_comes_back_under_a_call_is_told_its_first_sound_anew() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let b = net.unit("nl/unit/b", "nl/pol-1");
    net.press(a, Priority::default());
    net.run(500);
    let (session, now) = (net.units[b].session.unwrap(), net.now);
    net.units[b].closed(Reason::LinkLost, now);
    net.hubs[NL].handle_closed(session, Reason::LinkLost, now);
    net.login(b);
    net.run(500);
    let begins = net.told(b).iter().filter(|event| matches!(event, Event::FirstAudio(..))).count();
    assert_eq!(begins, 2);
    net.release(a);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn a_login_after_the_talk_limit_is_not_locked_out() {
    let mut home = nl();
    home.talkgroups[0].timers.t2 = super::unit::ms(1_000);
    let mut net = Net::joined(home, be());
    let first = net.unit("be/unit/c", "be/lux-3");
    net.press(first, Priority::default());
    net.run(1_800);
    let second = net.unit("be/unit/c", "be/lux-3");
    net.units[first].key = false;
    for _ in 0..2 {
        net.press(second, Priority::default());
        net.run(100);
        if net.units[second].talks() {
            break;
        }
        net.release(second);
    }
    assert!(net.units[second].talks(), "{:?}", words(&net.told(second)));
    net.release(second);
    net.run(500);
    net.assert_quiet();
}

fn hello(net: &mut Net, hub: usize, identity: &str) -> Vec<Message> {
    let session = net.stranger(hub, identity);
    let now = net.now;
    net.hubs[hub].handle_message(session, Message::Hello(Hello::ours()), now);
    let mut said = Vec::new();
    while let Some(output) = net.hubs[hub].poll_output() {
        match output {
            Output::Control(to, message) if to == session => said.push(message),
            Output::Close(to, reason) if to == session => said.push(Message::Refused(reason)),
            Output::Control(..) | Output::Voice(_) | Output::Datagram(..) | Output::Close(..) => {}
        }
    }
    said
}

#[test]
fn standby_and_unknown_peers_are_refused() {
    let mut standby = nl();
    standby.standby = true;
    let mut net = Net::apart(standby, be());
    assert_eq!(hello(&mut net, NL, "nl/unit/a")[0], Message::Refused(Reason::Standby));
    let mut net = Net::apart(nl(), be());
    assert_eq!(hello(&mut net, NL, "de/gateway/gw-1")[0], Message::Refused(Reason::UnknownPeer));
    assert_eq!(hello(&mut net, NL, "be/gateway/gw-2")[0], Message::Refused(Reason::UnknownPeer));
    assert!(matches!(hello(&mut net, NL, "be/gateway/gw-1")[0], Message::Welcome(_)));
}

#[test]
fn a_session_without_hello_or_with_the_wrong_message_ends() {
    let mut net = Net::apart(nl(), be());
    let silent = net.stranger(NL, "nl/unit/a");
    let rude = net.stranger(NL, "nl/unit/b");
    let now = net.now;
    net.hubs[NL].handle_message(rude, Message::Affiliate("nl/pol-1".parse().unwrap()), now);
    net.run(5_100);
    let ended: Vec<_> = net.events[NL]
        .iter()
        .filter_map(|e| if let hub::Event::SessionDown(s, _, reason) = e { Some((*s, *reason)) } else { None })
        .collect();
    assert_eq!(ended, [(rude, Reason::ProtocolViolation), (silent, Reason::Timeout)]);
}

#[test]
fn a_unit_that_has_not_joined_is_denied() {
    let mut net = Net::joined(nl(), be());
    let session = net.stranger(NL, "nl/unit/z");
    let now = net.now;
    net.hubs[NL].handle_message(session, Message::Hello(Hello::ours()), now);
    for (talkgroup, cause) in [("nl/pol-1", wire::DenyCause::NotAffiliated), ("nl/none", wire::DenyCause::UnknownTalkgroup)] {
        while net.hubs[NL].poll_output().is_some() {}
        let request = Request { request: RequestId(1), priority: Priority::default(), talker: None, continuing: None };
        let floor = Floor { talkgroup: talkgroup.parse().unwrap(), party: None, body: FloorBody::Request(request) };
        net.hubs[NL].handle_message(session, Message::Floor(floor), now);
        let Some(Output::Control(_, Message::Floor(answer))) = net.hubs[NL].poll_output() else { panic!("no answer") };
        assert_eq!(answer.body, FloorBody::Deny { request: RequestId(1), cause });
    }
}

fn talker(identity: &str) -> Talker {
    Talker { identity: identity.parse().unwrap(), alias: String::new(), agency: String::new() }
}

#[test]
fn a_peer_that_speaks_for_another_authority_is_not_believed() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let c = net.unit("be/unit/c", "be/lux-3");
    net.told(a);
    net.told(c);
    let (border, now) = (net.border_session(), net.now);
    // The partner asks for a unit of the home's authority, and of a third one.
    for liar in ["nl/unit/a", "de/unit/x"] {
        let request =
            Request { request: RequestId(9), priority: Priority::of(Tier::Emergency), talker: Some(talker(liar)), continuing: None };
        let party = Some(liar.parse().unwrap());
        let floor = Floor { talkgroup: "nl/pol-1".parse().unwrap(), party, body: FloorBody::Request(request) };
        net.hubs[NL].handle_message(border, Message::Floor(floor), now);
        net.settle();
        assert_eq!(net.talker(NL), None, "{liar}");
        let end = Message::EmergencyEnd { talkgroup: "nl/pol-1".parse().unwrap(), party: Some(liar.parse().unwrap()) };
        net.hubs[NL].handle_message(border, end, now);
    }
    // The home tells of a talker of a third authority that no agreement lists under onward.
    let taken = Taken { spurt: Spurt::from_bits(0x7f00_0001), talker: talker("de/unit/x"), tier: Tier::Normal, via: None, elapsed_ms: 0 };
    let floor = Floor { talkgroup: "nl/pol-1".parse().unwrap(), party: None, body: FloorBody::Taken(taken) };
    net.hubs[BE].handle_message(border, Message::Floor(floor), now);
    net.settle();
    assert_eq!(net.talker(BE), None);
    assert!(!words(&net.told(c)).iter().any(|w| w.starts_with("taken")));
    net.drop_link();
    let times = |event: &hub::Event| if let hub::Event::Misbehaved { times, .. } = event { *times } else { 0 };
    // Each request and each end.
    assert_eq!(net.events[NL].iter().map(times).sum::<u64>(), 4);
}

#[test]
fn a_shutdown_tells_every_session() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let now = net.now;
    net.hubs[NL].drain(now);
    net.settle();
    assert_eq!(net.units[a].ended, Some(Reason::ShuttingDown));
    assert_eq!(net.bridge(BE), "away");
}
