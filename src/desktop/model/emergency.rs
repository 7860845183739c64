//! The emergency control: held for a second it sends, let go before that it does nothing. Who cannot hold asks and confirms.
//!
//! ```text
//!   Calm ──hold──▶ Arming ──1 s──▶ Declared ──end──▶ Ending ──told that it ended──▶ Calm
//!     │              │ let go: Calm    ▲  ▲             │ refused: Declared
//!     └──ask──▶ Confirming ──confirm───┘  └─────────────┘
//!                   │ 8 s: Calm
//! ```

use std::time::{Duration, Instant};

use wire::TalkgroupId;

/// How long the control is held.
pub const ARM: Duration = Duration::from_secs(1);
/// How long a confirmation is waited for.
pub(super) const CONFIRM: Duration = Duration::from_secs(8);
/// How long the microphone stays open by itself once the floor is there.
pub const HOT_MICROPHONE: Duration = Duration::from_secs(10);
/// How long the end is waited for before the control may ask again.
const END_ANSWER: Duration = Duration::from_secs(3);

/// Where the control stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Emergency {
    /// Nothing.
    #[default]
    Calm,
    /// Held since.
    Arming(Instant),
    /// Asked for without holding; a confirmation sends it until then.
    Confirming(Instant),
    /// Sent.
    Declared(Declared),
    /// Its end was asked for; no answer by then: still declared.
    Ending(Declared, Instant),
}

/// An emergency that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Where.
    pub talkgroup: TalkgroupId,
    /// The gateway tells everybody.
    pub known: bool,
    /// The floor was there once: from here on the microphone opens by the key alone.
    pub heard: bool,
    /// Until when the microphone is open by itself; `None` before the floor is there.
    pub hot_until: Option<Instant>,
}

impl Declared {
    pub(super) fn new(talkgroup: TalkgroupId) -> Self {
        Self { talkgroup, known: false, heard: false, hot_until: None }
    }
}

/// What the user does to the control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Begins to hold it.
    Hold,
    /// Lets it go.
    LetGo,
    /// Asks without holding.
    Ask,
    /// Confirms.
    Confirm,
    /// Ends the emergency.
    End,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// Send it, open the microphone.
    Declare,
    /// Ask the gateway to end it.
    AskEnd(TalkgroupId),
    /// The microphone has been open by itself for long enough.
    CloseMicrophone,
}

impl Emergency {
    /// What was sent and has not ended.
    pub fn declared(&self) -> Option<&Declared> {
        match self {
            Self::Declared(declared) | Self::Ending(declared, _) => Some(declared),
            Self::Calm | Self::Arming(_) | Self::Confirming(_) => None,
        }
    }

    pub(super) fn declared_mut(&mut self) -> Option<&mut Declared> {
        match self {
            Self::Declared(declared) | Self::Ending(declared, _) => Some(declared),
            Self::Calm | Self::Arming(_) | Self::Confirming(_) => None,
        }
    }

    /// How far the ring is filled, 0 to 1.
    pub fn armed(&self, now: Instant) -> f32 {
        match self {
            Self::Arming(since) => (now.saturating_duration_since(*since).as_secs_f32() / ARM.as_secs_f32()).min(1.0),
            Self::Calm | Self::Confirming(_) | Self::Declared(_) | Self::Ending(..) => 0.0,
        }
    }

    pub(super) fn touch(&mut self, touch: Touch, selected: &TalkgroupId, now: Instant) -> Option<Follows> {
        match (&*self, touch) {
            (Self::Calm, Touch::Hold) => *self = Self::Arming(now),
            (Self::Calm, Touch::Ask) => *self = Self::Confirming(now + CONFIRM),
            // Held to the end by a finger that the clock did not see.
            (Self::Arming(since), Touch::LetGo) if now.saturating_duration_since(*since) >= ARM => return self.declare(selected),
            (Self::Arming(_), Touch::LetGo) => *self = Self::Calm,
            (Self::Confirming(until), Touch::Confirm) if now < *until => return self.declare(selected),
            (Self::Declared(declared), Touch::End) => {
                let declared = Declared { hot_until: None, ..declared.clone() };
                let talkgroup = declared.talkgroup.clone();
                // Of what nobody knows there will be no answer.
                *self = if declared.known { Self::Ending(declared, now + END_ANSWER) } else { Self::Calm };
                return Some(Follows::AskEnd(talkgroup));
            }
            (Self::Calm, Touch::LetGo | Touch::Confirm | Touch::End)
            | (Self::Arming(_), Touch::Hold | Touch::Ask | Touch::Confirm | Touch::End)
            | (Self::Confirming(_), Touch::Hold | Touch::LetGo | Touch::Ask | Touch::Confirm | Touch::End)
            | (Self::Declared(_), Touch::Hold | Touch::LetGo | Touch::Ask | Touch::Confirm)
            | (Self::Ending(..), _) => {}
        }
        None
    }

    fn declare(&mut self, selected: &TalkgroupId) -> Option<Follows> {
        *self = Self::Declared(Declared::new(selected.clone()));
        Some(Follows::Declare)
    }

    /// The control was lost (focus, screen): what was not yet sent is not sent.
    pub(super) fn lose_touch(&mut self) {
        if matches!(self, Self::Arming(_) | Self::Confirming(_)) {
            *self = Self::Calm;
        }
    }

    /// The gateway refuses to end it.
    pub(super) fn goes_on(&mut self) {
        if let Self::Ending(declared, _) = self {
            *self = Self::Declared(declared.clone());
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Calm => None,
            Self::Arming(since) => Some(*since + ARM),
            Self::Confirming(until) => Some(*until),
            Self::Declared(declared) => declared.hot_until,
            Self::Ending(_, by) => Some(*by),
        }
    }

    pub(super) fn handle_timeout(&mut self, selected: &TalkgroupId, now: Instant) -> Option<Follows> {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return None;
        }
        match self {
            Self::Arming(_) => return self.declare(selected),
            Self::Confirming(_) => *self = Self::Calm,
            Self::Declared(declared) => {
                declared.hot_until = None;
                return Some(Follows::CloseMicrophone);
            }
            Self::Ending(..) => self.goes_on(),
            Self::Calm => {}
        }
        None
    }
}
