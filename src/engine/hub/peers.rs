//! Sessions with gateways of other authorities: who may have one, what they say, heartbeat, hold-down.
//!
//! A session whose heartbeat echo is too old is closed by whoever notices, so that nothing in flight survives, and every view
//! goes on alone. How bridges are set up over a session is in `setup.rs`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wire::control::{Agreement, Floor, FloorBody, Message};
use wire::datagram::Datagram;
use wire::{DenyCause, Handle, Identity, Reason, RequestId, SessionId, TalkgroupId};

use super::asked::Released;
use super::bridges::{BridgeState, Running};
use super::output::{Event, Output};
use super::setup::Announced;
use super::view::Side;
use super::{Hub, Stage};
use crate::floor::Party;
use crate::holddown::HoldDown;
use crate::liveness::Liveness;
use crate::{Deadline, earliest};

/// A session with a gateway that ends so soon counts as a fall of the link.
const BRIEF: Duration = Duration::from_secs(3);

/// A live session with a gateway.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) identity: Identity,
    /// Its numbers for our talkgroups.
    pub(super) handles: BTreeMap<Handle, TalkgroupId>,
    pub(super) liveness: Liveness,
    /// What its units released lately; late copies of it as datagrams ask for nothing any more.
    pub(super) released: Released,
    /// How many bridges with it are configured here; its budgets grow with them.
    pub(super) bridges: u32,
    /// What the sync that awaits its answer said, by own talkgroup.
    pub(super) announced: BTreeMap<TalkgroupId, Announced>,
    /// Its words, as it said them last; bounded by the list limit of the wire.
    pub(super) words: Vec<Agreement>,
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
        self.count_bridges();
        for (id, view) in &mut self.views {
            let is_bridged = self.plan.bridges.iter().any(|bridge| bridge.own(&self.plan.gateway.authority) == id);
            view.set_bridged(is_bridged, now, &mut self.out);
        }
        let sessions: Vec<SessionId> = self.peers.keys().copied().collect();
        for session in sessions {
            self.send_agreements(session);
        }
        self.renew_and_sync(now);
    }

    fn count_bridges(&mut self) {
        for peer in self.peers.values_mut() {
            let shared = self.bridges.iter().filter(|b| *b.plan.far(&self.plan.gateway.authority) == peer.identity.authority);
            peer.bridges = u32::try_from(shared.count()).unwrap_or(u32::MAX);
        }
    }

    pub(super) fn peer_up(&mut self, session: SessionId, identity: Identity, now: Instant) {
        let peer = Peer {
            identity,
            handles: BTreeMap::new(),
            liveness: Liveness::of_border(now),
            released: Released::default(),
            bridges: 0,
            announced: BTreeMap::new(),
            words: Vec::new(),
        };
        self.peers.insert(session, peer);
        self.count_bridges();
        self.send_agreements(session);
        self.renew_bridges(now);
    }

    /// The session with a gateway ended, `age` after it began.
    pub(super) fn peer_down(&mut self, session: SessionId, reason: Reason, age: Duration, now: Instant) {
        let Some(peer) = self.peers.remove(&session) else { return };
        // Whoever comes and goes all the time flaps, however orderly it goes.
        let in_order = matches!(reason, Reason::ShuttingDown | Reason::Closed | Reason::Superseded) && age >= BRIEF;
        let in_order = in_order || reason == Reason::UnknownPeer;
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

    // === Messages ===

    pub(super) fn handle_peer_message(&mut self, session: SessionId, message: Message, now: Instant) {
        let (Some(peer), Some(entry)) = (self.peers.get(&session), self.sessions.get_mut(&session)) else { return };
        if !entry.limits.peer_message(&message, peer.bridges, now) {
            return self.misbehaved(session, "too many messages", now);
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
            Message::EmergencyState { talkgroup, active, originator, mut units } => {
                if active && units.is_empty() {
                    units.push(originator.clone());
                }
                if let Some((view, out)) = self.view_of(session, &talkgroup) {
                    match view.side {
                        Side::Arbiter(_) if active => view.emergencies_from_partner(session, &units, now, out),
                        Side::Arbiter(_) => {}
                        Side::Partner(_) => view.emergency_from_home(session, &originator, units, false, now, out),
                    }
                } else {
                    self.blame_stranger(session, &talkgroup, now);
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

    fn handle_peer_floor(&mut self, session: SessionId, floor: &Floor, now: Instant) {
        let (Some(peer), Some(entry)) = (self.peers.get_mut(&session), self.sessions.get_mut(&session)) else { return };
        if let (FloorBody::Release(release), Some(party)) = (&floor.body, &floor.party) {
            peer.released.note(party.clone(), release.request, now);
        }
        let in_budget = !matches!(floor.body, FloorBody::Request(_)) || entry.limits.peer_request(peer.bridges, now);
        let we_are_home = floor.talkgroup.authority == self.plan.gateway.authority;
        let Some((view, out)) = self.view_of(session, &floor.talkgroup) else {
            if let (FloorBody::Request(request), Some(party), true) = (&floor.body, &floor.party, in_budget) {
                self.deny_pending(session, floor, party, request.request);
            }
            return self.blame_stranger(session, &floor.talkgroup, now);
        };
        let is_home = matches!(view.side, Side::Arbiter(_)) && view.detached.is_none();
        match (&floor.body, &floor.party) {
            (FloorBody::Request(request), Some(party)) if is_home && in_budget => view.request_from_far(session, party, request, now, out),
            (FloorBody::Request(request), Some(party)) if is_home => {
                view.deny(session, Some(party.clone()), request, DenyCause::RateLimited, out);
                out.misbehaved(session, "more requests than its bridges need", now);
            }
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
            ) if we_are_home => out.misbehaved(session, "floor message of a home from a partner", now),
            (
                FloorBody::Granted(_)
                | FloorBody::Deny { .. }
                | FloorBody::Queued { .. }
                | FloorBody::Taken(_)
                | FloorBody::Idle(_)
                | FloorBody::Revoke(_)
                | FloorBody::Ack { .. },
                _,
            ) => {
                if !view.floor_from_home(session, floor, now, out) {
                    self.misbehaved(session, "more floor messages than a talkgroup needs", now);
                }
            }
        }
    }

    /// A peer speaks of a talkgroup that no bridge with it is active for. If there is none at all, it has no business to.
    fn blame_stranger(&mut self, session: SessionId, home: &TalkgroupId, now: Instant) {
        let own = &self.plan.gateway.authority;
        let Some(far) = self.peers.get(&session).map(|peer| &peer.identity.authority) else { return };
        if !self.bridges.iter().any(|b| b.plan.home == *home && b.plan.far(own) == far) {
            self.out.misbehaved(session, "word about a talkgroup that no agreement with it names", now);
        }
    }

    /// A request over a bridge that does not carry. A partner that has just been told so has gone on alone, and does not mind.
    fn deny_pending(&mut self, session: SessionId, floor: &Floor, party: &Identity, request: RequestId) {
        let cause = DenyCause::BridgePending;
        let body = FloorBody::Deny { request, cause };
        self.out.control(session, Message::Floor(Floor { talkgroup: floor.talkgroup.clone(), party: Some(party.clone()), body }));
        let (own, far) = (self.authority(), self.peers.get(&session).map(|peer| &peer.identity.authority));
        let bridge = self.bridges.iter().find(|bridge| bridge.plan.home == floor.talkgroup && far == Some(bridge.plan.far(own)));
        let agreement = bridge.map(|bridge| bridge.plan.agreement.clone());
        self.out.event(Event::Denied { talkgroup: floor.talkgroup.clone(), identity: party.clone(), cause, agreement });
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
