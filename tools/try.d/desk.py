"""A desk of its own for the window: display, session bus with accessibility, sound server. Nothing of the user's is touched.

Every process belongs to the stage and ends with it. Standard library only.

The sound card is one null sink with two channels: what the mouth says is its left one, what the loudspeaker plays its right one,
so that one recording holds both on one clock. The microphone is a remapped copy of the left channel.
"""

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from stage import Stage, StageError

HERE = Path(__file__).resolve().parent
SCREEN = (1600, 960)
"""Twice the smallest window."""
START_S = 10.0
"""Each server of the desk answers within this time."""
COOKIE_BYTES = 256
"""Clients of the sound server that know no cookie are turned away; the window would take ALSA instead."""
READER = "/usr/bin/python3"
"""The system's Python: the accessibility library is a package of the system."""

BUS = """<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
"""No service is started by asking for it: what runs is what was started here."""

SOUND = """load-module module-native-protocol-unix auth-cookie={cookie} socket={path}
load-module module-null-sink sink_name=card rate=48000 channels=2 channel_map=front-left,front-right
load-module module-remap-sink sink_name=mouth master=card channels=1 channel_map=mono master_channel_map=front-left remix=no
load-module module-remap-sink sink_name=speaker master=card channels=1 channel_map=mono master_channel_map=front-right remix=no
load-module module-remap-source source_name=microphone master=card.monitor channels=1 channel_map=mono master_channel_map=front-left remix=no
load-module module-null-sink sink_name=elsewhere rate=48000 channels=1 channel_map=mono
set-default-sink speaker
set-default-source microphone
"""


class Desk:
    """Display, buses, sound server and the reader of the accessibility tree."""

    def __init__(self, stage: Stage) -> None:
        """A desk that has not been set up."""
        self.stage = stage
        self.folder = stage.folder / "desk"
        self.environment: dict[str, str] = {}
        self._reader: Process | None = None

    async def open(self) -> None:
        """Starts everything, one after the other: each needs the one before."""
        self.folder.mkdir(mode=0o700)
        (self.folder / "pulse").mkdir()
        session, sound = self.folder / "session", self.folder / "pulse" / "native"
        keep = {name: os.environ[name] for name in ("PATH", "TALKBRIDGE_LOG") if name in os.environ}
        self.environment = keep | {
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "XDG_RUNTIME_DIR": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PULSE_SERVER": f"unix:{sound}",
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={session}",
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={session}",
        }
        await self._display()
        (self.folder / "bus.conf").write_text(BUS.format(path=session))
        await self._server("bus", "dbus-daemon", "--nofork", f"--config-file={self.folder / 'bus.conf'}")
        await self._appears(session, "the session bus")
        await self._server("accessibility", _launcher(), "--launch-immediately", "--a11y=1", "--screen-reader=1")
        cookie = self.folder / "cookie"
        cookie.write_bytes(os.urandom(COOKIE_BYTES))
        (self.folder / "sound.pa").write_text(SOUND.format(path=sound, cookie=cookie))
        quiet = ("--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disallow-exit", "-n", "-F", self.folder / "sound.pa")
        await self._server("sound", "pulseaudio", *quiet)
        await self._appears(sound, "the sound server")
        await self.command("pactl", "get-default-source")
        log = (self.folder / "reader.log").open("wb")
        options = {"env": self.environment, "stdin": PIPE, "stdout": PIPE, "stderr": log, "limit": 1 << 22}
        self._reader = await self.stage.start(READER, HERE / "tree.py", **options)

    async def _display(self) -> None:
        reads, writes = os.pipe()
        width, height = SCREEN
        screen = ("-screen", "0", f"{width}x{height}x24", "-fbdir", self.folder, "-nolisten", "tcp", "-noreset", "-dpi", "96")
        await self._server("display", "Xvfb", "-displayfd", str(writes), *screen, pass_fds=(writes,))
        os.close(writes)
        # The number and the end of its line come apart; a server that finds nobody listening for the second ends.
        with os.fdopen(reads) as numbers:
            number = await asyncio.wait_for(asyncio.to_thread(numbers.readline), START_S)
        if not number.strip():
            raise StageError(f"no display; see {self.folder}/display.log")
        self.environment["DISPLAY"] = f":{number.strip()}"

    async def _server(self, name: str, program: str, *arguments: Any, **options: Any) -> Process:
        log = (self.folder / f"{name}.log").open("wb")
        return await self.stage.start(program, *arguments, env=self.environment, stdout=log, stderr=log, **options)

    async def _appears(self, path: Path, what: str) -> None:
        for _ in range(round(START_S / 0.05)):
            if path.exists():
                return
            await asyncio.sleep(0.05)
        raise StageError(f"{what} did not start in {START_S:.0f} s; its log lies in {self.folder}")

    async def command(self, program: str, *arguments: Any) -> str:
        """Runs a small program on this desk to its end; what it said."""
        process = await self.stage.start(program, *arguments, env=self.environment, stdout=PIPE, stderr=PIPE)
        said, complained = await asyncio.wait_for(process.communicate(), START_S)
        if process.returncode != 0:
            raise StageError(f"{program} {' '.join(map(str, arguments))}: {complained.decode().strip()}")
        return said.decode()

    async def tree(self, pid: int, names_only: bool = False) -> list[dict[str, Any]]:
        """What assistive technology sees of a process: nodes with role, name, states and place, in order.

        With `names_only` nothing but the names is new since the last time.
        """
        assert self._reader is not None and self._reader.stdin is not None and self._reader.stdout is not None
        self._reader.stdin.write(f"{pid}{' names' * names_only}\n".encode())
        line = await asyncio.wait_for(self._reader.stdout.readline(), START_S)
        if not line:
            raise StageError(f"the accessibility tree cannot be read; see {self.folder}/reader.log")
        return json.loads(line)

    @property
    def frame_buffer(self) -> Path:
        """Where the display keeps its picture."""
        return self.folder / "Xvfb_screen0"


def _launcher() -> str:
    for folder in ("/usr/libexec", "/usr/lib/at-spi2-core"):
        if (Path(folder) / "at-spi-bus-launcher").exists():
            return f"{folder}/at-spi-bus-launcher"
    raise StageError("at-spi-bus-launcher is missing; run: tools/setup desktop try")
