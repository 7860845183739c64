//! The state space: what may happen next in a state of the whole, and what follows.
//!
//! Events of users, timers and links are counted against a bound; what follows from them (a message or frame arrives, the other
//! end notices as well) is free and may come in any order. T100 and T101, which repeat what a unit said, never fire: on a reliable
//! stream nothing may depend on them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stateright::{Model, Property};
use wire::Priority;

use super::border::{ENDS, Link};
use super::facts::{Facts, TIERS};
use super::pool::{Call, Pool, SiteId};
use super::properties::{self, Promise};
use super::rules::Rules;
use super::scenario::{Bound, Scenario};

/// The name of the one property.
pub(super) const PROMISES: &str = "every promise is kept";

/// A state of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// The home first.
    pub(super) sites: Vec<SiteId>,
    /// Partner n's link is n - 1.
    pub(super) links: Vec<Link>,
    pub(super) left: Bound,
}

/// What may happen. Sites, units, links, sessions and tiers by their place; an end is 0 for the home's and 1 for the partner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Press {
        site: usize,
        unit: usize,
        tier: usize,
    },
    KeyUp {
        site: usize,
        unit: usize,
    },
    Speak {
        site: usize,
        unit: usize,
    },
    EndEmergency {
        site: usize,
        unit: usize,
    },
    /// The site's next timer fires.
    Fire {
        site: usize,
    },
    /// An end finds that the session is lost.
    Notice {
        link: usize,
        session: usize,
        end: usize,
    },
    Heal {
        link: usize,
    },
    /// The next control message of an end arrives.
    Control {
        link: usize,
        session: usize,
        from: usize,
    },
    /// One of the frames on the way arrives.
    Frame {
        link: usize,
        session: usize,
        from: usize,
        frame: usize,
    },
}

/// The model, as stateright explores it.
pub(super) struct Explorer {
    pub(super) pool: Pool,
    /// All sites up, joined and quiet.
    start: World,
    /// Whether a counter-example was found; the first one stays, which is the shortest.
    found: AtomicBool,
    /// The level at which each unit presses.
    levels: Vec<Vec<u8>>,
}

