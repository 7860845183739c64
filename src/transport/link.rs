//! One connection's pump: between a QUIC connection and its owner, a gateway's or a client's actor.
//!
//! Outward it takes what the owner's [`Outbox`] puts first and hands it to quinn only while quinn has room, so that
//! queues build in the outbox, where they can be ordered. Inward it cuts the control stream into messages and passes
//! datagrams on as bytes. The pump decides nothing; it owns the connection and ends with the [`Reason`].
//!
//! Full-queue rules: datagrams inward are dropped and counted, for late voice is worth nothing; messages inward wait,
//! which holds the other side back through the stream's flow control; outward the outbox decides.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use quinn::{ReadError, RecvStream, SendDatagramError, SendStream, WriteError};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::yield_now;
use tokio::time::{self, sleep_until, timeout};
use tracing::debug;
use wire::Reason;
use wire::control::Message;
use wire::frame::Decoder;

use crate::config;
use crate::congestion::Rate;
use crate::endpoint::Connection;
use crate::reason;

/// Largest piece of the control stream taken at once, in bytes: at 128 kbit/s it holds a voice frame up by 29 ms at most.
pub const STREAM_CHUNK_MAX_BYTES: usize = wire::frame::CHUNK_MAX_BYTES;
/// Time to flush control messages and the farewell when closing in order.
pub const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);
/// Pause before asking quinn again whether a datagram fits; its own pacer moves in steps of this size.
const ROOM_RETRY: Duration = Duration::from_millis(1);
/// The pause grows by one step per attempt up to this many: a link that stands still must not keep a core busy.
const ROOM_RETRY_SLOWEST: u32 = 10;
/// Time the other side has to close the connection after it has ended its control stream.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Most bytes read from the control stream at once.
const READ_MAX_BYTES: usize = 4 * 1024;

/// What the connection can take right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// A datagram of any allowed size.
    pub datagram: bool,
    /// A chunk of the control stream: the one before has been accepted.
    pub stream: bool,
}

impl Room {
    fn any(self) -> bool {
        self.datagram || self.stream
    }
}

/// The answer of an [`Outbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this datagram; only with [`Room::datagram`].
    Datagram(Bytes),
    /// Send these bytes of the control stream, at most [`STREAM_CHUNK_MAX_BYTES`]; only with [`Room::stream`].
    Stream(Bytes),
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
    /// The link has ended; nothing follows.
    Closed(Reason),
}

/// What a link has moved; written by the pump, read by anybody.
#[derive(Debug, Default)]
pub struct Counters {
    datagrams_sent: AtomicU64,
    datagrams_oversized: AtomicU64,
    datagrams_received: AtomicU64,
    datagrams_dropped_inbound: AtomicU64,
    messages_received: AtomicU64,
    stream_bytes_sent: AtomicU64,
    rtt_us: AtomicU64,
}

/// The values of [`Counters`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams handed to quinn.
    pub datagrams_sent: u64,
    /// Datagrams thrown away because no packet of this path can carry them; the outbox is at fault.
    pub datagrams_oversized: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Received datagrams thrown away because the owner's queue was full.
    pub datagrams_dropped_inbound: u64,
    /// Control messages received.
    pub messages_received: u64,
    /// Bytes of the control stream that quinn has accepted.
    pub stream_bytes_sent: u64,
    /// quinn's smoothed round-trip time at the last thing received.
    pub rtt: Duration,
}

