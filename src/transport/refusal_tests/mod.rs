//! Who is refused: the matrix of bad certificates, first words that are none, and what a live session, a list or a file is worth.

mod forge;
mod handshakes;
mod holder;
mod matrix;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose as Eku, IsCa, KeyUsagePurpose};
use rustls::pki_types::UnixTime;
use testkit::Capture;
use testkit::clock::run;
use wire::Reason;

use self::forge::Ca;
use crate::rehearsal::rehearse;
use crate::test_support::{BUDGET, DAY_S, DIAL_LIMIT, NOW_UNIX_S, Root, Scene, Terms, accept_one, any_of, authority, gateway_addr};
use crate::trust::Shown;
use crate::{IdentityError, Keys, OwnIdentity, Port, SharedTrust, Trust, TrustError};

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW_UNIX_S.try_into().unwrap()))
}

fn with_list(scene: &Scene, serials: &[u64], list_to_day: i64) -> SharedTrust {
    let list = scene.nl.revoke(serials, list_to_day);
    let builder = Trust::builder().authority(authority("nl"), scene.nl.pem.as_bytes(), Some(list.as_bytes()), true, true).unwrap();
    builder.build().shared()
}

/// Whoever would be refused everywhere learns it when it starts.
#[test]
fn a_certificate_that_nobody_would_accept_is_not_loaded() {
    let nl = Ca::root("nl root", |_| {});
    let own = |name: &str, spoil: fn(&mut CertificateParams)| nl.leaf_pem(name, spoil);
    let load = |(certificate, key): (String, String)| OwnIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).map(drop);
    assert!(load(own("nl/unit/a", |_| {})).is_ok());
    let names: [fn(&mut CertificateParams); 3] = [
        |p| p.custom_extensions.clear(),
        |p| p.custom_extensions = vec![forge::uri_names(&[b"talkbridge://nl/unit/a", b"talkbridge://nl/unit/b"])],
        |p| p.custom_extensions = vec![forge::uri_names(&[b"https://example.invalid/a"])],
    ];
    for spoil in names {
        assert!(matches!(load(own("nl/unit/a", spoil)), Err(IdentityError::NoSingleName { .. } | IdentityError::Name(_))));
    }
    assert!(matches!(load(own("nl/unit/a", |p| p.extended_key_usages.clear())), Err(IdentityError::Purpose { .. })));
    assert!(matches!(load(own("nl/unit/a", |p| p.extended_key_usages = vec![Eku::ServerAuth])), Err(IdentityError::Purpose { .. })));
    // A unit only calls, a gateway answers too.
    let calls_only: fn(&mut CertificateParams) = |p| p.extended_key_usages = vec![Eku::ClientAuth];
    assert!(load(own("nl/unit/a", calls_only)).is_ok());
    assert!(matches!(load(own("nl/gateway/gw-1", calls_only)), Err(IdentityError::Purpose { .. })));
    let (certificate, key) = own("nl/unit/a", |_| {});
    assert!(matches!(load((certificate.repeat(5), key)), Err(IdentityError::LongChain { got: 5 })));
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
fn an_authority_trusted_on_one_port_is_unknown_on_the_other() {
    let be = Ca::root("be root", |_| {});
    let trust = Trust::builder().authority(authority("be"), be.pem().as_bytes(), None, false, true).unwrap().build();
    let judge = |name: &str, port, shown| trust.judge(&be.leaf(name, |_| {}).chain[0], &[], now(), port, shown).err();
    assert_eq!(judge("be/unit/a", Port::Units, Shown::Caller), Some(Reason::UnknownAuthority));
    assert_eq!(judge("be/gateway/gw-1", Port::Units, Shown::Answerer(None)), Some(Reason::UnknownAuthority));
    assert_eq!(judge("be/gateway/gw-1", Port::Peers, Shown::Caller), None);
    assert_eq!(judge("be/gateway/gw-1", Port::Peers, Shown::Answerer(None)), None);
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
        let judge = |serial| {
            let own = scene.nl.issue_with("nl/unit/a", Terms { serial, ..Terms::default() });
            trust.load().judge(&own.certified().chain[0], &[], now(), Port::Units, Shown::Caller).err()
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
    for spoil in [(|p| p.is_ca = IsCa::NoCa) as fn(&mut CertificateParams), |p| p.key_usages = vec![KeyUsagePurpose::CrlSign]] {
        assert!(matches!(add(&Ca::root("nl root", spoil).pem(), None), Err(TrustError::BadRoot { number: 1, .. })));
    }
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
    let nl = Root::new("nl");
    let list = nl.revoke(&[7], 30);
    let trust =
        |list: Option<&[u8]>| Arc::new(Trust::builder().authority(authority("nl"), nl.pem.as_bytes(), list, true, true).unwrap().build());
    let tried = |own: &OwnIdentity| rehearse(own, &trust(Some(list.as_bytes())), now());
    let gateway = |terms: Terms| nl.issue_with("nl/gateway/gw-1", terms);
    assert_eq!(tried(&gateway(Terms::default())), Ok(()));
    assert_eq!(rehearse(&gateway(Terms::default()), &trust(None), now()), Ok(()));
    assert_eq!(tried(&gateway(Terms { serial: 7, ..Terms::default() })), Err(Reason::CertificateRevoked));
    assert_eq!(tried(&gateway(Terms { from_day: -9, to_day: -1, ..Terms::default() })), Err(Reason::CertificateExpired));
    assert_eq!(tried(&gateway(Terms { from_day: 1, ..Terms::default() })), Err(Reason::CertificateNotYetValid));
    assert_eq!(tried(&nl.issue("nl/unit/gw-1")), Err(Reason::WrongKind));
    assert_eq!(tried(&Root::new("nl").issue("nl/gateway/gw-1")), Err(Reason::UnknownAuthority));
}
