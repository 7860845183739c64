//! A spoken call between two countries, over simulated QUIC in virtual time: real gateways, real units.

use std::time::Duration;

use engine::handset::Event;
use testkit::Link;
use tokio::time::{Instant, sleep};
use wire::{RevokeCause, Tier};

use crate::support::bridged;
use crate::support::world::ip;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn every_frame_of_a_call_is_heard_once_on_both_sides_and_nowhere_else() {
    bridged(1, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let roer = world.radio("nl", "maas-13").await;
        let lux = world.radio("be", "lux-1").await;
        maas.press().await;
        sleep(ms(2_000)).await;
        maas.release().await;
        sleep(ms(500)).await;
        let all: Vec<u32> = (1..=maas.said()).collect();
        assert!(all.len() >= 98, "{} frames said", all.len());
        assert_eq!(roer.frames_of(&maas), all);
        assert_eq!(lux.frames_of(&maas), all);
        let taken = lux.event("taken", |event| if let Event::Taken(_, taken) = event { Some(taken.clone()) } else { None }).await;
        assert_eq!(taken.talker.identity, maas.identity);
        assert_eq!((taken.talker.alias.as_str(), taken.talker.agency.as_str()), ("nl maas-12", "police"));
        assert!(world.talker("nl").is_none() && world.talker("be").is_none());
        let outcome = |code| world.records(code).into_iter().find(|r| r.talker.is_some()).and_then(|r| r.outcome);
        assert_eq!((outcome("nl").as_deref(), outcome("be").as_deref()), (Some("released"), Some("released")));
    });
}

#[test]
fn a_partner_unit_is_granted_by_the_home_and_heard_there() {
    bridged(2, async |world| {
        let maas = world.radio("nl", "maas-12").await;
        let mut lux = world.radio("be", "lux-1").await;
        let other = world.radio("be", "lux-2").await;
        let pressed = Instant::now();
        lux.press().await;
        lux.granted(0).await;
        assert!(pressed.elapsed() < ms(20), "{:?} over two links of 2 ms", pressed.elapsed());
        sleep(ms(1_000)).await;
        lux.release().await;
        sleep(ms(500)).await;
        let all: Vec<u32> = (1..=lux.said()).collect();
        assert_eq!(maas.frames_of(&lux), all);
        assert_eq!(other.frames_of(&lux), all);
    });
}

#[test]
fn simultaneous_requests_on_both_sides_give_one_talker_and_one_in_the_queue() {
    bridged(3, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let mut lux = world.radio("be", "lux-1").await;
        let listener = world.radio("be", "lux-2").await;
        let (marks, since) = ([maas.mark(), lux.mark()], Instant::now());
        maas.press().await;
        lux.press().await;
        maas.granted(marks[0]).await;
        let position = lux.event_from(marks[1], "queued", |e| if let Event::Queued(_, _, place) = e { Some(*place) } else { None }).await;
        assert_eq!(position, 1);
        sleep(ms(600)).await;
        assert_eq!(listener.heard_from(&lux, since), 0);
        maas.release().await;
        lux.granted(marks[1]).await;
        sleep(ms(600)).await;
        lux.release().await;
        sleep(ms(400)).await;
        assert!(listener.heard_from(&maas, since) > 20 && listener.heard_from(&lux, since) > 20);
    });
}

#[test]
fn an_emergency_from_the_other_country_cuts_in_and_is_seen_by_all() {
    bridged(4, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let mut lux = world.radio("be", "lux-1").await;
        maas.press().await;
        sleep(ms(500)).await;
        let mark = maas.mark();
        lux.press_tier(Tier::Emergency).await;
        assert_eq!(maas.revoked(mark).await, RevokeCause::Preempted);
        lux.granted(0).await;
        maas.release().await;
        let late = world.radio("nl", "maas-14").await;
        let originator = late.event("emergency", |e| if let Event::Emergency(_, true, who) = e { Some(who.clone()) } else { None }).await;
        assert_eq!(originator, lux.identity);
        sleep(ms(300)).await;
        assert!(late.heard_from(&lux, Instant::now() - ms(200)) > 5, "the late joiner hears the emergency");
        lux.release().await;
        let mark = late.mark();
        lux.end_emergency().await;
        late.event_from(mark, "end of emergency", |e| matches!(e, Event::Emergency(_, false, _)).then_some(())).await;
    });
}

#[test]
fn a_late_joiner_hears_voice_within_a_frame_and_the_jitter_buffer() {
    bridged(5, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        maas.press().await;
        sleep(ms(1_000)).await;
        let late = world.radio("be", "lux-9").await;
        let joined = Instant::now();
        late.event("first audio", |event| matches!(event, Event::FirstAudio(..)).then_some(())).await;
        assert!(joined.elapsed() <= ms(80), "{:?} after affiliated", joined.elapsed());
        let taken = late.event("taken", |event| if let Event::Taken(_, taken) = event { Some(taken.clone()) } else { None }).await;
        assert!((900..1_300).contains(&taken.elapsed_ms), "{} ms", taken.elapsed_ms);
    });
}

#[test]
fn a_second_press_right_after_the_release_keeps_its_grant_across_a_slow_border() {
    bridged(6, async |world| {
        world.net.set_link(ip("nl"), ip("be"), Link::delayed(ms(40)));
        let maas = world.radio("nl", "maas-12").await;
        let mut lux = world.radio("be", "lux-1").await;
        lux.press().await;
        sleep(ms(600)).await;
        lux.release().await;
        let (mark, pressed) = (lux.mark(), Instant::now());
        lux.press().await;
        lux.granted(mark).await;
        assert!(pressed.elapsed() < ms(300), "{:?}", pressed.elapsed());
        sleep(ms(600)).await;
        lux.release().await;
        sleep(ms(600)).await;
        assert_eq!(maas.frames_of(&lux), (1..=lux.said()).collect::<Vec<u32>>(), "both bursts are heard whole");
    });
}

#[test]
fn a_talker_that_cuts_in_hears_nobody_under_its_own_voice() {
    bridged(7, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let mut lux = world.radio("be", "lux-1").await;
        maas.press().await;
        sleep(ms(600)).await;
        lux.press_tier(Tier::Emergency).await;
        lux.granted(0).await;
        let granted = Instant::now();
        sleep(ms(300)).await;
        assert_eq!(lux.heard_from(&maas, granted + ms(1)), 0);
        maas.release().await;
        lux.release().await;
        sleep(ms(300)).await;
    });
}

#[test]
fn a_listener_whose_nat_gives_it_another_port_misses_a_moment_and_hears_on() {
    bridged(8, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let lux = world.radio("be", "lux-1").await;
        world.net.set_link(lux.host, ip("be"), Link::delayed(ms(20)));
        maas.press().await;
        for _ in 0..5 {
            // Never the same distance from the beat of every second.
            sleep(ms(1_130)).await;
            world.rebind(&lux);
        }
        sleep(ms(1_000)).await;
        maas.release().await;
        sleep(ms(500)).await;
        let pause = lux.longest_pause(&maas);
        assert!(pause <= ms(40 + 200), "{pause:?} without a frame");
        assert!(!lux.lines().iter().any(|line| line.contains("Interrupted")), "{:#?}", lux.lines());
    });
}
