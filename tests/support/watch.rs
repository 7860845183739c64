//! The invariants, asserted on every event and every frame that any unit hears.
//!
//! - One audible talker per view: in a view, frames of one spurt carry one talker's sound, spurts only rise, and a frame is
//!   heard at most once and in order.
//! - Audio only under a grant: a talker's sound is heard only of spurts that this talker was granted.
//! - A grant has one owner: no two units are ever granted the same spurt of one talkgroup view.

use std::collections::BTreeMap;

use wire::{Identity, Spurt};

/// What a test frame says: who speaks, and the how manyth frame of that unit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    /// The talker's number in the watch.
    pub(crate) talker: u16,
    /// Counts the talker's frames.
    pub(crate) count: u32,
}

impl Sound {
    /// A payload as long as an Opus frame of speech.
    pub(crate) fn payload(self) -> Vec<u8> {
        let mut bytes = vec![0x5a; 60];
        bytes[..2].copy_from_slice(&self.talker.to_be_bytes());
        bytes[2..6].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// Reads it back; `None` for anything that no test unit said.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (head, tail) = bytes.split_at_checked(6)?;
        let fits = tail.len() == 54 && tail.iter().all(|byte| *byte == 0x5a);
        fits.then(|| Self {
            talker: u16::from_be_bytes([head[0], head[1]]),
            count: u32::from_be_bytes([head[2], head[3], head[4], head[5]]),
        })
    }
}

/// One view: a unit's ear in a talkgroup, during one session.
#[derive(Debug, Default)]
struct Ear {
    spurt: Option<Spurt>,
    talker: Option<u16>,
    newest: Option<u32>,
}

/// Everybody's events, and what they must never show.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    units: Vec<Identity>,
    /// Which spurts a unit was granted, by authority of its view.
    granted: BTreeMap<u16, Vec<Spurt>>,
    ears: BTreeMap<u16, Ear>,
    /// How many frames were judged; a test that hears nothing proves nothing.
    pub(crate) frames: u64,
    /// How many grants were seen.
    pub(crate) grants: u64,
}

impl Watch {
    /// A new unit.
    pub(crate) fn add(&mut self, identity: Identity) -> u16 {
        self.units.push(identity);
        u16::try_from(self.units.len() - 1).expect("few units")
    }

    /// A unit's session began: numbers of the one before do not compare.
    pub(crate) fn joined(&mut self, unit: u16) {
        self.ears.insert(unit, Ear::default());
        self.granted.insert(unit, Vec::new());
    }

    /// A unit was granted a spurt.
    pub(crate) fn granted(&mut self, unit: u16, spurt: Spurt) {
        let known = self.granted.entry(unit).or_default();
        if known.last() == Some(&spurt) {
            return;
        }
        assert!(known.last().is_none_or(|last| spurt.is_after(*last)), "{}: grant {spurt} after {known:?}", self.units[usize::from(unit)]);
        known.push(spurt);
        self.grants += 1;
        let authority = &self.units[usize::from(unit)].authority;
        let twice = self
            .granted
            .iter()
            .any(|(other, spurts)| *other != unit && self.units[usize::from(*other)].authority == *authority && spurts.contains(&spurt));
        assert!(!twice, "{spurt} granted twice in {authority}");
    }

    /// A unit hears a frame.
    pub(crate) fn heard(&mut self, unit: u16, spurt: Spurt, payload: &[u8]) -> Sound {
        let sound = Sound::read(payload).expect("a payload that a test unit said");
        let who = &self.units[usize::from(unit)];
        let talker = &self.units[usize::from(sound.talker)];
        self.frames += 1;
        assert_ne!(unit, sound.talker, "{who} hears itself");
        let ear = self.ears.entry(unit).or_default();
        if ear.spurt == Some(spurt) {
            assert_eq!(ear.talker, Some(sound.talker), "two talkers in {spurt} at {who}");
            assert!(ear.newest.is_some_and(|newest| sound.count > newest), "{who} hears frame {} of {talker} again or late", sound.count);
        } else {
            assert!(ear.spurt.is_none_or(|before| spurt.is_after(before)), "{who}: {spurt} after {:?}", ear.spurt);
            *ear = Ear { spurt: Some(spurt), talker: Some(sound.talker), newest: None };
        }
        ear.newest = Some(sound.count);
        let owned = self.granted.get(&sound.talker).is_some_and(|spurts| spurts.contains(&spurt));
        assert!(owned, "{who} hears {talker} in {spurt}, which {talker} was never granted");
        sound
    }
}
