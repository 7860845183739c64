//! Identities and addresses in logs: a short keyed hash instead of the name.
//!
//! Whoever logs holds a [`Redactor`] and wraps what could tell who was where. The same person keeps the same hash within
//! one run of the process, so that a log can be followed; the key is gone with the process, so nobody can be looked up.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use wire::Identity;

/// Environment variable that, set to `plain`, shows identities and addresses in logs.
pub const ENV_IDENTITIES: &str = "TALKBRIDGE_LOG_IDENTITIES";

/// The key of one process run; clones hide alike.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: RandomState,
    plain: bool,
}

/// Whether the environment asks for names in logs.
pub(crate) fn plain_asked_for() -> bool {
    std::env::var_os(ENV_IDENTITIES).is_some_and(|value| value == "plain")
}

impl Redactor {
    /// A redactor with a fresh key; `plain` shows everything.
    pub fn new(plain: bool) -> Self {
        Self { key: RandomState::new(), plain }
    }

    /// A redactor as the environment asks for it.
    pub fn from_env() -> Self {
        Self::new(plain_asked_for())
    }

    /// An identity for the log: `id:3f9a2c`.
    pub fn identity<'a>(&self, identity: &'a Identity) -> Redacted<&'a Identity> {
        self.wrap("id", identity, self.key.hash_one(identity))
    }

    /// An address for the log: `addr:81b04e`. Hashed without its port, which changes with every rebinding.
    pub fn address(&self, address: SocketAddr) -> Redacted<SocketAddr> {
        self.wrap("addr", address, self.key.hash_one(address.ip().to_canonical()))
    }

    fn wrap<T>(&self, prefix: &'static str, value: T, hash: u64) -> Redacted<T> {
        Redacted { shown: self.plain.then_some(value), prefix, hash }
    }
}

/// Something that prints as a hash unless the operator asked for names.
pub struct Redacted<T> {
    shown: Option<T>,
    prefix: &'static str,
    hash: u64,
}

impl<T: fmt::Display> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Some(value) => value.fmt(f),
            None => write!(f, "{}:{:06x}", self.prefix, self.hash & 0x00ff_ffff),
        }
    }
}

impl<T: fmt::Display> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_shows_and_stays_the_same_within_a_run() {
        let redactor = Redactor::new(false);
        let maas: Identity = "nl/unit/maas-12".parse().unwrap();
        let other: Identity = "nl/unit/maas-13".parse().unwrap();
        let shown = redactor.identity(&maas).to_string();
        assert_eq!(shown.len(), "id:3f9a2c".len(), "{shown}");
        assert!(shown.starts_with("id:") && shown[3..].bytes().all(|c| c.is_ascii_hexdigit()), "{shown}");
        let handed_on = redactor.clone();
        assert_eq!(shown, format!("{:?}", handed_on.identity(&maas)));
        assert_ne!(shown, redactor.identity(&other).to_string());
        assert!(!format!("{redactor:?}").contains(char::is_numeric), "the key must not print");
    }

    #[test]
    fn another_run_has_another_key() {
        let maas: Identity = "nl/unit/maas-12".parse().unwrap();
        let names: Vec<String> = (0..8).map(|_| Redactor::new(false).identity(&maas).to_string()).collect();
        assert!(names.iter().any(|name| *name != names[0]), "{names:?}");
    }

    #[test]
    fn an_address_hides_its_port_and_family() {
        let redactor = Redactor::new(false);
        let hide = |text: &str| redactor.address(text.parse().unwrap()).to_string();
        assert_eq!(hide("192.0.2.1:4000"), hide("192.0.2.1:4001"));
        assert_eq!(hide("192.0.2.1:4000"), hide("[::ffff:192.0.2.1]:4000"));
        assert_ne!(hide("192.0.2.1:4000"), hide("192.0.2.2:4000"));
        assert!(hide("192.0.2.1:4000").starts_with("addr:"));
    }

    #[test]
    fn plain_shows_names() {
        let maas: Identity = "nl/unit/maas-12".parse().unwrap();
        assert_eq!(Redactor::new(true).identity(&maas).to_string(), "nl/unit/maas-12");
    }
}
