"""
Bytes to values, as docs/wire-format.md defines them: keys, entries, records, votes and instants.
Pure. A value that is not in the right form is None.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import re
import struct
from datetime import date
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

FORMAT = "2"
KEY_BYTES = 32
MAC_BYTES = 32
NONCE_BYTES = 24
# Nonce and tag.
SEAL_BYTES = NONCE_BYTES + 16
STATEMENT_BYTES = 16
# Bytes of a record besides its vote text: 51 and the longest name of a proof key.
RECORD_OVERHEAD_BYTES = 122
MAX_RECORDS_PER_ENTRY = 64
MAX_SEQUENCE = 2**48
MAX_SELECTIONS = 1_000
# The end of 9999.
MAX_CLOCK_MS = 253_402_300_799_999

_DAY_MS = 86_400_000
_DAYS_TO_1970 = date(1970, 1, 1).toordinal()
_DAYS_IN_400_YEARS = 146_097

_KEY_NAME = re.compile(rb"([a-z0-9-]{1,64})/([a-z0-9-]{1,64})\.([1-9][0-9]{0,5})")
_PROOF_KEY = re.compile(rb"[a-z0-9-]{1,64}\.[1-9][0-9]{0,5}")
# 2^48 has 15 digits.
_SEQUENCE = re.compile(rb"0|[1-9][0-9]{0,14}")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])\.([0-9]{3})Z"
)
_IDENTIFIER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_VOTE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_VOTER_ID = re.compile(r"[!-~]{1,64}")
_VOTE_FIELDS = frozenset({"voteId", "voterId", "station", "mode", "selections", "castAt"})
MODES = ("in_person", "early", "absentee", "provisional")

_RECORD_HEAD = struct.Struct(">BBQIB")
_STATEMENT = struct.Struct(">QQ")


class KeyName(NamedTuple):
    """A key's name: `<election>/<owner>.<version>`. The owner is a gateway or a device."""

    election: str
    owner: str
    version: int


class Entry(NamedTuple):
    """
    A readable entry, not yet verified. `sequence` is its first record's number, or the N of a statement;
    `count` its number of records, 1 for a statement.
    """

    is_statement: bool
    key_id: bytes
    key_name: KeyName
    sender_key: bytes
    sequence: int
    signature: bytes
    value: bytes
    count: int


class Record(NamedTuple):
    """A record as a gateway sealed it. `proof_key` is `<device>.<version>`."""

    accepted_at_ms: int
    manifest_version: int
    proof_key: bytes
    proof: bytes
    vote_text: bytes


class Vote(NamedTuple):
    """A vote. `cast_at` is in ms since 1970; `selections` are (contest, candidate) in the order of the text."""

    vote_id: str
    voter_id: str
    station: str
    mode: str
    cast_at: int
    selections: tuple[tuple[str, str], ...]


def length_prefixed(*parts: str | bytes) -> bytes:
    """Each part after its length in bytes (4 bytes, big-endian). Texts are UTF-8."""
    joined = bytearray()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        joined += len(data).to_bytes(4, "big")
        joined += data
    return bytes(joined)


def derive_key(secret: bytes, purpose: str, *names: str | bytes) -> bytes:
    """The 32-byte key of a purpose: HKDF-SHA256, empty salt. `names` are what the table of purposes names."""
    info = length_prefixed("pollwire/2", purpose, *names)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def public_key(private: bytes) -> bytes:
    """The public half of an X25519 private key."""
    return crypto_scalarmult_base(private)


def voter_key(pseudonym_key: bytes, voter_id: str) -> bytes:
    """The voter key of a voter id: HMAC-SHA256, 32 bytes."""
    return hmac.digest(pseudonym_key, voter_id.encode(), "sha256")


def partition_of(key: bytes, partitions: int) -> int:
    """The partition on which the records of a voter key belong."""
    return int.from_bytes(key[:4], "big") % partitions


def record_key(
    sealing_key: bytes, sealing_public: bytes, election: str, sender_key: bytes
) -> bytes | None:
    """The key of a sender key's entries. None where the sender key agrees on a secret of zeros."""
    try:
        secret = crypto_scalarmult(sealing_key, sender_key)
    except (CryptoError, RuntimeError):
        return None
    # libsodium refuses points of low order. This does not depend on it.
    if not any(secret):
        return None
    return derive_key(secret, "record", election, sender_key, sealing_public)


