//! A Mumble client as small as it can be, for murmurd 1.3: control over TLS, voice over UDP.
//!
//! Written after the protocol's description; what it does not need (text, permissions, other users) is read and forgotten. The
//! server's certificate is made by itself, so any is believed.

mod crypt;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use prost::Message;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::crypt::{Opening, Sealing};
use crate::crowd::{Heard, Joined, Mouth, Seat};

/// Types of control messages, by their number on the wire.
mod kind {
    pub(super) const VERSION: u16 = 0;
    pub(super) const AUTHENTICATE: u16 = 2;
    pub(super) const PING: u16 = 3;
    pub(super) const REJECT: u16 = 4;
    pub(super) const SERVER_SYNC: u16 = 5;
    pub(super) const USER_STATE: u16 = 9;
    pub(super) const CRYPT_SETUP: u16 = 15;
}

/// 1.3.4, in two bytes and twice one.
const OUR_VERSION: u32 = 0x0001_0304;
/// Largest control message that is believed, in bytes.
const CONTROL_MAX_BYTES: usize = 1 << 20;
/// Time between pings over TCP; murmurd drops who says nothing for 30 s.
const PING: Duration = Duration::from_secs(10);
/// Time for the answer to a ping over UDP, which tells murmurd the port.
const ANSWER: Duration = Duration::from_millis(500);
/// First bits of a voice or ping packet over UDP: its kind.
const UDP_PING: u8 = 1 << 5;
const UDP_OPUS: u8 = 4 << 5;
const UDP_KIND: u8 = 0xe0;
const DATAGRAM_MAX_BYTES: usize = 1_024;

