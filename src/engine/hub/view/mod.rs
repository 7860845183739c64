//! One gateway's picture of one talkgroup: who may be heard here, now.
//!
//! A view arbitrates by itself (local talkgroup, home of bridges, or cut off from its home) or follows a home. Members are
//! own sessions; far ends are peers with an active bridge. Its voice is in `voice.rs`.

mod bridge;
mod call;
mod crossing;
mod floor;
mod tell;
mod voice;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use wire::control::{Affiliated, FarSide, FloorBody, Idle, Message, Taken, Talker};
use wire::{Authority, Epoch, Handle, Identity, Reason, RevokeCause, SessionId, Spurt, TalkgroupId};

use super::bridges::Far;
use super::follower::{Follower, Talking};
use super::output::{Event, Outbox};
use super::rights::judge_local;
use crate::Deadline;
use crate::floor::arbiter::Arbiter;
use crate::floor::say::Say;
use crate::floor::{Claim, Party};
use crate::gate::Gate;
use crate::loss::History;
use crate::plan::Talkgroup;
use call::{Calls, Over};
use crossing::Links;
pub(crate) use voice::Frame;
use voice::{Ears, LastFrame};

/// Who arbitrates.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    /// This gateway.
    Arbiter(Arbiter),
    /// The home.
    Partner(Follower),
}

/// One talkgroup here.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) plan: Talkgroup,
    pub(crate) handle: Handle,
    pub(crate) members: BTreeMap<SessionId, Talker>,
    pub(crate) side: Side,
    /// Far ends with an active bridge, by session.
    pub(crate) far: BTreeMap<SessionId, Far>,
    /// Whether a bridge is configured for it, carrying or not.
    is_bridged: bool,
    /// Bridged authorities that cannot be reached now.
    pub(crate) away: BTreeSet<Authority>,
    /// The home, while an emergency it would not admit or answer runs on the own side only.
    pub(crate) detached: Option<Far>,
    /// Whether the home was left only because it was slow, and is still to be asked to take this view back.
    pub(crate) unanswered: bool,
    /// Units in emergency, the first one first.
    pub(crate) emergency: Vec<Identity>,
    /// Members that were in emergency, the newest first: of others of this side a home is not believed that they are.
    raised: VecDeque<Identity>,
    /// Whether this view has followed a home since its gateway started, so that it knows of the ends of emergencies too.
    has_followed: bool,
    pub(crate) gate: Gate,
    ears: Ears,
    /// The last frame of the newest spurt, so that its copies pass too.
    last_frame: Option<LastFrame>,
    /// The newest frames that passed, to be repeated with the next.
    history: History,
    /// The session from which the newest spurt came.
    source: Option<SessionId>,
    /// The newest epoch that was told for keeping.
    kept: Epoch,
    calls: Calls,
    links: Links,
}

impl View {
    pub(crate) fn new(plan: Talkgroup, handle: Handle, epoch: Epoch) -> Self {
        let arbiter = Arbiter::new(plan.timers, epoch);
        Self {
            gate: Gate::new(arbiter.newest()),
            plan,
            handle,
            members: BTreeMap::new(),
            side: Side::Arbiter(arbiter),
            far: BTreeMap::new(),
            is_bridged: false,
            away: BTreeSet::new(),
            detached: None,
            unanswered: false,
            emergency: Vec::new(),
            raised: VecDeque::new(),
            has_followed: false,
            ears: Ears::default(),
            last_frame: None,
            history: History::default(),
            source: None,
            kept: epoch,
            calls: Calls::default(),
            links: Links::default(),
        }
    }

    pub(crate) fn id(&self) -> &TalkgroupId {
        &self.plan.id
    }

    /// The newest epoch of this view's spurt numbers.
    pub(crate) fn epoch(&self) -> Epoch {
        match &self.side {
            // An arbiter numbers ahead of the gate: its first spurt has yet to come.
            Side::Arbiter(arbiter) => self.gate.newest().epoch.max(arbiter.newest().epoch),
            Side::Partner(follower) => self.gate.newest().epoch.max(follower.epoch),
        }
    }

    /// Tells an epoch that is new here, whoever began it: after a restart this gateway must number above it.
    pub(super) fn keep_epoch(&mut self, out: &mut Outbox) {
        let epoch = self.epoch();
        if epoch.is_after(self.kept) {
            self.kept = epoch;
            out.event(Event::Epoch(epoch));
        }
    }

