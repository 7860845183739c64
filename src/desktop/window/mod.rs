//! The window: draws the model, turns keys and pointer into gestures. It decides nothing and keeps nothing that matters.
//!
//! Everything is drawn with a name for assistive technology, and nothing by a font's symbols.

mod floor;
mod groups;
mod opening;
mod setup;
#[cfg(test)]
#[cfg(feature = "interface-tests")]
mod setup_tests;
mod style;
mod talk;
#[cfg(test)]
#[cfg(feature = "interface-tests")]
mod tests;

use std::time::Instant;

use eframe::egui::{Align, Color32, Event, Key, Layout, Rect, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use crate::describe;
use crate::model::{Gesture, Link, Model};
use crate::ptt::{Hold, Source, TalkKey, talks};
use crate::theme::Theme;
use crate::tones::Tone;
use crate::words::{Language, Words};
pub use opening::Opening;
use style::{ROUND, colour, fit};

/// Space between the parts.
const GAP: f32 = 8.0;
/// Height of the bars at top and bottom.
const BAR: f32 = 30.0;
/// Frames that are missing before the link is called poor, percent.
const POOR: f32 = 3.0;

/// How loud it is, each 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Levels {
    /// What the microphone hears.
    pub microphone: f32,
    /// What is played.
    pub loudspeaker: f32,
}

/// What the window said in one frame.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    /// What the user did, in order.
    pub gestures: Vec<Gesture>,
    /// The focus came or went.
    pub focus: Option<bool>,
}

/// See the module.
#[derive(Debug)]
pub struct Window {
    theme: Theme,
    words: Words,
    started: Instant,
    focused: Option<bool>,
    talk_held: bool,
    emergency_held: bool,
    /// The tone that sounds for the first time, explained.
    explained: Option<Tone>,
    dressed: Option<Theme>,
}

/// One frame.
struct Scene<'a> {
    model: &'a Model,
    levels: Levels,
    now: Instant,
    gestures: Vec<Gesture>,
}

impl Window {
    /// A window that has not been drawn yet.
    pub fn new(language: Language, theme: Theme, now: Instant) -> Self {
        Self {
            theme,
            words: Words::new(language),
            started: now,
            focused: None,
            talk_held: false,
            emergency_held: false,
            explained: None,
            dressed: None,
        }
    }

    /// Explains a tone, or none any more.
    pub fn explain(&mut self, tone: Option<Tone>) {
        self.explained = tone;
    }

    /// Draws everything; what the user did comes back.
    pub fn show(&mut self, ui: &mut Ui, model: &Model, levels: Levels, now: Instant) -> Said {
        if self.dressed != Some(self.theme) {
            style::apply(ui.ctx(), self.theme);
            self.dressed = Some(self.theme);
        }
        let mut scene = Scene { model, levels, now, gestures: Vec::new() };
        let focus = self.focus(ui);
        keys(ui, &mut scene);
        let rect = ui.max_rect();
        ui.painter().rect_filled(rect, 0, colour(self.theme.ground().window));
        let rect = rect.shrink(GAP);
        let (top, rest) = rect.split_top_bottom_at_y(rect.top() + BAR);
        let (rest, bottom) = rest.split_top_bottom_at_y(rest.bottom() - BAR);
        let (left, right) = rest.shrink2(vec2(0.0, GAP)).split_left_right_at_fraction(0.62);
        let left = left.with_max_x(left.right() - GAP / 2.0);
        let right = right.with_min_x(right.left() + GAP / 2.0);
        let (floor, controls) = left.split_top_bottom_at_y(left.bottom() - (left.height() * 0.24).clamp(80.0, 150.0));
        let (talk, emergency) = controls.with_min_y(controls.top() + GAP).split_left_right_at_fraction(0.52);
        Self::within(ui, top, "top", |ui| self.status(ui, &mut scene, top));
        self.floor(ui, &scene, floor);
        self.push_to_talk(ui, &mut scene, talk.with_max_x(talk.right() - GAP / 2.0));
        self.emergency(ui, &mut scene, emergency.with_min_x(emergency.left() + GAP / 2.0));
        if model.setup().open {
            Self::within(ui, right, "setup", |ui| self.setup(ui, &mut scene));
        } else {
            Self::within(ui, right, "lists", |ui| self.lists(ui, &mut scene));
        }
        self.foot(ui, &scene, bottom);
        Said { gestures: scene.gestures, focus }
    }

    fn focus(&mut self, ui: &Ui) -> Option<bool> {
        let focused = ui.input(|input| input.focused);
        let changed = self.focused.replace(focused) != Some(focused);
        if changed && !focused {
            (self.talk_held, self.emergency_held) = (false, false);
        }
        changed.then_some(focused)
    }

    fn ink(&self) -> Color32 {
        colour(self.theme.ground().text)
    }

    fn faint(&self) -> Color32 {
        colour(self.theme.ground().faint)
    }

    fn outline(&self) -> Color32 {
        colour(self.theme.ground().outline)
    }

