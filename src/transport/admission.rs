//! Who may begin a handshake on a port: facts and the time in, a decision out.
//!
//! Stands before every TLS computation. Whoever can send packets can ask for handshakes, under addresses that are not his; so
//! an address that has not proven itself costs a port little, one that has costs its neighbours little, and all of them
//! together cost the voice thread a bounded share of a core. No socket and no clock in here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Handshakes at the same time. One costs about 1.5 ms of a core, so 64 bound the delay of voice to 0.1 s of work.
pub const HANDSHAKES_MAX: usize = 64;
/// Of these, begun by addresses that have not proven themselves. Forged ones never answer and hold their place until the
/// time-out; a retry, one round trip more, sorts them out.
pub const UNPROVEN_MAX: usize = 32;
/// Of these, begun by proven addresses of one prefix.
pub const PREFIX_MAX: usize = 32;

/// Handshakes of a port: 200 a second are at most 30 % of a core. Its burst is above those of its parts, so that none takes it whole.
const ALL: Pace = Pace { every: Duration::from_millis(5), burst: 128 };
/// Handshakes without proof: enough for any quiet day.
const UNPROVEN: Pace = Pace { every: Duration::from_millis(20), burst: 100 };
/// Handshakes of one prefix: half of the port's. A fleet behind one address translator comes back at this pace.
const PREFIX: Pace = Pace { every: Duration::from_millis(10), burst: 64 };
/// Prefixes remembered before those at rest are forgotten. More than that cannot be busy: all together begin 200 handshakes
/// a second, and a prefix is at rest again a second after its last one.
const PREFIXES_KEPT: usize = 512;
/// How often callers turned away are told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What is known of a caller before a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Where its packet says it comes from.
    pub from: IpAddr,
    /// Whether a packet sent there was answered.
    pub proven: bool,
}

/// What to do with a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Begin; give the [`Place`] back when it is over.
    Begin(Place),
    /// Ask for proof of the address first.
    Retry,
    /// Say that there is no room.
    Refuse,
    /// Say nothing.
    Ignore,
}

/// What a handshake under way counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// `None`: not proven.
    prefix: Option<Prefix>,
}

/// Callers that were turned away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// Asked for proof.
    pub retried: u64,
    /// Told that there is no room.
    pub refused: u64,
    /// Strangers, told nothing.
    pub ignored: u64,
}

/// The rules of one port and what they count.
#[derive(Debug, Default)]
pub struct Admission {
    /// If set, only callers from these prefixes are heard.
    neighbours: Option<Vec<Prefix>>,
    all: Meter,
    unproven: Meter,
    prefixes: BTreeMap<Prefix, Meter>,
    turned: Turned,
    told: Option<Instant>,
}

impl Admission {
    /// Hears only callers from the prefixes of these addresses; `None` hears everybody.
    pub fn set_neighbours(&mut self, addresses: Option<&[IpAddr]>) {
        self.neighbours = addresses.map(|addresses| addresses.iter().copied().map(Prefix::of).collect());
    }

    /// Judges a caller.
    pub fn judge(&mut self, caller: Caller, now: Instant) -> Decision {
        let decision = self.weigh(caller, now);
        match decision {
            Decision::Begin(_) => {}
            Decision::Retry => self.turned.retried += 1,
            Decision::Refuse => self.turned.refused += 1,
            Decision::Ignore => self.turned.ignored += 1,
        }
        decision
    }

    fn weigh(&mut self, caller: Caller, now: Instant) -> Decision {
        let prefix = Prefix::of(caller.from);
        if self.neighbours.as_ref().is_some_and(|neighbours| !neighbours.contains(&prefix)) {
            return Decision::Ignore;
        }
        let room = self.all.has_room(ALL, HANDSHAKES_MAX, now);
        if !caller.proven {
            // Not counted against the prefix: a forger would lock out whomever he names.
            if !room || !self.unproven.has_room(UNPROVEN, UNPROVEN_MAX, now) {
                return Decision::Retry;
            }
            self.unproven.begin(UNPROVEN, now);
            self.all.begin(ALL, now);
            return Decision::Begin(Place { prefix: None });
        }
        if !room || self.prefixes.get(&prefix).is_some_and(|meter| !meter.has_room(PREFIX, PREFIX_MAX, now)) {
            return Decision::Refuse;
        }
        if self.prefixes.len() >= PREFIXES_KEPT {
            self.prefixes.retain(|_, meter| !meter.is_at_rest(now));
        }
        self.prefixes.entry(prefix).or_default().begin(PREFIX, now);
        self.all.begin(ALL, now);
        Decision::Begin(Place { prefix: Some(prefix) })
    }

