//! Bytes to types and back: the ground floor of the house, without state, clock or I/O.
//!
//! Control messages ([`control::Message`]) are protobuf on an ordered stream, cut by [`frame`]; voice, heartbeats and
//! the repeated emergency request are datagrams ([`datagram`]); short data ([`data`]) has streams of its own. `PROTOCOL.md` beside this file shows layouts and
//! sequences for other vendors; `proto/talkbridge.proto` is the contract.
//!
//! In the data path this crate stands at both ends: the transport hands bytes in, the engine sees only these types.

#![cfg_attr(not(test), deny(clippy::panic))]

pub mod cause;
pub mod control;
mod convert;
pub mod data;
pub mod datagram;
pub mod display;
pub mod error;
pub mod frame;
pub mod ids;
pub mod opus;
pub mod packet;
pub mod priority;
#[cfg(test)]
mod protocol_md_tests;
#[cfg(test)]
mod short_data_md_tests;

/// The generated protobuf types; hidden, so that the rest of the house cannot come to depend on the generator.
#[expect(unreachable_pub, reason = "generated code")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/talkbridge.v1.rs"));
}

/// The generated types of short data, hidden likewise.
#[expect(unreachable_pub, reason = "generated code")]
mod proto_data {
    include!(concat!(env!("OUT_DIR"), "/talkbridge.data.v1.rs"));
}

pub use cause::{DenyCause, Reason, RevokeCause};
pub use convert::LIST_MAX;
pub use display::{DISPLAY_MAX_BYTES, DISPLAY_MAX_CHARS, clamp_display};
pub use error::{DecodeError, NameError};
pub use ids::{Authority, Epoch, Handle, Identity, Kind, Name, Pattern, RequestId, Seq, SessionId, Spurt, TalkgroupId};
pub use priority::{Level, Priority, Tier};

/// The protocol version this crate speaks; a session uses the highest that both sides know.
pub const VERSION: u32 = 1;

/// Number of the capability to take and deliver short data (SHORT_DATA.md); see PROTOCOL.md, "Versions and capabilities".
pub const SHORT_DATA: u32 = 1;

/// ALPN of sessions between a unit and a gateway.
pub const ALPN_UNIT: &[u8] = b"talkbridge-unit/1";
/// ALPN of sessions between gateways.
pub const ALPN_PEER: &[u8] = b"talkbridge-peer/1";
