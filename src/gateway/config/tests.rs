//! What a good configuration becomes: defaults, paths, typed values, changes, files, its explanation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use time::OffsetDateTime;
use time::macros::datetime;
use wire::{Level, Tier};

use super::{Config, ConfigError, Loaded, Timers};
use crate::check::explain;

/// A gateway of nl with one bridge; the broken configurations are made of it, so its lines are counted on.
pub(super) const BASE: &str = r#"authority = "nl"
name = "gw-1"
state = "var/nl"

[listen]
units = ["127.0.0.1:7001"]
peers = ["127.0.0.1:7101"]
console = "127.0.0.1:7201"

[identity]
certificate = "pki/gw-1.pem"
key = "pki/gw-1.key"

[[trust]]
authority = "nl"
root = "pki/root.pem"
revoked = "pki/revoked.pem"
for = ["units"]

[[trust]]
authority = "be"
root = "/etc/talkbridge/be-root.pem"
for = ["units", "peers"]

[store]
path = "var/nl/messages.sqlite"

[[talkgroup]]
name = "pol-1"
title = "Police Limburg 1"
agency = "police"
join = ["nl/*/*"]
talk = ["nl/unit/*", "nl/dispatcher/*"]
emergency = ["nl/unit/*"]
level_max = 64
timers = { t2_s = 45, t1_s = 1.5, t2_emergency_s = 90 }

[[talkgroup]]
name = "fire-1"
join = ["nl/*/*", "be/unit/visitor-1"]

[[peer]]
authority = "be"
name = "gw-1"
address = "127.0.0.1:7102"
rate_kbps = 256

[[bridge]]
agreement = "EMR-2026-01"
home = "nl/pol-1"
partner = "be/lux-3"
inbound = { talk = true, emergency = true, ceiling = { tier = "emergency", level = 64 } }
outbound = { talk = true, short_data = true, emergency = true }
onward = []
valid = { from = 2026-01-01T00:00:00Z, until = 2027-01-01T02:00:00+02:00 }
"#;

fn load(text: &str) -> Loaded {
    Config::from_text(Path::new("/etc/talkbridge/nl.toml"), text, false).unwrap()
}

#[test]
fn a_full_configuration_becomes_typed_values() {
    let Loaded { config, warnings } = load(BASE);
    assert_eq!(warnings, []);
    assert_eq!(config.gateway.to_string(), "nl/gateway/gw-1");
    assert_eq!((config.standby, config.unit_rate_kbps), (false, 128));
    let pol = config.talkgroup(&"nl/pol-1".parse().unwrap()).unwrap();
    assert_eq!(pol.level_max, Level(64));
    let expected = Timers {
        t1: Duration::from_millis(1_500),
        t2: Duration::from_secs(45),
        t2_emergency: Duration::from_secs(90),
        ..Timers::default()
    };
    assert_eq!(pol.timers, expected);
    let bridge = &config.bridges[0];
    assert!(bridge.is_home());
    assert_eq!((bridge.own.to_string(), bridge.far.to_string()), ("nl/pol-1".to_owned(), "be/lux-3".to_owned()));
    assert!(bridge.inbound().talk && !bridge.inbound().short_data && bridge.outbound().short_data);
    assert_eq!((bridge.inbound().ceiling.tier, bridge.inbound().ceiling.level), (Tier::Emergency, Level(64)));
    assert_eq!(config.peers_of(&"be".parse().unwrap()).count(), 1);
}

#[test]
fn what_is_absent_is_denied() {
    let text = BASE.replace("inbound = { talk = true, emergency = true, ceiling = { tier = \"emergency\", level = 64 } }\n", "");
    let text = text.replace("outbound = { talk = true, short_data = true, emergency = true }", "outbound = {}");
    let config = load(&text).config;
    let (inbound, outbound) = (config.bridges[0].inbound(), config.bridges[0].outbound());
    assert!(!(inbound.talk || inbound.short_data || inbound.emergency || inbound.ceiling.dispatcher));
    assert_eq!((inbound.ceiling.tier, inbound.ceiling.level), (Tier::Normal, Level(16)));
    assert!(!(outbound.talk || outbound.short_data || outbound.emergency));
    let fire = &config.talkgroups[1];
    assert!(fire.talk.is_empty() && fire.emergency.is_empty() && fire.peril.is_empty());
    assert_eq!((&*fire.title, fire.level_max, fire.timers), ("fire-1", Level(16), Timers::default()));
}

