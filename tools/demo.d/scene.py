"""The scene: what the units do, act by act. Nothing is judged here; what came of it lies in logs, WAV files and `scene.json`.

Standard library only.
"""

import asyncio
import json
from typing import Any

import speech
from cast import BRIDGES, CAST, CENTRE, HOMES, TALKGROUPS
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
NOTICE_S = 4.0
"""A cut link is noticed within 2 s; the scene goes on after this."""
HEAL_S = 12.0
"""The gateways dial anew with growing pauses; they have found each other by then."""


def _labels(runs: list[Run]) -> list[str]:
    return [run.label for run in runs]


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
        call = {"act": act, "label": label, "ends": "released", "whole_for": _labels(heard_by)}
        usual = {"part_for": [], "seam_for": [], "queued": False, "tier": "normal", "reach": "all", "crosses": True}
        self.calls.append(call | usual | expected)
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
        self.de = await self.listen("ls-1", "ls-1")
        self.police = [self.nl, self.be, self.de]
        self.fire = await self.listen("brand-4", "brand-4")
        await asyncio.gather(*(run.joined() for run in (*self.police, self.fire)))
        for act in (self.routine, self.queue, self.emergency, self.late, self.cut, self.star):
            await act()
            self.stage.check()
            await asyncio.sleep(SETTLE_S)
        statuses = {authority: self.stage.status(authority) for authority in self.stage.ports}
        await asyncio.gather(*(run.stop() for run in self.runs))
        self.write(statuses)

    async def routine(self) -> None:
        """Police from nl to be and de; at the same time fire from be to nl, on its own floor."""
        self.timeline.act("1  Routine calls across the borders, police and fire at once")
        police = await self.talk("routine", "maas-12", "nl-1", self.police)
        await asyncio.sleep(0.5)
        fire = await self.talk("routine", "feu-7", "de-1", [self.fire])
        await asyncio.gather(self.done(police), self.done(fire))

    async def queue(self) -> None:
        """Maas 13 presses while Lux 1 talks."""
        self.timeline.act("2  Two want to talk: the second waits its turn")
        first = await self.talk("queue", "lux-1", "fr-1", self.police)
        await first.until("granted")
        await asyncio.sleep(1.0)
        second = await self.talk("queue", "maas-13", "nl-2", self.police, queued=True)
        await asyncio.gather(self.done(first), self.done(second))

    async def emergency(self) -> None:
        """Lux 2 in emergency takes the floor from Maas 12, across the border."""
        self.timeline.act("3  An emergency in Belgium takes the floor from a talker in the Netherlands")
        loser = await self.talk("emergency", "maas-12", "de-2", [], ends="preempted", part_for=_labels(self.police))
        await loser.until("granted")
        await asyncio.sleep(1.2)
        winner = await self.talk("emergency", "lux-2", "en-1", self.police, "--emergency", "--end-emergency", tier="emergency")
        await asyncio.gather(self.done(loser), self.done(winner))
        await asyncio.gather(*(run.until("emergency", 2.0, state="ended") for run in self.police))

    async def late(self) -> None:
        """Three units join in mid-call."""
        self.timeline.act("4  Late joiners hear a call that is under way")
        talker = await self.talk("late", "maas-13", "en-2", self.police)
        await talker.until("granted")
        for name in ("maas-12", "lux-1", "lux-2"):
            await asyncio.sleep(0.6)
            joiner = await self.listen(name, f"late-{name}", "--seconds", "1.5")
            self.calls[-1]["part_for"].append(joiner.label)
        await self.done(talker)
        for run in self.runs[-3:]:
            await run.ended(COMMAND_S)

    async def cut(self) -> None:
        """The link between nl and be is cut in mid-call; both sides go on alone, de goes on with nl; it heals."""
        self.timeline.act("5  A border link is cut in mid-call: both sides go on alone, the third country notices nothing")
        near = await self.talk("cut", "maas-12", "nl-1", [self.nl, self.de], part_for=[self.be.label], crosses=False)
        await near.until("granted")
        await asyncio.sleep(1.5)
        await self.links("drop", [self.be])
        far = await self.talk("cut", "lux-1", "fr-1", [self.be], reach="own_side", crosses=False)
        await asyncio.gather(self.done(near), self.done(far))
        await self.links("pass", [self.be])

    async def star(self) -> None:
        """Be and de hear each other through nl; both links are cut and each of the three goes on alone; they heal."""
        self.timeline.act("6  Belgium and Germany talk through the Netherlands, lose it, go on alone, find it again")
        partners = [self.be, self.de]
        first = await self.talk("star", "lux-2", "nl-2", self.police)
        await first.until("granted")
        await asyncio.sleep(0.5)
        waiting = {"queued": True, "part_for": _labels([self.nl, self.be]), "seam_for": [self.de.label], "crosses": False}
        second = await self.talk("star", "aachen-5", "de-2", [self.de], **waiting)
        await second.until("granted")
        await asyncio.sleep(1.5)
        await self.links("drop", partners)
        alone = [
            await self.talk("star", name, clip, [listener], reach="own_side", crosses=False)
            for name, clip, listener in (("lux-1", "fr-1", self.be), ("maas-13", "nl-2", self.nl))
        ]
        await asyncio.gather(*(self.done(run) for run in (first, second, *alone)))
        await self.links("pass", partners)
        await self.done(await self.talk("healed", "aachen-6", "en-1", self.police))

    async def links(self, command: str, partners: list[Run]) -> None:
        """Cuts or heals the border links of these listeners' countries; returns once the listeners at both ends know it."""
        there = [run.member.authority for run in partners]
        ends = [(run, CENTRE) for run in partners] + [(self.nl, authority) for authority in there]
        marks = [len(run.events) for run, _ in ends]
        at_ms = self.stage.link(command, there)
        self.cuts.append({"at_ms": at_ms, "state": command, "countries": there})
        what = "is cut" if command == "drop" else "is whole again"
        for authority in there:
            self.timeline.say(f"border link {CENTRE}-{authority}", what, at_ms)
        state, limit_s = ("away", NOTICE_S) if command == "drop" else ("present", HEAL_S)
        told = (run.until("far_side", limit_s, mark, authority=far, state=state) for (run, far), mark in zip(ends, marks))
        await asyncio.gather(*told)

    # === What the grader reads ===

    def write(self, statuses: dict[str, Any]) -> None:
        """Writes `scene.json`: what was played, and where its traces lie."""
        folder = self.stage.folder
        clips = {path.stem: {"in": f"in/{path.name}", "codec": f"codec/{path.name}"} for path in sorted((folder / "in").iterdir())}
        scene = {
            "start_ms": self.timeline.start_ms,
            "end_ms": now_ms(),
            "homes": HOMES,
            "agreements": BRIDGES,
            "talkgroups": {f"{cc}/{name}": agency for cc, groups in TALKGROUPS.items() for agency, name in groups.items()},
            "clips": clips,
            "runs": [run.described(folder) for run in self.runs],
            "calls": self.calls,
            "cuts": self.cuts,
            "statuses": statuses,
            "records": {authority: f"{authority}/var/records.jsonl" for authority in statuses},
        }
        (folder / "scene.json").write_text(json.dumps(scene, indent=1) + "\n")
