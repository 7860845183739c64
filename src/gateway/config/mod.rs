//! The gateway's configuration: from a TOML file to a [`Config`] that holds only valid, mutually fitting values.
//!
//! Read once at start and again at every reload, never on the voice path. `raw` is the file as written, `validate` and
//! `bridges` and `short_data` judge it, `files` what it names, `locate` turns byte offsets into lines. A [`Config`] is cheap to clone and comparable, so that a
//! reload can tell what changed.

mod bridges;
mod changes;
mod files;
mod locate;
mod raw;
mod short_data;
mod validate;

#[cfg(test)]
mod broken_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use engine::plan::Timers;
use time::OffsetDateTime;
use wire::control::{Agreement, Inbound, Outbound};
use wire::{Authority, Identity, Kind, Level, Name, Pattern, TalkgroupId};

pub use changes::Changes;
pub(crate) use locate::Source;
pub use locate::{ConfigError, Warning};
use validate::Pass;

use crate::material::Material;

/// Everything a gateway is told by its operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who this gateway is; its certificate must say the same.
    pub gateway: Identity,
    /// Folder for secrets, epochs and call records.
    pub state: PathBuf,
    /// Whether every session is refused with *standby*.
    pub standby: bool,
    /// Where it listens.
    pub listen: Listen,
    /// Its certificate.
    pub identity: IdentityFiles,
    /// Whose certificates are believed.
    pub trust: Arc<[TrustEntry]>,
    /// Capacity of a unit's link, kbit/s of IP bytes.
    pub unit_rate_kbps: u32,
    /// The message store's file, if one is configured.
    pub store: Option<PathBuf>,
    /// Codes of statuses, by pair of authorities.
    pub codes: Arc<[StatusMap]>,
    /// The own talkgroups, in the order of the file.
    pub talkgroups: Arc<[Talkgroup]>,
    /// The other authorities' gateways, in the order of the file.
    pub peers: Arc<[Peer]>,
    /// The agreements, in the order of the file.
    pub bridges: Arc<[Bridge]>,
}

/// The addresses of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// UDP, for units; never empty.
    pub units: Vec<SocketAddr>,
    /// UDP, for other gateways.
    pub peers: Vec<SocketAddr>,
    /// TCP on loopback, for the console.
    pub console: Option<SocketAddr>,
}

/// Where the own certificate lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// PEM: the chain without the root.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
}

/// One authority whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustEntry {
    /// Which.
    pub authority: Authority,
    /// PEM: its root.
    pub root: PathBuf,
    /// PEM: its revocation list.
    pub revoked: Option<PathBuf>,
    /// Its units and dispatchers may log in here.
    pub units: bool,
    /// Its gateways may connect.
    pub peers: bool,
}

/// A talkgroup of the own authority.
#[derive(Clone, Debug, PartialEq)]
pub struct Talkgroup {
    /// Its id.
    pub id: TalkgroupId,
    /// Title for people.
    pub title: Arc<str>,
    /// Agency for people; may be empty.
    pub agency: Arc<str>,
    /// Who may join.
    pub join: Vec<Pattern>,
    /// Who may talk.
    pub talk: Vec<Pattern>,
    /// Who may raise an emergency.
    pub emergency: Vec<Pattern>,
    /// Who may declare imminent peril.
    pub peril: Vec<Pattern>,
    /// Highest level that counts.
    pub level_max: Level,
    /// Its floor timers.
    pub timers: Timers,
    /// For how long a message is kept for members that are away.
    pub retention: Duration,
}

/// What the statuses of one authority are called at another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusMap {
    /// Whose codes.
    pub from: Authority,
    /// In whose codes they are told.
    pub to: Authority,
    /// From each code to the other.
    pub codes: BTreeMap<u16, u16>,
}

/// A gateway of another authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its authority.
    pub authority: Authority,
    /// Its name.
    pub name: Name,
    /// Where to dial it; without one it dials us.
    pub address: Option<SocketAddr>,
    /// Capacity of the link, kbit/s of IP bytes.
    pub rate_kbps: u32,
}

