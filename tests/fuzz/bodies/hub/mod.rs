//! The gateway's brain under sessions that connect, say, send and leave as the script wills: honest units, units that lie,
//! gateways of two bridged authorities, a gateway nobody knows. Plans change, time passes, the clock jumps.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the script's operations and the bench that carries them out |
//! | `say.rs` | any message and datagram, near enough to the truth to get far |
//! | `watch.rs` | what must hold on everything that leaves the hub |

mod say;
mod watch;

use std::time::{Duration, Instant};

use engine::hub::{Caller, Hub, Output};
use engine::plan::{Bridge, Peer, Plan, Talkgroup, Timers};
use wire::control::{Affiliated, Ceiling, Floor, FloorBody, Hello, Inbound, Message, Outbound, Sync, Welcome};
use wire::{Authority, Epoch, Identity, Level, Reason, RequestId, SessionId, Spurt, Tier};

use super::{Script, epoch, ms, trace};
use watch::Watch;

/// Those who may connect; the first three are gateways.
const CALLERS: [&str; 8] = [
    "be/gateway/gw-1",
    "de/gateway/gw-1",
    "fr/gateway/gw-1",
    "nl/unit/a",
    "nl/unit/b",
    "nl/unit/c",
    "nl/dispatcher/chief",
    "be/unit/visitor",
];
/// Sessions at once.
const SESSIONS_MAX: usize = 10;
/// Operations of one script; more show nothing new.
const OPS_MAX: usize = 600;

#[derive(Debug)]
enum Op {
    /// Somebody connects; `dialled` by the hub or not.
    Connect(usize, bool),
    /// Connects, says what opens a session, and joins or agrees and syncs, as an honest one does.
    LogIn(usize, usize),
    Message(usize, Box<Message>),
    Datagram(usize, bytes::Bytes),
    Close(usize, Reason),
    Pass(Duration),
    /// To the next deadline.
    Wait,
    Plan(u8),
    WallClock(i64),
    Drain,
}

/// A session as the bench knows it.
#[derive(Debug)]
struct Session {
    id: SessionId,
    who: Identity,
    /// The newest request it made, and the newest grant it heard.
    request: u32,
    granted: Option<(Spurt, u16)>,
    joined: Option<Affiliated>,
    synced: Option<Sync>,
}

struct Bench {
    hub: Hub,
    now: Instant,
    next: u64,
    sessions: Vec<Session>,
    watch: Watch,
}

/// Drives a hub.
pub(crate) fn hub(data: &[u8]) {
    let mut script = Script::new(data);
    let base = Epoch(script.byte());
    let hub = Hub::new(plan(0), base, 1_800_000_000, epoch());
    let mut bench = Bench { hub, now: epoch(), next: 1, sessions: Vec::new(), watch: Watch::new(&plan(0)) };
    bench.drain();
    for _ in 0..OPS_MAX {
        if script.is_over() {
            break;
        }
        let op = bench.read(&mut script);
        trace(&op);
        bench.apply(op);
    }
    bench.end();
}

impl Bench {
    fn read(&mut self, script: &mut Script<'_>) -> Op {
        let session = |script: &mut Script<'_>| script.byte().into();
        match script.byte() % 32 {
            0 => Op::Connect(script.below(CALLERS.len()), script.flag()),
            1..=4 => Op::LogIn(script.below(CALLERS.len()), script.below(4)),
            5..=13 => {
                let session = session(script);
                Op::Message(session, Box::new(self.message(session, script)))
            }
            14..=21 => {
                let session = session(script);
                Op::Datagram(session, self.datagram(session, script))
            }
            22 => Op::Close(session(script), Reason::from_code(script.byte().into())),
            23..=25 => Op::Pass(ms(u64::from(script.byte()) * 4)),
            26 => Op::Pass(ms(u64::from(script.word()) * 10)),
            27..=29 => Op::Wait,
            30 => Op::Plan(script.byte()),
            _ => match script.byte() % 8 {
                0 => Op::Drain,
                _ => Op::WallClock(1_800_000_000 + i64::from(script.byte()) - 128),
            },
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Connect(who, dialled) => {
                self.connect(who, dialled);
            }
            Op::LogIn(who, talkgroup) => self.log_in(who, talkgroup),
            Op::Message(session, message) => {
                if let Some(id) = self.id_of(session) {
                    if matches!(*message, Message::Sync(_)) {
                        self.watch.renumbered();
                    }
                    self.hub.handle_message(id, *message, self.now);
                }
            }
            Op::Datagram(session, bytes) => {
                if let Some(id) = self.id_of(session) {
                    self.hub.handle_datagram(id, bytes, self.now);
                }
            }
            Op::Close(session, reason) => {
                if let Some(id) = self.id_of(session) {
                    self.watch.closed_by_far(id);
                    self.hub.handle_closed(id, reason, self.now);
                }
            }
            Op::Pass(time) => {
                self.now += time;
                self.timers();
            }
            Op::Wait => {
                if let Some((at, _)) = self.hub.poll_timeout() {
                    self.now = self.now.max(at);
                    self.timers();
                }
            }
            Op::Plan(which) => {
                self.watch.plan(&plan(which));
                self.hub.handle_plan(plan(which), self.now);
            }
            Op::WallClock(unix_s) => self.hub.handle_wall_clock(unix_s, self.now),
            Op::Drain => self.hub.drain(self.now),
        }
        self.drain();
    }

