#!/usr/bin/python3
"""Reads what a screen reader would: a process id in, one line of JSON out, until the input ends.

With `names` behind the id only the names are read again, of the nodes that were there the last time: that takes a tenth of the time.
Runs on its own, under the system's Python, whose package the accessibility library is.
"""

import json
import sys

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # noqa: E402


def application(pid: int) -> Atspi.Accessible | None:
    """The process on the accessibility bus."""
    desktop = Atspi.get_desktop(0)
    for at in range(desktop.get_child_count()):
        child = desktop.get_child_at_index(at)
        if child is not None and child.get_process_id() == pid:
            return child
    return None


def nodes(accessible: Atspi.Accessible, into: list) -> None:
    """Everything below, in order."""
    accessible.clear_cache()
    can = accessible.get_interfaces()
    rect = Atspi.Component.get_extents(accessible, Atspi.CoordType.SCREEN) if "Component" in can else None
    states = accessible.get_state_set().get_states()
    node = {
        "role": accessible.get_role_name(),
        "name": accessible.get_name(),
        "states": sorted(state.value_nick for state in states),
        "at": [rect.x, rect.y, rect.width, rect.height] if rect else None,
    }
    if "Value" in can:
        node["value"] = Atspi.Value.get_current_value(accessible)
    if "Action" in can:
        node["actions"] = Atspi.Action.get_n_actions(accessible)
    into.append((accessible, node))
    for at in range(accessible.get_child_count()):
        child = accessible.get_child_at_index(at)
        if child is not None:
            nodes(child, into)


class Reader:
    """Remembers what it read, for the names alone."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self.known: list = []

    def read(self, pid: int, names_only: bool) -> list:
        """The nodes of a process, in order."""
        if names_only and self.known:
            for accessible, node in self.known:
                node["name"] = accessible.get_name()
            return [node for _, node in self.known]
        top = application(pid)
        if top is None:
            return []
        top.set_cache_mask(Atspi.Cache.NONE)
        self.known = []
        nodes(top, self.known)
        return [node for _, node in self.known]


def main() -> None:
    """Answers until nobody asks any more."""
    Atspi.init()
    context = GLib.MainContext.default()
    reader = Reader()
    for line in sys.stdin:
        while context.iteration(False):
            pass
        pid, _, rest = line.strip().partition(" ")
        try:
            found = reader.read(int(pid), rest == "names")
        except GLib.Error as error:
            print(f"{line.strip()}: {error.message}", file=sys.stderr, flush=True)
            found, reader.known = [], []
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
