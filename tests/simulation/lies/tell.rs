//! How each lie is told.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::time::{sleep, timeout};
use wire::control::{Agreement, FloorBody, Message};
use wire::datagram::{Datagram, Heartbeat};
use wire::{Handle, Reason, Spurt, Tier};

use super::run::Tally;
use super::script::{HONEST, LIAR, Lie, Role};
use super::twist;
use crate::support::World;
use crate::support::config::talkgroup_of;
use crate::support::liar::Liar;
use crate::support::words::{emergency, floor, granted, id, sync, taken, tg, words_between};

/// The liar's own number for the talkgroup.
pub(super) const OWN_HANDLE: u16 = 7;
/// How long it waits for what an honest gateway says at once.
pub(super) const PATIENCE: Duration = Duration::from_millis(600);
/// An honest gateway has noticed a flood, garbage or silence by then.
const NOTICED: Duration = Duration::from_millis(2_500);
/// Of what it said itself it remembers so many messages and so many datagrams.
const OWN_MAX: usize = 300;
/// Everybody whom it names: who exists and who does not, of every country and kind.
pub(super) const NAMES: [&str; 10] = [
    "be/unit/lux-1",
    "be/unit/ghost",
    "be/dispatcher/chief",
    "be/gateway/gw-1",
    "nl/unit/u-1",
    "nl/unit/nobody",
    "nl/dispatcher/chief",
    "de/unit/u-1",
    "de/unit/u-2",
    "xx/unit/nobody",
];
pub(super) const OWN: &str = "be/unit/lux-1";

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What it has towards one honest gateway.
pub(super) struct Session {
    /// The honest country.
    pub(super) with: &'static str,
    pub(super) liar: Option<Liar>,
    /// That gateway's number for the talkgroup.
    pub(super) handle: Handle,
    pub(super) epoch: u8,
    /// The next number that it grants.
    pub(super) next: u32,
    pub(super) words: Agreement,
    /// What it was told and said in sessions before.
    pub(super) messages: Vec<Message>,
    pub(super) datagrams: Vec<Bytes>,
    pub(super) said: Vec<Message>,
    pub(super) tape: Vec<Bytes>,
}

/// See the module.
pub(super) struct Tongue {
    pub(super) role: Role,
    /// The talkgroup it lies about.
    pub(super) home: String,
    pub(super) sessions: Vec<Session>,
    /// Counts its voice frames over all sessions: nobody may hear one twice.
    pub(super) spoken: u32,
    pub(super) rng: SmallRng,
    /// Why it should be named in the logs; the last reason.
    pub(super) blatant: Option<&'static str>,
    pub(super) tally: Tally,
    pub(super) breaches: Vec<String>,
}

