#!/usr/bin/env python3
"""Director of the demo: sets the stage, plays the scene, has it graded. `tools/demo` builds the programs and starts this.

Exit status: 0 every promise kept, 1 a promise broken or the scene could not be played, 130 interrupted. The folder with all
configurations, logs and WAV files is removed at the end unless something went wrong or --keep was given.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from cast import BRIDGES, CAST, CENTRE
from ending import interruptible
from scene import Scene
from speech import seconds
from stage import HERE, ROOT, Stage, StageError
from words import Timeline

LIMIT_S = 120.0
"""The scene takes 50 s; whatever hangs is given up then."""
GRADE_S = 60.0
JOIN = (("Netherlands", "maas-13", "maas-12", "nl"), ("Belgium", "lux-1", "lux-2", "fr"), ("Germany", "aachen-5", "aachen-6", "de"))
"""For each country who may listen, who may talk, and in which language, after --keep."""


async def perform(folder: Path, options: argparse.Namespace) -> int:
    """Plays and grades; returns the exit status."""
    stage = Stage(folder, options.binaries, options.keep)
    verdict, go_on, interrupted = 1, False, False
    try:
        async with asyncio.timeout(LIMIT_S):
            begun = time.monotonic()
            await stage.build()
            timeline = Timeline()
            scene = Scene(stage, timeline)
            await asyncio.gather(stage.open(), scene.prepare())
            timeline.restart()
            timeline.say("stage", f"{_said(stage)}; ready in {time.monotonic() - begun:.1f} s")
            await scene.play()
        if not options.keep:
            # What the gateways still have to write is graded, too.
            await stage.close()
        verdict = await grade(stage, options)
        go_on = options.keep
        return verdict
    except asyncio.CancelledError:
        interrupted = True
        raise
    except TimeoutError:
        raise StageError(f"the scene was not over after {LIMIT_S:.0f} s") from None
    finally:
        await stage.close(leave_running=go_on)
        if go_on:
            print(how_to_go_on(stage))
        elif interrupted or (verdict == 0 and not options.keep):
            shutil.rmtree(folder)
        else:
            print(f"\nEverything that was written lies in {folder}", file=sys.stderr)


async def grade(stage: Stage, options: argparse.Namespace) -> int:
    """Runs the grader, a program of its own that knows the files only."""
    result = ("--json", options.json.resolve()) if options.json else ()
    process = await stage.start(sys.executable, HERE / "grade.py", stage.folder, *result)
    try:
        return await asyncio.wait_for(process.wait(), GRADE_S)
    except TimeoutError:
        raise StageError(f"the grader was not done after {GRADE_S:.0f} s") from None


def how_to_go_on(stage: Stage) -> str:
    """Commands to join, talk, look and stop, ready to be copied."""
    unit, gateway = (_shown(stage.binaries / name) for name in ("talkbridge-unit", "talkbridge"))
    pids = " ".join(str(process.pid) for process in stage.long_lived.values())
    lines = []
    for country, listener, talker, language in JOIN:
        speech_file = ROOT / "tools" / "assets" / f"speech-{language}.wav"
        heard = f"{stage.folder}/heard-{CAST[listener].authority}.wav"
        lines += [f"{country}, listen", f"  {_as(stage, unit, 'listen', listener)} --wav {heard}"]
        lines += [f"{country}, talk", f"  {_as(stage, unit, 'talk', talker)} --wav {_shown(speech_file)}"]
    return f"""
The gateways go on running, configured in {stage.folder}

{chr(10).join(lines)}
  ({seconds(speech_file):.0f} s of speech; --emergency --end-emergency for an emergency call)
what a gateway does
  {gateway} status --config {stage.folder}/{CENTRE}/gateway.toml
cut a border
  echo drop > {stage.control("be")}      (`pass` heals it, `delay 80` makes it slow; the other one: {stage.control("de").name})
stop and clean up
  kill {pids}; rm -r {stage.folder}"""


def _as(stage: Stage, unit: str, command: str, name: str) -> str:
    member = CAST[name]
    return f"{unit} {command} --config {stage.folder}/{member.authority}/units/{name}.toml --talkgroup {member.talkgroup}"


def _said(stage: Stage) -> str:
    *others, last = stage.ports
    return f"certificates of {', '.join(others)} and {last}, {len(stage.ports)} gateways, {len(BRIDGES)} bridges"


def _shown(path: Path) -> str:
    """A path as one would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def main() -> int:
    """Parses arguments, performs."""
    parser = argparse.ArgumentParser(prog="tools/demo", description="Plays a scene across a border and grades it.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the graded table as JSON")
    parser.add_argument("--keep", action="store_true", help="leave the gateways running and say how to join and talk")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target" / "debug", metavar="DIR", help="where the programs lie")
    options = parser.parse_args()
    options.binaries = options.binaries.resolve()
    folder = Path(tempfile.mkdtemp(prefix="talkbridge-demo-"))
    try:
        return asyncio.run(interruptible("demo", perform(folder, options)))
    except StageError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