    /// A handshake is over, whatever came of it.
    pub fn end(&mut self, place: Place) {
        self.all.end();
        match place.prefix {
            None => self.unproven.end(),
            Some(prefix) => {
                if let Some(meter) = self.prefixes.get_mut(&prefix) {
                    meter.end();
                }
            }
        }
    }

    /// Who was turned away since the last report, if one is due: at most every 10 s.
    pub fn report(&mut self, now: Instant) -> Option<Turned> {
        if self.turned == Turned::default() || self.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.turned))
    }
}

/// How many handshakes may begin: one each `every`, so many at once after a rest.
#[derive(Clone, Copy, Debug)]
struct Pace {
    every: Duration,
    burst: u32,
}

/// Handshakes that count together: those under way, and the moment at which their pace is used up.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    under_way: usize,
    spent_until: Option<Instant>,
}

impl Meter {
    fn has_room(&self, pace: Pace, most: usize, now: Instant) -> bool {
        let ahead = self.spent_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        self.under_way < most && ahead + pace.every <= pace.every * pace.burst
    }

    fn begin(&mut self, pace: Pace, now: Instant) {
        self.under_way += 1;
        self.spent_until = Some(self.spent_until.map_or(now, |until| until.max(now)) + pace.every);
    }

    fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn is_at_rest(&self, now: Instant) -> bool {
        self.under_way == 0 && self.spent_until.is_none_or(|until| until <= now)
    }
}

/// The network that an address is in, as far as one guesses from outside: /24 of IPv4, /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Prefix(IpAddr);

