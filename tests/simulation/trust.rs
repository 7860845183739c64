//! Who gets in: each refusal by name, within a second, with a record; and live sessions that lose their right.

use std::time::Duration;

use pki::{Authority, Kind, Lifetime, Request};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use wire::Reason;

use crate::support::{World, bridged, scene};

const SECOND: Duration = Duration::from_secs(1);

/// The gateway's records name the refusal.
fn recorded(world: &World, reason: Reason) -> bool {
    recorded_by(world, "nl", reason)
}

fn recorded_by(world: &World, code: &str, reason: Reason) -> bool {
    world.records(code).iter().any(|record| record.outcome.as_deref() == Some(reason.as_str()))
}

#[test]
fn a_unit_at_the_peer_port_is_of_the_wrong_kind() {
    bridged(31, async |world| {
        // be knows no address of nl, so its peer port hears everybody.
        let issued = world.issue("be", Kind::Unit, "lux-1");
        let asked = Instant::now();
        let radio = world.radio_at("be", &issued, "10.0.1.1:7101");
        assert_eq!(radio.refused().await, Reason::WrongKind);
        assert!(asked.elapsed() <= SECOND, "{:?}", asked.elapsed());
        assert!(recorded_by(world, "be", Reason::WrongKind));
    });
}

#[test]
fn a_gateway_at_the_unit_port_is_of_the_wrong_kind() {
    bridged(32, async |world| {
        let issued = world.issue("nl", Kind::Gateway, "gw-9");
        assert_eq!(world.radio_with("nl", &issued, "10.0.0.1").refused().await, Reason::WrongKind);
    });
}

#[test]
fn a_unit_under_a_foreign_root_is_of_an_unknown_authority() {
    bridged(33, async |world| {
        // The right name under the wrong root, and an authority that is trusted on the other port only.
        let impostor = Authority::generate("nl").expect("a name").issue(&Request::new(Kind::Unit, "maas-12")).expect("a request");
        let foreign = world.issue("be", Kind::Unit, "lux-1");
        for issued in [impostor, foreign] {
            let asked = Instant::now();
            let radio = world.radio_with("nl", &issued, "10.0.0.1");
            assert_eq!(radio.refused().await, Reason::UnknownAuthority);
            assert!(asked.elapsed() <= SECOND);
        }
        assert!(recorded(world, Reason::UnknownAuthority));
    });
}

#[test]
fn an_expired_certificate_is_refused_by_name() {
    bridged(34, async |world| {
        let request = Request::new(Kind::Unit, "maas-12").lifetime(Lifetime::until_rfc3339("2026-01-01T00:00:00Z").expect("a date"));
        let issued = world.country("nl").authority.issue(&request).expect("a request");
        assert_eq!(world.radio_with("nl", &issued, "10.0.0.1").refused().await, Reason::CertificateExpired);
        assert!(recorded(world, Reason::CertificateExpired));
    });
}

#[test]
fn a_live_session_ends_with_its_certificate() {
    bridged(35, async |world| {
        // By the clock of the world, which the gateway's is; the real one has nothing to do with it.
        let end = OffsetDateTime::from_unix_timestamp(i64::try_from(world.unix_s()).expect("before 2262") + 20).expect("a date");
        let request = Request::new(Kind::Unit, "maas-12").lifetime(Lifetime::Until(end));
        let issued = world.country("nl").authority.issue(&request).expect("a request");
        let (radio, began) = (world.radio_with("nl", &issued, "10.0.0.1"), Instant::now());
        radio.joined().await;
        let mark = radio.mark();
        sleep(Duration::from_secs(18)).await;
        assert!(radio.is_joined(), "valid until the second named in it");
        assert_eq!(radio.disconnected(mark).await, Reason::CertificateExpired);
        let lived = began.elapsed();
        assert!((Duration::from_secs(20)..Duration::from_secs(23)).contains(&lived), "{lived:?}");
    });
}

#[test]
fn a_revoked_unit_is_refused_and_its_live_session_ends_within_five_seconds() {
    bridged(36, async |world| {
        let issued = world.issue("nl", Kind::Unit, "maas-12");
        let mut radio = world.radio_with("nl", &issued, "10.0.0.1");
        radio.joined().await;
        radio.press().await;
        sleep(Duration::from_millis(300)).await;
        let mark = radio.mark();
        world.country("nl").authority.revoke(issued.certificate_pem()).expect("own certificate");
        let listed = Instant::now();
        world.controls("nl").apply_trust(world.trust_of("nl")).await;
        assert_eq!(radio.disconnected(mark).await, Reason::CertificateRevoked);
        assert!(listed.elapsed() <= Duration::from_secs(5), "{:?}", listed.elapsed());
        radio.hush();
        sleep(Duration::from_millis(500)).await;
        assert!(world.talker("nl").is_none(), "its floor is freed with the session");
        assert_eq!(world.radio_with("nl", &issued, "10.0.0.1").refused().await, Reason::CertificateRevoked);
    });
}

#[test]
fn a_revoked_gateway_loses_the_border() {
    bridged(37, async |world| {
        let near = world.radio("nl", "maas-12").await;
        let mark = near.mark();
        let certificate = world.countries["be"].certificate_pem.clone();
        world.country("be").authority.revoke(&certificate).expect("its own certificate");
        let withdrawn = Instant::now();
        world.controls("nl").apply_trust(world.trust_of("nl")).await;
        near.far_side(mark, false).await;
        assert!(withdrawn.elapsed() <= Duration::from_secs(5), "{:?}", withdrawn.elapsed());
        world.until("the bridge is away at be too", |w| w.bridge_state("be") == "away").await;
    });
}

#[test]
fn a_standby_gateway_sends_its_callers_on() {
    scene(38, async |world| {
        world.country("nl").toml.more = "standby = true".into();
        world.start("nl");
        let issued = world.issue("nl", Kind::Unit, "maas-12");
        assert_eq!(world.radio_with("nl", &issued, "10.0.0.1").refused().await, Reason::Standby);
    });
}

#[test]
fn a_gateway_that_nobody_configured_is_an_unknown_peer() {
    scene(39, async |world| {
        world.start("nl");
        world.country("be").toml.peer("nl").address = Some("10.0.0.1:7101".into());
        // be calls as gw-1, but nl expects another name.
        let text = world.countries["nl"].toml.text().replace("authority = \"be\"\nname = \"gw-1\"", "authority = \"be\"\nname = \"gw-7\"");
        let config = gateway::config::Config::from_text(std::path::Path::new("/test/gateway.toml"), &text, false).expect("valid").config;
        let issued = world.issue("nl", Kind::Gateway, "gw-1");
        let own = transport::identity::OwnIdentity::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes());
        world.controls("nl").apply(config, world.trust_of("nl"), own.expect("valid PEM")).await;
        world.start("be");
        world
            .until("be is refused by name", |w| {
                w.records("be").iter().any(|record| record.outcome.as_deref() == Some(Reason::UnknownPeer.as_str()))
            })
            .await;
        assert_ne!(world.bridge_state("nl"), "active");
    });
}
