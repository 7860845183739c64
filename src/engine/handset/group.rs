//! One talkgroup at a unit: participant, own spurt, gate and jitter buffer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::control::{Affiliated, Floor, FloorBody, Idle, Message, Taken};
use wire::datagram::{Datagram, Voice};
use wire::{Handle, Identity, Priority, RequestId, Seq, Spurt, TalkgroupId, Tier};

use super::{Event, Permit, Transmit};
use crate::floor::participant::{Out, Participant, State, Tell};
use crate::gate::{Admit, Gate};
use crate::jitter::{self, Came, JitterBuffer, Playout};
use crate::liveness::UNIT_HURRY;
use crate::loss::{History, Repeats};
use crate::planted::{self, Fault};
use crate::sched::line::Sound;
use crate::{Deadline, earliest};

/// Frames spoken before the grant that are kept: 300 ms. When more come, the earliest goes.
const KEPT_FRAMES: usize = 15;
/// How often the last frame of a spurt is sent.
const LAST_COPIES: u8 = 3;
/// Time between the copies of the last frame.
const COPY_INTERVAL: Duration = Duration::from_millis(20);

/// No frame and no hold beat of a spurt for so long: its listeners hear the lost tone (T1 ends it later, at the arbiter).
const INTERRUPTED: Duration = Duration::from_millis(600);
/// Nothing of a spurt for so long, more than the pause between two hold beats: the unit says something. If its NAT has given it
/// another port, its gateway does not find it before.
const MISSED: Duration = Duration::from_millis(120);

/// The own spurt, while it is sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    spurt: Spurt,
    next: Seq,
    tier: Tier,
    /// Frames before this one have no deadline: what was spoken before the grant, and what is spoken while the link still carries that.
    backlog_end: Seq,
}

/// Somebody's voice under way.
#[derive(Debug)]
struct Voiced {
    spurt: Spurt,
    talker: Identity,
    began_as: Spurt,
    /// Its end was told; the tail may still play.
    over: bool,
}

/// One talkgroup at a unit.
#[derive(Debug)]
pub(super) struct Group {
    id: TalkgroupId,
    handle: Option<Handle>,
    participant: Participant,
    priority: Priority,
    permit: Permit,
    /// Spoken before the grant.
    kept: VecDeque<Option<Bytes>>,
    sending: Option<Sending>,
    last_sent: Option<Seq>,
    /// Voice frames sent since the group was joined, hold beats included, copies not.
    frames_sent: u64,
    /// The last frame, how often it is still to be sent, and when.
    copies: Option<(Transmit, u8, Instant)>,
    /// The newest frames sent, and how many of them the next one repeats.
    history: History,
    repeats: Repeats,
    gate: Gate,
    jitter: JitterBuffer,
    /// The spurt whose first frame has been played.
    heard: Option<Spurt>,
    /// The talker whose spurt is under way, and the number its voice began under: a border that is cut or heals renumbers it.
    voice: Option<Voiced>,
    /// Tier of the newest spurt heard of.
    tier: Tier,
    /// When the spurt under way counts as interrupted.
    interrupted: Option<Instant>,
    /// When the spurt under way, until it is interrupted, is missed.
    missed: Option<Instant>,
}

impl Group {
    pub(super) fn new(id: TalkgroupId) -> Self {
        Self {
            id,
            handle: None,
            participant: Participant::default(),
            priority: Priority::default(),
            permit: Permit::default(),
            kept: VecDeque::new(),
            sending: None,
            last_sent: None,
            frames_sent: 0,
            copies: None,
            history: History::default(),
            repeats: Repeats::NONE,
            gate: Gate::new(Spurt::from_bits(0)),
            jitter: JitterBuffer::new(),
            heard: None,
            voice: None,
            tier: Tier::Normal,
            interrupted: None,
            missed: None,
        }
    }

    /// Frames repeat so many of those before them from now on.
    pub(super) fn set_repeats(&mut self, repeats: Repeats) {
        self.repeats = repeats;
    }

    pub(super) fn handle(&self) -> Option<Handle> {
        self.handle
    }

    pub(super) fn jitter_stats(&self) -> jitter::Stats {
        self.jitter.stats()
    }

    pub(super) fn last_sent(&self) -> Option<Seq> {
        self.last_sent
    }

    pub(super) fn frames_sent(&self) -> u64 {
        self.frames_sent
    }

