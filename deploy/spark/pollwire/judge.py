"""Judges records: what becomes of each, up to the roll and to whether the voter has voted already. Pure.

An outcome depends on the record, its position and append time, and the history that applies there, and on nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Optional, Sequence

from . import wire
from .history import Decision, History, Key, Manifest, View

MAX_CLOCK_SKEW_MS = 300_000
MANIFEST_OVERLAP_MS = 60_000
MAX_AGREED_KEYS = 10_000
"""Sender keys whose record keys are kept; one costs a scalar multiplication to make again."""


@dataclass(frozen=True)
class Judgement:
    """What becomes of one record. Ends here for `rejected` and `statement`; the roll is still to be asked of the others."""

    fate: str  # acceptable, held, rejected or statement
    reason: str = ""
    gateway: str = ""
    sequence: int = 0  # 0 where the seal did not open
    voter_key: Optional[bytes] = None
    vote: Optional[wire.Vote] = None
    region: str = ""
    time_ms: int = 0
    revision: int = 0
    marks: tuple[tuple[str, str, int], ...] = ()
    clock_ahead_ms: int = 0  # above 0 where the gateway's clock is not believed


class Judge:
    """Judges the entries of one election."""

    def __init__(self, history: History):
        self._history = history
        self._agreed: OrderedDict[bytes, Optional[bytes]] = OrderedDict()

    def judge(
        self,
        partition: int,
        offset: int,
        appended_at_ms: int,
        headers: Sequence[tuple[str, Optional[bytes]]],
        value: Optional[bytes],
    ) -> list[Judgement]:
        """One judgement for each record of an entry, in order."""
        history = self._history
        entry = wire.parse_entry(list(headers), value, history.vote_bytes)
        if entry is None:
            return [Judgement("rejected", "unreadable")]
        value = value or b""

        def every(judgement: Judgement) -> list[Judgement]:
            return [judgement] * entry.records

        if entry.key_name.election != history.election:
            return every(Judgement("rejected", "wrong_election"))
        view = history.at(partition, offset)
        gateway = entry.key_name.id
        signing = history.gateway_keys.get((gateway, entry.key_name.version))
        if signing is None or signing.revision > view.revision:
            return every(Judgement("rejected", "unknown_gateway"))
        context = wire.entry_context(history.election, entry)
        if not wire.is_signed(signing.key, context, value, entry.signature):
            return every(Judgement("rejected", "bad_signature"))
        key = self._agree(entry.sender_key)
        plaintext = wire.open_entry(key, context, value) if key is not None else None
        if plaintext is None:
            return every(Judgement("rejected", "cannot_open", gateway))
        if not entry.is_vote:
            statement = wire.decode_statement(plaintext)
            if statement is None or statement.records != entry.sequence:
                return [Judgement("rejected", "malformed", gateway)]
            return [Judgement("statement", "", gateway)]
        size = len(plaintext) // entry.records
        return [
            self._judge_record(
                plaintext[i * size : (i + 1) * size],
                Judgement("rejected", "", gateway, entry.sequence + i),
                partition,
                appended_at_ms,
                view,
                signing,
            )
            for i in range(entry.records)
        ]

    def _agree(self, sender_key: bytes) -> Optional[bytes]:
        agreed = self._agreed
        if sender_key in agreed:
            agreed.move_to_end(sender_key)
            return agreed[sender_key]
        history = self._history
        key = wire.record_key(history.sealing_key, history.sealing_public, history.election, sender_key)
        agreed[sender_key] = key
        if len(agreed) > MAX_AGREED_KEYS:
            agreed.popitem(last=False)
        return key

    def _judge_record(
        self, plaintext: bytes, base: Judgement, partition: int, appended_at_ms: int, view: View, signing: Key
    ) -> Judgement:
        history = self._history
        content = wire.decode_record(plaintext, history.vote_bytes)
        if content is None:
            return replace(base, reason="malformed")
        device = history.device_keys.get((content.device, content.key_version))
        if device is None or device.revision > view.revision or not wire.is_proof(device.key, history.election, content):
            return replace(base, reason="bad_proof")
        vote = wire.parse_vote(content.vote)
        if vote is None:
            return replace(base, reason="invalid_vote")
        voter_key = wire.voter_key(history.pseudonym_key, vote.voter_id)
        if wire.partition_of(voter_key, history.partitions) != partition:
            return replace(base, reason="wrong_partition")
        if content.manifest_version not in view.versions:
            return replace(base, reason="unknown_manifest")
        ahead_ms = content.accepted_at_ms - appended_at_ms
        is_ahead = ahead_ms > MAX_CLOCK_SKEW_MS
        time_ms = max(0, appended_at_ms) if is_ahead else content.accepted_at_ms
        found = judge_time(vote, time_ms, is_ahead, base.gateway, device.station, view.manifests)
        if isinstance(found, str):
            return replace(base, reason=found)
        if view.manifests[-1].certified:
            return replace(base, reason="after_certification")
        if view.manifests[-1].inactive == "cancelled":
            return replace(base, reason="not_open")
        manifest, held = found
        if signing.revoked_revision <= view.revision:
            held = "gateway_revoked"
        elif device.revoked_revision <= view.revision:
            held = "device_revoked"
        elif vote.mode in manifest.held_modes:
            held = "mode"
        return Judgement(
            "held" if held else "acceptable",
            held,
            base.gateway,
            base.sequence,
            voter_key,
            vote,
            manifest.stations[vote.station][0],
            time_ms,
            view.revision,
            marks_of(manifest, vote, is_extended(manifest, view.manifests, vote)),
            ahead_ms if is_ahead else 0,
        )


def judge_time(
    vote: wire.Vote, time_ms: int, is_ahead: bool, gateway: str, device_station: str, manifests: Sequence[Manifest]
) -> str | tuple[Manifest, str]:
    """The manifest by which a vote is judged and why it is held, or "" where it is acceptable; or why it is rejected."""

    def reason(manifest: Manifest) -> str:
        return check_time(manifest, vote, time_ms) or check_place(manifest, vote, gateway, device_station)

    current = 0
    for i, manifest in enumerate(manifests):
        if manifest.effective_at_ms <= time_ms:
            current = i
    # Version i is in force until version i + 1 is.
    earlier = [
        manifests[i]
        for i in range(current - 1, -1, -1)
        if manifests[i + 1].effective_at_ms > time_ms - MANIFEST_OVERLAP_MS
    ]
    later = [each for each in manifests[current + 1 :] if each.effective_at_ms < time_ms + MANIFEST_OVERLAP_MS]
    asked = [manifests[current], *earlier, *later]
    for manifest in asked:
        if not reason(manifest):
            return manifest, ""
    older = list(reversed(manifests[:current]))
    if is_ahead:
        for manifest in [*asked, *older]:
            if not check_place(manifest, vote, gateway, device_station):
                return manifest, "clock"
        return check_place(manifests[current], vote, gateway, device_station)
    for manifest in older:
        if not reason(manifest):
            return manifest, "superseded"
    return reason(manifests[current])


def check_time(manifest: Manifest, vote: wire.Vote, time_ms: int) -> str:
    """Points 1 and 2: why the vote is rejected, or ""."""
    if not manifest.opens_at_ms <= time_ms <= manifest.accepts_until_ms:
        return "not_open"
    if manifest.inactive:
        return "not_open"
    is_paused = manifest.paused is None or vote.station in manifest.paused
    if is_paused and time_ms <= manifest.closes_at_ms:
        return "not_open"
    if not manifest.opens_at_ms <= vote.cast_at_ms <= manifest.closes_at_ms:
        return "cast_out_of_hours"
    return "cast_out_of_hours" if vote.cast_at_ms - time_ms > MAX_CLOCK_SKEW_MS else ""


def check_place(manifest: Manifest, vote: wire.Vote, gateway: str, device_station: str) -> str:
    """Points 3 to 5: why the vote is rejected, or ""."""
    station = manifest.stations.get(vote.station)
    if station is None:
        return "unknown_station"
    contests = station[1]
    chosen: dict[str, set[str]] = {}
    for contest, candidate in vote.selections:
        if contest not in contests:
            return "unknown_contest"
        allowed, candidates = manifest.contests[contest]
        if candidate not in candidates:
            return "unknown_candidate"
        choices = chosen.setdefault(contest, set())
        if candidate in choices:
            return "repeated_candidate"
        choices.add(candidate)
        if len(choices) > allowed:
            return "overvote"
    if device_station != vote.station:
        return "foreign_device"
    return "" if vote.station in manifest.gateways.get(gateway, ()) else "foreign_station"


def is_extended(manifest: Manifest, manifests: Sequence[Manifest], vote: wire.Vote) -> bool:
    """Whether a version before the one that the ballot is judged by would have closed voting before it was cast."""
    before = [each for each in manifests if each.version < manifest.version and not each.inactive]
    return any(each.closes_at_ms < vote.cast_at_ms for each in before)


def marks_of(manifest: Manifest, vote: wire.Vote, extended: bool = False) -> tuple[tuple[str, str, int], ...]:
    """What a ballot adds: contest, candidate or mark, and how many."""
    marks = [(contest, candidate, 1) for contest, candidate in vote.selections]
    for contest in manifest.stations[vote.station][1]:
        allowed = manifest.contests[contest][0]
        choices = sum(1 for chosen, _ in vote.selections if chosen == contest)
        marks.append((contest, "#ballots", 1))
        if choices < allowed:
            marks.append((contest, "#undervotes", allowed - choices))
        if choices == 0:
            marks.append((contest, "#blank", 1))
        if extended:
            marks.append((contest, "#extended", 1))
    return tuple(sorted(marks))


def decision_on(
    decisions: Sequence[Decision],
    partition: int,
    offset: int,
    index: int,
    held: Judgement,
    sender_key: bytes,
    end: int,
) -> Optional[Decision]:
    """The last decision on a record that was held: that admits or rejects it, or admits it after all; None while it stays held.

    :param end: The offset that would be read next; a decision that applies beyond it is none yet.
    """
    found: Optional[Decision] = None
    for each in decisions:
        applies_at = each.positions[partition] if partition < len(each.positions) else 0
        wanted = ("admit", "reject") if found is None else ("readmit",)
        if each.action not in wanted or not offset < applies_at <= end:
            continue
        if each.records is not None:
            is_meant = (partition, offset, index) in each.records
        else:
            is_meant = (
                (each.reason is None or each.reason == held.reason)
                and (each.gateway is None or each.gateway == held.gateway)
                and (each.sender_key is None or each.sender_key == sender_key)
                and (each.from_ms is None or held.time_ms >= each.from_ms)
                and (each.until_ms is None or held.time_ms < each.until_ms)
            )
        if is_meant and each.action != "reject":
            return each
        found = each if is_meant else found
    return found
