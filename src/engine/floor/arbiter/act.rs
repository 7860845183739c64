//! How the arbiter carries out what its table decided: grants, revokes, queue, and the timers that belong to them.

use std::time::{Duration, Instant};

use wire::control::{FloorBody, Granted, Idle, Revoke};
use wire::{DenyCause, RevokeCause};

use super::{Arbiter, Claim, Current, Ended, Enqueued, Say};
use crate::floor::table::{self, Action, Event, State, To};
use crate::millis;
use crate::plan::Timers;

impl Arbiter {
    pub(super) fn apply(&mut self, event: Event, mut claim: Option<Claim>, now: Instant) {
        let Some((actions, to)) = table::decide(self.state, event) else { return };
        for action in actions {
            self.act(*action, &mut claim, now);
        }
        match to {
            To::State(state) => self.state = state,
            To::Next => match self.next_in_line() {
                Some(claim) => {
                    self.state = State::Taken;
                    self.grant(claim, true, now);
                }
                None => {
                    self.state = State::Idle;
                    if let Some(idle) = self.over.take() {
                        self.out.push_back(Say::Idle(idle));
                    }
                }
            },
        }
        self.displace_continuing();
        self.tell_positions();
    }

    /// Takes the head of the queue; whoever finds no room on the border when its turn comes is refused then.
    fn next_in_line(&mut self) -> Option<Claim> {
        while let Some(claim) = self.queue.pop() {
            if !self.bar.refuses(&claim) {
                return Some(claim);
            }
            self.deny(claim, DenyCause::NoResources);
        }
        None
    }

    pub(super) fn deny(&mut self, claim: Claim, cause: DenyCause) {
        self.out.push_back(Say::To(claim.party, FloorBody::Deny { request: claim.request, cause }));
    }

    /// Whoever talks already on its own side cannot wait: it is next when the talker's end is near, or hears that it lost.
    fn displace_continuing(&mut self) {
        let next =
            matches!(self.state, State::Revoking | State::Draining).then(|| self.queue.head().map(|claim| claim.party.clone())).flatten();
        for claim in self.queue.remove_if(|claim| claim.since.is_some() && Some(&claim.party) != next.as_ref()) {
            self.deny(claim, DenyCause::Displaced);
        }
    }

    fn act(&mut self, action: Action, claim: &mut Option<Claim>, now: Instant) {
        match action {
            Action::Grant => {
                if let Some(claim) = claim.take() {
                    self.grant(claim, false, now);
                }
            }
            Action::GrantAgain => self.grant_again(now),
            Action::Raise => self.raise(now),
            Action::Enqueue => {
                if let Some(claim) = claim.take() {
                    self.enqueue(claim, false);
                }
            }
            Action::EnqueueFirst => {
                if let Some(claim) = claim.take() {
                    self.enqueue(claim, true);
                }
            }
            Action::RevokeWithGrace(cause) => self.revoke_with_grace(cause, now),
            Action::RevokeNow(cause) => {
                self.revoke(cause, Duration::ZERO);
                self.end(Some(cause), now);
            }
            Action::Drain => {
                self.ack();
                (self.t1, self.t2, self.t3, self.t20) = (None, None, None, None);
                self.tail = Some(now + Timers::TAIL);
            }
            Action::Ack => self.ack(),
            Action::End => {
                let cause = self.current.as_ref().and_then(|c| c.revoked);
                self.end(cause, now);
            }
        }
    }

    fn grant(&mut self, mut claim: Claim, from_queue: bool, now: Instant) {
        self.numbering = self.numbering.next();
        self.over = None;
        // What was talked in another view counts: neither a cut nor a heal stretches the talk limit.
        let talks_since = claim.since.take();
        let limit = self.timers.limit(claim.priority.tier);
        self.t2 = talks_since.map(|since| since + limit);
        self.current = Some(Current {
            claim,
            spurt: self.numbering,
            since: talks_since.unwrap_or(now),
            newest_seq: None,
            last_seq: None,
            before: Vec::new(),
            first_frame: talks_since,
            from_queue,
            grants_sent: 0,
            revoked: None,
        });
        // A grant out of the queue meets somebody who may have put the radio down: T20 and C20 instead of T1.
        self.t1 = (!from_queue || talks_since.is_some()).then(|| now + self.timers.t1);
        self.out.push_back(Say::Began(self.numbering));
        self.grant_again(now);
        self.say_taken(now);
    }

