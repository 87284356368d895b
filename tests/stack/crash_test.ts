/**
 * The crash test on real servers: two aggregators and two gateways over three brokers, PostgreSQL and Elasticsearch,
 * under load; every one of them is killed, and every server under them. By hand:
 * `POLLWIRE_STACK=1 CRASH_HITS=10 CRASH_AWAY_S=120 deno test -A tests/stack/crash_test.ts`.
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { parseLogAddress } from "../../shared/log/address.ts";
import { type Random, seededRandom } from "../../simulator/random.ts";
import { CRASH_POINTS, type CrashPoint } from "../crash/crash_point.ts";
import { killAt, killAtAnyMoment, whileCasting } from "../crash/kills.ts";
import { until } from "../crash/processes.ts";
import { GATEWAYS, Scene } from "../crash/scene.ts";
import { RESERVED_DISK_BYTES } from "../../gateway/spool.ts";
import { STACK } from "./server.ts";
import { command } from "./local_stack.ts";
import { OwnStack, type ServerName } from "./own_stack.ts";
import { makeVotesTopic, removeTopic } from "./topics.ts";

/** Minimum times that each thing is done. */
const HITS = Number(Deno.env.get("CRASH_HITS") || 1);
const SEED = Number(Deno.env.get("CRASH_SEED") || Date.now() % 1e9);
/** How long Kafka is away while votes go on being cast, in milliseconds. */
const AWAY_MS = 1_000 * Number(Deno.env.get("CRASH_AWAY_S") || 8);
const BROKERS = ["kafka-1", "kafka-2", "kafka-3"] as const;
/** Votes that must be counted while one broker is lost. */
const COUNTED_WITHOUT = 150;
const VOTES_PER_SECOND = 60;
/** Rounds, and kills before which more voters are let in; see crashAll(). */
const ROUNDS = 12;
const KILLS = 16 * HITS + 3;
/** How long a server is there before it is killed again, in milliseconds. */
const THERE_MS = 3_000;
/** How long anything else may take before the test fails, in milliseconds. */
const DEADLINE_MS = 180_000;
/** The full disk: so much more than a spool leaves free, which is taken within seconds. */
const DISK_BYTES = RESERVED_DISK_BYTES + 1_000_000;

const AGGREGATORS = ["aggregator-1", "aggregator-2"] as const;
const GUEST = "aggregator-3";

type Environment = Readonly<{ scene: Scene; stack: OwnStack; random: Random }>;

Deno.test({
  name: "on real servers, no vote that was acknowledged is lost or counted twice, whatever dies",
  ignore: !STACK,
  sanitizeOps: true,
  sanitizeResources: true,
  async fn(t) {
    const stack = await OwnStack.start(BROKERS.length);
    let sound = true;
    let scene: Scene | undefined;
    const step = async (name: string, fn: () => Promise<void>, ignore = false) => {
      if (!sound) return;
      const passed = await t.step({ name, fn, ignore, sanitizeOps: false, sanitizeResources: false });
      sound = passed || ignore;
    };
    try {
      scene = await Scene.open({
        rounds: ROUNDS,
        kills: KILLS,
        votesPerSecond: VOTES_PER_SECOND,
        seed: SEED,
        environment: stack.environment,
        aggregators: AGGREGATORS,
        guests: [GUEST],
      });
      await crashAll({ scene, stack, random: seededRandom(SEED, "kills") }, step);
    } finally {
      console.log(`\n${scene?.table()}\nseed ${SEED}`);
      await scene?.close({ keep: !sound });
      await stack.remove();
    }
  },
});

