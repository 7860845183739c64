//! Makes certificates of every kind of wrong: sound unless the row of the matrix spoils one thing.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ED25519,
    RevokedCertParams, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::test_support::{day_from_now, identity};
use crate::tls;

/// The object identifier of subject alternative names.
const SAN: [u64; 4] = [2, 5, 29, 17];
/// The object identifier of name constraints.
const NAME_CONSTRAINTS: [u64; 4] = [2, 5, 29, 30];
const SEQUENCE: u8 = 0x30;
/// URI in a general name, and in the subtrees of name constraints.
const URI: u8 = 0x86;
const DNS: u8 = 0x82;
/// Permitted subtrees.
const PERMITTED: u8 = 0xa0;

/// What a holder shows, and what its judge has been given for it.
pub(super) struct Shown {
    /// Leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// What the holder signs the handshake with.
    pub(super) key: Arc<dyn SigningKey>,
    /// The root and the revocation lists that the judge holds for `nl`, if not those of the scene.
    pub(super) root: Option<String>,
    pub(super) lists: Option<String>,
    /// Whom a dialling gateway expects, if not the usual one.
    pub(super) expected: Option<&'static str>,
}

impl Shown {
    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        Self { chain, key: signing(key), root: None, lists: None, expected: None }
    }

    /// Shows the issuer's certificate too.
    pub(super) fn via(mut self, issuers: &[&Ca]) -> Self {
        self.chain.extend(issuers.iter().map(|issuer| issuer.certificate.der().clone()));
        self
    }

    /// The judge holds these lists for `nl`.
    pub(super) fn listed(self, lists: &[String]) -> Self {
        Self { lists: Some(lists.concat()), ..self }
    }

    /// The judge holds another root for `nl`.
    pub(super) fn under(self, root: &Ca) -> Self {
        Self { root: Some(root.pem()), ..self }
    }

    /// A dialling gateway expects this one.
    pub(super) fn expected(self, name: &'static str) -> Self {
        Self { expected: Some(name), ..self }
    }

    /// Changes the leaf's bytes after it was signed.
    pub(super) fn tampered(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = self.chain[0].to_vec();
        change(&mut bytes);
        self.chain[0] = bytes.into();
        self
    }

    /// What TLS shows; nothing checks that key and certificate belong together.
    pub(super) fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::new(CertifiedKey::new(self.chain.clone(), Arc::clone(&self.key)))
    }

    /// A chain out of `testdata/weak`, under its own root. Its keys are gone; the chain is judged before they are needed.
    pub(super) fn weak([chain, root]: [&str; 2]) -> Self {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
        Self { root: Some(root.to_owned()), ..Self::new(chain, &KeyPair::generate_for(&PKCS_ED25519).unwrap()) }
    }
}

fn signing(key: &KeyPair) -> Arc<dyn SigningKey> {
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    tls::provider().key_provider.load_private_key(der).unwrap()
}

/// The two authorities that every judge of the matrix trusts.
pub(super) struct Forge {
    pub(super) nl: Ca,
    pub(super) be: Ca,
}

impl Forge {
    pub(super) fn new() -> Self {
        Self { nl: Ca::root("nl root", |_| {}), be: Ca::root("be root", |_| {}) }
    }
}

/// Somebody who signs certificates: a root, an intermediate, or one who must not.
pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

/// What an authority's certificate says, unless it is spoiled.
fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from(100_u64));
    (params.not_before, params.not_after) = (day_from_now(-1), day_from_now(3_650));
    params
}

/// What a holder's certificate says, unless it is spoiled: what `talkbridge pki issue` writes for a gateway.
pub(super) fn leaf_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Maas 12");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(SerialNumber::from(1_u64));
    params.custom_extensions = vec![uri_names(&[identity(name).to_san().as_bytes()])];
    (params.not_before, params.not_after) = (day_from_now(-1), day_from_now(365));
    params
}

