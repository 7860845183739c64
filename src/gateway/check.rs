//! A configuration in plain sentences: what `talkbridge check` prints, so that an operator reads what is allowed.
//!
//! Off the data path. Every sentence says what this file allows; whether a bridge carries also depends on the other side.

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wire::{Pattern, Tier};

use crate::config::{Bridge, Config, Loaded, Talkgroup};

/// Explains a configuration; `now` decides which agreements are in force.
pub fn explain(loaded: &Loaded, now: OffsetDateTime) -> String {
    let config = &loaded.config;
    let mut out = String::new();
    // Writing to a String cannot fail, so the results of these calls carry nothing.
    let _ = gateway(&mut out, config);
    for talkgroup in config.talkgroups.iter() {
        let _ = self::talkgroup(&mut out, config, talkgroup);
    }
    for bridge in config.bridges.iter() {
        let _ = self::bridge(&mut out, config, bridge, now);
    }
    if loaded.warnings.is_empty() {
        out.push_str("\nNo warnings.\n");
    } else {
        let _ = writeln!(out, "\nWarnings ({}):", loaded.warnings.len());
        for warning in &loaded.warnings {
            let _ = writeln!(out, "  line {:<4} {}: {}", warning.line, warning.field, warning.message);
        }
    }
    out
}

fn gateway(out: &mut String, config: &Config) -> std::fmt::Result {
    let standby = if config.standby { ", on standby: every session is sent to the next gateway" } else { "" };
    writeln!(out, "Gateway {}{standby}", config.gateway)?;
    line(out, "units", &format!("on {}, {} kbit/s each", list(&config.listen.units), config.unit_rate_kbps))?;
    let peers = if config.listen.peers.is_empty() {
        "none accepted, this side dials".to_owned()
    } else {
        format!("on {}", list(&config.listen.peers))
    };
    line(out, "peers", &peers)?;
    line(out, "console", &config.listen.console.map_or_else(|| "none".to_owned(), |address| format!("http://{address}/status")))?;
    line(out, "state", &config.state.display().to_string())?;
    for entry in config.trust.iter() {
        let units = if entry.units { "its units may log in" } else { "its units may not log in" };
        let peers = if entry.peers { "its gateways may connect" } else { "its gateways may not connect" };
        let revoked = if entry.revoked.is_some() { "revocation list read" } else { "no revocation list" };
        line(out, &format!("trust {}", entry.authority), &format!("{units}, {peers}; {revoked}"))?;
    }
    for peer in config.peers.iter() {
        let how = peer.address.map_or_else(|| "waits for it to dial".to_owned(), |address| format!("at {address}"));
        line(
            out,
            &format!("peer {}", peer.authority),
            &format!("{} {how}, {} kbit/s: {}", peer.identity(), peer.rate_kbps, carried(peer.rate_kbps)),
        )?;
    }
    Ok(())
}

/// How many calls a border link carries.
fn carried(rate_kbps: u32) -> String {
    match engine::capacity::spurts(rate_kbps) {
        1 => "1 call at once".to_owned(),
        calls => format!("{calls} calls at once"),
    }
}

fn talkgroup(out: &mut String, config: &Config, talkgroup: &Talkgroup) -> std::fmt::Result {
    let agency = if talkgroup.agency.is_empty() { String::new() } else { format!(" ({})", talkgroup.agency) };
    writeln!(out, "\nTalkgroup {} \"{}\"{agency}", talkgroup.id, talkgroup.title)?;
    line(out, "join", &who(&talkgroup.join))?;
    let level = if talkgroup.talk.is_empty() { String::new() } else { format!(", up to level {}", talkgroup.level_max) };
    line(out, "talk", &format!("{}{level}", who(&talkgroup.talk)))?;
    line(out, "emergency", &who(&talkgroup.emergency))?;
    line(out, "peril", &who(&talkgroup.peril))?;
    let timers = talkgroup.timers;
    line(
        out,
        "limits",
        &format!(
            "{} s of talk, {} s in an emergency; a silent talker loses the floor after {} s",
            timers.t2.as_secs_f64(),
            timers.t2_emergency.as_secs_f64(),
            timers.t1.as_secs_f64()
        ),
    )?;
    let joined: Vec<String> = config
        .bridges
        .iter()
        .filter(|bridge| bridge.own == talkgroup.id)
        .map(|bridge| format!("{} under {}", bridge.far, bridge.terms.name))
        .collect();
    line(out, "bridged to", &if joined.is_empty() { "nobody".to_owned() } else { joined.join(", ") })
}

