"""The arithmetic of the tables: rounds to one row, ratios between rows, columns of text. Pure. Standard library only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """A figure of several rounds."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Median, least and most of at least one value."""
        values = list(values)
        return cls(median(values), min(values), max(values))


def summary(rounds: Sequence[Row], summed: Iterable[str], spread: Iterable[str]) -> dict[str, Any]:
    """One row of several: some fields added up, of others the median, and under `spread` least and most; of what no round has, None."""
    known = {name: [row[name] for row in rounds if row[name] is not None] for name in spread}
    spreads = {name: Spread.of(values) if values else None for name, values in known.items()}
    return {
        **{name: sum(row[name] for row in rounds) for name in summed},
        **{name: value and value.middle for name, value in spreads.items()},
        "spread": {name: value and [value.least, value.most] for name, value in spreads.items()},
    }


def ratio(part: float | None, whole: float | None) -> float | None:
    """How many times; None if one is missing or it would be of nothing."""
    return part / whole if part is not None and whole else None


def text(value: Any) -> str:
    """A figure with about three digits that count."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value)


def columns(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as text: the first column to the left, figures to the right."""
    lines = [list(heads), *([text(cell) for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    return "\n".join(
        "  " + "  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines
    )
