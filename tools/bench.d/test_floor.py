"""The arithmetic of `floor`, its table, and what its gateways and links are given. Starts nothing."""

import tomllib
import unittest
from pathlib import Path

import bench  # noqa: F401
from floor import ACROSS, BORDER_KBPS, CALL_HERE, CALLS, HERE, IDLE, LOADED, PRESS_ACROSS, UNIT_KBPS, gateway_toml, load_of, row_of, show, trips

BARE = {"p50_us": 100.0, "p99_us": 300.0}


class Floor(unittest.TestCase):
    def test_a_grant_is_compared_with_the_round_trips_it_needs(self) -> None:
        here = row_of(HERE, IDLE, [200.0] * 99 + [900.0], BARE)
        self.assertEqual((here["presses"], here["p50_us"], here["p95_us"], here["p99_us"]), (100, 200.0, 200.0, 900.0))
        self.assertEqual((here["p50_times_bare"], here["p99_times_bare"]), (2.0, 3.0))
        across = row_of(ACROSS, LOADED, [400.0], BARE)
        self.assertEqual((across["p50_times_bare"], across["p99_times_bare"]), (2.0, 400.0 / 600.0))

    def test_of_no_round_trip_there_is_no_ratio(self) -> None:
        self.assertIsNone(row_of(HERE, IDLE, [200.0], trips([]))["p50_times_bare"])

    def test_the_table_ends_with_what_the_others_are_compared_with(self) -> None:
        lines = show([row_of(HERE, IDLE, [200.0], BARE)], BARE).splitlines()
        self.assertEqual(lines[1].split(), ["here", "idle", "1", "200", "200", "200", "2.00", "0.67"])
        self.assertEqual(lines[2].split(), ["bare", "QUIC", "idle", "-", "100", "-", "300", "-", "-"])

    def test_the_links_are_loaded_to_four_fifths_and_have_room_for_one_more_call(self) -> None:
        for rate, calls in ((UNIT_KBPS, 1), (BORDER_KBPS, CALLS)):
            self.assertAlmostEqual(load_of(rate, calls), 0.8, delta=0.03)
        # engine/capacity.rs
        self.assertGreaterEqual((BORDER_KBPS * 112.5 - 1_790) // 7_200, CALLS + 1)

    def test_one_side_dials_and_only_the_talkgroups_of_the_border_are_bridged(self) -> None:
        ports = {"units": 1, "peers": 2, "console": 3}
        nl = tomllib.loads(gateway_toml("nl", "be", Path("/p"), ports, None))
        be = tomllib.loads(gateway_toml("be", "nl", Path("/p"), ports, 7101))
        self.assertEqual((nl["peer"][0].get("address"), be["peer"][0]["address"]), (None, "127.0.0.1:7101"))
        self.assertEqual((len(nl["talkgroup"]), len(nl["bridge"])), (CALL_HERE + 1, PRESS_ACROSS + 1))
        self.assertEqual(nl["bridge"], be["bridge"])


if __name__ == "__main__":
    unittest.main()
