//! The token bucket of a link: how fast the scheduler hands packets to QUIC.
//!
//! In the data path: owned by the [`Scheduler`](super::Scheduler), which feeds both connections of the link, so both
//! draw from this one bucket.
//!
//! It works with debt: a packet may go when none is left, however large it is, and its cost is then paid off at the rate. So
//! at most one packet goes at once after a pause, and the queue builds here, where it can be ordered, and not in the network.

use std::time::{Duration, Instant};

/// Bytes of IPv6, UDP and QUIC around a payload.
pub const OVERHEAD_BYTES: usize = 70;

/// A timer that fires late by this much loses no rate; below it the link would idle a little at every packet.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// Bytes per second of one kbit/s at 90 %, in halves: the rest is left for acknowledgements and retransmissions.
pub(crate) const HALF_BYTES_PER_KBPS: u64 = 225;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Paces packets at 90 % of a rate, counted in IP bytes.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate_kbps: Option<u32>,
    /// When the debt is paid; `None`: no debt yet.
    free_at: Option<Instant>,
}

impl Bucket {
    /// A bucket without debt; `None` or 0 kbit/s means unshaped.
    pub fn new(rate_kbps: Option<u32>) -> Self {
        Self { rate_kbps: rate_kbps.filter(|rate| *rate > 0), free_at: None }
    }

    /// Changes the rate; debt already made is still paid at the old one (at most one packet's time).
    pub fn set_rate(&mut self, rate_kbps: Option<u32>) {
        let debt = self.free_at;
        *self = Self::new(rate_kbps);
        self.free_at = self.rate_kbps.and(debt);
    }

    /// The rate in kbit/s; `None`: unshaped.
    pub fn rate_kbps(&self) -> Option<u32> {
        self.rate_kbps
    }

    /// When the next packet may go, if not now.
    pub fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.free_at.filter(|free_at| *free_at > now)
    }

    /// Takes the cost of a packet that goes now, in payload bytes.
    pub fn charge(&mut self, payload_bytes: usize, now: Instant) {
        let Some(rate_kbps) = self.rate_kbps else { return };
        let time = Duration::from_nanos(cost(payload_bytes) * 2 * NANOS_PER_SECOND / (u64::from(rate_kbps) * HALF_BYTES_PER_KBPS));
        let from = self.free_at.map_or(now, |free_at| free_at.max(now.checked_sub(TIMER_SLACK).unwrap_or(now)));
        self.free_at = Some(from + time);
    }
}

/// What a payload costs, in IP bytes.
pub(super) fn cost(payload_bytes: usize) -> u64 {
    // A packet has at most 64 KiB; more is our own mistake and only makes the link wait.
    u64::from(u32::try_from(payload_bytes.saturating_add(OVERHEAD_BYTES)).unwrap_or(u32::MAX))
}
