//! Judges what the TOML reader found: everything but the bridges, which have a file of their own.
//!
//! Second station of a configuration file: in comes `raw`, out comes a [`Config`] in which every reference resolves. The
//! first fault ends it; remarks are collected.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use engine::desk::Room;
use toml::Spanned;
use wire::{Authority, DISPLAY_MAX_CHARS, Identity, Kind, Level, Name, NameError, Pattern, TalkgroupId};

use super::locate::{ConfigError, Source, Warning};
use super::raw::{RawConfig, RawListen, RawPurpose, RawTalkgroup, RawTimers, Seconds, Text};
use super::short_data::{retention, status_maps};
use super::{Config, IdentityFiles, Listen, Loaded, Peer, Talkgroup, Timers, TrustEntry};

/// Capacity of a unit's link unless configured, kbit/s.
const UNIT_RATE_KBPS: u32 = 128;
/// Capacity of a link between gateways unless configured, kbit/s.
const PEER_RATE_KBPS: u32 = 512;
/// The bounds of a link's capacity, kbit/s.
const RATE_KBPS: (u32, u32) = (16, 10_000_000);
/// One voice stream at 24 kbit/s with its headers, and room for control.
const ONE_CALL_KBPS: u32 = 64;

/// One pass over one file.
pub(super) struct Pass<'a> {
    source: &'a Source<'a>,
    warnings: Vec<Warning>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(source: &'a Source<'a>) -> Self {
        Self { source, warnings: Vec::new() }
    }

    /// What the pass ends with: the remarks in the order of the file.
    pub(super) fn finish(mut self, config: Config) -> Loaded {
        self.warnings.sort_by_key(|warning| warning.line);
        Loaded { config, warnings: self.warnings }
    }

    /// The error at a spanned value.
    pub(super) fn error<T>(&self, at: &Spanned<T>, field: &str, message: impl Into<String>) -> ConfigError {
        self.source.error(at.span().start, field, message)
    }

    /// Remarks on a spanned value.
    pub(super) fn warn<T>(&mut self, at: &Spanned<T>, field: &str, message: impl Into<String>) {
        self.warnings.push(self.source.warning(at.span().start, field, message));
    }

    /// A text read as one of the protocol's names.
    pub(super) fn name<T: FromStr<Err = NameError>>(&self, text: &Text, field: &str) -> Result<T, ConfigError> {
        text.get_ref().parse().map_err(|why| self.error(text, field, format!("'{}' is not usable: {why}", printable(text.get_ref()))))
    }

    /// A text for people: printable, not empty, not endless.
    pub(super) fn display(&self, text: &Text, field: &str) -> Result<Arc<str>, ConfigError> {
        let value = text.get_ref();
        if value.trim().is_empty() || value.chars().count() > DISPLAY_MAX_CHARS || value.chars().any(char::is_control) {
            return Err(self.error(text, field, format!("must be 1 to {DISPLAY_MAX_CHARS} printable characters")));
        }
        Ok(value.as_str().into())
    }

    pub(super) fn level(&self, number: &Spanned<i64>, field: &str) -> Result<Level, ConfigError> {
        let level = u8::try_from(*number.get_ref());
        level.map(Level).map_err(|_out| self.error(number, field, format!("{} is out of range; a level is 0 to 255", number.get_ref())))
    }

    fn address(&self, text: &Text, field: &str) -> Result<SocketAddr, ConfigError> {
        let example = "write IP:PORT, such as 192.0.2.1:7001 or [2001:db8::1]:7001 (no host names)";
        text.get_ref().parse().map_err(|_why| self.error(text, field, format!("'{}' is no address; {example}", printable(text.get_ref()))))
    }

    fn path(&self, text: &Text, field: &str) -> Result<PathBuf, ConfigError> {
        if text.get_ref().is_empty() {
            return Err(self.error(text, field, "is empty; give a path (relative ones count from this file's folder)"));
        }
        Ok(self.source.file.parent().unwrap_or_else(|| Path::new("")).join(text.get_ref()))
    }

    fn rate(&mut self, number: Option<&Spanned<i64>>, field: &str, default: u32) -> Result<u32, ConfigError> {
        let Some(number) = number else { return Ok(default) };
        let (low, high) = RATE_KBPS;
        match u32::try_from(*number.get_ref()) {
            Ok(rate) if (low..=high).contains(&rate) => {
                if rate < ONE_CALL_KBPS {
                    self.warn(number, field, format!("{rate} kbit/s carry less than one call, which needs about {ONE_CALL_KBPS}"));
                }
                Ok(rate)
            }
            _ => Err(self.error(number, field, format!("{} is out of range; give {low} to {high} kbit/s", number.get_ref()))),
        }
    }
}

