//! Losses of a hop: what came only as a repeat passes, what goes on repeats as the next hop needs it, on links that have room for it.

use bytes::Bytes;
use wire::datagram::{Datagram, Repeat, Report, Voice};
use wire::{Handle, Priority, Reason, Seq, SessionId, Spurt, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, with_second};
use crate::handset::Event;
use crate::hub::Output;

fn frame(spurt: Spurt, seq: u16, backs: &[u8]) -> Voice {
    let payload = |seq: u16| Bytes::copy_from_slice(&[&[0; 6], &seq.to_be_bytes()[..]].concat());
    let repeats = backs.iter().map(|back| Repeat { back: *back, payload: payload(seq - u16::from(*back)) }).collect();
    let (handle, tier) = (Handle(1), Tier::Normal);
    Voice { handle, spurt, seq: Seq(seq), first: seq == 0, last: false, tier, encrypted: false, repeats, payload: payload(seq) }
}

/// What a hub sends on for a datagram: each frame with its listeners, and how far back it repeats for them.
fn sent(net: &mut Net, hub: usize, session: SessionId, bytes: Bytes) -> Vec<(u16, Vec<SessionId>, Vec<u8>)> {
    let now = net.now;
    net.hubs[hub].handle_datagram(session, bytes, now);
    let decoded = |bytes: Bytes| match Datagram::decode(bytes) {
        Ok(Some(Datagram::Voice(voice))) => voice,
        other => panic!("{other:?}"),
    };
    let mut sent = Vec::new();
    while let Some(output) = net.hubs[hub].poll_output() {
        if let Output::Voice(fanout) = output {
            let voice = decoded(fanout.datagram);
            assert!(voice.repeats.is_empty());
            let backs = fanout.repeating.map(|bytes| {
                let repeating = decoded(bytes);
                for earlier in repeating.repeated() {
                    assert_eq!(earlier.payload, frame(voice.spurt, earlier.seq.0, &[]).payload);
                }
                repeating.repeats.iter().map(|repeat| repeat.back).collect()
            });
            let to = fanout.to.iter().copied().filter(|to| *to != fanout.except).collect();
            sent.push((voice.seq.0, to, backs.unwrap_or_default()));
        }
    }
    sent
}

fn report(frames: u32, lost: u32, runs: u32) -> Bytes {
    Datagram::Report(Report { frames, lost, runs }).encode()
}

fn talks(net: &mut Net, unit: usize, priority: Priority) -> (SessionId, Spurt) {
    net.told(unit);
    net.press(unit, priority);
    net.settle();
    let spurt = net.told(unit).iter().find_map(|e| if let Event::Granted(_, g) = e { Some(g.spurt) } else { None });
    (net.units[unit].session.unwrap(), spurt.unwrap())
}

#[test]
fn what_came_only_as_a_repeat_passes_once_and_in_its_place() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let (session, spurt) = talks(&mut net, a, Priority::default());
    let mut passed = |seq, backs: &[u8]| -> Vec<u16> {
        sent(&mut net, NL, session, frame(spurt, seq, backs).encode()).into_iter().map(|(seq, ..)| seq).collect()
    };
    assert_eq!(passed(0, &[]), [0]);
    assert_eq!(passed(1, &[1]), [1]);
    assert_eq!(passed(4, &[2, 1]), [2, 3, 4], "in the order in which they were spoken, whatever the datagram's");
    assert_eq!(passed(3, &[1]), [0; 0], "the frame itself, too late");
    assert_eq!(passed(6, &[2, 4]), [6], "5 may still come");
    assert_eq!(passed(7, &[2]), [5, 7]);
}

#[test]
fn a_repeat_takes_no_floor_and_lifts_no_spurt() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let b = net.unit("nl/unit/b", "nl/pol-1");
    let (_, spurt) = talks(&mut net, a, Priority::default());
    let other = net.units[b].session.unwrap();
    assert!(sent(&mut net, NL, other, frame(spurt, 5, &[1, 2]).encode()).is_empty(), "of somebody else");
    let (session, older) = (net.units[a].session.unwrap(), Spurt::from_bits(spurt.to_bits() - 1));
    assert!(sent(&mut net, NL, session, frame(older, 5, &[1, 2]).encode()).is_empty(), "of an older spurt");
}

#[test]
fn every_listener_gets_the_repeats_that_its_own_reports_call_for() {
    let mut net = Net::joined(nl(), be());
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| net.unit(&format!("nl/unit/{name}"), "nl/pol-1"));
    let (session, spurt) = talks(&mut net, a, Priority::default());
    let [b, c, d] = [b, c, d].map(|unit| net.units[unit].session.unwrap());
    let border = net.border_session();
    for (who, report) in [(c, report(200, 20, 18)), (d, report(200, 20, 6)), (border, report(200, 6, 6))] {
        assert!(sent(&mut net, NL, who, report).is_empty());
    }
    for seq in 0..4 {
        sent(&mut net, NL, session, frame(spurt, seq, &[]).encode());
    }
    let expected = [(vec![b], vec![]), (vec![border], vec![1]), (vec![c], vec![1, 2]), (vec![d], vec![2, 4])];
    let expected = expected.map(|(to, backs)| (5, to.into_iter().filter(|to| *to != session).collect::<Vec<_>>(), backs));
    let got = sent(&mut net, NL, session, frame(spurt, 5, &[1]).encode());
    let got: Vec<_> = got.into_iter().filter(|(seq, ..)| *seq == 5).collect();
    assert_eq!(got, expected, "and nobody gets it twice: {got:?}");
    // What gets better gets less.
    for frames in (1_000..10_000).step_by(1_000) {
        for (who, report) in [(c, report(frames, 20, 18)), (d, report(frames, 20, 6)), (border, report(frames, 6, 6))] {
            sent(&mut net, NL, who, report);
        }
    }
    let all = sent(&mut net, NL, session, frame(spurt, 6, &[]).encode());
    assert!(matches!(&all[..], [(6, to, backs)] if to.len() == 4 && backs.is_empty()), "{all:?}");
}

