//! The matrix of signatures that are refused, and the keys of every kind that may sign.

use std::time::Duration;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::pki_types::{CertificateDer, UnixTime};
use wire::control::Talker;
use wire::data::{CHAINS_REMEMBERED, Content, Envelope, Message, MessageId, Signature, Undelivered, Wanted};
use wire::{DecodeError, Reason};

use crate::signature::{NotAuthentic, SCHEMES, Telling, Told, hash_of, verify};
use crate::test_support::{DAY_S, NOW_UNIX_S, Root, Terms, authority, identity, trusting};
use crate::{OwnIdentity, SharedTrust, Trust};

fn at_day(day: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs((NOW_UNIX_S + day * DAY_S).try_into().unwrap()))
}

fn message(from: &str) -> Message {
    Message {
        id: MessageId([1; 16]),
        from: Talker { identity: identity(from), alias: "Maas 12".into(), agency: "police".into() },
        to: "be/unit/lux-7".parse().unwrap(),
        sent_ms: 1_800_000_000_000,
        lifetime_s: 60,
        urgent: false,
        conversation: None,
        in_reply_to: None,
        wanted: Wanted::default(),
        content: Content::Text("Road closed".into()),
    }
}

fn sealed(own: &OwnIdentity, from: &str) -> Envelope {
    let message = message(from);
    let signed = message.encode();
    Envelope { signature: own.sign(&signed), signed, to: message.to, hops: 0, status: None }
}

/// A gateway of nl, and whoever trusts nl and be.
struct Scene {
    nl: Root,
    be: Root,
    gateway: OwnIdentity,
    trust: SharedTrust,
}

impl Scene {
    fn new() -> Self {
        let (nl, be) = (Root::new("nl"), Root::new("be"));
        let trust = trusting(&[("nl", &nl), ("be", &be)]);
        Self { gateway: nl.issue("nl/gateway/gw-1"), nl, be, trust }
    }

    fn judge_of(&self, own: &OwnIdentity, envelope: &Envelope) -> Result<String, NotAuthentic> {
        verify(&self.trust.load(), &own.certified().chain, envelope, at_day(0)).map(|(_, signer)| signer.to_string())
    }

    /// What becomes of a message of a unit of nl that the gateway signed, after a change.
    fn changed(&self, change: impl FnOnce(&mut Envelope)) -> Result<String, NotAuthentic> {
        let mut envelope = sealed(&self.gateway, "nl/unit/maas-12");
        change(&mut envelope);
        self.judge_of(&self.gateway, &envelope)
    }
}

fn signature(envelope: &mut Envelope) -> &mut Signature {
    envelope.signature.as_mut().unwrap()
}

#[test]
fn a_key_of_every_kind_of_the_contract_signs_and_is_believed() {
    let scene = Scene::new();
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let key = |algorithm| KeyPair::generate_for(algorithm).unwrap();
    let keys =
        [(key(&PKCS_ED25519), 0x0807), (key(&PKCS_ECDSA_P256_SHA256), 0x0403), (key(&PKCS_ECDSA_P384_SHA384), 0x0503), (rsa, 0x0806)];
    for (key, scheme) in keys {
        let (certificate, key) = scene.nl.issue_for(&["talkbridge://nl/gateway/gw-1"], Terms::default(), &key);
        let own = OwnIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let envelope = sealed(&own, "nl/unit/maas-12");
        assert_eq!(envelope.signature.as_ref().unwrap().scheme, scheme);
        assert_eq!(scene.judge_of(&own, &envelope), Ok("nl/gateway/gw-1".to_owned()), "{scheme:#06x}");
        // Under the name of another scheme it is nobody's signature.
        for other in [0x0807, 0x0403, 0x0503, 0x0806, 0x0401, 0x0603].into_iter().filter(|other| *other != scheme) {
            let mut renamed = envelope.clone();
            signature(&mut renamed).scheme = other;
            assert_eq!(scene.judge_of(&own, &renamed), Err(NotAuthentic::Scheme(other)), "{scheme:#06x} as {other:#06x}");
        }
    }
    // TLS would take it; the contract does not know it.
    let (certificate, key) = scene.nl.issue_for(&["talkbridge://nl/gateway/gw-1"], Terms::default(), &key(&PKCS_ECDSA_P521_SHA512));
    assert_eq!(OwnIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap().sign(b""), None);
}

