//! The partner's side of a bridged talkgroup: the home arbitrates, this side forwards and relays.
//!
//! Kept here: who the home says talks, and which requests of own members are with the home, so that at a cut the own
//! arbiter can go on with exactly those.

mod crossing;
mod home;
mod mistrust;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use wire::control::{Floor, FloorBody, Idle, Message, Release, Request, Revoke, Taken, Talker};
use wire::datagram::Datagram;
use wire::{DenyCause, Epoch, Identity, Priority, RequestId, RevokeCause, Seq, SessionId, Spurt, Tier};

use super::asked::Asked;
use super::bridges::Far;
use super::output::{Outbox, Output};
use crate::floor::arbiter::Current;
use crate::floor::{Claim, Party};
use crate::gate::Gate;
use crate::{Deadline, earliest};
use mistrust::Mistrust;
pub(super) use mistrust::Verdict;

/// Who talks, as the home says.
#[derive(Clone, Debug)]
pub(crate) enum Talking {
    /// One of our own members, under this grant; not `granted` while the home has yet to decide over a talker of the time alone, and
    /// while it is `suspended`: given back to the home, for the link there is full, and heard on the own side only.
    /// Frames under the `earlier` numbers pass until the first of the newest: the talker learns of a new one a moment later.
    Local { claim: Claim, spurt: Spurt, earlier: Vec<Spurt>, since: Instant, relinquished: bool, granted: bool, suspended: bool },
    /// Somebody heard from the home; unnamed while only its frames have arrived.
    Remote { taken: Option<Taken>, spurt: Spurt, since: Instant },
}

impl Talking {
    pub(crate) fn spurt(&self) -> Spurt {
        match self {
            Self::Local { spurt, .. } | Self::Remote { spurt, .. } => *spurt,
        }
    }
}

/// The partner's side of one bridged talkgroup.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) home: Far,
    /// The newest epoch that the home told; what this side numbers later lies above it, heard of or not.
    pub(crate) epoch: Epoch,
    talking: Option<Talking>,
    asked: Asked,
    /// Talkers cut off by the talk limit; the home waits to hear that their key went up.
    key_held: BTreeSet<Party>,
    /// Who talks at the home while our own talker's request is undecided: *taken* does not cancel a request.
    held_back: Option<Taken>,
    /// A spurt that is over and of which the home has yet to say what follows.
    untold: Option<Spurt>,
    /// Who released before the home had decided, and the last frame, which the release overtakes.
    tail: Option<(SessionId, Spurt, Seq)>,
    mistrust: Mistrust,
}

/// What a message of the home means for the members.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Relay {
    /// To the party concerned.
    To(SessionId, FloorBody),
    /// To every member but this session.
    Others(Option<SessionId>, FloorBody),
    /// A member's request was denied by the home.
    Denied(Party, RequestId, DenyCause),
    /// One of our members' spurts is over.
    LocalEnded { claim: Claim, spurt: Spurt, since: Instant, cause: Option<RevokeCause> },
    /// Somebody else's spurt is over.
    RemoteEnded { session: SessionId, taken: Taken, since: Instant, cause: Option<RevokeCause> },
}

impl Follower {
    pub(crate) fn new(home: Far, epoch: Epoch, now: Instant) -> Self {
        let mistrust = Mistrust::new(Spurt::start_of(epoch), now);
        Self {
            home,
            epoch,
            talking: None,
            asked: Asked::default(),
            key_held: BTreeSet::new(),
            held_back: None,
            untold: None,
            tail: None,
            mistrust,
        }
    }

    pub(crate) fn talking(&self) -> Option<&Talking> {
        self.talking.as_ref()
    }

    /// Goes on with a talker of the time alone; the home has it from *sync* or gets a request now.
    pub(crate) fn adopt(&mut self, current: &Current, announced: bool, now: Instant, out: &mut Outbox) {
        let Current { claim, spurt, before, since, .. } = current;
        let (claim, spurt, earlier, since) = (claim.clone(), *spurt, before.clone(), *since);
        if !announced {
            let talked = crate::millis(now.saturating_duration_since(since));
            self.send(Some(claim.party.identity.clone()), FloorBody::Request(self.request_of(&claim, Some(talked))), out);
        }
        self.asked.insert(claim.clone());
        self.talking = Some(Talking::Local { claim, spurt, earlier, since, relinquished: false, granted: false, suspended: false });
    }

    /// Whether a talker of the time alone waits for the home's decision; until then its own view hears it and nobody else.
    pub(crate) fn is_settling(&self) -> bool {
        matches!(self.talking, Some(Talking::Local { granted: false, .. }))
    }

    /// Takes a member's request to the home.
    pub(crate) fn forward(&mut self, claim: Claim, now: Instant, out: &mut Outbox) {
        self.send(Some(claim.party.identity.clone()), FloorBody::Request(self.request_of(&claim, None)), out);
        self.asked.sent(claim, now);
    }

