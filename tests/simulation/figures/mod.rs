//! Figures that only a simulated path can show, each beside its limit: a few seeds with every run of the tests, as many as are
//! asked for by `tools/simulate --ladder` and `--figures`.

mod border;
mod emergency;
mod ladder;
mod rungs;
mod sheet;
mod stage;

use std::panic::{AssertUnwindSafe, catch_unwind};

use rungs::ladder;
use sheet::Sheet;

use crate::random::{say, seeds_from_env};

/// One seed of a scene, measured.
type Scene = fn(u64, &mut Sheet);

/// Every scene by the word that `tools/simulate --figures` takes.
const SCENES: [(&str, Scene); 6] = [
    ("ladder", ladder::climb),
    ("noticed", border::noticed),
    ("alarms", border::alarms),
    ("heal", border::heals),
    ("flapping", border::flapping),
    ("emergency", emergency::emergency),
];

/// Measures a few seeds; every limit must be kept.
fn measured(scene: Scene, seeds: u64) -> Sheet {
    let mut sheet = Sheet::default();
    (1..=seeds).for_each(|seed| scene(seed, &mut sheet));
    let breaches = sheet.breaches();
    assert!(breaches.is_empty(), "missed:\n  {}", breaches.join("\n  "));
    sheet
}

/// A few seeds of the rungs whose links the design names.
fn climbed(name: &'static str, seeds: u64) -> Sheet {
    let rung = ladder().into_iter().find(|rung| rung.name == name).expect("a rung");
    let mut sheet = Sheet::default();
    (1..=seeds).for_each(|seed| ladder::step(&rung, seed, &mut sheet));
    let breaches = sheet.breaches();
    assert!(breaches.is_empty(), "missed:\n  {}", breaches.join("\n  "));
    sheet
}

#[test]
fn every_figure_is_kept_on_fibre() {
    assert!(climbed("fibre", 1).count(ladder::ACROSS) > 0);
}

#[test]
fn every_figure_is_kept_at_120_ms_and_1_percent_loss() {
    assert!(climbed("120ms-1%", 10).count(ladder::ACROSS) > 0);
}

#[test]
fn every_figure_is_kept_at_80_ms_and_5_percent_loss() {
    assert!(climbed("80ms-5%", 10).count(ladder::ACROSS) > 0);
}

#[test]
fn the_loss_of_the_border_is_noticed() {
    assert_eq!(measured(border::noticed, 5).count(border::NOTICED_BOTH), 5);
}

#[test]
fn thirty_percent_loss_raises_no_false_alarm_at_the_border() {
    measured(border::alarms, 1);
}

#[test]
fn a_heal_leaves_one_talker() {
    assert_eq!(measured(border::heals, 5).count(border::ONE_TALKER), 10);
}

#[test]
fn a_flapping_border_changes_views_seldom() {
    measured(border::flapping, 3);
}

#[test]
fn an_emergency_is_granted_in_time_through_loss() {
    assert_eq!(measured(emergency::emergency, 100).count(emergency::ACROSS), 200);
}

/// Not for an ordinary run: what `tools/simulate` asks for in the environment. Prints a line of JSON per figure.
#[test]
#[ignore = "run by tools/simulate"]
fn the_scene_that_was_asked_for() {
    let word = std::env::var("TALKBRIDGE_SCENE").expect("a scene");
    let (_, scene) = SCENES.into_iter().find(|(known, _)| *known == word).expect("a known scene");
    let mut sheet = Sheet::default();
    for seed in seeds_from_env() {
        match catch_unwind(AssertUnwindSafe(|| scene(seed, &mut sheet))) {
            Ok(()) => say(&format!("measured {seed}")),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                say(&format!("broken {seed}: {}", text.unwrap_or_default()));
            }
        }
    }
    sheet.lines().for_each(|line| say(&line));
}
