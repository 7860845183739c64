"""The promises to users, one function a group: each looks at the evidence and makes rows of the table.

Limits of 3GPP TS 22.179 (KPI 1, 3, 4a) and of our own decide; the tight figures of the design stand beside them. What was not
measured is broken, never skipped. Runs in the venv of tools/setup.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from evidence import Call, Event, Evidence, Run

ACCESS_MS, MOUTH_TO_EAR_MS, LATE_ENTRY_MS = 300.0, 300.0, 350.0
NOTICED_MS = 2_000.0
HEALED_MS = 10_000.0
"""The gateways have found each other again after this; a link that flaps rests as long."""
SEAM_MS = 300.0
"""A talkgroup goes on after such an interruption when its home is lost."""
EDGE_DB, PESQ_LOSS = 3.0, 0.1
WHOLE = 0.95
"""An utterance is heard whole when this part of what the coder leaves audible is; what is short of it, edges and gaps tell."""
BY_EAR_MS = 100.0
"""Utterances are told apart in steps of this."""
RECORD_MS = 500.0
"""A call record's duration may differ so much from the talker's own log."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    group: str
    promise: str
    measured: str
    limit: str
    tight: str
    kept: bool
    tight_kept: bool | None
    """None where the design has no figure of its own."""
    detail: str
    """What broke it, or where the worst was measured."""


Measured = tuple[str, float | None]
"""Where, and how much; None: it should have been measured and was not."""


def at_most(group: str, promise: str, values: Iterable[Measured], limit: float, tight: float | None = None, unit: str = "ms") -> Row:
    """The worst of several; broken too if one of them, or all, are missing."""
    measured = list(values)
    missing = [where for where, value in measured if value is None]
    there = [(value, where) for where, value in measured if value is not None]
    limits = (f"<= {_number(limit, unit)}", f"<= {_number(tight, unit)}" if tight is not None else "")
    if not there or missing:
        why = "; ".join(missing) or "nothing to measure"
        return Row(group, promise, "not measured", *limits, False, None if tight is None else False, why)
    worst, where = max(there)
    shown = f"{_number(worst, unit)}" + (f" (worst of {len(there)})" if len(there) > 1 else "")
    return Row(group, promise, shown, *limits, bool(worst <= limit), None if tight is None else bool(worst <= tight), where)


def none_of(group: str, promise: str, wrong: Iterable[str], of: int) -> Row:
    """Kept when nothing is wrong among `of` things looked at, of which there must be some."""
    found = list(wrong)
    shown = f"{of - len(found)} of {of}" if len(found) <= of else f"{len(found)} times wrong"
    return Row(group, promise, shown, "all", "", not found and of > 0, None, "; ".join(found) if of else "nothing to look at")


def _number(value: float, unit: str) -> str:
    text = f"{value:.2f}" if unit in ("dB", "MOS") else f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return f"{text.removesuffix('.0')} {unit}".strip()


def all_rows(evidence: Evidence) -> Iterator[Row]:
    """The whole table."""
    for group in (timing, sound, floor, border, star, end):
        yield from group(evidence)


def timing(e: Evidence) -> Iterator[Row]:
    """How fast."""
    at_once = [call for call in e.calls if not call.queued]
    # A side that is cut off decides for itself.
    own = [call for call in at_once if call.run.authority == e.home(call.agency) or not call.crosses]
    far = [call for call in at_once if call not in own]
    yield at_most("speed", "press to grant, own gateway decides", ((c.label, c.access_ms) for c in own), ACCESS_MS, 5.0)
    yield at_most("speed", "press to grant, across the border", ((c.label, c.access_ms) for c in far), ACCESS_MS, 10.0)
    for hops, where in enumerate(("same country", "across the border", "across two borders")):
        yield at_most("speed", f"mouth to ear, {where}", _mouth_to_ear(e, hops), MOUTH_TO_EAR_MS, 90.0)
    late = [(label, _between(e.runs[label], "affiliated", "first_audio")) for call in e.act("late") for label in call.part_for]
    yield at_most("speed", "late entry, joined to first sound", late, LATE_ENTRY_MS, 80.0)


def _mouth_to_ear(e: Evidence, hops: int) -> Iterator[Measured]:
    for call, listener in _whole(e):
        if e.hops(call, listener) == hops:
            heard = e.heard(call, listener)
            at = heard[0].at_ms - call.spoken_ms if heard and call.spoken_ms is not None else None
            yield f"{call.label} at {listener.label}", at


def _between(run: Run, first: str, then: str) -> float | None:
    one = run.first(first)
    other = run.first(then, one["at_ms"]) if one else None
    return other["at_ms"] - one["at_ms"] if one and other else None


