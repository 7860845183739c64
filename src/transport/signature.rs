//! Signatures of short data: made with a gateway's own key, believed under the root of the authority that it names.
//!
//! In the data path: beside the hub, where a message leaves its sender's gateway and where it comes in over a border.
//! `SHORT_DATA.md`, "Signatures", is the contract. Nothing is kept here but the chains of gateways that are not in a session.

use std::collections::VecDeque;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use rustls::SignatureScheme;
pub use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use webpki::EndEntityCert;
use wire::data::{CHAINS_REMEMBERED, Envelope, Message, SIGNATURE_CONTEXT, Signature, Undelivered};
use wire::{DecodeError, Identity, Reason};

use crate::identity::OwnIdentity;
use crate::tls;
use crate::trust::Trust;

/// The schemes of the contract, best first. Others that TLS may learn are not taken by themselves: the other side could not read them.
pub(crate) const SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

/// Names a certificate: its SHA-256.
pub type CertificateHash = [u8; 32];

/// The hash by which a signature names the certificate of its key.
pub fn hash_of(certificate: &CertificateDer<'_>) -> CertificateHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, certificate).as_ref());
    hash
}

/// Why an envelope is not believed. To the sender all of them are [`Undelivered::NotAuthentic`]; the log says which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthentic {
    /// Only from a unit to its gateway a message may come so.
    #[error("it is not signed")]
    Unsigned,
    /// The certificate that it names was never shown or told.
    #[error("nobody knows the certificate that signed it")]
    UnknownKey,
    /// The certificate is not one that may sign, now.
    #[error("the certificate that signed it: {0}")]
    Certificate(Reason),
    /// The signature is of no scheme of the contract, or of another kind of key.
    #[error("signature scheme {0:#06x} is unknown, or not one of its key")]
    Scheme(u16),
    /// The signature is not one of this key under this message.
    #[error("the signature does not fit the message")]
    Forged,
    /// What was signed cannot be read.
    #[error("what was signed: {0}")]
    Unreadable(#[from] DecodeError),
    /// A gateway signed for somebody else's unit.
    #[error("{signer} signed what is from another authority")]
    NotItsOwn {
        /// Who signed.
        signer: Identity,
    },
}

impl From<NotAuthentic> for Undelivered {
    fn from(_: NotAuthentic) -> Self {
        Self::NotAuthentic
    }
}

impl OwnIdentity {
    /// Signs a message of a unit of ours; `None` if our key is of a kind that the contract does not know, or fails.
    pub fn sign(&self, signed: &[u8]) -> Option<Signature> {
        let signer = self.signing_key().choose_scheme(&SCHEMES)?;
        let value = signer.sign(&in_context(signed)).ok()?;
        Some(Signature { scheme: signer.scheme().into(), key: self.certificate_hash()?, value: value.into() })
    }

    /// What our signatures name as their key.
    pub fn certificate_hash(&self) -> Option<CertificateHash> {
        self.certified().chain.first().map(hash_of)
    }
}

/// Checks an envelope against the chain that its `key` names, of a session or told by another gateway: the message, and who signed.
///
/// # Errors
/// [`NotAuthentic`]: refuse it.
pub fn verify(
    trust: &Trust,
    chain: &[CertificateDer<'_>],
    envelope: &Envelope,
    now: UnixTime,
) -> Result<(Message, Identity), NotAuthentic> {
    let signature = envelope.signature.as_ref().ok_or(NotAuthentic::Unsigned)?;
    let (leaf, intermediates) = chain.split_first().ok_or(NotAuthentic::UnknownKey)?;
    if hash_of(leaf) != signature.key {
        return Err(NotAuthentic::UnknownKey);
    }
    let signer = trust.judge_signer(leaf, intermediates, now).map_err(NotAuthentic::Certificate)?;
    check(leaf, signature, &envelope.signed)?;
    let message = envelope.open()?;
    if message.from.identity.authority != signer.authority {
        return Err(NotAuthentic::NotItsOwn { signer });
    }
    Ok((message, signer))
}

/// Whether the certificate's key made this signature.
fn check(leaf: &CertificateDer<'_>, signature: &Signature, signed: &[u8]) -> Result<(), NotAuthentic> {
    let unknown = NotAuthentic::Scheme(signature.scheme);
    let scheme = SCHEMES.into_iter().find(|scheme| u16::from(*scheme) == signature.scheme).ok_or_else(|| unknown.clone())?;
    let known = tls::provider().signature_verification_algorithms.mapping.iter().find(|(other, _)| *other == scheme);
    // As in TLS 1.3 a scheme fixes the curve: the first algorithm alone.
    let algorithm = known.and_then(|(_, algorithms)| algorithms.first()).ok_or_else(|| unknown.clone())?;
    let certificate = EndEntityCert::try_from(leaf).map_err(|_unreadable| NotAuthentic::Certificate(Reason::BadCertificate))?;
    match certificate.verify_signature(*algorithm, &in_context(signed), &signature.value) {
        Ok(()) => Ok(()),
        Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => Err(unknown),
        Err(_) => Err(NotAuthentic::Forged),
    }
}

fn in_context(signed: &[u8]) -> Vec<u8> {
    [SIGNATURE_CONTEXT, signed].concat()
}

/// The chains of gateways that are not the other side of a session, as one stream told them. Full: the oldest goes, and its teller,
/// who counts alike, tells it again.
#[derive(Clone, Debug, Default)]
pub struct Told {
    chains: VecDeque<(CertificateHash, Vec<CertificateDer<'static>>)>,
}

impl Told {
    /// The stream told a chain.
    pub fn learn(&mut self, chain: &[Bytes]) {
        let chain: Vec<CertificateDer<'static>> = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        let Some(hash) = chain.first().map(hash_of) else { return };
        if self.chain(&hash).is_none() {
            remember(&mut self.chains, (hash, chain));
        }
    }

    /// The chain of that certificate.
    pub fn chain(&self, hash: &CertificateHash) -> Option<&[CertificateDer<'static>]> {
        self.chains.iter().find(|(other, _)| other == hash).map(|(_, chain)| &chain[..])
    }
}

/// What we told on one stream.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    told: VecDeque<CertificateHash>,
}

impl Telling {
    /// Whether the chain of that certificate must go before the message that needs it; from then on it counts as told.
    pub fn must_tell(&mut self, hash: CertificateHash) -> bool {
        let new = !self.told.contains(&hash);
        if new {
            remember(&mut self.told, hash);
        }
        new
    }
}

/// Both sides of a stream forget in the same order.
fn remember<T>(list: &mut VecDeque<T>, new: T) {
    if list.len() >= CHAINS_REMEMBERED {
        list.pop_front();
    }
    list.push_back(new);
}
