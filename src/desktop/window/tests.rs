//! The window without a display: pressed by its controls' accessible names, read by what a screen reader would say.

use std::collections::BTreeSet;
use std::time::Duration;

use client::What;
use eframe::egui::accesskit::Role as Kind;
use eframe::egui::{Key, Pos2, Rect, Vec2, pos2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use engine::handset::{Event, Permit};
use wire::control::FarSide;
use wire::{Authority, DenyCause, Identity, Reason, RequestId, RevokeCause, Tier};

use super::*;
use crate::model::tests::{Bench, FIRE, POL, id, spurt};
use crate::model::{Effect, Fact, Hearing, Touch};
use crate::sound::Names;

/// The smallest window that must do.
const SMALL: Vec2 = vec2(800.0, 480.0);

/// A terminal with its window.
pub(super) struct Stage {
    pub(super) bench: Bench,
    window: Window,
}

impl Stage {
    fn new(bench: Bench, language: Language, theme: Theme) -> Self {
        let window = Window::new(language, theme, bench.now);
        Self { bench, window }
    }

    fn draw(&mut self, ui: &mut Ui) {
        let said = self.window.show(ui, &self.bench.model, Levels { microphone: 0.5, loudspeaker: 0.2 }, self.bench.now);
        if let Some(focused) = said.focus {
            self.bench.model.fact(Fact::Focus(focused), self.bench.now);
        }
        for gesture in said.gestures {
            self.bench.gesture(gesture);
        }
    }
}

fn harness(bench: Bench, language: Language, theme: Theme, size: Vec2) -> Harness<'static, Stage> {
    let stage = Stage::new(bench, language, theme);
    let mut harness = Harness::builder().with_size(size).build_ui_state(|ui, stage: &mut Stage| stage.draw(ui), stage);
    harness.run();
    harness
}

pub(super) fn english(bench: Bench) -> Harness<'static, Stage> {
    harness(bench, Language::English, Theme::Dark, SMALL)
}

/// What a screen reader says of the whole window.
fn spoken(harness: &Harness<'_, Stage>) -> Vec<String> {
    let said = |node: &egui_kittest::Node<'_>| node.accesskit_node().label().or_else(|| node.accesskit_node().value());
    harness.root().children_recursive().filter_map(|node| said(&node)).collect()
}

#[track_caller]
pub(super) fn says(harness: &mut Harness<'_, Stage>, text: &str) {
    harness.run();
    let spoken = spoken(harness);
    assert!(spoken.iter().any(|label| label.contains(text)), "{text:?} is not among {spoken:#?}");
}

fn center(harness: &Harness<'_, Stage>, label: &str) -> Pos2 {
    harness.get_by_label_contains(label).rect().center()
}

/// The pointer goes down on a control and stays.
pub(super) fn hold(harness: &mut Harness<'_, Stage>, label: &str) -> Pos2 {
    let at = center(harness, label);
    harness.drag_at(at);
    harness.run();
    at
}

fn let_go(harness: &mut Harness<'_, Stage>, at: Pos2) {
    harness.drop_at(at);
    harness.run();
}

fn pass(harness: &mut Harness<'_, Stage>, time: Duration) {
    harness.state_mut().bench.pass(time);
    harness.run();
}

fn requested(harness: &mut Harness<'_, Stage>) {
    let bench = &mut harness.state_mut().bench;
    bench.request += 1;
    bench.event(Event::Requested(id(POL), RequestId(bench.request)));
}

#[test]
fn press_grant_release_by_pointer() {
    let mut harness = english(Bench::joined(Permit::Tone));
    says(&mut harness, "FREE: Hold the key to talk");
    let at = hold(&mut harness, "Push to talk");
    requested(&mut harness);
    says(&mut harness, "WAIT: Do not speak yet");
    harness.state_mut().bench.grant(Tier::Normal, false);
    pass(&mut harness, Duration::from_secs(1));
    assert!(harness.state().bench.open());
    says(&mut harness, "ON AIR: Heard on all sides, 29 s left");
    let_go(&mut harness, at);
    assert!(!harness.state().bench.open());
    says(&mut harness, "Heard on all sides");
}

#[test]
fn the_key_talks_and_repeats_do_not() {
    let mut harness = english(Bench::joined(Permit::Instant));
    harness.key_down(Key::ControlRight);
    harness.run();
    assert!(harness.state().bench.open());
    harness.key_down(Key::ControlRight);
    harness.run();
    harness.key_up(Key::ControlRight);
    harness.run();
    assert!(!harness.state().bench.open());
    let presses = harness.state_mut().bench.effects().into_iter().filter(|effect| matches!(effect, Effect::Press(..))).count();
    assert_eq!(presses, 1);
}