    fn id_of(&self, session: usize) -> Option<SessionId> {
        (!self.sessions.is_empty()).then(|| self.sessions[session % self.sessions.len()].id)
    }

    fn connect(&mut self, who: usize, dialled: bool) -> Option<SessionId> {
        if self.sessions.len() >= SESSIONS_MAX {
            return None;
        }
        let (id, identity) = (SessionId(self.next), CALLERS[who].parse::<Identity>().expect("an identity"));
        self.next += 1;
        let dialled = dialled && who < 3;
        self.watch.connected(id, &identity, dialled);
        self.sessions.push(Session { id, who: identity.clone(), request: 0, granted: None, joined: None, synced: None });
        let caller = Caller { alias: identity.name.to_string(), agency: "police".into(), identity };
        self.hub.handle_connected(id, caller, dialled, self.now);
        self.drain();
        Some(id)
    }

    fn log_in(&mut self, who: usize, talkgroup: usize) {
        let dialled = talkgroup == 3;
        let Some(id) = self.connect(who, dialled) else { return };
        let gateway = CALLERS[who].parse().expect("an identity");
        let opening = if dialled && who < 3 {
            Message::Welcome(Welcome { version: 1, capabilities: Vec::new(), gateway })
        } else {
            Message::Hello(Hello::ours())
        };
        self.say(id, opening);
        if who >= 3 {
            self.say(id, Message::Affiliate(say::TALKGROUPS[talkgroup].parse().expect("a talkgroup")));
            return;
        }
        let far: Authority = CALLERS[who].split('/').next().expect("a part").parse().expect("a code");
        let bridges = plan(0).bridges;
        let shared: Vec<&Bridge> = bridges.iter().filter(|b| b.home.authority == far || b.partner.authority == far).collect();
        self.say(id, Message::Agreements(shared.iter().map(|bridge| bridge.words()).collect()));
        for (number, bridge) in shared.iter().enumerate() {
            let handle = wire::Handle(u16::try_from(number).expect("few") + 1);
            let sync = Sync { talkgroup: bridge.home.clone(), handle, epoch: Epoch(7), holder: None, emergency: Vec::new() };
            self.say(id, Message::Sync(Box::new(sync)));
        }
    }

    fn say(&mut self, id: SessionId, message: Message) {
        self.watch.renumbered();
        self.hub.handle_message(id, message, self.now);
        self.drain();
    }

    fn timers(&mut self) {
        for _ in 0..3 {
            if self.hub.poll_timeout().is_none_or(|(at, _)| at > self.now) {
                return;
            }
            self.hub.handle_timeout(self.now);
            self.drain();
        }
        let due = self.hub.poll_timeout();
        assert!(due.is_none_or(|(at, _)| at > self.now), "a deadline that stays due would spin the driver: {due:?}");
    }

