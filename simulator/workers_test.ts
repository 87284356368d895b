import assert from "assert";
import { eachOf, Pacer } from "./workers.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

Deno.test("eachOf() works on every item, so many at a time, and makes none ahead", strict, async () => {
  let made = 0;
  let atOnce = 0;
  let most = 0;
  const done: number[] = [];
  function* items() {
    for (let i = 0; i < 50; i++) {
      made++;
      yield i;
    }
  }
  await eachOf(items(), 3, async (item) => {
    most = Math.max(most, ++atOnce);
    assert.ok(made <= done.length + 3, "made ahead");
    await turn();
    atOnce--;
    done.push(item);
  });
  assert.equal(most, 3);
  assert.deepEqual(done.toSorted((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i));
});

Deno.test("eachOf() takes items that come in their own time", strict, async () => {
  const done: number[] = [];
  await eachOf(
    (async function* () {
      for (let i = 0; i < 10; i++) {
        await turn();
        yield i;
      }
    })(),
    4,
    (item) => Promise.resolve(void done.push(item)),
  );
  assert.equal(done.length, 10);
});

Deno.test(
  "eachOf() begins nothing more after a failure, and throws it when the rest has ended",
  strict,
  async () => {
    const begun: number[] = [];
    let ended = 0;
    let closed = false;
    function* items() {
      try {
        for (let i = 0; i < 100; i++) yield i;
      } finally {
        closed = true;
      }
    }
    await assert.rejects(
      eachOf(items(), 4, async (item) => {
        begun.push(item);
        if (item === 6) throw new Error("item 6");
        await turn();
        ended++;
      }),
      /item 6/,
    );
    assert.ok(begun.length < 12 && ended === begun.length - 1 && closed, `${begun}`);
  },
);

Deno.test("Pacer lets through its rate, with a burst of a tenth of a second", strict, async () => {
  let nowMs = 0;
  const clock = {
    now: () => nowMs,
    sleep: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
  const pacer = new Pacer(1_000, clock);
  for (let i = 0; i < 500; i++) await pacer.take(10);
  assert.ok(nowMs >= 4_900 && nowMs <= 5_000, `${nowMs} ms for 5,000 at 1,000/s`);
  nowMs += 60_000; // What was not used is not saved up.
  const fromMs = nowMs;
  for (let i = 0; i < 100; i++) await pacer.take(10);
  assert.ok(nowMs - fromMs >= 890, `${nowMs - fromMs}`);
});

Deno.test("Pacer without a rate waits for nothing", strict, async () => {
  const pacer = new Pacer(Infinity, { now: () => 0, sleep: () => Promise.reject(new Error("slept")) });
  for (let i = 0; i < 10; i++) await pacer.take(1e9);
});
