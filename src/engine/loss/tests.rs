//! What a meter counts, what a chooser makes of it, what a history repeats.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::datagram::{Report, Voice};
use wire::{Handle, Seq, Spurt, Tier};

use super::{Chooser, History, Meter, Repeats};

#[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
fn epoch() -> Instant {
    Instant::now()
}

fn frame(spurt: u32, seq: u16) -> Voice {
    Voice {
        handle: Handle(1),
        spurt: Spurt::from_bits(spurt),
        seq: Seq(seq),
        first: seq == 0,
        last: false,
        tier: Tier::Normal,
        encrypted: false,
        repeats: Vec::new(),
        payload: Bytes::copy_from_slice(&seq.to_be_bytes()),
    }
}

/// What was counted after these frames of one spurt.
fn counted(seqs: impl IntoIterator<Item = u16>) -> Report {
    let mut meter = Meter::default();
    seqs.into_iter().for_each(|seq| meter.note(&frame(1, seq)));
    meter.counted()
}

fn report(frames: u32, lost: u32, runs: u32) -> Report {
    Report { frames, lost, runs }
}

#[test]
fn what_is_missing_counts_when_eight_later_frames_are_due() {
    assert_eq!(counted(0..108), report(100, 0, 0));
    assert_eq!(counted((0..108).filter(|seq| *seq != 99)), report(100, 1, 1));
    assert_eq!(counted((0..108).filter(|seq| *seq != 100)), report(100, 0, 0), "it may still come");
    assert_eq!(counted((0..108).filter(|seq| ![10, 11, 12, 40].contains(seq))), report(100, 4, 2));
}

#[test]
fn overtaken_frames_copies_late_entries_and_jumps_are_no_loss() {
    let overtaken = (0..100).flat_map(|n| [2 * n + 1, 2 * n]);
    assert_eq!(counted(overtaken).lost, 0);
    assert_eq!(counted((0..50).chain([49, 49])).lost, 0);
    assert_eq!(counted(1_000..1_050).lost, 0);
    assert_eq!(counted((0..50).chain(500..550)).lost, 0);
    let mut meter = Meter::default();
    for seq in 0..100 {
        for spurt in 1..=3 {
            meter.note(&frame(spurt, seq));
        }
    }
    assert_eq!(meter.counted(), report(3 * 92, 0, 0), "spurts at once do not get mixed up");
}

#[test]
fn a_report_is_due_while_frames_are_lost_or_repeated_and_not_too_often() {
    let (mut meter, start) = (Meter::default(), epoch());
    let mut reports = Vec::new();
    for seq in 0..500 {
        let mut voice = frame(1, seq);
        if seq >= 400 {
            voice.repeats.push(wire::datagram::Repeat { back: 1, payload: Bytes::new() });
        }
        if seq != 100 {
            meter.note(&voice);
        }
        let now = start + Duration::from_millis(20) * seq.into();
        reports.extend(meter.report(now).map(|report| (seq, report.lost)));
    }
    assert_eq!(reports, [(108, 1), (400, 1), (425, 1), (450, 1), (475, 1)]);
}

/// The choice after each of these reports of 25 frames.
fn choices(lost: impl IntoIterator<Item = (u32, u32)>) -> Vec<Repeats> {
    let (mut chooser, mut total) = (Chooser::default(), Report::default());
    let mut choose = |(lost, runs)| {
        total = report(total.frames + 25, total.lost + lost, total.runs + runs);
        chooser.handle_report(total);
        chooser.choice()
    };
    lost.into_iter().map(&mut choose).collect()
}

#[test]
fn the_table_of_the_page() {
    let settled = |lost, runs| choices(std::iter::repeat_n((lost, runs), 40)).pop().unwrap().backs();
    assert_eq!(settled(0, 0), [0; 0]);
    assert_eq!(settled(1, 1), [1]);
    assert_eq!(settled(3, 3), [1, 2]);
    assert_eq!(settled(8, 6), [1, 2], "30 % lost, each for itself");
    assert_eq!(settled(3, 1), [2, 4]);
    let now_and_then = (0..40).map(|n| if n % 8 == 0 { (3, 1) } else { (0, 0) });
    assert_eq!(choices(now_and_then).pop().unwrap().backs(), [2]);
}

