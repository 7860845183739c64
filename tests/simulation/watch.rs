//! The watch can fail: each invariant is broken on purpose, and named in the verdict. A watch that never complains proves nothing.

use std::time::Duration;

use engine::handset::Event;
use gateway::status::{BridgeState, BridgeStatus, FloorState, FloorStatus, Mode, QueueStatus, Status, TalkgroupStatus};
use testkit::{Link, Net, clock};
use tokio::time::sleep;
use wire::control::{Granted, Taken, Talker};
use wire::{DenyCause, Identity, Priority, RequestId, RevokeCause, Spurt, TalkgroupId, Tier};

use crate::support::watch::{Rules, Sound, Watch};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn spurt(number: u32) -> Spurt {
    Spurt::from_bits(0x0100_0000 | number)
}

/// A watch that is told of units without a network: `a` and `b` in nl, `c` in be.
pub(crate) struct Bench {
    pub(crate) watch: Watch,
    requests: u32,
}

pub(crate) const A: u16 = 0;
pub(crate) const B: u16 = 1;
pub(crate) const C: u16 = 2;
const NAMES: [&str; 3] = ["nl/unit/a", "nl/unit/b", "be/unit/c"];

impl Bench {
    pub(crate) fn new() -> Self {
        let mut watch = Watch::new(Net::new(1));
        for (name, gateway) in NAMES.iter().zip(["10.0.0.1", "10.0.0.1", "10.0.1.1"]) {
            watch.add(name.parse().expect("an identity"), "10.1.0.1".parse().expect("an address"), gateway.parse().expect("an address"));
        }
        watch.rules = Rules { home: Some("nl".into()), ..Rules::default() };
        watch.gateway("nl", true);
        watch.gateway("be", true);
        Self { watch, requests: 0 }
    }

    fn talkgroup(unit: u16) -> TalkgroupId {
        if unit == C { "be/lux-3" } else { "nl/pol-1" }.parse().expect("a talkgroup")
    }

    pub(crate) fn tell(&mut self, unit: u16, event: impl FnOnce(TalkgroupId) -> Event) {
        self.watch.event(unit, &event(Self::talkgroup(unit)));
    }

    pub(crate) fn asks(&mut self, unit: u16, tier: Tier) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.watch.pressed(unit, Priority::of(tier));
        self.tell(unit, |tg| Event::Requested(tg, request));
        request
    }

    fn granted(&mut self, unit: u16, request: RequestId, number: u32, tier: Tier) {
        let granted = Granted { request, spurt: spurt(number), duration_s: 30, tier, own_side_only: false };
        self.tell(unit, |tg| Event::Granted(tg, granted));
    }

    /// Asks and is granted at once.
    pub(crate) fn talks(&mut self, unit: u16, number: u32) -> RequestId {
        let request = self.asks(unit, Tier::Normal);
        self.granted(unit, request, number, Tier::Normal);
        request
    }

    fn shown(&mut self, unit: u16, talker: u16, number: u32, tier: Tier, via: Option<&str>) {
        let identity: Identity = NAMES[usize::from(talker)].parse().expect("an identity");
        let talker = Talker { identity, alias: String::new(), agency: String::new() };
        let via = via.map(|code| code.parse().expect("a code"));
        let taken = Taken { spurt: spurt(number), talker, tier, via, elapsed_ms: 0 };
        self.tell(unit, |tg| Event::Taken(tg, taken));
    }

    pub(crate) fn hears(&mut self, unit: u16, number: u32, sound: Sound) {
        self.watch.heard(unit, spurt(number), &sound.payload());
    }

    /// A gateway shows this floor now.
    pub(crate) fn shows_now(&mut self, authority: &str, floor: FloorStatus, mode: Mode) {
        let talkgroups = vec![TalkgroupStatus { mode, ..TalkgroupStatus::default() }];
        let bridges = vec![BridgeStatus { state: BridgeState::Active, ..BridgeStatus::default() }];
        self.watch.status(authority, &Status { talkgroups, floors: vec![floor], bridges, ..Status::default() });
    }

    /// A gateway shows this floor for a while, every 200 ms.
    pub(crate) async fn shows(&mut self, authority: &str, floor: FloorStatus, mode: Mode, for_ms: u64) {
        for _ in 0..for_ms / 200 {
            sleep(ms(200)).await;
            self.shows_now(authority, floor.clone(), mode);
            self.watch.tick();
        }
    }
}

