//! From an address to a running link: dialling on a socket of the right IP version, the pump, and its handle.
//!
//! In the data path: between the driver and the transport. [`Phase`] is where the unit stands with its gateway.

use std::future::pending;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::handset::Transmit;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time;
use tracing::error;
use transport::link::{self, Ahead, Command, Counters, Inbound, Owner};
use transport::{Clock, Connection, Dialer, Expect, Port, Sockets};
use wire::Reason;
use wire::data::Lane;

use crate::outbox::{Offer, Uplink};
use crate::unit::Settings;

/// Time between the end of the handshake and the gateway's welcome.
const WELCOME: Duration = Duration::from_secs(2);
/// Offers on their way to the pump. Full: the pump stands still, voice is dropped, control ends the link.
const OFFERS_MAX: usize = 256;
/// What came in and waits for the driver. Full: the pump's rules hold.
const INBOUND_MAX: usize = 256;
/// Time for the last close to leave the socket.
const FAREWELL: Duration = Duration::from_millis(250);

/// A connection with its control stream.
pub(crate) type Connected = (Connection, (quinn::SendStream, quinn::RecvStream));

/// Where the unit stands with its gateway.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Waits for that moment to dial.
    Pausing(Instant),
    /// Waits for the handshake.
    Dialling(Dialling),
    /// Has a connection; welcomed or not.
    Linked(Session),
    /// Does nothing any more.
    Over,
}

/// A handshake under way; given up when dropped.
#[derive(Debug)]
pub(crate) struct Dialling(JoinHandle<Result<Connected, Reason>>);

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a phase goes on.
#[derive(Debug)]
pub(crate) enum Step {
    PauseOver,
    Dialled(Result<Connected, Reason>),
    Inbound(Inbound),
}

impl Phase {
    /// Waits for what comes next. May be dropped at any time without loss.
    pub(crate) async fn step(&mut self) -> Step {
        match self {
            Self::Pausing(until) => {
                time::sleep_until((*until).into()).await;
                Step::PauseOver
            }
            // The task ends with a result unless it panicked.
            Self::Dialling(Dialling(task)) => Step::Dialled(task.await.unwrap_or(Err(Reason::Other))),
            Self::Linked(session) => Step::Inbound(session.inbound.recv().await.unwrap_or(Inbound::Closed(Reason::Other))),
            Self::Over => pending().await,
        }
    }

    pub(crate) fn session(&self) -> Option<&Session> {
        if let Self::Linked(session) = self { Some(session) } else { None }
    }

    pub(crate) fn session_mut(&mut self) -> Option<&mut Session> {
        if let Self::Linked(session) = self { Some(session) } else { None }
    }
}

/// A link that runs.
#[derive(Debug)]
pub(crate) struct Session {
    commands: mpsc::Sender<Command<Offer>>,
    inbound: mpsc::Receiver<Inbound>,
    /// What the link was given of short data and has not sent.
    pub(crate) ahead: Ahead,
    /// When the gateway must have welcomed the unit.
    pub(crate) welcome_by: Option<Instant>,
    /// When it did.
    pub(crate) welcomed_at: Option<Instant>,
}

impl Session {
    /// Starts the pump.
    pub(crate) fn start((connection, streams): Connected, rate_kbps: u32, now: Instant) -> Self {
        let (commands, taken) = mpsc::channel(OFFERS_MAX);
        let (tell, inbound) = mpsc::channel(INBOUND_MAX);
        let counters = Arc::new(Counters::default());
        connection.rate.set_kbps(rate_kbps);
        let owner = Owner { inbound: tell.clone(), data: tell, tag: |inbound| inbound };
        tokio::spawn(link::run(connection, streams, Uplink::new(rate_kbps), taken, owner, counters));
        Self { commands, inbound, ahead: Ahead::default(), welcome_by: Some(now + WELCOME), welcomed_at: None }
    }

    pub(crate) fn welcomed(&mut self, now: Instant) {
        self.welcome_by = None;
        self.welcomed_at = Some(now);
    }

    /// Offers something for sending; the error says that the pump stands still or has ended.
    pub(crate) fn offer(&self, transmit: Transmit) -> Result<(), Reason> {
        self.command(Command::Offer(Offer::Handset(transmit)))
    }

    /// Gives the link an item of short data, for which it must have room.
    pub(crate) fn give(&mut self, lane: Lane, frame: Bytes) -> Result<(), Reason> {
        self.ahead.given(lane, frame.len());
        self.command(Command::Offer(Offer::Data(lane, frame)))
    }

    /// Lets the gateway open its data streams.
    pub(crate) fn allow_data(&self) -> Result<(), Reason> {
        self.command(Command::AllowData)
    }

    fn command(&self, command: Command<Offer>) -> Result<(), Reason> {
        match self.commands.try_send(command) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Reason::TooSlow),
            // Its last word is in `inbound`.
            Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Closes after what was offered before. A pump without room for this ends when the session is dropped.
    pub(crate) fn close(&self, reason: Reason) {
        self.commands.try_send(Command::Close(reason, None)).ok();
    }
}

/// The unit's sockets and credentials.
pub(crate) struct Lines {
    settings: Settings,
    sockets: Arc<dyn Sockets>,
    clock: Clock,
    v4: Option<Dialer>,
    v6: Option<Dialer>,
}

impl Lines {
    pub(crate) fn new(settings: Settings, sockets: Arc<dyn Sockets>, clock: Clock) -> Self {
        Self { settings, sockets, clock, v4: None, v6: None }
    }

    pub(crate) fn rate_kbps(&self) -> u32 {
        self.settings.rate_kbps
    }

    /// Dials on a task of its own; a socket is bound at the first address of its IP version.
    pub(crate) fn dial(&mut self, addr: SocketAddr, limit: Duration) -> Phase {
        let dialler = self.dialler(addr);
        let expect = Expect::AnyGatewayOf(self.settings.trust.load().authorities().cloned().collect());
        Phase::Dialling(Dialling(tokio::spawn(async move {
            let connection = dialler?.dial(addr, expect, limit).await?;
            let streams = connection.open_control().await?;
            Ok((connection, streams))
        })))
    }

    fn dialler(&mut self, addr: SocketAddr) -> Result<Dialer, Reason> {
        let (slot, any) = match addr {
            SocketAddr::V4(_) => (&mut self.v4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            SocketAddr::V6(_) => (&mut self.v6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))),
        };
        if let Some(dialler) = slot {
            return Ok(dialler.clone());
        }
        let Settings { own, trust, keys, .. } = &self.settings;
        let bound = Dialer::bind(&*self.sockets, any, Port::Units, own.clone(), Arc::clone(trust), keys, Arc::clone(&self.clock));
        match bound {
            Ok(dialler) => Ok(slot.insert(dialler).clone()),
            Err(error) => {
                error!(%error, "no socket");
                Err(Reason::Unreachable)
            }
        }
    }

    /// Lets the last packets leave.
    pub(crate) async fn farewell(&self) {
        for dialler in [&self.v4, &self.v6].into_iter().flatten() {
            // Late acknowledgements of a close change nothing.
            time::timeout(FAREWELL, dialler.wait_idle()).await.ok();
        }
    }
}
