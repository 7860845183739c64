"""The arithmetic of `priority` on captures made by hand, and what it is offered. Starts nothing."""

import tomllib
import unittest
from pathlib import Path
from typing import Any

import bench  # noqa: F401
from load import LoadError
from priority import CLASSES, RATE_KBPS, Call, by_class, cast, gateway_toml, growth, in_order, of_call, offered_kbps, percentile


def spoken(frames: list[int], aside: list[int] | None = None, refused: str | None = None) -> dict[str, Any]:
    """A talker whose frame N passed at 20 ms times N."""
    return {"group": 0, "refused": refused, "frames": frames, "aside": aside or [], "at_ns": [] if refused else [at * 20_000_000 for at in frames]}


def noted(delays: dict[int, float]) -> dict[str, Any]:
    """A listener to whom frames came with these delays."""
    return {"group": 0, "frames": list(delays), "at_ns": [round(frame * 20e6 + delay * 1e6) for frame, delay in delays.items()]}


class Priority(unittest.TestCase):
    def test_a_frame_is_matched_by_its_number_and_a_lost_one_has_a_reason(self) -> None:
        found = of_call(spoken([0, 1, 2, 3, 4], aside=[3]), noted({0: 5.0, 2: 7.5}))
        self.assertEqual(found, {"offered": 5, "refused": 0, "suspended": 1, "dropped": 2, "delays": [5.0, 7.5]})

    def test_what_a_refused_talker_would_have_said_counts_as_offered(self) -> None:
        found = of_call(spoken([0, 1, 2], refused="no_resources"), noted({}))
        self.assertEqual((found["offered"], found["refused"], found["dropped"]), (3, 3, 0))

    def test_captures_that_do_not_fit_are_no_figures(self) -> None:
        with self.assertRaises(LoadError):
            of_call(spoken([0, 1]) | {"at_ns": [1]}, noted({0: 5.0}))
        with self.assertRaises(LoadError):
            of_call(spoken([0, 1]), noted({0: 5.0}) | {"frames": [0, 0], "at_ns": [1, 2]})

    def test_a_class_adds_up_its_calls(self) -> None:
        calls = [Call(kind, "normal", 0, 0) for kind in CLASSES]
        rows = by_class(calls, [spoken([0, 1])] * 4, [noted({0: 5.0, 1: 9.0}), noted({0: 5.0, 1: 5.0}), noted({0: 5.0}), noted({})])
        emergency, bulk = rows["emergency"], rows["bulk"]
        self.assertEqual((emergency["lost"], emergency["added_p99_ms"], emergency["added_max_ms"]), (0, 9.0, 9.0))
        self.assertEqual((bulk["lost"], bulk["added_p99_ms"], bulk["growth_ms"]), (2, None, None))
        self.assertTrue(in_order(rows))
        self.assertFalse(in_order(rows | {"high": bulk}))

    def test_growth_compares_the_ends_of_a_call(self) -> None:
        self.assertEqual(growth([1.0] * 10 + [5.0] * 20 + [11.0] * 10), 10.0)
        self.assertEqual((growth([1.0, 2.0]), percentile([], 0.99), percentile([3.0, 1.0, 2.0], 0.5)), (None, None, 2.0))

    def test_it_is_offered_three_times_the_rate(self) -> None:
        self.assertGreaterEqual(offered_kbps(cast()), 3 * RATE_KBPS)
        self.assertEqual({call.kind for call in cast()}, set(CLASSES))

    def test_both_sides_write_the_same_agreements(self) -> None:
        home, partner = (tomllib.loads(gateway_toml(own, far, Path("/pki"), "10.0.0.1", None, 2)) for own, far in (("nl", "be"), ("be", "nl")))
        self.assertEqual(home["bridge"], partner["bridge"])


if __name__ == "__main__":
    unittest.main()
