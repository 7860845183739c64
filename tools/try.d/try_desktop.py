#!/usr/bin/env python3
"""Director of the window's trial. `tools/try-desktop` builds the programs and starts this, with the demo's folder on the path.

Exit status: 0 window, far unit and clock agree, 1 they do not or the trial could not be played, 130 interrupted.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import delay
import endurance
import hands
import speech
from cast import CAST
from desk import Desk
from ending import interruptible
from gallery import Gallery
from runs import Run
from stage import ROOT, Stage, StageError
from terminal import Terminal

THEMES = {"dark": ("dark", 1), "light": ("light", 1), "night": ("night", 1), "dark-2x": ("dark", 2)}
"""For each round its theme, and how many pixels a point has."""
ROUND_S = 150.0
"""A round of states takes 40 s; whatever hangs is given up then."""
MORE_GROUPS = """
[[talkgroup]]
name = "listen-4"
title = "Announcements"
agency = "police"
join = ["be/*/*"]
talk = []

[[talkgroup]]
name = "closed-5"
title = "Closed"
agency = "police"
join = ["be/dispatcher/*"]
talk = ["be/dispatcher/*"]
"""
"""What the demo has no need of: a talkgroup to listen to, and one that is closed to the window's user."""


class Trial:
    """Stage, desk and the units that stay."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        """Nothing is started yet."""
        self.folder, self.options = folder, options
        self.stage = Stage(folder, options.binaries, keep=False)
        self.desk = Desk(self.stage)
        self.wrong: list[str] = []

    async def open(self) -> None:
        """Gateways, desk, and a listener on either side."""
        await self.stage.build()
        with (self.folder / "be" / "gateway.toml").open("a") as file:
            file.write(MORE_GROUPS)
        self.config("be", "lux-1", ["be/lux-3", "be/fire-1", "be/listen-4", "be/closed-5"])
        self.config("nl", "maas-12", ["nl/pol-1", "nl/fire-2"])
        whole, clips = ROOT / "tools" / "assets" / "speech-nl.wav", self.folder / "in"
        shutil.copyfile(whole, clips / "speech.wav")
        speech.split(whole, 8.0, clips / "call.wav", clips / "rest.wav")
        await asyncio.gather(self.stage.open(), self.desk.open())
        self.far, self.near = await self.listen("maas-13"), await self.listen("cic-1")
        self.gallery = Gallery(self.stage, self.desk, self.far, self.near, self.options.out)

    def config(self, authority: str, name: str, talkgroups: list[str]) -> Path:
        """A window's configuration beside that of the unit of the same name."""
        units = self.folder / authority / "units"
        lines = [line for line in (units / f"{name}.toml").read_text().splitlines() if not line.startswith("talkgroups")]
        listed = ", ".join(f'"{talkgroup}"' for talkgroup in talkgroups)
        path = units / f"{name}-window.toml"
        path.write_text("\n".join([*lines, f"talkgroups = [{listed}]"]) + "\n")
        return path

    async def listen(self, name: str) -> Run:
        """A unit that listens to the end."""
        member = CAST[name]
        run = Run(name, member, "listen", member.talkgroup, self.folder / "logs" / f"{name}.jsonl", self.folder / "wav" / f"{name}.wav")
        await run.start(self.stage, lambda *_: None)
        await run.joined()
        return run

    def terminal(self, name: str, *options: str, scale: int = 1) -> Terminal:
        """A window."""
        config = self.folder / CAST[name].authority / "units" / f"{name}-window.toml"
        return Terminal(self.desk, name, config, *options, scale=scale)

    async def play(self) -> None:
        """What was asked for."""
        for label in self.options.rounds:
            theme, scale = THEMES[label]
            terminal = self.terminal("lux-1", "--theme", theme, scale=scale)
            async with asyncio.timeout(ROUND_S):
                await terminal.start()
                try:
                    await self.gallery.play(terminal, label)
                    if label == self.options.rounds[0]:
                        await hands.sources(self.gallery)
                        await hands.losses(self.gallery)
                finally:
                    await terminal.stop()
                    self.wrong += [f"{label} {moment.name}: {wrong}" for moment in self.gallery.moments for wrong in moment.wrong]
        if self.options.rounds:
            await self.first_start()
        if not self.options.no_delay:
            await self.delay()
        if self.options.minutes:
            await self.endure()

    async def first_start(self) -> None:
        """The window of somebody who has no configuration yet."""
        terminal = Terminal(self.desk, "lux-1", None)
        async with asyncio.timeout(ROUND_S):
            try:
                await hands.first_start(self.gallery, terminal, str(self.folder / "be" / "units" / "lux-1-window.toml"))
            finally:
                await terminal.stop()

    async def delay(self) -> None:
        """Mouth to ear between two windows."""
        async with asyncio.timeout(ROUND_S):
            talker = self.terminal("lux-1", "--permit", "instant")
            talker.environment |= {"PULSE_SINK": "elsewhere"}
            listener = self.terminal("maas-12")
            listener.environment |= {"PULSE_SOURCE": "elsewhere.monitor", "XDG_RUNTIME_DIR": str(self.desk.folder / "second")}
            (self.desk.folder / "second").mkdir(mode=0o700)
            await listener.start()
            await talker.start()
            await asyncio.sleep(2.0)
            try:
                delays = await delay.measure(self.gallery, talker, listener, self.folder)
            finally:
                await talker.stop()
                await listener.stop()
        print("\n".join(delays.lines()), flush=True)
        self.wrong += delays.wrong()

    async def endure(self) -> None:
        """Minutes of talking and listening, and one of nothing."""
        terminal = self.terminal("lux-1")
        async with asyncio.timeout(self.options.minutes * 60 + ROUND_S):
            await terminal.start()
            try:
                result = await endurance.run(self.gallery, terminal, self.options.minutes)
            finally:
                await terminal.stop()
        print("\n".join(result.lines()), flush=True)
        self.wrong += result.wrong()


