//! Who may claim what: the one place where a claimed priority becomes an effective one.
//!
//! Local members are judged by the talkgroup's patterns, foreign talkers by the bridge: effective right = the home's
//! inbound and the partner's outbound. A level is clamped; a tier or rank without the right is denied.

use wire::control::{Ceiling, Inbound, Outbound};
use wire::{DenyCause, Identity, Kind, Priority, Tier};

use crate::plan::Talkgroup;

/// Judges a claim of a member that logs in here.
///
/// `in_emergency` tells whether the group emergency lasts: dispatchers then share its tier.
///
/// # Errors
/// The cause to deny with.
pub(crate) fn judge_local(talkgroup: &Talkgroup, who: &Identity, claim: Priority, in_emergency: bool) -> Result<Priority, DenyCause> {
    let rights = talkgroup.rights(who);
    let is_dispatcher = who.kind == Kind::Dispatcher;
    // The emergency right stands by itself: a unit in danger is heard even where it may otherwise only listen.
    match claim.tier {
        Tier::Emergency if rights.emergency || (in_emergency && is_dispatcher && rights.talk) => {}
        Tier::Emergency => return Err(DenyCause::EmergencyNotAllowed),
        Tier::Peril if rights.peril => {}
        Tier::Peril => return Err(DenyCause::PerilNotAllowed),
        Tier::Normal if rights.talk => {}
        Tier::Normal => return Err(DenyCause::ReceiveOnly),
    }
    Ok(Priority { tier: claim.tier, dispatcher: is_dispatcher, level: claim.level.min(rights.level_max) })
}

/// Judges a claim that comes over a bridge, at the home.
///
/// # Errors
/// The cause to deny with.
pub(crate) fn judge_foreign(inbound: &Inbound, far_outbound: &Outbound, claim: Priority) -> Result<Priority, DenyCause> {
    if !(inbound.talk && far_outbound.talk) {
        return Err(DenyCause::BridgeForbids);
    }
    let emergency = inbound.emergency && far_outbound.emergency;
    let Ceiling { tier, level, dispatcher } = inbound.ceiling;
    match claim.tier {
        Tier::Emergency if !emergency || tier < Tier::Emergency => return Err(DenyCause::EmergencyNotAllowed),
        Tier::Peril if tier < Tier::Peril => return Err(DenyCause::PerilNotAllowed),
        Tier::Emergency | Tier::Peril | Tier::Normal => {}
    }
    if claim.dispatcher && !dispatcher {
        return Err(DenyCause::RankNotAllowed);
    }
    Ok(Priority { level: claim.level.min(level), ..claim })
}

/// What a partner claims at the home for one of its own: no more rank or level than the home's words admit, so that a
/// dispatcher without rank there still talks as an ordinary member.
pub(crate) fn fit_to_ceiling(claim: Priority, home_inbound: &Inbound) -> Priority {
    let Ceiling { level, dispatcher, .. } = home_inbound.ceiling;
    Priority { dispatcher: claim.dispatcher && dispatcher, level: claim.level.min(level), ..claim }
}

/// Who may end a group emergency: whoever is in it, and a dispatcher who may raise one.
pub(crate) fn may_end_emergency(who: &Identity, in_emergency: &[Identity], dispatcher_may_raise: bool) -> bool {
    in_emergency.contains(who) || (who.kind == Kind::Dispatcher && dispatcher_may_raise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Level;

    use crate::plan::Timers;

    fn talkgroup() -> Talkgroup {
        let all = vec!["nl/*/*".parse().unwrap()];
        Talkgroup {
            id: "nl/pol-1".parse().unwrap(),
            title: String::new(),
            agency: String::new(),
            join: all,
            talk: vec!["nl/unit/a".parse().unwrap(), "nl/dispatcher/*".parse().unwrap()],
            emergency: vec!["nl/unit/*".parse().unwrap()],
            peril: Vec::new(),
            level_max: Level(64),
            timers: Timers::default(),
        }
    }

    fn inbound(tier: Tier, dispatcher: bool) -> Inbound {
        Inbound { talk: true, short_data: false, emergency: true, ceiling: Ceiling { tier, level: Level(64), dispatcher } }
    }

    const OUT: Outbound = Outbound { talk: true, short_data: false, emergency: true };

    #[test]
    fn local_rights_decide_by_tier_and_clamp_the_level() {
        let tg = talkgroup();
        let unit = |n: &str| n.parse::<Identity>().unwrap();
        assert_eq!(judge_local(&tg, &unit("nl/unit/a"), Priority::normal(200), false), Ok(Priority::normal(64)));
        assert_eq!(judge_local(&tg, &unit("nl/unit/b"), Priority::normal(16), false), Err(DenyCause::ReceiveOnly));
        assert!(judge_local(&tg, &unit("nl/unit/b"), Priority::of(Tier::Emergency), false).is_ok());
        assert_eq!(judge_local(&tg, &unit("nl/unit/a"), Priority::of(Tier::Peril), false), Err(DenyCause::PerilNotAllowed));
        let chief = unit("nl/dispatcher/d");
        assert_eq!(judge_local(&tg, &chief, Priority::of(Tier::Emergency), false), Err(DenyCause::EmergencyNotAllowed));
        assert!(judge_local(&tg, &chief, Priority::of(Tier::Emergency), true).unwrap().dispatcher);
    }

    #[test]
    fn a_claimed_rank_counts_for_nothing_locally() {
        let claim = Priority { dispatcher: true, ..Priority::normal(16) };
        assert!(!judge_local(&talkgroup(), &"nl/unit/a".parse().unwrap(), claim, false).unwrap().dispatcher);
    }

    #[test]
    fn the_ceiling_denies_tiers_and_ranks_and_clamps_levels() {
        let chief = Priority { dispatcher: true, ..Priority::normal(255) };
        assert_eq!(judge_foreign(&inbound(Tier::Normal, false), &OUT, Priority::of(Tier::Emergency)), Err(DenyCause::EmergencyNotAllowed));
        assert_eq!(judge_foreign(&inbound(Tier::Normal, false), &OUT, Priority::of(Tier::Peril)), Err(DenyCause::PerilNotAllowed));
        assert_eq!(judge_foreign(&inbound(Tier::Normal, false), &OUT, chief), Err(DenyCause::RankNotAllowed));
        assert_eq!(judge_foreign(&inbound(Tier::Normal, true), &OUT, chief).unwrap().level, Level(64));
        let fitted = fit_to_ceiling(chief, &inbound(Tier::Normal, false));
        assert_eq!(judge_foreign(&inbound(Tier::Normal, false), &OUT, fitted).unwrap(), Priority::normal(64));
        assert!(fit_to_ceiling(chief, &inbound(Tier::Normal, true)).dispatcher);
    }

    #[test]
    fn both_sides_must_allow() {
        let shut = Outbound { talk: false, ..OUT };
        assert_eq!(judge_foreign(&inbound(Tier::Emergency, true), &shut, Priority::normal(16)), Err(DenyCause::BridgeForbids));
        let calm = Outbound { emergency: false, ..OUT };
        assert_eq!(
            judge_foreign(&inbound(Tier::Emergency, true), &calm, Priority::of(Tier::Emergency)),
            Err(DenyCause::EmergencyNotAllowed)
        );
    }
}
