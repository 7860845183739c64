//! Bound UDP ports that turn addresses into connections with a proven identity, accepting and dialling.
//!
//! Between the sockets and [`crate::link`]. An [`Endpoint`] is a gateway's port: it accepts, and lends a [`Dialer`] that dials
//! from the same address. A [`Dialer`] of its own, as units have, only dials. Certificate and trust are read anew for each handshake, so that
//! a reload needs no new socket. Nothing here logs an address: whoever asked for the connection knows it, and how to hide it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use quinn::{Incoming, RecvStream, SendStream, Side};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use tracing::{debug, info};
use wire::{Authority, Identity, Reason};

use crate::admission::{Admission, Caller, Decision, Place, Turned};
use crate::clock::{Clock, TokenTime};
use crate::config::{self, HANDSHAKE_TIMEOUT, Port};
use crate::congestion::{Congestion, Rate};
use crate::identity::{Certified, OwnIdentity};
use crate::keys::Keys;
use crate::reason;
use crate::sockets::Sockets;
use crate::tls;
pub use crate::tls::TlsError;
use crate::trust::SharedTrust;
use crate::verify::{AnswererVerifier, CallerVerifier, Verdict};

/// Time the dialling side has to open its control stream after the handshake.
pub const CONTROL_STREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// Callers turned away at once before others have their turn: some tenths of a millisecond.
const TURNED_AT_ONCE: u32 = 16;

/// Whom a dialler expects to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Exactly this gateway: how gateways dial their peers.
    Gateway(Identity),
    /// Any gateway of one of these authorities: how units dial.
    AnyGatewayOf(Vec<Authority>),
}

/// A port that cannot be opened; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The operating system refused the address.
    #[error("{addr}: {source}")]
    Address {
        /// The address asked for.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// TLS refused our certificate or settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A connection whose other side is known.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The QUIC connection; the last clone dropped closes it.
    pub quic: quinn::Connection,
    /// Who is on the other side.
    pub certified: Certified,
    /// What its link may carry; the owner says it once it knows who this is.
    pub rate: Rate,
}

impl Connection {
    /// Opens the control stream: the dialling side's first act. The other side sees it with the first bytes written.
    ///
    /// # Errors
    /// The reason for which the connection ended.
    pub async fn open_control(&self) -> Result<(SendStream, RecvStream), Reason> {
        self.quic.open_bi().await.map_err(|error| reason::of_connection(&error, self.quic.side()))
    }

    /// Waits for the control stream of the side that dialled, at most [`CONTROL_STREAM_TIMEOUT`].
    ///
    /// # Errors
    /// [`Reason::Timeout`], or the reason for which the connection ended.
    pub async fn accept_control(&self) -> Result<(SendStream, RecvStream), Reason> {
        match timeout(CONTROL_STREAM_TIMEOUT, self.quic.accept_bi()).await {
            Ok(Ok(streams)) => Ok(streams),
            Ok(Err(error)) => Err(reason::of_connection(&error, self.quic.side())),
            Err(_) => Err(Reason::Timeout),
        }
    }

    /// Waits until the connection has ended, and says why. A dialler learns only here that its own certificate was
    /// refused: in TLS 1.3 the handshake is complete on its side before the other has judged it.
    pub async fn closed(&self) -> Reason {
        reason::of_connection(&self.quic.closed().await, self.quic.side())
    }

    /// Closes at once, without flushing anything; [`crate::link`] closes in order.
    pub fn close(&self, reason: Reason) {
        self.quic.close(reason::close_code(reason), reason.as_str().as_bytes());
    }
}

/// What dialling needs; shared by [`Endpoint`] and [`Dialer`].
#[derive(Debug)]
struct Core {
    quic: quinn::Endpoint,
    port: Port,
    own: ArcSwap<OwnIdentity>,
    trust: SharedTrust,
    clock: Clock,
}

impl Core {
    async fn dial(&self, addr: SocketAddr, expect: Expect, limit: Duration, congestion: Option<Congestion>) -> Result<Connection, Reason> {
        let verdict = Verdict::default();
        let verifier = AnswererVerifier { trust: self.trust.load_full(), port: self.port, expect, verdict: verdict.clone() };
        let crypto = tls::client(self.port, &self.own.load(), verifier, &self.clock).map_err(|error| {
            debug!(%error, "cannot dial");
            Reason::TlsFailure
        })?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        let rate = Rate::default();
        config.transport_config(config::transport(self.port, congestion.unwrap_or_else(|| Arc::new(rate.clone()))));
        let connecting = self.quic.connect_with(config, addr, tls::SERVER_NAME).map_err(|error| reason::of_connect(&error))?;
        let quic = match timeout(limit, connecting).await {
            Ok(Ok(quic)) => quic,
            Ok(Err(error)) => {
                let why = verdict.refused().unwrap_or_else(|| reason::of_handshake(&error, Side::Client));
                debug!(%error, reason = %why, "dialling failed");
                return Err(why);
            }
            Err(_) => return Err(Reason::Unreachable),
        };
        connected(quic, rate)
    }
}

