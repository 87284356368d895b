import pickle
import unittest

from pollwire import election_fixture as fixture
from pollwire.history import read_decision
from pollwire.judge import MAX_SENDERS, Judge, Judgement, decision_on
from pollwire.wire import public_key

HOUR_MS = 3_600_000
# Accepted and cast at noon; the log's clock.
NOON_MS = fixture.NOON_MS


def judge(plain=None, history=None, offset=0, appended_at_ms=NOON_MS, partition=fixture.PARTITION, **seal):
    headers, value = fixture.seal(fixture.record() if plain is None else plain, **seal)
    judgements = Judge(history or fixture.make_history()).judge(
        partition, offset, appended_at_ms, headers, value
    )
    return judgements[0] if len(judgements) == 1 else judgements


def outcome(*args, **kwargs):
    judgement = judge(*args, **kwargs)
    return f"{judgement.fate} {judgement.reason}".strip()


def vote(record_fields=None, **fields):
    return fixture.record(fixture.vote_text(**fields), **(record_fields or {}))


def manifests(*fields, times=None):
    times = times or [fixture.OPENS] * len(fields)
    return fixture.make_history(
        [
            (fixture.manifest_text(version, **changed), time)
            for version, (changed, time) in enumerate(zip(fields, times), start=1)
        ]
    )


class Entries(unittest.TestCase):
    def test_accepts_a_vote(self):
        judgement = judge()
        self.assertEqual(judgement.fate, "acceptable")
        self.assertEqual((judgement.gateway, judgement.sequence, judgement.revision), ("g-1", 1, 1))
        self.assertEqual((judgement.region, judgement.time_ms), ("north", NOON_MS))
        self.assertEqual(judgement.voter_key, fixture.VOTER_KEY)
        self.assertEqual(
            set(judgement.marks),
            {
                ("mayor", "ann", 1),
                ("mayor", "#ballots", 1),
                ("board", "#ballots", 1),
                ("board", "#undervotes", 2),
                ("board", "#blank", 1),
            },
        )
        self.assertEqual(pickle.loads(pickle.dumps(judgement)), judgement)

    def test_marks_say_what_was_not_chosen(self):
        for candidates, undervotes in (("", 2), ("x", 1), ("xz", 0)):
            selections = [{"contest": "board", "candidate": c} for c in candidates]
            marks = [m for m in judge(vote(selections=selections)).marks if m[0] == "board"]
            expected = {("board", c, 1) for c in [*candidates, "#ballots"]}
            expected |= {("board", "#undervotes", undervotes)} if undervotes else set()
            expected |= set() if candidates else {("board", "#blank", 1)}
            self.assertEqual((len(marks), set(marks)), (len(expected), expected))

    def test_one_judgement_for_each_record(self):
        bad = b"\xff" + fixture.record()[1:]
        judgements = judge(fixture.record() + bad + fixture.record(), sequence=7)
        self.assertEqual([j.reason for j in judgements], ["", "malformed", ""])
        self.assertEqual([j.sequence for j in judgements], [7, 8, 9])
        judgements = judge(fixture.record() * 2, key_id="e-2/g-1.1")
        self.assertEqual([j.reason for j in judgements], ["wrong_election"] * 2)
        self.assertEqual([j.sequence for j in judgements], [0, 0])

    def test_reasons_of_an_entry(self):
        headers, value = fixture.seal(fixture.record())
        judge_ = Judge(fixture.make_history())

        def reason(headers, value):
            return judge_.judge(fixture.PARTITION, 0, NOON_MS, headers, value)[0].reason

        self.assertEqual(reason([], None), "unreadable")
        self.assertEqual(reason(headers, value[:-1]), "unreadable")
        self.assertEqual(reason(headers, value[:-1] + bytes([value[-1] ^ 1])), "bad_signature")
        other = [(n, b"2" if n == "sequence" else v) for n, v in headers]
        self.assertEqual(reason(other, value), "bad_signature")
        self.assertEqual(outcome(key_id="e-1/g-3.1"), "rejected unknown_gateway")
        self.assertEqual(outcome(key_id="e-1/g-1.2"), "rejected unknown_gateway")
        self.assertEqual(outcome(key_id="e-1/-g-1-.1"), "rejected unknown_gateway")
        self.assertEqual(outcome(sender_public=bytes(32)), "rejected cannot_open")

    def test_a_seal_to_another_context_does_not_open(self):
        headers, value = fixture.seal(fixture.record())
        opened = fixture.seal(fixture.record(), sequence=2)
        self.assertNotEqual(value, opened[1])
        self.assertEqual(outcome(sender_public=b"\1" + bytes(31)), "rejected cannot_open")

    def test_a_key_exists_from_its_change(self):
        history = fixture.make_history(steps=[(1, [5, 5, 5])])
        self.assertEqual(outcome(history=history, offset=4), "rejected unknown_gateway")
        self.assertEqual(outcome(history=history, offset=5), "acceptable")

    def test_statements(self):
        def statement(n, clock_ms=5):
            return n.to_bytes(8, "big") + clock_ms.to_bytes(8, "big")

        judgement = judge(statement(3), kind="statement", sequence=3, partition=0)
        self.assertEqual((judgement.fate, judgement.sequence, judgement.time_ms), ("statement", 0, 5))
        self.assertEqual(outcome(statement(4), kind="statement", sequence=3), "rejected malformed")
        self.assertEqual(
            outcome(statement(3, 253_402_300_800_000), kind="statement", sequence=3),
            "rejected malformed",
        )
        revoked = fixture.make_history(gateway_revoked_from=1)
        self.assertEqual(outcome(statement(0), kind="statement", sequence=0, history=revoked), "statement")

    def test_keeps_keys_of_a_limited_number_of_senders(self):
        judge_ = Judge(fixture.make_history())
        judge_._record_keys = {i.to_bytes(32, "big"): None for i in range(MAX_SENDERS)}
        for _ in range(2):
            headers, value = fixture.seal(fixture.record())
            judged = judge_.judge(fixture.PARTITION, 0, NOON_MS, headers, value)
            self.assertEqual(judged[0].fate, "acceptable")
            self.assertEqual(len(judge_._record_keys), MAX_SENDERS)
        self.assertIn(public_key(fixture.SENDER), judge_._record_keys)


