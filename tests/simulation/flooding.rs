//! One admitted unit floods, in every way that its certificate lets it: nobody else is granted later or heard later than without
//! it, by more than 20 ms in a hundred cases out of a hundred, and it is named and limited.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use wire::control::{Affiliated, Hello, Message};
use wire::datagram::{Datagram, Heartbeat};
use wire::{Handle, Spurt, Tier};

use crate::support::World;
use crate::support::radio::Radio;
use crate::support::raw::Raw;
use crate::support::scene;
use crate::support::watch::Sound;
use crate::support::words::{floor, release, request, tg};

const TALKGROUP: &str = "nl/pol-1";
/// Listeners in each of the two countries.
const LISTENERS_EACH: usize = 10;
/// Calls of two talkers in turn.
const CALLS: usize = 16;
/// So much later than without a flood may the slowest in a hundred be.
const LATER: Duration = Duration::from_millis(20);
/// Sessions that the flooder opens at once.
const SESSIONS: usize = 5;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What others notice.
#[derive(Debug)]
struct Noticed {
    /// Press to grant of every call.
    grants: Vec<Duration>,
    /// Mouth to ear of every frame at every listener.
    delays: Vec<Duration>,
}

/// What 99 in a hundred do not exceed.
fn p99(values: &[Duration]) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}

/// How a flood goes on until it is dropped, in a task of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    /// Voice without a grant, beats and emergency claims, as fast as the connection takes them.
    Datagrams,
    /// Presses and releases.
    Presses,
    /// Joins, leaves, ends of emergencies.
    Messages,
    /// Five sessions at once of one identity, each coming again as soon as it ends.
    Sessions,
}

/// Voice that nobody granted.
fn frame(handle: Handle, number: u32) -> wire::datagram::Voice {
    wire::datagram::Voice {
        handle,
        spurt: Spurt::from_bits(9 << 24 | number),
        seq: wire::Seq(0),
        first: true,
        last: false,
        tier: Tier::Emergency,
        encrypted: false,
        repeats: Vec::new(),
        payload: Sound { talker: Sound::FORGED, count: 1 }.payload().into(),
    }
}

impl Flood {
    /// Floods with a session until it ends, or for so many turns of a millisecond.
    async fn pour(self, raw: &mut Raw, joined: &Affiliated, turns: u32) {
        for turn in 0..turns {
            if raw.connection.quic.close_reason().is_some() {
                return;
            }
            match self {
                Self::Datagrams => {
                    for number in 0..10 {
                        raw.datagram(frame(joined.handle, turn * 10 + number).encode());
                        raw.datagram(Datagram::Heartbeat(Heartbeat { seq: turn, echo: 0 }).encode());
                    }
                    let emergency = floor(TALKGROUP, None, request(turn + 1, Tier::Emergency, None));
                    raw.datagram(Datagram::Emergency(Box::new(emergency)).encode());
                    raw.try_message(&floor(TALKGROUP, None, release(turn + 1))).await;
                }
                Self::Presses => {
                    raw.try_message(&floor(TALKGROUP, None, request(turn + 1, Tier::Normal, None))).await;
                    raw.try_message(&floor(TALKGROUP, None, release(turn + 1))).await;
                }
                Self::Messages => {
                    for _ in 0..5 {
                        raw.try_message(&Message::Deaffiliate(tg(TALKGROUP))).await;
                        raw.try_message(&Message::Affiliate(tg(TALKGROUP))).await;
                        raw.try_message(&Message::EmergencyEnd { talkgroup: tg(TALKGROUP), party: None }).await;
                        raw.try_message(&floor(TALKGROUP, None, release(1))).await;
                    }
                }
                Self::Sessions => return,
            }
            sleep(ms(1)).await;
        }
    }

    /// Floods for as long as it is polled; a session that ends is followed by another.
    async fn go_on(self, world: &mut World, sessions: &mut usize) {
        let mut open = std::collections::VecDeque::new();
        loop {
            let mut raw = world.raw("nl", "evil").await;
            raw.try_message(&Message::Hello(Hello::ours())).await;
            raw.try_message(&Message::Affiliate(tg(TALKGROUP))).await;
            *sessions += 1;
            let affiliated = |message| if let Message::Affiliated(affiliated) = message { Some(*affiliated) } else { None };
            if self == Self::Sessions {
                open.push_back(raw);
                if open.len() == SESSIONS {
                    open.pop_front();
                }
                sleep(ms(2)).await;
            } else if let Ok(Some(joined)) = timeout(ms(500), raw.try_receive(affiliated)).await {
                self.pour(&mut raw, &joined, 5_000).await;
            } else {
                sleep(ms(20)).await;
            }
        }
    }
}

/// Two units of nl talk in turn; twenty in two countries listen.
async fn calls(talkers: &mut [Radio; 2]) -> Vec<Duration> {
    let mut grants = Vec::new();
    for call in 0..CALLS {
        let talker = &mut talkers[call % 2];
        let (mark, pressed) = (talker.mark(), Instant::now());
        talker.press().await;
        talker.granted(mark).await;
        grants.push(talker.granted_at(mark) - pressed);
        sleep(ms(700)).await;
        talker.release().await;
        sleep(ms(537)).await;
    }
    grants
}

fn noticed(seed: u64, flood: Option<Flood>) -> Noticed {
    let mut found = None;
    scene(seed, async |world| {
        // The flooder may talk, as everybody may; whose emergencies count is another question.
        world.country("nl").toml.emergency = Some("[\"nl/unit/talker-1\"]".into());
        world.start_all().await;
        world.watch().rules.liars = ["nl".to_owned()].into();
        let mut listeners = Vec::new();
        for number in 0..LISTENERS_EACH {
            listeners.push(world.radio("nl", &format!("maas-{number}")).await);
            listeners.push(world.radio("be", &format!("lux-{number}")).await);
        }
        let mut talkers = [world.radio("nl", "talker-1").await, world.radio("nl", "talker-2").await];
        let mut sessions = 0;
        let grants = match flood {
            None => calls(&mut talkers).await,
            Some(flood) => {
                tokio::select! {
                    () = flood.go_on(world, &mut sessions) => unreachable!("floods for ever"),
                    grants = calls(&mut talkers) => grants,
                }
            }
        };
        sleep(ms(500)).await;
        let mut delays = Vec::new();
        for talker in &talkers {
            for listener in &listeners {
                assert_eq!(listener.frames_of(talker).len(), talker.said() as usize, "{} lost frames under {flood:?}", listener.identity);
                delays.extend(listener.mouth_to_ear(talker));
            }
        }
        for radio in listeners.iter().chain(&talkers) {
            assert!(radio.is_joined() && !radio.lines().iter().any(|line| line.contains("Disconnected")), "{}", radio.identity);
        }
        if let Some(flood) = flood {
            let named = world.log.contains("nl/unit/evil");
            assert!(named, "{flood:?} in {sessions} sessions: not named in {:#?}", world.log.lines());
        }
        found = Some(Noticed { grants, delays });
    });
    found.expect("played")
}

#[test]
fn a_unit_that_floods_delays_nobody() {
    let quiet = noticed(401, None);
    for flood in [Flood::Datagrams, Flood::Presses, Flood::Messages, Flood::Sessions] {
        let flooded = noticed(401, Some(flood));
        for (what, before, during) in [("grant", &quiet.grants, &flooded.grants), ("voice", &quiet.delays, &flooded.delays)] {
            let (before, during) = (p99(before), p99(during));
            assert!(during <= before + LATER, "{what}: p99 {during:?} under {flood:?}, {before:?} without");
        }
    }
}
