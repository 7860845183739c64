//! Floor control of a view: claims of members and of far sides, what the home says, group emergency.

use std::time::{Duration, Instant};

use wire::control::{Floor, FloorBody, Message, Release, Request};
use wire::{DenyCause, Identity, Priority, SessionId, TalkgroupId, Tier};

use super::call::Over;
use super::{Side, View};
use crate::floor::{Claim, Party};
use crate::hub::bridges::Far;
use crate::hub::figures::Arbiter;
use crate::hub::follower::{Relay, Verdict};
use crate::hub::output::{Event, Outbox};
use crate::hub::rights::{fit_to_ceiling, judge_foreign, judge_local, may_end_emergency};

/// Most units in emergency that one talkgroup keeps apart; a peer that names more is not believed.
const EMERGENCIES_MAX: usize = 64;

impl View {
    // === Floor ===

    /// Who answers a member that asks for the floor.
    pub(crate) fn asks(&self) -> Arbiter {
        if matches!(self.side, Side::Partner(_)) { Arbiter::Home } else { Arbiter::Here }
    }

    /// A member asks for the floor.
    pub(crate) fn request(&mut self, session: SessionId, request: &Request, now: Instant, out: &mut Outbox) {
        let Some(talker) = self.members.get(&session).cloned() else {
            self.deny(session, None, request, DenyCause::NotAffiliated, out);
            return;
        };
        let party = Party { session, identity: talker.identity.clone() };
        match judge_local(&self.plan, &talker.identity, request.priority, !self.emergency.is_empty()) {
            Err(cause) => {
                out.event(self.denied_event(&party.identity, cause, None));
                self.deny(session, None, request, cause, out);
            }
            Ok(priority) => {
                let claim = Claim { party, request: request.request, priority, talker, since: None };
                self.claim_of_member(claim, request, now, out);
            }
        }
        self.drain(now, out);
    }

    pub(super) fn claim_of_member(&mut self, claim: Claim, request: &Request, now: Instant, out: &mut Outbox) {
        if claim.priority.tier == Tier::Emergency && !self.raised.contains(&claim.party.identity) {
            self.raised.truncate(EMERGENCIES_MAX - 1);
            self.raised.push_front(claim.party.identity.clone());
        }
        if self.lacks_room(&claim) {
            self.relay(vec![Relay::Denied(claim.party, claim.request, DenyCause::NoResources)], now, out);
            return;
        }
        let Side::Partner(follower) = &mut self.side else {
            self.claim(claim, now, out);
            return;
        };
        let home = &follower.home;
        let asked = fit_to_ceiling(claim.priority, &home.their_inbound);
        match judge_foreign(&home.their_inbound, &home.outbound, asked) {
            Ok(_) => follower.forward(claim, now, out),
            Err(cause) => {
                let agreement = Some(home.agreement.clone());
                out.event(self.denied_event(&claim.party.identity, cause, agreement));
                // A unit that holds the emergency right is never refused by its own gateway: only the border does.
                if claim.priority.tier == Tier::Emergency {
                    self.detach(false, now, out);
                    return self.claim(claim, now, out);
                }
                self.deny(claim.party.session, None, request, cause, out);
            }
        }
    }

    pub(super) fn claim(&mut self, claim: Claim, now: Instant, out: &mut Outbox) {
        if claim.priority.tier == Tier::Emergency {
            self.raise_emergency(&claim.party.identity, out);
        }
        if let Side::Arbiter(arbiter) = &mut self.side {
            arbiter.request(claim, now);
        }
    }

    /// A peer asks for the floor on behalf of one of its units. This side must be the home.
    pub(crate) fn request_from_far(&mut self, session: SessionId, party: &Identity, request: &Request, now: Instant, out: &mut Outbox) {
        let Some(far) = self.far.get(&session) else { return };
        let its_own = party.authority == far.authority && party.kind != wire::Kind::Gateway;
        let named = request.talker.as_ref().filter(|talker| talker.identity == *party && its_own);
        if named.is_none() {
            out.misbehaved(session, "request for somebody that it may not speak for", now);
        }
        let verdict = match named {
            None => Err(DenyCause::BridgeForbids),
            Some(talker) => judge_foreign(&far.inbound, &far.their_outbound, request.priority).map(|priority| (talker.clone(), priority)),
        };
        match verdict {
            Err(cause) => {
                let agreement = Some(far.agreement.clone());
                out.event(self.denied_event(party, cause, agreement));
                self.deny(session, Some(party.clone()), request, cause, out);
            }
            Ok((talker, priority)) => {
                let party = Party { session, identity: party.clone() };
                let talked = |elapsed_ms: u32| now.checked_sub(Duration::from_millis(elapsed_ms.into())).unwrap_or(now);
                let claim = Claim { party, request: request.request, priority, talker, since: request.continuing.map(talked) };
                self.claim(claim, now, out);
            }
        }
        self.drain(now, out);
    }

