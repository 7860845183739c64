//! Links that die, processes that die: who notices when, who goes on, and how the sides find together again.

use std::time::Duration;

use engine::handset::Event;
use tokio::time::{Instant, sleep};
use wire::{Reason, RevokeCause};

use crate::support::bridged;
use crate::support::radio::Radio;
use crate::support::world::ip;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Waits until a far side is told away; returns how long that took.
async fn noticed(radio: &Radio, mark: usize) -> Duration {
    let since = Instant::now();
    radio.far_side(mark, false).await;
    since.elapsed()
}

#[test]
fn a_cut_lets_both_sides_go_on_alone_and_a_heal_brings_them_together() {
    bridged(11, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let near = world.radio("nl", "maas-13").await;
        let mut lux = world.radio("be", "lux-1").await;
        let far = world.radio("be", "lux-2").await;
        maas.press().await;
        sleep(ms(1_000)).await;
        let (at_cut, marks) = (Instant::now(), [near.mark(), far.mark(), lux.mark()]);
        world.cut();
        let (nl, be) = tokio::join!(noticed(&near, marks[0]), noticed(&far, marks[1]));
        assert!(nl <= ms(2_000) && be <= ms(2_000), "noticed after {nl:?} and {be:?}");
        let lost = far.event_from(marks[1], "idle", |e| if let Event::Idle(_, _, lost) = e { Some(*lost) } else { None }).await;
        assert!(lost, "a remote talker ends as lost");

        // Both sides talk alone; nobody hears the other side.
        lux.press().await;
        lux.granted(marks[2]).await;
        let grant = lux.event_from(marks[2], "grant", |e| if let Event::Granted(_, g) = e { Some(g.clone()) } else { None }).await;
        assert!(grant.own_side_only);
        let alone = Instant::now();
        sleep(ms(1_000)).await;
        assert!(near.heard_from(&maas, alone) >= 45, "nl speech goes on through the cut");
        assert!(far.heard_from(&lux, alone) >= 40);
        assert_eq!(near.heard_from(&lux, at_cut) + far.heard_from(&maas, alone), 0);

        // Heal with both sides talking: the tie goes to the home, the loser is told.
        let mark = lux.mark();
        world.heal();
        assert_eq!(lux.revoked(mark).await, RevokeCause::Displaced);
        lux.release().await;
        far.far_side(marks[1] + 1, true).await;
        near.far_side(marks[0] + 1, true).await;
        let healed = Instant::now();
        sleep(ms(1_000)).await;
        assert!(far.heard_from(&maas, healed) >= 40, "the home's talker is heard again across the border");
        assert!(near.heard_from(&maas, healed) >= 45);
        let told = |radio: &Radio, words: &str| {
            radio.lines().iter().filter(|line| line.starts_with("Handset(FarSide") && line.contains(words)).count()
        };
        assert_eq!((told(&near, "present: false"), told(&near, "present: true")), (1, 2), "{:#?}", near.lines());
        assert!(
            maas.lines().iter().any(|line| line.contains("Granted") && line.contains("own_side_only: true")),
            "told that nobody else hears"
        );
        maas.release().await;
        sleep(ms(500)).await;
        assert!(world.talker("nl").is_none() && world.talker("be").is_none());
    });
}

#[test]
fn a_partner_talker_at_the_cut_keeps_talking_on_its_own_side() {
    bridged(12, async |world| {
        let near = world.radio("nl", "maas-13").await;
        let mut lux = world.radio("be", "lux-1").await;
        let far = world.radio("be", "lux-2").await;
        lux.press().await;
        sleep(ms(1_000)).await;
        let (mark, marks) = (lux.mark(), [near.mark(), far.mark()]);
        world.cut();
        far.far_side(marks[1], false).await;
        let fresh = lux.event_from(mark, "fresh grant", |e| if let Event::Granted(_, g) = e { Some(g.clone()) } else { None }).await;
        assert!(fresh.own_side_only);
        let request = lux.event("request", |e| if let Event::Requested(_, request) = e { Some(*request) } else { None }).await;
        assert_eq!(fresh.request, request, "the same request goes on");
        let alone = Instant::now();
        sleep(ms(1_000)).await;
        let frames = far.frames_of(&lux);
        let gaps: Vec<_> = frames.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
        assert!(gaps.is_empty(), "own speech lost at the cut: {gaps:?}");
        assert!(far.heard_from(&lux, alone) >= 40, "{}", far.heard_from(&lux, alone));
        near.event_from(marks[0], "idle", |e| matches!(e, Event::Idle(_, _, true)).then_some(())).await;
        // Heal with only the partner talking: the home takes its talker over.
        world.heal();
        near.event_from(marks[0], "taken again", |e| matches!(e, Event::Taken(..)).then_some(())).await;
        let healed = Instant::now();
        sleep(ms(1_000)).await;
        assert!(near.heard_from(&lux, healed) >= 40, "{}", near.heard_from(&lux, healed));
        let frames = far.frames_of(&lux);
        let gaps: Vec<_> = frames.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
        assert!(gaps.is_empty(), "own speech lost at the heal: {gaps:?}");
        assert_eq!(far.longest_pause(&lux), ms(20), "own speech goes on without a pause through cut and heal");
        lux.release().await;
        sleep(ms(500)).await;
    });
}

