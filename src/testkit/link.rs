//! What one direction between two hosts does to packets: loss, bursts, delay, jitter, duplication, rate.

use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;
use tokio::time::Instant;

/// Bytes of IP and UDP header counted against the rate.
const HEADER_BYTES: usize = 28;

/// Losses in bursts (Gilbert-Elliott): the path is good or bad, and changes per packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Probability per packet that a good path turns bad.
    pub enter: f64,
    /// Probability per packet that a bad path turns good; the mean burst is its reciprocal.
    pub leave: f64,
    /// Loss while bad.
    pub loss: f64,
}

impl Burst {
    /// All packets of a burst are lost; `share` of all packets, `mean_length` packets in a row on average.
    pub fn losing(share: f64, mean_length: f64) -> Self {
        let leave = 1.0 / mean_length;
        Self { enter: leave * share / (1.0 - share), leave, loss: 1.0 }
    }
}

/// One direction of a path. The default is perfect: no loss, no delay, no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Probability that a packet is lost, each for itself.
    pub loss: f64,
    /// Losses in bursts, on top.
    pub burst: Option<Burst>,
    /// Delay of every packet.
    pub delay: Duration,
    /// Largest extra delay, drawn evenly.
    pub jitter: Duration,
    /// Whether jitter may let packets overtake each other. QUIC counts that as loss, so test both.
    pub reorder: bool,
    /// Probability that a packet arrives twice.
    pub dup: f64,
    /// Probability that one bit of a packet arrives flipped, as no checksum of a real network would let pass: an attacker's hand.
    pub flip: f64,
    /// Rate in bits per second, IP headers included, and the queue in front of it.
    pub rate: Option<Rate>,
}

/// A bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits per second.
    pub bits_per_s: u64,
    /// Bytes that may wait; what comes on top is dropped.
    pub queue_bytes: usize,
}

impl Link {
    /// A link with this delay one way and nothing else.
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// The same with independent loss.
    #[must_use]
    pub fn losing(self, loss: f64) -> Self {
        Self { loss, ..self }
    }

    /// The same with losses in bursts.
    #[must_use]
    pub fn bursty(self, burst: Burst) -> Self {
        Self { burst: Some(burst), ..self }
    }

    /// The same with jitter that keeps the order.
    #[must_use]
    pub fn jittery(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// The same with packets allowed to overtake each other.
    #[must_use]
    pub fn reordering(self) -> Self {
        Self { reorder: true, ..self }
    }

    /// The same with duplicates.
    #[must_use]
    pub fn duplicating(self, dup: f64) -> Self {
        Self { dup, ..self }
    }

    /// The same with bits flipped in so many packets.
    #[must_use]
    pub fn flipping(self, flip: f64) -> Self {
        Self { flip, ..self }
    }

    /// Whether packets may be lost on it; QUIC drops one with a flipped bit.
    pub fn loses(&self) -> bool {
        self.loss > 0.0 || self.flip > 0.0 || self.burst.is_some() || self.rate.is_some()
    }

    /// The same through a bottleneck.
    #[must_use]
    pub fn limited(self, bits_per_s: u64, queue_bytes: usize) -> Self {
        Self { rate: Some(Rate { bits_per_s, queue_bytes }), ..self }
    }
}

/// What a direction remembers between packets.
#[derive(Debug, Default)]
pub(crate) struct PathState {
    bad: bool,
    busy_until: Option<Instant>,
    last_arrival: Option<Instant>,
}

/// What becomes of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives { at: Instant, copies: usize },
    Lost,
    QueueFull,
}

impl PathState {
    /// Sends a packet of `size` payload bytes down the link. Draws the same amount of random numbers whatever happens.
    pub(crate) fn carry(&mut self, link: &Link, size: usize, now: Instant, rng: &mut SmallRng) -> Fate {
        let (loss, turn, burst_loss, jitter, dup): (f64, f64, f64, f64, f64) = rng.random();
        let mut leaves = now;
        if let Some(rate) = link.rate {
            let start = self.busy_until.map_or(now, |busy| busy.max(now));
            let waiting = start.duration_since(now).as_secs_f64() * per_second(rate) / 8.0;
            if waiting > bytes(rate.queue_bytes) {
                return Fate::QueueFull;
            }
            leaves = start + Duration::from_secs_f64(bytes(size + HEADER_BYTES) * 8.0 / per_second(rate));
            self.busy_until = Some(leaves);
        }
        if let Some(burst) = link.burst {
            self.bad = if self.bad { turn >= burst.leave } else { turn < burst.enter };
            if self.bad && burst_loss < burst.loss {
                return Fate::Lost;
            }
        }
        if loss < link.loss {
            return Fate::Lost;
        }
        let mut at = leaves + link.delay + link.jitter.mul_f64(jitter);
        if !link.reorder {
            at = self.last_arrival.map_or(at, |last| last.max(at));
            self.last_arrival = Some(at);
        }
        Fate::Arrives { at, copies: if dup < link.dup { 2 } else { 1 } }
    }
}

/// One bit of the packet turned over, if chance says so. Draws nothing on a link that flips nothing, so that such links do not
/// change the run of all others.
pub(crate) fn flipped(link: &Link, data: &[u8], rng: &mut SmallRng) -> Option<Vec<u8>> {
    if link.flip <= 0.0 || data.is_empty() || !rng.random_bool(link.flip.min(1.0)) {
        return None;
    }
    let mut data = data.to_vec();
    let (at, bit) = (rng.random_range(0..data.len()), rng.random_range(0..8));
    data[at] ^= 1 << bit;
    Some(data)
}

/// Exact for every size and rate a simulation uses (below 2^52).
fn bytes(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

fn per_second(rate: Rate) -> f64 {
    u32::try_from(rate.bits_per_s).map_or(f64::MAX, f64::from)
}
