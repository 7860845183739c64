//! The way outward: hands quinn what the outbox gives while there is room, and closes in order.

use std::future::pending;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use quinn::{SendDatagramError, SendStream, VarInt, WriteError};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{self, sleep_until};
use tracing::debug;
use wire::Reason;
use wire::data::Lane;
use wire::packet::{Packet, Room};

use super::counters::{Counters, count};
use super::data::{DataStream, priority};
use super::{Command, FLUSH_TIMEOUT, Inbound, Next, Outbox, Owner};
use crate::config;
use crate::congestion::Rate;

/// Pause before asking quinn again whether a datagram fits; its own pacer moves in steps of this size.
const ROOM_RETRY: Duration = Duration::from_millis(1);
/// The pause grows by one step per attempt up to this many: a link that stands still must not keep a core busy.
const ROOM_RETRY_SLOWEST: u32 = 10;

/// Writes one connection.
pub(super) struct Writer<'a, O: Outbox, T, F> {
    connection: quinn::Connection,
    rate: Rate,
    send: SendStream,
    outbox: O,
    commands: mpsc::Receiver<Command<O::Offer>>,
    /// Bytes of the control stream that quinn has not accepted yet; empty when a new chunk may be taken.
    chunk: Bytes,
    /// In the order of [`Lane::ALL`].
    data: [DataStream; 2],
    owner: &'a Owner<T, F>,
    counters: &'a Counters,
}

/// A close in progress.
struct Closing {
    reason: Reason,
    farewell: Option<Bytes>,
    by: time::Instant,
}

/// What ended a wait of the writer.
enum Woken<O> {
    Command(Option<Command<O>>),
    Written(Result<usize, WriteError>),
    Data(Result<usize, Reason>),
    Told,
    Time,
}

impl<'a, O: Outbox, T, F: Fn(Inbound) -> T> Writer<'a, O, T, F> {
    pub(super) fn new(
        connection: quinn::Connection,
        rate: Rate,
        send: SendStream,
        outbox: O,
        commands: mpsc::Receiver<Command<O::Offer>>,
        owner: &'a Owner<T, F>,
        counters: &'a Counters,
    ) -> Self {
        // It fails only for a stream that is gone, which the first write tells.
        send.set_priority(priority(None)).ok();
        let data = Lane::ALL.map(DataStream::new);
        Self { connection, rate, send, outbox, commands, chunk: Bytes::new(), data, owner, counters }
    }

    pub(super) async fn run(mut self) -> Reason {
        let mut closing: Option<Closing> = None;
        // Consecutive times that quinn had no room for a datagram.
        let mut full = 0_u32;
        loop {
            let asked = self.fill();
            full = if asked.room.datagram { 0 } else { full + 1 };
            if let Some(end) = &mut closing
                && asked.idle
                && self.chunk.is_empty()
                && self.data.iter().all(DataStream::is_free)
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
            let [urgent, routine] = &mut self.data;
            let left = [(Lane::Urgent, urgent.left), (Lane::Routine, routine.left)].into_iter().find(|(_, left)| *left > 0);
            let woken = tokio::select! {
                biased;
                command = self.commands.recv(), if may_close => Woken::Command(command),
                written = self.send.write(&self.chunk), if !self.chunk.is_empty() => Woken::Written(written),
                written = urgent.write(&self.connection), if !urgent.is_free() => Woken::Data(written),
                written = routine.write(&self.connection), if !routine.is_free() => Woken::Data(written),
                place = self.owner.data.reserve(), if left.is_some() => {
                    if let (Ok(place), Some((lane, bytes))) = (place, left) {
                        place.send((self.owner.tag)(Inbound::DataLeft(lane, bytes)));
                    }
                    // An owner that has gone wants to know nothing more.
                    left.into_iter().for_each(|(lane, _)| self.data[lane.index()].left = 0);
                    Woken::Told
                }
                () = maybe_until(wake), if wake.is_some() => Woken::Time,
            };
            match woken {
                Woken::Command(Some(Command::Offer(offer))) => {
                    if let Err(reason) = self.outbox.offer(offer, time::Instant::now().into_std()) {
                        return reason;
                    }
                }
                Woken::Command(Some(Command::AllowData)) => {
                    self.connection.set_max_concurrent_uni_streams(VarInt::from_u32(config::DATA_STREAMS))
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
                Woken::Data(Ok(written)) => count(&self.counters.data_bytes_sent, written),
                Woken::Data(Err(reason)) => return reason,
                Woken::Told | Woken::Time => {}
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
            let datagram = config::takes_datagram(free, &self.rate);
            // Where voice backs up in quinn, short data would only make its packets larger.
            let data = [0, 1].map(|lane: usize| datagram && self.data[lane].is_free());
            let room = Room { datagram, stream: self.chunk.is_empty(), data };
            if !room.any() {
                return Asked { room, wait: None, idle: false };
            }
            match self.outbox.next(time::Instant::now().into_std(), room) {
                Next::Packet(Packet::Datagram(datagram)) => self.send_datagram(datagram),
                Next::Packet(Packet::Stream(chunk)) => self.chunk = chunk,
                Next::Packet(Packet::Data { lane, bytes, last }) => self.data[lane.index()].put(bytes, last),
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

    /// Ends the streams and waits until the other side has acknowledged all of them, for a close discards what is on its way.
    async fn finish(mut self, by: time::Instant) {
        let acknowledged = async {
            for stream in &mut self.data {
                stream.finish().await;
            }
            if self.send.finish().is_ok() {
                // Whether it was stopped or the connection is lost: nothing more can be done.
                self.send.stopped().await.ok();
            }
        };
        if time::timeout_at(by, acknowledged).await.is_err() {
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
