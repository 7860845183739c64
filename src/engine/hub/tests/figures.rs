//! Service figures: each press counted once, by how it ended and after what time; late entries; voice turned away; repeats.

use bytes::Bytes;
use wire::control::{Floor, FloorBody, Message, Request};
use wire::datagram::{Datagram, Report, Voice};
use wire::{Handle, Level, Priority, RequestId, Seq, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, ms, nl};
use crate::figures::Histogram;
use crate::hub::figures::{Arbiter, Figures, Outcome, TurnedAway};

impl Net {
    fn figures(&self, hub: usize) -> Figures {
        self.hubs[hub].status(self.now).figures
    }

    /// Every press that a hub has counted: who answered, tier, outcome, how many, and all their time in milliseconds.
    fn presses(&self, hub: usize) -> Vec<(Arbiter, Tier, Outcome, u64, u128)> {
        let access = self.figures(hub).access;
        access.iter().map(|((arbiter, tier, outcome), times)| (*arbiter, *tier, *outcome, times.count(), times.sum().as_millis())).collect()
    }
}

#[test]
fn a_press_is_counted_once_by_the_gateway_of_its_unit_however_often_it_is_repeated_or_granted() {
    let mut net = Net::joined(nl(), be());
    let (a, c) = (net.unit("nl/unit/a", "nl/pol-1"), net.unit("be/unit/c", "be/lux-3"));
    net.say(a, 500);
    net.press(c, Priority::of(Tier::Emergency));
    net.run(100);
    // Late copies of a request that is granted, and the grant said again.
    net.repeat_emergency(c, RequestId(1));
    net.run(100);
    net.release(c);
    net.run(400);
    assert_eq!(net.presses(NL), [(Arbiter::Here, Tier::Normal, Outcome::Immediate, 1, 0)]);
    assert_eq!(net.presses(BE), [(Arbiter::Home, Tier::Emergency, Outcome::Immediate, 1, 0)]);
}

#[test]
fn a_wait_in_the_queue_counts_from_the_press_and_ends_by_grant_or_key() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let (c, d) = (net.unit("be/unit/c", "be/lux-3"), net.unit("be/unit/d", "be/lux-3"));
    net.press(a, Priority::default());
    net.press(c, Priority::default());
    net.press(d, Priority::default());
    net.run(250);
    net.release(d);
    net.run(250);
    net.release(a);
    net.run(100);
    assert!(net.units[c].talks());
    let waited = net.presses(BE);
    assert_eq!(waited.len(), 2, "{waited:?}");
    assert_eq!((waited[0].2, waited[0].3, waited[1]), (Outcome::Queued, 1, (Arbiter::Home, Tier::Normal, Outcome::Abandoned, 1, 250)));
    assert!((500..=560).contains(&waited[0].4), "{waited:?}");
}

#[test]
fn a_denial_a_lost_session_and_a_home_that_does_not_answer_are_told_apart() {
    let mut plan = nl();
    plan.talkgroups[0].peril.clear();
    let mut net = Net::joined(plan, be());
    let (a, b) = (net.unit("nl/unit/a", "nl/pol-1"), net.unit("nl/unit/b", "nl/pol-1"));
    net.press(a, Priority::of(Tier::Peril));
    net.press(a, Priority::default());
    net.press(b, Priority::default());
    net.run(100);
    let session = net.units[b].session.unwrap();
    let now = net.now;
    net.hubs[NL].handle_closed(session, wire::Reason::LinkLost, now);
    let outcomes: Vec<_> = net.presses(NL).into_iter().map(|(_, tier, outcome, count, time)| (tier, outcome, count, time)).collect();
    let expected =
        [(Tier::Normal, Outcome::Immediate, 1, 0), (Tier::Normal, Outcome::Failed, 1, 100), (Tier::Peril, Outcome::Denied, 1, 0)];
    assert_eq!(outcomes, expected);

    let c = net.unit("be/unit/c", "be/lux-3");
    net.stalled = Some(BE);
    net.press(c, Priority::default());
    net.run(1_250);
    assert_eq!(net.presses(BE), [(Arbiter::Home, Tier::Normal, Outcome::Failed, 1, 1_200)]);
}

