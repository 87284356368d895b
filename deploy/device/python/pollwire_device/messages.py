"""Proofs of votes and signatures of requests: docs/wire-format.md, with vectors in docs/vectors.json."""

import base64
import hashlib
import hmac
import struct

WIRE_FORMAT = 2


def proof_of(proof_key, election, name, text):
    """The proof, in bytes, that a device cast this very text. `name` is the device's key, like `n-1-a.1`."""
    parts = [part.encode() for part in (f"pollwire/{WIRE_FORMAT} vote", election, name, text)]
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return hmac.new(proof_key, message, hashlib.sha256).digest()


def proof_leaf(proof):
    """What a receipt has of a proof, in hex."""
    return hashlib.sha256(b"\0" + proof).hexdigest()[:32]


def sign_request(*, path, content_type, body, request_id, keyid, key, created):
    """The headers of a request; `created` is in seconds, by the gateway's clock."""
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    params = (
        '("@method" "@path" "content-type" "content-digest" "idempotency-key")'
        f';created={int(created)};keyid="{keyid}";alg="hmac-sha256";tag="pollwire"'
    )
    base = "\n".join([
        '"@method": POST',
        f'"@path": {path}',
        f'"content-type": {content_type}',
        f'"content-digest": {digest}',
        f'"idempotency-key": "{request_id}"',
        f'"@signature-params": {params}',
    ])
    mac = base64.b64encode(hmac.new(key, base.encode(), hashlib.sha256).digest()).decode()
    return {
        "Content-Type": content_type,
        "Content-Digest": digest,
        "Idempotency-Key": f'"{request_id}"',
        "Signature-Input": f"vote={params}",
        "Signature": f"vote=:{mac}:",
    }