    /// What is played, by the number its voice began under.
    pub(super) fn playing(&self) -> Option<Spurt> {
        let spurt = self.jitter.playing()?;
        let same_voice = |voice: &&Voiced| !spurt.is_after(voice.spurt) && !voice.began_as.is_after(spurt);
        Some(self.voice.as_ref().filter(same_voice).map_or(spurt, |voice| voice.began_as))
    }

    pub(super) fn holds_frames(&self) -> bool {
        self.jitter.holds_frames()
    }

    /// Nothing asked, held or still to be sent.
    pub(super) fn is_settled(&self) -> bool {
        self.participant.state() == State::Silent && self.copies.is_none()
    }

    // === Session ===

    pub(super) fn affiliated(&mut self, affiliated: Affiliated, now: Instant, events: &mut VecDeque<Event>) {
        self.handle = Some(affiliated.handle);
        self.gate = Gate::new(affiliated.baseline);
        self.jitter.reset();
        for far_side in affiliated.far_sides {
            events.push_back(Event::FarSide(far_side));
        }
        if let Some(originator) = affiliated.emergency {
            events.push_back(Event::Emergency(self.id.clone(), true, originator));
        }
        if let Some(taken) = affiliated.current {
            self.taken(&taken, now, events);
        }
    }

    pub(super) fn disconnected(&mut self, now: Instant, out: &mut VecDeque<Transmit>, events: &mut VecDeque<Event>) {
        self.handle = None;
        self.gate.cut_all();
        self.jitter.reset();
        // In the next session the same voice is heard anew, and told so.
        self.awaits_voice(None);
        (self.voice, self.heard) = (None, None);
        self.copies = None;
        self.participant.disconnected(now);
        self.drain(now, out, events);
    }

    // === Talking ===

    pub(super) fn press(
        &mut self,
        fresh: RequestId,
        priority: Priority,
        permit: Permit,
        now: Instant,
        out: &mut VecDeque<Transmit>,
        events: &mut VecDeque<Event>,
    ) -> RequestId {
        if matches!(self.participant.state(), State::Silent | State::Releasing) {
            self.permit = permit;
            self.kept.clear();
            self.sending = None;
        }
        self.priority = priority;
        self.participant.press(fresh, priority, now);
        self.drain(now, out, events);
        self.participant.request()
    }

    pub(super) fn key_up(&mut self, now: Instant, out: &mut VecDeque<Transmit>, events: &mut VecDeque<Event>) {
        self.participant.key_up(now);
        self.drain(now, out, events);
    }

    pub(super) fn speak(&mut self, payload: Option<Bytes>, out: &mut VecDeque<Transmit>) {
        match self.participant.state() {
            State::Talking | State::Finishing => {
                self.send_frame(payload, false, out);
            }
            State::Requesting if self.permit == Permit::Instant => {
                if self.kept.len() == KEPT_FRAMES {
                    self.kept.pop_front();
                }
                self.kept.push_back(payload);
            }
            State::Requesting | State::Queued | State::Silent | State::Releasing => {}
        }
    }

    fn send_frame(&mut self, payload: Option<Bytes>, last: bool, out: &mut VecDeque<Transmit>) -> Option<Transmit> {
        let (Some(handle), Some(sending)) = (self.handle, &mut self.sending) else { return None };
        let voice = Voice {
            handle,
            spurt: sending.spurt,
            seq: sending.next,
            first: sending.next == Seq(0),
            last,
            tier: sending.tier,
            encrypted: false,
            repeats: Vec::new(),
            payload: payload.unwrap_or_default(),
        };
        let (tier, level, backlog) = (sending.tier, self.priority.level, sending.next < sending.backlog_end);
        self.history.push(&voice);
        let repeating = self.history.repeating(&voice, self.repeats).map(|voice| voice.encode());
        self.last_sent = Some(sending.next);
        self.frames_sent += 1;
        sending.next = sending.next.next();
        let transmit = Transmit::Voice(Sound { datagram: voice.encode(), repeating, tier, level, backlog });
        out.push_back(transmit.clone());
        Some(transmit)
    }

    fn drain(&mut self, now: Instant, out: &mut VecDeque<Transmit>, events: &mut VecDeque<Event>) {
        while let Some(item) = self.participant.poll() {
            match item {
                Out::Send(body) => out.push_back(Transmit::Control(self.floor(body))),
                Out::SendDatagram(body) => {
                    let message = Box::new(self.floor(body));
                    out.push_back(Transmit::Datagram(Datagram::Emergency(message).encode()));
                }
                Out::Finish => self.finish(now, out),
                Out::Tell(tell) => self.tell(tell, out, events),
            }
        }
    }

