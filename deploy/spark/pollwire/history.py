"""
The history by which an election's log is judged, and what of it applies at a position.

A revision is the number of a change. A view is what applies from one change to the next.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .wire import parse_instant, parse_json

# A revision or a time that never comes.
NEVER = 2**63 - 1
# A time before every other.
_BEGINNING_MS = -NEVER
# A manifest's version is asked when it was in force less than this before or after the vote's time.
GRACE_MS = 60_000

ACTIONS = frozenset({"admit", "reject", "defer", "readmit"})
_SELECTOR_FIELDS = frozenset({"reason", "gateway", "senderKey", "from", "until"})
_POSITION = re.compile(r"(0|[1-9][0-9]*)/(0|[1-9][0-9]*)/(0|[1-9][0-9]*)")
_SENDER_KEY = re.compile(r"[0-9a-f]{64}")


class Contest(NamedTuple):
    """A contest on a ballot: how many candidates a voter may choose, and the candidates' ids."""

    votes_allowed: int
    candidates: frozenset[str]


class Station(NamedTuple):
    """A station: its region, and the contests on its ballot by id."""

    region: str
    ballot: dict[str, Contest]


@dataclass(frozen=True)
class Manifest:
    """
    A version of the manifest, as far as votes are judged by it.
    `paused` is None where voting is paused at every station. `gateways` has the stations of each gateway, as primary or fallback.
    """

    election: str
    version: int
    revision: int
    effective_at_ms: int
    opens_at_ms: int
    closes_at_ms: int
    accepts_until_ms: int
    partitions: int
    vote_bytes: int
    sealing_key: bytes
    stations: dict[str, Station]
    gateways: dict[str, frozenset[str]]
    denied: frozenset[str]
    paused: frozenset[str] | None
    inactive: str
    held_modes: frozenset[str]
    is_certified: bool


class Key(NamedTuple):
    """
    A gateway's key, or a device's key for proofs. It exists from `from_revision` on and is revoked from `until_revision` on.
    `station` is where the device stands; empty for a gateway.
    """

    key: bytes
    from_revision: int
    until_revision: int = NEVER
    station: str = ""


class Decision(NamedTuple):
    """
    A decision about held records. `positions` has, by partition, the offset before which it applies.
    `named` are the records it names, as (partition, offset, index). Where it is None, the other fields select; one that is None
    selects every record.
    """

    revision: int
    positions: tuple[int, ...]
    action: str
    named: frozenset[tuple[int, int, int]] | None = None
    reason: str | None = None
    gateway: str | None = None
    sender_key: bytes | None = None
    from_ms: int | None = None
    until_ms: int | None = None


def read_manifest(text: str, revision: int, effective_at_ms: int) -> Manifest:
    """Reads a manifest's text. Raises ValueError where it is not a manifest."""
    try:
        return _read_manifest(parse_json(text.encode()), revision, effective_at_ms)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"read manifest: a field is missing or of another type: {error}") from error


def _read_manifest(value: dict[str, Any], revision: int, effective_at_ms: int) -> Manifest:
    contests = {
        contest["id"]: Contest(
            contest["votesAllowed"], frozenset(c["id"] for c in contest["candidates"])
        )
        for contest in value["contests"]
    }
    paused = value.get("paused", [])
    return Manifest(
        election=value["election"],
        version=value["version"],
        revision=revision,
        effective_at_ms=effective_at_ms,
        opens_at_ms=_instant(value["opensAt"]),
        closes_at_ms=_instant(value["closesAt"]),
        accepts_until_ms=_instant(value["acceptsUntil"]),
        partitions=value["partitions"],
        vote_bytes=value["voteBytes"],
        sealing_key=bytes.fromhex(value["sealingKey"]),
        stations={station["id"]: _read_station(station, contests) for station in value["stations"]},
        gateways={
            gateway["id"]: frozenset(gateway["stations"]) | frozenset(gateway["fallbackFor"])
            for gateway in value["gateways"]
        },
        denied=frozenset(value["denied"]),
        paused=None if paused == "all" else frozenset(paused),
        inactive=value.get("inactive", ""),
        held_modes=frozenset(value.get("heldModes", [])),
        is_certified=value.get("certified", False) is True,
    )


def _read_station(station: dict[str, Any], contests: dict[str, Contest]) -> Station:
    on_ballot = station.get("contests")
    if on_ballot is None:
        return Station(station["region"], contests)
    ballot = {id_: contests[id_] for id_ in on_ballot if id_ in contests}
    return Station(station["region"], ballot)


def _instant(text: str) -> int:
    instant_ms = parse_instant(text)
    if instant_ms is None:
        raise ValueError(f"read a time: {text!r} is not like 2026-11-03T07:00:00.000Z")
    return instant_ms


def read_decision(
    revision: int, positions: Sequence[int], action: str, selector: Mapping[str, Any]
) -> Decision:
    """Reads a decision. Raises ValueError where its action or selector is unknown, since a guess would change the count."""
    if action not in ACTIONS:
        raise ValueError(f"read decision {revision}: unknown action {action!r}")
    offsets = tuple(positions)
    if "positions" in selector:
        if len(selector) != 1:
            raise ValueError(f"read decision {revision}: a selector has positions and other fields")
        named = frozenset(_position(text) for text in selector["positions"])
        return Decision(revision, offsets, action, named)
    if action == "readmit":
        raise ValueError(f"read decision {revision}: readmit has no positions")
    unknown = selector.keys() - _SELECTOR_FIELDS
    if not selector:
        raise ValueError(f"read decision {revision}: a selector is empty")
    if unknown:
        raise ValueError(f"read decision {revision}: unknown fields {sorted(unknown)} in a selector")
    sender_key = selector.get("senderKey")
    if sender_key is not None and not _SENDER_KEY.fullmatch(sender_key):
        raise ValueError(f"read decision {revision}: senderKey is not 64 hex digits")
    return Decision(
        revision,
        offsets,
        action,
        reason=selector.get("reason"),
        gateway=selector.get("gateway"),
        sender_key=None if sender_key is None else bytes.fromhex(sender_key),
        from_ms=_instant(selector["from"]) if "from" in selector else None,
        until_ms=_instant(selector["until"]) if "until" in selector else None,
    )