def first_headers(headers: list[tuple[str, bytes | None]]) -> dict[str, bytes]:
    """Headers by name: the first of each name counts, and one without a value is empty."""
    return {name: value or b"" for name, value in reversed(headers)}


def parse_entry(
    headers: list[tuple[str, bytes | None]], value: bytes | None, vote_bytes: int
) -> Entry | None:
    """An entry's headers and value. None where the entry is `unreadable`."""
    named = first_headers(headers)
    kind = named.get("kind")
    name = _KEY_NAME.fullmatch(named.get("key-id", b""))
    sender_key = named.get("sender-key", b"")
    signature = named.get("signature", b"")
    digits = named.get("sequence", b"")
    if named.get("v") != b"2" or kind not in (b"vote", b"statement") or name is None:
        return None
    if len(sender_key) != KEY_BYTES or len(signature) != MAC_BYTES:
        return None
    if _SEQUENCE.fullmatch(digits) is None or value is None:
        return None
    is_statement = kind == b"statement"
    count = _count_records(len(value), is_statement, vote_bytes)
    sequence = int(digits)
    if count == 0 or sequence + count - 1 > MAX_SEQUENCE:
        return None
    if sequence == 0 and not is_statement:
        return None
    key_name = KeyName(name[1].decode(), name[2].decode(), int(name[3]))
    return Entry(
        is_statement, name[0], key_name, sender_key, sequence, signature, value, count
    )


def _count_records(value_bytes: int, is_statement: bool, vote_bytes: int) -> int:
    """How many records a value of this size has; 0 where no entry has that size."""
    size = value_bytes - SEAL_BYTES
    if is_statement:
        return 1 if size == STATEMENT_BYTES else 0
    count, rest = divmod(size, RECORD_OVERHEAD_BYTES + vote_bytes)
    return count if rest == 0 and 1 <= count <= MAX_RECORDS_PER_ENTRY else 0


def entry_context(election: str, entry: Entry) -> bytes:
    """What the signature and the seal of an entry bind besides its value."""
    domain = "pollwire/2 statement" if entry.is_statement else "pollwire/2 record"
    number = entry.sequence.to_bytes(8, "big")
    return length_prefixed(domain, election, FORMAT, entry.key_id, entry.sender_key, number)


def is_signed(gateway_key: bytes, context: bytes, entry: Entry) -> bool:
    """Whether the entry's signature is by this gateway's key."""
    signed = b"%b%b%b" % (context, len(entry.value).to_bytes(4, "big"), entry.value)
    return hmac.compare_digest(hmac.digest(gateway_key, signed, "sha256"), entry.signature)


def open_value(key: bytes, context: bytes, value: bytes) -> bytes | None:
    """What was sealed in an entry's value. None where the seal does not open."""
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(
            value[NONCE_BYTES:], context, value[:NONCE_BYTES], key
        )
    except CryptoError:
        return None


def parse_record(data: bytes) -> Record | None:
    """A record of 122 + `voteBytes` bytes. None where any byte differs from the format."""
    credential, scheme, accepted_at_ms, version, name_size = _RECORD_HEAD.unpack_from(data)
    if credential != 1 or scheme != 1 or accepted_at_ms > MAX_CLOCK_MS:
        return None
    # A length past its limit is found by the name's form, which has at most 71 characters.
    proof_at = 15 + name_size
    text_at = proof_at + 36
    text_size = int.from_bytes(data[proof_at + 32 : text_at], "big")
    if text_size > len(data) - RECORD_OVERHEAD_BYTES:
        return None
    end = text_at + text_size
    name = data[15:proof_at]
    if _PROOF_KEY.fullmatch(name) is None or data[end:] != bytes(len(data) - end):
        return None
    return Record(
        accepted_at_ms, version, name, data[proof_at : proof_at + 32], data[text_at:end]
    )


def parse_statement(data: bytes) -> tuple[int, int] | None:
    """A statement's N and the gateway's clock in ms since 1970."""
    sequence, stated_at_ms = _STATEMENT.unpack(data)
    return None if stated_at_ms > MAX_CLOCK_MS else (sequence, stated_at_ms)


