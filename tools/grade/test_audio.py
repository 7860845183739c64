"""Proves that the measurements of audio.py can fail: every defect is put into a good recording and must be seen.

    python3 -m unittest discover tools/grade          (in the venv of tools/setup)
"""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import audio

ASSETS = pathlib.Path(__file__).parent.parent / "assets"
NL, EN = (audio.load(ASSETS / f"speech-{language}.wav") for language in ("nl", "en"))
AT = 1.234
"""Seconds at which the voice begins in a recording."""


def recording(*parts, seconds=24):
    """A recording of `seconds` with each (second, samples) mixed in, 1 dB down and with a little noise in the voice."""
    noise = np.random.default_rng(3)
    heard = np.zeros(seconds * audio.RATE)
    for second, samples in parts:
        start = round(second * audio.RATE)
        heard[start : start + len(samples)] += 0.9 * samples + noise.normal(0, 10, len(samples)) * (samples != 0)
    return np.round(heard)


def silenced(samples, first_ms, last_ms):
    """A copy with a piece replaced by digital silence."""
    copy = samples.copy()
    copy[first_ms * 16 : last_ms * 16] = 0
    return copy


def run(*arguments):
    """Exit status and JSON of the command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = audio.main([str(argument) for argument in arguments] + ["--json"])
    return status, json.loads(out.getvalue())


class Grades(unittest.TestCase):
    def test_a_good_recording_passes(self):
        report = audio.grade(NL, recording((AT, NL)))
        self.assertTrue(report["found"])
        self.assertAlmostEqual(report["offset_ms"], AT * 1000, delta=0.1)
        self.assertGreater(report["pesq"], 3.5)
        self.assertEqual(report["gaps"], 0)
        for edge in ("head_db", "tail_db"):
            self.assertAlmostEqual(report[edge], -0.92, delta=0.5)
        self.assertEqual([match["heard"] for match in report["matches"]], [1.0])

    def test_a_clipped_start_is_seen(self):
        report = audio.grade(NL, recording((AT, silenced(NL, 0, 100))))
        self.assertLess(report["head_db"], -10)
        self.assertGreater(report["tail_db"], -3)
        self.assertEqual(report["gaps"], 1)

    def test_a_start_clipped_by_half_a_second_is_seen(self):
        report = audio.grade(NL, recording((AT, silenced(NL, 0, 500))))
        self.assertLess(report["head_db"], -90)
        self.assertAlmostEqual(report["matches"][0]["from_ms"], AT * 1000 + 500, delta=100)

    def test_a_clipped_end_is_seen(self):
        length = len(NL) // 16
        report = audio.grade(NL, recording((AT, silenced(NL, length - 100, length + 1))))
        self.assertLess(report["tail_db"], -10)
        self.assertGreater(report["head_db"], -3)

    def test_gaps_from_ten_milliseconds_on_are_seen(self):
        loudest = int(np.argmax(audio._blocks(NL))) * 10
        for length, gaps in ((8, 0), (12, 1), (60, 1)):
            report = audio.grade(NL, recording((AT, silenced(NL, loudest, loudest + length))))
            self.assertEqual(report["gaps"], gaps, f"{length} ms")
        self.assertAlmostEqual(report["gaps_at_ms"][0][0], AT * 1000 + loudest, delta=1)
        self.assertAlmostEqual(report["gaps_at_ms"][0][1], 60, delta=1)

    def test_noise_costs_quality(self):
        noisy = NL + np.random.default_rng(4).normal(0, 600, len(NL))
        self.assertLess(audio.grade(NL, recording((AT, noisy)))["pesq"], 2.5)

    def test_a_tail_moved_by_the_jitter_buffer_is_no_loss(self):
        moved = np.concatenate((NL[: len(NL) - 16_000], NL[len(NL) - 16_000 - 640 :]))
        report = audio.grade(NL, recording((AT, moved)))
        self.assertAlmostEqual(report["tail_db"], -0.92, delta=0.5)

    def test_the_codec_is_measured_beside_the_bridge(self):
        codec = recording((0.0065, silenced(NL, 0, 50)), seconds=9)
        report = audio.grade(NL, recording((AT, NL)), codec)
        self.assertLess(report["codec_head_db"], report["head_db"])
        self.assertLess(report["codec_pesq"], report["pesq"])
        self.assertFalse(audio.grade(NL, recording((AT, NL)), EN)["found"])


class Finds(unittest.TestCase):
    def test_another_voice_is_not_found(self):
        report = audio.grade(NL, recording((AT, EN)))
        self.assertFalse(report["found"])
        self.assertIn("best similarity", report["error"])
        self.assertEqual(audio.find(NL, np.zeros(16_000)), [])
        self.assertEqual(audio.find(NL, np.zeros(0)), [])

    def test_every_utterance_is_found_and_can_be_graded(self):
        heard = recording((AT, NL), (12, silenced(NL, 0, 100)))
        self.assertEqual([match.offset_ms for match in audio.find(NL, heard)], [AT * 1000, 12_000])
        self.assertGreater(audio.grade(NL, heard)["head_db"], -3)
        self.assertLess(audio.grade(NL, heard, nth=1)["head_db"], -10)
        self.assertFalse(audio.grade(NL, heard, nth=2)["found"])

    def test_a_voice_cut_off_by_another_ends_there(self):
        for seconds in (1.5, 3):
            heard = recording((1, NL[: round(seconds * audio.RATE)]), (1 + seconds, EN))
            ((first,), (second,)) = audio.find(NL, heard), audio.find(EN, heard)
            self.assertAlmostEqual(first.to_ms, 1000 + seconds * 1000, delta=150)
            self.assertLess(first.heard, 0.5)
            self.assertLessEqual(audio.overlap(first, second), 100)

    def test_a_voice_that_was_cut_off_and_begins_again_is_found_twice(self):
        heard = recording((1, NL[: 2 * audio.RATE]), (3.5, NL))
        self.assertEqual([match.offset_ms for match in audio.find(NL, heard)], [1000, 3500])

    def test_double_talk_is_seen(self):
        heard = recording((1, NL), (4, EN))
        ((first,), (second,)) = audio.find(NL, heard), audio.find(EN, heard)
        self.assertGreater(audio.overlap(first, second), 4000)

    def test_a_voice_cut_off_by_the_ends_of_the_recording_is_found(self):
        heard = recording((0, NL[8_000:]), seconds=9)
        self.assertEqual(audio.find(NL, heard)[0].offset_ms, -500)


class Command(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def wav(self, name, samples, rate=audio.RATE):
        path = self.folder / name
        wavfile.write(path, rate, np.clip(np.round(samples), -32768, 32767).astype(np.int16))
        return path

    def test_files_of_other_rates_and_stereo_are_found_at_the_same_place(self):
        heard = self.wav("out.wav", recording((AT, NL)))
        for rate in (8_000, 44_100, 48_000):
            common = np.gcd(rate, audio.RATE)
            spoken = self.wav("in.wav", resample_poly(NL, rate // common, audio.RATE // common), rate)
            status, report = run(spoken, heard)
            self.assertEqual(status, 0, rate)
            self.assertAlmostEqual(report["offset_ms"], AT * 1000, delta=0.2, msg=rate)
        status, report = run(self.wav("in.wav", np.stack((NL, NL), axis=1)), heard, "--codec", self.wav("codec.wav", NL))
        self.assertEqual(status, 0)
        self.assertEqual(report["codec_head_db"], 0)

    def test_the_exit_status_tells_a_miss_from_a_bad_file(self):
        heard = self.wav("out.wav", recording((AT, EN)))
        self.assertEqual(run(self.wav("in.wav", NL), heard)[0], 1)
        status, report = run(self.folder / "missing.wav", heard)
        self.assertEqual((status, report["found"]), (2, False))
        self.assertIn("missing.wav", report["error"])
        self.assertEqual(run(self.wav("in.wav", np.zeros(16_000)), heard)[0], 2)
        wavfile.write(self.folder / "float.wav", audio.RATE, NL.astype(np.float32))
        self.assertEqual(run(self.folder / "float.wav", heard)[0], 2)


if __name__ == "__main__":
    unittest.main()
