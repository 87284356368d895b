"""A small election for tests: its keys, manifests and history, and entries as a gateway seals them."""

from __future__ import annotations

import hmac
import json
import struct
from typing import Any

from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt

from pollwire.history import Decision, History, Key, read_manifest
from pollwire.wire import (
    RECORD_OVERHEAD_BYTES,
    derive_key,
    length_prefixed,
    parse_instant,
    partition_of,
    public_key,
    record_key,
    vote_proof,
    voter_key,
)

ELECTION = "e-1"
PARTITIONS = 3
VOTE_BYTES = 400
MASTER = bytes(range(32))
SENDER = b"\x07" * 32
OPENS, CLOSES, ACCEPTS = (f"2026-11-03T{hour}:00:00.000Z" for hour in ("07", "20", "23"))
NOON = "2026-11-03T12:00:00.000Z"
NOON_MS = parse_instant(NOON)
PSEUDONYM_KEY = derive_key(MASTER, "pseudonym", ELECTION)
SEALING_KEY = derive_key(MASTER, "sealing", ELECTION)
SEALING_PUBLIC = public_key(SEALING_KEY)
VOTER = "V-1"
VOTER_KEY = voter_key(PSEUDONYM_KEY, VOTER)
PARTITION = partition_of(VOTER_KEY, PARTITIONS)
VOTE_ID = "5f0c1f6e-7a53-4d0e-9b1c-0c8a4b7f2e11"
ALWAYS = [0] * PARTITIONS


def manifest_text(version: int = 1, **fields: Any) -> str:
    manifest = {
        "election": ELECTION,
        "version": version,
        "opensAt": OPENS,
        "closesAt": CLOSES,
        "acceptsUntil": ACCEPTS,
        "partitions": PARTITIONS,
        "voteBytes": VOTE_BYTES,
        "sealingKey": SEALING_PUBLIC.hex(),
        "contests": [
            {"id": "mayor", "votesAllowed": 1, "candidates": [{"id": "ann"}, {"id": "bob"}]},
            {"id": "board", "votesAllowed": 2, "candidates": [{"id": "x"}, {"id": "y"}, {"id": "z"}]},
        ],
        "uncontested": [{"id": "clerk", "votesAllowed": 1, "candidates": [{"id": "eve"}]}],
        "stations": [
            {"id": "s-1", "region": "north"},
            {"id": "s-2", "region": "south", "contests": ["mayor", "clerk"]},
        ],
        "gateways": [
            {"id": "g-1", "stations": ["s-1"], "fallbackFor": []},
            {"id": "g-2", "stations": ["s-2"], "fallbackFor": ["s-1"]},
        ],
        "denied": [],
        **fields,
    }
    return json.dumps(manifest)


def gateway_key(gateway: str) -> bytes:
    return derive_key(MASTER, "gateway", ELECTION, gateway, "1")


def device_key(device: str) -> bytes:
    return derive_key(MASTER, "device-proof", ELECTION, device, "1")


def make_history(
    manifests: list[tuple[str, str]] | None = None,
    steps: list[tuple[int, list[int]]] | None = None,
    decisions: list[Decision] | None = None,
    gateway_revoked_from: int | None = None,
) -> History:
    """
    A history of gateways g-1 and g-2, and device d-1 at s-1. `manifests` are (text, time of effect): the nth is revision n. Every
    change applies from the first offsets on unless `steps` say otherwise.
    """
    manifests = manifests or [(manifest_text(), OPENS)]
    read = [
        read_manifest(text, revision, parse_instant(effective_at))
        for revision, (text, effective_at) in enumerate(manifests, start=1)
    ]
    first = Key(gateway_key("g-1"), 1)
    if gateway_revoked_from is not None:
        first = first._replace(until_revision=gateway_revoked_from)
    return History(
        ELECTION,
        PARTITIONS,
        VOTE_BYTES,
        PSEUDONYM_KEY,
        SEALING_KEY,
        SEALING_PUBLIC,
        steps or [(manifest.revision, ALWAYS) for manifest in read],
        read,
        {("g-1", 1): first, ("g-2", 1): Key(gateway_key("g-2"), 1)},
        {("d-1", 1): Key(device_key("d-1"), 1, station="s-1")},
        decisions or [],
    )


def vote_text(**fields: Any) -> bytes:
    vote = {
        "voteId": VOTE_ID,
        "voterId": VOTER,
        "station": "s-1",
        "mode": "in_person",
        "selections": [{"contest": "mayor", "candidate": "ann"}],
        "castAt": NOON,
        **fields,
    }
    return json.dumps(vote).encode()


def record(
    text: bytes | None = None,
    accepted_at_ms: int = NOON_MS,
    version: int = 1,
    proof_key: bytes = b"d-1.1",
    proof: bytes | None = None,
) -> bytes:
    text = vote_text() if text is None else text
    proof = proof or vote_proof(device_key("d-1"), ELECTION, proof_key, text)
    head = struct.pack(">BBQIB", 1, 1, accepted_at_ms, version, len(proof_key))
    data = head + proof_key + proof + struct.pack(">I", len(text)) + text
    return data.ljust(RECORD_OVERHEAD_BYTES + VOTE_BYTES, b"\0")


def seal(
    plain: bytes,
    kind: str = "vote",
    sequence: int = 1,
    key_id: str = f"{ELECTION}/g-1.1",
    sender_public: bytes | None = None,
    sealing_public: bytes = SEALING_PUBLIC,
) -> tuple[list[tuple[str, bytes | None]], bytes]:
    """Headers and value of an entry that gateway g-1 signs."""
    sender = public_key(SENDER) if sender_public is None else sender_public
    domain = "pollwire/2 statement" if kind == "statement" else "pollwire/2 record"
    context = length_prefixed(domain, ELECTION, "2", key_id, sender, sequence.to_bytes(8, "big"))
    key = record_key(SEALING_KEY, SEALING_PUBLIC, ELECTION, sender) or bytes(32)
    nonce = b"\x05" * 24
    value = nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(plain, context, nonce, key)
    gateway = gateway_key(key_id.partition("/")[2].partition(".")[0])
    signature = hmac.digest(gateway, context + length_prefixed(value), "sha256")
    headers = [
        ("v", b"2"),
        ("kind", kind.encode()),
        ("key-id", key_id.encode()),
        ("sender-key", sender),
        ("sequence", str(sequence).encode()),
        ("signature", signature),
    ]
    return headers, value
