"""
Reads an election's history from the registry, by the tables that docs/registry.md describes. Checks what is signed.
Runs on the driver, which alone has the master key.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from . import tables
from .history import NEVER, History, Key, Manifest, read_decision, read_manifest
from .wire import KEY_BYTES, derive_key, public_key

FORMAT = 2
# Changes that are about records that were read. The rest are steps of the history.
_KINDS_APART = frozenset({"decision", "waiver"})


class RecountError(Exception):
    """Says what keeps a recount from being made, and what would be right."""


def read_master(directory: Path, election: str) -> bytes:
    """Reads an election's master key: `<directory>/<election>.key`, 64 hex digits."""
    path = Path(directory) / f"{election}.key"
    try:
        master = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise RecountError(
            f"Cannot read the master key of election {election} from {path}: KEYS_DIRECTORY must name the directory "
            "that holds it, 32 bytes in hex"
        ) from error
    if len(master) != KEY_BYTES:
        raise RecountError(f"Cannot use the master key in {path}: it must be {KEY_BYTES} bytes in hex")
    return master


def read_history(cursor: Any, election: str, master: bytes) -> History:
    """
    Reads the history of an election.

    @param cursor psycopg2's, in the transaction that the whole recount reads by.
    @param master The election's master key, 32 bytes.
    """

    def rows(sql: str) -> list[tuple]:
        cursor.execute(sql, (election,))
        return cursor.fetchall()

    partitions, vote_bytes = _read_election(rows(tables.ELECTION), election)
    sealing_key = derive_key(master, "sealing", election)
    sealing_public = public_key(sealing_key)
    steps = [
        (revision, positions)
        for revision, kind, positions in rows(tables.CHANGES)
        if kind not in _KINDS_APART
    ]
    try:
        manifests = _read_manifests(rows(tables.MANIFESTS), election, master)
        for manifest in manifests:
            _check_manifest(manifest, election, partitions, vote_bytes, sealing_public)
        return History(
            election,
            partitions,
            vote_bytes,
            derive_key(master, "pseudonym", election),
            sealing_key,
            sealing_public,
            steps,
            manifests,
            _read_gateway_keys(rows(tables.GATEWAY_KEYS), election, master),
            _read_device_keys(rows(tables.DEVICE_KEYS), election, master),
            [read_decision(*row) for row in rows(tables.DECISIONS)],
        )
    except ValueError as error:
        raise RecountError(f"Cannot use the history of election {election}: {error}") from error


def _read_election(rows: list[tuple], election: str) -> tuple[int, int]:
    if not rows:
        raise RecountError(f"Cannot find election {election} in the registry")
    wire_format, partitions, vote_bytes = rows[0]
    if wire_format != FORMAT:
        raise RecountError(
            f"Cannot recount election {election}: its log has format {wire_format}, and must have format {FORMAT}"
        )
    return partitions, vote_bytes


def _read_manifests(rows: list[tuple], election: str, master: bytes) -> list[Manifest]:
    verify_key = SigningKey(derive_key(master, "manifest", election)).verify_key
    manifests = []
    for revision, effective_at_ms, text, signature in rows:
        if not _is_signed(verify_key, text, signature):
            raise RecountError(
                f"Cannot use a manifest of election {election}: its signature does not fit the election's master key"
            )
        manifests.append(read_manifest(text, revision, effective_at_ms))
    return manifests


def _is_signed(verify_key: VerifyKey, text: str, signature: str) -> bool:
    try:
        verify_key.verify(text.encode(), base64.b64decode(signature, validate=True))
    except (BadSignatureError, ValueError):
        return False
    return True


def _check_manifest(
    manifest: Manifest, election: str, partitions: int, vote_bytes: int, sealing_public: bytes
) -> None:
    """A signed text is of this election, and agrees with the registry about what never changes."""
    for what, said, wanted in (
        ("election", manifest.election, election),
        ("partitions", manifest.partitions, partitions),
        ("voteBytes", manifest.vote_bytes, vote_bytes),
        ("sealingKey", manifest.sealing_key.hex(), sealing_public.hex()),
    ):
        if said != wanted:
            raise ValueError(f"manifest {manifest.version} has {what} {said}, and must have {wanted}")


def _read_gateway_keys(rows: list[tuple], election: str, master: bytes) -> dict[tuple[str, int], Key]:
    return {
        (gateway, version): Key(
            derive_key(master, "gateway", election, gateway, str(version)),
            revision,
            NEVER if revoked_revision is None else revoked_revision,
        )
        for gateway, version, revision, revoked_revision in rows
    }


def _read_device_keys(rows: list[tuple], election: str, master: bytes) -> dict[tuple[str, int], Key]:
    """Keys for proofs. History finds out which are revoked."""
    return {
        (device, version): Key(
            derive_key(master, "device-proof", election, device, str(version)), revision, NEVER, station
        )
        for device, version, revision, station in rows
    }
