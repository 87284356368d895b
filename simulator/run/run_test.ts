import assert from "assert";
import { Failure } from "../../cli/command.ts";
import { seededRandom } from "../random.ts";
import { amidChaos, hoursAround, interruptible } from "./run.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** A stack whose processes only say what was done to them. */
function victims(done: string[], restart: () => Promise<void> = () => Promise.resolve()) {
  return {
    names: ["a"],
    kill: (name: string) => Promise.resolve(void done.push(`kill ${name}`)),
    restart: async (name: string) => {
      await restart();
      done.push(`restart ${name}`);
    },
  };
}

const clock = { now: () => 0, sleep: turn };

Deno.test("amidChaos() brings back what it killed before it returns", strict, async () => {
  const done: string[] = [];
  const { result, kills } = await amidChaos(
    victims(done, turn),
    { everyMs: 1, clock, random: seededRandom(1), onKill: () => {} },
    async () => {
      while (done.length < 5) await turn();
      return "done";
    },
  );
  assert.equal(result, "done");
  assert.ok(kills >= 3);
  assert.equal(done.length, 2 * kills);
});

Deno.test("amidChaos() fails when a process does not come back, work or not", strict, async () => {
  const restart = () => Promise.reject(new Failure("a does not start"));
  const chaos = { everyMs: 1, clock, random: seededRandom(1), onKill: () => {} };
  await assert.rejects(
    amidChaos(victims([], restart), chaos, () => new Promise(() => {})),
    /a does not start/,
  );
});

Deno.test("amidChaos() is calm when no kills are asked for", strict, async () => {
  const chaos = { everyMs: undefined, clock, random: seededRandom(1), onKill: () => {} };
  assert.deepEqual(await amidChaos(victims([]), chaos, () => Promise.resolve(7)), { result: 7, kills: 0 });
});

Deno.test(
  "interruptible() aborts its signal when the process is asked to end, lets the work clean up, and fails",
  strict,
  async () => {
    let cleaned = false;
    await assert.rejects(
      interruptible(async (signal) => {
        Deno.kill(Deno.pid, "SIGTERM");
        while (!signal.aborted) await turn();
        cleaned = true;
      }),
      (error) => error instanceof Failure,
    );
    assert.ok(cleaned);
    assert.equal(await interruptible(() => Promise.resolve(3)), 3);
  },
);

Deno.test("hoursAround() makes hours that now lies within", strict, () => {
  const now = Date.parse("2026-11-03T08:00:00.000Z");
  const { opensAt, closesAt, acceptsUntil } = hoursAround(now);
  assert.ok(Date.parse(opensAt) < now && now < Date.parse(closesAt) && closesAt <= acceptsUntil);
});
