//! What the records say of a call: the agreements under which it crossed, the level, through whom it came.

use wire::{Level, Priority, RevokeCause, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, with_second};
use crate::hub::{Call, Event};

fn calls(net: &Net, hub: usize) -> Vec<&Call> {
    net.events[hub].iter().filter_map(|event| if let Event::Call(call) = event { Some(&**call) } else { None }).collect()
}

/// Talker, agreements, level of every call.
fn told(net: &Net, hub: usize) -> Vec<String> {
    let one = |call: &&Call| {
        let level = call.level.map_or_else(|| "?".into(), |level| level.to_string());
        format!("{} [{}] {level}", call.talker.identity, call.agreements.join(" "))
    };
    calls(net, hub).iter().map(one).collect()
}

fn pair(net: &mut Net) -> [usize; 2] {
    [net.unit("nl/unit/a", "nl/pol-1"), net.unit("be/unit/c", "be/lux-3")]
}

#[test]
fn a_call_across_the_border_names_its_agreement_and_only_levels_that_are_known() {
    let mut net = Net::joined(nl(), be());
    let [a, c] = pair(&mut net);
    for unit in [a, c] {
        net.press(unit, Priority::normal(30));
        net.run(300);
        net.release(unit);
        net.run(400);
    }
    assert_eq!(told(&net, NL), ["nl/unit/a [EMR-2026-01] 30", "be/unit/c [EMR-2026-01] 30"]);
    assert_eq!(told(&net, BE), ["nl/unit/a [EMR-2026-01] ?", "be/unit/c [EMR-2026-01] 30"]);
}

#[test]
fn a_border_that_falls_in_mid_call_keeps_the_agreement_of_the_call_and_of_no_later_one() {
    let mut net = Net::joined(nl(), be());
    let [a, c] = pair(&mut net);
    net.press(c, Priority::default());
    net.run(300);
    net.drop_link();
    net.run(300);
    net.release(c);
    net.run(400);
    net.say(a, 200);
    net.say(c, 200);
    assert_eq!(told(&net, NL), ["be/unit/c [EMR-2026-01] 16", "nl/unit/a [] 16"]);
    assert_eq!(told(&net, BE), ["be/unit/c [EMR-2026-01] 16", "be/unit/c [] 16"]);
    assert_eq!(calls(&net, NL)[0].ended_by, Some(RevokeCause::Disconnected));
    // A talker of the time alone who is heard across the border again crosses it.
    net.press(a, Priority::default());
    net.run(200);
    net.heal();
    net.run(200);
    net.release(a);
    net.run(400);
    assert_eq!(told(&net, NL).last().map(String::as_str), Some("nl/unit/a [EMR-2026-01] 16"));
}

#[test]
fn a_talker_that_released_right_before_the_cut_is_recorded_too() {
    let mut net = Net::joined(nl(), be());
    let [_, c] = pair(&mut net);
    net.press(c, Priority::default());
    net.run(300);
    net.cut();
    net.release(c);
    net.run(Net::NOTICED);
    assert_eq!(told(&net, BE), ["be/unit/c [EMR-2026-01] 16"]);
    assert_eq!(calls(&net, BE)[0].ended_by, None);
}

#[test]
fn an_emergency_on_the_own_side_crossed_under_no_agreement() {
    let mut shut = be();
    shut.bridges[0].outbound.emergency = false;
    let mut net = Net::joined(nl(), shut);
    let [_, c] = pair(&mut net);
    net.press(c, Priority::of(Tier::Emergency));
    net.run(300);
    net.release(c);
    net.run(400);
    assert_eq!(told(&net, BE), ["be/unit/c [] 16"]);
    assert_eq!(told(&net, NL), [] as [&str; 0]);
}

#[test]
fn a_direction_that_is_shut_is_crossed_under_no_agreement() {
    let mut shut = nl();
    shut.bridges[0].outbound.talk = false;
    let mut net = Net::joined(shut, be());
    let [a, c] = pair(&mut net);
    net.say(a, 200);
    net.say(c, 200);
    assert_eq!(told(&net, NL), ["nl/unit/a [] 16", "be/unit/c [EMR-2026-01] 16"]);
    assert_eq!(told(&net, BE), ["be/unit/c [EMR-2026-01] 16"]);
}

#[test]
fn each_frame_carries_the_level_of_its_own_grant() {
    let mut net = Net::joined(with_second(nl()), with_second(be()));
    let [c, d] = [net.unit("be/unit/c", "be/lux-3"), net.unit("be/unit/d", "be/fire-3")];
    // A level of the time alone must not stick to the one who talks when the home decides.
    net.drop_link();
    net.press(c, Priority::normal(60));
    net.run(100);
    net.release(c);
    net.run(300);
    net.heal();
    net.press(c, Priority::normal(30));
    net.press(d, Priority::normal(5));
    net.run(300);
    net.levels.clear();
    net.run(200);
    for hub in [NL, BE] {
        for (handle, level) in [(1, 30), (2, 5)] {
            let levels: Vec<Level> = net.levels.iter().filter(|(h, tg, _)| (*h, *tg) == (hub, handle)).map(|(.., level)| *level).collect();
            assert!(levels.len() >= 9 && levels.iter().all(|l| *l == Level(level)), "hub {hub}, talkgroup {handle}: {levels:?}");
        }
    }
    // Raised in mid-call.
    net.press(d, Priority::normal(40));
    net.run(40);
    net.levels.clear();
    net.run(100);
    assert!(net.levels.iter().filter(|(_, tg, _)| *tg == 2).all(|(.., level)| *level == Level(40)), "{:?}", net.levels);
    net.release(c);
    net.release(d);
    net.run(500);
    net.assert_quiet();
}
