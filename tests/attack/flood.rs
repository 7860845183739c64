//! Two floods: forged first packets, real beginnings of handshakes sent from addresses whose owners know nothing of them; and
//! callers that answer as far as their want of a certificate lets them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

/// Addresses that the packets come from: one of each of so many networks, far from those of the units.
const FORGED: u8 = 200;

/// Packets as a unit would send first, each of a connection of its own.
pub(crate) fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let nobody = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let to = nobody.local_addr().expect("bound");
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let config = believing();
        let (mut packets, mut seen, mut asked) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut bytes = vec![0; 2_000];
        while packets.len() < count {
            asked.push(endpoint.connect_with(config.clone(), to, "talkbridge.invalid").expect("a fitting configuration"));
            let (length, _) = nobody.recv_from(&mut bytes).await.expect("a packet");
            let packet = bytes[..length].to_vec();
            // Long header, version 1, then the length of the id and the id: a second packet of a connection is not wanted.
            if length >= 1_200 && seen.insert(packet[6..6 + usize::from(packet[5])].to_vec()) {
                packets.push(packet);
            }
        }
        packets
    })
}

/// A caller without a certificate that believes everybody.
fn believing() -> quinn::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![wire::ALPN_UNIT.to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).expect("a cipher for first packets");
    quinn::ClientConfig::new(Arc::new(crypto))
}

/// Believes everybody.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// A flood that runs until it is stopped.
#[derive(Debug)]
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<u32>>,
}

impl Flood {
    /// Sends so many packets a second to a port of this machine.
    pub(crate) fn start(packets: Vec<Vec<u8>>, port: u16, rate: u32) -> Self {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let from: Vec<UdpSocket> =
            (0..FORGED).map(|number| UdpSocket::bind((Ipv4Addr::new(127, 1, number, 1), 0)).expect("a loopback address")).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let (began, mut sent) = (Instant::now(), 0_u32);
            let mut next = packets.iter().zip(from.iter().cycle()).cycle();
            while !stopped.load(Ordering::Relaxed) {
                // What is due by now; a machine that cannot keep up sends a burst, as floods do.
                let due = began.elapsed().mul_f64(f64::from(rate)).as_secs();
                while u64::from(sent) < due {
                    let Some((packet, socket)) = next.next() else { return sent };
                    socket.send_to(packet, to).expect("loopback takes everything");
                    sent += 1;
                }
                thread::sleep(Duration::from_millis(1));
            }
            sent
        });
        Self { stop, sender: Some(sender) }
    }

    /// Ends it; how many packets were sent.
    pub(crate) fn stop(mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.take().expect("started").join().expect("no panic")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Callers from one network that prove their address and have no certificate.
#[derive(Debug)]
pub(crate) struct Crowd {
    stop: Arc<AtomicBool>,
    caller: Option<JoinHandle<u32>>,
}

impl Crowd {
    /// Begins so many handshakes a second with a port of this machine.
    pub(crate) fn start(port: u16, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let caller = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let endpoint = quinn::Endpoint::client("127.2.0.1:0".parse().expect("an address")).expect("a loopback address");
                let (config, began, mut begun) = (believing(), Instant::now(), 0_u32);
                while !stopped.load(Ordering::Relaxed) {
                    while f64::from(begun) < began.elapsed().as_secs_f64() * f64::from(rate) {
                        let calling = endpoint.connect_with(config.clone(), to, "talkbridge.invalid").expect("a fitting configuration");
                        // Most are refused; the others end with the first word of the gateway.
                        tokio::spawn(async move {
                            if let Ok(connection) = calling.await {
                                connection.closed().await;
                            }
                        });
                        begun += 1;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                begun
            })
        });
        Self { stop, caller: Some(caller) }
    }

    /// Ends it; how many handshakes were begun.
    pub(crate) fn stop(mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.caller.take().expect("started").join().expect("no panic")
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
