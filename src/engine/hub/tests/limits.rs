//! Floods: who sends too much is limited, told, and at last disconnected; nobody else notices.

use bytes::Bytes;
use wire::control::{Floor, FloorBody, Hello, Message, Request, Sync, Talker};
use wire::datagram::{Datagram, Heartbeat, Voice};
use wire::{Epoch, Handle, Priority, Reason, RequestId, Seq, SessionId, Spurt, Tier};

use super::net::{NL, Net};
use super::unit::{be, ms, nl, words};
use crate::hub::{Caller, Event, Output};
use crate::plan::Talkgroup;

/// Two units of nl that have joined, and the session of the first.
fn two() -> (Net, [usize; 2], SessionId) {
    let mut net = Net::joined(nl(), be());
    let units = [net.unit("nl/unit/a", "nl/pol-1"), net.unit("nl/unit/b", "nl/pol-1")];
    let session = net.units[units[0]].session.unwrap();
    (net, units, session)
}

/// A hold beat: it passes like voice, and no ear of the bench has to make sense of it.
fn voice(spurt: Spurt, seq: u16) -> Bytes {
    let (handle, seq, payload) = (Handle(1), Seq(seq), Bytes::new());
    let tier = Tier::Normal;
    Voice { handle, spurt, seq, first: seq == Seq(0), last: false, tier, encrypted: false, repeats: Vec::new(), payload }.encode()
}

/// One datagram reaches the gateway of nl; nothing is delivered yet.
fn arrive(net: &mut Net, session: SessionId, datagram: Bytes) {
    let now = net.now;
    net.hubs[NL].handle_datagram(session, datagram, now);
}

fn blamed(net: &Net) -> Vec<(String, &'static str, u64)> {
    let one = |event: &Event| match event {
        Event::Misbehaved { identity, what, times, .. } => Some((identity.to_string(), *what, *times)),
        Event::SessionUp(..)
        | Event::SessionDown(..)
        | Event::JoinRefused(..)
        | Event::Call(_)
        | Event::Denied { .. }
        | Event::Emergency { .. }
        | Event::Bridge { .. }
        | Event::Crossing { .. }
        | Event::Epoch(_)
        | Event::Unheard { .. } => None,
    };
    net.events[NL].iter().filter_map(one).collect()
}

fn press(net: &mut Net, session: SessionId, request: u32, tier: Tier) -> Vec<FloorBody> {
    let request = Request { request: RequestId(request), priority: Priority::of(tier), talker: None, continuing: None };
    let floor = Floor { talkgroup: "nl/pol-1".parse().unwrap(), party: None, body: FloorBody::Request(request) };
    let now = net.now;
    net.hubs[NL].handle_message(session, Message::Floor(floor), now);
    let mut answers = Vec::new();
    while let Some(output) = net.hubs[NL].poll_output() {
        if let Output::Control(to, Message::Floor(floor)) = output
            && to == session
        {
            answers.push(floor.body);
        }
    }
    answers
}

#[test]
fn presses_beyond_the_rate_are_denied_by_name_and_an_emergency_never() {
    let (mut net, _, session) = two();
    let limited =
        |answers: &[FloorBody]| answers.iter().any(|body| matches!(body, FloorBody::Deny { cause: wire::DenyCause::RateLimited, .. }));
    let denied = (1..=40).filter(|request| limited(&press(&mut net, session, *request, Tier::Normal))).count();
    assert_eq!(denied, 20);
    assert!(!limited(&press(&mut net, session, 41, Tier::Emergency)));
    net.run(1_000);
    assert!(!limited(&press(&mut net, session, 42, Tier::Normal)));
}

#[test]
fn refusals_without_end_are_all_told_and_recorded_in_part() {
    let (mut net, _, session) = two();
    let now = net.now;
    for _ in 0..300 {
        net.hubs[NL].handle_message(session, Message::Affiliate("nl/none".parse().unwrap()), now);
    }
    let mut told = 0;
    while let Some(output) = net.hubs[NL].poll_output() {
        told += usize::from(matches!(output, Output::Control(_, Message::AffiliateRefused(_, Reason::UnknownTalkgroup))));
    }
    net.settle();
    let recorded = net.events[NL].iter().filter(|event| matches!(event, Event::JoinRefused(..))).count();
    assert_eq!((told, recorded), (300, 64));
}

#[test]
fn a_unit_that_sends_messages_without_end_loses_its_session() {
    let (mut net, [a, _], session) = two();
    let now = net.now;
    for _ in 0..500 {
        net.hubs[NL].handle_message(session, Message::Deaffiliate("nl/none".parse().unwrap()), now);
    }
    net.settle();
    assert_eq!(net.units[a].ended, Some(Reason::ProtocolViolation));
    assert_eq!(blamed(&net), [("nl/unit/a".into(), "too many messages", 1)]);
}

