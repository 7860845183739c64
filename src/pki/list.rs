//! The signed list of revoked certificates (CRL) of one authority; gateways read it beside the data path, at start and
//! at every reload.

use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::error::PkiError;
use crate::files::LIST_FILE;

/// How long a list counts as current. As long as a root: a forgotten renewal must not shut everybody out.
const CURRENT_FOR: time::Duration = time::Duration::days(3650);

#[derive(Clone, Debug)]
struct Entry {
    /// Big-endian, without leading zeros.
    serial: Vec<u8>,
    at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub(crate) struct List {
    /// Rises by one with every change.
    number: u64,
    entries: Vec<Entry>,
    pem: String,
}

impl List {
    pub(crate) fn empty(issuer: &Issuer<'_, KeyPair>, now: OffsetDateTime) -> Result<Self, PkiError> {
        Self::sign(1, Vec::new(), issuer, now)
    }

    /// Reads a list and checks that the root signed it: entries of a forged or foreign list are never taken over.
    /// Reason codes are not kept; nobody reads them.
    pub(crate) fn read(pem: &str, root: &X509Certificate<'_>) -> Result<Self, PkiError> {
        let bad = |why: String| PkiError::damaged(LIST_FILE, why);
        let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).map_err(|e| bad(format!("not a revocation list: {e}")))?;
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|e| bad(format!("not a revocation list: {e}")))?;
        if list.issuer().as_raw() != root.subject().as_raw() || list.verify_signature(root.public_key()).is_err() {
            return Err(bad("not signed by this authority's root".to_owned()));
        }
        let number = list.crl_number().and_then(|number| u64::try_from(number).ok());
        let number = number.ok_or_else(|| bad("no usable list number".to_owned()))?;
        let entries = list
            .iter_revoked_certificates()
            .map(|entry| Entry { serial: entry.serial().to_bytes_be(), at: entry.revocation_date.to_datetime() })
            .collect();
        Ok(Self { number, entries, pem: pem.to_owned() })
    }

    /// Whether the serial (big-endian, without leading zeros) is on the list.
    pub(crate) fn contains(&self, serial: &[u8]) -> bool {
        self.entries.iter().any(|entry| entry.serial == serial)
    }

    /// The next list: this one's entries and one more.
    pub(crate) fn with(&self, serial: Vec<u8>, issuer: &Issuer<'_, KeyPair>, now: OffsetDateTime) -> Result<Self, PkiError> {
        let number = self.number.checked_add(1).ok_or_else(|| PkiError::damaged(LIST_FILE, "list number at its end"))?;
        let mut entries = self.entries.clone();
        entries.push(Entry { serial, at: now });
        Self::sign(number, entries, issuer, now)
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    fn sign(number: u64, entries: Vec<Entry>, issuer: &Issuer<'_, KeyPair>, now: OffsetDateTime) -> Result<Self, PkiError> {
        let revoked = |entry: &Entry| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&entry.serial),
            revocation_time: entry.at,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now,
            next_update: now.checked_add(CURRENT_FOR).ok_or(PkiError::OutOfRange)?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: entries.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = params.signed_by(issuer)?.pem()?;
        Ok(Self { number, entries, pem })
    }
}