/// Quotes at most a screenful of what the operator wrote, on one line.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

/// Turns a read file into a configuration; the remarks stay with the pass.
pub(super) fn validate(pass: &mut Pass<'_>, raw: &RawConfig) -> Result<Config, ConfigError> {
    let authority: Authority = pass.name(&raw.authority, "authority")?;
    let name: Name = pass.name(&raw.name, "name")?;
    let gateway = Identity::new(authority.clone(), Kind::Gateway, name);
    let state = pass.path(&raw.state, "state")?;
    let listen = listen(pass, &raw.listen)?;
    let identity = IdentityFiles {
        certificate: pass.path(&raw.identity.certificate, "identity.certificate")?,
        key: pass.path(&raw.identity.key, "identity.key")?,
    };
    let trust = trust(pass, raw, &authority)?;
    let unit_rate_kbps = pass.rate(raw.units.rate_kbps.as_ref(), "units.rate_kbps", UNIT_RATE_KBPS)?;
    let store = raw.store.as_ref().map(|store| pass.path(&store.path, "store.path")).transpose()?;
    let codes = status_maps(pass, &raw.status_map)?;
    let talkgroups = talkgroups(pass, &raw.talkgroup, &authority)?;
    let peers = peers(pass, raw, &authority, &trust)?;
    let bridges = super::bridges::bridges(pass, raw, &authority, &talkgroups, &peers, &trust)?;
    Ok(Config {
        gateway,
        state,
        standby: raw.standby,
        listen,
        identity,
        trust: trust.into(),
        unit_rate_kbps,
        store,
        codes: codes.into(),
        talkgroups: talkgroups.into(),
        peers: peers.into(),
        bridges: bridges.into(),
    })
}

fn listen(pass: &Pass<'_>, raw: &RawListen) -> Result<Listen, ConfigError> {
    let mut taken: Vec<(SocketAddr, &str)> = Vec::new();
    let mut take = |text: &Text, field: &'static str| -> Result<SocketAddr, ConfigError> {
        let address = pass.address(text, field)?;
        let clash =
            taken.iter().find(|(other, _)| address.port() != 0 && other.port() == address.port() && overlap(other.ip(), address.ip()));
        if let Some((other, where_else)) = clash {
            return Err(pass.error(
                text,
                field,
                format!("port {} is already used by {where_else} ({other}); give each its own", address.port()),
            ));
        }
        taken.push((address, field));
        Ok(address)
    };
    if raw.units.get_ref().is_empty() {
        return Err(pass.error(&raw.units, "listen.units", "is empty; give at least one IP:PORT"));
    }
    let units = raw.units.get_ref().iter().map(|text| take(text, "listen.units")).collect::<Result<_, _>>()?;
    let peers = raw.peers.iter().map(|text| take(text, "listen.peers")).collect::<Result<_, _>>()?;
    let console = raw.console.as_ref().map(|text| take(text, "listen.console").map(|address| (text, address))).transpose()?;
    if let Some((text, address)) = console.filter(|(_, address)| !address.ip().is_loopback()) {
        let message = format!("{} is not a loopback address; the console has no login, so give 127.0.0.1 or [::1]", address.ip());
        return Err(pass.error(text, "listen.console", message));
    }
    Ok(Listen { units, peers, console: console.map(|(_, address)| address) })
}

/// Whether binding both addresses to one port collides. The families are bound apart, so they never do.
fn overlap(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4() && (a == b || a.is_unspecified() || b.is_unspecified())
}