fn bridge(out: &mut String, config: &Config, bridge: &Bridge, now: OffsetDateTime) -> std::fmt::Result {
    let terms = &bridge.terms;
    writeln!(out, "\nBridge {}: {} (home) with {} (partner)", terms.name, terms.home, terms.partner)?;
    let (own, far) = (config.authority(), &bridge.far.authority);
    let arbiter = if bridge.is_home() { "this gateway gives the floor" } else { "the other side's gateway gives the floor" };
    line(out, "arbiter", arbiter)?;
    // An emergency is speech: without the right to talk, or above the ceiling, it is denied as well.
    let ceiling = &terms.inbound.ceiling;
    let emergency = terms.inbound.talk && terms.inbound.emergency && ceiling.tier == Tier::Emergency;
    line(out, &format!("{far} may here"), &rights(terms.inbound.talk, terms.inbound.short_data, emergency))?;
    if terms.inbound.talk {
        let tier = match ceiling.tier {
            Tier::Normal => "normal traffic only",
            Tier::Peril => "up to imminent peril",
            Tier::Emergency => "up to emergency",
        };
        let rank = if ceiling.dispatcher { "dispatchers keep their rank" } else { "no dispatcher rank" };
        line(out, "  at most", &format!("{tier}, level {}, {rank}", ceiling.level))?;
    }
    let outbound = rights(terms.outbound.talk, terms.outbound.short_data, terms.outbound.talk && terms.outbound.emergency);
    line(out, &format!("{own} may there"), &format!("{outbound}, as far as the other side admits it"))?;
    let onward = if terms.onward.is_empty() { "nobody".to_owned() } else { list(&terms.onward) };
    line(out, "passed on to", &onward)?;
    line(out, "valid", &dates(bridge, now))?;
    line(out, "condition", &format!("active only while {far} configures the same agreement and talkgroups"))
}

fn dates(bridge: &Bridge, now: OffsetDateTime) -> String {
    let text = |moment: OffsetDateTime| moment.format(&Rfc3339).unwrap_or_else(|_year| moment.to_string());
    let span = match (bridge.from, bridge.until) {
        (None, None) => return "always".to_owned(),
        (Some(from), None) => format!("from {}", text(from)),
        (None, Some(until)) => format!("until {}", text(until)),
        (Some(from), Some(until)) => format!("from {} until {}", text(from), text(until)),
    };
    if bridge.holds_at(now) { span } else { format!("{span}: NOT IN FORCE NOW") }
}

fn rights(talk: bool, short_data: bool, emergency: bool) -> String {
    let words: Vec<&str> = [(talk, "talk"), (short_data, "send short data"), (emergency, "raise an emergency")]
        .into_iter()
        .filter_map(|(allowed, word)| allowed.then_some(word))
        .collect();
    match words.split_last() {
        None => "do nothing".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
    }
}

fn who(patterns: &[Pattern]) -> String {
    if patterns.is_empty() {
        return "nobody".to_owned();
    }
    let words: Vec<String> = patterns.iter().map(in_words).collect();
    words.join("; ")
}

fn in_words(pattern: &Pattern) -> String {
    let text = pattern.to_string();
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["*", "*", "*"] => "everybody who can log in".to_owned(),
        [authority, "*", "*"] => format!("everybody of {authority}"),
        ["*", kind, "*"] => format!("every {kind} that can log in"),
        [authority, kind, "*"] => format!("every {kind} of {authority}"),
        _ => text,
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn line(out: &mut String, label: &str, text: &str) -> std::fmt::Result {
    writeln!(out, "  {label:<13} {text}")
}
