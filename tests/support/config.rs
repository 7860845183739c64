//! Gateway configurations as text, so that the tests walk the same path as an operator's file.

use std::fmt::Write as _;

/// One side's words of the bridge that the tests use.
#[derive(Clone, Debug)]
pub(crate) struct Bridging {
    /// Reference.
    pub(crate) agreement: String,
    /// Home talkgroup.
    pub(crate) home: String,
    /// Partner talkgroup.
    pub(crate) partner: String,
    /// What the other side may do here.
    pub(crate) inbound: String,
    /// What this side lets out.
    pub(crate) outbound: String,
    /// More keys, e.g. `valid = ...`.
    pub(crate) more: String,
}

impl Default for Bridging {
    fn default() -> Self {
        Self {
            agreement: "EMR-2026-01".into(),
            home: "nl/pol-1".into(),
            partner: "be/lux-3".into(),
            inbound: "{ talk = true, emergency = true, ceiling = { tier = \"emergency\", level = 64, dispatcher = false } }".into(),
            outbound: "{ talk = true, emergency = true }".into(),
            more: String::new(),
        }
    }
}

/// A gateway's configuration file.
#[derive(Clone, Debug)]
pub(crate) struct GatewayToml {
    /// Own authority.
    pub(crate) authority: String,
    /// Name of the one talkgroup.
    pub(crate) talkgroup: String,
    /// Who may talk in it.
    pub(crate) talk: String,
    /// Its timers, as TOML.
    pub(crate) timers: String,
    /// The other authority.
    pub(crate) peer: String,
    /// Its address, if this side knows one.
    pub(crate) peer_address: Option<String>,
    /// Whether it has a port for peers.
    pub(crate) peer_port: bool,
    /// The bridge, if this side configures it.
    pub(crate) bridge: Option<Bridging>,
    /// More top-level keys.
    pub(crate) more: String,
}

impl GatewayToml {
    /// The usual configuration of `nl` or `be`.
    pub(crate) fn usual(authority: &str) -> Self {
        let (talkgroup, peer) = if authority == "nl" { ("pol-1", "be") } else { ("lux-3", "nl") };
        Self {
            authority: authority.into(),
            talkgroup: talkgroup.into(),
            talk: format!("[\"{authority}/*/*\"]"),
            timers: String::new(),
            peer: peer.into(),
            peer_address: (authority == "nl").then(|| format!("{}:7101", host_of(peer))),
            peer_port: true,
            bridge: Some(Bridging::default()),
            more: String::new(),
        }
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let Self { authority, talkgroup, talk, timers, peer, more, .. } = self;
        let host = host_of(authority);
        let peers = if self.peer_port { format!("peers = [\"{host}:7101\"]") } else { String::new() };
        let mut text = format!(
            r#"
authority = "{authority}"
name = "gw-1"
state = "var"
{more}
[listen]
units = ["{host}:7001"]
{peers}
[identity]
certificate = "gw.pem"
key = "gw.key"
[[trust]]
authority = "{authority}"
root = "root.pem"
for = ["units"]
[[trust]]
authority = "{peer}"
root = "{peer}.pem"
for = ["peers"]
[[talkgroup]]
name = "{talkgroup}"
title = "Test"
agency = "police"
join = ["{authority}/*/*"]
talk = {talk}
emergency = {talk}
peril = {talk}
level_max = 64
{timers}
[[peer]]
authority = "{peer}"
name = "gw-1"
rate_kbps = 512
"#
        );
        if let Some(address) = &self.peer_address {
            // Belongs to the [[peer]] table above.
            let _ = writeln!(text, "address = \"{address}\"");
        }
        if let Some(Bridging { agreement, home, partner, inbound, outbound, more }) = &self.bridge {
            let _ = write!(
                text,
                "[[bridge]]\nagreement = \"{agreement}\"\nhome = \"{home}\"\npartner = \"{partner}\"\ninbound = {inbound}\noutbound = {outbound}\n{more}\n"
            );
        }
        text
    }
}

/// The gateway's address of an authority in the simulated network.
pub(crate) fn host_of(authority: &str) -> &'static str {
    if authority == "nl" { "10.0.0.1" } else { "10.0.1.1" }
}
