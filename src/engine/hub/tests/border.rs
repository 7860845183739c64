//! The border link is cut and heals, with and without talkers.

use bytes::Bytes;
use wire::control::{Floor, FloorBody, Holder, Idle, Message, Release, Request, Sync, Taken, Talker};
use wire::datagram::Voice;
use wire::{Epoch, Handle, Level, Priority, RequestId, RevokeCause, Seq, Spurt, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, revoked, words};
use crate::floor::table::State;
use crate::handset::Event;
use crate::hub::Output;
use crate::hub::status::Mode;

/// A talks in nl, c in be, b and d listen.
fn four() -> (Net, [usize; 4]) {
    let mut net = Net::joined(nl(), be());
    let units = ["nl/unit/a", "nl/unit/b", "be/unit/c", "be/unit/d"].map(|name| {
        let talkgroup = if name.starts_with("nl") { "nl/pol-1" } else { "be/lux-3" };
        net.unit(name, talkgroup)
    });
    for unit in units {
        net.told(unit);
    }
    (net, units)
}

fn heard_from(net: &Net, ear: usize, speaker: usize) -> usize {
    net.units[ear].ear.iter().filter(|(who, _)| *who == speaker).count()
}

#[test]
fn a_talker_at_the_partner_goes_on_after_a_cut_under_a_fresh_grant() {
    let (mut net, [_, b, c, d]) = four();
    net.press(c, Priority::default());
    net.run(600);
    net.cut();
    net.run(Net::NOTICED);
    assert_eq!((net.mode(NL), net.mode(BE)), (Mode::CutOff, Mode::CutOff));
    let grants: Vec<_> = net.told(c).into_iter().filter_map(|e| if let Event::Granted(_, g) = e { Some(g) } else { None }).collect();
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[0].request, grants[1].request);
    assert!(grants[1].spurt.is_after(grants[0].spurt) && grants[1].own_side_only);
    net.run(500);
    net.release(c);
    net.run(500);
    assert_eq!(heard_from(&net, d, c), net.units[c].out.len(), "no local speech is lost");
    let begins = net.told(d).iter().filter(|event| matches!(event, Event::FirstAudio(..))).count();
    assert_eq!(begins, 1, "one voice begins once, under whatever numbers it goes on and ends");
    let told = words(&net.told(b));
    assert!(told.contains(&"lost".into()) && told.contains(&"far be away".into()), "{told:?}");
    net.assert_quiet();
}

#[test]
fn a_press_after_a_release_that_the_home_has_not_answered_is_decided_at_the_cut() {
    for tier in Tier::ALL {
        let (mut net, [_, _, c, _]) = four();
        net.press(c, Priority::default());
        net.run(300);
        net.cut();
        net.release(c);
        net.press(c, Priority::of(tier));
        assert!(!net.units[c].talks());
        net.drop_link();
        assert!(net.units[c].talks(), "{tier}: at once, not when the unit asks again");
        net.release(c);
        net.run(500);
        net.assert_quiet();
    }
}

#[test]
fn a_talker_at_home_goes_on_after_a_cut_and_ends_as_lost_at_the_partner() {
    let (mut net, [a, b, c, _]) = four();
    net.press(a, Priority::default());
    net.run(600);
    net.cut();
    net.run(Net::NOTICED);
    let told = words(&net.told(c));
    assert!(told.contains(&"lost".into()) && told.contains(&"far nl away".into()), "{told:?}");
    net.press(c, Priority::default());
    net.run(300);
    assert_eq!((net.talker(NL), net.talker(BE)), (Some("nl/unit/a".into()), Some("be/unit/c".into())));
    net.release(a);
    net.release(c);
    net.run(500);
    assert_eq!(heard_from(&net, b, a), net.units[a].out.len());
    net.assert_quiet();
}