#[test]
fn one_lost_frame_is_no_reason_and_a_bad_second_is() {
    let of_one = choices([(1, 1), (0, 0), (0, 0)]);
    assert_eq!(of_one, [Repeats::NONE; 3]);
    assert_eq!(choices([(3, 3), (3, 3)])[1].count(), 1);
    let mut chooser = Chooser::default();
    chooser.handle_report(report(100_000, 0, 0));
    chooser.handle_report(report(100_025, 8, 6));
    assert_eq!(chooser.choice().count(), 1, "what was long ago does not hold it up");
}

#[test]
fn a_choice_is_kept_between_its_two_thresholds() {
    // Up to 10 %, then 5 %, 2 %, 1 % and nothing.
    let per_mille = |share: u32| std::iter::repeat_n((share, share), 200);
    let (mut chooser, mut total) = (Chooser::default(), Report::default());
    let mut counts = Vec::new();
    for share in [100, 50, 20, 10, 0] {
        for (lost, runs) in per_mille(share) {
            total = report(total.frames + 1_000, total.lost + lost, total.runs + runs);
            chooser.handle_report(total);
        }
        counts.push(chooser.choice().count());
    }
    assert_eq!(counts, [2, 2, 1, 1, 0]);
    for (share, count) in [(10, 0), (50, 1), (100, 2)] {
        total = report(total.frames + 1_000, total.lost + share, total.runs + share);
        chooser.handle_report(total);
        assert_eq!(chooser.choice().count(), count, "up again at {share} per mille");
    }
}

#[test]
fn reports_that_are_old_or_cannot_be_say_nothing() {
    let mut chooser = Chooser::default();
    chooser.handle_report(report(100, 30, 25));
    let choice = chooser.choice();
    assert_eq!(choice.count(), 2);
    for nonsense in [report(75, 0, 0), report(100, 30, 25), report(110, 60, 30), report(200, 31, 40), report(u32::MAX / 2, 30, 25)] {
        chooser.handle_report(nonsense);
        assert_eq!((chooser.newest, chooser.choice()), (report(100, 30, 25), choice));
    }
    let mut wraps = Chooser::default();
    wraps.newest = report(u32::MAX - 9, u32::MAX, u32::MAX);
    wraps.handle_report(report(90, 29, 25));
    assert_eq!(wraps.choice().count(), 2);
}

#[test]
fn a_frame_repeats_those_of_its_spurt_that_are_kept() {
    let mut history = History::default();
    let backs = |history: &History, voice: &Voice, repeats| {
        let repeating = history.repeating(voice, repeats);
        repeating.map(|voice| voice.repeated().map(|earlier| (earlier.seq.0, earlier.payload)).collect::<Vec<_>>())
    };
    let payload = |seq: u16| (seq, Bytes::copy_from_slice(&seq.to_be_bytes()));
    let two_spread = Repeats::new(2, true);
    for seq in 0..10 {
        let voice = frame(1, seq);
        history.push(&voice);
        assert_eq!(history.repeating(&voice, Repeats::NONE), None);
        let expected: Vec<_> = [4, 2].into_iter().filter_map(|back| seq.checked_sub(back)).map(payload).collect();
        assert_eq!(backs(&history, &voice, two_spread), (!expected.is_empty()).then_some(expected));
    }
    let next = frame(2, 0);
    history.push(&next);
    assert_eq!(history.repeating(&next, two_spread), None, "nothing of another spurt");
    let jumped = frame(2, 3);
    history.push(&jumped);
    assert_eq!(backs(&history, &jumped, Repeats::new(2, false)), None, "1 and 2 never came this far");
}