#[test]
fn a_member_that_joins_another_talkgroup_keeps_its_repeats_and_a_new_session_begins_without() {
    let mut net = Net::joined(nl(), be());
    let (a, b) = (net.unit("nl/unit/a", "nl/pol-1"), net.unit("nl/unit/b", "nl/pol-1"));
    let (session, spurt) = talks(&mut net, a, Priority::default());
    let listener = net.units[b].session.unwrap();
    sent(&mut net, NL, listener, report(100, 10, 9));
    sent(&mut net, NL, session, frame(spurt, 0, &[]).encode());
    let of = |sent: &[(u16, Vec<SessionId>, Vec<u8>)], who| sent.iter().find(|(_, to, _)| to.contains(&who)).map(|(.., backs)| backs.len());
    let with = sent(&mut net, NL, session, frame(spurt, 1, &[]).encode());
    assert_eq!(of(&with, listener), Some(1));
    let now = net.now;
    net.units[b].closed(Reason::Closed, now);
    net.login(b);
    net.settle();
    let listener = net.units[b].session.unwrap();
    let without = sent(&mut net, NL, session, frame(spurt, 2, &[]).encode());
    assert_eq!(of(&without, listener), Some(0));
}

#[test]
fn over_a_border_repeats_get_what_the_spurts_leave() {
    let over = |mut plan: crate::plan::Plan| {
        plan = with_second(plan);
        // Three spurts, or two with a repeat each, or one with two.
        plan.peers[0].rate_kbps = 170;
        plan
    };
    let mut net = Net::joined(over(nl()), over(be()));
    let (a, f) = (net.unit("nl/unit/a", "nl/pol-1"), net.unit("nl/unit/f", "nl/fire-1"));
    let (session, spurt) = talks(&mut net, a, Priority::default());
    let border = net.border_session();
    let handle = net.hubs[NL].views[&"nl/pol-1".parse().unwrap()].handle;
    sent(&mut net, NL, border, report(100, 20, 16));
    let backs = |net: &mut Net, seq| {
        let sent = sent(net, NL, session, Voice { handle, ..frame(spurt, seq, &[]) }.encode());
        sent.into_iter().find(|(_, to, _)| to.contains(&border)).map(|(.., backs)| backs)
    };
    backs(&mut net, 0);
    backs(&mut net, 1);
    assert_eq!(backs(&mut net, 2), Some(vec![1, 2]));
    net.plan(NL, |plan| plan.peers[0].rate_kbps = 256);
    net.press(f, Priority::of(Tier::Emergency));
    net.settle();
    assert_eq!(backs(&mut net, 3), Some(vec![1, 2]), "room for both and all their repeats");
    net.plan(NL, |plan| plan.peers[0].rate_kbps = 200);
    assert_eq!(backs(&mut net, 4), Some(vec![]), "the emergency's repeats come first");
    net.release(f);
    net.settle();
    net.run(400);
    // Meanwhile its own frames have gone.
    (100..102).for_each(|seq| drop(backs(&mut net, seq)));
    assert_eq!(backs(&mut net, 102), Some(vec![1, 2]));
}

#[test]
fn a_gateway_tells_a_talker_and_a_peer_what_it_misses() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let (session, spurt) = talks(&mut net, a, Priority::default());
    let mut reports = Vec::new();
    for seq in (0..200).filter(|seq| seq % 10 != 3) {
        let now = net.now + super::unit::ms(20 * u64::from(seq));
        net.hubs[NL].handle_datagram(session, frame(spurt, seq, &[]).encode(), now);
        while let Some(output) = net.hubs[NL].poll_output() {
            if let Output::Datagram(to, bytes) = output
                && let Ok(Some(Datagram::Report(report))) = Datagram::decode(bytes)
            {
                assert_eq!(to, session);
                reports.push(report);
            }
        }
    }
    assert_eq!(reports.len(), 8, "{reports:?}");
    assert_eq!(reports.last().map(|report| report.lost), Some(19));
    let border = net.border_session();
    let mut far = Vec::new();
    for seq in (0..100).filter(|seq| seq % 10 != 3) {
        let now = net.now + super::unit::ms(20 * u64::from(seq));
        net.hubs[BE].handle_datagram(border, frame(spurt, seq, &[]).encode(), now);
        far.extend(
            std::iter::from_fn(|| net.hubs[BE].poll_output())
                .filter(|o| matches!(o, Output::Datagram(to, b) if *to == border && b[0] == 0x40)),
        );
    }
    assert!(far.len() >= 3, "{far:?}");
}
