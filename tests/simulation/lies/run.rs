//! Plays a script of lies in a world of its own, and judges.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pki::Kind;
use tokio::time::{Instant, sleep, sleep_until};
use wire::{Level, Priority, Tier};

use super::generate::LIES_MS;
use super::judge;
use super::script::{HONEST, LIAR, Role, Script, Step, UnitNo, What};
use super::tell::Tongue;
use crate::support::World;
use crate::support::config::host_of;
use crate::support::radio::Radio;
use crate::support::scene::judged;
use crate::support::watch::Rules;

/// Peace is made by then: all whom a liar has queued, 32 and one that talks, are granted in turn and never speak, 2.8 s each.
const PEACE: Duration = Duration::from_secs(100);

/// How often what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Lies told, by their words.
    pub(crate) told: BTreeMap<&'static str, u64>,
    /// Lies that nobody let the liar tell.
    pub(crate) unheard: u64,
    /// Sessions it was let in to, and those that ended under a lie.
    pub(crate) sessions: u64,
    pub(crate) cut_off: u64,
    /// Spurts of honest units judged, and frames of them heard.
    pub(crate) calls: u64,
    pub(crate) frames: u64,
}

impl Tally {
    /// Adds another one.
    pub(crate) fn add(&mut self, other: &Self) {
        for (word, count) in &other.told {
            *self.told.entry(word).or_default() += count;
        }
        self.unheard += other.unheard;
        self.sessions += other.sessions;
        self.cut_off += other.cut_off;
        self.calls += other.calls;
        self.frames += other.frames;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { told, unheard, sessions, cut_off, calls, frames } = self;
        write!(
            f,
            "calls={calls} frames={frames} sessions={sessions} cut_off={cut_off} unheard={unheard} lies={}",
            told.values().sum::<u64>()
        )?;
        told.iter().try_for_each(|(word, count)| write!(f, " {word}={count}"))
    }
}

/// What became of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) tally: Tally,
    /// What broke; empty if nothing did.
    pub(crate) breaches: Vec<String>,
    /// A hash of every packet's time, way and size.
    pub(crate) trace: u64,
}

/// Lives a script.
pub(crate) fn live(seed: u64, script: &Script) -> Verdict {
    let codes = match script.role {
        Role::Partner => ["nl", "be", "de"],
        Role::Home => ["be", "nl", "de"],
    };
    let lived = catch_unwind(AssertUnwindSafe(|| judged(seed, &codes, async |world| play(world, script).await)));
    match lived {
        Ok(((tally, unrest, trace), mut breaches)) => {
            breaches.extend(unrest);
            Verdict { tally, breaches, trace }
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Verdict { tally: Tally::default(), breaches: vec![format!("panic: {}", text.unwrap_or_default())], trace: 0 }
        }
    }
}

async fn play(world: &mut World, script: &Script) -> (Tally, Vec<String>, u64) {
    let mut radios = begin(world, script.role).await;
    let mut tongue = Tongue::new(script.role, world);
    if !tongue.begin(world).await {
        return (Tally::default(), vec!["the liar was not let in".into()], 0);
    }
    let began = Instant::now();
    let (lies, calls): (Vec<Step>, Vec<Step>) = script.steps.iter().partition(|step| matches!(step.what, What::Lie(..)));
    let talking = async {
        for step in &calls {
            sleep_until(began + Duration::from_millis(step.at_ms)).await;
            act(&mut radios, step.what).await;
        }
        sleep_until(began + Duration::from_millis(LIES_MS)).await;
        for radio in &mut radios {
            radio.release().await;
        }
    };
    let lying = async {
        for step in &lies {
            let What::Lie(lie, number) = step.what else { continue };
            sleep_until(began + Duration::from_millis(step.at_ms)).await;
            if began.elapsed() < Duration::from_millis(LIES_MS) {
                tongue.tell(world, lie, number).await;
            }
        }
    };
    tokio::join!(talking, lying);
    // A home that is there and says nothing leaves its partners nobody to ask; a partner may stay.
    if script.role == Role::Home || script.steps.len().is_multiple_of(2) {
        tongue.leave();
    }
    let mut unrest = std::mem::take(&mut tongue.breaches);
    if let Some(why) = tongue.blatant.filter(|_| !world.log.contains("be/gateway/gw-1")) {
        unrest.push(format!("the liar is not named for its {why}"));
    }
    unrest.extend(peace(world, script.role, &mut radios).await);
    let spurts = judge::spurts(&radios);
    let mut tally = std::mem::take(&mut tongue.tally);
    judge::whole(script.role, &radios, &spurts, &mut tally, &mut unrest);
    if std::env::var_os("TALKBRIDGE_SCRIPT").is_some() {
        for radio in &radios {
            judge::tell(radio, began);
        }
    }
    drop((tongue, radios));
    sleep(Duration::from_secs(2)).await;
    (tally, unrest, world.net.trace_hash())
}

