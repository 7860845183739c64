//! The invariants, judged on every event of a unit, every frame that is heard and every status of a gateway.
//!
//! A breach is written down and fails the scene at its end; nothing here panics, for a panic in a task of its own would pass
//! unnoticed.
//!
//! | what | where |
//! |---|---|
//! | one voice at an ear, each frame once and in order, spoken under a grant that lived, silent after its end | `ear.rs` |
//! | a grant has one owner and ends; a request is answered; an emergency within a second | `mouth.rs` |
//! | no floor for whoever does not want it, no emergency behind routine, bounded queues, one talker in all views, first and last frame heard | `views.rs` |
//! | a talker is shown only if it asked, and *via* the home if that relays it | here |
//!
//! Some hold at any time, some only while the network is calm; `calm` is what the network itself says.

mod ear;
mod mouth;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use engine::handset::Event;
use gateway::status::Status;
use testkit::Net;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wire::control::Taken;
use wire::{Identity, Priority, RevokeCause, Spurt, TalkgroupId, Tier};

use ear::Ear;
use mouth::{Left, Mouth};
use views::Views;

/// Breaches written down; more say nothing new.
const BREACHES_MAX: usize = 40;
/// How long after it asked a unit may still be shown as the talker: the slowest message of the worst network.
const ASKED_WITHIN: Duration = Duration::from_secs(30);
/// So long after packets were held up, old ones may still be played.
const HELD_UP: Duration = Duration::from_secs(6);
/// A liar needs a moment to lead the numbers around the circle.
const AROUND: Duration = Duration::from_secs(3);
/// How long ago somebody of another country may have fallen silent who still displaces a talker: the way there and back, and the tail.
const STILL_TALKS: Duration = Duration::from_millis(1_000);

/// What a test frame says: who speaks, and the how manyth frame of that unit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    /// The talker's number in the watch.
    pub(crate) talker: u16,
    /// Counts the talker's frames, from 1.
    pub(crate) count: u32,
}

impl Sound {
    /// Whoever says what no unit says: a gateway that lies.
    pub(crate) const FORGED: u16 = u16::MAX;

    /// A payload as long as an Opus frame of speech.
    pub(crate) fn payload(self) -> Vec<u8> {
        let mut bytes = vec![0x5a; 60];
        bytes[..2].copy_from_slice(&self.talker.to_be_bytes());
        bytes[2..6].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// Reads it back; `None` for anything that no test unit said.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (head, tail) = bytes.split_at_checked(6)?;
        let fits = tail.len() == 54 && tail.iter().all(|byte| *byte == 0x5a);
        fits.then(|| Self {
            talker: u16::from_be_bytes([head[0], head[1]]),
            count: u32::from_be_bytes([head[2], head[3], head[4], head[5]]),
        })
    }
}

/// One unit as the watch sees it.
#[derive(Debug)]
struct Watched {
    identity: Identity,
    /// Where it sits, and where its gateway does.
    path: (IpAddr, IpAddr),
    /// When its NAT gave it another port.
    rebound: Option<Instant>,
    mouth: Mouth,
    ear: Ear,
}

/// What is expected of the views of a world, beyond what always holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// The authority whose gateway arbitrates; its partners' views must agree with it. `None`: nothing is known.
    pub(crate) home: Option<String>,
    /// Whether all agreements let the home pass on what one partner says to the others.
    pub(crate) onward: bool,
    /// What the ways of packets add to limits that begin at a unit and end at a gateway: from the unit to the home and back.
    pub(crate) ways: Duration,
    /// Authorities whose gateway is an attacker: it may name units that are none of ours.
    pub(crate) liars: BTreeSet<String>,
}

/// How often what was seen; a run that shows none of it proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Frames heard.
    pub(crate) frames: u64,
    /// Grants at units, a grant said again not counted.
    pub(crate) grants: u64,
    /// Spurts cut by somebody more important.
    pub(crate) preemptions: u64,
    /// Splits during which both sides talked.
    pub(crate) splits: u64,
    /// Partners that found their home again.
    pub(crate) heals: u64,
    /// Gateways and units killed.
    pub(crate) kills: u64,
    /// Emergencies granted on the own side only.
    pub(crate) own_side: u64,
    /// Talkers that gave way to somebody else's grant at a heal.
    pub(crate) displaced: u64,
}

