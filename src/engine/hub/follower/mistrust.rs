//! What a partner believes of its home. The home decides who has the floor; which numbers and names it may use for that, how long
//! a voice may go without a name and a name without a voice, and how much it may say at once, is decided here.
//!
//! A home of the product never comes near any of this. One that does is broken or hostile; what it says is not believed, its
//! gateway is named in log and records, and after too many messages its session ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wire::control::{Floor, FloorBody, Granted, Idle, Revoke, Taken};
use wire::{Identity, Kind, RequestId, RevokeCause, Spurt};

use super::{Follower, Relay, Talking};
use crate::floor::Party;
use crate::gate::Gate;
use crate::hub::output::Outbox;
use crate::rate::{Cell, Rate};
use crate::{Deadline, earliest};

/// How long voice is heard before somebody is named for it: the control stream repeats what the path lost.
const UNNAMED: Duration = Duration::from_secs(2);
/// How long somebody is shown as talking of whom no frame comes. The home itself ends that after T1.
const SILENT: Duration = Duration::from_secs(4);
/// How long a grant of an own member may outlast what the home gave: the grace T3, and the way.
const OVERTIME: Duration = Duration::from_millis(1_500);
/// How many epochs a frame of the home may run ahead of what the home told: a partner that joins it begins one.
const EPOCHS_AHEAD: u8 = 8;
/// How many epochs a late frame may lie behind: further back it could count as ahead of what was heard meanwhile.
const EPOCHS_BEHIND: u8 = 64;
/// How often the floor of a talkgroup can pass on: every word of it goes to every member, and members can fall behind.
const CHANGES: Rate = Rate { every: Duration::from_millis(20), burst: 100 };
/// Positions told to those who wait: a full queue that moves up six times a second; more are left out.
const POSITIONS: Rate = Rate { every: Duration::from_millis(5), burst: 200 };

/// What to make of a floor message of the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is carried out.
    Believed,
    /// It is not believed, for this reason.
    Lie(&'static str),
    /// There are too many of them: the session ends.
    Flood,
}

/// A partner's account of what its home said about one talkgroup.
#[derive(Clone, Debug)]
pub(crate) struct Mistrust {
    /// The newest number that the home told.
    told: Spurt,
    /// The newest number that is over.
    over: Spurt,
    /// The number under which an own member talks, or did last: no voice of the home belongs to it.
    own: Option<Spurt>,
    /// What own members released and the home has yet to acknowledge.
    releasing: BTreeMap<Party, RequestId>,
    patience: Patience,
}

/// How long this side waits for what a home always does in time, and how much it takes at once.
#[derive(Clone, Debug)]
struct Patience {
    /// Since when voice comes that nobody is named for, and by which number.
    unnamed: Option<(Instant, Spurt)>,
    /// The newest frame of whoever talks, or when it began.
    heard: Instant,
    /// How long an own member may talk from its first frame on, as the home said, and when that is over.
    limit: Duration,
    until: Option<Instant>,
    changes: Cell,
    positions: Cell,
}

impl Mistrust {
    /// A session with the home begins with this number.
    pub(super) fn new(start: Spurt, now: Instant) -> Self {
        let (changes, positions) = (Cell::default(), Cell::default());
        let patience = Patience { unnamed: None, heard: now, limit: Duration::ZERO, until: None, changes, positions };
        Self { told: start, over: start, own: None, releasing: BTreeMap::new(), patience }
    }

    // === Messages ===

    /// Judges a floor message of the home, given who talks.
    pub(super) fn judge(&mut self, floor: &Floor, talking: Option<&Talking>, now: Instant) -> Verdict {
        let changes = matches!(floor.body, FloorBody::Taken(_) | FloorBody::Idle(_) | FloorBody::Granted(_) | FloorBody::Revoke(_));
        if changes && !self.patience.changes.take(CHANGES, now) {
            return Verdict::Flood;
        }
        // By now a word about that voice would be here: nothing is granted below it any more, where nobody would hear it.
        if let Some((_, spurt)) = self.patience.unnamed.take_if(|(since, _)| now.saturating_duration_since(*since) > UNNAMED)
            && spurt.is_after(self.told)
        {
            self.told = spurt;
        }
        let (verdict, told) = match &floor.body {
            FloorBody::Taken(taken) => (self.judge_taken(taken, talking), Some(taken.spurt)),
            FloorBody::Granted(granted) => (self.judge_granted(floor.party.as_ref(), granted, talking), Some(granted.spurt)),
            FloorBody::Idle(idle) => {
                self.end(idle.spurt);
                (Verdict::Believed, Some(idle.spurt))
            }
            FloorBody::Request(_) | FloorBody::Release(_) => (Verdict::Lie("a request of a home"), None),
            FloorBody::Deny { .. } | FloorBody::Queued { .. } | FloorBody::Revoke(_) | FloorBody::Ack { .. } => (Verdict::Believed, None),
        };
        if let (Verdict::Believed, Some(spurt)) = (verdict, told) {
            self.patience.unnamed = None;
            if spurt.is_after(self.told) {
                self.told = spurt;
            }
        }
        verdict
    }

