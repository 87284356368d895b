import assert from "assert";
import fc from "fast-check";
import { VOTING_MODES, type VotingMode } from "../../shared/mode.ts";
import { type Cell, divide, dueBeforeFinal, type Home, homeOf, unitOf } from "./units.ts";

const REGION_OF: Record<string, string | null> = { a: "north", b: "north", c: "south", d: null };

function cell(station: string, mode: VotingMode, counted: number, change: Partial<Cell> = {}): Cell {
  return { station, mode, region: REGION_OF[station], counted, shown: 0, known: 0, snapshot: 0, ...change };
}

const units = (k: number, ...cells: Cell[]) =>
  divide(cells, k).map(({ cells }) => cells.map(({ station, mode }) => `${station}/${mode}`).sort().join(" "))
    .sort();

Deno.test("divide() merges modes within the station, the smallest first", () => {
  assert.deepEqual(units(5, cell("a", "in_person", 50), cell("a", "early", 9), cell("a", "absentee", 2)), [
    "a/absentee a/early",
    "a/in_person",
  ]);
  assert.deepEqual(
    units(5, cell("a", "in_person", 50), cell("a", "early", 3), cell("a", "absentee", 2)),
    ["a/absentee a/early", "a/in_person"],
  );
});

Deno.test("divide() merges a station that is too small with the smallest of its region, then regions", () => {
  assert.deepEqual(units(5, cell("a", "in_person", 50), cell("b", "in_person", 3), cell("c", "early", 5)), [
    "a/in_person b/in_person",
    "c/early",
  ]);
  assert.deepEqual(units(5, cell("a", "in_person", 50), cell("a", "early", 9), cell("c", "early", 4)), [
    "a/early a/in_person c/early",
  ]);
  assert.deepEqual(units(5, cell("a", "early", 2), cell("c", "early", 2)), [], "nothing to be shown at all");
});

Deno.test("divide() makes disjoint units of all cells, each of at least k, whatever the cells are", () => {
  const cells = fc.uniqueArray(
    fc.record({
      station: fc.constantFrom("a", "b", "c", "d"),
      mode: fc.constantFrom(...VOTING_MODES),
      counted: fc.integer({ min: 1, max: 20 }),
    }),
    { selector: ({ station, mode }) => `${station}/${mode}`, maxLength: 16 },
  ).map((list) => list.map(({ station, mode, counted }) => cell(station, mode, counted)));
  fc.assert(
    fc.property(cells, fc.integer({ min: 2, max: 15 }), (cells, k) => {
      const batches = divide(cells, k);
      const sum = (group: readonly Cell[]) => group.reduce((total, { counted }) => total + counted, 0);
      if (sum(cells) < k) return assert.deepEqual(batches, []);
      for (const { cells } of batches) assert.ok(sum(cells) >= k);
      const all = batches.flatMap(({ cells }) => cells);
      assert.deepEqual(new Set(all), new Set(cells));
      assert.equal(all.length, cells.length);
      assert.equal(new Set(batches.map(({ unit }) => unit.id)).size, batches.length);
      const again = divide(cells.toReversed(), k);
      assert.deepEqual(
        new Set(again.map(({ unit }) => unit.id)),
        new Set(batches.map(({ unit }) => unit.id)),
      );
    }),
    { numRuns: 500 },
  );
});

Deno.test("dueBeforeFinal() is one snapshot behind, and counts what was ever known", () => {
  const due = (change: Partial<Cell>) => {
    const { publish, snapshot } = dueBeforeFinal([cell("a", "early", 0, change)], 5);
    return [publish.length, snapshot.length];
  };
  assert.deepEqual(due({ counted: 4 }), [0, 0]);
  assert.deepEqual(due({ counted: 5 }), [0, 1]);
  assert.deepEqual(due({ counted: 9, snapshot: 5 }), [0, 0]);
  assert.deepEqual(due({ counted: 10, snapshot: 5 }), [1, 1]);
  assert.deepEqual(due({ counted: 10, known: 8 }), [0, 0]);
  assert.deepEqual(due({ counted: 13, known: 8 }), [0, 1]);
});

Deno.test("homeOf() gives an empty cell the smallest unit of its station, else of its region, else of all", () => {
  const home = (voters: number, ...cells: Cell[]): Home => ({ unit: unitOf(cells), voters });
  const [a, b, c] = [cell("a", "in_person", 9), cell("a", "early", 5), cell("c", "in_person", 3)];
  const homes = [home(9, a), home(5, b), home(3, c)];
  const of = (station: string) => homeOf(cell(station, "absentee", 1), homes)?.id;
  assert.deepEqual([of("a"), of("b"), of("c"), of("d")], [
    "a/early",
    "a/early",
    "c/in_person",
    "c/in_person",
  ]);
  assert.equal(homeOf(a, []), undefined);
});
