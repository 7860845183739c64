//! The own talker on the way to the home, over a link that may be full.
//!
//! A spurt that has to give way is given back to the home: whoever waits there gets the floor. Here it goes on under its number, heard on
//! the own side only, in the state of a talker whom the home has not granted yet; and like one it asks for the home's floor, as one that
//! talks already, when there is room again.

use std::time::Instant;

use wire::control::{FloorBody, Granted, Release};
use wire::{DenyCause, Priority, RequestId, Tier};

use super::{Follower, Relay, Talking};
use crate::capacity::Crossing;
use crate::floor::{Claim, Party};
use crate::hub::output::Outbox;

impl Follower {
    /// The own talker, if there is one that crosses the link to the home, or waits for room on it.
    pub(crate) fn crossing(&self) -> Option<(&Claim, Crossing)> {
        match self.talking.as_ref()? {
            Talking::Local { claim, since, relinquished: false, suspended, .. } => {
                Some((claim, Crossing { priority: claim.priority, since: *since, passes: !suspended }))
            }
            Talking::Local { .. } | Talking::Remote { .. } => None,
        }
    }

    /// Whether the own talker is heard on the own side only, for want of room.
    pub(crate) fn is_suspended(&self) -> bool {
        matches!(self.talking, Some(Talking::Local { suspended: true, .. }))
    }

    /// The own talker has to give way on the link; `None` if the home has yet to decide over it.
    pub(crate) fn suspend(&mut self, now: Instant, out: &mut Outbox) -> Option<Relay> {
        let left = self.mistrust.left(now);
        let Some(Talking::Local { claim, spurt, relinquished: false, granted, suspended, .. }) = &mut self.talking else { return None };
        if !std::mem::take(granted) {
            return None;
        }
        *suspended = true;
        let (party, request) = (claim.party.clone(), claim.request);
        let duration_s = u16::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(u16::MAX);
        let granted = Granted { request, spurt: *spurt, duration_s, tier: claim.priority.tier, own_side_only: true };
        // Not its end: its key is down, and a raise that was under way with the home ends with the grant.
        self.asked.take(&party, request);
        self.send(Some(party.identity), FloorBody::Release(Release { request, last_seq: None, key_down: true }), out);
        Some(Relay::To(party.session, FloorBody::Granted(granted)))
    }

    /// There is room again: the home is asked to take the talker back, once nobody talks there. Tells whether it is asked.
    pub(crate) fn cross_again(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let Some(Talking::Local { claim, since, suspended, .. }) = &mut self.talking else { return false };
        if self.held_back.is_some() {
            return false;
        }
        *suspended = false;
        let (claim, talked) = (claim.clone(), crate::millis(now.saturating_duration_since(*since)));
        self.send(Some(claim.party.identity.clone()), FloorBody::Request(self.request_of(&claim, Some(talked))), out);
        self.asked.insert(claim);
        true
    }

    /// Whether a request would begin a spurt at once, as far as this side knows: nobody else talks, or somebody of lower priority.
    pub(crate) fn would_begin(&self, claim: &Claim) -> bool {
        match &self.talking {
            None => true,
            Some(Talking::Local { claim: talks, suspended, .. }) if talks.party == claim.party => *suspended,
            Some(Talking::Local { claim: talks, .. }) => claim.priority.preempts(talks.priority),
            Some(Talking::Remote { taken, .. }) => taken.as_ref().is_some_and(|taken| taken.tier < claim.priority.tier),
        }
    }

    /// A grant of the home to a member that has waited; `None` for one that talks, or asked for nothing.
    pub(crate) fn waited(&self, party: &Party, request: RequestId) -> Option<Priority> {
        let talks = self.is_talking(party, request);
        self.asked.claims().find(|claim| claim.party == *party && claim.request == request && !talks).map(|claim| claim.priority)
    }

    /// The home's grant comes when the link is full: it is given back, and the member hears why.
    pub(crate) fn turn_away(&mut self, party: Party, request: RequestId, out: &mut Outbox) -> Relay {
        self.asked.take(&party, request);
        self.give_back(party.identity.clone(), request, out);
        Relay::Denied(party, request, DenyCause::NoResources)
    }

    /// Whether the home tells of somebody for whom a suspended talker falls silent here too.
    pub(super) fn gives_way_to(&self, tier: Tier) -> bool {
        self.is_suspended() && self.crossing().is_some_and(|(claim, _)| claim.priority.tier < tier)
    }
}
