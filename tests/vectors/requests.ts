/**
 * Signed votes and requests for docs/vectors.json, and what a gateway answers.
 *
 * @module
 */
import { fromHex, lengthPrefixed, utf8 } from "../../shared/bytes.ts";
import { deviceKey, gatewayKey, proofKey, pseudonymKey, voterKeyOf } from "../../shared/keys.ts";
import { problem, type ProblemType } from "../../shared/problem.ts";
import { proofLeaf, proofOf, type SignedVote } from "../../shared/proof.ts";
import { receiptKey, writeReceipt } from "../../shared/receipt.ts";
import { signatureBase, signRequest } from "../../shared/signature.ts";
import type { Vote } from "../../shared/vote.ts";
import { MASTER, NOON_MS, testManifest } from "../fixture.ts";

const ELECTION = "test-2026";
const DEVICE = { election: ELECTION, id: "n-1-a", version: 1 };
const GATEWAY = { election: ELECTION, id: "g-1", version: 1 };
const NAME = "n-1-a.1";
const KEY = deviceKey(MASTER, DEVICE);
const PROOF_KEY = proofKey(MASTER, DEVICE);
const CREATED_S = NOON_MS / 1_000;
const OTHER_ID = "7d1f0a3e-2b4c-4d5e-8f60-718293a4b5c6";
const FIRST_ID = "5f0c1f6e-7a53-4d0e-9b1c-0c8a4b7f2e11";

type Headers = Record<string, string>;
export type VectorRequest = { method: "POST"; path: string; headers: Headers; body: string };

function voteOf(change: Partial<Vote> = {}): Vote {
  return {
    voteId: OTHER_ID,
    voterId: "voter-4",
    station: "n-1",
    mode: "in_person",
    selections: [{ contest: "mayor", candidate: "ann" }],
    castAt: "2026-11-03T11:59:30.000Z",
    ...change,
  };
}

function signed(text: string, change: Partial<SignedVote> = {}): SignedVote {
  const proof = proofOf(PROOF_KEY, ELECTION, NAME, text).toHex();
  return { vote: text, proof, proofKey: NAME, scheme: "hmac-sha256", ...change };
}

/** Header names as most programs write them. */
function spelt(headers: Headers): Headers {
  const upper = (name: string) =>
    name.replace(/(^|-)([a-z])/g, (_, dash, letter) => dash + letter.toUpperCase());
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [upper(name), value]));
}

type Signing = Partial<
  {
    path: string;
    contentType: string;
    idempotencyKey: string;
    keyId: string;
    key: Uint8Array;
    createdS: number;
  }
>;

function request(body: string, signing: Signing = {}): VectorRequest {
  const path = signing.path ?? "/v1/votes";
  const headers = signRequest({
    contentType: "application/json",
    idempotencyKey: OTHER_ID,
    keyId: `${ELECTION}/${NAME}`,
    key: KEY,
    createdS: CREATED_S,
    ...signing,
    path,
    body: utf8(body),
  });
  return { method: "POST", path, headers: spelt(headers), body };
}

function baseOf({ path, headers }: VectorRequest): string {
  const components = ["Content-Type", "Content-Digest", "Idempotency-Key"]
    .map((name) => [name.toLowerCase(), headers[name]] as const);
  return signatureBase(
    [["@method", "POST"], ["@path", path], ...components],
    headers["Signature-Input"].slice("vote=".length),
  );
}

function receiptOf(vote: Vote, proof: string) {
  return writeReceipt(receiptKey(gatewayKey(MASTER, GATEWAY)), {
    election: ELECTION,
    voteId: vote.voteId,
    voterKey: voterKeyOf(pseudonymKey(MASTER, ELECTION), vote.voterId).toHex(),
    proof: proofLeaf(fromHex(proof)),
    gateway: "g-1.1",
    minute: "2026-11-03T12:00Z",
  });
}

