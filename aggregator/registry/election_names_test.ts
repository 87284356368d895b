import assert from "assert";
import { createElection, publishManifest } from "./elections.ts";
import { newestManifest } from "./manifests.ts";
import { MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { withElection } from "../../tests/seeded_database.ts";
import { detailsSchema, summarySchema } from "./schemas.ts";
import { readFacts } from "./election_facts.ts";
import { Elections } from "./election_names.ts";
import { detail, phaseOf, summarise } from "./election_details.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("Elections finds the newest manifest, and reads each version once", async () => {
  await withElection(async (db) => {
    const elections = new Elections();
    const texts: string[] = [];
    const query: typeof db.query = (sql, params) => (texts.push(sql), db.query(sql, params));
    const manifestsRead = () => texts.filter((sql) => sql.includes("signature")).length;
    const names = (await elections.find(query, "test-2026"))!;
    await elections.find(query, "test-2026");
    assert.equal(manifestsRead(), 1);
    assert.deepEqual(names.stationsOf.get("north"), ["n-1", "n-2"]);
    assert.deepEqual([...names.contestsOf.get("north")!], ["mayor", "council"]);
    const summary = summarise(names, NOON_MS);
    assert.deepEqual(summarySchema.parse(summary), summary);
    assert.deepEqual(summary, {
      id: "test-2026",
      name: "A test",
      phase: "open",
      opensAt: "2026-11-03T07:00:00.000Z",
      closesAt: "2026-11-03T21:00:00.000Z",
      acceptsUntil: "2026-11-03T23:00:00.000Z",
      resultsBeforeClosing: true,
      releaseThreshold: 1,
      stations: 4,
      contests: 2,
      manifestVersion: 1,
      certified: false,
      heldModes: [],
      projection: false,
    });
    const details = detail(names, await readFacts(db.query, "test-2026"), NOON_MS);
    assert.deepEqual(detailsSchema.parse(details), details);
    assert.deepEqual(details.regions, [
      { id: "north", name: "North", stations: 2 },
      { id: "south", name: "South", stations: 2 },
    ]);

    await publishManifest(
      db,
      "test-2026",
      MASTER,
      new Date(NOON_MS),
      (manifest) => ({ ...manifest, name: "Renamed" }),
    );
    const later = testDefinition({
      election: "later",
      closesAt: "2026-11-04T21:00:00.000Z",
      acceptsUntil: "2026-11-04T21:00:00.000Z",
    });
    await createElection(db, later, MASTER, new Date(NOON_MS));
    const all = (await elections.list(query)).map((names) => summarise(names, NOON_MS));
    assert.deepEqual(all.map(({ id, name, manifestVersion }) => [id, name, manifestVersion]), [
      ["later", "A test", 1],
      ["test-2026", "Renamed", 2],
    ]);
    assert.equal(await elections.find(query, "none"), undefined);
  });
});

Deno.test("Elections leaves elections of record format 1 out, whose manifests it cannot read", async () => {
  await withElection(async (db) => {
    await db.query(
      `INSERT INTO registry.elections (election, name, partitions, record_bytes, created_at, format)
       VALUES ('old', 'Old', 3, 1024, now(), 1)`,
    );
    await db.query(
      `INSERT INTO registry.manifests (election, version, effective_at, manifest, signature)
       VALUES ('old', 1, now(), '{"election":"old","recordBytes":1024}', '')`,
    );
    const elections = new Elections();
    const all = await elections.list(db.query);
    assert.deepEqual(all.map(({ index }) => index.manifest.election), ["test-2026"]);
    assert.equal(await elections.find(db.query, "old"), undefined);
    await assert.rejects(
      newestManifest(db.query, "old"),
      /^OfficeError: Cannot use election old: its log has record format 1; finish this election with Pollwire 0.1$/,
    );
  });
});

Deno.test("phaseOf() counts the first and the last moment as open", () => {
  const index = { opensAtMs: 10, closesAtMs: 20 } as Parameters<typeof phaseOf>[0];
  assert.deepEqual([9, 10, 20, 21].map((ms) => phaseOf(index, ms)), ["scheduled", "open", "open", "closed"]);
});
