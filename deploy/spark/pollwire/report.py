"""The report of a recount, and its signature."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Mapping

from nacl import bindings
from nacl.exceptions import BadSignatureError

DOMAIN = b"pollwire/2 recount\n"


def report_seed(file: Path) -> bytes:
    """The key of who recounts: an Ed25519 seed. It is made when there is none, readable by its owner only."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(file.read_text().strip())
    seed = os.urandom(bindings.crypto_sign_SEEDBYTES)
    with os.fdopen(descriptor, "w") as made:
        made.write(f"{seed.hex()}\n")
    return seed


def sign_report(report: Mapping[str, Any], seed: bytes) -> str:
    """The signed report, JSON: `signature` is Ed25519 over `pollwire/2 recount`, a line feed, and the text `signed`."""
    text = json.dumps(report, ensure_ascii=False, sort_keys=True)
    public, secret = bindings.crypto_sign_seed_keypair(seed)
    message = DOMAIN + text.encode()
    signature = bindings.crypto_sign(message, secret)[: bindings.crypto_sign_BYTES]
    return json.dumps({"signed": text, "signature": signature.hex(), "publicKey": public.hex()}, ensure_ascii=False) + "\n"


def verify_report(text: str, public_key: str) -> dict[str, Any]:
    """Reads a signed report.

    :param public_key: Of who recounted, in hex, from a source other than the report.
    :raises ValueError: when the signature is not by that key.
    """
    signed = json.loads(text)
    try:
        message = DOMAIN + signed["signed"].encode()
        bindings.crypto_sign_open(bytes.fromhex(signed["signature"]) + message, bytes.fromhex(public_key))
    except BadSignatureError as error:
        raise ValueError("Cannot use the report: it was not signed by that key") from error
    return json.loads(signed["signed"])
