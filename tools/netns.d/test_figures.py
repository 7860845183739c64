"""What was measured against what is promised, and gaps, spreads and vitals from files. Starts nothing.

    python3 -m unittest discover -s tools/netns.d
"""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

from figures import Packet, Report, Vitals, longest_gap, number, packets, percentile, spread, vitals, voice_intervals


def voice(*at: float) -> list[Packet]:
    return [Packet(moment, "out", 95) for moment in at]


class TheReport(unittest.TestCase):
    def setUp(self) -> None:
        self.out = io.StringIO()
        self.enterContext(contextlib.redirect_stdout(self.out))
        self.report = Report()
        self.report.scene("a scene")

    def test_limits_are_kept_up_to_and_with_the_limit(self) -> None:
        self.report.at_most("fast", 1_500.0, 1_500.0)
        self.report.at_least("much", 0.64, 0.64)
        self.report.holds("so", [1])
        self.assertEqual(self.report.broken, [])
        self.assertTrue(self.report.as_json()["kept"])

    def test_what_is_beyond_a_limit_or_was_never_seen_is_broken(self) -> None:
        self.report.at_most("slow", 1_501.0, 1_500.0)
        self.report.at_most("never", None, 1_500.0)
        self.report.at_least("few", 0.63, 0.64)
        self.report.at_least("none", None, 0.64)
        self.report.holds("not so", None, "why")
        self.report.broke("it hangs")
        self.assertEqual(len(self.report.broken), 6)
        self.assertFalse(self.report.as_json()["kept"])
        for word in ("BROKEN", "not seen", "why", "it hangs"):
            self.assertIn(word, self.out.getvalue())
        self.assertIn("0 of 6", self.report.verdict())
        self.assertIn("a scene: slow: 1501 ms, promised <= 1500 ms", self.report.verdict())

    def test_nothing_measured_is_not_kept(self) -> None:
        self.assertFalse(self.report.as_json()["kept"])

    def test_what_is_said_aside_is_said_when_it_is_taken_in(self) -> None:
        aside = self.report.aside()
        aside.scene("another")
        aside.at_most("fast", 1.0, 2.0)
        self.assertNotIn("another", self.out.getvalue())
        self.report.take_in(aside)
        self.assertIn("another", self.out.getvalue())
        self.assertEqual([row.scene for row in self.report.rows], ["another"])


class Numbers(unittest.TestCase):
    def test_figures_are_as_long_as_they_are_sure(self) -> None:
        shown = [number(value, unit) for value, unit in ((1_234.5, "ms"), (9.87, "ms"), (0.7083, ""), (3.0, ""), (None, "ms"))]
        self.assertEqual(shown, ["1234 ms", "9.9 ms", "0.708", "3", "not seen"])

    def test_a_spread_names_least_middle_and_most(self) -> None:
        self.assertEqual(spread([3.0, 1.0, 10.0]), "min 1  median 3  max 10 ms")
        self.assertEqual(spread([]), "none")

    def test_percentiles(self) -> None:
        self.assertEqual(percentile([float(value) for value in range(100)], 0.99), 99.0)
        self.assertEqual(percentile([20.0] * 99 + [80.0], 0.5), 20.0)
        self.assertIsNone(percentile([], 0.5))


class Gaps(unittest.TestCase):
    def test_the_longest_time_without_voice(self) -> None:
        self.assertEqual(longest_gap(voice(0, 20, 40, 140, 160), "out", 0.0, 160.0), 80.0)

    def test_a_stream_that_ends_or_begins_late_has_a_gap_there(self) -> None:
        self.assertEqual(longest_gap(voice(0, 20), "out", 0.0, 520.0), 480.0)
        self.assertEqual(longest_gap(voice(500, 520), "out", 0.0, 520.0), 480.0)
        self.assertEqual(longest_gap([], "out", 0.0, 1_000.0), 980.0)

    def test_the_other_way_and_short_packets_are_no_voice(self) -> None:
        seen = [*voice(0, 20), Packet(40, "in", 95), Packet(60, "out", 35), *voice(80)]
        self.assertEqual(voice_intervals(seen, "out", 0.0, 80.0), [0.0, 20.0, 60.0, 0.0])

    def test_an_unfinished_line_of_a_tap_is_left_out(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tap.txt"
            self.assertEqual(packets(path), [])
            path.write_text("1.500 out 95 184\n2.5")
            self.assertEqual(packets(path), [Packet(1.5, "out", 95, 184)])


class WhatAProcessHolds(unittest.TestCase):
    def test_vitals_are_read_and_compared(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            process = Path(folder) / "7"
            for name in ("fd/0", "fd/1", "task/7"):
                (process / name).mkdir(parents=True)
            (process / "status").write_text("Name:\tx\nVmRSS:\t   1234 kB\n")
            now = vitals(7, 3, Path(folder))
        self.assertEqual(now, Vitals(sessions=3, descriptors=2, threads=1, rss_kib=1_234))
        self.assertEqual(now.growth(Vitals(1, 2, 1, 1_000)), Vitals(2, 0, 0, 234))


if __name__ == "__main__":
    unittest.main()
