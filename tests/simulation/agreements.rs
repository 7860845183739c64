//! What agreements allow: nothing unless both sides say the same, and never more than either side allows.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wire::{DenyCause, Level, Priority, Tier};

use crate::support::config::Bridging;
use crate::support::{World, bridged, scene};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A scene whose two configurations were changed before the start.
fn with(seed: u64, nl: impl FnOnce(&mut Option<Bridging>), be: impl FnOnce(&mut Option<Bridging>), play: impl AsyncFnOnce(&mut World)) {
    scene(seed, async |world| {
        nl(world.country("nl").toml.bridge());
        be(world.country("be").toml.bridge());
        world.start("nl");
        world.start("be");
        world.until("a session between the gateways", |w| w.status("nl").links.first().is_some_and(|l| l.rtt_ms.is_some())).await;
        sleep(ms(500)).await;
        play(world).await;
    });
}

/// Talks at one side and tells whether the other side heard anything.
async fn is_heard(world: &mut World, talker: &str, listener: &str) -> bool {
    let mut mouth = world.radio(talker, "mouth").await;
    let ear = world.radio(listener, "ear").await;
    let since = Instant::now();
    mouth.press().await;
    sleep(ms(500)).await;
    mouth.release().await;
    sleep(ms(300)).await;
    ear.heard_from(&mouth, since) > 0
}

#[test]
fn a_one_sided_agreement_is_pending_and_carries_nothing() {
    with(
        21,
        |_| {},
        |be| *be = None,
        async |world| {
            assert_eq!(world.bridge_state("nl"), "pending");
            let bridge = world.status("nl").bridges[0].clone();
            assert!(bridge.ours.is_some() && bridge.theirs.is_none() && !bridge.why.is_empty(), "{bridge:?}");
            assert!(!is_heard(world, "nl", "be").await);
        },
    );
}

#[test]
fn a_differing_agreement_is_pending_and_shows_both_values() {
    let differs = |be: &mut Option<Bridging>| be.as_mut().expect("configured").home = "nl/pol-2".into();
    with(
        22,
        |_| {},
        differs,
        async |world| {
            assert_eq!(world.bridge_state("nl"), "pending");
            let bridge = world.status("nl").bridges[0].clone();
            assert!(bridge.ours.expect("ours").contains("nl/pol-1"));
            assert!(bridge.theirs.expect("theirs").contains("nl/pol-2"));
            assert!(!is_heard(world, "nl", "be").await);
        },
    );
}

#[test]
fn an_agreement_outside_its_dates_carries_nothing() {
    let expired = |bridge: &mut Option<Bridging>| {
        bridge.as_mut().expect("configured").more = "valid = { from = 2020-01-01T00:00:00Z, until = 2021-01-01T00:00:00Z }".into();
    };
    with(23, expired, expired, async |world| {
        assert_eq!(world.bridge_state("nl"), "outside_dates");
        assert!(!is_heard(world, "nl", "be").await);
    });
}

#[test]
fn each_direction_needs_the_permission_of_both_sides() {
    let mute = |be: &mut Option<Bridging>| be.as_mut().expect("configured").outbound = "{ talk = false }".into();
    with(
        24,
        |_| {},
        mute,
        async |world| {
            assert!(is_heard(world, "nl", "be").await, "nl may still be heard in be");
            let mut lux = world.radio("be", "lux-1").await;
            let mark = lux.mark();
            lux.press().await;
            assert_eq!(lux.denied(mark).await, DenyCause::BridgeForbids);
            lux.release().await;
        },
    );
}

#[test]
fn a_ceiling_denies_tiers_and_clamps_levels() {
    let low = |nl: &mut Option<Bridging>| {
        let words = "{ talk = true, emergency = false, ceiling = { tier = \"normal\", level = 20, dispatcher = false } }";
        nl.as_mut().expect("configured").inbound = words.into();
    };
    with(
        25,
        low,
        |_| {},
        async |world| {
            let mut maas = world.radio("nl", "maas-12").await;
            let mut lux = world.radio("be", "lux-1").await;
            // Level 60 counts as 20 here, so 21 pre-empts it.
            lux.press_at(Priority::normal(60)).await;
            lux.granted(0).await;
            let mark = lux.mark();
            maas.press_at(Priority { level: Level(21), ..Priority::normal(0) }).await;
            assert_eq!(lux.revoked(mark).await, wire::RevokeCause::Preempted);
            lux.release().await;
            maas.granted(0).await;
            maas.release().await;
            sleep(ms(500)).await;
            let mark = lux.mark();
            lux.press_tier(Tier::Peril).await;
            assert_eq!(lux.denied(mark).await, DenyCause::PerilNotAllowed);
            lux.release().await;
        },
    );
}

#[test]
fn a_receive_only_member_hears_and_is_denied_by_name() {
    scene(26, async |world| {
        world.country("be").toml.talk = "[\"be/unit/lux-1\"]".into();
        world.start("nl");
        world.start("be");
        world.until("the bridge is active", |w| w.bridge_state("nl") == "active" && w.bridge_state("be") == "active").await;
        let mut ear = world.radio("be", "lux-2").await;
        let mark = ear.mark();
        let asked = Instant::now();
        ear.press().await;
        assert_eq!(ear.denied(mark).await, DenyCause::ReceiveOnly);
        assert!(asked.elapsed() <= ms(1_000));
        ear.release().await;
        let denied = world.records("be").into_iter().find(|r| r.outcome.as_deref() == Some("receive_only")).expect("a record");
        assert_eq!(denied.identity.as_deref(), Some("be/unit/lux-2"));
        let mut maas = world.radio("nl", "maas-12").await;
        let since = Instant::now();
        maas.press().await;
        sleep(ms(500)).await;
        maas.release().await;
        sleep(ms(300)).await;
        assert!(ear.heard_from(&maas, since) > 20);
    });
}

#[test]
fn a_reload_withdraws_and_restores_a_bridge_under_a_running_call() {
    bridged(27, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let lux = world.radio("be", "lux-1").await;
        maas.press().await;
        sleep(ms(500)).await;
        let kept = world.country("nl").toml.bridge().take();
        world.reload("nl").await;
        world.until("the bridge is gone", |w| w.bridge_state("be") == "pending").await;
        sleep(ms(300)).await;
        let alone = Instant::now();
        sleep(ms(500)).await;
        assert_eq!(lux.heard_from(&maas, alone), 0);
        *world.country("nl").toml.bridge() = kept;
        world.reload("nl").await;
        world.until("the bridge is back", |w| w.bridge_state("be") == "active" && w.bridge_state("nl") == "active").await;
        sleep(ms(300)).await;
        let back = Instant::now();
        sleep(ms(500)).await;
        assert!(lux.heard_from(&maas, back) > 15, "{}", lux.heard_from(&maas, back));
        maas.release().await;
        sleep(ms(300)).await;
    });
}
