"""The relays under load: how each is configured and started on loopback, in a folder of its own, bound to a core.

Ours, two that others run, and the limit. Each is a process that is ended by its own id. Standard library only.
"""

import argparse
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from load import LoadError, Place, end, on_core
from stage import free_ports

READY_S = 20.0
POLL_S = 0.02


@dataclass(frozen=True)
class Running:
    """A relay that listens."""

    pid: int
    core: int
    address: str


@dataclass(frozen=True)
class Scene:
    """Who is there: talkgroups with a talker each, and so many listeners in each."""

    groups: int
    listeners: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.listeners} listeners" if self.groups == 1 else f"{self.groups} talkgroups of {self.listeners}"

    @property
    def terminals(self) -> int:
        """Everybody."""
        return self.groups * (self.listeners + 1)


class Relay:
    """A kind of relay. Subclasses say how it is started and what it cannot do."""

    name = ""
    GROUPS_MAX, LISTENERS_MAX = 1_000, 100_000
    """Talkgroups, and listeners in each, that it takes."""

    def __init__(self, program: Path, core: int, pki: Path | None = None) -> None:
        """By its program, for that core."""
        self.program, self.core, self.pki = program, core, pki

    def can(self, scene: Scene) -> bool:
        """Whether it takes so many."""
        return scene.groups <= self.GROUPS_MAX and scene.listeners <= self.LISTENERS_MAX

    def place(self, running: Running, scene: Scene) -> Place:
        """Where the load joins."""
        return Place(self.name, running.address, scene.groups, scene.listeners, self.pki)

    def command(self, folder: Path, port: int, scene: Scene) -> list[str | Path]:
        """Writes its files and says how to start it."""
        raise NotImplementedError

    @contextmanager
    def start(self, folder: Path, scene: Scene) -> Iterator[Running]:
        """A process of it, until the block ends."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        port = next(free_ports())
        command = self.command(folder, port, scene)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=on_core(self.core))
        try:
            wait_for(lambda: listens(port), process, f"{self.name} on port {port}; see {folder}/log")
            yield Running(process.pid, self.core, f"127.0.0.1:{port}")
            if process.poll() is not None:
                raise LoadError(f"{self.name} ended by itself with {process.returncode}; see {folder}/log")
        finally:
            end(process)


def wait_for(holds: object, process: subprocess.Popen[bytes], what: str) -> None:
    """Waits until it holds or the process has ended."""
    until = time.monotonic() + READY_S
    while not holds():  # type: ignore[operator]
        if process.poll() is not None or time.monotonic() > until:
            raise LoadError(f"no {what}")
        time.sleep(POLL_S)


def listens(port: int, tables: tuple[str, ...] = ("/proc/net/udp", "/proc/net/udp6")) -> bool:
    """Whether a UDP socket is bound to the port."""
    end_of_local = f":{port:04X}"
    lines = (line for table in tables for line in Path(table).read_text().splitlines()[1:])
    return any(line.split()[1].endswith(end_of_local) for line in lines)


class Talkbridge(Relay):
    """Our gateway."""

    name = "talkbridge"

    def command(self, folder: Path, port: int, scene: Scene) -> list[str | Path]:
        """A gateway without neighbours; its folder is removed with its state."""
        ports = (number for number in free_ports() if number > port)
        (folder / "gateway.toml").write_text(gateway_toml(self.pki or folder, port, next(ports), next(ports), scene.groups))
        return [self.program, "run", "--config", folder / "gateway.toml"]


def gateway_toml(pki: Path, units: int, peers: int, console: int, groups: int) -> str:
    """Its configuration. A talk burst may last as long as a measurement."""
    everybody = '["nl/*/*"]'
    rights = f"join = {everybody}\ntalk = {everybody}\ntimers = {{ t2_s = 600 }}\n"
    talkgroups = "".join(f'[[talkgroup]]\nname = "tg-{group}"\n{rights}' for group in range(groups))
    return f"""# Written by tools/bench.
