//! The matrix: every way in which a certificate can be wrong, tried at every port and in both directions it can be shown.
//!
//! The holder is a bare QUIC endpoint that shows whatever it likes; the judge is the product's. Each row is refused, the
//! holder hears its reason, and the judge logs the exact one.

use quinn::Side;
use rcgen::{BasicConstraints, IsCa};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256};
use testkit::Capture;
use testkit::clock::run;
use tokio::time::timeout;
use wire::Reason;

use super::forge::{Ca, Forge, Shown};
use super::holder;
use super::rows::{self, Row};
use crate::test_support::{BUDGET, DIAL_LIMIT, Scene, accept_one, any_of, authority, gateway_addr, identity};
use crate::{Expect, Keys, Port, SharedTrust, Trust, reason, tls};

/// Who shows the certificate to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A unit calls a gateway.
    UnitCalls,
    /// A gateway calls a gateway.
    GatewayCalls,
    /// A gateway answers a unit.
    AnswersUnit,
    /// A gateway answers a gateway.
    AnswersGateway,
}

impl Way {
    const ALL: [Self; 4] = [Self::UnitCalls, Self::GatewayCalls, Self::AnswersUnit, Self::AnswersGateway];

    fn port(self) -> Port {
        match self {
            Self::UnitCalls | Self::AnswersUnit => Port::Units,
            Self::GatewayCalls | Self::AnswersGateway => Port::Peers,
        }
    }

    /// The name that a sound holder has here.
    fn name(self) -> &'static str {
        if self == Self::UnitCalls { "nl/unit/a" } else { "nl/gateway/gw-1" }
    }

    /// Whom the judge expects when it is the one who dials.
    fn expect(self, shown: &Shown) -> Expect {
        let wanted = identity(shown.expected.unwrap_or("nl/gateway/gw-1"));
        if self == Self::AnswersUnit { any_of(&["nl", wanted.authority.as_str()]) } else { Expect::Gateway(wanted) }
    }
}

/// What the holder and the judge make of it; `None` for the judge if it was let in.
async fn verdicts(forge: &Forge, way: Way, shown: &Shown) -> (Reason, Option<Reason>) {
    let scene = Scene::new(1);
    let (own, trust) = (scene.be.issue("be/gateway/judge"), trust(forge, shown.root.as_deref(), shown.lists.as_deref()));
    match way {
        Way::UnitCalls | Way::GatewayCalls => {
            let judge = scene.listen(way.port(), own, trust, &Keys::simulated(1));
            let judged = accept_one(&judge);
            let tls = holder::calling(Some(shown.certified_key()), way.port().alpn());
            let holder = holder::caller(&scene);
            let called = holder.connect_with(holder::quic_calling(tls), gateway_addr(), tls::SERVER_NAME).unwrap().await;
            let judged = judged.await.unwrap();
            (heard(called, Side::Client).await, judged.err())
        }
        Way::AnswersUnit | Way::AnswersGateway => {
            let tls = holder::answering(shown.certified_key(), way.port().alpn());
            let holder = holder::gateway(&scene, holder::quic_answering(tls));
            let hearing = tokio::spawn(async move { heard(holder.accept().await.unwrap().accept().unwrap().await, Side::Server).await });
            let judge = scene.caller(way.port(), own, trust);
            let judged = judge.dial(gateway_addr(), way.expect(shown), DIAL_LIMIT).await;
            (hearing.await.unwrap(), judged.err())
        }
    }
}

/// How the holder's attempt ends. In TLS 1.3 a caller is connected before the other side has judged it.
pub(super) async fn heard(attempt: Result<quinn::Connection, quinn::ConnectionError>, side: Side) -> Reason {
    let error = match attempt {
        Err(error) => error,
        Ok(connection) => match timeout(std::time::Duration::from_secs(1), connection.closed()).await {
            Ok(error) => error,
            // Not refused, and nobody has to tell it anything.
            Err(_) => return Reason::Other,
        },
    };
    reason::of_handshake(&error, side)
}

