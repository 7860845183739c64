//! A border link that carries one spurt, and two talkgroups bridged over it: who is refused, who gives way, who comes back.

use wire::{Level, Priority, RevokeCause, Tier};

use super::net::{BE, NL, Net};
use super::unit::{be, nl, revoked, with_second, words};
use crate::handset;
use crate::hub::{Event, Use};
use crate::plan::Plan;

/// A link that carries so many kbit/s.
fn over(rate_kbps: u32, plan: Plan) -> Plan {
    let mut plan = with_second(plan);
    plan.peers[0].rate_kbps = rate_kbps;
    plan
}

/// Police and fire on both sides of a link of 128 kbit/s, a and b of pol-1, f of fire-1, c and d of lux-3, x and
/// y of fire-3.
struct Scene {
    net: Net,
    a: usize,
    b: usize,
    f: usize,
    c: usize,
    d: usize,
    x: usize,
    y: usize,
}

fn scene() -> Scene {
    let mut net = Net::joined(over(128, nl()), over(128, be()));
    let named = [
        ("nl/unit/a", "nl/pol-1"),
        ("nl/unit/b", "nl/pol-1"),
        ("nl/unit/f", "nl/fire-1"),
        ("be/unit/c", "be/lux-3"),
        ("be/unit/d", "be/lux-3"),
        ("be/unit/x", "be/fire-3"),
        ("be/unit/y", "be/fire-3"),
    ];
    let [a, b, f, c, d, x, y] = named.map(|(unit, talkgroup)| net.unit(unit, talkgroup));
    let mut scene = Scene { net, a, b, f, c, d, x, y };
    scene.forget();
    scene
}

impl Scene {
    /// Nobody remembers what was told so far.
    fn forget(&mut self) {
        for unit in 0..self.net.units.len() {
            self.net.told(unit);
        }
    }

    fn told(&mut self, unit: usize) -> Vec<String> {
        words(&self.net.told(unit))
    }

    /// Frames that one hears of the other while so much time passes.
    fn heard(&mut self, ear: usize, mouth: usize, time: u64) -> usize {
        let count = |net: &Net| net.units[ear].ear.iter().filter(|(who, _)| *who == mouth).count();
        let before = count(&self.net);
        self.net.run(time);
        count(&self.net) - before
    }

    fn used(&self, hub: usize) -> Use {
        self.net.hubs[hub].status(self.net.now).links[0].used.clone()
    }

    fn talker(&self, hub: usize, talkgroup: &str) -> Option<String> {
        let status = self.net.hubs[hub].status(self.net.now);
        let shown = status.talkgroups.into_iter().find(|shown| shown.talkgroup.to_string() == talkgroup);
        shown.and_then(|shown| shown.talker).map(|(talker, ..)| talker.identity.to_string())
    }

    fn end(mut self) {
        for unit in 0..self.net.units.len() {
            self.net.release(unit);
        }
        self.net.run(3_000);
        self.net.assert_quiet();
        for hub in [NL, BE] {
            assert_eq!((self.used(hub).crossing, self.used(hub).suspended.len()), (0, 0));
        }
    }
}

const SOS: Priority = Priority { tier: Tier::Emergency, dispatcher: false, level: Level(16) };

fn suspensions(events: &[Event]) -> Vec<(String, bool)> {
    let one = |event: &Event| if let Event::Crossing { talker, passes, .. } = event { Some((talker.to_string(), *passes)) } else { None };
    events.iter().filter_map(one).collect()
}

