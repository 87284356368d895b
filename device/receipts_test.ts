import assert from "assert";
import { Hono } from "hono";
import { problem, problemResponse } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";
import { testReceipt } from "../tests/fixture.ts";
import { checkReceipts } from "./receipts.ts";

Deno.test.sanitizer({ ops: true, resources: true });

function ask(answer: (receipts: readonly Receipt[]) => Response, ...receipts: Receipt[]) {
  const app = new Hono().post("/v1/receipts/check", async (c) => answer((await c.req.json()).receipts));
  return checkReceipts("http://aggregator", receipts, async (url, init) => await app.request(url, init));
}

Deno.test("checkReceipts() reads the answers to receipts, and what is wrong with one", async () => {
  const answers = await ask(
    (receipts) =>
      Response.json({
        answers: receipts.map(({ voteId }, i) =>
          i === 0
            ? { voteId, outcome: "rejected", reason: "unknown_voter" }
            : { voteId, problem: problem("bad-receipt") }
        ),
      }),
    testReceipt("a"),
    testReceipt("b"),
  );
  assert.deepEqual(answers, [
    { voteId: "a", outcome: "rejected", reason: "unknown_voter" },
    { voteId: "b", outcome: "problem", reason: "bad-receipt" },
  ]);
});

for (
  const [what, answer, fault] of [
    [
      "do not go with the receipts",
      () => Response.json({ answers: [{ voteId: "z", outcome: "counted" }] }),
      /one line a receipt, in the same order/,
    ],
    ["are too few", () => Response.json({ answers: [] }), /one line a receipt, in the same order/],
    ["are not JSON", () => new Response("<html>"), /one line a receipt, in the same order/],
    [
      "are a problem",
      () => problemResponse(problem("not-ready")),
      /the aggregator answered 503: .*not-ready/,
    ],
  ] as const
) {
  Deno.test(`checkReceipts() believes no answers that ${what}`, async () => {
    const answers = await ask(answer, testReceipt("a"));
    assert.match("fault" in answers ? answers.fault : "", fault);
  });
}

Deno.test("checkReceipts() says that the aggregator does not answer", async () => {
  const down = () => Promise.reject(new TypeError("connection refused"));
  assert.deepEqual(await checkReceipts("http://aggregator", [testReceipt("a")], down), {
    fault: "the aggregator does not answer: connection refused",
  });
});
