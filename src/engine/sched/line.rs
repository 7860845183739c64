//! What a link sends, by kind: messages and short data cut into stream chunks, voice, and signals, in front of one [`Scheduler`].
//!
//! Gateway and unit use the same: their links differ only in who offers.

use std::time::Instant;

use bytes::Bytes;
use wire::data::Lane;
use wire::frame::CHUNK_MAX_BYTES;
use wire::packet::{Packet, Room};
use wire::{Level, Tier};

use super::words::{self, Beside, Word};
use super::{Chunk, Class, Next, Overflow, Scheduler, Stats};

/// A voice frame for a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// The datagram.
    pub datagram: Bytes,
    /// The same with repeats of earlier frames; sent in its place where nothing waits for it.
    pub repeating: Option<Bytes>,
    /// For its class.
    pub tier: Tier,
    /// For the order inside normal voice.
    pub level: Level,
    /// Of the beginning of a spurt, spoken before the grant: exempt from the deadline.
    pub backlog: bool,
}

/// The other side does not read: 256 packets of control messages wait. The link must close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side does not read its control stream")]
pub struct TooSlow;

/// As much short data waits as may. The item's frame, whole, for its owner to keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for more short data")]
pub struct Full(pub Bytes);

/// The queue of one link.
#[derive(Debug)]
pub struct Line {
    scheduler: Scheduler<Held>,
}

/// What waits.
#[derive(Debug)]
enum Held {
    /// A packet as it will go.
    Packet(Packet),
    /// Control messages that will go in one packet.
    Words(Vec<Word>),
}

impl Line {
    /// An empty queue for a link of that rate in kbit/s; `None`: unshaped.
    pub fn new(rate_kbps: Option<u32>) -> Self {
        Self { scheduler: Scheduler::new(rate_kbps) }
    }

    /// Changes the rate.
    pub fn set_rate(&mut self, rate_kbps: Option<u32>) {
        self.scheduler.set_rate(rate_kbps);
    }

    /// A control message. Spurts without a word that are over before it go while they wait; it shares a packet with what was said before it, if
    /// that waits too: each packet costs its overhead out of the link's rate.
    ///
    /// # Errors
    /// [`TooSlow`]: close the link.
    pub fn message(&mut self, word: Word, now: Instant) -> Result<(), TooSlow> {
        if let Some(mut beside) = Beside::of(&word) {
            self.each_word(|other| {
                beside.note(other);
                true
            });
            self.each_word(|other| !beside.outdates(other));
        }
        let bytes = word.frame.len();
        if bytes > CHUNK_MAX_BYTES {
            let chunks = chunks(word.frame, |bytes, _| Packet::Stream(bytes));
            return self.scheduler.offer_chunks(Class::Control, chunks, now).map_err(too_slow);
        }
        if let Some(Chunk { bytes: waiting, item: Held::Words(words) }) = self.scheduler.newest_mut(Class::Control)
            && *waiting + bytes <= CHUNK_MAX_BYTES
        {
            *waiting += bytes;
            words.push(word);
            return Ok(());
        }
        self.scheduler.offer(Class::Control, Level::default(), bytes, Held::Words(vec![word]), now).map_err(too_slow)
    }

    /// Shows every control message that waits; those for which the function says `false` go.
    fn each_word(&mut self, mut keep: impl FnMut(&Word) -> bool) {
        self.scheduler.revise(Class::Control, |chunk| {
            let Held::Words(words) = &mut chunk.item else { return true };
            words.retain(&mut keep);
            chunk.bytes = words::bytes(words);
            !words.is_empty()
        });
    }

    /// An item of short data, as the bytes of its frame.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken.
    pub fn data(&mut self, lane: Lane, frame: Bytes, now: Instant) -> Result<(), Full> {
        let chunks = chunks(frame.clone(), |bytes, last| Packet::Data { lane, bytes, last });
        self.scheduler.offer_chunks(class_of(lane), chunks, now).map_err(|_items| Full(frame))
    }

    /// A voice frame that arrived here a moment ago. It goes without its repeats where they would hold up anything as urgent: on a
    /// link that is not [free](Scheduler::is_free_for), as at the burst with which a spurt may begin, or with more voices than it has room for.
    ///
    /// # Errors
    /// Never for voice: the oldest frame goes.
    pub fn voice(&mut self, sound: Sound, arrived: Instant, now: Instant) -> Result<(), TooSlow> {
        let Sound { datagram, repeating, tier, level, backlog } = sound;
        let class = Class::of_voice(tier);
        let datagram = repeating.filter(|_| self.scheduler.is_free_for(class, now)).unwrap_or(datagram);
        let (bytes, item) = (datagram.len(), Held::Packet(Packet::Datagram(datagram)));
        if backlog {
            self.scheduler.offer_backlog(class, level, bytes, item, arrived).map_err(too_slow)
        } else {
            self.scheduler.offer(class, level, bytes, item, arrived).map_err(too_slow)
        }
    }