/// What the judge holds: `nl` and `be`, both on both ports.
pub(super) fn trust(forge: &Forge, root: Option<&str>, lists: Option<&str>) -> SharedTrust {
    let root = root.map_or_else(|| forge.nl.pem(), str::to_owned);
    let lists = lists.map(str::as_bytes);
    let nl = Trust::builder().authority(authority("nl"), root.as_bytes(), lists, true, true).unwrap();
    nl.authority(authority("be"), forge.be.pem().as_bytes(), None, true, true).unwrap().build().shared()
}

/// What the holder hears of this verdict. TLS has one alert for both ends of the validity, and one for whoever is not wanted,
/// which means the wrong kind to a caller and the wrong gateway to one that answers.
fn told(way: Way, judged: Reason) -> Reason {
    match (judged, way) {
        (Reason::CertificateNotYetValid, _) => Reason::CertificateExpired,
        (Reason::WrongKind, Way::AnswersUnit | Way::AnswersGateway) => Reason::WrongGateway,
        (judged, _) => judged,
    }
}

/// Tries every row everywhere and names those that do not end as they should.
fn refuse(rows: &[Row]) {
    let forge = Forge::new();
    let mut wrong = Vec::new();
    for (what, ways, show, reason) in rows {
        for way in *ways {
            let log = Capture::start(tracing::Level::DEBUG);
            let (heard, judged) = run(BUDGET, verdicts(&forge, *way, &show(&forge, way.name())));
            let logged = log.contains(&format!("reason={reason}"));
            if (heard, judged, logged) != (told(*way, *reason), Some(*reason), true) {
                wrong.push(format!("{what}, {way:?}: want {reason}; judged {judged:?}, heard {heard}, logged {logged}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_that_are_none_or_somebody_elses() {
    refuse(rows::NAMES);
}

#[test]
fn issuers_that_may_not_vouch() {
    refuse(rows::ISSUERS);
}

#[test]
fn outside_their_dates_or_taken_back() {
    refuse(rows::VALIDITY);
}

#[test]
fn made_for_something_else() {
    refuse(rows::PURPOSES);
}

#[test]
fn bytes_keys_and_signatures_that_do_not_hold() {
    refuse(rows::BYTES);
}

/// The other side of the matrix: what is sound gets in, so that no row is refused for a reason it does not name.
#[test]
fn a_sound_certificate_of_any_shape_is_let_in() {
    let forge = Forge::new();
    let one = forge.nl.sub("one", |_| {});
    let two = one.sub("two", |_| {});
    let three = two.sub("three", |_| {});
    let strict = Ca::root("nl root", |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)));
    let lists = |until_day| [forge.nl.list(&[7], until_day), one.list(&[7], until_day)];
    for way in Way::ALL {
        let n = way.name();
        let shapes = [
            ("Ed25519", forge.nl.leaf_of(n, &PKCS_ED25519)),
            ("P-256", forge.nl.leaf_of(n, &PKCS_ECDSA_P256_SHA256)),
            ("P-384", forge.nl.leaf_of(n, &PKCS_ECDSA_P384_SHA384)),
            ("P-521", forge.nl.leaf_of(n, &PKCS_ECDSA_P521_SHA512)),
            ("RSA", forge.nl.leaf_of(n, &PKCS_RSA_SHA256)),
            ("no key usage", forge.nl.leaf(n, |p| p.key_usages.clear())),
            ("a chain of four", three.leaf(n, |_| {}).via(&[&three, &two, &one])),
            ("shown in another order", three.leaf(n, |_| {}).via(&[&one, &three, &two])),
            ("as deep as the root allows", {
                let sub = strict.sub("sub", |_| {});
                sub.leaf(n, |_| {}).via(&[&sub]).under(&strict)
            }),
            ("on none of the lists", one.leaf(n, |_| {}).via(&[&one]).listed(&lists(30))),
            ("on none of the lists, which are out of date", one.leaf(n, |_| {}).via(&[&one]).listed(&lists(-1))),
        ];
        for (what, shown) in shapes {
            assert_eq!(run(BUDGET, verdicts(&forge, way, &shown)), (Reason::Other, None), "{what}, {way:?}");
        }
    }
}
