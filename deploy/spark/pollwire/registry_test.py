"""What executors are sent: keys that open and check, and none that signs, answers or derives others."""

import base64
import json
import pickle
import re
import tempfile
import unittest
from pathlib import Path

from nacl import bindings

from pollwire import tables, wire
from pollwire.fold import RollEntry, entry_of
from pollwire.history import NEVER, Decision, read_manifest
from pollwire.judge import Judgement
from pollwire.registry import RecountError, read_history, read_master
from pollwire.vectors_fixture import registry_vectors, vectors

VECTORS = vectors()
LOG = VECTORS["log"]
ELECTION = LOG["election"]
MASTER = bytes.fromhex(VECTORS["keys"]["master"])
MANIFEST = next(each["change"]["manifest"] for each in LOG["changes"] if each["change"]["kind"] == "manifest")


def signed(text, seed):
    _, secret = bindings.crypto_sign_seed_keypair(seed)
    return base64.b64encode(bindings.crypto_sign(text.encode(), secret)[:64]).decode()


class Registry:
    """A cursor that answers the queries of `read_history`."""

    def __init__(self, seed, manifest=MANIFEST, **changed):
        text = json.dumps(manifest)
        self._answers = {
            tables.ELECTION: [(2, LOG["partitions"], LOG["voteBytes"])],
            tables.MANIFESTS: [(1, 0, text, signed(text, seed))],
            tables.CHANGES: [(1, "manifest", [0] * LOG["partitions"])],
            tables.GATEWAY_KEYS: [("g-1", 1, 1, None)],
            tables.DEVICE_KEYS: [("n-1-a", 1, 1, "n-1")],
            tables.DECISIONS: [],
        }
        self._answers.update({getattr(tables, name): rows for name, rows in changed.items()})
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
            read_manifest(json.dumps({**MANIFEST, "uncontested": uncontested}), 1, 0),
            read_manifest(json.dumps(MANIFEST), 1, 0),
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

    def test_says_what_else_is_wrong(self):
        text = json.dumps(MANIFEST)
        partitions, vote_bytes = LOG["partitions"], LOG["voteBytes"]
        for expected, changed in (
            ("Cannot find election test-2026", {"ELECTION": []}),
            ("has format 1, and must have format 2", {"ELECTION": [(1, partitions, vote_bytes)]}),
            ("partitions 3, and must have 2", {"ELECTION": [(2, 2, vote_bytes)]}),
            ("voteBytes 448, and must have 7", {"ELECTION": [(2, partitions, 7)]}),
            ("election town, and must have test-2026", {"manifest": {**MANIFEST, "election": "town"}}),
            ("sealingKey 00", {"manifest": {**MANIFEST, "sealingKey": "00" * 32}}),
            ("a field is missing", {"manifest": {}}),
            ("its signature does not fit", {"MANIFESTS": [(1, 0, text + " ", signed(text, seed()))]}),
            ("its signature does not fit", {"MANIFESTS": [(1, 0, text, "?")]}),
            ("unknown action 'keep'", {"DECISIONS": [(2, [0] * 3, "keep", {})]}),
            ("unknown fields .'station'.", {"DECISIONS": [(2, [0] * 3, "admit", {"station": "n-1"})]}),
            ("offsets of partition 2 fall", {"CHANGES": [(1, "created", [0, 0, 1]), (2, "roll", [0, 0, 0])]}),
        ):
            with self.subTest(expected), self.assertRaisesRegex(RecountError, expected):
                read_history(Registry(seed(), **changed), ELECTION, MASTER)


class ReadMaster(unittest.TestCase):
    def test_reads_64_hex_digits(self):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            path = directory / f"{ELECTION}.key"
            path.write_text(MASTER.hex() + "\n")
            self.assertEqual(read_master(directory, ELECTION), MASTER)
            for text in ("", "00" * 31, "zz" * 32):
                path.write_text(text)
                with self.assertRaisesRegex(RecountError, "32 bytes in hex"):
                    read_master(directory, ELECTION)
            with self.assertRaisesRegex(RecountError, "KEYS_DIRECTORY"):
                read_master(directory, "none")


ROWS = registry_vectors()
ADMIT, REJECT = 10, 11


