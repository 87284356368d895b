import assert from "assert";
import { MemoryIndex } from "../../../tests/memory_index.ts";
import { countVoters, withElection, writeRejection, writeRelease } from "../../../tests/seeded_database.ts";
import { reindex } from "./reindex.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("reindex() rebuilds every index from the database, and counts what each holds", async () => {
  await withElection(async (db) => {
    for (const [voters, added] of [[4, 4], [9, 5]]) {
      await writeRelease(db, {
        station: "n-1",
        voters,
        votes: { "mayor/ann": [voters, added], "mayor/bob": [1, 0] },
      });
    }
    await writeRelease(db, { station: "n-2", voters: 2, votes: { "mayor/ann": [2, 2] } });
    for (let minute = 10; minute < 55; minute++) {
      await countVoters(db.query, 2, {
        station: "n-1",
        minute: `2026-11-03T12:${minute}:00.000Z`,
        region: "north",
      });
    }
    for (let offset = 0; offset < 450; offset++) {
      await writeRejection(db.query, offset % 2, offset, "unreadable");
    }
    const index = new MemoryIndex();
    await index.prepare();
    const lines: string[] = [];
    assert.equal(await reindex(db, index, (line) => lines.push(line)), 0);
    assert.deepEqual(lines.sort(), [
      "audit-events: 1 documents",
      "ballots: 2 documents, sum 11",
      "rejected-votes: 450 documents",
      "released-votes: 2 documents, sum 11",
      "releases: 3 documents",
      "tallies: 3 documents, sum 12",
      "turnout-per-minute: 45 documents, sum 90",
    ]);
    assert.equal(index.documents("tallies").get("test-2026/n-1/in_person/mayor/ann")!.votes, 9);
  });
});

Deno.test("reindex() brings in what is released while it works, before readers see it", async () => {
  await withElection(async (db) => {
    const index = new MemoryIndex();
    await index.prepare();
    const begin = index.rebuild.bind(index);
    index.rebuild = async (names) => {
      const rebuild = await begin(names);
      let released = 0;
      const upsert: typeof rebuild.upsert = async (name, documents) => {
        if (name === "audit-events" && released++ === 0) {
          await writeRelease(db, { station: "s-1", voters: 6, votes: { "mayor/bob": [6, 6] } });
        }
        return await rebuild.upsert(name, documents);
      };
      return { ...rebuild, upsert };
    };
    await writeRelease(db, { station: "n-1", voters: 4, votes: { "mayor/ann": [4, 4] } });
    assert.equal(await reindex(db, index, () => {}), 0);
    assert.equal(index.documents("tallies").get("test-2026/s-1/in_person/mayor/bob")!.votes, 6);
    assert.equal(index.documents("releases").size, 2);
  });
});

Deno.test("reindex() ends, however fast more is released", async () => {
  await withElection(async (db) => {
    const index = new MemoryIndex();
    await index.prepare();
    const begin = index.rebuild.bind(index);
    const enough = 100;
    let voters = 1;
    const releaseNext = () =>
      writeRelease(db, { station: "n-1", voters, votes: { "mayor/ann": [voters, 1] } });
    index.rebuild = async (names) => {
      const rebuild = await begin(names);
      const upsert: typeof rebuild.upsert = async (name, documents) => {
        if (name === "releases" && voters++ < enough) await releaseNext();
        return await rebuild.upsert(name, documents);
      };
      return { ...rebuild, upsert };
    };
    await releaseNext();
    await reindex(db, index, () => {});
    assert.ok(voters < enough, "it swaps the indices before there is nothing more to bring in");
    assert.ok(index.documents("releases").size > 1);
  });
});

Deno.test("reindex() leaves what is in use when the index fails", async () => {
  await withElection(async (db) => {
    const index = new MemoryIndex();
    const standing = await index.prepare();
    await writeRelease(db, { station: "n-1", voters: 4, votes: { "mayor/ann": [4, 4] } });
    const begin = index.rebuild.bind(index);
    index.rebuild = async (names) => ({
      ...await begin(names),
      upsert: () => Promise.reject(new Error("the disk is full")),
    });
    await assert.rejects(reindex(db, index, () => {}), /the disk is full/);
    assert.deepEqual(await index.prepare(), standing);
  });
});

Deno.test("reindex() says which index differs from the database", async () => {
  await withElection(async (db) => {
    const index = new MemoryIndex();
    await index.prepare();
    await writeRelease(db, { station: "n-1", voters: 4, votes: { "mayor/ann": [4, 4] } });
    const begin = index.rebuild.bind(index);
    index.rebuild = async (names) => {
      const rebuild = await begin(names);
      return {
        ...rebuild,
        upsert: (name, documents) => rebuild.upsert(name, name === "tallies" ? [] : documents),
      };
    };
    const lines: string[] = [];
    assert.equal(await reindex(db, index, (line) => lines.push(line)), 1);
    assert.ok(lines.includes("tallies: DIFFERS: 0 documents; the database has 1 documents, sum 4"));
  });
});
