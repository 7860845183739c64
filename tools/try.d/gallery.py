"""Every state of the floor, played by real gateways and units: how it is reached, and what the window and the far unit must say.

For each a picture, the accessibility tree and the log of the far unit, all of one moment. Standard library only.
"""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cast import CAST
from desk import Desk
from picture import Colour, Picture
from runs import Event, Run
from stage import Stage, StageError
from terminal import Node, Terminal

SMALLEST = (800, 480)
COMES_S = 4.0
"""A state is seen by window and far unit within this time, cuts of a border included."""
HEALS_S = 20.0
FLEETING_S = 1.0
TRIES = 5
DRAWN_S = 0.05
"""So long the drawing of the smallest window takes at most."""
LOUD_PERCENT = 10.0
"""A meter that moves shows so much of a voice."""
ME = "be/unit/lux-1"
FAR = "nl/unit/maas-12"
MARGIN = 12
"""Inside the frame of the floor's panel, outside its text."""


@dataclass
class Seen:
    """What a unit's log says about its talkgroup in this moment."""

    talker: str | None = None
    tier: str | None = None
    emergency: str | None = None
    away: bool = False
    joined: bool = False

    @classmethod
    def of(cls, events: list[Event], far: str) -> "Seen":
        """Folds a log; `far` is the authority across the border."""
        seen = cls()
        for event in events:
            match event["event"]:
                case "affiliated":
                    seen = cls(joined=True)
                case "taken":
                    seen.talker, seen.tier = event["talker"], event["tier"]
                case "idle":
                    seen.talker = seen.tier = None
                case "emergency":
                    seen.emergency = event["originator"] if event["state"] == "active" else None
                case "far_side" if event["authority"] == far:
                    seen.away = event["state"] == "away"
                case "disconnected":
                    seen = cls()
        return seen


@dataclass
class Moment:
    """A state as it was caught."""

    name: str
    look: str
    colour: Colour
    wrong: list[str] = field(default_factory=list)