/// Everybody's events, and what they must never show.
#[derive(Debug)]
pub(crate) struct Watch {
    began: Instant,
    net: Net,
    units: Vec<Watched>,
    owners: BTreeMap<(TalkgroupId, u32), (Identity, Instant)>,
    views: Views,
    breaches: Vec<String>,
    pub(crate) rules: Rules,
    pub(crate) totals: Totals,
    /// The tasks that feed it; each must end without a panic.
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Nobody is watched yet.
    pub(crate) fn new(net: Net) -> Self {
        Self {
            began: Instant::now(),
            net,
            units: Vec::new(),
            owners: BTreeMap::new(),
            views: Views::default(),
            breaches: Vec::new(),
            rules: Rules::default(),
            totals: Totals::default(),
            tasks: Vec::new(),
        }
    }

    /// A new unit on this host, at a gateway on that one; returns its number.
    pub(crate) fn add(&mut self, identity: Identity, host: IpAddr, gateway: IpAddr) -> u16 {
        let led = self.rules.home.as_ref().is_some_and(|home| self.rules.liars.contains(home));
        self.units.push(Watched { identity, path: (host, gateway), rebound: None, mouth: Mouth::new(led), ear: Ear::new(led) });
        u16::try_from(self.units.len() - 1).expect("few units")
    }

    /// Takes what was breached.
    pub(crate) fn take_breaches(&mut self) -> Vec<String> {
        std::mem::take(&mut self.breaches)
    }

    /// Writes a breach down.
    pub(crate) fn breach(&mut self, what: &str) {
        if self.breaches.len() < BREACHES_MAX {
            self.breaches.push(format!("{:.3} s: {what}", self.began.elapsed().as_secs_f64()));
        }
    }

    fn judge(&mut self, verdict: Result<(), String>) {
        if let Err(what) = verdict {
            self.breach(&what);
        }
    }

    fn unit(&mut self, number: u16) -> &mut Watched {
        &mut self.units[usize::from(number)]
    }

    fn named<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a Watched> {
        self.units.iter().filter(move |unit| unit.identity == *identity)
    }

    // === A unit's own doing ===

    /// The key goes down or is raised.
    pub(crate) fn pressed(&mut self, number: u16, priority: Priority) {
        self.unit(number).mouth.pressed(priority);
    }

    /// The unit says its next frame.
    pub(crate) fn says(&mut self, number: u16) -> Sound {
        Sound { talker: number, count: self.unit(number).mouth.says(Instant::now()) }
    }

    /// When a frame was said.
    pub(crate) fn said_at(&self, sound: Sound) -> Option<Instant> {
        self.units.get(usize::from(sound.talker)).and_then(|unit| unit.mouth.said_at(sound.count))
    }

    /// How many frames a unit has said.
    pub(crate) fn said(&self, number: u16) -> u32 {
        self.units[usize::from(number)].mouth.said()
    }

    /// The unit's NAT gives it another port from now on.
    pub(crate) fn rebound(&mut self, number: u16) {
        self.unit(number).rebound = Some(Instant::now());
    }

    /// The unit's process is gone.
    pub(crate) fn killed(&mut self, number: u16) {
        self.totals.kills += 1;
        let now = Instant::now();
        let unit = self.unit(number);
        unit.mouth.cut_off(now);
        unit.ear.new_session();
    }

    // === What units are told ===

    /// The unit's session is lost.
    pub(crate) fn disconnected(&mut self, number: u16) {
        let now = Instant::now();
        let unit = self.unit(number);
        unit.mouth.cut_off(now);
        unit.ear.new_session();
    }

