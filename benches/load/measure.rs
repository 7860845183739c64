//! One measurement: everybody joins, the talkers talk twice for half the time, and the figures are taken.
//!
//! The first half is for processor time, the second for delays, since the capture costs the relay time. Each half ends with a
//! pause in which everything on its way arrives, so that what was heard can be counted.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use crate::Place;
use crate::capture::Capture;
use crate::crowd::{Crowd, payload};
use crate::delays::{Delays, Got, Said, delays};
use crate::proc::{Work, process_ns, rss_kib};

/// Voice before the first half, unmeasured: caches, windows and allocators have seen a frame by then.
const WARM: Duration = Duration::from_millis(500);
/// How often it is looked whether anything still comes, after a half.
const LOOK: Duration = Duration::from_millis(200);
/// Longest pause after a half. Below 1.3 s, or our gateway takes the floor back.
const PAUSE: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Clone, Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    place: Place,
    /// Frames a second of each talker
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Bytes of voice in a frame
    #[arg(long, default_value_t = 60)]
    payload: usize,
    /// Length of both halves together
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// The relay's process
    #[arg(long)]
    relay_pid: u32,
    /// The core it is bound to
    #[arg(long)]
    relay_core: usize,
    /// The core that this process is bound to
    #[arg(long)]
    load_core: usize,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    listeners: usize,
    talkers: usize,
    /// Deliveries that there should have been, and were, in both halves.
    expected: usize,
    delivered: usize,
    /// Deliveries of the first half, and what they cost: time in which the relay's core was busy, and its process's own.
    cpu_deliveries: usize,
    cpu_core_us: u64,
    /// Of the core's time, that of interrupts.
    cpu_soft_us: u64,
    cpu_process_us: u64,
    /// Share of the first half in which each core was busy.
    relay_busy: f64,
    load_busy: f64,
    rss_kib: u64,
    #[serde(flatten)]
    delays: Delays,
}

/// Measures.
pub(crate) async fn run(plan: &Plan) -> Result<Figures> {
    let relay = plan.place.address;
    let mut crowd = Crowd::gather(&plan.place, true).await?;
    let mut voices = Voices { frame: 0, rate: plan.rate, payload: plan.payload };
    let half = Duration::from_secs_f64(plan.seconds / 2.0);
    voices.talk(&mut crowd, WARM).await?;
    settle(&crowd).await;
    heard(&crowd);

    let (core, load, process) = (Work::of_core(plan.relay_core)?, Work::of_core(plan.load_core)?, process_ns(plan.relay_pid)?);
    let first = voices.talk(&mut crowd, half).await?;
    let core = Work::of_core(plan.relay_core)?.since(core);
    let load = Work::of_core(plan.load_core)?.since(load);
    let process = process_ns(plan.relay_pid)?.saturating_sub(process);
    settle(&crowd).await;
    let cpu_deliveries = heard(&crowd).iter().map(|got| got.frames.len()).sum();

    let capture = Capture::start(relay)?;
    let second = voices.talk(&mut crowd, half).await?;
    settle(&crowd).await;
    let packets = capture.stop()?;
    let got = heard(&crowd);
    let said: Vec<Said> = crowd.talkers.iter().map(|talker| Said { group: talker.group, at: talker.at, frames: second.clone() }).collect();
    let delays = delays(&packets, relay, &said, &got);
    crowd.all_alive()?;
    Ok(Figures {
        listeners: crowd.ears.len(),
        talkers: crowd.talkers.len(),
        expected: (first.len() + second.len()) * crowd.ears.len(),
        delivered: cpu_deliveries + delays.frames_heard,
        cpu_deliveries,
        cpu_core_us: core.busy_us,
        cpu_soft_us: core.soft_us,
        cpu_process_us: process / 1_000,
        relay_busy: core.share(),
        load_busy: load.share(),
        rss_kib: rss_kib(plan.relay_pid)?,
        delays,
    })
}

/// Waits until nothing more comes.
async fn settle(crowd: &Crowd) {
    let until = Instant::now() + PAUSE;
    let mut before = None;
    while Instant::now() < until {
        sleep(LOOK).await;
        let now = crowd.ears.iter().map(|ear| ear.heard.count()).sum::<usize>();
        if before.replace(now) == Some(now) {
            return;
        }
    }
}

/// What everybody heard since this was asked before.
fn heard(crowd: &Crowd) -> Vec<Got> {
    crowd.ears.iter().map(|ear| Got { group: ear.group, at: ear.at, frames: ear.heard.take() }).collect()
}

/// Who talks, and where they are.
struct Voices {
    frame: u32,
    rate: u32,
    payload: usize,
}

impl Voices {
    /// Everybody who talks does so for a while, one after the other inside each frame's time; the frames' numbers.
    async fn talk(&mut self, crowd: &mut Crowd, length: Duration) -> Result<Vec<u32>> {
        let every = Duration::from_secs(1) / self.rate;
        let apart = every / u32::try_from(crowd.talkers.len())?.max(1);
        let began = Instant::now();
        let frames = self.frame..self.frame + (length.as_secs_f64() * f64::from(self.rate)).round() as u32;
        for frame in frames.clone() {
            let due = began + every * (frame - frames.start);
            for (place, talker) in (0_u32..).zip(&mut crowd.talkers) {
                sleep_until(due + apart * place).await;
                talker.mouth.speak(&payload(talker.group, frame, self.payload))?;
                // A late talker has several frames to send at once; each has its turn to leave in a packet of its own.
                yield_now().await;
            }
        }
        sleep_until(began + length).await;
        self.frame = frames.end;
        Ok(frames.collect())
    }
}
