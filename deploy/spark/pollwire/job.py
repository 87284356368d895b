"""The recount on Spark: reads the log, judges every record, keeps each voter's first acceptable one, counts, compares.

What a voter chose stands in no row that is written to a table, a topic or the report; Spark encrypts what it spills.
"""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping, Optional, Sequence

import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from . import tables
from .history import NEVER, History
from .judge import Judge, decision_on
from .settings import Database, Kafka
from .wire import ballot_digest

MAX_SHOWN = 100
"""Differences of a table that are named one by one; the number is of all."""
JDBC_TASKS = 8
"""Tasks that read a large table, each with a connection of its own."""

JUDGED = pa.schema(
    [
        ("partition", pa.int32()),
        ("log_offset", pa.int64()),
        ("record_index", pa.int32()),
        ("fate", pa.string()),
        ("reason", pa.string()),
        ("key_id", pa.string()),
        ("sender_key", pa.binary()),
        ("sequence", pa.int64()),
        ("voter", pa.binary()),
        ("vote_id", pa.string()),
        ("digest", pa.binary()),
        ("station", pa.string()),
        ("mode", pa.string()),
        ("region", pa.string()),
        ("time_ms", pa.int64()),
        ("append_ms", pa.int64()),
        ("revision", pa.int64()),
        ("marks", pa.string()),
        ("clock_ahead_ms", pa.int64()),
        # What a decision makes of a held record, and where it applies.
        ("decided", pa.string()),
        ("decided_at", pa.int64()),
        ("decided_revision", pa.int64()),
    ]
)
JUDGED_DDL = (
    "partition int, log_offset long, record_index int, fate string, reason string, key_id string, sender_key binary, "
    "sequence long, voter binary, vote_id string, digest binary, station string, mode string, region string, time_ms long, "
    "append_ms long, revision long, marks string, clock_ahead_ms long, decided string, decided_at long, "
    "decided_revision long"
)
MARKS_DDL = "array<struct<contest:string,candidate:string,votes:bigint>>"
MAX_KEY_ID_CHARS = 200
"""Of a key id in the report; a longer one in a forged header is cut."""


def kafka_options(kafka: Kafka) -> dict[str, str]:
    prefixed = {f"kafka.{name}": value for name, value in kafka.client.items()}
    return {
        "kafka.bootstrap.servers": kafka.brokers,
        "kafka.isolation.level": "read_committed",
        "includeHeaders": "true",
        "failOnDataLoss": "true",
        **prefixed,
    }


def log_bounds(spark: SparkSession, kafka: Kafka, topic: str, partitions: int) -> tuple[list[int], list[int]]:
    """Each partition's first offset and its end, asked with the Kafka client that Spark has."""
    jvm = spark._jvm
    properties = jvm.java.util.Properties()
    options = {**kafka.client, "bootstrap.servers": kafka.brokers, "isolation.level": "read_committed"}
    for name, value in options.items():
        properties.setProperty(name, value)
    for side in ("key", "value"):
        properties.setProperty(
            f"{side}.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer"
        )
    consumer = jvm.org.apache.kafka.clients.consumer.KafkaConsumer(properties)
    try:
        every = jvm.java.util.ArrayList()
        for partition in range(partitions):
            every.add(jvm.org.apache.kafka.common.TopicPartition(topic, partition))
        ends = {each.partition(): int(end) for each, end in consumer.endOffsets(every).items()}
        starts = {each.partition(): int(start) for each, start in consumer.beginningOffsets(every).items()}
    finally:
        consumer.close()
    return [starts[p] for p in range(partitions)], [ends[p] for p in range(partitions)]


def read_log(spark: SparkSession, kafka: Kafka, topic: str, starts: Sequence[int], ends: Sequence[int]) -> DataFrame:
    """Entries from the first offsets to the ends. Fails when an offset between them is gone."""

    def offsets(each: Sequence[int]) -> str:
        return json.dumps({topic: {str(p): offset for p, offset in enumerate(each)}})

    return (
        spark.read.format("kafka")
        .options(**kafka_options(kafka))
        .option("subscribe", topic)
        .option("startingOffsets", offsets(starts))
        .option("endingOffsets", offsets(ends))
        .option("minPartitions", str(spark.sparkContext.defaultParallelism))
        .load()
    )


def judge_log(entries: DataFrame, shared: Broadcast[History], ends: Sequence[int]) -> DataFrame:
    """One row a record: what becomes of it, up to the roll."""
    ends = list(ends)

    def judge_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        history = shared.value
        judge = Judge(history)
        for batch in batches:
            columns: list[list[Any]] = [[] for _ in JUDGED]
            for row in zip(*(batch.column(name).to_pylist() for name in ("partition", "offset", "append_ms", "headers", "value"))):
                for values in judge_entry(judge, history, ends, *row):
                    for column, value in zip(columns, values):
                        column.append(value)
            arrays = [pa.array(column, type=each.type) for column, each in zip(columns, JUDGED)]
            yield pa.RecordBatch.from_arrays(arrays, schema=JUDGED)

    chosen = entries.select(
        "partition", "offset", F.expr("unix_millis(timestamp)").alias("append_ms"), "headers", "value"
    )
    return chosen.mapInArrow(judge_batches, JUDGED_DDL)


