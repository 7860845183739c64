//! The promises of the crate that a reader of files can see: contents, refusals, modes. No part of the data path.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivatePkcs8KeyDer};
use tempfile::tempdir;
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer, GeneralName, X509Certificate};

use crate::{Authority, Fault, Kind, LIST_FILE, Lifetime, PkiError, ROOT_FILE, ROOT_KEY_FILE, Request, Revocation, revoke_in};

fn with_certificate<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    look(&X509Certificate::from_der(&der).unwrap().1)
}

fn serial_of(pem: &str) -> String {
    with_certificate(pem, |certificate| certificate.raw_serial_as_string())
}

/// List number and serials.
fn listed(pem: &str) -> (String, Vec<String>) {
    let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    (list.crl_number().unwrap().to_string(), list.iter_revoked_certificates().map(|entry| entry.raw_serial_as_string()).collect())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_comes_back_from_its_folder() {
    let folder = tempdir().unwrap();
    let folder = folder.path().join("not/yet/there");
    let made = Authority::generate("nl").unwrap();
    made.save(&folder).unwrap();
    let mut read = Authority::load(&folder).unwrap();
    assert_eq!((read.name(), read.root_pem(), read.revoked_pem()), ("nl", made.root_pem(), made.revoked_pem()));
    // What the first one issued, the second one knows as its own.
    let issued = made.issue(&Request::new(Kind::Unit, "maas-12")).unwrap();
    assert_eq!(read.revoke(issued.certificate_pem()).unwrap(), Revocation::Added);
}

#[test]
fn a_certificate_says_who_its_holder_is() {
    let authority = Authority::generate("nl").unwrap();
    let request = Request::new(Kind::Unit, "maas-12").agency("Politie Limburg").alias("Maas 12 \u{e9}\u{e9}n");
    let issued = authority.issue(&request).unwrap();
    with_certificate(issued.certificate_pem(), |certificate| {
        let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(*names, [GeneralName::URI("talkbridge://nl/unit/maas-12")]);
        assert_eq!(certificate.subject().iter_organization().next().unwrap().as_str().unwrap(), "Politie Limburg");
        assert_eq!(certificate.subject().iter_common_name().next().unwrap().as_str().unwrap(), "Maas 12 \u{e9}\u{e9}n");
        assert!(!certificate.is_ca());
        assert_eq!(certificate.raw_serial().len(), 16);
        let now = OffsetDateTime::now_utc();
        let days_left = certificate.validity().not_after.to_datetime() - now;
        assert!((89..=90).contains(&days_left.whole_days()), "{days_left}");
        assert!(certificate.validity().not_before.to_datetime() < now);
    });
}

#[test]
fn the_alias_is_the_name_unless_given() {
    let issued = Authority::generate("nl").unwrap().issue(&Request::new(Kind::Dispatcher, "desk-1")).unwrap();
    with_certificate(issued.certificate_pem(), |certificate| {
        assert_eq!(certificate.subject().iter_common_name().next().unwrap().as_str().unwrap(), "desk-1");
        assert!(certificate.subject().iter_organization().next().is_none());
    });
}

#[test]
fn only_gateways_may_be_dialled() {
    let authority = Authority::generate("nl").unwrap();
    for (kind, server) in [(Kind::Unit, false), (Kind::Dispatcher, false), (Kind::Gateway, true)] {
        let issued = authority.issue(&Request::new(kind, "x")).unwrap();
        with_certificate(issued.certificate_pem(), |certificate| {
            let usage = certificate.extended_key_usage().unwrap().unwrap().value;
            assert_eq!((usage.client_auth, usage.server_auth, usage.any), (true, server, false), "{kind}");
        });
    }
}

#[test]
fn a_past_end_still_gives_a_window_that_starts_before_it() {
    let authority = Authority::generate("nl").unwrap();
    let past = Lifetime::until_rfc3339("2020-02-29T12:00:00+01:00").unwrap();
    let issued = authority.issue(&Request::new(Kind::Unit, "old").lifetime(past)).unwrap();
    with_certificate(issued.certificate_pem(), |certificate| {
        assert_eq!(certificate.validity().not_after.timestamp(), 1_582_974_000);
        assert!(certificate.validity().not_before < certificate.validity().not_after);
    });
}

#[test]
fn bad_dates_are_the_callers_fault() {
    let authority = Authority::generate("nl").unwrap();
    assert!(matches!(Lifetime::until_rfc3339("tomorrow"), Err(PkiError::Date { .. })));
    let issue = |lifetime| authority.issue(&Request::new(Kind::Unit, "x").lifetime(lifetime));
    let late = issue(Lifetime::days(3651)).unwrap_err();
    assert!(matches!(late, PkiError::OutlivesRoot { .. }), "{late}");
    assert_eq!(late.fault(), Fault::Request);
    assert!(matches!(issue(Lifetime::For(std::time::Duration::MAX)), Err(PkiError::OutOfRange)));
    assert!(matches!(issue(Lifetime::until_rfc3339("1969-01-01T00:00:00Z").unwrap()), Err(PkiError::OutOfRange)));
}

#[test]
fn every_revocation_stays_on_the_list() {
    let folder = tempdir().unwrap();
    let authority = Authority::generate("nl").unwrap();
    authority.save(folder.path()).unwrap();
    let [first, second] = ["a", "b"].map(|name| authority.issue(&Request::new(Kind::Unit, name)).unwrap());
    let list = || listed(&fs::read_to_string(folder.path().join(LIST_FILE)).unwrap());
    assert_eq!(list(), ("1".to_owned(), vec![]));
    let serials = [&first, &second].map(|issued| serial_of(issued.certificate_pem()));
    assert_eq!(revoke_in(folder.path(), first.certificate_pem()).unwrap(), Revocation::Added);
    assert_eq!(revoke_in(folder.path(), second.certificate_pem()).unwrap(), Revocation::Added);
    assert_eq!(list(), ("3".to_owned(), serials.to_vec()));
    assert_eq!(revoke_in(folder.path(), first.certificate_pem()).unwrap(), Revocation::AlreadyListed);
    assert_eq!(list(), ("3".to_owned(), serials.to_vec()), "revoking twice changes nothing");
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [LIST_FILE, ROOT_KEY_FILE, ROOT_FILE], "no temporary file is left");
}

