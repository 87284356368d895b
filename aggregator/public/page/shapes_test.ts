import assert from "assert";
import fc from "fast-check";
import { hemicycle, ringOf, seatHolders } from "./shapes.js";

Deno.test.sanitizer({ ops: true, resources: true });

const row = (votes: number) => ({ votes });

Deno.test("ringOf() puts shares one after the other, and leaves out those of nothing", () => {
  const rows = [{ share: 0.6 }, { share: 0.4 }, { share: 0 }, { share: undefined }];
  assert.deepEqual(ringOf(rows).map(({ from, length }: any) => [from, length]), [[0, 60], [60, 40]]);
  assert.deepEqual(ringOf([]), []);
});

Deno.test("seatHolders() gives the seats to the first, and none to those who are tied for the last", () => {
  const [a, b, c, d] = [row(9), row(5), row(5), row(1)];
  assert.deepEqual(seatHolders([a, b, c, d], 3), [a, b, c]);
  assert.deepEqual(seatHolders([a, b, c, d], 2), [a, undefined]);
  assert.deepEqual(seatHolders([row(0), row(0)], 1), [undefined]);
  assert.deepEqual(seatHolders([a], 2), [a, undefined], "fewer candidates than seats");
  assert.deepEqual(seatHolders([a, row(0)], 2), [a, undefined], "nobody is elected without a vote");
});

Deno.test("hemicycle() has a place for every seat, apart from the others and inside the box", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 100 }), (seats) => {
    const { places, radius } = hemicycle(seats);
    assert.equal(places.length, seats);
    for (const [at, { x, y }] of places.entries()) {
      assert.ok(Math.abs(x) + radius <= 1.05 && -y + radius <= 1.05 && y - radius <= 0.15);
      for (const other of places.slice(at + 1)) {
        assert.ok(Math.hypot(x - other.x, y - other.y) >= 1.9 * radius, `seats of ${seats} touch`);
      }
    }
  }));
});
