//! The priority scheduler of a link: order, bounds, deadlines, rate and counters, whatever is offered when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use engine::sched::{Chunk, Class, ClassStats, Next, OVERHEAD_BYTES, Overflow, Scheduler};
use wire::Level;

use super::{Script, epoch, ms, trace};

/// Rates of a link in kbit/s; 0 stands for unshaped.
const RATES: [u32; 4] = [0, 64, 512, 10_000];
/// A timer of the driver may fire so late without losing rate.
const SLACK: Duration = Duration::from_millis(2);

#[derive(Debug)]
enum Op {
    Offer { class: Class, level: Level, bytes: usize, backlog: bool },
    OfferChunks { class: Class, chunks: Vec<usize> },
    Take(usize),
    Pass(Duration),
    Ready(Class, bool),
    Rate(u32),
}

impl Op {
    fn read(script: &mut Script<'_>) -> Self {
        let op = script.byte();
        let class = |script: &mut Script<'_>| *script.pick(&Class::ALL);
        match op & 15 {
            0..=5 => {
                let (class, level) = (class(script), Level(script.byte() & 3));
                Self::Offer { class, level, bytes: usize::from(script.byte()) * 5, backlog: op & 0x80 != 0 }
            }
            6 | 7 => {
                let class = *script.pick(&[Class::Control, Class::UrgentData, Class::Data, Class::Bulk]);
                Self::OfferChunks { class, chunks: (0..script.below(9)).map(|_| usize::from(script.byte()) * 2).collect() }
            }
            8..=10 => Self::Take(script.below(32) + 1),
            11 | 12 => Self::Pass(ms(script.byte().into())),
            13 => Self::Pass(Duration::from_micros(u64::from(script.word()) * 100)),
            14 => Self::Ready(class(script), script.flag()),
            _ => Self::Rate(*script.pick(&RATES)),
        }
    }
}

/// What was offered as one message: its chunks are numbered through.
#[derive(Clone, Copy, Debug)]
struct Offered {
    class: Class,
    level: Level,
    at: Instant,
    backlog: bool,
    chunks: usize,
    sent: usize,
}

/// A packet: the message it belongs to and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    message: u32,
    chunk: usize,
    bytes: usize,
}

struct Bench {
    scheduler: Scheduler<Item>,
    now: Instant,
    /// Messages offered so far.
    count: u32,
    /// Those that were taken and are not sent in full.
    offered: BTreeMap<u32, Offered>,
    ready: BTreeMap<Class, bool>,
    /// The message sent last, by class and, for normal voice, level.
    newest: BTreeMap<(Class, Level), u32>,
    rate: u32,
    /// First packet at the rate in force, and the sending time used up since.
    paid: Option<(Instant, Duration)>,
}

/// Drives a scheduler.
pub(crate) fn scheduler(data: &[u8]) {
    let mut script = Script::new(data);
    let rate = *script.pick(&RATES);
    let ready = Class::ALL.map(|class| (class, true)).into();
    let scheduler = Scheduler::new(Some(rate));
    let mut bench = Bench { scheduler, now: epoch(), count: 0, offered: BTreeMap::new(), newest: BTreeMap::new(), ready, rate, paid: None };
    while !script.is_over() {
        let op = Op::read(&mut script);
        trace(&op);
        bench.apply(op);
        bench.check_counters();
    }
    // With everything ready and time enough all that may go goes.
    Class::ALL.into_iter().for_each(|class| bench.apply(Op::Ready(class, true)));
    bench.apply(Op::Pass(ms(1_000)));
    while !matches!(bench.next(), Next::Idle) {
        bench.now += ms(50);
    }
    bench.check_counters();
    assert!(Class::ALL.into_iter().all(|class| bench.counters(class).queued == 0), "something is never sent");
}

