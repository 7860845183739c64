"""Cost and delay of a delivered frame, ours beside murmurd, svxreflector and the limit

Every relay has the same load in turn, round after round, each time a fresh process: listeners with sockets of their own, one
talker a talkgroup, 50 frames a second of 60 bytes. Processor time is that of the relay's core (and, beside it, what the kernel
charged to its process) for each delivery; delays are those of a capture of loopback, from the talker's packet to the packet of
the first and of the last listener. The limit is no relay: a sealed packet and one system call for each listener, one thread.

A row whose load core was busy for more than 90 % says more about the load than about the relay: it is marked and not judged. Where
others worked on the relay's core the time of the core is false; how much they did is said, and time is not judged.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from relays import NAMES, Relay, Scene, by_name, names
from table import columns, ratio, summary

if TYPE_CHECKING:
    from bench import Bench

OURS, PEER = "talkbridge", "murmurd"
LISTENERS = (50, 200, 1_000)
GROUPS = Scene(20, 20)
JUDGED = Scene(1, 200)
"""Where the cost is judged."""
CPU_TIMES, DELIVERED, LATER_US = 2.0, 0.999, 1_000.0
"""Ours costs at most so many times the peer's, loses at most so little, and its last listener hears at most so much later."""
LOAD_FULL, OTHERS_MUCH = 0.9, 0.1
"""Shares of a core: the load's from which it is the limit, and what others may take of the relay's."""
SMOKE = Scene(1, 10)
SUMMED = ("delivered", "expected", "packets_out", "frames_heard", "unmatched")
SPREAD = (
    "cpu_us_per_delivery",
    "process_us_per_delivery",
    "first_p50_us",
    "first_p99_us",
    "last_p50_us",
    "last_p99_us",
    "rss_kib",
    "relay_busy",
    "load_busy",
    "others_busy",
)
RATIOS = ("cpu_us_per_delivery", "process_us_per_delivery", "last_p99_us", "rss_kib")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="how many (default 10)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of voice in each (default 10)")
    parser.add_argument("--listeners", type=_numbers, default=list(LISTENERS), metavar="N,N", help="scenes of one talkgroup")
    parser.add_argument("--no-groups", action="store_true", help="without the scene of 20 talkgroups")
    parser.add_argument("--relays", type=names, default=list(NAMES), metavar="NAME,NAME", help="only these (default all)")
    parser.add_argument("--rate", type=int, default=50, metavar="N", help="frames a second (default 50)")
    parser.add_argument("--payload", type=int, default=60, metavar="BYTES", help="of voice in a frame (default 60)")
    parser.add_argument("--smoke", action="store_true", help="a round of a second with 10 listeners, nothing judged: only that all works")


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """One measurement of the generator with the time for each delivery, and the share of the core that others worked for."""
    deliveries, busy = found["cpu_deliveries"] or 1, found["cpu_core_us"] or 1
    others = max(0, found["cpu_core_us"] - found["cpu_soft_us"] - found["cpu_process_us"])
    return found | {
        "cpu_us_per_delivery": found["cpu_core_us"] / deliveries,
        "process_us_per_delivery": found["cpu_process_us"] / deliveries,
        "others_busy": found["relay_busy"] * others / busy,
    }


