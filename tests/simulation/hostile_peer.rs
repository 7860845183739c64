//! A gateway of a partner, or of the home, that lies without end: whatever it says, replays or floods, the others keep every
//! invariant, their calls lose no frame, and whoever lies is named, limited, and disconnected where it floods.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use wire::control::{FloorBody, Message};
use wire::datagram::{Datagram, Heartbeat};
use wire::{Handle, Reason, RequestId, RevokeCause, Spurt, Tier};

use crate::support::World;
use crate::support::liar::Liar;
use crate::support::radio::Radio;
use crate::support::scene::of;
use crate::support::watch::Rules;
use crate::support::words::{emergency, floor, granted, id, idle, release, request, revoke, sync, taken, tg, words_between};

const HOME: &str = "nl/pol-1";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// nl is the home of be and de; be is played by a liar, which may talk in nl, but neither raise an emergency nor claim a level.
struct UnderAttack {
    liar: Liar,
    /// nl's number for the talkgroup.
    handle: Handle,
    maas: Radio,
    near: Radio,
    far: Radio,
}

fn with_a_lying_partner(seed: u64, play: impl AsyncFnOnce(&mut World, &mut UnderAttack)) {
    of(seed, &["nl", "be", "de"], async |world| {
        for (code, peer) in [("nl", "be"), ("be", "nl")] {
            let bridge = world.country(code).toml.peer(peer).bridge.as_mut().expect("a bridge");
            bridge.inbound = "{ talk = true, ceiling = { tier = \"normal\", level = 16, dispatcher = false } }".into();
        }
        world.start("nl");
        world.start("de");
        world.until("nl and de are joined", |w| w.bridge_state("de") == "active").await;
        world.watch().rules = Rules { home: Some("nl".into()), liars: ["be".to_owned()].into(), ..Rules::default() };
        let maas = world.radio("nl", "maas-12").await;
        let near = world.radio("nl", "maas-13").await;
        let far = world.radio("de", "aachen-1").await;
        let mut liar = Liar::dial(world, "be", "nl").await;
        let handle = liar.join_as_partner(words_between(world, "be", "nl"), 9).await;
        let mut scene = UnderAttack { liar, handle, maas, near, far };
        play(world, &mut scene).await;
        scene.assert_calls_are_whole(world).await;
    });
}

impl UnderAttack {
    /// A call between nl and de in the middle of which something happens; every frame of it is heard.
    async fn call(&mut self, world: &World, attack: impl AsyncFnOnce(&mut Liar, Handle)) {
        let before = [self.near.frames_of(&self.maas).len(), self.far.frames_of(&self.maas).len()];
        let said = self.maas.said();
        let mark = self.maas.mark();
        self.maas.press().await;
        self.maas.granted(mark).await;
        sleep(ms(200)).await;
        attack(&mut self.liar, self.handle).await;
        sleep(ms(300)).await;
        assert_eq!(world.talker("nl"), Some(self.maas.identity.to_string()), "the call was ended");
        self.maas.release().await;
        sleep(ms(500)).await;
        let said = usize::try_from(self.maas.said() - said).expect("few");
        let heard = [self.near.frames_of(&self.maas).len() - before[0], self.far.frames_of(&self.maas).len() - before[1]];
        assert_eq!(heard, [said; 2], "the call was disturbed");
    }

    /// After all that: both sides of the honest border speak and are heard.
    async fn assert_calls_are_whole(&mut self, world: &World) {
        self.maas.release().await;
        world.until("the floor is free", |w| w.talker("nl").is_none() && w.talker("de").is_none()).await;
        self.call(world, async |_, _| sleep(ms(100)).await).await;
        let (mark, said, heard) = (self.far.mark(), self.far.said(), self.near.frames_of(&self.far).len());
        self.far.press().await;
        self.far.granted(mark).await;
        sleep(ms(300)).await;
        self.far.release().await;
        sleep(ms(500)).await;
        let said = usize::try_from(self.far.said() - said).expect("few");
        assert_eq!(self.near.frames_of(&self.far).len() - heard, said);
        for radio in [&self.maas, &self.near, &self.far] {
            assert!(radio.is_joined(), "{} lost its session: {:#?}", radio.identity, radio.lines());
        }
    }
}

/// Whoever lies is named in the log of the country it lies to.
fn assert_named(world: &World, what: &str) {
    assert!(world.log.contains(what), "not named for {what:?}: {:#?}", world.log.lines());
}

// === Replays ===

