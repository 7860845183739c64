//! Whether what honest units said under their grants was heard, every frame of it, by every honest unit it was for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use client::What;
use engine::handset::Event;
use wire::{RevokeCause, Spurt, Tier};

use super::run::Tally;
use super::script::{Role, UnitNo};
use crate::support::radio::Radio;

/// What was said so shortly before a spurt is cut may be cut with it, on the way and in the buffers of those who hear it.
const CUT_WITH_IT: Duration = Duration::from_millis(300);
const MOMENT: Duration = Duration::from_millis(1);
/// Who is granted so soon after a spurt talks while its end would be played.
const TAIL: Duration = Duration::from_secs(1);
/// The words about so many numbers at once hold up a unit's link for longer than a frame may wait; a peer may cause eight.
const NUMBERS_A_FRAME: usize = 6;
/// So many frames may wait in a unit's link behind what it spoke before the grant, for so long.
const UNSENT: usize = 8;
const AT_THE_END: Duration = Duration::from_millis(200);
/// So long may a voice of numbers ahead be played before the spurt that it goes before.
const AHEAD: Duration = Duration::from_secs(10);
/// What a liar says at once may be played for so long, and those behind it are played later or skipped.
const PLAYED: Duration = Duration::from_secs(4);
/// Nobody talks longer at a time.
const LIMIT: Duration = Duration::from_secs(29);

/// A grant of an honest unit, from the first word of it to the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    unit: UnitNo,
    from: Instant,
    to: Instant,
    /// Why it ended, if its talker did not end it.
    cut: Option<RevokeCause>,
    tier: Tier,
    /// By which number, and how many it went by.
    spurt: Spurt,
    numbers: usize,
}

/// Whether a unit's voice is carried to another: inside a country always, over the border between honest countries if it exists.
pub(super) fn carries(role: Role, talker: UnitNo, listener: UnitNo) -> bool {
    role == Role::Partner || talker.country() == listener.country()
}

/// Every grant that honest units had so far.
pub(super) fn spurts(radios: &[Radio]) -> Vec<Span> {
    let mut spans = Vec::new();
    for (unit, radio) in UnitNo::all().zip(radios) {
        let log = radio.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut open: Option<Span> = None;
        for happened in &log.events {
            let What::Handset(event) = &happened.what else { continue };
            if let Event::Granted(_, granted) = event {
                let span = open.get_or_insert(Span {
                    unit,
                    from: happened.at,
                    to: happened.at,
                    cut: None,
                    tier: granted.tier,
                    spurt: granted.spurt,
                    numbers: 0,
                });
                (span.tier, span.spurt, span.numbers) = (granted.tier, granted.spurt, span.numbers + 1);
            }
            let cut = if let Event::Revoked(_, _, _, cause) = event { Some(*cause) } else { None };
            if cut.is_some() || matches!(event, Event::Released(..)) {
                spans.extend(open.take().map(|span| Span { to: happened.at, cut, ..span }));
            }
        }
    }
    spans
}

/// Judges them.
pub(super) fn whole(role: Role, radios: &[Radio], spans: &[Span], tally: &mut Tally, breaches: &mut Vec<String>) {
    for span in spans {
        tally.calls += 1;
        let talker = &radios[span.unit.0];
        let who = &talker.identity;
        if let Some(cause) = span.cut.filter(|cause| role == Role::Partner && !may_end(*cause, span, spans)) {
            breaches.push(format!("the spurt of {who} is ended as {cause}, by nobody honest"));
        }
        // What is said at the very moment of the grant may come too early for it, and at that of the release too late.
        let (from, to) = (span.from + MOMENT, span.to - if span.cut.is_some() { CUT_WITH_IT } else { MOMENT });
        if to <= from {
            continue;
        }
        let said = talker.said_between(from.into(), to.into());
        for (unit, listener) in UnitNo::all().zip(radios).filter(|(unit, _)| *unit != span.unit && carries(role, span.unit, *unit)) {
            // A home decides what is heard when. Whoever talks itself hears nobody.
            if role == Role::Home && decided(talker, listener, span)
                || spans.iter().any(|other| other.unit == unit && other.from <= span.to + TAIL && other.to >= span.from)
            {
                continue;
            }
            let heard: BTreeSet<u32> = listener.frames_of(talker).into_iter().filter(|count| said.contains(count)).collect();
            tally.frames += u64::try_from(heard.len()).unwrap_or(0);
            let lost = said.len() - heard.len();
            // What is still on the way when the border changes sides just after a release has no talker any more.
            let unsent = if span.cut.is_none() && turns(talker, span) { UNSENT } else { 0 };
            if lost > span.numbers / NUMBERS_A_FRAME + unsent {
                let missing: Vec<u32> = said.clone().filter(|count| !heard.contains(count)).take(4).collect();
                breaches.push(format!(
                    "{} hears {} of {} frames of {who} in a {} spurt (ended: {:?}; not {missing:?})",
                    listener.identity,
                    heard.len(),
                    said.len(),
                    span.tier.as_str(),
                    span.cut
                ));
            }
        }
    }
}

/// Whether the border went up or down as a spurt ended.
fn turns(talker: &Radio, span: &Span) -> bool {
    let log = talker.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let near = |at: Instant| at + AT_THE_END >= span.to && at <= span.to + AT_THE_END;
    log.events.iter().any(|happened| near(happened.at) && matches!(happened.what, What::Handset(Event::FarSide(_))))
}

/// Whether a home made something else of a spurt while it lasted, or at its end: the talker goes by another number, the listener
/// is shown somebody else, or the number is below one that the home had spoken under, so that the spurt ends as unheard.
fn decided(talker: &Radio, listener: &Radio, span: &Span) -> bool {
    let any = |radio: &Radio, from: Instant, is: &dyn Fn(&Event) -> bool| {
        let log = radio.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let within = log.events.iter().filter(|happened| happened.at >= from && happened.at <= span.to + TAIL);
        within.filter(|happened| matches!(&happened.what, What::Handset(event) if is(event))).count() > 0
    };
    let renumbered = |event: &Event| matches!(event, Event::Granted(_, granted) if !granted.own_side_only && granted.spurt != span.spurt);
    let another = |event: &Event| matches!(event, Event::Taken(_, taken) if taken.talker.identity != talker.identity);
    let lost = |event: &Event| matches!(event, Event::Idle(_, _, true));
    let ahead = |event: &Event| matches!(event, Event::FirstAudio(_, heard) if heard.is_after(span.spurt));
    span.cut == Some(RevokeCause::MediaGap)
        || any(talker, span.from, &renumbered)
        || any(listener, span.from - PLAYED, &another)
        || any(listener, span.from, &lost)
        || any(listener, span.from - AHEAD, &ahead)
}

/// Whether somebody honest may have caused it: more important, and at that time.
fn may_end(cause: RevokeCause, span: &Span, spans: &[Span]) -> bool {
    let by_other = spans.iter().any(|other| other.unit != span.unit && other.tier > span.tier && other.to >= span.to);
    cause == RevokeCause::Preempted && by_other || cause == RevokeCause::TalkLimit && span.to - span.from > LIMIT
}

/// Prints what a unit lived through, for whoever plays one script.
pub(super) fn tell(radio: &Radio, began: tokio::time::Instant) {
    let log = radio.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for happened in &log.events {
        let at = happened.at.saturating_duration_since(began.into_std());
        super::say(&format!("{:.3} {} {:?}", at.as_secs_f64(), radio.identity, happened.what));
    }
}
