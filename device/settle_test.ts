import assert from "assert";
import type { Receipt } from "../shared/receipt.ts";
import { testReceipt } from "../tests/fixture.ts";
import type { CastVote, Delivery } from "./device.ts";
import type { ReceiptAnswer } from "./receipts.ts";
import { type SettleLimits, Settler } from "./settle.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

/** An aggregator that answers as `say` does, a device that always finds the other gateway, a clock that sleeping moves. */
function world(
  say: (receipt: Receipt, nowMs: number) => ReceiptAnswer["outcome"] | undefined,
  limits?: Partial<SettleLimits>,
) {
  let nowMs = 0;
  const outcomes: string[] = [];
  const again: string[] = [];
  const questions: number[] = [];
  const settler = new Settler({
    checkReceipts: (receipts) => {
      questions.push(receipts.length);
      const answers = receipts.map((each) => ({ voteId: each.voteId, outcome: say(each, nowMs) }));
      if (answers.some(({ outcome }) => outcome === undefined)) return Promise.resolve(undefined);
      return Promise.resolve(answers as ReceiptAnswer[]);
    },
    onOutcome: (answers) => {
      for (const { voteId, outcome } of answers) outcomes.push(`${voteId} ${outcome}`);
      return Promise.resolve();
    },
    onSentAgain: ({ voteId }, { fate }) => {
      again.push(`${voteId} ${fate} at ${nowMs}`);
      return Promise.resolve();
    },
    clock: {
      now: () => nowMs,
      sleep: (ms) => {
        nowMs += ms;
        return Promise.resolve();
      },
    },
    limits,
  });
  const device = {
    send: (votes: readonly CastVote[]): Promise<Delivery[]> =>
      Promise.resolve(
        votes.map(({ voteId }) => ({
          fate: "acknowledged",
          receipt: testReceipt(voteId, { gateway: "gateway-2.1" }),
        })),
      ),
  };
  const hold = (voteId: string) => settler.hold({ voteId, text: "" }, testReceipt(voteId), device);
  const holdUntaken = (voteId: string) => settler.hold({ voteId, text: "" }, undefined, device);
  return { settler, hold, holdUntaken, outcomes, again, questions };
}

const never = new AbortController().signal;

Deno.test("Settler keeps a vote until the aggregator has answered for it", strict, async () => {
  const { settler, hold, outcomes } = world(({ voteId }, nowMs) =>
    voteId === "b" && nowMs < 5_000 ? "pending" : "counted"
  );
  for (const id of ["a", "b", "c"]) await hold(id);
  assert.equal(await settler.run(never, () => true), 0);
  assert.deepEqual(outcomes, ["a counted", "c counted", "b counted"]);
});

Deno.test(
  "Settler sends what is pending too long to the other gateway, and asks with the new receipt",
  strict,
  async () => {
    const { settler, hold, outcomes, again } = world(({ gateway }) =>
      gateway === "gateway-1.1" ? "pending" : "counted"
    );
    await hold("a");
    await settler.run(never, () => true);
    assert.equal(again.length, 1);
    assert.match(again[0], /^a acknowledged at 30\d\d\d/);
    assert.deepEqual(outcomes, ["a counted"]);
  },
);

Deno.test("Settler waits while the aggregator is away", strict, async () => {
  const { settler, hold, outcomes } = world((_, nowMs) => nowMs < 20_000 ? undefined : "duplicate");
  await hold("a");
  await settler.run(never, () => true);
  assert.deepEqual(outcomes, ["a duplicate"]);
});

Deno.test(
  "Settler asks for at most as many at a time as the aggregator takes, and holds no more than its limit",
  strict,
  async () => {
    const { settler, hold, questions } = world(() => "counted", { heldVotes: 2_500 });
    let ended = false;
    let most = 0;
    const casting = (async () => {
      for (let i = 0; i < 6_000; i++) {
        await hold(`vote-${i}`);
        most = Math.max(most, settler.held);
      }
      ended = true;
    })();
    await settler.run(never, () => ended);
    await casting;
    assert.ok(most <= 2_500 && Math.max(...questions) <= 1_000);
    assert.equal(questions.reduce((a, b) => a + b), 6_000);
  },
);

Deno.test("Settler says how many it still holds when it is stopped", strict, async () => {
  const stop = new AbortController();
  const { settler, hold } = world((_, nowMs) => {
    if (nowMs > 5_000) stop.abort();
    return "pending";
  });
  await hold("a");
  assert.equal(await settler.run(stop.signal, () => true), 1);
});

Deno.test("Settler sends a vote that no gateway has taken, and asks for it then", strict, async () => {
  const { settler, hold, holdUntaken, outcomes, again } = world(() => "counted");
  await hold("a");
  await holdUntaken("b");
  assert.equal(await settler.run(never, () => true), 0);
  assert.deepEqual(again, ["b acknowledged at 500"]);
  assert.deepEqual(outcomes, ["a counted", "b counted"]);
});

Deno.test("Settler sends a vote again whose receipt the aggregator does not believe", strict, async () => {
  const { settler, hold, outcomes, again } = world(({ gateway }) =>
    gateway === "gateway-1.1" ? "problem" : "counted"
  );
  await hold("a");
  assert.equal(await settler.run(never, () => true), 0);
  assert.deepEqual(again, ["a acknowledged at 30000"]);
  assert.deepEqual(outcomes, ["a problem", "a counted"]);
});

Deno.test("Settler sends what no gateway takes while the aggregator is away", strict, async () => {
  const { settler, hold, holdUntaken, outcomes, again } = world((_, nowMs) =>
    nowMs < 20_000 ? undefined : "counted"
  );
  await hold("a");
  await holdUntaken("b");
  await settler.run(never, () => true);
  assert.deepEqual(again, ["b acknowledged at 500"]);
  assert.deepEqual(outcomes.toSorted(), ["a counted", "b counted"]);
});