#[test]
fn relative_paths_count_from_the_files_folder() {
    let config = load(BASE).config;
    assert_eq!(config.state, PathBuf::from("/etc/talkbridge/var/nl"));
    assert_eq!(config.records_file(), PathBuf::from("/etc/talkbridge/var/nl/records.jsonl"));
    assert_eq!(config.identity.key, PathBuf::from("/etc/talkbridge/pki/gw-1.key"));
    assert_eq!(config.trust[0].revoked, Some(PathBuf::from("/etc/talkbridge/pki/revoked.pem")));
    assert_eq!(config.trust[1].root, PathBuf::from("/etc/talkbridge/be-root.pem"), "an absolute path stays");
    assert_eq!(config.store, Some(PathBuf::from("/etc/talkbridge/var/nl/messages.sqlite")));
}

#[test]
fn dates_are_compared_across_offsets() {
    let bridge = &load(BASE).config.bridges[0];
    assert!(!bridge.holds_at(datetime!(2025-12-31 23:59:59 UTC)));
    assert!(bridge.holds_at(datetime!(2026-01-01 00:00:00 UTC)));
    assert!(bridge.holds_at(datetime!(2026-12-31 23:59:59 UTC)));
    assert!(!bridge.holds_at(datetime!(2027-01-01 00:00:00 UTC)));
}

#[test]
fn a_reload_tells_what_changed() {
    let old = load(BASE).config;
    assert_eq!(old, load(BASE).config);
    assert_eq!(old.changes_since(&old), super::Changes::default());
    let new = load(&BASE.replace("level_max = 64", "level_max = 65").replace("127.0.0.1:7001", "127.0.0.1:7009")).config;
    let changes = new.changes_since(&old);
    assert_eq!((changes.live, changes.restart), (vec!["talkgroup"], vec!["listen"]));
}

#[test]
fn doubtful_configurations_are_remarked_on_with_their_line() {
    for (from, to, line, field) in [
        ("for = [\"units\"]", "for = [\"peers\"]", 1, "trust"),
        ("join = [\"nl/*/*\"]\n", "", 29, "talkgroup.join"),
        ("join = [\"nl/*/*\", \"be", "talk = [\"de/*/*\"]\njoin = [\"nl/*/*\", \"be", 40, "talkgroup.talk"),
        ("emergency = [\"nl/unit/*\"]", "emergency = [\"be/*/*\"]", 34, "talkgroup.emergency"),
        ("emergency = [\"nl/unit/*\"]", "emergency = []\nperil = [\"be/unit/*\"]", 35, "talkgroup.peril"),
        ("t2_emergency_s = 90", "t2_emergency_s = 20", 36, "talkgroup.timers.t2_emergency_s"),
        ("address = \"127.0.0.1:7102\"\n", "", 44, "peer.address"),
        ("rate_kbps = 256", "rate_kbps = 40", 46, "peer.rate_kbps"),
        ("tier = \"emergency\"", "tier = \"peril\"", 52, "bridge.inbound.emergency"),
        ("outbound = { talk = true", "outbound = { talk = false", 53, "bridge.outbound.emergency"),
        ("onward = []", "onward = [\"de\"]", 54, "bridge.onward"),
    ] {
        assert_eq!(BASE.matches(from).count(), 1, "{from}");
        let warnings = load(&BASE.replace(from, to)).warnings;
        assert!(warnings.iter().any(|warning| warning.line == line && warning.field == field), "{from} -> {to}: {warnings:#?}");
    }
}

#[test]
fn the_explanation_says_who_may_do_what() {
    let text = BASE.replace("address = \"127.0.0.1:7102\"\n", "");
    insta::assert_snapshot!(explain(&load(&text), datetime!(2026-06-01 12:00 UTC)));
}

