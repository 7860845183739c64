//! The border seen from a view: a partner attaches, a home is followed, a side is dropped, an emergency goes alone.

use std::time::Instant;

use wire::control::{FarSide, FloorBody, Idle, Message};
use wire::{Authority, Epoch, Identity, Priority, RequestId, RevokeCause, SessionId, Spurt, Tier};

use super::call::Over;
use super::{Side, View};
use crate::floor::Party;
use crate::floor::arbiter::{Arbiter, Current};
use crate::hub::bridges::Far;
use crate::hub::follower::{self, Follower, Talking};
use crate::hub::output::Outbox;
use crate::hub::rights::judge_foreign;
use crate::planted::{self, Fault};

impl View {
    // === Bridge ===

    /// Home: the epoch after its own and that of a partner. Where there is none, its own numbers move on first. What still follows from
    /// the old numbers is said under them, and before the new ones: after these a partner takes an old one for a lie.
    pub(crate) fn epoch_after(&mut self, theirs: Epoch, now: Instant, out: &mut Outbox) -> Epoch {
        let own = self.epoch();
        let epoch = own.after_both(theirs);
        if let Side::Arbiter(arbiter) = &mut self.side {
            match epoch {
                Some(_) => arbiter.end_tail(now),
                None => arbiter.renumber(own.quarter_on(), now),
            }
        }
        self.drain(now, out);
        if let Some(epoch) = epoch {
            return epoch;
        }
        self.epoch().max(theirs).next()
    }

    /// Home: a partner is there. Numbers start in the new epoch; a running spurt goes on in it.
    pub(crate) fn attach_partner(&mut self, far: Far, epoch: Epoch, now: Instant, out: &mut Outbox) {
        self.away.remove(&far.authority);
        let authority = far.authority.clone();
        if self.far.insert(far.session, far).is_none() {
            self.tell_far_side(&authority, true, out);
        }
        self.renew_listeners();
        if let Side::Arbiter(arbiter) = &mut self.side {
            arbiter.renumber(epoch, now);
        }
        self.keep_epoch(out);
        self.drain(now, out);
    }

    /// Partner: the home answered the sync. Whoever talks or waits here is taken along to it.
    pub(crate) fn follow(&mut self, home: Far, epoch: Epoch, announced: Option<&(Party, RequestId)>, now: Instant, out: &mut Outbox) {
        self.drain(now, out);
        self.away.remove(&home.authority);
        (self.detached, self.unanswered) = (None, false);
        self.has_followed = true;
        self.tell_far_side(&home.authority, true, out);
        let session = home.session;
        let mut follower = Follower::new(home.clone(), epoch, now);
        self.far.insert(session, home);
        if let Side::Arbiter(arbiter) = &mut self.side {
            // A talker that has released already is not taken along; its tail is over here.
            arbiter.end_tail(now);
        }
        self.drain(now, out);
        self.source = None;
        if let Side::Arbiter(arbiter) = &self.side {
            let current = arbiter.current();
            let key = |current: &Current| (current.claim.party.clone(), current.claim.request);
            let is_announced = current.map(key).as_ref() == announced;
            if let Some((party, request)) = announced.filter(|_| !is_announced) {
                take_back(&follower.home, party.identity.clone(), *request, out);
            }
            if let Some(current) = current {
                follower.adopt(current, is_announced, now, out);
            }
            for claim in arbiter.queue().claims().filter(|_| !planted::is(Fault::SyncCancels)).cloned().collect::<Vec<_>>() {
                follower.forward(claim, now, out);
            }
        }
        self.side = Side::Partner(follower);
        // The own talker's number stays open until the home has decided; everything newer counts from the home's epoch.
        if self.current_taken(now).is_none() {
            self.begin_epoch(epoch, out);
            self.gate.cut_all();
        }
        self.keep_epoch(out);
        self.renew_listeners();
    }

    /// The session with a far side ended, or its bridge no longer holds: this view goes on alone.
    pub(crate) fn drop_far(&mut self, session: SessionId, link_lost: bool, now: Instant, out: &mut Outbox) {
        self.ears.forget(session);
        let Some(far) = self.far.remove(&session) else {
            self.detached.take_if(|far| far.session == session);
            return;
        };
        if link_lost {
            self.away.insert(far.authority.clone());
        }
        self.renew_listeners();
        self.tell_far_side(&far.authority, false, out);
        match &mut self.side {
            Side::Arbiter(arbiter) => {
                let before = arbiter.current().map(|current| current.spurt);
                arbiter.leave_session(session, now);
                let goes_on = arbiter.current().map(|current| current.spurt) == before;
                self.drain(now, out);
                // Whoever was heard there, and now by nobody beyond its own side, hears so.
                let lost = |view: &Self, source| goes_on && view.carries(Some(source), &far) && view.stays_on_own_side(source);
                self.say_reach_again(lost, now, out);
            }
            Side::Partner(_) => self.arbitrate_alone(now, out),
        }
        self.drain(now, out);
    }

