//! The unit's configuration: from a TOML file to what a session needs, or one line that names file, line and field.
//!
//! Read once at start, before anything is dialled. Relative paths count from the file's folder.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use transport::{IdentityError, Keys, OwnIdentity, SharedTrust, Trust};
use wire::{Authority, Kind, TalkgroupId};

use crate::unit::Settings;

/// Capacity of a unit's uplink unless the file says otherwise, kbit/s of IP bytes.
pub const RATE_KBPS: u32 = 128;
/// Least capacity: one talker and his control messages.
const RATE_MIN_KBPS: u32 = 64;

/// A configuration that cannot be used. Always the operator's fault; a retry without an edit never helps.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file itself cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The configuration file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A key is wrong, missing or unknown.
    #[error("{}:{line}: {field}: {message}", file.display())]
    Field {
        /// The configuration file.
        file: PathBuf,
        /// Line of the field, from 1.
        line: usize,
        /// The key, e.g. `identity.certificate`.
        field: String,
        /// What is wrong, one line.
        message: String,
    },
}

/// A valid configuration, its certificate files read.
#[derive(Debug)]
pub struct UnitConfig {
    /// Certificate and key of the unit or dispatcher.
    pub own: OwnIdentity,
    /// The gateways it believes.
    pub trust: SharedTrust,
    /// Where to dial, in order.
    pub gateways: Vec<SocketAddr>,
    /// The talkgroups it usually joins; may be empty.
    pub talkgroups: Vec<TalkgroupId>,
    /// Folder for what must survive a restart.
    pub state: Option<PathBuf>,
    /// Capacity of the uplink, kbit/s of IP bytes.
    pub rate_kbps: u32,
    /// A terminal may keep the last half minute of a talkgroup in memory, to be heard again.
    pub replay: bool,
}

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    identity: RawIdentity,
    roots: Spanned<BTreeMap<String, Spanned<String>>>,
    gateways: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    talkgroups: Vec<Spanned<String>>,
    state: Option<String>,
    rate_kbps: Option<Spanned<u32>>,
    #[serde(default = "allowed")]
    replay: bool,
}

const fn allowed() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIdentity {
    certificate: Spanned<String>,
    key: Spanned<String>,
}

impl UnitConfig {
    /// Reads the file and the certificates that it names.
    ///
    /// # Errors
    /// [`ConfigError`], one line: the operator's fault.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { file: path.to_owned(), source })?;
        Self::from_text(path, &text)
    }

    /// Reads the text of a file that lies at `path`, and the certificates that it names.
    ///
    /// # Errors
    /// [`ConfigError`], one line: the operator's fault.
    pub fn from_text(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = File { path, text };
        let raw: Raw = toml::from_str(text).map_err(|error| file.toml_error(&error))?;
        let rate_kbps = match &raw.rate_kbps {
            Some(rate) if *rate.get_ref() < RATE_MIN_KBPS => {
                return Err(file.error(rate, "rate_kbps", format!("at least {RATE_MIN_KBPS} are needed for one talker")));
            }
            Some(rate) => *rate.get_ref(),
            None => RATE_KBPS,
        };
        if raw.gateways.get_ref().is_empty() {
            return Err(file.error(&raw.gateways, "gateways", "no address to dial"));
        }
        Ok(Self {
            own: file.identity(&raw.identity)?,
            trust: file.trust(&raw.roots)?,
            gateways: file.list(raw.gateways.get_ref(), "gateways", "is no IP address with a port, e.g. 192.0.2.1:7001")?,
            talkgroups: file.list(&raw.talkgroups, "talkgroups", "is no talkgroup, e.g. nl/pol-1")?,
            state: raw.state.as_ref().map(|state| file.beside(state)),
            rate_kbps,
            replay: raw.replay,
        })
    }

    /// What a session in these talkgroups needs.
    pub fn settings(&self, talkgroups: Vec<TalkgroupId>, connect_timeout: Duration) -> Settings {
        Settings {
            own: self.own.clone(),
            trust: SharedTrust::clone(&self.trust),
            gateways: self.gateways.clone(),
            talkgroups,
            rate_kbps: self.rate_kbps,
            connect_timeout,
            keys: Keys::ephemeral(),
        }
    }
}

