//! Who waits for the floor: higher priority first; at equal priority the authorities take turns, each in the order of arrival; a
//! pre-emptor before everybody. So a country that sends in a crowd, of real units or invented ones, waits for its own crowd.
//!
//! Bound: [`QUEUE_MAX`]; when it is full a new request is denied, with two exceptions. One of a higher tier than the last in
//! line takes its place, so that a full queue of routine requests never refuses an emergency. And one whose authority has
//! fewer places takes the last of the authority that has most, so that no crowd keeps the others out.

use std::collections::{BTreeMap, VecDeque};

use wire::control::Talker;
use wire::{Authority, RequestId};

use super::{Claim, Party};
use crate::planted::{self, Fault};

/// Most requests that wait in one talkgroup.
pub const QUEUE_MAX: usize = 32;

/// The queue of one arbiter.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    entries: VecDeque<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    claim: Claim,
    /// The position last told to the party.
    told: Option<u8>,
}

/// What became of a request that was put into the queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It waits.
    Waits,
    /// It waits, and this one lost its place.
    Displaced(Claim),
    /// No place: the claim comes back.
    Full(Claim),
}

impl Queue {
    /// Puts a request in by priority and arrival. A claim of the same party replaces the one it had.
    pub fn insert(&mut self, claim: Claim) -> Enqueued {
        self.remove(&claim.party);
        let mut displaced = None;
        if self.entries.len() >= QUEUE_MAX {
            let gives_way = match self.entries.back() {
                Some(last) if last.claim.priority.tier < claim.priority.tier => Some(self.entries.len() - 1),
                _ => self.last_of_a_crowd(&claim),
            };
            let Some(place) = gives_way else { return Enqueued::Full(claim) };
            displaced = self.entries.remove(place);
        }
        let place = self.place_of(&claim);
        self.entries.insert(place, Entry { claim, told: None });
        displaced.map_or(Enqueued::Waits, |entry| Enqueued::Displaced(entry.claim))
    }

    /// Where a claim belongs: behind higher priorities, and at its own behind the turns that come before its authority's next.
    fn place_of(&self, claim: &Claim) -> usize {
        let equal = |e: &&Entry| e.claim.priority == claim.priority;
        let turn = self.entries.iter().filter(equal).filter(|e| e.claim.authority() == claim.authority()).count();
        let mut turns: BTreeMap<&Authority, usize> = BTreeMap::new();
        for (place, entry) in self.entries.iter().enumerate() {
            if entry.claim.priority < claim.priority {
                return place;
            }
            if equal(&entry) {
                let taken = turns.entry(entry.claim.authority()).or_default();
                *taken += 1;
                if *taken > turn + 1 {
                    return place;
                }
            }
        }
        self.entries.len()
    }

    /// The last place of the authority that has most, if the claim is no less urgent and its authority has fewer by two or more.
    fn last_of_a_crowd(&self, claim: &Claim) -> Option<usize> {
        let mut places: BTreeMap<&Authority, usize> = BTreeMap::new();
        for entry in &self.entries {
            *places.entry(entry.claim.authority()).or_default() += 1;
        }
        let own = places.get(claim.authority()).copied().unwrap_or_default();
        let (crowd, most) = places.into_iter().max_by_key(|(_, places)| *places)?;
        let last = self.entries.iter().rposition(|e| e.claim.authority() == crowd)?;
        let as_urgent = self.entries.get(last).is_some_and(|e| e.claim.priority <= claim.priority);
        (as_urgent && most >= own + 2).then_some(last)
    }

    /// Puts a pre-emptor at the head.
    pub fn insert_first(&mut self, claim: Claim) -> Enqueued {
        self.remove(&claim.party);
        let displaced = if self.entries.len() >= QUEUE_MAX { self.entries.pop_back() } else { None };
        self.entries.push_front(Entry { claim, told: None });
        displaced.map_or(Enqueued::Waits, |entry| Enqueued::Displaced(entry.claim))
    }

    /// Takes the head.
    pub fn pop(&mut self) -> Option<Claim> {
        self.entries.pop_front().map(|entry| entry.claim)
    }

    /// The head.
    pub fn head(&self) -> Option<&Claim> {
        self.entries.front().map(|entry| &entry.claim)
    }

    /// Takes a party's request out: it cancelled or went away.
    pub fn remove(&mut self, party: &Party) -> Option<Claim> {
        let place = self.entries.iter().position(|e| e.claim.party == *party)?;
        self.entries.remove(place).map(|entry| entry.claim)
    }

    /// Takes one request out by its number; a newer request of the same party stays.
    pub fn cancel(&mut self, party: &Party, request: RequestId) -> Option<Claim> {
        let named = |claim: &Claim| claim.request == request || planted::is(Fault::RequestIds);
        let place = self.entries.iter().position(|e| e.claim.party == *party && named(&e.claim))?;
        self.entries.remove(place).map(|entry| entry.claim)
    }

    /// Takes out every request the test names.
    pub fn remove_if(&mut self, gone: impl Fn(&Claim) -> bool) -> Vec<Claim> {
        let (out, stay) = std::mem::take(&mut self.entries).into_iter().partition::<Vec<_>, _>(|e| gone(&e.claim));
        self.entries = stay.into();
        out.into_iter().map(|entry| entry.claim).collect()
    }

    /// The waiting request of a party.
    pub fn find(&self, party: &Party) -> Option<&Claim> {
        self.entries.iter().map(|e| &e.claim).find(|claim| claim.party == *party)
    }

    /// Positions that have changed since they were last told, from 1.
    pub fn changed_positions(&mut self) -> Vec<(Party, RequestId, u8)> {
        let mut changed = Vec::new();
        for (place, entry) in (1u8..).zip(&mut self.entries) {
            if entry.told != Some(place) {
                entry.told = Some(place);
                changed.push((entry.claim.party.clone(), entry.claim.request, place));
            }
        }
        changed
    }

    /// Forgets what a party was told, so that its position is said again.
    pub fn tell_again(&mut self, party: &Party) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.claim.party == *party) {
            entry.told = None;
        }
    }

    /// Who waits, in order, for status.
    pub fn talkers(&self) -> impl Iterator<Item = &Talker> {
        self.entries.iter().map(|e| &e.claim.talker)
    }

    /// Everything that waits, in order.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.entries.iter().map(|e| &e.claim)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
