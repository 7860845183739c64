#!/usr/bin/env python3
"""A border link: a UDP relay between two gateways' peer ports that can be cut and slowed.

    python3 relay.py --listen [IP:]PORT --to [IP:]PORT --control FIFO [--seed N] [--seconds N]

One gateway dials the relay and believes that it is the other one. Every dialling socket gets a socket of its own towards the
far gateway, so answers find their way back. Datagrams are forwarded the moment they arrive: one process, one `select`, no
timer unless a delay is set. Commands are lines written to FIFO: `drop`, `pass`; `delay MS`; `jitter MS`, which adds up to so
much and keeps the order; `reorder PART`, which lets that part of the datagrams (0 to 1) overtake what waits. Each one obeyed
is a line of JSON on stdout, with CLOCK_MONOTONIC milliseconds like the events of the units, so that a grader knows when the
border was cut. Addresses without IP are on loopback.

Standard library only. Ends on SIGTERM, or after --seconds.
"""

import argparse
import heapq
import json
import os
import random
import selectors
import socket
import sys
import time

LOCAL = "127.0.0.1"
LARGEST = 65_536
"""Bytes: no UDP datagram is larger."""
DIALLERS = 64
"""So many dialling sockets are remembered; the longest unused one is forgotten then."""
WAITING = 10_000
"""So many datagrams wait out a delay at most; what comes beyond is lost, as on a full link."""
BURST = 64
"""Datagrams taken from one socket before the others have their turn."""

Address = tuple[str, int]


class Relay:
    """Forwards, drops or delays what passes between one gateway's port and whoever dials it."""

    def __init__(self, listen: Address, to: Address, seed: int = 0) -> None:
        """Binds `listen`; port 0 takes a free one. Forwards to `to`; `seed` decides jitter and reordering."""
        self.front = _bound(listen)
        self.far = to
        self.state = "pass"
        self.delay_ms = 0.0
        self.jitter_ms = 0.0
        self.reorder = 0.0
        self.forwarded = 0
        self.dropped = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.front, selectors.EVENT_READ, None)
        self._towards: dict[Address, socket.socket] = {}
        self._waiting: list[tuple[float, int, socket.socket, bytes, Address]] = []
        self._last_due: dict[socket.socket, float] = {}
        self._random = random.Random(seed)
        self._count = 0

    def watch(self, fifo: int) -> None:
        """Takes commands from this open FIFO, too."""
        self._selector.register(fifo, selectors.EVENT_READ, "control")

    def obey(self, line: str) -> str | None:
        """Carries out a command; returns what now holds, or None if it is not understood."""
        match line.split():
            case [("drop" | "pass") as state]:
                self.state = state
                if state == "drop":
                    self.dropped += len(self._waiting)
                    self._waiting.clear()
            case ["delay", text] if _is_number(text):
                self.delay_ms = float(text)
            case ["jitter", text] if _is_number(text):
                self.jitter_ms = float(text)
            case ["reorder", text] if _is_number(text) and float(text) <= 1.0:
                self.reorder = float(text)
            case _:
                return None
        return self.state

    def step(self, longest: float) -> list[str]:
        """Waits at most `longest` seconds for something to do, does it, returns the command lines that came."""
        lines: list[str] = []
        if self._waiting:
            longest = min(longest, max(0.0, self._waiting[0][0] - time.monotonic()))
        for key, _ in self._selector.select(longest):
            if key.data == "control":
                lines += os.read(key.fd, 4_096).decode(errors="replace").splitlines()
            else:
                self._drain(key.fileobj, key.data)
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, out, payload, address = heapq.heappop(self._waiting)
            self._send(out, payload, address)
        return lines

    def _drain(self, into: socket.socket, dialler: Address | None) -> None:
        """Takes what waits in a socket; `dialler` is whom its answers are for, None for the front."""
        for _ in range(BURST):
            try:
                payload, sender = into.recvfrom(LARGEST)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if dialler is None:
                out, address = self._to_far(sender), self.far
            else:
                out, address = self.front, dialler
            if self.state == "drop":
                self.dropped += 1
            elif self.delay_ms > 0.0 or self.jitter_ms > 0.0:
                self._hold(out, payload, address)
            else:
                self._send(out, payload, address)

    def _hold(self, out: socket.socket, payload: bytes, address: Address) -> None:
        if len(self._waiting) >= WAITING:
            self.dropped += 1
            return
        self._count += 1
        due = time.monotonic() + (self.delay_ms + self._random.uniform(0.0, self.jitter_ms)) / 1_000
        if self._random.random() >= self.reorder:
            # In order: never before what went the same way earlier.
            due = self._last_due[out] = max(due, self._last_due.get(out, 0.0))
        heapq.heappush(self._waiting, (due, self._count, out, payload, address))

    def _send(self, out: socket.socket, payload: bytes, address: Address) -> None:
        try:
            out.sendto(payload, address)
            self.forwarded += 1
        except OSError:
            self.dropped += 1

    def _to_far(self, dialler: Address) -> socket.socket:
        """The socket that speaks for this dialler towards the far gateway."""
        towards = self._towards.pop(dialler, None)
        if towards is None:
            if len(self._towards) >= DIALLERS:
                forgotten = self._towards.pop(next(iter(self._towards)))
                self._selector.unregister(forgotten)
                self._last_due.pop(forgotten, None)
                forgotten.close()
            towards = _bound(("", 0))
            self._selector.register(towards, selectors.EVENT_READ, dialler)
        self._towards[dialler] = towards
        return towards

    def close(self) -> None:
        """Closes every socket."""
        self._selector.close()
        for sock in (self.front, *self._towards.values()):
            sock.close()


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host or LOCAL, int(port)


def _bound(address: Address) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(address)
    sock.setblocking(False)
    return sock


def main() -> int:
    """Relays until it is stopped."""
    parser = argparse.ArgumentParser(description="A UDP relay that can be cut.")
    parser.add_argument("--listen", type=_address, required=True, metavar="[IP:]PORT", help="what one gateway dials")
    parser.add_argument("--to", type=_address, required=True, metavar="[IP:]PORT", help="peer port of the other gateway")
    parser.add_argument("--control", required=True, metavar="FIFO", help="commands: drop, pass, delay MS, jitter MS, reorder PART")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides jitter and reordering")
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself after so long")
    options = parser.parse_args()
    relay = Relay(options.listen, options.to, options.seed)
    # Opened for reading and writing, so that the last writer who leaves does not end it.
    relay.watch(os.open(options.control, os.O_RDWR | os.O_NONBLOCK))
    end = time.monotonic() + options.seconds if options.seconds else float("inf")
    _tell("ready", relay)
    while (left := end - time.monotonic()) > 0:
        for line in relay.step(min(left, 3_600.0)):
            _tell(relay.obey(line) or f"unknown command: {line}", relay)
    return 0


def _tell(state: str, relay: Relay) -> None:
    at_ms = time.monotonic_ns() / 1e6
    fields = {"event": "relay", "at_ms": at_ms, "state": state, "delay_ms": relay.delay_ms, "jitter_ms": relay.jitter_ms}
    print(json.dumps(fields | {"forwarded": relay.forwarded, "dropped": relay.dropped}), flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
