//! An arbiter in virtual time, and words for what it says.

use std::time::{Duration, Instant};

use wire::control::{FloorBody, Release, Talker};
use wire::{Epoch, Priority, RequestId, Seq, SessionId, Spurt};

use crate::floor::arbiter::Arbiter;
use crate::floor::say::Say;
use crate::floor::{Claim, Party};
use crate::plan::Timers;

#[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Units from this number on are of be.
pub(super) const ABROAD: u64 = 1_000;

pub(super) fn party(unit: u64) -> Party {
    let authority = if unit < ABROAD { "nl" } else { "be" };
    Party { session: SessionId(unit), identity: format!("{authority}/unit/u{unit}").parse().unwrap() }
}

pub(super) fn claim(unit: u64, request: u32, priority: Priority) -> Claim {
    let party = party(unit);
    let talker = Talker { identity: party.identity.clone(), alias: String::new(), agency: String::new() };
    Claim { party, request: RequestId(request), priority, talker, since: None }
}

pub(super) fn release(request: u32, last_seq: Option<u16>) -> Release {
    Release { request: RequestId(request), last_seq: last_seq.map(Seq), key_down: false }
}

/// The arbiter and its clock.
pub(super) struct Bench {
    pub(super) arbiter: Arbiter,
    pub(super) now: Instant,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { arbiter: Arbiter::new(Timers::default(), Epoch(1)), now: epoch() }
    }

    pub(super) fn request(&mut self, unit: u64, request: u32, priority: Priority) -> Vec<String> {
        self.arbiter.request(claim(unit, request, priority), self.now);
        self.said()
    }

    pub(super) fn release(&mut self, unit: u64, request: u32, last_seq: Option<u16>) -> Vec<String> {
        self.arbiter.release(&party(unit), &release(request, last_seq), self.now);
        self.said()
    }

    pub(super) fn spurt(&self) -> Spurt {
        self.arbiter.current().unwrap().spurt
    }

    /// A frame of the talker's session under its spurt; whether it passes.
    pub(super) fn voice(&mut self, unit: u64, seq: u16) -> bool {
        let spurt = self.spurt();
        self.arbiter.voice(SessionId(unit), spurt, Seq(seq), self.now)
    }

    /// Time passes; every deadline is kept to the millisecond.
    pub(super) fn wait(&mut self, millis: u64) -> Vec<String> {
        let until = self.now + ms(millis);
        while let Some((at, _)) = self.arbiter.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.arbiter.handle_timeout(self.now);
        }
        self.now = until;
        self.said()
    }

    /// The talker speaks for so long, 20 ms a frame, from this sequence number; gives the next.
    pub(super) fn talk(&mut self, unit: u64, from: u16, millis: u64) -> (u16, Vec<String>) {
        let mut said = Vec::new();
        let mut seq = from;
        for _ in 0..millis / 20 {
            said.extend(self.wait(20));
            if self.arbiter.current().is_none_or(|c| c.claim.party.session != SessionId(unit)) {
                break;
            }
            self.voice(unit, seq);
            said.extend(self.said());
            seq += 1;
        }
        (seq, said)
    }

    pub(super) fn said(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(say) = self.arbiter.poll() {
            words.extend(word(&say));
        }
        words
    }

    pub(super) fn holder(&self) -> Option<u64> {
        self.arbiter.current().map(|current| current.claim.party.session.0)
    }

    pub(super) fn queue(&self) -> Vec<u64> {
        self.arbiter.queue().claims().map(|claim| claim.party.session.0).collect()
    }
}

/// One word for one thing said; records are left out.
fn word(say: &Say) -> Option<String> {
    Some(match say {
        Say::To(party, body) => {
            let what = match body {
                FloorBody::Granted(m) => format!("granted #{} {} {} {}s", m.request, m.spurt, m.tier, m.duration_s),
                FloorBody::Deny { request, cause } => format!("deny #{request} {cause}"),
                FloorBody::Queued { request, position } => format!("queued #{request} at {position}"),
                FloorBody::Revoke(m) => format!("revoke #{} {} {} ms", m.request, m.cause, m.grace_ms),
                FloorBody::Ack { request } => format!("ack #{request}"),
                FloorBody::Request(_) | FloorBody::Taken(_) | FloorBody::Idle(_) | FloorBody::Release(_) => format!("{body:?}"),
            };
            format!("{}: {what}", party.session.0)
        }
        Say::Taken(taken) => format!("taken {} {} {}", taken.talker.identity.name, taken.spurt, taken.tier),
        Say::Idle(idle) => {
            let last = idle.last_seq.map_or_else(|| "-".into(), |seq| seq.0.to_string());
            format!("idle {} last {last}{}", idle.spurt, if idle.is_lost() { " lost" } else { "" })
        }
        Say::Began(_) | Say::Ended(_) => return None,
    })
}
