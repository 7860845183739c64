//! Three countries and more: the home passes on what one partner says to the others, if all of them agreed to it.

use std::path::Path;
use std::time::Duration;

use engine::handset::Event;
use gateway::config::Config;
use testkit::Link;
use tokio::time::{Instant, sleep};
use wire::control::Taken;
use wire::{Level, Priority, RevokeCause, Tier};

use crate::support::World;
use crate::support::config::Bridging;
use crate::support::radio::Radio;
use crate::support::scene::{of, star};
use crate::support::world::ip;

const ALL: [&str; 3] = ["nl", "be", "de"];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

async fn taken(radio: &Radio, from: usize) -> Taken {
    radio.event_from(from, "taken", |event| if let Event::Taken(_, taken) = event { Some(taken.clone()) } else { None }).await
}

async fn position(radio: &Radio, from: usize) -> u8 {
    radio.event_from(from, "queued", |event| if let Event::Queued(_, _, place) = event { Some(*place) } else { None }).await
}

async fn emergency(radio: &Radio, from: usize, state: bool) -> String {
    let told =
        |event: &Event| if let Event::Emergency(_, active, who) = event { (*active == state).then(|| who.to_string()) } else { None };
    radio.event_from(from, "emergency", told).await
}

/// A unit in each of the three countries.
async fn one_each(world: &mut World) -> [Radio; 3] {
    [world.radio("nl", "maas-12").await, world.radio("be", "lux-1").await, world.radio("de", "aachen-1").await]
}

// === Calls ===

#[test]
fn a_talker_of_one_partner_is_heard_at_the_others_and_shown_via_the_home() {
    star(210, &["nl", "be", "de", "lu", "fr"], async |world| {
        let [maas, mut lux, aachen] = one_each(world).await;
        let (esch, lille) = (world.radio("lu", "esch-1").await, world.radio("fr", "lille-1").await);
        lux.press().await;
        sleep(ms(2_000)).await;
        lux.release().await;
        sleep(ms(500)).await;
        let all: Vec<u32> = (1..=lux.said()).collect();
        for (listener, via) in [(&maas, None), (&aachen, Some("nl")), (&esch, Some("nl")), (&lille, Some("nl"))] {
            assert_eq!(listener.frames_of(&lux), all, "{}", listener.identity);
            let taken = taken(listener, 0).await;
            assert_eq!(taken.talker.identity, lux.identity);
            assert_eq!((taken.talker.alias.as_str(), taken.talker.agency.as_str()), ("be lux-1", "police"));
            assert_eq!(taken.via.as_ref().map(|via| via.as_str()), via, "{}", listener.identity);
        }
        for code in world.codes() {
            let record = world.records(&code).into_iter().find(|record| record.talker.is_some()).expect("a call record");
            assert_eq!((record.talker.as_deref(), record.outcome.as_deref()), (Some("be/unit/lux-1"), Some("released")), "{code}");
        }
    });
}

#[test]
fn without_the_word_of_any_side_nothing_is_passed_on() {
    // Who keeps its consent back, and in the agreement with whom.
    for (seed, (side, far)) in (211..).zip([("nl", "be"), ("be", "nl"), ("nl", "de"), ("de", "nl")]) {
        of(seed, &ALL, async |world| {
            world.consent_onward();
            if let Some(bridge) = &mut world.country(side).toml.peer(far).bridge {
                bridge.onward.clear();
            }
            world.start_all().await;
            let [mut maas, mut lux, mut aachen] = one_each(world).await;
            let since = Instant::now();
            for turn in [false, true] {
                let [talker, other] = if turn { [&mut aachen, &mut lux] } else { [&mut lux, &mut aachen] };
                talker.press().await;
                sleep(ms(600)).await;
                // The floor is one all the same: whoever does not hear the talker still waits.
                let mark = other.mark();
                other.press().await;
                assert_eq!(position(other, mark).await, 1);
                other.release().await;
                talker.release().await;
                sleep(ms(500)).await;
                assert_eq!(other.heard_from(talker, since), 0, "{side} keeps its word from {far} back");
                assert!(maas.heard_from(talker, since) > 20, "the home hears both");
                assert!(!other.lines().iter().any(|line| line.contains("Taken")), "nor is it shown: {:#?}", other.lines());
            }
            maas.press().await;
            sleep(ms(500)).await;
            maas.release().await;
            sleep(ms(300)).await;
            assert!(lux.heard_from(&maas, since) > 20 && aachen.heard_from(&maas, since) > 20, "both hear the home");
        });
    }
}

