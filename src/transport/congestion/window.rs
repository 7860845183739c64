//! How much of a link may be under way at once: the decisions, without quinn, clock or connection.
//!
//! [`super::Voice`] tells it what became of packets, quinn asks it how many bytes may be in flight. The rate itself is held by the
//! token bucket above, so the window has one task: to get out of the way while the path carries what the operator said it does,
//! and to give way when it does not.
//!
//! | the path | the window |
//! |---|---|
//! | carries the rate, whatever it loses at random | what the rate brings in one round trip and [`OUTAGE`] |
//! | every round trip of a second lasts [`QUEUE`] more than the shortest: a queue stands | three tenths less each second, down to the least |
//! | every round trip of a second lasts [`SHORT_QUEUE`] more, and one packet of eight is lost: a short queue overflows | the same |
//! | more than one packet of three lost in each of [`LOSSY_SECONDS`] seconds, in order | the same |
//! | neither any more | a quarter more each second; all of it once the link no longer fills half |
//!
//! The least carries an eighth of the rate, and one talker in any case: the scheduler above puts the most important one first.

use std::time::{Duration, Instant};

/// Silence of the far side through which a link at its full rate goes on sending. Were it stopped, a path that is back would
/// be found by quinn's probes, whose pause doubles, and not by the next voice frame.
pub(super) const OUTAGE: Duration = Duration::from_secs(1);
/// A queue that stands this long belongs to somebody who shares the path, or to a path narrower than its rate.
pub(super) const QUEUE: Duration = Duration::from_millis(100);
/// A queue too short to stand so long overflows instead. Random loss alone does not make the round trips longer.
pub(super) const SHORT_QUEUE: Duration = Duration::from_millis(30);
/// Seconds of heavy loss in a row: a burst on the radio is over sooner.
pub(super) const LOSSY_SECONDS: u32 = 5;
/// What one talker takes, headers included, in bytes per second.
pub(super) const TALKER: u64 = 7_500;

/// How often the path is judged.
const SECOND: Duration = Duration::from_secs(1);
/// Fewer answers in a second tell nothing: a radio that slept answers one packet late.
const ANSWERS_MIN: u32 = 5;
/// The shortest round trip is forgotten after twice this, for a path may have become longer.
const REMEMBERED: Duration = Duration::from_secs(30);
/// The round trip while none is known.
const ASSUMED: Duration = Duration::from_millis(300);
/// The longest round trip that the least makes good.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);
/// The other side may take half of this to acknowledge, and an acknowledgement may be lost.
const ANSWER: Duration = Duration::from_millis(50);
/// A voice frame on the wire, in bytes.
const FRAME: u64 = 200;

/// The window of one path.
#[derive(Clone, Debug)]
pub(super) struct Window {
    packet: u64,
    shortest: Shortest,
    second: Second,
    /// When the youngest packet was sent that the other side has.
    newest: Instant,
    /// The lowest round trip of the last second that had enough answers.
    round_trip: Duration,
    lossy_seconds: u32,
    /// The window while it gives way; `None`: it does not.
    held: Option<u64>,
}

/// What a second has seen so far.
#[derive(Clone, Copy, Debug)]
struct Second {
    began: Instant,
    lowest: Option<Duration>,
    answers: u32,
    /// Answers to packets that a later one had overtaken.
    overtaken: u32,
    acked: u64,
    lost: u64,
    /// Most bytes in flight.
    peak: u64,
}

impl Second {
    fn beginning(began: Instant) -> Self {
        Self { began, lowest: None, answers: 0, overtaken: 0, acked: 0, lost: 0, peak: 0 }
    }
}

/// The shortest round trip lately.
#[derive(Clone, Copy, Debug)]
struct Shortest {
    since: Instant,
    current: Option<Duration>,
    previous: Option<Duration>,
}

impl Shortest {
    fn note(&mut self, sample: Duration, now: Instant) {
        if now.saturating_duration_since(self.since) >= REMEMBERED {
            (self.since, self.previous, self.current) = (now, self.current, None);
        }
        self.current = Some(self.current.map_or(sample, |current| current.min(sample)));
    }