    /// Takes changed rights and timers; members and talkers without a right any more lose what they held.
    pub(crate) fn set_plan(&mut self, plan: Talkgroup, now: Instant, out: &mut Outbox) {
        if self.plan == plan {
            return;
        }
        self.plan = plan;
        let out_now: Vec<SessionId> =
            self.members.iter().filter(|(_, talker)| !self.plan.admits(&talker.identity)).map(|(session, _)| *session).collect();
        for session in out_now {
            self.leave(session, RevokeCause::NotAllowed, now, out);
            out.control(session, Message::AffiliateRefused(self.id().clone(), Reason::NotAMember));
        }
        let lasts = !self.emergency.is_empty();
        let (plan, members) = (&self.plan, &self.members);
        // A claim is judged again as it was made: a right that was withdrawn ends what it allowed.
        let lost = |claim: &Claim| {
            let own = members.contains_key(&claim.party.session);
            own && judge_local(plan, &claim.party.identity, claim.priority, lasts).is_err()
        };
        match &mut self.side {
            Side::Arbiter(arbiter) => {
                arbiter.set_timers(plan.timers);
                let current = arbiter.current().map(|current| &current.claim);
                let silenced: Vec<Party> = current
                    .into_iter()
                    .chain(arbiter.queue().claims())
                    .filter(|claim| lost(claim))
                    .map(|claim| claim.party.clone())
                    .collect();
                arbiter.leave_if(|party| silenced.contains(party), RevokeCause::NotAllowed, now);
            }
            Side::Partner(follower) => {
                let silenced: Vec<Party> = follower.claims().filter(|claim| lost(claim)).map(|claim| claim.party.clone()).collect();
                let mut relays = Vec::new();
                for party in silenced {
                    relays.extend(follower.leave(&party, RevokeCause::NotAllowed, &mut self.gate, now, out));
                }
                self.relay(relays, now, out);
            }
        }
        self.drain(now, out);
    }

    // === Members ===

    /// A session joined; rights were checked.
    pub(crate) fn join(&mut self, session: SessionId, talker: Talker, now: Instant, out: &mut Outbox) {
        let rights = self.plan.rights(&talker.identity);
        self.members.insert(session, talker);
        if self.current_taken(now).is_some() {
            out.watch.joined_late(self.handle, session, now);
        }
        self.renew_listeners();
        let affiliated = Affiliated {
            talkgroup: self.id().clone(),
            handle: self.handle,
            title: self.plan.title.clone(),
            agency: self.plan.agency.clone(),
            rights,
            // A spurt under way must pass at the late joiner too, so the base line lies before it.
            baseline: self.current_taken(now).map_or_else(|| self.gate.newest(), |t| before(t.spurt)),
            current: self.current_taken(now),
            emergency: self.emergency.first().cloned(),
            far_sides: self.far_sides(),
        };
        out.control(session, Message::Affiliated(Box::new(affiliated)));
    }

    /// A session left or ended.
    pub(crate) fn leave(&mut self, session: SessionId, cause: RevokeCause, now: Instant, out: &mut Outbox) {
        let Some(talker) = self.members.remove(&session) else { return };
        self.ears.forget(session);
        self.renew_listeners();
        let party = Party { session, identity: talker.identity };
        match &mut self.side {
            Side::Arbiter(arbiter) => arbiter.leave(&party, cause, now),
            Side::Partner(follower) => {
                let relays = follower.leave(&party, cause, &mut self.gate, now, out);
                self.relay(relays, now, out);
            }
        }
        self.drain(now, out);
    }

    /// Who talks, for late entry.
    pub(crate) fn current_taken(&self, now: Instant) -> Option<Taken> {
        match &self.side {
            Side::Arbiter(arbiter) => arbiter.taken(now),
            Side::Partner(follower) => follower.talking().and_then(|talking| {
                let (talker, spurt, tier, via, since) = match talking {
                    Talking::Local { claim, spurt, since, .. } => (claim.talker.clone(), *spurt, claim.priority.tier, None, *since),
                    Talking::Remote { taken, spurt, since } => {
                        let taken = taken.as_ref()?;
                        (taken.talker.clone(), *spurt, taken.tier, taken.via.clone(), *since)
                    }
                };
                let elapsed_ms = crate::millis(now.saturating_duration_since(since));
                Some(Taken { spurt, talker, tier, via, elapsed_ms })
            }),
        }
    }

