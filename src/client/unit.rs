//! One terminal as its user holds it: a handle to press, speak and leave with, a stream of events, a stream of sound.
//!
//! In the data path: encoded frames go in through [`UnitHandle::speak`], what is to be decoded comes out as [`Heard`].
//! The session itself lives on the driver's task.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::handset::{Event, Permit};
use engine::jitter::Playout;
use tokio::sync::{mpsc, oneshot};
use transport::{Clock, Keys, OwnIdentity, SharedTrust, Sockets};
use wire::data::MessageId;
use wire::{Priority, Reason, RequestId, Spurt, TalkgroupId};

use crate::driver::Driver;
use crate::mailbox::{Draft, Mail, Mailbox, SendError};
use crate::report::Report;

/// Commands that wait for the driver. Full: voice is dropped, everything else waits.
const COMMANDS_MAX: usize = 64;
/// Events that wait for the user. Full: the newest is dropped and logged; nobody has read a thousand events.
const EVENTS_MAX: usize = 1_024;
/// Frames that wait for the ear, 5 s of one talker. Full: the newest is dropped.
const HEARD_MAX: usize = 256;

/// What a session needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Certificate and key.
    pub own: OwnIdentity,
    /// The gateways it believes.
    pub trust: SharedTrust,
    /// Where to dial, in order.
    pub gateways: Vec<SocketAddr>,
    /// The talkgroups to join.
    pub talkgroups: Vec<TalkgroupId>,
    /// Capacity of the uplink, kbit/s of IP bytes.
    pub rate_kbps: u32,
    /// Time until the first welcome; later losses are mended without limit.
    pub connect_timeout: Duration,
    /// QUIC's secrets: ephemeral, or simulated in a simulation.
    pub keys: Keys,
}

/// Something that happened, with its moment.
#[derive(Clone, Debug)]
pub struct Happened {
    /// When, on tokio's clock.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What can happen to a unit.
#[derive(Clone, Debug)]
pub enum What {
    /// The handset's events: session, floor and talkgroup.
    Handset(Event),
    /// A gateway refused the unit by name, told once per gateway and reason, while the unit tries the next; or nobody
    /// answered within the connect timeout.
    Refused {
        /// Which.
        gateway: SocketAddr,
        /// Why.
        reason: Reason,
    },
    /// Short data, of a unit with a mailbox.
    Mail(Mail),
    /// The session is lost; the unit tries to come back.
    Disconnected(Reason),
    /// The last event: nothing follows.
    Ended(End, Box<Report>),
}

/// Why a unit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By [`UnitHandle::close`], or because every handle is gone.
    Closed,
    /// Every gateway refused for good, or none welcomed the unit within the connect timeout.
    GaveUp(Reason),
}

/// One 20 ms tick of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where.
    pub talkgroup: TalkgroupId,
    /// The spurt it belongs to; with a new one the decoder starts anew.
    pub spurt: Option<Spurt>,
    /// What to decode.
    pub playout: Playout,
    /// Nominal time of the tick: ticks of one spurt are exactly 20 ms apart.
    pub at: Instant,
}

/// A press that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// The request's number.
    pub request: RequestId,
    /// The moment of the press, equal to that of the event *requested*.
    pub at: Instant,
}

/// A press that was not taken; the caller is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PressError {
    /// Not joined (yet), or the session is lost for the moment: try again after *affiliated*.
    #[error("the talkgroup is not affiliated")]
    NotAffiliated,
    /// The unit has ended.
    #[error("the unit has ended")]
    Ended,
}

/// What the handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Press(TalkgroupId, Priority, Permit, oneshot::Sender<Result<Pressed, PressError>>),
    KeyUp(TalkgroupId),
    Speak(TalkgroupId, Option<Bytes>),
    EndEmergency(TalkgroupId),
    Join(TalkgroupId),
    Leave(TalkgroupId),
    Send(Box<Draft>, oneshot::Sender<Result<MessageId, SendError>>),
    Shown(MessageId),
    Report(oneshot::Sender<Report>),
    Close,
}

/// The driver's ends of the channels.
#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<Happened>,
    pub(crate) ear: mpsc::Sender<Heard>,
}

/// A running unit. Dropping all handles closes it in order.
#[derive(Debug)]
pub struct Unit {
    /// To use it with; clones are the same unit.
    pub handle: UnitHandle,
    /// What happens; ends after [`What::Ended`].
    pub events: mpsc::Receiver<Happened>,
    /// What is to be heard, in ticks.
    pub ear: mpsc::Receiver<Heard>,
}

