//! What an operator changes under a running gateway: all of it is taken over or nothing, and no revocation is lost.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use pki::{Authority, Kind, Lifetime, Request};
use tempfile::TempDir;
use tokio::sync::mpsc;
use transport::clock;
use wire::Epoch;

use crate::config::Config;
use crate::driver::Input;
use crate::gateway::Controls;
use crate::operator::Operator;
use crate::records::{Record, Records};
use crate::redact::Redactor;
use crate::report::Reporter;
use crate::status::StatusBoard;
use crate::wall::Wall;

const TOML: &str = r#"authority = "nl"
name = "gw-1"
state = "var"
listen = { units = ["127.0.0.1:7001"] }
identity = { certificate = "gw-1.pem", key = "gw-1.key" }
trust = [{ authority = "nl", root = "root.pem", revoked = "revoked.pem", for = ["units"] }]
"#;

/// The folder of a gateway, and its operator with the controls of nobody.
struct Desk {
    folder: TempDir,
    operator: Operator,
    told: mpsc::Receiver<Input>,
    records: std::sync::Arc<std::sync::Mutex<Vec<Record>>>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        Authority::generate("nl").unwrap().save(folder.path()).unwrap();
        let desk = |name: &str| folder.path().join(name);
        issue(&desk(""), "nl", &Request::new(Kind::Gateway, "gw-1"));
        issue(&desk(""), "nl", &Request::new(Kind::Unit, "maas-12"));
        fs::write(&path, TOML).unwrap();
        let (loaded, material) = Config::prepare(&path).unwrap();
        fs::create_dir_all(&loaded.config.state).unwrap();
        let (controls, told) = Controls::of_nobody();
        let (sink, records) = Records::sink_for_tests();
        let board = StatusBoard::default();
        let gateway = loaded.config.gateway.clone();
        let (reporter, _) = Reporter::new(gateway, sink, board.clone(), Redactor::new(true), clock::system(), Epoch(1));
        let operator = Operator {
            path,
            wall: Wall::open(&loaded.config.state, clock::system(), Instant::now()),
            epoch_file: loaded.config.state.join("epoch"),
            config: loaded.config,
            controls,
            reporter,
            board,
            seen: material.marks,
            told: None,
        };
        Self { folder, operator, told, records }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, from: &str, to: &str) {
        assert_eq!(TOML.matches(from).count(), 1, "{from}");
        fs::write(self.path("gateway.toml"), TOML.replace(from, to)).unwrap();
    }

    /// Revokes the unit in the list that the configuration names.
    fn revoke(&self) {
        pki::revoke_in(self.folder.path(), &fs::read_to_string(self.path("maas-12.pem")).unwrap()).unwrap();
    }

    /// Puts another certificate in the place of the gateway's.
    fn replace_certificate(&self, from: &str, request: &Request) {
        for name in ["gw-1.pem", "gw-1.key"] {
            fs::remove_file(self.path(name)).unwrap();
        }
        issue(&self.path(from), "nl", request);
        if !from.is_empty() {
            for name in ["gw-1.pem", "gw-1.key"] {
                fs::rename(self.path(from).join(name), self.path(name)).unwrap();
            }
        }
    }

    /// Whether lists were put in force since the last question.
    fn lists_renewed(&mut self) -> bool {
        matches!(self.told.try_recv(), Ok(Input::Sweep))
    }

    /// Reloads: whether that was taken over, and the outcome as recorded.
    async fn reload(&mut self) -> (bool, String) {
        self.operator.reload().await;
        let outcome = self.records.lock().unwrap().last().and_then(|record| record.outcome.clone()).unwrap();
        (matches!(self.told.try_recv(), Ok(Input::Apply(_))), outcome)
    }
}

fn issue(folder: &std::path::Path, code: &str, request: &Request) {
    let authority = if folder.join("root.key").exists() { Authority::load(folder) } else { Authority::generate(code) };
    authority.unwrap().issue(request).unwrap().save(folder).unwrap();
}

#[tokio::test]
async fn a_revocation_just_before_a_refused_reload_is_not_lost() {
    let mut desk = Desk::new();
    desk.operator.renew_lists().await;
    assert!(!desk.lists_renewed(), "nothing changed");
    desk.revoke();
    desk.configure("name = \"gw-1\"", "name = \"GW 1\"");
    let (applied, outcome) = desk.reload().await;
    assert!(!applied && outcome.contains("gateway.toml:2: name: "), "{outcome}");
    desk.operator.renew_lists().await;
    assert!(desk.lists_renewed(), "the list changed before the reload that was refused");
}

