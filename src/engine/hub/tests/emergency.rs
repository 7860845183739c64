//! Emergencies: who is cut, who learns of it, who may end it, and what happens when the home does not take it.

use wire::control::{Floor, FloorBody, Granted, Idle, Message, Revoke};
use wire::{Epoch, Identity, Priority, RevokeCause, Spurt, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, revoked, words};
use crate::handset::Event;
use crate::hub::status::Mode;

const SOS: Tier = Tier::Emergency;

fn trio() -> (Net, [usize; 3]) {
    let mut net = Net::joined(nl(), be());
    let units = [net.unit("nl/unit/a", "nl/pol-1"), net.unit("be/unit/c", "be/lux-3"), net.unit("be/unit/d", "be/lux-3")];
    for unit in units {
        net.told(unit);
    }
    (net, units)
}

#[test]
fn an_emergency_from_the_partner_cuts_the_home_talker_at_once() {
    let (mut net, [a, c, d]) = trio();
    net.press(a, Priority::normal(64));
    net.run(300);
    net.press(c, Priority::of(SOS));
    assert!(net.units[c].talks());
    assert!(revoked(&net.told(a), RevokeCause::Preempted));
    assert_eq!((net.talker(NL), net.talker(BE)), (Some("be/unit/c".into()), Some("be/unit/c".into())));
    let told = words(&net.told(d));
    assert!(told.contains(&"taken be/unit/c emergency".into()) && told.contains(&"emergency true be/unit/c".into()), "{told:?}");
    net.run(500);
    assert!(net.units[a].ear.iter().any(|(who, _)| *who == c));
    net.release(a);
    net.release(c);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn a_raise_in_mid_call_crosses_the_border_under_the_same_spurt() {
    let (mut net, [a, c, _]) = trio();
    net.press(c, Priority::default());
    net.run(300);
    let before = net.told(c);
    net.press(c, Priority::of(SOS));
    net.run(100);
    let spurt = |events: &[Event]| events.iter().find_map(|e| if let Event::Granted(_, g) = e { Some((g.spurt, g.request)) } else { None });
    let after = net.told(c);
    assert_eq!(spurt(&before), spurt(&after));
    assert_eq!(words(&after), ["emergency true be/unit/c", "granted emergency"]);
    assert!(words(&net.told(a)).contains(&"taken be/unit/c emergency".into()));
    net.release(c);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn nobody_but_a_dispatcher_takes_the_floor_from_an_emergency() {
    let (mut net, [a, c, _]) = trio();
    let chief = net.unit("be/dispatcher/chief", "be/lux-3");
    net.press(a, Priority::of(SOS));
    net.run(100);
    net.press(c, Priority { level: wire::Level(255), ..Priority::of(SOS) });
    net.run(100);
    assert_eq!(net.talker(BE), Some("nl/unit/a".into()));
    net.press(chief, Priority::of(SOS));
    assert_eq!(net.talker(NL), Some("be/dispatcher/chief".into()));
    for unit in [a, c, chief] {
        net.release(unit);
    }
    net.run(1_000);
    net.assert_quiet();
}

#[test]
fn the_group_emergency_is_learnt_by_late_joiners_and_ended_only_by_who_may() {
    let (mut net, [a, c, d]) = trio();
    net.press(c, Priority::of(SOS));
    net.run(200);
    net.release(c);
    net.run(500);
    let late = [net.unit("nl/unit/b", "nl/pol-1"), net.unit("be/unit/e", "be/lux-3")];
    for unit in late {
        assert!(words(&net.told(unit)).contains(&"emergency true be/unit/c".into()));
    }
    for stranger in [a, d] {
        net.units[stranger].end_emergency();
        net.settle();
        assert_eq!(net.hubs[NL].status(net.now).talkgroups[0].emergency.len(), 1, "ended by {}", net.units[stranger].identity);
    }
    net.units[c].end_emergency();
    net.settle();
    for (hub, unit) in [(NL, a), (BE, d)] {
        assert_eq!(net.hubs[hub].status(net.now).talkgroups[0].emergency, []);
        assert_eq!(words(&net.told(unit)).last().map(String::as_str), Some("emergency false be/unit/c"));
    }
}

#[test]
fn a_dispatcher_of_the_home_ends_the_group_emergency() {
    let (mut net, [_, c, d]) = trio();
    let chief = net.unit("nl/dispatcher/chief", "nl/pol-1");
    net.press(c, Priority::of(SOS));
    net.run(200);
    net.units[chief].end_emergency();
    net.settle();
    assert_eq!(words(&net.told(d)).last().map(String::as_str), Some("emergency false nl/dispatcher/chief"));
    net.release(c);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn an_emergency_that_the_home_does_not_admit_is_granted_on_the_own_side_and_joins_again_later() {
    let mut shut = be();
    shut.bridges[0].outbound.emergency = false;
    let mut net = Net::joined(nl(), shut);
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let c = net.unit("be/unit/c", "be/lux-3");
    let d = net.unit("be/unit/d", "be/lux-3");
    net.press(a, Priority::default());
    net.run(200);
    net.press(c, Priority::of(SOS));
    assert!(words(&net.told(c)).contains(&"granted emergency own_side".into()));
    assert_eq!((net.mode(BE), net.talker(NL), net.talker(BE)), (Mode::OwnSide, Some("nl/unit/a".into()), Some("be/unit/c".into())));
    net.run(400);
    assert!(net.units[d].ear.iter().any(|(who, _)| *who == c));
    assert!(!net.units[a].ear.iter().any(|(who, _)| *who == c));
    net.release(c);
    net.release(a);
    net.run(500);
    assert_eq!(net.mode(BE), Mode::OwnSide, "the group emergency lasts");
    net.units[c].end_emergency();
    net.settle();
    net.run(300);
    assert_eq!((net.mode(BE), net.bridge(BE), net.bridge(NL)), (Mode::Partner, "active", "active"));
    let heard = net.units[d].ear.len();
    net.say(a, 300);
    assert!(net.units[d].ear.len() > heard);
    net.assert_quiet();
}

#[test]
fn going_alone_gives_back_what_was_asked_of_the_home() {
    let mut shut = be();
    shut.bridges[0].outbound.emergency = false;
    let mut net = Net::joined(nl(), shut);
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let c = net.unit("be/unit/c", "be/lux-3");
    let d = net.unit("be/unit/d", "be/lux-3");
    net.press(d, Priority::default());
    net.run(100);
    net.press(c, Priority::of(SOS));
    assert_eq!(net.talker(BE), Some("be/unit/c".into()));
    net.run(250);
    assert_eq!(net.talker(NL), None, "the home's floor is free at once");
    net.press(a, Priority::default());
    assert!(net.units[a].talks());
    for unit in [a, c, d] {
        net.release(unit);
    }
    net.run(500);
    net.assert_quiet();
}

#[test]
fn an_emergency_without_an_answer_for_300_ms_is_granted_on_the_own_side() {
    let (mut net, [a, c, d]) = trio();
    net.run(500);
    net.cut();
    net.press(c, Priority::of(SOS));
    net.run(250);
    assert!(!net.units[c].talks());
    net.run(100);
    assert!(net.units[c].talks());
    assert!(words(&net.told(c)).contains(&"granted emergency own_side".into()));
    net.run(2_000);
    assert!(net.units[d].ear.len() > 50);
    net.heal();
    net.run(500);
    assert_eq!((net.talker(NL), net.talker(BE)), (Some("be/unit/c".into()), Some("be/unit/c".into())));
    assert!(words(&net.told(a)).contains(&"emergency true be/unit/c".into()));
    net.release(c);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn after_a_heal_an_emergency_of_the_partner_wins_and_is_never_revoked() {
    let (mut net, [a, c, _]) = trio();
    net.cut();
    net.run(Net::NOTICED);
    net.press(a, Priority::normal(64));
    net.press(c, Priority::of(SOS));
    net.run(300);
    net.told(c);
    net.told(a);
    net.heal();
    net.run(200);
    assert!(!words(&net.told(c)).iter().any(|w| w.starts_with("revoked")));
    assert!(revoked(&net.told(a), RevokeCause::Preempted));
    assert_eq!((net.talker(NL), net.talker(BE)), (Some("be/unit/c".into()), Some("be/unit/c".into())));
    net.release(a);
    net.release(c);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn a_heal_does_not_take_an_emergency_to_a_home_that_does_not_admit_it() {
    let mut shut = be();
    shut.bridges[0].outbound.emergency = false;
    let mut net = Net::joined(nl(), shut);
    let c = net.unit("be/unit/c", "be/lux-3");
    net.drop_link();
    net.press(c, Priority::of(SOS));
    net.run(300);
    net.heal();
    net.run(500);
    assert!(net.units[c].talks());
    assert_eq!(net.talker(BE), Some("be/unit/c".into()));
    net.release(c);
    net.run(300);
    net.units[c].end_emergency();
    net.settle();
    net.run(300);
    assert_eq!((net.mode(BE), net.bridge(NL)), (Mode::Partner, "active"));
    net.assert_quiet();
}

#[test]
fn a_late_copy_of_an_emergency_request_raises_nothing() {
    let (mut net, [a, _, _]) = trio();
    net.press(a, Priority::of(SOS));
    net.run(100);
    net.release(a);
    net.run(300);
    net.units[a].end_emergency();
    net.settle();
    let request = net.told(a).iter().find_map(|e| if let Event::Requested(_, r) = e { Some(*r) } else { None }).unwrap();
    net.repeat_emergency(a, request);
    assert_eq!(net.hubs[NL].status(net.now).talkgroups[0].emergency, []);
    assert_eq!(net.talker(NL), None);
}

#[test]
fn an_emergency_that_ended_at_home_during_a_cut_is_over_at_the_partner_after_the_heal() {
    let (mut net, [a, _, d]) = trio();
    net.press(a, Priority::of(SOS));
    net.run(200);
    net.release(a);
    net.run(300);
    net.drop_link();
    net.units[a].end_emergency();
    net.settle();
    net.heal();
    net.run(200);
    for hub in [NL, BE] {
        assert_eq!(net.hubs[hub].status(net.now).talkgroups[0].emergency, [], "hub {hub}");
    }
    assert_eq!(words(&net.told(d)).last().map(String::as_str), Some("emergency false nl/unit/a"));
}

/// An emergency begins or ends at the partner at every moment of the handshake, packet by packet.
#[test]
fn an_emergency_that_begins_or_ends_during_the_sync_is_known_on_both_sides() {
    for packets in 0..12 {
        for begins in [true, false] {
            let (mut net, [_, c, _]) = trio();
            net.drop_link();
            if !begins {
                net.press(c, Priority::of(SOS));
                net.release(c);
            }
            net.heal_slowly();
            for _ in 0..packets {
                net.step();
            }
            let now = net.now;
            if begins {
                net.units[c].press(Priority::of(SOS), now);
                net.units[c].key_up(now);
            } else {
                net.units[c].end_emergency();
            }
            net.run(500);
            let in_danger = if begins { vec![net.units[c].identity.clone()] } else { Vec::new() };
            for hub in [NL, BE] {
                let known = &net.hubs[hub].status(net.now).talkgroups[0].emergency;
                assert_eq!(*known, in_danger, "hub {hub} after {packets} packets, begins: {begins}");
            }
            assert_eq!((net.mode(NL), net.mode(BE)), (Mode::Home, Mode::Partner));
            net.assert_quiet();
        }
    }
}

fn in_emergency(net: &Net, hub: usize) -> Vec<String> {
    net.hubs[hub].status(net.now).talkgroups[0].emergency.iter().map(ToString::to_string).collect()
}

/// Raises an emergency and lets go again.
fn raise(net: &mut Net, unit: usize) {
    net.press(unit, Priority::of(SOS));
    net.run(200);
    net.release(unit);
    net.run(400);
}

#[test]
fn every_unit_in_emergency_is_known_on_both_sides_and_may_end_its_own_after_a_cut() {
    let (mut net, [a, c, d]) = trio();
    for unit in [a, c, d] {
        raise(&mut net, unit);
    }
    let all = ["nl/unit/a", "be/unit/c", "be/unit/d"];
    assert_eq!((in_emergency(&net, NL), in_emergency(&net, BE)), (all.map(Into::into).into(), all.map(Into::into).into()));
    net.drop_link();
    net.told(d);
    net.units[d].end_emergency();
    net.settle();
    assert_eq!(words(&net.told(d)), ["emergency true nl/unit/a"], "it goes on, without this one");
    assert_eq!(in_emergency(&net, BE), ["nl/unit/a", "be/unit/c"]);
    net.units[a].end_emergency();
    net.settle();
    net.heal();
    for hub in [NL, BE] {
        assert_eq!(in_emergency(&net, hub), ["be/unit/c"], "hub {hub}");
    }
    net.units[c].end_emergency();
    net.settle();
    assert_eq!((in_emergency(&net, NL), in_emergency(&net, BE)), (Vec::new(), Vec::new()));
}

#[test]
fn a_partner_that_restarts_ends_no_emergency() {
    let (mut net, [_, c, d]) = trio();
    for unit in [c, d] {
        raise(&mut net, unit);
    }
    net.restart(BE, 252);
    net.heal();
    for hub in [NL, BE] {
        assert_eq!(in_emergency(&net, hub), ["be/unit/c", "be/unit/d"], "hub {hub}");
    }
    // And later ends are still known to be ends.
    net.login(c);
    net.drop_link();
    net.units[c].end_emergency();
    net.settle();
    net.heal();
    for hub in [NL, BE] {
        assert_eq!(in_emergency(&net, hub), ["be/unit/d"], "hub {hub}");
    }
}

#[test]
fn an_emergency_overtakes_a_border_stream_that_stands_still() {
    let (mut net, [a, c, d]) = trio();
    net.press(a, Priority::default());
    net.run(200);
    net.stalled = Some(BE);
    net.press(c, Priority::of(SOS));
    net.run(80);
    assert!(!net.units[c].talks());
    net.run(40);
    assert!(words(&net.told(c)).contains(&"granted emergency".into()), "for all, not for the own side");
    assert_eq!((net.talker(NL), net.talker(BE)), (Some("be/unit/c".into()), Some("be/unit/c".into())));
    net.run(400);
    net.stalled = None;
    net.run(200);
    assert_eq!(net.mode(BE), Mode::Partner);
    assert!(net.units[d].ear.iter().any(|(who, _)| *who == c) && net.units[a].ear.iter().any(|(who, _)| *who == c));
    net.release(a);
    net.release(c);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn a_late_copy_from_the_border_raises_nothing() {
    let (mut net, [_, c, _]) = trio();
    raise(&mut net, c);
    let request = net.told(c).iter().find_map(|e| if let Event::Requested(_, r) = e { Some(*r) } else { None }).unwrap();
    net.units[c].end_emergency();
    net.settle();
    net.repeat_emergency_from(BE, "be/unit/c", request);
    assert_eq!((in_emergency(&net, NL), net.talker(NL)), (Vec::new(), None));
    // A newer one is no copy.
    net.repeat_emergency_from(BE, "be/unit/c", wire::RequestId(request.0 + 1));
    assert_eq!(net.talker(NL), None, "the partner gives back a grant that nobody asked for");
    assert_eq!(in_emergency(&net, NL), ["be/unit/c"]);
}

#[test]
fn an_emergency_that_meets_the_end_of_the_link_is_one_on_the_own_side() {
    // Of a talker that raises, and of somebody who waits.
    for talks_before in [true, false] {
        let (mut net, [_, c, d]) = trio();
        if talks_before {
            net.press(c, Priority::default());
            net.run(300);
        }
        net.cut();
        net.press(c, Priority::of(SOS));
        net.run(20);
        net.drop_link();
        net.settle();
        assert!(net.units[c].talks());
        assert_eq!((in_emergency(&net, BE), net.talker(BE)), (vec!["be/unit/c".into()], Some("be/unit/c".into())));
        let told = words(&net.told(c));
        assert!(told.contains(&"granted emergency own_side".into()), "{talks_before}: {told:?}");
        assert!(words(&net.told(d)).contains(&"emergency true be/unit/c".into()));
    }
}

/// The partner's talker is told to stop and raises, and the home hears of the raise after the end: it waits there, and the unit knows.
/// The same if the raise was asked for before the first grant came.
#[test]
fn a_raise_that_crosses_the_end_of_its_spurt_stays_with_the_home() {
    for raises_first in [false, true] {
        let (mut net, [_, c, _]) = trio();
        let (border, spurt, party) = (net.border_session(), Spurt::start_of(Epoch(4)).next(), net.units[c].identity.clone());
        let says = |net: &mut Net, party: Option<&Identity>, body| {
            let floor = Floor { talkgroup: "nl/pol-1".parse().unwrap(), party: party.cloned(), body };
            let now = net.now;
            net.hubs[BE].handle_message(border, Message::Floor(floor), now);
            net.settle();
        };
        // Nothing of be arrives at nl; what nl says is put in by hand.
        net.cut();
        net.press(c, Priority::default());
        let request = net.told(c).iter().find_map(|e| if let Event::Requested(_, r) = e { Some(*r) } else { None }).unwrap();
        let granted = Granted { request, spurt, duration_s: 30, tier: Tier::Normal, own_side_only: false };
        let revoke = Revoke { request, spurt, cause: RevokeCause::Preempted, grace_ms: 500 };
        if raises_first {
            net.press(c, Priority::of(SOS));
        }
        says(&mut net, Some(&party), FloorBody::Granted(granted));
        says(&mut net, Some(&party), FloorBody::Revoke(revoke));
        if !raises_first {
            net.press(c, Priority::of(SOS));
        }
        says(&mut net, None, FloorBody::Idle(Idle { spurt, last_seq: None, cause: Some(RevokeCause::Preempted), followed: true }));
        says(&mut net, Some(&party), FloorBody::Queued { request, position: 1 });
        assert_eq!(words(&net.told(c)), ["granted normal", "revoked preempted", "queued 1"]);
    }
}

/// A position that the home told before it heard of the raise; it names whoever is in emergency before it tells it to wait.
#[test]
fn a_raise_of_somebody_who_waits_is_not_answered_by_a_position_from_before() {
    for home_knows in [false, true] {
        let (mut net, [a, c, _]) = trio();
        let (border, party) = (net.border_session(), net.units[c].identity.clone());
        let says = |net: &mut Net, message| {
            let now = net.now;
            net.hubs[BE].handle_message(border, message, now);
            net.settle();
        };
        net.press(a, Priority::normal(60));
        net.press(c, Priority::default());
        net.run(200);
        let request = net.told(c).iter().find_map(|e| if let Event::Requested(_, r) = e { Some(*r) } else { None }).unwrap();
        // From here on nothing of be arrives at nl; what nl says is put in by hand.
        net.cut();
        net.press(c, Priority::of(SOS));
        net.run(100);
        let talkgroup = || "nl/pol-1".parse().unwrap();
        if home_knows {
            let (originator, units) = (party.clone(), vec![party.clone()]);
            says(&mut net, Message::EmergencyState { talkgroup: talkgroup(), active: true, originator, units });
        }
        let body = FloorBody::Queued { request, position: 2 };
        says(&mut net, Message::Floor(Floor { talkgroup: talkgroup(), party: Some(party), body }));
        net.run(250);
        assert_eq!(net.units[c].talks(), !home_knows, "its own side grants what the home has not answered");
        assert_eq!(words(&net.told(c)).contains(&"granted emergency own_side".into()), !home_knows);
    }
}
