"""What a full border does to whom: three times its rate is offered, by class

Two gateways in network namespaces whose border carries 256 kbit/s (`tbf`), and 14 calls of 50 frames a second that want to cross it:
one emergency, which presses last, and normal voice of three levels. There is no bulk voice; the lowest level stands for it. Delay is
that from the talker's packet at its gateway to the listener's at the far one, captured in both namespaces on one clock. Beside it
murmurd behind the same link, with the same calls; it is not told which of them matters.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neighbours
from load import LoadError, end, on_core
from relays import Murmurd, Scene, wait_for
from table import columns
from wires import Leg, Space, Wires, WiresError, sweep, why_not

if TYPE_CHECKING:
    from bench import Bench

RATE_KBPS = 256
ADDED_P99_MS = 20.0
"""What an emergency may take from gateway to gateway on a full link."""
GROWTH_MS = 100.0
"""Delay that is bounded is in the last quarter of a call at most so much above that of the first."""
UNITS, PEERS, CONSOLE = 7001, 7101, 7201
PACKET_BYTES = 160
"""A frame of 60 bytes on a link of ours, with every head: PROTOCOL.md, admission."""


@dataclass(frozen=True)
class Call:
    """Who talks: a class, and what the request says."""

    kind: str
    tier: str
    level: int
    after_ms: int

    def word(self) -> str:
        """As the generator is told."""
        return f"{self.tier}:{self.level}:{self.after_ms}"


def cast() -> list[Call]:
    """The calls, in the order of their talkgroups. One of each level finds the link free; the others find it full."""
    begun = [Call("high", "normal", 48, 0), Call("normal", "normal", 16, 100), Call("bulk", "normal", 0, 200)]
    more = [("high", 48)] * 2 + [("normal", 16)] * 3 + [("bulk", 0)] * 5
    full = [Call(kind, "normal", level, 1_000 + 100 * at) for at, (kind, level) in enumerate(more)]
    return [*begun, *full, Call("emergency", "emergency", 0, 3_000)]


CLASSES = ("emergency", "high", "normal", "bulk")


def percentile(values: Sequence[float], part: float) -> float | None:
    """The value below which that part lies; None of nothing."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else None


def growth(delays: Sequence[float]) -> float | None:
    """How much longer the last quarter of a call took than the first, both at their median; None of a call too short to say."""
    quarter = len(delays) // 4
    first, last = percentile(delays[:quarter], 0.5), percentile(delays[len(delays) - quarter :] if quarter else [], 0.5)
    return None if first is None or last is None else last - first


def of_call(spoken: Mapping[str, Any], noted: Mapping[str, Any]) -> dict[str, Any]:
    """One call: how many frames were offered and came, why others did not, and the delay of each that came."""
    if len(set(noted["frames"])) != len(noted["frames"]):
        raise LoadError(f"talkgroup {noted['group']}: a frame came twice")
    if spoken["refused"] is not None:
        if "no_resources" not in spoken["refused"]:
            raise LoadError(f"the call in talkgroup {spoken['group']} failed: {spoken['refused']}")
        return {"offered": len(spoken["frames"]), "refused": len(spoken["frames"]), "suspended": 0, "dropped": 0, "delays": []}
    for side, what in ((spoken, "talker"), (noted, "listener")):
        if len(side["at_ns"]) != len(side["frames"]):
            raise LoadError(f"the {what} of talkgroup {side['group']}: not as many packets with voice as frames ({len(side['frames'])})")
    sent = dict(zip(spoken["frames"], spoken["at_ns"]))
    delays = [(at_ns - sent[frame]) / 1e6 for frame, at_ns in zip(noted["frames"], noted["at_ns"])]
    missing = set(spoken["frames"]) - set(noted["frames"])
    suspended = len(missing & set(spoken["aside"]))
    return {"offered": len(sent), "refused": 0, "suspended": suspended, "dropped": len(missing) - suspended, "delays": delays}


