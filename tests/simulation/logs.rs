//! What the logs of a gateway give away: with everything told, nobody's name and nobody's address.

use std::time::Duration;

use gateway::redact::Redactor;
use pki::{Authority, Kind, Request};
use testkit::Capture;
use tokio::time::sleep;
use tracing::Level;
use wire::Tier;

use crate::support::{World, scene};

#[test]
fn a_whole_day_of_debug_logs_names_nobody() {
    scene(95, async |world| {
        let log = Capture::start(Level::DEBUG);
        world.redactor = Redactor::new(false);
        // be cannot be reached yet.
        world.start("nl");
        sleep(Duration::from_secs(8)).await;
        world.start("be");
        world.until("the bridge is active", World::is_whole).await;
        let mut maas = world.radio("nl", "maas-12").await;
        let mut lux = world.radio("be", "lux-1").await;
        maas.press().await;
        sleep(Duration::from_millis(300)).await;
        lux.press_tier(Tier::Emergency).await;
        sleep(Duration::from_millis(300)).await;
        lux.release().await;
        maas.release().await;
        // Callers refused by either port, and one that speaks no protocol.
        let impostor = Authority::generate("nl").expect("a name").issue(&Request::new(Kind::Unit, "impostor")).expect("a request");
        world.radio_with("nl", &impostor, "10.0.0.1").refused().await;
        let stray = world.issue("be", Kind::Unit, "stray");
        world.radio_at("be", &stray, "10.0.1.1:7101").refused().await;
        let mut raw = world.raw("nl", "garbler").await;
        raw.send.write_all(&[0, 0, 0, 2, 0xff, 0xff]).await.expect("a live connection");
        raw.connection.closed().await;
        world.kill("be");
        sleep(Duration::from_secs(5)).await;
        world.drain("nl").await;
        let ours = |line: &String| line.contains("talkbridge_gateway") || line.contains("talkbridge_transport");
        let lines: Vec<String> = log.lines().into_iter().filter(ours).collect();
        for told in ["session up", "session down", "caller refused", "peer cannot be reached", "group emergency", "handshake refused"] {
            assert!(lines.iter().any(|line| line.contains(told)), "nothing of '{told}' was logged");
        }
        for name in ["maas-12", "lux-1", "impostor", "stray", "garbler", "gw-1", "10.0.", "10.1."] {
            let told: Vec<&String> = lines.iter().filter(|line| line.contains(name)).collect();
            assert!(told.is_empty(), "'{name}' is told: {told:#?}");
        }
    });
}
