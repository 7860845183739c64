#!/usr/bin/env python3
"""Director of the scenes in network namespaces; `tools/netns` builds the programs and starts this.

Exit status: 0 every promise kept, 1 one broken or a scene could not be played, 2 bad usage or a machine that cannot do it,
130 interrupted. Namespaces and processes are removed in every case; the folder with configurations, logs and taps stays if
something broke.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import deaths
import links
import rounds
from figures import Report
from land import ROOT, Land, Office, StageError
from wires import Wires, WiresError, sweep, why_not

Scene = Callable[[Land, Report], Awaitable[None]]
SCENE_S = 60.0
"""A scene takes 4 to 12 s; one that hangs is given up then."""
SCENES: dict[str, tuple[Scene, bool]] = {
    scene.__name__.replace("_", "-"): (scene, module is links) for module in (deaths, links) for scene in module.SCENES
}
"""By name: the scene, and whether it is played on the land with the relay."""
SHORT_ROUNDS = 5


async def perform(folder: Path, options: argparse.Namespace, report: Report) -> None:
    """Makes the network, plays what was asked for, removes everything."""
    wires, lands, places = Wires(), [], []
    try:
        gone = sweep()
        if gone:
            print(f"netns: removed {gone} namespaces that an earlier run left behind")
        wires.open()
        office = Office(folder, options.binaries)
        await office.open()
        lanes: list[Awaitable[None]] = []
        for linked in (False, True):
            names = [name for name in options.scenes if SCENES[name][1] is linked]
            if names:
                traits = {"talkgroups": links.TALKGROUPS, "relay": True, "rate_kbps": links.RATE_KBPS} if linked else {}
                lands.append(Land(wires, office, "linked" if linked else "plain", **traits))
                lanes.append(play(lands[-1], names, report))
        if options.rounds:
            places = rounds.places(wires, office, options.rounds)
            lands += [place.land for place in places]
            # What the rounds say is held back only while scenes say something, too.
            lanes.append(play_rounds(places, options, folder, report, aside=bool(lanes)))
        await asyncio.gather(*lanes)
    finally:
        for land in lands:
            await land.close()
        wires.close()


async def play(land: Land, names: list[str], report: Report) -> None:
    """Scenes one after the other, each with gateways of its own; one that breaks off does not stop the others."""
    for name in names:
        scene, said, begun = SCENES[name][0], report.aside(), time.monotonic()
        said.scene(scene.__doc__ or name)
        try:
            async with asyncio.timeout(SCENE_S):
                await land.open()
                await scene(land, said)
        except (StageError, WiresError, OSError) as error:
            said.broke(str(error))
        except TimeoutError:
            said.broke(f"not over after {SCENE_S:.0f} s")
        await land.anew()
        said.told("seconds", f"{time.monotonic() - begun:.1f}")
        report.take_in(said)


async def play_rounds(places: list[rounds.Place], options: argparse.Namespace, folder: Path, report: Report, aside: bool) -> None:
    """The rounds of random SIGKILLs."""
    said = report.aside() if aside else report
    try:
        with (folder / "rounds.jsonl").open("w") as notes:
            await rounds.play(places, options.rounds, options.seed, notes, said)
    except (StageError, WiresError, OSError) as error:
        said.broke(str(error))
    if aside:
        report.take_in(said)


async def interruptible(folder: Path, options: argparse.Namespace, report: Report) -> bool:
    """Performs; Ctrl-C and SIGTERM end it in order. False if that happened."""
    task = asyncio.ensure_future(perform(folder, options, report))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
        return True
    return False


def arguments() -> argparse.Namespace:
    """What was asked for: `scenes`, by name, and how many `rounds`."""
    parser = argparse.ArgumentParser(
        prog="tools/netns",
        description="Real gateways and units in network namespaces: deaths, freezes, bad links. Without arguments all scenes and 5 rounds.",
        epilog=f"scenes: {' '.join(SCENES)}; `kill` plays only the rounds of random SIGKILLs",
    )
    parser.add_argument("what", nargs="*", metavar="SCENE", help="a scene by name, or kill")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"rounds of random SIGKILLs; default {SHORT_ROUNDS}")
    parser.add_argument("--seed", type=int, default=int(time.time()), metavar="S", help="decides victims and moments; default: the time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was measured as JSON")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target" / "debug", metavar="DIR", help="where the programs lie")
    options = parser.parse_args()
    unknown = [name for name in options.what if name not in (*SCENES, "kill")]
    if unknown:
        parser.error(f"no scene '{unknown[0]}'; there are: {' '.join(SCENES)} kill")
    options.scenes = [name for name in options.what if name != "kill"] if options.what else list(SCENES)
    asked = options.rounds if options.rounds is not None else SHORT_ROUNDS
    options.rounds = asked if not options.what or "kill" in options.what else 0
    options.binaries = options.binaries.resolve()
    return options


def main() -> int:
    """Parses arguments, performs, says how it went."""
    options = arguments()
    reason = why_not()
    if reason:
        print(f"netns: {reason}", file=sys.stderr)
        return 2
    folder, report = Path(tempfile.mkdtemp(prefix="talkbridge-netns-")), Report()
    try:
        finished = asyncio.run(interruptible(folder, options, report))
    except (StageError, WiresError) as error:
        report.broke(str(error))
        finished = True
    if not finished:
        shutil.rmtree(folder)
        print("\nnetns: interrupted; every process and namespace is gone", file=sys.stderr)
        return 130
    print(f"\n{report.verdict()}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    if report.as_json()["kept"]:
        shutil.rmtree(folder)
        return 0
    print(f"Everything that was written lies in {folder}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
