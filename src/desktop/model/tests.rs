//! The terminal by scenario, in virtual time: what is seen, whether the microphone is open, what is asked of the unit.

use std::time::{Duration, Instant};

use client::{End, What};
use engine::handset::{Event, Permit};
use wire::control::{Affiliated, FarSide, Granted, Rights, Taken, Talker};
use wire::{DenyCause, Handle, Level, Reason, RequestId, RevokeCause, Spurt, TalkgroupId, Tier};

use super::emergency::{ARM, CONFIRM};
use super::*;
use crate::ptt::HOLD_MAX;

pub(crate) const POL: &str = "nl/pol-1";
pub(crate) const FIRE: &str = "nl/fire-2";

pub(crate) fn id(name: &str) -> TalkgroupId {
    name.parse().unwrap()
}

pub(crate) fn spurt(number: u32) -> Spurt {
    Spurt::from_bits(0x0100_0000 + number)
}

/// A terminal, its unit's numbers, and the clock.
pub(crate) struct Bench {
    pub(crate) model: Model,
    pub(crate) now: Instant,
    pub(crate) request: u32,
}

impl Bench {
    /// Switched on, with the focus, not yet connected.
    pub(crate) fn new(permit: Permit) -> Self {
        let now = Instant::now();
        let settings = Settings::new("nl/unit/maas-12".parse().unwrap(), vec![id(POL), id(FIRE)], permit);
        let mut model = Model::new(settings, now).unwrap();
        model.fact(Fact::Focus(true), now);
        model.fact(Fact::Source(Source::Socket, true), now);
        model.fact(Fact::Source(Source::Desktop, true), now);
        Self { model, now, request: 0 }
    }

    /// In session, in both talkgroups.
    pub(crate) fn joined(permit: Permit) -> Self {
        let mut bench = Self::new(permit);
        bench.connect();
        assert_eq!(bench.effects(), []);
        bench
    }

    pub(crate) fn connect(&mut self) {
        self.event(Event::Connected("nl/gateway/gw-1".parse().unwrap()));
        for name in [POL, FIRE] {
            self.event(Event::Affiliated(Box::new(Affiliated {
                talkgroup: id(name),
                handle: Handle(1),
                title: name.to_uppercase(),
                agency: "police".into(),
                rights: Rights { talk: true, emergency: true, peril: false, level_max: Level(16) },
                baseline: spurt(0),
                current: None,
                emergency: None,
                far_sides: vec![FarSide { talkgroup: id(name), authority: "be".parse().unwrap(), present: true }],
            })));
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.model.fact(Fact::Unit(What::Handset(event)), self.now);
    }

    pub(crate) fn gesture(&mut self, gesture: Gesture) {
        self.model.gesture(gesture, self.now);
    }

    pub(crate) fn press(&mut self) {
        self.press_by(Source::Key);
    }

    /// The unit takes the press and numbers it.
    pub(crate) fn press_by(&mut self, source: Source) {
        self.gesture(Gesture::Press(source));
        self.request += 1;
        self.event(Event::Requested(id(POL), RequestId(self.request)));
    }

    pub(crate) fn release(&mut self) {
        self.gesture(Gesture::Release(Source::Key));
        self.event(Event::Released(id(POL), RequestId(self.request), None));
    }

    pub(crate) fn grant(&mut self, tier: Tier, own_side_only: bool) {
        let granted = Granted { request: RequestId(self.request), spurt: spurt(self.request), duration_s: 30, tier, own_side_only };
        self.event(Event::Granted(id(POL), granted));
    }

    pub(crate) fn taken(&mut self, name: &str, number: u32, tier: Tier) {
        let talker = Talker { identity: "be/unit/lux-7".parse().unwrap(), alias: "Lux 7".into(), agency: "police".into() };
        self.event(Event::Taken(id(name), Taken { spurt: spurt(number), talker, tier, via: None, elapsed_ms: 0 }));
    }

    /// Lets time pass, from deadline to deadline.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.model.poll_timeout(self.now).filter(|at| *at <= end) {
            self.now = at;
            self.model.handle_timeout(at);
        }
        self.now = end;
    }

    pub(crate) fn face(&self) -> Face<'_> {
        self.model.face(self.model.selected(), self.now)
    }

    pub(crate) fn open(&self) -> bool {
        self.model.microphone(self.now).is_some()
    }

    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.model.poll_effect()).collect()
    }
}