#[test]
fn a_one_way_cut_is_noticed_by_both_sides() {
    for (seed, from, to) in [(13, "nl", "be"), (14, "be", "nl")] {
        bridged(seed, async |world| {
            let near = world.radio("nl", "maas-13").await;
            let far = world.radio("be", "lux-2").await;
            let marks = [near.mark(), far.mark()];
            world.net.cut_one_way(ip(from), ip(to));
            let (nl, be) = tokio::join!(noticed(&near, marks[0]), noticed(&far, marks[1]));
            assert!(nl <= ms(2_000) && be <= ms(2_000), "{from} to {to}: {nl:?} and {be:?}");
        });
    }
}

#[test]
fn a_killed_talker_frees_the_floor_within_one_and_a_half_seconds() {
    bridged(15, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let other = world.radio("be", "lux-2").await;
        let mut lux = world.radio("be", "lux-1").await;
        lux.press().await;
        sleep(ms(1_000)).await;
        let mark = maas.mark();
        maas.press().await;
        sleep(ms(200)).await;
        let (heard, killed) = (other.mark(), Instant::now());
        lux.kill(&world.net);
        other.event_from(heard, "interrupted", |e| matches!(e, Event::Interrupted(..)).then_some(())).await;
        assert!((500..=700).contains(&killed.elapsed().as_millis()), "the lost tone after {:?}", killed.elapsed());
        maas.granted(mark).await;
        assert!(killed.elapsed() <= ms(1_500), "{:?}", killed.elapsed());
        maas.release().await;
        sleep(ms(300)).await;
        let record = world.records("nl").into_iter().find(|r| r.talker.as_deref() == Some("be/unit/lux-1")).expect("a call record");
        assert_eq!(record.outcome.as_deref(), Some(RevokeCause::MediaGap.as_str()));
    });
}

#[test]
fn the_partners_gateway_dies_under_its_talker_and_comes_back() {
    bridged(16, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let mut lux = world.radio("be", "lux-1").await;
        lux.press().await;
        sleep(ms(1_000)).await;
        let (mark, away) = (maas.mark(), lux.mark());
        maas.press().await;
        sleep(ms(200)).await;
        let killed = Instant::now();
        world.kill("be");
        maas.granted(mark).await;
        assert!(killed.elapsed() <= ms(1_500), "{:?}", killed.elapsed());
        maas.release().await;
        sleep(ms(1_000)).await;
        world.start("be");
        world.until("the bridge is active again", |w| w.bridge_state("nl") == "active" && w.bridge_state("be") == "active").await;
        lux.release().await;
        lux.event_from(away, "affiliated again", |e| matches!(e, Event::Affiliated(_)).then_some(())).await;
        let (mark, since) = (maas.mark(), Instant::now());
        maas.press().await;
        maas.granted(mark).await;
        sleep(ms(1_000)).await;
        maas.release().await;
        sleep(ms(300)).await;
        assert!(lux.heard_from(&maas, since) >= 40, "{}", lux.heard_from(&maas, since));
    });
}

#[test]
fn the_homes_gateway_dies_and_the_partner_goes_on_within_two_and_a_half_seconds() {
    bridged(17, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let mut lux = world.radio("be", "lux-1").await;
        maas.press().await;
        sleep(ms(1_000)).await;
        let mark = lux.mark();
        lux.press().await;
        sleep(ms(200)).await;
        let killed = Instant::now();
        world.kill("nl");
        lux.granted(mark).await;
        assert!(killed.elapsed() <= ms(2_500), "{:?}", killed.elapsed());
        lux.release().await;
        maas.hush();
    });
}

#[test]
fn the_newest_session_of_an_identity_wins_and_the_older_is_told() {
    bridged(18, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let mut other = world.radio("nl", "maas-13").await;
        maas.press().await;
        sleep(ms(500)).await;
        let (mark, waits) = (maas.mark(), other.mark());
        other.press().await;
        sleep(ms(100)).await;
        let swapped = Instant::now();
        let _newer = world.radio("nl", "maas-12").await;
        assert_eq!(maas.disconnected(mark).await, Reason::Superseded);
        other.granted(waits).await;
        assert!(swapped.elapsed() <= ms(300), "the floor is freed at once: {:?}", swapped.elapsed());
        other.release().await;
    });
}

#[test]
fn a_stopping_gateway_says_farewell() {
    bridged(19, async |world| {
        let maas = world.radio("nl", "maas-12").await;
        let lux = world.radio("be", "lux-1").await;
        let (mark, far) = (maas.mark(), lux.mark());
        let started = Instant::now();
        world.drain("nl").await;
        assert!(started.elapsed() <= Duration::from_secs(5));
        assert_eq!(maas.disconnected(mark).await, Reason::ShuttingDown);
        assert!(noticed(&lux, far).await <= ms(100), "a peer is told, not left to find out");
    });
}
