"""SIGKILL at random moments of a call with somebody who waits, round after round; then whether the survivors kept anything.

The victim is the talking unit, the partner's gateway or the home's gateway, each as often, in an order that the seed decides.
A few lands take turns: in some only units and the partner's gateway die, in others only units and the home's, so that in each
one gateway lives through all rounds, and no border falls so often that it is held down. Standard library only.
"""

import asyncio
import json
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from figures import Report, Vitals, spread, vitals
from land import HOME, Land, Office, StageError, now_ms, other
from moves import FREED_HOME_MS, FREED_MS, call, since, talks_across
from wires import Wires

UNIT = "unit"
LIMITS = {UNIT: FREED_MS, other(HOME): FREED_MS, HOME: FREED_HOME_MS}
WORDS = {UNIT: "the talking unit", other(HOME): "the partner's gateway", HOME: "the home's gateway"}
"""For each victim how soon the floor is free, and what people call it."""
LANDS_EACH, LANDS_FEW = 2, 1
FEW = 8
"""Up to so many rounds one land a kind is enough."""
LATEST_S = 1.2
"""The blow falls up to so long after somebody waits."""
ROUND_S = 20.0
FORGET_S = 45.0
"""A gateway forgets a unit that vanished after 30 s at the latest."""
MARGIN = Vitals(sessions=0, descriptors=0, threads=0, rss_kib=1_024)
"""What a survivor may hold more than at its base line: nothing but what the allocator keeps."""
EARS = 1
"""Sessions of units at a survivor between rounds."""
FAILURES_MAX = 3


@dataclass(frozen=True)
class Round:
    """What is decided before it begins."""

    number: int
    victim: str
    """`unit`, or the country whose gateway dies."""
    talking: str
    waiting: str
    after_s: float
    """How long after somebody waits the blow falls."""


def plan(rounds: int, seed: int) -> Iterator[Round]:
    """The rounds of a seed: each victim once in any three, sides and moments at random."""
    rng = random.Random(seed)
    deck: list[str] = []
    for number in range(1, rounds + 1):
        if not deck:
            deck = list(LIMITS)
            rng.shuffle(deck)
        victim, sides = deck.pop(), list(WORDS)[1:]
        talking = rng.choice(sides) if victim == UNIT else victim
        waiting = rng.choice(sides) if victim == UNIT else other(victim)
        yield Round(number, victim, talking, waiting, round(rng.uniform(0.0, LATEST_S), 3))


@dataclass
class Place:
    """A land, the gateway of it that never dies, and what that held at first."""

    land: Land
    survivor: str
    base: Vitals | None = None
    used: int = 0

    async def vitals(self) -> Vitals:
        """What the survivor holds now."""
        status = await self.land.status(self.survivor)
        if status is None:
            raise StageError(f"the gateway of {self.survivor} does not answer, though nobody killed it")
        return vitals(self.land.gateways[self.survivor].pid, len(status["sessions"]))


def places(wires: Wires, office: Office, rounds: int) -> list[Place]:
    """Where so many rounds are played."""
    each = LANDS_FEW if rounds <= FEW else LANDS_EACH
    survivors = [(country, number) for country in (HOME, other(HOME)) for number in range(each)]
    return [Place(Land(wires, office, f"{country}{number}"), country) for country, number in survivors]


