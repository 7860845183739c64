//! Countries over a simulated network, in a star around the first.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway::config::Config;
use gateway::gateway::{Controls, Gateway, Setup};
use gateway::office::Messages;
use gateway::records::{Record, Records};
use gateway::redact::Redactor;
use gateway::report::Reporter;
use gateway::status::{Status, StatusBoard};
use pki::{Authority, Issued, Kind, Lifetime, Request};
use store::{Ledger, Options};
use testkit::{Capture, Link, Net};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::Level;
use transport::clock::{self, Clock};
use transport::config::Port;
use transport::identity::OwnIdentity;
use transport::keys::Keys;
use transport::sockets::{BoundBy, Sockets};
use transport::trust::Trust;
use wire::Epoch;

use super::config::{GatewayToml, host_of, talkgroup_of};
use super::radio::{Footing, Radio};
use super::raw::{self, Raw};
use super::watch::{Rules, Watch};

/// How often the watch looks at every gateway.
const LOOK: Duration = Duration::from_millis(200);
/// Units end within this time once nobody holds them.
const GONE: Duration = Duration::from_secs(5);

/// The wall clock starts at the real time, for which the certificates are made, and then follows the virtual time.
fn start_unix_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// An authority with its gateway.
pub(crate) struct Country {
    /// Makes its certificates.
    pub(crate) authority: Authority,
    /// Its configuration.
    pub(crate) toml: GatewayToml,
    /// The running gateway.
    pub(crate) gateway: Option<Gateway>,
    /// What its status board shows.
    pub(crate) board: StatusBoard,
    /// Its call records.
    pub(crate) records: Arc<Mutex<Vec<Record>>>,
    /// The certificate its gateway runs with.
    pub(crate) certificate_pem: String,
    keys: Keys,
    /// The newest epoch in use, as it would lie in the state folder.
    epochs: watch::Receiver<Epoch>,
}

/// Countries, the network between them, and everybody's events.
pub(crate) struct World {
    /// The network.
    pub(crate) net: Net,
    /// By authority code.
    pub(crate) countries: BTreeMap<String, Country>,
    /// The invariants.
    pub(crate) watch: Arc<Mutex<Watch>>,
    /// What everybody logs: warnings to be read, errors fail the scene.
    pub(crate) log: Capture,
    /// Whether gateways that start from now on keep short data, each in a store that is gone with it.
    pub(crate) keeps_messages: bool,
    /// What hides names in the gateways' logs; here it hides none unless a test asks for it.
    pub(crate) redactor: Redactor,
    clock: Clock,
    home: String,
    sentry: JoinHandle<()>,
    first_seed: u64,
    seed: u64,
    hosts: u16,
    rebinds: u16,
}

impl World {
    /// Countries of which nobody runs yet; the first is the home of a bridge with each of the others.
    pub(crate) fn of(seed: u64, codes: &[&str]) -> Self {
        let (net, log) = (Net::new(seed), Capture::start(Level::WARN));
        net.set_default(Link::delayed(Duration::from_millis(2)));
        let watch = Arc::new(Mutex::new(Watch::new(net.clone())));
        let country = |code: &&str| Country {
            authority: Authority::generate(code).expect("a valid name"),
            toml: GatewayToml::usual(code, codes[0], codes),
            gateway: None,
            board: StatusBoard::default(),
            records: Arc::default(),
            certificate_pem: String::new(),
            keys: Keys::simulated(seed ^ u64::from(code.as_bytes()[0])),
            epochs: watch::channel(Epoch(0)).1,
        };
        let countries: BTreeMap<String, Country> = codes.iter().map(|code| ((*code).to_owned(), country(code))).collect();
        let boards = countries.iter().map(|(code, country)| (code.clone(), country.board.clone())).collect();
        let sentry = tokio::spawn(look(Arc::clone(&watch), boards));
        let clock = clock::following_tokio(start_unix_s());
        let redactor = Redactor::new(true);
        Self {
            net,
            countries,
            watch,
            log,
            keeps_messages: false,
            redactor,
            clock,
            home: codes[0].into(),
            sentry,
            first_seed: seed,
            seed,
            hosts: 0,
            rebinds: 0,
        }
    }

