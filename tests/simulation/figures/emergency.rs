//! Emergency grants through loss: a short scene, meant for ten thousand seeds.

use testkit::Link;
use tokio::time::sleep;
use wire::Tier;

use super::sheet::Limit::AtMost;
use super::sheet::Stat::{Max, P50, P95, P99, Sum};
use super::sheet::{Kind, Sheet, Unit};
use super::stage::{all_over, end, ms, play, press};

/// What the unit was told: by its gateway for its own side, or for all.
const LOCAL: Kind = Kind { name: "press to grant, at the home", unit: Unit::Ms, stats: &[P50, P95, P99, Max] };
pub(crate) const ACROSS: Kind = Kind { name: "press to grant, at the partner", unit: Unit::Ms, stats: &[P50, P95, P99, Max] };
const BY_ALL: Kind = Kind { name: "granted by all sides", unit: Unit::Count, stats: &[Sum] };
const OWN_SIDE: Kind = Kind { name: "granted on the own side only", unit: Unit::Count, stats: &[Sum] };

/// Loss on every link, of units and across the border, and what the slowest of a hundred may take.
const LOSSES: [(&str, f64, f64); 2] = [("10 % loss", 0.10, 500.0), ("30 % loss", 0.30, 1_500.0)];

/// An emergency at the partner and one at the home, through each loss.
pub(crate) fn emergency(seed: u64, sheet: &mut Sheet) {
    play(seed, async |world| {
        let (mut lux, mut maas) = (world.radio("be", "lux-1").await, world.radio("nl", "maas-12").await);
        for (at, loss, limit) in LOSSES {
            all_over(world, Link::delayed(ms(20)).losing(loss));
            for (radio, kind) in [(&mut lux, ACROSS), (&mut maas, LOCAL)] {
                // No two seeds press at the same moment of heartbeats and timers.
                sleep(ms(seed % 100)).await;
                let grant = press(radio, Tier::Emergency).await;
                sheet.time(at, kind, grant.as_ref().map(|(took, _)| *took));
                sheet.limit(at, kind, P99, AtMost(limit));
                let own_side = grant.is_some_and(|(_, grant)| grant.own_side_only);
                sheet.add(at, BY_ALL, [f64::from(u8::from(!own_side))]);
                sheet.add(at, OWN_SIDE, [f64::from(u8::from(own_side))]);
                end(world, radio).await;
            }
        }
    });
}