    /// A bridge was configured, or the last one is no longer.
    pub(crate) fn set_bridged(&mut self, is_bridged: bool, now: Instant, out: &mut Outbox) {
        if self.is_bridged != is_bridged {
            self.is_bridged = is_bridged;
            self.say_reach_again(|view, source| view.far.values().all(|far| !view.carries(Some(source), far)), now, out);
        }
    }

    /// Says the grant under way again, same number, if its reach is another now.
    pub(super) fn say_reach_again(&mut self, has_changed: impl Fn(&Self, SessionId) -> bool, now: Instant, out: &mut Outbox) {
        let Side::Arbiter(arbiter) = &self.side else { return };
        let source = arbiter.current().map(|current| current.claim.party.session);
        if source.is_some_and(|source| self.members.contains_key(&source) && has_changed(self, source))
            && let Side::Arbiter(arbiter) = &mut self.side
        {
            arbiter.say_grant_again(now);
            self.drain(now, out);
        }
    }

    /// The home does not admit an emergency, or has not answered it in time: this view arbitrates, and is heard on its own side only.
    pub(super) fn detach(&mut self, unanswered: bool, now: Instant, out: &mut Outbox) {
        let Side::Partner(follower) = &self.side else { return };
        let home = follower.home.clone();
        let asked: Vec<(Identity, RequestId)> = follower.claims().map(|claim| (claim.party.identity.clone(), claim.request)).collect();
        self.far.remove(&home.session);
        self.ears.forget(home.session);
        self.renew_listeners();
        self.tell_far_side(&home.authority, false, out);
        self.arbitrate_alone(now, out);
        // Nobody may be granted there who is not heard there. Only whom a slow home will be asked to take over keeps its place.
        let stays = match &self.side {
            Side::Arbiter(arbiter) => arbiter.current().filter(|_| unanswered).map(|current| &current.claim),
            Side::Partner(_) => None,
        };
        for (party, request) in asked {
            if stays.is_none_or(|claim| (&claim.party.identity, claim.request) != (&party, request)) {
                take_back(&home, party, request, out);
            }
        }
        (self.detached, self.unanswered) = (Some(home), unanswered);
    }

    /// The home answered, but an emergency began here that it does not admit: what was announced to it is taken back.
    pub(crate) fn stay_alone(&mut self, home: Far, announced: Option<&(Party, RequestId)>, out: &mut Outbox) {
        if let Some((party, request)) = announced {
            take_back(&home, party.identity.clone(), *request, out);
        }
        (self.detached, self.unanswered) = (Some(home), false);
    }

    /// From following to deciding: the local talker goes on under a fresh grant with its request id, a remote one is lost.
    pub(super) fn arbitrate_alone(&mut self, now: Instant, out: &mut Outbox) {
        // A home that lies may have led the numbers half the circle away from what the members heard of.
        let heard = self.gate.newest().epoch;
        let epoch = Some(self.epoch().next()).filter(|epoch| epoch.is_after(heard)).unwrap_or_else(|| heard.next());
        let alone = Side::Arbiter(Arbiter::new(self.plan.timers, epoch));
        let Side::Partner(follower) = std::mem::replace(&mut self.side, alone) else { return };
        if let Some(spurt) = follower.untold() {
            self.tell_members(
                None,
                &FloorBody::Idle(Idle { spurt, last_seq: None, cause: Some(RevokeCause::Disconnected), followed: false }),
                out,
            );
        }
        let home = follower.home.session;
        let (talking, waiting) = follower.dissolve();
        let Side::Arbiter(arbiter) = &mut self.side else { return };
        match talking {
            Some(Talking::Local { claim, spurt, mut earlier, since, relinquished: false, .. }) => {
                earlier.push(spurt);
                arbiter.carry_on(claim, earlier, since, now);
            }
            Some(Talking::Local { claim, spurt, since, relinquished: true, .. }) => {
                let idle = Idle { spurt, last_seq: None, cause: None, followed: false };
                self.tell_members(None, &FloorBody::Idle(idle), out);
                self.record(Over::of_own(claim, spurt, since, None, now), now, out);
            }
            Some(Talking::Remote { taken, spurt, since }) => {
                self.gate.cut_all();
                self.tell_members(
                    None,
                    &FloorBody::Idle(Idle { spurt, last_seq: None, cause: Some(RevokeCause::Disconnected), followed: false }),
                    out,
                );
                if let Some(taken) = taken {
                    self.record(Over::of_far(home, taken, since, Some(RevokeCause::Disconnected), now), now, out);
                }
            }
            None => {}
        }
        // An emergency that the home never answered is none of its business any more, but it is one here.
        for claim in waiting.iter().filter(|claim| claim.priority.tier == Tier::Emergency) {
            self.raise_emergency(&claim.party.identity, out);
        }
        if let Side::Arbiter(arbiter) = &mut self.side {
            for claim in waiting {
                arbiter.request(claim, now);
            }
            if arbiter.current().is_none() {
                self.begin_epoch(epoch, out);
            }
        }
        self.keep_epoch(out);
    }