def row_of(relay: str, scene: Scene, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table from all rounds of a relay in a scene."""
    who = {"relay": relay, "scene": scene.name, "listeners": scene.groups * scene.listeners, "talkers": scene.groups}
    row = who | summary(rounds, SUMMED, SPREAD) | {"rounds": len(rounds)}
    return row | {"limited_by_load": row["load_busy"] > LOAD_FULL}


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every row beside the peer's of the same scene."""
    peers = {row["scene"]: row for row in rows if row["relay"] == PEER}
    others = [row for row in rows if row["relay"] != PEER and row["scene"] in peers]
    return [
        {"relay": row["relay"], "scene": row["scene"]} | {name: ratio(row[name], peers[row["scene"]][name]) for name in RATIOS}
        for row in others
    ]


def judge(bench: "Bench", rows: list[dict[str, Any]]) -> None:
    """Ours against what is promised; what the load limited is told, not judged."""
    peers = {row["scene"]: row for row in rows if row["relay"] == PEER}
    bench.report.scene("What is promised")
    for row in rows:
        where = f"{row['relay']}, {row['scene']}"
        if row["limited_by_load"]:
            bench.report.told(f"{where}: not judged", f"the load's core was busy for {row['load_busy']:.0%}")
            continue
        share = row["delivered"] / row["expected"]
        if row["relay"] != OURS and share < DELIVERED:
            bench.report.told(f"{where}: not judged", f"it delivered {share:.1%}")
            continue
        bench.report.holds(f"{where}: one frame a packet", row["packets_out"] == row["frames_heard"], f"{row['packets_out']} packets")
        if row["relay"] != OURS:
            continue
        bench.report.at_least(f"{where}: delivered", 100 * share, 100 * DELIVERED, "%")
        peer = peers.get(row["scene"])
        if peer is None:
            continue
        if peer["last_p99_us"] is not None:
            limit = peer["last_p99_us"] + LATER_US
            bench.report.at_most(f"{where}: 99th percentile of the last listener", row["last_p99_us"], limit, "us")
        others = max(row["others_busy"], peer["others_busy"])
        if row["scene"] == JUDGED.name and others > OTHERS_MUCH:
            bench.report.told(f"{where}: processor time not judged", f"others took {others:.0%} of the relay's core")
        elif row["scene"] == JUDGED.name:
            times = ratio(row["cpu_us_per_delivery"], peer["cpu_us_per_delivery"])
            bench.report.at_most(f"{where}: processor time, times {PEER}'s", times, CPU_TIMES, "")


def show(rows: list[dict[str, Any]], times: list[dict[str, Any]]) -> None:
    """The table: medians of all rounds, and of the cost the spread."""
    beside = {(one["relay"], one["scene"]): one for one in times}
    lines = []
    for row in rows:
        low, high = row["spread"]["cpu_us_per_delivery"]
        share = 100 * row["delivered"] / row["expected"]
        cost = (row["cpu_us_per_delivery"], f"{low:.1f}-{high:.1f}", row["process_us_per_delivery"])
        compared = beside.get((row["relay"], row["scene"]), {}).get("cpu_us_per_delivery")
        delay = (row["first_p50_us"], row["first_p99_us"], row["last_p50_us"], row["last_p99_us"])
        busy = f"{row['relay_busy']:.0%}", f"{row['load_busy']:.0%}{' !' if row['limited_by_load'] else ''}"
        lines.append([row["scene"], row["relay"], f"{share:.2f}", *cost, compared, *delay, round(row["rss_kib"]), *busy])
    heads = ["scene", "relay", "heard %", "us each", "spread", "process", f"x {PEER}", "first 50%", "99%", "last 50%", "99% us"]
    print(columns([*heads, "KiB", "relay", "load"], lines))


def run(bench: "Bench") -> dict[str, Any]:
    """Measures."""
    options = bench.options
    rounds, seconds = (1, 1.0) if options.smoke else (options.rounds, options.seconds)
    scenes = [SMOKE] if options.smoke else [Scene(1, count) for count in options.listeners] + ([] if options.no_groups else [GROUPS])
    pki = bench.folder / "pki"
    bench.load.pki(pki, max(scene.terminals for scene in scenes))
    kinds = by_name(options.binaries, options.load, pki, options.relay_core)
    chosen = [kinds[name] for name in options.relays]
    rows = []
    for scene in scenes:
        found = play(bench, scene, [kind for kind in chosen if kind.can(scene)], rounds, seconds)
        rows += [row_of(name, scene, each) for name, each in found.items()]
    times = ratios(rows)
    show(rows, times)
    if not options.smoke:
        judge(bench, rows)
    how = {"rounds": rounds, "seconds": seconds, "rate": options.rate, "payload_bytes": options.payload}
    return how | {"rows": rows, "ratio_to_murmurd": times}


def play(bench: "Bench", scene: Scene, kinds: list[Relay], rounds: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """All rounds of a scene, the relays by turns; every other round the other way about, so that none always follows another."""
    found: dict[str, list[dict[str, Any]]] = {kind.name: [] for kind in kinds}
    for number in range(rounds):
        for kind in kinds if number % 2 == 0 else reversed(kinds):
            progress(f"{scene.name}, round {number + 1} of {rounds}, {kind.name} ...")
            found[kind.name].append(measure(bench, kind, scene, seconds))
    progress("")
    return found


def progress(words: str) -> None:
    """What goes on, on a line that the next one takes the place of; nothing in a log."""
    if sys.stdout.isatty():
        print(f"\r\033[K{words}", end="", flush=True)


def measure(bench: "Bench", kind: Relay, scene: Scene, seconds: float) -> dict[str, Any]:
    """A fresh relay under load."""
    options = bench.options
    with kind.start(bench.folder / kind.name, scene) as running:
        place = kind.place(running, scene)
        return figures(bench.load.run(place, running.pid, running.core, seconds, rate=options.rate, payload=options.payload))