#[test]
fn the_space_bar_talks_only_while_no_control_has_the_focus() {
    let mut harness = english(Bench::joined(Permit::Instant));
    harness.key_down(Key::Space);
    harness.run();
    assert!(harness.state().bench.open());
    harness.key_up(Key::Space);
    harness.run();
    harness.get_by_label_contains("Mute NL/POL-1").focus();
    harness.run();
    harness.key_down(Key::Space);
    harness.run();
    assert!(!harness.state().bench.open());
}

#[test]
fn denied_queued_and_cut_off_say_why() {
    let mut harness = english(Bench::joined(Permit::Tone));
    let at = hold(&mut harness, "Push to talk");
    requested(&mut harness);
    harness.state_mut().bench.event(Event::Queued(id(POL), RequestId(1), 2));
    says(&mut harness, "QUEUED 2: Keep holding");
    harness.state_mut().bench.event(Event::Denied(id(POL), RequestId(1), DenyCause::NoResources));
    says(&mut harness, "DENIED: The link to the other side is full");
    let_go(&mut harness, at);
    let at = hold(&mut harness, "Push to talk");
    requested(&mut harness);
    harness.state_mut().bench.grant(Tier::Normal, true);
    pass(&mut harness, Duration::from_secs(1));
    says(&mut harness, "ON AIR: Own side only");
    harness.state_mut().bench.event(Event::Revoked(id(POL), RequestId(2), spurt(2), RevokeCause::Preempted));
    says(&mut harness, "CUT OFF: Somebody more important talks");
    assert!(!harness.state().bench.open());
    harness.state_mut().bench.taken(POL, 3, Tier::Emergency);
    let_go(&mut harness, at);
    says(&mut harness, "RECEIVING: police Lux 7 (BE), Emergency");
}

/// What the window says of a loss, and the loss.
type Loss = (&'static str, fn(&mut Harness<'_, Stage>));

#[test]
fn every_way_to_lose_the_pressed_key_closes_the_microphone() {
    let losses: [Loss; 5] = [
        ("the window lost the focus", |harness| harness.input_mut().focused = false),
        ("No microphone", |harness| fact(harness, Fact::Microphone(false))),
        ("the screen is locked", |harness| fact(harness, Fact::Locked(true))),
        ("the machine sleeps", |harness| fact(harness, Fact::Asleep(true))),
        ("nobody hears you", |harness| fact(harness, Fact::Unit(What::Disconnected(Reason::LinkLost)))),
    ];
    for (told, lose) in losses {
        for by_pointer in [true, false] {
            let mut harness = english(Bench::joined(Permit::Instant));
            if by_pointer {
                hold(&mut harness, "Push to talk");
            } else {
                harness.key_down(Key::F13);
                harness.run();
            }
            requested(&mut harness);
            harness.state_mut().bench.grant(Tier::Normal, false);
            assert!(harness.state().bench.open(), "{told}");
            lose(&mut harness);
            harness.run();
            assert!(!harness.state().bench.open(), "{told}");
            says(&mut harness, told);
        }
    }
}

fn fact(harness: &mut Harness<'_, Stage>, fact: Fact) {
    let bench = &mut harness.state_mut().bench;
    bench.model.fact(fact, bench.now);
}

#[test]
fn the_emergency_is_held_and_let_go_before_that_it_is_nothing() {
    let mut harness = english(Bench::joined(Permit::Tone));
    let at = hold(&mut harness, "EMERGENCY: Hold for one second");
    pass(&mut harness, Duration::from_millis(600));
    says(&mut harness, "EMERGENCY: Keep holding");
    let_go(&mut harness, at);
    says(&mut harness, "EMERGENCY: Hold for one second");
    hold(&mut harness, "EMERGENCY: Hold for one second");
    pass(&mut harness, Duration::from_secs(1));
    says(&mut harness, "Sent, no answer yet");
    assert!(harness.state().bench.open());
    requested(&mut harness);
    harness.state_mut().bench.grant(Tier::Emergency, false);
    harness.state_mut().bench.event(Event::Emergency(id(POL), true, "nl/unit/maas-12".parse().unwrap()));
    says(&mut harness, "Received by the gateway");
    says(&mut harness, "EMERGENCY: maas-12 (NL)");
    let_go(&mut harness, at);
    harness.get_by_label("End emergency").click();
    says(&mut harness, "Ending");
    harness.state_mut().bench.event(Event::Emergency(id(POL), false, "nl/unit/maas-12".parse().unwrap()));
    says(&mut harness, "EMERGENCY: Hold for one second");
}

