"""Two countries on the wires: nl, the home, and be, with units that talk, wait and listen, each a process in its own namespace.

Gateways are started, killed, frozen and asked here; what units do is written by `demo.d/runs.py`. Every process is ended by
its own id. Standard library only.
"""

import asyncio
import ctypes
import json
import os
import random
import shutil
import signal
import sys
import time
import wave
from array import array
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "demo.d"))
from cast import POLICE, Member  # noqa: E402
from runs import Event, Run  # noqa: E402
from stage import StageError, now_ms  # noqa: E402
from wires import Leg, Space, Wires  # noqa: E402

COUNTRIES = ("nl", "be")
HOME, DIALS = "nl", "be"
"""The lower identity dials: where both have an address the higher one waits."""
TALKS, WAITS, LISTENS = {"nl": "maas-1", "be": "lux-1"}, {"nl": "maas-2", "be": "lux-2"}, {"nl": "mk-1", "be": "cic-1"}
"""For each country the unit that does so, if only one does."""
UNITS = {"nl": (*(f"maas-{number}" for number in range(1, 7)), "mk-1"), "be": ("lux-1", "lux-2", "cic-1")}
"""Everybody."""
READY_S = 10.0
COMMAND_S = 20.0
POLL_S = 0.05
RELAY_PORT = 7_999
RATE = 16_000
SPEECH_S, WORD_S = 25.0, 0.4


def other(country: str) -> str:
    """The other country."""
    return "be" if country == "nl" else "nl"


def die_with_parent() -> None:
    """In the new process: has Linux kill it when this program dies, and leaves Ctrl-C to us. SIGKILL, for it may be frozen."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    os.setpgid(0, 0)


def write_noise(path: Path, length_s: float) -> None:
    """A voice that never pauses, so that every frame is long and a gap in them is a gap: noise."""
    samples = array("h", random.Random(1).randbytes(2 * round(length_s * RATE)))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


class Office:
    """Certificates and voice, made once for all lands of a run."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        """Writes into `folder`."""
        self.folder, self.binaries = folder, binaries
        self.speech, self.word = folder / "speech.wav", folder / "word.wav"

    async def open(self) -> None:
        """Makes everything."""
        await asyncio.gather(*(self._country(country) for country in COUNTRIES))
        for path, length_s in ((self.speech, SPEECH_S), (self.word, WORD_S)):
            write_noise(path, length_s)

    async def _country(self, country: str) -> None:
        folder = self.folder / "pki" / country
        await self._pki("authority", "--name", country, "--out", folder)
        issue = ("issue", "--authority", folder, "--out", folder, "--agency", POLICE, "--kind")
        await self._pki(*issue, "gateway", "--name", "gw-1")
        for name in UNITS[country]:
            await self._pki(*issue, "unit", "--name", name, "--alias", name)

    async def _pki(self, *arguments: str | Path) -> None:
        command = (self.binaries / "talkbridge", "pki", *arguments)
        process = await asyncio.create_subprocess_exec(*map(str, command), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
        said, _ = await process.communicate()
        if process.returncode != 0:
            raise StageError(f"{' '.join(map(str, command))}: {said.decode().strip()}")


@dataclass
class Seat:
    """Where a unit sits: what `Run` needs of the demo's stage."""

    land: "Land"
    space: Space

    @property
    def folder(self) -> Path:
        """Configurations lie below."""
        return self.land.folder

    @property
    def binaries(self) -> Path:
        """The programs."""
        return self.land.office.binaries

    async def start(self, program: str | Path, *arguments: str | Path, **options: Any) -> Process:
        """Starts a program here."""
        return await self.land.start(self.space, program, *arguments, **options)


