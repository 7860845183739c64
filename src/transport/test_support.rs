//! What the tests of this crate share: authorities with their certificates, and gateways on a simulated network.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, RevokedCertParams, SanType, SerialNumber,
};
use testkit::{Link, Net};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use wire::{Authority, Identity, Reason};

use crate::clock::{self, Clock};
use crate::sockets::{BoundBy, Sockets};
use crate::{Connection, Dialer, Endpoint, Expect, Keys, OwnIdentity, Port, SharedTrust, Trust};

/// 24 November 2026, where every simulation starts.
pub(crate) const NOW_UNIX_S: i64 = 1_795_478_400;
pub(crate) const DAY_S: i64 = 86_400;
/// Virtual time a test may need.
pub(crate) const BUDGET: Duration = Duration::from_secs(120);
/// One way on the simulated network.
pub(crate) const DELAY: Duration = Duration::from_millis(40);
pub(crate) const DIAL_LIMIT: Duration = Duration::from_secs(5);

pub(crate) fn authority(text: &str) -> Authority {
    text.parse().unwrap()
}

pub(crate) fn identity(text: &str) -> Identity {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A moment so many days after the start of the simulation.
pub(crate) fn day_from_now(days: i64) -> OffsetDateTime {
    day(NOW_UNIX_S + days * DAY_S)
}

fn day(unix_s: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix_s).unwrap()
}

/// A root that signs what it is asked to.
pub(crate) struct Root {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// Days of validity relative to the start of the simulation, and the serial number.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) from_day: i64,
    pub(crate) to_day: i64,
    pub(crate) serial: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { from_day: -1, to_day: 365, serial: 1 }
    }
}

impl Root {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("{name} root"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (day(NOW_UNIX_S - DAY_S), day(NOW_UNIX_S + 3_650 * DAY_S));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key in PEM for these URI names.
    pub(crate) fn issue_pem(&self, uris: &[&str], terms: Terms) -> (String, String) {
        self.issue_for(uris, terms, &KeyPair::generate_for(&PKCS_ED25519).unwrap())
    }

    /// The same for this key.
    pub(crate) fn issue_for(&self, uris: &[&str], terms: Terms, key: &KeyPair) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Maas\u{7} 12");
        params.distinguished_name.push(DnType::OrganizationName, "Politie");
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(SerialNumber::from(terms.serial));
        (params.not_before, params.not_after) = (day(NOW_UNIX_S + terms.from_day * DAY_S), day(NOW_UNIX_S + terms.to_day * DAY_S));
        (params.signed_by(key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn issue_with(&self, name: &str, terms: Terms) -> OwnIdentity {
        let (certificate, key) = self.issue_pem(&[&identity(name).to_san()], terms);
        OwnIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap()
    }

    pub(crate) fn issue(&self, name: &str) -> OwnIdentity {
        self.issue_with(name, Terms::default())
    }

    /// A revocation list with these serial numbers, to be replaced after `to_day` days.
    pub(crate) fn revoke(&self, serials: &[u64], to_day: i64) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: day(NOW_UNIX_S - DAY_S),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: day(NOW_UNIX_S - 30 * DAY_S),
            next_update: day(NOW_UNIX_S + to_day * DAY_S),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// Trusts each root for its authority on both ports.
pub(crate) fn trusting(roots: &[(&str, &Root)]) -> SharedTrust {
    let builder = roots
        .iter()
        .fold(Trust::builder(), |builder, (name, root)| builder.authority(authority(name), root.pem.as_bytes(), None, true, true).unwrap());
    builder.build().shared()
}

/// Two authorities, a network with a delay, and a wall clock that follows it.
pub(crate) struct Scene {
    pub(crate) net: Net,
    pub(crate) nl: Root,
    pub(crate) be: Root,
    pub(crate) clock: Clock,
}

pub(crate) const GATEWAY: &str = "10.0.0.1";
pub(crate) const CALLER: &str = "10.0.0.2";

impl Scene {
    pub(crate) fn new(seed: u64) -> Self {
        let net = Net::new(seed);
        net.set_default(Link::delayed(DELAY));
        Self { net, nl: Root::new("nl"), be: Root::new("be"), clock: clock::following_tokio(NOW_UNIX_S.try_into().unwrap()) }
    }

    pub(crate) fn sockets(&self, host: &str) -> impl Sockets + use<> {
        let host = self.net.host(ip(host));
        BoundBy(move |addr| host.bind(addr))
    }

    pub(crate) fn both(&self) -> SharedTrust {
        trusting(&[("nl", &self.nl), ("be", &self.be)])
    }

    /// A port on [`GATEWAY`], number 7001.
    pub(crate) fn listen(&self, port: Port, own: OwnIdentity, trust: SharedTrust, keys: &Keys) -> Endpoint {
        let any = SocketAddr::from(([0, 0, 0, 0], 7001));
        Endpoint::bind(&self.sockets(GATEWAY), any, port, own, trust, keys, Arc::clone(&self.clock)).unwrap()
    }

    /// A dialler on [`CALLER`].
    pub(crate) fn caller(&self, port: Port, own: OwnIdentity, trust: SharedTrust) -> Dialer {
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        Dialer::bind(&self.sockets(CALLER), any, port, own, trust, &Keys::simulated(2), Arc::clone(&self.clock)).unwrap()
    }
}

pub(crate) fn gateway_addr() -> SocketAddr {
    SocketAddr::new(ip(GATEWAY), 7001)
}

pub(crate) fn any_of(names: &[&str]) -> Expect {
    Expect::AnyGatewayOf(names.iter().map(|name| authority(name)).collect())
}

/// Accepts one caller beside the test.
pub(crate) fn accept_one(endpoint: &Endpoint) -> JoinHandle<Result<Connection, Reason>> {
    let endpoint = endpoint.clone();
    tokio::spawn(async move { endpoint.accept().await.unwrap().complete().await })
}
