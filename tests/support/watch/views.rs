//! What gateways show: floors, queues, modes. Judged every 200 ms of virtual time, over all gateways that run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::sched::Class;
use gateway::status::{BridgeState, FloorState, Mode, Status};
use tokio::time::Instant;
use wire::{Identity, RequestId, Spurt, Tier};

use super::mouth::Left;
use super::{Sound, Watch, within};

/// A status is at most so old.
const TICK: Duration = Duration::from_millis(200);
/// A talker that wants nothing any more is shown at most so long where it is arbitrated: one way, and two ticks.
const GHOST: Duration = Duration::from_millis(1_000);
/// A talker that fell silent without a word: 1.5 s promised, and two ticks.
const LOST: Duration = Duration::from_millis(1_900);
/// Granted out of the queue and silent, or gone before the grant came: T20 three times, and two ticks.
const SILENT: Duration = Duration::from_millis(3_900);
/// The same in the worst network, where a partner has to notice first that its home is gone.
const TROUBLED: Duration = Duration::from_secs(8);
/// An emergency is granted or waits behind another: 300 ms for the home, the rest for the way.
const EMERGENCY: Duration = Duration::from_millis(1_200);
/// A request is answered: four tries of 300 ms, and the way.
const ANSWER: Duration = Duration::from_millis(2_500);
/// Two views of one bridge settle on one talker.
const AGREE: Duration = Duration::from_millis(1_900);
/// A unit that only listens is found again behind another port of its NAT: 200 ms and a round trip.
const REBOUND: Duration = Duration::from_millis(300);
/// The last frame of a spurt is played by then: four hops by satellite, and what was spoken before the grant.
const TAIL: Duration = Duration::from_millis(2_000);

/// Something urgent may have cut a talker that does not know it yet: two hops by satellite.
const CROSSES: Duration = Duration::from_millis(1_000);
/// Frames that may come before the first one: as much jitter as any simulated path has.
const OVERTAKEN: u32 = 3;

/// A floor as one gateway shows it.
#[derive(Clone, Debug)]
struct Floor {
    talker: Option<Identity>,
    since: Instant,
    complained: bool,
}

/// What one gateway showed last.
#[derive(Debug, Default)]
struct View {
    /// Since when it runs; `None` while it does not.
    runs_since: Option<Instant>,
    floor: Option<Floor>,
    mode: Mode,
    active: bool,
    queue: BTreeSet<Identity>,
    /// Since when a routine talker goes on while an emergency waits; since when it shows a talker whom its home does not.
    inverted: Option<Instant>,
    apart: Option<Instant>,
    /// When its home last showed whom, of those that this view may show.
    at_home: BTreeMap<Option<Identity>, Instant>,
    /// Whether both sides were seen talking during the split that lasts.
    both_talked: bool,
}

/// A spurt that its talker ended; whoever heard it near its end, or after, must hear its last frame.
#[derive(Debug)]
struct Tail {
    talker: u16,
    count: u32,
    at: Instant,
    /// The session of every unit.
    sessions: Vec<(u16, u32)>,
}

/// Every gateway's view.
#[derive(Debug, Default)]
pub(super) struct Views {
    views: BTreeMap<String, View>,
    tails: Vec<Tail>,
}

impl Views {
    pub(super) fn gateway(&mut self, authority: &str, runs: bool, now: Instant) {
        self.views.insert(authority.to_owned(), View { runs_since: runs.then_some(now), ..View::default() });
    }
}

impl Left {
    /// How long the floor may be kept for a unit that wants nothing any more.
    pub(super) fn kept(self) -> Duration {
        match self {
            Self::InOrder => GHOST,
            Self::Talking => LOST,
            Self::Asking => SILENT,
        }
    }
}

fn identity(text: &str) -> Option<Identity> {
    text.parse().ok()
}

impl Watch {
    /// Since when neither the network nor a gateway gives any trouble.
    pub(super) fn calm_since(&self) -> Option<Instant> {
        let mut since = self.net.calm_since()?;
        for view in self.views.views.values() {
            since = since.max(view.runs_since?);
        }
        Some(since)
    }

