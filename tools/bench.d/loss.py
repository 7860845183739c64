"""Frames in time and the sound of speech on a hop that loses 0 to 30 %, by repeats

One hop between a gateway and a unit loses datagrams, each for itself or in bursts of three (Gilbert-Elliott), in virtual time: the same
figures on every machine. Beside none, one and two repeats: as many as the hop's reports of loss call for. PESQ is the mean over the four
recordings; without loss it is the coder's. Ratio: how many of the frames that miss their time without repeats still miss it.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load import LoadError
from table import columns, ratio

if TYPE_CHECKING:
    from bench import Bench

ROOT = Path(__file__).resolve().parent.parent.parent
TEST = "loss::sounds::the_speech_that_was_asked_for"
PYTHON = ROOT / "target" / "venv" / "bin" / "python"
CHOICES = ("0", "1", "2", "reported")
POINTS = 0.5
"""So much below what the losses explain is promised."""
FRAMES = 100_000
SMOKE_FRAMES = 5_000


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--frames", type=int, default=FRAMES, metavar="N", help=f"frames of each row, a multiple of 5,000 (default {FRAMES})")
    parser.add_argument("--smoke", action="store_true", help="few frames and one recording: only shows that all works")


def limit(loss_percent: float, repeats: int) -> float:
    """Percent of frames in time that are promised: those of which not every copy is lost, less half a point."""
    return (1 - (loss_percent / 100) ** (repeats + 1)) * 100 - POINTS


def still_missing(rows: list[dict[str, Any]], row: dict[str, Any]) -> float | None:
    """Frames not in time, against those on the same path without repeats."""
    without = next(other for other in rows if other["repeats"] == "0" and path(other) == path(row))
    return ratio(100 - row["in_time_percent"], 100 - without["in_time_percent"])


def path(row: dict[str, Any]) -> tuple[str, int]:
    """Which losses."""
    return row["kind"], row["loss_percent"]


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each path: by repeats the percent in time and PESQ, and at the end what the reports make of it."""
    heads = ["losses", *(f"{choice}: {what}" for choice in CHOICES for what in ("%", "PESQ")), "ratio", "delay ms"]
    lines = []
    for one in dict.fromkeys(path(row) for row in rows):
        of = {row["repeats"]: row for row in rows if path(row) == one}
        figures = [cell for choice in CHOICES for cell in (f"{of[choice]['in_time_percent']:.2f}", of[choice]["pesq"])]
        lines.append([f"{one[1]} % {one[0]}", *figures, of["reported"]["missing_ratio"], of["reported"]["delay_p50_ms"]])
    return columns(heads, lines)


def measured(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """What the simulation counted, with the files that it wrote."""
    speech = sorted((ROOT / "tools" / "assets").glob("speech-*.wav"))[: 1 if options.smoke else None]
    frames = SMOKE_FRAMES if options.smoke else options.frames
    asked = {"SPEECH": ":".join(map(str, speech)), "FOLDER": str(folder), "FRAMES": str(frames)}
    environment = os.environ | {f"TALKBRIDGE_{name}": value for name, value in asked.items()}
    command = ["cargo", "test", "--quiet", "--locked", "--test", "simulation", TEST, "--", "--exact", "--ignored", "--nocapture"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    rows = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    if ran.returncode or not rows:
        raise LoadError(f"the simulation ended with {ran.returncode}:\n{ran.stdout[-2_000:]}")
    return rows


def grades(pairs: list[list[str]]) -> list[float | None]:
    """PESQ of each pair of what was spoken and heard."""
    command = [PYTHON, ROOT / "tools" / "grade" / "several.py"]
    graded = subprocess.run(command, input=json.dumps(pairs), stdout=subprocess.PIPE, text=True, check=False)
    if graded.returncode:
        raise LoadError(f"{command[1]} ended with {graded.returncode}")
    return json.loads(graded.stdout)


def run(bench: "Bench") -> dict[str, Any]:
    """Measures."""
    rows = measured(bench.options, bench.folder)
    found = iter(grades([pair for row in rows for pair in row["wavs"]]))
    for row in rows:
        values = [next(found) for _ in row.pop("wavs")]
        known = [value for value in values if value is not None]
        row["pesq"] = sum(known) / len(known) if known else None
        row["missing_ratio"] = still_missing(rows, row)
    print(table(rows))
    if not bench.options.smoke:
        for row in rows:
            if row["kind"] == "independent" and row["repeats"] != "reported" and row["loss_percent"] in (5, 10, 30):
                what = f"in time at {row['loss_percent']} % loss with {row['repeats']} repeats"
                bench.report.at_least(what, row["in_time_percent"], limit(row["loss_percent"], int(row["repeats"])), "%")
    return {"rows": rows}
