//! Participants and an arbiter over FIFO queues with random delivery and sessions that drop: when everything has arrived and
//! nobody presses, both ends agree that the floor is free.

use std::collections::VecDeque;

use proptest::prelude::*;
use wire::control::{FloorBody, Granted};
use wire::{Priority, RequestId, RevokeCause, Seq, SessionId, Tier};

use super::bench::{Bench, ms, party};
use crate::floor::Claim;
use crate::floor::participant::{Out, Participant, State};
use crate::floor::say::Say;

const UNITS: usize = 3;

/// One unit and both directions of its control stream.
#[derive(Default)]
struct Side {
    participant: Participant,
    up: VecDeque<FloorBody>,
    down: VecDeque<FloorBody>,
    next_request: u32,
    sent: Option<u16>,
}

struct World {
    bench: Bench,
    sides: [Side; UNITS],
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Press(usize, Tier),
    KeyUp(usize),
    /// Delivers the oldest message upwards or downwards.
    Deliver(usize, bool),
    /// The session drops with everything in flight, and is back at once.
    Drop(usize),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let tier = prop_oneof![4 => Just(Tier::Normal), 1 => Just(Tier::Emergency)];
    prop_oneof![
        3 => (0..UNITS, tier).prop_map(|(u, t)| Op::Press(u, t)),
        3 => (0..UNITS).prop_map(Op::KeyUp),
        12 => (0..UNITS, any::<bool>()).prop_map(|(u, d)| Op::Deliver(u, d)),
        1 => (0..UNITS).prop_map(Op::Drop),
        3 => (0u64..400).prop_map(Op::Wait),
    ]
}

fn session(unit: usize) -> u64 {
    u64::try_from(unit).unwrap() + 1
}

impl World {
    fn new() -> Self {
        Self { bench: Bench::new(), sides: std::array::from_fn(|_| Side::default()) }
    }

    fn step(&mut self, op: Op) {
        let now = self.bench.now;
        match op {
            Op::Press(unit, tier) => {
                let side = &mut self.sides[unit];
                side.next_request += 1;
                side.participant.press(RequestId(side.next_request), Priority::of(tier), now);
            }
            Op::KeyUp(unit) => self.sides[unit].participant.key_up(now),
            Op::Deliver(unit, true) => {
                if let Some(body) = self.sides[unit].up.pop_front() {
                    self.arrive(unit, &body);
                }
            }
            Op::Deliver(unit, false) => {
                if let Some(body) = self.sides[unit].down.pop_front() {
                    self.sides[unit].participant.handle(&body, now);
                }
            }
            Op::Drop(unit) => {
                let side = &mut self.sides[unit];
                side.participant.disconnected(now);
                self.collect();
                self.sides[unit].up.clear();
                self.sides[unit].down.clear();
                self.bench.arbiter.leave(&party(session(unit)), RevokeCause::Disconnected, now);
            }
            Op::Wait(millis) => {
                self.bench.now += ms(millis);
                let now = self.bench.now;
                self.bench.arbiter.handle_timeout(now);
                for side in &mut self.sides {
                    side.participant.handle_timeout(now);
                }
            }
        }
        self.speak();
        self.collect();
    }

    fn arrive(&mut self, unit: usize, body: &FloorBody) {
        let (now, party) = (self.bench.now, party(session(unit)));
        match body {
            FloorBody::Request(request) => {
                let talker = wire::control::Talker { identity: party.identity.clone(), alias: String::new(), agency: String::new() };
                let claim = Claim { party, request: request.request, priority: request.priority, talker, since: None };
                self.bench.arbiter.request(claim, now);
            }
            FloorBody::Release(release) => self.bench.arbiter.release(&party, release, now),
            FloorBody::Granted(_)
            | FloorBody::Deny { .. }
            | FloorBody::Queued { .. }
            | FloorBody::Taken(_)
            | FloorBody::Idle(_)
            | FloorBody::Revoke(_)
            | FloorBody::Ack { .. } => panic!("a participant never says {body:?}"),
        }
    }

    /// Whoever believes to talk sends a frame; only the holder's is taken.
    fn speak(&mut self) {
        for unit in 0..UNITS {
            let Some(Granted { spurt, .. }) = self.sides[unit].participant.grant().cloned() else { continue };
            let seq = self.sides[unit].sent.map_or(0, |seq| seq + 1);
            self.sides[unit].sent = Some(seq);
            let taken = self.bench.arbiter.voice(SessionId(session(unit)), spurt, Seq(seq), self.bench.now);
            assert!(!taken || self.bench.holder() == Some(session(unit)) || self.bench.arbiter.current().is_none());
        }
    }

    fn collect(&mut self) {
        let now = self.bench.now;
        for side in &mut self.sides {
            while let Some(out) = side.participant.poll() {
                match out {
                    Out::Send(body) => side.up.push_back(body),
                    Out::Finish => side.participant.finished(side.sent.take().map(Seq), now),
                    // The stream carries the same; a datagram may be lost.
                    Out::SendDatagram(_) | Out::Tell(_) => {}
                }
            }
        }
        while let Some(say) = self.bench.arbiter.poll() {
            if let Say::To(to, body) = say {
                let unit = usize::try_from(to.session.0 - 1).unwrap();
                self.sides[unit].down.push_back(body);
            }
        }
    }

    fn deliver_all(&mut self) {
        for _ in 0..200 {
            for unit in 0..UNITS {
                self.step(Op::Deliver(unit, true));
                self.step(Op::Deliver(unit, false));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn when_all_is_delivered_and_nobody_presses_the_floor_is_free(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
        world.deliver_all();
        for unit in 0..UNITS {
            world.step(Op::KeyUp(unit));
        }
        for _ in 0..40 {
            world.deliver_all();
            world.step(Op::Wait(100));
        }
        prop_assert_eq!(world.bench.holder(), None);
        prop_assert_eq!(world.bench.queue(), Vec::<u64>::new());
        for side in &world.sides {
            prop_assert_eq!(side.participant.state(), State::Silent);
        }
    }

    #[test]
    fn whoever_keeps_the_key_down_alone_gets_the_floor(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
        for unit in 0..UNITS {
            world.step(Op::KeyUp(unit));
        }
        for _ in 0..40 {
            world.deliver_all();
            world.step(Op::Wait(100));
        }
        world.step(Op::Press(0, Tier::Normal));
        world.deliver_all();
        prop_assert_eq!(world.bench.holder(), Some(1));
        prop_assert_eq!(world.sides[0].participant.state(), State::Talking);
    }
}
