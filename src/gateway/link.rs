//! One session's link as the driver sees it: a handle with a bounded queue, and the pump behind it.
//!
//! Full-queue rule of the handle: a voice frame or heartbeat is dropped and counted, for the next one is 20 or 100 ms away;
//! a control message that finds no room ends the session as *too slow*. The pump's own queue is the scheduler, with a
//! rule per class.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::sched;
use engine::sched::line::{self, Line, Sound};
use engine::sched::words::Word;
use tokio::sync::mpsc;
use tracing::error;
use transport::config::Port;
use transport::congestion::Rate;
use transport::endpoint::Connection;
use transport::identity::Certified;
use transport::link::{self, Command, Inbound, Next, Outbox, Owner};
use wire::data::Lane;
use wire::packet::Room;
use wire::{Reason, SessionId};

use crate::ledger::Tally;
use crate::lobby::Waiting;

/// Offers that wait between the driver and a pump: a busy second of everything.
const OFFERS_MAX: usize = 512;
/// How often a pump shows its scheduler's counters.
const STATS_EVERY: Duration = Duration::from_millis(200);

/// What the driver offers to a link.
#[derive(Debug)]
pub(crate) enum Offer {
    /// Control messages of one moment.
    Messages(Vec<Word>),
    /// A voice frame.
    Voice {
        /// Its bytes are shared between listeners.
        sound: Sound,
        /// When it arrived at this gateway: its deadline counts from there.
        arrived: Instant,
    },
    /// A heartbeat or a report of loss.
    Signal(Bytes),
    /// An item of short data, as its frame.
    Data(Lane, Bytes),
    /// The link's rate from now on, in kbit/s.
    Rate(u32),
}

/// A connection that is ready to carry a session.
#[derive(Debug)]
pub(crate) struct NewLink {
    pub(crate) connection: Connection,
    pub(crate) streams: (quinn::SendStream, quinn::RecvStream),
    pub(crate) dialled: bool,
    pub(crate) port: Port,
    /// When the handshake was complete: the time for hello and welcome counts from here.
    pub(crate) connected: Instant,
    /// The place of a caller that has no session yet.
    pub(crate) waiting: Option<Waiting>,
}

/// Where what comes in from all links waits for the driver.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    /// Messages, datagrams, ends.
    pub(crate) inbound: mpsc::Sender<(SessionId, Inbound)>,
    /// Short data, looked at last.
    pub(crate) data: mpsc::Sender<(SessionId, Inbound)>,
}

/// The driver's handle of a link.
#[derive(Debug)]
pub(crate) struct Link {
    commands: mpsc::Sender<Command<Offer>>,
    pub(crate) certified: Certified,
    pub(crate) port: Port,
    pub(crate) address: SocketAddr,
    pub(crate) tally: Arc<Tally>,
    /// For the congestion controller.
    rate: Rate,
    /// The rate last told to the pump, in kbit/s.
    rate_kbps: u32,
    /// Until there is a session.
    pub(crate) waiting: Option<Waiting>,
}

impl Link {
    /// Starts the pump; what comes in goes to the arrivals under the session's number, and what is moved is counted in `tally`.
    pub(crate) fn start(session: SessionId, new: NewLink, rate_kbps: u32, tally: Arc<Tally>, Arrivals { inbound, data }: Arrivals) -> Self {
        let (commands, offers) = mpsc::channel(OFFERS_MAX);
        let counters = Arc::clone(&tally.counters);
        let outbox = Queue { line: Line::new(Some(rate_kbps)), tally: Arc::clone(&tally), shown: None };
        let NewLink { connection, streams, port, waiting, .. } = new;
        connection.rate.set_kbps(rate_kbps);
        let link = Self {
            commands,
            certified: connection.certified.clone(),
            port,
            address: connection.quic.remote_address(),
            tally,
            rate: connection.rate.clone(),
            rate_kbps,
            waiting,
        };
        let tag = move |item| (session, item);
        let owner = Owner { inbound: inbound.clone(), data, tag };
        let pump = tokio::spawn(link::run(connection, streams, outbox, offers, owner, counters));
        tokio::spawn(async move {
            // A pump tells its own end, unless it panicked; then its session must not live on without it.
            if let Err(why) = pump.await {
                error!(session = session.0, %why, "the pump of a link broke off, its session ends");
                // A driver that has ended has no sessions left.
                let _ = inbound.send((session, Inbound::Closed(Reason::Other))).await;
            }
        });
        link
    }