#[test]
fn whatever_a_partner_was_told_it_cannot_say_again() {
    with_a_lying_partner(201, async |world, scene| {
        scene.call(world, async |_, _| sleep(ms(300)).await).await;
        scene
            .call(world, async |liar, _| {
                let (messages, datagrams) = {
                    let memory = liar.memory.lock().expect("no panic");
                    (memory.messages.clone(), memory.datagrams.clone())
                };
                assert!(datagrams.len() > 30 && messages.len() > 5, "nothing to replay");
                for message in messages.iter().filter(|message| matches!(message, Message::Floor(_) | Message::EmergencyState { .. })) {
                    liar.say(message).await;
                }
                for datagram in datagrams {
                    liar.datagram(datagram);
                    sleep(ms(1)).await;
                }
            })
            .await;
    });
}

#[test]
fn a_whole_session_of_a_partner_said_again_is_a_new_session_and_nothing_more() {
    with_a_lying_partner(202, async |world, scene| {
        // A spurt of the liar's own, as it is allowed to.
        let words = words_between(world, "be", "nl");
        let (number, who) = (1, "be/unit/lux-1");
        let script = [
            floor(HOME, Some(who), request(number, Tier::Normal, Some(who))),
            floor(HOME, Some(who), release(number)),
            Message::EmergencyEnd { talkgroup: tg(HOME), party: Some(id(who)) },
        ];
        for message in &script {
            scene.liar.say(message).await;
        }
        let spurt = scene.liar.told("a grant", granted_spurt).await;
        let tape: Vec<Bytes> = (0..20).map(|seq| scene.liar.frame(Handle(7), spurt, seq, Tier::Normal)).collect();
        for _ in 0..2 {
            let mut again = Liar::dial(world, "be", "nl").await;
            again.join_as_partner(words.clone(), 9).await;
            scene.liar = again;
            scene
                .call(world, async |liar, _| {
                    for message in &script {
                        liar.say(message).await;
                    }
                    for frame in &tape {
                        liar.datagram(frame.clone());
                        sleep(ms(5)).await;
                    }
                })
                .await;
        }
    });
}

fn granted_spurt(message: &Message) -> Option<Spurt> {
    let Message::Floor(floor) = message else { return None };
    if let FloorBody::Granted(granted) = &floor.body { Some(granted.spurt) } else { None }
}

// === Set-up ===

#[test]
fn syncs_with_every_epoch_and_number_disturb_no_call() {
    with_a_lying_partner(203, async |world, scene| {
        scene
            .call(world, async |liar, _| {
                for round in 0..40_u8 {
                    let epoch = [0, 255, 127, 128, 129, round, round.wrapping_mul(127), round.wrapping_add(126)][usize::from(round % 8)];
                    liar.say(&sync(HOME, u16::from(round), epoch, None)).await;
                    // Talkgroups of others, and of nobody.
                    liar.say(&sync("de/aachen-1", 7, epoch, None)).await;
                    liar.say(&sync("be/lux-3", 7, epoch, None)).await;
                    sleep(ms(20)).await;
                }
            })
            .await;
    });
}

#[test]
fn syncs_from_half_the_circle_away_carry_the_numbers_nowhere() {
    with_a_lying_partner(214, async |world, scene| {
        scene
            .call(world, async |liar, _| {
                let told = |message: &Message| if let Message::Sync(sync) = message { Some(sync.epoch.0) } else { None };
                let mut epoch = liar.messages().iter().rev().find_map(told).expect("an answer");
                let began = epoch;
                for away in [128, 129, 128] {
                    let mark = liar.mark();
                    liar.say(&sync(HOME, 7, epoch.wrapping_add(away), None)).await;
                    epoch = liar.told_after(mark, ms(500), told).await.expect("an answer");
                }
                assert!(epoch.wrapping_sub(began) < 16, "from epoch {began} to {epoch}");
            })
            .await;
        assert_named(world, "sync from an epoch that it cannot have come to");
    });
}

#[test]
fn a_flood_of_syncs_costs_the_peer_its_session_and_nobody_a_frame() {
    with_a_lying_partner(204, async |world, scene| {
        scene
            .call(world, async |liar, _| {
                for round in 0..2_000_u16 {
                    if !liar.say(&sync(HOME, round, round.to_be_bytes()[1].wrapping_mul(90), None)).await || liar.is_out() {
                        break;
                    }
                    sleep(ms(1)).await;
                }
                assert_eq!(liar.end().await, Reason::ProtocolViolation);
            })
            .await;
        assert_named(world, "be/gateway/gw-1");
    });
}

