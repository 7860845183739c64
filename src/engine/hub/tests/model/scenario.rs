//! Who takes part in an exploration, and how much may happen.

use wire::{Authority, Level};

use super::explore::Action;
use super::explore::World;
use super::site::Site;
use crate::hub::tests::unit::{bridge, epoch, ms, plan};
use crate::plan::{Bridge, Peer, Plan};

/// How much may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Bound {
    /// Events of every kind together, key-ups included.
    pub(super) events: u8,
    /// Presses, normal and emergency.
    pub(super) presses: [u8; 2],
    pub(super) frames: u8,
    /// Ends of the group emergency.
    pub(super) ends: u8,
    pub(super) timers: u8,
    /// Sessions given up by whichever end is the first.
    pub(super) cuts: u8,
    pub(super) heals: u8,
}

impl Bound {
    /// So many events, of each kind no more than makes a difference.
    fn of(events: u8) -> Self {
        let more = u8::from(events > 6);
        let (timers, cuts) = (1 + more, 1 + more);
        Self { events, presses: [3, 2], frames: 1 + more, ends: 1, timers, cuts, heals: cuts }
    }

    /// Counts an event; what follows from others is free.
    pub(super) fn spend(&mut self, action: Action, world: &World) {
        let mut nothing = 0;
        let kind = match action {
            Action::Press { tier, .. } => &mut self.presses[tier],
            Action::KeyUp { .. } => &mut nothing,
            Action::Speak { .. } => &mut self.frames,
            Action::EndEmergency { .. } => &mut self.ends,
            Action::Fire { .. } => &mut self.timers,
            Action::Heal { .. } => &mut self.heals,
            Action::Notice { link, session, .. } if world.links[link].sessions[session].alive == [true; 2] => &mut self.cuts,
            Action::Notice { .. } | Action::Control { .. } | Action::Frame { .. } => return,
        };
        *kind = kind.saturating_sub(1);
        self.events = self.events.saturating_sub(1);
    }
}

/// Gateways, units and a bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// The units of each country and their level, the home's first.
    pub(super) units: &'static [&'static [(&'static str, u8)]],
    pub(super) bound: Bound,
}

const A: &[(&str, u8)] = &[("nl/unit/a", 16)];
const AB: &[(&str, u8)] = &[("nl/unit/a", 16), ("nl/unit/b", 16)];
const C: &[(&str, u8)] = &[("be/unit/c", 16)];
const CD: &[(&str, u8)] = &[("be/unit/c", 16), ("be/unit/d", 24)];
const E: &[(&str, u8)] = &[("de/unit/e", 24)];

/// The countries and their talkgroups, the home first.
const COUNTRIES: [(&str, &str); 3] = [("nl", "nl/pol-1"), ("be", "be/lux-3"), ("de", "de/rhein-2")];

impl Scenario {
    /// The home and a partner, one unit each; everything may happen.
    pub(super) fn two(events: u8) -> Self {
        Self { name: "two gateways", units: &[A, C], bound: Bound::of(events) }
    }

    /// Two units of the partner, one of which pre-empts within the normal tier.
    pub(super) fn crowd(events: u8) -> Self {
        Self { name: "two units of a partner", units: &[A, CD], bound: Bound::of(events) }
    }

    /// The home and two partners.
    pub(super) fn star(events: u8) -> Self {
        Self { name: "a star of three", units: &[A, C, E], bound: Bound::of(events) }
    }

    /// Presses of the normal tier, and links that hold.
    pub(super) fn calm(events: u8) -> Self {
        let bound = Bound { events, presses: [3, 0], ..Bound::default() };
        Self { name: "two gateways in calm", units: &[A, C], bound }
    }

    /// The same, and frames of two units of the home.
    pub(super) fn voices(events: u8) -> Self {
        let bound = Bound { events, presses: [2, 0], frames: 2, ..Bound::default() };
        Self { name: "voices from the home", units: &[AB, C], bound }
    }

    /// The home bridges its talkgroup with every partner and passes each partner's talkers on to the others.
    pub(super) fn plans(&self) -> Vec<Plan> {
        let names: Vec<Authority> = COUNTRIES[..self.units.len()].iter().map(|(name, _)| name.parse().unwrap()).collect();
        let mut plans: Vec<Plan> = COUNTRIES[..self.units.len()].iter().map(|(name, talkgroup)| plan(name, talkgroup, "nl")).collect();
        plans[0].peers.clear();
        plans[0].bridges.clear();
        for partner in 1..plans.len() {
            let onward = names.iter().skip(1).filter(|name| **name != names[partner]).cloned().collect();
            let agreement = format!("EMR-2026-{partner}");
            let joined = Bridge { agreement, partner: plans[partner].talkgroups[0].id.clone(), onward, ..bridge() };
            let peer = Peer { authority: names[partner].clone(), ..plans[partner].peers[0].clone() };
            plans[partner].bridges = vec![joined.clone()];
            plans[0].bridges.push(joined);
            plans[0].peers.push(peer);
        }
        for plan in &mut plans {
            let talkgroup = &mut plan.talkgroups[0];
            talkgroup.level_max = Level(64);
            // Below T1, so that a talker of whom a frame passed meets the talk limit and any other T1; the model keeps no voice up.
            (talkgroup.timers.t2, talkgroup.timers.t2_emergency) = (ms(1_000), ms(1_200));
        }
        plans
    }

    /// Every gateway with its units, alone; their numbers lie apart, as after different lives.
    pub(super) fn sites(&self, plans: &[Plan]) -> Vec<Site> {
        let start = epoch();
        let mut sites = Vec::new();
        for ((plan, units), epoch) in plans.iter().zip(self.units).zip([3, 250, 7]) {
            let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
            sites.push(Site::new(plan, &names, epoch, start));
        }
        sites
    }

    /// The level at which each unit presses.
    pub(super) fn levels(&self) -> Vec<Vec<u8>> {
        self.units.iter().map(|units| units.iter().map(|(_, level)| *level).collect()).collect()
    }
}
