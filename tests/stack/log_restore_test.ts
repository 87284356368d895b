/**
 * Restore drills of the log, on three brokers: disks are lost one at a time under load, then all of them, and come back as
 * docs/backups.md says.
 * By hand, with each broker in turn: `POLLWIRE_STACK=1 CRASH_HITS=3 deno test -A tests/stack/log_restore_test.ts`.
 */
import { whileCasting } from "../crash/kills.ts";
import { Scene } from "../crash/scene.ts";
import { OwnStack } from "./own_stack.ts";
import { countsOn, type Drill, makeBackups, recounts, restoreBrokers, restoreLog } from "./restore.ts";
import { STACK } from "./server.ts";

const VOTES_PER_SECOND = 60;
/** Brokers that lose their disks in turn. */
const HITS = Math.min(3, Number(Deno.env.get("CRASH_HITS") || 1));
/** Rounds, and waits for votes before which more voters are let in. */
const ROUNDS = 2;
const WAITS = HITS + 1;

Deno.test({
  name: "brokers lose their disks, one at a time and all at once, and the log comes back whole",
  ignore: !STACK,
  sanitizeOps: true,
  sanitizeResources: true,
  async fn(t) {
    const stack = await OwnStack.start(3);
    let sound = true;
    let scene: Scene | undefined;
    const step = async (name: string, fn: () => Promise<void>) => {
      sound &&= await t.step({ name, fn, sanitizeOps: false, sanitizeResources: false });
    };
    try {
      // The election's keys are where its other files are.
      const { KEYS_DIRECTORY: _, ...environment } = stack.environment;
      const opened = scene = await Scene.open({
        rounds: ROUNDS,
        kills: WAITS,
        votesPerSecond: VOTES_PER_SECOND,
        seed: Date.now() % 1e9,
        environment,
      });
      const drill = { scene: opened, stack, backups: await makeBackups(stack) };
      await step(
        "a broker loses its disk, and copies the log from the others",
        () => restoreBrokers(drill, HITS),
      );
      await step("a recount finds the same, and so do API and index", () => recounts(drill));
      await step("the log is lost, and restored from copies of its directories", () => restoreLog(drill));
      await step("votes are cast and counted after all that", () => goOn(drill));
    } finally {
      console.log(`\n${scene?.table()}`);
      await scene?.close({ keep: !sound });
      await stack.remove();
    }
  },
});

async function goOn(drill: Drill): Promise<void> {
  await drill.scene.round("log restored", async (round) => {
    round.ask();
    await whileCasting(round, () => countsOn(drill, round));
    return 1;
  });
  await recounts(drill);
}
