//! Two countries as folders, processes and free ports on loopback.

pub(crate) mod ports;
mod process;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use pki::{Authority, Kind, Lifetime, Request};
use serde_json::Value;
use tempfile::TempDir;

use process::{PATIENCE, binary};
pub(crate) use process::{Process, at_ms, say, wait_for};

/// One country's ports.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) units: u16,
    pub(crate) peers: u16,
    pub(crate) console: u16,
}

impl Ports {
    fn free() -> Self {
        Self { units: ports::free(), peers: ports::free(), console: ports::free() }
    }
}

/// Two countries as folders.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) nl: Ports,
    pub(crate) be: Ports,
}

impl Stage {
    /// Makes authorities, gateway certificates and configurations.
    pub(crate) fn new() -> Self {
        let stage = Self { folder: TempDir::new().expect("a folder"), nl: Ports::free(), be: Ports::free() };
        for code in ["nl", "be"] {
            Authority::generate(code).expect("a name").save(&stage.path(code)).expect("a folder");
            stage.issue(code, Kind::Gateway, "gw-1", Lifetime::days(90));
        }
        for code in ["nl", "be"] {
            stage.configure(code, |text| text);
            // Asked for the status while the test breaks the other one.
            let folder = stage.path(code);
            fs::copy(folder.join("gateway.toml"), folder.join("status.toml")).expect("a folder");
        }
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn authority(&self, code: &str) -> Authority {
        Authority::load(&self.path(code)).expect("saved before")
    }

    /// Issues a certificate into the country's folder.
    pub(crate) fn issue(&self, code: &str, kind: Kind, name: &str, lifetime: Lifetime) {
        let request = Request::new(kind, name).agency("police").alias(name.to_uppercase()).lifetime(lifetime);
        self.authority(code).issue(&request).expect("a request").save(&self.path(code)).expect("a folder");
    }

    /// Writes a country's configuration, changed by the test.
    pub(crate) fn configure(&self, code: &str, change: impl FnOnce(String) -> String) {
        let (own, far, peer, talkgroup) = if code == "nl" { (self.nl, self.be, "be", "pol-1") } else { (self.be, self.nl, "nl", "lux-3") };
        let text = format!(
            r#"authority = "{code}"
name = "gw-1"
state = "var"
[listen]
units = ["127.0.0.1:{}"]
peers = ["127.0.0.1:{}"]
console = "127.0.0.1:{}"
[identity]
certificate = "gw-1.pem"
key = "gw-1.key"
[[trust]]
authority = "{code}"
root = "root.pem"
revoked = "revoked.pem"
for = ["units"]
[[trust]]
authority = "{peer}"
root = "../{peer}/root.pem"
revoked = "../{peer}/revoked.pem"
for = ["peers"]
[[talkgroup]]
name = "{talkgroup}"
title = "Test"
agency = "police"
join = ["{code}/*/*"]
talk = ["{code}/*/*"]
emergency = ["{code}/*/*"]
level_max = 64
[[peer]]
authority = "{peer}"
name = "gw-1"
address = "127.0.0.1:{}"
[[bridge]]
agreement = "EMR-2026-01"
home = "nl/pol-1"
partner = "be/lux-3"
inbound = {{ talk = true, emergency = true, ceiling = {{ tier = "emergency", level = 64, dispatcher = false }} }}
outbound = {{ talk = true, emergency = true }}
"#,
            own.units, own.peers, own.console, far.peers
        );
        fs::write(self.path(code).join("gateway.toml"), change(text)).expect("a folder");
    }

    /// Starts a country's gateway and waits until its ports are bound.
    pub(crate) fn gateway(&self, code: &str) -> Process {
        let config = self.path(code).join("gateway.toml");
        let process = Process::start("talkbridge", &["run", "--config", config.to_str().expect("UTF-8")]);
        process.until("'gateway runs'", |process| process.errors().contains("gateway runs").then_some(()));
        process
    }

    /// Both gateways, with an active bridge.
    pub(crate) fn bridged(&self) -> (Process, Process) {
        let (nl, be) = (self.gateway("nl"), self.gateway("be"));
        self.until_bridge("nl", "active");
        self.until_bridge("be", "active");
        (nl, be)
    }

    /// `talkbridge status --json` of a country.
    pub(crate) fn status(&self, code: &str) -> Value {
        let config = self.path(code).join("status.toml");
        let output = Command::new(binary("talkbridge")).args(["status", "--json", "--config"]).arg(config).output().expect("starts");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Waits until the bridge of a country is in that state.
    pub(crate) fn until_bridge(&self, code: &str, state: &str) {
        let until = Instant::now() + PATIENCE;
        while self.status(code)["bridges"][0]["state"] != state {
            assert!(Instant::now() < until, "the bridge of {code} is not {state}: {}", self.status(code));
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes a unit's configuration; issues its certificate unless there is one.
    pub(crate) fn unit(&self, code: &str, name: &str) -> String {
        let port = if code == "nl" { self.nl.units } else { self.be.units };
        self.unit_at(code, name, port)
    }

    /// As [`Self::unit`], dialling any port.
    pub(crate) fn unit_at(&self, code: &str, name: &str, port: u16) -> String {
        let folder = self.path(code);
        if !folder.join(format!("{name}.pem")).exists() {
            self.issue(code, Kind::Unit, name, Lifetime::days(90));
        }
        let talkgroup = if code == "nl" { "nl/pol-1" } else { "be/lux-3" };
        let text = format!(
            r#"identity = {{ certificate = "{name}.pem", key = "{name}.key" }}
roots = {{ {code} = "root.pem" }}
gateways = ["127.0.0.1:{port}"]
talkgroups = ["{talkgroup}"]
"#
        );
        let file = folder.join(format!("{name}-{port}.toml"));
        fs::write(&file, text).expect("a folder");
        file.to_str().expect("UTF-8").to_owned()
    }

    /// Starts `talkbridge-unit` with `--json`.
    pub(crate) fn run(&self, command: &str, config: &str, more: &[&str]) -> Process {
        let talkgroup = if config.contains("/nl/") { "nl/pol-1" } else { "be/lux-3" };
        let mut arguments = vec![command, "--config", config, "--talkgroup", talkgroup, "--json"];
        arguments.extend(more);
        Process::start("talkbridge-unit", &arguments)
    }

    /// A unit that talks with a tone of so many seconds.
    pub(crate) fn talk(&self, config: &str, seconds: u32, more: &[&str]) -> Process {
        let wav = self.tone(seconds);
        let mut arguments = vec!["--wav", wav.to_str().expect("UTF-8")];
        arguments.extend(more);
        self.run("talk", config, &arguments)
    }

    /// A WAV file with a tone.
    pub(crate) fn tone(&self, seconds: u32) -> PathBuf {
        let path = self.path(&format!("tone-{seconds}.wav"));
        if !path.exists() {
            let samples = media::tone::burst(440, seconds * 1_000);
            let mut bytes = Vec::new();
            let data = u32::try_from(samples.len() * 2).expect("a short tone");
            bytes.extend_from_slice(b"RIFF");
            bytes.extend_from_slice(&(36 + data).to_le_bytes());
            bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
            bytes.extend_from_slice(&16_000_u32.to_le_bytes());
            bytes.extend_from_slice(&32_000_u32.to_le_bytes());
            bytes.extend_from_slice(b"\x02\0\x10\0data");
            bytes.extend_from_slice(&data.to_le_bytes());
            bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
            fs::write(&path, bytes).expect("a folder");
        }
        path
    }
}
