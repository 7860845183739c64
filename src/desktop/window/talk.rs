//! The two controls for voice: push-to-talk, and the emergency that is held for a second.
//!
//! Both act on the pointer's going down and up. Assistive technology and the keyboard only click: a click on push-to-talk
//! presses until the next one, a click on the emergency asks for a confirmation. The talk limit bounds both.

use eframe::egui::{Align2, FontId, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::floor::mark;
use super::style::{ROUND, colour, fit};
use super::{Scene, Window};
use crate::describe;
use crate::model::{Emergency, Gesture, Talk, Touch};
use crate::ptt::{Hold, Source};
use crate::theme::{Look, Paint};

/// How the pointer moved on a control that is held.
enum Held {
    Down,
    Up,
    Clicked,
}

/// What a held control was told; remembers whether the pointer holds it. It senses drags too: egui ends a mere click after 0.8 s.
fn held(response: &Response, down: &mut bool) -> Option<Held> {
    let holds = response.is_pointer_button_down_on();
    let was = std::mem::replace(down, holds);
    match (was, holds) {
        (false, true) => Some(Held::Down),
        (true, false) => Some(Held::Up),
        // A click without a pointer.
        (false, false) if response.clicked() && !response.clicked_by(eframe::egui::PointerButton::Primary) => Some(Held::Clicked),
        (true, true) | (false, false) => None,
    }
}

impl Window {
    /// The push-to-talk button.
    pub(super) fn push_to_talk(&mut self, ui: &Ui, scene: &mut Scene<'_>, rect: Rect) {
        let talkgroup = scene.model.selected().title();
        let response = ui.interact(rect, ui.scope_id().with("talk"), Sense::click_and_drag());
        let pressed = scene.model.keys().sources().any(|each| each == (Source::Button, Hold::Held));
        response
            .widget_info(|| WidgetInfo::selected(Role::Button, true, pressed, self.words.say_with("talk-to", "talkgroup", &*talkgroup)));
        match held(&response, &mut self.talk_held) {
            Some(Held::Down) => scene.gestures.push(Gesture::Press(Source::Button)),
            Some(Held::Up) => scene.gestures.push(Gesture::Release(Source::Button)),
            Some(Held::Clicked) if pressed => scene.gestures.push(Gesture::Release(Source::Button)),
            Some(Held::Clicked) => scene.gestures.push(Gesture::Press(Source::Button)),
            None => {}
        }
        // Amber is for what goes out, not for a key that is down.
        let keys = scene.model.keys();
        let ground = self.theme.ground();
        let (look, paint) = if scene.model.microphone(scene.now).is_some() {
            (Look::OnAir, self.theme.paint(Look::OnAir))
        } else if keys.is_spent() || scene.model.talk().is_some_and(Talk::is_over) {
            (Look::Denied, self.theme.paint(Look::Denied))
        } else {
            let look = if keys.is_down() { Look::Wait } else { Look::Free };
            (look, Paint { fill: ground.control, text: ground.text })
        };
        self.face_of_control(ui, &response, paint, look, [&self.words.say("talk"), &talkgroup]);
    }

    /// The emergency control, its ring, its confirmation, its end.
    pub(super) fn emergency(&mut self, ui: &Ui, scene: &mut Scene<'_>, rect: Rect) {
        let state = scene.model.emergency().clone();
        if let Emergency::Declared(_) | Emergency::Ending(..) = state {
            self.emergency_under_way(ui, scene, rect, matches!(state, Emergency::Declared(_)));
            return;
        }
        let says = describe::emergency(&self.words, scene.model);
        let allowed = scene.model.selected().may_alarm();
        if matches!(state, Emergency::Confirming(_)) {
            let name = self.words.say("emergency-confirm");
            let response = ui.interact(rect, ui.scope_id().with("confirm"), Sense::click());
            response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
            if response.clicked() {
                scene.gestures.push(Gesture::Emergency(Touch::Confirm));
            }
            self.face_of_control(ui, &response, self.theme.paint(Look::Emergency), Look::Emergency, [&self.words.say("emergency"), &name]);
            return;
        }
        let name = self.words.say("emergency");
        let response = ui.interact(rect, ui.scope_id().with("emergency"), Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, allowed, format!("{name}: {says}")));
        let touch = match held(&response, &mut self.emergency_held) {
            Some(Held::Down) => Some(Touch::Hold),
            Some(Held::Up) => Some(Touch::LetGo),
            Some(Held::Clicked) => Some(Touch::Ask),
            None => None,
        };
        scene.gestures.extend(touch.filter(|_| allowed).map(Gesture::Emergency));
        let paint = if allowed { self.theme.paint(Look::Emergency) } else { self.theme.paint(Look::Denied) };
        self.face_of_control(ui, &response, paint, if allowed { Look::Emergency } else { Look::Denied }, [&name, &says]);
        self.ring(ui, rect, state.armed(scene.now));
    }

    /// The ring that fills while the control is held: the control's own frame, drawn from the top left clockwise.
    fn ring(&self, ui: &Ui, rect: Rect, share: f32) {
        if share <= 0.0 {
            return;
        }
        let rect = rect.shrink(4.0);
        let corners = [rect.left_top(), rect.right_top(), rect.right_bottom(), rect.left_bottom(), rect.left_top()];
        let mut left = share * 2.0 * (rect.width() + rect.height());
        let mut points = vec![corners[0]];
        for pair in corners.windows(2) {
            let &[from, to] = pair else { continue };
            let length = from.distance(to);
            points.push(from + (to - from) * (left / length).clamp(0.0, 1.0));
            left -= length;
            if left <= 0.0 {
                break;
            }
        }
        let ink = colour(self.theme.paint(Look::Emergency).text);
        ui.painter().add(Shape::line(points, Stroke::new(6.0, ink)));
    }

    /// Sent: what is known of it, and its end.
    fn emergency_under_way(&self, ui: &Ui, scene: &mut Scene<'_>, rect: Rect, may_end: bool) {
        let says = describe::emergency(&self.words, scene.model);
        let (above, below) = rect.split_top_bottom_at_fraction(0.45);
        let response = ui.interact(above, ui.scope_id().with("emergency says"), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &says));
        let paint = self.theme.paint(Look::Emergency);
        self.face_of_control(ui, &response, paint, Look::Emergency, ["", &says]);
        let name = self.words.say("emergency-end");
        let response = ui.interact(below.with_min_y(below.top() + 4.0), ui.scope_id().with("emergency end"), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, may_end, &name));
        if may_end && response.clicked() {
            scene.gestures.push(Gesture::Emergency(Touch::End));
        }
        let ground = self.theme.ground();
        self.face_of_control(ui, &response, Paint { fill: ground.control, text: ground.text }, Look::Free, ["", &name]);
    }

    /// A control that is drawn by hand: ground, sign, a head (may be empty), what else there is to say, and the mark of the focus.
    fn face_of_control(&self, ui: &Ui, response: &Response, paint: Paint, look: Look, lines: [&str; 2]) {
        let (rect, ink) = (response.rect, colour(paint.text));
        let painter = ui.painter();
        let width = if response.has_focus() { 4.0 } else { 1.5 };
        painter.rect(rect, ROUND, colour(paint.fill), Stroke::new(width, ink), StrokeKind::Inside);
        let sign = (rect.height() * 0.28).min(18.0);
        mark(painter, pos2(rect.left() + 14.0 + sign, rect.center().y), sign, look, ink);
        let space = Rect::from_min_max(pos2(rect.left() + 24.0 + 2.0 * sign, rect.top()), rect.max - vec2(10.0, 0.0));
        let [head, rest] = lines;
        let galleys = if head.is_empty() {
            vec![fit(ui, rest, (rect.height() * 0.45).clamp(14.0, 22.0), space.width(), ink)]
        } else {
            let size = (rect.height() * 0.18).clamp(13.0, 18.0);
            vec![
                fit(ui, head, (rect.height() * 0.3).clamp(14.0, 26.0), space.width(), ink),
                painter.layout(rest.to_owned(), FontId::proportional(size), ink, space.width()),
            ]
        };
        let height: f32 = galleys.iter().map(|galley| galley.size().y).sum();
        let mut y = rect.center().y - height / 2.0;
        for galley in galleys {
            let at = Align2::LEFT_TOP.anchor_size(pos2(space.left(), y), galley.size()).min;
            y += galley.size().y;
            painter.galley(at, galley, ink);
        }
    }
}
