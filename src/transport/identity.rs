//! Who the other side is, and who we are: certificates read into identities.
//!
//! [`Certified`] is what the rest of the house sees of a certificate. It exists only for a chain that a verifier has
//! accepted, or for our own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use tracing::warn;
use wire::{Identity, Kind, NameError};
use x509_parser::prelude::{ExtendedKeyUsage, FromDer, GeneralName, X509Certificate, X509Error};

use crate::tls;

/// Longest chain accepted, leaf included.
pub(crate) const CHAIN_MAX: usize = 4;

/// A certificate or key that cannot be used. The issuer's or operator's fault; no retry helps.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The certificate file is not PEM.
    #[error("certificate: not PEM: {0}")]
    CertificatePem(rustls::pki_types::pem::Error),
    /// The certificate file holds no certificate.
    #[error("certificate: none in the file")]
    NoCertificate,
    /// The chain is longer than any authority needs.
    #[error("certificate: chain of {got}, at most {CHAIN_MAX}")]
    LongChain {
        /// Certificates in the chain.
        got: usize,
    },
    /// The certificate is not X.509.
    #[error("certificate: {0}")]
    Encoding(String),
    /// No URI SAN of ours, or more than one.
    #[error("certificate: {count} names talkbridge://AUTHORITY/KIND/NAME, want exactly one")]
    NoSingleName {
        /// How many there are.
        count: usize,
    },
    /// The URI SAN does not read as an identity.
    #[error("certificate: name: {0}")]
    Name(#[from] NameError),
    /// Everybody would refuse it.
    #[error("certificate: not made for {want}: its key usage and extended key usage must allow that")]
    Purpose {
        /// What its holder does with it.
        want: &'static str,
    },
    /// The key file holds no private key.
    #[error("key: {0}")]
    KeyPem(rustls::pki_types::pem::Error),
    /// The key is of an unknown kind or does not belong to the certificate.
    #[error("key: {0}")]
    Key(rustls::Error),
}

/// A certificate chain read into what the house needs of it.
#[derive(Clone, Debug)]
pub struct Certified {
    /// From the URI SAN.
    pub identity: Identity,
    /// Name to show: the subject's common name, else the identity's name.
    pub alias: String,
    /// Organisation to show: the subject's O, empty without one.
    pub agency: String,
    /// Last second of validity, Unix seconds.
    pub not_after_unix_s: i64,
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Whether we dialled this side, which decides the usage its certificate must allow.
    pub(crate) dialled: bool,
}

impl Certified {
    /// Reads an accepted chain.
    pub(crate) fn read(chain: Vec<CertificateDer<'static>>, dialled: bool) -> Result<Self, IdentityError> {
        let leaf = chain.first().ok_or(IdentityError::NoCertificate)?;
        let certificate = parse(leaf)?;
        let identity = identity_of(&certificate)?;
        let subject = certificate.subject();
        let text = |attribute: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
            attribute.and_then(|value| value.as_str().ok()).map(wire::clamp_display).unwrap_or_default()
        };
        let mut alias = text(subject.iter_common_name().next());
        if alias.is_empty() {
            alias = identity.name.to_string();
        }
        let agency = text(subject.iter_organization().next());
        let not_after_unix_s = certificate.validity().not_after.timestamp();
        Ok(Self { identity, alias, agency, not_after_unix_s, chain, dialled })
    }

    /// Reads the certificates of the other side of a live connection.
    pub(crate) fn of_connection(connection: &quinn::Connection) -> Result<Self, IdentityError> {
        let chain = connection
            .peer_identity()
            .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok())
            .ok_or(IdentityError::NoCertificate)?;
        Self::read(*chain, connection.side().is_client())
    }
}

/// Our certificate chain and key.
#[derive(Clone, Debug)]
pub struct OwnIdentity {
    certified: Certified,
    key: Arc<CertifiedKey>,
}

