//! One connection's pump: between a QUIC connection and its owner, a gateway's or a client's actor.
//!
//! Outward it takes what the owner's [`Outbox`] puts first and hands it to quinn only while quinn has room, so that
//! queues build in the outbox, where they can be ordered. Inward it cuts the control stream into messages and the data streams
//! into items, and passes datagrams on as bytes. The pump decides nothing; it owns the connection and ends with the [`Reason`].
//!
//! Full-queue rules: datagrams inward are dropped and counted, for late voice is worth nothing; messages inward wait,
//! which holds the other side back through the stream's flow control, and so do items, in a queue of their own; outward the
//! outbox decides, and [`Ahead`] how much short data it is given.

mod counters;
mod data;
mod reader;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use tokio::sync::mpsc;
use wire::Reason;
use wire::control::Message;
use wire::data::{Item, Lane};
use wire::packet::{Packet, Room};

use crate::endpoint::Connection;
use crate::reason;

pub use counters::{Counters, Stats};
pub use data::Ahead;
use reader::Reader;
use writer::Writer;

/// Largest piece of a stream taken at once, in bytes: at 128 kbit/s it holds a voice frame up by 29 ms at most.
pub const STREAM_CHUNK_MAX_BYTES: usize = wire::frame::CHUNK_MAX_BYTES;
/// Time to flush control messages and the farewell when closing in order.
pub const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);

/// The answer of an [`Outbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this, for which there is room.
    Packet(Packet),
    /// Nothing may leave before this moment.
    Wait(Instant),
    /// Nothing to send that there is room for.
    Idle,
}

/// The ordered queue in front of the connection: a scheduler, owned and driven by the pump.
pub trait Outbox: Send + 'static {
    /// What the owner may offer for sending.
    type Offer: Send + 'static;

    /// Takes an offer into its queue.
    ///
    /// # Errors
    /// A reason that closes the link at once, e.g. [`Reason::TooSlow`] when 256 control messages wait.
    fn offer(&mut self, offer: Self::Offer, now: Instant) -> Result<(), Reason>;

    /// What goes out next, given the room. Called again after each answer but `Wait` and `Idle`, and whenever an offer,
    /// the awaited moment or new room has come.
    fn next(&mut self, now: Instant, room: Room) -> Next;
}

/// What the owner tells the pump.
#[derive(Debug)]
pub enum Command<O> {
    /// Put this into the outbox.
    Offer(O),
    /// Short data was agreed on: from now on the other side may open its data streams. Before that QUIC refuses them.
    AllowData,
    /// Flush the control messages, send the frame of a farewell if given, and close with the reason.
    Close(Reason, Option<Bytes>),
}

/// What the pump tells the owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// A whole control message.
    Message(Message),
    /// A datagram as it came, and when.
    Datagram(Bytes, Instant),
    /// An item of short data.
    Data(Lane, Item),
    /// So much of the short data that was offered has left: for [`Ahead::left`].
    DataLeft(Lane, usize),
    /// The link has ended; nothing follows but items that came before.
    Closed(Reason),
}

/// Where the owner takes what comes in.
#[derive(Debug)]
pub struct Owner<T, F> {
    /// For messages, datagrams and the end.
    pub inbound: mpsc::Sender<T>,
    /// For short data: apart, so that a flood of it takes no place from voice, and the owner may look here last.
    pub data: mpsc::Sender<T>,
    /// Wraps what comes in, so that many links can share the two: `|inbound| (session, inbound)`.
    pub tag: F,
}

impl<T, F: Fn(Inbound) -> T> Owner<T, F> {
    /// Waits for a place; `false` when the owner has gone.
    async fn tell(&self, inbound: Inbound) -> bool {
        self.inbound.send((self.tag)(inbound)).await.is_ok()
    }
}

/// Runs one link until it ends; then the connection is closed and [`Inbound::Closed`] delivered with the returned reason.
///
/// The link ends when either side closes, when the outbox refuses an offer, on bytes that are not the protocol
/// ([`Reason::Malformed`]), or when all senders of `commands` or the owner's receivers are gone ([`Reason::Closed`]).
pub async fn run<O, T, F>(
    connection: Connection,
    streams: (SendStream, RecvStream),
    outbox: O,
    commands: mpsc::Receiver<Command<O::Offer>>,
    owner: Owner<T, F>,
    counters: Arc<Counters>,
) -> Reason
where
    O: Outbox,
    T: Send,
    F: Fn(Inbound) -> T + Send + Sync,
{
    let Connection { quic: connection, rate, .. } = connection;
    // Kept until the connection is closed: dropped before, it would tell the other side to stop, which reads as a fault of ours.
    let (send, mut recv) = streams;
    let counters = counters.as_ref();
    let reader = Reader { connection: &connection, owner: &owner, counters };
    let writer = Writer::new(connection.clone(), rate, send, outbox, commands, &owner, counters);
    let reason = tokio::select! {
        biased;
        reason = reader.datagrams() => reason,
        reason = reader.control(&mut recv) => reason,
        reason = reader.data() => reason,
        reason = writer.run() => reason,
    };
    connection.close(reason::close_code(reason), reason.as_str().as_bytes());
    owner.tell(Inbound::Closed(reason)).await;
    reason
}