    pub(crate) fn deny(&self, session: SessionId, party: Option<Identity>, request: &Request, cause: DenyCause, out: &mut Outbox) {
        let talkgroup = match &party {
            Some(_) => self.far.get(&session).map_or_else(|| self.id().clone(), |far| far.home.clone()),
            None => self.id().clone(),
        };
        let body = FloorBody::Deny { request: request.request, cause };
        out.control(session, Message::Floor(Floor { talkgroup, party, body }));
    }

    pub(super) fn denied_event(&self, identity: &Identity, cause: DenyCause, agreement: Option<String>) -> Event {
        Event::Denied { talkgroup: self.id().clone(), identity: identity.clone(), cause, agreement }
    }

    /// A member, or a peer for one of its units, releases.
    pub(crate) fn release(&mut self, party: &Party, release: &Release, now: Instant, out: &mut Outbox) {
        match &mut self.side {
            Side::Arbiter(arbiter) => arbiter.release(party, release, now),
            Side::Partner(follower) => {
                let relays = follower.release(party, release, &mut self.gate, now, out);
                self.relay(relays, now, out);
            }
        }
        self.drain(now, out);
    }

    /// A floor message of the home; `false` if there are too many of them.
    #[must_use]
    pub(crate) fn floor_from_home(&mut self, session: SessionId, floor: &Floor, now: Instant, out: &mut Outbox) -> bool {
        let Side::Partner(follower) = &mut self.side else { return true };
        if follower.home.session != session {
            return true;
        }
        match follower.judge(floor, now, out) {
            Verdict::Believed => self.believe(session, floor, now, out),
            Verdict::Lie(what) => out.misbehaved(session, what, now),
            Verdict::Flood => return false,
        }
        true
    }

    fn believe(&mut self, session: SessionId, floor: &Floor, now: Instant, out: &mut Outbox) {
        let Side::Partner(follower) = &mut self.side else { return };
        if let Some(denied) = follower.refused_emergency(floor) {
            // A unit that holds the emergency right is never refused by its own gateway.
            let (identity, cause, agreement) = (denied.0.clone(), denied.1, Some(follower.home.agreement.clone()));
            out.event(self.denied_event(&identity, cause, agreement));
            self.detach(false, now, out);
            self.raise_waiting_emergencies(out);
            self.drain(now, out);
            return;
        }
        if let FloorBody::Taken(taken) = &floor.body
            && !follower.home.may_speak_for(&taken.talker.identity.authority)
        {
            // Nobody speaks for another authority: the spurt is neither shown nor heard, and takes nothing from whoever is.
            self.gate.ended(taken.spurt);
            self.gate.cut(taken.spurt);
            out.misbehaved(session, "talker of an authority that the home may not speak for", now);
            return;
        }
        if let FloorBody::Granted(granted) = &floor.body
            && self.refuse_grant(floor.party.as_ref(), granted, now, out)
        {
            return;
        }
        let (members, emergency) = (&self.members, &self.emergency);
        let member = |identity: &Identity| members.iter().find(|(_, t)| t.identity == *identity).map(|(session, _)| *session);
        // Whoever is in emergency is named before it is told to wait; a dispatcher need not be, and not everybody if they are many.
        let named_all = emergency.len() < EMERGENCIES_MAX;
        let knows = |who: &Identity| emergency.contains(who) || who.kind == wire::Kind::Dispatcher || !named_all;
        let Side::Partner(follower) = &mut self.side else { return };
        let relays = follower.handle(floor, &mut self.gate, member, knows, now, out);
        self.relay(relays, now, out);
        self.keep_epoch(out);
    }

