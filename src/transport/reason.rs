//! What ended a connection, in the protocol's closed list of reasons, both ways.
//!
//! The only place that knows TLS alerts and QUIC error codes. An alert tells what the *other* side thought of our
//! certificate; what this side thought of theirs is known exactly and comes from the handshake's own verifier.

use quinn::{ConnectError, ConnectionError, Side, TransportErrorCode, VarInt};
use rustls::CertificateError;
use wire::Reason;

/// QUIC codes 0x100 to 0x1ff carry a TLS alert in the low byte (RFC 9001 4.8).
const CRYPTO_ERRORS: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;

/// Why an established connection ended. `side` is our side of it.
pub fn of_connection(error: &ConnectionError, side: Side) -> Reason {
    match error {
        ConnectionError::ApplicationClosed(close) => Reason::from_code(u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX)),
        ConnectionError::ConnectionClosed(close) => of_remote_code(u64::from(close.error_code), side),
        ConnectionError::TransportError(error) => match alert_in(u64::from(error.code)) {
            // We refused their certificate. An acceptor refuses a kind, a dialler the wrong gateway.
            Some(ACCESS_DENIED) if side.is_server() => Reason::WrongKind,
            Some(ACCESS_DENIED) => Reason::WrongGateway,
            Some(alert) => of_alert(alert),
            None => Reason::ProtocolViolation,
        },
        ConnectionError::VersionMismatch => Reason::VersionMismatch,
        ConnectionError::Reset => Reason::Reset,
        ConnectionError::TimedOut => Reason::LinkLost,
        ConnectionError::LocallyClosed => Reason::Closed,
        ConnectionError::CidsExhausted => Reason::Other,
    }
}

/// Why a connection attempt failed after its first packet. Differs from [`of_connection`] only in the timeout: nobody was there.
pub fn of_handshake(error: &ConnectionError, side: Side) -> Reason {
    if *error == ConnectionError::TimedOut { Reason::Unreachable } else { of_connection(error, side) }
}

/// Why a connection attempt could not even start.
pub fn of_connect(error: &ConnectError) -> Reason {
    match error {
        ConnectError::InvalidRemoteAddress(_) => Reason::Unreachable,
        ConnectError::EndpointStopping => Reason::ShuttingDown,
        ConnectError::CidsExhausted
        | ConnectError::InvalidServerName(_)
        | ConnectError::NoDefaultClientConfig
        | ConnectError::UnsupportedVersion => Reason::Other,
    }
}

/// The application close code that carries the reason.
pub fn close_code(reason: Reason) -> VarInt {
    VarInt::from_u32(reason.to_code())
}

/// The certificate error whose TLS alert tells the other side this reason.
pub(crate) fn to_certificate_error(reason: Reason) -> CertificateError {
    match to_alert(reason) {
        CERTIFICATE_EXPIRED if reason == Reason::CertificateNotYetValid => CertificateError::NotValidYet,
        CERTIFICATE_EXPIRED => CertificateError::Expired,
        CERTIFICATE_REVOKED => CertificateError::Revoked,
        UNKNOWN_CA => CertificateError::UnknownIssuer,
        ACCESS_DENIED => CertificateError::ApplicationVerificationFailure,
        _ => CertificateError::BadEncoding,
    }
}

const HANDSHAKE_FAILURE: u8 = 40;
const BAD_CERTIFICATE: u8 = 42;
const UNSUPPORTED_CERTIFICATE: u8 = 43;
const CERTIFICATE_REVOKED: u8 = 44;
const CERTIFICATE_EXPIRED: u8 = 45;
const CERTIFICATE_UNKNOWN: u8 = 46;
const UNKNOWN_CA: u8 = 48;
const ACCESS_DENIED: u8 = 49;
const DECRYPT_ERROR: u8 = 51;
const PROTOCOL_VERSION: u8 = 70;
const CERTIFICATE_REQUIRED: u8 = 116;
const NO_APPLICATION_PROTOCOL: u8 = 120;

fn alert_in(code: u64) -> Option<u8> {
    if CRYPTO_ERRORS.contains(&code) { u8::try_from(code - CRYPTO_ERRORS.start()).ok() } else { None }
}

