//! What a unit hears: one voice at a time, every frame once and in order, nothing after its end.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use wire::control::Taken;
use wire::{Identity, Spurt, Tier};

use super::Sound;

/// How long a spurt that is over may still be played: 200 ms for its last frame, the rest is the jitter buffer's delay.
const TAIL: Duration = Duration::from_millis(1_300);

/// Epochs further back or ahead do not compare: between them others may have passed in silence.
const EPOCHS_BACK: u8 = 32;
const EPOCHS_AHEAD: u8 = 64;

/// How long a voice may be heard before somebody is named.
const UNNAMED: Duration = Duration::from_millis(3_500);
const PAUSE: Duration = Duration::from_secs(1);

/// Who is shown as talking.
#[derive(Clone, Debug)]
struct Shown {
    spurt: Spurt,
    talker: Identity,
    tier: Tier,
}

/// Everything up to this number is over.
#[derive(Clone, Copy, Debug)]
struct Over {
    spurt: Spurt,
    at: Instant,
    /// Cut by a higher tier: not even its tail is played.
    cut: bool,
}

/// A unit's ear, during one session.
#[derive(Debug, Default)]
pub(super) struct Ear {
    spurt: Option<Spurt>,
    talker: Option<u16>,
    /// Newest frame of every talker over all sessions, and when it was heard if in this one.
    newest: BTreeMap<u16, (u32, Option<Instant>)>,
    shown: Option<Shown>,
    /// Every voice shown in this session, by its numbers: borders that are cut and heal renumber it.
    voices: Vec<Vec<Spurt>>,
    over: Option<Over>,
    /// When somebody was shown last who talks in more than the normal tier.
    urgent: Option<Instant>,
    /// From when to when voice was heard of which nobody is named.
    unnamed: Option<(Instant, Instant)>,
    /// Counts sessions.
    pub(super) session: u32,
    /// When this one began.
    pub(super) since: Option<Instant>,
    /// Whether the home lies.
    pub(super) led: bool,
}

impl Ear {
    /// Has heard nothing yet; `led`: its home lies.
    pub(super) fn new(led: bool) -> Self {
        Self { led, ..Self::default() }
    }

    /// Numbers of the session before do not compare.
    pub(super) fn new_session(&mut self) {
        let newest = std::mem::take(&mut self.newest).into_iter().map(|(talker, (count, _))| (talker, (count, None))).collect();
        *self = Self { newest, session: self.session + 1, since: Some(Instant::now()), led: self.led, ..Self::default() };
    }

    pub(super) fn taken(&mut self, taken: &Taken, now: Instant) {
        let (spurt, talker, tier) = (taken.spurt, taken.talker.identity.clone(), taken.tier);
        self.urgent = (tier > Tier::Normal).then_some(now).or(self.urgent);
        let before = self.shown.replace(Shown { spurt, talker: talker.clone(), tier });
        match before {
            // The same talker under a new number is one voice that goes on: a border was cut or healed.
            Some(before) if before.talker == talker => {}
            before => {
                self.voices.push(Vec::new());
                if let Some(before) = before.filter(|before| spurt.is_after(before.spurt)) {
                    self.end(Over { spurt: before.spurt, at: now, cut: tier > before.tier });
                }
            }
        }
        if let Some(numbers) = self.voices.last_mut() {
            numbers.push(spurt);
        }
    }

    /// All numbers of the voice that went by this one.
    pub(super) fn numbers(&self, spurt: Spurt) -> &[Spurt] {
        self.voices.iter().rev().find(|numbers| numbers.contains(&spurt)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn idle(&mut self, spurt: Spurt, now: Instant) {
        self.shown.take_if(|shown| !shown.spurt.is_after(spurt));
        self.end(Over { spurt, at: now, cut: false });
    }

    fn end(&mut self, over: Over) {
        if self.over.is_none_or(|known| follows(over.spurt, known.spurt, self.led)) {
            self.over = Some(over);
        }
    }

    /// Whether it is shown who talks under that number, and that this is one for whom the test says yes.
    pub(super) fn named(&mut self, spurt: Spurt, now: Instant, fits: impl Fn(&Identity) -> bool) -> Result<(), String> {
        match &self.shown {
            Some(shown) if shown.spurt == spurt => {
                self.unnamed = None;
                if fits(&shown.talker) { Ok(()) } else { Err(format!("{spurt}, shown as {}", shown.talker)) }
            }
            // Its tail, or before its time.
            Some(_) | None => {
                // A voice that paused for a second is another one.
                let since = self.unnamed.filter(|(_, last)| super::within(*last, now, PAUSE)).map_or(now, |(since, _)| since);
                self.unnamed = Some((since, now));
                if super::within(since, now, UNNAMED) { Ok(()) } else { Err(format!("{spurt}, for {:?} nobody is named", now - since)) }
            }
        }
    }

    /// Judges a frame that is played now; `in_time`: nothing has held packets up lately.
    pub(super) fn hears(&mut self, spurt: Spurt, sound: Sound, said: Instant, in_time: bool, now: Instant) -> Result<(), String> {
        let newest = self.newest.insert(sound.talker, (sound.count, Some(now)));
        if newest.is_some_and(|(newest, _)| sound.count <= newest) {
            return Err(format!("frame {} again or late", sound.count));
        }
        if self.spurt == Some(spurt) {
            if self.talker != Some(sound.talker) {
                return Err(format!("two talkers in {spurt}"));
            }
        } else {
            let before = self.spurt.replace(spurt);
            self.talker = Some(sound.talker);
            if before.is_some_and(|before| !follows(spurt, before, self.led)) {
                return Err(format!("{spurt} after {before:?}"));
            }
        }
        let Some(over) = self.over.filter(|over| !follows(spurt, over.spurt, self.led)) else { return Ok(()) };
        if said > over.at {
            return Err(format!("frame {}, spoken after {spurt} had ended here", sound.count));
        }
        if over.cut && now > over.at {
            return Err(format!("frame {} of {spurt}, which was cut", sound.count));
        }
        if in_time && !super::within(over.at, now, TAIL) {
            return Err(format!("frame {} of {spurt}, long over", sound.count));
        }
        Ok(())
    }

    /// Whether somebody urgent was shown since a moment.
    pub(super) fn urgent_since(&self, since: Instant) -> bool {
        self.urgent.is_some_and(|at| at >= since)
    }

    /// Newest frame of a talker that was ever heard; 0: none.
    pub(super) fn newest_of(&self, talker: u16) -> u32 {
        self.newest.get(&talker).map_or(0, |(count, _)| *count)
    }

    /// Newest frame of a talker, if any was heard in this session since a moment.
    pub(super) fn newest_since(&self, talker: u16, since: Instant) -> Option<u32> {
        self.newest.get(&talker).filter(|(_, at)| at.is_some_and(|at| at >= since)).map(|(newest, _)| *newest)
    }
}

/// Whether one number may come after the other; a home that lies leads them around the circle of epochs.
pub(super) fn follows(spurt: Spurt, before: Spurt, led: bool) -> bool {
    let epochs = spurt.epoch.0.wrapping_sub(before.epoch.0);
    spurt.is_after(before) || (EPOCHS_AHEAD..EPOCHS_BACK.wrapping_neg()).contains(&epochs) || led && epochs != 0
}