#[test]
fn three_malformed_datagrams_are_borne_in_a_second_and_no_fourth() {
    let (mut net, [a, _], session) = two();
    for second in 0..5 {
        for _ in 0..3 {
            arrive(&mut net, session, Bytes::from_static(&[0x10, 1, 2]));
        }
        net.run(1_000);
        assert_eq!(net.units[a].ended, None, "second {second}");
    }
    for _ in 0..4 {
        arrive(&mut net, session, Bytes::from_static(&[0x10, 1, 2]));
    }
    net.settle();
    assert_eq!(net.units[a].ended, Some(Reason::Malformed));
    assert_eq!(blamed(&net).iter().map(|(.., times)| times).sum::<u64>(), 19);
}

#[test]
fn a_flood_of_voice_is_limited_then_muted_then_disconnected_and_a_new_login_is_no_new_budget() {
    let (mut net, [a, b], session) = two();
    net.press(a, Priority::default());
    let spurt = net.granted(a);
    net.units[a].key = false;
    for seq in 0..2_000 {
        arrive(&mut net, session, voice(spurt, seq));
    }
    net.settle();
    assert!(net.levels.len() <= 2 * 64, "{} frames passed", net.levels.len());
    assert!(words(&net.told(a)).contains(&"revoked no_permission".into()), "whoever is muted hears so");
    assert_eq!(blamed(&net), [("nl/unit/a".into(), "flood of datagrams, muted for 10 s", 1)]);
    // The floor is free for others, and the muted one is denied, but for an emergency.
    net.run(500);
    net.press(a, Priority::default());
    assert_eq!(words(&net.told(a)), ["requested", "denied rate_limited"]);
    net.say(b, 300);
    assert_eq!(net.units[a].ended, None);
    net.press(a, Priority::of(Tier::Emergency));
    assert!(net.units[a].talks());
    net.release(a);
    net.run(10_500);
    // It floods again, then once more after a new login.
    for login in 0..2 {
        let session = net.units[a].session.unwrap();
        for seq in 0..2_000 {
            arrive(&mut net, session, voice(Spurt::from_bits(9), seq));
        }
        net.settle();
        assert_eq!(net.units[a].ended.take(), Some(Reason::Flooding), "login {login}");
        net.login(a);
    }
    net.run(500);
    assert_eq!(net.units[a].ended, None, "in order it may stay");
}

#[test]
fn heartbeats_and_datagrams_of_later_versions_are_limited_too() {
    let beat = Datagram::Heartbeat(Heartbeat { seq: 7, echo: 0 }).encode();
    for (what, datagram) in [("beats", beat), ("later", Bytes::from_static(&[0xf0, 1, 2, 3]))] {
        let (mut net, [a, _], session) = two();
        let mut echoes = 0;
        for _ in 0..1_000 {
            arrive(&mut net, session, datagram.clone());
            while let Some(output) = net.hubs[NL].poll_output() {
                echoes += usize::from(matches!(output, Output::Datagram(..)));
            }
        }
        assert!(echoes <= 20, "{what}: {echoes} echoes");
        net.settle();
        assert_eq!(blamed(&net).len(), 1, "{what}");
        net.run(10_500);
        assert_eq!(net.units[a].ended, None, "{what}: it lives on in order");
        for _ in 0..1_000 {
            arrive(&mut net, session, datagram.clone());
        }
        net.settle();
        assert_eq!(net.units[a].ended, Some(Reason::Flooding), "{what}");
    }
}

#[test]
fn more_than_64_joins_are_refused_by_their_own_name() {
    let mut home = nl();
    home.talkgroups = (0..70).map(|n| Talkgroup { id: format!("nl/tg-{n}").parse().unwrap(), ..home.talkgroups[0].clone() }).collect();
    home.bridges.clear();
    let mut net = Net::apart(home, be());
    let a = net.unit("nl/unit/a", "nl/tg-0");
    for n in 1..66 {
        net.units[a].handset.join(format!("nl/tg-{n}").parse().unwrap());
    }
    net.settle();
    assert_eq!(words(&net.told(a)), ["affiliate_refused too_many_talkgroups"; 2]);
}

// === Peers ===

