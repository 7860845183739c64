//! An authority: its root, its key, its revocation list, and what they sign. Beside the data path; the key should live
//! on a machine that runs no gateway.

use std::fmt;

use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::error::PkiError;
use crate::files::{ROOT_FILE, ROOT_KEY_FILE};
use crate::list::List;
use crate::names::{Kind, authority_of_root_uri, check_authority, holder_uri, root_uri};
use crate::request::{Issued, Request};

/// How long a root is valid.
const ROOT_VALID: time::Duration = time::Duration::days(3650);
/// How far back a root's validity starts, so that a clock running slow does not refuse it.
const ROOT_BACKDATED: time::Duration = time::Duration::DAY;

/// What a revocation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The certificate is on the list now.
    Added,
    /// The certificate was on the list before; nothing changed.
    AlreadyListed,
}

/// A country or organisation that certifies its own units, dispatchers and gateways.
pub struct Authority {
    name: String,
    root_pem: String,
    root: CertificateDer<'static>,
    root_until: OffsetDateTime,
    issuer: Issuer<'static, KeyPair>,
    list: List,
}

impl fmt::Debug for Authority {
    /// Shows everything but the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).field("root_pem", &self.root_pem).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new authority with a root of ten years and an empty revocation list, in memory.
    ///
    /// # Errors
    /// [`PkiError::Length`] or [`PkiError::Character`] for a bad name, the caller's fault; else the machine's.
    pub fn generate(name: &str) -> Result<Self, PkiError> {
        check_authority(name)?;
        let now = OffsetDateTime::now_utc();
        let key = new_key()?;
        let mut params = CertificateParams::default();
        params.not_before = now - ROOT_BACKDATED;
        params.not_after = now + ROOT_VALID;
        params.serial_number = Some(random_serial()?);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("talkbridge authority {name}"));
        params.subject_alt_names = vec![SanType::URI(root_uri(name).try_into()?)];
        // The root signs holders directly; an intermediate would be one more key that could be stolen unnoticed.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);
        let list = List::empty(&issuer, now)?;
        Self::from_pem(&root.pem(), &issuer.key().serialize_pem(), list.pem())
    }

    /// Puts an authority together from its three files' contents.
    pub(crate) fn from_pem(root_pem: &str, key_pem: &str, list_pem: &str) -> Result<Self, PkiError> {
        let bad_root = |why: String| PkiError::damaged(ROOT_FILE, why);
        let root = CertificateDer::from_pem_slice(root_pem.as_bytes()).map_err(|e| bad_root(format!("not a certificate: {e}")))?;
        let (_, parsed) = X509Certificate::from_der(&root).map_err(|e| bad_root(format!("not a certificate: {e}")))?;
        let name = authority_in(&parsed).ok_or_else(|| bad_root("not the root of an authority".to_owned()))?;
        let key = KeyPair::from_pem(key_pem).map_err(|e| PkiError::damaged(ROOT_KEY_FILE, e.to_string()))?;
        if key.der_bytes() != parsed.public_key().subject_public_key.data.as_ref() {
            return Err(PkiError::damaged(ROOT_KEY_FILE, format!("not the key of the certificate in {ROOT_FILE}")));
        }
        let root_until = parsed.validity().not_after.to_datetime();
        let list = List::read(list_pem, &parsed)?;
        let issuer = Issuer::from_ca_cert_der(&root, key)?;
        Ok(Self { name, root_pem: root_pem.to_owned(), root: root.into_owned(), root_until, issuer, list })
    }

    /// The authority's code: `nl`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The root certificate, for everybody who trusts this authority.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The signed list of revoked certificates, for everybody who trusts this authority.
    pub fn revoked_pem(&self) -> &str {
        self.list.pem()
    }

    /// The root's private key, PKCS #8. Not encrypted; whoever has it is the authority.
    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// [`PkiError`] with the caller at fault for bad names, texts and dates; else the machine's.
    pub fn issue(&self, request: &Request) -> Result<Issued, PkiError> {
        request.check()?;
        let (not_before, not_after) = request.lifetime.window(OffsetDateTime::now_utc())?;
        if not_after > self.root_until {
            return Err(PkiError::OutlivesRoot { root_until: self.root_until });
        }
        let key = new_key()?;
        let mut params = CertificateParams::default();
        params.not_before = not_before;
        params.not_after = not_after;
        params.serial_number = Some(random_serial()?);
        params.distinguished_name = DistinguishedName::new();
        if let Some(agency) = &request.agency {
            params.distinguished_name.push(DnType::OrganizationName, agency.as_str());
        }
        params.distinguished_name.push(DnType::CommonName, request.alias.as_deref().unwrap_or(&request.name));
        params.subject_alt_names = vec![SanType::URI(holder_uri(&self.name, request.kind, &request.name).try_into()?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match request.kind {
            Kind::Unit | Kind::Dispatcher => vec![ExtendedKeyUsagePurpose::ClientAuth],
            // Gateways are dialled by units and dial each other.
            Kind::Gateway => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { name: request.name.clone(), certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Puts a certificate (PEM; of a chain the first) on the list and signs it anew. Former entries stay.
    ///
    /// # Errors
    /// [`PkiError::NotIssuedHere`] or [`PkiError::IsRoot`] if this authority cannot revoke it;
    /// [`PkiError::NotACertificate`] if it is none.
    pub fn revoke(&mut self, certificate_pem: &str) -> Result<Revocation, PkiError> {
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|e| PkiError::NotACertificate(e.to_string()))?;
        if der == self.root {
            return Err(PkiError::IsRoot { authority: self.name.clone() });
        }
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|e| PkiError::NotACertificate(e.to_string()))?;
        let (_, root) = X509Certificate::from_der(&self.root).map_err(|e| PkiError::damaged(ROOT_FILE, e.to_string()))?;
        let ours =
            certificate.issuer().as_raw() == root.subject().as_raw() && certificate.verify_signature(Some(root.public_key())).is_ok();
        if !ours {
            return Err(PkiError::NotIssuedHere { authority: self.name.clone() });
        }
        let serial = certificate.serial.to_bytes_be();
        if self.list.contains(&serial) {
            return Ok(Revocation::AlreadyListed);
        }
        self.list = self.list.with(serial, &self.issuer, OffsetDateTime::now_utc())?;
        Ok(Revocation::Added)
    }
}

/// The authority code in a root certificate's URI.
fn authority_in(root: &X509Certificate<'_>) -> Option<String> {
    let names = &root.subject_alternative_name().ok()??.value.general_names;
    names.iter().find_map(|name| if let GeneralName::URI(uri) = name { authority_of_root_uri(uri).map(str::to_owned) } else { None })
}

/// A key in the first version of PKCS #8: rcgen's own are in the second, which OpenSSL 3.0 does not read.
fn new_key() -> Result<KeyPair, PkiError> {
    let pkcs8 = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
    Ok(KeyPair::try_from(&PrivatePkcs8KeyDer::from(pkcs8.as_ref()))?)
}

/// 128 bits of which 126 are random: the top two are 01, so that every serial is positive and takes 16 bytes.
fn random_serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}
