"""What the scenes share: the promised figures, a call with somebody who waits, and waiting for what a unit is told.

Standard library only.
"""

from figures import Report
from land import LISTENS, TALKS, WAITS, Land, Run, StageError, now_ms, other

FREED_MS, FREED_HOME_MS, NOTICED_MS = 1_500.0, 2_500.0, 2_000.0
"""A talker that vanished frees the floor; so does a dead home; a link that is lost is noticed."""
BACK_MS = 10_000.0
"""A link is up again so long after both ends can; one that falls often rests as long."""
TALKING_MS = 3_000.0
"""Clients of a restarted gateway talk again so long after it was started."""
FREEZE_S = 5.0
DISTURBED_MS = 40.0
"""The 99th percentile between two frames of a listener that is not disturbed: 20 ms and as much again."""
RSS_KIB = 1_024


async def call(land: Land, talking: str, waiting: str) -> tuple[Run, Run]:
    """A unit of one country talks, one of the other (or the same) waits its turn."""
    talker = await land.talk(TALKS[talking])
    if not await talker.until("granted"):
        raise StageError(f"{TALKS[talking]} was not granted: {talker.events[-3:]}")
    waits = await land.talk(WAITS[waiting], wav=land.office.word)
    if not await waits.until("queued"):
        raise StageError(f"{WAITS[waiting]} was not queued: {waits.events[-3:]}")
    return talker, waits


async def since(run: Run, at_ms: float, name: str, within_ms: float, **fields: object) -> float | None:
    """How long after a moment a unit is told something; waits a little longer than it may take."""
    mark = len(run.events)
    if run.first(name, at_ms, **fields) is None:
        await run.until(name, within_ms / 1_000 + 1.0, mark, **fields)
    event = run.first(name, at_ms, **fields)
    return event["at_ms"] - at_ms if event else None


async def talks_across(land: Land, report: Report, talking: str) -> None:
    """A fresh call is granted for all sides and heard on the other one."""
    ear = land.ears[other(talking)]
    at_ms = now_ms()
    talker = await land.talk(TALKS[talking], wav=land.office.word)
    granted = await talker.until("granted", reach="all")
    heard = await since(ear, at_ms, "first_audio", 2_000.0)
    report.holds(f"then a call from {talking} crosses", granted and heard is not None, talker.events[-2:])
    await talker.ended(5.0)


def grants(run: Run) -> int:
    """How many spurts a unit was granted; a grant may be said twice."""
    return len({event["spurt"] for event in run.events if event.get("event") == "granted"})
