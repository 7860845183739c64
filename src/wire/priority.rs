//! Who goes first: tiers, levels and effective priority.
//!
//! Higher always means more urgent here (as in TS 24.380 and TETRA). The scheduler's classes and any
//! other scale that counts downwards convert in this file and nowhere else.

use std::fmt;
use std::str::FromStr;

use crate::error::NameError;

/// The tier of a talk burst; a tier beats any level (TS 24.380 leaves it to policy; design rule).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Routine traffic.
    #[default]
    Normal,
    /// Danger to somebody else is close.
    Peril,
    /// The unit itself is in danger.
    Emergency,
}

impl Tier {
    /// Every tier, lowest first.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Peril, Self::Emergency];

    /// The word used in configuration and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Peril => "peril",
            Self::Emergency => "emergency",
        }
    }

    /// Two bits of the voice header and the control messages.
    pub fn to_bits(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::Peril => 1,
            Self::Emergency => 2,
        }
    }

    /// Reads the two bits; the unused value 3 is `None`.
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Normal),
            1 => Some(Self::Peril),
            2 => Some(Self::Emergency),
            _ => None,
        }
    }
}

impl FromStr for Tier {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == text).ok_or(NameError::Tier)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Level inside a tier, 0..=255, higher first (the Floor Priority field of TS 24.380 8.2.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub u8);

impl Default for Level {
    fn default() -> Self {
        Self(16)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Effective priority: tier, then dispatcher rank, then level. The derived order is the queue's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority {
    /// Emergency, imminent peril or normal.
    pub tier: Tier,
    /// Whether a dispatcher speaks with the rank of one.
    pub dispatcher: bool,
    /// The level inside tier and rank.
    pub level: Level,
}

impl Priority {
    /// A unit's routine priority at a level.
    pub fn normal(level: u8) -> Self {
        Self { tier: Tier::Normal, dispatcher: false, level: Level(level) }
    }

    /// A unit's priority in a tier at the default level.
    pub fn of(tier: Tier) -> Self {
        Self { tier, ..Self::default() }
    }

    /// Whether a request with this priority takes the floor from a talker with the other one.
    ///
    /// Strictly higher pre-empts; inside the emergency tier only a dispatcher does, so that two units
    /// in danger do not cut each other off.
    pub fn preempts(self, talker: Self) -> bool {
        if self.tier == Tier::Emergency && talker.tier == Tier::Emergency {
            return self.dispatcher && !talker.dispatcher;
        }
        self > talker
    }

    /// Whether pre-empting that talker leaves it the grace period T3: only between levels of the normal tier.
    pub fn grants_grace(self, talker: Self) -> bool {
        self.tier == Tier::Normal && talker.tier == Tier::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(tier: Tier, dispatcher: bool, level: u8) -> Priority {
        Priority { tier, dispatcher, level: Level(level) }
    }

    #[test]
    fn tier_beats_rank_beats_level() {
        assert!(priority(Tier::Peril, false, 0) > priority(Tier::Normal, true, 255));
        assert!(priority(Tier::Normal, true, 0) > priority(Tier::Normal, false, 255));
        assert!(priority(Tier::Normal, false, 17) > priority(Tier::Normal, false, 16));
    }

    #[test]
    fn only_a_dispatcher_preempts_an_emergency() {
        assert!(!priority(Tier::Emergency, false, 255).preempts(priority(Tier::Emergency, false, 0)));
        assert!(priority(Tier::Emergency, true, 0).preempts(priority(Tier::Emergency, false, 255)));
        assert!(!priority(Tier::Emergency, true, 9).preempts(priority(Tier::Emergency, true, 0)));
        assert!(!priority(Tier::Normal, false, 16).preempts(priority(Tier::Normal, false, 16)));
    }

    #[test]
    fn tier_bits_and_words_round_trip() {
        for tier in Tier::ALL {
            assert_eq!(Tier::from_bits(tier.to_bits()), Some(tier));
            assert_eq!(tier.as_str().parse(), Ok(tier));
        }
        assert_eq!(Tier::from_bits(3), None);
    }
}