    pub(super) fn far_sides(&self) -> Vec<FarSide> {
        let present = self.far.values().map(|far| (&far.authority, true));
        let away = self.away.iter().map(|authority| (authority, false));
        present
            .chain(away)
            .map(|(authority, present)| FarSide { talkgroup: self.id().clone(), authority: authority.clone(), present })
            .collect()
    }

    // === Time and output ===

    pub(crate) fn poll_timeout(&self) -> Deadline {
        match &self.side {
            Side::Arbiter(arbiter) => arbiter.poll_timeout(),
            Side::Partner(follower) => follower.poll_timeout(),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        match &mut self.side {
            Side::Arbiter(arbiter) => arbiter.handle_timeout(now),
            Side::Partner(follower) if follower.emergency_overdue(now) => {
                self.detach(true, now, out);
                self.raise_waiting_emergencies(out);
            }
            Side::Partner(follower) => {
                follower.repeat_emergencies(now, out);
                let is_alone = follower.is_suspended();
                let ended = follower.end_overdue(&mut self.gate, now, out);
                if !ended.is_empty() && !is_alone {
                    out.misbehaved(follower.home.session, "a spurt that it does not end", now);
                }
                self.relay(ended, now, out);
            }
        }
        self.drain(now, out);
    }

    /// Passes on what the arbiter said.
    pub(crate) fn drain(&mut self, now: Instant, out: &mut Outbox) {
        // The spurt that ended in this round; what comes next tells whether somebody follows.
        let mut over = None;
        loop {
            let Side::Arbiter(arbiter) = &mut self.side else { return };
            let Some(say) = arbiter.poll() else { return };
            match say {
                Say::To(party, mut body) => {
                    match &mut body {
                        FloorBody::Granted(granted) => granted.own_side_only = self.stays_on_own_side(party.session),
                        FloorBody::Deny { cause, .. } => {
                            let agreement = self.far.get(&party.session).map(|far| far.agreement.clone());
                            out.event(self.denied_event(&party.identity, *cause, agreement));
                            self.note_denied(party.session, *cause, out);
                        }
                        FloorBody::Request(_)
                        | FloorBody::Queued { .. }
                        | FloorBody::Taken(_)
                        | FloorBody::Idle(_)
                        | FloorBody::Release(_)
                        | FloorBody::Revoke(_)
                        | FloorBody::Ack { .. } => {}
                    }
                    self.tell_party(&party, body, out);
                }
                Say::Taken(taken) => self.say_taken(taken, out),
                Say::Idle(idle) => {
                    if idle.is_lost() {
                        self.gate.cut(idle.spurt);
                    }
                    if idle.spurt.is_start() {
                        self.gate.advance(idle.spurt);
                        self.tell_far_sides(&FloorBody::Idle(idle.clone()), out);
                    }
                    self.tell_members(None, &FloorBody::Idle(idle), out);
                    self.tell_far_over(over.take(), out);
                }
                Say::Began(spurt) => {
                    self.gate.open(spurt);
                    self.source = arbiter.current().map(|current| current.claim.party.session);
                    self.renew_listeners();
                    self.note_crossing();
                    self.tell_far_over(over.take().map(|(session, idle)| (session, Idle { followed: true, ..idle })), out);
                }
                Say::Ended(ended) => {
                    self.links.spurt_over();
                    over = Some((
                        ended.party.session,
                        Idle { spurt: ended.spurt, last_seq: ended.last_seq, cause: ended.cause, followed: false },
                    ));
                    let over = Over {
                        session: ended.party.session,
                        talker: ended.talker,
                        tier: ended.priority.tier,
                        level: Some(ended.priority.level),
                        via: None,
                        spurt: ended.spurt,
                        duration: ended.duration,
                        ended_by: ended.cause,
                    };
                    self.record(over, now, out);
                }
            }
        }
    }
}

/// A base line just before a spurt.
fn before(spurt: Spurt) -> Spurt {
    Spurt::from_bits(spurt.to_bits().wrapping_sub(1))
}
