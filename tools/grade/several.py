#!/usr/bin/env python3
"""PESQ of many recordings in one go: pairs of what was spoken and heard as JSON on stdin, their grades as JSON on stdout.

    echo '[["in.wav", "out.wav"]]' | target/venv/bin/python tools/grade/several.py

What is not heard at all has `null`.
"""

import json
import sys

from audio import grade, load


def main() -> int:
    """Grades."""
    spoken = {}
    found = []
    for said, heard in json.load(sys.stdin):
        if said not in spoken:
            spoken[said] = load(said)
        report = grade(spoken[said], load(heard))
        found.append(report["pesq"] if report["found"] else None)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
