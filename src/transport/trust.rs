//! Whom this process believes: one root per authority, with revocation list and the ports it is trusted on.
//!
//! Stands behind both TLS verifiers and the sweep of live sessions: all three ask [`Trust`] the same question. A
//! certificate is judged only by the root of the authority it names, so a root of one country can never vouch for another's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use tracing::{debug, warn};
use webpki::{CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationOptionsBuilder, VerifiedPath};
use wire::{Authority, Identity, Kind, Reason};
use x509_parser::prelude::{CertificateRevocationList as ParsedList, FromDer, X509Certificate};

use crate::config::Port;
use crate::endpoint::Expect;
use crate::identity::{CHAIN_MAX, Certified, Claimed, claimed_by, may_issue};
use crate::tls;

/// A [`Trust`] that a reload swaps under the running verifiers; no socket is bound anew.
pub type SharedTrust = Arc<ArcSwap<Trust>>;

/// A trust file that cannot be used; the operator's to mend. The caller knows the path.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of roots is not PEM.
    #[error("root: not PEM: {0}")]
    RootPem(rustls::pki_types::pem::Error),
    /// The file of roots holds no certificate.
    #[error("root: no certificate in the file")]
    NoRoot,
    /// A root is no certificate that can sign others.
    #[error("root: certificate {number} of the file cannot be a root: {why}")]
    BadRoot {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The revocation list is not PEM.
    #[error("revoked: not PEM: {0}")]
    ListPem(rustls::pki_types::pem::Error),
    /// The file of revocation lists holds none.
    #[error("revoked: no revocation list in the file")]
    NoList,
    /// A revocation list cannot be read.
    #[error("revoked: list {number} of the file: {why}")]
    BadList {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// No list in the file comes from the authority's root; every certificate would be refused.
    #[error("revoked: no list in the file is issued by this root")]
    ListOfAnother,
    /// The authority was given twice.
    #[error("authority {0} is listed twice")]
    Twice(Authority),
}

impl TrustError {
    /// Whether the file of revocation lists is at fault, not that of the root.
    pub fn is_of_list(&self) -> bool {
        matches!(self, Self::ListPem(_) | Self::NoList | Self::BadList { .. } | Self::ListOfAnother)
    }
}

/// Everything needed to judge a certificate of one authority.
#[derive(Debug)]
struct Anchor {
    /// More than one only while a root is being rolled over.
    roots: Vec<TrustAnchor<'static>>,
    /// How many intermediates each root allows below itself; webpki does not ask a root.
    depths: Vec<usize>,
    lists: Vec<CertRevocationList<'static>>,
    /// Earliest day on which a list should have been replaced, Unix seconds.
    lists_until_unix_s: Option<i64>,
    /// Whether that has been warned of: once per load is enough, a busy hour has thousands of verifications.
    warned: AtomicBool,
    units: bool,
    peers: bool,
}

impl Anchor {
    fn serves(&self, port: Port) -> bool {
        match port {
            Port::Units => self.units,
            Port::Peers => self.peers,
        }
    }
}

/// The roots, revocation lists and ports of every trusted authority.
#[derive(Debug, Default)]
pub struct Trust {
    anchors: BTreeMap<Authority, Anchor>,
}

/// Collects authorities into a [`Trust`].
#[derive(Debug, Default)]
pub struct Builder {
    trust: Trust,
}

impl Builder {
    /// Adds one authority from PEM bytes. A gateway sets `for_units` to let its units log in and `for_peers` to let its
    /// gateways connect; a unit sets `for_units` for every authority whose gateways it may meet. With a revocation
    /// list every certificate of the chain must be covered by one; an expired list still counts, with a warning.
    ///
    /// # Errors
    /// [`TrustError`], which names the part of the file.
    pub fn authority(
        mut self,
        authority: Authority,
        root_pem: &[u8],
        revoked_pem: Option<&[u8]>,
        for_units: bool,
        for_peers: bool,
    ) -> Result<Self, TrustError> {
        if self.trust.anchors.contains_key(&authority) {
            return Err(TrustError::Twice(authority));
        }
        let Roots { anchors: roots, depths, subjects } = read_roots(root_pem)?;
        let (lists, lists_until_unix_s) = match revoked_pem {
            Some(pem) => read_lists(pem, &subjects)?,
            None => (Vec::new(), None),
        };
        self.trust.anchors.insert(
            authority,
            Anchor { roots, depths, lists, lists_until_unix_s, warned: AtomicBool::new(false), units: for_units, peers: for_peers },
        );
        Ok(self)
    }

    /// The finished trust.
    pub fn build(self) -> Trust {
        self.trust
    }
}

/// Who showed the certificate.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// The one who dialled us.
    Caller,
    /// The gateway we dialled, and what we expect of it; `None` when a live session is checked again.
    Answerer(Option<&'a Expect>),
}

impl Trust {
    /// Starts with nobody trusted.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Wraps the trust for sharing and later replacement.
    pub fn shared(self) -> SharedTrust {
        Arc::new(ArcSwap::from_pointee(self))
    }

    /// The trusted authorities, in order.
    pub fn authorities(&self) -> impl Iterator<Item = &Authority> {
        self.anchors.keys()
    }

    /// Judges the holder of a live session again: expiry, revocation, or trust withdrawn by a reload.
    ///
    /// # Errors
    /// The reason to close the session with.
    pub fn recheck(&self, certified: &Certified, port: Port, now: UnixTime) -> Result<(), Reason> {
        let Some((leaf, intermediates)) = certified.chain.split_first() else { return Err(Reason::BadCertificate) };
        let shown = if certified.dialled { Shown::Answerer(None) } else { Shown::Caller };
        match self.judge(leaf, intermediates, now, port, shown) {
            Ok(_) => Ok(()),
            Err(Reason::UnknownAuthority) => Err(Reason::NotTrusted),
            Err(reason) => Err(reason),
        }
    }

    /// Judges a certificate chain shown on a port: identity, kind, expectation, chain, usage, validity, revocation.
    ///
    /// # Errors
    /// The reason to refuse the handshake with.
    pub fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        port: Port,
        shown: Shown<'_>,
    ) -> Result<Identity, Reason> {
        // Untrusted until the chain is verified below; it only selects which root must vouch for it.
        let Claimed { identity, calls, answers } = claimed_by(leaf).map_err(|error| {
            debug!(%error, "certificate without a usable identity");
            Reason::BadCertificate
        })?;
        let (made_for_it, usage) = match shown {
            Shown::Caller => {
                let served = match port {
                    Port::Units => matches!(identity.kind, Kind::Unit | Kind::Dispatcher),
                    Port::Peers => identity.kind == Kind::Gateway,
                };
                if !served {
                    return Err(Reason::WrongKind);
                }
                (calls, KeyUsage::client_auth())
            }
            Shown::Answerer(expect) => {
                if identity.kind != Kind::Gateway {
                    return Err(Reason::WrongKind);
                }
                match expect {
                    Some(Expect::Gateway(wanted)) if *wanted != identity => return Err(Reason::WrongGateway),
                    Some(Expect::AnyGatewayOf(authorities)) if !authorities.contains(&identity.authority) => {
                        return Err(Reason::UnknownAuthority);
                    }
                    Some(Expect::Gateway(_) | Expect::AnyGatewayOf(_)) | None => {}
                }
                (answers, KeyUsage::server_auth())
            }
        };
        if !made_for_it {
            debug!(claimed = %identity.authority, "certificate not made for it");
            return Err(Reason::BadCertificate);
        }
        let Some(anchor) = self.anchors.get(&identity.authority).filter(|anchor| anchor.serves(port)) else {
            return Err(Reason::UnknownAuthority);
        };
        anchor.verify(&identity, leaf, intermediates, now, usage)?;
        Ok(identity)
    }

    /// Judges a certificate chain whose key signed a message, whoever brought it: a gateway's, under the root of its authority, valid and
    /// not revoked. On which ports that authority is trusted plays no part, for nobody is let in.
    ///
    /// # Errors
    /// The reason why nothing that it signed is believed.
    pub fn judge_signer(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], now: UnixTime) -> Result<Identity, Reason> {
        let Claimed { identity, calls, .. } = claimed_by(leaf).map_err(|error| {
            debug!(%error, "a signer's certificate without a usable identity");
            Reason::BadCertificate
        })?;
        if identity.kind != Kind::Gateway {
            return Err(Reason::WrongKind);
        }
        if !calls {
            return Err(Reason::BadCertificate);
        }
        let anchor = self.anchors.get(&identity.authority).ok_or(Reason::UnknownAuthority)?;
        anchor.verify(&identity, leaf, intermediates, now, KeyUsage::client_auth())?;
        Ok(identity)
    }
}

