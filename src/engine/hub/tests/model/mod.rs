//! The floor protocol across borders: every interleaving, to a bound, by a model checker over the product's own code.
//!
//! **What is explored.** Two gateways, or three in a star around the home, and their units. Each site is a real [`crate::hub::Hub`]
//! with real participants and gates (`site.rs`, `unit.rs`); nothing of the protocol is described a second time. Users press (normal,
//! emergency, raised), let go, speak and end emergencies; timers fire (media gap, talk limit, grace, last frame, T20, the 300 ms a home
//! has to answer an emergency); each end of a session notices alone that it is lost, and what was on the way is lost with it; links
//! heal, also while the partner still believes in the old session; control arrives in order, frames in any (`border.rs`, `explore.rs`).
//!
//! **Why real hubs, and how they are small enough.** A model beside the product proves the model. A site does not see the others, so
//! its states are some ten thousand where the whole has millions. Each step of a hub is computed once for each state and input and looked
//! up from then on (`pool.rs`); a state of the whole is a handful of numbers. Time is taken out by keeping the order of the armed
//! timers only (`digest.rs`), and every site has a clock of its own that jumps to its next timer, so any delay between sites is
//! covered. Two states that differ in lengths of time alone count as one: what depends on how long a timer still runs, and not on
//! the order of timers, is for the simulations to find.
//!
//! **The bound.** So many events of users, timers and links, and so many of each kind (`scenario.rs`); what follows from them is
//! unbounded. `tools/model --depth N` goes as deep as time and memory allow. Left out: T100 and T101, which repeat what a unit said
//! (on a reliable stream nothing may rest on them), peril, dispatchers, rights that differ, units that come and go, hold-down.
//!
//! **The rules.** Each rule that keeps the views together can be taken away at the seams between the parts (`rules.rs`); the explorer
//! must then find how the views come apart, or the rule is not needed by itself, and a test says so. `properties.rs` holds the promises.

mod border;
mod digest;
mod explore;
mod facts;
mod pool;
mod properties;
mod rules;
mod scenario;
mod site;
mod trace;
mod unit;

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use explore::{Explorer, PROMISES};
use properties::Promise;
use rules::{Rule, Rules};
use scenario::Scenario;

/// How many events of two gateways with a unit each; `tools/model` sets more by the variable. Bigger set-ups get one `less`.
fn events(less: u8) -> u8 {
    let depth = std::env::var("TALKBRIDGE_MODEL_DEPTH").map_or(5, |depth| depth.parse().expect("a number of events"));
    depth - less
}

/// What an exploration found.
struct Found {
    /// The broken promise, and how many steps it takes to break it.
    broken: Option<(Promise, usize)>,
    /// The timers that were armed and the modes of views that were met.
    seen: BTreeSet<String>,
}

/// Explores, prints what it took, and the shortest way to a broken promise if there is one.
#[expect(clippy::disallowed_methods, reason = "how long the exploration takes, for people")]
fn explore(scenario: &Scenario, removed: &[Rule]) -> Found {
    let began = Instant::now();
    let explorer = Explorer::new(scenario, Rules::without(removed));
    // One thread finds the shortest way; to find none, two are faster.
    let threads = if removed.is_empty() { 2 } else { 1 };
    let checker = explorer.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let explorer = checker.model();
    let without = if removed.is_empty() { String::new() } else { format!(" without {removed:?}") };
    let (sites, steps) = explorer.pool.sizes();
    println!(
        "{}{without}, {} events: {} states, {} unique, depth {}; {sites} states of sites, {steps} steps of hubs; {:.1} s",
        scenario.name,
        scenario.bound.events,
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    let seen = explorer.pool.seen();
    let Some(path) = checker.discovery(PROMISES) else { return Found { broken: None, seen } };
    let promise = explorer.broken(path.last_state()).unwrap();
    println!("  {promise}:");
    let (beliefs, mut length) = (explorer.beliefs(path.last_state()), 0);
    for (world, action) in path.into_vec().into_iter().filter_map(|(world, action)| Some((world, action?))) {
        length += 1;
        println!("  {length:>4}. {}", explorer.word(&world, action));
    }
    for belief in beliefs {
        println!("        {belief}");
    }
    Found { broken: Some((promise, length)), seen }
}

/// No promise is broken, although every timer fired and every mode was met.
fn keeps_every_promise(scenario: &Scenario) {
    let found = explore(scenario, &[]);
    assert_eq!(found.broken, None);
    let timers = ["T1 end of media", "T2 talk limit", "end of grace", "T20 granted", "last frame", "emergency answer"];
    for expected in timers.into_iter().chain(["Home", "Partner", "CutOff", "OwnSide"]) {
        assert!(found.seen.contains(expected), "{expected} was never met, only {:?}", found.seen);
    }
}

#[test]
fn two_gateways_keep_every_promise() {
    keeps_every_promise(&Scenario::two(events(0)));
}

#[test]
fn two_units_of_a_partner_keep_every_promise() {
    keeps_every_promise(&Scenario::crowd(events(1)));
}

#[test]
fn a_star_of_three_keeps_every_promise() {
    keeps_every_promise(&Scenario::star(events(1)));
}

/// Each rule taken away breaks a promise; the explorer prints how.
#[test]
fn without_a_rule_the_views_come_apart() {
    use Promise::{Agreement, OneVoice, UnitsAgree};
    use Rule::{
        DisplacedReleases, PlayoutFilter, RequestIds, SyncCancelsNothing, SyncNamesTalker, TakenCancelsNothing, UnwantedGrantReleased,
    };
    let cases: [(&[Rule], Scenario, Promise, usize); 7] = [
        (&[RequestIds], Scenario::calm(5), UnitsAgree, 12),
        (&[TakenCancelsNothing], Scenario::calm(4), UnitsAgree, 5),
        // A late copy of an emergency request is granted to a unit that talks under a newer one.
        (&[DisplacedReleases], Scenario::two(4), UnitsAgree, 26),
        (&[SyncCancelsNothing], Scenario::two(4), Agreement, 8),
        (&[SyncNamesTalker], Scenario::two(4), Agreement, 7),
        // Who was named in sync and is gone: one of the two gives the floor back.
        (&[DisplacedReleases, UnwantedGrantReleased], Scenario::two(4), Agreement, 10),
        (&[PlayoutFilter], Scenario::voices(5), OneVoice, 7),
    ];
    for (removed, scenario, promise, length) in cases {
        let (broken, way) = explore(&scenario, removed).broken.unwrap_or_else(|| panic!("nothing breaks without {removed:?}"));
        assert_eq!(broken, promise, "without {removed:?}");
        assert!(way <= length, "without {removed:?} it took {length} steps, now {way}");
    }
}

/// The one rule that is not shown to be necessary by itself: what a grant meets that nobody wants any more has been released before, on
/// the same stream. It matters where that release is missing, as the case of two rules above shows.
#[test]
fn an_unwanted_grant_is_given_back_twice_over() {
    assert_eq!(explore(&Scenario::two(events(1)), &[Rule::UnwantedGrantReleased]).broken, None);
}