#[test]
fn the_schemes_are_those_of_the_page() {
    let page = include_str!("../wire/SHORT_DATA.md");
    let section = page.split("## Signatures").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut said: Vec<u16> = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect();
    let mut known: Vec<u16> = SCHEMES.into_iter().map(u16::from).collect();
    said.sort_unstable();
    known.sort_unstable();
    assert_eq!(said, known);
}

#[test]
fn what_was_changed_on_its_way_is_refused() {
    let scene = Scene::new();
    assert!(scene.changed(|_| {}).is_ok());
    // What a hop may write.
    assert!(scene.changed(|envelope| (envelope.hops, envelope.status, envelope.to) = (3, Some(1), "be/lux-3".parse().unwrap())).is_ok());
    let length = sealed(&scene.gateway, "nl/unit/maas-12").signed.len();
    for byte in 0..length {
        let flip = |envelope: &mut Envelope| {
            let mut bytes = envelope.signed.to_vec();
            bytes[byte] ^= 1;
            envelope.signed = bytes.into();
        };
        assert_eq!(scene.changed(flip), Err(NotAuthentic::Forged), "byte {byte}");
    }
    let longer = |envelope: &mut Envelope| envelope.signed = [&envelope.signed[..], &[0x58, 0]].concat().into();
    assert_eq!(scene.changed(longer), Err(NotAuthentic::Forged));
    let another_sender = |envelope: &mut Envelope| envelope.signed = message("nl/unit/maas-13").encode();
    assert_eq!(scene.changed(another_sender), Err(NotAuthentic::Forged));
    for cut in [0, 32, 63] {
        assert_eq!(scene.changed(|envelope| drop(signature(envelope).value.split_off(cut))), Err(NotAuthentic::Forged));
    }
    assert_eq!(scene.changed(|envelope| envelope.signature = None), Err(NotAuthentic::Unsigned));
    assert_eq!(scene.changed(|envelope| signature(envelope).key[0] ^= 1), Err(NotAuthentic::UnknownKey));
    assert_eq!(Undelivered::from(NotAuthentic::Forged), Undelivered::NotAuthentic);
}

#[test]
fn a_signature_that_was_made_for_something_else_is_refused() {
    let scene = Scene::new();
    let signed = message("nl/unit/maas-12").encode();
    let key = scene.gateway.signing_key();
    let signer = key.choose_scheme(&[rustls::SignatureScheme::ED25519]).unwrap();
    let contexts: [&[u8]; 4] = [b"", b"talkbridge short data 2\0", b"talkbridge short data 1", &[0x20; 64]];
    for context in contexts {
        let value = signer.sign(&[context, &signed[..]].concat()).unwrap();
        assert_eq!(scene.changed(|envelope| signature(envelope).value = value.into()), Err(NotAuthentic::Forged));
    }
}

