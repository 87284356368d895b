import assert from "assert";
import { eventually } from "../../tests/eventually.ts";
import { withElection, writeRelease } from "../../tests/seeded_database.ts";
import type { Database } from "../database/database.ts";
import { bringUp, follow, type ReleaseSink, restMs } from "./follower.ts";
import type { News, ReleaseRow } from "./releases.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Remembers what it took. */
class Sink implements ReleaseSink {
  readonly pace = { pollMs: 5, retryMs: 5, longestRetryMs: 5 };
  readonly pageReleases = 2;
  readonly taken: number[] = [];
  readonly errors: string[] = [];
  readonly at = new Map<string, number>();
  mayTake = true;
  holds: Promise<void> | undefined;
  fails = false;

  positions() {
    return this.mayTake ? this.at : undefined;
  }

  async take({ election }: News, page: () => Promise<readonly ReleaseRow[]>): Promise<boolean> {
    await this.holds;
    if (this.fails) throw new Error("away");
    const rows = await page();
    this.taken.push(...rows.map(({ revision }) => revision));
    if (rows.length > 0) this.at.set(election, rows.at(-1)!.revision);
    return rows.length === this.pageReleases;
  }

  onError(error: unknown) {
    this.errors.push((error as Error).message);
  }
}

const release = (db: Database) =>
  writeRelease(db, { station: "n-1", voters: 3, votes: { "mayor/ann": [3, 3] } });

Deno.test("bringUp() hands a sink pages in order, from where it is, and nothing when it takes none", async () => {
  await withElection(async (db) => {
    const all = [await release(db), await release(db), await release(db), await release(db)];
    const sink = new Sink();
    sink.mayTake = false;
    assert.equal(await bringUp(db.query, sink), false);
    assert.deepEqual(sink.taken, []);
    sink.mayTake = true;
    sink.at.set("test-2026", all[0]);
    assert.equal(await bringUp(db.query, sink), true);
    assert.deepEqual(sink.taken, all.slice(1, 3));
    assert.equal(await bringUp(db.query, sink), false);
    assert.deepEqual(sink.taken, all.slice(1));
  });
});

Deno.test("follow() keeps no sink waiting for one that is slow or fails, and brings that one up to date later", async () => {
  await withElection(async (db) => {
    const [quick, slow, failing] = [new Sink(), new Sink(), new Sink()];
    const hold = Promise.withResolvers<void>();
    slow.holds = hold.promise;
    failing.fails = true;
    const stop = new AbortController();
    const running = [quick, slow, failing].map((sink) => follow(db.query, sink, stop.signal));
    const all = [await release(db), await release(db), await release(db)];
    await eventually("the quick one has all", () => quick.taken.length === 3);
    await eventually("the failing one is tried again", () => failing.errors.length >= 2);
    assert.deepEqual([slow.taken, failing.taken], [[], []]);
    hold.resolve();
    failing.fails = false;
    await eventually("all have all", () => slow.taken.length === 3 && failing.taken.length === 3);
    assert.deepEqual([quick.taken, slow.taken, failing.taken], [all, all, all]);
    assert.deepEqual(new Set(failing.errors), new Set(["away"]));
    stop.abort();
    await Promise.all(running);
  });
});

Deno.test("restMs() is longer while looks take long, up to a limit", () => {
  const pace = { pollMs: 1_000, retryMs: 1, longestRetryMs: 1, restShare: 4, longestRestMs: 5_000 };
  assert.deepEqual([0, 250, 500, 1_250, 60_000].map((tookMs) => restMs(pace, tookMs)), [
    1_000,
    1_000,
    2_000,
    5_000,
    5_000,
  ]);
  assert.equal(restMs({ pollMs: 5, retryMs: 1, longestRetryMs: 1 }, 60_000), 5);
});
