import assert from "assert";
import { eventually } from "../../tests/eventually.ts";
import { type Database, DatabaseUnavailable, oneForAll } from "./database.ts";
import { DatabaseWatch } from "./watch.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A database that answers as it is told to, and a watch of it. */
function watched() {
  const state = { answer: "at once" as "at once" | "never" | "not", cuts: 0, nowMs: 0 };
  const hanging = new Set<(error: Error) => void>();
  const nothing = () => Promise.reject(new Error("unused"));
  const db: Database = {
    query() {
      if (state.answer === "at once") return Promise.resolve([]);
      if (state.answer === "not") return Promise.reject(new DatabaseUnavailable("it is not reached"));
      const { promise, reject } = Promise.withResolvers<never>();
      hanging.add(reject);
      return promise;
    },
    transaction: nothing,
    cut() {
      state.cuts++;
      for (const reject of hanging) reject(new DatabaseUnavailable("the connection was cut"));
      hanging.clear();
    },
    close: () => Promise.resolve(),
  };
  const stop = new AbortController();
  const changes: (string | undefined)[] = [];
  const watch = new DatabaseWatch({
    databases: oneForAll(db),
    signal: stop.signal,
    onChange: (away) => changes.push(away),
    askEveryMs: 1,
    awayAfterMs: 10,
    now: () => state.nowMs,
  });
  return { watch, state, changes, stop };
}

async function withWatch(work: (made: ReturnType<typeof watched>) => Promise<void>): Promise<void> {
  const made = watched();
  const running = made.watch.run();
  try {
    await work(made);
  } finally {
    made.stop.abort();
    await running;
  }
}

Deno.test("DatabaseWatch considers a database away until it has answered once", async () => {
  assert.match(watched().watch.away!, /not been asked/);
  await withWatch(async ({ watch, changes }) => {
    await eventually("it answers", () => watch.away === undefined);
    assert.deepEqual([watch.outage.aborted, changes], [false, [undefined]]);
  });
});

Deno.test("DatabaseWatch notices a database that does not answer, cuts its connections, and notices its return", async () => {
  await withWatch(async ({ watch, state, changes }) => {
    await eventually("it answers", () => watch.away === undefined);
    const { outage } = watch;
    state.answer = "never";
    state.nowMs += 10;
    await eventually("it is away", () => watch.away !== undefined);
    assert.equal(watch.away, "it has not answered within 10 ms");
    assert.ok(outage.aborted);
    assert.ok(state.cuts > 0);
    state.answer = "at once";
    await eventually("it answers again", () => watch.away === undefined);
    assert.ok(outage.aborted, "what was given up stays so");
    assert.equal(watch.outage.aborted, false);
    assert.deepEqual(changes, [undefined, "it has not answered within 10 ms", undefined]);
  });
});

Deno.test("DatabaseWatch bears a database that fails for less than the limit", async () => {
  await withWatch(async ({ watch, state, changes }) => {
    await eventually("it answers", () => watch.away === undefined);
    state.answer = "not";
    state.nowMs += 9;
    const { cuts } = state;
    await eventually("it was asked", () => state.cuts > cuts + 2);
    assert.equal(watch.away, undefined);
    state.nowMs += 1;
    await eventually("it is away", () => watch.away !== undefined);
    assert.deepEqual([watch.away, changes], ["it is not reached", [undefined, "it is not reached"]]);
  });
});

Deno.test("DatabaseWatch ends at once when it is told to, whatever it waits for", async () => {
  const { watch, state, stop } = watched();
  state.answer = "never";
  const running = watch.run();
  stop.abort();
  await running;
  assert.match(watch.away!, /not been asked/);
});
