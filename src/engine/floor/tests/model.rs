//! The arbiter against a naive model of the floor: one holder, one sorted list, nothing else. Random operations must leave
//! both with the same holder and queue after every step.

use proptest::prelude::*;
use wire::control::{FloorBody, Release};
use wire::{Level, Priority, RequestId, RevokeCause, Seq, SessionId, Spurt, Tier};

use super::bench::{Bench, claim, ms, party};
use crate::floor::say::Say;

/// What can be done to a floor.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A unit presses anew, or repeats or raises the request it has.
    Press(u64, Priority),
    Raise(u64, Priority),
    /// It releases, all its frames having passed.
    Release(u64),
    /// It releases a request it made earlier.
    StaleRelease(u64),
    /// It goes away.
    Leave(u64),
    /// A frame of anybody, under the current spurt.
    Voice(u64),
    /// Time passes while the holder speaks.
    Talk(u64),
}

fn priority() -> impl Strategy<Value = Priority> {
    let tier = prop_oneof![6 => Just(Tier::Normal), 1 => Just(Tier::Peril), 1 => Just(Tier::Emergency)];
    (tier, prop::bool::weighted(0.2), 0u8..3).prop_map(|(tier, dispatcher, level)| Priority { tier, dispatcher, level: Level(level) })
}

fn op() -> impl Strategy<Value = Op> {
    let unit = 1u64..6;
    prop_oneof![
        4 => (unit.clone(), priority()).prop_map(|(u, p)| Op::Press(u, p)),
        2 => (unit.clone(), priority()).prop_map(|(u, p)| Op::Raise(u, p)),
        4 => unit.clone().prop_map(Op::Release),
        1 => unit.clone().prop_map(Op::StaleRelease),
        1 => unit.clone().prop_map(Op::Leave),
        1 => unit.prop_map(Op::Voice),
        3 => (1u64..30).prop_map(Op::Talk),
    ]
}

/// A request as the model keeps it. `pushed` counts down for pre-emptors: they stand before everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ask {
    unit: u64,
    request: u32,
    priority: Priority,
}

/// The floor as a textbook has it.
#[derive(Debug, Default)]
struct Model {
    holder: Option<Ask>,
    /// Milliseconds of grace left for the holder.
    grace: Option<u64>,
    queue: Vec<Ask>,
}

impl Model {
    fn ask(&mut self, ask: Ask) {
        match self.holder {
            Some(holder) if holder.unit == ask.unit && holder.request == ask.request => self.raise(ask),
            Some(holder) if holder.unit == ask.unit => {
                self.next();
                self.compete(ask);
            }
            _ if self.queue.iter().any(|q| (q.unit, q.request) == (ask.unit, ask.request) && q.priority >= ask.priority) => {}
            _ => self.compete(ask),
        }
    }

    fn raise(&mut self, ask: Ask) {
        let Some(holder) = &mut self.holder else { return };
        let above = self.queue.first().is_none_or(|head| ask.priority > head.priority);
        if ask.priority > holder.priority && (self.grace.is_none() || above) {
            holder.priority = ask.priority;
            self.grace = None;
        }
    }

    fn compete(&mut self, ask: Ask) {
        let Some(holder) = self.holder else {
            self.holder = Some(ask);
            return;
        };
        self.queue.retain(|q| q.unit != ask.unit);
        let cuts = ask.priority.preempts(holder.priority) && (ask.priority.tier, holder.priority.tier) != (Tier::Normal, Tier::Normal);
        if cuts {
            self.queue.insert(0, ask);
            self.next();
        } else if ask.priority.preempts(holder.priority) && self.grace.is_none() {
            self.queue.insert(0, ask);
            self.grace = Some(500);
        } else {
            let place = self.queue.iter().position(|q| q.priority < ask.priority).unwrap_or(self.queue.len());
            self.queue.insert(place, ask);
        }
    }

    fn release(&mut self, unit: u64, request: u32) {
        if self.holder.is_some_and(|h| (h.unit, h.request) == (unit, request)) {
            self.next();
        } else {
            self.queue.retain(|q| (q.unit, q.request) != (unit, request));
        }
    }

    fn leave(&mut self, unit: u64) {
        self.queue.retain(|q| q.unit != unit);
        if self.holder.is_some_and(|h| h.unit == unit) {
            self.next();
        }
    }

    fn next(&mut self) {
        self.grace = None;
        self.holder = if self.queue.is_empty() { None } else { Some(self.queue.remove(0)) };
    }

    fn pass(&mut self, millis: u64) {
        if let Some(left) = self.grace {
            self.grace = left.checked_sub(millis).filter(|left| *left > 0);
            if self.grace.is_none() {
                self.next();
            }
        }
    }
}