impl fmt::Debug for Explorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explorer").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Explorer {
    /// Explores a scenario from the state in which all sites are up, joined and quiet.
    pub(super) fn new(scenario: &Scenario, rules: Rules) -> Self {
        let plans = scenario.plans();
        let pool = Pool::new(rules, plans.iter().map(|plan| plan.gateway.clone()).collect());
        let sites = scenario.sites(&plans).into_iter().map(|site| pool.keep(site)).collect();
        let apart = World { sites, links: vec![Link::default(); plans.len() - 1], left: scenario.bound };
        let apart = Self { pool, start: apart, found: AtomicBool::new(false), levels: scenario.levels() };
        let mut joined = apart.start.clone();
        for link in 0..joined.links.len() {
            apart.heal(&mut joined, link);
            apart.flow(&mut joined);
        }
        Self { start: joined, ..apart }
    }

    /// What there is to see in each site.
    pub(super) fn facts(&self, world: &World) -> Vec<Arc<Facts>> {
        self.pool.facts(&world.sites)
    }

    /// The gateways, by the number of their site.
    pub(super) fn peers(&self) -> &[wire::Identity] {
        self.pool.peers()
    }

    /// A step of a site; what leaves it goes onto the links.
    pub(super) fn step(&self, world: &mut World, site: usize, call: Call) {
        let (after, leaves) = self.pool.step(world.sites[site], call);
        world.sites[site] = after;
        for leaves in leaves.iter() {
            use super::pool::Leaves::{Close, Control, Datagram};
            let (Control(session, _) | Datagram(session, _) | Close(session)) = *leaves;
            world.links[Link::of(session)].take(usize::from(site != 0), *leaves);
        }
    }

    /// The site at an end of a link.
    pub(super) fn site_at(link: usize, end: usize) -> usize {
        if end == 0 { 0 } else { link + 1 }
    }

    /// The next control message of an end arrives.
    pub(super) fn control(&self, world: &mut World, link: usize, session: usize, from: usize) {
        let queue = &mut world.links[link].sessions[session];
        let Some(packet) = queue.control[from].pop_front() else { return };
        let id = queue.id;
        self.step(world, Self::site_at(link, 1 - from), Call::Hear(id, packet));
    }

    /// A new session; the handshake that says nothing about floors is over at once.
    fn heal(&self, world: &mut World, link: usize) {
        let session = world.links[link].open(link);
        self.step(world, link + 1, Call::Connect { session, peer: 0, dialled: false });
        self.step(world, 0, Call::Connect { session, peer: link + 1, dialled: true });
        for from in ENDS {
            if let Some(place) = world.links[link].sessions.iter().position(|s| s.id == session) {
                self.control(world, link, place, from);
            }
        }
    }

    /// Everything on the way arrives, in one order of many.
    pub(super) fn flow(&self, world: &mut World) {
        loop {
            let next = waiting(world).next();
            let Some((link, session, from)) = next else { return };
            self.control(world, link, session, from);
        }
    }

    fn users(&self, world: &World, actions: &mut Vec<Action>) {
        for (site, facts) in self.facts(world).iter().enumerate() {
            for (unit, facts) in facts.units.iter().enumerate() {
                for tier in 0..TIERS.len() {
                    if world.left.presses[tier] > 0 && facts.may_press[tier] {
                        actions.push(Action::Press { site, unit, tier });
                    }
                }
                if facts.key.is_some() {
                    actions.push(Action::KeyUp { site, unit });
                }
                if world.left.frames > 0 && facts.is_talking() {
                    actions.push(Action::Speak { site, unit });
                }
                if world.left.ends > 0 && facts.emergency.is_some() {
                    actions.push(Action::EndEmergency { site, unit });
                }
            }
            if world.left.timers > 0 && facts.timer.is_some() {
                actions.push(Action::Fire { site });
            }
        }
    }

    fn perform(&self, world: &mut World, action: Action) {
        match action {
            Action::Press { site, unit, tier } => {
                let level = wire::Level(self.levels[site][unit]);
                let call = Call::Press(unit, Priority { level, ..Priority::of(TIERS[tier]) });
                self.step(world, site, call);
            }
            Action::KeyUp { site, unit } => self.step(world, site, Call::KeyUp(unit)),
            Action::Speak { site, unit } => self.step(world, site, Call::Speak(unit)),
            Action::EndEmergency { site, unit } => self.step(world, site, Call::EndEmergency(unit)),
            Action::Fire { site } => self.step(world, site, Call::Fire),
            Action::Notice { link, session, end } => {
                let id = world.links[link].sessions[session].id;
                self.step(world, Self::site_at(link, end), Call::Lost(id));
            }
            Action::Heal { link } => self.heal(world, link),
            Action::Control { link, session, from } => self.control(world, link, session, from),
            Action::Frame { link, session, from, frame } => {
                let session = &mut world.links[link].sessions[session];
                let (id, packet) = (session.id, session.datagrams[from].remove(frame));
                self.step(world, Self::site_at(link, 1 - from), Call::Datagram(id, packet));
            }
        }
    }

    /// The promise that this state breaks.
    pub(super) fn broken(&self, world: &World) -> Option<Promise> {
        properties::broken(self, world)
    }
}

/// The control messages that may arrive next.
fn waiting(world: &World) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
    world.links.iter().enumerate().flat_map(|(link, l)| {
        l.sessions.iter().enumerate().flat_map(move |(session, s)| {
            ENDS.into_iter().filter(|from| !s.control[*from].is_empty() && s.alive[1 - *from]).map(move |from| (link, session, from))
        })
    })
}

impl Model for Explorer {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(waiting(world).map(|(link, session, from)| Action::Control { link, session, from }));
        for (link, l) in world.links.iter().enumerate() {
            for (session, s) in l.sessions.iter().enumerate() {
                for end in ENDS.into_iter().filter(|end| s.alive[*end]) {
                    let is_free = !s.alive[1 - end];
                    if is_free || (world.left.cuts > 0 && world.left.events > 0) {
                        actions.push(Action::Notice { link, session, end });
                    }
                    actions.extend((0..s.datagrams[1 - end].len()).map(|frame| Action::Frame { link, session, from: 1 - end, frame }));
                }
            }
            if world.left.heals > 0 && world.left.events > 0 && l.may_dial() {
                actions.push(Action::Heal { link });
            }
        }
        if world.left.events > 0 {
            self.users(world, actions);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.left.spend(action, world);
        self.perform(&mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // One property for all, so that the facts are looked up once for each state.
        let kept = |explorer: &Self, world: &World| explorer.broken(world).is_none() || explorer.found.swap(true, Ordering::Relaxed);
        vec![Property::always(PROMISES, kept)]
    }
}
