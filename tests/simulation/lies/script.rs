//! Lies as a script: who lies, and what is said when, as lines that can be read, cut down and played again.
//!
//! ```text
//! liar home
//! 2.150 press nl-2 emergency
//! 2.180 lie two-grants 77120
//! 4.310 release nl-2
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use wire::Tier;

/// The country whose gateway lies.
pub(crate) const LIAR: &str = "be";
/// The honest countries.
pub(crate) const HONEST: [&str; 2] = ["nl", "de"];
/// Units in each of them.
pub(crate) const UNITS_EACH: usize = 2;

/// An honest unit, counted over both countries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnitNo(pub(crate) usize);

impl UnitNo {
    /// Every honest unit.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..HONEST.len() * UNITS_EACH).map(Self)
    }

    /// Its country.
    pub(crate) fn country(self) -> &'static str {
        HONEST[self.0 / UNITS_EACH]
    }

    /// Its name inside the country.
    pub(crate) fn name(self) -> String {
        format!("u-{}", self.0 % UNITS_EACH + 1)
    }
}

/// What the liar is to the honest countries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A partner of nl, like de; it may talk, and no more.
    Partner,
    /// The home of both.
    Home,
}

/// Every role, by its word.
const ROLES: [(&str, Role); 2] = [("partner", Role::Partner), ("home", Role::Home)];
/// The tiers that honest units ask for.
const TIERS: [(&str, Tier); 2] = [("normal", Tier::Normal), ("emergency", Tier::Emergency)];

/// What a liar does. A number from the script decides everything that is random in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// A true answer to the newest request, so that there are calls to disturb; of a partner a spurt of its own.
    Honest,
    /// Messages that it was told, again.
    ReplayMessages,
    /// Datagrams that it was told, again.
    ReplayDatagrams,
    /// All that it said lately, again.
    ReplayOwn,
    /// Messages that it was told, with fields changed.
    TwistMessages,
    /// Voice that it was told, with fields changed.
    TwistVoice,
    /// Requests above what its country may claim.
    Claims,
    /// Requests and talkers in other countries' names.
    Names,
    /// Grants and ends of what it does not own.
    Grants,
    /// One grant after the other, to two units.
    TwoGrants,
    /// A denial of everything that was asked.
    Denials,
    /// Voice and talkers under numbers of the past and of far ahead.
    Numbers,
    /// Somebody who does not exist talks.
    Ghost,
    /// Keeps the floor that it was given.
    Hold,
    /// Begins the bridge again, with any epoch and number.
    Syncs,
    SyncFlood,
    /// Other words, then the right ones.
    Agreements,
    AgreementFlood,
    RequestFlood,
    FloorFlood,
    VoiceFlood,
    /// Heartbeats that say anything, faster than anybody beats.
    BeatFlood,
    /// A session that opens everything and reads nothing.
    Deaf,
    /// Bytes that are no message.
    Garbage,
    /// Datagrams that are none.
    Fragments,
    /// Ends of emergencies that it has no right to.
    EmergencyEnds,
    /// Emergencies that nobody raised.
    Emergencies,
    /// Everything about talkgroups that it is no side of.
    Elsewhere,
    /// Neither beats nor speaks for a while.
    Silence,
    /// Comes again, over the session that it has.
    Again,
    /// Leaves; whatever it says next it says in a new session.
    Leave,
}

/// Every lie, by its word.
pub(crate) const LIES: [(&str, Lie); 31] = [
    ("honest", Lie::Honest),
    ("replay-messages", Lie::ReplayMessages),
    ("replay-datagrams", Lie::ReplayDatagrams),
    ("replay-own", Lie::ReplayOwn),
    ("twist-messages", Lie::TwistMessages),
    ("twist-voice", Lie::TwistVoice),
    ("claims", Lie::Claims),
    ("names", Lie::Names),
    ("grants", Lie::Grants),
    ("two-grants", Lie::TwoGrants),
    ("denials", Lie::Denials),
    ("numbers", Lie::Numbers),
    ("ghost", Lie::Ghost),
    ("hold", Lie::Hold),
    ("syncs", Lie::Syncs),
    ("sync-flood", Lie::SyncFlood),
    ("agreements", Lie::Agreements),
    ("agreement-flood", Lie::AgreementFlood),
    ("request-flood", Lie::RequestFlood),
    ("floor-flood", Lie::FloorFlood),
    ("voice-flood", Lie::VoiceFlood),
    ("beat-flood", Lie::BeatFlood),
    ("deaf", Lie::Deaf),
    ("garbage", Lie::Garbage),
    ("fragments", Lie::Fragments),
    ("emergency-ends", Lie::EmergencyEnds),
    ("emergencies", Lie::Emergencies),
    ("elsewhere", Lie::Elsewhere),
    ("silence", Lie::Silence),
    ("again", Lie::Again),
    ("leave", Lie::Leave),
];

impl Lie {
    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        word_of(&LIES, self)
    }

    /// Whether no session survives it.
    pub(crate) fn costs_the_session(self) -> bool {
        use Lie::{AgreementFlood, FloorFlood, Fragments, Garbage, Leave, Silence, SyncFlood};
        matches!(self, AgreementFlood | FloorFlood | Fragments | Garbage | Leave | Silence | SyncFlood)
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Press(UnitNo, Tier),
    Release(UnitNo),
    EndEmergency(UnitNo),
    Lie(Lie, u32),
}

/// Something that happens at a moment; a lie that is not over by then comes as soon as the one before it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Milliseconds since everybody had joined.
    pub(crate) at_ms: u64,
    pub(crate) what: What,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) role: Role,
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
            What::Press(unit, tier) => write!(f, "press {unit} {}", word_of(&TIERS, tier)),
            What::Release(unit) => write!(f, "release {unit}"),
            What::EndEmergency(unit) => write!(f, "end-emergency {unit}"),
            What::Lie(lie, number) => write!(f, "lie {} {number}", lie.word()),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "liar {}", word_of(&ROLES, self.role))?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl FromStr for UnitNo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|unit| unit.to_string() == text).ok_or_else(|| format!("'{text}' is no honest unit"))
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let what = match words[..] {
            [_, "press", unit, tier] => What::Press(unit.parse()?, by_word(&TIERS, tier)?),
            [_, "release", unit] => What::Release(unit.parse()?),
            [_, "end-emergency", unit] => What::EndEmergency(unit.parse()?),
            [_, "lie", lie, number] => What::Lie(by_word(&LIES, lie)?, number.parse().map_err(|_none| format!("'{number}' is no number"))?),
            _ => return Err(format!("'{line}' is no step: MOMENT VERB WHAT ...")),
        };
        let seconds: f64 = words[0].parse().map_err(|_none| format!("'{}' is no moment in seconds", words[0]))?;
        let at_ms = u64::try_from(Duration::from_secs_f64(seconds.max(0.0)).as_millis()).unwrap_or(u64::MAX);
        Ok(Self { at_ms, what })
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let role = lines.next().and_then(|line| line.strip_prefix("liar ")).ok_or("the first line is 'liar partner' or 'liar home'")?;
        Ok(Self { role: by_word(&ROLES, role)?, steps: lines.map(str::parse).collect::<Result<_, _>>()? })
    }
}
