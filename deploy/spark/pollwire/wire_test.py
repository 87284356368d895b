import json
import pickle
import unittest

from pollwire import election_fixture as fixture
from pollwire.wire import (
    MAX_CLOCK_MS,
    MAX_SEQUENCE,
    ballot_digest,
    parse_entry,
    parse_instant,
    parse_record,
    parse_statement,
    parse_vote,
    record_key,
)


def with_header(headers, name, value):
    return [(n, value if n == name else v) for n, v in headers]


class ParseVote(unittest.TestCase):
    def test_reads_a_vote(self):
        vote = parse_vote(fixture.vote_text())
        self.assertEqual(vote.cast_at, fixture.NOON_MS)
        self.assertEqual(vote.selections, (("mayor", "ann"),))
        self.assertEqual(pickle.loads(pickle.dumps(vote)), vote)

    def test_takes_any_order_and_white_space(self):
        fields = json.loads(fixture.vote_text())
        text = "\r\n\t " + json.dumps(dict(reversed(fields.items())), indent=3) + " \n"
        self.assertEqual(parse_vote(text.encode()), parse_vote(fixture.vote_text()))

    def test_takes_escaped_letters(self):
        text = fixture.vote_text().replace(b'"voteId"', b'"\\u0076oteId"')
        self.assertIsNotNone(parse_vote(text))

    def test_refuses_what_is_not_strict_json(self):
        good = fixture.vote_text()
        bad = {
            "empty": b"",
            "byte order mark": b"\xef\xbb\xbf" + good,
            "utf-16": good.decode().encode("utf-16"),
            "not utf-8": good.replace(b"ann", b"\xff"),
            "surrogates in utf-8": good.replace(b"ann", b"\xed\xa0\x80"),
            "two values": good + good,
            "trailing comma": good[:-1] + b",}",
            "single quotes": good.replace(b'"', b"'"),
            "no-break space": b"\xc2\xa0" + good,
            "vertical tab": b"\x0b" + good,
            "NUL behind": good + b"\0",
            "NaN": good.replace(b'"ann"', b"NaN"),
            "control character": good.replace(b"ann", b"a\nn"),
            "key twice": good[:-1] + b', "mode": "in_person"}',
            "key twice, once escaped": good[:-1] + b', "\\u006dode": "in_person"}',
            "key twice in a selection": good.replace(
                b'"candidate"', b'"contest": "mayor", "candidate"'
            ),
            "deep nesting": b"[" * 100_000,
            "long number": b"1" * 5_000,
        }
        for name, text in bad.items():
            with self.subTest(name):
                self.assertIsNone(parse_vote(text))

    def test_refuses_what_is_not_a_vote(self):
        bad = {
            "voteId": [
                "5F0C1F6E-7A53-4D0E-9B1C-0C8A4B7F2E11",
                "5f0c1f6e-7a53-1d0e-9b1c-0c8a4b7f2e11",
                "5f0c1f6e-7a53-4d0e-cb1c-0c8a4b7f2e11",
                fixture.VOTE_ID + "\n",
                1,
                None,
            ],
            "voterId": ["", "a b", "é", "x" * 65, "a\n", 7, ["V-1"]],
            "station": ["", "-s", "s-", "S-1", "x" * 65, "s_1", None],
            "mode": ["", "In_person", "postal", ["early"], {}, 1, True],
            "castAt": ["2026-11-03T12:00:00Z", "2026-11-03T12:00:00.000+00:00", 0, None],
            "selections": [
                None,
                {},
                "mayor",
                [None],
                [{}],
                [{"contest": "mayor"}],
                [{"contest": "mayor", "candidate": "ann", "rank": 1}],
                [{"contest": "mayor", "candidate": 1}],
                [{"contest": "mayor", "candidate": "Ann"}],
                [{"contest": "mayor", "candidate": "ann"}] * 1_001,
            ],
            "more": ["x"],
        }
        for field, values in bad.items():
            for value in values:
                with self.subTest(field, value=value):
                    self.assertIsNone(parse_vote(fixture.vote_text(**{field: value})))
        for field in ("voteId", "voterId", "station", "mode", "selections", "castAt"):
            fields = json.loads(fixture.vote_text())
            del fields[field]
            self.assertIsNone(parse_vote(json.dumps(fields).encode()))
        for text in (b"null", b"[]", b'"x"', b"1", b"{}"):
            self.assertIsNone(parse_vote(text))

    def test_takes_values_at_their_limits(self):
        for field, value in {
            "voterId": "!~" * 32,
            "station": "a" + "-" * 62 + "9",
            "selections": [{"contest": "mayor", "candidate": "ann"}] * 1_000,
        }.items():
            with self.subTest(field):
                self.assertIsNotNone(parse_vote(fixture.vote_text(**{field: value})))
        self.assertEqual(parse_vote(fixture.vote_text(selections=[])).selections, ())


