"""The scene: what the units do, act by act. Nothing is judged here; what came of it lies in logs, WAV files and `scene.json`.

Standard library only.
"""

import asyncio
import json
from typing import Any

import speech
from cast import CAST, FIRE, POLICE, TALKGROUPS
from runs import Run
from stage import COMMAND_S, ROOT, Stage, StageError, now_ms
from words import Timeline

ASSETS = ROOT / "tools" / "assets"
PRESS_AT_MS = 250
"""Units press so long after they joined: what logging in sent has left the token bucket of their link by then."""
PARTED_AT_S = {"nl": 4.0, "fr": 3.2, "de": 3.2, "en": 3.2}
"""Each speech file is parted at the pause nearest to this second: `nl-1` and `nl-2`."""
SETTLE_S = 0.4
"""Between two acts: tails are played, the floor is idle."""
HEAL_S = 12.0
"""The gateways dial anew with growing pauses; they have found each other by then."""


class Scene:
    """Plays the acts on a stage that is open."""

    def __init__(self, stage: Stage, timeline: Timeline) -> None:
        """A scene that has not begun."""
        self.stage, self.timeline = stage, timeline
        self.runs: list[Run] = []
        self.calls: list[dict[str, Any]] = []
        self.cuts: list[dict[str, Any]] = []

    # === Props ===

    async def prepare(self) -> None:
        """Parts the speech, and sends each part through the coder alone: what the border delivers is compared with that."""
        folder = self.stage.folder
        for name, at_s in PARTED_AT_S.items():
            source = ASSETS / f"speech-{name}.wav"
            if not source.exists():
                raise StageError(f"{source}: missing; tools/assets/make makes it")
            speech.split(source, at_s, folder / "in" / f"{name}-1.wav", folder / "in" / f"{name}-2.wav")
        paths = list((folder / "in").iterdir())
        await asyncio.gather(*(self.stage.command("examples/codec", path, folder / "codec" / path.name) for path in paths))

    async def listen(self, name: str, label: str, *options: str) -> Run:
        """Starts a listener on the talkgroup of its country and agency."""
        member = CAST[name]
        folder = self.stage.folder
        run = Run(label, member, "listen", member.talkgroup, folder / "logs" / f"{label}.jsonl", folder / "wav" / f"{label}.wav")
        self.runs.append(run)
        await run.start(self.stage, self.timeline.tell, *options)
        return run

    async def talk(self, act: str, name: str, clip: str, heard_by: list[Run], *options: str, **expected: Any) -> Run:
        """Presses the key of a unit and speaks a clip; `heard_by` shall hear all of it unless `expected` says otherwise."""
        member = CAST[name]
        folder = self.stage.folder
        label = f"{act}-{name}"
        run = Run(label, member, "talk", member.talkgroup, folder / "logs" / f"{label}.jsonl", folder / "in" / f"{clip}.wav", clip)
        self.runs.append(run)
        call = {"act": act, "label": label, "ends": "released", "whole_for": [listener.label for listener in heard_by]}
        self.calls.append(call | {"part_for": [], "queued": False, "tier": "normal", "reach": "all", "crosses": True} | expected)
        await run.start(self.stage, self.timeline.tell, "--press-at", str(PRESS_AT_MS), *options)
        return run

    async def done(self, run: Run) -> None:
        """Waits until a talker has ended."""
        length = speech.seconds(run.wav) if run.wav else 0.0
        if await run.ended(length + COMMAND_S) is None:
            await run.stop()

    # === Acts ===

    async def play(self) -> None:
        """All acts in order, then what the gateways say at the end."""
        self.nl = await self.listen("mk-1", "mk-1")
        self.be = await self.listen("cic-1", "cic-1")
        self.fire = await self.listen("brand-4", "brand-4")
        await asyncio.gather(*(run.joined() for run in (self.nl, self.be, self.fire)))
        for act in (self.routine, self.queue, self.emergency, self.late, self.cut):
            await act()
            self.stage.check()
            await asyncio.sleep(SETTLE_S)
        statuses = {authority: self.stage.status(authority) for authority in self.stage.ports}
        await asyncio.gather(*(run.stop() for run in self.runs))
        self.write(statuses)

    async def routine(self) -> None:
        """Police from nl to be; at the same time fire from be to nl, on its own floor."""
        self.timeline.act("1  Routine calls across the border, police and fire at once")
        police = await self.talk("routine", "maas-12", "nl-1", [self.nl, self.be])
        await asyncio.sleep(0.5)
        fire = await self.talk("routine", "feu-7", "de-1", [self.fire])
        await asyncio.gather(self.done(police), self.done(fire))

    async def queue(self) -> None:
        """Maas 13 presses while Lux 1 talks."""
        self.timeline.act("2  Two want to talk: the second waits its turn")
        first = await self.talk("queue", "lux-1", "fr-1", [self.nl, self.be])
        await first.until("granted")
        await asyncio.sleep(1.0)
        second = await self.talk("queue", "maas-13", "nl-2", [self.nl, self.be], queued=True)
        await asyncio.gather(self.done(first), self.done(second))

    async def emergency(self) -> None:
        """Lux 2 in emergency takes the floor from Maas 12, across the border."""
        self.timeline.act("3  An emergency in Belgium takes the floor from a talker in the Netherlands")
        both = [self.nl, self.be]
        labels = [run.label for run in both]
        loser = await self.talk("emergency", "maas-12", "de-2", [], ends="preempted", part_for=labels)
        await loser.until("granted")
        await asyncio.sleep(1.2)
        winner = await self.talk("emergency", "lux-2", "en-1", both, "--emergency", "--end-emergency", tier="emergency")
        await asyncio.gather(self.done(loser), self.done(winner))
        await asyncio.gather(*(run.until("emergency", 2.0, state="ended") for run in both))

    async def late(self) -> None:
        """Three units join in mid-call."""
        self.timeline.act("4  Late joiners hear a call that is under way")
        talker = await self.talk("late", "maas-13", "en-2", [self.nl, self.be])
        await talker.until("granted")
        for name in ("maas-12", "lux-1", "lux-2"):
            await asyncio.sleep(0.6)
            joiner = await self.listen(name, f"late-{name}", "--seconds", "1.5")
            self.calls[-1]["part_for"].append(joiner.label)
        await self.done(talker)
        for run in self.runs[-3:]:
            await run.ended(COMMAND_S)

    async def cut(self) -> None:
        """The border link is cut in mid-call; both sides go on alone; it heals."""
        self.timeline.act("5  The border link is cut in mid-call, both sides go on alone, it heals")
        both = [self.nl, self.be]
        marks = [len(run.events) for run in both]
        near = await self.talk("cut", "maas-12", "nl-1", [self.nl], part_for=[self.be.label], crosses=False)
        await near.until("granted")
        await asyncio.sleep(1.5)
        self.link("drop", "the border link is cut")
        await asyncio.gather(*(run.until("far_side", 4.0, mark, state="away") for run, mark in zip(both, marks)))
        far = await self.talk("cut", "lux-1", "fr-1", [self.be], reach="own_side", crosses=False)
        await asyncio.gather(self.done(near), self.done(far))
        marks = [len(run.events) for run in both]
        self.link("pass", "the border link is whole again")
        await asyncio.gather(*(run.until("far_side", HEAL_S, mark, state="present") for run, mark in zip(both, marks)))
        await asyncio.sleep(0.3)
        await self.done(await self.talk("healed", "lux-2", "nl-2", both))

    def link(self, command: str, what: str) -> None:
        """Cuts or heals the border link."""
        at_ms = self.stage.link(command)
        self.cuts.append({"at_ms": at_ms, "state": command})
        self.timeline.say("border link", what, at_ms)

    # === What the grader reads ===

    def write(self, statuses: dict[str, Any]) -> None:
        """Writes `scene.json`: what was played, and where its traces lie."""
        folder = self.stage.folder
        clips = {path.stem: {"in": f"in/{path.name}", "codec": f"codec/{path.name}"} for path in sorted((folder / "in").iterdir())}
        scene = {
            "start_ms": self.timeline.start_ms,
            "end_ms": now_ms(),
            "homes": {POLICE: "nl", FIRE: "be"},
            "talkgroups": {f"{cc}/{name}": agency for cc, groups in TALKGROUPS.items() for agency, name in groups.items()},
            "clips": clips,
            "runs": [run.described(folder) for run in self.runs],
            "calls": self.calls,
            "cuts": self.cuts,
            "statuses": statuses,
            "records": {authority: f"{authority}/var/records.jsonl" for authority in statuses},
        }
        (folder / "scene.json").write_text(json.dumps(scene, indent=1) + "\n")