#[test]
fn only_a_gateway_of_the_senders_authority_that_is_valid_now_signs() {
    let scene = Scene::new();
    let judged = |own: &OwnIdentity, from: &str| scene.judge_of(own, &sealed(own, from)).err();
    let refused = |reason| Some(NotAuthentic::Certificate(reason));
    let of_nl = |name: &str, terms: Terms| scene.nl.issue_with(name, terms);
    let gateway = |terms: Terms| of_nl("nl/gateway/gw-1", terms);
    let unit = "nl/unit/maas-12";
    assert_eq!(judged(&gateway(Terms::default()), unit), None);
    assert_eq!(judged(&scene.be.issue("be/gateway/gw-1"), "be/unit/lux-7"), None);
    // Another authority's gateway, one that only says so, and one that nobody has a root for.
    let signer = identity("be/gateway/gw-1");
    assert_eq!(judged(&scene.be.issue("be/gateway/gw-1"), unit), Some(NotAuthentic::NotItsOwn { signer }));
    assert_eq!(judged(&scene.be.issue("nl/gateway/gw-1"), unit), refused(Reason::UnknownAuthority));
    assert_eq!(judged(&Root::new("de").issue("de/gateway/gw-1"), "de/unit/a"), refused(Reason::UnknownAuthority));
    // No gateway.
    assert_eq!(judged(&of_nl("nl/unit/maas-12", Terms::default()), unit), refused(Reason::WrongKind));
    assert_eq!(judged(&of_nl("nl/dispatcher/control", Terms::default()), unit), refused(Reason::WrongKind));
    // Not now.
    assert_eq!(judged(&gateway(Terms { from_day: -9, to_day: -1, ..Terms::default() }), unit), refused(Reason::CertificateExpired));
    assert_eq!(judged(&gateway(Terms { from_day: 1, ..Terms::default() }), unit), refused(Reason::CertificateNotYetValid));
    let list = scene.nl.revoke(&[7], 30);
    let trust = Trust::builder().authority(authority("nl"), scene.nl.pem.as_bytes(), Some(list.as_bytes()), false, false).unwrap().build();
    for (serial, want) in [(7, refused(Reason::CertificateRevoked)), (8, None)] {
        let own = gateway(Terms { serial, ..Terms::default() });
        // On no port is anybody of that authority let in; its signatures are believed all the same.
        assert_eq!(verify(&trust, &own.certified().chain, &sealed(&own, unit), at_day(0)).err(), want);
    }
    // A key of the same name, but not that of the certificate shown.
    let (one, other) = (gateway(Terms::default()), gateway(Terms::default()));
    let mut envelope = sealed(&one, unit);
    assert_eq!(scene.judge_of(&other, &envelope), Err(NotAuthentic::UnknownKey));
    signature(&mut envelope).key = other.certificate_hash().unwrap();
    assert_eq!(scene.judge_of(&other, &envelope), Err(NotAuthentic::Forged));
    assert_eq!(verify(&scene.trust.load(), &[], &envelope, at_day(0)), Err(NotAuthentic::UnknownKey));
}

#[test]
fn what_a_gateway_signed_and_is_no_message_is_refused() {
    let scene = Scene::new();
    let signed = bytes::Bytes::from_static(&[0x0a, 0xff]);
    let envelope = Envelope { signature: scene.gateway.sign(&signed), signed, ..sealed(&scene.gateway, "nl/unit/a") };
    assert!(matches!(scene.judge_of(&scene.gateway, &envelope), Err(NotAuthentic::Unreadable(DecodeError::Protobuf(_)))));
}

#[test]
fn both_sides_of_a_stream_forget_chains_in_the_same_order() {
    let (mut telling, mut told) = (Telling::default(), Told::default());
    let chain = |number: usize| vec![bytes::Bytes::from(number.to_be_bytes().to_vec())];
    let hash = |number| hash_of(&CertificateDer::from(chain(number)[0].to_vec()));
    // Two more than are remembered, in an order with repeats.
    for number in (0..CHAINS_REMEMBERED).chain([3, 0]).chain(CHAINS_REMEMBERED..CHAINS_REMEMBERED + 2).chain([3, 0, 1, 2]) {
        if telling.must_tell(hash(number)) {
            told.learn(&chain(number));
        }
        assert!(told.chain(&hash(number)).is_some(), "{number}");
    }
    assert!(told.chain(&hash(3)).is_none(), "the oldest went for those that were told again");
    told.learn(&[]);
}