def _whole(e: Evidence) -> list[tuple[Call, Run]]:
    return [(call, e.runs[label]) for call in e.calls for label in call.whole_for]


def sound(e: Evidence) -> Iterator[Row]:
    """How well."""
    pairs = _whole(e)
    missed = [f"{call.label} at {listener.label}" for call, listener in pairs if not _complete(e, call, listener)]
    yield none_of("sound", "every call heard whole, in every country", missed, len(pairs))
    joined = [(call, e.runs[label]) for call in e.calls for label in call.part_for]
    missed = [f"{call.label} at {listener.label}" for call, listener in joined if not e.heard(call, listener)]
    yield none_of("sound", "late joiners and cut-off calls heard in part", missed, len(joined))
    smooth = [(call, listener) for call, listener in pairs if listener.label not in call.seam_for]
    graded = [(f"{call.label} at {listener.label}", e.quality(call, listener)) for call, listener in smooth]
    for promise, name in (("first 100 ms of speech, off by", "head_db"), ("last 100 ms of speech, off by", "tail_db")):
        values = ((where, abs(report[name]) if report else None) for where, report in graded)
        yield at_most("sound", promise, values, EDGE_DB, EDGE_DB, "dB")
    yield at_most("sound", "gaps in speech", ((where, report["gaps"] if report else None) for where, report in graded), 0.0, unit="")
    yield at_most("sound", "PESQ lost against the coder alone", ((where, _lost(report)) for where, report in graded), PESQ_LOSS, unit="MOS")


def _complete(e: Evidence, call: Call, listener: Run) -> bool:
    return any(heard.match.heard >= WHOLE * e.audible(call) for heard in e.heard(call, listener))


def _lost(report: dict[str, float] | None) -> float | None:
    if report is None or report["pesq"] is None or report["codec_pesq"] is None:
        return None
    return max(0.0, report["codec_pesq"] - report["pesq"])


def floor(e: Evidence) -> Iterator[Row]:
    """Who may talk."""
    waiting = [call for call in e.calls if call.queued]
    wrong = [why for call in waiting if (why := _queue_wrong(call, e.before(call)))]
    yield none_of("floor", "who waits is told position 1, then granted", wrong, len(waiting))
    emergency = e.act("emergency")
    losers = [call for call in emergency if call.ends == "preempted"]
    wrong = [f"{call.label}: {_cause(call)}" for call in losers if _cause(call) != "preempted"]
    yield none_of("floor", "the pre-empted talker is told why", wrong, len(losers))
    winner = next((call for call in emergency if call.tier == "emergency"), None)
    yield at_most("floor", "emergency press to talker cut off", (_cut_off(call, winner) for call in losers), ACCESS_MS)
    wrong = [why for run in e.through("police") if (why := _emergency_wrong(run, winner))]
    yield none_of("floor", "everybody sees the emergency begin and end", wrong, len(e.through("police")))
    wrong = [why for call in e.calls if (why := _grant_wrong(call))]
    yield none_of("floor", "granted with the tier and reach it has", wrong, len(e.calls))
    wrong = [why for call, run in _late_joins(e) if (why := _late_wrong(call, run))]
    yield none_of("floor", "late joiners are told who talks", wrong, len(_late_joins(e)))
    listeners = [run for run in e.runs.values() if run.kind == "listen"]
    wrong = [f"{run.label}: {why}" for run in listeners if (why := talker_twice(run.events))]
    yield none_of("floor", "one talker at a time, by the logs", wrong, len(listeners))
    yield none_of("floor", f"one voice at a time, by ear (to {BY_EAR_MS:.0f} ms)", _double_talk(e), len(listeners))


def _queue_wrong(call: Call, before: list[Call]) -> str | None:
    queued = call.run.first("queued", position=1)
    freed = max((other.end_ms or float("inf") for other in before), default=float("inf"))
    if not queued:
        return f"{call.label}: no position told"
    if not call.granted:
        return f"{call.label}: never granted"
    return None if queued["at_ms"] <= freed <= call.granted["at_ms"] else f"{call.label}: granted before the floor was free"


def _cause(call: Call) -> str:
    revoked = call.run.first("revoked")
    return str(revoked.get("cause")) if revoked else "not revoked"


def _cut_off(loser: Call, winner: Call | None) -> Measured:
    pressed, revoked = winner.requested if winner else None, loser.run.first("revoked")
    return loser.label, revoked["at_ms"] - pressed["at_ms"] if pressed and revoked else None


def _emergency_wrong(run: Run, winner: Call | None) -> str | None:
    who = winner.run.who if winner else None
    begun = run.first("emergency", state="active", originator=who)
    if not begun:
        return f"{run.label}: not told of the emergency"
    return None if run.first("emergency", begun["at_ms"], state="ended") else f"{run.label}: not told of its end"


