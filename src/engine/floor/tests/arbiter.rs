//! The arbiter by scenario, in virtual time.

use wire::{Epoch, Level, Priority, RevokeCause, Seq, SessionId, Tier};

use super::bench::{ABROAD, Bench, claim, ms, party, release};
use crate::floor::Claim;
use crate::floor::queue::QUEUE_MAX;
use crate::floor::table::State;

const SOS: Priority = Priority { tier: Tier::Emergency, dispatcher: false, level: Level(16) };

fn normal() -> Priority {
    Priority::default()
}

#[test]
fn grant_taken_idle() {
    let mut bench = Bench::new();
    assert_eq!(bench.request(1, 7, normal()), ["1: granted #7 1.1 normal 30s", "taken u1 1.1 normal"]);
    assert!(bench.voice(1, 0));
    assert_eq!(bench.release(1, 7, Some(0)), ["1: ack #7", "idle 1.1 last 0"]);
    assert_eq!(bench.arbiter.state(), State::Idle);
    assert_eq!(bench.arbiter.poll_timeout(), None, "an idle floor waits for nothing");
}

#[test]
fn a_release_waits_for_the_last_frame_it_names() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    bench.request(2, 1, normal());
    bench.talk(1, 0, 100);
    assert_eq!(bench.release(1, 1, Some(6)), ["1: ack #1"]);
    assert!(bench.voice(1, 5));
    assert_eq!(bench.holder(), Some(1));
    bench.now += ms(40);
    assert!(bench.voice(1, 6));
    assert_eq!(bench.said(), ["2: granted #1 1.2 normal 30s", "taken u2 1.2 normal"]);
    assert!(!bench.arbiter.voice(SessionId(1), wire::Spurt::from_bits(0x0100_0001), Seq(7), bench.now));
}

#[test]
fn a_last_frame_that_does_not_come_is_awaited_for_200_ms_only() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    bench.request(2, 1, normal());
    bench.voice(1, 0);
    bench.release(1, 1, Some(9));
    assert!(!bench.voice(1, 10), "nothing after the frame named");
    assert_eq!(bench.wait(199), Vec::<String>::new());
    assert_eq!(bench.wait(1), ["2: granted #1 1.2 normal 30s", "taken u2 1.2 normal"]);
}

#[test]
fn the_queue_is_ordered_by_priority_then_arrival_and_tells_positions() {
    let mut bench = Bench::new();
    bench.request(1, 1, Priority::normal(50));
    assert_eq!(bench.request(2, 1, Priority::normal(16)), ["2: queued #1 at 1"]);
    assert_eq!(bench.request(3, 1, Priority::normal(16)), ["3: queued #1 at 2"]);
    assert_eq!(bench.request(4, 1, Priority::normal(40)), ["4: queued #1 at 1", "2: queued #1 at 2", "3: queued #1 at 3"]);
    assert_eq!(bench.request(2, 1, Priority::normal(16)), ["2: queued #1 at 2"], "a repeat says the position again");
    assert_eq!(bench.release(2, 1, None), ["3: queued #1 at 2", "2: ack #1"]);
    bench.arbiter.leave(&party(4), RevokeCause::Disconnected, bench.now);
    assert_eq!(bench.queue(), [3]);
}

#[test]
fn a_full_queue_denies_routine_and_gives_way_to_an_emergency() {
    let mut bench = Bench::new();
    bench.request(1, 1, SOS);
    for unit in 0..QUEUE_MAX as u64 {
        bench.request(100 + unit, 1, normal());
    }
    assert_eq!(bench.request(2, 1, normal()), ["2: deny #1 queue_full"]);
    let said = bench.request(3, 1, SOS);
    assert_eq!(said[0], format!("{}: deny #1 queue_full", 99 + QUEUE_MAX));
    assert_eq!(said[1], "3: queued #1 at 1");
    assert_eq!(bench.queue().len(), QUEUE_MAX);
}

#[test]
fn at_equal_priority_authorities_take_turns() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    for unit in [ABROAD, ABROAD + 1, ABROAD + 2, 2, 3] {
        bench.request(unit, 1, normal());
    }
    bench.request(ABROAD + 3, 1, Priority::normal(40));
    assert_eq!(bench.queue(), [ABROAD + 3, ABROAD, 2, ABROAD + 1, 3, ABROAD + 2]);
    bench.request(ABROAD + 4, 1, normal());
    bench.request(4, 1, normal());
    assert_eq!(bench.queue()[5..], [ABROAD + 2, 4, ABROAD + 4]);
}

