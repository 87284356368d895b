/**
 * A rolling upgrade under load, as docs/operations.md describes it: from an earlier version to the one that is tested, process by
 * process, both versions side by side. By hand: `POLLWIRE_STACK=1 deno test -A tests/stack/upgrade_test.ts`.
 */
import assert from "assert";
import { whileCasting } from "../crash/kills.ts";
import type { Round } from "../crash/load.ts";
import { ROOT, until } from "../crash/processes.ts";
import { GATEWAYS, Scene } from "../crash/scene.ts";
import { type Broker, startBroker } from "./broker.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { command } from "./local_stack.ts";
import { STACK } from "./server.ts";

/** The commit that is upgraded from: one that passed CI, with another database and another spool. Move it with each release. */
const PREVIOUS = "f58cb88";
const AGGREGATORS = ["aggregator-1", "aggregator-2"] as const;
const VOTES_PER_SECOND = 60;
/** The tables, and processes one by one. */
const UPGRADES = GATEWAYS.length + AGGREGATORS.length + 1;
/** Votes that must be counted between two upgrades, by both versions. */
const COUNTED = 40;
/** How long anything may take before the test fails, in milliseconds. */
const DEADLINE_MS = 180_000;

const hasHistory = STACK && await holds(PREVIOUS);
const leftOut = STACK ? "left out: this clone has no history" : "skipped: POLLWIRE_STACK is not set";

Deno.test({
  name: `a rolling upgrade under load loses no vote, and the page never goes back${
    hasHistory ? "" : ` (${leftOut})`
  }`,
  ignore: !hasHistory,
  sanitizeOps: true,
  sanitizeResources: true,
  async fn() {
    const previous = await Deno.makeTempDir({ prefix: "pollwire-previous-" });
    let scene: Scene | undefined, broker: Broker | undefined, cluster: Cluster | undefined;
    let sound = false;
    try {
      await unpack(PREVIOUS, previous);
      [broker, cluster] = await Promise.all([startBroker(), startCluster()]);
      scene = await Scene.open({
        rounds: 1,
        kills: UPGRADES + 1,
        votesPerSecond: VOTES_PER_SECOND,
        seed: Date.now() % 1e9,
        environment: {
          VOTE_LOG: `kafka://${broker.address}`,
          DATABASE_URL: cluster.url(await cluster.createDatabase()),
        },
        aggregators: AGGREGATORS,
        root: previous,
      });
      await upgradeAll(scene);
      await scene.compare();
      await scene.stop();
      assert.match(await scene.processes.commandOf(ROOT, "recount", "--all"), / 0 differences$/m);
      sound = true;
    } finally {
      if (scene !== undefined) console.log(`\n${scene.table()}`);
      await scene?.close({ keep: !sound });
      await broker?.remove();
      await cluster?.remove();
      await Deno.remove(previous, { recursive: true });
    }
  },
});

/** Tables first, then gateways, then aggregators, one after another. */
async function upgradeAll(scene: Scene): Promise<void> {
  const { processes } = scene;
  await scene.round("rolling upgrade", async (round) => {
    round.ask();
    await whileCasting(round, async () => {
      await countsOn(scene, round);
      const startMs = performance.now();
      await processes.commandOf(ROOT, "migrate");
      await countsOn(scene, round);
      for (const name of [...GATEWAYS, ...AGGREGATORS]) {
        await processes.stop(name);
        processes.upgrade(name);
        await processes.start(name);
        await countsOn(scene, round);
      }
      console.log(`upgraded from ${PREVIOUS} in ${((performance.now() - startMs) / 1_000).toFixed(1)} s`);
    });
    return UPGRADES;
  });
  assert.ok(scene.answers > UPGRADES, "results were watched meanwhile");
}

/** Lets more voters vote, and waits until so many more votes are counted. */
async function countsOn(scene: Scene, round: Round): Promise<void> {
  round.letIn();
  const counted = async () => (await scene.reconciliation()).total.counted;
  let from: number | undefined;
  await until(`${COUNTED} more votes are counted`, DEADLINE_MS, async () => {
    const now = await counted().catch(() => undefined);
    from ??= now;
    return now !== undefined && now >= from! + COUNTED;
  });
}

/** Whether this clone has a commit: a shallow one has its newest only. */
async function holds(commit: string): Promise<boolean> {
  const { code } = await command("git", ["-C", ROOT, "cat-file", "-e", `${commit}^{commit}`]).catch(() => ({
    code: 1,
  }));
  return code === 0;
}

async function unpack(commit: string, directory: string): Promise<void> {
  const archive = `${directory}/archive.tar`;
  for (
    const [program, ...args] of [
      ["git", "-C", ROOT, "archive", "--output", archive, commit],
      ["tar", "-xf", archive, "-C", directory],
    ]
  ) {
    const { code, error } = await command(program, args);
    assert.equal(code, 0, error);
  }
  await Deno.remove(archive);
}