    fn drain(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            self.watch.output(&output);
            self.note(&output);
        }
        while self.hub.poll_event().is_some() {}
        self.sessions.retain(|session| self.watch.is_open(session.id));
        self.watch.status(&self.hub.status(self.now));
    }

    /// What a session must know to go on plausibly.
    fn note(&mut self, output: &Output) {
        let Output::Control(id, message) = output else { return };
        let Some(session) = self.sessions.iter_mut().find(|session| session.id == *id) else { return };
        if let Message::Affiliated(affiliated) = message {
            session.joined = Some(affiliated.as_ref().clone());
        } else if let Message::Sync(sync) = message {
            session.synced = Some(sync.as_ref().clone());
        } else if let Message::Floor(Floor { body: FloorBody::Granted(granted), .. }) = message
            && session.granted.is_none_or(|(spurt, _)| spurt != granted.spurt)
        {
            session.granted = Some((granted.spurt, 0));
        }
    }

    /// Everybody leaves; every floor is free, nothing waits, no timer runs.
    fn end(&mut self) {
        while let Some(session) = self.sessions.first() {
            let id = session.id;
            self.watch.closed_by_far(id);
            self.hub.handle_closed(id, Reason::Closed, self.now);
            self.drain();
        }
        for _ in 0..1_000 {
            let Some((at, _)) = self.hub.poll_timeout() else { break };
            self.now = self.now.max(at);
            self.timers();
        }
        let status = self.hub.status(self.now);
        assert!(self.hub.poll_timeout().is_none() && status.sessions.is_empty());
        for talkgroup in &status.talkgroups {
            let free = talkgroup.floor == engine::floor::table::State::Idle && talkgroup.talker.is_none() && talkgroup.queue.is_empty();
            assert!(free && talkgroup.members == 0, "left behind: {talkgroup:?}");
        }
    }
}

// === Plans ===

fn talkgroup(id: &str, members: &str) -> Talkgroup {
    let patterns = vec![members.parse().expect("a pattern")];
    let timers = Timers { t1: ms(1_300), t2: ms(3_000), t2_emergency: ms(6_000), t3: ms(500), t20: ms(1_000) };
    Talkgroup {
        id: id.parse().expect("a talkgroup"),
        title: "Test".into(),
        agency: "police".into(),
        join: patterns.clone(),
        talk: patterns.clone(),
        emergency: patterns.clone(),
        peril: patterns,
        level_max: Level(64),
        timers,
    }
}

fn bridge(agreement: &str, home: &str, partner: &str, onward: &[&str]) -> Bridge {
    let ceiling = Ceiling { tier: Tier::Emergency, level: Level(32), dispatcher: true };
    Bridge {
        agreement: agreement.into(),
        home: home.parse().expect("a talkgroup"),
        partner: partner.parse().expect("a talkgroup"),
        inbound: Inbound { talk: true, short_data: true, emergency: true, ceiling },
        outbound: Outbound { talk: true, short_data: true, emergency: true },
        onward: onward.iter().map(|code| code.parse().expect("a code")).collect(),
        valid: None,
    }
}

/// The plan of `nl`; the bits of the number change it.
fn plan(number: u8) -> Plan {
    let peer = |code: &str| Peer { authority: code.parse().expect("a code"), name: "gw-1".parse().expect("a name"), rate_kbps: 512 };
    let mut plan = Plan {
        gateway: "nl/gateway/gw-1".parse().expect("an identity"),
        standby: number & 0xf0 == 0xf0,
        talkgroups: vec![talkgroup("nl/pol-1", "*/*/*"), talkgroup("nl/fire-1", "nl/*/*"), talkgroup("nl/amb-1", "nl/*/*")],
        peers: vec![peer("be"), peer("de")],
        bridges: vec![
            bridge("A-1", "nl/pol-1", "be/lux-3", &["de"]),
            bridge("A-2", "nl/pol-1", "de/koeln-1", &["be"]),
            bridge("A-3", "be/fire-9", "nl/fire-1", &["de"]),
        ],
        unit_rate_kbps: 128,
    };
    let has = |bit: u8| number >> bit & 1 == 1;
    if has(0) {
        plan.bridges[0].inbound.emergency = false;
        plan.bridges[2].outbound.emergency = false;
    }
    if has(1) {
        plan.talkgroups[0].talk.clear();
        plan.bridges[1].inbound.ceiling = Ceiling { tier: Tier::Normal, level: Level(0), dispatcher: false };
    }
    if has(2) {
        plan.bridges[2].valid = Some((1_799_999_990, 1_800_000_010));
        plan.bridges[0].onward.clear();
    }
    if has(3) {
        plan.peers.pop();
        plan.bridges.remove(1);
        plan.talkgroups.remove(1);
        plan.bridges.pop();
    }
    plan
}

/// The newest request of a session, or the one after it.
fn request(session: Option<&mut Session>, fresh: bool) -> RequestId {
    let Some(session) = session else { return RequestId(0) };
    session.request += u32::from(fresh);
    RequestId(session.request)
}
