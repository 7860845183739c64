//! Events as lines: JSON objects for scripts, sentences for people. Names and fields are a contract that scripts rely on.
//!
//! Beside the data path: a [`Line`] is made of what the unit tells, with the moment it happened, not the one of printing.

use std::fmt;
use std::time::{Duration, Instant};

use engine::handset::Event;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use wire::TalkgroupId;

pub use crate::mail_lines::MailFields;
use crate::mail_lines::of_mail;
use crate::report::Report;
use crate::unit::{Happened, What};

/// Turns moments into CLOCK_MONOTONIC milliseconds, comparable across the processes of one machine.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic {
    instant: Instant,
    since_boot: Duration,
}

/// Readings of both clocks, of which the best is kept: one that was interrupted would shift every event.
const READINGS: usize = 16;

impl Monotonic {
    /// Ties the process's clock to the system's; they run alike from here on.
    pub fn now() -> Self {
        Self::tightest([(); READINGS].map(|()| Self::read()))
    }

    /// One reading, and the time it took: no more than that it is wrong.
    fn read() -> (Duration, Self) {
        let instant = Instant::now();
        let time = clock_gettime(ClockId::Monotonic);
        let took = instant.elapsed();
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        (took, Self { instant, since_boot: Duration::new(seconds, nanos) })
    }

    fn tightest(readings: [(Duration, Self); READINGS]) -> Self {
        let [first, rest @ ..] = readings;
        rest.into_iter().fold(first, |best, reading| if reading.0 < best.0 { reading } else { best }).1
    }

    /// Milliseconds with three decimals.
    pub fn at_ms(&self, at: Instant) -> f64 {
        let since_boot = match at.checked_duration_since(self.instant) {
            Some(after) => self.since_boot + after,
            None => self.since_boot.saturating_sub(self.instant.saturating_duration_since(at)),
        };
        millis(since_boot)
    }
}

/// Milliseconds with three decimals.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// One line of output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The event's name.
    pub event: &'static str,
    /// When it happened, CLOCK_MONOTONIC milliseconds.
    pub at_ms: f64,
    /// The talkgroup, where one is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub talkgroup: Option<String>,
    /// The request's number, where one is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<u32>,
    /// The spurt, where one is meant: `EPOCH.COUNTER`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spurt: Option<String>,
    /// What else there is to say.
    #[serde(flatten)]
    pub fields: Fields,
}

/// What an event says beside its name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names are the contract itself; the design page explains them")]
pub enum Fields {
    None {},
    Connected {
        gateway: String,
    },
    Refused {
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        gateway: Option<String>,
    },
    Affiliated {
        title: String,
        agency: String,
        talk: bool,
        emergency: bool,
        peril: bool,
        level_max: u8,
    },
    Granted {
        duration_s: u16,
        tier: &'static str,
        reach: &'static str,
    },
    Queued {
        position: u8,
    },
    Cause {
        cause: &'static str,
    },
    Taken {
        talker: String,
        alias: String,
        agency: String,
        tier: &'static str,
        via: Option<String>,
        elapsed_ms: u32,
    },
    Idle {
        lost: bool,
    },
    Emergency {
        state: &'static str,
        originator: String,
    },
    FarSide {
        authority: String,
        state: &'static str,
    },
    Disconnected {
        reason: &'static str,
    },
    Mail(Box<MailFields>),
    Report {
        frames_sent: u64,
        frames_received: u64,
        frames_repaired: u64,
        frames_concealed: u64,
        frames_late: u64,
        delay_p50_ms: f64,
        delay_p95_ms: f64,
    },
}

impl Line {
    fn new(event: &'static str, fields: Fields) -> Self {
        Self { event, at_ms: 0.0, talkgroup: None, request: None, spurt: None, fields }
    }

    fn within(event: &'static str, talkgroup: &TalkgroupId, fields: Fields) -> Self {
        Self { talkgroup: Some(talkgroup.to_string()), ..Self::new(event, fields) }
    }

