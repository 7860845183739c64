#!/usr/bin/env python3
"""The one entry to measurements; `tools/bench` builds the programs and starts this.

A subcommand is a module with a docstring, `arguments(parser)` and `run(bench)`, which prints a table and returns what goes into
the JSON; `bench.report` takes what is promised. Adding one is a module and a word in `COMMANDS`. Exit status: 0 every promise
kept or none asked for, 1 one missed or a measurement failed, 2 bad usage or a machine that cannot do it, 130 interrupted.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Behind our own folder, whose modules go first.
sys.path += [str(HERE.parent / "netns.d"), str(HERE.parent / "demo.d")]
import capacity  # noqa: E402
import floor  # noqa: E402
import loss  # noqa: E402
import memory  # noqa: E402
import priority  # noqa: E402
import relay  # noqa: E402
from figures import Report  # noqa: E402
from load import Load, LoadError  # noqa: E402

COMMANDS: dict[str, ModuleType] = {module.__name__: module for module in (relay, capacity, floor, loss, memory, priority)}
DEFAULT_JSON = ROOT / "target" / "bench"
FILES = 16_384
"""Descriptors: a load of a thousand terminals has two sockets each."""


@dataclass
class Bench:
    """What a subcommand works with."""

    options: argparse.Namespace
    load: Load
    folder: Path
    """Scratch; stays if a measurement fails."""
    report: Report = field(default_factory=Report)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {"kernel": platform.release(), "processor": models[0] if models else platform.machine(), "cores": os.cpu_count()}


def why_not(options: argparse.Namespace) -> str | None:
    """Why this machine cannot measure, in words that say what to do; None if it can."""
    cores = os.sched_getaffinity(0)
    wanted = {options.relay_core, options.load_core}
    if len(wanted) < 2 or not wanted <= cores:
        return f"relay and load need a core each, of {sorted(cores)}: --relay-core A --load-core B"
    if os.geteuid() != 0:
        return "the capture of loopback needs root; run: sudo tools/bench"
    return None


def arguments() -> argparse.Namespace:
    """What was asked for."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", type=Path, metavar="FILE", help="where the figures go; default target/bench/COMMAND.json")
    common.add_argument("--relay-core", type=int, default=0, metavar="N", help="core of the relay (default 0)")
    common.add_argument("--load-core", type=int, default=1, metavar="N", help="core of everything else (default 1)")
    common.add_argument("--binaries", type=Path, default=ROOT / "target" / "release", metavar="DIR", help=argparse.SUPPRESS)
    common.add_argument("--load", type=Path, default=DEFAULT_JSON / "build" / "release" / "load", metavar="FILE", help=argparse.SUPPRESS)
    parser = argparse.ArgumentParser(prog="tools/bench", description="Measures, and prints tables with what is promised beside them.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        words = (module.__doc__ or "").strip()
        formatter = argparse.RawDescriptionHelpFormatter
        sub = commands.add_parser(name, parents=[common], help=words.splitlines()[0], description=words, formatter_class=formatter)
        module.arguments(sub)
    options = parser.parse_args()
    options.json = options.json or DEFAULT_JSON / f"{options.command}.json"
    return options


def main() -> int:
    """Parses arguments, measures, says how it went."""
    options = arguments()
    reason = why_not(options)
    if reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 2
    # What is started ends with us, in order also on SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard) if hard != resource.RLIM_INFINITY else FILES, hard))
    # The director is load, too.
    os.sched_setaffinity(0, {options.load_core})
    folder, keep = Path(tempfile.mkdtemp(prefix="talkbridge-bench-")), False
    bench = Bench(options, Load(options.load, options.load_core), folder)
    try:
        found = COMMANDS[options.command].run(bench)
    except LoadError as error:
        keep = True
        print(f"bench: {error}\nLogs lie in {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench: interrupted; every process is gone", file=sys.stderr)
        return 130
    finally:
        if not keep:
            shutil.rmtree(folder)
    if bench.report.rows:
        print(f"\n{bench.report.verdict()}", flush=True)
    write(options, found, bench.report)
    return 1 if bench.report.broken else 0


def write(options: argparse.Namespace, found: dict[str, Any], report: Report) -> None:
    """The figures as JSON, with the machine that they are of."""
    options.json.parent.mkdir(parents=True, exist_ok=True)
    said = {"command": options.command, "machine": machine(), **found, "promises": report.as_json()["rows"]}
    options.json.write_text(json.dumps(said, indent=1) + "\n")
    print(f"written to {options.json}")


if __name__ == "__main__":
    sys.exit(main())
