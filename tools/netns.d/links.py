"""Scenes of bad links: a border that drops one way, loses, is slow or reorders, and a unit that gets another port under way.

Each plays on a land whose gateways run, and says what was measured. Standard library only.
"""

import asyncio

from typing import Any

from figures import Report, longest_gap, number, packets
from land import LISTENS, TALKS, WAITS, Land, Run, now_ms, other
from moves import BACK_MS, NOTICED_MS, grants, since, talks_across

REBOUND_MS = 200.0
"""A call goes on over another port after one round trip and this."""
EXPEDITED = 46 << 2
"""The TOS byte of voice: expedited forwarding."""
LOSS = 0.3
VOICE_AT_LOSS = 0.64
"""Without repeats a link that loses 30 % delivers 70 %; of 500 frames 64 % are three deviations away."""
GRANT_AT_LOSS_MS = 1_500.0
ACCESS_MS = 300.0
DELIVERED = 0.99
CALL_S = 8.0
EMERGENCY_GROUP = 6
TALKGROUPS, RATE_KBPS = EMERGENCY_GROUP, 256
# Calls that a border of that rate carries.
CARRIED = 3
"""Of the land that these scenes are played on."""


async def _one_way(land: Land, report: Report, deaf: str) -> None:
    """What comes from the other country's border wire no longer arrives in `deaf`."""
    talker = await land.talk(TALKS["nl"])
    await talker.until("granted")
    await asyncio.sleep(0.5)
    at_ms = now_ms()
    land.wires.drop([land.spaces[other(deaf)].legs["eth1"]])
    for country, ear in land.ears.items():
        report.at_most(f"noticed in {country}", await since(ear, at_ms, "far_side", NOTICED_MS, state="away"), NOTICED_MS)
    ear = land.ears["be"]
    report.at_most("the lost talker's listener is told", await since(ear, at_ms, "idle", NOTICED_MS, lost=True), NOTICED_MS)
    near = land.ears["nl"]
    report.holds("the talker's own country hears on", near.first("idle", at_ms, lost=True) is None)
    await talker.stop()
    healed = now_ms()
    land.wires.heal(land.borders())
    for country, ear in land.ears.items():
        report.at_most(f"healed, and seen in {country}", await since(ear, healed, "far_side", BACK_MS, state="present"), BACK_MS)
    await talks_across(land, report, deaf)


async def one_way_to_home(land: Land, report: Report) -> None:
    """The border drops what goes from be to nl"""
    await _one_way(land, report, "nl")


async def one_way_to_partner(land: Land, report: Report) -> None:
    """The border drops what goes from nl to be"""
    await _one_way(land, report, "be")


async def _rebound(land: Land, report: Report, moved: str, heard: str) -> None:
    """A unit behind NAT gets another port three times during a call; what another, or the same, hears of it is measured."""
    leg = land.seat(moved).legs["eth0"]
    land.wires.hide(leg)
    tap = await land.tap(heard)
    if heard not in LISTENS.values():
        await land.listen(heard)
    talker = await land.talk(TALKS["nl"])
    await talker.until("granted")
    await asyncio.sleep(1.0)
    gaps, ports = [], [land.wires.seen_from(leg)]
    for _ in range(3):
        at_ms = now_ms()
        land.wires.rebind(leg)
        await asyncio.sleep(1.5)
        ports.append(land.wires.seen_from(leg))
        gaps.append(longest_gap(packets(tap), "out", at_ms - 20.0, at_ms + 1_500.0))
    report.at_most("longest gap in what is heard abroad, of three changes", max(gaps), REBOUND_MS)
    changed = None not in ports and all(one != other for one, other in zip(ports, ports[1:]))
    report.holds("its gateway saw it on another port each time", changed, ports)
    ended = [run.first("idle", lost=True) or run.first("disconnected") for run in (*land.ears.values(), talker)]
    report.holds("the call goes on under one grant", not any(ended) and grants(talker) == 1, ended)
    marks = {packet.tos for packet in packets(tap)}
    report.holds("every packet is marked as voice", marks == {EXPEDITED}, marks)
    await talker.stop()


async def rebound(land: Land, report: Report) -> None:
    """A talking unit behind NAT gets another port"""
    await _rebound(land, report, TALKS["nl"], LISTENS["be"])


async def rebound_listener(land: Land, report: Report) -> None:
    """A listening unit behind NAT gets another port"""
    await _rebound(land, report, WAITS["be"], WAITS["be"])


