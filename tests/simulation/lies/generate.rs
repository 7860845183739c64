//! From a seed to a script: honest units that talk one after the other, now and then over each other, and a liar who interrupts.

use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use wire::Tier;

use super::script::{LIES, Lie, Role, Script, Step, UnitNo, What};

/// It lies until then.
pub(crate) const LIES_MS: u64 = 55_000;

/// The script of a seed.
pub(crate) fn script(seed: u64) -> Script {
    let mut rng = SmallRng::seed_from_u64(seed);
    let role = if rng.random_bool(0.5) { Role::Partner } else { Role::Home };
    let mut steps = calls(&mut rng, role);
    steps.extend(lies(&mut rng));
    steps.retain(|step| step.at_ms < LIES_MS);
    steps.sort_by_key(|step| step.at_ms);
    Script { role, steps }
}

fn ms(rng: &mut SmallRng, range: Range<u64>) -> u64 {
    rng.random_range(range)
}

fn calls(rng: &mut SmallRng, role: Role) -> Vec<Step> {
    let (mut steps, mut now) = (Vec::new(), ms(rng, 100..800));
    while now < LIES_MS {
        let unit = UnitNo(rng.random_range(0..UnitNo::all().count()));
        let tier = if rng.random_bool(0.12) { Tier::Emergency } else { Tier::Normal };
        let hold = ms(rng, 300..3_000);
        steps.push(Step { at_ms: now, what: What::Press(unit, tier) });
        steps.push(Step { at_ms: now + hold, what: What::Release(unit) });
        if tier == Tier::Emergency {
            steps.push(Step { at_ms: now + hold + ms(rng, 50..800), what: What::EndEmergency(unit) });
        }
        if role == Role::Home && rng.random_bool(0.7) {
            // A home that never grants anything has no call to disturb.
            let answer = now + ms(rng, 10..200);
            steps.push(Step { at_ms: answer, what: What::Lie(Lie::Honest, rng.random()) });
        }
        now += if rng.random_bool(0.25) { ms(rng, 50..hold) } else { hold + ms(rng, 300..1_500) };
    }
    steps
}

/// Lies, some of them in quick succession.
fn lies(rng: &mut SmallRng) -> Vec<Step> {
    let (mut steps, mut now) = (Vec::new(), ms(rng, 500..2_000));
    while now < LIES_MS {
        let lie = LIES[rng.random_range(0..LIES.len())].1;
        // Whoever is cut off all the time is held down, and says nothing more.
        if (lie.costs_the_session() || matches!(lie, Lie::Again | Lie::Deaf)) && rng.random_bool(0.75) {
            continue;
        }
        for _ in 0..if rng.random_bool(0.2) { rng.random_range(2..6) } else { 1 } {
            steps.push(Step { at_ms: now, what: What::Lie(lie, rng.random()) });
            now += ms(rng, 5..400);
        }
        now += ms(rng, 50..1_800);
    }
    steps
}
