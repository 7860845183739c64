//! Judges the agreements of a configuration: who is home, whom they name, and that no two contradict each other.
//!
//! Last part of the validation. What is refused here could not be arbitrated: a talkgroup with two homes, or one
//! agreement with two meanings. Whether the other side agrees is seen only when its session begins.

use std::collections::BTreeMap;

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};
use toml::Spanned;
use toml::value::{Datetime, Offset};
use wire::control::{Agreement, Ceiling, Inbound, Message, Outbound};
use wire::frame::{self, FRAME_MAX_BYTES};
use wire::{Authority, LIST_MAX, Level, TalkgroupId, Tier};

use super::locate::ConfigError;
use super::raw::{RawBridge, RawConfig, Text};
use super::validate::{Pass, printable};
use super::{Bridge, Peer, Talkgroup, TrustEntry};

/// Which part a talkgroup plays in its bridges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Home,
    Partner,
}

/// Turns the `[[bridge]]` tables into bridges.
pub(super) fn bridges(
    pass: &mut Pass<'_>,
    raw: &RawConfig,
    own: &Authority,
    talkgroups: &[Talkgroup],
    peers: &[Peer],
    trust: &[TrustEntry],
) -> Result<Vec<Bridge>, ConfigError> {
    let mut roles: BTreeMap<TalkgroupId, (Role, String)> = BTreeMap::new();
    let mut bridges: Vec<Bridge> = Vec::new();
    for raw in &raw.bridge {
        let agreement = pass.display(&raw.agreement, "bridge.agreement")?;
        let home: TalkgroupId = pass.name(&raw.home, "bridge.home")?;
        let partner: TalkgroupId = pass.name(&raw.partner, "bridge.partner")?;
        let (own_id, own_text, far) = sides(pass, raw, own, &home, &partner)?;
        if !talkgroups.iter().any(|talkgroup| talkgroup.id == own_id) {
            let message = format!("'{own_id}' is not among the [[talkgroup]] of this file; add it or correct the name");
            return Err(pass.error(own_text.0, own_text.1, message));
        }
        let far_text = if own_text.1 == "bridge.home" { (&raw.partner, "bridge.partner") } else { (&raw.home, "bridge.home") };
        if !peers.iter().any(|peer| peer.authority == far.authority) {
            let message = format!("no [[peer]] of authority '{}'; add its gateway", far.authority);
            return Err(pass.error(far_text.0, far_text.1, message));
        }
        if !trust.iter().any(|entry| entry.authority == far.authority && entry.peers) {
            let message = format!("no [[trust]] of authority '{}' for \"peers\"; add its root", far.authority);
            return Err(pass.error(far_text.0, far_text.1, message));
        }
        if bridges.iter().any(|other| *other.terms.name == *agreement && other.far.authority == far.authority) {
            let message =
                format!("'{agreement}' with '{}' is configured already; an agreement joins one pair of talkgroups", far.authority);
            return Err(pass.error(&raw.agreement, "bridge.agreement", message));
        }
        take_role(pass, &mut roles, &home, Role::Home, &agreement, (&raw.home, "bridge.home"))?;
        take_role(pass, &mut roles, &partner, Role::Partner, &agreement, (&raw.partner, "bridge.partner"))?;
        if let Some(other) = bridges.iter().find(|other| other.terms.home == home && other.far.authority == far.authority) {
            let message = format!(
                "'{home}' is bridged with '{}' already by '{}'; one bridge per home and authority",
                far.authority, other.terms.name
            );
            return Err(pass.error(&raw.home, "bridge.home", message));
        }
        let onward = onward(pass, raw, own, &far)?;
        let (from, until) = valid(pass, raw)?;
        let terms = Agreement { name: agreement.to_string(), inbound: inbound(pass, raw)?, outbound: outbound(raw), onward, home, partner };
        remark(pass, raw, &terms);
        bridges.push(Bridge { terms, own: own_id, far, from, until });
        fit_one_message(pass, raw, &bridges)?;
    }
    remark_on_onward(pass, raw, &bridges);
    for (peer, raw) in peers.iter().zip(&raw.peer) {
        if !bridges.iter().any(|bridge| bridge.far.authority == peer.authority) {
            pass.warn(&raw.authority, "peer.authority", format!("no [[bridge]] with '{}': the link carries nothing", peer.authority));
        }
    }
    Ok(bridges)
}

