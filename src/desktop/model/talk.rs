//! The own talk, from the key's going down to its going up: asking, waiting, on air, or ended while the key is still held.
//!
//! The talkgroup is that of the press, whatever is selected later. Answers are matched by the request's number, so that
//! those to an older press never open the microphone.

use std::time::{Duration, Instant};

use engine::handset::{Event, Permit};
use wire::control::Granted;
use wire::{DenyCause, RequestId, RevokeCause, TalkgroupId, Tier};

use crate::tones::{Pack, Tone};

/// How long before the talk limit its warning sounds.
const LIMIT_WARNING: Duration = Duration::from_secs(5);

/// Where the talk stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Asked for.
    Asking,
    /// Waits at this place, from 1.
    Queued(u8),
    /// Has the floor.
    OnAir(OnAir),
    /// Refused, or never asked for.
    Denied(DenyCause),
    /// Cut off in mid-word.
    CutOff(RevokeCause),
}

/// The floor is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnAir {
    /// In this tier.
    pub tier: Tier,
    /// Heard by the own side only.
    pub own_side_only: bool,
    /// When the microphone opens: after the permit tone, if there is one.
    pub opens_at: Instant,
    /// When the talk limit ends it.
    pub until: Instant,
    /// The limit's warning has sounded.
    warned: bool,
}

/// What a change asks of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The floor is there.
    Granted,
    /// It reaches more or fewer sides than before.
    ReachChanged,
    /// It waits for the first time.
    Queued,
    /// It is refused, or taken back.
    Ended,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// Where.
    pub talkgroup: TalkgroupId,
    /// Where it stands.
    pub stage: Stage,
    pub(super) permit: Permit,
    request: Option<RequestId>,
}

impl Talk {
    pub(super) fn new(talkgroup: TalkgroupId, permit: Permit) -> Self {
        Self { talkgroup, stage: Stage::Asking, permit, request: None }
    }

    /// One that comes to nothing.
    pub(super) fn in_vain(talkgroup: TalkgroupId, cause: DenyCause) -> Self {
        Self { stage: Stage::Denied(cause), ..Self::new(talkgroup, Permit::Tone) }
    }

    /// The floor, while it is held.
    pub fn on_air(&self) -> Option<&OnAir> {
        if let Stage::OnAir(on_air) = &self.stage { Some(on_air) } else { None }
    }

    /// Whether it ended with the key still down.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Denied(_) | Stage::CutOff(_))
    }

    /// Whether what is spoken now goes out, or is kept for the grant.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        match &self.stage {
            Stage::Asking => self.permit == Permit::Instant,
            Stage::OnAir(on_air) => on_air.opens_at <= now,
            Stage::Queued(_) | Stage::Denied(_) | Stage::CutOff(_) => false,
        }
    }

    /// Follows an event of its talkgroup.
    pub(super) fn handle(&mut self, event: &Event, now: Instant) -> Option<Turn> {
        match event {
            Event::Requested(_, request) => {
                self.request = Some(*request);
                None
            }
            Event::Granted(_, granted) if self.asked(granted.request) => self.granted(granted, now),
            Event::Queued(_, request, position) if self.asked(*request) => {
                let first = !matches!(self.stage, Stage::Queued(_));
                self.stage = Stage::Queued(*position);
                first.then_some(Turn::Queued)
            }
            // A raise that is refused leaves the talk as it was.
            Event::Denied(_, request, _) if self.asked(*request) && self.on_air().is_some() => None,
            Event::Denied(_, request, cause) if self.asked(*request) => {
                self.stage = Stage::Denied(*cause);
                Some(Turn::Ended)
            }
            Event::Revoked(_, request, _, cause) if self.asked(*request) => {
                self.stage = Stage::CutOff(*cause);
                Some(Turn::Ended)
            }
            // The end of an older press that this one overtook: its own request follows.
            Event::Released(_, request, _) if self.asked(*request) && !self.is_over() => {
                (self.stage, self.request) = (Stage::Asking, None);
                None
            }
            Event::Granted(..)
            | Event::Queued(..)
            | Event::Denied(..)
            | Event::Revoked(..)
            | Event::Released(..)
            | Event::Connected(_)
            | Event::Refused(_)
            | Event::Affiliated(_)
            | Event::AffiliateRefused(..)
            | Event::Taken(..)
            | Event::FirstAudio(..)
            | Event::Interrupted(..)
            | Event::Idle(..)
            | Event::Emergency(..)
            | Event::EmergencyEndRefused(..)
            | Event::FarSide(_)
            | Event::GatewayLost => None,
        }
    }

    fn asked(&self, request: RequestId) -> bool {
        self.request == Some(request)
    }

    fn granted(&mut self, granted: &Granted, now: Instant) -> Option<Turn> {
        let (tier, own_side_only) = (granted.tier, granted.own_side_only);
        let until = now + Duration::from_secs(granted.duration_s.into());
        if let Stage::OnAir(on_air) = &mut self.stage {
            let changed = on_air.own_side_only != own_side_only;
            *on_air = OnAir { tier, own_side_only, until, ..on_air.clone() };
            return changed.then_some(Turn::ReachChanged);
        }
        // Who had to queue is no longer speaking: the tone tells when to begin.
        let queued = matches!(self.stage, Stage::Queued(_));
        let silent = self.permit == Permit::Instant && !queued;
        let tone = if own_side_only { Tone::PermitOwnSide } else { Tone::Permit };
        let opens_at = if silent { now } else { now + Pack::length(tone) };
        self.stage = Stage::OnAir(OnAir { tier, own_side_only, opens_at, until, warned: false });
        (!silent).then_some(Turn::Granted)
    }

    /// When something is due: the microphone opens, or the limit is near.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let on_air = self.on_air()?;
        let warning = (!on_air.warned).then(|| on_air.warn_at());
        [Some(on_air.opens_at).filter(|at| *at > now), warning].into_iter().flatten().min()
    }

    /// Whether the limit's warning is due; once.
    pub(super) fn warn(&mut self, now: Instant) -> bool {
        let Stage::OnAir(on_air) = &mut self.stage else { return false };
        let due = !on_air.warned && on_air.warn_at() <= now;
        on_air.warned |= due;
        due
    }
}

impl OnAir {
    fn warn_at(&self) -> Instant {
        self.until.checked_sub(LIMIT_WARNING).unwrap_or(self.until)
    }
}