    /// Since when nothing lies between a unit and its running gateway.
    pub(super) fn clear_since(&self, number: usize) -> Option<Instant> {
        let unit = &self.units[number];
        let runs = self.views.views.get(unit.identity.authority.as_str())?.runs_since?;
        Some(self.net.clear_since(unit.path.0, unit.path.1)?.max(runs))
    }

    pub(super) fn judge_status(&mut self, authority: &str, status: &Status, now: Instant) {
        let Some(runs_since) = self.views.views.get(authority).and_then(|view| view.runs_since) else { return };
        // What lies on the board may still be of the process before.
        if within(runs_since, now, TICK * 2) {
            return;
        }
        self.judge_queues(authority, status);
        let (Some(floor), Some(talkgroup)) = (status.floors.first(), status.talkgroups.first()) else { return };
        let talker = floor.talker.as_deref().and_then(identity);
        // Where a full link suspends a spurt, each side shows what it hears.
        let shared = status.links.iter().all(|link| link.suspended.is_empty());
        let active = shared && status.bridges.iter().any(|bridge| bridge.state == BridgeState::Active);
        let view = self.views.views.entry(authority.to_owned()).or_default();
        if view.floor.as_ref().is_none_or(|known| known.talker != talker) {
            view.floor = Some(Floor { talker: talker.clone(), since: now, complained: false });
        }
        let before = std::mem::replace(&mut view.mode, talkgroup.mode);
        (view.active, view.queue) = (active, floor.queue.iter().filter_map(|text| identity(text)).collect());
        let arbiter = talkgroup.mode != Mode::Partner;
        let is_home = self.rules.home.as_deref() == Some(authority);
        if !is_home && talkgroup.mode == Mode::Partner && before == Mode::CutOff {
            self.totals.heals += 1;
        }
        if let Some(talker) = talker.filter(|_| floor.state != FloorState::Releasing) {
            self.judge_talker(authority, &talker, arbiter, now);
        }
        let routine = matches!(floor.tier.as_deref(), Some("normal" | "peril"));
        self.judge_order(authority, arbiter && routine && floor.state != FloorState::Releasing, now);
        self.judge_agreement(authority, now);
    }

    fn judge_queues(&mut self, authority: &str, status: &Status) {
        for queue in &status.queues {
            let class = Class::ALL.into_iter().find(|class| class.as_str() == queue.class);
            let bound = class.map_or(0, |class| class.rule().bound_messages);
            if queue.depth > u64::try_from(bound).unwrap_or(u64::MAX) {
                self.breach(&format!("{authority}: {} {} messages wait for {}, at most {bound}", queue.depth, queue.class, queue.link));
            }
        }
    }

    /// Nobody is shown as the talker who does not want to talk, or does not talk.
    fn judge_talker(&mut self, authority: &str, talker: &Identity, arbiter: bool, now: Instant) {
        let Some(shown) = self.views.views.get(authority).and_then(|view| view.floor.as_ref()).filter(|floor| !floor.complained) else {
            return;
        };
        let shown = shown.since;
        let calm = self.calm_since().is_some_and(|since| !within(since, now, GHOST)) && arbiter;
        let mut why = None;
        for unit in self.units.iter().filter(|unit| unit.identity == *talker) {
            let (since, limit, what) = match unit.mouth.content_since() {
                Some((since, Left::InOrder)) => (since, Left::InOrder.kept(), "wants nothing"),
                Some((since, left)) => (since, left.kept(), "is gone"),
                None => (unit.mouth.last_said().unwrap_or(shown), SILENT, "says nothing"),
            };
            let limit = if calm { limit + self.rules.ways } else { TROUBLED };
            if within(since.max(shown), now, limit) {
                // With one identity used twice, one of the two is enough.
                return;
            }
            why = Some(what);
        }
        let Some(why) = why else { return };
        if let Some(floor) = self.views.views.get_mut(authority).and_then(|view| view.floor.as_mut()) {
            floor.complained = true;
        }
        self.breach(&format!("{authority} shows {talker} as the talker, who {why}, for {:?}", now - shown));
    }

