//! The lies of a seed: for a minute a gateway with a valid certificate lies to its partners, or to its home, in every way and any
//! order, while the units of the honest countries talk; then it is quiet or gone, and all must be well.
//!
//! What the liar may do at all is what the agreements let its country do. Whatever else it says, the watch's invariants hold, what
//! an honest unit says under its grant is heard whole, and the liar is named, limited, and cut off where it floods.

mod floods;
mod generate;
mod judge;
mod run;
mod script;
mod tell;
mod twist;
mod untruths;

use std::io::Write as _;
use std::path::Path;

use crate::life::shrink::shrink_steps;
use generate::script;
use run::{Tally, Verdict, live};
use script::Script;

/// Seeds of an ordinary run.
const SEEDS: u64 = 20;
/// Breaches shown of one life.
const SHOWN: usize = 5;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("stdout");
}

/// Lives a seed; `Err` tells what broke, with the script cut down to what it takes.
fn judge(seed: u64) -> Result<Tally, String> {
    let script = script(seed);
    let verdict = live(seed, &script);
    if verdict.breaches.is_empty() {
        return Ok(verdict.tally);
    }
    let role = script.role;
    let (steps, breaches) =
        shrink_steps(&script.steps, verdict.breaches, |steps| live(seed, &Script { role, steps: steps.to_vec() }).breaches);
    let more = breaches.len().saturating_sub(SHOWN);
    let shown = breaches.iter().take(SHOWN).map(|what| format!("\n  {what}")).collect::<String>();
    let count = (steps.len(), script.steps.len());
    Err(format!("seed {seed} breaks:{shown}\n  and {more} more\nby {} of {} steps:\n{}", count.0, count.1, Script { role, steps }))
}

#[test]
fn no_seed_of_lies_harms_the_honest() {
    let mut sum = Tally::default();
    for seed in 1..=SEEDS {
        match judge(seed) {
            Ok(tally) => sum.add(&tally),
            Err(why) => panic!("{why}"),
        }
    }
    assert!(sum.frames > 1_000 * SEEDS, "{} honest frames heard in {SEEDS} seeds prove nothing", sum.frames);
    assert!(sum.calls > 5 * SEEDS, "{} calls in {SEEDS} seeds prove nothing", sum.calls);
    assert!(sum.cut_off > SEEDS, "{} sessions of liars ended in {SEEDS} seeds prove nothing", sum.cut_off);
    for (word, _) in script::LIES {
        assert!(sum.told.get(word).is_some_and(|count| *count > 0), "none of '{word}' in {SEEDS} seeds: {:?}", sum.told);
    }
}

#[test]
fn lies_are_the_same_when_they_are_told_again_and_when_they_are_read_from_text() {
    let written = script(3);
    let read: Script = written.to_string().parse().expect("what was written can be read");
    assert_eq!(read, written);
    assert_eq!(live(3, &written), live(3, &read));
}

/// Not for an ordinary run: what `tools/simulate --lies` asks for in the environment.
#[test]
#[ignore = "run by tools/simulate --lies"]
fn the_seeds_that_were_asked_for() {
    if let Some(path) = std::env::var_os("TALKBRIDGE_SCRIPT") {
        let text = std::fs::read_to_string(Path::new(&path)).expect("a script");
        let Verdict { breaches, .. } = live(from_env("TALKBRIDGE_FROM", 1), &text.parse().expect("a script"));
        say(&format!("broken: {breaches:#?}"));
        assert!(breaches.is_empty());
        return;
    }
    let (from, seeds, step) = (from_env("TALKBRIDGE_FROM", 1), from_env("TALKBRIDGE_SEEDS", 1), from_env("TALKBRIDGE_STEP", 1));
    let (mut sum, mut broken) = (Tally::default(), 0);
    for seed in (from..).step_by(usize::try_from(step).expect("a small step")).take(usize::try_from(seeds).expect("seeds")) {
        match judge(seed) {
            Ok(tally) => sum.add(&tally),
            Err(why) => {
                broken += 1;
                say(&why);
            }
        }
        say(&format!("lived {seed}"));
    }
    say(&format!("totals seeds={seeds} broken={broken} {sum}"));
    assert_eq!(broken, 0, "seeds that break an invariant");
}