class Gallery:
    """Plays all states before one window."""

    def __init__(self, stage: Stage, desk: Desk, far: Run, near: Run, out: Path) -> None:
        """`far` listens across the border, `near` on the own side; pictures go to `out`."""
        self.stage, self.desk, self.far, self.near, self.out = stage, desk, far, near, out
        self.moments: list[Moment] = []
        self.theme = ""
        self.terminal: Terminal
        self._talks = 0

    async def play(self, terminal: Terminal, theme: str) -> None:
        """All states in one theme and size."""
        self.terminal, self.theme = terminal, theme
        self.moments = []
        (self.out / theme).mkdir(parents=True)
        for act in (self.voice, self.others, self.refusals, self.emergencies, self.page, self.border):
            await act()
            self.stage.check()
        self.compare_colours()

    # === Acts ===

    async def voice(self) -> None:
        """Free, wait, on air, what became of it."""
        await self.catch("free", "free", "FREE", far=Seen(joined=True))
        # The answer takes half a second to come back: the far unit is told before the one who asked.
        self.stage.link("delay 450", ["be"])
        await asyncio.sleep(0.2)
        await self.fleeting("wait", "free", "WAIT", Seen(ME, "normal", joined=True), self.pressed)
        self.stage.link("delay 0", ["be"])
        async with self.pressed():
            await self.catch("on-air", "on-air", "ON AIR: Heard on all sides", far=Seen(ME, "normal", joined=True))
            await self.say(1.2)
        await self.catch("reached", "free", "FREE", foot="Heard on all sides", far=Seen(joined=True))

    async def others(self) -> None:
        """Somebody else talks; the own press waits; the talker is lost."""
        async with self.talking("maas-12"):
            await self.catch("receiving", "receiving", "RECEIVING: police Maas 12 (NL)", far=Seen(FAR, "normal", joined=True))
            async with self.pressed():
                await self.catch("queued", "queued", "QUEUED 1", far=Seen(FAR, "normal", joined=True))
        await self.fleeting("interrupted", "receiving", "Voice interrupted", Seen(FAR, "normal", joined=True), self.frozen)
        await self.catch("free-again", "free", "FREE", far=Seen(joined=True))
        async with self.pressed():
            await self.until("ON AIR")
            async with self.talking("mk-1"):
                told = "CUT OFF: Somebody more important talks"
                await self.catch("cut-off", "denied", told, far=Seen("nl/dispatcher/mk-1", "normal", joined=True))

    async def refusals(self) -> None:
        """A talkgroup to listen to, and one that is closed."""
        await self.terminal.click("Select Announcements")
        async with self.pressed():
            await self.catch("denied", "denied", "DENIED: You may listen here, not talk", far=Seen(joined=True))
        await self.terminal.click("Select be/closed-5")
        await self.catch("no-access", "denied", "NO ACCESS: you are not a member", far=Seen(joined=True))
        await self.terminal.click("Select Police")

    async def emergencies(self) -> None:
        """The own one from the ring to its end, and that of somebody else."""
        await self.terminal.hold("EMERGENCY:")
        arming = await self.seen("EMERGENCY: Keep holding", "", Seen(joined=True), None, 0.7, quick=True)
        mine = Seen(ME, "emergency", ME, joined=True)
        await self.catch("own-emergency", "emergency", "ON AIR: Heard on all sides", foot="Received by the gateway", far=mine)
        await self.terminal.let_go()
        await self.terminal.click("End emergency")
        # The ring is a second long: it was looked at on the way.
        await self.keep("arming", "free", arming, None)
        await self.catch("own-emergency-ended", "free", "FREE", far=Seen(joined=True))
        async with self.talking("maas-12", "--emergency", "--end-emergency", clip="call", to_the_end=True):
            theirs = Seen(FAR, "emergency", FAR, joined=True)
            await self.catch("emergency", "emergency", "RECEIVING: police Maas 12 (NL), Emergency. EMERGENCY: maas-12 (NL)", far=theirs)
            await self.terminal.click("Acknowledge")
            await self.catch("emergency-seen", "emergency", "RECEIVING", far=theirs)
        await self.catch("emergency-over", "free", "FREE", far=Seen(joined=True))

    async def page(self) -> None:
        """Devices and keys, with a meter that moves while one speaks."""
        await self.terminal.click("Settings")
        level, heard = "Speak: level of the microphone", 0.0
        async with self.speaking():
            await asyncio.sleep(1.0)
            await self.catch("settings", "free", "FREE", foot=level, far=Seen(joined=True))
            for _ in range(10):
                heard = max(heard, (await self.terminal.node(level)).get("value", 0.0))
        if heard < LOUD_PERCENT:
            self.moments[-1].wrong.append(f"the meter stands at {heard} % while somebody speaks")
        await self.terminal.click("Done")

    async def border(self) -> None:
        """The border is cut, heals; the own gateway stops to answer, and comes back."""
        self.stage.link("drop", ["be"])
        await self.catch("far-side-away", "free", "FREE: Hold the key to talk. NL cannot be reached", far=Seen(away=True, joined=True))
        async with self.pressed():
            alone = "ON AIR: Own side only"
            near = Seen(ME, "normal", away=True, joined=True)
            await self.catch("own-side-only", "on-air", alone, far=Seen(away=True, joined=True), near=near)
        await self.catch("reached-own-side", "free", "FREE", foot="Own side only", far=Seen(away=True, joined=True))
        self.stage.link("pass", ["be"])
        await self.until("FREE", without="cannot be reached", within_s=HEALS_S)
        await self.far.until("far_side", HEALS_S, after=len(self.far.events) - 1, authority="be", state="present")
        gateway = self.stage.long_lived["gateway be"].pid
        os.kill(gateway, signal.SIGSTOP)
        try:
            await self.catch("not-connected", "not-connected", "NOT CONNECTED", far=Seen(away=True, joined=True), within_s=HEALS_S)
        finally:
            os.kill(gateway, signal.SIGCONT)
        await self.until("FREE", without="cannot be reached", within_s=HEALS_S)
        await self.wait_for(lambda: not Seen.of(self.far.events, "be").away, HEALS_S, "the far unit sees be again")
        await self.wait_for(lambda: Seen.of(self.near.events, "nl").joined, HEALS_S, "the near unit is back")

    # === Means ===

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """While somebody who talks has stopped in mid-word; the floor is taken from him after a second."""
        async with self.talking("maas-12") as talk:
            await self.until("RECEIVING")
            os.kill(talk.pid, signal.SIGSTOP)
            try:
                yield
            finally:
                os.kill(talk.pid, signal.SIGCONT)

    async def fleeting(
        self, name: str, look: str, told: str, far: Seen, during: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        """Catches a state that lasts for less than a second, again if this machine was too slow for it."""
        for _ in range(TRIES):
            async with during():
                caught = await self.seen(told, "", far, None, FLEETING_S, quick=True)
            await self.until("FREE")
            if caught.said and caught.far == far:
                break
        await self.keep(name, look, caught, far)

    @asynccontextmanager
    async def pressed(self) -> AsyncIterator[None]:
        """While the key is down."""
        await self.terminal.press()
        try:
            yield
        finally:
            await self.terminal.release()

    @asynccontextmanager
    async def talking(self, name: str, *options: str, clip: str = "speech", to_the_end: bool = False) -> AsyncIterator[Run]:
        """While somebody across the border talks; is stopped then, unless he has the time to say all."""
        self._talks += 1
        member, label = CAST[name], f"talk-{self._talks}-{name}"
        run = Run(label, member, "talk", member.talkgroup, self.stage.folder / "logs" / f"{label}.jsonl", self.clip(clip))
        await run.start(self.stage, lambda *_: None, *options)
        if not await run.until("granted"):
            raise StageError(f"{name} got no floor: {run.events}")
        try:
            yield run
            if to_the_end:
                await run.ended(2 * COMES_S)
        finally:
            await run.stop()

    def clip(self, name: str) -> Path:
        """What is said."""
        return self.stage.folder / "in" / f"{name}.wav"

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[None]:
        """While somebody speaks into the microphone."""
        voice = await self.stage.start("paplay", "--device=mouth", self.clip("speech"), env=self.desk.environment)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                voice.terminate()
            await voice.wait()

    async def say(self, seconds: float) -> None:
        """Speaks into the microphone for so long."""
        async with self.speaking():
            await asyncio.sleep(seconds)

    async def wait_for(self, holds: Callable[[], bool], within_s: float, what: str) -> None:
        """Waits until it holds."""
        for _ in range(round(within_s / 0.05)):
            if holds():
                return
            await asyncio.sleep(0.05)
        raise StageError(f"after {within_s:.0f} s: not that {what}")

    async def until(self, told: str, without: str = "\n", within_s: float = COMES_S) -> list[Node]:
        """Waits until the floor says so; the tree."""
        nodes: list[Node] = []
        for _ in range(round(within_s / 0.02)):
            nodes = await self.terminal.tree(names_only=True)
            said = floor(nodes)["name"]
            if told in said and without not in said:
                return nodes
            await asyncio.sleep(0.02)
        raise StageError(f"{self.theme}: the window does not say '{told}' but '{floor(nodes)['name']}'")

    # === Catching ===

    async def catch(
        self, name: str, look: str, told: str, far: Seen, foot: str = "", near: Seen | None = None, within_s: float = COMES_S
    ) -> None:
        """Waits until the window says it, and keeps picture, tree and logs of that moment."""
        await self.keep(name, look, await self.seen(told, foot, far, near, within_s), far, near)

    async def seen(self, told: str, foot: str, far: Seen, near: Seen | None, within_s: float, quick: bool = False) -> "Caught":
        """The moment when window and logs say it, or the last one in time."""
        end = asyncio.get_running_loop().time() + within_s
        while True:
            for _ in range(20):
                if says(await self.terminal.tree(names_only=True), told):
                    break
                await asyncio.sleep(0.01)
            caught = await self.look(told, foot, quick)
            agreed = caught.said and caught.far == far and (near is None or caught.near == near)
            if agreed or asyncio.get_running_loop().time() > end:
                return caught
            await asyncio.sleep(0.02)

    async def look(self, told: str, foot: str = "", quick: bool = False) -> "Caught":
        """Picture and tree of this moment: the window says it before the picture and after it.

        Where it must be quick, only what the nodes say is new in the tree, not their places.
        """
        before = await self.terminal.tree(names_only=True)
        # The tree is told before the picture is on the screen, and without a graphics card that takes its time.
        await asyncio.sleep(DRAWN_S * self.terminal.scale)
        width, height = (self.terminal.scale * side for side in SMALLEST)
        picture = Picture.of_screen(self.desk.frame_buffer.read_bytes(), width, height)
        after = await self.terminal.tree(names_only=quick)
        said = all(says(nodes, told) and says(nodes, foot) for nodes in (before, after))
        return Caught(told, foot, said, after, picture, Seen.of(self.far.events, "be"), Seen.of(self.near.events, "nl"), len(self.far.events))

    async def keep(self, name: str, look: str, caught: "Caught", far: Seen | None, near: Seen | None = None) -> None:
        """Writes down a moment, and what is wrong with it."""
        base = self.out / self.theme / f"{len(self.moments):02}-{name}"
        caught.picture.png(base.with_suffix(".png"))
        base.with_suffix(".tree.json").write_text("\n".join(json.dumps(node, ensure_ascii=False) for node in caught.nodes) + "\n")
        log = self.far.events[: caught.log]
        base.with_suffix(".far.jsonl").write_text("".join(json.dumps(event) + "\n" for event in log))
        colour = panel(caught.picture, floor(caught.nodes), self.terminal.scale)
        moment = Moment(name, look, colour)
        if not caught.said:
            foot = f" and '{caught.foot}'" if caught.foot else ""
            moment.wrong.append(f"the window does not say '{caught.told}'{foot} but '{floor(caught.nodes)['name']}'")
        for who, seen, wanted in (("far", caught.far, far), ("near", caught.near, near)):
            if wanted is not None and seen != wanted:
                moment.wrong.append(f"the {who} unit sees {seen}, not {wanted}")
        if unreadable(caught.nodes):
            # A tree that was read while it changed is none: only what is so in peace is wrong.
            moment.wrong += unreadable(await self.terminal.tree())
        self.moments.append(moment)
        print(f"  {self.theme:9} {name:20} {'; '.join(moment.wrong) or 'agrees'}", flush=True)

    def compare_colours(self) -> None:
        """One colour for a look, and none for two: picture and tree tell the same."""
        looks: dict[str, Colour] = {}
        for moment in self.moments:
            known = looks.setdefault(moment.look, moment.colour)
            if known != moment.colour:
                moment.wrong.append(f"the picture shows {moment.colour} where {moment.look} was {known} before")
        for one, colour in looks.items():
            if sum(other == colour for other in looks.values()) > 1:
                self.moments[-1].wrong.append(f"the picture shows {one} in the colour of another state, {colour}")


@dataclass
class Caught:
    """Picture and tree of one moment."""

    told: str
    foot: str
    said: bool
    nodes: list[Node]
    picture: Picture
    far: Seen
    near: Seen
    log: int
    """Events of the far unit until then."""


def floor(nodes: list[Node]) -> Node:
    """The panel of the selected talkgroup: the largest label."""
    labels = [node for node in nodes if node["role"] == "label" and node["at"]]
    return max(labels, key=lambda node: node["at"][2] * node["at"][3], default={"name": "", "at": [0, 0, 1, 1]})


def says(nodes: list[Node], text: str) -> bool:
    """Whether any node says it."""
    return not text or any(text in node["name"] for node in nodes)


def unreadable(nodes: list[Node]) -> list[str]:
    """Controls that a screen reader could not name or press."""
    controls = [node for node in nodes if node["role"] in ("push button", "button", "toggle button", "check box", "slider")]
    wrong = [f"a {node['role']} at {node['at']} has no name" for node in controls if not node["name"]]
    enabled = [node for node in controls if "enabled" in node["states"] and node["role"] != "slider"]
    wrong += [f"'{node['name']}' has no action" for node in enabled if not node.get("actions")]
    twice = [name for name, count in Counter(node["name"] for node in controls).items() if count > 1]
    return wrong + [f"{name!r} names more than one control" for name in twice]


def panel(picture: Picture, node: Node, scale: int) -> Colour:
    """The colour of the panel's ground: the most frequent one along its left edge, inside the frame."""
    x, y, _, height = node["at"]
    column = min(x + MARGIN * scale, picture.width - 1)
    places = range(max(y, 0) + 20 * scale, min(y + height - 20 * scale, picture.height))
    colours = Counter(picture.at(column, row) for row in places)
    return colours.most_common(1)[0][0] if colours else (0, 0, 0)
