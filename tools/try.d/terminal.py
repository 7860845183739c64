"""One `talkbridge-ptt` at the desk: started, pressed by keys and pointer, read through its accessibility tree and its record.

Standard library only.
"""

import asyncio
import json
import signal
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from cast import CAST
from desk import Desk
from stage import StageError

Node = dict[str, Any]
KEY = "Control_R"
APPEARS_S = 15.0
"""A window is drawn and readable within this time, also on a busy machine without a graphics card."""


class Terminal:
    """A running window."""

    def __init__(self, desk: Desk, name: str, config: Path | None, *options: str, scale: int = 1) -> None:
        """A window that has not been started; `name` is one of the cast. Without `config` it asks for one."""
        self.desk, self.member, self.config, self.options, self.scale = desk, CAST[name], config, options, scale
        self.events: list[dict[str, Any]] = []
        self.environment = desk.environment | {"WINIT_X11_SCALE_FACTOR": str(scale)}
        self._process: Process | None = None
        self._pump: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once it can be read and has the keyboard."""
        await self.appear()
        await self.ready()

    async def appear(self) -> None:
        """Starts it; returns once it can be read."""
        log = (self.desk.folder / f"terminal-{self.member.name}.log").open("ab")
        program = self.desk.stage.binaries / "talkbridge-ptt"
        config = ("--config", self.config) if self.config else ()
        command = (*config, "--json", *self.options)
        options = {"stdout": PIPE, "stderr": log, "env": self.environment}
        self._process = await self.desk.stage.start(program, *command, **options)
        self._pump = asyncio.create_task(self._follow())
        for _ in range(round(APPEARS_S / 0.1)):
            if sum(bool(node["name"]) for node in await self.tree()) > len(("application", "window", "and its controls")):
                break
            await asyncio.sleep(0.1)
        else:
            raise StageError(f"the window could not be read after {APPEARS_S:.0f} s; see {self.desk.folder}")
        self.window = (await self.desk.command("xdotool", "search", "--onlyvisible", "--pid", self.pid)).split()[0]
        await self.focus()

    async def ready(self) -> None:
        """Waits until its keys talk."""
        for _ in range(round(APPEARS_S / 0.1)):
            if any("Push-to-talk by: Key" in node["name"] for node in await self.tree()):
                return
            await asyncio.sleep(0.1)
        raise StageError(f"the window did not get the keyboard in {APPEARS_S:.0f} s")

    async def _follow(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        async for line in self._process.stdout:
            self.events.append(json.loads(line))

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    async def focus(self) -> None:
        """Gives it the keyboard."""
        await self.desk.command("xdotool", "windowraise", self.window, "windowfocus", "--sync", self.window)

    async def tree(self, names_only: bool = False) -> list[Node]:
        """What assistive technology sees of it."""
        return await self.desk.tree(self.pid, names_only)

    async def node(self, name: str) -> Node:
        """The first node whose name begins so."""
        nodes = await self.tree()
        found = next((node for node in nodes if node["name"].startswith(name)), None)
        if found is None:
            raise StageError(f"no control is named '{name}' among {[node['name'] for node in nodes if node['name']]}")
        return found

    async def point(self, name: str) -> None:
        """Moves the pointer onto a control."""
        x, y, width, height = (await self.node(name))["at"]
        await self.desk.command("xdotool", "mousemove", x + width // 2, y + height // 2)

    async def click(self, name: str) -> None:
        """Clicks a control."""
        await self.point(name)
        await self.desk.command("xdotool", "click", "1")

    async def hold(self, name: str) -> None:
        """The pointer goes down on a control and stays."""
        await self.point(name)
        await self.desk.command("xdotool", "mousedown", "1")

    async def let_go(self) -> None:
        """The pointer goes up."""
        await self.desk.command("xdotool", "mouseup", "1")

    async def press(self) -> None:
        """Push-to-talk goes down."""
        await self.desk.command("xdotool", "keydown", KEY)

    async def release(self) -> None:
        """Push-to-talk goes up."""
        await self.desk.command("xdotool", "keyup", KEY)

    def last(self, name: str) -> dict[str, Any] | None:
        """The newest event of that name."""
        return next((event for event in reversed(self.events) if event["event"] == name), None)

    async def stop(self) -> None:
        """Closes it."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), 5.0)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._pump is not None:
            await self._pump