#[test]
fn assistive_technology_talks_and_sends_an_emergency_without_holding() {
    let mut harness = english(Bench::joined(Permit::Instant));
    harness.get_by_label_contains("Push to talk").click_accesskit();
    harness.run();
    assert!(harness.state().bench.open());
    harness.get_by_label_contains("Push to talk").click_accesskit();
    harness.run();
    assert!(!harness.state().bench.open());
    harness.get_by_label_contains("EMERGENCY: Hold").click_accesskit();
    harness.run();
    harness.get_by_label("Send emergency now").click_accesskit();
    says(&mut harness, "Sent, no answer yet");
}

#[test]
fn link_lost_and_back() {
    let mut harness = english(Bench::joined(Permit::Tone));
    fact(&mut harness, Fact::Unit(What::Disconnected(Reason::LinkLost)));
    pass(&mut harness, Duration::from_secs(72));
    says(&mut harness, "NOT CONNECTED 01:12: the link was lost");
    says(&mut harness, "Not connected. Link quiet");
    harness.state_mut().bench.connect();
    says(&mut harness, "FREE");
    says(&mut harness, "Connected: nl/gw-1");
}

#[test]
fn the_list_selects_mutes_prefers_and_acknowledges() {
    let mut harness = english(Bench::joined(Permit::Tone));
    harness.get_by_label_contains("Select NL/FIRE-2").click();
    harness.get_by_label("Mute NL/FIRE-2").click();
    harness.get_by_label("Scan NL/POL-1").click();
    harness.get_by_label("Priority for NL/POL-1").click();
    says(&mut harness, "Push to talk: NL/FIRE-2");
    let model = &harness.state().bench.model;
    assert_eq!((model.selected().muted, model.groups()[0].scanned, model.prefers(&model.groups()[0])), (true, false, true));
    harness.state_mut().bench.event(Event::Emergency(id(FIRE), true, "be/unit/lux-7".parse().unwrap()));
    says(&mut harness, "EMERGENCY: lux-7 (BE)");
    harness.get_by_label("Acknowledge emergency: NL/FIRE-2").click();
    harness.run();
    assert!(harness.query_by_label_contains("Acknowledge").is_none());
    let away = FarSide { talkgroup: id(FIRE), authority: "be".parse().unwrap(), present: false };
    harness.state_mut().bench.event(Event::FarSide(away));
    says(&mut harness, "BE cannot be reached");
}

#[test]
fn theme_and_language_change_at_once_and_a_tone_is_explained() {
    let mut harness = english(Bench::joined(Permit::Tone));
    harness.state_mut().window.explain(Some(Tone::PermitOwnSide));
    says(&mut harness, "That tone: talk, only your own side hears you");
    harness.get_by_label("Theme: Dark").click();
    says(&mut harness, "Theme: Light");
    harness.get_by_label("Settings").click();
    harness.run();
    harness.get_by_label("Language: English").click();
    harness.run();
    harness.get_by_label("Klaar").click();
    says(&mut harness, "VRIJ: Houd de toets vast om te spreken");
}

fn be() -> Authority {
    "be".parse().unwrap()
}

fn me() -> Identity {
    "nl/unit/maas-12".parse().unwrap()
}

fn lux() -> Identity {
    "be/unit/lux-7".parse().unwrap()
}

