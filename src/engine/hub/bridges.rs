//! Bridges: whether both sides configured the same agreement, and what follows from it.
//!
//! Default deny: a bridge carries only while both sides name the same agreement with equal talkgroups, inside its dates,
//! over a live session. Everything short of that has a state that names what is missing, for status and records.

use std::fmt;

use wire::control::{Agreement, Inbound, Outbound};
use wire::{Authority, SessionId, TalkgroupId};

use crate::plan::{Border, Bridge};

/// Where a bridge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeState {
    /// No session with the other side.
    Away,
    /// The other side does not configure the agreement.
    OneSided,
    /// The other side configures it with other talkgroups.
    Differs,
    /// Before its first or after its last second.
    OutsideDates,
    /// Both sides agree; the first *sync* is under way.
    Agreed,
    /// It carries.
    Active,
}

impl BridgeState {
    /// The word used in status and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::OneSided => "pending_one_sided",
            Self::Differs => "pending_differs",
            Self::OutsideDates => "outside_dates",
            Self::Agreed => "agreed",
            Self::Active => "active",
        }
    }

    /// Whether both sides' words match.
    pub fn is_agreed(self) -> bool {
        matches!(self, Self::Agreed | Self::Active)
    }
}

impl fmt::Display for BridgeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A bridge as it runs.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) plan: Bridge,
    pub(crate) theirs: Option<Agreement>,
    pub(crate) state: BridgeState,
}

impl Running {
    pub(crate) fn new(plan: Bridge) -> Self {
        Self { plan, theirs: None, state: BridgeState::Away }
    }

    /// Compares both sides' words.
    pub(crate) fn judge(&self, session_up: bool, unix_s: i64) -> BridgeState {
        if !self.plan.holds_at(unix_s) {
            return BridgeState::OutsideDates;
        }
        if !session_up {
            return BridgeState::Away;
        }
        match &self.theirs {
            None => BridgeState::OneSided,
            Some(theirs) if theirs.home != self.plan.home || theirs.partner != self.plan.partner => BridgeState::Differs,
            Some(_) if self.state == BridgeState::Active => BridgeState::Active,
            Some(_) => BridgeState::Agreed,
        }
    }

    /// What may pass of short data. What leaves is kept for a side that is away, unless the words are known to forbid it.
    pub(crate) fn border(&self, authority: &Authority) -> Border {
        let (ours, theirs) = (&self.plan, self.theirs.as_ref());
        let holds = !matches!(self.state, BridgeState::OutsideDates | BridgeState::Differs);
        let both = |theirs: &Agreement| ours.onward.iter().filter(|listed| theirs.onward.contains(listed)).cloned().collect();
        Border {
            far: ours.far(authority).clone(),
            own_group: ours.own(authority).clone(),
            far_group: if ours.is_home(authority) { ours.partner.clone() } else { ours.home.clone() },
            is_home: ours.is_home(authority),
            live: self.state.is_agreed(),
            out: holds && ours.outbound.short_data && theirs.is_none_or(|theirs| theirs.inbound.short_data),
            into: holds && ours.inbound.short_data && theirs.is_none_or(|theirs| theirs.outbound.short_data),
            onward: theirs.map_or_else(|| ours.onward.clone(), both),
        }
    }

    /// The other end, once both sides agree.
    pub(crate) fn far(&self, session: SessionId, authority: &Authority) -> Option<Far> {
        self.theirs.as_ref().map(|theirs| Far {
            session,
            authority: self.plan.far(authority).clone(),
            agreement: self.plan.agreement.clone(),
            home: self.plan.home.clone(),
            inbound: self.plan.inbound,
            outbound: self.plan.outbound,
            their_inbound: theirs.inbound,
            their_outbound: theirs.outbound,
            onward: self.plan.onward.iter().filter(|authority| theirs.onward.contains(authority)).cloned().collect(),
        })
    }
}

/// The other end of an active bridge, as a view sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Far {
    pub(crate) session: SessionId,
    pub(crate) authority: Authority,
    pub(crate) agreement: String,
    /// The name that floor messages carry between gateways.
    pub(crate) home: TalkgroupId,
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
    pub(crate) their_inbound: Inbound,
    pub(crate) their_outbound: Outbound,
    /// Authorities for which the home may speak here: those that both sides list.
    pub(crate) onward: Vec<Authority>,
}

impl Far {
    /// Whether the home may name talkers of that authority here: its own, and those that both agreements list.
    pub(crate) fn may_speak_for(&self, authority: &Authority) -> bool {
        self.authority == *authority || self.onward.contains(authority)
    }

    /// Whether voice of this side is carried to it.
    pub(crate) fn hears_us(&self) -> bool {
        self.outbound.talk && self.their_inbound.talk
    }

    /// Whether voice of the other side is carried here.
    pub(crate) fn is_heard(&self) -> bool {
        self.inbound.talk && self.their_outbound.talk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::control::Ceiling;
    use wire::{Level, Tier};

    pub(crate) fn bridge() -> Bridge {
        Bridge {
            agreement: "EMR-2026-01".into(),
            home: "nl/pol-1".parse().unwrap(),
            partner: "be/lux-3".parse().unwrap(),
            inbound: Inbound {
                talk: true,
                short_data: true,
                emergency: true,
                ceiling: Ceiling { tier: Tier::Emergency, level: Level(64), dispatcher: false },
            },
            outbound: Outbound { talk: true, short_data: true, emergency: true },
            onward: Vec::new(),
            valid: Some((100, 200)),
        }
    }

    #[test]
    fn a_bridge_needs_session_dates_and_equal_words() {
        let mut running = Running::new(bridge());
        assert_eq!(running.judge(true, 99), BridgeState::OutsideDates);
        assert_eq!(running.judge(true, 200), BridgeState::OutsideDates);
        assert_eq!(running.judge(false, 150), BridgeState::Away);
        assert_eq!(running.judge(true, 150), BridgeState::OneSided);
        let mut theirs = bridge().words();
        theirs.partner = "be/lux-4".parse().unwrap();
        running.theirs = Some(theirs);
        assert_eq!(running.judge(true, 150), BridgeState::Differs);
        running.theirs = Some(bridge().words());
        assert_eq!(running.judge(true, 150), BridgeState::Agreed);
        running.state = BridgeState::Active;
        assert_eq!(running.judge(true, 150), BridgeState::Active);
        assert_eq!(running.judge(false, 150), BridgeState::Away);
    }

    #[test]
    fn a_direction_is_open_only_if_both_sides_open_it() {
        let mut running = Running::new(bridge());
        let mut words = bridge().words();
        words.inbound.talk = false;
        running.theirs = Some(words);
        let far = running.far(SessionId(1), &"nl".parse().unwrap()).unwrap();
        assert!(!far.hears_us());
        assert!(far.is_heard());
        assert_eq!(far.authority.as_str(), "be");
    }
}
