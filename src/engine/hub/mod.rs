//! The gateway's brain: sessions, talkgroup views, bridges. One task owns it and drives it.
//!
//! Inputs: a session connected, a message or datagram of it, it closed, time passed, a new plan. Outputs: messages and
//! frames for sessions ([`Output`]), events for records and log ([`Event`]). The hub decides; links only order and send.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | sessions and dispatch |
//! | `units.rs` | messages of units |
//! | `datagrams.rs` | voice, heartbeats, reports of loss, repeated emergency requests |
//! | `peers.rs` | sessions with gateways: who may have one, messages, heartbeat |
//! | `setup.rs` | how a bridge comes up and goes: agreements, sync |
//! | `view/` | one talkgroup: members, arbiter or home, gate, fan-out |
//! | `follower/` | the partner's side of a bridged talkgroup, and what it believes of its home |
//! | `asked.rs` | what that side has asked of the home |
//! | `bridges.rs` | whether both sides agree |
//! | `rights.rs` | who may claim what |
//! | `admission.rs` | whose voice crosses a border link that is full, and with how many repeats |
//! | `limits.rs` | how much one identity may ask |
//! | `figures.rs` | how presses ended and after what time, late entries, voice turned away |
//! | `blame.rs` | who misbehaves, without crowding out the log |
//! | `status.rs` | a snapshot for people |

mod admission;
mod asked;
mod blame;
pub mod bridges;
mod datagrams;
pub mod figures;
mod follower;
mod limits;
pub mod output;
mod peers;
mod rights;
mod setup;
pub mod status;
#[cfg(test)]
mod tests;
mod units;
mod view;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wire::control::{Hello, Message, Talker, Welcome};
use wire::{Authority, Epoch, Handle, Identity, Kind, Reason, RequestId, RevokeCause, SessionId, TalkgroupId};

use crate::earliest;
use crate::loss::{Chooser, Meter};
use crate::plan::Plan;
use admission::Refused;
pub use admission::Use;
use bridges::Running;
use datagrams::Unheard;
use limits::Limits;
use output::Outbox;
pub use output::{Call, Event, Fanout, Output};
use peers::Peer;
use view::View;

/// How long a session may take to say hello.
const HELLO_TIME: Duration = Duration::from_secs(5);

/// Most identities without a session whose usage is remembered; that of one more is forgotten.
const USAGE_MAX: usize = 4_096;

/// Who connected, as its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Certified identity.
    pub identity: Identity,
    /// Name for people, from the certificate.
    pub alias: String,
    /// Agency for people, from the certificate.
    pub agency: String,
}

impl Caller {
    fn talker(&self) -> Talker {
        Talker { identity: self.identity.clone(), alias: self.alias.clone(), agency: self.agency.clone() }
    }
}

#[derive(Clone, Debug)]
enum Stage {
    /// It dialled us and must say hello by then.
    AwaitHello(Instant),
    /// We dialled it and wait for its welcome until then.
    AwaitWelcome(Instant),
    /// It exists.
    Up,
}

#[derive(Clone, Debug)]
struct Session {
    caller: Caller,
    stage: Stage,
    since: Instant,
    /// What both sides know beyond the version.
    capabilities: Vec<u32>,
    /// The newest request that a unit released; late copies of it as datagrams ask for nothing any more.
    released: Option<RequestId>,
    unheard: Unheard,
    limits: Limits,
    /// What its voice loses on the way here, and what it says of ours.
    meter: Meter,
    chooser: Chooser,
}

/// The gateway's brain.
#[derive(Clone, Debug)]
pub struct Hub {
    plan: Plan,
    /// What it offers to every session beyond the version.
    capabilities: Vec<u32>,
    epoch: Epoch,
    sessions: BTreeMap<SessionId, Session>,
    /// Newest session of each identity.
    by_identity: BTreeMap<Identity, SessionId>,
    /// What identities without a session used and have not paid off, so that a new session is no new budget.
    usage: BTreeMap<Identity, Limits>,
    views: BTreeMap<TalkgroupId, View>,
    handles: BTreeMap<Handle, TalkgroupId>,
    peers: BTreeMap<SessionId, Peer>,
    bridges: Vec<Running>,
    links: BTreeMap<Identity, peers::Link>,
    /// Requests that found no room on the link to a peer.
    refused: Refused,
    unix_s: i64,
    started: Instant,
    out: Outbox,
}

