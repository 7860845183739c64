//! A holder that does not play by the product's rules: bare rustls and quinn, any certificate, any first word.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};

use crate::sockets::Sockets;
use crate::test_support::{CALLER, GATEWAY, Scene};
use crate::tls;

/// Believes everybody.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The TLS of a caller that shows this certificate, or none.
pub(super) fn calling(shown: Option<Arc<CertifiedKey>>, alpn: &[u8]) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::clone(tls::provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous));
    let mut config = match shown {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

/// The TLS of a gateway that shows this certificate and asks for none.
pub(super) fn answering(shown: Arc<CertifiedKey>, alpn: &[u8]) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(tls::provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

/// QUIC's settings around a caller's TLS.
pub(super) fn quic_calling(config: ClientConfig) -> quinn::ClientConfig {
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

/// QUIC's settings around a gateway's TLS.
pub(super) fn quic_answering(config: ServerConfig) -> quinn::ServerConfig {
    quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).unwrap()))
}

/// A bare endpoint where the scene's callers sit.
pub(super) fn caller(scene: &Scene) -> quinn::Endpoint {
    endpoint(scene, CALLER, ([0, 0, 0, 0], 0).into(), None)
}

/// A bare endpoint at the address of the scene's gateway.
pub(super) fn gateway(scene: &Scene, config: quinn::ServerConfig) -> quinn::Endpoint {
    endpoint(scene, GATEWAY, ([0, 0, 0, 0], 7001).into(), Some(config))
}

fn endpoint(scene: &Scene, host: &str, local: SocketAddr, server: Option<quinn::ServerConfig>) -> quinn::Endpoint {
    let socket = scene.sockets(host).bind(local).unwrap();
    quinn::Endpoint::new_with_abstract_socket(quinn::EndpointConfig::default(), server, socket, Arc::new(quinn::TokioRuntime)).unwrap()
}
