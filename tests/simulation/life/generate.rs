//! From a seed to a script: people who talk all the time, and everything that goes wrong meanwhile.

use std::ops::Range;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use wire::Tier;

use super::script::{COUNTRIES, Path, Script, Setup, Step, UNITS_EACH, UnitNo, Way, What};

/// People talk and things go wrong until then; afterwards all must be well again.
pub(crate) const STORMS_MS: u64 = 45_000;

/// The script of a seed.
pub(crate) fn script(seed: u64) -> Script {
    let mut life = Life { rng: SmallRng::seed_from_u64(seed), steps: Vec::new() };
    let setup = Setup { onward: life.chance(0.9), emergency: life.chance(0.75) };
    for country in 0..COUNTRIES.len() {
        life.people(country);
    }
    life.storms();
    let mut steps = life.steps;
    steps.retain(|step| step.at_ms < STORMS_MS);
    steps.sort_by_key(|step| step.at_ms);
    Script { setup, steps }
}

struct Life {
    rng: SmallRng,
    steps: Vec<Step>,
}

impl Life {
    fn chance(&mut self, share: f64) -> bool {
        self.rng.random_bool(share)
    }

    fn ms(&mut self, range: Range<u64>) -> u64 {
        self.rng.random_range(range)
    }

    fn at(&mut self, at_ms: u64, what: What) {
        self.steps.push(Step { at_ms, what });
    }

    /// Something that begins, lasts and ends.
    fn lasts(&mut self, from: u64, length: u64, begins: What, ends: What) {
        self.at(from, begins);
        self.at(from + length, ends);
    }

    // === People ===

    /// The people of a country press one after the other, whoever else talks.
    fn people(&mut self, country: usize) {
        let mut now = self.ms(0..1_500);
        while now < STORMS_MS {
            let unit = UnitNo(country * UNITS_EACH + self.rng.random_range(0..UNITS_EACH));
            let hold = match self.rng.random_range(0..100) {
                0..=1 => self.ms(31_000..36_000),
                2..=30 => self.ms(60..400),
                _ => self.ms(400..3_500),
            };
            self.press(unit, now, hold);
            now += self.ms(200..3_000);
        }
    }

    fn press(&mut self, unit: UnitNo, now: u64, hold: u64) {
        let tier = match self.rng.random_range(0..100) {
            0..=69 => Tier::Normal,
            70..=81 => Tier::Peril,
            _ => Tier::Emergency,
        };
        let level = self.rng.random_range(0..64);
        self.lasts(now, hold, What::Press(unit, tier, level), What::Release(unit));
        let raised = self.chance(0.06);
        if raised {
            let later = now + self.ms(20..hold.max(40));
            self.at(later, What::Press(unit, Tier::Emergency, level));
        }
        if raised || tier == Tier::Emergency {
            let later = now + hold + self.ms(100..2_500);
            self.at(later, What::EndEmergency(unit));
        }
        if self.chance(0.03) {
            let later = now + self.ms(0..hold);
            self.at(later, What::Hush(unit));
        }
    }

    /// Somebody who hears nothing for a while presses again and again, and so fast that answers cross what is asked next.
    fn fumbles(&mut self, unit: UnitNo, from: u64, to: u64) {
        let mut now = from;
        while now < to {
            let hold = if self.chance(0.8) { self.ms(30..900) } else { self.ms(900..3_500) };
            let level = self.rng.random_range(0..64);
            self.lasts(now, hold, What::Press(unit, Tier::Normal, level), What::Release(unit));
            now += hold + self.ms(30..300);
        }
    }

    // === Storms ===

    fn storms(&mut self) {
        let mut now = self.ms(1_000..6_000);
        while now < STORMS_MS {
            let length = self.storm(now);
            // Some overlap, some leave the world in peace for a while.
            now += if self.chance(0.3) { self.ms(50..length.max(100)) } else { length + self.ms(300..5_000) };
        }
    }