/// The file, for turning spans into lines.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn at(&self, offset: usize, field: &str, message: impl Display) -> ConfigError {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let message = message.to_string().lines().collect::<Vec<_>>().join(", ");
        ConfigError::Field { file: self.path.to_owned(), line, field: field.to_owned(), message }
    }

    fn error<T>(&self, value: &Spanned<T>, field: &str, message: impl Display) -> ConfigError {
        self.at(value.span().start, field, message)
    }

    /// What the TOML reader said; the field is the one it names, else the key on the line.
    fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let offset = error.span().map_or(0, |span| span.start);
        let message = error.message();
        let named = ["unknown field `", "missing field `"].into_iter().find_map(|prefix| message.strip_prefix(prefix)?.split('`').next());
        let start = self.text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let key = self.text.get(start..).and_then(|line| line.lines().next()?.split_once('=')).map(|(key, _)| key.trim());
        self.at(offset, named.or(key).unwrap_or("syntax"), message.replace('`', "'"))
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or_else(|| Path::new("")).join(name)
    }

    fn identity(&self, raw: &RawIdentity) -> Result<OwnIdentity, ConfigError> {
        let (certificate, key) = (self.beside(raw.certificate.get_ref()), self.beside(raw.key.get_ref()));
        let own = OwnIdentity::load(&certificate, &key).map_err(|error| {
            let of_key = match &error {
                IdentityError::File { path, .. } => *path == key,
                IdentityError::KeyPem(_) | IdentityError::Key(_) => true,
                IdentityError::CertificatePem(_)
                | IdentityError::NoCertificate
                | IdentityError::LongChain { .. }
                | IdentityError::Encoding(_)
                | IdentityError::NoSingleName { .. }
                | IdentityError::Name(_)
                | IdentityError::Purpose { .. } => false,
            };
            if of_key { self.error(&raw.key, "identity.key", error) } else { self.error(&raw.certificate, "identity.certificate", error) }
        })?;
        match own.identity().kind {
            Kind::Unit | Kind::Dispatcher => Ok(own),
            Kind::Gateway => {
                let message = format!("{} is a gateway; a unit's or dispatcher's certificate is needed", own.identity());
                Err(self.error(&raw.certificate, "identity.certificate", message))
            }
        }
    }

    fn trust(&self, raw: &Spanned<BTreeMap<String, Spanned<String>>>) -> Result<SharedTrust, ConfigError> {
        let mut builder = Trust::builder();
        for (name, root) in raw.get_ref() {
            let field = format!("roots.{name}");
            let authority: Authority = name.parse().map_err(|error| self.error(root, &field, error))?;
            let path = self.beside(root.get_ref());
            let pem = std::fs::read(&path).map_err(|error| self.error(root, &field, format!("{}: {error}", path.display())))?;
            builder = builder.authority(authority, &pem, None, true, false).map_err(|error| self.error(root, &field, error))?;
        }
        let trust = builder.build();
        if trust.authorities().next().is_none() {
            return Err(self.error(raw, "roots", "no authority; no gateway could be believed"));
        }
        Ok(trust.shared())
    }

    fn list<T: std::str::FromStr>(&self, raw: &[Spanned<String>], field: &str, want: &str) -> Result<Vec<T>, ConfigError> {
        let parse = |item: &Spanned<String>| match item.get_ref().parse() {
            Ok(value) => Ok(value),
            Err(_) => Err(self.error(item, field, format!("'{}' {want}", item.get_ref()))),
        };
        raw.iter().map(parse).collect()
    }
}
