"""Counts the log of docs/vectors.json on Spark, all but Kafka and PostgreSQL: every outcome, decisions, votes, turnout."""

import os
import sys
import unittest

from pyspark.sql import Row

from pollwire import tables
from pollwire.job import PARTICIPATION, apply_roll, compare, count_first, count_lines, judge_log, summary
from pollwire.session import open_spark
from pollwire.stream import _lines
from pollwire.vectors_fixture import log_entries, log_history, log_roll, vectors

LOG = vectors()["log"]
ENTRIES_DDL = (
    "partition int, offset long, timestamp timestamp, headers array<struct<key:string,value:binary>>, value binary"
)
ROLL_DDL = (
    "voter binary, entries array<struct<revision:long,struck_revision:long,struck_ms:long,roll_region:string,"
    "roll_station:string,age_group:string,gender:string>>"
)


def _positions_of(decided):
    """Positions of the records of which decisions made this in the end."""
    return {
        f"{each['partition']}/{each['offset']}/{index}"
        for each in LOG["entries"]
        for index, expected in enumerate(each["expected"])
        if expected.get("decided") == decided
    }


class OnSpark(unittest.TestCase):
    master = "local[2]"

    @classmethod
    def setUpClass(cls):
        os.environ["PYSPARK_PYTHON"] = sys.executable
        cls.session = open_spark(cls.master, "1g")
        cls.spark = cls.session.__enter__()
        history, roll = log_history(), log_roll()
        ends = [0] * LOG["partitions"]
        rows = []
        for entry in log_entries():
            ends[entry.partition] = entry.offset + 1
            headers = [{"key": name, "value": value} for name, value in entry.headers]
            rows.append((entry.partition, entry.offset, entry.appended_at_ms, headers, entry.value))
        # Spark keeps microseconds; a time is made of milliseconds here, in UTC.
        unordered = cls.spark.createDataFrame(reversed(rows), ENTRIES_DDL.replace("timestamp timestamp", "ms long"))
        log = unordered.selectExpr("partition", "offset", "timestamp_millis(ms) AS timestamp", "headers", "value")
        voters = [
            (
                bytes(voter),
                [
                    Row(e.revision, e.struck_revision, e.struck_at_ms, e.region, e.station, e.age_group, e.gender)
                    for e in sorted(entries, key=lambda e: e.revision)
                ],
            )
            for voter, entries in roll.items()
        ]
        stored = cls.spark.createDataFrame(voters, ROLL_DDL)
        shared = cls.spark.sparkContext.broadcast(history)
        cls.records = count_first(apply_roll(judge_log(log.repartition(3), shared, ends), stored)).persist()
        cls.lines = {
            name: {row.key: row.value for row in frame.collect()} for name, frame in count_lines(cls.records).items()
        }

    @classmethod
    def tearDownClass(cls):
        cls.session.__exit__(None, None, None)

    def test_gives_every_record_its_outcome(self):
        found = {
            (row.partition, row.log_offset, row.record_index): (row.outcome, row.altered)
            for row in self.records.collect()
        }
        for vector in LOG["entries"]:
            for index, expected in enumerate(vector["expected"]):
                with self.subTest(vector["name"], index=index):
                    outcome = expected.get("decided", expected["outcome"])
                    position = (vector["partition"], vector["offset"], index)
                    self.assertEqual(found.pop(position), (outcome, expected.get("altered", False)))
        self.assertEqual(found, {})

    def test_counts_votes_turnout_and_groups(self):
        for name, key in ((tables.VOTES, "votes"), (tables.TURNOUT, "turnout"), (tables.GROUPS, "groups")):
            self.assertEqual(self.lines[name], LOG["count"][key], name)

    def test_counts_outcomes_by_partition_and_voters_by_station_and_minute(self):
        outcomes = {}
        for key, records in self.lines[tables.OUTCOMES].items():
            outcome = key.split("/", 1)[1]
            outcomes[outcome] = outcomes.get(outcome, 0) + records
        self.assertEqual(outcomes, LOG["count"]["outcomes"])
        voters = {"station": {}, "minute": {}}
        for key, n in LOG["count"]["turnout"].items():
            for what, name in zip(voters, key.rsplit("/", 1)):
                voters[what][name] = voters[what].get(name, 0) + n
        self.assertEqual(self.lines[tables.STATION_VOTERS], voters["station"])
        self.assertEqual(self.lines[tables.MINUTES], voters["minute"])

    def test_a_batch_of_the_stream_has_the_same_lines(self):
        found = _lines(self.records)
        self.assertEqual(sorted(found), sorted([tables.RECORDS_READ, tables.OUTCOMES, tables.VOTES, tables.TURNOUT, tables.GROUPS, tables.HELD]))
        for name, lines in found.items():
            self.assertGreater(len(lines), 0, name)
            # A decision may admit later what one rejected: the stream keeps where those are, too.
            rejected = {key for key, value in lines.items() if name == tables.HELD and value == "by_decision"}
            self.assertEqual({key: value for key, value in lines.items() if key not in rejected}, self.lines[name], name)
            if name == tables.HELD:
                self.assertEqual(rejected, _positions_of("rejected/by_decision"))

    def test_lists_held_records_and_alerts(self):
        held = {
            f"{each['partition']}/{each['offset']}/{index}": expected["outcome"].split("/")[1]
            for each in LOG["entries"]
            for index, expected in enumerate(each["expected"])
            if expected["outcome"].startswith("held/") and "decided" not in expected
        }
        self.assertGreater(len(held), 0)
        self.assertEqual(self.lines[tables.HELD], held)
        found = summary(self.records)
        expected = [each for vector in LOG["entries"] for each in vector["expected"]]
        self.assertEqual(found["records"], len(expected))
        self.assertEqual(found["counted"], LOG["count"]["outcomes"]["counted"])
        self.assertEqual(found["altered"], sum("altered" in each for each in expected))
        ann = sum(n for cell, n in LOG["count"]["votes"].items() if cell.startswith("mayor/ann/"))
        self.assertEqual(found["votesByCandidate"]["mayor/ann"], ann)
        self.assertEqual(sum(found["votesByMode"].values()), sum(LOG["count"]["votes"].values()))
        self.assertEqual(sum(found["votesByRegion"].values()), sum(LOG["count"]["votes"].values()))

    def test_compare_names_each_line_that_differs_and_no_voter(self):
        def frame(lines, name="votes"):
            return self.spark.createDataFrame([(name, key, str(n)) for key, n in lines], "name string, key string, value string")

        same = [(f"k{i}", i) for i in range(20)]
        lines, differences, shown = compare(frame([*same, ("a", 1), ("b", 2)]), frame([*same, ("a", 3), ("c", 4)]))
        self.assertEqual((lines, differences), (23, 3))
        self.assertEqual(shown, [("votes", "a", "1", "3"), ("votes", "b", "2", None), ("votes", "c", None, "4")])
        voters = frame([("AB", 1), ("CD", 2)], PARTICIPATION)
        lines, differences, shown = compare(frame([(f"k{i}", i) for i in range(150)]).union(voters), frame(same))
        self.assertEqual((lines, differences, len(shown)), (152, 132, 102))
        self.assertEqual([key for name, key, *_ in shown if name == PARTICIPATION], ["of a voter (1)", "of a voter (2)"])


if __name__ == "__main__":
    unittest.main()