    /// An emergency never waits behind routine, from when the gateway must know of it.
    fn judge_order(&mut self, authority: &str, routine: bool, now: Instant) {
        let Some(view) = self.views.views.get(authority) else { return };
        let waits = |number: usize| {
            let unit = &self.units[number];
            let ask = unit.mouth.ask().filter(|ask| ask.tier == Tier::Emergency && ask.queued.is_some());
            let known = ask.and_then(|ask| Some(ask.since.max(self.clear_since(number)?)));
            view.queue.contains(&unit.identity) && known.is_some_and(|known| !within(known, now, TICK * 2))
        };
        let waiting = (0..self.units.len()).find(|number| routine && waits(*number));
        let who = waiting.map(|number| self.units[number].identity.clone());
        let Some(view) = self.views.views.get_mut(authority) else { return };
        match who {
            None => view.inverted = None,
            Some(who) => {
                let since = *view.inverted.get_or_insert(now);
                if now - since >= TICK * 2 && now - since < TICK * 3 {
                    self.breach(&format!("{authority}: the emergency of {who} waits behind routine"));
                }
            }
        }
    }

    /// Where a bridge is active on both sides, a partner shows whom its home shows. Both statuses are a moment old, not the same
    /// one, so that short spurts in a row look different all the time; nobody is shown for long whom the home does not show. A split
    /// in which both talk is counted.
    fn judge_agreement(&mut self, authority: &str, now: Instant) {
        let Some(home) = self.rules.home.clone().filter(|home| home != authority) else { return };
        let talker = |view: &View| view.floor.as_ref().and_then(|floor| floor.talker.clone());
        let calm = self.calm_since().is_some_and(|since| !within(since, now, AGREE));
        let (Some(there), Some(here)) = (self.views.views.get(&home), self.views.views.get(authority)) else { return };
        let (theirs, ours) = (talker(there), talker(here));
        let carried = theirs.clone().filter(|talker| {
            let code = talker.authority.as_str();
            self.rules.onward || code == home || code == authority
        });
        let joined = here.mode == Mode::Partner && here.active && there.active && there.runs_since.is_some();
        let shown_since = here.floor.as_ref().map(|floor| floor.since);
        let both = here.mode == Mode::CutOff
            && ours.as_ref().is_some_and(|talker| talker.authority.as_str() == authority)
            && theirs.as_ref().is_some_and(|talker| talker.authority.as_str() != authority);
        let Some(view) = self.views.views.get_mut(authority) else { return };
        if both && !view.both_talked {
            self.totals.splits += 1;
        }
        view.both_talked = (view.both_talked || both) && view.mode != Mode::Partner;
        view.at_home.insert(carried, now);
        let lately = view.at_home.get(&ours).is_some_and(|at| within(*at, now, TICK * 2));
        if !joined || !calm || lately {
            view.apart = None;
            return;
        }
        // A talker that is new here may be newer than what the home has shown.
        view.apart.take_if(|since| shown_since.is_some_and(|shown| shown > *since));
        let since = *view.apart.get_or_insert(now);
        if now - since >= AGREE && now - since < AGREE + TICK {
            self.breach(&format!("{authority} shows {ours:?} and {home} shows {theirs:?}, over an active bridge"));
        }
    }

    // === Time ===

