//! What the home says about the floor, carried out here: whom it grants, denies, revokes, and who talks.
//!
//! Only what [`super::mistrust`] believes arrives here, and of that only what concerns a request that is with the home.

use std::time::{Duration, Instant};

use wire::control::{Floor, FloorBody, Granted, Idle, Revoke, Taken};
use wire::{DenyCause, Identity, RequestId, RevokeCause, SessionId, Spurt};

use super::{Follower, Relay, Talking};
use crate::floor::Party;
use crate::floor::arbiter::RENUMBERED_MAX;
use crate::gate::Gate;
use crate::hub::asked::Asked;
use crate::hub::output::Outbox;
use crate::planted::{self, Fault};

impl Follower {
    /// A floor message of the home; `member` finds the session of a party, `knows` tells whether the home has named it in emergency.
    pub(crate) fn handle(
        &mut self,
        floor: &Floor,
        gate: &mut Gate,
        member: impl Fn(&Identity) -> Option<SessionId>,
        knows: impl Fn(&Identity) -> bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Vec<Relay> {
        let party = || {
            let identity = floor.party.clone()?;
            member(&identity).map(|session| Party { session, identity })
        };
        let named = match &floor.body {
            FloorBody::Granted(granted) => Some(granted.spurt),
            FloorBody::Taken(taken) => Some(taken.spurt),
            FloorBody::Idle(idle) => Some(idle.spurt),
            FloorBody::Request(_)
            | FloorBody::Deny { .. }
            | FloorBody::Queued { .. }
            | FloorBody::Release(_)
            | FloorBody::Revoke(_)
            | FloorBody::Ack { .. } => None,
        };
        self.epoch = named.map_or(self.epoch, |spurt| self.epoch.max(spurt.epoch));
        match &floor.body {
            FloorBody::Granted(granted) => match party() {
                Some(party) => self.granted(party, granted, gate, now, out),
                None => {
                    if let Some(party) = floor.party.clone() {
                        self.refuse(party, granted.request, out);
                    }
                    Vec::new()
                }
            },
            FloorBody::Deny { request, cause } => party().map_or_else(Vec::new, |party| self.denied(&party, *request, *cause, gate, now)),
            FloorBody::Queued { request, .. } => {
                // A talker that the home has yet to decide on talks meanwhile; told to wait, it would fall silent.
                let talks =
                    |party: &Party| matches!(&self.talking, Some(Talking::Local { claim, granted: false, .. }) if claim.party == *party);
                let waits = party().filter(|party| !talks(party));
                let waits = waits
                    .filter(|party| self.asked.queued(party, *request, knows(&party.identity)) && self.mistrust.may_tell_position(now));
                waits.map(|party| Relay::To(party.session, floor.body.clone())).into_iter().collect()
            }
            FloorBody::Ack { request } => {
                let acked = party().filter(|party| self.mistrust.acked(party, *request));
                acked.map(|party| Relay::To(party.session, floor.body.clone())).into_iter().collect()
            }
            FloorBody::Revoke(revoke) => party().map_or_else(Vec::new, |party| self.revoked(&party, revoke, gate)),
            FloorBody::Taken(taken) => self.taken(taken, gate, now),
            FloorBody::Idle(idle) => self.idle(idle, gate),
            // Requests and releases go to the home, never from it.
            FloorBody::Request(_) | FloorBody::Release(_) => Vec::new(),
        }
    }

    /// A grant that nobody wants any more is answered by a release.
    fn refuse(&self, party: Identity, request: RequestId, out: &mut Outbox) {
        if !planted::is(Fault::KeepsGrant) {
            self.give_back(party, request, out);
        }
    }

    fn granted(&mut self, party: Party, granted: &Granted, gate: &mut Gate, now: Instant, out: &mut Outbox) -> Vec<Relay> {
        let talks_already = match &self.talking {
            Some(Talking::Local { claim, spurt, earlier, since, relinquished: false, .. })
                if claim.party == party && claim.request == granted.request =>
            {
                let mut earlier: Vec<Spurt> = earlier.iter().chain([spurt]).filter(|known| **known != granted.spurt).copied().collect();
                earlier.drain(..earlier.len().saturating_sub(RENUMBERED_MAX));
                Some((claim.clone(), *since, earlier))
            }
            Some(Talking::Local { .. } | Talking::Remote { .. }) | None => None,
        };
        let asked = self.asked.granted(&party, granted.request, granted.tier);
        let is_new = talks_already.is_none();
        let (mut claim, since, earlier) = match (asked, talks_already) {
            // What it asked for last counts: a talker may have raised its level.
            (Some(claim), Some((_, since, earlier))) => (claim, since, earlier),
            (Some(claim), None) => (claim, now, Vec::new()),
            // Said before the home heard that it was given back.
            (None, Some(_)) if self.is_suspended() => return Vec::new(),
            (None, Some(talks)) => talks,
            (None, None) => {
                self.refuse(party.identity, granted.request, out);
                return Vec::new();
            }
        };
        let mut relays = Vec::new();
        if is_new {
            relays.extend(self.displace(RevokeCause::Displaced));
        }
        self.held_back = None;
        gate.open(granted.spurt);
        self.untold = None;
        claim.priority.tier = granted.tier;
        let taken = Taken {
            spurt: granted.spurt,
            talker: claim.talker.clone(),
            tier: granted.tier,
            via: None,
            elapsed_ms: crate::millis(now.saturating_duration_since(since)),
        };
        self.mistrust.owns(granted.spurt);
        let session = claim.party.session;
        let limit = Some(Duration::from_secs(granted.duration_s.into()));
        self.talks(
            Talking::Local { claim, spurt: granted.spurt, earlier, since, relinquished: false, granted: true, suspended: false },
            limit,
            now,
        );
        relays.push(Relay::To(session, FloorBody::Granted(granted.clone())));
        relays.push(Relay::Others(Some(session), FloorBody::Taken(taken)));
        relays
    }

    /// The home's refusal of an own member's emergency, other than that of a talker both sides had to settle.
    pub(crate) fn refused_emergency(&self, floor: &Floor) -> Option<(&Identity, DenyCause)> {
        let FloorBody::Deny { request, cause } = &floor.body else { return None };
        let claim = self.asked.emergency(floor.party.as_ref()?, *request)?;
        let settles = matches!(
            &self.talking,
            Some(Talking::Local { claim: talks, granted: false, suspended: false, .. }) if talks.party == claim.party && talks.request == claim.request
        );
        (!settles).then_some((&claim.party.identity, *cause))
    }

    fn denied(&mut self, party: &Party, request: RequestId, cause: DenyCause, gate: &mut Gate, now: Instant) -> Vec<Relay> {
        if let Some(Talking::Local { claim, spurt, granted: false, suspended: false, .. }) = &self.talking
            && claim.party == *party
            && claim.request == request
        {
            // It talked while the sides were apart, and the home settled on somebody else or does not admit it. A raise under way is
            // another question.
            let cause = if cause == DenyCause::Displaced { RevokeCause::Displaced } else { RevokeCause::NotAllowed };
            let revoke = Revoke { request, spurt: *spurt, cause, grace_ms: 0 };
            gate.cut_all();
            let mut relays = vec![Relay::To(party.session, FloorBody::Revoke(revoke))];
            let idle = Idle { spurt: *spurt, last_seq: None, cause: Some(RevokeCause::Disconnected), followed: false };
            relays.extend(self.end_talking(Some(cause)));
            relays.push(Relay::Others(None, FloorBody::Idle(idle)));
            relays.extend(self.resume(gate, now));
            return relays;
        }
        let known = self.asked.take(party, request).is_some() || self.is_talking(party, request);
        known.then(|| Relay::Denied(party.clone(), request, cause)).into_iter().collect()
    }

    fn revoked(&mut self, party: &Party, revoke: &Revoke, gate: &mut Gate) -> Vec<Relay> {
        if revoke.cause == RevokeCause::TalkLimit {
            self.key_held.insert(party.clone());
        }
        if !self.is_talking(party, revoke.request) || self.is_suspended() {
            return Vec::new();
        }
        let mut relays = vec![Relay::To(party.session, FloorBody::Revoke(revoke.clone()))];
        if revoke.grace_ms == 0 && self.talking.as_ref().is_some_and(|talking| talking.spurt() == revoke.spurt) {
            gate.cut(revoke.spurt);
            self.untold = Some(revoke.spurt);
            relays.extend(self.end_talking(Some(revoke.cause)));
        }
        relays
    }

    pub(super) fn taken(&mut self, taken: &Taken, gate: &mut Gate, now: Instant) -> Vec<Relay> {
        let gives_way = self.gives_way_to(taken.tier);
        if self.is_settling() && !gives_way {
            self.held_back = Some(taken.clone());
            return Vec::new();
        }
        let since = now.checked_sub(Duration::from_millis(taken.elapsed_ms.into())).unwrap_or(now);
        let known = self.talking.as_ref().map(Talking::spurt);
        if known.is_some_and(|spurt| spurt.is_after(taken.spurt)) || gate.newest().is_after(taken.spurt) {
            return Vec::new();
        }
        let mut relays = Vec::new();
        if known != Some(taken.spurt) {
            relays.extend(self.displace(if gives_way { RevokeCause::Preempted } else { RevokeCause::Displaced }));
        }
        if planted::is(Fault::TakenCancels) {
            self.asked = Asked::default();
        }
        gate.open(taken.spurt);
        let via = (taken.talker.identity.authority != self.home.authority).then(|| self.home.authority.clone());
        let taken = Taken { via, ..taken.clone() };
        self.untold = None;
        self.talks(Talking::Remote { spurt: taken.spurt, since, taken: Some(taken.clone()) }, None, now);
        relays.push(Relay::Others(None, FloorBody::Taken(taken)));
        relays
    }

    fn idle(&mut self, idle: &Idle, gate: &mut Gate) -> Vec<Relay> {
        gate.ended(idle.spurt);
        if self.is_settling() {
            self.held_back.take_if(|taken| taken.spurt == idle.spurt);
            return Vec::new();
        }
        // What is long past says nothing to members who heard of later spurts.
        if self.mistrust.is_past(idle.spurt) || self.talking.as_ref().is_some_and(|t| t.spurt().is_after(idle.spurt)) {
            return Vec::new();
        }
        if idle.is_lost() {
            gate.cut(idle.spurt);
        }
        if idle.spurt.is_start() {
            gate.advance(idle.spurt);
        }
        self.untold = idle.followed.then_some(idle.spurt);
        let renumbered = |spurt: Spurt| idle.followed && spurt == idle.spurt;
        let mut relays = match &self.talking {
            // A member that talks on is told that it is over, or it talks to nobody.
            Some(Talking::Local { spurt, relinquished: false, .. }) if !renumbered(*spurt) => {
                self.displace(idle.cause.unwrap_or(RevokeCause::Displaced))
            }
            Some(Talking::Local { .. } | Talking::Remote { .. }) | None => self.end_talking(idle.cause).into_iter().collect(),
        };
        if !idle.followed {
            relays.push(Relay::Others(None, FloorBody::Idle(idle.clone())));
        }
        relays
    }
}