def judge_entry(
    judge: Judge,
    history: History,
    ends: Sequence[int],
    partition: int,
    offset: int,
    append_ms: int,
    headers: Sequence[Mapping[str, Any]] | None,
    value: bytes | None,
) -> Iterator[tuple]:
    """The rows of one entry."""
    pairs = [(each["key"], each["value"]) for each in headers or ()]
    sender_key = next((content for name, content in pairs if name == "sender-key"), None) or b""
    key_id = next((content for name, content in pairs if name == "key-id"), None) or b""
    shown_id = key_id.decode("utf-8", "replace")[:MAX_KEY_ID_CHARS]
    for index, judged in enumerate(judge.judge(partition, offset, append_ms, pairs, value)):
        head = (partition, offset, index, judged.fate, judged.reason, shown_id, sender_key, judged.sequence)
        vote = judged.vote
        if vote is None:
            yield (*head, *(None,) * 6, 0, append_ms, 0, None, 0, None, None, None)
            continue
        decision = None
        if judged.fate == "held":
            decision = decision_on(history.decisions, partition, offset, index, judged, sender_key, ends[partition])
        yield (
            *head,
            judged.voter_key,
            vote.vote_id,
            ballot_digest(vote),
            vote.station,
            vote.mode,
            judged.region,
            judged.time_ms,
            append_ms,
            judged.revision,
            json.dumps([{"contest": c, "candidate": o, "votes": n} for c, o, n in judged.marks]),
            judged.clock_ahead_ms,
            decision.action if decision else None,
            decision.positions[partition] if decision else None,
            decision.revision if decision else None,
        )


class Tables:
    """PostgreSQL's tables as Spark reads them, all of one moment."""

    def __init__(self, spark: SparkSession, database: Database, election: str, snapshot: str):
        self._spark = spark
        self._election = election
        self._options = {
            **database.jdbc(),
            "fetchsize": "10000",
            "sessionInitStatement": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; "
            f"SET TRANSACTION SNAPSHOT {tables.literal(snapshot)}",
        }

    def read(self, query: str, is_large: bool = False) -> DataFrame:
        reader = self._spark.read.format("jdbc").options(**self._options)
        if is_large:
            reader = (
                reader.option("partitionColumn", "bucket")
                .option("lowerBound", "0")
                .option("upperBound", "256")
                .option("numPartitions", str(JDBC_TASKS))
            )
        text = query.format(election=tables.literal(self._election))
        return reader.option("dbtable", f"({text}) AS t").load()


def roll_of(stored: Tables) -> DataFrame:
    """The roll: each voter's entries, oldest first."""
    return roll_by_voter(stored.read(tables.ROLL, is_large=True))


ROLL_DDL = (
    "voter_key binary, revision long, struck_revision long, struck_ms long, region string, station string, "
    "age_group string, gender string"
)


def roll_by_voter(rows: DataFrame) -> DataFrame:
    """Each voter's entries, oldest first. `rows` has the columns of `ROLL_DDL`, and may have more."""
    entry = F.struct(
        "revision",
        F.coalesce("struck_revision", F.lit(NEVER)).alias("struck_revision"),
        F.coalesce("struck_ms", F.lit(NEVER)).alias("struck_ms"),
        F.col("region").alias("roll_region"),
        F.col("station").alias("roll_station"),
        "age_group",
        "gender",
    )
    return rows.groupBy(F.col("voter_key").alias("voter")).agg(F.array_sort(F.collect_list(entry)).alias("entries"))


SEEN_ENTRY = """
    element_at(filter(entries, e -> e.revision <= revision
        AND NOT (e.struck_revision <= revision AND time_ms >= e.struck_ms)), -1)"""


