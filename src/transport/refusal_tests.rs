//! Every way a certificate can be wrong: the holder hears the right reason, the judge logs the exact one, live sessions follow.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use testkit::Capture;
use testkit::clock::run;
use tokio::time::timeout;
use wire::Reason;

use crate::rehearsal::rehearse;
use crate::test_support::{BUDGET, DAY_S, DIAL_LIMIT, NOW_UNIX_S, Root, Scene, Terms, accept_one, any_of, authority, gateway_addr};
use crate::trust::Shown;
use crate::{IdentityError, Keys, OwnIdentity, Port, SharedTrust, Trust, TrustError};

/// What the caller and the acceptor learn when `own` dials the port.
async fn verdicts(scene: &Scene, port: Port, own: OwnIdentity, trust: SharedTrust) -> (Reason, Reason) {
    let gateway = scene.listen(port, scene.nl.issue("nl/gateway/gw-1"), trust, &Keys::simulated(1));
    let accepted = accept_one(&gateway);
    let caller = scene.caller(port, own, scene.both());
    let session = caller.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await.expect("TLS 1.3 ends first at the caller");
    let heard = timeout(Duration::from_secs(1), session.closed()).await.expect("told within a second");
    (heard, accepted.await.unwrap().unwrap_err())
}

fn with_list(scene: &Scene, serials: &[u64], list_to_day: i64) -> SharedTrust {
    let list = scene.nl.revoke(serials, list_to_day);
    let builder = Trust::builder().authority(authority("nl"), scene.nl.pem.as_bytes(), Some(list.as_bytes()), true, true).unwrap();
    builder.build().shared()
}

#[test]
fn every_bad_caller_hears_why() {
    let late = Terms { from_day: -9, to_day: -1, ..Terms::default() };
    let early = Terms { from_day: 1, ..Terms::default() };
    type Case = (&'static str, Port, fn(&Scene, Terms) -> OwnIdentity, Terms, Reason, Reason);
    let cases: [Case; 7] = [
        (
            "unit on the peer port",
            Port::Peers,
            |s, t| s.be.issue_with("be/unit/a", t),
            Terms::default(),
            Reason::WrongKind,
            Reason::WrongKind,
        ),
        (
            "gateway on the unit port",
            Port::Units,
            |s, t| s.be.issue_with("be/gateway/a", t),
            Terms::default(),
            Reason::WrongKind,
            Reason::WrongKind,
        ),
        (
            "another root",
            Port::Units,
            |_, t| Root::new("nl").issue_with("nl/unit/a", t),
            Terms::default(),
            Reason::UnknownAuthority,
            Reason::UnknownAuthority,
        ),
        (
            "be's name under nl's root",
            Port::Units,
            |s, t| s.nl.issue_with("be/unit/a", t),
            Terms::default(),
            Reason::UnknownAuthority,
            Reason::UnknownAuthority,
        ),
        (
            "unknown authority",
            Port::Units,
            |s, t| s.nl.issue_with("de/unit/a", t),
            Terms::default(),
            Reason::UnknownAuthority,
            Reason::UnknownAuthority,
        ),
        ("expired", Port::Units, |s, t| s.be.issue_with("be/unit/a", t), late, Reason::CertificateExpired, Reason::CertificateExpired),
        // TLS has one alert for both; the judge knows better.
        (
            "not yet valid",
            Port::Units,
            |s, t| s.be.issue_with("be/unit/a", t),
            early,
            Reason::CertificateExpired,
            Reason::CertificateNotYetValid,
        ),
    ];
    for (name, port, own, terms, heard, judged) in cases {
        run(BUDGET, async {
            let scene = Scene::new(1);
            let own = own(&scene, terms);
            assert_eq!(verdicts(&scene, port, own, scene.both()).await, (heard, judged), "{name}");
        });
    }
}

#[test]
fn a_revoked_caller_is_refused_and_another_is_not() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let revoked = scene.nl.issue_with("nl/unit/a", Terms { serial: 7, ..Terms::default() });
        let trust = with_list(&scene, &[7], 30);
        let expected = (Reason::CertificateRevoked, Reason::CertificateRevoked);
        assert_eq!(verdicts(&scene, Port::Units, revoked, Arc::clone(&trust)).await, expected);
        let sound = scene.nl.issue_with("nl/unit/b", Terms { serial: 8, ..Terms::default() });
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW_UNIX_S.try_into().unwrap()));
        let chain = &sound.certified().chain;
        assert_eq!(trust.load().judge(&chain[0], &[], now, Port::Units, Shown::Caller), Ok(sound.identity().clone()));
    });
}

#[test]
fn an_authority_trusted_on_one_port_is_unknown_on_the_other() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let builder = Trust::builder().authority(authority("be"), scene.be.pem.as_bytes(), None, false, true).unwrap();
        let unit = scene.be.issue("be/unit/a");
        let expected = (Reason::UnknownAuthority, Reason::UnknownAuthority);
        assert_eq!(verdicts(&scene, Port::Units, unit, builder.build().shared()).await, expected);
    });
}

