"""What the grader looks at: event logs, WAV files, call records of one scene. Reads files, talks to no process.

Moments are CLOCK_MONOTONIC milliseconds throughout. Runs in the venv of tools/setup.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "grade"))
import audio  # noqa: E402

Event = dict[str, Any]
BEFORE_MS = 500.0
"""A call is looked for in a recording from so long before it was spoken ..."""
AFTER_MS = 1_500.0
"""... until so long after it ended."""

ONSET_MS = 20.0
"""Clips begin in speech; a gap that begins before this lies at its start."""
CATCH_UP_MS = 60.0
"""So late may a jitter buffer play the start of a spurt, and catch up."""


def read_events(path: Path) -> list[Event]:
    """The objects of a file with one JSON object a line; an unfinished last line is left out, a missing file is empty."""
    if not path.exists():
        return []
    events = []
    for line in path.read_text().splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            events.append({"event": "not_json"})
    return events


@dataclass(frozen=True)
class Heard:
    """An utterance in a recording."""

    match: audio.Match
    at_ms: float
    """When its sample 0 came out."""
    from_ms: float
    to_ms: float
    """Between these it is audible."""


class Run:
    """A process of a unit: what it told and, if it listened, what it heard."""

    def __init__(self, folder: Path, fields: dict[str, Any]) -> None:
        """Reads its log; `fields` is its entry in `scene.json`."""
        self.label: str = fields["label"]
        self.who: str = fields["who"]
        self.authority: str = fields["authority"]
        self.kind: str = fields["kind"]
        self.talkgroup: str = fields["talkgroup"]
        self.exit: int | None = fields["exit"]
        self.events = read_events(folder / fields["log"])
        self._wav = folder / fields["wav"] if fields["wav"] else None

    def all(self, name: str, **fields: Any) -> Iterator[Event]:
        """Every event of that name with these fields."""
        return (event for event in self.events if event.get("event") == name and all(event.get(k) == fields[k] for k in fields))

    def first(self, name: str, after_ms: float = 0.0, **fields: Any) -> Event | None:
        """The first one at or after a moment."""
        return next((event for event in self.all(name, **fields) if event["at_ms"] >= after_ms), None)

    @cached_property
    def recording(self) -> Any:
        """Samples of its OUT.wav; None if there is none that can be read."""
        try:
            return audio.load(self._wav) if self._wav else None
        except audio.NotUsable:
            return None

    @cached_property
    def zero_ms(self) -> float | None:
        """When sample 0 of its recording was."""
        connected = self.first("connected")
        return connected["at_ms"] if connected else None


class Call:
    """One press of a key as the scene meant it, with the run that did it."""

    def __init__(self, fields: dict[str, Any], run: Run, clip: str, agency: str) -> None:
        """`fields` is its entry in `scene.json`."""
        self.act: str = fields["act"]
        self.label: str = fields["label"]
        self.ends: str = fields["ends"]
        """`released` or `preempted`."""
        self.whole_for: list[str] = fields["whole_for"]
        self.part_for: list[str] = fields["part_for"]
        self.queued: bool = fields["queued"]
        self.tier: str = fields["tier"]
        self.reach: str = fields["reach"]
        self.crosses: bool = fields["crosses"]
        """Whether it passes every border from beginning to end."""
        self.seam_for: list[str] = fields["seam_for"]
        """Who hears it whole, but in two spurts: a cut makes the own gateway grant it anew."""
        self.run, self.clip, self.agency = run, clip, agency

    @property
    def requested(self) -> Event | None:
        """The press."""
        return self.run.first("requested")

    @property
    def granted(self) -> Event | None:
        """The first grant."""
        return self.run.first("granted")

    @property
    def access_ms(self) -> float | None:
        """From the press to the grant."""
        return self.granted["at_ms"] - self.requested["at_ms"] if self.granted and self.requested else None

    @property
    def spoken_ms(self) -> float | None:
        """When sample 0 of its clip was spoken: at the press, after having queued at the grant."""
        event = self.granted if self.queued else self.requested
        return event["at_ms"] if event else None

    @property
    def end_ms(self) -> float | None:
        """When it was released or revoked."""
        ends = [event["at_ms"] for event in self.run.events if event.get("event") in ("released", "revoked")]
        return max(ends, default=None)


def _asked(call: Call) -> float:
    return call.requested["at_ms"] if call.requested else float("inf")


class Evidence:
    """A folder with `scene.json` and what it names."""

    def __init__(self, folder: Path) -> None:
        """Reads all but the WAV files, which are read when they are looked at."""
        self.folder = folder
        self.scene: dict[str, Any] = json.loads((folder / "scene.json").read_text())
        self.runs = {fields["label"]: Run(folder, fields) for fields in self.scene["runs"]}
        clip_of = {fields["label"]: fields["clip"] for fields in self.scene["runs"]}
        self.calls = [self._call(fields, clip_of[fields["label"]]) for fields in self.scene["calls"]]
        self.statuses: dict[str, Any] = self.scene["statuses"]
        self.records = {authority: read_events(folder / path) for authority, path in self.scene["records"].items()}
        self._found: dict[tuple[str, str], list[Heard]] = {}
        self._coded: dict[str, dict[str, Any]] = {}
        self._clips: dict[tuple[str, str], Any] = {}

    def _call(self, fields: dict[str, Any], clip: str) -> Call:
        run = self.runs[fields["label"]]
        return Call(fields, run, clip, self.scene["talkgroups"][run.talkgroup])

    def home(self, agency: str) -> str:
        """The authority that arbitrates the bridged talkgroup of this agency."""
        return self.scene["homes"][agency]

    def agreements(self, authority: str, agency: str) -> set[str]:
        """The agreements of a country's talkgroup of an agency."""
        return {name for name, (of, *sides) in self.scene["agreements"].items() if of == agency and authority in sides}

    def act(self, name: str) -> list[Call]:
        """The calls of an act, in order."""
        return [call for call in self.calls if call.act == name]

    def listeners(self, agency: str) -> list[Run]:
        """Everybody who listened on the talkgroups of an agency."""
        return [run for run in self.runs.values() if run.kind == "listen" and self.scene["talkgroups"][run.talkgroup] == agency]

    def through(self, agency: str) -> list[Run]:
        """The listeners of an agency that were there from the beginning."""
        late = {label for call in self.act("late") for label in call.part_for}
        return [run for run in self.listeners(agency) if run.label not in late]

    def hops(self, call: Call, listener: Run) -> int:
        """How many borders a call passes to reach a listener: between two partners the home lies."""
        here, there = call.run.authority, listener.authority
        return 0 if here == there else 1 if self.home(call.agency) in (here, there) else 2

    def carries(self, authority: str, call: Call) -> bool:
        """Whether a country's gateway has all of a call: each that takes part, if it crosses, else the talker's own."""
        groups = (group for group, agency in self.scene["talkgroups"].items() if agency == call.agency)
        takes_part = any(group.startswith(f"{authority}/") for group in groups)
        return takes_part and (call.crosses or authority == call.run.authority)

    def before(self, call: Call) -> list[Call]:
        """The calls of the same act and agency that were asked for earlier."""
        return [other for other in self.act(call.act) if other.agency == call.agency and _asked(other) < _asked(call)]

    def links(self, state: str) -> list[Event]:
        """Every time that border links were told to `drop` or `pass`: `at_ms`, and `countries` at their far ends."""
        return [cut for cut in self.scene["cuts"] if cut["state"] == state]

    def cut_in(self, call: Call) -> float | None:
        """When a link was cut while this call lasted."""
        end = call.end_ms or float("inf")
        return next((cut["at_ms"] for cut in self.links("drop") if _asked(call) < cut["at_ms"] < end), None)

    def first_across(self, after_ms: float) -> Call | None:
        """The first call after a moment that crosses."""
        return min((call for call in self.calls if call.crosses and _asked(call) >= after_ms), key=_asked, default=None)

    def ends(self, cut: Event, agency: str) -> list[tuple[Run, str]]:
        """The listeners of an agency at both ends of these links, each with the country behind the link."""
        home = self.home(agency)
        pairs = [(run, far) for run in self.through(agency) for far in cut["countries"] if run.authority == home]
        return pairs + [(run, home) for run in self.through(agency) if run.authority in cut["countries"]]

    def beside(self, cut: Event, agency: str) -> list[Run]:
        """The listeners of an agency at neither end of these links."""
        return [run for run in self.through(agency) if run.authority not in (self.home(agency), *cut["countries"])]

    def clip(self, name: str, kind: str = "in") -> Any:
        """Samples of an utterance: `in` as spoken, `codec` through the coder alone."""
        if (name, kind) not in self._clips:
            self._clips[name, kind] = audio.load(self.folder / self.scene["clips"][name][kind])
        return self._clips[name, kind]

    def window(self, call: Call, listener: Run) -> tuple[Any, float] | None:
        """The part of a recording in which a call may be heard, and when its sample 0 was."""
        if listener.recording is None or listener.zero_ms is None or call.spoken_ms is None:
            return None
        end = max(call.end_ms or 0.0, call.spoken_ms + 1_000.0) + AFTER_MS
        start = max(0, round((call.spoken_ms - BEFORE_MS - listener.zero_ms) * audio.RATE / 1_000))
        stop = max(0, round((end - listener.zero_ms) * audio.RATE / 1_000))
        return listener.recording[start:stop], listener.zero_ms + start * 1_000 / audio.RATE

    def heard(self, call: Call, listener: Run) -> list[Heard]:
        """Every time that a listener heard (a part of) a call, while it may."""
        key = (call.label, listener.label)
        if key not in self._found:
            found, window = [], self.window(call, listener)
            if window is not None:
                samples, zero = window
                for match in audio.find(self.clip(call.clip), samples):
                    moments = (zero + at for at in (match.offset_ms, match.from_ms, match.to_ms))
                    found.append(Heard(match, *moments))
            self._found[key] = found
        return self._found[key]

    def audible(self, call: Call) -> float:
        """The part of a call's speech that the coder alone leaves audible, 0 to 1: noisy consonants resemble nothing."""
        return max((match["heard"] for match in self._coder(call)["matches"]), default=1.0)

    def quality(self, call: Call, listener: Run) -> dict[str, Any] | None:
        """PESQ, edges and gaps of a call as this listener heard it, beside the coder's PESQ; None if it was not heard."""
        window = self.window(call, listener)
        report = audio.grade(self.clip(call.clip), window[0]) if window is not None else {"found": False}
        if not report["found"]:
            return None
        # A start that was played late and caught up leaves silence where it is expected; what became of it, `head_db` tells.
        inside = [(at, ms) for at, ms in report["gaps_at_ms"] if at - report["offset_ms"] > ONSET_MS or ms > CATCH_UP_MS]
        return report | {"gaps": len(inside), "codec_pesq": self._coder(call).get("pesq")}

    def _coder(self, call: Call) -> dict[str, Any]:
        """The grade of the coder alone."""
        if call.clip not in self._coded:
            self._coded[call.clip] = audio.grade(self.clip(call.clip), self.clip(call.clip, "codec"))
        return self._coded[call.clip]
