//! One talkgroup as its member sees it: joined or not, who talks, who is in emergency, which sides are away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use engine::handset::Event;
use wire::control::{Affiliated, Rights, Taken, Talker};
use wire::{Authority, Identity, Reason, Spurt, TalkgroupId, Tier};

/// Volume of a talkgroup unless its user chose another, percent.
pub(super) const VOLUME: u8 = 80;

/// Whether the gateway lets the unit in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Asked, or not yet.
    Joining,
    /// Let in.
    Joined,
    /// Not let in.
    Refused(Reason),
}

/// Somebody else talks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiving {
    /// The spurt.
    pub spurt: Spurt,
    /// Who.
    pub talker: Talker,
    /// How urgent.
    pub tier: Tier,
    /// Who passed it on, if not the talker's own authority.
    pub via: Option<Authority>,
    /// When the spurt began.
    pub since: Instant,
    /// Nothing came for a while.
    pub interrupted: bool,
}

/// Somebody is in emergency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Who.
    pub originator: Identity,
    /// The user has seen it.
    pub acknowledged: bool,
}

/// What the user notices of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Noticed {
    /// Somebody talked, and has ended.
    Spoken(Receiving),
    /// The talker was lost in mid-word.
    TalkerLost,
    /// An emergency began.
    Alarm,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub id: TalkgroupId,
    /// Whether the unit is in.
    pub membership: Membership,
    /// Agency it belongs to, as last told.
    pub agency: String,
    /// What the member may do, as last told.
    pub rights: Rights,
    title: String,
    /// Who talks.
    pub receiving: Option<Receiving>,
    /// Who is in emergency.
    pub alarm: Option<Alarm>,
    /// Bridged authorities, and whether they can be reached.
    pub sides: BTreeMap<Authority, bool>,
    /// Heard also while another talkgroup is selected.
    pub scanned: bool,
    /// Silent, emergencies apart.
    pub muted: bool,
    /// Percent.
    pub volume: u8,
    /// How long there is to hear again.
    pub kept: Duration,
}

impl Group {
    pub(super) fn new(id: TalkgroupId) -> Self {
        Self {
            id,
            membership: Membership::Joining,
            agency: String::new(),
            rights: Rights::default(),
            title: String::new(),
            receiving: None,
            alarm: None,
            sides: BTreeMap::new(),
            scanned: true,
            muted: false,
            volume: VOLUME,
            kept: Duration::ZERO,
        }
    }

    /// Its title for people as last told, or its name.
    pub fn title(&self) -> String {
        if self.title.is_empty() { self.id.to_string() } else { self.title.clone() }
    }

    /// Whether an emergency may be raised here. While nobody can say so it may: it is sent as soon as there is a session.
    pub fn may_alarm(&self) -> bool {
        match &self.membership {
            Membership::Joined => self.rights.emergency,
            Membership::Joining => true,
            Membership::Refused(_) => false,
        }
    }

    /// Bridged authorities that cannot be reached.
    pub fn away(&self) -> impl Iterator<Item = &Authority> {
        self.sides.iter().filter(|(_, present)| !**present).map(|(authority, _)| authority)
    }

    /// Whether there is an emergency that the user has not acknowledged.
    pub fn is_unseen(&self) -> bool {
        self.alarm.as_ref().is_some_and(|alarm| !alarm.acknowledged)
    }

    /// The session is gone, and all that it told.
    pub(super) fn disconnected(&mut self) -> Option<Noticed> {
        self.membership = Membership::Joining;
        self.sides.clear();
        self.alarm = None;
        self.receiving.take().map(Noticed::Spoken)
    }

    /// Follows an event of this talkgroup; those of the unit's own request are not for it.
    pub(super) fn handle(&mut self, event: &Event, now: Instant) -> Option<Noticed> {
        match event {
            Event::Affiliated(affiliated) => self.affiliated(affiliated, now),
            Event::AffiliateRefused(_, reason) => {
                let spoken = self.disconnected();
                self.membership = Membership::Refused(*reason);
                spoken
            }
            Event::Taken(_, taken) => self.taken(taken, now),
            Event::Interrupted(_, spurt) => {
                let receiving = self.receiving.as_mut().filter(|receiving| receiving.spurt == *spurt)?;
                receiving.interrupted = true;
                Some(Noticed::TalkerLost)
            }
            Event::FirstAudio(_, spurt) => {
                if let Some(receiving) = self.receiving.as_mut().filter(|receiving| receiving.spurt == *spurt) {
                    receiving.interrupted = false;
                }
                None
            }
            // An end without a beginning: the talker was cut before he was told of.
            Event::Idle(_, spurt, lost) => {
                let heard = self.receiving.take_if(|receiving| !receiving.spurt.is_after(*spurt))?;
                Some(if *lost && !heard.interrupted { Noticed::TalkerLost } else { Noticed::Spoken(heard) })
            }
            // Granted to this unit: nobody else talks.
            Event::Granted(..) => self.receiving.take().map(Noticed::Spoken),
            Event::Emergency(_, true, originator) => self.alarmed(originator),
            Event::Emergency(_, false, _) => {
                self.alarm = None;
                None
            }
            Event::FarSide(side) => {
                self.sides.insert(side.authority.clone(), side.present);
                None
            }
            Event::Connected(_)
            | Event::Refused(_)
            | Event::Requested(..)
            | Event::Denied(..)
            | Event::Queued(..)
            | Event::Revoked(..)
            | Event::Released(..)
            | Event::EmergencyEndRefused(..)
            | Event::GatewayLost => None,
        }
    }

    fn affiliated(&mut self, affiliated: &Affiliated, now: Instant) -> Option<Noticed> {
        let Affiliated { title, agency, rights, current, emergency, far_sides, .. } = affiliated;
        self.membership = Membership::Joined;
        (self.title, self.agency, self.rights) = (title.clone(), agency.clone(), *rights);
        self.sides = far_sides.iter().map(|side| (side.authority.clone(), side.present)).collect();
        self.receiving = current.as_ref().map(|taken| receiving(taken, now));
        match emergency {
            Some(originator) => self.alarmed(originator),
            None => {
                self.alarm = None;
                None
            }
        }
    }

    fn taken(&mut self, taken: &Taken, now: Instant) -> Option<Noticed> {
        let before = self.receiving.replace(receiving(taken, now));
        before.filter(|before| before.spurt != taken.spurt).map(Noticed::Spoken)
    }

    fn alarmed(&mut self, originator: &Identity) -> Option<Noticed> {
        if self.alarm.as_ref().is_some_and(|alarm| alarm.originator == *originator) {
            return None;
        }
        self.alarm = Some(Alarm { originator: originator.clone(), acknowledged: false });
        Some(Noticed::Alarm)
    }
}

fn receiving(taken: &Taken, now: Instant) -> Receiving {
    let Taken { spurt, talker, tier, via, elapsed_ms } = taken.clone();
    let since = now.checked_sub(Duration::from_millis(elapsed_ms.into())).unwrap_or(now);
    Receiving { spurt, talker, tier, via, since, interrupted: false }
}
