//! The face the simulated network shows to quinn: everything that depends on quinn 0.11's socket trait, and nothing else.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::net::{Net, Polled, SocketId};

/// A bound address; dropping it frees the address.
pub(crate) struct Socket {
    net: Net,
    id: SocketId,
    addr: SocketAddr,
    due: Mutex<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(crate) fn new(net: Net, id: SocketId, addr: SocketAddr) -> Self {
        Self { net, id, addr, due: Mutex::new(Box::pin(sleep_until(Instant::now()))) }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.net.unbind(self.addr, self.id);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.addr).finish()
    }
}

/// A simulated socket can always be written to; what is too much is dropped on the way.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for packet in transmit.contents.chunks(segment) {
            self.net.send(self.addr, self.id, transmit.destination, packet);
        }
        Ok(())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        for (buf, meta) in bufs.iter_mut().zip(meta.iter_mut()) {
            match self.net.poll(self.addr, self.id, cx.waker()) {
                Polled::Packet { from, data } => {
                    let len = data.len().min(buf.len());
                    buf[..len].copy_from_slice(&data[..len]);
                    *meta = RecvMeta { addr: from, len, stride: len, ecn: None, dst_ip: None };
                    filled += 1;
                }
                Polled::Nothing { .. } if filled > 0 => break,
                Polled::Nothing { next } => {
                    if let Some(at) = next {
                        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
                        due.as_mut().reset(at);
                        if due.as_mut().poll(cx).is_ready() {
                            cx.waker().wake_by_ref();
                        }
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(filled))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}
