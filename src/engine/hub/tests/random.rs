//! Random operations over the whole bench: whatever happens, the invariants of [`super::net`] and [`super::unit`] hold on every
//! frame, and when the link is up and nobody presses, every floor is idle and both hubs agree.

use wire::{Level, Priority, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, random};
use crate::hub::status::Mode;

const UNITS: [(&str, &str); 7] = [
    ("nl/unit/a", "nl/pol-1"),
    ("nl/unit/b", "nl/pol-1"),
    ("nl/dispatcher/chief", "nl/pol-1"),
    ("be/unit/c", "be/lux-3"),
    ("be/unit/d", "be/lux-3"),
    ("be/unit/e", "be/lux-3"),
    ("be/dispatcher/boss", "be/lux-3"),
];

fn priority(state: &mut u64) -> Priority {
    let tier = match random(state, 10) {
        0 => Tier::Emergency,
        1 => Tier::Peril,
        _ => Tier::Normal,
    };
    Priority { tier, level: Level(u8::try_from(random(state, 4) * 8).unwrap()), dispatcher: false }
}

fn operate(net: &mut Net, state: &mut u64) {
    let now = net.now;
    let unit = random(state, UNITS.len());
    match random(state, 24) {
        0..=5 => {
            let wanted = priority(state);
            net.units[unit].press(wanted, now);
        }
        6..=9 => net.units[unit].key_up(now),
        10 => {
            if net.units[unit].key {
                net.units[unit].press(Priority::of(Tier::Emergency), now);
            }
        }
        11 => net.cut(),
        12 => net.drop_link(),
        13 | 14 => net.heal_slowly(),
        15 => {
            net.units[unit].key_up(now);
            net.units[unit].closed(wire::Reason::Closed, now);
            net.login_slowly(unit);
        }
        16 => net.units[unit].end_emergency(),
        17..=20 => {
            for _ in 0..random(state, 60) {
                net.tick();
                for _ in 0..random(state, 20) {
                    net.step();
                }
            }
        }
        _ => {
            let time = 5 * u64::try_from(random(state, 80)).unwrap();
            net.run(time);
        }
    }
    for _ in 0..random(state, 8) {
        net.step();
    }
}

/// One life, from a seed.
fn live(seed: u64, operations: usize, shut: bool) {
    let mut partner = be();
    partner.bridges[0].outbound.emergency = !shut;
    partner.talkgroups[0].timers.t2 = super::unit::ms(3_000);
    let mut home = nl();
    home.talkgroups[0].timers.t2 = super::unit::ms(3_000);
    let mut net = Net::joined(home, partner);
    for (name, talkgroup) in UNITS {
        net.unit(name, talkgroup);
    }
    let mut state = seed;
    net.shuffle = Some(seed.wrapping_mul(7) + 1);
    for _ in 0..operations {
        operate(&mut net, &mut state);
    }
    // Everybody lets go, every emergency ends, the link is whole.
    net.drop_link();
    for unit in 0..net.units.len() {
        net.release(unit);
    }
    net.run(14_000);
    net.shuffle = None;
    net.heal();
    net.run(3_500);
    for boss in [2, 6] {
        net.units[boss].end_emergency();
        net.settle();
    }
    net.run(2_000);
    assert_eq!((net.bridge(NL), net.bridge(BE)), ("active", "active"));
    assert_eq!((net.mode(NL), net.mode(BE)), (Mode::Home, Mode::Partner));
    net.assert_quiet();
    // And the bench still works.
    for (talker, ear) in [(0, 3), (3, 0)] {
        let heard = net.units[ear].ear.len();
        net.say(talker, 200);
        assert!(net.units[ear].ear.len() > heard, "{talker} is not heard by {ear}");
    }
    net.assert_quiet();
}

fn lives(from: u64, count: u64, operations: usize, shut: bool) {
    for seed in from..from + count {
        let lived = std::panic::catch_unwind(|| live(seed, operations, shut));
        assert!(lived.is_ok(), "seed {seed}, shut {shut}");
    }
}

#[test]
fn random_lives_never_break_an_invariant() {
    lives(1, 150, 60, false);
}

#[test]
fn random_lives_of_a_partner_whose_emergencies_stay_home_never_break_an_invariant() {
    lives(10_000, 100, 60, true);
}
