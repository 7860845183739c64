//! Dialling the peers: one task per peer with an address, which keeps a session with it whoever made that.
//!
//! Ends where accepting ends: a [`NewLink`] for the driver. A peer is dialled from the peer port of its IP version, so that it
//! sees the address it knows; without such a port from a socket that only dials.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};
use transport::backoff::Backoff;
use transport::clock::Clock;
use transport::config::Port;
use transport::endpoint::{BindError, Dialer, Expect};
use transport::identity::OwnIdentity;
use transport::keys::Keys;
use transport::sockets::Sockets;
use transport::trust::SharedTrust;
use wire::{Identity, Reason};

use crate::config::Config;
use crate::driver::Input;
use crate::link::NewLink;
use crate::redact::Redactor;

/// Longest wait for an answer of a peer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// A session that lasted so long was a good one: the back-off starts anew after it.
const GOOD_SESSION: Duration = Duration::from_secs(5);
/// Where both sides have an address the lower identity dials; the other waits so long before it tries too. It waits also
/// where it alone has an address, for it cannot know that, and at every fall: the lower one notices the same fall up to
/// 1.7 s later, and a session made before that would supersede, or be superseded by, the one that it then makes.
const YIELD: Duration = Duration::from_secs(2);

/// Where the session with a peer stands, told by the driver to the dialling task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// No session; not to be dialled before the moment, if one is given.
    Down(Option<std::time::Instant>),
    /// A session exists or is being made.
    Up,
}

/// What a socket for dialling is made of.
#[derive(Debug)]
pub(crate) struct Means {
    pub(crate) sockets: Arc<dyn Sockets>,
    pub(crate) own: OwnIdentity,
    pub(crate) trust: SharedTrust,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
}

impl Means {
    fn dialer(&self, to: SocketAddr) -> Result<Dialer, BindError> {
        let any = if to.is_ipv4() { SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)) } else { SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)) };
        let (trust, clock) = (Arc::clone(&self.trust), Arc::clone(&self.clock));
        Dialer::bind(self.sockets.as_ref(), any, Port::Peers, self.own.clone(), trust, &self.keys, clock)
    }
}

/// The dialling tasks, and the sockets that they dial from.
#[derive(Debug)]
pub(crate) struct Dialling {
    /// Of the peer ports, and those made for want of one.
    dialers: Vec<Dialer>,
    means: Means,
    /// Weak: a dialling task must not keep the driver's inputs open.
    inputs: mpsc::WeakSender<Input>,
    seed: u64,
    redactor: Redactor,
    tasks: BTreeMap<Identity, (SocketAddr, AbortHandle)>,
}

impl Dialling {
    /// Nobody is dialled yet; `dialers` are those of the peer ports.
    pub(crate) fn new(dialers: Vec<Dialer>, means: Means, inputs: mpsc::WeakSender<Input>, seed: u64, redactor: Redactor) -> Self {
        Self { dialers, means, inputs, seed, redactor, tasks: BTreeMap::new() }
    }

    /// Shows another certificate from the next handshake on.
    pub(crate) fn set_own_identity(&mut self, own: OwnIdentity) {
        for dialer in &self.dialers {
            dialer.set_own_identity(own.clone());
        }
        self.means.own = own;
    }

    /// Starts what is new, stops what is gone.
    pub(crate) fn renew(&mut self, config: &Config, peers: &mut BTreeMap<Identity, watch::Sender<PeerState>>) {
        let wanted: BTreeMap<Identity, SocketAddr> =
            config.peers.iter().filter_map(|peer| peer.address.map(|address| (peer.identity(), address))).collect();
        self.tasks.retain(|identity, (address, task)| {
            let stays = wanted.get(identity) == Some(address);
            if !stays {
                task.abort();
                peers.remove(identity);
            }
            stays
        });
        for (identity, address) in wanted {
            if self.tasks.contains_key(&identity) {
                continue;
            }
            let (Some(dialer), Some(inputs)) = (self.dialer(address, &identity), self.inputs.upgrade()) else { continue };
            let (state, watched) = watch::channel(PeerState::Down(None));
            peers.insert(identity.clone(), state);
            let (own, peer, redactor) = (config.gateway.clone(), identity.clone(), self.redactor.clone());
            let target = Target { dialer, address, own, peer, seed: self.seed, redactor };
            let task = tokio::spawn(dial(target, watched, inputs));
            self.seed = self.seed.wrapping_add(1);
            self.tasks.insert(identity, (address, task.abort_handle()));
        }
    }