class Records(unittest.TestCase):
    def test_reasons_of_a_record_in_their_order(self):
        self.assertEqual(outcome(fixture.record(proof=b"x" * 32)), "rejected bad_proof")
        self.assertEqual(outcome(fixture.record(proof_key=b"d-2.1")), "rejected bad_proof")
        self.assertEqual(outcome(fixture.record(proof_key=b"d-1.2")), "rejected bad_proof")
        self.assertEqual(outcome(fixture.record(text=b"")), "rejected invalid_vote")
        self.assertEqual(
            outcome(partition=(fixture.PARTITION + 1) % 3), "rejected wrong_partition"
        )
        self.assertEqual(outcome(fixture.record(version=2)), "rejected unknown_manifest")
        self.assertEqual(outcome(fixture.record(version=0)), "rejected unknown_manifest")

    def test_times(self):
        opens, closes, accepts = (
            NOON_MS - 5 * HOUR_MS,
            NOON_MS + 8 * HOUR_MS,
            NOON_MS + 11 * HOUR_MS,
        )
        for accepted_at_ms, cast_at, expected in [
            (opens, fixture.OPENS, "acceptable"),
            (opens - 1, fixture.OPENS, "rejected not_open"),
            (accepts, fixture.CLOSES, "acceptable"),
            (accepts + 1, fixture.CLOSES, "rejected not_open"),
            (NOON_MS, "2026-11-03T06:59:59.999Z", "rejected cast_out_of_hours"),
            (accepts, "2026-11-03T20:00:00.001Z", "rejected cast_out_of_hours"),
            (NOON_MS, "2026-11-03T12:05:00.000Z", "acceptable"),
            (NOON_MS, "2026-11-03T12:05:00.001Z", "rejected cast_out_of_hours"),
            (closes, fixture.CLOSES, "acceptable"),
        ]:
            with self.subTest(accepted_at_ms=accepted_at_ms, cast_at=cast_at):
                plain = vote({"accepted_at_ms": accepted_at_ms}, castAt=cast_at)
                self.assertEqual(outcome(plain, appended_at_ms=accepted_at_ms), expected)

    def test_places_and_selections(self):
        def chosen(*pairs):
            return [{"contest": contest, "candidate": candidate} for contest, candidate in pairs]

        for fields, expected in [
            ({"station": "s-9"}, "unknown_station"),
            ({"selections": chosen(("none", "ann"))}, "unknown_contest"),
            ({"selections": chosen(("clerk", "eve"))}, "unknown_contest"),
            ({"station": "s-2", "selections": chosen(("clerk", "eve"))}, "unknown_contest"),
            ({"station": "s-2", "selections": chosen(("board", "x"))}, "unknown_contest"),
            ({"selections": chosen(("mayor", "x"))}, "unknown_candidate"),
            ({"selections": chosen(("mayor", "ann"), ("mayor", "ann"))}, "repeated_candidate"),
            ({"selections": chosen(("mayor", "ann"), ("mayor", "bob"))}, "overvote"),
            ({"selections": chosen(("mayor", "ann"), ("mayor", "bob"), ("no", "x"))}, "overvote"),
            ({"selections": chosen(("no", "x"), ("mayor", "ann"), ("mayor", "bob"))}, "unknown_contest"),
            ({"station": "s-2"}, "foreign_device"),
        ]:
            with self.subTest(fields):
                self.assertEqual(outcome(vote(**fields)), f"rejected {expected}")
        self.assertEqual(outcome(key_id="e-1/g-2.1"), "acceptable")
        gateways = [{"id": "g-2", "stations": ["s-1"], "fallbackFor": []}]
        self.assertEqual(outcome(history=manifests({"gateways": gateways})), "rejected foreign_station")

    def test_pauses_end_at_the_close(self):
        for paused in ("all", ["s-1"]):
            history = manifests({"paused": paused})
            self.assertEqual(outcome(history=history), "rejected not_open")
            for late_ms, expected in ((0, "rejected not_open"), (1, "acceptable")):
                time_ms = NOON_MS + 8 * HOUR_MS + late_ms
                plain = vote({"accepted_at_ms": time_ms})
                self.assertEqual(outcome(plain, history, appended_at_ms=time_ms), expected)
        self.assertEqual(outcome(history=manifests({"paused": ["s-2"]})), "acceptable")

    def test_inactive(self):
        self.assertEqual(outcome(history=manifests({"inactive": "draft"})), "rejected not_open")
        # Cancelled by a version that has not taken effect.
        history = manifests({}, {"inactive": "cancelled"}, times=[fixture.OPENS, fixture.ACCEPTS])
        self.assertEqual(outcome(history=history), "rejected not_open")
        self.assertEqual(outcome(vote(station="s-9"), history), "rejected unknown_station")
        certified = manifests({}, {"inactive": "cancelled", "certified": True})
        self.assertEqual(outcome(history=certified), "rejected after_certification")
        # A newer version may be a draft that is not yet in force.
        history = manifests({}, {"inactive": "draft"}, times=[fixture.OPENS, fixture.ACCEPTS])
        self.assertEqual(outcome(history=history), "acceptable")

    def test_certified(self):
        history = manifests({}, {"certified": True}, times=[fixture.OPENS, fixture.ACCEPTS])
        self.assertEqual(outcome(history=history), "rejected after_certification")
        self.assertEqual(outcome(vote(station="s-9"), history), "rejected unknown_station")
        history = manifests({"heldModes": ["in_person"], "certified": True})
        self.assertEqual(outcome(history=history), "rejected after_certification")


