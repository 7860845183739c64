//! The selected talkgroup, large: its name, how its floor stands, who is heard, which sides are away.

use eframe::egui::accesskit::Live;
use eframe::egui::{Align2, Color32, Painter, Pos2, Rect, Role, Sense, Shape, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, pos2, vec2};

use super::style::{ROUND, colour, fit};
use super::{Scene, Window};
use crate::describe::{self, Told};
use crate::theme::Look;

/// Space inside the panel.
const MARGIN: f32 = 18.0;

impl Window {
    /// Draws the panel.
    pub(super) fn floor(&self, ui: &Ui, scene: &Scene<'_>, rect: Rect) {
        let group = scene.model.selected();
        let told = describe::face(&self.words, scene.model, group, scene.now);
        let alarm = describe::alarm(&self.words, group);
        let away = describe::away(&self.words, group);
        let lines = [alarm.as_deref(), away.as_deref()];
        let spoken = [Some(group.title()).as_deref(), Some(told.sentence()).as_deref(), lines[0], lines[1]]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(". ");
        // A screen reader tells every change by itself.
        let response = ui.interact(rect, ui.scope_id().with("floor"), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &spoken));
        ui.ctx().accesskit_node_builder(response.id, |node| node.set_live(Live::Assertive));

        let paint = self.theme.paint(told.look);
        let (ink, painter) = (colour(paint.text), ui.painter());
        painter.rect_filled(rect, ROUND, colour(paint.fill));
        second_cue(painter, rect, told.look, ink);
        let inner = rect.shrink(MARGIN);
        let unit = (inner.height() / 12.0).clamp(14.0, 40.0);
        let mut y = inner.top();
        let mut put = |text: &str, size: f32| {
            let galley = fit(ui, text, size, inner.width() - 2.0 * unit, ink);
            let height = galley.size().y;
            painter.galley(pos2(inner.left(), y), galley, ink);
            y += height + unit * 0.25;
        };
        put(&group.title(), unit * 1.6);
        put(&describe::belongs(group), unit);
        put(&told.word, unit * 3.2);
        put(&told.line, unit * 1.3);
        self.bands(ui, &told, inner, unit, &lines);
    }

    /// What must not be overlooked, on grounds of their own at the panel's foot: emergency, sides that are away.
    fn bands(&self, ui: &Ui, told: &Told, inner: Rect, unit: f32, lines: &[Option<&str>; 2]) {
        let height = unit * 1.7;
        let mut bottom = inner.bottom();
        for (text, look) in lines.iter().zip([Look::Emergency, Look::Degraded]).rev() {
            let Some(text) = text else { continue };
            let band = Rect::from_min_max(pos2(inner.left(), bottom - height), pos2(inner.right(), bottom));
            let paint = self.theme.paint(look);
            let ink = colour(paint.text);
            ui.painter().rect(
                band,
                ROUND,
                colour(paint.fill),
                Stroke::new(1.5, colour(self.theme.paint(told.look).text)),
                StrokeKind::Inside,
            );
            mark(ui.painter(), band.left_center() + vec2(height * 0.5, 0.0), height * 0.3, look, ink);
            let galley = fit(ui, text, unit, band.width() - height * 1.2, ink);
            let at = Align2::LEFT_CENTER.anchor_size(band.left_center() + vec2(height, 0.0), galley.size());
            ui.painter().galley(at.min, galley, ink);
            bottom -= height + 4.0;
        }
    }
}

/// What tells a state without colour.
fn second_cue(painter: &Painter, rect: Rect, look: Look, ink: Color32) {
    let frame = |width: f32| {
        // Thick ones stand inside the ground, or they would melt into a window of the same colour.
        painter.rect_stroke(rect.shrink(width - 1.5), ROUND, Stroke::new(width, ink), StrokeKind::Inside);
    };
    let corner = rect.right_top() + vec2(-34.0, 34.0);
    match look {
        Look::Free | Look::Wait => frame(1.5),
        Look::OnAir => frame(6.0),
        Look::Queued => {
            let dashes = Shape::dashed_line(&outline(rect.shrink(3.0)), Stroke::new(5.0, ink), 12.0, 10.0);
            painter.extend(dashes);
        }
        Look::NotConnected => {
            let dashes = Shape::dashed_line(&outline(rect.shrink(2.0)), Stroke::new(2.0, ink), 4.0, 6.0);
            painter.extend(dashes);
            let clipped = painter.with_clip_rect(rect);
            let faint = ink.gamma_multiply(0.12);
            let steps = (0u16..).map(|step| rect.left() + f32::from(step) * 22.0).take_while(|x| *x < rect.right() + rect.height());
            for x in steps {
                clipped.line_segment([pos2(x, rect.top()), pos2(x - rect.height(), rect.bottom())], Stroke::new(3.0, faint));
            }
        }
        Look::Emergency => frame(6.0),
        Look::Receiving | Look::Denied | Look::Degraded => frame(2.0),
    }
    mark(painter, corner, 16.0, look, ink);
}

fn outline(rect: Rect) -> [Pos2; 5] {
    [rect.left_top(), rect.right_top(), rect.right_bottom(), rect.left_bottom(), rect.left_top()]
}

/// The state's sign, drawn: no font has them all.
pub(super) fn mark(painter: &Painter, at: Pos2, size: f32, look: Look, ink: Color32) {
    let stroke = Stroke::new((size / 6.0).max(1.5), ink);
    let from = |x: f32, y: f32| at + Vec2::new(x, y) * size;
    match look {
        // A triangle with its exclamation mark.
        Look::Emergency | Look::Degraded => {
            painter.add(Shape::closed_line(vec![from(0.0, -0.9), from(1.0, 0.8), from(-1.0, 0.8)], stroke));
            painter.line_segment([from(0.0, -0.3), from(0.0, 0.25)], stroke);
            painter.circle_filled(from(0.0, 0.52), stroke.width * 0.7, ink);
        }
        // An arrow into a tray.
        Look::Receiving => {
            painter.line_segment([from(0.0, -0.9), from(0.0, 0.4)], stroke);
            painter.add(Shape::line(vec![from(-0.5, -0.1), from(0.0, 0.4), from(0.5, -0.1)], stroke));
            painter.add(Shape::line(vec![from(-0.9, 0.3), from(-0.9, 0.9), from(0.9, 0.9), from(0.9, 0.3)], stroke));
        }
        // A disc with waves.
        Look::OnAir => {
            painter.circle_filled(at, size * 0.35, ink);
            painter.circle_stroke(at, size * 0.65, stroke);
            painter.circle_stroke(at, size * 0.95, stroke);
        }
        // A cross.
        Look::Denied => {
            painter.line_segment([from(-0.7, -0.7), from(0.7, 0.7)], stroke);
            painter.line_segment([from(-0.7, 0.7), from(0.7, -0.7)], stroke);
        }
        // A clock.
        Look::Wait | Look::Queued => {
            painter.circle_stroke(at, size * 0.85, stroke);
            painter.add(Shape::line(vec![from(0.0, -0.55), at, from(0.4, 0.2)], stroke));
        }
        // A circle.
        Look::Free => {
            painter.circle_stroke(at, size * 0.6, stroke);
        }
        // A broken line.
        Look::NotConnected => {
            painter.line_segment([from(-0.9, 0.0), from(-0.25, 0.0)], stroke);
            painter.line_segment([from(0.25, 0.0), from(0.9, 0.0)], stroke);
            painter.line_segment([from(-0.25, 0.5), from(0.25, -0.5)], stroke);
        }
    }
}