def apply_roll(judged: DataFrame, roll: DataFrame) -> DataFrame:
    """Asks the roll and the decisions; adds `outcome`, NULL for a record that is acceptable, and `place`: where it counts."""
    asked = F.col("fate").isin("acceptable", "held")
    reason = (
        F.when(F.col("entry").isNull(), "unknown_voter")
        .when(F.col("entry.roll_station").isNotNull() & (F.col("entry.roll_station") != F.col("station")), "wrong_station")
        .when(F.col("entry.roll_station").isNull() & (F.col("entry.roll_region") != F.col("region")), "wrong_region")
    )
    outcome = (
        F.when(~asked, named(F.col("fate"), F.col("reason")))
        .when(F.col("refused").isNotNull(), named(F.lit("rejected"), F.col("refused")))
        .when(F.col("fate") == "acceptable", F.lit(None))
        .when(F.col("decided").isin("admit", "readmit"), F.lit(None))
        .when(F.col("decided") == "reject", "rejected/by_decision")
        .otherwise(named(F.lit("held"), F.col("reason")))
    )
    is_admitted = F.col("fate") == "held"
    # An admitted record counts before the record at the offset where its decision applies.
    place = F.struct(
        F.when(is_admitted, F.col("decided_at")).otherwise(F.col("log_offset")).alias("at"),
        F.when(is_admitted, 0).otherwise(1).alias("step"),
        F.when(is_admitted, F.col("decided_revision")).otherwise(0).alias("decision"),
        F.col("log_offset").alias("offset"),
        F.col("record_index").alias("index"),
    )
    return (
        judged.join(roll, "voter", "left")
        .withColumn("entry", F.expr(f"CASE WHEN size(entries) > 0 THEN {SEEN_ENTRY} END"))
        .withColumn("refused", F.when(asked, reason))
        .withColumn("outcome", outcome)
        .withColumn("place", place)
        .drop("entries", "refused", "decided", "decided_at", "decided_revision")
    )


def named(fate: Column, reason: Column) -> Column:
    return F.when(reason == "", fate).otherwise(F.concat_ws("/", fate, reason))


VOTED_DDL = "voter binary, voted string"
"""Voters whose records before these have been counted, and the vote id of each."""


def count_first(records: DataFrame, voted: Optional[DataFrame] = None) -> DataFrame:
    """Completes the outcomes: of each voter's acceptable records the first on the log counts.

    :param voted: Who has been counted by an earlier record, see `VOTED_DDL`; nobody when left out.
    """
    acceptable = records.where(F.col("outcome").isNull())
    if voted is None:
        acceptable = acceptable.withColumn("voted", F.lit(None).cast("string"))
    else:
        acceptable = acceptable.join(voted, "voter", "left")
    of_voter = Window.partitionBy("voter")
    first = F.min(F.struct("place", "vote_id", "digest")).over(of_voter)
    counted_id = F.coalesce(F.col("voted"), F.col("first.vote_id"))
    outcome = (
        F.when(F.col("voted").isNull() & (F.col("place") == F.col("first.place")), "counted")
        .when(F.col("vote_id") == counted_id, "duplicate/retransmission")
        .otherwise("duplicate/double_vote")
    )
    counted = (
        acceptable.withColumn("first", first)
        .withColumn("outcome", outcome)
        .withColumn(
            "altered",
            # What an earlier record said is not kept.
            F.col("voted").isNull()
            & (F.col("outcome") == "duplicate/retransmission")
            & (F.col("digest") != F.col("first.digest")),
        )
        .drop("first", "voted")
    )
    return counted.unionByName(records.where(F.col("outcome").isNotNull()).withColumn("altered", F.lit(False)))


def count_lines(records: DataFrame) -> dict[str, DataFrame]:
    """Lines as tables.TABLES has them, of the log alone."""
    lines = {
        name: records.where(counts).groupBy(key.alias("key")).agg(F.count(F.lit(1)).alias("value"))
        for name, (counts, key) in tallied().items()
    }
    held, key = held_lines()
    lines[tables.VOTES] = vote_lines(records)
    lines[tables.HELD] = records.where(held).select(key.alias("key"), F.col("reason").alias("value"))
    return lines


def tallied() -> dict[str, tuple[Column, Column]]:
    """Lines that count records: which of them, and the key of each."""
    every = F.lit(True)
    counted = F.col("outcome") == "counted"
    minute = F.date_format(F.timestamp_seconds(F.expr("time_ms div 60000 * 60")), "yyyy-MM-dd'T'HH:mm'Z'")
    return {
        tables.RECORDS_READ: (every, F.col("partition").cast("string")),
        tables.OUTCOMES: (every, F.concat_ws("/", "partition", "outcome")),
        tables.TURNOUT: (counted, F.concat_ws("/", F.col("station"), F.col("mode"), minute)),
        tables.MINUTES: (counted, minute),
        tables.GROUPS: (counted, F.concat_ws("/", "entry.roll_region", "entry.age_group", "entry.gender")),
        tables.STATION_VOTERS: (counted, F.concat_ws("/", "station", "mode")),
    }


def held_lines() -> tuple[Column, Column]:
    """Which records stay held, and the key of each."""
    return F.col("outcome").startswith("held/"), F.concat_ws("/", "partition", "log_offset", "record_index")


