//! How much one identity may ask of the gateway, and how much a peer, so that a flood costs nobody but the flooder.
//!
//! An identity has one session at a time; the session that supersedes another takes its usage over, and what a session used
//! is remembered until it is paid off, so neither many sessions nor a new one help. The rates of a unit are well above what a
//! person or a working unit can do; those of a peer grow with its bridges.
//!
//! What a unit sends above its rates is dropped. If that alone becomes a flood, the unit is muted for 10 s: no voice of it
//! passes and no press below its emergency right is judged. A unit that floods again within a minute loses its session.

use std::time::{Duration, Instant};

use wire::control::Message;

use crate::rate::{Cell, Rate};

/// Voice frames of a unit: 50 a second and room for the 300 ms spoken before a grant, thrice repeated last frames, and jitter.
const FRAMES: Rate = Rate { every: Duration::from_micros(16_667), burst: 64 };
/// Heartbeats of a unit, which beats once a second, and five times a second while no echo comes; and its reports of loss, two a second.
const BEATS: Rate = Rate { every: Duration::from_millis(100), burst: 20 };
/// Emergency requests of a unit as datagrams: ten a second while it is not answered.
const REPEATS: Rate = Rate { every: Duration::from_millis(50), burst: 20 };
/// What a unit may send above these rates before it counts as a flood: a radio path that delivers seconds at once is none.
const EXCESS: Rate = Rate { every: Duration::from_millis(50), burst: 200 };
/// Presses below the emergency tier, with their repeats.
const PRESSES: Rate = Rate { every: Duration::from_millis(200), burst: 20 };
/// Control messages of every kind: five presses a second, each repeated and released, and room for the joins of a new session.
/// A unit that sends more is broken or hostile and loses its session.
const MESSAGES: Rate = Rate { every: Duration::from_millis(20), burst: 400 };
/// Sessions of a unit: each costs a handshake, and ends the one before it. A unit that lost its session dials again more slowly.
const SESSIONS: Rate = Rate { every: Duration::from_secs(1), burst: 10 };
/// Refusals of one identity that are recorded one by one; it is told of all.
const REFUSALS: Rate = Rate { every: Duration::from_secs(1), burst: 64 };
/// Datagrams that are none: nothing on the way can spoil them, so the sender is broken or hostile and loses its session.
const MALFORMED: Rate = Rate { every: Duration::from_millis(333), burst: 3 };

/// Voice frames of a peer, for each bridge: one talker, and what a border link holds up and lets go at once.
const PEER_FRAMES: Rate = Rate { every: Duration::from_micros(16_667), burst: 128 };
/// Requests of a peer, for each bridge: a full queue and as many who press again and again.
const PEER_REQUESTS: Rate = Rate { every: Duration::from_millis(20), burst: 200 };
/// Control messages of a peer, for each bridge; one that sends more loses its session.
const PEER_MESSAGES: Rate = Rate { every: Duration::from_millis(5), burst: 1_000 };
/// Syncs of a peer, for each bridge: every one renumbers the spurt under way, and only a new session, changed words or the end of
/// an emergency on its own side gives reason for one. One that sends more loses its session.
const PEER_SYNCS: Rate = Rate { every: Duration::from_secs(1), burst: 8 };
/// Lists of agreements of a peer: one for each reload, there or here. One that sends more loses its session.
const PEER_AGREEMENTS: Rate = Rate { every: Duration::from_millis(500), burst: 20 };

/// How long a flooding unit is muted.
const MUTE: Duration = Duration::from_secs(10);
/// How long after that another flood ends its session.
const PROBATION: Duration = Duration::from_secs(60);

/// Kinds of datagrams that a unit may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Voice, and whatever a later version sends.
    Frame,
    /// A heartbeat.
    Beat,
    /// An emergency request again.
    Repeat,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is handled.
    Pass,
    /// It is dropped.
    Drop,
    /// It is dropped, and the unit is muted from here on.
    Mute,
    /// The unit floods again: its session ends.
    End,
}

