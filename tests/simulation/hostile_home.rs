//! A home that lies to its partners: it grants, names, ends and floods as it likes. Its partners' units may not get the floor
//! from it, but each hears one voice at a time, under a name that the home may speak for; an emergency is granted on the own
//! side; and once the liar is gone everybody talks as before.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wire::control::{FloorBody, Message};
use wire::{Handle, Reason, RequestId, RevokeCause, Spurt, Tier};

use crate::support::World;
use crate::support::liar::Liar;
use crate::support::radio::Radio;
use crate::support::scene::of;
use crate::support::watch::Rules;
use crate::support::words::{emergency, floor, granted, idle, revoke, sync, taken, words_between};

/// The liar's talkgroup, of which nl and de are partners.
const HOME: &str = "be/lux-3";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// be is the home of nl and de, and lies to both.
struct UnderAttack {
    liar: Liar,
    /// nl's number for the talkgroup.
    handle: Handle,
    epoch: u8,
    maas: Radio,
    near: Radio,
}

fn under_a_lying_home(seed: u64, play: impl AsyncFnOnce(&mut World, &mut UnderAttack)) {
    of(seed, &["be", "nl", "de"], async |world| {
        world.start("nl");
        world.start("de");
        world.watch().rules = Rules { home: Some("be".into()), liars: ["be".to_owned()].into(), ..Rules::default() };
        let maas = world.radio("nl", "maas-12").await;
        let near = world.radio("nl", "maas-13").await;
        let mut liar = Liar::dial(world, "be", "nl").await;
        let (handle, epoch) = liar.join_as_home(words_between(world, "be", "nl")).await;
        near.far_side(0, true).await;
        let mut scene = UnderAttack { liar, handle, epoch, maas, near };
        play(world, &mut scene).await;
        scene.assert_all_is_well_without_it(world).await;
    });
}

impl UnderAttack {
    /// The n-th number of the liar's epoch.
    fn spurt(&self, number: u32) -> Spurt {
        Spurt::from_bits(u32::from(self.epoch) << 24 | number)
    }

    /// maas-12 presses, and the liar grants what it asks for.
    async fn grant(&mut self, number: u32) -> RequestId {
        let mark = self.maas.mark();
        self.maas.press().await;
        let asked = |message: &Message| {
            let Message::Floor(floor) = message else { return None };
            if let FloorBody::Request(request) = &floor.body { Some(request.request) } else { None }
        };
        let request = self.liar.told("a request", asked).await;
        self.liar.say(&floor(HOME, Some("nl/unit/maas-12"), granted(request.0, self.spurt(number), Tier::Normal))).await;
        self.maas.granted(mark).await;
        request
    }

    /// The liar leaves: the own side decides again, at once and for everybody.
    async fn assert_all_is_well_without_it(&mut self, world: &World) {
        self.maas.release().await;
        self.near.release().await;
        self.liar.connection.close(Reason::Closed);
        world.until("the liar is away", |w| w.bridge_state("nl") == "away").await;
        sleep(ms(300)).await;
        assert_eq!(world.talker("nl"), None);
        assert!(self.maas.is_joined() && self.near.is_joined(), "a unit lost its session");
        talk(&mut self.maas, &self.near).await;
        talk(&mut self.near, &self.maas).await;
    }
}

/// One speaks for a while, and the other hears all of it.
async fn talk(talker: &mut Radio, listener: &Radio) {
    let (mark, said, heard) = (talker.mark(), talker.said(), listener.frames_of(talker).len());
    talker.press().await;
    talker.granted(mark).await;
    sleep(ms(300)).await;
    talker.release().await;
    // What a liar said at once is still played first.
    sleep(Duration::from_secs(1)).await;
    let (said, heard) = (talker.said() - said, listener.frames_of(talker).len() - heard);
    assert_eq!(heard, usize::try_from(said).expect("few"), "{} hears {}", listener.identity, talker.identity);
}

/// How many events of a kind a unit was told after the mark.
fn told(radio: &Radio, mark: usize, what: &str) -> usize {
    radio.lines()[mark..].iter().filter(|line| line.contains(what)).count()
}

// === Numbers ===

