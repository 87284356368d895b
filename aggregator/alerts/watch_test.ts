import assert from "assert";
import { Registry } from "prom-client";
import { eventually } from "../../tests/eventually.ts";
import { MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { openHistory } from "../counting/history.ts";
import type { Database } from "../database/database.ts";
import { createElection } from "../registry/elections.ts";
import { AlertSender, type OutgoingAlert } from "./alertmanager.ts";
import type { CheckResult } from "./facts.ts";
import { alertMetrics } from "./metrics.ts";
import { defaultRules } from "./rules.ts";
import { AlertWatch } from "./watch.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const db = await testDatabase();

/** What all processes of an election see: a clock, the end of the log, and gateways that ask. */
class World {
  nowMs = NOON_MS;
  lag: number | undefined = 0;
  checks: CheckResult[] = [];

  private constructor(readonly election: string) {}

  static async make(election: string): Promise<World> {
    await createElection(db, testDefinition({ election }), MASTER, new Date(NOON_MS - 7_200_000));
    const world = new World(election);
    await world.pass(0);
    return world;
  }

  /** Lets time pass; the gateways ask. */
  async pass(seconds: number): Promise<void> {
    this.nowMs += seconds * 1_000;
    await db.query(
      `INSERT INTO counting.gateway_syncs SELECT $1, g, $2::timestamptz, 0, 0 FROM unnest('{g-1,g-2}'::text[]) AS g
       ON CONFLICT (election, gateway) DO UPDATE SET seen_at = excluded.seen_at`,
      [this.election, new Date(this.nowMs).toISOString()],
    );
  }

  async rows(): Promise<{ rule: string; is_active: boolean }[]> {
    return await db.query(
      "SELECT rule, resolved_at IS NULL AS is_active FROM alerts.alerts WHERE election = $1 ORDER BY alert",
      [this.election],
    );
  }
}

/** A process that watches. */
class Process {
  readonly told: OutgoingAlert[] = [];
  readonly faults: string[] = [];
  readonly metrics = new Registry();
  looks = 0;
  readonly #stop = new AbortController();
  readonly #watch: AlertWatch;
  #running: Promise<void> | undefined;

  constructor(readonly world: World, writing: Database = db) {
    const sender = new AlertSender({
      url: "http://127.0.0.1:1",
      fetch: ((_: URL, { body }: { body: string }) => {
        this.told.push(...JSON.parse(body));
        return Promise.resolve(new Response("{}"));
      }) as unknown as typeof fetch,
      wait: () => Promise.resolve(),
      onDelivery: () => {},
      onFault: (what) => this.faults.push(what),
    });
    this.#watch = new AlertWatch({
      reading: db,
      writing,
      rules: defaultRules(),
      readChecks: () => Promise.resolve((this.looks++, world.checks)),
      senders: [sender],
      metrics: alertMetrics(this.metrics),
      signal: this.#stop.signal,
      now: () => world.nowMs,
      evaluateEveryMs: 5,
    });
  }

  async start(): Promise<this> {
    const { election, lag: _ } = this.world;
    const history = (await openHistory(db.query, election, MASTER))!;
    this.#watch.add({
      election,
      index: () => history.newest,
      logEnds: () => Promise.resolve(this.world.lag === undefined ? undefined : [this.world.lag, 0, 0]),
      onFault: (what, error) => this.faults.push(`${what}: ${error}`),
    });
    this.#running = this.#watch.run();
    return this;
  }

  noteClockAhead(gateway: string): void {
    this.#watch.noteClockAhead(this.world.election, gateway);
  }

  /** Waits until the election was looked at, from the beginning to the end, after now. */
  async looked(): Promise<void> {
    const from = this.looks;
    await eventually("it is looked at", () => this.looks >= from + 2);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

Deno.test("AlertWatch raises, tells again every minute, and tells when it is over", async () => {
  const world = await World.make("w-story");
  const process = await new Process(world).start();
  await process.looked();
  assert.deepEqual([await world.rows(), process.told], [[], []], "a quiet election tells nothing");
  world.checks = [{ check: "sums", hasPassed: false, detail: "1 is not 2" }];
  await eventually("it is told", () => process.told.length === 1);
  assert.equal(process.told[0]!.labels.alertname, "ElectionCheckFailed");
  assert.match(
    await process.metrics.metrics(),
    /pollwire_alerts_active\{election="w-story",rule="check_failed",severity="warning"\} 1/,
  );
  await process.looked();
  assert.equal(process.told.length, 1, "not again at once");
  await world.pass(60);
  await eventually("it is told again", () => process.told.length === 2);
  assert.deepEqual(process.told[1], process.told[0]);
  world.checks = [];
  await process.looked();
  await world.pass(15);
  await eventually("it is over", () => process.told.length === 3);
  const { endsAt, ...same } = process.told[2]!;
  assert.deepEqual([same, endsAt], [process.told[0], new Date(world.nowMs).toISOString()]);
  await eventually(
    "nothing is active",
    async () => !/pollwire_alerts_active\{/.test(await process.metrics.metrics()),
  );
  await process.stop();
  assert.deepEqual(process.faults, []);
});

Deno.test("AlertWatch goes on with an alert after a restart: it is raised once, told again, and resolved", async () => {
  const world = await World.make("w-restart");
  world.checks = [{ check: "sums", hasPassed: false, detail: "1 is not 2" }];
  const first = await new Process(world).start();
  await eventually("it is told", () => first.told.length === 1);
  await first.stop();
  await world.pass(3);
  const second = await new Process(world).start();
  await eventually("it is told at once by the next", () => second.told.length === 1);
  assert.deepEqual(second.told, first.told, "with the time at which it was raised");
  await second.stop();
  world.checks = [];
  const third = await new Process(world).start();
  await third.looked();
  await world.pass(15);
  await eventually("it is resolved", async () => (await world.rows()).every(({ is_active }) => !is_active));
  await third.stop();
  assert.deepEqual(await world.rows(), [{ rule: "check_failed", is_active: false }]);
  const fourth = await new Process(world).start();
  await eventually("who starts after it tells that it is over", () => fourth.told.length === 1);
  assert.notEqual(fourth.told[0]!.endsAt, undefined);
  await fourth.stop();
});

Deno.test("AlertWatch remembers over a restart since when a condition holds", async () => {
  const world = await World.make("w-pending");
  world.lag = 9_000;
  const first = await new Process(world).start();
  await first.looked();
  // What is remembered is stored once a minute, or with an alert.
  world.checks = [{ check: "sums", hasPassed: false, detail: "1 is not 2" }];
  await eventually("it is stored", () => first.told.length === 1);
  await first.stop();
  await world.pass(60);
  const second = await new Process(world).start();
  await eventually(
    "it is raised at once",
    () => second.told.some(({ labels }) => labels.rule === "count_lags"),
  );
  await second.stop();
});

Deno.test("of two processes one watches an election, and the other goes on when it ends", async () => {
  const world = await World.make("w-lease");
  const [one, two] = [new Process(world), new Process(world)];
  await one.start();
  await one.looked();
  await two.start();
  await one.looked();
  await one.looked();
  assert.equal(two.looks, 0);
  await one.stop();
  await two.looked();
  world.checks = [{ check: "sums", hasPassed: false, detail: "1 is not 2" }];
  await eventually("the other tells", () => two.told.length === 1);
  await two.stop();
  assert.equal((await world.rows()).length, 1);
});

Deno.test("AlertWatch raises and resolves once what flaps, though it looks all the time", async () => {
  const world = await World.make("w-flaps");
  const process = await new Process(world).start();
  for (let i = 0; i < 30; i++) {
    world.lag = i % 2 === 0 ? 6_000 : 4_000;
    await world.pass(5);
    await process.looked();
  }
  assert.deepEqual(await world.rows(), [{ rule: "count_lags", is_active: true }]);
  world.lag = 0;
  await process.looked();
  await world.pass(15);
  await process.looked();
  await process.stop();
  assert.deepEqual(await world.rows(), [{ rule: "count_lags", is_active: false }]);
});

Deno.test("AlertWatch goes on after the database failed, and adds what it noted meanwhile", async () => {
  const world = await World.make("w-fails");
  let isFailing = true;
  const failing: Database = {
    ...db,
    query: (sql, params) =>
      isFailing && /clocks_ahead/.test(sql) ? Promise.reject(new Error("it fails")) : db.query(sql, params),
  };
  const process = new Process(world, failing);
  process.noteClockAhead("g-1");
  await process.start();
  await eventually("it is told", () => process.faults.length > 0);
  assert.match(process.faults[0]!, /^the alerts of w-fails were not evaluated: Error: it fails$/);
  process.noteClockAhead("g-1");
  isFailing = false;
  await process.looked();
  const ahead = await db.query(
    "SELECT gateway, records::float8 AS records FROM counting.clocks_ahead WHERE election = 'w-fails'",
  );
  assert.deepEqual(ahead, [{ gateway: "g-1", records: 2 }]);
  await world.pass(10);
  await eventually("it is raised", () => process.told.some(({ labels }) => labels.rule === "clock_ahead"));
  await process.stop();
});
