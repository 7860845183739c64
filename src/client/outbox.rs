//! The ordered queue in front of the unit's connection: what the handset wants sent, on the engine's [`Line`].
//!
//! In the data path: between the driver, which offers, and the transport's pump, which takes what the line puts first.

use std::time::Instant;

use engine::handset::Transmit;
use engine::sched::{
    self,
    line::{self, Line, Packet, TooSlow},
    words::Word,
};
use transport::link::{Next, Outbox, Room};
use wire::Reason;

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
    type Offer = Transmit;

    fn offer(&mut self, offer: Transmit, now: Instant) -> Result<(), Reason> {
        let taken = match offer {
            Transmit::Control(message) => self.line.message(Word::from(&message), now),
            Transmit::Voice(sound) => self.line.voice(sound, now, now),
            Transmit::Datagram(datagram) => self.line.signal(datagram, now),
        };
        taken.map_err(|TooSlow| Reason::TooSlow)
    }

    fn next(&mut self, now: Instant, room: Room) -> Next {
        let room = line::Room { datagram: room.datagram, stream: room.stream, data: room.data };
        match self.line.next(now, room) {
            sched::Next::Item { item: Packet::Datagram(bytes), .. } => Next::Datagram(bytes),
            sched::Next::Item { item: Packet::Stream(bytes), .. } => Next::Stream(bytes),
            sched::Next::Item { item: Packet::Data { lane, bytes, last }, .. } => Next::Data { lane, bytes, last },
            sched::Next::Wait(until, _) => Next::Wait(until),
            sched::Next::Idle => Next::Idle,
        }
    }
}