/// What one identity has used lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    frames: Cell,
    beats: Cell,
    repeats: Cell,
    excess: Cell,
    presses: Cell,
    messages: Cell,
    sessions: Cell,
    refusals: Cell,
    malformed: Cell,
    syncs: Cell,
    agreements: Cell,
    /// Until when it is or was muted.
    muted: Option<Instant>,
}

impl Limits {
    /// Whether everything is paid off and forgiven, so that nothing need be remembered.
    pub(super) fn is_clean(&self, now: Instant) -> bool {
        let Self { frames, beats, repeats, excess, presses, messages, sessions, refusals, malformed, syncs, agreements, muted } = self;
        [frames, beats, repeats, excess, presses, messages, sessions, refusals, malformed, syncs, agreements]
            .into_iter()
            .all(|cell| cell.is_paid(now))
            && muted.is_none_or(|until| until + PROBATION <= now)
    }

    // === Units ===

    /// Judges one more datagram of a unit.
    pub(super) fn datagram(&mut self, sort: Sort, now: Instant) -> Verdict {
        if sort == Sort::Frame && self.is_muted(now) {
            return Verdict::Drop;
        }
        let fits = match sort {
            Sort::Frame => self.frames.take(FRAMES, now),
            Sort::Beat => self.beats.take(BEATS, now),
            Sort::Repeat => self.repeats.take(REPEATS, now),
        };
        if fits {
            return Verdict::Pass;
        }
        if self.excess.take(EXCESS, now) || self.is_muted(now) {
            return Verdict::Drop;
        }
        if self.muted.is_some_and(|until| now < until + PROBATION) {
            return Verdict::End;
        }
        self.muted = Some(now + MUTE);
        Verdict::Mute
    }

    fn is_muted(&self, now: Instant) -> bool {
        self.muted.is_some_and(|until| now < until)
    }

    /// Whether one more press may be judged; if not, it is denied as *rate limited*.
    pub(super) fn press(&mut self, now: Instant) -> bool {
        !self.is_muted(now) && self.presses.take(PRESSES, now)
    }

    /// Whether one more control message of a unit is borne; if not, the session ends.
    pub(super) fn message(&mut self, now: Instant) -> bool {
        self.messages.take(MESSAGES, now)
    }

    /// Whether the unit may begin one more session.
    pub(super) fn session(&mut self, now: Instant) -> bool {
        self.sessions.take(SESSIONS, now)
    }

    /// Whether one more refusal is recorded.
    pub(super) fn refusal(&mut self, now: Instant) -> bool {
        self.refusals.take(REFUSALS, now)
    }

    // === Both ===

    /// Whether one more malformed datagram is borne; if not, the session ends.
    pub(super) fn malformed(&mut self, now: Instant) -> bool {
        self.malformed.take(MALFORMED, now)
    }

    // === Peers, by the number of their bridges ===

    /// Whether one more frame of a peer may pass; if not, it is dropped.
    pub(super) fn peer_frame(&mut self, bridges: u32, now: Instant) -> bool {
        self.frames.take(PEER_FRAMES.times(bridges), now)
    }

    /// Whether one more request of a peer may be judged; if not, it is denied as *rate limited*.
    pub(super) fn peer_request(&mut self, bridges: u32, now: Instant) -> bool {
        self.presses.take(PEER_REQUESTS.times(bridges), now)
    }

