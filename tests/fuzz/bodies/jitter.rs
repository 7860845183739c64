//! The jitter buffer: every frame at most once, in order, spurt after spurt, whatever arrives when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::jitter::{Inserted, JitterBuffer, Playout};
use wire::{Seq, Spurt};

use super::{Script, epoch, ms, trace};

/// Spurts at once.
const SPURTS_MAX: usize = 10;
/// Frames that they may hold.
const WAITING_MAX: u64 = 64 * SPURTS_MAX as u64;
/// Ends that may be told in one tick: of all these, and eight of spurts before.
const ENDS_MAX: usize = SPURTS_MAX + 8;

#[derive(Debug)]
enum Op {
    Start(Spurt),
    /// `Some(true)` is a hold beat.
    Insert {
        spurt: Spurt,
        seq: Seq,
        hold: bool,
        last: bool,
    },
    Ended(Spurt, Option<Seq>),
    Cut(Spurt),
    Ticks(usize),
    Pass(Duration),
    Reset,
}

impl Op {
    fn read(script: &mut Script<'_>, newest: Spurt, next: Seq) -> Self {
        let op = script.byte();
        let spurt = match op >> 5 {
            0..=3 => newest,
            4 => newest.next(),
            5 => Spurt::from_bits(newest.to_bits().wrapping_sub(1)),
            6 => newest.next().next(),
            _ => Spurt::from_bits(script.long()),
        };
        match op & 15 {
            0 => Self::Start(spurt),
            1..=4 => Self::Insert { spurt, seq: next, hold: false, last: false },
            5..=7 => {
                let shape = script.byte();
                let seq = match shape >> 6 {
                    0 => Seq(next.0.saturating_sub(u16::from(shape & 15))),
                    1 => Seq(next.0.saturating_add(u16::from(shape & 15))),
                    2 => next,
                    _ => Seq(script.word()),
                };
                Self::Insert { spurt, seq, hold: shape & 0x20 != 0, last: shape & 0x10 != 0 }
            }
            8 => Self::Ended(spurt, script.flag().then(|| Seq(script.byte().into()))),
            9 => Self::Cut(spurt),
            10..=12 => Self::Ticks(script.below(12) + 1),
            13 => Self::Pass(ms(script.byte().into())),
            14 => Self::Pass(ms(u64::from(script.byte()) * 40)),
            _ => Self::Reset,
        }
    }
}

/// A payload that names its frame.
fn voice(spurt: Spurt, seq: Seq) -> Bytes {
    Bytes::from([&spurt.to_bits().to_be_bytes()[..], &seq.0.to_be_bytes()].concat())
}

fn named(payload: &[u8]) -> (Spurt, Seq) {
    let bits = u32::from_be_bytes(payload[..4].try_into().expect("a payload of ours"));
    (Spurt::from_bits(bits), Seq(u16::from_be_bytes(payload[4..].try_into().expect("a payload of ours"))))
}

struct Bench {
    buffer: JitterBuffer,
    now: Instant,
    newest: Spurt,
    next: Seq,
    /// The order in which spurts were taken in, by number.
    order: BTreeMap<u32, u32>,
    taken: u32,
    /// Only later numbers are taken in.
    tail: Option<Spurt>,
    /// Hold beats taken in; they leave without a count.
    silent: u64,
    /// The place in that order, and the frame, that was played last.
    played: Option<(u32, Seq)>,
    /// Places up to this one are over.
    over: Option<u32>,
    /// Sound handed over and not yet played.
    left_over: Duration,
}

/// Drives a jitter buffer.
pub(crate) fn jitter(data: &[u8]) {
    let mut script = Script::new(data);
    let newest = Spurt::from_bits(script.long());
    let mut bench = Bench {
        buffer: JitterBuffer::new(),
        now: epoch(),
        newest,
        next: Seq(0),
        order: BTreeMap::new(),
        taken: 0,
        tail: None,
        silent: 0,
        played: None,
        over: None,
        left_over: Duration::ZERO,
    };
    while !script.is_over() {
        let op = Op::read(&mut script, bench.newest, bench.next);
        trace(&op);
        bench.apply(op);
        let stats = bench.buffer.stats();
        assert!(stats.received <= stats.played + stats.dropped + bench.silent + WAITING_MAX, "{stats:?}");
    }
    // Told that it is over, everything ends.
    bench.buffer.ended(bench.newest, None, bench.now);
    bench.apply(Op::Ticks(SPURTS_MAX * 64 + 100));
    assert!(!bench.buffer.is_active() || bench.buffer.playing().is_some(), "ends are told");
}

