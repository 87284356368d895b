import assert from "assert";
import { indexElection, type Manifest } from "../../shared/election.ts";
import { marksOf } from "../../shared/marks.ts";
import { testManifest } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { layoutOf, layoutWith, makeLayout, writeLayouts } from "./layouts.ts";

const db = await testDatabase();
const MANIFEST = testManifest();

function effective(...manifests: Manifest[]) {
  return manifests.map((manifest, i) => ({ effectiveAtMs: i, index: indexElection(manifest) }));
}

/** The manifest with its first contest's candidates changed. */
function withCandidates(ids: readonly string[]): Manifest {
  const [first, ...others] = MANIFEST.contests;
  const candidates = ids.map((id) => ({ id, name: id }));
  return { ...MANIFEST, contests: [{ ...first!, candidates }, ...others] };
}

const marksAt = (manifest: Manifest, station: string) =>
  marksOf(indexElection(manifest), { station, selections: [] });

Deno.test("layoutOf() has ballots first, then each contest's candidates, undervotes and blanks", () => {
  const { contests, candidates, ballots, indexOf } = layoutOf(marksAt(MANIFEST, "n-2"), effective(MANIFEST));
  assert.deepEqual(contests, Array(contests.length).fill("mayor"));
  assert.equal(ballots, 1);
  const [mayor] = MANIFEST.contests;
  assert.deepEqual(candidates, [
    "#ballots",
    ...mayor!.candidates.map(({ id }) => id),
    "#undervotes",
    "#blank",
  ]);
  assert.equal(indexOf.get("mayor/#ballots"), 0);
  const both = layoutOf(marksAt(MANIFEST, "n-1"), effective(MANIFEST));
  assert.equal(both.ballots, 2);
  assert.deepEqual(both.candidates.slice(0, 2), ["#ballots", "#ballots"]);
});

Deno.test("layoutOf() keeps the order of candidates when a later manifest shuffles, drops and adds some", () => {
  const [old, later] = [withCandidates(["ann", "bob"]), withCandidates(["zoe", "bob"])];
  const marks = marksAt(old, "n-2");
  const before = layoutOf(marks, effective(old));
  const after = layoutOf(marks, effective(old, later));
  assert.deepEqual(before.candidates, ["#ballots", "ann", "bob", "#undervotes", "#blank"]);
  assert.deepEqual(after.candidates, ["#ballots", "ann", "bob", "zoe", "#undervotes", "#blank"]);
  assert.notEqual(before.id, after.id, "what was counted by the older one keeps its meaning");
  assert.deepEqual(layoutOf(marks, effective(old, withCandidates(["bob", "ann"]))), before);
});

Deno.test("layoutOf() of a station without contests has no options", () => {
  assert.deepEqual(layoutOf([], effective(MANIFEST)), makeLayout([]));
  assert.deepEqual(makeLayout([]).contests, []);
});

Deno.test("writeLayouts() writes each layout once, and nobody changes it", async () => {
  const layouts = [
    makeLayout([{ id: "null", candidates: ["null", "b"] }]),
    makeLayout([]),
    layoutWith([["mayor", "ann"]]),
  ];
  for (let i = 0; i < 2; i++) await db.transaction((query) => writeLayouts(query, "e", layouts));
  const rows = await db.query<{ id: string; ballots: number; contests: string[]; candidates: string[] }>(
    `SELECT layout::text AS id, ballots, to_json(contests) AS contests, to_json(candidates) AS candidates
     FROM counting.layouts WHERE election = 'e'`,
  );
  assert.deepEqual(
    new Map(rows.map(({ id, ...row }) => [id, row])),
    new Map(
      layouts.map(({ id, ballots, contests, candidates }) => [id, { ballots, contests, candidates }]),
    ),
  );
  await assert.rejects(
    db.query("UPDATE counting.layouts SET candidates = '{zoe}' WHERE cardinality(contests) = 1"),
    /its rows are kept as they are/,
  );
  await assert.rejects(db.query("DELETE FROM counting.layouts"), /its rows are kept as they are/);
});

Deno.test("the tables refuse a tally without a layout, and votes below 0", async () => {
  await assert.rejects(
    db.query("INSERT INTO counting.tallies VALUES ('e', 'n-1', 'early', 7, 0, 0, '{}')"),
    /foreign key/,
  );
  const { id } = layoutWith([["mayor", "ann"]]);
  await db.transaction((query) => writeLayouts(query, "e", [layoutWith([["mayor", "ann"]])]));
  await assert.rejects(
    db.query("INSERT INTO counting.tallies VALUES ('e', 'n-1', 'early', $1::text::bigint, 0, 0, '{-1}')", [
      id,
    ]),
    /check constraint/,
  );
});
