//! What a link has moved, for status and tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a link has moved; written by the pump, read by anybody.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) datagrams_sent: AtomicU64,
    pub(super) datagrams_oversized: AtomicU64,
    pub(super) datagrams_received: AtomicU64,
    pub(super) datagrams_dropped_inbound: AtomicU64,
    pub(super) messages_received: AtomicU64,
    pub(super) stream_bytes_sent: AtomicU64,
    pub(super) items_received: AtomicU64,
    pub(super) data_bytes_sent: AtomicU64,
    pub(super) rtt_us: AtomicU64,
}

/// The values of [`Counters`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams handed to quinn.
    pub datagrams_sent: u64,
    /// Datagrams thrown away because no packet of this path can carry them; the outbox is at fault.
    pub datagrams_oversized: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Received datagrams thrown away because the owner's queue was full.
    pub datagrams_dropped_inbound: u64,
    /// Control messages received.
    pub messages_received: u64,
    /// Bytes of the control stream that quinn has accepted.
    pub stream_bytes_sent: u64,
    /// Items of short data received.
    pub items_received: u64,
    /// Bytes of the data streams that quinn has accepted.
    pub data_bytes_sent: u64,
    /// quinn's smoothed round-trip time at the last thing received.
    pub rtt: Duration,
}

impl Counters {
    /// Reads all counters; each is exact, together they may be a packet apart.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            datagrams_sent: read(&self.datagrams_sent),
            datagrams_oversized: read(&self.datagrams_oversized),
            datagrams_received: read(&self.datagrams_received),
            datagrams_dropped_inbound: read(&self.datagrams_dropped_inbound),
            messages_received: read(&self.messages_received),
            stream_bytes_sent: read(&self.stream_bytes_sent),
            items_received: read(&self.items_received),
            data_bytes_sent: read(&self.data_bytes_sent),
            rtt: Duration::from_micros(read(&self.rtt_us)),
        }
    }

    pub(super) fn note_rtt(&self, connection: &quinn::Connection) {
        self.rtt_us.store(u64::try_from(connection.rtt().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

pub(super) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
}
