import assert from "assert";
import { until } from "../crash/processes.ts";
import type { Lie } from "./gateway_main.ts";
import { DishonestScene, SETTLE_MS } from "./scene.ts";
import { longTest } from "../runs.ts";

/** Votes that each lie alters, or that nobody cast. */
const ALTERING: readonly Lie[] = ["selection", "station", "voter", "invent"];
/** Lies about everything but the vote, which no proof shows. */
const OTHERS: readonly Lie[] = ["1970", "no-manifest", "partition", "drop", "refuse"];

async function votesShown(scene: DishonestScene): Promise<string[]> {
  const { rows } = await scene.ask("results?by=candidate");
  return rows.filter(({ contest, votes }: { contest: string; votes: number }) =>
    contest === "mayor" && votes > 0
  )
    .map(({ candidate, votes }: { candidate: string; votes: number }) => `${candidate} ${votes}`);
}

longTest("a gateway that lies cannot alter, invent or take away a vote", async (t) => {
  const scene = await DishonestScene.open();
  const stop = new AbortController();
  const running = scene.device.run(stop.signal);
  let votes = 0;
  const castAmid = async (lie: Lie) => {
    await scene.lie(lie);
    const voteId = await scene.vote(`voter-${++votes}`);
    await until(`the device has an outcome (${lie})`, SETTLE_MS, () => scene.outcomes.has(voteId));
    assert.equal(scene.outcomes.get(voteId)!.outcome, "counted");
    // The aggregator answers from a cache for a moment.
    await until("it is shown", SETTLE_MS, async () => await scene.outcomeOf("counted") >= votes);
    assert.equal(await scene.outcomeOf("counted"), votes);
    assert.deepEqual(await scene.store.all(), [], "what is counted is forgotten");
  };
  try {
    for (const lie of ALTERING) {
      await t.step(
        `${lie}: bad_proof, attributed to it; the genuine vote counts by way of the fallback`,
        async () => {
          const before = await scene.outcomeOf("rejected/bad_proof");
          await castAmid(lie);
          await until(
            "the lie is read",
            SETTLE_MS,
            async () => await scene.outcomeOf("rejected/bad_proof") > before,
          );
          await until(
            "Ann's votes are shown",
            SETTLE_MS,
            async () => (await votesShown(scene)).join() === `ann ${votes}`,
          );
        },
      );
    }
    await t.step("an alert and the list of rejections name the gateway", async () => {
      const { rows } = await scene.ask("rejections");
      const lies = rows.filter(({ reason }: { reason: string }) => reason === "bad_proof");
      assert.ok(lies.length >= ALTERING.length, JSON.stringify(rows));
      assert.ok(lies.every(({ gateway }: { gateway: string }) => gateway === "g-1"), JSON.stringify(rows));
      const metrics = await (await fetch(`${scene.processes.origin("aggregator")}/metrics`)).text();
      assert.match(
        metrics,
        /pollwire_aggregator_bad_proofs_total\{election="test-2026",gateway="g-1"\} [1-9]/,
      );
    });
    for (const lie of OTHERS) {
      await t.step(
        `${lie}: the device keeps the vote until it counts by way of the fallback`,
        () => castAmid(lie),
      );
    }
    await t.step("a recount finds what was counted", async () => {
      stop.abort();
      await running;
      await scene.processes.stop("g-2");
      await scene.processes.stop("aggregator");
      assert.match(await scene.processes.command("recount", "--all"), / 0 differences/);
    });
  } finally {
    stop.abort();
    await running;
    await scene.close();
  }
});