    fn judge_taken(&self, taken: &Taken, talking: Option<&Talking>) -> Verdict {
        if taken.talker.identity.kind == Kind::Gateway {
            return Verdict::Lie("a gateway as talker");
        }
        if let Some(lie) = self.runs_back(taken.spurt) {
            return lie;
        }
        match talking.filter(|talking| talking.spurt() == taken.spurt) {
            Some(Talking::Local { .. }) => Verdict::Lie("one number for two talkers"),
            Some(Talking::Remote { taken: Some(known), .. }) if known.talker.identity != taken.talker.identity => {
                Verdict::Lie("one number for two talkers")
            }
            Some(Talking::Remote { .. }) | None => Verdict::Believed,
        }
    }

    fn judge_granted(&self, party: Option<&Identity>, granted: &Granted, talking: Option<&Talking>) -> Verdict {
        if let Some(lie) = self.runs_back(granted.spurt) {
            return lie;
        }
        match talking.filter(|talking| talking.spurt() == granted.spurt) {
            Some(Talking::Local { claim, .. }) if Some(&claim.party.identity) == party && claim.request == granted.request => {
                Verdict::Believed
            }
            Some(Talking::Local { .. } | Talking::Remote { .. }) => Verdict::Lie("one number for two talkers"),
            None => Verdict::Believed,
        }
    }

    /// Numbers only rise within one session with the home; one told before the newest had an owner, or none ever.
    fn runs_back(&self, spurt: Spurt) -> Option<Verdict> {
        if !spurt.is_after(self.over) {
            Some(Verdict::Lie("a spurt that is over begins again"))
        } else if self.is_past(spurt) {
            Some(Verdict::Lie("a number before one that it told"))
        } else {
            None
        }
    }

    /// Whether a number lies before the newest that the home told, or half the circle away from it.
    pub(super) fn is_past(&self, spurt: Spurt) -> bool {
        spurt != self.told && !spurt.is_after(self.told)
    }

    /// A spurt is over.
    pub(super) fn end(&mut self, spurt: Spurt) {
        if spurt.is_after(self.over) {
            self.over = spurt;
        }
    }

    /// Whether one more position may be told.
    pub(super) fn may_tell_position(&mut self, now: Instant) -> bool {
        self.patience.positions.take(POSITIONS, now)
    }

    /// An own member's release goes to the home.
    pub(super) fn releases(&mut self, party: &Party, request: RequestId) {
        self.releasing.insert(party.clone(), request);
    }

    /// The home acknowledges a release; whether there was one.
    pub(super) fn acked(&mut self, party: &Party, request: RequestId) -> bool {
        let known = self.releasing.get(party) == Some(&request);
        if known {
            self.releasing.remove(party);
        }
        known
    }

    /// An own member is gone.
    pub(super) fn forgets(&mut self, party: &Party) {
        self.releasing.remove(party);
    }

    // === Voice ===

