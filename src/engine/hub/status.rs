//! A snapshot of the hub for people: sessions, talkgroups, floors, bridges, links.

use std::time::{Duration, Instant};

use wire::control::{Agreement, Talker};
use wire::{Authority, Identity, SessionId, Spurt, TalkgroupId, Tier};

use super::admission::Use;
use super::bridges::BridgeState;
use super::figures::Figures;
use super::follower::Talking;
use super::view::{Side, View};
use super::{Hub, Stage};
use crate::floor::table::State;
use crate::loss::Repeats;
use crate::plan::Border;

/// Everything at one instant.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Live sessions.
    pub sessions: Vec<SessionStatus>,
    /// Talkgroups and their floors.
    pub talkgroups: Vec<TalkgroupStatus>,
    /// Bridges.
    pub bridges: Vec<BridgeStatus>,
    /// Links to peers.
    pub links: Vec<LinkStatus>,
    /// What was counted since the start.
    pub figures: Figures,
    /// Time since the start.
    pub uptime: Duration,
}

/// One session.
#[derive(Clone, Debug)]
pub struct SessionStatus {
    /// Its number in this process.
    pub session: SessionId,
    /// Who.
    pub identity: Identity,
    /// For how long.
    pub age: Duration,
    /// What it joined.
    pub talkgroups: Vec<TalkgroupId>,
    /// What its reports of loss call for.
    pub repeats: Repeats,
}

/// Who arbitrates a talkgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No bridge is active, and none is missed.
    Local,
    /// This gateway, for partners too.
    Home,
    /// The home.
    Partner,
    /// This gateway, because the other side is away.
    CutOff,
    /// This gateway, for an emergency that the home did not take.
    OwnSide,
}

/// One talkgroup and its floor.
#[derive(Clone, Debug)]
pub struct TalkgroupStatus {
    /// Its name.
    pub talkgroup: TalkgroupId,
    /// For people.
    pub title: String,
    /// How many own members.
    pub members: usize,
    /// Who arbitrates.
    pub mode: Mode,
    /// Units in emergency.
    pub emergency: Vec<Identity>,
    /// Where the floor stands.
    pub floor: State,
    /// Who talks, in which tier and spurt, for how long.
    pub talker: Option<(Talker, Tier, Spurt, Duration)>,
    /// Who waits.
    pub queue: Vec<Talker>,
}

/// One bridge.
#[derive(Clone, Debug)]
pub struct BridgeStatus {
    /// This side's words.
    pub ours: Agreement,
    /// The other side's words.
    pub theirs: Option<Agreement>,
    /// The other side.
    pub far: Authority,
    /// Where it stands.
    pub state: BridgeState,
}

/// One link to a peer.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// The peer.
    pub peer: Identity,
    /// Its session, if up.
    pub up: Option<SessionId>,
    /// How long it is up or down.
    pub since: Duration,
    /// Down, and not dialled for now: it fell too often.
    pub held: bool,
    /// How often its session ended.
    pub lost: u64,
    /// What its reports of loss call for; none while it is down.
    pub repeats: Repeats,
    /// How many spurts it carries, and who finds no room.
    pub used: Use,
}

impl Hub {
    /// Every agreement as short data sees it.
    pub fn borders(&self) -> Vec<Border> {
        self.bridges.iter().map(|bridge| bridge.border(self.authority())).collect()
    }

    /// The snapshot.
    pub fn status(&self, now: Instant) -> Status {
        let age = |since: Instant| now.saturating_duration_since(since);
        Status {
            sessions: self
                .sessions
                .iter()
                .filter(|(_, entry)| matches!(entry.stage, Stage::Up))
                .map(|(session, entry)| SessionStatus {
                    session: *session,
                    identity: entry.caller.identity.clone(),
                    age: age(entry.since),
                    talkgroups: self.views.values().filter(|v| v.members.contains_key(session)).map(|v| v.id().clone()).collect(),
                    repeats: entry.chooser.choice(),
                })
                .collect(),
            talkgroups: self.views.values().map(|view| view.status(now)).collect(),
            bridges: self
                .bridges
                .iter()
                .map(|bridge| BridgeStatus {
                    ours: bridge.plan.words(),
                    theirs: bridge.theirs.clone(),
                    far: bridge.plan.far(self.authority()).clone(),
                    state: bridge.state,
                })
                .collect(),
            links: self
                .plan
                .peers
                .iter()
                .map(|peer| {
                    let identity = peer.identity();
                    let session = self.peers.iter().find(|(_, p)| p.identity == identity);
                    let live = session.and_then(|(session, _)| self.sessions.get(session));
                    LinkStatus {
                        up: session.map(|(s, _)| *s),
                        repeats: live.map(|entry| entry.chooser.choice()).unwrap_or_default(),
                        since: match live {
                            Some(entry) => age(entry.since),
                            None => age(self.links.get(&identity).map_or(self.started, |link| link.down_since)),
                        },
                        held: self.held_until(&identity, now).is_some(),
                        used: self.use_of(peer, session.map(|(session, _)| *session)),
                        lost: self.links.get(&identity).map_or(0, |link| link.lost),
                        peer: identity,
                    }
                })
                .collect(),
            figures: self.out.watch.figures().clone(),
            uptime: age(self.started),
        }
    }
}

impl View {
    fn status(&self, now: Instant) -> TalkgroupStatus {
        let taken = self.current_taken(now);
        let (floor, queue) = match &self.side {
            Side::Arbiter(arbiter) => (arbiter.state(), arbiter.queue().talkers().cloned().collect()),
            Side::Partner(follower) => {
                let floor = match follower.talking() {
                    None => State::Idle,
                    Some(Talking::Local { relinquished: true, .. }) => State::Draining,
                    Some(Talking::Local { .. } | Talking::Remote { .. }) => State::Taken,
                };
                (floor, follower.waiting().cloned().collect())
            }
        };
        let mode = match &self.side {
            Side::Partner(_) => Mode::Partner,
            Side::Arbiter(_) if self.detached.is_some() => Mode::OwnSide,
            Side::Arbiter(_) if !self.far.is_empty() => Mode::Home,
            Side::Arbiter(_) if !self.away.is_empty() => Mode::CutOff,
            Side::Arbiter(_) => Mode::Local,
        };
        TalkgroupStatus {
            talkgroup: self.id().clone(),
            title: self.plan.title.clone(),
            members: self.members.len(),
            mode,
            emergency: self.emergency.clone(),
            floor,
            talker: taken.map(|t| (t.talker, t.tier, t.spurt, Duration::from_millis(t.elapsed_ms.into()))),
            queue,
        }
    }
}