impl Counters {
    /// Reads all counters; each is exact, together they may be a packet apart.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            datagrams_sent: read(&self.datagrams_sent),
            datagrams_oversized: read(&self.datagrams_oversized),
            datagrams_received: read(&self.datagrams_received),
            datagrams_dropped_inbound: read(&self.datagrams_dropped_inbound),
            messages_received: read(&self.messages_received),
            stream_bytes_sent: read(&self.stream_bytes_sent),
            rtt: Duration::from_micros(read(&self.rtt_us)),
        }
    }

    fn note_rtt(&self, connection: &quinn::Connection) {
        self.rtt_us.store(u64::try_from(connection.rtt().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Runs one link until it ends; then the connection is closed and [`Inbound::Closed`] delivered with the returned reason.
///
/// `tag` wraps what comes in for the owner's channel, so that many links can share one: `|inbound| (session, inbound)`.
/// The link ends when either side closes, when the outbox refuses an offer, on bytes that are not the protocol
/// ([`Reason::Malformed`]), or when all senders of `commands` or the receiver of `inbound` are gone ([`Reason::Closed`]).
pub async fn run<O, T, F>(
    connection: Connection,
    streams: (SendStream, RecvStream),
    outbox: O,
    commands: mpsc::Receiver<Command<O::Offer>>,
    inbound: mpsc::Sender<T>,
    tag: F,
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
    let owner = Owner { inbound, tag, counters };
    let writer = Writer { connection: connection.clone(), rate, send, outbox, commands, chunk: Bytes::new(), counters };
    let reason = tokio::select! {
        biased;
        reason = read_datagrams(&connection, &owner) => reason,
        reason = read_control(&connection, &mut recv, &owner) => reason,
        reason = writer.run() => reason,
    };
    connection.close(reason::close_code(reason), reason.as_str().as_bytes());
    owner.tell(Inbound::Closed(reason)).await;
    reason
}

/// The way inward.
struct Owner<'a, T, F> {
    inbound: mpsc::Sender<T>,
    tag: F,
    counters: &'a Counters,
}

impl<T, F: Fn(Inbound) -> T> Owner<'_, T, F> {
    /// Waits for a place; `false` when the owner has gone.
    async fn tell(&self, inbound: Inbound) -> bool {
        self.inbound.send((self.tag)(inbound)).await.is_ok()
    }
}

async fn read_datagrams<T, F: Fn(Inbound) -> T>(connection: &quinn::Connection, owner: &Owner<'_, T, F>) -> Reason {
    // The end of the connection is reported by the control reader, after the last message.
    while let Ok(datagram) = connection.read_datagram().await {
        count(&owner.counters.datagrams_received, 1);
        owner.counters.note_rtt(connection);
        match owner.inbound.try_send((owner.tag)(Inbound::Datagram(datagram, time::Instant::now().into_std()))) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => count(&owner.counters.datagrams_dropped_inbound, 1),
            Err(TrySendError::Closed(_)) => return Reason::Closed,
        }
    }
    pending().await
}

async fn read_control<T, F: Fn(Inbound) -> T>(connection: &quinn::Connection, recv: &mut RecvStream, owner: &Owner<'_, T, F>) -> Reason {
    let side = connection.side();
    let mut decoder = Decoder::default();
    loop {
        match recv.read_chunk(READ_MAX_BYTES, true).await {
            Ok(Some(chunk)) => decoder.push(&chunk.bytes),
            // Ended in order; the close with its reason follows.
            Ok(None) => {
                return match timeout(FAREWELL_TIMEOUT, connection.closed()).await {
                    Ok(error) => reason::of_connection(&error, side),
                    Err(_) => Reason::Closed,
                };
            }
            Err(ReadError::ConnectionLost(error)) => return reason::of_connection(&error, side),
            Err(ReadError::Reset(_) | ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected) => {
                return Reason::ProtocolViolation;
            }
        }
        owner.counters.note_rtt(connection);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => {
                    count(&owner.counters.messages_received, 1);
                    if !owner.tell(Inbound::Message(message)).await {
                        return Reason::Closed;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    debug!(%error, "control stream is not the protocol");
                    return Reason::Malformed;
                }
            }
        }
    }
}

/// The way outward.
struct Writer<'a, O: Outbox> {
    connection: quinn::Connection,
    rate: Rate,
    send: SendStream,
    outbox: O,
    commands: mpsc::Receiver<Command<O::Offer>>,
    /// Bytes of the control stream that quinn has not accepted yet; empty when a new chunk may be taken.
    chunk: Bytes,
    counters: &'a Counters,
}

/// A close in progress.
struct Closing {
    reason: Reason,
    farewell: Option<Bytes>,
    by: time::Instant,
}

/// What ended a wait of the writer.
enum Woken<T> {
    Command(Option<Command<T>>),
    Written(Result<usize, WriteError>),
    Time,
}

