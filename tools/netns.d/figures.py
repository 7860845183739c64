"""What was measured against what is promised: lines of a table, gaps in a stream of voice, what a process holds.

Pure but for reading files. Standard library only.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

VOICE_BYTES = 70
"""UDP payloads from this length on carry voice; heartbeats and acknowledgements are shorter."""
FRAME_MS = 20.0


@dataclass(frozen=True)
class Row:
    """One line."""

    scene: str
    what: str
    measured: str
    promised: str
    kept: bool
    detail: str = ""


class Report:
    """Prints what was measured while it is measured, and remembers it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.rows: list[Row] = []
        self._scene = ""
        self._held: list[str] | None = None

    def aside(self) -> "Report":
        """A report of something that goes on at the same time: it says nothing until it is taken in."""
        report = Report()
        report._held = []
        return report

    def take_in(self, other: "Report") -> None:
        """Says and remembers what stood in one aside."""
        self.rows += other.rows
        for line in other._held or ():
            self._say(line)

    def scene(self, title: str) -> None:
        """Heads what follows."""
        self._scene = title
        self._say(f"\n{title}")

    def at_most(self, what: str, measured: float | None, limit: float, unit: str = "ms", detail: str = "") -> None:
        """Kept when it was measured and is not above the limit."""
        kept = measured is not None and measured <= limit
        self._add(what, number(measured, unit), f"<= {number(limit, unit)}", kept, detail)

    def at_least(self, what: str, measured: float | None, limit: float, unit: str = "") -> None:
        """Kept when it was measured and is not below the limit."""
        kept = measured is not None and measured >= limit
        self._add(what, number(measured, unit), f">= {number(limit, unit)}", kept)

    def holds(self, what: str, kept: object, detail: object = "") -> None:
        """Kept when it is so."""
        self._add(what, "yes" if kept else "no", "yes", bool(kept), str(detail))

    def broke(self, why: str) -> None:
        """The scene could not be played to its end."""
        self._add("the scene is played to its end", "no", "yes", False, why)

    def told(self, what: str, figures: str) -> None:
        """Says a figure that nothing is promised for."""
        self._say(f"  {what:58} {figures}")

    def _add(self, what: str, measured: str, promised: str, kept: bool, detail: str = "") -> None:
        self.rows.append(Row(self._scene, what, measured, promised, kept, detail))
        self._say(f"  {what:58} {measured:>12}  {promised:>14}  {'kept' if kept else 'BROKEN'}")
        if detail and not kept:
            self._say(f"      {detail}")

    def _say(self, line: str) -> None:
        if self._held is not None:
            self._held.append(line)
        else:
            print(line, flush=True)

    @property
    def broken(self) -> list[Row]:
        """What was not kept."""
        return [row for row in self.rows if not row.kept]

    def verdict(self) -> str:
        """The last lines."""
        lines = [f"  {row.scene}: {row.what}: {row.measured}, promised {row.promised}" for row in self.broken]
        return "\n".join([f"{len(self.rows) - len(self.broken)} of {len(self.rows)} promises kept", *lines])

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"kept": bool(self.rows) and not self.broken, "rows": [asdict(row) for row in self.rows]}


def number(value: float | None, unit: str) -> str:
    """A figure with its unit."""
    if value is None:
        return "not seen"
    text = f"{value:.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.1f}" if unit else f"{value:.3f}"
    return f"{text} {unit}".strip()


def spread(values: list[float]) -> str:
    """Least, middle and most of some milliseconds."""
    return f"min {min(values):.0f}  median {median(values):.0f}  max {max(values):.0f} ms" if values else "none"


@dataclass(frozen=True)
class Packet:
    """A datagram that passed a tapped wire."""

    at_ms: float
    way: str
    bytes: int
    tos: int = 0

    @property
    def voice(self) -> bool:
        """Whether it is long enough to carry voice."""
        return self.bytes >= VOICE_BYTES


def packets(path: Path) -> list[Packet]:
    """What a wiretap noted; an unfinished last line is left out."""
    if not path.exists():
        return []
    lines = (line.split() for line in path.read_text().splitlines())
    return [Packet(float(at), way, int(length), int(tos)) for at, way, length, tos in (line for line in lines if len(line) == 4)]


def voice_intervals(seen: list[Packet], way: str, from_ms: float, to_ms: float) -> list[float]:
    """Milliseconds between one voice datagram and the next, the way given, in a stretch of time; to the end of it, too."""
    at = [packet.at_ms for packet in seen if packet.way == way and packet.voice and from_ms <= packet.at_ms <= to_ms]
    edges = [from_ms, *at, to_ms]
    return [after - before for before, after in zip(edges, edges[1:])]


def longest_gap(seen: list[Packet], way: str, from_ms: float, to_ms: float) -> float:
    """The longest time without voice beyond what lies between two frames."""
    return max(0.0, max(voice_intervals(seen, way, from_ms, to_ms)) - FRAME_MS)


def percentile(values: list[float], part: float) -> float | None:
    """The value below which that part of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None


@dataclass(frozen=True)
class Vitals:
    """What a process holds."""

    sessions: int
    descriptors: int
    threads: int
    rss_kib: int

    def growth(self, before: "Vitals") -> "Vitals":
        """How much more than before."""
        fields = ("sessions", "descriptors", "threads", "rss_kib")
        return Vitals(*(getattr(self, name) - getattr(before, name) for name in fields))


def vitals(pid: int, sessions: int, proc: Path = Path("/proc")) -> Vitals:
    """Of a running process, and the sessions it told of."""
    folder = proc / str(pid)
    rss = next(int(line.split()[1]) for line in (folder / "status").read_text().splitlines() if line.startswith("VmRSS:"))
    return Vitals(sessions, len(os.listdir(folder / "fd")), len(os.listdir(folder / "task")), rss)
