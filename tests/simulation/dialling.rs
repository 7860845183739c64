//! Which side makes the session between two gateways: one, once, whoever starts first and whoever has a port.

use std::time::Duration;

use testkit::clock::run;
use tokio::time::sleep;

use crate::support::World;

const BUDGET: Duration = Duration::from_secs(120);

fn is_bridged(world: &World) -> bool {
    world.bridge_state("nl") == "active" && world.bridge_state("be") == "active"
}

#[test]
fn a_peer_that_comes_up_inside_a_dial_keeps_the_session_it_makes() {
    run(BUDGET, async {
        let mut world = World::new(61);
        world.country("be").toml.peer_address = Some("10.0.0.1:7101".into());
        world.start("nl");
        // nl has yielded to the lower identity for 2 s and dials when be comes up, which dials at once.
        sleep(Duration::from_millis(2_100)).await;
        world.start("be");
        world.until("the bridge is active", is_bridged).await;
        sleep(Duration::from_secs(4)).await;
        for code in ["nl", "be"] {
            let link = &world.status(code).links[0];
            assert_eq!(link.lost_count, 0, "{code}: {link:?}");
        }
        assert!(is_bridged(&world));
    });
}

#[test]
fn a_gateway_without_a_peer_port_dials() {
    run(BUDGET, async {
        let mut world = World::new(62);
        world.country("nl").toml.peer_port = false;
        world.start("nl");
        world.start("be");
        world.until("the bridge is active", is_bridged).await;
        let started = tokio::time::Instant::now();
        world.controls("nl").drain().await;
        assert!(started.elapsed() < Duration::from_secs(1), "its farewell is sent: {:?}", started.elapsed());
        world.until("be is told", |world| world.bridge_state("be") == "away").await;
    });
}
