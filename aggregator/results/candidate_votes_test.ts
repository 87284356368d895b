import assert from "assert";
import { MemoryIndex } from "../../tests/memory_index.ts";
import { withElection, writeRelease } from "../../tests/seeded_database.ts";
import { rebuildIndices } from "./index/rebuild_index.ts";
import { LabelResolver } from "./index/label_resolver.ts";
import { votesFromIndex, votesFromResults } from "./candidate_votes.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ANN = { election: "test-2026", contest: "mayor", candidate: "ann" };
const CYD = { ...ANN, candidate: "cyd" };

Deno.test("votesFromResults() and votesFromIndex() say the same", async () => {
  await withElection(async (db) => {
    await writeRelease(db, { station: "n-1", voters: 3, votes: { "mayor/ann": [3, 3] } });
    const newest = await writeRelease(db, { station: "n-1", voters: 5, votes: { "mayor/ann": [5, 2] } });
    await writeRelease(db, { station: "n-2", voters: 4, votes: { "mayor/bob": [4, 4] } });
    const last = await writeRelease(db, {
      station: "s-1",
      mode: "early",
      voters: 9,
      votes: { "mayor/ann": [7, 7] },
    });
    assert.ok(last > newest);
    const index = new MemoryIndex();
    await index.prepare();
    await rebuildIndices({ db, index, resolver: new LabelResolver() }, ["tallies"]);
    const results = votesFromResults(db.query);
    const indexed = votesFromIndex(index, results, (error) => assert.fail(String(error)));
    assert.deepEqual(await results(ANN), { votes: 12, revision: last, from: "results" });
    assert.deepEqual(await indexed(ANN), { votes: 12, revision: last, from: "index" });
    assert.deepEqual(await results(CYD), { votes: 0, revision: 0, from: "results" });
    assert.deepEqual(await indexed(CYD), { votes: 0, revision: 0, from: "index" });
  });
});

Deno.test("votesFromIndex() asks `results` when the index fails, or does not answer", async () => {
  const answer = { votes: 1, revision: 2, from: "results" } as const;
  const errors: string[] = [];
  const ask = (index: MemoryIndex) =>
    votesFromIndex(index, async () => answer, (error) => errors.push((error as Error).message), 5)(ANN);
  const failing = new MemoryIndex();
  failing.fault = "away";
  assert.deepEqual(await ask(failing), answer);
  const silent = new MemoryIndex();
  const { promise, reject } = Promise.withResolvers<never>();
  silent.sums = () => promise;
  assert.deepEqual(await ask(silent), answer);
  reject(new Error("too late to matter"));
  assert.deepEqual(errors, ["away", "the index did not answer within 5 ms"]);
});