#[test]
fn one_number_given_to_two_talkers_is_believed_of_the_first() {
    under_a_lying_home(301, async |_, scene| {
        scene.grant(1).await;
        let (number, mark) = (scene.spurt(1), scene.near.mark());
        for name in ["be/unit/ghost", "be/unit/other", "nl/unit/maas-13"] {
            scene.liar.say(&floor(HOME, None, taken(number, name, Tier::Normal))).await;
            scene.liar.say(&floor(HOME, Some("nl/unit/maas-13"), granted(1, number, Tier::Normal))).await;
        }
        sleep(ms(300)).await;
        assert_eq!(told(&scene.near, mark, "Taken("), 0, "{:#?}", scene.near.lines());
    });
}

#[test]
fn numbers_of_the_past_and_of_far_ahead_carry_nobody_away() {
    under_a_lying_home(302, async |_, scene| {
        let epoch = scene.epoch;
        let mut spoken = 0;
        for ahead in [1_u8, 100, 126, 127, 128, 129, 200, 255, 0, 64, 127, 127] {
            let spurt = Spurt::from_bits(u32::from(epoch.wrapping_add(ahead)) << 24 | 5);
            for seq in 0..10 {
                let frame = scene.liar.frame(Handle(7), spurt, seq, Tier::Normal);
                scene.liar.datagram(frame);
                spoken += 1;
                sleep(ms(5)).await;
            }
            scene.liar.say(&floor(HOME, None, taken(spurt, "be/unit/ghost", Tier::Normal))).await;
            sleep(ms(50)).await;
            scene.liar.say(&floor(HOME, None, idle(spurt, None))).await;
            sleep(ms(50)).await;
        }
        assert!(spoken > 100);
    });
}

#[test]
fn a_number_before_one_that_it_told_is_nobodys() {
    under_a_lying_home(313, async |world, scene| {
        let (maas, near) = (scene.maas.mark(), scene.near.mark());
        scene.liar.say(&floor(HOME, None, taken(scene.spurt(5), "be/unit/ghost", Tier::Normal))).await;
        scene.maas.press().await;
        let asked = |message: &Message| matches!(message, Message::Floor(f) if matches!(f.body, FloorBody::Request(_))).then_some(());
        scene.liar.told("a request", asked).await;
        for number in [3, 4] {
            scene.liar.say(&floor(HOME, None, taken(scene.spurt(number), "be/unit/other", Tier::Normal))).await;
            scene.liar.say(&floor(HOME, Some("nl/unit/maas-12"), granted(1, scene.spurt(number), Tier::Normal))).await;
            sleep(ms(50)).await;
        }
        scene.maas.release().await;
        assert_eq!(told(&scene.maas, maas, "Granted("), 0, "nobody would hear it: {:#?}", scene.maas.lines());
        assert_eq!(told(&scene.near, near, "Taken("), 1, "{:#?}", scene.near.lines());
        assert!(world.log.contains("a number before one that it told"), "not named: {:#?}", world.log.lines());
    });
}

#[test]
fn a_grant_below_the_voice_that_is_heard_talks_to_nobody_and_ends() {
    under_a_lying_home(314, async |_, scene| {
        for (number, later) in [(3, Duration::ZERO), (4, Duration::from_secs(3))] {
            let mark = scene.maas.mark();
            let frame = scene.liar.frame(Handle(7), scene.spurt(9), u16::try_from(number).expect("small"), Tier::Normal);
            scene.liar.datagram(frame);
            sleep(later).await;
            let heard = scene.liar.mark();
            scene.maas.press().await;
            let asked = |message: &Message| {
                let Message::Floor(floor) = message else { return None };
                if let FloorBody::Request(request) = &floor.body { Some(request.request) } else { None }
            };
            let request = scene.liar.told_after(heard, ms(500), asked).await.expect("a request");
            scene.liar.say(&floor(HOME, Some("nl/unit/maas-12"), granted(request.0, scene.spurt(number), Tier::Normal))).await;
            if later.is_zero() {
                // A word about that voice may still be on its way.
                assert_eq!(scene.maas.revoked(mark).await, RevokeCause::MediaGap);
            } else {
                sleep(ms(500)).await;
                assert_eq!(told(&scene.maas, mark, "Granted("), 0, "{:#?}", scene.maas.lines());
            }
            scene.maas.release().await;
        }
    });
}

#[test]
fn the_end_of_a_spurt_tells_who_still_talks_that_it_is_over() {
    for over in [/* never was */ 3, /* its own */ 1] {
        under_a_lying_home(321, async move |_, scene| {
            scene.grant(1).await;
            let mark = scene.maas.mark();
            scene.liar.say(&floor(HOME, None, idle(scene.spurt(over), None))).await;
            sleep(ms(100)).await;
            assert_eq!(told(&scene.maas, mark, "Revoked("), 1, "it would talk to nobody: {:#?}", scene.maas.lines());
            scene.maas.release().await;
        });
    }
}

