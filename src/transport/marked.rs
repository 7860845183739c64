//! A UDP socket of Linux whose packets carry the mark of voice.
//!
//! Below quinn. Receiving is quinn-udp's; sending is our own, because quinn-udp writes the TOS byte of every packet, and writes the
//! two ECN bits alone: a mark set on the socket never reaches the wire. The ECN bits stay 0: our congestion controller does not
//! answer single marks, so it must not ask for them.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use socket2::{MsgHdr, SockAddr, SockRef};
use tokio::io::Interest;
use tracing::debug;

/// Expedited forwarding (DSCP 46), for everything on a socket that carries voice: what is not voice there must not be overtaken by it.
const TOS: i32 = 46 << 2;

/// Of `linux/in.h` and `linux/in6.h`.
const IPPROTO_IP: i32 = 0;
const IP_TOS: i32 = 1;
const IP_PKTINFO: i32 = 8;
const IPPROTO_IPV6: i32 = 41;
const IPV6_PKTINFO: i32 = 50;
const IPV6_TCLASS: i32 = 67;

/// See the module.
#[derive(Debug)]
pub(crate) struct Socket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
}

impl Socket {
    /// Takes over a bound socket; inside a tokio runtime.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self { state: UdpSocketState::new((&socket).into())?, io: tokio::net::UdpSocket::from_std(socket)? })
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { socket: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || send(SockRef::from(&self.io), transmit))
    }

    fn poll_recv(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            if let Ok(count) = self.io.try_io(Interest::READABLE, || self.state.recv((&self.io).into(), bufs, meta)) {
                return Poll::Ready(Ok(count));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }
}

/// Sends one packet. Only a full buffer is an error: a packet that the network refuses is a lost packet, which QUIC knows how to bear,
/// and an error would end the connection.
fn send(socket: SockRef<'_>, transmit: &Transmit<'_>) -> io::Result<()> {
    let (to, contents) = (SockAddr::from(transmit.destination), [IoSlice::new(transmit.contents)]);
    let control = Control::of(transmit);
    let message = MsgHdr::new().with_addr(&to).with_buffers(&contents).with_control(control.as_bytes());
    loop {
        match socket.sendmsg(&message, 0) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => {
                debug!(%error, "packet not sent");
                return Ok(());
            }
        }
    }
}

/// What the kernel is told beside the packet: its mark, and the address it leaves from, which a socket on all addresses does not know.
#[derive(Debug)]
struct Control {
    bytes: [u8; 64],
    used: usize,
}

impl Control {
    fn of(transmit: &Transmit<'_>) -> Self {
        let mut control = Self { bytes: [0; 64], used: 0 };
        let tos = TOS.to_ne_bytes();
        match transmit.destination {
            SocketAddr::V4(_) => control.push(IPPROTO_IP, IP_TOS, &[&tos]),
            SocketAddr::V6(_) => control.push(IPPROTO_IPV6, IPV6_TCLASS, &[&tos]),
        }
        // The interface is 0, any, in both; IPv4 has a second address, which counts only inward.
        match transmit.src_ip {
            Some(IpAddr::V4(from)) => control.push(IPPROTO_IP, IP_PKTINFO, &[&[0; 4], &from.octets(), &[0; 4]]),
            Some(IpAddr::V6(from)) => control.push(IPPROTO_IPV6, IPV6_PKTINFO, &[&from.octets(), &[0; 4]]),
            None => {}
        }
        control
    }

    /// Adds a `cmsghdr` and its data, padded to the size of a word.
    fn push(&mut self, level: i32, kind: i32, data: &[&[u8]]) {
        let word = size_of::<usize>();
        let length = word + 2 * size_of::<i32>() + data.iter().map(|part| part.len()).sum::<usize>();
        let mut rest = &mut self.bytes[self.used..];
        for part in [&length.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes()].iter().chain(data) {
            let (here, after) = std::mem::take(&mut rest).split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = after;
        }
        self.used += length.next_multiple_of(word);
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

/// Waits for room in the kernel's buffer. Each connection has its own: asked directly, a socket would wake only the last of them.
struct Writable {
    socket: Arc<Socket>,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, waiting } = &mut *self;
        let wait = waiting.get_or_insert_with(|| {
            let socket = Arc::clone(socket);
            Box::pin(async move { socket.io.writable().await })
        });
        let result = ready!(wait.as_mut().poll(cx));
        *waiting = None;
        Poll::Ready(result)
    }
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").field("socket", &self.socket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn transmit(destination: SocketAddr, src_ip: Option<IpAddr>) -> Transmit<'static> {
        Transmit { destination, ecn: None, contents: b"voice", segment_size: None, src_ip }
    }

    /// Sends to a socket of its own and says from where that has it.
    async fn sent(local: &str, from: Option<IpAddr>) -> Option<IpAddr> {
        let far = UdpSocket::bind(format!("{local}:0")).ok()?;
        far.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let any = if far.local_addr().unwrap().is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let near = UdpSocket::bind(any).unwrap();
        near.set_nonblocking(true).unwrap();
        let near = Arc::new(Socket::new(near).unwrap());
        let mut poller = Arc::clone(&near).create_io_poller();
        std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.unwrap();
        near.try_send(&transmit(far.local_addr().unwrap(), from)).unwrap();
        let mut read = [0; 16];
        let (length, from) = far.recv_from(&mut read).unwrap();
        assert_eq!(&read[..length], b"voice");
        Some(from.ip())
    }

    #[tokio::test]
    async fn the_kernel_takes_mark_and_source_address() {
        let from = IpAddr::from([127, 0, 0, 9]);
        assert_eq!(sent("127.0.0.1", None).await, Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(sent("127.0.0.1", Some(from)).await, Some(from), "the source address that was asked for");
        // A machine may be without IPv6.
        let six = IpAddr::from(Ipv6Addr::LOCALHOST);
        assert!([None, Some(six)].contains(&sent("[::1]", Some(six)).await));
    }

    #[tokio::test]
    async fn what_the_network_refuses_is_a_lost_packet() {
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        near.set_nonblocking(true).unwrap();
        let near = Socket::new(near).unwrap();
        near.io.writable().await.unwrap();
        near.try_send(&transmit("192.0.2.1:9".parse().unwrap(), None)).expect("no error, though loopback reaches nobody there");
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn the_mark_stands_first() {
        let control = Control::of(&transmit("[::1]:9".parse().unwrap(), Some(Ipv6Addr::LOCALHOST.into())));
        assert_eq!(control.as_bytes().len(), 24 + 40);
        assert_eq!(control.bytes[..8], 20_u64.to_ne_bytes());
        assert_eq!(control.bytes[8..20], [IPPROTO_IPV6, IPV6_TCLASS, 0xb8].map(i32::to_ne_bytes).concat()[..]);
    }
}
