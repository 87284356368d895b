/**
 * PostgreSQL with a hot standby, under load: what a failover takes and loses, and what becomes of the server that was the primary.
 * Then restore drills: database and keys are lost, and come back from what docs/backups.md says to copy.
 * By hand: `POLLWIRE_STACK=1 deno test -A tests/stack/standby_test.ts`.
 */
import assert from "assert";
import { openPostgres } from "../../aggregator/database/postgres.ts";
import { serverPrograms } from "../../deploy/local/postgresql.ts";
import { launch, readRunning } from "../../deploy/local/processes.ts";
import { whileCasting } from "../crash/kills.ts";
import { until } from "../crash/processes.ts";
import { TEST_SESSIONS, testTarget } from "../test_database.ts";
import { endFamily } from "./family.ts";
import { command } from "./local_stack.ts";
import { OwnStack, type ServerName } from "./own_stack.ts";
import {
  counted,
  countsOn,
  type Drill,
  drillAll,
  goOn,
  recounts,
  restoreDatabase,
  restoreKeys,
  secondsSince,
} from "./restore.ts";
import { STACK } from "./server.ts";

const AGGREGATORS = ["aggregator-1", "aggregator-2"] as const;
const VOTES_PER_SECOND = 60;
/** Rounds, and waits for votes before which more voters are let in. */
const ROUNDS = 6;
const KILLS = 12;
/** How long a commit on the former primary is waited for, which must not come, in seconds. */
const FENCED_S = 3;
/** How long anything may take before the test fails, in milliseconds. */
const DEADLINE_MS = 180_000;

Deno.test({
  name: "PostgreSQL fails over to its standby under load, and no vote is lost or counted twice",
  ignore: !STACK,
  sanitizeOps: true,
  sanitizeResources: true,
  async fn(t) {
    const size = {
      rounds: ROUNDS,
      kills: KILLS,
      votesPerSecond: VOTES_PER_SECOND,
      aggregators: AGGREGATORS,
    };
    await drillAll(t, await OwnStack.start(1, ["--standby"]), size, [
      ["the standby is away: commits wait for it, votes are taken", loseStandby],
      ["the primary is killed, the standby promoted", failOver],
      ["the former primary comes back as one: nobody follows it, it commits nothing", comeBack],
      ["it comes back as standby, and is promoted while the primary runs", switchOver],
      ["both servers of PostgreSQL are lost, and restored", restoreDatabase],
      ["a recount finds the same, and so do API and index", recounts],
      ["keys are lost, and restored", restoreKeys],
      ["votes are cast and counted after all that", goOn],
    ]);
  },
});

async function loseStandby(drill: Drill): Promise<void> {
  const { scene, stack } = drill;
  await scene.round("standby away", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      await countsOn(drill, round);
      await stack.end("postgresql-2");
      const waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
      await until("a commit waits", DEADLINE_MS, async () => Number(await stack.sql(waits)) > 0);
      await stack.up();
      await countsOn(drill, round);
    });
    return 1;
  });
}

async function failOver(drill: Drill): Promise<void> {
  const { scene, stack } = drill;
  await scene.round("postgresql failover", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      await countsOn(drill, round);
      const before = await counted(stack);
      const startMs = performance.now();
      await stack.end("postgresql");
      await stack.promote();
      const promotedMs = performance.now();
      await countsOn(drill, round, before);
      const promoted = secondsSince(startMs, promotedMs);
      console.log(
        `failover: promoted ${promoted} after the kill, counting ${secondsSince(startMs)} after it`,
      );
    });
    return 1;
  });
}

/** As by an init system that starts it when its machine is back, while the promoted one serves. */
async function comeBack(drill: Drill): Promise<void> {
  const { scene, stack } = drill;
  await scene.round("former primary back", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      const directory = `${stack.data}/postgresql`;
      const server = {
        program: `${serverPrograms()}/postgres`,
        args: ["-D", `${directory}/data`],
        user: "postgres",
      };
      const former = await launch(
        server,
        directory,
        `${stack.data}/logs/former.log`,
        `${stack.data}/former.json`,
      );
      try {
        const { DATABASE_URL, DATABASE_PASSWORD_FILE } = stack.environment;
        const target = {
          ...testTarget(DATABASE_URL),
          password: Deno.readTextFileSync(DATABASE_PASSWORD_FILE),
        };
        const { others, ...alone } = target;
        await until("the former primary serves", DEADLINE_MS, async () => {
          return await portOf(alone).catch(() => undefined) === target.port;
        });
        assert.equal(
          await portOf(target),
          others![0].port,
          "of two that take writes the newer timeline is followed",
        );
        const commit = ["-h", "127.0.0.1", "-p", String(target.port), "-U", "postgres", "-d", "pollwire"];
        const { code } = await command(
          "timeout",
          [String(FENCED_S), "psql", "-XAtq", ...commit, "-c", "CREATE TABLE never_replicated (n int)"],
          { PGPASSWORD: target.password },
        );
        assert.equal(code, 124, "a commit there waits for a standby that is none any more");
        // A process that starts now has never seen which was the primary.
        await scene.processes.kill(AGGREGATORS[0]);
        await scene.processes.start(AGGREGATORS[0]);
        await countsOn(drill, round);
      } finally {
        await endFamily(former.pid, "SIGQUIT");
      }
    });
    return 1;
  });
}

async function portOf(target: ReturnType<typeof testTarget>): Promise<number> {
  const db = await openPostgres(target, { ...TEST_SESSIONS, connections: 1 });
  try {
    const [{ port }] = await db.query<{ port: number }>("SELECT inet_server_port() AS port");
    return port;
  } finally {
    await db.close();
  }
}

/** The former primary follows the promoted one, without what only it had; then they change places again. */
async function switchOver(drill: Drill): Promise<void> {
  const { scene, stack } = drill;
  await stack.up();
  const follows = "SELECT application_name || ' ' || sync_state FROM pg_stat_replication";
  await until("commits wait for it", DEADLINE_MS, async () => await stack.sql(follows) === "postgresql sync");
  await scene.round("postgresql switchover", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      await countsOn(drill, round);
      const before = await counted(stack);
      await stack.promote();
      await countsOn(drill, round, before);
    });
    return 1;
  });
  assert.equal(await isRunning(stack, "postgresql-2"), false, "a primary that still ran is ended");
  assert.equal(
    await stack.sql("SELECT inet_server_port()"),
    String(testTarget(stack.environment.DATABASE_URL).port),
  );
  assert.equal(await stack.sql("SELECT to_regclass('never_replicated') IS NULL"), "t");
  await stack.up();
}

async function isRunning(stack: OwnStack, name: ServerName): Promise<boolean> {
  return await readRunning(`${stack.data}/pids/${name}.json`) !== undefined;
}
