//! The scheduler's promises: order, drop rules, the share, the emergency delay on an overloaded link, and a reference model.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use wire::Tier;
use wire::packet::{Packet, Room};

use super::*;

const LEVEL: Level = Level(16);

#[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
fn epoch() -> Instant {
    Instant::now()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Everything that goes at `now`.
fn drain<T>(scheduler: &mut Scheduler<T>, now: Instant) -> Vec<(Class, T)> {
    std::iter::from_fn(|| match scheduler.next(now) {
        Next::Item { item, class, .. } => Some((class, item)),
        Next::Wait(..) | Next::Idle => None,
    })
    .collect()
}

#[test]
fn classes_go_by_urgency_whatever_the_order_of_arrival() {
    let now = epoch();
    let mut scheduler = Scheduler::new(None);
    for class in Class::ALL.into_iter().rev() {
        scheduler.offer(class, LEVEL, 60, (), now).unwrap();
    }
    let order: Vec<Class> = drain(&mut scheduler, now).into_iter().map(|(class, ())| class).collect();
    assert_eq!(order, Class::ALL);
}

#[test]
fn normal_voice_goes_by_level_then_arrival_and_emergency_by_arrival_alone() {
    let now = epoch();
    let mut scheduler = Scheduler::new(None);
    for (item, level) in [(1, 16), (2, 200), (3, 16), (4, 200), (5, 0)] {
        scheduler.offer(Class::Voice, Level(level), 60, item, now).unwrap();
        scheduler.offer(Class::EmergencyVoice, Level(level), 60, item + 10, now).unwrap();
    }
    let order: Vec<i32> = drain(&mut scheduler, now).into_iter().map(|(_, item)| item).collect();
    assert_eq!(order, [11, 12, 13, 14, 15, 2, 4, 1, 3, 5]);
}

#[test]
fn voice_goes_at_sixty_milliseconds_and_is_dropped_after() {
    let start = epoch();
    for class in [Class::EmergencyVoice, Class::PerilVoice, Class::Voice] {
        let mut scheduler = Scheduler::new(None);
        scheduler.offer(class, LEVEL, 60, "old", start).unwrap();
        scheduler.offer(class, LEVEL, 60, "young", start + ms(1)).unwrap();
        assert_eq!(drain(&mut scheduler, start + ms(61)), [(class, "young")]);
        let stats = scheduler.stats().of(class);
        assert_eq!((stats.offered, stats.sent, stats.dropped_late, stats.queued), (2, 1, 1, 0));
    }
}

#[test]
fn the_backlog_of_a_grant_has_no_deadline_and_stays_ahead_of_what_follows() {
    let start = epoch();
    let mut scheduler = Scheduler::new(None);
    scheduler.offer_backlog(Class::Voice, LEVEL, 60, 0, start).unwrap();
    scheduler.offer(Class::Voice, LEVEL, 60, 1, start + ms(200)).unwrap();
    assert_eq!(drain(&mut scheduler, start + ms(210)), [(Class::Voice, 0), (Class::Voice, 1)]);
}

#[test]
fn full_voice_drops_the_oldest_frame_of_the_lowest_level() {
    let now = epoch();
    let mut scheduler = Scheduler::new(None);
    let bound = Class::Voice.rule().bound_messages;
    for item in 0..bound {
        scheduler.offer(Class::Voice, Level(if item < 3 { 9 } else { 8 }), 60, item, now).unwrap();
    }
    scheduler.offer(Class::Voice, Level(8), 60, bound, now).unwrap();
    let items: Vec<usize> = drain(&mut scheduler, now).into_iter().map(|(_, item)| item).collect();
    assert_eq!(items, (0..=bound).filter(|item| *item != 3).collect::<Vec<_>>());
    assert_eq!(scheduler.stats().of(Class::Voice).dropped_full, 1);
}

#[test]
fn control_is_never_dropped_and_the_message_beyond_256_closes_the_link() {
    let now = epoch();
    let mut scheduler = Scheduler::new(Some(64));
    for message in 0..256 {
        let chunks = (0..3).map(|part| Chunk { bytes: 400, item: (message, part) }).collect();
        scheduler.offer_chunks(Class::Control, chunks, now).unwrap();
    }
    let refused = scheduler.offer(Class::Control, LEVEL, 40, (256, 0), now);
    assert_eq!(refused, Err(Overflow::TooSlow { bound: 256 }));
    scheduler.set_rate(None);
    let sent = drain(&mut scheduler, now + Duration::from_secs(3_600));
    assert_eq!(sent.len(), 256 * 3);
}

#[test]
fn a_full_data_class_hands_the_message_back() {
    let now = epoch();
    for class in [Class::UrgentData, Class::Data, Class::Bulk] {
        let mut scheduler = Scheduler::new(Some(64));
        for item in 0..class.rule().bound_messages {
            scheduler.offer(class, LEVEL, 400, item, now).unwrap();
        }
        let chunks = vec![Chunk { bytes: 400, item: 1_000 }, Chunk { bytes: 10, item: 1_001 }];
        assert_eq!(scheduler.offer_chunks(class, chunks, now), Err(Overflow::Full { class, items: vec![1_000, 1_001] }));
        assert_eq!(scheduler.stats().of(class).dropped_full, 1);
    }
}

#[test]
fn chunks_of_a_message_stay_together_in_their_class_while_control_passes_between() {
    let now = epoch();
    let mut scheduler = Scheduler::new(None);
    for message in ["a", "b"] {
        scheduler.offer_chunks(Class::Data, (0..3).map(|part| Chunk { bytes: 400, item: (message, part) }).collect(), now).unwrap();
    }
    let Next::Item { item, .. } = scheduler.next(now) else { panic!("nothing to send") };
    assert_eq!(item, ("a", 0));
    assert_eq!((scheduler.stats().of(Class::Data).sent, scheduler.stats().of(Class::Data).queued), (0, 2));
    scheduler.offer(Class::Control, LEVEL, 40, ("grant", 0), now).unwrap();
    let order: Vec<_> = drain(&mut scheduler, now).into_iter().map(|(_, item)| item).collect();
    assert_eq!(order, [("grant", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]);
    assert_eq!(scheduler.stats().of(Class::Data).sent, 2);
}

#[test]
fn a_class_that_is_not_ready_lets_others_pass() {
    let now = epoch();
    let mut scheduler = Scheduler::new(None);
    scheduler.set_ready(Class::Data, false);
    scheduler.offer(Class::Data, LEVEL, 400, 1, now).unwrap();
    scheduler.offer(Class::Bulk, LEVEL, 400, 2, now).unwrap();
    assert_eq!(drain(&mut scheduler, now), [(Class::Bulk, 2)]);
    scheduler.set_ready(Class::Data, true);
    assert_eq!(drain(&mut scheduler, now), [(Class::Data, 1)]);
}

#[test]
fn after_a_pause_one_packet_goes_at_once_and_the_next_when_it_is_paid_for() {
    let start = epoch();
    let mut scheduler = Scheduler::new(Some(256));
    let now = start + Duration::from_secs(10);
    for item in 0..2 {
        scheduler.offer(Class::Data, LEVEL, 1_382, item, now).unwrap();
    }
    assert_eq!(drain(&mut scheduler, now).len(), 1);
    // 1,452 IP bytes at 90 % of 256 kbit/s take 50.4 ms.
    let Next::Wait(at, reason) = scheduler.next(now) else { panic!("no wait") };
    assert_eq!(reason, "link rate");
    let wait = at - now + ms(2);
    assert!(wait >= Duration::from_micros(50_400) && wait <= Duration::from_micros(52_500), "{wait:?}");
    assert_eq!(drain(&mut scheduler, at - ms(1)).len(), 0);
    assert_eq!(drain(&mut scheduler, at).len(), 1);
}

#[test]
fn the_long_term_rate_is_ninety_percent_even_with_a_coarse_timer() {
    let start = epoch();
    let mut scheduler = Scheduler::new(Some(256));
    for at in 0..60_000 {
        let now = start + ms(at);
        while scheduler.stats().of(Class::Bulk).queued < 4 {
            scheduler.offer(Class::Bulk, LEVEL, 400, (), now).unwrap();
        }
        drain(&mut scheduler, now);
    }
    let bits_per_second = scheduler.stats().of(Class::Bulk).bytes * 8 / 60;
    assert!((228_000..=231_000).contains(&bits_per_second), "{bits_per_second}");
}

#[test]
fn emergency_voice_on_a_link_offered_three_times_its_rate_loses_nothing_and_waits_at_most_one_packet() {
    let start = epoch();
    let mut scheduler = Scheduler::new(Some(256));
    let mut waits = Vec::new();
    let mut offered_bytes = 0;
    let mut offer = |scheduler: &mut Scheduler<()>, class, bytes, now| {
        offered_bytes += bytes + OVERHEAD_BYTES;
        // Full data classes refuse here all the time; that is the overload.
        let _refused = scheduler.offer(class, LEVEL, bytes, (), now);
    };
    for at in 0..60_000_u64 {
        let now = start + ms(at);
        // Frames drift against the data by one millisecond in 20 s, so every phase occurs.
        if at % 20 == at / 3_000 % 20 {
            offer(&mut scheduler, Class::EmergencyVoice, 60, now);
        }
        if at % 20 == 7 {
            offer(&mut scheduler, Class::PerilVoice, 60, now);
            (0..8).for_each(|_| offer(&mut scheduler, Class::Voice, 60, now));
        }
        if at % 200 == 11 {
            offer(&mut scheduler, Class::Control, 60, now);
        }
        if at % 20 == 3 {
            for class in [Class::UrgentData, Class::Data, Class::Bulk] {
                offer(&mut scheduler, class, 400, now);
            }
        }
        while let Next::Item { class, waited, .. } = scheduler.next(now) {
            if class == Class::EmergencyVoice {
                waits.push(waited);
            }
        }
    }
    assert!(offered_bytes * 8 / 60 >= 3 * 256_000, "offered {} bit/s", offered_bytes * 8 / 60);
    let stats = scheduler.stats().of(Class::EmergencyVoice);
    assert_eq!((stats.dropped_late, stats.dropped_full), (0, 0));
    assert_eq!(stats.sent, stats.offered - u64::try_from(stats.queued).unwrap());
    waits.sort_unstable();
    let p99 = waits[waits.len() * 99 / 100];
    assert!(p99 <= ms(20), "p99 {p99:?}");
    assert!(*waits.last().unwrap() <= ms(25), "worst {:?}", waits.last());
    // The share holds all the while: 5 % of 60 s each.
    for class in [Class::UrgentData, Class::Data, Class::Bulk] {
        let bytes = scheduler.stats().of(class).bytes;
        assert!(bytes >= 60 * 28_800 / 20, "{class:?} got {bytes}");
    }
}

/// A unit that listens to many talkgroups at once over its 128 kbit/s, which carry one call and a half: nothing admits or refuses
/// there, its scheduler alone decides.
#[test]
fn a_unit_that_hears_six_talkgroups_loses_nothing_of_an_emergency_and_of_one_call_beside_it_the_higher_level() {
    let start = epoch();
    let mut scheduler = Scheduler::new(Some(128));
    let (mut worst, mut emergency, mut high) = (Duration::ZERO, 0, 0);
    for at in 0..30_000_u64 {
        let now = start + ms(at);
        for talkgroup in (0..6_u64).filter(|talkgroup| at % 20 == talkgroup * 3) {
            let (class, level) =
                if talkgroup == 5 { (Class::EmergencyVoice, LEVEL) } else { (Class::Voice, Level(if talkgroup == 2 { 40 } else { 16 })) };
            scheduler.offer(class, level, 70, talkgroup, now).unwrap();
        }
        while let Next::Item { waited, item, .. } = scheduler.next(now) {
            worst = if item == 5 { worst.max(waited) } else { worst };
            emergency += u32::from(item == 5);
            high += u32::from(item == 2);
        }
    }
    let stats = scheduler.stats().of(Class::EmergencyVoice);
    assert_eq!((stats.dropped_late, stats.dropped_full), (0, 0));
    assert!(worst <= ms(12), "{worst:?}");
    assert!(emergency >= 1_499 && high >= 1_495, "{emergency} of the emergency, {high} of the higher level, of 1500");
}

/// Keeps `vital` and every data class full for 30 s; gives the IP bytes of each data class in each second.
fn saturate(vital: Class) -> (Vec<BTreeMap<Class, u64>>, Vec<Class>) {
    let start = epoch();
    let mut scheduler = Scheduler::new(Some(256));
    let (mut seconds, mut order) = (Vec::new(), Vec::new());
    for second in 0..30 {
        let mut bytes = BTreeMap::new();
        for at in 0..1_000 {
            let now = start + ms(second * 1_000 + at);
            for class in [vital, Class::UrgentData, Class::Data, Class::Bulk] {
                while scheduler.stats().of(class).queued < 8 {
                    scheduler.offer(class, LEVEL, if class.is_perishable() { 60 } else { 400 }, (), now).unwrap();
                }
            }
            for (class, ()) in drain(&mut scheduler, now) {
                *bytes.entry(class).or_insert(0) += if class.is_perishable() { 130 } else { 470 };
                order.push(class);
            }
        }
        seconds.push(bytes);
    }
    (seconds, order)
}

/// A frame, with so many repeats if the link is free.
fn sound(tier: Tier, backlog: bool, repeats: Option<usize>) -> line::Sound {
    let repeating = repeats.map(|repeats| Bytes::from(vec![0x11; 70 + 63 * repeats]));
    line::Sound { datagram: Bytes::from_static(&[0x10; 70]), repeating, tier, level: LEVEL, backlog }
}

#[test]
fn a_heartbeat_counts_as_a_signal_and_not_as_emergency_voice() {
    let (mut line, now) = (line::Line::new(None), epoch());
    line.signal(Bytes::from_static(&[0x20; 9]), now).unwrap();
    line.voice(sound(Tier::Emergency, false, None), now, now).unwrap();
    while matches!(line.next(now, Room::ALL), Next::Item { .. }) {}
    assert_eq!((line.stats().of(Class::Signal).sent, line.stats().of(Class::EmergencyVoice).sent), (1, 1));
}

#[test]
fn the_deadline_of_voice_counts_from_its_arrival_at_the_gateway() {
    let (mut line, start) = (line::Line::new(None), epoch());
    // Both waited 50 ms for the hub's turn, one of them is of the beginning of a spurt.
    for backlog in [false, true] {
        line.voice(sound(Tier::Normal, backlog, None), start, start + ms(50)).unwrap();
    }
    line.voice(sound(Tier::Normal, false, None), start + ms(50), start + ms(50)).unwrap();
    let mut waits = Vec::new();
    while let Next::Item { waited, .. } = line.next(start + ms(61), Room::ALL) {
        waits.push(waited);
    }
    assert_eq!((waits, line.stats().of(Class::Voice).dropped_late), (vec![ms(61), ms(11)], 1));
}

#[test]
fn a_waiting_data_class_gets_five_percent_of_every_second_less_one_packet() {
    for vital in [Class::Control, Class::Signal, Class::EmergencyVoice, Class::PerilVoice, Class::Voice] {
        let (seconds, _) = saturate(vital);
        // In the first second nothing is owed yet.
        for (second, bytes) in seconds.iter().enumerate().skip(1) {
            for class in [Class::UrgentData, Class::Data, Class::Bulk] {
                let got = bytes.get(&class).copied().unwrap_or(0);
                assert!(got + 470 >= 28_800 / 20, "{class:?} behind {vital:?} in second {second}: {got}");
                assert!(got <= 28_800 / 8, "{class:?} behind {vital:?} took {got}");
            }
        }
    }
}

#[test]
fn two_share_packets_never_follow_each_other_ahead_of_vital_traffic() {
    for vital in [Class::Control, Class::Signal, Class::EmergencyVoice] {
        let (_, order) = saturate(vital);
        assert!(order.windows(2).all(|pair| pair.contains(&vital)), "behind {vital:?}");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Offer { class: usize, level: u8, chunks: usize },
    Next,
    Sleep(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..CLASSES, 0..4_u8, 1..4_usize).prop_map(|(class, level, chunks)| Op::Offer { class, level, chunks }),
        3 => Just(Op::Next),
        1 => (0..40_u64).prop_map(Op::Sleep),
    ]
}

/// The naive model: one flat list, sorted anew for every answer. Without the share, which has tests of its own.
#[derive(Default)]
struct Model {
    /// Class, level, arrival, number, chunks left.
    waiting: Vec<(usize, u8, Instant, usize, usize)>,
    late: u64,
}

impl Model {
    fn next(&mut self, now: Instant) -> Option<usize> {
        self.waiting.sort_by_key(|(class, level, _, number, _)| (*class, u8::MAX - *level, *number));
        while let Some(first) = self.waiting.first_mut() {
            if Class::ALL[first.0].is_perishable() && now - first.2 > ms(60) {
                self.waiting.remove(0);
                self.late += 1;
                continue;
            }
            let number = first.3;
            first.4 -= 1;
            if first.4 == 0 {
                self.waiting.remove(0);
            }
            return Some(number);
        }
        None
    }
}

proptest! {
    #[test]
    fn control_and_voice_go_as_in_the_naive_model(ops in prop::collection::vec(op(), 0..400)) {
        let mut now = epoch();
        let mut scheduler = Scheduler::new(None);
        let mut model = Model::default();
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                Op::Offer { class, level, chunks } => {
                    // Five classes without a share; the fifth is the one with levels.
                    let class = Class::ALL[class % 5];
                    if scheduler.stats().of(class).queued == class.rule().bound_messages {
                        continue;
                    }
                    let chunks = if class.is_perishable() { 1 } else { chunks };
                    if class.is_perishable() {
                        scheduler.offer(class, Level(level), 60, number, now).unwrap();
                    } else {
                        scheduler.offer_chunks(class, vec![Chunk { bytes: 400, item: number }; chunks], now).unwrap();
                    }
                    let level = if class == Class::Voice { level } else { 0 };
                    model.waiting.push((class.index(), level, now, number, chunks));
                }
                Op::Next => {
                    let got = match scheduler.next(now) {
                        Next::Item { item, waited, class } => {
                            prop_assert!(!class.is_perishable() || waited <= ms(60));
                            Some(item)
                        }
                        Next::Wait(..) | Next::Idle => None,
                    };
                    prop_assert_eq!(got, model.next(now));
                }
                Op::Sleep(millis) => now += ms(millis),
            }
        }
        let rest: Vec<usize> = drain(&mut scheduler, now).into_iter().map(|(_, item)| item).collect();
        prop_assert_eq!(rest, std::iter::from_fn(|| model.next(now)).collect::<Vec<_>>());
        prop_assert_eq!(Class::ALL.iter().map(|class| scheduler.stats().of(*class).dropped_late).sum::<u64>(), model.late);
    }

    #[test]
    fn every_message_is_accounted_for_and_no_class_reorders(rate in prop::option::of(64..2_000_u32), ops in prop::collection::vec(op(), 0..600)) {
        let mut now = epoch();
        let mut scheduler = Scheduler::new(rate);
        let mut newest: BTreeMap<Class, (usize, usize)> = BTreeMap::new();
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                Op::Offer { class, chunks, .. } => {
                    let class = Class::ALL[class];
                    let chunks = if class.is_perishable() { 1 } else { chunks };
                    if class.is_perishable() {
                        let _taken = scheduler.offer(class, LEVEL, 60, (number, 0), now);
                    } else {
                        let parts = (0..chunks).map(|part| Chunk { bytes: 400, item: (number, part) });
                        let _refused = scheduler.offer_chunks(class, parts.collect(), now);
                    }
                }
                Op::Next => if let Next::Item { item, class, .. } = scheduler.next(now) {
                    let before = newest.insert(class, item);
                    prop_assert!(before.is_none_or(|before| item > before), "{:?}: {:?} after {:?}", class, item, before);
                },
                Op::Sleep(millis) => now += ms(millis),
            }
            for class in Class::ALL {
                let stats = scheduler.stats().of(class);
                let queued = u64::try_from(stats.queued).unwrap();
                prop_assert_eq!(stats.offered, stats.sent + stats.dropped_late + stats.dropped_full + queued);
                prop_assert!(stats.queued <= class.rule().bound_messages);
            }
        }
    }
}

