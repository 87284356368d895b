"""
Judges the records of an entry: by the record, its position on the log and the history that applies there, and by nothing else.
The roll and the voter's other records are not asked here: see fold.py.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from .history import Decision, History, Key, Manifest, View
from .wire import (
    RECORD_OVERHEAD_BYTES,
    Entry,
    Record,
    Vote,
    entry_context,
    is_signed,
    length_prefixed,
    open_value,
    parse_entry,
    parse_record,
    parse_statement,
    parse_vote,
    partition_of,
    record_key,
    voter_key,
)

# Beyond this a gateway's clock is not believed, and a vote was cast after the time that counts.
MAX_CLOCK_AHEAD_MS = 300_000
MAX_SENDERS = 10_000

Marks = tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Judgement:
    """
    What one record amounts to, before the roll and the voter's other records are asked.

    `fate` is "acceptable", "held", "rejected" or "statement". `gateway` is empty where the signature is not the gateway's;
    `sequence` is 0 where the seal did not open, and in statements; `voter_key` is empty and `time_ms` 0 where the
    record was not read so far. `vote` is None where the record ends here. `marks` are (contest, candidate or mark, votes).
    `clock_ahead_ms` is 0 where the gateway's clock is believed, and in what is rejected here: it raises no alert.
    """

    fate: str
    reason: str = ""
    gateway: str = ""
    sequence: int = 0
    voter_key: bytes = b""
    vote: Vote | None = None
    region: str = ""
    time_ms: int = 0
    revision: int = 0
    marks: Marks = ()
    clock_ahead_ms: int = 0


class Judge:
    """Judges entries by one election's history. Keeps the keys of up to 10,000 senders."""

    def __init__(self, history: History):
        self._history = history
        self._record_bytes = RECORD_OVERHEAD_BYTES + history.vote_bytes
        self._devices = {
            f"{device}.{version}".encode(): key
            for (device, version), key in history.device_keys.items()
        }
        self._proof_prefix = length_prefixed("pollwire/2 vote", history.election)
        self._record_keys: dict[bytes, bytes | None] = {}

    def judge(
        self,
        partition: int,
        offset: int,
        appended_at_ms: int,
        headers: list[tuple[str, bytes | None]],
        value: bytes | None,
    ) -> list[Judgement]:
        """One judgement for each record of an entry, in order; one for a statement or an unreadable entry."""
        history = self._history
        view = history.at(partition, offset)
        revision = view.revision
        entry = parse_entry(headers, value, history.vote_bytes)
        if entry is None:
            return [Judgement("rejected", "unreadable", revision=revision)]
        if entry.key_name.election != history.election:
            return [Judgement("rejected", "wrong_election", revision=revision)] * entry.count
        _, gateway, version = entry.key_name
        key = history.gateway_keys.get((gateway, version))
        if key is None or key.from_revision > revision:
            return [Judgement("rejected", "unknown_gateway", revision=revision)] * entry.count
        context = entry_context(history.election, entry)
        if not is_signed(key.key, context, entry):
            return [Judgement("rejected", "bad_signature", revision=revision)] * entry.count
        opened = self._open(context, entry)
        if opened is None:
            return [Judgement("rejected", "cannot_open", gateway, revision=revision)] * entry.count
        if entry.is_statement:
            return [_judge_statement(opened, entry, revision)]
        is_revoked = key.until_revision <= revision
        size = self._record_bytes
        return [
            self._judge_record(
                opened[i * size : (i + 1) * size],
                _Place(view, partition, appended_at_ms, gateway, is_revoked, entry.sequence + i),
            )
            for i in range(entry.count)
        ]

    def _open(self, context: bytes, entry: Entry) -> bytes | None:
        keys, sender_key = self._record_keys, entry.sender_key
        if sender_key not in keys:
            if len(keys) >= MAX_SENDERS:
                del keys[next(iter(keys))]
            history = self._history
            keys[sender_key] = record_key(
                history.sealing_key, history.sealing_public, history.election, sender_key
            )
        key = keys[sender_key]
        return None if key is None else open_value(key, context, entry.value)

    def _judge_record(self, data: bytes, place: "_Place") -> Judgement:
        record = parse_record(data)
        if record is None:
            return place.reject("malformed")
        time_ms, clock_ahead_ms = _time_of(record.accepted_at_ms, place.appended_at_ms)
        place.time_ms, place.clock_ahead_ms = time_ms, clock_ahead_ms
        device = self._devices.get(record.proof_key)
        if device is None or device.from_revision > place.view.revision:
            return place.reject("bad_proof")
        if not self._is_proved(device.key, record):
            return place.reject("bad_proof")
        vote = parse_vote(record.vote_text)
        if vote is None:
            return place.reject("invalid_vote")
        history = self._history
        voter = place.voter_key = voter_key(history.pseudonym_key, vote.voter_id)
        if partition_of(voter, history.partitions) != place.partition:
            return place.reject("wrong_partition")
        if record.manifest_version not in place.view.versions:
            return place.reject("unknown_manifest")
        return self._judge_vote(vote, device, place)

    def _is_proved(self, key: bytes, record: Record) -> bool:
        name, text = record.proof_key, record.vote_text
        message = b"%b%b%b%b%b" % (
            self._proof_prefix,
            len(name).to_bytes(4, "big"),
            name,
            len(text).to_bytes(4, "big"),
            text,
        )
        return hmac.compare_digest(hmac.digest(key, message, "sha256"), record.proof)

    def _judge_vote(self, vote: Vote, device: Key, place: "_Place") -> Judgement:
        view, newest = place.view, place.view.newest
        manifest, reason = _find_version(vote, device.station, place)
        if manifest is None:
            return place.reject(reason)
        if newest.is_certified:
            return place.reject("after_certification")
        if newest.inactive == "cancelled":
            return place.reject("not_open")
        if place.is_gateway_revoked:
            reason = "gateway_revoked"
        elif device.until_revision <= view.revision:
            reason = "device_revoked"
        elif vote.mode in manifest.held_modes:
            reason = "mode"
        return Judgement(
            "held" if reason else "acceptable",
            reason,
            place.gateway,
            place.sequence,
            place.voter_key,
            vote,
            manifest.stations[vote.station].region,
            place.time_ms,
            view.revision,
            marks_of(vote, manifest, self._history.closed_before_ms(manifest.version)),
            place.clock_ahead_ms,
        )


