//! A node of SvxLink as small as it can be, for svxreflector 19.09 (protocol 1.0): control over TCP, voice over UDP, both in clear.
//!
//! Control messages are a length of 32 bits, a type of 16 and the fields; texts and lists have a length of 16 bits in front. The
//! reflector of that version is one conference: everybody hears whoever talks, so there is one talkgroup.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::hmac;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{interval, timeout};

use crate::crowd::{Heard, Joined, Mouth, Seat};

const HEARTBEAT: u16 = 1;
const PROTOCOL: u16 = 5;
const CHALLENGE: u16 = 10;
const RESPONSE: u16 = 11;
const ERROR: u16 = 13;
const SERVER_INFO: u16 = 100;
const UDP_HEARTBEAT: u16 = 1;
const UDP_AUDIO: u16 = 101;
/// Type, client and number in front of every datagram, and the length of the voice.
const UDP_HEAD_BYTES: usize = 6;
const VOICE_HEAD_BYTES: usize = 8;
/// Largest control message, in bytes.
const CONTROL_MAX_BYTES: usize = 16_384;
/// Time between heartbeats; the reflector drops who says nothing for 15 s.
const BEAT: Duration = Duration::from_secs(5);
/// Time for the answer to the first heartbeat over UDP, which tells the reflector the port.
const ANSWER: Duration = Duration::from_millis(500);
/// The password in the configuration that `tools/bench` writes.
const PASSWORD: &[u8] = b"load";

/// Logs in and opens its way over UDP.
pub(crate) async fn join(seat: &Seat) -> Result<Joined> {
    ensure!(seat.group == 0, "this reflector has no talkgroups");
    let socket = TcpSocket::new_v4()?;
    socket.bind(seat.local())?;
    let mut control = Control { tcp: socket.connect(seat.relay).await.context("connecting")? };
    control.tcp.set_nodelay(true)?;
    control.say(PROTOCOL, &[0, 1, 0, 0]).await?;
    let challenge = control.until(CHALLENGE).await?;
    let name = format!("N{}", seat.number);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, PASSWORD);
    let digest = hmac::sign(&key, challenge.get(2..).context("no challenge")?);
    control.say(RESPONSE, &[counted(name.as_bytes()), counted(digest.as_ref())].concat()).await?;
    let info = control.until(SERVER_INFO).await?;
    // 32 bits there, 16 in datagrams.
    let client = info.get(2..4).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes).context("no client number")?;

    let udp = UdpSocket::bind(seat.local()).await?;
    udp.connect(seat.relay).await?;
    udp.writable().await?;
    let line = Arc::new(Line { udp, client, number: AtomicU16::new(0) });
    reach(&line).await?;
    let mouth: Option<Box<dyn Mouth>> = seat.talks.then(|| Box::new(Voicing(Arc::clone(&line))) as Box<dyn Mouth>);
    let at = line.udp.local_addr()?;
    tokio::spawn(live(control, line, Arc::clone(&seat.heard)));
    Ok(Joined { at, mouth })
}

/// A list or text with its length.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes(), bytes].concat()
}

async fn reach(line: &Line) -> Result<()> {
    for _ in 0..20 {
        line.send(UDP_HEARTBEAT, &[])?;
        if let Ok(received) = timeout(ANSWER, line.udp.recv(&mut [0; 64])).await {
            received?;
            return Ok(());
        }
    }
    bail!("no answer over UDP")
}

/// Stays until the connection ends.
async fn live(mut control: Control, line: Arc<Line>, heard: Arc<Heard>) {
    let mut beats = interval(BEAT);
    let (mut voice, mut told) = ([0; 1_024], vec![0; 16 * 1_024]);
    loop {
        tokio::select! {
            received = line.udp.recv(&mut voice) => match received {
                Ok(length) => if let Some(payload) = spoken(&voice[..length]) { heard.note(payload) },
                Err(_) => break,
            },
            read = control.tcp.read(&mut told) => if !matches!(read, Ok(1..)) { break },
            _ = beats.tick() => {
                if control.say(HEARTBEAT, &[]).await.is_err() || line.send(UDP_HEARTBEAT, &[]).is_err() { break }
            }
        }
    }
    heard.lose();
}

/// The voice in a datagram.
fn spoken(datagram: &[u8]) -> Option<&[u8]> {
    datagram.strip_prefix(&UDP_AUDIO.to_be_bytes()).and_then(|rest| rest.get(VOICE_HEAD_BYTES - 2..))
}

/// The way over UDP.
struct Line {
    udp: UdpSocket,
    client: u16,
    number: AtomicU16,
}

impl Line {
    fn send(&self, kind: u16, body: &[u8]) -> io::Result<()> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let mut datagram = Vec::with_capacity(UDP_HEAD_BYTES + body.len());
        for field in [kind, self.client, number] {
            datagram.extend(field.to_be_bytes());
        }
        datagram.extend(body);
        self.udp.try_send(&datagram).map(drop)
    }
}

struct Voicing(Arc<Line>);

impl Mouth for Voicing {
    fn speak(&mut self, payload: &[u8]) -> io::Result<()> {
        self.0.send(UDP_AUDIO, &counted(payload))
    }
}

/// The control connection.
struct Control {
    tcp: TcpStream,
}

impl Control {
    async fn say(&mut self, kind: u16, body: &[u8]) -> Result<()> {
        let mut message = u32::try_from(2 + body.len())?.to_be_bytes().to_vec();
        message.extend(kind.to_be_bytes());
        message.extend(body);
        Ok(self.tcp.write_all(&message).await?)
    }

    /// The body of the next message of that type; others are skipped.
    async fn until(&mut self, wanted: u16) -> Result<Vec<u8>> {
        loop {
            let length = usize::try_from(self.tcp.read_u32().await?)?;
            ensure!((2..=CONTROL_MAX_BYTES).contains(&length), "a control message of {length} bytes");
            let kind = self.tcp.read_u16().await?;
            let mut body = vec![0; length - 2];
            self.tcp.read_exact(&mut body).await?;
            ensure!(kind != ERROR, "the reflector says {}", String::from_utf8_lossy(&body));
            if kind == wanted {
                return Ok(body);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voice_is_found_and_nothing_else() {
        let datagram = [&[0, 101, 0, 1, 0, 9][..], &counted(b"abc")].concat();
        assert_eq!(spoken(&datagram), Some(&b"abc"[..]));
        assert_eq!(spoken(&[0, 1, 0, 1, 0, 9]), None);
    }
}
