//! A life as a script: what happens when, as lines that can be read, cut down and played again.
//!
//! ```text
//! setup onward emergency
//! 2.150 press be-2 emergency 16
//! 2.900 cut nl-be both
//! 4.310 release be-2
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use testkit::{Burst, Link};
use wire::Tier;

/// The countries of a life, the home first.
pub(crate) const COUNTRIES: [&str; 3] = ["nl", "be", "de"];
/// Units in each.
pub(crate) const UNITS_EACH: usize = 4;

/// A unit, counted over all countries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnitNo(pub(crate) usize);

impl UnitNo {
    /// Every unit of a life.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..COUNTRIES.len() * UNITS_EACH).map(Self)
    }

    /// Its country.
    pub(crate) fn country(self) -> &'static str {
        COUNTRIES[self.0 / UNITS_EACH]
    }

    /// Its name inside the country.
    pub(crate) fn name(self) -> String {
        format!("u-{}", self.0 % UNITS_EACH + 1)
    }
}

/// Which direction of a border is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Both,
    /// From the home.
    Out,
    /// To the home.
    In,
}

/// What a path is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Fibre,
    /// Congested: bursts of loss, jitter that keeps the order.
    Wifi,
    /// Weak: loss, delay, packets that overtake each other.
    Mobile,
    Satellite,
    /// 30 % of the packets are lost.
    Torn,
    /// Nothing is lost, but packets come in any order.
    Shuffled,
    /// Everything twice.
    Echo,
}

/// Every path, by its word.
const PATHS: [(&str, Path); 7] = [
    ("fibre", Path::Fibre),
    ("wifi", Path::Wifi),
    ("mobile", Path::Mobile),
    ("satellite", Path::Satellite),
    ("torn", Path::Torn),
    ("shuffled", Path::Shuffled),
    ("echo", Path::Echo),
];
const WAYS: [(&str, Way); 3] = [("both", Way::Both), ("out", Way::Out), ("in", Way::In)];
const TIERS: [(&str, Tier); 3] = [("normal", Tier::Normal), ("peril", Tier::Peril), ("emergency", Tier::Emergency)];

