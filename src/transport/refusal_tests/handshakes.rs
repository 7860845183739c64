//! First words that are none: no certificate, another protocol, an older TLS, data before the handshake.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::Side;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{
    ClientConfig, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig, Session, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, TransportError};
use testkit::clock::run;
use tokio::time::{sleep, timeout};
use wire::Reason;

use super::forge::Forge;
use super::holder;
use super::matrix::{heard, trust};
use crate::test_support::{BUDGET, DIAL_LIMIT, Scene, accept_one, any_of, gateway_addr};
use crate::{Keys as Secrets, Port, tls};

/// What a caller with this configuration hears, and what the acceptor makes of it.
async fn called(forge: &Forge, config: quinn::ClientConfig) -> (Reason, Option<Reason>) {
    let scene = Scene::new(1);
    let judge = scene.listen(Port::Units, scene.be.issue("be/gateway/judge"), trust(forge, None, None), &Secrets::simulated(1));
    let judged = accept_one(&judge);
    let attempt = holder::caller(&scene).connect_with(config, gateway_addr(), tls::SERVER_NAME).unwrap().await;
    let judged = judged.await.unwrap();
    (heard(attempt, Side::Client).await, judged.err())
}

#[test]
fn a_caller_without_a_certificate_is_refused() {
    let forge = Forge::new();
    let config = holder::quic_calling(holder::calling(None, Port::Units.alpn()));
    assert_eq!(run(BUDGET, called(&forge, config)), (Reason::BadCertificate, Some(Reason::BadCertificate)));
}

#[test]
fn a_caller_that_speaks_something_else_hears_that_this_is_no_gateway_of_its() {
    let forge = Forge::new();
    for alpn in [&b"h3"[..], b"talkbridge-unit/2", b"talkbridge-unit/1x", b"TALKBRIDGE-UNIT/1"] {
        let key = forge.nl.leaf("nl/unit/a", |_| {}).certified_key();
        let config = holder::quic_calling(holder::calling(Some(key), alpn));
        assert_eq!(run(BUDGET, called(&forge, config)), (Reason::NotAGateway, Some(Reason::NotAGateway)), "{alpn:?}");
    }
}

#[test]
fn a_unit_that_speaks_as_a_gateway_where_units_log_in_is_refused() {
    let forge = Forge::new();
    let key = forge.nl.leaf("nl/unit/a", |_| {}).certified_key();
    let config = holder::quic_calling(holder::calling(Some(key), Port::Peers.alpn()));
    assert_eq!(run(BUDGET, called(&forge, config)), (Reason::NotAGateway, Some(Reason::NotAGateway)));
}

#[test]
fn tls_1_2_is_refused_whoever_offers_it() {
    let forge = Forge::new();
    let key = forge.nl.leaf("nl/unit/a", |_| {}).certified_key();
    let tls = QuicClientConfig::try_from(holder::calling(Some(key), Port::Units.alpn())).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(Older(Arc::new(tls))));
    assert_eq!(run(BUDGET, called(&forge, config)), (Reason::VersionMismatch, Some(Reason::VersionMismatch)));

    let key = forge.nl.leaf("nl/gateway/gw-1", |_| {}).certified_key();
    let tls = QuicServerConfig::try_from(holder::answering(key, Port::Units.alpn())).unwrap();
    run(BUDGET, async {
        let scene = Scene::new(1);
        let gateway = holder::gateway(&scene, quinn::ServerConfig::with_crypto(Arc::new(Older(Arc::new(tls)))));
        let hearing = tokio::spawn(async move { heard(gateway.accept().await.unwrap().accept().unwrap().await, Side::Server).await });
        let unit = scene.caller(Port::Units, scene.be.issue("be/unit/a"), trust(&forge, None, None));
        assert!(unit.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await.is_err());
        assert_ne!(hearing.await.unwrap(), Reason::Other, "the session exists");
    });
}

