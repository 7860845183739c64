//! The way inward: datagrams, the control stream and the data streams, each read by a future of its own.

use std::future::pending;
use std::time::Duration;

use quinn::{ReadError, RecvStream, VarInt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::{self, timeout};
use tracing::debug;
use wire::data::Lane;
use wire::frame::Decoder;
use wire::{Reason, data};

use super::counters::{Counters, count};
use super::{Inbound, Owner};
use crate::reason;

/// Time the other side has to close the connection after it has ended its control stream.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Most bytes read from a stream at once.
const READ_MAX_BYTES: usize = 4 * 1024;
/// Told with STOP_SENDING of a stream whose first byte is unknown; the number says nothing more.
const UNKNOWN_STREAM: VarInt = VarInt::from_u32(0);

/// Reads one connection.
#[derive(Debug)]
pub(super) struct Reader<'a, T, F> {
    pub(super) connection: &'a quinn::Connection,
    pub(super) owner: &'a Owner<T, F>,
    pub(super) counters: &'a Counters,
}

/// What ends the reading of a stream.
enum Ended {
    /// The other side ended it.
    InOrder,
    /// The connection is lost.
    Lost(quinn::ConnectionError),
    /// The other side broke it off.
    Broken,
}

fn ended(error: ReadError) -> Ended {
    match error {
        ReadError::ConnectionLost(error) => Ended::Lost(error),
        ReadError::Reset(_) | ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => Ended::Broken,
    }
}

impl<T, F: Fn(Inbound) -> T> Reader<'_, T, F> {
    /// Passes datagrams on.
    pub(super) async fn datagrams(&self) -> Reason {
        // The end of the connection is reported by the control reader, after the last message.
        while let Ok(datagram) = self.connection.read_datagram().await {
            count(&self.counters.datagrams_received, 1);
            self.counters.note_rtt(self.connection);
            match self.owner.inbound.try_send((self.owner.tag)(Inbound::Datagram(datagram, time::Instant::now().into_std()))) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => count(&self.counters.datagrams_dropped_inbound, 1),
                Err(TrySendError::Closed(_)) => return Reason::Closed,
            }
        }
        pending().await
    }

    /// Cuts the control stream into messages, and reports the end of the connection.
    pub(super) async fn control(&self, recv: &mut RecvStream) -> Reason {
        let side = self.connection.side();
        let mut decoder = Decoder::default();
        loop {
            match recv.read_chunk(READ_MAX_BYTES, true).await.map_err(ended).and_then(|chunk| chunk.ok_or(Ended::InOrder)) {
                Ok(chunk) => decoder.push(&chunk.bytes),
                // The close with its reason follows.
                Err(Ended::InOrder) => {
                    return match timeout(FAREWELL_TIMEOUT, self.connection.closed()).await {
                        Ok(error) => reason::of_connection(&error, side),
                        Err(_) => Reason::Closed,
                    };
                }
                Err(Ended::Lost(error)) => return reason::of_connection(&error, side),
                Err(Ended::Broken) => return Reason::ProtocolViolation,
            }
            self.counters.note_rtt(self.connection);
            loop {
                match decoder.next_message() {
                    Ok(Some(message)) => {
                        count(&self.counters.messages_received, 1);
                        if !self.owner.tell(Inbound::Message(message)).await {
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

    /// Cuts the data streams into items. There are none until the other side may open them.
    pub(super) async fn data(&self) -> Reason {
        let (to_urgent, urgent) = oneshot::channel();
        let (to_routine, routine) = oneshot::channel();
        tokio::select! {
            biased;
            reason = self.name_streams(Some(to_urgent), Some(to_routine)) => reason,
            reason = self.items(Lane::Urgent, urgent) => reason,
            reason = self.items(Lane::Routine, routine) => reason,
        }
    }

    /// Hands each stream to the reader of its lane, by its first byte.
    async fn name_streams(
        &self,
        mut urgent: Option<oneshot::Sender<RecvStream>>,
        mut routine: Option<oneshot::Sender<RecvStream>>,
    ) -> Reason {
        while let Ok(mut stream) = self.connection.accept_uni().await {
            let mut name = [0];
            match stream.read(&mut name).await.map_err(ended) {
                Ok(Some(_)) => {}
                Ok(None) => continue,
                Err(Ended::Lost(_)) => break,
                Err(Ended::InOrder | Ended::Broken) => return Reason::ProtocolViolation,
            }
            let reader = match Lane::from_byte(name[0]) {
                Some(Lane::Urgent) => urgent.take(),
                Some(Lane::Routine) => routine.take(),
                None => {
                    debug!(first_byte = name[0], "unknown stream refused");
                    // It fails only for a stream that has ended already.
                    stream.stop(UNKNOWN_STREAM).ok();
                    continue;
                }
            };
            // The second one of its kind.
            let Some(reader) = reader else { return Reason::ProtocolViolation };
            // Its reader waits in the same select.
            reader.send(stream).ok();
        }
        pending().await
    }

    /// Passes one lane's items on. At most one waits for a place, and what the stream's flow control lets in behind it.
    async fn items(&self, lane: Lane, stream: oneshot::Receiver<RecvStream>) -> Reason {
        let Ok(mut stream) = stream.await else { return pending().await };
        let mut decoder = data::Decoder::default();
        loop {
            match stream.read_chunk(READ_MAX_BYTES, true).await.map_err(ended).and_then(|chunk| chunk.ok_or(Ended::InOrder)) {
                Ok(chunk) => decoder.push(&chunk.bytes),
                Err(Ended::InOrder | Ended::Lost(_)) => return pending().await,
                Err(Ended::Broken) => return Reason::ProtocolViolation,
            }
            loop {
                match decoder.next_item() {
                    Ok(Some(item)) => {
                        count(&self.counters.items_received, 1);
                        if self.owner.data.send((self.owner.tag)(Inbound::Data(lane, item))).await.is_err() {
                            return Reason::Closed;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        debug!(%error, ?lane, "data stream is not the protocol");
                        return Reason::Malformed;
                    }
                }
            }
        }
    }
}