    /// The bar at the top: session, link, levels, theme, and the page of devices and keys.
    fn status(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, rect: Rect) {
        let link = match scene.model.link() {
            Link::Up(gateway) => self.words.say_with("link-up", "gateway", format!("{}/{}", gateway.authority, gateway.name)),
            Link::Down(..) | Link::Over(_) => self.words.say("link-down"),
        };
        let quality = match scene.model.quality() {
            Some(quality) if quality.missing >= POOR => self.words.say_with("quality-poor", "percent", quality.missing.round()),
            Some(_) => self.words.say("quality-good"),
            None => self.words.say("quality-unknown"),
        };
        // From the right, so that what is left over goes to the text, which can shrink.
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = GAP;
            let open = scene.model.setup().open;
            if ui.button(self.words.say(if open { "setup-done" } else { "setup" })).clicked() {
                scene.gestures.push(Gesture::SetUp(!open));
            }
            let theme = format!("{}: {}", self.words.say("theme"), self.words.say(self.theme.key()));
            if ui.button(theme).clicked() {
                self.theme = following(&Theme::ALL, self.theme);
            }
            let meter = rect.width() * 0.13;
            self.meter(ui, "loudspeaker", "speaker-level", scene.levels.loudspeaker, meter);
            self.meter(ui, "microphone", "microphone-level", scene.levels.microphone, meter);
            let text = format!("{link}. {quality}");
            let galley = fit(ui, &text, 14.0, ui.available_width(), self.ink());
            let (place, response) = ui.allocate_exact_size(vec2(ui.available_width(), BAR), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
            ui.painter().galley(place.left_center() - vec2(0.0, galley.size().y / 2.0), galley, self.ink());
        });
    }

    /// A bar that shows a level, with its name in it.
    fn meter(&self, ui: &mut Ui, short: &str, long: &str, level: f32, width: f32) {
        let (rect, response) = ui.allocate_exact_size(vec2(width, 20.0), Sense::hover());
        let (short, long) = (self.words.say(short), self.words.say(long));
        let percent = (level.clamp(0.0, 1.0) * 100.0).round();
        response.widget_info(|| WidgetInfo { value: Some(f64::from(percent)), ..WidgetInfo::labeled(Role::Meter, true, &long) });
        let ground = self.theme.ground();
        let painter = ui.painter();
        painter.rect(rect, ROUND, colour(ground.panel), Stroke::new(1.0, self.outline()), StrokeKind::Inside);
        let foot = Rect::from_min_max(pos2(rect.left() + 3.0, rect.bottom() - 6.0), rect.max - vec2(3.0, 2.0));
        painter.rect_filled(foot.with_max_x(foot.left() + foot.width() * level.clamp(0.0, 1.0)), 2, self.ink());
        let galley = fit(ui, &short, 11.0, rect.width() - 12.0, self.faint());
        painter.galley(rect.left_top() + vec2(6.0, 0.0), galley, self.faint());
    }

    /// The line at the bottom: what just became of the user's wish, or the tone that sounded, or by what one may talk.
    fn foot(&self, ui: &Ui, scene: &Scene<'_>, rect: Rect) {
        let note = scene.model.note().map(|note| describe::note(&self.words, note));
        let tone = || self.explained.map(|tone| self.words.say_with("tone-heard", "meaning", self.words.say(tone.key())));
        let (text, ink) = match note {
            Some(note) => (note, self.ink()),
            None => match tone() {
                Some(tone) => (tone, self.ink()),
                None => (self.sources(scene), self.faint()),
            },
        };
        let response = ui.interact(rect, ui.scope_id().with("foot"), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
        let galley = fit(ui, &text, 15.0, rect.width(), ink);
        ui.painter().galley(rect.left_center() - vec2(0.0, galley.size().y / 2.0), galley, ink);
    }

    /// By what one may talk now.
    fn sources(&self, scene: &Scene<'_>) -> String {
        let live = scene.model.keys().sources().filter(|(source, hold)| *hold != Hold::Gone && *source != Source::HotMicrophone);
        let key = scene.model.settings().key;
        let names: Vec<_> = live.map(|(source, _)| describe::source(&self.words, source, key)).collect();
        format!("{}: {}", self.words.say("sources"), names.join(", "))
    }
}

/// The keys: the chosen one or the right control key, those that pedals send, and the space bar while no control has the focus;
/// `R` hears again what was missed. The next one is learned instead, if that was asked for.
fn keys(ui: &Ui, scene: &mut Scene<'_>) {
    let free = ui.memory(|memory| memory.focused().is_none());
    let (chosen, learning) = (scene.model.settings().key, scene.model.setup().learning);
    let talks = |key: Key| TalkKey::named(key.name()).is_some_and(|key| talks(key, chosen)) || (key == Key::Space && free);
    ui.input(|input| {
        for event in &input.events {
            let &Event::Key { key, pressed, repeat: false, .. } = event else { continue };
            let gesture = match (pressed, learning) {
                (true, true) => TalkKey::named(key.name()).map(Gesture::Learned),
                (true, false) if talks(key) => Some(Gesture::Press(Source::Key)),
                (true, false) if key == Key::R && free => Some(Gesture::Replay(scene.model.selected().id.clone())),
                // A release counts wherever the focus went meanwhile.
                (false, _) if talks(key) || key == Key::Space => Some(Gesture::Release(Source::Key)),
                (true | false, _) => None,
            };
            scene.gestures.extend(gesture);
        }
    });
}

/// The one after it, around the end.
fn following<T: Copy + PartialEq>(all: &[T], one: T) -> T {
    let next = all.iter().position(|each| *each == one).map_or(0, |at| (at + 1) % all.len());
    all.get(next).copied().unwrap_or(one)
}