    /// Nobody talks, and numbers go on in this epoch: every member must hear of it.
    fn begin_epoch(&mut self, epoch: Epoch, out: &mut Outbox) {
        let idle = Idle { spurt: Spurt::start_of(epoch), last_seq: None, cause: None, followed: false };
        self.gate.advance(idle.spurt);
        self.tell_members(None, &FloorBody::Idle(idle), out);
    }

    /// Whether what goes on here may be taken to the home: an emergency that it does not admit stays on the own side.
    pub(crate) fn fits(&self, home: &Far) -> bool {
        let Side::Arbiter(arbiter) = &self.side else { return true };
        let mut claims = arbiter.current().map(|current| &current.claim).into_iter().chain(arbiter.queue().claims());
        let in_danger = self.brings_along(home).next().is_some() || claims.any(|claim| claim.priority.tier == Tier::Emergency);
        !in_danger || judge_foreign(&home.their_inbound, &home.outbound, Priority::of(Tier::Emergency)).is_ok()
    }

    /// The units in emergency that are of this side; of any other the home knows better.
    pub(crate) fn brings_along(&self, home: &Far) -> impl Iterator<Item = &Identity> {
        let is_member = |who: &Identity| self.members.values().any(|talker| talker.identity == *who);
        let of_this_side = move |who: &Identity| who.authority == self.id().authority || is_member(who);
        self.emergency.iter().filter(move |who| who.authority != home.authority && of_this_side(who))
    }

    /// Whether a view that went alone for an emergency may join its home again.
    pub(crate) fn may_rejoin(&self) -> bool {
        self.detached.as_ref().is_some_and(|home| self.brings_along(home).next().is_none())
            && matches!(&self.side, Side::Arbiter(arbiter) if arbiter.current().is_none() && arbiter.queue().is_empty())
    }

    /// Whether the home, which was only slow, is to be asked now to take this view back with whoever talks in it. Asked once.
    pub(crate) fn asks_back(&mut self) -> bool {
        std::mem::take(&mut self.unanswered) && self.detached.as_ref().is_some_and(|home| self.fits(home))
    }

    pub(super) fn tell_far_side(&self, authority: &Authority, present: bool, out: &mut Outbox) {
        for session in self.members.keys() {
            let far_side = FarSide { talkgroup: self.id().clone(), authority: authority.clone(), present };
            out.control(*session, Message::FarSide(far_side));
        }
    }

    /// A bridged authority cannot be reached (told to members when it was not known).
    pub(crate) fn mark_away(&mut self, authority: &Authority, out: &mut Outbox) {
        if self.away.insert(authority.clone()) {
            self.tell_far_side(authority, false, out);
        }
    }

    pub(super) fn raise_waiting_emergencies(&mut self, out: &mut Outbox) {
        let Side::Arbiter(arbiter) = &self.side else { return };
        let current = arbiter.current().map(|current| &current.claim);
        let in_danger: Vec<Identity> = current
            .into_iter()
            .chain(arbiter.queue().claims())
            .filter(|claim| claim.priority.tier == Tier::Emergency)
            .map(|claim| claim.party.identity.clone())
            .collect();
        for identity in in_danger {
            self.raise_emergency(&identity, out);
        }
    }
}

/// What a view asked, held or announced at its home is the home's no more.
fn take_back(home: &Far, party: Identity, request: RequestId, out: &mut Outbox) {
    if !planted::is(Fault::KeepsClaims) {
        follower::give_back(home, party, request, out);
    }
}