    /// Takes a member's release to the home.
    pub(crate) fn release(&mut self, party: &Party, release: &Release, gate: &mut Gate, now: Instant, out: &mut Outbox) -> Vec<Relay> {
        let talks = self.is_talking(party, release.request);
        if self.asked.take(party, release.request).is_none() && !talks && !release.key_down && !self.key_held.remove(party) {
            // The home knows nothing of it (any more): answered here, so that repeats do not cross the border.
            return vec![Relay::To(party.session, FloorBody::Ack { request: release.request })];
        }
        self.mistrust.releases(party, release.request);
        self.send(Some(party.identity.clone()), FloorBody::Release(release.clone()), out);
        let Some(Talking::Local { claim, spurt, relinquished, granted, .. }) = &mut self.talking else { return Vec::new() };
        if claim.party != *party || claim.request != release.request {
            return Vec::new();
        }
        *relinquished = true;
        if *granted {
            return Vec::new();
        }
        // The home never granted it, so it will not say that it is over.
        self.tail = release.last_seq.map(|last| (party.session, *spurt, last));
        let idle = Idle { spurt: *spurt, last_seq: release.last_seq, cause: None, followed: false };
        let mut relays: Vec<Relay> = self.end_talking(None).into_iter().collect();
        relays.push(Relay::Others(None, FloorBody::Idle(idle)));
        relays.extend(self.resume(gate, now));
        relays
    }

    /// A member left, or its rights did: whatever it asked or held is given back.
    pub(crate) fn leave(&mut self, party: &Party, cause: RevokeCause, gate: &mut Gate, now: Instant, out: &mut Outbox) -> Vec<Relay> {
        let mut relays = Vec::new();
        let held = match &self.talking {
            Some(Talking::Local { claim, spurt, .. }) if claim.party == *party => {
                let revoke = Revoke { request: claim.request, spurt: *spurt, cause, grace_ms: 0 };
                relays.push(Relay::To(party.session, FloorBody::Revoke(revoke)));
                Some(claim.request)
            }
            Some(Talking::Local { .. } | Talking::Remote { .. }) | None => None,
        };
        if held.is_some() {
            gate.cut_all();
            self.untold = self.talking.as_ref().map(Talking::spurt);
            relays.extend(self.end_talking(Some(cause)));
            relays.extend(self.resume(gate, now));
        }
        self.mistrust.forgets(party);
        let asked = self.asked.take_all_of(party).map(|claim| claim.request);
        if let (None, Some(request)) = (held, asked) {
            relays.push(Relay::To(party.session, FloorBody::Deny { request, cause: DenyCause::ReceiveOnly }));
        }
        // Whoever is gone has let go of the key as well; the arbiter waits for that after a talk limit.
        let key = self.key_held.remove(party).then_some(RequestId(0));
        if let Some(request) = held.or(asked).or(key) {
            self.give_back(party.identity.clone(), request, out);
        }
        relays
    }

    /// Whether a frame of this member may be heard now.
    pub(crate) fn may_talk(&mut self, session: SessionId, frame: Spurt, seq: Seq) -> bool {
        if self.talking.is_none() && matches!(self.tail, Some((who, spurt, last)) if who == session && spurt == frame && seq <= last) {
            return true;
        }
        let Some(Talking::Local { claim, spurt, earlier, .. }) = &mut self.talking else { return false };
        if claim.party.session != session {
            return false;
        }
        if *spurt == frame {
            earlier.clear();
        }
        *spurt == frame || earlier.contains(&frame)
    }

    /// A frame of the home began a spurt before its *taken* came.
    pub(crate) fn begun_by_voice(&mut self, spurt: Spurt, now: Instant) -> Vec<Relay> {
        let ended = self.displace(RevokeCause::Displaced);
        self.talks(Talking::Remote { taken: None, spurt, since: now }, None, now);
        ended
    }

    fn talks(&mut self, talking: Talking, limit: Option<Duration>, now: Instant) {
        self.mistrust.begin(limit, now);
        self.talking = Some(talking);
        self.tail = None;
    }

    /// Whether one of our members talks under this request.
    fn is_talking(&self, party: &Party, request: RequestId) -> bool {
        matches!(&self.talking, Some(Talking::Local { claim, .. }) if claim.party == *party && claim.request == request)
    }

    /// What the home gave or may give is given back.
    pub(crate) fn give_back(&self, party: Identity, request: RequestId, out: &mut Outbox) {
        give_back(&self.home, party, request, out);
    }

    /// Takes up what the home said while an own talker's request was undecided.
    fn resume(&mut self, gate: &mut Gate, now: Instant) -> Vec<Relay> {
        self.held_back.take().map_or_else(Vec::new, |taken| self.taken(&taken, gate, now))
    }

    /// Whoever talks gives way, for this cause; a member of ours that does not know it yet is told.
    fn displace(&mut self, cause: RevokeCause) -> Vec<Relay> {
        let mut relays = Vec::new();
        if let Some(Talking::Local { claim, spurt, relinquished: false, .. }) = &self.talking {
            let revoke = Revoke { request: claim.request, spurt: *spurt, cause, grace_ms: 0 };
            relays.push(Relay::To(claim.party.session, FloorBody::Revoke(revoke)));
        }
        relays.extend(self.end_talking(Some(cause)));
        relays
    }