    /// Something happened at a unit.
    pub(crate) fn event(&mut self, number: u16, event: &Event) {
        let now = Instant::now();
        match event {
            Event::Affiliated(_) => {
                let unit = self.unit(number);
                unit.mouth.new_session();
                unit.ear.new_session();
            }
            Event::Requested(_, request) => self.unit(number).mouth.requested(*request, now),
            Event::Granted(talkgroup, granted) => {
                let (who, before) = (self.unit(number).identity.clone(), self.unit(number).mouth.grants());
                let verdict = self.unit(number).mouth.granted(granted, now);
                self.judge(verdict.map_err(|what| format!("{who}: {what}")));
                self.owner(talkgroup, granted.spurt, &who);
                let fresh = self.unit(number).mouth.grants() > before;
                self.totals.grants += u64::from(fresh);
                self.totals.own_side += u64::from(fresh && granted.own_side_only && granted.tier == Tier::Emergency);
            }
            Event::Queued(_, request, _) => self.unit(number).mouth.queued(*request, now),
            Event::Denied(_, request, cause) => {
                let who = self.unit(number).identity.clone();
                let verdict = self.unit(number).mouth.denied(*request, *cause, now);
                self.judge(verdict.map_err(|what| format!("{who}: {what}")));
            }
            Event::Revoked(_, request, _, cause) => {
                if *cause == RevokeCause::Preempted {
                    self.totals.preemptions += 1;
                }
                if *cause == RevokeCause::Displaced {
                    self.displaced(number, now);
                }
                self.unit(number).mouth.revoked(*request, *cause, now);
            }
            Event::Released(_, request, spurt) => self.released(number, *request, *spurt, now),
            Event::Taken(talkgroup, taken) => self.taken(number, talkgroup, taken, now),
            Event::Idle(_, spurt, _) => self.unit(number).ear.idle(*spurt, now),
            Event::Emergency(_, true, originator) => self.known(number, originator, "in emergency", now),
            Event::Emergency(_, false, _)
            | Event::EmergencyEndRefused(..)
            | Event::Connected(_)
            | Event::Refused(_)
            | Event::AffiliateRefused(..)
            | Event::FirstAudio(..)
            | Event::Interrupted(..)
            | Event::FarSide(_)
            | Event::GatewayLost => {}
        }
    }

    /// One owner: whoever is granted or shown under a number in a talkgroup is the only one ever; a liar may lead the numbers
    /// all around the circle.
    fn owner(&mut self, talkgroup: &TalkgroupId, spurt: Spurt, who: &Identity) {
        let now = Instant::now();
        let key = (talkgroup.clone(), spurt.to_bits());
        if !self.rules.liars.is_empty() {
            self.owners.retain(|_, (_, since)| within(*since, now, AROUND));
        }
        let owner = self.owners.entry(key).or_insert_with(|| (who.clone(), now)).0.clone();
        if owner != *who {
            self.breach(&format!("{spurt} belongs to {owner} and to {who} in {talkgroup}"));
        }
    }

    fn taken(&mut self, number: u16, talkgroup: &TalkgroupId, taken: &Taken, now: Instant) {
        let talker = taken.talker.identity.clone();
        self.known(number, &talker, "talking", now);
        self.owner(talkgroup, taken.spurt, &talker);
        let unit = self.unit(number);
        unit.ear.taken(taken, now);
        let (who, own) = (unit.identity.clone(), unit.identity.authority.clone());
        let Some(home) = self.rules.home.clone() else { return };
        let relayed = own.as_str() != home && talker.authority.as_str() != home && talker.authority != own;
        let via = taken.via.as_ref().map(|via| via.to_string());
        if via != relayed.then(|| home.clone()) {
            self.breach(&format!("{who} is shown {talker} via {via:?}"));
        }
        if relayed && !self.rules.onward {
            self.breach(&format!("{who} is shown {talker}, which no agreement passes on"));
        }
    }

    /// Nobody is shown as talking or in emergency who never asked for it.
    fn known(&mut self, number: u16, named: &Identity, what: &str, now: Instant) {
        let asked = self.named(named).any(|unit| unit.mouth.wanted_within(ASKED_WITHIN, now));
        let someone = self.named(named).next().is_some();
        let lies = !someone && self.rules.liars.contains(named.authority.as_str());
        if !asked && !lies && (what == "talking" || !someone) {
            let who = self.unit(number).identity.clone();
            self.breach(&format!("{who} is shown {named} as {what}, who never asked for it"));
        }
    }

