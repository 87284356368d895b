"""Every expectation of docs/vectors.json that concerns reading, judging and counting a log."""

import pickle
import unittest

from pollwire.fold import fold
from pollwire.judge import Judge
from pollwire.vectors_fixture import log_entries, log_history, log_roll, vectors
from pollwire.wire import (
    derive_key,
    entry_context,
    length_prefixed,
    open_value,
    parse_entry,
    parse_vote,
    proof_leaf,
    public_key,
    record_key,
    vote_proof,
    voter_key,
)


class Keys(unittest.TestCase):
    def test_derived(self):
        for row in vectors()["keys"]["derived"]:
            with self.subTest(row["name"]):
                secret, info = bytes.fromhex(row["secret"]), bytes.fromhex(row["info"])
                names = split(info)[1:]
                derived = derive_key(secret, names[0].decode(), *names[1:])
                self.assertEqual(derived.hex(), row["key"])
                self.assertEqual(length_prefixed(*split(info)), info)
                if "X25519" in row["name"]:
                    self.assertEqual(public_key(derived).hex(), row["publicKey"])

    def test_voter_key(self):
        voter = vectors()["keys"]["voter"]
        key = bytes.fromhex(vectors()["log"]["pseudonymKey"])
        self.assertEqual(voter_key(key, voter["voterId"]).hex(), voter["voterKey"])


def split(data):
    parts = []
    while data:
        size = int.from_bytes(data[:4], "big")
        parts.append(data[4 : 4 + size])
        data = data[4 + size :]
    return parts


class SignedVotes(unittest.TestCase):
    def test_proofs_and_leaves(self):
        key = next(
            bytes.fromhex(row["key"])
            for row in vectors()["keys"]["derived"]
            if row["name"] == "a device's key for proofs"
        )
        for row in vectors()["signedVotes"]:
            with self.subTest(row["name"]):
                body = row["body"]
                text = body["vote"].encode()
                proof = vote_proof(key, "test-2026", body["proofKey"].encode(), text)
                self.assertEqual(proof.hex(), body["proof"])
                self.assertEqual(proof_leaf(proof).hex(), row["leaf"])
                self.assertIsNotNone(parse_vote(text))


class OpenedEntries(unittest.TestCase):
    def test_contexts_keys_and_plaintexts(self):
        history = log_history()
        by_position = {(e.partition, e.offset): e for e in log_entries()}
        for row in vectors()["openedEntries"]:
            with self.subTest(row["name"]):
                log_entry = by_position[row["partition"], row["offset"]]
                entry = parse_entry(log_entry.headers, log_entry.value, history.vote_bytes)
                context = entry_context(history.election, entry)
                key = record_key(
                    history.sealing_key, history.sealing_public, history.election, entry.sender_key
                )
                self.assertEqual(context.hex(), row["context"])
                self.assertEqual(key.hex(), row["sealingKey"])
                self.assertEqual(open_value(key, context, entry.value).hex(), row["plaintext"])


class Log(unittest.TestCase):
    def setUp(self):
        self.history = pickle.loads(pickle.dumps(log_history()))
        self.roll = log_roll()
        self.entries = log_entries()
        self.ends = [
            max(e.offset for e in self.entries if e.partition == partition) + 1
            for partition in range(self.history.partitions)
        ]

    def test_every_record(self):
        count = fold(self.history, self.roll, self.entries, self.ends)
        judge = Judge(self.history)
        for row, entry in zip(vectors()["log"]["entries"], self.entries):
            judgements = judge.judge(*entry)
            self.assertEqual(len(judgements), len(row["expected"]), row["name"])
            for index, (expected, judgement) in enumerate(zip(row["expected"], judgements)):
                with self.subTest(row["name"], index=index):
                    position = (entry.partition, entry.offset, index)
                    outcome = "/".join(part for part in count.outcomes[position] if part)
                    self.assertEqual(outcome, expected.get("decided", expected["outcome"]))
                    if "decided" in expected:
                        self.assertEqual(f"{judgement.fate}/{judgement.reason}", expected["outcome"])
                    self.assertEqual(judgement.clock_ahead_ms, expected.get("clockAheadMs", 0))
                    self.assertEqual(judgement.sequence, expected.get("sequence", 0))
                    self.assertEqual(position in count.altered, expected.get("altered", False))

    def test_count(self):
        count = fold(self.history, self.roll, reversed(self.entries), self.ends)
        expected = vectors()["log"]["count"]
        outcomes = {}
        for (_, fate, reason), records in count.outcome_counts.items():
            name = f"{fate}/{reason}" if reason else fate
            outcomes[name] = outcomes.get(name, 0) + records
        self.assertEqual(outcomes, expected["outcomes"])
        for name in ("votes", "turnout", "groups"):
            counted = {"/".join(key): number for key, number in getattr(count, name).items()}
            self.assertEqual(counted, expected[name], name)


if __name__ == "__main__":
    unittest.main()
