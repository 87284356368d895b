/**
 * Restore drills of the log, on three brokers: disks are lost one at a time under load, then all of them, and come back as
 * docs/backups.md says.
 * By hand, with each broker in turn: `POLLWIRE_STACK=1 CRASH_HITS=3 deno test -A tests/stack/log_restore_test.ts`.
 */
import { OwnStack } from "./own_stack.ts";
import { drillAll, goOn, recounts, restoreBrokers, restoreLog } from "./restore.ts";
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
    const size = { rounds: ROUNDS, kills: WAITS, votesPerSecond: VOTES_PER_SECOND };
    await drillAll(t, await OwnStack.start(3), size, [
      ["a broker loses its disk, and copies the log from the others", (drill) => restoreBrokers(drill, HITS)],
      ["a recount finds the same, and so do API and index", recounts],
      ["the log is lost, and restored from copies of its directories", restoreLog],
      ["votes are cast and counted after all that", goOn],
    ]);
  },
});
