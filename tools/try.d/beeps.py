"""Beeps from mouth to ear: what is said, where it is found in a recording, and what the delay must be. Standard library only."""

import array
import math
import wave
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HZ = 48_000
BEEPS = 24
BEEP_S, PAUSE_S = 0.12, 0.48
PITCH_HZ = 700
LOUD = 0.04
"""Amplitude from which a sample is a beep's."""
OURS_MS = 90.0
"""Our part, at most."""
LONGEST_MS = 500.0
"""What comes later belongs to another beep."""


@dataclass
class Delays:
    """Milliseconds of every beep that arrived."""

    whole: list[float]
    ours: list[float]
    sent: int

    def lines(self) -> list[str]:
        """What to print."""
        if not self.whole or not self.ours:
            return [f"mouth to ear: none of {self.sent} beeps arrived"]
        device = median(self.whole) - median(self.ours)
        return [
            f"mouth to ear, device to device, {len(self.whole)} of {self.sent} beeps: {_spread(self.whole)}",
            f"  ours, from callback to callback: {_spread(self.ours)} (at most {OURS_MS:.0f} ms at the 95th percentile)",
            f"  the sound server's buffers, the rest: {device:.1f} ms",
        ]

    def wrong(self) -> list[str]:
        """What breaks the promise."""
        if len(self.whole) < self.sent * 0.9 or len(self.ours) < self.sent * 0.9:
            return [f"mouth to ear: of {self.sent} beeps {len(self.whole)} were heard and {len(self.ours)} timed"]
        late = percentile(self.ours, 95)
        return [f"mouth to ear: our part is {late:.1f} ms, more than {OURS_MS:.0f}"] if late > OURS_MS else []


def beeps() -> array.array:
    """What the mouth says: silence, then beeps, each with a pause behind it."""
    samples = array.array("h", [0] * (HZ // 2))
    length, pause = round(HZ * BEEP_S), [0] * round(HZ * PAUSE_S)
    beep = [round(12_000 * math.sin(2 * math.pi * PITCH_HZ * n / HZ)) for n in range(length)]
    for _ in range(BEEPS):
        samples.extend(beep)
        samples.extend(pause)
    return samples


def write(path: Path, samples: array.array) -> None:
    """A mono file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(HZ)
        file.writeframes(samples.tobytes())


def channels(path: Path) -> tuple[array.array, array.array]:
    """Both channels of a recording; its head may not know the length."""
    data = path.read_bytes()
    start = data.index(b"data") + 8
    samples = array.array("h", data[start : start + (len(data) - start) // 4 * 4])
    return samples[0::2], samples[1::2]


def onsets(samples: array.array) -> list[float]:
    """Where sound begins after 100 ms of silence, milliseconds from the beginning."""
    found, last = [], -HZ
    limit = LOUD * 32_768
    for at, sample in enumerate(samples):
        if abs(sample) >= limit:
            if at - last >= HZ // 10:
                found.append(at * 1_000 / HZ)
            last = at
    return found


def pairs(mouths: list[float], ears: list[float]) -> list[float]:
    """For every mouth the first ear after it, unless another mouth comes before."""
    found = []
    for mouth, following in zip(mouths, [*mouths[1:], math.inf]):
        end = min(following, mouth + LONGEST_MS)
        ear = next((ear for ear in ears if mouth <= ear < end), None)
        if ear is not None:
            found.append(ear - mouth)
    return found


def percentile(values: list[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]


def _spread(values: list[float]) -> str:
    return f"p50 {median(values):.1f} ms, p95 {percentile(values, 95):.1f} ms, longest {max(values):.1f} ms"
