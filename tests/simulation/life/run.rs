//! Plays a script in a world of its own, and judges.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pki::Kind;
use tokio::time::{Instant, sleep, sleep_until};
use wire::{Level, Priority, Tier};

use super::generate::STORMS_MS;
use super::script::{COUNTRIES, Path, Script, UNITS_EACH, UnitNo, Way, What};
use crate::support::World;
use crate::support::config::host_of;
use crate::support::radio::Radio;
use crate::support::scene::judged;
use crate::support::watch::Totals;
use crate::support::world::ip;

/// Peace is made by then: a border that was held down, the slowest back-off, and the last talker's limit.
const PEACE: Duration = Duration::from_secs(25);

/// What became of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What was seen.
    pub(crate) totals: Totals,
    /// What broke; empty if nothing did.
    pub(crate) breaches: Vec<String>,
    /// A hash of every packet's time, way and size.
    pub(crate) trace: u64,
}

/// Lives a script.
pub(crate) fn live(seed: u64, script: &Script) -> Verdict {
    let lived = catch_unwind(AssertUnwindSafe(|| {
        judged(seed, &COUNTRIES, async |world| {
            let mut life = Life::begin(world, script).await;
            life.storms(world, script).await;
            let unrest = life.peace(world).await;
            drop(life);
            // Whoever was released on the way out has ended.
            sleep(Duration::from_secs(2)).await;
            (world.watch().totals, unrest, world.net.trace_hash())
        })
    }));
    match lived {
        Ok(((totals, unrest, trace), mut breaches)) => {
            breaches.extend(unrest);
            Verdict { totals, breaches, trace }
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Verdict { totals: Totals::default(), breaches: vec![format!("panic: {}", text.unwrap_or_default())], trace: 0 }
        }
    }
}

/// Everybody in a life; a unit that was killed is not there.
struct Life {
    radios: Vec<Option<Radio>>,
}

impl Life {
    async fn begin(world: &mut World, script: &Script) -> Self {
        if script.setup.onward {
            world.consent_onward();
        }
        if !script.setup.emergency
            && let Some(bridge) = &mut world.country("nl").toml.peer("de").bridge
        {
            bridge.inbound = bridge.inbound.replace("emergency = true", "emergency = false");
        }
        for code in &COUNTRIES[1..] {
            world.net.set_link(ip("nl"), ip(code), Path::Fibre.link());
        }
        world.start_all().await;
        let mut life = Self { radios: Vec::new() };
        for unit in UnitNo::all() {
            let radio = start(world, unit);
            life.radios.push(Some(radio));
        }
        for radio in life.radios.iter().flatten() {
            radio.joined().await;
        }
        life
    }

    /// The storms, step by step.
    async fn storms(&mut self, world: &mut World, script: &Script) {
        let began = Instant::now();
        for step in &script.steps {
            sleep_until(began + Duration::from_millis(step.at_ms)).await;
            self.step(world, step.what).await;
        }
        sleep_until(began + Duration::from_millis(STORMS_MS)).await;
    }

    async fn step(&mut self, world: &mut World, what: What) {
        match what {
            What::Press(unit, tier, level) => {
                if let Some(radio) = &mut self.radios[unit.0] {
                    // Without a gateway the user presses in vain, as in life.
                    radio.try_press(Priority { tier, dispatcher: false, level: Level(level) }).await;
                }
            }
            What::Release(unit) => {
                if let Some(radio) = &mut self.radios[unit.0] {
                    radio.release().await;
                }
            }
            What::EndEmergency(unit) => {
                if let Some(radio) = &self.radios[unit.0] {
                    radio.end_emergency().await;
                }
            }
            What::Hush(unit) => {
                if let Some(radio) = &mut self.radios[unit.0] {
                    radio.hush();
                }
            }
            What::KillUnit(unit) => {
                if let Some(radio) = self.radios[unit.0].take() {
                    radio.kill(&world.net);
                }
            }
            What::StartUnit(unit) => {
                if self.radios[unit.0].is_none() {
                    self.radios[unit.0] = Some(start(world, unit));
                }
            }
            What::FreezeUnit(unit) => self.at_host(unit, |host| world.net.freeze(host)),
            What::ThawUnit(unit) => self.at_host(unit, |host| world.net.thaw(host)),
            What::Rebind(unit) => {
                if let Some(radio) = &self.radios[unit.0] {
                    world.rebind(radio);
                }
            }
            What::UnitPath(unit, path) => self.at_host(unit, |host| world.net.set_link(host, ip(unit.country()), path.link())),
            What::Cut(code, Way::Both) => world.net.cut(ip("nl"), ip(code)),
            What::Cut(code, Way::Out) => world.net.cut_one_way(ip("nl"), ip(code)),
            What::Cut(code, Way::In) => world.net.cut_one_way(ip(code), ip("nl")),
            What::Heal(code, Way::Both) => world.net.heal(ip("nl"), ip(code)),
            What::Heal(code, Way::Out) => world.net.heal_one_way(ip("nl"), ip(code)),
            What::Heal(code, Way::In) => world.net.heal_one_way(ip(code), ip("nl")),
            What::BorderPath(code, path) => world.net.set_link(ip("nl"), ip(code), path.link()),
            What::KillGateway(code) => {
                if world.countries[code].gateway.is_some() {
                    world.kill(code);
                }
            }
            What::StartGateway(code) => {
                if world.countries[code].gateway.is_none() {
                    world.start(code);
                }
            }
            What::FreezeGateway(code) => world.net.freeze(ip(code)),
            What::ThawGateway(code) => world.net.thaw(ip(code)),
        }
    }