fn connected(quic: quinn::Connection, rate: Rate) -> Result<Connection, Reason> {
    match Certified::of_connection(&quic) {
        Ok(certified) => Ok(Connection { quic, certified, rate }),
        Err(error) => {
            debug!(%error, "verified certificate cannot be read");
            quic.close(reason::close_code(Reason::BadCertificate), b"");
            Err(Reason::BadCertificate)
        }
    }
}

/// A gateway's bound port: accepts and dials. Cheap to clone; all clones are the same port.
#[derive(Clone, Debug)]
pub struct Endpoint {
    core: Arc<Core>,
    admission: Arc<Mutex<Admission>>,
    server: Arc<quinn::ServerConfig>,
}

impl Endpoint {
    /// Binds a port that accepts and dials.
    ///
    /// # Errors
    /// [`BindError`] if the address is taken or TLS refuses our certificate.
    pub fn bind(
        sockets: &dyn Sockets,
        addr: SocketAddr,
        port: Port,
        own: OwnIdentity,
        trust: SharedTrust,
        keys: &Keys,
        clock: Clock,
    ) -> Result<Self, BindError> {
        let verifier = CallerVerifier { trust: trust.load_full(), port, verdict: Verdict::default() };
        let crypto = tls::server(port, &own, verifier, &clock)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        server.time_source(Arc::new(TokenTime(Arc::clone(&clock))));
        config::limit_server(port, &mut server);
        let quic = open(sockets, addr, keys, Some(server.clone()))?;
        let core = Core { quic, port, own: ArcSwap::from_pointee(own), trust, clock };
        Ok(Self { core: Arc::new(core), admission: Arc::default(), server: Arc::new(server) })
    }

    /// The next caller worth a handshake; `None` when the port is closed. The others are turned away in here, by the rules
    /// of [`crate::admission`].
    pub async fn accept(&self) -> Option<Accepting> {
        let mut turned = 0_u32;
        loop {
            let incoming = self.core.quic.accept().await?;
            let caller = Caller { from: incoming.remote_address().ip(), proven: incoming.remote_address_validated() };
            let now = Instant::now().into_std();
            let (decision, report) = {
                let mut admission = lock(&self.admission);
                (admission.judge(caller, now), admission.report(now))
            };
            if let Some(Turned { retried, refused, ignored }) = report {
                info!(port = self.core.port.as_str(), retried, refused, ignored, "callers turned away");
            }
            match decision {
                Decision::Begin(place) => {
                    let seat = Seat { admission: Arc::clone(&self.admission), place };
                    return Some(Accepting { incoming, seat, endpoint: self.clone() });
                }
                Decision::Retry => {
                    if let Err(error) = incoming.retry() {
                        error.into_incoming().ignore();
                    }
                }
                Decision::Refuse => incoming.refuse(),
                Decision::Ignore => incoming.ignore(),
            }
            turned = turned.wrapping_add(1);
            if turned.is_multiple_of(TURNED_AT_ONCE) {
                yield_now().await;
            }
        }
    }

    /// The port this is.
    pub fn port(&self) -> Port {
        self.core.port
    }

    /// Hears only callers from the networks of these addresses from now on; `None` hears everybody.
    pub fn set_neighbours(&self, addresses: Option<&[IpAddr]>) {
        lock(&self.admission).set_neighbours(addresses);
    }

    /// Dials from this port: how a peer sees the address that it knows.
    pub fn dialer(&self) -> Dialer {
        Dialer { core: Arc::clone(&self.core), congestion: None }
    }

    /// Replaces our certificate for later handshakes; live connections keep theirs.
    pub fn set_own_identity(&self, own: OwnIdentity) {
        self.core.own.store(Arc::new(own));
    }

    /// The bound address.
    ///
    /// # Errors
    /// What the operating system says; never for a bound socket in practice.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.quic.local_addr()
    }

    /// Closes every connection with the reason and stops accepting; wait with [`Self::wait_idle`] until all is sent.
    pub fn close(&self, reason: Reason) {
        self.core.quic.close(reason::close_code(reason), reason.as_str().as_bytes());
    }

    /// Waits until the last connection has left.
    pub async fn wait_idle(&self) {
        self.core.quic.wait_idle().await;
    }
}

/// A caller whose handshake has not begun.
#[derive(Debug)]
pub struct Accepting {
    incoming: Incoming,
    seat: Seat,
    endpoint: Endpoint,
}