    /// Judges what should have happened by now.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        for number in 0..self.units.len() {
            let who = self.units[number].identity.clone();
            if let Some(spurt) = self.units[number].mouth.outlives(now) {
                self.breach(&format!("the grant of {who} in {spurt} does not end"));
            }
            self.judge_ask(number, &who, now);
        }
        self.judge_tails(now);
    }

    /// A request is answered, and what waits waits in a queue.
    fn judge_ask(&mut self, number: usize, who: &Identity, now: Instant) {
        let Some(ask) = self.units[number].mouth.ask() else { return };
        let Some(clear) = self.clear_since(number) else { return };
        let limit = if ask.tier == Tier::Emergency { EMERGENCY } else { ANSWER };
        let waited = now - ask.since.max(clear);
        let once = |waited: Duration, limit: Duration| waited > limit && waited <= limit + TICK;
        let (tier, request) = (ask.tier.as_str(), ask.request);
        match ask.queued {
            None if once(waited, limit) => self.breach(&format!("{who}: {tier} {request} is not answered for {waited:?}")),
            None => {}
            Some(since) => {
                let waited = now - since.max(clear);
                let held = |view: &View| view.queue.contains(who) || view.floor.as_ref().is_some_and(|f| f.talker.as_ref() == Some(who));
                let waits = self.views.views.get(who.authority.as_str()).is_some_and(held);
                if !waits && once(waited, ANSWER) {
                    self.breach(&format!("{who}: {tier} {request} waits in no queue"));
                }
            }
        }
    }

    /// The talker ended its spurt or took its request back.
    pub(super) fn released(&mut self, number: u16, request: RequestId, spurt: Option<Spurt>, now: Instant) {
        let spoke = self.unit(number).mouth.released(request, now);
        let count = self.units[usize::from(number)].mouth.said();
        if !spoke || spurt.is_none() || self.calm_since().is_none_or(|since| within(since, now, TAIL)) {
            return;
        }
        let sessions = (0u16..).zip(&self.units).map(|(other, unit)| (other, unit.ear.session)).collect();
        self.views.tails.push(Tail { talker: number, count, at: now, sessions });
    }

    /// Whether an ear beside the talker's own gateway begins to hear a spurt behind its first frame, although nothing is wrong with the
    /// network and it does nothing else: then a talker believed in a grant that its gateway did not mean.
    pub(super) fn begins_late(&self, number: u16, sound: Sound) -> Option<String> {
        let (unit, talker) = (&self.units[usize::from(number)], &self.units[usize::from(sound.talker)]);
        let (first, since) = talker.mouth.first_of(sound.count)?;
        let overtaken = if self.net.reorders() { OVERTAKEN } else { 0 };
        if unit.identity.authority != talker.identity.authority
            || unit.ear.newest_of(sound.talker) >= first
            || sound.count <= first + overtaken
        {
            return None;
        }
        let long_before = |at: Instant| at + TAIL <= since;
        let moved = [unit, talker].iter().any(|unit| unit.rebound.is_some_and(|at| !long_before(at)));
        let busy = unit.mouth.talked_between(since - CROSSES, Instant::now()) || unit.ear.urgent_since(since - CROSSES);
        let calm = self.calm_since().is_some_and(long_before) && unit.ear.since.is_none_or(long_before);
        let judged = self.rules.liars.is_empty() && calm && !moved && !busy;
        judged.then(|| format!("frame {}, and never frame {first}, the first of that grant", sound.count))
    }

    /// The last syllable of a spurt that ended in order is heard wherever the spurt was, unless somebody more urgent was shown there.
    fn judge_tails(&mut self, now: Instant) {
        let (over, open) = std::mem::take(&mut self.views.tails).into_iter().partition(|tail| !within(tail.at, now, TAIL));
        self.views.tails = open;
        let over: Vec<Tail> = over;
        for tail in over {
            // A home that lies decides what is heard when.
            let truthful = self.rules.home.as_ref().is_none_or(|home| !self.rules.liars.contains(home));
            let calm = truthful && self.calm_since().is_some_and(|since| since + TAIL <= tail.at);
            for (listener, session) in tail.sessions.iter().filter(|_| calm) {
                let unit = &self.units[usize::from(*listener)];
                let Some(heard) = unit.ear.newest_since(tail.talker, tail.at - TICK) else { continue };
                let talks = unit.mouth.talked_between(tail.at, now) || unit.ear.urgent_since(tail.at - CROSSES);
                let hidden = unit.rebound.is_some_and(|at| at + REBOUND >= tail.at);
                if unit.ear.session == *session && !talks && !hidden && heard < tail.count {
                    let (who, talker) = (unit.identity.clone(), self.units[usize::from(tail.talker)].identity.clone());
                    self.breach(&format!("{who} hears {talker} only to frame {heard} of {}", tail.count));
                }
            }
        }
    }
}
