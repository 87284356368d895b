import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import type { Receipt } from "../shared/receipt.ts";
import { eventually } from "../tests/eventually.ts";
import { testReceipt } from "../tests/fixture.ts";
import type { CastVote, Delivery } from "./delivery.ts";
import type { ReceiptAnswer } from "./receipts.ts";
import { isSettled, type SettleLimits, Settler } from "./settle.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

type Said = ReceiptAnswer["outcome"] | Omit<ReceiptAnswer, "voteId"> | undefined;

/**
 * An aggregator that answers as `say` does (`undefined` while it is away), a device with some gateways of which `down`
 * do not answer, and a clock that sleeping moves.
 */
function world(
  say: (receipt: Receipt, nowMs: number) => Said,
  { limits, gateways = ["http://g-1", "http://g-2"], down = [], answer, failure }: {
    limits?: Partial<SettleLimits>;
    gateways?: string[];
    down?: string[];
    /** When the aggregator answers; at once when left out. */
    answer?: Promise<void>;
    /** What goes wrong when an outcome is kept, while votes are being sent. */
    failure?: Error;
  } = {},
) {
  let nowMs = 0;
  const outcomes: string[] = [];
  const kept: string[] = [];
  const again: string[] = [];
  const questions: number[] = [];
  const settler = new Settler({
    checkReceipts: async (receipts) => {
      questions.push(receipts.length);
      if (answer !== undefined) await answer;
      const answers = receipts.map((each) => {
        const said = say(each, nowMs);
        return said && { voteId: each.voteId, ...typeof said === "string" ? { outcome: said } : said };
      });
      return answers.some((each) => each === undefined) ? undefined : answers as ReceiptAnswer[];
    },
    onOutcome: (answers) => {
      if (failure !== undefined) return Promise.reject(failure);
      for (const { voteId, outcome } of answers) outcomes.push(`${voteId} ${outcome}`);
      return Promise.resolve();
    },
    onKept: ({ voteId, outcome }) => Promise.resolve(void kept.push(`${voteId} ${outcome}`)),
    onSentAgain: ({ voteId }, delivery, was) => {
      const to = delivery.fate === "acknowledged" ? delivery.gateway.split("/").at(-1) : delivery.fate;
      again.push(`${voteId}, ${was}, to ${to} at ${nowMs}`);
      return Promise.resolve();
    },
    clock: {
      now: () => nowMs,
      sleep: async (ms) => {
        nowMs += ms;
        // So that the test gets on meanwhile.
        if (answer !== undefined) await delay(0);
      },
    },
    limits,
  });
  const device = {
    gateways,
    send: async (votes: readonly CastVote[], asked: readonly string[] = gateways): Promise<Delivery[]> => {
      if (failure !== undefined) await delay(1);
      const gateway = asked.find((each) => !down.includes(each));
      return votes.map(({ voteId }): Delivery =>
        gateway === undefined
          ? { fate: "undelivered", detail: "all are down" }
          : { fate: "acknowledged", receipt: receiptOf(voteId, gateway), gateway }
      );
    },
  };
  const hold = (voteId: string, gateway = gateways[0]!) =>
    settler.hold(castVote(voteId), { receipt: receiptOf(voteId, gateway), gateway }, device);
  const holdUntaken = (voteId: string) => settler.hold(castVote(voteId), undefined, device);
  return { settler, hold, holdUntaken, outcomes, kept, again, questions };
}

const receiptOf = (voteId: string, gateway: string) =>
  testReceipt(voteId, { gateway: `${gateway.split("/").at(-1)}.1` });

function castVote(voteId: string): CastVote {
  return { voteId, vote: "", proof: "00".repeat(32), proofKey: "d.1", scheme: "hmac-sha256" };
}

