"""A scene that nobody played: logs and WAV files as a faultless product would leave them, for the grader's own tests.

Every call is heard 50 ms after it was spoken. Tests then spoil one thing and see which promise breaks.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import wavfile

import speech
from cast import BRIDGES, CAST, CENTRE, HOMES, POLICE
from cast import TALKGROUPS as GROUPS

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "grade"))
import audio  # noqa: E402

ASSETS = HERE.parent / "assets"
DELAY_MS = 50.0
DROP_MS, PASS_MS = 22_500.0, 27_000.0
"""The link to be alone."""
DROP_ALL_MS, PASS_ALL_MS, END_MS = 33_500.0, 38_000.0, 43_500.0
"""The links to be and de."""
CUTS = ((DROP_MS, PASS_MS, ["be"]), (DROP_ALL_MS, PASS_ALL_MS, ["be", "de"]))
NOTICED_MS = 1_700.0
CLIPS = {"nl": 4.0, "fr": 3.2, "de": 5.0, "en": 2.0}
TALKGROUPS = {f"{cc}/{name}": agency for cc, groups in GROUPS.items() for agency, name in groups.items()}


@dataclass
class Press:
    """A call of the synthetic scene."""

    act: str
    name: str
    clip: str
    asked: float
    heard: dict[str, tuple[float, float]]
    """For each listener the part of the time in which it hears the call."""
    granted: float = 0.0
    stopped: float = 0.0
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name of its run."""
        return f"{self.act}-{self.name}"


ALWAYS = (0.0, END_MS)
ALL = {"mk-1": ALWAYS, "cic-1": ALWAYS, "ls-1": ALWAYS}
OWN = {"reach": "own_side", "crosses": False}
UNTIL_CUT, UNTIL_ALL_CUT = (0.0, DROP_MS + DELAY_MS), (0.0, DROP_ALL_MS + DELAY_MS)
JOINED = {"late-maas-12": 17_500.0, "late-lux-1": 18_000.0, "late-lux-2": 18_400.0}
PRESSES = [
    Press("routine", "maas-12", "nl-2", 1_000, ALL),
    Press("routine", "feu-7", "en-1", 1_200, {"brand-4": ALWAYS}),
    Press("queue", "lux-1", "fr-1", 4_000, ALL),
    Press("queue", "maas-13", "en-1", 5_000, ALL, granted=7_300, fields={"queued": True}),
    Press("emergency", "maas-12", "de-2", 10_500, {name: (0.0, 11_840.0) for name in ALL}, stopped=11_798, fields={"ends": "preempted"}),
    Press("emergency", "lux-2", "fr-1", 11_795, ALL, fields={"tier": "emergency"}),
    Press("late", "maas-13", "de-2", 16_500, ALL | {label: (at + 60, at + 1_560) for label, at in JOINED.items()}),
    Press("cut", "maas-12", "de-2", 21_500, ALL | {"cic-1": UNTIL_CUT}, fields={"crosses": False}),
    Press("cut", "lux-1", "en-1", 24_300, {"cic-1": ALWAYS}, fields=OWN),
    Press("star", "lux-2", "fr-1", 28_500, ALL),
    Press(
        "star", "aachen-5", "de-2", 30_000, {"mk-1": UNTIL_ALL_CUT, "cic-1": UNTIL_ALL_CUT, "ls-1": ALWAYS},
        granted=31_700, fields={"queued": True, "crosses": False, "seam_for": ["ls-1"]},
    ),
    Press("star", "lux-1", "en-1", 35_400, {"cic-1": ALWAYS}, fields=OWN),
    Press("star", "maas-13", "nl-2", 35_500, {"mk-1": ALWAYS}, fields=OWN),
    Press("healed", "aachen-6", "fr-1", 39_500, ALL),
]


