//! How a bridge comes up and goes: agreements, sync, and what a change of either means for the views.
//!
//! On every new session both sides send their agreements; where they match, the partner sends *sync* and the home answers
//! with the epoch that holds from then on.

use std::time::Instant;

use wire::control::{Agreement, Holder, Message, Request, Sync};
use wire::{Identity, RequestId, SessionId};

use super::Hub;
use super::bridges::BridgeState;
use super::output::Event;
use super::view::Side;
use crate::floor::Party;
use crate::floor::table::State;
use crate::planted::{self, Fault};

/// What a partner's sync said.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    pub(super) talker: Option<(Party, RequestId)>,
    pub(super) emergency: Vec<Identity>,
}

/// How many epochs a partner can have gone on alone between two syncs of one session: one each time a bridge is set up anew.
const EPOCHS_ALONE: u8 = 8;

impl Hub {
    pub(super) fn send_agreements(&mut self, session: SessionId) {
        let Some(peer) = self.peers.get(&session) else { return };
        let authority = self.plan.gateway.authority.clone();
        let words: Vec<Agreement> = self
            .bridges
            .iter()
            .filter(|b| *b.plan.far(&authority) == peer.identity.authority && b.plan.holds_at(self.unix_s))
            .map(|b| b.plan.words())
            .collect();
        self.out.control(session, Message::Agreements(words));
    }

    fn session_with(&self, authority: &wire::Authority) -> Option<SessionId> {
        self.peers.iter().find(|(_, peer)| peer.identity.authority == *authority).map(|(session, _)| *session)
    }

    /// Judges every bridge anew; what changed is said, what no longer holds is dropped, what newly agrees is synced.
    pub(super) fn renew_bridges(&mut self, now: Instant) {
        let authority = self.authority().clone();
        for index in 0..self.bridges.len() {
            let Some(bridge) = self.bridges.get(index) else { continue };
            let far = bridge.plan.far(&authority).clone();
            let session = self.session_with(&far);
            let state = bridge.judge(session.is_some(), self.unix_s);
            if state == bridge.state {
                continue;
            }
            let (plan, was) = (bridge.plan.clone(), bridge.state);
            self.set_state(index, state);
            let dates_changed = state == BridgeState::OutsideDates || was == BridgeState::OutsideDates;
            if let (true, Some(session)) = (dates_changed, session) {
                self.send_agreements(session);
            }
            if let Some(view) = self.views.get_mut(plan.own(&authority)).filter(|_| !state.is_agreed()) {
                view.detached.take_if(|home| home.authority == far);
            }
            if was == BridgeState::Active {
                self.drop_bridge(&plan, state == BridgeState::Away, now);
            }
            match state {
                BridgeState::Agreed => self.sync(index, now),
                BridgeState::Away => {
                    if let Some(view) = self.views.get_mut(plan.own(&authority)) {
                        view.mark_away(&far, &mut self.out);
                    }
                }
                BridgeState::OneSided | BridgeState::Differs | BridgeState::OutsideDates | BridgeState::Active => {}
            }
        }
    }

    /// The same; a bridge that had agreed before is synced again, for a sync sent under older words may never be answered.
    pub(super) fn renew_and_sync(&mut self, now: Instant) {
        let authority = self.authority().clone();
        let agreed: Vec<usize> =
            self.bridges.iter().enumerate().filter(|(_, b)| b.state == BridgeState::Agreed).map(|(index, _)| index).collect();
        self.renew_bridges(now);
        for index in agreed {
            let waits = self.bridges.get(index).filter(|b| b.state == BridgeState::Agreed);
            let alone = waits.and_then(|b| self.views.get(b.plan.own(&authority))).is_some_and(|view| view.far.is_empty());
            if alone {
                self.sync(index, now);
            }
        }
    }

    fn set_state(&mut self, index: usize, state: BridgeState) {
        let authority = self.authority().clone();
        let Some(bridge) = self.bridges.get_mut(index) else { return };
        if bridge.state != state {
            bridge.state = state;
            let (agreement, far) = (bridge.plan.agreement.clone(), bridge.plan.far(&authority).clone());
            self.out.event(Event::Bridge { agreement, far, state });
        }
    }

