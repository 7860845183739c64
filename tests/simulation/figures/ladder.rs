//! Every figure of a rung: the same scenes over one kind of link after the other.

use engine::handset::Event;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};
use wire::Tier;

use super::border::{self, NOTICED_BOTH, NOTICED_IN, NOTICED_MS, NOTICED_OUT, ONE_TALKER, ONE_TALKER_MS};
use super::rungs::{Rung, ladder};
use super::sheet::Limit::{AtLeast, AtMost};
use super::sheet::Stat::{Max, Mean, P50, P95, P99};
use super::sheet::{Kind, Sheet, Unit};
use super::stage::{all_over, border_over, end, granted, ms, play, played, press, told};
use crate::support::World;
use crate::support::radio::Radio;

const fn times(name: &'static str, stats: &'static [super::sheet::Stat]) -> Kind {
    Kind { name, unit: Unit::Ms, stats }
}

const fn share(name: &'static str) -> Kind {
    Kind { name, unit: Unit::Percent, stats: &[Mean] }
}

const LOCAL: Kind = times("press to grant, at the home", &[P50, P95, P99]);
pub(crate) const ACROSS: Kind = times("press to grant, across the border", &[P50, P95, P99]);
const EMERGENCY: Kind = times("emergency grant, across the border", &[P99]);
const OWN_SIDE: Kind = share("... of these, on the own side only");
const MOUTH_TO_EAR: Kind = times("mouth to ear, across the border", &[P50, P95]);
const LATE: Kind = times("late entry: affiliated to first sound", &[P50, P95]);
const IN_TIME: Kind = share("frames in time");
const FIRST: Kind = share("spurts whose first frame is lost");
const LAST: Kind = share("spurts whose last frame is lost");
const FREED: Kind = times("floor of a killed talker freed", &[P50, P95, Max]);

/// Presses of each kind in one seed.
const PRESSES: usize = 10;
/// Spurts and joins.
const SPURTS: usize = 8;
/// Talkers killed.
const KILLED: usize = 3;
/// Points below what loss alone explains.
const POINTS: f64 = 0.5;

/// All rungs.
pub(crate) fn climb(seed: u64, sheet: &mut Sheet) {
    ladder().iter().for_each(|rung| step(rung, seed, sheet));
}

/// One rung.
pub(crate) fn step(rung: &Rung, seed: u64, sheet: &mut Sheet) {
    access(rung, seed, sheet);
    voice(rung, seed, sheet);
    deaths(rung, seed, sheet);
    splits(rung, seed, sheet);
    let (name, limits) = (rung.name, rung.limits);
    for (kind, stat, limit) in [
        (ACROSS, P95, limits.grant_ms.map(AtMost)),
        (EMERGENCY, P99, limits.emergency_ms.map(AtMost)),
        (MOUTH_TO_EAR, P95, limits.mouth_to_ear_ms.map(AtMost)),
        // Three links lie between a mouth and an ear abroad.
        (IN_TIME, Mean, limits.loss.map(|loss| AtLeast((1.0 - loss).powi(3) * 100.0 - POINTS))),
        (FIRST, Mean, (name == "fibre").then_some(AtMost(1.0))),
        (LAST, Mean, (name == "fibre").then_some(AtMost(1.0))),
        (FREED, P95, limits.freed.then_some(AtMost(1_500.0))),
        (NOTICED_BOTH, Max, Some(AtMost(NOTICED_MS))),
        (NOTICED_OUT, Max, Some(AtMost(NOTICED_MS))),
        (NOTICED_IN, Max, Some(AtMost(NOTICED_MS))),
        // With loss it takes as long as the retransmission of what was lost.
        (ONE_TALKER, Max, (limits.loss == Some(0.0)).then_some(AtMost(rtt_ms(rung) + ONE_TALKER_MS))),
    ] {
        if let Some(limit) = limit {
            sheet.limit(name, kind, stat, limit);
        }
    }
}

/// The longest round trip of one link.
fn rtt_ms(rung: &Rung) -> f64 {
    (rung.link.delay + rung.link.jitter).as_secs_f64() * 2_000.0
}

async fn pause(rng: &mut SmallRng) {
    sleep(ms(rng.random_range(100..600))).await;
}

/// Presses at the partner and at the home, one after the other; nobody else talks.
fn access(rung: &Rung, seed: u64, sheet: &mut Sheet) {
    play(seed, async |world| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut radios = [world.radio("nl", "maas-12").await, world.radio("be", "lux-1").await];
        all_over(world, rung.link);
        sleep(ms(2_000)).await;
        for _ in 0..PRESSES {
            for (who, tier, kind) in [(0, Tier::Normal, LOCAL), (1, Tier::Normal, ACROSS), (1, Tier::Emergency, EMERGENCY)] {
                let radio = &mut radios[who];
                pause(&mut rng).await;
                let grant = press(radio, tier).await;
                sheet.time(rung.name, kind, grant.as_ref().map(|(took, _)| *took));
                if tier == Tier::Emergency {
                    let own_side = grant.is_some_and(|(_, grant)| grant.own_side_only);
                    sheet.add(rung.name, OWN_SIDE, [f64::from(u8::from(own_side)) * 100.0]);
                }
                end(world, radio).await;
            }
        }
    });
}