def by_class(calls: Sequence[Call], spoken: Sequence[Mapping[str, Any]], noted: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The table: calls of a class added up, the worst growth of any of them."""
    rows: dict[str, dict[str, Any]] = {}
    for kind in CLASSES:
        of = [of_call(spoken[at], noted[at]) for at, call in enumerate(calls) if call.kind == kind]
        delays = [delay for call in of for delay in call["delays"]]
        row: dict[str, Any] = {"calls": len(of), **{name: sum(call[name] for call in of) for name in ("offered", "refused", "suspended", "dropped")}}
        row["delivered"] = len(delays)
        row["lost"] = row["offered"] - len(delays)
        row["lost_part"] = row["lost"] / row["offered"] if row["offered"] else None
        row |= {f"added_p{part}_ms": percentile(delays, part / 100) for part in (50, 99)}
        row["added_max_ms"] = max(delays, default=None)
        row["growth_ms"] = max((found for call in of if (found := growth(call["delays"])) is not None), default=None)
        rows[kind] = row
    return rows


def in_order(rows: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether no class lost a greater part than a lower one."""
    parts = [rows[kind]["lost_part"] or 0.0 for kind in CLASSES]
    return all(higher <= lower for higher, lower in zip(parts, parts[1:]))


def gateway_toml(country: str, far: str, pki: Path, border: str, dialled: str | None, groups: int) -> str:
    """A gateway's configuration; units are on its own loopback."""
    everybody = f'["{country}/*/*"]'
    crossing = "".join(
        f'[[talkgroup]]\nname = "tg-{group}"\njoin = {everybody}\ntalk = {everybody}\nemergency = {everybody}\ntimers = {{ t2_s = 600 }}\n'
        f'[[bridge]]\nagreement = "EMR-{group}"\nhome = "nl/tg-{group}"\npartner = "be/tg-{group}"\n'
        'inbound = { talk = true, emergency = true, ceiling = { tier = "emergency", level = 64, dispatcher = false } }\n'
        "outbound = { talk = true, emergency = true }\n"
        for group in range(groups)
    )
    listens = {"units": f"127.0.0.1:{UNITS}", "peers": f"{border}:{PEERS}", "console": f"127.0.0.1:{CONSOLE}"}
    return neighbours.gateway_toml(country, far, pki, listens, RATE_KBPS, f"{dialled}:{PEERS}" if dialled else None, crossing)


class Border:
    """Two namespaces and a narrow border between them; what was started ends with it, by its own id."""

    def __init__(self, bench: "Bench") -> None:
        """Nothing is made yet."""
        self.bench, self.wires = bench, Wires()
        self.spaces: dict[str, Space] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "Border":
        """Makes the network."""
        self._stack.callback(self.wires.close)
        self.wires.open()
        self.spaces = {country: self.wires.gateway(f"bench-{country}") for country in ("nl", "be")}
        self.wires.limit([self.leg(country) for country in self.spaces], RATE_KBPS)
        return self

    def __exit__(self, *why: object) -> None:
        """Ends everything."""
        self._stack.close()

    def leg(self, country: str) -> Leg:
        """The wire of a country to the border."""
        return self.spaces[country].legs["eth1"]

    def start(self, country: str, core: int, *command: str | Path, **options: Any) -> subprocess.Popen[Any]:
        """A process in a country."""
        inside = self.spaces[country].inside(*map(str, command))
        process = subprocess.Popen(inside, preexec_fn=on_core(core), **({"stdin": subprocess.DEVNULL} | options))
        self._stack.callback(end, process)
        return process

    def relay(self, country: str, name: str, *command: str | Path) -> subprocess.Popen[Any]:
        """A relay in a country, with its log."""
        with (self.bench.folder / f"{name}.log").open("wb") as log:
            return self.start(country, self.bench.options.relay_core, *command, stdout=log, stderr=log)

    def play(self, talk: Sequence[str | Path], listen: Sequence[str | Path], calls: Sequence[Call], groups: int) -> tuple[list[Any], list[Any]]:
        """Everybody listens in be, then the calls are made in nl."""
        options, program = self.bench.options, self.bench.options.load
        pipes = {"stdout": subprocess.PIPE, "text": True}
        place = ("--groups", groups, "--listeners", 1)
        ears = self.start("be", options.load_core, program, "listen", *listen, *map(str, place), stdin=subprocess.PIPE, **pipes)
        if ears.stdout.readline().strip() != "ready":
            raise LoadError(f"not every listener joined; logs in {self.bench.folder}")
        words = [word for call in calls for word in ("--call", call.word())]
        length = ("--seconds", str(options.seconds), "--listeners", "0")
        mouths = self.start("nl", options.load_core, program, "call", *talk, *words, *length, **pipes)
        spoken = mouths.communicate(timeout=3 * options.seconds + 60.0)[0]
        # What is on its way arrives.
        time.sleep(1.0)
        noted = ears.communicate(timeout=20.0)[0]
        if mouths.returncode != 0 or ears.returncode != 0:
            raise LoadError("the load broke off; the reason stands above")
        return json.loads(spoken), json.loads(noted)


def ours(bench: "Bench", calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """Our gateways."""
    pki, options = bench.folder / "pki", bench.options
    for country in ("nl", "be"):
        bench.load.pki(pki / country, len(calls), country)
    with Border(bench) as border:
        for country, far in (("nl", "be"), ("be", "nl")):
            folder = bench.folder / country
            folder.mkdir()
            dialled = border.leg(far).address if country == "be" else None
            toml = gateway_toml(country, far, pki, border.leg(country).address, dialled, len(calls))
            (folder / "gateway.toml").write_text(toml)
            border.relay(country, country, options.binaries / "talkbridge", "run", "--config", folder / "gateway.toml")
        for country in ("nl", "be"):
            bridged(border, country, options.binaries / "talkbridge", bench.folder / country / "gateway.toml")
        place = ("--relay", "talkbridge", "--address", f"127.0.0.1:{UNITS}")
        sides = [[*place, "--authority", country, "--pki", pki / country] for country in ("nl", "be")]
        return by_class(calls, *border.play(*sides, calls, len(calls)))


def bridged(border: Border, country: str, program: Path, config: Path, within_s: float = 30.0) -> None:
    """Waits until every bridge carries."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        command = border.spaces[country].inside(str(program), "status", "--json", "--config", str(config))
        asked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if asked.returncode == 0 and all(bridge["state"] == "active" for bridge in json.loads(asked.stdout)["bridges"]):
            return
        time.sleep(0.1)
    raise LoadError(f"the bridges of {country} do not carry within {within_s:.0f} s; see {border.bench.folder}/{country}.log")


def theirs(bench: "Bench", calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """Murmurd in nl; who listens is beyond the border."""
    folder, port = bench.folder / "murmurd", 64_738
    folder.mkdir()
    server = Murmurd(Path("/usr/sbin/murmurd"), bench.options.relay_core)
    command = server.command(folder, port, Scene(len(calls), 1))
    ini = folder / "murmur.ini"
    ini.write_text(ini.read_text().replace("host=127.0.0.1\n", "host=0.0.0.0\n"))
    with Border(bench) as border:
        process = border.relay("nl", "murmurd", *command)
        tables = (f"/proc/{process.pid}/net/udp",)
        wait_for(lambda: hears(port, tables), process, f"murmurd; see {folder}")
        talk = ["--relay", "murmurd", "--address", f"127.0.0.1:{port}"]
        listen = ["--relay", "murmurd", "--address", f"{border.leg('nl').address}:{port}", "--from", border.leg("be").address]
        return by_class(calls, *border.play(talk, listen, calls, len(calls)))


def hears(port: int, tables: Sequence[str]) -> bool:
    """Whether a port is bound in the namespace of a process."""
    return any(line.split()[1].endswith(f":{port:04X}") for table in tables for line in Path(table).read_text().splitlines()[1:])


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="how long it lasts (default 60)")
    parser.add_argument("--ours-alone", action="store_true", help="without murmurd")


def offered_kbps(calls: Sequence[Call]) -> float:
    """What all calls at once would need on the border."""
    return len(calls) * 50 * PACKET_BYTES * 8 / 1_000


def show(name: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints a table."""
    names = ("calls", "offered", "refused", "suspended", "dropped", "delivered", "added_p50_ms", "added_p99_ms", "added_max_ms", "growth_ms")
    print(f"{name}\n{columns(['class', *(word.replace('_', ' ') for word in names)], [[kind, *(row[word] for word in names)] for kind, row in rows.items()])}")


def run(bench: "Bench") -> dict[str, Any]:
    """Measures."""
    reason = why_not()
    if reason:
        raise LoadError(reason)
    sweep()
    calls, report = cast(), bench.report
    try:
        classes = ours(bench, calls)
        show("talkbridge", classes)
        contrast = None if bench.options.ours_alone else theirs(bench, calls)
    except (WiresError, subprocess.TimeoutExpired) as error:
        raise LoadError(str(error)) from None
    if contrast:
        show("murmurd", contrast)
    report.at_most("emergency: frames undelivered for any reason", classes["emergency"]["lost"], 0, "")
    report.at_most("emergency: added delay, 99th percentile", classes["emergency"]["added_p99_ms"], ADDED_P99_MS)
    report.holds("the others lose by level, the lowest first", in_order(classes))
    for kind in CLASSES:
        if classes[kind]["growth_ms"] is not None:
            report.at_most(f"{kind}: how much later a call's end comes than its beginning", classes[kind]["growth_ms"], GROWTH_MS)
    return {"rate_kbps": RATE_KBPS, "offered_kbps": offered_kbps(calls), "classes": classes, "murmurd": contrast}