    fn floor(&self, body: FloorBody) -> Message {
        Message::Floor(Floor { talkgroup: self.id.clone(), party: None, body })
    }

    /// The spurt ends with an empty frame that is marked as the last; three copies, for nothing follows that could heal its loss.
    fn finish(&mut self, now: Instant, out: &mut VecDeque<Transmit>) {
        if self.sending.is_some_and(|sending| sending.next > Seq(0))
            && let Some(transmit) = self.send_frame(None, true, out)
        {
            self.copies = Some((transmit, LAST_COPIES - 1, now + COPY_INTERVAL));
        } else {
            self.last_sent = None;
        }
        self.participant.finished(self.last_sent, now);
    }

    fn tell(&mut self, tell: Tell, out: &mut VecDeque<Transmit>, events: &mut VecDeque<Event>) {
        let id = self.id.clone();
        events.push_back(match tell {
            Tell::Requested(request) => Event::Requested(id, request),
            Tell::Granted(granted) => {
                let kept = std::mem::take(&mut self.kept);
                match &mut self.sending {
                    Some(sending) if sending.spurt == granted.spurt => sending.tier = granted.tier,
                    sending => {
                        // A link for voice carries two frames in the time of one, so it has caught up after as many again; a
                        // spurt that goes on under another number has what is left of that.
                        let left = sending.map_or(0, |before| before.backlog_end.0.saturating_sub(before.next.0));
                        let backlog_end = Seq(u16::try_from(2 * kept.len()).unwrap_or(u16::MAX).saturating_add(left));
                        *sending = Some(Sending { spurt: granted.spurt, next: Seq(0), tier: granted.tier, backlog_end });
                    }
                }
                // An own spurt silences whatever was still playing here.
                self.jitter.cut(self.gate.newest());
                self.gate.cut_all();
                self.awaits_voice(None);
                self.voice = None;
                events.push_back(Event::Granted(id, granted));
                for payload in kept {
                    self.send_frame(payload, false, out);
                }
                return;
            }
            Tell::Denied(request, cause) => {
                self.kept.clear();
                Event::Denied(id, request, cause)
            }
            Tell::Queued(request, position) => {
                self.kept.clear();
                Event::Queued(id, request, position)
            }
            Tell::Revoked(request, spurt, cause) => Event::Revoked(id, request, spurt, cause),
            Tell::Released(request, spurt) => {
                self.kept.clear();
                Event::Released(id, request, spurt)
            }
        });
    }

    // === Listening ===

    pub(super) fn handle_floor(&mut self, body: &FloorBody, now: Instant, out: &mut VecDeque<Transmit>, events: &mut VecDeque<Event>) {
        match body {
            FloorBody::Taken(taken) => self.taken(taken, now, events),
            FloorBody::Idle(idle) => self.idle(idle, now, events),
            FloorBody::Granted(_)
            | FloorBody::Deny { .. }
            | FloorBody::Queued { .. }
            | FloorBody::Revoke(_)
            | FloorBody::Ack { .. }
            | FloorBody::Request(_)
            | FloorBody::Release(_) => {
                self.participant.handle(body, now);
                self.drain(now, out, events);
            }
        }
    }

    fn taken(&mut self, taken: &Taken, now: Instant, events: &mut VecDeque<Event>) {
        if self.gate.newest().is_after(taken.spurt) {
            return;
        }
        let before = self.gate.newest();
        if taken.spurt.is_after(before) {
            self.gate.open(taken.spurt);
            if self.voice.as_ref().is_some_and(|voice| !voice.over && voice.talker == taken.talker.identity) {
                // Nobody cuts itself: a talker that raises its tier and goes by another number at once plays on.
                self.tier = taken.tier;
            }
            self.follow_on(before, taken.tier, now);
            self.jitter.start(taken.spurt, now);
        } else {
            self.gate.open(taken.spurt);
        }
        let talker = taken.talker.identity.clone();
        // Only a cut or a heal renumbers a voice under way, and both begin an epoch; what is heard under its own number already stays so.
        let renumbered = |voice: &Voiced| !voice.over && voice.talker == talker && taken.spurt.epoch.is_after(voice.spurt.epoch);
        let goes_on = self.voice.take().filter(|voice| renumbered(voice) && self.heard != Some(taken.spurt));
        let began_as = goes_on.map_or(taken.spurt, |voice| voice.began_as);
        self.voice = Some(Voiced { spurt: taken.spurt, talker, began_as, over: false });
        self.awaits_voice(Some(now));
        events.push_back(Event::Taken(self.id.clone(), taken.clone()));
    }

