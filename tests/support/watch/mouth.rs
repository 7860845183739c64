//! What a unit asked for, was granted and said: the talker's side of the invariants.

use std::time::Duration;

use tokio::time::Instant;
use wire::control::Granted;
use wire::{DenyCause, Priority, RequestId, RevokeCause, Spurt, Tier};

/// Frames spoken before the grant and kept: 300 ms.
const BACKLOG: usize = 15;
/// How long a revoked talker may go on inside the normal tier (T3).
const GRACE: Duration = Duration::from_millis(500);

/// A request without its final answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) request: RequestId,
    pub(super) tier: Tier,
    /// Since when it asks in this tier.
    pub(super) since: Instant,
    pub(super) queued: Option<Instant>,
}

/// A grant, over all numbers it went by.
#[derive(Clone, Debug)]
struct Grant {
    request: RequestId,
    spurts: Vec<Spurt>,
    tier: Tier,
    from: Instant,
    /// Under the newest number and tier.
    renewed: Instant,
    to: Option<Instant>,
    /// Until when it may still speak, having been told to stop.
    grace: Option<Instant>,
    /// Frames said before it.
    said_before: usize,
}

/// How a unit came to want nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It ended what it wanted, or was told that it is over.
    InOrder,
    /// Its session or process ended under the grant that it held.
    Talking,
    /// The same while it asked: it may be granted when it is gone.
    Asking,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Mouth {
    priority: Priority,
    ask: Option<Ask>,
    grants: Vec<Grant>,
    /// Grants before this one are of an earlier session: numbers do not compare.
    session_from: usize,
    said: Vec<Instant>,
    /// Since when it neither asks nor holds anything.
    content_since: Option<Instant>,
    left: Left,
    /// The grant whose length was complained of.
    too_long: Option<usize>,
    /// Whether the home lies.
    led: bool,
}

impl Mouth {
    pub(super) fn new(led: bool) -> Self {
        Self {
            priority: Priority::default(),
            ask: None,
            grants: Vec::new(),
            session_from: 0,
            said: Vec::new(),
            content_since: None,
            left: Left::InOrder,
            too_long: None,
            led,
        }
    }

    fn held(&self) -> Option<&Grant> {
        self.grants.last().filter(|grant| grant.to.is_none())
    }

    fn settle(&mut self, now: Instant) {
        let content = self.ask.is_none() && self.held().is_none();
        if !content {
            self.content_since = None;
        } else if self.content_since.is_none() {
            self.content_since = Some(now);
        }
    }

    // === What happens ===

    pub(super) fn pressed(&mut self, priority: Priority) {
        self.priority = priority;
        if let Some(ask) = self.ask.as_mut().filter(|ask| ask.tier < priority.tier) {
            (ask.tier, ask.since) = (priority.tier, Instant::now());
        }
    }

    pub(super) fn says(&mut self, now: Instant) -> u32 {
        self.said.push(now);
        self.said()
    }

    pub(super) fn requested(&mut self, request: RequestId, now: Instant) {
        self.left = Left::InOrder;
        self.ask = Some(Ask { request, tier: self.priority.tier, since: now, queued: None });
        self.settle(now);
    }

    pub(super) fn queued(&mut self, request: RequestId, now: Instant) {
        if let Some(ask) = self.ask.as_mut().filter(|ask| ask.request == request) {
            ask.queued.get_or_insert(now);
        }
    }

    pub(super) fn granted(&mut self, granted: &Granted, now: Instant) -> Result<(), String> {
        let asked = self.ask.take_if(|ask| ask.request == granted.request).is_some();
        let fresh = self.grants[self.session_from..].iter().flat_map(|grant| &grant.spurts).last().copied();
        let verdict = match fresh {
            Some(last) if last != granted.spurt && !super::ear::follows(granted.spurt, last, self.led) => {
                Err(format!("is granted {} after {last}: grants only rise", granted.spurt))
            }
            _ => Ok(()),
        };
        match self.grants.last_mut().filter(|grant| grant.request == granted.request && !asked) {
            Some(grant) => {
                if grant.spurts.last() != Some(&granted.spurt) {
                    grant.spurts.push(granted.spurt);
                    grant.renewed = now;
                } else if grant.tier != granted.tier {
                    grant.renewed = now;
                }
                (grant.tier, grant.to, grant.grace) = (granted.tier, None, None);
            }
            None if !asked => return Err(format!("is granted {} for {}, which it does not ask for", granted.spurt, granted.request)),
            None => self.grants.push(Grant {
                request: granted.request,
                spurts: vec![granted.spurt],
                tier: granted.tier,
                from: now,
                renewed: now,
                to: None,
                grace: None,
                said_before: self.said.len(),
            }),
        }
        self.settle(now);
        verdict
    }

    pub(super) fn denied(&mut self, request: RequestId, cause: DenyCause, now: Instant) -> Result<(), String> {
        let ask = self.ask.take_if(|ask| ask.request == request);
        self.settle(now);
        // Without the right, without the talkgroup, without a gateway: nothing else refuses somebody in danger.
        let may = [
            DenyCause::EmergencyNotAllowed,
            DenyCause::NotAffiliated,
            DenyCause::UnknownTalkgroup,
            DenyCause::Disconnected,
            DenyCause::RateLimited,
        ];
        match ask {
            Some(ask) if ask.tier == Tier::Emergency && !may.contains(&cause) => Err(format!("an emergency is denied as {cause}")),
            _ => Ok(()),
        }
    }