#[test]
fn a_crowd_of_one_authority_keeps_nobody_else_out_of_the_queue() {
    for priority in [normal(), SOS] {
        let mut bench = Bench::new();
        bench.request(1, 1, SOS);
        for unit in 0..QUEUE_MAX as u64 {
            bench.request(ABROAD + unit, 1, priority);
        }
        // Everybody of nl finds a place in its turn, up to half of them all; the crowd loses its last.
        for unit in 0..QUEUE_MAX as u64 / 2 {
            let said = bench.request(2 + unit, 1, priority);
            assert_eq!(said[0], format!("{}: deny #1 queue_full", ABROAD + QUEUE_MAX as u64 - 1 - unit));
            assert_eq!(bench.queue().len(), QUEUE_MAX);
        }
        assert_eq!(bench.queue()[1], 2);
        assert_eq!(bench.request(900, 1, priority), ["900: deny #1 queue_full"]);
        assert_eq!(bench.request(1_900, 1, priority), ["1900: deny #1 queue_full"]);
    }
}

#[test]
fn a_higher_level_preempts_with_grace_and_heads_the_queue() {
    let mut bench = Bench::new();
    bench.request(1, 1, Priority::normal(10));
    bench.request(2, 1, Priority::normal(10));
    assert_eq!(bench.request(3, 1, Priority::normal(20)), ["1: revoke #1 preempted 500 ms", "3: queued #1 at 1", "2: queued #1 at 2"]);
    assert!(bench.voice(1, 0), "its voice passes while the grace lasts");
    assert_eq!(bench.wait(499), Vec::<String>::new());
    assert_eq!(bench.wait(1), ["3: granted #1 1.2 normal 30s", "taken u3 1.2 normal", "2: queued #1 at 1"]);
}

#[test]
fn peril_and_emergency_cut_at_once() {
    for tier in [Tier::Peril, Tier::Emergency] {
        let mut bench = Bench::new();
        bench.request(1, 1, Priority { dispatcher: true, ..Priority::normal(255) });
        let old = bench.spurt();
        let said = bench.request(2, 1, Priority::of(tier));
        assert_eq!(said[0], "1: revoke #1 preempted 0 ms");
        assert_eq!((bench.holder(), said.len()), (Some(2), 3));
        assert!(!bench.arbiter.voice(SessionId(1), old, Seq(0), bench.now));
        // Also while it drains or has its grace.
        bench.release(2, 1, Some(9));
        assert_eq!(bench.arbiter.state(), State::Draining);
        bench.request(3, 1, SOS);
        assert_eq!(bench.holder(), if tier == Tier::Peril { Some(3) } else { Some(2) });
    }
}

#[test]
fn only_a_dispatcher_takes_the_floor_from_an_emergency() {
    let mut bench = Bench::new();
    bench.request(1, 1, SOS);
    bench.request(2, 1, Priority { level: Level(255), ..SOS });
    assert_eq!((bench.holder(), bench.queue()), (Some(1), vec![2]));
    bench.request(3, 1, Priority { dispatcher: true, ..SOS });
    assert_eq!(bench.holder(), Some(3));
}

#[test]
fn a_raise_in_mid_call_keeps_the_spurt_and_extends_the_limit() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    bench.talk(1, 0, 10_000);
    let said = bench.request(1, 1, SOS);
    assert_eq!(said, ["taken u1 1.1 emergency", "1: granted #1 1.1 emergency 51s"]);
    assert_eq!(bench.request(1, 1, SOS), ["1: granted #1 1.1 emergency 51s"], "a repeat says the same");
}

#[test]
fn a_raise_while_being_revoked_wins_only_above_the_preemptor() {
    let mut bench = Bench::new();
    bench.request(1, 1, Priority::normal(10));
    bench.request(2, 1, Priority::normal(20));
    assert_eq!(bench.request(1, 1, Priority::normal(20)), Vec::<String>::new());
    assert_eq!(bench.arbiter.state(), State::Revoking);
    bench.request(1, 1, SOS);
    assert_eq!((bench.arbiter.state(), bench.holder()), (State::Taken, Some(1)));
    bench.wait(600);
    assert_eq!(bench.holder(), Some(1), "the old grace does not end the raised spurt");
}

