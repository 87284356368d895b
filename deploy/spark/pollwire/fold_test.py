import unittest

from pollwire import election_fixture as fixture
from pollwire.fold import LogEntry, Outcome, RollEntry, entry_of, fold, minute_of
from pollwire.history import read_decision
from pollwire.judge import Judgement

P = fixture.PARTITION
IDS = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(9)]
ROLL = {fixture.VOTER_KEY: [RollEntry(1, "north", None, "30-44", "f")]}
HELD = {"mode": "provisional"}


def entry(offset, *votes):
    plain = b"".join(fixture.record(fixture.vote_text(**fields)) for fields in votes)
    headers, value = fixture.seal(plain, sequence=offset + 1)
    return LogEntry(P, offset, fixture.NOON_MS, headers, value)


def decide(revision, offset, action, *positions):
    named = {"positions": [f"{P}/{position}" for position in positions]}
    return read_decision(revision, [offset] * 3, action, named)


def count(entries, decisions=(), roll=ROLL, end=100):
    history = fixture.make_history(
        [(fixture.manifest_text(heldModes=["provisional"]), fixture.OPENS)], decisions=list(decisions)
    )
    return fold(history, roll, entries, [end] * 3)


def outcomes(*args, **kwargs):
    by_position = count(*args, **kwargs).outcomes
    return [" ".join(outcome).strip() for _, outcome in sorted(by_position.items())]


class Fold(unittest.TestCase):
    def test_counts_the_first_and_calls_the_rest_duplicates(self):
        entries = [
            entry(3, {"voteId": IDS[1]}, {"voteId": IDS[2]}, {"voteId": IDS[1]}),
            entry(2, {"voteId": IDS[1], "selections": []}),
        ]
        result = count(entries)
        self.assertEqual(
            [result.outcomes[P, o, i] for o, i in ((2, 0), (3, 0), (3, 1), (3, 2))],
            [
                Outcome("counted"),
                Outcome("duplicate", "retransmission"),
                Outcome("duplicate", "double_vote"),
                Outcome("duplicate", "retransmission"),
            ],
        )
        self.assertEqual(result.altered, [(P, 3, 0), (P, 3, 2)])
        self.assertEqual(result.votes["mayor", "#blank", "s-1", "in_person"], 1)
        self.assertEqual(result.turnout, {("s-1", "in_person", "2026-11-03T12:00Z"): 1})
        self.assertEqual(result.groups, {("north", "30-44", "f"): 1})
        self.assertEqual(result.outcome_counts[P, "duplicate", "retransmission"], 2)

    def test_a_held_record_takes_no_participation(self):
        entries = [entry(0, {**HELD, "voteId": IDS[1]}), entry(1, {"voteId": IDS[1]})]
        self.assertEqual(outcomes(entries), ["held mode", "counted"])

    def test_an_admitted_record_counts_before_the_record_at_the_offset(self):
        entries = [
            entry(0, {**HELD, "voteId": IDS[1]}),
            entry(1, {**HELD, "voteId": IDS[2]}),
            entry(2, {"voteId": IDS[3]}),
        ]
        for at, expected in [
            (2, ["counted", "held mode", "duplicate double_vote"]),
            (3, ["duplicate double_vote", "held mode", "counted"]),
        ]:
            self.assertEqual(outcomes(entries, [decide(2, at, "admit", "0/0")]), expected)

    def test_admitted_records_count_by_decision_then_position(self):
        entries = [entry(0, {**HELD, "voteId": IDS[1]}, {**HELD, "voteId": IDS[2]})]
        both = [decide(2, 1, "admit", "0/0", "0/1")]
        self.assertEqual(outcomes(entries, both), ["counted", "duplicate double_vote"])
        apart = [decide(2, 1, "admit", "0/1"), decide(3, 1, "admit", "0/0")]
        self.assertEqual(outcomes(entries, apart), ["duplicate double_vote", "counted"])

    def test_rejected_and_readmitted(self):
        entries = [entry(0, HELD)]
        reject = decide(2, 1, "reject", "0/0")
        self.assertEqual(outcomes(entries, [reject]), ["rejected by_decision"])
        self.assertEqual(outcomes(entries, [reject, decide(3, 4, "readmit", "0/0")]), ["counted"])
        self.assertEqual(
            outcomes(entries, [reject, decide(3, 4, "readmit", "0/0")], end=3), ["rejected by_decision"]
        )
        self.assertEqual(outcomes(entries, [decide(2, 1, "defer", "0/0")]), ["held mode"])

    def test_leaves_out_entries_from_the_end_on(self):
        self.assertEqual(outcomes([entry(0, {}), entry(1, {})], end=1), ["counted"])

    def test_the_roll_is_asked_before_a_record_is_held(self):
        self.assertEqual(outcomes([entry(0, HELD)], roll={}), ["rejected unknown_voter"])
        for fields, expected in [
            (("south", None), "rejected wrong_region"),
            (("south", "s-1"), "counted"),
            (("north", "s-2"), "rejected wrong_station"),
        ]:
            roll = {fixture.VOTER_KEY: [RollEntry(1, *fields, "", "")]}
            self.assertEqual(outcomes([entry(0, {})], roll=roll), [expected])


class EntryOf(unittest.TestCase):
    def seen(self, *entries, time_ms=10, revision=5):
        judgement = Judgement("acceptable", voter_key=b"v", time_ms=time_ms, revision=revision)
        entry = entry_of({b"v": entries}, judgement)
        return entry and entry.region

    def test_sees_the_newest_that_exists(self):
        a, b = (RollEntry(r, region, None, "", "") for r, region in ((2, "a"), (4, "b")))
        self.assertEqual(self.seen(b, a), "b")
        self.assertEqual(self.seen(a, b, revision=3), "a")
        self.assertIsNone(self.seen(a, b, revision=1))
        self.assertIsNone(self.seen())

    def test_a_strike_hides_an_entry_from_votes_at_or_after_its_time(self):
        struck = RollEntry(1, "a", None, "", "", struck_revision=4, struck_at_ms=10)
        for time_ms, revision, expected in [(10, 4, None), (9, 4, "a"), (10, 3, "a")]:
            self.assertEqual(self.seen(struck, time_ms=time_ms, revision=revision), expected)
        older = RollEntry(0, "b", None, "", "")
        self.assertEqual(self.seen(older, struck), "b")


class MinuteOf(unittest.TestCase):
    def test_cuts_seconds(self):
        self.assertEqual(minute_of(fixture.NOON_MS + 59_999), "2026-11-03T12:00Z")
        self.assertEqual(minute_of(0), "1970-01-01T00:00Z")


if __name__ == "__main__":
    unittest.main()
