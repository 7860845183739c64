//! The sender of a hop chooses how many earlier frames it repeats, and which.
//!
//! | repeats | from a loss of | until it is below | frames back |
//! |---|---|---|---|
//! | 1 | 1.5 % | 0.5 % | 1; in bursts 2 |
//! | 2 | 7 %; in bursts 3 % | 4 %; in bursts 1.5 % | 1 and 2; in bursts 2 and 4 |
//!
//! Independent losses come in runs of 1 / (1 - loss) on average; of more than 1.6 times that length they are bursts, until the runs
//! are shorter than 1.3 times. The loss is a mean over the last 150 frames and, ever less, those before.

use wire::datagram::Report;

/// How many earlier frames each frame carries, and how far back they lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repeats {
    count: u8,
    spread: bool,
}

impl Repeats {
    /// None at all.
    pub const NONE: Self = Self { count: 0, spread: false };

    /// So many, at most two; `spread` for bursts.
    pub fn new(count: u8, spread: bool) -> Self {
        let count = count.min(2);
        Self { count, spread: spread && count > 0 }
    }

    /// How many.
    pub fn count(self) -> u8 {
        self.count
    }

    /// Whether they lie apart, against bursts.
    pub fn is_spread(self) -> bool {
        self.spread
    }

    /// Of these, so many at most.
    #[must_use]
    pub fn at_most(self, count: u8) -> Self {
        Self::new(self.count.min(count), self.spread)
    }

    /// How many frames back each lies.
    pub(crate) fn backs(self) -> &'static [u8] {
        match (self.count, self.spread) {
            (0, _) => &[],
            (1, false) => &[1],
            (1, true) => &[2],
            (_, false) => &[1, 2],
            (_, true) => &[2, 4],
        }
    }
}

/// Loss from which so many repeats are sent, and below which they are not any more.
#[derive(Clone, Copy, Debug)]
struct Step {
    up: f64,
    down: f64,
}

const ONE: Step = Step { up: 0.015, down: 0.005 };
const TWO: Step = Step { up: 0.07, down: 0.04 };
const TWO_IN_BURSTS: Step = Step { up: 0.03, down: 0.015 };
/// Length of runs, against that of independent losses, from which losses are bursts, and below which they are not.
const BURSTS: Step = Step { up: 1.6, down: 1.3 };
/// Frames over which the loss is averaged.
const MEMORY: f64 = 150.0;
/// A report of more is not one of the frames since the last: old, or not of this session.
const FRAMES_MAX: u32 = 1_000_000;

impl Step {
    /// With hysteresis.
    fn reaches(self, value: f64, before: bool) -> bool {
        value >= if before { self.down } else { self.up }
    }
}

/// Makes a choice of the reports of one session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chooser {
    pub(super) newest: Report,
    /// Lost frames and runs of them, of all.
    loss: f64,
    runs: f64,
    choice: Repeats,
}

impl Chooser {
    /// What to send.
    pub fn choice(&self) -> Repeats {
        self.choice
    }

    /// A report came. One that is older than the newest or cannot be says nothing.
    pub fn handle_report(&mut self, report: Report) {
        let since = |now: u32, before: u32| now.wrapping_sub(before);
        let frames = since(report.frames, self.newest.frames);
        let lost = since(report.lost, self.newest.lost);
        let runs = since(report.runs, self.newest.runs);
        if frames == 0 || frames > FRAMES_MAX || lost > frames || runs > lost {
            return;
        }
        self.newest = report;
        let weight = (f64::from(frames) / MEMORY).min(1.0);
        self.loss += (f64::from(lost) / f64::from(frames) - self.loss) * weight;
        self.runs += (f64::from(runs) / f64::from(frames) - self.runs) * weight;
        self.choice = self.choose();
    }

    fn choose(&self) -> Repeats {
        let Repeats { count, spread } = self.choice;
        // Of no run at all nothing is known.
        let length = if self.runs > 0.0 { self.loss / self.runs * (1.0 - self.loss) } else { 0.0 };
        let spread = BURSTS.reaches(length, spread);
        let two = if spread { TWO_IN_BURSTS } else { TWO };
        let one = ONE.reaches(self.loss, count > 0);
        Repeats::new(u8::from(one) + u8::from(one && two.reaches(self.loss, count > 1)), spread)
    }
}
