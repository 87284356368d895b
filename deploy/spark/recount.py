"""Recounts elections on Spark and compares them with PostgreSQL. Started by `deno task recount --spark`, see docs/spark.md."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Sequence

import psycopg2
from pyspark.sql import SparkSession

from pollwire import tables
from pollwire.failures import kafka_failure
from pollwire.job import (
    Tables,
    apply_roll,
    compare,
    count_first,
    judge_log,
    log_bounds,
    read_log,
    recount_lines,
    roll_of,
    summary,
    table_lines,
)
from pollwire.registry import RecountError, read_history, read_master
from pollwire.report import report_seed, sign_report
from pollwire.session import open_spark
from pollwire.settings import Settings, SettingsError, read_settings
from pollwire.stream import follow

Difference = dict[str, Any]


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="recount --spark", description=__doc__)
    parser.add_argument("--election", help="this election; it may be left out where there is no other, and with --stream for all")
    parser.add_argument("--all", action="store_true", help="every election")
    parser.add_argument("--master", default="local[2]", help="Spark's master, like spark://host:7077 (default: local[2])")
    parser.add_argument("--memory", default="2g", help="memory of the driver, like 2g (default: 2g)")
    parser.add_argument(
        "--ends",
        default="log",
        help="where to stop: at the end of the log; `tables`, where the tables stand; or offsets like 120,98,103",
    )
    parser.add_argument("--report", help="file for the signed report; <POLLWIRE_DATA>/<election>.recount.json when left out")
    parser.add_argument("--stream", action="store_true", help="follow the log, and keep the tables of the schema recount")
    parser.add_argument(
        "--checkpoints", help="with --stream: where it notes how far it is; <POLLWIRE_DATA>/spark-checkpoints when left out"
    )
    parser.add_argument("--interval", type=interval, default=5, help="with --stream: seconds between batches (default: 5)")
    parser.add_argument("--batch", type=batch_size, default=50_000, help="with --stream: entries of a batch at most (default: 50000)")
    asked = parser.parse_args(argv)
    if asked.all and asked.election:
        parser.error(f"--all means every election, and --election {asked.election} one of them")
    if asked.stream and (asked.ends != "log" or asked.report):
        parser.error("--stream has no end and no report: leave --ends and --report out")
    return asked


def interval(text: str) -> int:
    return _number(text, 1, 3_600)


def batch_size(text: str) -> int:
    return _number(text, 1, 1_000_000)


def _number(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text} must be a whole number from {least} to {most}")
    return int(text)


def recount(spark: SparkSession, settings: Settings, election: str, ends: str) -> dict[str, Any]:
    """Recounts one election; the report, not signed."""
    started = time.monotonic()
    connection = psycopg2.connect(**settings.database.dsn())
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor = connection.cursor()
        cursor.execute("SELECT pg_export_snapshot()")
        stored = Tables(spark, settings.database, election, cursor.fetchone()[0])
        history = read_history(cursor, election, read_master(settings.keys_directory, election))
        cursor.execute(tables.POSITIONS, (election,))
        positions = dict(cursor.fetchall())
        topic = f"votes.{election}"
        starts, log_ends = log_bounds(spark, settings.kafka, topic, history.partitions)
        until = choose_ends(ends, positions, starts, log_ends)
        differences = bound_differences(starts, log_ends, until, positions)
        entries = read_log(spark, settings.kafka, topic, starts, until)
        judged = judge_log(entries, spark.sparkContext.broadcast(history), until)
        records = count_first(apply_roll(judged, roll_of(stored))).persist()
        found = summary(records)
        lines, differing, shown = compare(table_lines(stored), recount_lines(records))
        lines += len(until)
        total = len(differences) + differing
        differences += [{"line": f"{name} {key}", "tables": table, "recount": counted} for name, key, table, counted in shown]
        records.unpersist()
    finally:
        connection.close()
    return {
        "election": election,
        "recountedAt": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ends": until,
        "lines": lines,
        "differences": total,
        "shown": differences,
        "seconds": round(time.monotonic() - started, 1),
        **found,
    }


def choose_ends(asked: str, positions: dict[int, int], starts: list[int], log_ends: list[int]) -> list[int]:
    """Where to stop reading in each partition."""
    if asked == "log":
        return log_ends
    if asked == "tables":
        until = [positions.get(p, 0) for p in range(len(log_ends))]
    else:
        try:
            until = [int(each) for each in asked.split(",")]
        except ValueError as error:
            raise RecountError(f"Cannot stop at {asked}: --ends must be log, tables, or offsets like 120,98,103") from error
        if len(until) != len(log_ends):
            raise RecountError(f"Cannot stop at {asked}: the log has {len(log_ends)} partitions, each needs an offset")
    # A position may stand behind the end of a log that lost records: that is a difference, see bound_differences.
    return [max(start, min(each, end)) for each, start, end in zip(until, starts, log_ends)]


def bound_differences(
    starts: list[int], log_ends: list[int], until: list[int], positions: dict[int, int]
) -> list[Difference]:
    """Where log and tables do not have the same first and last offsets."""
    found = []
    for partition, (start, end, stop) in enumerate(zip(starts, log_ends, until)):
        if start > 0:
            found.append({"line": f"partition {partition} first offset", "tables": 0, "recount": start})
        stored = positions.get(partition, 0)
        if stored > end:
            found.append({"line": f"partition {partition} end of the log", "tables": stored, "recount": end})
        elif stored != stop:
            found.append({"line": f"partition {partition} next offset", "tables": stored, "recount": stop})
    return found


def print_report(report: dict[str, Any]) -> None:
    for each in report["shown"]:
        shown = ["nothing" if each[side] is None else each[side] for side in ("tables", "recount")]
        print(f"{each['line']}: tables {shown[0]}, recount {shown[1]}")
    for each in report["refusedKeys"]:
        print(f"key {each['keyId']}: {each['records']} records are {each['outcome']}")
    if report["altered"]:
        print(f"ALERT: {report['altered']} records repeat a vote id with other contents")
    if report["clockAhead"]:
        print(f"ALERT: {report['clockAhead']} records have a time that is later than the log's by more than 300 s")
    print(
        f"{report['election']}: {report['records']} records, {report['counted']} counted, {report['lines']} lines "
        f"compared, {report['differences']} differences, {report['seconds']} s"
    )


def main(argv: Sequence[str]) -> int:
    asked = arguments(argv)
    settings = read_settings()
    if asked.stream:
        checkpoints = asked.checkpoints or f"{settings.reports.resolve()}/spark-checkpoints"
        with open_spark(asked.master, asked.memory) as spark:
            follow(spark, settings, asked.election, checkpoints, asked.interval, asked.batch)
        return 0
    if asked.election:
        elections = [asked.election]
    else:
        with psycopg2.connect(**settings.database.dsn()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT election FROM registry.elections ORDER BY election")
            elections = [row[0] for row in cursor.fetchall()]
        connection.close()
        if len(elections) > 1 and not asked.all:
            raise SettingsError(
                "Cannot recount: there are several elections; name one with --election, or take --all: " + ", ".join(elections)
            )
    if asked.report and len(elections) != 1:
        raise RecountError("Cannot write all reports to one file: --report needs --election")
    seed = report_seed(settings.report_key_file)
    differences = 0
    with open_spark(asked.master, asked.memory) as spark:
        for election in elections:
            report = recount(spark, settings, election, asked.ends)
            print_report(report)
            file = Path(asked.report) if asked.report else settings.reports / f"{election}.recount.json"
            file.write_text(sign_report(report, seed))
            print(f"signed report: {file}")
            differences += report["differences"]
    return 1 if differences else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (RecountError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    except Exception as error:
        failure = kafka_failure(error)
        if failure is None:
            raise
        print(f"error: Cannot recount: {failure}", file=sys.stderr)
        sys.exit(1)
