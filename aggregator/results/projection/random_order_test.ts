import assert from "assert";
import { randomFrom, shuffled } from "./random.ts";
import { type Drawn, randomOrderInterval } from "./random_order.ts";
import { sum } from "./stations.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Stations of very different sizes, of which the largest vote otherwise. */
function uneven(stations: number, random: () => number): Drawn[] {
  return Array.from({ length: stations }, () => {
    const of = Math.round(20 + 800 * random() ** 3);
    const share = of > 500 ? 0.85 : 0.35 + 0.2 * random();
    return { votes: Math.round(of * share), of };
  });
}

const shareOf = (drawn: readonly Drawn[]) =>
  sum(drawn.map(({ votes }) => votes)) / sum(drawn.map(({ of }) => of));

Deno.test("randomOrderInterval() holds the final share at every moment of a random order, as often as it says", () => {
  const random = randomFrom(11);
  const all = uneven(120, random);
  const most = Math.max(...all.map(({ of }) => of));
  const final = shareOf(all);
  let missed = 0;
  const orders = 200;
  for (let order = 0; order < orders; order++) {
    const drawn = shuffled(all, random);
    const holds = [10, 30, 60, 90, 119].every((stations) => {
      const [low, high] = randomOrderInterval(drawn.slice(0, stations), all.length, most, 0.9);
      return low <= final && final <= high;
    });
    if (!holds) missed++;
  }
  assert.ok(missed <= 0.1 * orders, `${missed} of ${orders} orders missed`);
});

Deno.test("randomOrderInterval() narrows as stations report, down to about their share", () => {
  const random = randomFrom(5);
  const all = uneven(400, random);
  const most = Math.max(...all.map(({ of }) => of));
  const widths = [40, 100, 200, 400].map((stations) => {
    const [low, high] = randomOrderInterval(all.slice(0, stations), all.length, most, 0.9);
    return high - low;
  });
  assert.deepEqual(widths, widths.toSorted((a, b) => b - a));
  assert.ok(widths.at(-1)! < 0.05, `${widths}`);
});

Deno.test("randomOrderInterval() fails in an order that is not random, as it says", () => {
  const random = randomFrom(5);
  const all = uneven(400, random).sort((a, b) => a.votes / a.of - b.votes / b.of);
  const most = Math.max(...all.map(({ of }) => of));
  const [, high] = randomOrderInterval(all.slice(0, 200), all.length, most, 0.9);
  assert.ok(high < shareOf(all));
});

Deno.test("randomOrderInterval() says nothing of no votes, and of a station with more than the most", () => {
  assert.deepEqual(randomOrderInterval([], 10, 100, 0.9), [0, 1]);
  assert.deepEqual(randomOrderInterval([{ votes: 0, of: 0 }], 10, 100, 0.9), [0, 1]);
  assert.deepEqual(randomOrderInterval([{ votes: 90, of: 101 }], 10, 100, 0.9), [0, 1]);
});
