//! What units say to their gateway: joins, floor control, ends of emergencies; each is judged here before any view sees it.

use std::time::Instant;

use wire::control::{Floor, FloorBody, Message, Request};
use wire::{DenyCause, Reason, RevokeCause, SessionId, TalkgroupId, Tier};

use super::Hub;
use super::output::Event;
use crate::floor::Party;

/// Most talkgroups one unit may join.
const JOINS_MAX: usize = 64;

impl Hub {
    pub(super) fn handle_unit_message(&mut self, session: SessionId, message: Message, now: Instant) {
        if self.sessions.get_mut(&session).is_some_and(|entry| !entry.limits.message(now)) {
            self.misbehaved(session, "too many messages", now);
            return;
        }
        match message {
            Message::Affiliate(talkgroup) => self.affiliate(session, talkgroup, now),
            Message::Deaffiliate(talkgroup) => {
                self.out.watch.left(session, &talkgroup, now);
                if let Some(view) = self.views.get_mut(&talkgroup) {
                    view.leave(session, RevokeCause::Disconnected, now, &mut self.out);
                }
            }
            Message::Floor(floor) => self.handle_unit_floor(session, &floor, now),
            Message::EmergencyEnd { talkgroup, party: None } => {
                let Some(who) = self.caller(session).map(|caller| caller.identity.clone()) else { return };
                let refusal = match self.views.get_mut(&talkgroup) {
                    Some(view) if view.members.contains_key(&session) => {
                        view.end_emergency(session, &who, &mut self.out);
                        self.rejoin(now);
                        return;
                    }
                    Some(_) => DenyCause::NotAffiliated,
                    None => DenyCause::UnknownTalkgroup,
                };
                self.out.control(session, Message::EmergencyEndRefused { talkgroup: talkgroup.clone(), party: None, cause: refusal });
                self.refused(session, Event::Denied { talkgroup, identity: who, cause: refusal, agreement: None }, now);
            }
            Message::Hello(_)
            | Message::Welcome(_)
            | Message::Refused(_)
            | Message::Affiliated(_)
            | Message::AffiliateRefused(..)
            | Message::EmergencyEnd { .. }
            | Message::EmergencyEndRefused { .. }
            | Message::EmergencyState { .. }
            | Message::FarSide(_)
            | Message::Agreements(_)
            | Message::Sync(_) => self.misbehaved(session, "not a unit's message", now),
        }
    }

    fn affiliate(&mut self, session: SessionId, talkgroup: TalkgroupId, now: Instant) {
        let Some(caller) = self.caller(session).cloned() else { return };
        let joined = self.views.values().filter(|view| view.members.contains_key(&session)).count();
        let choice = self.sessions.get(&session).map(|entry| entry.chooser.choice()).unwrap_or_default();
        let refusal = match self.views.get_mut(&talkgroup) {
            None => Reason::UnknownTalkgroup,
            Some(view) if !view.plan.admits(&caller.identity) => Reason::NotAMember,
            Some(view) if joined < JOINS_MAX || view.members.contains_key(&session) => {
                view.join(session, caller.talker(), now, &mut self.out);
                view.set_repeats(session, choice);
                return;
            }
            Some(_) => Reason::TooManyTalkgroups,
        };
        self.refused(session, Event::JoinRefused(talkgroup.clone(), caller.identity, refusal), now);
        self.out.control(session, Message::AffiliateRefused(talkgroup, refusal));
    }

    fn handle_unit_floor(&mut self, session: SessionId, floor: &Floor, now: Instant) {
        let Some(caller) = self.caller(session) else { return };
        let party = Party { session, identity: caller.identity.clone() };
        if let (FloorBody::Release(release), Some(entry)) = (&floor.body, self.sessions.get_mut(&session)) {
            entry.released = entry.released.max(Some(release.request));
        }
        match &floor.body {
            FloorBody::Request(request) => self.handle_press(&party, &floor.talkgroup, request, now),
            FloorBody::Release(release) => {
                self.out.watch.released(session, &floor.talkgroup, release.request, now);
                if let Some(view) = self.views.get_mut(&floor.talkgroup) {
                    view.release(&party, release, now, &mut self.out);
                }
            }
            FloorBody::Granted(_)
            | FloorBody::Deny { .. }
            | FloorBody::Queued { .. }
            | FloorBody::Taken(_)
            | FloorBody::Idle(_)
            | FloorBody::Revoke(_)
            | FloorBody::Ack { .. } => self.misbehaved(session, "floor message of an arbiter", now),
        }
    }

    fn handle_press(&mut self, party: &Party, talkgroup: &TalkgroupId, request: &Request, now: Instant) {
        let view = self.views.get_mut(talkgroup);
        match view.as_ref().filter(|view| view.members.contains_key(&party.session)) {
            Some(view) => self.out.watch.asked(party.session, talkgroup, request, view.asks(), now),
            None => self.out.watch.refused_at_once(request.priority.tier),
        }
        // Only a claim that may be an emergency is one.
        let is_emergency = request.priority.tier == Tier::Emergency;
        let urgent = is_emergency && view.as_ref().is_some_and(|view| view.plan.rights(&party.identity).emergency);
        let cause = match view {
            _ if !urgent && self.sessions.get_mut(&party.session).is_some_and(|entry| !entry.limits.press(now)) => DenyCause::RateLimited,
            None => DenyCause::UnknownTalkgroup,
            Some(view) if view.members.contains_key(&party.session) => {
                view.request(party.session, request, now, &mut self.out);
                return;
            }
            Some(_) => DenyCause::NotAffiliated,
        };
        let body = FloorBody::Deny { request: request.request, cause };
        self.out.control(party.session, Message::Floor(Floor { talkgroup: talkgroup.clone(), party: None, body }));
        let denied = Event::Denied { talkgroup: talkgroup.clone(), identity: party.identity.clone(), cause, agreement: None };
        self.refused(party.session, denied, now);
    }

    /// Records that something was refused to a session, unless it is refused all the time.
    fn refused(&mut self, session: SessionId, event: Event, now: Instant) {
        if self.sessions.get_mut(&session).is_some_and(|entry| entry.limits.refusal(now)) {
            self.out.event(event);
        }
    }
}
