//! An emergency in every kind of split: granted at once by whoever can, told how far it reaches, and joined when the link heals.

use std::time::Duration;

use engine::handset::Event;
use testkit::Link;
use tokio::time::{Instant, sleep};
use wire::control::Granted;
use wire::{RevokeCause, Tier};

use crate::support::World;
use crate::support::radio::Radio;
use crate::support::scene::star;
use crate::support::world::ip;

const ALL: [&str; 3] = ["nl", "be", "de"];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How be is parted from its home.
#[derive(Clone, Copy, Debug)]
enum Split {
    Cut,
    NothingArrives,
    NothingLeaves,
    HomeFrozen,
    HomeDead,
}

const SPLITS: [Split; 5] = [Split::Cut, Split::NothingArrives, Split::NothingLeaves, Split::HomeFrozen, Split::HomeDead];

impl Split {
    fn begin(self, world: &mut World) {
        match self {
            Self::Cut => world.cut(),
            Self::NothingArrives => world.net.cut_one_way(ip("nl"), ip("be")),
            Self::NothingLeaves => world.net.cut_one_way(ip("be"), ip("nl")),
            Self::HomeFrozen => world.net.freeze(ip("nl")),
            Self::HomeDead => world.kill("nl"),
        }
    }

    fn end(self, world: &mut World) {
        match self {
            Self::Cut | Self::NothingArrives | Self::NothingLeaves => world.heal(),
            Self::HomeFrozen => world.net.thaw(ip("nl")),
            Self::HomeDead => world.start("nl"),
        }
    }
}

async fn grant(radio: &Radio, from: usize) -> Granted {
    radio.event_from(from, "grant", |event| if let Event::Granted(_, grant) = event { Some(grant.clone()) } else { None }).await
}

async fn grant_for_all(radio: &Radio, from: usize) {
    let told = |event: &Event| if let Event::Granted(_, grant) = event { (!grant.own_side_only).then_some(()) } else { None };
    radio.event_from(from, "grant that reaches all", told).await;
}

fn in_emergency(world: &World, code: &str) -> Option<String> {
    world.status(code).talkgroups.first().and_then(|talkgroup| talkgroup.emergency.clone())
}

/// An emergency of be that began so long after the split: own side first, everybody after the heal.
fn through(seed: u64, split: Split, pressed_after: Duration, granted_within: Duration) {
    star(seed, &ALL, async |world| {
        let mut lux = world.radio("be", "lux-1").await;
        let near = world.radio("be", "lux-2").await;
        let (maas, aachen) = (world.radio("nl", "maas-12").await, world.radio("de", "aachen-1").await);
        split.begin(world);
        sleep(pressed_after).await;
        let (mark, pressed) = (lux.mark(), Instant::now());
        lux.press_tier(Tier::Emergency).await;
        let first = grant(&lux, mark).await;
        assert!(pressed.elapsed() <= granted_within, "{split:?}: {:?}", pressed.elapsed());
        assert!(first.own_side_only && first.tier == Tier::Emergency, "{split:?}: {first:?}");
        sleep(ms(3_000)).await;
        assert!(near.frames_of(&lux).iter().zip(1..).all(|(heard, said)| *heard == said), "{split:?}: heard whole beside it");
        assert!(near.frames_of(&lux).len() > 120, "{split:?}");
        let mark = lux.mark();
        split.end(world);
        grant_for_all(&lux, mark).await;
        world.until("every border is back", World::is_whole).await;
        sleep(ms(4_000)).await;
        let joined = Instant::now();
        sleep(ms(1_000)).await;
        for listener in [&near, &maas, &aachen] {
            assert!(
                listener.heard_from(&lux, joined) >= 45,
                "{split:?}: {} hears {}",
                listener.identity,
                listener.heard_from(&lux, joined)
            );
        }
        for code in ALL {
            assert_eq!(in_emergency(world, code).as_deref(), Some("be/unit/lux-1"), "{split:?}: {code}");
        }
        lux.release().await;
        lux.end_emergency().await;
        sleep(ms(600)).await;
        for code in ALL {
            assert_eq!(in_emergency(world, code), None, "{split:?}: {code}");
        }
    });
}

#[test]
fn an_emergency_right_after_the_link_died_is_granted_after_300_ms() {
    for (seed, split) in (240..).zip(SPLITS) {
        through(seed, split, ms(50), ms(330));
    }
}

#[test]
fn an_emergency_in_a_split_that_was_noticed_is_granted_at_once() {
    for (seed, split) in (250..).zip(SPLITS) {
        through(seed, split, ms(2_500), ms(10));
    }
}