impl Hub {
    /// A gateway without sessions. `epoch` must lie above every epoch used before (persisted by the driver).
    pub fn new(plan: Plan, epoch: Epoch, unix_s: i64, now: Instant) -> Self {
        let mut hub = Self {
            plan: Plan { talkgroups: Vec::new(), peers: Vec::new(), bridges: Vec::new(), ..plan.clone() },
            capabilities: Vec::new(),
            epoch,
            sessions: BTreeMap::new(),
            by_identity: BTreeMap::new(),
            usage: BTreeMap::new(),
            views: BTreeMap::new(),
            handles: BTreeMap::new(),
            peers: BTreeMap::new(),
            bridges: Vec::new(),
            links: BTreeMap::new(),
            refused: Refused::new(),
            unix_s,
            started: now,
            out: Outbox::default(),
        };
        hub.handle_plan(plan, now);
        hub
    }

    /// Offers capabilities to the sessions that begin from now on.
    pub fn offer(&mut self, capabilities: &[u32]) {
        self.capabilities = capabilities.to_vec();
    }

    /// Whether both sides of a session know a capability.
    pub fn knows(&self, session: SessionId, capability: u32) -> bool {
        self.sessions.get(&session).is_some_and(|entry| entry.capabilities.contains(&capability))
    }