#[test]
fn requests_that_waited_at_the_home_are_decided_by_the_partner_after_a_cut() {
    let (mut net, [a, _, c, d]) = four();
    net.press(a, Priority::default());
    net.press(c, Priority::normal(10));
    net.press(d, Priority::normal(20));
    net.cut();
    net.run(Net::NOTICED);
    assert_eq!(net.floor(BE), (State::Taken, Some("be/unit/d".into()), vec!["be/unit/c".into()]));
    assert_eq!(net.floor(NL).2, Vec::<String>::new());
    for unit in [a, c, d] {
        net.release(unit);
    }
    net.run(500);
    net.assert_quiet();
}

/// Both sides talk alone, the link heals.
fn both_talk(nl_level: u8, be_level: u8) -> (Net, [usize; 4]) {
    let (mut net, units) = four();
    net.cut();
    net.run(Net::NOTICED);
    net.press(units[0], Priority::normal(nl_level));
    net.press(units[2], Priority::normal(be_level));
    net.run(400);
    for unit in units {
        net.told(unit);
    }
    net.heal();
    (net, units)
}

#[test]
fn after_a_heal_the_home_wins_a_tie_and_the_loser_is_told() {
    let (mut net, [a, b, c, d]) = both_talk(16, 16);
    assert_eq!((net.talker(NL), net.talker(BE)), (Some("nl/unit/a".into()), Some("nl/unit/a".into())));
    assert!(revoked(&net.told(c), RevokeCause::Displaced));
    net.run(500);
    assert!(heard_from(&net, d, a) > 0 && heard_from(&net, b, c) == 0);
    net.release(a);
    net.release(c);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn after_a_heal_the_higher_level_wins_from_either_side() {
    let (mut net, [a, b, c, _]) = both_talk(10, 20);
    assert!(revoked(&net.told(a), RevokeCause::Preempted));
    net.run(600);
    assert_eq!((net.talker(NL), net.talker(BE)), (Some("be/unit/c".into()), Some("be/unit/c".into())));
    assert!(!words(&net.told(c)).iter().any(|w| w.starts_with("revoked")), "the winner goes on");
    net.run(500);
    assert!(heard_from(&net, b, c) > 0);
    net.release(a);
    net.release(c);
    net.run(500);
    net.assert_quiet();

    let (mut net, [a, _, c, _]) = both_talk(20, 10);
    assert!(revoked(&net.told(c), RevokeCause::Displaced));
    assert!(net.units[a].talks());
}

#[test]
fn after_a_heal_a_partner_that_talks_alone_is_heard_at_home_again() {
    let (mut net, [a, b, c, d]) = four();
    net.cut();
    net.run(Net::NOTICED);
    net.press(c, Priority::default());
    net.run(400);
    net.heal();
    net.run(400);
    assert_eq!((net.talker(NL), net.talker(BE)), (Some("be/unit/c".into()), Some("be/unit/c".into())));
    net.release(c);
    net.run(500);
    assert!(heard_from(&net, a, c) > 10 && heard_from(&net, b, c) > 10);
    assert!(heard_from(&net, d, c) + 2 >= net.units[c].out.len(), "nearly all is heard at home side");
    net.assert_quiet();
}

/// Presses and releases around the exchange of *sync*, packet by packet.
#[test]
fn a_press_or_release_during_the_sync_never_splits_the_views() {
    for seed in 1..=200u64 {
        let (mut net, [a, b, c, d]) = four();
        net.drop_link();
        if seed % 2 == 0 {
            net.press(c, Priority::default());
        }
        if seed % 3 == 0 {
            net.press(a, Priority::default());
        }
        net.run(200);
        net.shuffle = Some(seed);
        // Connect without delivering: every action below falls between two packets.
        net.heal_slowly();
        let mut state = seed;
        for _ in 0..30 {
            let unit = [a, b, c, d][super::unit::random(&mut state, 4)];
            let now = net.now;
            if net.units[unit].key {
                net.units[unit].key_up(now)
            } else {
                net.units[unit].press(Priority::default(), now)
            }
            for _ in 0..super::unit::random(&mut state, 6) {
                net.step();
            }
        }
        net.run(700);
        assert_eq!(net.talker(NL), net.talker(BE), "seed {seed}");
        for unit in [a, b, c, d] {
            let talks = net.talker(NL) == Some(net.units[unit].identity.to_string());
            assert_eq!(net.units[unit].talks(), talks, "seed {seed}: {}", net.units[unit].identity);
            net.release(unit);
        }
        net.run(3_500);
        net.assert_quiet();
    }
}

#[test]
fn a_late_frame_of_a_spurt_that_the_home_has_ended_begins_nothing() {
    let (mut net, _) = four();
    let (session, now) = (net.border_session(), net.now);
    let hub = &mut net.hubs[BE];
    let spurt = hub.views.values().next().unwrap().gate.newest().next();
    let body = FloorBody::Idle(Idle { spurt, last_seq: Some(Seq(0)), cause: None, followed: false });
    hub.handle_message(session, Message::Floor(Floor { talkgroup: "nl/pol-1".parse().unwrap(), party: None, body }), now);
    let (handle, tier, payload) = (Handle(1), Tier::Normal, Bytes::from_static(&[0; 8]));
    let late = Voice { handle, spurt, seq: Seq(0), first: true, last: false, tier, encrypted: false, repeats: Vec::new(), payload };
    hub.handle_datagram(session, late.encode(), now);
    assert_eq!(net.floor(BE).0, State::Idle, "nobody would ever end it");
}

#[test]
fn the_link_is_held_down_after_three_falls() {
    let mut net = Net::joined(nl(), be());
    for _ in 0..3 {
        net.drop_link();
        net.run(1_000);
        net.heal();
    }
    assert_eq!((net.bridge(NL), net.bridge(BE)), ("away", "away"));
    assert!(net.hubs[NL].held_until(&net.plans[BE].gateway, net.now).is_some());
    net.run(10_000);
    net.heal();
    assert_eq!((net.bridge(NL), net.bridge(BE)), ("active", "active"));
}

#[test]
fn a_second_session_of_a_peer_replaces_the_first() {
    let (mut net, [a, _, c, d]) = four();
    net.press(c, Priority::default());
    net.run(200);
    net.heal();
    net.run(400);
    assert_eq!((net.bridge(NL), net.bridge(BE)), ("active", "active"));
    assert_eq!((net.talker(NL), net.talker(BE)), (Some("be/unit/c".into()), Some("be/unit/c".into())));
    net.release(c);
    net.run(500);
    assert!(heard_from(&net, a, c) > 20 && heard_from(&net, d, c) > 20);
    net.assert_quiet();
}

/// Whether each of the two hears all that the other says.
fn assert_they_hear_each_other(net: &mut Net, [a, c]: [usize; 2], what: &str) {
    for (talker, listener) in [(a, c), (c, a)] {
        let before = [net.units[talker].out.len(), net.units[listener].ear.len()];
        net.say(talker, 100);
        let [said, heard] = [net.units[talker].out.len() - before[0], net.units[listener].ear.len() - before[1]];
        assert!(said > 0 && heard == said, "{what}: {heard} of {said} frames of unit {talker} heard");
    }
    net.assert_quiet();
}

/// Units that heard no number for half the circle of epochs would take the next one for old.
#[test]
fn a_bridge_set_up_anew_again_and_again_in_silence_leaves_everybody_hearing() {
    for rounds in 60..140 {
        let mut net = Net::joined(nl(), be());
        let pair = [net.unit("nl/unit/a", "nl/pol-1"), net.unit("be/unit/c", "be/lux-3")];
        for round in 0..rounds {
            net.plan(BE, |p| p.bridges[0].inbound.ceiling.level = Level(round));
            // More than one sync a second is not borne.
            net.run(1_000);
        }
        assert_they_hear_each_other(&mut net, pair, &format!("after {rounds} rounds"));
    }
}

#[test]
fn gateways_meet_whatever_epochs_they_come_from() {
    for far in 0..=255 {
        let mut net = Net::apart_in(nl(), be(), [3, 3_u8.wrapping_add(far)]);
        let pair = [net.unit("nl/unit/a", "nl/pol-1"), net.unit("be/unit/c", "be/lux-3")];
        net.heal();
        assert_they_hear_each_other(&mut net, pair, &format!("{far} epochs apart"));
        net.drop_link();
        let d = net.unit("be/unit/d", "be/lux-3");
        net.say(d, 100);
        let heard = net.units[pair[1]].ear.iter().filter(|(who, _)| *who == d).count();
        assert_eq!(heard, net.units[d].out.len(), "{far} epochs apart, alone again");
    }
}

#[test]
fn requests_of_equal_priority_keep_their_order_across_a_cut() {
    let (mut net, [a, _, c, d]) = four();
    net.press(a, Priority::default());
    // The later login asks first.
    net.press(d, Priority::default());
    net.press(c, Priority::default());
    net.drop_link();
    assert_eq!(net.floor(BE), (State::Taken, Some("be/unit/d".into()), vec!["be/unit/c".into()]));
    for unit in [a, c, d] {
        net.release(unit);
    }
    net.run(500);
    net.assert_quiet();
}

#[test]
fn neither_cuts_nor_heals_stretch_the_talk_limit() {
    let mut plans = [nl(), be()];
    for plan in &mut plans {
        plan.talkgroups[0].timers.t2 = super::unit::ms(3_000);
    }
    let [home, partner] = plans;
    for talker in ["nl/unit/a", "be/unit/c"] {
        let mut net = Net::joined(home.clone(), partner.clone());
        let units = ["nl/unit/a", "be/unit/c"].map(|name| net.unit(name, if name.starts_with("nl") { "nl/pol-1" } else { "be/lux-3" }));
        let [own, far] = if talker == "nl/unit/a" { units } else { [units[1], units[0]] };
        net.press(own, Priority::default());
        for _ in 0..2 {
            net.run(900);
            net.drop_link();
            net.run(300);
            net.heal();
        }
        let told = net.told(far);
        let taken = told.iter().rev().find_map(|event| if let Event::Taken(_, taken) = event { Some(taken) } else { None }).unwrap();
        assert!((2_350..=2_450).contains(&taken.elapsed_ms), "{talker}: shown as talking for {} ms", taken.elapsed_ms);
        net.run(500);
        assert!(net.units[own].talks(), "{talker}");
        net.run(200);
        assert!(revoked(&net.told(own), RevokeCause::TalkLimit), "{talker}: 3 s are over");
        net.release(own);
        net.run(500);
        net.assert_quiet();
    }
}

/// The reach of the newest grant a unit was told of.
fn reach(net: &mut Net, unit: usize) -> &'static str {
    let own = |event: &Event| if let Event::Granted(_, granted) = event { Some(granted.own_side_only) } else { None };
    if net.told(unit).iter().rev().find_map(own).unwrap() { "own_side" } else { "all" }
}