    /// A newer spurt begins: a higher tier cuts the older one, any other lets its tail play.
    fn follow_on(&mut self, before: Spurt, tier: Tier, now: Instant) {
        if tier > self.tier {
            self.jitter.cut(before);
        } else {
            self.jitter.ended(before, None, now);
        }
        self.tier = tier;
    }

    fn idle(&mut self, idle: &Idle, now: Instant, events: &mut VecDeque<Event>) {
        self.gate.ended(idle.spurt);
        if self.gate.newest().is_after(idle.spurt) {
            return;
        }
        if idle.spurt.is_start() {
            // Nothing is over; an epoch begins in silence.
            self.gate.advance(idle.spurt);
            self.jitter.advance(idle.spurt);
            return;
        }
        if idle.is_lost() {
            self.gate.cut(idle.spurt);
        }
        self.awaits_voice(None);
        if let Some(voice) = &mut self.voice {
            voice.over = true;
        }
        self.jitter.ended(idle.spurt, idle.last_seq, now);
        events.push_back(Event::Idle(self.id.clone(), idle.spurt, idle.is_lost()));
    }

    /// A voice frame, and earlier ones that it carries along: those that have not come themselves are taken in before it.
    pub(super) fn handle_voice(&mut self, voice: Voice, now: Instant) {
        for earlier in voice.repeated() {
            self.handle_frame(earlier, Came::Repeated, now);
        }
        self.handle_frame(voice, Came::Itself, now);
    }

    fn handle_frame(&mut self, voice: Voice, came: Came, now: Instant) {
        let before = self.gate.newest();
        match self.gate.admit_from_source(voice.spurt, voice.seq) {
            Admit::Begins => {
                self.follow_on(before, voice.tier, now);
                self.jitter.start(voice.spurt, now);
            }
            Admit::Duplicate | Admit::Stale if !planted::is(Fault::NoFilter) => return,
            Admit::Pass | Admit::Duplicate | Admit::Stale => {}
        }
        // After the last frame only the arbiter's word is awaited.
        if came == Came::Itself {
            self.awaits_voice((!voice.last).then_some(now));
        }
        self.jitter.take(voice.spurt, voice.seq, voice.payload, voice.last, came, now);
    }

    /// More of the spurt under way is to come, or nothing is.
    fn awaits_voice(&mut self, since: Option<Instant>) {
        self.interrupted = since.map(|since| since + INTERRUPTED);
        self.missed = since.map(|since| since + MISSED);
    }

    pub(super) fn playout(&mut self, now: Instant, events: &mut VecDeque<Event>) -> Option<Playout> {
        let playout = loop {
            match self.jitter.due(now) {
                Some(Playout::End(_)) => {}
                other => break other?,
            }
        };
        if matches!(playout, Playout::Frame(_) | Playout::Stretch { .. }) {
            let spurt = self.playing();
            if spurt.is_some() && self.heard != spurt {
                self.heard = spurt;
                events.extend(spurt.map(|spurt| Event::FirstAudio(self.id.clone(), spurt)));
            }
        }
        Some(playout)
    }

    // === Time ===

    pub(super) fn poll_timeout(&self) -> Deadline {
        let copies = self.copies.as_ref().map(|(_, _, at)| (*at, "copy of the last frame"));
        let interrupted = self.interrupted.map(|at| (at, "interrupted"));
        let missed = self.missed.map(|at| (at, "missed"));
        earliest([self.participant.poll_timeout(), copies, interrupted, missed])
    }

    /// Whether the spurt under way is missed, so that the gateway should hear from this unit now: said again and again until it is
    /// interrupted.
    pub(super) fn misses_voice(&mut self, now: Instant) -> bool {
        let missed = self.missed.take_if(|at| *at <= now).is_some();
        if missed && self.interrupted.is_some() {
            self.missed = Some(now + UNIT_HURRY);
        }
        missed
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut VecDeque<Transmit>, events: &mut VecDeque<Event>) {
        if let Some((transmit, left, at)) = self.copies.take_if(|(_, _, at)| *at <= now) {
            // As the first one: a new press may have another tier.
            out.push_back(transmit.clone());
            self.copies = (left > 1).then(|| (transmit, left - 1, at + COPY_INTERVAL));
        }
        if self.interrupted.take_if(|at| *at <= now).is_some() {
            self.missed = None;
            events.push_back(Event::Interrupted(self.id.clone(), self.gate.newest()));
        }
        self.participant.handle_timeout(now);
        self.drain(now, out, events);
    }
}
