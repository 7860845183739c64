"""Processes of the simulation beside each other, each with a share of the seeds."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Output:
    """What one process said, and how it ended."""

    lines: list[str]
    status: int


def program(*features: str) -> Path:
    """Builds the simulation, with the selection of tools/lib/common.sh, and tells where it lies."""
    build = ["cargo", "test", "--no-run", "--locked", "--workspace", "--test", "simulation", "--message-format=json-render-diagnostics"]
    windowed = Path("target/.windowed")
    features += tuple(windowed.read_text().split()) if windowed.exists() else ()
    build += [f"--features={feature}" for feature in features]
    built = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=False)
    for line in reversed(built.stdout.splitlines() if built.returncode == 0 else []):
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("target", {}).get("name") == "simulation" and message.get("executable"):
            return Path(message["executable"])
    print("simulate: cargo built no simulation", file=sys.stderr)
    sys.exit(2)


def run(program: Path, test: str, seeds: int, first: int, jobs: int, **environment: str) -> list[Output]:
    """Runs an ignored test of the simulation in `jobs` processes, each with every jobs-th seed."""
    # Told to stop, it stops its processes too.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    jobs = 1 if "TALKBRIDGE_SCRIPT" in os.environ else min(jobs, seeds)
    with tempfile.TemporaryDirectory() as folder:
        running = []
        try:
            for job in range(jobs):
                share = {"FROM": first + job, "SEEDS": (seeds - job + jobs - 1) // jobs, "STEP": jobs, **environment}
                if "TALKBRIDGE_SCRIPT" in os.environ:
                    share["FROM"] = os.environ.get("TALKBRIDGE_FROM", first)
                with open(Path(folder, str(job)), "wb") as out:
                    environ = os.environ | {f"TALKBRIDGE_{name}": str(value) for name, value in share.items()}
                    command = [program, test, "--exact", "--ignored", "--nocapture"]
                    running.append(subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=environ))
            statuses = [child.wait() for child in running]
        finally:
            for child in running:
                child.kill()
        texts = [Path(folder, str(job)).read_text(errors="replace") for job in range(jobs)]
    return [Output(text.splitlines(), status) for text, status in zip(texts, statuses, strict=True)]
