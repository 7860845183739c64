"""Scenes of processes that die or freeze: talking unit, listener, the gateway of the partner and of the home.

Each plays on a land whose gateways run, and says what was measured. Standard library only.
"""

import asyncio
import signal

from figures import FRAME_MS, Report, longest_gap, packets, percentile, vitals, voice_intervals
from land import HOME, LISTENS, TALKS, WAITS, Land, now_ms, other
from moves import (
    BACK_MS,
    DISTURBED_MS,
    FREED_HOME_MS,
    FREED_MS,
    FREEZE_S,
    NOTICED_MS,
    RSS_KIB,
    TALKING_MS,
    call,
    since,
    talks_across,
)


async def _dies(land: Land, report: Report, talking: str, victim: str, limit_ms: float) -> None:
    waiting = other(talking)
    talker, waits = await call(land, talking, waiting)
    await asyncio.sleep(0.5)
    at_ms = land.signal(talker if victim == "unit" else land.gateways[victim], signal.SIGKILL)
    freed = await since(waits, at_ms, "granted", limit_ms)
    report.at_most("floor free: who waited is granted", freed, limit_ms)
    if victim == "unit":
        for country, ear in land.ears.items():
            shown = await since(ear, at_ms, "taken", limit_ms, talker=waits.member.identity)
            report.at_most(f"the listener in {country} is shown who follows", shown, limit_ms)
        await waits.ended(5.0)
        return
    far = land.ears[other(victim)]
    noticed = await since(far, at_ms, "far_side", NOTICED_MS, state="away")
    report.at_most(f"{victim} seen away by the listener in {other(victim)}", noticed, NOTICED_MS)


async def unit_killed(land: Land, report: Report) -> None:
    """SIGKILL of the talking unit"""
    await _dies(land, report, "be", "unit", FREED_MS)
    await talks_across(land, report, "be")


async def partner_killed(land: Land, report: Report) -> None:
    """SIGKILL of the partner's gateway while its unit talks"""
    await _dies(land, report, "be", "be", FREED_MS)


async def home_killed(land: Land, report: Report) -> None:
    """SIGKILL of the home's gateway while its unit talks"""
    await _dies(land, report, "nl", "nl", FREED_HOME_MS)


async def restarted(land: Land, report: Report) -> None:
    """The home's gateway is killed under a call and started again"""
    talker = await land.talk(TALKS[HOME])
    await talker.until("granted")
    await asyncio.sleep(0.5)
    mark, killed = len(land.ears[HOME].events), land.signal(land.gateways[HOME], signal.SIGKILL)
    await land.gateways[HOME].wait()
    started = await land.start_gateway(HOME)
    ear = land.ears[HOME]
    await ear.until("affiliated", 6.0, mark)
    report.at_most("its listener has joined again after the start", await since(ear, started, "affiliated", TALKING_MS), TALKING_MS)
    again = await land.talk(WAITS[HOME], wav=land.office.word)
    report.at_most("a unit that logs in anew is granted", await since(again, started, "granted", TALKING_MS), TALKING_MS)
    far = land.ears[other(HOME)]
    present = await since(far, killed, "far_side", BACK_MS, state="present")
    report.at_most("the link is up again, as the far listener sees", present, BACK_MS)
    await talker.stop()
    await again.ended(5.0)
    await talks_across(land, report, other(HOME))


async def _gateway_frozen(land: Land, report: Report, victim: str) -> None:
    talker, waits = await call(land, victim, other(victim))
    far, near = land.ears[other(victim)], land.ears[victim]
    await asyncio.sleep(0.5)
    at_ms = land.signal(land.gateways[victim], signal.SIGSTOP)
    limit = FREED_HOME_MS if victim == HOME else FREED_MS
    report.at_most("floor free: who waited is granted", await since(waits, at_ms, "granted", limit), limit)
    noticed = await since(far, at_ms, "far_side", NOTICED_MS, state="away")
    report.at_most(f"{victim} seen away by the listener in {other(victim)}", noticed, NOTICED_MS)
    await asyncio.sleep(max(0.0, FREEZE_S - (now_ms() - at_ms) / 1_000))
    woken = land.signal(land.gateways[victim], signal.SIGCONT)
    present = await since(far, woken, "far_side", BACK_MS, state="present")
    report.at_most("seen back after it goes on", present, BACK_MS)
    old = far.first("taken", at_ms, talker=talker.member.identity)
    report.holds("what it held before is not heard again", old is None or old["at_ms"] - woken > (present or 0.0), old)
    await talker.stop()
    await near.until("affiliated", 8.0)
    await talks_across(land, report, other(victim))


async def partner_frozen(land: Land, report: Report) -> None:
    """SIGSTOP of the partner's gateway for 5 s while its unit talks"""
    await _gateway_frozen(land, report, "be")


async def home_frozen(land: Land, report: Report) -> None:
    """SIGSTOP of the home's gateway for 5 s while its unit talks"""
    await _gateway_frozen(land, report, "nl")


async def talker_frozen(land: Land, report: Report) -> None:
    """SIGSTOP of the talking unit for 3 s"""
    talker, waits = await call(land, "nl", "be")
    await asyncio.sleep(0.5)
    at_ms = land.signal(talker, signal.SIGSTOP)
    freed = await since(waits, at_ms, "granted", FREED_MS)
    report.at_most("floor free: who waited is granted", freed, FREED_MS)
    await asyncio.sleep(max(0.0, 3.0 - (now_ms() - at_ms) / 1_000))
    woken = land.signal(talker, signal.SIGCONT)
    told = await talker.until("revoked", 2.0)
    report.holds("when it goes on it is told that its turn is over", told, talker.events[-3:])
    await asyncio.sleep(0.5)
    old = [ear.first("taken", woken, talker=talker.member.identity) for ear in land.ears.values()]
    report.holds("what it said late is not heard", not any(old), old)


async def listener_frozen(land: Land, report: Report) -> None:
    """SIGSTOP of a listener for 6 s"""
    frozen, ear = await land.listen(WAITS["be"]), land.ears["be"]
    tap = await land.tap(LISTENS["be"])
    talker = await land.talk(TALKS["nl"])
    await talker.until("granted")
    await asyncio.sleep(0.7)
    gateway = land.gateways["be"].pid
    before = vitals(gateway, 0)
    at_ms = land.signal(frozen, signal.SIGSTOP)
    await asyncio.sleep(6.0)
    after = vitals(gateway, 0)
    woken = land.signal(frozen, signal.SIGCONT)
    seen = packets(tap)
    report.at_most("others: 99th percentile between two frames", percentile(voice_intervals(seen, "out", at_ms, woken), 0.99), DISTURBED_MS)
    report.told("others: longest time between two frames", f"{longest_gap(seen, 'out', at_ms, woken) + FRAME_MS:.0f} ms")
    report.at_most("its gateway's memory has grown", after.growth(before).rss_kib, RSS_KIB, "KiB")
    report.holds("others: no talker was lost", ear.first("idle", at_ms, lost=True) is None)
    report.at_most("it hears again after it goes on", await since(frozen, woken, "first_audio", TALKING_MS), TALKING_MS)


SCENES = (unit_killed, partner_killed, home_killed, restarted, partner_frozen, home_frozen, talker_frozen, listener_frozen)
