//! Requests of own members that are with the home: in the order of their arrival, each emergency repeated until it is answered.
//!
//! A message on the border's stream waits for a lost packet to be sent again; a datagram does not. So an emergency is said again
//! every 100 ms as a datagram, under the same number, and granted by the own side if no answer has come in 300 ms.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::{Identity, RequestId, Tier};

use crate::floor::participant::EMERGENCY_REPEAT;
use crate::floor::{Claim, Party};
use crate::{Deadline, earliest};

/// How long an emergency request may stay without an answer of the home before the own side grants it.
const EMERGENCY_ANSWER: Duration = Duration::from_millis(300);

/// Releases that are remembered; the oldest goes when one more comes, and none is older than any copy on the way.
const RELEASED_MAX: usize = 256;
/// How long a copy of a request may be on its way.
const COPY_LIFE: Duration = Duration::from_secs(10);

/// What the units of a partner released lately, at the home.
#[derive(Clone, Debug, Default)]
pub(super) struct Released {
    entries: VecDeque<(Identity, RequestId, Instant)>,
}

impl Released {
    pub(super) fn note(&mut self, party: Identity, request: RequestId, now: Instant) {
        if self.entries.len() == RELEASED_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((party, request, now));
    }

    /// The newest request that the party has released.
    pub(super) fn of(&self, party: &Identity, now: Instant) -> Option<RequestId> {
        let fresh = |at: Instant| now.saturating_duration_since(at) < COPY_LIFE;
        self.entries.iter().filter(|(who, _, at)| who == party && fresh(*at)).map(|(_, request, _)| *request).max()
    }
}

/// A request that is with the home.
#[derive(Clone, Debug)]
struct Entry {
    claim: Claim,
    /// Of an emergency that is not answered yet.
    urgent: Option<Urgent>,
}

#[derive(Clone, Copy, Debug)]
struct Urgent {
    /// When it is said again.
    repeat_at: Instant,
    /// When the own side grants it.
    own_side_at: Instant,
}

/// One request for each member, at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// By arrival; a request that was raised arrives anew, as in the home's queue.
    entries: Vec<Entry>,
}

impl Asked {
    /// A talker whom the home has to decide on; it is heard already, so nothing is urgent about it.
    pub(super) fn insert(&mut self, claim: Claim) {
        self.entries.retain(|entry| entry.claim.party != claim.party);
        self.entries.push(Entry { claim, urgent: None });
    }

    /// A request was sent to the home.
    pub(super) fn sent(&mut self, claim: Claim, now: Instant) {
        let before = self.entries.iter().position(|entry| entry.claim.party == claim.party);
        let same = |entry: &&Entry| entry.claim.request == claim.request;
        let waits = before.and_then(|at| self.entries.get(at)).filter(same).and_then(|entry| entry.urgent);
        let fresh = Urgent { repeat_at: now + EMERGENCY_REPEAT, own_side_at: now + EMERGENCY_ANSWER };
        let urgent = (claim.priority.tier == Tier::Emergency).then(|| waits.unwrap_or(fresh));
        match before.and_then(|at| self.entries.get_mut(at)) {
            Some(entry) if entry.claim == claim => entry.urgent = urgent,
            _ => {
                self.insert(claim);
                if let Some(entry) = self.entries.last_mut() {
                    entry.urgent = urgent;
                }
            }
        }
    }

    /// The home said where it waits: that is an answer, of an emergency if the home `knows` of that; if not, the position is one of
    /// before the raise. Tells whether it is asked for at all.
    pub(super) fn queued(&mut self, party: &Party, request: RequestId, knows: bool) -> bool {
        let entry = self.entries.iter_mut().find(|entry| is(entry, party, request));
        entry.map(|entry| entry.urgent.take_if(|_| knows)).is_some()
    }

    /// Whether a talker has asked under its number for more than it has.
    pub(super) fn is_raised(&self, claim: &Claim) -> bool {
        self.entries.iter().any(|entry| is(entry, &claim.party, claim.request) && entry.claim.priority > claim.priority)
    }

    /// A request is no longer with the home; a newer one of the same party stays. Gives it if it was.
    pub(super) fn take(&mut self, party: &Party, request: RequestId) -> Option<Claim> {
        let at = self.entries.iter().position(|entry| is(entry, party, request))?;
        Some(self.entries.remove(at).claim)
    }

    /// A request was granted in this tier. What was asked for beyond that under the same number is still with the home.
    pub(super) fn granted(&mut self, party: &Party, request: RequestId, tier: Tier) -> Option<Claim> {
        let at = self.entries.iter().position(|entry| is(entry, party, request))?;
        let entry = self.entries.get(at)?;
        if entry.claim.priority.tier > tier { Some(entry.claim.clone()) } else { Some(self.entries.remove(at).claim) }
    }

