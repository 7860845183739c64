//! Every datagram with voice that passes loopback to or from the relay, with the kernel's time of arrival.
//!
//! A packet socket with a filter, read by a thread of its own on the load's core. A socket for IPv4 alone sees each packet of
//! loopback once. The copy is made on the relay's core, which costs some tenths of a microsecond a packet: processor time is
//! therefore never measured while this runs. Needs root.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// UDP payloads from this length on carry voice, if frames are no shorter: acknowledgements, heartbeats and pings stay below 50.
const VOICE_MIN_BYTES: u32 = 60;
/// Head of IPv4 without options, and of UDP.
const IP_BYTES: usize = 20;
const UDP_BYTES: u32 = 8;
/// So much of each packet is wanted.
const SNAP_BYTES: u32 = 64;
const ETH_P_IP: u16 = 0x0800;
/// Room for packets that wait for the thread.
const BUFFER_BYTES: usize = 64 << 20;
/// How often the thread looks whether it shall end.
const LOOK: Duration = Duration::from_millis(50);

/// A datagram with voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Kernel's time of arrival, in nanoseconds.
    pub(crate) at_ns: i64,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// Of UDP payload.
    pub(crate) bytes: u16,
}

/// A capture under way.
pub(crate) struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Packet>>>,
}

impl Capture {
    /// Begins.
    pub(crate) fn start(relay: SocketAddr) -> Result<Self> {
        let protocol = Protocol::from(i32::from(ETH_P_IP.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).context("no packet socket; run as root")?;
        setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &BUFFER_BYTES)?;
        setsockopt(&socket.as_fd(), sockopt::ReceiveTimestampns, &true)?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.attach_filter(&voice_of(relay.port()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Ok(Self { stop, thread: thread::spawn(move || read(&socket, &stopped)) })
    }

    /// Ends, and gives what passed.
    pub(crate) fn stop(self) -> Result<Vec<Packet>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the capture broke off"))?
    }
}

fn read(socket: &Socket, stop: &AtomicBool) -> Result<Vec<Packet>> {
    let mut packets = Vec::new();
    let mut space = cmsg_space!(TimeSpec);
    while !stop.load(Ordering::Relaxed) {
        let mut bytes = [0; SNAP_BYTES as usize];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let (length, time) = match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()) {
            Ok(message) => (message.bytes, message.cmsgs()?.find_map(time_of)),
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(error) => return Err(error).context("capture"),
        };
        let (from, to, bytes) = ends(&bytes[..length]).context("a packet that the filter should have kept away")?;
        packets.push(Packet { at_ns: time.context("a packet without time")?, from, to, bytes });
    }
    Ok(packets)
}

fn time_of(message: ControlMessageOwned) -> Option<i64> {
    let ControlMessageOwned::ScmTimestampns(time) = message else { return None };
    Some(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}

/// Source, destination and length of payload of a packet that begins with its IP head, without options.
fn ends(packet: &[u8]) -> Option<(SocketAddr, SocketAddr, u16)> {
    let end = |address: usize, port: usize| {
        let octets: [u8; 4] = packet.get(address..address + 4)?.try_into().ok()?;
        let port: [u8; 2] = packet.get(port..port + 2)?.try_into().ok()?;
        Some(SocketAddr::from((Ipv4Addr::from(octets), u16::from_be_bytes(port))))
    };
    let length: [u8; 2] = packet.get(IP_BYTES + 4..IP_BYTES + 6)?.try_into().ok()?;
    Some((end(12, IP_BYTES)?, end(16, IP_BYTES + 2)?, u16::from_be_bytes(length).saturating_sub(UDP_BYTES as u16)))
}

/// Lets UDP of that port pass that is long enough for voice.
fn voice_of(port: u16) -> [SockFilter; 12] {
    // Classic BPF: load a byte or half word at a place, jump if equal or not less, return how much to keep.
    const BYTE: u16 = 0x30;
    const HALF: u16 = 0x28;
    const EQUAL: u16 = 0x15;
    const AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let load = |code, at| SockFilter::new(code, 0, 0, at);
    let ip = IP_BYTES as u32;
    [
        load(BYTE, 0),
        SockFilter::new(EQUAL, 0, 9, 0x45),
        load(BYTE, 9),
        SockFilter::new(EQUAL, 0, 7, 17),
        load(HALF, ip + 4),
        SockFilter::new(AT_LEAST, 0, 5, UDP_BYTES + VOICE_MIN_BYTES),
        load(HALF, ip),
        SockFilter::new(EQUAL, 2, 0, u32::from(port)),
        load(HALF, ip + 2),
        SockFilter::new(EQUAL, 0, 1, u32::from(port)),
        SockFilter::new(RETURN, 0, 0, SNAP_BYTES),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_off_the_heads() {
        let mut packet = [0; 28];
        packet[12..20].copy_from_slice(&[127, 0, 0, 1, 127, 10, 3, 1]);
        packet[20..26].copy_from_slice(&[0x1b, 0x59, 0x9c, 0x40, 0, 108]);
        let (from, to, bytes) = ends(&packet).unwrap();
        assert_eq!((from.to_string(), to.to_string(), bytes), ("127.0.0.1:7001".into(), "127.10.3.1:40000".into(), 100));
        assert_eq!(ends(&packet[..22]), None);
    }
}