def vote_proof(proof_key: bytes, election: str, key_name: bytes, vote_text: bytes) -> bytes:
    """A device's proof of a vote. `key_name` is `<device>.<version>`."""
    message = length_prefixed("pollwire/2 vote", election, key_name, vote_text)
    return hmac.digest(proof_key, message, "sha256")


def proof_leaf(proof: bytes) -> bytes:
    """The 16-byte leaf of a proof, as receipts carry it."""
    return hashlib.sha256(b"\0" + proof).digest()[:16]


def parse_json(text: bytes) -> Any:
    """
    Strict JSON: UTF-8 without a byte order mark, no key twice, no NaN or Infinity.

    Raises ValueError, and RecursionError where the nesting is too deep.
    """
    # JSON's white space, which is less than Python's.
    stripped = text.decode("utf-8").strip(" \t\n\r")
    try:
        value, end = _SCAN(stripped, 0)
    except StopIteration as error:
        raise ValueError("read JSON: a value is missing") from error
    if end != len(stripped):
        raise ValueError("read JSON: text follows the value")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("read JSON: an object has a key twice")
    return unique


def _reject_constant(name: str) -> Any:
    raise ValueError(f"read JSON: {name} is not JSON")


# `decode` does the same, and takes half as long again for a text as short as a vote's.
_SCAN = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_reject_constant).scan_once


def parse_vote(text: bytes) -> Vote | None:
    """The vote that a vote text is. None where it is not strict JSON, or not a vote."""
    try:
        value = parse_json(text)
    except (ValueError, RecursionError):
        return None
    if type(value) is not dict or value.keys() != _VOTE_FIELDS:
        return None
    vote_id, voter_id = value["voteId"], value["voterId"]
    station, mode, cast_text = value["station"], value["mode"], value["castAt"]
    for field in (vote_id, voter_id, station, mode, cast_text):
        if type(field) is not str:
            return None
    if mode not in MODES or not _VOTE_ID.fullmatch(vote_id) or not _VOTER_ID.fullmatch(voter_id):
        return None
    cast_at = parse_instant(cast_text)
    selections = _parse_selections(value["selections"])
    if cast_at is None or selections is None or not _IDENTIFIER.fullmatch(station):
        return None
    return Vote(vote_id, voter_id, station, mode, cast_at, selections)


def _parse_selections(value: Any) -> tuple[tuple[str, str], ...] | None:
    if type(value) is not list or len(value) > MAX_SELECTIONS:
        return None
    pairs = []
    for item in value:
        if type(item) is not dict or len(item) != 2:
            return None
        contest, candidate = item.get("contest"), item.get("candidate")
        if type(contest) is not str or type(candidate) is not str:
            return None
        if not _IDENTIFIER.fullmatch(contest) or not _IDENTIFIER.fullmatch(candidate):
            return None
        pairs.append((contest, candidate))
    return tuple(pairs)


def parse_instant(text: str) -> int | None:
    """Milliseconds since 1970 of `2026-11-03T07:00:00.000Z`. None where the text is not an instant in that form."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None
    day, hours, minutes, seconds, ms = match.groups()
    day_ms = _day_ms(day)
    if day_ms is None:
        return None
    return day_ms + ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000 + int(ms)


@functools.lru_cache(maxsize=1_024)
def _day_ms(day: str) -> int | None:
    """Milliseconds from 1970 to the start of a day, `2026-11-03`."""
    # Python has no year 0. Year 400 has the same calendar.
    is_year_0 = day.startswith("0000")
    try:
        days = date.fromisoformat("0400" + day[4:] if is_year_0 else day).toordinal()
    except ValueError:
        return None
    return (days - (_DAYS_IN_400_YEARS if is_year_0 else 0) - _DAYS_TO_1970) * _DAY_MS


def ballot_digest(vote: Vote) -> bytes:
    """
    Equal for two votes exactly when station, mode, `castAt` and selections (in any order) are equal.
    A vote id that comes again with another digest was altered.
    """
    chosen = [part for pair in sorted(vote.selections) for part in pair]
    return hashlib.sha256(
        length_prefixed(vote.station, vote.mode, str(vote.cast_at), *chosen)
    ).digest()