fn asked(tier: Tier, permit: Permit) -> Effect {
    Effect::Press(id(POL), Priority { tier, dispatcher: false, level: Level::default() }, permit)
}

#[test]
fn press_grant_release() {
    let mut bench = Bench::joined(Permit::Tone);
    assert_eq!(bench.face(), Face::Free);
    bench.press();
    assert_eq!((bench.face(), bench.open()), (Face::Wait, false));
    assert_eq!(bench.effects(), [asked(Tier::Normal, Permit::Tone)]);
    bench.grant(Tier::Normal, false);
    assert_eq!(bench.effects(), [Effect::Sound(Tone::Permit)]);
    assert_eq!((bench.face(), bench.open()), (Face::Wait, false), "the tone is not transmitted");
    bench.pass(crate::tones::Pack::length(Tone::Permit));
    assert!(bench.open());
    assert!(matches!(bench.face(), Face::OnAir(_, left) if left > Duration::from_secs(29)));
    bench.release();
    assert_eq!(bench.effects(), [Effect::KeyUp(id(POL))]);
    assert_eq!((bench.face(), bench.open(), bench.model.note()), (Face::Free, false, Some(&Note::Reached(true))));
    bench.pass(NOTE);
    assert_eq!((bench.model.note(), bench.model.next_change(bench.now)), (None, None), "an idle terminal draws nothing");
}

#[test]
fn with_the_instant_habit_the_microphone_opens_at_the_press_and_no_tone_sounds_into_it() {
    let mut bench = Bench::joined(Permit::Instant);
    bench.press();
    assert!(bench.open());
    bench.effects();
    bench.grant(Tier::Normal, false);
    assert_eq!((bench.effects(), bench.open()), (vec![], true));
    bench.grant(Tier::Normal, true);
    assert_eq!(bench.effects(), [Effect::Sound(Tone::PermitOwnSide)], "fewer hear than before");
}

#[test]
fn the_permit_says_who_will_hear() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.press();
    bench.effects();
    bench.grant(Tier::Normal, true);
    assert_eq!(bench.effects(), [Effect::Sound(Tone::PermitOwnSide)]);
    bench.pass(Duration::from_secs(1));
    assert!(matches!(bench.face(), Face::OnAir(on_air, _) if on_air.own_side_only));
    bench.release();
    assert_eq!(bench.model.note(), Some(&Note::Reached(false)));
}

#[test]
fn denied_stays_on_the_screen_and_in_the_ear_until_the_key_is_released() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.press();
    bench.event(Event::Denied(id(POL), RequestId(1), DenyCause::NoResources));
    bench.pass(Duration::from_secs(3));
    assert_eq!((bench.face(), bench.open()), (Face::Denied(DenyCause::NoResources), false));
    assert_eq!(bench.model.steady_tone(), Some(Tone::Denied));
    bench.release();
    assert_eq!((bench.face(), bench.model.steady_tone()), (Face::Free, None));
}

#[test]
fn a_queued_request_ticks_and_its_turn_is_told_by_the_permit_even_with_the_instant_habit() {
    let mut bench = Bench::joined(Permit::Instant);
    bench.taken(POL, 90, Tier::Normal);
    bench.press();
    bench.effects();
    bench.event(Event::Queued(id(POL), RequestId(1), 2));
    assert_eq!((bench.face(), bench.open()), (Face::Queued(2), false));
    assert_eq!(bench.effects(), [Effect::Sound(Tone::Queued)]);
    bench.pass(QUEUE_TICK);
    bench.event(Event::Queued(id(POL), RequestId(1), 1));
    assert_eq!(bench.face(), Face::Queued(1));
    assert_eq!(bench.effects(), [Effect::Sound(Tone::Queued)]);
    bench.grant(Tier::Normal, false);
    assert_eq!((bench.effects(), bench.open()), (vec![Effect::Sound(Tone::Permit)], false));
    bench.pass(Duration::from_secs(5));
    assert_eq!((bench.effects(), bench.open()), (vec![], true));
}

