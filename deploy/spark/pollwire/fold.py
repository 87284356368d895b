"""
Counts a log in memory: the one place here that says which vote counts. Slow on purpose, and simple enough to check by eye.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from .history import NEVER, History
from .judge import Judge, Judgement, decision_on
from .wire import ballot_digest, first_headers

Position = tuple[int, int, int]
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class RollEntry(NamedTuple):
    """
    A voter's entry on the roll, seen from `revision` on. `station` is None for a voter who may vote anywhere in the region.
    From `struck_revision` on, votes from `struck_at_ms` on do not see it.
    """

    revision: int
    region: str
    station: str | None
    age_group: str
    gender: str
    struck_revision: int = NEVER
    struck_at_ms: int = NEVER


# Entries by voter key.
Roll = Mapping[bytes, Sequence[RollEntry]]


class LogEntry(NamedTuple):
    """An entry as it stands on the log."""

    partition: int
    offset: int
    appended_at_ms: int
    headers: list[tuple[str, bytes | None]]
    value: bytes | None


class Outcome(NamedTuple):
    """Where a record ended: counted, duplicate, held, rejected or statement."""

    fate: str
    reason: str = ""


@dataclass
class Count:
    """
    What a log amounts to. `outcomes` are by position, as decisions left them; `altered` are positions of retransmissions that
    are not the vote that counted. `outcome_counts` are by (partition, fate, reason), `votes` by (contest, candidate or mark,
    station, mode), `turnout` by (station, mode, minute), `groups` by (region, age group, gender).
    """

    outcomes: dict[Position, Outcome] = field(default_factory=dict)
    altered: list[Position] = field(default_factory=list)
    outcome_counts: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    votes: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    turnout: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    groups: Counter[tuple[str, str, str]] = field(default_factory=Counter)


class _Candidate(NamedTuple):
    """An acceptable or admitted record. Candidates sort in the order in which they are counted."""

    # The offset at which it is counted; admitted records (0) come before the record at it (1).
    at: int
    is_own_position: int
    decision_revision: int
    position: Position
    judgement: Judgement
    roll_entry: RollEntry


def entry_of(roll: Roll, judgement: Judgement) -> RollEntry | None:
    """The roll entry that a record sees, the one that was added last. None where it sees none."""
    seen = None
    for entry in roll.get(judgement.voter_key, ()):
        if entry.revision > judgement.revision:
            continue
        if entry.struck_revision <= judgement.revision and judgement.time_ms >= entry.struck_at_ms:
            continue
        if seen is None or entry.revision >= seen.revision:
            seen = entry
    return seen


def roll_reason(entry: RollEntry | None, judgement: Judgement) -> str:
    """Why the roll rejects an acceptable or held record, or ""."""
    if entry is None:
        return "unknown_voter"
    if entry.station is not None:
        return "" if entry.station == judgement.vote.station else "wrong_station"
    return "" if entry.region == judgement.region else "wrong_region"


def minute_of(time_ms: int) -> str:
    """The minute of a time, `2026-11-03T12:00Z`."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.strftime("%Y-%m-%dT%H:%MZ").rjust(17, "0")


def fold(
    history: History,
    roll: Roll,
    entries: Iterable[LogEntry],
    ends: Mapping[int, int] | Sequence[int],
) -> Count:
    """
    Counts a log.

    @param entries In any order.
    @param ends By partition, the offset that would be read next. Entries and decisions from there on do not count.
    """
    count = Count()
    candidates = []
    judge = Judge(history)
    for entry in entries:
        if entry.offset < ends[entry.partition]:
            candidates += _settle(history, roll, judge, entry, ends[entry.partition], count)
    # Partitions are apart: no voter has records on two of them.
    candidates.sort(key=lambda c: (c.position[0], c[:4]))
    counted: dict[bytes, tuple[str, bytes]] = {}
    for candidate in candidates:
        _count_candidate(candidate, counted, count)
    for (partition, _, _), outcome in count.outcomes.items():
        count.outcome_counts[partition, outcome.fate, outcome.reason] += 1
    return count


def _settle(
    history: History, roll: Roll, judge: Judge, entry: LogEntry, end: int, count: Count
) -> Iterable[_Candidate]:
    """Gives the records of an entry that end here their outcome, and yields the others."""
    partition, offset, appended_at_ms, headers, value = entry
    sender_key = first_headers(headers).get("sender-key", b"")
    judgements = judge.judge(partition, offset, appended_at_ms, headers, value)
    for index, judgement in enumerate(judgements):
        position = (partition, offset, index)
        if judgement.vote is None:
            count.outcomes[position] = Outcome(judgement.fate, judgement.reason)
            continue
        roll_entry = entry_of(roll, judgement)
        reason = roll_reason(roll_entry, judgement)
        if reason:
            count.outcomes[position] = Outcome("rejected", reason)
            continue
        if judgement.fate == "acceptable":
            yield _Candidate(offset, 1, 0, position, judgement, roll_entry)
            continue
        decision = decision_on(
            history.decisions, partition, offset, index, judgement, sender_key, end
        )
        if decision is None:
            count.outcomes[position] = Outcome("held", judgement.reason)
        elif decision.action == "reject":
            count.outcomes[position] = Outcome("rejected", "by_decision")
        else:
            at = decision.positions[partition]
            yield _Candidate(at, 0, decision.revision, position, judgement, roll_entry)


def _count_candidate(
    candidate: _Candidate, counted: dict[bytes, tuple[str, bytes]], count: Count
) -> None:
    judgement, position = candidate.judgement, candidate.position
    vote = judgement.vote
    first = counted.get(judgement.voter_key)
    if first is not None:
        is_same = first[0] == vote.vote_id
        reason = "retransmission" if is_same else "double_vote"
        count.outcomes[position] = Outcome("duplicate", reason)
        if is_same and first[1] != ballot_digest(vote):
            count.altered.append(position)
        return
    counted[judgement.voter_key] = (vote.vote_id, ballot_digest(vote))
    count.outcomes[position] = Outcome("counted")
    for contest, mark, votes in judgement.marks:
        count.votes[contest, mark, vote.station, vote.mode] += votes
    count.turnout[vote.station, vote.mode, minute_of(judgement.time_ms)] += 1
    entry = candidate.roll_entry
    count.groups[entry.region, entry.age_group, entry.gender] += 1
