//! The promises, as questions about one state of the whole.

use std::fmt;
use std::sync::Arc;

use wire::Tier;

use super::border::ENDS;
use super::explore::{Explorer, World};
use super::facts::Facts;
use super::pool::Call;
use super::site::ANSWER;
use super::unit::Fault;
use crate::floor::participant::State;
use crate::hub::bridges::BridgeState;
use crate::hub::status::Mode;

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// Nothing is on the way: both ends of every link name the same talker.
    Agreement,
    /// Nothing is on the way: a unit talks or waits exactly if whoever decides for it says so.
    UnitsAgree,
    /// Never two voices in one ear.
    OneVoice,
    /// All keys are up: every floor gets free.
    GrantsEnd,
    /// An emergency is granted somewhere, at once or when the home's time to answer is up.
    EmergencyGranted,
    /// Nothing is on the way: everybody knows the same group emergency.
    EmergencyAgreed,
    /// No honest gateway or unit is taken for a liar.
    NobodyBlamed,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agreement => "the sides of a border name different talkers",
            Self::UnitsAgree => "a unit and its arbiter do not agree whether it talks or waits",
            Self::OneVoice => "two voices in one ear",
            Self::GrantsEnd => "all keys are up, and a floor does not get free",
            Self::EmergencyGranted => "an emergency is refused or not decided",
            Self::EmergencyAgreed => "the group emergency is not known to all, or known for too long",
            Self::NobodyBlamed => "an honest gateway is taken for a liar",
        })
    }
}

/// More steps than any way from a state of the exploration to rest.
const STEPS_MAX: usize = 300;

/// The promise that is broken in this state.
pub(super) fn broken(explorer: &Explorer, world: &World) -> Option<Promise> {
    let facts = explorer.facts(world);
    let fault = facts.iter().find_map(|site| site.fault).map(|fault| match fault {
        Fault::DoubleTalk => Promise::OneVoice,
        Fault::EmergencyRefused => Promise::EmergencyGranted,
        Fault::Misjudged => Promise::NobodyBlamed,
    });
    let is_quiet = world.links.iter().all(|link| link.is_quiet());
    let heeded = || facts.iter().all(|site| heeds(site, &facts[0], is_quiet));
    let unheeded = || (!heeded()).then_some(Promise::EmergencyGranted);
    fault.or_else(unheeded).or_else(|| if is_quiet { broken_when_quiet(explorer, world, &facts) } else { None })
}

fn broken_when_quiet(explorer: &Explorer, world: &World, facts: &[Arc<Facts>]) -> Option<Promise> {
    if facts.iter().any(|site| site.is_changing()) {
        // A last frame or a grace is waited for: what counts is what everybody believes after that.
        let mut after = world.clone();
        return match rest(explorer, &mut after, |site| site.is_changing()) {
            true => disagreement(&explorer.facts(&after), &after),
            false => Some(Promise::GrantsEnd),
        };
    }
    disagreement(facts, world).or_else(|| (!comes_to_rest(explorer, world)).then_some(Promise::GrantsEnd))
}

fn disagreement(facts: &[Arc<Facts>], world: &World) -> Option<Promise> {
    let home = &facts[0];
    let joined = || {
        let links = facts.iter().skip(1).zip(&world.links).zip(&home.bridges).filter(|((_, link), _)| link.is_up());
        // A partner that went alone for an emergency is the one that may be joined and not agree.
        links.map(|((partner, _), bridge)| (partner, *bridge)).filter(|(partner, _)| partner.mode != Mode::OwnSide)
    };
    let is_bridged = |partner: &Facts, bridge| {
        let active = bridge == BridgeState::Active && partner.bridges == [BridgeState::Active];
        active && home.mode == Mode::Home && partner.mode == Mode::Partner
    };
    if !joined().all(|(partner, bridge)| is_bridged(partner, bridge) && home.holder() == partner.holder()) {
        return Some(Promise::Agreement);
    }
    let is_told = |site: &Facts| site.units.iter().all(|unit| unit.emergency.as_ref() == site.emergency.first());
    if !joined().all(|(partner, _)| home.emergency == partner.emergency) || !facts.iter().all(|site| is_told(site)) {
        return Some(Promise::EmergencyAgreed);
    }
    (!facts.iter().all(|site| units_agree(site, home))).then_some(Promise::UnitsAgree)
}

fn units_agree(site: &Facts, home: &Facts) -> bool {
    let arbiter = if site.mode == Mode::Partner { home } else { site };
    site.units.iter().all(|unit| {
        let waits = arbiter.waiting.contains(&unit.identity);
        let holds = |view: &Facts| view.holder().is_some_and(|talks| talks.who == unit.identity);
        match unit.state {
            State::Requesting | State::Queued => waits || holds(arbiter),
            State::Talking => !waits && holds(site),
            // Its grace may be over at the arbiter and not yet here.
            State::Finishing => !waits,
            State::Silent | State::Releasing => !waits && !holds(site),
        }
    })
}

/// Whoever is in danger talks, waits behind another in danger, or will be granted by the own side when the home's time is up.
fn heeds(site: &Facts, home: &Facts, is_quiet: bool) -> bool {
    let behind_another = |arbiter: &Facts| arbiter.talks.as_ref().is_some_and(|talks| talks.tier == Tier::Emergency);
    site.units.iter().filter(|unit| unit.is_in_danger()).all(|unit| match unit.state {
        State::Requesting => site.mode == Mode::Partner && site.timer == Some(ANSWER),
        State::Queued if site.mode == Mode::Partner => !is_quiet || behind_another(home),
        State::Queued => behind_another(site),
        // It was heard, and was told that it is so no more.
        State::Silent | State::Releasing | State::Talking | State::Finishing => true,
    })
}

/// Everybody lets go: whatever is on the way arrives, every timer fires, and then every floor is free and all agree.
fn comes_to_rest(explorer: &Explorer, world: &World) -> bool {
    let mut world = world.clone();
    for (site, facts) in explorer.facts(&world).iter().enumerate() {
        for (unit, _) in facts.units.iter().enumerate().filter(|(_, unit)| unit.key.is_some()) {
            explorer.step(&mut world, site, Call::KeyUp(unit));
        }
    }
    let rested = rest(explorer, &mut world, |site| site.timer.is_some());
    let facts = explorer.facts(&world);
    rested && facts.iter().all(|site| site.is_free()) && disagreement(&facts, &world).is_none()
}

/// Everything on the way arrives, what one end gave up the other notices, and timers fire as long as a site `waits`.
fn rest(explorer: &Explorer, world: &mut World, waits: impl Fn(&Facts) -> bool) -> bool {
    for _ in 0..STEPS_MAX {
        explorer.flow(world);
        if let Some((link, end, session)) = half_dead(world) {
            explorer.step(world, Explorer::site_at(link, end), Call::Lost(session));
            continue;
        }
        match explorer.facts(world).iter().position(|site| waits(site)) {
            Some(site) => explorer.step(world, site, Call::Fire),
            None => return true,
        }
    }
    false
}

/// A session that one end has given up, and the end that still believes in it.
fn half_dead(world: &World) -> Option<(usize, usize, wire::SessionId)> {
    let sessions = world.links.iter().enumerate().flat_map(|(link, l)| l.sessions.iter().map(move |session| (link, session)));
    sessions.filter(|(_, session)| session.alive != [true; 2]).find_map(|(link, session)| {
        let end = ENDS.into_iter().find(|end| session.alive[*end])?;
        Some((link, end, session.id))
    })
}