impl<O: Outbox> Writer<'_, O> {
    async fn run(mut self) -> Reason {
        let mut closing: Option<Closing> = None;
        // Consecutive times that quinn had no room for a datagram.
        let mut full = 0_u32;
        loop {
            let asked = self.fill();
            full = if asked.room.datagram { 0 } else { full + 1 };
            if let Some(end) = &mut closing
                && asked.idle
                && self.chunk.is_empty()
            {
                match end.farewell.take() {
                    Some(farewell) => self.chunk = farewell,
                    None => break,
                }
            }
            let retry =
                (!asked.room.datagram && asked.wait.is_none()).then(|| time::Instant::now() + ROOM_RETRY * full.min(ROOM_RETRY_SLOWEST));
            if retry.is_some() && full == 1 {
                // quinn's driver has been woken by our last datagram; one turn of the runtime usually makes room.
                yield_now().await;
                continue;
            }
            let limit = closing.as_ref().map(|end| end.by);
            if limit.is_some_and(|by| by <= time::Instant::now()) {
                break;
            }
            let wake = [asked.wait.map(time::Instant::from_std), retry, limit].into_iter().flatten().min();
            let may_close = closing.is_none();
            let woken = tokio::select! {
                biased;
                command = self.commands.recv(), if may_close => Woken::Command(command),
                written = self.send.write(&self.chunk), if !self.chunk.is_empty() => Woken::Written(written),
                () = maybe_until(wake), if wake.is_some() => Woken::Time,
            };
            match woken {
                Woken::Command(Some(Command::Offer(offer))) => {
                    if let Err(reason) = self.outbox.offer(offer, time::Instant::now().into_std()) {
                        return reason;
                    }
                }
                Woken::Command(Some(Command::Close(reason, farewell))) => closing = Some(closing_now(reason, farewell)),
                Woken::Command(None) => closing = Some(closing_now(Reason::Closed, None)),
                Woken::Written(Ok(written)) => {
                    self.chunk.advance(written);
                    count(&self.counters.stream_bytes_sent, written);
                }
                Woken::Written(Err(WriteError::ConnectionLost(_))) => return pending().await,
                Woken::Written(Err(WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected)) => {
                    return Reason::ProtocolViolation;
                }
                Woken::Time => {}
            }
        }
        let Some(end) = closing else { return Reason::Closed };
        self.finish(end.by).await;
        end.reason
    }

    /// Hands quinn whatever the outbox gives until one of them has enough.
    fn fill(&mut self) -> Asked {
        loop {
            let free = self.connection.datagram_send_buffer_space();
            let room = Room { datagram: config::takes_datagram(free, &self.rate), stream: self.chunk.is_empty() };
            if !room.any() {
                return Asked { room, wait: None, idle: false };
            }
            match self.outbox.next(time::Instant::now().into_std(), room) {
                Next::Datagram(datagram) => self.send_datagram(datagram),
                Next::Stream(chunk) => self.chunk = chunk,
                Next::Wait(until) => return Asked { room, wait: Some(until), idle: false },
                Next::Idle => return Asked { room, wait: None, idle: true },
            }
        }
    }

    fn send_datagram(&self, datagram: Bytes) {
        match self.connection.send_datagram(datagram) {
            Ok(()) => count(&self.counters.datagrams_sent, 1),
            Err(SendDatagramError::TooLarge) => count(&self.counters.datagrams_oversized, 1),
            // The control reader reports the lost connection; the other two cannot be, both sides have datagrams on.
            Err(SendDatagramError::ConnectionLost(_) | SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {}
        }
    }

    /// Ends the stream and waits until the other side has acknowledged all of it, for a close discards what is on its way.
    async fn finish(mut self, by: time::Instant) {
        if self.send.finish().is_ok() && time::timeout_at(by, self.send.stopped()).await.is_err() {
            debug!("farewell not acknowledged in time");
        }
    }
}

/// What one round of [`Writer::fill`] ended with.
struct Asked {
    room: Room,
    wait: Option<Instant>,
    idle: bool,
}

fn closing_now(reason: Reason, farewell: Option<Bytes>) -> Closing {
    Closing { reason, farewell, by: time::Instant::now() + FLUSH_TIMEOUT }
}

async fn maybe_until(wake: Option<time::Instant>) {
    match wake {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