    /// Ends whatever talks. A local talker that released ended by itself, whatever the cause given. A raise that crossed the end is
    /// still with the home, which grants it anew, lets it wait or denies it.
    fn end_talking(&mut self, cause: Option<RevokeCause>) -> Option<Relay> {
        match self.talking.take()? {
            Talking::Local { claim, spurt, since, relinquished, .. } => {
                if relinquished || !self.asked.is_raised(&claim) {
                    self.asked.take(&claim.party, claim.request);
                }
                Some(Relay::LocalEnded { claim, spurt, since, cause: if relinquished { None } else { cause } })
            }
            Talking::Remote { taken, since, .. } => {
                taken.map(|taken| Relay::RemoteEnded { session: self.home.session, taken, since, cause })
            }
        }
    }

    /// A spurt that is over without a word to the members what follows.
    pub(crate) fn untold(&self) -> Option<Spurt> {
        self.untold
    }

    /// Everything that own members hold or ask for.
    pub(crate) fn claims(&self) -> impl Iterator<Item = &Claim> {
        let talks = self.talking.iter().filter_map(|talking| match talking {
            Talking::Local { claim, .. } => Some(claim),
            Talking::Remote { .. } => None,
        });
        talks.chain(self.asked.claims())
    }

    /// The priority in which a member talks.
    pub(crate) fn priority_of(&self, session: SessionId) -> Option<Priority> {
        match &self.talking {
            Some(Talking::Local { claim, .. }) if claim.party.session == session => Some(claim.priority),
            Some(Talking::Local { .. } | Talking::Remote { .. }) | None => None,
        }
    }

    /// The tier in which the home told somebody else to talk under this number.
    pub(crate) fn tier_told(&self, frame: Spurt) -> Option<Tier> {
        match &self.talking {
            Some(Talking::Remote { taken, spurt, .. }) if *spurt == frame => taken.as_ref().map(|taken| taken.tier),
            Some(Talking::Local { .. } | Talking::Remote { .. }) | None => None,
        }
    }

    /// Takes everything apart at a cut: the local talker, then the requests in the order of the queue they waited in. A raise of
    /// the talker's that the home never decided comes first; what it asked for at the same priority is settled by its talking.
    pub(crate) fn dissolve(mut self) -> (Option<Talking>, Vec<Claim>) {
        let talking = self.talking.take();
        let raise = match &talking {
            // A talker that released may have pressed again; that newer request is still to be decided.
            Some(Talking::Local { claim, relinquished, .. }) => {
                self.asked.take(&claim.party, claim.request).filter(|asked| !relinquished && asked.priority > claim.priority)
            }
            Some(Talking::Remote { .. }) | None => None,
        };
        (talking, raise.into_iter().chain(self.asked.into_queue()).collect())
    }

    /// An own member's emergency that the home has not answered in time.
    pub(crate) fn emergency_overdue(&self, now: Instant) -> bool {
        self.asked.is_overdue(now)
    }

    pub(crate) fn poll_timeout(&self) -> Deadline {
        earliest([self.answer_timeout(), self.mistrust.deadline(self.talking.as_ref())])
    }

    /// The next deadline with a home that keeps the protocol.
    pub(crate) fn answer_timeout(&self) -> Deadline {
        self.asked.poll_timeout()
    }

    /// Who waits at the home, for status.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Talker> {
        self.asked.claims().map(|claim| &claim.talker)
    }

    /// An emergency that the home has not answered is said again, past whatever its stream waits for.
    pub(crate) fn repeat_emergencies(&mut self, now: Instant, out: &mut Outbox) {
        for claim in self.asked.due_repeats(now) {
            let (party, body) = (Some(claim.party.identity.clone()), FloorBody::Request(self.request_of(&claim, None)));
            let floor = Floor { talkgroup: self.home.home.clone(), party, body };
            out.outputs.push_back(Output::Datagram(self.home.session, Datagram::Emergency(Box::new(Message::Floor(floor))).encode()));
        }
    }

    fn request_of(&self, claim: &Claim, continuing: Option<u32>) -> Request {
        let priority = super::rights::fit_to_ceiling(claim.priority, &self.home.their_inbound);
        Request { request: claim.request, priority, talker: Some(claim.talker.clone()), continuing }
    }

    fn send(&self, party: Option<Identity>, body: FloorBody, out: &mut Outbox) {
        send(&self.home, party, body, out);
    }
}

/// Takes back at a home what was asked of it for one of this side.
pub(crate) fn give_back(home: &Far, party: Identity, request: RequestId, out: &mut Outbox) {
    send(home, Some(party), FloorBody::Release(Release { request, last_seq: None, key_down: false }), out);
}

fn send(home: &Far, party: Option<Identity>, body: FloorBody, out: &mut Outbox) {
    out.control(home.session, Message::Floor(Floor { talkgroup: home.home.clone(), party, body }));
}
