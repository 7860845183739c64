//! What the terminal knows and shows, and what follows from what happens: facts and time in, effects out.
//!
//! In the data path: between the user's hand, the unit and the sound devices. It owns no clock, device or socket, so every
//! rule of the terminal is tested without a screen. The window draws it, `screen` says what there is to see.

mod emergency;
mod group;
mod input;
mod screen;
mod setup;
mod talk;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use client::{End, Report, What};
use engine::handset::{Event, Permit};
use wire::{DenyCause, Kind, Level, Priority, Reason, TalkgroupId, Tier};

use crate::ptt::{Arbiter, Block, Change, Source, Why};
use crate::tones::Tone;
use emergency::Follows;
pub use emergency::{ARM, Declared, Emergency, HOT_MICROPHONE, Touch};
use group::Noticed;
pub use group::{Alarm, Group, Membership, Receiving};
pub use input::{Effect, Fact, Gesture, Hearing, Link, Note, Settings, Talker};
pub use screen::{BLINK, Face, Quality};
pub use setup::Setup;
use talk::Turn;
pub use talk::{OnAir, Stage, Talk};

/// Talkers that are remembered.
const TALKERS_MAX: usize = 20;
/// How often a waiting request ticks.
const QUEUE_TICK: Duration = Duration::from_secs(2);
/// How often an emergency that nobody has acknowledged sounds.
const ALARM_REPEAT: Duration = Duration::from_secs(5);
/// How long a note stands.
const NOTE: Duration = Duration::from_secs(8);

/// See the module.
#[derive(Clone, Debug)]
pub struct Model {
    settings: Settings,
    link: Link,
    groups: Vec<Group>,
    selected: usize,
    preferred: Option<TalkgroupId>,
    keys: Arbiter,
    talk: Option<Talk>,
    emergency: Emergency,
    talkers: VecDeque<Talker>,
    setup: Setup,
    replaying: Option<TalkgroupId>,
    note: Option<(Note, Instant)>,
    quality: Option<Quality>,
    counted: Report,
    queue_tick: Option<Instant>,
    alarm_repeat: Option<Instant>,
    effects: VecDeque<Effect>,
}

impl Model {
    /// A terminal that has just been switched on. `None` without a talkgroup: there is nothing to look at.
    pub fn new(settings: Settings, now: Instant) -> Option<Self> {
        let groups: Vec<_> = settings.talkgroups.iter().cloned().map(Group::new).collect();
        let mut keys = Arbiter::default();
        keys.forbid(Block::NoLink, now);
        keys.appear(Source::HotMicrophone, now);
        (!groups.is_empty()).then_some(Self {
            settings,
            link: Link::Down(now, None),
            groups,
            selected: 0,
            preferred: None,
            keys,
            talk: None,
            emergency: Emergency::Calm,
            talkers: VecDeque::new(),
            setup: Setup::default(),
            replaying: None,
            note: None,
            quality: None,
            counted: Report::default(),
            queue_tick: None,
            alarm_repeat: None,
            effects: VecDeque::new(),
        })
    }

    /// Takes the next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    // === The user ===

    /// Follows the user.
    pub fn gesture(&mut self, gesture: Gesture, now: Instant) {
        match gesture {
            Gesture::Press(source) => {
                let change = self.keys.press(source, now);
                self.key(change, now);
            }
            Gesture::Release(source) => {
                let change = self.keys.release(source, now);
                self.key(change, now);
            }
            Gesture::Select(id) => self.selected = self.position(&id).unwrap_or(self.selected),
            Gesture::Scan(id, scanned) => self.change(&id, |group| group.scanned = scanned),
            Gesture::Mute(id, muted) => self.change(&id, |group| group.muted = muted),
            Gesture::Volume(id, percent) => self.change(&id, |group| group.volume = percent.min(100)),
            Gesture::Prefer(id) => self.preferred = Some(id).filter(|id| self.preferred.as_ref() != Some(id)),
            Gesture::Emergency(touch) if touch == Touch::End || self.selected().may_alarm() => {
                let selected = self.selected().id.clone();
                let follows = self.emergency.touch(touch, &selected, now);
                self.follow(follows, now);
            }
            // No right to it here; the control says so.
            Gesture::Emergency(_) => {}
            Gesture::Acknowledge(id) => {
                self.change(&id, |group| {
                    if let Some(alarm) = &mut group.alarm {
                        alarm.acknowledged = true;
                    }
                });
                self.watch_alarms(now);
            }
            Gesture::Replay(id) => self.replay(id),
            Gesture::SetUp(_) | Gesture::Choose(_) | Gesture::Learn(_) | Gesture::Learned(_) | Gesture::HearMyself => self.set_up(gesture),
        }
    }