#[derive(Clone, PartialEq, Message)]
struct Version {
    #[prost(uint32, optional, tag = "1")]
    version: Option<u32>,
    #[prost(string, optional, tag = "2")]
    release: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Authenticate {
    #[prost(string, optional, tag = "1")]
    username: Option<String>,
    #[prost(bool, optional, tag = "5")]
    opus: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct Ping {
    #[prost(uint64, optional, tag = "1")]
    timestamp: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct Reject {
    #[prost(string, optional, tag = "2")]
    reason: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ServerSync {
    #[prost(uint32, optional, tag = "1")]
    session: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct UserState {
    #[prost(uint32, optional, tag = "1")]
    session: Option<u32>,
    #[prost(uint32, optional, tag = "5")]
    channel_id: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct CryptSetup {
    #[prost(bytes = "vec", optional, tag = "1")]
    key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    client_nonce: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    server_nonce: Option<Vec<u8>>,
}

/// Joins, goes to its channel, and opens its way over UDP. Talkgroup 0 is the root channel, the others those with its number.
pub(crate) async fn join(seat: &Seat) -> Result<Joined> {
    let mut control = Control::connect(seat).await?;
    let version = Version { version: Some(OUR_VERSION), release: Some("load".into()) };
    control.say(kind::VERSION, &version).await?;
    let name =
        Authenticate { username: Some(format!("load-{}-{}", if seat.talks { "talks" } else { "hears" }, seat.number)), opus: Some(true) };
    control.say(kind::AUTHENTICATE, &name).await?;
    let (session, setup) = control.admitted().await?;
    if seat.group > 0 {
        let channel = u32::from(seat.group);
        control.say(kind::USER_STATE, &UserState { session: Some(session), channel_id: Some(channel) }).await?;
        control.moved(session, channel).await?;
    }

    let udp = UdpSocket::bind(seat.local()).await?;
    udp.connect(seat.relay).await?;
    let udp = Arc::new(udp);
    let key = setup.key.as_deref().and_then(|key| key.try_into().ok()).context("no key for UDP")?;
    let nonce = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| bytes.try_into().ok()).context("no nonce for UDP");
    let sealing = Arc::new(Mutex::new(Sealing::new(key, nonce(setup.client_nonce)?)));
    let mut opening = Opening::new(key, nonce(setup.server_nonce)?);
    reach(&udp, &sealing, &mut opening).await?;

    let mouth: Option<Box<dyn Mouth>> =
        seat.talks.then(|| Box::new(Voicing { udp: Arc::clone(&udp), sealing: Arc::clone(&sealing), sequence: 0 }) as Box<dyn Mouth>);
    let at = udp.local_addr()?;
    tokio::spawn(live(control, udp, opening, Arc::clone(&seat.heard)));
    Ok(Joined { at, mouth })
}

/// Pings over UDP until an answer comes.
async fn reach(udp: &UdpSocket, sealing: &Mutex<Sealing>, opening: &mut Opening) -> Result<()> {
    let mut bytes = [0; DATAGRAM_MAX_BYTES];
    for _ in 0..20 {
        udp.send(&seal(sealing, &[UDP_PING, 1])).await?;
        if let Ok(length) = timeout(ANSWER, udp.recv(&mut bytes)).await
            && opening.open(&bytes[..length?]).is_some()
        {
            return Ok(());
        }
    }
    bail!("no answer over UDP")
}

fn seal(sealing: &Mutex<Sealing>, plain: &[u8]) -> Vec<u8> {
    sealing.lock().unwrap_or_else(PoisonError::into_inner).seal(plain)
}

/// Stays until the connection ends.
async fn live(mut control: Control, udp: Arc<UdpSocket>, mut opening: Opening, heard: Arc<Heard>) {
    let mut pings = interval(PING);
    let (mut voice, mut told) = ([0; DATAGRAM_MAX_BYTES], vec![0; 16 * 1_024]);
    loop {
        tokio::select! {
            received = udp.recv(&mut voice) => match received {
                Ok(length) => if let Some(plain) = opening.open(&voice[..length]) && let Some(payload) = spoken(&plain) {
                    heard.note(payload);
                },
                Err(_) => break,
            },
            read = control.tls.read(&mut told) => if !matches!(read, Ok(1..)) { break },
            _ = pings.tick() => if control.say(kind::PING, &Ping { timestamp: Some(1) }).await.is_err() { break },
        }
    }
    heard.lose();
}

/// The Opus payload of a packet from the server: kind, session, sequence, length, payload.
fn spoken(packet: &[u8]) -> Option<&[u8]> {
    let (first, rest) = packet.split_first()?;
    if first & UDP_KIND != UDP_OPUS {
        return None;
    }
    let (_session, rest) = read_number(rest)?;
    let (_sequence, rest) = read_number(rest)?;
    let (length, rest) = read_number(rest)?;
    rest.get(..usize::try_from(length & 0x1fff).ok()?)
}

/// A number of the voice packets: the leading ones of its first byte say how many follow. Up to 28 bits, more is not sent here.
fn read_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let more = usize::try_from(first.leading_ones()).ok()?;
    if more > 3 {
        return None;
    }
    let (tail, rest) = rest.split_at_checked(more)?;
    let head = u32::from(first & (0x7f >> more));
    Some((tail.iter().fold(head, |number, byte| number << 8 | u32::from(*byte)), rest))
}

fn write_number(out: &mut Vec<u8>, number: u32) {
    let bytes = number.to_be_bytes();
    match number {
        0..0x80 => out.push(bytes[3]),
        0x80..0x4000 => out.extend([0x80 | bytes[2], bytes[3]]),
        0x4000..0x0020_0000 => out.extend([0xc0 | bytes[1], bytes[2], bytes[3]]),
        _ => out.extend([0xe0 | bytes[0] & 0x0f, bytes[1], bytes[2], bytes[3]]),
    }
}

/// A talker.
struct Voicing {
    udp: Arc<UdpSocket>,
    sealing: Arc<Mutex<Sealing>>,
    /// In pieces of 10 ms, of which a frame has two.
    sequence: u32,
}

impl Mouth for Voicing {
    fn speak(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut packet = vec![UDP_OPUS];
        write_number(&mut packet, self.sequence);
        write_number(&mut packet, u32::try_from(payload.len()).map_err(io::Error::other)?);
        packet.extend_from_slice(payload);
        self.sequence += 2;
        self.udp.try_send(&seal(&self.sealing, &packet)).map(drop)
    }
}

/// The control connection.
struct Control {
    tls: TlsStream<TcpStream>,
}

impl Control {
    async fn connect(seat: &Seat) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(seat.local())?;
        let tcp = socket.connect(seat.relay).await.context("connecting")?;
        tcp.set_nodelay(true)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let anybody = Arc::new(Anybody(Arc::clone(&provider)));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(anybody)
            .with_no_client_auth();
        let name = ServerName::try_from("murmurd.invalid")?;
        Ok(Self { tls: TlsConnector::from(Arc::new(config)).connect(name, tcp).await.context("TLS")? })
    }

    async fn say(&mut self, kind: u16, message: &impl Message) -> Result<()> {
        let body = message.encode_to_vec();
        let mut packet = kind.to_be_bytes().to_vec();
        packet.extend(u32::try_from(body.len())?.to_be_bytes());
        packet.extend(body);
        self.tls.write_all(&packet).await?;
        Ok(self.tls.flush().await?)
    }

    async fn next(&mut self) -> Result<(u16, Vec<u8>)> {
        let kind = self.tls.read_u16().await?;
        let length = usize::try_from(self.tls.read_u32().await?)?;
        if length > CONTROL_MAX_BYTES {
            bail!("a control message of {length} bytes");
        }
        let mut body = vec![0; length];
        self.tls.read_exact(&mut body).await?;
        Ok((kind, body))
    }

    /// Waits until the server has admitted us; our session and the keys of UDP.
    async fn admitted(&mut self) -> Result<(u32, CryptSetup)> {
        let mut setup = None;
        loop {
            let (kind, body) = self.next().await?;
            match kind {
                kind::CRYPT_SETUP => setup = Some(CryptSetup::decode(&*body)?),
                kind::REJECT => bail!("murmurd says {}", Reject::decode(&*body)?.reason.unwrap_or_default()),
                kind::SERVER_SYNC => {
                    let session = ServerSync::decode(&*body)?.session.context("no session")?;
                    return Ok((session, setup.context("no keys for UDP")?));
                }
                _ => {}
            }
        }
    }

    /// Waits until the server tells that we are in a channel.
    async fn moved(&mut self, session: u32, channel: u32) -> Result<()> {
        loop {
            let (kind, body) = self.next().await?;
            if kind == kind::USER_STATE {
                let state = UserState::decode(&*body)?;
                if state.session == Some(session) && state.channel_id == Some(channel) {
                    return Ok(());
                }
            }
        }
    }
}

/// Believes everybody: the server on this machine has a certificate made by itself.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

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
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_voice_packets_round_trip() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, 0x0fff_ffff] {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            bytes.push(9);
            assert_eq!(read_number(&bytes), Some((number, &[9][..])), "{number}");
        }
        assert_eq!(read_number(&[0x80]), None);
        assert_eq!(read_number(&[0xf4, 0]), None);
    }

    #[test]
    fn what_the_server_passes_on_is_found() {
        let mut packet = vec![UDP_OPUS];
        for number in [700, 4, 3 | 0x2000] {
            write_number(&mut packet, number);
        }
        packet.extend(b"abc");
        assert_eq!(spoken(&packet), Some(&b"abc"[..]));
        assert_eq!(spoken(&[UDP_PING, 1]), None);
    }
}