async def perform(folder: Path, options: argparse.Namespace) -> int:
    """Plays everything; returns the exit status."""
    trial = Trial(folder, options)
    try:
        await trial.open()
        await trial.play()
    finally:
        await trial.stage.close()
    for line in trial.wrong:
        print(f"try-desktop: {line}", file=sys.stderr)
    if options.rounds:
        print(f"pictures, trees and logs: {options.out}")
    return 1 if trial.wrong else 0


def main() -> int:
    """Parses arguments, performs."""
    parser = argparse.ArgumentParser(prog="tools/try-desktop", description="Plays the window before its user's eyes.")
    parser.add_argument("rounds", nargs="*", choices=[*THEMES, []], metavar="ROUND", help=f"{', '.join(THEMES)}; otherwise all")
    parser.add_argument("--minutes", type=int, default=0, metavar="N", help="talk and listen for so long, and count what was missed")
    parser.add_argument("--no-delay", action="store_true", help="leave out mouth to ear")
    parser.add_argument("--no-gallery", action="store_true", help="leave out the states")
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "try-desktop", metavar="DIR", help="where pictures go; emptied before")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target" / "debug", metavar="DIR", help="where the programs lie")
    options = parser.parse_args()
    options.rounds = [] if options.no_gallery else options.rounds or list(THEMES)
    options.binaries, options.out = options.binaries.resolve(), options.out.resolve()
    if options.rounds:
        shutil.rmtree(options.out, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="talkbridge-try-"))
    try:
        status = asyncio.run(interruptible("try-desktop", perform(folder, options)))
    except (StageError, TimeoutError) as error:
        print(f"try-desktop: {error or 'it took too long and was given up'}", file=sys.stderr)
        status = 1
    if status == 1:
        print(f"everything that was written lies in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
