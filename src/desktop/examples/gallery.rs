//! Shows one state of the window, played by a script instead of a gateway: for looking at it.
//!
//! ```text
//! gallery free|wait|on-air|own-side|receiving|queued|denied|cut-off|away|lost|arming|confirm|sent|alarm dark|light|night en|nl
//! ```

use std::time::{Duration, Instant};

use client::What;
use eframe::egui::{Ui, ViewportBuilder};
use engine::handset::{Event, Permit};
use talkbridge_desktop::model::{Fact, Gesture, Model, Settings, Touch};
use talkbridge_desktop::ptt::Source;
use talkbridge_desktop::theme::Theme;
use talkbridge_desktop::window::{Levels, Window};
use talkbridge_desktop::words::Language;
use wire::control::{Affiliated, FarSide, Granted, Rights, Taken, Talker};
use wire::{DenyCause, Handle, Level, NameError, Reason, RequestId, RevokeCause, Spurt, TalkgroupId, Tier};

/// A script's model and clock.
struct Script {
    model: Model,
    now: Instant,
    groups: Vec<TalkgroupId>,
}

impl Script {
    fn new() -> Result<Self, NameError> {
        let now = Instant::now();
        let groups: Vec<TalkgroupId> =
            ["nl/pol-1", "nl/rescue", "de/fire-7", "nl/border-2"].iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
        let settings = Settings::new("nl/unit/maas-12".parse()?, groups.clone(), Permit::Tone);
        let mut model = Model::new(settings, now).ok_or(NameError::Scheme)?;
        for source in [Source::Key, Source::Button, Source::Socket] {
            model.fact(Fact::Source(source, true), now);
        }
        let mut script = Self { model, now, groups };
        script.event(Event::Connected("nl/gateway/gw-1".parse()?));
        let titles = ["Police Limburg 1", "Rescue Meuse", "Feuerwehr Aachen", "Border patrol 2"];
        for (group, title) in script.groups.clone().into_iter().zip(titles) {
            script.event(Event::Affiliated(Box::new(Affiliated {
                talkgroup: group,
                handle: Handle(1),
                title: title.into(),
                agency: "police".into(),
                rights: Rights { talk: true, emergency: true, peril: false, level_max: Level(16) },
                baseline: Spurt::from_bits(0x0100_0000),
                current: None,
                emergency: None,
                far_sides: Vec::new(),
            })));
        }
        script.taken(1, 1, Tier::Normal)?;
        script.now += Duration::from_secs(40);
        script.event(Event::Idle(script.groups[1].clone(), Spurt::from_bits(0x0100_0001), false));
        Ok(script)
    }

    fn event(&mut self, event: Event) {
        self.model.fact(Fact::Unit(What::Handset(event)), self.now);
    }

    fn taken(&mut self, group: usize, number: u32, tier: Tier) -> Result<(), NameError> {
        let talker = Talker { identity: "be/unit/lux-7".parse()?, alias: "Lux 7".into(), agency: "police".into() };
        let spurt = Spurt::from_bits(0x0100_0000 + number);
        self.event(Event::Taken(self.groups[group].clone(), Taken { spurt, talker, tier, via: None, elapsed_ms: 0 }));
        Ok(())
    }

    fn press(&mut self) {
        self.model.gesture(Gesture::Press(Source::Key), self.now);
        self.event(Event::Requested(self.groups[0].clone(), RequestId(1)));
    }

    fn talk(&mut self, own_side_only: bool) {
        self.press();
        let granted =
            Granted { request: RequestId(1), spurt: Spurt::from_bits(0x0100_0002), duration_s: 30, tier: Tier::Normal, own_side_only };
        self.event(Event::Granted(self.groups[0].clone(), granted));
        self.now += Duration::from_secs(3);
    }

    fn play(&mut self, state: &str) -> Result<(), NameError> {
        let first = self.groups[0].clone();
        match state {
            "wait" => self.press(),
            "on-air" => self.talk(false),
            "own-side" => self.talk(true),
            "receiving" => self.taken(0, 2, Tier::Normal)?,
            "queued" => {
                self.press();
                self.event(Event::Queued(first, RequestId(1), 2));
            }
            "denied" => {
                self.press();
                self.event(Event::Denied(first, RequestId(1), DenyCause::NoResources));
            }
            "cut-off" => {
                self.talk(false);
                self.event(Event::Revoked(first, RequestId(1), Spurt::from_bits(0x0100_0002), RevokeCause::Preempted));
            }
            "away" => self.event(Event::FarSide(FarSide { talkgroup: first, authority: "be".parse()?, present: false })),
            "lost" => self.model.fact(Fact::Unit(What::Disconnected(Reason::LinkLost)), self.now),
            "arming" => {
                self.model.gesture(Gesture::Emergency(Touch::Hold), self.now);
                self.now += Duration::from_millis(650);
            }
            "confirm" => self.model.gesture(Gesture::Emergency(Touch::Ask), self.now),
            "sent" => {
                self.model.gesture(Gesture::Emergency(Touch::Ask), self.now);
                self.model.gesture(Gesture::Emergency(Touch::Confirm), self.now);
            }
            "alarm" => {
                self.event(Event::Emergency(first, true, "be/unit/lux-7".parse()?));
                self.taken(0, 2, Tier::Emergency)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| arguments.get(at).map_or("", String::as_str);
    let theme = match word(1) {
        "light" => Theme::Light,
        "night" => Theme::Night,
        _ => Theme::Dark,
    };
    let mut script = Script::new()?;
    script.play(word(0))?;
    let mut window = Window::new(Language::of_locale(word(2)), theme, script.now);
    let options = eframe::NativeOptions { viewport: ViewportBuilder::default().with_inner_size([800.0, 480.0]), ..Default::default() };
    let draw = move |ui: &mut Ui, _: &mut eframe::Frame| {
        window.show(ui, &script.model, Levels { microphone: 0.4, loudspeaker: 0.1 }, script.now);
    };
    Ok(eframe::run_ui_native("gallery", options, draw)?)
}
