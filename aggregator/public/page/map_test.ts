import assert from "assert";
import { labelled, pointsOf } from "./map.js";

Deno.test.sanitizer({ ops: true, resources: true });

const place = (name: string, longitude: number, registered = 100) => ({
  name,
  longitude,
  latitude: 50,
  registered,
});
const widthOf = (name: string) => 8 * name.length;

Deno.test("labelled() names points where there is room, the largest first, and never over another point or name", () => {
  const rows = [place("Far", 0), place("Large", 10, 900), place("Beside it", 10.4), place("End", 20)];
  const points = pointsOf(rows, 600, 200) as any[];
  const names = labelled(points, 600, 200, widthOf) as any[];
  assert.equal(names[0].row.name, "Large");
  const boxes = names.map((
    { row, labelX, labelY },
  ) => [labelX - widthOf(row.name) / 2, labelY, widthOf(row.name)]);
  for (const [at, [x, y, width]] of boxes.entries()) {
    assert.ok(x >= 0 && x + width <= 600, "within the canvas");
    for (const [otherX, otherY, otherWidth] of boxes.slice(at + 1)) {
      assert.ok(Math.abs(y - otherY) >= 12 || x + width < otherX || otherX + otherWidth < x, "apart");
    }
  }
  assert.deepEqual(labelled(points, 20, 200, widthOf), [], "no room");
});

Deno.test("labelled() leaves names out where points lie close", () => {
  const rows = Array.from({ length: 200 }, (_, at) => place(`Region ${at}`, at / 10));
  const names = labelled(pointsOf(rows, 600, 200), 600, 200, widthOf);
  assert.ok(names.length > 0 && names.length < 30, `${names.length} names`);
});