class Held(unittest.TestCase):
    def test_revoked_keys_and_modes_in_their_order(self):
        both = fixture.make_history(
            [(fixture.manifest_text(denied=["d-1.1"], heldModes=["in_person"]), fixture.OPENS)],
            gateway_revoked_from=1,
        )
        self.assertEqual(outcome(history=both), "held gateway_revoked")
        self.assertEqual(outcome(vote(station="s-9"), both), "rejected unknown_station")
        device = manifests({"denied": ["d-1.1"], "heldModes": ["in_person"]})
        self.assertEqual(outcome(history=device), "held device_revoked")
        mode = manifests({"heldModes": ["in_person"]})
        judgement = judge(history=mode)
        self.assertEqual((judgement.fate, judgement.reason), ("held", "mode"))
        self.assertIsNotNone(judgement.vote)
        self.assertEqual(judgement.region, "north")

    def test_a_key_is_revoked_from_a_position_on(self):
        history = fixture.make_history(
            [(fixture.manifest_text(), fixture.OPENS)] * 1,
            steps=[(1, [0, 0, 0]), (2, [9, 9, 9])],
            gateway_revoked_from=2,
        )
        self.assertEqual(outcome(history=history, offset=8), "acceptable")
        self.assertEqual(outcome(history=history, offset=9), "held gateway_revoked")

    def test_a_clock_is_believed_up_to_300_s(self):
        judgement = judge(appended_at_ms=NOON_MS - 300_000)
        self.assertEqual((judgement.time_ms, judgement.clock_ahead_ms), (NOON_MS, 0))
        judgement = judge(appended_at_ms=NOON_MS - 300_001)
        # Then castAt is 1 ms too late for the log's clock.
        self.assertEqual((judgement.fate, judgement.reason), ("held", "clock"))
        self.assertEqual(judgement.time_ms, NOON_MS - 300_001)
        self.assertEqual(judgement.clock_ahead_ms, 300_001)
        self.assertEqual(judgement.region, "north")

    def test_an_append_time_before_1970_counts_as_1970(self):
        judgement = judge(appended_at_ms=-1)
        self.assertEqual((judgement.reason, judgement.time_ms), ("clock", 0))

    def test_a_disbelieved_clock_may_still_be_acceptable(self):
        plain = vote({"accepted_at_ms": NOON_MS + HOUR_MS})
        judgement = judge(plain)
        self.assertEqual((judgement.fate, judgement.time_ms), ("acceptable", NOON_MS))
        self.assertEqual(judgement.clock_ahead_ms, HOUR_MS)

    def test_clock_asks_older_versions_and_gives_reasons_of_points_3_to_5(self):
        south = [{"id": "s-2", "region": "south"}]
        history = manifests({}, {"stations": south}, times=[fixture.OPENS, "2026-11-03T01:00:00.000Z"])
        early_ms = NOON_MS - 10 * HOUR_MS
        judgement = judge(history=history, appended_at_ms=early_ms)
        self.assertEqual((judgement.fate, judgement.reason, judgement.region), ("held", "clock", "north"))
        self.assertEqual(
            outcome(vote(station="s-9"), history, appended_at_ms=early_ms), "rejected unknown_station"
        )

    def test_clock_holds_what_a_mode_holds_as_mode(self):
        history = manifests({"heldModes": ["in_person"]})
        self.assertEqual(outcome(history=history, appended_at_ms=0), "held mode")

    def test_superseded(self):
        south = [{"id": "s-2", "region": "south"}]
        times = [fixture.OPENS, "2026-11-03T11:59:00.000Z"]
        history = manifests({}, {"stations": south}, times=times)
        self.assertEqual(outcome(history=history), "held superseded")
        times[1] = "2026-11-03T11:59:00.001Z"
        history = manifests({}, {"stations": south}, times=times)
        self.assertEqual(outcome(history=history), "acceptable")
        # A version after the vote's time does not hold it.
        history = manifests({"stations": south}, {}, times=[fixture.OPENS, "2026-11-03T12:01:00.000Z"])
        self.assertEqual(outcome(history=history), "rejected unknown_station")
        history = manifests({"stations": south}, {}, times=[fixture.OPENS, "2026-11-03T12:00:59.999Z"])
        self.assertEqual(outcome(history=history), "acceptable")

    def test_extended(self):
        early_close = {"closesAt": "2026-11-03T11:00:00.000Z"}
        for first, is_extended in [
            (early_close, True),
            ({"closesAt": fixture.NOON}, False),
            ({**early_close, "inactive": "draft"}, False),
        ]:
            history = manifests(first, {}, times=[fixture.OPENS, "2026-11-03T10:00:00.000Z"])
            marks = judge(history=history, plain=None).marks
            self.assertEqual(("board", "#extended", 1) in marks, is_extended)


