//! What the order of a link costs: a packet is offered and taken, by class, in an empty queue and in a full one.

use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use engine::sched::{Class, Next, Scheduler};
use wire::Level;

fn main() {
    divan::main();
}

/// A voice frame's datagram.
const BYTES: usize = 70;
/// So many packets wait behind the one that is taken.
const WAITING: usize = 30;

const CLASSES: [Class; 8] = Class::ALL;

/// An unshaped link with so many packets of each class waiting; classes that hold less keep the newest.
fn scheduler(waiting: usize, now: Instant) -> Scheduler<u64> {
    let mut scheduler = Scheduler::new(None);
    for class in CLASSES {
        for _ in 0..waiting {
            // Full is what is wanted.
            drop(scheduler.offer(class, Level::default(), BYTES, 0, now));
        }
    }
    scheduler
}

fn offer_and_take(bencher: Bencher<'_, '_>, class: Class, waiting: usize) {
    let mut now = Instant::now();
    let mut scheduler = scheduler(waiting, now);
    bencher.bench_local(|| {
        now += Duration::from_nanos(100);
        drop(scheduler.offer(black_box(class), Level::default(), BYTES, 1, now));
        matches!(scheduler.next(now), Next::Item { .. })
    });
}

#[divan::bench(args = CLASSES)]
fn alone(bencher: Bencher<'_, '_>, class: Class) {
    offer_and_take(bencher, class, 0);
}

#[divan::bench(args = CLASSES)]
fn behind_others(bencher: Bencher<'_, '_>, class: Class) {
    offer_and_take(bencher, class, WAITING);
}

/// On a link of this rate most questions are answered by *wait*.
#[divan::bench]
fn wait_for_the_rate(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let mut scheduler: Scheduler<u64> = Scheduler::new(Some(64));
    for _ in 0..WAITING {
        drop(scheduler.offer(Class::EmergencyVoice, Level::default(), BYTES, 0, now));
    }
    while matches!(scheduler.next(now), Next::Item { .. }) {}
    bencher.bench_local(|| matches!(scheduler.next(black_box(now)), Next::Wait(..)));
}