#[test]
fn a_late_joiner_at_a_third_country_learns_who_talks_and_hears_it_at_once() {
    star(215, &ALL, async |world| {
        let mut lux = world.radio("be", "lux-1").await;
        lux.press().await;
        sleep(ms(1_000)).await;
        let late = world.radio("de", "aachen-9").await;
        let joined = Instant::now();
        late.event("first audio", |event| matches!(event, Event::FirstAudio(..)).then_some(())).await;
        assert!(joined.elapsed() <= ms(80), "{:?} after affiliated", joined.elapsed());
        let taken = taken(&late, 0).await;
        assert_eq!((taken.talker.identity, taken.via.map(|via| via.to_string())), (lux.identity.clone(), Some("nl".into())));
        assert!((900..1_300).contains(&taken.elapsed_ms), "{} ms", taken.elapsed_ms);
        lux.release().await;
        sleep(ms(400)).await;
    });
}

#[test]
fn queue_positions_count_over_all_countries_and_follow_every_change() {
    star(216, &ALL, async |world| {
        let [mut maas, mut lux, mut aachen] = one_each(world).await;
        let mut second = world.radio("de", "aachen-2").await;
        maas.press().await;
        maas.granted(0).await;
        for (radio, place) in [(&mut lux, 1), (&mut aachen, 2), (&mut second, 3)] {
            let mark = radio.mark();
            radio.press().await;
            assert_eq!(position(radio, mark).await, place);
        }
        // The one in the middle gives up; the one behind moves up, the one before does not.
        let marks = [lux.mark(), second.mark()];
        aachen.release().await;
        assert_eq!(position(&second, marks[1]).await, 2);
        maas.release().await;
        lux.granted(marks[0]).await;
        assert_eq!(position(&second, second.mark() - 1).await, 1);
        sleep(ms(400)).await;
        // A higher level goes in front.
        let mark = aachen.mark();
        aachen.press_at(Priority { level: Level(16), ..Priority::of(Tier::Normal) }).await;
        position(&aachen, mark).await;
        lux.release().await;
        second.granted(0).await;
        sleep(ms(300)).await;
        second.release().await;
        aachen.granted(mark).await;
        sleep(ms(300)).await;
        aachen.release().await;
        sleep(ms(500)).await;
        assert!(maas.heard_from(&aachen, Instant::now() - ms(1_000)) > 10);
    });
}

#[test]
fn peril_of_one_partner_cuts_the_talker_of_another() {
    star(217, &ALL, async |world| {
        let [maas, mut lux, mut aachen] = one_each(world).await;
        lux.press().await;
        sleep(ms(600)).await;
        let (mark, pressed) = (lux.mark(), Instant::now());
        aachen.press_tier(Tier::Peril).await;
        assert_eq!(lux.revoked(mark).await, RevokeCause::Preempted);
        aachen.granted(0).await;
        assert!(pressed.elapsed() <= ms(30), "{:?} over four links of 2 ms", pressed.elapsed());
        lux.release().await;
        sleep(ms(500)).await;
        aachen.release().await;
        sleep(ms(400)).await;
        for listener in [&maas, &lux] {
            assert_eq!(listener.frames_of(&aachen), (1..=aachen.said()).collect::<Vec<u32>>(), "{}", listener.identity);
        }
    });
}

