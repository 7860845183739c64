//! Lies about the floor: who asks, who is granted, who talks, and under which number.

use bytes::Bytes;
use rand::Rng;
use rand::seq::IndexedRandom;
use tokio::time::sleep;
use wire::control::{FloorBody, Message};
use wire::{DenyCause, Level, RequestId, RevokeCause, Spurt, Tier};

use super::script::Role;
use super::tell::{NAMES, OWN, PATIENCE, Tongue, ms};
use super::twist;
use crate::support::words::{granted, idle, release, request, revoke, taken};

impl Tongue {
    /// A spurt of its own, asked for as it should be; released, or kept for as long as it is borne.
    pub(super) async fn own_spurt(&mut self, at: usize, keeps: bool) {
        let number = self.rng.random_range(1..1_000_000);
        self.floor(at, Some(OWN), request(number, Tier::Normal, Some(OWN))).await;
        let mine = |message: &Message| {
            let Message::Floor(floor) = message else { return None };
            if let FloorBody::Granted(granted) = &floor.body { (granted.request.0 == number).then_some(granted.spurt) } else { None }
        };
        let Some(liar) = &self.sessions[at].liar else { return };
        let spurt = liar.told_soon(PATIENCE, mine).await;
        if let Some(spurt) = spurt {
            for seq in 0..if keeps { 200 } else { self.rng.random_range(5..40) } {
                self.speak(at, spurt, seq, Tier::Normal);
                sleep(ms(20)).await;
            }
        }
        if !keeps {
            self.floor(at, Some(OWN), release(number)).await;
        }
    }

    pub(super) async fn replay_messages(&mut self, at: usize) {
        let (messages, _) = self.memory(at);
        let from = self.rng.random_range(0..messages.len().max(1));
        let count = self.rng.random_range(1..80);
        let run: Vec<Message> = messages.iter().skip(from).take(count).cloned().collect();
        for message in run {
            self.say(at, message).await;
        }
    }

    pub(super) async fn play(&mut self, at: usize, datagrams: &[Bytes]) {
        let from = self.rng.random_range(0..datagrams.len().max(1));
        for datagram in datagrams.iter().skip(from).take(150) {
            self.datagram(at, datagram.clone());
            sleep(ms(1)).await;
        }
    }

    pub(super) async fn twist_messages(&mut self, at: usize) {
        let (messages, _) = self.memory(at);
        for _ in 0..self.count(12) {
            let Some(message) = messages.choose(&mut self.rng) else { return };
            let twisted = twist::message(message.clone(), &NAMES, &mut self.rng);
            self.say(at, twisted).await;
        }
    }

    pub(super) async fn twist_voice(&mut self, at: usize) {
        let (_, datagrams) = self.memory(at);
        let count = usize::try_from(self.count(60)).expect("few");
        let frames: Vec<Bytes> = datagrams.choose_multiple(&mut self.rng, count).cloned().collect();
        let Some(liar) = &mut self.sessions[at].liar else { return };
        for voice in twist::voices(&frames, &mut liar.spoken, &mut self.rng) {
            let Some(liar) = &mut self.sessions[at].liar else { return };
            liar.datagram(voice.encode());
            sleep(ms(2)).await;
        }
    }

    pub(super) async fn claims(&mut self, at: usize) {
        let number = self.rng.random_range(1..1_000_000);
        for number in number..number + self.count(20) {
            let mut body = request(number, self.tier(), Some(OWN));
            if let FloorBody::Request(request) = &mut body {
                (request.priority.level, request.priority.dispatcher) = (Level(self.rng.random()), self.rng.random_bool(0.5));
                request.continuing = self.rng.random_bool(0.3).then(|| self.rng.random_range(0..40_000));
            }
            self.floor(at, Some(OWN), body).await;
            sleep(ms(10)).await;
            self.floor(at, Some(OWN), release(number)).await;
        }
    }

    pub(super) async fn names(&mut self, at: usize) {
        for number in 0..self.count(20) {
            let (party, named, tier) = (self.any(&NAMES), self.any(&NAMES), self.tier());
            let spurt = self.spurt(at);
            let body = if self.rng.random_bool(0.6) { request(number, tier, Some(named)) } else { taken(spurt, named, tier) };
            self.floor(at, Some(party), body).await;
            if self.rng.random_bool(0.5) {
                self.floor(at, Some(party), release(number)).await;
            }
        }
    }

    pub(super) async fn grants(&mut self, at: usize) {
        for _ in 0..self.count(20) {
            let asked = self.asked(at);
            let (party, number) = match asked {
                Some((who, number, _)) if self.rng.random_bool(0.5) => (who, number),
                _ => (self.any(&NAMES).to_owned(), self.rng.random_range(0..50)),
            };
            let (spurt, tier) = (self.spurt(at), self.tier());
            let cause = self.any(RevokeCause::ALL);
            let body = match self.rng.random_range(0..6) {
                0 => granted(number, spurt, tier),
                1 => revoke(number, spurt, cause),
                2 => idle(spurt, Some(cause)),
                3 => taken(spurt, self.any(&NAMES), tier),
                4 => FloorBody::Ack { request: RequestId(number) },
                _ => FloorBody::Queued { request: RequestId(number), position: self.rng.random() },
            };
            let party = self.rng.random_bool(0.9).then_some(party.as_str());
            self.floor(at, party, body).await;
            sleep(ms(3)).await;
        }
        if self.role == Role::Partner {
            self.blatant = Some("grants");
        }
    }

    pub(super) async fn two_grants(&mut self, at: usize) {
        let Some((who, number, _)) = self.asked(at) else { return };
        for round in 0..self.count(24) {
            let spurt = self.next(at);
            let (name, number) = if round % 2 == 0 { (who.as_str(), number) } else { (self.any(&NAMES), 1) };
            self.floor(at, Some(name), granted(number, spurt, Tier::Normal)).await;
            let pause = self.rng.random_range(1..80);
            sleep(ms(pause)).await;
        }
    }

    pub(super) async fn denials(&mut self, at: usize) {
        let asked: Vec<(String, RequestId)> = self.memory(at).0.iter().rev().take(200).filter_map(twist::request_of).take(20).collect();
        for (who, request) in asked {
            let cause = self.any(DenyCause::ALL);
            self.floor(at, Some(&who), FloorBody::Deny { request, cause }).await;
        }
    }

    pub(super) async fn numbers(&mut self, at: usize) {
        for _ in 0..self.count(6) {
            let ahead = self.any(&[1_u8, 2, 100, 126, 127, 128, 129, 200, 255, 0]);
            let spurt = Spurt::from_bits(u32::from(self.sessions[at].epoch.wrapping_add(ahead)) << 24 | self.rng.random_range(0..9));
            for seq in 0..10 {
                self.speak(at, spurt, seq, Tier::Normal);
                sleep(ms(3)).await;
            }
            if self.role == Role::Home && ahead > 127 {
                self.floor(at, None, taken(spurt, "be/unit/ghost", Tier::Normal)).await;
                self.floor(at, None, idle(spurt, None)).await;
            }
        }
    }

    pub(super) async fn ghost(&mut self, at: usize) {
        let (spurt, tier) = (if self.role == Role::Home { self.next(at) } else { self.spurt(at) }, self.tier());
        self.floor(at, None, taken(spurt, "be/unit/ghost", tier)).await;
        for seq in 0..self.rng.random_range(1..60) {
            self.speak(at, spurt, seq, tier);
            sleep(ms(20)).await;
        }
        self.floor(at, None, idle(spurt, None)).await;
    }
}
