"""What the streaming recount has counted: the tables of the schema `recount`, and every statement of the stream.

One transaction a batch moves the stream's row and adds the batch's counts, so a batch that is given twice counts once. Who
voted and what was voted go to different tables, each in the order of its key. Values travel by COPY: they stand in no
statement that a server might log.
"""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Iterable, Iterator, Mapping, Optional, Sequence

import psycopg2

from .registry import RecountError
from .settings import Database

MAY = """
    SELECT current_user, pg_has_role('pollwire_recounter', 'USAGE') OR pg_has_role(datdba, 'USAGE')
    FROM pg_database WHERE datname = current_database()"""
ROLL_ENTRIES = """
    SELECT r.voter_key, r.revision, r.struck_revision, (extract(epoch FROM r.struck_at) * 1000)::bigint, r.region, r.station,
      r.age_group, r.gender
    FROM asked JOIN counting.roll r USING (voter_key) WHERE r.election = %s"""
VOTED = """
    SELECT p.voter_key, p.vote_id::text
    FROM asked JOIN recount.participations p USING (voter_key) WHERE p.election = %s"""
TAKE_BATCH = """
    INSERT INTO recount.streams AS s (election, query_id, batch_id, watermark) VALUES (%s, %s, %s, 'epoch')
    ON CONFLICT (election) DO UPDATE SET batch_id = excluded.batch_id
      WHERE s.query_id = excluded.query_id AND s.batch_id < excluded.batch_id
    RETURNING batch_id"""

EMPTIED = ("participations", "held", "outcomes", "votes", "turnout", "groups", "windows", "positions", "streams")

# Tables of counts: their keys with types, and the columns that are added up.
SUMS: Mapping[str, tuple[str, Sequence[str]]] = {
    "outcomes": ("partition integer, fate text, reason text", ["records"]),
    "votes": ("contest text, candidate text, station text, mode text", ["votes"]),
    "turnout": ("station text, mode text, minute timestamptz", ["voters"]),
    "groups": ("region text, age_group text, gender text", ["voters"]),
}

HeldRecord = tuple[int, int, int]
"""Partition, offset, index."""


@dataclass
class Counted:
    """What one batch adds."""

    # By partition: the next offset, and how many records were read.
    positions: dict[int, tuple[int, int]]
    # By table of `SUMS`: each key with what is added.
    sums: dict[str, dict[tuple, int]]
    # Voter key and vote id of each voter who counts.
    participations: list[tuple[bytes, str]]
    # Records that a decision is about, or may be: those that are held with the reason of each, and those that one rejected.
    held: dict[HeldRecord, str]
    no_longer_held: list[HeldRecord] = field(default_factory=list)
    # Region, start and end in ms since 1970; voters, late ones among them, the longest lateness in seconds.
    windows: list[tuple[str, int, int, int, int, int]] = field(default_factory=list)
    watermark_ms: int = 0


