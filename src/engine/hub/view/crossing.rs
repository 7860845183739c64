//! Which border links the spurt of a view crosses, and which of them have no room for it.
//!
//! The hub, which sees all views, says who has to give way on a full link and who may come back. An arbiter goes on without the far
//! side: that hears that the spurt is over, and later of it under a new number. A partner goes on without its home.

use std::collections::BTreeMap;
use std::time::Instant;

use wire::control::{Floor, FloorBody, Granted, Idle, Message};
use wire::{DenyCause, Identity, RevokeCause, SessionId, Tier};

use super::{Side, View};
use crate::capacity::Crossing;
use crate::floor::bar::Bar;
use crate::floor::table::State;
use crate::floor::{Claim, Party};
use crate::hub::bridges::Far;
use crate::hub::output::{Event, Outbox};

/// What a view keeps of the border links that its spurts cross.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    /// Far sides that do not hear the spurt under way, for the link to them is full.
    suspended: Vec<SessionId>,
    /// The highest tier for which the link to a far side has no room, where there is one.
    full: BTreeMap<SessionId, Tier>,
}

impl Links {
    /// A spurt is over.
    pub(super) fn spurt_over(&mut self) {
        self.suspended.clear();
    }
}

impl View {
    /// Members and far sides that hear who talks; and whom the links to these have no room for.
    pub(super) fn renew_listeners(&mut self) {
        let far = self.far.values().filter(|far| self.carries(self.source, far)).map(|far| far.session);
        let listeners: Vec<SessionId> = self.members.keys().copied().chain(far).collect();
        self.ears.renew(listeners.into_iter());
        self.renew_bar();
    }

    /// Whether a spurt from that session is carried to a far side: agreed with it, and there is room on the way.
    pub(super) fn carries(&self, source: Option<SessionId>, to: &Far) -> bool {
        let suspended = match &self.side {
            Side::Arbiter(_) => self.links.suspended.contains(&to.session),
            Side::Partner(follower) => follower.is_suspended(),
        };
        !suspended && self.may_carry(source, to)
    }

    /// Whether a spurt from that session may be carried to a far side: agreed with it, and, if it came from another far side, listed
    /// under *onward* in the agreements with both.
    fn may_carry(&self, source: Option<SessionId>, to: &Far) -> bool {
        let from = source.and_then(|session| self.far.get(&session)).filter(|from| from.session != to.session);
        to.hears_us() && from.is_none_or(|from| from.onward.contains(&to.authority) && to.onward.contains(&from.authority))
    }

    /// Whether nobody beyond the own side hears who talks on this session, although a bridge is there for that.
    pub(super) fn stays_on_own_side(&self, source: SessionId) -> bool {
        let crosses = self.far.contains_key(&source) || self.far.values().any(|far| self.carries(Some(source), far));
        self.is_bridged && !crosses
    }

    // === Room ===

    /// The spurt that crosses the link to a far side or would, were there room. One that only has its last frame on the way does not count.
    pub(crate) fn crossing(&self, to: SessionId) -> Option<Crossing> {
        let far = self.far.get(&to)?;
        match &self.side {
            Side::Arbiter(arbiter) => {
                let current = arbiter.current().filter(|_| arbiter.state() != State::Draining)?;
                let source = current.claim.party.session;
                let crossing =
                    Crossing { priority: current.claim.priority, since: current.since, passes: !self.links.suspended.contains(&to) };
                (source != to && self.may_carry(Some(source), far)).then_some(crossing)
            }
            Side::Partner(follower) => follower.crossing().filter(|_| far.hears_us()).map(|(_, crossing)| crossing),
        }
    }

    /// The highest tier for which the link to a far side has no room beside the spurts of other talkgroups.
    pub(crate) fn set_full(&mut self, to: SessionId, tier: Option<Tier>) {
        let before = match tier {
            Some(tier) => self.links.full.insert(to, tier),
            None => self.links.full.remove(&to),
        };
        if before != tier {
            self.renew_bar();
        }
    }

    fn renew_bar(&mut self) {
        let Self { far, links, .. } = self;
        links.full.retain(|session, _| far.contains_key(session));
        links.suspended.retain(|session| far.contains_key(session));
        let highest = |source: Option<SessionId>| {
            let crossed = self.far.values().filter(|to| Some(to.session) != source && self.may_carry(source, to));
            crossed.filter_map(|to| self.links.full.get(&to.session)).max().copied()
        };
        let bar = Bar { members: highest(None), far: self.far.keys().map(|session| (*session, highest(Some(*session)))).collect() };
        if let Side::Arbiter(arbiter) = &mut self.side {
            arbiter.set_bar(bar);
        }
    }