impl Prefix {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & 0xffff_ff00).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven(from: &str) -> Caller {
        Caller { from: from.parse().unwrap(), proven: true }
    }

    fn unproven(from: &str) -> Caller {
        Caller { from: from.parse().unwrap(), proven: false }
    }

    /// How many of `count` equal callers may begin, each over at once.
    fn begun(admission: &mut Admission, caller: Caller, count: usize, now: Instant) -> usize {
        let begins = |admission: &mut Admission| match admission.judge(caller, now) {
            Decision::Begin(place) => {
                admission.end(place);
                true
            }
            Decision::Retry | Decision::Refuse | Decision::Ignore => false,
        };
        (0..count).filter(|_| begins(admission)).count()
    }

    #[test]
    fn a_quiet_day_needs_no_proof() {
        let (mut admission, start) = (Admission::default(), Instant::now());
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            assert_eq!(begun(&mut admission, unproven("192.0.2.7"), 40, now), 40);
        }
        assert_eq!(admission.report(start), None);
    }

    #[test]
    fn a_flood_without_proof_is_asked_for_it_and_the_proven_get_in() {
        let (mut admission, start) = (Admission::default(), Instant::now());
        let mut begun_unproven = 0;
        for millisecond in 0..5_000_u32 {
            let now = start + Duration::from_millis(u64::from(millisecond));
            for number in 0..5 {
                let from = IpAddr::from((millisecond * 5 + number).to_be_bytes());
                match admission.judge(Caller { from, proven: false }, now) {
                    // Forged: never over before the time-out.
                    Decision::Begin(_) => begun_unproven += 1,
                    Decision::Retry => {}
                    other @ (Decision::Refuse | Decision::Ignore) => panic!("{other:?}"),
                }
            }
            if millisecond % 100 == 0 {
                assert_eq!(begun(&mut admission, proven("198.51.100.1"), 1, now), 1, "after {millisecond} ms");
            }
        }
        assert_eq!(begun_unproven, UNPROVEN_MAX);
        assert_eq!(admission.report(start).map(|turned| turned.retried), Some(25_000 - UNPROVEN_MAX as u64));
    }

    #[test]
    fn a_prefix_that_floods_leaves_half_to_the_others() {
        let (mut admission, start) = (Admission::default(), Instant::now());
        let (mut loud, mut clean) = (0, 0);
        for millisecond in 0..5_000 {
            let now = start + Duration::from_millis(millisecond);
            loud += begun(&mut admission, proven("203.0.113.9"), 5, now);
            if millisecond % 20 == 0 {
                clean += begun(&mut admission, proven("198.51.100.1"), 1, now);
            }
        }
        assert_eq!(clean, 250, "every one of 50 a second");
        assert!((500..=565).contains(&loud), "{loud} in 5 s");
    }

    #[test]
    fn places_held_by_one_prefix_leave_room_for_others() {
        let (mut admission, now) = (Admission::default(), Instant::now());
        let held: Vec<Decision> = (0..PREFIX_MAX).map(|_| admission.judge(proven("203.0.113.9"), now)).collect();
        assert!(held.iter().all(|decision| matches!(decision, Decision::Begin(_))));
        assert_eq!(admission.judge(proven("203.0.113.200"), now), Decision::Refuse, "of the same /24");
        assert_eq!(begun(&mut admission, proven("203.0.114.9"), 1, now), 1);
        let Decision::Begin(place) = held[0] else { panic!() };
        admission.end(place);
        assert_eq!(begun(&mut admission, proven("203.0.113.200"), 1, now), 1);
    }

    #[test]
    fn all_together_begin_two_hundred_a_second() {
        let (mut admission, start) = (Admission::default(), Instant::now());
        let mut begun_in = 0;
        for millisecond in 0..5_000_u64 {
            let now = start + Duration::from_millis(millisecond);
            for number in 0..4 {
                let address = format!("10.{number}.{}.1", millisecond % 50);
                begun_in += begun(&mut admission, proven(&address), 1, now);
            }
        }
        assert!((1_000..=1_128).contains(&begun_in), "{begun_in} in 5 s");
        assert!(admission.prefixes.len() <= PREFIXES_KEPT, "{}", admission.prefixes.len());
    }

    #[test]
    fn prefixes_at_rest_are_forgotten() {
        let (mut admission, start) = (Admission::default(), Instant::now());
        for number in 0..20_000_u32 {
            let caller = Caller { from: IpAddr::from((number << 8).to_be_bytes()), proven: true };
            assert_eq!(begun(&mut admission, caller, 1, start + Duration::from_millis(u64::from(number) * 5)), 1);
        }
        assert!(admission.prefixes.len() <= PREFIXES_KEPT, "{}", admission.prefixes.len());
    }

    #[test]
    fn strangers_are_ignored_where_only_neighbours_call() {
        let (mut admission, now) = (Admission::default(), Instant::now());
        let known: [IpAddr; 2] = ["192.0.2.10".parse().unwrap(), "2001:db8:1:2::10".parse().unwrap()];
        admission.set_neighbours(Some(&known));
        for near in ["192.0.2.200", "2001:db8:1:2:ffff::1", "::ffff:192.0.2.1"] {
            assert_eq!(begun(&mut admission, unproven(near), 1, now), 1, "{near}");
        }
        for stranger in ["192.0.3.10", "2001:db8:1:3::10"] {
            assert_eq!(admission.judge(unproven(stranger), now), Decision::Ignore, "{stranger}");
            assert_eq!(admission.judge(proven(stranger), now), Decision::Ignore, "{stranger}");
        }
        assert_eq!(admission.report(now), Some(Turned { ignored: 4, ..Turned::default() }));
        admission.set_neighbours(None);
        assert_eq!(begun(&mut admission, unproven("192.0.3.10"), 1, now), 1);
    }

    #[test]
    fn turning_away_is_told_now_and_then() {
        let (mut admission, start) = (Admission::default(), Instant::now());
        admission.set_neighbours(Some(&[]));
        let at = |s: u64| start + Duration::from_secs(s);
        let mut told = 0;
        for second in 0..100 {
            admission.judge(unproven("192.0.2.7"), at(second));
            told += admission.report(at(second)).map_or(0, |turned| turned.ignored);
        }
        assert_eq!(told, 91, "every 10 s, the rest at the next time");
    }
}
