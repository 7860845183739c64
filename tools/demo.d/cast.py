"""Who takes part in the demo, and the configuration files that make it so.

Three authorities of the Meuse-Rhine region: a police talkgroup whose home is `nl`, with `be` and `de` as partners that agreed to
be passed on to each other, and a fire talkgroup between `be`, its home, and `nl`. The TOML is written straight from the command
line and configuration contract. Standard library only.
"""

from dataclasses import dataclass

POLICE, FIRE = "police", "fire"


@dataclass(frozen=True)
class Member:
    """A unit or control room that takes part."""

    authority: str
    kind: str
    """`unit` or `dispatcher`."""
    name: str
    agency: str
    alias: str

    @property
    def identity(self) -> str:
        """`AUTHORITY/KIND/NAME`."""
        return f"{self.authority}/{self.kind}/{self.name}"

    @property
    def talkgroup(self) -> str:
        """The talkgroup of its country and agency."""
        return f"{self.authority}/{TALKGROUPS[self.authority][self.agency]}"

    @property
    def shown(self) -> str:
        """How the timeline shows it."""
        return f"{self.identity} ({self.agency}, {self.alias})"


TALKGROUPS = {
    "nl": {POLICE: "pol-1", FIRE: "fire-2"},
    "be": {POLICE: "lux-3", FIRE: "fire-1"},
    "de": {POLICE: "aachen-1"},
}
"""For each country the talkgroup of each agency that takes part."""

BRIDGES = {
    "EMR-POL-2026": (POLICE, "nl", "be"),
    "EMR-POL-DE-2026": (POLICE, "nl", "de"),
    "EMR-FIRE-2026": (FIRE, "be", "nl"),
}
"""For each agreement the agency, the home and the partner."""

HOMES = {agency: home for agency, home, _ in BRIDGES.values()}
"""Who arbitrates the bridged talkgroup of each agency: one home, however many partners."""

CENTRE = "nl"
"""The country that has a link with each of the others; those have none with each other."""

CAST = {
    member.name: member
    for member in (
        Member("nl", "unit", "maas-12", POLICE, "Maas 12"),
        Member("nl", "unit", "maas-13", POLICE, "Maas 13"),
        Member("nl", "unit", "brand-4", FIRE, "Brandweer 4"),
        Member("nl", "dispatcher", "mk-1", POLICE, "Meldkamer"),
        Member("be", "unit", "lux-1", POLICE, "Lux 1"),
        Member("be", "unit", "lux-2", POLICE, "Lux 2"),
        Member("be", "unit", "feu-7", FIRE, "Pompiers 7"),
        Member("be", "dispatcher", "cic-1", POLICE, "CIC Liege"),
        Member("de", "unit", "aachen-5", POLICE, "Aachen 5"),
        Member("de", "unit", "aachen-6", POLICE, "Aachen 6"),
        Member("de", "dispatcher", "ls-1", POLICE, "Leitstelle"),
    )
}
"""Everybody, by name. The control rooms listen through the whole scene; units come and go."""

TITLES = {POLICE: "Police Meuse-Rhine", FIRE: "Fire Meuse-Rhine"}


@dataclass(frozen=True)
class Ports:
    """Loopback ports of one gateway."""

    units: int
    peers: int
    console: int


def gateway_toml(authority: str, ports: Ports, peers: dict[str, int | None]) -> str:
    """Configuration of a gateway; a peer without a port is waited for."""
    parts = [
        f"""# Written by tools/demo.
authority = "{authority}"
name = "gw-1"
state = "var"

[listen]
units = ["127.0.0.1:{ports.units}"]
peers = ["127.0.0.1:{ports.peers}"]
console = "127.0.0.1:{ports.console}"

[identity]
certificate = "pki/gw-1.pem"
key = "pki/gw-1.key"

[[trust]]
authority = "{authority}"
root = "pki/root.pem"
revoked = "pki/revoked.pem"
for = ["units"]
"""
    ]
    parts += [_peer_toml(far, port) for far, port in peers.items()]
    parts += [_talkgroup_toml(authority, name, agency) for agency, name in TALKGROUPS[authority].items()]
    parts += [_bridge_toml(agreement) for agreement, (_, *sides) in BRIDGES.items() if authority in sides]
    return "\n".join(parts)


def _peer_toml(far: str, port: int | None) -> str:
    address = f'address = "127.0.0.1:{port}"' if port else "# no address: the other side dials"
    return f"""[[trust]]
authority = "{far}"
root = "../{far}/pki/root.pem"
revoked = "../{far}/pki/revoked.pem"
for = ["peers"]

[[peer]]
authority = "{far}"
name = "gw-1"
{address}
rate_kbps = 512
"""


def _talkgroup_toml(authority: str, name: str, agency: str) -> str:
    everybody = f'["{authority}/*/*"]'
    return f"""[[talkgroup]]
name = "{name}"
title = "{TITLES[agency]}"
agency = "{agency}"
join = {everybody}
talk = {everybody}
emergency = {everybody}
"""


def _bridge_toml(agreement: str) -> str:
    agency, home, partner = BRIDGES[agreement]
    # The home passes on between its partners; both sides of each bridge must say so.
    onward = sorted(other for about, one, other in BRIDGES.values() if (about, one) == (agency, home) and other != partner)
    return f"""[[bridge]]
agreement = "{agreement}"
home = "{home}/{TALKGROUPS[home][agency]}"
partner = "{partner}/{TALKGROUPS[partner][agency]}"
inbound = {{ talk = true, short_data = true, emergency = true, ceiling = {{ tier = "emergency", level = 64, dispatcher = false }} }}
outbound = {{ talk = true, short_data = true, emergency = true }}
onward = [{", ".join(f'"{other}"' for other in onward)}]
"""


def unit_toml(member: Member, ports: Ports) -> str:
    """Configuration of a unit or control room, beside its certificate."""
    return f"""# Written by tools/demo.
identity = {{ certificate = "{member.name}.pem", key = "{member.name}.key" }}
roots = {{ {member.authority} = "../pki/root.pem" }}
gateways = ["127.0.0.1:{ports.units}"]
talkgroups = ["{member.talkgroup}"]
"""
