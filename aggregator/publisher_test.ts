import assert from "assert";
import { eventually } from "../tests/eventually.ts";
import { testDatabase } from "../tests/test_database.ts";
import { paceMs, type Publishable, Publisher } from "./publisher.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const db = await testDatabase();

/** An election whose publishings are noted, with changes of its counts. */
class Noted implements Publishable {
  isFinal = false;
  news = false;
  failing = false;
  publishings = 0;
  readonly faults: string[] = [];

  constructor(readonly election: string) {}

  hasNews(): boolean {
    return this.news;
  }

  async publish(): Promise<boolean> {
    if (this.failing) throw new Error("it fails");
    await db.query("DELETE FROM counting.changes WHERE election = $1", [this.election]);
    this.news = false;
    this.publishings++;
    return true;
  }

  onFault(what: string): void {
    this.faults.push(what);
  }

  async change(): Promise<void> {
    await db.query("INSERT INTO counting.changes VALUES ($1, 'n-1')", [this.election]);
  }
}

/** A process that publishes these elections. */
function start(...elections: Noted[]) {
  const stop = new AbortController();
  const statements: string[] = [];
  const published: [string, number][] = [];
  const counting: typeof db = {
    ...db,
    query: (sql, params) => (statements.push(sql), db.query(sql, params)),
  };
  const publisher = new Publisher({
    db: counting,
    signal: stop.signal,
    onPublished: (election, tookMs) => published.push([election, tookMs]),
  });
  for (const each of elections) publisher.add(each);
  const running = publisher.run();
  return {
    published,
    statements,
    async stop() {
      stop.abort();
      await running;
    },
  };
}

Deno.test("paceMs() is 100 ms, up to a second under load, and 5 s after the final release", () => {
  assert.deepEqual([1, 50, 75, 80, 120, 250].map((tookMs) => paceMs(tookMs, false)), [
    100,
    100,
    150,
    400,
    600,
    1_000,
  ]);
  assert.equal(paceMs(1, true), 5_000);
});

Deno.test("Publisher publishes what has changed or has news, and nothing else", async () => {
  const [changed, news, quiet] = ["a-changed", "a-news", "a-quiet"].map((id) => new Noted(id));
  await changed!.change();
  news!.news = true;
  const process = start(changed!, news!, quiet!);
  await eventually("both were published", () => changed!.publishings + news!.publishings === 2);
  await changed!.change();
  await eventually("it is published again", () => changed!.publishings === 2);
  assert.deepEqual([news!.publishings, quiet!.publishings], [1, 0]);
  await process.stop();
  assert.deepEqual(process.published.map(([election]) => election).toSorted(), [
    "a-changed",
    "a-changed",
    "a-news",
  ]);
  assert.ok(process.published.every(([, tookMs]) => tookMs >= 0));
});

Deno.test("of two processes one publishes an election, and the other goes on at once when it ends", async () => {
  const [first, second] = [new Noted("b-shared"), new Noted("b-shared")];
  const one = start(first);
  await first.change();
  await eventually("the first publishes", () => first.publishings === 1);
  const two = start(second);
  await eventually("the second has asked for the lease", () => two.statements.length > 0);
  await first.change();
  await eventually("the first publishes on", () => first.publishings === 2);
  assert.equal(second.publishings, 0);
  const others = two.statements.filter((sql) => !sql.includes("counting.leases"));
  assert.deepEqual(others, [], "a process without a lease asks nothing else");
  await one.stop();
  await second.change();
  await eventually("the second publishes", () => second.publishings === 1);
  await two.stop();
});

Deno.test("Publisher publishes an election that only this process has, though another publishes the others", async () => {
  const [shared, again, own] = [new Noted("c-shared"), new Noted("c-shared"), new Noted("c-own")];
  const one = start(shared);
  await shared.change();
  await eventually("the first publishes", () => shared.publishings === 1);
  const two = start(again, own);
  await own.change();
  await eventually("the second publishes its own", () => own.publishings === 1);
  assert.equal(again.publishings, 0);
  await one.stop();
  await two.stop();
});

Deno.test("Publisher goes on with the others when one election cannot be published, and tries it again", async () => {
  const [failing, sound] = [new Noted("d-failing"), new Noted("d-sound")];
  failing.failing = failing.news = true;
  await sound.change();
  const process = start(failing, sound);
  await eventually("the other was published", () => sound.publishings === 1);
  assert.deepEqual(failing.faults, ["publishing of d-failing failed"]);
  failing.failing = false;
  await eventually("it is published", () => failing.publishings === 1);
  assert.equal(failing.faults.length, 1);
  await process.stop();
});
