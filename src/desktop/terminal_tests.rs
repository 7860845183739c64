//! The terminal's task with devices in memory and no gateway: what is seen and heard then, and that it ends.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Unit, UnitConfig};
use engine::handset::Permit;
use media::pcm::rms;
use pki::{Authority, Kind, Request};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::model::{Fact, Gesture, Model, Note, Settings};
use crate::ptt::{Block, Source, Why};
use crate::sound::Fake;
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
    let settings = Settings { me: config.own.identity().clone(), talkgroups: config.talkgroups.clone(), permit: Permit::Tone };
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