/// A handshake under way: counted as long as this lives.
#[derive(Debug)]
struct Seat {
    admission: Arc<Mutex<Admission>>,
    place: Place,
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.admission).end(self.place);
    }
}

/// Nothing panics while it is held.
fn lock(admission: &Mutex<Admission>) -> MutexGuard<'_, Admission> {
    admission.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Accepting {
    /// Where the caller sits.
    pub fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Makes the handshake, at most [`HANDSHAKE_TIMEOUT`]. Run it beside the accept loop, in a task.
    ///
    /// # Errors
    /// Why the caller was refused, went away, or was too slow.
    pub async fn complete(self) -> Result<Connection, Reason> {
        let Self { incoming, seat, endpoint } = self;
        let core = &endpoint.core;
        let verdict = Verdict::default();
        let verifier = CallerVerifier { trust: core.trust.load_full(), port: core.port, verdict: verdict.clone() };
        let crypto = tls::server(core.port, &core.own.load(), verifier, &core.clock).map_err(|error| {
            debug!(%error, "cannot accept");
            Reason::TlsFailure
        })?;
        let mut config = quinn::ServerConfig::clone(&endpoint.server);
        config.crypto = Arc::new(crypto);
        let rate = Rate::default();
        config.transport_config(config::transport(core.port, Arc::new(rate.clone())));
        let refused = |error: &quinn::ConnectionError| {
            let why = verdict.refused().unwrap_or_else(|| reason::of_handshake(error, Side::Server));
            debug!(port = core.port.as_str(), reason = %why, "handshake refused");
            why
        };
        let connecting = incoming.accept_with(Arc::new(config)).map_err(|error| refused(&error))?;
        let result = match timeout(HANDSHAKE_TIMEOUT, connecting).await {
            Ok(Ok(quic)) if tls::spoken(core.port, &quic) => connected(quic, rate),
            Ok(Ok(quic)) => {
                quic.close(reason::close_code(Reason::NotAGateway), b"");
                Err(Reason::NotAGateway)
            }
            Ok(Err(error)) => Err(refused(&error)),
            Err(_) => Err(Reason::Timeout),
        };
        drop(seat);
        result
    }
}

/// A socket that dials: a unit's, which never accepts, or a gateway's port. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    core: Arc<Core>,
    /// In place of our own congestion controller.
    congestion: Option<Congestion>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("core", &self.core).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Binds a local address to dial from; `0.0.0.0:0` or `[::]:0` lets the system choose. It reaches only its own IP version.
    ///
    /// # Errors
    /// [`BindError`] if the address is taken.
    pub fn bind(
        sockets: &dyn Sockets,
        local: SocketAddr,
        port: Port,
        own: OwnIdentity,
        trust: SharedTrust,
        keys: &Keys,
        clock: Clock,
    ) -> Result<Self, BindError> {
        let quic = open(sockets, local, keys, None)?;
        Ok(Self { congestion: None, core: Arc::new(Core { quic, port, own: ArcSwap::from_pointee(own), trust, clock }) })
    }

    /// Dials a gateway.
    ///
    /// # Errors
    /// [`Reason::Unreachable`] without an answer in `limit`, else why this side or the other refused.
    pub async fn dial(&self, addr: SocketAddr, expect: Expect, limit: Duration) -> Result<Connection, Reason> {
        self.core.dial(addr, expect, limit, self.congestion.clone()).await
    }

    /// Dials with another congestion controller from now on, to measure ours against it.
    #[must_use]
    pub fn controlled_by(self, congestion: Congestion) -> Self {
        Self { congestion: Some(congestion), ..self }
    }

    /// Replaces our certificate for later handshakes; live connections keep theirs.
    pub fn set_own_identity(&self, own: OwnIdentity) {
        self.core.own.store(Arc::new(own));
    }

    /// The bound address.
    ///
    /// # Errors
    /// What the operating system says; never for a bound socket in practice.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.quic.local_addr()
    }

    /// Closes every connection with the reason; wait with [`Self::wait_idle`] until all is sent.
    pub fn close(&self, reason: Reason) {
        self.core.quic.close(reason::close_code(reason), reason.as_str().as_bytes());
    }

    /// Waits until the last connection has left.
    pub async fn wait_idle(&self) {
        self.core.quic.wait_idle().await;
    }
}

fn open(sockets: &dyn Sockets, addr: SocketAddr, keys: &Keys, server: Option<quinn::ServerConfig>) -> Result<quinn::Endpoint, BindError> {
    let fail = |source| BindError::Address { addr, source };
    let socket = sockets.bind(addr).map_err(fail)?;
    quinn::Endpoint::new_with_abstract_socket(keys.endpoint_config(), server, socket, sockets.runtime()).map_err(fail)
}
