//! Where UDP sockets come from: the operating system, or a simulated network.
//!
//! The lowest step of the data path. Everything above names only the trait [`Sockets`].

use std::fmt::{self, Debug};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};
use tracing::debug;

/// Size asked for the kernel's receive and send buffers, in bytes: about a second of a busy gateway's traffic, so that
/// a burst is not lost before QUIC sees it. The kernel may give less (`net.core.rmem_max`).
pub const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A source of UDP sockets and of the runtime that drives them.
pub trait Sockets: Send + Sync + Debug {
    /// Binds a socket to the address; port 0 lets the source choose.
    ///
    /// # Errors
    /// What the operating system says: the address is taken, not ours, or not allowed.
    fn bind(&self, addr: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>;

    /// The runtime that owns the timers and tasks of the sockets.
    fn runtime(&self) -> Arc<dyn Runtime>;
}

/// Sockets of the operating system; must be used inside a tokio runtime with I/O enabled.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsSockets;

impl Sockets for OsSockets {
    fn bind(&self, addr: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            // On a dual-stack socket quinn takes every NAT rebinding of an IPv4 unit for a new path and forgets RTT and window.
            socket.set_only_v6(true)?;
        }
        for (what, result) in
            [("receive", socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES)), ("send", socket.set_send_buffer_size(KERNEL_BUFFER_BYTES))]
        {
            if let Err(error) = result {
                debug!(%error, "kernel keeps its own {what} buffer size");
            }
        }
        socket.bind(&addr.into())?;
        #[cfg(target_os = "linux")]
        {
            socket.set_nonblocking(true)?;
            Ok(Arc::new(crate::marked::Socket::new(socket.into())?))
        }
        // Elsewhere voice goes without its mark.
        #[cfg(not(target_os = "linux"))]
        TokioRuntime.wrap_udp_socket(socket.into())
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(TokioRuntime)
    }
}

/// Sockets made by a closure, driven by tokio: how a simulated network stands in for the operating system.
pub struct BoundBy<F>(pub F);

impl<F> Debug for BoundBy<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundBy")
    }
}

impl<F: Fn(SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> + Send + Sync> Sockets for BoundBy<F> {
    fn bind(&self, addr: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        (self.0)(addr)
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(TokioRuntime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_ipv6_socket_leaves_the_ipv4_port_free() {
        let Ok(six) = OsSockets.bind("[::]:0".parse().unwrap()) else {
            return; // a machine without IPv6
        };
        let port = six.local_addr().unwrap().port();
        OsSockets.bind(format!("0.0.0.0:{port}").parse().unwrap()).expect("IPv4 bound beside IPv6");
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error() {
        let first = OsSockets.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(OsSockets.bind(first.local_addr().unwrap()).is_err());
    }
}
