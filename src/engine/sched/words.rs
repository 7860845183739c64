//! Control messages that wait for a link, and when one of them is no news any more.
//!
//! On a link that is busy, a spurt in which nothing was said is over before its listeners have heard of it, and one that presses and
//! releases as fast as it may would fill their links with spurts that are over, in front of the grants of others. So when the *taken*
//! of a spurt is to be told, the *taken* and *idle* of earlier ones go together, if all of this holds: both still wait; the spurt was
//! normal, for a higher tier cuts whoever is heard; it was released without a frame; and it is of the same epoch, for a unit that is led
//! past half the circle of epochs takes the next number for an old one. The listener sees what it would if that spurt had never been.
//!
//! Between gateways every message goes: a far side keeps records.

use bytes::{Bytes, BytesMut};
use wire::control::{Floor, FloorBody, Message};
use wire::{Spurt, TalkgroupId, Tier};

/// A control message for a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub(super) frame: Bytes,
    news: Option<News>,
}

/// What a listener learns about a floor.
#[derive(Clone, Debug, PartialEq, Eq)]
enum News {
    /// Somebody has it.
    Taken(TalkgroupId, Spurt),
    /// It is free, and the spurt that ended had no voice.
    Silent(TalkgroupId, Spurt),
}

impl From<Bytes> for Word {
    /// A message that nothing replaces, as the bytes of its frame.
    fn from(frame: Bytes) -> Self {
        Self { frame, news: None }
    }
}

impl From<&Message> for Word {
    /// A message that nothing replaces.
    fn from(message: &Message) -> Self {
        wire::frame::encode(message).into()
    }
}

impl Word {
    /// A message to a unit, which wants to know how things stand and not how they came about.
    pub fn to_unit(message: &Message) -> Self {
        Self { news: News::of(message), ..message.into() }
    }
}

/// What waits to be told of a talkgroup, beside a spurt that begins there.
#[derive(Debug)]
pub(super) struct Beside {
    talkgroup: TalkgroupId,
    begins: Spurt,
    taken: Vec<Spurt>,
    /// Of those, the ones that are over.
    over: Vec<Spurt>,
}

impl Beside {
    /// Nothing seen yet; `None` if no spurt begins.
    pub(super) fn of(word: &Word) -> Option<Self> {
        let Some(News::Taken(talkgroup, begins)) = &word.news else { return None };
        Some(Self { talkgroup: talkgroup.clone(), begins: *begins, taken: Vec::new(), over: Vec::new() })
    }

    /// Sees what waits, oldest first.
    pub(super) fn note(&mut self, word: &Word) {
        match &word.news {
            Some(News::Taken(here, spurt)) if self.follows(here, *spurt) => self.taken.push(*spurt),
            Some(News::Silent(here, spurt)) if *here == self.talkgroup && self.taken.contains(spurt) => self.over.push(*spurt),
            Some(_) | None => {}
        }
    }

    fn follows(&self, here: &TalkgroupId, spurt: Spurt) -> bool {
        *here == self.talkgroup && self.begins.epoch == spurt.epoch && self.begins.is_after(spurt)
    }

    /// Whether a message that waits is no news any more.
    pub(super) fn outdates(&self, word: &Word) -> bool {
        match &word.news {
            Some(News::Taken(here, spurt) | News::Silent(here, spurt)) => *here == self.talkgroup && self.over.contains(spurt),
            None => false,
        }
    }
}

impl News {
    fn of(message: &Message) -> Option<Self> {
        let Message::Floor(Floor { talkgroup, party: None, body }) = message else { return None };
        match body {
            FloorBody::Taken(taken) if taken.tier == Tier::Normal => Some(Self::Taken(talkgroup.clone(), taken.spurt)),
            FloorBody::Idle(idle) if idle.last_seq.is_none() && idle.cause.is_none() && !idle.spurt.is_start() => {
                Some(Self::Silent(talkgroup.clone(), idle.spurt))
            }
            FloorBody::Taken(_)
            | FloorBody::Idle(_)
            | FloorBody::Request(_)
            | FloorBody::Granted(_)
            | FloorBody::Deny { .. }
            | FloorBody::Queued { .. }
            | FloorBody::Release(_)
            | FloorBody::Revoke(_)
            | FloorBody::Ack { .. } => None,
        }
    }
}

/// Bytes of words that share a packet.
pub(super) fn bytes(words: &[Word]) -> usize {
    words.iter().map(|word| word.frame.len()).sum()
}

