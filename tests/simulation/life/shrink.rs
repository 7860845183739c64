//! Makes a script that breaks something as short as a bounded number of tries allows.

use super::script::Script;
use super::{Verdict, live};

/// Lives spent on it.
const TRIES: usize = 250;

/// What kind of breach it is: the text without the moment, numbers and names.
fn kind(breaches: &[String]) -> String {
    let first = breaches.first().map(String::as_str).unwrap_or_default();
    let text = first.split_once(" s: ").map_or(first, |(_, text)| text);
    text.split_whitespace().filter(|word| word.chars().all(|c| c.is_ascii_alphabetic() || c == ',')).collect::<Vec<_>>().join(" ")
}

/// The shortest script found that still breaks the same, with its verdict.
pub(crate) fn shrink(seed: u64, script: &Script, verdict: Verdict) -> (Script, Verdict) {
    let script_of = |steps: &[_]| Script { setup: script.setup, steps: steps.to_vec() };
    let (steps, _) = shrink_steps(&script.steps, verdict.breaches, |steps| live(seed, &script_of(steps)).breaches);
    let short = script_of(&steps);
    let verdict = live(seed, &short);
    (short, verdict)
}

/// The fewest steps found that still break the same, with what they break; `live` plays them.
pub(crate) fn shrink_steps<T: Clone>(steps: &[T], breaches: Vec<String>, live: impl Fn(&[T]) -> Vec<String>) -> (Vec<T>, Vec<String>) {
    let (mut best, mut found) = (steps.to_vec(), breaches);
    let wanted = kind(&found);
    let mut tries = 0;
    let mut chunk = best.len().div_ceil(2);
    while chunk >= 1 && tries < TRIES {
        let mut from = 0;
        let mut shorter = false;
        while from < best.len() && tries < TRIES {
            let kept = best.iter().enumerate().filter(|(index, _)| !(from..from + chunk).contains(index));
            let without: Vec<T> = kept.map(|(_, step)| step.clone()).collect();
            let breaches = live(&without);
            tries += 1;
            if kind(&breaches) == wanted && !breaches.is_empty() {
                (best, found) = (without, breaches);
                shorter = true;
            } else {
                from += chunk;
            }
        }
        if chunk == 1 && !shorter {
            break;
        }
        chunk = if chunk == 1 { 1 } else { chunk.div_ceil(2) };
    }
    (best, found)
}