    /// Counts a denial for want of room, on the links where there is none.
    pub(super) fn note_denied(&self, source: SessionId, cause: DenyCause, out: &mut Outbox) {
        if cause != DenyCause::NoResources {
            return;
        }
        let crossed = self.far.values().filter(|to| to.session != source && self.may_carry(Some(source), to));
        out.no_room.extend(crossed.filter(|to| self.links.full.contains_key(&to.session)).map(|to| to.session));
    }

    // === Partner ===

    /// Whether a member's request finds no room on the way to the home. Where it has to wait there first, it is judged at its turn.
    pub(super) fn lacks_room(&self, claim: &Claim) -> bool {
        let Side::Partner(follower) = &self.side else { return false };
        self.is_full_for(claim.priority.tier) && follower.would_begin(claim)
    }

    fn is_full_for(&self, tier: Tier) -> bool {
        let Side::Partner(follower) = &self.side else { return false };
        follower.home.hears_us() && self.links.full.get(&follower.home.session).is_some_and(|full| tier <= *full)
    }

    /// Gives a grant of the home back for which there is no room any more; tells whether it did.
    pub(super) fn refuse_grant(&mut self, party: Option<&Identity>, granted: &Granted, now: Instant, out: &mut Outbox) -> bool {
        let member = self.members.iter().find(|(_, talker)| Some(&talker.identity) == party);
        let Some(party) = member.map(|(session, talker)| Party { session: *session, identity: talker.identity.clone() }) else {
            return false;
        };
        let Side::Partner(follower) = &self.side else { return false };
        let waited = follower.waited(&party, granted.request);
        if !waited.is_some_and(|priority| self.is_full_for(priority.tier)) {
            return false;
        }
        let Side::Partner(follower) = &mut self.side else { return false };
        let told = follower.turn_away(party, granted.request, out);
        self.relay(vec![told], now, out);
        true
    }

    // === Suspension ===

    /// On the link to a far side the spurt under way has to give way, or may pass again.
    pub(crate) fn set_crossing(&mut self, to: SessionId, passes: bool, now: Instant, out: &mut Outbox) {
        match (&self.side, passes) {
            (Side::Arbiter(_), false) => self.suspend(to, now, out),
            (Side::Arbiter(_), true) => {
                self.links.suspended.retain(|session| *session != to);
                self.tell_crossing(to, true, out);
                if let Side::Arbiter(arbiter) = &mut self.side {
                    arbiter.begin_anew(now);
                }
            }
            (Side::Partner(_), _) => self.set_crossing_home(to, passes, now, out),
        }
        self.drain(now, out);
    }

    fn suspend(&mut self, to: SessionId, now: Instant, out: &mut Outbox) {
        let Side::Arbiter(arbiter) = &self.side else { return };
        let (Some(current), Some(far)) = (arbiter.current(), self.far.get(&to)) else { return };
        let idle = Idle { spurt: current.spurt, last_seq: current.newest_seq, cause: Some(RevokeCause::NoResources), followed: false };
        let body = FloorBody::Idle(idle);
        out.control(to, Message::Floor(Floor { talkgroup: far.home.clone(), party: None, body }));
        self.tell_crossing(to, false, out);
        self.links.suspended.push(to);
        self.renew_listeners();
        self.say_reach_again(Self::stays_on_own_side, now, out);
    }

    fn set_crossing_home(&mut self, home: SessionId, passes: bool, now: Instant, out: &mut Outbox) {
        let Side::Partner(follower) = &mut self.side else { return };
        let told = if passes {
            if !follower.cross_again(now, out) {
                return;
            }
            None
        } else {
            let Some(told) = follower.suspend(now, out) else { return };
            Some(told)
        };
        self.tell_crossing(home, passes, out);
        self.relay(told.into_iter().collect(), now, out);
    }

    fn tell_crossing(&self, to: SessionId, passes: bool, out: &mut Outbox) {
        let talks = match &self.side {
            Side::Arbiter(arbiter) => arbiter.current().map(|current| (&current.claim, current.spurt)),
            Side::Partner(follower) => {
                let claim = follower.crossing().map(|(claim, _)| claim);
                claim.zip(follower.talking().map(crate::hub::follower::Talking::spurt))
            }
        };
        let (Some((claim, spurt)), Some(far)) = (talks, self.far.get(&to)) else { return };
        out.event(Event::Crossing {
            talkgroup: self.id().clone(),
            talker: claim.party.identity.clone(),
            tier: claim.priority.tier,
            spurt,
            far: far.authority.clone(),
            agreement: far.agreement.clone(),
            passes,
        });
    }
}
