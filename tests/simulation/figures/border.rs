//! The border itself: its loss noticed, no false alarm, one talker after a heal, few changes of view on a link that flaps.

use std::time::Duration;

use engine::handset::Event;
use gateway::records::RecordKind;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use testkit::{Burst, Link};
use tokio::time::{Instant, sleep};
use wire::Tier;

use super::sheet::Limit::AtMost;
use super::sheet::Stat::{Max, Mean, P50, P95, Sum};
use super::sheet::{Kind, Sheet, Unit};
use super::stage::{border_over, both_record, end, far_side, ms, play, press, records, told};
use crate::support::World;
use crate::support::radio::Radio;
use crate::support::world::ip;

/// From the cut to the moment at which units of both sides have been told that the far side is away.
pub(crate) const NOTICED_BOTH: Kind = Kind { name: "link loss noticed, cut both ways", unit: Unit::Ms, stats: &[P50, Max] };
pub(crate) const NOTICED_OUT: Kind = Kind { name: "link loss noticed, cut from home to partner", unit: Unit::Ms, stats: &[P50, Max] };
pub(crate) const NOTICED_IN: Kind = Kind { name: "link loss noticed, cut from partner to home", unit: Unit::Ms, stats: &[P50, Max] };
/// What has to be kept of each of them.
pub(crate) const NOTICED_MS: f64 = 2_000.0;

/// From the heal of the network to the moment at which both gateways have a session with the other.
pub(crate) const SESSION: Kind = Kind { name: "heal of the network to a session", unit: Unit::Ms, stats: &[P50, P95, Max] };
/// From there to the moment at which each knows the other's word on the bridge, so that both can say where they stand.
const AGREED: Kind = Kind { name: "session to a bridge that both agree on", unit: Unit::Ms, stats: &[P50, P95, Max] };
/// From there to the moment at which the one talker is known everywhere: the other has been told that it is displaced, and
/// those who heard that one are shown the one that is left.
pub(crate) const ONE_TALKER: Kind = Kind { name: "agreed bridge to one talker in all views", unit: Unit::Ms, stats: &[P50, P95, Max] };
/// The same without the round trip of the border, so that links of different lengths compare.
const BEYOND_RTT: Kind = Kind { name: "the same, less the border's round trip", unit: Unit::Ms, stats: &[P50, P95, Max] };
/// What it may take beyond the round trip.
pub(crate) const ONE_TALKER_MS: f64 = 100.0;

const LINKS_LOST: Kind = Kind { name: "sessions of gateways that ended", unit: Unit::Count, stats: &[Sum] };
const AWAY: Kind = Kind { name: "times a unit was told that the far side is away", unit: Unit::Count, stats: &[Sum] };

const CHANGES: Kind = Kind { name: "changes of view in 2 minutes, per 3 s", unit: Unit::Count, stats: &[P50, Mean, Max] };
const CHANGES_30: Kind = Kind { name: "most changes of view in any 30 s", unit: Unit::Count, stats: &[P50, Max] };
const SHORTEST: Kind = Kind { name: "shortest time from back to away again", unit: Unit::Ms, stats: &[P50] };

/// A fall counts for this long towards the hold-down of a link.
const FORGOTTEN: Duration = Duration::from_secs(31);

/// How a border is cut.
#[derive(Clone, Copy)]
enum Cut {
    Both,
    Out,
    In,
}

impl Cut {
    const ALL: [(Self, Kind); 3] = [(Self::Both, NOTICED_BOTH), (Self::Out, NOTICED_OUT), (Self::In, NOTICED_IN)];

    fn begin(self, world: &World) {
        match self {
            Self::Both => world.cut(),
            Self::Out => world.net.cut_one_way(ip("nl"), ip("be")),
            Self::In => world.net.cut_one_way(ip("be"), ip("nl")),
        }
    }
}

/// The later of two moments, if both came.
fn both(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    Some(one?.max(other?))
}

// === Noticed ===

