//! The way outward of short data: one stream per lane, opened when it is first needed, and how much is given to a link ahead.

use std::future::pending;

use bytes::{Buf, Bytes};
use quinn::{SendStream, WriteError};
use wire::Reason;
use wire::data::Lane;

/// Short data that a link is given on a lane before it has left, in bytes: two of the largest items. It waits in the link's
/// scheduler, in order; what is behind waits on the disk, where it costs nothing, and its time to be answered does not yet count.
const AHEAD_BYTES: usize = 8 * 1024;
/// The least an item counts, so that many small ones stay below the scheduler's bounds, which count items.
const ITEM_MIN_BYTES: usize = 256;

/// What an item counts by the bytes of its frame.
fn charge(frame_bytes: usize) -> usize {
    frame_bytes.max(ITEM_MIN_BYTES)
}

/// The owner's count of the short data that its link has not sent yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    waiting: [usize; 2],
}

impl Ahead {
    /// Whether the link may be given another item.
    pub fn has_room(&self, lane: Lane) -> bool {
        self.waiting[lane.index()] < AHEAD_BYTES
    }

    /// The link was given an item with a frame of so many bytes.
    pub fn given(&mut self, lane: Lane, frame_bytes: usize) {
        self.waiting[lane.index()] += charge(frame_bytes);
    }

    /// The link says [`super::Inbound::DataLeft`].
    pub fn left(&mut self, lane: Lane, bytes: usize) {
        let waiting = &mut self.waiting[lane.index()];
        *waiting = waiting.saturating_sub(bytes);
    }
}

/// One data stream, on its way to quinn.
#[derive(Debug)]
pub(super) struct DataStream {
    lane: Lane,
    stream: Option<SendStream>,
    /// Bytes that quinn has not accepted yet.
    chunk: Bytes,
    /// Whether an item ends with the chunk.
    last: bool,
    /// Bytes of the item so far.
    item_bytes: usize,
    /// What has left and was not told yet.
    pub(super) left: usize,
}

impl DataStream {
    /// Not opened yet.
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane, stream: None, chunk: Bytes::new(), last: false, item_bytes: 0, left: 0 }
    }

    /// Whether quinn has accepted everything so far.
    pub(super) fn is_free(&self) -> bool {
        self.chunk.is_empty()
    }

    /// The next chunk; only when it [is free](Self::is_free).
    pub(super) fn put(&mut self, bytes: Bytes, last: bool) {
        (self.item_bytes, self.last, self.chunk) = (self.item_bytes + bytes.len(), last, bytes);
    }

    /// Opens the stream if need be and writes what quinn accepts: the number of bytes. May be dropped at any time.
    pub(super) async fn write(&mut self, connection: &quinn::Connection) -> Result<usize, Reason> {
        if self.stream.is_none() {
            // The control reader reports the lost connection.
            let Ok(stream) = connection.open_uni().await else { return pending().await };
            // It fails only for a stream that is gone.
            stream.set_priority(priority(Some(self.lane))).ok();
            self.stream = Some(stream);
            self.chunk = [&[self.lane.to_byte()], &self.chunk[..]].concat().into();
        }
        let Some(stream) = &mut self.stream else { return pending().await };
        match stream.write(&self.chunk).await {
            Ok(written) => {
                self.chunk.advance(written);
                if self.chunk.is_empty() && self.last {
                    self.left += charge(self.item_bytes);
                    self.item_bytes = 0;
                }
                Ok(written)
            }
            Err(WriteError::ConnectionLost(_)) => pending().await,
            Err(WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected) => Err(Reason::ProtocolViolation),
        }
    }

    /// Ends the stream and waits until the other side has acknowledged all of it.
    pub(super) async fn finish(&mut self) {
        if let Some(stream) = &mut self.stream
            && stream.finish().is_ok()
        {
            // Whether it was stopped or the connection is lost: nothing more can be done.
            stream.stopped().await.ok();
        }
    }
}

/// quinn's priority of the control stream (`None`) and the data streams: what was accepted leaves in this order, new or lost.
pub(super) fn priority(lane: Option<Lane>) -> i32 {
    match lane {
        None => 2,
        Some(Lane::Urgent) => 1,
        Some(Lane::Routine) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_takes_two_large_items_or_as_many_small_ones_as_the_scheduler_holds() {
        for (frame_bytes, want) in [(5_700, 2), (1, 32)] {
            let mut ahead = Ahead::default();
            let mut given = 0;
            while ahead.has_room(Lane::Routine) {
                ahead.given(Lane::Routine, frame_bytes);
                given += 1;
            }
            assert_eq!((given, ahead.has_room(Lane::Urgent)), (want, true), "{frame_bytes}");
            ahead.left(Lane::Routine, charge(frame_bytes));
            assert!(ahead.has_room(Lane::Routine));
        }
    }
}
