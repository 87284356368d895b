import json
import pickle
import unittest
from random import Random

from pollwire import election_fixture as fixture
from pollwire.history import NEVER, Key, View, read_decision, read_manifest


def view_of(*starts_ms):
    return View(
        len(starts_ms),
        tuple(
            read_manifest(fixture.manifest_text(version), version, start_ms)
            for version, start_ms in enumerate(starts_ms, start=1)
        ),
    )


def defined(time_ms, starts_ms):
    """The versions that were in force at a moment less than 60 s away, found by looking at moments."""

    def in_force_at(moment):
        later = [v for v, start_ms in enumerate(starts_ms[1:], start=2) if start_ms <= moment]
        # Versions that take effect at one time are in force at that time.
        return {max(later, default=1), *(v for v in later if starts_ms[v - 1] == moment)}

    edges = [time_ms - 60_000, *starts_ms, time_ms + 60_000]
    moments = [edge + step for edge in edges for step in (-0.5, 0, 0.5)]
    near = set().union(*(in_force_at(moment) for moment in moments if abs(moment - time_ms) < 60_000))
    current = max(in_force_at(time_ms))
    older = sorted((v for v in near if v < current), reverse=True)
    return [current, *older, *sorted(v for v in near if v > current)]


class Asked(unittest.TestCase):
    def asked(self, time_ms, *starts_ms):
        return [manifest.version for manifest in view_of(*starts_ms).asked(time_ms)]

    def test_first_version_is_in_force_from_the_beginning(self):
        self.assertEqual(self.asked(0, 10**12), [1])
        self.assertEqual(self.asked(-(10**12), 10**12), [1])

    def test_asks_neighbours_less_than_60_s_away(self):
        start = 10**12
        for time_ms, expected in {
            start - 60_000: [1],
            start - 59_999: [1, 2],
            start - 1: [1, 2],
            start: [2, 1],
            start + 59_999: [2, 1],
            start + 60_000: [2],
        }.items():
            self.assertEqual(self.asked(time_ms, 0, start), expected, time_ms - start)

    def test_order_is_current_older_newer(self):
        self.assertEqual(self.asked(200_000, 0, 190_000, 200_000, 210_000, 220_000), [3, 2, 1, 4, 5])

    def test_of_versions_of_one_time_the_newest_is_current(self):
        self.assertEqual(self.asked(500_000, 0, 400_000, 400_000), [3])
        self.assertEqual([m.version for m in view_of(0, 5, 5).before(3)], [2, 1])

    def test_versions_of_one_time_are_all_asked_nearby(self):
        self.assertEqual(self.asked(410_000, 0, 400_000, 400_000), [3, 2, 1])

    def test_stops_at_the_first_version_that_is_too_far(self):
        start = 10**12
        self.assertEqual(self.asked(start - 1, 0, start, start + 90_000), [1, 2])
        self.assertEqual(self.asked(start + 90_000, 0, start, start + 90_000), [3, 2])

    def test_agrees_with_the_definition(self):
        random = Random(1)
        for _ in range(300):
            starts = sorted(random.choice(range(0, 200_000, 20_000)) + random.choice((-1, 0, 1)) for _ in range(5))
            time_ms = random.choice(range(0, 200_000, 20_000))
            self.assertEqual(self.asked(time_ms, *starts), defined(time_ms, starts), (time_ms, starts))

    def test_the_first_version_ends_at_the_time_of_the_next(self):
        self.assertEqual(self.asked(0, 0, 500_000), [1])
        self.assertEqual(self.asked(600_000, 0, 500_000), [2])