/// Cuts the border, waits until both sides have said so, heals it again; units stand beside their gateways.
pub(crate) async fn cuts(world: &World, near: &Radio, far: &Radio, at: &'static str, rng: &mut SmallRng, sheet: &mut Sheet) {
    for (cut, kind) in Cut::ALL {
        sleep(ms(rng.random_range(0..500))).await;
        // A burst of losses may have taken the link away just now; what was lost cannot be noticed.
        while ![near, far].iter().all(|unit| sees_far_side(unit)) {
            sleep(ms(50)).await;
        }
        let (marks, began) = ([near.mark(), far.mark()], Instant::now());
        cut.begin(world);
        let (home, partner) = tokio::join!(far_side(near, marks[0], false), far_side(far, marks[1], false));
        sheet.time(at, kind, both(home, partner).map(|at| at - began));
        world.heal();
        world.until("the border is back", World::is_whole).await;
        sleep(FORGOTTEN / 2).await;
    }
}

/// Whether the unit was last told that the far side is there.
fn sees_far_side(unit: &Radio) -> bool {
    view_changes(unit, 0).last().is_none_or(|(_, present)| *present)
}

/// Cuts of every kind, on a border of any length without loss.
pub(crate) fn noticed(seed: u64, sheet: &mut Sheet) {
    play(seed, async |world| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (near, far) = (world.radio("nl", "maas-13").await, world.radio("be", "lux-2").await);
        border_over(world, Link::delayed(ms(rng.random_range(1..=150))));
        sleep(ms(2_000)).await;
        cuts(world, &near, &far, "border of 2 to 300 ms", &mut rng, sheet).await;
    });
    for (_, kind) in Cut::ALL {
        sheet.limit("border of 2 to 300 ms", kind, Max, AtMost(NOTICED_MS));
    }
}

// === Heal ===

/// Both sides talk across a split; then the network heals.
pub(crate) async fn heal(
    world: &World,
    talkers: [&mut Radio; 2],
    listeners: [&Radio; 2],
    at: &'static str,
    sheet: &mut Sheet,
) -> Option<Duration> {
    let [maas, lux] = talkers;
    let [near, far] = listeners;
    let marks = [near.mark(), far.mark()];
    world.cut();
    tokio::join!(far_side(near, marks[0], false), far_side(far, marks[1], false));
    press(maas, Tier::Normal).await?;
    press(lux, Tier::Normal).await?;
    sleep(ms(1_000)).await;
    let count = |kind, outcome: &str| ["nl", "be"].map(|code| records(world, code, kind, |text| text == outcome));
    let (sessions, bridges) = (count(RecordKind::Session, "began"), count(RecordKind::Bridge, "agreed"));
    let (mark, shown, healed) = (lux.mark(), far.mark(), Instant::now());
    world.heal();
    let (session, agreed) =
        tokio::join!(both_record(world, RecordKind::Session, "began", sessions), both_record(world, RecordKind::Bridge, "agreed", bridges));
    sheet.time(at, SESSION, session.map(|at| at - healed));
    let (Some(session), Some(agreed)) = (session, agreed) else {
        sheet.time(at, ONE_TALKER, None);
        return None;
    };
    sheet.time(at, AGREED, Some(agreed - session));
    // The tie goes to the home: lux hears that it is displaced, its listener is shown maas.
    let displaced = |event: &Event| matches!(event, Event::Revoked(..)).then_some(());
    let taken = |event: &Event| matches!(event, Event::Taken(_, taken) if taken.talker.identity == maas.identity).then_some(());
    let (told_off, told_who) = tokio::join!(told(lux, mark, displaced), told(far, shown, taken));
    let settled = both(told_off.map(|(at, ())| at), told_who.map(|(at, ())| at));
    let took = settled.map(|at| at.saturating_duration_since(agreed));
    sheet.time(at, ONE_TALKER, took);
    lux.release().await;
    end(world, maas).await;
    sleep(FORGOTTEN).await;
    took
}

/// Heals of borders of any length without loss.
pub(crate) fn heals(seed: u64, sheet: &mut Sheet) {
    play(seed, async |world| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (mut maas, near) = (world.radio("nl", "maas-12").await, world.radio("nl", "maas-13").await);
        let (mut lux, far) = (world.radio("be", "lux-1").await, world.radio("be", "lux-2").await);
        let delay = ms(rng.random_range(1..=150));
        border_over(world, Link::delayed(delay));
        for _ in 0..2 {
            sleep(ms(2_000 + rng.random_range(0..500))).await;
            let took = heal(world, [&mut maas, &mut lux], [&near, &far], "border of 2 to 300 ms", sheet).await;
            sheet.time("border of 2 to 300 ms", BEYOND_RTT, took.map(|took| took.saturating_sub(delay * 2)));
        }
    });
    sheet.limit("border of 2 to 300 ms", BEYOND_RTT, Max, AtMost(ONE_TALKER_MS));
}