class Land:
    """Two gateways, seats for units, and an ear in each country."""

    def __init__(self, wires: Wires, office: Office, name: str, talkgroups: int = 1, relay: bool = False, rate_kbps: int = 512) -> None:
        """A land of that name on the wires; `relay` puts one into the border link."""
        self.wires, self.office, self.name = wires, office, name
        self.folder = office.folder / name
        self.talkgroups, self.rate_kbps = talkgroups, rate_kbps
        self.spaces = {country: wires.gateway(f"{name}-{country}") for country in COUNTRIES}
        self.ears: dict[str, Run] = {}
        self._seats: dict[str, Space] = {}
        self.gateways: dict[str, Process] = {}
        self.runs: list[Run] = []
        self.with_relay = relay
        self._processes: set[Process] = set()
        self._tapped: dict[Path, Process] = {}
        self._configure()

    # === Files ===

    def _configure(self) -> None:
        for folder in (self.folder / "logs", *(self.folder / country / "units" for country in COUNTRIES)):
            folder.mkdir(parents=True)
        for country in COUNTRIES:
            (self.folder / country / "gateway.toml").write_text(self._gateway_toml(country))
            for name in UNITS[country]:
                (self.folder / country / "units" / f"{name}.toml").write_text(self._unit_toml(country, name))

    def _gateway_toml(self, country: str) -> str:
        far = other(country)
        legs = self.spaces[country].legs
        there = self.spaces[far].legs["eth1"]
        # With a relay the router is dialled, where that listens.
        dialled = f"{legs['eth1'].router}:{RELAY_PORT}" if self.with_relay else f"{there.address}:7101"
        address = f'address = "{dialled}"' if country == DIALS else "# no address: the other side dials"
        trust = "\n".join(
            f'[[trust]]\nauthority = "{who}"\nroot = "{self._pki(who, "root.pem")}"\n'
            f'revoked = "{self._pki(who, "revoked.pem")}"\nfor = ["{what}"]'
            for who, what in ((country, "units"), (far, "peers"))
        )
        return f"""# Written by tools/netns.
authority = "{country}"
name = "gw-1"
state = "var"
[listen]
units = ["{legs["eth0"].address}:7001"]
peers = ["{legs["eth1"].address}:7101"]
console = "127.0.0.1:7201"
[identity]
certificate = "{self._pki(country, "gw-1.pem")}"
key = "{self._pki(country, "gw-1.key")}"
{trust}
[[peer]]
authority = "{far}"
name = "gw-1"
{address}
rate_kbps = {self.rate_kbps}
{"".join(self._talkgroup_toml(country, number) for number in range(1, self.talkgroups + 1))}"""

    @staticmethod
    def _talkgroup_toml(country: str, number: int) -> str:
        return f"""[[talkgroup]]
name = "tg-{number}"
title = "Talkgroup {number}"
agency = "{POLICE}"
join = ["{country}/*/*"]
talk = ["{country}/*/*"]
emergency = ["{country}/*/*"]
[[bridge]]
agreement = "EMR-{number}"
home = "nl/tg-{number}"
partner = "be/tg-{number}"
inbound = {{ talk = true, emergency = true, ceiling = {{ tier = "emergency", level = 64, dispatcher = false }} }}
outbound = {{ talk = true, emergency = true }}
"""

    def _unit_toml(self, country: str, name: str) -> str:
        return f"""# Written by tools/netns.
identity = {{ certificate = "{self._pki(country, name)}.pem", key = "{self._pki(country, name)}.key" }}
roots = {{ {country} = "{self._pki(country, "root.pem")}" }}
gateways = ["{self.spaces[country].legs["eth0"].address}:7001"]
talkgroups = ["{country}/tg-1"]
"""

    def _pki(self, country: str, name: str) -> Path:
        return self.office.folder / "pki" / country / name

    # === Processes ===

    async def start(self, space: Space, program: str | Path, *arguments: str | Path, **options: Any) -> Process:
        """Starts a program in a namespace; it ends with this one at the latest."""
        options = {"stdin": DEVNULL, "preexec_fn": die_with_parent, **options}
        process = await asyncio.create_subprocess_exec(*space.inside(str(program), *map(str, arguments)), **options)
        self._processes.add(process)
        return process

    async def open(self) -> None:
        """Starts both gateways, the relay if there is one, and the ears; returns once the bridges carry."""
        if self.with_relay:
            await self._relay()
        # Who waits first, then who dials: no first attempt in vain.
        for country in (other(DIALS), DIALS):
            await self.start_gateway(country)
            await self.until(country, lambda _: True, "the gateway")
        await self.bridged()
        self.ears = {country: await self.listen(name) for country, name in LISTENS.items()}

    async def start_gateway(self, country: str) -> float:
        """Starts a gateway, does not wait for it; returns the moment."""
        config = self.folder / country / "gateway.toml"
        environment = {"TALKBRIDGE_LOG": "info", **os.environ}
        at_ms = now_ms()
        with (self.folder / "logs" / f"gateway-{country}.log").open("ab") as log:
            program = self.office.binaries / "talkbridge"
            process = await self.start(self.spaces[country], program, "run", "--config", config, stdout=log, stderr=log, env=environment)
        self.gateways[country] = process
        return at_ms

    async def _relay(self) -> None:
        control = self.folder / "relay.ctl"
        if not control.exists():
            os.mkfifo(control)
        near, far = self.spaces[DIALS].legs["eth1"], self.spaces[other(DIALS)].legs["eth1"]
        ends = ("--listen", f"{near.router}:{RELAY_PORT}", "--to", f"{far.address}:7101", "--control", control)
        with (self.folder / "logs" / "relay.jsonl").open("wb") as log:
            relay = HERE.parent / "demo.d" / "relay.py"
            await self.start(self.wires.router, sys.executable, relay, *ends, stdout=log, stderr=log)
        end = now_ms() + READY_S * 1_000
        while "ready" not in (self.folder / "logs" / "relay.jsonl").read_text():
            if now_ms() > end:
                raise StageError("the relay does not start")
            await asyncio.sleep(POLL_S)

    def relay(self, *commands: str) -> None:
        """Tells the relay what the link is like from now on."""
        fifo = os.open(self.folder / "relay.ctl", os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fifo, "".join(f"{command}\n" for command in commands).encode())
        finally:
            os.close(fifo)

    def signal(self, process: Process | Run, number: signal.Signals) -> float:
        """Sends a signal to a gateway or unit; returns the moment."""
        pid = process.pid
        at_ms = now_ms()
        os.kill(pid, number)
        return at_ms

    async def status(self, country: str) -> dict[str, Any] | None:
        """What a gateway says about itself; None if it says nothing."""
        config = self.folder / country / "gateway.toml"
        program = self.office.binaries / "talkbridge"
        process = await self.start(self.spaces[country], program, "status", "--json", "--config", config, stdout=PIPE, stderr=DEVNULL)
        said, _ = await asyncio.wait_for(process.communicate(), COMMAND_S)
        self._processes.discard(process)
        try:
            return json.loads(said) if process.returncode == 0 else None
        except ValueError:
            return None

    async def until(self, country: str, holds: Callable[[dict[str, Any]], bool], what: str, within_s: float = READY_S) -> float:
        """Waits until a gateway says so; returns the moment."""
        end = time.monotonic() + within_s
        while True:
            status = await self.status(country)
            at_ms = now_ms()
            if status is not None and holds(status):
                return at_ms
            if time.monotonic() > end:
                raise StageError(f"{what} of {country}: not within {within_s:.0f} s; it says {json.dumps(status)[:400]}")
            await asyncio.sleep(POLL_S)

    async def bridged(self, countries: Iterable[str] = COUNTRIES, within_s: float = READY_S) -> None:
        """Waits until every bridge carries."""
        for country in countries:
            await self.until(country, _all_active, "bridges", within_s)

    # === Wires ===

    def legs(self) -> list[Leg]:
        """Every wire of this land."""
        return [leg for space in (*self.spaces.values(), *self._seats.values()) for leg in space.legs.values()]

    def borders(self) -> list[Leg]:
        """The wire of each gateway to the border."""
        return [space.legs["eth1"] for space in self.spaces.values()]

    # === Units ===

    def seat(self, name: str) -> Space:
        """The namespace of a unit; made when it is needed."""
        if name not in self._seats:
            self._seats[name] = self.wires.unit(f"{self.name}-{name}")
        return self._seats[name]

    async def listen(self, name: str, *options: str, group: int = 1) -> Run:
        """A unit that listens until it is stopped; returns once it has joined."""
        run = self._run(name, "listen", group)
        await run.start(Seat(self, self.seat(name)), _quiet, *options)
        await run.joined()
        return run

    async def talk(self, name: str, *options: str | Path, wav: Path | None = None, group: int = 1) -> Run:
        """A unit that presses and speaks; returns at once."""
        run = self._run(name, "talk", group, wav or self.office.speech)
        await run.start(Seat(self, self.seat(name)), _quiet, "--press-at", "100", *options)
        return run

    def _run(self, name: str, kind: str, group: int, wav: Path | None = None) -> Run:
        country = next(country for country, units in UNITS.items() if name in units)
        label = f"{len(self.runs):04}-{name}"
        member = Member(country, "unit", name, POLICE, name)
        run = Run(label, member, kind, f"{country}/tg-{group}", self.folder / "logs" / f"{label}.jsonl", wav)
        self.runs.append(run)
        return run

    # === Wiretaps ===

    async def tap(self, name: str) -> Path:
        """Notes what passes between the router and a unit; returns where."""
        path = self.folder / "logs" / f"tap-{len(self._tapped)}-{name}.txt"
        port = self.seat(name).legs["eth0"].port
        process = await self.start(self.wires.router, sys.executable, HERE / "wiretap.py", port, path, stdout=DEVNULL)
        self._tapped[path] = process
        while not path.exists():
            await asyncio.sleep(0.01)
        return path

    # === End ===

    async def close(self) -> None:
        """Kills everything that runs here, frozen or not."""
        for process in self._processes:
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*(process.wait() for process in self._processes))
        self._processes.clear()
        self.gateways.clear()

    async def anew(self) -> None:
        """Everything ends, the network is whole, the gateways forget what they kept."""
        await self.close()
        legs = self.legs()
        self.wires.heal(legs)
        self.wires.unhide(legs)
        self.wires.unlimit(self.borders())
        for country in COUNTRIES:
            shutil.rmtree(self.folder / country / "var", ignore_errors=True)


def _all_active(status: dict[str, Any]) -> bool:
    bridges = status["bridges"]
    return len(bridges) > 0 and all(bridge["state"] == "active" for bridge in bridges)


def _quiet(_run: Run, _event: Event) -> None:
    """The timeline of the demo is not told here."""