    /// Whether a frame of the home may be heard.
    pub(super) fn may_be_heard(&mut self, spurt: Spurt, now: Instant) -> Result<(), &'static str> {
        if self.own == Some(spurt) {
            return Err("voice under the number of an own talker");
        }
        let ahead = spurt.epoch.0.wrapping_sub(self.told.epoch.0);
        if (EPOCHS_AHEAD + 1..EPOCHS_BEHIND.wrapping_neg()).contains(&ahead) {
            // It would carry the numbers away from members that lost it.
            return Err("voice of an epoch that was never told");
        }
        if !spurt.is_after(self.told) {
            return Ok(());
        }
        let (since, _) = *self.patience.unnamed.get_or_insert((now, spurt));
        if now.saturating_duration_since(since) <= UNNAMED { Ok(()) } else { Err("voice that nobody is named for") }
    }

    // === Talkers ===

    /// An own member talks under this number.
    pub(super) fn owns(&mut self, spurt: Spurt) {
        self.own = Some(spurt);
    }

    /// Somebody begins to talk; the home lets an own member talk for so long.
    pub(super) fn begin(&mut self, limit: Option<Duration>, now: Instant) {
        self.patience.heard = now;
        self.patience.limit = limit.unwrap_or_default();
        self.patience.until = None;
    }

    /// A frame of whoever talks passed.
    pub(super) fn passed(&mut self, now: Instant) {
        self.patience.heard = now;
        self.patience.until.get_or_insert(now + self.patience.limit + OVERTIME);
    }

    /// How long an own member may go on talking.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.patience.until.map_or(self.patience.limit, |until| until.saturating_duration_since(now).saturating_sub(OVERTIME))
    }

    /// When whoever talks has been quiet, or has talked, for longer than a home lets anybody.
    pub(super) fn deadline(&self, talking: Option<&Talking>) -> Deadline {
        let silent = Some((self.patience.heard + SILENT, "talker without voice"));
        match talking? {
            Talking::Local { granted: false, suspended: false, .. } => None,
            Talking::Local { .. } => earliest([silent, self.patience.until.map(|until| (until, "grant without end"))]),
            Talking::Remote { .. } => silent,
        }
    }

    /// Why a spurt has to end that the home does not end.
    pub(super) fn overdue(&self, talking: Option<&Talking>, now: Instant) -> Option<RevokeCause> {
        self.deadline(talking).filter(|(at, _)| *at <= now)?;
        let silent = self.patience.heard + SILENT <= now;
        Some(if silent { RevokeCause::MediaGap } else { RevokeCause::TalkLimit })
    }
}

impl Follower {
    /// What to make of a floor message of the home. A grant that is not carried out is given back.
    pub(crate) fn judge(&mut self, floor: &Floor, now: Instant, out: &mut Outbox) -> Verdict {
        let verdict = self.mistrust.judge(floor, self.talking.as_ref(), now);
        if let (Verdict::Lie(_), FloorBody::Granted(granted), Some(party)) = (verdict, &floor.body, &floor.party) {
            self.give_back(party.clone(), granted.request, out);
        }
        verdict
    }

    /// Whether a frame of the home may be heard, if the gate lets it pass.
    ///
    /// # Errors
    /// Why not, for log and records.
    pub(crate) fn may_be_heard(&mut self, spurt: Spurt, now: Instant) -> Result<(), &'static str> {
        if matches!(&self.talking, Some(Talking::Local { earlier, .. }) if earlier.contains(&spurt)) {
            return Err("voice under the number of an own talker");
        }
        self.mistrust.may_be_heard(spurt, now)
    }

    /// A frame of whoever talks passed.
    pub(crate) fn passed(&mut self, now: Instant) {
        self.mistrust.passed(now);
    }

    /// Ends a spurt that the home does not end: nobody is shown or granted for ever on the word of a home that says no more.
    pub(crate) fn end_overdue(&mut self, gate: &mut Gate, now: Instant, out: &mut Outbox) -> Vec<Relay> {
        let Some(cause) = self.mistrust.overdue(self.talking.as_ref(), now) else { return Vec::new() };
        let Some(talking) = &self.talking else { return Vec::new() };
        let spurt = talking.spurt();
        let mut relays = Vec::new();
        if let Talking::Local { claim, relinquished: false, .. } = talking {
            let (party, request) = (claim.party.clone(), claim.request);
            relays.push(Relay::To(party.session, FloorBody::Revoke(Revoke { request, spurt, cause, grace_ms: 0 })));
            self.give_back(party.identity, request, out);
        }
        gate.cut(spurt);
        self.mistrust.end(spurt);
        relays.extend(self.end_talking(Some(cause)));
        relays.push(Relay::Others(None, FloorBody::Idle(Idle { spurt, last_seq: None, cause: Some(cause), followed: false })));
        relays
    }
}