// === Alarms ===

/// Ten minutes of 30 % loss at the border: nobody may say that it is gone. With losses in bursts that is only shown.
pub(crate) fn alarms(seed: u64, sheet: &mut Sheet) {
    let lossy = Link::delayed(ms(20));
    for (at, link) in [("30 % loss", lossy.losing(0.30)), ("30 % loss in bursts of 3", lossy.bursty(Burst::losing(0.30, 3.0)))] {
        play(seed, async |world| {
            let units = [world.radio("nl", "maas-12").await, world.radio("be", "lux-1").await];
            border_over(world, link);
            sleep(Duration::from_secs(600)).await;
            let away = |unit: &Radio| {
                unit.lines().iter().filter(|line| line.starts_with("Handset(FarSide") && line.contains("present: false")).count()
            };
            let ended: usize = ["nl", "be"].map(|code| records(world, code, RecordKind::Session, |text| text != "began")).iter().sum();
            let count = |count: usize| [f64::from(u32::try_from(count).expect("few"))];
            sheet.add(at, LINKS_LOST, count(ended));
            sheet.add(at, AWAY, count(units.iter().map(away).sum()));
        });
    }
    sheet.limit("30 % loss", LINKS_LOST, Sum, AtMost(0.0));
    sheet.limit("30 % loss", AWAY, Sum, AtMost(0.0));
}

// === Flapping ===

/// A border that is up and down for 1 to 5 s each, for two minutes. A change of view is what a unit is told of the far side.
pub(crate) fn flapping(seed: u64, sheet: &mut Sheet) {
    const AT: &str = "up and down for 1 to 5 s each";
    const FLAPS: Duration = Duration::from_secs(120);
    play(seed, async |world| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let units = [world.radio("nl", "maas-12").await, world.radio("be", "lux-1").await];
        let (marks, began) = (units.each_ref().map(Radio::mark), Instant::now());
        while began.elapsed() < FLAPS {
            world.cut();
            sleep(ms(rng.random_range(1_000..=5_000))).await;
            world.heal();
            sleep(ms(rng.random_range(1_000..=5_000))).await;
        }
        let lasted = began.elapsed();
        for (unit, mark) in units.iter().zip(marks) {
            let changes = view_changes(unit, mark);
            let per_3_s = f64::from(u32::try_from(changes.len()).expect("few")) * 3.0 / lasted.as_secs_f64();
            sheet.add(AT, CHANGES, [per_3_s]);
            let in_30_s = |from: &Instant| changes.iter().filter(|(at, _)| (*from..*from + ms(30_000)).contains(at)).count();
            let most = changes.iter().map(|(at, _)| in_30_s(at)).max().unwrap_or(0);
            sheet.add(AT, CHANGES_30, [f64::from(u32::try_from(most).expect("few"))]);
            let back_to_away = changes.windows(2).filter(|pair| pair[0].1).map(|pair| pair[1].0 - pair[0].0);
            if let Some(shortest) = back_to_away.min() {
                sheet.time(AT, SHORTEST, Some(shortest));
            }
        }
        world.until("the border is back", World::is_whole).await;
    });
    sheet.limit(AT, CHANGES, Max, AtMost(1.0));
    // Ten changes in half a minute are one per 3 s.
    sheet.limit(AT, CHANGES_30, Max, AtMost(10.0));
}

/// What a unit was told of the far side: when, and whether it is there.
fn view_changes(unit: &Radio, mark: usize) -> Vec<(Instant, bool)> {
    let log = unit.log.lock().expect("no panic");
    let far_side = log.events.iter().skip(mark).filter_map(|happened| match &happened.what {
        client::What::Handset(Event::FarSide(far)) => Some((Instant::from_std(happened.at), far.present)),
        client::What::Handset(_)
        | client::What::Mail(_)
        | client::What::Disconnected(_)
        | client::What::Refused { .. }
        | client::What::Ended(..) => None,
    });
    let mut changes: Vec<(Instant, bool)> = Vec::new();
    for (at, present) in far_side {
        // Only what is news to the user.
        if changes.last().map_or(!present, |(_, last)| *last != present) {
            changes.push((at, present));
        }
    }
    changes
}