impl Anchor {
    fn verify(
        &self,
        identity: &Identity,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Reason> {
        if intermediates.len() >= CHAIN_MAX {
            debug!(claimed = %identity.authority, intermediates = intermediates.len(), "chain too long");
            return Err(Reason::BadCertificate);
        }
        if self.lists_until_unix_s.is_some_and(|until| i64::try_from(now.as_secs()).is_ok_and(|now| now > until))
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            warn!(authority = %identity.authority, "revocation list is past its next update, still used");
        }
        let refuse = |error: &webpki::Error| {
            let reason = reason_of(error);
            debug!(claimed = %identity.authority, %error, %reason, "certificate refused");
            reason
        };
        let provider: &CryptoProvider = tls::provider();
        let certificate = EndEntityCert::try_from(leaf).map_err(|error| refuse(&error))?;
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        // Without a list there is nothing to ask; with one, an issuer that no list covers is refused (webpki's default).
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(RevocationOptionsBuilder::build);
        certificate
            .verify_for_usage(
                provider.signature_verification_algorithms.all,
                &self.roots,
                intermediates,
                now,
                usage,
                revocation,
                Some(&|path| self.allows(path)),
            )
            .map(drop)
            .map_err(|error| refuse(&error))
    }

    /// Whether every issuer of a path that webpki has verified may be one: what it leaves to us.
    fn allows(&self, path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
        if !path.intermediate_certificates().all(|issuer| may_issue(&issuer.der())) {
            return Err(webpki::Error::EndEntityUsedAsCa);
        }
        let root = self.roots.iter().position(|root| root == path.anchor());
        let depth = root.and_then(|root| self.depths.get(root)).copied().unwrap_or_default();
        if path.intermediate_certificates().count() > depth { Err(webpki::Error::PathLenConstraintViolated) } else { Ok(()) }
    }
}