class Rows:
    """A cursor that answers the queries of `read_history` with the rows of docs/registry-vectors.json."""

    def execute(self, query, _parameters):
        rows = ROWS["tables"]
        columns = {
            tables.ELECTION: ("registry.elections", "format", "partitions", "vote_bytes"),
            tables.CHANGES: ("registry.changes", "revision", "kind", "positions"),
            tables.MANIFESTS: ("registry.manifests", "revision", "effective_at", "manifest", "signature"),
            tables.GATEWAY_KEYS: ("registry.gateway_keys", "gateway", "version", "revision", "revoked_revision"),
            tables.DEVICE_KEYS: ("registry.device_keys", "device", "version", "revision", "station"),
        }
        if query == tables.DECISIONS:
            positions = {each["revision"]: each["positions"] for each in rows["registry.changes"]}
            self._found = [
                (each["revision"], positions[each["revision"]], each["action"], each["selector"])
                for each in rows["registry.decisions"]
                if each["action"] != "waive"
            ]
            return
        table, *names = columns[query]
        self._found = [
            tuple(wire.parse_instant(row[name]) if name == "effective_at" else row[name] for name in names)
            for row in rows[table]
        ]

    def fetchall(self):
        return self._found


class WhatTheDocumentsSay(unittest.TestCase):
    def test_registry_md_names_every_table_that_is_read_and_no_other(self):
        queries = [each for each in vars(tables).values() if isinstance(each, str)] + list(tables.TABLES.values())
        read = set(re.findall(r"\b(?:FROM|JOIN) ((?:registry|counting)\.\w+)", "\n".join(queries)))
        self.assertGreater(len(read), 10)
        text = (Path(__file__).parents[3] / "docs" / "registry.md").read_text()
        first_cells = re.findall(r"^\| (.*?) \|", text, re.M)
        self.assertEqual({name for cell in first_cells for name in cell.split(", ")} - {"table", "---"}, read)


class WhatTheRegistrySays(unittest.TestCase):
    def setUp(self):
        self.history = read_history(Rows(), ROWS["election"], bytes.fromhex(ROWS["master"]))

    def test_applies_at_each_position_as_the_aggregator_takes_it(self):
        self.assertGreater(len(ROWS["views"]), 0)
        for expected in ROWS["views"]:
            with self.subTest(partition=expected["partition"], offset=expected["offset"]):
                view = self.history.at(expected["partition"], expected["offset"])
                self.assertEqual(view.revision, expected["revision"])
                manifests = [(each["version"], wire.parse_instant(each["effectiveAt"])) for each in expected["manifests"]]
                self.assertEqual([(each.version, each.effective_at_ms) for each in view.manifests], manifests)
                self.assertEqual(self.known(self.history.gateway_keys, view.revision), expected["gatewayKeys"])
                # The file has those of three devices' keys.
                devices = self.known(self.history.device_keys, view.revision)
                shown = {"n-1-a.1", "n-1-a.2", "n-2-a.1"}
                self.assertEqual({name: devices[name] for name in shown & devices.keys()}, expected["deviceKeys"])

    @staticmethod
    def known(keys, revision):
        return {
            f"{name}.{version}": {
                "key": key.key.hex(),
                "isRevoked": key.until_revision <= revision,
                **({"station": key.station} if key.station else {}),
            }
            for (name, version), key in keys.items()
            if key.from_revision <= revision
        }

    def test_has_decisions_from_where_counting_stood(self):
        admit, reject = self.history.decisions
        positions = (13, 9, 4)
        self.assertEqual(admit, Decision(ADMIT, positions, "admit", named=frozenset([(0, 3, 0), (2, 1, 5)])))
        noon = wire.parse_instant("2026-11-03T12:00:00.000Z")
        self.assertEqual(
            reject,
            Decision(
                REJECT,
                positions,
                "reject",
                reason="gateway_revoked",
                gateway="g-1",
                sender_key=bytes.fromhex("5a" * 32),
                from_ms=noon,
                until_ms=noon + 60_000,
            ),
        )

    def test_lets_a_voter_move_by_a_strike_and_a_new_entry(self):
        roll = {}
        for row in ROWS["tables"]["counting.roll"]:
            struck = row["struck_revision"] is not None
            entry = RollEntry(
                row["revision"],
                row["region"],
                row["station"],
                row["age_group"],
                row["gender"],
                row["struck_revision"] if struck else NEVER,
                wire.parse_instant(row["struck_at"]) if struck else NEVER,
            )
            roll.setdefault(bytes.fromhex(row["voter_key"]), []).append(entry)
        (voter,) = (key for key, entries in roll.items() if len(entries) == 2)
        struck_ms = wire.parse_instant("2026-11-03T06:06:00.000Z")
        seen_by = [
            (1, 0, None),
            (6, struck_ms, "north"),
            (7, struck_ms - 1, "north"),
            (7, struck_ms, None),
            (8, 0, "south"),
        ]
        for revision, time_ms, region in seen_by:
            with self.subTest(revision=revision, time_ms=time_ms):
                seen = entry_of(roll, Judgement("acceptable", voter_key=voter, time_ms=time_ms, revision=revision))
                self.assertEqual(seen and seen.region, region)


if __name__ == "__main__":
    unittest.main()