async fn begin(world: &mut World, role: Role) -> Vec<Radio> {
    if role == Role::Partner {
        // It may talk, but neither raise an emergency nor claim a level.
        for (code, peer) in [("nl", LIAR), (LIAR, "nl")] {
            let bridge = world.country(code).toml.peer(peer).bridge.as_mut().expect("a bridge");
            bridge.inbound = "{ talk = true, ceiling = { tier = \"normal\", level = 16, dispatcher = false } }".into();
        }
    }
    for code in HONEST {
        world.start(code);
    }
    let home = if role == Role::Partner { "nl" } else { LIAR };
    if role == Role::Partner {
        world.until("nl and de are joined", |w| w.bridge_state("de") == "active").await;
    }
    world.watch().rules = Rules { home: Some(home.into()), liars: [LIAR.to_owned()].into(), ..Rules::default() };
    let mut radios = Vec::new();
    for unit in UnitNo::all() {
        let issued = world.issue(unit.country(), Kind::Unit, &unit.name());
        radios.push(world.radio_with(unit.country(), &issued, host_of(unit.country())));
    }
    for radio in &radios {
        radio.joined().await;
    }
    radios
}

async fn act(radios: &mut [Radio], what: What) {
    match what {
        What::Press(unit, tier) => {
            radios[unit.0].try_press(Priority { tier, dispatcher: false, level: Level(16) }).await;
        }
        What::Release(unit) => radios[unit.0].release().await,
        What::EndEmergency(unit) => radios[unit.0].end_emergency().await,
        What::Lie(..) => {}
    }
}

// === Peace ===

/// The liar is quiet or gone: whatever is not well soon is returned.
async fn peace(world: &World, role: Role, radios: &mut [Radio]) -> Vec<String> {
    let by = Instant::now() + PEACE;
    loop {
        for radio in radios.iter() {
            radio.end_emergency().await;
        }
        sleep(Duration::from_millis(500)).await;
        let unrest = unrest(world, role, radios);
        if unrest.is_empty() {
            break;
        }
        if Instant::now() > by {
            return unrest.into_iter().map(|what| format!("no peace: {what}")).collect();
        }
    }
    // Ears play what came at once.
    sleep(Duration::from_secs(2)).await;
    let mut deaf = Vec::new();
    for talker in 0..radios.len() {
        let (mark, before) = (radios[talker].mark(), radios[talker].said());
        radios[talker].try_press(Priority { tier: Tier::Normal, dispatcher: false, level: Level(16) }).await;
        sleep(Duration::from_millis(400)).await;
        radios[talker].release().await;
        sleep(Duration::from_millis(700)).await;
        let said = usize::try_from(radios[talker].said() - before).unwrap_or(0);
        for (at, listener) in radios.iter().enumerate().filter(|(at, _)| *at != talker) {
            let heard = listener.heard_after(&radios[talker], before);
            let carried = judge::carries(role, UnitNo(talker), UnitNo(at));
            if heard != if carried { said } else { 0 } {
                deaf.push(format!("in peace {} hears {heard} of {said} frames of {}", listener.identity, radios[talker].identity));
            }
        }
        if !radios[talker].lines().iter().skip(mark).any(|line| line.contains("Granted")) {
            deaf.push(format!("in peace {} is not granted", radios[talker].identity));
        }
    }
    deaf
}

fn unrest(world: &World, role: Role, radios: &[Radio]) -> Vec<String> {
    let mut unrest = Vec::new();
    for code in HONEST {
        let status = world.status(code);
        for floor in &status.floors {
            if floor.talker.is_some() || !floor.queue.is_empty() {
                unrest.push(format!("{code}: {:?} talks, {:?} wait", floor.talker, floor.queue));
            }
        }
        // One that its own country's people are in lasts until they or a dispatcher end it.
        let emergency = status.talkgroups.iter().find_map(|talkgroup| talkgroup.emergency.clone());
        if let Some(who) = emergency.filter(|who| !who.starts_with(LIAR)) {
            unrest.push(format!("{code}: {who} is in emergency"));
        }
    }
    if role == Role::Partner && world.bridge_state("de") != "active" {
        unrest.push(format!("de: the bridge is {}", world.bridge_state("de")));
    }
    let away = radios.iter().filter(|radio| !radio.is_joined());
    unrest.extend(away.map(|radio| format!("{} lost its session", radio.identity)));
    unrest
}