fn of_remote_code(code: u64, side: Side) -> Reason {
    match alert_in(code) {
        // They refused ours: an acceptor our kind, a dialler because it wanted another gateway.
        Some(ACCESS_DENIED) if side.is_server() => Reason::WrongGateway,
        Some(alert) => of_alert(alert),
        // The acceptor is at its limit of handshakes.
        None if code == u64::from(TransportErrorCode::CONNECTION_REFUSED) => Reason::TooManySessions,
        None if code == u64::from(TransportErrorCode::NO_ERROR) => Reason::Closed,
        None => Reason::ProtocolViolation,
    }
}

/// The reason behind a TLS alert (RFC 8446 6.2), as the side that presented the certificate understands it.
fn of_alert(alert: u8) -> Reason {
    match alert {
        CERTIFICATE_REVOKED => Reason::CertificateRevoked,
        CERTIFICATE_EXPIRED => Reason::CertificateExpired,
        UNKNOWN_CA => Reason::UnknownAuthority,
        ACCESS_DENIED => Reason::WrongKind,
        NO_APPLICATION_PROTOCOL => Reason::NotAGateway,
        PROTOCOL_VERSION => Reason::VersionMismatch,
        BAD_CERTIFICATE | UNSUPPORTED_CERTIFICATE | CERTIFICATE_UNKNOWN | CERTIFICATE_REQUIRED | DECRYPT_ERROR => Reason::BadCertificate,
        // HANDSHAKE_FAILURE and what later versions may bring.
        _ => Reason::TlsFailure,
    }
}

/// The alert for a verdict on a certificate; other reasons never come from a handshake.
fn to_alert(reason: Reason) -> u8 {
    if matches!(reason, Reason::CertificateExpired | Reason::CertificateNotYetValid) {
        CERTIFICATE_EXPIRED
    } else if reason == Reason::CertificateRevoked {
        CERTIFICATE_REVOKED
    } else if reason == Reason::UnknownAuthority {
        UNKNOWN_CA
    } else if matches!(reason, Reason::WrongKind | Reason::WrongGateway) {
        ACCESS_DENIED
    } else if reason == Reason::TlsFailure {
        HANDSHAKE_FAILURE
    } else {
        BAD_CERTIFICATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription;

    #[test]
    fn every_verdict_reaches_the_other_side_as_its_reason() {
        for (verdict, heard) in [
            (Reason::CertificateExpired, Reason::CertificateExpired),
            (Reason::CertificateNotYetValid, Reason::CertificateExpired), // TLS has one alert for both
            (Reason::CertificateRevoked, Reason::CertificateRevoked),
            (Reason::UnknownAuthority, Reason::UnknownAuthority),
            (Reason::WrongKind, Reason::WrongKind),
            (Reason::BadCertificate, Reason::BadCertificate),
        ] {
            let alert = AlertDescription::from(to_certificate_error(verdict));
            assert_eq!(of_remote_code(0x100 + u64::from(u8::from(alert)), Side::Client), heard);
        }
    }

    #[test]
    fn a_dialler_that_wanted_another_gateway_is_understood() {
        let alert = AlertDescription::from(to_certificate_error(Reason::WrongGateway));
        assert_eq!(of_remote_code(0x100 + u64::from(u8::from(alert)), Side::Server), Reason::WrongGateway);
    }

    #[test]
    fn application_close_codes_are_reasons() {
        for reason in Reason::ALL {
            let close = quinn::ApplicationClose { error_code: close_code(*reason), reason: bytes::Bytes::new() };
            assert_eq!(of_connection(&ConnectionError::ApplicationClosed(close), Side::Client), *reason);
        }
    }

    #[test]
    fn silence_is_unreachable_before_and_link_lost_after_the_handshake() {
        assert_eq!(of_handshake(&ConnectionError::TimedOut, Side::Client), Reason::Unreachable);
        assert_eq!(of_connection(&ConnectionError::TimedOut, Side::Client), Reason::LinkLost);
    }
}
