//! Random operations over the whole bench: whatever happens, the invariants of [`super::net`] and [`super::unit`] hold on every
//! frame, and when the link is up and nobody presses, every floor is idle and both hubs agree.

use wire::{Level, Priority, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, random, with_second};
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

/// Who else there is where two talkgroups are bridged.
const FURTHER: [(&str, &str); 6] = [
    ("nl/unit/f", "nl/fire-1"),
    ("nl/unit/g", "nl/fire-1"),
    ("nl/dispatcher/hot", "nl/fire-1"),
    ("be/unit/x", "be/fire-3"),
    ("be/unit/y", "be/fire-3"),
    ("be/dispatcher/red", "be/fire-3"),
];

/// What is special about a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Usual,
    /// The partner's emergencies stay at home.
    Shut,
    /// Two bridges over a link that carries one spurt.
    Thin,
}

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
    let unit = random(state, net.units.len());
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
fn live(seed: u64, operations: usize, kind: Kind) {
    let (mut home, mut partner) = (nl(), be());
    partner.bridges[0].outbound.emergency = kind != Kind::Shut;
    for plan in [&mut home, &mut partner] {
        plan.talkgroups[0].timers.t2 = super::unit::ms(3_000);
        if kind == Kind::Thin {
            *plan = with_second(plan.clone());
            plan.peers[0].rate_kbps = 128;
        }
    }
    let mut net = Net::joined(home, partner);
    let further: &[(&str, &str)] = if kind == Kind::Thin { &FURTHER } else { &[] };
    for (name, talkgroup) in UNITS.iter().chain(further) {
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
    let bosses = (0..net.units.len()).filter(|unit| net.units[*unit].identity.kind == wire::Kind::Dispatcher).collect::<Vec<_>>();
    for boss in bosses {
        net.units[boss].end_emergency();
        net.settle();
    }
    net.run(2_000);
    assert_eq!((net.bridge(NL), net.bridge(BE)), ("active", "active"));
    assert_eq!((net.mode(NL), net.mode(BE)), (Mode::Home, Mode::Partner));
    net.assert_quiet();
    // And the bench still works.
    let pairs: &[(usize, usize)] = if kind == Kind::Thin { &[(0, 3), (3, 0), (7, 10), (10, 7)] } else { &[(0, 3), (3, 0)] };
    for (talker, ear) in pairs.iter().copied() {
        let heard = net.units[ear].ear.len();
        net.say(talker, 200);
        assert!(net.units[ear].ear.len() > heard, "{talker} is not heard by {ear}");
    }
    net.assert_quiet();
}

fn lives(from: u64, count: u64, operations: usize, kind: Kind) {
    for seed in from..from + count {
        let lived = std::panic::catch_unwind(|| live(seed, operations, kind));
        assert!(lived.is_ok(), "seed {seed}, {kind:?}");
    }
}

#[test]
fn random_lives_never_break_an_invariant() {
    lives(1, 150, 60, Kind::Usual);
}

#[test]
fn random_lives_of_a_partner_whose_emergencies_stay_home_never_break_an_invariant() {
    lives(10_000, 100, 60, Kind::Shut);
}

#[test]
fn random_lives_over_a_link_that_is_always_full_never_break_an_invariant() {
    lives(20_000, 100, 60, Kind::Thin);
}