pub(crate) fn floor_of(talker: u16, tier: &str) -> FloorStatus {
    let talker = Some(NAMES[usize::from(talker)].to_owned());
    FloorStatus { state: FloorState::Taken, talker, tier: Some(tier.to_owned()), ..FloorStatus::default() }
}

/// Plays on the bench; the verdict must name exactly this.
fn breaks(what: &str, play: impl AsyncFnOnce(&mut Bench)) {
    let breaches = clock::run(ms(1_000_000), async {
        let mut bench = Bench::new();
        sleep(ms(7_000)).await;
        play(&mut bench).await;
        bench.watch.take_breaches()
    });
    if what.is_empty() {
        assert!(breaches.is_empty(), "{breaches:#?}");
    } else {
        assert!(breaches.iter().any(|breach| breach.contains(what)), "nothing about {what:?} in {breaches:#?}");
        assert_eq!(breaches.len(), 1, "{breaches:#?}");
    }
}

// === Ears ===

#[test]
fn an_honest_call_breaks_nothing() {
    breaks("", async |bench| {
        let request = bench.talks(A, 1);
        bench.shown(B, A, 1, Tier::Normal, None);
        for _ in 0..5 {
            sleep(ms(20)).await;
            let sound = bench.watch.says(A);
            bench.hears(B, 1, sound);
        }
        bench.tell(A, |tg| Event::Released(tg, request, Some(spurt(1))));
        bench.tell(B, |tg| Event::Idle(tg, spurt(1), false));
        bench.talks(B, 2);
        bench.shows("nl", floor_of(B, "normal"), Mode::Home, 1_000).await;
    });
}

#[test]
fn a_frame_that_is_heard_twice_breaks_it() {
    breaks("frame 1 again", async |bench| {
        bench.talks(A, 1);
        let sound = bench.watch.says(A);
        bench.hears(B, 1, sound);
        bench.hears(B, 1, sound);
    });
}

#[test]
fn a_frame_out_of_order_breaks_it() {
    breaks("frame 2 again or late", async |bench| {
        bench.talks(A, 1);
        let [first, second, third] = std::array::from_fn(|_| bench.watch.says(A));
        for sound in [first, third, second] {
            bench.hears(B, 1, sound);
        }
    });
}

#[test]
fn the_same_frame_under_another_number_breaks_it() {
    breaks("frame 1 again", async |bench| {
        let request = bench.talks(A, 1);
        let sound = bench.watch.says(A);
        bench.hears(B, 1, sound);
        bench.granted(A, request, 2, Tier::Normal);
        bench.hears(B, 2, sound);
    });
}

#[test]
fn two_talkers_in_one_spurt_break_it() {
    breaks("two talkers in 1.1", async |bench| {
        bench.talks(A, 1);
        let first = bench.watch.says(A);
        bench.hears(B, 1, first);
        // Somebody of be was granted the same number there, where it is another one's.
        bench.talks(C, 1);
        let second = bench.watch.says(C);
        bench.hears(B, 1, second);
    });
}

#[test]
fn an_older_spurt_after_a_newer_one_breaks_it() {
    breaks("1.1 after", async |bench| {
        bench.talks(A, 1);
        let old = bench.watch.says(A);
        bench.talks(C, 2);
        let new = bench.watch.says(C);
        bench.hears(B, 2, new);
        bench.hears(B, 1, old);
    });
}

#[test]
fn voice_without_a_grant_breaks_it() {
    breaks("1.3, which it was never granted", async |bench| {
        bench.talks(A, 1);
        let sound = bench.watch.says(A);
        bench.hears(B, 3, sound);
    });
}

#[test]
fn voice_said_after_the_revoke_breaks_it() {
    breaks("said outside its grant", async |bench| {
        let request = bench.talks(A, 1);
        bench.tell(A, |tg| Event::Revoked(tg, request, spurt(1), RevokeCause::MediaGap));
        sleep(ms(20)).await;
        let sound = bench.watch.says(A);
        bench.hears(B, 1, sound);
    });
}

#[test]
fn voice_said_long_before_the_grant_breaks_it() {
    breaks("frame 1 of 1.1, said outside its grant", async |bench| {
        let tape: Vec<Sound> = (0..16).map(|_| bench.watch.says(A)).collect();
        bench.talks(A, 1);
        bench.hears(B, 1, tape[0]);
        bench.hears(B, 1, tape[1]);
    });
}

#[test]
fn voice_said_after_the_listener_was_told_idle_breaks_it() {
    breaks("spoken after 1.1 had ended here", async |bench| {
        bench.talks(A, 1);
        bench.tell(B, |tg| Event::Idle(tg, spurt(1), true));
        sleep(ms(20)).await;
        let sound = bench.watch.says(A);
        bench.hears(B, 1, sound);
    });
}

