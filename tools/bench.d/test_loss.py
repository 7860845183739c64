"""The table of losses and what is promised. Starts nothing.

python3 -m unittest discover -s tools/bench.d
"""

import unittest
from typing import Any

import bench  # noqa: F401  (finds the report)
from loss import limit, still_missing, table


def row(percent: int, repeats: str, in_time: float, kind: str = "independent") -> dict[str, Any]:
    figures = {"in_time_percent": in_time, "pesq": 3.5, "missing_ratio": 0.1, "delay_p50_ms": 45}
    return {"kind": kind, "loss_percent": percent, "repeats": repeats, **figures}


class Losses(unittest.TestCase):
    def test_what_is_promised_is_what_every_copy_of_is_lost_and_half_a_point(self) -> None:
        self.assertAlmostEqual(limit(10, 0), 89.5)
        self.assertAlmostEqual(limit(10, 1), 98.5)
        self.assertAlmostEqual(limit(30, 2), 96.8)

    def test_the_ratio_is_against_the_same_path_without_repeats(self) -> None:
        rows = [row(10, "0", 90.0), row(10, "1", 99.0), row(10, "0", 80.0, "bursts"), row(0, "0", 100.0)]
        self.assertAlmostEqual(still_missing(rows, rows[1]) or 0, 0.1)
        self.assertIsNone(still_missing(rows, rows[3]), "of nothing")

    def test_each_path_has_a_line_with_all_choices(self) -> None:
        rows = [row(percent, choice, 99.0) for percent in (5, 10) for choice in ("0", "1", "2", "reported")]
        lines = table(rows).splitlines()
        self.assertEqual(len(lines), 3)
        self.assertEqual(len(lines[1].split()), 3 + 4 * 2 + 2)


if __name__ == "__main__":
    unittest.main()
