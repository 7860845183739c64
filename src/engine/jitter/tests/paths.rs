//! Generated paths: when each frame of a talker comes to the listener, if it does. The same seed gives the same arrivals.
//!
//! Times are microseconds on the listener's clock.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Between two frames of a talker whose clock is right.
const FRAME_US: u64 = 20_000;
/// Of the path without anything.
const BASE_MS: u64 = 30;
/// Silence between two spurts.
const PAUSE_MS: u64 = 400;

/// How much longer a frame takes than the fastest.
#[derive(Clone, Copy, Debug)]
pub(super) enum Jitter {
    None,
    /// Anything up to so many ms.
    Uniform(f64),
    /// Half of a normal distribution of this standard deviation, ms.
    Gauss(f64),
    /// Pareto, shape 1.5: most frames near nothing, a few up to 500 ms. The scale, ms.
    HeavyTail(f64),
    /// Uniform up to so many ms, between two moments, in ms.
    Between(u64, u64, f64),
    /// Falls from so many ms to nothing within so many, from a moment on: a queue that was filled at once.
    Queue {
        at: u64,
        depth: f64,
        drains_in: u64,
    },
}

/// Which frames do not come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    None,
    /// Each with this probability, in percent.
    Independent(f64),
    /// Gilbert-Elliott: this share in percent, in bursts of three on average.
    Bursts(f64),
    /// Everything spoken between two moments, in ms.
    Gap(u64, u64),
}

/// A talker, the path from him and what happens on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) name: &'static str,
    /// Of each spurt.
    pub(super) frames: u16,
    pub(super) spurts: u32,
    /// How much the talker's clock is faster than the listener's, in parts per million.
    pub(super) drift_ppm: f64,
    pub(super) jitter: Jitter,
    pub(super) loss: Loss,
    /// Frames keep their order, as in one queue.
    pub(super) in_order: bool,
    /// From this moment on the path is longer (or shorter) by so many ms.
    pub(super) route: Option<(u64, i64)>,
    /// The network hands over nothing between these moments, then all at once.
    pub(super) freeze: Option<(u64, u64)>,
    /// The listener's process does not run between these moments.
    pub(super) stopped: Option<(u64, u64)>,
    /// So many frames are spoken before the grant and come at once.
    pub(super) kept: u16,
    /// Every frame comes twice, the second time so many ms later.
    pub(super) again: Option<u64>,
    /// When the disturbance is over, in ms.
    pub(super) calm_at: Option<u64>,
}

impl Path {
    /// A path on which nothing happens, for a spurt of a minute.
    pub(super) const fn calm(name: &'static str) -> Self {
        Self {
            name,
            frames: 3_000,
            spurts: 1,
            drift_ppm: 0.0,
            jitter: Jitter::None,
            loss: Loss::None,
            in_order: true,
            route: None,
            freeze: None,
            stopped: None,
            kept: 0,
            again: None,
            calm_at: None,
        }
    }

    /// The same, with the moment at which its disturbance is over, in ms.
    pub(super) const fn calm_at(self, ms: u64) -> Self {
        Self { calm_at: Some(ms), ..self }
    }

    /// What arrives, in the order of arrival.
    pub(super) fn arrivals(&self, seed: u64) -> Vec<Arrival> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let step = FRAME_US as f64 / (1.0 + self.drift_ppm / 1e6);
        let mut arrivals = Vec::new();
        let (mut losing, mut before, mut begins) = (false, 0, 0.0);
        for spurt in 1..=self.spurts {
            for seq in 0..self.frames {
                let spoken = micros(begins + f64::from(seq) * step);
                let sent = if seq < self.kept { micros(begins + f64::from(self.kept) * step) } else { spoken };
                let fastest = self.fastest(spoken);
                let extra = micros(self.extra(spoken / 1_000, &mut rng) * 1e3);
                let mut at = self.fastest(sent) + extra;
                if self.in_order {
                    at = at.max(before);
                    before = at;
                }
                losing = self.loses(spoken / 1_000, losing, &mut rng);
                let last = seq + 1 == self.frames;
                // The last frame is sent three times, 20 ms apart; in these paths one of the three comes.
                if losing && !last {
                    continue;
                }
                let arrival = Arrival { at: self.held(at), spurt, seq, last, fastest };
                arrivals.push(arrival);
                arrivals.extend(self.again.map(|ms| Arrival { at: self.held(at + ms * 1_000), ..arrival }));
            }
            begins += f64::from(self.frames) * step + (PAUSE_MS * 1_000) as f64;
        }
        arrivals.sort_by_key(|arrival| (arrival.at, arrival.spurt, arrival.seq));
        arrivals
    }

    /// When a frame spoken then would arrive without jitter.
    fn fastest(&self, spoken: u64) -> u64 {
        let longer = self.route.filter(|(from, _)| spoken >= from * 1_000).map_or(0, |(_, by)| by);
        // The path has room to become shorter by a fifth of a second.
        (spoken + (BASE_MS + 200) * 1_000).saturating_add_signed(longer * 1_000)
    }

    fn extra(&self, now_ms: u64, rng: &mut SmallRng) -> f64 {
        match self.jitter {
            Jitter::None => 0.0,
            Jitter::Uniform(most) => rng.random_range(0.0..most),
            Jitter::Gauss(deviation) => normal(rng).abs() * deviation,
            Jitter::HeavyTail(scale) => (scale * (rng.random_range(0.0..1.0_f64).max(1e-9).powf(-1.0 / 1.5) - 1.0)).min(500.0),
            Jitter::Between(from, to, most) if (from..to).contains(&now_ms) => rng.random_range(0.0..most),
            Jitter::Queue { at, depth, drains_in } if (at..at + drains_in).contains(&now_ms) => {
                depth * (1.0 - (now_ms - at) as f64 / drains_in as f64)
            }
            Jitter::Between(..) | Jitter::Queue { .. } => 0.0,
        }
    }

    fn loses(&self, now_ms: u64, losing: bool, rng: &mut SmallRng) -> bool {
        const MEAN: f64 = 3.0;
        match self.loss {
            Loss::None => false,
            Loss::Independent(percent) => rng.random_bool(percent / 100.0),
            Loss::Bursts(percent) if losing => rng.random_bool(1.0 - 1.0 / MEAN) && percent > 0.0,
            Loss::Bursts(percent) => rng.random_bool(percent / MEAN / (100.0 - percent)),
            Loss::Gap(from, to) => (from..to).contains(&now_ms),
        }
    }

    /// When something that comes then is handed over.
    fn held(&self, at: u64) -> u64 {
        let frozen = [self.freeze, self.stopped].into_iter().flatten();
        frozen.fold(at, |at, (from, to)| if (from * 1_000..to * 1_000).contains(&at) { to * 1_000 } else { at })
    }
}

/// One frame that comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: u64,
    pub(super) spurt: u32,
    pub(super) seq: u16,
    pub(super) last: bool,
    /// When it would have come over the path of that moment without any jitter.
    pub(super) fastest: u64,
}

fn normal(rng: &mut SmallRng) -> f64 {
    let (radius, angle) = (rng.random_range(f64::EPSILON..1.0), rng.random_range(0.0..std::f64::consts::TAU));
    (-2.0 * f64::ln(radius)).sqrt() * f64::cos(angle)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "simulated times are positive and small")]
fn micros(time: f64) -> u64 {
    time.round() as u64
}
