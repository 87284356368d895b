"""The vectors of docs/, read into this package's types."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pollwire.fold import LogEntry, RollEntry
from pollwire.history import History, Key, read_decision, read_manifest
from pollwire.wire import parse_instant, public_key

_DOCS = Path(__file__).parents[3] / "docs"


@cache
def vectors():
    return json.loads((_DOCS / "vectors.json").read_text("utf-8"))


@cache
def registry_vectors():
    return json.loads((_DOCS / "registry-vectors.json").read_text("utf-8"))


def log_history() -> History:
    """The history of the log. The nth change is revision n."""
    log = vectors()["log"]
    steps, manifests, decisions = [], [], []
    gateway_keys, device_keys = {}, {}
    for revision, row in enumerate(log["changes"], start=1):
        change, kind = row["change"], row["change"]["kind"]
        if kind == "decision":
            decisions.append(read_decision(revision, row["from"], change["action"], change["selector"]))
            continue
        steps.append((revision, row["from"]))
        if kind == "manifest":
            effective_at_ms = parse_instant(change["effectiveAt"])
            manifests.append(read_manifest(json.dumps(change["manifest"]), revision, effective_at_ms))
        elif kind == "gateway_key":
            key = Key(bytes.fromhex(change["key"]), revision)
            gateway_keys[change["gateway"], change["version"]] = key
        elif kind == "device_key":
            key = Key(bytes.fromhex(change["key"]), revision, station=change["station"])
            device_keys[change["device"], change["version"]] = key
        elif kind in ("gateway_revoked", "device_revoked"):
            keys = gateway_keys if kind == "gateway_revoked" else device_keys
            name = (change[kind.removesuffix("_revoked")], change["version"])
            keys[name] = keys[name]._replace(until_revision=revision)
        elif kind != "roll":
            raise ValueError(f"read the vectors: unknown change {kind}")
    sealing_key = bytes.fromhex(log["aggregatorPrivateKey"])
    return History(
        log["election"],
        log["partitions"],
        log["voteBytes"],
        bytes.fromhex(log["pseudonymKey"]),
        sealing_key,
        public_key(sealing_key),
        steps,
        manifests,
        gateway_keys,
        device_keys,
        decisions,
    )


def log_roll() -> dict[bytes, list[RollEntry]]:
    roll: dict[bytes, list[RollEntry]] = {}
    for revision, row in enumerate(vectors()["log"]["changes"], start=1):
        change = row["change"]
        if change["kind"] != "roll":
            continue
        for strike in change.get("strike", []):
            key = bytes.fromhex(strike["voterKey"])
            at_ms = parse_instant(strike["at"])
            roll[key] = [e._replace(struck_revision=revision, struck_at_ms=at_ms) for e in roll[key]]
        for added in change.get("add", []):
            entry = RollEntry(
                revision, added["region"], added["station"], added["ageGroup"], added["gender"]
            )
            roll.setdefault(bytes.fromhex(added["voterKey"]), []).append(entry)
    return roll


def log_entries() -> list[LogEntry]:
    return [
        LogEntry(
            row["partition"],
            row["offset"],
            parse_instant(row["appendedAt"]),
            [(name, _header(name, text)) for name, text in row["headers"].items()],
            bytes.fromhex(row["value"]),
        )
        for row in vectors()["log"]["entries"]
    ]


def _header(name: str, text: str) -> bytes:
    return bytes.fromhex(text) if name in ("sender-key", "signature") else text.encode()
