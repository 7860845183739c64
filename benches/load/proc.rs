//! What Linux tells of processor time and memory: `/proc/stat` of a core, `schedstat` of a process's threads, `VmRSS`.

use std::fs;

use anyhow::{Context, Result};

/// Clock ticks of `/proc/stat` are 10 ms wherever this runs.
const TICK_US: u64 = 10_000;

/// What a core and a process have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Time in which the core worked, in microseconds.
    pub(crate) busy_us: u64,
    /// Of that, interrupts and what they put off: on loopback the way of packets, as far as the kernel charges it to nobody.
    pub(crate) soft_us: u64,
    /// All time of the core, in microseconds; that which a hypervisor took is in here alone.
    pub(crate) all_us: u64,
}

impl Work {
    /// Of a core until now.
    pub(crate) fn of_core(core: usize) -> Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        core_in(&text, core).with_context(|| format!("no core {core} in /proc/stat"))
    }

    /// What was done since.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            busy_us: self.busy_us.saturating_sub(before.busy_us),
            soft_us: self.soft_us.saturating_sub(before.soft_us),
            all_us: self.all_us.saturating_sub(before.all_us),
        }
    }

    /// Share of the time in which the core worked.
    pub(crate) fn share(self) -> f64 {
        if self.all_us == 0 { 0.0 } else { self.busy_us as f64 / self.all_us as f64 }
    }
}

/// Fields are user, nice, system, idle, iowait, irq, softirq, steal; guests are in user.
fn core_in(text: &str, core: usize) -> Option<Work> {
    let name = format!("cpu{core}");
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(&name))?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[user, nice, system, idle, waiting, irq, softirq, steal] = ticks.as_slice() else { return None };
    let busy = user + nice + system + irq + softirq;
    Some(Work { busy_us: busy * TICK_US, soft_us: (irq + softirq) * TICK_US, all_us: (busy + idle + waiting + steal) * TICK_US })
}

/// Processor time of all threads of a process so far, in nanoseconds; of those that live.
pub(crate) fn process_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))? {
        // A thread may end between the two looks.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()).context("schedstat")?;
    }
    Ok(sum)
}

/// Memory of a process that lies in RAM, in KiB.
pub(crate) fn rss_kib(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    line.split_whitespace().next().and_then(|field| field.parse().ok()).context("VmRSS")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 40 5 6 7 8 0 0\ncpu1 10 0 0 30 0 0 0 0 0 0\n";

    #[test]
    fn a_core_is_busy_unless_it_idles_or_waits_for_a_disk() {
        assert_eq!(core_in(STAT, 0), Some(Work { busy_us: 190_000, soft_us: 130_000, all_us: 720_000 }));
        let work = core_in(STAT, 1).unwrap();
        assert!((work.share() - 0.25).abs() < 1e-9);
        assert_eq!(core_in(STAT, 2), None);
        assert_eq!(Work::default().share(), 0.0);
    }

    #[test]
    fn this_process_works_and_has_memory() {
        let pid = std::process::id();
        assert!(process_ns(pid).unwrap() > 0 && rss_kib(pid).unwrap() > 0);
    }
}