#[test]
fn a_normal_request_that_finds_no_room_is_refused_at_once_on_either_side() {
    for at_home in [true, false] {
        let mut scene = scene();
        let (talks, asks, hub) = if at_home { (scene.a, scene.f, NL) } else { (scene.c, scene.x, BE) };
        scene.net.press(talks, Priority::default());
        scene.net.press(asks, Priority::normal(64));
        assert_eq!(scene.told(asks), ["requested", "denied no_resources"], "no level makes room");
        assert_eq!(scene.used(hub), Use { capacity: 1, crossing: 1, suspended: Vec::new(), refused: 1 });
        let denied = |event: &&Event| matches!(event, Event::Denied { cause: wire::DenyCause::NoResources, .. });
        assert_eq!(scene.net.events[hub].iter().filter(denied).count(), 1);
        // The other direction is a link of its own.
        let other = if at_home { scene.x } else { scene.f };
        scene.net.press(other, Priority::default());
        assert!(scene.net.units[other].talks());
        scene.net.release(talks);
        scene.net.release(other);
        scene.net.release(asks);
        scene.net.run(500);
        scene.net.press(asks, Priority::default());
        assert!(scene.net.units[asks].talks(), "there is room again");
        scene.end();
    }
}

#[test]
fn a_spurt_of_the_same_talkgroup_needs_no_more_room() {
    for at_home in [true, false] {
        let mut scene = scene();
        let (talks, asks) = if at_home { (scene.a, scene.b) } else { (scene.c, scene.d) };
        scene.net.press(talks, Priority::default());
        scene.net.press(asks, Priority::normal(64));
        scene.net.run(1_000);
        assert!(scene.net.units[asks].talks() && !scene.net.units[talks].talks());
        scene.end();
    }
}

#[test]
fn an_emergency_at_the_home_suspends_a_spurt_which_goes_on_for_its_own_side_and_returns() {
    let mut scene = scene();
    let (a, b, f, c, x) = (scene.a, scene.b, scene.f, scene.c, scene.x);
    scene.net.press(a, Priority::default());
    assert!(scene.heard(c, a, 500) > 15);
    scene.forget();
    scene.net.press(f, SOS);
    assert_eq!(scene.told(a), ["granted normal own_side"]);
    assert_eq!(scene.told(c), ["lost"]);
    assert_eq!(scene.used(NL), Use { capacity: 1, crossing: 1, suspended: vec!["nl/pol-1".parse().unwrap()], refused: 0 });
    assert_eq!(scene.talker(BE, "be/lux-3"), None);
    assert_eq!((scene.heard(b, a, 400), scene.heard(c, a, 400)), (20, 0), "its own side hears every frame");
    assert_eq!(scene.heard(x, f, 400), 20);
    // Late joiners of either side see what is true there.
    let late = scene.net.unit("be/unit/late", "be/lux-3");
    assert!(!scene.told(late).iter().any(|word| word.starts_with("taken")));
    scene.forget();
    scene.net.release(f);
    scene.net.run(300);
    assert_eq!(scene.told(a), ["granted normal"]);
    let taken = scene.net.told(c);
    assert_eq!(words(&taken), ["taken nl/unit/a normal"]);
    let elapsed = taken.iter().find_map(|event| if let handset::Event::Taken(_, taken) = event { Some(taken.elapsed_ms) } else { None });
    assert!(elapsed.is_some_and(|elapsed| elapsed > 1_000), "a late entry, {elapsed:?} ms into the spurt");
    assert_eq!((scene.heard(b, a, 400), scene.heard(c, a, 400)), (20, 20));
    assert_eq!(suspensions(&scene.net.events[NL]), [("nl/unit/a".into(), false), ("nl/unit/a".into(), true)]);
    scene.net.release(a);
    scene.net.run(500);
    assert_eq!(scene.net.units[b].ear.len(), scene.net.units[a].out.len(), "its own side lost nothing in all the changes");
    scene.end();
}

