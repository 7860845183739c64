"""Who takes part in the demo, and the configuration files that make it so.

Two authorities of the Meuse-Rhine region with two agreements: a police talkgroup whose home is `nl` and a fire talkgroup whose
home is `be`. The TOML is written straight from the command line and configuration contract. Standard library only.
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


TALKGROUPS = {"nl": {POLICE: "pol-1", FIRE: "fire-2"}, "be": {POLICE: "lux-3", FIRE: "fire-1"}}
"""For each country the talkgroup of each agency."""

BRIDGES = {"EMR-POL-2026": (POLICE, "nl", "be"), "EMR-FIRE-2026": (FIRE, "be", "nl")}
"""For each agreement the agency, the home and the partner: each country is home once."""

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


def gateway_toml(authority: str, ports: Ports, far: str, far_port: int | None) -> str:
    """Configuration of a gateway; without `far_port` it waits to be dialled."""
    address = f'address = "127.0.0.1:{far_port}"' if far_port else "# no address: the other side dials"
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

[[trust]]
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
    ]
    parts += [_talkgroup_toml(authority, name, agency) for agency, name in TALKGROUPS[authority].items()]
    parts += [_bridge_toml(agreement) for agreement in BRIDGES]
    return "\n".join(parts)


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
    return f"""[[bridge]]
agreement = "{agreement}"
home = "{home}/{TALKGROUPS[home][agency]}"
partner = "{partner}/{TALKGROUPS[partner][agency]}"
inbound = {{ talk = true, short_data = true, emergency = true, ceiling = {{ tier = "emergency", level = 64, dispatcher = false }} }}
outbound = {{ talk = true, short_data = true, emergency = true }}
"""


def unit_toml(member: Member, ports: Ports) -> str:
    """Configuration of a unit or control room, beside its certificate."""
    return f"""# Written by tools/demo.
identity = {{ certificate = "{member.name}.pem", key = "{member.name}.key" }}
roots = {{ {member.authority} = "../pki/root.pem" }}
gateways = ["127.0.0.1:{ports.units}"]
talkgroups = ["{member.talkgroup}"]
"""