#[test]
fn a_certificate_without_exactly_one_name_is_bad() {
    let root = Root::new("nl");
    let trust = Trust::builder().authority(authority("nl"), root.pem.as_bytes(), None, true, true).unwrap().build();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW_UNIX_S.try_into().unwrap()));
    let names: [&[&str]; 4] =
        [&[], &["https://example.invalid/a"], &["talkbridge://nl/unit/a", "talkbridge://nl/unit/b"], &["talkbridge://nl/car/a"]];
    for uris in names {
        let (certificate, key) = root.issue_pem(uris, Terms::default());
        let error = OwnIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(matches!(error, IdentityError::NoSingleName { .. } | IdentityError::Name(_)), "{uris:?}: {error}");
        let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        assert_eq!(trust.judge(&leaf, &[], now, Port::Units, Shown::Caller), Err(Reason::BadCertificate), "{uris:?}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let root = Root::new("nl");
    let (certificate, _) = root.issue_pem(&["talkbridge://nl/unit/a"], Terms::default());
    let (_, key) = root.issue_pem(&["talkbridge://nl/unit/b"], Terms::default());
    assert!(matches!(OwnIdentity::from_pem(certificate.as_bytes(), key.as_bytes()), Err(IdentityError::Key(_))));
    assert!(matches!(OwnIdentity::from_pem(certificate.as_bytes(), b"nothing"), Err(IdentityError::KeyPem(_))));
}

#[test]
fn a_live_session_ends_with_expiry_revocation_or_withdrawn_trust() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let gateway = scene.listen(Port::Units, scene.nl.issue("nl/gateway/gw-1"), scene.both(), &Keys::simulated(1));
        let accepted = accept_one(&gateway);
        let unit = scene.caller(Port::Units, scene.nl.issue("nl/unit/a"), scene.both());
        let dialled = unit.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await.unwrap().certified;
        let caller = accepted.await.unwrap().unwrap().certified;
        let at = |day: i64| UnixTime::since_unix_epoch(Duration::from_secs((NOW_UNIX_S + day * DAY_S).try_into().unwrap()));
        let check = |trust: &SharedTrust, day| trust.load().recheck(&caller, Port::Units, at(day));
        assert_eq!(check(&scene.both(), 0), Ok(()));
        assert_eq!(check(&scene.both(), 366), Err(Reason::CertificateExpired));
        assert_eq!(check(&with_list(&scene, &[1], 30), 0), Err(Reason::CertificateRevoked));
        assert_eq!(check(&Trust::default().shared(), 0), Err(Reason::NotTrusted));
        // The unit's side of the same session, where the other is a gateway.
        assert_eq!(scene.both().load().recheck(&dialled, Port::Units, at(0)), Ok(()));
        assert_eq!(scene.both().load().recheck(&dialled, Port::Units, at(366)), Err(Reason::CertificateExpired));
    });
}

#[test]
fn an_expired_revocation_list_still_counts_with_a_warning() {
    let log = Capture::start(tracing::Level::WARN);
    run(BUDGET, async {
        let scene = Scene::new(1);
        let trust = with_list(&scene, &[1], -1);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW_UNIX_S.try_into().unwrap()));
        let judge = |serial| {
            let own = scene.nl.issue_with("nl/unit/a", Terms { serial, ..Terms::default() });
            trust.load().judge(&own.certified().chain[0], &[], now, Port::Units, Shown::Caller).err()
        };
        assert_eq!((judge(1), judge(2)), (Some(Reason::CertificateRevoked), None));
    });
    assert!(log.contains("past its next update"), "{:?}", log.lines());
}

#[test]
fn a_bad_trust_file_names_its_part() {
    let (nl, be) = (Root::new("nl"), Root::new("be"));
    let add = |root: &str, list: Option<&str>| {
        Trust::builder().authority(authority("nl"), root.as_bytes(), list.map(str::as_bytes), true, false).map(drop)
    };
    assert!(matches!(add("", None), Err(TrustError::NoRoot)));
    let (leaf, _) = nl.issue_pem(&["talkbridge://nl/unit/a"], Terms::default());
    assert!(matches!(add(&leaf, None), Err(TrustError::BadRoot { number: 1, .. })));
    assert!(matches!(add(&nl.pem, Some("")), Err(TrustError::NoList)));
    assert!(matches!(add(&nl.pem, Some(&be.revoke(&[], 30))), Err(TrustError::ListOfAnother)));
    assert!(add(&nl.pem, Some(&nl.revoke(&[], 30))).is_ok());
    let twice = Trust::builder()
        .authority(authority("nl"), nl.pem.as_bytes(), None, true, false)
        .and_then(|builder| builder.authority(authority("nl"), nl.pem.as_bytes(), None, false, true));
    assert!(matches!(twice, Err(TrustError::Twice(_))));
}

#[test]
fn the_own_certificate_is_tried_before_anybody_else_sees_it() {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW_UNIX_S.try_into().unwrap()));
    let nl = Root::new("nl");
    let list = nl.revoke(&[7], 30);
    let trust =
        |list: Option<&[u8]>| Arc::new(Trust::builder().authority(authority("nl"), nl.pem.as_bytes(), list, true, true).unwrap().build());
    let tried = |own: &OwnIdentity| rehearse(own, &trust(Some(list.as_bytes())), now);
    let gateway = |terms: Terms| nl.issue_with("nl/gateway/gw-1", terms);
    assert_eq!(tried(&gateway(Terms::default())), Ok(()));
    assert_eq!(rehearse(&gateway(Terms::default()), &trust(None), now), Ok(()));
    assert_eq!(tried(&gateway(Terms { serial: 7, ..Terms::default() })), Err(Reason::CertificateRevoked));
    assert_eq!(tried(&gateway(Terms { from_day: -9, to_day: -1, ..Terms::default() })), Err(Reason::CertificateExpired));
    assert_eq!(tried(&gateway(Terms { from_day: 1, ..Terms::default() })), Err(Reason::CertificateNotYetValid));
    assert_eq!(tried(&nl.issue("nl/unit/gw-1")), Err(Reason::WrongKind));
    assert_eq!(tried(&Root::new("nl").issue("nl/gateway/gw-1")), Err(Reason::UnknownAuthority));
}
