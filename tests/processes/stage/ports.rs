//! Loopback ports that nobody else takes between the probe and the use.
//!
//! They lie below the range from which the system hands out ports by itself, so no outgoing connection of another process
//! ever gets one. Every process of tests starts at a place of its own and counts on, so tests beside each other do not meet.

use std::net::{TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
/// Distance between the starts of processes with neighbouring ids: the golden section of the count keeps any few of them
/// far apart.
const STRIDE: u32 = 7_417;

/// Ports given out or passed over by this process.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// The next port that is free for UDP and for TCP.
pub(crate) fn free() -> u16 {
    let start = process::id().wrapping_mul(STRIDE);
    for _ in 0..COUNT {
        let place = start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % u32::from(COUNT);
        let port = FIRST + u16::try_from(place).expect("below the count");
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}
