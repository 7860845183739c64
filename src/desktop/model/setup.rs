//! Devices and keys, and hearing again what was missed: what the user sets up and listens to beside the calls.
//!
//! Nothing here opens the microphone: the page's meter and hearing oneself stay inside the terminal.

use wire::{TalkgroupId, Tier};

use super::{Effect, Fact, Gesture, Hearing, Model};
use crate::sound::Names;

/// The page of devices and keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setup {
    /// It is open: the microphone's meter moves, and nothing of it is sent.
    pub open: bool,
    /// The next key that is pressed will talk.
    pub learning: bool,
    /// The machine's sound devices.
    pub names: Names,
    /// A chosen device is gone; the system's stands in.
    pub substitute: bool,
    /// Hearing oneself.
    pub hearing: Hearing,
}

impl Model {
    /// Follows what the user does on the page.
    pub(super) fn set_up(&mut self, gesture: Gesture) {
        match gesture {
            Gesture::SetUp(open) => (self.setup.open, self.setup.learning) = (open, false),
            Gesture::Choose(choice) => {
                self.settings.choice = choice.clone();
                self.effects.extend([Effect::Choose(choice), Effect::Keep]);
            }
            Gesture::Learn(learning) => self.setup.learning = learning,
            Gesture::Learned(key) => {
                (self.settings.key, self.setup.learning) = (Some(key), false);
                self.effects.push_back(Effect::Keep);
            }
            // While the microphone serves a call it is not there for this.
            Gesture::HearMyself if self.talk.is_none() && self.setup.hearing != Hearing::Listening => {
                self.effects.push_back(Effect::HearMyself);
            }
            Gesture::HearMyself
            | Gesture::Press(_)
            | Gesture::Release(_)
            | Gesture::Select(_)
            | Gesture::Scan(..)
            | Gesture::Mute(..)
            | Gesture::Volume(..)
            | Gesture::Prefer(_)
            | Gesture::Emergency(_)
            | Gesture::Acknowledge(_)
            | Gesture::Replay(_) => {}
        }
    }

    /// Follows what the sound devices tell.
    pub(super) fn sound_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Names(names) => self.setup.names = names,
            Fact::Substitute(substitute) => self.setup.substitute = substitute,
            Fact::Hearing(hearing) => self.setup.hearing = hearing,
            Fact::Unit(_)
            | Fact::PressFailed(_)
            | Fact::Focus(_)
            | Fact::Source(..)
            | Fact::Microphone(_)
            | Fact::Locked(_)
            | Fact::Asleep(_)
            | Fact::Counted(_)
            | Fact::Kept(..)
            | Fact::Replayed => {}
        }
    }

    /// What was missed is heard now, instead of what is replayed already. The same again: no longer.
    pub(super) fn replay(&mut self, id: TalkgroupId) {
        let same = self.replaying.as_ref() == Some(&id);
        self.end_replay();
        if !same && !self.replay_yields() {
            self.replaying = Some(id.clone());
            self.effects.push_back(Effect::Replay(id));
        }
    }

    /// Whether something matters more than what was missed: the own talk, an emergency.
    pub(super) fn replay_yields(&self) -> bool {
        self.talk.is_some() || self.groups.iter().any(|group| group.receiving.as_ref().is_some_and(|r| r.tier == Tier::Emergency))
    }

    pub(super) fn end_replay(&mut self) {
        if self.replaying.take().is_some() {
            self.effects.push_back(Effect::StopReplay);
        }
    }
}