#[test]
fn a_group_emergency_of_one_partner_is_everybodys() {
    star(218, &ALL, async |world| {
        let [maas, mut lux, aachen] = one_each(world).await;
        lux.press_tier(Tier::Emergency).await;
        lux.granted(0).await;
        for radio in [&maas, &aachen, &lux] {
            assert_eq!(emergency(radio, 0, true).await, "be/unit/lux-1", "{}", radio.identity);
        }
        sleep(ms(300)).await;
        lux.release().await;
        sleep(ms(400)).await;
        for code in ALL {
            let late = world.radio(code, "late").await;
            assert_eq!(emergency(&late, 0, true).await, "be/unit/lux-1", "a late joiner of {code}");
        }
        let marks = [maas.mark(), aachen.mark()];
        lux.end_emergency().await;
        for (radio, mark) in [&maas, &aachen].into_iter().zip(marks) {
            emergency(radio, mark, false).await;
        }
        sleep(ms(300)).await;
        for code in ALL {
            assert_eq!(world.status(code).talkgroups[0].emergency, None, "{code}");
        }
    });
}

// === Borders ===

#[test]
fn a_partner_that_loses_the_home_goes_on_alone_and_the_others_stay() {
    star(220, &ALL, async |world| {
        let [mut maas, mut lux, mut aachen] = one_each(world).await;
        let near = world.radio("be", "lux-2").await;
        let marks = [near.mark(), maas.mark(), aachen.mark()];
        let cut = Instant::now();
        world.cut();
        near.far_side(marks[0], false).await;
        assert!(cut.elapsed() <= ms(2_000), "{:?}", cut.elapsed());
        sleep(ms(300)).await;
        // be by itself, nl and de together: two floors, each with its talker.
        lux.press().await;
        let grant = lux.event("grant", |event| if let Event::Granted(_, grant) = event { Some(grant.clone()) } else { None }).await;
        assert!(grant.own_side_only);
        aachen.press().await;
        aachen.granted(marks[2]).await;
        let alone = Instant::now();
        sleep(ms(1_000)).await;
        assert!(near.heard_from(&lux, alone) >= 45 && maas.heard_from(&aachen, alone) >= 45);
        assert_eq!(near.heard_from(&aachen, alone) + maas.heard_from(&lux, alone) + aachen.heard_from(&lux, alone), 0);
        assert!(!aachen.lines().iter().any(|line| line.contains("present: false")), "de has lost nobody: {:#?}", aachen.lines());
        // The home's view wins the tie, and be hears de again.
        let mark = lux.mark();
        world.heal();
        assert_eq!(lux.revoked(mark).await, RevokeCause::Displaced);
        lux.release().await;
        world.until("all are joined again", World::is_whole).await;
        let healed = Instant::now();
        sleep(ms(1_000)).await;
        assert!(near.heard_from(&aachen, healed) >= 40, "{}", near.heard_from(&aachen, healed));
        assert!(maas.heard_from(&aachen, healed) >= 45);
        aachen.release().await;
        sleep(ms(500)).await;
        maas.press().await;
        sleep(ms(500)).await;
        maas.release().await;
        sleep(ms(500)).await;
        assert!(near.heard_from(&maas, healed) >= 20 && aachen.heard_from(&maas, healed) >= 20);
    });
}

#[test]
fn the_home_dies_and_every_partner_goes_on_alone_until_it_is_back() {
    star(221, &ALL, async |world| {
        let [maas, mut lux, mut aachen] = one_each(world).await;
        let (killed, marks) = (Instant::now(), [lux.mark(), aachen.mark()]);
        world.kill("nl");
        lux.far_side(marks[0], false).await;
        aachen.far_side(marks[1], false).await;
        assert!(killed.elapsed() <= ms(2_500), "{:?}", killed.elapsed());
        lux.press().await;
        aachen.press().await;
        lux.granted(marks[0]).await;
        aachen.granted(marks[1]).await;
        sleep(ms(1_000)).await;
        world.start("nl");
        world.until("all are joined again", World::is_whole).await;
        sleep(ms(500)).await;
        // Both brought a talker; one of them has the floor now, everywhere.
        let talkers = ALL.map(|code| world.talker(code));
        assert!(talkers[0].is_some() && talkers.iter().all(|talker| *talker == talkers[0]), "{talkers:?}");
        lux.release().await;
        aachen.release().await;
        sleep(ms(500)).await;
        assert_eq!(ALL.map(|code| world.talker(code)), [None, None, None]);
        assert!(maas.identity.to_string().starts_with("nl/"));
    });
}

