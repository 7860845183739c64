//! What the bench shows: floors, talkers, bridges, and what a unit was told.

use wire::{Spurt, TalkgroupId};

use super::net::{BE, NL, Net};
use crate::floor::table::State;
use crate::handset;
use crate::hub::status::Mode;

impl Net {
    pub(super) fn floor(&self, hub: usize) -> (State, Option<String>, Vec<String>) {
        let status = self.hubs[hub].status(self.now);
        let tg = &status.talkgroups[0];
        let talker = tg.talker.as_ref().map(|(talker, ..)| talker.identity.to_string());
        (tg.floor, talker, tg.queue.iter().map(|t| t.identity.to_string()).collect())
    }

    pub(super) fn talker(&self, hub: usize) -> Option<String> {
        self.floor(hub).1
    }

    pub(super) fn talkgroup(&self, hub: usize) -> TalkgroupId {
        self.plans[hub].talkgroups[0].id.clone()
    }

    pub(super) fn bridge(&self, hub: usize) -> &'static str {
        self.hubs[hub].status(self.now).bridges[0].state.as_str()
    }

    pub(super) fn mode(&self, hub: usize) -> Mode {
        self.hubs[hub].status(self.now).talkgroups[0].mode
    }

    /// The number of the newest grant a unit was told of, since the last look.
    pub(super) fn granted(&self, unit: usize) -> Spurt {
        let granted = |event: &handset::Event| if let handset::Event::Granted(_, granted) = event { Some(granted.spurt) } else { None };
        self.units[unit].told.iter().rev().find_map(granted).unwrap()
    }

    /// What a unit was told since the last look.
    pub(super) fn told(&mut self, unit: usize) -> Vec<handset::Event> {
        std::mem::take(&mut self.units[unit].told)
    }

    /// Nobody talks or waits in any view, and every unit knows.
    pub(super) fn assert_quiet(&self) {
        for hub in [NL, BE] {
            assert_eq!(self.floor(hub), (State::Idle, None, Vec::new()), "hub {hub}");
        }
        for unit in &self.units {
            assert_eq!((unit.asking, unit.believes), (None, None), "{} asks, believes", unit.identity);
        }
    }

    /// Until the link is noticed as lost.
    pub(super) const NOTICED: u64 = 1_900;
}
