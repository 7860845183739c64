//! How many spurts a border link carries, and which of those that want to cross it do.
//!
//! Beside the data path: the link's scheduler orders what is sent and drops what is late; here it is decided how much is sent at
//! all, so that what was admitted loses nothing. Pure functions: the hub says which spurts there are, and carries out the answer.
//!
//! # What a link carries
//! Everything is counted in IP bytes, payload and 70, and nine tenths of the provisioned rate are paced out (see
//! [`Bucket`](crate::sched::Bucket)): `rate_kbps` x 112.5 bytes a second.
//!
//! | what | bytes a second |
//! |---|---|
//! | a spurt: 50 frames of 10 bytes of header, 60 of Opus (24 kbit/s, the most that ours send), 70 around it | 7,000 |
//! | its control: it is granted or taken, and over, and both ways answered, say 600 bytes in 3 s | 200 |
//! | the link itself: a heartbeat of 9 bytes every 100 ms | 790 |
//! | kept free: for requests that are refused or wait, for reports of loss, and for the 300 ms with which a spurt may begin at once | 1,000 |
//!
//! So a link carries `(rate x 112.5 - 1,790) / 7,200` spurts: 1 at 128 kbit/s, 3 at 256, 7 at 512, 15 at 1,000. Never fewer than one:
//! whoever bridges talkgroups over a thinner link wants to hear something, and `check` warns of it.
//!
//! # Repeats
//! Spurts are counted without [repeats](crate::loss), which cost 63 bytes a frame, 3,150 a second: they get what the spurts that cross
//! leave, those of emergencies first, then of imminent peril, and inside a tier all alike. So a new spurt takes the repeats of the others,
//! never the other way round.
//!
//! # Who crosses
//! A tier, not a level, decides between talkgroups: levels belong to the talkgroup that gives them. An emergency always crosses. Imminent
//! peril goes before normal spurts, under way or not, but not before another peril. A normal spurt begins only where there is room.
//! Whoever has to give way is of the lowest tier, then of the lowest rank and level, then the youngest, which has been heard least; and
//! who comes back first is the opposite. Inside a tier nobody who crosses gives way to somebody who does not.

use std::cmp::Reverse;
use std::time::Instant;

use wire::{Priority, Tier};

use crate::sched::{self, OVERHEAD_BYTES};

/// Frames of a spurt, a second.
const FRAMES: u64 = 50;
/// Bytes of a voice frame's header.
const HEADER_BYTES: u64 = 10;
/// Bytes of Opus in a frame: 20 ms at 24 kbit/s.
const OPUS_BYTES: u64 = 60;
/// Bytes around a repeat in a frame.
const REPEAT_BYTES: u64 = 3;
/// Floor control for a spurt, bytes a second.
const SPURT_CONTROL: u64 = 200;
/// Heartbeats a second, and the bytes of one.
const HEARTBEATS: u64 = 10;
const HEARTBEAT_BYTES: u64 = 9;
/// What is kept free, bytes a second.
const RESERVE: u64 = 1_000;

/// How many spurts a link of that rate carries. 0 kbit/s is a link without a limit.
pub fn spurts(rate_kbps: u32) -> usize {
    if rate_kbps == 0 {
        return usize::MAX;
    }
    usize::try_from(budget(rate_kbps) / spurt_cost()).unwrap_or(usize::MAX).max(1)
}

/// Bytes a second that a link has for spurts.
fn budget(rate_kbps: u32) -> u64 {
    let fixed = HEARTBEATS * (HEARTBEAT_BYTES + overhead()) + RESERVE;
    (u64::from(rate_kbps) * sched::HALF_BYTES_PER_KBPS / 2).saturating_sub(fixed)
}

fn spurt_cost() -> u64 {
    FRAMES * (HEADER_BYTES + OPUS_BYTES + overhead()) + SPURT_CONTROL
}

fn overhead() -> u64 {
    u64::try_from(OVERHEAD_BYTES).unwrap_or(u64::MAX)
}

/// How many repeats, of those that are wanted, the frames of a tier may carry on a link of that rate that these spurts cross.
pub fn repeats(rate_kbps: u32, wanted: u8, crossing: &[Tier], of: Tier) -> u8 {
    if rate_kbps == 0 {
        return wanted;
    }
    let all = u64::try_from(crossing.len()).unwrap_or(u64::MAX);
    let mut left = budget(rate_kbps).saturating_sub(all.saturating_mul(spurt_cost()));
    let cost = FRAMES * (OPUS_BYTES + REPEAT_BYTES);
    let mut granted = 0;
    for tier in [Tier::Emergency, Tier::Peril, Tier::Normal].into_iter().filter(|tier| *tier >= of) {
        let spurts = u64::try_from(crossing.iter().filter(|crossing| **crossing == tier).count()).unwrap_or(u64::MAX).max(1);
        granted = u8::try_from(left / (spurts * cost)).unwrap_or(u8::MAX).min(wanted);
        if crossing.contains(&tier) {
            left -= u64::from(granted) * spurts * cost;
        }
    }
    granted
}

/// A spurt that wants to cross a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Its effective priority.
    pub priority: Priority,
    /// Since when it lasts.
    pub since: Instant,
    /// Whether it crosses now; else it is suspended.
    pub passes: bool,
}