#[test]
fn an_emergency_at_the_partner_suspends_a_spurt_which_goes_on_for_its_own_side_and_returns() {
    let mut scene = scene();
    let (a, f, c, d, x) = (scene.a, scene.f, scene.c, scene.d, scene.x);
    scene.net.press(c, Priority::default());
    assert!(scene.heard(a, c, 500) > 15);
    scene.forget();
    scene.net.press(x, SOS);
    assert_eq!(scene.told(c), ["granted normal own_side"]);
    assert_eq!(scene.told(a), ["idle"], "the home's floor is free");
    assert_eq!(scene.used(BE), Use { capacity: 1, crossing: 1, suspended: vec!["be/lux-3".parse().unwrap()], refused: 0 });
    assert_eq!((scene.heard(d, c, 400), scene.heard(a, c, 400)), (20, 0), "its own side hears every frame");
    assert_eq!(scene.heard(f, x, 400), 20);
    scene.forget();
    scene.net.release(x);
    scene.net.run(300);
    assert_eq!(scene.told(c), ["granted normal"]);
    assert_eq!(scene.told(a), ["taken be/unit/c normal"]);
    assert_eq!((scene.heard(d, c, 400), scene.heard(a, c, 400)), (20, 20));
    assert_eq!(suspensions(&scene.net.events[BE]), [("be/unit/c".into(), false), ("be/unit/c".into(), true)]);
    scene.net.release(c);
    scene.net.run(500);
    assert_eq!(scene.net.units[d].ear.len(), scene.net.units[c].out.len(), "its own side lost nothing in all the changes");
    scene.end();
}

#[test]
fn a_suspended_talker_of_the_partner_ends_like_any_other() {
    for by_release in [true, false] {
        let mut scene = scene();
        let (a, c, d, x) = (scene.a, scene.c, scene.d, scene.x);
        scene.net.press(c, Priority::default());
        scene.net.run(300);
        scene.net.press(x, SOS);
        scene.net.run(300);
        // Meanwhile the home's side talks; the partner's hears it when its own talker has ended.
        scene.net.press(a, Priority::default());
        assert!(scene.net.units[a].talks() && scene.net.units[c].talks());
        assert_eq!(scene.heard(d, a, 300), 0);
        scene.forget();
        if by_release {
            scene.net.release(c);
        } else {
            scene.net.run(32_000);
            assert!(revoked(&scene.net.told(c), RevokeCause::TalkLimit), "nobody talks for ever");
            scene.net.press(a, Priority::default());
        }
        scene.net.run(100);
        assert!(scene.told(d).contains(&"idle".to_owned()));
        scene.net.release(a);
        scene.net.run(500);
        scene.net.press(a, Priority::default());
        assert!(scene.heard(d, a, 300) > 10);
        assert!(!scene.net.events[BE].iter().any(|event| matches!(event, Event::Misbehaved { .. })));
        scene.end();
    }
}

#[test]
fn a_suspended_talker_returns_only_when_nobody_talks_at_the_home() {
    let mut scene = scene();
    let (a, c, d, x) = (scene.a, scene.c, scene.d, scene.x);
    scene.net.press(c, Priority::default());
    scene.net.run(200);
    scene.net.press(x, SOS);
    scene.net.press(a, Priority::default());
    scene.net.release(x);
    scene.net.run(500);
    assert!(scene.net.units[a].talks() && scene.net.units[c].talks(), "nobody is cut off for it");
    scene.net.release(a);
    scene.net.run(300);
    assert_eq!((scene.heard(a, c, 200), scene.heard(d, c, 200)), (10, 10));
    scene.end();
}

#[test]
fn an_emergency_of_the_home_reaches_a_partner_whose_talker_is_suspended() {
    let mut scene = scene();
    let (a, c, d, x) = (scene.a, scene.c, scene.d, scene.x);
    scene.net.press(c, Priority::default());
    scene.net.run(200);
    scene.net.press(x, SOS);
    scene.forget();
    scene.net.press(a, SOS);
    assert_eq!(scene.told(c)[..2], ["emergency true nl/unit/a", "revoked preempted"]);
    assert!(scene.heard(d, a, 200) > 8 && scene.heard(c, a, 200) == 10);
    scene.end();
}

#[test]
fn a_raise_brings_a_suspended_talker_back() {
    for at_home in [true, false] {
        let mut scene = scene();
        let (talks, far, other) = if at_home { (scene.a, scene.c, scene.f) } else { (scene.c, scene.a, scene.x) };
        scene.net.press(talks, Priority::default());
        scene.net.run(200);
        scene.net.press(other, SOS);
        scene.net.run(200);
        scene.net.press(talks, SOS);
        assert!(scene.heard(far, talks, 200) > 8, "at home: {at_home}");
        assert!(scene.net.units[other].talks(), "an emergency never gives way to another");
        scene.end();
    }
}