/// Spurts at the home, heard by a unit of the partner from the start, and by another that joins in the middle.
fn voice(rung: &Rung, seed: u64, sheet: &mut Sheet) {
    play(seed, async |world| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut maas = world.radio("nl", "maas-12").await;
        let (lux, late) = (world.radio("be", "lux-1").await, world.radio("be", "lux-2").await);
        all_over(world, rung.link);
        sleep(ms(2_000)).await;
        let (mut said_granted, mut heard_granted, mut clipped) = (0, 0, Vec::new());
        for _ in 0..SPURTS {
            pause(&mut rng).await;
            late.hand.leave(late.talkgroup()).await;
            let (first, mark) = (maas.said() + 1, maas.mark());
            press(&mut maas, Tier::Normal).await;
            sleep(ms(1_000)).await;
            late_entry(&late, &maas, rung, sheet).await;
            sleep(ms(8_000)).await;
            let last = maas.said();
            end(world, &mut maas).await;
            // What is on the way, and what waits in a jitter buffer.
            sleep(rung.link.delay * 3 + ms(1_500)).await;
            let heard = played(&lux, &maas);
            clipped.push([first, last].map(|frame| !heard.contains(&frame)));
            // Of what was spoken before the grant, only 300 ms are kept.
            if let Some((since, _)) = granted(&maas, mark).await {
                let spoken = (first..=last).filter(|frame| maas.said_at(*frame).is_some_and(|at| at >= since));
                let (heard, lost): (Vec<u32>, Vec<u32>) = spoken.partition(|frame| heard.contains(frame));
                (said_granted, heard_granted) = (said_granted + heard.len() + lost.len(), heard_granted + heard.len());
            }
        }
        let percent = |part: usize, of: usize| {
            let [part, of] = [part, of].map(|count| f64::from(u32::try_from(count).expect("few")));
            part * 100.0 / of
        };
        let delays = lux.mouth_to_ear(&maas);
        sheet.add(rung.name, MOUTH_TO_EAR, delays.iter().map(|delay| delay.as_secs_f64() * 1_000.0));
        sheet.add(rung.name, IN_TIME, [percent(heard_granted, said_granted)]);
        for (edge, kind) in [FIRST, LAST].into_iter().enumerate() {
            sheet.add(rung.name, kind, clipped.iter().map(|edges| f64::from(u8::from(edges[edge])) * 100.0));
        }
    });
}

/// A unit joins while somebody talks.
async fn late_entry(late: &Radio, talker: &Radio, rung: &Rung, sheet: &mut Sheet) {
    let mark = late.mark();
    late.hand.join(late.talkgroup()).await;
    let affiliated = told(late, mark, |event| matches!(event, Event::Affiliated(_)).then_some(())).await;
    let Some((since, ())) = affiliated else { return sheet.time(rung.name, LATE, None) };
    let by = Instant::now() + ms(2_000);
    let heard = loop {
        let first = late.first_heard(talker, since);
        if first.is_some() || Instant::now() > by {
            break first;
        }
        sleep(ms(20)).await;
    };
    sheet.time(rung.name, LATE, heard.map(|at| at - since));
}

/// Talkers of the partner die with the floor in hand; one of the home waits for it.
fn deaths(rung: &Rung, seed: u64, sheet: &mut Sheet) {
    play(seed, async |world| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut maas = world.radio("nl", "maas-12").await;
        let mut talkers = Vec::new();
        for number in 0..KILLED {
            talkers.push(world.radio("be", &format!("lux-{number}")).await);
        }
        all_over(world, rung.link);
        sleep(ms(2_000)).await;
        for mut lux in talkers {
            press(&mut lux, Tier::Normal).await;
            pause(&mut rng).await;
            let mark = maas.mark();
            maas.press().await;
            told(&maas, mark, |event| matches!(event, Event::Queued(..)).then_some(())).await;
            pause(&mut rng).await;
            let killed = Instant::now();
            lux.kill(&world.net);
            sheet.time(rung.name, FREED, granted(&maas, mark).await.map(|(at, _)| at - killed));
            end(world, &mut maas).await;
        }
    });
}

/// The border alone goes over the link, is cut, and heals; units stand beside their gateways.
fn splits(rung: &Rung, seed: u64, sheet: &mut Sheet) {
    play(seed, async |world: &mut World| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (mut maas, near) = (world.radio("nl", "maas-12").await, world.radio("nl", "maas-13").await);
        let (mut lux, far) = (world.radio("be", "lux-1").await, world.radio("be", "lux-2").await);
        border_over(world, rung.link);
        sleep(ms(2_000)).await;
        border::cuts(world, &near, &far, rung.name, &mut rng, sheet).await;
        sleep(ms(31_000)).await;
        border::heal(world, [&mut maas, &mut lux], [&near, &far], rung.name, sheet).await;
    });
}
