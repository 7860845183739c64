//! A running gateway inside a tokio runtime: binds the ports, starts the driver, hands out the controls.
//!
//! Startup order, and why: ports are bound before anything dials, so that a peer that answers at once finds its way
//! back; the driver runs before the accept loops, so that the first caller has somebody to talk to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use transport::clock::Clock;
use transport::config::Port;
use transport::endpoint::{BindError, Endpoint};
use transport::identity::OwnIdentity;
use transport::keys::Keys;
use transport::sockets::Sockets;
use transport::trust::{SharedTrust, Trust};
use wire::{Epoch, Identity};

use crate::config::Config;
use crate::driver::{Driver, INPUTS_MAX, Input};
use crate::ports::{self, PeerState, Target};
use crate::redact::Redactor;
use crate::report::Reporter;

/// Everything a gateway needs to start; what lies in files has been read.
#[derive(Debug)]
pub struct Setup {
    /// The validated configuration.
    pub config: Config,
    /// Own certificate and key.
    pub own: OwnIdentity,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Persisted reset and connection-id keys.
    pub keys: Keys,
    /// An epoch above every one used before.
    pub epoch: Epoch,
    /// Where sockets come from.
    pub sockets: Arc<dyn Sockets>,
    /// The wall clock for certificates and agreements.
    pub clock: Clock,
    /// Seed of the back-off's jitter.
    pub seed: u64,
    /// Where records and status go.
    pub reporter: Reporter,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    inputs: mpsc::Sender<Input>,
    trust: SharedTrust,
    endpoints: Vec<Endpoint>,
    driver: JoinHandle<()>,
    accepting: Vec<AbortHandle>,
}

impl Gateway {
    /// Binds every port and starts; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] naming the address: the operator's to mend.
    pub fn start(setup: Setup) -> Result<Self, BindError> {
        let Setup { config, own, trust, keys, epoch, sockets, clock, seed, reporter } = setup;
        let trust = trust.shared();
        let bind = |port, address: &SocketAddr| {
            let endpoint = Endpoint::bind(sockets.as_ref(), *address, port, own.clone(), Arc::clone(&trust), &keys, Arc::clone(&clock))?;
            Ok::<_, BindError>((port, endpoint))
        };
        let units = config.listen.units.iter().map(|address| bind(Port::Units, address));
        let peers = config.listen.peers.iter().map(|address| bind(Port::Peers, address));
        let bound: Vec<(Port, Endpoint)> = units.chain(peers).collect::<Result<_, _>>()?;

        let (inputs, driver_inputs) = mpsc::channel(INPUTS_MAX);
        let endpoints: Vec<Endpoint> = bound.iter().map(|(_, endpoint)| endpoint.clone()).collect();
        let peer_endpoints = bound.iter().filter(|(port, _)| *port == Port::Peers).map(|(_, endpoint)| endpoint.clone()).collect();
        let redactor = reporter.redactor().clone();
        let dialling = Dialling { endpoints: peer_endpoints, inputs: inputs.downgrade(), seed, redactor, tasks: BTreeMap::new() };
        let driver = Driver::new(config, epoch, Arc::clone(&trust), clock, reporter, endpoints.clone(), dialling);
        let driver = tokio::spawn(driver.run(driver_inputs));
        let accepting =
            bound.into_iter().map(|(port, endpoint)| tokio::spawn(ports::accept(endpoint, port, inputs.clone())).abort_handle()).collect();
        Ok(Self { inputs, trust, endpoints, driver, accepting })
    }

    /// The controls, for another thread.
    pub fn controls(&self) -> Controls {
        Controls { inputs: self.inputs.clone(), trust: Arc::clone(&self.trust), endpoints: self.endpoints.clone() }
    }

    /// Waits until the driver has ended.
    pub async fn ended(self) {
        let _ = self.driver.await;
        for task in &self.accepting {
            task.abort();
        }
    }

    /// Ends at once, without a farewell: what a crash looks like to everybody else.
    pub fn kill(self) {
        self.driver.abort();
        for task in &self.accepting {
            task.abort();
        }
    }
}

/// What the operator's side can do to a running gateway.
#[derive(Clone, Debug)]
pub struct Controls {
    inputs: mpsc::Sender<Input>,
    trust: SharedTrust,
    endpoints: Vec<Endpoint>,
}

impl Controls {
    /// Controls of nobody: what they are told comes out at the other end.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> (Self, mpsc::Receiver<Input>) {
        let (inputs, told) = mpsc::channel(INPUTS_MAX);
        (Self { inputs, trust: Trust::default().shared(), endpoints: Vec::new() }, told)
    }

    /// Puts a new configuration, trust and certificate in force. Ports and state folder stay as they are.
    pub async fn apply(&self, config: Config, trust: Trust, own: OwnIdentity) {
        self.trust.store(Arc::new(trust));
        for endpoint in &self.endpoints {
            endpoint.set_own_identity(own.clone());
        }
        // A gateway that has ended needs no new configuration.
        let _ = self.inputs.send(Input::Apply(Box::new(config))).await;
    }

    /// Puts new trust in force, and ends the sessions it no longer covers.
    pub async fn apply_trust(&self, trust: Trust) {
        self.trust.store(Arc::new(trust));
        let _ = self.inputs.send(Input::Sweep).await;
    }

    /// Says farewell to every session and stops; returns when done.
    pub async fn drain(&self) {
        let (done, ended) = oneshot::channel();
        if self.inputs.send(Input::Drain(done)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

/// The dialling tasks, one per peer with an address.
#[derive(Debug)]
pub(crate) struct Dialling {
    endpoints: Vec<Endpoint>,
    /// Weak: a dialling task must not keep the driver's inputs open.
    inputs: mpsc::WeakSender<Input>,
    seed: u64,
    redactor: Redactor,
    tasks: BTreeMap<Identity, (SocketAddr, AbortHandle)>,
}

impl Dialling {
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
            let endpoint = self.endpoints.iter().find(|e| e.local_addr().is_ok_and(|local| local.is_ipv4() == address.is_ipv4()));
            let (Some(endpoint), Some(inputs)) = (endpoint, self.inputs.upgrade()) else { continue };
            if self.tasks.contains_key(&identity) {
                continue;
            }
            let (state, watched) = watch::channel(PeerState::Down(None));
            peers.insert(identity.clone(), state);
            let own = config.gateway.clone();
            let (endpoint, peer, redactor) = (endpoint.clone(), identity.clone(), self.redactor.clone());
            let target = Target { endpoint, address, own, peer, seed: self.seed, redactor };
            let task = tokio::spawn(ports::dial(target, watched, inputs));
            self.seed = self.seed.wrapping_add(1);
            self.tasks.insert(identity, (address, task.abort_handle()));
        }
    }

    pub(crate) fn stop(&mut self) {
        for (_, task) in self.tasks.values() {
            task.abort();
        }
        self.tasks.clear();
    }
}
