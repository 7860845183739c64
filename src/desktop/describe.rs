//! What is seen, in words and looks: the one place where the model's state becomes text, for the screen and for screen readers.

use std::time::{Duration, Instant};

use wire::control::Talker;
use wire::{TalkgroupId, Tier};

use crate::model::{BLINK, Emergency, Face, Group, Model, Note, Receiving, Stage};
use crate::ptt::{Block, Source, TalkKey, Why};
use crate::theme::Look;
use crate::words::Words;

/// One talkgroup, told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// How it looks.
    pub look: Look,
    /// The large word.
    pub word: String,
    /// The line below it; may be empty.
    pub line: String,
}

impl Told {
    fn new(look: Look, word: String, line: String) -> Self {
        Self { look, word, line }
    }

    /// Both in one line, for the list and for screen readers.
    pub fn sentence(&self) -> String {
        if self.line.is_empty() { self.word.clone() } else { format!("{}: {}", self.word, self.line) }
    }
}

/// How the floor of a talkgroup is told.
pub fn face(words: &Words, model: &Model, group: &Group, now: Instant) -> Told {
    match model.face(group, now) {
        Face::NotConnected(since, reason) => {
            let line = reason.map_or_else(|| words.say("line-dialling"), |reason| words.reason(reason));
            let word = words.say_with("face-not-connected", "clock", clock(now.saturating_duration_since(since)));
            Told::new(Look::NotConnected, word, line)
        }
        Face::Over(reason) => Told::new(Look::NotConnected, words.say("face-over"), words.reason(reason)),
        Face::Joining => Told::new(Look::NotConnected, words.say("face-joining"), String::new()),
        Face::NotAMember(reason) => Told::new(Look::Denied, words.say("face-not-a-member"), words.reason(reason)),
        Face::Free => {
            let line = if group.rights.talk { "line-free" } else { "line-listen-only" };
            Told::new(Look::Free, words.say("face-free"), words.say(line))
        }
        Face::Wait => {
            let line = if model.microphone(now).is_some() { "line-wait-open" } else { "line-wait" };
            Told::new(Look::Wait, words.say("face-wait"), words.say(line))
        }
        Face::Queued(position) => Told::new(Look::Queued, words.say_with("face-queued", "position", position), words.say("line-queued")),
        Face::OnAir(on_air, left) => {
            let look = if on_air.tier == Tier::Emergency { Look::Emergency } else { Look::OnAir };
            let reach = words.say(if on_air.own_side_only { "reach-own-side" } else { "reach-all" });
            let seconds = words.say_with("line-seconds-left", "seconds", left.as_secs_f32().ceil());
            Told::new(look, words.say("face-on-air"), format!("{reach}, {seconds}"))
        }
        Face::Receiving(receiving) => {
            let look = if receiving.tier == Tier::Emergency { Look::Emergency } else { Look::Receiving };
            Told::new(look, words.say("face-receiving"), heard(words, receiving))
        }
        Face::Denied(cause) => Told::new(Look::Denied, words.say("face-denied"), words.denied(cause)),
        Face::CutOff(cause) => Told::new(Look::Denied, words.say("face-cut-off"), words.revoked(cause)),
    }
}

/// Who is heard: agency before name, then the country, how urgent, and by which way.
fn heard(words: &Words, receiving: &Receiving) -> String {
    let mut line = talker(&receiving.talker);
    if receiving.tier != Tier::Normal {
        line = format!("{line}, {}", words.say(tier(receiving.tier)));
    }
    if let Some(via) = &receiving.via {
        line = format!("{line}, {}", words.say_with("line-via", "authority", country(via.as_str())));
    }
    if receiving.interrupted { format!("{line}, {}", words.say("line-talker-lost")) } else { line }
}

/// The key of a tier's name.
pub const fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Normal => "tier-normal",
        Tier::Peril => "tier-peril",
        Tier::Emergency => "tier-emergency",
    }
}

/// A talker in a few words: agency, name, country.
pub fn talker(talker: &Talker) -> String {
    let name = if talker.alias.is_empty() { talker.identity.name.as_str() } else { &talker.alias };
    let country = country(talker.identity.authority.as_str());
    if talker.agency.is_empty() { format!("{name} ({country})") } else { format!("{} {name} ({country})", talker.agency) }
}

fn country(authority: &str) -> String {
    authority.to_uppercase()
}

