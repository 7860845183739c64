//! The window's side of the program: draws what the terminal shows, hands on what the user does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use eframe::egui::{Ui, ViewportCommand};
use talkbridge_desktop::model::Fact;
use talkbridge_desktop::terminal::{View, Wish};
use talkbridge_desktop::window::{Levels, Window};
use tokio::sync::{mpsc, watch};

/// See the module.
#[derive(Debug)]
pub(crate) struct App {
    window: Window,
    view: watch::Receiver<View>,
    wishes: mpsc::Sender<Wish>,
    /// How often the window was drawn.
    frames: Arc<AtomicU64>,
}

impl App {
    pub(crate) fn new(window: Window, view: watch::Receiver<View>, wishes: mpsc::Sender<Wish>, frames: Arc<AtomicU64>) -> Self {
        Self { window, view, wishes, frames }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let view = self.view.borrow_and_update().clone();
        self.window.explain(view.explain);
        let levels = Levels { microphone: view.microphone, loudspeaker: view.loudspeaker };
        let said = self.window.show(ui, &view.model, levels, now);
        let facts = said.focus.map(|focused| Wish::Fact(Box::new(Fact::Focus(focused))));
        for wish in facts.into_iter().chain(said.gestures.into_iter().map(Wish::Gesture)) {
            // Waits rather than lose a release. A terminal that has ended leaves nothing to draw.
            if self.wishes.blocking_send(wish).is_err() {
                ui.ctx().send_viewport_cmd(ViewportCommand::Close);
            }
        }
        if let Some(at) = view.model.next_change(now) {
            ui.ctx().request_repaint_after(at.saturating_duration_since(now));
        }
    }
}
