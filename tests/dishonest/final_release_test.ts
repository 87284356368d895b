import assert from "assert";
import { AGGREGATOR, until } from "../crash/processes.ts";
import { DishonestScene, SETTLE_MS } from "./scene.ts";
import { longTest } from "../runs.ts";

const K = 5;
const VOTES = 7;
const HOUR_MS = 3_600_000;
/** How long votes may still come after the close, in milliseconds. */
const WINDOW_MS = 3_000;

longTest(
  "the final release comes when every gateway has stated what it took and all of it was read",
  async () => {
    const closesMs = Date.now() + 4 * HOUR_MS;
    const scene = await DishonestScene.open({
      releaseThreshold: K,
      closesAt: new Date(closesMs).toISOString(),
      acceptsUntil: new Date(closesMs + WINDOW_MS).toISOString(),
    });
    const stop = new AbortController();
    const running = scene.device.run(stop.signal);
    const votersShown = async () => (await scene.ask("results?by=candidate")).voters;
    try {
      await scene.processes.start("g-1");
      for (let voter = 1; voter <= VOTES; voter++) await scene.vote(`voter-${voter}`);
      await until("all votes are counted", SETTLE_MS, () => scene.outcomes.size === VOTES);
      assert.ok(await votersShown() < VOTES, "before the end fewer than k more are not shown");

      await scene.processes.stop(AGGREGATOR);
      await scene.processes.command("provision", "--election", scene.election, "--close");
      await scene.processes.start(AGGREGATOR);
      await until("every sender key is stated", SETTLE_MS, async () => {
        const { rows } = await scene.ask("gateways");
        const keys = rows.flatMap(({ senderKeys }: { senderKeys: { stated: number | null }[] }) =>
          senderKeys
        );
        return keys.length > 0 && keys.every(({ stated }: { stated: number | null }) => stated !== null);
      });
      await until("all voters are shown", SETTLE_MS, async () => await votersShown() === VOTES);
      const { rows } = await scene.ask("results?by=candidate");
      const ann = rows.find((row: { candidate: string }) => row.candidate === "ann");
      assert.equal(ann.votes, VOTES);
      const { total } = await scene.ask("reconciliation");
      assert.ok(total.balanced && total.statements >= 1, JSON.stringify(total));
    } finally {
      stop.abort();
      await running;
      await scene.close();
    }
  },
);
