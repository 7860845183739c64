//! A small world in virtual time: authorities, gateways and units of the product over a simulated network.
//!
//! Everything above the sockets is the real thing (QUIC, TLS, hub, handset); only packets, clock and certificates are made
//! here. The invariants of [`watch`] are asserted on every event of every unit.

pub(crate) mod config;
pub(crate) mod radio;
pub(crate) mod watch;
pub(crate) mod world;

pub(crate) use world::World;