impl OwnIdentity {
    /// Reads certificate chain (leaf first) and private key from PEM files. A key file that others can read is warned about.
    ///
    /// # Errors
    /// [`IdentityError`], naming the file or the part of it.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let read = |path: &Path| fs::read(path).map_err(|source| IdentityError::File { path: path.to_owned(), source });
        let (certificate_pem, key_pem) = (read(certificate)?, read(key)?);
        if let Ok(meta) = fs::metadata(key)
            && meta.permissions().mode() & 0o077 != 0
        {
            let mode = meta.permissions().mode() & 0o777;
            warn!(path = %key.display(), mode = format_args!("{mode:04o}"), "private key is open to others, should be 0600");
        }
        Self::from_pem(&certificate_pem, &key_pem)
    }

    /// Reads certificate chain (leaf first) and private key from PEM bytes.
    ///
    /// # Errors
    /// [`IdentityError`], naming the part.
    pub fn from_pem(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Self, IdentityError> {
        let chain =
            CertificateDer::pem_slice_iter(certificate_pem).collect::<Result<Vec<_>, _>>().map_err(IdentityError::CertificatePem)?;
        if chain.len() > CHAIN_MAX {
            return Err(IdentityError::LongChain { got: chain.len() });
        }
        check_purpose(chain.first().ok_or(IdentityError::NoCertificate)?)?;
        let certified = Certified::read(chain, false)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(IdentityError::KeyPem)?;
        let key = CertifiedKey::from_der(certified.chain.clone(), key, tls::provider()).map_err(IdentityError::Key)?;
        Ok(Self { certified, key: Arc::new(key) })
    }

    /// What our certificate says.
    pub fn certified(&self) -> &Certified {
        &self.certified
    }

    /// Our identity.
    pub fn identity(&self) -> &Identity {
        &self.certified.identity
    }

    /// Our private key.
    pub(crate) fn signing_key(&self) -> &dyn SigningKey {
        &*self.key.key
    }

    /// What rustls asks for certificate and key.
    pub(crate) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.key)))
    }
}

/// What a certificate says that nobody has verified yet.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) identity: Identity,
    /// Whether it is made for calling.
    pub(crate) calls: bool,
    /// Whether it is made for answering.
    pub(crate) answers: bool,
}

/// Reads a certificate that nobody has verified yet. One that does not say what it is for, or whose key may not sign a
/// handshake, is for nothing: webpki asks for neither, but the authorities of this network write both.
pub(crate) fn claimed_by(leaf: &CertificateDer<'_>) -> Result<Claimed, IdentityError> {
    let certificate = parse(leaf)?;
    let identity = identity_of(&certificate)?;
    let unreadable = |error: X509Error| IdentityError::Encoding(error.to_string());
    let signs = certificate.key_usage().map_err(unreadable)?.is_none_or(|usage| usage.value.digital_signature());
    let purposes = certificate.extended_key_usage().map_err(unreadable)?.filter(|_| signs);
    let says = |purpose: fn(&ExtendedKeyUsage<'_>) -> bool| purposes.as_ref().is_some_and(|extension| purpose(extension.value));
    Ok(Claimed { identity, calls: says(|usage| usage.client_auth), answers: says(|usage| usage.server_auth) })
}

/// Whether a holder's own certificate is made for what its kind does; if not, everybody refuses it.
///
/// # Errors
/// [`IdentityError::Purpose`], or what else keeps the certificate from being read.
pub fn check_purpose(leaf: &[u8]) -> Result<(), IdentityError> {
    let claimed = claimed_by(&leaf.into())?;
    if !claimed.calls {
        return Err(IdentityError::Purpose { want: "TLS clients" });
    }
    if claimed.identity.kind == Kind::Gateway && !claimed.answers {
        return Err(IdentityError::Purpose { want: "TLS servers" });
    }
    Ok(())
}

/// Whether an issuer's certificate lets its key sign others; webpki does not ask.
pub(crate) fn may_issue(issuer: &CertificateDer<'_>) -> bool {
    let usage = |certificate: &X509Certificate<'_>| Some(certificate.key_usage().ok()?.is_none_or(|usage| usage.value.key_cert_sign()));
    parse(issuer).ok().as_ref().and_then(usage).unwrap_or(false)
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(IdentityError::Encoding("bytes after the certificate".to_owned())),
        Err(error) => Err(IdentityError::Encoding(error.to_string())),
    }
}

fn identity_of(certificate: &X509Certificate<'_>) -> Result<Identity, IdentityError> {
    let names = certificate.subject_alternative_name().map_err(|error| IdentityError::Encoding(error.to_string()))?;
    let names = || names.iter().flat_map(|names| &names.value.general_names);
    // It could be a second name to another reader.
    if names().any(|name| matches!(name, GeneralName::Invalid(..))) {
        return Err(IdentityError::Encoding("an alternative name that cannot be read".to_owned()));
    }
    let mut uris = names().filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    match (uris.next(), uris.count()) {
        (Some(uri), 0) => Ok(Identity::from_san(uri)?),
        (first, more) => Err(IdentityError::NoSingleName { count: usize::from(first.is_some()) + more }),
    }
}
