//! Who may do what: agreements, directions, ceilings, membership, reloads.

use wire::{Level, Priority, RevokeCause, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, revoked, words};
use crate::hub::status::Mode;

fn pair(net: &mut Net) -> [usize; 2] {
    let units = [net.unit("nl/unit/a", "nl/pol-1"), net.unit("be/unit/c", "be/lux-3")];
    for unit in units {
        net.told(unit);
    }
    units
}

#[test]
fn a_one_sided_or_differing_agreement_carries_nothing() {
    let mut without = be();
    without.bridges.clear();
    let mut other = be();
    other.bridges[0].partner = "be/lux-4".parse().unwrap();
    for (far, state) in [(without, "pending_one_sided"), (other, "pending_differs")] {
        let mut net = Net::joined(nl(), far);
        let [a, c] = pair(&mut net);
        assert_eq!(net.bridge(NL), state);
        net.say(a, 300);
        net.say(c, 300);
        assert_eq!((net.units[a].ear.len(), net.units[c].ear.len()), (0, 0));
        assert!(!words(&net.told(c)).iter().any(|w| w.contains("nl/unit/a")));
    }
}

/// Shuts one flag; whether nl is heard at be and be at nl.
type Case = (fn(&mut Net), bool, bool);

#[test]
fn each_direction_needs_the_yes_of_both_sides() {
    let cases: [Case; 4] = [
        (|net| net.plan(NL, |p| p.bridges[0].outbound.talk = false), false, true),
        (|net| net.plan(BE, |p| p.bridges[0].inbound.talk = false), false, true),
        (|net| net.plan(NL, |p| p.bridges[0].inbound.talk = false), true, false),
        (|net| net.plan(BE, |p| p.bridges[0].outbound.talk = false), true, false),
    ];
    for (index, (shut, nl_heard, be_heard)) in cases.into_iter().enumerate() {
        let mut net = Net::joined(nl(), be());
        shut(&mut net);
        let [a, c] = pair(&mut net);
        assert_eq!((net.bridge(NL), net.bridge(BE)), ("active", "active"), "case {index}");
        net.say(a, 300);
        net.told(c);
        net.say(c, 300);
        assert_eq!((!net.units[c].ear.is_empty(), !net.units[a].ear.is_empty()), (nl_heard, be_heard), "case {index}");
        let denied = words(&net.told(c)).contains(&"denied bridge_forbids".into());
        assert_eq!(denied, !be_heard, "case {index}");
        net.assert_quiet();
    }
}