/// Sides that cannot be reached, `None` if all can.
pub fn away(words: &Words, group: &Group) -> Option<String> {
    let away: Vec<_> = group.away().map(|authority| country(authority.as_str())).collect();
    (!away.is_empty()).then(|| words.say_with("side-away", "authority", away.join(", ")))
}

/// Who is in emergency in a talkgroup.
pub fn alarm(words: &Words, group: &Group) -> Option<String> {
    let alarm = group.alarm.as_ref()?;
    let name = format!("{} ({})", alarm.originator.name, country(alarm.originator.authority.as_str()));
    Some(words.say_with("emergency-of", "name", name))
}

/// The line that says what just became of the user's wish.
pub fn note(words: &Words, note: &Note) -> String {
    match note {
        Note::Key(Why::Lost(source)) if source.needs_focus() => words.say("note-released-focus"),
        Note::Key(Why::Lost(_) | Why::Released) => words.say("note-released-source"),
        Note::Key(Why::TooLong) => words.say("note-too-long"),
        Note::Key(Why::Blocked(Block::NoLink)) => words.say("note-no-link"),
        Note::Key(Why::Blocked(Block::NoMicrophone)) => words.say("note-no-microphone"),
        Note::Key(Why::Blocked(Block::Locked)) => words.say("note-locked"),
        Note::Key(Why::Blocked(Block::Asleep)) => words.say("note-asleep"),
        Note::Reached(true) => words.say("reach-all"),
        Note::Reached(false) => words.say("reach-own-side"),
        Note::Ended(Stage::Denied(cause)) => words.denied(*cause),
        Note::Ended(Stage::CutOff(cause)) => words.revoked(*cause),
        Note::Ended(Stage::Asking | Stage::Queued(_) | Stage::OnAir(_)) => words.say("line-release"),
        Note::Refused(reason) => words.say_with("note-refused", "reason", words.reason(*reason)),
        Note::EmergencyGoesOn(cause) => words.say_with("note-emergency-goes-on", "cause", words.denied(*cause)),
    }
}

/// What the emergency control says beside its name.
pub fn emergency(words: &Words, model: &Model) -> String {
    words.say(match model.emergency() {
        Emergency::Calm if !model.selected().may_alarm() => "emergency-not-allowed",
        Emergency::Calm | Emergency::Confirming(_) => "emergency-hold",
        Emergency::Arming(_) => "emergency-arming",
        Emergency::Declared(declared) if declared.known => "emergency-known",
        Emergency::Declared(_) => "emergency-sent",
        Emergency::Ending(..) => "emergency-ending",
    })
}

/// The name of the key that talks in the window.
pub fn keys(words: &Words, chosen: Option<TalkKey>) -> String {
    match chosen.map(TalkKey::name) {
        None | Some("ControlRight") => words.say("key-control-right"),
        Some("AltRight") => words.say("key-alt-right"),
        Some(name) => name.to_owned(),
    }
}

/// The name of a source of push-to-talk.
pub fn source(words: &Words, source: Source, chosen: Option<TalkKey>) -> String {
    match source {
        Source::Key => words.say_with("source-key", "key", keys(words, chosen)),
        Source::Button => words.say("source-button"),
        Source::Desktop => words.say("source-desktop"),
        Source::Socket => words.say("source-socket"),
        Source::HotMicrophone => words.say("source-hot"),
    }
}

/// The title of a talkgroup, or its name where the unit is not in.
pub fn title(model: &Model, id: &TalkgroupId) -> String {
    model.groups().iter().find(|group| group.id == *id).map_or_else(|| id.to_string(), Group::title)
}

/// The line below a talkgroup's title.
pub fn belongs(group: &Group) -> String {
    if group.agency.is_empty() { group.id.to_string() } else { format!("{}, {}", group.id, group.agency) }
}

/// How long ago.
pub fn ago(words: &Words, time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => words.say_with("ago-seconds", "number", seconds),
        seconds => words.say_with("ago-minutes", "number", seconds / 60),
    }
}

/// Whether an unacknowledged emergency shows its bright half now: 2 Hz.
pub fn blinks(since_start: Duration) -> bool {
    (since_start.as_millis() / BLINK.as_millis()).is_multiple_of(2)
}

/// Minutes and seconds, as on a clock.
fn clock(time: Duration) -> String {
    format!("{:02}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}