#[test]
fn only_its_own_certificates_can_be_revoked() {
    let mut ours = Authority::generate("nl").unwrap();
    // Same name, other key: only the signature tells them apart.
    for foreign in ["be", "nl"].map(|name| Authority::generate(name).unwrap()) {
        let issued = foreign.issue(&Request::new(Kind::Unit, "a")).unwrap();
        let error = ours.revoke(issued.certificate_pem()).unwrap_err();
        assert!(matches!(error, PkiError::NotIssuedHere { .. }), "{error}");
        assert_eq!(error.fault(), Fault::Refused);
    }
    let root = ours.root_pem().to_owned();
    assert!(matches!(ours.revoke(&root), Err(PkiError::IsRoot { .. })));
    assert!(matches!(ours.revoke("no certificate"), Err(PkiError::NotACertificate(_))));
    assert_eq!(listed(ours.revoked_pem()).1, Vec::<String>::new());
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempdir().unwrap();
    let authority = Authority::generate("nl").unwrap();
    authority.save(folder.path()).unwrap();
    assert!(matches!(Authority::generate("nl").unwrap().save(folder.path()), Err(PkiError::Exists(_))));
    assert_eq!(Authority::load(folder.path()).unwrap().root_pem(), authority.root_pem());

    let first = authority.issue(&Request::new(Kind::Unit, "a")).unwrap();
    let second = authority.issue(&Request::new(Kind::Unit, "a")).unwrap();
    let paths = first.save(folder.path()).unwrap();
    for kept in &paths {
        // Either file alone is enough to be in the way, and nothing is written beside it.
        for path in &paths {
            if path != kept {
                fs::remove_file(path).unwrap();
            }
        }
        assert!(matches!(second.save(folder.path()), Err(PkiError::Exists(path)) if path == *kept));
        assert_eq!(paths.iter().filter(|path| path.exists()).count(), 1);
        fs::remove_file(kept).unwrap();
        first.save(folder.path()).unwrap();
    }
}

