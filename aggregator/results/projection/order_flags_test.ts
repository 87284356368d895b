import assert from "assert";
import { judgeOrder } from "./order_flags.ts";
import { readPrecincts, reportedUpTo } from "./precincts_fixture.ts";
import type { ProjectedStation } from "./stations.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const { stations } = await readPrecincts();

/** The first half of an order has reported. */
function halfOf(order: readonly ProjectedStation[]): ProjectedStation[] {
  return order.map((station, at) => at < order.length / 2 ? station : { ...station, votes: undefined });
}

Deno.test("judgeOrder() finds nothing in most random orders", () => {
  const found = Array.from(
    { length: 100 },
    (_, seed) => judgeOrder(reportedUpTo(stations, "random", 0.5, seed)),
  );
  assert.equal(found.filter(({ flags }) => flags.length > 0).length, 0);
  assert.ok(found.filter(({ uneven }) => uneven.length > 0).length <= 3);
});

Deno.test("judgeOrder() calls whole regions uneven, which the model bears", () => {
  const found = Array.from(
    { length: 20 },
    (_, seed) => judgeOrder(reportedUpTo(stations, "towns", 0.5, seed)),
  );
  assert.ok(found.every(({ uneven }) => uneven.includes("regions")));
  assert.ok(found.every(({ flags }) => flags.length === 0));
});

Deno.test("judgeOrder() flags small stations first, and large ones first", () => {
  const bySize = stations.toSorted((a, b) => a.roll - b.roll);
  for (const order of [bySize, bySize.toReversed()]) {
    assert.deepEqual(judgeOrder(halfOf(order)).flags, ["roll"]);
  }
});

Deno.test("judgeOrder() flags one side's strongholds first where an earlier election is known, and cannot otherwise", () => {
  const shareOf = ({ votes }: { votes: readonly number[] }) => votes[0] / Math.max(1, votes[0] + votes[1]);
  // Of about the same size, so that the size does not give it away.
  const alike = stations.filter(({ roll }) => roll > 1_000 && roll < 2_500);
  const order = alike.toSorted((a, b) => shareOf(a) - shareOf(b));
  assert.deepEqual(judgeOrder(halfOf(order)).flags, []);
  const known = order.map((station) => ({ ...station, earlierShare: shareOf(station) }));
  assert.deepEqual(judgeOrder(halfOf(known)).flags, ["earlier"]);
});

Deno.test("judgeOrder() finds nothing where all or none have reported", () => {
  const nothing = { flags: [], uneven: [] };
  assert.deepEqual(judgeOrder(stations), nothing);
  assert.deepEqual(judgeOrder(stations.map(({ votes: _, ...station }) => station)), nothing);
});
