//! Authorities, certificates and revocation lists: what `talkbridge pki` does, and what tests need to build a trust.
//!
//! Stands beside the data path: gateways and units read the files made here with the transport's own verifiers and
//! never link this crate's signing code. Everything can be made in memory ([`Authority::generate`],
//! [`Authority::issue`], [`Authority::revoke`]) and kept in a folder ([`Authority::save`], [`Authority::load`]).
//!
//! All keys are Ed25519: aws-lc-rs verifies them under TLS 1.3, and signatures of constant length keep handshake
//! packets the same size in every run.

mod authority;
mod error;
mod files;
mod list;
mod names;
mod request;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod verifier_tests;

pub use authority::{Authority, Revocation};
pub use error::{Fault, PkiError};
pub use files::{LIST_FILE, ROOT_FILE, ROOT_KEY_FILE, revoke_in};
pub use names::{AUTHORITY_MAX_BYTES, Kind, NAME_MAX_BYTES, TEXT_MAX_CHARS};
pub use request::{DEFAULT_DAYS, Issued, Lifetime, Request};
