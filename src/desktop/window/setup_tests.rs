//! Devices, keys and hearing again, by the controls' accessible names.

use std::time::Duration;

use egui_kittest::kittest::{NodeT as _, Queryable as _};
use engine::handset::Permit;
use wire::Tier;

use super::tests::{english, hold, says};
use super::*;
use crate::model::tests::{Bench, FIRE, POL, id};
use crate::model::{Effect, Fact, Hearing};
use crate::ptt::TalkKey;
use crate::sound::{Choice, Names};

#[test]
fn devices_are_chosen_by_name_and_the_page_does_not_stand_in_the_way_of_talking() {
    let mut harness = english(Bench::joined(Permit::Instant));
    let names = Names { microphones: vec!["Headset".into(), "Webcam".into()], loudspeakers: vec!["Headset".into()] };
    let bench = &mut harness.state_mut().bench;
    bench.model.fact(Fact::Names(names), bench.now);
    harness.get_by_label("Settings").click();
    harness.run();
    harness.get_by_label("Microphone: Webcam").click();
    harness.run();
    harness.get_by_label("Loudspeaker: Headset").click();
    harness.run();
    let chosen = Choice { microphone: Some("Webcam".into()), loudspeaker: Some("Headset".into()) };
    let bench = &mut harness.state_mut().bench;
    assert_eq!(bench.model.settings().choice, chosen);
    let effects = bench.effects();
    assert!(effects.contains(&Effect::Choose(chosen)) && effects.contains(&Effect::Keep), "{effects:?}");
    harness.get_by_label("Microphone: The system's choice").click();
    harness.run();
    assert_eq!(harness.state().bench.model.settings().choice.microphone, None);
    hold(&mut harness, "Push to talk");
    assert!(harness.state().bench.open());
    bench_fact(&mut harness, Fact::Substitute(true));
    says(&mut harness, "A chosen device is missing");
}

fn bench_fact(harness: &mut egui_kittest::Harness<'_, tests::Stage>, fact: Fact) {
    let bench = &mut harness.state_mut().bench;
    bench.model.fact(fact, bench.now);
}

#[test]
fn a_key_is_learned_by_pressing_it_and_one_that_types_text_is_not() {
    let mut harness = english(Bench::joined(Permit::Instant));
    harness.get_by_label("Settings").click();
    harness.run();
    harness.get_by_label("Key: right Ctrl. Choose another").click();
    says(&mut harness, "Press the key:");
    for key in [Key::A, Key::F8] {
        harness.key_down(key);
        harness.run();
        harness.key_up(key);
        harness.run();
    }
    says(&mut harness, "Key: F8. Choose another");
    assert!(!harness.state().bench.open());
    assert_eq!(harness.state().bench.model.settings().key, TalkKey::named("F8"));
    for (key, open) in [(Key::ControlRight, false), (Key::F8, true), (Key::F13, true)] {
        harness.key_down(key);
        harness.run();
        assert_eq!(harness.state().bench.open(), open, "{key:?}");
        harness.key_up(key);
        harness.run();
    }
}

#[test]
fn one_hears_oneself_and_is_told_how_loud_that_was() {
    let mut harness = english(Bench::joined(Permit::Tone));
    harness.get_by_label("Settings").click();
    harness.run();
    harness.get_by_label("Hear yourself for 3 seconds").click();
    harness.run();
    assert_eq!(harness.state_mut().bench.effects(), [Effect::HearMyself]);
    bench_fact(&mut harness, Fact::Hearing(Hearing::Listening));
    says(&mut harness, "Speak now");
    for (level, told) in [(0.2, "Too soft"), (0.6, "Loud enough"), (0.95, "Too loud")] {
        bench_fact(&mut harness, Fact::Hearing(Hearing::Back(level)));
        says(&mut harness, told);
    }
}