class _Place:
    """Where a record stands, and what is known of it so far."""

    __slots__ = (
        "view",
        "partition",
        "appended_at_ms",
        "gateway",
        "is_gateway_revoked",
        "sequence",
        "time_ms",
        "clock_ahead_ms",
        "voter_key",
    )

    def __init__(
        self,
        view: View,
        partition: int,
        appended_at_ms: int,
        gateway: str,
        is_gateway_revoked: bool,
        sequence: int,
    ):
        self.view = view
        self.partition = partition
        self.appended_at_ms = appended_at_ms
        self.gateway = gateway
        self.is_gateway_revoked = is_gateway_revoked
        self.sequence = sequence
        self.time_ms = 0
        self.clock_ahead_ms = 0
        self.voter_key = b""

    def reject(self, reason: str) -> Judgement:
        return Judgement(
            "rejected",
            reason,
            self.gateway,
            self.sequence,
            self.voter_key,
            time_ms=self.time_ms,
            revision=self.view.revision,
        )


def _judge_statement(opened: bytes, entry: Entry, revision: int) -> Judgement:
    gateway = entry.key_name.owner
    statement = parse_statement(opened)
    if statement is None or statement[0] != entry.sequence:
        return Judgement("rejected", "malformed", gateway, revision=revision)
    return Judgement(
        "statement", "", gateway, time_ms=statement[1], revision=revision
    )


def _time_of(accepted_at_ms: int, appended_at_ms: int) -> tuple[int, int]:
    """The vote's time, and how far the gateway's clock is ahead where it is not believed."""
    ahead_ms = accepted_at_ms - appended_at_ms
    if ahead_ms > MAX_CLOCK_AHEAD_MS:
        return max(appended_at_ms, 0), ahead_ms
    return accepted_at_ms, 0


def _find_version(
    vote: Vote, device_station: str, place: _Place
) -> tuple[Manifest | None, str]:
    """
    The version by which a vote is judged, with "", `clock` or `superseded`; or None with the reason why the vote is rejected.
    """
    view, time_ms, gateway = place.view, place.time_ms, place.gateway
    asked = view.asked(time_ms)
    reason = ""
    for manifest in asked:
        fault = _hours_fault(manifest, vote, time_ms) or _ballot_fault(
            manifest, vote, device_station, gateway
        )
        if not fault:
            return manifest, ""
        reason = reason or fault
    if place.clock_ahead_ms:
        oldest = min(manifest.version for manifest in asked)
        for manifest in [*asked, *view.before(oldest)]:
            if not _ballot_fault(manifest, vote, device_station, gateway):
                return manifest, "clock"
        return None, _ballot_fault(asked[0], vote, device_station, gateway)
    for manifest in view.before(asked[0].version):
        if not _hours_fault(manifest, vote, time_ms) and not _ballot_fault(
            manifest, vote, device_station, gateway
        ):
            return manifest, "superseded"
    return None, reason


