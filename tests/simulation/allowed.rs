//! The watch complains of nothing that the design allows: what looked like a breach in the life of some seed, and was none.

use std::time::Duration;

use engine::handset::Event;
use gateway::status::{FloorStatus, Mode};
use testkit::clock;
use tokio::time::sleep;
use wire::{RevokeCause, Tier};

use crate::watch::{A, B, Bench, C, floor_of, spurt};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Plays at a bench, and returns what the watch complains of.
fn complaints(play: impl AsyncFnOnce(&mut Bench)) -> Vec<String> {
    clock::run(ms(1_000_000), async {
        let mut bench = Bench::new();
        // Whatever was before is long past.
        sleep(ms(10_000)).await;
        play(&mut bench).await;
        bench.watch.take_breaches()
    })
}

const NONE: Vec<String> = Vec::new();

#[test]
fn short_spurts_whose_home_shows_each_of_them_a_moment_later() {
    let seen = complaints(async |bench| {
        bench.watch.rules.onward = true;
        bench.talks(A, 1);
        bench.talks(B, 2);
        let floors = [floor_of(A, "normal"), FloorStatus::default(), floor_of(B, "normal"), FloorStatus::default()];
        let mut before = FloorStatus::default();
        for floor in floors.iter().cycle().take(40) {
            for talker in [A, B] {
                bench.watch.says(talker);
            }
            bench.shows("be", floor.clone(), Mode::Partner, 200).await;
            bench.shows_now("nl", before, Mode::Home);
            before = floor.clone();
        }
    });
    assert_eq!(seen, NONE);
}

#[test]
fn a_floor_granted_out_of_the_queue_to_the_dead_for_three_seconds_and_no_longer() {
    let kept_for = |for_ms| {
        complaints(async |bench| {
            let request = bench.asks(A, Tier::Normal);
            bench.tell(A, |tg| Event::Queued(tg, request, 1));
            bench.watch.killed(A);
            sleep(ms(1_000)).await;
            bench.shows("nl", floor_of(A, "normal"), Mode::Home, for_ms).await;
        })
    };
    assert_eq!(kept_for(3_400), NONE);
    let seen = kept_for(4_600);
    assert!(seen.len() == 1 && seen[0].contains("who is gone"), "{seen:?}");
}

#[test]
fn a_talker_displaced_by_one_that_died_while_its_floor_is_kept() {
    let displaced_after = |gone_ms| {
        complaints(async |bench| {
            bench.talks(C, 1);
            bench.watch.killed(C);
            sleep(ms(gone_ms)).await;
            let request = bench.talks(A, 2);
            sleep(ms(100)).await;
            bench.tell(A, |tg| Event::Revoked(tg, request, spurt(2), RevokeCause::Displaced));
        })
    };
    assert_eq!(displaced_after(1_200), NONE);
    let seen = displaced_after(2_500);
    assert!(seen.len() == 1 && seen[0].contains("although nobody else talked"), "{seen:?}");
}

#[test]
fn a_last_syllable_lost_behind_a_nat_that_has_just_forgotten_its_listener() {
    let rebound_before = |before_ms| {
        complaints(async |bench| {
            let request = bench.talks(A, 1);
            bench.watch.rebound(B);
            sleep(ms(before_ms)).await;
            let sound = bench.watch.says(A);
            bench.hears(B, 1, sound);
            bench.watch.says(A);
            bench.tell(A, |tg| Event::Released(tg, request, Some(spurt(1))));
            bench.shows("nl", FloorStatus::default(), Mode::Home, 2_400).await;
        })
    };
    assert_eq!(rebound_before(200), NONE);
    let seen = rebound_before(400);
    assert!(seen.len() == 1 && seen[0].contains("only to frame 1 of 2"), "{seen:?}");
}
