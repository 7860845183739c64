//! The page of devices and keys, beside the floor: it can be spoken and an emergency sent while it is open.

use eframe::egui::{Response, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::groups::SCROLL_BAR;
use super::style::{ROUND, colour, fit};
use super::{Scene, Window, following};
use crate::describe;
use crate::model::{Gesture, Hearing};
use crate::sound::Choice;
use crate::words::{Language, Words};

/// Height of a line that can be chosen.
const LINE: f32 = 26.0;
/// Level that is loud enough, and level that is too loud: -36 dB and -6 dB of full scale.
const GOOD: (f32, f32) = (0.4, 0.9);

impl Window {
    /// Draws the page.
    pub(super) fn setup(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(ui.available_width() - SCROLL_BAR);
            self.devices(ui, scene, true);
            ui.add_space(6.0);
            self.devices(ui, scene, false);
            if scene.model.setup().substitute {
                self.line(ui, &self.words.say("device-substitute"), self.ink());
            }
            ui.add_space(6.0);
            self.key(ui, scene);
            ui.add_space(6.0);
            self.hear_myself(ui, scene);
            ui.add_space(6.0);
            let name = format!("{}: {}", self.words.say("language-choice"), self.words.say("language"));
            if self.choice(ui, &name, None).clicked() {
                self.words = Words::new(following(&Language::ALL, self.words.language()));
            }
        });
    }

    /// The microphones or the loudspeakers, the system's default first, with a meter that moves.
    fn devices(&self, ui: &mut Ui, scene: &mut Scene<'_>, microphones: bool) {
        let setup = scene.model.setup();
        let choice = &scene.model.settings().choice;
        let (title, level, name, names, chosen) = if microphones {
            ("microphone", scene.levels.microphone, "setup-microphone-level", &setup.names.microphones, &choice.microphone)
        } else {
            ("loudspeaker", scene.levels.loudspeaker, "setup-speaker-level", &setup.names.loudspeakers, &choice.loudspeaker)
        };
        self.meter(ui, title, name, level, ui.available_width());
        let mut picked = None;
        for (at, device) in std::iter::once(None).chain(names.iter().map(Some)).enumerate() {
            let shown = device.cloned().unwrap_or_else(|| self.words.say("device-default"));
            let name = self.words.say_with(if microphones { "choose-microphone" } else { "choose-loudspeaker" }, "device", &*shown);
            let response = self.choice(ui, &shown, Some(device == chosen.as_ref()));
            response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, device == chosen.as_ref(), &name));
            if response.clicked() {
                picked = Some(at.checked_sub(1).and_then(|at| names.get(at)).cloned());
            }
        }
        if let Some(device) = picked {
            let choice = choice.clone();
            let choice = if microphones { Choice { microphone: device, ..choice } } else { Choice { loudspeaker: device, ..choice } };
            scene.gestures.push(Gesture::Choose(choice));
        }
    }

    /// The key that talks, and how another one is learned.
    fn key(&self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let learning = scene.model.setup().learning;
        let name = if learning {
            self.words.say("learn-press")
        } else {
            let key = describe::keys(&self.words, scene.model.settings().key);
            self.words.say_with("learn", "key", key)
        };
        let response = self.choice(ui, &name, Some(learning));
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, learning, &name));
        if response.clicked() {
            // With the focus on it, the next key would press it.
            response.surrender_focus();
            scene.gestures.push(Gesture::Learn(!learning));
        }
    }

    /// Three seconds of the own voice, and how loud it was.
    fn hear_myself(&self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let hearing = scene.model.setup().hearing;
        let name = self.words.say(if hearing == Hearing::Listening { "hear-speak" } else { "hear-myself" });
        if self.choice(ui, &name, None).clicked() {
            scene.gestures.push(Gesture::HearMyself);
        }
        if let Hearing::Back(level) = hearing {
            let verdict = match level {
                soft if soft < GOOD.0 => "hear-soft",
                loud if loud > GOOD.1 => "hear-loud",
                _ => "hear-good",
            };
            self.line(ui, &self.words.say(verdict), self.ink());
        }
    }

    /// A line that can be chosen, marked if it is.
    pub(super) fn choice(&self, ui: &mut Ui, text: &str, chosen: Option<bool>) -> Response {
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), LINE), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, text));
        let ground = self.theme.ground();
        let width = if response.has_focus() { 3.0 } else { 1.0 };
        let painter = ui.painter();
        painter.rect(
            rect,
            ROUND,
            colour(ground.control),
            Stroke::new(width, if response.has_focus() { self.ink() } else { self.outline() }),
            StrokeKind::Inside,
        );
        let mut left = rect.left() + 10.0;
        if let Some(chosen) = chosen {
            let at = pos2(rect.left() + 14.0, rect.center().y);
            painter.circle_stroke(at, 6.0, Stroke::new(1.5, self.ink()));
            if chosen {
                painter.circle_filled(at, 3.5, self.ink());
            }
            left += 18.0;
        }
        let galley = fit(ui, text, 14.0, rect.right() - left - 8.0, self.ink());
        painter.galley(pos2(left, rect.center().y - galley.size().y / 2.0), galley, self.ink());
        response
    }
}