    fn partner(&mut self) -> &'static str {
        COUNTRIES[self.rng.random_range(1..COUNTRIES.len())]
    }

    fn gateway(&mut self) -> &'static str {
        COUNTRIES[self.rng.random_range(0..COUNTRIES.len())]
    }

    fn unit(&mut self) -> UnitNo {
        UnitNo(self.rng.random_range(0..COUNTRIES.len() * UNITS_EACH))
    }

    fn unit_of(&mut self, code: &str) -> UnitNo {
        let country = COUNTRIES.iter().position(|known| *known == code).unwrap_or_default();
        UnitNo(country * UNITS_EACH + self.rng.random_range(0..UNITS_EACH))
    }

    fn path(&mut self) -> Path {
        [Path::Wifi, Path::Mobile, Path::Satellite, Path::Torn, Path::Shuffled, Path::Echo][self.rng.random_range(0..6)]
    }

    /// One thing that goes wrong; returns how long it lasts.
    fn storm(&mut self, now: u64) -> u64 {
        match self.rng.random_range(0..100) {
            0..=18 => {
                let (code, length) = (self.partner(), self.ms(2_000..8_000));
                self.lasts(now, length, What::Cut(code, Way::Both), What::Heal(code, Way::Both));
                length
            }
            19..=23 => {
                let (code, length) = (self.partner(), self.ms(50..1_700));
                self.lasts(now, length, What::Cut(code, Way::Both), What::Heal(code, Way::Both));
                length
            }
            24..=31 => {
                let (code, length) = (self.partner(), self.ms(500..6_000));
                let way = if self.chance(0.5) { Way::Out } else { Way::In };
                self.lasts(now, length, What::Cut(code, way), What::Heal(code, way));
                length
            }
            32..=35 => self.flap(now),
            36..=42 => self.swizzle(now),
            43..=56 => {
                let (code, length, path) = (self.partner(), self.ms(1_500..9_000), self.path());
                self.lasts(now, length, What::BorderPath(code, path), What::BorderPath(code, Path::Fibre));
                let unit = self.unit_of(code);
                self.fumbles(unit, now + 300, now + length);
                length
            }
            57..=63 => {
                let (unit, length, path) = (self.unit(), self.ms(1_500..9_000), self.path());
                self.lasts(now, length, What::UnitPath(unit, path), What::UnitPath(unit, Path::Fibre));
                self.fumbles(unit, now + 300, now + length);
                length
            }
            64..=69 => {
                let (code, length) = (self.gateway(), self.ms(200..4_500));
                self.lasts(now, length, What::FreezeGateway(code), What::ThawGateway(code));
                length
            }
            70..=72 => {
                let (unit, length) = (self.unit(), self.ms(200..8_000));
                self.lasts(now, length, What::FreezeUnit(unit), What::ThawUnit(unit));
                length
            }
            73..=82 => {
                let (code, length) = (self.gateway(), self.ms(100..4_000));
                self.lasts(now, length, What::KillGateway(code), What::StartGateway(code));
                length
            }
            83..=94 => {
                let (unit, length) = (self.unit(), self.ms(100..4_000));
                self.lasts(now, length, What::KillUnit(unit), What::StartUnit(unit));
                length / 2
            }
            _ => {
                let unit = self.unit();
                self.at(now, What::Rebind(unit));
                200
            }
        }
    }

    /// A border that goes up and down.
    fn flap(&mut self, now: u64) -> u64 {
        let (code, mut at) = (self.partner(), now);
        for _ in 0..self.rng.random_range(3..6) {
            let (down, up) = (self.ms(1_000..4_000), self.ms(1_000..4_000));
            self.lasts(at, down, What::Cut(code, Way::Both), What::Heal(code, Way::Both));
            at += down + up;
        }
        at - now
    }

    /// Some directions of some borders are cut one by one and restored in another order.
    fn swizzle(&mut self, now: u64) -> u64 {
        let mut paths: Vec<(&'static str, Way)> = COUNTRIES[1..].iter().flat_map(|code| [(*code, Way::Out), (*code, Way::In)]).collect();
        paths.shuffle(&mut self.rng);
        paths.truncate(self.rng.random_range(2..=paths.len()));
        let mut at = now;
        for (code, way) in &paths {
            self.at(at, What::Cut(code, *way));
            at += self.ms(50..1_500);
        }
        at += self.ms(500..3_000);
        paths.shuffle(&mut self.rng);
        for (code, way) in &paths {
            self.at(at, What::Heal(code, *way));
            at += self.ms(50..1_500);
        }
        at - now
    }
}