    /// Starts every gateway and waits until every bridge is active.
    pub(crate) async fn start_all(&mut self) {
        for code in self.codes() {
            self.start(&code);
        }
        self.until("every bridge is active", Self::is_whole).await;
        self.watch().rules = Rules { home: Some(self.home.clone()), onward: self.passes_on(), ..Rules::default() };
    }

    /// Lets what is under way happen, joins every task, and returns what broke.
    pub(crate) async fn finish(mut self) -> Vec<String> {
        sleep(LOOK).await;
        let dead = |country: &Country| country.gateway.as_ref().is_some_and(Gateway::has_ended);
        for (code, _) in self.countries.iter().filter(|(_, country)| dead(country)) {
            self.watch().breach(&format!("the gateway of {code} has ended by itself"));
        }
        for country in self.countries.values_mut() {
            if let Some(gateway) = country.gateway.take() {
                gateway.kill();
            }
        }
        let tasks = std::mem::take(&mut self.watch().tasks);
        for task in tasks {
            match timeout(GONE, task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.is_cancelled() => {}
                Ok(Err(error)) => self.watch().breach(&format!("a listener broke off: {error}")),
                Err(_) => self.watch().breach("a unit does not end"),
            }
        }
        if self.sentry.is_finished() {
            self.watch().breach("the sentry broke off");
        }
        let errors = self.log.take_errors();
        let mut watch = self.watch();
        errors.iter().for_each(|line| watch.breach(&format!("logged as an error: {line}")));
        watch.take_breaches()
    }

    /// The watch; nothing panics while it is held.
    pub(crate) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every country's code.
    pub(crate) fn codes(&self) -> Vec<String> {
        self.countries.keys().cloned().collect()
    }

    /// A country.
    pub(crate) fn country(&mut self, code: &str) -> &mut Country {
        self.countries.get_mut(code).expect("a country of this world")
    }

    // === Agreements ===

    /// Lets the home pass on what each partner says to every other, by the words of all sides.
    pub(crate) fn consent_onward(&mut self) {
        let (home, codes) = (self.home.clone(), self.codes());
        for partner in codes.iter().filter(|code| **code != home) {
            let third: Vec<String> = codes.iter().filter(|code| **code != home && *code != partner).cloned().collect();
            for (code, peer) in [(&home, partner), (partner, &home)] {
                if let Some(bridge) = &mut self.country(code).toml.peer(peer).bridge {
                    bridge.onward.clone_from(&third);
                }
            }
        }
    }

    fn passes_on(&self) -> bool {
        self.countries.values().flat_map(|c| &c.toml.peers).all(|p| p.bridge.as_ref().is_some_and(|b| !b.onward.is_empty()))
    }

    // === Certificates and configuration ===

    /// Issues a certificate; the lifetime counts from the real time.
    pub(crate) fn issue(&self, code: &str, kind: Kind, name: &str) -> Issued {
        let request = Request::new(kind, name).agency("police").alias(format!("{code} {name}")).lifetime(Lifetime::days(90));
        self.countries[code].authority.issue(&request).expect("a valid request")
    }

    /// The wall clock of this world.
    pub(crate) fn unix_s(&self) -> u64 {
        self.clock.current_time().expect("after 1970").as_secs()
    }

    /// What the gateway of a country trusts: its own units, and the gateways of its peers.
    pub(crate) fn trust_of(&self, code: &str) -> Trust {
        let toml = &self.countries[code].toml;
        let peers = toml.peers.iter().map(|peer| (peer.authority.as_str(), false));
        let mut builder = Trust::builder();
        for (other, is_own) in peers.chain([(toml.authority.as_str(), true)]) {
            let country = &self.countries[other];
            let (root, list) = (country.authority.root_pem().as_bytes(), country.authority.revoked_pem().as_bytes());
            builder = builder.authority(other.parse().expect("a code"), root, Some(list), is_own, !is_own).expect("valid PEM");
        }
        builder.build()
    }

    /// The validated configuration of a country.
    pub(crate) fn config_of(&self, code: &str) -> Config {
        Config::from_text(Path::new("/test/gateway.toml"), &self.countries[code].toml.text(), false).expect("a valid configuration").config
    }

