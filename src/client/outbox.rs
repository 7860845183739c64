//! The ordered queue in front of the unit's connection: what the handset wants sent, on the engine's [`Line`].
//!
//! In the data path: between the driver, which offers, and the transport's pump, which takes what the line puts first.

use std::time::Instant;

use bytes::Bytes;
use engine::handset::Transmit;
use engine::sched::{
    self,
    line::{Full, Line, TooSlow},
    words::Word,
};
use transport::link::{Next, Outbox};
use wire::Reason;
use wire::data::Lane;
use wire::packet::Room;

/// What the driver offers.
#[derive(Debug)]
pub(crate) enum Offer {
    /// What the handset wants sent.
    Handset(Transmit),
    /// An item of short data, as the bytes of its frame.
    Data(Lane, Bytes),
}

/// The uplink of one session.
#[derive(Debug)]
pub(crate) struct Uplink {
    line: Line,
}

impl Uplink {
    /// An empty queue for an uplink of that rate in kbit/s of IP bytes.
    pub(crate) fn new(rate_kbps: u32) -> Self {
        Self { line: Line::new(Some(rate_kbps)) }
    }
}

impl Outbox for Uplink {
    type Offer = Offer;

    fn offer(&mut self, offer: Offer, now: Instant) -> Result<(), Reason> {
        let taken = match offer {
            Offer::Handset(Transmit::Control(message)) => self.line.message(Word::from(&message), now),
            Offer::Handset(Transmit::Voice(sound)) => self.line.voice(sound, now, now),
            Offer::Handset(Transmit::Datagram(datagram)) => self.line.signal(datagram, now),
            // The driver counts what it gives ahead, so there is room; if not, what is unanswered goes again in the next session.
            Offer::Data(lane, frame) => self.line.data(lane, frame, now).map_err(|Full(_)| TooSlow),
        };
        taken.map_err(|TooSlow| Reason::TooSlow)
    }

    fn next(&mut self, now: Instant, room: Room) -> Next {
        match self.line.next(now, room) {
            sched::Next::Item { item, .. } => Next::Packet(item),
            sched::Next::Wait(until, _) => Next::Wait(until),
            sched::Next::Idle => Next::Idle,
        }
    }
}