def _hours_fault(manifest: Manifest, vote: Vote, time_ms: int) -> str:
    """Why a version does not allow a vote by its times (points 1 and 2), or ""."""
    if not manifest.opens_at_ms <= time_ms <= manifest.accepts_until_ms or manifest.inactive:
        return "not_open"
    is_paused = manifest.paused is None or vote.station in manifest.paused
    if is_paused and time_ms <= manifest.closes_at_ms:
        return "not_open"
    if not manifest.opens_at_ms <= vote.cast_at <= manifest.closes_at_ms:
        return "cast_out_of_hours"
    return "cast_out_of_hours" if vote.cast_at - time_ms > MAX_CLOCK_AHEAD_MS else ""


def _ballot_fault(manifest: Manifest, vote: Vote, device_station: str, gateway: str) -> str:
    """Why a version does not allow a vote by what is in it and whence it comes (points 3 to 5), or ""."""
    station = manifest.stations.get(vote.station)
    if station is None:
        return "unknown_station"
    chosen: dict[str, set[str]] = {}
    for contest_id, candidate in vote.selections:
        contest = station.ballot.get(contest_id)
        if contest is None:
            return "unknown_contest"
        if candidate not in contest.candidates:
            return "unknown_candidate"
        choices = chosen.setdefault(contest_id, set())
        if candidate in choices:
            return "repeated_candidate"
        choices.add(candidate)
        if len(choices) > contest.votes_allowed:
            return "overvote"
    if device_station != vote.station:
        return "foreign_device"
    return "" if vote.station in manifest.gateways.get(gateway, ()) else "foreign_station"


def marks_of(vote: Vote, manifest: Manifest, closed_before_ms: int) -> Marks:
    """What a vote adds to the tallies. `closed_before_ms` is the earliest close of the versions before this one."""
    marks = [(contest, candidate, 1) for contest, candidate in vote.selections]
    choices: dict[str, int] = {}
    for contest, _ in vote.selections:
        choices[contest] = choices.get(contest, 0) + 1
    is_extended = vote.cast_at > closed_before_ms
    for contest, (votes_allowed, _) in manifest.stations[vote.station].ballot.items():
        count = choices.get(contest, 0)
        marks.append((contest, "#ballots", 1))
        if count < votes_allowed:
            marks.append((contest, "#undervotes", votes_allowed - count))
        if count == 0:
            marks.append((contest, "#blank", 1))
        if is_extended:
            marks.append((contest, "#extended", 1))
    return tuple(marks)


def decision_on(
    decisions: Iterable[Decision],
    partition: int,
    offset: int,
    index: int,
    held: Judgement,
    sender_key: bytes,
    end: int,
) -> Decision | None:
    """
    The decision that settles a held record: it admits, rejects or readmits it. None while the record stays held.

    @param decisions In the order of their revisions.
    @param end The partition's offset that would be read next: later decisions do not apply yet.
    """
    rejection = None
    for decision in decisions:
        if not offset < decision.positions[partition] <= end:
            continue
        if decision.action == "readmit":
            if rejection is not None and _means(decision, partition, offset, index, held, sender_key):
                return decision
        elif rejection is None and decision.action != "defer":
            if _means(decision, partition, offset, index, held, sender_key):
                if decision.action == "admit":
                    return decision
                rejection = decision
    return rejection


def _means(
    decision: Decision, partition: int, offset: int, index: int, held: Judgement, sender_key: bytes
) -> bool:
    if decision.named is not None:
        return (partition, offset, index) in decision.named
    return (
        (decision.reason is None or decision.reason == held.reason)
        and (decision.gateway is None or decision.gateway == held.gateway)
        and (decision.sender_key is None or decision.sender_key == sender_key)
        and (decision.from_ms is None or held.time_ms >= decision.from_ms)
        and (decision.until_ms is None or held.time_ms < decision.until_ms)
    )
