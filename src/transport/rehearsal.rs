//! A dress rehearsal of our own certificate: a whole handshake in memory, before anybody else is asked to believe it.
//!
//! Beside the data path, at start and reload. A gateway both answers and dials, so it plays both parts here and judges
//! itself by the rules of the peer port: root, kind, name, dates, revocation, usage for both parts, and that key and
//! certificate sign what the other part can verify.

use std::sync::Arc;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConnection, ConnectionCommon, ServerConnection, SideData};
use tracing::debug;
use wire::Reason;

use crate::clock;
use crate::config::Port;
use crate::endpoint::Expect;
use crate::identity::OwnIdentity;
use crate::tls;
use crate::trust::Trust;
use crate::verify::{AnswererVerifier, CallerVerifier, Verdict};

/// Flights of TLS 1.3 with both sides certified are three; what takes more does not end by itself.
const ROUNDS_MAX: usize = 8;

/// Plays a handshake of a gateway with itself. `trust` must let the own authority's gateways in.
///
/// # Errors
/// The reason for which another side would refuse the certificate.
pub fn rehearse(own: &OwnIdentity, trust: &Arc<Trust>, now: UnixTime) -> Result<(), Reason> {
    let (verdict, clock) = (Verdict::default(), clock::fixed(now.as_secs()));
    let expect = Expect::Gateway(own.identity().clone());
    let caller = CallerVerifier { trust: Arc::clone(trust), port: Port::Peers, verdict: verdict.clone() };
    let answerer = AnswererVerifier { trust: Arc::clone(trust), port: Port::Peers, expect, verdict: verdict.clone() };
    let played = (|| {
        let server = tls::acceptor(Port::Peers, own, caller, &clock)?;
        let client = tls::dialler(Port::Peers, own, answerer, &clock)?;
        let name = ServerName::try_from(tls::SERVER_NAME).map_err(|error| rustls::Error::General(error.to_string()))?;
        play(ServerConnection::new(Arc::new(server))?, ClientConnection::new(Arc::new(client), name)?)?;
        Ok::<_, tls::TlsError>(())
    })();
    played.map_err(|error| {
        let reason = verdict.refused().unwrap_or(Reason::TlsFailure);
        debug!(%error, %reason, "the own certificate fails its rehearsal");
        reason
    })
}

/// Carries bytes between the parts until both have finished.
fn play(mut server: ServerConnection, mut client: ClientConnection) -> Result<(), rustls::Error> {
    for _ in 0..ROUNDS_MAX {
        if !server.is_handshaking() && !client.is_handshaking() {
            return Ok(());
        }
        carry(&mut client, &mut server)?;
        carry(&mut server, &mut client)?;
    }
    Err(rustls::Error::HandshakeNotComplete)
}

fn carry<A: SideData, B: SideData>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) -> Result<(), rustls::Error> {
    let fault = |error: std::io::Error| rustls::Error::General(error.to_string());
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).map_err(fault)?;
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).map_err(fault)?;
        to.process_new_packets()?;
    }
    Ok(())
}
