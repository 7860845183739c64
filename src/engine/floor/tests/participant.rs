//! A participant alone, with what its arbiter says put in by hand.

use wire::control::{FloorBody, Granted, Release, Revoke};
use wire::{Priority, RequestId, RevokeCause, Spurt, Tier};

use super::bench::{epoch, ms};
use crate::floor::participant::{Out, Participant, State, Tell};

fn said(participant: &mut Participant) -> Vec<Out> {
    std::iter::from_fn(|| participant.poll()).collect()
}

/// The grace is over at the arbiter, which has put the raised request behind another emergency, before it is over here.
#[test]
fn a_raise_that_waits_is_not_given_back_at_the_end_of_the_grace() {
    let (mut unit, start, request) = (Participant::default(), epoch(), RequestId(1));
    let spurt = Spurt::from_bits(0x0100_0001);
    let granted = Granted { request, spurt, duration_s: 30, tier: Tier::Normal, own_side_only: false };
    unit.press(request, Priority::default(), start);
    unit.handle(&FloorBody::Granted(granted.clone()), start);
    unit.handle(&FloorBody::Revoke(Revoke { request, spurt, cause: RevokeCause::Preempted, grace_ms: 500 }), start);
    unit.press(RequestId(2), Priority::of(Tier::Emergency), start + ms(300));
    said(&mut unit);
    unit.handle(&FloorBody::Queued { request, position: 1 }, start + ms(340));
    assert_eq!(said(&mut unit), [Out::Tell(Tell::Queued(request, 1))]);
    assert_eq!(unit.poll_timeout(), None, "neither the end of the grace nor a repeat");
    unit.handle_timeout(start + ms(500));
    assert_eq!((unit.state(), said(&mut unit)), (State::Queued, Vec::new()));
    let granted = Granted { spurt: spurt.next(), tier: Tier::Emergency, ..granted };
    unit.handle(&FloorBody::Granted(granted.clone()), start + ms(900));
    assert_eq!((unit.state(), said(&mut unit)), (State::Talking, vec![Out::Tell(Tell::Granted(granted))]));
    unit.key_up(start + ms(1_000));
    unit.finished(None, start + ms(1_000));
    let release = Release { request, last_seq: None, key_down: false };
    assert!(said(&mut unit).contains(&Out::Send(FloorBody::Release(release))));
}

/// The floor is lost while a raise is on its way: whoever is in danger goes on asking under the number it has.
#[test]
fn a_raise_without_an_answer_outlives_the_grant() {
    for grace_ms in [0, 500] {
        let (mut unit, start, request) = (Participant::default(), epoch(), RequestId(1));
        let spurt = Spurt::from_bits(0x0100_0001);
        let granted = Granted { request, spurt, duration_s: 30, tier: Tier::Normal, own_side_only: false };
        unit.press(request, Priority::default(), start);
        unit.press(RequestId(2), Priority::of(Tier::Emergency), start + ms(290));
        // It answers what was asked first.
        unit.handle(&FloorBody::Granted(granted.clone()), start + ms(295));
        let revoke = Revoke { request, spurt, cause: RevokeCause::Preempted, grace_ms };
        unit.handle(&FloorBody::Revoke(revoke), start + ms(300));
        said(&mut unit);
        let over = start + ms(300 + u64::from(grace_ms).saturating_sub(150));
        while unit.state() != State::Requesting {
            let (due, reason) = unit.poll_timeout().unwrap();
            assert!(due <= over, "{reason}");
            unit.handle_timeout(due);
        }
        let asks = said(&mut unit);
        assert!(!asks.iter().any(|out| matches!(out, Out::Finish | Out::Send(FloorBody::Release(_)))), "{asks:?}");
        assert_eq!(unit.grant(), None);
        // It is repeated until there is an answer.
        let (due, _) = unit.poll_timeout().unwrap();
        unit.handle_timeout(due);
        assert!(!said(&mut unit).is_empty());
        unit.handle(&FloorBody::Queued { request, position: 1 }, due);
        assert_eq!((unit.state(), unit.poll_timeout()), (State::Queued, None));
    }
}