/// A name, and how the terminal comes to show it.
type Scenery = (&'static str, fn(&mut Bench));

/// Every state of the screen.
fn sceneries() -> Vec<Scenery> {
    fn talking(bench: &mut Bench, own_side_only: bool) {
        bench.press();
        bench.grant(Tier::Normal, own_side_only);
        bench.pass(Duration::from_secs(1));
    }
    fn emergency(bench: &mut Bench) {
        bench.gesture(Gesture::Emergency(Touch::Ask));
        bench.gesture(Gesture::Emergency(Touch::Confirm));
    }
    vec![
        ("free", |_| {}),
        ("wait", Bench::press),
        ("on air", |bench| talking(bench, false)),
        ("own side only", |bench| talking(bench, true)),
        ("receiving", |bench| bench.taken(POL, 1, Tier::Peril)),
        ("interrupted", |bench| {
            bench.taken(POL, 1, Tier::Normal);
            bench.event(Event::Interrupted(id(POL), spurt(1)));
        }),
        ("queued", |bench| {
            bench.press();
            bench.event(Event::Queued(id(POL), RequestId(1), 3));
        }),
        ("denied", |bench| {
            bench.press();
            bench.event(Event::Denied(id(POL), RequestId(1), DenyCause::EmergencyEndNotAllowed));
        }),
        ("cut off", |bench| {
            talking(bench, false);
            bench.event(Event::Revoked(id(POL), RequestId(1), spurt(1), RevokeCause::TalkLimit));
        }),
        ("far side away", |bench| {
            bench.event(Event::FarSide(FarSide { talkgroup: id(POL), authority: be(), present: false }));
        }),
        ("no access", |bench| bench.event(Event::AffiliateRefused(id(POL), Reason::NotAMember))),
        ("not connected", |bench| bench.model.fact(Fact::Unit(What::Disconnected(Reason::CertificateNotYetValid)), bench.now)),
        ("arming", |bench| {
            bench.gesture(Gesture::Emergency(Touch::Hold));
            bench.pass(Duration::from_millis(700));
        }),
        ("confirming", |bench| bench.gesture(Gesture::Emergency(Touch::Ask))),
        ("emergency sent", emergency),
        ("own emergency", |bench| {
            emergency(bench);
            bench.request += 1;
            bench.event(Event::Requested(id(POL), RequestId(1)));
            bench.grant(Tier::Emergency, false);
            bench.event(Event::Emergency(id(POL), true, me()));
        }),
        ("foreign emergency", |bench| {
            bench.event(Event::Emergency(id(FIRE), true, lux()));
            bench.taken(FIRE, 1, Tier::Emergency);
        }),
        ("devices and keys", |bench| {
            bench.gesture(Gesture::SetUp(true));
            let names = |name: &str| (1..4).map(|n| format!("{name} of a long make, type {n}, analogue stereo")).collect();
            bench.model.fact(Fact::Names(Names { microphones: names("Microphone"), loudspeakers: names("Headset") }), bench.now);
            bench.model.fact(Fact::Substitute(true), bench.now);
            bench.model.fact(Fact::Hearing(Hearing::Back(0.2)), bench.now);
        }),
        ("learning a key", |bench| {
            bench.gesture(Gesture::SetUp(true));
            bench.gesture(Gesture::Learn(true));
            bench.model.fact(Fact::Hearing(Hearing::Listening), bench.now);
        }),
        ("heard again", |bench| {
            bench.model.fact(Fact::Kept(id(POL), Duration::from_secs(30)), bench.now);
            bench.model.fact(Fact::Kept(id(FIRE), Duration::from_secs(30)), bench.now);
            bench.gesture(Gesture::Replay(id(FIRE)));
        }),
        ("talkers", |bench| {
            for number in 1..9 {
                bench.taken(POL, number, Tier::Normal);
                bench.pass(Duration::from_secs(20));
            }
            bench.event(Event::Idle(id(POL), spurt(8), false));
        }),
    ]
}

/// A missing key or glyph panics; so does a control without a name. What is drawn lies inside the window, and controls do not
/// cover each other and have names of their own.
#[test]
fn every_screen_in_every_language_theme_and_size() {
    for (name, set) in sceneries() {
        for language in Language::ALL {
            for (theme, size) in [(Theme::Dark, SMALL), (Theme::Light, vec2(1_280.0, 800.0)), (Theme::Night, vec2(1_920.0, 1_080.0))] {
                let mut bench = Bench::joined(Permit::Tone);
                set(&mut bench);
                let harness = harness(bench, language, theme, size);
                let mut seen: Vec<(String, Rect)> = Vec::new();
                for node in harness.root().children_recursive() {
                    let Some(label) = node.accesskit_node().label().or_else(|| node.accesskit_node().value()) else { continue };
                    // The list scrolls downwards, nothing else does.
                    let below = if node.rect().top() > BAR + GAP && node.rect().left() > size.x * 0.6 { 1_000.0 } else { 1.0 };
                    let room = Rect::from_min_max(pos2(-1.0, -1.0), size.to_pos2() + vec2(1.0, below));
                    assert!(room.contains_rect(node.rect()), "{name} {language:?} {size}: {label:?} at {:?}", node.rect());
                    if !matches!(node.accesskit_node().role(), Kind::Button | Kind::CheckBox | Kind::RadioButton | Kind::Slider) {
                        continue;
                    }
                    for (other, rect) in &seen {
                        assert_ne!(*other, label, "{name} {language:?}: two controls of one name");
                        assert!(
                            !rect.shrink(1.0).intersects(node.rect().shrink(1.0)),
                            "{name} {language:?} {size}: {label:?} covers {other:?}"
                        );
                    }
                    seen.push((label, node.rect()));
                }
                let names: BTreeSet<_> = seen.iter().map(|(label, _)| label).collect();
                assert!(names.len() >= 8, "{name}: {names:?}");
            }
        }
    }
}