#[test]
fn preempted_while_talking_the_microphone_closes_at_once() {
    let mut bench = Bench::joined(Permit::Instant);
    bench.press();
    bench.grant(Tier::Normal, false);
    assert!(bench.open());
    bench.event(Event::Revoked(id(POL), RequestId(1), spurt(1), RevokeCause::Preempted));
    bench.taken(POL, 2, Tier::Emergency);
    assert_eq!((bench.face(), bench.open()), (Face::CutOff(RevokeCause::Preempted), false));
    assert_eq!(bench.model.steady_tone(), Some(Tone::Denied));
    bench.release();
    assert!(matches!(bench.face(), Face::Receiving(receiving) if receiving.tier == Tier::Emergency));
}

#[test]
fn the_limit_is_warned_of_once() {
    let mut bench = Bench::joined(Permit::Instant);
    bench.press();
    bench.grant(Tier::Normal, false);
    bench.effects();
    bench.pass(Duration::from_secs(26));
    assert_eq!(bench.effects(), [Effect::Sound(Tone::LimitNear)]);
    bench.pass(Duration::from_secs(3));
    assert_eq!(bench.effects(), []);
}

#[test]
fn every_source_lost_while_pressed_and_whatever_forbids_to_talk_closes_the_microphone() {
    let ends: [(Source, Fact); 8] = [
        (Source::Key, Fact::Focus(false)),
        (Source::Button, Fact::Focus(false)),
        (Source::Desktop, Fact::Source(Source::Desktop, false)),
        (Source::Socket, Fact::Source(Source::Socket, false)),
        (Source::Key, Fact::Locked(true)),
        (Source::Socket, Fact::Asleep(true)),
        (Source::Desktop, Fact::Microphone(false)),
        (Source::Key, Fact::Unit(What::Disconnected(Reason::LinkLost))),
    ];
    for (source, end) in ends {
        for permit in [Permit::Instant, Permit::Tone] {
            let mut bench = Bench::joined(permit);
            bench.press_by(source);
            bench.grant(Tier::Normal, false);
            bench.pass(Duration::from_secs(1));
            assert!(bench.open(), "{source:?}");
            bench.effects();
            bench.model.fact(end.clone(), bench.now);
            assert!(!bench.open(), "{source:?} {end:?}");
            assert!(bench.effects().contains(&Effect::KeyUp(id(POL))), "{source:?} {end:?}");
            assert!(matches!(bench.model.note(), Some(Note::Key(_))), "{source:?} {end:?}");
        }
    }
}

#[test]
fn a_stuck_key_ends() {
    let mut bench = Bench::joined(Permit::Instant);
    bench.press_by(Source::Socket);
    bench.pass(HOLD_MAX);
    assert_eq!((bench.open(), bench.model.note()), (false, Some(&Note::Key(Why::TooLong))));
}

#[test]
fn link_lost_and_back() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.taken(POL, 1, Tier::Normal);
    bench.model.fact(Fact::Unit(What::Disconnected(Reason::LinkLost)), bench.now);
    assert_eq!(bench.face(), Face::NotConnected(bench.now, Some(Reason::LinkLost)));
    assert_eq!(bench.effects(), [Effect::Sound(Tone::Lost)]);
    assert_eq!(bench.model.talkers().count(), 1, "who was cut is not forgotten");
    bench.gesture(Gesture::Press(Source::Key));
    assert_eq!((bench.effects(), bench.model.steady_tone()), (vec![], Some(Tone::Denied)));
    bench.connect();
    assert_eq!((bench.face(), bench.open()), (Face::Free, false));
    assert_eq!(bench.effects(), [Effect::Sound(Tone::Back)]);
    bench.gesture(Gesture::Release(Source::Key));
    bench.press();
    assert_eq!(bench.effects(), [asked(Tier::Normal, Permit::Tone)]);
}

#[test]
fn a_unit_that_ended_is_not_waited_for() {
    let mut bench = Bench::new(Permit::Tone);
    bench.model.fact(Fact::Unit(What::Ended(End::GaveUp(Reason::CertificateExpired), Box::default())), bench.now);
    assert_eq!((bench.face(), bench.model.next_change(bench.now)), (Face::Over(Reason::CertificateExpired), None));
}