def _grant_wrong(call: Call) -> str | None:
    grants = list(call.run.all("granted"))
    if not grants:
        return f"{call.label}: never granted"
    tier, reach = grants[0].get("tier"), grants[0].get("reach")
    return None if (tier, reach) == (call.tier, call.reach) else f"{call.label}: {tier}, {reach}"


def _late_joins(e: Evidence) -> list[tuple[Call, Run]]:
    return [(call, e.runs[label]) for call in e.act("late") for label in call.part_for]


def _late_wrong(call: Call, run: Run) -> str | None:
    taken = run.first("taken")
    if not taken or taken.get("talker") != call.run.who:
        return f"{run.label}: not told of {call.run.who}"
    return None if taken.get("elapsed_ms", 0) > 0 else f"{run.label}: not told since when"


def talker_twice(events: list[Event]) -> str | None:
    """What in a listener's log shows two talkers at once: a spurt that comes back after a newer one was announced or heard."""
    newest: dict[tuple[str, str], list[str]] = {}
    for event in events:
        if event.get("event") not in ("taken", "first_audio"):
            continue
        spurts = newest.setdefault((event["event"], event.get("talkgroup", "")), [])
        spurt = event.get("spurt", "")
        if spurt in spurts[:-1]:
            return f"{event['event']} of spurt {spurt} on {event.get('talkgroup')} after {spurts[-1]}"
        if spurt not in spurts:
            spurts.append(spurt)
    return None if newest else "no talker was ever announced"


def _double_talk(e: Evidence) -> Iterator[str]:
    for agency in sorted(set(e.scene["talkgroups"].values())):
        calls = [call for call in e.calls if call.agency == agency]
        for listener in e.listeners(agency):
            if not any(e.heard(call, listener) for call in calls):
                yield f"{listener.label}: nothing to listen to"
            for one, other in combinations(calls, 2):
                both = max((_overlap(a, b) for a in _heard_at(e, one, listener) for b in _heard_at(e, other, listener)), default=0.0)
                if both > BY_EAR_MS:
                    yield f"{one.label} and {other.label} at {listener.label} for {both:.0f} ms"


def _heard_at(e: Evidence, call: Call, listener: Run) -> list[tuple[float, float]]:
    return [(heard.from_ms, heard.to_ms) for heard in e.heard(call, listener)]


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def border(e: Evidence) -> Iterator[Row]:
    """When border links fail."""
    drops, heals = e.links("drop"), e.links("pass")
    noticed = [_told(cut, run, far, "away") for cut in drops for run, far in e.ends(cut, "police")]
    yield at_most("border", "cut link noticed and told", noticed, NOTICED_MS, NOTICED_MS)
    cut_off = [call for call in e.calls if not call.crosses]
    left = [(call, e.runs[label]) for call in cut_off for label in call.part_for]
    told = [(f"{call.label} at {run.label}", _after(run, "idle", e.cut_in(call), lost=True)) for call, run in left]
    yield at_most("border", "the lost talker's listeners are told", told, NOTICED_MS, NOTICED_MS)
    alone = [(call, e.runs[label]) for call in cut_off for label in call.whole_for]
    wrong = [f"{call.label} at {run.label}" for call, run in alone if not _complete(e, call, run)]
    wrong += [f"{call.label}: not told that a far side is away" for call in cut_off if not _knows(call)]
    yield none_of("border", "every side talks on alone, and knows it", wrong, len(alone))
    seams = [(f"{call.label} at {label}", _longest_gap_ms(e, call, e.runs[label])) for call in cut_off for label in call.seam_for]
    yield at_most("border", "own side's speech interrupted by the cut", seams, SEAM_MS)
    healed = [_told(cut, run, far, "present") for cut in heals for run, far in e.ends(cut, "police")]
    yield at_most("border", "healed, and told", healed, HEALED_MS)
    first = [call for heal in heals if (call := e.first_across(heal["at_ms"]))]
    again = [(call, e.runs[label]) for call in first for label in call.whole_for]
    wrong = [f"{call.label} at {run.label}" for call, run in again if not _complete(e, call, run)]
    wrong += [f"nobody after {heal['at_ms']:.0f} ms" for heal in heals[len(first) :]]
    yield none_of("border", "calls cross again", wrong, len(again))


def _told(cut: Event, run: Run, far: str, state: str) -> Measured:
    return f"{far} {state} at {run.label}", _after(run, "far_side", cut["at_ms"], authority=far, state=state)


def _longest_gap_ms(e: Evidence, call: Call, listener: Run) -> float | None:
    report = e.quality(call, listener)
    return max((ms for _, ms in report["gaps_at_ms"]), default=0.0) if report else None


