//! Which side makes the session between two gateways: one, once, whoever starts first and whoever has a port.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::World;
use crate::support::scene;

#[test]
fn a_peer_that_comes_up_inside_a_dial_keeps_the_session_it_makes() {
    scene(61, async |world| {
        world.country("be").toml.peer("nl").address = Some("10.0.0.1:7101".into());
        world.start("nl");
        // nl has yielded to the lower identity for 2 s and dials when be comes up, which dials at once.
        sleep(Duration::from_millis(2_100)).await;
        world.start("be");
        world.until("the bridge is active", World::is_whole).await;
        sleep(Duration::from_secs(4)).await;
        for code in ["nl", "be"] {
            let link = &world.status(code).links[0];
            assert_eq!(link.lost_count, 0, "{code}: {link:?}");
        }
        assert!(world.is_whole());
    });
}

#[test]
fn a_gateway_without_a_peer_port_dials() {
    scene(62, async |world| {
        world.country("nl").toml.peer_port = false;
        world.start("nl");
        world.start("be");
        world.until("the bridge is active", World::is_whole).await;
        let started = tokio::time::Instant::now();
        world.drain("nl").await;
        assert!(started.elapsed() < Duration::from_secs(1), "its farewell is sent: {:?}", started.elapsed());
        world.until("be is told", |world| world.bridge_state("be") == "away").await;
    });
}
