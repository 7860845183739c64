//! A unit of ours, as small as it can be: the product's transport and wire, the least of a session, no jitter buffer, no codec.
//!
//! It says hello, joins its talkgroup, beats once a second, and either notes what it hears or sends one frame a datagram. QUIC
//! acknowledges as every unit's does, so the gateway has the work that it has in the field.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use tokio::time::{interval, sleep};
use transport::{Connection, Dialer, Expect, Keys, OsSockets, Port, clock};
use wire::control::{Affiliated, Floor, FloorBody, Granted, Hello, Message, Release, Request};
use wire::datagram::{Datagram, Heartbeat, Voice};
use wire::frame::{self, Decoder};
use wire::{Handle, Level, Priority, Reason, RequestId, Seq, Spurt, TalkgroupId, Tier};

use crate::crowd::{Heard, Joined, Mouth, Seat};
use crate::office::Office;

/// Time of one attempt to dial.
const DIAL: Duration = Duration::from_secs(10);
/// Pause before the next attempt when the gateway has no room for handshakes: it takes up to 200 a second.
const AGAIN: Duration = Duration::from_millis(200);
/// Time between heartbeats, as of every unit.
const BEAT: Duration = Duration::from_secs(1);
/// Bytes read of the control stream at once.
const READ_BYTES: usize = 4 * 1024;

/// The name of a talkgroup in the configuration that `tools/bench` writes.
fn talkgroup(authority: &str, group: u16) -> Result<TalkgroupId> {
    Ok(format!("{authority}/tg-{group}").parse()?)
}

/// A unit that has logged in.
struct Session {
    at: SocketAddr,
    connection: Connection,
    control: Control,
    /// Kept for its socket.
    dialer: Dialer,
}

async fn log_in(office: &Office, seat: &Seat) -> Result<Session> {
    let own = office.unit(seat.number)?;
    let dialer = Dialer::bind(&OsSockets, seat.local(), Port::Units, own, Arc::clone(&office.trust), &Keys::ephemeral(), clock::system())?;
    let at = dialer.local_addr()?;
    let connection = dial(&dialer, seat.relay, &office.authority).await?;
    let (send, recv) = connection.open_control().await.map_err(refused)?;
    let mut control = Control { send, recv, decoder: Decoder::default(), waiting: VecDeque::new() };
    control.say(&Message::Hello(Hello::ours())).await?;
    Ok(Session { at, connection, control, dialer })
}

/// Joins, and asks for the floor if it is to talk.
pub(crate) async fn join(office: &Office, seat: &Seat) -> Result<Joined> {
    let Session { at, connection, mut control, dialer } = log_in(office, seat).await?;
    let id = talkgroup(&office.authority, seat.group)?;
    control.say(&Message::Affiliate(id.clone())).await?;
    let Affiliated { handle, .. } = control.affiliated().await?;
    let mouth: Option<Box<dyn Mouth>> = if seat.talks {
        let request = Request { request: RequestId(1), priority: seat.priority, talker: None, continuing: None };
        control.say(&Message::Floor(Floor { talkgroup: id, party: None, body: FloorBody::Request(request) })).await?;
        let Granted { spurt, tier, own_side_only, .. } = control.granted().await?;
        seat.heard.set_aside(own_side_only);
        Some(Box::new(Voicing { quic: connection.quic.clone(), handle, spurt, tier, seq: Seq(0), first: true }))
    } else {
        None
    };
    tokio::spawn(live(connection, control, dialer, Arc::clone(&seat.heard)));
    Ok(Joined { at, mouth })
}

/// A unit that presses its key and lets it go, and never speaks.
pub(crate) struct Key {
    session: Session,
    talkgroup: TalkgroupId,
    request: RequestId,
}

impl Key {
    /// Joins the talkgroup of the seat, and another one to hear what is said there.
    pub(crate) async fn join(office: &Office, seat: &Seat, hears: Option<u16>) -> Result<Self> {
        let mut session = log_in(office, seat).await?;
        for group in [Some(seat.group), hears].into_iter().flatten() {
            session.control.say(&Message::Affiliate(talkgroup(&office.authority, group)?)).await?;
            session.control.affiliated().await?;
        }
        Ok(Self { session, talkgroup: talkgroup(&office.authority, seat.group)?, request: RequestId(0) })
    }