def _position(text: str) -> tuple[int, int, int]:
    match = _POSITION.fullmatch(text)
    if match is None:
        raise ValueError(f"read a position: {text!r} is not like 3/1207/0")
    return int(match[1]), int(match[2]), int(match[3])


class View:
    """
    What applies from one revision to the next. `manifests` are in the order of their versions; `versions` are their numbers.
    """

    __slots__ = ("revision", "manifests", "versions", "_starts_ms")

    def __init__(self, revision: int, manifests: tuple[Manifest, ...]):
        self.revision = revision
        self.manifests = manifests
        self.versions = frozenset(manifest.version for manifest in manifests)
        # When each version took effect. The first one always was.
        self._starts_ms = [_BEGINNING_MS, *(manifest.effective_at_ms for manifest in manifests[1:])]

    @property
    def newest(self) -> Manifest:
        """The newest version, whether it has taken effect or not."""
        return self.manifests[-1]

    def asked(self, time_ms: int) -> Sequence[Manifest]:
        """The versions that are asked about a vote of that time: the current one, older ones (newest first), newer ones."""
        versions, starts_ms = self.manifests, self._starts_ms
        current = len(versions) - 1
        while starts_ms[current] > time_ms:
            current -= 1
        first = last = current
        while first > 0 and starts_ms[first] > time_ms - GRACE_MS:
            first -= 1
        while last + 1 < len(versions) and starts_ms[last + 1] < time_ms + GRACE_MS:
            last += 1
        if first == last:
            return (versions[current],)
        older = versions[first:current]
        return [versions[current], *reversed(older), *versions[current + 1 : last + 1]]

    def before(self, version: int) -> list[Manifest]:
        """The versions before one, newest first."""
        return [manifest for manifest in reversed(self.manifests) if manifest.version < version]


class History:
    """
    An election's history. `steps` are the changes of anything but decisions: (revision, first offsets by partition).
    Keys are by (owner, version). Raises ValueError where the offsets of the steps fall.
    """

    def __init__(
        self,
        election: str,
        partitions: int,
        vote_bytes: int,
        pseudonym_key: bytes,
        sealing_key: bytes,
        sealing_public: bytes,
        steps: Iterable[tuple[int, Sequence[int]]],
        manifests: Iterable[Manifest],
        gateway_keys: Mapping[tuple[str, int], Key],
        device_keys: Mapping[tuple[str, int], Key],
        decisions: Iterable[Decision],
    ):
        self.election = election
        self.partitions = partitions
        self.vote_bytes = vote_bytes
        self.pseudonym_key = pseudonym_key
        self.sealing_key = sealing_key
        self.sealing_public = sealing_public
        self.steps = sorted((revision, tuple(offsets)) for revision, offsets in steps)
        self.manifests = tuple(sorted(manifests, key=lambda manifest: manifest.version))
        self.gateway_keys = dict(gateway_keys)
        self.device_keys = _revoke_denied(device_keys, self.manifests)
        self.decisions = tuple(sorted(decisions, key=lambda decision: decision.revision))
        self._revisions = [revision for revision, _ in self.steps]
        self._offsets = [self._offsets_of(partition) for partition in range(partitions)]
        self._views: dict[int, View] = {}
        self._closed_before_ms = _closed_before(self.manifests)

    def _offsets_of(self, partition: int) -> list[int]:
        offsets = [by_partition[partition] for _, by_partition in self.steps]
        if any(later < earlier for earlier, later in zip(offsets, offsets[1:])):
            raise ValueError(f"read history: offsets of partition {partition} fall")
        return offsets

    def at(self, partition: int, offset: int) -> View:
        """What applies at a position: the view of the newest change whose offset is at most this one."""
        step = bisect_right(self._offsets[partition], offset)
        revision = self._revisions[step - 1] if step else 0
        view = self._views.get(revision)
        if view is None:
            applying = tuple(m for m in self.manifests if m.revision <= revision)
            view = self._views[revision] = View(revision, applying)
        return view

    def closed_before_ms(self, version: int) -> int:
        """The earliest `closesAt` of the versions before one that are not inactive; NEVER where there is none."""
        return self._closed_before_ms[version]


def _revoke_denied(
    keys: Mapping[tuple[str, int], Key], manifests: Iterable[Manifest]
) -> dict[tuple[str, int], Key]:
    denied_from: dict[str, int] = {}
    for manifest in manifests:
        for name in manifest.denied:
            denied_from.setdefault(name, manifest.revision)
    return {
        (device, version): key._replace(
            until_revision=min(key.until_revision, denied_from.get(f"{device}.{version}", NEVER))
        )
        for (device, version), key in keys.items()
    }


def _closed_before(manifests: Iterable[Manifest]) -> dict[int, int]:
    closed_ms = NEVER
    by_version = {}
    for manifest in manifests:
        by_version[manifest.version] = closed_ms
        if not manifest.inactive:
            closed_ms = min(closed_ms, manifest.closes_at_ms)
    return by_version
