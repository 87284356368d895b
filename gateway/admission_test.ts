import assert from "assert";
import { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { eventually } from "../tests/eventually.ts";
import { testGateway, testVote, voteRequest } from "../tests/gateway_fixture.ts";
import { Admission, ADMISSION_LIMITS } from "./admission.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const { holdAfterMs, refuseAfterMs, answerWithinMs, checkEveryMs } = ADMISSION_LIMITS;

/** Runs with a clock and a timer that go only when they are told to. */
async function withClock(
  work: (
    clock: { admission: Admission; pass(ms: number): Promise<void>; stall(ms: number): void },
  ) => Promise<void>,
): Promise<void> {
  let nowMs = 0;
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    await work({
      admission: new Admission(() => nowMs),
      async pass(ms) {
        for (let passed = 0; passed < ms; passed += checkEveryMs) {
          nowMs += checkEveryMs;
          mock.timers.tick(checkEveryMs);
          await turn();
        }
      },
      /** The process does nothing for so long, and then its timer comes. */
      stall(ms) {
        nowMs += ms;
        mock.timers.tick(checkEveryMs);
      },
    });
  } finally {
    mock.timers.reset();
  }
}

Deno.test("Admission.within() waits, for a limited time", async () => {
  await withClock(async ({ admission, pass }) => {
    assert.equal(await admission.within(Promise.resolve()), true);
    await assert.rejects(admission.within(Promise.reject(new Error("no disk"))), /no disk/);
    const durable = Promise.withResolvers<void>();
    let late: boolean | undefined;
    admission.within(durable.promise).then((inTime) => late = !inTime);
    await pass(answerWithinMs - checkEveryMs);
    assert.equal(late, undefined);
    await pass(checkEveryMs);
    assert.equal(late, true);
    durable.resolve();
    await turn();
  });
});

Deno.test("Admission.fault is there while the oldest request waits too long, answered or not", async () => {
  await withClock(async ({ admission, pass }) => {
    const durable = Promise.withResolvers<void>();
    assert.equal(admission.fault, undefined);
    admission.within(durable.promise);
    await pass(refuseAfterMs - checkEveryMs);
    assert.equal(admission.fault, undefined);
    await pass(checkEveryMs);
    assert.match(admission.fault!, /1 requests wait for the disk/);
    await pass(10 * answerWithinMs);
    assert.match(admission.fault!, /1 requests wait for the disk/);
    durable.resolve();
    await turn();
    assert.equal(admission.fault, undefined);
  });
});

Deno.test("Admission.within() counts the time that a request had waited before", async () => {
  await withClock(async ({ admission, pass }) => {
    const durable = Promise.withResolvers<void>();
    let late: boolean | undefined;
    const waitedMs = 5 * checkEveryMs;
    admission.within(durable.promise, waitedMs).then((inTime) => late = !inTime);
    await pass(answerWithinMs - waitedMs - checkEveryMs);
    assert.equal(late, undefined);
    await pass(checkEveryMs);
    assert.equal(late, true);
    durable.resolve();
    await turn();
  });
});

Deno.test("Admission.gate holds requests before it refuses them, and opens once the disk is there again", async () => {
  await withClock(async ({ admission, pass }) => {
    const durable = Promise.withResolvers<void>();
    admission.within(durable.promise);
    const gates = new Map<string, number>();
    for (let ms = 0; ms <= refuseAfterMs + checkEveryMs; ms += checkEveryMs) {
      if (!gates.has(admission.gate)) gates.set(admission.gate, ms);
      await pass(checkEveryMs);
    }
    assert.deepEqual([...gates.keys()], ["open", "hold", "refuse"]);
    assert.ok(gates.get("hold")! >= holdAfterMs && gates.get("refuse")! >= refuseAfterMs);
    durable.resolve();
    await turn();
    assert.equal(admission.gate, "open");
  });
});

Deno.test("Admission.fault is there while the process is behind with its requests", async () => {
  await withClock(async ({ admission, pass, stall }) => {
    const durable = Promise.withResolvers<void>();
    await pass(checkEveryMs);
    admission.within(durable.promise);
    durable.promise.then(() => {});
    stall(checkEveryMs + refuseAfterMs);
    assert.match(admission.fault!, /750 ms behind/);
    durable.resolve();
    await turn();
    assert.equal(admission.fault, undefined);
  });
});

Deno.test("a gateway with a slow spool answers 503 with Retry-After, and takes the same votes later, none lost and none twice", async () => {
  await withClock(async ({ admission, pass }) => {
    const gateway = testGateway({ admission });
    const disk = Promise.withResolvers<void>();
    gateway.spool.turn = disk.promise;
    const votes = ["voter-1", "voter-2"].map((voterId) => testVote({ voterId, voteId: crypto.randomUUID() }));
    const isBusy = ({ status, reason, headers }: Awaited<ReturnType<typeof gateway.send>>) => {
      assert.deepEqual([status, reason], [503, "busy"]);
      assert.match(headers.get("retry-after")!, /^[1-9]\d*$/);
    };
    const first = gateway.send(voteRequest(votes[0]!));
    await eventually("it waits for the disk", () => gateway.spool.records === 1);
    await pass(answerWithinMs);
    isBusy(await first);
    isBusy(await gateway.send(voteRequest(votes[1]!)));
    assert.equal(gateway.spool.records, 1, "the second vote was refused before it was read");
    disk.resolve();
    await turn();
    for (const vote of votes) assert.equal((await gateway.send(voteRequest(vote))).status, 202);
    assert.equal(gateway.spool.records, 2, "the first vote has one record");
    assert.equal(await gateway.metric('pollwire_gateway_votes_total{endpoint="vote",answer="busy"}'), 2);
    assert.equal(await gateway.metric('pollwire_gateway_votes_total{endpoint="vote",answer="repeated"}'), 1);
    assert.deepEqual(gateway.errors, []);
  });
});

Deno.test("a gateway whose spool failed after its answer accepts the vote again", async () => {
  await withClock(async ({ admission, pass }) => {
    const gateway = testGateway({ admission });
    const disk = Promise.withResolvers<void>();
    gateway.spool.turn = disk.promise;
    const vote = testVote();
    const first = gateway.send(voteRequest(vote));
    await eventually("it waits for the disk", () => gateway.spool.records === 1);
    await pass(answerWithinMs);
    assert.equal((await first).status, 503);
    disk.reject(new Error("the disk is gone"));
    await turn();
    gateway.spool.turn = Promise.resolve();
    assert.equal((await gateway.send(voteRequest(vote))).status, 202);
    assert.equal(await gateway.metric('pollwire_gateway_votes_total{endpoint="vote",answer="accepted"}'), 1);
    assert.equal(gateway.spool.records, 2);
  });
});
