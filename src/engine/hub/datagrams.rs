//! Datagrams of units and peers: voice, heartbeats, reports of loss, and the repeats of emergency requests.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::control::{Floor, FloorBody, Message, Revoke};
use wire::datagram::{Datagram, Heartbeat, Report, Voice};
use wire::{Reason, RequestId, RevokeCause, SessionId, Spurt, TalkgroupId};

use super::figures::TurnedAway;
use super::limits::{Sort, Verdict};
use super::output::{Event, Output};
use super::view::Frame;
use super::{Hub, Session, Stage};

/// Least time between two words to a unit that its voice is not heard.
const UNHEARD_EVERY: Duration = Duration::from_secs(1);

/// What a unit was told last about voice that nobody hears.
#[derive(Clone, Debug, Default)]
pub(super) struct Unheard {
    told: Option<(TalkgroupId, Spurt, Instant)>,
}

impl Unheard {
    /// Whether to tell it now: once for each spurt, and not too often.
    fn is_news(&mut self, talkgroup: &TalkgroupId, spurt: Spurt, now: Instant) -> bool {
        let is_news = self
            .told
            .as_ref()
            .is_none_or(|(told, number, at)| (told, *number) != (talkgroup, spurt) && now.saturating_duration_since(*at) >= UNHEARD_EVERY);
        if is_news {
            self.told = Some((talkgroup.clone(), spurt, now));
        }
        is_news
    }
}

impl Hub {
    /// A datagram arrives. Bytes that are none are dropped; the transport counts them.
    pub fn handle_datagram(&mut self, session: SessionId, bytes: Bytes, now: Instant) {
        self.handle_datagram_of(session, bytes, now, now);
    }

    /// The same for one that arrived a moment ago and waited for this turn: the deadline of voice counts from its arrival.
    pub fn handle_datagram_of(&mut self, session: SessionId, bytes: Bytes, arrived: Instant, now: Instant) {
        self.handle_one_datagram(session, bytes, arrived, now);
        self.settle(now);
    }

    fn handle_one_datagram(&mut self, session: SessionId, bytes: Bytes, arrived: Instant, now: Instant) {
        if !matches!(self.sessions.get(&session), Some(Session { stage: Stage::Up, .. })) {
            return;
        }
        let is_peer = self.peers.contains_key(&session);
        match Datagram::decode(bytes.clone()) {
            Ok(Some(Datagram::Voice(voice))) if is_peer => self.handle_voice_of_peer(session, Frame { voice: &voice, bytes, arrived }, now),
            Ok(Some(Datagram::Voice(voice))) => self.handle_voice_of_unit(session, Frame { voice: &voice, bytes, arrived }, now),
            Ok(Some(Datagram::Heartbeat(beat))) => self.handle_heartbeat(session, beat, now),
            Ok(Some(Datagram::Report(report))) => self.handle_report(session, report, now),
            Ok(Some(Datagram::Emergency(message))) => self.handle_emergency_datagram(session, *message, now),
            // Of a later version: it counts, and means nothing here.
            Ok(None) if is_peer => {}
            Ok(None) => {
                self.judge_datagram(session, Sort::Frame, now);
            }
            Err(_) => {
                self.out.misbehaved(session, "malformed datagram", now);
                if self.sessions.get_mut(&session).is_some_and(|entry| !entry.limits.malformed(now)) {
                    self.end(session, Reason::Malformed, now);
                }
            }
        }
    }

    /// Judges one more datagram of a unit; a flood has its price.
    fn judge_datagram(&mut self, session: SessionId, sort: Sort, now: Instant) -> Verdict {
        let verdict = self.sessions.get_mut(&session).map_or(Verdict::Drop, |entry| entry.limits.datagram(sort, now));
        match verdict {
            Verdict::Pass | Verdict::Drop => {}
            Verdict::Mute => self.out.misbehaved(session, "flood of datagrams, muted for 10 s", now),
            Verdict::End => {
                self.out.misbehaved(session, "flood of datagrams after it was muted", now);
                self.end(session, Reason::Flooding, now);
            }
        }
        verdict
    }

    fn handle_voice_of_unit(&mut self, session: SessionId, frame: Frame<'_>, now: Instant) {
        let voice = frame.voice;
        let verdict = self.judge_datagram(session, Sort::Frame, now);
        if verdict == Verdict::Pass {
            self.note_loss(session, voice, now);
        } else {
            self.out.watch.turned_away(None, voice.tier, TurnedAway::Flood);
        }
        let Some(view) = self.handles.get(&voice.handle).and_then(|id| self.views.get_mut(id)) else { return };
        match verdict {
            Verdict::Pass if view.lacks_grant(session, now) => {
                let talkgroup = view.id().clone();
                self.out.watch.turned_away(None, voice.tier, TurnedAway::NoGrant);
                self.tell_unheard(session, talkgroup, voice.spurt, now);
            }
            Verdict::Pass => view.voice(session, frame, now, &mut self.out),
            Verdict::Mute => {
                let talkgroup = view.id().clone();
                self.revoke_voice(session, talkgroup, voice.spurt);
            }
            Verdict::Drop | Verdict::End => {}
        }
    }

