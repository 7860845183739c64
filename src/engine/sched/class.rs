//! The traffic classes of a link and their rules, in one table.
//!
//! In the data path: whoever offers a packet to the [`Scheduler`](super::Scheduler) names its class; the class decides
//! when the packet goes, how long it may wait and what happens when its queue is full.

use std::time::Duration;

use wire::Tier;

/// What a packet is, most urgent first; the derived order is the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Floor control and alerts.
    Control,
    /// Heartbeats and repeated emergency requests: said again soon, so worthless when late. Not in the control class, where they
    /// would wait behind a stream that stands still, and a living link would look dead.
    Signal,
    /// Voice of the emergency tier.
    EmergencyVoice,
    /// Voice of the imminent-peril tier.
    PerilVoice,
    /// Voice of the normal tier; inside the class the higher level goes first.
    Voice,
    /// Urgent short data.
    UrgentData,
    /// Short data.
    Data,
    /// Everything that can wait; a driver sends it on the link's second connection.
    Bulk,
}

/// How long a class may wait and what gives way when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Longest wait, counted from the arrival at this gateway; what is older is dropped and counted, never sent late. `None`: waits for ever.
    pub deadline: Option<Duration>,
    /// Most messages that wait; a voice frame is one message.
    pub bound_messages: usize,
    /// What happens to the message beyond the bound.
    pub when_full: WhenFull,
    /// Whether the class keeps a guaranteed share of the link (see the [module](super)).
    pub guaranteed: bool,
}

/// The rule for a full queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The receiver is too slow: the link must close, for this class may lose nothing.
    CloseLink,
    /// The oldest frame of the lowest level goes; a newer frame is worth more to the listener.
    DropOldest,
    /// The new message is handed back; its owner keeps it and tries again.
    RefuseNew,
}

/// Voice that waited longer is worth less than the gap it leaves: three frames, then the listener's concealment takes over.
const VOICE_DEADLINE: Option<Duration> = Some(Duration::from_millis(60));

impl Class {
    /// Every class, most urgent first.
    pub const ALL: [Self; 8] =
        [Self::Control, Self::Signal, Self::EmergencyVoice, Self::PerilVoice, Self::Voice, Self::UrgentData, Self::Data, Self::Bulk];

    /// The class of a voice frame.
    pub fn of_voice(tier: Tier) -> Self {
        match tier {
            Tier::Emergency => Self::EmergencyVoice,
            Tier::Peril => Self::PerilVoice,
            Tier::Normal => Self::Voice,
        }
    }

    /// The table. 64 voice frames are three deadlines' worth of seven talkers; a data message is at most one control frame of 16 KiB.
    pub const fn rule(self) -> Rule {
        use WhenFull::{CloseLink, DropOldest, RefuseNew};
        let (deadline, bound_messages, when_full, guaranteed) = match self {
            Self::Control => (None, 256, CloseLink, false),
            Self::Signal | Self::EmergencyVoice | Self::PerilVoice | Self::Voice => (VOICE_DEADLINE, 64, DropOldest, false),
            Self::UrgentData => (None, 64, RefuseNew, true),
            Self::Data => (None, 32, RefuseNew, true),
            Self::Bulk => (None, 16, RefuseNew, true),
        };
        Rule { deadline, bound_messages, when_full, guaranteed }
    }

    /// Whether packets of the class are single datagrams that are worthless when late.
    pub const fn is_perishable(self) -> bool {
        matches!(self, Self::Signal | Self::EmergencyVoice | Self::PerilVoice | Self::Voice)
    }

    /// Whether even a guaranteed share normally waits for this class.
    pub(super) const fn is_vital(self) -> bool {
        matches!(self, Self::Control | Self::Signal | Self::EmergencyVoice)
    }

    /// Place in per-class tables.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Control => 0,
            Self::Signal => 1,
            Self::EmergencyVoice => 2,
            Self::PerilVoice => 3,
            Self::Voice => 4,
            Self::UrgentData => 5,
            Self::Data => 6,
            Self::Bulk => 7,
        }
    }

    /// The word used in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Signal => "signal",
            Self::EmergencyVoice => "emergency_voice",
            Self::PerilVoice => "peril_voice",
            Self::Voice => "voice",
            Self::UrgentData => "urgent_data",
            Self::Data => "data",
            Self::Bulk => "bulk",
        }
    }
}