#[test]
fn imminent_peril_takes_room_from_normal_spurts_and_is_refused_by_another() {
    for at_home in [true, false] {
        let mut scene = scene();
        let (normal, peril, far) = if at_home { (scene.a, scene.f, scene.x) } else { (scene.c, scene.x, scene.f) };
        scene.net.press(normal, Priority::default());
        scene.net.run(200);
        scene.net.press(peril, Priority::of(Tier::Peril));
        assert!(scene.heard(far, peril, 200) > 8);
        assert!(scene.told(normal).contains(&"granted normal own_side".to_owned()));
        scene.net.press(normal, Priority::of(Tier::Peril));
        scene.net.run(200);
        assert_eq!(scene.heard(if at_home { scene.c } else { scene.a }, normal, 200), 0, "a peril under way keeps its place");
        scene.end();
    }
}

#[test]
fn whose_turn_comes_when_there_is_no_room_is_refused_then() {
    for at_home in [true, false] {
        let mut scene = scene();
        // The floor is held by the other side, whose voice takes no room on this side's link.
        let (holds, waits, fills) = if at_home { (scene.c, scene.a, scene.f) } else { (scene.a, scene.c, scene.x) };
        scene.net.press(holds, Priority::default());
        scene.forget();
        scene.net.press(waits, Priority::default());
        assert_eq!(scene.told(waits), ["requested", "queued 1"]);
        scene.net.press(fills, Priority::default());
        scene.net.release(holds);
        scene.net.run(400);
        assert_eq!(scene.told(waits)[..], ["denied no_resources", "idle"], "at home: {at_home}");
        assert_eq!((scene.talker(NL, "nl/pol-1"), scene.talker(BE, "be/lux-3")), (None, None));
        assert_eq!(scene.used(if at_home { NL } else { BE }).refused, 1);
        scene.end();
    }
}

#[test]
fn a_cut_frees_the_suspended_and_a_heal_shares_the_link_anew() {
    let mut scene = scene();
    let (a, b, c, d, f, x) = (scene.a, scene.b, scene.c, scene.d, scene.f, scene.x);
    scene.net.press(c, Priority::default());
    scene.net.run(200);
    scene.net.press(x, SOS);
    scene.net.run(200);
    scene.net.cut();
    scene.net.run(Net::NOTICED);
    assert!(scene.net.units[c].talks() && scene.net.units[x].talks());
    assert_eq!(scene.heard(d, c, 200), 10);
    scene.net.heal();
    scene.net.run(500);
    assert_eq!(scene.used(BE).suspended.len(), 1, "the emergency crosses, the other waits again");
    assert_eq!((scene.heard(f, x, 200), scene.heard(d, c, 200), scene.heard(a, c, 200)), (10, 10, 0));
    scene.net.release(x);
    scene.net.run(400);
    assert_eq!((scene.heard(a, c, 200), scene.heard(b, c, 200)), (10, 10));
    scene.end();
}

#[test]
fn a_reload_with_another_rate_counts_at_once() {
    let mut scene = scene();
    scene.net.press(scene.a, Priority::default());
    scene.net.press(scene.f, SOS);
    scene.net.run(100);
    assert_eq!(scene.used(NL).suspended.len(), 1);
    scene.net.plan(NL, |plan| plan.peers[0].rate_kbps = 256);
    assert_eq!(scene.used(NL), Use { capacity: 3, crossing: 2, suspended: Vec::new(), refused: 0 });
    assert!(scene.heard(scene.c, scene.a, 200) > 8);
    scene.net.plan(NL, |plan| plan.peers[0].rate_kbps = 128);
    assert_eq!(scene.used(NL).suspended.len(), 1);
    assert_eq!(scene.heard(scene.y, scene.f, 200), 10);
    scene.end();
}