async def play(places: list[Place], rounds: int, seed: int, notes: TextIO, report: Report) -> None:
    """All rounds, each a line of `notes`, then the survivors."""
    report.scene(f"SIGKILL at random moments: {rounds} rounds, seed {seed}")
    begun = time.monotonic()
    for place in places:
        await place.land.open()
        await _warm(place, report.aside())
    freed: dict[str, list[float]] = {victim: [] for victim in LIMITS}
    failures = 0
    for decided in plan(rounds, seed):
        place = min((place for place in places if place.survivor != decided.victim), key=lambda place: place.used)
        place.used = decided.number
        took, why = await _play(place, decided)
        notes.write(json.dumps(asdict(decided) | {"land": place.land.name, "freed_ms": took, "why": why}) + "\n")
        if took is None or took > LIMITS[decided.victim]:
            failures += 1
            report.at_most(f"round {decided.number}, {WORDS[decided.victim]}: floor free", took, LIMITS[decided.victim], detail=why)
        if took is not None:
            freed[decided.victim].append(took)
        if failures >= FAILURES_MAX:
            report.broke(f"given up after {failures} rounds that failed; seed {seed}")
            break
        if decided.number % 20 == 0:
            report.told(f"{decided.number} rounds", f"{time.monotonic() - begun:.0f} s")
    for victim, times in freed.items():
        report.at_most(f"floor free, {WORDS[victim]}, slowest of {len(times)}", max(times, default=None), LIMITS[victim])
        report.told(f"floor free, {WORDS[victim]}", spread(times))
    for place in places:
        await _judge(place, report)
    report.told("seconds", f"{time.monotonic() - begun:.1f}")


async def _warm(place: Place, unheard: Report) -> None:
    """A call each way first: what a gateway needs for its first call it keeps, and rightly so."""
    for country in (HOME, other(HOME)):
        await talks_across(place.land, unheard, country)
    if unheard.broken:
        raise StageError(f"{place.land.name}: no call crosses: {unheard.broken[0].detail}")
    await _forgotten(place, EARS)
    place.base = await place.vitals()


async def _play(place: Place, decided: Round) -> tuple[float | None, str]:
    """One round; how long the floor stayed taken, or why it cannot be said."""
    land = place.land
    try:
        async with asyncio.timeout(ROUND_S):
            await land.bridged()
            talker, waits = await call(land, decided.talking, decided.waiting)
            await asyncio.sleep(decided.after_s)
            victim = talker if decided.victim == UNIT else land.gateways[decided.victim]
            at_ms = land.signal(victim, signal.SIGKILL)
            took = await since(waits, at_ms, "granted", LIMITS[decided.victim])
            if await waits.ended(5.0) != 0:
                return None, f"who waited ended with {waits.exit}: {waits.events[-3:]}"
            if decided.victim != UNIT:
                # Its unit would come back and go on talking.
                land.signal(talker, signal.SIGKILL)
                await land.gateways[decided.victim].wait()
                await land.start_gateway(decided.victim)
            await land.until(place.survivor, _is_quiet, "an idle floor", 3.0)
            return took, "" if took is not None else f"not granted: {waits.events[-3:]}"
    except (StageError, ProcessLookupError) as error:
        return None, str(error)
    except TimeoutError:
        return None, f"not over after {ROUND_S:.0f} s"


def _is_quiet(status: dict[str, Any]) -> bool:
    return all(floor["state"] == "idle" and not floor["queue"] for floor in status["floors"])


async def _forgotten(place: Place, sessions: int) -> None:
    """Waits until a survivor has forgotten all but so many sessions."""
    await place.land.until(place.survivor, lambda status: len(status["sessions"]) <= sessions, "sessions forgotten", FORGET_S)


async def _judge(place: Place, report: Report) -> None:
    """What a survivor holds more than at its base line."""
    who = f"the gateway of {place.survivor} in {place.land.name}"
    assert place.base is not None
    try:
        await place.land.bridged()
        await _forgotten(place, place.base.sessions)
        now = await place.vitals()
    except (StageError, TimeoutError) as error:
        report.broke(f"{who}: {error}")
        return
    growth = now.growth(place.base)
    report.at_most(f"{who}: sessions more", growth.sessions, MARGIN.sessions, "")
    report.at_most(f"{who}: descriptors more", growth.descriptors, MARGIN.descriptors, "")
    report.at_most(f"{who}: threads more", growth.threads, MARGIN.threads, "")
    report.at_most(f"{who}: memory more", growth.rss_kib, MARGIN.rss_kib, "KiB")
    report.told(f"{who}: at the end", f"{now.sessions} sessions, {now.descriptors} descriptors, {now.threads} threads, {now.rss_kib} KiB")