fn trust(pass: &mut Pass<'_>, raw: &RawConfig, own: &Authority) -> Result<Vec<TrustEntry>, ConfigError> {
    let mut entries: Vec<TrustEntry> = Vec::new();
    for raw in &raw.trust {
        let authority: Authority = pass.name(&raw.authority, "trust.authority")?;
        if entries.iter().any(|entry| entry.authority == authority) {
            let message = format!("'{authority}' has a [[trust]] already; an authority has one root, list both uses under 'for'");
            return Err(pass.error(&raw.authority, "trust.authority", message));
        }
        let purposes = raw.purpose.get_ref();
        if purposes.is_empty() {
            return Err(pass.error(&raw.purpose, "trust.for", "is empty; give \"units\", \"peers\" or both, or remove this [[trust]]"));
        }
        let serves = |purpose| purposes.iter().any(|entry| *entry.get_ref() == purpose);
        entries.push(TrustEntry {
            root: pass.path(&raw.root, "trust.root")?,
            revoked: raw.revoked.as_ref().map(|text| pass.path(text, "trust.revoked")).transpose()?,
            units: serves(RawPurpose::Units),
            peers: serves(RawPurpose::Peers),
            authority,
        });
    }
    if !entries.iter().any(|entry| entry.authority == *own && entry.units) {
        let untried = if entries.iter().any(|entry| entry.authority == *own) { "" } else { ", and the own certificate is not tried" };
        let message = format!("no [[trust]] of '{own}' for \"units\": the own units cannot log in{untried}");
        pass.warn(&raw.authority, "trust", message);
    }
    Ok(entries)
}

fn talkgroups(pass: &mut Pass<'_>, raw: &[RawTalkgroup], own: &Authority) -> Result<Vec<Talkgroup>, ConfigError> {
    let mut talkgroups: Vec<Talkgroup> = Vec::new();
    for raw in raw {
        let name: Name = pass.name(&raw.name, "talkgroup.name")?;
        let id = TalkgroupId::new(own.clone(), name);
        if talkgroups.iter().any(|other| other.id == id) {
            return Err(pass.error(&raw.name, "talkgroup.name", format!("'{}' exists already; give each talkgroup its own name", id.name)));
        }
        let patterns = |texts: &[Text], field: &str| texts.iter().map(|text| pass.name(text, field)).collect::<Result<Vec<Pattern>, _>>();
        let talkgroup = Talkgroup {
            title: raw.title.as_ref().map_or_else(|| Ok(id.name.as_str().into()), |text| pass.display(text, "talkgroup.title"))?,
            agency: raw.agency.as_ref().map_or_else(|| Ok("".into()), |text| pass.display(text, "talkgroup.agency"))?,
            join: patterns(&raw.join, "talkgroup.join")?,
            talk: patterns(&raw.talk, "talkgroup.talk")?,
            emergency: patterns(&raw.emergency, "talkgroup.emergency")?,
            peril: patterns(&raw.peril, "talkgroup.peril")?,
            level_max: raw.level_max.as_ref().map_or_else(|| Ok(Level::default()), |number| pass.level(number, "talkgroup.level_max"))?,
            retention: raw.retention_h.as_ref().map_or(Ok(Room::RETENTION), |hours| retention(pass, hours))?,
            timers: raw.timers.as_ref().map_or_else(|| Ok(Timers::default()), |raw| timers(pass, raw))?,
            id,
        };
        remark_on_patterns(pass, raw, &talkgroup);
        talkgroups.push(talkgroup);
    }
    Ok(talkgroups)
}

/// A right of somebody who may not join never takes effect. The rights themselves stand each by itself.
fn remark_on_patterns(pass: &mut Pass<'_>, raw: &RawTalkgroup, talkgroup: &Talkgroup) {
    if talkgroup.join.is_empty() {
        pass.warn(&raw.name, "talkgroup.join", format!("nobody may join '{}'", talkgroup.id));
    }
    let rights = [
        ("talkgroup.talk", &raw.talk, &talkgroup.talk),
        ("talkgroup.emergency", &raw.emergency, &talkgroup.emergency),
        ("talkgroup.peril", &raw.peril, &talkgroup.peril),
    ];
    for (field, texts, patterns) in rights {
        for (text, _) in texts.iter().zip(patterns).filter(|(_, pattern)| !talkgroup.join.iter().any(|join| touches(join, pattern))) {
            pass.warn(text, field, format!("'{}' fits nobody who may join '{}'", printable(text.get_ref()), talkgroup.id));
        }
    }
}

