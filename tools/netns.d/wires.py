"""The network: a namespace with a wire for every process, and a router between them that can cut, lose, slow and rebind.

    gateway  eth0 10.77.N.2 --- 10.77.N.1 \\                        `eth0` carries units, `eth1` the border; every wire ends
             eth1 10.78.M.2 --- 10.78.M.1 -- router -- 10.77.K.1   in the router's namespace, so what happens to packets is
    unit     eth0 10.77.K.2 --------------- /                      decided in one place

Cuts, one-way drops and random loss are rules of nftables at the router, on packets that come in from a wire; the rate of a
border is a token bucket (`tc tbf`); a unit behind NAT gets a new port when its mapping is flushed (`conntrack`). Delay, jitter
and reordering, which not every kernel offers, are made by the relay of the demo. Needs root. Standard library only.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field

PREFIX = "talkbridge"
TOOLS = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables", "conntrack": "conntrack"}
"""Each program and the package that has it."""
UNITS_NET, BORDER_NET = "10.77", "10.78"
PORTS = ("40000-40999", "50000-50999")
"""Ports that a unit behind NAT is seen from, by turns."""

TABLES = (
    "add table inet faults; add chain inet faults in { type filter hook prerouting priority raw; }; "
    "add table ip nat; add chain ip nat out { type nat hook postrouting priority srcnat; }"
)


class WiresError(Exception):
    """The network cannot be made; the message is for the user."""


def run(*arguments: str) -> str:
    """Runs a command to its end; its output, or an error with what it said."""
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WiresError(f"{' '.join(arguments)}: {error}") from None
    if done.returncode != 0:
        raise WiresError(f"{' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def inside(name: str, *command: str) -> tuple[str, ...]:
    """The command that runs a command in a namespace; the process is the same, so signals arrive. Not by `ip netns exec` or `ip -n`,
    which change mounts and so fail where the root folder is no mount point, as in a chroot."""
    return ("nsenter", f"--net=/run/netns/{name}", "--", *command)


def why_not() -> str | None:
    """Why this machine cannot do it, in words that say what to do; None if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root; run: sudo tools/netns"
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        return f"missing: {' '.join(missing)}; run: tools/setup netns"
    probe = f"{PREFIX}-{os.getpid()}-probe"
    try:
        run("ip", "netns", "add", probe)
        try:
            run(*inside(probe, "nft", TABLES))
        finally:
            run("ip", "netns", "del", probe)
    except WiresError as error:
        return f"root may not make network namespaces and filters here: {error}; run it on a host or in a privileged container"
    return None


def sweep() -> int:
    """Removes what runs left behind that were killed; those of runs that live are left alone. How many there were."""
    gone = 0
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0] if line.split() else ""
        prefix, _, rest = name.partition("-")
        owner = rest.partition("-")[0]
        if prefix == PREFIX and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            run("ip", "netns", "del", name)
            gone += 1
    return gone


@dataclass(frozen=True)
class Leg:
    """A wire between a namespace and the router."""

    space: str
    device: str
    """Its end in the namespace."""
    port: str
    """Its end at the router."""
    address: str
    """IP address of its end in the namespace."""
    router: str
    """IP address of its end at the router."""