/// The own talkgroup with the place where it stands, and the other side's.
type Sides<'a> = (TalkgroupId, (&'a Text, &'static str), TalkgroupId);

fn sides<'a>(
    pass: &Pass<'_>,
    raw: &'a RawBridge,
    own: &Authority,
    home: &TalkgroupId,
    partner: &TalkgroupId,
) -> Result<Sides<'a>, ConfigError> {
    match (home.authority == *own, partner.authority == *own) {
        (true, false) => Ok((home.clone(), (&raw.home, "bridge.home"), partner.clone())),
        (false, true) => Ok((partner.clone(), (&raw.partner, "bridge.partner"), home.clone())),
        (true, true) => {
            let message =
                format!("home and partner both belong to '{own}'; a bridge joins a talkgroup of '{own}' with one of another authority");
            Err(pass.error(&raw.partner, "bridge.partner", message))
        }
        (false, false) => {
            let message = format!("neither home nor partner belongs to '{own}'; this gateway has no part in the bridge, remove it");
            Err(pass.error(&raw.home, "bridge.home", message))
        }
    }
}

fn take_role(
    pass: &Pass<'_>,
    roles: &mut BTreeMap<TalkgroupId, (Role, String)>,
    id: &TalkgroupId,
    role: Role,
    agreement: &str,
    (text, field): (&Text, &str),
) -> Result<(), ConfigError> {
    let refuse = |why: String| Err(pass.error(text, field, why));
    match roles.get(id) {
        Some((Role::Home, other)) if role == Role::Partner => {
            refuse(format!("'{id}' is home in '{other}'; a talkgroup is home of bridges or partner in one, or it would have two arbiters"))
        }
        Some((Role::Partner, other)) if role == Role::Home => refuse(format!(
            "'{id}' is partner in '{other}'; a talkgroup is home of bridges or partner in one, or it would have two arbiters"
        )),
        Some((Role::Partner, other)) => refuse(format!(
            "'{id}' is partner in '{other}' already; it can follow one home only, so make it the home or use another talkgroup"
        )),
        Some((Role::Home, _)) => Ok(()),
        None => {
            roles.insert(id.clone(), (role, agreement.to_owned()));
            Ok(())
        }
    }
}

fn onward(pass: &Pass<'_>, raw: &RawBridge, own: &Authority, far: &TalkgroupId) -> Result<Vec<Authority>, ConfigError> {
    let mut onward: Vec<Authority> = Vec::new();
    for text in &raw.onward {
        let authority: Authority = pass.name(text, "bridge.onward")?;
        if authority == *own || authority == far.authority {
            let message = format!("'{authority}' is a side of this bridge; list third authorities only");
            return Err(pass.error(text, "bridge.onward", message));
        }
        if onward.contains(&authority) {
            return Err(pass.error(text, "bridge.onward", format!("'{authority}' is listed twice; remove one")));
        }
        onward.push(authority);
    }
    // Both sides compare the list, whatever order it was written in.
    onward.sort();
    Ok(onward)
}

fn inbound(pass: &Pass<'_>, raw: &RawBridge) -> Result<Inbound, ConfigError> {
    let (inbound, ceiling) = (&raw.inbound, &raw.inbound.ceiling);
    let tier = match &ceiling.tier {
        Some(text) => pass.name(text, "bridge.inbound.ceiling.tier")?,
        None => Tier::Normal,
    };
    let level = match &ceiling.level {
        Some(number) => pass.level(number, "bridge.inbound.ceiling.level")?,
        None => Level::default(),
    };
    let emergency = inbound.emergency.as_ref().is_some_and(|flag| *flag.get_ref());
    let ceiling = Ceiling { tier, level, dispatcher: ceiling.dispatcher };
    Ok(Inbound { talk: inbound.talk, short_data: inbound.short_data, emergency, ceiling })
}

fn outbound(raw: &RawBridge) -> Outbound {
    let emergency = raw.outbound.emergency.as_ref().is_some_and(|flag| *flag.get_ref());
    Outbound { talk: raw.outbound.talk, short_data: raw.outbound.short_data, emergency }
}