/// The arbiter, the model, and what was granted and ended.
struct Duel {
    bench: Bench,
    model: Model,
    /// The newest request of each unit.
    requests: [u32; 6],
    wanted: Vec<(u64, u32)>,
    newest: Option<Spurt>,
    live: Option<Spurt>,
    seq: u16,
}

impl Duel {
    fn step(&mut self, op: Op) {
        let now = self.bench.now;
        match op {
            Op::Press(unit, priority) => {
                self.requests[usize::try_from(unit).unwrap()] += 1;
                self.ask(unit, priority);
            }
            Op::Raise(unit, priority) if self.requests[usize::try_from(unit).unwrap()] > 0 => {
                let request = self.requests[usize::try_from(unit).unwrap()];
                if self.wanted.contains(&(unit, request)) {
                    self.ask(unit, priority);
                }
            }
            Op::Raise(..) => {}
            Op::Release(unit) => self.release(unit, self.requests[usize::try_from(unit).unwrap()]),
            Op::StaleRelease(unit) => self.release(unit, self.requests[usize::try_from(unit).unwrap()].saturating_sub(1)),
            Op::Leave(unit) => {
                self.bench.arbiter.leave(&party(unit), RevokeCause::Disconnected, now);
                self.model.leave(unit);
                self.wanted.retain(|(u, _)| *u != unit);
            }
            Op::Voice(unit) => {
                let holds = self.bench.holder() == Some(unit);
                let Some(live) = self.live else { return };
                assert_eq!(self.bench.arbiter.voice(SessionId(unit), live, Seq(self.seq), now), holds, "voice of {unit}");
                self.seq += u16::from(holds);
            }
            Op::Talk(ticks) => {
                for _ in 0..ticks {
                    if let (Some(holder), Some(live)) = (self.bench.holder(), self.live) {
                        self.bench.arbiter.voice(SessionId(holder), live, Seq(self.seq), self.bench.now);
                        self.seq += 1;
                    }
                    self.bench.now += ms(20);
                    self.bench.arbiter.handle_timeout(self.bench.now);
                    self.model.pass(20);
                    self.hear();
                }
            }
        }
        self.hear();
        self.compare();
    }

    fn ask(&mut self, unit: u64, priority: Priority) {
        let request = self.requests[usize::try_from(unit).unwrap()];
        self.wanted.retain(|(u, _)| *u != unit);
        self.wanted.push((unit, request));
        self.bench.arbiter.request(claim(unit, request, priority), self.bench.now);
        self.model.ask(Ask { unit, request, priority });
    }

    fn release(&mut self, unit: u64, request: u32) {
        let release = Release { request: RequestId(request), last_seq: None, key_down: false };
        self.bench.arbiter.release(&party(unit), &release, self.bench.now);
        self.model.release(unit, request);
        self.wanted.retain(|wanted| *wanted != (unit, request));
    }

    /// Every spurt number rises, one is live at a time, and each goes to somebody who wants it.
    fn hear(&mut self) {
        while let Some(say) = self.bench.arbiter.poll() {
            match say {
                Say::Began(spurt) => {
                    assert_eq!(self.live, None, "{spurt} began before the end of another");
                    assert!(self.newest.is_none_or(|newest| spurt.is_after(newest)));
                    (self.newest, self.live, self.seq) = (Some(spurt), Some(spurt), 0);
                }
                Say::Ended(ended) => assert_eq!(self.live.take(), Some(ended.spurt)),
                Say::To(to, FloorBody::Granted(granted)) => {
                    assert_eq!(Some(granted.spurt), self.live);
                    assert!(self.wanted.contains(&(to.session.0, granted.request.0)), "granted to {to:?}, who does not want it");
                }
                Say::To(..) | Say::Taken(_) | Say::Idle(_) => {}
            }
        }
    }

    fn compare(&self) {
        assert_eq!(self.bench.holder(), self.model.holder.map(|h| h.unit), "holder, model {:?}", self.model);
        assert_eq!(self.bench.queue(), self.model.queue.iter().map(|q| q.unit).collect::<Vec<_>>(), "queue, model {:?}", self.model);
        let waits = self.bench.arbiter.queue().claims().any(|c| c.priority.tier == Tier::Emergency);
        let talks = self.bench.arbiter.current().map(|c| c.claim.priority.tier);
        assert!(!waits || talks == Some(Tier::Emergency), "an emergency waits behind {talks:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_arbiter_does_what_the_model_does(ops in prop::collection::vec(op(), 1..80)) {
        let mut duel =
            Duel { bench: Bench::new(), model: Model::default(), requests: [0; 6], wanted: Vec::new(), newest: None, live: None, seq: 0 };
        for op in ops {
            duel.step(op);
        }
        for unit in 1..6 {
            duel.step(Op::Leave(unit));
        }
        prop_assert_eq!(duel.live, None, "every grant ends");
    }
}