    pub(super) fn drop_bridge(&mut self, plan: &crate::plan::Bridge, link_lost: bool, now: Instant) {
        let authority = self.authority().clone();
        let Some(view) = self.views.get_mut(plan.own(&authority)) else { return };
        let far = plan.far(&authority);
        view.detached.take_if(|home| home.authority == *far);
        let sessions: Vec<SessionId> = view.far.values().filter(|f| f.authority == *far).map(|f| f.session).collect();
        for session in sessions {
            view.drop_far(session, link_lost, now, &mut self.out);
        }
    }

    /// A partner opens the bridge: where it stands, and who talks.
    fn sync(&mut self, index: usize, now: Instant) {
        let authority = self.authority().clone();
        let Some(bridge) = self.bridges.get(index).filter(|b| !b.plan.is_home(&authority)) else { return };
        let Some(session) = self.session_with(bridge.plan.far(&authority)) else { return };
        let Some(far) = bridge.far(session, &authority) else { return };
        let (Some(view), Some(peer)) = (self.views.get_mut(bridge.plan.own(&authority)), self.peers.get_mut(&session)) else { return };
        if !view.fits(&far) {
            (view.detached, view.unanswered) = (Some(far), false);
            return;
        }
        let current = match &view.side {
            // A talker that has released is not worth naming.
            Side::Arbiter(arbiter) => arbiter.current().filter(|_| arbiter.state() != State::Draining),
            Side::Partner(_) => None,
        };
        let holder = current.filter(|_| !planted::is(Fault::SyncNamesNobody)).map(|current| Holder {
            request: current.claim.request,
            priority: super::rights::fit_to_ceiling(
                current.claim.priority,
                &bridge.theirs.as_ref().map_or(bridge.plan.inbound, |theirs| theirs.inbound),
            ),
            talker: current.claim.talker.clone(),
            elapsed_ms: crate::millis(now.saturating_duration_since(current.since)),
        });
        let talker = current.map(|current| (current.claim.party.clone(), current.claim.request));
        let emergency: Vec<Identity> = view.brings_along(&far).cloned().collect();
        peer.announced.insert(view.id().clone(), Announced { talker, emergency: emergency.clone() });
        let sync = Sync { talkgroup: bridge.plan.home.clone(), handle: view.handle, epoch: view.epoch(), holder, emergency };
        self.out.control(session, Message::Sync(Box::new(sync)));
    }

    /// A view that went alone for an emergency joins its home again: at once if that was only slow, else when it is over.
    pub(super) fn rejoin(&mut self, now: Instant) {
        let authority = self.authority().clone();
        for index in 0..self.bridges.len() {
            let Some(bridge) = self.bridges.get(index).filter(|bridge| bridge.state.is_agreed()) else { continue };
            let Some(view) = self.views.get_mut(bridge.plan.own(&authority)).filter(|view| view.detached.is_some()) else { continue };
            let far = bridge.plan.far(&authority);
            let asked = self.peers.values().any(|peer| peer.identity.authority == *far && peer.announced.contains_key(view.id()));
            if view.asks_back() {
                self.sync(index, now);
            } else if !asked && view.may_rejoin() {
                view.detached = None;
                self.set_state(index, BridgeState::Agreed);
                self.sync(index, now);
            }
        }
    }

    pub(super) fn handle_agreements(&mut self, session: SessionId, words: Vec<Agreement>, now: Instant) {
        let Some(peer) = self.peers.get(&session) else { return };
        let far = peer.identity.authority.clone();
        let own = self.authority().clone();
        // A side may only speak of agreements between itself and us.
        let theirs = |words: &Agreement| {
            let pair = [&words.home.authority, &words.partner.authority];
            pair.contains(&&far) && pair.contains(&&own)
        };
        if !words.iter().all(theirs) {
            self.out.misbehaved(session, "agreement of other authorities", now);
        }
        let words: Vec<Agreement> = words.into_iter().filter(theirs).collect();
        for bridge in self.bridges.iter_mut().filter(|b| *b.plan.far(&own) == far) {
            let said = words.iter().find(|w| w.name == bridge.plan.agreement).cloned();
            let changed = bridge.theirs.is_some() && bridge.theirs != said;
            bridge.theirs = said;
            if changed && bridge.state == BridgeState::Active {
                // Their words changed under an active bridge: it is set up anew.
                bridge.state = BridgeState::Agreed;
                let plan = bridge.plan.clone();
                if let Some(view) = self.views.get_mut(plan.own(&own)) {
                    view.drop_far(session, false, now, &mut self.out);
                }
            }
        }
        if let Some(peer) = self.peers.get_mut(&session) {
            peer.words = words;
        }
        self.renew_and_sync(now);
    }

