//! Random lives: seeds drive presses, releases, emergencies, cuts, heals, kills and lossy links; the watch asserts its
//! invariants on every event, and in the end every floor is free and both sides agree.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use testkit::Link;
use tokio::time::sleep;
use wire::{Level, Priority, Tier};

use crate::support::radio::Radio;
use crate::support::watch::Totals;
use crate::support::world::ip;
use crate::support::{World, bridged};

/// Seeds of one run; `TALKBRIDGE_SEEDS` and `TALKBRIDGE_FROM` choose others.
const SEEDS: u64 = 24;
const STEPS: u32 = 60;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_seed_breaks_an_invariant() {
    let (from, seeds) = (from_env("TALKBRIDGE_FROM", 1_000), from_env("TALKBRIDGE_SEEDS", SEEDS));
    let (mut frames, mut grants) = (0, 0);
    for seed in from..from + seeds {
        bridged(seed, async |world| {
            let totals = life(world, seed).await;
            frames += totals.frames;
            grants += totals.grants;
        });
    }
    assert!(frames > 500 * seeds && grants > 5 * seeds, "{frames} frames and {grants} grants judged in {seeds} lives prove nothing");
}

/// One life; returns what was judged.
async fn life(world: &mut World, seed: u64) -> Totals {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut radios = Vec::new();
    for (code, name) in [("nl", "maas-12"), ("nl", "maas-13"), ("be", "lux-1"), ("be", "lux-2")] {
        radios.push(world.radio(code, name).await);
    }
    let loss = [0.0, 0.0, 0.02, 0.05][rng.random_range(0..4)];
    world.net.set_link(ip("nl"), ip("be"), Link::delayed(Duration::from_millis(rng.random_range(2..40))).losing(loss));
    let mut cut = false;
    for _ in 0..STEPS {
        let index = rng.random_range(0..radios.len());
        match rng.random_range(0..20) {
            0..=8 => press(&mut radios[index], &mut rng).await,
            9..=14 => radios[index].release().await,
            15 => radios[index].end_emergency().await,
            16 | 17 => {
                cut = !cut;
                if cut { world.cut() } else { world.heal() }
            }
            18 => radios[index].hush(),
            _ => sleep(Duration::from_millis(2_500)).await,
        }
        sleep(Duration::from_millis(rng.random_range(1..900))).await;
    }
    world.heal();
    for radio in &mut radios {
        radio.release().await;
        radio.end_emergency().await;
    }
    world.until("the bridge is active again", |w| w.bridge_state("nl") == "active" && w.bridge_state("be") == "active").await;
    world.until("every floor is free", |w| w.talker("nl").is_none() && w.talker("be").is_none()).await;
    let queues = |code: &str| world.status(code).floors.iter().map(|floor| floor.queue.len()).sum::<usize>();
    assert_eq!((queues("nl"), queues("be")), (0, 0), "somebody waits for ever");
    world.watch().totals
}

async fn press(radio: &mut Radio, rng: &mut SmallRng) {
    let tier = [Tier::Normal, Tier::Normal, Tier::Normal, Tier::Peril, Tier::Emergency][rng.random_range(0..5)];
    let priority = Priority { tier, dispatcher: false, level: Level(rng.random_range(0..64)) };
    // Not affiliated for the moment: the user presses in vain, as in life.
    if radio.is_joined() {
        radio.press_at(priority).await;
    }
}
