//! Ordinary calls across a working border.

use wire::control::{Floor, FloorBody, Message, Request, Talker};
use wire::{Priority, RequestId, RevokeCause, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, revoked, words};
use crate::floor::table::State;
use crate::handset::Event;

#[test]
fn a_call_is_heard_once_by_everybody_on_both_sides_but_the_talker() {
    let mut net = Net::joined(nl(), be());
    let talker = net.unit("nl/unit/a", "nl/pol-1");
    let ears = [net.unit("nl/unit/b", "nl/pol-1"), net.unit("be/unit/c", "be/lux-3"), net.unit("be/unit/d", "be/lux-3")];
    net.say(talker, 1_000);
    let sent = net.units[talker].out.clone();
    assert!(sent.len() >= 49, "{} frames sent", sent.len());
    for ear in ears {
        let heard: Vec<u32> = net.units[ear].ear.iter().map(|(_, n)| *n).collect();
        assert_eq!(heard, sent, "{}", net.units[ear].identity);
        let told = net.told(ear);
        let Some(Event::Taken(_, taken)) = told.iter().find(|e| matches!(e, Event::Taken(..))) else { panic!("not told who talks") };
        assert_eq!(taken.talker.identity, net.units[talker].identity);
        assert_eq!((taken.talker.alias.as_str(), taken.talker.agency.as_str()), ("alias of a", "police"));
        assert_eq!(words(&told).last().map(String::as_str), Some("idle"));
    }
    assert_eq!(net.units[talker].ear, []);
    net.assert_quiet();
}

#[test]
fn a_call_from_the_partner_is_heard_at_home_and_at_the_partner() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let talker = net.unit("be/unit/c", "be/lux-3");
    let d = net.unit("be/unit/d", "be/lux-3");
    net.told(talker);
    net.say(talker, 1_000);
    let sent = net.units[talker].out.len();
    assert!(sent >= 49);
    assert_eq!((net.units[a].ear.len(), net.units[d].ear.len()), (sent, sent));
    assert_eq!(words(&net.told(talker)), ["requested", "granted normal", "released", "idle"]);
    net.assert_quiet();
}

#[test]
fn copies_of_the_last_frame_keep_the_class_of_their_spurt() {
    let mut net = Net::joined(nl(), be());
    let talker = net.unit("nl/unit/a", "nl/pol-1");
    net.press(talker, Priority::of(Tier::Emergency));
    net.run(100);
    net.release(talker);
    net.press(talker, Priority::default());
    // The bench asserts it on every frame that the unit sends.
    net.run(100);
    net.release(talker);
    net.run(400);
    net.assert_quiet();
}

#[test]
fn the_queue_spans_the_border_and_tells_positions() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let b = net.unit("nl/unit/b", "nl/pol-1");
    let c = net.unit("be/unit/c", "be/lux-3");
    let d = net.unit("be/unit/d", "be/lux-3");
    for unit in [a, b, c, d] {
        net.told(unit);
        net.press(unit, Priority::default());
    }
    assert_eq!(net.floor(NL), (State::Taken, Some("nl/unit/a".into()), vec!["nl/unit/b".into(), "be/unit/c".into(), "be/unit/d".into()]));
    net.release(b);
    assert_eq!(words(&net.told(d)), ["requested", "queued 3", "queued 2"]);
    net.run(200);
    net.release(a);
    net.run(60);
    assert_eq!(net.talker(BE), Some("be/unit/c".into()));
    assert!(net.units[c].talks());
    assert_eq!(words(&net.told(d)), ["taken be/unit/c normal", "queued 1"]);
    net.run(100);
    net.release(c);
    net.run(60);
    assert!(net.units[d].talks());
    net.run(100);
    net.release(d);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn a_higher_level_from_the_other_side_preempts_with_grace() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let c = net.unit("be/unit/c", "be/lux-3");
    net.press(a, Priority::normal(10));
    net.run(300);
    net.press(c, Priority::normal(20));
    assert!(revoked(&net.told(a), RevokeCause::Preempted));
    assert_eq!(net.talker(NL), Some("nl/unit/a".into()), "the grace lasts");
    net.run(560);
    assert!(net.units[c].talks());
    assert_eq!(net.talker(BE), Some("be/unit/c".into()));
    net.release(a);
    net.release(c);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn simultaneous_presses_on_both_sides_give_one_talker_in_every_view() {
    for seed in 1..=60 {
        let mut net = Net::joined(nl(), be());
        let units = ["nl/unit/a", "be/unit/c", "nl/unit/b", "be/unit/d"].map(|name| {
            let talkgroup = if name.starts_with("nl") { "nl/pol-1" } else { "be/lux-3" };
            net.unit(name, talkgroup)
        });
        net.shuffle = Some(seed);
        let now = net.now;
        for unit in units {
            net.units[unit].press(Priority::default(), now);
        }
        net.run(300);
        let talking: Vec<usize> = units.into_iter().filter(|unit| net.units[*unit].talks()).collect();
        assert_eq!(talking.len(), 1, "seed {seed}");
        let name = net.units[talking[0]].identity.to_string();
        assert_eq!((net.talker(NL), net.talker(BE)), (Some(name.clone()), Some(name)), "seed {seed}");
        for unit in units {
            net.release(unit);
        }
        net.run(1_000);
        net.assert_quiet();
    }
}