#[test]
fn the_reach_of_a_grant_is_the_truth_whatever_the_bridge_lacks() {
    type Case = (&'static str, fn(&mut Net), &'static str);
    let cases: [Case; 6] = [
        ("whole", |_| {}, "all"),
        ("never connected", |net| net.drop_link(), "own_side"),
        ("lets nothing out", |net| net.plan(NL, |plan| plan.bridges[0].outbound.talk = false), "own_side"),
        ("the other side lets nothing in", |net| net.plan(BE, |plan| plan.bridges[0].inbound.talk = false), "own_side"),
        ("withdrawn by the other side", |net| net.plan(BE, |plan| plan.bridges.clear()), "own_side"),
        ("not configured", |net| net.plan(NL, |plan| plan.bridges.clear()), "all"),
    ];
    for (what, change, expected) in cases {
        let (mut net, [a, ..]) = four();
        change(&mut net);
        net.press(a, Priority::default());
        assert_eq!(reach(&mut net, a), expected, "{what}");
        net.release(a);
        net.run(300);
        // And in mid-call: the grant is said again, under the number it has or a new one.
        let (mut net, [a, ..]) = four();
        net.press(a, Priority::default());
        net.run(100);
        change(&mut net);
        assert_eq!(reach(&mut net, a), expected, "{what}, in mid-call");
        net.release(a);
    }
}

