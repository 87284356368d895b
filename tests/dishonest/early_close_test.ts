import assert from "assert";
import { aggregatorConfig } from "../../aggregator/config.ts";
import { openPglite } from "../../aggregator/database/pglite.ts";
import { publishManifest } from "../../aggregator/registry/elections.ts";
import { fromHex } from "../../shared/bytes.ts";
import { AGGREGATOR, until } from "../crash/processes.ts";
import { DishonestScene, SETTLE_MS } from "./scene.ts";
import { longTest } from "../runs.ts";

/** How long ago the office closed the election: longer than a manifest is respected after a newer one. */
const CLOSED_AGO_MS = 120_000;

/** Closes the election two minutes ago, and keeps the acceptance window open, while the aggregator is stopped. */
async function closeEarly(scene: DishonestScene): Promise<void> {
  const { database } = aggregatorConfig({ POLLWIRE_DATA: scene.dataDir });
  assert.ok(database.kind === "pglite");
  const db = await openPglite(database.directory);
  try {
    const master = fromHex((await Deno.readTextFile(`${scene.dataDir}/keys/${scene.election}.key`)).trim());
    const closesMs = Date.now() - CLOSED_AGO_MS;
    // The first manifest took effect when the test began: as if that had been an hour ago.
    await db.query(
      "UPDATE registry.manifests SET effective_at = effective_at - interval '1 hour' WHERE version = 1",
    );
    await publishManifest(db, scene.election, master, new Date(closesMs), (newest) => ({
      ...newest,
      closesAt: new Date(closesMs).toISOString(),
      acceptsUntil: new Date(closesMs + 3_600_000).toISOString(),
    }));
  } finally {
    await db.close();
  }
}

longTest(
  "a gateway that did not hear of an early close changes no published result, and officials decide",
  async () => {
    const scene = await DishonestScene.open();
    const stop = new AbortController();
    const running = scene.device.run(stop.signal);
    try {
      await scene.cutOffGateway();
      const inTime = await scene.vote("voter-1");
      await until("the vote before the close is counted", SETTLE_MS, () => scene.outcomes.has(inTime));
      const before = await scene.ask("results?by=candidate");

      await scene.processes.stop(AGGREGATOR);
      await closeEarly(scene);
      await scene.processes.start(AGGREGATOR);
      await until("the other gateway hears of the close", SETTLE_MS, async () => {
        const { manifest } = await scene.json(
          scene.processes.origin("g-2"),
          `/v1/manifest?election=${scene.election}`,
        );
        return JSON.parse(manifest).version === 2;
      });

      const late = await scene.vote("voter-2");
      await until(
        "the late vote is held",
        SETTLE_MS,
        async () => await scene.outcomeOf("held/superseded") === 1,
      );
      await until(
        "the device hears that it is held",
        SETTLE_MS,
        () => scene.troubles.some((trouble) => trouble.kind === "held" && trouble.voteId === late),
      );
      const after = await scene.ask("results?by=candidate");
      assert.deepEqual(after.rows, before.rows, "nothing that was published has changed");
      assert.deepEqual(
        (await scene.store.all()).map(({ voteId }) => voteId),
        [late],
        "the device keeps the vote",
      );

      await scene.processes.stop(AGGREGATOR);
      const said = await scene.processes.command(
        ...["decide", "--election", scene.election, "--reject", "reason=superseded"],
        ...["--reason", "cast after the close", "--by", "Ada", "--approved-by", "Ben"],
      );
      assert.match(said, /1 held records: reject/);
      await scene.processes.start(AGGREGATOR);
      await until("the device hears of the decision", SETTLE_MS, () => scene.outcomes.has(late));
      assert.equal(scene.outcomes.get(late)!.reason, "by_decision");
      stop.abort();
      await running;
      await scene.processes.stop(AGGREGATOR);
      assert.match(await scene.processes.command("recount", "--all"), / 0 differences/);
      await scene.processes.command("rebuild", "--all");
      assert.match(await scene.processes.command("recount", "--all"), / 0 differences/);
    } finally {
      stop.abort();
      await running;
      await scene.close();
    }
  },
);