#[test]
fn an_emergency_over_a_slow_border_is_the_own_sides_first_and_everybodys_a_moment_later() {
    star(260, &ALL, async |world| {
        let mut lux = world.radio("be", "lux-1").await;
        let (maas, aachen) = (world.radio("nl", "maas-12").await, world.radio("de", "aachen-1").await);
        // A satellite: the home's answer takes 560 ms.
        world.net.set_link(ip("nl"), ip("be"), Link::delayed(ms(280)));
        sleep(ms(2_000)).await;
        let (mark, pressed) = (lux.mark(), Instant::now());
        lux.press_tier(Tier::Emergency).await;
        assert!(grant(&lux, mark).await.own_side_only);
        assert!(pressed.elapsed() <= ms(330), "{:?}", pressed.elapsed());
        grant_for_all(&lux, mark).await;
        assert!(pressed.elapsed() <= ms(1_500), "{:?}", pressed.elapsed());
        let joined = Instant::now();
        sleep(ms(2_000)).await;
        assert!(maas.heard_from(&lux, joined) >= 80 && aachen.heard_from(&lux, joined) >= 80);
        lux.release().await;
        lux.end_emergency().await;
        sleep(ms(2_000)).await;
    });
}

#[test]
fn two_emergencies_meet_when_the_link_heals_and_neither_is_forgotten() {
    star(261, &ALL, async |world| {
        let (mut maas, mut lux) = (world.radio("nl", "maas-12").await, world.radio("be", "lux-1").await);
        let (near, aachen) = (world.radio("be", "lux-2").await, world.radio("de", "aachen-1").await);
        world.cut();
        sleep(ms(2_500)).await;
        maas.press_tier(Tier::Emergency).await;
        lux.press_tier(Tier::Emergency).await;
        maas.granted(0).await;
        lux.granted(0).await;
        sleep(ms(1_000)).await;
        let mark = lux.mark();
        world.heal();
        assert_eq!(lux.revoked(mark).await, RevokeCause::Displaced, "the tie goes to the home");
        world.until("the border is back", World::is_whole).await;
        let healed = Instant::now();
        // The loser asks again and waits behind the other, not behind anybody else.
        lux.release().await;
        let mark = lux.mark();
        lux.press_tier(Tier::Emergency).await;
        let place = lux.event_from(mark, "queued", |e| if let Event::Queued(_, _, place) = e { Some(*place) } else { None }).await;
        assert_eq!(place, 1);
        sleep(ms(1_000)).await;
        for listener in [&near, &aachen] {
            assert!(listener.heard_from(&maas, healed) >= 40, "{}", listener.identity);
        }
        maas.release().await;
        lux.granted(mark).await;
        sleep(ms(1_000)).await;
        assert!(maas.heard_from(&lux, healed) >= 40 && aachen.heard_from(&lux, healed) >= 40);
        lux.release().await;
        sleep(ms(400)).await;
        // Both are in emergency; it lasts until both have ended theirs.
        maas.end_emergency().await;
        sleep(ms(400)).await;
        for code in ALL {
            assert_eq!(in_emergency(world, code).as_deref(), Some("be/unit/lux-1"), "{code}");
        }
        lux.end_emergency().await;
        sleep(ms(400)).await;
        for code in ALL {
            assert_eq!(in_emergency(world, code), None, "{code}");
        }
    });
}

#[test]
fn two_partners_that_lost_the_home_bring_an_emergency_each() {
    star(262, &ALL, async |world| {
        let (mut lux, mut aachen) = (world.radio("be", "lux-1").await, world.radio("de", "aachen-1").await);
        let maas = world.radio("nl", "maas-12").await;
        for code in ["be", "de"] {
            world.net.cut(ip("nl"), ip(code));
        }
        sleep(ms(2_500)).await;
        lux.press_tier(Tier::Emergency).await;
        aachen.press_tier(Tier::Emergency).await;
        lux.granted(0).await;
        aachen.granted(0).await;
        sleep(ms(500)).await;
        for code in ["be", "de"] {
            world.net.heal(ip("nl"), ip(code));
        }
        world.until("every border is back", World::is_whole).await;
        sleep(ms(1_500)).await;
        // One of them talks in all views, the other was told; the emergency of both lasts.
        let talkers = ALL.map(|code| world.talker(code));
        assert!(talkers[0].is_some() && talkers.iter().all(|talker| *talker == talkers[0]), "{talkers:?}");
        let displaced = |radio: &Radio| radio.lines().iter().any(|line| line.contains("Revoked") && line.contains("Displaced"));
        assert!(displaced(&lux) != displaced(&aachen), "one gives way");
        assert!(!maas.log.lock().expect("no panic").heard.is_empty());
        lux.release().await;
        aachen.release().await;
        lux.end_emergency().await;
        sleep(ms(500)).await;
        for code in ALL {
            assert_eq!(in_emergency(world, code).as_deref(), Some("de/unit/aachen-1"), "{code}");
        }
        aachen.end_emergency().await;
        sleep(ms(500)).await;
    });
}