def vote_lines(records: DataFrame) -> DataFrame:
    """Votes by contest, candidate, station and mode."""
    cells = records.where(F.col("outcome") == "counted").groupBy("station", "mode", "marks").count()
    votes = cells.withColumn("mark", F.explode(F.from_json("marks", MARKS_DDL))).select(
        F.concat_ws("/", "mark.contest", "mark.candidate", "station", "mode").alias("key"),
        (F.col("mark.votes") * F.col("count")).alias("value"),
    )
    return votes.groupBy("key").agg(F.sum("value").alias("value"))


PARTICIPATION = "participation"


def table_lines(stored: Tables) -> DataFrame:
    """Every line of the tables: name of the table, key, value as text."""
    query = " UNION ALL ".join(
        f"SELECT {tables.literal(name)} AS name, key, value::text AS value FROM ({text}) AS t"
        for name, text in tables.TABLES.items()
    )
    voted = stored.read(tables.PARTICIPATIONS, is_large=True)
    return stored.read(query).unionByName(participation_lines(voted.withColumnRenamed("voter_key", "voter")))


def recount_lines(records: DataFrame) -> DataFrame:
    """Every line of the recount, like `table_lines`."""
    lines = participation_lines(records.where(F.col("outcome") == "counted"))
    for name, counted in count_lines(records).items():
        lines = lines.unionByName(counted.select(F.lit(name).alias("name"), "key", F.col("value").cast("string").alias("value")))
    return lines


def participation_lines(voted: DataFrame) -> DataFrame:
    """Who voted, by which vote id."""
    return voted.select(F.lit(PARTICIPATION).alias("name"), F.hex("voter").alias("key"), F.col("vote_id").alias("value"))


def compare(stored: DataFrame, recounted: DataFrame) -> tuple[int, int, list[tuple[str, str, Any, Any]]]:
    """Lines compared, lines that differ, and the first of each table: name, key, what the tables say, what the recount says.

    A line about a voter has a number in place of the voter's key.
    """
    both = (
        stored.withColumnRenamed("value", "stored")
        .join(recounted.withColumnRenamed("value", "found"), ["name", "key"], "full_outer")
        .withColumn("differs", ~F.col("stored").eqNullSafe(F.col("found")))
        .persist()
    )
    lines, differences = both.agg(F.count(F.lit(1)), F.coalesce(F.sum(F.col("differs").cast("long")), F.lit(0))).first()
    shown: list[tuple[str, str, Any, Any]] = []
    if differences > 0:
        ranked = both.where("differs").withColumn("rank", F.row_number().over(Window.partitionBy("name").orderBy("key")))
        for row in ranked.where(F.col("rank") <= MAX_SHOWN).orderBy("name", "rank").collect():
            key = f"of a voter ({row.rank})" if row.name == PARTICIPATION else row.key
            shown.append((row.name, key, row.stored, row.found))
    both.unpersist()
    return lines, differences, shown


def summary(records: DataFrame) -> dict[str, Any]:
    """What the report says beside differences. Nothing finer than the tables that the auditor may read."""
    counted = records.where(F.col("outcome") == "counted")
    cells = counted.groupBy("mode", "region", "marks").count()
    marks = cells.withColumn("mark", F.explode(F.from_json("marks", MARKS_DDL))).select(
        "mode", "region", "mark.contest", "mark.candidate", (F.col("mark.votes") * F.col("count")).alias("votes")
    )
    # One pass for the three breakdowns: grouped by all, then summed here.
    by: dict[str, dict[str, int]] = {"candidate": {}, "region": {}, "mode": {}}
    for row in marks.groupBy("contest", "candidate", "region", "mode").agg(F.sum("votes").alias("votes")).collect():
        name = f"{row.contest}/{row.candidate}"
        for what, key in (("candidate", name), ("region", f"{name}/{row.region}"), ("mode", f"{name}/{row.mode}")):
            by[what][key] = by[what].get(key, 0) + row.votes
    totals = records.agg(
        F.sum(F.col("altered").cast("long")),
        F.sum((F.col("clock_ahead_ms") > 0).cast("long")),
        F.count(F.lit(1)),
        F.sum((F.col("outcome") == "counted").cast("long")),
    ).first()
    refused = (
        records.where(F.col("outcome").isin("rejected/unknown_gateway", "rejected/bad_signature"))
        .groupBy("key_id", "outcome")
        .count()
        .orderBy(F.desc("count"), "key_id", "outcome")
        .limit(MAX_SHOWN)
        .collect()
    )
    return {
        "records": totals[2],
        "counted": totals[3] or 0,
        "votesByCandidate": by["candidate"],
        "votesByRegion": by["region"],
        "votesByMode": by["mode"],
        "altered": totals[0] or 0,
        "clockAhead": totals[1] or 0,
        "refusedKeys": [{"keyId": row.key_id, "outcome": row.outcome, "records": row["count"]} for row in refused],
    }
