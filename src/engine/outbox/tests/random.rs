//! Any order of sending, answering, refusing, losing the session and putting more: each entry is settled once, in the order of its
//! sender, and all of them in the end.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

/// The disk and the receiver behind one outbox.
struct World {
    rng: SmallRng,
    disk: BTreeMap<u64, Waiting>,
    put: u64,
    outbox: Outbox,
    /// A question on its way to the disk, and what the disk saw when it was asked.
    asked: Option<(Page, usize)>,
    in_flight: Vec<(u64, u64)>,
    /// What the receiver has, by sender: it keeps ids, so a copy counts once.
    has: BTreeMap<String, Vec<u64>>,
    now: Instant,
}

impl World {
    fn step(&mut self) {
        match self.rng.random_range(0..10) {
            0 | 1 => self.put(),
            2 | 3 => self.ask(),
            4 | 5 => self.transmit(),
            6..=8 => self.answer(),
            _ => self.pass(),
        }
        while let Some(told) = self.outbox.poll_told() {
            match told {
                Told::Settle(waiting) => assert_eq!(self.disk.remove(&waiting.number), Some(*waiting)),
                Told::Refuse(waiting, reason) => {
                    assert!(!reason.is_transient());
                    assert!(self.disk.remove(&waiting.number).is_some());
                }
                Told::Advance(_) | Told::Damaged(_) | Told::End(_) => panic!("{told:?}"),
            }
        }
    }

    fn put(&mut self) {
        self.put += 1;
        let sender = ["a", "b", "c", "d"][self.rng.random_range(0..4)];
        let mut waiting = waiting(self.put, sender);
        waiting.entry.expires_ms = u64::MAX;
        self.disk.insert(self.put, waiting.clone());
        self.outbox.handle_put(waiting);
    }

    fn ask(&mut self) {
        if let Some((page, limit)) = self.asked.take() {
            self.outbox.handle_page(page, limit);
        } else if let Some((after, limit)) = self.outbox.poll_page() {
            let waiting = self.disk.range(after + 1..).take(limit).map(|(_, waiting)| waiting.clone()).collect();
            self.asked = Some((Page { waiting, damaged: Vec::new() }, limit));
        }
    }

    fn transmit(&mut self) {
        let Some((item, waiting)) = self.outbox.poll_transmit(self.now, NOW_MS) else { return };
        let (number, sender) = (waiting.number, waiting.entry.sender.clone());
        self.in_flight.push((item, number));
        assert!(self.in_flight.len() <= IN_FLIGHT);
        let of_sender = self.in_flight.iter().filter(|(_, number)| self.disk[number].entry.sender == sender).count();
        assert_eq!(of_sender, 1, "two of one sender under way");
    }

    fn answer(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let one = self.rng.random_range(0..self.in_flight.len());
        let (item, number) = self.in_flight.remove(one);
        match self.rng.random_range(0..8) {
            0 => self.outbox.handle_refused(item, Undelivered::StoreFull, self.now),
            1 => self.outbox.handle_refused(item, Undelivered::NotAllowed, self.now),
            _ => {
                self.receive(number);
                self.outbox.handle_taken(item);
            }
        }
    }

    fn receive(&mut self, number: u64) {
        let list = self.has.entry(self.disk[&number].entry.sender.to_string()).or_default();
        if !list.contains(&number) {
            assert!(list.last().is_none_or(|last| *last < number), "out of order");
            list.push(number);
        }
    }

    fn pass(&mut self) {
        if self.rng.random_range(0..4) > 0 {
            self.now += Duration::from_millis(self.rng.random_range(0..2_000));
            self.outbox.handle_timeout(self.now);
            return;
        }
        // The session is lost; of what was under way the receiver has got some, without a word.
        for (_, number) in std::mem::take(&mut self.in_flight) {
            if self.rng.random() {
                self.receive(number);
            }
        }
        self.asked = None;
        self.outbox = Outbox::new(Reading::Own, 0);
    }
}

#[test]
fn every_entry_is_settled_once_in_the_order_of_its_sender() {
    for seed in 0..300 {
        let (rng, outbox, now) = (SmallRng::seed_from_u64(seed), Outbox::new(Reading::Own, 0), epoch());
        let (disk, has) = (BTreeMap::new(), BTreeMap::new());
        let mut world = World { rng, disk, put: 0, outbox, asked: None, in_flight: Vec::new(), has, now };
        for _ in 0..600 {
            world.step();
        }
        // Nothing more is put, the session holds: all of it arrives.
        for round in 0.. {
            assert!(round < 5_000, "seed {seed}: {:?}", world.outbox);
            if world.disk.is_empty() {
                break;
            }
            world.ask();
            world.transmit();
            world.now += Duration::from_millis(200);
            world.outbox.handle_timeout(world.now);
            for (item, number) in std::mem::take(&mut world.in_flight) {
                world.receive(number);
                world.outbox.handle_taken(item);
            }
            while let Some(Told::Settle(waiting)) = world.outbox.poll_told() {
                world.disk.remove(&waiting.number);
            }
        }
        assert!(world.outbox.slots.is_empty(), "seed {seed}");
    }
}