#[test]
fn a_tail_may_be_heard_after_idle_but_not_for_ever() {
    breaks("frame 2 of 1.1, long over", async |bench| {
        let request = bench.talks(A, 1);
        let (first, second) = (bench.watch.says(A), bench.watch.says(A));
        sleep(ms(20)).await;
        bench.tell(A, |tg| Event::Released(tg, request, Some(spurt(1))));
        bench.tell(B, |tg| Event::Idle(tg, spurt(1), false));
        sleep(ms(200)).await;
        bench.hears(B, 1, first);
        sleep(ms(1_200)).await;
        bench.hears(B, 1, second);
    });
}

#[test]
fn the_tail_of_a_spurt_that_an_emergency_cut_breaks_it() {
    breaks("which was cut", async |bench| {
        bench.talks(A, 1);
        bench.shown(B, A, 1, Tier::Normal, None);
        let sound = bench.watch.says(A);
        sleep(ms(20)).await;
        let request = bench.asks(C, Tier::Emergency);
        bench.granted(C, request, 2, Tier::Emergency);
        bench.shown(B, C, 2, Tier::Emergency, None);
        sleep(ms(20)).await;
        bench.hears(B, 1, sound);
    });
}

#[test]
fn hearing_somebody_under_the_own_voice_breaks_it() {
    breaks("under its own voice", async |bench| {
        bench.talks(A, 1);
        let sound = bench.watch.says(A);
        bench.talks(B, 2);
        sleep(ms(20)).await;
        bench.hears(B, 1, sound);
    });
}

#[test]
fn hearing_oneself_breaks_it() {
    breaks("its own voice", async |bench| {
        bench.talks(A, 1);
        let sound = bench.watch.says(A);
        bench.hears(A, 1, sound);
    });
}

#[test]
fn a_payload_that_nobody_said_breaks_it() {
    breaks("what no unit said", async |bench| {
        bench.talks(A, 1);
        bench.hears(B, 1, Sound { talker: u16::MAX, count: 1 });
    });
}

// === Grants ===

#[test]
fn one_number_for_two_units_breaks_it() {
    breaks("1.1 belongs to nl/unit/a and to nl/unit/b", async |bench| {
        bench.talks(A, 1);
        bench.talks(B, 1);
    });
}

#[test]
fn a_number_that_falls_breaks_it() {
    breaks("grants only rise", async |bench| {
        let request = bench.talks(A, 5);
        bench.granted(A, request, 3, Tier::Normal);
    });
}

#[test]
fn a_grant_that_was_not_asked_for_breaks_it() {
    breaks("does not ask for", async |bench| bench.granted(A, RequestId(9), 1, Tier::Normal));
}

#[test]
fn a_grant_that_never_ends_breaks_it() {
    breaks("does not end", async |bench| {
        bench.talks(A, 1);
        for _ in 0..36 {
            sleep(ms(1_000)).await;
            bench.watch.says(A);
            bench.watch.tick();
        }
    });
}

#[test]
fn a_refused_emergency_breaks_it() {
    breaks("an emergency is denied as queue_full", async |bench| {
        let request = bench.asks(A, Tier::Emergency);
        bench.tell(A, |tg| Event::Denied(tg, request, DenyCause::QueueFull));
    });
}

#[test]
fn an_emergency_without_an_answer_breaks_it() {
    breaks("emergency 1 is not answered", async |bench| {
        bench.asks(A, Tier::Emergency);
        bench.shows("nl", FloorStatus::default(), Mode::Home, 2_000).await;
    });
}

#[test]
fn a_request_that_waits_nowhere_breaks_it() {
    breaks("waits in no queue", async |bench| {
        let request = bench.asks(A, Tier::Normal);
        bench.tell(A, |tg| Event::Queued(tg, request, 1));
        bench.shows("nl", FloorStatus::default(), Mode::Home, 4_000).await;
    });
}

#[test]
fn a_talker_displaced_by_nobody_breaks_it() {
    breaks("although nobody else talked", async |bench| {
        let over = bench.talks(B, 1);
        bench.tell(B, |tg| Event::Released(tg, over, Some(spurt(1))));
        sleep(ms(100)).await;
        let request = bench.talks(A, 2);
        sleep(ms(100)).await;
        bench.tell(A, |tg| Event::Revoked(tg, request, spurt(2), RevokeCause::Displaced));
    });
}