    pub(crate) fn relay(&mut self, relays: Vec<Relay>, now: Instant, out: &mut Outbox) {
        for relay in relays {
            match relay {
                Relay::To(session, body) => self.tell_member(session, body, out),
                Relay::Others(except, body) => self.tell_members(except, &body, out),
                Relay::Denied(party, request, cause) => {
                    let agreement = self.home().map(|home| home.agreement.clone());
                    out.event(self.denied_event(&party.identity, cause, agreement));
                    self.note_denied(party.session, cause, out);
                    self.tell_member(party.session, FloorBody::Deny { request, cause }, out);
                }
                Relay::LocalEnded { claim, spurt, since, cause } => self.record(Over::of_own(claim, spurt, since, cause, now), now, out),
                Relay::RemoteEnded { session, taken, since, cause } => {
                    self.record(Over::of_far(session, taken, since, cause, now), now, out);
                }
            }
        }
        if matches!(self.side, Side::Partner(_)) {
            self.renew_listeners();
        }
        self.note_crossing();
    }

    /// The home that this view follows.
    fn home(&self) -> Option<&Far> {
        if let Side::Partner(follower) = &self.side { Some(&follower.home) } else { None }
    }

    // === Group emergency ===

    pub(super) fn raise_emergency(&mut self, who: &Identity, out: &mut Outbox) {
        if who.kind == wire::Kind::Dispatcher && !self.emergency.is_empty() || self.emergency.contains(who) {
            return;
        }
        if self.emergency.len() >= EMERGENCIES_MAX {
            return;
        }
        self.emergency.push(who.clone());
        self.tell_emergency(who, out);
    }

    /// Somebody asks to end the group emergency: a member, or a peer for one of its units.
    pub(crate) fn end_emergency(&mut self, session: SessionId, who: &Identity, out: &mut Outbox) {
        if let Side::Partner(follower) = &self.side {
            let message = Message::EmergencyEnd { talkgroup: follower.home.home.clone(), party: Some(who.clone()) };
            out.control(follower.home.session, message);
            return;
        }
        let may_raise = match self.far.get(&session) {
            Some(far) => far.inbound.emergency && far.inbound.ceiling.dispatcher,
            None => self.plan.rights(who).emergency,
        };
        if self.emergency.is_empty() {
            // Over already, perhaps ended by somebody else in this very moment: the asker hears so.
            let (talkgroup, _) = self.named_for(session, who);
            out.control(session, Message::EmergencyState { talkgroup, active: false, originator: who.clone(), units: Vec::new() });
            return;
        }
        if !may_end_emergency(who, &self.emergency, may_raise) {
            let agreement = self.far.get(&session).map(|far| far.agreement.clone());
            self.refuse_emergency_end(session, who, DenyCause::EmergencyEndNotAllowed, agreement, out);
            return;
        }
        if who.kind == wire::Kind::Dispatcher {
            self.emergency.clear();
        } else {
            self.emergency.retain(|unit| unit != who);
        }
        self.tell_emergency(who, out);
    }

    /// The home does not end the group emergency for one of this side.
    pub(crate) fn emergency_end_refused(&self, from: SessionId, party: &Identity, cause: DenyCause, out: &mut Outbox) {
        let Some(home) = self.home().filter(|home| home.session == from) else { return };
        let agreement = Some(home.agreement.clone());
        let asker = self.members.iter().find(|(_, talker)| talker.identity == *party).map(|(session, _)| *session);
        if let Some(session) = asker {
            self.refuse_emergency_end(session, party, cause, agreement, out);
        }
    }

    fn refuse_emergency_end(&self, session: SessionId, who: &Identity, cause: DenyCause, agreement: Option<String>, out: &mut Outbox) {
        let (talkgroup, party) = self.named_for(session, who);
        out.control(session, Message::EmergencyEndRefused { talkgroup, party, cause });
        out.event(self.denied_event(who, cause, agreement));
    }

    /// How talkgroup and party are named on a session: between gateways by the home's name, and with the unit.
    fn named_for(&self, session: SessionId, who: &Identity) -> (TalkgroupId, Option<Identity>) {
        match self.far.get(&session) {
            Some(far) => (far.home.clone(), Some(who.clone())),
            None => (self.id().clone(), None),
        }
    }