/// Data sent before the handshake could be sent again by anybody who recorded it: it is thrown away unread.
#[test]
fn early_data_is_never_read() {
    let forge = Forge::new();
    run(BUDGET, async {
        let scene = Scene::new(1);
        // A ticket that allows early data, from a gateway that gives out such tickets.
        let giver = forge.nl.leaf("nl/gateway/gw-1", |_| {}).certified_key();
        let mut giving = holder::answering(giver, Port::Units.alpn());
        giving.max_early_data_size = u32::MAX;
        let giver = holder::gateway(&scene, holder::quic_answering(giving));
        let mut tls = holder::calling(Some(forge.nl.leaf("nl/unit/a", |_| {}).certified_key()), Port::Units.alpn());
        tls.enable_early_data = true;
        let (config, caller) = (holder::quic_calling(tls), holder::caller(&scene));
        let given = tokio::spawn(async move {
            let connection = giver.accept().await.unwrap().accept().unwrap().await.unwrap();
            connection.closed().await;
            giver
        });
        let first = caller.connect_with(config.clone(), gateway_addr(), tls::SERVER_NAME).unwrap().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        first.close(0_u32.into(), b"");
        let giver = given.await.unwrap();
        giver.close(0_u32.into(), b"");
        giver.wait_idle().await;
        drop(giver);
        sleep(Duration::from_millis(1)).await; // its driver gives the address back

        let judge = scene.listen(Port::Units, scene.be.issue("be/gateway/judge"), trust(&forge, None, None), &Secrets::simulated(1));
        let judged = accept_one(&judge);
        let Ok((early, accepted)) = caller.connect_with(config, gateway_addr(), tls::SERVER_NAME).unwrap().into_0rtt() else {
            panic!("the caller has a ticket for early data");
        };
        early.send_datagram(Bytes::from_static(b"early")).unwrap();
        let (mut stream, _) = early.open_bi().await.unwrap();
        stream.write_all(b"early").await.unwrap();
        assert!(!accepted.await, "early data was accepted");
        let session = judged.await.unwrap().expect("a sound certificate");
        let read = timeout(Duration::from_secs(2), async {
            tokio::select! {
                datagram = session.quic.read_datagram() => datagram.is_ok(),
                stream = session.quic.accept_bi() => stream.is_ok(),
            }
        });
        assert!(read.await.is_err(), "something sent early was read");
    });
}

/// A TLS configuration whose first word names TLS 1.2.
struct Older<T>(Arc<T>);

impl ClientConfig for Older<QuicClientConfig> {
    fn start_session(self: Arc<Self>, version: u32, name: &str, params: &TransportParameters) -> Result<Box<dyn Session>, ConnectError> {
        let inner = Arc::clone(&self.0);
        Ok(Box::new(OlderSession { inner: inner.start_session(version, name, params)?, word: &[0, 0x2b, 0, 3, 2, 3, 4] }))
    }
}

impl ServerConfig for Older<QuicServerConfig> {
    fn initial_keys(&self, version: u32, cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.0.initial_keys(version, cid)
    }

    fn retry_tag(&self, version: u32, cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.0.retry_tag(version, cid, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        let inner = Arc::clone(&self.0);
        Box::new(OlderSession { inner: inner.start_session(version, params), word: &[0, 0x2b, 0, 2, 3, 4] })
    }
}

/// Rewrites the extension *supported versions* (RFC 8446 4.2.1) of the first flight.
struct OlderSession {
    inner: Box<dyn Session>,
    /// The extension as it would be sent; its last byte is the 4 of TLS 1.3.
    word: &'static [u8],
}

impl Session for OlderSession {
    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let keys = self.inner.write_handshake(buf);
        if let Some(at) = buf.windows(self.word.len()).position(|window| window == self.word) {
            buf[at + self.word.len() - 1] = 3;
        }
        keys
    }

    fn initial_keys(&self, cid: &ConnectionId, side: Side) -> Keys {
        self.inner.initial_keys(cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.inner.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.inner.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.inner.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.inner.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        self.inner.read_handshake(buf)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.inner.transport_parameters()
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.inner.next_1rtt_keys()
    }

    fn is_valid_retry(&self, cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.inner.is_valid_retry(cid, header, payload)
    }

    fn export_keying_material(&self, output: &mut [u8], label: &[u8], context: &[u8]) -> Result<(), ExportKeyingMaterialError> {
        self.inner.export_keying_material(output, label, context)
    }
}
