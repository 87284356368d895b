"""Reads an election's history from the registry, and derives its keys. Runs on the driver, which alone reads the master key."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from nacl import bindings
from nacl.exceptions import BadSignatureError

from . import tables, wire
from .history import NEVER, History, Key, read_decision, read_manifest


class RecountError(Exception):
    """Says what keeps a recount from being made, and what would be right."""


def read_master(directory: Path, election: str) -> bytes:
    """An election's master key."""
    path = directory / f"{election}.key"
    try:
        key = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise RecountError(
            f"Cannot read the master key of election {election} from {path}: KEYS_DIRECTORY must name the directory "
            "that holds it, 32 bytes in hex"
        ) from error
    if len(key) != wire.KEY_BYTES:
        raise RecountError(f"Cannot use the master key in {path}: it must be {wire.KEY_BYTES} bytes in hex")
    return key


def read_history(cursor: Any, election: str, master: bytes) -> History:
    """The election's history as the registry has it.

    :param cursor: psycopg2's, in the transaction that the whole recount reads by.
    :raises RecountError: when there is no such election, or a manifest is not signed by it.
    """

    def rows(sql: str) -> list[tuple]:
        cursor.execute(sql, (election,))
        return cursor.fetchall()

    found = rows(tables.ELECTION)
    if not found:
        raise RecountError(f"Cannot find election {election} in the registry")
    form, partitions, vote_bytes = found[0]
    if form != 2:
        raise RecountError(f"Cannot recount election {election}: its log has format {form}, and must have format 2")
    manifests = [
        read_manifest(json.loads(_signed_text(election, master, text, signature)), revision, effective_at_ms)
        for revision, effective_at_ms, text, signature in rows(tables.MANIFESTS)
    ]
    denied: dict[str, int] = {}
    for manifest in manifests:
        for name in manifest.denied:
            denied.setdefault(name, manifest.revision)
    sealing_key = wire.derive_key(master, "sealing", election)
    return History(
        election=election,
        partitions=partitions,
        vote_bytes=vote_bytes,
        pseudonym_key=wire.derive_key(master, "pseudonym", election),
        sealing_key=sealing_key,
        sealing_public=wire.public_key(sealing_key),
        steps=[
            (revision, positions)
            for revision, kind, positions in rows(tables.CHANGES)
            if kind not in ("decision", "waiver")
        ],
        manifests=manifests,
        gateway_keys={
            (gateway, version): Key(
                wire.derive_key(master, "gateway", election, gateway, str(version)),
                revision,
                NEVER if revoked_revision is None else revoked_revision,
            )
            for gateway, version, revision, revoked_revision in rows(tables.GATEWAY_KEYS)
        },
        device_keys={
            (device, version): Key(
                wire.derive_key(master, "device-proof", election, device, str(version)),
                revision,
                denied.get(f"{device}.{version}", NEVER),
                station,
            )
            for device, version, revision, station in rows(tables.DEVICE_KEYS)
        },
        decisions=[
            read_decision(revision, positions, action, selector)
            for revision, positions, action, selector in rows(tables.DECISIONS)
        ],
    )


def _signed_text(election: str, master: bytes, text: str, signature: str) -> str:
    """A manifest's text, whose signature fits it."""
    public, _ = bindings.crypto_sign_seed_keypair(wire.derive_key(master, "manifest", election))
    try:
        bindings.crypto_sign_open(base64.b64decode(signature) + text.encode(), public)
    except (BadSignatureError, ValueError) as error:
        raise RecountError(
            f"Cannot use a manifest of election {election}: its signature does not fit the election's master key"
        ) from error
    return text
