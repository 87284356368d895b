import assert from "assert";
import { killAtRandom } from "./chaos.ts";
import { seededRandom } from "../random.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

async function chaos(seed: number, kills: number): Promise<string[]> {
  const stop = new AbortController();
  const done: string[] = [];
  let nowMs = 0;
  const note = (what: string) => (name: string) => {
    done.push(`${what} ${name}`);
    return Promise.resolve();
  };
  const count = await killAtRandom({ names: ["a", "b", "c"], kill: note("kill"), restart: note("restart") }, {
    everyMs: 1_000,
    clock: {
      now: () => nowMs,
      sleep: (ms) => {
        assert.ok(ms >= 500 && ms <= 1_500);
        nowMs += ms;
        if (done.length === 2 * kills) stop.abort();
        return Promise.resolve();
      },
    },
    random: seededRandom(seed),
    signal: stop.signal,
    onKill: () => {},
  });
  assert.equal(count, kills);
  return done;
}

Deno.test(
  "killAtRandom() starts again each process that it killed, and repeats itself for the same seed",
  strict,
  async () => {
    const done = await chaos(1, 30);
    for (let i = 0; i < done.length; i += 2) assert.equal(done[i]!.replace("kill", "restart"), done[i + 1]);
    assert.deepEqual(new Set(done.map((each) => each.split(" ")[1])), new Set(["a", "b", "c"]));
    assert.deepEqual(await chaos(1, 30), done);
    assert.notDeepEqual(await chaos(2, 30), done);
  },
);