/// Voices that talk for 10 s over a link of that rate, each frame with two repeats to spare: of every voice how many frames went
/// with them and how many without, and the longest wait.
fn talk_over(rate_kbps: u32, voices: &[Tier], burst: u64) -> (Vec<[u32; 2]>, Duration) {
    let (mut line, start) = (line::Line::new(Some(rate_kbps)), epoch());
    let mut sent = vec![[0; 2]; voices.len()];
    let mut longest = Duration::ZERO;
    for at in 0..10_000_u64 {
        let now = start + ms(at);
        for (place, tier) in voices.iter().enumerate() {
            let begins = 7 * u64::try_from(place).unwrap();
            let due = if at == begins { burst } else { u64::from(at > begins && (at - begins).is_multiple_of(20)) };
            for _ in 0..due {
                let mut sound = sound(*tier, at < begins + 600, Some(2));
                for bytes in [Some(&mut sound.datagram), sound.repeating.as_mut()].into_iter().flatten() {
                    *bytes = [&[u8::try_from(place).unwrap()], &bytes[1..]].concat().into();
                }
                line.voice(sound, now, now).unwrap();
            }
        }
        while let Next::Item { item, waited, .. } = line.next(now, Room::ALL) {
            let Packet::Datagram(bytes) = item else { panic!("a stream") };
            sent[usize::from(bytes[0])][usize::from(bytes.len() == 70)] += 1;
            if at > 1_000 {
                longest = longest.max(waited);
            }
        }
    }
    let stats = line.stats();
    for tier in voices {
        let class = stats.of(Class::of_voice(*tier));
        assert_eq!((class.dropped_late, class.dropped_full), (0, 0), "at {rate_kbps} kbit/s");
    }
    (sent, longest)
}

#[test]
fn repeats_go_where_the_link_has_room_and_never_hold_up_the_voices() {
    let (sent, longest) = talk_over(128, &[Tier::Normal], 1);
    assert_eq!((sent, longest), (vec![[500, 0]], ms(0)), "one voice and its repeats are what a unit's link carries");
    // The 300 ms spoken before the grant, at once: it catches up first.
    let (sent, longest) = talk_over(128, &[Tier::Normal], 15);
    assert!(sent[0][0] > 480 && sent[0][1] >= 15 && longest == ms(0), "{sent:?}, {longest:?}");
    // A full link: neither is a frame lost nor does any wait for two others.
    let (sent, longest) = talk_over(128, &[Tier::Normal; 2], 1);
    assert!(sent.iter().all(|voice| voice.iter().sum::<u32>() >= 498) && longest <= ms(20), "{sent:?}, {longest:?}");
    // Emergency voice takes what there is.
    let (sent, longest) = talk_over(256, &[Tier::Emergency, Tier::Normal, Tier::Normal], 1);
    assert!(sent[0][0] > 400 && longest <= ms(30), "{sent:?}, {longest:?}");
}
