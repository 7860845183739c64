//! What a gateway is configured to do, as the hub needs it: talkgroups, rights, bridges, peers.
//!
//! The gateway's configuration is translated into a [`Plan`] after validation; the hub never sees a file. A new plan can
//! replace the running one at any time (reload).

use std::time::Duration;

use wire::control::{Agreement, Inbound, Outbound, Rights};
use wire::{Authority, Identity, Kind, Level, Name, Pattern, TalkgroupId, Tier};

/// Everything the hub must know.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Who this gateway is.
    pub gateway: Identity,
    /// Refuse every session with *standby*.
    pub standby: bool,
    /// The talkgroups of this authority.
    pub talkgroups: Vec<Talkgroup>,
    /// Gateways that may connect.
    pub peers: Vec<Peer>,
    /// Agreements with them.
    pub bridges: Vec<Bridge>,
    /// Rate of a unit's link, in kbit/s.
    pub unit_rate_kbps: u32,
}

/// A talkgroup and who may do what in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Talkgroup {
    /// Its name.
    pub id: TalkgroupId,
    /// For people.
    pub title: String,
    /// For people.
    pub agency: String,
    /// Who may join.
    pub join: Vec<Pattern>,
    /// Who may ask for the floor.
    pub talk: Vec<Pattern>,
    /// Who may raise an emergency.
    pub emergency: Vec<Pattern>,
    /// Who may declare imminent peril.
    pub peril: Vec<Pattern>,
    /// Highest level that counts here.
    pub level_max: Level,
    /// Floor timers.
    pub timers: Timers,
}

impl Talkgroup {
    /// Whether the identity may join.
    pub fn admits(&self, identity: &Identity) -> bool {
        identity.kind != Kind::Gateway && matches_any(&self.join, identity)
    }

    /// What the identity may do.
    pub fn rights(&self, identity: &Identity) -> Rights {
        Rights {
            talk: matches_any(&self.talk, identity),
            emergency: matches_any(&self.emergency, identity),
            peril: matches_any(&self.peril, identity),
            level_max: self.level_max,
        }
    }
}

fn matches_any(patterns: &[Pattern], identity: &Identity) -> bool {
    patterns.iter().any(|pattern| pattern.matches(identity))
}

/// Floor timers of one talkgroup (TS 24.380 11.1.3; defaults are the design's, shorter than the standard's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// T1 end of media: no voice and no hold beat for so long ends the spurt. Standard 4 s.
    pub t1: Duration,
    /// T2 talk limit in the normal and peril tiers, from the first frame.
    pub t2: Duration,
    /// T2 in the emergency tier.
    pub t2_emergency: Duration,
    /// T3 grace between a revoke and the end, inside the normal tier. Standard 3 s.
    pub t3: Duration,
    /// T20: a grant out of the queue is repeated so often until voice comes, [`Timers::C20`] times.
    pub t20: Duration,
}

impl Timers {
    /// How often a grant out of the queue is sent before it passes on.
    pub const C20: u8 = 3;
    /// How long the arbiter waits for the last frame that a release names.
    pub const TAIL: Duration = Duration::from_millis(200);

    /// T2 of a tier.
    pub fn limit(&self, tier: Tier) -> Duration {
        match tier {
            Tier::Emergency => self.t2_emergency,
            Tier::Normal | Tier::Peril => self.t2,
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(1_300),
            t2: Duration::from_secs(30),
            t2_emergency: Duration::from_secs(60),
            t3: Duration::from_millis(500),
            t20: Duration::from_secs(1),
        }
    }
}

/// A gateway of another authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its authority.
    pub authority: Authority,
    /// Its name there.
    pub name: Name,
    /// Provisioned rate of the link, in kbit/s.
    pub rate_kbps: u32,
}

impl Peer {
    /// Its identity.
    pub fn identity(&self) -> Identity {
        Identity::new(self.authority.clone(), Kind::Gateway, self.name.clone())
    }
}

/// This side's words of one agreement.
#[derive(Clone, Debug, PartialEq)]
pub struct Bridge {
    /// The agreement's reference.
    pub agreement: String,
    /// The home talkgroup.
    pub home: TalkgroupId,
    /// The partner talkgroup.
    pub partner: TalkgroupId,
    /// What the other side may do here.
    pub inbound: Inbound,
    /// What this side lets out.
    pub outbound: Outbound,
    /// Authorities the home may pass this on to.
    pub onward: Vec<Authority>,
    /// First and last second it holds, UTC seconds since 1970.
    pub valid: Option<(i64, i64)>,
}

impl Bridge {
    /// This side's talkgroup.
    pub fn own(&self, authority: &Authority) -> &TalkgroupId {
        if self.home.authority == *authority { &self.home } else { &self.partner }
    }

    /// The other side's authority.
    pub fn far(&self, authority: &Authority) -> &Authority {
        if self.home.authority == *authority { &self.partner.authority } else { &self.home.authority }
    }

    /// Whether this side arbitrates.
    pub fn is_home(&self, authority: &Authority) -> bool {
        self.home.authority == *authority
    }

    /// Whether the agreement holds at that time (UTC seconds since 1970).
    pub fn holds_at(&self, unix_s: i64) -> bool {
        self.valid.is_none_or(|(from, until)| (from..until).contains(&unix_s))
    }

    /// The words that are sent to the peer.
    pub fn words(&self) -> Agreement {
        Agreement {
            name: self.agreement.clone(),
            home: self.home.clone(),
            partner: self.partner.clone(),
            inbound: self.inbound,
            outbound: self.outbound,
            onward: self.onward.clone(),
        }
    }
}

/// One agreement as short data sees it: what may pass, now or when the other side is back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    /// The other side.
    pub far: Authority,
    /// The own talkgroup.
    pub own_group: TalkgroupId,
    /// The other side's.
    pub far_group: TalkgroupId,
    /// Whether this gateway is the home.
    pub is_home: bool,
    /// Whether both sides agree, over a session.
    pub live: bool,
    /// Whether short data may leave: by the own words, and the other side's as far as they are known.
    pub out: bool,
    /// Whether it may come in.
    pub into: bool,
    /// Authorities for which the home may speak: those that both sides list; as long as the other's are not known, the own ones.
    pub onward: Vec<Authority>,
}
