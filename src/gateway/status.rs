//! What a running gateway tells about itself: the body of `/status`.
//!
//! The driver publishes a [`Status`] into the [`StatusBoard`] now and then; readers take the newest without ever holding
//! up voice. Field names are a contract with scripts: extend, do not rename.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use crate::figures::{FiguresStatus, Word};

/// A snapshot of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The gateway itself.
    pub gateway: GatewayStatus,
    /// Everybody logged in.
    pub sessions: Vec<SessionStatus>,
    /// The own talkgroups.
    pub talkgroups: Vec<TalkgroupStatus>,
    /// Who speaks and who waits.
    pub floors: Vec<FloorStatus>,
    /// The agreements.
    pub bridges: Vec<BridgeStatus>,
    /// The links to other gateways.
    pub links: Vec<LinkStatus>,
    /// What waits to be sent, per link and class.
    pub queues: Vec<QueueStatus>,
    /// Short data, if this gateway keeps any.
    pub messages: Option<MessagesStatus>,
    /// What was counted since the start.
    pub figures: FiguresStatus,
}

/// Short data: what waits, and what did not arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessagesStatus {
    /// Whether the store takes messages: `ok`, `full` or `failed`.
    pub store: String,
    /// Messages and reports that wait for somebody.
    pub waiting: u64,
    /// For how long the oldest of them waits; of some seconds ago, as the outboxes.
    pub oldest_s: u64,
    /// The outboxes in which most waits, at most 200: of a unit, a peer's gateway, or a talkgroup.
    pub outboxes: Vec<OutboxStatus>,
    /// The newest messages that did not arrive, with their reasons; their senders were told.
    pub undelivered: Vec<UndeliveredStatus>,
}

/// One outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutboxStatus {
    /// Whose.
    pub outbox: String,
    /// How much waits there.
    pub waiting: u64,
    /// For how long the oldest of it waits.
    pub oldest_s: u64,
}

/// A message that did not arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UndeliveredStatus {
    /// Its id.
    pub id: String,
    /// Who sent it.
    pub from: String,
    /// Whom it did not reach.
    pub to: String,
    /// Why.
    pub reason: String,
    /// How long ago that was decided.
    pub ago_s: u64,
}

/// The gateway itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayStatus {
    /// Its authority.
    pub authority: String,
    /// Its name.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Seconds since its start.
    pub uptime_s: u64,
}

/// One session of a unit or dispatcher.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionStatus {
    /// Who.
    pub identity: String,
    /// `unit` or `dispatcher`.
    pub kind: String,
    /// Seconds since the welcome.
    pub since_s: u64,
    /// From where.
    pub address: String,
    /// Talkgroups joined.
    pub talkgroups: Vec<String>,
    /// What is repeated to it.
    pub repeats: RepeatsStatus,
}

/// What the losses that the other side reports call for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepeatsStatus {
    /// Earlier frames in each frame.
    pub count: u8,
    /// Whether they lie apart, for the losses come in bursts.
    pub spread: bool,
}

/// How a talkgroup is arbitrated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Not bridged.
    #[default]
    Local,
    /// Arbitrated here for partners too.
    Home,
    /// Arbitrated by the other side.
    Partner,
    /// Bridged, but on its own for now.
    CutOff,
    /// Bridged, but an emergency that the home did not take runs on this side only.
    OwnSide,
}

/// One talkgroup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TalkgroupStatus {
    /// Its id.
    pub talkgroup: String,
    /// Title for people.
    pub title: String,
    /// How many joined here.
    pub members: usize,
    /// How it is arbitrated.
    pub mode: Mode,
    /// The unit in emergency, if the group emergency lasts.
    pub emergency: Option<String>,
}

/// Whether somebody speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FloorState {
    /// Nobody.
    #[default]
    Idle,
    /// Somebody.
    Taken,
    /// The last talker's tail passes.
    Releasing,
    /// The talker was told to end.
    Revoking,
}

/// One floor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FloorStatus {
    /// Where.
    pub talkgroup: String,
    /// Whether somebody speaks.
    pub state: FloorState,
    /// Who.
    pub talker: Option<String>,
    /// The talker's agency.
    pub agency: Option<String>,
    /// The talker's tier.
    pub tier: Option<String>,
    /// How long the spurt lasts, in milliseconds.
    pub elapsed_ms: Option<u64>,
    /// Who waits, next first.
    pub queue: Vec<String>,
}

/// How a bridge stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BridgeState {
    /// Both sides agree and are connected.
    Active,
    /// The other side does not configure the same.
    #[default]
    Pending,
    /// The other side cannot be reached.
    Away,
    /// The agreement does not hold today.
    OutsideDates,
}

/// One bridge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BridgeStatus {
    /// Reference of the agreement.
    pub agreement: String,
    /// The home talkgroup.
    pub home: String,
    /// The partner talkgroup.
    pub partner: String,
    /// The other gateway.
    pub peer: String,
    /// How it stands.
    pub state: BridgeState,
    /// Why it is not active; empty if it is.
    pub why: String,
    /// What this side configures, in words.
    pub ours: Option<String>,
    /// What the other side configures, in words, if it told.
    pub theirs: Option<String>,
}

/// How a link stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Its session exists.
    Up,
    /// No session; being dialled or waited for.
    #[default]
    Down,
    /// Fell too often in a short time and rests.
    HeldDown,
}

/// One link to another gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkStatus {
    /// The other gateway.
    pub peer: String,
    /// How it stands.
    pub state: LinkState,
    /// Round-trip time in milliseconds, while up.
    pub rtt_ms: Option<f64>,
    /// Seconds in this state.
    pub since_s: u64,
    /// How often it was lost since the start.
    pub lost_count: u64,
    /// What is repeated to it, where it has room.
    pub repeats: RepeatsStatus,
    /// How many spurts it carries at once from here.
    pub capacity: u64,
    /// How many cross it now.
    pub in_use: u64,
    /// Talkgroups in which somebody talks who does not cross it for want of room.
    pub suspended: Vec<String>,
    /// How many requests found no room on it since the start.
    pub refused: u64,
}

/// One class of one link's queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueStatus {
    /// Identity of the other end: a unit's or a gateway's.
    pub link: String,
    /// The class, as the scheduler names it.
    pub class: Word,
    /// Waiting now.
    pub depth: u64,
    /// Sent since the session began.
    pub sent: u64,
    /// Dropped because their deadline passed.
    pub dropped_late: u64,
    /// Dropped because the queue was full.
    pub dropped_full: u64,
}

/// Where the driver leaves the newest [`Status`] and whether the gateway is ready; clones share one board.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard {
    newest: Arc<ArcSwap<Status>>,
    ready: Arc<AtomicBool>,
}

impl StatusBoard {
    /// Replaces the snapshot.
    pub fn publish(&self, status: Status) {
        self.newest.store(Arc::new(status));
    }

    /// The newest snapshot.
    pub fn newest(&self) -> Arc<Status> {
        self.newest.load_full()
    }

    /// Tells whether every port is bound and sessions are served.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether every port is bound and sessions are served.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}
