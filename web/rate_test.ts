import assert from "assert";
import fc from "fast-check";
import { RateLimiter } from "./rate.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("RateLimiter.take() lets a second's worth through at once, and then says how long to wait", () => {
  const limiter = new RateLimiter(3);
  assert.deepEqual([0, 0, 0, 0].map(() => limiter.take("a", 1_000)), [0, 0, 0, 1]);
});

Deno.test("RateLimiter.take() gives tokens back as time goes on, and never more than the burst", () => {
  const limiter = new RateLimiter(2);
  limiter.take("a", 0);
  limiter.take("a", 0);
  assert.equal(limiter.take("a", 499), 1);
  assert.equal(limiter.take("a", 500), 0);
  assert.equal(limiter.take("a", 501), 1);
  assert.deepEqual([0, 0, 0].map(() => limiter.take("a", 1_000_000)), [0, 0, 1]);
});

Deno.test("RateLimiter.take() counts each asker alone", () => {
  const limiter = new RateLimiter(1);
  assert.deepEqual(["a", "b", "a", "b"].map((asker) => limiter.take(asker, 0)), [0, 0, 1, 1]);
});

Deno.test("RateLimiter.take() neither gives nor takes tokens when the clock goes back", () => {
  const limiter = new RateLimiter(1);
  assert.equal(limiter.take("a", 10_000), 0);
  assert.equal(limiter.take("a", 0), 1);
  assert.equal(limiter.take("a", 1_000), 0);
});

Deno.test("RateLimiter.take() takes all that is asked for or nothing, and says when there will be so much", () => {
  const limiter = new RateLimiter(10, 100);
  assert.equal(limiter.take("a", 0, 95), 0);
  assert.equal(limiter.available("a", 0), 5);
  assert.equal(limiter.take("a", 0, 50), 5, "45 more at 10 a second");
  assert.equal(limiter.take("a", 0, 5), 0, "nothing was taken before");
  assert.equal(limiter.available("a", 1_950), 19);
  assert.equal(limiter.take("a", 1_000, 1_000), 9, "more than the burst: when the burst is full");
});

Deno.test("RateLimiter.available() never exceeds the burst, and a whole number of tokens", () => {
  const limiter = new RateLimiter(3, 7);
  assert.equal(limiter.available("a", 0), 7);
  limiter.take("a", 0, 7);
  assert.deepEqual([0, 300, 400, 999, 100_000].map((ms) => limiter.available("a", ms)), [0, 0, 1, 2, 7]);
});

Deno.test("RateLimiter lets no asker have more than the rate and one burst, however it asks", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.nat(300), { minLength: 1, maxLength: 100 }),
      (perSecond, gapsMs) => {
        const limiter = new RateLimiter(perSecond);
        let nowMs = 0;
        let taken = 0;
        for (const gapMs of gapsMs) {
          nowMs += gapMs;
          if (limiter.take("a", nowMs) === 0) taken++;
        }
        assert.ok(taken <= perSecond + nowMs / 1_000 * perSecond + 1e-6);
      },
    ),
    { numRuns: 1_000 },
  );
});

Deno.test("RateLimiter forgets askers past its limit, and not those that keep asking", () => {
  const limiter = new RateLimiter(1, 1, 10);
  limiter.take("a", 0);
  for (let other = 0; other < 100; other++) {
    limiter.take(`other-${other}`, 0);
    assert.equal(limiter.take("a", 0), 1);
  }
  assert.equal(limiter.take("other-0", 0), 0, "forgotten, and full");
});
