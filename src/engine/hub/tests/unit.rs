//! One unit of the bench: a real handset, a key, a voice whose frames carry who speaks, and an ear that checks what it hears.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::control::{Ceiling, Inbound, Outbound};
use wire::datagram::Datagram;
use wire::{DenyCause, Identity, Level, Priority, Reason, RequestId, RevokeCause, SessionId, Spurt, TalkgroupId, Tier};

use crate::handset::{Event, Handset, Permit};
use crate::jitter::Playout;
use crate::plan::{Bridge, Peer, Plan, Talkgroup, Timers};

#[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A number below `below`, from a linear congruential generator.
pub(super) fn random(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap() % below
}

/// A frame: who speaks, and a number that counts through all its spurts.
fn frame(unit: usize, number: u32) -> Bytes {
    let unit = u32::try_from(unit).unwrap();
    [unit.to_be_bytes(), number.to_be_bytes()].concat().into()
}

pub(super) fn speaker_of(payload: &[u8]) -> Option<usize> {
    let bytes: [u8; 4] = payload.get(..4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

fn number_of(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[4..8].try_into().unwrap())
}

/// The unit.
pub(super) struct Unit {
    pub(super) identity: Identity,
    pub(super) hub: usize,
    pub(super) handset: Handset,
    pub(super) session: Option<SessionId>,
    index: usize,
    talkgroup: TalkgroupId,
    pub(super) key: bool,
    pub(super) joined: bool,
    spoken: u32,
    /// Frames that went out, by number.
    pub(super) out: Vec<u32>,
    /// Frames heard: speaker, number.
    pub(super) ear: Vec<(usize, u32)>,
    /// The spurt that plays, and who it is.
    playing: Option<Spurt>,
    speaker: Option<usize>,
    pub(super) told: Vec<Event>,
    /// The own request that has no end yet.
    pub(super) asking: Option<RequestId>,
    /// The talker that the display shows.
    pub(super) believes: Option<Spurt>,
    pub(super) ended: Option<Reason>,
}

impl Unit {
    pub(super) fn new(identity: &str, talkgroup: &str, hub: usize, index: usize) -> Self {
        let talkgroup: TalkgroupId = talkgroup.parse().unwrap();
        Self {
            identity: identity.parse().unwrap(),
            hub,
            handset: Handset::new([talkgroup.clone()]),
            session: None,
            index,
            talkgroup,
            key: false,
            joined: false,
            spoken: 0,
            out: Vec::new(),
            ear: Vec::new(),
            playing: None,
            speaker: None,
            told: Vec::new(),
            asking: None,
            believes: None,
            ended: None,
        }
    }

    pub(super) fn press(&mut self, priority: Priority, now: Instant) {
        if self.handset.press(&self.talkgroup, priority, Permit::Instant, now).is_ok() {
            self.key = true;
        }
    }

    pub(super) fn key_up(&mut self, now: Instant) {
        if std::mem::take(&mut self.key) {
            self.handset.key_up(&self.talkgroup, now);
        }
    }

    pub(super) fn end_emergency(&mut self) {
        self.handset.end_emergency(&self.talkgroup);
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self, reason: Reason, now: Instant) {
        self.session = None;
        self.ended = Some(reason);
        self.joined = false;
        self.handset.handle_disconnected(now);
        self.believes = None;
        self.collect();
    }

    pub(super) fn sent(&mut self, datagram: &Bytes, tier: Tier) {
        let Ok(Some(Datagram::Voice(voice))) = Datagram::decode(datagram.clone()) else { panic!("not voice") };
        assert_eq!(voice.tier, tier, "the class follows the frame");
        if !voice.payload.is_empty() {
            self.out.push(number_of(&voice.payload));
        }
    }

    pub(super) fn tick(&mut self, now: Instant, frame_due: bool) {
        if self.handset.poll_timeout().is_some_and(|(due, _)| due <= now) {
            self.handset.handle_timeout(now);
        }
        if !frame_due {
            return;
        }
        if self.key {
            self.handset.speak(&self.talkgroup, Some(frame(self.index, self.spoken)));
            self.spoken += 1;
        }
        let played = self.handset.playout(&self.talkgroup, now);
        self.collect();
        match played {
            Some(Playout::Frame(payload)) => self.hear(&payload),
            Some(Playout::Stretch { frames, .. }) => frames.iter().for_each(|payload| self.hear(payload)),
            Some(Playout::Fec { .. } | Playout::Conceal | Playout::Silence | Playout::End(_)) | None => {}
        }
    }

    /// Under one spurt one voice is heard, in order, each frame once, never the own one.
    fn hear(&mut self, payload: &[u8]) {
        let (speaker, number) = (speaker_of(payload).unwrap(), number_of(payload));
        assert_ne!(speaker, self.index, "{} hears itself", self.identity);
        let speaks = *self.speaker.get_or_insert(speaker);
        assert_eq!(speaks, speaker, "{} hears two talkers under {:?}", self.identity, self.playing);
        let before = self.ear.iter().rev().find(|(who, _)| *who == speaker);
        assert!(before.is_none_or(|(_, n)| *n < number), "{} hears frame {number} of {speaker} twice or late", self.identity);
        self.ear.push((speaker, number));
    }

    /// Takes the events.
    pub(super) fn collect(&mut self) {
        while let Some(event) = self.handset.poll_event() {
            match &event {
                Event::Affiliated(_) => {
                    self.joined = true;
                    self.believes = None;
                    self.playing = None;
                }
                Event::AffiliateRefused(..) => (self.joined, self.believes) = (false, None),
                Event::Requested(_, request) => self.asking = Some(*request),
                Event::Granted(..) => self.believes = None,
                Event::Denied(_, request, DenyCause::EmergencyNotAllowed | DenyCause::PerilNotAllowed)
                    if self.asking == Some(*request) && self.key && self.talks() => {}
                Event::Denied(_, request, _) | Event::Revoked(_, request, ..) | Event::Released(_, request, _) => {
                    self.asking.take_if(|asking| asking == request);
                }
                Event::Taken(_, taken) => self.believes = Some(taken.spurt),
                Event::Idle(..) => self.believes = None,
                Event::FirstAudio(_, spurt) => {
                    assert!(
                        self.playing.is_none_or(|before| spurt.is_after(before)),
                        "{}: {spurt} after {:?}",
                        self.identity,
                        self.playing
                    );
                    (self.playing, self.speaker) = (Some(*spurt), None);
                }
                Event::Connected(_)
                | Event::Refused(_)
                | Event::Queued(..)
                | Event::Emergency(..)
                | Event::EmergencyEndRefused(..)
                | Event::FarSide(_)
                | Event::Interrupted(..)
                | Event::GatewayLost => {}
            }
            self.told.push(event);
        }
    }

    /// Granted and not ended.
    pub(super) fn talks(&self) -> bool {
        self.told.iter().rev().find_map(|event| {
            let ended = matches!(event, Event::Revoked(..) | Event::Released(..) | Event::Requested(..));
            (ended || matches!(event, Event::Granted(..))).then_some(!ended)
        }) == Some(true)
    }
}

/// Short words for what a unit was told, for readable assertions.
pub(super) fn words(events: &[Event]) -> Vec<String> {
    events.iter().filter_map(word).collect()
}

fn word(event: &Event) -> Option<String> {
    Some(match event {
        Event::Requested(..) => "requested".into(),
        Event::Granted(_, granted) => {
            let reach = if granted.own_side_only { " own_side" } else { "" };
            format!("granted {}{reach}", granted.tier)
        }
        Event::Denied(_, _, cause) => format!("denied {cause}"),
        Event::Queued(_, _, position) => format!("queued {position}"),
        Event::Revoked(_, _, _, cause) => format!("revoked {cause}"),
        Event::Released(..) => "released".into(),
        Event::Taken(_, taken) => format!("taken {} {}", taken.talker.identity, taken.tier),
        Event::Idle(_, _, lost) => if *lost { "lost" } else { "idle" }.into(),
        Event::Emergency(_, active, who) => format!("emergency {active} {who}"),
        Event::EmergencyEndRefused(_, cause) => format!("emergency end refused {cause}"),
        Event::FarSide(far) => format!("far {} {}", far.authority, if far.present { "present" } else { "away" }),
        Event::AffiliateRefused(_, reason) => format!("affiliate_refused {reason}"),
        Event::Refused(reason) => format!("refused {reason}"),
        Event::Connected(_) | Event::Affiliated(_) | Event::FirstAudio(..) | Event::Interrupted(..) | Event::GatewayLost => return None,
    })
}

/// Whether the unit's spurt was taken back for this cause.
pub(super) fn revoked(events: &[Event], cause: RevokeCause) -> bool {
    events.iter().any(|event| matches!(event, Event::Revoked(_, _, _, c) if *c == cause))
}

// === Plans ===

pub(super) fn bridge() -> Bridge {
    Bridge {
        agreement: "EMR-2026-01".into(),
        home: "nl/pol-1".parse().unwrap(),
        partner: "be/lux-3".parse().unwrap(),
        inbound: Inbound {
            talk: true,
            short_data: true,
            emergency: true,
            ceiling: Ceiling { tier: Tier::Emergency, level: Level(64), dispatcher: true },
        },
        outbound: Outbound { talk: true, short_data: true, emergency: true },
        onward: Vec::new(),
        valid: None,
    }
}

/// The plan of one side: everybody of the authority may do everything.
pub(super) fn plan(authority: &str, talkgroup: &str, far: &str) -> Plan {
    let own = vec![format!("{authority}/*/*").parse().unwrap()];
    Plan {
        gateway: format!("{authority}/gateway/gw-1").parse().unwrap(),
        standby: false,
        talkgroups: vec![Talkgroup {
            id: talkgroup.parse().unwrap(),
            title: "Police".into(),
            agency: "police".into(),
            join: own.clone(),
            talk: own.clone(),
            emergency: own.clone(),
            peril: own,
            level_max: Level(64),
            timers: Timers::default(),
        }],
        peers: vec![Peer { authority: far.parse().unwrap(), name: "gw-1".parse().unwrap(), rate_kbps: 512 }],
        bridges: vec![bridge()],
        unit_rate_kbps: 128,
    }
}

/// The plan with a second talkgroup and a second bridge beside the first.
pub(super) fn with_second(mut plan: Plan) -> Plan {
    let own = plan.gateway.authority.clone();
    let (home, partner): (TalkgroupId, TalkgroupId) = ("nl/fire-1".parse().unwrap(), "be/fire-3".parse().unwrap());
    let second = Bridge { agreement: "EMR-2026-02".into(), home, partner, ..bridge() };
    plan.talkgroups.push(Talkgroup { id: second.own(&own).clone(), ..plan.talkgroups[0].clone() });
    plan.bridges.push(second);
    plan
}

pub(super) fn nl() -> Plan {
    plan("nl", "nl/pol-1", "be")
}

pub(super) fn be() -> Plan {
    plan("be", "be/lux-3", "nl")
}
