//! The gateway's ports: accept loops, and one dialling task per peer with an address.
//!
//! Both end in the same place: a [`NewLink`] for the driver. Refused callers are told to the driver too, for the records.

use std::net::SocketAddr;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info};
use transport::backoff::Backoff;
use transport::config::Port;
use transport::endpoint::{Endpoint, Expect};
use wire::{Identity, Reason};

use crate::driver::Input;
use crate::link::NewLink;
use crate::redact::Redactor;

/// Longest wait for an answer of a peer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// A session that lasted so long was a good one: the back-off starts anew after it.
const GOOD_SESSION: Duration = Duration::from_secs(5);
/// Where both sides have an address the lower identity dials; the other waits so long before it tries too.
const YIELD: Duration = Duration::from_secs(2);

/// Where the session with a peer stands, told by the driver to the dialling task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// No session; not to be dialled before the moment, if one is given.
    Down(Option<std::time::Instant>),
    /// A session exists or is being made.
    Up,
}

/// Accepts callers on one port until it closes.
pub(crate) async fn accept(endpoint: Endpoint, port: Port, driver: mpsc::Sender<Input>) {
    while let Some(accepting) = endpoint.accept().await {
        let driver = driver.clone();
        tokio::spawn(async move {
            let from = accepting.remote_address();
            let input = match accepting.complete().await {
                Ok(connection) => match connection.accept_control().await {
                    Ok(streams) => Input::Link(Box::new(NewLink { connection, streams, dialled: false, port })),
                    Err(reason) => {
                        connection.close(reason);
                        Input::Refused { port, from, reason }
                    }
                },
                Err(reason) => Input::Refused { port, from, reason },
            };
            // Bounded; while the driver is that far behind, new callers wait.
            let _ = driver.send(input).await;
        });
    }
}

/// A peer to be dialled.
#[derive(Debug)]
pub(crate) struct Target {
    /// From where.
    pub(crate) endpoint: Endpoint,
    /// To where.
    pub(crate) address: SocketAddr,
    /// Who dials.
    pub(crate) own: Identity,
    /// Who must answer.
    pub(crate) peer: Identity,
    /// Seed of the back-off's jitter.
    pub(crate) seed: u64,
    /// Hides the peer in the logs.
    pub(crate) redactor: Redactor,
}

/// Keeps a session with one peer: dials whenever there is none, with a jittered back-off.
pub(crate) async fn dial(target: Target, mut state: watch::Receiver<PeerState>, driver: mpsc::Sender<Input>) {
    let Target { endpoint, address, own, peer, seed, redactor } = target;
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut backoff = Backoff::default();
    let mut last_failure = None;
    loop {
        let Ok(down) = state.wait_for(|state| matches!(state, PeerState::Down(_))).await.map(|state| *state) else { return };
        if let PeerState::Down(Some(held_until)) = down {
            sleep_until(Instant::from_std(held_until)).await;
        }
        if own > peer {
            let taken = timeout(YIELD, state.wait_for(|state| *state == PeerState::Up)).await;
            match taken {
                Ok(Ok(_)) => continue,
                Ok(Err(_)) => return,
                Err(_) => {}
            }
        }
        if *state.borrow() == PeerState::Up {
            continue;
        }
        let failure = match connect(&endpoint, address, &peer, &driver).await {
            Ok(()) => {
                let since = Instant::now();
                // The driver says up at once, and down when the session ends or was refused.
                let up = timeout(DIAL_TIMEOUT, state.wait_for(|state| *state == PeerState::Up)).await.map(|up| up.is_ok());
                if up == Ok(false) || state.wait_for(|state| matches!(state, PeerState::Down(_))).await.is_err() {
                    return;
                }
                if since.elapsed() >= GOOD_SESSION {
                    backoff.reset();
                }
                None
            }
            Err(reason) => Some(reason),
        };
        if failure != last_failure {
            match failure {
                Some(reason) => info!(peer = %redactor.identity(&peer), %reason, "peer cannot be reached, trying again"),
                None => debug!(peer = %redactor.identity(&peer), "session with peer ended"),
            }
            last_failure = failure;
        }
        sleep(backoff.next(&mut rng)).await;
    }
}

async fn connect(endpoint: &Endpoint, address: SocketAddr, peer: &Identity, driver: &mpsc::Sender<Input>) -> Result<(), Reason> {
    let connection = endpoint.dial(address, Expect::Gateway(peer.clone()), DIAL_TIMEOUT).await?;
    let streams = connection.open_control().await?;
    let link = NewLink { connection, streams, dialled: true, port: Port::Peers };
    driver.send(Input::Link(Box::new(link))).await.map_err(|_gone| Reason::ShuttingDown)
}
