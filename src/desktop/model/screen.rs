//! What there is to see and hear, as pure functions of the model: the face of each talkgroup, the open microphone, volumes.

use std::time::{Duration, Instant};

use client::Report;
use engine::handset::Event;
use wire::{DenyCause, Reason, RevokeCause, TalkgroupId, Tier};

use super::{Emergency, Group, Link, Membership, Model, Note, OnAir, Receiving, Settings, Setup, Stage, Talk, Talker};
use crate::ptt::Arbiter;
use crate::tones::Tone;

/// Volume of what plays beside something more important, of its own.
const DUCKED: f32 = 0.25;

/// How the floor of a talkgroup stands, for the terminal's user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Face<'a> {
    /// No session, since then.
    NotConnected(Instant, Option<Reason>),
    /// No session, and none will come.
    Over(Reason),
    /// Not let in yet.
    Joining,
    /// Not let in.
    NotAMember(Reason),
    /// Nobody talks.
    Free,
    /// Asked for, no answer yet; or the permit tone sounds.
    Wait,
    /// Waits at this place.
    Queued(u8),
    /// Goes out, for so long at most.
    OnAir(&'a OnAir, Duration),
    /// Somebody else talks.
    Receiving(&'a Receiving),
    /// Refused, while the key is held.
    Denied(DenyCause),
    /// Cut off in mid-word, while the key is held.
    CutOff(RevokeCause),
}

/// How well the last seconds came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Frames that were missing or late, percent.
    pub missing: f32,
    /// Delay in the jitter buffer.
    pub delay: Duration,
}

impl Quality {
    /// From two readings of the counters; `None` if nothing was received between them.
    pub(super) fn between(before: &Report, after: &Report) -> Option<Self> {
        let received = after.frames_received.checked_sub(before.frames_received)?;
        let missing = (after.frames_concealed + after.frames_late).checked_sub(before.frames_concealed + before.frames_late)?;
        let all = received + missing;
        (all > 0).then(|| Self { missing: missing as f32 * 100.0 / all as f32, delay: after.delay(50) })
    }
}

/// The talkgroup that an event is about.
pub(super) fn talkgroup(event: &Event) -> Option<&TalkgroupId> {
    match event {
        Event::Affiliated(affiliated) => Some(&affiliated.talkgroup),
        Event::FarSide(side) => Some(&side.talkgroup),
        Event::AffiliateRefused(id, _)
        | Event::Requested(id, _)
        | Event::Granted(id, _)
        | Event::Denied(id, ..)
        | Event::Queued(id, ..)
        | Event::Revoked(id, ..)
        | Event::Released(id, ..)
        | Event::Taken(id, _)
        | Event::FirstAudio(id, _)
        | Event::Interrupted(id, _)
        | Event::Idle(id, ..)
        | Event::Emergency(id, ..)
        | Event::EmergencyEndRefused(id, _) => Some(id),
        Event::Connected(_) | Event::Refused(_) | Event::GatewayLost => None,
    }
}

impl Model {
    /// What it is set to.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where it stands with its gateway.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The talkgroups, in the order of the screen.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The talkgroup that is looked at and talked to.
    pub fn selected(&self) -> &Group {
        &self.groups[self.selected]
    }

    /// Whether that talkgroup wins over the others.
    pub fn prefers(&self, group: &Group) -> bool {
        self.preferred.as_ref() == Some(&group.id)
    }

    /// The sources of push-to-talk.
    pub fn keys(&self) -> &Arbiter {
        &self.keys
    }

    /// The own talk, while the key is down.
    pub fn talk(&self) -> Option<&Talk> {
        self.talk.as_ref()
    }

    /// The emergency control.
    pub fn emergency(&self) -> &Emergency {
        &self.emergency
    }

    /// Who talked, the newest first.
    pub fn talkers(&self) -> impl Iterator<Item = &Talker> {
        self.talkers.iter()
    }

    /// The page of devices and keys.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The talkgroup of which is heard again what was missed.
    pub fn replaying(&self) -> Option<&TalkgroupId> {
        self.replaying.as_ref()
    }

    /// A line that stands for some seconds.
    pub fn note(&self) -> Option<&Note> {
        self.note.as_ref().map(|(note, _)| note)
    }

    /// How well the last seconds came.
    pub fn quality(&self) -> Option<Quality> {
        self.quality
    }

