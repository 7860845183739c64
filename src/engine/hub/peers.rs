//! Sessions with gateways of other authorities: agreements, sync, heartbeat, hold-down.
//!
//! On every new session both sides send their agreements; where they match, the partner sends *sync* and the home answers
//! with the epoch that holds from then on. A session whose heartbeat echo is too old is closed by whoever notices, so that
//! nothing in flight survives, and every view goes on alone.

use std::collections::BTreeMap;
use std::time::Instant;

use wire::control::{Agreement, Floor, FloorBody, Holder, Message, Request, Sync};
use wire::datagram::Datagram;
use wire::{Handle, Identity, Reason, RequestId, SessionId, TalkgroupId};

use super::bridges::{BridgeState, Running};
use super::output::{Event, Output};
use super::view::Side;
use super::{Hub, Stage};
use crate::floor::Party;
use crate::floor::table::State;
use crate::holddown::HoldDown;
use crate::liveness::{Liveness, PEER_INTERVAL, PEER_LIMIT};
use crate::{Deadline, earliest};

/// A live session with a gateway.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) identity: Identity,
    /// Its numbers for our talkgroups.
    pub(super) handles: BTreeMap<Handle, TalkgroupId>,
    pub(super) liveness: Liveness,
    /// What the sync that awaits its answer said, by own talkgroup.
    announced: BTreeMap<TalkgroupId, Announced>,
    /// Its words, as it said them last; bounded by the list limit of the wire.
    words: Vec<Agreement>,
}

/// What a partner's sync said.
#[derive(Clone, Debug)]
struct Announced {
    talker: Option<(Party, RequestId)>,
    emergency: Option<Identity>,
}

/// What is remembered of a link across its sessions.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) hold_down: HoldDown,
    pub(super) lost: u64,
    pub(super) down_since: Instant,
}

impl Hub {
    /// Whether a gateway may have a session now.
    pub(super) fn judge_peer(&self, identity: &Identity, now: Instant) -> Result<(), Reason> {
        if !self.plan.peers.iter().any(|peer| peer.identity() == *identity) {
            return Err(Reason::UnknownPeer);
        }
        if self.links.get(identity).is_some_and(|link| link.hold_down.held_until(now).is_some()) { Err(Reason::HeldDown) } else { Ok(()) }
    }

    /// Until when a link is held down, for whoever dials.
    pub fn held_until(&self, identity: &Identity, now: Instant) -> Option<Instant> {
        self.links.get(identity).and_then(|link| link.hold_down.held_until(now))
    }

    /// Whether a session with that gateway exists or is being made.
    pub fn has_session(&self, identity: &Identity) -> bool {
        self.sessions.values().any(|session| session.caller.identity == *identity)
    }

    /// A new plan may name other peers and agreements.
    pub(super) fn renew_peers(&mut self, now: Instant) {
        let strangers: Vec<SessionId> = self
            .peers
            .iter()
            .filter(|(_, peer)| !self.plan.peers.iter().any(|p| p.identity() == peer.identity))
            .map(|(session, _)| *session)
            .collect();
        for session in strangers {
            self.end(session, Reason::UnknownPeer, now);
        }
        let before = std::mem::take(&mut self.bridges);
        let same = |plan: &crate::plan::Bridge, old: &Running| {
            old.plan.agreement == plan.agreement && old.plan.home == plan.home && old.plan.partner == plan.partner
        };
        let withdrawn: Vec<&Running> = before.iter().filter(|old| !self.plan.bridges.iter().any(|plan| same(plan, old))).collect();
        for old in withdrawn {
            self.drop_bridge(&old.plan, false, now);
        }
        for plan in self.plan.bridges.clone() {
            let far = plan.far(&self.plan.gateway.authority);
            let peer = self.peers.values().find(|peer| peer.identity.authority == *far);
            let theirs = peer.and_then(|peer| peer.words.iter().find(|words| words.name == plan.agreement)).cloned();
            let mut running = Running::new(plan);
            if let Some(old) = before.iter().find(|old| same(&running.plan, old)) {
                running.state = old.state;
                if old.plan.words() != running.plan.words() && old.state == BridgeState::Active {
                    // Changed words: the bridge is set up anew under them.
                    running.state = BridgeState::Agreed;
                    self.drop_bridge(&running.plan.clone(), false, now);
                }
            }
            running.theirs = theirs;
            self.bridges.push(running);
        }
        let sessions: Vec<SessionId> = self.peers.keys().copied().collect();
        for session in sessions {
            self.send_agreements(session);
        }
        self.renew_and_sync(now);
    }

    pub(super) fn peer_up(&mut self, session: SessionId, identity: Identity, now: Instant) {
        let peer = Peer {
            identity,
            handles: BTreeMap::new(),
            liveness: Liveness::new(PEER_INTERVAL, PEER_LIMIT, now),
            announced: BTreeMap::new(),
            words: Vec::new(),
        };
        self.peers.insert(session, peer);
        self.send_agreements(session);
        self.renew_bridges(now);
    }