class At(unittest.TestCase):
    def test_finds_the_newest_change(self):
        history = fixture.make_history(
            [(fixture.manifest_text(version), fixture.OPENS) for version in (1, 2)],
            steps=[(1, [0, 0, 0]), (2, [10, 5, 0]), (4, [10, 7, 3])],
        )
        for partition, offset, revision in [
            (0, 9, 1),
            (0, 10, 4),
            (1, 4, 1),
            (1, 5, 2),
            (1, 6, 2),
            (1, 7, 4),
            (2, 0, 2),
            (2, 3, 4),
            (2, 10**12, 4),
        ]:
            view = history.at(partition, offset)
            self.assertEqual(view.revision, revision)
            self.assertEqual(view.versions, {1} if revision == 1 else {1, 2})
        copy = pickle.loads(pickle.dumps(history))
        self.assertEqual(copy.at(1, 6).revision, 2)

    def test_before_the_first_change_nothing_applies(self):
        view = fixture.make_history(steps=[(1, [3, 3, 3])]).at(0, 2)
        self.assertEqual((view.revision, view.manifests), (0, ()))

    def test_refuses_offsets_that_fall(self):
        with self.assertRaisesRegex(ValueError, "partition 1 fall"):
            fixture.make_history(steps=[(1, [0, 5, 0]), (2, [0, 4, 0])])


class Denied(unittest.TestCase):
    def test_the_first_version_that_denies_a_key_revokes_it_for_good(self):
        history = fixture.make_history(
            [
                (fixture.manifest_text(1), fixture.OPENS),
                (fixture.manifest_text(2, denied=["d-1.1", "d-1.2"]), fixture.OPENS),
                (fixture.manifest_text(3), fixture.OPENS),
            ]
        )
        self.assertEqual(history.device_keys["d-1", 1].until_revision, 2)
        self.assertEqual(history.gateway_keys["g-1", 1].until_revision, NEVER)

    def test_key_defaults(self):
        self.assertEqual(Key(b"", 1), (b"", 1, NEVER, ""))


class ReadManifest(unittest.TestCase):
    def test_reads_what_votes_are_judged_by(self):
        manifest = read_manifest(fixture.manifest_text(), 1, 0)
        self.assertEqual(set(manifest.stations["s-1"].ballot), {"mayor", "board"})
        self.assertEqual(set(manifest.stations["s-2"].ballot), {"mayor"})
        self.assertEqual(manifest.gateways["g-2"], {"s-1", "s-2"})
        self.assertEqual((manifest.paused, manifest.inactive, manifest.is_certified), (set(), "", False))
        self.assertIsNone(read_manifest(fixture.manifest_text(paused="all"), 1, 0).paused)

    def test_a_station_with_no_contests_has_an_empty_ballot(self):
        text = fixture.manifest_text(stations=[{"id": "s-1", "region": "n", "contests": []}])
        self.assertEqual(read_manifest(text, 1, 0).stations["s-1"].ballot, {})

    def test_refuses_what_is_no_manifest(self):
        fields = json.loads(fixture.manifest_text())
        del fields["stations"]
        for text in ("", "[]", "null", json.dumps(fields), fixture.manifest_text(opensAt="soon")):
            with self.assertRaises(ValueError):
                read_manifest(text, 1, 0)


class ReadDecision(unittest.TestCase):
    def test_reads_both_forms(self):
        named = read_decision(4, [1, 2, 3], "readmit", {"positions": ["0/12/1", "2/0/0"]})
        self.assertEqual(named.named, {(0, 12, 1), (2, 0, 0)})
        all_of = read_decision(
            4,
            [1, 2, 3],
            "admit",
            {"reason": "mode", "senderKey": "0a" * 32, "from": fixture.OPENS, "until": fixture.NOON},
        )
        self.assertIsNone(all_of.named)
        self.assertEqual((all_of.reason, all_of.sender_key), ("mode", b"\x0a" * 32))
        self.assertEqual(all_of.until_ms, fixture.NOON_MS)

    def test_refuses_what_it_does_not_know(self):
        for action, selector in [
            ("waive", {"positions": []}),
            ("admit", {"positions": ["0/1/0"], "reason": "mode"}),
            ("admit", {}),
            ("admit", {"positions": ["0/1"]}),
            ("admit", {"positions": ["0/01/0"]}),
            ("admit", {"station": "s-1"}),
            ("admit", {"senderKey": "0A" * 32}),
            ("admit", {"from": "2026-11-03"}),
            ("readmit", {"reason": "mode"}),
        ]:
            with self.subTest(action, selector=selector), self.assertRaises(ValueError):
                read_decision(1, [0], action, selector)


if __name__ == "__main__":
    unittest.main()
