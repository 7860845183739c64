//! From the theme's colours to egui's, and texts that fit where they are drawn.

use std::sync::Arc;

use eframe::egui::{Color32, Context, CornerRadius, FontId, Galley, Stroke, TextStyle, Ui, Visuals};

use crate::theme::{Rgb, Theme};

/// Corners of panels and controls.
pub(super) const ROUND: CornerRadius = CornerRadius::same(6);

/// A colour as egui has it.
pub(super) const fn colour([red, green, blue]: Rgb) -> Color32 {
    Color32::from_rgb(red, green, blue)
}

/// Makes egui's own controls look like the theme.
pub(super) fn apply(ctx: &Context, theme: Theme) {
    let ground = theme.ground();
    let mut visuals = if theme == Theme::Light { Visuals::light() } else { Visuals::dark() };
    visuals.panel_fill = colour(ground.window);
    visuals.window_fill = colour(ground.panel);
    visuals.extreme_bg_color = colour(ground.window);
    visuals.override_text_color = Some(colour(ground.text));
    visuals.selection.bg_fill = colour(ground.control);
    visuals.selection.stroke = Stroke::new(2.0, colour(ground.text));
    let outline = colour(ground.outline);
    let widgets = &mut visuals.widgets;
    for (state, width) in [
        (&mut widgets.noninteractive, 1.0),
        (&mut widgets.inactive, 1.0),
        (&mut widgets.hovered, 2.0),
        (&mut widgets.active, 3.0),
        (&mut widgets.open, 2.0),
    ] {
        state.bg_fill = colour(ground.control);
        state.weak_bg_fill = colour(ground.control);
        state.bg_stroke = Stroke::new(width, outline);
        state.fg_stroke = Stroke::new(width, colour(ground.text));
        state.corner_radius = ROUND;
        state.expansion = 0.0;
    }
    ctx.all_styles_mut(|style| {
        style.visuals = visuals.clone();
        style.animation_time = 0.0;
        style.interaction.selectable_labels = false;
        for (text, size) in [(TextStyle::Small, 12.0), (TextStyle::Body, 14.0), (TextStyle::Button, 14.0), (TextStyle::Heading, 20.0)] {
            style.text_styles.insert(text, FontId::proportional(size));
        }
    });
}

/// Lays a text out on one line, smaller if need be, down to half of its size; cut there.
pub(super) fn fit(ui: &Ui, text: &str, size: f32, width: f32, ink: Color32) -> Arc<Galley> {
    fit_down_to(ui, text, size, size / 2.0, width, ink)
}

/// The same down to another size.
pub(super) fn fit_down_to(ui: &Ui, text: &str, size: f32, least: f32, width: f32, ink: Color32) -> Arc<Galley> {
    let layout = |text: String, size| ui.painter().layout_no_wrap(text, FontId::proportional(size), ink);
    let natural = layout(text.to_owned(), size);
    if natural.size().x <= width {
        return natural;
    }
    let smaller = (size * width / natural.size().x).floor().max(least);
    let mut rest = text.to_owned();
    let mut galley = layout(rest.clone(), smaller);
    while galley.size().x > width && rest.pop().is_some() {
        galley = layout(format!("{}...", rest.trim_end()), smaller);
    }
    galley
}