    fn at_host(&self, unit: UnitNo, change: impl FnOnce(std::net::IpAddr)) {
        if let Some(radio) = &self.radios[unit.0] {
            change(radio.host);
        }
    }

    // === Peace ===

    /// Everything is mended and every key released; returns what is not well in spite of that.
    async fn peace(&mut self, world: &mut World) -> Vec<String> {
        for code in COUNTRIES {
            world.net.thaw(ip(code));
            if world.countries[code].gateway.is_none() {
                world.start(code);
            }
        }
        for code in &COUNTRIES[1..] {
            world.net.heal(ip("nl"), ip(code));
            world.net.set_link(ip("nl"), ip(code), Path::Fibre.link());
        }
        for unit in UnitNo::all() {
            if let Some(radio) = &mut self.radios[unit.0] {
                world.net.thaw(radio.host);
                world.net.set_link(radio.host, ip(unit.country()), Path::Fibre.link());
                radio.release().await;
            } else {
                self.radios[unit.0] = Some(start(world, unit));
            }
        }
        let by = Instant::now() + PEACE;
        loop {
            // Whoever is in emergency ends it; one that began while its unit was away may need a second word.
            for radio in self.radios.iter().flatten() {
                radio.end_emergency().await;
            }
            sleep(Duration::from_millis(500)).await;
            let unrest = self.unrest(world);
            if unrest.is_empty() {
                break;
            }
            if Instant::now() > by {
                return unrest.into_iter().map(|what| format!("no peace: {what}")).collect();
            }
        }
        // Ears that were frozen play what they missed.
        sleep(Duration::from_secs(2)).await;
        let deaf = self.everybody_is_heard(world).await;
        self.far_talker(world).await;
        deaf
    }

    /// A partner's unit by satellite takes a request back and asks again before the answer to the first, and then releases just when
    /// it is granted, while what it said before that is still on its way. Whoever watches wants the first and the last frame heard.
    async fn far_talker(&mut self, world: &World) {
        let far = UnitNo(UNITS_EACH);
        self.at_host(far, |host| world.net.set_link(host, ip(far.country()), Path::Satellite.link()));
        let Some(radio) = &mut self.radios[far.0] else { return };
        for (first, pause, second) in [(100, 100, 2_000), (0, 0, 640)] {
            // Peace has lasted for long enough to be strict.
            sleep(Duration::from_secs(3)).await;
            for hold in [first, second].into_iter().filter(|hold| *hold > 0) {
                radio.try_press(Priority { tier: Tier::Normal, dispatcher: false, level: Level(16) }).await;
                sleep(Duration::from_millis(hold)).await;
                radio.release().await;
                sleep(Duration::from_millis(pause)).await;
            }
        }
        sleep(Duration::from_secs(3)).await;
    }

    /// What is not well now.
    fn unrest(&self, world: &World) -> Vec<String> {
        let mut unrest = Vec::new();
        for code in COUNTRIES {
            let status = world.status(code);
            let states = world.bridge_states(code);
            if states.is_empty() || states.iter().any(|state| state != "active") {
                unrest.push(format!("{code}: bridges {states:?}"));
            }
            for floor in &status.floors {
                if floor.talker.is_some() || !floor.queue.is_empty() {
                    unrest.push(format!("{code}: {:?} talks, {:?} wait", floor.talker, floor.queue));
                }
            }
            if let Some(who) = status.talkgroups.iter().find_map(|talkgroup| talkgroup.emergency.clone()) {
                unrest.push(format!("{code}: {who} is in emergency"));
            }
        }
        let away = self.radios.iter().flatten().filter(|radio| !radio.is_joined());
        unrest.extend(away.map(|radio| format!("{} has not come back", radio.identity)));
        unrest
    }

    /// One unit of each country says something, and everybody it is carried to hears all of it.
    async fn everybody_is_heard(&mut self, world: &World) -> Vec<String> {
        let mut deaf = Vec::new();
        for first in (0..self.radios.len()).step_by(UNITS_EACH) {
            let Some(mut talker) = self.radios[first].take() else { continue };
            let (mark, before) = (talker.mark(), talker.said());
            if !talker.try_press(Priority { tier: Tier::Normal, dispatcher: false, level: Level(16) }).await {
                deaf.push(format!("{} may not press", talker.identity));
            }
            sleep(Duration::from_millis(400)).await;
            talker.release().await;
            sleep(Duration::from_millis(700)).await;
            let said = usize::try_from(talker.said() - before).unwrap_or(0);
            let onward = world.watch().rules.onward;
            for listener in self.radios.iter().flatten() {
                let [here, there] = [&listener.identity.authority, &talker.identity.authority].map(|authority| authority.as_str());
                let carried = onward || here == there || here == COUNTRIES[0] || there == COUNTRIES[0];
                let heard = listener.heard_after(&talker, before);
                if heard != if carried { said } else { 0 } {
                    deaf.push(format!("{} hears {heard} of {said} frames of {}", listener.identity, talker.identity));
                }
            }
            if !talker.lines().iter().skip(mark).any(|line| line.contains("Granted")) {
                deaf.push(format!("{} is not granted", talker.identity));
            }
            self.radios[first] = Some(talker);
        }
        deaf
    }
}

/// Starts a unit (again); it logs in by itself.
fn start(world: &mut World, unit: UnitNo) -> Radio {
    let issued = world.issue(unit.country(), Kind::Unit, &unit.name());
    let radio = world.radio_with(unit.country(), &issued, host_of(unit.country()));
    world.net.set_link(radio.host, ip(unit.country()), Path::Fibre.link());
    radio
}