fn request_of_be(request: u32, unit: &str) -> Message {
    let talker = Talker { identity: unit.parse().unwrap(), alias: String::new(), agency: String::new() };
    let party = Some(talker.identity.clone());
    let request = Request { request: RequestId(request), priority: Priority::default(), talker: Some(talker), continuing: None };
    Message::Floor(Floor { talkgroup: "nl/pol-1".parse().unwrap(), party, body: FloorBody::Request(request) })
}

#[test]
fn a_peer_that_floods_requests_is_denied_and_named_and_its_bridge_goes_on() {
    let (mut net, [a, _], _) = two();
    let c = net.unit("be/unit/c", "be/lux-3");
    let (border, now) = (net.border_session(), net.now);
    let mut limited = 0;
    for request in 1..=400 {
        net.hubs[NL].handle_message(border, request_of_be(request, &format!("be/unit/x{request}")), now);
        while let Some(output) = net.hubs[NL].poll_output() {
            let Output::Control(to, Message::Floor(floor)) = output else { continue };
            limited += usize::from(to == border && matches!(floor.body, FloorBody::Deny { cause: wire::DenyCause::RateLimited, .. }));
        }
    }
    assert_eq!(limited, 200);
    net.settle();
    assert_eq!(blamed(&net), [("be/gateway/gw-1".into(), "more requests than its bridges need", 1)]);
    net.run(10_000);
    net.say(c, 300);
    assert!(!net.units[a].ear.is_empty());
    assert_eq!(blamed(&net).iter().map(|(.., times)| times).sum::<u64>(), 1, "the rest is told with the next breach");
}

#[test]
fn a_peer_that_syncs_or_talks_without_end_loses_its_session() {
    for message in [
        Message::Sync(Box::new(Sync {
            talkgroup: "nl/pol-1".parse().unwrap(),
            handle: Handle(1),
            epoch: Epoch(0),
            holder: None,
            emergency: Vec::new(),
        })),
        Message::EmergencyEnd { talkgroup: "nl/pol-1".parse().unwrap(), party: Some("be/unit/c".parse().unwrap()) },
    ] {
        let (mut net, ..) = two();
        let (border, now) = (net.border_session(), net.now);
        for _ in 0..1_500 {
            net.hubs[NL].handle_message(border, message.clone(), now);
            while net.hubs[NL].poll_output().is_some() {}
        }
        net.settle();
        let down = net.events[NL].iter().find_map(|event| if let Event::SessionDown(s, _, why) = event { Some((*s, *why)) } else { None });
        assert_eq!(down, Some((border, Reason::ProtocolViolation)), "{message:?}");
    }
}

#[test]
fn a_peer_that_sends_more_voice_than_its_bridges_carry_is_cut_short_and_named() {
    let (mut net, ..) = two();
    let c = net.unit("be/unit/c", "be/lux-3");
    net.press(c, Priority::default());
    let spurt = net.granted(c);
    net.units[c].key = false;
    let (border, mut passed) = (net.border_session(), 0);
    for seq in 0..1_000 {
        arrive(&mut net, border, voice(spurt, seq));
        while let Some(output) = net.hubs[NL].poll_output() {
            passed += usize::from(matches!(output, Output::Voice(_)));
        }
    }
    assert_eq!(passed, 128);
    net.settle();
    assert_eq!(blamed(&net), [("be/gateway/gw-1".into(), "more voice than its bridges carry", 1)]);
    net.now += ms(2_000);
    arrive(&mut net, border, voice(spurt, 1_000));
    assert!(net.hubs[NL].has_output(), "its budget fills again");
}

#[test]
fn a_unit_that_comes_again_and_again_is_turned_away_and_keeps_the_session_that_it_has() {
    let (mut net, _, _) = two();
    let caller = Caller { identity: "nl/unit/evil".parse().unwrap(), alias: String::new(), agency: String::new() };
    let come = |net: &mut Net, number: u64| {
        let (session, now) = (SessionId(1_000 + number), net.now);
        net.hubs[NL].handle_connected(session, caller.clone(), false, now);
        net.hubs[NL].handle_message(session, Message::Hello(Hello::ours()), now);
        let said = std::iter::from_fn(|| net.hubs[NL].poll_output());
        said.filter(|output| matches!(output, Output::Control(to, Message::Welcome(_)) if *to == session)).count()
    };
    let let_in: usize = (0..40_u64).map(|number| come(&mut net, number)).sum();
    assert_eq!(let_in, 10);
    assert!(net.hubs[NL].has_session(&"nl/unit/evil".parse().unwrap()), "the last that was let in stays");
    net.run(1_100);
    assert_eq!(come(&mut net, 50), 1, "and later it may come again");
    assert!(blamed(&net).iter().any(|(who, what, _)| who == "nl/unit/evil" && *what == "too many sessions"));
}