    /// Tells the pump its rate if that is new; with no room the old one stays until asked again.
    pub(crate) fn set_rate(&mut self, rate_kbps: u32) {
        if self.rate_kbps != rate_kbps && self.commands.try_send(Command::Offer(Offer::Rate(rate_kbps))).is_ok() {
            self.rate.set_kbps(rate_kbps);
            self.rate_kbps = rate_kbps;
        }
    }

    /// Offers control messages.
    ///
    /// # Errors
    /// [`Reason::TooSlow`]: end the session.
    pub(crate) fn messages(&self, words: Vec<Word>) -> Result<(), Reason> {
        self.commands.try_send(Command::Offer(Offer::Messages(words))).map_err(|_full| Reason::TooSlow)
    }

    /// Offers a voice frame or heartbeat; dropped and counted when there is no room.
    pub(crate) fn perishable(&self, offer: Offer) {
        if self.commands.try_send(Command::Offer(offer)).is_err() {
            self.tally.not_taken();
        }
    }

    /// Lets the other side open its data streams.
    ///
    /// # Errors
    /// [`Reason::TooSlow`]: end the session.
    pub(crate) fn allow_data(&self) -> Result<(), Reason> {
        self.commands.try_send(Command::AllowData).map_err(|_full| Reason::TooSlow)
    }

    /// Offers an item of short data; `false`: there is no room now.
    pub(crate) fn data(&self, lane: Lane, frame: Bytes) -> bool {
        self.commands.try_send(Command::Offer(Offer::Data(lane, frame))).is_ok()
    }

    /// Ends the link, after what was offered before.
    pub(crate) fn close(&self, reason: Reason) {
        let commands = self.commands.clone();
        if commands.try_send(Command::Close(reason, None)).is_err() {
            // No room yet. The pump takes an offer at every turn, so this waits briefly; if it has ended, sending fails at once.
            tokio::spawn(async move { commands.send(Command::Close(reason, None)).await });
        }
    }
}

/// The scheduler in front of QUIC, and its counters for status.
#[derive(Debug)]
struct Queue {
    line: Line,
    tally: Arc<Tally>,
    shown: Option<Instant>,
}

impl Outbox for Queue {
    type Offer = Offer;

    fn offer(&mut self, offer: Offer, now: Instant) -> Result<(), Reason> {
        let taken = match offer {
            Offer::Messages(words) => words.into_iter().try_for_each(|word| self.line.message(word, now)),
            Offer::Voice { sound, arrived } => self.line.voice(sound, arrived, now),
            Offer::Signal(datagram) => self.line.signal(datagram, now),
            // Its owner counts what is ahead, so there is room.
            Offer::Data(lane, frame) => self.line.data(lane, frame, now).map_err(|line::Full(_)| line::TooSlow),
            Offer::Rate(rate_kbps) => {
                self.line.set_rate(Some(rate_kbps));
                Ok(())
            }
        };
        taken.map_err(|line::TooSlow| Reason::TooSlow)
    }

    fn next(&mut self, now: Instant, room: Room) -> Next {
        if self.shown.is_none_or(|at| now.saturating_duration_since(at) >= STATS_EVERY) {
            self.tally.show(self.line.stats());
            self.shown = Some(now);
        }
        match self.line.next(now, room) {
            sched::Next::Item { item, .. } => Next::Packet(item),
            sched::Next::Wait(until, _) => Next::Wait(until),
            sched::Next::Idle => Next::Idle,
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.tally.show(self.line.stats());
    }
}
