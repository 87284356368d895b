import assert from "assert";
import { Hono } from "hono";
import { signAnswers } from "../shared/answers.ts";
import { answerKeyPair } from "../shared/keys.ts";
import { problem, problemResponse } from "../shared/problem.ts";
import { type ReceiptsRequest, testAnswerKey, testAnswers } from "../tests/device_fixture.ts";
import { MASTER, testReceipt } from "../tests/fixture.ts";
import { checkReceipts } from "./receipts.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const NOW_MS = Date.parse("2026-11-03T08:00:00.000Z");
const source = { election: "e", answerKey: testAnswerKey() };
const receipts = ["a", "b"].map((voteId) => testReceipt(voteId, { election: "e" }));

function ask(answer: (asked: ReceiptsRequest) => Response, asked = receipts) {
  const app = new Hono().post("/v1/receipts/check", async (c) => answer(await c.req.json()));
  return checkReceipts("http://aggregator", asked, source, async (url, init) => await app.request(url, init));
}

Deno.test("checkReceipts() reads answers that the aggregator signed, and what is wrong with a receipt", async () => {
  const checked = await ask((asked) =>
    Response.json(
      testAnswers(asked, ({ voteId }) =>
        voteId === "a"
          ? { outcome: "rejected", reason: "unknown_voter", gateways: ["g-1"], decided: true }
          : { problem: problem("bad-receipt") }, NOW_MS),
    )
  );
  assert.deepEqual(checked, {
    answers: [
      { voteId: "a", outcome: "rejected", reason: "unknown_voter", gateways: ["g-1"], decided: true },
      { voteId: "b", outcome: "problem", reason: "bad-receipt" },
    ],
    answeredAtMs: NOW_MS,
  });
});

Deno.test("checkReceipts() asks with a nonce of its own each time, and for the time alone without receipts", async () => {
  const nonces = new Set<string>();
  for (let i = 0; i < 3; i++) {
    const checked = await ask((asked) => {
      assert.match(asked.nonce, /^[0-9a-f]{32}$/);
      nonces.add(asked.nonce);
      return Response.json(testAnswers(asked, () => ({}), NOW_MS));
    }, []);
    assert.deepEqual(checked, { answers: [], answeredAtMs: NOW_MS });
  }
  assert.equal(nonces.size, 3);
});

const counted = () => ({ outcome: "counted" });
const OTHER_MASTER = new Uint8Array(32).fill(9);
const privateKey = answerKeyPair(MASTER, "e").privateKey;
for (
  const [what, answer, fault] of [
    [
      "are not signed",
      ({ receipts }: ReceiptsRequest) =>
        Response.json({ answers: receipts.map(({ voteId }) => ({ voteId, outcome: "counted" })) }),
      /must be signed/,
    ],
    [
      "somebody else signed",
      (asked: ReceiptsRequest) => Response.json(testAnswers(asked, counted, NOW_MS, OTHER_MASTER)),
      /signature is not the aggregator's/,
    ],
    [
      "were altered",
      (asked: ReceiptsRequest) => {
        const { signed, signature } = testAnswers(asked, () => ({ outcome: "pending" }), NOW_MS);
        return Response.json({ signed: signed.replaceAll("pending", "counted"), signature });
      },
      /signature is not the aggregator's/,
    ],
    [
      "were given to another request",
      (asked: ReceiptsRequest) =>
        Response.json(testAnswers({ ...asked, nonce: "0".repeat(32) }, counted, NOW_MS)),
      /belongs to another request/,
    ],
    [
      "are of another election",
      ({ nonce, receipts }: ReceiptsRequest) =>
        Response.json(signAnswers({
          election: "other",
          nonce,
          answeredAt: new Date(NOW_MS).toISOString(),
          answers: receipts.map(({ voteId }) => ({ voteId, outcome: "counted" })),
        }, privateKey)),
      /belongs to another request/,
    ],
    [
      "do not go with the receipts",
      (asked: ReceiptsRequest) =>
        Response.json(testAnswers({ ...asked, receipts: asked.receipts.toReversed() }, counted, NOW_MS)),
      /one line a receipt, in the same order/,
    ],
    [
      "are too few",
      (asked: ReceiptsRequest) =>
        Response.json(testAnswers({ ...asked, receipts: asked.receipts.slice(1) }, counted, NOW_MS)),
      /one line a receipt, in the same order/,
    ],
    [
      "say what this version does not know",
      (asked: ReceiptsRequest) => Response.json(testAnswers(asked, () => ({ outcome: "lost" }), NOW_MS)),
      /is no answer to receipts/,
    ],
    ["are not JSON", () => new Response("<html>"), /must be signed/],
    [
      "are a problem",
      () => problemResponse(problem("not-ready")),
      /the aggregator answered 503: .*not-ready/,
    ],
  ] as const
) {
  Deno.test(`checkReceipts() believes no answers that ${what}`, async () => {
    const checked = await ask(answer);
    assert.match("fault" in checked ? checked.fault : "", fault);
  });
}

Deno.test("checkReceipts() says that the aggregator does not answer", async () => {
  const down = () => Promise.reject(new TypeError("connection refused"));
  assert.deepEqual(await checkReceipts("http://aggregator", receipts, source, down), {
    fault: "the aggregator does not answer: connection refused",
  });
});

Deno.test("checkReceipts() waits no longer than it is told to", async () => {
  const silent = (_: string, { signal }: RequestInit): Promise<Response> =>
    new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  assert.deepEqual(await checkReceipts("http://aggregator", receipts, source, silent, 5), {
    fault: "the aggregator does not answer: no answer within 5 ms",
  });
});
