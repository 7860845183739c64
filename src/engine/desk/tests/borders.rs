//! Two gateways and three: what crosses, under which name, what does not, and what comes back.

use std::time::Duration;

use wire::data::{Content, Disposition, Undelivered};

use super::super::*;
use super::net::{Net, Treaty, to};

const DELIVERED: Disposition = Disposition::Delivered;

/// What somebody changes about a message on the way.
type Lie = fn(&mut wire::data::Message, &mut Envelope);

fn undelivered(reason: Undelivered) -> Disposition {
    Disposition::Undelivered(reason)
}

/// nl is home of `nl/pol-1`; be and de are its partners, and may hear each other if `onward` says so.
fn star(onward: &[&'static str]) -> Net {
    let mut net = Net::new(&[("nl", &["nl/pol-1"]), ("be", &["be/lux-3"]), ("de", &["de/ac-1"])]);
    for (site, name) in [(1, "be/lux-3"), (2, "de/ac-1")] {
        let (home, partner, onward) = ((0, "nl/pol-1"), (site, name), onward.to_vec());
        net.treaties.push(Treaty { home, partner, from_home: true, from_partner: true, onward });
    }
    for (site, (name, group)) in [("nl/unit/n", "nl/pol-1"), ("be/unit/b", "be/lux-3"), ("de/unit/d", "de/ac-1")].into_iter().enumerate() {
        net.unit(name, site, &[group]);
    }
    net.connect(0, 1);
    net.connect(0, 2);
    net.settle();
    net
}

#[test]
fn a_message_crosses_both_ways_and_its_sender_hears_of_delivery_and_reading() {
    let mut net = Net::border();
    let (there, back) = (net.text(0, "be/unit/lux-7"), net.text(1, "nl/unit/maas-12"));
    net.settle();
    assert_eq!((net.inbox(1), net.inbox(0)), (vec![there], vec![back]));
    net.read(1, there);
    net.settle();
    let about = "be/unit/lux-7".to_owned();
    assert_eq!(net.reports(0), [(there, about.clone(), DELIVERED), (there, about, Disposition::Read)]);
    assert_eq!(net.reports(1), [(back, "nl/unit/maas-12".to_owned(), DELIVERED)]);
    assert_eq!((net.entries(0), net.entries(1)), (0, 0));
}

#[test]
fn what_is_taken_at_a_cut_border_crosses_when_it_is_back_even_after_both_gateways_died() {
    let mut net = Net::border();
    net.settle();
    net.cut(0, 1);
    let ids: Vec<_> = (0..5).map(|_| net.text(0, "be/unit/lux-7")).collect();
    net.pass(Duration::from_secs(600));
    assert_eq!((net.units[0].taken.len(), net.inbox(1).len()), (5, 0));
    for site in [0, 1] {
        net.kill(site);
        net.log_in(site, site);
    }
    net.pass(Duration::from_secs(600));
    net.connect(0, 1);
    net.settle();
    assert_eq!((net.inbox(1), net.reports(0).len()), (ids, 5));
}

#[test]
fn what_expires_at_a_cut_border_is_told() {
    let mut net = Net::border();
    net.cut(0, 1);
    let (person, all) = (net.text(0, "be/unit/lux-7"), net.text(0, "nl/pol-1"));
    net.pass(Duration::from_secs(2 * 3_600));
    let expired = undelivered(Undelivered::Expired);
    assert_eq!(net.reports(0), [(person, "be/unit/lux-7".to_owned(), expired), (all, "be/lux-3".to_owned(), expired)]);
    assert_eq!((net.entries(0), net.units[0].taken.len()), (0, 2));
    assert!(net.sites[0].events.iter().any(|event| matches!(event, Event::Undelivered(letter) if letter.id == person)));
}

#[test]
fn each_direction_has_its_own_word() {
    for (from_home, from_partner) in [(true, false), (false, true), (false, false)] {
        let mut net = Net::border();
        (net.treaties[0].from_home, net.treaties[0].from_partner) = (from_home, from_partner);
        (0..2).for_each(|site| net.tell_borders(site));
        for (unit, other, group, open) in [(0, "be/unit/lux-7", "nl/pol-1", from_home), (1, "nl/unit/maas-12", "be/lux-3", from_partner)] {
            let (person, all) = (net.text(unit, other), net.text(unit, group));
            net.settle();
            let refused = std::mem::take(&mut net.units[unit].refused);
            if open {
                assert_eq!((refused, net.inbox(1 - unit)), (vec![], vec![person, all]));
                // The way back of a report is open, whatever direction short data has.
                assert_eq!(net.reports(unit).len(), 1);
            } else {
                assert_eq!((refused, net.inbox(1 - unit)), (vec![(person, Undelivered::BridgeForbids)], vec![]));
            }
        }
    }
}

#[test]
fn what_the_other_side_forbids_is_told_to_the_sender() {
    let mut net = Net::border();
    net.settle();
    // be has withdrawn its word, and nl does not know it yet.
    net.treaties[0].from_home = false;
    net.tell_borders(1);
    let (person, all) = (net.text(0, "be/unit/lux-7"), net.text(0, "nl/pol-1"));
    net.settle();
    let forbidden = undelivered(Undelivered::BridgeForbids);
    assert_eq!(net.reports(0), [(person, "be/unit/lux-7".to_owned(), forbidden), (all, "be/lux-3".to_owned(), forbidden)]);
    assert_eq!(net.inbox(1).len(), 0);
}

#[test]
fn what_comes_before_the_bridge_has_come_up_waits_for_that_and_not_for_ever() {
    for comes_up in [true, false] {
        let mut net = Net::border();
        net.settle();
        // be's words of a bridge that is not live yet: as between the beginning of a session and the other side's words.
        let mut borders = net.sites[1].desk.borders.clone();
        borders[0].live = false;
        net.sites[1].desk.handle_borders(borders, net.now);
        let id = net.text(0, "be/unit/lux-7");
        net.settle();
        assert_eq!((net.inbox(1).len(), net.reports(0).len()), (0, 0));
        if comes_up {
            net.tell_borders(1);
            net.settle();
            assert_eq!(net.inbox(1), [id]);
        } else {
            net.pass(Duration::from_secs(6));
            assert_eq!(net.reports(0), [(id, "be/unit/lux-7".to_owned(), undelivered(Undelivered::BridgeForbids))]);
        }
    }
}

#[test]
fn a_talkgroups_message_has_the_partners_name_there_and_reaches_those_who_were_away_once() {
    let mut net = Net::border();
    let away = net.unit("be/unit/lux-8", 1, &["be/lux-3"]);
    net.settle();
    net.log_out(away);
    let ids: Vec<_> = (0..3).map(|_| net.text(0, "nl/pol-1")).collect();
    net.pass(Duration::from_secs(1_800));
    net.log_in(away, 1);
    net.settle();
    net.kill(1);
    net.connect(0, 1);
    net.log_in(1, 1);
    net.log_in(away, 1);
    net.settle();
    assert_eq!((net.inbox(1), net.inbox(away), net.inbox(0)), (ids.clone(), ids, vec![]));
    let new = net.unit("be/unit/lux-9", 1, &["be/lux-3"]);
    net.settle();
    assert_eq!(net.inbox(new).len(), 0, "who was never a member missed nothing");
    assert_eq!(net.reports(0), []);
    net.pass(Duration::from_secs(4_000));
    assert_eq!((net.entries(0), net.entries(1)), (0, 0));
}

#[test]
fn what_a_talkgroup_keeps_is_kept_for_its_retention_and_no_longer() {
    let mut net = Net::border();
    let away = net.unit("nl/unit/maas-13", 0, &["nl/pol-1"]);
    net.settle();
    net.log_out(away);
    let week = |message: &mut wire::data::Message| message.lifetime_s = 7 * 24 * 3_600;
    net.send_as(0, "nl/pol-1", week);
    net.pass(Duration::from_secs(3_600));
    let late = net.send_as(0, "nl/pol-1", week);
    net.pass(Duration::from_secs(23 * 3_600 + 1_800));
    net.log_in(away, 0);
    net.settle();
    assert_eq!(net.inbox(away), [late]);
}

#[test]
fn a_status_is_translated_by_the_table_and_the_original_stays() {
    let mut net = Net::border();
    for code in [32_770, 7] {
        net.send(0, "be/unit/lux-7", Content::Status(code));
        net.send(0, "nl/pol-1", Content::Status(code));
    }
    net.settle();
    let read = |unit: &super::net::Unit| unit.inbox.iter().map(|(message, status)| (message.content.clone(), *status)).collect::<Vec<_>>();
    let mut read = read(&net.units[1]);
    read.sort_by_key(|(_, status)| *status);
    let (seven, known) = ((Content::Status(7), None), (Content::Status(32_770), Some(32_801)));
    assert_eq!(read, [seven.clone(), seven, known.clone(), known]);
}

#[test]
fn a_home_passes_on_only_what_both_agreements_allow_and_nothing_runs_in_a_circle() {
    let mut net = star(&["be", "de"]);
    let id = net.text(1, "be/lux-3");
    net.settle();
    assert_eq!((net.inbox(0), net.inbox(2), net.inbox(1)), (vec![id], vec![id], vec![]));
    let message = &net.units[2].inbox[0].0;
    assert_eq!((message.from.identity.to_string(), message.to.clone()), ("be/unit/b".to_owned(), to("be/lux-3")));

    let mut net = star(&[]);
    let id = net.text(1, "be/lux-3");
    net.settle();
    assert_eq!((net.inbox(0), net.inbox(2)), (vec![id], vec![]));

    // The home lists it, the receiver does not: nothing is believed, and the sender hears of that.
    let mut net = star(&["be", "de"]);
    let mut borders = net.sites[2].desk.borders.clone();
    borders[0].onward.clear();
    net.sites[2].desk.handle_borders(borders, net.now);
    let id = net.text(1, "be/lux-3");
    net.settle();
    assert_eq!((net.inbox(0), net.inbox(2)), (vec![id], vec![]));
    assert_eq!(net.reports(1), [(id, "de/ac-1".to_owned(), undelivered(Undelivered::NotAuthentic))]);
}

/// What a peer hands over is judged: each row is one lie, and what is answered.
#[test]
fn nobody_speaks_for_another_authority_and_what_is_not_signed_by_its_gateway_is_refused() {
    let good = |change: Lie| {
        let mut net = Net::border();
        net.settle();
        let id = net.text(0, "be/unit/lux-7");
        let mut message = net.units[0].outbox.pop_front().expect("a message").1;
        let recipient = message.to.clone();
        let mut envelope = Envelope { signed: message.encode(), signature: None, to: recipient, hops: 0, status: None };
        change(&mut message, &mut envelope);
        if envelope.signed != message.encode() && envelope.signature.is_none() {
            envelope.signed = message.encode();
        }
        let signature = envelope.signature.take().or_else(|| net.sites[0].desk.seals_mut().sign(&envelope.signed));
        let (far, number) =
            (net.ends.iter().find_map(|(end, far)| (end.0 == 1 && matches!(far, super::net::Far::Site(..))).then_some(*end)), 1);
        let (site, session) = far.expect("a session");
        let body = Body::Message(Box::new(Envelope { signature, ..envelope }));
        net.sites[site].desk.handle_item(session, Lane::Routine, Item { number, body }, net.now);
        net.carry_out(1);
        net.disk(1, 9);
        net.replies(1, 9);
        net.carry_out(1);
        let said = net.wires[&(site, session)].back().expect("an answer").1.body.clone();
        (said, net.inbox(1).len(), id)
    };
    let rows: [(Lie, Undelivered); 9] = [
        (|message, _| message.from.identity = "de/unit/x".parse().unwrap(), Undelivered::NotAuthentic),
        (|message, _| message.from.identity = "be/unit/x".parse().unwrap(), Undelivered::NotAuthentic),
        (|message, _| message.from.identity = "nl/gateway/gw-1".parse().unwrap(), Undelivered::NotAuthentic),
        (|message, _| message.to = to("be/unit/other"), Undelivered::NotAuthentic),
        (
            |_, envelope| envelope.signature = Some(Signature { scheme: 1, key: [1; 32], value: bytes::Bytes::new() }),
            Undelivered::NotAuthentic,
        ),
        (|message, envelope| (message.to, envelope.to) = (to("de/unit/x"), to("de/unit/x")), Undelivered::UnknownRecipient),
        (|message, envelope| (message.to, envelope.to) = (to("nl/pol-1"), to("be/none")), Undelivered::UnknownTalkgroup),
        (|message, _| message.sent_ms -= 2 * 3_600 * 1_000, Undelivered::Expired),
        (|message, _| message.sent_ms += 48 * 3_600 * 1_000, Undelivered::Other),
    ];
    assert_eq!(good(|_, _| {}).0, Body::Taken);
    for (number, (change, reason)) in rows.into_iter().enumerate() {
        assert_eq!(good(change).0, Body::Refused(reason), "row {number}");
    }
}

#[test]
fn what_passed_too_many_gateways_goes_no_further() {
    let net = star(&["be", "de"]);
    let router = |hops| {
        let message = wire::data::Message {
            id: wire::data::MessageId([1; 16]),
            from: net.units[1].who.clone().expect("a name"),
            to: to("be/lux-3"),
            sent_ms: net.now.ms,
            lifetime_s: 60,
            urgent: false,
            conversation: None,
            in_reply_to: None,
            wanted: wire::data::Wanted::default(),
            content: Content::Status(1),
        };
        let envelope = Envelope { signed: message.encode(), signature: None, to: to("nl/pol-1"), hops, status: None };
        let desk = &net.sites[0].desk;
        let router = route::Router { policy: &desk.policy, borders: &desk.borders, now_ms: net.now.ms };
        router.of_peer(&"be".parse().unwrap(), &envelope, &message).map(|ways| ways.iter().map(|way| way.hops).collect::<Vec<_>>())
    };
    assert_eq!(router(0), Ok(vec![0, 1]));
    assert_eq!(router(4), Err(route::NoWay::Because(Undelivered::TooManyHops)));
}

#[test]
fn a_report_is_believed_only_of_whom_it_may_speak_for_and_passed_on_once() {
    let mut net = Net::border();
    let id = net.text(0, "be/unit/lux-7");
    net.settle();
    let reports = net.reports(0).len();
    let (_, session) = *net.ends.keys().find(|end| end.0 == 0 && net.units[0].session.map(|own| own.1) != Some(end.1)).expect("a session");
    for (number, about) in ["nl/unit/maas-12", "be/unit/other", "be/unit/lux-7"].into_iter().enumerate() {
        let report = wire::data::Report { id, about: to(about), disposition: Disposition::Read, at_ms: 1 };
        // The second copy is the one that came in the session before.
        let number = number as u64 + 2;
        net.sites[0].desk.handle_item(session, Lane::Routine, Item { number, body: Body::Report(report) }, net.now);
        for _ in 0..3 {
            net.carry_out(0);
            net.disk(0, 9);
            net.replies(0, 9);
        }
        // be knows nothing of what was said in its name.
        net.wires.remove(&(0, session));
        net.settle();
    }
    let read = (id, "be/unit/lux-7".to_owned(), Disposition::Read);
    assert_eq!(net.reports(0)[reports..], [read]);
}

#[test]
fn what_was_signed_with_an_older_key_is_signed_anew_before_it_leaves() {
    let mut net = Net::border();
    net.settle();
    net.cut(0, 1);
    net.text(0, "be/unit/lux-7");
    net.settle();
    net.kill(0);
    net.connect(0, 1);
    net.settle();
    assert_eq!(net.inbox(1).len(), 1);
    let kept = net.sites[1].ledger.depth().expect("a depth");
    assert_eq!(kept.messages, 0);
    assert_eq!(net.sites[0].desk.seals_mut().key, [2; 32]);
}

#[test]
fn urgent_messages_have_their_own_stream() {
    let mut net = Net::border();
    let away = net.unit("be/unit/lux-8", 1, &[]);
    net.settle();
    net.log_out(away);
    net.text(0, "be/unit/lux-8");
    net.send_as(0, "be/unit/lux-8", |message| message.urgent = true);
    net.settle();
    net.log_in(away, 1);
    net.carry_out(1);
    net.disk(1, 9);
    net.replies(1, 9);
    net.carry_out(1);
    let (site, session) = net.units[away].session.expect("a session");
    let lanes: Vec<Lane> = net.wires[&(site, session)].iter().map(|(lane, _)| *lane).collect();
    assert_eq!(lanes, [Lane::Urgent, Lane::Routine]);
}
