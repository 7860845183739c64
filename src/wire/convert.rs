//! Between the protobuf types and [`crate::control`]: every field is checked here, once.
//!
//! Reading refuses values outside their range with a [`DecodeError`] that names the field; a member of a oneof that
//! this version does not know reads as `None` and is skipped by the caller. Texts for people are never refused: both
//! writing and reading cut them to [`clamp_display`].

use crate::cause::{DenyCause, Reason, RevokeCause};
use crate::control::*;
use crate::display::clamp_display;
use crate::error::DecodeError;
use crate::ids::{Authority, Epoch, Handle, Identity, RequestId, Seq, Spurt, TalkgroupId};
use crate::priority::{Level, Priority, Tier};
use crate::proto::{self, control::Body, floor};

/// Longest list taken from a peer.
pub const LIST_MAX: usize = 256;

// === Writing ===

pub(crate) fn write(message: &Message) -> Body {
    match message {
        Message::Hello(m) => {
            Body::Hello(proto::Hello { version_min: m.version_min, version_max: m.version_max, capabilities: m.capabilities.clone() })
        }
        Message::Welcome(m) => {
            Body::Welcome(proto::Welcome { version: m.version, capabilities: m.capabilities.clone(), gateway: m.gateway.to_string() })
        }
        Message::Refused(reason) => Body::Refused(proto::Refused { reason: reason.to_code() }),
        Message::Affiliate(tg) => Body::Affiliate(proto::Affiliate { talkgroup: tg.to_string() }),
        Message::Affiliated(m) => Body::Affiliated(proto::Affiliated {
            talkgroup: m.talkgroup.to_string(),
            handle: m.handle.0.into(),
            title: clamp_display(&m.title),
            agency: clamp_display(&m.agency),
            rights: Some(proto::Rights {
                talk: m.rights.talk,
                emergency: m.rights.emergency,
                peril: m.rights.peril,
                level_max: m.rights.level_max.0.into(),
            }),
            baseline: m.baseline.to_bits(),
            current: m.current.as_ref().map(write_taken),
            emergency: opt_text(m.emergency.as_ref()),
            far_sides: m.far_sides.iter().map(write_far_side).collect(),
        }),
        Message::AffiliateRefused(tg, reason) => {
            Body::AffiliateRefused(proto::AffiliateRefused { talkgroup: tg.to_string(), reason: reason.to_code() })
        }
        Message::Deaffiliate(tg) => Body::Deaffiliate(proto::Deaffiliate { talkgroup: tg.to_string() }),
        Message::Floor(m) => Body::Floor(proto::Floor {
            talkgroup: m.talkgroup.to_string(),
            party: opt_text(m.party.as_ref()),
            body: Some(write_floor(&m.body)),
        }),
        Message::EmergencyEnd { talkgroup, party } => {
            Body::EmergencyEnd(proto::EmergencyEnd { talkgroup: talkgroup.to_string(), party: opt_text(party.as_ref()) })
        }
        Message::EmergencyState { talkgroup, active, originator, units } => Body::EmergencyState(proto::EmergencyState {
            talkgroup: talkgroup.to_string(),
            active: *active,
            originator: originator.to_string(),
            units: texts(units),
        }),
        Message::EmergencyEndRefused { talkgroup, party, cause } => Body::EmergencyEndRefused(proto::EmergencyEndRefused {
            talkgroup: talkgroup.to_string(),
            party: opt_text(party.as_ref()),
            cause: cause.to_code(),
        }),
        Message::FarSide(m) => Body::FarSide(write_far_side(m)),
        Message::Agreements(list) => Body::Agreements(proto::Agreements { agreements: list.iter().map(write_agreement).collect() }),
        Message::Sync(m) => Body::Sync(proto::Sync {
            talkgroup: m.talkgroup.to_string(),
            handle: m.handle.0.into(),
            epoch: m.epoch.0.into(),
            holder: m.holder.as_ref().map(|h| proto::Holder {
                party: h.talker.identity.to_string(),
                request: h.request.0,
                priority: Some(write_priority(h.priority)),
                talker: Some(write_talker(&h.talker)),
                elapsed_ms: h.elapsed_ms,
            }),
            emergency: opt_text(m.emergency.first()),
            further_emergencies: texts(m.emergency.get(1..).unwrap_or_default()),
        }),
    }
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn opt_text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn write_floor(body: &FloorBody) -> floor::Body {
    match body {
        FloorBody::Request(m) => floor::Body::Request(proto::Request {
            request: m.request.0,
            priority: Some(write_priority(m.priority)),
            talker: m.talker.as_ref().map(write_talker),
            continuing: m.continuing.is_some(),
            elapsed_ms: m.continuing.unwrap_or(0),
        }),
        FloorBody::Granted(m) => floor::Body::Granted(proto::Granted {
            request: m.request.0,
            spurt: m.spurt.to_bits(),
            duration_s: m.duration_s.into(),
            tier: m.tier.to_bits().into(),
            own_side_only: m.own_side_only,
        }),
        FloorBody::Deny { request, cause } => floor::Body::Deny(proto::Deny { request: request.0, cause: cause.to_code() }),
        FloorBody::Queued { request, position } => floor::Body::Queued(proto::Queued { request: request.0, position: (*position).into() }),
        FloorBody::Taken(m) => floor::Body::Taken(write_taken(m)),
        FloorBody::Idle(m) => floor::Body::Idle(proto::Idle {
            spurt: m.spurt.to_bits(),
            last_seq_plus_1: write_seq(m.last_seq),
            cause: m.cause.map_or(0, RevokeCause::to_code),
            followed: m.followed,
        }),
        FloorBody::Release(m) => {
            floor::Body::Release(proto::Release { request: m.request.0, last_seq_plus_1: write_seq(m.last_seq), key_down: m.key_down })
        }
        FloorBody::Revoke(m) => floor::Body::Revoke(proto::Revoke {
            request: m.request.0,
            spurt: m.spurt.to_bits(),
            cause: m.cause.to_code(),
            grace_ms: m.grace_ms,
        }),
        FloorBody::Ack { request } => floor::Body::Ack(proto::Ack { request: request.0 }),
    }
}

fn write_seq(seq: Option<Seq>) -> u32 {
    seq.map_or(0, |s| u32::from(s.0) + 1)
}

fn write_priority(p: Priority) -> proto::Priority {
    proto::Priority { tier: p.tier.to_bits().into(), dispatcher: p.dispatcher, level: p.level.0.into() }
}

fn write_talker(t: &Talker) -> proto::Talker {
    proto::Talker { identity: t.identity.to_string(), alias: clamp_display(&t.alias), agency: clamp_display(&t.agency) }
}

fn write_taken(m: &Taken) -> proto::Taken {
    proto::Taken {
        spurt: m.spurt.to_bits(),
        talker: Some(write_talker(&m.talker)),
        tier: m.tier.to_bits().into(),
        via: opt_text(m.via.as_ref()),
        elapsed_ms: m.elapsed_ms,
    }
}

fn write_far_side(m: &FarSide) -> proto::FarSide {
    proto::FarSide { talkgroup: m.talkgroup.to_string(), authority: m.authority.to_string(), present: m.present }
}

fn write_agreement(a: &Agreement) -> proto::Agreement {
    proto::Agreement {
        name: clamp_display(&a.name),
        home: a.home.to_string(),
        partner: a.partner.to_string(),
        inbound: Some(proto::Inbound {
            talk: a.inbound.talk,
            short_data: a.inbound.short_data,
            emergency: a.inbound.emergency,
            ceiling: Some(proto::Ceiling {
                tier: a.inbound.ceiling.tier.to_bits().into(),
                level: a.inbound.ceiling.level.0.into(),
                dispatcher: a.inbound.ceiling.dispatcher,
            }),
        }),
        outbound: Some(proto::Outbound { talk: a.outbound.talk, short_data: a.outbound.short_data, emergency: a.outbound.emergency }),
        onward: texts(&a.onward),
    }
}

// === Reading ===

pub(crate) fn read(body: Body) -> Result<Option<Message>, DecodeError> {
    Ok(Some(match body {
        Body::Hello(m) => {
            Message::Hello(Hello { version_min: m.version_min, version_max: m.version_max, capabilities: list(m.capabilities)? })
        }
        Body::Welcome(m) => {
            Message::Welcome(Welcome { version: m.version, capabilities: list(m.capabilities)?, gateway: identity("gateway", &m.gateway)? })
        }
        Body::Refused(m) => Message::Refused(Reason::from_code(m.reason)),
        Body::Affiliate(m) => Message::Affiliate(talkgroup(&m.talkgroup)?),
        Body::Affiliated(m) => Message::Affiliated(Box::new(read_affiliated(m)?)),
        Body::AffiliateRefused(m) => Message::AffiliateRefused(talkgroup(&m.talkgroup)?, Reason::from_code(m.reason)),
        Body::Deaffiliate(m) => Message::Deaffiliate(talkgroup(&m.talkgroup)?),
        Body::Floor(m) => {
            let Some(body) = m.body else { return Ok(None) };
            Message::Floor(Floor { talkgroup: talkgroup(&m.talkgroup)?, party: opt_identity("party", &m.party)?, body: read_floor(body)? })
        }
        Body::EmergencyEnd(m) => Message::EmergencyEnd { talkgroup: talkgroup(&m.talkgroup)?, party: opt_identity("party", &m.party)? },
        Body::EmergencyState(m) => Message::EmergencyState {
            talkgroup: talkgroup(&m.talkgroup)?,
            active: m.active,
            originator: identity("originator", &m.originator)?,
            units: identities("units", m.units)?,
        },
        Body::EmergencyEndRefused(m) => Message::EmergencyEndRefused {
            talkgroup: talkgroup(&m.talkgroup)?,
            party: opt_identity("party", &m.party)?,
            cause: DenyCause::from_code(m.cause),
        },
        Body::FarSide(m) => Message::FarSide(read_far_side(&m)?),
        Body::Agreements(m) => Message::Agreements(list(m.agreements)?.into_iter().map(read_agreement).collect::<Result<_, _>>()?),
        Body::Sync(m) => Message::Sync(Box::new(read_sync(m)?)),
    }))
}

fn list<T>(items: Vec<T>) -> Result<Vec<T>, DecodeError> {
    if items.len() > LIST_MAX { Err(DecodeError::Invalid { what: "list length" }) } else { Ok(items) }
}

fn talkgroup(value: &str) -> Result<TalkgroupId, DecodeError> {
    value.parse().map_err(|source| DecodeError::Name { what: "talkgroup", source })
}

fn identity(what: &'static str, value: &str) -> Result<Identity, DecodeError> {
    value.parse().map_err(|source| DecodeError::Name { what, source })
}

fn opt_identity(what: &'static str, value: &str) -> Result<Option<Identity>, DecodeError> {
    if value.is_empty() { Ok(None) } else { identity(what, value).map(Some) }
}

fn identities(what: &'static str, values: Vec<String>) -> Result<Vec<Identity>, DecodeError> {
    list(values)?.iter().map(|value| identity(what, value)).collect()
}

fn authority(what: &'static str, value: &str) -> Result<Authority, DecodeError> {
    value.parse().map_err(|source| DecodeError::Name { what, source })
}

fn tier(bits: u32) -> Result<Tier, DecodeError> {
    u8::try_from(bits).ok().and_then(Tier::from_bits).ok_or(DecodeError::Invalid { what: "tier" })
}

fn small<T: TryFrom<u32>>(what: &'static str, value: u32) -> Result<T, DecodeError> {
    T::try_from(value).or(Err(DecodeError::Invalid { what }))
}

fn seq(plus_1: u32) -> Result<Option<Seq>, DecodeError> {
    plus_1.checked_sub(1).map(|s| small("last_seq", s).map(Seq)).transpose()
}

fn required<T>(what: &'static str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Missing { what })
}

fn read_floor(body: floor::Body) -> Result<FloorBody, DecodeError> {
    Ok(match body {
        floor::Body::Request(m) => FloorBody::Request(Request {
            request: RequestId(m.request),
            priority: read_priority(required("priority", m.priority)?)?,
            talker: m.talker.map(read_talker).transpose()?,
            continuing: m.continuing.then_some(m.elapsed_ms),
        }),
        floor::Body::Granted(m) => FloorBody::Granted(Granted {
            request: RequestId(m.request),
            spurt: Spurt::from_bits(m.spurt),
            duration_s: small("duration_s", m.duration_s)?,
            tier: tier(m.tier)?,
            own_side_only: m.own_side_only,
        }),
        floor::Body::Deny(m) => FloorBody::Deny { request: RequestId(m.request), cause: DenyCause::from_code(m.cause) },
        floor::Body::Queued(m) => FloorBody::Queued { request: RequestId(m.request), position: small("position", m.position)? },
        floor::Body::Taken(m) => FloorBody::Taken(read_taken(m)?),
        floor::Body::Idle(m) => FloorBody::Idle(Idle {
            spurt: Spurt::from_bits(m.spurt),
            last_seq: seq(m.last_seq_plus_1)?,
            cause: (m.cause != 0).then(|| RevokeCause::from_code(m.cause)),
            followed: m.followed,
        }),
        floor::Body::Release(m) => {
            FloorBody::Release(Release { request: RequestId(m.request), last_seq: seq(m.last_seq_plus_1)?, key_down: m.key_down })
        }
        floor::Body::Revoke(m) => FloorBody::Revoke(Revoke {
            request: RequestId(m.request),
            spurt: Spurt::from_bits(m.spurt),
            cause: RevokeCause::from_code(m.cause),
            grace_ms: m.grace_ms,
        }),
        floor::Body::Ack(m) => FloorBody::Ack { request: RequestId(m.request) },
    })
}

fn read_priority(p: proto::Priority) -> Result<Priority, DecodeError> {
    Ok(Priority { tier: tier(p.tier)?, dispatcher: p.dispatcher, level: Level(small("level", p.level)?) })
}

fn read_talker(t: proto::Talker) -> Result<Talker, DecodeError> {
    Ok(Talker { identity: identity("talker", &t.identity)?, alias: clamp_display(&t.alias), agency: clamp_display(&t.agency) })
}

fn read_taken(m: proto::Taken) -> Result<Taken, DecodeError> {
    Ok(Taken {
        spurt: Spurt::from_bits(m.spurt),
        talker: read_talker(required("talker", m.talker)?)?,
        tier: tier(m.tier)?,
        via: if m.via.is_empty() { None } else { Some(authority("via", &m.via)?) },
        elapsed_ms: m.elapsed_ms,
    })
}

fn read_far_side(m: &proto::FarSide) -> Result<FarSide, DecodeError> {
    Ok(FarSide { talkgroup: talkgroup(&m.talkgroup)?, authority: authority("authority", &m.authority)?, present: m.present })
}

fn read_affiliated(m: proto::Affiliated) -> Result<Affiliated, DecodeError> {
    let rights = required("rights", m.rights)?;
    Ok(Affiliated {
        talkgroup: talkgroup(&m.talkgroup)?,
        handle: Handle(small("handle", m.handle)?),
        title: clamp_display(&m.title),
        agency: clamp_display(&m.agency),
        rights: Rights {
            talk: rights.talk,
            emergency: rights.emergency,
            peril: rights.peril,
            level_max: Level(small("level_max", rights.level_max)?),
        },
        baseline: Spurt::from_bits(m.baseline),
        current: m.current.map(read_taken).transpose()?,
        emergency: opt_identity("emergency", &m.emergency)?,
        far_sides: list(m.far_sides)?.iter().map(read_far_side).collect::<Result<_, _>>()?,
    })
}

fn read_agreement(a: proto::Agreement) -> Result<Agreement, DecodeError> {
    let inbound = required("inbound", a.inbound)?;
    let outbound = required("outbound", a.outbound)?;
    let ceiling = required("ceiling", inbound.ceiling)?;
    Ok(Agreement {
        name: clamp_display(&a.name),
        home: talkgroup(&a.home)?,
        partner: talkgroup(&a.partner)?,
        inbound: Inbound {
            talk: inbound.talk,
            short_data: inbound.short_data,
            emergency: inbound.emergency,
            ceiling: Ceiling { tier: tier(ceiling.tier)?, level: Level(small("level", ceiling.level)?), dispatcher: ceiling.dispatcher },
        },
        outbound: Outbound { talk: outbound.talk, short_data: outbound.short_data, emergency: outbound.emergency },
        onward: list(a.onward)?.iter().map(|code| authority("onward", code)).collect::<Result<_, _>>()?,
    })
}

fn read_sync(m: proto::Sync) -> Result<Sync, DecodeError> {
    let holder = m.holder.map(|h| {
        let talker = read_talker(required("talker", h.talker)?)?;
        if h.party != talker.identity.to_string() {
            return Err(DecodeError::Invalid { what: "holder party" });
        }
        Ok(Holder {
            request: RequestId(h.request),
            priority: read_priority(required("priority", h.priority)?)?,
            talker,
            elapsed_ms: h.elapsed_ms,
        })
    });
    Ok(Sync {
        talkgroup: talkgroup(&m.talkgroup)?,
        handle: Handle(small("handle", m.handle)?),
        epoch: Epoch(small("epoch", m.epoch)?),
        holder: holder.transpose()?,
        emergency: opt_identity("emergency", &m.emergency)?.into_iter().chain(identities("emergency", m.further_emergencies)?).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(alias: &str) -> Body {
        let talker = proto::Talker { identity: "be/unit/a".into(), alias: alias.into(), agency: String::new() };
        let taken = proto::Taken { talker: Some(talker), ..proto::Taken::default() };
        Body::Floor(proto::Floor { talkgroup: "be/lux-3".into(), party: String::new(), body: Some(floor::Body::Taken(taken)) })
    }

    #[test]
    fn a_text_beyond_the_bound_is_cut_by_whoever_reads_it_and_ends_no_session() {
        let longest = "\u{4e00}".repeat(crate::DISPLAY_MAX_CHARS);
        let whole = read(taken(&longest)).unwrap();
        assert_eq!(whole.as_ref().map(write), Some(taken(&longest)));
        assert_eq!(read(taken(&format!("\u{1b}{longest}more"))).unwrap(), whole);
    }

    #[test]
    fn a_text_beyond_the_bound_is_cut_by_whoever_writes_it() {
        let Some(Message::Floor(Floor { talkgroup, party, body: FloorBody::Taken(mut said) })) = read(taken("")).unwrap() else { panic!() };
        said.talker.alias = "x".repeat(1_000);
        let body = FloorBody::Taken(said);
        assert_eq!(write(&Message::Floor(Floor { talkgroup, party, body })), taken(&"x".repeat(crate::DISPLAY_MAX_CHARS)));
    }
}