class ParseInstant(unittest.TestCase):
    def test_reads_instants(self):
        for text, expected_ms in {
            "1970-01-01T00:00:00.000Z": 0,
            "1969-12-31T23:59:59.999Z": -1,
            "2024-02-29T23:59:59.999Z": 1_709_251_199_999,
            "2000-02-29T00:00:00.000Z": 951_782_400_000,
            "0001-01-01T00:00:00.000Z": -62_135_596_800_000,
            "0000-01-01T00:00:00.000Z": -62_167_219_200_000,
            "0000-02-29T00:00:00.000Z": -62_162_121_600_000,
            "9999-12-31T23:59:59.999Z": MAX_CLOCK_MS,
        }.items():
            with self.subTest(text):
                self.assertEqual(parse_instant(text), expected_ms)

    def test_refuses_what_is_no_instant(self):
        for text in (
            "2026-02-29T00:00:00.000Z",
            "1900-02-29T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-00-01T00:00:00.000Z",
            "2026-04-31T00:00:00.000Z",
            "2026-04-00T00:00:00.000Z",
            "2026-11-03T24:00:00.000Z",
            "2026-11-03T23:60:00.000Z",
            "2016-12-31T23:59:60.000Z",
            "2026-11-03 12:00:00.000Z",
            "2026-11-03t12:00:00.000z",
            "2026-11-03T12:00:00.00Z",
            "2026-11-03T12:00:00.0000Z",
            "+002026-11-03T12:00:00.000Z",
            "2026-11-03T12:00:00.000Z\n",
            "٢٠٢٦-11-03T12:00:00.000Z",
            "",
        ):
            with self.subTest(text):
                self.assertIsNone(parse_instant(text))


class ParseEntry(unittest.TestCase):
    def setUp(self):
        self.headers, self.value = fixture.seal(fixture.record())

    def parse(self, name, value):
        return parse_entry(with_header(self.headers, name, value), self.value, fixture.VOTE_BYTES)

    def test_refuses_headers_that_are_not_those_of_an_entry(self):
        for name, values in {
            "v": [b"1", b"02", b"2 ", b"", None],
            "kind": [b"Vote", b"votes", b"statement", b"", None],
            "key-id": [
                b"g-1.1",
                b"e-1/g-1",
                b"e-1/g-1.0",
                b"e-1/g-1.01",
                b"e-1/g-1.1000000",
                b"e-1/g-1.1\n",
                b"E-1/g-1.1",
                b"e-1/\xff.1",
                b"e-1/x/g-1.1",
                b"/g-1.1",
                b"x" * 65 + b"/g-1.1",
                b"",
                None,
            ],
            "sender-key": [bytes(31), bytes(33), b"", None],
            "signature": [bytes(31), bytes(33), b"", None],
            "sequence": [
                b"0",
                b"01",
                b"-1",
                b"+1",
                b"1.0",
                b" 1",
                b"1\n",
                b"1_0",
                "١".encode(),
                b"9" * 5_000,
                str(MAX_SEQUENCE + 1).encode(),
                b"",
                None,
            ],
        }.items():
            for value in values:
                with self.subTest(name, value=value):
                    self.assertIsNone(self.parse(name, value))

    def test_takes_headers_at_their_limits(self):
        self.assertIsNotNone(self.parse("sequence", str(MAX_SEQUENCE).encode()))
        for name in (b"-/-.999999", b"e-1/g-1.1", b"x" * 64 + b"/" + b"y" * 64 + b".1"):
            self.assertEqual(self.parse("key-id", name).key_id, name)

    def test_refuses_a_last_number_above_the_limit(self):
        headers, value = fixture.seal(fixture.record() * 2)
        for sequence, is_read in ((MAX_SEQUENCE - 1, True), (MAX_SEQUENCE, False)):
            named = with_header(headers, "sequence", str(sequence).encode())
            entry = parse_entry(named, value, fixture.VOTE_BYTES)
            self.assertEqual(entry is not None, is_read)

    def test_uses_the_first_of_two_headers(self):
        self.assertEqual(
            parse_entry([*self.headers, ("sequence", b"9")], self.value, fixture.VOTE_BYTES).sequence, 1
        )
        self.assertIsNone(
            parse_entry([("sequence", None), *self.headers], self.value, fixture.VOTE_BYTES)
        )

    def test_counts_records_by_the_value(self):
        size = 122 + fixture.VOTE_BYTES
        for value_bytes, count in {
            0: 0,
            40: 0,
            56: 0,
            40 + size - 1: 0,
            40 + size: 1,
            40 + size + 1: 0,
            40 + 64 * size: 64,
            40 + 65 * size: 0,
        }.items():
            entry = parse_entry(self.headers, bytes(value_bytes), fixture.VOTE_BYTES)
            self.assertEqual(0 if entry is None else entry.count, count)
        self.assertIsNone(parse_entry(self.headers, None, fixture.VOTE_BYTES))

    def test_reads_a_statement_of_16_bytes(self):
        headers = with_header(with_header(self.headers, "kind", b"statement"), "sequence", b"0")
        for value_bytes in (55, 57, 40 + 522):
            self.assertIsNone(parse_entry(headers, bytes(value_bytes), fixture.VOTE_BYTES))
        self.assertEqual(parse_entry(headers, bytes(56), fixture.VOTE_BYTES).sequence, 0)