    fn position(&self, id: &TalkgroupId) -> Option<usize> {
        self.groups.iter().position(|group| group.id == *id)
    }

    fn change(&mut self, id: &TalkgroupId, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.id == *id) {
            change(group);
        }
    }

    fn key(&mut self, change: Option<Change>, now: Instant) {
        match change {
            Some(Change::Down) => self.ask(now),
            Some(Change::Up(why)) => self.let_go(why, now),
            Some(Change::Refused(block)) => self.tell(Note::Key(Why::Blocked(block)), now),
            None => {}
        }
    }

    /// The key went down: asks for the floor of the selected talkgroup, or of the one of the own emergency.
    fn ask(&mut self, now: Instant) {
        let own = self.emergency.declared().map(|declared| declared.talkgroup.clone());
        let tier = if own.is_some() { Tier::Emergency } else { Tier::Normal };
        let id = own.unwrap_or_else(|| self.selected().id.clone());
        let Some(group) = self.position(&id).and_then(|at| self.groups.get(at)) else { return };
        let in_vain = match (&group.membership, tier) {
            (Membership::Joining | Membership::Refused(_), _) => Some(DenyCause::NotAffiliated),
            (Membership::Joined, Tier::Normal) if !group.rights.talk => Some(DenyCause::ReceiveOnly),
            (Membership::Joined, _) => None,
        };
        if let Some(cause) = in_vain {
            self.talk = Some(Talk::in_vain(id, cause));
            return;
        }
        let permit = if self.keys.is_hot() { Permit::Instant } else { self.settings.permit };
        self.talk = Some(Talk::new(id.clone(), permit));
        self.effects.push_back(Effect::Press(id, self.priority(tier), permit));
        self.note = self.note.take_if(|(note, _)| matches!(note, Note::Refused(_) | Note::EmergencyGoesOn(_)));
        self.end_replay();
        self.queue_tick = None;
        debug_assert!(self.microphone(now).is_none() || permit == Permit::Instant, "nothing is open before the grant");
    }

    fn priority(&self, tier: Tier) -> Priority {
        Priority { tier, dispatcher: self.settings.me.kind == Kind::Dispatcher, level: Level::default() }
    }

    /// The key went up: whatever was asked or held ends.
    fn let_go(&mut self, why: Why, now: Instant) {
        self.queue_tick = None;
        let Some(talk) = self.talk.take() else { return };
        if let Some(on_air) = talk.on_air() {
            self.tell(Note::Reached(!on_air.own_side_only), now);
        }
        self.effects.push_back(Effect::KeyUp(talk.talkgroup));
        if why != Why::Released {
            self.tell(Note::Key(why), now);
        }
    }

    fn tell(&mut self, note: Note, now: Instant) {
        self.note = Some((note, now + NOTE));
    }

    fn sound(&mut self, tone: Tone) {
        self.effects.push_back(Effect::Sound(tone));
    }

    fn follow(&mut self, follows: Option<Follows>, now: Instant) {
        match follows {
            Some(Follows::Declare) => {
                self.sound(Tone::EmergencySent);
                self.open_hot(now);
            }
            Some(Follows::AskEnd(id)) => {
                self.gesture(Gesture::Release(Source::HotMicrophone), now);
                self.effects.push_back(Effect::EndEmergency(id));
            }
            Some(Follows::CloseMicrophone) => self.gesture(Gesture::Release(Source::HotMicrophone), now),
            None => {}
        }
    }

    /// The microphone opens by itself. A talk elsewhere gives way; one in the same talkgroup is raised.
    fn open_hot(&mut self, now: Instant) {
        let Some(id) = self.emergency.declared().map(|declared| declared.talkgroup.clone()) else { return };
        let raises = self.talk.as_ref().is_some_and(|talk| talk.talkgroup == id && !talk.is_over());
        if !raises && self.keys.is_down() {
            self.let_go(Why::Released, now);
        }
        let was_down = self.keys.is_down();
        self.keys.release(Source::HotMicrophone, now);
        let change = self.keys.press(Source::HotMicrophone, now);
        if raises {
            self.effects.push_back(Effect::Press(id, self.priority(Tier::Emergency), Permit::Instant));
        } else if was_down && change.is_none() {
            self.ask(now);
        }
        self.key(change, now);
    }

    // === The world ===

    /// Follows what happened.
    pub fn fact(&mut self, fact: Fact, now: Instant) {
        match fact {
            Fact::Unit(What::Handset(event)) => self.event(&event, now),
            Fact::Unit(What::Disconnected(reason)) => self.link_down(Some(reason), now),
            Fact::Unit(What::Refused { reason, .. }) => {
                if let Link::Down(_, last) = &mut self.link {
                    *last = Some(reason);
                }
                self.tell(Note::Refused(reason), now);
            }
            // The window has no mailbox.
            Fact::Unit(What::Mail(_)) => {}
            Fact::Unit(What::Ended(end, _)) => {
                self.link_down(None, now);
                self.link = Link::Over(if let End::GaveUp(reason) = end { reason } else { Reason::Closed });
            }
            Fact::PressFailed(id) => {
                if let Some(talk) = self.talk.as_mut().filter(|talk| talk.talkgroup == id) {
                    talk.stage = Stage::Denied(DenyCause::NotAffiliated);
                }
            }
            Fact::Focus(focused) => {
                for source in Source::ALL.into_iter().filter(|source| source.needs_focus()) {
                    self.source(source, focused, now);
                }
                if !focused {
                    self.emergency.lose_touch();
                }
            }
            Fact::Source(source, there) => self.source(source, there, now),
            Fact::Microphone(there) => self.block(Block::NoMicrophone, !there, now),
            Fact::Locked(locked) => self.block(Block::Locked, locked, now),
            Fact::Asleep(asleep) => self.block(Block::Asleep, asleep, now),
            Fact::Counted(report) => {
                self.quality = Quality::between(&self.counted, &report).or(self.quality);
                self.counted = *report;
            }
            Fact::Names(_) | Fact::Substitute(_) | Fact::Hearing(_) => self.sound_fact(fact),
            Fact::Kept(id, length) => self.change(&id, |group| group.kept = length),
            Fact::Replayed => self.replaying = None,
        }
    }

    fn source(&mut self, source: Source, there: bool, now: Instant) {
        let change = if there { self.keys.appear(source, now) } else { self.keys.vanish(source, now) };
        self.key(change, now);
    }

    fn block(&mut self, block: Block, holds: bool, now: Instant) {
        if holds {
            let change = self.keys.forbid(block, now);
            self.key(change, now);
        } else {
            self.keys.allow(block);
            self.reopen_hot(now);
        }
    }

    fn link_down(&mut self, reason: Option<Reason>, now: Instant) {
        if matches!(self.link, Link::Up(_)) {
            self.link = Link::Down(now, reason);
            self.sound(Tone::Lost);
        }
        self.quality = None;
        self.note = self.note.take_if(|(note, _)| !matches!(note, Note::Reached(_)));
        self.block(Block::NoLink, true, now);
        for at in 0..self.groups.len() {
            let noticed = self.groups.get_mut(at).and_then(Group::disconnected);
            self.noticed(at, noticed, now);
        }
        self.watch_alarms(now);
    }

    fn event(&mut self, event: &Event, now: Instant) {
        if let Event::Connected(gateway) = event {
            if matches!(self.link, Link::Down(_, Some(_))) {
                self.sound(Tone::Back);
            }
            self.link = Link::Up(gateway.clone());
            self.block(Block::NoLink, false, now);
            return;
        }
        let Some(at) = screen::talkgroup(event).and_then(|id| self.position(id)) else { return };
        let noticed = self.groups.get_mut(at).and_then(|group| group.handle(event, now));
        self.noticed(at, noticed, now);
        if self.replay_yields() {
            self.end_replay();
        }
        self.own_talk(event, now);
        self.own_emergency(event, now);
        self.watch_alarms(now);
    }

    fn noticed(&mut self, at: usize, noticed: Option<Noticed>, now: Instant) {
        let Some(group) = self.groups.get_mut(at) else { return };
        match noticed {
            Some(Noticed::Spoken(spoken)) => {
                let talkgroup = group.id.clone();
                self.talkers.push_front(Talker { talkgroup, spoken, until: now });
                self.talkers.truncate(TALKERS_MAX);
            }
            Some(Noticed::TalkerLost) => self.sound(Tone::Lost),
            // The own one is no news.
            Some(Noticed::Alarm) if group.alarm.as_ref().is_some_and(|alarm| alarm.originator == self.settings.me) => {
                group.alarm.iter_mut().for_each(|alarm| alarm.acknowledged = true);
            }
            Some(Noticed::Alarm) | None => {}
        }
    }

    fn own_talk(&mut self, event: &Event, now: Instant) {
        let Some(talk) = self.talk.as_mut().filter(|talk| screen::talkgroup(event) == Some(&talk.talkgroup)) else { return };
        let turn = talk.handle(event, now);
        let on_air = talk.on_air().cloned();
        if let (Some(on_air), Some(declared)) = (&on_air, self.emergency.declared_mut())
            && on_air.tier == Tier::Emergency
        {
            declared.heard = true;
            if self.keys.is_hot() {
                declared.hot_until.get_or_insert(on_air.opens_at + HOT_MICROPHONE);
            }
        }
        match (turn, on_air) {
            (Some(Turn::Granted | Turn::ReachChanged), Some(on_air)) => {
                self.queue_tick = None;
                // No tone into an open microphone, but for the one that says that fewer hear.
                self.sound(if on_air.own_side_only { Tone::PermitOwnSide } else { Tone::Permit });
            }
            (Some(Turn::Queued), _) => {
                self.sound(Tone::Queued);
                self.queue_tick = Some(now + QUEUE_TICK);
            }
            (Some(Turn::Ended), _) => {
                self.queue_tick = None;
                let stage = self.talk.as_ref().filter(|_| self.keys.is_hot()).map(|talk| talk.stage.clone());
                if let Some(stage) = stage {
                    self.gesture(Gesture::Release(Source::HotMicrophone), now);
                    self.tell(Note::Ended(stage), now);
                }
            }
            (Some(Turn::Granted | Turn::ReachChanged), None) | (None, _) => {}
        }
    }

    fn own_emergency(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Affiliated(affiliated) if affiliated.emergency.as_ref() == Some(&self.settings.me) => {
                self.emergency_known(&affiliated.talkgroup)
            }
            Event::Affiliated(affiliated) => {
                if let Some(declared) = self.emergency.declared_mut().filter(|declared| declared.talkgroup == affiliated.talkgroup) {
                    declared.known = false;
                }
                self.reopen_hot(now);
            }
            Event::Emergency(id, true, originator) if *originator == self.settings.me => self.emergency_known(id),
            Event::Emergency(id, false, _) if self.emergency.declared().is_some_and(|declared| declared.talkgroup == *id) => {
                self.emergency = Emergency::Calm;
                self.gesture(Gesture::Release(Source::HotMicrophone), now);
            }
            Event::EmergencyEndRefused(_, cause) => {
                self.emergency.goes_on();
                self.tell(Note::EmergencyGoesOn(*cause), now);
            }
            Event::Emergency(..)
            | Event::Connected(_)
            | Event::Refused(_)
            | Event::AffiliateRefused(..)
            | Event::Requested(..)
            | Event::Granted(..)
            | Event::Denied(..)
            | Event::Queued(..)
            | Event::Revoked(..)
            | Event::Released(..)
            | Event::Taken(..)
            | Event::FirstAudio(..)
            | Event::Interrupted(..)
            | Event::Idle(..)
            | Event::FarSide(_)
            | Event::GatewayLost => {}
        }
    }

    /// Everybody knows of the own emergency, be it from before a restart.
    fn emergency_known(&mut self, id: &TalkgroupId) {
        match self.emergency.declared_mut() {
            Some(declared) => (declared.known, declared.heard) = (true, true),
            None => self.emergency = Emergency::Declared(Declared { known: true, heard: true, ..Declared::new(id.clone()) }),
        }
    }

    /// An emergency that nobody has heard of yet asks again by itself.
    fn reopen_hot(&mut self, now: Instant) {
        let unheard = self.emergency.declared().filter(|declared| !declared.heard).map(|declared| declared.talkgroup.clone());
        let joined = |id| self.position(&id).and_then(|at| self.groups.get(at)).is_some_and(|group| group.membership == Membership::Joined);
        if self.keys.block().is_none() && self.talk.is_none() && unheard.is_some_and(joined) {
            self.open_hot(now);
        }
    }

    fn watch_alarms(&mut self, now: Instant) {
        let unseen = self.groups.iter().any(Group::is_unseen);
        match (unseen, self.alarm_repeat) {
            (true, None) => {
                self.sound(Tone::Emergency);
                self.alarm_repeat = Some(now + ALARM_REPEAT);
            }
            (false, _) => self.alarm_repeat = None,
            (true, Some(_)) => {}
        }
    }

    // === Time ===

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let talk = self.talk.as_ref().and_then(|talk| talk.poll_timeout(now));
        let note = self.note.as_ref().map(|(_, until)| *until);
        [self.keys.poll_timeout(), self.emergency.poll_timeout(), talk, note, self.queue_tick, self.alarm_repeat]
            .into_iter()
            .flatten()
            .min()
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let change = self.keys.handle_timeout(now);
        self.key(change, now);
        let selected = self.selected().id.clone();
        let follows = self.emergency.handle_timeout(&selected, now);
        self.follow(follows, now);
        if self.talk.as_mut().is_some_and(|talk| talk.warn(now)) {
            self.sound(Tone::LimitNear);
        }
        self.note.take_if(|(_, until)| *until <= now);
        if self.queue_tick.take_if(|at| *at <= now).is_some() {
            self.sound(Tone::Queued);
            self.queue_tick = Some(now + QUEUE_TICK);
        }
        if self.alarm_repeat.take_if(|at| *at <= now).is_some() {
            self.watch_alarms(now);
        }
    }
}