impl Path {
    /// One direction of it.
    pub(crate) fn link(self) -> Link {
        let ms = Duration::from_millis;
        match self {
            Self::Fibre => Link::delayed(ms(5)),
            Self::Wifi => Link::delayed(ms(8)).jittery(ms(30)).bursty(Burst::losing(0.03, 4.0)),
            Self::Mobile => Link::delayed(ms(45)).jittery(ms(40)).reordering().losing(0.03).duplicating(0.01),
            Self::Satellite => Link::delayed(ms(280)).jittery(ms(10)),
            Self::Torn => Link::delayed(ms(20)).losing(0.3),
            Self::Shuffled => Link::delayed(ms(10)).jittery(ms(60)).reordering(),
            Self::Echo => Link::delayed(ms(15)).jittery(ms(10)).duplicating(0.9),
        }
    }

    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        word_of(&PATHS, self)
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Press(UnitNo, Tier, u8),
    Release(UnitNo),
    EndEmergency(UnitNo),
    /// The unit's source falls silent, with the key down.
    Hush(UnitNo),
    KillUnit(UnitNo),
    StartUnit(UnitNo),
    FreezeUnit(UnitNo),
    ThawUnit(UnitNo),
    /// Its NAT forgets it.
    Rebind(UnitNo),
    UnitPath(UnitNo, Path),
    /// Borders and gateways are named by country; a border by its partner's.
    Cut(&'static str, Way),
    Heal(&'static str, Way),
    BorderPath(&'static str, Path),
    KillGateway(&'static str),
    StartGateway(&'static str),
    FreezeGateway(&'static str),
    ThawGateway(&'static str),
}

/// Something that happens at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Milliseconds since the world was whole.
    pub(crate) at_ms: u64,
    pub(crate) what: What,
}

/// What the configurations say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// All sides let the home pass on what a partner says.
    pub(crate) onward: bool,
    /// The home admits emergencies of de.
    pub(crate) emergency: bool,
}

/// A life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Step>,
}

fn word_of<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("?", |(word, _)| word)
}

fn by_word<T: Copy>(words: &[(&'static str, T)], text: &str) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| format!("'{text}' is unknown here"))
}

// === As text ===

impl fmt::Display for UnitNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.country(), self.0 % UNITS_EACH + 1)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} ", self.at_ms / 1_000, self.at_ms % 1_000)?;
        match self.what {
            What::Press(unit, tier, level) => write!(f, "press {unit} {} {level}", word_of(&TIERS, tier)),
            What::Release(unit) => write!(f, "release {unit}"),
            What::EndEmergency(unit) => write!(f, "end-emergency {unit}"),
            What::Hush(unit) => write!(f, "hush {unit}"),
            What::KillUnit(unit) => write!(f, "kill {unit}"),
            What::StartUnit(unit) => write!(f, "start {unit}"),
            What::FreezeUnit(unit) => write!(f, "freeze {unit}"),
            What::ThawUnit(unit) => write!(f, "thaw {unit}"),
            What::Rebind(unit) => write!(f, "rebind {unit}"),
            What::UnitPath(unit, path) => write!(f, "path {unit} {}", path.word()),
            What::Cut(code, way) => write!(f, "cut {code} {}", word_of(&WAYS, way)),
            What::Heal(code, way) => write!(f, "heal {code} {}", word_of(&WAYS, way)),
            What::BorderPath(code, path) => write!(f, "path {code} {}", path.word()),
            What::KillGateway(code) => write!(f, "kill {code}"),
            What::StartGateway(code) => write!(f, "start {code}"),
            What::FreezeGateway(code) => write!(f, "freeze {code}"),
            What::ThawGateway(code) => write!(f, "thaw {code}"),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |on: bool, word: &'static str| if on { word } else { "" };
        writeln!(f, "setup {} {}", flag(self.setup.onward, "onward"), flag(self.setup.emergency, "emergency"))?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// A unit or a country, as a line names it.
enum Who {
    Unit(UnitNo),
    Country(&'static str),
}

fn who(text: &str) -> Result<Who, String> {
    let country = |code: &str| COUNTRIES.iter().position(|known| *known == code);
    if let Some(index) = country(text) {
        return Ok(Who::Country(COUNTRIES[index]));
    }
    let parsed = text.split_once('-').and_then(|(code, number)| Some((country(code)?, number.parse::<usize>().ok()?)));
    match parsed {
        Some((index, number)) if (1..=UNITS_EACH).contains(&number) => Ok(Who::Unit(UnitNo(index * UNITS_EACH + number - 1))),
        _ => Err(format!("'{text}' is neither a country nor a unit")),
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (at, verb, subject, rest) = match words.as_slice() {
            [at, verb, subject, rest @ ..] => (*at, *verb, who(subject)?, rest),
            _ => return Err(format!("'{line}' is no step: MOMENT VERB WHO ...")),
        };
        let seconds: f64 = at.parse().map_err(|_none| format!("'{at}' is no moment in seconds"))?;
        let at_ms = u64::try_from(Duration::from_secs_f64(seconds.max(0.0)).as_millis()).unwrap_or(u64::MAX);
        let word = |index: usize| rest.get(index).copied().unwrap_or_default();
        let what = match (verb, subject) {
            ("press", Who::Unit(unit)) => {
                let level = word(1).parse().map_err(|_none| format!("'{}' is no level", word(1)))?;
                What::Press(unit, by_word(&TIERS, word(0))?, level)
            }
            ("release", Who::Unit(unit)) => What::Release(unit),
            ("end-emergency", Who::Unit(unit)) => What::EndEmergency(unit),
            ("hush", Who::Unit(unit)) => What::Hush(unit),
            ("kill", Who::Unit(unit)) => What::KillUnit(unit),
            ("start", Who::Unit(unit)) => What::StartUnit(unit),
            ("freeze", Who::Unit(unit)) => What::FreezeUnit(unit),
            ("thaw", Who::Unit(unit)) => What::ThawUnit(unit),
            ("rebind", Who::Unit(unit)) => What::Rebind(unit),
            ("path", Who::Unit(unit)) => What::UnitPath(unit, by_word(&PATHS, word(0))?),
            ("cut", Who::Country(code)) => What::Cut(code, by_word(&WAYS, word(0))?),
            ("heal", Who::Country(code)) => What::Heal(code, by_word(&WAYS, word(0))?),
            ("path", Who::Country(code)) => What::BorderPath(code, by_word(&PATHS, word(0))?),
            ("kill", Who::Country(code)) => What::KillGateway(code),
            ("start", Who::Country(code)) => What::StartGateway(code),
            ("freeze", Who::Country(code)) => What::FreezeGateway(code),
            ("thaw", Who::Country(code)) => What::ThawGateway(code),
            _ => return Err(format!("'{line}': nothing of that kind happens to it")),
        };
        Ok(Self { at_ms, what })
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let words = lines.next().and_then(|line| line.strip_prefix("setup")).ok_or("the first line is 'setup ...'")?;
        let setup = Setup { onward: words.contains("onward"), emergency: words.contains("emergency") };
        Ok(Self { setup, steps: lines.map(str::parse).collect::<Result<_, _>>()? })
    }
}
