//! Seeds: lives that nobody thought of. A few with every run of the tests; `tools/simulate` runs as many as it is asked for.

use std::io::Write as _;
use std::path::Path;

use crate::life::generate::script;
use crate::life::shrink::shrink;
use crate::life::{Script, live};
use crate::support::watch::Totals;

/// Seeds of an ordinary run.
const SEEDS: u64 = 24;

/// Breaches shown of one life.
const SHOWN: usize = 5;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The seeds that `tools/simulate` asks of this process.
pub(crate) fn seeds_from_env() -> impl Iterator<Item = u64> {
    let [from, seeds, step] = ["FROM", "SEEDS", "STEP"].map(|name| from_env(&format!("TALKBRIDGE_{name}"), 1));
    (0..seeds).map(move |count| from + count * step)
}

/// Says a line that `tools/simulate` reads.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("stdout");
}

/// Lives a seed; `Err` tells what broke, with the script cut down to what it takes.
fn judge(seed: u64, script: &Script) -> Result<Totals, String> {
    let verdict = live(seed, script);
    if verdict.breaches.is_empty() {
        return Ok(verdict.totals);
    }
    let before = script.steps.len();
    let (short, verdict) = shrink(seed, script, verdict);
    let more = verdict.breaches.len().saturating_sub(SHOWN);
    let breaches = verdict.breaches.iter().take(SHOWN).map(|what| format!("\n  {what}")).collect::<String>();
    Err(format!("seed {seed} breaks:{breaches}\n  and {more} more\nby {} of {before} steps:\n{short}", short.steps.len()))
}

fn add(sum: &mut Totals, one: Totals) {
    let fields = [
        (&mut sum.frames, one.frames),
        (&mut sum.grants, one.grants),
        (&mut sum.preemptions, one.preemptions),
        (&mut sum.splits, one.splits),
        (&mut sum.heals, one.heals),
        (&mut sum.kills, one.kills),
        (&mut sum.own_side, one.own_side),
        (&mut sum.displaced, one.displaced),
    ];
    for (sum, one) in fields {
        *sum += one;
    }
}

#[test]
fn no_seed_breaks_an_invariant() {
    let mut sum = Totals::default();
    for seed in 1..=SEEDS {
        match judge(seed, &script(seed)) {
            Ok(totals) => add(&mut sum, totals),
            Err(why) => panic!("{why}"),
        }
    }
    let Totals { frames, grants, preemptions, splits, heals, kills, own_side, .. } = sum;
    assert!(frames > 5_000 * SEEDS, "{frames} frames judged in {SEEDS} lives prove nothing");
    for (count, what) in [
        (grants, "grants"),
        (preemptions, "pre-emptions"),
        (splits, "splits"),
        (heals, "heals"),
        (kills, "kills"),
        (own_side, "own-side emergencies"),
    ] {
        assert!(count > SEEDS, "{count} {what} in {SEEDS} lives prove nothing");
    }
}

#[test]
fn a_life_is_the_same_when_it_is_lived_again_and_when_it_is_read_from_text() {
    let written = script(7);
    let read: Script = written.to_string().parse().expect("what was written can be read");
    assert_eq!(read, written);
    assert_eq!(live(7, &written), live(7, &read));
}

/// Not for an ordinary run: what `tools/simulate` asks for in the environment.
#[test]
#[ignore = "run by tools/simulate"]
fn the_seeds_that_were_asked_for() {
    if let Some(path) = std::env::var_os("TALKBRIDGE_SCRIPT") {
        let text = std::fs::read_to_string(Path::new(&path)).expect("a script");
        let (seed, script) = (from_env("TALKBRIDGE_FROM", 1), text.parse::<Script>().expect("a script"));
        let verdict = live(seed, &script);
        say(&format!("broken: {:#?}", verdict.breaches));
        assert!(verdict.breaches.is_empty());
        return;
    }
    let mut sum = Totals::default();
    let (mut seeds, mut broken) = (0, 0);
    for seed in seeds_from_env() {
        seeds += 1;
        match judge(seed, &script(seed)) {
            Ok(totals) => add(&mut sum, totals),
            Err(why) => {
                broken += 1;
                say(&why);
            }
        }
        say(&format!("lived {seed}"));
    }
    let Totals { frames, grants, preemptions, splits, heals, kills, own_side, displaced } = sum;
    say(&format!(
        "totals seeds={seeds} broken={broken} frames={frames} grants={grants} preemptions={preemptions} splits={splits} heals={heals} kills={kills} own_side={own_side} displaced={displaced}"
    ));
    assert_eq!(broken, 0, "seeds that break an invariant");
}