    /// A heartbeat or repeated emergency request.
    ///
    /// # Errors
    /// Never: the oldest goes.
    pub fn signal(&mut self, datagram: Bytes, now: Instant) -> Result<(), TooSlow> {
        let (bytes, item) = (datagram.len(), Held::Packet(Packet::Datagram(datagram)));
        self.scheduler.offer(Class::Signal, Level::default(), bytes, item, now).map_err(too_slow)
    }

    /// What goes next, given what the connection takes now.
    pub fn next(&mut self, now: Instant, room: Room) -> Next<Packet> {
        self.scheduler.set_ready(Class::Control, room.stream);
        for class in [Class::Signal, Class::EmergencyVoice, Class::PerilVoice, Class::Voice] {
            self.scheduler.set_ready(class, room.datagram);
        }
        for (lane, ready) in Lane::ALL.into_iter().zip(room.data) {
            self.scheduler.set_ready(class_of(lane), ready);
        }
        match self.scheduler.next(now) {
            Next::Item { item, class, waited } => Next::Item { item: item.into_packet(), class, waited },
            Next::Wait(until, why) => Next::Wait(until, why),
            Next::Idle => Next::Idle,
        }
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.scheduler.stats()
    }
}

impl Held {
    fn into_packet(self) -> Packet {
        match self {
            Self::Packet(packet) => packet,
            Self::Words(words) => Packet::Stream(words::join(words)),
        }
    }
}

/// Cuts a frame into packets; the function is told which is the last.
fn chunks(mut frame: Bytes, packet: impl Fn(Bytes, bool) -> Packet) -> Vec<Chunk<Held>> {
    let mut chunks = Vec::with_capacity(frame.len().div_ceil(CHUNK_MAX_BYTES));
    while !frame.is_empty() {
        let bytes = frame.split_to(frame.len().min(CHUNK_MAX_BYTES));
        chunks.push(Chunk { bytes: bytes.len(), item: Held::Packet(packet(bytes, frame.is_empty())) });
    }
    chunks
}

/// The class of a data stream.
fn class_of(lane: Lane) -> Class {
    match lane {
        Lane::Urgent => Class::UrgentData,
        Lane::Routine => Class::Data,
    }
}

fn too_slow(_: Overflow<Held>) -> TooSlow {
    TooSlow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn frame(byte: u8, bytes: usize) -> Bytes {
        vec![byte; bytes].into()
    }

    fn next(line: &mut Line, now: Instant, room: Room) -> Option<Packet> {
        if let Next::Item { item, .. } = line.next(now, room) { Some(item) } else { None }
    }

    #[test]
    fn short_data_goes_in_pieces_behind_control_and_the_urgent_stream_first() {
        let (mut line, now) = (Line::new(None), epoch());
        line.data(Lane::Routine, frame(2, 900), now).unwrap();
        line.data(Lane::Urgent, frame(1, 500), now).unwrap();
        line.message(Word::from(frame(0, 10)), now).unwrap();
        let order: Vec<_> = std::iter::from_fn(|| next(&mut line, now, Room::ALL)).collect();
        let data = |lane, byte, bytes, last| Packet::Data { lane, bytes: frame(byte, bytes), last };
        let want = vec![
            Packet::Stream(frame(0, 10)),
            data(Lane::Urgent, 1, 400, false),
            data(Lane::Urgent, 1, 100, true),
            data(Lane::Routine, 2, 400, false),
            data(Lane::Routine, 2, 400, false),
            data(Lane::Routine, 2, 100, true),
        ];
        assert_eq!(order, want);
    }

    #[test]
    fn a_stream_without_room_holds_up_neither_the_other_nor_control() {
        let (mut line, now) = (Line::new(None), epoch());
        line.data(Lane::Urgent, frame(1, 10), now).unwrap();
        line.data(Lane::Routine, frame(2, 10), now).unwrap();
        let stuck = Room { data: [false, true], ..Room::ALL };
        assert!(matches!(next(&mut line, now, stuck), Some(Packet::Data { lane: Lane::Routine, .. })));
        assert_eq!(next(&mut line, now, stuck), None);
        line.message(Word::from(frame(0, 10)), now).unwrap();
        assert!(matches!(next(&mut line, now, stuck), Some(Packet::Stream(_))));
        assert!(matches!(next(&mut line, now, Room::ALL), Some(Packet::Data { lane: Lane::Urgent, .. })));
    }

    #[test]
    fn what_finds_no_room_comes_back_whole() {
        let (mut line, now) = (Line::new(None), epoch());
        let taken = (0..).take_while(|_| line.data(Lane::Routine, frame(2, 900), now).is_ok()).count();
        assert_eq!(taken, Class::Data.rule().bound_messages);
        assert_eq!(line.data(Lane::Routine, frame(3, 900), now), Err(Full(frame(3, 900))));
        // The other lane has a bound of its own, and room comes with a whole item.
        line.data(Lane::Urgent, frame(1, 10), now).unwrap();
        while !matches!(next(&mut line, now, Room::ALL), Some(Packet::Data { lane: Lane::Routine, last: true, .. })) {}
        assert_eq!(line.data(Lane::Routine, frame(3, 900), now), Ok(()));
    }
}