    fn of_request(self, request: wire::RequestId) -> Self {
        Self { request: Some(request.0), ..self }
    }

    fn of_spurt(self, spurt: Option<wire::Spurt>) -> Self {
        Self { spurt: spurt.map(|spurt| spurt.to_string()), ..self }
    }

    /// The `report` at the end.
    pub fn of_report(report: &Report, at_ms: f64) -> Self {
        let fields = Fields::Report {
            frames_sent: report.frames_sent,
            frames_received: report.frames_received,
            frames_repaired: report.frames_repaired,
            frames_concealed: report.frames_concealed,
            frames_late: report.frames_late,
            delay_p50_ms: millis(report.delay(50)),
            delay_p95_ms: millis(report.delay(95)),
        };
        Self { at_ms, ..Self::new("report", fields) }
    }

    /// The line for what happened; `None` for the end, whose reason, if any, was told just before, and for what is no event.
    pub fn of(happened: &Happened, clock: &Monotonic) -> Option<Self> {
        let line = match &happened.what {
            What::Handset(event) => of_handset(event)?,
            What::Refused { gateway, reason } => {
                Self::new("refused", Fields::Refused { reason: reason.as_str(), gateway: Some(gateway.to_string()) })
            }
            What::Mail(mail) => {
                let (event, fields) = of_mail(mail)?;
                Self::new(event, Fields::Mail(Box::new(fields)))
            }
            What::Disconnected(reason) => Self::new("disconnected", Fields::Disconnected { reason: reason.as_str() }),
            What::Ended(..) => return None,
        };
        Some(Self { at_ms: clock.at_ms(happened.at), ..line })
    }