impl Peer {
    /// The identity its certificate must carry.
    pub fn identity(&self) -> Identity {
        Identity::new(self.authority.clone(), Kind::Gateway, self.name.clone())
    }
}

/// One agreement, as this side words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Reference of the agreement, names, rights of both directions: what the peer is told.
    pub terms: Agreement,
    /// The own one of home and partner.
    pub own: TalkgroupId,
    /// The other side's one of home and partner.
    pub far: TalkgroupId,
    /// First moment of the agreement.
    pub from: Option<OffsetDateTime>,
    /// First moment after the agreement.
    pub until: Option<OffsetDateTime>,
}

impl Bridge {
    /// Whether this gateway arbitrates.
    pub fn is_home(&self) -> bool {
        self.own == self.terms.home
    }

    /// Whether the agreement's dates include the moment.
    pub fn holds_at(&self, now: OffsetDateTime) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    /// What the other side may do here.
    pub fn inbound(&self) -> &Inbound {
        &self.terms.inbound
    }

    /// What this side lets out.
    pub fn outbound(&self) -> &Outbound {
        &self.terms.outbound
    }
}

/// A valid configuration with the remarks made on the way.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works, but perhaps not as meant; in the order of the file.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads, validates, looks into the certificate files and tries the own certificate: what `check` does.
    ///
    /// # Errors
    /// [`ConfigError`], one line with file, line and field: the operator's fault.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        Self::prepare(path).map(|(loaded, _)| loaded)
    }

    /// As [`Self::load`], and gives what was read from the files, so that what runs is what was tried.
    pub(crate) fn prepare(path: &Path) -> Result<(Loaded, Material), ConfigError> {
        let text = read(path)?;
        let source = Source { file: path, text: &text };
        let (raw, mut pass) = (parse(&source)?, Pass::new(&source));
        let config = validate::validate(&mut pass, &raw)?;
        let material = files::look_into(&mut pass, &raw, &config)?;
        Ok((pass.finish(config), material))
    }

    /// As [`Self::load`], but leaves the certificate files alone: what a client of the running gateway needs.
    ///
    /// # Errors
    /// [`ConfigError`], one line with file, line and field: the operator's fault.
    pub fn load_without_files(path: &Path) -> Result<Loaded, ConfigError> {
        Self::from_text(path, &read(path)?, false)
    }

    /// Validates the text of a file that lies at `path`; with `files` the certificate files are looked into as well.
    ///
    /// # Errors
    /// [`ConfigError`], one line with file, line and field: the operator's fault.
    pub fn from_text(path: &Path, text: &str, files: bool) -> Result<Loaded, ConfigError> {
        let source = Source { file: path, text };
        let (raw, mut pass) = (parse(&source)?, Pass::new(&source));
        let config = validate::validate(&mut pass, &raw)?;
        if files {
            files::look_into(&mut pass, &raw, &config)?;
        }
        Ok(pass.finish(config))
    }

    /// The own authority.
    pub fn authority(&self) -> &Authority {
        &self.gateway.authority
    }

    /// The own talkgroup with that id.
    pub fn talkgroup(&self, id: &TalkgroupId) -> Option<&Talkgroup> {
        self.talkgroups.iter().find(|talkgroup| talkgroup.id == *id)
    }

    /// The gateways configured for an authority.
    pub fn peers_of<'a>(&'a self, authority: &'a Authority) -> impl Iterator<Item = &'a Peer> {
        self.peers.iter().filter(move |peer| peer.authority == *authority)
    }

    /// Where calls are recorded.
    pub fn records_file(&self) -> PathBuf {
        self.state.join("records.jsonl")
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { file: path.into(), source })
}

fn parse(source: &Source<'_>) -> Result<raw::RawConfig, ConfigError> {
    toml::from_str(source.text).map_err(|error| source.toml_error(&error))
}