#[test]
fn agreements_that_change_all_the_time_disturb_nobody() {
    with_a_lying_partner(205, async |world, scene| {
        let words = words_between(world, "be", "nl");
        scene
            .call(world, async |liar, _| {
                for round in 0..2_000_u16 {
                    let mut said = vec![words.clone()];
                    match round % 4 {
                        0 => said.clear(),
                        1 => said[0].inbound.talk = false,
                        2 => said[0].partner = tg("be/other"),
                        _ => {}
                    }
                    if !liar.say(&Message::Agreements(said)).await || liar.is_out() {
                        break;
                    }
                    liar.say(&sync(HOME, 7, 9, None)).await;
                    sleep(ms(2)).await;
                }
                assert_eq!(liar.end().await, Reason::ProtocolViolation);
            })
            .await;
        assert_named(world, "be/gateway/gw-1");
    });
}

// === Floods ===

#[test]
fn a_flood_of_requests_is_limited_and_the_queue_is_not_the_liars() {
    with_a_lying_partner(206, async |world, scene| {
        scene
            .call(world, async |liar, _| {
                for number in 0..1_500_u32 {
                    let who = format!("be/unit/ghost-{number}");
                    if !liar.say(&floor(HOME, Some(&who), request(number, Tier::Normal, Some(&who)))).await || liar.is_out() {
                        break;
                    }
                }
            })
            .await;
    });
}

#[test]
fn whoever_waits_behind_a_partners_ghosts_is_served_in_its_turn() {
    with_a_lying_partner(207, async |_, scene| {
        for number in 0..40 {
            let who = format!("be/unit/ghost-{number}");
            scene.liar.say(&floor(HOME, Some(&who), request(number, Tier::Normal, Some(&who)))).await;
        }
        sleep(ms(100)).await;
        // Ghosts that do not speak hold the floor for three repeats of their grant each; nobody refuses an honest unit.
        for radio in [&mut scene.maas, &mut scene.far] {
            let (mark, pressed) = (radio.mark(), Instant::now());
            radio.press().await;
            for _ in 0..12 {
                if radio.lines()[mark..].iter().any(|line| line.contains("Granted(")) {
                    break;
                }
                assert!(!radio.lines()[mark..].iter().any(|line| line.contains("Denied(")), "{:#?}", radio.lines());
                sleep(Duration::from_secs(1)).await;
            }
            radio.granted(mark).await;
            assert!(pressed.elapsed() <= Duration::from_secs(12), "{} waits {:?}", radio.identity, pressed.elapsed());
            radio.release().await;
        }
        scene.liar.connection.close(Reason::Closed);
    });
}

#[test]
fn floods_of_floor_messages_heartbeats_and_voice_end_the_liar_or_nothing() {
    with_a_lying_partner(208, async |world, scene| {
        scene
            .call(world, async |liar, handle| {
                let spurt = Spurt::from_bits(0x0b00_0001);
                for round in 0..3_000_u16 {
                    liar.datagram(Datagram::Heartbeat(Heartbeat { seq: u32::from(round) * 1_000, echo: u32::MAX }).encode());
                    for number in [Handle(7), handle, Handle(round)] {
                        let frame = liar.frame(number, spurt, round, Tier::Emergency);
                        liar.datagram(frame);
                    }
                    if !liar.say(&floor(HOME, Some("be/unit/lux-1"), release(u32::from(round)))).await || liar.is_out() {
                        break;
                    }
                    if round % 4 == 0 {
                        sleep(ms(1)).await;
                    }
                }
            })
            .await;
    });
}

#[test]
fn a_peer_that_opens_everything_and_reads_nothing_is_too_slow() {
    with_a_lying_partner(209, async |world, scene| {
        // A second session whose control stream nobody reads.
        let mut raw = world.raw_peer("be", "nl").await;
        raw.message(&Message::Hello(wire::control::Hello::ours())).await;
        raw.message(&Message::Agreements(vec![words_between(world, "be", "nl")])).await;
        raw.message(&sync(HOME, 7, 9, None)).await;
        let mut streams = Vec::new();
        while let Ok(Ok((mut send, recv))) = tokio::time::timeout(ms(100), raw.connection.quic.open_bi()).await {
            let _ = tokio::time::timeout(ms(50), send.write_all(&[7; 300_000])).await;
            streams.push((send, recv));
        }
        assert!(streams.len() < 20, "{} streams", streams.len());
        scene
            .call(world, async |_, _| {
                for number in 0..2_000_u32 {
                    let who = "be/unit/lux-1";
                    let message = floor(HOME, Some(who), request(number, Tier::Emergency, Some(who)));
                    let bytes = wire::frame::encode(&message);
                    if tokio::time::timeout(ms(200), raw.send.write_all(&bytes)).await.is_err()
                        || raw.connection.quic.close_reason().is_some()
                    {
                        break;
                    }
                    // It beats, so that only what it does not read can end it.
                    raw.datagram(Datagram::Heartbeat(Heartbeat { seq: number + 1, echo: number }).encode());
                    sleep(ms(2)).await;
                }
            })
            .await;
    });
}

// === Rights ===

