"""
What schemathesis needs to get past authentication: signs what it is about to send, as devices and gateways do
(docs/wire-format.md), and puts names in that there are, so that not everything ends at the first check.

POLLWIRE_KEYS names a JSON file, written by run.ts: {"election", "station", "contest", "candidate",
"device": {"keyid", "key", "proofKey"}, "gateway": {"keyid", "key"}}, keys in hex.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import struct
import time
import uuid

import requests
import schemathesis
from hypothesis import strategies as st

with open(os.environ["POLLWIRE_KEYS"], encoding="utf-8") as file:
    KNOWN = json.load(file)

SIGNED = {
    "/v1/votes": ("application/json", KNOWN["device"]),
    "/v1/votes/batch": ("application/x-ndjson", KNOWN["device"]),
    "/v1/gateways/sync": ("application/json", KNOWN["gateway"]),
}
COMPONENTS = '("@method" "@path" "content-type" "content-digest" "idempotency-key")'
# Two of three generated values are put in order: the rest stays as it was made up.
PUT_IN_ORDER = st.sampled_from([True, True, False])


def vote_id(body):
    """The vote's own id, where there is one: Idempotency-Key must be the same."""
    try:
        return str(uuid.UUID(json.loads(json.loads(body)["vote"])["voteId"], version=4))
    except (ValueError, TypeError, KeyError, AttributeError):
        return str(uuid.uuid4())


class Signature(requests.auth.AuthBase):
    """Signs the request as it goes out, byte for byte. What has no signature goes out as it is."""

    def __call__(self, request):
        path = request.path_url
        if request.method != "POST" or path not in SIGNED:
            return request
        media_type, signer = SIGNED[path]
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        # A media type of schemathesis' own making is what is tested: it stays.
        content_type = request.headers.setdefault("Content-Type", media_type)
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        values = {
            "content-type": content_type,
            "content-digest": f"sha-256=:{digest}:",
            "idempotency-key": f'"{vote_id(body)}"',
        }
        parameters = (
            f'{COMPONENTS};created={int(time.time())};keyid="{signer["keyid"]}"'
            ';alg="hmac-sha256";tag="pollwire"'
        )
        lines = ['"@method": POST', f'"@path": {path}']
        lines += [f'"{name}": {value}' for name, value in values.items()]
        lines.append(f'"@signature-params": {parameters}')
        base = "\n".join(lines).encode("latin-1", "replace")
        mac = hmac.new(bytes.fromhex(signer["key"]), base, hashlib.sha256).digest()
        request.headers.update(values)
        request.headers["signature-input"] = f"vote={parameters}"
        request.headers["signature"] = f"vote=:{base64.b64encode(mac).decode()}:"
        return request


schemathesis.auth.set_from_requests(Signature())


def in_order(vote, voter):
    """A signed vote that the election takes, but for what was made up beyond its fields."""
    text = json.dumps({
        "voteId": str(uuid.uuid4()),
        "voterId": f"voter-{voter}",
        "station": KNOWN["station"],
        "mode": "in_person",
        "selections": [{"contest": KNOWN["contest"], "candidate": KNOWN["candidate"]}],
        "castAt": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    })
    return {**vote, "vote": text, **proof_of(text)}


def proof_of(text):
    """The device's proof of a vote's text, under the key that only the aggregator knows."""
    election, name = KNOWN["device"]["keyid"].split("/")
    parts = [part.encode() for part in ("pollwire/2 vote", election, name, text)]
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    proof = hmac.new(bytes.fromhex(KNOWN["device"]["proofKey"]), message, hashlib.sha256).hexdigest()
    return {"proof": proof, "proofKey": name, "scheme": "hmac-sha256"}


def some(value, change):
    """A value as it is, or changed, as hypothesis draws it."""
    return st.tuples(PUT_IN_ORDER, st.integers(1, 1000)).map(
        lambda drawn: change(value, drawn[1]) if drawn[0] else value
    )


@schemathesis.hook
def flatmap_body(context, body):
    """Puts some votes in order, and some lines before what was made up of a batch."""
    path = context.operation.path
    if path == "/v1/votes" and isinstance(body, dict):
        return some(body, in_order)
    if path == "/v1/votes/batch" and isinstance(body, str):
        return some(body, lambda text, voter: f"{json.dumps(in_order({}, voter))}\n{text}")
    return st.just(body)


@schemathesis.hook
def flatmap_path_parameters(context, path_parameters):
    """Names the election that there is, in some of the questions."""
    if not path_parameters or "election" not in path_parameters:
        return st.just(path_parameters)
    return some(path_parameters, lambda found, _: {**found, "election": KNOWN["election"]})


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    """A batch is text of its own form."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
