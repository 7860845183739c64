//! What playout costs a unit: a frame is taken in and a tick played, on paths of different trouble.

use std::time::{Duration, Instant};

use bytes::Bytes;
use divan::{Bencher, black_box};
use engine::jitter::{FRAME, JitterBuffer, Playout};
use wire::{Seq, Spurt};

fn main() {
    divan::main();
}

const PAYLOAD: Bytes = Bytes::from_static(&[0x4a; 60]);

/// One talker without end: a new spurt every 20 s of its time, as numbers run out.
struct Talker {
    buffer: JitterBuffer,
    now: Instant,
    spurt: Spurt,
    seq: u16,
}

/// Frames of one spurt.
const FRAMES: u16 = 1_000;

impl Talker {
    /// A talker whose path is known for 10 s.
    fn new() -> Self {
        let mut talker = Self { buffer: JitterBuffer::new(), now: Instant::now(), spurt: Spurt::from_bits(1), seq: 0 };
        for _ in 0..500 {
            talker.frame(true, 0);
        }
        talker
    }

    /// A frame that comes so many ms late, if it does, and the tick after it.
    fn frame(&mut self, comes: bool, late_ms: u64) -> Option<Playout> {
        let last = self.seq == FRAMES;
        if comes || last {
            let at = self.now + Duration::from_millis(late_ms);
            black_box(self.buffer.insert(self.spurt, Seq(self.seq), PAYLOAD, last, at));
        }
        (self.spurt, self.seq) = if last { (self.spurt.next(), 0) } else { (self.spurt, self.seq + 1) };
        self.now += FRAME;
        self.buffer.due(self.now)
    }
}

/// What the path does to the n-th frame: whether it comes, and how late.
fn path(name: &str, n: u64) -> (bool, u64) {
    match name {
        "loss 10 %" => (!n.is_multiple_of(10), 0),
        "jitter 15 ms" => (true, n * 7 % 16),
        _ => (true, 0),
    }
}

#[divan::bench(args = ["quiet", "loss 10 %", "jitter 15 ms"])]
fn insert_and_play(bencher: Bencher<'_, '_>, name: &str) {
    let mut talker = Talker::new();
    let mut n = 0;
    bencher.bench_local(|| {
        n += 1;
        let (comes, late) = path(name, n);
        talker.frame(comes, late)
    });
}

/// The copy of a frame that waits is told apart and dropped.
#[divan::bench]
fn insert_again(bencher: Bencher<'_, '_>) {
    let mut talker = Talker::new();
    talker.buffer.insert(talker.spurt, Seq(talker.seq), PAYLOAD, false, talker.now);
    bencher.bench_local(|| talker.buffer.insert(black_box(talker.spurt), Seq(talker.seq), PAYLOAD, false, talker.now));
}
