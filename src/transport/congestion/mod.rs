//! The congestion controller of our links, as quinn sees it.
//!
//! Beside the data path: quinn tells it about packets and asks before each whether there is room. What it answers is decided in
//! `window`; here quinn's trait is translated, and the rate comes in, which the owner of the link learns only with the other
//! side's identity.
//!
//! Why one of our own: quinn's Cubic and NewReno take random loss and packets that overtake for congestion, and fall to 2 to 5
//! packets; its BBR, marked experimental, never gives way to anybody. `tests/simulation/congestion.rs` prints them side by side.

mod window;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

use window::Window;

/// The rate until the owner of the link says it, in kbit/s: more than a handshake needs.
const UNTOLD_KBPS: u32 = 128;
/// Bytes per second of one kbit/s.
const BYTES_PER_KBPS: u64 = 125;

/// Makes the congestion controller of each path.
pub type Congestion = Arc<dyn ControllerFactory + Send + Sync>;

/// A link's provisioned rate: said by its owner, read by its controller. Clones are the same rate.
#[derive(Clone, Debug)]
pub struct Rate(Arc<AtomicU32>);

impl Default for Rate {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(UNTOLD_KBPS)))
    }
}

impl Rate {
    /// Sets the rate in kbit/s.
    pub fn set_kbps(&self, kbps: u32) {
        self.0.store(kbps, Ordering::Relaxed);
    }

    /// What it carries in a time, in bytes.
    pub(crate) fn bytes_in(&self, time: Duration) -> u64 {
        window::carried(self.bytes_per_s(), time)
    }

    fn bytes_per_s(&self) -> u64 {
        u64::from(self.0.load(Ordering::Relaxed)) * BYTES_PER_KBPS
    }
}

impl ControllerFactory for Rate {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Voice { rate: Self::clone(&self), window: Window::new(current_mtu, now), acked: 0 })
    }
}

/// The controller of one path.
#[derive(Clone, Debug)]
struct Voice {
    rate: Rate,
    window: Window,
    /// Acknowledged in the batch that quinn is reporting.
    acked: u64,
}

impl Controller for Voice {
    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, _app_limited: bool, _rtt: &RttEstimator) {
        // quinn's estimator hides the single sample behind its mean.
        self.window.acked(now, sent, bytes, self.rate.bytes_per_s());
        self.acked += bytes;
    }

    fn on_end_acks(&mut self, _now: Instant, in_flight: u64, _app_limited: bool, _largest: Option<u64>) {
        self.window.in_flight(in_flight + std::mem::take(&mut self.acked));
    }

    fn on_congestion_event(&mut self, now: Instant, _sent: Instant, _is_persistent_congestion: bool, lost_bytes: u64) {
        // Persistent congestion is quinn's word for a path that was away. Marks (0 bytes) do not come: we do not ask for them.
        self.window.lost(now, lost_bytes, self.rate.bytes_per_s());
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.window.set_packet(new_mtu);
    }

    fn window(&self) -> u64 {
        self.window.bytes(self.rate.bytes_per_s())
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
