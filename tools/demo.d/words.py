"""The timeline: events of units in plain words, with seconds since the scene began. Standard library only."""

import sys
from typing import TextIO

from runs import Event, Run
from stage import now_ms

WIDTH = 39
"""Columns for who it is about."""


class Timeline:
    """Prints what happens while it happens."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        """Starts the clock."""
        self.start_ms = now_ms()
        self.out = out
        colour = out.isatty()
        self._bold, self._dim, self._plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if colour else ("", "", "")

    def restart(self) -> None:
        """Starts the clock anew."""
        self.start_ms = now_ms()

    def act(self, title: str) -> None:
        """Heads an act."""
        self._print(f"\n{self._bold}{title}{self._plain}")

    def say(self, who: str, what: str, at_ms: float | None = None) -> None:
        """One line: when, who, what."""
        seconds = ((now_ms() if at_ms is None else at_ms) - self.start_ms) / 1_000
        self._print(f"{self._dim}{max(0.0, seconds):+06.1f} s{self._plain}  {who:{WIDTH}} {what}")

    def tell(self, run: Run, event: Event) -> None:
        """Prints an event of a unit, if it is one that people want to know."""
        text = words(run, event)
        if text:
            self.say(run.member.shown, text, event.get("at_ms"))

    def _print(self, line: str) -> None:
        print(line, file=self.out, flush=True)


def words(run: Run, event: Event) -> str | None:
    """The sentence for an event; None for those of no interest."""
    where = event.get("talkgroup", run.talkgroup)
    match event["event"]:
        case "granted" if _earlier(run, "granted", event):
            reach = "own side only" if event.get("reach") == "own_side" else "all sides"
            return f"may go on talking, heard on {reach}"
        case "granted":
            asked = run.last("requested")
            took = f" in {event['at_ms'] - asked['at_ms']:.1f} ms" if asked else ""
            how = "" if event.get("tier") == "normal" else f" as {event.get('tier', '?').upper()}"
            reach = ", own side only" if event.get("reach") == "own_side" else ""
            waited = " after waiting" if run.last("queued") else ""
            return f"talks on {where}{how}: granted{waited}{took}{reach}"
        case "queued":
            return f"pressed on {where}: waits, position {event.get('position')}"
        case "denied":
            return f"is refused on {where}: {event.get('cause')}"
        case "revoked":
            return f"loses the floor on {where}: {event.get('cause')}"
        case "released":
            return f"releases {where}"
        case "first_audio" if run.kind == "listen":
            return f"hears {_talker(run, event)}{_late(run, event)}"
        case "idle" if event.get("lost"):
            return f"is told that the talker on {where} was lost"
        case "emergency" if event.get("originator") == run.member.identity:
            return None
        case "emergency" if event.get("state") == "active":
            return f"sees EMERGENCY on {where}, raised by {event.get('originator')}"
        case "emergency":
            return f"sees the emergency on {where} ended"
        case "far_side" if event.get("state") == "away":
            return f"sees {event.get('authority')} away on {where}"
        case "far_side" if _before(run, event) == "away":
            return f"sees {event.get('authority')} back on {where}"
        case "refused" | "disconnected":
            return f"{event['event']}: {event.get('reason')}"
        case "not_json":
            return f"printed no JSON: {event['text'].strip()}"
    return None


def _earlier(run: Run, name: str, event: Event) -> bool:
    """Whether such an event came before this one."""
    return any(other["event"] == name and other is not event for other in run.events)


def _before(run: Run, event: Event) -> str | None:
    """What this far side was before."""
    states = [other.get("state") for other in run.events if other["event"] == "far_side" and other is not event]
    return states[-1] if states else None


def _talker(run: Run, event: Event) -> str:
    taken = run.last("taken", spurt=event.get("spurt"))
    if not taken:
        return "a talker who is not announced yet"
    via = f" via {taken['via']}" if taken.get("via") else ""
    return f"{taken.get('alias')} ({taken.get('talker')}){via}"


def _late(run: Run, event: Event) -> str:
    """For one who joined in mid-call: how long after joining."""
    taken, joined = run.last("taken", spurt=event.get("spurt")), run.last("affiliated")
    if taken and joined and taken.get("elapsed_ms", 0) > 200 and len([e for e in run.events if e["event"] == "taken"]) == 1:
        return f", {event['at_ms'] - joined['at_ms']:.0f} ms after joining, {taken['elapsed_ms'] / 1_000:.1f} s into the call"
    return ""