#[test]
fn the_end_of_a_number_half_the_circle_away_is_told_to_nobody() {
    under_a_lying_home(315, async |_, scene| {
        let mark = scene.near.mark();
        for ahead in [128_u8, 129, 200, 255] {
            let spurt = Spurt::from_bits(u32::from(scene.epoch.wrapping_add(ahead)) << 24 | 5);
            scene.liar.say(&floor(HOME, None, idle(spurt, None))).await;
        }
        sleep(ms(100)).await;
        assert_eq!(told(&scene.near, mark, "Idle("), 0, "{:#?}", scene.near.lines());
    });
}

#[test]
fn what_it_said_once_it_cannot_say_again() {
    under_a_lying_home(303, async |world, scene| {
        let spurt = scene.spurt(1);
        scene.liar.say(&floor(HOME, None, taken(spurt, "be/unit/ghost", Tier::Normal))).await;
        let mut tape = Vec::new();
        for seq in 0..30 {
            let frame = scene.liar.frame(Handle(7), spurt, seq, Tier::Normal);
            scene.liar.datagram(frame.clone());
            tape.push(frame);
            sleep(ms(20)).await;
        }
        scene.liar.say(&floor(HOME, None, idle(spurt, None))).await;
        sleep(ms(500)).await;
        let frames = world.watch().totals.frames;
        let mark = scene.near.mark();
        // The frames alone, then with all that was said around them; in this session, and in the next.
        for round in 0..3 {
            if round == 2 {
                let words = words_between(world, "be", "nl");
                scene.liar = Liar::dial(world, "be", "nl").await;
                (scene.handle, scene.epoch) = scene.liar.join_as_home(words).await;
            }
            if round > 0 {
                scene.liar.say(&floor(HOME, None, taken(spurt, "be/unit/ghost", Tier::Normal))).await;
            }
            for frame in &tape {
                scene.liar.datagram(frame.clone());
                sleep(ms(2)).await;
            }
            scene.liar.say(&floor(HOME, None, idle(spurt, None))).await;
            sleep(ms(300)).await;
        }
        assert_eq!(world.watch().totals.frames, frames, "a frame was heard twice");
        assert_eq!(told(&scene.near, mark, "Taken("), 0, "{:#?}", scene.near.lines());
    });
}

#[test]
fn voice_of_epochs_ahead_opens_no_way_for_those_half_the_circle_away() {
    under_a_lying_home(318, async |world, scene| {
        // The first is borne, as of a home that is ahead of its word; counted from there the others would be ahead as well.
        for ahead in [8_u8, 128, 129, 133, 191] {
            let spurt = Spurt::from_bits(u32::from(scene.epoch.wrapping_add(ahead)) << 24 | 1);
            for seq in 0..10 {
                let frame = scene.liar.frame(Handle(7), spurt, seq, Tier::Normal);
                scene.liar.datagram(frame);
                sleep(ms(20)).await;
            }
        }
        sleep(ms(500)).await;
        assert_eq!(world.watch().totals.frames, 2 * 10, "frames that both units of nl hear");
    });
}

#[test]
fn numbers_led_around_the_circle_leave_the_own_side_able_to_talk() {
    under_a_lying_home(320, async |_, scene| {
        // The members hear of the first leap; the second is a grant that nobody asked for. Then the home is gone.
        let leap = |ahead: u8| Spurt::from_bits(u32::from(scene.epoch.wrapping_add(ahead)) << 24 | 8);
        scene.liar.say(&floor(HOME, None, taken(leap(127), "be/unit/ghost", Tier::Normal))).await;
        scene.liar.say(&floor(HOME, None, idle(leap(127), None))).await;
        scene.liar.say(&floor(HOME, Some("nl/unit/maas-12"), granted(7, leap(254), Tier::Normal))).await;
        sleep(ms(200)).await;
    });
}

#[test]
fn the_home_says_nothing_under_the_number_of_who_talks_here() {
    under_a_lying_home(316, async |world, scene| {
        scene.grant(1).await;
        let number = scene.spurt(1);
        for seq in 0..100 {
            // Beside the talker's own frames, ahead of them, and after its end.
            let frame = scene.liar.frame(Handle(7), number, seq * 7, Tier::Normal);
            scene.liar.datagram(frame);
            sleep(ms(5)).await;
        }
        scene.maas.release().await;
        for seq in 100..130 {
            let frame = scene.liar.frame(Handle(7), number, seq, Tier::Normal);
            scene.liar.datagram(frame);
            sleep(ms(5)).await;
        }
        assert!(world.log.contains("voice under the number of an own talker"), "not named: {:#?}", world.log.lines());
    });
}

