//! Refusals tell somebody: the unit, and the records of its own gateway.

use bytes::Bytes;
use wire::control::{Floor, FloorBody, Granted, Message, Request, Talker};
use wire::{DenyCause, Priority, RequestId, RevokeCause, Spurt, Tier};

use super::net::{BE, NL, Net};
use super::sessions::voice;
use super::unit::{be, nl, revoked, words};
use crate::hub::{self, Output};

const SOS: Tier = Tier::Emergency;

/// The denials and voices unheard that a hub told of, with the agreement.
fn denials(net: &Net, hub: usize) -> Vec<String> {
    let word = |event: &hub::Event| {
        if let hub::Event::Denied { identity, cause, agreement, .. } = event {
            return Some(format!("{identity} {cause} {}", agreement.as_deref().unwrap_or("here")));
        }
        let hub::Event::Unheard { identity, spurt, .. } = event else { return None };
        Some(format!("{identity} unheard {spurt}"))
    };
    net.events[hub].iter().filter_map(word).collect()
}

fn arrive(net: &mut Net, unit: usize, frame: Bytes) {
    let (hub, session, now) = (net.units[unit].hub, net.units[unit].session.unwrap(), net.now);
    net.hubs[hub].handle_datagram(session, frame, now);
    net.settle();
}

#[test]
fn a_unit_that_believes_in_a_grant_it_does_not_hold_is_revoked_and_recorded() {
    for (hub, name, talkgroup) in [(NL, "nl/unit/a", "nl/pol-1"), (BE, "be/unit/c", "be/lux-3")] {
        let mut net = Net::joined(nl(), be());
        let unit = net.unit(name, talkgroup);
        let now = net.now;
        net.units[unit].press(Priority::default(), now);
        // The request never reaches the gateway; a grant that the gateway never gave reaches the unit.
        while net.units[unit].handset.poll_transmit().is_some() {}
        let (request, spurt) = (RequestId(1), Spurt::from_bits(0x7f00_0005));
        let granted = Granted { request, spurt, duration_s: 30, tier: Tier::Normal, own_side_only: false };
        let floor = Floor { talkgroup: talkgroup.parse().unwrap(), party: None, body: FloorBody::Granted(granted) };
        net.units[unit].handset.handle_message(Message::Floor(floor), now);
        net.run(100);
        assert!(revoked(&net.told(unit), RevokeCause::NoPermission), "hub {hub}");
        net.release(unit);
        net.run(500);
        assert_eq!(denials(&net, hub), [format!("{name} unheard {spurt}")]);
        net.assert_quiet();
    }
}

#[test]
fn voice_without_a_grant_is_told_once_a_spurt_and_once_a_second() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let spurt = |counter: u32| Spurt::from_bits(0x7f00_0000 | counter);
    for frame in 0..50 {
        arrive(&mut net, a, voice(spurt(1), frame, Tier::Normal));
    }
    for frame in 0..10u16 {
        arrive(&mut net, a, voice(spurt(2 + u32::from(frame)), frame, Tier::Normal));
    }
    assert_eq!(denials(&net, NL).len(), 1);
    net.run(1_000);
    for frame in 50..60 {
        arrive(&mut net, a, voice(spurt(1), frame, Tier::Normal));
        arrive(&mut net, a, voice(spurt(20), frame, Tier::Normal));
    }
    assert_eq!(denials(&net, NL), ["nl/unit/a unheard 127.1", "nl/unit/a unheard 127.20"]);
}

#[test]
fn the_tail_of_an_own_spurt_is_dropped_without_a_word() {
    for (hub, name, talkgroup) in [(NL, "nl/unit/a", "nl/pol-1"), (BE, "be/unit/c", "be/lux-3")] {
        let mut net = Net::joined(nl(), be());
        let unit = net.unit(name, talkgroup);
        let chief = net.unit("nl/dispatcher/chief", "nl/pol-1");
        // Released, then pre-empted at once.
        net.press(unit, Priority::default());
        let first = net.granted(unit);
        net.run(200);
        net.release(unit);
        net.run(500);
        arrive(&mut net, unit, voice(first, 60, Tier::Normal));
        net.press(unit, Priority::default());
        let second = net.granted(unit);
        net.run(200);
        net.press(chief, Priority::of(SOS));
        net.run(1_000);
        arrive(&mut net, unit, voice(second, 60, Tier::Normal));
        assert_eq!(denials(&net, hub), [] as [&str; 0], "hub {hub}");
        net.run(1_500);
        arrive(&mut net, unit, voice(second, 61, Tier::Normal));
        assert_eq!(denials(&net, hub), [format!("{name} unheard {second}")], "whoever still talks under it has not heard of its end");
    }
}

