//! rustls configurations: TLS 1.3 only, both sides certified, nothing resumed, nothing early.
//!
//! One configuration per handshake (a few reference counts), so that certificate and trust are always the current ones.

use std::sync::{Arc, LazyLock};

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use crate::clock::Clock;
use crate::config::Port;
use crate::identity::OwnIdentity;
use crate::verify::{AnswererVerifier, CallerVerifier};

/// The server name every dialler sends: it says nothing, for gateways are known by their certificate.
pub(crate) const SERVER_NAME: &str = "talkbridge.invalid";

/// The crypto of this crate; never installed as the process's default. Constant, hence no state.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    &PROVIDER
}

/// A TLS configuration that rustls or quinn refuses; our fault, no retry helps.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// rustls refused.
    #[error("TLS configuration: {0}")]
    Rustls(#[from] rustls::Error),
    /// The crypto provider lacks the cipher of QUIC's first packets.
    #[error("TLS configuration: {0}")]
    Cipher(#[from] NoInitialCipherSuite),
}

/// The accepting side.
pub(crate) fn server(port: Port, own: &OwnIdentity, verifier: CallerVerifier, clock: &Clock) -> Result<QuicServerConfig, TlsError> {
    Ok(QuicServerConfig::try_from(acceptor(port, own, verifier, clock)?)?)
}

/// The accepting side without QUIC.
pub(crate) fn acceptor(port: Port, own: &OwnIdentity, verifier: CallerVerifier, clock: &Clock) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider()), Arc::clone(clock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(own.resolver());
    // Both names, this port's first: whoever knocks at the wrong port is judged by its certificate and hears *wrong kind*
    // instead of a failed negotiation. `spoken` refuses the rest.
    config.alpn_protocols = [port, port.other()].map(|port| port.alpn().to_vec()).into();
    // A resumed session would skip the verifier: a certificate revoked meanwhile would get in again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Whether the name agreed on is this port's.
pub(crate) fn spoken(port: Port, connection: &quinn::Connection) -> bool {
    let data = connection.handshake_data().and_then(|any| any.downcast::<quinn::crypto::rustls::HandshakeData>().ok());
    data.is_some_and(|data| data.protocol.as_deref() == Some(port.alpn()))
}

/// The dialling side.
pub(crate) fn client(port: Port, own: &OwnIdentity, verifier: AnswererVerifier, clock: &Clock) -> Result<QuicClientConfig, TlsError> {
    Ok(QuicClientConfig::try_from(dialler(port, own, verifier, clock)?)?)
}

/// The dialling side without QUIC.
pub(crate) fn dialler(port: Port, own: &OwnIdentity, verifier: AnswererVerifier, clock: &Clock) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_details(Arc::clone(provider()), Arc::clone(clock))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(own.resolver());
    config.alpn_protocols = vec![port.alpn().to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}
