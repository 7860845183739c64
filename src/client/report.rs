//! What a unit counted: frames and delays over all its talkgroups, for the `report` at the end.

use std::time::Duration;

use engine::handset::Handset;
use engine::jitter::{Histogram, Stats};
use wire::TalkgroupId;

/// Counters since the unit started.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Voice frames sent, hold beats included, copies of a spurt's last frame not.
    pub frames_sent: u64,
    /// Voice frames received, duplicates not.
    pub frames_received: u64,
    /// Frames that did not come by themselves in time and were heard all the same: as repeats, or from the redundancy (FEC) of the next.
    pub frames_repaired: u64,
    /// Ticks of 20 ms concealed.
    pub frames_concealed: u64,
    /// Frames that came after their place had passed.
    pub frames_late: u64,
    delays: Histogram,
}

impl Report {
    /// Adds what the handset counted in one talkgroup.
    pub(crate) fn add(&mut self, handset: &Handset, talkgroup: &TalkgroupId) {
        let Some(Stats { received, repaired, concealed, late, delays, .. }) = handset.jitter_stats(talkgroup) else { return };
        self.frames_sent += handset.frames_sent(talkgroup);
        self.frames_received += received;
        self.frames_repaired += repaired;
        self.frames_concealed += concealed;
        self.frames_late += late;
        self.delays.merge(&delays);
    }

    /// A report of so many frames sent and nothing else.
    #[cfg(test)]
    pub(crate) fn sample(frames_sent: u64) -> Self {
        Self { frames_sent, ..Self::default() }
    }

    /// The delay in the jitter buffer that `percent` of the frames played did not exceed, in steps of 5 ms.
    pub fn delay(&self, percent: u8) -> Duration {
        self.delays.percentile(percent)
    }
}