    /// A partner that was alone brings its units in emergency along, as far as the bridge admits one.
    pub(crate) fn emergencies_from_partner(&mut self, session: SessionId, units: &[Identity], now: Instant, out: &mut Outbox) {
        let Some(far) = self.far.get(&session) else { return };
        if units.iter().any(|who| who.authority != far.authority || who.kind == wire::Kind::Gateway) {
            out.misbehaved(session, "emergency of somebody that it may not speak for", now);
        }
        let admitted = judge_foreign(&far.inbound, &far.their_outbound, Priority::of(Tier::Emergency)).is_ok();
        let theirs = far.authority.clone();
        for who in units.iter().filter(|who| admitted && who.authority == theirs && who.kind != wire::Kind::Gateway) {
            self.raise_emergency(who, out);
        }
    }

    /// The home answered the sync with the units in emergency that it knows: it hears of those that began or ended here without
    /// its knowledge. Gives what is true from here on.
    pub(crate) fn settle_emergencies(&self, home: &Far, announced: &[Identity], known: &[Identity], out: &mut Outbox) -> Vec<Identity> {
        let (own, talkgroup) = (&self.plan.id.authority, || home.home.clone());
        // A gateway that has just started knows of no end: the home may know better whom it has lost.
        let is_over = |who: &&Identity| who.authority == *own && !self.emergency.contains(who) && self.has_followed;
        let foreign = known.iter().filter(|known| !announced.contains(known));
        for who in announced.iter().chain(foreign).filter(is_over) {
            out.control(home.session, Message::EmergencyEnd { talkgroup: talkgroup(), party: Some(who.clone()) });
        }
        for who in self.brings_along(home).filter(|who| !announced.contains(who) && !known.contains(who)) {
            let (originator, units) = (who.clone(), Vec::new());
            out.control(home.session, Message::EmergencyState { talkgroup: talkgroup(), active: true, originator, units });
        }
        let brought = self.brings_along(home).filter(|who| !known.contains(who));
        known.iter().filter(|who| !is_over(who)).chain(brought).cloned().collect()
    }

    /// The home tells who is in emergency, `who` being the first, or who ended the last one. Of an own unit it is believed if that
    /// raised it, or at the sync: this side may have forgotten.
    pub(crate) fn emergency_from_home(
        &mut self,
        session: SessionId,
        who: &Identity,
        units: Vec<Identity>,
        at_sync: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        let own = &self.plan.id.authority;
        let Side::Partner(follower) = &self.side else { return };
        let home = &follower.home;
        if home.session != session {
            return;
        }
        let speaks = |who: &Identity| who.authority == *own || home.may_speak_for(&who.authority);
        let raised = |who: &Identity| who.authority != *own || at_sync || self.emergency.contains(who) || self.raised.contains(who);
        let (named, invented): (Vec<Identity>, Vec<Identity>) =
            units.into_iter().partition(|who| speaks(who) && raised(who) && who.kind != wire::Kind::Gateway);
        if !invented.is_empty() {
            out.misbehaved(session, "emergency of somebody that it may not speak for", now);
            if named.is_empty() {
                return;
            }
        }
        let named: Vec<Identity> = named.into_iter().take(EMERGENCIES_MAX).collect();
        if !speaks(who) && named == self.emergency {
            return;
        }
        let shown = if speaks(who) { Some(who) } else { self.emergency.first() }.unwrap_or(who).clone();
        self.emergency = named;
        self.tell_emergency(&shown, out);
    }

    /// The units in emergency of which a far side may hear: of both sides, and of those authorities that both list as *onward*.
    pub(crate) fn emergencies_for(&self, far: &Far) -> Vec<Identity> {
        let own = &self.plan.id.authority;
        self.emergency.iter().filter(|who| who.authority == *own || far.may_speak_for(&who.authority)).cloned().collect()
    }

    pub(super) fn tell_emergency(&self, who: &Identity, out: &mut Outbox) {
        let active = !self.emergency.is_empty();
        let originator = self.emergency.first().unwrap_or(who).clone();
        for session in self.members.keys() {
            let (talkgroup, originator) = (self.id().clone(), originator.clone());
            out.control(*session, Message::EmergencyState { talkgroup, active, originator, units: Vec::new() });
        }
        if matches!(self.side, Side::Arbiter(_)) {
            for far in self.far.values() {
                let (talkgroup, units) = (far.home.clone(), self.emergencies_for(far));
                let (active, originator) = (!units.is_empty(), units.first().unwrap_or(who).clone());
                out.control(far.session, Message::EmergencyState { talkgroup, active, originator, units });
            }
        }
        out.event(Event::Emergency { talkgroup: self.id().clone(), active, by: who.clone() });
    }
}