#[test]
fn what_was_missed_is_heard_again_until_it_ends_or_something_matters_more() {
    let mut harness = english(Bench::joined(Permit::Tone));
    assert!(harness.query_by_label_contains("Hear again").is_none(), "there is nothing to hear");
    bench_fact(&mut harness, Fact::Kept(id(FIRE), Duration::from_secs(12)));
    harness.run();
    let start = "Hear again: NL/FIRE-2";
    harness.get_by_label(start).click();
    harness.run();
    assert_eq!(harness.state_mut().bench.effects(), [Effect::Replay(id(FIRE))]);
    harness.get_by_label("Stop hearing again: NL/FIRE-2").click();
    harness.run();
    assert_eq!(harness.state_mut().bench.effects(), [Effect::StopReplay]);
    harness.get_by_label(start).click();
    harness.run();
    harness.state_mut().bench.taken(POL, 1, Tier::Normal);
    harness.run();
    assert_eq!(harness.state_mut().bench.effects(), [Effect::Replay(id(FIRE))], "a routine call does not end it");
    harness.state_mut().bench.taken(POL, 2, Tier::Emergency);
    harness.run();
    assert!(harness.state_mut().bench.effects().contains(&Effect::StopReplay));
    assert_eq!(harness.state().bench.model.replaying(), None);
    harness.get_by_label(start).click();
    harness.run();
    assert_eq!(harness.state().bench.model.replaying(), None, "not during an emergency");
}

#[test]
fn the_own_talk_ends_what_is_heard_again_and_a_key_starts_it() {
    let mut harness = english(Bench::joined(Permit::Tone));
    harness.key_press(Key::R);
    harness.run();
    assert_eq!(harness.state().bench.model.replaying(), Some(&id(POL)));
    hold(&mut harness, "Push to talk");
    assert_eq!(harness.state().bench.model.replaying(), None);
    assert!(harness.state_mut().bench.effects().contains(&Effect::StopReplay));
}

/// The first start with its answers: what was opened.
struct First {
    page: Opening,
    opened: Vec<std::path::PathBuf>,
}

fn first(language: Language, theme: Theme, wrong: Option<&str>) -> egui_kittest::Harness<'static, First> {
    let tried = wrong.map(|wrong| ("/media/stick/unit.toml".into(), wrong.to_owned()));
    let first = First { page: Opening::new(language, theme, tried), opened: Vec::new() };
    let draw = |ui: &mut Ui, first: &mut First| first.opened.extend(first.page.show(ui));
    let mut harness = egui_kittest::Harness::builder().with_size(vec2(800.0, 480.0)).build_ui_state(draw, first);
    harness.run();
    harness
}

#[test]
fn without_a_configuration_one_is_opened_and_what_is_wrong_with_it_is_told() {
    let mut harness = first(Language::English, Theme::Dark, None);
    harness.get_by_role_and_label(Role::TextInput, "Configuration file").focus();
    harness.run();
    harness.get_by_role_and_label(Role::TextInput, "Configuration file").type_text("/media/stick/unit.toml");
    harness.run();
    harness.get_by_label("Open").click();
    harness.run();
    assert_eq!(harness.state().opened, [std::path::PathBuf::from("/media/stick/unit.toml")]);
    harness.state_mut().page.refuse("/media/stick/unit.toml:3: gateways: no address to dial".into());
    harness.run();
    harness.get_by_label("/media/stick/unit.toml:3: gateways: no address to dial");
    harness.get_by_label_contains("Correct the file, or open another one");
}

/// A file that a hand lets fall.
#[derive(Debug)]
struct Dropped;

impl eframe::egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        std::path::Path::new("/tmp/unit.toml")
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("nobody reads it here".into())
    }
}

#[test]
fn a_file_that_is_dropped_onto_the_window_is_opened() {
    let mut harness = first(Language::English, Theme::Light, Some("cannot be read"));
    harness.input_mut().dropped_files.push(std::sync::Arc::new(Dropped));
    harness.run();
    assert_eq!(harness.state().opened, [std::path::PathBuf::from("/tmp/unit.toml")]);
}

#[test]
fn the_first_page_fits_in_every_language_and_theme() {
    for language in Language::ALL {
        for theme in Theme::ALL {
            let harness =
                first(language, theme, Some("/media/stick/a-long-folder/unit.toml:12: identity.certificate: unit.pem: No such file"));
            for node in harness.root().children_recursive() {
                let rect = node.accesskit_node().bounding_box();
                let room = rect.is_none_or(|rect| rect.x1 <= 800.0 && rect.y1 <= 480.0);
                assert!(room, "{language:?} {theme:?}: {rect:?}");
            }
        }
    }
}
