//! Lies about the bridge, and more of everything than anybody needs.

use rand::Rng;
use tokio::time::{sleep, timeout};
use wire::control::{Agreement, Hello, Holder, Message};
use wire::datagram::{Datagram, Heartbeat};
use wire::{Level, Priority, RequestId, Spurt, Tier};

use super::script::{LIAR, Role};
use super::tell::{NAMES, OWN, OWN_HANDLE, PATIENCE, Tongue, ms};
use crate::support::World;
use crate::support::words::{emergency, floor, granted, idle, release, request, sync, taken, talker, tg};

impl Tongue {
    pub(super) async fn syncs(&mut self, at: usize) {
        for _ in 0..self.count(4) {
            let (number, epoch, who) = (self.rng.random(), self.rng.random(), self.any(&NAMES));
            let priority = Priority { tier: self.tier(), dispatcher: self.rng.random(), level: Level(self.rng.random()) };
            let holder = Holder { request: RequestId(3), priority, talker: talker(who), elapsed_ms: self.rng.random_range(0..40_000) };
            let holder = self.rng.random_bool(0.5).then_some(holder);
            let message = sync(&self.home, number, epoch, holder);
            self.say(at, message).await;
            let elsewhere = self.any(&["de/aachen-1", "be/lux-3", "nl/pol-1"]);
            self.say(at, sync(elsewhere, number, epoch, None)).await;
        }
        // Its own number again, or nothing it says later is understood.
        if self.role == Role::Partner {
            let message = sync(&self.home, OWN_HANDLE, self.sessions[at].epoch, None);
            self.say(at, message).await;
        }
    }

    pub(super) async fn sync_flood(&mut self, at: usize) {
        for round in 0..600_u16 {
            let message = sync(&self.home, round, self.rng.random(), None);
            if !self.say(at, message).await {
                break;
            }
            sleep(ms(1)).await;
        }
        self.blatant = Some("flood of syncs");
    }

    /// Words that differ from the right ones.
    pub(super) fn other_words(&mut self, at: usize) -> Vec<Agreement> {
        let mut words = self.sessions[at].words.clone();
        match self.rng.random_range(0..6) {
            0 => return Vec::new(),
            1 => words.inbound.talk = false,
            2 => words.partner = tg("be/other"),
            3 => words.outbound.talk = false,
            4 => words.onward = vec!["de".parse().expect("a code")],
            _ => words.name = "other".into(),
        }
        vec![words]
    }

    pub(super) async fn agreements(&mut self, at: usize) {
        for _ in 0..self.count(3) {
            let words = self.other_words(at);
            self.say(at, Message::Agreements(words)).await;
            let pause = self.rng.random_range(0..300);
            sleep(ms(pause)).await;
        }
        // Set up anew, as after a change of mind.
        if let Some(liar) = &self.sessions[at].liar {
            let since = liar.mark();
            self.say(at, Message::Agreements(vec![self.sessions[at].words.clone()])).await;
            self.join_again(at, since).await;
        }
    }

    /// The bridge after changed words.
    pub(super) async fn join_again(&mut self, at: usize, since: usize) {
        if self.role == Role::Partner {
            let message = sync(&self.home, OWN_HANDLE, self.sessions[at].epoch, None);
            self.say(at, message).await;
            return;
        }
        let Some(liar) = &self.sessions[at].liar else { return };
        let asked = |message: &Message| if let Message::Sync(sync) = message { Some(sync.epoch.next().0) } else { None };
        if let Some(epoch) = liar.told_after(since, PATIENCE, asked).await {
            (self.sessions[at].epoch, self.sessions[at].next) = (epoch, 1);
            let message = sync(&self.home, OWN_HANDLE, epoch, None);
            self.say(at, message).await;
        }
    }

    pub(super) async fn agreement_flood(&mut self, at: usize) {
        for round in 0..400 {
            let words = if round % 2 == 0 { self.other_words(at) } else { vec![self.sessions[at].words.clone()] };
            if !self.say(at, Message::Agreements(words)).await {
                break;
            }
            sleep(ms(2)).await;
        }
        self.blatant = Some("flood of agreements");
    }

