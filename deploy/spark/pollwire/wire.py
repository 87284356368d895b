"""Bytes of the wire format: keys, entries, records, statements and vote texts. Pure: no Spark, no input or output.

Written from docs/wire-format.md. It shares no code with the other parts of Pollwire.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import NamedTuple, Optional

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl import bindings
from nacl.exceptions import CryptoError

KEY_BYTES = 32
NONCE_BYTES = 24
TAG_BYTES = 16
RECORD_OVERHEAD_BYTES = 122
STATEMENT_BYTES = 16
MAX_ENTRY_RECORDS = 64
MAX_SEQUENCE = 2**48
MAX_INSTANT_MS = 253_402_300_799_999
MAX_PROOF_KEY_CHARS = 71
MAX_SELECTIONS = 1_000
MODES = ("in_person", "early", "absentee", "provisional")

_ID = r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?"
_VERSION = r"[1-9][0-9]{0,5}"
_IDENTIFIER = re.compile(_ID)
# In a key's name a hyphen may stand at either end.
_NAME = r"[a-z0-9-]{1,64}"
_KEY_NAME = re.compile(rf"({_NAME})/({_NAME})\.({_VERSION})")
_PROOF_KEY = re.compile(rf"({_NAME})\.({_VERSION})")
_SEQUENCE = re.compile(r"0|[1-9][0-9]{0,15}")
_UUID_4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_VOTER_ID = re.compile(r"[\x21-\x7e]{1,64}")
_INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z", re.ASCII)


def length_prefixed(*parts: bytes) -> bytes:
    """Each part after its length, 4 bytes big-endian."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def derive_key(secret: bytes, purpose: str, *names: bytes | str) -> bytes:
    """A key of 32 bytes: HKDF-SHA256 with an empty salt."""
    parts = [name.encode() if isinstance(name, str) else name for name in names]
    info = length_prefixed(b"pollwire/2", purpose.encode(), *parts)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def public_key(private_key: bytes) -> bytes:
    """The public half of an X25519 key."""
    return bindings.crypto_scalarmult_base(private_key)


def record_key(sealing_key: bytes, sealing_public: bytes, election: str, sender_key: bytes) -> Optional[bytes]:
    """The key of a sender key's entries; None when the two agree on a secret of zeros."""
    try:
        secret = bindings.crypto_scalarmult(sealing_key, sender_key)
    except (CryptoError, RuntimeError):
        return None
    if secret == bytes(KEY_BYTES):
        return None
    return derive_key(secret, "record", election, sender_key, sealing_public)


def voter_key(pseudonym_key: bytes, voter_id: str) -> bytes:
    return hmac.digest(pseudonym_key, voter_id.encode(), "sha256")


def partition_of(key: bytes, partitions: int) -> int:
    return int.from_bytes(key[:4], "big") % partitions


class KeyName(NamedTuple):
    election: str
    id: str
    version: int


def parse_key_name(text: str) -> Optional[KeyName]:
    """`<election>/<id>.<version>`."""
    match = _KEY_NAME.fullmatch(text)
    return KeyName(match[1], match[2], int(match[3])) if match else None


class Entry(NamedTuple):
    """The headers of an entry that has the form of one, and how many records it holds."""

    is_vote: bool
    key_id: str
    key_name: KeyName
    sender_key: bytes
    sequence: int
    signature: bytes
    records: int


def parse_entry(headers: list[tuple[str, Optional[bytes]]], value: Optional[bytes], vote_bytes: int) -> Optional[Entry]:
    """The entry; None when it is unreadable."""
    first: dict[str, bytes] = {}
    for name, content in headers:
        first.setdefault(name, content or b"")
    kind = first.get("kind", b"")
    if first.get("v", b"") != b"2" or kind not in (b"vote", b"statement"):
        return None
    try:
        key_id = first.get("key-id", b"").decode()
        sequence_text = first.get("sequence", b"").decode()
    except UnicodeDecodeError:
        return None
    key_name = parse_key_name(key_id)
    sender_key = first.get("sender-key", b"")
    signature = first.get("signature", b"")
    if key_name is None or len(sender_key) != KEY_BYTES or len(signature) != KEY_BYTES:
        return None
    if not _SEQUENCE.fullmatch(sequence_text):
        return None
    sequence = int(sequence_text)
    sealed = len(value or b"") - NONCE_BYTES - TAG_BYTES
    is_vote = kind == b"vote"
    if is_vote:
        records, rest = divmod(sealed, RECORD_OVERHEAD_BYTES + vote_bytes)
        if rest != 0 or not 1 <= records <= MAX_ENTRY_RECORDS or sequence == 0:
            return None
    else:
        records = 1
        if sealed != STATEMENT_BYTES:
            return None
    if sequence + records - 1 > MAX_SEQUENCE:
        return None
    return Entry(is_vote, key_id, key_name, sender_key, sequence, signature, records)


def entry_context(election: str, entry: Entry) -> bytes:
    domain = b"pollwire/2 record" if entry.is_vote else b"pollwire/2 statement"
    return length_prefixed(
        domain, election.encode(), b"2", entry.key_id.encode(), entry.sender_key, entry.sequence.to_bytes(8, "big")
    )


