"""The streaming recount: follows an election's log on Spark, judges as the batch recount does, and counts into PostgreSQL.

A batch is counted when the aggregator has counted as far: then the history that applies to its records is complete, and only a
decision of officials changes what a record became. See docs/adr/0049-streaming-recount.md.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from typing import Any, Mapping, Optional, Sequence

import pandas as pd
import psycopg2
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from . import tables
from .failures import kafka_failure
from .history import NEVER, History
from .job import (
    ROLL_DDL,
    VOTED_DDL,
    apply_roll,
    count_first,
    held_lines,
    judge_log,
    kafka_options,
    read_log,
    roll_by_voter,
    tallied,
    vote_lines,
)
from .ledger import Counted, HeldRecord, Ledger
from .registry import RecountError, read_history, read_master
from .settings import Settings
from .shown import messages_of, publish

WINDOW_MS = 300_000
"""Length of the windows by the time of votes."""
WATERMARK_DELAY_MS = 600_000
"""How long a window is kept open for late votes before it is shown. The count itself takes votes however late they are."""
POLL_S = 0.2
SAY_AGAIN_S = 60
"""How often it is said that a batch waits for the aggregator."""
QUERY_ID = "sql.streaming.queryId"
BY_DECISION = "by_decision"


class ElectionStream:
    """Counts the batches of one election, one at a time."""

    def __init__(self, spark: SparkSession, settings: Settings, election: str, checkpoint: str, ended: threading.Event):
        self._spark = spark
        self._settings = settings
        self._election = election
        self._topic = f"votes.{election}"
        self._checkpoint = checkpoint
        self._ended = ended
        self._master = read_master(settings.keys_directory, election)
        self._ledger = Ledger(settings.database, election)
        self._busy = threading.Lock()
        self._revision = -1
        # Up to which revision decisions have been applied.
        self._decided_revision = -1
        self._history: Optional[History] = None
        self._shared: Optional[Broadcast] = None
        self._published: dict[tuple[str, str], str] = {}
        self._query = ""
        self.failure = ""
        """Why a batch could not be counted."""

    def start(self, interval_s: int, batch_entries: int) -> Any:
        """Starts the query. Its checkpoints hold offsets and nothing of a vote."""
        self._ledger.check_user()
        entries = (
            self._spark.readStream.format("kafka")
            .options(**kafka_options(self._settings.kafka))
            .option("subscribe", self._topic)
            .option("startingOffsets", "earliest")
            .option("maxOffsetsPerTrigger", str(batch_entries))
            .load()
        )
        query = (
            entries.writeStream.foreachBatch(self._take)
            .option("checkpointLocation", self._checkpoint)
            .trigger(processingTime=f"{interval_s} seconds")
            .queryName(self._topic)
            .start()
        )
        self._query = query.id
        return query

    def apply_decisions(self) -> None:
        """Counts held records that officials have decided on since, where no batch brings that about."""
        # A batch that is under way sees to it.
        if not self._busy.acquire(blocking=False):
            return
        try:
            with self._ledger.transaction() as cursor:
                revision = self._ledger.revision(cursor)
                ends = self._ledger.positions(cursor)
                if revision == self._decided_revision or not ends or not self._ledger.hold(cursor, self._query):
                    return
                self._load_history(cursor)
                decided = self._decided(cursor, ends)
                if decided:
                    judged = self._judge_again(decided, ends)
                    self._ledger.add(cursor, self._count(cursor, judged, decided, {}))
            self._decided_revision = revision
            self._publish()
        finally:
            self._busy.release()

    def _take(self, entries: DataFrame, batch: int) -> None:
        """Counts one batch, once. Spark calls it, and prints what it raises: no error may quote a row."""
        try:
            self._take_once(entries, batch)
        except psycopg2.Error as error:
            self.failure = f"PostgreSQL: {error.diag.message_primary or type(error).__name__}"
            raise RecountError(self.failure) from None
        except Exception as error:
            self.failure = kafka_failure(error) or str(error).split("\n", 1)[0]
            raise

    def _take_once(self, entries: DataFrame, batch: int) -> None:
        query = self._spark.sparkContext.getLocalProperty(QUERY_ID)
        with self._busy:
            started = time.monotonic()
            with self._ledger.transaction() as cursor:
                owner, newest = self._ledger.newest_batch(cursor)
                is_counted = owner == query and batch <= newest
                self._load_history(cursor)
            records = 0 if is_counted else self._count_batch(entries, query, batch)
            self._publish()
            said = "was counted before" if is_counted else f"{records} records"
            log(f"{self._election}: batch {batch}, {said}, {time.monotonic() - started:.1f} s")

    def _count_batch(self, entries: DataFrame, query: str, batch: int) -> int:
        """Judges the batch until it was judged by all of the history that applies to it, and counts it."""
        ends = self._batch_ends(batch)
        # A task costs more than the records of a partition do: as many as run at once are enough.
        entries = entries.coalesce(self._spark.sparkContext.defaultParallelism)
        while True:
            revision = self._revision
            judged = judge_log(entries, self._shared, self._list(ends)).persist()
            try:
                last = judged.groupBy("partition").agg(F.max("log_offset").alias("offset")).collect()
                self._await_count({row.partition: row.offset + 1 for row in last})
                with self._ledger.transaction() as cursor:
                    if self._ledger.revision(cursor) != revision:
                        self._load_history(cursor)
                        continue
                    if not self._ledger.begin_batch(cursor, query, batch):
                        return 0
                    decided = self._decided(cursor, ends)
                    every = judged.unionByName(self._judge_again(decided, ends)) if decided else judged
                    counted = self._count(cursor, every, decided, ends)
                    self._ledger.add(cursor, counted)
                self._decided_revision = revision
                return sum(records for _, records in counted.positions.values())
            finally:
                judged.unpersist()

    def _await_count(self, ends: Mapping[int, int]) -> None:
        """Waits until the aggregator has counted so far."""
        said = time.monotonic()
        while True:
            with self._ledger.transaction() as cursor:
                counted = self._ledger.counted_up_to(cursor)
            behind = [partition for partition, end in ends.items() if counted.get(partition, 0) < end]
            if not behind:
                return
            if self._ended.wait(POLL_S):
                raise RecountError("Ended while a batch waited for the aggregator")
            if time.monotonic() - said > SAY_AGAIN_S:
                said = time.monotonic()
                log(f"{self._election}: waits for the aggregator to count partitions {behind} as far as this batch")

    def _batch_ends(self, batch: int) -> dict[int, int]:
        """Where a batch ends, as Spark noted it before the batch was given: by partition, the next offset."""
        jvm = self._spark.sparkContext._jvm
        path = jvm.org.apache.hadoop.fs.Path(f"{self._checkpoint}/offsets/{batch}")
        stream = path.getFileSystem(self._spark.sparkContext._jsc.hadoopConfiguration()).open(path)
        try:
            text = jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
        finally:
            stream.close()
        offsets = json.loads(text.splitlines()[-1])[self._topic]
        return {int(partition): offset for partition, offset in offsets.items()}

    def _list(self, ends: Mapping[int, int]) -> list[int]:
        assert self._history is not None
        return [ends.get(partition, 0) for partition in range(self._history.partitions)]

    def _load_history(self, cursor: Any) -> None:
        """Reads the history where it has changed. Executors get what it holds: keys that open and check, not the master key."""
        revision = self._ledger.revision(cursor)
        if revision == self._revision:
            return
        self._history = read_history(cursor, self._election, self._master)
        if self._shared is not None:
            self._shared.unpersist()
        self._shared = self._spark.sparkContext.broadcast(self._history)
        self._revision = revision

    def _decided(self, cursor: Any, ends: Mapping[int, int]) -> dict[HeldRecord, str]:
        """Held records of earlier batches to which a decision may apply now, with the reason of each: see `Ledger.held`."""
        assert self._history is not None
        held = self._ledger.held(cursor)

        def may_apply(record: HeldRecord, reason: str) -> bool:
            partition, offset, _ = record
            return any(
                partition < len(each.positions)
                and offset < each.positions[partition] <= ends.get(partition, 0)
                and (record in each.named if each.named is not None else each.reason in (None, reason))
                for each in self._history.decisions
                if each.action in (("readmit",) if reason == BY_DECISION else ("admit", "reject"))
            )

        return {record: reason for record, reason in held.items() if may_apply(record, reason)}

    def _judge_again(self, decided: Mapping[HeldRecord, str], ends: Mapping[int, int]) -> DataFrame:
        """Held records as they are judged now, read from the log again: what they say is kept nowhere else."""
        upto = self._list(ends)
        bounds = [
            ([offset for p, offset, _ in decided if p == partition] or [end]) for partition, end in enumerate(upto)
        ]
        starts = [min(each) for each in bounds]
        stops = [max(each) + (1 if min(each) < end else 0) for each, end in zip(bounds, upto)]
        entries = read_log(self._spark, self._settings.kafka, self._topic, starts, stops)
        wanted = F.broadcast(self._spark.createDataFrame(sorted(decided), "partition int, log_offset long, record_index int"))
        offsets = wanted.select("partition", F.col("log_offset").alias("offset")).distinct()
        judged = judge_log(entries.join(F.broadcast(offsets), ["partition", "offset"], "left_semi"), self._shared, upto)
        return judged.join(wanted, ["partition", "log_offset", "record_index"], "left_semi").select(judged.columns)

    def _count(
        self, cursor: Any, judged: DataFrame, decided: Mapping[HeldRecord, str], ends: Mapping[int, int]
    ) -> Counted:
        """What judged records add to the tables; `decided` among them have been counted as held."""
        asked = judged.where(F.col("fate").isin("acceptable", "held")).select("voter").distinct().toPandas()
        entries, voted = self._ledger.look_up(cursor, map(bytes, asked["voter"]))
        entries = [(*row[:2], *(NEVER if each is None else each for each in row[2:4]), *row[4:]) for row in entries]
        roll = roll_by_voter(self._frame(entries, ROLL_DDL))
        earlier = self._frame(voted, VOTED_DDL)
        records = count_first(apply_roll(judged, roll), earlier).persist()
        try:
            counted = self._sums(records, decided, ends)
            voters = records.where(F.col("outcome") == "counted").select("voter", "vote_id").toPandas()
            counted.participations = [(bytes(voter), vote_id) for voter, vote_id in zip(voters["voter"], voters["vote_id"])]
            self._count_windows(cursor, records, counted)
        finally:
            records.unpersist()
        return counted

    def _frame(self, rows: Sequence[Sequence[Any]], ddl: str) -> DataFrame:
        """Rows of psycopg2, whose first column is a memoryview, as Spark has them. By Arrow: they may be many."""
        columns = [each.split()[0] for each in ddl.split(", ")]
        values = [(bytes(first), *rest) for first, *rest in rows]
        if not values:
            return self._spark.createDataFrame([], ddl)
        return self._spark.createDataFrame(pd.DataFrame(values, columns=columns), ddl)

    def _sums(self, records: DataFrame, decided: Mapping[HeldRecord, str], ends: Mapping[int, int]) -> Counted:
        lines = _lines(records)
        read = {int(partition): n for partition, n in lines[tables.RECORDS_READ].items()}
        outcomes: dict[tuple, int] = {}
        for key, n in lines[tables.OUTCOMES].items():
            partition, fate, *reason = key.split("/")
            outcomes[int(partition), fate, reason[0] if reason else ""] = n
        for (partition, _, _), reason in decided.items():
            read[partition] -= 1
            before = (partition, "rejected" if reason == BY_DECISION else "held", reason)
            outcomes[before] = outcomes.get(before, 0) - 1
        held = {tuple(int(part) for part in key.split("/")): reason for key, reason in lines[tables.HELD].items()}
        return Counted(
            positions={partition: (end, read.get(partition, 0)) for partition, end in ends.items()},
            sums={
                "outcomes": outcomes,
                "votes": _split(lines[tables.VOTES]),
                "turnout": _split(lines[tables.TURNOUT]),
                "groups": _split(lines[tables.GROUPS]),
            },
            participations=[],
            held={position: reason for position, reason in held.items() if decided.get(position) != reason},
            no_longer_held=[position for position, reason in decided.items() if held.get(position) != reason],
        )

    def _count_windows(self, cursor: Any, records: DataFrame, counted: Counted) -> None:
        """Windows by the time of votes. No vote is dropped: one behind the watermark counts, and is marked late."""
        watermark_ms = self._ledger.watermark_ms(cursor)
        of_event = records.where(F.col("outcome") == "counted").select(
            F.col("entry.roll_region").alias("region"),
            F.window(F.timestamp_millis("time_ms"), f"{WINDOW_MS} milliseconds").alias("window"),
            "time_ms",
            F.greatest(F.col("append_ms") - F.col("time_ms"), F.lit(0)).alias("lateness_ms"),
        )
        starts, ends = F.expr("unix_millis(window.start)"), F.expr("unix_millis(window.end)")
        rows = (
            of_event.groupBy("region", starts.alias("starts_ms"), ends.alias("ends_ms"))
            .agg(F.count(F.lit(1)), F.max("lateness_ms"), F.max("time_ms"))
            .collect()
        )
        for region, starts_ms, ends_ms, voters, lateness_ms, newest_ms in rows:
            late = voters if ends_ms <= watermark_ms else 0
            counted.windows.append((region, starts_ms, ends_ms, voters, late, lateness_ms // 1_000))
            counted.watermark_ms = max(counted.watermark_ms, newest_ms - WATERMARK_DELAY_MS)

    def _publish(self) -> None:
        """Writes the totals that have changed since the last time, all of them after a start."""
        with self._ledger.transaction() as cursor:
            messages = messages_of(self._election, *self._ledger.totals(cursor))
        changed = {key: value for key, value in messages.items() if self._published.get(key) != value}
        publish(self._spark, self._settings.kafka, changed)
        self._published = messages


def _lines(records: DataFrame) -> dict[str, dict[str, Any]]:
    """The lines of `count_lines` that the tables have, by table and key. Two jobs: planning one for each table took most of a batch."""
    held, position = held_lines()
    wanted = {name: tallied()[name] for name in (tables.RECORDS_READ, tables.OUTCOMES, tables.TURNOUT, tables.GROUPS)}
    lines = [
        F.when(counts, F.struct(F.lit(name).alias("name"), key.alias("key"), F.lit("").alias("reason")))
        for name, (counts, key) in wanted.items()
    ]
    is_rejected = F.col("outcome") == f"rejected/{BY_DECISION}"
    reason = F.when(is_rejected, BY_DECISION).otherwise(F.col("reason"))
    waits = F.struct(F.lit(tables.HELD).alias("name"), position.alias("key"), reason.alias("reason"))
    lines.append(F.when(held | is_rejected, waits))
    tallies = records.select(F.explode(F.array(*lines)).alias("line")).where("line IS NOT NULL").groupBy("line").count()
    found: dict[str, dict[str, Any]] = {name: {} for name in (*wanted, tables.HELD)}
    for (name, key, reason), n in tallies.collect():
        found[name][key] = reason if name == tables.HELD else n
    found[tables.VOTES] = {row.key: row.value for row in vote_lines(records).collect()}
    return found


def _split(lines: Mapping[str, int]) -> dict[tuple, int]:
    """Keys like `mayor/ann/n-1/early` as tuples. No id has a slash."""
    return {tuple(key.split("/")): n for key, n in lines.items()}


def log(text: str) -> None:
    print(text, flush=True)


def follow(
    spark: SparkSession, settings: Settings, election: Optional[str], checkpoints: str, interval_s: int, batch_entries: int
) -> None:
    """Follows one election, or all that the registry has or gets, until SIGTERM or SIGINT.

    :raises RecountError: when a stream fails. Another start goes on where its checkpoints are.
    """
    ended = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ended.set())
    running: dict[str, tuple[ElectionStream, Any]] = {}
    while not ended.is_set():
        for name in [election] if election else _elections(settings):
            if name not in running:
                stream = ElectionStream(spark, settings, name, f"{checkpoints}/{name}", ended)
                running[name] = (stream, stream.start(interval_s, batch_entries))
                log(f"{name}: follows the log")
        for name, (stream, query) in running.items():
            failure = query.exception()
            if failure is not None:
                why = stream.failure or kafka_failure(failure) or str(failure).split("\n", 1)[0]
                raise RecountError(f"Cannot go on with election {name}: {why}")
            stream.apply_decisions()
        ended.wait(interval_s)
    for _, query in running.values():
        query.stop()
    print("ended", file=sys.stderr)


def _elections(settings: Settings) -> list[str]:
    connection = psycopg2.connect(**settings.database.dsn())
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT election FROM registry.elections WHERE format = 2 ORDER BY election")
            return [row[0] for row in cursor.fetchall()]
    finally:
        connection.close()
