"""From the press of a key to the grant, here and across a border, idle and beside calls that fill 80 % of a link

Two gateways on loopback, each with its units. Here: units of nl press in a talkgroup of their own, and under load hear a call that
takes 80 % of what their own links let out (78 kbit/s, of which one packet of voice takes 16 ms). Across: units of be press in a talkgroup
that nl arbitrates, and under load six calls cross the border each way, 80 % of what it lets out. Beside it what no floor can do without:
the round trip of 40 bytes over the same QUIC to a process that only echoes, once where the grant comes from here, twice across.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neighbours
from load import LoadError, end, on_core
from priority import percentile
from relays import free_ports, listens, wait_for
from table import columns, ratio

if TYPE_CHECKING:
    from bench import Bench

HERE, ACROSS = "here", "across"
IDLE, LOADED = "idle", "80 %"
LIMITS_MS = {HERE: 5.0, ACROSS: 10.0}
"""Of the idle gateway, 95 of 100."""
LEGS = {HERE: 1, ACROSS: 2}
"""Round trips that a grant needs."""
CALLS = 6
"""Each way across the border."""
BORDER_KBPS, UNIT_KBPS = 480, 78
"""Rates at which those calls, and one call, are 80 % of what a link lets out."""
CALL_BYTES, LET_OUT = 7_000, 112.5
"""A call, bytes a second; what a link lets out of each kbit/s, bytes a second (`engine/capacity.rs`)."""
PRESS_ACROSS, PRESS_HERE, CALL_HERE = 2 * CALLS, 2 * CALLS + 1, 2 * CALLS + 2
"""Talkgroups: before them those of the calls from nl, then of those from be."""
UNITS = 4
"""Press in turn."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--rounds", type=int, default=500, metavar="N", help="presses in each case (default 500)")
    parser.add_argument("--every-ms", type=int, default=60, metavar="MS", help="time between two of them (default 60)")


def gateway_toml(country: str, far: str, pki: Path, ports: Mapping[str, int], dialled: int | None) -> str:
    """A gateway's configuration."""
    everybody = f'["{country}/*/*"]'
    rights = "talk = true, ceiling = { tier = \"normal\", level = 16, dispatcher = false }"
    groups = "".join(
        f'[[talkgroup]]\nname = "tg-{group}"\njoin = {everybody}\ntalk = {everybody}\ntimers = {{ t2_s = 600 }}\n' for group in range(CALL_HERE + 1)
    )
    bridges = "".join(
        f'[[bridge]]\nagreement = "EMR-{group}"\nhome = "nl/tg-{group}"\npartner = "be/tg-{group}"\n'
        f"inbound = {{ {rights} }}\noutbound = {{ talk = true }}\n"
        for group in range(PRESS_ACROSS + 1)
    )
    listens = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    far_address = f"127.0.0.1:{dialled}" if dialled else None
    return neighbours.gateway_toml(country, far, pki, listens, BORDER_KBPS, far_address, f"[units]\nrate_kbps = {UNIT_KBPS}\n{groups}{bridges}")


def load_of(rate_kbps: int, calls: int) -> float:
    """What part of what a link lets out so many calls take."""
    return calls * CALL_BYTES / (rate_kbps * LET_OUT)


def row_of(where: str, load: str, took_us: Sequence[float], trip_us: Mapping[str, float | None]) -> dict[str, Any]:
    """One case beside the bare round trips that it needs at least."""
    row: dict[str, Any] = {"where": where, "load": load, "presses": len(took_us)}
    row |= {f"p{part}_us": percentile(took_us, part / 100) for part in (50, 95, 99)}
    for name in ("p50_us", "p99_us"):
        trip = trip_us[name]
        row[f"{name[:3]}_times_bare"] = ratio(row[name], None if trip is None else trip * LEGS[where])
    return row


def trips(took_us: Sequence[float]) -> dict[str, float | None]:
    """The bare round trip."""
    return {f"p{part}_us": percentile(took_us, part / 100) for part in (50, 99)}


def show(rows: Sequence[Mapping[str, Any]], bare: Mapping[str, float | None]) -> str:
    """The table; the last line is what the others are compared with."""
    heads = ["grant", "load", "presses", "50 % us", "95 %", "99 %", "50 % x bare", "99 % x bare"]
    names = ("where", "load", "presses", "p50_us", "p95_us", "p99_us", "p50_times_bare", "p99_times_bare")
    lines = [[row[name] for name in names] for row in rows]
    return columns(heads, [*lines, ["bare QUIC", IDLE, None, bare["p50_us"], None, bare["p99_us"], None, None]])