#[test]
fn the_talk_limit_counts_from_the_first_frame_and_asks_for_the_key() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    bench.wait(1_000);
    let (_, said) = bench.talk(1, 0, 31_000);
    assert_eq!(said[0], "1: revoke #1 talk_limit 500 ms");
    assert_eq!(said.last().map(String::as_str), Some("idle 1.1 last 1524"), "30 s and 0.5 s of grace after the first frame");
    assert_eq!(bench.request(1, 2, normal()), ["1: deny #2 retry_after"]);
    assert_eq!(bench.request(1, 3, SOS).len(), 2, "an emergency is not held back");
    bench.release(1, 3, None);
    bench.arbiter.release(&party(1), &wire::control::Release { key_down: true, ..release(1, None) }, bench.now);
    bench.said();
    assert_eq!(
        bench.request(1, 4, normal()),
        ["1: granted #4 1.3 normal 30s", "taken u1 1.3 normal"],
        "the release of #3 showed the key up"
    );
}

#[test]
fn a_key_that_stays_down_stays_locked_out() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    bench.talk(1, 0, 31_000);
    bench.arbiter.release(&party(1), &wire::control::Release { key_down: true, ..release(1, None) }, bench.now);
    bench.said();
    assert_eq!(bench.request(1, 2, normal()), ["1: deny #2 retry_after"]);
    bench.release(1, 1, None);
    assert_eq!(bench.request(1, 3, normal()).len(), 2);
}

#[test]
fn silence_of_the_talker_ends_the_spurt_as_lost_and_hold_beats_keep_it() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    for beat in 0..50 {
        assert_eq!(bench.wait(100), Vec::<String>::new());
        assert!(bench.voice(1, beat));
    }
    assert_eq!(bench.wait(1_299), Vec::<String>::new());
    assert_eq!(bench.wait(1), ["1: revoke #1 media_gap 0 ms", "idle 1.1 last 49 lost"]);
}

#[test]
fn a_grant_out_of_the_queue_is_repeated_and_then_passed_on() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    bench.request(2, 5, normal());
    bench.request(3, 6, normal());
    bench.release(1, 1, None);
    assert_eq!(bench.wait(1_000), ["2: granted #5 1.2 normal 30s"]);
    assert_eq!(bench.wait(1_000), ["2: granted #5 1.2 normal 30s"]);
    assert_eq!(bench.wait(1_000)[..2], ["2: revoke #5 media_gap 0 ms", "3: granted #6 1.3 normal 30s"]);
    bench.voice(3, 0);
    bench.talk(3, 1, 5_000);
    assert_eq!(bench.holder(), Some(3), "voice ends the repeats");
}

#[test]
fn a_new_press_without_a_release_ends_the_old_spurt() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    bench.voice(1, 0);
    let said = bench.request(1, 2, normal());
    assert_eq!(said, ["1: ack #1", "idle 1.1 last 0", "1: granted #2 1.2 normal 30s", "taken u1 1.2 normal"]);
    assert_eq!(bench.release(1, 1, Some(0)), ["1: ack #1"], "the late release of the old press frees nothing");
    assert_eq!(bench.holder(), Some(1));
}

#[test]
fn renumbering_goes_on_under_the_same_request_and_old_frames_pass_until_the_new() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    let old = bench.spurt();
    bench.talk(1, 0, 200);
    bench.arbiter.renumber(Epoch(9), bench.now);
    assert_eq!(bench.said(), ["1: granted #1 9.1 normal 30s", "taken u1 9.1 normal"]);
    assert!(bench.arbiter.voice(SessionId(1), old, Seq(10), bench.now));
    assert!(bench.voice(1, 0));
    assert!(!bench.arbiter.voice(SessionId(1), old, Seq(11), bench.now));
}

#[test]
fn renumbering_twice_before_the_talker_knows_loses_no_frame() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    let old = bench.spurt();
    bench.talk(1, 0, 200);
    bench.arbiter.renumber(Epoch(9), bench.now);
    let between = bench.spurt();
    bench.arbiter.renumber(Epoch(10), bench.now);
    assert!(bench.arbiter.voice(SessionId(1), old, Seq(10), bench.now));
    assert!(bench.arbiter.voice(SessionId(1), between, Seq(0), bench.now));
    assert!(bench.voice(1, 0));
    assert!(!bench.arbiter.voice(SessionId(1), between, Seq(1), bench.now));
}

#[test]
fn renumbering_while_being_revoked_does_not_stop_the_grace() {
    let mut bench = Bench::new();
    bench.request(1, 1, Priority::normal(10));
    bench.voice(1, 0);
    bench.request(2, 1, Priority::normal(20));
    bench.wait(200);
    bench.arbiter.renumber(Epoch(9), bench.now);
    assert_eq!(bench.said()[..2], ["1: granted #1 9.1 normal 30s", "1: revoke #1 preempted 300 ms"]);
    bench.talk(1, 0, 300);
    assert_eq!(bench.holder(), Some(2));
}

