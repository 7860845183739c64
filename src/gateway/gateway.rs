//! A running gateway inside a tokio runtime: binds the ports, starts the driver, hands out the controls.
//!
//! Startup order, and why: ports are bound before anything dials, so that a peer that answers at once finds its way
//! back; the driver runs before the accept loops, so that the first caller has somebody to talk to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use transport::clock::Clock;
use transport::config::Port;
use transport::endpoint::{BindError, Endpoint};
use transport::identity::OwnIdentity;
use transport::keys::Keys;
use transport::sockets::Sockets;
use transport::trust::{SharedTrust, Trust};
use wire::Epoch;

use crate::config::Config;
use crate::dialling::{Dialling, Means};
use crate::driver::{Driver, INPUTS_MAX, Input};
use crate::office::Messages;
use crate::ports;
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
    /// What keeps short data; without it none is taken.
    pub messages: Option<Messages>,
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
        let Setup { config, own, trust, keys, epoch, sockets, clock, seed, reporter, messages } = setup;
        let (trust, redactor) = (trust.shared(), reporter.redactor().clone());
        let bind = |port, address: &SocketAddr| {
            Endpoint::bind(sockets.as_ref(), *address, port, own.clone(), Arc::clone(&trust), &keys, Arc::clone(&clock))
        };
        let units = config.listen.units.iter().map(|address| bind(Port::Units, address));
        let peers = config.listen.peers.iter().map(|address| bind(Port::Peers, address));
        let endpoints: Vec<Endpoint> = units.chain(peers).collect::<Result<_, _>>()?;
        hear_neighbours(&endpoints, &config);

        let (inputs, driver_inputs) = mpsc::channel(INPUTS_MAX);
        let dialers = endpoints.iter().filter(|endpoint| endpoint.port() == Port::Peers).map(Endpoint::dialer).collect();
        let means = Means { sockets, own: own.clone(), trust: Arc::clone(&trust), keys, clock: Arc::clone(&clock) };
        let dialling = Dialling::new(dialers, means, inputs.downgrade(), seed, redactor);
        let driver = Driver::new(config, epoch, Arc::clone(&trust), clock, reporter, endpoints.clone(), dialling);
        let driver = tokio::spawn(driver.run(driver_inputs, messages.map(|messages| (messages, own))));
        let accepting =
            endpoints.iter().map(|endpoint| tokio::spawn(ports::accept(endpoint.clone(), inputs.clone())).abort_handle()).collect();
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

    /// Whether the driver has ended: drained, or broken off.
    pub fn has_ended(&self) -> bool {
        self.driver.is_finished()
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
        hear_neighbours(&self.endpoints, &config);
        // A gateway that has ended needs no new configuration.
        let _ = self.inputs.send(Input::Apply(Box::new((config, own)))).await;
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

/// Where every peer has an address, a caller from elsewhere is none of them, and the peer ports are deaf to it.
fn hear_neighbours(endpoints: &[Endpoint], config: &Config) {
    let known: Option<Vec<IpAddr>> = config.peers.iter().map(|peer| peer.address.map(|address| address.ip())).collect();
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.port() == Port::Peers) {
        endpoint.set_neighbours(known.as_deref());
    }
}