/** Votes as their device signs them. */
export function signedVotes() {
  const plain = voteOf({ voteId: FIRST_ID, voterId: "voter-1" });
  const spaced = JSON.stringify(plain, null, 1);
  return [["as a program writes it without white space", JSON.stringify(plain)], ["with white space", spaced]]
    .map(([name, text]) => ({
      name,
      message: lengthPrefixed("pollwire/2 vote", ELECTION, NAME, text).toHex(),
      leaf: proofLeaf(fromHex(signed(text).proof)),
      body: signed(text),
    }));
}

/** Requests that a gateway accepts, in whole or in part. */
export function accepted() {
  const one = voteOf({ voteId: FIRST_ID, voterId: "voter-1" });
  const first = signed(JSON.stringify(one));
  const single = request(JSON.stringify(first), { idempotencyKey: FIRST_ID });
  const withCharset = request(JSON.stringify(first), {
    idempotencyKey: FIRST_ID,
    contentType: "application/json; charset=utf-8",
  });
  const two = voteOf({ voteId: "0b8f2c64-31f7-4e0a-a0d5-6f6f2f6f9a01", voterId: "voter-2", mode: "early" });
  const three = voteOf({
    voteId: "c3a1de02-9d4b-4c1f-8a77-1b2c3d4e5f60",
    voterId: "voter-3",
    selections: [{ contest: "mayor", candidate: "ann" }, { contest: "mayor", candidate: "bob" }],
  });
  const lines = [two, three].map((vote) => signed(JSON.stringify(vote)));
  const batch = request(lines.map((line) => `${JSON.stringify(line)}\n`).join(""), {
    path: "/v1/votes/batch",
    contentType: "application/x-ndjson",
    idempotencyKey: "9e2d7b10-55aa-4f3c-b0c1-2f3e4d5c6b7a",
  });
  return [
    {
      name: "one vote",
      signatureBase: baseOf(single),
      request: single,
      answer: { status: 202, body: { receipt: receiptOf(one, first.proof) } },
    },
    {
      name: "one vote, with the charset that JSON has anyway: the signature covers the header as it is sent",
      signatureBase: baseOf(withCharset),
      request: withCharset,
      answer: { status: 202, body: { receipt: receiptOf(one, first.proof) } },
    },
    {
      name: "a batch, of which one line is refused",
      signatureBase: baseOf(batch),
      request: batch,
      answer: {
        status: 207,
        lines: [
          { line: 1, voteId: two.voteId, status: 202, receipt: receiptOf(two, lines[0].proof) },
          { line: 2, status: 422, type: problem("overvote").type },
        ],
      },
    },
  ];
}

