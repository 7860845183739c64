//! What a gateway publishes of its service: how each press of an own unit ended and after what time, late entries, voice turned away.
//!
//! Beside every decision, never before one: the hub says what it does in passing. One entry for each unit and talkgroup that it joined,
//! and arrays; each press is counted once, by the gateway of the unit that pressed (TS 22.179 6.15.3, KPI 1 and KPI 4).

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use wire::control::{Floor, FloorBody, Message, Request};
use wire::{Handle, Identity, RequestId, SessionId, TalkgroupId, Tier};

use crate::figures::{Histogram, WAIT};
use crate::floor::participant::{RETRIES, RETRY};

/// A unit that has asked so long without an answer gives up.
const GIVEN_UP: Duration = RETRY.saturating_mul(RETRIES as u32 + 1);

/// How a press ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Granted without having waited.
    Immediate,
    /// Granted after having been told a place in the queue.
    Queued,
    /// Refused.
    Denied,
    /// No answer came, or the session or the talkgroup was lost before one.
    Failed,
    /// The key went up before a grant.
    Abandoned,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Immediate, Self::Queued, Self::Denied, Self::Failed, Self::Abandoned];

    /// The word used in metrics and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Queued => "queued",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Who answers a press.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arbiter {
    /// This gateway.
    Here,
    /// The home, across the border.
    Home,
}

impl Arbiter {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Here, Self::Home];

    /// The word used in metrics and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Home => "home",
        }
    }
}

/// Why a voice frame that came in went to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TurnedAway {
    /// Its unit holds no grant.
    NoGrant,
    /// It is more than its sender may send, or that one is muted.
    Flood,
}

impl TurnedAway {
    /// The word used in metrics and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoGrant => "no_grant",
            Self::Flood => "flood",
        }
    }
}

/// Which presses are counted together.
pub type Press = (Arbiter, Tier, Outcome);

/// What was counted since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// From the arrival of a request here to what ended the press.
    pub access: BTreeMap<Press, Histogram>,
    /// From a unit's joining while somebody talks to the first frame on its way to it.
    pub late_entry: Histogram,
    /// Voice frames that went to nobody, by the peer they came from (`None`: a unit) and the tier they claimed.
    pub turned_away: BTreeMap<(Option<Identity>, Tier, TurnedAway), u64>,
}

impl Default for Figures {
    fn default() -> Self {
        Self { access: BTreeMap::new(), late_entry: Histogram::new(&WAIT), turned_away: BTreeMap::new() }
    }
}

/// A press under way, or the newest one of a unit in a talkgroup: its repeats are not new ones.
#[derive(Clone, Debug)]
struct Asked {
    request: RequestId,
    arbiter: Arbiter,
    tier: Tier,
    since: Instant,
    waits: bool,
    over: bool,
}

/// What was said to a unit that asked.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Granted,
    Waits,
    Denied,
}

impl Answer {
    /// What a message to a unit answers: where, and which request if it names one.
    fn of(message: &Message) -> Option<(&TalkgroupId, Option<RequestId>, Self)> {
        if let Message::AffiliateRefused(talkgroup, _) = message {
            return Some((talkgroup, None, Self::Denied));
        }
        let Message::Floor(Floor { talkgroup, party: None, body }) = message else { return None };
        let (request, answer) = match body {
            FloorBody::Granted(granted) => (granted.request, Self::Granted),
            FloorBody::Queued { request, .. } => (*request, Self::Waits),
            FloorBody::Deny { request, .. } => (*request, Self::Denied),
            FloorBody::Request(_)
            | FloorBody::Taken(_)
            | FloorBody::Idle(_)
            | FloorBody::Release(_)
            | FloorBody::Revoke(_)
            | FloorBody::Ack { .. } => return None,
        };
        Some((talkgroup, Some(request), answer))
    }
}

/// Watches the hub and counts.
#[derive(Clone, Default)]
pub(super) struct Watch {
    figures: Figures,
    asked: BTreeMap<SessionId, BTreeMap<TalkgroupId, Asked>>,
    /// Said in this turn; without a request: in whatever the unit asked for there.
    answers: Vec<(SessionId, TalkgroupId, Option<RequestId>, Answer)>,
    /// Units that joined while somebody talked and have heard nothing yet.
    latecomers: BTreeMap<(Handle, SessionId), Instant>,
}

