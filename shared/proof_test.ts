import assert from "assert";
import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { nearly } from "../tests/arbitraries.ts";
import { fromHex, utf8 } from "./bytes.ts";
import { proofKey } from "./keys.ts";
import {
  isProofOf,
  isSignedVote,
  MAX_PROOF_KEY_CHARS,
  PROOF_LEAF_BYTES,
  proofKeySchema,
  proofLeaf,
  proofOf,
  signedVoteSchema,
} from "./proof.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const MASTER = new Uint8Array(32).map((_, i) => i);
const KEY = proofKey(MASTER, { election: "ri-2020", id: "station-12-a", version: 1 });
const NAME = "station-12-a.1";
const VOTE = `{"voteId":"5f0c1f6e-0b1a-4c3d-8e2f-000000000001"}`;
const PROOF = "3b859624fa8436a4af86ffe54ba2c38276b299e27b6b00ca41323dde439a203d";

Deno.test("isSignedVote() says what signedVoteSchema says, of signed votes and of what is nearly one", () => {
  const signed = { vote: VOTE, proof: PROOF, proofKey: NAME, scheme: "hmac-sha256" };
  const values = ["", PROOF, PROOF.toUpperCase(), NAME, "station-12-a.0", "hmac-sha512"];
  const seen = { right: 0, wrong: 0 };
  fc.assert(
    fc.property(nearly([signed], values), (value) => {
      const { success, data } = signedVoteSchema.safeParse(value);
      assert.equal(isSignedVote(value), success, JSON.stringify(value));
      if (success) assert.deepEqual(data, value);
      seen[success ? "right" : "wrong"]++;
    }),
    { numRuns: 5_000 },
  );
  assert.ok(seen.right > 100 && seen.wrong > 100, JSON.stringify(seen));
});

// Computed with Python's hmac and hashlib.
Deno.test("proofOf() and proofLeaf() give what another implementation gives", () => {
  const proof = proofOf(KEY, "ri-2020", NAME, VOTE);
  assert.equal(proof.toHex(), PROOF);
  assert.equal(proofLeaf(proof), "ead9a02915a3403f6a2a212b448cc37b");
});

Deno.test("proofOf() is node:crypto's HMAC over length-prefixed domain, election, proof key and text", () => {
  const length = (text: string) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(Buffer.byteLength(text));
    return bytes;
  };
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string({ unit: "grapheme" }), (election, name, vote) => {
      const mac = createHmac("sha256", KEY);
      for (const part of ["pollwire/2 vote", election, name, vote]) mac.update(length(part)).update(part);
      assert.equal(proofOf(KEY, election, name, vote).toHex(), mac.digest("hex"));
    }),
    { numRuns: 500 },
  );
});

Deno.test("proofOf() is the same of a text and of its bytes", () => {
  const text = `{"a":"é𝄞"}`;
  assert.deepEqual(proofOf(KEY, "e", NAME, utf8(text)), proofOf(KEY, "e", NAME, text));
});

Deno.test("isProofOf() knows a proof, and no other election, key, name, text or proof", () => {
  const proof = fromHex(PROOF);
  assert.ok(isProofOf(proof, KEY, "ri-2020", NAME, VOTE));
  assert.ok(!isProofOf(proof, KEY, "ri-2021", NAME, VOTE));
  assert.ok(!isProofOf(proof, MASTER, "ri-2020", NAME, VOTE));
  assert.ok(!isProofOf(proof, KEY, "ri-2020", "station-12-a.2", VOTE));
  assert.ok(!isProofOf(proof, KEY, "ri-2020", NAME, `${VOTE} `));
  assert.ok(!isProofOf(proof.subarray(1), KEY, "ri-2020", NAME, VOTE));
  assert.ok(!isProofOf(new Uint8Array(0), KEY, "ri-2020", NAME, VOTE));
});

Deno.test("isProofOf() refuses any flipped bit of the proof or the text", () => {
  for (let bit = 0; bit < 256; bit++) {
    const proof = fromHex(PROOF);
    proof[bit >> 3] ^= 1 << (bit & 7);
    assert.ok(!isProofOf(proof, KEY, "ri-2020", NAME, VOTE));
  }
  for (let bit = 0; bit < VOTE.length * 8; bit++) {
    const vote = utf8(VOTE);
    vote[bit >> 3] ^= 1 << (bit & 7);
    assert.ok(!isProofOf(fromHex(PROOF), KEY, "ri-2020", NAME, vote));
  }
});

Deno.test("isProofOf() does not let a part move into the one beside it", () => {
  const proof = proofOf(KEY, "ab", "c.1", "vote");
  assert.ok(!isProofOf(proof, KEY, "a", "bc.1", "vote"));
  assert.ok(!isProofOf(proof, KEY, "ab", "c.1v", "ote"));
});

Deno.test("proofLeaf() is RFC 9162's leaf hash of the proof, cut to 16 bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (proof) => {
      const leaf = createHash("sha256").update(Buffer.of(0)).update(proof).digest("hex");
      assert.equal(proofLeaf(proof), leaf.slice(0, 2 * PROOF_LEAF_BYTES));
    }),
    { numRuns: 200 },
  );
});

Deno.test("proofKeySchema takes names up to the greatest length", () => {
  const longest = `${"d".repeat(64)}.999999`;
  assert.equal(longest.length, MAX_PROOF_KEY_CHARS);
  for (const name of ["a.1", NAME, longest]) assert.ok(proofKeySchema.safeParse(name).success, name);
});

for (
  const name of [
    "",
    "a",
    "a.",
    ".1",
    "a.0",
    "a.01",
    "a.1000000",
    "a.1\n",
    "A.1",
    "a/b.1",
    "e/a.1",
    "a.b.1",
    `${"d".repeat(65)}.1`,
    "é.1",
  ]
) {
  Deno.test(`proofKeySchema refuses ${JSON.stringify(name)}`, () => {
    assert.ok(!proofKeySchema.safeParse(name).success);
  });
}

const SIGNED = { vote: VOTE, proof: PROOF, proofKey: NAME, scheme: "hmac-sha256" };

Deno.test("signedVoteSchema takes a signed vote with any text", () => {
  for (const vote of [VOTE, "", "not JSON"]) {
    assert.deepEqual(signedVoteSchema.parse({ ...SIGNED, vote }), { ...SIGNED, vote });
  }
});

for (
  const [field, value] of [
    ["vote", { voteId: "1" }],
    ["vote", undefined],
    ["proof", PROOF.toUpperCase()],
    ["proof", PROOF.slice(2)],
    ["proof", `${PROOF}00`],
    ["proofKey", "ri-2020/station-12-a.1"],
    ["scheme", "ed25519"],
    ["scheme", undefined],
    ["voteId", "1"],
  ] as const
) {
  Deno.test(`signedVoteSchema refuses ${field} ${JSON.stringify(value)?.slice(0, 40)}`, () => {
    const { error } = signedVoteSchema.safeParse({ ...SIGNED, [field]: value });
    assert.ok(error);
    const [issue] = error.issues;
    assert.equal(issue.code === "unrecognized_keys" ? issue.keys[0] : issue.path[0], field);
  });
}