#[test]
fn a_border_that_heals_elsewhere_costs_a_talker_no_frame() {
    star(201, &["nl", "be", "de", "lu"], async |world| {
        let mut lux = world.radio("be", "lux-1").await;
        let near = world.radio("be", "lux-2").await;
        let maas = world.radio("nl", "maas-12").await;
        let slow = Link::delayed(ms(70));
        // The talker is far from its gateway and that from the home: it learns late of every new number.
        for other in [ip("be"), lux.host] {
            world.net.set_link(other, if other == lux.host { ip("be") } else { ip("nl") }, slow);
        }
        for code in ["de", "lu"] {
            world.net.cut(ip("nl"), ip(code));
        }
        sleep(ms(3_000)).await;
        lux.press().await;
        sleep(ms(1_000)).await;
        for code in ["de", "lu"] {
            world.net.heal(ip("nl"), ip(code));
        }
        world.until("all are joined again", |world| world.is_whole()).await;
        sleep(ms(1_000)).await;
        lux.release().await;
        sleep(ms(800)).await;
        let all: Vec<u32> = (1..=lux.said()).collect();
        assert_eq!(near.frames_of(&lux), all, "beside the talker");
        assert_eq!(maas.frames_of(&lux), all, "at the home");
    });
}

// === Set-up ===

/// How the configuration of a country is refused.
fn refused(world: &World, code: &str) -> String {
    let text = world.countries[code].toml.text();
    Config::from_text(Path::new("/test/gateway.toml"), &text, false).expect_err("a refusal").to_string()
}

#[test]
fn a_talkgroup_with_two_roles_is_refused_with_the_reason() {
    // Each of the two would make a chain or a loop of arbiters.
    of(230, &["nl", "be", "de"], async |world| {
        let home_of_de = |agreement: &str, home: &str, partner: &str| Bridging {
            agreement: agreement.into(),
            home: home.into(),
            partner: partner.into(),
            ..Bridging::between("nl", "be")
        };
        world.country("nl").toml.peer("de").bridge = Some(home_of_de("EMR-loop", "de/aachen-1", "nl/pol-1"));
        let why = refused(world, "nl");
        assert!(why.contains("'nl/pol-1' is home in 'EMR-nl-be'; a talkgroup is home of bridges or partner in one"), "{why}");
        world.country("nl").toml.peer("be").bridge = Some(home_of_de("EMR-chain", "be/lux-3", "nl/pol-1"));
        let why = refused(world, "nl");
        assert!(why.contains("'nl/pol-1' is partner in 'EMR-chain' already; it can follow one home only"), "{why}");
    });
}

#[test]
fn two_sides_that_both_want_to_be_home_stay_apart_and_show_both_values() {
    of(231, &["nl", "be"], async |world| {
        if let Some(bridge) = world.country("be").toml.bridge() {
            (bridge.home, bridge.partner) = ("be/lux-3".into(), "nl/pol-1".into());
        }
        world.start("nl");
        world.start("be");
        world.until("a session between the gateways", |w| w.status("nl").links.first().is_some_and(|l| l.rtt_ms.is_some())).await;
        sleep(ms(1_000)).await;
        for (code, ours, theirs) in
            [("nl", "nl/pol-1 <-> be/lux-3", "be/lux-3 <-> nl/pol-1"), ("be", "be/lux-3 <-> nl/pol-1", "nl/pol-1 <-> be/lux-3")]
        {
            assert_eq!(world.bridge_state(code), "pending", "{code}");
            let bridge = world.status(code).bridges[0].clone();
            assert!(bridge.ours.as_ref().is_some_and(|words| words.contains(ours)), "{code}: {bridge:?}");
            assert!(bridge.theirs.as_ref().is_some_and(|words| words.contains(theirs)), "{code}: {bridge:?}");
            assert!(bridge.why.contains("other talkgroups"), "{code}: {bridge:?}");
        }
        let (mut maas, lux) = (world.radio("nl", "maas-12").await, world.radio("be", "lux-1").await);
        maas.press().await;
        sleep(ms(500)).await;
        maas.release().await;
        sleep(ms(300)).await;
        assert!(lux.frames_of(&maas).is_empty(), "nothing crosses");
    });
}