class Ledger:
    """The tables of one election's stream. For one thread at a time."""

    def __init__(self, database: Database, election: str):
        self._database = database
        self._election = election
        self._connection: Any = None

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor in one transaction, all of whose reads are of one moment. Whatever fails in it undoes it."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(**self._database.dsn())
            self._connection.set_session(isolation_level="REPEATABLE READ")
        try:
            with self._connection, self._connection.cursor() as cursor:
                yield cursor
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def check_user(self) -> None:
        """:raises RecountError: when this user may not keep the tables."""
        with self.transaction() as cursor:
            cursor.execute(MAY)
            user, may = cursor.fetchone()
        if not may:
            raise RecountError(
                f"Cannot recount as {user}: it is not a member of pollwire_recounter; run GRANT pollwire_recounter TO {user}"
            )

    def newest_batch(self, cursor: Any) -> tuple[Optional[str], int]:
        """The query that counts this election, and its newest batch here."""
        cursor.execute("SELECT query_id::text, batch_id FROM recount.streams WHERE election = %s", (self._election,))
        return cursor.fetchone() or (None, -1)

    def begin_batch(self, cursor: Any, query: str, batch: int) -> bool:
        """Whether the batch is new here. A query with new checkpoints counts the log from its start, in empty tables.

        :raises RecountError: when another stream counts this election.
        """
        owner, _ = self.newest_batch(cursor)
        if owner != query:
            if batch != 0:
                raise RecountError(
                    f"Cannot recount election {self._election}: the tables are not those of this stream's checkpoints; "
                    "end the other stream, or name a new directory with --checkpoints to count from the start"
                )
            for table in EMPTIED:
                cursor.execute(f"DELETE FROM recount.{table} WHERE election = %s", (self._election,))
        cursor.execute(TAKE_BATCH, (self._election, query, batch))
        return cursor.fetchone() is not None

    def hold(self, cursor: Any, query: str) -> bool:
        """Whether this query counts the election still; nobody else does until the transaction ends."""
        cursor.execute(
            "UPDATE recount.streams SET batch_id = batch_id WHERE (election, query_id) = (%s, %s::uuid) RETURNING batch_id",
            (self._election, query),
        )
        return cursor.fetchone() is not None

    def revision(self, cursor: Any) -> int:
        """The history's newest revision."""
        cursor.execute("SELECT revision FROM registry.revisions WHERE election = %s", (self._election,))
        row = cursor.fetchone()
        return row[0] if row else 0

    def counted_up_to(self, cursor: Any) -> dict[int, int]:
        """How far the aggregator has counted each partition."""
        cursor.execute("SELECT partition, next_offset FROM counting.log_positions WHERE election = %s", (self._election,))
        return dict(cursor.fetchall())

    def positions(self, cursor: Any) -> dict[int, int]:
        """How far the stream has counted each partition."""
        cursor.execute("SELECT partition, next_offset FROM recount.positions WHERE election = %s", (self._election,))
        return dict(cursor.fetchall())

    def held(self, cursor: Any) -> dict[HeldRecord, str]:
        """Records that wait for a decision, with the reason of each; `by_decision` for those that one rejected."""
        cursor.execute(
            "SELECT partition, log_offset, record_index, reason FROM recount.held WHERE election = %s", (self._election,)
        )
        return {(partition, offset, index): reason for partition, offset, index, reason in cursor.fetchall()}

    def watermark_ms(self, cursor: Any) -> int:
        cursor.execute(
            "SELECT (extract(epoch FROM watermark) * 1000)::bigint FROM recount.streams WHERE election = %s",
            (self._election,),
        )
        row = cursor.fetchone()
        return row[0] if row else 0

    def look_up(self, cursor: Any, voters: Iterable[bytes]) -> tuple[list[tuple], list[tuple]]:
        """The roll's entries of these voters, and by which vote id each of them has been counted."""
        cursor.execute("CREATE TEMP TABLE asked (voter_key bytea) ON COMMIT DROP")
        self._copy(cursor, "asked", ((_bytea(each),) for each in sorted(voters)))
        cursor.execute("ANALYZE asked")
        cursor.execute(ROLL_ENTRIES, (self._election,))
        entries = cursor.fetchall()
        cursor.execute(VOTED, (self._election,))
        return entries, cursor.fetchall()

    def add(self, cursor: Any, counted: Counted) -> None:
        """Adds what a batch counted. The caller has begun the batch in the same transaction."""
        for table, (keys, sums) in SUMS.items():
            self._add_sums(cursor, table, keys, sums, counted.sums.get(table, {}))
        voted = ((self._election, _bytea(voter), vote_id) for voter, vote_id in sorted(counted.participations))
        self._copy(cursor, "recount.participations (election, voter_key, vote_id)", voted)
        for position in sorted(counted.no_longer_held):
            cursor.execute(
                "DELETE FROM recount.held WHERE (election, partition, log_offset, record_index) = (%s, %s, %s, %s)",
                (self._election, *position),
            )
        held = ((self._election, *position, reason) for position, reason in sorted(counted.held.items()))
        self._copy(cursor, "recount.held (election, partition, log_offset, record_index, reason)", held)
        self._add_windows(cursor, counted)
        for partition, (next_offset, records) in sorted(counted.positions.items()):
            cursor.execute(
                """INSERT INTO recount.positions AS p (election, partition, next_offset, records_read) VALUES (%s, %s, %s, %s)
                ON CONFLICT (election, partition) DO UPDATE
                SET next_offset = excluded.next_offset, records_read = p.records_read + excluded.records_read""",
                (self._election, partition, next_offset, records),
            )

    def totals(self, cursor: Any) -> tuple[list[tuple], list[tuple]]:
        """Votes of every candidate and voters of every region, with their names. No votes while results are withheld."""
        cursor.execute(CANDIDATE_TOTALS, (self._election,) * 3)
        votes = cursor.fetchall()
        cursor.execute(REGION_TOTALS, (self._election, self._election))
        return votes, cursor.fetchall()

    def _add_sums(self, cursor: Any, table: str, keys: str, sums: Sequence[str], rows: Mapping[tuple, int]) -> None:
        if not rows:
            return
        (total,) = sums
        names = ", ".join(each.split()[0] for each in keys.split(", "))
        cursor.execute(f"CREATE TEMP TABLE added_{table} ({keys}, added bigint) ON COMMIT DROP")
        self._copy(cursor, f"added_{table}", ((*key, n) for key, n in rows.items()))
        cursor.execute(
            f"""INSERT INTO recount.{table} AS t (election, {names}, {total})
            SELECT %s, {names}, added FROM added_{table} ORDER BY {names}
            ON CONFLICT (election, {names}) DO UPDATE SET {total} = t.{total} + excluded.{total}""",
            (self._election,),
        )

    def _add_windows(self, cursor: Any, counted: Counted) -> None:
        for region, starts_ms, ends_ms, voters, late, lateness_s in sorted(counted.windows):
            cursor.execute(
                """INSERT INTO recount.windows AS w (election, region, starts_at, ends_at, voters, late_voters, lateness_s)
                VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (election, region, starts_at) DO UPDATE
                SET voters = w.voters + excluded.voters, late_voters = w.late_voters + excluded.late_voters,
                  lateness_s = greatest(w.lateness_s, excluded.lateness_s)""",
                (self._election, region, _time(starts_ms), _time(ends_ms), voters, late, lateness_s),
            )
        cursor.execute(
            "UPDATE recount.streams SET watermark = greatest(watermark, %s) WHERE election = %s",
            (_time(counted.watermark_ms), self._election),
        )

    def _copy(self, cursor: Any, target: str, rows: Iterable[Sequence[Any]]) -> None:
        lines = io.StringIO()
        # An empty text without quotes would be NULL.
        csv.writer(lines, quoting=csv.QUOTE_ALL).writerows(rows)
        lines.seek(0)
        cursor.copy_expert(f"COPY {target} FROM STDIN (FORMAT csv)", lines)


CANDIDATE_TOTALS = """
    WITH totals AS (
      SELECT contest, candidate, sum(votes)::bigint AS votes FROM recount.votes WHERE election = %s GROUP BY 1, 2
    ),
    newest AS (
      SELECT manifest::json ->> 'withheld' AS withheld FROM registry.manifests WHERE election = %s ORDER BY version DESC LIMIT 1
    )
    SELECT c.contest, c.candidate, c.name, c.party, p.name, c.photo IS NOT NULL, coalesce(t.votes, 0)
    FROM registry.candidates c LEFT JOIN registry.parties p USING (election, party)
      LEFT JOIN totals t USING (contest, candidate)
    WHERE c.election = %s AND c.on_ballot AND (SELECT withheld FROM newest) IS NULL ORDER BY 1, 2"""
REGION_TOTALS = """
    WITH totals AS (SELECT region, sum(voters)::bigint AS voters FROM recount.groups WHERE election = %s GROUP BY 1)
    SELECT r.region, r.name, coalesce(t.voters, 0)
    FROM registry.regions r LEFT JOIN totals t USING (region) WHERE r.election = %s ORDER BY 1"""


def _bytea(value: bytes) -> str:
    return f"\\x{value.hex()}"


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1_000, timezone.utc)