#[test]
fn claims_above_the_ceiling_cut_nobody() {
    with_a_lying_partner(210, async |world, scene| {
        scene
            .call(world, async |liar, _| {
                let claims = [(Tier::Emergency, 0, false), (Tier::Peril, 255, true), (Tier::Normal, 255, true), (Tier::Normal, 255, false)];
                for (number, (tier, level, dispatcher)) in (0..).zip(claims.into_iter().cycle().take(40)) {
                    let mut body = request(number, tier, Some("be/unit/lux-1"));
                    if let FloorBody::Request(request) = &mut body {
                        (request.priority.level, request.priority.dispatcher) = (wire::Level(level), dispatcher);
                    }
                    liar.say(&floor(HOME, Some("be/unit/lux-1"), body)).await;
                    sleep(ms(10)).await;
                }
                liar.say(&floor(HOME, Some("be/unit/lux-1"), release(39))).await;
            })
            .await;
    });
}

#[test]
fn nobodys_emergency_is_ended_by_a_stranger() {
    with_a_lying_partner(211, async |world, scene| {
        scene.maas.press_tier(Tier::Emergency).await;
        sleep(ms(500)).await;
        for party in
            ["nl/unit/maas-12", "nl/dispatcher/chief", "be/unit/lux-1", "be/dispatcher/chief", "de/unit/aachen-1", "be/gateway/gw-1"]
        {
            scene.liar.say(&Message::EmergencyEnd { talkgroup: tg(HOME), party: Some(id(party)) }).await;
        }
        for originator in ["nl/unit/maas-12", "be/unit/lux-1"] {
            for active in [false, true] {
                scene.liar.say(&emergency(HOME, active, originator, &[originator, "de/unit/aachen-1"])).await;
            }
        }
        sleep(ms(500)).await;
        assert_eq!(world.status("nl").talkgroups[0].emergency.as_deref(), Some("nl/unit/maas-12"));
        assert_named(world, "emergency end for another authority");
        scene.maas.release().await;
        scene.maas.end_emergency().await;
        world.until("the emergency is over", |w| w.status("nl").talkgroups[0].emergency.is_none()).await;
    });
}

#[test]
fn a_partner_that_never_releases_is_cut_off_and_the_next_is_served() {
    with_a_lying_partner(212, async |world, scene| {
        let who = "be/unit/lux-1";
        scene.liar.say(&floor(HOME, Some(who), request(1, Tier::Normal, Some(who)))).await;
        let spurt = scene.liar.told("a grant", granted_spurt).await;
        let (mark, asked) = (scene.far.mark(), Instant::now());
        let holding = async {
            for seq in 0..u16::MAX {
                let frame = scene.liar.frame(Handle(7), spurt, seq, Tier::Normal);
                scene.liar.datagram(frame);
                // Asks again all the time.
                scene.liar.say(&floor(HOME, Some(who), request(1, Tier::Normal, Some(who)))).await;
                sleep(ms(50)).await;
            }
        };
        scene.far.press().await;
        tokio::select! {
            () = holding => unreachable!("holds for ever"),
            () = async {
                sleep(Duration::from_secs(28)).await;
                scene.far.granted(mark).await;
            } => {}
        }
        assert!(asked.elapsed() <= Duration::from_secs(33), "{:?}", asked.elapsed());
        scene.far.release().await;
        sleep(ms(500)).await;
        assert!(world.records("nl").iter().any(|r| r.talker.as_deref() == Some(who) && r.outcome.as_deref() == Some("talk_limit")));
    });
}

#[test]
fn a_partner_says_nothing_of_talkgroups_that_it_is_no_side_of() {
    with_a_lying_partner(213, async |world, scene| {
        scene
            .call(world, async |liar, _| {
                let spurt = Spurt::from_bits(0x0c00_0001);
                for talkgroup in ["de/aachen-1", "be/lux-3", "nl/pol-2", "xx/none"] {
                    for party in [None, Some("be/unit/lux-1"), Some("nl/unit/maas-12"), Some("de/unit/aachen-1")] {
                        let bodies = [
                            request(1, Tier::Normal, party),
                            release(1),
                            granted(1, spurt, Tier::Normal),
                            taken(spurt, "de/unit/aachen-1", Tier::Normal),
                            idle(spurt, None),
                            revoke(1, spurt, RevokeCause::Preempted),
                            FloorBody::Ack { request: RequestId(1) },
                        ];
                        for body in bodies {
                            liar.say(&floor(talkgroup, party, body)).await;
                        }
                    }
                    liar.say(&emergency(talkgroup, true, "de/unit/aachen-1", &[])).await;
                }
                sleep(ms(100)).await;
            })
            .await;
        assert_named(world, "be/gateway/gw-1");
    });
}
