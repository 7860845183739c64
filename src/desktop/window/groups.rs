//! The list of talkgroups with their floors, priority, mute, scan and volume; below it, who talked.

use eframe::egui::{Color32, Rect, Role, ScrollArea, Sense, Slider, Stroke, StrokeKind, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use super::floor::mark;
use super::style::{ROUND, colour, fit, fit_down_to};
use super::{Scene, Window};
use crate::describe;
use crate::model::{Gesture, Group};
use crate::theme::Look;

/// Height of a talkgroup's name and floor.
const HEAD: f32 = 46.0;
/// Room for the scroll bar.
pub(super) const SCROLL_BAR: f32 = 8.0;
/// Smallest letters of a talkgroup's floor.
const LEAST: f32 = 11.0;
/// Talkers shown.
const TALKERS: usize = 6;

impl Window {
    /// Draws list and talkers.
    pub(super) fn lists(&self, ui: &mut Ui, scene: &mut Scene<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            // The scroll bar floats over what is below it.
            ui.set_max_width(ui.available_width() - SCROLL_BAR);
            ui.strong(self.words.say("talkgroups"));
            for group in scene.model.groups() {
                self.head(ui, scene, group);
                self.switches(ui, scene, group);
                if group.is_unseen() {
                    self.acknowledge(ui, scene, group);
                }
                ui.add_space(6.0);
            }
            ui.separator();
            for group in scene.model.groups() {
                self.replay(ui, scene, group);
            }
            self.talkers(ui, scene);
        });
    }

    /// Name and floor in one button that selects.
    fn head(&self, ui: &mut Ui, scene: &mut Scene<'_>, group: &Group) {
        let selected = scene.model.selected().id == group.id;
        let mut told = describe::face(&self.words, scene.model, group, scene.now);
        if group.alarm.is_some() {
            told.look = Look::Emergency;
        }
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEAD), Sense::click());
        let title = group.title();
        response.widget_info(|| {
            let name = self.words.say_with("select", "talkgroup", &*title);
            WidgetInfo::selected(Role::Button, true, selected, format!("{name}. {}", told.sentence()))
        });
        if response.clicked() {
            scene.gestures.push(Gesture::Select(group.id.clone()));
        }
        let paint = self.theme.paint(told.look);
        // An emergency that its user has not seen blinks; steady after.
        let dim = group.is_unseen() && !describe::blinks(scene.now.saturating_duration_since(self.started));
        let paint = if dim { self.theme.paint(Look::Free) } else { paint };
        let ink = colour(paint.text);
        let width = if response.has_focus() || selected { 4.0 } else { 1.0 };
        ui.painter().rect_filled(rect, ROUND, colour(paint.fill));
        ui.painter().rect_stroke(rect.shrink(width / 2.0), ROUND, Stroke::new(width, ink), StrokeKind::Inside);
        mark(ui.painter(), pos2(rect.right() - 18.0, rect.center().y), 9.0, told.look, ink);
        let put = |text: &str, size: f32, y: f32| {
            let galley = fit_down_to(ui, text, size, LEAST, rect.width() - 48.0, ink);
            ui.painter().galley(pos2(rect.left() + 10.0, rect.top() + y), galley, ink);
        };
        put(&title, 16.0, 5.0);
        put(&told.sentence(), 12.0, 25.0);
    }

    fn switches(&self, ui: &mut Ui, scene: &mut Scene<'_>, group: &Group) {
        let title = group.title();
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let mut switch = |ui: &mut Ui, on: bool, short: &str, long: &str, gesture: Gesture| {
                let response = ui.selectable_label(on, self.words.say(short));
                response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, on, self.words.say_with(long, "talkgroup", &*title)));
                let frame = if on { 2.0 } else { 0.5 };
                ui.painter().rect_stroke(response.rect, ROUND, Stroke::new(frame, self.outline()), StrokeKind::Inside);
                if response.clicked() {
                    scene.gestures.push(gesture);
                }
            };
            switch(ui, group.scanned, "scan", "scan-of", Gesture::Scan(group.id.clone(), !group.scanned));
            switch(ui, group.muted, "mute", "mute-of", Gesture::Mute(group.id.clone(), !group.muted));
            switch(ui, scene.model.prefers(group), "prefer", "prefer-of", Gesture::Prefer(group.id.clone()));
            let mut volume = group.volume;
            ui.spacing_mut().slider_width = (ui.available_width() - 8.0).clamp(40.0, 120.0);
            let response = ui.add(Slider::new(&mut volume, 0..=100).show_value(false));
            response
                .widget_info(|| WidgetInfo::slider(true, f64::from(group.volume), self.words.say_with("volume-of", "talkgroup", &*title)));
            if response.changed() {
                scene.gestures.push(Gesture::Volume(group.id.clone(), volume));
            }
        });
    }

    fn acknowledge(&self, ui: &mut Ui, scene: &mut Scene<'_>, group: &Group) {
        let text = format!("{}: {}", self.words.say("acknowledge-short"), describe::alarm(&self.words, group).unwrap_or_default());
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 30.0), Sense::click());
        let title = group.title();
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, self.words.say_with("acknowledge", "talkgroup", &*title)));
        if response.clicked() {
            scene.gestures.push(Gesture::Acknowledge(group.id.clone()));
        }
        let paint = self.theme.paint(Look::Emergency);
        let ink = colour(paint.text);
        let width = if response.has_focus() { 4.0 } else { 1.0 };
        ui.painter().rect(rect, ROUND, colour(paint.fill), Stroke::new(width, ink), StrokeKind::Inside);
        let galley = fit(ui, &text, 14.0, rect.width() - 16.0, ink);
        ui.painter().galley(rect.left_center() + vec2(8.0, -galley.size().y / 2.0), galley, ink);
    }

    /// What can be heard again of a talkgroup; nothing where there is nothing.
    fn replay(&self, ui: &mut Ui, scene: &mut Scene<'_>, group: &Group) {
        let seconds = group.kept.as_secs();
        let playing = scene.model.replaying() == Some(&group.id);
        if seconds == 0 && !playing {
            return;
        }
        let title = group.title();
        let name = self.words.say_with(if playing { "replay-stop" } else { "replay" }, "talkgroup", &*title);
        let text = self.words.say_with("replay-seconds", "seconds", seconds);
        let response = self.choice(ui, &format!("{name}, {text}"), Some(playing));
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, playing, &name));
        if response.clicked() {
            scene.gestures.push(Gesture::Replay(group.id.clone()));
        }
    }

    fn talkers(&self, ui: &mut Ui, scene: &Scene<'_>) {
        ui.strong(self.words.say("talkers"));
        let mut none = true;
        for talker in scene.model.talkers().take(TALKERS) {
            none = false;
            let who = describe::talker(&talker.spoken.talker);
            let whence = describe::title(scene.model, &talker.talkgroup);
            let ago = describe::ago(&self.words, scene.now.saturating_duration_since(talker.until));
            self.line(ui, &who, self.ink());
            self.line(ui, &format!("{whence}, {ago}"), self.faint());
        }
        if none {
            self.line(ui, &self.words.say("talkers-none"), self.faint());
        }
    }

    /// One line that never wraps nor is cut.
    pub(super) fn line(&self, ui: &mut Ui, text: &str, ink: Color32) {
        let galley = fit(ui, text, 13.0, ui.available_width(), ink);
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), galley.size().y + 2.0), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
        ui.painter().galley(rect.min, galley, ink);
    }

    /// Draws into a part of the window.
    pub(super) fn within(ui: &mut Ui, rect: Rect, name: &str, draw: impl FnOnce(&mut Ui)) {
        let mut part = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(name));
        part.set_clip_rect(rect.intersect(ui.clip_rect()));
        draw(&mut part);
    }
}
