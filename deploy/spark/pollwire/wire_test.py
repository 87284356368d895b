"""What docs/vectors.json has no example of: limits of texts and headers."""

import json
import unittest

from pollwire import wire

VOTE = {
    "voteId": "5f0c1f6e-7a53-4d0e-9b1c-0c8a4b7f2e11",
    "voterId": "voter-1",
    "station": "n-1",
    "mode": "in_person",
    "selections": [{"contest": "mayor", "candidate": "ann"}],
    "castAt": "2026-11-03T12:00:00.000Z",
}


def vote(**change):
    return wire.parse_vote(json.dumps({**VOTE, **change}).encode())


class Votes(unittest.TestCase):
    def test_reads_a_vote(self):
        found = vote()
        self.assertEqual((found.station, found.selections), ("n-1", (("mayor", "ann"),)))
        self.assertEqual(found.cast_at_ms, 1_793_707_200_000)

    def test_refuses_what_is_not_a_vote(self):
        for change in (
            {"voteId": VOTE["voteId"].upper()},
            {"voteId": "5f0c1f6e-7a53-1d0e-9b1c-0c8a4b7f2e11"},
            {"voterId": ""},
            {"voterId": "a b"},
            {"voterId": "é"},
            {"voterId": "x" * 65},
            {"station": "-a"},
            {"station": "a-"},
            {"station": "A"},
            {"station": "a\n"},
            {"mode": "by_proxy"},
            {"mode": ["early"]},
            {"selections": {}},
            {"selections": [{"contest": "mayor"}]},
            {"selections": [{"contest": "mayor", "candidate": "ann", "rank": "1"}]},
            {"selections": VOTE["selections"] * 1_001},
            {"castAt": "2026-11-03T12:00:00Z"},
            {"castAt": "2026-02-29T12:00:00.000Z"},
            {"castAt": "2026-11-03T24:00:00.000Z"},
            {"castAt": 1},
            {"more": 1},
        ):
            self.assertIsNone(vote(**change), change)

    def test_refuses_texts_that_are_not_json(self):
        text = json.dumps(VOTE).encode()
        for changed in (
            b"\xef\xbb\xbf" + text,
            text + b"x",
            text.replace(b'"n-1"', b'"n-1", "station": "n-1"'),
            text.replace(b'"voter-1"', b"NaN"),
            text.replace(b'"voter-1"', b'"\xff"'),
            b"[" * 100_000,
            b"[]",
            b"",
        ):
            self.assertIsNone(wire.parse_vote(changed), changed[:40])

    def test_reads_times_of_all_years(self):
        self.assertEqual(wire.parse_instant("1970-01-01T00:00:00.000Z"), 0)
        self.assertEqual(wire.parse_instant("0000-01-01T00:00:00.000Z"), -62_167_219_200_000)
        self.assertEqual(wire.parse_instant("2024-02-29T23:59:59.999Z"), 1_709_251_199_999)
        self.assertEqual(wire.parse_instant("9999-12-31T23:59:59.999Z"), wire.MAX_INSTANT_MS)


class Entries(unittest.TestCase):
    def entry(self, **change):
        headers = {
            "v": b"2",
            "kind": b"vote",
            "key-id": b"a/b.1",
            "sender-key": bytes(32),
            "sequence": b"1",
            "signature": bytes(32),
            **change,
        }
        return wire.parse_entry(list(headers.items()), bytes(40 + 2 * (122 + 10)), 10)

    def test_tells_how_many_records_an_entry_holds(self):
        self.assertEqual(self.entry().records, 2)

    def test_a_hyphen_may_stand_at_the_end_of_a_name(self):
        self.assertEqual(self.entry(**{"key-id": b"-/a-.7"}).key_name, ("-", "a-", 7))

    def test_the_first_of_two_headers_counts(self):
        headers = [("v", b"3"), ("v", b"2")]
        self.assertIsNone(wire.parse_entry(headers, b"", 10))

    def test_refuses_headers_that_are_none(self):
        for change in (
            {"v": b"02"},
            {"key-id": b"a/b.0"},
            {"key-id": b"a/b.1\n"},
            {"key-id": b"\xff"},
            {"sequence": b"01"},
            {"sequence": b"+1"},
            {"sequence": "١".encode()},
            {"sequence": b"281474976710656"},
            {"signature": None},
        ):
            self.assertIsNone(self.entry(**change), change)
        self.assertIsNotNone(self.entry(sequence=b"281474976710655"))


if __name__ == "__main__":
    unittest.main()
