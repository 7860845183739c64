//! A border that is offered more calls than it carries: who is refused, who gives way and returns, and what each class loses.

use std::io::Write as _;
use std::time::Duration;

use engine::handset::Event;
use testkit::Link;
use tokio::time::{Instant, sleep};
use wire::{DenyCause, Priority, Tier};

use crate::support::radio::Radio;
use crate::support::world::ip;
use crate::support::{World, scene};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What the border carries: 3 calls.
const RATE_KBPS: u32 = 256;
/// Further talkgroups beside the first, each bridged.
const FURTHER: [&str; 4] = ["ops-1", "ops-2", "ops-3", "ops-4"];

/// Five talkgroups bridged over a border of 256 kbit/s, which is that of the path too.
fn over_a_thin_border(seed: u64, play: impl AsyncFnOnce(&mut World)) {
    scene(seed, async |world: &mut World| {
        for (code, peer) in [("nl", "be"), ("be", "nl")] {
            let toml = &mut world.country(code).toml;
            toml.further = FURTHER.map(str::to_owned).to_vec();
            toml.peer(peer).rate_kbps = RATE_KBPS;
        }
        let path = Link::delayed(ms(10)).limited(u64::from(RATE_KBPS) * 1_000, 64 * 1_024);
        world.net.set_link(ip("nl"), ip("be"), path);
        world.start_all().await;
        play(world).await;
    });
}

/// One talkgroup's people: who talks, who listens on its own side, who on the other.
struct Group {
    talks: Radio,
    beside: Radio,
    far: Radio,
}

impl Group {
    async fn of(world: &mut World, from: &str, name: &str) -> Self {
        let to = if from == "nl" { "be" } else { "nl" };
        Self {
            talks: world.radio_in(&format!("{from}/{name}"), &format!("{name}-talks")).await,
            beside: world.radio_in(&format!("{from}/{name}"), &format!("{name}-beside")).await,
            far: world.radio_in(&format!("{to}/{name}"), &format!("{name}-far")).await,
        }
    }

    /// Frames that the talker has said and an ear has not heard.
    fn lost_at(&self, ear: &Radio) -> usize {
        let said = usize::try_from(self.talks.said()).expect("a short life");
        said - ear.frames_of(&self.talks).len()
    }
}

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("stderr");
}

/// What an event says of the reach of a grant.
fn reach(event: &Event) -> Option<bool> {
    if let Event::Granted(_, granted) = event { Some(granted.own_side_only) } else { None }
}

/// The figures of the classes of voice on the border link of a country.
fn figures(world: &World, code: &str, peer: &str) -> Vec<(String, u64, u64, u64)> {
    let status = world.status(code);
    let of_voice = status.queues.iter().filter(|queue| queue.link == format!("{peer}/gateway/gw-1") && queue.class.ends_with("voice"));
    of_voice.map(|queue| (queue.class.to_string(), queue.sent, queue.dropped_late, queue.dropped_full)).collect()
}

/// Four calls want to cross from one side, then an emergency: at the home, and at the partner.
async fn overload(world: &mut World, from: &str) {
    let to = if from == "nl" { "be" } else { "nl" };
    let mut calls = Vec::new();
    for name in FURTHER {
        calls.push(Group::of(world, from, name).await);
    }
    let [first, second, third, mut fourth] = <[Group; 4]>::try_from(calls).ok().expect("four");
    let (mut first, mut second, mut third) = (first, second, third);
    let mut danger =
        Group { talks: world.radio(from, "in-danger").await, beside: world.radio(from, "beside").await, far: world.radio(to, "far").await };
    for call in [&mut first, &mut second, &mut third] {
        let mark = call.talks.mark();
        call.talks.press().await;
        call.talks.granted(mark).await;
        sleep(ms(200)).await;
    }
    sleep(ms(1_000)).await;

    // No room: told at once, at a higher level too.
    for priority in [Priority::normal(16), Priority::normal(64)] {
        let (mark, pressed) = (fourth.talks.mark(), Instant::now());
        fourth.talks.press_at(priority).await;
        assert_eq!(fourth.talks.denied(mark).await, DenyCause::NoResources);
        assert!(pressed.elapsed() <= ms(300), "told after {:?}", pressed.elapsed());
        fourth.talks.release().await;
    }
    let link = world.status(from).links[0].clone();
    assert_eq!((link.capacity, link.in_use, link.suspended.len()), (3, 3, 0));

    // An emergency: the youngest of the three gives way, hears so, and goes on for its own side.
    let (mark, given) = (danger.talks.mark(), third.talks.mark());
    danger.talks.press_tier(Tier::Emergency).await;
    danger.talks.granted(mark).await;
    assert!(third.talks.event_from(given, "reach", reach).await, "own side only");
    sleep(ms(500)).await;
    let alone = (third.far.frames_of(&third.talks).len(), third.beside.frames_of(&third.talks).len());
    sleep(ms(4_000)).await;
    assert_eq!(third.far.frames_of(&third.talks).len(), alone.0, "nothing crosses");
    assert!(third.beside.frames_of(&third.talks).len() >= alone.1 + 195);
    let link = world.status(from).links[0].clone();
    assert_eq!((link.in_use, &link.suspended[..], link.refused), (3, &[format!("{from}/ops-3")][..], 2));

    // It is over: the third is heard over there again, as by somebody who joins late.
    let (given, heard) = (third.talks.mark(), third.far.mark());
    danger.talks.release().await;
    danger.talks.end_emergency().await;
    assert!(!third.talks.event_from(given, "reach", reach).await, "all");
    third.far.event_from(heard, "taken", |event| matches!(event, Event::Taken(..)).then_some(())).await;
    let again = Instant::now();
    sleep(ms(2_000)).await;
    assert!(third.far.heard_from(&third.talks, again) >= 95, "{}", third.far.heard_from(&third.talks, again));
    for call in [&mut first, &mut second, &mut third] {
        call.talks.release().await;
    }
    sleep(ms(1_500)).await;

    // What was admitted and stayed so lost nothing, nor did anybody's own side.
    say(&format!("border of {RATE_KBPS} kbit/s, {from} to {to}: class, sent, late, full"));
    let figures = figures(world, from, to);
    figures.iter().for_each(|line| say(&format!("  {line:?}")));
    let lost = |call: &Group| (call.lost_at(&call.far), call.lost_at(&call.beside));
    let all = [&danger, &first, &second, &third].map(lost);
    say(&format!("  frames lost there and here: emergency {:?}, calls {:?} {:?}, suspended {:?}", all[0], all[1], all[2], all[3]));
    assert_eq!((lost(&danger), lost(&first), lost(&second)), ((0, 0), (0, 0), (0, 0)));
    assert_eq!(lost(&third).1, 0);
    assert!(figures.iter().all(|(_, _, late, full)| (*late, *full) == (0, 0)), "{figures:?}");
    let crossings: Vec<_> =
        world.records(from).into_iter().filter(|record| record.kind == gateway::records::RecordKind::Crossing).collect();
    let outcomes: Vec<_> = crossings.iter().filter_map(|record| record.outcome.as_deref()).collect();
    assert_eq!(outcomes, ["suspended", "crosses_again"]);
}

#[test]
fn a_full_border_refuses_suspends_and_takes_back_from_the_home() {
    over_a_thin_border(71, async |world| overload(world, "nl").await);
}

#[test]
fn a_full_border_refuses_suspends_and_takes_back_from_the_partner() {
    over_a_thin_border(72, async |world| overload(world, "be").await);
}