    pub(super) async fn request_flood(&mut self, at: usize) {
        for number in 0..self.rng.random_range(100..600) {
            let who = format!("be/unit/ghost-{number}");
            if !self.floor(at, Some(&who), request(number, Tier::Normal, Some(&who))).await {
                break;
            }
        }
        let gone: Vec<u32> = (0..40).collect();
        for number in gone {
            let who = format!("be/unit/ghost-{number}");
            self.floor(at, Some(&who), release(number)).await;
        }
    }

    pub(super) async fn floor_flood(&mut self, at: usize) {
        for number in 0..4_000_u32 {
            let spurt = self.sessions[at].epoch;
            let spurt = Spurt::from_bits(u32::from(spurt) << 24 | (1_000 + number / 2));
            let body = match (self.role, number % 2) {
                (Role::Partner, _) => release(number),
                (Role::Home, 0) => taken(spurt, "be/unit/ghost", Tier::Normal),
                (Role::Home, _) => idle(spurt, None),
            };
            if !self.floor(at, (self.role == Role::Partner).then_some(OWN), body).await {
                break;
            }
        }
        self.blatant = Some("flood of floor messages");
    }

    pub(super) async fn voice_flood(&mut self, at: usize) {
        let spurt = if self.role == Role::Home { self.next(at) } else { self.spurt(at) };
        if self.role == Role::Home {
            self.floor(at, None, taken(spurt, "be/unit/ghost", Tier::Normal)).await;
        }
        for seq in 0..self.rng.random_range(500..3_000) {
            self.speak(at, spurt, seq, Tier::Emergency);
            if seq % 10 == 0 {
                sleep(ms(1)).await;
            }
        }
        if self.role == Role::Home {
            self.floor(at, None, idle(spurt, None)).await;
        }
        self.blatant = Some("flood of voice");
    }

    /// A session beside the first, which it supersedes: nobody reads what it is told.
    pub(super) async fn deaf(&mut self, world: &mut World, at: usize) {
        let mut raw = world.raw_peer(LIAR, self.sessions[at].with).await;
        raw.try_message(&Message::Hello(Hello::ours())).await;
        raw.try_message(&Message::Agreements(vec![self.sessions[at].words.clone()])).await;
        raw.try_message(&sync(&self.home, OWN_HANDLE, self.sessions[at].epoch, None)).await;
        let mut streams = Vec::new();
        while let Ok(Ok((mut send, recv))) = timeout(ms(100), raw.connection.quic.open_bi()).await {
            let _ = timeout(ms(50), send.write_all(&[7; 300_000])).await;
            streams.push((send, recv));
        }
        if streams.len() >= 20 {
            self.breaches.push(format!("{} opens {} streams for a peer", self.sessions[at].with, streams.len()));
        }
        for number in 0..self.rng.random_range(50..800_u32) {
            let message = floor(&self.home, Some(OWN), request(number, Tier::Emergency, Some(OWN)));
            if !raw.try_message(&message).await {
                break;
            }
            // It beats, so that only what it does not read can end it.
            raw.datagram(Datagram::Heartbeat(Heartbeat { seq: number + 1, echo: number }).encode());
            sleep(ms(2)).await;
        }
    }

    pub(super) async fn elsewhere(&mut self, at: usize) {
        for number in 0..self.count(30) {
            let talkgroup = self.any(&["de/aachen-1", "be/lux-9", "nl/pol-2", "xx/none"]);
            let (party, named, tier) = (self.any(&NAMES), self.any(&NAMES), self.tier());
            let spurt = self.spurt(at);
            let message = match self.rng.random_range(0..5) {
                0 => floor(talkgroup, Some(party), request(number, tier, Some(named))),
                1 => floor(talkgroup, Some(party), granted(number, spurt, tier)),
                2 => floor(talkgroup, None, taken(spurt, named, tier)),
                3 => floor(talkgroup, None, idle(spurt, None)),
                _ => emergency(talkgroup, true, named, &[]),
            };
            self.say(at, message).await;
        }
        self.blatant = Some("talkgroups of others");
    }
}
