//! The simulation bench: an in-memory network for real quinn, a virtual clock, a log that fails the test on errors.
//!
//! Beside the data path, in tests only. The product's code runs unchanged above [`net::Net`]; with the clock of
//! [`clock`] a ten-minute run takes seconds, and the same seed gives the same run:
//!
//! ```
//! # use talkbridge_testkit as testkit;
//! use std::time::Duration;
//! use testkit::{Link, Net, clock};
//!
//! clock::run(Duration::from_secs(60), async {
//!     let net = Net::new(7);
//!     net.set_default(Link::delayed(Duration::from_millis(40)).losing(0.05));
//!     let socket = net.bind("10.0.0.1:7001".parse().unwrap()).unwrap();
//!     assert_eq!(socket.local_addr().unwrap().port(), 7001);
//! });
//! ```
//!
//! What keeps a run repeatable: one thread, Ed25519 certificates (their length never varies), `biased` selects, no hash-map
//! iteration, and time from tokio alone. Bytes differ between runs (keys are random); times, sizes and directions do not.

pub mod clock;
mod faults;
pub mod link;
pub mod log;
pub mod net;
mod socket;

#[cfg(test)]
mod net_tests;

pub use link::{Burst, Link};
pub use log::Capture;
pub use net::{Host, Net};
