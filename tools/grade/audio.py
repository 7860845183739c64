#!/usr/bin/env python3
"""Grades what a listener heard (OUT.wav) against what was spoken (IN.wav).

    python3 tools/grade/audio.py IN.wav OUT.wav [--codec CODEC.wav] [--nth N] [--json]

Finds IN inside OUT by normalised cross-correlation, as a whole or in part. Reports, for the N-th time it is heard (default
the first): when it begins, PESQ wideband, the energy of the first and the last 100 ms of speech, and gaps. CODEC.wav is IN
through the coder alone (`cargo run -p talkbridge-media --example codec -- IN.wav CODEC.wav`); with it, a loss is charged to
the coder or to the bridge, whichever caused it.

Exit status: 0 graded, 1 IN is not in OUT, 2 a file cannot be read. With --json one object on one line; `found` is false and
`error` says why when there is no grade. Scripts import `load`, `find`, `grade` and `overlap`.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from math import gcd

import numpy as np
from pesq import PesqError, pesq
from scipy.io import wavfile
from scipy.signal import correlate, resample_poly

RATE = 16_000
"""Everything is compared at this rate, the one OUT.wav has."""

PIECE = RATE // 2
"""IN is looked for in pieces of 500 ms, so that an utterance is found that was cut off, or that a jitter buffer stretched."""

FOUND = 0.6
"""Least similarity of a piece that counts. Coded speech reaches 0.9, two voices at once 0.7, another voice by chance 0.64."""

AGREE = 2
"""So many pieces must be found at the same offset: a single one may resemble another voice by chance."""

DRIFT = RATE * 6 // 100
"""Pieces whose offsets differ by up to 60 ms, the reach of a jitter buffer, belong to one utterance."""

EDGE = RATE // 10
"""First and last 100 ms of speech."""

BLOCK = RATE // 100
"""10 ms: the grid of energy, and the shortest gap."""

VOICED_DB = -40.0
"""A block of IN is speech when it is not further below the loudest one."""

SILENT = 2
"""Samples up to this value are digital silence: a coder's silence dithers by one or two."""


class NotUsable(Exception):
    """A file that cannot be graded; the message names it."""


@dataclass(frozen=True)
class Match:
    """One time that IN is heard in OUT. Milliseconds count from the start of OUT."""

    offset_ms: float
    """Where sample 0 of IN lies in OUT; below 0 when its start is cut off by the start of OUT."""
    score: float
    """Similarity of the pieces that were found, 0 to 1."""
    from_ms: float
    """Begin of the part that is audible."""
    to_ms: float
    """End of the part that is audible."""
    heard: float
    """Part of the speech that is audible, 0 to 1, in steps of 100 ms; a defect shorter than 300 ms is left to `gaps`."""