def build(folder: Path) -> None:
    """Writes the faultless scene into an empty folder."""
    for name in ("in", "codec", "logs", "wav"):
        (folder / name).mkdir()
    for name, at_s in CLIPS.items():
        speech.split(ASSETS / f"speech-{name}.wav", at_s, folder / "in" / f"{name}-1.wav", folder / "in" / f"{name}-2.wav")
    for path in (folder / "in").iterdir():
        shutil.copyfile(path, folder / "codec" / path.name)
    scene = {"start_ms": 0.0, "end_ms": END_MS, "homes": HOMES, "agreements": BRIDGES, "talkgroups": TALKGROUPS}
    clips = {path.stem: {"in": f"in/{path.name}", "codec": f"codec/{path.name}"} for path in (folder / "in").iterdir()}
    runs, calls = [], []
    listeners = dict.fromkeys((*ALL, "brand-4"), 100.0) | JOINED
    for number, press in enumerate(PRESSES, 1):
        _talk(folder, press, number)
        runs.append(_run(press.label, press.name, "talk", press.clip, int(press.fields.get("ends") == "preempted")))
        calls.append(_call(press))
    for label, zero in listeners.items():
        _listen(folder, label, zero)
        runs.append(_run(label, label.removeprefix("late-"), "listen", None, 0))
    idle = {group: {"talkgroup": group, "state": "idle", "queue": []} for group in TALKGROUPS}
    floors = {cc: {"floors": [entry for group, entry in idle.items() if group.startswith(cc)]} for cc in GROUPS}
    cuts = [{"at_ms": at, "state": state, "countries": there} for *both, there in CUTS for at, state in zip(both, ("drop", "pass"))]
    scene |= {"clips": clips, "runs": runs, "calls": calls, "cuts": cuts, "statuses": floors}
    scene["records"] = {cc: f"logs/records-{cc}.jsonl" for cc in GROUPS}
    for authority in GROUPS:
        write_lines(folder / f"logs/records-{authority}.jsonl", list(_records(folder, authority)))
    (folder / "scene.json").write_text(json.dumps(scene))


