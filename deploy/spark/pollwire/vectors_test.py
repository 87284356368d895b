"""Checks the wire format, the judging and the count against docs/vectors.json."""

import json
import unittest
from pathlib import Path

from pollwire import wire
from pollwire.fold import LogEntry, RollEntry, fold
from pollwire.history import NEVER, History, Key, read_decision, read_manifest

VECTORS = json.loads((Path(__file__).parents[3] / "docs" / "vectors.json").read_text())
LOG = VECTORS["log"]
PARTITIONS = LOG["partitions"]
TEXT_HEADERS = ("v", "kind", "key-id", "sequence")


def ms(text):
    return wire.parse_instant(text)


def history_of(log):
    steps, manifests, decisions, roll = [], [], [], {}
    keys = {"gateway": {}, "device": {}}
    for revision, made in enumerate(log["changes"], 1):
        change, first = made["change"], made["from"]
        kind = change["kind"]
        if kind == "decision":
            decisions.append(read_decision(revision, first, change["action"], change["selector"]))
            continue
        steps.append((revision, first))
        if kind == "manifest":
            manifests.append(read_manifest(change["manifest"], revision, ms(change["effectiveAt"])))
        elif kind == "roll":
            for each in change["add"]:
                entry = RollEntry(revision, each["region"], each["station"], each["ageGroup"], each["gender"])
                roll.setdefault(bytes.fromhex(each["voterKey"]), []).append(entry)
            for each in change.get("strike", ()):
                entries = roll[bytes.fromhex(each["voterKey"])]
                struck = {**vars(entries[-1]), "struck_revision": revision, "struck_at_ms": ms(each["at"])}
                entries[-1] = RollEntry(**struck)
        else:
            owner, action = kind.split("_")
            name = (change[owner], change["version"])
            if action == "key":
                key = bytes.fromhex(change["key"])
                keys[owner][name] = Key(key, revision, NEVER, change.get("station", ""))
            else:
                known = keys[owner][name]
                keys[owner][name] = Key(known.key, known.revision, revision, known.station)
    sealing_key = bytes.fromhex(log["aggregatorPrivateKey"])
    history = History(
        election=log["election"],
        partitions=log["partitions"],
        vote_bytes=log["voteBytes"],
        pseudonym_key=bytes.fromhex(log["pseudonymKey"]),
        sealing_key=sealing_key,
        sealing_public=wire.public_key(sealing_key),
        steps=steps,
        manifests=manifests,
        gateway_keys=keys["gateway"],
        device_keys=keys["device"],
        decisions=decisions,
    )
    return history, roll


def entry_of(vector):
    headers = [
        (name, text.encode() if name in TEXT_HEADERS else bytes.fromhex(text))
        for name, text in vector["headers"].items()
    ]
    value = bytes.fromhex(vector["value"])
    return LogEntry(vector["partition"], vector["offset"], ms(vector["appendedAt"]), headers, value)


def minutes(turnout):
    """Turnout with minutes since 1970 in place of `2026-11-03T12:00Z`."""
    keys = {key: key.rsplit("/", 1) for key in turnout}
    return {f"{cell}/{ms(minute[:-1] + ':00.000Z') // 60_000}": turnout[key] for key, (cell, minute) in keys.items()}


class Vectors(unittest.TestCase):
    def test_derives_every_key(self):
        for each in VECTORS["keys"]["derived"]:
            info = bytes.fromhex(each["info"])
            parts = []
            while info:
                size = int.from_bytes(info[:4], "big")
                parts.append(info[4 : 4 + size])
                info = info[4 + size :]
            self.assertEqual(parts[0], b"pollwire/2")
            key = wire.derive_key(bytes.fromhex(each["secret"]), parts[1].decode(), *parts[2:])
            self.assertEqual(key.hex(), each["key"], each["name"])

    def test_makes_a_voter_key(self):
        voter = VECTORS["keys"]["voter"]
        key = wire.voter_key(bytes.fromhex(LOG["pseudonymKey"]), voter["voterId"])
        self.assertEqual(key.hex(), voter["voterKey"])

    def test_opens_entries(self):
        entries = {(each["partition"], each["offset"]): each for each in LOG["entries"]}
        private = bytes.fromhex(LOG["aggregatorPrivateKey"])
        for each in VECTORS["openedEntries"]:
            stored = entry_of(entries[each["partition"], each["offset"]])
            entry = wire.parse_entry(stored.headers, stored.value, LOG["voteBytes"])
            context = wire.entry_context(LOG["election"], entry)
            self.assertEqual(context.hex(), each["context"])
            key = wire.record_key(private, wire.public_key(private), LOG["election"], entry.sender_key)
            self.assertEqual(key.hex(), each["sealingKey"])
            self.assertEqual(wire.open_entry(key, context, stored.value).hex(), each["plaintext"])


class Log(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.history, cls.roll = history_of(LOG)
        ends = [0] * PARTITIONS
        for each in LOG["entries"]:
            ends[each["partition"]] = each["offset"] + 1
        cls.count = fold(cls.history, cls.roll, [entry_of(each) for each in LOG["entries"]], ends)

    def test_judges_every_record(self):
        records = 0
        for vector in LOG["entries"]:
            for index, expected in enumerate(vector["expected"]):
                position = (vector["partition"], vector["offset"], index)
                with self.subTest(vector["name"], index=index):
                    self.assertEqual(self.count.records.get(position), expected["outcome"])
                    self.assertEqual(self.count.decided.get(position), expected.get("decided"))
                    self.assertEqual(position in self.count.altered, expected.get("altered", False))
                    judgement = self.count.judgements[position]
                    self.assertEqual(judgement.sequence, expected.get("sequence", 0))
                    self.assertEqual(judgement.clock_ahead_ms, expected.get("clockAheadMs", 0))
                records += 1
        self.assertEqual(records, len(self.count.records))

    def test_counts_outcomes(self):
        self.assertEqual(dict(self.count.outcomes), LOG["count"]["outcomes"])

    def test_counts_votes(self):
        self.assertEqual(dict(self.count.votes), LOG["count"]["votes"])

    def test_counts_turnout(self):
        self.assertEqual(dict(self.count.turnout), minutes(LOG["count"]["turnout"]))

    def test_counts_groups(self):
        self.assertEqual(dict(self.count.groups), LOG["count"]["groups"])


if __name__ == "__main__":
    unittest.main()