    pub(super) fn grant_again(&mut self, now: Instant) {
        let Some(current) = &mut self.current else { return };
        current.grants_sent = current.grants_sent.saturating_add(1);
        current.revoked = None;
        self.t3 = None;
        let limit = self.timers.limit(current.claim.priority.tier);
        let left = self.t2.map_or(limit, |t2| t2.saturating_duration_since(now));
        let granted = Granted {
            request: current.claim.request,
            spurt: current.spurt,
            duration_s: u16::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(u16::MAX),
            tier: current.claim.priority.tier,
            own_side_only: false,
        };
        if current.from_queue && current.first_frame.is_none() {
            self.t20 = Some(now + self.timers.t20);
        }
        self.out.push_back(Say::To(current.claim.party.clone(), FloorBody::Granted(granted)));
    }

    fn raise(&mut self, now: Instant) {
        let Some(current) = &self.current else { return };
        if let Some(first) = current.first_frame {
            self.t2 = Some(first + self.timers.limit(current.claim.priority.tier));
        }
        self.say_taken(now);
    }

    pub(super) fn say_taken(&mut self, now: Instant) {
        let taken = self.taken(now);
        self.out.extend(taken.map(Say::Taken));
    }

    fn enqueue(&mut self, claim: Claim, first: bool) {
        // Whoever talks already on its own side is not displaced by one that only has its last frame on the way.
        let next = first || (self.state == State::Draining && self.queue.is_empty());
        if claim.since.is_some() && !next {
            self.queue.remove(&claim.party);
            self.deny(claim, DenyCause::Displaced);
            return;
        }
        let outcome = if first { self.queue.insert_first(claim) } else { self.queue.insert(claim) };
        match outcome {
            Enqueued::Waits => {}
            Enqueued::Displaced(claim) | Enqueued::Full(claim) => {
                self.deny(claim, DenyCause::QueueFull);
            }
        }
    }

    fn revoke_with_grace(&mut self, cause: RevokeCause, now: Instant) {
        self.revoke(cause, self.timers.t3);
        self.t3 = Some(now + self.timers.t3);
        self.t2 = None;
        if let Some(current) = &mut self.current {
            current.revoked = Some(cause);
            if cause == RevokeCause::TalkLimit {
                self.key_held.insert(current.claim.party.clone());
            }
        }
    }

    pub(super) fn revoke(&mut self, cause: RevokeCause, grace: Duration) {
        let Some(current) = &self.current else { return };
        let revoke = Revoke { request: current.claim.request, spurt: current.spurt, cause, grace_ms: millis(grace) };
        self.out.push_back(Say::To(current.claim.party.clone(), FloorBody::Revoke(revoke)));
    }

    fn ack(&mut self) {
        if let Some(current) = &self.current {
            let body = FloorBody::Ack { request: current.claim.request };
            self.out.push_back(Say::To(current.claim.party.clone(), body));
        }
    }

    fn end(&mut self, cause: Option<RevokeCause>, now: Instant) {
        (self.t1, self.t2, self.t3, self.t20, self.tail) = (None, None, None, None, None);
        let Some(current) = self.current.take() else { return };
        let last_seq = current.last_seq.or(current.newest_seq);
        self.over = Some(Idle { spurt: current.spurt, last_seq, cause, followed: false });
        self.out.push_back(Say::Ended(Ended {
            spurt: current.spurt,
            party: current.claim.party,
            talker: current.claim.talker,
            priority: current.claim.priority,
            duration: now.saturating_duration_since(current.since),
            last_seq,
            cause,
        }));
    }

    pub(super) fn tell_positions(&mut self) {
        for (party, request, position) in self.queue.changed_positions() {
            self.out.push_back(Say::To(party, FloorBody::Queued { request, position }));
        }
    }
}
