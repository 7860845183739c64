"""What an idle unit costs the gateway in memory

Units log in, join a talkgroup and do nothing but beat for a while; what the gateway's process has grown by, for each of them.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import vitals
from relays import Scene, by_name
from table import columns

if TYPE_CHECKING:
    from bench import Bench

LIMIT_KIB = 64.0
"""An idle unit costs at most so much."""
SETTLE_S = 2.0
"""A gateway that has just started has taken what it needs by then."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--units", type=int, default=1_000, metavar="N", help="how many (default 1000)")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="how long they idle (default 60)")


def kib_each(before: int, after: int, units: int) -> float:
    """What each unit has added."""
    return (after - before) / units


def run(bench: "Bench") -> dict[str, Any]:
    """Measures."""
    options, pki = bench.options, bench.folder / "pki"
    bench.load.pki(pki, options.units)
    gateway = by_name(options.binaries, options.load, pki, options.relay_core)["talkbridge"]
    scene = Scene(1, options.units)
    with gateway.start(bench.folder / "gateway", scene) as running:
        time.sleep(SETTLE_S)
        before = resident(running.pid)
        with bench.load.idle(gateway.place(running, scene)):
            joined = resident(running.pid)
            time.sleep(options.seconds)
            after = resident(running.pid)
    each = kib_each(before, after, options.units)
    row = {"units": options.units, "idle_s": options.seconds, "rss_before_kib": before, "rss_joined_kib": joined}
    row |= {"rss_after_kib": after, "kib_per_unit": each}
    print(columns(["units", "KiB without", "KiB joined", "KiB idle", "KiB each"], [[options.units, before, joined, after, each]]))
    bench.report.at_most(f"an idle unit, of {options.units}", each, LIMIT_KIB, "KiB")
    return {"rows": [row]}


def resident(pid: int, proc: Path = Path("/proc")) -> int:
    """KiB of a process in RAM."""
    return vitals(pid, 0, proc).rss_kib
