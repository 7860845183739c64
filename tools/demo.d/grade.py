#!/usr/bin/env python3
"""Grades a scene from its WAV files and JSON logs alone; knows nothing of the processes that made them.

    target/venv/bin/python tools/demo.d/grade.py FOLDER [--json FILE]

FOLDER holds `scene.json` and what it names. Prints a table of measured against promised. Exit status: 0 every promise kept,
1 one broken, 2 the folder cannot be read. The figures of the design decide nothing; where one is missed the table says so.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from evidence import Evidence
from promises import Row, all_rows

HEADS = ("promise", "measured", "promised", "design", "")
GROUPS = {
    "speed": "Speed",
    "sound": "Sound",
    "floor": "The floor",
    "border": "The border links",
    "star": "Three countries",
    "end": "Afterwards",
}
DETAIL = 100
"""Columns for why a promise is broken."""


def table(rows: list[Row], colour: bool) -> str:
    """The rows for people."""
    cells = [(row.promise, row.measured, row.limit, row.tight + (" missed" if row.tight_kept is False else ""), row) for row in rows]
    widths = [max(len(HEADS[place]), *(len(cell[place]) for cell in cells)) for place in range(4)]
    lines, group = ["  " + "  ".join(head.ljust(width) for head, width in zip(HEADS, widths)).rstrip()], ""
    for *texts, row in cells:
        if row.group != group:
            group = row.group
            lines.append(f"{GROUPS.get(group, group)}")
        verdict = "kept" if row.kept else "BROKEN"
        if colour:
            verdict = f"\x1b[{32 if row.kept else 31}m{verdict}\x1b[0m"
        lines.append("  " + "  ".join(text.ljust(width) for text, width in zip(texts, widths)) + f"  {verdict}")
        if not row.kept:
            lines += [f"      {part}" for part in _wrapped(row.detail)]
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for part in text.split("; "):
        if lines[-1] and len(lines[-1]) + len(part) > DETAIL:
            lines.append("")
        lines[-1] += ("; " if lines[-1] else "") + part
    return lines


def verdict(rows: list[Row]) -> str:
    """The last line."""
    broken = [row for row in rows if not row.kept]
    missed = sum(row.tight_kept is False for row in rows)
    text = f"{len(rows) - len(broken)} of {len(rows)} promises kept"
    if missed:
        text += f"; {missed} figure{'s' if missed > 1 else ''} of the design missed"
    return text


def main(arguments: list[str] | None = None) -> int:
    """Grades a folder."""
    parser = argparse.ArgumentParser(description="Grades a scene of the demo.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON, too")
    options = parser.parse_args(arguments)
    try:
        rows = list(all_rows(Evidence(options.folder)))
    except (OSError, KeyError, ValueError) as error:
        print(f"grade: {options.folder}: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    kept = all(row.kept for row in rows)
    print(f"\nMeasured against promised\n\n{table(rows, sys.stdout.isatty())}\n\n{verdict(rows)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"kept": kept, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
