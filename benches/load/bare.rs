//! The limit: a relay that does what no relay can do without, and its terminals.
//!
//! For each listener it seals 90 bytes with AES-128-GCM under a key of the listener's own and hands them to the kernel by one
//! `sendmsg`, all on one thread. No session, no acknowledgement, no floor, no order: whatever costs more than this is the price
//! of those. A packet is a head in clear (talkgroup and frame, padded to the 10 bytes of a short QUIC header), the text, the tag.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use nix::sys::socket::{MsgFlags, SockaddrIn, sendmsg};
use tokio::time::timeout;

use crate::crowd::{Heard, Joined, Mouth, Seat};

const HEAD_BYTES: usize = 10;
const TEXT_BYTES: usize = 90;
/// First byte of what a terminal sends: it wants to listen, then the talkgroup.
const LISTEN: u8 = 1;
/// It talks: then the payload.
const TALK: u8 = 2;
/// Time for an answer.
const ANSWER: Duration = Duration::from_secs(10);
const DATAGRAM_MAX_BYTES: usize = 1_024;

struct Listener {
    at: SockaddrIn,
    key: LessSafeKey,
    sent: u64,
}

/// Relays until it is ended.
pub(crate) fn run(port: u16) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut groups: HashMap<[u8; 2], Vec<Listener>> = HashMap::new();
    let mut bytes = [0; DATAGRAM_MAX_BYTES];
    loop {
        let (length, from) = socket.recv_from(&mut bytes)?;
        match bytes[..length].split_first() {
            Some((&LISTEN, &[high, low])) => {
                let SocketAddr::V4(from) = from else { continue };
                let key = UnboundKey::new(&AES_128_GCM, &[low; 16]).map(LessSafeKey::new)?;
                groups.entry([high, low]).or_default().push(Listener { at: from.into(), key, sent: 0 });
                socket.send_to(&[LISTEN], from)?;
            }
            Some((&TALK, payload)) if payload.len() >= 2 => {
                let listeners = groups.get_mut(&payload[..2]).map(Vec::as_mut_slice).unwrap_or_default();
                for listener in listeners {
                    listener.pass_on(&socket, payload)?;
                }
            }
            _ => {}
        }
    }
}

impl Listener {
    fn pass_on(&mut self, socket: &UdpSocket, payload: &[u8]) -> Result<()> {
        let mut packet = [0; HEAD_BYTES + TEXT_BYTES];
        let length = payload.len().min(TEXT_BYTES);
        packet[..6].copy_from_slice(payload.get(..6).context("no frame")?);
        packet[HEAD_BYTES..HEAD_BYTES + length].copy_from_slice(&payload[..length]);
        self.sent += 1;
        let mut nonce = [0; NONCE_LEN];
        nonce[4..].copy_from_slice(&self.sent.to_be_bytes());
        let (head, text) = packet.split_at_mut(HEAD_BYTES);
        let tag = self.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&*head), text)?;
        let parts = [IoSlice::new(&packet), IoSlice::new(tag.as_ref())];
        sendmsg(socket.as_raw_fd(), &parts, &[], MsgFlags::empty(), Some(&self.at))?;
        Ok(())
    }
}

/// Says that it listens, and waits for the answer.
pub(crate) async fn join(seat: &Seat) -> Result<Joined> {
    let socket = tokio::net::UdpSocket::bind(seat.local()).await?;
    socket.connect(seat.relay).await?;
    let at = socket.local_addr()?;
    let socket = Arc::new(socket);
    if seat.talks {
        socket.writable().await?;
        return Ok(Joined { at, mouth: Some(Box::new(Voicing(socket))) });
    }
    let [high, low] = seat.group.to_be_bytes();
    socket.send(&[LISTEN, high, low]).await?;
    timeout(ANSWER, socket.recv(&mut [0; 8])).await.context("no answer")??;
    tokio::spawn(live(socket, Arc::clone(&seat.heard)));
    Ok(Joined { at, mouth: None })
}

async fn live(socket: Arc<tokio::net::UdpSocket>, heard: Arc<Heard>) {
    let mut bytes = [0; DATAGRAM_MAX_BYTES];
    while let Ok(length) = socket.recv(&mut bytes).await {
        if length > HEAD_BYTES {
            heard.note(&bytes[..length]);
        }
    }
    heard.lose();
}

struct Voicing(Arc<tokio::net::UdpSocket>);

impl Mouth for Voicing {
    fn speak(&mut self, payload: &[u8]) -> io::Result<()> {
        self.0.try_send(&[&[TALK], payload].concat()).map(drop)
    }
}
