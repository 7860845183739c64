"""The load generator's side: certificates, terminals that idle, a measurement. Built from `benches/load`. Standard library only."""

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOINING_S = 180.0
"""A thousand terminals have joined by then: handshakes take a minute at most, the rest is for a busy machine."""
STOP_S = 7.0
"""What SIGTERM has not ended by then is killed."""


class LoadError(Exception):
    """A measurement that cannot be made; the message is for the user."""


def on_core(core: int) -> Any:
    """For the new process: bound to a core, ended by the kernel if this program is killed, deaf to Ctrl-C, which is ours."""

    def prepare() -> None:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
        os.setpgid(0, 0)
        os.sched_setaffinity(0, {core})

    return prepare


def end(process: subprocess.Popen[Any]) -> None:
    """Ends a process by its own id and waits for it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Place:
    """Where terminals join: the relay's name and address, talkgroups, listeners in each, and certificates if it takes them."""

    relay: str
    address: str
    groups: int
    listeners: int
    pki: Path | None = None

    def words(self) -> list[str]:
        """As arguments of the generator."""
        place = ["--relay", self.relay, "--address", self.address, "--groups", str(self.groups), "--listeners", str(self.listeners)]
        return [*place, "--pki", str(self.pki)] if self.pki else place


@dataclass(frozen=True)
class Load:
    """The generator."""

    program: Path
    core: int

    def pki(self, folder: Path, units: int, authority: str = "nl") -> None:
        """Makes an authority with its gateway and so many units."""
        command = [self.program, "pki", "--out", folder, "--authority", authority, "--units", str(units)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LoadError(f"no certificates: {done.stderr.strip()}")

    @contextmanager
    def idle(self, place: Place) -> Iterator[None]:
        """Terminals that have joined and do nothing, until the block ends."""
        command = [self.program, "idle", *place.words()]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=on_core(self.core))
        assert process.stdin is not None and process.stdout is not None
        try:
            if process.stdout.readline().strip() != "ready":
                raise LoadError("not every terminal joined; the reason stands above")
            yield
            process.stdin.close()
            if process.wait(STOP_S) != 0:
                raise LoadError("a terminal lost the relay; the reason stands above")
        finally:
            end(process)

    def run(self, place: Place, relay_pid: int, relay_core: int, seconds: float, **options: object) -> dict[str, Any]:
        """One measurement; what the generator found."""
        process = ["--relay-pid", str(relay_pid), "--relay-core", str(relay_core), "--load-core", str(self.core)]
        others = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = [str(self.program), "run", *place.words(), *process, "--seconds", str(seconds), *others]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=on_core(self.core))
        try:
            said, why = running.communicate(timeout=JOINING_S + 3 * seconds)
        except subprocess.TimeoutExpired:
            raise LoadError(f"{place.relay}: the load is not done in time") from None
        finally:
            end(running)
        if running.returncode != 0:
            raise LoadError(f"{place.relay}: {why.strip()}")
        return json.loads(said)
