//! Voice in a view: each frame passes the gate once, however it came, and is fanned out at once.
//!
//! In the data path: behind the hub's dispatch, before the links. What the hop before repeated is taken as frames of their own; the
//! next hops get repeats of their own, as each listener's reports call for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use wire::datagram::Voice;
use wire::{Level, Seq, SessionId, Spurt, Tier};

use super::{Side, View};
use crate::gate::Admit;
use crate::hub::output::{Fanout, Outbox, Output};
use crate::loss::Repeats;
use crate::plan::Timers;

/// Frames at the beginning of a spurt that have no deadline: 300 ms may have been spoken before the grant and come at once, and
/// as many again are spoken while a link for voice carries those.
const BACKLOG_FRAMES: u16 = 30;

/// A voice frame as it came.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// What it says.
    pub(crate) voice: &'a Voice,
    /// The whole datagram.
    pub(crate) bytes: Bytes,
    /// When it arrived at this gateway.
    pub(crate) arrived: Instant,
}

/// Copies of a spurt's last frame that pass after it.
const COPIES: u8 = 2;

/// The last frame of a spurt.
#[derive(Clone, Debug)]
pub(super) struct LastFrame {
    session: SessionId,
    spurt: Spurt,
    seq: Seq,
    class: (Tier, Level),
    /// How many more may pass.
    copies: u8,
    /// Until when frames that it overtook still pass.
    until: Instant,
}

/// How a frame stands to the last one of its spurt.
#[derive(Clone, Copy, Debug)]
enum Stands {
    /// That has not come yet, or is of another spurt.
    Apart,
    /// It says it again, or was overtaken by it, and passes in its class.
    Behind((Tier, Level)),
    /// It passes no more.
    TooLate,
}

/// Who hears what passes, by the repeats with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ears {
    /// Each listener is in one of them; without loss there is one.
    groups: Vec<(Repeats, Arc<[SessionId]>)>,
    /// Of those whose frames carry repeats.
    repeats: BTreeMap<SessionId, Repeats>,
}

impl Ears {
    /// Sorts the listeners by what they are to get.
    pub(super) fn renew(&mut self, listeners: impl Iterator<Item = SessionId>) {
        if self.repeats.is_empty() {
            self.groups = vec![(Repeats::NONE, listeners.collect())];
            return;
        }
        let mut groups: BTreeMap<Repeats, Vec<SessionId>> = BTreeMap::new();
        for session in listeners {
            groups.entry(self.repeats.get(&session).copied().unwrap_or_default()).or_default().push(session);
        }
        self.groups = groups.into_iter().map(|(repeats, sessions)| (repeats, sessions.into())).collect();
    }

    /// A session has gone.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.repeats.remove(&session);
    }
}

impl View {
    /// A voice frame from a session, and earlier ones that it carries along: those that have not come themselves pass before it.
    pub(crate) fn voice(&mut self, session: SessionId, frame: Frame<'_>, now: Instant, out: &mut Outbox) {
        for earlier in frame.voice.repeated() {
            let bytes = Bytes::new();
            self.voice_alone(session, Frame { voice: &earlier, bytes, arrived: frame.arrived }, now, out);
        }
        self.voice_alone(session, frame, now, out);
    }

    fn voice_alone(&mut self, session: SessionId, frame: Frame<'_>, now: Instant, out: &mut Outbox) {
        let Frame { voice, bytes, arrived } = frame;
        let class = match self.stands(session, voice, now) {
            Stands::TooLate => return,
            Stands::Behind(class) => class,
            Stands::Apart => {
                let class = self.class_of(session, voice);
                if !self.admit(session, voice, now, out) {
                    self.drain(now, out);
                    return;
                }
                if voice.last {
                    let (copies, until) = (COPIES, now + Timers::TAIL);
                    self.last_frame = Some(LastFrame { session, spurt: voice.spurt, seq: voice.seq, class, copies, until });
                }
                class
            }
        };
        self.fan_out(session, Frame { voice, bytes, arrived }, class, out);
        out.watch.fanned_out(self.handle, now);
        self.drain(now, out);
    }

