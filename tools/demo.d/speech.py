"""The utterances of the demo, cut out of the speech files of the repository.

Each file is parted at the pause nearest to a given place; both halves begin and end in speech, so a clipped syllable shows.
Standard library only.
"""

import sys
import wave
from array import array
from pathlib import Path

BLOCK_MS = 10
QUIET = 0.02
"""A block is a pause when its loudest sample is below this part of the file's loudest."""
PAUSE_BLOCKS = 6
"""A pause is at least 60 ms: shorter ones lie inside words."""


def split(source: Path, at_s: float, first: Path, second: Path) -> None:
    """Writes what is said before and after the pause nearest to `at_s`; without any pause it cuts right there."""
    samples, rate = _read(source)
    block = rate * BLOCK_MS // 1_000
    quiet = _quiet(samples, block)
    runs = [run for run in _runs(quiet) if run[1] - run[0] >= PAUSE_BLOCKS]
    middle = round(at_s * 1_000 / BLOCK_MS)
    begin, end = min(runs, key=lambda run: abs((run[0] + run[1]) / 2 - middle), default=(middle, middle))
    _write(first, samples[: begin * block], rate)
    _write(second, samples[end * block :], rate)


def seconds(path: Path) -> float:
    """How long a WAV file lasts."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


def _read(path: Path) -> tuple[array, int]:
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"{path}: expected 16 bit mono")
        samples = array("h", file.readframes(file.getnframes()))
        if sys.byteorder == "big":
            samples.byteswap()
        return samples, file.getframerate()


def _write(path: Path, samples: array, rate: int) -> None:
    if sys.byteorder == "big":
        samples = array("h", samples)
        samples.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def _quiet(samples: array, block: int) -> list[bool]:
    """For every block, whether nothing is said in it."""
    loudest = max((abs(sample) for sample in samples), default=0)
    blocks = (samples[start : start + block] for start in range(0, len(samples) - block + 1, block))
    return [max(max(part), -min(part)) < loudest * QUIET for part in blocks]


def _runs(flags: list[bool]) -> list[tuple[int, int]]:
    """(first, one behind the last) of every run of true."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for place, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = place
        elif not flag and start is not None:
            runs.append((start, place))
            start = None
    return runs
