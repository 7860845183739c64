//! What becomes of the hub's events in the records.

use engine::hub::Event;
use wire::control::Talker;
use wire::{Level, RevokeCause, SessionId, Spurt, Tier};

use super::*;

/// The record of one event, as JSON without its time.
fn recorded(event: Event) -> serde_json::Value {
    let (sink, kept) = Records::sink_for_tests();
    let gateway = "be/gateway/gw-1".parse().unwrap();
    let (reporter, _) = Reporter::new(gateway, sink, StatusBoard::default(), Redactor::new(true), transport::clock::system(), Epoch(1));
    reporter.event(event);
    let kept = kept.lock().unwrap();
    let mut record = serde_json::to_value(&kept[0]).unwrap();
    record.as_object_mut().unwrap().remove("at");
    record
}

fn call() -> Call {
    Call {
        talkgroup: "be/lux-3".parse().unwrap(),
        talker: Talker { identity: "de/unit/saar-1".parse().unwrap(), alias: "Saar 1".into(), agency: "police".into() },
        agreements: vec!["EMR-2026-01".into()],
        via: Some("nl".parse().unwrap()),
        tier: Tier::Peril,
        level: None,
        spurt: Spurt::from_bits(0x0200_0007),
        duration: Duration::from_millis(1_200),
        ended_by: None,
    }
}

#[test]
fn a_call_relayed_by_the_home_names_the_relay_and_no_level() {
    assert_eq!(
        recorded(Event::Call(Box::new(call()))),
        serde_json::json!({
            "kind": "call", "talkgroup": "be/lux-3", "agreement": "EMR-2026-01", "talker": "de/unit/saar-1", "agency": "police",
            "alias": "Saar 1", "tier": "peril", "spurt": "2.7", "duration_ms": 1_200, "outcome": "released", "authority": "de", "via": "nl",
        })
    );
}

#[test]
fn a_call_at_the_home_of_several_bridges_names_every_agreement() {
    let agreements = vec!["EMR-2026-01".into(), "SAAR-2026-04".into()];
    let record = recorded(Event::Call(Box::new(Call { agreements, level: Some(Level(30)), via: None, ..call() })));
    assert_eq!((&record["agreement"], &record["further_agreements"]), (&"EMR-2026-01".into(), &serde_json::json!(["SAAR-2026-04"])));
    assert_eq!((&record["level"], record.get("via")), (&30.into(), None));
}

#[test]
fn a_spurt_that_a_full_link_does_not_carry_is_recorded_when_it_gives_way_and_when_it_returns() {
    for (passes, outcome) in [(false, "suspended"), (true, "crosses_again")] {
        let crossing = Event::Crossing {
            talkgroup: "be/lux-3".parse().unwrap(),
            talker: "be/unit/lux-7".parse().unwrap(),
            tier: Tier::Normal,
            spurt: Spurt::from_bits(0x0200_0007),
            far: "nl".parse().unwrap(),
            agreement: "EMR-2026-01".into(),
            passes,
        };
        assert_eq!(
            recorded(crossing),
            serde_json::json!({
                "kind": "crossing", "talkgroup": "be/lux-3", "agreement": "EMR-2026-01", "talker": "be/unit/lux-7", "tier": "normal",
                "spurt": "2.7", "authority": "nl", "outcome": outcome,
            })
        );
    }
}

#[test]
fn voice_without_a_grant_and_misbehaviour_become_records() {
    let identity: Identity = "be/unit/lux-7".parse().unwrap();
    let unheard = Event::Unheard { talkgroup: "be/lux-3".parse().unwrap(), identity: identity.clone(), spurt: Spurt::from_bits(9) };
    assert_eq!(
        recorded(unheard),
        serde_json::json!({
            "kind": "denied", "talkgroup": "be/lux-3", "identity": "be/unit/lux-7", "spurt": "0.9",
            "outcome": RevokeCause::NoPermission.as_str(),
        })
    );
    assert_eq!(
        recorded(Event::Misbehaved { session: SessionId(4), identity, what: "malformed datagram", times: 12 }),
        serde_json::json!({
            "kind": "misbehaved", "identity": "be/unit/lux-7", "authority": "be", "outcome": "malformed datagram", "times": 12,
        })
    );
}