class Stage:
    """Two gateways on loopback and whoever calls there; what was started ends with it, by its own id."""

    def __init__(self, bench: "Bench") -> None:
        """Nothing is started yet."""
        self.bench = bench
        self.ports: dict[str, dict[str, int]] = {}

    @contextmanager
    def open(self) -> Iterator[None]:
        """Both gateways, their bridges active."""
        options, folder = self.bench.options, self.bench.folder
        free = iter(free_ports())
        self.ports = {country: {name: next(free) for name in ("units", "peers", "console")} for country in ("nl", "be")}
        for country in self.ports:
            self.bench.load.pki(folder / "pki" / country, 2 * CALLS + UNITS, country)
        running = []
        try:
            for country, far in (("nl", "be"), ("be", "nl")):
                (folder / country).mkdir()
                dialled = self.ports["nl"]["peers"] if country == "be" else None
                (folder / country / "gateway.toml").write_text(gateway_toml(country, far, folder / "pki", self.ports[country], dialled))
                running.append(self.start(folder / f"{country}.log", options.relay_core, *self.gateway("run", country)))
            for country, process in zip(("nl", "be"), running):
                wait_for(lambda: self.carries(country), process, f"bridges that carry at {country}; see {folder}/{country}.log")
            yield
        finally:
            for process in running:
                end(process)

    def gateway(self, command: str, country: str, *more: str) -> list[str | Path]:
        """A command of the gateway's program."""
        return [self.bench.options.binaries / "talkbridge", command, *more, "--config", self.bench.folder / country / "gateway.toml"]

    def carries(self, country: str) -> bool:
        """Whether every bridge of a country is active."""
        asked = subprocess.run(self.gateway("status", country, "--json"), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return asked.returncode == 0 and all(bridge["state"] == "active" for bridge in json.loads(asked.stdout)["bridges"])

    def start(self, log: Path, core: int, *command: str | Path, **options: Any) -> subprocess.Popen[Any]:
        """A process on a core."""
        with log.open("wb") as words:
            return subprocess.Popen(command, preexec_fn=on_core(core), **({"stdin": subprocess.DEVNULL, "stdout": words, "stderr": words} | options))

    def place(self, country: str) -> list[str | Path]:
        """Where the units of a country log in."""
        address = f"127.0.0.1:{self.ports[country]['units']}"
        who: list[str | Path] = ["--relay", "talkbridge", "--address", address, "--authority", country, "--listeners", "0"]
        return [*who, "--pki", self.bench.folder / "pki" / country]

    @contextmanager
    def calls(self, country: str, first: int, count: int) -> Iterator[None]:
        """Calls in talkgroups from the first on, by units that do not press, as long as the block lasts."""
        seconds = 30.0 + 2 * self.bench.options.rounds * self.bench.options.every_ms / 1_000
        words = ["--first", str(first), "--seconds", str(seconds), *["--call", "normal:16:0"] * count]
        program: list[str | Path] = [self.bench.options.load, "call", *self.place(country), *words]
        process = self.start(self.bench.folder / f"calls-{country}.log", self.bench.options.load_core, *program)
        try:
            wait_for(lambda: self.talking(country, first, count), process, f"calls; see {self.bench.folder}/calls-{country}.log")
            yield
            if process.poll() is not None:
                raise LoadError(f"the calls ended too early; see {self.bench.folder}/calls-{country}.log")
        finally:
            end(process)

    def talking(self, country: str, first: int, count: int) -> bool:
        """Whether somebody talks in each of those talkgroups."""
        asked = subprocess.run(self.gateway("status", country, "--json"), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        floors = json.loads(asked.stdout)["floors"] if asked.returncode == 0 else []
        wanted = {f"{country}/tg-{group}" for group in range(first, first + count)}
        return wanted <= {floor["talkgroup"] for floor in floors if floor["talker"]}

    def generate(self, *words: str | Path) -> list[float]:
        """What the load generator found, in microseconds."""
        options = self.bench.options
        pace = ["--rounds", str(options.rounds), "--every-ms", str(options.every_ms)]
        command = [options.load, *words, *pace]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, preexec_fn=on_core(options.load_core))
        if done.returncode != 0:
            raise LoadError(f"{words[0]}: {done.stderr.strip()}")
        return json.loads(done.stdout)["took_us"]

    def press(self, country: str, group: int, hears: int | None = None) -> list[float]:
        """Presses in a talkgroup."""
        hearing = ["--hears", str(hears)] if hears is not None else []
        return self.generate("press", *self.place(country), "--units", str(UNITS), "--group", str(group), *hearing)

    def ping(self) -> list[float]:
        """Round trips to an echo on the gateways' core."""
        options, pki = self.bench.options, self.bench.folder / "pki" / "nl"
        port = next(iter(free_ports()))
        where: list[str | Path] = ["--port", str(port), "--pki", pki]
        echo = self.start(self.bench.folder / "echo.log", options.relay_core, options.load, "echo", *where)
        try:
            wait_for(lambda: listens(port), echo, f"echo; see {self.bench.folder}/echo.log")
            return self.generate("ping", *where)
        finally:
            end(echo)


def run(bench: "Bench") -> dict[str, Any]:
    """Measures."""
    stage, took = Stage(bench), {}
    with stage.open():
        took[HERE, IDLE] = stage.press("nl", PRESS_HERE)
        took[ACROSS, IDLE] = stage.press("be", PRESS_ACROSS)
        with stage.calls("nl", CALL_HERE, 1):
            took[HERE, LOADED] = stage.press("nl", PRESS_HERE, CALL_HERE)
        with stage.calls("nl", 0, CALLS), stage.calls("be", CALLS, CALLS):
            took[ACROSS, LOADED] = stage.press("be", PRESS_ACROSS)
    bare = trips(stage.ping())
    rows = [row_of(where, load, took[where, load], bare) for where in (HERE, ACROSS) for load in (IDLE, LOADED)]
    print(show(rows, bare))
    for row in rows:
        if row["load"] == IDLE:
            where = row["where"]
            bench.report.at_most(f"press to grant {where}, 95th percentile", row["p95_us"] / 1_000, LIMITS_MS[where])
    loads = {HERE: load_of(UNIT_KBPS, 1), ACROSS: load_of(BORDER_KBPS, CALLS)}
    return {"rounds": bench.options.rounds, "load_of_link": loads, "rows": rows, "bare_quic": bare}