def star(e: Evidence) -> Iterator[Row]:
    """When a third country takes part."""
    crossing = [(call, e.runs[label]) for call in e.calls for label in call.whole_for if e.hops(call, e.runs[label])]
    wrong = [why for call, run in crossing if (why := _via_wrong(e, call, run))]
    yield none_of("star", "shown via the home from beyond, direct else", wrong, len(crossing))
    beside = [(cut, run) for cut in e.links("drop") for run in e.beside(cut, "police")]
    wrong = [why for cut, run in beside if (why := _disturbed(e, cut, run))]
    yield none_of("star", "a third country notices no cut of the others", wrong, len(beside))


def _via_wrong(e: Evidence, call: Call, run: Run) -> str | None:
    via = e.home(call.agency) if e.hops(call, run) > 1 else None
    since = call.requested["at_ms"] if call.requested else 0.0
    taken = run.first("taken", since, talker=call.run.who)
    if not taken:
        return f"{call.label} at {run.label}: talker not shown"
    return None if taken.get("via") == via else f"{call.label} at {run.label}: via {taken.get('via')}, not {via}"


def _disturbed(e: Evidence, cut: Event, run: Run) -> str | None:
    if not run.events:
        return f"{run.label}: tells nothing"
    healed = next((heal["at_ms"] for heal in e.links("pass") if heal["at_ms"] > cut["at_ms"]), float("inf"))
    away = run.first("far_side", cut["at_ms"], state="away")
    return f"{run.label}: saw {away['authority']} away" if away and away["at_ms"] < healed else None


def _knows(call: Call) -> bool:
    """Whether a talker was told that the far side does not hear it: by the grant, or by what is said of the far side."""
    return any((*call.run.all("granted", reach="own_side"), *call.run.all("far_side", state="away")))


def _after(run: Run, name: str, moment: float | None, **fields: object) -> float | None:
    event = run.first(name, moment, **fields) if moment is not None else None
    return event["at_ms"] - moment if event and moment is not None else None


def end(e: Evidence) -> Iterator[Row]:
    """What is left behind."""
    floors = [(authority, entry) for authority, status in e.statuses.items() for entry in status.get("floors", [])]
    busy = [(authority, entry) for authority, entry in floors if entry["state"] != "idle" or entry.get("queue")]
    wrong = [f"{authority}: {entry['talkgroup']} {entry['state']}, waiting: {entry.get('queue')}" for authority, entry in busy]
    yield none_of("end", "every floor idle, every queue empty", wrong, len(floors))
    expected = {"released": 0, "preempted": 1}
    wrong = [f"{call.label}: exit {call.run.exit}" for call in e.calls if call.run.exit != expected[call.ends]]
    wrong += [f"{run.label}: exit {run.exit}" for run in e.runs.values() if run.kind == "listen" and run.exit != 0]
    yield none_of("end", "every unit ended as it should", wrong, len(e.runs))
    wanted = [(authority, call) for authority in e.records for call in e.calls if e.carries(authority, call)]
    yield none_of("end", "call records of all gateways complete", _records_wrong(e), len(wanted))


def _records_wrong(e: Evidence) -> Iterator[str]:
    """Calls that a gateway carried and did not record, each with talker, tier, outcome, agreement and, unless cut, duration."""
    for authority, records in e.records.items():
        left = [record for record in records if record.get("kind") == "call"]
        for call in e.calls:
            if not e.carries(authority, call):
                continue
            record = next((record for record in left if _is_of(e, record, call, authority)), None)
            if record is None:
                yield f"{authority}: {call.label}"
            else:
                left.remove(record)
        counts = Counter(record.get("outcome") for record in records if record.get("kind") == "emergency")
        if min(counts["began"], counts["ended"]) < 1:
            yield f"{authority}: the emergency"


def _is_of(e: Evidence, record: Event, call: Call, authority: str) -> bool:
    agency = e.scene["talkgroups"].get(record.get("talkgroup"))
    same = (record.get("talker"), record.get("tier"), record.get("outcome"), agency)
    if same != (call.run.who, call.tier, call.ends, call.agency) or not str(record.get("talkgroup")).startswith(f"{authority}/"):
        return False
    named = {record["agreement"], *record.get("further_agreements", [])} if "agreement" in record else set()
    there = e.agreements(authority, call.agency)
    # Whoever was granted for all was heard across a border, if only until it was cut; on the own side nothing crosses.
    if not (named == there if call.crosses else bool(named) and named <= there if call.reach == "all" else not named):
        return False
    if not call.crosses:
        return record.get("duration_ms", 0) > 0
    lasted = (call.end_ms or 0.0) - (call.granted or {}).get("at_ms", 0.0)
    return abs(record.get("duration_ms", 0) - lasted) <= RECORD_MS