def load(path):
    """The samples of a 16 bit WAV file, mono or stereo, of any rate: floats of 16 bit scale at 16 kHz mono."""
    try:
        rate, samples = wavfile.read(path)
    except (OSError, ValueError) as error:
        raise NotUsable(f"{path}: {error}") from error
    if samples.dtype != np.int16:
        raise NotUsable(f"{path}: samples are {samples.dtype}, expected 16 bit PCM")
    samples = samples.astype(np.float64)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if rate != RATE and len(samples):
        common = gcd(rate, RATE)
        samples = resample_poly(samples, RATE // common, rate // common)
    return samples


def find(spoken, heard):
    """Every time `spoken` is heard in `heard`, as a list of `Match` in order of time; at least 1 to 1.5 s of it."""
    hits, found = _hits(spoken, heard), []
    while hits:
        near = max((_near(hits, offset) for offset, _, _ in hits), key=lambda group: sum(score for _, score, _ in group))
        if len({piece for _, _, piece in near}) < AGREE:
            break
        found.append(_match(spoken, heard, near))
        center = np.median([offset for offset, _, _ in near])
        hits = [hit for hit in hits if hit not in near and abs(hit[0] - center) > 2 * DRIFT]
    return sorted(found, key=lambda match: match.offset_ms)


def overlap(first, second):
    """Milliseconds in which two matches are audible together; 0 for voices one after the other. Finds double talk."""
    return max(0.0, min(first.to_ms, second.to_ms) - max(first.from_ms, second.from_ms))


def grade(spoken, heard, codec=None, nth=0):
    """The grade of the `nth` time that `spoken` is heard, as a dictionary ready for JSON."""
    matches = find(spoken, heard)
    report = {"found": len(matches) > nth, "matches": [asdict(match) for match in matches]}
    if not report["found"]:
        best = max((score for _, score, _ in _hits(spoken, heard, 0.2)), default=0.0)
        report["error"] = f"heard {len(matches)} times; best similarity of a piece {best:.2f}, {AGREE} pieces with {FOUND} needed"
        return report
    offset = round(matches[nth].offset_ms * RATE / 1000)
    report |= {"offset_ms": matches[nth].offset_ms, "score": matches[nth].score}
    report |= _measure(spoken, heard, offset)
    if codec is not None:
        alone = find(spoken, codec)
        if not alone:
            return report | {"found": False, "error": "the codec file does not hold the spoken one"}
        measured = _measure(spoken, codec, round(alone[0].offset_ms * RATE / 1000))
        report |= {f"codec_{name}": measured[name] for name in ("pesq", "head_db", "tail_db")}
    return report


def _hits(spoken, heard, threshold=FOUND):
    """(offset of IN, score, number of the piece) of everywhere that a piece of `spoken` is heard."""
    starts = range(0, len(spoken) - PIECE + 1, PIECE)
    energies = [float(np.dot(spoken[start : start + PIECE], spoken[start : start + PIECE])) for start in starts]
    hits = []
    for number, (start, energy) in enumerate(zip(starts, energies)):
        # Pieces 20 dB below the loudest are pauses and breath: they resemble anything.
        if energy > max(energies) / 100:
            peaks = _peaks(spoken[start : start + PIECE], heard, threshold)
            hits += [(offset - start, score, number) for offset, score in peaks]
    return hits


def _near(hits, offset):
    """The hits that belong to the utterance at `offset`: for every piece the best one."""
    best = {}
    for hit in hits:
        if abs(hit[0] - offset) <= DRIFT and hit[1] > best.get(hit[2], hit)[1] - 1e-9:
            best[hit[2]] = hit
    return list(best.values())


def _peaks(piece, heard, threshold):
    """(offset, score) of every peak of the normalised correlation, at least 60 ms from each other."""
    energy = float(np.dot(piece, piece))
    if len(heard) < len(piece) or energy == 0.0:
        return []
    dots = correlate(heard, piece, mode="valid", method="fft")
    sums = np.concatenate(([0.0], np.cumsum(heard**2)))
    local = sums[len(piece) :] - sums[: -len(piece)]
    # The floor keeps windows that are nearly silent from looking similar by chance.
    scores = dots / np.sqrt(energy * np.maximum(local, energy / 100))
    peaks = []
    while True:
        best = int(np.argmax(scores))
        if scores[best] < threshold or scores[best] <= 0.0:
            return peaks
        peaks.append((best, float(scores[best])))
        scores[max(0, best - DRIFT) : best + DRIFT + 1] = -1.0


def _match(spoken, heard, hits):
    """The utterance that `hits` belong to, with the part that is audible.

    Judged in blocks of 100 ms at the offsets where pieces were found. Noisy consonants are coded as other noise and resemble
    nothing, so up to 300 ms between two blocks that are audible count as audible.
    """
    offsets = [offset for offset, _, _ in hits]
    middle = int(np.median(offsets))
    speech = _voiced(spoken)
    voiced = [start for start in range(0, len(spoken), EDGE) if speech[start // BLOCK : (start + EDGE) // BLOCK].any()]
    audible = []
    for start in voiced:
        block = spoken[start : start + EDGE]
        if max(_similarity(block, _cut(heard, offset + start, len(block))) for offset in set(offsets)) < FOUND:
            continue
        if audible and start - audible[-1] <= 4 * EDGE:
            audible += [between for between in voiced if audible[-1] < between < start]
        audible.append(start)
    first, last = (audible[0], min(audible[-1] + EDGE, len(spoken))) if audible else (0, 0)
    return Match(
        offset_ms=_ms(middle),
        score=round(float(np.mean([score for _, score, _ in hits])), 3),
        from_ms=_ms(middle + first),
        to_ms=_ms(middle + last),
        heard=round(len(audible) / max(1, len(voiced)), 3),
    )


def _measure(spoken, heard, offset):
    """PESQ, edges and gaps of the utterance at `offset`."""
    section = _cut(heard, offset, len(spoken))
    begin, end = _extent(spoken)
    gaps = _gaps(spoken, section, begin, end)
    return {
        "pesq": _pesq(spoken, section),
        "head_db": _edge_db(spoken, heard, offset, begin, begin),
        "tail_db": _edge_db(spoken, heard, offset, end - EDGE, end - 4 * EDGE),
        "gaps": len(gaps),
        "gaps_at_ms": [[_ms(offset + start), _ms(length)] for start, length in gaps],
    }


def _pesq(spoken, section):
    """PESQ wideband (P.862.2), or None where it cannot be computed: silence, or less than a quarter of a second."""
    try:
        return round(float(pesq(RATE, spoken, section, "wb")), 3)
    except (PesqError, ValueError):
        return None


def _edge_db(spoken, heard, offset, edge, context):
    """Energy of the 100 ms at `edge` in `heard` above that in `spoken`, in dB, at least -99.

    A jitter buffer may move the end of a spurt against its start. So 400 ms from `context` on are aligned once more, by at
    most 60 ms; a start that is missing altogether resembles nothing and stays where the whole was found.
    """
    context = max(0, context)
    pattern = spoken[context : context + 4 * EDGE]
    reach = 6 * BLOCK
    around = _cut(heard, offset + context - reach, len(pattern) + 2 * reach)
    shifts = [_similarity(pattern, around[shift : shift + len(pattern)]) for shift in range(2 * reach + 1)]
    best = int(np.argmax(shifts))
    shift = best - reach if shifts[best] >= 0.5 else 0
    edge = max(0, edge)
    want = spoken[edge : edge + EDGE]
    got = _cut(heard, offset + edge + shift, len(want))
    ratio = float(np.dot(got, got)) / float(np.dot(want, want))
    return round(max(-99.0, 10 * np.log10(max(ratio, 1e-12))), 2)


def _gaps(spoken, section, begin, end):
    """(start, length) of every run of digital silence of at least 10 ms in which speech was spoken for at least 10 ms."""
    silent = np.abs(section[begin:end]) <= SILENT
    edges = np.flatnonzero(np.diff(np.concatenate(([0], silent.astype(np.int8), [0]))))
    loudest = max(_blocks(spoken).max(), 1.0)
    found = []
    for start, stop in zip(edges[::2] + begin, edges[1::2] + begin):
        if stop - start < BLOCK:
            continue
        lost = _blocks(spoken[start:stop])
        if (20 * np.log10(np.maximum(lost, 1e-3) / loudest) > VOICED_DB).any():
            found.append((int(start), int(stop - start)))
    return found


def _extent(spoken):
    """First sample of speech and the one behind the last."""
    blocks = np.flatnonzero(_voiced(spoken))
    return int(blocks[0]) * BLOCK, min((int(blocks[-1]) + 1) * BLOCK, len(spoken))


def _voiced(spoken):
    """For every 10 ms, whether there is speech."""
    levels = _blocks(spoken)
    return levels >= max(levels.max() * 10 ** (VOICED_DB / 20), 1.0)


def _blocks(samples):
    """Root mean square of every 10 ms; a shorter rest counts as one more."""
    padded = np.pad(samples, (0, -len(samples) % BLOCK))
    return np.sqrt(np.mean(padded.reshape(-1, BLOCK) ** 2, axis=1))


def _similarity(first, second):
    """Normalised correlation without shift, -1 to 1; 0 if one of them is silent."""
    product = float(np.dot(first, first)) * float(np.dot(second, second))
    return float(np.dot(first, second)) / np.sqrt(product) if product > 0.0 else 0.0


def _cut(samples, start, length):
    """`length` samples from `start` on; what lies outside is silence."""
    before = min(max(0, -start), length)
    inside = samples[max(0, start) : max(0, start + length)]
    return np.pad(inside, (before, length - before - len(inside)))


def _ms(samples):
    return round(samples * 1000 / RATE, 3)


def _speech(path):
    """Loads IN, which must have speech to look for."""
    samples = load(path)
    if len(samples) < AGREE * PIECE or _blocks(samples).max() < 10.0:
        raise NotUsable(f"{path}: shorter than 1 s or silent, nothing to look for")
    return samples


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Grades what was heard against what was spoken.")
    parser.add_argument("spoken", metavar="IN.wav")
    parser.add_argument("heard", metavar="OUT.wav")
    parser.add_argument("--codec", metavar="CODEC.wav", help="IN through the coder alone")
    parser.add_argument("--nth", type=int, default=1, help="which time to grade, from 1 (default: the first)")
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    options = parser.parse_args(arguments)
    if options.nth < 1:
        parser.error("--nth counts from 1")
    try:
        codec = load(options.codec) if options.codec else None
        report = grade(_speech(options.spoken), load(options.heard), codec, options.nth - 1)
        status = 0 if report["found"] else 1
    except NotUsable as error:
        report, status = {"found": False, "error": str(error)}, 2
    if options.json:
        print(json.dumps(report), flush=True)
    else:
        for name, value in report.items():
            print(f"{name:14} {value}")
    return status


if __name__ == "__main__":
    sys.exit(main())
