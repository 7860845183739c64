//! A small world in virtual time: authorities, gateways and units of the product over a simulated network.
//!
//! Everything above the sockets is the real thing (QUIC, TLS, hub, handset); only packets, clock and certificates are made
//! here. A scene ([`scene`]) plays in a world; the invariants of [`watch`] are judged on every event of every unit and on
//! every status of every gateway, and fail the scene at its end.

pub(crate) mod config;
pub(crate) mod liar;
mod panics;
pub(crate) mod radio;
pub(crate) mod raw;
pub(crate) mod scene;
pub(crate) mod watch;
pub(crate) mod words;
pub(crate) mod world;

pub(crate) use scene::{bridged, scene};
pub(crate) use world::World;
