//! Who signs and who is believed: the desk's view of certificates.
//!
//! A message names the certificate whose key signed it. Known are those that the other side of a session showed or told. What this
//! gateway passes on for others, or signs with a key that it got since a session began, it tells before the message.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use engine::desk::Seals;
use tracing::info;
use transport::clock::Clock;
use transport::identity::{Certified, OwnIdentity};
use transport::signature::{CertificateDer, CertificateHash, Telling, Told, hash_of, verify};
use transport::trust::SharedTrust;
use wire::data::{Envelope, Lane, Signature};
use wire::{Authority, Kind, SessionId};

/// A chain as it travels.
type Chain = Vec<Bytes>;
/// Chains of gateways that are remembered to be told; the oldest goes, and what it signed is not believed by others any more.
const CHAINS_MAX: usize = 256;

#[derive(Debug)]
struct Met {
    certified: Certified,
    /// Our key as the session showed it.
    shown: Option<CertificateHash>,
    told: BTreeMap<Lane, Told>,
    telling: BTreeMap<Lane, Telling>,
}

/// Keys and certificates.
pub(crate) struct Certificates {
    own: OwnIdentity,
    own_hash: Option<CertificateHash>,
    trust: SharedTrust,
    clock: Clock,
    sessions: BTreeMap<SessionId, Met>,
    chains: VecDeque<(CertificateHash, Chain)>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

impl Certificates {
    pub(super) fn new(own: OwnIdentity, trust: SharedTrust, clock: Clock) -> Self {
        let own_hash = own.certificate_hash();
        Self { own, own_hash, trust, clock, sessions: BTreeMap::new(), chains: VecDeque::new() }
    }

    pub(super) fn set_own(&mut self, own: OwnIdentity) {
        self.own_hash = own.certificate_hash();
        self.own = own;
    }

    /// A session began in which the other side showed this chain.
    pub(super) fn meet(&mut self, session: SessionId, certified: &Certified) {
        // Units believe their gateway: they are told nothing, and sign nothing.
        if certified.identity.kind == Kind::Gateway {
            let (told, telling) = (BTreeMap::new(), BTreeMap::new());
            self.remember(as_told(&certified.chain));
            self.sessions.insert(session, Met { certified: certified.clone(), shown: self.own_hash, told, telling });
        }
    }

    pub(super) fn part(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// The other side told a chain on one of its streams.
    pub(super) fn learn(&mut self, session: SessionId, lane: Lane, chain: &[Bytes]) {
        if let Some(met) = self.sessions.get_mut(&session) {
            met.told.entry(lane).or_default().learn(chain);
            self.remember(chain.to_vec());
        }
    }

    fn remember(&mut self, chain: Chain) {
        let Some(hash) = chain.first().map(|leaf| hash_of(&CertificateDer::from(leaf.to_vec()))) else { return };
        if self.chains.iter().any(|(known, _)| *known == hash) {
            return;
        }
        if self.chains.len() == CHAINS_MAX {
            self.chains.pop_front();
        }
        self.chains.push_back((hash, chain));
    }

    /// The chain that must be told on that stream before a message that this key signed.
    pub(super) fn must_tell(&mut self, session: SessionId, lane: Lane, key: &CertificateHash) -> Option<Chain> {
        let met = self.sessions.get_mut(&session)?;
        if met.shown.as_ref() == Some(key) {
            return None;
        }
        let own = || (self.own_hash.as_ref() == Some(key)).then(|| as_told(&self.own.certified().chain));
        let chain = self.chains.iter().find(|(hash, _)| hash == key).map(|(_, chain)| chain.clone()).or_else(own)?;
        met.telling.entry(lane).or_default().must_tell(*key).then_some(chain)
    }
}

fn as_told(chain: &[CertificateDer<'_>]) -> Chain {
    chain.iter().map(|der| Bytes::copy_from_slice(der)).collect()
}

impl Seals for Certificates {
    fn sign(&self, signed: &[u8]) -> Option<Signature> {
        self.own.sign(signed)
    }

    fn is_current(&self, signature: &Signature) -> bool {
        self.own_hash == Some(signature.key)
    }

    fn is_authentic(&self, session: SessionId, signer: &Authority, envelope: &Envelope) -> bool {
        let (Some(met), Some(signature), Some(now)) = (self.sessions.get(&session), &envelope.signature, self.clock.current_time()) else {
            return false;
        };
        let shown = &met.certified.chain;
        let shown = shown.first().filter(|leaf| hash_of(leaf) == signature.key).map(|_| &shown[..]);
        let chain = shown.or_else(|| met.told.values().find_map(|told| told.chain(&signature.key))).unwrap_or_default();
        match verify(&self.trust.load(), chain, envelope, now) {
            Ok((_, who)) => who.authority == *signer,
            Err(why) => {
                info!(session = session.0, %why, "a message is not believed");
                false
            }
        }
    }
}