#[test]
fn ending_a_group_emergency_without_the_right_is_refused_by_name_on_both_sides() {
    let mut home = nl();
    home.talkgroups[0].emergency = vec!["nl/unit/*".parse().unwrap()];
    let mut net = Net::joined(home, be());
    let units = [
        net.unit("nl/unit/a", "nl/pol-1"),
        net.unit("be/unit/c", "be/lux-3"),
        net.unit("be/unit/d", "be/lux-3"),
        net.unit("nl/dispatcher/clerk", "nl/pol-1"),
    ];
    let [a, c, d, clerk] = units;
    net.press(c, Priority::of(SOS));
    net.run(200);
    net.release(c);
    net.run(300);
    for unit in [a, d, clerk] {
        net.told(unit);
        net.units[unit].end_emergency();
        net.settle();
        assert_eq!(words(&net.told(unit)), ["emergency end refused emergency_end_not_allowed"], "{}", net.units[unit].identity);
    }
    let cause = DenyCause::EmergencyEndNotAllowed;
    let at_home =
        [format!("nl/unit/a {cause} here"), format!("be/unit/d {cause} EMR-2026-01"), format!("nl/dispatcher/clerk {cause} here")];
    assert_eq!(denials(&net, NL), at_home);
    assert_eq!(denials(&net, BE), [format!("be/unit/d {cause} EMR-2026-01")]);
    assert_eq!(net.hubs[NL].status(net.now).talkgroups[0].emergency.len(), 1);
    // Ended twice: whoever comes second hears that it is over.
    for unit in [c, d] {
        net.told(unit);
        net.units[unit].end_emergency();
        net.settle();
        assert_eq!(words(&net.told(unit)), [format!("emergency false {}", net.units[unit].identity)]);
    }
}

#[test]
fn a_denial_by_the_home_is_recorded_at_the_units_own_gateway() {
    let mut home = nl();
    home.bridges[0].inbound.ceiling.tier = Tier::Normal;
    let mut net = Net::joined(home, be());
    let c = net.unit("be/unit/c", "be/lux-3");
    // Judged at the home, which knows of a talk limit; the partner forwards.
    net.plan(NL, |plan| plan.talkgroups[0].timers.t2 = super::unit::ms(500));
    net.press(c, Priority::default());
    net.run(1_500);
    net.units[c].key = false;
    net.press(c, Priority::default());
    assert!(words(&net.told(c)).contains(&"denied retry_after".into()));
    assert_eq!(denials(&net, BE), ["be/unit/c retry_after EMR-2026-01"]);
    // What the border refuses an emergency is recorded as well, although its own side grants it.
    net.press(c, Priority::of(SOS));
    assert!(net.units[c].talks());
    assert_eq!(denials(&net, BE).last().map(String::as_str), Some("be/unit/c emergency_not_allowed EMR-2026-01"));
}

#[test]
fn a_request_over_a_bridge_that_does_not_carry_is_denied_as_pending() {
    let mut home = nl();
    home.bridges.clear();
    let mut net = Net::joined(home, be());
    let (border, now) = (net.border_session(), net.now);
    let talker = Talker { identity: "be/unit/c".parse().unwrap(), alias: String::new(), agency: String::new() };
    let party = Some(talker.identity.clone());
    let request = Request { request: RequestId(3), priority: Priority::default(), talker: Some(talker), continuing: None };
    let floor = Floor { talkgroup: "nl/pol-1".parse().unwrap(), party, body: FloorBody::Request(request) };
    net.hubs[NL].handle_message(border, Message::Floor(floor.clone()), now);
    let answer = std::iter::from_fn(|| net.hubs[NL].poll_output()).find_map(|output| match output {
        Output::Control(to, Message::Floor(answer)) if to == border => Some(answer),
        Output::Control(..) | Output::Voice(_) | Output::Datagram(..) | Output::Close(..) => None,
    });
    let body = FloorBody::Deny { request: RequestId(3), cause: DenyCause::BridgePending };
    assert_eq!(answer, Some(Floor { body, ..floor }));
    net.settle();
    assert_eq!(denials(&net, NL), ["be/unit/c bridge_pending here"]);
}
