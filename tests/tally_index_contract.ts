/**
 * What every index must do, whichever stands behind the port.
 *
 * @module
 */
import assert from "assert";
import { type IndexDocument, IndexFault, type TallyIndex } from "../aggregator/results/index/tally_index.ts";
import { INDEX_NAMES } from "../aggregator/results/index/templates.ts";

/** An index with nothing in it; `drop` takes one of its indices away behind its back. */
export type OpenIndex = () => Promise<
  Readonly<{ index: TallyIndex; drop(name: "tallies"): Promise<void>; end(): Promise<void> }>
>;

type Tally = IndexDocument<"tallies">;

function tally(station: string, votes: number, version: number, more: Partial<Tally["fields"]> = {}): Tally {
  const fields = {
    election: "e-1",
    election_name: "Election",
    station,
    station_name: `Station ${station}`,
    location: { lat: 41.8, lon: -71.4 },
    contest: "mayor",
    contest_name: "Mayor",
    candidate: "ann",
    candidate_name: "Ann",
    party_name: "No party",
    mode: "in_person",
    revision: version,
    released_at: "2026-11-03T12:00:00.000Z",
    votes,
  };
  return { id: `e-1/${station}/in_person/mayor/ann`, version, fields: { ...fields, ...more } };
}

/** Registers the tests. */
export function testTallyIndex(name: string, open: OpenIndex): void {
  const test = (what: string, body: (opened: Awaited<ReturnType<OpenIndex>>) => Promise<void>) =>
    Deno.test(`${name}: ${what}`, async () => {
      const opened = await open();
      try {
        await body(opened);
      } finally {
        await opened.index.close();
        await opened.end();
      }
    });

  test("prepare() makes every index once, and says the same again", async ({ index }) => {
    const first = await index.prepare();
    assert.deepEqual(Object.keys(first).sort(), [...INDEX_NAMES].sort());
    assert.equal(new Set(Object.values(first)).size, INDEX_NAMES.length);
    assert.deepEqual(await index.prepare(), first);
  });

  test("prepare() makes a lost index again, and returns another identity for it", async ({ index, drop }) => {
    const first = await index.prepare();
    await drop("tallies");
    await assert.rejects(index.upsert("tallies", [tally("n-1", 1, 1)]), IndexFault);
    const second = await index.prepare();
    assert.notEqual(second.tallies, first.tallies);
    assert.equal(second.releases, first.releases);
    assert.equal((await index.upsert("tallies", [tally("n-1", 1, 1)])).written, 1);
  });

  test("upsert() keeps the highest version, in whatever order they come", async ({ index }) => {
    await index.prepare();
    const old = tally("n-1", 3, 7);
    const newer = tally("n-1", 5, 9);
    assert.deepEqual(await index.upsert("tallies", [newer]), {
      written: 1,
      alreadyThere: 0,
      refused: 0,
      refusals: [],
    });
    assert.equal((await index.upsert("tallies", [old, newer])).alreadyThere, 2);
    const [sum] = await index.sums("tallies", { sum: "votes", max: "revision" }, true);
    assert.deepEqual(sum, { by: [], documents: 1, sum: 5, max: 9 });
  });

  test("upsert() takes the last of several versions of one document in one lot", async ({ index }) => {
    await index.prepare();
    await index.upsert("tallies", [tally("n-1", 1, 1), tally("n-1", 3, 3), tally("n-1", 2, 2)]);
    assert.equal((await index.sums("tallies", { sum: "votes" }, true))[0].sum, 3);
  });

  test("upsert() refuses a document with a field that the index does not have", async ({ index }) => {
    await index.prepare();
    const foreign = tally("n-2", 1, 1, { voter_key: "00" } as never);
    const upserted = await index.upsert("tallies", [tally("n-1", 1, 1), foreign]);
    assert.deepEqual([upserted.written, upserted.refused], [1, 1]);
    assert.equal(upserted.refusals[0].id, foreign.id);
    assert.match(upserted.refusals[0].why, /voter_key/);
  });

  test("sums() adds up by several fields, of what a condition holds for", async ({ index }) => {
    await index.prepare();
    await index.upsert("tallies", [
      tally("n-1", 4, 1, { mode: "in_person" }),
      tally("n-2", 5, 2, { mode: "early" }),
      { ...tally("n-1", 7, 3, { mode: "early" }), id: "other" },
      { ...tally("n-9", 100, 4, { election: "e-2" }), id: "another election" },
    ]);
    const sums = await index.sums(
      "tallies",
      { where: { election: "e-1" }, by: ["station", "mode"], sum: "votes", max: "revision" },
      true,
    );
    assert.deepEqual(sums.toSorted((a, b) => a.max - b.max), [
      { by: ["n-1", "in_person"], documents: 1, sum: 4, max: 1 },
      { by: ["n-2", "early"], documents: 1, sum: 5, max: 2 },
      { by: ["n-1", "early"], documents: 1, sum: 7, max: 3 },
    ]);
  });

  test("show() lets searches see what was written", async ({ index, drop }) => {
    await index.prepare();
    await index.upsert("tallies", [tally("n-1", 4, 1)]);
    await index.show(["tallies", "releases"]);
    assert.equal((await index.sums("tallies", { sum: "votes" }, false))[0].sum, 4);
    await drop("tallies");
    await assert.rejects(index.show(["tallies"]), IndexFault);
  });

  test("sums() gives times as milliseconds, in more answers than one page has", async ({ index }) => {
    await index.prepare();
    const startMs = Date.parse("2026-11-03T07:00:00.000Z");
    const minutes = Array.from({ length: 5_500 }, (_, i) => new Date(startMs + 60_000 * i).toISOString());
    await index.upsert(
      "turnout-per-minute",
      minutes.map((minute) => ({
        id: minute,
        version: 1,
        fields: { election: "e-1", station: "n-1", mode: "in_person", minute, voters: 2 },
      })),
    );
    const sums = await index.sums("turnout-per-minute", { by: ["minute"], sum: "voters" }, true);
    const times = sums.map(({ by }) => by[0] as number).sort((a, b) => a - b);
    assert.deepEqual(times, minutes.map((minute) => Date.parse(minute)));
    assert.equal(sums.reduce((total, { sum }) => total + sum, 0), 11_000);
  });

  test("sums() of nothing is one answer without `by`, and none with it", async ({ index }) => {
    await index.prepare();
    assert.deepEqual(await index.sums("releases", { max: "revision" }, true), [
      { by: [], documents: 0, sum: 0, max: 0 },
    ]);
    assert.deepEqual(await index.sums("releases", { by: ["station"] }, true), []);
  });

  test("rebuild() shows nothing before the swap, and only the fresh one after", async ({ index }) => {
    const before = await index.prepare();
    await index.upsert("tallies", [tally("n-1", 1, 1), tally("n-2", 1, 1)]);
    const rebuild = await index.rebuild(["tallies"]);
    await rebuild.upsert("tallies", [tally("n-3", 10, 1)]);
    assert.equal((await index.sums("tallies", { sum: "votes" }, true))[0].sum, 2);
    assert.deepEqual((await rebuild.sums("tallies", { sum: "votes" }))[0].sum, 10);
    await rebuild.swap();
    assert.equal((await index.sums("tallies", { sum: "votes" }, true))[0].sum, 10);
    const after = await index.prepare();
    assert.notEqual(after.tallies, before.tallies);
    assert.equal(after.releases, before.releases);
  });

  test("rebuild() that is discarded leaves what was there", async ({ index }) => {
    const before = await index.prepare();
    await index.upsert("tallies", [tally("n-1", 1, 1)]);
    const rebuild = await index.rebuild(["tallies", "releases"]);
    await rebuild.discard();
    assert.deepEqual(await index.prepare(), before);
    assert.equal((await index.sums("tallies", { sum: "votes" }, true))[0].sum, 1);
  });
}
