//! A bare QUIC connection with its control stream, for bytes that no honest unit or gateway would send.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use pki::Kind;
use transport::config::Port;
use transport::endpoint::{Connection, Dialer, Expect};
use transport::identity::OwnIdentity;
use transport::keys::Keys;
use transport::trust::Trust;
use wire::control::{Affiliated, Hello, Message};

use super::World;
use super::config::host_of;
use super::liar::Memory;

/// See the module.
pub(crate) struct Raw {
    /// The connection.
    pub(crate) connection: Connection,
    /// Towards the gateway.
    pub(crate) send: quinn::SendStream,
    recv: quinn::RecvStream,
    decoder: wire::frame::Decoder,
    _dialer: Dialer,
}

impl Raw {
    /// Connects to a gateway's port with a valid certificate of that authority, kind and name.
    pub(crate) async fn dial(world: &mut World, port: Port, authority: &str, kind: Kind, name: &str, gateway: &str) -> Self {
        let issued = world.issue(authority, kind, name);
        let (sockets, clock, seed) = world.attacker((port == Port::Peers).then_some(authority));
        let own = OwnIdentity::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes()).expect("valid PEM");
        let root = world.countries[gateway].authority.root_pem().as_bytes();
        let far: wire::Authority = gateway.parse().expect("a code");
        let (units, peers) = (port == Port::Units, port == Port::Peers);
        let trust = Trust::builder().authority(far.clone(), root, None, units, peers).expect("valid PEM").build().shared();
        let local = "0.0.0.0:0".parse().expect("an address");
        let dialer = Dialer::bind(sockets.as_ref(), local, port, own, trust, &Keys::simulated(seed), clock).expect("a free address");
        let number = if units { 7001 } else { 7101 };
        let address = format!("{}:{number}", host_of(gateway)).parse().expect("an address");
        let connection = dialer.dial(address, Expect::AnyGatewayOf(vec![far]), Duration::from_secs(5)).await.expect("a running gateway");
        let (send, recv) = connection.open_control().await.expect("a live connection");
        Self { connection, send, recv, decoder: wire::frame::Decoder::default(), _dialer: dialer }
    }

    /// Sends a message as it should be sent.
    pub(crate) async fn message(&mut self, message: &Message) {
        self.send.write_all(&wire::frame::encode(message)).await.expect("a live connection");
    }

    /// The same, if the connection still takes it within a moment; tells whether it did.
    pub(crate) async fn try_message(&mut self, message: &Message) -> bool {
        let bytes = wire::frame::encode(message);
        let sent = tokio::time::timeout(Duration::from_millis(200), self.send.write_all(&bytes)).await;
        matches!(sent, Ok(Ok(()))) && self.connection.quic.close_reason().is_none()
    }

    /// Sends a datagram; full buffers drop, the point is what arrives.
    pub(crate) fn datagram(&self, bytes: impl Into<Bytes>) {
        let _ = self.connection.quic.send_datagram(bytes.into());
    }

    /// Waits for a message that the test takes, and returns what it made of it.
    pub(crate) async fn receive<T>(&mut self, take: impl Fn(Message) -> Option<T>) -> T {
        loop {
            while let Some(message) = self.decoder.next_message().expect("valid messages") {
                if let Some(taken) = take(message) {
                    return taken;
                }
            }
            let chunk = self.recv.read_chunk(4_096, true).await.expect("a live connection").expect("an answer");
            self.decoder.push(&chunk.bytes);
        }
    }

    /// The same; `None` if the connection ends before.
    pub(crate) async fn try_receive<T>(&mut self, take: impl Fn(Message) -> Option<T>) -> Option<T> {
        loop {
            while let Some(message) = self.decoder.next_message().ok()? {
                if let Some(taken) = take(message) {
                    return Some(taken);
                }
            }
            let chunk = self.recv.read_chunk(4_096, true).await.ok()??;
            self.decoder.push(&chunk.bytes);
        }
    }

    /// Its connection, the way out and the way in, each for itself.
    pub(super) fn into_parts(self) -> (Connection, quinn::SendStream, Listening) {
        let Self { connection, send, recv, decoder, _dialer } = self;
        (connection, send, Listening { recv, decoder, _dialer })
    }

    /// As a unit: says hello, joins the talkgroup and returns what a member must know.
    pub(crate) async fn join(&mut self, talkgroup: &str) -> Affiliated {
        self.message(&Message::Hello(Hello::ours())).await;
        self.message(&Message::Affiliate(talkgroup.parse().expect("a talkgroup"))).await;
        self.receive(|message| if let Message::Affiliated(affiliated) = message { Some(*affiliated) } else { None }).await
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").finish_non_exhaustive()
    }
}

/// The way in of a bare connection.
pub(super) struct Listening {
    recv: quinn::RecvStream,
    decoder: wire::frame::Decoder,
    _dialer: Dialer,
}

impl Listening {
    /// Remembers every message until the connection ends.
    pub(super) async fn hear(mut self, memory: Arc<Mutex<Memory>>) {
        while let Ok(Some(chunk)) = self.recv.read_chunk(4_096, true).await {
            self.decoder.push(&chunk.bytes);
            while let Ok(Some(message)) = self.decoder.next_message() {
                Memory::message(&memory, message);
            }
        }
        // The socket stays until whoever waits for the end of the connection has it.
        std::future::pending::<()>().await;
    }
}

/// What [`Raw`] needs of a world: sockets of a new host, the clock, a seed.
pub(super) type Footing = (Arc<dyn transport::sockets::Sockets>, transport::clock::Clock, u64);