/** Stops a run at a time of the world's clock. */
function until(endMs: number) {
  const stop = new AbortController();
  return {
    signal: stop.signal,
    saying: (say: (receipt: Receipt, nowMs: number) => Said) => (receipt: Receipt, nowMs: number) => {
      if (nowMs >= endMs) stop.abort();
      return say(receipt, nowMs);
    },
  };
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
      gateway === "g-1.1" ? "pending" : "counted"
    );
    await hold("a");
    await settler.run(never, () => true);
    assert.equal(again.length, 1);
    assert.match(again[0]!, /^a, pending, to g-2 at 30\d\d\d/);
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
    const { settler, hold, questions } = world(() => "counted", { limits: { heldVotes: 2_500 } });
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
  assert.deepEqual(again, ["b, pending, to g-1 at 500"]);
  assert.deepEqual(outcomes, ["a counted", "b counted"]);
});

Deno.test("Settler sends a vote again whose receipt the aggregator does not believe", strict, async () => {
  const { settler, hold, outcomes, kept, again } = world(({ gateway }) =>
    gateway === "g-1.1" ? "problem" : "counted"
  );
  await hold("a");
  assert.equal(await settler.run(never, () => true), 0);
  assert.deepEqual(again, ["a, problem, to g-2 at 30000"]);
  assert.deepEqual([outcomes, kept], [["a counted"], ["a problem"]]);
});

Deno.test(
  "Settler sends what no gateway has taken while the aggregator takes a question and does not answer",
  strict,
  async () => {
    const answer = Promise.withResolvers<void>();
    const down = ["http://g-1", "http://g-2"];
    const { settler, hold, holdUntaken, again, outcomes } = world(() => "counted", {
      down,
      answer: answer.promise,
    });
    await hold("a");
    const running = settler.run(never, () => true);
    await eventually("the question is under way", () => settler.held === 1);
    await holdUntaken("b");
    await eventually("b is tried", () => again.length > 0);
    down.length = 0;
    await eventually("b is taken", () => again.some((each) => each.includes("to g-1")));
    assert.deepEqual(outcomes, []);
    answer.resolve();
    assert.equal(await running, 0);
    assert.deepEqual(outcomes.sort(), ["a counted", "b counted"]);
  },
);

Deno.test(
  "Settler ends with the error when an outcome is not kept, also one that comes while it sends",
  strict,
  async () => {
    const { settler, hold, holdUntaken } = world(() => "counted", { failure: new Error("the disk is full") });
    await hold("a");
    await holdUntaken("b");
    await assert.rejects(settler.run(never, () => true), /the disk is full/);
  },
);

Deno.test("Settler sends what no gateway takes while the aggregator is away", strict, async () => {
  const { settler, hold, holdUntaken, outcomes, again } = world((_, nowMs) =>
    nowMs < 20_000 ? undefined : "counted"
  );
  await hold("a");
  await holdUntaken("b");
  await settler.run(never, () => true);
  assert.deepEqual(again, ["b, pending, to g-1 at 500"]);
  assert.deepEqual(outcomes.toSorted(), ["a counted", "b counted"]);
});

/** Every answer, and whether a device may forget the vote. */
const ANSWERS: [Omit<ReceiptAnswer, "voteId">, boolean][] = [
  [{ outcome: "counted" }, true],
  [{ outcome: "duplicate", reason: "double_vote" }, true],
  [{ outcome: "pending" }, false],
  [{ outcome: "pending", gateways: ["g-1", "g-2"] }, false],
  [{ outcome: "problem", reason: "bad-receipt" }, false],
  [{ outcome: "rejected", reason: "not_open" }, false],
  [{ outcome: "rejected", reason: "not_open", gateways: ["g-1"] }, false],
  [{ outcome: "rejected", reason: "not_open", gateways: ["g-1", "g-1"] }, false],
  [{ outcome: "rejected", reason: "not_open", gateways: ["g-1.1", "g-1.2"] }, false],
  [{ outcome: "rejected", reason: "not_open", gateways: ["g-1", "g-2"] }, true],
  [{ outcome: "rejected", reason: "by_decision", gateways: ["g-1"], decided: true }, true],
  [{ outcome: "held", reason: "superseded", gateways: ["g-1"] }, false],
  [{ outcome: "held", reason: "superseded", gateways: ["g-1", "g-2"] }, false],
  [{ outcome: "held", reason: "superseded", gateways: ["g-1"], decided: true }, true],
];
for (const [answer, settled] of ANSWERS) {
  Deno.test(`isSettled() is ${settled} for ${JSON.stringify(answer)}`, strict, () => {
    assert.equal(isSettled({ voteId: "a", ...answer }), settled);
  });
}

