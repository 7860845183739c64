"""Figures over seeds: the samples of all jobs put together, what is read off them, and the limits beside it."""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import jobs

SCENE = "figures::the_scene_that_was_asked_for"
# Seeds without --seeds: as many as the design asks for, or as steady the figure.
SEEDS = {"ladder": 10, "noticed": 200, "alarms": 200, "heal": 200, "flapping": 100, "emergency": 10_000}
# Every figure but the ladder.
NAMES = [name for name in SEEDS if name != "ladder"]


@dataclass
class Figure:
    """A figure of one kind of link; a sample that never came is infinite."""

    at: str
    what: str
    unit: str
    limits: dict[str, dict[str, float] | None]
    samples: list[float]

    def read(self, stat: str) -> float:
        """By nearest rank; nothing measured is never in time."""
        ordered = sorted(self.samples)
        if stat == "sum":
            return sum(ordered)
        if not ordered:
            return math.inf
        if stat == "mean":
            return sum(ordered) / len(ordered)
        percent = 100 if stat == "max" else int(stat.removeprefix("p"))
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]

    def kept(self, stat: str) -> bool:
        match self.limits[stat]:
            case {"atmost": most}:
                return self.read(stat) <= most
            case {"atleast": least}:
                return self.read(stat) >= least
        return True

    def value(self, stat: str) -> str:
        value = self.read(stat)
        digits = 0 if self.unit == "ms" or stat == "sum" else 2
        return "never" if math.isinf(value) else f"{value:.{digits}f}"

    def limit(self, stat: str) -> str:
        match self.limits[stat]:
            case {"atmost": bound}:
                sign = "<="
            case {"atleast": bound}:
                sign = ">="
            case _:
                return ""
        return f"{sign} {bound:.{0 if self.unit != '%' else 1}f}"


def merged(lines: list[str]) -> list[Figure]:
    """One figure for each name, from the JSON lines of all jobs."""
    figures: dict[tuple[str, str], Figure] = {}
    for line in lines:
        if line.startswith("{"):
            part = json.loads(line)
            samples = [math.inf if sample is None else sample for sample in part["samples"]]
            figure = Figure(part["at"], part["what"], part["unit"], dict(part["stats"]), [])
            figures.setdefault((figure.at, figure.what), figure).samples.extend(samples)
    return list(figures.values())


def ladder(figures: list[Figure]) -> list[str]:
    """A table with a column per rung; a limit stands behind what it judges, a breach has a `!`."""
    rungs = list(dict.fromkeys(figure.at for figure in figures))
    by_name = {(figure.at, figure.what): figure for figure in figures}
    rows = dict.fromkeys((figure.what, figure.unit, stat) for figure in figures for stat in figure.limits)
    table = [f"  {'':<46}" + "".join(f"{rung:>17}" for rung in rungs)]
    for what, unit, stat in rows:
        cells = []
        for rung in rungs:
            figure = by_name.get((rung, what))
            cell = "-"
            if figure:
                cell = f"{'' if figure.kept(stat) else '!'}{figure.value(stat)} {figure.limit(stat)}".strip()
            cells.append(f"{cell:>17}")
        table.append(f"  {f'{what}, {stat} {unit}'.strip():<46}" + "".join(cells))
    return table


def listing(figures: list[Figure]) -> list[str]:
    """A line per figure under the link that it belongs to, with the number of samples; a limit stands behind what it judges."""
    lines, at = [], None
    for figure in figures:
        if figure.at != at:
            at = figure.at
            lines.append(f"  {at}")
        values = [f"{stat} {figure.value(stat)} {figure.limit(stat)}".strip() for stat in figure.limits]
        verdict = "" if all(figure.kept(stat) for stat in figure.limits) else "   MISSED"
        name = f"{figure.what}, {figure.unit}" if figure.unit else figure.what
        lines.append(f"    {name:<54}{len(figure.samples):>7}   {'   '.join(values)}{verdict}")
    return lines


def summary(figures: list[Figure]) -> list[dict]:
    """What goes into the JSON file."""
    number = lambda value: None if math.isinf(value) else value
    return [
        {
            "at": figure.at,
            "what": figure.what,
            "unit": figure.unit,
            "samples": len(figure.samples),
            "values": {stat: number(figure.read(stat)) for stat in figure.limits},
            "limits": {stat: limit for stat, limit in figure.limits.items() if limit},
            "kept": all(figure.kept(stat) for stat in figure.limits),
        }
        for figure in figures
    ]


def run(scene: str, options: argparse.Namespace) -> int:
    """Measures a scene over the seeds that are asked for; 1 if a limit is missed, or a seed broke an invariant."""
    seeds = options.seeds or SEEDS[scene]
    outputs = jobs.run(jobs.program(), SCENE, seeds, options.first, options.jobs, SCENE=scene)
    lines = [line for output in outputs for line in output.lines]
    figures = merged(lines)
    print(f"{scene}: {seeds} seeds")
    print("\n".join(ladder(figures) if scene == "ladder" else listing(figures)))
    if options.json:
        Path(options.json).write_text(json.dumps({"scene": scene, "seeds": seeds, "figures": summary(figures)}, indent=2) + "\n")
    noise = ("measured ", "running ", "test ", "{")
    for line in lines:
        if line and not line.startswith(noise):
            print(line)
    missed = [f"{figure.at}: {figure.what}, {stat}" for figure in figures for stat in figure.limits if not figure.kept(stat)]
    measured = sum(line.startswith("measured ") for line in lines)
    if missed:
        print(f"simulate: missed: {'; '.join(missed)}")
    if measured != seeds:
        print(f"simulate: {measured} of {seeds} seeds were measured")
    return 1 if missed or measured != seeds or not figures else 0
