"""What executors are sent: keys that open and check, and none that signs, answers or derives others."""

import base64
import json
import pickle
import unittest

from nacl import bindings

from pollwire import tables, wire
from pollwire.history import read_manifest
from pollwire.registry import RecountError, read_history
from pollwire.vectors_test import LOG, VECTORS

ELECTION = LOG["election"]
MASTER = bytes.fromhex(VECTORS["keys"]["master"])
MANIFEST = next(each["change"]["manifest"] for each in LOG["changes"] if each["change"]["kind"] == "manifest")


def signed(text, seed):
    _, secret = bindings.crypto_sign_seed_keypair(seed)
    return base64.b64encode(bindings.crypto_sign(text.encode(), secret)[:64]).decode()


class Registry:
    """A cursor that answers the queries of `read_history`."""

    def __init__(self, seed):
        text = json.dumps(MANIFEST)
        self._answers = {
            tables.ELECTION: [(2, LOG["partitions"], LOG["voteBytes"])],
            tables.MANIFESTS: [(1, 0, text, signed(text, seed))],
            tables.CHANGES: [(1, "manifest", [0] * LOG["partitions"])],
            tables.GATEWAY_KEYS: [("g-1", 1, 1, None)],
            tables.DEVICE_KEYS: [("n-1-a", 1, 1, "n-1")],
            tables.DECISIONS: [],
        }
        self._found = []

    def execute(self, query, _parameters):
        self._found = self._answers[query]

    def fetchall(self):
        return self._found


def seed():
    return wire.derive_key(MASTER, "manifest", ELECTION)


class UncontestedContests(unittest.TestCase):
    def test_are_on_no_ballot(self):
        uncontested = [{**MANIFEST["contests"][0], "id": "clerk"}]
        self.assertEqual(
            read_manifest({**MANIFEST, "uncontested": uncontested}, 1, 0),
            read_manifest(MANIFEST, 1, 0),
        )


class WhatExecutorsGet(unittest.TestCase):
    def test_has_the_keys_that_judging_needs(self):
        history = read_history(Registry(seed()), ELECTION, MASTER)
        sent = pickle.dumps(history)
        for key in (history.sealing_key, history.pseudonym_key, history.gateway_keys["g-1", 1].key, history.device_keys["n-1-a", 1].key):
            self.assertIn(key, sent)
        self.assertEqual(history.sealing_key.hex(), LOG["aggregatorPrivateKey"])

    def test_has_neither_the_master_key_nor_one_that_signs_or_answers(self):
        sent = pickle.dumps(read_history(Registry(seed()), ELECTION, MASTER))
        needed = ("a device's key for proofs", "a gateway's key", "the key of voter keys", "the aggregator's X25519 key")
        withheld = [each for each in VECTORS["keys"]["derived"] if each["name"] not in needed]
        self.assertEqual(len(withheld), len(VECTORS["keys"]["derived"]) - len(needed))
        for name, key in [("the master key", MASTER.hex()), *((each["name"], each["key"]) for each in withheld)]:
            self.assertNotIn(bytes.fromhex(key), sent, name)

    def test_refuses_a_manifest_that_the_election_did_not_sign(self):
        with self.assertRaisesRegex(RecountError, "its signature does not fit the election's master key"):
            read_history(Registry(bytes(32)), ELECTION, MASTER)


if __name__ == "__main__":
    unittest.main()
