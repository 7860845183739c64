//! The rows of the matrix: what is wrong, where it is tried, what is shown given the name that would be right, what the judge finds.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose as Eku, IsCa, KeyUsagePurpose};
use wire::Reason;
use wire::Reason::{
    BadCertificate as Bad, CertificateExpired, CertificateNotYetValid, CertificateRevoked, UnknownAuthority, WrongGateway, WrongKind,
};

use super::forge::{Ca, Forge, Shown, dns_name, leaf_params, only_subjects, only_uris_of, unknown_critical, uri_names};
use super::matrix::Way::{self, AnswersGateway, AnswersUnit, GatewayCalls, UnitCalls};
use crate::test_support::{day_from_now, identity};

/// One way to be wrong.
pub(super) type Row = (&'static str, &'static [Way], fn(&Forge, &str) -> Shown, Reason);

const ALL: &[Way] = &[UnitCalls, GatewayCalls, AnswersUnit, AnswersGateway];
/// Where a caller is judged.
const CALLS: &[Way] = &[UnitCalls, GatewayCalls];
/// Where an answering gateway is judged.
const ANSWERS: &[Way] = &[AnswersUnit, AnswersGateway];
/// Where the holder is a gateway.
const GATEWAYS: &[Way] = &[GatewayCalls, AnswersUnit, AnswersGateway];

// Chain and root, see testdata/weak/make.sh.
const SHA1: [&str; 2] = [include_str!("../testdata/weak/sha1.pem"), include_str!("../testdata/weak/sha1-root.pem")];
const RSA1024: [&str; 2] = [include_str!("../testdata/weak/rsa1024.pem"), include_str!("../testdata/weak/rsa1024-root.pem")];
const ED448: [&str; 2] = [include_str!("../testdata/weak/ed448.pem"), include_str!("../testdata/weak/ed448-root.pem")];

/// Spoils nothing.
fn sound(_: &mut CertificateParams) {}

