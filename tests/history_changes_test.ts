/**
 * History changes while votes stream: over several partitions and counters, with clocks apart. Whatever the order, a
 * recount finds what was counted, and a rebuild makes the same tables.
 *
 * @module
 */
import assert from "assert";
import fc from "fast-check";
import { createCounter } from "../aggregator/counting/count.ts";
import { decide } from "../aggregator/counting/decide.ts";
import { openHistory, type RegisteredHistory } from "../aggregator/counting/history.ts";
import { readHeld } from "../aggregator/counting/held.ts";
import { rebuild } from "../aggregator/counting/rebuild.ts";
import { recount } from "../aggregator/counting/recount.ts";
import { withdrawUnfounded } from "../aggregator/results/withdraw.ts";
import { readTables } from "../aggregator/counting/tables.ts";
import type { Database } from "../aggregator/database/database.ts";
import { publishManifest, revokeDeviceKey } from "../aggregator/registry/elections.ts";
import { revokeGatewayKey, rotateGatewayKey } from "../aggregator/registry/gateway_keys.ts";
import { OfficeError } from "../aggregator/registry/office_error.ts";
import { HELD_REASONS, type HeldReason } from "../shared/outcome.ts";
import { logEnds } from "../shared/log/vote_log.ts";
import { type BallotBox, openBallotBox, testVoter } from "./ballot_box.ts";
import { MASTER, NOON_MS } from "./fixture.ts";
import { reachesAll } from "./reaches_all.ts";
import { FULL_RUN, runs } from "./runs.ts";
import { testDatabase } from "./test_database.ts";

const db = await testDatabase();
const VOTERS = 12;
const COUNTERS = 2;
const MINUTE_MS = 60_000;
const iso = (ms: number) => new Date(ms).toISOString();
const never = new AbortController().signal;

const voter = fc.integer({ min: 0, max: VOTERS - 1 });
const heldReason = fc.constantFrom(...Object.keys(HELD_REASONS) as HeldReason[]);

/** One thing that happens. A minute passes with each. */
const event = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      kind: fc.constant("cast" as const),
      voter,
      vote: fc.integer({ min: 0, max: 1 }),
      station: fc.constantFrom("n-1", "n-1", "n-2", "s-1"),
      mode: fc.constantFrom(...Array<"in_person">(5).fill("in_person"), "provisional" as const),
      gateway: fc.constantFrom("g-1", "g-2"),
      /** How far the gateway's clock is ahead, in minutes. */
      ahead: fc.constantFrom(0, 0, 0, 0, 7, -7),
      /** How long the record takes to the log, in minutes. */
      delay: fc.constantFrom(0, 0, 3, 15),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("count" as const),
      counter: fc.integer({ min: 0, max: COUNTERS - 1 }),
      partition: fc.integer({ min: 0, max: 2 }),
    }),
  },
  fc.record({ kind: fc.constant("close" as const) }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("extend" as const) }) },
  fc.record({ kind: fc.constant("move" as const) }),
  fc.record({ kind: fc.constant("enrol" as const), voter }),
  fc.record({ kind: fc.constant("rotate" as const) }),
  fc.record({ kind: fc.constant("revoke gateway" as const) }),
  fc.record({ kind: fc.constant("revoke device" as const) }),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("decide" as const),
      action: fc.constantFrom("admit" as const, "reject" as const, "defer" as const, "readmit" as const),
      reason: heldReason,
    }),
  },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

Deno.test("whatever changes while votes stream, a recount and a rebuild find what was counted", async () => {
  let run = 0;
  const reached = new Set<string>();
  const property = () =>
    fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 10, maxLength: 60 }), async (events) => {
        const world = await openWorld(`history-${run++}`);
        let nowMs = NOON_MS;
        for (const each of events) {
          nowMs += MINUTE_MS;
          await happen(world, each, nowMs);
        }
        for (let partition = 0; partition < 3; partition++) await countPartition(world, 0, partition);
        const { box } = world;
        await box.history.reload(db.query);
        const found = await recount(db, box.log, box.history);
        assert.equal(found.differences, 0, JSON.stringify(found.shown));
        const tables = await readTables(db.query, box.election);
        const held = await readHeld(db.query, box.election);
        await rebuild(db, box.log, box.history, MASTER, new Date(nowMs), withdrawUnfounded);
        assert.deepEqual(await readTables(db.query, box.election), tables);
        assert.deepEqual(await readHeld(db.query, box.election), held);
        for (const key of tables.outcomes.keys()) reached.add(key.slice(key.indexOf("/") + 1));
      }),
      { numRuns: Number(Deno.env.get("HISTORY_RUNS") ?? runs(100, 20)) },
    );
  // A short run does not reach every outcome.
  if (!FULL_RUN) return await property();
  const wanted = [
    "counted",
    "duplicate/double_vote",
    "rejected/by_decision",
    "rejected/unknown_voter",
    "rejected/not_open",
  ]
    .concat(Object.keys(HELD_REASONS).map((reason) => `held/${reason}`));
  await reachesAll(property, () => wanted.filter((outcome) => !reached.has(outcome)));
});

