//! The call of a view: under which agreements it crosses the border, who had the floor until just now, and its record at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wire::control::{Taken, Talker};
use wire::{Authority, Level, RevokeCause, SessionId, Spurt, Tier};

use super::{Side, View};
use crate::floor::Claim;
use crate::hub::follower::Talking;
use crate::hub::output::{Call, Event, Outbox};

/// For so long after its spurt ended a member's frames may still be on the way: an end that it has yet to hear of included.
const TAIL: Duration = Duration::from_secs(2);

/// What a view keeps of the call under way and of those just over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    /// The agreements under which the current talker is or was heard across the border. A border that falls keeps them.
    crossed: Vec<String>,
    /// Until when the frames of sessions whose spurt is over count as its tail; what is older goes with the next end.
    tails: BTreeMap<SessionId, Instant>,
}

/// A spurt that is over.
pub(crate) struct Over {
    /// The session it was heard on.
    pub(crate) session: SessionId,
    pub(crate) talker: Talker,
    pub(crate) tier: Tier,
    /// Unknown of a talker that the home named.
    pub(crate) level: Option<Level>,
    pub(crate) via: Option<Authority>,
    pub(crate) spurt: Spurt,
    pub(crate) duration: Duration,
    /// `None`: released.
    pub(crate) ended_by: Option<RevokeCause>,
}

impl Over {
    /// Of a member, or a unit of a far side that this view granted.
    pub(super) fn of_own(claim: Claim, spurt: Spurt, since: Instant, ended_by: Option<RevokeCause>, now: Instant) -> Self {
        let Claim { party, priority, talker, .. } = claim;
        let (tier, level, duration) = (priority.tier, Some(priority.level), now.saturating_duration_since(since));
        Self { session: party.session, talker, tier, level, via: None, spurt, duration, ended_by }
    }

    /// Of somebody whom the home named.
    pub(super) fn of_far(session: SessionId, taken: Taken, since: Instant, ended_by: Option<RevokeCause>, now: Instant) -> Self {
        let Taken { talker, tier, via, spurt, .. } = taken;
        Self { session, talker, tier, level: None, via, spurt, duration: now.saturating_duration_since(since), ended_by }
    }
}

impl View {
    /// Whoever talks now is heard under these agreements, too.
    pub(super) fn note_crossing(&mut self) {
        let crossing: Vec<&String> = match &self.side {
            Side::Arbiter(arbiter) => arbiter.current().map_or_else(Vec::new, |current| {
                let source = current.claim.party.session;
                self.far.values().filter(|far| far.session == source || self.carries(Some(source), far)).map(|far| &far.agreement).collect()
            }),
            Side::Partner(follower) => {
                let home = &follower.home;
                let crosses = match follower.talking() {
                    Some(Talking::Local { granted, .. }) => *granted && home.hears_us(),
                    Some(Talking::Remote { .. }) => home.is_heard(),
                    None => false,
                };
                crosses.then_some(&home.agreement).into_iter().collect()
            }
        };
        let new: Vec<String> = crossing.into_iter().filter(|name| !self.calls.crossed.contains(name)).cloned().collect();
        self.calls.crossed.extend(new);
    }

    /// A spurt is over: it goes into the records.
    pub(super) fn record(&mut self, over: Over, now: Instant, out: &mut Outbox) {
        self.calls.tails.retain(|_, until| *until > now);
        self.calls.tails.insert(over.session, now + TAIL);
        out.watch.spurt_over(self.handle);
        let Over { talker, tier, level, via, spurt, duration, ended_by, .. } = over;
        let agreements = std::mem::take(&mut self.calls.crossed);
        let call = Call { talkgroup: self.id().clone(), talker, agreements, via, tier, level, spurt, duration, ended_by };
        out.event(Event::Call(Box::new(call)));
    }

    /// Whether a frame from that session comes from somebody who holds no grant here, and did not until just now.
    pub(crate) fn lacks_grant(&self, session: SessionId, now: Instant) -> bool {
        let holds = match &self.side {
            Side::Arbiter(arbiter) => arbiter.current().is_some_and(|current| current.claim.party.session == session),
            Side::Partner(follower) => matches!(follower.talking(), Some(Talking::Local { claim, .. }) if claim.party.session == session),
        };
        !holds && self.calls.tails.get(&session).is_none_or(|until| *until <= now)
    }
}
