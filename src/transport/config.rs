//! quinn's settings per port: every limit with its unit and why it has this value.
//!
//! Read for each connection. quinn's own defaults are made for bulk transfer by unknown users; here a known
//! fleet sends voice, and a queue that cannot be seen is worse than a small one.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, ServerConfig, TransportConfig, VarInt};
use wire::{ALPN_PEER, ALPN_UNIT};

use crate::congestion::{Congestion, Rate};

/// The two UDP ports of a gateway: apart, so that a flood on one cannot starve the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// Where units and dispatchers log in.
    Units,
    /// Where gateways of other authorities connect.
    Peers,
}

/// Time an accepted handshake may take, on the wall: beyond it the half-open connection is dropped.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest datagram that surely fits a packet of 1,200 bytes: minus header, connection id, tag and frame type.
pub const DATAGRAM_MAX_BYTES: usize = 1_150;
/// What quinn charges for one queued datagram beside its payload, in bytes.
const DATAGRAM_CHARGE_BYTES: usize = 32;

impl Port {
    /// The ALPN name spoken on this port.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Units => ALPN_UNIT,
            Self::Peers => ALPN_PEER,
        }
    }

    /// The port beside this one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Units => Self::Peers,
            Self::Peers => Self::Units,
        }
    }

    /// The word used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::Peers => "peers",
        }
    }

    fn limits(self) -> &'static Limits {
        match self {
            Self::Units => &UNITS,
            Self::Peers => &PEERS,
        }
    }
}

/// What differs between the ports.
struct Limits {
    /// Connections not yet accepted: half-open memory. A border has few peers.
    max_incoming: usize,
    /// Bytes buffered for all of them together; without 0-RTT almost nothing legitimate comes so early.
    incoming_total_bytes: u64,
    /// Bidirectional streams the other side may open: the control stream.
    bidi_streams: u32,
    /// Bytes of all streams we hold unread; quinn's default is without limit, 250 MB for one peer.
    receive_bytes: u32,
    /// Received datagrams held unread; quinn drops the oldest, which is right for voice.
    datagram_receive_bytes: usize,
    /// Silence after which the connection is given up. 15 s survive 30 % loss (0 of 200 ten-minute runs lost), 10 s do not;
    /// a dead link is noticed far sooner by the heartbeat above. A unit may sit in a tunnel for longer.
    idle: Duration,
    /// Pause between keep-alives: 5 s keep a NAT binding; short on peers, where several in a row may be lost.
    keep_alive: Duration,
    /// Round trip assumed before the first sample: decides when the first packet is repeated (quinn: 333 ms).
    initial_rtt: Duration,
}

const UNITS: Limits = Limits {
    max_incoming: 512,
    incoming_total_bytes: 4 * 1024 * 1024,
    bidi_streams: 4,
    receive_bytes: 128 * 1024,
    datagram_receive_bytes: 32 * 1024,
    idle: Duration::from_secs(30),
    keep_alive: Duration::from_secs(5),
    initial_rtt: Duration::from_millis(150),
};

const PEERS: Limits = Limits {
    max_incoming: 64,
    incoming_total_bytes: 1024 * 1024,
    bidi_streams: 16,
    receive_bytes: 2 * 1024 * 1024,
    datagram_receive_bytes: 128 * 1024,
    idle: Duration::from_secs(15),
    keep_alive: Duration::from_secs(1),
    initial_rtt: Duration::from_millis(100),
};

/// Bytes buffered for one connection before it is accepted.
const INCOMING_BYTES: u64 = 16 * 1024;
/// Bytes of one stream that the other side may have under way. Small, so that the queue stays in its outbox, where it can be
/// ordered: 4 KiB are a quarter of a second at 128 kbit/s.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024;
/// Bytes of streams that quinn may hold unsent or unacknowledged: the windows of control and both data streams. With less, short data
/// that waits for its acknowledgement would keep control out.
const SEND_WINDOW_BYTES: u64 = 3 * 4 * 1024;
/// Unidirectional streams the other side may have open once short data was agreed on: its two, and as many of a later version, each
/// to be refused. Before that: none.
pub(crate) const DATA_STREAMS: u32 = 4;
/// Unsent datagrams in quinn: two packets deep. Beyond that quinn drops the oldest silently; the link asks for room first.
const DATAGRAM_SEND_BYTES: usize = 2 * (DATAGRAM_MAX_BYTES + DATAGRAM_CHARGE_BYTES);

/// What may wait in quinn when the link takes another datagram: as much as its rate carries in this time. There datagrams leave in
/// the order in which they came and age unseen; with more of them a connection that gives way would send half a second of old
/// voice first.
const DATAGRAM_WAIT: Duration = Duration::from_millis(10);

/// Whether the link takes a datagram of unknown size, given the bytes free in quinn's buffer.
pub(crate) fn takes_datagram(free: usize, rate: &Rate) -> bool {
    let waiting = DATAGRAM_SEND_BYTES.saturating_sub(free);
    free >= DATAGRAM_MAX_BYTES && waiting <= usize::try_from(rate.bytes_in(DATAGRAM_WAIT)).unwrap_or(usize::MAX)
}

/// Packets that may overtake one before it counts as lost. quinn's 3 are 6 ms with ten talkers, and on a path with jitter nearly
/// every packet would be called lost: time alone decides.
const OVERTAKEN_MAX: u32 = 10_000;
/// Round trips after which a packet is lost (quinn: 9/8). Nothing but control is sent again, and jitter is not loss.
const LOST_AFTER_ROUND_TRIPS: f32 = 1.5;

/// quinn's transport settings for one connection of a port, the same for the dialling and the accepting side.
pub(crate) fn transport(port: Port, congestion: Congestion) -> Arc<TransportConfig> {
    let limits = port.limits();
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.bidi_streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(limits.receive_bytes))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(Some(limits.datagram_receive_bytes))
        .datagram_send_buffer_size(DATAGRAM_SEND_BYTES)
        .max_idle_timeout(IdleTimeout::try_from(limits.idle).ok())
        .keep_alive_interval(Some(limits.keep_alive))
        .initial_rtt(limits.initial_rtt)
        .packet_threshold(OVERTAKEN_MAX)
        .time_threshold(LOST_AFTER_ROUND_TRIPS)
        // Voice and control chunks are far below 1,200 bytes, so a larger packet wins nothing, and one probe of 1,452 bytes
        // blocks a link of 256 kbit/s for 45 ms.
        .mtu_discovery_config(None)
        .congestion_controller_factory(congestion);
    Arc::new(config)
}

/// Applies the port's accept limits to quinn's server settings.
pub(crate) fn limit_server(port: Port, config: &mut ServerConfig) {
    let limits = port.limits();
    config
        .max_incoming(limits.max_incoming)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(limits.incoming_total_bytes)
        // Units roam; a gateway that only dials may sit behind NAT like them. QUIC proves the new address, and a stranger, who cannot
        // seal a packet, moves nobody: at most a copy that overtakes its original costs a round trip.
        .migration(true);
}