/** What a lying gateway's record makes the aggregator say, until the other gateway's is read. */
const LIES: [string, Omit<ReceiptAnswer, "voteId">][] = [
  ["stamps every record 1970", { outcome: "rejected", reason: "not_open", gateways: ["g-1"] }],
  ["names no manifest", { outcome: "rejected", reason: "unknown_manifest", gateways: ["g-1"] }],
  ["picks a wrong partition", { outcome: "rejected", reason: "wrong_partition", gateways: ["g-1"] }],
  ["is ahead of the log", { outcome: "held", reason: "clock", gateways: ["g-1"] }],
  ["goes on after it was revoked", { outcome: "held", reason: "gateway_revoked", gateways: ["g-1"] }],
  ["gives receipts and drops", { outcome: "pending" }],
  ["alters votes", { outcome: "pending" }],
];
for (const [what, lie] of LIES) {
  Deno.test(`Settler keeps a vote and hands it to the other gateway when one ${what}`, strict, async () => {
    const { settler, hold, outcomes, kept, again } = world(({ gateway }) =>
      gateway === "g-1.1" ? lie : "counted"
    );
    await hold("a");
    assert.equal(await settler.run(never, () => true), 0);
    assert.deepEqual(outcomes, ["a counted"]);
    const atMs = lie.outcome === "pending" ? 30_000 : 500;
    assert.deepEqual(again, [`a, ${lie.outcome}, to g-2 at ${atMs}`]);
    assert.deepEqual(kept, lie.outcome === "pending" ? [] : [`a ${lie.outcome}`]);
  });
}

Deno.test("Settler forgets a vote when the records of two gateways were rejected", strict, async () => {
  const { settler, hold, outcomes, kept } = world(({ gateway }, nowMs) => ({
    outcome: "rejected",
    reason: "unknown_voter",
    // The other copy is read some time after the gateway took it.
    gateways: gateway === "g-1.1" || nowMs < 20_000 ? ["g-1"] : ["g-1", "g-2"],
  }));
  await hold("a");
  assert.equal(await settler.run(never, () => true), 0);
  assert.deepEqual([outcomes, kept], [["a rejected"], ["a rejected"]]);
});

Deno.test(
  "Settler only asks for a vote whose copies are both held, until officials decide",
  strict,
  async () => {
    const { settler, hold, outcomes, kept, again, questions } = world(({ gateway }, nowMs) => {
      if (nowMs >= 3_600_000) return { outcome: "rejected", reason: "by_decision", decided: true };
      return {
        outcome: "held",
        reason: "superseded",
        gateways: gateway === "g-1.1" ? ["g-1"] : ["g-1", "g-2"],
      };
    });
    await hold("a");
    assert.equal(await settler.run(never, () => true), 0);
    assert.deepEqual([outcomes, kept], [["a rejected"], ["a held"]]);
    assert.equal(again.length, 1, "to the other gateway, once");
    assert.ok(questions.length < 400, `${questions.length} questions in an hour`);
  },
);

Deno.test(
  "Settler asks the other gateway again while it is down, with pauses between",
  strict,
  async () => {
    const { signal, saying } = until(200_000);
    const down = ["http://g-2"];
    const { settler, hold, again } = world(
      saying(() => ({ outcome: "rejected", reason: "not_open", gateways: ["g-1"] })),
      { down },
    );
    await hold("a");
    assert.equal(await settler.run(signal, () => true), 1);
    assert.ok(again.length > 4 && again.length < 8, `${again.length} in 200 s`);
    assert.ok(again.every((each) => each.includes("to g-1")));
  },
);

