//! The certificates made here before the verifier that TLS uses: accepted, refused when revoked, refused when expired.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error, RootCertStore};

use crate::{Authority, Issued, Kind, Lifetime, Request};

fn verifier(authority: &Authority) -> Arc<dyn ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.root_pem().as_bytes()).unwrap()).unwrap();
    let list = CertificateRevocationListDer::from_pem_slice(authority.revoked_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls([list]).build().unwrap()
}

fn leaf(issued: &Issued) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(issued.certificate_pem().as_bytes()).unwrap()
}

fn verdict(authority: &Authority, issued: &Issued, now: UnixTime) -> Result<(), Error> {
    verifier(authority).verify_client_cert(&leaf(issued), &[], now).map(drop)
}

fn refusal(authority: &Authority, issued: &Issued, now: UnixTime) -> CertificateError {
    let Error::InvalidCertificate(why) = verdict(authority, issued, now).unwrap_err() else { panic!("not refused for its certificate") };
    why
}

#[test]
fn every_kind_is_accepted() {
    let authority = Authority::generate("nl").unwrap();
    for kind in [Kind::Unit, Kind::Dispatcher, Kind::Gateway] {
        verdict(&authority, &authority.issue(&Request::new(kind, "a")).unwrap(), UnixTime::now()).unwrap();
    }
}

#[test]
fn the_revoked_is_refused_and_the_others_are_not() {
    let mut authority = Authority::generate("nl").unwrap();
    let [lost, kept] = ["lost", "kept"].map(|name| authority.issue(&Request::new(Kind::Unit, name)).unwrap());
    authority.revoke(lost.certificate_pem()).unwrap();
    assert_eq!(refusal(&authority, &lost, UnixTime::now()), CertificateError::Revoked);
    verdict(&authority, &kept, UnixTime::now()).unwrap();
}

#[test]
fn a_certificate_ends_at_its_last_second() {
    let authority = Authority::generate("nl").unwrap();
    let before = UnixTime::now();
    let issued = authority.issue(&Request::new(Kind::Unit, "a").lifetime(Lifetime::For(Duration::from_secs(3600)))).unwrap();
    let after = UnixTime::now();
    let at = |start: UnixTime, seconds| UnixTime::since_unix_epoch(Duration::from_secs(start.as_secs() + seconds));
    verdict(&authority, &issued, at(before, 3600)).unwrap();
    let why = refusal(&authority, &issued, at(after, 3601));
    assert!(matches!(why, CertificateError::Expired | CertificateError::ExpiredContext { .. }), "{why:?}");
}

#[test]
fn another_root_of_the_same_name_vouches_for_nobody() {
    let [one, other] = ["nl", "nl"].map(|name| Authority::generate(name).unwrap());
    let issued = one.issue(&Request::new(Kind::Unit, "a")).unwrap();
    verdict(&other, &issued, UnixTime::now()).unwrap_err();
}
