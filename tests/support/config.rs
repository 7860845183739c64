//! Gateway configurations as text, so that the tests walk the same path as an operator's file.

use std::fmt::Write as _;

/// A country of the simulated world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its code.
    pub(crate) code: &'static str,
    /// Its talkgroup, without the code.
    pub(crate) talkgroup: &'static str,
    /// Where its gateway sits.
    pub(crate) host: &'static str,
}

/// Every country that a test may use. The first one named in a world is the home of its bridges.
pub(crate) const PLACES: [Place; 5] = [
    Place { code: "nl", talkgroup: "pol-1", host: "10.0.0.1" },
    Place { code: "be", talkgroup: "lux-3", host: "10.0.1.1" },
    Place { code: "de", talkgroup: "aachen-1", host: "10.0.2.1" },
    Place { code: "lu", talkgroup: "esch-2", host: "10.0.3.1" },
    Place { code: "fr", talkgroup: "lille-4", host: "10.0.4.1" },
];

/// A country by its code.
pub(crate) fn place(code: &str) -> Place {
    PLACES.into_iter().find(|place| place.code == code).expect("a country of the tests")
}

/// A country's talkgroup.
pub(crate) fn talkgroup_of(code: &str) -> String {
    format!("{code}/{}", place(code).talkgroup)
}

/// The gateway's address of an authority in the simulated network.
pub(crate) fn host_of(authority: &str) -> &'static str {
    place(authority).host
}

/// One side's words of a bridge.
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
    /// Authorities that the home may pass this on to.
    pub(crate) onward: Vec<String>,
    /// More keys, e.g. `valid = ...`.
    pub(crate) more: String,
}

impl Bridging {
    /// The usual words between two countries.
    pub(crate) fn between(home: &str, partner: &str) -> Self {
        Self {
            agreement: format!("EMR-{home}-{partner}"),
            home: talkgroup_of(home),
            partner: talkgroup_of(partner),
            inbound: "{ talk = true, emergency = true, ceiling = { tier = \"emergency\", level = 64, dispatcher = false } }".into(),
            outbound: "{ talk = true, emergency = true }".into(),
            onward: Vec::new(),
            more: String::new(),
        }
    }

    /// The same words about another talkgroup, which has one name on both sides.
    fn of(&self, name: &str) -> Self {
        let [home, partner] = [&self.home, &self.partner].map(|talkgroup| talkgroup.split('/').next().unwrap_or_default());
        let agreement = format!("{}-{name}", self.agreement);
        Self { agreement, home: format!("{home}/{name}"), partner: format!("{partner}/{name}"), ..self.clone() }
    }

    fn text(&self) -> String {
        let Self { agreement, home, partner, inbound, outbound, onward, more } = self;
        format!(
            "[[bridge]]\nagreement = \"{agreement}\"\nhome = \"{home}\"\npartner = \"{partner}\"\ninbound = {inbound}\noutbound = {outbound}\nonward = {onward:?}\n{more}\n"
        )
    }
}

/// Another authority's gateway, as this side's file names it.
#[derive(Clone, Debug)]
pub(crate) struct PeerToml {
    /// Its authority.
    pub(crate) authority: String,
    /// Its address, if this side knows one.
    pub(crate) address: Option<String>,
    /// The bridge with it, if this side configures one.
    pub(crate) bridge: Option<Bridging>,
    /// What the link carries.
    pub(crate) rate_kbps: u32,
}

/// A gateway's configuration file.
#[derive(Clone, Debug)]
pub(crate) struct GatewayToml {
    /// Own authority.
    pub(crate) authority: String,
    /// Who may talk in its talkgroup.
    pub(crate) talk: String,
    /// Who may raise an emergency there; `None`: whoever may talk.
    pub(crate) emergency: Option<String>,
    /// Its timers, as TOML.
    pub(crate) timers: String,
    /// The other authorities.
    pub(crate) peers: Vec<PeerToml>,
    /// Whether it has a port for peers.
    pub(crate) peer_port: bool,
    /// Names of further talkgroups, each bridged with every peer like the first.
    pub(crate) further: Vec<String>,
    /// More top-level keys.
    pub(crate) more: String,
}

impl GatewayToml {
    /// The usual configuration of a country in a star around `home`, among these countries. The home knows the addresses.
    pub(crate) fn usual(authority: &str, home: &str, all: &[&str]) -> Self {
        let usual = |partner: &str| Bridging::between(home, partner);
        let peers = if authority == home {
            let partners = all.iter().filter(|code| **code != home);
            let address = |code: &str| Some(format!("{}:7101", host_of(code)));
            partners
                .map(|code| PeerToml { authority: (*code).into(), address: address(code), bridge: Some(usual(code)), rate_kbps: 512 })
                .collect()
        } else {
            vec![PeerToml { authority: home.into(), address: None, bridge: Some(usual(authority)), rate_kbps: 512 }]
        };
        Self {
            authority: authority.into(),
            talk: format!("[\"{authority}/*/*\"]"),
            emergency: None,
            timers: String::new(),
            peers,
            peer_port: true,
            further: Vec::new(),
            more: String::new(),
        }
    }

    /// The words of its only bridge, or of the first.
    pub(crate) fn bridge(&mut self) -> &mut Option<Bridging> {
        &mut self.peers[0].bridge
    }

    /// What it says of a peer.
    pub(crate) fn peer(&mut self, authority: &str) -> &mut PeerToml {
        self.peers.iter_mut().find(|peer| peer.authority == authority).expect("a peer of this gateway")
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let Self { authority, talk, emergency, timers, peers, peer_port, further, more } = self;
        let emergency = emergency.as_ref().unwrap_or(talk);
        let Place { talkgroup, host, .. } = place(authority);
        let port = if *peer_port { format!("peers = [\"{host}:7101\"]") } else { String::new() };
        let is_first = |name: &&str| *name == talkgroup;
        let names: Vec<&str> = std::iter::once(talkgroup).chain(further.iter().map(String::as_str)).collect();
        let mut text = format!(
            r#"
authority = "{authority}"
name = "gw-1"
state = "var"
{more}
[listen]
units = ["{host}:7001"]
{port}
[identity]
certificate = "gw.pem"
key = "gw.key"
[[trust]]
authority = "{authority}"
root = "root.pem"
for = ["units"]
"#
        );
        for name in &names {
            let _ = write!(
                text,
                r#"[[talkgroup]]
name = "{name}"
title = "Test"
agency = "police"
join = ["{authority}/*/*"]
talk = {talk}
emergency = {emergency}
peril = {talk}
level_max = 64
{timers}
"#
            );
        }
        for PeerToml { authority, address, bridge, rate_kbps } in peers {
            let _ = write!(text, "[[trust]]\nauthority = \"{authority}\"\nroot = \"{authority}.pem\"\nfor = [\"peers\"]\n");
            let _ = write!(text, "[[peer]]\nauthority = \"{authority}\"\nname = \"gw-1\"\nrate_kbps = {rate_kbps}\n");
            if let Some(address) = address {
                let _ = writeln!(text, "address = \"{address}\"");
            }
            let bridges =
                bridge.iter().flat_map(|bridge| names.iter().map(|name| if is_first(name) { bridge.clone() } else { bridge.of(name) }));
            bridges.for_each(|bridge| text += &bridge.text());
        }
        text
    }
}