    /// Presses, waits for the grant, lets go, waits until that is done; from the press to the grant.
    pub(crate) async fn press(&mut self) -> Result<Duration> {
        self.request = RequestId(self.request.0 + 1);
        let (request, priority) = (self.request, Priority::normal(Level::default().0));
        let pressed = Instant::now();
        self.say(FloorBody::Request(Request { request, priority, talker: None, continuing: None })).await?;
        self.session.control.granted().await?;
        let took = pressed.elapsed();
        self.say(FloorBody::Release(Release { request, last_seq: None, key_down: false })).await?;
        self.session.control.acknowledged(request).await?;
        Ok(took)
    }

    async fn say(&mut self, body: FloorBody) -> Result<()> {
        self.session.control.say(&Message::Floor(Floor { talkgroup: self.talkgroup.clone(), party: None, body })).await
    }
}

fn refused(reason: Reason) -> anyhow::Error {
    anyhow::anyhow!("the gateway says {reason}")
}

async fn dial(dialer: &Dialer, relay: SocketAddr, authority: &str) -> Result<Connection> {
    loop {
        match dialer.dial(relay, Expect::AnyGatewayOf(vec![authority.parse()?]), DIAL).await {
            Ok(connection) => return Ok(connection),
            Err(Reason::TooManySessions) => sleep(AGAIN).await,
            Err(reason) => return Err(refused(reason)).context("dialling"),
        }
    }
}

/// The control stream.
struct Control {
    send: SendStream,
    recv: RecvStream,
    decoder: Decoder,
    waiting: VecDeque<Message>,
}

impl Control {
    async fn say(&mut self, message: &Message) -> Result<()> {
        Ok(self.send.write_all(&frame::encode(message)).await?)
    }

    /// The next message. May be dropped at any time without loss.
    async fn next(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            let chunk = self.recv.read_chunk(READ_BYTES, true).await?.context("the gateway ended the session")?;
            self.decoder.push(&chunk.bytes);
            while let Some(message) = self.decoder.next_message()? {
                self.waiting.push_back(message);
            }
        }
    }

    async fn affiliated(&mut self) -> Result<Affiliated> {
        loop {
            match self.next().await? {
                Message::Affiliated(affiliated) => return Ok(*affiliated),
                Message::Refused(reason) | Message::AffiliateRefused(_, reason) => return Err(refused(reason)).context("joining"),
                _ => {}
            }
        }
    }

    async fn granted(&mut self) -> Result<Granted> {
        loop {
            match self.next().await? {
                Message::Floor(Floor { body: FloorBody::Granted(granted), .. }) => return Ok(granted),
                Message::Floor(Floor { body: FloorBody::Deny { cause, .. }, .. }) => bail!("the floor is denied: {cause}"),
                _ => {}
            }
        }
    }

    async fn acknowledged(&mut self, release: RequestId) -> Result<()> {
        loop {
            if let Message::Floor(Floor { body: FloorBody::Ack { request }, .. }) = self.next().await?
                && request == release
            {
                return Ok(());
            }
        }
    }
}

/// Stays until the session ends. The dialer is kept for its socket.
async fn live(connection: Connection, mut control: Control, _dialer: Dialer, heard: Arc<Heard>) {
    let mut beats = interval(BEAT);
    let mut beat = Heartbeat { seq: 0, echo: 0 };
    loop {
        tokio::select! {
            datagram = connection.quic.read_datagram() => match datagram.map(Datagram::decode) {
                Ok(Ok(Some(Datagram::Voice(voice)))) => heard.note(&voice.payload),
                Ok(Ok(Some(Datagram::Heartbeat(theirs)))) => beat.echo = beat.echo.max(theirs.seq),
                Ok(_) => {}
                Err(_) => break,
            },
            message = control.next() => match message {
                Ok(Message::Floor(Floor { body: FloorBody::Granted(granted), .. })) => heard.set_aside(granted.own_side_only),
                Ok(_) => {}
                Err(_) => break,
            },
            _ = beats.tick() => {
                beat.seq += 1;
                if connection.quic.send_datagram(Datagram::Heartbeat(beat).encode()).is_err() { break }
            }
        }
    }
    heard.lose();
}

/// A spurt under way.
struct Voicing {
    quic: quinn::Connection,
    handle: Handle,
    spurt: Spurt,
    tier: Tier,
    seq: Seq,
    first: bool,
}

impl Mouth for Voicing {
    fn speak(&mut self, payload: &[u8]) -> io::Result<()> {
        let voice = Voice {
            handle: self.handle,
            spurt: self.spurt,
            seq: self.seq,
            first: std::mem::take(&mut self.first),
            last: false,
            tier: self.tier,
            encrypted: false,
            repeats: Vec::new(),
            payload: Bytes::copy_from_slice(payload),
        };
        self.seq = self.seq.next();
        self.quic.send_datagram(voice.encode()).map_err(io::Error::other)
    }
}