/// All agreements with one authority are told in one message, which its gateway refuses beyond the limits of the protocol.
fn fit_one_message(pass: &Pass<'_>, raw: &RawBridge, bridges: &[Bridge]) -> Result<(), ConfigError> {
    let Some(Bridge { far, .. }) = bridges.last() else { return Ok(()) };
    let told = bridges.iter().filter(|other| other.far.authority == far.authority).map(|other| other.terms.clone());
    let told: Vec<Agreement> = told.collect();
    let count = told.len();
    if frame::fits(&Message::Agreements(told)) {
        return Ok(());
    }
    let message = format!(
        "the {count} agreements with '{}' do not fit one message any more; it holds {LIST_MAX} of them and {} KiB, so shorten their names and 'onward', or have fewer",
        far.authority,
        FRAME_MAX_BYTES / 1_024
    );
    Err(pass.error(&raw.agreement, "bridge.agreement", message))
}

/// Rights that cancel each other within one side's words. Without talk nothing crosses, an emergency neither.
fn remark(pass: &mut Pass<'_>, raw: &RawBridge, terms: &Agreement) {
    let (inbound, outbound) = (&terms.inbound, &terms.outbound);
    if let (Some(at), true) = (&raw.inbound.emergency, inbound.emergency) {
        if inbound.ceiling.tier != Tier::Emergency {
            pass.warn(at, "bridge.inbound.emergency", "true, but ceiling.tier is below emergency: foreign emergencies are denied here");
        }
        if !inbound.talk {
            pass.warn(
                at,
                "bridge.inbound.emergency",
                "true, but inbound.talk is false: nothing of the other side is heard here, its emergencies neither",
            );
        }
    }
    if let (Some(at), true, false) = (&raw.outbound.emergency, outbound.emergency, outbound.talk) {
        pass.warn(
            at,
            "bridge.outbound.emergency",
            "true, but outbound.talk is false: the other side hears nothing from here, emergencies neither",
        );
    }
    let nothing = !(inbound.talk || inbound.short_data || inbound.emergency || outbound.talk || outbound.short_data || outbound.emergency);
    if nothing {
        pass.warn(&raw.agreement, "bridge", "allows nothing in either direction");
    }
}

/// Passing on needs a second bridge of the same home.
fn remark_on_onward(pass: &mut Pass<'_>, raw: &RawConfig, bridges: &[Bridge]) {
    for (bridge, raw) in bridges.iter().zip(&raw.bridge).filter(|(bridge, _)| bridge.is_home()) {
        for text in &raw.onward {
            let served = |other: &Bridge| other.terms.home == bridge.terms.home && other.far.authority.as_str() == text.get_ref();
            if !bridges.iter().any(served) {
                let message =
                    format!("'{}' has no bridge with '{}': nothing is passed on to it", bridge.terms.home, printable(text.get_ref()));
                pass.warn(text, "bridge.onward", message);
            }
        }
    }
}

/// First moment of an agreement and first moment after it.
type Dates = (Option<OffsetDateTime>, Option<OffsetDateTime>);

fn valid(pass: &Pass<'_>, raw: &RawBridge) -> Result<Dates, ConfigError> {
    let Some(table) = &raw.valid else { return Ok((None, None)) };
    let valid = table.get_ref();
    let from = valid.from.as_ref().map(|text| moment(pass, text, "bridge.valid.from")).transpose()?;
    let until = valid.until.as_ref().map(|text| moment(pass, text, "bridge.valid.until")).transpose()?;
    if let (Some(begin), Some(end), Some(text)) = (from, until, &valid.until)
        && end <= begin
    {
        return Err(pass.error(text, "bridge.valid.until", "is not after valid.from; the agreement would never hold"));
    }
    Ok((from, until))
}

fn moment(pass: &Pass<'_>, text: &Spanned<Datetime>, field: &str) -> Result<OffsetDateTime, ConfigError> {
    let refuse =
        || pass.error(text, field, format!("'{}' is no moment; write date, time and offset: 2026-01-01T00:00:00Z", text.get_ref()));
    let value = text.get_ref();
    let (Some(date), Some(clock), Some(offset)) = (value.date, value.time, value.offset) else { return Err(refuse()) };
    let month = Month::try_from(date.month).map_err(|_out| refuse())?;
    let date = Date::from_calendar_date(i32::from(date.year), month, date.day).map_err(|_out| refuse())?;
    let clock = Time::from_hms(clock.hour, clock.minute, clock.second.unwrap_or(0)).map_err(|_out| refuse())?;
    let minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => minutes,
    };
    let offset = UtcOffset::from_whole_seconds(i32::from(minutes) * 60).map_err(|_out| refuse())?;
    Ok(OffsetDateTime::new_in_offset(date, clock, offset))
}