    fn identity_of(&self, code: &str) -> (OwnIdentity, String) {
        let issued = self.issue(code, Kind::Gateway, "gw-1");
        let own = OwnIdentity::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes()).expect("valid PEM");
        (own, issued.certificate_pem().to_owned())
    }

    fn sockets(&self, ip: IpAddr) -> Arc<dyn Sockets> {
        let host = self.net.host(ip);
        Arc::new(BoundBy(move |addr| host.bind(addr)))
    }

    // === Gateways ===

    /// Starts (or, after a kill, restarts) a country's gateway.
    pub(crate) fn start(&mut self, code: &str) {
        let config = self.config_of(code);
        let (own, certificate_pem) = self.identity_of(code);
        let (trust, sockets, clock) = (self.trust_of(code), self.sockets(ip(code)), Arc::clone(&self.clock));
        self.seed = self.seed.wrapping_add(1);
        let (seed, redactor, keeps_messages) = (self.seed, self.redactor.clone(), self.keeps_messages);
        let country = self.country(code);
        country.certificate_pem = certificate_pem;
        let epoch = country.epochs.borrow().next();
        let (records, kept) = Records::sink_for_tests();
        let before = std::mem::take(&mut *country.records.lock().expect("no panic"));
        kept.lock().expect("no panic").extend(before);
        country.records = kept;
        let (reporter, epochs) = Reporter::new(config.gateway.clone(), records, country.board.clone(), redactor, Arc::clone(&clock), epoch);
        country.epochs = epochs;
        let messages = keeps_messages.then(|| Messages::over(Ledger::in_memory(Options::default()).expect("memory")));
        let setup = Setup { config, own, trust, keys: country.keys.reseeded(seed), epoch, sockets, clock, seed, reporter, messages };
        country.gateway = Some(Gateway::start(setup).expect("free addresses"));
        self.watch().gateway(code, true);
    }

    /// SIGKILL: nothing is said to anybody, and the addresses are free again.
    pub(crate) fn kill(&mut self, code: &str) {
        if let Some(gateway) = self.country(code).gateway.take() {
            gateway.kill();
        }
        self.net.kill(ip(code));
        self.watch().gateway(code, false);
    }

    /// SIGTERM: the gateway says farewell and ends.
    pub(crate) async fn drain(&mut self, code: &str) {
        self.controls(code).drain().await;
        self.country(code).gateway = None;
        self.watch().gateway(code, false);
    }

    /// Puts a country's (changed) configuration in force.
    pub(crate) async fn reload(&self, code: &str) {
        let (own, _) = self.identity_of(code);
        self.controls(code).apply(self.config_of(code), self.trust_of(code), own).await;
    }

    /// The controls of a running gateway.
    pub(crate) fn controls(&self, code: &str) -> Controls {
        self.countries[code].gateway.as_ref().expect("a running gateway").controls()
    }

    /// Cuts the border between nl and be, both ways.
    pub(crate) fn cut(&self) {
        self.net.cut(ip("nl"), ip("be"));
    }

    /// Heals it.
    pub(crate) fn heal(&self) {
        self.net.heal(ip("nl"), ip("be"));
    }

    /// A unit's NAT gives it another port from now on, and forgets the one before.
    pub(crate) fn rebind(&mut self, radio: &Radio) {
        self.rebinds += 1;
        // The first port that a simulated host hands out is the one a unit dials from.
        let [dialled, seen] = [49_152, 20_000 + self.rebinds].map(|port| SocketAddr::new(radio.host, port));
        self.net.map_nat(dialled, seen);
        self.watch().rebound(radio.number);
    }

    // === Units and attackers ===

    /// A unit of a country that logs in at its gateway and joins its talkgroup.
    pub(crate) async fn radio(&mut self, code: &str, name: &str) -> Radio {
        self.radio_in(&talkgroup_of(code), name).await
    }

    /// A unit of a talkgroup's country that logs in at its gateway and joins it.
    pub(crate) async fn radio_in(&mut self, talkgroup: &str, name: &str) -> Radio {
        let code = talkgroup.split('/').next().expect("a code");
        let issued = self.issue(code, Kind::Unit, name);
        let radio = self.radio_on(&issued, &format!("{}:7001", host_of(code)), talkgroup);
        radio.joined().await;
        radio
    }

    /// A unit with any certificate, dialling any gateway's unit port.
    pub(crate) fn radio_with(&mut self, code: &str, issued: &Issued, gateway: &str) -> Radio {
        self.radio_at(code, issued, &format!("{gateway}:7001"))
    }

    /// A unit with any certificate, dialling any port.
    pub(crate) fn radio_at(&mut self, code: &str, issued: &Issued, gateway: &str) -> Radio {
        self.radio_on(issued, gateway, &talkgroup_of(code))
    }

    fn radio_on(&mut self, issued: &Issued, gateway: &str, talkgroup: &str) -> Radio {
        let host = self.new_host();
        let mut trust = Trust::builder();
        for (other, country) in &self.countries {
            let root = country.authority.root_pem().as_bytes();
            trust = trust.authority(other.parse().expect("a code"), root, None, true, false).expect("valid PEM");
        }
        let footing =
            Footing { host, sockets: self.sockets(host), clock: Arc::clone(&self.clock), seed: self.seed, watch: Arc::clone(&self.watch) };
        Radio::start(issued, gateway, trust.build(), talkgroup, footing)
    }

    /// A bare connection of a unit to a country's unit port.
    pub(crate) async fn raw(&mut self, code: &str, name: &str) -> Raw {
        Raw::dial(self, Port::Units, code, Kind::Unit, name, code).await
    }

    /// A bare connection to a country's peer port, with a valid certificate of a gateway of another country.
    pub(crate) async fn raw_peer(&mut self, own: &str, gateway: &str) -> Raw {
        Raw::dial(self, Port::Peers, own, Kind::Gateway, "gw-1", gateway).await
    }

    /// What an attacker stands on: anywhere, or in the network of a country's gateway, whose peers would not hear it otherwise.
    pub(super) fn attacker(&mut self, near: Option<&str>) -> raw::Footing {
        let mut host = self.new_host();
        if let (Some(IpAddr::V4(gateway)), IpAddr::V4(own)) = (near.map(ip), host) {
            let ([a, b, c, _], [.., d]) = (gateway.octets(), own.octets());
            host = IpAddr::from([a, b, c, d | 0x80]);
        }
        (self.sockets(host), Arc::clone(&self.clock), self.seed)
    }

    /// The address of a host that is not used yet.
    pub(crate) fn new_host(&mut self) -> IpAddr {
        self.hosts += 1;
        self.seed = self.seed.wrapping_add(1);
        let [high, low] = self.hosts.to_be_bytes();
        IpAddr::from([10, 1, high, low])
    }

    // === What gateways show ===

    /// The newest status of a country's gateway.
    pub(crate) fn status(&self, code: &str) -> Arc<Status> {
        self.countries[code].board.newest()
    }

    /// The state of a country's first bridge, as `/status` words it.
    pub(crate) fn bridge_state(&self, code: &str) -> String {
        self.bridge_states(code).into_iter().next().unwrap_or_default()
    }

    /// The states of all its bridges.
    pub(crate) fn bridge_states(&self, code: &str) -> Vec<String> {
        let word = |bridge: &gateway::status::BridgeStatus| serde_json::to_value(bridge.state).expect("a word");
        self.status(code).bridges.iter().map(|bridge| word(bridge).as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Whether every bridge of every country is active.
    pub(crate) fn is_whole(&self) -> bool {
        self.countries.keys().all(|code| {
            let states = self.bridge_states(code);
            !states.is_empty() && states.iter().all(|state| state == "active")
        })
    }

    /// Who talks in a country's talkgroup, as its gateway sees it.
    pub(crate) fn talker(&self, code: &str) -> Option<String> {
        self.status(code).floors.first().and_then(|floor| floor.talker.clone())
    }

    /// Call records of a country.
    pub(crate) fn records(&self, code: &str) -> Vec<Record> {
        self.countries[code].records.lock().expect("no panic").clone()
    }

    /// Waits in virtual time until the condition holds; panics after 30 s.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..3_000 {
            if condition(self) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 30 s: {what}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.sentry.abort();
        if std::thread::panicking() {
            let breaches = self.watch().take_breaches();
            let _ = writeln!(std::io::stderr(), "seed {}; broken before: {breaches:#?}", self.first_seed);
        }
    }
}

/// Shows the watch every gateway, now and then, for as long as the world lasts.
async fn look(watch: Arc<Mutex<Watch>>, boards: BTreeMap<String, StatusBoard>) {
    loop {
        sleep(LOOK).await;
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        for (code, board) in &boards {
            watch.status(code, &board.newest());
        }
        watch.tick();
    }
}

/// The address of a country's gateway.
pub(crate) fn ip(code: &str) -> IpAddr {
    host_of(code).parse().expect("an address")
}