#[test]
fn keys_are_for_their_owner_only() {
    let folder = tempdir().unwrap();
    let authority = Authority::generate("nl").unwrap();
    authority.save(folder.path()).unwrap();
    authority.issue(&Request::new(Kind::Gateway, "gw-1")).unwrap().save(folder.path()).unwrap();
    for name in [ROOT_KEY_FILE, "gw-1.key"] {
        assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
    }
}

#[test]
fn keys_are_in_the_version_of_pkcs8_that_every_tool_reads() {
    let authority = Authority::generate("nl").unwrap();
    let issued = authority.issue(&Request::new(Kind::Unit, "a")).unwrap();
    for pem in [authority.key_pem().as_str(), issued.key_pem()] {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        // SEQUENCE of 46 bytes, INTEGER version 0 (RFC 8410, 7): no public key follows.
        assert_eq!((der.secret_pkcs8_der().len(), &der.secret_pkcs8_der()[..5]), (48, &[0x30, 0x2e, 2, 1, 0][..]));
    }
}

#[test]
fn debug_output_shows_no_key() {
    let authority = Authority::generate("nl").unwrap();
    let issued = authority.issue(&Request::new(Kind::Unit, "a")).unwrap();
    for text in [format!("{authority:?}"), format!("{issued:?}")] {
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}

#[test]
fn bad_names_are_refused() {
    for bad in ["", "NL", "n l", "-nl", ".nl", "n/l", "\u{e9}", "seventeen-letters"] {
        let error = Authority::generate(bad).unwrap_err();
        assert_eq!(error.fault(), Fault::Request, "{bad:?}");
    }
    Authority::generate("sixteen-letters_").unwrap();
    let authority = Authority::generate("nl").unwrap();
    let long = "x".repeat(49);
    for bad in ["", "Maas", "../root", "-a", "a b", long.as_str()] {
        assert_eq!(authority.issue(&Request::new(Kind::Unit, bad)).unwrap_err().fault(), Fault::Request, "{bad:?}");
    }
    authority.issue(&Request::new(Kind::Unit, &long[1..])).unwrap();
    for bad in ["", "two\nlines", "x".repeat(65).as_str()] {
        assert!(matches!(authority.issue(&Request::new(Kind::Unit, "a").agency(bad)), Err(PkiError::Text { what: "agency" })));
        assert!(matches!(authority.issue(&Request::new(Kind::Unit, "a").alias(bad)), Err(PkiError::Text { what: "alias" })));
    }
    assert!(matches!("car".parse::<Kind>(), Err(PkiError::Kind(_))));
}

#[test]
fn mixed_up_files_are_named() {
    let (ours, other) = (tempdir().unwrap(), tempdir().unwrap());
    Authority::generate("nl").unwrap().save(ours.path()).unwrap();
    Authority::generate("nl").unwrap().save(other.path()).unwrap();
    for name in [ROOT_KEY_FILE, LIST_FILE] {
        let path = ours.path().join(name);
        let kept = fs::read(&path).unwrap();
        fs::copy(other.path().join(name), &path).unwrap();
        assert!(matches!(Authority::load(ours.path()), Err(PkiError::Damaged { file, .. }) if file == path), "{name}");
        fs::remove_file(&path).unwrap();
        assert!(matches!(Authority::load(ours.path()), Err(PkiError::File { path: missing, .. }) if missing == path), "{name}");
        fs::write(&path, kept).unwrap();
    }
    // A holder's certificate is no root, even with its own key.
    let issued = Authority::load(ours.path()).unwrap().issue(&Request::new(Kind::Unit, "a")).unwrap();
    fs::write(ours.path().join(ROOT_FILE), issued.certificate_pem()).unwrap();
    assert!(matches!(Authority::load(ours.path()), Err(PkiError::Damaged { file, .. }) if file.ends_with(ROOT_FILE)));
}