class ParseRecord(unittest.TestCase):
    def test_refuses_any_byte_that_differs(self):
        good = fixture.record()
        self.assertEqual(parse_record(good).vote_text, fixture.vote_text())

        def changed(at, byte):
            return good[:at] + bytes([byte]) + good[at + 1 :]

        for name, data in {
            "credential 0": changed(0, 0),
            "token": changed(0, 2),
            "scheme": changed(1, 2),
            "clock": fixture.record(accepted_at_ms=MAX_CLOCK_MS + 1),
            "n too large": changed(14, 72),
            "n is 0": changed(14, 0),
            "last byte": changed(len(good) - 1, 1),
            "byte behind the text": changed(51 + 5 + len(fixture.vote_text()), 1),
            "m too large": good[:52] + (401).to_bytes(4, "big") + good[56:],
            "m past 2^24": good[:52] + bytes([1]) + good[53:],
            "upper case": fixture.record(proof_key=b"D-1.1"),
            "no version": fixture.record(proof_key=b"d-1"),
            "version 0": fixture.record(proof_key=b"d-1.0"),
            "leading zero": fixture.record(proof_key=b"d-1.01"),
            "version of 7 digits": fixture.record(proof_key=b"d-1.1000000"),
            "line feed": fixture.record(proof_key=b"d-1.1\n"),
        }.items():
            with self.subTest(name):
                self.assertIsNone(parse_record(data))

    def test_takes_limits(self):
        for data in (
            fixture.record(accepted_at_ms=MAX_CLOCK_MS),
            fixture.record(accepted_at_ms=0, version=2**32 - 1),
            fixture.record(text=b""),
            fixture.record(text=b"x" * fixture.VOTE_BYTES),
            fixture.record(text=b"x" * fixture.VOTE_BYTES, proof_key=b"-" * 64 + b".999999"),
        ):
            self.assertEqual(len(data), 522)
            self.assertIsNotNone(parse_record(data))

    def test_statement_limits_its_clock(self):
        limit = MAX_CLOCK_MS.to_bytes(8, "big")
        self.assertEqual(parse_statement(bytes(8) + limit), (0, MAX_CLOCK_MS))
        self.assertIsNone(parse_statement(bytes(8) + (MAX_CLOCK_MS + 1).to_bytes(8, "big")))


class RecordKey(unittest.TestCase):
    def test_refuses_points_of_low_order(self):
        for point in (bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"):
            self.assertIsNone(
                record_key(fixture.SEALING_KEY, fixture.SEALING_PUBLIC, fixture.ELECTION, point)
            )


class BallotDigest(unittest.TestCase):
    def digest(self, **fields):
        return ballot_digest(parse_vote(fixture.vote_text(**fields)))

    def test_ignores_order_voter_and_id(self):
        pairs = [{"contest": "board", "candidate": c} for c in ("x", "y")]
        self.assertEqual(self.digest(selections=pairs), self.digest(selections=pairs[::-1]))
        self.assertEqual(self.digest(voterId="V-9"), self.digest())

    def test_tells_apart_what_matters(self):
        digests = [
            self.digest(),
            self.digest(station="s-2"),
            self.digest(mode="early"),
            self.digest(castAt="2026-11-03T12:00:00.001Z"),
            self.digest(selections=[]),
            self.digest(selections=[{"contest": "ann", "candidate": "mayor"}]),
            self.digest(selections=[{"contest": "mayor", "candidate": "ann"}] * 2),
        ]
        self.assertEqual(len(set(digests)), len(digests))


if __name__ == "__main__":
    unittest.main()