impl Bench {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Offer { class, level, bytes, backlog } => self.offer(class, level, vec![bytes], backlog),
            Op::OfferChunks { class, chunks } => self.offer(class, Level::default(), chunks, false),
            Op::Take(most) => {
                for _ in 0..most {
                    if !matches!(self.next(), Next::Item { .. }) {
                        break;
                    }
                }
            }
            Op::Pass(time) => self.now += time,
            Op::Ready(class, ready) => {
                self.ready.insert(class, ready);
                self.scheduler.set_ready(class, ready);
            }
            Op::Rate(rate) => {
                self.scheduler.set_rate(Some(rate));
                (self.rate, self.paid) = (rate, None);
            }
        }
    }

    fn offer(&mut self, class: Class, level: Level, chunks: Vec<usize>, backlog: bool) {
        self.count += 1;
        let message = self.count;
        let single = chunks.len() == 1;
        let items: Vec<Item> = chunks.iter().enumerate().map(|(chunk, bytes)| Item { message, chunk, bytes: *bytes }).collect();
        let offered = Offered { class, level, at: self.now, backlog: backlog && class.is_perishable(), chunks: items.len(), sent: 0 };
        if items.is_empty() {
            return;
        }
        let before = self.counters(class).queued;
        let taken = match items.as_slice() {
            [item] if single && offered.backlog => self.scheduler.offer_backlog(class, level, item.bytes, *item, self.now),
            [item] if single => self.scheduler.offer(class, level, item.bytes, *item, self.now),
            _ => {
                let chunks = items.iter().map(|item| Chunk { bytes: item.bytes, item: *item }).collect();
                self.scheduler.offer_chunks(class, chunks, self.now)
            }
        };
        let full = before >= class.rule().bound_messages;
        match taken {
            Ok(()) => {
                assert!(!full || class.is_perishable(), "{class:?} took a message beyond its bound");
                self.offered.insert(message, offered);
            }
            Err(Overflow::TooSlow { bound }) => assert!(class == Class::Control && full && bound == class.rule().bound_messages),
            Err(Overflow::Full { class: of, items: back }) => {
                assert!(of == class && full && !class.is_perishable());
                assert_eq!(back, items, "what is refused comes back whole");
            }
        }
    }

    fn next(&mut self) -> Next<Item> {
        let next = self.scheduler.next(self.now);
        match &next {
            Next::Item { item, class, waited } => self.sent(*item, *class, *waited),
            Next::Wait(until, why) => {
                assert!(*until > self.now && self.rate > 0 && !why.is_empty(), "a wait for nothing");
                let longest = Duration::from_secs_f64(cost(1_275) * 8.0 / (f64::from(self.slowest()) * 900.0));
                assert!(*until <= self.now + longest + SLACK, "a wait of {:?}", *until - self.now);
            }
            Next::Idle => {}
        }
        next
    }

    /// Debt made at a slower rate is still paid at that.
    fn slowest(&self) -> u32 {
        RATES.into_iter().filter(|rate| *rate > 0).min().unwrap_or(self.rate)
    }

    fn sent(&mut self, item: Item, class: Class, waited: Duration) {
        let now = self.now;
        let offered = self.offered.get_mut(&item.message).expect("an item that was offered and not yet sent");
        assert_eq!((offered.class, offered.sent, now - offered.at), (class, item.chunk, waited));
        offered.sent += 1;
        let (level, done) = (offered.level, offered.sent == offered.chunks);
        if class.is_perishable() && !offered.backlog {
            assert!(waited <= ms(60), "voice sent {waited:?} late");
        }
        if done {
            self.offered.remove(&item.message);
        }
        assert!(self.ready[&class], "{class:?} is not ready");
        let line = (class, if class == Class::Voice { level } else { Level::default() });
        let before = self.newest.insert(line, item.message);
        assert!(before.is_none_or(|before| before <= item.message), "{class:?} is sent out of order");
        // Only a data class, by its guaranteed share, goes before a more urgent one that waits.
        let overtaken = Class::ALL.into_iter().find(|urgent| *urgent < class && self.ready[urgent] && self.counters(*urgent).queued > 0);
        assert!(overtaken.is_none() || class.rule().guaranteed, "{class:?} goes before {overtaken:?}");
        self.pay(item.bytes);
    }

    /// Between the first packet at a rate and any later one, all but the last are paid for.
    fn pay(&mut self, bytes: usize) {
        if self.rate == 0 {
            return;
        }
        let time = Duration::from_secs_f64(cost(bytes) * 8.0 / (f64::from(self.rate) * 900.0));
        let (start, used) = self.paid.get_or_insert((self.now, Duration::ZERO));
        let passed = self.now - *start;
        assert!(*used <= passed + SLACK + Duration::from_micros(100), "{used:?} of sending in {passed:?}");
        *used += time;
    }

    fn counters(&self, class: Class) -> ClassStats {
        self.scheduler.stats().of(class)
    }

    fn check_counters(&self) {
        for class in Class::ALL {
            let ClassStats { offered, sent, dropped_late, dropped_full, replaced, queued, .. } = self.counters(class);
            assert_eq!(offered, sent + dropped_late + dropped_full + replaced + queued as u64, "{class:?}");
            assert!(queued <= class.rule().bound_messages, "{class:?} holds {queued}");
        }
    }
}

fn cost(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes + OVERHEAD_BYTES).expect("a packet"))
}
