//! What goes into the model, and what comes out: gestures and facts in, effects out.

use std::time::{Duration, Instant};

use client::{Report, What};
use engine::handset::Permit;
use wire::{DenyCause, Identity, Priority, Reason, TalkgroupId};

use super::{Receiving, Stage, Touch};
use crate::ptt::{Source, TalkKey, Why};
use crate::sound::{Choice, Names};
use crate::tones::Tone;

/// What the terminal is set to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who it is.
    pub me: Identity,
    /// Its talkgroups, in the order of the screen; the first is selected.
    pub talkgroups: Vec<TalkgroupId>,
    /// When the microphone opens.
    pub permit: Permit,
    /// The sound devices.
    pub choice: Choice,
    /// The key that talks, if its user chose one.
    pub key: Option<TalkKey>,
}

impl Settings {
    /// With the system's devices and the usual keys.
    pub fn new(me: Identity, talkgroups: Vec<TalkgroupId>, permit: Permit) -> Self {
        Self { me, talkgroups, permit, choice: Choice::default(), key: None }
    }
}

/// Where the terminal stands with its gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not yet, or no longer; since then, for that reason.
    Down(Instant, Option<Reason>),
    /// In session.
    Up(Identity),
    /// It will not come (back) by itself.
    Over(Reason),
}

/// What the user does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// A source presses.
    Press(Source),
    /// A source releases.
    Release(Source),
    /// Another talkgroup is looked at and talked to.
    Select(TalkgroupId),
    /// Heard also while another is selected.
    Scan(TalkgroupId, bool),
    /// Silent.
    Mute(TalkgroupId, bool),
    /// Percent.
    Volume(TalkgroupId, u8),
    /// The one that wins over the others; the same again: none.
    Prefer(TalkgroupId),
    /// The emergency control.
    Emergency(Touch),
    /// An emergency was seen.
    Acknowledge(TalkgroupId),
    /// What was missed in a talkgroup is heard again, or no longer.
    Replay(TalkgroupId),
    /// The page of devices and keys is opened or closed.
    SetUp(bool),
    /// Other sound devices.
    Choose(Choice),
    /// The next key that is pressed will talk, or not after all.
    Learn(bool),
    /// This key talks from now on.
    Learned(TalkKey),
    /// The user wants to hear what the others hear: three seconds of the own voice, through the coder.
    HearMyself,
}

/// What happens around the terminal.
#[derive(Clone, Debug)]
pub enum Fact {
    /// What the unit tells.
    Unit(What),
    /// The unit did not take the press.
    PressFailed(TalkgroupId),
    /// The window got or lost the focus.
    Focus(bool),
    /// A source of push-to-talk comes or goes.
    Source(Source, bool),
    /// The microphone comes or goes.
    Microphone(bool),
    /// The screen is locked.
    Locked(bool),
    /// The machine goes to sleep.
    Asleep(bool),
    /// The unit's counters.
    Counted(Box<Report>),
    /// The machine's sound devices.
    Names(Names),
    /// A chosen device is gone and the system's stands in, or is back.
    Substitute(bool),
    /// How far hearing oneself is.
    Hearing(Hearing),
    /// How long there is to hear again in a talkgroup.
    Kept(TalkgroupId, Duration),
    /// What was replayed has come to its end.
    Replayed,
}

/// Hearing oneself, step by step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Hearing {
    /// Not asked for.
    #[default]
    Idle,
    /// The microphone listens.
    Listening,
    /// It comes back, this loud: 0 to 1, from -60 dB to full scale.
    Back(f32),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the unit for the floor, or raise what was asked.
    Press(TalkgroupId, Priority, Permit),
    /// Give it back.
    KeyUp(TalkgroupId),
    /// Ask for the end of the group emergency.
    EndEmergency(TalkgroupId),
    /// Sound once.
    Sound(Tone),
    /// Play what was kept of a talkgroup.
    Replay(TalkgroupId),
    /// Stop playing it.
    StopReplay,
    /// Open other sound devices.
    Choose(Choice),
    /// Keep the settings for the next start.
    Keep,
    /// Listen for three seconds, play them.
    HearMyself,
}

/// Somebody who talked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talker {
    /// Where.
    pub talkgroup: TalkgroupId,
    /// The spurt.
    pub spoken: Receiving,
    /// When it ended.
    pub until: Instant,
}

/// Something worth a line, for some seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The key was ended by force, or pressed in vain.
    Key(Why),
    /// Who heard the last talk: all sides, or the own only.
    Reached(bool),
    /// The emergency's talk was refused or cut off; the key that it held is up.
    Ended(Stage),
    /// A gateway refused the terminal.
    Refused(Reason),
    /// The emergency goes on.
    EmergencyGoesOn(DenyCause),
}
