"""One `talkbridge-unit` process of the scene: started, followed line by line, written down.

Its JSON events go to `logs/LABEL.jsonl` as they came, to the timeline, and to whoever waits for one. Standard library only.
"""

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cast import Member
from stage import Stage, StageError

Event = dict[str, Any]
WAIT_S = 5.0
"""An event that a scene waits for comes within this time, or the scene goes on without it and the grader finds it missing."""


@dataclass
class Run:
    """A process of one member: `talk` or `listen`."""

    label: str
    member: Member
    kind: str
    talkgroup: str
    log: Path
    wav: Path | None = None
    clip: str | None = None
    events: list[Event] = field(default_factory=list)
    exit: int | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _process: asyncio.subprocess.Process | None = None
    _pump: asyncio.Task[None] | None = None

    async def start(self, stage: Stage, tell: Callable[["Run", Event], None], *options: str | Path) -> None:
        """Starts it; `tell` gets every event the moment it is read."""
        config = stage.folder / self.member.authority / "units" / f"{self.member.name}.toml"
        wav = ("--wav", self.wav) if self.wav else ()
        program = stage.binaries / "talkbridge-unit"
        command = (self.kind, "--config", config, "--talkgroup", self.talkgroup, *wav, "--json", *options)
        with self.log.with_suffix(".log").open("wb") as err:
            self._process = await stage.start(program, *command, stdout=PIPE, stderr=err)
        self._pump = asyncio.create_task(self._follow(tell))

    async def _follow(self, tell: Callable[["Run", Event], None]) -> None:
        assert self._process is not None and self._process.stdout is not None
        with self.log.open("wb", buffering=0) as log:
            async for line in self._process.stdout:
                log.write(line)
                try:
                    event = json.loads(line)
                except ValueError:
                    event = {"event": "not_json", "text": line.decode(errors="replace")}
                self.events.append(event)
                tell(self, event)
                self._wake()
        self.exit = await self._process.wait()
        self._wake()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def first(self, name: str, after_ms: float = 0.0, **fields: Any) -> Event | None:
        """The first event of this name with these fields at or after a moment."""
        wanted = {"event": name, **fields}
        late = (event for event in self.events if event.get("at_ms", 0.0) >= after_ms)
        return next((event for event in late if all(event.get(key) == wanted[key] for key in wanted)), None)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def last(self, name: str, **fields: Any) -> Event | None:
        """The newest event of this name with these fields so far."""
        wanted = {"event": name, **fields}
        return next((event for event in reversed(self.events) if all(event.get(key) == wanted[key] for key in wanted)), None)

    async def until(self, name: str, within_s: float = WAIT_S, after: int = 0, **fields: Any) -> bool:
        """Waits for such an event among those behind the first `after`; False if it does not come or the process ends."""
        wanted = {"event": name, **fields}
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while not any(all(event.get(key) == wanted[key] for key in wanted) for event in self.events[after:]):
            if self.exit is not None or loop.time() >= end:
                return False
            try:
                await asyncio.wait_for(self._news.wait(), end - loop.time())
            except TimeoutError:
                return False
        return True

    async def ended(self, within_s: float) -> int | None:
        """Waits until the process has ended; its exit status, or None if it goes on."""
        assert self._pump is not None
        await asyncio.wait([self._pump], timeout=within_s)
        return self.exit

    async def stop(self) -> None:
        """Ends it in order: the WAV is closed, the report told."""
        if self._process is not None and self.exit is None:
            self._process.terminate()
            if await self.ended(WAIT_S) is None:
                self._process.kill()
                await self.ended(WAIT_S)

    async def joined(self) -> None:
        """Waits until it is affiliated; without that the scene cannot go on."""
        if not await self.until("affiliated"):
            said = self.log.with_suffix(".log").read_text().strip().splitlines()[-4:]
            last = self.events[-1] if self.events else "no event"
            raise StageError(f"{self.member.identity} could not join {self.talkgroup} (exit {self.exit}): {last} {' '.join(said)}")

    def described(self, folder: Path) -> dict[str, Any]:
        """What the grader needs to know of it."""
        return {
            "label": self.label,
            "who": self.member.identity,
            "authority": self.member.authority,
            "kind": self.kind,
            "talkgroup": self.talkgroup,
            "log": str(self.log.relative_to(folder)),
            "wav": str(self.wav.relative_to(folder)) if self.wav and self.kind == "listen" else None,
            "clip": self.clip,
            "exit": self.exit,
        }