#[test]
fn an_answer_to_an_older_press_opens_nothing() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.press();
    bench.gesture(Gesture::Release(Source::Key));
    bench.gesture(Gesture::Press(Source::Key));
    bench.grant(Tier::Normal, false);
    bench.pass(Duration::from_secs(1));
    assert!(!bench.open(), "the new press has no number yet");
    bench.event(Event::Released(id(POL), RequestId(1), None));
    bench.request = 2;
    bench.event(Event::Requested(id(POL), RequestId(2)));
    bench.grant(Tier::Normal, false);
    bench.pass(Duration::from_secs(1));
    assert!(bench.open());
}

#[test]
fn emergency_is_held_for_a_second_opens_the_microphone_and_ends_by_its_user() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.gesture(Gesture::Emergency(Touch::Hold));
    bench.pass(ARM / 2);
    assert!((bench.model.emergency().armed(bench.now) - 0.5).abs() < 0.01);
    bench.gesture(Gesture::Emergency(Touch::LetGo));
    assert_eq!(bench.model.emergency(), &Emergency::Calm);
    assert_eq!(bench.effects(), []);

    bench.gesture(Gesture::Emergency(Touch::Hold));
    bench.pass(ARM);
    assert_eq!(bench.effects(), [Effect::Sound(Tone::EmergencySent), asked(Tier::Emergency, Permit::Instant)]);
    assert!(bench.open());
    bench.request += 1;
    bench.event(Event::Requested(id(POL), RequestId(1)));
    bench.grant(Tier::Emergency, false);
    bench.event(Event::Emergency(id(POL), true, "nl/unit/maas-12".parse().unwrap()));
    assert!(bench.model.emergency().declared().is_some_and(|declared| declared.known));
    assert_eq!(bench.effects(), [], "the own emergency does not ring here");
    bench.pass(HOT_MICROPHONE);
    assert_eq!((bench.open(), bench.effects()), (false, vec![Effect::KeyUp(id(POL))]));

    bench.press();
    assert_eq!(bench.effects(), [asked(Tier::Emergency, Permit::Tone)], "every press is an emergency now");
    bench.release();
    bench.gesture(Gesture::Emergency(Touch::End));
    bench.event(Event::EmergencyEndRefused(id(POL), DenyCause::EmergencyEndNotAllowed));
    assert!(matches!(bench.model.emergency(), Emergency::Declared(_)));
    bench.gesture(Gesture::Emergency(Touch::End));
    bench.event(Event::Emergency(id(POL), false, "nl/unit/maas-12".parse().unwrap()));
    assert_eq!(bench.model.emergency(), &Emergency::Calm);
}

#[test]
fn who_cannot_hold_asks_and_confirms() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.gesture(Gesture::Emergency(Touch::Confirm));
    bench.gesture(Gesture::Emergency(Touch::Ask));
    bench.pass(CONFIRM);
    bench.gesture(Gesture::Emergency(Touch::Confirm));
    assert_eq!(bench.model.emergency(), &Emergency::Calm);
    assert_eq!(bench.effects(), []);
    bench.gesture(Gesture::Emergency(Touch::Ask));
    bench.gesture(Gesture::Emergency(Touch::Confirm));
    assert!(bench.open());
}

#[test]
fn emergency_raises_the_talk_under_way() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.press();
    bench.grant(Tier::Normal, false);
    bench.pass(Duration::from_secs(1));
    bench.effects();
    bench.gesture(Gesture::Emergency(Touch::Ask));
    bench.gesture(Gesture::Emergency(Touch::Confirm));
    assert_eq!(bench.effects(), [Effect::Sound(Tone::EmergencySent), asked(Tier::Emergency, Permit::Instant)]);
    bench.gesture(Gesture::Release(Source::Key));
    assert!(bench.open(), "the emergency holds the key");
}

#[test]
fn an_emergency_that_is_refused_lets_the_key_go_and_says_why() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.gesture(Gesture::Emergency(Touch::Ask));
    bench.gesture(Gesture::Emergency(Touch::Confirm));
    bench.event(Event::Requested(id(POL), RequestId(1)));
    bench.event(Event::Denied(id(POL), RequestId(1), DenyCause::EmergencyNotAllowed));
    assert_eq!((bench.open(), bench.model.steady_tone()), (false, None));
    assert_eq!(bench.model.note(), Some(&Note::Ended(Stage::Denied(DenyCause::EmergencyNotAllowed))));
    bench.gesture(Gesture::Emergency(Touch::End));
    assert_eq!(bench.model.emergency(), &Emergency::Calm, "nobody knows of it, so nobody has to agree");
}

