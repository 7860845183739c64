"""Rounds to rows, ratios, columns, and the files that the relays are given. Starts nothing.

    python3 -m unittest discover -s tools/bench.d
"""

import argparse
import tempfile
import tomllib
import unittest
from pathlib import Path

import bench
import memory
from load import Place
from relays import Limit, Scene, Svxreflector, gateway_toml, listens, names
from table import Spread, columns, ratio, summary, text


class Arithmetic(unittest.TestCase):
    def test_rounds_become_a_row_with_the_middle_and_the_edges(self) -> None:
        rounds = [{"delivered": 10, "cost": cost} for cost in (3.0, 1.0, 8.0)]
        row = summary(rounds, ("delivered",), ("cost",))
        self.assertEqual(row, {"delivered": 30, "cost": 3.0, "spread": {"cost": [1.0, 8.0]}})
        self.assertEqual(summary([{"us": None}, {"us": 4.0}], (), ("us",)), {"us": 4.0, "spread": {"us": [4.0, 4.0]}})
        self.assertEqual(summary([{"us": None}], (), ("us",)), {"us": None, "spread": {"us": None}})
        self.assertEqual(Spread.of([2.0, 4.0]), Spread(3.0, 2.0, 4.0))

    def test_a_ratio_needs_both(self) -> None:
        self.assertEqual(ratio(3.0, 2.0), 1.5)
        self.assertEqual([ratio(None, 2.0), ratio(1.0, None), ratio(1.0, 0.0)], [None] * 3)

    def test_figures_have_about_three_digits(self) -> None:
        self.assertEqual([text(value) for value in (None, 7, "a", 0.123, 12.34, 1234.5)], ["-", "7", "a", "0.12", "12.3", "1234"])

    def test_columns_stand_below_each_other(self) -> None:
        self.assertEqual(columns(["who", "us"], [["ours", 5], ["a", 12.5]]), "  who     us\n  ours     5\n  a     12.5")

    def test_memory_is_shared_out(self) -> None:
        self.assertEqual(memory.kib_each(10_000, 42_000, 1_000), 32.0)


class Files(unittest.TestCase):
    def test_a_gateway_has_every_talkgroup(self) -> None:
        config = tomllib.loads(gateway_toml(Path("/p"), 1, 2, 3, 20))
        self.assertEqual([group["name"] for group in config["talkgroup"]], [f"tg-{number}" for number in range(20)])
        self.assertEqual(config["listen"]["units"], ["127.0.0.1:1"])

    def test_what_a_relay_cannot_take_is_left_out(self) -> None:
        reflector = Svxreflector(Path("x"), 0)
        self.assertEqual([reflector.can(Scene(*size)) for size in ((1, 900), (1, 1_000), (20, 20))], [True, False, False])
        self.assertTrue(Limit(Path("x"), 0).can(Scene(20, 20)))
        self.assertEqual((Scene(20, 20).terminals, Scene(1, 50).name, Scene(20, 20).name), (420, "50 listeners", "20 talkgroups of 20"))

    def test_relays_are_asked_for_by_name(self) -> None:
        self.assertEqual(names("limit,murmurd"), ["limit", "murmurd"])
        self.assertRaisesRegex(argparse.ArgumentTypeError, "no relay 'x'; there are: talkbridge", names, "limit,x")

    def test_a_place_becomes_words(self) -> None:
        words = Place("limit", "127.0.0.1:9", 1, 5).words()
        self.assertEqual(words, ["--relay", "limit", "--address", "127.0.0.1:9", "--groups", "1", "--listeners", "5"])
        self.assertEqual(Place("limit", "127.0.0.1:9", 1, 5, Path("/p")).words()[-2:], ["--pki", "/p"])

    def test_a_bound_port_is_seen(self) -> None:
        with tempfile.NamedTemporaryFile("w") as table:
            table.write("  sl  local_address rem_address\n 1: 0100007F:1B59 00000000:0000 07\n")
            table.flush()
            self.assertTrue(listens(0x1B59, (table.name,)))
            self.assertFalse(listens(0x1B5A, (table.name,)))


class Commands(unittest.TestCase):
    def test_every_command_says_what_it_is_in_a_line(self) -> None:
        for name, module in bench.COMMANDS.items():
            words = (module.__doc__ or "").splitlines()
            self.assertTrue(words[0] and not words[1], name)


if __name__ == "__main__":
    unittest.main()