    pub(super) fn revoked(&mut self, request: RequestId, cause: RevokeCause, now: Instant) {
        let may_finish = matches!(cause, RevokeCause::Preempted | RevokeCause::TalkLimit);
        if let Some(grant) = self.grants.last_mut().filter(|grant| grant.request == request && grant.to.is_none()) {
            grant.to = Some(now);
            grant.grace = may_finish.then_some(now + GRACE);
        }
        self.settle(now);
    }

    /// Tells whether a spurt in which something was said ended by its talker's own will.
    pub(super) fn released(&mut self, request: RequestId, now: Instant) -> bool {
        self.ask.take_if(|ask| ask.request == request);
        let last_said = self.last_said();
        let held = self.grants.last_mut().filter(|grant| grant.request == request && grant.to.is_none());
        let spoke = held.is_some_and(|grant| {
            grant.to = Some(now);
            last_said.is_some_and(|said| said > grant.from)
        });
        self.settle(now);
        spoke
    }

    pub(super) fn cut_off(&mut self, now: Instant) {
        if self.ask.is_some() {
            self.left = Left::Asking;
        } else if self.held().is_some() {
            self.left = Left::Talking;
        }
        self.ask = None;
        if let Some(grant) = self.grants.last_mut() {
            grant.to.get_or_insert(now);
        }
        self.settle(now);
    }

    pub(super) fn new_session(&mut self) {
        self.session_from = self.grants.len();
    }

    // === What may be ===

    pub(super) fn grants(&self) -> usize {
        self.grants.len()
    }

    pub(super) fn ask(&self) -> Option<Ask> {
        self.ask
    }

    /// The grant it holds: since when, and by which number now.
    pub(super) fn live(&self) -> Option<(Instant, Spurt)> {
        self.held().and_then(|grant| Some((grant.from, grant.spurts.last().copied()?)))
    }

    /// Since when it holds a grant.
    pub(super) fn live_since(&self) -> Option<Instant> {
        self.held().map(|grant| grant.from)
    }

    pub(super) fn said(&self) -> u32 {
        u32::try_from(self.said.len()).expect("a short life")
    }

    pub(super) fn said_at(&self, count: u32) -> Option<Instant> {
        usize::try_from(count).ok().and_then(|count| self.said.get(count.checked_sub(1)?)).copied()
    }

    pub(super) fn last_said(&self) -> Option<Instant> {
        self.said.last().copied()
    }

    /// The first frame that was said under the grant that this one was said under, and since when that grant lives.
    pub(super) fn first_of(&self, count: u32) -> Option<(u32, Instant)> {
        let said = self.said_at(count)?;
        let grant = self.grants.iter().rev().find(|grant| grant.said_before < usize::try_from(count).unwrap_or(0))?;
        let under = grant.from <= said && grant.to.is_none_or(|to| said <= to);
        under.then(|| (u32::try_from(grant.said_before + 1).unwrap_or(u32::MAX), grant.from))
    }

    /// Since when it wants nothing, and how it came to that.
    pub(super) fn content_since(&self) -> Option<(Instant, Left)> {
        self.content_since.map(|since| (since, self.left))
    }

    /// Whether it asked for or held the floor within this time.
    pub(super) fn wanted_within(&self, at_most: Duration, now: Instant) -> bool {
        match self.content_since {
            Some(since) => super::within(since, now, at_most),
            None => self.ask.is_some() || self.held().is_some(),
        }
    }

    /// Whether it held a grant at some moment of that time.
    pub(super) fn talked_between(&self, from: Instant, to: Instant) -> bool {
        self.grants.iter().any(|grant| grant.from <= to && grant.to.is_none_or(|end| end >= from))
    }

    /// Whether a frame of it may be heard under this number: spoken while it held that very grant.
    pub(super) fn may_be_heard(&self, spurt: Spurt, count: u32) -> Result<(), String> {
        let Some(said) = self.said_at(count) else { return Err(format!("frame {count}, which was never said")) };
        let owned = self.grants.iter().filter(|grant| grant.spurts.contains(&spurt));
        let spoken = |grant: &Grant| {
            let until = grant.grace.or(grant.to);
            let index = usize::try_from(count).unwrap_or(usize::MAX);
            index + BACKLOG > grant.said_before && until.is_none_or(|until| said <= until)
        };
        let mut any = false;
        for grant in owned {
            if spoken(grant) {
                return Ok(());
            }
            any = true;
        }
        Err(if any { format!("frame {count} of {spurt}, said outside its grant") } else { format!("{spurt}, which it was never granted") })
    }

    /// A grant that outlives every limit; told once.
    pub(super) fn outlives(&mut self, now: Instant) -> Option<Spurt> {
        let grant = self.held().filter(|grant| !super::within(grant.renewed, now, super::longest_spurt(grant.tier)))?;
        let (spurt, index) = (grant.spurts.last().copied()?, self.grants.len());
        (self.too_long.replace(index) != Some(index)).then_some(spurt)
    }
}