/// Nothing here decides anything, so it is no part of what the hub's state looks like.
impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    /// What was counted.
    pub(super) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// How many presses and latecomers are kept.
    #[cfg(test)]
    pub(super) fn keeps(&self) -> (usize, usize) {
        (self.asked.values().map(BTreeMap::len).sum(), self.latecomers.len())
    }

    // === Access ===

    /// A unit asks for the floor of a talkgroup that it joined.
    pub(super) fn asked(&mut self, session: SessionId, talkgroup: &TalkgroupId, request: &Request, arbiter: Arbiter, now: Instant) {
        let (request, tier) = (request.request, request.priority.tier);
        let of_unit = self.asked.entry(session).or_default();
        if let Some(before) = of_unit.get_mut(talkgroup) {
            if request <= before.request {
                before.tier = before.tier.max(tier);
                return;
            }
            // The release of the one before was lost.
            self.figures.end(before, Outcome::Abandoned, now);
        }
        of_unit.insert(talkgroup.clone(), Asked { request, arbiter, tier, since: now, waits: false, over: false });
    }

    /// A unit asks where it may not.
    pub(super) fn refused_at_once(&mut self, tier: Tier) {
        self.figures.press((Arbiter::Here, tier, Outcome::Denied)).note(Duration::ZERO);
    }

    /// A message to a session; what answers a press of it is kept until the end of the turn, which knows the time.
    pub(super) fn said(&mut self, to: SessionId, message: &Message) {
        let Some((talkgroup, request, answer)) = Answer::of(message) else { return };
        if self.asked.get(&to).is_some_and(|of_unit| of_unit.contains_key(talkgroup)) {
            self.answers.push((to, talkgroup.clone(), request, answer));
        }
    }

    /// Counts what was answered in this turn.
    pub(super) fn end_of_turn(&mut self, now: Instant) {
        for (session, talkgroup, request, answer) in std::mem::take(&mut self.answers) {
            let asked = self.asked.get_mut(&session).and_then(|of_unit| of_unit.get_mut(&talkgroup));
            let Some(asked) = asked.filter(|asked| request.is_none_or(|request| request == asked.request)) else { continue };
            match answer {
                Answer::Granted => {
                    let outcome = if asked.waits { Outcome::Queued } else { Outcome::Immediate };
                    self.figures.end(asked, outcome, now);
                }
                Answer::Waits => asked.waits = true,
                Answer::Denied => self.figures.end(asked, Outcome::Denied, now),
            }
        }
    }

    /// A unit takes its request back or ends its spurt.
    pub(super) fn released(&mut self, session: SessionId, talkgroup: &TalkgroupId, request: RequestId, now: Instant) {
        let asked = self.asked.get_mut(&session).and_then(|of_unit| of_unit.get_mut(talkgroup));
        let Some(asked) = asked.filter(|asked| asked.request <= request) else { return };
        let unanswered = !asked.waits && now.saturating_duration_since(asked.since) >= GIVEN_UP;
        self.figures.end(asked, if unanswered { Outcome::Failed } else { Outcome::Abandoned }, now);
    }

    /// A unit leaves a talkgroup.
    pub(super) fn left(&mut self, session: SessionId, talkgroup: &TalkgroupId, now: Instant) {
        if let Some(mut asked) = self.asked.get_mut(&session).and_then(|of_unit| of_unit.remove(talkgroup)) {
            self.figures.end(&mut asked, Outcome::Abandoned, now);
        }
    }

    /// A session has ended.
    pub(super) fn gone(&mut self, session: SessionId, now: Instant) {
        for mut asked in self.asked.remove(&session).into_iter().flat_map(BTreeMap::into_values) {
            self.figures.end(&mut asked, Outcome::Failed, now);
        }
        self.latecomers.retain(|(_, who), _| *who != session);
    }

    // === Late entry ===

    /// A unit joined while somebody talks.
    pub(super) fn joined_late(&mut self, talkgroup: Handle, session: SessionId, now: Instant) {
        self.latecomers.insert((talkgroup, session), now);
    }

    /// A frame goes to everybody in a talkgroup.
    pub(super) fn fanned_out(&mut self, talkgroup: Handle, now: Instant) {
        self.latecomers.retain(|(here, _), joined| {
            if *here == talkgroup {
                self.figures.late_entry.note(now.saturating_duration_since(*joined));
            }
            *here != talkgroup
        });
    }

    /// The spurt that somebody joined in is over: whoever has heard nothing of it was too late for it.
    pub(super) fn spurt_over(&mut self, talkgroup: Handle) {
        self.latecomers.retain(|(here, _), _| *here != talkgroup);
    }

    // === Voice ===

    /// A voice frame goes to nobody.
    pub(super) fn turned_away(&mut self, peer: Option<&Identity>, tier: Tier, why: TurnedAway) {
        *self.figures.turned_away.entry((peer.cloned(), tier, why)).or_default() += 1;
    }
}

impl Figures {
    fn press(&mut self, press: Press) -> &mut Histogram {
        self.access.entry(press).or_insert_with(|| Histogram::new(&WAIT))
    }

    /// Ends a press, unless it has ended before.
    fn end(&mut self, asked: &mut Asked, outcome: Outcome, now: Instant) {
        if !std::mem::replace(&mut asked.over, true) {
            self.press((asked.arbiter, asked.tier, outcome)).note(now.saturating_duration_since(asked.since));
        }
    }
}
