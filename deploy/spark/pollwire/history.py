"""An election's kept history: manifests, keys and decisions, each from the positions on. Pure.

A `History` holds every key that judging needs and not the master key, so it may be sent to executors.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Mapping, NamedTuple, Optional, Sequence

from . import wire

NEVER = 2**62


@dataclass(frozen=True)
class Manifest:
    """A manifest version, as far as votes are checked against it."""

    version: int
    revision: int
    effective_at_ms: int
    opens_at_ms: int
    closes_at_ms: int
    accepts_until_ms: int
    # By station: its region, and the contests of its ballot in the manifest's order.
    stations: Mapping[str, tuple[str, tuple[str, ...]]]
    # By contest: how many may be chosen, and the candidates.
    contests: Mapping[str, tuple[int, frozenset[str]]]
    # By gateway: the stations that are given to it, as primary or as fallback.
    gateways: Mapping[str, frozenset[str]]
    denied: tuple[str, ...] = ()
    certified: bool = False
    # Where officials have paused voting: None stands for all stations.
    paused: Optional[frozenset[str]] = frozenset()
    inactive: str = ""  # draft or cancelled, while no votes are taken
    held_modes: frozenset[str] = frozenset()


def read_manifest(text: Mapping, revision: int, effective_at_ms: int) -> Manifest:
    """Reads a manifest's JSON."""
    all_contests = tuple(contest["id"] for contest in text["contests"])
    return Manifest(
        version=text["version"],
        revision=revision,
        effective_at_ms=effective_at_ms,
        opens_at_ms=_instant(text["opensAt"]),
        closes_at_ms=_instant(text["closesAt"]),
        accepts_until_ms=_instant(text["acceptsUntil"]),
        stations={
            station["id"]: (station["region"], tuple(station["contests"]) if "contests" in station else all_contests)
            for station in text["stations"]
        },
        contests={
            contest["id"]: (contest["votesAllowed"], frozenset(each["id"] for each in contest["candidates"]))
            for contest in text["contests"]
        },
        gateways={
            gateway["id"]: frozenset([*gateway["stations"], *gateway["fallbackFor"]]) for gateway in text["gateways"]
        },
        denied=tuple(text.get("denied", ())),
        certified=text.get("certified", False) is True,
        paused=None if text.get("paused") == "all" else frozenset(text.get("paused", ())),
        inactive=text.get("inactive", ""),
        held_modes=frozenset(text.get("heldModes", ())),
    )


def _instant(text: str) -> int:
    ms = wire.parse_instant(text)
    if ms is None:
        raise ValueError(f"Cannot read the manifest: {text} must be a time like 2026-11-03T07:00:00.000Z")
    return ms


@dataclass(frozen=True)
class Key:
    """A gateway's key, or a device's with its station; known from one revision on, revoked from another on."""

    key: bytes
    revision: int
    revoked_revision: int = NEVER
    station: str = ""


@dataclass(frozen=True)
class Decision:
    """`admit`, `reject`, `defer` or `readmit`; of the records at `positions`, or of all to which everything else applies."""

    revision: int
    positions: Sequence[int]
    action: str
    records: Optional[frozenset[tuple[int, int, int]]] = None
    reason: Optional[str] = None
    gateway: Optional[str] = None
    sender_key: Optional[bytes] = None
    from_ms: Optional[int] = None
    until_ms: Optional[int] = None


def read_decision(revision: int, positions: Sequence[int], action: str, selector: Mapping) -> Decision:
    """Reads a decision's selector, JSON."""
    if "positions" in selector:
        records = frozenset(tuple(int(part) for part in each.split("/")) for each in selector["positions"])
        return Decision(revision, positions, action, records=records)  # type: ignore[arg-type]
    sender_key = selector.get("senderKey")
    return Decision(
        revision,
        positions,
        action,
        reason=selector.get("reason"),
        gateway=selector.get("gateway"),
        sender_key=bytes.fromhex(sender_key) if sender_key is not None else None,
        from_ms=_instant(selector["from"]) if "from" in selector else None,
        until_ms=_instant(selector["until"]) if "until" in selector else None,
    )


class View(NamedTuple):
    """The history that applies at a position."""

    revision: int
    manifests: tuple[Manifest, ...]
    versions: frozenset[int]


@dataclass
class History:
    """See the module. `steps` are changes of anything but decisions: revision, and first offset for each partition."""

    election: str
    partitions: int
    vote_bytes: int
    pseudonym_key: bytes
    sealing_key: bytes
    sealing_public: bytes
    steps: Sequence[tuple[int, Sequence[int]]]
    manifests: Sequence[Manifest]
    gateway_keys: Mapping[tuple[str, int], Key]
    device_keys: Mapping[tuple[str, int], Key]
    decisions: Sequence[Decision]
    _views: dict[int, View] = field(default_factory=dict)
    _starts: dict[int, list[int]] = field(default_factory=dict)

    def at(self, partition: int, offset: int) -> View:
        """The history at an offset. First offsets never fall from one revision to the next."""
        starts = self._starts.get(partition)
        if starts is None:
            starts = [first[partition] if partition < len(first) else 0 for _, first in self.steps]
            self._starts[partition] = starts
        count = bisect_right(starts, offset)
        revision = self.steps[count - 1][0] if count > 0 else 0
        view = self._views.get(revision)
        if view is None:
            manifests = tuple(each for each in self.manifests if each.revision <= revision)
            view = View(revision, manifests, frozenset(each.version for each in manifests))
            self._views[revision] = view
        return view
