//! The rules of the protocol that can be taken away, and how: at the seams between the parts, never inside the product.
//!
//! A removed rule is played by what goes in or comes out: a message is changed, swallowed or put before another, so that the
//! hub or unit behaves as one that does not know the rule.

use wire::control::{Floor, FloorBody, Message};
use wire::{DenyCause, Identity, RequestId, SessionId};

use crate::floor::Party;
use crate::hub::view::{Side, View};

/// A rule, by what it demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    /// 1. Request, grant, deny and release carry a request id. Without: an answer meets whatever was asked last.
    RequestIds,
    /// 2. *Taken* does not cancel an outstanding request.
    TakenCancelsNothing,
    /// 3. A side whose own spurt is displaced always sends a release.
    DisplacedReleases,
    /// 4. *Sync* does not cancel a request already made.
    SyncCancelsNothing,
    /// 5. Both sides name their talker when a session starts.
    SyncNamesTalker,
    /// 6. A grant that is no longer wanted is answered by a release.
    UnwantedGrantReleased,
    /// The gates before the ears: only the spurt that the view granted is heard.
    PlayoutFilter,
}

impl Rule {
    pub(super) const ALL: [Self; 7] = [
        Self::RequestIds,
        Self::TakenCancelsNothing,
        Self::DisplacedReleases,
        Self::SyncCancelsNothing,
        Self::SyncNamesTalker,
        Self::UnwantedGrantReleased,
        Self::PlayoutFilter,
    ];

    fn bit(self) -> u8 {
        1 << Self::ALL.iter().position(|rule| *rule == self).unwrap()
    }
}

/// Which rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    removed: u8,
}

impl Rules {
    pub(super) fn without(removed: &[Rule]) -> Self {
        Self { removed: removed.iter().fold(0, |bits, rule| bits | rule.bit()) }
    }

    pub(super) fn lacks(self, rule: Rule) -> bool {
        self.removed & rule.bit() != 0
    }

    /// What a gateway hears in the place of this message of another gateway. `newest` gives a unit's newest request.
    pub(super) fn heard(
        self,
        view: &View,
        session: SessionId,
        mut message: Message,
        newest: impl Fn(&Identity) -> Option<RequestId>,
    ) -> Vec<Message> {
        if self.lacks(Rule::RequestIds) {
            blur(view, session, &mut message, newest);
        }
        let mut heard = Vec::new();
        if let (Message::Floor(Floor { talkgroup, body: FloorBody::Taken(_), .. }), Side::Partner(follower)) = (&message, &view.side)
            && self.lacks(Rule::TakenCancelsNothing)
        {
            for claim in follower.claims() {
                let body = FloorBody::Deny { request: claim.request, cause: DenyCause::Other };
                let party = Some(claim.party.identity.clone());
                heard.push(Message::Floor(Floor { talkgroup: talkgroup.clone(), party, body }));
            }
        }
        if let Message::Sync(sync) = &mut message
            && self.lacks(Rule::SyncNamesTalker)
        {
            sync.holder = None;
        }
        heard.push(message);
        heard
    }

    /// Whether what a gateway says to another in answer to this message is swallowed.
    pub(super) fn swallows(self, answers: &Message, said: &Message) -> bool {
        let Message::Floor(Floor { body: said, .. }) = said else { return false };
        match (answers, said) {
            (Message::Sync(_), FloorBody::Release(_)) => self.lacks(Rule::DisplacedReleases),
            (Message::Sync(_), FloorBody::Request(_)) => self.lacks(Rule::SyncCancelsNothing),
            (Message::Sync(_), FloorBody::Taken(_)) => self.lacks(Rule::SyncNamesTalker),
            (Message::Floor(Floor { body: FloorBody::Granted(_), .. }), FloorBody::Release(_)) => self.lacks(Rule::UnwantedGrantReleased),
            _ => false,
        }
    }
}

/// Without request ids every message means the newest request that its receiver knows of that unit.
fn blur(view: &View, session: SessionId, message: &mut Message, newest: impl Fn(&Identity) -> Option<RequestId>) {
    let Message::Floor(Floor { party: Some(identity), body, .. }) = message else { return };
    let known = match &view.side {
        Side::Arbiter(arbiter) => {
            let party = Party { session, identity: identity.clone() };
            let current = arbiter.current().map(|current| &current.claim).filter(|claim| claim.party == party);
            current.or_else(|| arbiter.queue().find(&party)).map(|claim| claim.request)
        }
        Side::Partner(_) => newest(identity),
    };
    let Some(known) = known else { return };
    match body {
        FloorBody::Granted(granted) => granted.request = known,
        FloorBody::Deny { request, .. } | FloorBody::Queued { request, .. } | FloorBody::Ack { request } => *request = known,
        FloorBody::Release(release) => release.request = known,
        FloorBody::Revoke(revoke) => revoke.request = known,
        FloorBody::Request(_) | FloorBody::Taken(_) | FloorBody::Idle(_) => {}
    }
}
