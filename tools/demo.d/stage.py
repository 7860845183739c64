"""The stage of the demo: folder, certificates, configurations, a gateway a country on loopback and the border links between them.

Every process is ended by its own id, also after Ctrl-C and errors; if this program is killed, the kernel ends them. With
`keep` the gateways and the links outlive it. Standard library only.
"""

import asyncio
import ctypes
import http.client
import json
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from cast import CAST, CENTRE, TALKGROUPS, Ports, gateway_toml, unit_toml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
READY_S = 10.0
"""Gateways are ready and their bridges active within this time, or the demo fails."""
COMMAND_S = 20.0
"""Limit of a command that ends by itself."""
STOP_S = 7.0
"""A process that SIGTERM has not ended by then is killed; gateways drain for up to 5 s."""


class StageError(Exception):
    """The demo cannot be set up or go on; the message is for the user."""


def now_ms() -> float:
    """CLOCK_MONOTONIC in milliseconds, as in the units' events."""
    return time.monotonic_ns() / 1e6


class Stage:
    """All countries in one folder."""

    def __init__(self, folder: Path, binaries: Path, keep: bool) -> None:
        """A stage in an existing, empty `folder`, played by the programs in `binaries`."""
        self.folder, self.binaries, self.keep = folder, binaries, keep
        self.ports: dict[str, Ports] = {}
        self.borders: dict[str, int] = {}
        """For each country around the centre the port where its border link begins."""
        self.long_lived: dict[str, Process] = {}
        self._others: set[Process] = set()

    async def build(self) -> None:
        """Makes certificates and configurations."""
        around = [authority for authority in TALKGROUPS if authority != CENTRE]
        ports = free_ports()
        self.ports = {authority: Ports(next(ports), next(ports), next(ports)) for authority in TALKGROUPS}
        self.borders = {authority: next(ports) for authority in around}
        await asyncio.gather(*(self._country(authority) for authority in self.ports))
        # Only those around the centre have an address to dial, and it is their relay's: all traffic across a border passes there.
        for authority, own in self.ports.items():
            peers = dict.fromkeys(around) if authority == CENTRE else {CENTRE: self.borders[authority]}
            (self.folder / authority / "gateway.toml").write_text(gateway_toml(authority, own, peers))
        for folder in ("logs", "wav", "in", "codec"):
            (self.folder / folder).mkdir()

    async def _country(self, authority: str) -> None:
        pki, units = self.folder / authority / "pki", self.folder / authority / "units"
        await self.command("talkbridge", "pki", "authority", "--name", authority, "--out", pki)
        issue = ("talkbridge", "pki", "issue", "--authority", pki)
        await self.command(*issue, "--kind", "gateway", "--name", "gw-1", "--out", pki)
        for member in CAST.values():
            if member.authority == authority:
                who = ("--kind", member.kind, "--name", member.name, "--agency", member.agency, "--alias", member.alias)
                await self.command(*issue, *who, "--out", units)
                (units / f"{member.name}.toml").write_text(unit_toml(member, self.ports[authority]))

    async def open(self) -> None:
        """Starts gateways and links; returns once all bridges carry."""
        for authority, port in self.borders.items():
            os.mkfifo(self.control(authority))
            ports = ("--listen", str(port), "--to", str(self.ports[CENTRE].peers))
            control = ("--control", str(self.control(authority)))
            out = f"logs/relay-{authority}.jsonl"
            await self._long_lived(f"relay {authority}", sys.executable, str(HERE / "relay.py"), *ports, *control, out=out)
        for authority in self.ports:
            config = str(self.folder / authority / "gateway.toml")
            await self._long_lived(f"gateway {authority}", str(self.binaries / "talkbridge"), "run", "--config", config)
        for authority in self.ports:
            await self._until(lambda authority=authority: self._get(authority, "/readyz")[0] == 200, f"the gateway of {authority}")
        for authority in self.ports:
            await self._until(lambda authority=authority: self._bridged(authority), f"the bridges of {authority}")

    def _bridged(self, authority: str) -> bool:
        bridges = self.status(authority)["bridges"]
        return len(bridges) > 0 and all(bridge["state"] == "active" for bridge in bridges)

    def status(self, authority: str) -> dict[str, Any]:
        """What a gateway says about itself."""
        code, body = self._get(authority, "/status")
        if code != 200:
            raise StageError(f"the gateway of {authority} answers /status with {code}")
        return json.loads(body)

    def _get(self, authority: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[authority].console, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        """Waits until it holds; a gateway that does not listen yet counts as no."""
        end = now_ms() + READY_S * 1_000
        while True:
            self.check()
            try:
                if holds():
                    return
            except (OSError, http.client.HTTPException):
                pass
            if now_ms() > end:
                raise StageError(f"{what}: not ready after {READY_S:.0f} s; see {self.folder}/logs")
            await asyncio.sleep(0.02)

    def check(self) -> None:
        """Raises if a gateway or a link has ended."""
        for name, process in self.long_lived.items():
            if process.returncode is not None:
                raise StageError(f"{name} ended with {process.returncode}; its log:\n{self._tail(name)}")

    def _tail(self, name: str) -> str:
        lines = (self.folder / "logs" / f"{name.replace(' ', '-')}.log").read_text().splitlines()
        return "\n".join(lines[-8:])

    def control(self, authority: str) -> Path:
        """Where the link between the centre and this country takes commands."""
        return self.folder / f"border-{authority}.ctl"

    def link(self, command: str, authorities: Iterable[str]) -> float:
        """Tells these border links `drop`, `pass` or `delay MS`; returns the moment."""
        for authority in authorities:
            fifo = os.open(self.control(authority), os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(fifo, f"{command}\n".encode())
            finally:
                os.close(fifo)
        return now_ms()

    async def command(self, program: str, *arguments: str | Path) -> None:
        """Runs one of the programs to its end; raises with its output if it fails."""
        process = await self.start(self.binaries / program, *arguments, stdout=PIPE, stderr=STDOUT)
        try:
            said, _ = await asyncio.wait_for(process.communicate(), COMMAND_S)
        except TimeoutError:
            raise StageError(f"{program} {arguments[0]}: not done after {COMMAND_S:.0f} s") from None
        if process.returncode != 0:
            raise StageError(f"{program} {arguments[0]} failed with {process.returncode}: {said.decode().strip()}")

    async def start(self, program: str | Path, *arguments: str | Path, **options: Any) -> Process:
        """Starts a process that ends with the stage at the latest."""
        options = {"stdin": DEVNULL, "preexec_fn": _die_with_parent, **options}
        process = await asyncio.create_subprocess_exec(str(program), *map(str, arguments), **options)
        self._others.add(process)
        return process

    async def _long_lived(self, name: str, *arguments: str, out: str | None = None) -> None:
        log = self.folder / "logs" / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as err, (self.folder / (out or os.devnull)).open("wb") as stdout:
            fate: dict[str, Any] = {"start_new_session": True} if self.keep else {"preexec_fn": _die_with_parent}
            environment = {"TALKBRIDGE_LOG": "info", **os.environ}
            self.long_lived[name] = await asyncio.create_subprocess_exec(
                *arguments, stdin=DEVNULL, stdout=stdout, stderr=err, env=environment, **fate
            )

    async def close(self, leave_running: bool = False) -> None:
        """Ends everything, gateways and links too unless they are to go on."""
        if not leave_running:
            self._others |= set(self.long_lived.values())
        alive = [process for process in self._others if process.returncode is None]
        for process in alive:
            _signal(process, signal.SIGTERM)
        if alive:
            _, late = await asyncio.wait([asyncio.ensure_future(process.wait()) for process in alive], timeout=STOP_S)
            if late:
                for process in alive:
                    _signal(process, signal.SIGKILL)
                await asyncio.wait(late)


def _signal(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        try:
            process.send_signal(number)
        except ProcessLookupError:
            pass


def _die_with_parent() -> None:
    """In the new process: asks Linux to end it when this program dies (PR_SET_PDEATHSIG), and leaves Ctrl-C to us."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    os.setpgid(0, 0)


def free_ports() -> Iterator[int]:
    """Loopback ports that are free now for UDP and TCP.

    Below the range from which the system hands out ports by itself, so that no connection takes one before its gateway does;
    each process begins elsewhere.
    """
    first, count = 20_000, 12_000
    for place in range(os.getpid() * 7_417, os.getpid() * 7_417 + count):
        port = first + place % count
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as sock:
                    sock.bind(("127.0.0.1", port))
        except OSError:
            continue
        yield port
    raise StageError(f"no free port from {first} on")