authority = "nl"
name = "gw-1"
state = "var"
[listen]
units = ["127.0.0.1:{units}"]
peers = ["127.0.0.1:{peers}"]
console = "127.0.0.1:{console}"
[identity]
certificate = "{pki}/gw-1.pem"
key = "{pki}/gw-1.key"
[[trust]]
authority = "nl"
root = "{pki}/root.pem"
revoked = "{pki}/revoked.pem"
for = ["units"]
{talkgroups}"""


class Murmurd(Relay):
    """The server of Mumble: TLS control, voice over UDP under OCB2-AES128."""

    name = "murmurd"

    def command(self, folder: Path, port: int, scene: Scene) -> list[str | Path]:
        """A server with a channel for each talkgroup: the root for the first, below it one for each other, by number."""
        (folder / "murmur.ini").write_text(
            f"database={folder}/murmur.sqlite\nlogfile={folder}/murmur.log\npidfile={folder}/murmur.pid\n"
            f"host=127.0.0.1\nport={port}\nice=\nbonjour=false\nusers={scene.terminals + 10}\nusersperchannel=0\n"
            "uname=root\nbandwidth=200000\ntimeout=600\nautobanAttempts=0\nopusthreshold=0\nsslDHParams=@ffdhe2048\n"
        )
        command: list[str | Path] = [self.program, "-fg", "-ini", folder / "murmur.ini"]
        if scene.groups > 1:
            self._channels(command, folder, port, scene.groups)
        return command

    def _channels(self, command: list[str | Path], folder: Path, port: int, groups: int) -> None:
        # It makes its database when it first starts; the channels are written into it while it is down.
        with (folder / "first.log").open("wb") as log:
            first = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=on_core(self.core))
        try:
            wait_for(lambda: listens(port), first, f"murmurd; see {folder}/first.log")
        finally:
            end(first)
        database = sqlite3.connect(folder / "murmur.sqlite")
        with database:
            database.executemany(
                "INSERT INTO channels (server_id, channel_id, parent_id, name, inheritacl) VALUES (1, ?, 0, ?, 1)",
                [(group, f"tg-{group}") for group in range(1, groups)],
            )
        database.close()


class Svxreflector(Relay):
    """The reflector of SvxLink 19.09: control over TCP, voice in clear over UDP, one conference for all. It binds every address,
    and waits with select(), which ends at 1,024 descriptors, one a node."""

    name = "svxreflector"
    GROUPS_MAX, LISTENERS_MAX = 1, 900

    def command(self, folder: Path, port: int, scene: Scene) -> list[str | Path]:
        """A reflector that knows every node of the load."""
        users = "".join(f"N{number}=load\n" for number in range(scene.terminals))
        config = folder / "svxreflector.conf"
        config.write_text(f'[GLOBAL]\nTIMESTAMP_FORMAT="%c"\nLISTEN_PORT={port}\n[USERS]\n{users}[PASSWORDS]\nload="load"\n')
        return [self.program, f"--config={config}"]


class Limit(Relay):
    """What no relay can do without: a sealed packet and one system call for each listener."""

    name = "limit"

    def command(self, folder: Path, port: int, scene: Scene) -> list[str | Path]:
        """It needs no files."""
        return [self.program, "bare", "--port", str(port)]


NAMES = tuple(kind.name for kind in (Talkbridge, Murmurd, Svxreflector, Limit))


def names(words: str) -> list[str]:
    """Relays asked for on the command line, `NAME,NAME`."""
    asked = words.split(",")
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no relay '{unknown[0]}'; there are: {' '.join(NAMES)}")
    return asked


def by_name(binaries: Path, load: Path, pki: Path, core: int) -> dict[str, Relay]:
    """Every kind, in the order of the tables."""
    kinds = (
        Talkbridge(binaries / "talkbridge", core, pki),
        Murmurd(Path("/usr/sbin/murmurd"), core),
        Svxreflector(Path("/usr/bin/svxreflector"), core),
        Limit(load, core),
    )
    return {kind.name: kind for kind in kinds}