// === What is shown ===

#[test]
fn a_talker_that_never_asked_breaks_it() {
    breaks("is shown nl/unit/a as talking", async |bench| bench.shown(B, A, 1, Tier::Normal, None));
}

#[test]
fn a_talker_relayed_without_a_word_of_it_breaks_it() {
    breaks("is shown nl/unit/a via", async |bench| {
        bench.talks(A, 1);
        bench.shown(C, A, 1, Tier::Normal, Some("nl"));
    });
}

#[test]
fn a_floor_kept_for_somebody_who_wants_nothing_breaks_it() {
    breaks("who wants nothing", async |bench| {
        let request = bench.talks(A, 1);
        bench.tell(A, |tg| Event::Released(tg, request, Some(spurt(1))));
        bench.shows("nl", floor_of(A, "normal"), Mode::Home, 2_000).await;
    });
}

#[test]
fn a_floor_kept_for_the_dead_breaks_it() {
    breaks("who is gone", async |bench| {
        bench.talks(A, 1);
        bench.watch.killed(A);
        bench.shows("nl", floor_of(A, "normal"), Mode::Home, 3_000).await;
    });
}

#[test]
fn a_floor_kept_for_silence_breaks_it() {
    breaks("who says nothing", async |bench| {
        bench.talks(A, 1);
        bench.shows("nl", floor_of(A, "normal"), Mode::Home, 5_000).await;
    });
}

#[test]
fn an_emergency_behind_routine_breaks_it() {
    breaks("waits behind routine", async |bench| {
        bench.talks(A, 1);
        let request = bench.asks(B, Tier::Emergency);
        bench.tell(B, |tg| Event::Queued(tg, request, 1));
        let floor = FloorStatus { queue: vec![NAMES[1].to_owned()], ..floor_of(A, "normal") };
        bench.shows("nl", floor, Mode::Home, 1_600).await;
    });
}

#[test]
fn two_talkers_over_one_active_bridge_break_it() {
    breaks("over an active bridge", async |bench| {
        bench.talks(A, 1);
        bench.talks(C, 2);
        for _ in 0..12 {
            bench.watch.says(A);
            bench.watch.says(C);
            bench.shows("nl", floor_of(A, "normal"), Mode::Home, 200).await;
            bench.shows("be", floor_of(C, "normal"), Mode::Partner, 200).await;
        }
    });
}

#[test]
fn a_queue_above_its_bound_breaks_it() {
    breaks("65 voice messages wait", async |bench| {
        let queues = vec![QueueStatus { class: "voice".into(), depth: 65, ..QueueStatus::default() }];
        bench.watch.status("nl", &Status { queues, ..Status::default() });
    });
}

#[test]
fn a_lost_last_syllable_breaks_it() {
    breaks("only to frame 1 of 2", async |bench| {
        let request = bench.talks(A, 1);
        sleep(ms(20)).await;
        let sound = bench.watch.says(A);
        bench.hears(B, 1, sound);
        bench.watch.says(A);
        bench.tell(A, |tg| Event::Released(tg, request, Some(spurt(1))));
        bench.shows("nl", FloorStatus::default(), Mode::Home, 2_400).await;
    });
}

#[test]
fn a_lost_first_syllable_breaks_it() {
    breaks("frame 2, and never frame 1", async |bench| {
        bench.talks(A, 1);
        sleep(ms(20)).await;
        bench.watch.says(A);
        let sound = bench.watch.says(A);
        bench.hears(B, 1, sound);
    });
}

#[test]
fn what_holds_only_in_calm_is_not_asked_for_in_trouble() {
    clock::run(ms(1_000_000), async {
        let mut bench = Bench::new();
        let net = Net::new(1);
        bench.watch = Watch::new(net.clone());
        bench.watch.add(
            NAMES[0].parse().expect("an identity"),
            "10.1.0.1".parse().expect("an address"),
            "10.0.0.1".parse().expect("an address"),
        );
        bench.watch.gateway("nl", true);
        net.set_default(Link::default().losing(0.3));
        let request = bench.talks(A, 1);
        bench.tell(A, |tg| Event::Released(tg, request, Some(spurt(1))));
        bench.shows("nl", floor_of(A, "normal"), Mode::Home, 4_000).await;
        assert_eq!(bench.watch.take_breaches(), Vec::<String>::new());
        bench.shows("nl", floor_of(A, "normal"), Mode::Home, 6_000).await;
        assert_eq!(bench.watch.take_breaches().len(), 1, "and yet no floor is kept for ever");
    });
}