#[test]
fn the_ceiling_clamps_levels_and_denies_tiers() {
    let mut home = nl();
    home.bridges[0].inbound.ceiling.level = Level(12);
    home.bridges[0].inbound.ceiling.tier = Tier::Normal;
    let mut net = Net::joined(home, be());
    let [a, c] = pair(&mut net);
    net.press(a, Priority::normal(12));
    net.run(100);
    net.press(c, Priority::normal(64));
    assert_eq!(words(&net.told(c)).last().map(String::as_str), Some("queued 1"), "64 counts as 12");
    net.release(c);
    net.press(c, Priority::of(Tier::Peril));
    assert_eq!(words(&net.told(c)).last().map(String::as_str), Some("denied peril_not_allowed"));
    net.release(c);
    net.release(a);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn a_receive_only_member_is_denied_and_its_voice_dropped() {
    let mut home = nl();
    home.talkgroups[0].talk.clear();
    home.talkgroups[0].emergency.clear();
    let mut net = Net::joined(home, be());
    let [a, c] = pair(&mut net);
    net.say(a, 300);
    assert_eq!(words(&net.told(a)), ["requested", "denied receive_only"]);
    assert_eq!(net.units[c].ear, []);
}

#[test]
fn a_reload_that_takes_the_right_ends_the_spurt_and_tells_the_talker() {
    for (hub, talker) in [(NL, 0), (BE, 1)] {
        let mut net = Net::joined(nl(), be());
        let units = pair(&mut net);
        net.press(units[talker], Priority::default());
        net.run(200);
        net.plan(hub, |p| {
            p.talkgroups[0].talk.clear();
            p.talkgroups[0].emergency.clear();
        });
        assert!(revoked(&net.told(units[talker]), RevokeCause::NotAllowed), "hub {hub}");
        net.run(300);
        assert_eq!((net.talker(NL), net.talker(BE)), (None, None));
        net.release(units[talker]);
        net.run(500);
        net.assert_quiet();
    }
}

#[test]
fn a_reload_that_takes_membership_or_the_talkgroup_sends_the_unit_away() {
    let mut net = Net::joined(nl(), be());
    let [a, c] = pair(&mut net);
    net.press(c, Priority::default());
    net.run(100);
    net.plan(BE, |p| p.talkgroups[0].join.clear());
    assert!(words(&net.told(c)).contains(&"affiliate_refused not_a_member".into()));
    net.run(300);
    assert_eq!((net.talker(NL), net.talker(BE)), (None, None));
    net.plan(NL, |p| {
        p.talkgroups.clear();
        p.bridges.clear();
    });
    assert!(words(&net.told(a)).contains(&"affiliate_refused unknown_talkgroup".into()));
}

#[test]
fn a_bridge_withdrawn_in_mid_call_leaves_each_side_its_own_talker() {
    for by in [NL, BE] {
        let mut net = Net::joined(nl(), be());
        let [a, c] = pair(&mut net);
        net.press(c, Priority::default());
        net.run(300);
        net.plan(by, |p| p.bridges.clear());
        assert_eq!((net.talker(NL), net.talker(BE)), (None, Some("be/unit/c".into())), "withdrawn by {by}");
        let heard = net.units[a].ear.len();
        net.run(400);
        assert!(net.units[a].ear.len() <= heard + 3, "nothing more is carried");
        net.plan(by, |p| p.bridges.push(super::unit::bridge()));
        net.run(400);
        assert_eq!((net.bridge(NL), net.bridge(BE)), ("active", "active"));
        assert_eq!(net.talker(NL), Some("be/unit/c".into()));
        net.release(c);
        net.run(500);
        net.assert_quiet();
    }
}

#[test]
fn changed_words_set_the_bridge_up_anew_under_them() {
    for by in [NL, BE] {
        let mut net = Net::joined(nl(), be());
        let [a, c] = pair(&mut net);
        for _ in 0..4 {
            net.plan(by, |p| p.bridges[0].inbound.short_data ^= true);
            assert_eq!((net.bridge(NL), net.bridge(BE)), ("active", "active"), "by {by}");
        }
        net.say(a, 200);
        net.say(c, 200);
        assert!(!net.units[a].ear.is_empty() && !net.units[c].ear.is_empty());
        net.assert_quiet();
    }
}

#[test]
fn reloads_on_both_sides_at_once_end_in_an_active_bridge() {
    for seed in 1..=100 {
        let mut net = Net::joined(nl(), be());
        pair(&mut net);
        net.shuffle = Some(seed);
        let mut state = seed;
        for _ in 0..6 {
            let hub = super::unit::random(&mut state, 2);
            net.plans[hub].bridges[0].inbound.short_data ^= true;
            let (plan, now) = (net.plans[hub].clone(), net.now);
            net.hubs[hub].handle_plan(plan, now);
            for _ in 0..super::unit::random(&mut state, 4) {
                net.step();
            }
        }
        net.settle();
        net.run(300);
        assert_eq!((net.bridge(NL), net.bridge(BE)), ("active", "active"), "seed {seed}");
        assert_eq!((net.mode(NL), net.mode(BE)), (Mode::Home, Mode::Partner), "seed {seed}");
    }
}

#[test]
fn an_agreement_carries_only_between_its_dates() {
    let until = 1_800_000_100;
    let mut plans = [nl(), be()];
    for plan in &mut plans {
        plan.bridges[0].valid = Some((1_800_000_050, until));
    }
    let [home, partner] = plans;
    let mut net = Net::joined(home, partner);
    let [a, c] = pair(&mut net);
    assert_eq!(net.bridge(NL), "outside_dates");
    for second in [1_800_000_050, until] {
        for hub in [NL, BE] {
            let now = net.now;
            net.hubs[hub].handle_wall_clock(second, now);
            net.settle();
        }
        let carries = second != until;
        assert_eq!((net.bridge(NL) == "active", net.bridge(BE) == "active"), (carries, carries), "at {second}");
        let heard = net.units[c].ear.len();
        net.say(a, 300);
        assert_eq!(net.units[c].ear.len() > heard, carries, "at {second}");
    }
    net.assert_quiet();
}