    fn get(&self) -> Option<Duration> {
        [self.current, self.previous].into_iter().flatten().min()
    }
}

impl Window {
    /// The window of a path of which nothing is known; `packet` is the largest packet in bytes.
    pub(super) fn new(packet: u16, now: Instant) -> Self {
        Self {
            packet: packet.into(),
            shortest: Shortest { since: now, current: None, previous: None },
            second: Second::beginning(now),
            newest: now,
            round_trip: ASSUMED,
            lossy_seconds: 0,
            held: None,
        }
    }

    /// The largest packet is another.
    pub(super) fn set_packet(&mut self, packet: u16) {
        self.packet = packet.into();
    }

    /// The other side has a packet; `rate` is the link's, in bytes per second.
    pub(super) fn acked(&mut self, now: Instant, sent: Instant, bytes: u64, rate: u64) {
        self.judge_when_due(now, rate);
        let sample = now.saturating_duration_since(sent);
        self.shortest.note(sample, now);
        let second = &mut self.second;
        second.lowest = Some(second.lowest.map_or(sample, |lowest| lowest.min(sample)));
        second.answers += 1;
        second.overtaken += u32::from(sent < self.newest);
        self.newest = self.newest.max(sent);
        second.acked += bytes;
    }

    /// Packets are given up for lost.
    pub(super) fn lost(&mut self, now: Instant, bytes: u64, rate: u64) {
        self.judge_when_due(now, rate);
        self.second.lost += bytes;
    }

    /// So much is or was in flight.
    pub(super) fn in_flight(&mut self, bytes: u64) {
        self.second.peak = self.second.peak.max(bytes);
    }

    /// Bytes that may be in flight.
    pub(super) fn bytes(&self, rate: u64) -> u64 {
        let full = carried(rate, self.shortest.get().unwrap_or(ASSUMED) + OUTAGE) + 2 * self.packet;
        self.held.map_or(full, |held| held.min(full))
    }

    #[cfg(test)]
    pub(super) fn yields(&self) -> bool {
        self.held.is_some()
    }

    /// A lost packet stays in flight for one and a half round trips. quinn sends only while a whole packet of the largest size would fit, however small the frame.
    fn least(&self, rate: u64) -> u64 {
        carried((rate / 8).max(TALKER), self.round_trip * 3 / 2 + ANSWER) + self.packet + 2 * FRAME
    }

    fn judge_when_due(&mut self, now: Instant, rate: u64) {
        if now.saturating_duration_since(self.second.began) >= SECOND {
            let second = std::mem::replace(&mut self.second, Second::beginning(now));
            self.judge(second, rate);
        }
    }

    fn judge(&mut self, second: Second, rate: u64) {
        // At 30 % chance alone must not do it, so the line is drawn at a third. Where packets overtake each other, quinn gives up
        // many that arrive after all, and tells nothing.
        let in_order = second.overtaken * 10 <= second.answers;
        let heavy = second.answers >= ANSWERS_MIN && in_order && second.lost * 2 > second.acked;
        self.lossy_seconds = if heavy { self.lossy_seconds + 1 } else { 0 };
        let mut queued = false;
        if let Some(lowest) = second.lowest.filter(|_| second.answers >= ANSWERS_MIN) {
            self.round_trip = lowest.min(ROUND_TRIP_MAX);
            let line = if second.lost * 7 > second.acked { SHORT_QUEUE } else { QUEUE };
            queued = self.shortest.get().is_some_and(|shortest| lowest >= shortest + line);
        }
        if queued || self.lossy_seconds >= LOSSY_SECONDS {
            let from = self.held.map_or(second.peak, |held| held.min(second.peak));
            self.held = Some((from * 7 / 10).max(self.least(rate)));
        } else {
            self.held = self.held.filter(|held| second.peak * 2 >= *held).map(|held| held + held / 4);
        }
    }
}

/// Bytes that a rate in bytes per second brings in a time.
pub(super) fn carried(rate: u64, time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    rate.saturating_mul(micros) / 1_000_000
}