    /// How the floor of a talkgroup stands.
    pub fn face<'a>(&'a self, group: &'a Group, now: Instant) -> Face<'a> {
        match &self.link {
            Link::Down(since, reason) => return Face::NotConnected(*since, *reason),
            Link::Over(reason) => return Face::Over(*reason),
            Link::Up(_) => {}
        }
        match &group.membership {
            Membership::Joining => return Face::Joining,
            Membership::Refused(reason) => return Face::NotAMember(*reason),
            Membership::Joined => {}
        }
        match self.talk.as_ref().filter(|talk| talk.talkgroup == group.id).map(|talk| &talk.stage) {
            Some(Stage::OnAir(on_air)) if on_air.opens_at > now => Face::Wait,
            Some(Stage::OnAir(on_air)) => Face::OnAir(on_air, on_air.until.saturating_duration_since(now)),
            Some(Stage::Denied(cause)) => Face::Denied(*cause),
            Some(Stage::CutOff(cause)) => Face::CutOff(*cause),
            Some(Stage::Queued(position)) => Face::Queued(*position),
            // Whoever talks is more telling than that an answer is awaited.
            Some(Stage::Asking) | None => match (&group.receiving, &self.talk) {
                (Some(receiving), _) => Face::Receiving(receiving),
                (None, Some(talk)) if talk.talkgroup == group.id => Face::Wait,
                (None, _) => Face::Free,
            },
        }
    }

    /// The talkgroup into which is spoken now: the one rule that opens the microphone. It needs a key that is down, the floor
    /// (or the instant habit), a session and a device, each as it is in this moment.
    pub fn microphone(&self, now: Instant) -> Option<&TalkgroupId> {
        let talk = self.talk.as_ref().filter(|talk| self.keys.is_down() && self.keys.block().is_none() && talk.is_open(now))?;
        Some(&talk.talkgroup)
    }

    /// What sounds without an end in this moment.
    pub fn steady_tone(&self) -> Option<Tone> {
        let over = self.talk.as_ref().is_some_and(Talk::is_over);
        (over || self.keys.is_spent()).then_some(Tone::Denied)
    }

    /// How loud a talkgroup is heard, 0 to 1. Emergencies are always heard; while the own microphone is open nothing else is.
    pub fn volume(&self, id: &TalkgroupId, now: Instant) -> f32 {
        let Some(group) = self.groups.iter().find(|group| group.id == *id) else { return 0.0 };
        let urgent = |group: &Group| group.receiving.as_ref().is_some_and(|receiving| receiving.tier == Tier::Emergency);
        let own = f32::from(group.volume) / 100.0;
        if urgent(group) {
            return own.max(f32::from(super::group::VOLUME) / 100.0);
        }
        let selected = group.id == self.selected().id;
        if group.muted || !(selected || group.scanned) || self.microphone(now).is_some() {
            return 0.0;
        }
        // Selected before preferred before the rest; an emergency elsewhere before all of them.
        let rank = |group: &Group| (urgent(group), self.prefers(group), group.id == self.selected().id);
        let louder = self.groups.iter().filter(|other| other.receiving.is_some() && !other.muted && (other.scanned || urgent(other)));
        let ducked = louder.into_iter().any(|other| rank(other) > rank(group));
        if ducked { own * DUCKED } else { own }
    }

    /// When the screen changes without anything happening; `None` while it stands still.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let in_motion = matches!(self.emergency, Emergency::Arming(_));
        let blinks = self.groups.iter().any(Group::is_unseen);
        let counts =
            matches!(self.link, Link::Down(..)) || self.talk.is_some() || self.groups.iter().any(|group| group.receiving.is_some());
        let pace = match (in_motion, blinks, counts) {
            (true, ..) => Some(FRAME),
            (false, true, _) => Some(BLINK),
            (false, false, true) => Some(CLOCK),
            (false, false, false) => self.talkers.front().map(|_| AGO),
        };
        [pace.map(|pace| now + pace), self.poll_timeout(now)].into_iter().flatten().min()
    }
}

/// A ring that fills.
const FRAME: Duration = Duration::from_millis(33);
/// Half a period of an unacknowledged emergency: 2 Hz.
pub const BLINK: Duration = Duration::from_millis(250);
/// How long ago somebody talked.
const AGO: Duration = Duration::from_secs(10);
/// Clocks that count seconds.
const CLOCK: Duration = Duration::from_millis(250);