#[tokio::test]
async fn a_revocation_between_reading_and_serving_is_not_lost() {
    // The list changes after the start has read it and before anybody watches it.
    let mut desk = Desk::new();
    desk.revoke();
    desk.operator.renew_lists().await;
    assert!(desk.lists_renewed());
    desk.operator.renew_lists().await;
    assert!(!desk.lists_renewed(), "once is enough");
}

#[tokio::test]
async fn lists_that_cannot_be_read_are_tried_until_they_can() {
    let mut desk = Desk::new();
    desk.revoke();
    fs::rename(desk.path("root.pem"), desk.path("elsewhere.pem")).unwrap();
    for _ in 0..3 {
        desk.operator.renew_lists().await;
        assert!(!desk.lists_renewed(), "its root is not there");
    }
    fs::rename(desk.path("elsewhere.pem"), desk.path("root.pem")).unwrap();
    desk.operator.renew_lists().await;
    assert!(desk.lists_renewed());
}

#[tokio::test]
async fn a_good_reload_also_takes_the_lists() {
    let mut desk = Desk::new();
    desk.revoke();
    assert_eq!(desk.reload().await, (true, "applied".to_owned()));
    desk.operator.renew_lists().await;
    assert!(!desk.lists_renewed(), "the reload has read them");
}

#[tokio::test]
async fn a_changed_identity_or_state_folder_refuses_the_whole_reload() {
    for (from, to, part) in [("state = \"var\"", "state = \"other\"", "state"), ("name = \"gw-1\"", "name = \"gw-2\"", "name")] {
        let mut desk = Desk::new();
        if part == "name" {
            desk.replace_certificate("", &Request::new(Kind::Gateway, "gw-2").alias("x"));
            desk.configure("gw-1.pem\", key = \"gw-1.key", "gw-2.pem\", key = \"gw-2.key");
            let text = fs::read_to_string(desk.path("gateway.toml")).unwrap().replace(from, to);
            fs::write(desk.path("gateway.toml"), text).unwrap();
        } else {
            desk.configure(from, to);
        }
        let before = desk.operator.config.clone();
        let (applied, outcome) = desk.reload().await;
        assert!(!applied && outcome.contains(&format!(" {part}: changed")), "{outcome}");
        assert_eq!(desk.operator.config, before);
    }
}

#[tokio::test]
async fn a_changed_port_needs_a_restart_and_the_rest_is_taken_over() {
    let mut desk = Desk::new();
    desk.configure("listen = { units = [\"127.0.0.1:7001\"] }", "standby = true\nlisten = { units = [\"127.0.0.1:7009\"] }");
    assert_eq!(desk.reload().await, (true, "applied".to_owned()));
    assert!(desk.operator.config.standby && desk.operator.config.listen.units[0].port() == 7_001);
}

#[tokio::test]
async fn an_own_certificate_that_nobody_would_believe_is_never_swapped_in() {
    let ended = Request::new(Kind::Gateway, "gw-1").lifetime(Lifetime::until_rfc3339("2026-01-01T00:00:00Z").unwrap());
    let gateway = Request::new(Kind::Gateway, "gw-1");
    for (from, request, why) in [
        ("elsewhere", &gateway, "was not issued under"),
        ("", &ended, "expired on 2026-01-01"),
        ("", &Request::new(Kind::Unit, "gw-1"), "names 'talkbridge://nl/unit/gw-1'"),
    ] {
        let mut desk = Desk::new();
        desk.replace_certificate(from, request);
        let (applied, outcome) = desk.reload().await;
        assert!(!applied, "{outcome}");
        for part in ["gateway.toml:5: identity.certificate: ", "gw-1.pem", why] {
            assert!(outcome.contains(part), "{outcome} without {part}");
        }
    }
    let mut desk = Desk::new();
    pki::revoke_in(desk.folder.path(), &fs::read_to_string(desk.path("gw-1.pem")).unwrap()).unwrap();
    let (applied, outcome) = desk.reload().await;
    assert!(!applied && outcome.contains("(certificate_revoked)"), "{outcome}");
    desk.replace_certificate("", &gateway);
    assert_eq!(desk.reload().await, (true, "applied".to_owned()), "a renewed one is taken");
}
