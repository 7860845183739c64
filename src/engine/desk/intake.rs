//! A message comes in: judged, signed if it is an own unit's, written, answered when it is on the disk.
//!
//! What is refused for good is looked up first: if the same message was taken before and only the answer was lost, it is
//! answered *taken*, whatever has changed since.

use std::time::{Duration, Instant};

use wire::control::Talker;
use wire::data::keep::{Entry, Kept, Known, Load};
use wire::data::{Envelope, LIFETIME_MAX_S, Message, MessageId, Recipient, Signature, Undelivered};
use wire::{DecodeError, Identity, Kind, Reason};

use super::jobs::{Filing, Unanswered};
use super::output::Event;
use super::reports::LookUp;
use super::route::{NoWay, Router, Way};
use super::{Desk, JOBS_MAX, Now, SHARED_BACKLOG, Seals, UNIT_BACKLOG};
use crate::rate::{Cell, Rate};

/// Messages of one sender, urgent or not: far above what a person writes, and a working terminal reports.
const MESSAGES: Rate = Rate { every: Duration::from_millis(10), burst: 200 };
/// Urgent messages of one sender, which may use the space that is kept for alerts.
const URGENT: Rate = Rate { every: Duration::from_secs(1), burst: 20 };
/// Senders whose usage is remembered; the usage of one more is not limited until some are paid off.
const SENDERS_MAX: usize = 8_192;
/// How long what came over a bridge that has not come up waits for that: both sides' words are on their way.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);
/// How much longer than a message may live its id is known; as far clocks may differ.
pub(super) const REMEMBER_MS: u64 = 24 * 3_600 * 1_000;

/// What one sender has used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    messages: Cell,
    urgent: Cell,
}

impl Limits {
    fn take(&mut self, is_urgent: bool, now: Instant) -> bool {
        self.messages.take(MESSAGES, now) && (!is_urgent || self.urgent.take(URGENT, now))
    }

    pub(super) fn is_paid(self, now: Instant) -> bool {
        self.messages.is_paid(now) && self.urgent.is_paid(now)
    }
}

/// A peer's message whose bridge has not come up.
#[derive(Debug)]
pub(super) struct Deferred {
    pub(super) to: Unanswered,
    pub(super) until: Instant,
    envelope: Envelope,
}

/// What tells a copy from another message with its id.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) id: MessageId,
    pub(super) sender: Identity,
    pub(super) digest: u64,
}

impl<S: Seals> Desk<S> {
    pub(super) fn take_message(&mut self, to: Unanswered, envelope: Envelope, now: Now) {
        let Some(who) = self.sessions.get(&to.session).map(|entry| entry.who.clone()) else { return };
        match envelope.open() {
            Ok(message) if who.identity.kind == Kind::Gateway => self.take_from_peer(to, envelope, &message, now.at + SETTLE_WITHIN, now),
            Ok(message) => self.take_from_unit(to, who, &envelope, message, now),
            Err(DecodeError::Invalid { what: "text" | "binary" }) => self.refuse(to, &who.identity, Undelivered::TooLarge),
            // The gateway before should have refused it; its sender is told.
            Err(_) if who.identity.kind == Kind::Gateway => self.refuse(to, &who.identity, Undelivered::Other),
            Err(_) => self.end(to.session, Reason::Malformed),
        }
    }

    fn take_from_unit(&mut self, to: Unanswered, who: Talker, envelope: &Envelope, message: Message, now: Now) {
        let claim = Claim { id: message.id, sender: who.identity.clone(), digest: Known::digest(&envelope.signed) };
        let (lifetime_ms, latest) = (u64::from(message.lifetime_s) * 1_000, now.ms + u64::from(LIFETIME_MAX_S) * 1_000);
        // A copy may come for as long as its id is known, counted by the sender's clock or ours, whichever is later.
        let until_ms = message.sent_ms.clamp(now.ms, latest) + lifetime_ms + REMEMBER_MS;
        if message.sent_ms.saturating_add(lifetime_ms + REMEMBER_MS) <= now.ms {
            return self.refuse_for_good(to, claim, Undelivered::Expired, now);
        }
        if message.from.identity != who.identity {
            return self.refuse_for_good(to, claim, Undelivered::NotAuthentic, now);
        }
        if !self.is_within_rate(&who.identity, message.urgent, now.at) {
            return self.refuse(to, &who.identity, Undelivered::RateLimited);
        }
        let message = Message { from: who.clone(), sent_ms: now.ms, ..message };
        let router = Router { policy: &self.policy, borders: &self.borders, now_ms: now.ms };
        let Some(entry) = self.sessions.get(&to.session) else { return };
        let ways = match router.of_unit(&entry.groups, &message) {
            Ok(ways) => ways,
            Err(reason) => return self.refuse_for_good(to, claim, reason, now),
        };
        let signed = message.encode();
        let Some(signature) = self.seals.sign(&signed) else { return self.refuse(to, &who.identity, Undelivered::StoreFailed) };
        let kept = Kept { id: message.id, signed, signature };
        self.take(to, &claim, &message, kept, who.identity, until_ms, ways);
    }

