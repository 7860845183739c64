#!/usr/bin/env python3
"""Grades speech that was played faster and slower than it was spoken, as a jitter buffer does.

    python3 tools/grade/paced.py IN.wav OUT.wav...

PESQ knows one delay per utterance, so OUT is first laid back onto IN: every 40 ms of IN take the piece of OUT that resembles
them most, near where the last one lay. What is graded then is the sound of the pieces and of their seams, not the time between
them. Prints PESQ wideband per OUT. `cargo run -p talkbridge-media --example paces` and `--example codec` make such OUTs.

Exit status: 0 graded, 2 a file cannot be read.
"""

import sys

import numpy as np
from audio import RATE, NotUsable, load
from pesq import pesq

PIECE = RATE * 40 // 1000
STEP = PIECE // 4
"""Pieces overlap four times."""

REACH = RATE * 35 // 1000
"""How far two neighbours' delays may differ: the longest leap of a stretcher and two frames."""

QUIET = 0.1
"""Below this part of the mean level a piece says nothing about its place: it lies where the last one did."""

INERTIA = 1e-4
"""A piece must resemble by so much more for every millisecond that it lies elsewhere."""


def laid_back(spoken, heard):
    """`heard` at the times of `spoken`."""
    window = np.hanning(PIECE + 1)[:PIECE]
    total, weight = np.zeros(len(spoken)), np.full(len(spoken), 1e-9)
    quiet = QUIET * np.sqrt(np.mean(spoken**2))
    delay = 0
    for start in range(0, len(spoken) - PIECE + 1, STEP):
        piece = spoken[start : start + PIECE]
        if np.sqrt(np.mean(piece**2)) > quiet:
            delay = _delay(piece, heard, start, delay)
        at = min(max(start + delay, 0), len(heard) - PIECE)
        total[start : start + PIECE] += heard[at : at + PIECE] * window
        weight[start : start + PIECE] += window
    return total / weight


def _delay(piece, heard, start, delay):
    """How much later than in IN the piece lies in `heard`."""
    first = max(start + delay - REACH, 0)
    near = heard[first : max(start + delay + REACH + PIECE, 0)]
    if len(near) < PIECE:
        return delay
    level = np.sqrt(np.convolve(near**2, np.ones(PIECE), "valid")) * np.sqrt(np.sum(piece**2)) + 1e-9
    alike = np.correlate(near, piece, "valid") / level
    elsewhere = np.abs(first + np.arange(len(alike)) - start - delay) * 1000 / RATE
    return first + int(np.argmax(alike - INERTIA * elsewhere)) - start


def grade(spoken, heard):
    """PESQ wideband of `heard`, laid back onto `spoken`."""
    return round(float(pesq(RATE, spoken, laid_back(spoken, heard), "wb")), 2)


def main():
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        spoken = load(sys.argv[1])
        for path in sys.argv[2:]:
            print(f"{grade(spoken, load(path)):5.2f}  {path}")
    except NotUsable as error:
        print(f"paced: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
