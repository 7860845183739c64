"""What is read off samples, how the lines of several jobs are put together, and that a missed limit shows."""

import json
import math
import unittest

import figures


def line(at: str, what: str, samples: list[float | None], limit: dict | None) -> str:
    stats = [["p50", None], ["p99", limit]]
    return json.dumps({"at": at, "what": what, "unit": "ms", "stats": stats, "samples": samples})


class Figures(unittest.TestCase):
    def test_jobs_are_put_together(self):
        lines = [line("fibre", "grant", [1.0, 3.0], {"atmost": 4}), "measured 1", line("fibre", "grant", [2.0], {"atmost": 4})]
        (figure,) = figures.merged(lines)
        self.assertEqual((figure.read("p50"), figure.read("p99"), figure.read("max"), figure.read("sum")), (2.0, 3.0, 3.0, 6.0))
        self.assertTrue(figure.kept("p99"))

    def test_what_never_came_misses_its_limit_and_is_called_so(self):
        (figure,) = figures.merged([line("fibre", "grant", [1.0, None], {"atmost": 1e9})])
        self.assertTrue(math.isinf(figure.read("p99")))
        self.assertFalse(figure.kept("p99"))
        self.assertIn("never", "\n".join(figures.listing([figure])))
        self.assertIn("MISSED", "\n".join(figures.listing([figure])))
        self.assertIn("!never", "\n".join(figures.ladder([figure])))
        json.dumps(figures.summary([figure]), allow_nan=False)

    def test_a_share_has_to_reach_its_limit(self):
        figure = figures.Figure("torn", "frames", "%", {"mean": {"atleast": 33.8}}, [33.0, 34.0])
        self.assertFalse(figure.kept("mean"))

    def test_nothing_measured_keeps_no_limit(self):
        self.assertFalse(figures.Figure("fibre", "grant", "ms", {"p99": {"atmost": 1.0}}, []).kept("p99"))

    def test_the_ladder_has_a_column_for_each_rung(self):
        table = figures.ladder(figures.merged([line("fibre", "grant", [1.0], None), line("torn", "late", [9.0], {"atmost": 5})]))
        self.assertRegex(table[0], r"fibre +torn$")
        self.assertRegex(table[1], r"grant, p50 ms +1 +-$")
        self.assertRegex(table[4], r"late, p99 ms +- +!9 <= 5$")


if __name__ == "__main__":
    unittest.main()