#[test]
fn without_talk_no_emergency_crosses_and_nobody_says_it_does() {
    let text = BASE.replace("inbound = { talk = true", "inbound = { talk = false");
    let text = text.replace("outbound = { talk = true, short_data = true", "outbound = { talk = false, short_data = true");
    let loaded = load(&text);
    for field in ["bridge.inbound.emergency", "bridge.outbound.emergency"] {
        let warning = loaded.warnings.iter().find(|warning| warning.field == field).unwrap_or_else(|| panic!("no remark on {field}"));
        assert!(warning.message.contains("emergencies neither"), "{warning:?}");
    }
    let told = explain(&loaded, datetime!(2026-06-01 12:00 UTC));
    assert!(told.contains("be may here   do nothing") && told.contains("nl may there  send short data,"), "{told}");
    assert!(!told.contains("raise an emergency"), "{told}");
    let low = load(&BASE.replace("tier = \"emergency\"", "tier = \"peril\""));
    assert!(explain(&low, datetime!(2026-06-01 12:00 UTC)).contains("be may here   talk\n"));
}

#[test]
fn agreements_that_no_message_could_carry_are_refused() {
    let (head, bridge) = BASE.split_once("[[bridge]]").unwrap();
    let many = |count: usize, name: &str| {
        let mut text = head.to_owned();
        for number in 0..count {
            text.push_str(&format!("[[talkgroup]]\nname = \"tg-{number}\"\njoin = [\"nl/*/*\"]\n"));
            let bridge = bridge.replace("nl/pol-1", &format!("nl/tg-{number}")).replace("be/lux-3", &format!("be/tg-{number}"));
            let bridge = bridge.replace("EMR-2026-01", &format!("{name}{number:03}"));
            text.push_str(&format!("[[bridge]]{bridge}\n"));
        }
        text
    };
    assert_eq!(load(&many(40, "EMR-")).config.bridges.len(), 40);
    let long = "\u{4e00}".repeat(60);
    let error = Config::from_text(Path::new("nl.toml"), &many(100, &long), false).unwrap_err().to_string();
    assert!(error.contains(": bridge.agreement: ") && error.contains("do not fit one message any more"), "{error}");
}

#[test]
fn an_agreement_out_of_its_dates_is_pointed_out() {
    let late = explain(&load(BASE), datetime!(2027-06-01 12:00 UTC));
    assert!(late.contains("from 2026-01-01T00:00:00Z until 2027-01-01T02:00:00+02:00: NOT IN FORCE NOW"), "{late}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/nl.toml")).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(error.to_string().starts_with("/nowhere/nl.toml: cannot be read"), "{error}");
}

/// A folder with a configuration and the certificates it names, made with a gateway name and days of validity.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(san: &str, days: i64) -> Self {
        Self::made_for(&[ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth], san, days)
    }

    fn made_for(purposes: &[ExtendedKeyUsagePurpose], san: &str, days: i64) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = vec![SanType::URI(san.try_into().unwrap())];
        leaf.extended_key_usages = purposes.to_vec();
        leaf.not_before = OffsetDateTime::now_utc() - time::Duration::days(400);
        leaf.not_after = OffsetDateTime::now_utc() + time::Duration::days(days);
        let leaf = leaf.signed_by(&key, &root).unwrap();
        std::fs::create_dir(site.path("pki")).unwrap();
        site.write("pki/root.pem", &root.pem());
        site.write("pki/gw-1.pem", &leaf.pem());
        site.write("pki/gw-1.key", &key.serialize_pem());
        let text = BASE.replace("/etc/talkbridge/be-root.pem", "pki/root.pem").replace("revoked = \"pki/revoked.pem\"", "");
        site.write("nl.toml", &text);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Keys are private from the start, as `pki` writes them.
    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("nl.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        self.write("nl.toml", &text.replace(from, to));
    }

    fn fault(&self) -> String {
        let text = Config::load(&self.path("nl.toml")).unwrap_err().to_string();
        text.strip_prefix(&format!("{}:", self.path("nl.toml").display())).unwrap().to_owned()
    }
}

const GW_1: &str = "talkbridge://nl/gateway/gw-1";