/** An election whose counter knows the first change only; `meanwhile` reads the rest, as another partition's counter would. */
async function openBehind(election: string, meanwhile: "after judging" | "after committing") {
  const box = await openBallotBox(db, election);
  const { history, log } = box;
  await box.enrol([testVoter("late")]);
  const closed = { closesAt: iso(NOON_MS), acceptsUntil: iso(NOON_MS + 60 * MINUTE_MS) };
  await publishManifest(db, election, MASTER, new Date(NOON_MS), (newest) => ({ ...newest, ...closed }));
  box.logMs = NOON_MS + 10 * MINUTE_MS;
  await box.cast("late", { castAt: iso(NOON_MS + 9 * MINUTE_MS), acceptedAt: iso(box.logMs) });
  let isTaken = false;
  const other: Database = {
    ...db,
    async query(sql, params) {
      if (isTaken && meanwhile === "after judging") await history.reload(db.query);
      return await db.query(sql, params);
    },
    transaction: (work, isolation) =>
      db.transaction(work, isolation).finally(() =>
        isTaken && meanwhile === "after committing" ? history.reload(db.query) : undefined
      ),
  };
  const counter = createCounter({ db: other, log, history, signal: never, wait: () => Promise.resolve() });
  const partition = (await logEnds(log)).indexOf(1);
  await counter.take(partition);
  isTaken = true;
  assert.equal(history.revision, 1);
  return { box, count: async () => await counter.batch(partition, await log.read(partition, 0, 1)) };
}

for (const meanwhile of ["after judging", "after committing"] as const) {
  Deno.test(`a batch is judged again when the history was read again ${meanwhile} it`, async () => {
    const { box, count } = await openBehind(`behind-${meanwhile.replace(" ", "-")}`, meanwhile);
    await count();
    const { outcomes } = await readTables(db.query, box.election);
    assert.deepEqual([...outcomes.keys()].map((key) => key.replace(/^\d+\//, "")), ["held/superseded"]);
    assert.equal((await recount(db, box.log, box.history)).differences, 0);
  });
}

type World = Readonly<{ box: BallotBox; counters: Counting[] }>;
/** A counter with a history of its own, which it reads again only when it must. */
type Counting = Readonly<{ history: RegisteredHistory; counter: ReturnType<typeof createCounter> }>;

async function openWorld(election: string): Promise<World> {
  const box = await openBallotBox(db, election, { heldModes: ["provisional"] });
  await box.enrol(Array.from({ length: VOTERS - 3 }, (_, i) => testVoter(`voter-${i}`, { region: "north" })));
  const counters: Counting[] = [];
  for (let i = 0; i < COUNTERS; i++) {
    const history = (await openHistory(db.query, election, MASTER))!;
    const counter = createCounter({
      db,
      log: box.log,
      history,
      signal: never,
      wait: () => Promise.resolve(),
    });
    counters.push({ history, counter });
  }
  return { box, counters };
}

async function happen(world: World, each: Event, nowMs: number): Promise<void> {
  const { box } = world;
  const now = new Date(nowMs);
  const { election } = box;
  const ends = await logEnds(box.log);
  const manifest = (change: Parameters<typeof publishManifest>[4]) =>
    publishManifest(db, election, MASTER, now, change, ends);
  switch (each.kind) {
    case "cast": {
      const acceptedMs = nowMs + each.ahead * MINUTE_MS;
      box.logMs = nowMs + each.delay * MINUTE_MS;
      return await box.cast(`voter-${each.voter}`, {
        voteId: `00000000-0000-4000-8000-${String(each.voter * 10 + each.vote).padStart(12, "0")}`,
        station: each.station,
        mode: each.mode,
        castAt: iso(nowMs - MINUTE_MS),
        acceptedAt: iso(acceptedMs),
      }, each.gateway);
    }
    case "count":
      return await countPartition(world, each.counter, each.partition);
    case "close":
      return void await manifest((newest) => ({
        ...newest,
        closesAt: now.toISOString(),
        acceptsUntil: iso(nowMs + 2 * MINUTE_MS),
      }));
    case "extend":
      return void await manifest((newest) => ({
        ...newest,
        closesAt: iso(nowMs + 600 * MINUTE_MS),
        acceptsUntil: iso(nowMs + 700 * MINUTE_MS),
      }));
    case "move":
      return void await manifest((newest) => ({
        ...newest,
        gateways: newest.gateways.map((gateway) =>
          gateway.id === "g-2"
            ? { ...gateway, fallbackFor: gateway.fallbackFor.length === 0 ? ["n-1", "n-2"] : [] }
            : gateway
        ),
      }));
    case "enrol":
      return await box.enrol([testVoter(`voter-${each.voter}`)], nowMs);
    case "rotate":
      return void await rotateGatewayKey(db, election, "g-1", now, ends);
    case "revoke gateway":
      return await unless(revokeGatewayKey(db, election, "g-1", 1, now, ends), /revoked already/);
    case "revoke device":
      return void await revokeDeviceKey(db, election, MASTER, "n-1-a", 1, now, ends);
    case "decide": {
      const { action, reason } = each;
      const rejected = await db.query<{ position: string }>(
        `SELECT partition || '/' || log_offset || '/' || record_index AS position FROM counting.rejections
         WHERE election = $1 AND reason = 'by_decision'`,
        [election],
      );
      if (action === "readmit" && rejected.length === 0) return;
      const decision = action === "readmit"
        ? { action, selector: { positions: rejected.map(({ position }) => position) } }
        : { action, selector: { reason } };
      const request = { ...decision, reason: "a test", decidedBy: "Ada", approvedBy: "Ben" };
      await box.history.reload(db.query);
      return await unless(decide(db, box.log, box.history, request, now).then(() => {}), /holds no record/);
    }
  }
}

/** Counts what one partition has, with one of the counters: it takes the partition from the other. */
async function countPartition({ box, counters }: World, index: number, partition: number): Promise<void> {
  const { counter } = counters[index]!;
  const from = await counter.take(partition);
  const entries = await box.log.read(partition, from, 3);
  if (entries.length > 0) await counter.batch(partition, entries);
  if (entries.length === 3) await countPartition({ box, counters }, index, partition);
}

async function unless(done: Promise<void>, refusal: RegExp): Promise<void> {
  try {
    await done;
  } catch (error) {
    if (!(error instanceof OfficeError && refusal.test(error.message))) throw error;
  }
}
