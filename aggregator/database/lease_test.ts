import assert from "assert";
import { eventually } from "../../tests/eventually.ts";
import { withDatabase } from "../../tests/test_database.ts";
import type { Query } from "./database.ts";
import { Lease } from "./lease.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Long enough that none runs out while a test runs, unless the test makes it. */
const MS = 600_000;

const runOut = (query: Query) => query("UPDATE counting.leases SET until = '-infinity'");

Deno.test("hold() gives each piece of work to one process, until that releases it or its lease expires", async () => {
  await withDatabase(async ({ query }) => {
    const [first, second] = [1, 2].map(() => new Lease(query, "sweeping", MS));
    const other = new Lease(query, "washing", MS);
    assert.equal(await first.hold(), true);
    assert.equal(await second.hold(), false);
    assert.equal(await other.hold(), true);
    assert.equal(await first.hold(), true, "it is renewed");
    await second.release();
    assert.equal(await second.hold(), false, "what one does not have one cannot let go of");
    await first.release();
    assert.equal(await second.hold(), true);
    assert.equal(await first.hold(), false);
    await runOut(query);
    assert.equal(await first.hold(), true);
    assert.equal(await second.hold(), false, "it was lost");
  });
});

Deno.test("runInTurn() works while the lease is held, stops when it is lost, and hands it on at the end", async () => {
  await withDatabase(async ({ query }) => {
    const working = new Set<string>();
    let most = 0;
    const start = (name: string) => {
      const stop = new AbortController();
      const done = new Lease(query, "sweeping", 30).runInTurn(stop.signal, async (signal) => {
        working.add(name);
        most = Math.max(most, working.size);
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        working.delete(name);
      }, (error) => assert.fail(error as Error));
      return async () => {
        stop.abort();
        await done;
      };
    };
    const stopFirst = start("first");
    await eventually("the first works", () => working.has("first"));
    const stopSecond = start("second");
    await stopFirst();
    await eventually("the second works", () => working.has("second"));
    // As if another process had taken it, which sleeps from now on.
    await query("UPDATE counting.leases SET process = gen_random_uuid(), until = 'infinity'");
    await eventually("the second has stopped", () => working.size === 0);
    await runOut(query);
    await eventually("the second works again", () => working.has("second"));
    await stopSecond();
    assert.equal(most, 1);
  });
});

Deno.test("runInTurn() does not work while it is not known whose turn it is, and goes on when it is", async () => {
  await withDatabase(async ({ query }) => {
    let isAway = true;
    const faults: unknown[] = [];
    const asked: Query = (sql, params) => isAway ? Promise.reject(new Error("away")) : query(sql, params);
    const stop = new AbortController();
    let works = false;
    const done = new Lease(asked, "sweeping", 30).runInTurn(stop.signal, async (signal) => {
      works = true;
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      works = false;
    }, (error) => faults.push(error));
    await eventually("it is said twice", () => faults.length >= 2);
    assert.equal(works, false);
    isAway = false;
    await eventually("it works", () => works);
    isAway = true;
    await eventually("it has stopped", () => !works);
    isAway = false;
    stop.abort();
    await done;
  });
});
