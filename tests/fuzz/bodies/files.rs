//! Files that an operator or user names: configurations, the PEM files behind them, recordings. A bad one is refused with one
//! line that names the place; a good one can be explained, planned and run.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use client::UnitConfig;
use engine::hub::{Caller, Hub};
use gateway::config::{Changes, Config};
use gateway::{check, plan};
use media::pcm::VOICE_HZ;
use media::wav;
use time::OffsetDateTime;
use wire::control::{Hello, Message};
use wire::{Epoch, SessionId};

use super::{Script, epoch};

/// Where the fixtures lie, from this crate or from the product's root.
fn fixtures() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [root.join("bodies/fixtures"), root.join("tests/fuzz/bodies/fixtures")].into_iter().find(|path| path.exists()).expect("the fixtures")
}

/// A fixture: made once by `tests/corpora.rs`, never secret.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = fixtures().join(name);
    std::fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// One line `FILE:LINE: FIELD: message`, whatever stands in the file.
fn assert_one_line(error: &dyn std::fmt::Display, file: &Path, lines: usize) {
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    let place = text.strip_prefix(&format!("{}:", file.display())).unwrap_or_else(|| panic!("names no file: {text}"));
    let line: usize = place.split(':').next().and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("names no line: {text}"));
    assert!((1..=lines + 1).contains(&line), "line {line} of {lines}: {text}");
}

/// A gateway's configuration, without the files it names.
pub(crate) fn gateway_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new("/etc/talkbridge/gateway.toml");
    match Config::from_text(file, text, false) {
        Ok(loaded) => {
            let explained = check::explain(&loaded, OffsetDateTime::UNIX_EPOCH);
            assert!(explained.contains(&loaded.config.gateway.to_string()));
            assert_eq!(loaded.config.changes_since(&loaded.config), Changes::default());
            run(&loaded.config);
        }
        Err(error) => assert_one_line(&error, file, text.lines().count()),
    }
}

/// A gateway with this configuration lets a unit in and answers it.
fn run(config: &Config) {
    let now = epoch();
    let mut hub = Hub::new(plan::plan_of(config), Epoch(1), 1_800_000_000, now);
    let (session, identity) = (SessionId(1), format!("{}/unit/fuzz", config.authority()));
    let caller = Caller { identity: identity.parse().expect("an identity"), alias: String::new(), agency: String::new() };
    hub.handle_connected(session, caller, false, now);
    hub.handle_message(session, Message::Hello(Hello::ours()), now);
    for talkgroup in config.talkgroups.iter().take(70) {
        hub.handle_message(session, Message::Affiliate(talkgroup.id.clone()), now);
    }
    hub.handle_datagram(session, Bytes::from_static(b"\x20\0\0\0\x01\0\0\0\0"), now);
    assert!(hub.has_output());
    let _ = hub.status(now);
}

/// One PEM file of a gateway that is otherwise sound: the first byte says which one.
pub(crate) fn gateway_files(data: &[u8]) {
    let mut script = Script::new(data);
    let which = *script.pick(&["gw-1.pem", "gw-1.key", "root.pem", "revoked.pem"]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(which), script.rest()).expect("a file");
    let at = |name: &str| {
        let sound = match name {
            "gw-1.pem" => "gateway.pem",
            "gw-1.key" => "rfc8410.key",
            other => other,
        };
        let path = if name == which { folder.path().join(name) } else { fixtures().join(sound) };
        path.display().to_string()
    };
    let text = format!(
        r#"authority = "nl"
name = "fuzz"
state = "var"
listen = {{ units = ["127.0.0.1:7001"] }}
identity = {{ certificate = "{}", key = "{}" }}
[[trust]]
authority = "nl"
root = "{}"
revoked = "{}"
for = ["units"]
"#,
        at("gw-1.pem"),
        at("gw-1.key"),
        at("root.pem"),
        at("revoked.pem"),
    );
    let file = Path::new("/etc/talkbridge/gateway.toml");
    if let Err(error) = Config::from_text(file, &text, true) {
        assert_one_line(&error, file, text.lines().count());
    }
}

/// A unit's configuration; the files it may name are the fixtures.
pub(crate) fn unit_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = fixtures().join("unit.toml");
    match UnitConfig::from_text(&file, text) {
        Ok(config) => assert!(!config.gateways.is_empty() && config.rate_kbps >= 64),
        Err(error) => assert_one_line(&error, &file, text.lines().count()),
    }
}

/// A recording to be spoken.
pub(crate) fn wav(data: &[u8]) {
    let file = Path::new("speech.wav");
    match wav::decode(file, Cursor::new(data)) {
        // Two bytes a sample, and the lowest rate accepted is doubled: no more can come out than went in.
        Ok(samples) => {
            assert!(samples.len() <= data.len() / 2 * usize::try_from(VOICE_HZ / 8_000).expect("small") + 1, "{}", samples.len())
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("speech.wav") && text.lines().count() == 1, "{text}");
        }
    }
}
