//! What differs between two configurations: lets a reload say what it did and what needs a restart.

use super::Config;

/// The parts in which two configurations differ, by the names of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Taken over by a running gateway.
    pub live: Vec<&'static str>,
    /// Need a restart: bound to sockets or files.
    pub restart: Vec<&'static str>,
    /// Make it another gateway: whoever takes over the rest without these has half a configuration.
    pub identity: Vec<&'static str>,
}

impl Config {
    /// What differs from an older configuration. Certificate files with new contents under the same path do not show here.
    pub fn changes_since(&self, old: &Self) -> Changes {
        let parts = |parts: &[(bool, &'static str)]| parts.iter().filter(|(same, _)| !same).map(|(_, name)| *name).collect();
        Changes {
            live: parts(&[
                (self.standby == old.standby, "standby"),
                (self.identity == old.identity, "identity"),
                (self.trust == old.trust, "trust"),
                (self.unit_rate_kbps == old.unit_rate_kbps, "units"),
                (self.talkgroups == old.talkgroups, "talkgroup"),
                (self.peers == old.peers, "peer"),
                (self.bridges == old.bridges, "bridge"),
            ]),
            restart: parts(&[(self.listen == old.listen, "listen"), (self.store == old.store, "store")]),
            identity: parts(&[
                (self.gateway.authority == old.gateway.authority, "authority"),
                (self.gateway.name == old.gateway.name, "name"),
                (self.state == old.state, "state"),
            ]),
        }
    }
}
