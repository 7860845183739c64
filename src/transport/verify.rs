//! rustls's two verifiers, both asking [`Trust`].
//!
//! One pair per handshake: each keeps its verdict, because a TLS alert cannot tell *not yet valid* from *expired* or
//! *wrong kind* from *wrong gateway*. The trust is the one at the start of the handshake; a reload meets the next one.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};
use wire::Reason;

use crate::config::Port;
use crate::endpoint::Expect;
use crate::reason::to_certificate_error;
use crate::tls;
use crate::trust::{Shown, Trust};

/// What one handshake's verifier decided, if it refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict(Arc<OnceLock<Reason>>);

impl Verdict {
    /// The exact reason for which this side refused the other's certificate.
    pub(crate) fn refused(&self) -> Option<Reason> {
        self.0.get().copied()
    }

    fn note(&self, reason: Reason) -> Error {
        // One handshake judges one certificate; a second verdict could only repeat the first.
        let first = *self.0.get_or_init(|| reason);
        Error::InvalidCertificate(to_certificate_error(first))
    }
}

/// Judges those who dial us.
#[derive(Debug)]
pub(crate) struct CallerVerifier {
    pub(crate) trust: Arc<Trust>,
    pub(crate) port: Port,
    pub(crate) verdict: Verdict,
}

/// Judges the gateway that we dialled. The server name is a fixed word and plays no part.
#[derive(Debug)]
pub(crate) struct AnswererVerifier {
    pub(crate) trust: Arc<Trust>,
    pub(crate) port: Port,
    pub(crate) expect: Expect,
    pub(crate) verdict: Verdict,
}

fn tls13(message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
    let provider: &CryptoProvider = tls::provider();
    verify_tls13_signature(message, cert, dss, &provider.signature_verification_algorithms)
}

/// TLS 1.2 is switched off; rustls asks for the method all the same.
fn tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

fn schemes() -> Vec<SignatureScheme> {
    tls::provider().signature_verification_algorithms.supported_schemes()
}

impl ClientCertVerifier for CallerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A caller has one certificate; hints would only tell strangers whom we trust.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.trust.judge(end_entity, intermediates, now, self.port, Shown::Caller) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(reason) => Err(self.verdict.note(reason)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}

impl ServerCertVerifier for AnswererVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.trust.judge(end_entity, intermediates, now, self.port, Shown::Answerer(Some(&self.expect))) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(reason) => Err(self.verdict.note(reason)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}