def is_signed(gateway_key: bytes, context: bytes, value: bytes, signature: bytes) -> bool:
    expected = hmac.digest(gateway_key, context + length_prefixed(value), "sha256")
    return hmac.compare_digest(expected, signature)


def open_entry(key: bytes, context: bytes, value: bytes) -> Optional[bytes]:
    """What was sealed; None when the seal does not open."""
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            value[NONCE_BYTES:], context, value[:NONCE_BYTES], key
        )
    except CryptoError:
        return None


class Statement(NamedTuple):
    records: int
    stated_at_ms: int


def decode_statement(plaintext: bytes) -> Optional[Statement]:
    records = int.from_bytes(plaintext[:8], "big")
    stated_at_ms = int.from_bytes(plaintext[8:16], "big")
    if records > MAX_SEQUENCE or stated_at_ms > MAX_INSTANT_MS:
        return None
    return Statement(records, stated_at_ms)


class Content(NamedTuple):
    """A record before it was sealed."""

    accepted_at_ms: int
    manifest_version: int
    proof_key: str
    device: str
    key_version: int
    proof: bytes
    vote: bytes


def decode_record(plaintext: bytes, vote_bytes: int) -> Optional[Content]:
    """The record; None when it is malformed."""
    if plaintext[0] != 1 or plaintext[1] != 1:
        return None
    accepted_at_ms = int.from_bytes(plaintext[2:10], "big")
    if accepted_at_ms > MAX_INSTANT_MS:
        return None
    n = plaintext[14]
    if n > MAX_PROOF_KEY_CHARS:
        return None
    try:
        proof_key = plaintext[15 : 15 + n].decode("ascii")
    except UnicodeDecodeError:
        return None
    match = _PROOF_KEY.fullmatch(proof_key)
    if match is None:
        return None
    m = int.from_bytes(plaintext[47 + n : 51 + n], "big")
    if m > vote_bytes:
        return None
    end = 51 + n + m
    if plaintext.count(0, end) != len(plaintext) - end:
        return None
    return Content(
        accepted_at_ms,
        int.from_bytes(plaintext[10:14], "big"),
        proof_key,
        match[1],
        int(match[2]),
        plaintext[15 + n : 47 + n],
        plaintext[51 + n : end],
    )


def is_proof(device_key: bytes, election: str, content: Content) -> bool:
    text = length_prefixed(b"pollwire/2 vote", election.encode(), content.proof_key.encode(), content.vote)
    return hmac.compare_digest(hmac.digest(device_key, text, "sha256"), content.proof)


class Vote(NamedTuple):
    vote_id: str
    voter_id: str
    station: str
    mode: str
    selections: tuple[tuple[str, str], ...]
    cast_at: str
    cast_at_ms: int


class _NoJson(ValueError):
    pass


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _NoJson("an object has a key twice")
    return value


def _no_constant(name: str) -> None:
    raise _NoJson(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
_VOTE_FIELDS = {"voteId", "voterId", "station", "mode", "selections", "castAt"}
_SELECTION_FIELDS = {"contest", "candidate"}


def _is_identifier(value: object) -> bool:
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def parse_vote(text: bytes) -> Optional[Vote]:
    """The vote; None when the text is not JSON, or not a vote."""
    try:
        value = _DECODER.decode(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.keys() != _VOTE_FIELDS:
        return None
    vote_id, voter_id, mode = value["voteId"], value["voterId"], value["mode"]
    station, selections, cast_at = value["station"], value["selections"], value["castAt"]
    if not isinstance(vote_id, str) or not _UUID_4.fullmatch(vote_id):
        return None
    if not isinstance(voter_id, str) or not _VOTER_ID.fullmatch(voter_id):
        return None
    if not _is_identifier(station) or not isinstance(mode, str) or mode not in MODES:
        return None
    if not isinstance(selections, list) or len(selections) > MAX_SELECTIONS:
        return None
    for each in selections:
        if not isinstance(each, dict) or each.keys() != _SELECTION_FIELDS:
            return None
        if not _is_identifier(each["contest"]) or not _is_identifier(each["candidate"]):
            return None
    cast_at_ms = parse_instant(cast_at) if isinstance(cast_at, str) else None
    if cast_at_ms is None:
        return None
    chosen = tuple((each["contest"], each["candidate"]) for each in selections)
    return Vote(vote_id, voter_id, station, mode, chosen, cast_at, cast_at_ms)


def parse_instant(text: str) -> Optional[int]:
    """Milliseconds since 1970 of `2026-11-03T07:00:00.000Z`; None for another form, or a day that there is not."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, ms = (int(part) for part in match.groups())
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if is_leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= month <= 12 or not 1 <= day <= lengths[month - 1] or hour > 23 or minute > 59 or second > 59:
        return None
    # Days since 1970 of a proleptic Gregorian date. Python's own dates begin with year 1.
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400
    days = before * 365 + leap_days + sum(lengths[: month - 1]) + day - 1 - 719_162
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + ms


def ballot_digest(vote: Vote) -> bytes:
    """Tells ballots of one vote id apart: station, mode, castAt and selections in any order."""
    parts = [vote.station, vote.mode, vote.cast_at, *(f"{contest}/{choice}" for contest, choice in sorted(vote.selections))]
    return hashlib.sha256(length_prefixed(*(part.encode() for part in parts))).digest()[:16]