/** Requests that a gateway refuses. */
export function refused() {
  const text = JSON.stringify(voteOf());
  const body = JSON.stringify(signed(text));
  const good = request(body);
  const headers = (change: Headers): VectorRequest => ({ ...good, headers: { ...good.headers, ...change } });
  const ofVote = (change: Partial<Vote>) => request(JSON.stringify(signed(JSON.stringify(voteOf(change)))));
  const ofText = (vote: string) => request(JSON.stringify(signed(vote)));
  const unsigned = (({ "Signature": _, "Signature-Input": __, ...rest }) => rest)(good.headers);
  const neighbour = deviceKey(MASTER, { ...DEVICE, id: "n-2-a" });
  const reordered = good.headers["Signature-Input"].replace(/(;created=\d+)(;keyid="[^"]*")/, "$2$1");
  const base64url = (): VectorRequest => {
    // The first voter whose digest has a character that the two alphabets write differently.
    for (let voter = 5;; voter++) {
      const found = ofVote({ voterId: `voter-${voter}` });
      const digest = found.headers["Content-Digest"].replaceAll("+", "-").replaceAll("/", "_");
      if (digest === found.headers["Content-Digest"]) continue;
      return { ...found, headers: { ...found.headers, "Content-Digest": digest } };
    }
  };
  const cases: [string, ProblemType, VectorRequest][] = [
    ["not signed", "signature-missing", { ...good, headers: unsigned }],
    ["the parameters in another order", "signature-malformed", headers({ "Signature-Input": reordered })],
    ["the id without its double quotes", "signature-malformed", headers({ "Idempotency-Key": OTHER_ID })],
    [
      "the id in capital letters",
      "signature-malformed",
      request(body, { idempotencyKey: OTHER_ID.toUpperCase() }),
    ],
    [
      "the digest in base64url",
      "signature-malformed",
      base64url(),
    ],
    ["signed with another device's key", "signature-invalid", request(body, { key: neighbour })],
    ["signed with the key of the device's proofs", "signature-invalid", request(body, { key: PROOF_KEY })],
    [
      "another id than the one that was signed",
      "signature-invalid",
      headers({ "Idempotency-Key": `"${FIRST_ID}"` }),
    ],
    ["another body than the one that was signed", "digest-mismatch", {
      ...good,
      body: body.replace("voter-4", "voter-5"),
    }],
    ["signed 301 s ago", "signature-stale", request(body, { createdS: CREATED_S - 301 })],
    ["signed 301 s ahead", "signature-early", request(body, { createdS: CREATED_S + 301 })],
    [
      "signed on 1 January 2000, where a clock begins that lost its battery",
      "signature-stale",
      request(body, { createdS: Date.UTC(2000) / 1_000 }),
    ],
    [
      "a device that nobody knows",
      "unknown-key",
      request(body, { keyId: `${ELECTION}/n-9-a.1`, key: deviceKey(MASTER, { ...DEVICE, id: "n-9-a" }) }),
    ],
    [
      "a version of the key that was never made",
      "unknown-key",
      request(body, { keyId: `${ELECTION}/n-1-a.2`, key: deviceKey(MASTER, { ...DEVICE, version: 2 }) }),
    ],
    ["with a query string", "query-not-allowed", { ...good, path: "/v1/votes?retry=1" }],
    [
      "with a charset that JSON never has",
      "unsupported-media-type",
      request(body, { contentType: "application/json; charset=utf-16" }),
    ],
    ["a vote without a proof, as in format 1", "invalid-vote", request(text)],
    [
      "a scheme that there is not",
      "invalid-vote",
      request(JSON.stringify({ ...signed(text), scheme: "ed25519" })),
    ],
    [
      "a vote that is no text but an object",
      "invalid-vote",
      request(JSON.stringify({ ...signed(text), vote: voteOf() })),
    ],
    [
      "the proof key of another device",
      "foreign-proof",
      request(JSON.stringify(signed(text, { proofKey: "n-2-a.1" }))),
    ],
    [
      "a text a byte longer than the limit",
      "vote-too-long",
      ofText(text.padEnd(testManifest().voteBytes + 1)),
    ],
    [
      "an Idempotency-Key that is not the vote's id",
      "vote-id-mismatch",
      request(body, { idempotencyKey: FIRST_ID }),
    ],
    ["a vote of another station", "wrong-station", ofVote({ station: "n-2" })],
    [
      "a candidate that stands elsewhere",
      "unknown-candidate",
      ofVote({ selections: [{ contest: "mayor", candidate: "dan" }] }),
    ],
    [
      "two candidates where one may be chosen",
      "overvote",
      ofVote({
        selections: [{ contest: "mayor", candidate: "ann" }, { contest: "mayor", candidate: "bob" }],
      }),
    ],
    ["a time without milliseconds", "invalid-vote", ofVote({ castAt: "2026-11-03T11:59:30Z" })],
    ["cast before opening", "cast-out-of-hours", ofVote({ castAt: "2026-11-03T06:59:59.999Z" })],
  ];
  return cases.map(([name, reason, request]) => {
    const { status, type } = problem(reason);
    return { name, request, answer: { status, type } };
  });
}
