"""How many listeners a relay carries on one core until the last of them hears late

One talker, and more and more listeners, until the 99th percentile of the last listener passes 20 ms, the time of a frame: then
frames overtake the relay. Between the last number that it carries and the first that it does not, the space is halved a few
times. Also draws what a delivery costs against the number of listeners. A number at which the load's core is busy for more than
90 % ends the search for that relay: beyond it the load would be measured.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plot import svg
from relay import LOAD_FULL, measure, progress, row_of
from relays import Relay, Scene, by_name, names
from table import columns

if TYPE_CHECKING:
    from bench import Bench

LATE_US = 20_000.0
FIRST, GROWTH = 25, 2
HALVINGS = 3
ASKED = ("talkbridge", "murmurd", "limit")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--most", type=int, default=1_600, metavar="N", help="listeners at most (default 1600)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="for each number (default 1)")
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S", help="of voice in each (default 6)")
    parser.add_argument("--relays", type=names, default=list(ASKED), metavar="NAME,NAME", help=f"default {','.join(ASKED)}")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="where the plot goes; default beside the JSON")
    parser.set_defaults(rate=50, payload=60)


@dataclass(frozen=True)
class Found:
    """Where the search ended."""

    carried: int
    """Most listeners that were carried; 0 if none."""
    until: int | None
    """Fewest that were not; None if the search ended for another reason."""
    why: str


def verdict(row: dict[str, Any]) -> str:
    """`carried`, `late`, or `load` if the load itself could not go on."""
    if row["limited_by_load"]:
        return "load"
    # Without a time nothing reached a listener as it was sent; a frame that was lost has no time.
    late = row["last_p99_us"] is None or row["last_p99_us"] > LATE_US
    return "late" if late or row["delivered"] < 0.99 * row["expected"] else "carried"


def search(tried: Callable[[int], str], most: int) -> Found:
    """Doubles until it is not carried, then halves what lies between. `tried` says what came of a number of listeners."""
    carried, count = 0, FIRST
    while True:
        count = min(count, most)
        came = tried(count)
        if came == "load":
            return Found(carried, None, f"the load's core was busy for more than {LOAD_FULL:.0%} with {count}")
        if came == "late":
            break
        carried = count
        if count == most:
            return Found(carried, None, "no more were asked for")
        count *= GROWTH
    late = count
    for _ in range(HALVINGS):
        middle = (carried + late) // 2
        carried, late = (middle, late) if tried(middle) == "carried" else (carried, middle)
    return Found(carried, late, f"with {late} the last listener hears later than {LATE_US / 1_000:.0f} ms")


def run(bench: "Bench") -> dict[str, Any]:
    """Measures."""
    options, pki = bench.options, bench.folder / "pki"
    bench.load.pki(pki, options.most + 1)
    kinds = by_name(options.binaries, options.load, pki, options.relay_core)
    rows: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    for name in options.relays:
        kind = kinds[name]
        found = search(lambda count, kind=kind: _try(bench, kind, count, rows), min(options.most, kind.LISTENERS_MAX))
        ends.append({"relay": name, "carried": found.carried, "not_carried": found.until, "why": found.why})
    progress("")
    rows.sort(key=lambda row: (options.relays.index(row["relay"]), row["listeners"]))
    heads = ["relay", "listeners", "us each", "process", "last 50%", "99% us", "heard %", "relay", "load"]
    print(columns(heads, [line(row) for row in rows]))
    print()
    for one in ends:
        print(f"  {one['relay']} carries {one['carried']}: {one['why']}")
    path = options.svg or options.json.with_suffix(".svg")
    lines = {name: [(row["listeners"], row["process_us_per_delivery"]) for row in rows if row["relay"] == name] for name in options.relays}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg("What a delivery costs", "listeners", "processor time, us", lines))
    print(f"drawn to {path}")
    return {"seconds": options.seconds, "rounds": options.rounds, "rows": rows, "capacity": ends}


def _try(bench: "Bench", kind: Relay, count: int, rows: list[dict[str, Any]]) -> str:
    scene = Scene(1, count)
    progress(f"{kind.name} with {count} listeners ...")
    rounds = [measure(bench, kind, scene, bench.options.seconds) for _ in range(bench.options.rounds)]
    rows.append(row_of(kind.name, scene, rounds))
    return verdict(rows[-1])


def line(row: dict[str, Any]) -> list[Any]:
    """A row of the table."""
    share = f"{100 * row['delivered'] / row['expected']:.2f}"
    cost = row["cpu_us_per_delivery"], row["process_us_per_delivery"]
    busy = f"{row['relay_busy']:.0%}", f"{row['load_busy']:.0%}"
    return [row["relay"], row["listeners"], *cost, row["last_p50_us"], row["last_p99_us"], share, *busy]
