//! QUIC endpoints, identities and links: everything between a UDP socket and whole messages.
//!
//! In the data path this crate stands between the network and the gateway or client: [`endpoint`] makes connections
//! whose other side is a proven [`wire::Identity`], [`link`] moves messages and voice over one connection in the order
//! that the owner's [`link::Outbox`] decides. It knows no talkgroups and takes no decisions about voice.
//!
//! Certificates are judged by [`trust`] (one root per authority, kind by port), never by host name. Sockets and the wall
//! clock come in from outside ([`sockets::Sockets`], [`clock::Clock`]), so that a simulation runs the same code.

#![cfg_attr(not(test), deny(clippy::panic))]

pub mod admission;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod congestion;
pub mod endpoint;
pub mod identity;
pub mod keys;
pub mod link;
#[cfg(target_os = "linux")]
mod marked;
pub mod reason;
pub mod rehearsal;
pub mod signature;
pub mod sockets;
mod tls;
pub mod trust;
mod verify;

#[cfg(test)]
mod endpoint_tests;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod signature_tests;
#[cfg(test)]
mod test_support;

pub use clock::Clock;
pub use config::Port;
pub use congestion::Rate;
pub use endpoint::{Accepting, BindError, Connection, Dialer, Endpoint, Expect};
pub use identity::{Certified, IdentityError, OwnIdentity};
pub use keys::Keys;
pub use link::{Ahead, Command, Counters, Inbound, Next, Outbox, Owner};
pub use sockets::{OsSockets, Sockets};
pub use trust::{SharedTrust, Trust, TrustError};