/// Which of the spurts cross a link that carries so many, by their places.
pub fn allot(capacity: usize, crossings: &[Crossing]) -> Vec<bool> {
    let mut order: Vec<(usize, &Crossing)> = crossings.iter().enumerate().collect();
    order.sort_by_key(|(place, crossing)| (Reverse((crossing.priority.tier, crossing.passes, crossing.priority)), crossing.since, *place));
    let mut passes = vec![false; crossings.len()];
    for (rank, (place, crossing)) in order.into_iter().enumerate() {
        if let Some(passes) = passes.get_mut(place) {
            *passes = rank < capacity || crossing.priority.tier == Tier::Emergency;
        }
    }
    passes
}

/// The highest tier for which a link has no room beside the spurts of these tiers; suspended ones count, for they come back first.
pub fn full_for(capacity: usize, others: impl Iterator<Item = Tier> + Clone) -> Option<Tier> {
    [Tier::Peril, Tier::Normal].into_iter().find(|tier| others.clone().filter(|other| other >= tier).count() >= capacity)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
    fn epoch() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_link_carries_what_the_page_says() {
        let carried = [64, 128, 191, 192, 256, 512, 1_000, 10_000_000].map(spurts);
        assert_eq!(carried, [1, 1, 2, 2, 3, 7, 15, 156_249]);
        assert_eq!(spurts(0), usize::MAX);
    }

    #[test]
    fn repeats_get_what_the_spurts_leave_emergencies_first() {
        use Tier::{Emergency, Normal, Peril};
        let of = |rate, wanted, crossing: &[Tier]| [Emergency, Peril, Normal].map(|tier| repeats(rate, wanted, crossing, tier));
        assert_eq!(of(512, 2, &[Normal; 4]), [2, 2, 2]);
        assert_eq!(of(512, 1, &[Normal; 4]), [1, 1, 1]);
        assert_eq!(of(512, 2, &[Normal; 5])[2], 1);
        assert_eq!(of(512, 2, &[Normal; 7])[2], 0, "a full link repeats nothing");
        assert_eq!(of(256, 2, &[Emergency, Normal]), [2, 2, 2]);
        assert_eq!(of(256, 2, &[Emergency, Normal, Normal]), [1, 0, 0]);
        assert_eq!(of(256, 2, &[Emergency, Peril, Normal]), [1, 0, 0]);
        assert_eq!(of(256, 2, &[Emergency; 4])[0], 0, "emergencies cross a link that is too thin for them, and nothing more");
        assert_eq!(of(0, 2, &[Normal; 100]), [2, 2, 2], "a link without a limit");
    }

    #[test]
    fn what_is_carried_fits_with_what_is_kept_free() {
        for rate in 80..2_000 {
            let used = u64::try_from(spurts(rate)).unwrap() * 7_200 + 1_790;
            let budget = u64::from(rate) * 225 / 2;
            assert!(used <= budget, "{rate} kbit/s: {used} of {budget}");
            assert!(used + 7_200 > budget, "{rate} kbit/s could carry one more");
        }
    }

    /// Spurts by tier, level, second of their beginning, and whether they cross.
    fn crossings(of: &[(Tier, u8, u64, bool)]) -> Vec<Crossing> {
        let start = epoch();
        let crossing = |(tier, level, second, passes): &(Tier, u8, u64, bool)| Crossing {
            priority: Priority { tier: *tier, ..Priority::normal(*level) },
            since: start + Duration::from_secs(*second),
            passes: *passes,
        };
        of.iter().map(crossing).collect()
    }

    #[test]
    fn the_lowest_then_the_youngest_gives_way_and_the_highest_then_the_oldest_returns() {
        use Tier::{Emergency, Normal, Peril};
        // An emergency on a full link.
        assert_eq!(
            allot(2, &crossings(&[(Normal, 16, 1, true), (Normal, 16, 0, true), (Emergency, 0, 9, true)])),
            [false, true, true],
            "the youngest"
        );
        assert_eq!(
            allot(2, &crossings(&[(Normal, 16, 1, true), (Normal, 8, 0, true), (Emergency, 0, 9, true)])),
            [true, false, true],
            "the lowest level"
        );
        assert_eq!(
            allot(2, &crossings(&[(Peril, 0, 9, true), (Normal, 99, 0, true), (Emergency, 0, 9, true)])),
            [true, false, true],
            "the lowest tier"
        );
        // Room again.
        let waiting = [(Normal, 16, 1, false), (Normal, 16, 0, false), (Normal, 32, 5, false)];
        assert_eq!(allot(1, &crossings(&waiting)), [false, false, true]);
        assert_eq!(allot(1, &crossings(&waiting[..2])), [false, true]);
        assert_eq!(allot(9, &crossings(&waiting)), [true; 3]);
    }

    #[test]
    fn inside_a_tier_nobody_takes_the_place_of_somebody_who_crosses() {
        use Tier::{Emergency, Normal, Peril};
        assert_eq!(allot(1, &crossings(&[(Normal, 1, 9, true), (Normal, 200, 0, false)])), [true, false]);
        assert_eq!(allot(1, &crossings(&[(Normal, 200, 0, true), (Peril, 1, 9, false)])), [false, true], "a raise does");
        assert_eq!(allot(1, &crossings(&[(Emergency, 1, 0, true), (Emergency, 1, 9, false)])), [true; 2], "emergencies always");
    }

    #[test]
    fn a_link_is_full_for_a_tier_when_that_and_the_higher_ones_fill_it() {
        use Tier::{Emergency, Normal, Peril};
        let full = |others: &[Tier]| full_for(2, others.iter().copied());
        assert_eq!((full(&[]), full(&[Normal])), (None, None));
        assert_eq!(full(&[Normal, Peril]), Some(Normal));
        assert_eq!(full(&[Normal, Peril, Emergency]), Some(Peril));
    }
}