    /// The last frame may end the spurt here, and says where it ends: it passes again while no successor is there, and so does what it
    /// overtook on its way, for as long as the gate lets a tail pass.
    fn stands(&mut self, session: SessionId, voice: &Voice, now: Instant) -> Stands {
        let Some(last) = self.last_frame.as_mut().filter(|last| (last.session, last.spurt) == (session, voice.spurt)) else {
            return Stands::Apart;
        };
        if voice.seq == last.seq && self.gate.newest() == voice.spurt {
            if last.copies == 0 {
                return Stands::TooLate;
            }
            last.copies -= 1;
            return Stands::Behind(last.class);
        }
        if voice.seq.0 >= last.seq.0 {
            return Stands::Apart;
        }
        let passes = now <= last.until && self.gate.admit(voice.spurt, voice.seq) == Admit::Pass;
        if passes { Stands::Behind(last.class) } else { Stands::TooLate }
    }

    /// Hands a frame to everybody who hears it: the same bytes for all who get the same repeats.
    fn fan_out(&mut self, except: SessionId, frame: Frame<'_>, (tier, level): (Tier, Level), out: &mut Outbox) {
        let Frame { voice, bytes, arrived } = frame;
        let as_it_came = voice.handle == self.handle && voice.tier == tier && voice.repeats.is_empty() && !bytes.is_empty();
        let ours = Voice { handle: self.handle, tier, repeats: Vec::new(), ..voice.clone() };
        let datagram = if as_it_came { bytes } else { ours.encode() };
        self.history.push(&ours);
        for (repeats, to) in &self.ears.groups {
            out.outputs.push_back(Output::Voice(Fanout {
                to: Arc::clone(to),
                except,
                datagram: datagram.clone(),
                repeating: self.history.repeating(&ours, *repeats).map(|voice| voice.encode()),
                tier,
                level,
                backlog: voice.seq.0 < BACKLOG_FRAMES,
                arrived,
            }));
        }
    }

    /// The frames for a session repeat so many from now on.
    pub(crate) fn set_repeats(&mut self, session: SessionId, repeats: Repeats) {
        let before = match repeats {
            Repeats::NONE => self.ears.repeats.remove(&session),
            _ => self.ears.repeats.insert(session, repeats),
        };
        if before.unwrap_or_default() != repeats {
            self.renew_listeners();
        }
    }

    /// Tier and level of a frame are the grant's; what is written into it lifts nothing. The home tells no levels, and a tier
    /// with its talker; until it has, its frames are the truth.
    fn class_of(&self, session: SessionId, voice: &Voice) -> (Tier, Level) {
        let (granted, told) = match &self.side {
            Side::Arbiter(arbiter) => (arbiter.current().map(|current| current.claim.priority), None),
            Side::Partner(follower) => (follower.priority_of(session), follower.tier_told(voice.spurt)),
        };
        let of_home = || (told.map_or(voice.tier, |told| voice.tier.min(told)), Level::default());
        granted.map_or_else(of_home, |priority| (priority.tier, priority.level))
    }

    pub(super) fn admit(&mut self, session: SessionId, voice: &Voice, now: Instant, out: &mut Outbox) -> bool {
        match &mut self.side {
            // The gate first: it knows duplicates, and the arbiter may end the spurt with this very frame.
            Side::Arbiter(arbiter) => {
                let holds = arbiter.current().is_some_and(|current| current.claim.party.session == session);
                holds && self.gate.admit(voice.spurt, voice.seq) == Admit::Pass && arbiter.voice(session, voice.spurt, voice.seq, now)
            }
            Side::Partner(follower) if follower.home.session == session => {
                if !follower.home.is_heard() || follower.is_settling() {
                    return false;
                }
                if let Err(what) = follower.may_be_heard(voice.spurt, now) {
                    out.misbehaved(session, what, now);
                    return false;
                }
                match self.gate.admit_from_source(voice.spurt, voice.seq) {
                    Admit::Pass => {
                        follower.passed(now);
                        true
                    }
                    Admit::Begins => {
                        let ended = follower.begun_by_voice(voice.spurt, now);
                        self.relay(ended, now, out);
                        self.keep_epoch(out);
                        true
                    }
                    Admit::Duplicate | Admit::Stale => false,
                }
            }
            Side::Partner(follower) => {
                let passes = follower.may_talk(session, voice.spurt, voice.seq) && self.gate.admit(voice.spurt, voice.seq) == Admit::Pass;
                if passes {
                    follower.passed(now);
                }
                passes
            }
        }
    }
}