    /// Whoever is displaced at a heal gives way to somebody who talked at the same time, or for whom the floor is kept because it
    /// went without a word; not to a ghost.
    fn displaced(&mut self, number: u16, now: Instant) {
        self.totals.displaced += 1;
        let own = &self.units[usize::from(number)];
        let truthful = self.rules.liars.is_empty() && self.calm_since().is_some();
        let Some(from) = own.mouth.live_since().filter(|_| truthful) else { return };
        let met = self.units.iter().filter(|other| other.identity != own.identity).any(|other| {
            let abroad = other.identity.authority != own.identity.authority;
            let kept = other.mouth.content_since().filter(|(_, left)| *left != Left::InOrder).map(|(since, left)| since + left.kept());
            kept.is_some_and(|until| until >= from) || other.mouth.talked_between(if abroad { from - STILL_TALKS } else { from }, now)
        });
        if !met {
            let who = own.identity.clone();
            self.breach(&format!("{who} is displaced although nobody else talked"));
        }
    }

    // === Ears ===

    /// A unit hears a frame.
    pub(crate) fn heard(&mut self, number: u16, spurt: Spurt, payload: &[u8]) -> Option<Sound> {
        let now = Instant::now();
        self.totals.frames += 1;
        if let Some(sound) = Sound::read(payload).filter(|sound| sound.talker == Sound::FORGED && !self.rules.liars.is_empty()) {
            self.forged(number, spurt, sound, now);
            return None;
        }
        let Some(sound) = Sound::read(payload).filter(|sound| usize::from(sound.talker) < self.units.len()) else {
            let who = &self.units[usize::from(number)].identity;
            self.breach(&format!("{who} hears what no unit said"));
            return None;
        };
        let mouth = &self.units[usize::from(sound.talker)].mouth;
        // The talker may know its voice by a later number only.
        let later =
            self.units[usize::from(number)].ear.numbers(spurt).iter().find(|later| mouth.may_be_heard(**later, sound.count).is_ok());
        let spoken = later.map_or_else(|| mouth.may_be_heard(spurt, sound.count), |_| Ok(()));
        let said = mouth.said_at(sound.count).unwrap_or(now);
        let in_time = self.clear_since(usize::from(number)).is_some_and(|since| !within(since, now, HELD_UP));
        let whole = self.begins_late(number, sound).map_or(Ok(()), Err);
        let unit = self.unit(number);
        let played = unit.ear.hears(spurt, sound, said, in_time, now);
        let alone = match unit.mouth.live() {
            _ if number == sound.talker => Err("its own voice".to_owned()),
            // A newer number says that the own grant is over; its revoke is still on the way.
            Some((since, own)) if since < now && own.is_after(spurt) => Err("somebody under its own voice".to_owned()),
            _ => Ok(()),
        };
        for what in [spoken, whole, played, alone].into_iter().filter_map(Result::err) {
            let [who, name] = [number, sound.talker].map(|unit| self.units[usize::from(unit)].identity.clone());
            self.breach(&format!("{who} hears {name}: {what}"));
        }
        Some(sound)
    }
}

impl Watch {
    /// The voice of a liar: it may be heard like any other, once and in order, while the unit is shown somebody of the liar's
    /// own country, or nobody yet.
    fn forged(&mut self, number: u16, spurt: Spurt, sound: Sound, now: Instant) {
        let (began, liars) = (self.began, self.rules.liars.clone());
        let unit = self.unit(number);
        let named = unit.ear.named(spurt, now, |talker| liars.contains(talker.authority.as_str()));
        // What a liar says at once is played for as long as the buffer holds.
        let played = unit.ear.hears(spurt, sound, began, false, now);
        let who = unit.identity.clone();
        for what in [named, played].into_iter().filter_map(Result::err) {
            self.breach(&format!("{who} hears a liar: {what}"));
        }
    }
}

/// Whether two moments lie at most so far apart.
fn within(from: Instant, to: Instant, at_most: Duration) -> bool {
    to.saturating_duration_since(from) <= at_most
}

/// The effective limit of one spurt: T2 and T3, the first frame's delay, and a second for the way.
fn longest_spurt(tier: Tier) -> Duration {
    Duration::from_secs(if tier == Tier::Emergency { 60 } else { 30 }) + Duration::from_secs(4)
}

/// Takes a status in and judges time; called every 200 ms.
impl Watch {
    /// A gateway is started or killed.
    pub(crate) fn gateway(&mut self, authority: &str, runs: bool) {
        self.views.gateway(authority, runs, Instant::now());
        self.totals.kills += u64::from(!runs);
    }

    /// What a gateway shows now.
    pub(crate) fn status(&mut self, authority: &str, status: &Status) {
        self.judge_status(authority, status, Instant::now());
    }
}
