"""Pictures and delays by hand-made input."""

import array
import math
import struct
import tempfile
import unittest
import zlib
from pathlib import Path

import beeps
from picture import BYTES_PER_COLOUR, HEADER, Picture


def screen(width: int, height: int) -> bytes:
    """An XWD dump whose pixel at (x, y) is red x, green y, blue 7."""
    colours = 2
    fields = [HEADER.size, 7, 2, 24, width, height, 0, 0, 32, 0, 32, 32, 4 * width, 4, 0, 0, 0, 8, 256, colours, *[0] * 5]
    pixels = b"".join(bytes((7, y, x, 0)) for y in range(height) for x in range(width))
    return HEADER.pack(*fields) + bytes(BYTES_PER_COLOUR * colours) + pixels


class Pictures(unittest.TestCase):
    def test_a_part_of_the_screen_has_its_colours(self) -> None:
        picture = Picture.of_screen(screen(9, 5), 4, 3)
        self.assertEqual((picture.width, picture.height), (4, 3))
        self.assertEqual(picture.at(3, 2), (3, 2, 7))

    def test_the_png_holds_every_row(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "one.png"
            Picture.of_screen(screen(4, 3), 4, 3).png(path)
            data = path.read_bytes()
        self.assertTrue(data.startswith(b"\x89PNG"))
        at = data.index(b"IDAT")
        (length,) = struct.unpack(">I", data[at - 4 : at])
        rows = zlib.decompress(data[at + 4 : at + 4 + length])
        self.assertEqual(rows[:13], bytes((0, 0, 0, 7, 1, 0, 7, 2, 0, 7, 3, 0, 7)))
        self.assertEqual(len(rows), 3 * 13)


class Delays(unittest.TestCase):
    def test_beeps_are_found_where_they_begin_also_late_and_quieter(self) -> None:
        spoken = beeps.beeps()
        late = array.array("h", [0] * 4_800) + array.array("h", (sample // 2 for sample in spoken))
        left, right = beeps.onsets(spoken), beeps.onsets(late)
        self.assertEqual((len(left), len(right)), (beeps.BEEPS, beeps.BEEPS))
        for value in beeps.pairs(left, right):
            self.assertLess(abs(value - 100.0), 1.0)

    def test_a_beep_that_did_not_arrive_is_no_pair_and_takes_none(self) -> None:
        self.assertEqual(beeps.pairs([0.0, 600.0, 1_200.0], [80.0, 1_290.0]), [80.0, 90.0])
        self.assertEqual(beeps.pairs([0.0], [501.0]), [])

    def test_the_promise_breaks_on_our_part_alone(self) -> None:
        whole = [150.0] * 24
        self.assertEqual(beeps.Delays(whole, [89.0] * 24, 24).wrong(), [])
        self.assertEqual(len(beeps.Delays(whole, [91.0] * 24, 24).wrong()), 1)
        self.assertEqual(len(beeps.Delays(whole[:3], [50.0] * 3, 24).wrong()), 1)
        self.assertTrue(math.isclose(beeps.percentile([1.0, 2.0, 3.0], 95), 3.0))


if __name__ == "__main__":
    unittest.main()
