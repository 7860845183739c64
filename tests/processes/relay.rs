//! A UDP relay that harms what passes: whoever dials its port believes to have dialled the far one.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::stage::ports;

/// How long a thread waits for a datagram before it looks whether the relay is still wanted.
const LOOK: Duration = Duration::from_millis(50);
/// No UDP datagram is larger.
const LARGEST: usize = 65_536;

/// What befalls one datagram of so many, at a random place among them: the share is exact, so a short run tells as much as
/// a long one with dice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    Lost(u32),
    /// One bit is turned over.
    Flipped(u32),
}

/// Where the datagrams are in their lot, and what has befallen them.
struct Fate {
    harm: Harm,
    /// Datagrams until the lot is over, and until the next harmed one.
    left: u32,
    until: Option<u32>,
    rng: SmallRng,
    passed: u64,
    harmed: u64,
}

impl Fate {
    /// Harms what passes; false if it is lost.
    fn decide(&mut self, datagram: &mut [u8]) -> bool {
        let (Harm::Lost(of) | Harm::Flipped(of)) = self.harm;
        if self.left == 0 {
            self.left = of;
            self.until = Some(self.rng.random_range(0..of));
        }
        self.left -= 1;
        self.passed += 1;
        let struck = self.until == Some(0);
        self.until = self.until.and_then(|until| until.checked_sub(1));
        self.harmed += u64::from(struck);
        match self.harm {
            Harm::Lost(_) => !struck,
            Harm::Flipped(_) => {
                if struck && !datagram.is_empty() {
                    let bit = self.rng.random_range(0..datagram.len() * 8);
                    datagram[bit / 8] ^= 1 << (bit % 8);
                }
                true
            }
        }
    }
}

/// Runs until it is dropped.
pub(crate) struct Relay {
    pub(crate) port: u16,
    fate: Arc<Mutex<Fate>>,
    over: Arc<AtomicBool>,
    front: Option<JoinHandle<()>>,
}

impl Relay {
    /// Relays between its own port, which it chooses, and that one.
    pub(crate) fn to(far: u16, harm: Harm) -> Self {
        let port = ports::free();
        let socket = Arc::new(bound(port));
        let rng = SmallRng::seed_from_u64(u64::from(port));
        let fate = Arc::new(Mutex::new(Fate { harm, left: 0, until: None, rng, passed: 0, harmed: 0 }));
        let over = Arc::<AtomicBool>::default();
        let (own_fate, own_over) = (Arc::clone(&fate), Arc::clone(&over));
        let front = thread::spawn(move || {
            let mut diallers = HashMap::new();
            forward(&socket, &own_fate, &own_over, |datagram, from| {
                let (back, _) = diallers.entry(from).or_insert_with(|| answers(from, &socket, &own_fate, &own_over));
                let _ = back.send_to(datagram, local(far));
            });
            for (_, reader) in diallers.into_values() {
                reader.join().expect("no panic");
            }
        });
        Self { port, fate, over, front: Some(front) }
    }

    /// From now on, this befalls what passes.
    pub(crate) fn set(&self, harm: Harm) {
        let mut fate = self.fate.lock().expect("no panic");
        (fate.harm, fate.left, fate.until) = (harm, 0, None);
    }

    /// Datagrams that came so far, and harmed ones among them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let fate = self.fate.lock().expect("no panic");
        (fate.passed, fate.harmed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // A panic of its thread has failed the test already, or nobody minds.
        let _ = self.front.take().map(JoinHandle::join);
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn bound(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind(local(port)).expect("a free port");
    socket.set_read_timeout(Some(LOOK)).expect("not zero");
    socket
}

/// A socket towards the far port for one dialler, and the thread that brings it the answers.
fn answers(
    dialler: SocketAddr,
    front: &Arc<UdpSocket>,
    fate: &Arc<Mutex<Fate>>,
    over: &Arc<AtomicBool>,
) -> (Arc<UdpSocket>, JoinHandle<()>) {
    let socket = Arc::new(bound(0));
    let (back, front, fate, over) = (Arc::clone(&socket), Arc::clone(front), Arc::clone(fate), Arc::clone(over));
    let reader = thread::spawn(move || {
        forward(&back, &fate, &over, |datagram, _| {
            let _ = front.send_to(datagram, dialler);
        });
    });
    (socket, reader)
}

/// Hands on what comes and is not lost, until the relay is dropped.
fn forward(socket: &UdpSocket, fate: &Mutex<Fate>, over: &AtomicBool, mut send: impl FnMut(&[u8], SocketAddr)) {
    let mut buffer = vec![0; LARGEST];
    while !over.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                let datagram = &mut buffer[..length];
                if fate.lock().expect("no panic").decide(datagram) {
                    send(datagram, from);
                }
            }
            // Nobody is at the far port right now, or nothing came.
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused),
                "the relay's socket: {error}"
            ),
        }
    }
}