impl Ca {
    /// A root.
    pub(super) fn root(name: &str, spoil: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = authority_params(name);
        spoil(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// An intermediate under it.
    pub(super) fn sub(&self, name: &str, spoil: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = authority_params(name);
        spoil(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A holder's certificate, which has no business to sign others.
    pub(super) fn leaf_as_ca(&self, name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let params = leaf_params(name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its own certificate, shown as a holder's.
    pub(super) fn shown(&self) -> Shown {
        Shown::new(vec![self.certificate.der().clone()], self.issuer.key())
    }

    /// A holder's certificate under it.
    pub(super) fn leaf(&self, name: &str, spoil: impl FnOnce(&mut CertificateParams)) -> Shown {
        self.leaf_with(name, &KeyPair::generate_for(&PKCS_ED25519).unwrap(), spoil)
    }

    /// A holder's certificate under it, for a key of this kind.
    pub(super) fn leaf_of(&self, name: &str, algorithm: &'static SignatureAlgorithm) -> Shown {
        self.leaf_with(name, &KeyPair::generate_for(algorithm).unwrap(), |_| {})
    }

    fn leaf_with(&self, name: &str, key: &KeyPair, spoil: impl FnOnce(&mut CertificateParams)) -> Shown {
        let mut params = leaf_params(name);
        spoil(&mut params);
        let der = params.signed_by(key, &self.issuer).unwrap().der().clone();
        Shown::new(vec![der], key)
    }

    /// A holder's certificate under it, and its key, as files hold them.
    pub(super) fn leaf_pem(&self, name: &str, spoil: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = leaf_params(name);
        spoil(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A holder's certificate with these alternative names instead of its own.
    pub(super) fn named(&self, uris: &[&[u8]]) -> Shown {
        self.leaf("nl/unit/a", |params| params.custom_extensions = vec![uri_names(uris)])
    }

    /// The root as the judge's file holds it.
    pub(super) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its revocation list with these serial numbers, in force until that day.
    pub(super) fn list(&self, serials: &[u64], until_day: i64) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: day_from_now(-1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: day_from_now(-30),
            next_update: day_from_now(until_day),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// One DER element.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut out = vec![tag];
    match content.len() {
        0..0x80 => out.push(length[1]),
        0x80..0x100 => out.extend([0x81, length[1]]),
        _ => out.extend([0x82, length[0], length[1]]),
    }
    out.extend(content);
    out
}

/// Alternative names of one kind each, as raw bytes: also those that no encoder would write.
fn names(names: &[(u8, &[u8])]) -> CustomExtension {
    let all: Vec<u8> = names.iter().flat_map(|(tag, name)| tlv(*tag, name)).collect();
    CustomExtension::from_oid_content(&SAN, tlv(SEQUENCE, &all))
}

/// URIs as alternative names.
pub(super) fn uri_names(uris: &[&[u8]]) -> CustomExtension {
    names(&uris.iter().map(|uri| (URI, *uri)).collect::<Vec<_>>())
}

/// A DNS name as the only alternative name.
pub(super) fn dns_name(name: &str) -> CustomExtension {
    names(&[(DNS, name.as_bytes())])
}

/// Name constraints that permit only URIs of this host.
pub(super) fn only_uris_of(host: &str) -> CustomExtension {
    let mut extension =
        CustomExtension::from_oid_content(&NAME_CONSTRAINTS, tlv(SEQUENCE, &tlv(PERMITTED, &tlv(SEQUENCE, &tlv(URI, host.as_bytes())))));
    extension.set_criticality(true);
    extension
}

/// Name constraints that permit only subjects of an organisation.
pub(super) fn only_subjects() -> NameConstraints {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Politie");
    NameConstraints { permitted_subtrees: vec![GeneralSubtree::DirectoryName(subject)], excluded_subtrees: Vec::new() }
}

/// An extension that nobody knows and that must be understood.
pub(super) fn unknown_critical() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], tlv(0x05, &[]));
    extension.set_criticality(true);
    extension
}