#[test]
fn carrying_on_counts_what_was_talked_already() {
    let mut bench = Bench::new();
    let before = wire::Spurt::from_bits(0x0005_0001);
    bench.arbiter.carry_on(claim(1, 4, normal()), vec![before], bench.now - ms(20_000), bench.now);
    assert_eq!(bench.said().len(), 2);
    assert_eq!(bench.arbiter.taken(bench.now).unwrap().elapsed_ms, 20_000);
    assert!(bench.arbiter.voice(SessionId(1), before, Seq(999), bench.now));
    let (_, said) = bench.talk(1, 0, 11_000);
    assert_eq!(said[0], "1: revoke #4 talk_limit 500 ms");
}

#[test]
fn leaving_frees_the_floor_and_the_place_in_the_queue() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    bench.request(2, 1, normal());
    bench.request(3, 1, normal());
    bench.arbiter.leave_session(SessionId(2), bench.now);
    assert!(bench.said().contains(&"3: queued #1 at 1".to_owned()));
    bench.arbiter.leave_session(SessionId(1), bench.now);
    assert_eq!(bench.holder(), Some(3));
    bench.said();
    bench.arbiter.leave(&party(3), RevokeCause::NotAllowed, bench.now);
    assert_eq!(bench.said(), ["3: revoke #1 not_allowed 0 ms", "idle 1.2 last - lost"]);
}

#[test]
fn a_continuing_claim_is_granted_or_denied_but_never_waits() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    let mut late = claim(2, 1, normal());
    late.since = Some(bench.now);
    bench.arbiter.request(late, bench.now);
    assert_eq!(bench.said(), ["2: deny #1 displaced"]);
    assert_eq!(bench.queue(), Vec::<u64>::new());
}

#[test]
fn a_waiting_claim_that_its_own_side_let_on_meanwhile_is_denied_and_waits_no_more() {
    let mut bench = Bench::new();
    bench.request(1, 1, SOS);
    assert_eq!(bench.request(2, 1, SOS), ["2: queued #1 at 1"]);
    assert_eq!(bench.request(3, 1, normal()), ["3: queued #1 at 2"]);
    bench.arbiter.request(Claim { since: Some(bench.now), ..claim(2, 1, SOS) }, bench.now);
    assert_eq!(bench.said(), ["2: deny #1 displaced", "3: queued #1 at 1"]);
    assert_eq!(bench.queue(), [3]);
}

#[test]
fn a_continuing_claim_is_not_displaced_by_a_talker_that_has_released() {
    let mut bench = Bench::new();
    bench.request(1, 1, normal());
    bench.talk(1, 0, 100);
    bench.release(1, 1, Some(9));
    bench.arbiter.request(Claim { since: Some(bench.now), ..claim(2, 1, normal()) }, bench.now);
    assert_eq!(bench.said(), ["2: queued #1 at 1"]);
    bench.wait(200);
    assert_eq!(bench.holder(), Some(2));
}

#[test]
fn a_continuing_claim_that_is_not_next_any_more_is_denied() {
    let granted_after_the_grace = |bench: &mut Bench| {
        bench.request(1, 1, Priority::normal(10));
        bench.arbiter.request(Claim { since: Some(bench.now), ..claim(2, 1, Priority::normal(20)) }, bench.now);
        assert_eq!(bench.said().last().unwrap(), "2: queued #1 at 1");
    };
    let mut bench = Bench::new();
    granted_after_the_grace(&mut bench);
    bench.wait(500);
    assert_eq!(bench.holder(), Some(2));

    // The talker raises its tier and keeps the floor.
    let mut bench = Bench::new();
    granted_after_the_grace(&mut bench);
    assert_eq!(bench.request(1, 1, Priority::of(Tier::Emergency)).last().unwrap(), "2: deny #1 displaced");
    assert_eq!(bench.queue(), Vec::<u64>::new());

    // Somebody else cuts.
    let mut bench = Bench::new();
    granted_after_the_grace(&mut bench);
    let said = bench.request(3, 1, Priority::of(Tier::Emergency));
    assert!(said.contains(&"2: deny #1 displaced".to_owned()), "{said:?}");
    assert_eq!((bench.holder(), bench.queue()), (Some(3), Vec::new()));
}