impl Bench {
    fn apply(&mut self, op: Op) {
        match op {
            // The circle of epochs has been gone round: which of the two an end means, the oracle could not tell.
            Op::Start(spurt) | Op::Insert { spurt, .. } if self.comes_again(spurt) => {}
            Op::Start(spurt) => {
                self.buffer.start(spurt, self.now);
                self.take_in(spurt);
            }
            Op::Insert { spurt, seq, hold, last } => {
                let payload = if hold { Bytes::new() } else { voice(spurt, seq) };
                let inserted = self.buffer.insert(spurt, seq, payload, last, self.now);
                self.silent += u64::from(hold && matches!(inserted, Inserted::New | Inserted::Full));
                self.take_in(spurt);
                assert!(inserted == Inserted::WrongSpurt || self.order.contains_key(&spurt.to_bits()), "{spurt} is taken in late");
                if spurt == self.newest {
                    self.next = seq.next();
                }
            }
            Op::Ended(spurt, last) => self.buffer.ended(spurt, last, self.now),
            Op::Cut(spurt) => {
                self.buffer.cut(spurt);
                let place = self.order.get(&spurt.to_bits()).copied();
                self.over = self.over.max(place);
                if self.is_news(spurt) {
                    self.tail = Some(spurt);
                    self.over = self.taken.checked_sub(1);
                }
            }
            Op::Ticks(ticks) => {
                for _ in 0..ticks {
                    self.tick();
                    self.now += ms(20);
                }
            }
            Op::Pass(time) => self.now += time,
            Op::Reset => {
                self.buffer.reset();
                assert!(!self.buffer.is_active() && self.buffer.playing().is_none());
                self.order.clear();
                (self.played, self.over, self.tail, self.left_over) = (None, None, None, Duration::ZERO);
            }
        }
    }

    fn is_news(&self, spurt: Spurt) -> bool {
        self.tail.is_none_or(|tail| spurt.is_after(tail))
    }

    fn comes_again(&self, spurt: Spurt) -> bool {
        self.is_news(spurt) && self.order.contains_key(&spurt.to_bits())
    }

    fn take_in(&mut self, spurt: Spurt) {
        if self.is_news(spurt) {
            self.tail = Some(spurt);
            self.order.insert(spurt.to_bits(), self.taken);
            self.taken += 1;
        }
        if spurt.is_after(self.newest) {
            (self.newest, self.next) = (spurt, Seq(0));
        }
    }

    fn tick(&mut self) {
        for _ in 0..=ENDS_MAX {
            let due = self.buffer.due(self.now);
            trace(&due);
            match due {
                Some(Playout::End(spurt)) => {
                    let place = self.order.get(&spurt.to_bits()).copied();
                    self.over = self.over.max(place);
                    self.left_over = Duration::ZERO;
                    continue;
                }
                Some(Playout::Frame(payload)) => self.hear(&payload),
                Some(Playout::Stretch { frames, advance }) => {
                    frames.iter().for_each(|payload| self.hear(payload));
                    self.left_over += ms(20 * frames.len() as u64);
                    self.left_over = self.left_over.checked_sub(advance).expect("what is played was handed over");
                    assert!(self.left_over < ms(20), "{:?} is left over", self.left_over);
                }
                Some(Playout::Fec { next }) => {
                    let (spurt, seq) = named(&next);
                    let place = self.order[&spurt.to_bits()];
                    assert!(self.played.is_none_or(|played| (place, seq) > played), "repaired from a frame that was played");
                }
                Some(Playout::Silence) => self.left_over = Duration::ZERO,
                Some(Playout::Conceal) | None => {}
            }
            return;
        }
        panic!("ends without end");
    }

    fn hear(&mut self, payload: &[u8]) {
        let (spurt, seq) = named(payload);
        let place = self.order[&spurt.to_bits()];
        assert!(self.played.is_none_or(|played| (place, seq) > played), "{spurt} {seq:?} after {:?}", self.played);
        assert!(self.over.is_none_or(|over| place > over), "{spurt} is played after its end");
        self.played = Some((place, seq));
    }
}