/// The packet of words that share one.
pub(super) fn join(mut words: Vec<Word>) -> Bytes {
    if words.len() == 1
        && let Some(word) = words.pop()
    {
        return word.frame;
    }
    let mut joined = BytesMut::with_capacity(bytes(&words));
    words.iter().for_each(|word| joined.extend_from_slice(&word.frame));
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use wire::control::{Idle, Taken, Talker};
    use wire::packet::{Packet, Room};
    use wire::{RevokeCause, Seq};

    use super::super::line::Line;
    use super::super::{Class, Next};
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn spurt(counter: u32) -> Spurt {
        Spurt::from_bits(0x0100_0000 | counter)
    }

    fn floor(talkgroup: &str, body: FloorBody) -> Message {
        Message::Floor(Floor { talkgroup: talkgroup.parse().unwrap(), party: None, body })
    }

    fn taken(talkgroup: &str, counter: u32) -> Message {
        let talker = Talker { identity: "nl/unit/maas-12".parse().unwrap(), alias: "Maas 12".into(), agency: "police".into() };
        floor(talkgroup, FloorBody::Taken(Taken { spurt: spurt(counter), talker, tier: Tier::Normal, via: None, elapsed_ms: 0 }))
    }

    fn idle(talkgroup: &str, counter: u32, last_seq: Option<Seq>, cause: Option<RevokeCause>) -> Message {
        floor(talkgroup, FloorBody::Idle(Idle { spurt: spurt(counter), last_seq, cause, followed: false }))
    }

    fn silent(talkgroup: &str, counter: u32) -> Message {
        idle(talkgroup, counter, None, None)
    }

    fn denied(number: u32) -> Message {
        floor("nl/pol-1", FloorBody::Deny { request: wire::RequestId(number), cause: wire::DenyCause::RateLimited })
    }

    /// What goes of what waited, and in how many packets.
    fn sent(messages: &[Message]) -> (Vec<Message>, usize) {
        let (mut line, now) = (Line::new(Some(128)), epoch());
        // The first one goes at once; then the link is busy.
        line.message(Word::from(Bytes::from(vec![0; 400])), now).unwrap();
        assert!(matches!(line.next(now, Room::ALL), Next::Item { .. }));
        for message in messages {
            line.message(Word::to_unit(message), now).unwrap();
        }
        let (mut decoder, mut said, mut packets) = (wire::frame::Decoder::default(), Vec::new(), 0);
        while let Next::Item { item: Packet::Stream(bytes), .. } = line.next(now + Duration::from_secs(60 * (packets + 1)), Room::ALL) {
            packets += 1;
            decoder.push(&bytes);
        }
        while let Some(message) = decoder.next_message().unwrap() {
            said.push(message);
        }
        let stats = line.stats().of(Class::Control);
        assert_eq!(stats.offered, stats.sent + stats.replaced);
        (said, usize::try_from(packets).unwrap())
    }

    #[test]
    fn of_spurts_without_a_word_only_the_last_is_told() {
        let flood: Vec<Message> = (1..=20).flat_map(|n| [taken("nl/pol-1", n), silent("nl/pol-1", n)]).collect();
        assert_eq!(sent(&flood), (flood[38..].to_vec(), 1));
        let then = [&flood[..], &[taken("nl/pol-1", 21), denied(7)]].concat();
        assert_eq!(sent(&then), (vec![taken("nl/pol-1", 21), denied(7)], 1), "and what follows shares its packet");
        let begun = [&flood[1..], &[taken("nl/pol-1", 21)]].concat();
        assert_eq!(sent(&begun).0, [silent("nl/pol-1", 1), taken("nl/pol-1", 21)], "what was told of is told to be over");
    }

    #[test]
    fn a_spurt_with_voice_and_one_that_was_lost_are_told_whole() {
        let heard = [taken("nl/pol-1", 1), idle("nl/pol-1", 1, Some(Seq(9)), None), taken("nl/pol-1", 2)];
        assert_eq!(sent(&heard).0, heard);
        let lost = [taken("nl/pol-1", 1), idle("nl/pol-1", 1, None, Some(RevokeCause::Disconnected)), silent("nl/pol-1", 2)];
        assert_eq!(sent(&lost).0, lost);
    }

    #[test]
    fn talkgroups_and_epochs_do_not_replace_each_other() {
        let other = [taken("nl/pol-1", 1), silent("nl/pol-1", 1), denied(1), denied(2), taken("nl/pol-2", 2)];
        assert_eq!(sent(&other).0, other);
        let leap = [taken("nl/pol-1", 1), silent("nl/pol-1", 1), taken("nl/pol-1", 0x7e00_0001)];
        assert_eq!(sent(&leap).0, leap);
    }

    #[test]
    fn a_message_of_which_a_piece_has_gone_goes_to_its_end_and_alone() {
        let (mut line, now) = (Line::new(Some(128)), epoch());
        line.message(Word::from(Bytes::from(vec![1; 1_000])), now).unwrap();
        assert!(matches!(line.next(now, Room::ALL), Next::Item { item: Packet::Stream(_), .. }));
        for message in [taken("nl/pol-1", 1), silent("nl/pol-1", 1), taken("nl/pol-1", 2)] {
            line.message(Word::to_unit(&message), now).unwrap();
        }
        let mut packets = Vec::new();
        while let Next::Item { item: Packet::Stream(bytes), .. } =
            line.next(now + Duration::from_secs(60 * (packets.len() as u64 + 1)), Room::ALL)
        {
            packets.push(bytes);
        }
        assert_eq!(packets[..2].concat(), vec![1; 600]);
        assert_eq!(packets[2..], [wire::frame::encode(&taken("nl/pol-1", 2))]);
    }
}
