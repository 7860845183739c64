//! Who may cross the border links: after every input the spurts of all talkgroups are shared out among what each link carries, and
//! what they leave among their repeats.
//!
//! Nothing is booked: which spurts there are is asked of the views each time, so that nothing can be booked wrongly, however a spurt began,
//! ended, was raised, renumbered or taken over from a time alone. Each gateway judges what it sends itself; the other direction is the
//! other gateway's.

use std::collections::BTreeMap;
use std::time::Instant;

use wire::{Identity, SessionId, TalkgroupId, Tier};

use super::Hub;
use crate::capacity::{self, Crossing};
use crate::loss::Repeats;
use crate::plan::Peer;

/// How a border link is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// How many spurts it carries at once.
    pub capacity: usize,
    /// How many cross it now.
    pub crossing: usize,
    /// In which talkgroups somebody talks who does not cross it for want of room.
    pub suspended: Vec<TalkgroupId>,
    /// How many requests found no room on it since the start.
    pub refused: u64,
}

/// Requests that found no room, by peer.
pub(super) type Refused = BTreeMap<Identity, u64>;

impl Hub {
    /// Shares the links out if any floor may have changed.
    pub(super) fn share_links(&mut self, now: Instant) {
        if !std::mem::take(&mut self.out.stirred) {
            return;
        }
        for session in std::mem::take(&mut self.out.no_room) {
            if let Some(peer) = self.peers.get(&session) {
                *self.refused.entry(peer.identity.clone()).or_default() += 1;
            }
        }
        let sessions: Vec<SessionId> = self.peers.keys().copied().collect();
        for session in sessions {
            self.share_link(session, now);
        }
        // What was just said follows from this, it changes nothing more.
        self.out.stirred = false;
    }

    fn share_link(&mut self, session: SessionId, now: Instant) {
        let capacity = self.capacity_of(session);
        let crossings = self.crossings(session);
        let allotted = capacity::allot(capacity, &crossings.iter().map(|(_, crossing)| *crossing).collect::<Vec<_>>());
        for ((id, crossing), passes) in crossings.iter().zip(allotted) {
            if crossing.passes != passes
                && let Some(view) = self.views.get_mut(id)
            {
                view.set_crossing(session, passes, now, &mut self.out);
            }
        }
        let crossings = self.crossings(session);
        for (id, view) in self.views.iter_mut().filter(|(_, view)| view.far.contains_key(&session)) {
            let others = crossings.iter().filter(|(other, _)| other != id).map(|(_, crossing)| crossing.priority.tier);
            view.set_full(session, capacity::full_for(capacity, others));
        }
        self.share_repeats(session);
    }

    /// Gives the repeats that the other side's reports call for what the spurts leave of the link.
    pub(super) fn share_repeats(&mut self, session: SessionId) {
        let wanted = self.sessions.get(&session).map(|entry| entry.chooser.choice()).unwrap_or_default();
        let rate_kbps = self.peer_of(session).map_or(0, |peer| peer.rate_kbps);
        if wanted == Repeats::NONE {
            return self.views.values_mut().for_each(|view| view.set_repeats(session, Repeats::NONE));
        }
        let crossing = self.crossings(session).into_iter().filter(|(_, crossing)| crossing.passes);
        let crossing: Vec<(TalkgroupId, Tier)> = crossing.map(|(id, crossing)| (id, crossing.priority.tier)).collect();
        let tiers: Vec<Tier> = crossing.iter().map(|(_, tier)| *tier).collect();
        for (id, view) in self.views.iter_mut().filter(|(_, view)| view.far.contains_key(&session)) {
            let tier = crossing.iter().find(|(other, _)| other == id).map_or(Tier::Normal, |(_, tier)| *tier);
            view.set_repeats(session, wanted.at_most(capacity::repeats(rate_kbps, wanted.count(), &tiers, tier)));
        }
    }

    fn crossings(&self, session: SessionId) -> Vec<(TalkgroupId, Crossing)> {
        self.views.iter().filter_map(|(id, view)| view.crossing(session).map(|crossing| (id.clone(), crossing))).collect()
    }

    fn capacity_of(&self, session: SessionId) -> usize {
        self.peer_of(session).map_or(usize::MAX, |peer| capacity::spurts(peer.rate_kbps))
    }

    fn peer_of(&self, session: SessionId) -> Option<&Peer> {
        let identity = self.peers.get(&session).map(|peer| &peer.identity);
        self.plan.peers.iter().find(|peer| Some(&peer.identity()) == identity)
    }

    /// How the link to a peer is used, over this session if it is up.
    pub(super) fn use_of(&self, peer: &Peer, session: Option<SessionId>) -> Use {
        let crossings = session.map_or_else(Vec::new, |session| self.crossings(session));
        let (crossing, suspended): (Vec<_>, Vec<_>) = crossings.into_iter().partition(|(_, crossing)| crossing.passes);
        Use {
            capacity: capacity::spurts(peer.rate_kbps),
            crossing: crossing.len(),
            suspended: suspended.into_iter().map(|(id, _)| id).collect(),
            refused: self.refused.get(&peer.identity()).copied().unwrap_or(0),
        }
    }
}