#[test]
fn a_late_joiner_on_either_side_learns_the_talker_and_hears_the_rest() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    net.press(a, Priority::of(Tier::Peril));
    net.run(1_000);
    let late = [net.unit("nl/unit/b", "nl/pol-1"), net.unit("be/unit/c", "be/lux-3")];
    for unit in late {
        let told = net.told(unit);
        let Some(Event::Taken(_, taken)) = told.iter().find(|e| matches!(e, Event::Taken(..))) else { panic!("not told who talks") };
        assert_eq!((taken.talker.identity.to_string().as_str(), taken.tier), ("nl/unit/a", Tier::Peril));
        assert!((990..=1_010).contains(&taken.elapsed_ms), "{} ms", taken.elapsed_ms);
    }
    net.run(80);
    for unit in late {
        assert!(!net.units[unit].ear.is_empty(), "{} hears nothing after 80 ms", net.units[unit].identity);
    }
    net.release(a);
    net.run(500);
    net.assert_quiet();
}

#[test]
fn a_new_press_right_after_the_release_gets_a_higher_spurt() {
    let mut net = Net::joined(nl(), be());
    let c = net.unit("be/unit/c", "be/lux-3");
    let a = net.unit("nl/unit/a", "nl/pol-1");
    for _ in 0..5 {
        net.press(c, Priority::default());
        net.run(100);
        net.release(c);
    }
    net.run(500);
    let spurts: Vec<_> = net.told(c).into_iter().filter_map(|e| if let Event::Granted(_, g) = e { Some(g.spurt) } else { None }).collect();
    assert_eq!(spurts.len(), 5);
    assert!(spurts.windows(2).all(|pair| pair[1].is_after(pair[0])));
    assert_eq!(net.units[a].ear.len(), net.units[c].out.len());
    net.assert_quiet();
}

/// The border's datagrams may overtake its stream: an emergency comes before the release of what its talker held.
#[test]
fn whoever_is_granted_and_cut_in_the_same_breath_is_not_told_of_itself() {
    let mut net = Net::joined(nl(), be());
    let [a, b, c] = [("nl/unit/a", "nl/pol-1"), ("nl/unit/b", "nl/pol-1"), ("be/unit/c", "be/lux-3")].map(|(u, tg)| net.unit(u, tg));
    net.press(c, Priority::default());
    net.press(a, Priority::default());
    for unit in [a, b, c] {
        net.told(unit);
    }
    let (session, now, party) = (net.border_session(), net.now, net.units[c].identity.clone());
    let talker = Some(Talker { identity: party.clone(), alias: String::new(), agency: String::new() });
    let request = Request { request: RequestId(99), priority: Priority::of(Tier::Emergency), talker, continuing: None };
    let floor = Floor { talkgroup: "nl/pol-1".parse().unwrap(), party: Some(party), body: FloorBody::Request(request) };
    net.hubs[NL].handle_message(session, Message::Floor(floor), now);
    net.settle();
    let taken = |told: Vec<Event>| words(&told).into_iter().filter(|word| word.starts_with("taken")).collect::<Vec<_>>();
    assert_eq!(taken(net.told(a)), ["taken be/unit/c emergency"]);
    assert_eq!(taken(net.told(b)), ["taken nl/unit/a normal", "taken be/unit/c emergency"]);
}