Deno.test(
  "Settler sends a pending vote again ever less often, and at last at the longest wait",
  strict,
  async () => {
    const { signal, saying } = until(4 * 3_600_000);
    const { settler, hold, again } = world(saying(() => "pending"), {
      limits: { sendAgainAfterMs: 120_000, askEveryMs: 5_000 },
    });
    await hold("a");
    await settler.run(signal, () => true);
    const minutes = again.map((each) => Math.round(Number(each.split(" at ")[1]) / 60_000));
    assert.deepEqual(minutes.slice(0, 6), [2, 6, 14, 30, 46, 62]);
    assert.ok(again.length <= 18, `${again.length} times in four hours`);
    assert.deepEqual(again.slice(0, 3).map((each) => each.split(" ")[3]), ["g-2", "g-1", "g-2"]);
  },
);

Deno.test("Settler does not wait longer for a vote that no gateway has taken", strict, async () => {
  const { signal, saying } = until(10 * 60_000);
  const { settler, hold, holdUntaken, again } = world(saying(() => "pending"), {
    down: ["http://g-1", "http://g-2"],
    limits: { sendAgainAfterMs: 60_000 },
  });
  await holdUntaken("a");
  await hold("b");
  await settler.run(signal, () => true);
  for (const vote of ["a", "b"]) {
    assert.ok(again.filter((each) => each.startsWith(vote)).length >= 8, again.join("; "));
  }
});

Deno.test("Settler asks for a copy again, however long a pending vote may wait", strict, async () => {
  const { signal, saying } = until(100_000);
  const { settler, hold, again } = world(
    saying(({ voteId }) =>
      voteId === "a" ? "pending" : { outcome: "rejected", reason: "not_open", gateways: ["g-1"] }
    ),
    { down: ["http://g-2"], limits: { sendAgainAfterMs: Number.MAX_SAFE_INTEGER, copyAgainAfterMs: 40_000 } },
  );
  await hold("a");
  await hold("b");
  await settler.run(signal, () => true);
  assert.deepEqual(again.map((each) => each.split(",")[0]), ["b", "b", "b"]);
});

Deno.test(
  "Settler of a device with one gateway keeps what is rejected until it is decided",
  strict,
  async () => {
    const { settler, hold, outcomes, kept, again } = world(
      (_, nowMs) => ({
        outcome: "rejected",
        reason: "not_open",
        gateways: ["g-1"],
        decided: nowMs >= 600_000,
      }),
      { gateways: ["http://g-1"] },
    );
    await hold("a");
    assert.equal(await settler.run(never, () => true), 0);
    assert.deepEqual([outcomes, kept, again], [["a rejected"], ["a rejected"], []]);
  },
);

Deno.test("Settler asks with another gateway's receipt when one is not believed", strict, async () => {
  const { settler, hold, outcomes, kept, again } = world(({ gateway }, nowMs) => {
    if (gateway === "g-2.1") return "problem";
    return nowMs < 60_000 ? "pending" : "counted";
  });
  await hold("a");
  assert.equal(await settler.run(never, () => true), 0);
  assert.deepEqual([outcomes, again.length], [["a counted"], 1]);
  assert.deepEqual(kept, ["a problem"]);
});

Deno.test("Settler sends no vote to a gateway that the device does not have any more", strict, async () => {
  const { signal, saying } = until(220_000);
  const gateways = ["http://g-1", "http://g-2"];
  const { settler, hold, again } = world(
    saying((_, nowMs) => {
      if (nowMs >= 30_000) gateways.splice(0, gateways.length, "http://g-2");
      return "pending";
    }),
    { gateways },
  );
  await hold("a", "http://g-2");
  await hold("b", "http://g-9");
  await settler.run(signal, () => true);
  const to = (id: string) => again.filter((each) => each.startsWith(id)).map((each) => each.split(" ")[3]);
  assert.deepEqual([to("a"), to("b")], [["g-2", "g-2", "g-2"], ["g-2", "g-2", "g-2"]]);
});

Deno.test("Settler sends what stays pending to its gateways in turn", strict, async () => {
  const { signal, saying } = until(220_000);
  const { settler, hold, again } = world(saying(() => "pending"));
  await hold("a", "http://g-2");
  await settler.run(signal, () => true);
  assert.deepEqual(again.map((each) => each.split(" ")[3]), ["g-1", "g-2", "g-1"]);
});
