//! What the figures share: a scene of two countries, links under it, and exact moments of what units and gateways are told.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::handset::Event;
use gateway::records::RecordKind;
use testkit::Link;
use tokio::time::{Instant, sleep};
use wire::Tier;
use wire::control::Granted;

use client::What;

use crate::support::World;
use crate::support::radio::Radio;
use crate::support::scene::judged;
use crate::support::world::ip;

/// What has not come by then never comes.
pub(crate) const NEVER: Duration = Duration::from_secs(10);
/// How often a scene looks; the moments themselves come with the events.
const LOOK: Duration = Duration::from_millis(5);

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Plays a scene of nl, the home, and be; an invariant that breaks is a panic.
pub(crate) fn play<T>(seed: u64, scene: impl AsyncFnOnce(&mut World) -> T) -> T {
    let (found, breaches) = judged(seed, &["nl", "be"], async |world: &mut World| {
        world.start_all().await;
        scene(world).await
    });
    assert!(breaches.is_empty(), "seed {seed}:\n  {}", breaches.join("\n  "));
    found
}

/// Everything, of units and across the border, goes over this link from now on.
pub(crate) fn all_over(world: &World, link: Link) {
    world.watch().rules.ways = (link.delay + link.jitter) * 4;
    world.net.set_default(link);
    border_over(world, link);
}

/// Only the border does.
pub(crate) fn border_over(world: &World, link: Link) {
    world.net.set_link(ip("nl"), ip("be"), link);
}

/// What a unit is told after a mark, with its moment.
pub(crate) async fn told<T>(radio: &Radio, from: usize, pick: impl Fn(&Event) -> Option<T>) -> Option<(Instant, T)> {
    let by = Instant::now() + NEVER;
    loop {
        let found = radio.log.lock().expect("no panic").events.iter().skip(from).find_map(|happened| match &happened.what {
            What::Handset(event) => Some((Instant::from_std(happened.at), pick(event)?)),
            What::Mail(_) | What::Disconnected(_) | What::Refused { .. } | What::Ended(..) => None,
        });
        if found.is_some() || Instant::now() > by {
            return found;
        }
        sleep(LOOK).await;
    }
}

/// The grant after a mark.
pub(crate) async fn granted(radio: &Radio, from: usize) -> Option<(Instant, Granted)> {
    told(radio, from, |event| if let Event::Granted(_, grant) = event { Some(grant.clone()) } else { None }).await
}

/// When a far side is told to be present, or away.
pub(crate) async fn far_side(radio: &Radio, from: usize, present: bool) -> Option<Instant> {
    let fits = |event: &Event| matches!(event, Event::FarSide(far) if far.present == present).then_some(());
    told(radio, from, fits).await.map(|(at, ())| at)
}

/// A press, and the time to its grant.
pub(crate) async fn press(radio: &mut Radio, tier: Tier) -> Option<(Duration, Granted)> {
    // Through loss a unit may lose its gateway now and then; it presses when it is back.
    while !radio.is_joined() {
        sleep(ms(50)).await;
    }
    let (mark, pressed) = (radio.mark(), Instant::now());
    radio.press_tier(tier).await;
    granted(radio, mark).await.map(|(at, grant)| (at - pressed, grant))
}

/// Releases, ends the emergency, and waits until both gateways show nobody.
pub(crate) async fn end(world: &World, radio: &mut Radio) {
    radio.release().await;
    loop {
        radio.end_emergency().await;
        sleep(ms(250)).await;
        let quiet = ["nl", "be"].iter().all(|code| {
            let status = world.status(code);
            let free = status.floors.iter().all(|floor| floor.talker.is_none() && floor.queue.is_empty());
            free && status.talkgroups.iter().all(|talkgroup| talkgroup.emergency.is_none())
        });
        if quiet && world.is_whole() {
            return;
        }
    }
}

/// How many records of a gateway say that of other gateways' sessions (`began`, or a reason) or of its bridge.
pub(crate) fn records(world: &World, code: &str, kind: RecordKind, fits: impl Fn(&str) -> bool) -> usize {
    let records = world.countries[code].records.lock().expect("no panic");
    let of_peers =
        records.iter().filter(|record| record.kind == kind && record.identity.as_ref().is_none_or(|who| who.contains("/gateway/")));
    of_peers.filter(|record| record.outcome.as_deref().is_some_and(&fits)).count()
}

/// When both gateways have recorded it once more than before; looked at every millisecond.
pub(crate) async fn both_record(world: &World, kind: RecordKind, outcome: &str, before: [usize; 2]) -> Option<Instant> {
    let by = Instant::now() + NEVER * 3;
    while Instant::now() < by {
        let now = ["nl", "be"].map(|code| records(world, code, kind, |text| text == outcome));
        if now.iter().zip(before).all(|(now, before)| *now > before) {
            return Some(Instant::now());
        }
        sleep(ms(1)).await;
    }
    None
}

/// The frames of a talker that a listener played.
pub(crate) fn played(listener: &Radio, talker: &Radio) -> BTreeSet<u32> {
    listener.frames_of(talker).into_iter().collect()
}