/// A third country that comes and goes has the home renumber; the partner hears of it in what the home says next.
#[test]
fn a_partner_keeps_the_epochs_that_its_home_begins_for_others() {
    let (mut net, [a, _, c, _]) = four();
    let kept = |net: &Net| {
        net.events[BE].iter().rev().find_map(|event| if let crate::hub::Event::Epoch(epoch) = event { Some(*epoch) } else { None })
    };
    net.say(c, 100);
    let before = kept(&net).expect("the sync's epoch");
    // As if the home had met somebody else: what it says next is of a newer epoch.
    let newer = before.next();
    let spurt = Spurt::start_of(newer).next();
    let talker = Talker { identity: net.units[a].identity.clone(), alias: String::new(), agency: String::new() };
    let taken = Taken { spurt, talker, tier: Tier::Normal, via: None, elapsed_ms: 0 };
    let floor = Floor { talkgroup: "nl/pol-1".parse().unwrap(), party: None, body: FloorBody::Taken(taken) };
    let (session, now) = (net.border_session(), net.now);
    net.hubs[BE].handle_message(session, Message::Floor(floor), now);
    net.settle();
    assert_eq!(kept(&net), Some(newer));
}

/// A partner whose talker has released, and that went on alone with the next request, comes back while the home still awaits the last
/// frame: the grant that follows is said under its old number before the sync, or the home would be taken for a liar.
#[test]
fn a_home_says_nothing_under_an_old_number_after_its_sync() {
    let (mut net, _) = four();
    let (session, now) = (net.border_session(), net.now);
    let talker = Talker { identity: "be/unit/c".parse().unwrap(), alias: String::new(), agency: String::new() };
    let priority = Priority::of(Tier::Emergency);
    let floor = |body| Message::Floor(Floor { talkgroup: "nl/pol-1".parse().unwrap(), party: Some(talker.identity.clone()), body });
    let asks = |request| {
        floor(FloorBody::Request(Request { request: RequestId(request), priority, talker: Some(talker.clone()), continuing: None }))
    };
    let release = Release { request: RequestId(1), last_seq: Some(Seq(50)), key_down: false };
    let holder = Holder { request: RequestId(2), priority, talker: talker.clone(), elapsed_ms: 10 };
    let epoch = Epoch(251);
    let (talkgroup, emergency) = ("nl/pol-1".parse().unwrap(), vec![talker.identity.clone()]);
    let sync = Message::Sync(Box::new(Sync { talkgroup, handle: Handle(1), epoch, holder: Some(holder), emergency }));
    let mut answered = None;
    for message in [asks(1), floor(FloorBody::Release(release)), asks(2), sync] {
        net.hubs[NL].handle_message(session, message, now);
        while let Some(output) = net.hubs[NL].poll_output() {
            let Output::Control(to, message) = output else { continue };
            if let (true, Message::Sync(sync)) = (to == session, &message) {
                answered = Some(sync.epoch);
            }
            if let Message::Floor(Floor { body: FloorBody::Granted(granted), .. }) = message {
                assert!(answered.is_none_or(|epoch| granted.spurt.epoch == epoch), "{granted:?} after sync {answered:?}");
            }
        }
    }
    assert!(answered.is_some());
}
