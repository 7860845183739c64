//! Two countries over a simulated network.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::config::Config;
use gateway::gateway::{Controls, Gateway, Setup};
use gateway::records::{Record, Records};
use gateway::redact::Redactor;
use gateway::report::Reporter;
use gateway::status::{Status, StatusBoard};
use pki::{Authority, Issued, Kind, Lifetime, Request};
use testkit::{Link, Net};
use transport::clock::{self, Clock};
use transport::config::Port;
use transport::endpoint::{Connection, Dialer, Expect};
use transport::identity::OwnIdentity;
use transport::keys::Keys;
use transport::sockets::{BoundBy, Sockets};
use transport::trust::Trust;
use wire::Epoch;
use wire::control::{Affiliated, Hello, Message};

use super::config::{GatewayToml, host_of};
use super::radio::Radio;
use super::watch::Watch;

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
    epoch: Epoch,
}

/// Two countries, the network between them, and everybody's events.
pub(crate) struct World {
    /// The network.
    pub(crate) net: Net,
    /// By authority code.
    pub(crate) countries: BTreeMap<String, Country>,
    /// The invariants.
    pub(crate) watch: Arc<Mutex<Watch>>,
    clock: Clock,
    seed: u64,
    hosts: u8,
}

impl World {
    /// Nobody runs yet. Prints the seed, so that a failure can be repeated.
    pub(crate) fn new(seed: u64) -> Self {
        writeln!(std::io::stderr(), "seed {seed}").expect("stderr");
        let net = Net::new(seed);
        net.set_default(Link::delayed(Duration::from_millis(2)));
        let mut world =
            Self { net, countries: BTreeMap::new(), watch: Arc::default(), clock: clock::following_tokio(start_unix_s()), seed, hosts: 10 };
        for code in ["nl", "be"] {
            let country = Country {
                authority: Authority::generate(code).expect("a valid name"),
                toml: GatewayToml::usual(code),
                gateway: None,
                board: StatusBoard::default(),
                records: Arc::default(),
                certificate_pem: String::new(),
                keys: Keys::simulated(seed ^ u64::from(code.as_bytes()[0])),
                epoch: Epoch(0),
            };
            world.countries.insert(code.to_owned(), country);
        }
        world
    }

    /// A world with both gateways running and the bridge active.
    pub(crate) async fn bridged(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.start("nl");
        world.start("be");
        world.until("the bridge is active", |world| world.bridge_state("be") == "active" && world.bridge_state("nl") == "active").await;
        world
    }

    /// A country.
    pub(crate) fn country(&mut self, code: &str) -> &mut Country {
        self.countries.get_mut(code).expect("nl or be")
    }

    /// Issues a certificate; the lifetime counts from the simulated start.
    pub(crate) fn issue(&self, code: &str, kind: Kind, name: &str) -> Issued {
        let request = Request::new(kind, name).agency("police").alias(format!("{code} {name}")).lifetime(Lifetime::days(90));
        self.countries[code].authority.issue(&request).expect("a valid request")
    }

    /// What the gateway of a country trusts, by its configuration's usual shape.
    pub(crate) fn trust_of(&self, code: &str) -> Trust {
        let own = &self.countries[code];
        let mut builder = Trust::builder();
        for (other, country) in &self.countries {
            let (root, list) = (country.authority.root_pem().as_bytes(), country.authority.revoked_pem().as_bytes());
            let is_own = *other == own.toml.authority;
            builder = builder.authority(other.parse().expect("a code"), root, Some(list), is_own, !is_own).expect("valid PEM");
        }
        builder.build()
    }

    /// The validated configuration of a country.
    pub(crate) fn config_of(&self, code: &str) -> Config {
        Config::from_text(Path::new("/test/gateway.toml"), &self.countries[code].toml.text(), false).expect("a valid configuration").config
    }

    fn sockets(&self, ip: &str) -> Arc<dyn Sockets> {
        let host = self.net.host(ip.parse().expect("an address"));
        Arc::new(BoundBy(move |addr| host.bind(addr)))
    }