impl Unit {
    /// Starts a unit on a task of the current tokio runtime. `seed` feeds the back-off alone; `clock` judges certificates.
    pub fn start(settings: Settings, sockets: Arc<dyn Sockets>, seed: u64, clock: Clock) -> Self {
        Self::begin(settings, None, sockets, seed, clock)
    }

    /// The same, with short data; without a mailbox the gateway keeps what is for this unit.
    pub fn start_with(settings: Settings, mailbox: Mailbox, sockets: Arc<dyn Sockets>, seed: u64, clock: Clock) -> Self {
        Self::begin(settings, Some(mailbox), sockets, seed, clock)
    }

    fn begin(settings: Settings, mailbox: Option<Mailbox>, sockets: Arc<dyn Sockets>, seed: u64, clock: Clock) -> Self {
        let (commands, taken) = mpsc::channel(COMMANDS_MAX);
        let (tell, events) = mpsc::channel(EVENTS_MAX);
        let (sound, ear) = mpsc::channel(HEARD_MAX);
        let driver = Driver::new(settings, mailbox, sockets, seed, clock, Channels { commands: taken, events: tell, ear: sound });
        tokio::spawn(driver.run());
        Self { handle: UnitHandle { commands }, events, ear }
    }
}

/// The user's hand on the unit. Cheap to clone.
#[derive(Clone, Debug)]
pub struct UnitHandle {
    commands: mpsc::Sender<Command>,
}

impl UnitHandle {
    /// The key goes down. With `Permit::Instant` the microphone opens at [`Pressed::at`].
    ///
    /// # Errors
    /// [`PressError`]: nothing was asked for.
    pub async fn press(&self, talkgroup: &TalkgroupId, priority: Priority, permit: Permit) -> Result<Pressed, PressError> {
        let (answer, pressed) = oneshot::channel();
        self.tell(Command::Press(talkgroup.clone(), priority, permit, answer)).await;
        pressed.await.unwrap_or(Err(PressError::Ended))
    }

    /// Raises the priority while the key is down; the request keeps its number.
    ///
    /// # Errors
    /// [`PressError`]: nothing was asked for.
    pub async fn raise(&self, talkgroup: &TalkgroupId, priority: Priority) -> Result<Pressed, PressError> {
        self.press(talkgroup, priority, Permit::Instant).await
    }

    /// The key goes up: the last frame is sent, the floor given back.
    pub async fn key_up(&self, talkgroup: &TalkgroupId) {
        self.tell(Command::KeyUp(talkgroup.clone())).await;
    }

    /// An encoded frame of 20 ms, `None` for a hold beat. Dropped when the driver is 64 commands behind.
    pub fn speak(&self, talkgroup: &TalkgroupId, payload: Option<Bytes>) {
        if self.commands.try_send(Command::Speak(talkgroup.clone(), payload)).is_err() {
            tracing::debug!("voice frame dropped: the unit is busy or has ended");
        }
    }

    /// Asks to end the group emergency; the answer is an event.
    pub async fn end_emergency(&self, talkgroup: &TalkgroupId) {
        self.tell(Command::EndEmergency(talkgroup.clone())).await;
    }

    /// Joins one more talkgroup.
    pub async fn join(&self, talkgroup: &TalkgroupId) {
        self.tell(Command::Join(talkgroup.clone())).await;
    }

    /// Leaves a talkgroup.
    pub async fn leave(&self, talkgroup: &TalkgroupId) {
        self.tell(Command::Leave(talkgroup.clone())).await;
    }

    /// Takes a message to be sent; what becomes of it is told under its id ([`Mail`]).
    ///
    /// # Errors
    /// [`SendError`]: it was not taken.
    pub async fn send(&self, draft: Draft) -> Result<MessageId, SendError> {
        let (answer, taken) = oneshot::channel();
        self.tell(Command::Send(Box::new(draft), answer)).await;
        taken.await.unwrap_or(Err(SendError::Ended))
    }

    /// The user has seen a message: it is not shown again, and its sender hears so if it wants.
    pub async fn shown(&self, id: MessageId) {
        self.tell(Command::Shown(id)).await;
    }

    /// The counters so far; `None` if the unit has ended.
    pub async fn report(&self) -> Option<Report> {
        let (answer, report) = oneshot::channel();
        self.tell(Command::Report(answer)).await;
        report.await.ok()
    }

    /// Releases what is held, flushes and ends; [`What::Ended`] follows within two seconds.
    pub async fn close(&self) {
        self.tell(Command::Close).await;
    }

    async fn tell(&self, command: Command) {
        // A driver that has ended has told so by its last event.
        self.commands.send(command).await.ok();
    }
}