// === Names ===

#[test]
fn talkers_that_the_home_may_not_speak_for_silence_nobody() {
    under_a_lying_home(317, async |_, scene| {
        scene.grant(1).await;
        let (heard, said) = (scene.near.frames_of(&scene.maas).len(), scene.maas.said());
        for number in 2..6 {
            scene.liar.say(&floor(HOME, None, taken(scene.spurt(number), "de/unit/aachen-1", Tier::Normal))).await;
            sleep(ms(50)).await;
        }
        let (heard, said) = (scene.near.frames_of(&scene.maas).len() - heard, scene.maas.said() - said);
        assert!(heard + 5 >= usize::try_from(said).expect("few"), "{heard} of {said} frames heard");
    });
}

#[test]
fn voice_that_nobody_is_named_for_falls_silent() {
    under_a_lying_home(304, async |world, scene| {
        for number in 1..6 {
            let spurt = scene.spurt(number);
            for seq in 0..200 {
                let frame = scene.liar.frame(Handle(7), spurt, seq, Tier::Normal);
                scene.liar.datagram(frame);
                sleep(ms(20)).await;
            }
        }
        assert!(world.watch().totals.frames > 10, "a late name costs no syllable");
        assert!(world.log.contains("be/gateway/gw-1"), "not named: {:#?}", world.log.lines());
    });
}

#[test]
fn an_emergency_that_a_unit_never_raised_is_not_believed() {
    under_a_lying_home(305, async |world, scene| {
        let mark = scene.near.mark();
        for originator in ["nl/unit/maas-12", "nl/unit/nobody", "de/unit/aachen-1", "be/gateway/gw-1"] {
            scene.liar.say(&emergency(HOME, true, originator, &[])).await;
            scene.liar.say(&emergency(HOME, true, originator, &[originator, "nl/unit/maas-13"])).await;
        }
        sleep(ms(200)).await;
        assert_eq!(told(&scene.near, mark, "Emergency("), 0, "{:#?}", scene.near.lines());
        assert!(world.status("nl").talkgroups[0].emergency.is_none());
        assert!(world.log.contains("be/gateway/gw-1"), "not named: {:#?}", world.log.lines());
    });
}

// === Grants without end ===

#[test]
fn a_grant_that_the_home_never_takes_back_ends_with_the_talk_limit() {
    under_a_lying_home(306, async |_, scene| {
        scene.grant(1).await;
        let since = Instant::now();
        let mark = scene.maas.mark();
        // The watch complains of a grant that outlives T2.
        sleep(Duration::from_secs(40)).await;
        assert_eq!(scene.maas.revoked(mark).await, RevokeCause::TalkLimit);
        assert!(since.elapsed() > Duration::from_secs(30));
    });
}

#[test]
fn a_talker_who_says_nothing_is_not_shown_for_ever() {
    under_a_lying_home(307, async |world, scene| {
        let mark = scene.near.mark();
        scene.liar.say(&floor(HOME, None, taken(scene.spurt(1), "be/unit/ghost", Tier::Normal))).await;
        scene.near.event_from(mark, "taken", |e| matches!(e, engine::handset::Event::Taken(..)).then_some(())).await;
        scene.near.event_from(mark, "its end", |e| matches!(e, engine::handset::Event::Idle(..)).then_some(())).await;
        world.until("nobody is shown", |w| w.talker("nl").is_none()).await;
    });
}

#[test]
fn two_grants_at_once_make_one_talker() {
    under_a_lying_home(308, async |_, scene| {
        let first = scene.grant(1).await;
        let mark = scene.near.mark();
        scene.near.press().await;
        for round in 2..30 {
            // Back and forth, and both under the newest number.
            let spurt = scene.spurt(round);
            let (name, number) = if round % 2 == 0 { ("nl/unit/maas-13", 1) } else { ("nl/unit/maas-12", first.0) };
            scene.liar.say(&floor(HOME, Some(name), granted(number, spurt, Tier::Normal))).await;
            sleep(ms(70)).await;
        }
        assert!(told(&scene.near, mark, "Granted(") > 0);
        scene.near.release().await;
    });
}

