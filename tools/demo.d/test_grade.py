"""The grader can fail: every promise, broken one by one in a faultless synthetic scene, is found broken.

    target/venv/bin/python -m unittest discover -s tools/demo.d
"""

import contextlib
import copy
import functools
import io
import json
import shutil
import tempfile
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import grade
import promises
import synthetic
from evidence import Evidence, audio
from promises import Row

Rows = Callable[[Evidence], Iterator[Row]]
Event = dict[str, Any]


@functools.cache
def faultless() -> Evidence:
    """One faultless scene for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="talkbridge-grade-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    synthetic.build(folder)
    evidence = Evidence(folder)
    # Found once, so that only what a test spoils is looked for anew.
    list(promises.all_rows(evidence))
    return evidence


class Graded(unittest.TestCase):
    """Each test spoils a copy of the evidence of a faultless scene."""

    def setUp(self) -> None:
        self.evidence = copy.deepcopy(faultless())
        self.folder = self.evidence.folder

    def change(self, label: str, name: str, **fields: Any) -> None:
        """Changes every such event of a run, or takes it out."""
        run = self.evidence.runs[label]
        if fields.get("gone"):
            run.events = [event for event in run.events if event["event"] != name]
        for event in run.events:
            if event["event"] == name:
                event.update(fields)

    def spoil(self, label: str, begin_ms: float, end_ms: float, samples: Callable[[Any], Any]) -> None:
        """Replaces a part of a recording."""
        run = self.evidence.runs[label]
        begin, end = (round((at - run.zero_ms) * 16) for at in (begin_ms, end_ms))
        recording = run.recording.copy()
        recording[begin:end] = samples(recording[begin:end])
        run.recording = recording
        self.evidence._found = {key: found for key, found in self.evidence._found.items() if key[1] != label}

    def broken(self, group: Rows) -> list[str]:
        """The promises of a group that are broken."""
        return [row.promise for row in group(self.evidence) if not row.kept]

    def expect(self, group: Rows, *promised: str) -> None:
        """These are among the broken ones."""
        broken = self.broken(group)
        for promise in promised:
            self.assertTrue(any(promise in name for name in broken), f"{promise!r} not among {broken}")


class TheScene(Graded):
    def test_a_faultless_scene_keeps_every_promise(self) -> None:
        rows = list(promises.all_rows(self.evidence))
        self.assertEqual([(row.promise, row.measured, row.detail) for row in rows if not row.kept], [])
        self.assertEqual([row.promise for row in rows if row.tight_kept is False], [])

    def test_the_exit_status_and_the_json_say_what_the_table_says(self) -> None:
        result = self.folder / "result.json"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(grade.main([str(self.folder), "--json", str(result)]), 0)
        self.assertTrue(json.loads(result.read_text())["kept"])
        self.assertNotIn("BROKEN", out.getvalue())
        scene = self.folder / "scene.json"
        text = scene.read_text()
        self.addCleanup(scene.write_text, text)
        scene.write_text(text.replace('"state": "idle"', '"state": "taken"'))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(grade.main([str(self.folder), "--json", str(result)]), 1)
        self.assertFalse(json.loads(result.read_text())["kept"])
        self.assertIn("BROKEN", out.getvalue())

    def test_a_folder_without_a_scene_is_not_graded(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(grade.main([str(self.folder / "in")]), 2)

    def test_nothing_measured_is_broken(self) -> None:
        for run in self.evidence.runs.values():
            run.events, run.exit = [], None
        self.evidence.calls.clear()
        self.evidence.records = {authority: [] for authority in self.evidence.records}
        self.evidence.statuses = {}
        self.assertEqual([row.promise for row in promises.all_rows(self.evidence) if row.kept], [])


class Speed(Graded):
    def test_a_slow_grant_of_the_own_gateway(self) -> None:
        self.change("routine-maas-12", "granted", at_ms=1_301.0)
        self.expect(promises.timing, "own gateway")

    def test_a_slow_grant_across_the_border(self) -> None:
        self.change("star-lux-2", "granted", at_ms=28_801.0)
        self.expect(promises.timing, "across the border")

    def test_a_grant_that_only_misses_the_design_breaks_nothing(self) -> None:
        self.change("star-lux-2", "granted", at_ms=28_511.0)
        row = next(row for row in promises.timing(self.evidence) if "press to grant, across" in row.promise)
        self.assertEqual((row.kept, row.tight_kept), (True, False))

    def test_voice_that_is_late(self) -> None:
        self.change("star-lux-2", "requested", at_ms=28_240.0)
        self.expect(promises.timing, "mouth to ear, across")
        self.change("cut-lux-1", "requested", at_ms=24_040.0)
        self.expect(promises.timing, "mouth to ear, same")

    def test_a_late_joiner_who_waits(self) -> None:
        self.change("late-lux-1", "first_audio", at_ms=18_352.0)
        self.expect(promises.timing, "late entry")


class Sound(Graded):
    def test_a_call_that_one_side_does_not_hear(self) -> None:
        self.spoil("cic-1", 4_000, 7_300, np.zeros_like)
        self.expect(promises.sound, "heard whole", "gaps", "PESQ")

    def test_a_late_joiner_who_hears_nothing(self) -> None:
        self.spoil("late-lux-1", 18_000, 19_600, np.zeros_like)
        self.expect(promises.sound, "in part")

    def test_a_clipped_first_syllable(self) -> None:
        self.spoil("brand-4", 1_250, 1_340, np.zeros_like)
        self.expect(promises.sound, "first 100 ms")

    def test_a_clipped_last_syllable(self) -> None:
        end = 28_500 + synthetic.DELAY_MS + audio._extent(self.evidence.clip("fr-1"))[1] / 16
        self.spoil("mk-1", end - 110, end + 200, np.zeros_like)
        self.expect(promises.sound, "last 100 ms")

    def test_a_gap(self) -> None:
        self.spoil("mk-1", 2_000, 2_040, np.zeros_like)
        self.expect(promises.sound, "gaps")

    def test_a_start_played_late_and_caught_up_is_no_gap(self) -> None:
        begin = 28_500 + synthetic.DELAY_MS

        def late(part: Any) -> Any:
            # 20 ms later; of the 400 ms that follow, 20 are left out.
            return np.concatenate([np.zeros(320), part[: 200 * 16], part[220 * 16 :]])

        self.spoil("mk-1", begin, begin + 400, late)
        self.assertNotIn("gaps in speech", self.broken(promises.sound))

    def test_noise(self) -> None:
        noise = np.random.default_rng(1)
        self.spoil("mk-1", 1_000, 3_000, lambda part: part + noise.normal(0.0, 300.0, len(part)))
        self.expect(promises.sound, "PESQ")


class TheFloor(Graded):
    def test_a_position_that_is_not_told(self) -> None:
        self.change("queue-maas-13", "queued", gone=True)
        self.expect(promises.floor, "position 1")

    def test_a_grant_while_another_talks(self) -> None:
        self.change("queue-maas-13", "granted", at_ms=6_000.0)
        self.expect(promises.floor, "position 1")

    def test_a_wrong_cause(self) -> None:
        self.change("emergency-maas-12", "revoked", cause="talk_limit")
        self.expect(promises.floor, "told why")

    def test_a_talker_who_is_not_cut_off(self) -> None:
        self.change("emergency-maas-12", "revoked", at_ms=12_200.0)
        self.expect(promises.floor, "cut off")

    def test_an_emergency_that_one_side_does_not_see(self) -> None:
        self.change("mk-1", "emergency", originator="be/unit/lux-1")
        self.expect(promises.floor, "emergency begin and end")

    def test_an_emergency_that_does_not_end(self) -> None:
        self.change("cic-1", "emergency", state="active")
        self.expect(promises.floor, "emergency begin and end")

    def test_an_emergency_granted_as_normal(self) -> None:
        self.change("emergency-lux-2", "granted", tier="normal")
        self.expect(promises.floor, "tier and reach")

    def test_a_reach_that_is_not_true(self) -> None:
        self.change("cut-lux-1", "granted", reach="all")
        self.expect(promises.floor, "tier and reach")

    def test_a_late_joiner_who_is_not_told_the_talker(self) -> None:
        self.change("late-maas-12", "taken", talker="nl/unit/maas-12")
        self.expect(promises.floor, "told who talks")

    def test_a_spurt_that_comes_back(self) -> None:
        events = self.evidence.runs["mk-1"].events
        old = next(event for event in events if event["event"] == "taken")
        events.append(old | {"at_ms": 30_000.0})
        self.expect(promises.floor, "by the logs")

    def test_two_voices_at_once(self) -> None:
        # The pre-empted talker goes on being heard under the emergency.
        clip = self.evidence.clip("de-2")[1_300 * 16 :]

        def mixed(part: Any) -> Any:
            return part + np.pad(clip * 1.5, (0, max(0, len(part) - len(clip))))[: len(part)]

        self.spoil("mk-1", 11_850, 14_400, mixed)
        self.expect(promises.floor, "by ear")


class TheBorder(Graded):
    def test_a_cut_that_is_noticed_late(self) -> None:
        self.change("mk-1", "far_side", at_ms=24_501.0)
        self.expect(promises.border, "noticed", "healed")

    def test_a_lost_talker_who_is_not_said_to_be_lost(self) -> None:
        self.change("cic-1", "idle", lost=False)
        self.expect(promises.border, "lost talker")

    def test_a_side_that_falls_silent(self) -> None:
        self.spoil("mk-1", synthetic.DROP_MS + 100, 25_400, np.zeros_like)
        self.expect(promises.border, "talks on alone")

    def test_a_talker_who_does_not_know_that_only_the_own_side_hears(self) -> None:
        self.change("cut-maas-12", "far_side", state="present")
        self.expect(promises.border, "talks on alone")

    def test_a_link_that_does_not_heal(self) -> None:
        self.change("cic-1", "far_side", state="away")
        self.expect(promises.border, "healed")

    def test_a_call_that_does_not_cross_again(self) -> None:
        self.spoil("mk-1", 28_500, 32_000, np.zeros_like)
        self.expect(promises.border, "cross again")


    def test_an_interruption_in_the_own_country_that_is_too_long(self) -> None:
        at = synthetic.DROP_ALL_MS + synthetic.NOTICED_MS - 1_000
        self.spoil("ls-1", at, at + 200, np.zeros_like)
        self.assertEqual(self.broken(promises.border), [])
        self.spoil("ls-1", at, at + 450, np.zeros_like)
        self.expect(promises.border, "interrupted by the cut")

    def test_a_second_link_that_is_noticed_late(self) -> None:
        event = next(event for event in self.evidence.runs["mk-1"].all("far_side", authority="de", state="away"))
        event["at_ms"] += 500
        self.expect(promises.border, "noticed")


class ThreeCountries(Graded):
    def test_a_talker_from_beyond_who_is_shown_as_direct(self) -> None:
        self.change("ls-1", "taken", via=None)
        self.expect(promises.star, "via the home")

    def test_a_talker_from_next_door_who_is_shown_as_from_beyond(self) -> None:
        self.change("mk-1", "taken", via="be")
        self.expect(promises.star, "via the home")

    def test_a_third_country_that_does_not_hear_a_partner(self) -> None:
        self.spoil("ls-1", 28_500, 31_700, np.zeros_like)
        self.expect(promises.sound, "heard whole")
        self.expect(promises.timing, "across two borders")

    def test_a_third_country_that_is_disturbed_by_a_cut(self) -> None:
        far = {"event": "far_side", "at_ms": synthetic.DROP_MS + 10, "authority": "nl", "state": "away"}
        self.evidence.runs["ls-1"].events.insert(0, far)
        self.expect(promises.star, "notices no cut")

    def test_a_third_country_that_waits_without_a_position(self) -> None:
        self.change("star-aachen-5", "queued", gone=True)
        self.expect(promises.floor, "position 1")

    def test_a_third_country_that_is_granted_while_a_partner_talks(self) -> None:
        self.change("star-aachen-5", "granted", at_ms=30_500.0)
        self.expect(promises.floor, "position 1")

    def test_two_partners_at_once_in_one_view(self) -> None:
        clip = self.evidence.clip("en-1")

        def mixed(part: Any) -> Any:
            return part + np.pad(clip * 1.5, (0, max(0, len(part) - len(clip))))[: len(part)]

        # What Belgium says to itself while it is cut off is heard in Germany, which listens to the Netherlands.
        self.spoil("ls-1", 24_350, 26_400, mixed)
        self.expect(promises.floor, "by ear")


class Afterwards(Graded):
    def test_a_stuck_floor(self) -> None:
        self.evidence.statuses["be"]["floors"][0]["state"] = "taken"
        self.expect(promises.end, "floor idle")

    def test_a_request_left_in_a_queue(self) -> None:
        self.evidence.statuses["nl"]["floors"][0]["queue"] = ["be/unit/lux-1"]
        self.expect(promises.end, "floor idle")

    def test_a_talk_that_failed(self) -> None:
        self.evidence.runs["routine-feu-7"].exit = 1
        self.expect(promises.end, "ended as it should")

    def test_a_call_without_record(self) -> None:
        self.evidence.records["be"].pop(0)
        self.expect(promises.end, "records")

    def test_a_call_without_record_in_a_third_country(self) -> None:
        calls = [record for record in self.evidence.records["de"] if record.get("talker") == "be/unit/lux-1"]
        self.evidence.records["de"].remove(calls[0])
        self.expect(promises.end, "records")

    def test_a_record_of_another_outcome(self) -> None:
        for record in self.evidence.records["nl"]:
            if record["outcome"] == "preempted":
                record["outcome"] = "released"
        self.expect(promises.end, "records")

    def test_a_record_of_another_duration(self) -> None:
        self.evidence.records["nl"][0]["duration_ms"] += 600
        self.expect(promises.end, "records")

    def test_a_record_of_a_call_that_crossed_without_its_agreement(self) -> None:
        del self.evidence.records["nl"][0]["agreement"]
        self.expect(promises.end, "records")

    def test_a_record_of_a_call_on_the_own_side_with_an_agreement(self) -> None:
        own = [record for record in self.evidence.records["be"] if record["kind"] == "call" and "agreement" not in record]
        own[0]["agreement"] = "EMR-POL-2026"
        self.expect(promises.end, "records")


if __name__ == "__main__":
    unittest.main()
