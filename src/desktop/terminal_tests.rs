//! The terminal's task with devices in memory and no gateway: what is seen and heard then, and that it ends.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Unit, UnitConfig};
use engine::handset::Permit;
use media::pcm::rms;
use media::tone::burst;
use pki::{Authority, Kind, Request};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::model::{Fact, Gesture, Hearing, Model, Note, Settings};
use crate::ptt::{Block, Source, Why};
use crate::sound::{Choice, Fake, Names};
use crate::terminal::{Terminal, WISHES_MAX, Wish};
use crate::tones::Pack;

/// Longer than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A unit that dials where nobody answers, and what a terminal of it is set to.
fn unit() -> (Unit, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::generate("nl").unwrap();
    authority.save(folder.path()).unwrap();
    authority.issue(&Request::new(Kind::Unit, "maas-12")).unwrap().save(folder.path()).unwrap();
    let file = folder.path().join("unit.toml");
    let text = r#"
identity   = { certificate = "maas-12.pem", key = "maas-12.key" }
roots      = { nl = "root.pem" }
gateways   = ["127.0.0.1:9"]
talkgroups = ["nl/pol-1"]
"#;
    fs::write(&file, text).unwrap();
    let config = UnitConfig::load(&file).unwrap();
    let settings = Settings::new(config.own.identity().clone(), config.talkgroups.clone(), Permit::Tone);
    let unit =
        Unit::start(config.settings(config.talkgroups.clone(), PATIENCE), Arc::new(transport::OsSockets), 1, transport::clock::system());
    (unit, settings)
}

#[tokio::test]
async fn without_a_gateway_a_press_is_told_to_eye_and_ear_and_the_end_comes_when_asked_for() {
    let (unit, settings) = unit();
    let now = Instant::now();
    let fake = Fake::new();
    let model = Model::new(settings, now).unwrap();
    let (terminal, mut view) = Terminal::new(model, unit, Box::new(fake.clone()), Pack::default(), now).unwrap();
    let (wishes, taken) = mpsc::channel(WISHES_MAX);
    let task = tokio::spawn(terminal.run(taken, || {}));

    wishes.send(Wish::Fact(Box::new(Fact::Focus(true)))).await.unwrap();
    wishes.send(Wish::Gesture(Gesture::Press(Source::Key))).await.unwrap();
    let told = view.wait_for(|view| view.model.note() == Some(&Note::Key(Why::Blocked(Block::NoLink))));
    timeout(PATIENCE, told).await.unwrap().unwrap();
    // The tone goes on for as long as the key is held: a loudspeaker that plays one second gets one second.
    let steady = async {
        while fake.heard().len() < 16_000 {
            fake.pass(320);
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, steady).await.unwrap();
    assert!(rms(&fake.heard()) > 1_000.0);

    wishes.send(Wish::Gesture(Gesture::Release(Source::Key))).await.unwrap();
    timeout(PATIENCE, view.wait_for(|view| !view.model.keys().is_spent())).await.unwrap().unwrap();
    wishes.send(Wish::End).await.unwrap();
    timeout(PATIENCE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn devices_are_told_and_chosen_settings_kept_and_one_hears_oneself_without_a_gateway() {
    let (unit, settings) = unit();
    let now = Instant::now();
    let fake = Fake::new();
    fake.list(Names { microphones: vec!["Headset".into()], loudspeakers: Vec::new() });
    let model = Model::new(settings, now).unwrap();
    let (kept, keeps) = std::sync::mpsc::channel();
    let (terminal, mut view) = Terminal::new(model, unit, Box::new(fake.clone()), Pack::default(), now).unwrap();
    let terminal = terminal.kept_by(Box::new(move |settings| kept.send(settings.choice.clone()).unwrap()));
    let (wishes, taken) = mpsc::channel(WISHES_MAX);
    let task = tokio::spawn(terminal.run(taken, || {}));
    let told = view.wait_for(|view| view.model.setup().names.microphones == ["Headset"]);
    timeout(PATIENCE, told).await.unwrap().unwrap();

    let choice = Choice { microphone: Some("Headset".into()), loudspeaker: None };
    wishes.send(Wish::Gesture(Gesture::SetUp(true))).await.unwrap();
    wishes.send(Wish::Gesture(Gesture::Choose(choice.clone()))).await.unwrap();
    wishes.send(Wish::Gesture(Gesture::HearMyself)).await.unwrap();
    let listens = view.wait_for(|view| view.model.setup().hearing == Hearing::Listening);
    timeout(PATIENCE, listens).await.unwrap().unwrap();
    assert_eq!((keeps.recv().unwrap(), fake.chosen()), (choice.clone(), choice));
    fake.speak(&burst(500, 3_100));
    let back = view.wait_for(|view| matches!(view.model.setup().hearing, Hearing::Back(level) if level > 0.5));
    timeout(PATIENCE, back).await.unwrap().unwrap();
    let played = async {
        while fake.heard().len() < 32_000 {
            fake.pass(320);
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, played).await.unwrap();
    assert!(rms(&fake.heard()) > 1_000.0);
    wishes.send(Wish::End).await.unwrap();
    timeout(PATIENCE, task).await.unwrap().unwrap();
}
