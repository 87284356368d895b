"""Signs votes, sends them, and keeps each until the aggregator has said, signed, what became of it."""

import json
import os
import random
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .messages import WIRE_FORMAT, proof_leaf, proof_of, sign_request

TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
FARTHEST_S = 86_400  # how far a gateway's word moves the time of requests to it
TOLERATED_S = 30  # a clock that differs by more is worth telling
REQUEST_S = 20  # how long a gateway may take to answer
ANSWER_S = 30  # how long the aggregator may


class Undelivered(Exception):
    """No gateway has taken the votes for certain. They are kept: try again later."""


class Device:
    """A device. `identity` has election, device, version, station, key, proofKey and answerKey, keys in hex."""

    def __init__(self, identity, *, gateways, aggregator, store, give_up_after_s=600, on_trouble=print):
        self.election, self.station = identity["election"], identity["station"]
        self.name = f"{identity['device']}.{identity['version']}"
        self.key, self.proof_key = bytes.fromhex(identity["key"]), bytes.fromhex(identity["proofKey"])
        self.answer_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(identity["answerKey"]))
        self.gateways, self.aggregator = list(gateways), aggregator
        self.store, self.on_trouble, self.give_up_after_s = store, on_trouble, give_up_after_s
        self.votes, self.receipts = store.load(), {}
        self.gateway_ahead_s = {}  # how far a gateway's clock is ahead of this machine's, by its word
        self.ahead_s = 0.0  # how far the aggregator's clock is ahead of this machine's, by its signature

    def cast(self, ballots):
        """Keeps and sends ballots (`voterId`, `mode`, `selections`), one alone, more as a batch. Returns the problems, by vote id."""
        signed = dict(self.signed_vote(ballot) for ballot in ballots)
        self.votes.update(signed)
        self.store.keep(self.votes)
        return self._send(list(signed), self.gateways)

    def signed_vote(self, ballot):
        """The id of a vote, and the vote as it is sent."""
        cast_at = datetime.fromtimestamp(time.time() + self.ahead_s, timezone.utc)
        vote_id = str(uuid.uuid4())
        text = json.dumps({
            "voteId": vote_id,
            "voterId": ballot["voterId"],
            "station": self.station,
            "mode": ballot["mode"],
            "selections": ballot["selections"],
            "castAt": cast_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }, separators=(",", ":"))
        proof = proof_of(self.proof_key, self.election, self.name, text).hex()
        return vote_id, {"vote": text, "proof": proof, "proofKey": self.name, "scheme": "hmac-sha256"}

    def settle(self, timeout_s=600, every_s=1):
        """Asks until every vote is settled, or the time is up. Returns the outcomes, by vote id; the rest stays kept."""
        outcomes, copied, until = {}, set(), time.monotonic() + timeout_s
        # Votes that were kept before a restart have no receipt here: sent again, each gets the same one.
        again = [id_ for id_ in self.votes if id_ not in self.receipts]
        for id_, problem in (self._send(again, self.gateways) if again else {}).items():
            self.on_trouble(f"vote {id_}: {problem}")
        while self.receipts and time.monotonic() < until:
            time.sleep(every_s)
            for answer in self.ask(list(self.receipts.values())):
                id_ = answer["voteId"]
                if is_settled(answer):
                    outcomes[id_] = answer["outcome"]
                    del self.votes[id_], self.receipts[id_]
                    self.store.keep(self.votes)
                elif answer.get("outcome") != "pending" and id_ not in copied:
                    copied.add(id_)  # One gateway's record proves nothing. What stays pending for minutes goes there too.
                    self._send([id_], self.gateways[::-1])
        return outcomes

    def ask(self, receipts):
        """What became of votes, in words that the aggregator has signed; and what time it is."""
        nonce = os.urandom(16).hex()
        body = json.dumps({"election": self.election, "nonce": nonce, "receipts": receipts}).encode()
        request = urllib.request.Request(
            self.aggregator + "/v1/receipts/check", body, {"Content-Type": "application/json"}
        )
        sent = time.time()
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            answer = json.load(answer)
        received = time.time()
        signed = answer["signed"]
        self.answer_key.verify(
            bytes.fromhex(answer["signature"]), f"pollwire/{WIRE_FORMAT} answers\n{signed}".encode()
        )
        answers = json.loads(signed)
        if (answers["election"], answers["nonce"]) != (self.election, nonce):
            raise ValueError("the answer belongs to another request")
        answered = seconds_of(answers["answeredAt"])
        self.ahead_s = min(max(self.ahead_s, answered - received), answered - sent)
        return answers["answers"]

    def _send(self, ids, gateways):
        if len(ids) == 1:
            body = json.dumps(self.votes[ids[0]]).encode()
            status, answer = self._post("/v1/votes", "application/json", body, ids[0], gateways)
            results = [{"status": status, "receipt": answer.get("receipt"), "problem": answer}]
        else:
            lines = "".join(json.dumps(self.votes[id_]) + "\n" for id_ in ids).encode()
            path, kind = "/v1/votes/batch", "application/x-ndjson"
            status, answer = self._post(path, kind, lines, str(uuid.uuid4()), gateways)
            results = answer["results"] if status == 207 else [{"status": status, "problem": answer}] * len(ids)
        problems = {}
        for id_, result in zip(ids, results):
            if result["status"] == 202:
                self._take_receipt(result["receipt"])
            else:
                # Show it to the voter when every gateway refused it. Of a batch, one has: send this vote alone.
                problems[id_] = result["problem"]
        return problems

    def _take_receipt(self, receipt):
        """Keeps a receipt, if it is for this very vote and proof."""
        leaf = proof_leaf(bytes.fromhex(self.votes[receipt["voteId"]]["proof"]))
        if (receipt["election"], receipt["proof"]) != (self.election, leaf):
            raise ValueError("a receipt for something else: keep the vote, and try the other gateway")
        self.receipts[receipt["voteId"]] = receipt

    def _post(self, path, content_type, body, request_id, gateways):
        """Sends until a gateway takes it, or every gateway refuses it; returns status and answer."""
        give_up_at, wait_s = time.monotonic() + self.give_up_after_s, 0.2
        refusals, in_doubt = {}, False
        while len(refusals) < len(gateways):
            asked_s = 0
            for gateway in gateways:
                if gateway in refusals:
                    continue
                try:
                    return self._try(gateway, path, content_type, body, request_id)
                except urllib.error.HTTPError as error:
                    problem = problem_of(error)
                    type_ = problem.get("type", "")
                    self._note_clock(gateway, problem)
                    if type_.endswith((":signature-stale", ":signature-early")):
                        continue
                    if error.code in TRY_AGAIN or not type_.startswith("urn:pollwire:problem:"):
                        in_doubt = True
                        asked_s = max(asked_s, int(error.headers.get("Retry-After", 0)))
                    else:
                        refusals[gateway] = error.code, problem
                except (OSError, ValueError):
                    in_doubt = True  # no answer, or half of one: a gateway may have the vote on its disk
            if len(refusals) == len(gateways):
                break
            if time.monotonic() > give_up_at:
                raise Undelivered("undelivered: the votes are kept; try again later")
            time.sleep(max(asked_s, wait_s) * (1 + random.random() / 2))
            wait_s = min(2 * wait_s, 5)
        if in_doubt:
            raise Undelivered("undelivered, though refused: the votes are kept; try again later")
        return refusals[gateways[0]]

    def _try(self, gateway, path, content_type, body, request_id):
        headers = sign_request(
            path=path,
            content_type=content_type,
            body=body,
            request_id=request_id,
            keyid=f"{self.election}/{self.name}",
            key=self.key,
            created=time.time() + self.gateway_ahead_s.get(gateway, self.ahead_s),
        )
        request = urllib.request.Request(gateway + path, body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:
            return answer.status, json.load(answer)

    def _note_clock(self, gateway, problem):
        if "now" not in problem:
            return
        differs_s = seconds_of(problem["now"]) - time.time()
        if abs(differs_s) > TOLERATED_S:
            self.on_trouble(f"tell the operator: the clock of {gateway} says {problem['now']}")
        if problem["type"].endswith((":signature-stale", ":signature-early")) and abs(differs_s - self.ahead_s) <= FARTHEST_S:
            self.gateway_ahead_s[gateway] = differs_s


def problem_of(error):
    try:
        problem = json.load(error)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def seconds_of(instant):
    return datetime.fromisoformat(instant.replace("Z", "+00:00")).timestamp()


def is_settled(answer):
    outcome, decided = answer.get("outcome"), answer.get("decided", False)
    if outcome == "rejected":
        return decided or len(set(answer.get("gateways", []))) > 1
    return outcome in ("counted", "duplicate") or (outcome == "held" and decided)
