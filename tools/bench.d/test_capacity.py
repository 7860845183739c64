"""The search for the number of listeners, and the plot. Starts nothing.

    python3 -m unittest discover -s tools/bench.d
"""

import unittest
from typing import Any
from xml.etree import ElementTree

import bench  # noqa: F401  (finds the report)
from capacity import FIRST, Found, search, verdict
from plot import step, svg


def up_to(limit: int, full: int = 10_000) -> tuple[list[int], Found]:
    asked: list[int] = []

    def tried(count: int) -> str:
        asked.append(count)
        return "load" if count >= full else "carried" if count <= limit else "late"

    return asked, search(tried, 1_600)


class TheSearch(unittest.TestCase):
    def test_it_doubles_and_then_halves_what_lies_between(self) -> None:
        asked, found = up_to(330)
        self.assertEqual(asked, [25, 50, 100, 200, 400, 300, 350, 325])
        self.assertEqual((found.carried, found.until), (325, 350))
        self.assertIn("20 ms", found.why)

    def test_it_ends_at_what_was_asked_for(self) -> None:
        asked, found = up_to(5_000)
        self.assertEqual((asked[-1], found.carried, found.until), (1_600, 1_600, None))

    def test_it_ends_where_the_load_does(self) -> None:
        _, found = up_to(5_000, full=800)
        self.assertEqual((found.carried, found.until), (400, None))
        self.assertIn("with 800", found.why)

    def test_a_relay_that_carries_nobody_is_found(self) -> None:
        asked, found = up_to(0)
        self.assertEqual((asked[0], found.carried), (FIRST, 0))

    def test_late_or_lost_is_not_carried(self) -> None:
        row = {"limited_by_load": False, "last_p99_us": 20_000.0, "delivered": 990, "expected": 1_000}
        self.assertEqual(verdict(row), "carried")
        bad: list[dict[str, Any]] = [{"last_p99_us": 20_001.0}, {"last_p99_us": None}, {"delivered": 989}]
        self.assertEqual([verdict(row | more) for more in bad], ["late"] * 3)
        self.assertEqual(verdict(row | {"limited_by_load": True, "last_p99_us": 90_000.0}), "load")


class ThePlot(unittest.TestCase):
    def test_grids_are_round(self) -> None:
        self.assertEqual([step(most) for most in (0.0, 10.0, 12.0, 1_600.0, 0.4)], [1.0, 2.0, 5.0, 500.0, 0.1])

    def test_it_is_a_drawing_with_every_point(self) -> None:
        drawn = ElementTree.fromstring(svg("a & b", "x", "y", {"one": [(0, 0), (100, 5)], "two": [(50, 10)]}))
        name = "{http://www.w3.org/2000/svg}"
        circles = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in drawn.iter(f"{name}circle")]
        self.assertEqual(circles[0], (64.0, 372.0))
        self.assertEqual(circles[1:], [(704.0, 206.0), (384.0, 40.0)])
        self.assertIn("a & b", [text.text for text in drawn.iter(f"{name}text")])

    def test_nothing_can_be_drawn_too(self) -> None:
        ElementTree.fromstring(svg("t", "x", "y", {"none": []}))


if __name__ == "__main__":
    unittest.main()
