"""Minutes of talking and listening by turns, then one of nothing: what the device callbacks missed, how often the window was drawn.

Standard library only.
"""

import asyncio
from dataclasses import dataclass

from gallery import Gallery
from terminal import Terminal

TURN_S = 8.0
IDLE_S = 30.0
COUNTS = ("calls", "late", "lost", "dry", "gaps")
IDLE_FRAMES_PER_S = 0.5
"""An idle window is drawn for a reason only: every ten seconds it says anew how long ago somebody talked, and the toolkit draws twice."""


@dataclass
class Endured:
    """What was counted."""

    minutes: int
    counts: dict[str, int]
    frames: int
    idle_frames: int

    def lines(self) -> list[str]:
        """What to print."""
        told = ", ".join(f"{name} {self.counts[name]}" for name in COUNTS)
        return [
            f"{self.minutes} min of talking and listening, device callbacks: {told}; drawn {self.frames} times",
            f"{IDLE_S:.0f} s of nothing: drawn {self.idle_frames} times",
        ]

    def wrong(self) -> list[str]:
        """What breaks the promise."""
        missed = {name: self.counts[name] for name in ("late", "lost", "dry", "gaps") if self.counts[name]}
        wrong = [f"device callbacks missed: {missed}"] if missed else []
        if self.idle_frames > IDLE_S * IDLE_FRAMES_PER_S:
            wrong.append(f"the idle window was drawn {self.idle_frames} times in {IDLE_S:.0f} s")
        return wrong


async def run(gallery: Gallery, terminal: Terminal, minutes: int) -> Endured:
    """Talks and listens by turns."""
    gallery.terminal = terminal
    await asyncio.sleep(4.0)
    before = _counted(terminal)
    loop = asyncio.get_running_loop()
    end = loop.time() + minutes * 60
    while loop.time() < end:
        async with gallery.pressed():
            await gallery.say(TURN_S)
        async with gallery.talking("maas-12"):
            await asyncio.sleep(TURN_S)
        gallery.stage.check()
    await asyncio.sleep(3.0)
    after = _counted(terminal)
    await asyncio.sleep(12.0)
    start = _counted(terminal)["frames"]
    await asyncio.sleep(IDLE_S)
    idle = _counted(terminal)["frames"] - start
    return Endured(minutes, {name: after[name] - before[name] for name in COUNTS}, after["frames"] - before["frames"], idle)


def _counted(terminal: Terminal) -> dict[str, int]:
    return terminal.last("devices") or dict.fromkeys((*COUNTS, "frames"), 0)