def write_lines(path: Path, events: list[dict[str, Any]]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def _length_ms(folder: Path, clip: str) -> float:
    return speech.seconds(folder / "in" / f"{clip}.wav") * 1_000


def _times(folder: Path, press: Press) -> tuple[float, float, float]:
    """Granted, spoken, ended."""
    granted = press.granted or press.asked + 2.0
    spoken = granted if press.granted else press.asked
    return granted, spoken, press.stopped or spoken + _length_ms(folder, press.clip)


def _talk(folder: Path, press: Press, number: int) -> None:
    granted, _, ended = _times(folder, press)
    here = {"talkgroup": CAST[press.name].talkgroup, "request": 1}
    tier, reach = press.fields.get("tier", "normal"), press.fields.get("reach", "all")
    grant = here | {"event": "granted", "spurt": f"0.{number}", "tier": tier, "duration_s": 30}
    events = [here | {"event": "requested", "at_ms": press.asked}]
    if press.granted:
        events.append(here | {"event": "queued", "at_ms": press.asked + 3, "position": 1})
    events.append(grant | {"at_ms": granted, "reach": reach})
    if press.label == "cut-maas-12":
        events.append(here | {"event": "far_side", "at_ms": DROP_MS + NOTICED_MS, "authority": "be", "state": "away"})
    if press.label == "star-aachen-5":
        events.append(grant | {"at_ms": DROP_ALL_MS + NOTICED_MS, "reach": "own_side"})
    revoked = press.fields.get("ends") == "preempted"
    events.append(here | ({"event": "revoked", "cause": "preempted"} if revoked else {"event": "released"}) | {"at_ms": ended})
    write_lines(folder / "logs" / f"{press.label}.jsonl", events)


def _listen(folder: Path, label: str, zero: float) -> None:
    member = CAST[label.removeprefix("late-")]
    late = label in JOINED
    end = zero + 1_600 if late else END_MS
    out = np.zeros(round((end - zero) * audio.RATE / 1_000) + audio.RATE)
    here = {"talkgroup": member.talkgroup}
    events = [{"event": "connected", "at_ms": zero, "gateway": "gw-1"}, here | {"event": "affiliated", "at_ms": zero + 1}]
    for number, press in enumerate(PRESSES, 1):
        if label in press.heard:
            granted, spoken, ended = _times(folder, press)
            begin, stop = press.heard[label]
            _mix(out, audio.load(folder / "in" / f"{press.clip}.wav"), spoken + DELAY_MS - zero, begin - zero, stop - zero)
            spurt = here | {"spurt": f"0.{number}"}
            since = max(granted + 1, zero + 2)
            via = CENTRE if len({CENTRE, member.authority, CAST[press.name].authority}) == 3 else None
            taken = {"talker": CAST[press.name].identity, "via": via, "tier": press.fields.get("tier", "normal")}
            taken |= {"elapsed_ms": round(since - granted)}
            events.append(spurt | taken | {"event": "taken", "at_ms": since})
            events.append(spurt | {"event": "first_audio", "at_ms": max(spoken + DELAY_MS, begin)})
            cut = next((drop for drop, *_ in CUTS if stop == drop + DELAY_MS), None)
            if not late:
                lost = {"at_ms": cut + 1_750, "lost": True} if cut else {"at_ms": ended + 60, "lost": False}
                events.append(spurt | lost | {"event": "idle"})
    if not late:
        who = {"originator": CAST["lux-2"].identity}
        emergency = ((11_796, "active"), (14_990, "ended"))
        events += [here | who | {"event": "emergency", "at_ms": at, "state": state} for at, state in emergency]
        for drop, healed, there in CUTS:
            behind = there if member.authority == CENTRE else [CENTRE] if member.authority in there else []
            far = ((drop + NOTICED_MS, "away"), (healed + 900, "present"))
            events += [here | {"authority": cc, "event": "far_side", "at_ms": at, "state": state} for cc in behind for at, state in far]
    write_lines(folder / "logs" / f"{label}.jsonl", sorted(events, key=lambda event: event["at_ms"]))
    wavfile.write(folder / "wav" / f"{label}.wav", audio.RATE, np.clip(out, -32_768, 32_767).astype(np.int16))


def _mix(out: Any, clip: Any, at_ms: float, begin_ms: float, stop_ms: float) -> None:
    """Adds a clip to a recording, as far as it lies between two moments."""
    at, begin, stop = (round(ms * audio.RATE / 1_000) for ms in (at_ms, begin_ms, stop_ms))
    first, last = max(at, begin, 0), min(at + len(clip), stop, len(out))
    if first < last:
        out[first:last] += clip[first - at : last - at]


def _run(label: str, name: str, kind: str, clip: str | None, status: int) -> dict[str, Any]:
    member = CAST[name]
    fields = {"label": label, "who": member.identity, "authority": member.authority, "kind": kind, "talkgroup": member.talkgroup}
    return fields | {"log": f"logs/{label}.jsonl", "wav": f"wav/{label}.wav" if kind == "listen" else None, "clip": clip, "exit": status}


def _call(press: Press) -> dict[str, Any]:
    parts = [] if press.fields.get("ends") != "preempted" else [*press.heard]
    parts += [label for label, part in press.heard.items() if part != ALWAYS and label not in parts]
    whole = [label for label in press.heard if label not in parts]
    fields = {"act": press.act, "label": press.label, "ends": "released", "whole_for": whole, "part_for": parts}
    return fields | {"seam_for": [], "queued": False, "tier": "normal", "reach": "all", "crosses": True} | press.fields


def _records(folder: Path, authority: str) -> Iterator[dict[str, Any]]:
    groups = {agency: group for group, agency in TALKGROUPS.items() if group.startswith(authority)}
    for press in PRESSES:
        member = CAST[press.name]
        if member.agency in groups and (press.fields.get("crosses", True) or member.authority == authority):
            granted, _, ended = _times(folder, press)
            record = {"kind": "call", "talkgroup": groups[member.agency], "talker": member.identity}
            record |= {"duration_ms": round(ended - granted)}
            if press.fields.get("reach", "all") == "all":
                crossed = [name for name, (agency, *sides) in BRIDGES.items() if agency == member.agency and authority in sides]
                record |= {"agreement": crossed[0], "further_agreements": crossed[1:]}
            yield record | {"tier": press.fields.get("tier", "normal"), "outcome": press.fields.get("ends", "released")}
    yield from ({"kind": "emergency", "talkgroup": groups[POLICE], "outcome": outcome} for outcome in ("began", "ended"))