    /// Where to dial an address from; bound now if no peer port has its IP version.
    fn dialer(&mut self, to: SocketAddr, peer: &Identity) -> Option<Dialer> {
        let fits = |dialer: &&Dialer| dialer.local_addr().is_ok_and(|local| local.is_ipv4() == to.is_ipv4());
        if let Some(dialer) = self.dialers.iter().find(fits) {
            return Some(dialer.clone());
        }
        match self.means.dialer(to) {
            Ok(dialer) => {
                self.dialers.push(dialer.clone());
                Some(dialer)
            }
            Err(why) => {
                warn!(peer = %self.redactor.identity(peer), %why, "no socket to dial from; the next reload tries again");
                None
            }
        }
    }

    /// Dials nobody from now on.
    pub(crate) fn stop(&mut self) {
        for (_, task) in self.tasks.values() {
            task.abort();
        }
        self.tasks.clear();
    }

    /// Ends every connection that was dialled, and waits until all have left.
    pub(crate) async fn close(&self, reason: Reason) {
        for dialer in &self.dialers {
            dialer.close(reason);
        }
        for dialer in &self.dialers {
            dialer.wait_idle().await;
        }
    }
}

/// A peer to be dialled.
#[derive(Debug)]
struct Target {
    /// From where.
    dialer: Dialer,
    /// To where.
    address: SocketAddr,
    /// Who dials.
    own: Identity,
    /// Who must answer.
    peer: Identity,
    /// Seed of the back-off's jitter.
    seed: u64,
    /// Hides the peer in the logs.
    redactor: Redactor,
}

/// Keeps a session with one peer: dials whenever there is none, with a jittered back-off.
async fn dial(target: Target, mut state: watch::Receiver<PeerState>, driver: mpsc::Sender<Input>) {
    let Target { dialer, address, own, peer, seed, redactor } = target;
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut backoff = Backoff::default();
    let mut last_failure = None;
    loop {
        let Ok(down) = state.wait_for(|state| matches!(state, PeerState::Down(_))).await.map(|state| *state) else { return };
        if let PeerState::Down(Some(held_until)) = down {
            sleep_until(Instant::from_std(held_until)).await;
        }
        if own > peer {
            match timeout(YIELD, came_up(&mut state)).await {
                Ok(true) => continue,
                Ok(false) => return,
                Err(_) => {}
            }
        }
        let dialled = tokio::select! {
            // A link that was made is told to the driver in the same turn; only then does the driver say up because of it.
            biased;
            dialled = connect(&dialer, address, &peer, &driver) => dialled,
            // The peer was first. To go on would end its session, and the call in it.
            up = came_up(&mut state) => if up { continue } else { return },
        };
        let failure = match dialled {
            Ok(()) => {
                let since = Instant::now();
                // The driver says up at once, and down when the session ends or was refused.
                if timeout(DIAL_TIMEOUT, came_up(&mut state)).await == Ok(false)
                    || state.wait_for(|state| matches!(state, PeerState::Down(_))).await.is_err()
                {
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

/// Waits until a session exists, at once if there is one; `false` when the driver has gone.
async fn came_up(state: &mut watch::Receiver<PeerState>) -> bool {
    state.wait_for(|state| *state == PeerState::Up).await.is_ok()
}

async fn connect(dialer: &Dialer, address: SocketAddr, peer: &Identity, driver: &mpsc::Sender<Input>) -> Result<(), Reason> {
    let connection = dialer.dial(address, Expect::Gateway(peer.clone()), DIAL_TIMEOUT).await?;
    let connected = Instant::now().into_std();
    let streams = connection.open_control().await?;
    let link = NewLink { connection, streams, dialled: true, port: Port::Peers, connected, waiting: None };
    driver.send(Input::Link(Box::new(link))).await.map_err(|_gone| Reason::ShuttingDown)
}
