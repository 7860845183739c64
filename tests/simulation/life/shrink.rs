//! Makes a script that breaks something as short as a bounded number of tries allows.

use super::script::{Script, Step};
use super::{Verdict, live};

/// Lives spent on it.
const TRIES: usize = 250;

/// What kind of breach it is: the text without the moment, numbers and names.
fn kind(verdict: &Verdict) -> String {
    let first = verdict.breaches.first().map(String::as_str).unwrap_or_default();
    let text = first.split_once(" s: ").map_or(first, |(_, text)| text);
    text.split_whitespace().filter(|word| word.chars().all(|c| c.is_ascii_alphabetic() || c == ',')).collect::<Vec<_>>().join(" ")
}

/// The shortest script found that still breaks the same, with its verdict.
pub(crate) fn shrink(seed: u64, script: &Script, verdict: Verdict) -> (Script, Verdict) {
    let (mut best, mut found) = (script.clone(), verdict);
    let wanted = kind(&found);
    let mut tries = 0;
    let mut chunk = best.steps.len().div_ceil(2);
    while chunk >= 1 && tries < TRIES {
        let mut from = 0;
        let mut shorter = false;
        while from < best.steps.len() && tries < TRIES {
            let without: Vec<Step> =
                best.steps.iter().enumerate().filter(|(index, _)| !(from..from + chunk).contains(index)).map(|(_, step)| *step).collect();
            let candidate = Script { setup: best.setup, steps: without };
            let verdict = live(seed, &candidate);
            tries += 1;
            if kind(&verdict) == wanted && !verdict.breaches.is_empty() {
                (best, found) = (candidate, verdict);
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