    pub(super) fn handle_sync(&mut self, session: SessionId, sync: &Sync, now: Instant) {
        let own = self.authority().clone();
        let Some(far_authority) = self.peers.get(&session).map(|peer| peer.identity.authority.clone()) else { return };
        let index =
            self.bridges.iter().position(|b| b.plan.home == sync.talkgroup && *b.plan.far(&own) == far_authority && b.state.is_agreed());
        let Some((index, bridge)) = index.and_then(|index| self.bridges.get(index).map(|bridge| (index, bridge.clone()))) else {
            // The bridge does not hold (any more); the other side learns it from our agreements.
            return;
        };
        let Some(far) = bridge.far(session, &own) else { return };
        let (Some(view), Some(peer)) = (self.views.get_mut(bridge.plan.own(&own)), self.peers.get_mut(&session)) else { return };
        // One number for each talkgroup, the newest: a peer that keeps inventing others must not fill memory.
        let again = peer.handles.values().any(|id| id == view.id());
        peer.handles.retain(|_, id| id != view.id());
        peer.handles.insert(sync.handle, view.id().clone());
        if bridge.plan.is_home(&own) {
            let mut theirs = sync.epoch;
            // Half the circle away there is no epoch after both without a leap, and a leap each time goes round it.
            if again && (EPOCHS_ALONE + 1..=129).contains(&theirs.0.wrapping_sub(view.epoch().0)) {
                self.out.misbehaved(session, "sync from an epoch that it cannot have come to", now);
                theirs = view.epoch();
            }
            let epoch = view.epoch_after(theirs, now, &mut self.out);
            let answer = Sync {
                talkgroup: bridge.plan.home.clone(),
                handle: view.handle,
                epoch,
                holder: None,
                emergency: view.emergencies_for(&far),
            };
            self.out.control(session, Message::Sync(Box::new(answer)));
            view.attach_partner(far, epoch, now, &mut self.out);
            view.emergencies_from_partner(session, &sync.emergency, now, &mut self.out);
            if let Some(holder) = &sync.holder {
                let party = holder.talker.identity.clone();
                let (request, priority, talker) = (holder.request, holder.priority, Some(holder.talker.clone()));
                let request = Request { request, priority, talker, continuing: Some(holder.elapsed_ms) };
                view.request_from_far(session, &party, &request, now, &mut self.out);
            }
        } else {
            if !sync.epoch.is_after(view.epoch()) {
                // The answer to a sync before the newest one, or a lie: under such numbers nothing would be heard here.
                return;
            }
            let Some(announced) = peer.announced.remove(view.id()) else {
                if !view.far.contains_key(&session) {
                    self.out.misbehaved(session, "sync that was not asked for", now);
                }
                return;
            };
            if !view.fits(&far) {
                // An emergency began here meanwhile that the home does not admit.
                view.stay_alone(far, announced.talker.as_ref(), &mut self.out);
                return;
            }
            let in_emergency = view.settle_emergencies(&far, &announced.emergency, &sync.emergency, &mut self.out);
            view.follow(far, sync.epoch, announced.talker.as_ref(), now, &mut self.out);
            // The last one may have ended at the home while this side was away.
            if let Some(first) = in_emergency.first().or_else(|| view.emergency.first()).cloned() {
                view.emergency_from_home(session, &first, in_emergency, true, now, &mut self.out);
            }
        }
        self.set_state(index, BridgeState::Active);
    }
}
