//! What the properties look at in a site, worked out once for each of its states.

use wire::{Identity, Priority, Spurt, Tier};

use super::site::Site;
use super::unit::Fault;
use crate::floor::participant;
use crate::floor::table::State;
use crate::hub::bridges::BridgeState;
use crate::hub::status::Mode;

/// Who talks, as a view says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Talks {
    pub(super) who: Identity,
    pub(super) spurt: Spurt,
    pub(super) tier: Tier,
}

/// A unit and its key.
#[derive(Clone, Debug)]
pub(super) struct UnitFacts {
    pub(super) identity: Identity,
    pub(super) state: participant::State,
    pub(super) key: Option<Priority>,
    /// Whether a press in this tier would mean anything.
    pub(super) may_press: [bool; 2],
    pub(super) emergency: Option<Identity>,
}

#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) mode: Mode,
    pub(super) floor: State,
    pub(super) talks: Option<Talks>,
    pub(super) waiting: Vec<Identity>,
    /// Units in emergency, the first one first.
    pub(super) emergency: Vec<Identity>,
    /// The bridges and where they stand, by the far authority's order in the plan.
    pub(super) bridges: Vec<BridgeState>,
    pub(super) units: Vec<UnitFacts>,
    /// The timer that would fire next.
    pub(super) timer: Option<&'static str>,
    pub(super) fault: Option<Fault>,
}

/// Tiers in which the units of the model press.
pub(super) const TIERS: [Tier; 2] = [Tier::Normal, Tier::Emergency];

impl Facts {
    pub(super) fn of(site: &Site) -> Self {
        let status = site.hub.status(site.now);
        let talkgroup = &status.talkgroups[0];
        let talker = talkgroup.talker.as_ref();
        let units = site.units.iter().map(|unit| UnitFacts {
            identity: unit.identity.clone(),
            state: unit.participant.state(),
            key: unit.key,
            may_press: TIERS.map(|tier| unit.may_press(Priority::of(tier))),
            emergency: unit.emergency.clone(),
        });
        Self {
            mode: talkgroup.mode,
            floor: talkgroup.floor,
            talks: talker.map(|(talker, tier, spurt, _)| Talks { who: talker.identity.clone(), spurt: *spurt, tier: *tier }),
            waiting: talkgroup.queue.iter().map(|talker| talker.identity.clone()).collect(),
            emergency: talkgroup.emergency.clone(),
            bridges: status.bridges.iter().map(|bridge| bridge.state).collect(),
            units: units.collect(),
            timer: site.timer(),
            fault: site.fault,
        }
    }

    /// Who has the floor and has not released it; what is waited for after that is the last frame.
    pub(super) fn holder(&self) -> Option<&Talks> {
        self.talks.as_ref().filter(|_| self.floor != State::Draining)
    }

    /// It arbitrates, and waits for the last frame of a spurt that was released or for the end of a grace.
    pub(super) fn is_changing(&self) -> bool {
        self.mode != Mode::Partner && matches!(self.floor, State::Draining | State::Revoking)
    }

    /// Nobody talks, nobody waits.
    pub(super) fn is_free(&self) -> bool {
        self.floor == State::Idle && self.talks.is_none() && self.waiting.is_empty()
    }
}

impl UnitFacts {
    pub(super) fn is_talking(&self) -> bool {
        matches!(self.state, participant::State::Talking | participant::State::Finishing)
    }

    pub(super) fn is_in_danger(&self) -> bool {
        self.key.is_some_and(|key| key.tier == Tier::Emergency)
    }
}