async function crashAll(
  environment: Environment,
  step: (name: string, fn: () => Promise<void>, ignore?: boolean) => Promise<void>,
): Promise<void> {
  const { scene, stack, random } = environment;
  for (const [point, { when, of }] of Object.entries(CRASH_POINTS)) {
    // What a gateway does is the same as with the embedded database: see kafka_crash_test.ts.
    if (of === "gateway") continue;
    await step(`killed at ${point}: ${when}`, () => killAt(scene, point as CrashPoint, HITS, random));
  }
  await step("gateways and aggregators killed at any moment", () => killAtAnyMoment(scene, 4 * HITS, random));
  await step("one broker of three lost: votes go on being counted without it", () => loseBroker(environment));
  for (const server of ["postgresql", "elasticsearch"] as const) {
    await step(`${server} killed`, () => endServer(environment, server, "SIGKILL"));
  }
  await step("postgresql restarted amid batches", () => endServer(environment, "postgresql", "SIGINT"));
  await step(
    "an aggregator stopped past its session: what it wakes up with is fenced",
    () => zombie(environment),
  );
  await step("a third aggregator joins, leaves, joins and dies", () => comeAndGo(environment));
  await step("Kafka away: the spool holds, then drains", () => cutOff(environment));
  const canMount = Deno.uid() === 0;
  await step(
    canMount ? "the spool's disk is full" : "the spool's disk is full (left out: only root can make one)",
    () => fillDisk(environment),
    !canMount,
  );
  await step("a recount finds the same, and so do API and index", () => recounts(environment));
  await step("tables rebuilt from the log are the same", async () => {
    await scene.processes.command("rebuild", "--all");
    await recounts(environment);
  });
  await step(
    "a topic that was created again stops the count, and is named",
    () => recreateTopic(scene, stack),
  );
}

/** A server is ended, and started again, while votes are cast. */
async function endServer({ scene, stack }: Environment, name: ServerName, signal: "SIGKILL" | "SIGINT") {
  await scene.round(`${name} ${signal}`, async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      for (let hits = 0; hits < HITS; hits++) {
        round.letIn();
        await delay(THERE_MS);
        await stack.end(name, signal);
        await stack.up();
      }
      await delay(THERE_MS);
    });
    return HITS;
  });
}

/** A random broker is lost, and comes back once many votes were cast and counted without it. */
async function loseBroker({ scene, stack, random }: Environment): Promise<void> {
  await scene.round("broker of three lost", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      for (let hits = 0; hits < HITS; hits++) {
        round.letIn();
        await delay(THERE_MS);
        await stack.end(BROKERS[random.below(BROKERS.length)]);
        round.letIn();
        const { total } = await scene.reconciliation();
        await until(`${COUNTED_WITHOUT} votes are counted without it`, DEADLINE_MS, async () => {
          return (await scene.reconciliation()).total.counted >= total.counted + COUNTED_WITHOUT;
        });
        await stack.up();
      }
      await delay(THERE_MS);
    });
    return HITS;
  });
}

/** All brokers at once, as when the network to them is cut. */
async function endKafka(stack: OwnStack): Promise<void> {
  await Promise.all(BROKERS.map((broker) => stack.end(broker)));
}

/**
 * An aggregator stops with a batch in its hands, for longer than its session. The other takes its partitions, which
 * raises their epochs; what the first one then brings to the database is refused.
 */
async function zombie({ scene, stack, random }: Environment): Promise<void> {
  const { processes } = scene;
  const [sleeper] = AGGREGATORS;
  // Once it wakes up, the database may seem not to have answered for long, and it gives its partitions up before it counts.
  const fencings = () => processes.said(sleeper).split(/another process counts|are left to others/).length;
  await scene.round("SIGSTOP", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      for (let hits = 0; hits < HITS; hits++) {
        round.letIn();
        await processes.kill(sleeper);
        const passage = 3 + random.below(5);
        await processes.start(sleeper, { crash: { point: "after-read", passage, signal: "SIGSTOP" } });
        await processes.stopped(sleeper);
        const before = fencings();
        // All of them: the other may still be taking its own share, and until the session ends nobody takes the rest.
        const owned = await epochOfEach(stack);
        await until("the other takes what it had", DEADLINE_MS, async () => {
          return (await epochOfEach(stack)).every((epoch, i) => epoch > owned[i]!);
        });
        const { total } = await scene.reconciliation();
        await until("the other goes on counting", DEADLINE_MS, async () => {
          return (await scene.reconciliation()).total.read > total.read;
        });
        processes.resume(sleeper);
        await until(`${sleeper} finds itself fenced`, DEADLINE_MS, () => fencings() > before);
      }
    });
    return HITS;
  });
}

