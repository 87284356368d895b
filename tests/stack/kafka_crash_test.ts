/**
 * The crash test over Kafka: aggregator and gateways killed under load at every point, and at any moment; the broker
 * killed too. By hand: `POLLWIRE_STACK=1 CRASH_HITS=20 deno test -A tests/stack/kafka_crash_test.ts`.
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { seededRandom } from "../../simulator/random.ts";
import { CRASH_POINTS, type CrashPoint } from "../crash/crash_point.ts";
import { killAt, killAtAnyMoment, whileCasting } from "../crash/kills.ts";
import { Scene } from "../crash/scene.ts";
import { type Broker, startBroker } from "./broker.ts";
import { STACK } from "./server.ts";

/** Minimum hits of each point, and kills of the broker. */
const HITS = Number(Deno.env.get("CRASH_HITS") || 2);
const SEED = Number(Deno.env.get("CRASH_SEED") || Date.now() % 1e9);
const VOTES_PER_SECOND = 100;
/** At each point, at any moment, and of the broker. */
const ROUNDS = Object.keys(CRASH_POINTS).length + 2;
/** How long the broker is away, and how long it is there before it is killed again, in milliseconds. */
const AWAY_MS = 2_000;
const THERE_MS = 6_000;

Deno.test({
  name: "over Kafka, no vote that was acknowledged is lost or counted twice, whatever dies",
  ignore: !STACK,
  sanitizeOps: true,
  sanitizeResources: true,
  async fn(t) {
    const broker = await startBroker();
    let sound = true;
    let scene: Scene | undefined;
    const step = async (name: string, fn: () => Promise<void>) => {
      sound &&= await t.step({ name, fn, sanitizeOps: false, sanitizeResources: false });
    };
    try {
      const opened = scene = await Scene.open({
        rounds: ROUNDS,
        kills: ROUNDS * HITS,
        votesPerSecond: VOTES_PER_SECOND,
        seed: SEED,
        environment: { VOTE_LOG: `kafka://${broker.address}` },
      });
      const random = seededRandom(SEED, "kills");
      for (const [point, { when }] of Object.entries(CRASH_POINTS)) {
        const kill = () => killAt(opened, point as CrashPoint, HITS, random);
        await step(`killed at ${point}, ${HITS} times: ${when}`, kill);
      }
      await step(`killed at any moment, ${HITS} times`, () => killAtAnyMoment(opened, HITS, random));
      await step(`the broker killed, ${HITS} times`, () => killBroker(opened, broker));
      await step("a recount finds the same, and so does what is shown", () => recounts(opened));
      await step("tables rebuilt from the log are the same", async () => {
        await opened.processes.command("rebuild", "--all");
        await recounts(opened);
      });
    } finally {
      console.log(`\n${scene?.table()}\nseed ${SEED}`);
      await scene?.close({ keep: !sound });
      await broker.remove();
    }
  },
});

async function killBroker(scene: Scene, broker: Broker): Promise<void> {
  let hits = 0;
  await scene.round("broker", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      while (hits < HITS) {
        round.letIn();
        await delay(THERE_MS);
        await broker.kill();
        hits++;
        await delay(AWAY_MS);
        await broker.restart();
      }
    });
    return hits;
  });
}

/** Compares what is shown with the ledgers, then stops everything and compares the tables with the log. */
async function recounts(scene: Scene): Promise<void> {
  await scene.start();
  await scene.compare();
  await scene.stop();
  assert.match(await scene.processes.command("recount", "--all"), / 0 differences$/m);
}