async def lossy(land: Land, report: Report) -> None:
    """The border loses 30 % each way"""
    land.relay("delay 20")
    land.wires.lose(land.borders(), LOSS)
    at_ms = now_ms()
    slowest = 0.0
    for _ in range(3):
        talker = await land.talk(TALKS["be"], wav=land.office.word)
        pressed = await talker.until("requested")
        granted = await since(talker, talker.first("requested")["at_ms"], "granted", GRANT_AT_LOSS_MS) if pressed else None
        slowest = None if granted is None or slowest is None else max(slowest, granted)
        await talker.ended(5.0)
    report.at_most("press to grant across it, slowest of 3", slowest, GRANT_AT_LOSS_MS)
    tap = await land.tap(LISTENS["nl"])
    talker = await land.talk(TALKS["be"])
    await talker.until("granted")
    begun = now_ms()
    await asyncio.sleep(CALL_S)
    came = [packet for packet in packets(tap) if packet.way == "out" and packet.voice and begun <= packet.at_ms <= begun + CALL_S * 1_000]
    report.at_least("part of the frames that pass it", len(came) / (CALL_S * 50), VOICE_AT_LOSS)
    fell = [ear.first("far_side", at_ms, state="away") for ear in land.ears.values()]
    report.holds("the link stays up", not any(fell), fell)
    report.holds("the call goes on under one grant", grants(talker) == 1 and not talker.first("revoked"), talker.events[-3:])
    await talker.stop()


async def jittery(land: Land, report: Report) -> None:
    """The border delays by 30 to 70 ms, and one packet in twenty overtakes"""
    land.relay("delay 30", "jitter 40", "reorder 0.05")
    await _heard_well(land, report, "jitter", 0.02)


async def _heard_well(land: Land, report: Report, what: str, limit: float) -> None:
    """One call across; the far listener's own count of what it had to conceal."""
    talker = await land.talk(TALKS["nl"])
    await talker.until("granted")
    await asyncio.sleep(CALL_S / 2)
    ear = land.ears["be"]
    await talker.stop()
    fell = ear.first("far_side", 0.0, state="away")
    await ear.stop()
    told = ear.last("report")
    report.at_most(f"part of the frames concealed under {what}", _concealed(told), limit, "")
    report.at_most("delay that the listener adds, 95th percentile", told["delay_p95_ms"] if told else None, ACCESS_MS)
    report.holds("the link stays up", fell is None, fell)


def _delivered(talker: Run, ear: Run) -> float | None:
    """Part of what a unit sent in its life that a listener, who listened to nobody else, received."""
    sent, told = talker.last("report"), ear.last("report")
    return told["frames_received"] / sent["frames_sent"] if sent and told and sent["frames_sent"] else None


def _concealed(told: dict[str, Any] | None) -> float | None:
    if not told or not told["frames_received"]:
        return None
    return (told["frames_concealed"] + told["frames_late"]) / told["frames_received"]


async def slow(land: Land, report: Report) -> None:
    """The border carries 256 kbit/s, three calls, and is offered five and an emergency"""
    land.wires.limit(land.borders(), RATE_KBPS)
    at_ms = now_ms()
    ear = await land.listen(WAITS["be"], group=EMERGENCY_GROUP)
    crowd = [await land.talk(f"maas-{number}", group=number) for number in range(1, EMERGENCY_GROUP)]
    for talker in crowd:
        await talker.until("granted", within_s=3.0)
    refused = sum(talker.first("denied", at_ms, cause="no_resources") is not None for talker in crowd)
    report.holds("ordinary: the two calls that find no room are refused", refused == len(crowd) - CARRIED, refused)
    await asyncio.sleep(1.0)
    urgent = await land.talk(f"maas-{EMERGENCY_GROUP}", "--emergency", "--end-emergency", group=EMERGENCY_GROUP)
    await urgent.until("requested")
    requested = urgent.first("requested")
    granted = await since(urgent, requested["at_ms"], "granted", ACCESS_MS) if requested else None
    report.at_most("emergency: press to grant", granted, ACCESS_MS)
    heard = await since(ear, requested["at_ms"], "first_audio", ACCESS_MS) if requested else None
    report.at_most("emergency: press to first sound abroad", heard, ACCESS_MS)
    await asyncio.sleep(CALL_S / 2)
    await urgent.stop()
    await ear.stop()
    report.at_least("emergency: part of the frames delivered abroad", _delivered(urgent, ear), DELIVERED)
    for talker in crowd:
        await talker.stop()
    others = land.ears["be"]
    await others.stop()
    report.told("ordinary: part of the frames delivered abroad, first group", number(_delivered(crowd[0], others), ""))
    fell = [ear.first("far_side", at_ms, state="away") for ear in land.ears.values()]
    report.holds("the link stays up", not any(fell), fell)


SCENES = (one_way_to_home, one_way_to_partner, rebound, rebound_listener, lossy, jittery, slow)