    /// The JSON object.
    pub fn to_json(&self) -> String {
        // Numbers and texts always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn of_handset(event: &Event) -> Option<Line> {
    Some(match event {
        Event::Connected(gateway) => Line::new("connected", Fields::Connected { gateway: gateway.to_string() }),
        Event::Affiliated(affiliated) => {
            let rights = affiliated.rights;
            let fields = Fields::Affiliated {
                title: affiliated.title.clone(),
                agency: affiliated.agency.clone(),
                talk: rights.talk,
                emergency: rights.emergency,
                peril: rights.peril,
                level_max: rights.level_max.0,
            };
            Line::within("affiliated", &affiliated.talkgroup, fields)
        }
        Event::AffiliateRefused(talkgroup, reason) => {
            Line::within("refused", talkgroup, Fields::Refused { reason: reason.as_str(), gateway: None })
        }
        Event::Requested(talkgroup, request) => Line::within("requested", talkgroup, Fields::None {}).of_request(*request),
        Event::Granted(talkgroup, granted) => {
            let reach = if granted.own_side_only { "own_side" } else { "all" };
            let fields = Fields::Granted { duration_s: granted.duration_s, tier: granted.tier.as_str(), reach };
            Line::within("granted", talkgroup, fields).of_request(granted.request).of_spurt(Some(granted.spurt))
        }
        Event::Denied(talkgroup, request, cause) => {
            Line::within("denied", talkgroup, Fields::Cause { cause: cause.as_str() }).of_request(*request)
        }
        Event::Queued(talkgroup, request, position) => {
            Line::within("queued", talkgroup, Fields::Queued { position: *position }).of_request(*request)
        }
        Event::Revoked(talkgroup, request, spurt, cause) => {
            Line::within("revoked", talkgroup, Fields::Cause { cause: cause.as_str() }).of_request(*request).of_spurt(Some(*spurt))
        }
        Event::Released(talkgroup, request, spurt) => {
            Line::within("released", talkgroup, Fields::None {}).of_request(*request).of_spurt(*spurt)
        }
        Event::Taken(talkgroup, taken) => {
            let fields = Fields::Taken {
                talker: taken.talker.identity.to_string(),
                alias: taken.talker.alias.clone(),
                agency: taken.talker.agency.clone(),
                tier: taken.tier.as_str(),
                via: taken.via.as_ref().map(ToString::to_string),
                elapsed_ms: taken.elapsed_ms,
            };
            Line::within("taken", talkgroup, fields).of_spurt(Some(taken.spurt))
        }
        Event::FirstAudio(talkgroup, spurt) => Line::within("first_audio", talkgroup, Fields::None {}).of_spurt(Some(*spurt)),
        Event::Interrupted(talkgroup, spurt) => Line::within("interrupted", talkgroup, Fields::None {}).of_spurt(Some(*spurt)),
        Event::Idle(talkgroup, spurt, lost) => Line::within("idle", talkgroup, Fields::Idle { lost: *lost }).of_spurt(Some(*spurt)),
        Event::Emergency(talkgroup, active, originator) => {
            let state = if *active { "active" } else { "ended" };
            Line::within("emergency", talkgroup, Fields::Emergency { state, originator: originator.to_string() })
        }
        Event::EmergencyEndRefused(talkgroup, cause) => Line::within("denied", talkgroup, Fields::Cause { cause: cause.as_str() }),
        Event::FarSide(far_side) => {
            let state = if far_side.present { "present" } else { "away" };
            Line::within("far_side", &far_side.talkgroup, Fields::FarSide { authority: far_side.authority.to_string(), state })
        }
        Event::Refused(_) | Event::GatewayLost => return None,
    })
}

impl fmt::Display for Line {
    /// The sentence for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(talkgroup) = &self.talkgroup {
            write!(f, "{talkgroup}: ")?;
        }
        match &self.fields {
            Fields::None {} if self.event == "first_audio" => f.write_str("first sound"),
            Fields::None {} => f.write_str(self.event),
            Fields::Connected { gateway } => write!(f, "connected to {gateway}"),
            Fields::Refused { reason, gateway: Some(gateway) } => write!(f, "refused by {gateway}: {reason}"),
            Fields::Refused { reason, gateway: None } => write!(f, "refused: {reason}"),
            Fields::Affiliated { title, talk: true, .. } => write!(f, "joined {title}"),
            Fields::Affiliated { title, .. } => write!(f, "joined {title}, listening only"),
            Fields::Granted { duration_s, tier, reach: "own_side" } => {
                write!(f, "granted for {duration_s} s ({tier}), heard by the own side only")
            }
            Fields::Granted { duration_s, tier, .. } => write!(f, "granted for {duration_s} s ({tier})"),
            Fields::Queued { position } => write!(f, "waiting, place {position}"),
            Fields::Cause { cause } => write!(f, "{}: {cause}", self.event),
            Fields::Taken { talker, alias, tier, via, .. } => {
                write!(f, "{alias} ({talker}) talks, {tier}")?;
                via.as_ref().map_or(Ok(()), |via| write!(f, ", via {via}"))
            }
            Fields::Idle { lost: true } => f.write_str("the talker was lost"),
            Fields::Idle { lost: false } => f.write_str("nobody talks"),
            Fields::Emergency { state, originator } => write!(f, "EMERGENCY {state}, {originator}"),
            Fields::FarSide { authority, state } => write!(f, "{authority} is {state}"),
            Fields::Mail(mail) => mail.say(self.event, f),
            Fields::Disconnected { reason } => write!(f, "disconnected: {reason}"),
            Fields::Report { frames_sent, frames_received, frames_repaired, frames_concealed, frames_late, delay_p50_ms, delay_p95_ms } => {
                write!(
                    f,
                    "sent {frames_sent}, received {frames_received} frames (repaired {frames_repaired}, concealed {frames_concealed}, \
                 late {frames_late}); buffer delay p50 {delay_p50_ms} ms, p95 {delay_p95_ms} ms"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::control::{Granted, Taken, Talker};
    use wire::{DenyCause, Reason, RequestId, RevokeCause, Spurt, Tier};

    fn json(what: What) -> serde_json::Value {
        let clock = Monotonic { instant: Instant::now(), since_boot: Duration::from_millis(1_500) };
        let happened = Happened { at: clock.instant + Duration::from_micros(1_250), what };
        serde_json::from_str(&Line::of(&happened, &clock).unwrap().to_json()).unwrap()
    }

    fn talkgroup() -> TalkgroupId {
        "nl/pol-1".parse().unwrap()
    }

    #[test]
    fn a_grant_has_the_fields_of_the_contract() {
        let granted =
            Granted { request: RequestId(3), spurt: Spurt::from_bits(0x0200_0007), duration_s: 30, tier: Tier::Peril, own_side_only: true };
        assert_eq!(
            json(What::Handset(Event::Granted(talkgroup(), granted))),
            serde_json::json!({
                "event": "granted", "at_ms": 1_501.25, "talkgroup": "nl/pol-1", "request": 3, "spurt": "2.7",
                "duration_s": 30, "tier": "peril", "reach": "own_side",
            })
        );
    }

    #[test]
    fn a_talker_from_far_has_the_fields_of_the_contract() {
        let talker = Talker { identity: "be/unit/lux".parse().unwrap(), alias: "Lux 3".into(), agency: "police".into() };
        let taken = Taken { spurt: Spurt::from_bits(9), talker, tier: Tier::Normal, via: Some("nl".parse().unwrap()), elapsed_ms: 40 };
        assert_eq!(
            json(What::Handset(Event::Taken(talkgroup(), taken))),
            serde_json::json!({
                "event": "taken", "at_ms": 1_501.25, "talkgroup": "nl/pol-1", "spurt": "0.9", "talker": "be/unit/lux",
                "alias": "Lux 3", "agency": "police", "tier": "normal", "via": "nl", "elapsed_ms": 40,
            })
        );
    }

    #[test]
    fn endings_carry_their_reason() {
        assert_eq!(json(What::Disconnected(Reason::LinkLost))["reason"], "link_lost");
        let refused = json(What::Refused { gateway: "127.0.0.1:7001".parse().unwrap(), reason: Reason::CertificateRevoked });
        assert_eq!((&refused["event"], &refused["reason"]), (&"refused".into(), &"certificate_revoked".into()));
        let revoked = json(What::Handset(Event::Revoked(talkgroup(), RequestId(1), Spurt::from_bits(1), RevokeCause::Preempted)));
        assert_eq!((&revoked["event"], &revoked["cause"]), (&"revoked".into(), &"preempted".into()));
        let refused = json(What::Handset(Event::EmergencyEndRefused(talkgroup(), DenyCause::EmergencyEndNotAllowed)));
        assert_eq!((&refused["event"], &refused["cause"]), (&"denied".into(), &"emergency_end_not_allowed".into()));
    }

    #[test]
    fn the_report_names_every_counter() {
        let line = Line::of_report(&Report::sample(5), 1.0);
        let value: serde_json::Value = serde_json::from_str(&line.to_json()).unwrap();
        for field in ["frames_received", "frames_repaired", "frames_concealed", "frames_late", "delay_p50_ms", "delay_p95_ms"] {
            assert_eq!(value[field].as_f64(), Some(0.0), "{field}");
        }
        assert_eq!(value["frames_sent"], 5);
    }

    #[test]
    fn a_reading_of_the_clock_that_was_interrupted_is_not_kept() {
        let instant = Instant::now();
        let reading = |took_us, since_boot_ms| {
            (Duration::from_micros(took_us), Monotonic { instant, since_boot: Duration::from_millis(since_boot_ms) })
        };
        let mut readings = [reading(9_000, 109); READINGS];
        readings[READINGS - 2] = reading(1, 100);
        assert_eq!(Monotonic::tightest(readings).at_ms(instant), 100.0);
    }

    #[test]
    fn two_ties_of_the_clock_agree() {
        let (one, two) = (Monotonic::now(), Monotonic::now());
        let at = Instant::now();
        assert!((one.at_ms(at) - two.at_ms(at)).abs() < 5.0);
    }
}
