import assert from "assert";
import {
  type Answers,
  answersSchema,
  MAX_RECEIPTS,
  openAnswers,
  signAnswers,
  signedAnswersSchema,
} from "./answers.ts";
import { fromHex } from "./bytes.ts";
import { answerKeyPair, manifestKeyPair } from "./keys.ts";
import { problem } from "./problem.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const MASTER = new Uint8Array(32).map((_, i) => i);
const { publicKey, privateKey } = answerKeyPair(MASTER, "ri-2020");
const PUBLIC = publicKey.toHex();
const NONCE = "0f".repeat(16);
const VOTE_ID = "5f0c1f6e-0b1a-4c3d-8e2f-000000000001";
const ASKED = { election: "ri-2020", nonce: NONCE };
const ANSWERS: Answers = {
  ...ASKED,
  answeredAt: "2020-11-03T15:05:00.000Z",
  answers: [{ voteId: VOTE_ID, outcome: "counted" }],
};

// Computed with PyNaCl.
Deno.test("signAnswers() gives the signature that another implementation gives", () => {
  assert.deepEqual(signAnswers(ANSWERS, privateKey), {
    signed:
      `{"election":"ri-2020","nonce":"${NONCE}","answeredAt":"2020-11-03T15:05:00.000Z","answers":[{"voteId":"${VOTE_ID}","outcome":"counted"}]}`,
    signature: "1ea039a78006ce399a881fef81938a7e52637184253623ac77a10e4b619e8021" +
      "197489be4468807ba39c8ec97e5dd3a2daa0984418f19c548a139feff3346008",
  });
});

Deno.test("openAnswers() reads answers of every kind after they travelled as JSON", () => {
  const answers: Answers = {
    ...ANSWERS,
    answers: [
      { voteId: VOTE_ID, outcome: "pending" },
      { voteId: VOTE_ID, outcome: "duplicate", reason: "retransmission" },
      { voteId: VOTE_ID, outcome: "held", reason: "clock", gateways: ["g-1", "g-2"] },
      { voteId: VOTE_ID, outcome: "rejected", reason: "by_decision", gateways: ["g-1"], decided: true },
      { voteId: VOTE_ID, problem: problem("bad-receipt") },
    ],
  };
  const travelled = signedAnswersSchema.parse(JSON.parse(JSON.stringify(signAnswers(answers, privateKey))));
  assert.deepEqual(openAnswers(travelled, PUBLIC, ASKED), answers);
});

Deno.test("openAnswers() reads an answer to no receipts, which tells the time", () => {
  const signed = signAnswers({ ...ANSWERS, answers: [] }, privateKey);
  assert.deepEqual(openAnswers(signed, PUBLIC, ASKED), { ...ANSWERS, answers: [] });
});

const NOT_SIGNED = { fault: "the answer's signature is not the aggregator's" };

Deno.test("openAnswers() refuses a change of any character of the text", () => {
  const whole = signAnswers(ANSWERS, privateKey);
  for (let at = 0; at < whole.signed.length; at++) {
    const char = String.fromCharCode(whole.signed.charCodeAt(at) ^ 1);
    const signed = whole.signed.slice(0, at) + char + whole.signed.slice(at + 1);
    assert.deepEqual(openAnswers({ ...whole, signed }, PUBLIC, ASKED), NOT_SIGNED);
  }
  const counted = whole.signed.replace("counted", "held");
  assert.deepEqual(openAnswers({ ...whole, signed: counted }, PUBLIC, ASKED), NOT_SIGNED);
});

Deno.test("openAnswers() refuses a flipped bit anywhere in the signature", () => {
  const whole = signAnswers(ANSWERS, privateKey);
  for (let bit = 0; bit < 512; bit += 3) {
    const bytes = fromHex(whole.signature);
    bytes[bit >> 3] ^= 1 << (bit & 7);
    assert.deepEqual(openAnswers({ ...whole, signature: bytes.toHex() }, PUBLIC, ASKED), NOT_SIGNED);
  }
});

Deno.test("openAnswers() refuses another election's key, and the key of manifests", () => {
  for (const keys of [answerKeyPair(MASTER, "ri-2021"), manifestKeyPair(MASTER, "ri-2020")]) {
    assert.deepEqual(openAnswers(signAnswers(ANSWERS, keys.privateKey), PUBLIC, ASKED), NOT_SIGNED);
  }
});

Deno.test("openAnswers() refuses an answer to another question", () => {
  const signed = signAnswers(ANSWERS, privateKey);
  const fault = { fault: "the aggregator's answer belongs to another request" };
  assert.deepEqual(openAnswers(signed, PUBLIC, { ...ASKED, nonce: "00".repeat(16) }), fault);
  assert.deepEqual(openAnswers(signed, PUBLIC, { ...ASKED, election: "ri-2021" }), fault);
});

Deno.test("openAnswers() refuses what the aggregator signed and is no answer", () => {
  const fault = { fault: "the aggregator signed a text that is no answer to receipts" };
  const odd = [{}, null, { ...ANSWERS, nonce: "" }, {
    ...ANSWERS,
    answers: [{ voteId: VOTE_ID, outcome: "lost" }],
  }];
  for (const answers of odd) {
    assert.deepEqual(openAnswers(signAnswers(answers as Answers, privateKey), PUBLIC, ASKED), fault);
  }
});

Deno.test("answersSchema takes as many answers as the limit and no more", () => {
  const [one] = ANSWERS.answers;
  const takes = (count: number) =>
    answersSchema.safeParse({ ...ANSWERS, answers: Array(count).fill(one) }).success;
  assert.deepEqual([takes(MAX_RECEIPTS), takes(MAX_RECEIPTS + 1)], [true, false]);
});

for (const signature of ["", "00".repeat(63), "00".repeat(65), "AB".repeat(64)]) {
  Deno.test(`signedAnswersSchema refuses a signature of ${signature.length} characters, ${signature.slice(0, 2)}…`, () => {
    assert.ok(!signedAnswersSchema.safeParse({ signed: "{}", signature }).success);
  });
}
