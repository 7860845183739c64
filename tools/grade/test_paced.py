"""The grader of changed paces knows time from sound."""

import pathlib
import unittest

import numpy as np
from audio import RATE, load
from paced import grade

SPEECH = pathlib.Path(__file__).resolve().parents[1] / "assets" / "speech-nl.wav"


class Paced(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.spoken = load(SPEECH)[: 4 * RATE]

    def test_the_same_sound_is_perfect(self):
        self.assertGreater(grade(self.spoken, self.spoken), 4.5)

    def test_a_pause_that_grew_costs_next_to_nothing(self):
        levels = [np.abs(self.spoken[at : at + 320]).max() for at in range(RATE, 3 * RATE, 320)]
        pause = RATE + 320 * int(np.argmin(levels))
        heard = np.insert(self.spoken, pause, np.zeros(400))
        self.assertGreater(grade(self.spoken, heard), 4.2)

    def test_torn_sound_is_charged(self):
        heard = self.spoken.copy()
        heard[::4_000] = 32_000
        for at in range(0, len(heard) - 320, 1_600):
            heard[at : at + 320] = 0
        self.assertLess(grade(self.spoken, heard), 2.5)


if __name__ == "__main__":
    unittest.main()
