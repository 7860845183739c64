//! What a link carries, by kind, and what its connection takes: the words between the engine's order and the transport, which do
//! not know each other. Never on a wire.

use bytes::Bytes;

use crate::data::Lane;

/// One packet's worth for QUIC; a piece of a stream is at most [`CHUNK_MAX_BYTES`](crate::frame::CHUNK_MAX_BYTES) long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A datagram; only with [`Room::datagram`].
    Datagram(Bytes),
    /// A piece of the control stream; only with [`Room::stream`].
    Stream(Bytes),
    /// A piece of a data stream; only with its [`Room::data`].
    Data {
        /// Which.
        lane: Lane,
        /// The bytes.
        bytes: Bytes,
        /// Whether an item ends here.
        last: bool,
    },
}

/// What the connection can take right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// A datagram of any allowed size.
    pub datagram: bool,
    /// A piece of the control stream: the one before has been accepted.
    pub stream: bool,
    /// A piece of each data stream, in the order of [`Lane::ALL`]: the one before has been accepted, and no datagrams back up.
    pub data: [bool; 2],
}

impl Room {
    /// It takes everything.
    pub const ALL: Self = Self { datagram: true, stream: true, data: [true; 2] };

    /// Whether it takes anything.
    pub fn any(self) -> bool {
        self.datagram || self.stream || self.data.contains(&true)
    }
}