    fn handle_voice_of_peer(&mut self, session: SessionId, frame: Frame<'_>, now: Instant) {
        let (Some(peer), Some(entry)) = (self.peers.get(&session), self.sessions.get_mut(&session)) else { return };
        if !entry.limits.peer_frame(peer.bridges, now) {
            self.out.watch.turned_away(Some(&peer.identity), frame.voice.tier, TurnedAway::Flood);
            return self.out.misbehaved(session, "more voice than its bridges carry", now);
        }
        self.note_loss(session, frame.voice, now);
        let Some(peer) = self.peers.get(&session) else { return };
        if let Some(view) = peer.handles.get(&frame.voice.handle).and_then(|id| self.views.get_mut(id)) {
            view.voice(session, frame, now, &mut self.out);
        }
    }

    /// Voice without a grant (TS 24.380 6.3.5.7): the unit learns that nobody hears it, and the records that it tried.
    fn tell_unheard(&mut self, session: SessionId, talkgroup: TalkgroupId, spurt: Spurt, now: Instant) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if !entry.unheard.is_news(&talkgroup, spurt, now) {
            return;
        }
        let identity = entry.caller.identity.clone();
        self.revoke_voice(session, talkgroup.clone(), spurt);
        self.out.event(Event::Unheard { talkgroup, identity, spurt });
    }

    /// The gateway knows of no request here; the spurt says which grant it is that does not hold.
    fn revoke_voice(&mut self, session: SessionId, talkgroup: TalkgroupId, spurt: Spurt) {
        let revoke = Revoke { request: RequestId(0), spurt, cause: RevokeCause::NoPermission, grace_ms: 0 };
        self.out.control(session, Message::Floor(Floor { talkgroup, party: None, body: FloorBody::Revoke(revoke) }));
    }

    /// Counts a frame, and tells its sender what is lost if that is due.
    fn note_loss(&mut self, session: SessionId, voice: &Voice, now: Instant) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        entry.meter.note(voice);
        if let Some(report) = entry.meter.report(now) {
            self.out.outputs.push_back(Output::Datagram(session, Datagram::Report(report).encode()));
        }
    }

    /// What the other side has missed of our voice: repeats are chosen by it.
    fn handle_report(&mut self, session: SessionId, report: Report, now: Instant) {
        let is_unit = !self.peers.contains_key(&session);
        if is_unit && self.judge_datagram(session, Sort::Beat, now) != Verdict::Pass {
            return;
        }
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        let before = entry.chooser.choice();
        entry.chooser.handle_report(report);
        let choice = entry.chooser.choice();
        if choice == before {
            return;
        }
        if is_unit {
            self.views.values_mut().filter(|view| view.members.contains_key(&session)).for_each(|view| view.set_repeats(session, choice));
        } else {
            self.share_repeats(session);
        }
    }

    fn handle_heartbeat(&mut self, session: SessionId, beat: Heartbeat, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&session) {
            peer.liveness.handle_heartbeat(beat, now);
        } else if self.judge_datagram(session, Sort::Beat, now) == Verdict::Pass {
            // A unit's beat is answered at once; the unit watches for the echo.
            let echo = Datagram::Heartbeat(Heartbeat { seq: beat.seq, echo: beat.seq });
            self.out.outputs.push_back(Output::Datagram(session, echo.encode()));
        }
    }

    /// Only an emergency request may come this way; it is the same message as on the stream, so a repeat is harmless.
    fn handle_emergency_datagram(&mut self, session: SessionId, message: Message, now: Instant) {
        let Message::Floor(Floor { body: FloorBody::Request(request), party, .. }) = &message else { return };
        if !self.peers.contains_key(&session) && self.judge_datagram(session, Sort::Repeat, now) != Verdict::Pass {
            return;
        }
        let released = match (self.peers.get(&session), party) {
            (Some(peer), Some(party)) => peer.released.of(party, now),
            (Some(_), None) => return,
            (None, _) => self.sessions.get(&session).and_then(|entry| entry.released),
        };
        if request.priority.tier == wire::Tier::Emergency && Some(request.request) > released {
            self.handle_message(session, message, now);
        }
    }
}