    /// Whatever a party asks for is no longer with the home.
    pub(super) fn take_all_of(&mut self, party: &Party) -> Option<Claim> {
        let at = self.entries.iter().position(|entry| entry.claim.party == *party)?;
        Some(self.entries.remove(at).claim)
    }

    /// An emergency that is with the home under this name and number.
    pub(super) fn emergency(&self, identity: &Identity, request: RequestId) -> Option<&Claim> {
        self.claims().find(|claim| claim.party.identity == *identity && claim.request == request && claim.priority.tier == Tier::Emergency)
    }

    /// Everything that is with the home.
    pub(super) fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.entries.iter().map(|entry| &entry.claim)
    }

    /// Everything, higher priority first, then by arrival: the order of a queue.
    pub(super) fn into_queue(self) -> Vec<Claim> {
        let mut claims: Vec<Claim> = self.entries.into_iter().map(|entry| entry.claim).collect();
        claims.sort_by_key(|claim| Reverse(claim.priority));
        claims
    }

    // === Time ===

    pub(super) fn poll_timeout(&self) -> Deadline {
        earliest(
            self.entries
                .iter()
                .filter_map(|entry| entry.urgent)
                .flat_map(|urgent| [Some((urgent.repeat_at, "emergency repeat")), Some((urgent.own_side_at, "emergency answer"))]),
        )
    }

    /// Whether an emergency has waited too long for the home's answer.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.entries.iter().any(|entry| entry.urgent.is_some_and(|urgent| urgent.own_side_at <= now))
    }

    /// The emergencies that are to be said again now.
    pub(super) fn due_repeats(&mut self, now: Instant) -> Vec<Claim> {
        let due = |entry: &mut Entry| {
            let urgent = entry.urgent.as_mut().filter(|urgent| urgent.repeat_at <= now)?;
            urgent.repeat_at = now + EMERGENCY_REPEAT;
            Some(entry.claim.clone())
        };
        self.entries.iter_mut().filter_map(due).collect()
    }
}

fn is(entry: &Entry, party: &Party, request: RequestId) -> bool {
    entry.claim.party == *party && entry.claim.request == request
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::control::Talker;
    use wire::{Priority, SessionId};

    #[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn claim(session: u64, request: u32, priority: Priority) -> Claim {
        let identity: Identity = format!("be/unit/u{session}").parse().unwrap();
        let talker = Talker { identity: identity.clone(), alias: String::new(), agency: String::new() };
        Claim { party: Party { session: SessionId(session), identity }, request: RequestId(request), priority, talker, since: None }
    }

    #[test]
    fn what_waits_stays_in_the_order_of_arrival_and_a_raise_arrives_anew() {
        let (mut asked, now) = (Asked::default(), epoch());
        for session in [9, 1, 5] {
            asked.sent(claim(session, 1, Priority::normal(16)), now);
        }
        // A repeat changes nothing, a raise does.
        asked.sent(claim(9, 1, Priority::normal(16)), now);
        asked.sent(claim(7, 1, Priority::normal(20)), now);
        asked.sent(claim(1, 1, Priority::normal(20)), now);
        let order: Vec<u64> = asked.into_queue().iter().map(|claim| claim.party.session.0).collect();
        assert_eq!(order, [7, 1, 9, 5]);
    }

    #[test]
    fn an_emergency_is_said_again_until_it_is_answered_or_overdue() {
        let (mut asked, start) = (Asked::default(), epoch());
        let at = |millis| start + Duration::from_millis(millis);
        asked.sent(claim(1, 1, Priority::normal(16)), start);
        asked.sent(claim(2, 3, Priority::of(Tier::Emergency)), start);
        assert_eq!(asked.poll_timeout(), Some((at(100), "emergency repeat")));
        assert!(asked.due_repeats(at(99)).is_empty());
        let again = |asked: &mut Asked, millis| asked.due_repeats(at(millis)).iter().map(|claim| claim.request.0).collect::<Vec<_>>();
        assert_eq!((again(&mut asked, 100), again(&mut asked, 150), again(&mut asked, 200)), (vec![3], vec![], vec![3]));
        // The unit's own repeat does not put the end off.
        asked.sent(claim(2, 3, Priority::of(Tier::Emergency)), at(250));
        assert!(!asked.is_overdue(at(299)) && asked.is_overdue(at(300)));
        let party = claim(2, 3, Priority::default()).party;
        asked.queued(&party, RequestId(3), false);
        assert!(asked.is_overdue(at(300)), "a position told before the raise came");
        asked.queued(&party, RequestId(3), true);
        assert_eq!((asked.poll_timeout(), asked.is_overdue(at(300))), (None, false));
    }
}