    fn take_from_peer(&mut self, to: Unanswered, envelope: Envelope, message: &Message, until: Instant, now: Now) {
        let Some(peer) = self.sessions.get(&to.session).map(|entry| entry.who.identity.clone()) else { return };
        let sender = message.from.identity.clone();
        let claim = Claim { id: message.id, sender, digest: Known::digest(&envelope.signed) };
        if message.expires_ms() <= now.ms {
            return self.refuse_for_good(to, claim, Undelivered::Expired, now);
        }
        if message.sent_ms > now.ms + REMEMBER_MS {
            // Its id would have to be known for ever.
            return self.refuse_for_good(to, claim, Undelivered::Other, now);
        }
        let router = Router { policy: &self.policy, borders: &self.borders, now_ms: now.ms };
        let ways = match router.of_peer(&peer.authority, &envelope, message) {
            Ok(ways) => ways,
            Err(NoWay::Because(reason)) => return self.refuse_for_good(to, claim, reason, now),
            Err(NoWay::NotYet) if until <= now.at => return self.refuse_for_good(to, claim, Undelivered::BridgeForbids, now),
            Err(NoWay::NotYet) => return self.deferred.push(Deferred { to, until, envelope }),
        };
        let signature = envelope.signature.clone().filter(|_| self.seals.is_authentic(to.session, &claim.sender.authority, &envelope));
        let Some(signature) = signature else { return self.refuse_for_good(to, claim, Undelivered::NotAuthentic, now) };
        let kept = Kept { id: message.id, signed: envelope.signed, signature };
        self.take(to, &claim, message, kept, peer, message.expires_ms() + REMEMBER_MS, ways);
    }

    /// Judges again what waited for its bridge.
    pub(super) fn judge_deferred(&mut self, now: Now) {
        for Deferred { to, until, envelope } in std::mem::take(&mut self.deferred) {
            if let Ok(message) = envelope.open() {
                self.take_from_peer(to, envelope, &message, until, now);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything that was found out about one message, used once")]
    fn take(&mut self, to: Unanswered, claim: &Claim, message: &Message, kept: Kept, back: Identity, until_ms: u64, ways: Vec<Way>) {
        let is_full = |way: &Way| {
            let most = match &way.outbox {
                Recipient::Identity(identity) if identity.kind != Kind::Gateway => UNIT_BACKLOG,
                Recipient::Identity(_) | Recipient::Talkgroup(_) => SHARED_BACKLOG,
            };
            self.backlog.get(&way.outbox).is_some_and(|entries| *entries >= most)
        };
        if self.jobs.len() >= JOBS_MAX || ways.iter().any(is_full) {
            return self.refuse(to, &claim.sender, Undelivered::QueueFull);
        }
        let (sender, recipient) = (claim.sender.clone(), message.to.clone());
        let remember = Some(Known { id: claim.id, sender: sender.clone(), recipient, back, digest: claim.digest, until_ms });
        let put = |way: Way| Entry {
            outbox: way.outbox,
            urgent: message.urgent,
            sender: sender.clone(),
            expires_ms: way.until_ms,
            load: Load::Message { id: message.id, to: way.to, hops: way.hops, status: way.status },
        };
        let puts = ways.into_iter().map(put).collect();
        self.file(Filing { to: Some(to), remember, kept: Some(kept), puts, settles: Vec::new(), alert: message.urgent });
    }

    fn is_within_rate(&mut self, sender: &Identity, is_urgent: bool, now: Instant) -> bool {
        if self.limits.len() >= SENDERS_MAX && !self.limits.contains_key(sender) {
            return true;
        }
        self.limits.entry(sender.clone()).or_default().take(is_urgent, now)
    }

    pub(super) fn refuse(&mut self, to: Unanswered, sender: &Identity, reason: Undelivered) {
        self.out.event(Event::Refused(sender.clone(), reason));
        self.answer(to, Err(reason));
    }

    fn refuse_for_good(&mut self, to: Unanswered, claim: Claim, reason: Undelivered, now: Now) {
        self.look_up(claim.id, LookUp::Refusal { to, claim, reason }, now);
    }

    /// The envelope that an entry leaves in. What this gateway signed with a key that is no longer in use is signed anew.
    pub(super) fn envelope(&self, kept: Kept, to: Recipient, hops: u8, status: Option<u16>, sender: &Identity) -> Envelope {
        let is_ours = hops == 0 && sender.authority == *self.policy.own();
        let renewed: Option<Signature> =
            if is_ours && !self.seals.is_current(&kept.signature) { self.seals.sign(&kept.signed) } else { None };
        Envelope { signed: kept.signed, signature: Some(renewed.unwrap_or(kept.signature)), to, hops, status }
    }
}
