"""What the generator found, made into rows, ratios and verdicts. Starts nothing.

    python3 -m unittest discover -s tools/bench.d
"""

import contextlib
import io
import unittest
from types import SimpleNamespace
from typing import Any

import bench  # noqa: F401  (finds the report)
import relay
from figures import Report
from relays import Scene

QUIET = Scene(1, 200)


def found(core_us: int, **others: Any) -> dict[str, Any]:
    base = {"cpu_deliveries": 1_000, "cpu_core_us": core_us, "cpu_soft_us": 1_000, "cpu_process_us": core_us * 8 // 10}
    base |= {"relay_busy": 0.5, "load_busy": 0.4}
    base |= {"delivered": 2_000, "expected": 2_000, "packets_out": 1_000, "frames_heard": 1_000, "unmatched": 0, "rss_kib": 5_000}
    delays = {"first_p50_us": 50.0, "first_p99_us": 90.0, "last_p50_us": 400.0, "last_p99_us": 900.0}
    return relay.figures(base | delays | others)


def row(name: str, core_us: int = 10_000, scene: Scene = QUIET, **others: Any) -> dict[str, Any]:
    return relay.row_of(name, scene, [found(core_us, **others)] * 3)


class Rows(unittest.TestCase):
    def test_time_is_shared_out_over_deliveries(self) -> None:
        one = found(10_000)
        self.assertEqual((one["cpu_us_per_delivery"], one["process_us_per_delivery"]), (10.0, 8.0))
        self.assertAlmostEqual(one["others_busy"], 0.05)
        self.assertEqual(found(10_000, cpu_deliveries=0)["cpu_us_per_delivery"], 10_000.0)

    def test_a_row_has_medians_sums_and_spreads(self) -> None:
        rounds = [found(10_000), found(30_000), found(20_000)]
        made = relay.row_of("murmurd", Scene(20, 20), rounds)
        self.assertEqual((made["listeners"], made["talkers"], made["rounds"]), (400, 20, 3))
        self.assertEqual((made["delivered"], made["cpu_us_per_delivery"]), (6_000, 20.0))
        self.assertEqual(made["spread"]["cpu_us_per_delivery"], [10.0, 30.0])
        self.assertFalse(made["limited_by_load"])

    def test_ratios_are_to_murmurd_of_the_same_scene(self) -> None:
        rows = [row("talkbridge", 15_000), row("murmurd"), row("limit", 5_000), row("talkbridge", scene=Scene(1, 50))]
        times = relay.ratios(rows)
        self.assertEqual([(one["relay"], one["scene"], one["cpu_us_per_delivery"]) for one in times], [
            ("talkbridge", "200 listeners", 1.5), ("limit", "200 listeners", 0.5),
        ])  # fmt: skip


class Verdicts(unittest.TestCase):
    def setUp(self) -> None:
        self.out = io.StringIO()
        self.enterContext(contextlib.redirect_stdout(self.out))

    def broken(self, *rows: dict[str, Any]) -> list[str]:
        judged: Any = SimpleNamespace(report=Report())
        relay.judge(judged, list(rows))
        return [one.what for one in judged.report.broken]

    def test_all_is_kept_at_the_limits(self) -> None:
        self.assertEqual(self.broken(row("talkbridge", 20_000, last_p99_us=1_900.0, delivered=1_998), row("murmurd")), [])

    def test_each_promise_can_be_missed(self) -> None:
        self.assertIn("processor time", " ".join(self.broken(row("talkbridge", 20_001), row("murmurd"))))
        self.assertIn("last listener", " ".join(self.broken(row("talkbridge", last_p99_us=1_901.0), row("murmurd"))))
        self.assertIn("delivered", " ".join(self.broken(row("talkbridge", delivered=1_997), row("murmurd"))))
        self.assertIn("one frame a packet", " ".join(self.broken(row("talkbridge", packets_out=999), row("murmurd"))))
        self.assertIn("one frame a packet", " ".join(self.broken(row("svxreflector", packets_out=999))))

    def test_cost_is_judged_with_200_listeners_alone(self) -> None:
        self.assertEqual(self.broken(row("talkbridge", 90_000, Scene(1, 50)), row("murmurd", scene=Scene(1, 50))), [])

    def test_another_relay_that_loses_frames_is_told_and_not_judged(self) -> None:
        self.assertEqual(self.broken(row("murmurd", packets_out=900, delivered=1_500)), [])
        self.assertIn("it delivered 75.0%", self.out.getvalue())

    def test_what_the_load_limits_is_told_and_not_judged(self) -> None:
        self.assertEqual(self.broken(row("talkbridge", 90_000, load_busy=0.95), row("murmurd")), [])
        self.assertIn("not judged", self.out.getvalue())

    def test_time_is_not_judged_where_others_worked(self) -> None:
        self.assertEqual(self.broken(row("talkbridge", 90_000, cpu_process_us=1_000), row("murmurd")), [])
        self.assertIn("others took 49%", self.out.getvalue())

    def test_a_table_shows_every_row(self) -> None:
        rows = [row("talkbridge", 15_000, load_busy=0.95), row("murmurd")]
        relay.show(rows, relay.ratios(rows))
        for word in ("talkbridge", "1.50", "95% !", "12.0", "15.0-15.0"):
            self.assertIn(word, self.out.getvalue())


if __name__ == "__main__":
    unittest.main()
