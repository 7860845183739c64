"""Which victim dies when is decided by the seed alone, fairly. Starts nothing.

    python3 -m unittest discover -s tools/netns.d
"""

import unittest
from collections import Counter

from land import HOME, other
from rounds import LATEST_S, UNIT, plan

VICTIMS = {UNIT, HOME, other(HOME)}


class ThePlan(unittest.TestCase):
    def test_a_seed_decides_everything(self) -> None:
        self.assertEqual(list(plan(50, 7)), list(plan(50, 7)))
        self.assertNotEqual(list(plan(50, 7)), list(plan(50, 8)))
        self.assertEqual(list(plan(50, 7))[:5], list(plan(5, 7)))

    def test_each_victim_dies_once_in_any_three_rounds(self) -> None:
        rounds = list(plan(201, 1))
        for start in range(0, 201, 3):
            self.assertEqual({decided.victim for decided in rounds[start : start + 3]}, VICTIMS)

    def test_a_gateway_dies_under_its_own_talker_and_the_other_side_waits(self) -> None:
        for decided in plan(200, 3):
            if decided.victim != UNIT:
                self.assertEqual((decided.talking, decided.waiting), (decided.victim, other(decided.victim)))

    def test_units_of_both_sides_talk_and_wait_in_all_four_ways(self) -> None:
        ways = Counter((decided.talking, decided.waiting) for decided in plan(200, 3) if decided.victim == UNIT)
        self.assertEqual(len(ways), 4)

    def test_the_blow_falls_at_any_moment(self) -> None:
        moments = [decided.after_s for decided in plan(200, 3)]
        self.assertTrue(all(0.0 <= moment <= LATEST_S for moment in moments))
        self.assertLess(min(moments), LATEST_S / 10)
        self.assertGreater(max(moments), LATEST_S * 9 / 10)


if __name__ == "__main__":
    unittest.main()