    /// Takes the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.outputs.pop_front()
    }

    /// Whether output waits.
    pub fn has_output(&self) -> bool {
        !self.out.outputs.is_empty()
    }

    /// Takes the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// The end of every turn: links are shared out anew, and what was answered is counted.
    fn settle(&mut self, now: Instant) {
        self.share_links(now);
        self.out.watch.end_of_turn(now);
    }

    fn authority(&self) -> &Authority {
        &self.plan.gateway.authority
    }

    // === Plan ===

    /// Puts a new plan in force: rights that ended end what they allowed, bridges are judged anew.
    pub fn handle_plan(&mut self, plan: Plan, now: Instant) {
        let gone: Vec<TalkgroupId> = self.views.keys().filter(|id| !plan.talkgroups.iter().any(|tg| tg.id == **id)).cloned().collect();
        for id in gone {
            if let Some(mut view) = self.views.remove(&id) {
                let members: Vec<SessionId> = view.members.keys().copied().collect();
                for session in members {
                    view.leave(session, RevokeCause::NotAllowed, now, &mut self.out);
                    self.out.control(session, Message::AffiliateRefused(id.clone(), Reason::UnknownTalkgroup));
                }
                self.handles.remove(&view.handle);
            }
        }
        for talkgroup in &plan.talkgroups {
            match self.views.get_mut(&talkgroup.id) {
                Some(view) => view.set_plan(talkgroup.clone(), now, &mut self.out),
                None => {
                    let Some(handle) = (1..=u16::MAX).map(Handle).find(|h| !self.handles.contains_key(h)) else { continue };
                    self.handles.insert(handle, talkgroup.id.clone());
                    self.views.insert(talkgroup.id.clone(), View::new(talkgroup.clone(), handle, self.epoch));
                }
            }
        }
        self.plan = plan;
        self.renew_peers(now);
        self.out.stirred = true;
        self.settle(now);
    }

    // === Sessions ===

    /// A connection with a certified identity exists; `dialled` tells whether this gateway opened it.
    pub fn handle_connected(&mut self, session: SessionId, caller: Caller, dialled: bool, now: Instant) {
        let stage = if dialled { Stage::AwaitWelcome(now + HELLO_TIME) } else { Stage::AwaitHello(now + HELLO_TIME) };
        if dialled {
            self.out.control(session, Message::Hello(Hello::knowing(&self.capabilities)));
        }
        self.out.blame.begin(session, caller.identity.clone());
        let (unheard, limits) = (Unheard::default(), Limits::default());
        let (meter, chooser) = (Meter::default(), Chooser::default());
        self.sessions.insert(
            session,
            Session { caller, stage, since: now, capabilities: Vec::new(), released: None, unheard, limits, meter, chooser },
        );
    }

    /// A control message arrived.
    pub fn handle_message(&mut self, session: SessionId, message: Message, now: Instant) {
        self.handle_one_message(session, message, now);
        self.out.stirred = true;
        self.settle(now);
    }

    fn handle_one_message(&mut self, session: SessionId, message: Message, now: Instant) {
        let Some(entry) = self.sessions.get(&session) else { return };
        match (&entry.stage, message) {
            (Stage::AwaitHello(_), Message::Hello(hello)) => self.handle_hello(session, &hello, now),
            (Stage::AwaitWelcome(_), Message::Welcome(welcome)) => self.handle_welcome(session, &welcome, now),
            (Stage::AwaitWelcome(_), Message::Refused(reason)) => self.end(session, reason, now),
            (Stage::Up, message) if self.peers.contains_key(&session) => self.handle_peer_message(session, message, now),
            (Stage::Up, message) => self.handle_unit_message(session, message, now),
            (Stage::AwaitHello(_) | Stage::AwaitWelcome(_), _) => self.misbehaved(session, "message before hello", now),
        }
    }

    fn handle_hello(&mut self, session: SessionId, hello: &Hello, now: Instant) {
        let Some(entry) = self.sessions.get(&session) else { return };
        let caller = entry.caller.clone();
        let verdict = self.judge_caller(&caller, hello, now).and_then(|()| self.judge_return(session, &caller.identity, now));
        if let Err(reason) = verdict {
            self.out.control(session, Message::Refused(reason));
            self.end(session, reason, now);
            return;
        }
        let capabilities = hello.common(&self.capabilities);
        let welcome = Welcome { version: wire::VERSION, capabilities: capabilities.clone(), gateway: self.plan.gateway.clone() };
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.capabilities = capabilities;
        }
        self.out.control(session, Message::Welcome(welcome));
        self.up(session, caller, now);
    }

    fn judge_caller(&self, caller: &Caller, hello: &Hello, now: Instant) -> Result<(), Reason> {
        if hello.agree().is_none() {
            return Err(Reason::VersionMismatch);
        }
        if self.plan.standby {
            return Err(Reason::Standby);
        }
        if caller.identity.kind == Kind::Gateway { self.judge_peer(&caller.identity, now) } else { Ok(()) }
    }

    /// A unit that comes again and again is turned away; the session that it has stays.
    fn judge_return(&mut self, session: SessionId, identity: &Identity, now: Instant) -> Result<(), Reason> {
        let live = self.by_identity.get(identity).and_then(|session| self.sessions.get_mut(session)).map(|entry| &mut entry.limits);
        let fits = match live {
            _ if identity.kind == Kind::Gateway => true,
            Some(limits) => limits.session(now),
            None if self.usage.len() < USAGE_MAX => self.usage.entry(identity.clone()).or_default().session(now),
            None => self.usage.get_mut(identity).is_none_or(|limits| limits.session(now)),
        };
        if !fits {
            self.out.misbehaved(session, "too many sessions", now);
        }
        if fits { Ok(()) } else { Err(Reason::TooManySessions) }
    }

    fn handle_welcome(&mut self, session: SessionId, welcome: &Welcome, now: Instant) {
        let Some(entry) = self.sessions.get(&session) else { return };
        let caller = entry.caller.clone();
        match welcome.check(&caller.identity, &self.capabilities) {
            Ok(()) => {
                if let Some(entry) = self.sessions.get_mut(&session) {
                    entry.capabilities.clone_from(&welcome.capabilities);
                }
                self.up(session, caller, now);
            }
            Err(reason) => self.end(session, reason, now),
        }
    }

    fn up(&mut self, session: SessionId, caller: Caller, now: Instant) {
        // The same identity twice: the newest session wins.
        if let Some(older) = self.by_identity.insert(caller.identity.clone(), session) {
            self.end(older, Reason::Superseded, now);
            self.by_identity.insert(caller.identity.clone(), session);
        }
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.stage = Stage::Up;
            entry.limits = self.usage.remove(&caller.identity).unwrap_or_default();
        }
        self.out.event(Event::SessionUp(session, caller.identity.clone()));
        if caller.identity.kind == Kind::Gateway {
            self.peer_up(session, caller.identity, now);
        }
    }

    /// Ends a session from this side: what it held is freed at once, the connection closes after what was sent before.
    pub fn end(&mut self, session: SessionId, reason: Reason, now: Instant) {
        if self.sessions.contains_key(&session) {
            self.out.close(session, reason);
        }
        self.handle_closed(session, reason, now);
    }

    /// The connection is gone.
    pub fn handle_closed(&mut self, session: SessionId, reason: Reason, now: Instant) {
        let Some(entry) = self.sessions.remove(&session) else { return };
        if self.by_identity.get(&entry.caller.identity) == Some(&session) {
            self.by_identity.remove(&entry.caller.identity);
        }
        if self.usage.len() < USAGE_MAX && !entry.limits.is_clean(now) {
            self.usage.insert(entry.caller.identity.clone(), entry.limits);
        }
        let cause = if reason == Reason::Superseded { RevokeCause::Superseded } else { RevokeCause::Disconnected };
        for view in self.views.values_mut() {
            view.leave(session, cause, now, &mut self.out);
        }
        if self.peers.contains_key(&session) {
            self.peer_down(session, reason, now.saturating_duration_since(entry.since), now);
        }
        self.out.watch.gone(session, now);
        let unsaid = self.out.blame.end(session);
        self.out.events.extend(unsaid);
        self.out.event(Event::SessionDown(session, entry.caller.identity, reason));
        self.settle(now);
    }

    fn misbehaved(&mut self, session: SessionId, what: &'static str, now: Instant) {
        self.out.misbehaved(session, what, now);
        self.end(session, Reason::ProtocolViolation, now);
    }

    fn caller(&self, session: SessionId) -> Option<&Caller> {
        self.sessions.get(&session).map(|entry| &entry.caller)
    }

    // === Time ===

    /// The next deadline, with its reason.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let stages = self.sessions.values().map(|session| match session.stage {
            Stage::AwaitHello(at) | Stage::AwaitWelcome(at) => Some((at, "hello")),
            Stage::Up => None,
        });
        let views = self.views.values().map(View::poll_timeout);
        earliest(stages.chain(views).chain([self.peer_timeout()]))
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let late: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, s)| matches!(s.stage, Stage::AwaitHello(at) | Stage::AwaitWelcome(at) if at <= now))
            .map(|(session, _)| *session)
            .collect();
        for session in late {
            self.end(session, Reason::Timeout, now);
        }
        for view in self.views.values_mut() {
            if view.poll_timeout().is_some_and(|(at, _)| at <= now) {
                view.handle_timeout(now, &mut self.out);
            }
        }
        self.handle_peer_timeout(now);
        self.rejoin(now);
        self.settle(now);
    }

    /// The wall clock, about once a second: dates of agreements.
    pub fn handle_wall_clock(&mut self, unix_s: i64, now: Instant) {
        self.unix_s = unix_s;
        self.usage.retain(|_, limits| !limits.is_clean(now));
        self.renew_bridges(now);
        self.settle(now);
    }

    /// Every session ends with this reason: the gateway stops.
    pub fn drain(&mut self, now: Instant) {
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.end(session, Reason::ShuttingDown, now);
        }
    }

    /// The identities of live sessions, for the sweep after a change of trust.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &Identity)> {
        self.sessions.iter().map(|(session, entry)| (*session, &entry.caller.identity))
    }
}