@dataclass
class Space:
    """A namespace with its wires."""

    name: str
    legs: dict[str, Leg] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where units reach it, and it is a unit."""
        return self.legs["eth0"].address

    def inside(self, *command: str) -> tuple[str, ...]:
        """The command that runs a command in it."""
        return inside(self.name, *command)


class Wires:
    """All namespaces of a run."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self.prefix = f"{PREFIX}-{os.getpid()}"
        self.router = Space(f"{self.prefix}-router")
        self.spaces: list[str] = []
        self._legs = 0
        self._faults: dict[Leg, str] = {}
        self._hidden: dict[Leg, int] = {}
        """For each unit behind NAT which ports it is seen from."""

    # === Making and removing ===

    def open(self) -> None:
        """Makes the router."""
        self._add(self.router.name)
        run(*self.router.inside("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"))
        self._nft(TABLES)

    def close(self) -> None:
        """Removes every namespace; wires and rules go with them. Whoever still runs inside has ended before."""
        while self.spaces:
            with contextlib.suppress(WiresError):
                run("ip", "netns", "del", self.spaces.pop())

    def gateway(self, name: str) -> Space:
        """A namespace with a wire for units and one to the border."""
        space = self.unit(name)
        border = self._wire(space, "eth1", BORDER_NET)
        run(*inside(space.name, "ip", "route", "add", f"{BORDER_NET}.0.0/16", "via", border.router))
        return space

    def unit(self, name: str) -> Space:
        """A namespace with one wire."""
        space = Space(f"{self.prefix}-{name}")
        self._add(space.name)
        leg = self._wire(space, "eth0", UNITS_NET)
        run(*inside(space.name, "ip", "route", "add", "default", "via", leg.router))
        return space

    def _add(self, name: str) -> None:
        run("ip", "netns", "add", name)
        self.spaces.append(name)
        run(*inside(name, "ip", "link", "set", "lo", "up"))

    def _wire(self, space: Space, device: str, net: str) -> Leg:
        self._legs += 1
        subnet = f"{net}.{self._legs}"
        leg = Leg(space.name, device, f"w{self._legs}", f"{subnet}.2", f"{subnet}.1")
        there = ("peer", "name", device, "netns", space.name)
        run("ip", "link", "add", leg.port, "netns", self.router.name, "type", "veth", *there)
        for where, end, address in ((space.name, device, leg.address), (self.router.name, leg.port, leg.router)):
            run(*inside(where, "ip", "address", "add", f"{address}/24", "dev", end))
            run(*inside(where, "ip", "link", "set", end, "up"))
        space.legs[device] = leg
        return leg

    # === Faults ===

    def drop(self, legs: Iterable[Leg]) -> None:
        """Nothing that comes in from these wires gets any further, until they heal."""
        self._fault({leg: "drop" for leg in legs})

    def lose(self, legs: Iterable[Leg], part: float) -> None:
        """Loses a part of what comes in from these wires, packet by packet at random, until they heal."""
        self._fault({leg: f"numgen random mod 1000 < {round(part * 1_000)} drop" for leg in legs})

    def heal(self, legs: Iterable[Leg]) -> None:
        """Nothing that comes in from these wires is dropped or lost any more."""
        self._fault(dict.fromkeys(legs))

    def _fault(self, rules: dict[Leg, str | None]) -> None:
        self._faults = {leg: rule for leg, rule in (self._faults | rules).items() if rule}
        # One transaction: no packet passes between the old rules and the new.
        lines = [f"add rule inet faults in iifname {leg.port} {rule}" for leg, rule in self._faults.items()]
        self._nft("; ".join(["flush chain inet faults in", *lines]))

    def limit(self, legs: Iterable[Leg], kbps: int) -> None:
        """Both directions of these wires carry so much; what does not pass within 200 ms is lost, as in a small modem."""
        bucket = ("root", "tbf", "rate", f"{kbps}kbit", "burst", "3kb", "latency", "200ms")
        for leg in legs:
            for where, device in ((leg.space, leg.device), (self.router.name, leg.port)):
                run(*inside(where, "tc", "qdisc", "replace", "dev", device, *bucket))

    def unlimit(self, legs: Iterable[Leg]) -> None:
        """Takes the limit away, if there is one."""
        for leg in legs:
            for where, device in ((leg.space, leg.device), (self.router.name, leg.port)):
                with contextlib.suppress(WiresError):
                    run(*inside(where, "tc", "qdisc", "del", "dev", device, "root"))

    def hide(self, leg: Leg) -> None:
        """Puts a unit behind NAT, or gives one behind NAT other ports for mappings to come."""
        self._hidden[leg] = (self._hidden.get(leg, -1) + 1) % len(PORTS)
        self._nat()

    def rebind(self, leg: Leg) -> None:
        """Flushes the mapping of a unit behind NAT: its next packet comes from another port."""
        self.hide(leg)
        run(*self.router.inside("conntrack", "-D", "-p", "udp", "-s", leg.address))

    def seen_from(self, leg: Leg) -> int | None:
        """The port that a unit behind NAT is seen from now."""
        return mapped_port(run(*self.router.inside("conntrack", "-L", "-p", "udp", "-s", leg.address)))

    def unhide(self, legs: Iterable[Leg]) -> None:
        """These units are not behind NAT any more."""
        for leg in legs:
            self._hidden.pop(leg, None)
        self._nat()

    def _nat(self) -> None:
        rules = [f"ip saddr {leg.address} udp dport 7001 masquerade to :{PORTS[at]}" for leg, at in self._hidden.items()]
        self._nft("; ".join(["flush chain ip nat out", *(f"add rule ip nat out {rule}" for rule in rules)]))

    def _nft(self, commands: str) -> None:
        run(*self.router.inside("nft", commands))


def mapped_port(listed: str) -> int | None:
    """The port outside of the first mapping that conntrack lists."""
    for line in listed.splitlines():
        # The second dport is the one that answers come to.
        ports = [word.partition("=")[2] for word in line.split() if word.startswith("dport=")]
        if len(ports) == 2:
            return int(ports[1])
    return None