#[test]
fn an_emergency_without_a_session_is_sent_when_it_is_back() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.model.fact(Fact::Unit(What::Disconnected(Reason::LinkLost)), bench.now);
    bench.gesture(Gesture::Emergency(Touch::Ask));
    bench.gesture(Gesture::Emergency(Touch::Confirm));
    bench.effects();
    bench.connect();
    assert_eq!(bench.effects(), [Effect::Sound(Tone::Back), asked(Tier::Emergency, Permit::Instant)]);
    assert!(bench.open());
}

#[test]
fn an_emergency_without_a_microphone_is_sent_when_there_is_one() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.model.fact(Fact::Microphone(false), bench.now);
    bench.gesture(Gesture::Emergency(Touch::Ask));
    bench.gesture(Gesture::Emergency(Touch::Confirm));
    assert_eq!((bench.effects(), bench.open()), (vec![Effect::Sound(Tone::EmergencySent)], false));
    bench.model.fact(Fact::Microphone(true), bench.now);
    assert_eq!((bench.effects(), bench.open()), (vec![asked(Tier::Emergency, Permit::Instant)], true));
}

#[test]
fn a_foreign_emergency_rings_until_it_is_acknowledged() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.event(Event::Emergency(id(FIRE), true, "be/unit/lux-7".parse().unwrap()));
    bench.pass(ALARM_REPEAT);
    assert_eq!(bench.effects(), [Effect::Sound(Tone::Emergency), Effect::Sound(Tone::Emergency)]);
    bench.gesture(Gesture::Acknowledge(id(FIRE)));
    bench.pass(ALARM_REPEAT * 3);
    assert_eq!(bench.effects(), []);
    bench.event(Event::Emergency(id(FIRE), true, "be/unit/lux-7".parse().unwrap()));
    assert_eq!(bench.effects(), [], "told again, it is no news");
}

#[test]
fn what_is_heard_beside_what() {
    let mut bench = Bench::joined(Permit::Instant);
    let volume = |bench: &Bench, name: &str| (bench.model.volume(&id(name), bench.now) * 100.0).round();
    bench.taken(POL, 1, Tier::Normal);
    bench.taken(FIRE, 2, Tier::Normal);
    assert_eq!((volume(&bench, POL), volume(&bench, FIRE)), (80.0, 20.0), "the selected one first");
    bench.gesture(Gesture::Prefer(id(FIRE)));
    assert_eq!((volume(&bench, POL), volume(&bench, FIRE)), (20.0, 80.0), "the preferred one wins");
    bench.gesture(Gesture::Mute(id(FIRE), true));
    assert_eq!((volume(&bench, POL), volume(&bench, FIRE)), (80.0, 0.0));
    bench.taken(FIRE, 3, Tier::Emergency);
    assert_eq!((volume(&bench, POL), volume(&bench, FIRE)), (80.0, 80.0), "muted or not");
    bench.gesture(Gesture::Mute(id(FIRE), false));
    assert_eq!((volume(&bench, POL), volume(&bench, FIRE)), (20.0, 80.0));
    bench.press();
    assert_eq!((volume(&bench, POL), volume(&bench, FIRE)), (0.0, 80.0), "into an open microphone only an emergency");
}

#[test]
fn a_talker_is_remembered_and_a_late_end_of_an_older_spurt_ends_nothing() {
    let mut bench = Bench::joined(Permit::Tone);
    bench.taken(POL, 1, Tier::Normal);
    bench.taken(POL, 2, Tier::Normal);
    bench.event(Event::Idle(id(POL), spurt(1), false));
    assert!(matches!(bench.face(), Face::Receiving(receiving) if receiving.spurt == spurt(2)));
    bench.event(Event::Idle(id(POL), spurt(2), false));
    assert_eq!((bench.face(), bench.model.talkers().count()), (Face::Free, 2));
    bench.event(Event::FarSide(FarSide { talkgroup: id(POL), authority: "be".parse().unwrap(), present: false }));
    assert_eq!(bench.model.selected().away().count(), 1);
}