    /// Starts (or, after a kill, restarts) a country's gateway.
    pub(crate) fn start(&mut self, code: &str) {
        let config = self.config_of(code);
        let issued = self.issue(code, Kind::Gateway, "gw-1");
        let own = OwnIdentity::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes()).expect("valid PEM");
        let (trust, sockets, clock) = (self.trust_of(code), self.sockets(host_of(code)), Arc::clone(&self.clock));
        self.seed = self.seed.wrapping_add(1);
        let seed = self.seed;
        let country = self.country(code);
        country.certificate_pem = issued.certificate_pem().to_owned();
        country.epoch = country.epoch.next();
        let (records, kept) = Records::sink_for_tests();
        let before = std::mem::take(&mut *country.records.lock().expect("no panic"));
        kept.lock().expect("no panic").extend(before);
        country.records = kept;
        let (reporter, _epochs) =
            Reporter::new(config.gateway.clone(), records, country.board.clone(), Redactor::new(true), Arc::clone(&clock), country.epoch);
        let setup = Setup { config, own, trust, keys: country.keys.reseeded(seed), epoch: country.epoch, sockets, clock, seed, reporter };
        country.gateway = Some(Gateway::start(setup).expect("free addresses"));
    }

    /// SIGKILL: nothing is said to anybody, and the addresses are free again.
    pub(crate) fn kill(&mut self, code: &str) {
        if let Some(gateway) = self.country(code).gateway.take() {
            gateway.kill();
        }
        self.net.kill(ip(code));
    }

    /// Puts a country's (changed) configuration in force.
    pub(crate) async fn reload(&self, code: &str) {
        let (config, trust) = (self.config_of(code), self.trust_of(code));
        let issued = self.issue(code, Kind::Gateway, "gw-1");
        let own = OwnIdentity::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes()).expect("valid PEM");
        self.controls(code).apply(config, trust, own).await;
    }

    /// A bare QUIC connection to a country's unit port, for bytes that no unit would send.
    pub(crate) async fn raw(&mut self, code: &str, name: &str) -> Raw {
        let issued = self.issue(code, Kind::Unit, name);
        self.hosts += 1;
        let sockets = self.sockets(&format!("10.1.0.{}", self.hosts));
        let own = OwnIdentity::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes()).expect("valid PEM");
        let root = self.countries[code].authority.root_pem().as_bytes();
        let authority: wire::Authority = code.parse().expect("a code");
        let trust = Trust::builder().authority(authority.clone(), root, None, true, false).expect("valid PEM").build().shared();
        let keys = Keys::simulated(self.seed);
        let local = "0.0.0.0:0".parse().expect("an address");
        let dialer =
            Dialer::bind(sockets.as_ref(), local, Port::Units, own, trust, &keys, Arc::clone(&self.clock)).expect("a free address");
        let gateway = format!("{}:7001", host_of(code)).parse().expect("an address");
        let connection =
            dialer.dial(gateway, Expect::AnyGatewayOf(vec![authority]), Duration::from_secs(5)).await.expect("a running gateway");
        let (send, recv) = connection.open_control().await.expect("a live connection");
        Raw { connection, send, recv, decoder: wire::frame::Decoder::default(), _dialer: dialer }
    }

    /// The controls of a running gateway.
    pub(crate) fn controls(&self, code: &str) -> Controls {
        self.countries[code].gateway.as_ref().expect("a running gateway").controls()
    }

    /// Cuts the border, both ways.
    pub(crate) fn cut(&self) {
        self.net.cut(ip("nl"), ip("be"));
    }

    /// Heals it.
    pub(crate) fn heal(&self) {
        self.net.heal(ip("nl"), ip("be"));
    }

    /// A unit of a country that logs in at its gateway and joins its talkgroup.
    pub(crate) async fn radio(&mut self, code: &str, name: &str) -> Radio {
        let issued = self.issue(code, Kind::Unit, name);
        let radio = self.radio_with(code, &issued, host_of(code));
        radio.joined().await;
        radio
    }

    /// A unit with any certificate, dialling any gateway's unit port.
    pub(crate) fn radio_with(&mut self, code: &str, issued: &Issued, gateway: &str) -> Radio {
        self.radio_at(code, issued, &format!("{gateway}:7001"))
    }

    /// A unit with any certificate, dialling any port.
    pub(crate) fn radio_at(&mut self, code: &str, issued: &Issued, gateway: &str) -> Radio {
        self.hosts += 1;
        self.seed = self.seed.wrapping_add(1);
        let sockets = self.sockets(&format!("10.1.0.{}", self.hosts));
        let mut trust = Trust::builder();
        for (other, country) in &self.countries {
            let root = country.authority.root_pem().as_bytes();
            trust = trust.authority(other.parse().expect("a code"), root, None, true, false).expect("valid PEM");
        }
        let talkgroup = if code == "nl" { "nl/pol-1" } else { "be/lux-3" };
        Radio::start(issued, gateway, trust.build(), talkgroup, sockets, Arc::clone(&self.clock), self.seed, Arc::clone(&self.watch))
    }

    /// The host of the unit made last.
    pub(crate) fn last_host(&self) -> IpAddr {
        format!("10.1.0.{}", self.hosts).parse().expect("an address")
    }

    /// The newest status of a country's gateway.
    pub(crate) fn status(&self, code: &str) -> Arc<Status> {
        self.countries[code].board.newest()
    }

    /// The bridge's state at a country's gateway, as `/status` words it.
    pub(crate) fn bridge_state(&self, code: &str) -> String {
        let status = self.status(code);
        let state = status.bridges.first().map(|bridge| serde_json::to_value(bridge.state).expect("a word"));
        state.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
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
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 30 s: {what}");
    }
}

/// A bare connection with its control stream.
pub(crate) struct Raw {
    /// The connection.
    pub(crate) connection: Connection,
    /// Towards the gateway.
    pub(crate) send: quinn::SendStream,
    recv: quinn::RecvStream,
    decoder: wire::frame::Decoder,
    _dialer: Dialer,
}

impl Raw {
    /// Sends a message as it should be sent.
    pub(crate) async fn message(&mut self, message: &Message) {
        self.send.write_all(&wire::frame::encode(message)).await.expect("a live connection");
    }

    /// Says hello, joins the talkgroup and returns what a member must know.
    pub(crate) async fn join(&mut self, talkgroup: &str) -> Affiliated {
        self.message(&Message::Hello(Hello::ours())).await;
        self.message(&Message::Affiliate(talkgroup.parse().expect("a talkgroup"))).await;
        loop {
            if let Some(Message::Affiliated(affiliated)) = self.decoder.next_message().expect("valid messages") {
                return *affiliated;
            }
            let chunk = self.recv.read_chunk(4_096, true).await.expect("a live connection").expect("an answer");
            self.decoder.push(&chunk.bytes);
        }
    }
}

/// The address of a country's gateway.
pub(crate) fn ip(code: &str) -> IpAddr {
    host_of(code).parse().expect("an address")
}