#[test]
fn a_silent_home_and_one_that_denies_all_refuse_no_emergency() {
    under_a_lying_home(309, async |_, scene| {
        for deny in [false, true] {
            let (mark, pressed) = (scene.maas.mark(), Instant::now());
            scene.maas.press_tier(Tier::Emergency).await;
            if deny {
                for number in 0..20 {
                    let body = FloorBody::Deny { request: RequestId(number), cause: wire::DenyCause::QueueFull };
                    scene.liar.say(&floor(HOME, Some("nl/unit/maas-12"), body)).await;
                }
            }
            scene.maas.granted(mark).await;
            assert!(pressed.elapsed() < ms(450), "{:?}", pressed.elapsed());
            // What the home says from here on changes nothing of it.
            for number in 0..20 {
                let spurt = scene.spurt(100 + number);
                scene.liar.say(&floor(HOME, Some("nl/unit/maas-12"), revoke(number, spurt, RevokeCause::Preempted))).await;
                scene.liar.say(&floor(HOME, None, taken(spurt, "be/unit/ghost", Tier::Emergency))).await;
                sleep(ms(10)).await;
            }
            let heard = scene.near.frames_of(&scene.maas).len();
            sleep(ms(300)).await;
            assert!(scene.near.frames_of(&scene.maas).len() >= heard + 12, "the emergency is heard");
            scene.maas.release().await;
            scene.maas.end_emergency().await;
            sleep(ms(800)).await;
        }
    });
}

#[test]
fn who_releases_before_the_home_has_decided_is_heard_to_the_last_syllable() {
    under_a_lying_home(319, async |world, scene| {
        // The home answers nothing; its next session takes the floor to the own side for a moment, with 300 ms still to be sent.
        scene.maas.press().await;
        sleep(ms(350)).await;
        let words = words_between(world, "be", "nl");
        scene.liar = Liar::dial(world, "be", "nl").await;
        (scene.handle, scene.epoch) = scene.liar.join_as_home(words).await;
        sleep(ms(100)).await;
        scene.maas.release().await;
        sleep(ms(800)).await;
        let (heard, said) = (scene.near.frames_of(&scene.maas), scene.maas.said());
        assert!(heard.last().is_some_and(|last| last + 1 >= said), "{heard:?} of {said}");
    });
}

// === Floods ===

#[test]
fn a_flood_of_floor_messages_costs_no_unit_its_session() {
    under_a_lying_home(310, async |world, scene| {
        for number in 1..4_000_u32 {
            let body = if number % 2 == 0 {
                idle(scene.spurt(number - 1), None)
            } else {
                taken(scene.spurt(number), "be/unit/ghost", Tier::Normal)
            };
            if !scene.liar.say(&floor(HOME, None, body)).await || scene.liar.is_out() {
                break;
            }
        }
        sleep(Duration::from_secs(1)).await;
        assert!(scene.liar.is_out(), "four thousand messages were borne");
        assert!(world.log.contains("be/gateway/gw-1"), "not named: {:#?}", world.log.lines());
    });
}

#[test]
fn a_flood_of_voice_is_limited() {
    under_a_lying_home(311, async |world, scene| {
        let spurt = scene.spurt(1);
        scene.liar.say(&floor(HOME, None, taken(spurt, "be/unit/ghost", Tier::Normal))).await;
        for seq in 0..10_000 {
            let frame = scene.liar.frame(Handle(7), spurt, seq, Tier::Emergency);
            scene.liar.datagram(frame);
            if seq % 10 == 0 {
                sleep(ms(1)).await;
            }
        }
        assert!(world.watch().totals.frames < 500, "{} frames heard within a second", world.watch().totals.frames);
    });
}

#[test]
fn a_home_that_comes_and_goes_all_the_time_is_held_down() {
    under_a_lying_home(312, async |world, scene| {
        let words = words_between(world, "be", "nl");
        let (mark, began) = (scene.near.mark(), Instant::now());
        for round in 0..40 {
            let raw = world.raw_peer("be", "nl").await;
            let Some(mut again) = Liar::try_of(raw).await else {
                sleep(ms(50)).await;
                continue;
            };
            again.say(&Message::Agreements(vec![words.clone()])).await;
            again.say(&sync(HOME, 7, scene.epoch.wrapping_add(round), None)).await;
            sleep(ms(30)).await;
            scene.liar = again;
        }
        let changes = told(&scene.near, mark, "FarSide(");
        let most = 8 + 2 * usize::try_from(began.elapsed().as_secs() / 3).expect("few");
        assert!(changes <= most, "{changes} changes in {:?}", began.elapsed());
    });
}
