//! The unit's configuration says where it is wrong, in one line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pki::{Authority, Kind, Request};

use crate::{ConfigError, UnitConfig};

const GOOD: &str = r#"# unit
identity   = { certificate = "maas-12.pem", key = "maas-12.key" }
roots      = { nl = "root.pem" }
gateways   = ["127.0.0.1:7001", "[::1]:7001"]
talkgroups = ["nl/pol-1"]
state      = "var/maas-12"
rate_kbps  = 256
"#;

/// A folder with an authority, a unit and a gateway of it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::generate("nl").unwrap();
    authority.save(folder.path()).unwrap();
    for (kind, name) in [(Kind::Unit, "maas-12"), (Kind::Unit, "other"), (Kind::Gateway, "gw-1")] {
        authority.issue(&Request::new(kind, name)).unwrap().save(folder.path()).unwrap();
    }
    folder
}

/// The file with that text.
fn written(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("unit.toml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_good_file_is_read_relative_to_its_folder() {
    let folder = folder();
    let config = UnitConfig::load(&written(folder.path(), GOOD)).unwrap();
    assert_eq!(config.own.identity().to_string(), "nl/unit/maas-12");
    assert_eq!(config.gateways.len(), 2);
    assert_eq!(config.state, Some(folder.path().join("var/maas-12")));
    let settings = config.settings(config.talkgroups.clone(), Duration::from_secs(5));
    assert!(config.replay, "allowed unless the file says otherwise");
    assert_eq!((settings.rate_kbps, settings.talkgroups[0].to_string().as_str()), (256, "nl/pol-1"));
    let short = UnitConfig::load(&written(folder.path(), &GOOD.lines().take(4).collect::<Vec<_>>().join("\n"))).unwrap();
    assert_eq!((short.rate_kbps, short.talkgroups.len(), short.state), (128, 0, None));
}

#[test]
fn every_mistake_names_line_and_field() {
    let folder = folder();
    let cases = [
        ("maas-12.pem", "nobody.pem", 2, "identity.certificate"),
        ("maas-12.key", "nobody.key", 2, "identity.key"),
        ("maas-12.key", "other.key", 2, "identity.key"),
        ("maas-12.key", "root.pem", 2, "identity.key"),
        (
            r#"{ certificate = "maas-12.pem", key = "maas-12.key" }"#,
            r#"{ certificate = "gw-1.pem", key = "gw-1.key" }"#,
            2,
            "identity.certificate",
        ),
        (r#"{ nl = "root.pem" }"#, "{ }", 3, "roots"),
        ("nl = \"root.pem\"", "NL = \"root.pem\"", 3, "roots.NL"),
        ("root.pem", "nobody.pem", 3, "roots.nl"),
        ("root.pem", "maas-12.key", 3, "roots.nl"),
        (r#"["127.0.0.1:7001", "[::1]:7001"]"#, "[]", 4, "gateways"),
        ("127.0.0.1:7001", "127.0.0.1", 4, "gateways"),
        ("nl/pol-1", "pol-1", 5, "talkgroups"),
        ("\"var/maas-12\"", "7", 6, "state"),
        ("256", "8", 7, "rate_kbps"),
        ("256", "-8", 7, "rate_kbps"),
        ("rate_kbps ", "rate ", 7, "rate"),
        ("gateways   =", "#", 1, "gateways"),
        ("roots      =", "roots      ", 3, ""),
    ];
    for (good, bad, line, field) in cases {
        let text = GOOD.replace(good, bad);
        assert_ne!(text, GOOD, "{good}");
        let error = UnitConfig::load(&written(folder.path(), &text)).err().unwrap_or_else(|| panic!("{bad} was taken"));
        let shown = error.to_string();
        assert_eq!(shown.lines().count(), 1, "{shown}");
        let ConfigError::Field { line: got_line, field: got_field, .. } = error else { panic!("{shown}") };
        assert_eq!(got_line, line, "{shown}");
        assert!(field.is_empty() || got_field == field, "{shown}");
        assert!(shown.contains(&format!("unit.toml:{line}: ")), "{shown}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = UnitConfig::load(Path::new("/nonexistent/unit.toml")).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/unit.toml: "), "{error}");
}
