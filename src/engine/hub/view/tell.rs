//! What a view tells its members and the far sides, each under the name that they know the talkgroup by.

use wire::SessionId;
use wire::control::{Floor, FloorBody, Idle, Message, Taken};

use super::View;
use crate::floor::Party;
use crate::hub::output::Outbox;

impl View {
    /// A far side hears of every end with its cause, even if somebody else is granted at once: it keeps records too.
    pub(super) fn tell_far_over(&self, over: Option<(SessionId, Idle)>, out: &mut Outbox) {
        let Some((source, idle)) = over else { return };
        for far in self.far.values().filter(|far| far.session == source || self.carries(Some(source), far)) {
            let floor = Floor { talkgroup: far.home.clone(), party: None, body: FloorBody::Idle(idle.clone()) };
            out.control(far.session, Message::Floor(floor));
        }
    }

    pub(super) fn tell_far_sides(&self, body: &FloorBody, out: &mut Outbox) {
        for far in self.far.values() {
            out.control(far.session, Message::Floor(Floor { talkgroup: far.home.clone(), party: None, body: body.clone() }));
        }
    }

    pub(super) fn say_taken(&self, taken: Taken, out: &mut Outbox) {
        // Not the arbiter's current talker: whoever is named here may have been followed by another in the same breath.
        let who = &taken.talker.identity;
        let member = self.members.iter().find(|(_, talker)| talker.identity == *who).map(|(session, _)| *session);
        let far = self.far.values().find(|far| far.authority == who.authority).map(|far| far.session);
        let talker_session = member.or(far);
        self.tell_members(talker_session, &FloorBody::Taken(taken.clone()), out);
        let body = FloorBody::Taken(taken);
        for far in self.far.values().filter(|far| Some(far.session) != talker_session && self.carries(talker_session, far)) {
            out.control(far.session, Message::Floor(Floor { talkgroup: far.home.clone(), party: None, body: body.clone() }));
        }
    }

    pub(super) fn tell_party(&self, party: &Party, body: FloorBody, out: &mut Outbox) {
        match self.far.get(&party.session) {
            Some(far) => {
                let floor = Floor { talkgroup: far.home.clone(), party: Some(party.identity.clone()), body };
                out.control(party.session, Message::Floor(floor));
            }
            None => self.tell_member(party.session, body, out),
        }
    }

    pub(super) fn tell_member(&self, session: SessionId, body: FloorBody, out: &mut Outbox) {
        if self.members.contains_key(&session) {
            out.control(session, Message::Floor(Floor { talkgroup: self.id().clone(), party: None, body }));
        }
    }

    pub(super) fn tell_members(&self, except: Option<SessionId>, body: &FloorBody, out: &mut Outbox) {
        for session in self.members.keys().filter(|session| Some(**session) != except) {
            let floor = Floor { talkgroup: self.id().clone(), party: None, body: body.clone() };
            out.control(*session, Message::Floor(floor));
        }
    }
}