    /// Whether one more control message of a peer is borne; if not, the session ends.
    pub(super) fn peer_message(&mut self, message: &Message, bridges: u32, now: Instant) -> bool {
        let (is_sync, is_list) = (matches!(message, Message::Sync(_)), matches!(message, Message::Agreements(_)));
        self.messages.take(PEER_MESSAGES.times(bridges), now)
            && (!is_sync || self.syncs.take(PEER_SYNCS.times(bridges), now))
            && (!is_list || self.agreements.take(PEER_AGREEMENTS, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an epoch for the test's own time")]
    fn epoch() -> Instant {
        Instant::now()
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Sends one datagram every `every` from `start` on for so long; what became of them.
    fn flood(limits: &mut Limits, sort: Sort, start: Instant, every: Duration, lasting: Duration) -> Vec<Verdict> {
        let count = lasting.as_micros() / every.as_micros();
        (0..u32::try_from(count).unwrap()).map(|n| limits.datagram(sort, start + every * n)).collect()
    }

    fn count(verdicts: &[Verdict], verdict: Verdict) -> usize {
        verdicts.iter().filter(|v| **v == verdict).count()
    }

    #[test]
    fn a_working_unit_is_never_limited() {
        let (mut limits, start) = (Limits::default(), epoch());
        // 300 ms at once, then a frame every 20 ms for a minute; beats in a hurry; an emergency without an answer.
        assert_eq!(
            count(&flood(&mut limits, Sort::Frame, start, Duration::from_nanos(1_000), Duration::from_micros(15)), Verdict::Pass),
            15
        );
        for (sort, every) in [(Sort::Frame, ms(20)), (Sort::Beat, ms(200)), (Sort::Repeat, ms(100))] {
            let verdicts = flood(&mut limits, sort, start, every, ms(60_000));
            assert_eq!(count(&verdicts, Verdict::Pass), verdicts.len(), "{sort:?}");
        }
    }

    #[test]
    fn seconds_of_voice_that_arrive_at_once_are_cut_short_and_no_flood() {
        let (mut limits, start) = (Limits::default(), epoch());
        for pause in 0..10 {
            let verdicts = flood(&mut limits, Sort::Frame, start + ms(5_000 * pause), Duration::from_micros(100), ms(15));
            assert_eq!((count(&verdicts, Verdict::Pass), count(&verdicts, Verdict::Drop)), (64, 86), "pause {pause}");
        }
    }

    #[test]
    fn a_flood_of_any_kind_is_limited_then_muted_then_disconnected() {
        for sort in [Sort::Frame, Sort::Beat, Sort::Repeat] {
            let (mut limits, start) = (Limits::default(), epoch());
            let verdicts = flood(&mut limits, sort, start, ms(1), ms(10_000));
            assert_eq!((count(&verdicts, Verdict::Mute), count(&verdicts, Verdict::End)), (1, 0), "{sort:?}");
            let passed = count(&verdicts, Verdict::Pass);
            assert!(passed <= 84 || sort != Sort::Frame, "{passed} frames passed in spite of the mute");
            let verdicts = flood(&mut limits, sort, start + ms(10_500), ms(1), ms(1_000));
            assert_eq!(verdicts.iter().find(|v| !matches!(v, Verdict::Pass | Verdict::Drop)), Some(&Verdict::End), "{sort:?}");
        }
    }

    #[test]
    fn a_flood_is_forgiven_after_a_minute_of_order() {
        let (mut limits, start) = (Limits::default(), epoch());
        assert!(flood(&mut limits, Sort::Frame, start, ms(1), ms(1_000)).contains(&Verdict::Mute));
        assert!(!limits.is_clean(start + ms(60_000)));
        assert!(limits.is_clean(start + ms(72_000)));
        assert!(flood(&mut limits, Sort::Frame, start + ms(72_000), ms(1), ms(1_000)).contains(&Verdict::Mute));
    }

    #[test]
    fn a_limit_that_was_reached_opens_with_time() {
        let (mut limits, start) = (Limits::default(), epoch());
        while limits.press(start) {}
        assert!(!limits.press(start + ms(100)));
        assert!(limits.press(start + ms(250)));
    }

    #[test]
    fn three_malformed_datagrams_are_borne_and_no_fourth() {
        let (mut limits, start) = (Limits::default(), epoch());
        assert!((0..3).all(|_| limits.malformed(start)));
        assert!(!limits.malformed(start + ms(100)));
    }

    #[test]
    fn the_budget_of_a_peer_grows_with_its_bridges() {
        for bridges in [1, 4] {
            let (mut limits, start) = (Limits::default(), epoch());
            assert!((0..200 * bridges).all(|_| limits.peer_request(bridges, start)), "{bridges}");
            assert!(!limits.peer_request(bridges, start), "{bridges}");
        }
    }
}
