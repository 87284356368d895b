/**
 * The crash test: aggregator and gateways as processes of their own, killed under load at every point where a vote could
 * be lost or counted twice; a spool that burns, and one that comes back from a backup; a log and a database that are
 * not what they were. `deno task test:crash` runs it; by hand:
 * `POLLWIRE_RUNS=full CRASH_HITS=50 deno test -A tests/crash/`.
 */
import assert from "assert";
import { cpSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { entryRecords, voteBytesFor } from "../../shared/record.ts";
import { openSqliteLog } from "../../shared/log/sqlite.ts";
import type { Reconciliation } from "../../simulator/run/aggregator.ts";
import { seededRandom } from "../../simulator/random.ts";
import { CRASH_POINTS, type CrashPoint } from "./crash_point.ts";
import type { Round } from "./load.ts";
import { killAt, killAtAnyMoment, whileCasting } from "./kills.ts";
import { longTest } from "../runs.ts";
import { AGGREGATOR, until } from "./processes.ts";
import { GATEWAYS, Scene } from "./scene.ts";

/** Minimum hits of each point. */
const HITS = Number(Deno.env.get("CRASH_HITS") || 10);
const SEED = Number(Deno.env.get("CRASH_SEED") || Date.now() % 1e9);
const VOTES_PER_SECOND = 200;
/** How often a spool is lost, and how often one comes back. */
const SPOOLS = Math.ceil(HITS / 5);
/** Rounds with kills: at each point, and at any moment; and those with none: spools that are lost or come back, and the log. */
const KILLED_ROUNDS = Object.keys(CRASH_POINTS).length + 1;
const OTHER_ROUNDS = 2 * SPOOLS + 1;
/** Records that a spool holds before it is lost. */
const SPOOLED = 100;
/** How long devices wait for the aggregator's word before they hand a vote to their other gateway, in milliseconds. */
const SEND_AGAIN_AFTER_MS = 1_000;
/** How long anything else may take before the test fails, in milliseconds. */
const DEADLINE_MS = 120_000;

const [BURNT] = GATEWAYS;

longTest("no vote that was acknowledged is lost or counted twice, whatever dies", {
  sanitizeOps: true,
  sanitizeResources: true,
}, async (t) => {
  const scene = await Scene.open({
    rounds: KILLED_ROUNDS + OTHER_ROUNDS,
    kills: KILLED_ROUNDS * HITS,
    votesPerSecond: VOTES_PER_SECOND,
    seed: SEED,
  });
  const random = seededRandom(SEED, "kills");
  let sound = true;
  const step = async (name: string, fn: () => Promise<void>) => {
    // The processes outlive the step that started them; the test as a whole must leave nothing behind.
    sound &&= await t.step({ name, fn, sanitizeOps: false, sanitizeResources: false });
  };
  try {
    for (const [point, { when }] of Object.entries(CRASH_POINTS)) {
      await step(
        `killed at ${point}, ${HITS} times: ${when}`,
        () => killAt(scene, point as CrashPoint, HITS, random),
      );
    }
    await step(
      `killed at any moment, ${HITS} times, all at once`,
      () => killAtAnyMoment(scene, HITS, random),
    );
    await step("a recount finds the same, and so does what is shown", () => recounts(scene, { keep: true }));
    await step("a spool that is lost: devices send its votes to the other gateway", () => burnSpools(scene));
    await step(
      "a spool from an hour ago: what it forwards again is not counted again",
      () => restoreSpools(scene),
    );
    await step("a recount finds the same once more", () => recounts(scene));
    await step("tables rebuilt from the log are the same", () => rebuilds(scene));
    await step("a log that is another one stops the count", () => replaceLog(scene));
    await step("a log that was cut off stops the count", () => truncateLog(scene));
    await step(
      "a database from an earlier backup stops the count, and is rebuilt",
      () => restoreDatabase(scene),
    );
  } finally {
    console.log(`\n${scene.table()}\nseed ${SEED}`);
    await scene.close({ keep: !sound });
  }
});

/** A gateway whose log cannot be reached dies, and its spool with it. */
async function burnSpools(scene: Scene): Promise<void> {
  await repeat(SPOOLS, () =>
    scene.round("spool destroyed", async (round) => {
      await cutOff(scene);
      await castIntoSpool(scene, round);
      await scene.processes.kill(BURNT);
      removeSpool(scene);
      await scene.start();
      await handedOn(round);
      return 1;
    }, { sendAgainAfterMs: SEND_AGAIN_AFTER_MS }));
}

/**
 * A spool is copied while it holds records, which are then forwarded; more votes go to the log, and more into the
 * spool, before the copy takes its place.
 */
async function restoreSpools(scene: Scene): Promise<void> {
  const { processes, dataDir } = scene;
  const spool = `${dataDir}/${BURNT}`;
  await repeat(SPOOLS, () =>
    scene.round("spool restored", async (round) => {
      await cutOff(scene);
      const copied = await castIntoSpool(scene, round);
      await processes.kill(BURNT);
      cpSync(spool, `${spool}.copy`, { recursive: true });
      await scene.start();
      const { total } = await scene.drained();
      const isRead = async () => (await scene.reconciliation()).total.read >= total.read + SPOOLED;
      await whileCasting(round, () => until(`${SPOOLED} more records are read`, DEADLINE_MS, isRead));
      await cutOff(scene);
      await castIntoSpool(scene, round);
      await processes.kill(BURNT);
      const before = (await scene.drained()).total;
      Deno.removeSync(spool, { recursive: true });
      Deno.renameSync(`${spool}.copy`, spool);
      await scene.start();
      const after = (await scene.drained()).total;
      assert.equal(votesOf(after) - votesOf(before), copied, "what was in the copy is on the log again");
      assert.equal(after.counted, before.counted);
      await handedOn(round);
      return 1;
    }, { sendAgainAfterMs: SEND_AGAIN_AFTER_MS }));
}

/** Records that are votes: gateways' statements come besides. */
function votesOf({ read, statements }: Reconciliation["total"]): number {
  return read - statements;
}

/** Asks the aggregator about the votes until devices have handed some to their other gateway. */
async function handedOn(round: Round): Promise<void> {
  round.ask();
  await until(
    "devices send votes again that the aggregator does not know",
    DEADLINE_MS,
    () => round.sentAgain > 0,
  );
}

/** Restarts a gateway so that it cannot reach the log. */
async function cutOff({ processes, dataDir }: Scene): Promise<void> {
  await processes.kill(BURNT);
  await Deno.writeTextFile(`${dataDir}/no-log`, "a file, where a directory should be");
  await processes.start(BURNT, { environment: { VOTE_LOG: `sqlite:${dataDir}/no-log` } });
}

/** Casts until a gateway that cannot reach its log has enough in its spool. Returns how many records it has. */
async function castIntoSpool({ processes }: Scene, round: Round): Promise<number> {
  const spooled = async () => (await processes.health(BURNT)).spool?.records ?? 0;
  await whileCasting(
    round,
    () => until(`${BURNT} has ${SPOOLED} records`, DEADLINE_MS, async () => await spooled() >= SPOOLED),
  );
  return await spooled();
}

function removeSpool({ dataDir }: Scene): void {
  for (const { name } of Deno.readDirSync(`${dataDir}/${BURNT}`)) {
    if (name.startsWith("spool.sqlite")) Deno.removeSync(`${dataDir}/${BURNT}/${name}`);
  }
}

/**
 * Compares what is shown with the ledgers, then stops everything and compares the tables with the log.
 *
 * @param keep Whether a copy of the database as it is now is kept.
 */
async function recounts(scene: Scene, { keep = false } = {}): Promise<void> {
  await scene.start();
  await scene.compare();
  await scene.stop();
  assert.match(await scene.processes.command("recount", "--all"), / 0 differences$/m);
  if (keep) cpSync(`${scene.dataDir}/db`, `${scene.dataDir}/db.older`, { recursive: true });
}

/** Everything must be stopped. */
async function rebuilds(scene: Scene): Promise<void> {
  await scene.processes.command("rebuild", "--all");
  await recounts(scene);
}

/** A log that was lost, and another in its place, empty at first: the aggregator stops until the first one is back. */
async function replaceLog(scene: Scene): Promise<void> {
  const { dataDir } = scene;
  await scene.round("log replaced", async (round) => {
    const { total } = await scene.reconciliation();
    await scene.stop();
    Deno.renameSync(`${dataDir}/log`, `${dataDir}/log.first`);
    await refusesToCount(scene, /the log is another one/, votesOf(total));
    await scene.start();
    const hasRecords = async () => await recordsOnLog(scene) >= SPOOLED;
    await whileCasting(round, () => until(`the new log has ${SPOOLED} records`, DEADLINE_MS, hasRecords));
    assert.equal(votesOf((await scene.reconciliation()).total), votesOf(total));
    await scene.stop();
    Deno.removeSync(`${dataDir}/log`, { recursive: true });
    Deno.renameSync(`${dataDir}/log.first`, `${dataDir}/log`);
    await scene.start();
    await handedOn(round);
    return 1;
  }, { sendAgainAfterMs: SEND_AGAIN_AFTER_MS });
  await scene.compare();
}

/** A log that lost its newest record. */
async function truncateLog(scene: Scene): Promise<void> {
  const { dataDir } = scene;
  const { total } = await scene.reconciliation();
  await scene.stop();
  cpSync(`${dataDir}/log`, `${dataDir}/log.whole`, { recursive: true });
  const log = new DatabaseSync(logFile(scene));
  log.exec(`
    DELETE FROM records WHERE id = (SELECT max(id) FROM records);
    UPDATE ends SET next_offset = next_offset - 1 WHERE partition = (SELECT max(partition) FROM ends);
  `);
  log.close();
  await refusesToCount(scene, /the log was truncated/, votesOf(total));
  await scene.stop();
  Deno.removeSync(`${dataDir}/log`, { recursive: true });
  Deno.renameSync(`${dataDir}/log.whole`, `${dataDir}/log`);
  await scene.start();
  await scene.compare();
}

/** Restores the database as it was before the spools were lost; the log gives the rest. */
async function restoreDatabase(scene: Scene): Promise<void> {
  const { dataDir, processes } = scene;
  await scene.stop();
  Deno.removeSync(`${dataDir}/db`, { recursive: true });
  Deno.renameSync(`${dataDir}/db.older`, `${dataDir}/db`);
  await refusesToCount(scene, /the database is older than the log/);
  await processes.stop(AGGREGATOR);
  await rebuilds(scene);
}

/** Starts the aggregator, which must not be ready, say why, and read no vote: it may have read what gateways stated as they stopped. */
async function refusesToCount(scene: Scene, why: RegExp, votes?: number): Promise<void> {
  const { processes } = scene;
  await processes.start(AGGREGATOR, { ready: false });
  // Until its log has been looked at it is not ready either.
  await until(
    `the aggregator says ${why}`,
    DEADLINE_MS,
    async () => why.test((await processes.health(AGGREGATOR)).why ?? ""),
  );
  if (votes !== undefined) assert.equal(votesOf((await scene.reconciliation()).total), votes);
}

async function recordsOnLog({ dataDir, definition }: Scene): Promise<number> {
  const { election, partitions } = definition;
  const voteBytes = voteBytesFor(definition);
  const log = openSqliteLog(`${dataDir}/log`, election, partitions);
  let records = 0;
  for (let partition = 0; partition < partitions; partition++) {
    for (const entry of await log.read(partition, 0, await log.end(partition))) {
      records += entryRecords(entry, voteBytes) ?? 1;
    }
  }
  await log.close();
  return records;
}

function logFile({ dataDir, definition }: Scene): string {
  return `${dataDir}/log/votes.${definition.election}.sqlite`;
}

async function repeat(times: number, work: () => Promise<void>): Promise<void> {
  for (let n = 1; n <= times; n++) await work();
}