/// The alternative name that a certificate of this holder should have.
fn uri(name: &str) -> String {
    identity(name).to_san()
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// Names that are none, or somebody else's.
pub(super) const NAMES: &[Row] = &[
    ("no alternative names", ALL, |f, n| f.nl.leaf(n, |p| p.custom_extensions.clear()), Bad),
    ("an empty list of names", ALL, |f, _| f.nl.named(&[]), Bad),
    ("a DNS name only", ALL, |f, n| f.nl.leaf(n, |p| p.custom_extensions = vec![dns_name("nl.example")]), Bad),
    ("two names", ALL, |f, n| f.nl.named(&[uri(n).as_bytes(), b"talkbridge://nl/gateway/gw-2"]), Bad),
    ("the same name twice", ALL, |f, n| f.nl.named(&[uri(n).as_bytes(), uri(n).as_bytes()]), Bad),
    ("a second URI that is no name", ALL, |f, n| f.nl.named(&[uri(n).as_bytes(), b"https://example.org/"]), Bad),
    ("a second URI that is no ASCII", ALL, |f, n| f.nl.named(&[uri(n).as_bytes(), b"talkbridge://nl/unit/\xff"]), Bad),
    ("alternative names twice", ALL, |f, n| f.nl.leaf(n, |p| p.custom_extensions.push(uri_names(&[b"talkbridge://nl/gateway/gw-2"]))), Bad),
    ("another scheme", ALL, |f, n| f.nl.named(&[format!("https://{n}").as_bytes()]), Bad),
    ("the scheme in capitals", ALL, |f, n| f.nl.named(&[format!("TALKBRIDGE://{n}").as_bytes()]), Bad),
    ("no scheme", ALL, |f, n| f.nl.named(&[n.as_bytes()]), Bad),
    ("the authority in capitals", ALL, |f, n| f.nl.named(&[uri(n).replace("//nl", "//NL").as_bytes()]), Bad),
    ("a capital in the name", ALL, |f, n| f.nl.named(&[format!("{}A", uri(n)).as_bytes()]), Bad),
    ("no authority", ALL, |f, n| f.nl.named(&[uri(n).replace("//nl", "//").as_bytes()]), Bad),
    ("an empty name", ALL, |f, _| f.nl.named(&[b"talkbridge://nl/gateway/"]), Bad),
    ("a name too long", ALL, |f, n| f.nl.named(&[format!("{}{}", uri(n), "x".repeat(48)).as_bytes()]), Bad),
    ("an authority too long", ALL, |f, n| f.nl.named(&[uri(n).replace("//nl", &format!("//{}", "n".repeat(17))).as_bytes()]), Bad),
    ("a query", ALL, |f, n| f.nl.named(&[format!("{}?kind=gateway", uri(n)).as_bytes()]), Bad),
    ("a fragment", ALL, |f, n| f.nl.named(&[format!("{}#b", uri(n)).as_bytes()]), Bad),
    ("user information", ALL, |f, n| f.nl.named(&[uri(n).replace("//nl", "//be@nl").as_bytes()]), Bad),
    ("a port", ALL, |f, n| f.nl.named(&[uri(n).replace("//nl", "//nl:7001").as_bytes()]), Bad),
    ("a percent sign", ALL, |f, n| f.nl.named(&[format!("{}%2d2", uri(n)).as_bytes()]), Bad),
    ("a NUL", ALL, |f, n| f.nl.named(&[format!("{}\0.be", uri(n)).as_bytes()]), Bad),
    ("a look-alike letter", ALL, |f, n| f.nl.named(&[format!("{}\u{430}", uri(n)).as_bytes()]), Bad),
    ("a slash at the end", ALL, |f, n| f.nl.named(&[format!("{}/", uri(n)).as_bytes()]), Bad),
    ("a space at the end", ALL, |f, n| f.nl.named(&[format!("{} ", uri(n)).as_bytes()]), Bad),
    ("a part too many", ALL, |f, n| f.nl.named(&[format!("{}/b", uri(n)).as_bytes()]), Bad),
    ("dots for a way up", ALL, |f, n| f.nl.named(&[format!("{}/../../be", uri(n)).as_bytes()]), Bad),
    ("the name of the authority alone", ALL, |f, _| f.nl.named(&[b"talkbridge://nl"]), Bad),
    ("an unknown kind", ALL, |f, _| f.nl.named(&[b"talkbridge://nl/car/a"]), Bad),
    ("a kind in capitals", ALL, |f, _| f.nl.named(&[b"talkbridge://nl/Gateway/gw-1"]), Bad),
    ("a gateway where units log in", &[UnitCalls], |f, _| f.nl.leaf("nl/gateway/gw-1", sound), WrongKind),
    ("a unit where gateways call", &[GatewayCalls], |f, _| f.nl.leaf("nl/unit/a", sound), WrongKind),
    ("a dispatcher where gateways call", &[GatewayCalls], |f, _| f.nl.leaf("nl/dispatcher/a", sound), WrongKind),
    ("a unit that poses as a gateway", ANSWERS, |f, _| f.nl.leaf("nl/unit/a", sound), WrongKind),
    ("a dispatcher that poses as a gateway", ANSWERS, |f, _| f.nl.leaf("nl/dispatcher/a", sound), WrongKind),
    ("a gateway of an authority that was not asked for", &[AnswersUnit], |f, _| f.be.leaf("be/gateway/gw-1", sound), UnknownAuthority),
    ("another gateway of the authority", &[AnswersGateway], |f, _| f.nl.leaf("nl/gateway/gw-2", sound), WrongGateway),
    ("the gateway's name in another authority", &[AnswersGateway], |f, _| f.be.leaf("be/gateway/gw-1", sound), WrongGateway),
];

/// Issuers that may not vouch for this name, or for anybody.
pub(super) const ISSUERS: &[Row] = &[
    ("a root that nobody trusts", ALL, |_, n| Ca::root("strangers", |_| {}).leaf(n, sound), UnknownAuthority),
    ("a root of the same name with another key", ALL, |_, n| Ca::root("nl root", |_| {}).leaf(n, sound), UnknownAuthority),
    ("the right name under another's root", ALL, |f, n| f.be.leaf(n, sound), UnknownAuthority),
    ("the name of another authority", ALL, |f, n| f.nl.leaf(&n.replace("nl/", "be/"), sound).expected("be/gateway/gw-1"), UnknownAuthority),
    (
        "the name of an authority that nobody trusts",
        ALL,
        |f, n| f.nl.leaf(&n.replace("nl/", "xx/"), sound).expected("xx/gateway/gw-1"),
        UnknownAuthority,
    ),
    ("signed by itself", ALL, |_, n| Ca::root("a", |p| *p = leaf_params(n)).shown(), UnknownAuthority),
    ("the root itself", ALL, |f, _| f.nl.shown(), Bad),
    (
        "a root with a holder's name",
        ALL,
        |_, n| {
            let root = Ca::root("nl root", |p| p.custom_extensions = leaf_params(n).custom_extensions);
            root.shown().under(&root)
        },
        Bad,
    ),
    ("an intermediate as a holder", ALL, |f, n| f.nl.sub("sub", |p| p.custom_extensions = leaf_params(n).custom_extensions).shown(), Bad),
    (
        "signed by a unit",
        ALL,
        |f, n| {
            let unit = f.nl.leaf_as_ca("nl/unit/evil");
            unit.leaf(n, sound).via(&[&unit])
        },
        Bad,
    ),
    (
        "an intermediate that is no authority",
        ALL,
        |f, n| {
            let sub = f.nl.sub("sub", |p| p.is_ca = IsCa::ExplicitNoCa);
            sub.leaf(n, sound).via(&[&sub])
        },
        Bad,
    ),
    (
        "an intermediate that does not say what it is",
        ALL,
        |f, n| {
            let sub = f.nl.sub("sub", |p| p.is_ca = IsCa::NoCa);
            sub.leaf(n, sound).via(&[&sub])
        },
        Bad,
    ),
    (
        "an intermediate whose key may not sign certificates",
        ALL,
        |f, n| {
            let sub = f.nl.sub("sub", |p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
            sub.leaf(n, sound).via(&[&sub])
        },
        Bad,
    ),
    ("an intermediate that is not shown", ALL, |f, n| f.nl.sub("sub", |_| {}).leaf(n, sound), UnknownAuthority),
    (
        "an intermediate of another authority",
        ALL,
        |f, n| {
            let sub = f.be.sub("sub", |_| {});
            sub.leaf(n, sound).via(&[&sub])
        },
        UnknownAuthority,
    ),
    (
        "an intermediate below one that allows none",
        ALL,
        |f, n| {
            let last = f.nl.sub("last", |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
            let one_more = last.sub("one more", |_| {});
            one_more.leaf(n, sound).via(&[&one_more, &last])
        },
        Bad,
    ),
    (
        "an intermediate below a root that allows none",
        ALL,
        |_, n| {
            let root = Ca::root("nl root", |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
            let sub = root.sub("sub", |_| {});
            sub.leaf(n, sound).via(&[&sub]).under(&root)
        },
        Bad,
    ),
    (
        "a chain of five",
        ALL,
        |f, n| {
            let (one, two) = (f.nl.sub("one", |_| {}), f.nl.sub("two", |_| {}));
            f.nl.leaf(n, sound).via(&[&one, &two, &one, &two])
        },
        Bad,
    ),
    (
        "an intermediate for other names",
        ALL,
        |f, n| {
            let sub = f.nl.sub("sub", |p| p.custom_extensions = vec![only_uris_of("be")]);
            sub.leaf(n, sound).via(&[&sub])
        },
        Bad,
    ),
    (
        "an intermediate for names below a subject",
        ALL,
        |f, n| {
            let only = |p: &mut CertificateParams| p.name_constraints = Some(only_subjects());
            let sub = f.nl.sub("sub", only);
            sub.leaf(n, sound).via(&[&sub])
        },
        Bad,
    ),
];

/// Certificates outside their dates, or taken back.
pub(super) const VALIDITY: &[Row] = &[
    ("expired", ALL, |f, n| f.nl.leaf(n, |p| (p.not_before, p.not_after) = (day_from_now(-9), day_from_now(-1))), CertificateExpired),
    ("not valid yet", ALL, |f, n| f.nl.leaf(n, |p| p.not_before = day_from_now(1)), CertificateNotYetValid),
    (
        "valid from its end to its beginning",
        ALL,
        |f, n| f.nl.leaf(n, |p| (p.not_before, p.not_after) = (day_from_now(9), day_from_now(-9))),
        Bad,
    ),
    (
        "an intermediate that has expired",
        ALL,
        |f, n| {
            let sub = f.nl.sub("sub", |p| (p.not_before, p.not_after) = (day_from_now(-9), day_from_now(-1)));
            sub.leaf(n, sound).via(&[&sub])
        },
        CertificateExpired,
    ),
    (
        "an intermediate that is not valid yet",
        ALL,
        |f, n| {
            let sub = f.nl.sub("sub", |p| p.not_before = day_from_now(1));
            sub.leaf(n, sound).via(&[&sub])
        },
        CertificateNotYetValid,
    ),
    ("revoked", ALL, |f, n| f.nl.leaf(n, sound).listed(&[f.nl.list(&[1], 30)]), CertificateRevoked),
    ("revoked by a list that is out of date", ALL, |f, n| f.nl.leaf(n, sound).listed(&[f.nl.list(&[1], -1)]), CertificateRevoked),
    (
        "an intermediate that is revoked",
        ALL,
        |f, n| {
            let sub = f.nl.sub("sub", |_| {});
            sub.leaf(n, sound).via(&[&sub]).listed(&[f.nl.list(&[100], 30), sub.list(&[], 30)])
        },
        CertificateRevoked,
    ),
    (
        "revoked by its intermediate",
        ALL,
        |f, n| {
            let sub = f.nl.sub("sub", |_| {});
            sub.leaf(n, sound).via(&[&sub]).listed(&[f.nl.list(&[], 30), sub.list(&[1], 30)])
        },
        CertificateRevoked,
    ),
    (
        "an intermediate of which there is no list",
        ALL,
        |f, n| {
            let sub = f.nl.sub("sub", |_| {});
            sub.leaf(n, sound).via(&[&sub]).listed(&[f.nl.list(&[], 30)])
        },
        UnknownAuthority,
    ),
    (
        "a list signed with another key",
        ALL,
        |f, n| f.nl.leaf(n, sound).listed(&[Ca::root("nl root", |_| {}).list(&[], 30)]),
        UnknownAuthority,
    ),
];

/// Certificates made for something else.
pub(super) const PURPOSES: &[Row] = &[
    ("no purpose", ALL, |f, n| f.nl.leaf(n, |p| p.extended_key_usages.clear()), Bad),
    ("any purpose", ALL, |f, n| f.nl.leaf(n, |p| p.extended_key_usages = vec![Eku::Any]), Bad),
    ("another purpose", ALL, |f, n| f.nl.leaf(n, |p| p.extended_key_usages = vec![Eku::CodeSigning]), Bad),
    ("for answering only", CALLS, |f, n| f.nl.leaf(n, |p| p.extended_key_usages = vec![Eku::ServerAuth]), Bad),
    ("for calling only", ANSWERS, |f, n| f.nl.leaf(n, |p| p.extended_key_usages = vec![Eku::ClientAuth]), Bad),
    ("a key that may not sign", ALL, |f, n| f.nl.leaf(n, |p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement]), Bad),
    ("an extension that must be understood", ALL, |f, n| f.nl.leaf(n, |p| p.custom_extensions.push(unknown_critical())), Bad),
];

/// Bytes, keys and signatures that do not hold.
pub(super) const BYTES: &[Row] = &[
    ("no certificate but bytes", ALL, |f, n| f.nl.leaf(n, sound).tampered(|b| *b = vec![0x30, 3, 2, 1, 0]), Bad),
    ("half a certificate", ALL, |f, n| f.nl.leaf(n, sound).tampered(|b| b.truncate(b.len() / 2)), Bad),
    ("bytes after the certificate", ALL, |f, n| f.nl.leaf(n, sound).tampered(|b| b.push(0)), Bad),
    (
        "a letter changed after signing",
        GATEWAYS,
        |f, _| f.nl.leaf("nl/gateway/gw-7", sound).tampered(|b| replace(b, b"nl/gateway/gw-7", b"nl/gateway/gw-1")),
        UnknownAuthority,
    ),
    ("the key of another certificate", ALL, |f, n| Shown { key: f.nl.leaf(n, sound).key, ..f.nl.leaf(n, sound) }, Bad),
    ("a signature with SHA-1", GATEWAYS, |_, _| Shown::weak(SHA1), Bad),
    ("an intermediate of 1,024 bits", GATEWAYS, |_, _| Shown::weak(RSA1024), UnknownAuthority),
    ("a signature that nobody has to know", GATEWAYS, |_, _| Shown::weak(ED448), Bad),
];