impl Tongue {
    /// Not known to anybody yet.
    pub(super) fn new(role: Role, world: &World) -> Self {
        let (home, with) = match role {
            Role::Partner => ("nl", &HONEST[..1]),
            Role::Home => (LIAR, &HONEST[..]),
        };
        let session = |with: &&'static str| Session {
            with,
            liar: None,
            handle: Handle(0),
            epoch: 9,
            next: 1,
            words: words_between(world, LIAR, with),
            messages: Vec::new(),
            datagrams: Vec::new(),
            said: Vec::new(),
            tape: Vec::new(),
        };
        let sessions = with.iter().map(session).collect();
        let rng = SmallRng::seed_from_u64(0);
        Self { role, home: talkgroup_of(home), sessions, spoken: 0, rng, blatant: None, tally: Tally::default(), breaches: Vec::new() }
    }

    /// Has a session with everybody; tells whether it is so.
    pub(super) async fn begin(&mut self, world: &mut World) -> bool {
        let mut all = true;
        for at in 0..self.sessions.len() {
            all &= self.come(world, at).await;
        }
        all
    }

    /// Leaves everybody.
    pub(super) fn leave(&self) {
        for session in &self.sessions {
            if let Some(liar) = &session.liar {
                liar.connection.close(Reason::Closed);
            }
        }
    }

    /// Tells one lie; the number decides what is random in it.
    pub(super) async fn tell(&mut self, world: &mut World, lie: Lie, number: u32) {
        self.rng = SmallRng::seed_from_u64(u64::from(number));
        let at = self.rng.random_range(0..self.sessions.len());
        if self.sessions[at].liar.as_ref().is_none_or(Liar::is_out) && !self.come(world, at).await {
            self.tally.unheard += 1;
            return;
        }
        *self.tally.told.entry(lie.word()).or_default() += 1;
        self.lie(world, at, lie).await;
        self.spoken = self.spoken.max(self.sessions[at].liar.as_ref().map_or(0, |liar| liar.spoken));
        if lie.costs_the_session() {
            self.assert_out(at, lie).await;
        }
        if self.sessions[at].liar.as_ref().is_some_and(Liar::is_out) {
            self.tally.cut_off += 1;
            self.keep_memory(at);
        }
    }

    /// Whatever is not borne has ended the session.
    async fn assert_out(&mut self, at: usize, lie: Lie) {
        let Some(liar) = &self.sessions[at].liar else { return };
        if timeout(NOTICED, liar.connection.closed()).await.is_err() {
            self.breaches.push(format!("{} bears '{}'", self.sessions[at].with, lie.word()));
        }
    }

    // === Sessions ===

    fn keep_memory(&mut self, at: usize) {
        let session = &mut self.sessions[at];
        if let Some(liar) = session.liar.take() {
            let memory = liar.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            session.messages.extend(memory.messages.iter().cloned());
            session.datagrams.extend(memory.datagrams.iter().cloned());
        }
    }

    /// A new session with one of them, whatever there was before; tells whether it was let in.
    async fn come(&mut self, world: &mut World, at: usize) -> bool {
        self.keep_memory(at);
        let session = &mut self.sessions[at];
        let raw = world.raw_peer(LIAR, session.with).await;
        let Ok(Some(mut liar)) = timeout(ms(2_000), Liar::try_of(raw)).await else { return false };
        liar.spoken = self.spoken;
        liar.say(&Message::Agreements(vec![session.words.clone()])).await;
        let asked = |message: &Message| if let Message::Sync(sync) = message { Some((sync.handle, sync.epoch)) } else { None };
        let heard = match self.role {
            Role::Partner => {
                liar.say(&sync(&self.home, OWN_HANDLE, session.epoch, None)).await;
                liar.told_soon(PATIENCE, asked).await
            }
            Role::Home => {
                let heard = liar.told_soon(PATIENCE, asked).await;
                if let Some((_, epoch)) = heard {
                    (session.epoch, session.next) = (epoch.next().0, 1);
                    liar.say(&sync(&self.home, OWN_HANDLE, session.epoch, None)).await;
                }
                heard
            }
        };
        if let Some((handle, epoch)) = heard {
            session.handle = handle;
            if self.role == Role::Partner {
                session.epoch = epoch.0;
            }
        }
        session.liar = Some(liar);
        self.tally.sessions += 1;
        true
    }

    /// Says a message; false if the session takes none any more.
    pub(super) async fn say(&mut self, at: usize, message: Message) -> bool {
        let session = &mut self.sessions[at];
        let Some(liar) = &mut session.liar else { return false };
        let said = liar.say(&message).await && !liar.is_out();
        if session.said.len() < OWN_MAX {
            session.said.push(message);
        }
        said
    }

    pub(super) async fn floor(&mut self, at: usize, party: Option<&str>, body: FloorBody) -> bool {
        let message = floor(&self.home, party, body);
        self.say(at, message).await
    }

    pub(super) fn datagram(&self, at: usize, bytes: impl Into<Bytes>) {
        if let Some(liar) = &self.sessions[at].liar {
            liar.datagram(bytes);
        }
    }

    /// A frame of its own voice.
    pub(super) fn speak(&mut self, at: usize, spurt: Spurt, seq: u16, tier: Tier) {
        let session = &mut self.sessions[at];
        let Some(liar) = &mut session.liar else { return };
        let frame = liar.frame(Handle(OWN_HANDLE), spurt, seq, tier);
        if session.tape.len() < OWN_MAX {
            session.tape.push(frame.clone());
        }
        liar.datagram(frame);
    }

    /// All it was told, in this session and before.
    pub(super) fn memory(&self, at: usize) -> (Vec<Message>, Vec<Bytes>) {
        let session = &self.sessions[at];
        let (mut messages, mut datagrams) = (session.messages.clone(), session.datagrams.clone());
        if let Some(liar) = &session.liar {
            let memory = liar.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            messages.extend(memory.messages.iter().cloned());
            datagrams.extend(memory.datagrams.iter().cloned());
        }
        (messages, datagrams)
    }

    // === Random things ===

    pub(super) fn any<T: Copy>(&mut self, all: &[T]) -> T {
        *all.choose(&mut self.rng).expect("not empty")
    }

    pub(super) fn count(&mut self, most: u32) -> u32 {
        self.rng.random_range(1..=most)
    }

    pub(super) fn tier(&mut self) -> Tier {
        self.any(&[Tier::Normal, Tier::Peril, Tier::Emergency])
    }

    /// The newest number that it said or was told, and those near it.
    pub(super) fn spurt(&mut self, at: usize) -> Spurt {
        let newest = self.memory(at).0.iter().rev().find_map(twist::spurt_of);
        let session = &self.sessions[at];
        let own = Spurt::from_bits(u32::from(session.epoch) << 24 | session.next);
        let base = if self.rng.random_bool(0.5) { newest.unwrap_or(own) } else { own };
        let near = self.rng.random_range(0..6);
        Spurt::from_bits(base.to_bits().wrapping_add(near).wrapping_sub(2))
    }

    /// The next number that a home gives.
    pub(super) fn next(&mut self, at: usize) -> Spurt {
        let session = &mut self.sessions[at];
        session.next += 1;
        Spurt::from_bits(u32::from(session.epoch) << 24 | session.next)
    }

    /// What an honest unit asked for last: who, and by which number.
    pub(super) fn asked(&self, at: usize) -> Option<(String, u32, Tier)> {
        self.memory(at).0.iter().rev().find_map(|message| {
            let Message::Floor(wire::control::Floor { party: Some(party), body: FloorBody::Request(request), .. }) = message else {
                return None;
            };
            Some((party.to_string(), request.request.0, request.priority.tier))
        })
    }

    // === Lies ===

    async fn lie(&mut self, world: &mut World, at: usize, lie: Lie) {
        match lie {
            Lie::Honest if self.role == Role::Partner => self.own_spurt(at, false).await,
            Lie::Honest => {
                if let Some((who, number, tier)) = self.asked(at) {
                    let spurt = self.next(at);
                    self.floor(at, Some(&who), granted(number, spurt, tier)).await;
                }
            }
            Lie::ReplayMessages => self.replay_messages(at).await,
            Lie::ReplayDatagrams => {
                let (_, datagrams) = self.memory(at);
                self.play(at, &datagrams).await;
            }
            Lie::ReplayOwn => {
                let (said, tape) = (self.sessions[at].said.clone(), self.sessions[at].tape.clone());
                for message in said.into_iter().rev().take(60).rev() {
                    self.say(at, message).await;
                }
                self.play(at, &tape).await;
            }
            Lie::TwistMessages => self.twist_messages(at).await,
            Lie::TwistVoice => self.twist_voice(at).await,
            Lie::Claims => self.claims(at).await,
            Lie::Names => self.names(at).await,
            Lie::Grants => self.grants(at).await,
            Lie::TwoGrants => self.two_grants(at).await,
            Lie::Denials => self.denials(at).await,
            Lie::Numbers => self.numbers(at).await,
            Lie::Ghost => self.ghost(at).await,
            Lie::Hold if self.role == Role::Partner => self.own_spurt(at, true).await,
            Lie::Hold => {
                // A talker that it shows without an end, silent after a word or two.
                let spurt = self.next(at);
                self.floor(at, None, taken(spurt, OWN, Tier::Normal)).await;
                for seq in 0..self.rng.random_range(0..20) {
                    self.speak(at, spurt, seq, Tier::Normal);
                    sleep(ms(20)).await;
                }
            }
            Lie::Syncs => self.syncs(at).await,
            Lie::SyncFlood => self.sync_flood(at).await,
            Lie::Agreements => self.agreements(at).await,
            Lie::AgreementFlood => self.agreement_flood(at).await,
            Lie::RequestFlood => self.request_flood(at).await,
            Lie::FloorFlood => self.floor_flood(at).await,
            Lie::VoiceFlood => self.voice_flood(at).await,
            Lie::BeatFlood => {
                for _ in 0..self.count(2_000) {
                    let beat = Heartbeat { seq: self.rng.random(), echo: self.rng.random() };
                    self.datagram(at, Datagram::Heartbeat(beat).encode());
                    if self.rng.random_bool(0.2) {
                        sleep(ms(1)).await;
                    }
                }
            }
            Lie::Deaf => self.deaf(world, at).await,
            Lie::Garbage => {
                let bytes: Vec<u8> = match self.rng.random_range(0..3) {
                    0 => (16 * 1_024 + self.rng.random_range(1..u32::MAX / 2)).to_be_bytes().to_vec(),
                    1 => vec![0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0xff],
                    // A true message, cut short.
                    _ => [&[0, 0, 0, 3][..], &wire::frame::encode(&Message::Agreements(vec![self.sessions[at].words.clone()]))[4..7]]
                        .concat(),
                };
                if let Some(liar) = &mut self.sessions[at].liar {
                    liar.bytes(&bytes).await;
                }
                self.blatant = Some("garbage");
            }
            Lie::Fragments => {
                for number in 0..8 {
                    self.datagram(at, self.any_fragment(number));
                    sleep(ms(2)).await;
                }
                self.blatant = Some("fragments");
            }
            Lie::EmergencyEnds => {
                for _ in 0..self.count(12) {
                    let party = self.any(&NAMES);
                    let message = Message::EmergencyEnd { talkgroup: tg(&self.home), party: Some(id(party)) };
                    self.say(at, message).await;
                }
            }
            Lie::Emergencies => {
                for _ in 0..self.count(8) {
                    let (first, second, active) = (self.any(&NAMES), self.any(&NAMES), self.rng.random_bool(0.5));
                    let message = emergency(&self.home, active, first, &[first, second]);
                    self.say(at, message).await;
                }
            }
            Lie::Elsewhere => self.elsewhere(at).await,
            Lie::Silence => {
                if let Some(liar) = &self.sessions[at].liar {
                    liar.faint();
                }
            }
            Lie::Again => {
                self.come(world, at).await;
            }
            Lie::Leave => {
                if let Some(liar) = &self.sessions[at].liar {
                    liar.connection.close(if self.rng.random_bool(0.5) { Reason::Closed } else { Reason::ShuttingDown });
                }
            }
        }
    }

    fn any_fragment(&self, number: usize) -> Bytes {
        let fragments: [&[u8]; 4] = [&[0x10], &[0x10, 0xff, 0, 1], &[0x20, 1], &[0x30, 0xff, 0xff]];
        Bytes::from_static(fragments[number % fragments.len()])
    }
}