#[test]
fn presses_in_talkgroups_that_were_never_joined_are_denied_and_leave_nothing_behind() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let (session, now) = (net.units[a].session.unwrap(), net.now);
    for number in 1..=20 {
        let request = Request { request: RequestId(number), priority: Priority::default(), talker: None, continuing: None };
        let talkgroup = format!("nl/none-{number}").parse().unwrap();
        let floor = Floor { talkgroup, party: None, body: FloorBody::Request(request) };
        net.hubs[NL].handle_message(session, Message::Floor(floor), now);
    }
    assert_eq!(net.presses(NL), [(Arbiter::Here, Tier::Normal, Outcome::Denied, 20, 0)]);
    assert_eq!(net.hubs[NL].out.watch.keeps(), (0, 0));
}

#[test]
fn a_late_entry_lasts_from_the_joining_to_the_next_frame() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    net.unit("nl/unit/b", "nl/pol-1");
    net.press(a, Priority::default());
    net.run(205);
    net.unit("nl/unit/c", "nl/pol-1");
    net.unit("be/unit/d", "be/lux-3");
    net.run(200);
    let took = |times: Histogram| (times.count(), times.sum());
    assert_eq!(took(net.figures(NL).late_entry), (1, ms(15)));
    assert_eq!(took(net.figures(BE).late_entry), (1, ms(15)));
    net.release(a);
    net.run(400);
    // Whoever joins in silence waits for nobody.
    net.unit("nl/unit/e", "nl/pol-1");
    net.say(a, 200);
    assert_eq!(net.figures(NL).late_entry.count(), 1);
    assert_eq!(net.hubs[NL].out.watch.keeps(), (1, 0), "one unit has pressed");
}

#[test]
fn voice_that_goes_to_nobody_is_counted_by_its_reason() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    net.say(a, 200);
    net.run(3_000);
    assert!(net.figures(NL).turned_away.is_empty());
    let (handle, spurt, payload) = (Handle(1), net.granted(a), Bytes::from_static(&[7; 20]));
    let voice = Voice {
        handle,
        spurt,
        seq: Seq(99),
        first: false,
        last: false,
        tier: Tier::Normal,
        encrypted: false,
        repeats: Vec::new(),
        payload,
    };
    let frame = voice.encode();
    let (session, now) = (net.units[a].session.unwrap(), net.now);
    for _ in 0..3 {
        net.hubs[NL].handle_datagram(session, frame.clone(), now);
    }
    let away: Vec<_> = net.figures(NL).turned_away.into_iter().collect();
    assert_eq!(away, [((None, Tier::Normal, TurnedAway::NoGrant), 3)]);
}

#[test]
fn the_status_tells_the_repeats_that_each_link_calls_for() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    let (session, border, now) = (net.units[a].session.unwrap(), net.border_session(), net.now);
    let report = |frames, lost| Datagram::Report(Report { frames, lost, runs: lost }).encode();
    net.hubs[NL].handle_datagram(session, report(500, 15), now);
    net.hubs[NL].handle_datagram(border, report(500, 50), now);
    let status = net.hubs[NL].status(now);
    let of_unit = status.sessions.iter().find(|unit| unit.session == session).unwrap().repeats.count();
    assert_eq!((of_unit, status.links[0].repeats.count()), (1, 2));
}

#[test]
fn levels_and_tiers_keep_their_own_figures() {
    let mut net = Net::joined(nl(), be());
    let a = net.unit("nl/unit/a", "nl/pol-1");
    for priority in [Priority::default(), Priority { level: Level(3), ..Priority::default() }, Priority::of(Tier::Emergency)] {
        net.press(a, priority);
        net.run(60);
        net.release(a);
        net.run(400);
    }
    let counted: Vec<_> = net.presses(NL).into_iter().map(|(_, tier, _, count, _)| (tier, count)).collect();
    assert_eq!(counted, [(Tier::Normal, 2), (Tier::Emergency, 1)]);
}
