"""Counts judged records in memory: what Spark does over many, for one partition after another. The tests' reference."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Mapping, Optional, Sequence

from .history import NEVER, History
from .judge import Judge, Judgement, decision_on


@dataclass(frozen=True)
class RollEntry:
    revision: int
    region: str
    station: Optional[str]
    age_group: str
    gender: str
    struck_revision: int = NEVER
    struck_at_ms: int = NEVER


Roll = Mapping[bytes, Sequence[RollEntry]]


@dataclass(frozen=True)
class LogEntry:
    partition: int
    offset: int
    appended_at_ms: int
    headers: Sequence[tuple[str, Optional[bytes]]]
    value: Optional[bytes]


@dataclass
class Count:
    outcomes: Counter = field(default_factory=Counter)
    votes: Counter = field(default_factory=Counter)
    turnout: Counter = field(default_factory=Counter)
    groups: Counter = field(default_factory=Counter)
    # By position: how the record was judged first, and what a decision made of it.
    records: dict[tuple[int, int, int], str] = field(default_factory=dict)
    decided: dict[tuple[int, int, int], str] = field(default_factory=dict)
    altered: set[tuple[int, int, int]] = field(default_factory=set)
    judgements: dict[tuple[int, int, int], Judgement] = field(default_factory=dict)


def entry_of(roll: Roll, judgement: Judgement) -> Optional[RollEntry]:
    """The roll entry that a record sees."""
    seen = [
        each
        for each in roll.get(judgement.voter_key or b"", ())
        if each.revision <= judgement.revision
        and not (each.struck_revision <= judgement.revision and judgement.time_ms >= each.struck_at_ms)
    ]
    return max(seen, key=lambda each: each.revision, default=None)


def roll_reason(entry: Optional[RollEntry], judgement: Judgement) -> str:
    """Why the roll does not let a vote count, or ""."""
    if entry is None:
        return "unknown_voter"
    if entry.station is not None:
        return "" if judgement.vote and entry.station == judgement.vote.station else "wrong_station"
    return "" if entry.region == judgement.region else "wrong_region"


def fold(history: History, roll: Roll, entries: Sequence[LogEntry], ends: Sequence[int]) -> Count:
    """Counts entries. Sorting by where each counts gives every voter's first acceptable record."""
    count = Count()
    judge = Judge(history)
    acceptable = []
    for entry in entries:
        judged = judge.judge(entry.partition, entry.offset, entry.appended_at_ms, entry.headers, entry.value)
        sender_key = next((value or b"" for name, value in entry.headers if name == "sender-key"), b"")
        for index, judgement in enumerate(judged):
            position = (entry.partition, entry.offset, index)
            count.judgements[position] = judgement
            outcome = judgement.fate + (f"/{judgement.reason}" if judgement.reason else "")
            if judgement.fate not in ("acceptable", "held"):
                count.records[position] = outcome
                continue
            reason = roll_reason(entry_of(roll, judgement), judgement)
            if reason:
                count.records[position] = f"rejected/{reason}"
                continue
            order = (entry.offset, 1, 0, entry.offset, index)
            if judgement.fate == "held":
                count.records[position] = outcome
                decision = decision_on(
                    history.decisions, *position, judgement, sender_key, ends[entry.partition]
                )
                if decision is None:
                    continue
                if decision.action == "reject":
                    count.decided[position] = "rejected/by_decision"
                    continue
                order = (decision.positions[entry.partition], 0, decision.revision, entry.offset, index)
            acceptable.append((order, position, judgement))
    _count_first(count, roll, acceptable)
    for position, outcome in count.records.items():
        count.outcomes[count.decided.get(position, outcome)] += 1
    return count


def _count_first(count: Count, roll: Roll, acceptable: list) -> None:
    first: dict[bytes, Judgement] = {}
    for _, position, judgement in sorted(acceptable, key=lambda each: (each[1][0], each[0])):
        vote = judgement.vote
        counted = first.setdefault(judgement.voter_key, judgement)
        outcome = "counted"
        if counted is not judgement:
            is_same = counted.vote.vote_id == vote.vote_id
            outcome = "duplicate/retransmission" if is_same else "duplicate/double_vote"
            contents = [
                (each.vote.station, each.vote.mode, each.vote.cast_at, sorted(each.vote.selections))
                for each in (counted, judgement)
            ]
            if is_same and contents[0] != contents[1]:
                count.altered.add(position)
        (count.decided if position in count.records else count.records)[position] = outcome
        if outcome != "counted":
            continue
        entry = entry_of(roll, judgement)
        for contest, candidate, n in judgement.marks:
            count.votes[f"{contest}/{candidate}/{vote.station}/{vote.mode}"] += n
        count.turnout[f"{vote.station}/{vote.mode}/{judgement.time_ms // 60_000}"] += 1
        count.groups[f"{entry.region}/{entry.age_group}/{entry.gender}"] += 1