#[test]
fn good_files_pass_and_a_running_gateways_client_needs_none() {
    let site = Site::new(GW_1, 90);
    assert_eq!(Config::load(&site.path("nl.toml")).unwrap().warnings, []);
    std::fs::remove_dir_all(site.path("pki")).unwrap();
    assert!(Config::load_without_files(&site.path("nl.toml")).is_ok());
}

#[test]
fn a_missing_file_is_told_apart_from_a_wrong_one() {
    for (name, start) in
        [("pki/gw-1.pem", "11: identity.certificate: "), ("pki/gw-1.key", "12: identity.key: "), ("pki/root.pem", "16: trust.root: ")]
    {
        let site = Site::new(GW_1, 90);
        site.write(name, "no pem");
        assert!(site.fault().starts_with(start) && site.fault().contains("holds no PEM block"), "{}", site.fault());
        std::fs::remove_file(site.path(name)).unwrap();
        assert!(site.fault().starts_with(start) && site.fault().contains("does not exist; create it"), "{}", site.fault());
    }
}

#[test]
fn the_certificate_must_name_this_gateway_and_be_in_force() {
    let other = Site::new("talkbridge://nl/unit/gw-1", 90);
    assert!(other.fault().contains("identity.certificate: ") && other.fault().contains("but this gateway is 'nl/gateway/gw-1'"));
    let late = Site::new(GW_1, -1);
    assert!(late.fault().contains("gw-1.pem expired on "), "{}", late.fault());
}

#[test]
fn the_certificate_must_be_made_for_dialling_and_answering() {
    for (purposes, want) in [(&[][..], "TLS clients"), (&[ExtendedKeyUsagePurpose::ClientAuth], "TLS servers")] {
        let fault = Site::made_for(purposes, GW_1, 90).fault();
        assert!(fault.starts_with("11: identity.certificate: ") && fault.contains(want), "{fault}");
    }
}

#[test]
fn the_key_must_belong_to_the_certificate() {
    let site = Site::new(GW_1, 90);
    site.write("pki/gw-1.key", &KeyPair::generate().unwrap().serialize_pem());
    assert!(site.fault().starts_with("12: identity.key: ") && site.fault().contains("does not serve"), "{}", site.fault());
}

#[test]
fn a_leaf_is_no_root_and_a_certificate_no_revocation_list() {
    let site = Site::new(GW_1, 90);
    site.edit("root = \"pki/root.pem\"\n\nfor", "root = \"pki/gw-1.pem\"\nfor");
    assert!(site.fault().contains("16: trust.root: ") && site.fault().contains("is not a root"), "{}", site.fault());
    let site = Site::new(GW_1, 90);
    site.edit("for = [\"units\"]", "revoked = \"pki/root.pem\"\nfor = [\"units\"]");
    assert!(site.fault().contains("trust.revoked: ") && site.fault().contains("X509 CRL"), "{}", site.fault());
}

#[test]
fn a_certificate_near_its_end_and_an_open_key_are_remarked_on() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new(GW_1, 5);
    std::fs::set_permissions(site.path("pki/gw-1.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = Config::load(&site.path("nl.toml")).unwrap().warnings;
    let fields: Vec<&str> = warnings.iter().map(|warning| warning.field.as_str()).collect();
    assert_eq!(fields, ["identity.certificate", "identity.key"], "{warnings:#?}");
}

#[test]
fn the_example_configurations_are_valid_and_word_the_same_agreement() {
    let example = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(name);
        let loaded = Config::load_without_files(&path).unwrap();
        assert_eq!(loaded.warnings, [], "{name}");
        loaded.config
    };
    let (nl, be) = (example("gateway-nl.toml"), example("gateway-be.toml"));
    let (ours, theirs) = (&nl.bridges[0], &be.bridges[0]);
    assert!(ours.is_home() && !theirs.is_home());
    assert_eq!((&ours.terms.home, &ours.terms.partner), (&theirs.terms.home, &theirs.terms.partner));
    assert_eq!(ours.terms.onward, theirs.terms.onward);
    assert_eq!(nl.peers[0].address, be.listen.peers.first().copied());
    assert_eq!(be.peers[0].address, nl.listen.peers.first().copied());
}
