//! The first start: which configuration is opened, and what is wrong with the one that was tried.

use std::path::PathBuf;
use std::time::Duration;

use eframe::egui::{Align, Key, Layout, Role, TextEdit, Ui, WidgetInfo, vec2};

use super::style::{self, colour};
use crate::theme::Theme;
use crate::words::{Language, Words};

/// Width of the text, in points.
const WIDTH: f32 = 640.0;

/// How often the page is drawn though nothing happens.
const AGAIN: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub struct Opening {
    theme: Theme,
    words: Words,
    path: String,
    wrong: Option<String>,
    dressed: bool,
}

impl Opening {
    /// The page, with the file that was tried last and what was wrong with it.
    pub fn new(language: Language, theme: Theme, tried: Option<(PathBuf, String)>) -> Self {
        let (path, wrong) = tried.map_or_else(Default::default, |(path, wrong)| (path.display().to_string(), Some(wrong)));
        Self { theme, words: Words::new(language), path, wrong, dressed: false }
    }

    /// That file cannot be used.
    pub fn refuse(&mut self, wrong: String) {
        self.wrong = Some(wrong);
    }

    /// Draws the page; the file that is to be opened, as typed or dropped onto the window.
    pub fn show(&mut self, ui: &mut Ui) -> Option<PathBuf> {
        if !std::mem::replace(&mut self.dressed, true) {
            style::apply(ui.ctx(), self.theme);
        }
        // A screen reader that comes later must not wait for somebody to touch the page.
        ui.ctx().request_repaint_after(AGAIN);
        ui.painter().rect_filled(ui.max_rect(), 0, colour(self.theme.ground().window));
        let dropped = ui.input(|input| input.raw.dropped_files.first().map(|file| file.path().to_owned()));
        let mut opens = false;
        ui.with_layout(Layout::top_down(Align::Min), |ui| {
            ui.set_max_width(WIDTH.min(ui.available_width() - 48.0));
            ui.add_space(36.0);
            ui.horizontal(|ui| {
                ui.add_space(24.0);
                ui.vertical(|ui| opens = self.form(ui));
            });
        });
        let path = dropped.or_else(|| opens.then(|| PathBuf::from(self.path.trim())))?;
        self.path = path.display().to_string();
        Some(path)
    }

    /// Heading, field, button; what is wrong stands below.
    fn form(&mut self, ui: &mut Ui) -> bool {
        ui.spacing_mut().item_spacing.y = 12.0;
        ui.heading(self.words.say("opening-title"));
        ui.label(self.words.say("opening-what"));
        let label = ui.label(self.words.say("opening-file"));
        let edit = TextEdit::singleline(&mut self.path).desired_width(f32::INFINITY).margin(vec2(8.0, 8.0));
        let field = ui.add(edit).labelled_by(label.id);
        // Nothing asks for the focus here: a screen reader's tree whose focus comes before its nodes is dropped whole.
        let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        let button = ui.add_enabled(!self.path.trim().is_empty(), eframe::egui::Button::new(self.words.say("opening-open")));
        let clicked = button.clicked();
        if let Some(wrong) = &self.wrong {
            let told = ui.label(format!("{} {wrong}", self.words.say("opening-wrong")));
            told.widget_info(|| WidgetInfo::labeled(Role::Label, true, wrong));
            ui.label(self.words.say("opening-repair"));
        }
        clicked || entered && !self.path.trim().is_empty()
    }
}