    pub(super) fn peer_down(&mut self, session: SessionId, reason: Reason, now: Instant) {
        let Some(peer) = self.peers.remove(&session) else { return };
        let in_order = matches!(reason, Reason::ShuttingDown | Reason::Closed | Reason::Superseded | Reason::UnknownPeer);
        let link = self.links.entry(peer.identity.clone()).or_insert_with(|| Link { hold_down: HoldDown::new(), lost: 0, down_since: now });
        link.lost += 1;
        link.down_since = now;
        if !in_order {
            link.hold_down.handle_fall(now);
        }
        for view in self.views.values_mut() {
            view.drop_far(session, true, now, &mut self.out);
        }
        for bridge in self.bridges.iter_mut().filter(|b| *b.plan.far(&self.plan.gateway.authority) == peer.identity.authority) {
            bridge.theirs = None;
        }
        self.renew_bridges(now);
    }

    fn send_agreements(&mut self, session: SessionId) {
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
    fn renew_and_sync(&mut self, now: Instant) {
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

    fn drop_bridge(&mut self, plan: &crate::plan::Bridge, link_lost: bool, now: Instant) {
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
            view.detached = Some(far);
            return;
        }
        let current = match &view.side {
            // A talker that has released is not worth naming.
            Side::Arbiter(arbiter) => arbiter.current().filter(|_| arbiter.state() != State::Draining),
            Side::Partner(_) => None,
        };
        let holder = current.map(|current| Holder {
            request: current.claim.request,
            priority: super::rights::fit_to_ceiling(
                current.claim.priority,
                &bridge.theirs.as_ref().map_or(bridge.plan.inbound, |theirs| theirs.inbound),
            ),
            talker: current.claim.talker.clone(),
            elapsed_ms: crate::millis(now.saturating_duration_since(current.since)),
        });
        let talker = current.map(|current| (current.claim.party.clone(), current.claim.request));
        let emergency = view.brings_along(&far).cloned();
        peer.announced.insert(view.id().clone(), Announced { talker, emergency: emergency.clone() });
        let sync = Sync { talkgroup: bridge.plan.home.clone(), handle: view.handle, epoch: view.epoch(), holder, emergency };
        self.out.control(session, Message::Sync(Box::new(sync)));
    }

    /// A view that went alone for an emergency joins its home again.
    pub(super) fn rejoin(&mut self, now: Instant) {
        let authority = self.authority().clone();
        for index in 0..self.bridges.len() {
            let Some(bridge) = self.bridges.get(index) else { continue };
            let Some(view) = self.views.get_mut(bridge.plan.own(&authority)) else { continue };
            if bridge.state.is_agreed() && view.may_rejoin() {
                view.detached = None;
                self.set_state(index, BridgeState::Agreed);
                self.sync(index, now);
            }
        }
    }

    // === Messages ===

    pub(super) fn handle_peer_message(&mut self, session: SessionId, message: Message, now: Instant) {
        let Some(limits) = self.sessions.get_mut(&session).map(|entry| &mut entry.limits) else { return };
        if !limits.peer_message(now) || (matches!(message, Message::Sync(_)) && !limits.sync(now)) {
            self.misbehaved(session, "too many messages", now);
            return;
        }
        match message {
            Message::Agreements(words) => self.handle_agreements(session, words, now),
            Message::Sync(sync) => self.handle_sync(session, &sync, now),
            Message::Floor(floor) => self.handle_peer_floor(session, &floor, now),
            Message::EmergencyEnd { talkgroup, party: Some(party) } => {
                let speaks_for_own = self.peers.get(&session).is_some_and(|peer| peer.identity.authority == party.authority);
                match self.view_of(session, &talkgroup) {
                    // Only the home decides; from it the message has crossed a change of sides.
                    Some((view, out)) if speaks_for_own => {
                        if matches!(view.side, Side::Arbiter(_)) {
                            view.end_emergency(session, &party, out);
                        }
                    }
                    _ => self.out.misbehaved(session, "emergency end for another authority", now),
                }
            }
            Message::EmergencyEndRefused { talkgroup, party: Some(party), cause } => {
                if let Some((view, out)) = self.view_of(session, &talkgroup) {
                    view.emergency_end_refused(session, &party, cause, out);
                }
            }
            Message::EmergencyState { talkgroup, active, originator } => {
                if let Some((view, out)) = self.view_of(session, &talkgroup) {
                    match view.side {
                        Side::Arbiter(_) if active => view.emergency_from_partner(session, &originator, out),
                        Side::Arbiter(_) => {}
                        Side::Partner(_) => view.emergency_from_home(session, active, &originator, out),
                    }
                }
            }
            Message::Hello(_)
            | Message::Welcome(_)
            | Message::Refused(_)
            | Message::Affiliate(_)
            | Message::Affiliated(_)
            | Message::AffiliateRefused(..)
            | Message::Deaffiliate(_)
            | Message::EmergencyEnd { .. }
            | Message::EmergencyEndRefused { .. }
            | Message::FarSide(_) => self.misbehaved(session, "not a gateway's message", now),
        }
    }

    fn handle_agreements(&mut self, session: SessionId, words: Vec<Agreement>, now: Instant) {
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

    fn handle_sync(&mut self, session: SessionId, sync: &Sync, now: Instant) {
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
        peer.handles.retain(|_, id| id != view.id());
        peer.handles.insert(sync.handle, view.id().clone());
        if bridge.plan.is_home(&own) {
            let epoch = view.epoch_after(sync.epoch, now, &mut self.out);
            let answer = Sync {
                talkgroup: bridge.plan.home.clone(),
                handle: view.handle,
                epoch,
                holder: None,
                emergency: view.emergency.first().cloned(),
            };
            self.out.control(session, Message::Sync(Box::new(answer)));
            self.out.event(Event::Epoch(epoch));
            view.attach_partner(far, epoch, now, &mut self.out);
            if let Some(originator) = &sync.emergency {
                view.emergency_from_partner(session, originator, &mut self.out);
            }
            if let Some(holder) = &sync.holder {
                let party = holder.talker.identity.clone();
                let request =
                    Request { request: holder.request, priority: holder.priority, talker: Some(holder.talker.clone()), continuing: true };
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
            self.out.event(Event::Epoch(sync.epoch));
            view.tell_home_of_emergency(&far, announced.emergency.as_ref(), sync.emergency.as_ref(), &mut self.out);
            let brought = view.brings_along(&far).is_some();
            view.follow(far, sync.epoch, announced.talker.as_ref(), now, &mut self.out);
            if let Some(originator) = &sync.emergency {
                view.emergency_from_home(session, true, originator, &mut self.out);
            } else if let Some(stale) = view.emergency.first().filter(|_| !brought).cloned() {
                // It ended at the home while this side was away.
                view.emergency_from_home(session, false, &stale, &mut self.out);
            }
        }
        self.set_state(index, BridgeState::Active);
    }

    fn handle_peer_floor(&mut self, session: SessionId, floor: &Floor, now: Instant) {
        let Some((view, out)) = self.view_of(session, &floor.talkgroup) else { return };
        let is_home = matches!(view.side, Side::Arbiter(_)) && view.detached.is_none();
        match (&floor.body, &floor.party) {
            (FloorBody::Request(request), Some(party)) if is_home => view.request_from_far(session, party, request, now, out),
            (FloorBody::Release(release), Some(party)) if is_home => {
                let party = Party { session, identity: party.clone() };
                view.release(&party, release, now, out);
            }
            (FloorBody::Request(_) | FloorBody::Release(_), _) => {}
            (
                FloorBody::Granted(_)
                | FloorBody::Deny { .. }
                | FloorBody::Queued { .. }
                | FloorBody::Taken(_)
                | FloorBody::Idle(_)
                | FloorBody::Revoke(_)
                | FloorBody::Ack { .. },
                _,
            ) => view.floor_from_home(session, floor, now, out),
        }
    }

    /// The view that a peer's message about a home talkgroup is for, if the bridge with that peer is active.
    fn view_of(&mut self, session: SessionId, home: &TalkgroupId) -> Option<(&mut super::View, &mut super::Outbox)> {
        let own = self.plan.gateway.authority.clone();
        let far = &self.peers.get(&session)?.identity.authority;
        let bridge = self.bridges.iter().find(|b| b.plan.home == *home && b.plan.far(&own) == far && b.state == BridgeState::Active)?;
        self.views.get_mut(bridge.plan.own(&own)).map(|view| (view, &mut self.out))
    }

    // === Time ===

    pub(super) fn peer_timeout(&self) -> Deadline {
        earliest(self.peers.values().map(|peer| Some((peer.liveness.poll_timeout(), "heartbeat"))))
    }

    pub(super) fn handle_peer_timeout(&mut self, now: Instant) {
        let mut lost = Vec::new();
        for (session, peer) in &mut self.peers {
            if !matches!(self.sessions.get(session), Some(entry) if matches!(entry.stage, Stage::Up)) {
                continue;
            }
            if peer.liveness.is_lost(now) {
                lost.push(*session);
            } else if let Some(beat) = peer.liveness.poll(now) {
                self.out.outputs.push_back(Output::Datagram(*session, Datagram::Heartbeat(beat).encode()));
            }
        }
        for session in lost {
            self.end(session, Reason::LinkLost, now);
        }
    }
}
