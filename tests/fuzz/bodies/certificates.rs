//! Certificates, keys, roots and revocation lists as strangers and operators may hand them over. What the fixtures' root has
//! not signed is never believed, whatever it looks like.

use rustls::pki_types::{CertificateDer, UnixTime};
use transport::config::Port;
use transport::identity::OwnIdentity;
use transport::trust::{Shown, Trust, TrustError};
use wire::{DISPLAY_MAX_CHARS, Identity};

use super::Script;
use super::files::fixture;

/// A moment at which the fixtures' certificates hold: 2027-01-01.
const NOW: u64 = 1_798_761_600;

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW))
}

/// The fixtures' trust: the root of `nl` with its revocation list.
fn trusted() -> Trust {
    let builder =
        Trust::builder().authority("nl".parse().expect("a code"), &fixture("root.pem"), Some(&fixture("revoked.pem")), true, true);
    builder.expect("the fixtures are sound").build()
}

/// The certificates the fixtures' root has signed.
pub(crate) fn issued() -> Vec<(Identity, CertificateDer<'static>)> {
    ["unit.der", "dispatcher.der", "gateway.der", "stolen.der"]
        .into_iter()
        .map(|name| {
            let identity = format!("nl/{}/fuzz", name.trim_end_matches(".der").replace("stolen", "unit"));
            (identity.parse().expect("an identity"), CertificateDer::from(fixture(name)))
        })
        .collect()
}

/// A chain shown on a port: the first byte says where and by whom, then each certificate with its length.
pub(crate) fn certificate(data: &[u8]) {
    let mut script = Script::new(data);
    let shape = script.byte();
    let port = if shape & 1 == 0 { Port::Units } else { Port::Peers };
    let shown = if shape & 2 == 0 { Shown::Caller } else { Shown::Answerer(None) };
    let mut chain = Vec::new();
    while !script.is_over() && chain.len() < 6 {
        let length = usize::from(script.word());
        chain.push(CertificateDer::from(script.take(length).to_vec()));
    }
    let Some((leaf, intermediates)) = chain.split_first() else { return };
    if let Ok(identity) = trusted().judge(leaf, intermediates, now(), port, shown) {
        let known = issued();
        assert!(known.iter().any(|(who, der)| *who == identity && der == leaf), "{identity} was never issued like this");
        assert!(fixture("stolen.der") != leaf.as_ref(), "a revoked certificate is believed");
    }
}

/// An own certificate and key, as files: the certificate's length, the certificate, the key.
pub(crate) fn identity(data: &[u8]) {
    let mut script = Script::new(data);
    let length = usize::from(script.word());
    let (certificate, key) = (script.take(length), script.rest());
    match OwnIdentity::from_pem(certificate, key) {
        Ok(own) => {
            let certified = own.certified();
            assert_eq!(certified.identity.to_string().parse().as_ref(), Ok(&certified.identity));
            for text in [&certified.alias, &certified.agency] {
                assert!(text.chars().count() <= DISPLAY_MAX_CHARS && !text.chars().any(char::is_control), "{text:?}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A root file and a file of revocation lists: the root's length, the root, the lists; no lists if nothing follows.
pub(crate) fn trust(data: &[u8]) {
    let mut script = Script::new(data);
    let length = usize::from(script.word());
    let (root, lists) = (script.take(length), script.rest());
    let lists = (!lists.is_empty()).then_some(lists);
    match Trust::builder().authority("nl".parse().expect("a code"), root, lists, true, true) {
        // Whatever it is made of, it judges.
        Ok(builder) => {
            let trust = builder.build();
            for (_, der) in issued() {
                let _ = trust.judge(&der, &[], now(), Port::Units, Shown::Caller);
                let _ = trust.judge(&der, &[], now(), Port::Peers, Shown::Caller);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty() && !matches!(error, TrustError::Twice(_))),
    }
}