ALL = {"reason": "mode"}


class DecisionOn(unittest.TestCase):
    held = Judgement("held", "mode", gateway="g-1", time_ms=NOON_MS)

    def settle(self, *decisions, end=100, offset=5):
        read = [
            read_decision(revision, [at], action, selector)
            for revision, (at, action, selector) in enumerate(decisions, start=1)
        ]
        decision = decision_on(read, 0, offset, 0, self.held, b"\1" * 32, end)
        return None if decision is None else f"{decision.action} {decision.revision}"

    def test_means_records_before_its_offset_up_to_the_end(self):
        for at, expected in ((5, None), (6, "admit 1"), (100, "admit 1"), (101, None)):
            self.assertEqual(self.settle((at, "admit", {"positions": ["0/5/0"]})), expected)
        self.assertIsNone(self.settle((6, "admit", {"positions": ["0/5/1", "1/5/0"]})))

    def test_all_that_it_says_applies(self):
        for selector, is_meant in [
            ({"reason": "mode"}, True),
            ({"reason": "clock"}, False),
            ({"gateway": "g-1"}, True),
            ({"gateway": "g-2"}, False),
            ({"senderKey": "01" * 32}, True),
            ({"senderKey": "02" * 32}, False),
            ({"from": fixture.NOON}, True),
            ({"from": "2026-11-03T12:00:00.001Z"}, False),
            ({"until": fixture.NOON}, False),
            ({"until": "2026-11-03T12:00:00.001Z"}, True),
            ({"reason": "mode", "gateway": "g-2"}, False),
        ]:
            with self.subTest(selector):
                settled = self.settle((6, "reject", selector))
                self.assertEqual(settled, "reject 1" if is_meant else None)

    def test_the_first_that_admits_or_rejects_settles(self):
        named = {"positions": ["0/5/0"]}
        self.assertEqual(self.settle((6, "defer", ALL), (7, "admit", ALL), (8, "reject", ALL)), "admit 2")
        self.assertEqual(self.settle((6, "reject", ALL), (7, "admit", ALL)), "reject 1")
        self.assertEqual(self.settle((6, "reject", ALL), (7, "readmit", named), (8, "reject", ALL)), "readmit 2")
        self.assertEqual(self.settle((6, "readmit", named), (7, "reject", ALL)), "reject 2")
        self.assertEqual(self.settle((6, "admit", ALL), (7, "readmit", named)), "admit 1")
        self.assertIsNone(self.settle((6, "readmit", named)))
        self.assertIsNone(self.settle())


if __name__ == "__main__":
    unittest.main()
