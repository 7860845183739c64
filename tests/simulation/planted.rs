//! Faults planted on purpose, and the seeds that find them: were a rule of floor control lost, the lives of `random.rs` would tell.
//!
//! With the feature `planted` only. Every life of the list is lived with the fault, and must break as the list says, and without it, and must
//! hold. A change of the scripts or of the product may let a seed miss its fault; `tools/simulate --planted WORD` finds another.

use engine::planted::{Fault, plant};

use crate::life::generate::script;
use crate::life::{Verdict, live};
use crate::random::{say, seeds_from_env};

/// What is planted.
struct Planted {
    /// By which `tools/simulate` knows it.
    word: &'static str,
    faults: &'static [Fault],
    /// The seeds whose lives find it.
    seeds: &'static [u64],
    /// What is in one of the breaches.
    breach: &'static str,
    /// With which of the faults the same lives hold, because something else covers for them.
    harmless: &'static [&'static [Fault]],
}

impl Planted {
    /// A fault that is found by itself.
    const fn alone(word: &'static str, faults: &'static [Fault], seeds: &'static [u64], breach: &'static str) -> Self {
        Self { word, faults, seeds, breach, harmless: &[] }
    }
}

const LIST: [Planted; 8] = [
    Planted::alone("request-ids", &[Fault::RequestIds], &[1], "the first of that grant"),
    Planted::alone("taken-cancels", &[Fault::TakenCancels], &[1], "waits in no queue"),
    Planted::alone("keeps-claims", &[Fault::KeepsClaims], &[15], "who wants nothing"),
    Planted::alone("sync-cancels", &[Fault::SyncCancels], &[33], "waits in no queue"),
    Planted::alone("sync-names-nobody", &[Fault::SyncNamesNobody], &[22], "over an active bridge"),
    // Not needed by itself: what a grant meets that nobody wants any more has been released before, on the same stream. It matters
    // where that release is missing.
    Planted {
        word: "keeps-grant",
        faults: &[Fault::KeepsGrant, Fault::KeepsClaims],
        seeds: &[23],
        breach: "who wants nothing",
        harmless: &[&[Fault::KeepsGrant], &[Fault::KeepsClaims]],
    },
    // Behind the unit's gate the jitter buffer refuses what is over, which is enough for the lives of these seeds.
    Planted {
        word: "no-filter",
        faults: &[Fault::NoFilter, Fault::PlaysWhatIsOver],
        seeds: &[3],
        breach: "somebody under its own voice",
        harmless: &[&[Fault::NoFilter]],
    },
    Planted::alone("no-last-frame", &[Fault::NoLastFrame], &[1], "only to frame"),
];

/// Lives a seed with these faults.
fn live_with(faults: &'static [Fault], seed: u64) -> Verdict {
    plant(faults);
    let verdict = live(seed, &script(seed));
    plant(&[]);
    verdict
}

#[test]
fn the_seeds_of_the_list_find_what_is_planted() {
    for Planted { word, faults, seeds, breach, harmless } in LIST {
        assert!(!seeds.is_empty(), "{word} is found by nothing");
        for seed in seeds {
            let found = live_with(faults, *seed).breaches;
            let hint = format!("tools/simulate --planted {word} finds other seeds");
            assert!(found.iter().any(|what| what.contains(breach)), "{word} by seed {seed} shows no '{breach}', but {found:#?}; {hint}");
            for fewer in harmless.iter().copied().chain([[].as_slice()]) {
                let breaches = live_with(fewer, *seed).breaches;
                assert!(breaches.is_empty(), "{word} by seed {seed} proves nothing, it breaks with {fewer:?} too: {breaches:#?}; {hint}");
            }
        }
    }
}

/// Not for an ordinary run: what `tools/simulate --planted` asks for in the environment.
#[test]
#[ignore = "run by tools/simulate"]
fn the_seeds_that_were_asked_for() {
    let word = std::env::var("TALKBRIDGE_PLANTED").expect("a word");
    let planted = LIST.iter().find(|planted| planted.word == word);
    let planted = planted.unwrap_or_else(|| panic!("'{word}' is none of {:?}", LIST.map(|planted| planted.word)));
    for seed in seeds_from_env() {
        let breaches = live_with(planted.faults, seed).breaches;
        if let Some(what) = breaches.first() {
            say(&format!("seed {seed}: {what}, and {} more", breaches.len() - 1));
        }
        say(&format!("lived {seed}"));
    }
}
