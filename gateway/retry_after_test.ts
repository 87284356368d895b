import assert from "assert";
import { RETRY_AFTER, RetryAfter } from "./retry_after.ts";

const { firstS, doublings, doublesAfterMs, forgottenAfterMs } = RETRY_AFTER;

Deno.test("RetryAfter asks for a random wait, less than twice the least one", () => {
  const drawn = [0, 0.49, 0.5, 0.999];
  const values = drawn.map((random) => new RetryAfter(() => 0, () => random).nextS());
  assert.deepEqual(values, [firstS, firstS, firstS + 1, 2 * firstS - 1]);
});

Deno.test("RetryAfter asks for longer waits while refusals go on, up to a limit, and forgets them after a calm time", () => {
  let nowMs = 5_000;
  const retryAfter = new RetryAfter(() => nowMs, () => 0);
  const asked: number[] = [];
  for (let n = 0; n < 10 * (doublings + 2); n++) {
    asked.push(retryAfter.nextS());
    nowMs += doublesAfterMs / 10;
  }
  const expected = [0, 1, 2, 2].flatMap((doubled) => new Array(10).fill(firstS * 2 ** doubled));
  assert.deepEqual(asked, expected);
  nowMs += forgottenAfterMs;
  assert.equal(retryAfter.nextS(), firstS);
});