/// The reason to tell, for what webpki found. Everything that is no clear date or revocation is the issuer's fault.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, growing list; what is not named here is a bad certificate")]
fn reason_of(error: &webpki::Error) -> Reason {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => Reason::CertificateExpired,
        Error::CertNotValidYet { .. } => Reason::CertificateNotYetValid,
        Error::CertRevoked => Reason::CertificateRevoked,
        // A foreign root of the same name gives a bad signature; no list for an issuer leaves its standing unknown.
        Error::UnknownIssuer
        | Error::InvalidSignatureForPublicKey
        | Error::UnknownRevocationStatus
        | Error::InvalidCrlSignatureForPublicKey
        | Error::CrlExpired { .. } => Reason::UnknownAuthority,
        _ => Reason::BadCertificate,
    }
}

/// What a file of roots holds.
#[derive(Default)]
struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    depths: Vec<usize>,
    /// The raw subjects.
    subjects: Vec<Vec<u8>>,
}

fn read_roots(pem: &[u8]) -> Result<Roots, TrustError> {
    let mut roots = Roots::default();
    for (index, der) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let der = der.map_err(TrustError::RootPem)?;
        let bad = |why: String| TrustError::BadRoot { number: index + 1, why };
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| bad(error.to_string()))?;
        let constraints = parsed.basic_constraints().map_err(|error| bad(error.to_string()))?;
        let Some(constraints) = constraints.filter(|extension| extension.value.ca) else {
            return Err(bad("it is not marked as an authority (CA)".to_owned()));
        };
        if !may_issue(&der) {
            return Err(bad("its key may not sign certificates (key usage)".to_owned()));
        }
        let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|error| bad(error.to_string()))?;
        let depth = constraints.value.path_len_constraint.map_or(CHAIN_MAX, |depth| usize::try_from(depth).unwrap_or(CHAIN_MAX));
        roots.depths.push(depth);
        roots.subjects.push(parsed.subject().as_raw().to_vec());
        roots.anchors.push(anchor.to_owned());
    }
    if roots.anchors.is_empty() { Err(TrustError::NoRoot) } else { Ok(roots) }
}

/// The lists of a PEM file and the earliest day on which one should have been replaced.
fn read_lists(pem: &[u8], roots: &[Vec<u8>]) -> Result<(Vec<CertRevocationList<'static>>, Option<i64>), TrustError> {
    let mut lists = Vec::new();
    let mut until = None;
    let mut ours = false;
    for (index, der) in CertificateRevocationListDer::pem_slice_iter(pem).enumerate() {
        let der = der.map_err(TrustError::ListPem)?;
        let bad = |why: String| TrustError::BadList { number: index + 1, why };
        let (_, parsed) = ParsedList::from_der(&der).map_err(|error| bad(error.to_string()))?;
        ours |= roots.iter().any(|subject| subject == parsed.issuer().as_raw());
        let next = parsed.next_update().map(|time| time.timestamp());
        until = [until, next].into_iter().flatten().min();
        lists.push(OwnedCertRevocationList::from_der(&der).map_err(|error| bad(error.to_string()))?.into());
    }
    match (lists.is_empty(), ours) {
        (true, _) => Err(TrustError::NoList),
        (false, false) => Err(TrustError::ListOfAnother),
        (false, true) => Ok((lists, until)),
    }
}