/// Whether some identity can fit both patterns.
fn touches(a: &Pattern, b: &Pattern) -> bool {
    let (a, b) = (a.to_string(), b.to_string());
    a.split('/').zip(b.split('/')).all(|(a, b)| a == "*" || b == "*" || a == b)
}

fn timers(pass: &mut Pass<'_>, raw: &RawTimers) -> Result<Timers, ConfigError> {
    let default = Timers::default();
    let read = |value: Option<&Spanned<Seconds>>, field: &str, low: f64, high: f64, default: Duration| {
        let Some(value) = value else { return Ok(default) };
        let seconds = value.get_ref().0;
        if !(low..=high).contains(&seconds) {
            return Err(pass.error(value, field, format!("{seconds} s is out of range; give {low} to {high} seconds")));
        }
        Ok(Duration::from_secs_f64(seconds))
    };
    let timers = Timers {
        t1: read(raw.t1_s.as_ref(), "talkgroup.timers.t1_s", 0.5, 10.0, default.t1)?,
        // A spurt has at most 65,535 frames of 20 ms; 600 s stay far below.
        t2: read(raw.t2_s.as_ref(), "talkgroup.timers.t2_s", 1.0, 600.0, default.t2)?,
        t2_emergency: read(raw.t2_emergency_s.as_ref(), "talkgroup.timers.t2_emergency_s", 1.0, 600.0, default.t2_emergency)?,
        t3: read(raw.t3_s.as_ref(), "talkgroup.timers.t3_s", 0.1, 5.0, default.t3)?,
        t20: read(raw.t20_s.as_ref(), "talkgroup.timers.t20_s", 0.1, 10.0, default.t20)?,
    };
    if let (Some(at), true) = (raw.t2_emergency_s.as_ref().or(raw.t2_s.as_ref()), timers.t2_emergency < timers.t2) {
        pass.warn(at, "talkgroup.timers.t2_emergency_s", "an emergency is cut earlier than routine talk; raise t2_emergency_s");
    }
    Ok(timers)
}

fn peers(pass: &mut Pass<'_>, raw: &RawConfig, own: &Authority, trust: &[TrustEntry]) -> Result<Vec<Peer>, ConfigError> {
    let mut peers: Vec<Peer> = Vec::new();
    for raw_peer in &raw.peer {
        let authority: Authority = pass.name(&raw_peer.authority, "peer.authority")?;
        let name: Name = pass.name(&raw_peer.name, "peer.name")?;
        if authority == *own {
            let message = format!("'{own}' is the own authority; peers are gateways of others");
            return Err(pass.error(&raw_peer.authority, "peer.authority", message));
        }
        if peers.iter().any(|peer| peer.authority == authority && peer.name == name) {
            return Err(pass.error(&raw_peer.name, "peer.name", format!("'{authority}/gateway/{name}' is listed already; remove one")));
        }
        if !trust.iter().any(|entry| entry.authority == authority && entry.peers) {
            let message = format!("no [[trust]] of '{authority}' for \"peers\", so its certificate is never believed; add one");
            return Err(pass.error(&raw_peer.authority, "peer.authority", message));
        }
        let address =
            raw_peer.address.as_ref().map(|text| pass.address(text, "peer.address").map(|address| (text, address))).transpose()?;
        if let Some((text, address)) = address.filter(|(_, address)| address.port() == 0 || address.ip().is_unspecified()) {
            return Err(pass.error(text, "peer.address", format!("'{address}' cannot be dialled; give the other side's real IP and port")));
        }
        if address.is_none() {
            let message = if raw.listen.peers.is_empty() {
                format!("'{authority}/gateway/{name}' has no address and [listen].peers is empty: they can never connect")
            } else {
                format!(
                    "'{authority}/gateway/{name}' has no address: this gateway waits for it to dial; if it has none for us either, the bridge never carries"
                )
            };
            pass.warn(&raw_peer.name, "peer.address", message);
        }
        let rate_kbps = pass.rate(raw_peer.rate_kbps.as_ref(), "peer.rate_kbps", PEER_RATE_KBPS)?;
        peers.push(Peer { authority, name, address: address.map(|(_, address)| address), rate_kbps });
    }
    Ok(peers)
}