/** How often each partition has been taken. */
async function epochOfEach(stack: OwnStack): Promise<readonly number[]> {
  const epochs = await stack.sql(
    "SELECT string_agg(epoch::text, ' ' ORDER BY election, partition) FROM counting.log_positions",
  );
  return epochs.trim().split(" ").map(Number);
}

/** How often partitions have been taken, all together. */
async function epochs(stack: OwnStack): Promise<number> {
  return (await epochOfEach(stack)).reduce((sum, epoch) => sum + epoch, 0);
}

async function comeAndGo({ scene, stack }: Environment): Promise<void> {
  const { processes } = scene;
  await scene.round("third aggregator", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      for (let hits = 0; hits < HITS; hits++) {
        for (const go of [processes.stop.bind(processes), processes.kill.bind(processes)]) {
          round.letIn();
          const before = await epochs(stack);
          await processes.start(GUEST);
          await until("partitions are shared again", DEADLINE_MS, async () => await epochs(stack) > before);
          await delay(THERE_MS);
          await go(GUEST);
        }
      }
    });
    return 2 * HITS;
  });
}

/** Kafka is away for a while; gateways go on taking votes, and hand them on when it is back. */
async function cutOff({ scene, stack }: Environment): Promise<void> {
  await scene.round("kafka away", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      round.letIn();
      await endKafka(stack);
      await delay(AWAY_MS);
      for (const name of GATEWAYS) {
        const records = async () => (await scene.processes.health(name)).spool?.records ?? 0;
        await until(`${name} holds what it took`, DEADLINE_MS, async () => await records() > 0);
      }
      await stack.up();
    });
    return 1;
  });
}

/** A gateway's disk fills up while Kafka is away: it takes no more votes, loses none, and goes on when Kafka is back. */
async function fillDisk({ scene, stack }: Environment): Promise<void> {
  const { processes, dataDir } = scene;
  const [name] = GATEWAYS;
  const disk = `${dataDir}/small-disk`;
  await Deno.mkdir(disk);
  const { code, error } = await command("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", disk]);
  assert.equal(code, 0, error);
  try {
    await scene.round("full disk", async (round) => {
      round.ask();
      await processes.stop(name);
      await processes.start(name, { environment: { GATEWAY_DATA: disk } });
      await whileCasting(round, async () => {
        await endKafka(stack);
        await until(
          `${name} refuses votes for want of room`,
          DEADLINE_MS,
          () => refusesForRoom(processes.origin(name)),
        );
        await stack.up();
        await until(`${name} takes votes again`, DEADLINE_MS, async () => {
          return (await processes.health(name)).spool?.records === 0;
        });
      });
      await scene.drained();
      await processes.stop(name);
      return 1;
    });
  } finally {
    if (processes.isRunning(name)) await processes.kill(name);
    await command("umount", [disk]);
    await scene.start();
  }
}

/** Whether a gateway has refused votes because its spool has no room. */
async function refusesForRoom(origin: string): Promise<boolean> {
  const metrics = await (await fetch(`${origin}/metrics`)).text();
  return /^pollwire_gateway_votes_total\{[^}]*answer="spool-full"[^}]*\} [1-9]/m.test(metrics);
}

/** Compares what is shown with the ledgers, then stops everything and compares the tables with the log. */
async function recounts({ scene, stack }: Environment): Promise<void> {
  await scene.start();
  await scene.compare(stack.environment.ELASTICSEARCH_URL);
  await scene.stop();
  assert.match(await scene.processes.command("recount", "--all"), / 0 differences$/m);
}

async function recreateTopic(scene: Scene, stack: OwnStack): Promise<void> {
  const address = parseLogAddress(stack.environment.VOTE_LOG);
  assert.ok(typeof address !== "string" && address.kind === "kafka");
  const { definition: { election, partitions }, processes } = scene;
  await scene.start();
  await removeTopic(address, election);
  await makeVotesTopic(address, election, partitions);
  for (const name of AGGREGATORS) {
    const why = new RegExp(`votes\\.${election}|the log is another one`);
    await until(`${name} stops the count, and says why`, DEADLINE_MS, async () => {
      const health = await processes.health(name);
      return health.status === 503 && why.test(health.why ?? "");
    });
  }
}
